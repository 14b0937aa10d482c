/* The full-mesh plug-in: its UPDATE, its limit, and what it shares with Chord.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topofake.h"

static uint16_t mesh_update(topofake *f, unsigned from, const unsigned *peers) {
  uint8_t ids[410 * TORC_ID_LEN], buf[sizeof ids + 2];
  size_t len = 0;
  torc_wr wr;
  for (size_t i = 0; peers[i] != 0; i++) {
    torc_id id = topofake_id(peers[i]);
    memcpy(ids + len, id.b, TORC_ID_LEN);
    len += TORC_ID_LEN;
  }
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_mesh_update_put(&wr, (torc_slice){.p = ids, .len = len}), 0);
  return topofake_request(f, from, TORC_METHOD_UPDATE, torc_wr_slice(&wr));
}

static void make(topofake *f, const unsigned *peers) {
  static const unsigned none[] = {0};
  topofake_init(f, "full-mesh", 0x8000);
  assert_int_equal(f->ops->start(f->t, NULL), 0);
  for (size_t i = 0; peers[i] != 0; i++) {
    topofake_link(f, peers[i]);
    assert_int_equal(mesh_update(f, peers[i], none), TORC_CODE_OK);
  }
  for (size_t i = 0; i < 20; i++) {
    topofake_run(f, TORC_MS(500));
    topofake_please(f);
  }
  topofake_forget(f);
}

static const unsigned five[] = {0x2000, 0x7000, 0x9000, 0xc000, 0};

/* 2-byte length, then 16 bytes per peer. */
static void test_bytes(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f, five);
  topofake_run(&f, TORC_SEC(660));
  c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_UPDATE);
  assert_int_equal(c.len, 2 + 4 * 16);
  assert_int_equal(c.payload[0], 0);
  assert_int_equal(c.payload[1], 64);
  assert_int_equal(c.payload[2], 0x90); /* clockwise from the sender */
  assert_int_equal(c.payload[18], 0xc0);
  assert_int_equal(c.payload[34], 0x20);
  assert_int_equal(c.payload[50], 0x70);
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_UPDATE), 3); /* to everybody */
  topofake_clear(&f);
}

/* Everybody listed is linked, however far. */
static void test_links_all(void **state) {
  static const unsigned more[] = {0x3000, 0x4000, 0xe000, 0x8000, 0};
  topofake f;
  topofake_call c;
  torc_id far = topofake_id(0x2000);
  (void)state;
  make(&f, five);
  assert_int_equal(mesh_update(&f, 0x9000, more), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(200));
  assert_int_equal(topofake_count(&f, FAKE_CONNECT, 0), 3);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  assert_peer(c.via, 0x9000);
  assert_true(f.ops->is_neighbour(f.t, &far));
  assert_true(f.ops->wants_link(f.t, &far));
  topofake_clear(&f);
}

static void test_ring_rule(void **state) {
  topofake f;
  torc_id own = topofake_id(0x7800), other = topofake_id(0x9800), hop, out[TORC_REPLICAS_MAX];
  (void)state;
  make(&f, five);
  assert_true(f.ops->is_responsible(f.t, &own));
  assert_false(f.ops->is_responsible(f.t, &other));
  assert_true(f.ops->next_hop(f.t, &other, &hop));
  assert_peer(hop, 0x9000); /* (self, k]; 0x9000 sends it on to its successor */
  assert_int_equal(f.ops->replicas(f.t, &own, out), 2);
  assert_peer(out[0], 0x9000);
  assert_peer(out[1], 0xc000);
  topofake_clear(&f);
}

/* Joining and admitting are Chord's; the label is the nearest listed peer before the sender. */
static void test_join(void **state) {
  static const unsigned list[] = {0xb000, 0xe000, 0x2000, 0x5000, 0};
  topofake f;
  topofake_call c;
  torc_id boot = topofake_id(0xb000);
  (void)state;
  topofake_init(&f, "full-mesh", 0x5000);
  topofake_link_up(&f, 0xb000);
  assert_int_equal(f.ops->start(f.t, &boot), 0);
  c = topofake_take(&f, FAKE_PING, 0);
  topofake_pong(&f, &c, 0x7000);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  topofake_connected(&f, &c, 0x7000);
  c = topofake_take(&f, FAKE_PING, 0);
  topofake_pong(&f, &c, 0xb000);
  c = topofake_take(&f, FAKE_CONNECT, 0);
  topofake_connected(&f, &c, 0xb000);
  assert_true(topofake_find(&f, FAKE_REQUEST, TORC_METHOD_JOIN, 0x7000, &c));
  topofake_answer(&f, &c, TORC_CODE_OK);
  topofake_forget(&f);
  assert_int_equal(mesh_update(&f, 0x7000, list), TORC_CODE_OK);
  assert_int_equal(f.state, TORC_TOPO_JOINED);
  assert_peer(topofake_view(&f).range_from, 0x2000);
  topofake_run(&f, TORC_MS(200));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x2000, &c));
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0xe000, &c));
  topofake_clear(&f);
}

static void test_admit(void **state) {
  topofake f;
  topofake_call c;
  torc_slice peers;
  (void)state;
  make(&f, five);
  topofake_link_up(&f, 0x7800);
  assert_int_equal(topofake_join(&f, 0x7800, 0x7800), TORC_CODE_OK);
  c = topofake_take(&f, FAKE_TRANSFER, 0);
  topofake_answer(&f, &c, TORC_CODE_OK);
  c = topofake_take(&f, FAKE_REQUEST, TORC_METHOD_UPDATE);
  assert_int_equal(torc_mesh_update_decode(&peers, (torc_slice){.p = c.payload, .len = c.len}), 0);
  assert_int_equal(peers.len, 5 * TORC_ID_LEN);
  assert_int_equal(peers.p[4 * TORC_ID_LEN], 0x78);
  topofake_answer(&f, &c, TORC_CODE_OK);
  assert_peer(topofake_view(&f).range_from, 0x7800);
  topofake_clear(&f);
}

/* 256 peers, this one included; the next JOIN gets 503, the next UPDATE too. */
static void test_limit(void **state) {
  unsigned peers[256] = {0};
  topofake f;
  static const unsigned none[] = {0};
  (void)state;
  for (unsigned i = 0; i < 255; i++) {
    peers[i] = 0x100u * (i + 1u) + 2u;
  }
  make(&f, peers);
  assert_int_equal(topofake_view(&f).num_routing, 255);
  assert_int_equal(topofake_view(&f).num_successors, 16); /* of the view */
  topofake_link_up(&f, 0x7fff);
  assert_int_equal(topofake_join(&f, 0x7fff, 0x7fff), TORC_CODE_UNAVAILABLE);
  assert_int_equal(mesh_update(&f, 0x7fff, none), TORC_CODE_UNAVAILABLE);
  assert_int_equal(topofake_view(&f).stats.joins_busy, 1);
  assert_int_equal(topofake_view(&f).stats.members_refused, 1);
  topofake_clear(&f);
}

static void test_long_list(void **state) {
  unsigned peers[401] = {0};
  topofake f;
  (void)state;
  for (unsigned i = 0; i < 400; i++) {
    peers[i] = 0x8001u + i;
  }
  make(&f, five);
  assert_int_equal(mesh_update(&f, 0x9000, peers), TORC_CODE_OK);
  topofake_run(&f, TORC_MS(200));
  assert_int_equal(topofake_view(&f).num_candidates, 256);
  assert_int_equal(topofake_view(&f).stats.ids_ignored, 144);
  assert_true(topofake_count(&f, FAKE_CONNECT, 0) <= 32);
  topofake_clear(&f);
}

static void test_malformed(void **state) {
  uint8_t buf[64];
  static const char *const cases[] = {"",
                                      "00",
                                      "0001 70",
                                      "0010 00000000000000000000000000000000",
                                      "0010 ffffffffffffffffffffffffffffffff",
                                      "0000 00"};
  topofake f;
  (void)state;
  make(&f, five);
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    size_t len = torc_unhex(cases[i], buf, sizeof buf);
    assert_int_equal(
        topofake_request(&f, 0x9000, TORC_METHOD_UPDATE, (torc_slice){.p = buf, .len = len}),
        TORC_CODE_BAD_REQUEST);
  }
  assert_int_equal(topofake_view(&f).stats.updates_bad, TORC_ARRAY_LEN(cases));
  topofake_clear(&f);
}

/* A death is told to all, a lost link is re-established. */
static void test_lost(void **state) {
  topofake f;
  topofake_call c;
  (void)state;
  make(&f, five);
  topofake_link_down(&f, 0x7000);
  assert_peer(topofake_view(&f).range_from, 0x2000);
  assert_int_equal(topofake_count(&f, FAKE_TOOK_OVER, 0), 1);
  topofake_run(&f, TORC_MS(400));
  assert_int_equal(topofake_count(&f, FAKE_REQUEST, TORC_METHOD_UPDATE), 3);
  assert_true(topofake_find(&f, FAKE_CONNECT, 0, 0x7000, &c));
  topofake_clear(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ARC-22 CHD-38 UPDATE bytes and period (full-mesh)", test_bytes),
      TORC_TEST("ARC-22 GAP-117 CHD-29 everybody is linked (full-mesh)", test_links_all),
      TORC_TEST("ARC-22 CHD-04 GAP-110 D-13 the ring rule (full-mesh)", test_ring_rule),
      TORC_TEST("ARC-22 CHD-16 GAP-114 joining (full-mesh)", test_join),
      TORC_TEST("ARC-22 JOI-08 GAP-114 admitting (full-mesh)", test_admit),
      TORC_TEST("ARC-22 D-03 256 peers at most (full-mesh)", test_limit),
      TORC_TEST("ARC-22 GAP-117 a long list (full-mesh)", test_long_list),
      TORC_TEST("R-46 UPD-03 malformed (full-mesh)", test_malformed),
      TORC_TEST("CHD-24 CHD-33 CHD-41 a peer is lost (full-mesh)", test_lost),
  };
  return TORC_RUN(tests);
}
