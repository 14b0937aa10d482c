/* Links: replacement, clients and their limit, keepalive, idle and expired links, leaving.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"

#define A 0x20
#define C 0xc0

static void ping(nt *h, nt_msg *m, uint8_t signer, const torc_id *target) {
  nt_request(h, m, signer, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(m, target);
}

static void expect_close(nt *h, torc_link_id link) {
  nt_out *o = nt_take(h, TORC_OUT_CLOSE);
  assert_non_null(o);
  assert_int_equal(o->link, link);
}

/* The link that a message to this peer leaves on now. */
static torc_link_id link_to(nt *h, torc_link_id from, uint8_t signer, uint8_t peer) {
  torc_id id = nt_id(peer);
  nt_msg m;
  ping(h, &m, signer, &id);
  nt_input(h, from, &m);
  nt_out *o = nt_take_xid(h, m.hdr.xid);
  assert_non_null(o);
  return o->link;
}

/* ---- two links of one peer [R-14] ---- */

static void test_replace_same_kind(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_link_id first = nt_join(h, C);
  torc_link_id second = 0;
  torc_node_link_view views[4];
  nt_msg m;
  torc_id self = nt_self(h);
  torc_id there = nt_id(0xb0);
  (void)state;
  nt_clear(h);
  second = nt_up(h, C);
  expect_close(h, first);
  assert_int_equal(nt_counter(h, "links_replaced"), 1);
  assert_int_equal(link_to(h, a, A, C), second);
  ping(h, &m, A, &there);
  nt_input(h, a, &m);
  assert_int_equal(nt_take_xid(h, m.hdr.xid)->link, second); /* and what is routed through it */
  ping(h, &m, C, &self);
  nt_input(h, first, &m); /* what was still on its way is taken */
  (void)nt_expect(h, second, &m, 200);
  nt_down(h, first);
  ping(h, &m, A, &there); /* its end says nothing about the peer */
  nt_input(h, a, &m);
  assert_int_equal(nt_take_xid(h, m.hdr.xid)->link, second);
  assert_int_equal(torc_node_links(nt_node(h), views, 4), 2);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(views[i].is_routing, views[i].link == second);
  }
  nt_down(h, second);
  ping(h, &m, A, &there);
  nt_input(h, a, &m);
  nt_out *o = nt_take_xid(h, m.hdr.xid);
  assert_true(o == NULL || o->c.is_response); /* nobody is left to route through */
  nt_free(h);
}

static void test_replace_other_kind(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_link_id first = nt_join(h, C);
  (void)state;
  nt_clear(h);
  torc_link_id second = nt_up_token(h, C, TORC_LINK_WS, 0, nt_cert(h, C));
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  assert_int_equal(link_to(h, a, A, C), second); /* the newest takes all new messages */
  nt_advance(h, TORC_SEC(30) - 1);
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_advance(h, 1);
  expect_close(h, first);
  nt_free(h);
}

/* A CONNECT of the peer makes a link by CONNECT. */
static torc_link_id connect_link(nt *h, torc_link_id over, uint8_t peer) {
  torc_id self = nt_self(h);
  torc_connect_params p;
  nt_msg m;
  nt_request(h, &m, peer, TORC_METHOD_CONNECT,
             nt_connect_payload(h, "passive", 6084,
                                "candidate:1 1 TCP 1 192.0.2.9 6084 typ host tcptype passive"));
  nt_route(&m, &self);
  nt_input(h, over, &m);
  nt_out *o = nt_take(h, TORC_OUT_ANSWER_NEEDED);
  assert_non_null(o);
  nt_params(&p, "active");
  assert_int_equal(torc_node_answer_ready(nt_node(h), o->token, &p, 0, nt_now(h)), 0);
  nt_drain(h);
  (void)nt_expect(h, over, &m, 200);
  assert_non_null(nt_take(h, TORC_OUT_ACCEPT));
  return nt_up_token(h, peer, TORC_LINK_TLS, o->token, nt_cert(h, peer));
}

static void test_replace_by_connect(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  (void)state;
  torc_link_id second =
      connect_link(h, a, A); /* replaces the dialled one at once: same kind, no CONNECT */
  expect_close(h, a);
  nt_down(h, a);
  nt_clear(h);
  torc_link_id third = nt_up(h, A); /* the one by CONNECT has time to drain */
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_advance(h, TORC_SEC(30));
  expect_close(h, second);
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  (void)third;
  nt_free(h);
}

/* ---- both ends dial [R-14] ---- */

static void one_endpoint(torc_node_config *c, void *ctx) {
  static const torc_endpoint e = {.host = "192.0.2.1", .port = 6084};
  (void)ctx;
  c->bootstrap = &e;
  c->num_bootstrap = 1;
}
static const nt_options bootstrapping = {.tweak = one_endpoint};

/* A node that has dialled its bootstrap peer, and the token of that OPEN. */
static nt *dialling(torc_token *token) {
  nt *h = nt_new(&bootstrapping);
  nt_start(h);
  nt_advance(h, TORC_SEC(1));
  nt_out *o = nt_take(h, TORC_OUT_OPEN);
  assert_non_null(o);
  *token = o->token;
  return h;
}

/* Whichever of the two came up last here: the one that the larger peer-id dialled stays, and both
 * ends see it so. */
static void test_crossing(void **state) {
  static const struct {
    uint8_t peer;
    bool own_first;
    bool own_stays;
  } cases[] = {{0x20, true, true}, {0x20, false, true}, {0x90, true, false}, {0x90, false, false}};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_token token = 0;
    nt *h = dialling(&token);
    uint8_t peer = cases[i].peer;
    torc_link_id own = 0;
    torc_link_id other = 0;
    torc_link_id client = nt_up(h, 0x33);
    if (cases[i].own_first) {
      own = nt_up_token(h, peer, TORC_LINK_TLS, token, nt_cert(h, peer));
      other = nt_up(h, peer);
    } else {
      other = nt_up(h, peer);
      own = nt_up_token(h, peer, TORC_LINK_TLS, token, nt_cert(h, peer));
    }
    nt_advance(h, TORC_MS(500));
    torc_link_id stays = cases[i].own_stays ? own : other;
    torc_link_id goes = cases[i].own_stays ? other : own;
    assert_int_equal(link_to(h, client, 0x33, peer), stays);
    nt_advance(h, TORC_SEC(31));
    expect_close(h, goes);
    assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
    nt_free(h);
  }
}

/* The same where CONNECTs to places in the ring made both links, of which each end saw the other
 * one come up last. */
static void test_crossing_connects(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    bool own_first = i % 2 == 0;
    uint8_t peer = i < 2 ? 0xd1 : 0x21; /* beyond and before 0x80, this node */
    nt *h = nt_ring(NULL);
    torc_link_id client = nt_up(h, 0x33);
    for (int k = 0; k < 2; k++) {
      torc_link_info info = {.kind = TORC_LINK_TLS,
                             .peer = nt_id(peer),
                             .cert = nt_cert(h, peer),
                             .is_dialled = own_first == (k == 0)};
      info.cert->refs++;
      torc_link_id id = info.is_dialled ? 98 : 99;
      assert_int_equal(torc_node_link_up(nt_node(h), id, &info, nt_now(h)), 0);
    }
    nt_drain(h);
    nt_advance(h, TORC_MS(500));
    torc_link_id stays = peer == 0xd1 ? 99 : 98;
    assert_int_equal(link_to(h, client, 0x33, peer), stays);
    nt_advance(h, TORC_SEC(31)); /* the other one has drained */
    assert_int_equal(link_to(h, client, 0x33, peer), stays);
    nt_free(h);
  }
}

/* Two CONNECTs that checks made into links of two kinds, ten seconds apart: each side sees them
 * come in another order, and they must not give up the one that the other keeps. */
static void test_crossing_kinds(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    bool own_first = i % 2 == 0;
    uint8_t peer = i < 2 ? 0xd1 : 0x21; /* beyond and before 0x80, this node */
    nt *h = nt_ring(NULL);
    torc_link_id client = nt_up(h, 0x33);
    for (int k = 0; k < 2; k++) {
      bool is_own = own_first == (k == 0);
      torc_link_info info = {.kind = is_own ? TORC_LINK_TLS : TORC_LINK_DTLS,
                             .peer = nt_id(peer),
                             .cert = nt_cert(h, peer),
                             .mtu = is_own ? 0 : 1100,
                             .by_connect = true,
                             .is_requester = is_own,
                             .is_dialled = k == 0};
      info.cert->refs++;
      assert_int_equal(torc_node_link_up(nt_node(h), is_own ? 98 : 99, &info, nt_now(h)), 0);
      nt_drain(h);
      nt_advance(h, TORC_SEC(10));
    }
    assert_int_equal(link_to(h, client, 0x33, peer), peer == 0xd1 ? 99 : 98);
    nt_free(h);
  }
}

/* Later it is no crossing: the newest takes over, also one that was opened. */
static void test_replace_opened(void **state) {
  torc_token token = 0;
  nt *h = dialling(&token);
  (void)state;
  torc_link_id first = nt_up_token(h, A, TORC_LINK_TLS, token, nt_cert(h, A));
  nt_advance(h, TORC_SEC(6));
  nt_clear(h);
  (void)nt_up(h, A);
  expect_close(h, first);
  nt_free(h);
}

/* This node has dialled anew: the peer learns of it a moment later, and closes the old link itself.
 */
static void test_replace_dialled(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id first = nt_join(h, C);
  torc_link_info info = {
      .kind = TORC_LINK_TLS, .peer = nt_id(C), .cert = nt_cert(h, C), .is_dialled = true};
  (void)state;
  nt_advance(h, TORC_SEC(6));
  nt_clear(h);
  info.cert->refs++;
  assert_int_equal(torc_node_link_up(nt_node(h), 99, &info, nt_now(h)), 0);
  nt_drain(h);
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_advance(h, TORC_SEC(2) - 1);
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_advance(h, 1);
  expect_close(h, first);
  nt_free(h);
}

/* The newest ends while the older one is still there: that takes over again, and nobody is lost. */
static void test_older_takes_over(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_link_id first = nt_join(h, C);
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  nt_clear(h);
  torc_link_id second = nt_up_token(h, C, TORC_LINK_WS, 0, nt_cert(h, C));
  nt_down(h, second);
  ping(h, &m, A, &there);
  nt_input(h, a, &m);
  nt_out *o = nt_take_xid(h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, first);
  nt_advance(h, TORC_SEC(40));
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_free(h);
}

/* What the peer became meanwhile it stays. */
static void test_takes_over_as_member(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id first = nt_up(h, C);
  torc_link_id second = nt_up_token(h, C, TORC_LINK_WS, 0, nt_cert(h, C));
  torc_node_link_view v;
  (void)state;
  nt_update(h, second, C, (uint8_t[]){NT_SELF, 0}, (uint8_t[]){NT_SELF, 0});
  nt_down(h, second);
  assert_int_equal(torc_node_links(nt_node(h), &v, 1), 1);
  assert_int_equal(v.link, first);
  assert_true(v.is_routing);
  nt_free(h);
}

/* One peer that comes again and again, of changing kind, has no more room than twice the links. */
static void test_many_links_of_one(void **state) {
  nt *h = nt_ring(NULL);
  torc_node_link_view views[600];
  (void)state;
  for (unsigned i = 0; i < 600; i++) {
    (void)nt_up_token(h, A, i % 2 == 0 ? TORC_LINK_TLS : TORC_LINK_WS, 0, nt_cert(h, A));
  }
  assert_int_equal(torc_node_links(nt_node(h), views, 600), 512);
  nt_free(h);
}

/* ---- limits ---- */

static void three_links(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->max_links = 3;
}

static void test_max_links(void **state) {
  static const nt_options o = {.tweak = three_links};
  nt *h = nt_ring(&o);
  (void)state;
  for (uint8_t i = 0; i < 3; i++) {
    (void)nt_up(h, (uint8_t)(0x30 + i));
    assert_non_null(nt_take_event(h, TORC_EVENT_LINK));
  }
  torc_link_id fourth = nt_up(h, 0x33);
  expect_close(h, fourth);
  assert_null(nt_take_event(h, TORC_EVENT_LINK));
  nt_down(h, fourth);                  /* of a link it never had */
  torc_link_id again = nt_up(h, 0x30); /* the same peer again takes no further place for long */
  assert_non_null(nt_take_event(h, TORC_EVENT_LINK));
  expect_close(h, 1);
  (void)again;
  nt_free(h);
}

static void test_strange_links(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_link_info info = {.kind = TORC_LINK_TLS, .peer = nt_id(A)};
  (void)state;
  nt_clear(h);
  info.cert = nt_cert(h, A);
  info.cert->refs++; /* passes to the node also when it refuses */
  assert_int_equal(torc_node_link_up(nt_node(h), a, &info, nt_now(h)),
                   TORC_ERR_INVALID); /* there is one already */
  info.cert->refs++;
  assert_int_equal(torc_node_link_up(nt_node(h), 0, &info, nt_now(h)), TORC_ERR_INVALID);
  torc_link_id own = nt_up(h, NT_SELF); /* it reached itself */
  expect_close(h, own);
  const torc_id *bad[] = {&torc_id_zero, &torc_id_wildcard};
  for (size_t i = 0; i < 2; i++) {
    info.peer = *bad[i];
    info.cert->refs++;
    assert_int_equal(torc_node_link_up(nt_node(h), 900 + i, &info, nt_now(h)), 0);
    nt_drain(h);
    expect_close(h, 900 + i);
  }
  assert_int_equal(torc_node_link_down(nt_node(h), 12345, nt_now(h)), 0);
  assert_int_equal(torc_node_link_congested(nt_node(h), 12345, true, nt_now(h)), 0);
  assert_int_equal(torc_node_open_failed(nt_node(h), 12345, TORC_ERR_TIMEOUT, nt_now(h)), 0);
  nt_free(h);
}

/* ---- clients ---- */

static void test_client_limit(void **state) {
  nt *h = nt_ring(NULL);
  torc_id self = nt_self(h);
  torc_id there = nt_id(0xb0);
  torc_slice info;
  torc_node_view view;
  nt_msg m;
  (void)state;
  (void)nt_join(h, C); /* a member is no client */
  for (uint8_t i = 0; i < 64; i++) {
    torc_link_id link = nt_up(h, (uint8_t)(1 + i));
    ping(h, &m, (uint8_t)(1 + i), &self);
    nt_input(h, link, &m);
    (void)nt_expect(h, link, &m, 200);
  }
  torc_node_get_view(nt_node(h), &view);
  assert_int_equal(view.num_client_links, 64);
  torc_link_id surplus = nt_up(h, 0x50);
  for (unsigned i = 0; i < 4; i++) { /* whatever it asks, of whom ever */
    ping(h, &m, 0x50, i % 2 == 0 ? &self : &there);
    m.code = i < 2 ? TORC_METHOD_PING : TORC_METHOD_JOIN;
    nt_input(h, surplus, &m);
    assert_string_equal(nt_phrase(h, nt_expect(h, surplus, &m, 503), &info), "Service Unavailable");
  }
  assert_int_equal(nt_counter(h, "drop_surplus_client"), 4);
  nt_clear(h);
  nt_advance(h, TORC_SEC(5) - 1);
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_advance(h, 1);
  expect_close(h, surplus);
  nt_down(h, surplus);
  nt_down(h, 2); /* a place is free again: the first client's, after C's link */
  torc_link_id next = nt_up(h, 0x51);
  ping(h, &m, 0x51, &self);
  nt_input(h, next, &m);
  (void)nt_expect(h, next, &m, 200);
  nt_free(h);
}

/* Links of this node's own making are no surplus. */
static void two_clients(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->max_client_links = 2;
}

static void test_own_links_are_no_surplus(void **state) {
  static const nt_options o = {.tweak = two_clients};
  nt *h = nt_ring(&o);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  (void)nt_up(h, 0x30);
  (void)nt_up(h, 0x31);
  torc_link_id own = nt_up_token(h, 0x32, TORC_LINK_TLS, 77, nt_cert(h, 0x32));
  ping(h, &m, 0x32, &self);
  nt_input(h, own, &m);
  (void)nt_expect(h, own, &m, 200);
  nt_free(h);
}

/* A client uses its peer for everything: by exact id, and never as a member. */
static void test_client_served(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id client = nt_id(A);
  torc_id self = nt_self(h);
  torc_id near = nt_id(0x1f); /* closest to the client, and not its to serve */
  torc_node_link_view views[4];
  nt_msg m;
  (void)state;
  nt_clear(h);
  ping(h, &m, C, &self); /* the route list (Y, X) that X advertises */
  nt_route(&m, &client);
  nt_input(h, c, &m);
  nt_out *o = nt_take_xid(h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, a);
  ping(h, &m, C, &near);
  nt_input(h, c, &m);
  (void)nt_expect(h, c, &m, 200); /* by this node: the client has no range */
  assert_int_equal(torc_node_links(nt_node(h), views, 4), 2);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(views[i].is_client, views[i].link == a);
    assert_true(torc_id_eq(&views[i].peer, views[i].link == a ? &client : &(torc_id){{0}}) ||
                views[i].link != a);
  }
  assert_string_equal(views[views[0].link == a ? 0 : 1].users, nt_user(A));
  nt_free(h);
}

static void test_client_leaves(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id client = nt_id(A);
  torc_id self = nt_self(h);
  torc_node_view view;
  nt_msg m;
  (void)state;
  nt_clear(h);
  nt_request(h, &m, A, TORC_METHOD_LEAVE, nt_notice_payload(h, &client));
  nt_route(&m, &self);
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 200);
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0); /* that is the client's affair */
  torc_node_get_view(nt_node(h), &view);
  assert_int_equal(view.num_successors, 1);
  nt_down(h, a);
  (void)c;
  nt_free(h);
}

/* ---- keepalive ---- */

static void test_keepalive(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id client = nt_id(A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  nt_clear(h);
  nt_answer(h, 0);
  nt_advance(h, TORC_SEC(20));
  ping(h, &m, A, &self);
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 200);
  nt_advance(h, TORC_SEC(30) - 1); /* idle from its last message on */
  assert_null(nt_take_request(h, a, TORC_METHOD_PING));
  nt_advance(h, 1);
  nt_out *o = nt_take_request(h, a, TORC_METHOD_PING);
  assert_non_null(o);
  torc_id to = torc_id_list_at(o->hdr.route, 0);
  assert_int_equal(torc_id_list_len(o->hdr.route), 1);
  assert_true(torc_id_eq(&to, &client));
  nt_response(h, &m, A, o, 200, nt_pong_payload(h, 1));
  nt_input(h, a, &m);
  nt_clear(h);
  nt_advance(h, TORC_SEC(30));
  o = nt_take_request(h, a, TORC_METHOD_PING); /* the next one is not answered */
  assert_non_null(o);
  nt_advance(h, TORC_SEC(8) - 1);
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_advance(h, 1);
  expect_close(h, a);
  assert_int_equal(nt_counter(h, "keepalive_failures"), 1);
  nt_free(h);
}

/* An answer that proves nothing keeps no link. */
static void test_keepalive_forged(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  nt_msg m;
  (void)state;
  nt_clear(h);
  nt_answer(h, 0);
  nt_advance(h, TORC_SEC(30));
  nt_out *o = nt_take_request(h, a, TORC_METHOD_PING);
  assert_non_null(o);
  nt_response(h, &m, A, o, 200, nt_pong_payload(h, 1));
  m.is_forged = true;
  nt_input(h, a, &m);
  nt_advance(h, TORC_SEC(8));
  expect_close(h, a);
  nt_free(h);
}

/* The peer with the smaller id leaves the PING to the other one, which is the first to be due. */
static void test_keepalive_patience(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id b = nt_up(h, 0xf0);
  torc_id self = nt_self(h);
  torc_id peer = nt_id(0xf0);
  (void)state;
  assert_true(torc_id_cmp(&self, &peer) < 0);
  nt_answer(h, 0);
  nt_advance(h, TORC_MS(31875) - 1);
  assert_null(nt_take_request(h, b, TORC_METHOD_PING));
  nt_advance(h, 1);
  assert_non_null(nt_take_request(h, b, TORC_METHOD_PING));
  nt_free(h);
}

/* A request went on to a peer that says nothing at all: it is asked at once, not when it is idle,
 * and what is sent again finds the way without it. */
static void test_keepalive_early(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_link_id c = nt_join(h, C);
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  nt_clear(h);
  nt_answer(h, 0);
  ping(h, &m, A, &there);
  nt_input(h, a, &m);
  assert_int_equal(nt_take_xid(h, m.hdr.xid)->link, c);
  nt_advance(h, TORC_SEC(1) - 1);
  assert_null(nt_take_request(h, c, TORC_METHOD_PING));
  nt_advance(h, 1);
  assert_non_null(nt_take_request(h, c, TORC_METHOD_PING));
  nt_advance(h, TORC_SEC(8) - 1);
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_advance(h, 1);
  expect_close(h, c);
  nt_down(h, c);
  nt_input(h, a, &m); /* sent again: this peer answers for C's range now */
  (void)nt_expect(h, a, &m, 200);
  nt_free(h);
}

/* Whatever comes on the link shows that somebody is there. */
static void test_keepalive_early_heard(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_link_id c = nt_join(h, C);
  torc_id there = nt_id(0xb0);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  nt_clear(h);
  nt_answer(h, 0);
  ping(h, &m, A, &there);
  nt_input(h, a, &m);
  assert_int_equal(nt_take_xid(h, m.hdr.xid)->link, c);
  nt_advance(h, TORC_MS(900));
  ping(h, &m, C, &self);
  nt_input(h, c, &m);
  (void)nt_expect(h, c, &m, 200);
  nt_advance(h, TORC_SEC(20));
  assert_null(nt_take_request(h, c, TORC_METHOD_PING));
  nt_free(h);
}

/* Nothing answers the PING, but the peer asks for something meanwhile: it is there, and its answers
 * were lost. The next PING decides. */
static void test_keepalive_lost_answers(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  nt_clear(h);
  nt_answer(h, 0);
  nt_advance(h, TORC_SEC(30));
  assert_non_null(nt_take_request(h, a, TORC_METHOD_PING));
  nt_advance(h, TORC_SEC(1));
  ping(h, &m, A, &self);
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 200);
  nt_clear(h);
  nt_advance(h, TORC_SEC(7));
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  assert_int_equal(nt_counter(h, "keepalive_failures"), 0);
  nt_clear(h);
  nt_advance(h, TORC_SEC(23)); /* idle from what it asked on */
  assert_non_null(nt_take_request(h, a, TORC_METHOD_PING));
  nt_advance(h, TORC_SEC(8));
  expect_close(h, a);
  assert_int_equal(nt_counter(h, "keepalive_failures"), 1);
  nt_free(h);
}

static void quick_keepalive(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->keepalive = TORC_SEC(3);
}

static void test_keepalive_period(void **state) {
  static const nt_options o = {.tweak = quick_keepalive};
  nt *h = nt_ring(&o);
  torc_link_id a = nt_up(h, A);
  (void)state;
  nt_answer(h, 0);
  nt_advance(h, TORC_SEC(3));
  assert_non_null(nt_take_request(h, a, TORC_METHOD_PING));
  nt_free(h);
}

/* ---- links that end ---- */

/* Ten members right before this node: 0x75 is neither neighbour nor finger, and nobody uses its
 * link. */
static void test_idle(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id links[16] = {0};
  (void)state;
  for (uint8_t i = 0; i < 16; i++) {
    links[i] = nt_join(h, (uint8_t)(0x70 + i));
  }
  torc_link_id client = nt_up(h, A);
  nt_clear(h);
  nt_advance(h, TORC_SEC(299));
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_advance(h, TORC_SEC(2000)); /* nobody has heard from it for longer than it sends UPDATEs */
  bool is_closed[16] = {false};
  for (nt_out *o = nt_take(h, TORC_OUT_CLOSE); o != NULL; o = nt_take(h, TORC_OUT_CLOSE)) {
    assert_int_not_equal(o->link, client);
    for (uint8_t i = 0; i < 16; i++) {
      is_closed[i] = is_closed[i] || o->link == links[i];
    }
  }
  static const bool near[16] = {
      [0] = true, [1] = true, [2] = true, [13] = true, [14] = true, [15] = true};
  for (uint8_t i = 0; i < 16; i++) {
    assert_int_equal(is_closed[i], !near[i]);
  }
  assert_true(nt_counter(h, "links_idle_closed") >= 10);
  nt_free(h);
}

/* Use keeps a link: what passes over it, and what this node itself sends. */
static void test_idle_but_used(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id links[16] = {0};
  torc_link_id client = 0;
  (void)state;
  for (uint8_t i = 0; i < 16; i++) {
    links[i] = nt_join(h, (uint8_t)(0x70 + i));
  }
  client = nt_up(h, A);
  torc_id used = nt_id(0x75);
  torc_id own = nt_id(0x76);
  nt_clear(h);
  for (unsigned i = 0; i < 12; i++) {
    torc_token token = 0;
    nt_msg m;
    nt_advance(h, TORC_SEC(200));
    ping(h, &m, A, &used);
    nt_input(h, client, &m);
    assert_int_equal(torc_node_tunnel(nt_node(h), &own, 1, 1, torc_slice_str(""),
                                      torc_slice_str(""), nt_now(h), &token),
                     0);
    nt_drain(h);
  }
  for (nt_out *o = nt_take(h, TORC_OUT_CLOSE); o != NULL; o = nt_take(h, TORC_OUT_CLOSE)) {
    assert_int_not_equal(o->link, links[5]);
    assert_int_not_equal(o->link, links[6]);
  }
  nt_free(h);
}

static void test_certificate_expires(void **state) {
  nt *h = nt_ring(NULL);
  torc_id id = nt_id(A);
  torc_cert *c = nt_cert_make(h, nt_user(A), &id, 1, 1, NT_WALL + 600);
  torc_link_id a = nt_up_token(h, A, TORC_LINK_TLS, 0, c);
  (void)state;
  nt_advance(h, TORC_SEC(590));
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_advance(h, TORC_SEC(45));
  expect_close(h, a);
  assert_int_equal(nt_counter(h, "links_expired"), 1);
  nt_free(h);
}

static void test_events(void **state) {
  nt *h = nt_ring(NULL);
  torc_id id = nt_id(A);
  (void)state;
  torc_link_id a = nt_up(h, A);
  nt_out *o = nt_take_event(h, TORC_EVENT_LINK);
  assert_non_null(o);
  assert_true(o->event.is_up);
  assert_true(torc_id_eq(&o->event.peer, &id));
  nt_down(h, a);
  o = nt_take_event(h, TORC_EVENT_LINK);
  assert_non_null(o);
  assert_false(o->event.is_up);
  assert_true(torc_id_eq(&o->event.peer, &id));
  assert_int_equal(nt_counter(h, "links_up"), 1);
  assert_int_equal(nt_counter(h, "links_down"), 1);
  nt_free(h);
}

/* ---- leaving ---- */

static void test_leave(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  torc_link_id links[2] = {c, a};
  nt_msg m;
  (void)state;
  nt_clear(h);
  assert_int_equal(torc_node_leave(nt_node(h), nt_now(h)), 0);
  nt_drain(h);
  for (size_t i = 0; i < 2; i++) { /* to every directly connected peer */
    nt_out *o = nt_take_request(h, links[i], TORC_METHOD_LEAVE);
    assert_non_null(o);
    assert_int_equal(o->c.payload.len, TORC_ID_LEN);
    assert_memory_equal(o->c.payload.p, self.b, TORC_ID_LEN);
    assert_null(nt_take_event(h, TORC_EVENT_LEFT));
    nt_response(h, &m, i == 0 ? C : A, o, 200, torc_slice_of(NULL, 0));
    nt_input(h, links[i], &m);
  }
  assert_non_null(nt_take_event(h, TORC_EVENT_LEFT));
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 2);
  nt_clear(h);
  ping(h, &m, A, &self);
  nt_input(h, a, &m);
  nt_expect_nothing(h, &m);
  assert_int_equal(torc_node_leave(nt_node(h), nt_now(h)), 0);
  nt_advance(h, TORC_SEC(3600));
  assert_int_equal(nt_count(h, TORC_OUT_SEND), 0);
  nt_free(h);
}

static void test_leave_unanswered(void **state) {
  nt *h = nt_ring(NULL);
  (void)state;
  (void)nt_join(h, C);
  assert_int_equal(torc_node_leave(nt_node(h), nt_now(h)), 0);
  nt_drain(h);
  nt_advance(h, TORC_SEC(3) + 1);
  assert_non_null(nt_take_event(h, TORC_EVENT_LEFT));
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 1);
  nt_free(h);
}

static void test_leave_early(void **state) {
  nt *h = nt_new(NULL);
  torc_link_id a = nt_up(h, A);
  (void)state;
  assert_int_equal(torc_node_leave(nt_node(h), nt_now(h)), 0);
  nt_drain(h);
  assert_non_null(nt_take_event(h, TORC_EVENT_LEFT));
  expect_close(h, a);
  assert_int_equal(torc_node_start(nt_node(h), nt_now(h)), TORC_ERR_STATE);
  nt_free(h);
}

/* ---- time ---- */

static void test_time(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  ping(h, &m, A, &self);
  torc_slice bytes = nt_encode(h, &m);
  assert_int_equal(torc_node_tick(nt_node(h), 0),
                   0); /* a clock that goes back counts as standing still */
  assert_int_equal(torc_node_input(nt_node(h), a, bytes, 5), 0);
  nt_drain(h);
  (void)nt_expect(h, a, &m, 200);
  for (unsigned i = 0; i < 10; i++) {
    nt_tick(h); /* early, late or repeated: harmless */
  }
  assert_true(torc_node_deadline(nt_node(h)) > nt_now(h));
  nt_free(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("R-14 ARC-14 a second link of the same kind takes over at once",
                test_replace_same_kind),
      TORC_TEST("R-14 a second link of another kind: the old one drains for 30 s",
                test_replace_other_kind),
      TORC_TEST("R-14 a link replaced by one of this node's dialling", test_replace_dialled),
      TORC_TEST("R-14 GAP-74 a link by CONNECT drains for 30 s", test_replace_by_connect),
      TORC_TEST("R-14 GAP-74 both ends dialled: they agree on the one that stays", test_crossing),
      TORC_TEST("R-14 GAP-74 CONNECTs from both ends at once", test_crossing_connects),
      TORC_TEST("R-14 GAP-74 links of two kinds by CONNECTs from both ends", test_crossing_kinds),
      TORC_TEST("R-14 a link that was opened is no link by CONNECT", test_replace_opened),
      TORC_TEST("R-14 the older link takes over again", test_older_takes_over),
      TORC_TEST("R-14 GAP-141 it takes over with the peer's standing", test_takes_over_as_member),
      TORC_TEST("R-14 GAP-162 many links of one peer", test_many_links_of_one),
      TORC_TEST("GAP-162 at most so many links", test_max_links),
      TORC_TEST("ARC-16 TLS-08 links that cannot be", test_strange_links),
      TORC_TEST("R-39 GAP-141 GAP-76 CLI-01 the 65th client", test_client_limit),
      TORC_TEST("R-39 links of this node's own making are no surplus",
                test_own_links_are_no_surplus),
      TORC_TEST("CLI-01 CLI-02 CLI-05 CLI-06 GAP-141 RTG-27 ARC-14 ARC-15 a client at its peer",
                test_client_served),
      TORC_TEST("R-47 CLI-01 LEA-02 LEAVE of a client", test_client_leaves),
      TORC_TEST("GAP-77 a PING after 30 s of silence, the end after 8 s without an answer",
                test_keepalive),
      TORC_TEST("GAP-77 one of the two waits longer, so that one PING does for both",
                test_keepalive_patience),
      TORC_TEST("GAP-77 a forged answer keeps no link", test_keepalive_forged),
      TORC_TEST("GAP-77 RTX-01 a peer that took a request and is silent is asked early",
                test_keepalive_early),
      TORC_TEST("GAP-77 one that says anything is not", test_keepalive_early_heard),
      TORC_TEST("GAP-77 one that talks is not lost with its answers", test_keepalive_lost_answers),
      TORC_TEST("GAP-77 the period is configured", test_keepalive_period),
      TORC_TEST("GAP-162 links nobody needs are closed", test_idle),
      TORC_TEST("GAP-162 links in use are not", test_idle_but_used),
      TORC_TEST("GAP-135 a link ends with its certificate", test_certificate_expires),
      TORC_TEST("BST-09 links that come and go are told", test_events),
      TORC_TEST("LEA-01 CHD-46 GAP-118 a peer leaves", test_leave),
      TORC_TEST("LEA-01 GAP-118 nobody answers the LEAVE", test_leave_unanswered),
      TORC_TEST("LEA-01 R-47 leaving before there is a ring", test_leave_early),
      TORC_TEST("D-40 time", test_time),
  };
  return TORC_RUN(tests);
}
