/* Bits from bits: the finaliser of splitmix64.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_MIX_H
#define TORC_SIM_MIX_H

#include <stdint.h>

#define SIM_GOLDEN 0x9e3779b97f4a7c15u

static inline uint64_t sim_mix(uint64_t v) {
  v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
  v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
  return v ^ (v >> 31);
}

/* The next number of the sequence whose state is `*state`. */
static inline uint64_t sim_next(uint64_t *state) {
  *state += SIM_GOLDEN;
  return sim_mix(*state);
}

/* Below `bound` (0: 0); so little uneven that no simulation sees it. */
static inline uint64_t sim_below(uint64_t *state, uint64_t bound) {
  return (uint64_t)(((unsigned __int128)sim_next(state) * bound) >> 64);
}

#endif
