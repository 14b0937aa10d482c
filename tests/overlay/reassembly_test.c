/* Reassembly by itself: hand-laid fragments, limits, and whatever order chance brings.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/reassembly.h"

#include "base/id.h"
#include "base/rng.h"
#include "base/slice.h"
#include "overlay/helper_crypto.h"
#include "overlay/helper_fragment.h"
#include "torc_test.h"

#define T0 TORC_SEC(1000)
#define ROOM (64u + TORC_BODY_MAX + 8u)

typedef struct bed {
  helper_mem mem;
  torc_reasm *r;
  torc_time now;
  torc_id hop;
  torc_reasm_whole whole; /* of the last call */
  uint8_t *room;
} bed;

static bed *bed_new(size_t max_bytes) {
  bed *b = calloc(1, sizeof *b);
  assert_non_null(b);
  helper_mem_init(&b->mem);
  b->now = T0;
  b->hop = helper_id(0x22, 0x11);
  b->room = malloc(ROOM);
  assert_non_null(b->room);
  assert_int_equal(torc_reasm_new(&b->r, &b->mem.mem, 1, max_bytes), 0);
  return b;
}

static void bed_free(bed *b) {
  if (b->whole.msg != NULL) {
    b->mem.mem.free(b->mem.mem.ctx, b->whole.msg);
  }
  torc_reasm_free(b->r);
  assert_int_equal(b->mem.num_live, 0);
  free(b->room);
  free(b);
}

/* Bytes [from, to) of the body number `seed`, as one part. */
static int add(bed *b, const hf_part *p, uint64_t seed, size_t from, size_t to) {
  torc_reasm_way way = {.link = 7, .last_hop = b->hop, .is_exact = true};
  torc_header h;
  hf_part part = *p;
  uint8_t *body = malloc(to - from + 1);
  assert_non_null(body);
  for (size_t i = from; i < to; i++) {
    body[i - from] = hf_byte(seed, i);
  }
  part.units = (uint16_t)(from / 8);
  size_t len = hf_lay(b->room, &part, torc_slice_of(body, to - from));
  free(body);
  if (b->whole.msg != NULL) {
    b->mem.mem.free(b->mem.mem.ctx, b->whole.msg);
  }
  b->whole = (torc_reasm_whole){.msg = NULL};
  assert_int_equal(torc_header_decode(&h, torc_slice_of(b->room, len)), 0);
  return torc_reasm_add(b->r, &h, torc_slice_of(b->room, len), &way, b->now, &b->whole);
}

static void expect_whole(const bed *b, uint64_t seed, size_t len) {
  torc_header h;
  assert_non_null(b->whole.msg);
  assert_int_equal(torc_header_decode(&h, torc_slice_of(b->whole.msg, b->whole.len)), 0);
  assert_false(h.is_fragment || h.is_last_fragment);
  assert_int_equal(h.fragment_units, 0);
  assert_int_equal(b->whole.len - h.header_len, len);
  for (size_t i = 0; i < len; i++) {
    assert_int_equal(b->whole.msg[h.header_len + i], hf_byte(seed, i));
  }
}

static const hf_part middle = {.xid = 0x0102030405060708u};
static const hf_part last = {.xid = 0x0102030405060708u, .is_last = true};

/* Three parts as bytes, and the message they make. */
static void test_by_hand(void **state) {
  static const char *const parts[] = {
      "52454c4f d257de59 64 01 8000 01 000024 00000000000000aa 00 00 0000 1111111122222222",
      "52454c4f d257de59 63 01 c002 01 00001f 00000000000000aa 00 00 0000 555555",
      "52454c4f d257de59 62 01 8001 01 000024 00000000000000aa 00 00 0000 3333333344444444"};
  static const char whole[] =
      "52454c4f d257de59 64 01 0000 01 00002f 00000000000000aa 00 00 0000"
      "1111111122222222 3333333344444444 555555";
  bed *b = bed_new(TORC_REASM_BYTES);
  torc_reasm_way way = {.link = 7, .last_hop = b->hop};
  uint8_t bytes[64], want[64];
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    torc_header h;
    size_t len = torc_unhex(parts[i], bytes, sizeof bytes);
    assert_null(b->whole.msg);
    assert_int_equal(torc_header_decode(&h, torc_slice_of(bytes, len)), 0);
    assert_int_equal(torc_reasm_add(b->r, &h, torc_slice_of(bytes, len), &way, b->now, &b->whole),
                     0);
  }
  assert_non_null(b->whole.msg);
  assert_int_equal(b->whole.len, torc_unhex(whole, want, sizeof want));
  assert_memory_equal(b->whole.msg, want, b->whole.len);
  assert_int_equal(torc_reasm_sets(b->r), 0);
  assert_int_equal(torc_reasm_bytes(b->r), 0);
  bed_free(b);
}

/* Same transaction, other origin: two sets; same origin by another hop: one. */
static void test_key(void **state) {
  bed *b = bed_new(TORC_REASM_BYTES);
  torc_id x = helper_id(0x40, 1);
  torc_id y = helper_id(0x41, 1);
  hf_part of_x = {.xid = 5, .via = &x};
  hf_part of_y = {.xid = 5, .via = &y};
  hf_part other = {.xid = 6, .via = &x};
  (void)state;
  assert_int_equal(add(b, &of_x, 1, 0, 8), 0);
  assert_int_equal(add(b, &of_y, 2, 0, 8), 0);
  assert_int_equal(add(b, &other, 3, 0, 8), 0);
  assert_int_equal(torc_reasm_sets(b->r), 3);
  b->hop = helper_id(0x23, 0x11);
  of_x.is_last = of_y.is_last = other.is_last = true;
  assert_int_equal(add(b, &of_x, 1, 8, 16), 0);
  expect_whole(b, 1, 16);
  assert_int_equal(b->whole.way.last_hop.b[0], 0x22); /* of offset 0 */
  assert_int_equal(add(b, &other, 3, 8, 9), 0);
  expect_whole(b, 3, 9);
  assert_int_equal(add(b, &of_y, 2, 8, 16), 0);
  expect_whole(b, 2, 16);
  assert_int_equal(add(b, &middle, 4, 0, 8), 0); /* no via list: the last hop is the origin */
  b->hop = helper_id(0x24, 0x11);
  assert_int_equal(add(b, &last, 4, 8, 16), 0);
  assert_null(b->whole.msg);
  assert_int_equal(torc_reasm_sets(b->r), 2);
  bed_free(b);
}

/* What is dropped alone leaves no trace. */
static void test_dropped_alone(void **state) {
  bed *b = bed_new(TORC_REASM_BYTES);
  (void)state;
  assert_int_equal(add(b, &middle, 1, 0, 0), TORC_ERR_FORMAT);
  assert_int_equal(add(b, &last, 1, 8, 8), TORC_ERR_FORMAT);
  assert_int_equal(add(b, &middle, 1, 0, 7), TORC_ERR_FORMAT);
  assert_int_equal(add(b, &middle, 1, 8, 21), TORC_ERR_FORMAT);
  assert_int_equal(add(b, &last, 1, TORC_BODY_MAX - 8, TORC_BODY_MAX + 1), TORC_ERR_FORMAT);
  assert_int_equal(add(b, &middle, 1, TORC_BODY_MAX - 8, TORC_BODY_MAX + 8), TORC_ERR_FORMAT);
  assert_int_equal(torc_reasm_sets(b->r), 0);
  assert_int_equal(add(b, &middle, 1, 0, 8), 0); /* small ones are taken, and repeats */
  assert_int_equal(add(b, &middle, 1, 0, 8), 0);
  assert_int_equal(add(b, &middle, 1, 8, 8), TORC_ERR_FORMAT);
  assert_int_equal(add(b, &last, 1, 8, 9), 0);
  expect_whole(b, 1, 9);
  bed_free(b);
}

/* One byte differs, or the end does: nothing of it is believed for 15 s. */
static void test_contradiction(void **state) {
  static const struct {
    bool is_last;
    uint64_t seed;
    size_t from, to;
  } bad[] = {
      {false, 2, 0, 8},   /* other bytes, all of it */
      {false, 2, 8, 24},  /* overlaps by half */
      {true, 1, 0, 12},   /* ends before what is there */
      {false, 1, 32, 40}, /* goes on behind the end */
      {true, 1, 24, 33},  /* another end, later */
      {true, 1, 24, 31},  /* and earlier */
  };
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(bad); i++) {
    bed *b = bed_new(TORC_REASM_BYTES);
    assert_int_equal(add(b, &middle, 1, 0, 16), 0);
    assert_int_equal(add(b, &last, 1, 24, 32), 0);
    assert_int_equal(add(b, bad[i].is_last ? &last : &middle, bad[i].seed, bad[i].from, bad[i].to),
                     TORC_ERR_EXISTS);
    assert_int_equal(torc_reasm_get_stats(b->r).conflicts, 1);
    b->now = T0 + TORC_REASM_AGE - 1;
    assert_int_equal(add(b, &middle, 1, 0, 16), TORC_ERR_STATE);
    assert_int_equal(add(b, &middle, 1, 16, 24), TORC_ERR_STATE);
    assert_int_equal(add(b, &last, 1, 24, 32), TORC_ERR_STATE);
    b->now = T0 + TORC_REASM_AGE;
    assert_int_equal(add(b, &middle, 1, 0, 24), 0);
    assert_int_equal(add(b, &last, 1, 24, 32), 0);
    expect_whole(b, 1, 32);
    assert_int_equal(torc_reasm_get_stats(b->r).timeouts, 0);
    bed_free(b);
  }
}

static void test_timeout(void **state) {
  bed *b = bed_new(TORC_REASM_BYTES);
  (void)state;
  assert_int_equal(add(b, &middle, 1, 0, 8), 0);
  b->now = T0 + TORC_REASM_AGE - 1; /* counted from the first one, whatever comes */
  assert_int_equal(add(b, &middle, 1, 8, 16), 0);
  assert_true(torc_reasm_expire(b->r, b->now));
  b->now = T0 + TORC_REASM_AGE;
  assert_int_equal(add(b, &last, 1, 16, 24), 0);
  assert_null(b->whole.msg);
  assert_int_equal(torc_reasm_get_stats(b->r).timeouts, 1);
  assert_int_equal(torc_reasm_sets(b->r), 1);
  assert_false(torc_reasm_expire(b->r, b->now + TORC_REASM_AGE));
  assert_int_equal(torc_reasm_bytes(b->r), 0);
  bed_free(b);
}

/* The longest body there is, backwards. */
static void test_longest(void **state) {
  bed *b = bed_new(TORC_REASM_BYTES);
  (void)state;
  assert_int_equal(add(b, &last, 9, TORC_BODY_MAX - 8, TORC_BODY_MAX), 0); /* offset 16383 */
  for (size_t at = TORC_BODY_MAX - 8; at > 0; at -= 8184) {
    assert_null(b->whole.msg);
    size_t from = at < 8184 ? 0 : at - 8184;
    assert_int_equal(add(b, &middle, 9, from, at), 0);
    if (from == 0) {
      break;
    }
  }
  expect_whole(b, 9, TORC_BODY_MAX);
  bed_free(b);
}

/* Whoever sends sets that never end, loses his own: 10,000 of one origin, of ten thousand made-up
 * origins through one peer, and of as many through eight. An honest message beside them arrives. */
static void test_flood(void **state) {
  static const struct {
    size_t origins, hops, share;
  } floods[] = {{1, 1, TORC_REASM_ORIGIN_SHARE}, {10000, 1, TORC_REASM_HOP_SHARE}, {10000, 8, 1}};
  size_t max = 4u << 20;
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(floods); i++) {
    bed *b = bed_new(max);
    torc_id honest = helper_id(0x60, 2);
    torc_id origin = helper_id(0x61, 2);
    hf_part mine = {.xid = 1, .via = &honest};
    hf_part theirs = {.via = &origin};
    size_t highest = 0;
    b->hop = helper_id(0x70, 0);
    assert_int_equal(add(b, &mine, 5, 0, 800), 0);
    for (size_t k = 0; k < 10000; k++) {
      theirs.xid = 100 + k;
      origin.b[8] = (uint8_t)(k % floods[i].origins);
      origin.b[9] = (uint8_t)(k % floods[i].origins >> 8);
      b->hop = helper_id((uint8_t)(0x71 + k % floods[i].hops), 0);
      assert_int_equal(add(b, &theirs, k, 0, 8), 0);
      highest = torc_reasm_bytes(b->r) > highest ? torc_reasm_bytes(b->r) : highest;
      if (floods[i].hops > 1 && k % 500 == 0) { /* all together are too many: what is new lasts */
        mine.xid = 2 + k;
        b->hop = helper_id(0x70, 0);
        assert_int_equal(add(b, &mine, 5, 0, 800), 0);
      }
    }
    assert_true(highest <= max / floods[i].share + 4096);
    assert_true(torc_reasm_get_stats(b->r).evictions > 5000);
    assert_true((size_t)b->mem.num_bytes < 2 * max);
    mine.is_last = true;
    b->hop = helper_id(0x70, 0);
    assert_int_equal(add(b, &mine, 5, 800, 803), 0);
    expect_whole(b, 5, 803);
    bed_free(b);
  }
}

/* A set as large as an origin's whole share: refused, not made room for at others' cost. */
static void test_share_ends(void **state) {
  bed *b = bed_new(64u << 10); /* an origin's share: 16 KiB */
  torc_id x = helper_id(0x40, 1);
  torc_id y = helper_id(0x41, 1);
  hf_part of_x = {.xid = 5, .via = &x};
  hf_part of_y = {.xid = 5, .via = &y};
  int rc = 0;
  size_t at = 0;
  (void)state;
  assert_int_equal(add(b, &of_y, 2, 0, 64), 0);
  while (rc == 0) {
    rc = add(b, &of_x, 1, at, at + 1000);
    at += 1000;
  }
  assert_int_equal(rc, TORC_ERR_LIMIT);
  assert_in_range(at, 8000, 16000);
  of_y.is_last = true;
  assert_int_equal(add(b, &of_y, 2, 64, 65), 0);
  expect_whole(b, 2, 65);
  bed_free(b);
}

/* ---- by chance ---- */

typedef struct piece {
  uint32_t from, to;
} piece;

#define PIECES_MAX 512u

/* Cuts a piece that is long enough in two, at a multiple of 8. */
static size_t resplit(torc_rng *rng, piece *p, size_t num) {
  size_t i = torc_rng_below(rng, num);
  uint32_t units = (p[i].to - p[i].from + 7) / 8;
  if (units < 2 || num == PIECES_MAX) {
    return num;
  }
  uint32_t cut = p[i].from + 8 * (1 + (uint32_t)torc_rng_below(rng, units - 1));
  p[num] = (piece){.from = cut, .to = p[i].to};
  p[i].to = cut;
  return num + 1;
}

/* Any split, split again, in any order, with repeats and losses: the message or nothing; all of it:
 * the message. */
static void test_by_chance(void **state) {
  torc_rng rng;
  size_t num_whole = 0;
  (void)state;
  torc_rng_seed(&rng, 2026);
  for (uint64_t round = 0; round < 400; round++) {
    bed *b = bed_new(TORC_REASM_BYTES);
    piece pieces[PIECES_MAX];
    uint32_t len = 9 + (uint32_t)torc_rng_below(&rng, round % 20 == 0 ? TORC_BODY_MAX - 8 : 6000);
    uint32_t covered = 0;
    size_t num = 0;
    unsigned ways = 1 + (unsigned)torc_rng_below(&rng, 3); /* as many transmissions, cut apart */
    for (unsigned w = 0; w < ways; w++) {
      size_t begin = num;
      pieces[num++] = (piece){.from = 0, .to = len};
      for (uint64_t k = torc_rng_below(&rng, 40); k > 0; k--) {
        num = begin + resplit(&rng, pieces + begin, num - begin);
      }
    }
    for (size_t i = 0; i < num; i++) {
      size_t j = torc_rng_below(&rng, num);
      piece swap = pieces[i];
      pieces[i] = pieces[j];
      pieces[j] = swap;
    }
    bool loses = torc_rng_below(&rng, 4) == 0;
    size_t completed = 0;
    for (size_t i = 0; i < num; i++) {
      bool is_whole = pieces[i].from == 0 && pieces[i].to == len; /* [GAP-44] no part of several */
      if (is_whole || (loses && torc_rng_below(&rng, 3) == 0)) {
        continue;
      }
      hf_part p = {.xid = 77, .is_last = pieces[i].to == len};
      covered += pieces[i].to - pieces[i].from;
      assert_int_equal(add(b, &p, round, pieces[i].from, pieces[i].to), 0);
      if (b->whole.msg != NULL) {
        expect_whole(b, round, len);
        completed++;
      }
    }
    assert_true(completed <= covered / len);
    assert_true(loses || ways > 1 || covered < len || completed == 1);
    num_whole += completed;
    bed_free(b);
  }
  assert_true(num_whole > 200);
}

/* The n-th allocation fails: the same fragments again bring the message. */
static void test_no_memory(void **state) {
  uint64_t calls = 0;
  (void)state;
  for (uint64_t fail_at = 1; calls == 0 || fail_at <= calls; fail_at++) {
    bed *b = bed_new(TORC_REASM_BYTES);
    int failed = 0;
    helper_mem_reset(&b->mem, fail_at);
    for (size_t round = 0; round < 2 && b->whole.msg == NULL; round++) {
      failed += add(b, &last, 3, 4096, 4099) != 0;
      failed += b->whole.msg == NULL && add(b, &middle, 3, 0, 2048) != 0;
      failed += b->whole.msg == NULL && add(b, &middle, 3, 2048, 4096) != 0;
    }
    if (failed == 0) {
      calls = b->mem.num_calls;
    }
    expect_whole(b, 3, 4099);
    bed_free(b);
    assert_true(fail_at < 100);
  }
  bed *b = calloc(1, sizeof *b);
  assert_non_null(b);
  helper_mem_init(&b->mem);
  helper_mem_reset(&b->mem, 1);
  assert_int_equal(torc_reasm_new(&b->r, &b->mem.mem, 1, 4096), TORC_ERR_NOMEM);
  free(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("FRG-05 FRG-07 GAP-42 GAP-43 three parts laid by hand", test_by_hand),
      TORC_TEST("FRG-07 HDR-17 GAP-45 the key of a set", test_key),
      TORC_TEST("R-33 GAP-42 what is dropped alone", test_dropped_alone),
      TORC_TEST("R-33 GAP-45 a contradiction ends the set and its key", test_contradiction),
      TORC_TEST("FRG-06 GAP-45 15 s from the first fragment", test_timeout),
      TORC_TEST("GAP-42 the longest body", test_longest),
      TORC_TEST("FRG-06 GAP-45 10,000 sets that never end", test_flood),
      TORC_TEST("GAP-45 an origin's share", test_share_ends),
      TORC_TEST("FRG-05 FRG-03 any order, split and repeat", test_by_chance),
      TORC_TEST("FRG-05 no memory", test_no_memory),
  };
  return TORC_RUN(tests);
}
