/* torc_backend on LMDB [D-42]: after kill -9 every committed transaction is there and no half of
 * one.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_LMDB_BACKEND_H
#define TORC_IO_LMDB_BACKEND_H

#include "torc/storage.h"

typedef struct torc_lmdb torc_lmdb;
/* Opens or creates `dir`/data.mdb. map_bytes: upper bound of the file. A damaged file is moved
 * aside as data.mdb.damaged-N and a new one begun; *was_damaged says so. */
int torc_lmdb_open(torc_lmdb **out, torc_backend *backend, const char *dir, uint64_t map_bytes,
                   bool *was_damaged, char *err, size_t err_cap) TORC_MUST_CHECK;
int torc_lmdb_sync(torc_lmdb *db) TORC_MUST_CHECK; /* fsync; any thread */
void torc_lmdb_close(torc_lmdb *db);

#endif
