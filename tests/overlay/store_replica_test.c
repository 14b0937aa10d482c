/* What other holders send: the newer wins, counters meet, what was removed stays removed.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"

#include "base/id.h"
#include "base/slice.h"
#include "helper_store.h"

#define SPEC(...) (&(hs_spec){__VA_ARGS__})

static int store1(hs *h, hs_elem e) {
  return hs_store(h, &h->res, &e, 1);
}

/* The element as another holder with this counter would send it. */
static int push1(hs *h, uint64_t counter, hs_elem e) {
  h->origin = TORC_ORIGIN_REPLICA;
  e.gen = counter;
  int code = hs_store(h, &h->res, &e, 1);
  h->origin = TORC_ORIGIN_OWNER;
  return code;
}

static int forward_remove(hs *h, uint64_t xid, hs_spec s, const torc_cert *signer) {
  h->origin = TORC_ORIGIN_REPLICA;
  h->xid = xid;
  int code = hs_remove(h, &h->res, &s, 1, signer);
  h->origin = TORC_ORIGIN_OWNER;
  return code;
}

static void expect(hs *h, uint32_t type, const char *want) {
  HS_EXPECT(hs_fetch_all(h, &h->res, type), want);
}

static void newer_wins(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(push1(&h, 5, (hs_elem){.type = HS_NOTE, .value = "v"}), 200);
  assert_true(h.result.is_changed);
  expect(&h, HS_NOTE, "f00001 g5: =v@1000000");
  assert_int_equal(push1(&h, 5, (hs_elem){.type = HS_NOTE, .value = "old", .time = HS_NOW - 1}),
                   200);
  assert_false(h.result.is_changed);
  expect(&h, HS_NOTE, "f00001 g5: =v@1000000");
  assert_int_equal(push1(&h, 6, (hs_elem){.type = HS_NOTE, .value = "new", .time = HS_NOW + 1}),
                   200);
  expect(&h, HS_NOTE, "f00001 g6: =new@1000001");
  /* The same again, without a generation test: fine, and nothing changes. */
  assert_int_equal(push1(&h, 2, (hs_elem){.type = HS_NOTE, .value = "new", .time = HS_NOW + 1}),
                   200);
  assert_false(h.result.is_changed);
  expect(&h, HS_NOTE, "f00001 g6: =new@1000001");
  hs_clear(&h);
}

static void larger_signature_wins(void **state) {
  (void)state;
  for (int order = 0; order < 2; order++) {
    hs h;
    hs_init(&h);
    const hs_elem a = {.type = HS_NOTE, .value = "a", .sig = order == 0 ? "s1" : "s2"};
    const hs_elem b = {.type = HS_NOTE, .value = "b", .sig = order == 0 ? "s2" : "s1"};
    assert_int_equal(push1(&h, 3, a), 200);
    assert_int_equal(push1(&h, 3, b), 200);
    expect(&h, HS_NOTE, order == 0 ? "f00001 g3: =b@1000000" : "f00001 g3: =a@1000000");
    hs_clear(&h);
  }
}

static void counters_meet(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  for (uint32_t i = 0; i < 4; i++) {
    assert_int_equal(
        store1(&h, (hs_elem){.type = HS_MAP, .key = "k", .value = "v", .time = HS_NOW + i}), 200);
  }
  /* Older history: the counter is not touched. */
  assert_int_equal(
      push1(&h, 2, (hs_elem){.type = HS_MAP, .key = "k", .value = "x", .time = HS_NOW - 9}), 200);
  assert_int_equal(hs_generation(&h, &h.res, HS_MAP), 4);
  /* Other history at the same or a lower counter that changes something: no cached counter stays
   * valid. */
  assert_int_equal(push1(&h, 4, (hs_elem){.type = HS_MAP, .key = "l", .value = "x"}), 200);
  assert_int_equal(hs_generation(&h, &h.res, HS_MAP), 5);
  assert_int_equal(push1(&h, 1, (hs_elem){.type = HS_MAP, .key = "m", .value = "x"}), 200);
  assert_int_equal(hs_generation(&h, &h.res, HS_MAP), 6);
  /* A higher one is taken over, and several payloads of one copying leave it there. */
  assert_int_equal(push1(&h, 90, (hs_elem){.type = HS_MAP, .key = "n", .value = "x"}), 200);
  assert_int_equal(push1(&h, 90, (hs_elem){.type = HS_MAP, .key = "o", .value = "x"}), 200);
  assert_int_equal(hs_generation(&h, &h.res, HS_MAP), 90);
  /* Also without any element that counts. */
  assert_int_equal(
      push1(&h, 95, (hs_elem){.type = HS_MAP, .key = "k", .value = "x", .time = HS_NOW - 9}), 200);
  assert_int_equal(hs_generation(&h, &h.res, HS_MAP), 95);
  hs_clear(&h);
}

static void still_checked(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(
      push1(&h, 1, (hs_elem){.type = HS_NOTE, .value = "x", .verdict = TORC_VERDICT_INVALID}), 403);
  assert_int_equal(
      push1(&h, 1, (hs_elem){.type = HS_NOTE, .value = "x", .verdict = TORC_VERDICT_UNSIGNED}),
      401);
  assert_int_equal(push1(&h, 1, (hs_elem){.type = HS_NOTE, .value = "x", .signer = h.bob}), 403);
  assert_int_equal(push1(&h, 1, (hs_elem){.type = HS_UNKNOWN, .value = "x"}), 404);
  assert_int_equal(push1(&h, 1, (hs_elem){.type = HS_NOTE, .value = "x", .time = HS_ZERO_TIME}),
                   400);
  /* Expired: skipped. */
  assert_int_equal(push1(&h, 1, (hs_elem){.type = HS_NOTE, .value = "x", .time = HS_NOW - 100}),
                   200);
  assert_false(h.result.is_changed);
  assert_int_equal(torc_store_num_resources(h.store), 0);
  hs_clear(&h);
}

/* Two halves of a ring filled the slot each; both owners were told their values are stored. */
static void merge_may_exceed_quota(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  for (int i = 0; i < 16; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%02d", i);
    assert_int_equal(push1(&h, 9, (hs_elem){.type = HS_MAP, .key = key, .value = "v"}), 200);
  }
  assert_int_equal(push1(&h, 9, (hs_elem){.type = HS_MAP, .key = "k16", .value = "v"}),
                   413); /* bounded */
  assert_int_equal(store1(&h, (hs_elem){.type = HS_MAP, .key = "k17", .value = "v"}),
                   413); /* owners: as ever */
  hs_clear(&h);
}

/* GAP-103: arrays merge by index. */
static void arrays_merge_by_index(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(push1(&h, 2, (hs_elem){.type = HS_LIST, .index = 0, .value = "a"}), 200);
  assert_int_equal(push1(&h, 2, (hs_elem){.type = HS_LIST, .index = 2, .value = "c"}), 200);
  assert_int_equal(
      push1(&h, 2, (hs_elem){.type = HS_LIST, .index = 0, .value = "A", .time = HS_NOW + 1}), 200);
  assert_int_equal(
      push1(&h, 2, (hs_elem){.type = HS_LIST, .index = 2, .value = "C", .time = HS_NOW - 1}), 200);
  expect(&h, HS_LIST, "f00002 g2: 0=A@1000001 1=- 2=c@1000000");
  /* As owner the same holder gives the next index, and knows what was appended elsewhere. */
  assert_int_equal(store1(&h, (hs_elem){.type = HS_LIST, .index = -1, .value = "c"}), 200);
  assert_int_equal(h.last_index, 2);
  assert_int_equal(store1(&h, (hs_elem){.type = HS_LIST, .index = -1, .value = "d"}), 200);
  assert_int_equal(h.last_index, 3);
  hs_clear(&h);
}

/* D-14: the holder that missed the REMOVE cannot bring the value back. */
static void no_resurrection(void **state) {
  (void)state;
  hs holder;
  hs stale;
  hs fresh;
  hs_init(&holder);
  hs_init(&stale);
  hs_init(&fresh);
  const hs_elem list[] = {{.type = HS_NOTE, .value = "n"},
                          {.type = HS_LIST, .index = -1, .value = "a"},
                          {.type = HS_LIST, .index = -1, .value = "b"},
                          {.type = HS_MAP, .key = "k", .value = "1"},
                          {.type = HS_MAP, .key = "l", .value = "2"}};
  assert_int_equal(hs_store(&holder, &holder.res, list, 5), 200);
  assert_int_equal(hs_copy(&holder, &stale, &holder.res, holder.alice), 0);
  const hs_spec gone[] = {
      {.type = HS_NOTE, .gen = 1}, {.type = HS_LIST, .gen = 1}, {.type = HS_MAP, .gen = 1}};
  assert_int_equal(hs_remove(&holder, &holder.res, gone, 3, holder.alice), 200);
  /* The owner stores one of the removed keys again: the replay must not take it. */
  assert_int_equal(
      store1(&holder, (hs_elem){.type = HS_MAP, .key = "k", .value = "again", .time = HS_NOW + 1}),
      200);
  for (int order = 0; order < 2; order++) {
    hs *first = order == 0 ? &holder : &stale;
    hs *second = order == 0 ? &stale : &holder;
    hs_clear(&fresh);
    hs_init(&fresh);
    assert_int_equal(hs_copy(first, &fresh, &holder.res, holder.alice), 0);
    assert_int_equal(hs_copy(second, &fresh, &holder.res, holder.alice), 0);
    expect(&fresh, HS_NOTE, "f00001 g2: =-");
    expect(&fresh, HS_LIST, "f00002 g2: 0=- 1=b@1000000");
    expect(&fresh, HS_MAP, "f00003 g3: k=again@1000001");
    assert_int_equal(hs_copy(second, &fresh, &holder.res, holder.alice), 0);
    expect(&fresh, HS_MAP, "f00003 g3: k=again@1000001");
    hs_reopen(&fresh);
    assert_int_equal(hs_copy(&stale, &fresh, &holder.res, holder.alice), 0);
    expect(&fresh, HS_NOTE, "f00001 g2: =-");
  }
  /* It travels on from the one that only heard of it. */
  hs third;
  hs_init(&third);
  assert_int_equal(hs_copy(&fresh, &third, &holder.res, holder.alice), 0);
  assert_int_equal(hs_copy(&stale, &third, &holder.res, holder.alice), 0);
  expect(&third, HS_NOTE, "f00001 g2: =-");
  expect(&third, HS_MAP, "f00003 g3: k=again@1000001");
  /* And heals the stale one. */
  assert_int_equal(hs_copy(&third, &stale, &holder.res, holder.alice), 0);
  expect(&stale, HS_NOTE, "f00001 g2: =-");
  expect(&stale, HS_LIST, "f00002 g2: 0=- 1=b@1000000");
  expect(&stale, HS_MAP, "f00003 g3: k=again@1000001");
  hs_clear(&third);
  hs_clear(&fresh);
  hs_clear(&stale);
  hs_clear(&holder);
}

/* A replica in step with the owner's view applies the forwarded REMOVE like the responsible peer.
 */
static void forwarded_in_step(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(push1(&h, 7, (hs_elem){.type = HS_LIST, .index = 0, .value = "a"}), 200);
  assert_int_equal(push1(&h, 8, (hs_elem){.type = HS_LIST, .index = 1, .value = "b"}), 200);
  assert_int_equal(
      forward_remove(&h, 70, (hs_spec){.type = HS_LIST, .gen = 8, .first = -1, .last = -1},
                     h.alice),
      200);
  assert_true(h.result.is_changed);
  expect(&h, HS_LIST, "f00002 g9: 0=a@1000000");
  /* The same REMOVE a second time: "the last element" is another one now. */
  assert_int_equal(
      forward_remove(&h, 70, (hs_spec){.type = HS_LIST, .gen = 8, .first = -1, .last = -1},
                     h.alice),
      200);
  assert_false(h.result.is_changed);
  expect(&h, HS_LIST, "f00002 g9: 0=a@1000000");
  /* Another one out of step: which was the last there? Nothing is removed here. */
  assert_int_equal(
      forward_remove(&h, 71, (hs_spec){.type = HS_LIST, .gen = 20, .first = -1, .last = -1},
                     h.alice),
      200);
  expect(&h, HS_LIST, "f00002 g21: 0=a@1000000");
  /* But what lay behind what is here, and comes from that time, is kept away. */
  assert_int_equal(push1(&h, 20, (hs_elem){.type = HS_LIST, .index = 1, .value = "c"}), 200);
  expect(&h, HS_LIST, "f00002 g21: 0=a@1000000");
  hs_clear(&h);
}

/* Its counter may be ahead by what has expired here already; and what it took for the last element
 * may come back from a holder with a later counter. */
static void last_element_is_a_guess(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  const hs_elem short_lived = {.type = HS_LIST, .index = 0, .value = "a", .life = 10};
  const hs_elem last = {.type = HS_LIST, .index = 1, .value = "b"};
  assert_int_equal(push1(&h, 7, short_lived), 200);
  assert_int_equal(push1(&h, 8, last), 200);
  h.now = HS_NOW + 10;
  expect(&h, HS_LIST, "f00002 g9: 0=- 1=b@1000000");
  /* In step with 8 all the same: nothing but expiry has happened since. */
  assert_int_equal(push1(&h, 8, (hs_elem){.type = HS_LIST, .index = 2, .value = "c"}), 200);
  expect(&h, HS_LIST, "f00002 g9: 0=- 1=b@1000000 2=c@1000000");
  const hs_spec spec = {.type = HS_LIST, .gen = 8, .first = -1, .last = -1};
  assert_int_equal(forward_remove(&h, 70, spec, h.alice), 200);
  HS_EXPECT(strchr(hs_fetch_all(&h, &h.res, HS_LIST), ':'), ": 0=- 1=b@1000000");
  hs_elem c = {.type = HS_LIST, .index = 2, .value = "c"};
  assert_int_equal(push1(&h, 8, c), 200);
  HS_EXPECT(strchr(hs_fetch_all(&h, &h.res, HS_LIST), ':'), ": 0=- 1=b@1000000");
  assert_int_equal(push1(&h, 12, c), 200);
  expect(&h, HS_LIST, "f00002 g12: 0=- 1=b@1000000 2=c@1000000");
  hs_clear(&h);
}

/* Elements written after the removal are not its business. */
/* The replay found an older version here; the one it was meant for comes afterwards, from a holder
 * that had not heard of it. */
static void removed_version_comes_late(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(push1(&h, 1, (hs_elem){.type = HS_MAP, .key = "k", .value = "first"}), 200);
  assert_int_equal(forward_remove(&h, 5, (hs_spec){.type = HS_MAP, .gen = 5, .keys = "k"}, h.alice),
                   200);
  hs_elem removed = {
      .type = HS_MAP, .key = "k", .value = "fifth", .time = HS_NOW + 30, .life = 200};
  assert_int_equal(push1(&h, 5, removed), 200);
  expect(&h, HS_MAP, "f00003 g6:");
  h.now += 150; /* it stays away as long as it would have lived */
  assert_int_equal(push1(&h, 6, removed), 200);
  expect(&h, HS_MAP, "f00003 g6:");
  assert_int_equal(
      push1(
          &h, 7,
          (hs_elem){.type = HS_MAP, .key = "k", .value = "new", .time = HS_NOW + 31, .life = 300}),
      200);
  expect(&h, HS_MAP, "f00003 g7: k=new@1000031");
  hs_clear(&h);
}

static void replay_spares_later_elements(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(push1(&h, 10, (hs_elem){.type = HS_MAP, .key = "late", .value = "v"}), 200);
  assert_int_equal(push1(&h, 4, (hs_elem){.type = HS_MAP, .key = "early", .value = "v"}), 200);
  assert_int_equal(forward_remove(&h, 5, (hs_spec){.type = HS_MAP, .gen = 6}, h.alice), 200);
  assert_int_equal(hs_generation(&h, &h.res, HS_MAP),
                   12); /* a change of its own at 11, and another */
  HS_EXPECT(hs_fetch(&h, &h.res, SPEC(.type = HS_MAP), 1), "f00003 g12: late=v@1000000");
  /* The same element seen at an earlier counter was there at the removal: this is how a replay that
   * comes with an old copy finds it. */
  assert_int_equal(push1(&h, 3, (hs_elem){.type = HS_MAP, .key = "late", .value = "v"}), 200);
  assert_int_equal(forward_remove(&h, 6, (hs_spec){.type = HS_MAP, .gen = 5}, h.alice), 200);
  HS_EXPECT(hs_fetch(&h, &h.res, SPEC(.type = HS_MAP), 1), "f00003 g13:");
  hs_clear(&h);
}

/* The removed value was never here: what the REMOVE names is kept away, by counter and by time. */
static void kept_away_before_it_comes(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  h.now = HS_NOW + 10000;
  assert_int_equal(
      forward_remove(&h, 1, (hs_spec){.type = HS_MAP, .gen = 6, .keys = "a,b"}, h.alice), 200);
  assert_int_equal(
      forward_remove(&h, 2, (hs_spec){.type = HS_LIST, .gen = 3, .first = 2, .last = -1}, h.alice),
      200);
  assert_int_equal(forward_remove(&h, 3, (hs_spec){.type = HS_NOTE, .gen = 1}, h.alice), 200);
  assert_int_equal(hs_generation(&h, &h.res, HS_MAP), 7);
  assert_int_equal(hs_generation(&h, &h.res, HS_LIST), 4);
  for (int round = 0; round < 2; round++) {
    uint32_t t = HS_NOW + 9500;
    assert_int_equal(
        push1(&h, 6, (hs_elem){.type = HS_MAP, .key = "a", .value = "v", .time = t, .life = 900}),
        200);
    assert_int_equal(
        push1(&h, 3, (hs_elem){.type = HS_LIST, .index = 2, .value = "v", .time = t, .life = 900}),
        200);
    assert_int_equal(push1(&h, 1, (hs_elem){.type = HS_NOTE, .value = "v", .time = t, .life = 900}),
                     200);
    hs_reopen(&h);
  }
  expect(&h, HS_MAP, "f00003 g7:");
  expect(&h, HS_LIST, "f00002 g4:");
  expect(&h, HS_NOTE, "f00001 g2: =-");
  /* Neighbours are not covered; a later counter says the owner wrote it afterwards. */
  uint32_t t = HS_NOW + 9500;
  assert_int_equal(
      push1(&h, 6, (hs_elem){.type = HS_MAP, .key = "c", .value = "v", .time = t, .life = 900}),
      200);
  assert_int_equal(
      push1(&h, 3, (hs_elem){.type = HS_LIST, .index = 1, .value = "v", .time = t, .life = 900}),
      200);
  assert_int_equal(
      push1(&h, 9, (hs_elem){.type = HS_MAP, .key = "b", .value = "w", .time = t, .life = 900}),
      200);
  expect(&h, HS_LIST, "f00002 g5: 0=- 1=v@1009500");
  expect(&h, HS_MAP, "f00003 g9: b=w@1009500 c=v@1009500");
  /* Owners: an old value that somebody kept is refused, a new one is stored. */
  t = HS_NOW + 10000 - 3600;
  h.now = HS_NOW + 10000;
  assert_int_equal(
      store1(&h, (hs_elem){.type = HS_MAP, .key = "a", .value = "v", .time = t, .life = 900}), 412);
  assert_int_equal(
      store1(&h, (hs_elem){.type = HS_MAP, .key = "d", .value = "v", .time = t, .life = 900}), 200);
  assert_int_equal(
      store1(&h, (hs_elem){.type = HS_MAP, .key = "a", .value = "v", .time = t + 1, .life = 900}),
      200);
  /* It ends when no value of the type can be that old any more. */
  h.now = HS_NOW + 11000;
  torc_wall next = 0;
  assert_int_equal(torc_store_expire(h.store, h.now, 1000, &next), 0);
  assert_int_equal(push1(&h, 1, (hs_elem){.type = HS_NOTE, .value = "v", .time = h.now}), 200);
  expect(&h, HS_NOTE, "f00001 g3: =v@1011000");
  hs_clear(&h);
}

/* Who may not write the slot cannot keep anything away from it. */
static void foreign_replay_is_void(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(push1(&h, 2, (hs_elem){.type = HS_MAP, .key = "a", .value = "v"}), 200);
  assert_int_equal(forward_remove(&h, 1, (hs_spec){.type = HS_MAP, .gen = 9}, h.bob), 200);
  assert_int_equal(forward_remove(&h, 2, (hs_spec){.type = HS_MAP, .gen = 9, .keys = "b"}, h.bob),
                   200);
  assert_int_equal(forward_remove(&h, 3, (hs_spec){.type = HS_MAP, .gen = 9, .keys = "a"}, h.bob),
                   403);
  assert_int_equal(push1(&h, 3, (hs_elem){.type = HS_MAP, .key = "b", .value = "v"}), 200);
  HS_EXPECT(hs_fetch(&h, &h.res, SPEC(.type = HS_MAP, .keys = "a,b"), 1),
            "f00003 g3: a=v@1000000 b=v@1000000");
  hs_clear(&h);
}

/* One device's wildcard keeps away its own entry only. */
static void own_keys_only(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  torc_id one = helper_id('a', 'x');
  torc_id two = helper_id('b', 'y');
  torc_cert *phone = helper_cert("alice@example.org", &one);
  torc_cert *desk = helper_cert("alice@example.org", &two);
  assert_int_equal(forward_remove(&h, 1, (hs_spec){.type = HS_DEVICE, .gen = 4}, phone), 200);
  hs_elem e = {.type = HS_DEVICE, .key = "axxxxxxxxxxxxxxx", .value = "1", .signer = phone};
  assert_int_equal(push1(&h, 4, e), 200);
  e = (hs_elem){.type = HS_DEVICE, .key = "byyyyyyyyyyyyyyy", .value = "2", .signer = desk};
  assert_int_equal(push1(&h, 4, e), 200);
  HS_EXPECT(hs_fetch_all(&h, &h.res, HS_DEVICE), "f00007 g6: byyyyyyyyyyyyyyy=2@1000000");
  helper_cert_free(phone);
  helper_cert_free(desk);
  hs_clear(&h);
}

static void blinds_are_bounded(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  for (uint64_t i = 0; i < 70; i++) {
    assert_int_equal(
        forward_remove(&h, i + 1, (hs_spec){.type = HS_MAP, .gen = 100 + 2 * i, .keys = "a"},
                       h.alice),
        200);
  }
  assert_int_equal(torc_store_get_stats(h.store)->blinds_refused, 6);
  h.now = HS_NOW + 1000;
  torc_wall next = 0;
  assert_int_equal(torc_store_expire(h.store, h.now, 1000, &next), 0);
  assert_int_equal(torc_store_num_bytes(h.store), 0);
  hs_clear(&h);
}

/* An append may carry an older time than what once had its index; replicas must take it all the
 * same. */
static void append_at_a_used_index(void **state) {
  (void)state;
  hs holder;
  hs replica;
  hs_init(&holder);
  hs_init(&replica);
  assert_int_equal(
      store1(&holder, (hs_elem){.type = HS_LIST, .index = -1, .value = "x", .time = HS_NOW + 50}),
      200);
  assert_int_equal(hs_copy(&holder, &replica, &holder.res, holder.alice), 0);
  assert_int_equal(
      hs_remove(&holder, &holder.res, SPEC(.type = HS_LIST, .gen = 1), 1, holder.alice), 200);
  assert_int_equal(hs_copy(&holder, &replica, &holder.res, holder.alice), 0);
  expect(&replica, HS_LIST, "f00002 g2:");
  assert_int_equal(store1(&holder, (hs_elem){.type = HS_LIST, .index = -1, .value = "y"}), 200);
  assert_int_equal(holder.last_index, 0);
  assert_int_equal(hs_copy(&holder, &replica, &holder.res, holder.alice), 0);
  expect(&replica, HS_LIST, "f00002 g3: 0=y@1000000");
  hs_clear(&replica);
  hs_clear(&holder);
}

/* Without generations a REMOVE cannot be told from what was stored after it, so it does not travel.
 */
static void no_generation_no_replay(void **state) {
  (void)state;
  hs holder;
  hs fresh;
  hs_init(&holder);
  hs_init(&fresh);
  torc_store_free(holder.store);
  holder.cfg.remove_needs_generation = false;
  assert_int_equal(torc_store_new(&holder.store, &holder.cfg, holder.now), 0);
  assert_int_equal(store1(&holder, (hs_elem){.type = HS_NOTE, .value = "n"}), 200);
  assert_int_equal(hs_remove(&holder, &holder.res, SPEC(.type = HS_NOTE), 1, holder.alice), 200);
  assert_int_equal(hs_copy(&holder, &fresh, &holder.res, holder.alice), 0);
  HS_EXPECT(hs_fetch_all(&fresh, &holder.res, HS_NOTE), "f00001 g0: =-");
  torc_store_free(fresh.store);
  fresh.cfg.remove_needs_generation = false;
  assert_int_equal(torc_store_new(&fresh.store, &fresh.cfg, fresh.now), 0);
  const hs_elem later = {.type = HS_NOTE, .value = "l", .time = HS_NOW + 1};
  assert_int_equal(push1(&fresh, 3, later), 200);
  assert_int_equal(hs_copy(&holder, &fresh, &holder.res, holder.alice), 0);
  HS_EXPECT(hs_fetch_all(&fresh, &holder.res, HS_NOTE), "f00001 g3: =l@1000001");
  /* Forwarded at once it is applied there, too. */
  assert_int_equal(push1(&holder, 5, (hs_elem){.type = HS_NOTE, .value = "m", .time = HS_NOW + 1}),
                   200);
  assert_int_equal(forward_remove(&holder, 9, (hs_spec){.type = HS_NOTE}, holder.alice), 200);
  expect(&holder, HS_NOTE, "f00001 g6: =-");
  hs_clear(&fresh);
  hs_clear(&holder);
}

/* Large resources go in several payloads, each within bounds, and arrive whole with the same
 * counter. */
static void large_copy(void **state) {
  (void)state;
  hs from;
  hs to;
  hs_init(&from);
  hs_init(&to);
  static char value[3001];
  memset(value, 'y', 3000);
  for (int i = 0; i < 60; i++) {
    char key[16];
    snprintf(key, sizeof key, "%03d", i);
    hs_elem e = {.type = HS_BIG, .key = key, .value = value, .life = i == 30 ? 10 : 500};
    assert_int_equal(store1(&from, e), 200);
  }
  assert_int_equal(
      store1(&from, (hs_elem){.type = HS_LIST, .index = -1, .value = "small", .life = 500}), 200);
  from.now = to.now = HS_NOW + 10; /* one has expired, unswept */
  assert_int_equal(hs_copy(&from, &to, &from.res, from.alice), 0);
  for (int i = 0; i < 60; i++) {
    char key[16];
    char want[64];
    snprintf(key, sizeof key, "%03d", i);
    snprintf(want, sizeof want, i == 30 ? "f00004 g%d: %s=-" : "f00004 g%d: %s=(3000)@1000000", 60,
             key);
    HS_EXPECT(hs_fetch(&to, &from.res, SPEC(.type = HS_BIG, .keys = key), 1), want);
  }
  HS_EXPECT(hs_fetch_all(&to, &from.res, HS_LIST), "f00002 g1: 0=small@1000000");
  hs_clear(&to);
  hs_clear(&from);
}

static int stop_at_two(void *ctx, const torc_id *resource, torc_slice payload) {
  int *calls = ctx;
  (void)resource;
  (void)payload;
  (*calls)++;
  return *calls == 2 ? 77 : 0;
}

static int no_remove(void *ctx, const torc_id *resource, uint64_t xid, torc_slice contents,
                     torc_slice signature) {
  (void)ctx;
  (void)resource;
  (void)xid;
  (void)contents;
  (void)signature;
  fail();
  return 0;
}

static int no_store(void *ctx, const torc_id *resource, torc_slice payload) {
  (void)ctx;
  (void)resource;
  (void)payload;
  fail();
  return 0;
}

static void expired_stays_behind(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  assert_int_equal(store1(&h, (hs_elem){.type = HS_NOTE, .value = "v", .life = 10}), 200);
  assert_int_equal(hs_copy_all(&h, &h.res, HS_NOW + 10, no_store, no_remove, NULL), 0);
  hs_clear(&h);
}

static void callback_ends_copy(void **state) {
  (void)state;
  hs h;
  hs_init(&h);
  static char value[30001];
  memset(value, 'y', 30000);
  for (int i = 0; i < 6; i++) {
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    assert_int_equal(store1(&h, (hs_elem){.type = HS_BIG, .key = key, .value = value}), 200);
  }
  int calls = 0;
  assert_int_equal(hs_copy_all(&h, &h.res, h.now, stop_at_two, no_remove, &calls), 77);
  assert_int_equal(calls, 2);
  hs_clear(&h);
}

/* Ranges of the ring. */

enum { NUM_USERS = 12 };
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
  for (size_t i = 0; i < NUM_USERS; i++) {
    r->h.message_signer = r->users[i];
    const hs_elem two[] = {{.type = HS_NOTE, .value = "v", .signer = r->users[i]},
                           {.type = HS_LIST, .index = -1, .value = "v", .signer = r->users[i]}};
    assert_int_equal(hs_store(&r->h, &r->ids[i], two, 2), 200);
  }
}

static void ring_clear(ring *r) {
  for (size_t i = 0; i < NUM_USERS; i++) {
    helper_cert_free(r->users[i]);
  }
  hs_clear(&r->h);
}

/* Walks (from, to]; the ids found must be those numbered first, first + 1, ... modulo the number.
 */
static void expect_walk(ring *r, const torc_id *from, const torc_id *to, size_t first, size_t num) {
  torc_id at = *from;
  for (size_t i = 0; i < num; i++) {
    torc_id next;
    assert_int_equal(torc_store_next_resource(r->h.store, &at, from, to, &next), 0);
    assert_true(torc_id_eq(&next, &r->ids[(first + i) % NUM_USERS]));
    at = next;
  }
  torc_id none;
  assert_int_equal(torc_store_next_resource(r->h.store, &at, from, to, &none), TORC_ERR_NOTFOUND);
}

static void walks_ranges(void **state) {
  (void)state;
  ring r;
  ring_init(&r);
  expect_walk(&r, &r.ids[2], &r.ids[5], 3, 3);
  expect_walk(&r, &r.ids[9], &r.ids[1], 10, 4); /* through 0 */
  torc_id before = torc_id_prev(&r.ids[4]);
  expect_walk(&r, &before, &r.ids[4], 4, 1);
  expect_walk(&r, &r.ids[4], &before, 5, 11);
  torc_id after = torc_id_next(&r.ids[4]);
  expect_walk(&r, &r.ids[4], &after, 0, 0);
  expect_walk(&r, &before, &before, 4, 12); /* the whole ring */
  expect_walk(&r, &torc_id_zero, &torc_id_zero, 0, 12);
  /* A starting point outside the range stands for its beginning. */
  torc_id next;
  assert_int_equal(torc_store_next_resource(r.h.store, &r.ids[7], &r.ids[2], &r.ids[5], &next), 0);
  assert_true(torc_id_eq(&next, &r.ids[3]));
  /* Where only tombstones are left there is still something to copy. */
  assert_int_equal(hs_remove(&r.h, &r.ids[3], SPEC(.type = HS_NOTE, .gen = 1), 1, r.users[3]), 200);
  assert_int_equal(hs_remove(&r.h, &r.ids[3], SPEC(.type = HS_LIST, .gen = 1), 1, r.users[3]), 200);
  assert_int_equal(torc_store_num_resources(r.h.store), 11);
  expect_walk(&r, &r.ids[2], &r.ids[5], 3, 3);
  ring_clear(&r);
}

static void drops_range(void **state) {
  (void)state;
  ring r;
  ring_init(&r);
  assert_int_equal(hs_remove(&r.h, &r.ids[0], SPEC(.type = HS_NOTE, .gen = 1), 1, r.users[0]), 200);
  assert_int_equal(torc_store_drop_range(r.h.store, &r.ids[9], &r.ids[1]), 0);
  assert_int_equal(torc_store_num_resources(r.h.store), 8);
  assert_int_equal(torc_store_get_stats(r.h.store)->dropped, 7);
  expect_walk(&r, &torc_id_zero, &torc_id_zero, 2, 8);
  HS_EXPECT(hs_fetch_all(&r.h, &r.ids[0], HS_NOTE), "f00001 g0: =-");
  HS_EXPECT(hs_fetch_all(&r.h, &r.ids[2], HS_NOTE), "f00001 g1: =v@1000000");
  uint64_t bytes = torc_store_num_bytes(r.h.store);
  hs_reopen(&r.h);
  assert_true(torc_store_num_bytes(r.h.store) == bytes);
  assert_int_equal(torc_store_drop_range(r.h.store, &torc_id_zero, &torc_id_zero), 0);
  assert_int_equal(torc_store_num_resources(r.h.store), 0);
  assert_int_equal(torc_store_num_bytes(r.h.store), 0);
  torc_wall next = 1;
  assert_int_equal(torc_store_expire(r.h.store, HS_NOW + 100000, 1000, &next),
                   0); /* no index entry is left behind */
  assert_int_equal(next, 0);
  ring_clear(&r);
}

static void raises_generations(void **state) {
  (void)state;
  ring r;
  ring_init(&r);
  assert_int_equal(torc_store_raise_generations(r.h.store, &r.ids[2], &r.ids[5], true), 0);
  for (size_t i = 0; i < NUM_USERS; i++) {
    uint64_t want = i >= 3 && i <= 5 ? ((uint64_t)1 << 32) + 1 : 1;
    assert_true(hs_generation(&r.h, &r.ids[i], HS_NOTE) == want);
    assert_true(hs_generation(&r.h, &r.ids[i], HS_LIST) == want);
  }
  /* A neighbour cannot send the counter to its end. */
  r.h.origin = TORC_ORIGIN_REPLICA;
  hs_elem e = {.type = HS_NOTE,
               .gen = UINT64_MAX - 1,
               .value = "v",
               .signer = r.users[4],
               .time = HS_NOW + 1};
  assert_int_equal(hs_store(&r.h, &r.ids[4], &e, 1), 400);
  assert_int_equal(
      hs_remove(&r.h, &r.ids[4], SPEC(.type = HS_NOTE, .gen = UINT64_MAX), 1, r.users[4]), 400);
  assert_true(hs_generation(&r.h, &r.ids[4], HS_NOTE) == ((uint64_t)1 << 32) + 1);
  ring_clear(&r);
}

/* What a range's new peer never had begins above what another part of the ring may hold. */
static void raises_new_slots(void **state) {
  (void)state;
  ring r;
  ring_init(&r);
  const hs_elem e = {.type = HS_MAP, .key = "k", .value = "v", .signer = r.users[4]};
  assert_int_equal(torc_store_raise_generations(r.h.store, &r.ids[2], &r.ids[5], false), 0);
  assert_true(hs_generation(&r.h, &r.ids[4], HS_NOTE) == 1); /* slots that there are stay */
  assert_true(hs_generation(&r.h, &r.ids[4], HS_MAP) == 0);
  assert_int_equal(hs_store(&r.h, &r.ids[4], &e, 1), 200);
  assert_true(hs_generation(&r.h, &r.ids[4], HS_MAP) == ((uint64_t)1 << 32) + 1);
  hs_reopen(&r.h);
  assert_int_equal(torc_store_raise_generations(r.h.store, &r.ids[2], &r.ids[5], true), 0);
  const hs_elem f = {.type = HS_MAP, .key = "k", .value = "v", .signer = r.users[5]};
  assert_int_equal(hs_store(&r.h, &r.ids[5], &f, 1), 200);
  assert_true(hs_generation(&r.h, &r.ids[5], HS_MAP) == ((uint64_t)2 << 32) + 1);
  ring_clear(&r);
}

/* An old element of a slot whose counter was raised stays old on its way through other holders: a
 * REMOVE of a later state takes it, whichever comes first. */
static void copies_stay_old(void **state) {
  (void)state;
  for (int order = 0; order < 2; order++) {
    hs stale;
    hs fresh;
    hs_init(&stale);
    hs_init(&fresh);
    const hs_elem list[] = {{.type = HS_NOTE, .value = "old"},
                            {.type = HS_MAP, .key = "k", .value = "old"},
                            {.type = HS_LIST, .index = -1, .value = "a"}};
    assert_int_equal(hs_store(&stale, &stale.res, list, 3), 200);
    assert_int_equal(store1(&stale, (hs_elem){.type = HS_MAP, .key = "l", .value = "v"}), 200);
    assert_int_equal(torc_store_raise_generations(stale.store, &torc_id_zero, &torc_id_zero, true),
                     0);
    uint64_t counter = 0;
    assert_int_equal(torc_store_copy_counter(stale.store, &stale.res, HS_MAP, 1, &counter), 0);
    assert_true(counter == 1); /* not the highest of the slot's */
    assert_int_equal(torc_store_copy_counter(stale.store, &stale.res, HS_MAP, 2, &counter), 0);
    assert_true(counter == ((uint64_t)1 << 32) + 2);
    for (int step = 0; step < 2; step++) {
      if (step == order) {
        assert_int_equal(hs_copy(&stale, &fresh, &stale.res, stale.alice), 0);
      } else {
        assert_int_equal(
            forward_remove(&fresh, 7, (hs_spec){.type = HS_NOTE, .gen = 4}, fresh.alice), 200);
        assert_int_equal(
            forward_remove(&fresh, 8, (hs_spec){.type = HS_MAP, .gen = 1}, fresh.alice), 200);
      }
    }
    expect(&fresh, HS_NOTE, "f00001 g5: =-");
    expect(&fresh, HS_MAP, "f00003 g2: l=v@1000000");
    hs_clear(&fresh);
    hs_clear(&stale);
  }
}

/* More counters than groups: all of it arrives, nothing above the slot's counter. */
static void copies_of_many_counters(void **state) {
  (void)state;
  hs from;
  hs to;
  hs_init(&from);
  hs_init(&to);
  for (uint64_t i = 0; i < 16; i++) {
    char key[16];
    (void)snprintf(key, sizeof key, "%02u", (unsigned)i);
    assert_int_equal(push1(&from, 10 + i, (hs_elem){.type = HS_MAP, .key = key, .value = "v"}),
                     200);
  }
  assert_int_equal(push1(&from, 8, (hs_elem){.type = HS_NOTE, .value = "n"}), 200);
  assert_int_equal(push1(&from, 30, (hs_elem){.type = HS_NOTE, .value = "n"}), 200);
  assert_int_equal(hs_copy(&from, &to, &from.res, from.alice), 0);
  char *want = strdup(hs_fetch_all(&from, &from.res, HS_MAP));
  assert_non_null(want);
  expect(&to, HS_MAP, want);
  free(want);
  expect(&to, HS_NOTE, "f00001 g8: =n@1000000");
  hs_clear(&to);
  hs_clear(&from);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-103 USG-09 GAP-95 the newer element wins, older ones are skipped", newer_wins),
      TORC_TEST("GAP-103 equal times: the larger signature wins, in any order",
                larger_signature_wins),
      TORC_TEST("GAP-95 GAP-103 counters of two holders meet", counters_meet),
      TORC_TEST("STO-15 STO-17 STO-18 R-25 GAP-98 replicas are checked too", still_checked),
      TORC_TEST("GAP-103 SEC-12 a merge may exceed the quota, within bounds",
                merge_may_exceed_quota),
      TORC_TEST("GAP-103 R-02 arrays merge by index", arrays_merge_by_index),
      TORC_TEST("D-14 R-16 GAP-93 no resurrection by a stale replica", no_resurrection),
      TORC_TEST("D-14 GAP-92 a forwarded REMOVE, once and again", forwarded_in_step),
      TORC_TEST("D-14 GAP-98 the last element is a replica's guess", last_element_is_a_guess),
      TORC_TEST("GAP-98 CHD-35 expired values are not copied", expired_stays_behind),
      TORC_TEST("D-14 a replay spares what was written later", replay_spares_later_elements),
      TORC_TEST("D-14 GAP-93 the removed version comes late", removed_version_comes_late),
      TORC_TEST("D-14 GAP-93 what was removed elsewhere is kept away", kept_away_before_it_comes),
      TORC_TEST("D-14 REM-09 a replay by somebody without right is void", foreign_replay_is_void),
      TORC_TEST("D-14 R-20 GAP-150 a device keeps away its own entries only", own_keys_only),
      TORC_TEST("D-14 GAP-92 replays are bounded", blinds_are_bounded),
      TORC_TEST("R-17 GAP-96 D-14 an append at an index used before", append_at_a_used_index),
      TORC_TEST("D-14 GAP-92 a REMOVE without generation does not travel", no_generation_no_replay),
      TORC_TEST("GAP-86 GAP-98 CHD-35 copying a large resource", large_copy),
      TORC_TEST("CHD-35 a callback ends the copying", callback_ends_copy),
      TORC_TEST("GAP-105 CHD-35 walking a range of the ring", walks_ranges),
      TORC_TEST("CHD-37 GAP-67 dropping a range", drops_range),
      TORC_TEST("GAP-95 raising the counters of a range", raises_generations),
      TORC_TEST("GAP-95 D-14 slots that are begun after a take-over", raises_new_slots),
      TORC_TEST("D-14 GAP-93 GAP-95 a copy under a raised counter stays old", copies_stay_old),
      TORC_TEST("GAP-95 GAP-114 elements of many counters are copied", copies_of_many_counters),
  };
  return TORC_RUN(tests);
}
