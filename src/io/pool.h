/* Threads that do the node's jobs [D-41]. Results come back on the loop's thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_POOL_H
#define TORC_IO_POOL_H

#include <uv.h>

#include "io/lmdb_backend.h"
#include "io/x509.h"

#define TORC_POOL_THREADS_MAX 64

typedef struct torc_pool torc_pool;

/* Does one job now, on this thread. `sig` (TORC_SIGNATURE_MAX bytes) holds a signature made. db:
 * may be NULL. */
void torc_job_run(torc_pki *pki, torc_lmdb *db, const torc_job *job, uint8_t *sig,
                  torc_job_result *out);

typedef struct torc_pool_config {
  uv_loop_t *loop;
  torc_pki *pki;
  torc_lmdb *db; /* for TORC_JOB_SYNC; may be NULL */
  unsigned num_threads;
  void *ctx;
  void (*done)(void *ctx, torc_token id, const torc_job_result *result);
  void (*turn)(void *ctx); /* after a batch of done */
} torc_pool_config;

int torc_pool_new(torc_pool **out, const torc_pool_config *cfg) TORC_MUST_CHECK;
/* TORC_JOB_SYNC flushes this one as well from now on: a peer with two rings has two [D-19]. */
void torc_pool_add_db(torc_pool *p, torc_lmdb *db);
/* What the job points to must live until `done`. */
int torc_pool_submit(torc_pool *p, const torc_job *job) TORC_MUST_CHECK;
size_t torc_pool_pending(const torc_pool *p);
/* Ends the threads; nothing is reported any more. Run the loop once more, then torc_pool_free. */
void torc_pool_shutdown(torc_pool *p);
void torc_pool_free(torc_pool *p);

#endif
