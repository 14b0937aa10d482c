/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_fragment.h"

#include <string.h>

#define OVERLAY 0xd257de59u /* CRC-32 of test.example */

static size_t put(uint8_t *out, size_t at, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    out[at + i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
  }
  return at + bytes;
}

size_t hf_lay(uint8_t *out, const hf_part *p, torc_slice body) {
  size_t num_route = p->route != NULL ? 1 : 0;
  size_t num_via = p->via != NULL ? 1 : 0;
  size_t head = HF_HEADER + (num_route + num_via) * TORC_ID_LEN;
  size_t at = put(out, 0, 0x52454c4fu, 4); /* RELO */
  at = put(out, at, OVERLAY, 4);
  at = put(out, at, 100, 1);                                         /* TTL */
  at = put(out, at, 1, 1);                                           /* recursive */
  at = put(out, at, (p->is_last ? 0xc000u : 0x8000u) | p->units, 2); /* FRAG, LFRG, offset */
  at = put(out, at, 1, 1);                                           /* version */
  at = put(out, at, head + body.len, 3);                             /* Length: of this part */
  at = put(out, at, p->xid, 8);
  at = put(out, at, num_route, 1);
  at = put(out, at, num_via, 1);
  at = put(out, at, 0, 2); /* flags */
  if (p->route != NULL) {
    memcpy(out + at, p->route->b, TORC_ID_LEN);
    at += TORC_ID_LEN;
  }
  if (p->via != NULL) {
    memcpy(out + at, p->via->b, TORC_ID_LEN);
    at += TORC_ID_LEN;
  }
  if (body.len > 0) {
    memcpy(out + at, body.p, body.len);
  }
  return at + body.len;
}

uint8_t hf_byte(uint64_t seed, size_t at) {
  uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u ^ (at + 1) * 0xbf58476d1ce4e5b9u;
  return (uint8_t)(x >> 29 ^ x >> 51);
}
