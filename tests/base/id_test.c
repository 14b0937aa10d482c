/* Ring arithmetic, checked against values worked out by hand and against bytewise addition.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include "base/rng.h"
#include "base/slice.h"
#include "torc_test.h"

#define ZERO "00000000000000000000000000000000"
#define ONE "00000000000000000000000000000001"
#define ONES "ffffffffffffffffffffffffffffffff"
#define LOW_ONES "0000000000000000ffffffffffffffff"
#define HIGH_ONE "00000000000000010000000000000000"
#define HALF "80000000000000000000000000000000"

static torc_id id(const char *hex) {
  torc_id out;
  assert_int_equal(torc_id_parse(hex, strlen(hex), &out), 0);
  return out;
}

static void assert_id(torc_id got, const char *want) {
  char text[TORC_ID_HEX_LEN + 1];
  assert_string_equal(torc_id_hex(&got, text), want);
}

static const struct {
  const char *a, *b, *sum, *difference;
} sums[] = {
    {ZERO, ZERO, ZERO, ZERO},
    {ONES, ONE, ZERO, "fffffffffffffffffffffffffffffffe"},
    {ZERO, ONE, ONE, ONES},
    {LOW_ONES, ONE, HIGH_ONE, "0000000000000000fffffffffffffffe"},
    {HIGH_ONE, ONE, "00000000000000010000000000000001", LOW_ONES},
    {HALF, HALF, ZERO, ZERO},
    {"0123456789abcdeffedcba9876543210", "11111111111111112222222222222222",
     "123456789abcdf0120fedcba98765432", "f0123456789abcdedcba987654320fee"},
};

static void test_sums(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(sums); i++) {
    torc_id a = id(sums[i].a);
    torc_id b = id(sums[i].b);
    assert_id(torc_id_add(&a, &b), sums[i].sum);
    assert_id(torc_id_sub(&a, &b), sums[i].difference);
    assert_id(torc_id_distance(&b, &a), sums[i].difference);
  }
}

static void test_neighbours(void **state) {
  torc_id zero = id(ZERO);
  torc_id ones = id(ONES);
  torc_id low = id(LOW_ONES);
  torc_id high = id(HIGH_ONE);
  (void)state;
  assert_id(torc_id_next(&ones), ZERO);
  assert_id(torc_id_prev(&zero), ONES);
  assert_id(torc_id_next(&low), HIGH_ONE);
  assert_id(torc_id_prev(&high), LOW_ONES);
}

/* The same sum, one byte at a time. */
static torc_id slow_add(const torc_id *a, const torc_id *b) {
  torc_id out;
  unsigned carry = 0;
  for (int i = TORC_ID_LEN - 1; i >= 0; i--) {
    carry += (unsigned)a->b[i] + b->b[i];
    out.b[i] = (uint8_t)carry;
    carry >>= 8;
  }
  return out;
}

static torc_id random_id(torc_rng *rng) {
  torc_id out;
  for (size_t i = 0; i < TORC_ID_LEN; i++) {
    uint64_t pick = torc_rng_below(rng, 4);
    out.b[i] = (uint8_t)(pick == 0 ? 0 : pick == 1 ? 0xff : torc_rng_u64(rng));
  }
  return out;
}

static void test_random(void **state) {
  torc_rng rng;
  (void)state;
  torc_rng_seed(&rng, 7);
  for (int i = 0; i < 20000; i++) {
    torc_id a = random_id(&rng);
    torc_id b = random_id(&rng);
    torc_id sum = torc_id_add(&a, &b);
    torc_id slow = slow_add(&a, &b);
    torc_id back = torc_id_sub(&sum, &b);
    assert_true(torc_id_eq(&sum, &slow));
    assert_true(torc_id_eq(&back, &a));
    assert_int_equal(torc_id_cmp(&a, &b) < 0, torc_id_cmp(&b, &a) > 0);
  }
}

static void test_pow2(void **state) {
  torc_id zero = id(ZERO);
  torc_id half = id(HALF);
  (void)state;
  for (unsigned bit = 0; bit < 128; bit++) {
    torc_id p = torc_id_add_pow2(&zero, bit);
    for (unsigned k = 0; k < 128; k++) {
      unsigned is_set = ((unsigned)p.b[15 - k / 8] >> (k % 8)) & 1u;
      assert_int_equal(is_set, k == bit);
    }
  }
  assert_id(torc_id_add_pow2(&half, 127), ZERO);
}

static const struct {
  const char *x, *a, *b;
  bool open_closed, open;
} intervals[] = {
    {"00000000000000000000000000000005", "00000000000000000000000000000003",
     "00000000000000000000000000000007", true, true},
    {"00000000000000000000000000000007", "00000000000000000000000000000003",
     "00000000000000000000000000000007", true, false},
    {"00000000000000000000000000000003", "00000000000000000000000000000003",
     "00000000000000000000000000000007", false, false},
    {"00000000000000000000000000000008", "00000000000000000000000000000003",
     "00000000000000000000000000000007", false, false},
    /* across 2^128-1 and 0, which are adjacent */
    {ZERO, "fffffffffffffffffffffffffffffff0", ONE, true, true},
    {ONES, "fffffffffffffffffffffffffffffff0", ONE, true, true},
    {ONE, "fffffffffffffffffffffffffffffff0", ONE, true, false},
    {HALF, "fffffffffffffffffffffffffffffff0", ONE, false, false},
    {"fffffffffffffffffffffffffffffff0", "fffffffffffffffffffffffffffffff0", ONE, false, false},
    {ZERO, ONES, ZERO, true, false},
    /* a == b: the whole ring */
    {HALF, ONE, ONE, true, true},
    {ONE, ONE, ONE, true, false},
};

static void test_intervals(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(intervals); i++) {
    torc_id x = id(intervals[i].x);
    torc_id a = id(intervals[i].a);
    torc_id b = id(intervals[i].b);
    assert_int_equal(torc_id_in_open_closed(&x, &a, &b), intervals[i].open_closed);
    assert_int_equal(torc_id_in_open(&x, &a, &b), intervals[i].open);
  }
}

static void test_partition(void **state) {
  torc_rng rng;
  (void)state;
  torc_rng_seed(&rng, 11);
  for (int i = 0; i < 5000; i++) {
    torc_id peers[4];
    torc_id key = random_id(&rng);
    int owners = 0;
    for (size_t p = 0; p < 4; p++) {
      peers[p] = random_id(&rng);
    }
    for (size_t p = 0; p < 4; p++) { /* sort by insertion */
      for (size_t q = p; q > 0 && torc_id_cmp(&peers[q], &peers[q - 1]) < 0; q--) {
        torc_id swap = peers[q];
        peers[q] = peers[q - 1];
        peers[q - 1] = swap;
      }
    }
    if (torc_id_eq(&peers[0], &peers[1]) || torc_id_eq(&peers[1], &peers[2]) ||
        torc_id_eq(&peers[2], &peers[3])) {
      continue;
    }
    for (size_t p = 0; p < 4; p++) {
      owners += torc_id_in_open_closed(&key, &peers[(p + 3) % 4], &peers[p]) ? 1 : 0;
    }
    assert_int_equal(owners, 1);
  }
}

static void test_reserved(void **state) {
  torc_id one = id(ONE);
  (void)state;
  assert_false(torc_id_is_peer(&torc_id_zero));
  assert_false(torc_id_is_peer(&torc_id_wildcard));
  assert_true(torc_id_is_peer(&one));
  assert_id(torc_id_zero, ZERO);
  assert_id(torc_id_wildcard, ONES);
}

static void test_ppb(void **state) {
  torc_id v = id(HALF);
  (void)state;
  assert_int_equal(torc_id_ppb(&v), 500000000);
  assert_int_equal(torc_id_ppb(&torc_id_zero), 0);
  assert_int_equal(torc_id_ppb(&torc_id_wildcard), 999999999);
  v = id("20000000000000000000000000000000");
  assert_int_equal(torc_id_ppb(&v), 125000000);
  v = id("000000044b82fa09b5a52cb98b405448"); /* 2^128 / 10^9, rounded up: the first id worth 1 */
  assert_int_equal(torc_id_ppb(&v), 1);
  v = torc_id_prev(&v);
  assert_int_equal(torc_id_ppb(&v), 0);
}

static void test_text(void **state) {
  torc_id out;
  (void)state;
  assert_id(id("00FF80aBcDeF00112233445566778899"), "00ff80abcdef00112233445566778899");
  assert_int_equal(torc_id_parse(ONE, 31, &out), TORC_ERR_FORMAT);
  assert_int_equal(torc_id_parse(ONE "0", 33, &out), TORC_ERR_FORMAT);
  assert_int_equal(torc_id_parse("0000000000000000000000000000000g", 32, &out), TORC_ERR_FORMAT);
  assert_int_equal(torc_id_parse("0x000000000000000000000000000000", 32, &out), TORC_ERR_FORMAT);
}

static void test_hash(void **state) {
  uint8_t bytes[24] = {0};
  size_t num_ones = 0;
  (void)state;
  for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
    uint64_t before = torc_hash64(1, torc_slice_of(bytes, sizeof(bytes)));
    uint64_t after;
    bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    after = torc_hash64(1, torc_slice_of(bytes, sizeof(bytes)));
    assert_true(before != after);
    for (uint64_t differ = before ^ after; differ != 0; differ &= differ - 1) {
      num_ones++;
    }
  }
  /* each flipped bit changes about half of the 64 */
  assert_in_range(num_ones / (8 * sizeof(bytes)), 29, 35);
  assert_true(torc_hash64(1, torc_slice_of(bytes, 16)) != torc_hash64(2, torc_slice_of(bytes, 16)));
  assert_true(torc_hash64(1, torc_slice_of(bytes, 7)) != torc_hash64(1, torc_slice_of(bytes, 6)));
}

static void test_rng(void **state) {
  torc_rng a;
  torc_rng b;
  size_t seen[10] = {0};
  (void)state;
  torc_rng_seed(&a, 42);
  torc_rng_seed(&b, 42);
  for (int i = 0; i < 10000; i++) {
    uint64_t v = torc_rng_below(&a, 10);
    assert_true(v == torc_rng_below(&b, 10));
    assert_true(v < 10);
    seen[v]++;
  }
  for (size_t i = 0; i < 10; i++) {
    assert_in_range(seen[i], 850, 1150);
  }
  assert_int_equal(torc_rng_below(&a, 0), 0);
  assert_int_equal(torc_rng_below(&a, 1), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ARC-18 sums and differences modulo 2^128", test_sums),
      TORC_TEST("ARC-18 2^128-1 and 0 are adjacent", test_neighbours),
      TORC_TEST("ARC-18 sums agree with bytewise addition", test_random),
      TORC_TEST("CHD-19 powers of two", test_pow2),
      TORC_TEST("CHD-04 intervals of the ring", test_intervals),
      TORC_TEST("ARC-18 CHD-04 every id has exactly one responsible peer", test_partition),
      TORC_TEST("ARC-16 0 and all ones are no peers", test_reserved),
      TORC_TEST("GAP-67 parts per billion", test_ppb),
      TORC_TEST("ENC-03 GAP-06 ids as text have 32 digits", test_text),
      TORC_TEST("hash spreads every bit and depends on its seed", test_hash),
      TORC_TEST("random numbers repeat with their seed and are uniform", test_rng),
  };
  return TORC_RUN(tests);
}
