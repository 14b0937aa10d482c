/* FETCH as the holder answers it, and FIND.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"

#include "base/id.h"
#include "base/slice.h"
#include "helper_store.h"
#include "wire/header.h"

static int store1(hs *h, hs_elem e) {
  return hs_store(h, &h->res, &e, 1);
}

static void fill(hs *h) {
  const hs_elem list[] = {{.type = HS_NOTE, .value = "n"},
                          {.type = HS_LIST, .index = 0, .value = "A"},
                          {.type = HS_LIST, .index = 2, .value = "C"},
                          {.type = HS_MAP, .key = "b", .value = "2"},
                          {.type = HS_MAP, .key = "a", .value = "1"},
                          {.type = HS_MAP, .key = "empty", .value = ""}};
  assert_int_equal(hs_store(h, &h->res, list, TORC_ARRAY_LEN(list)), 200);
}

typedef struct fetch_case {
  const char *name;
  hs_spec spec;
  const char *want;
} fetch_case;

static fetch_case fetch_cases[] = {
    {"FET-05 FET-14 single value", {.type = HS_NOTE}, "f00001 g1: =n@1000000"},
    {"FET-09 FET-13 GAP-90 counter matches: no values", {.type = HS_NOTE, .gen = 1}, "f00001 g1:"},
    {"FET-04 FET-14 counter differs: all values",
     {.type = HS_NOTE, .gen = 9},
     "f00001 g1: =n@1000000"},
    {"FET-15 GAP-87 GAP-90 single value nobody stored", {.type = HS_PEER}, "f00005 g0: =-"},
    {"FET-06 GAP-88 all of an array, holes included",
     {.type = HS_LIST, .last = -1},
     "f00002 g1: 0=A@1000000 1=- 2=C@1000000"},
    {"FET-06 GAP-88 one element",
     {.type = HS_LIST, .first = 2, .last = 2},
     "f00002 g1: 2=C@1000000"},
    {"FET-06 the last element",
     {.type = HS_LIST, .first = -1, .last = -1},
     "f00002 g1: 2=C@1000000"},
    {"GAP-88 clipped to the array",
     {.type = HS_LIST, .first = 1, .last = 70000},
     "f00002 g1: 1=- 2=C@1000000"},
    {"R-26 a range that starts behind the end",
     {.type = HS_LIST, .first = 5, .last = -1},
     "f00002 g1:"},
    {"R-26 a range that ends before the last",
     {.type = HS_LIST, .first = -1, .last = 1},
     "f00002 g1:"},
    {"GAP-88 behind the array", {.type = HS_LIST, .first = 7, .last = 9}, "f00002 g1:"},
    {"GAP-88 STO-25 a hole alone", {.type = HS_LIST, .first = 1, .last = 1}, "f00002 g1: 1=-"},
    {"FET-09 GAP-91 counter of an array",
     {.type = HS_LIST, .gen = 1, .first = 1, .last = 1},
     "f00002 g1:"},
    {"GAP-88 an array nobody wrote", {.type = HS_LOG, .last = -1}, "f00006 g0:"},
    {"FET-08 R-41 all pairs in the order of their keys",
     {.type = HS_MAP},
     "f00003 g1: a=1@1000000 b=2@1000000 empty=@1000000"},
    {"FET-08 R-41 FET-16 named keys in the order asked, repeated, missing",
     {.type = HS_MAP, .keys = "b,x,a,b"},
     "f00003 g1: b=2@1000000 x=- a=1@1000000 b=2@1000000"},
    {"GAP-87 an empty value is no nonexistent one",
     {.type = HS_MAP, .keys = "empty"},
     "f00003 g1: empty=@1000000"},
    {"FET-09 counter of a dictionary", {.type = HS_MAP, .gen = 1}, "f00003 g1:"},
};

static void runs_case(void **state) {
  const fetch_case *c = *state;
  hs h;
  hs_init(&h);
  fill(&h);
  HS_EXPECT(hs_fetch(&h, &h.res, &c->spec, 1), c->want);
  hs_reopen(&h);
  HS_EXPECT(hs_fetch(&h, &h.res, &c->spec, 1), c->want);
  assert_int_equal(torc_store_get_stats(h.store)->fetches, 1);
  hs_clear(&h);
}

static void one_answer_per_type(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  fill(&h);
  const hs_spec three[] = {
      {.type = HS_MAP, .keys = "a"}, {.type = HS_NOTE, .gen = 1}, {.type = HS_PEER}};
  HS_EXPECT(hs_fetch(&h, &h.res, three, 3), "f00003 g1: a=1@1000000; f00001 g1:; f00005 g0: =-");
  hs_clear(&h);
}

/* What was received is sent again byte for byte: FET-11. Expected bytes laid by hand. */
static void bytes_as_received(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(
      store1(&h, (hs_elem){.type = HS_MAP, .key = "k", .value = "vw", .sig = "S", .life = 300}),
      200);
  uint8_t request[64];
  size_t len = hs_spec_payload(&h, &h.res, &(hs_spec){.type = HS_MAP, .keys = "k,z"}, 1, request,
                               sizeof request);
  uint8_t want[128];
  size_t want_len = torc_unhex(
      "f00003 0000000000000001 0039"                   /* type, generation, 57 bytes */
      "00000024 000f4240 0000012c"                     /* 36 bytes follow, storage time, lifetime */
      "0001 6b 0002 7677"                              /* key, value */
      "03 0001 53 01 a1010101010101010101010101010101" /* ECDSA, signature "S", peer-id */
      "0000000d 00000000 00000000 0001 7a 0000", /* nonexistent: no times, no value, no signature */
      want, sizeof want);
  torc_buf out;
  torc_buf_init(&out, NULL, 100000);
  assert_int_equal(torc_store_fetch(h.store, torc_slice_of(request, len), h.now, &out), 0);
  assert_int_equal(out.len, want_len);
  assert_memory_equal(out.p, want, want_len);
  torc_buf_clear(&out);
  hs_clear(&h);
}

/* GAP-86: 100 values of 2000 bytes come in several elements, too many are refused. */
static void large_answers(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  static char value[2001];
  memset(value, 'x', 2000);
  char key[16];
  for (int i = 0; i < 60; i++) {
    snprintf(key, sizeof key, "%03d", i);
    assert_int_equal(store1(&h, (hs_elem){.type = HS_BIG, .key = key, .value = value}), 200);
  }
  const hs_spec all = {.type = HS_BIG};
  const char *text = hs_fetch(&h, &h.res, &all, 1);
  size_t parts = 0;
  for (const char *p = text; (p = strstr(p, "f00004 g60:")) != NULL; p++) {
    parts++;
  }
  assert_int_equal(parts, 2);
  assert_non_null(strstr(text, " 000=(2000)@1000000 001="));
  assert_non_null(strstr(text, " 058=(2000)@1000000 059=(2000)@1000000"));
  for (int i = 60; i < 64; i++) {
    snprintf(key, sizeof key, "%03d", i);
    assert_int_equal(store1(&h, (hs_elem){.type = HS_BIG, .key = key, .value = value}), 200);
  }
  HS_EXPECT(hs_fetch(&h, &h.res, &all, 1), "error -6"); /* TORC_ERR_LIMIT: 413 */
  const hs_spec some = {.type = HS_BIG, .keys = "063"}; /* the requester narrows its reference */
  HS_EXPECT(hs_fetch(&h, &h.res, &some, 1), "f00004 g64: 063=(2000)@1000000");
  /* The bound of the caller's buffer counts too. */
  uint8_t request[64];
  size_t len = hs_spec_payload(&h, &h.res, &some, 1, request, sizeof request);
  torc_buf out;
  torc_buf_init(&out, NULL, 1000);
  assert_int_equal(torc_store_fetch(h.store, torc_slice_of(request, len), h.now, &out),
                   TORC_ERR_LIMIT);
  torc_buf_clear(&out);
  hs_clear(&h);
}

/* A sparse array of 65536 places must not make a long answer, nor a long time. */
static void sparse_is_bounded(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(store1(&h, (hs_elem){.type = HS_LOG, .index = 65535, .value = "z"}), 200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_LOG), "error -6");
  HS_EXPECT(hs_fetch(&h, &h.res, &(hs_spec){.type = HS_LOG, .first = 65534, .last = -1}, 1),
            "f00006 g1: 65534=- 65535=z@1000000");
  hs_clear(&h);
}

/* Long keys lie in the order of their hashes; the answer is in the order of the keys. */
static void long_keys_in_order(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  enum { LONG = 260 };
  static const char *const order[] = {"dddd", "aaaa", "cccc", "bbbb", "eeee", "ffff"};
  char key[LONG + 1];
  for (size_t i = 0; i < TORC_ARRAY_LEN(order); i++) {
    memset(key, 'k', LONG);
    memcpy(key + LONG - 4, order[i], 5);
    assert_int_equal(store1(&h, (hs_elem){.type = HS_BIG, .key = key, .value = order[i]}), 200);
  }
  memset(key, 'k', 200);
  key[200] =
      '\0'; /* the longest that stands in the backend as it is: before all that begin with it */
  assert_int_equal(store1(&h, (hs_elem){.type = HS_BIG, .key = key, .value = "200"}), 200);
  key[199] = 'z';
  key[200] = 'z';
  key[201] = '\0';
  assert_int_equal(store1(&h, (hs_elem){.type = HS_BIG, .key = key, .value = "201"}), 200);
  assert_int_equal(store1(&h, (hs_elem){.type = HS_BIG, .key = "a", .value = "1"}), 200);
  HS_EXPECT(
      hs_fetch_all(&h, &h.res, HS_BIG),
      "f00004 g9: a=1@1000000 (200)kkkk=200@1000000 (260)aaaa=aaaa@1000000 (260)bbbb=bbbb@1000000 "
      "(260)cccc=cccc@1000000 (260)dddd=dddd@1000000 (260)eeee=eeee@1000000 (260)ffff=ffff@1000000 "
      "(201)kkzz=201@1000000");
  /* By name, overwritten, removed. */
  memset(key, 'k', LONG);
  memcpy(key + LONG - 4, "cccc", 5);
  assert_int_equal(store1(&h, (hs_elem){.type = HS_BIG, .key = key, .value = "new"}), 412);
  assert_int_equal(
      store1(&h, (hs_elem){.type = HS_BIG, .key = key, .value = "new", .time = HS_NOW + 1}), 200);
  HS_EXPECT(hs_fetch(&h, &h.res, &(hs_spec){.type = HS_BIG, .keys = key}, 1),
            "f00004 g10: (260)cccc=new@1000001");
  assert_int_equal(
      hs_remove(&h, &h.res, &(hs_spec){.type = HS_BIG, .gen = 10, .keys = key}, 1, h.alice), 200);
  HS_EXPECT(hs_fetch(&h, &h.res, &(hs_spec){.type = HS_BIG, .keys = key}, 1),
            "f00004 g11: (260)cccc=-");
  hs_clear(&h);
}

static void expired_is_not_answered(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(store1(&h, (hs_elem){.type = HS_MAP, .key = "a", .value = "1", .life = 10}),
                   200);
  assert_int_equal(store1(&h, (hs_elem){.type = HS_MAP, .key = "b", .value = "2", .life = 20}),
                   200);
  h.now = HS_NOW + 10;
  /* The counter somebody cached before no longer matches: FET-09. */
  HS_EXPECT(hs_fetch(&h, &h.res, &(hs_spec){.type = HS_MAP, .gen = 2}, 1),
            "f00003 g3: b=2@1000000");
  HS_EXPECT(hs_fetch(&h, &h.res, &(hs_spec){.type = HS_MAP, .keys = "a"}, 1), "f00003 g3: a=-");
  h.now = HS_NOW + 20;
  HS_EXPECT(hs_fetch(&h, &h.res, &(hs_spec){.type = HS_MAP}, 1), "f00003 g4:");
  hs_clear(&h);
}

static void malformed_is_refused(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  uint8_t none[18] = {0};
  torc_buf out;
  torc_buf_init(&out, NULL, 1000);
  assert_int_equal(torc_store_fetch(h.store, torc_slice_of(none, sizeof none), h.now, &out),
                   TORC_ERR_FORMAT);
  uint8_t buf[64];
  const hs_spec twice[] = {{.type = HS_NOTE}, {.type = HS_NOTE}};
  size_t len = hs_spec_payload(&h, &h.res, twice, 2, buf, sizeof buf);
  assert_int_equal(torc_store_fetch(h.store, torc_slice_of(buf, len), h.now, &out),
                   TORC_ERR_FORMAT);
  len = hs_spec_payload(&h, &h.res, &(hs_spec){.type = HS_UNKNOWN}, 1, buf, sizeof buf);
  assert_int_equal(torc_store_fetch(h.store, torc_slice_of(buf, len), h.now, &out),
                   TORC_ERR_NOTFOUND);
  assert_int_equal(out.len, 0);
  /* FET-07: the range begins behind its end. */
  len = hs_spec_payload(&h, &h.res, &(hs_spec){.type = HS_LIST, .first = 1, .last = 2}, 1, buf,
                        sizeof buf);
  buf[len - 5] = 3;
  assert_int_equal(torc_store_fetch(h.store, torc_slice_of(buf, len), h.now, &out),
                   TORC_ERR_FORMAT);
  torc_buf_clear(&out);
  hs_clear(&h);
}

/* FIND over a ring of resources of one peer: ids are chosen by the test, so a type without real
 * owner is put in by replica, which checks the same rights: users named so that their hashes are
 * spread. */
enum { NUM_USERS = 24 };

typedef struct ring {
  hs h;
  torc_cert *users[NUM_USERS];
  torc_id ids[NUM_USERS]; /* ascending */
} ring;

static void ring_init(ring *r) {
  hs_init(&r->h);
  for (size_t i = 0; i < NUM_USERS; i++) {
    char name[32];
    snprintf(name, sizeof name, "user%zu@example.org", i);
    torc_id peer = helper_id(0x70, (uint8_t)(i + 1));
    torc_cert *cert = helper_cert(name, &peer);
    torc_id id = helper_user_resource(name);
    size_t at = i;
    for (; at > 0 && torc_id_cmp(&r->ids[at - 1], &id) > 0; at--) {
      r->ids[at] = r->ids[at - 1];
      r->users[at] = r->users[at - 1];
    }
    r->ids[at] = id;
    r->users[at] = cert;
  }
}

static void ring_clear(ring *r) {
  for (size_t i = 0; i < NUM_USERS; i++) {
    helper_cert_free(r->users[i]);
  }
  hs_clear(&r->h);
}

static void ring_store(ring *r, size_t i, uint32_t type, uint32_t life) {
  r->h.message_signer = r->users[i];
  hs_elem e = {.type = type, .key = "k", .value = "v", .life = life, .signer = r->users[i]};
  assert_int_equal(hs_store(&r->h, &r->ids[i], &e, 1), 200);
}

static torc_id find(ring *r, uint32_t type, const torc_id *from, const torc_id *a,
                    const torc_id *b) {
  torc_id out;
  assert_int_equal(torc_store_find(r->h.store, type, from, a, b, r->h.now, &out), 0);
  return out;
}

#define ASSERT_ID(got_, want_)                  \
  do {                                          \
    torc_id got_id = (got_);                    \
    torc_id want_id = (want_);                  \
    assert_true(torc_id_eq(&got_id, &want_id)); \
  } while (0)

/* Against the definition: least (r - from) mod 2^128 among those in (a, b] that are there. */
static torc_id naive_find(const ring *r, const bool *has, const torc_id *from, const torc_id *a,
                          const torc_id *b) {
  torc_id best = torc_id_zero;
  torc_id best_distance = torc_id_zero;
  bool is_found = false;
  for (size_t i = 0; i < NUM_USERS; i++) {
    torc_id d = torc_id_distance(from, &r->ids[i]);
    if (has[i] && torc_id_in_open_closed(&r->ids[i], a, b) &&
        (!is_found || torc_id_cmp(&d, &best_distance) < 0)) {
      is_found = true;
      best = r->ids[i];
      best_distance = d;
    }
  }
  return best;
}

static void find_is_nearest_clockwise(void **state) {
  (void)state;
  ring r;
  ring_init(&r);
  bool notes[NUM_USERS] = {false};
  bool maps[NUM_USERS] = {false};
  for (size_t i = 0; i < NUM_USERS; i++) {
    notes[i] = i % 3 == 0;
    maps[i] = i % 5 == 2;
    if (notes[i]) {
      ring_store(&r, i, HS_NOTE, 500);
    }
    if (maps[i]) {
      ring_store(&r, i, HS_MAP, 100);
    }
  }
  assert_int_equal(torc_store_num_resources(r.h.store), 8 + 5 - 1);
  for (int round = 0; round < 2; round++) {
    for (size_t i = 0; i < NUM_USERS; i++) {
      for (size_t j = 0; j < NUM_USERS; j += 3) {
        for (size_t k = 0; k < NUM_USERS; k += 4) {
          torc_id from = i % 2 == 0 ? r.ids[i] : torc_id_next(&r.ids[i]);
          torc_id a = torc_id_prev(&r.ids[j]);
          ASSERT_ID(find(&r, HS_NOTE, &from, &a, &r.ids[k]),
                    naive_find(&r, notes, &from, &a, &r.ids[k]));
          ASSERT_ID(find(&r, HS_MAP, &from, &a, &r.ids[k]),
                    naive_find(&r, maps, &from, &a, &r.ids[k]));
        }
      }
      ASSERT_ID(find(&r, HS_NOTE, &r.ids[i], &r.ids[3], &r.ids[3]),
                naive_find(&r, notes, &r.ids[i], &r.ids[3], &r.ids[3]));
    }
    /* Nothing unexpired is left of the maps, swept or not. */
    r.h.now = HS_NOW + 100;
    memset(maps, 0, sizeof maps);
  }
  ring_clear(&r);
}

static void find_walks_the_ring(void **state) {
  (void)state;
  ring r;
  ring_init(&r);
  for (size_t i = 0; i < NUM_USERS; i += 2) {
    ring_store(&r, i, HS_NOTE, 500);
  }
  torc_id whole = helper_id(5, 5);
  torc_id at = r.ids[0];
  for (size_t i = 0; i < NUM_USERS; i += 2) {
    torc_id found = find(&r, HS_NOTE, &at, &whole, &whole);
    ASSERT_ID(found, r.ids[i]);
    at = torc_id_next(&found); /* FND-01: R_n+1 = nearest(1 + R_n) */
  }
  ASSERT_ID(find(&r, HS_NOTE, &at, &whole, &whole), r.ids[0]); /* through 0 */
  ring_clear(&r);
}

static void find_answers_zero(void **state) {
  (void)state;
  ring r;
  ring_init(&r);
  ring_store(&r, 4, HS_NOTE, 500);
  ASSERT_ID(find(&r, HS_UNKNOWN, &r.ids[0], &r.ids[0], &r.ids[0]), torc_id_zero); /* FND-09 */
  ASSERT_ID(find(&r, HS_MAP, &r.ids[0], &r.ids[0], &r.ids[0]), torc_id_zero);     /* FND-10 */
  ASSERT_ID(find(&r, HS_NOTE, &r.ids[0], &r.ids[0], &r.ids[0]), r.ids[4]);
  ASSERT_ID(find(&r, HS_NOTE, &r.ids[0], &r.ids[4], &r.ids[0]),
            torc_id_zero); /* outside the range */
  assert_int_equal(hs_remove(&r.h, &r.ids[4], &(hs_spec){.type = HS_NOTE, .gen = 1}, 1, r.users[4]),
                   200);
  ASSERT_ID(find(&r, HS_NOTE, &r.ids[0], &r.ids[0], &r.ids[0]), torc_id_zero);
  ring_clear(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("FET-01 FET-02 FET-03 FET-12 one answer for each type, in the order asked",
                one_answer_per_type),
      TORC_TEST("FET-11 FET-16 SIG-10 GAP-87 bytes as received, nonexistent by hand",
                bytes_as_received),
      TORC_TEST("GAP-86 FET-14 answers above 65000 bytes, and above the limit", large_answers),
      TORC_TEST("GAP-86 GAP-88 a sparse array is bounded", sparse_is_bounded),
      TORC_TEST("R-41 FET-08 STO-27 GAP-08 keys longer than a backend's", long_keys_in_order),
      TORC_TEST("STO-31 FET-09 GAP-98 expired values are not answered", expired_is_not_answered),
      TORC_TEST("FET-07 FET-12 R-21 R-22 R-26 GAP-89 what is no FETCH", malformed_is_refused),
      TORC_TEST("FND-01 FND-04 GAP-105 nearest clockwise inside the range",
                find_is_nearest_clockwise),
      TORC_TEST("FND-01 FND-11 GAP-105 walking the ring", find_walks_the_ring),
      TORC_TEST("FND-09 FND-10 zero where nothing is known", find_answers_zero),
  };
  enum { NUM = TORC_ARRAY_LEN(tests), CASES = TORC_ARRAY_LEN(fetch_cases) };
  struct CMUnitTest all[NUM + CASES];
  memcpy(all, tests, sizeof tests);
  for (size_t i = 0; i < CASES; i++) {
    all[NUM + i] = (struct CMUnitTest)TORC_CASE(fetch_cases[i].name, runs_case, &fetch_cases[i]);
  }
  return TORC_RUN(all);
}
