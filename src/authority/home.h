/* An authority's directory, opened: settings, registry, issuing keys, audit log. Several programs
 * may have it open at a time: the service, and the commands of its administrator.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_HOME_H
#define TORC_AUTHORITY_HOME_H

#include "authority/settings.h"

#define TORC_HOME_LOCK "lock" /* shared by whoever has the registry open, alone with a restore */

enum {
  TORC_HOME_OVERLAY = 1,  /* the overlay's name, from its document */
  TORC_HOME_REGISTRY = 2, /* with the ledger of an older version taken over, and the audit log */
  TORC_HOME_ISSUERS = 4,
  TORC_HOME_ALL = 7
};

typedef struct torc_home {
  torc_settings settings;
  char overlay[256], overlay_file[TORC_PATH_MAX];
  int lock_fd; /* -1: none */
  torc_registry *registry;
  torc_audit *audit;
  torc_issuer issuers[TORC_ISSUERS_MAX];
  size_t num_issuers;
} torc_home;

/* parts: what is needed. TORC_ERR_STATE: a restore is under way. `err` gets one line. Freed with
 * torc_home_close. */
int torc_home_open(torc_home **out, const char *dir, unsigned parts, char *err,
                   size_t err_cap) TORC_MUST_CHECK;
void torc_home_close(torc_home *h);

/* Takes dir/lock, made if there is none; closing *out gives it back. TORC_ERR_STATE: somebody has
 * it in a way that excludes this. */
int torc_home_lock(const char *dir, bool alone, int *out, char *err,
                   size_t err_cap) TORC_MUST_CHECK;

/* One line in the audit log of what an administrator did, with the name of the user of this
 * machine. */
int torc_home_tell(torc_home *h, torc_audit_event *event, char *err,
                   size_t err_cap) TORC_MUST_CHECK;

#endif
