/* A small deterministic generator for jitter and choices; never for secrets or transaction ids.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_RNG_H
#define TORC_BASE_RNG_H

#include "torc/types.h"

typedef struct torc_rng {
  uint64_t s[4];
} torc_rng;

void torc_rng_seed(torc_rng *r, uint64_t seed);
uint64_t torc_rng_u64(torc_rng *r);
/* Uniform in [0, bound); 0 if bound is 0. */
uint64_t torc_rng_below(torc_rng *r, uint64_t bound);

#endif
