/* The registry put back from a backup, with what the audit log says came after it, so that no name,
 * peer-id or serial number is given a second time [R-52] [ENR-35].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_RESTORE_H
#define TORC_AUTHORITY_RESTORE_H

#include "authority/home.h"

typedef struct torc_restored {
  char kept[TORC_PATH_MAX]; /* where the database that was there is now */
  torc_registry_imported later;
} torc_restored;

/* copy: made by torc_registry_backup. Nobody else may use the directory meanwhile. TORC_ERR_STATE:
 * somebody does. TORC_ERR_INVALID: the database is PostgreSQL's, whose own tools restore it.
 * TORC_ERR_FORMAT: the copy is damaged; nothing was changed. */
int torc_restore(const char *dir, const char *copy, torc_wall now, torc_restored *out, char *err,
                 size_t err_cap) TORC_MUST_CHECK;

#endif
