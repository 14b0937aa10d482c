/* Fragments laid out by hand, apart from the code that reads and writes them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_HELPER_FRAGMENT_H
#define TORC_HELPER_FRAGMENT_H

#include "torc/types.h"

#define HF_HEADER 28u

/* What a part of a message says in its header beside the fixed rest of it. */
typedef struct hf_part {
  uint64_t xid;
  const torc_id *route, *via; /* one entry each; NULL: none */
  bool is_last;
  uint16_t units;
} hf_part;

/* Writes the part; returns its length. `out` has room for 60 bytes and the body. */
size_t hf_lay(uint8_t *out, const hf_part *p, torc_slice body);
/* The bytes that anybody expects at `at` of the body number `seed`. */
uint8_t hf_byte(uint64_t seed, size_t at);

#endif
