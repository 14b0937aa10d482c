/* REMOVE: models, access, generations, tombstones, the memory of REMOVEs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"

#include "base/slice.h"
#include "helper_store.h"

static int store1(hs *h, hs_elem e) {
  return hs_store(h, &h->res, &e, 1);
}

static int remove1(hs *h, hs_spec s) {
  return hs_remove(h, &h->res, &s, 1, h->alice);
}

static void fill(hs *h) {
  const hs_elem list[] = {{.type = HS_NOTE, .value = "n"},
                          {.type = HS_LIST, .index = 0, .value = "A"},
                          {.type = HS_LIST, .index = 1, .value = "B"},
                          {.type = HS_LIST, .index = 2, .value = "C"},
                          {.type = HS_MAP, .key = "a", .value = "1"},
                          {.type = HS_MAP, .key = "b", .value = "2"},
                          {.type = HS_MAP, .key = "c", .value = "3"}};
  assert_int_equal(hs_store(h, &h->res, list, TORC_ARRAY_LEN(list)), 200);
}

/* One REMOVE on what fill() stored; the counter of each type is 1. */
typedef struct remove_case {
  const char *name;
  hs_spec spec;
  int code;
  uint64_t generation; /* in the answer */
  const char *left;
} remove_case;

#define NOTE "f00001 "
#define LIST "f00002 "
#define MAP "f00003 "
static remove_case remove_cases[] = {
    {"REM-11 REM-03 REM-15 single value ceases to exist",
     {.type = HS_NOTE, .gen = 1},
     200,
     2,
     NOTE "g2: =-"},
    {"REM-12 GAP-88 first element of an array, not packed",
     {.type = HS_LIST, .gen = 1},
     200,
     2,
     LIST "g2: 0=- 1=B@1000000 2=C@1000000"},
    {"REM-13 final element shortens the array",
     {.type = HS_LIST, .gen = 1, .first = 2, .last = 2},
     200,
     2,
     LIST "g2: 0=A@1000000 1=B@1000000"},
    {"REM-13 FET-06 -1 is the final element",
     {.type = HS_LIST, .gen = 1, .first = -1, .last = -1},
     200,
     2,
     LIST "g2: 0=A@1000000 1=B@1000000"},
    {"REM-13 R-17 a range up to the end",
     {.type = HS_LIST, .gen = 1, .first = 1, .last = -1},
     200,
     2,
     LIST "g2: 0=A@1000000"},
    {"REM-12 a range beyond the end",
     {.type = HS_LIST, .gen = 1, .first = 2, .last = 50},
     200,
     2,
     LIST "g2: 0=A@1000000 1=B@1000000"},
    {"REM-15 GAP-94 R-26 an empty range changes nothing",
     {.type = HS_LIST, .gen = 1, .first = 7, .last = -1},
     200,
     1,
     LIST "g1: 0=A@1000000 1=B@1000000 2=C@1000000"},
    {"REM-14 named keys",
     {.type = HS_MAP, .gen = 1, .keys = "b,nothing,a"},
     200,
     2,
     MAP "g2: c=3@1000000"},
    {"REM-14 GAP-94 no such key: silent success",
     {.type = HS_MAP, .gen = 1, .keys = "x"},
     200,
     1,
     MAP "g1: a=1@1000000 b=2@1000000 c=3@1000000"},
    {"GAP-94 R-20 wildcard", {.type = HS_MAP, .gen = 1}, 200, 2, MAP "g2:"},
    {"REM-10 wrong generation", {.type = HS_NOTE, .gen = 2}, 412, 1, NOTE "g1: =n@1000000"},
    {"GAP-92 generation 0 where one is needed", {.type = HS_NOTE}, 412, 1, NOTE "g1: =n@1000000"},
    {"REM-07 GAP-89 unknown type", {.type = HS_UNKNOWN, .gen = 1}, 404, 0, ""},
};

static void runs_case(void **state) {
  const remove_case *c = *state;
  hs h;
  hs_init(&h);
  fill(&h);
  uint8_t before[TORC_DIGEST_LEN];
  uint8_t after[TORC_DIGEST_LEN];
  hs_digest(&h, before);
  assert_int_equal(remove1(&h, c->spec), c->code);
  hs_digest(&h, after);
  if (c->code == 404) {
    assert_int_equal(h.result.num_types, 0);
    assert_string_equal(h.result.detail, "Unknown Type");
    hs_clear(&h);
    return;
  }
  assert_int_equal(h.result.num_types, 1);
  assert_int_equal(h.result.types[0].type, c->spec.type);
  assert_int_equal(h.result.types[0].generation, c->generation);
  assert_int_equal(h.result.is_changed, c->generation == 2);
  if (c->generation == 1) {
    assert_memory_equal(before, after, sizeof before);
  }
  HS_EXPECT(hs_fetch_all(&h, &h.res, c->spec.type), c->left);
  hs_reopen(&h);
  HS_EXPECT(hs_fetch_all(&h, &h.res, c->spec.type), c->left);
  hs_clear(&h);
}

/* at counter 0 there is nothing a replay could remove. */
static void never_written_slot(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_NOTE}), 200);
  assert_int_equal(h.result.types[0].generation, 0);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_NOTE, .gen = 1}), 412);
  assert_int_equal(h.result.types[0].generation, 0); /* */
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP}), 200);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_LIST, .last = -1}), 200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g0: =-");
  hs_clear(&h);
}

static void policy_off(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  torc_store_free(h.store);
  h.cfg.remove_needs_generation = false;
  assert_int_equal(torc_store_new(&h.store, &h.cfg, h.now), 0);
  fill(&h);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_NOTE}), 200);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .gen = 7}), 412);
  /* The same REMOVE again, when there is something new: remembered, it does no harm [GAP-92]. */
  h.xid = 50;
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .keys = "a"}), 200);
  assert_int_equal(
      store1(&h, (hs_elem){.type = HS_MAP, .key = "a", .value = "new", .time = HS_NOW + 1}), 200);
  h.xid = 50;
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .keys = "a"}), 200);
  assert_false(h.result.is_changed);
  assert_int_equal(h.result.types[0].generation, 3);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_MAP), "f00003 g3: a=new@1000001 b=2@1000000 c=3@1000000");
  hs_clear(&h);
}

static void several_types_atomically(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  fill(&h);
  const hs_spec bad[] = {{.type = HS_NOTE, .gen = 1}, {.type = HS_MAP, .gen = 9}};
  assert_int_equal(hs_remove(&h, &h.res, bad, 2, h.alice), 412);
  assert_int_equal(h.result.num_types, 2);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g1: =n@1000000");
  const hs_spec good[] = {{.type = HS_NOTE, .gen = 1}, {.type = HS_MAP, .gen = 1, .keys = "a"}};
  assert_int_equal(hs_remove(&h, &h.res, good, 2, h.alice), 200);
  assert_int_equal(h.result.types[0].generation, 2);
  assert_int_equal(h.result.types[1].generation, 2);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_MAP), "f00003 g2: b=2@1000000 c=3@1000000");
  hs_clear(&h);
}

static void malformed(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  fill(&h);
  uint8_t buf[256];
  const hs_spec twice[] = {{.type = HS_NOTE, .gen = 1}, {.type = HS_NOTE, .gen = 1}};
  size_t len = hs_spec_payload(&h, &h.res, twice, 2, buf, sizeof buf);
  assert_int_equal(hs_remove_raw(&h, torc_slice_of(buf, len), h.alice), 400); /* REM-05 */
  assert_int_equal(hs_remove_raw(&h, torc_slice_of(buf, 18), h.alice), 400);
  assert_int_equal(hs_remove_raw(&h, torc_slice_of(buf, 3), h.alice), 400);
  uint8_t none[18] = {0};
  assert_int_equal(hs_remove_raw(&h, torc_slice_of(none, sizeof none), h.alice), 400); /* */
  len = hs_spec_payload(&h, &h.res, twice, 1, buf, sizeof buf);
  assert_int_equal(hs_remove_raw(&h, torc_slice_of(buf, len), NULL), 401); /* REM-08 */
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g1: =n@1000000");
  const torc_store_stats *st = torc_store_get_stats(h.store);
  assert_int_equal(st->refused_400, 4);
  assert_int_equal(st->refused_401, 1);
  hs_clear(&h);
}

static void only_who_may_store(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  fill(&h);
  assert_int_equal(hs_remove(&h, &h.res, &(hs_spec){.type = HS_NOTE, .gen = 1}, 1, h.bob), 403);
  assert_int_equal(
      hs_remove(&h, &h.res, &(hs_spec){.type = HS_MAP, .gen = 1, .keys = "a"}, 1, h.bob), 403);
  assert_int_equal(hs_remove(&h, &h.res, &(hs_spec){.type = HS_LIST, .gen = 1}, 1, h.bob), 403);
  /* before the generation. */
  assert_int_equal(hs_remove(&h, &h.res, &(hs_spec){.type = HS_NOTE, .gen = 9}, 1, h.bob), 403);
  /* A wildcard removes what he may: nothing. */
  assert_int_equal(hs_remove(&h, &h.res, &(hs_spec){.type = HS_MAP, .gen = 1}, 1, h.bob), 200);
  assert_false(h.result.is_changed);
  assert_int_equal(
      hs_remove(&h, &h.res, &(hs_spec){.type = HS_LIST, .gen = 1, .last = -1}, 1, h.bob), 200);
  assert_false(h.result.is_changed);
  /* A key that is not there is nobody's. */
  assert_int_equal(
      hs_remove(&h, &h.res, &(hs_spec){.type = HS_MAP, .gen = 1, .keys = "x"}, 1, h.bob), 200);
  /* The other device of the same user may. */
  assert_int_equal(hs_remove(&h, &h.res, &(hs_spec){.type = HS_NOTE, .gen = 1}, 1, h.alice2), 200);
  hs_clear(&h);
}

/* two devices of one user, each with its own key. */
static void wildcard_with_two_devices(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  /* Keys that are printable peer-ids. */
  torc_id one = helper_id('a', 'x');
  torc_id two = helper_id('b', 'y');
  torc_cert *phone = helper_cert("alice@example.org", &one);
  torc_cert *desk = helper_cert("alice@example.org", &two);
  const hs_elem list[] = {
      {.type = HS_DEVICE, .key = "axxxxxxxxxxxxxxx", .value = "1", .signer = phone},
      {.type = HS_DEVICE, .key = "byyyyyyyyyyyyyyy", .value = "2", .signer = desk}};
  assert_int_equal(hs_store(&h, &h.res, list, 2), 200);
  hs_elem stolen = list[0];
  stolen.signer = desk;
  stolen.time = HS_NOW + 1;
  assert_int_equal(hs_store(&h, &h.res, &stolen, 1), 403); /* the key is the other's peer-id */
  hs_spec named = {.type = HS_DEVICE, .gen = 1, .keys = "axxxxxxxxxxxxxxx,byyyyyyyyyyyyyyy"};
  assert_int_equal(hs_remove(&h, &h.res, &named, 1, phone), 403);
  hs_spec all = {.type = HS_DEVICE, .gen = 1};
  assert_int_equal(hs_remove(&h, &h.res, &all, 1, phone), 200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_DEVICE), "f00007 g2: byyyyyyyyyyyyyyy=2@1000000");
  helper_cert_free(phone);
  helper_cert_free(desk);
  hs_clear(&h);
}

/* GAP-93: what was removed does not come back while it would still live. */
static void tombstones_keep_old_values_away(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  fill(&h);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_NOTE, .gen = 1}), 200);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .gen = 1, .keys = "a"}), 200);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_LIST, .gen = 1, .first = 1, .last = 1}), 200);
  assert_int_equal(torc_store_get_stats(h.store)->tombstones, 3);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(store1(&h, (hs_elem){.type = HS_NOTE, .value = "n"}), 412); /* the very same */
    assert_int_equal(store1(&h, (hs_elem){.type = HS_NOTE, .value = "m"}),
                     412); /* the same second */
    assert_int_equal(store1(&h, (hs_elem){.type = HS_NOTE, .value = "m", .time = HS_NOW - 1}), 412);
    assert_int_equal(store1(&h, (hs_elem){.type = HS_MAP, .key = "a", .value = "1"}), 412);
    assert_int_equal(store1(&h, (hs_elem){.type = HS_LIST, .index = 1, .value = "B"}), 412);
    hs_reopen(&h);
  }
  /* A newer one is welcome, and the tombstone stays until the old one would have expired. */
  assert_int_equal(
      store1(&h, (hs_elem){.type = HS_NOTE, .value = "m", .time = HS_NOW + 1, .life = 10}), 200);
  assert_int_equal(h.result.types[0].generation, 3);
  h.now = HS_NOW + 20;
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g4: =-");
  assert_int_equal(store1(&h, (hs_elem){.type = HS_NOTE, .value = "n"}), 412);
  /* Then it goes, and with the last tombstone of a REMOVE what is kept of it. */
  h.now = HS_NOW + 100;
  torc_wall next = 0;
  assert_int_equal(torc_store_expire(h.store, h.now, 1000, &next), 0);
  assert_int_equal(torc_store_num_bytes(h.store), 0);
  assert_int_equal(
      store1(&h, (hs_elem){.type = HS_NOTE, .value = "late", .time = HS_NOW, .life = 999}), 200);
  hs_clear(&h);
}

/* An expired tombstone that nobody has swept yet keeps nothing away. */
static void expired_tombstone_is_void(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  fill(&h);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_NOTE, .gen = 1}), 200);
  h.now = HS_NOW + 99;
  assert_int_equal(store1(&h, (hs_elem){.type = HS_NOTE, .value = "n", .life = 500}), 412);
  h.now = HS_NOW + 100;
  assert_int_equal(store1(&h, (hs_elem){.type = HS_NOTE, .value = "n", .life = 500}), 200);
  hs_clear(&h);
}

/* A value from a far future was given a short life here; elsewhere it may live on, so its tombstone
 * must last. */
static void tombstone_of_future_value(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  uint32_t future = HS_NOW + 50000;
  assert_int_equal(store1(&h, (hs_elem){.type = HS_NOTE, .value = "f", .time = future}), 200);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_NOTE, .gen = 1}), 200);
  h.now = HS_NOW + 20000;
  torc_wall next = 0;
  assert_int_equal(torc_store_expire(h.store, h.now, 1000, &next), 0);
  assert_int_equal(next, future + 100);
  assert_int_equal(store1(&h, (hs_elem){.type = HS_NOTE, .value = "f", .time = future}), 412);
  hs_clear(&h);
}

static void memory_is_bounded(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  torc_store_free(h.store);
  h.cfg.max_remove_memory = 2;
  assert_int_equal(torc_store_new(&h.store, &h.cfg, h.now), 0);
  fill(&h);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .gen = 1, .keys = "a"}), 200);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .gen = 2, .keys = "b"}), 200);
  hs_reopen(&h);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .gen = 3, .keys = "c"}), 413);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_MAP), "f00003 g3: c=3@1000000");
  /* One that removes nothing needs no memory. */
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .gen = 3, .keys = "x"}), 200);
  h.now = HS_NOW + 100;
  torc_wall next = 0;
  assert_int_equal(torc_store_expire(h.store, h.now, 1000, &next), 0);
  assert_int_equal(store1(&h, (hs_elem){.type = HS_MAP, .key = "c", .value = "n", .time = h.now}),
                   200);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .gen = 5, .keys = "c"}), 200);
  hs_clear(&h);
}

/* An owner that stores and removes for ever fills its own slot's tombstones, nothing else. */
static void tombstones_are_bounded(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  torc_store_free(h.store);
  h.cfg.max_remove_memory = 1000000;
  assert_int_equal(torc_store_new(&h.store, &h.cfg, h.now), 0);
  int code = 200;
  int rounds = 0;
  for (; rounds < 1000 && code == 200; rounds++) {
    char key[16];
    snprintf(key, sizeof key, "k%d", rounds);
    assert_int_equal(store1(&h, (hs_elem){.type = HS_MAP, .key = key, .value = "v"}), 200);
    code = remove1(&h, (hs_spec){.type = HS_MAP, .gen = h.result.types[0].generation, .keys = key});
  }
  assert_int_equal(code, 413);
  assert_int_equal(rounds, 4 * 4 + 64 + 1);
  /* The value that could not be removed is still there, and goes when a tombstone has gone. */
  h.now = HS_NOW + 50;
  assert_int_equal(
      store1(&h, (hs_elem){.type = HS_MAP, .key = "k80", .value = "v", .time = HS_NOW + 1}), 200);
  uint64_t generation = h.result.types[0].generation;
  h.now = HS_NOW + 100;
  torc_wall next = 0;
  assert_int_equal(torc_store_expire(h.store, h.now, 1000, &next), 0);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .gen = generation, .keys = "k80"}), 200);
  hs_clear(&h);
}

/* The same element removed twice in one request: once. */
static void key_named_twice(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  fill(&h);
  assert_int_equal(remove1(&h, (hs_spec){.type = HS_MAP, .gen = 1, .keys = "a,a,a"}), 200);
  assert_int_equal(h.result.types[0].generation, 2);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_MAP), "f00003 g2: b=2@1000000 c=3@1000000");
  hs_clear(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("R-01 R-43 REM-11 REM-14 GAP-90 REMOVE where nothing was ever written",
                never_written_slot),
      TORC_TEST("GAP-92 REM-10 generation 0 where the overlay allows it; a replay", policy_off),
      TORC_TEST("REM-01 REM-06 REM-15 several types, all or nothing", several_types_atomically),
      TORC_TEST("REM-04 REM-05 REM-08 R-21 R-22 malformed, twice, unsigned", malformed),
      TORC_TEST("REM-02 REM-09 R-15 R-20 GAP-92 only who may store may remove", only_who_may_store),
      TORC_TEST("R-20 GAP-150 wildcard over the entries of two devices", wildcard_with_two_devices),
      TORC_TEST("GAP-93 GAP-96 D-14 tombstones keep old values away",
                tombstones_keep_old_values_away),
      TORC_TEST("GAP-93 a tombstone ends with the life of its value", expired_tombstone_is_void),
      TORC_TEST("GAP-93 GAP-98 tombstone of a value from the future", tombstone_of_future_value),
      TORC_TEST("GAP-92 the memory of REMOVEs is bounded", memory_is_bounded),
      TORC_TEST("GAP-93 the tombstones of a slot are bounded", tombstones_are_bounded),
      TORC_TEST("REM-14 a key named three times", key_named_twice),
  };
  enum { NUM = TORC_ARRAY_LEN(tests), CASES = TORC_ARRAY_LEN(remove_cases) };
  struct CMUnitTest all[NUM + CASES];
  memcpy(all, tests, sizeof tests);
  for (size_t i = 0; i < CASES; i++) {
    all[NUM + i] = (struct CMUnitTest)TORC_CASE(remove_cases[i].name, runs_case, &remove_cases[i]);
  }
  return TORC_RUN(all);
}
