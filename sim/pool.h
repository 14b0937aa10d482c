/* Memory of one worker: blocks of a few sizes, without a header per block, cut from slabs that lie
 * in one piece of address space. What an account holds is counted. Not for two threads at once.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_POOL_H
#define TORC_SIM_POOL_H

#include "torc/types.h"

#define SIM_POOL_CLASSES 80u

typedef struct sim_slab sim_slab;

typedef struct sim_pool {
  uint8_t *space;    /* of address; NULL before the first block */
  uint8_t *class_of; /* of each slab */
  sim_slab *slabs;
  uint32_t num_slabs, max_slabs;
  uint32_t allowed_slabs;             /* more would not fit into the machine */
  uint32_t empty;                     /* a list of slabs of no size at present */
  uint32_t partial[SIM_POOL_CLASSES]; /* lists of slabs with room */
  struct {
    void *first; /* blocks at hand, the one given back last first */
    uint32_t num;
  } at_hand[SIM_POOL_CLASSES];
} sim_pool;

/* Who uses the pool, with the hooks to do so. */
typedef struct sim_account {
  sim_pool *pool;
  uint64_t bytes; /* held now */
  torc_mem mem;
} sim_account;

/* `share`: how many pools there are; together they take no more than the machine has. */
void sim_pool_init(sim_pool *p, unsigned share);
void sim_pool_clear(sim_pool *p); /* everything allocated from it is gone */
void sim_account_init(sim_account *a, sim_pool *pool);

#endif
