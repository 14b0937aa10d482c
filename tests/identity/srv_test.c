/* SRV records: what is read, and in which order targets are tried.
 * SPDX-License-Identifier: Apache-2.0 */
#include "identity/srv.h"

#include <stdio.h>

#include "base/slice.h"
#include "torc_test.h"

static const struct {
  const char *name, *hex, *target;
  int rc;
  uint16_t priority, weight, port;
} vectors[] = {
    {"ENR-05 a record", "000a0005200406617574682d31076578616d706c6503636f6d00",
     "auth-1.example.com", 0, 10, 5, 8196},
    {"ENR-05 the service is not offered", "00000000000000", "", 0, 0, 0, 0},
    {"ENR-05 bytes left over", "0000000001bb0161000000", NULL, TORC_ERR_FORMAT, 0, 0, 0},
    {"ENR-05 the name does not end", "0000000001bb0161", NULL, TORC_ERR_SHORT, 0, 0, 0},
    {"ENR-05 a label is cut", "0000000001bb0361", NULL, TORC_ERR_SHORT, 0, 0, 0},
    {"ENR-05 a pointer", "0000000001bbc00c", NULL, TORC_ERR_FORMAT, 0, 0, 0},
    {"ENR-05 a slash in a label", "0000000001bb03612f6200", NULL, TORC_ERR_FORMAT, 0, 0, 0},
    {"ENR-05 a NUL in a label", "0000000001bb0361006200", NULL, TORC_ERR_FORMAT, 0, 0, 0},
};

static void records(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(vectors); i++) {
    uint8_t bytes[300];
    torc_srv s = {.port = 1};
    size_t len = torc_unhex(vectors[i].hex, bytes, sizeof bytes);
    print_message("%s\n", vectors[i].name);
    assert_int_equal(torc_srv_read(torc_slice_of(bytes, len), &s), vectors[i].rc);
    if (vectors[i].rc != 0) {
      assert_int_equal(s.port, 1); /* written only on success */
      continue;
    }
    assert_int_equal(s.priority, vectors[i].priority);
    assert_int_equal(s.weight, vectors[i].weight);
    assert_int_equal(s.port, vectors[i].port);
    assert_string_equal(s.target, vectors[i].target);
    for (size_t cut = 0; cut < len; cut++) {
      assert_int_equal(torc_srv_read(torc_slice_of(bytes, cut), &s), TORC_ERR_SHORT);
    }
  }
}

/* 63 + 1 octets four times are more than a name may have. */
static void a_name_that_is_too_long(void **state) {
  (void)state;
  uint8_t bytes[6 + 4 * 64 + 1] = {0, 0, 0, 0, 1, 0xbb};
  torc_srv s;
  for (size_t i = 0; i < 4; i++) {
    memset(bytes + 6 + i * 64, 'a', 64);
    bytes[6 + i * 64] = 63;
  }
  assert_int_equal(torc_srv_read(torc_slice_of(bytes, sizeof bytes), &s), TORC_ERR_FORMAT);
  bytes[6 + 3 * 64] = 61;
  bytes[6 + 3 * 64 + 62] = 0;
  assert_int_equal(torc_srv_read(torc_slice_of(bytes, 6 + 3 * 64 + 63), &s), 0);
  assert_int_equal(strlen(s.target), 3 * 64 + 61);
}

/* ---- the order ---- */

typedef struct dice {
  uint32_t number; /* thrown next, in the range asked for */
  uint32_t limits[8];
  size_t num;
} dice;

static uint32_t throw_dice(void *ctx, uint32_t limit) {
  dice *d = ctx;
  if (d->num < TORC_ARRAY_LEN(d->limits)) {
    d->limits[d->num] = limit;
    d->num++;
  }
  return d->number > limit ? limit : d->number;
}

static torc_srv record(uint16_t priority, uint16_t weight, uint16_t port) {
  return (torc_srv){.priority = priority, .weight = weight, .port = port};
}

static void expect_order(const torc_srv *list, const uint16_t *ports, size_t num) {
  for (size_t i = 0; i < num; i++) {
    assert_int_equal(list[i].port, ports[i]);
  }
}

/* RFC 2782: records of weight 0 first, a number from 0 to the sum, the first whose running sum is
 * equal or greater; then again among the others. */
static void order_of_RFC_2782(void **state) {
  (void)state;
  static const struct {
    uint32_t number;
    uint16_t ports[5];
  } cases[] = {
      {0, {3, 1, 2, 4, 5}},  {1, {1, 2, 3, 4, 5}},  {10, {1, 2, 3, 4, 5}},
      {11, {2, 1, 3, 4, 5}}, {40, {2, 1, 3, 4, 5}},
  };
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    dice d = {.number = cases[i].number};
    torc_srv list[] = {record(7, 0, 5), record(5, 10, 1), record(5, 30, 2), record(5, 0, 3),
                       record(6, 1, 4)};
    torc_srv_order(list, TORC_ARRAY_LEN(list), throw_dice, &d);
    print_message("number %u\n", cases[i].number);
    expect_order(list, cases[i].ports, TORC_ARRAY_LEN(list));
    assert_int_equal(d.limits[0], 40);
  }
}

/* In the long run a target of three times the weight comes first three times as often. */
static uint32_t count(void *ctx, uint32_t limit) {
  uint32_t *n = ctx;
  (*n)++;
  return *n % (limit + 1);
}

static void weights(void **state) {
  (void)state;
  uint32_t n = 0;
  unsigned first[3] = {0};
  for (unsigned i = 0; i < 4040; i++) {
    torc_srv list[] = {record(1, 30, 1), record(1, 10, 2)};
    torc_srv_order(list, 2, count, &n);
    first[list[0].port]++;
  }
  assert_in_range(first[1], 2900, 3150);
  assert_int_equal(first[1] + first[2], 4040);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENR-05 SRV records are read, and nothing else", records),
      TORC_TEST("ENR-05 a name is at most 255 octets", a_name_that_is_too_long),
      TORC_TEST("ENR-05 targets are ordered as RFC 2782 has it", order_of_RFC_2782),
      TORC_TEST("ENR-05 weights are shares", weights),
  };
  return TORC_RUN(tests);
}
