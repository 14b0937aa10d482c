/* 128-bit ring arithmetic on two 64-bit halves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <string.h>

typedef struct halves {
  uint64_t hi, lo;
} halves;

const torc_id torc_id_zero = {{0}};
const torc_id torc_id_wildcard = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff}};

static inline uint64_t load64(const uint8_t *p) {
  return (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 | (uint64_t)p[3] << 32 |
         (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 | (uint64_t)p[6] << 8 | (uint64_t)p[7];
}

/* In this form, as above, compilers see one instruction. */
static void store64(uint8_t *p, uint64_t v) {
  p[0] = (uint8_t)(v >> 56);
  p[1] = (uint8_t)(v >> 48);
  p[2] = (uint8_t)(v >> 40);
  p[3] = (uint8_t)(v >> 32);
  p[4] = (uint8_t)(v >> 24);
  p[5] = (uint8_t)(v >> 16);
  p[6] = (uint8_t)(v >> 8);
  p[7] = (uint8_t)v;
}

static inline halves load(const torc_id *id) {
  return (halves){.hi = load64(id->b), .lo = load64(id->b + 8)};
}

static torc_id store(halves h) {
  torc_id id;
  store64(id.b, h.hi);
  store64(id.b + 8, h.lo);
  return id;
}

/* All sums and differences are modulo 2^128, so 2^128-1 and 0 are neighbours [ARC-18]. */
static halves add(halves a, halves b) {
  halves sum = {.hi = a.hi + b.hi, .lo = a.lo + b.lo};
  if (sum.lo < a.lo) {
    sum.hi++;
  }
  return sum;
}

static inline halves sub(halves a, halves b) {
  halves diff = {.hi = a.hi - b.hi, .lo = a.lo - b.lo};
  if (a.lo < b.lo) {
    diff.hi--;
  }
  return diff;
}

static inline bool less(halves a, halves b) {
  return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo;
}

static bool is_zero(halves a) {
  return (a.hi | a.lo) == 0;
}

int torc_id_cmp(const torc_id *a, const torc_id *b) {
  halves x = load(a);
  halves y = load(b);
  return less(x, y) ? -1 : less(y, x) ? 1 : 0;
}

/* [ARC-16] "Terminology". */
bool torc_id_is_peer(const torc_id *id) {
  return !torc_id_eq(id, &torc_id_zero) && !torc_id_eq(id, &torc_id_wildcard);
}

torc_id torc_id_from_bytes(const uint8_t bytes[TORC_ID_LEN]) {
  torc_id id;
  memcpy(id.b, bytes, TORC_ID_LEN);
  return id;
}

torc_id torc_id_add(const torc_id *a, const torc_id *b) {
  return store(add(load(a), load(b)));
}

torc_id torc_id_sub(const torc_id *a, const torc_id *b) {
  return store(sub(load(a), load(b)));
}

torc_id torc_id_next(const torc_id *a) {
  return store(add(load(a), (halves){.hi = 0, .lo = 1}));
}

torc_id torc_id_prev(const torc_id *a) {
  return store(sub(load(a), (halves){.hi = 0, .lo = 1}));
}

torc_id torc_id_add_pow2(const torc_id *a, unsigned bit) {
  halves power = {.hi = 0, .lo = 0};
  if (bit >= 64) {
    power.hi = (uint64_t)1 << (bit & 63);
  } else {
    power.lo = (uint64_t)1 << bit;
  }
  return store(add(load(a), power));
}

torc_id torc_id_distance(const torc_id *a, const torc_id *b) {
  return store(sub(load(b), load(a)));
}

/* [CHD-04] "Chord Algorithm / Overview": p < k <= n on the ring. */
bool torc_id_in_open_closed(const torc_id *x, const torc_id *a, const torc_id *b) {
  halves from = load(a);
  halves to_x = sub(load(x), from);
  halves to_b = sub(load(b), from);
  if (is_zero(to_b)) {
    return true;
  }
  return !is_zero(to_x) && !less(to_b, to_x);
}

bool torc_id_in_open(const torc_id *x, const torc_id *a, const torc_id *b) {
  halves from = load(a);
  halves to_x = sub(load(x), from);
  halves to_b = sub(load(b), from);
  if (is_zero(to_x)) {
    return false;
  }
  return is_zero(to_b) || less(to_x, to_b);
}

/* [GAP-67]: the carry out of v * 10^9 beyond 128 bits, 32 bits at a time. */
uint32_t torc_id_ppb(const torc_id *v) {
  halves h = load(v);
  const uint64_t limbs[4] = {h.lo & 0xffffffffu, h.lo >> 32, h.hi & 0xffffffffu, h.hi >> 32};
  uint64_t carry = 0;
  for (int i = 0; i < 4; i++) {
    carry = (limbs[i] * 1000000000u + carry) >> 32;
  }
  return (uint32_t)carry;
}

char *torc_id_hex(const torc_id *id, char out[TORC_ID_HEX_LEN + 1]) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < TORC_ID_LEN; i++) {
    out[2 * i] = digits[id->b[i] >> 4];
    out[2 * i + 1] = digits[id->b[i] & 15];
  }
  out[TORC_ID_HEX_LEN] = '\0';
  return out;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

int torc_id_parse(const char *text, size_t len, torc_id *out) {
  torc_id id;
  if (len != TORC_ID_HEX_LEN) {
    return TORC_ERR_FORMAT;
  }
  for (size_t i = 0; i < TORC_ID_LEN; i++) {
    int high = hex_digit(text[2 * i]);
    int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) {
      return TORC_ERR_FORMAT;
    }
    id.b[i] = (uint8_t)(high * 16 + low);
  }
  *out = id;
  return 0;
}

/* A bijection in which every input bit reaches every output bit. */
static uint64_t mix64(uint64_t v) {
  v ^= v >> 32;
  v *= 0xe9846af9b1a615d5u;
  v ^= v >> 29;
  v *= 0xd6e8feb86659fd93u;
  v ^= v >> 32;
  return v;
}

uint64_t torc_hash64(uint64_t seed, torc_slice bytes) {
  uint64_t key = mix64(seed ^ 0x5851f42d4c957f2du);
  uint64_t h = mix64(key + bytes.len);
  size_t i = 0;
  for (; bytes.len - i >= 8; i += 8) {
    h = mix64(h ^ load64(bytes.p + i)) + key;
  }
  if (i < bytes.len) {
    uint64_t tail = 0;
    for (; i < bytes.len; i++) {
      tail = tail << 8 | bytes.p[i];
    }
    h = mix64(h ^ tail) + key;
  }
  return mix64(h);
}
