/* What the parts of an enrolment share. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IDENTITY_IMPL_H
#define TORC_IDENTITY_IMPL_H

#include "identity/ask.h"
#include "identity/enroll.h"
#include "identity/request.h"

typedef struct torc_enroll_paths {
  char overlay[TORC_PATH_MAX], cert[TORC_PATH_MAX], key[TORC_PATH_MAX], conf[TORC_PATH_MAX];
  char password[TORC_PATH_MAX], pending[TORC_PATH_MAX];
} torc_enroll_paths;

/* One enrolment under way. */
typedef struct torc_enrolling {
  const torc_enroll_job *job;
  torc_enroll_paths paths;
  torc_wall now;
  torc_discovery found;
  torc_https_answer document; /* as it came */
  torc_overlay overlay;
  bool has_overlay;
  EVP_PKEY *key;
  const char *users[TORC_ENROLL_USERS_MAX];
  size_t num_users;
  torc_id peer;
  torc_granted granted;
  char *err;
  size_t err_cap;
} torc_enrolling;

int torc_enroll_paths_of(torc_enroll_paths *p, const char *dir, char *err,
                         size_t err_cap) TORC_MUST_CHECK;
/* The pending key if there is one of the kind the overlay admits, else a new one, which is made
 * pending. A guest who renews keeps the key: the name is made from it. */
int torc_enroll_key(torc_enrolling *e) TORC_MUST_CHECK;
/* All files at once; `kept` gets the suffix of the old ones. */
int torc_enroll_write(torc_enrolling *e, char kept[64]) TORC_MUST_CHECK;

#endif
