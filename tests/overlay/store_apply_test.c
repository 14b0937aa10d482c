/* STORE: data models, checks in order, quotas.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"

#include "base/slice.h"
#include "helper_store.h"
#include "overlay/storage/slot.h"

#define ELEM(...) (&(hs_elem){__VA_ARGS__})

static int store1(hs *h, const hs_elem *e) {
  return hs_store(h, &h->res, e, 1);
}

/* [STO-23] and the counter. */
static void single_overwrites(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g0: =-");
  assert_int_equal(store1(&h, ELEM(.type = HS_NOTE, .value = "one")), 200);
  assert_true(h.result.is_changed);
  assert_int_equal(h.result.num_types, 1);
  assert_int_equal(h.result.types[0].type, HS_NOTE);
  assert_int_equal(h.result.types[0].generation, 1);
  assert_null(h.result.detail);
  assert_int_equal(store1(&h, ELEM(.type = HS_NOTE, .value = "two", .time = HS_NOW + 1)), 200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g2: =two@1000001");
  assert_int_equal(torc_store_num_resources(h.store), 1);
  hs_clear(&h);
}

static void array_is_sparse(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_LIST), "f00002 g0:");
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = 2, .value = "X")), 200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_LIST), "f00002 g1: 0=- 1=- 2=X@1000000");
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = 0, .value = "A")), 200);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "Y")), 200);
  assert_int_equal(h.last_index, 3);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_LIST),
            "f00002 g3: 0=A@1000000 1=- 2=X@1000000 3=Y@1000000");
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = 2, .value = "Z", .time = HS_NOW + 1)),
                   200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_LIST),
            "f00002 g4: 0=A@1000000 1=- 2=Z@1000001 3=Y@1000000");
  hs_clear(&h);
}

static void dictionary_overwrites_by_key(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  const hs_elem three[] = {{.type = HS_MAP, .key = "b", .value = "1"},
                           {.type = HS_MAP, .key = "", .value = "2"},
                           {.type = HS_MAP, .key = "a\x01", .value = "3"}};
  assert_int_equal(hs_store(&h, &h.res, three, 3), 200);
  assert_int_equal(store1(&h, ELEM(.type = HS_MAP, .key = "b", .value = "9", .time = HS_NOW + 5)),
                   200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_MAP), "f00003 g2: =2@1000000 a\x01=3@1000000 b=9@1000005");
  hs_clear(&h);
}

static void counter_rises_once_per_type(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  const hs_elem many[] = {{.type = HS_NOTE, .value = "n"},
                          {.type = HS_LIST, .index = -1, .value = "a"},
                          {.type = HS_LIST, .index = -1, .value = "b"},
                          {.type = HS_MAP, .key = "k", .value = "v"}};
  assert_int_equal(hs_store(&h, &h.res, many, 4), 200);
  assert_int_equal(h.result.num_types, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(h.result.types[i].generation, 1);
  }
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_LIST), "f00002 g1: 0=a@1000000 1=b@1000000");
  assert_int_equal(torc_store_num_resources(h.store), 1); /* one resource, three types */
  hs_clear(&h);
}

/* Each case: what is there, one STORE, its code. The state is alice's "old" in every type at time
 * HS_NOW, counter 1. */
typedef struct check_case {
  const char *name;
  hs_elem e[3];
  size_t num;
  int code;
  bool is_bob_sending; /* message signer */
} check_case;

#define LONG65 "12345678901234567890123456789012345678901234567890123456789012345"

static check_case check_cases[] = {
    {"STO-15 GAP-89 unknown type", {{.type = HS_UNKNOWN, .value = "x"}}, 1, 404, false},
    {"STO-15 R-15 unknown type goes before everything",
     {{.type = HS_UNKNOWN, .value = "x", .verdict = TORC_VERDICT_UNSIGNED, .gen = 9, .time = 1}},
     1,
     404,
     false},
    {"STO-15 STO-06 one unknown type refuses all",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW + 1}, {.type = HS_UNKNOWN, .value = "x"}},
     2,
     404,
     false},
    {"GAP-87 storage time 0",
     {{.type = HS_NOTE, .value = "x", .time = HS_ZERO_TIME}},
     1,
     400,
     false},
    {"R-23 lifetime 0",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW + 1, .life = HS_ZERO_TIME}},
     1,
     400,
     false},
    {"STO-17 R-25 unsigned element",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW + 1, .verdict = TORC_VERDICT_UNSIGNED}},
     1,
     401,
     false},
    {"STO-17 GAP-58 signer not resolved",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW + 1, .verdict = TORC_VERDICT_UNRESOLVED}},
     1,
     401,
     false},
    {"STO-17 R-31 signature or date invalid",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW + 1, .verdict = TORC_VERDICT_INVALID}},
     1,
     403,
     false},
    {"STO-13 STO-17 each element has its own signature",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW + 1},
      {.type = HS_MAP, .key = "l", .value = "x", .verdict = TORC_VERDICT_INVALID}},
     2,
     403,
     false},
    {"STO-10 GAP-97 times are compared with the stored one, not with the clock: past",
     {{.type = HS_MAP, .key = "l", .value = "x", .time = HS_NOW - 1800, .life = 3000}},
     1,
     200,
     false},
    {"STO-10 GAP-97 times are compared with the stored one, not with the clock: future",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW + 1000000000}},
     1,
     200,
     false},
    {"R-15 signature goes before generation",
     {{.type = HS_NOTE, .value = "x", .gen = 7, .verdict = TORC_VERDICT_INVALID}},
     1,
     403,
     false},
    {"STO-19 wrong generation",
     {{.type = HS_NOTE, .value = "x", .gen = 2, .time = HS_NOW + 1}},
     1,
     412,
     false},
    {"STO-19 right generation",
     {{.type = HS_NOTE, .value = "x", .gen = 1, .time = HS_NOW + 1}},
     1,
     200,
     false},
    {"STO-19 generation 0 skips the check",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW + 1}},
     1,
     200,
     false},
    {"STO-11 STO-20 older storage time",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW - 1}},
     1,
     412,
     false},
    {"SEC-13 GAP-96 equal storage time, other value",
     {{.type = HS_NOTE, .value = "x"}},
     1,
     412,
     false},
    {"GAP-96 R-08 the identical element again", {{.type = HS_NOTE, .value = "old"}}, 1, 200, false},
    {"R-08 the identical element with an old generation",
     {{.type = HS_NOTE, .value = "old", .gen = 99}},
     1,
     200,
     false},
    {"R-08 other signature bytes are not identical",
     {{.type = HS_NOTE, .value = "old", .sig = "other"}},
     1,
     412,
     false},
    {"R-08 R-15 one new element among identical ones needs the generation",
     {{.type = HS_NOTE, .value = "old", .gen = 9}, {.type = HS_MAP, .key = "new", .value = "v"}},
     2,
     412,
     false},
    {"STO-20 array: equal time at the index",
     {{.type = HS_LIST, .index = 0, .value = "x"}},
     1,
     412,
     false},
    {"STO-20 array: a free index has no predecessor",
     {{.type = HS_LIST, .index = 1, .value = "x", .time = HS_NOW - 50}},
     1,
     200,
     false},
    {"GAP-96 array: an append has no predecessor",
     {{.type = HS_LIST, .index = -1, .value = "x", .time = HS_NOW - 50}},
     1,
     200,
     false},
    {"STO-20 dictionary: equal time at the key",
     {{.type = HS_MAP, .key = "k", .value = "x"}},
     1,
     412,
     false},
    {"STO-20 dictionary: another key",
     {{.type = HS_MAP, .key = "l", .value = "x", .time = HS_NOW - 9}},
     1,
     200,
     false},
    {"R-03 life over for more than an hour",
     {{.type = HS_MAP, .key = "l", .value = "x", .time = HS_NOW - 3701, .life = 100}},
     1,
     412,
     false},
    {"R-03 life over for an hour",
     {{.type = HS_MAP, .key = "l", .value = "x", .time = HS_NOW - 3700, .life = 100}},
     1,
     200,
     false},
    {"SEC-12 value of the maximum size",
     {{.type = HS_NOTE,
       .value = "1234567890123456789012345678901234567890123456789012345678901234",
       .time = HS_NOW + 1}},
     1,
     200,
     false},
    {"SEC-12 GAP-100 value too large",
     {{.type = HS_NOTE, .value = LONG65, .time = HS_NOW + 1}},
     1,
     413,
     false},
    {"R-15 generation goes before size",
     {{.type = HS_NOTE, .value = LONG65, .gen = 5, .time = HS_NOW + 1}},
     1,
     412,
     false},
    {"R-15 time goes before size", {{.type = HS_NOTE, .value = LONG65}}, 1, 412, false},
    {"R-15 a later element's time goes before an earlier one's size",
     {{.type = HS_NOTE, .value = LONG65, .time = HS_NOW + 1},
      {.type = HS_MAP, .key = "k", .value = "x"}},
     2,
     412,
     false},
    {"GAP-88 array index 65536", {{.type = HS_LOG, .index = 65536, .value = "x"}}, 1, 413, false},
    {"GAP-88 array index 65535", {{.type = HS_LOG, .index = 65535, .value = "x"}}, 1, 200, false},
    {"R-02 an array element sent by somebody else",
     {{.type = HS_LIST, .index = -1, .value = "x"}},
     1,
     403,
     true},
    {"R-02 GAP-165 anybody may send a single value on",
     {{.type = HS_NOTE, .value = "x", .time = HS_NOW + 1}},
     1,
     200,
     true},
    {"R-02 GAP-165 anybody may send a dictionary entry on",
     {{.type = HS_MAP, .key = "z", .value = "x", .time = HS_NOW + 1}},
     1,
     200,
     true},
};

static void fill_checks(hs *h) {
  const hs_elem old[] = {{.type = HS_NOTE, .value = "old"},
                         {.type = HS_LIST, .index = 0, .value = "old"},
                         {.type = HS_MAP, .key = "k", .value = "old"}};
  assert_int_equal(hs_store(h, &h->res, old, 3), 200);
}

static void runs_check(void **state) {
  const check_case *c = *state;
  hs h;
  hs_init(&h);
  fill_checks(&h);
  uint8_t before[TORC_DIGEST_LEN];
  uint8_t after[TORC_DIGEST_LEN];
  hs_digest(&h, before);
  uint64_t bytes = torc_store_num_bytes(h.store);
  h.message_signer = c->is_bob_sending ? h.bob : h.alice;
  assert_int_equal(hs_store(&h, &h.res, c->e, c->num), c->code);
  hs_digest(&h, after);
  if (c->code != 200) { /* STO-06: nothing changed */
    assert_memory_equal(before, after, sizeof before);
    assert_true(bytes == torc_store_num_bytes(h.store));
    assert_false(h.result.is_changed);
    assert_non_null(h.result.detail);
  }
  if (c->code == 412) { /* STO-29: the counters of all types */
    assert_int_equal(h.result.num_types, c->num);
    assert_int_equal(h.result.types[0].generation, 1);
  } else if (c->code != 200) {
    assert_int_equal(h.result.num_types, 0);
  }
  hs_clear(&h);
}

/* Signer without right: SEC-10. */
static void signer_must_be_authorised(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(store1(&h, ELEM(.type = HS_NOTE, .value = "x", .signer = h.bob)), 403);
  assert_int_equal(store1(&h, ELEM(.type = HS_NOTE, .value = LONG65, .signer = h.bob)),
                   403); /* before 413 */
  assert_int_equal(store1(&h, ELEM(.type = HS_NOTE, .value = "x", .signer = h.alice2)), 200);
  torc_id foreign = helper_user_resource("carol@example.org");
  assert_int_equal(hs_store(&h, &foreign, ELEM(.type = HS_NOTE, .value = "x"), 1), 403);
  HS_EXPECT(hs_fetch_all(&h, &foreign, HS_NOTE), "f00001 g0: =-");
  const torc_store_stats *st = torc_store_get_stats(h.store);
  assert_int_equal(st->refused_403, 3);
  assert_int_equal(st->stores_ok, 1);
  hs_clear(&h);
}

/* R-43 and STO-29: a 412 names every type, 0 where nothing was ever written. */
static void refusal_tells_all_counters(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(store1(&h, ELEM(.type = HS_NOTE, .value = "old")), 200);
  const hs_elem two[] = {{.type = HS_NOTE, .value = "x", .gen = 8, .time = HS_NOW + 1},
                         {.type = HS_MAP, .key = "k", .value = "v"}};
  assert_int_equal(hs_store(&h, &h.res, two, 2), 412);
  assert_int_equal(h.result.num_types, 2);
  assert_int_equal(h.result.types[0].type, HS_NOTE);
  assert_int_equal(h.result.types[0].generation, 1);
  assert_int_equal(h.result.types[1].type, HS_MAP);
  assert_int_equal(h.result.types[1].generation, 0);
  /* A slot never written has counter 0, so any other number is wrong. */
  assert_int_equal(store1(&h, ELEM(.type = HS_MAP, .key = "k", .value = "v", .gen = 1)), 412);
  hs_clear(&h);
}

static void atomic_over_types(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  fill_checks(&h);
  uint8_t before[TORC_DIGEST_LEN];
  uint8_t after[TORC_DIGEST_LEN];
  hs_digest(&h, before);
  const hs_elem mixed[] = {{.type = HS_NOTE, .value = "new", .time = HS_NOW + 1},
                           {.type = HS_LIST, .index = -1, .value = "new"},
                           {.type = HS_MAP, .key = "k", .value = "too old", .time = HS_NOW - 1}};
  assert_int_equal(hs_store(&h, &h.res, mixed, 3), 412);
  hs_digest(&h, after);
  assert_memory_equal(before, after, sizeof before);
  assert_int_equal(hs_store(&h, &h.res, mixed, 2), 200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_LIST), "f00002 g2: 0=old@1000000 1=new@1000000");
  hs_clear(&h);
}

/* In one request each element is judged by what the ones before it left. */
static void elements_in_turn(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  const hs_elem twice[] = {{.type = HS_MAP, .key = "k", .value = "a"},
                           {.type = HS_MAP, .key = "k", .value = "b"}};
  assert_int_equal(hs_store(&h, &h.res, twice, 2), 412);
  const hs_elem rising[] = {{.type = HS_MAP, .key = "k", .value = "a"},
                            {.type = HS_MAP, .key = "k", .value = "b", .time = HS_NOW + 1}};
  assert_int_equal(hs_store(&h, &h.res, rising, 2), 200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_MAP), "f00003 g1: k=b@1000001");
  hs_clear(&h);
}

static void quota_counts_present_elements(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  for (int i = 0; i < 4; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%d", i);
    assert_int_equal(
        store1(&h, ELEM(.type = HS_MAP, .key = key, .value = "v", .life = 100 + (uint32_t)i)), 200);
    assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = key)), 200);
  }
  assert_int_equal(store1(&h, ELEM(.type = HS_MAP, .key = "k4", .value = "v")), 413);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "k4")), 413);
  assert_int_equal(h.last_index, -1); /* a refused append has no index */
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = 9, .value = "k4")), 413);
  /* Replacing needs no room. */
  assert_int_equal(store1(&h, ELEM(.type = HS_MAP, .key = "k1", .value = "w", .time = HS_NOW + 1)),
                   200);
  /* An expired one makes room. */
  h.now = HS_NOW + 100;
  assert_int_equal(store1(&h, ELEM(.type = HS_MAP, .key = "k4", .value = "v", .time = HS_NOW + 1)),
                   200);
  assert_int_equal(torc_store_get_stats(h.store)->refused_413, 3);
  hs_clear(&h);
}

static void holder_is_bounded(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  torc_store_free(h.store);
  h.cfg.max_bytes = 400;
  assert_int_equal(torc_store_new(&h.store, &h.cfg, h.now), 0);
  int code = 200;
  uint64_t bytes = 0;
  for (int i = 0; i < 4 && code == 200; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%d", i);
    bytes = torc_store_num_bytes(h.store);
    code = store1(&h, ELEM(.type = HS_MAP, .key = key, .value = "v"));
  }
  assert_int_equal(code, 413);
  assert_true(bytes > 0 && bytes <= 400);
  assert_true(torc_store_num_bytes(h.store) == bytes);
  hs_clear(&h);
}

/* A backend that is full is no failure of ours: the requester is told. */
static void full_backend_is_413(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  torc_store_free(h.store);
  torc_memory_backend_free(h.obj);
  assert_int_equal(torc_memory_backend_new(&h.obj, &h.backend.inner, &h.mem.mem, 3000), 0);
  assert_int_equal(torc_store_new(&h.store, &h.cfg, h.now), 0);
  int code = 200;
  for (int i = 0; i < 50 && code == 200; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%d", i);
    code = store1(&h, ELEM(.type = HS_BIG, .key = key, .value = "v"));
  }
  assert_int_equal(code, 413);
  assert_int_equal(torc_store_get_stats(h.store)->refused_413, 1);
  assert_int_equal(torc_store_get_stats(h.store)->backend_full, 1);
  assert_true(h.store->is_full);
  torc_wall next = 0;
  assert_int_equal(torc_store_expire(h.store, h.now + 200, 1000, &next), 0);
  assert_false(h.store->is_full); /* there is room again */
  assert_int_equal(torc_store_get_stats(h.store)->backend_full, 1);
  hs_clear(&h);
}

/* the same signed element appended again. */
static void append_is_idempotent(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "a")), 200);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "b")), 200);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "a")), 200);
  assert_int_equal(h.last_index, 0);
  assert_false(h.result.is_changed);
  assert_int_equal(h.result.types[0].generation, 2);
  /* Signed anew: other signature bytes, the same signed bytes. And whatever its generation.
   */
  assert_int_equal(
      store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "a", .sig = "anew", .gen = 77)), 200);
  assert_int_equal(h.last_index, 0);
  /* Another time, another lifetime, another signer: another element. */
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "a", .time = HS_NOW + 1)),
                   200);
  assert_int_equal(h.last_index, 2);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "a", .signer = h.alice2)),
                   200);
  assert_int_equal(h.last_index, 3);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_LIST),
            "f00002 g4: 0=a@1000000 1=b@1000000 2=a@1000001 3=a@1000000");
  hs_clear(&h);
}

static void append_of_removed_is_412(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "a")), 200);
  assert_int_equal(hs_remove(&h, &h.res, &(hs_spec){.type = HS_LIST, .gen = 1}, 1, h.alice), 200);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "a")), 412);
  assert_int_equal(h.last_index, -1);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = 0, .value = "a")),
                   412); /* GAP-96: nor as an insert */
  /* In the same second, the same index, another value: that is no replay. */
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "b")), 200);
  assert_int_equal(h.last_index, 0); /* */
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "a")), 412);
  hs_clear(&h);
}

/* GAP-56: what is sent again carries the assigned index, and nothing else has changed. */
static void assigned_index_is_written(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  uint8_t sent[512];
  const hs_elem e = {.type = HS_LIST, .index = -1, .value = "abc"};
  size_t len = hs_store_payload(&h, &h.res, &e, 1, sent, sizeof sent);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = 4, .value = "x")), 200);
  assert_int_equal(store1(&h, &e), 200);
  uint8_t request[64];
  size_t request_len = hs_spec_payload(
      &h, &h.res, &(hs_spec){.type = HS_LIST, .first = 5, .last = 5}, 1, request, sizeof request);
  torc_buf out;
  torc_buf_init(&out, NULL, 100000);
  assert_int_equal(torc_store_fetch(h.store, torc_slice_of(request, request_len), h.now, &out), 0);
  /* The request: 16 resource, 2, then 13 of type head; the answer: 13 of type head. Index at 12 of
   * the element. */
  size_t element = len - 31;
  assert_int_equal(out.len, 13 + element);
  static const uint8_t minus_one[4] = {0xff, 0xff, 0xff, 0xff};
  static const uint8_t five[4] = {0, 0, 0, 5};
  assert_memory_equal(sent + 31 + 12, minus_one, 4);
  assert_memory_equal(out.p + 13 + 12, five, 4);
  assert_memory_equal(out.p + 13, sent + 31, 12);
  assert_memory_equal(out.p + 13 + 16, sent + 31 + 16, element - 16);
  torc_buf_clear(&out);
  hs_clear(&h);
}

static void negative_index_is_400(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  uint8_t buf[512];
  const hs_elem e = {.type = HS_LIST, .index = 0, .value = "abc"};
  size_t len = hs_store_payload(&h, &h.res, &e, 1, buf, sizeof buf);
  torc_store_request request;
  assert_int_equal(torc_store_request_decode(&request, torc_slice_of(buf, len)), 0);
  torc_store_type t;
  torc_rd rd;
  torc_rd_init(&rd, request.types);
  assert_true(torc_store_type_next(&rd, &t));
  torc_store_element element = {
      .type = torc_types_find(&h.types, HS_LIST), .verdict = TORC_VERDICT_VALID, .signer = h.alice};
  torc_rd_init(&rd, t.values);
  assert_int_equal(torc_stored_data_get(&rd, TORC_MODEL_ARRAY, &element.data), 0);
  element.data.entry.index = -2;
  assert_int_equal(torc_store_apply(h.store, &request, &element, 1, h.alice, TORC_ORIGIN_OWNER,
                                    h.now, &h.result),
                   0);
  assert_int_equal(h.result.code, 400);
  /* A replica is told the index. */
  element.data.entry.index = -1;
  assert_int_equal(
      torc_store_apply(h.store, &request, &element, 1, NULL, TORC_ORIGIN_REPLICA, h.now, &h.result),
      0);
  assert_int_equal(h.result.code, 400);
  /* Misuse: an owner's request has a signer, elements belong to the request. */
  assert_int_equal(
      torc_store_apply(h.store, &request, &element, 1, NULL, TORC_ORIGIN_OWNER, h.now, &h.result),
      TORC_ERR_INVALID);
  assert_int_equal(torc_store_apply(h.store, &request, &element, 0, h.alice, TORC_ORIGIN_OWNER,
                                    h.now, &h.result),
                   TORC_ERR_INVALID);
  hs_clear(&h);
}

/* size, form and range of values that have a form. */
static void value_forms(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  const torc_id *peer = &h.alice->peers[0];
  torc_id res = helper_turn_resource(peer, 3);
  static const uint8_t good[8] = {3, 1, 192, 0, 2, 1, 0x0d, 0x96};
  static const uint8_t nine[9] = {3, 1, 192, 0, 2, 1, 0x0d, 0x96, 0};
  static const uint8_t zero[8] = {0, 1, 192, 0, 2, 1, 0x0d, 0x96};
  static const uint8_t high[8] = {101, 1, 192, 0, 2, 1, 0x0d, 0x96};
  static const uint8_t other[8] = {4, 1, 192, 0, 2, 1, 0x0d, 0x96};
  static const uint8_t long21[21] = {3, 1, 192};
  const struct {
    torc_slice raw;
    int code;
  } cases[] = {{{nine, 9}, 400},  {{zero, 8}, 403},    {{high, 8}, 403},
               {{other, 8}, 403}, {{long21, 21}, 413}, {{good, 8}, 200}};
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    hs_elem e = {.type = TORC_TYPE_TURN_SERVICE, .raw = cases[i].raw};
    assert_int_equal(hs_store(&h, &res, &e, 1), cases[i].code);
  }
  hs_clear(&h);
}

static void too_many_elements(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  enum { NUM = TORC_STORE_ELEMENTS_MAX + 1 };
  /* 12 bytes of element and no more would do: the limit is checked before anything is read. */
  uint8_t *buf = malloc(70000);
  torc_store_element *elements = calloc(NUM, sizeof *elements);
  assert_non_null(buf);
  assert_non_null(elements);
  const hs_elem e = {.type = HS_LOG, .index = 0, .value = "abc"};
  size_t len = hs_store_payload(&h, &h.res, &e, 1, buf, 70000);
  torc_store_request request;
  assert_int_equal(torc_store_request_decode(&request, torc_slice_of(buf, len)), 0);
  for (size_t i = 0; i < NUM; i++) {
    elements[i].type = torc_types_find(&h.types, HS_LOG);
  }
  assert_int_equal(torc_store_apply(h.store, &request, elements, NUM, h.alice, TORC_ORIGIN_OWNER,
                                    h.now, &h.result),
                   0);
  assert_int_equal(h.result.code, 413);
  free(elements);
  free(buf);
  hs_clear(&h);
}

/* STO-31, R-23, GAP-98: how long a value lives. */
static const struct life_case {
  const char *name;
  uint32_t time, life; /* of the element, stored at HS_NOW */
  uint32_t last;       /* last second in which it is there */
} life_cases[] = {
    {"STO-12 STO-31 storage time + lifetime", HS_NOW, 100, HS_NOW + 99},
    {"GAP-98 stored some time ago", HS_NOW - 50, 100, HS_NOW + 49},
    {"GAP-98 storage time a little in the future", HS_NOW + 3600, 100, HS_NOW + 3699},
    {"GAP-98 storage time far in the future: from receipt", HS_NOW + 3601, 100, HS_NOW + 99},
    {"R-23 lifetime above the type's maximum", HS_NOW, 5000, HS_NOW + 999},
    {"R-23 the greatest lifetime", HS_NOW, UINT32_MAX - 1, HS_NOW + 999},
    {"GAP-98 the greatest storage time", UINT32_MAX - 1, 100, HS_NOW + 99},
};

static void lives_so_long(void **state) {
  const struct life_case *c = *state;
  hs h;
  hs_init(&h);
  assert_int_equal(
      store1(&h, ELEM(.type = HS_NOTE, .value = "v", .time = c->time, .life = c->life)), 200);
  h.now = c->last;
  char want[64];
  snprintf(want, sizeof want, "f00001 g1: =v@%u", c->time);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), want);
  h.now = c->last + 1;
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g2: =-"); /* GAP-98: the counter has risen */
  hs_reopen(&h);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g2: =-");
  hs_clear(&h);
}

static void array_ends_at_highest_present(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = 0, .value = "a", .life = 900)), 200);
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = 5, .value = "f", .life = 50)), 200);
  h.now = HS_NOW + 50;
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_LIST), "f00002 g3: 0=a@1000000");
  assert_int_equal(store1(&h, ELEM(.type = HS_LIST, .index = -1, .value = "b")), 200);
  assert_int_equal(h.last_index, 1);
  hs_clear(&h);
}

/* A counter never goes back, even when the slot has long been forgotten. */
static void counter_never_goes_back(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  for (uint32_t i = 0; i < 5; i++) {
    assert_int_equal(
        store1(&h, ELEM(.type = HS_NOTE, .value = "v", .time = HS_NOW + i, .life = 10)), 200);
  }
  h.now = HS_NOW + 20;
  torc_wall next = 0;
  assert_int_equal(torc_store_expire(h.store, h.now, 100, &next), 0);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g6: =-");
  hs_reopen(&h);
  assert_int_equal(store1(&h, ELEM(.type = HS_NOTE, .value = "w", .time = h.now, .life = 10)), 200);
  assert_int_equal(h.result.types[0].generation, 7);
  /* After 60 days empty the record itself goes; the next counter still lies above it. */
  h.now += 10;
  assert_int_equal(torc_store_expire(h.store, h.now, 100, &next), 0);
  assert_int_equal(next, h.now + 60 * 86400);
  h.now = next;
  assert_int_equal(torc_store_expire(h.store, h.now, 100, &next), 0);
  assert_int_equal(next, 0);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_NOTE), "f00001 g0: =-");
  hs_reopen(&h);
  assert_int_equal(store1(&h, ELEM(.type = HS_NOTE, .value = "x", .time = h.now)), 200);
  assert_int_equal(h.result.types[0].generation, 9);
  hs_clear(&h);
}

static void expire_in_steps(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  const hs_elem four[] = {{.type = HS_MAP, .key = "a", .value = "1", .life = 10},
                          {.type = HS_MAP, .key = "b", .value = "2", .life = 20},
                          {.type = HS_MAP, .key = "c", .value = "3", .life = 20},
                          {.type = HS_MAP, .key = "d", .value = "4", .life = 30}};
  assert_int_equal(hs_store(&h, &h.res, four, 4), 200);
  torc_wall next = 0;
  assert_int_equal(torc_store_expire(h.store, HS_NOW, 100, &next), 0);
  assert_int_equal(next, HS_NOW + 10);
  assert_int_equal(torc_store_expire(h.store, HS_NOW + 25, 2, &next), 0);
  assert_int_equal(next, HS_NOW + 20); /* one is left that is due */
  assert_int_equal(torc_store_expire(h.store, HS_NOW + 25, 2, &next), 0);
  assert_int_equal(next, HS_NOW + 30);
  assert_int_equal(torc_store_get_stats(h.store)->expired, 3);
  assert_int_equal(torc_store_num_resources(h.store), 1);
  assert_int_equal(torc_store_expire(h.store, HS_NOW + 30, 100, &next), 0);
  assert_int_equal(torc_store_num_resources(h.store), 0);
  assert_int_equal(torc_store_num_bytes(h.store), 0);
  h.now = HS_NOW + 30;
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_MAP), "f00003 g5:");
  hs_clear(&h);
}

static void counters_after_reopening(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  fill_checks(&h);
  torc_id bobs = helper_user_resource("bob@example.org");
  h.message_signer = h.bob;
  assert_int_equal(
      hs_store(&h, &bobs, ELEM(.type = HS_LIST, .index = 3, .value = "b", .signer = h.bob), 1),
      200);
  assert_int_equal(hs_remove(&h, &h.res, &(hs_spec){.type = HS_MAP, .gen = 1}, 1, h.alice), 200);
  uint64_t bytes = torc_store_num_bytes(h.store);
  assert_int_equal(torc_store_num_resources(h.store), 2);
  hs_reopen(&h);
  assert_int_equal(torc_store_num_resources(h.store), 2);
  assert_true(torc_store_num_bytes(h.store) == bytes);
  HS_EXPECT(hs_fetch_all(&h, &bobs, HS_LIST), "f00002 g1: 0=- 1=- 2=- 3=b@1000000");
  hs_clear(&h);
}

static void foreign_data_is_refused(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  torc_store_free(h.store);
  h.store = NULL;
  const torc_backend *b = &h.backend.inner;
  static const uint8_t version_key[1] = {0};
  static const uint8_t later[10] = {0, 2};
  assert_int_equal(b->begin(b->ctx, true), 0);
  assert_int_equal(
      b->put(b->ctx, torc_slice_of(version_key, 1), torc_slice_of(later, sizeof later)), 0);
  assert_int_equal(b->commit(b->ctx), 0);
  assert_int_equal(torc_store_new(&h.store, &h.cfg, h.now), TORC_ERR_FORMAT);
  assert_int_equal(b->begin(b->ctx, true), 0);
  assert_int_equal(b->del(b->ctx, torc_slice_of(version_key, 1)), 0);
  assert_int_equal(b->put(b->ctx, torc_slice_str("somebody"), torc_slice_str("else")), 0);
  assert_int_equal(b->commit(b->ctx), 0);
  assert_int_equal(torc_store_new(&h.store, &h.cfg, h.now), TORC_ERR_FORMAT);
  assert_null(h.store);
  hs_clear(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("STO-01 STO-22 STO-23 STO-28 GAP-90 single value: one, overwritten, counted",
                single_overwrites),
      TORC_TEST("STO-02 STO-24 STO-25 STO-26 array: sparse, replaced, appended", array_is_sparse),
      TORC_TEST("STO-02 STO-27 dictionary: one value per key", dictionary_overwrites_by_key),
      TORC_TEST("STO-21 STO-22 STO-28 GAP-67 several types: one counter each",
                counter_rises_once_per_type),
      TORC_TEST("STO-18 SEC-02 SEC-03 SEC-10 SEC-11 GAP-165 the element's signer decides",
                signer_must_be_authorised),
      TORC_TEST("STO-29 STO-30 GAP-60 R-43 a 412 tells the counters of all types",
                refusal_tells_all_counters),
      TORC_TEST("STO-06 GAP-99 one refused element, nothing stored", atomic_over_types),
      TORC_TEST("STO-06 elements are judged in turn", elements_in_turn),
      TORC_TEST("SEC-12 USG-04 GAP-88 GAP-100 quota of values", quota_counts_present_elements),
      TORC_TEST("SEC-12 the holder's own bound", holder_is_bounded),
      TORC_TEST("SEC-12 STO-30 a full backend answers 413", full_backend_is_413),
      TORC_TEST("R-02 R-08 an append again is the same success", append_is_idempotent),
      TORC_TEST("R-02 R-17 GAP-96 an append of a removed element is refused",
                append_of_removed_is_412),
      TORC_TEST("GAP-56 STO-26 the assigned index is in what is sent again",
                assigned_index_is_written),
      TORC_TEST("GAP-88 an index below -1 is malformed", negative_index_is_400),
      TORC_TEST("R-24 GAP-154 values that do not parse, are out of range, too long", value_forms),
      TORC_TEST("SEC-12 more elements than one request may have", too_many_elements),
      TORC_TEST("R-17 GAP-98 an array ends at its highest present element",
                array_ends_at_highest_present),
      TORC_TEST("GAP-95 a counter never goes back", counter_never_goes_back),
      TORC_TEST("GAP-98 STO-31 expiry in steps", expire_in_steps),
      TORC_TEST("GAP-67 STO-06 counters after opening again", counters_after_reopening),
      TORC_TEST("STO-06 another format or foreign data is refused", foreign_data_is_refused),
  };
  enum {
    NUM = TORC_ARRAY_LEN(tests),
    CHECKS = TORC_ARRAY_LEN(check_cases),
    LIVES = TORC_ARRAY_LEN(life_cases)
  };
  struct CMUnitTest all[NUM + CHECKS + LIVES];
  memcpy(all, tests, sizeof tests);
  for (size_t i = 0; i < CHECKS; i++) {
    all[NUM + i] = (struct CMUnitTest)TORC_CASE(check_cases[i].name, runs_check, &check_cases[i]);
  }
  for (size_t i = 0; i < LIVES; i++) {
    all[NUM + CHECKS + i] = (struct CMUnitTest)TORC_CASE(life_cases[i].name, lives_so_long,
                                                         (void *)(uintptr_t)&life_cases[i]);
  }
  return TORC_RUN(all);
}
