/* Chord's tables: who owns an id, the next hop, the lists, fingers, which copies are taken.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topofake.h"

static const unsigned none[] = {0};

/* self = 0x8000; peers 0x1000 .. 0xf000 in steps of 0x1000, less self. */
static const unsigned all15[] = {0x1000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000, 0x9000,
                                 0xa000, 0xb000, 0xc000, 0xd000, 0xe000, 0xf000, 0};
static const unsigned few[] = {0x7000, 0x9000, 0xc000, 0x2000, 0};

static bool owns(topofake *f, unsigned n) {
  torc_id id = topofake_id(n);
  return f->ops->is_responsible(f->t, &id);
}

/* ---- responsibility ---- */

static void test_owner(void **state) {
  static const struct {
    unsigned id;
    bool is_own;
  } cases[] = {{0x8000, true}, {0x7001, true},  {0x7000, false}, {0x8001, false},
               {0x7fff, true}, {0xffff, false}, {0x0001, false}, {0x9000, false}};
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    assert_int_equal(owns(&f, cases[i].id), cases[i].is_own);
  }
  topofake_clear(&f);
}

static void test_owner_wraps(void **state) {
  static const unsigned peers[] = {0xf000, 0x5000, 0};
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x1000);
  topofake_ring(&f, peers);
  assert_true(owns(&f, 0xf001));
  assert_true(owns(&f, 0xffff));
  assert_true(owns(&f, 0x0000));
  assert_true(owns(&f, 0x1000));
  assert_false(owns(&f, 0xf000));
  assert_false(owns(&f, 0x1001));
  topofake_clear(&f);
}

static void test_owner_alone(void **state) {
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  assert_false(owns(&f, 0x8000)); /* not started */
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  assert_true(owns(&f, 0x8000));
  assert_true(owns(&f, 0x8001));
  assert_true(owns(&f, 1));
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  topofake_clear(&f);
}

/* ---- next hop ---- */

typedef struct hop_case {
  unsigned id, hop;
} hop_case;

static void test_next_hop(void **state) {
  static const hop_case cases[] = {
      {0x9000, 0x9000}, /* a member itself */
      {0x8800, 0x9000}, /* between self and its successor: the successor, which owns it */
      {0x9001, 0x9000}, /* largest id not beyond k */
      {0xbfff, 0x9000}, {0xc000, 0xc000}, {0xc001, 0xc000}, {0xffff, 0xc000},
      {0x0001, 0xc000}, /* past zero */
      {0x2000, 0x2000}, {0x6fff, 0x2000}, {0x7000, 0x7000}, {0x7800, 0x7000}};
  topofake f;
  torc_id out;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, few);
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_id id = topofake_id(cases[i].id);
    assert_true(f.ops->next_hop(f.t, &id, &out));
    assert_peer(out, cases[i].hop);
  }
  topofake_clear(&f);
}

static void test_next_hop_none(void **state) {
  topofake f;
  torc_id id = topofake_id(5), out;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  assert_false(f.ops->next_hop(f.t, &id, &out));
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  assert_false(f.ops->next_hop(f.t, &id, &out));
  topofake_link_up(&f, 0x9000); /* a link alone is not a place in the routing table */
  assert_false(f.ops->next_hop(f.t, &id, &out));
  topofake_clear(&f);
}

/* Each hop lies in (self, k], but one that names the owner itself; with the redirect rule the walk
 * ends. */
static void test_next_hop_progress(void **state) {
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, few);
  for (unsigned k = 1; k < 0xffff; k += 77) {
    torc_id id = topofake_id(k), out;
    torc_id self = topofake_id(0x8000);
    if (owns(&f, k)) {
      continue;
    }
    assert_true(f.ops->next_hop(f.t, &id, &out));
    if (!torc_id_in_open_closed(&out, &self, &id)) {
      assert_peer(out, 0x9000); /* the successor, and k lies before it */
      assert_true(torc_id_in_open_closed(&id, &self, &out));
    }
  }
  topofake_clear(&f);
}

/* A neighbour that has said where its range begins is taken directly, also counter-clockwise:
 * without that a message for a newly joined peer would go back and forth between its neighbours. */
static void test_next_hop_claimed(void **state) {
  static const unsigned preds[] = {0x6800, 0x6000, 0};
  topofake f;
  torc_id id = topofake_id(0x6900), out;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, few);
  assert_int_equal(topofake_update(&f, 0x7000, preds, none), TORC_CODE_OK);
  assert_true(f.ops->next_hop(f.t, &id, &out));
  assert_peer(out, 0x7000);
  id = topofake_id(0x6700); /* not its own */
  assert_true(f.ops->next_hop(f.t, &id, &out));
  assert_peer(out, 0x2000);
  topofake_clear(&f);
}

/* ---- neighbours ---- */

static void test_neighbours(void **state) {
  topofake f;
  torc_topology_view v;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  v = topofake_view(&f);
  assert_int_equal(v.num_predecessors, 3);
  assert_int_equal(v.num_successors, 3);
  assert_peer(v.predecessors[0], 0x7000);
  assert_peer(v.predecessors[1], 0x6000);
  assert_peer(v.predecessors[2], 0x5000);
  assert_peer(v.successors[0], 0x9000);
  assert_peer(v.successors[1], 0xa000);
  assert_peer(v.successors[2], 0xb000);
  for (unsigned n = 0x1000; n <= 0xf000; n += 0x1000) {
    torc_id id = topofake_id(n);
    bool is_near = n >= 0x5000 && n <= 0xb000 && n != 0x8000;
    assert_int_equal(f.ops->is_neighbour(f.t, &id), is_near);
    if (is_near) {
      assert_true(f.ops->wants_link(f.t, &id));
    }
  }
  topofake_clear(&f);
}

/* With fewer than four others a peer stands in both lists, itself never. */
static void test_tiny_rings(void **state) {
  static const unsigned two[] = {0x2000, 0};
  static const unsigned three[] = {0x2000, 0xa000, 0};
  topofake f;
  torc_topology_view v;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, two);
  v = topofake_view(&f);
  assert_int_equal(v.num_predecessors, 1);
  assert_int_equal(v.num_successors, 1);
  assert_peer(v.predecessors[0], 0x2000);
  assert_peer(v.successors[0], 0x2000);
  assert_peer(v.range_from, 0x2000);
  topofake_clear(&f);
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, three);
  v = topofake_view(&f);
  assert_int_equal(v.num_predecessors, 2);
  assert_peer(v.predecessors[0], 0x2000);
  assert_peer(v.predecessors[1], 0xa000);
  assert_peer(v.successors[0], 0xa000);
  assert_peer(v.successors[1], 0x2000);
  topofake_clear(&f);
}

static void test_self_never_listed(void **state) {
  static const unsigned with_self[] = {0x8000, 0x7000, 0};
  topofake f;
  torc_topology_view v;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, few);
  assert_int_equal(topofake_update(&f, 0x9000, with_self, with_self), TORC_CODE_OK);
  topofake_run(&f, TORC_SEC(5));
  topofake_please(&f);
  v = topofake_view(&f);
  for (size_t i = 0; i < v.num_successors; i++) {
    assert_false(torc_id_eq(&v.successors[i], &f.host.self));
    assert_false(torc_id_eq(&v.predecessors[i], &f.host.self));
  }
  topofake_clear(&f);
}

/* With eight copies asked for, nine neighbours are kept on each side. */
static void test_more_replicas(void **state) {
  topofake f;
  torc_topology_view v;
  torc_id out[TORC_REPLICAS_MAX];
  torc_id own = topofake_id(0x8000);
  (void)state;
  topofake_init(&f, "chord-128-6-8", 0x8000);
  topofake_ring(&f, all15);
  v = topofake_view(&f);
  assert_int_equal(v.num_successors, 7);
  assert_int_equal(f.ops->replicas(f.t, &own, out), 6);
  assert_peer(out[5], 0xe000);
  topofake_clear(&f);
}

/* ---- replicas and copies ---- */

static void test_replicas(void **state) {
  static const unsigned two[] = {0x2000, 0};
  topofake f;
  torc_id own = topofake_id(0x7800);
  torc_id out[TORC_REPLICAS_MAX];
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  assert_int_equal(f.ops->replicas(f.t, &own, out), 0);
  topofake_clear(&f);
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, two);
  assert_int_equal(f.ops->replicas(f.t, &own, out), 1);
  assert_peer(out[0], 0x2000);
  topofake_clear(&f);
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  assert_int_equal(f.ops->replicas(f.t, &own, out), 2);
  assert_peer(out[0], 0x9000);
  assert_peer(out[1], 0xa000);
  topofake_clear(&f);
}

typedef struct copy_case {
  unsigned sender, resource;
  bool is_taken;
} copy_case;

static void test_copies(void **state) {
  static const copy_case cases[] = {
      {0x7000, 0x6001, true},                           /* first predecessor, its own range */
      {0x7000, 0x7000, true},  {0x7000, 0x6000, false}, /* its predecessor's */
      {0x6000, 0x5800, true},                           /* second predecessor */
      {0x6000, 0x6800, false},                          /* not its range */
      {0x5000, 0x4800, false},                          /* third: this peer is no replica of it */
      {0x9000, 0x8800, false}, /* a successor's range is not copied backwards */
      {0x9000, 0x7800, true},  /* but a successor may give back what belongs here */
      {0x1000, 0x0800, false}, {0x1234, 0x6800, false}};
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  topofake_run(&f, TORC_SEC(200)); /* past every minute of grace */
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_id sender = topofake_id(cases[i].sender), resource = topofake_id(cases[i].resource);
    assert_int_equal(f.ops->accepts_copy(f.t, &sender, &resource), cases[i].is_taken);
  }
  assert_int_equal(topofake_view(&f).stats.copies_refused, 6);
  topofake_clear(&f);
}

/* The predecessor knows of a death first: its UPDATE gives its new range. */
static void test_copies_announced(void **state) {
  static const unsigned preds[] = {0x5000, 0x4000, 0x3000, 0};
  static const unsigned succs[] = {0x8000, 0x9000, 0xa000, 0};
  topofake f;
  torc_id sender = topofake_id(0x7000), resource = topofake_id(0x5800);
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  topofake_run(&f, TORC_SEC(200));
  assert_false(f.ops->accepts_copy(f.t, &sender, &resource));
  assert_int_equal(topofake_update(&f, 0x7000, preds, succs), TORC_CODE_OK);
  assert_true(f.ops->accepts_copy(f.t, &sender, &resource));
  topofake_clear(&f);
}

/* What fitted before a change fits for 60 s more. */
static void test_copies_former(void **state) {
  topofake f;
  torc_id sender = topofake_id(0x6000), resource = topofake_id(0x5800);
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  topofake_run(&f, TORC_SEC(200));
  topofake_link(&f, 0x7800);
  assert_int_equal(topofake_update(&f, 0x7800, none, none), TORC_CODE_OK);
  assert_true(f.ops->accepts_copy(f.t, &sender, &resource)); /* now the third predecessor */
  topofake_run(&f, TORC_SEC(61));
  assert_false(f.ops->accepts_copy(f.t, &sender, &resource));
  topofake_clear(&f);
}

/* Merged data for the own range: from any peer of the ring within a minute of its becoming known;
 * from a mere link or after that minute, no. */
static void test_copies_merge(void **state) {
  topofake f;
  torc_id sender = topofake_id(0x1800), own = topofake_id(0x7800), foreign = topofake_id(0x1700);
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  topofake_run(&f, TORC_SEC(200));
  topofake_link_up(&f, 0x1800);
  assert_false(f.ops->accepts_copy(f.t, &sender, &own));
  assert_int_equal(topofake_update(&f, 0x1800, none, none), TORC_CODE_OK);
  assert_true(f.ops->accepts_copy(f.t, &sender, &own));
  assert_false(f.ops->accepts_copy(f.t, &sender, &foreign));
  topofake_run(&f, TORC_SEC(61));
  assert_false(f.ops->accepts_copy(f.t, &sender, &own));
  /* The window opens again with an UPDATE, but only once per UPDATE period. */
  assert_int_equal(topofake_update(&f, 0x1800, none, none), TORC_CODE_OK);
  assert_false(f.ops->accepts_copy(f.t, &sender, &own));
  topofake_clear(&f);
}

/* What was merged in is replicated a second later. */
static void test_merged_is_replicated(void **state) {
  topofake f;
  torc_id sender = topofake_id(0x9000), own = topofake_id(0x7800);
  topofake_call c;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  assert_true(f.ops->accepts_copy(f.t, &sender, &own));
  assert_int_equal(topofake_count(&f, FAKE_TRANSFER, 0), 0);
  topofake_run(&f, TORC_SEC(2));
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x9000, &c));
  assert_peer(c.from, 0x7000);
  assert_peer(c.to, 0x8000);
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0xa000, &c));
  topofake_clear(&f);
}

/* One write that a replica refused is repaired by sending it the range again. */
static void test_copy_failed(void **state) {
  topofake f;
  torc_id peer = topofake_id(0xa000), other = topofake_id(0x1000);
  topofake_call c;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  f.ops->on_copy_failed(f.t, &other); /* no replica of ours: nothing to do */
  f.ops->on_copy_failed(f.t, &peer);
  assert_int_equal(topofake_view(&f).num_unreplicated, 1);
  topofake_run(&f, TORC_SEC(1));
  assert_int_equal(topofake_count(&f, FAKE_TRANSFER, 0), 1);
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0xa000, &c));
  topofake_answer(&f, &c, TORC_CODE_FORBIDDEN);
  topofake_run(&f, TORC_SEC(2)); /* again, with a growing pause */
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0xa000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_view(&f).num_unreplicated, 0);
  topofake_clear(&f);
}

/* A value that its owner stores under two names lies with two sets of peers: a malicious holder of
 * one set cannot touch the other. */
static void test_separate_copies(void **state) {
  topofake f;
  torc_id here = topofake_id(0x7800), there = topofake_id(0x1800);
  torc_id out[TORC_REPLICAS_MAX], hop;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, all15);
  assert_true(f.ops->is_responsible(f.t, &here));
  assert_false(f.ops->is_responsible(f.t, &there));
  assert_int_equal(f.ops->replicas(f.t, &here, out), 2);
  assert_true(f.ops->next_hop(f.t, &there, &hop));
  assert_false(torc_id_eq(&hop, &out[0]) || torc_id_eq(&hop, &out[1]));
  topofake_clear(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("CHD-04 ARC-09 GAP-109 owner of (p, n]", test_owner),
      TORC_TEST("CHD-04 ARC-18 the range passes zero", test_owner_wraps),
      TORC_TEST("GAP-109 R-51 alone: everything", test_owner_alone),
      TORC_TEST("CHD-05 RTG-17 GAP-110 ARC-06 next hop", test_next_hop),
      TORC_TEST("GAP-110 ARC-14 CHD-12 no routing-table peer, no hop", test_next_hop_none),
      TORC_TEST("R-04 GAP-36 every hop moves on", test_next_hop_progress),
      TORC_TEST("GAP-36 R-04 a neighbour known to be responsible", test_next_hop_claimed),
      TORC_TEST("CHD-02 CHD-22 R-05 GAP-162 three and three", test_neighbours),
      TORC_TEST("GAP-113 CHD-34 tiny rings", test_tiny_rings),
      TORC_TEST("CHD-34 itself in an UPDATE", test_self_never_listed),
      TORC_TEST("D-12 GAP-113 GAP-119 more copies, more neighbours", test_more_replicas),
      TORC_TEST("CHD-06 CHD-07 D-13 replica set", test_replicas),
      TORC_TEST("CHD-08 GAP-101 GAP-104 copies that fit and that do not", test_copies),
      TORC_TEST("GAP-101 CHD-08 range as announced", test_copies_announced),
      TORC_TEST("GAP-101 a minute of grace", test_copies_former),
      TORC_TEST("GAP-124 GAP-101 merged data", test_copies_merge),
      TORC_TEST("CHD-35 GAP-124 merged data are replicated", test_merged_is_replicated),
      TORC_TEST("GAP-99 GAP-101 CHD-35 a refused copy is repaired", test_copy_failed),
      TORC_TEST("CHD-09 two resource-ids, two sets of holders", test_separate_copies),
  };
  return TORC_RUN(tests);
}
