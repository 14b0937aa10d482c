/* 128-bit ring arithmetic: ids are integers modulo 2^128, 0 and 2^128-1 are adjacent [ARC-18].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_ID_H
#define TORC_BASE_ID_H

#include <string.h>

#include "torc/types.h"

#define TORC_ID_HEX_LEN 32 /* characters, without the NUL */

extern const torc_id torc_id_zero;     /* never a peer on the wire [ARC-16] */
extern const torc_id torc_id_wildcard; /* all ones: any receiving peer [ARC-16] */

/* Numeric comparison: <0, 0, >0. */
int torc_id_cmp(const torc_id *a, const torc_id *b);
static inline bool torc_id_eq(const torc_id *a, const torc_id *b) { /* of every table's loops */
  return memcmp(a->b, b->b, TORC_ID_LEN) == 0;
}
/* True unless `id` is 0 or all ones [ARC-16]. */
bool torc_id_is_peer(const torc_id *id);
torc_id torc_id_from_bytes(const uint8_t bytes[TORC_ID_LEN]);
/* (a + b) mod 2^128, (a - b) mod 2^128. */
torc_id torc_id_add(const torc_id *a, const torc_id *b);
torc_id torc_id_sub(const torc_id *a, const torc_id *b);
/* (a + 1) mod 2^128. */
torc_id torc_id_next(const torc_id *a);
/* (a - 1) mod 2^128. */
torc_id torc_id_prev(const torc_id *a);
/* (a + 2^bit) mod 2^128; bit 0..127. */
torc_id torc_id_add_pow2(const torc_id *a, unsigned bit);
/* Clockwise distance from `a` to `b`: (b - a) mod 2^128. */
torc_id torc_id_distance(const torc_id *a, const torc_id *b);
/* True iff x lies in (a, b] going clockwise; when a == b the interval is the whole ring [CHD-04].
 */
bool torc_id_in_open_closed(const torc_id *x, const torc_id *a, const torc_id *b);
/* True iff x lies strictly inside (a, b); when a == b: everything but a. */
bool torc_id_in_open(const torc_id *x, const torc_id *a, const torc_id *b);
/* floor(v * 10^9 / 2^128) [GAP-67]. */
uint32_t torc_id_ppb(const torc_id *v);
/* Writes 32 lower-case hex digits and a NUL; returns `out`. */
char *torc_id_hex(const torc_id *id, char out[TORC_ID_HEX_LEN + 1]);
/* Reads exactly 32 hex digits of either case. TORC_ERR_FORMAT otherwise. */
int torc_id_parse(const char *text, size_t len, torc_id *out) TORC_MUST_CHECK;
/* A well mixed 64-bit hash seeded with `seed`, for hash tables whose keys peers may choose. */
uint64_t torc_hash64(uint64_t seed, torc_slice bytes);

#endif
