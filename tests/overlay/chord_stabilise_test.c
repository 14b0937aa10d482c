/* What Chord does by the clock, fingers, deletion, rejoining, leaving.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topofake.h"

static const unsigned none[] = {0};
static const unsigned ring[] = {0x5000, 0x6000, 0x7000, 0x9000, 0xa000, 0xb000, 0x1000, 0xe000, 0};

static void make(topofake *f, const char *algorithm) {
  topofake_init(f, algorithm, 0x8000);
  topofake_ring(f, ring);
  topofake_run(f, TORC_SEC(2));
  topofake_please(f);
  topofake_forget(f);
}

/* ---- periodic UPDATEs ---- */

/* Time of the first UPDATE after `make`, for one seed of the peer's generator. */
static torc_time first_update(uint64_t seed) {
  topofake f;
  torc_time at;
  topofake_init(&f, "chord-128-2-1", 0x8000);
  torc_rng_seed(&f.rng, seed);
  topofake_link(&f, 0x9000);
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  assert_int_equal(topofake_update(&f, 0x9000, none, none), TORC_CODE_OK);
  for (size_t i = 0; i < 4; i++) { /* what the change of the table brings */
    topofake_run(&f, TORC_MS(500));
    topofake_please(&f);
  }
  at = f.now;
  while (topofake_count(&f, FAKE_REQUEST, TORC_METHOD_UPDATE) == 0 && f.now < at + TORC_SEC(700)) {
    topofake_run(&f, TORC_SEC(1));
  }
  at = f.now - at;
  topofake_clear(&f);
  return at;
}

static void test_first_is_spread(void **state) {
  unsigned in_half[2] = {0, 0};
  (void)state;
  for (uint64_t seed = 1; seed <= 40; seed++) {
    torc_time at = first_update(seed);
    assert_true(at <= TORC_SEC(601));
    in_half[at < TORC_SEC(300) ? 0 : 1]++;
  }
  assert_true(in_half[0] >= 8 && in_half[1] >= 8);
}

static void test_period(void **state) {
  topofake f;
  torc_time last = 0;
  bool differ = false;
  torc_time gap = 0;
  (void)state;
  make(&f, "chord-128-2-1");
  for (size_t i = 0; i < 12; i++) {
    torc_time start = f.now;
    while (topofake_count(&f, FAKE_REQUEST, TORC_METHOD_UPDATE) == 0) {
      topofake_run(&f, TORC_MS(100));
      assert_true(f.now - start < TORC_SEC(661));
    }
    topofake_please(&f);
    if (last != 0) { /* P +- 10 % */
      torc_time this_gap = f.now - last;
      assert_true(this_gap >= TORC_SEC(540) && this_gap <= TORC_SEC(661));
      differ = differ || (gap != 0 && this_gap / TORC_SEC(1) != gap / TORC_SEC(1));
      gap = this_gap;
    }
    last = f.now;
  }
  assert_true(differ);
  topofake_clear(&f);
}

/* Neighbours and fingers, nobody else in the routing table. */
static void test_whom(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f, "chord-128-2-1"); /* its finger: 0x0000, that is 0x1000 */
  assert_peer(topofake_view(&f).fingers[0], 0x1000);
  topofake_run(&f, TORC_SEC(660));
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_UPDATE), 7);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x1000, &c));
  assert_false(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0xe000, &c));
  topofake_clear(&f);
}

/* Who neither is of use nor uses this peer any more is forgotten, and its link may close. */
static void test_unused(void **state) {
  topofake f;
  torc_id unused = topofake_id(0xe000), finger = topofake_id(0x1000);
  (void)state;
  make(&f, "chord-128-2-1");
  assert_true(f.ops->wants_link(f.t, &unused)); /* it still sends UPDATEs */
  for (size_t i = 0; i < 40; i++) {
    topofake_run(&f, TORC_SEC(60));
    topofake_please(&f);
  }
  assert_false(f.ops->wants_link(f.t, &unused));
  assert_true(f.ops->wants_link(f.t, &finger));
  assert_int_equal(topofake_view(&f).num_routing, 7);
  topofake_clear(&f);
}

/* ---- fingers ---- */

static void test_finger_targets(void **state) {
  topofake f;
  topofake_call c;
  size_t seen = 0;
  (void)state;
  topofake_init(&f, "chord-128-1-8", 0x8000);
  topofake_link(&f, 0x9001);
  topofake_link(&f, 0x7f00);
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  assert_int_equal(topofake_update(&f, 0x7f00, none, none), TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0x9001, none, none), TORC_CODE_OK);
  topofake_forget(&f);
  topofake_run(&f, TORC_MS(150));
  /* n + 2^(128-i), nearest first and two at once: 0x8080 0x8100 ... 0x0000 */
  assert_int_equal(topofake_count(&f, FAKE_CONNECT, 0), 2);
  for (unsigned i = 8; i >= 1; i--) {
    torc_id self = topofake_id(0x8000);
    torc_id target = torc_id_add_pow2(&self, 128 - i);
    bool found = false;
    for (size_t k = 0; k < f.num_calls; k++) {
      if (f.calls[k].kind == FAKE_CONNECT && torc_id_eq(&f.calls[k].target, &target)) {
        assert_false(f.calls[k].is_exact);
        c = f.calls[k];
        found = true;
      }
    }
    if (found) {
      seen++;
      topofake_connected(&f, &c, 0); /* fails: so the next ones come */
    }
  }
  assert_int_equal(seen, 8);
  topofake_clear(&f);
}

/* One answer serves every target up to its peer; targets of the own range stay empty. */
static void test_finger_shared(void **state) {
  static const unsigned preds[] = {0x8000, 0x7800, 0};
  static const unsigned succs[] = {0x7800, 0};
  static const unsigned preds2[] = {0x3000, 0};
  topofake f;
  topofake_call c;
  torc_topology_view v;
  (void)state;
  topofake_init(&f, "chord-128-1-8", 0x8000);
  topofake_link(&f, 0x9000);
  topofake_link(&f, 0x7800);
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  assert_int_equal(topofake_update(&f, 0x7800, preds2, none), TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0x9000, preds, succs), TORC_CODE_OK);
  topofake_forget(&f);
  topofake_run(&f, TORC_MS(150));
  v = topofake_view(&f);
  /* Fingers 4..8 lie in (0x8000, 0x9000], which 0x9000 says is its own: no message. */
  for (size_t i = 3; i < 8; i++) {
    assert_peer(v.fingers[i], 0x9000);
  }
  /* Finger 3 (0xa000) is answered by 0x2000, which then serves 2 (0xc000) and 1 (0x0000) as well.
   */
  while (topofake_count(&f, FAKE_CONNECT, 0) > 0) {
    c = topofake_take(&f, FAKE_CONNECT, 0);
    if (c.target.b[0] == 0xa0) {
      topofake_connected(&f, &c, 0x2000);
    }
  }
  topofake_run(&f, TORC_MS(10));
  v = topofake_view(&f);
  assert_peer(v.fingers[2], 0x2000);
  assert_peer(v.fingers[0], 0x2000);
  assert_int_equal(v.num_fingers, 8);
  assert_true(
      topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x2000, &c)); /* it learns of us */
  topofake_clear(&f);
}

static void test_finger_self(void **state) {
  static const unsigned one[] = {0x8100, 0};
  static const unsigned preds[] = {0x8000, 0};
  topofake f;
  torc_topology_view v;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, one); /* this peer owns (0x8100, 0x8000] */
  assert_int_equal(topofake_update(&f, 0x8100, preds, preds), TORC_CODE_OK);
  topofake_run(&f, TORC_SEC(200));
  topofake_please(&f);
  v = topofake_view(&f);
  for (size_t i = 0; i < 6; i++) {
    assert_false(torc_id_is_peer(&v.fingers[i]));
  }
  assert_peer(v.fingers[7], 0x8100); /* 0x8080 */
  topofake_clear(&f);
}

static void test_finger_ping(void **state) {
  topofake f;
  topofake_call ping, c;
  torc_id self = topofake_id(0x8000);
  torc_id target = torc_id_add_pow2(&self, 127);
  (void)state;
  make(&f, "chord-128-2-1");
  f.no_bootstrap = true;
  topofake_run(&f, TORC_SEC(3961));
  assert_true(topofake_count(&f, FAKE_PING, 0) >= 1);
  ping = topofake_take(&f, FAKE_PING, 0);
  assert_memory_equal(ping.target.b, target.b, TORC_ID_LEN);
  topofake_forget(&f);
  /* Another peer answers: it is linked and replaces the entry. */
  topofake_pong(&f, &ping, 0x0800);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  assert_peer(c.target, 0x0800);
  assert_peer(topofake_view(&f).fingers[0], 0x1000); /* until then the old one serves */
  topofake_connected(&f, &c, 0x0800);
  assert_peer(topofake_view(&f).fingers[0], 0x0800);
  /* The same peer again: nothing to do. */
  topofake_forget(&f);
  topofake_run(&f, TORC_SEC(3961));
  ping = topofake_take(&f, FAKE_PING, 0);
  topofake_forget(&f);
  topofake_pong(&f, &ping, 0x0800);
  assert_int_equal(topofake_count(&f, FAKE_CONNECT, 0), 0);
  topofake_clear(&f);
}

static void test_finger_period(void **state) {
  topofake f;
  size_t num = 0;
  (void)state;
  make(&f, "chord-128-2-4");
  f.no_bootstrap = true;
  for (size_t i = 0; i < 36 * 60; i++) { /* 36 hours */
    topofake_run(&f, TORC_SEC(60));
    num += topofake_count(&f, FAKE_PING, 0);
    topofake_please(&f);
  }
  assert_in_range(num, 36 * 10 / 11 - 1, 36 * 10 / 9 + 1);
  topofake_clear(&f);
}

static void test_finger_lost(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f, "chord-128-2-1");
  topofake_link_down(&f, 0x1000);
  assert_false(torc_id_is_peer(&topofake_view(&f).fingers[0]));
  assert_int_equal(f.state, TORC_TOPO_JOINED); /* one finger is not the ring */
  topofake_run(&f, TORC_SEC(3));
  c = topofake_take(&f, FAKE_CONNECT, 0);
  assert_false(c.is_exact);
  topofake_connected(&f, &c, 0x1800);
  assert_peer(topofake_view(&f).fingers[0], 0x1800);
  topofake_clear(&f);
}

/* ---- deletion ---- */

static void test_deletion(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f, "chord-128-2-1");
  topofake_run(&f, TORC_SEC(20));
  assert_int_equal(topofake_count(&f, FAKE_DROP, 0), 0);
  topofake_run(&f, TORC_SEC(41));
  c = topofake_take(&f, FAKE_DROP,
                    0); /* three predecessors lie in [R, self) iff R is in (self, third] */
  assert_peer(c.from, 0x8000);
  assert_peer(c.to, 0x5000);
  topofake_clear(&f);
}

/* A change of the table, a JOIN under way, copies not yet made, a neighbour with another view:
 * nothing is deleted. */
static void test_deletion_waits(void **state) {
  topofake f;
  torc_id sender = topofake_id(0x7000), resource = topofake_id(0x5800);
  static const unsigned preds[] = {0x5000, 0};
  static const unsigned succs[] = {0x8000, 0};
  (void)state;
  make(&f, "chord-128-2-1");
  topofake_run(&f, TORC_SEC(30));
  topofake_link_down(&f, 0xb000); /* the view changes */
  topofake_run(&f, TORC_SEC(59));
  assert_int_equal(topofake_count(&f, FAKE_DROP, 0), 0);
  topofake_link_up(&f, 0x7800);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_OK);
  topofake_run(&f, TORC_SEC(120));
  assert_int_equal(topofake_count(&f, FAKE_DROP, 0), 0);
  topofake_clear(&f);
  make(&f, "chord-128-2-1");
  topofake_link_down(&f, 0x9000); /* 0xb000 must get a copy first: the transfer is never answered */
  topofake_run(&f, TORC_SEC(200));
  assert_int_equal(topofake_count(&f, FAKE_DROP, 0), 0);
  topofake_clear(&f);
  make(&f, "chord-128-2-1");
  assert_int_equal(topofake_update(&f, 0x7000, preds, succs), TORC_CODE_OK);
  assert_true(f.ops->accepts_copy(f.t, &sender, &resource)); /* it counts on this peer */
  topofake_run(&f, TORC_SEC(600));
  assert_int_equal(topofake_count(&f, FAKE_DROP, 0), 0);
  topofake_clear(&f);
}

/* With as many peers as copies nothing is ever deleted. */
static void test_deletion_small(void **state) {
  static const unsigned three[] = {0x2000, 0xa000, 0};
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-2-1", 0x8000);
  topofake_ring(&f, three);
  for (size_t i = 0; i < 30; i++) {
    topofake_run(&f, TORC_SEC(60));
    assert_int_equal(topofake_count(&f, FAKE_DROP, 0), 0);
    topofake_please(&f);
  }
  topofake_clear(&f);
}

/* ---- bootstrap peers ---- */

static void test_boot_ping(void **state) {
  topofake f;
  topofake_call c;
  torc_id self = topofake_id(0x8000);
  torc_id target = torc_id_next(&self);
  (void)state;
  make(&f, "chord-128-2-1");
  topofake_run(&f, TORC_SEC(600)); /* past the founder's period */
  topofake_please(&f);
  topofake_forget(&f);
  topofake_run(&f, TORC_SEC(3960));
  assert_in_range(topofake_count(&f, FAKE_BOOT_PING, 0), 1, 2);
  c = topofake_take(&f, FAKE_BOOT_PING, 0);
  assert_memory_equal(c.target.b, target.b, TORC_ID_LEN);
  topofake_forget(&f);
  topofake_pong(&f, &c, 0x9000); /* the known successor: one ring */
  assert_int_equal(topofake_count(&f, FAKE_CONNECT, 0), 0);
  topofake_clear(&f);
}

static void test_boot_merge(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f, "chord-128-2-1");
  topofake_run(&f, TORC_SEC(20));
  c = topofake_take(&f, FAKE_BOOT_PING, 0);
  topofake_pong(&f, &c, 0x8400); /* a closer successor: another ring */
  c = topofake_take(&f, FAKE_CONNECT, 0);
  assert_peer(c.target, 0x8400);
  assert_true(c.has_via);
  assert_memory_equal(c.via.b, torc_id_wildcard.b, TORC_ID_LEN);
  topofake_connected(&f, &c, 0x8400);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x8400, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_peer(topofake_view(&f).successors[0], 0x8400);
  assert_true(topofake_view(&f).stats.merges >= 1);
  topofake_clear(&f);
}

/* A founder asks every 10 s for one UPDATE period. */
static void test_founder(void **state) {
  topofake f;
  size_t num = 0;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  for (size_t i = 0; i < 60; i++) {
    topofake_run(&f, TORC_SEC(10));
    while (topofake_count(&f, FAKE_BOOT_PING, 0) > 0) {
      topofake_call c = topofake_take(&f, FAKE_BOOT_PING, 0);
      topofake_pong(&f, &c, 0);
      num++;
    }
  }
  assert_in_range(num, 53, 67);
  topofake_run(&f, TORC_SEC(1800));
  assert_true(topofake_count(&f, FAKE_BOOT_PING, 0) <= 2);
  topofake_clear(&f);
}

/* With short periods the founder asks more often. */
static void test_founder_short(void **state) {
  topofake f;
  torc_topology *t;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  f.ops->destroy(f.t);
  f.params.update_period = TORC_SEC(12);
  assert_int_equal(f.ops->create(&t, &f.host, &f.params), 0);
  f.t = t;
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  topofake_run(&f, TORC_MS(2300));
  assert_int_equal(topofake_count(&f, FAKE_BOOT_PING, 0), 1);
  topofake_clear(&f);
}

/* A founder that meets a ring: it is told where its border is, and gives away what is not its own.
 */
static void test_founder_meets_ring(void **state) {
  static const unsigned preds[] = {0x8000, 0x5000, 0x3000, 0};
  static const unsigned succs[] = {0x3000, 0x5000, 0};
  topofake f;
  topofake_call c;
  torc_id far = topofake_id(0x2000);
  (void)state;
  topofake_init(&f, "chord-128-2-1", 0x8000);
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  topofake_run(&f, TORC_SEC(12));
  c = topofake_take(&f, FAKE_BOOT_PING, 0);
  topofake_pong(&f, &c, 0xc000);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  topofake_connected(&f, &c, 0xc000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0xc000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0xc000, preds, succs), TORC_CODE_OK);
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0xc000, &c));
  topofake_run(&f, TORC_MS(200));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x5000, &c));
  topofake_connected(&f, &c, 0x5000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x5000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_peer(topofake_view(&f).range_from, 0x5000);
  assert_false(f.ops->is_responsible(f.t, &far));
  topofake_clear(&f);
}

/* ---- cut off ---- */

static void test_cut_off(void **state) {
  static const unsigned two[] = {0x2000, 0xa000, 0};
  topofake f;
  topofake_call c;
  torc_id any = topofake_id(0x1234);
  (void)state;
  topofake_init(&f, "chord-128-2-1", 0x8000);
  topofake_ring(&f, two);
  topofake_link_down(&f, 0x2000);
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  topofake_link_down(&f, 0xa000);
  assert_int_equal(f.state, TORC_TOPO_DISCONNECTED);
  assert_true(f.ops->is_responsible(f.t, &any)); /* whoever still reaches this peer is served */
  topofake_forget(&f);
  /* 5 s, 10 s, 20 s ... 5 min, with jitter. */
  topofake_run(&f, TORC_SEC(5));
  assert_int_equal(topofake_count(&f, FAKE_BOOT_PING, 0), 1);
  for (size_t i = 0; i < 30; i++) {
    c = topofake_take(&f, FAKE_BOOT_PING, 0);
    topofake_pong(&f, &c, 0);
    topofake_run(&f, TORC_SEC(300));
    assert_true(topofake_count(&f, FAKE_BOOT_PING, 0) >= 1);
    if (i > 8) {
      assert_true(topofake_count(&f, FAKE_BOOT_PING, 0) <= 3);
    }
    while (topofake_count(&f, FAKE_BOOT_PING, 0) > 1) {
      c = topofake_take(&f, FAKE_BOOT_PING, 0);
      topofake_pong(&f, &c, 0);
    }
  }
  /* Somebody answers: link, then JOIN like any newcomer. */
  c = topofake_take(&f, FAKE_BOOT_PING, 0);
  topofake_forget(&f);
  topofake_pong(&f, &c, 0x9000);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  assert_memory_equal(c.via.b, torc_id_wildcard.b, TORC_ID_LEN);
  topofake_connected(&f, &c, 0x9000);
  assert_int_equal(f.state, TORC_TOPO_JOINING);
  assert_true(f.ops->is_responsible(f.t, &any)); /* until the new ring has it */
  assert_int_equal(topofake_count(&f, FAKE_PING, 0), 1);
  topofake_clear(&f);
}

/* After a rejoin, what was written while apart is owed to the ring. */
static void test_rejoin_owes(void **state) {
  static const unsigned one[] = {0x2000, 0};
  static const unsigned label[] = {0x8000, 0x6000, 0};
  torc_id boot = topofake_id(0x9000);
  topofake f;
  topofake_call c;
  (void)state;
  topofake_init(&f, "chord-128-2-1", 0x8000);
  topofake_ring(&f, one);
  topofake_link_down(&f, 0x2000);
  f.has_data = true;
  topofake_link_up(&f, 0x9000);
  assert_int_equal(f.ops->start(f.t, &boot), 0);
  c = topofake_take(&f, FAKE_PING, 0);
  topofake_pong(&f, &c, 0x9000);
  c = topofake_take(&f, FAKE_PING, 0);
  topofake_pong(&f, &c, 0x9000);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  topofake_connected(&f, &c, 0x9000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_JOIN, 0x9000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0x9000, label, none), TORC_CODE_OK);
  assert_peer(topofake_view(&f).range_from, 0x6000);
  assert_int_equal(topofake_view(&f).num_owed, 1);
  topofake_clear(&f);
}

/* A peer of the old ring comes back by itself. */
static void test_cut_off_joined(void **state) {
  static const unsigned one[] = {0x2000, 0};
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-2-1", 0x8000);
  topofake_ring(&f, one);
  topofake_link_down(&f, 0x2000);
  assert_int_equal(f.state, TORC_TOPO_DISCONNECTED);
  topofake_link(&f, 0x3000);
  assert_int_equal(topofake_update(&f, 0x3000, none, none), TORC_CODE_OK);
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  topofake_clear(&f);
}

/* ---- leaving ---- */

static void test_leave(void **state) {
  topofake f;
  topofake_call c;
  torc_peer_notice n;
  torc_id own = topofake_id(0x7800);
  size_t num = 0;
  (void)state;
  make(&f, "chord-128-2-1");
  topofake_link_up(&f, 0x4444); /* a client */
  for (size_t i = 0; ring[i] != 0; i++) {
    topofake_link_up(&f, ring[i]);
  }
  topofake_run(&f, TORC_SEC(1));
  topofake_please(&f);
  f.ops->leave(f.t);
  assert_int_equal(f.state, TORC_TOPO_LEAVING);
  assert_false(f.ops->is_responsible(f.t, &own));
  while (topofake_count(&f, FAKE_REQUEST, TORC_METHOD_LEAVE) > 0) {
    c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_LEAVE);
    assert_int_equal(torc_peer_notice_decode(&n, (torc_slice){.p = c.payload, .len = c.len}), 0);
    assert_peer(n.peer, 0x8000);
    assert_int_equal(n.dht_specific.len, 0);
    num++;
    assert_int_equal(f.state, TORC_TOPO_LEAVING);
    topofake_answer(&f, &c, TORC_CODE_OK);
  }
  assert_int_equal(num, 9); /* every directly connected peer */
  assert_int_equal(f.state, TORC_TOPO_LEFT);
  f.ops->leave(f.t); /* twice is harmless */
  topofake_clear(&f);
}

/* What is not yet replicated is pushed first; all of it takes three seconds at most. */
static void test_leave_pushes(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f, "chord-128-2-1");
  topofake_link_up(&f, 0x9000);
  topofake_please(&f);
  topofake_link_down(&f, 0xa000);
  c = topofake_take(&f, FAKE_TRANSFER, 0); /* to the new second replica */
  f.ops->leave(f.t);
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_LEAVE), 0);
  topofake_answer(&f, &c, TORC_CODE_OK);
  while (topofake_count(&f, FAKE_TRANSFER, 0) > 0) {
    c = topofake_take(&f, FAKE_TRANSFER, 0);
    topofake_answer(&f, &c, TORC_CODE_OK);
  }
  assert_true(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_LEAVE) > 0);
  topofake_run(&f, TORC_SEC(2));
  assert_int_equal(f.state, TORC_TOPO_LEAVING);
  topofake_run(&f, TORC_SEC(2)); /* nobody answers */
  assert_int_equal(f.state, TORC_TOPO_LEFT);
  topofake_clear(&f);
  make(&f, "chord-128-2-1");
  topofake_link_down(&f, 0xa000); /* the push never ends */
  f.ops->leave(f.t);
  topofake_run(&f, TORC_MS(2500));
  topofake_run(&f, TORC_MS(600));
  assert_int_equal(f.state, TORC_TOPO_LEFT);
  topofake_clear(&f);
}

static void test_leave_received(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f, "chord-128-2-1");
  assert_int_equal(topofake_leave(&f, 0x9000, 0xa000), TORC_CODE_FORBIDDEN); /* about another */
  assert_int_equal(topofake_request(&f, 0x9000, TORC_METHOD_LEAVE, (torc_slice){0}),
                   TORC_CODE_BAD_REQUEST);
  assert_int_equal(topofake_view(&f).num_routing, 8);
  assert_int_equal(topofake_leave(&f, 0x9000, 0x9000), TORC_CODE_OK);
  assert_peer(topofake_view(&f).successors[0], 0xa000); /* at once, without a PING */
  assert_int_equal(topofake_count(&f, FAKE_PING, 0), 0);
  c = topofake_take(&f, FAKE_TRANSFER, 0);
  assert_peer(c.target, 0xb000);
  topofake_run(&f, TORC_SEC(2));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0xa000, &c));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x7000, &c));
  assert_false(topofake_find(&f, FAKE_CONNECT, 0, 0x9000, &c)); /* no attempt to get it back */
  assert_int_equal(topofake_leave(&f, 0x7000, 0x7000), TORC_CODE_OK);
  assert_peer(topofake_view(&f).range_from, 0x6000);
  /* A copy it sent before it left still counts. */
  torc_id sender = topofake_id(0x7000), resource = topofake_id(0x6800);
  assert_true(f.ops->accepts_copy(f.t, &sender, &resource));
  topofake_clear(&f);
}

static void test_leave_client(void **state) {
  topofake f;
  (void)state;
  make(&f, "chord-128-2-1");
  topofake_link_up(&f, 0x4444);
  assert_int_equal(topofake_leave(&f, 0x4444, 0x4444), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(100));
  assert_int_equal(f.num_calls, 0);
  topofake_clear(&f);
}

/* The last other peer says goodbye: a ring of one, not a peer that is cut off. */
static void test_leave_last(void **state) {
  static const unsigned one[] = {0x2000, 0};
  topofake f;
  torc_id any = topofake_id(0x1234);
  (void)state;
  topofake_init(&f, "chord-128-2-1", 0x8000);
  topofake_ring(&f, one);
  assert_int_equal(topofake_leave(&f, 0x2000, 0x2000), TORC_CODE_OK);
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  assert_true(f.ops->is_responsible(f.t, &any));
  topofake_link_down(&f, 0x2000);
  f.ops->leave(f.t); /* and alone there is nobody to tell */
  assert_int_equal(f.state, TORC_TOPO_LEFT);
  topofake_clear(&f);
}

static void test_links_limit(void **state) {
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-2-1", 0x8000);
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  for (unsigned n = 1; n <= 550; n++) {
    f.linked[f.num_linked++] = topofake_id(n);
    f.ops->on_link_up(f.t, &f.linked[f.num_linked - 1]);
  }
  assert_int_equal(topofake_view(&f).num_routing, 0);
  f.refuse_calls = true;
  f.ops->leave(f.t);
  assert_int_equal(topofake_view(&f).stats.links_ignored, 550 - 512);
  assert_int_equal(f.state, TORC_TOPO_LEFT);
  topofake_clear(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("CHD-40 GAP-120 the first UPDATE is spread over the period", test_first_is_spread),
      TORC_TEST("CHD-38 CHD-39 CHD-40 GAP-120 ARC-07 period and jitter", test_period),
      TORC_TEST("CHD-38 GAP-120 UPDATE to neighbours and fingers", test_whom),
      TORC_TEST("GAP-162 members without use are forgotten", test_unused),
      TORC_TEST("CHD-03 CHD-12 CHD-19 GAP-111 finger targets", test_finger_targets),
      TORC_TEST("GAP-111 GAP-112 CHD-19 one peer for several fingers", test_finger_shared),
      TORC_TEST("GAP-111 CHD-34 this peer is no finger", test_finger_self),
      TORC_TEST("CHD-43 CHD-45 finger PING", test_finger_ping),
      TORC_TEST("CHD-44 GAP-120 period of finger PINGs", test_finger_period),
      TORC_TEST("CHD-26 GAP-122 ARC-19 a finger is lost", test_finger_lost),
      TORC_TEST("CHD-37 GAP-119 deletion", test_deletion),
      TORC_TEST("GAP-119 CHD-36 deletion waits", test_deletion_waits),
      TORC_TEST("D-13 GAP-119 nothing to delete in a small ring", test_deletion_small),
      TORC_TEST("GAP-124 bootstrap peers are asked", test_boot_ping),
      TORC_TEST("GAP-124 another ring is met", test_boot_merge),
      TORC_TEST("R-51 a founder asks more often", test_founder),
      TORC_TEST("R-51 a founder with short periods", test_founder_short),
      TORC_TEST("R-51 GAP-124 a founder meets a ring", test_founder_meets_ring),
      TORC_TEST("CHD-26 GAP-122 cut off", test_cut_off),
      TORC_TEST("CHD-26 GAP-103 GAP-124 data written while apart", test_rejoin_owes),
      TORC_TEST("GAP-122 the ring comes back", test_cut_off_joined),
      TORC_TEST("LEA-01 LEA-02 LEA-03 CHD-46 GAP-118 leaving", test_leave),
      TORC_TEST("GAP-118 LEA-01 leaving pushes first and ends in time", test_leave_pushes),
      TORC_TEST("LEA-04 CHD-47 GAP-118 GAP-54 a neighbour leaves", test_leave_received),
      TORC_TEST("R-47 LEA-02 a client leaves", test_leave_client),
      TORC_TEST("LEA-04 GAP-109 the last one leaves", test_leave_last),
      TORC_TEST("LEA-01 limit of links told of a LEAVE", test_links_limit),
  };
  return TORC_RUN(tests);
}
