/* Memory of one worker: blocks of a few sizes cut from slabs, without a header per block. What an
 * account holds is counted. Not for two threads at once. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_POOL_H
#define TORC_SIM_POOL_H

#include "torc/types.h"

#define SIM_POOL_CLASSES 80u

typedef struct sim_slab sim_slab;

typedef struct sim_pool {
  sim_slab *partial[SIM_POOL_CLASSES]; /* slabs with room, by size */
  sim_slab *empty;                     /* of no size at present */
  void *regions;                       /* what was asked of the C library */
  uint64_t slab_bytes;
} sim_pool;

/* Who uses the pool, with the hooks to do so. */
typedef struct sim_account {
  sim_pool *pool;
  uint64_t bytes; /* held now */
  torc_mem mem;
} sim_account;

void sim_pool_init(sim_pool *p);
void sim_pool_clear(sim_pool *p); /* everything allocated from it is gone */
void sim_account_init(sim_account *a, sim_pool *pool);

#endif
