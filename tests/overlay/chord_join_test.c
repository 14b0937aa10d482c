/* Joining, from both ends: the joining peer's steps and the admitting peer's hand-over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topofake.h"
#include "overlay/topology/ring.h"

static const unsigned none[] = {0};

/* JP = 0x5000 joins the ring 0x2000 .. 0xe000 through 0xb000. */
static void begin(topofake *f) {
  torc_id boot = topofake_id(0xb000);
  topofake_init(f, "chord-128-2-8", 0x5000);
  topofake_link_up(f, 0xb000);
  assert_int_equal(f->ops->start(f->t, &boot), 0);
  assert_int_equal(f->state, TORC_TOPO_JOINING);
}

static void expect_ping(topofake *f, unsigned after, topofake_call *out) {
  torc_id last = topofake_id(after);
  torc_id target = torc_id_next(&last);
  *out = topofake_take(f, FAKE_PING, 0);
  assert_memory_equal(out->target.b, target.b, TORC_ID_LEN);
  assert_true(out->has_via);
  assert_peer(out->via, 0xb000);
}

/* Up to the JOIN, which is returned. */
static topofake_call find_successors(topofake *f) {
  topofake_call ping, c;
  expect_ping(f, 0x5000, &ping);
  topofake_pong(f, &ping, 0x7000);
  expect_ping(f, 0x7000, &ping);
  c = topofake_take(f, FAKE_CONNECT, 0);
  assert_peer(c.target, 0x7000);
  assert_true(c.is_exact && c.has_via);
  topofake_connected(f, &c, 0x7000);
  assert_int_equal(topofake_count(f, FAKE_REQUEST, TORC_METHOD_JOIN),
                   0); /* one copy is not enough */
  topofake_pong(f, &ping, 0x9000);
  expect_ping(f, 0x9000, &ping);
  c = topofake_take(f, FAKE_CONNECT, 0);
  assert_peer(c.target, 0x9000);
  assert_int_equal(topofake_count(f, FAKE_REQUEST, 0), 0);
  topofake_connected(f, &c, 0x9000);
  c = topofake_take(f, FAKE_REQUEST, TORC_METHOD_JOIN);
  topofake_pong(f, &ping, 0xc000); /* the third is linked, but not waited for */
  assert_int_equal(topofake_count(f, FAKE_CONNECT, 0), 1);
  return c;
}

static void test_steps(void **state) {
  static const unsigned preds[] = {0x5000, 0x3000, 0x2000, 0};
  static const unsigned succs[] = {0x9000, 0xc000, 0xe000, 0};
  torc_peer_notice notice;
  topofake f;
  topofake_call c;
  torc_id own = topofake_id(0x4000), out[TORC_REPLICAS_MAX];
  (void)state;
  begin(&f);
  c = find_successors(&f);
  assert_peer(c.target, 0x7000); /* addressed to the admitting peer itself */
  assert_int_equal(torc_peer_notice_decode(&notice, (torc_slice){.p = c.payload, .len = c.len}), 0);
  assert_peer(notice.peer, 0x5000);
  assert_int_equal(notice.dht_specific.len, 0);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_false(f.ops->is_responsible(f.t, &own)); /* not before the UPDATE */
  assert_int_equal(f.state, TORC_TOPO_JOINING);
  topofake_forget(&f);
  assert_int_equal(topofake_update(&f, 0x7000, preds, succs), TORC_CODE_OK);
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  assert_true(f.ops->is_responsible(f.t, &own));
  assert_peer(topofake_view(&f).range_from, 0x3000); /* announced, not linked yet */
  assert_int_equal(f.ops->replicas(f.t, &own, out), 2);
  assert_peer(out[0], 0x7000);
  assert_peer(out[1], 0x9000);
  /* UPDATE to every peer of its routing table, without delay. */
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x7000, &c));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  /* The predecessors come from the UPDATE: CONNECT to them, through the peer that knows them. */
  topofake_run(&f, TORC_MS(150));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x3000, &c));
  assert_true(c.is_exact && c.has_via);
  assert_peer(c.via, 0x7000);
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x2000, &c));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0xc000, &c));
  /* The admitting peer holds the range; the second replica gets it. */
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x9000, &c));
  assert_peer(c.from, 0x3000);
  assert_peer(c.to, 0x5000);
  assert_int_equal(topofake_count(&f, FAKE_TRANSFER, 0), 0);
  topofake_clear(&f);
}

/* During the own join only the admitting peer may copy here. */
static void test_copies_of_join(void **state) {
  topofake f;
  topofake_call c;
  torc_id ap = topofake_id(0x7000), other = topofake_id(0x9000), any = topofake_id(0x4444);
  (void)state;
  begin(&f);
  assert_false(f.ops->accepts_copy(f.t, &ap, &any));
  c = find_successors(&f);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_true(f.ops->accepts_copy(f.t, &ap, &any));
  assert_false(f.ops->accepts_copy(f.t, &other, &any));
  topofake_run(&f, TORC_SEC(25));
  assert_true(f.ops->accepts_copy(f.t, &ap, &any)); /* progress: the wait begins anew */
  topofake_run(&f, TORC_SEC(25));
  assert_true(f.ops->accepts_copy(f.t, &ap, &any));
  topofake_run(&f, TORC_SEC(31)); /* then it has been too long */
  assert_false(f.ops->accepts_copy(f.t, &ap, &any));
  assert_int_equal(topofake_view(&f).stats.joins_failed, 1);
  topofake_clear(&f);
}

/* UPDATEs that are not the hand-over do not make a member, and neither does the right one from the
 * wrong peer. */
static void test_wrong_updates(void **state) {
  static const unsigned label[] = {0x5000, 0x3000, 0};
  static const unsigned nolabel[] = {0x3000, 0x2000, 0};
  topofake f;
  topofake_call c;
  (void)state;
  begin(&f);
  assert_int_equal(topofake_update(&f, 0x7000, label, none), TORC_CODE_NOT_FOUND);
  c = find_successors(&f);
  assert_int_equal(topofake_update(&f, 0x9000, label, none), TORC_CODE_NOT_FOUND);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0x9000, label, none), TORC_CODE_NOT_FOUND);
  assert_int_equal(f.state, TORC_TOPO_JOINING);
  /* The admitting peer has given up: again, after a pause. */
  topofake_forget(&f);
  assert_int_equal(topofake_update(&f, 0x7000, nolabel, none), TORC_CODE_NOT_FOUND);
  assert_int_equal(topofake_update(&f, 0x7000, label, none), TORC_CODE_NOT_FOUND); /* too late */
  topofake_run(&f, TORC_SEC(1));
  assert_int_equal(topofake_count(&f, FAKE_PING, 0), 1);
  topofake_clear(&f);
}

/* Who is lost while this peer joins is none of its neighbours afterwards. */
static void test_successor_lost(void **state) {
  static const unsigned preds[] = {0x5000, 0x3000, 0};
  static const unsigned succs[] = {0xc000, 0xe000, 0};
  topofake f;
  topofake_call c;
  (void)state;
  begin(&f);
  c = find_successors(&f);
  topofake_answer(&f, &c, TORC_CODE_OK);
  topofake_link_down(&f, 0x9000);
  assert_int_equal(topofake_update(&f, 0x7000, preds, succs), TORC_CODE_OK);
  assert_int_equal(topofake_view(&f).num_successors, 1);
  assert_peer(topofake_view(&f).successors[0], 0x7000);
  topofake_clear(&f);
}

/* The bootstrap peer is lost, and was a successor: another one takes its part. */
static void test_bootstrap_successor_lost(void **state) {
  topofake f;
  topofake_call c;
  torc_id boot = topofake_id(0x7000);
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x5000);
  topofake_link_up(&f, 0x7000);
  assert_int_equal(f.ops->start(f.t, &boot), 0);
  c = topofake_take(&f, FAKE_PING, 0);
  topofake_pong(&f, &c, 0x7000);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  topofake_connected(&f, &c, 0x7000);
  c = topofake_take(&f, FAKE_PING, 0);
  topofake_pong(&f, &c, 0x9000);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  topofake_connected(&f, &c, 0x9000);
  topofake_forget(&f);
  topofake_link_down(&f, 0x7000); /* it was asked to admit this peer, too */
  topofake_run(&f, TORC_SEC(1));
  c = topofake_take(&f, FAKE_PING, 0);
  assert_peer(c.via, 0x9000);
  topofake_clear(&f);
}

/* The UPDATE may overtake the answer to the JOIN. */
static void test_reordered(void **state) {
  static const unsigned label[] = {0x5000, 0x3000, 0};
  topofake f;
  topofake_call c;
  (void)state;
  begin(&f);
  c = find_successors(&f);
  assert_int_equal(topofake_update(&f, 0x7000, label, none), TORC_CODE_OK);
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  topofake_clear(&f);
}

typedef struct refusal {
  uint16_t code;
  torc_time min, max; /* when the next attempt begins */
} refusal;

static void test_refused(void **state) {
  const refusal *r = *state;
  topofake f;
  topofake_call c;
  begin(&f);
  c = find_successors(&f);
  topofake_forget(&f);
  topofake_answer(&f, &c, r->code);
  topofake_run(&f, r->min - 1);
  assert_int_equal(topofake_count(&f, FAKE_PING, 0), 0);
  topofake_run(&f, r->max - r->min + 1);
  assert_int_equal(topofake_count(&f, FAKE_PING, 0), 1);
  topofake_clear(&f);
}

static refusal busy = {TORC_CODE_UNAVAILABLE, TORC_MS(50), TORC_MS(100)};
static refusal not_ap = {TORC_CODE_NOT_FOUND, TORC_MS(50), TORC_MS(100)};
static refusal denied = {TORC_CODE_FORBIDDEN, TORC_MS(200), TORC_MS(400)};
static refusal silent = {0, TORC_MS(200), TORC_MS(400)};

/* 503 again and again: the pauses grow, but stay below half a second, and never end the attempt. */
static void test_busy_for_long(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  begin(&f);
  for (size_t i = 0; i < 40; i++) {
    c = find_successors(&f);
    topofake_forget(&f);
    topofake_answer(&f, &c, TORC_CODE_UNAVAILABLE);
    topofake_run(&f, TORC_MS(400));
    assert_int_equal(topofake_count(&f, FAKE_PING, 0), 1);
    assert_int_equal(f.state, TORC_TOPO_JOINING);
    topofake_link_down(&f, 0x7000);
    topofake_link_down(&f, 0x9000);
  }
  topofake_clear(&f);
}

/* Nobody answers: after six attempts the node is asked for another bootstrap peer. */
static void test_gives_up(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  begin(&f);
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(f.state, TORC_TOPO_JOINING);
    c = topofake_take(&f, FAKE_PING, 0);
    topofake_pong(&f, &c, 0);
    topofake_run(&f, TORC_SEC(11));
  }
  assert_int_equal(f.state, TORC_TOPO_DISCONNECTED);
  assert_false(topofake_view(&f).is_responsible);
  assert_int_equal(topofake_view(&f).stats.joins_failed, 6);
  topofake_clear(&f);
}

static void test_bootstrap_lost(void **state) {
  topofake f;
  (void)state;
  begin(&f);
  topofake_link_down(&f, 0xb000);
  assert_int_equal(f.state, TORC_TOPO_DISCONNECTED);
  topofake_clear(&f);
}

static void test_ap_lost(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  begin(&f);
  c = find_successors(&f);
  topofake_answer(&f, &c, TORC_CODE_OK);
  topofake_forget(&f);
  topofake_link_down(&f, 0x7000);
  topofake_run(&f, TORC_SEC(1));
  assert_int_equal(topofake_count(&f, FAKE_PING, 0), 1);
  assert_int_equal(f.state, TORC_TOPO_JOINING);
  topofake_clear(&f);
}

/* A dead successor in the ring delays a join by half a second, no more. */
static void test_late_successor(void **state) {
  topofake f;
  topofake_call ping, c;
  (void)state;
  begin(&f);
  expect_ping(&f, 0x5000, &ping);
  topofake_pong(&f, &ping, 0x7000);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  topofake_connected(&f, &c, 0x7000);
  expect_ping(&f, 0x7000, &ping);
  topofake_pong(&f, &ping, 0x9000); /* its CONNECT is never answered */
  topofake_run(&f, TORC_MS(499));
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_JOIN), 0);
  topofake_run(&f, TORC_MS(2));
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_JOIN), 1);
  topofake_clear(&f);
}

/* In a ring of one the second PING finds the same peer again. */
static void test_ring_of_one(void **state) {
  static const unsigned label[] = {0x5000, 0};
  topofake f;
  topofake_call ping, c;
  (void)state;
  begin(&f);
  expect_ping(&f, 0x5000, &ping);
  topofake_pong(&f, &ping, 0xb000);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  topofake_connected(&f, &c, 0xb000);
  expect_ping(&f, 0xb000, &ping);
  topofake_pong(&f, &ping, 0xb000);
  c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_JOIN);
  assert_peer(c.target, 0xb000);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0xb000, label, none), TORC_CODE_OK);
  assert_peer(topofake_view(&f).range_from, 0xb000);
  topofake_clear(&f);
}

/* Data of an earlier run: copied to the replicas, and given back to the predecessors they belong
 * to. */
static void test_old_store(void **state) {
  static const unsigned label[] = {0x5000, 0x3000, 0x2000, 0};
  static const unsigned preds[] = {0x2000, 0xe000, 0};
  torc_id boot = topofake_id(0xb000);
  topofake f;
  topofake_call c;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x5000);
  f.has_data = true;
  topofake_link_up(&f, 0xb000);
  assert_int_equal(f.ops->start(f.t, &boot), 0);
  c = find_successors(&f);
  topofake_answer(&f, &c, TORC_CODE_OK);
  topofake_forget(&f);
  assert_int_equal(topofake_update(&f, 0x7000, label, none), TORC_CODE_OK);
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x7000, &c));
  assert_peer(c.from, 0x3000);
  assert_peer(c.to, 0x5000);
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x9000, &c));
  topofake_link(&f, 0x3000);
  assert_int_equal(topofake_update(&f, 0x3000, preds, none), TORC_CODE_OK);
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x3000, &c));
  assert_peer(c.from, 0x2000);
  assert_peer(c.to, 0x3000);
  assert_int_equal(topofake_update(&f, 0x3000, preds, none), TORC_CODE_OK);
  assert_false(topofake_find(&f, FAKE_TRANSFER, 0, 0x3000, &c)); /* once */
  topofake_clear(&f);
}

/* Its first predecessor may have died before it came, and never have given it a copy: for a while
 * those that held them are asked as well. */
static void test_elders(void **state) {
  static const unsigned label[] = {0x5000, 0x3000, 0x2000, 0};
  static const unsigned preds[] = {0x2000, 0xe000, 0};
  torc_id boot = topofake_id(0xb000);
  torc_id out[TORC_REPLICAS_MAX];
  torc_id given = topofake_id(0x4000), taken = topofake_id(0x2800), other = topofake_id(0x1800);
  topofake f;
  topofake_call c;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x5000);
  f.has_data = true;
  topofake_link_up(&f, 0xb000);
  assert_int_equal(f.ops->start(f.t, &boot), 0);
  c = find_successors(&f);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0x7000, label, none), TORC_CODE_OK);
  topofake_link(&f, 0x3000);
  topofake_link(&f, 0x2000);
  assert_int_equal(topofake_update(&f, 0x3000, preds, none), TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0x2000, none, none), TORC_CODE_OK);
  assert_int_equal(f.ops->elders(f.t, &given, out),
                   2); /* who admitted it may have come lately, too */
  assert_peer(out[0], 0x7000);
  topofake_link_down(&f, 0x3000);
  topofake_run(&f, TORC_SEC(6)); /* it is not coming back */
  assert_true(f.ops->is_responsible(f.t, &taken));
  assert_int_equal(f.ops->elders(f.t, &other, out), 0); /* not its own */
  topofake_run(&f, TORC_SEC(5));
  assert_int_equal(f.ops->elders(f.t, &given, out), 0); /* handed over with its data */
  assert_int_equal(f.ops->elders(f.t, &taken, out), 2);
  assert_peer(out[0], 0x7000);
  assert_peer(out[1], 0x9000);
  topofake_run(&f, TORC_RING_LATELY);
  assert_int_equal(f.ops->elders(f.t, &taken, out), 0);
  topofake_link_down(&f, 0x2000);
  topofake_run(&f, TORC_SEC(6));
  assert_true(f.ops->is_responsible(f.t, &other));
  assert_int_equal(f.ops->elders(f.t, &other, out), 0); /* it has been here long enough */
  topofake_clear(&f);
}

/* ---- the admitting peer ---- */

static const unsigned ring[] = {0x6000, 0x7000, 0x9000, 0xa000, 0xb000, 0x5000, 0};

static void admitting(topofake *f) {
  topofake_init(f, "chord-128-2-8", 0x8000);
  topofake_ring(f, ring);
  topofake_link_up(f, 0x7800);
}

static bool has_replica(topofake *f, unsigned resource, unsigned peer) {
  torc_id r = topofake_id(resource), p = topofake_id(peer);
  torc_id out[TORC_REPLICAS_MAX];
  size_t num = f->ops->replicas(f->t, &r, out);
  for (size_t i = 0; i < num; i++) {
    if (torc_id_eq(&out[i], &p)) {
      return true;
    }
  }
  return false;
}

static void test_admits(void **state) {
  topofake f;
  topofake_call c;
  torc_chord_update u;
  torc_id theirs = topofake_id(0x7400), mine = topofake_id(0x7c00);
  (void)state;
  admitting(&f);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_OK);
  c = topofake_take(&f, FAKE_TRANSFER, 0); /* the STOREs */
  assert_peer(c.target, 0x7800);
  assert_peer(c.from, 0x7000);
  assert_peer(c.to, 0x7800);
  assert_true(f.ops->is_responsible(f.t, &theirs)); /* still */
  assert_true(has_replica(&f, 0x7400, 0x7800));     /* and writes go there too */
  assert_false(has_replica(&f, 0x7c00, 0x7800));
  assert_true(topofake_view(&f).is_admitting);
  topofake_answer(&f, &c, TORC_CODE_OK);
  c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_UPDATE);
  assert_peer(c.target, 0x7800);
  assert_int_equal(torc_chord_update_decode(&u, (torc_slice){.p = c.payload, .len = c.len}), 0);
  assert_peer(u.predecessors[0], 0x7800); /* labelled as predecessor */
  assert_peer(u.predecessors[1], 0x7000);
  assert_int_equal(u.num_predecessors, 3);
  assert_peer(u.successors[0], 0x9000);
  assert_true(f.ops->is_responsible(f.t, &theirs)); /* until it is answered */
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_false(f.ops->is_responsible(f.t, &theirs));
  assert_true(f.ops->is_responsible(f.t, &mine));
  assert_int_equal(topofake_count(&f, FAKE_DROP, 0), 0); /* it is their first replica */
  /* The neighbours are told. */
  topofake_run(&f, TORC_MS(10));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x7000, &c));
  assert_int_equal(torc_chord_update_decode(&u, (torc_slice){.p = c.payload, .len = c.len}), 0);
  assert_peer(u.predecessors[0], 0x7800);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x9000, &c));
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0xa000, &c));
  assert_int_equal(topofake_view(&f).stats.joins_ok, 1);
  topofake_clear(&f);
}

static void test_join_checks(void **state) {
  topofake f;
  (void)state;
  admitting(&f);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7900), TORC_CODE_FORBIDDEN); /* another's id */
  assert_int_equal(topofake_join(&f, 0x7900, 0x7900), TORC_CODE_FORBIDDEN); /* no direct link */
  assert_int_equal(topofake_join(&f, 0x8000, 0x8000), TORC_CODE_FORBIDDEN); /* this peer's id */
  topofake_link(&f, 0x6800);
  assert_int_equal(topofake_join(&f, 0x6800, 0x6800), TORC_CODE_NOT_FOUND); /* 0x7000's affair */
  assert_int_equal(topofake_request(&f, 0x7800, TORC_METHOD_JOIN, (torc_slice){0}),
                   TORC_CODE_BAD_REQUEST);
  assert_int_equal(topofake_count(&f, FAKE_TRANSFER, 0), 0);
  assert_int_equal(topofake_view(&f).stats.joins_refused, 5);
  topofake_clear(&f);
}

static void test_one_at_a_time(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  admitting(&f);
  topofake_link(&f, 0x7400);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_OK);
  assert_int_equal(topofake_join(&f, 0x7400, 0x7400), TORC_CODE_UNAVAILABLE);
  assert_int_equal(topofake_view(&f).stats.joins_busy, 1);
  /* The same peer again: its answer was lost. The first transfer's end no longer counts. */
  c = topofake_take(&f, FAKE_TRANSFER, 0);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_OK);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_UPDATE), 0);
  c = topofake_take(&f, FAKE_TRANSFER, 0);
  topofake_answer(&f, &c, TORC_CODE_OK);
  c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_UPDATE);
  topofake_answer(&f, &c, TORC_CODE_OK);
  topofake_please(&f);
  assert_int_equal(topofake_join(&f, 0x7400, 0x7400), TORC_CODE_NOT_FOUND); /* 0x7800's now */
  topofake_clear(&f);
}

typedef enum abort_how {
  ABORT_TRANSFER,
  ABORT_LINK,
  ABORT_UPDATE_REFUSED,
  ABORT_UPDATE_SILENT,
  ABORT_RANGE,
  ABORT_LEAVE,
  ABORT_TIME
} abort_how;

/* Whatever goes wrong, the range stays here and the next JOIN is served. */
static void test_abort(void **state) {
  abort_how how = *(const abort_how *)*state;
  topofake f;
  topofake_call c;
  torc_id theirs = topofake_id(0x7400);
  admitting(&f);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_OK);
  c = topofake_take(&f, FAKE_TRANSFER, 0);
  if (how == ABORT_TRANSFER) {
    topofake_answer(&f, &c, 0);
  } else if (how == ABORT_LINK) {
    topofake_link_down(&f, 0x7800);
  } else if (how == ABORT_RANGE) {
    topofake_link_down(&f, 0x7000); /* the predecessor dies: what was sent is not all */
  } else if (how == ABORT_LEAVE) {
    assert_int_equal(topofake_leave(&f, 0x7800, 0x7800), TORC_CODE_OK);
  } else if (how == ABORT_TIME) {
    topofake_run(&f, TORC_SEC(301));
  } else {
    topofake_answer(&f, &c, TORC_CODE_OK);
    c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_UPDATE);
    topofake_answer(&f, &c, how == ABORT_UPDATE_SILENT ? 0 : TORC_CODE_NOT_FOUND);
  }
  assert_true(f.ops->is_responsible(f.t, &theirs));
  assert_false(topofake_view(&f).is_admitting);
  assert_int_equal(topofake_view(&f).stats.handoffs_aborted, 1);
  if (how != ABORT_LINK) { /* the joining peer hears of it by an UPDATE that does not name it */
    torc_chord_update u;
    assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x7800, &c));
    assert_int_equal(torc_chord_update_decode(&u, (torc_slice){.p = c.payload, .len = c.len}), 0);
    assert_false(u.num_predecessors > 0 && torc_id_eq(&u.predecessors[0], &(torc_id){.b = {0x78}}));
  }
  assert_false(has_replica(&f, 0x7400, 0x7800));
  topofake_link(&f, 0x7800);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_OK);
  topofake_clear(&f);
}

static abort_how hows[] = {ABORT_TRANSFER,      ABORT_LINK,  ABORT_UPDATE_REFUSED,
                           ABORT_UPDATE_SILENT, ABORT_RANGE, ABORT_LEAVE,
                           ABORT_TIME};

/* Its answer was lost, but it speaks as a member. */
static void test_answer_lost(void **state) {
  static const unsigned preds[] = {0x7000, 0x6000, 0};
  static const unsigned succs[] = {0x8000, 0x9000, 0};
  topofake f;
  topofake_call c;
  torc_id theirs = topofake_id(0x7400);
  (void)state;
  admitting(&f);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_OK);
  c = topofake_take(&f, FAKE_TRANSFER, 0);
  topofake_answer(&f, &c, TORC_CODE_OK);
  c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_UPDATE);
  assert_int_equal(topofake_update(&f, 0x7800, preds, succs), TORC_CODE_OK);
  assert_false(f.ops->is_responsible(f.t, &theirs));
  assert_int_equal(topofake_view(&f).num_owed, 0); /* it was handed over in order */
  topofake_answer(&f, &c, 0);                      /* far too late: no longer of interest */
  assert_int_equal(topofake_view(&f).stats.handoffs_aborted, 0);
  topofake_clear(&f);
}

/* A known neighbour that joins has started anew: removed first, then admitted. */
static void test_rejoin(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  admitting(&f);
  assert_int_equal(topofake_join(&f, 0x7000, 0x7000), TORC_CODE_OK);
  c = topofake_take(&f, FAKE_TOOK_OVER, 0);
  assert_peer(c.from, 0x6000);
  assert_peer(c.to, 0x7000);
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x7000, &c));
  assert_peer(c.from, 0x6000);
  assert_peer(c.to, 0x7000);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x7000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_peer(topofake_view(&f).range_from, 0x7000);
  /* A rejoining successor is not this peer's to admit, but it is forgotten all the same. */
  assert_int_equal(topofake_join(&f, 0x9000, 0x9000), TORC_CODE_NOT_FOUND);
  assert_peer(topofake_view(&f).successors[0], 0xa000);
  topofake_clear(&f);
}

/* The predecessor that the admitting peer named was dead, and was never linked. It returns before
 * it is given up, and is admitted like any other: else it would take an ordinary UPDATE, which
 * names it as predecessor, for the one that ends its JOIN, and have no data. */
static void test_never_linked_rejoins(void **state) {
  static const unsigned preds[] = {0x5000, 0x3000, 0x2000, 0};
  static const unsigned succs[] = {0x9000, 0xc000, 0xe000, 0};
  topofake f;
  topofake_call c;
  torc_id theirs = topofake_id(0x2800);
  (void)state;
  begin(&f);
  c = find_successors(&f);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_int_equal(topofake_update(&f, 0x7000, preds, succs), TORC_CODE_OK);
  assert_peer(topofake_view(&f).range_from, 0x3000);
  topofake_run(&f, TORC_MS(150));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x2000, &c));
  topofake_connected(&f, &c, 0x2000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x2000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  topofake_link_up(&f, 0x3000);
  topofake_forget(&f);
  assert_int_equal(topofake_join(&f, 0x3000, 0x3000), TORC_CODE_OK);
  assert_true(f.ops->is_responsible(f.t, &theirs));
  c = topofake_take(&f, FAKE_TOOK_OVER, 0);
  assert_peer(c.to, 0x3000);
  assert_true(topofake_find(&f, FAKE_TRANSFER, 0, 0x3000, &c));
  assert_peer(c.from, 0x2000);
  assert_peer(c.to, 0x3000);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_UPDATE, 0x3000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_peer(topofake_view(&f).range_from, 0x3000);
  assert_false(f.ops->is_responsible(f.t, &theirs));
  topofake_clear(&f);
}

/* The predecessor dies while the UPDATE is under way: the joining peer may have switched already,
 * so writes go on to both; what this peer took over is given away afterwards. */
static void test_range_grows_late(void **state) {
  topofake f;
  topofake_call c;
  torc_id theirs = topofake_id(0x7400);
  (void)state;
  admitting(&f);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_OK);
  c = topofake_take(&f, FAKE_TRANSFER, 0);
  topofake_answer(&f, &c, TORC_CODE_OK);
  c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_UPDATE);
  topofake_link_down(&f, 0x7000);
  assert_true(topofake_view(&f).is_admitting);
  assert_true(f.ops->is_responsible(f.t, &theirs));
  assert_true(has_replica(&f, 0x7400, 0x7800));
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_false(f.ops->is_responsible(f.t, &theirs));
  assert_int_equal(topofake_view(&f).num_owed, 1);
  assert_int_equal(topofake_view(&f).stats.handoffs_aborted, 0);
  topofake_clear(&f);
}

/* A peer that joins, leaves, or is not in the ring admits nobody. */
static void test_not_in_ring(void **state) {
  topofake f;
  (void)state;
  begin(&f);
  topofake_link(&f, 0x4800);
  assert_int_equal(topofake_join(&f, 0x4800, 0x4800), TORC_CODE_UNAVAILABLE);
  topofake_clear(&f);
  admitting(&f);
  f.ops->leave(f.t);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_UNAVAILABLE);
  topofake_clear(&f);
}

/* Two survivors that try to join each other: the higher id stays. */
static void test_mutual(void **state) {
  static const unsigned one[] = {0x2000, 0};
  torc_id other = topofake_id(0x2000);
  topofake f;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  topofake_ring(&f, one);
  topofake_link_down(&f, 0x2000);
  assert_int_equal(f.state, TORC_TOPO_DISCONNECTED);
  topofake_link_up(&f, 0x2000);
  assert_int_equal(f.ops->start(f.t, &other), 0);
  assert_int_equal(f.state, TORC_TOPO_JOINING);
  assert_int_equal(topofake_join(&f, 0x2000, 0x2000), TORC_CODE_OK);
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  assert_true(topofake_view(&f).is_admitting);
  topofake_clear(&f);
}

static void test_start_states(void **state) {
  topofake f;
  torc_id self = topofake_id(0x8000), other = topofake_id(0x2000);
  (void)state;
  topofake_init(&f, "chord-128-2-8", 0x8000);
  assert_int_equal(f.ops->start(f.t, &self), TORC_ERR_STATE);
  assert_int_equal(f.ops->start(f.t, &torc_id_zero), TORC_ERR_STATE);
  assert_int_equal(f.ops->start(f.t, NULL), 0);
  assert_int_equal(f.ops->start(f.t, NULL), TORC_ERR_STATE);
  f.ops->leave(f.t);
  assert_int_equal(f.state, TORC_TOPO_LEFT);
  assert_int_equal(f.ops->start(f.t, &other), 0); /* again, later */
  assert_int_equal(f.state, TORC_TOPO_JOINING);
  topofake_clear(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST(
          "CHD-10 CHD-11 CHD-12 CHD-13 CHD-14 CHD-15 CHD-16 CHD-18 JOI-01 JOI-02 JOI-03 JOI-04 "
          "JOI-05 JOI-06 JOI-07 GAP-109 GAP-114 GAP-115 the steps of a join",
          test_steps),
      TORC_TEST("GAP-101 CHD-15 copies during the own join", test_copies_of_join),
      TORC_TEST("GAP-114 GAP-115 CHD-16 UPDATEs that are not the hand-over", test_wrong_updates),
      TORC_TEST("CHD-13 CHD-24 a successor is lost during the join", test_successor_lost),
      TORC_TEST("JOI-01 CHD-24 the bootstrap peer is lost and was the successor",
                test_bootstrap_successor_lost),
      TORC_TEST("GAP-163 GAP-114 the UPDATE overtakes the answer", test_reordered),
      TORC_CASE("GAP-114 admitting peer is busy", test_refused, &busy),
      TORC_CASE("GAP-116 not the admitting peer any more", test_refused, &not_ap),
      TORC_CASE("GAP-114 JOIN refused", test_refused, &denied),
      TORC_CASE("GAP-114 JOIN not answered", test_refused, &silent),
      TORC_TEST("GAP-114 busy for long", test_busy_for_long),
      TORC_TEST("JOI-01 CHD-26 nobody answers", test_gives_up),
      TORC_TEST("JOI-01 CHD-26 the bootstrap peer is lost", test_bootstrap_lost),
      TORC_TEST("GAP-114 the admitting peer is lost", test_ap_lost),
      TORC_TEST("CHD-12 D-13 ARC-19 a successor that cannot be linked", test_late_successor),
      TORC_TEST("CHD-11 GAP-109 into a ring of one", test_ring_of_one),
      TORC_TEST("CHD-35 GAP-103 with the store of an earlier run", test_old_store),
      TORC_TEST("GAP-95 GAP-103 CHD-24 a peer that has just come asks who held what it takes over",
                test_elders),
      TORC_TEST("JOI-08 CHD-15 CHD-16 CHD-17 GAP-114 GAP-119 ARC-10 admitting", test_admits),
      TORC_TEST("GAP-116 GAP-54 JOI-05 what a JOIN must be", test_join_checks),
      TORC_TEST("GAP-114 one JOIN at a time", test_one_at_a_time),
      TORC_CASE("GAP-114 aborted: transfer failed", test_abort, &hows[0]),
      TORC_CASE("GAP-114 aborted: link down", test_abort, &hows[1]),
      TORC_CASE("GAP-114 aborted: UPDATE refused", test_abort, &hows[2]),
      TORC_CASE("GAP-114 aborted: UPDATE not answered", test_abort, &hows[3]),
      TORC_CASE("GAP-114 aborted: the range changed", test_abort, &hows[4]),
      TORC_CASE("GAP-114 aborted: the joining peer leaves", test_abort, &hows[5]),
      TORC_CASE("GAP-114 aborted: too long", test_abort, &hows[6]),
      TORC_TEST("GAP-114 D-13 the range grows while the hand-over's UPDATE is under way",
                test_range_grows_late),
      TORC_TEST("GAP-114 the last answer is lost", test_answer_lost),
      TORC_TEST("GAP-116 a known peer joins again", test_rejoin),
      TORC_TEST("GAP-116 so is one that was named and never linked", test_never_linked_rejoins),
      TORC_TEST("JOI-08 GAP-116 not in the ring itself", test_not_in_ring),
      TORC_TEST("GAP-122 two that join each other", test_mutual),
      TORC_TEST("R-51 start in every state", test_start_states),
  };
  return TORC_RUN(tests);
}
