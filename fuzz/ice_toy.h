/* A crypto table for the fuzz targets of STUN: quick digests that only this process believes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_ICE_TOY_H
#define FUZZ_ICE_TOY_H

#include <stdio.h>
#include <stdlib.h>

#include "wire/stun_auth.h"

#define CHECK(what)                                 \
  do {                                              \
    if (!(what)) {                                  \
      (void)fprintf(stderr, "not so: %s\n", #what); \
      abort();                                      \
    }                                               \
  } while (0)

typedef struct ice_toy {
  torc_stun_crypto table;
  uint32_t num_random;
  uint32_t fail_at; /* this call fails; 0: none */
} ice_toy;

void ice_toy_init(ice_toy *t);

#endif
