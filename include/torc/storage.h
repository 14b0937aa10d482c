/* Where a node keeps stored data: an ordered key-value table with transactions, given at creation.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_STORAGE_H
#define TORC_STORAGE_H

#include "torc/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TORC_BACKEND_KEY_MAX 480 /* bytes; LMDB's own limit is 511 */

/* One transaction at a time; calls come from one thread. After begin(write = true), reads see the
 * transaction's own writes. Slices returned by get and seek live until the next write or the end of
 * the transaction. Every function returns 0 or TORC_ERR_*; after a failed commit nothing of the
 * transaction is visible [STO-06]. */
typedef struct torc_backend {
  void *ctx;
  int (*begin)(void *ctx, bool write);
  int (*commit)(
      void *ctx); /* process-crash safe when it returns; TORC_JOB_SYNC makes it disk safe */
  void (*abort)(void *ctx);
  /* TORC_ERR_NOTFOUND if there is none. */
  int (*get)(void *ctx, torc_slice key, torc_slice *value);
  int (*put)(void *ctx, torc_slice key, torc_slice value); /* TORC_ERR_LIMIT: the store is full */
  int (*del)(void *ctx, torc_slice key);                   /* 0 also if there was none */
  /* First entry whose key is >= `key` in bytewise order. TORC_ERR_NOTFOUND at the end. */
  int (*seek)(void *ctx, torc_slice key, torc_slice *found_key, torc_slice *value);
} torc_backend;

typedef struct torc_memory_backend torc_memory_backend;
/* A backend in memory, bounded by `max_bytes` of keys and values. `*out` receives the table, whose
 * ctx is the object. Freed with torc_memory_backend_free. */
int torc_memory_backend_new(torc_memory_backend **obj, torc_backend *out, const torc_mem *mem,
                            size_t max_bytes) TORC_MUST_CHECK;
void torc_memory_backend_free(torc_memory_backend *obj);

#ifdef __cplusplus
}
#endif
#endif
