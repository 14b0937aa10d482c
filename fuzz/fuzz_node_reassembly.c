/* libFuzzer target of reassembly. The first byte chooses the memory there is and which allocation
 * fails; then each step of six bytes is a part of one of eight messages from one of four peers, or
 * time that passes. Properties: what comes out of the first six messages, whose bytes are always
 * the same, is that message; memory is bounded, and all of it is given back.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_fragment.h"
#include "overlay/node/reassembly.h"

#define REQUIRE(what)                                                  \
  do {                                                                 \
    if (!(what)) {                                                     \
      (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
      abort();                                                         \
    }                                                                  \
  } while (0)
#define STEP 6u
#define HONEST 6u
#define PART_MAX 2040u

typedef struct fuzz_mem {
  torc_mem mem;
  size_t num_live, calls, fail_at;
} fuzz_mem;

static bool fails(fuzz_mem *m) {
  m->calls++;
  return m->calls == m->fail_at;
}

static void *fuzz_alloc(void *ctx, size_t size) {
  fuzz_mem *m = ctx;
  void *p = fails(m) ? NULL : malloc(size);
  m->num_live += p != NULL ? 1 : 0;
  return p;
}

static void *fuzz_realloc(void *ctx, void *old, size_t size) {
  fuzz_mem *m = ctx;
  void *p = fails(m) ? NULL : realloc(old, size);
  m->num_live += p != NULL && old == NULL ? 1 : 0;
  return p;
}

static void fuzz_free(void *ctx, void *p) {
  fuzz_mem *m = ctx;
  m->num_live -= p != NULL ? 1 : 0;
  free(p);
}

static size_t body_len(unsigned which) {
  static const size_t lens[HONEST] = {9, 64, 1201, 5000, 20000, TORC_BODY_MAX};
  return lens[which];
}

/* Bytes of an honest message; the others' have the step's own mark in them. */
static size_t lay(uint8_t *out, const uint8_t *s, torc_id *from) {
  static uint8_t body[PART_MAX + 8];
  unsigned which = s[0] & 7u;
  uint64_t seed = which < HONEST ? which : s[5];
  size_t at = ((size_t)s[1] << 8 | s[2]) % 16384u * 8;
  size_t len = (size_t)s[3] * 8 + (s[4] & 7u);
  hf_part p = {.xid = which, .is_last = (s[4] & 8u) != 0};
  *from = torc_id_zero;
  from->b[0] = (uint8_t)(0x40 + (s[0] >> 3 & 3u));
  if (which < HONEST) {
    at = at % body_len(which) / 8 * 8;
    len = len < 8 ? 8 : len / 8 * 8;
    p.is_last = at + len >= body_len(which);
    len = p.is_last ? body_len(which) - at : len;
    p.via = from; /* by whatever peer */
  }
  len = len > PART_MAX + 7 ? PART_MAX : len;
  p.units = (uint16_t)(at / 8);
  for (size_t i = 0; i < len; i++) {
    body[i] = hf_byte(seed, at + i);
  }
  return hf_lay(out, &p, torc_slice_of(body, len));
}

static void check_whole(const torc_reasm_whole *w, unsigned which) {
  torc_header h;
  REQUIRE(torc_header_decode(&h, torc_slice_of(w->msg, w->len)) == 0);
  REQUIRE(!h.is_fragment && !h.is_last_fragment && h.fragment_units == 0);
  if (which >= HONEST) {
    return;
  }
  REQUIRE(w->len - h.header_len == body_len(which));
  for (size_t i = 0; i < body_len(which); i++) {
    REQUIRE(w->msg[h.header_len + i] == hf_byte(which, i));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static uint8_t bytes[PART_MAX + 128];
  fuzz_mem m = {
      .mem = {.ctx = &m, .alloc = fuzz_alloc, .realloc = fuzz_realloc, .free = fuzz_free}};
  torc_time now = TORC_SEC(1);
  torc_reasm *r = NULL;
  if (len < 1) {
    return 0;
  }
  size_t max = (data[0] & 1u) != 0 ? TORC_REASM_BYTES : 64u << 10;
  m.fail_at = data[0] >> 1;
  if (torc_reasm_new(&r, &m.mem, 1, max) != 0) {
    REQUIRE(m.num_live == 0);
    return 0;
  }
  for (size_t i = 1; i + STEP <= len; i += STEP) {
    const uint8_t *s = data + i;
    torc_reasm_way way = {.link = 1};
    torc_reasm_whole w;
    torc_header h;
    if ((s[0] & 0x80u) != 0) {
      now += TORC_MS(100) * s[1];
      (void)torc_reasm_expire(r, now);
      continue;
    }
    size_t n = lay(bytes, s, &way.last_hop);
    REQUIRE(torc_header_decode(&h, torc_slice_of(bytes, n)) == 0);
    int rc = torc_reasm_add(r, &h, torc_slice_of(bytes, n), &way, now, &w);
    /* an honest message contradicts itself never */
    REQUIRE(rc == 0 || (s[0] & 7u) >= HONEST || rc == TORC_ERR_LIMIT || rc == TORC_ERR_NOMEM);
    if (rc == 0 && w.msg != NULL) {
      check_whole(&w, s[0] & 7u);
      fuzz_free(&m, w.msg);
    }
    REQUIRE(torc_reasm_bytes(r) <= max && torc_reasm_sets(r) <= 32);
  }
  (void)torc_reasm_expire(r, now + TORC_REASM_AGE);
  REQUIRE(torc_reasm_bytes(r) == 0 && torc_reasm_sets(r) == 0);
  torc_reasm_free(r);
  REQUIRE(m.num_live == 0);
  return 0;
}
