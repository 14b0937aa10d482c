/* Shared by the files of the registry. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_REGISTRY_IMPL_H
#define TORC_AUTHORITY_REGISTRY_IMPL_H

#include <pthread.h>

#include "authority/registry.h"
#include "authority/store/db.h"

#define TORC_REGISTRY_TRIES 8 /* of a transaction that met another program's */

struct torc_registry {
  pthread_mutex_t lock;
  torc_db *db;
};

typedef int torc_registry_step(torc_db *db, void *arg, char *err, size_t err_cap);
/* Runs `step` in a transaction of its own, again if another program was in the way; its result. */
int torc_registry_do(torc_registry *r, torc_registry_step *step, void *arg, char *err,
                     size_t err_cap) TORC_MUST_CHECK;

/* Inside a transaction. */
int torc_registry_claim(torc_db *db, const char *account, const char *name, char *err,
                        size_t err_cap) TORC_MUST_CHECK; /* TORC_ERR_EXISTS: another's */
int torc_registry_owner(torc_db *db, const char *name, char out[TORC_ACCOUNT_MAX + 1], char *err,
                        size_t err_cap) TORC_MUST_CHECK; /* of a user name; "" if it is free */

void torc_registry_hex(const uint8_t *bytes, size_t len, char *out); /* 2 * len + 1 */
bool torc_registry_unhex(const char *hex, uint8_t *out, size_t len);
/* A column into a fixed array; false: it does not fit. */
bool torc_registry_copy(char *out, size_t cap, const char *text);

#endif
