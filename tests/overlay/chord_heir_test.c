/* What the peers around a dead one do for whoever answers for its range next, and cannot have what
 * was in it. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topofake.h"
#include "overlay/topology/ring.h"

static const unsigned none[] = {0};
/* self = 0x8000 with 3 + 3 neighbours and two others, all there for a long time. */
static const unsigned ring[] = {0x5000, 0x6000, 0x7000, 0x9000, 0xa000, 0xb000, 0x1000, 0xe000, 0};

static void make(topofake *f) {
  topofake_init(f, "chord-128-2-1", 0x8000);
  topofake_ring(f, ring);
  topofake_run(f, TORC_RING_LATELY + TORC_SEC(1));
  topofake_please(f);
  topofake_forget(f);
}

/* It has had its copies for a long time. */
static void test_one_death(void **state) {
  topofake f;
  (void)state;
  make(&f);
  topofake_link_down(&f, 0x6000);
  assert_int_equal(topofake_view(&f).num_owed, 0);
  topofake_run(&f, TORC_RING_BESIDE + TORC_SEC(1));
  topofake_link_down(&f, 0x5000);
  assert_int_equal(topofake_view(&f).num_owed, 0);
  topofake_clear(&f);
}

/* The heir of 0x5000 was its third successor or farther away until just now. */
static void test_two_deaths(void **state) {
  static const unsigned preds[] = {0x1000, 0xe000, 0};
  topofake f;
  topofake_call c;
  (void)state;
  make(&f);
  topofake_link_down(&f, 0x6000);
  topofake_run(&f, TORC_RING_BESIDE / 2);
  topofake_link_down(&f, 0x5000);
  assert_int_equal(topofake_view(&f).num_owed, 1);
  assert_int_equal(topofake_update(&f, 0x7000, preds, none), TORC_CODE_OK);
  topofake_run(&f, TORC_SEC(1));
  while (!topofake_find(&f, FAKE_TRANSFER, 0, 0x7000, &c)) {
    c = topofake_take(&f, FAKE_CONNECT, 0); /* who is responsible for it was asked before */
    topofake_connected(&f, &c, c.is_exact ? 0 : 0x7000);
  }
  assert_peer(c.from, 0x1000); /* from the nearest that lives: of 0x6000's range nothing is left */
  assert_peer(c.to, 0x5000);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_view(&f).num_owed, 0);
  topofake_clear(&f);
}

/* Whoever joined between a dead peer and this one has no copies, and says nothing about how far
 * away from the dead one this peer is. */
static void test_newcomers(void **state) {
  static const unsigned preds[] = {0x6000, 0x5000, 0};
  topofake f;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x7000, preds, none), TORC_CODE_OK);
  for (unsigned n = 0x7100; n <= 0x7300; n += 0x100) {
    topofake_link(&f, n);
    assert_int_equal(topofake_update(&f, n, none, none), TORC_CODE_OK);
  }
  topofake_please(&f);
  assert_int_equal(topofake_view(&f).num_owed, 0); /* they have their parts of the own range */
  topofake_link_down(&f, 0x7000);
  assert_int_equal(topofake_view(&f).num_owed, 1);
  topofake_clear(&f);
}

/* Without any death here: who stood for the predecessor is no longer vouched for. The neighbours
 * hear of it, as it tells them for what to send their copies. */
static void test_growth_is_told(void **state) {
  static const unsigned lists[] = {0x7800, 0};
  topofake f;
  topofake_call c;
  torc_chord_update u;
  (void)state;
  make(&f);
  assert_int_equal(topofake_update(&f, 0x7000, none, lists), TORC_CODE_OK);
  for (size_t i = 0; i < 3; i++) {
    topofake_run(&f, TORC_SEC(5));
    assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x7800, &c));
    topofake_connected(&f, &c, 0);
  }
  assert_int_equal(topofake_update(&f, 0x9000, lists, none), TORC_CODE_OK);
  topofake_run(&f, TORC_SEC(1));
  topofake_please(&f);
  topofake_forget(&f);
  assert_int_equal(topofake_update(&f, 0x9000, none, none), TORC_CODE_OK);
  c = topofake_take(&f, FAKE_TOOK_OVER, 0);
  assert_peer(c.to, 0x7800);
  topofake_run(&f, TORC_MS(10));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  assert_int_equal(torc_chord_update_decode(&u, (torc_slice){.p = c.payload, .len = c.len}), 0);
  assert_peer(u.predecessors[0], 0x7000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x7000, &c));
  topofake_clear(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("CHD-35 one death", test_one_death),
      TORC_TEST("CHD-24 CHD-35 D-13 two deaths beside each other", test_two_deaths),
      TORC_TEST("CHD-24 CHD-35 newcomers in between", test_newcomers),
      TORC_TEST("CHD-33 CHD-35 GAP-109 a range that grows is announced", test_growth_is_told),
  };
  return TORC_RUN(tests);
}
