/* Is a database file whole?
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_LMDB_CHECK_H
#define TORC_IO_LMDB_CHECK_H

#include "torc/types.h"

typedef enum torc_lmdb_state {
  TORC_LMDB_ABSENT,
  TORC_LMDB_WHOLE,
  TORC_LMDB_DAMAGED,
  TORC_LMDB_UNREADABLE /* for another reason than its contents: rights, memory */
} torc_lmdb_state;

/* Reads every page of `dir`/data.mdb in a child process: a file cut short or overwritten (the
 * machine lost power) would kill whoever maps it. Call before the process has opened the database.
 */
torc_lmdb_state torc_lmdb_check(const char *dir, uint64_t map_bytes);

#endif
