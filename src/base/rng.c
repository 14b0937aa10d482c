/* A small deterministic generator (xoshiro256**, seeded through a splitmix64 sequence).
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

static uint64_t rotate_left(uint64_t v, unsigned n) {
  return (v << n) | (v >> (64 - n));
}

void torc_rng_seed(torc_rng *r, uint64_t seed) {
  for (size_t i = 0; i < 4; i++) {
    uint64_t z;
    seed += 0x9e3779b97f4a7c15u;
    z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    r->s[i] = z ^ (z >> 31);
  }
}

uint64_t torc_rng_u64(torc_rng *r) {
  uint64_t result = rotate_left(r->s[1] * 5, 7) * 9;
  uint64_t shifted = r->s[1] << 17;
  r->s[2] ^= r->s[0];
  r->s[3] ^= r->s[1];
  r->s[1] ^= r->s[2];
  r->s[0] ^= r->s[3];
  r->s[2] ^= shifted;
  r->s[3] = rotate_left(r->s[3], 45);
  return result;
}

uint64_t torc_rng_below(torc_rng *r, uint64_t bound) {
  uint64_t reject;
  uint64_t v;
  if (bound == 0) {
    return 0;
  }
  reject = (0 - bound) % bound; /* 2^64 mod bound: the values that would make 0 likelier */
  do {
    v = torc_rng_u64(r);
  } while (v < reject);
  return v % bound;
}
