/* Where a message goes: order of cases, via lists, source routes, list compression, route log.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/pdu.h"

#define A 0x20 /* a client link; its id lies in the node's own range (c0.., 80..] */
#define B 0x90 /* linked, never sent an UPDATE; its id lies in the range of C */
#define C 0xc0 /* a member of the ring: what lies in (80.., c0..] is its own */

typedef struct scene {
  nt *h;
  torc_link_id a, b, c;
  torc_id self, there; /* there: an id in C's range */
} scene;

static scene scene_new(const nt_options *o) {
  scene s = {.h = nt_ring(o), .there = nt_id(0xb0)};
  s.self = nt_self(s.h);
  s.c = nt_join(s.h, C);
  s.a = nt_up(s.h, A);
  s.b = nt_up(s.h, B);
  nt_clear(s.h);
  return s;
}

/* A TUNNEL tells by its effect how it was addressed: 200 and an event at its exact addressee, else
 * 404. */
#define APP 7777
static void tunnel(nt *h, nt_msg *m, uint8_t signer) {
  torc_tunnel_data t = {.application = APP, .application_pdu = torc_slice_str("hello")};
  uint8_t buf[64];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_tunnel_put(&wr, &t), 0);
  nt_request(h, m, signer, TORC_METHOD_TUNNEL, nt_keep(h, buf, wr.len));
}

static void ping(nt *h, nt_msg *m, uint8_t signer) {
  nt_request(h, m, signer, TORC_METHOD_PING, nt_ping_payload(h));
}

static void response(nt *h, nt_msg *m, uint8_t signer) {
  nt_request(h, m, signer, 200, nt_pong_payload(h, 5));
  m->is_response = true;
}

static void expect_route(const nt_out *o, const torc_id *ids, size_t num) {
  assert_int_equal(torc_id_list_len(o->hdr.route), num);
  if (num > 0) {
    assert_memory_equal(o->hdr.route.p, ids, num * sizeof *ids);
  }
}

static void expect_via(const nt_out *o, const torc_id *ids, size_t num) {
  assert_int_equal(torc_id_list_len(o->hdr.via), num);
  if (num > 0) {
    assert_memory_equal(o->hdr.via.p, ids, num * sizeof *ids);
  }
}

/* ---- the order of cases ---- */

typedef struct way {
  uint8_t route[4]; /* first bytes; 0x80 is the node itself, 0xff the wildcard; 0 ends */
  uint8_t out;      /* link it leaves on; 0: it is for this node; 1: nowhere */
  uint8_t left[4];  /* what is left of the route */
  bool is_exact;
} way;

static way ways[] = {
    {.route = {0}, .out = 0, .is_exact = true},
    {.route = {0x80}, .out = 0, .is_exact = true},
    {.route = {0x80, 0x80}, .out = 0, .is_exact = true},
    {.route = {0x10}, .out = 0, .is_exact = false},      /* responsible */
    {.route = {0x10, 0x80}, .out = 0, .is_exact = true}, /* the last stripped entry decides */
    {.route = {0x80, 0x10}, .out = 0, .is_exact = false},
    {.route = {A}, .out = A, .left = {A}}, /* connected goes before responsible */
    {.route = {0x80, A}, .out = A, .left = {A}},
    {.route = {0x10, A}, .out = A, .left = {A}},
    {.route = {B}, .out = B, .left = {B}}, /* connected, though C is responsible */
    {.route = {B, 0x10}, .out = B, .left = {B, 0x10}},
    {.route = {0xb0}, .out = C, .left = {0xb0}}, /* by the plug-in */
    {.route = {0x95}, .out = C, .left = {0x95}}, /* not through B, though B is closer */
    {.route = {C}, .out = C, .left = {C}},
    {.route = {0x80, 0x80, 0xb0, A}, .out = C, .left = {0xb0, A}},
    {.route = {0x10, 0x30, 0x80, 0xa0}, .out = C, .left = {0xa0}},
    {.route = {0xff, A}, .out = A, .left = {A}},
};

static torc_id way_id(const scene *s, uint8_t first) {
  return first == 0x80 ? s->self : first == 0xff ? torc_id_wildcard : nt_id(first);
}

static torc_link_id way_link(const scene *s, uint8_t first) {
  return first == A ? s->a : first == B ? s->b : s->c;
}

static void test_ways(void **state) {
  scene s = scene_new(NULL);
  (void)state;
  assert_int_equal(torc_node_listen(nt_node(s.h), APP, true), 0);
  for (size_t i = 0; i < TORC_ARRAY_LEN(ways); i++) {
    const way *w = &ways[i];
    torc_id left[4];
    size_t num = 0;
    nt_msg m;
    tunnel(s.h, &m, C);
    for (size_t k = 0; k < 4 && w->route[k] != 0; k++) {
      torc_id id = way_id(&s, w->route[k]);
      nt_route(&m, &id);
    }
    nt_input(s.h, s.c, &m);
    if (w->out == 0) {
      (void)nt_expect(s.h, s.c, &m, w->is_exact ? 200 : 404);
      assert_int_equal(nt_take_event(s.h, TORC_EVENT_TUNNEL) != NULL, w->is_exact);
      continue;
    }
    for (; num < 4 && w->left[num] != 0; num++) {
      left[num] = way_id(&s, w->left[num]);
    }
    nt_out *o = nt_take_xid(s.h, m.hdr.xid);
    assert_non_null(o);
    assert_int_equal(o->link, way_link(&s, w->out));
    expect_route(o, left, num);
    torc_id from = nt_id(C);
    expect_via(o, &from, 1); /* also back to where it came from: no split horizon */
    assert_false(o->c.is_response);
  }
  nt_free(s.h);
}

/* After its UPDATE a peer is routed through. */
static void test_update_makes_routing(void **state) {
  static const uint8_t none[] = {0};
  static const uint8_t succs[] = {C, 0};
  static const uint8_t preds[] = {B, 0x80, 0};
  scene s = scene_new(NULL);
  torc_id target = nt_id(0x88);
  nt_msg m;
  (void)state;
  ping(s.h, &m, A);
  nt_route(&m, &target);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.c);
  nt_update(s.h, s.b, B, none, succs);
  nt_update(s.h, s.c, C, preds, none); /* C's range begins at B now */
  ping(s.h, &m, A);
  nt_route(&m, &target);
  nt_input(s.h, s.a, &m);
  o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.b);
  nt_free(s.h);
}

/* CONNECT alone changes no routing table [CON-03], and a failed link ends it all. */
static void test_no_way(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_link_id c = nt_join(h, C);
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  nt_answer(h, 0);
  nt_down(h, c); /* alone again: everything is this node's own, until it is cut off */
  ping(h, &m, A);
  nt_route(&m, &there);
  nt_input(h, a, &m);
  (void)nt_take_xid(h, m.hdr.xid);
  assert_int_equal(nt_counter(h, "messages_forwarded"), 0);
  nt_free(h);
}

/* a client reaches itself through its peer. */
static void test_no_split_horizon(void **state) {
  scene s = scene_new(NULL);
  torc_id client = nt_id(A);
  nt_msg m;
  (void)state;
  ping(s.h, &m, A);
  nt_route(&m, &s.self);
  nt_route(&m, &client);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.a);
  expect_route(o, &client, 1);
  expect_via(o, &client, 1);
  nt_free(s.h);
}

/* GAP-36: a via list that names this node stops nothing; the TTL bounds it. */
static void test_via_loop(void **state) {
  scene s = scene_new(NULL);
  torc_id want[3] = {nt_id(C), s.self, nt_id(A)};
  nt_msg m;
  (void)state;
  ping(s.h, &m, A);
  nt_route(&m, &s.there);
  nt_via(&m, &want[0]);
  nt_via(&m, &want[1]);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.c);
  expect_via(o, want, 3);
  nt_free(s.h);
}

/* ---- symmetric answers ---- */

/* D gets from C what went through (A, B): on to E it carries (A, B, C); the answer of D goes (C, B,
 * A). */
static void test_reverse(void **state) {
  scene s = scene_new(NULL);
  torc_id via[3] = {nt_id(0x31), nt_id(0x32), nt_id(A)};
  torc_id back[3] = {nt_id(A), nt_id(0x32), nt_id(0x31)};
  nt_msg m;
  (void)state;
  ping(s.h, &m, 0x31);
  nt_route(&m, &s.there);
  nt_via(&m, &via[0]);
  nt_via(&m, &via[1]);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  expect_via(o, via, 3);
  ping(s.h, &m, 0x31);
  nt_route(&m, &s.self);
  nt_via(&m, &via[0]);
  nt_via(&m, &via[1]);
  nt_input(s.h, s.a, &m);
  o = nt_expect(s.h, s.a, &m, 200);
  expect_route(o, back, 3);
  nt_free(s.h);
}

/* The next reverse hop's own id stays in, and may as well be left out. */
static void test_response_forms(void **state) {
  scene s = scene_new(NULL);
  torc_id client = nt_id(A);
  torc_id from = nt_id(C);
  nt_msg m;
  (void)state;
  for (unsigned with_self = 0; with_self < 2; with_self++) {
    response(s.h, &m, C);
    if (with_self != 0) {
      nt_route(&m, &s.self);
    }
    nt_route(&m, &client);
    nt_input(s.h, s.c, &m);
    nt_out *o = nt_take_xid(s.h, m.hdr.xid);
    assert_non_null(o);
    assert_int_equal(o->link, s.a);
    expect_route(o, &client, 1);
    expect_via(o, &from, 1); /* responses collect a via list too */
  }
  response(s.h, &m, C); /* an empty list: for this node, which knows nothing of it */
  nt_input(s.h, s.c, &m);
  assert_int_equal(nt_counter(s.h, "drop_no_transaction"), 1);
  nt_free(s.h);
}

/* A response in transit for an id in the own range that is not linked is not swallowed silently: it
 * is counted. */
static void test_response_lost(void **state) {
  scene s = scene_new(NULL);
  torc_id gone = nt_id(0x44);
  nt_msg m;
  (void)state;
  response(s.h, &m, C);
  nt_route(&m, &s.self);
  nt_route(&m, &gone);
  nt_input(s.h, s.c, &m);
  nt_expect_nothing(s.h, &m);
  assert_int_equal(nt_counter(s.h, "drop_no_transaction"), 1);
  nt_free(s.h);
}

/* GAP-35: the way back is gone: by the plug-in, or nowhere. */
static void test_reverse_hop_gone(void **state) {
  scene s = scene_new(NULL);
  torc_id back = nt_id(B);
  nt_msg m;
  (void)state;
  nt_hold_jobs(s.h, true);
  ping(s.h, &m, B);
  nt_route(&m, &s.self);
  nt_input(s.h, s.b, &m);
  nt_down(s.h, s.b);
  nt_hold_jobs(s.h, false);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.c);
  expect_route(o, &back, 1);
  nt_hold_jobs(s.h, true);
  ping(s.h, &m, A);
  nt_route(&m, &s.self);
  nt_input(s.h, s.a, &m);
  nt_down(s.h, s.a);
  uint64_t before = nt_counter(s.h, "drop_no_route");
  nt_hold_jobs(s.h, false);
  nt_expect_nothing(s.h, &m);
  assert_int_equal(nt_counter(s.h, "drop_no_route"), before + 1);
  nt_free(s.h);
}

/* Somebody on the way asks this node under the transaction id of this node's own request, and goes:
 * the answer, which finds no way back, is not taken for the answer to the own request. */
static void test_own_answer_is_no_answer(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  assert_int_equal(torc_node_ping(nt_node(s.h), &s.there, 1, 0, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_out *o = nt_take_request(s.h, s.c, TORC_METHOD_PING);
  assert_non_null(o);
  nt_hold_jobs(s.h, true);
  ping(s.h, &m, A);
  m.hdr.xid = o->hdr.xid;
  nt_route(&m, &s.self);
  nt_input(s.h, s.a, &m);
  nt_down(s.h, s.a);
  nt_hold_jobs(s.h, false);
  assert_null(nt_take_done(s.h, token));
  nt_free(s.h);
}

/* A response comes back another way than its request went. */
static void test_asymmetric(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  assert_int_equal(torc_node_ping(nt_node(s.h), &s.there, 1, 0, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_out *o = nt_take_request(s.h, s.c, TORC_METHOD_PING);
  assert_non_null(o);
  nt_response(s.h, &m, 0xb0, o, 200, nt_pong_payload(s.h, 99));
  torc_id a = nt_id(A);
  nt_via(&m, &a);
  nt_input(s.h, s.a, &m);
  o = nt_take_done(s.h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.rc, 0);
  assert_int_equal(o->event.done.code, 200);
  assert_int_equal(o->event.done.response_id, 99);
  assert_true(torc_id_eq(&o->event.done.responder, &s.there));
  nt_free(s.h);
}

/* ---- own requests ---- */

static void test_own_routes(void **state) {
  scene s = scene_new(NULL);
  torc_id c = nt_id(C);
  torc_id one[1] = {s.there};
  torc_id source[3] = {c, nt_id(0x55), s.there};
  torc_id with_self[3] = {s.self, c, s.there};
  const struct {
    const torc_id *route;
    size_t num;
    const torc_id *want;
    size_t num_want;
  } cases[] = {{one, 1, one, 1}, {source, 3, source, 3}, {with_self, 3, with_self + 1, 2}};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_token token = 0;
    assert_int_equal(
        torc_node_ping(nt_node(s.h), cases[i].route, cases[i].num, 0, nt_now(s.h), &token), 0);
    nt_drain(s.h);
    nt_out *o = nt_take_request(s.h, s.c, TORC_METHOD_PING);
    assert_non_null(o);
    expect_route(o, cases[i].want, cases[i].num_want);
    expect_via(o, NULL, 0);
  }
  torc_id many[17];
  torc_token token = 0;
  for (size_t i = 0; i < 17; i++) {
    many[i] = c;
  }
  assert_int_equal(torc_node_ping(nt_node(s.h), many, 17, 0, nt_now(s.h), &token),
                   TORC_ERR_INVALID);
  assert_int_equal(torc_node_ping(nt_node(s.h), many, 0, 0, nt_now(s.h), &token), TORC_ERR_INVALID);
  nt_free(s.h);
}

/* ---- wildcard ---- */

static void test_wildcard(void **state) {
  static const uint16_t methods[] = {TORC_METHOD_CONNECT, TORC_METHOD_TUNNEL, TORC_METHOD_STORE,
                                     TORC_METHOD_FETCH,   TORC_METHOD_REMOVE, TORC_METHOD_FIND,
                                     TORC_METHOD_JOIN,    TORC_METHOD_LEAVE,  TORC_METHOD_UPDATE};
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  ping(s.h, &m, A);
  nt_route(&m, &torc_id_wildcard);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  for (size_t i = 0; i < TORC_ARRAY_LEN(methods); i++) {
    nt_request(s.h, &m, A, methods[i], nt_ping_payload(s.h));
    nt_route(&m, &torc_id_wildcard);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 400);
    assert_int_equal(nt_counter(s.h, "drop_wildcard"), i + 1);
  }
  assert_int_equal(nt_counter(s.h, "messages_forwarded"), 0);
  nt_free(s.h);
}

/* ---- full lists ---- */

static void compress(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->compress_via = true;
}
static const nt_options compressing = {.tweak = compress};

static void fill_via(nt_msg *m, size_t num) {
  for (size_t i = 0; i < num; i++) {
    torc_id id = nt_id((uint8_t)(1 + i % 0x70));
    id.b[1] = (uint8_t)i;
    nt_via(m, &id);
  }
}

static void test_full_via(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  ping(s.h, &m, A);
  nt_route(&m, &s.there);
  fill_via(&m, 254);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(torc_id_list_len(o->hdr.via), 255);
  ping(s.h, &m, A);
  nt_route(&m, &s.there);
  fill_via(&m, 255);
  nt_input(s.h, s.a, &m);
  nt_expect_nothing(s.h, &m);
  assert_int_equal(nt_counter(s.h, "drop_via_full"), 1);
  tunnel(s.h, &m, 0x01); /* for this node, and no way to answer: not executed */
  assert_int_equal(torc_node_listen(nt_node(s.h), APP, true), 0);
  nt_route(&m, &s.self);
  fill_via(&m, 255);
  nt_input(s.h, s.a, &m);
  nt_expect_nothing(s.h, &m);
  assert_null(nt_take_event(s.h, TORC_EVENT_TUNNEL));
  assert_int_equal(nt_counter(s.h, "drop_via_full"), 2);
  ping(s.h, &m, A); /* nor is there a way for an error */
  nt_route(&m, &s.there);
  fill_via(&m, 255);
  m.hdr.overlay = 1;
  nt_input(s.h, s.a, &m);
  nt_expect_nothing(s.h, &m);
  assert_int_equal(nt_counter(s.h, "drop_via_full"), 3);
  tunnel(s.h, &m, 0x01);
  nt_route(&m, &s.self);
  fill_via(&m, 254);
  nt_input(s.h, s.a, &m);
  o = nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(torc_id_list_len(o->hdr.route), 255);
  nt_free(s.h);
}

static void test_full_via_compressed(void **state) {
  scene s = scene_new(&compressing);
  nt_msg m;
  (void)state;
  ping(s.h, &m, A);
  nt_route(&m, &s.there);
  fill_via(&m, 254);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(torc_id_list_len(o->hdr.via), 1);
  nt_free(s.h);
}

/* ---- list compression ---- */

/* Sends a request through the node and gives the private id that stands for (31, 32, A). */
static torc_id make_private(scene *s) {
  torc_id via[2] = {nt_id(0x31), nt_id(0x32)};
  nt_msg m;
  ping(s->h, &m, 0x31);
  nt_route(&m, &s->there);
  nt_via(&m, &via[0]);
  nt_via(&m, &via[1]);
  nt_input(s->h, s->a, &m);
  nt_out *o = nt_take_xid(s->h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s->c);
  assert_int_equal(torc_id_list_len(o->hdr.via), 1);
  return torc_id_list_at(o->hdr.via, 0);
}

static void test_private_id(void **state) {
  scene s = scene_new(&compressing);
  torc_id id = make_private(&s);
  torc_id other = make_private(&s);
  torc_id want[3] = {nt_id(A), nt_id(0x32), nt_id(0x31)};
  nt_msg m;
  (void)state;
  assert_true(torc_id_is_peer(&id));
  assert_false(torc_id_eq(&id, &other)); /* each is unique */
  for (size_t i = 0; i < 3; i++) {
    assert_false(torc_id_eq(&id, &want[i]));
  }
  for (unsigned with_self = 0; with_self < 2; with_self++) { /* (D, X) and (X) */
    response(s.h, &m, 0xb0);
    if (with_self != 0) {
      nt_route(&m, &s.self);
    }
    nt_route(&m, &id);
    nt_input(s.h, s.c, &m);
    nt_out *o = nt_take_xid(s.h, m.hdr.xid);
    assert_non_null(o);
    assert_int_equal(o->link, s.a);
    expect_route(o, want, 3);
  }
  assert_int_equal(nt_counter(s.h, "private_ids_made"),
                   4); /* the responses' via lists are shortened as well */
  assert_int_equal(nt_counter(s.h, "private_ids_expanded"), 2);
  nt_free(s.h);
}

/* Kept for 60 s, whatever the transactions do in 32. */
static void test_private_id_age(void **state) {
  scene s = scene_new(&compressing);
  torc_id id = make_private(&s);
  nt_msg m;
  (void)state;
  nt_advance(s.h, TORC_SEC(59));
  nt_clear(s.h);
  (void)make_private(&s); /* which forgets what is too old */
  response(s.h, &m, 0xb0);
  nt_route(&m, &id);
  nt_input(s.h, s.c, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.a);
  nt_advance(s.h, TORC_SEC(2));
  nt_clear(s.h);
  (void)make_private(&s);
  response(s.h, &m, 0xb0);
  nt_route(&m, &id);
  nt_input(s.h, s.c,
           &m); /* now an id like any other: routed, or dropped; the requester tries again */
  o = nt_take_xid(s.h, m.hdr.xid);
  assert_true(o == NULL || o->link != s.a);
  nt_free(s.h);
}

/* A via list of compressed entries compressed again: expanded until none is left; bounded in number
 * and length. */
static void test_private_id_nested(void **state) {
  scene s = scene_new(&compressing);
  torc_id id = make_private(&s);
  torc_id want[4] = {nt_id(A), nt_id(A), nt_id(0x32), nt_id(0x31)};
  nt_msg m;
  (void)state;
  for (unsigned depth = 2; depth <= 12; depth++) {
    ping(s.h, &m, 0x31); /* it comes round again, behind A */
    nt_route(&m, &s.there);
    nt_via(&m, &id);
    nt_input(s.h, s.a, &m);
    nt_out *o = nt_take_xid(s.h, m.hdr.xid);
    assert_non_null(o);
    id = torc_id_list_at(o->hdr.via, 0);
    response(s.h, &m, 0xb0);
    nt_route(&m, &id);
    nt_input(s.h, s.c, &m);
    o = nt_take_xid(s.h, m.hdr.xid);
    assert_non_null(o); /* A is first: the rest is left for later */
    assert_int_equal(o->link, s.a);
    assert_int_equal(torc_id_list_len(o->hdr.route), 2);
    assert_memory_equal(o->hdr.route.p, &want[0], TORC_ID_LEN);
  }
  nt_free(s.h);
}

/* Of many private ids in a list only the first ones are looked at before the message leaves; a list
 * that holds nothing but its own is expanded so often and no more. */
static void test_private_id_many(void **state) {
  scene s = scene_new(&compressing);
  nt_msg m;
  (void)state;
  torc_id id = make_private(&s);
  response(s.h, &m, 0xb0);
  for (unsigned i = 0; i < 12; i++) {
    nt_route(&m, &s.self);
    nt_route(&m, &id);
  }
  nt_input(s.h, s.c, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.a);
  assert_int_equal(torc_id_list_len(o->hdr.route), 3 + 22);
  nt_down(s.h, s.a); /* A's id is the node's own range now: each expansion is used up here */
  response(s.h, &m, 0xb0);
  for (unsigned i = 0; i < 12; i++) {
    nt_route(&m, &id);
  }
  nt_input(s.h, s.c, &m);
  assert_null(nt_take_xid(s.h, m.hdr.xid));
  assert_int_equal(nt_counter(s.h, "drop_route_loop"), 1);
  nt_free(s.h);
}

static void test_private_id_overflow(void **state) {
  scene s = scene_new(&compressing);
  nt_msg m;
  (void)state;
  ping(s.h, &m, 0x31);
  nt_route(&m, &s.there);
  fill_via(&m, 200);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  torc_id id = torc_id_list_at(o->hdr.via, 0); /* 201 entries */
  for (unsigned more = 54; more <= 55; more++) {
    uint64_t dropped = nt_counter(s.h, "drop_via_full");
    response(s.h, &m, 0xb0);
    nt_route(&m, &id);
    for (unsigned i = 0; i < more; i++) {
      nt_route(&m, &s.there);
    }
    nt_input(s.h, s.c, &m);
    o = nt_take_xid(s.h, m.hdr.xid);
    if (more == 54) {
      assert_non_null(o);
      assert_int_equal(torc_id_list_len(o->hdr.route), 255);
    } else {
      assert_null(o);
      assert_int_equal(nt_counter(s.h, "drop_via_full"), dropped + 1);
    }
  }
  nt_free(s.h);
}

static void test_private_id_limit(void **state) {
  scene s = scene_new(&compressing);
  (void)state;
  torc_id first = make_private(&s);
  for (unsigned i = 0; i < 4096; i++) {
    (void)make_private(&s);
  }
  assert_int_equal(nt_counter(s.h, "private_ids_evicted"), 1);
  nt_msg m;
  response(s.h, &m, 0xb0);
  nt_route(&m, &first);
  nt_input(s.h, s.c, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_true(o == NULL || o->link != s.a);
  nt_free(s.h);
}

/* A peer that has left takes its private ids along: what bears them is dropped, and the requester
 * tries again. */
static void test_private_id_of_another(void **state) {
  scene s = scene_new(NULL);
  torc_id foreign = nt_id(0x2f);
  nt_msg m;
  (void)state;
  response(s.h, &m, 0xb0);
  nt_route(&m, &s.self);
  nt_route(&m, &foreign); /* in this node's range: nobody knows it */
  nt_input(s.h, s.c, &m);
  nt_expect_nothing(s.h, &m);
  assert_int_equal(nt_counter(s.h, "drop_no_transaction"), 1);
  nt_free(s.h);
}

/* ---- route log ---- */

static size_t log_entries(torc_slice log, torc_route_log_entry *out, size_t cap) {
  torc_rd rd;
  size_t num = 0;
  torc_rd_init(&rd, log);
  while (num < cap && torc_route_log_next(&rd, &out[num])) {
    num++;
  }
  assert_int_equal(rd.err, 0);
  return num;
}

static torc_slice some_log(nt *h, size_t num, size_t certificate) {
  static uint8_t filler[64000];
  uint8_t *buf = nt_block(h, 65002);
  torc_wr wr;
  torc_wr_init(&wr, buf, 65002);
  for (size_t i = 0; i < num; i++) {
    torc_route_log_entry e = {
        .version = torc_slice_str("other"), .transport = 1, .id = nt_id((uint8_t)(0x31 + i))};
    e.certificate = torc_slice_of(filler, certificate);
    e.address.family = 1;
    assert_int_equal(torc_route_log_entry_put(&wr, &e), 0);
  }
  return torc_wr_slice(&wr);
}

static void check_own_entry(const scene *s, const torc_route_log_entry *e) {
  static const uint8_t address[4] = {192, 0, 2, 1};
  assert_true(torc_slice_eq(e->version, torc_slice_str("nt 1")));
  assert_true(torc_id_eq(&e->id, &s->self));
  assert_int_equal(e->certificate.len, 0);
  assert_int_equal(e->address.family, 1);
  assert_memory_equal(e->address.addr, address, 4);
  assert_int_equal(e->address.port, 6084);
}

static void test_log_forward(void **state) {
  scene s = scene_new(NULL);
  torc_route_log_entry e[4];
  nt_msg m;
  (void)state;
  nt_advance(s.h, TORC_SEC(20)); /* 5 s and a little are over already */
  nt_clear(s.h);
  for (unsigned is_response = 0; is_response < 2; is_response++) {
    torc_id client = nt_id(A);
    if (is_response != 0) {
      response(s.h, &m, C);
      nt_route(&m, &client);
    } else {
      ping(s.h, &m, A);
      nt_route(&m, &s.there);
    }
    m.hdr.flags = TORC_FLAG_ROUTE_LOG;
    m.hdr.route_log = some_log(s.h, 1, 0);
    nt_input(s.h, is_response != 0 ? s.c : s.a, &m);
    nt_out *o = nt_take_xid(s.h, m.hdr.xid);
    assert_non_null(o);
    assert_int_equal(o->hdr.flags, TORC_FLAG_ROUTE_LOG);
    assert_int_equal(log_entries(o->hdr.route_log, e, 4), 2);
    torc_id first = nt_id(0x31);
    assert_true(torc_id_eq(&e[0].id, &first)); /* path order */
    check_own_entry(&s, &e[1]);
    assert_int_equal(e[1].transport, 1);
    assert_in_range(e[1].uptime_s, 25, 26);
    assert_int_equal(o->hdr.length, o->bytes.len);
  }
  ping(s.h, &m, A); /* not asked for: no entry, not even a length */
  nt_route(&m, &s.there);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_int_equal(o->hdr.route_log.len, 0);
  assert_int_equal(o->bytes.len, nt_encode(s.h, &m).len + TORC_ID_LEN);
  nt_free(s.h);
}

static void test_log_answer(void **state) {
  scene s = scene_new(NULL);
  torc_route_log_entry e[4];
  nt_msg m;
  (void)state;
  ping(s.h, &m, A);
  m.hdr.flags = TORC_FLAG_ROUTE_LOG;
  m.hdr.route_log = some_log(s.h, 2, 0);
  nt_route(&m, &s.self);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(o->hdr.flags, TORC_FLAG_ROUTE_LOG);
  assert_int_equal(log_entries(o->hdr.route_log, e, 4), 3); /* one of its own: the turn */
  check_own_entry(&s, &e[2]);
  ping(s.h, &m, A);
  nt_route(&m, &s.self);
  nt_input(s.h, s.a, &m);
  o = nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(o->hdr.flags, 0);
  nt_free(s.h);
}

/* Transport codes are those of the link the message leaves on. */
static void test_log_transport(void **state) {
  static const torc_link_kind kinds[] = {TORC_LINK_TLS, TORC_LINK_DTLS, TORC_LINK_WS, TORC_LINK_DC};
  scene s = scene_new(NULL);
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(kinds); i++) {
    uint8_t peer = (uint8_t)(0x40 + i);
    torc_link_id link = nt_up_token(s.h, peer, kinds[i], 0, nt_cert(s.h, peer));
    torc_id id = nt_id(peer);
    torc_route_log_entry e[2];
    nt_msg m;
    ping(s.h, &m, A);
    m.hdr.flags = TORC_FLAG_ROUTE_LOG;
    nt_route(&m, &id);
    nt_input(s.h, s.a, &m);
    nt_out *o = nt_take_xid(s.h, m.hdr.xid);
    assert_non_null(o);
    assert_int_equal(o->link, link);
    assert_int_equal(log_entries(o->hdr.route_log, e, 2), 1);
    assert_int_equal(e[0].transport, i + 1);
  }
  nt_free(s.h);
}

/* The originator adds nothing and gets the log back. */
static void test_log_own(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  torc_route_log_entry e[4];
  nt_msg m;
  (void)state;
  assert_int_equal(
      torc_node_ping(nt_node(s.h), &s.there, 1, TORC_CALL_ROUTE_LOG, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_out *o = nt_take_request(s.h, s.c, TORC_METHOD_PING);
  assert_non_null(o);
  assert_int_equal(o->hdr.flags, TORC_FLAG_ROUTE_LOG);
  assert_int_equal(o->hdr.route_log.len, 0);
  nt_response(s.h, &m, 0xb0, o, 200, nt_pong_payload(s.h, 1));
  m.hdr.flags = TORC_FLAG_ROUTE_LOG;
  m.hdr.route_log = some_log(s.h, 3, 0);
  nt_input(s.h, s.c, &m);
  o = nt_take_done(s.h, token);
  assert_non_null(o);
  assert_int_equal(log_entries(o->event.done.route_log, e, 4), 3);
  nt_free(s.h);
}

static void hide(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->hide_topology = true;
}

static void test_log_limits(void **state) {
  static const nt_options hiding = {.tweak = hide};
  scene s = scene_new(NULL);
  scene t = scene_new(&hiding);
  nt_msg m;
  (void)state;
  ping(s.h, &m, A); /* no room for one more entry: it goes on as it is */
  m.hdr.flags = TORC_FLAG_ROUTE_LOG;
  m.hdr.route_log = some_log(s.h, 1, 64000);
  size_t len = m.hdr.route_log.len;
  assert_true(len > 64000);
  torc_slice more = some_log(s.h, 20, 0);
  uint8_t *full = nt_block(s.h, 65000);
  memcpy(full, m.hdr.route_log.p, len);
  memcpy(full + len, more.p, more.len > 65000 - len ? 65000 - len : more.len);
  m.hdr.route_log = torc_slice_of(full, 64990);
  nt_route(&m, &s.there);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->hdr.route_log.len, 64990);
  assert_memory_equal(o->hdr.route_log.p, full, 64990);
  ping(t.h, &m, A); /* policy */
  m.hdr.flags = TORC_FLAG_ROUTE_LOG;
  m.hdr.route_log = some_log(t.h, 1, 0);
  nt_route(&m, &t.there);
  nt_input(t.h, t.a, &m);
  o = nt_take_xid(t.h, m.hdr.xid);
  assert_non_null(o);
  assert_true(torc_slice_eq(o->hdr.route_log, m.hdr.route_log));
  nt_free(s.h);
  nt_free(t.h);
}

/* ---- back-pressure ---- */

static void test_congested(void **state) {
  scene s = scene_new(NULL);
  torc_id c = nt_id(C);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  assert_int_equal(torc_node_link_congested(nt_node(s.h), s.c, true, nt_now(s.h)), 0);
  torc_link_id b = nt_up(s.h, 0x21);
  uint64_t passed = 0;
  for (int i = 0; i < 200; i++) { /* a flood: its share, and no more */
    ping(s.h, &m, A);
    nt_route(&m, &s.there);
    nt_input(s.h, s.a, &m);
    passed += nt_take_xid(s.h, m.hdr.xid) != NULL ? 1 : 0;
  }
  assert_in_range(passed * nt_encode(s.h, &m).len, 4096, 8192);
  assert_int_equal(nt_counter(s.h, "drop_congested"), 200 - passed);
  ping(s.h, &m, 0x21); /* which is nothing to others */
  nt_route(&m, &s.there);
  nt_input(s.h, b, &m);
  assert_non_null(nt_take_xid(s.h, m.hdr.xid));
  nt_advance(s.h, TORC_SEC(1));
  ping(s.h, &m, A);
  nt_route(&m, &s.there);
  nt_input(s.h, s.a, &m);
  assert_non_null(nt_take_xid(s.h, m.hdr.xid));
  assert_int_equal(torc_node_ping(nt_node(s.h), &s.there, 1, 0, nt_now(s.h), &token),
                   0); /* own ones still leave */
  nt_drain(s.h);
  assert_non_null(nt_take_request(s.h, s.c, TORC_METHOD_PING));
  assert_int_equal(torc_node_link_congested(nt_node(s.h), s.c, false, nt_now(s.h)), 0);
  ping(s.h, &m, A);
  nt_route(&m, &c);
  nt_input(s.h, s.a, &m);
  assert_non_null(nt_take_xid(s.h, m.hdr.xid));
  nt_free(s.h);
}

/* Nothing but the header is looked at on the way: no copy of the body, no job, no judgement of the
 * contents. */
static void test_opaque(void **state) {
  scene s = scene_new(NULL);
  static const uint8_t rubbish[] = "no contents at all";
  nt_msg m;
  (void)state;
  ping(s.h, &m, A);
  nt_route(&m, &s.there);
  m.signer = NULL;
  torc_slice good = nt_encode(s.h, &m);
  size_t head = TORC_HEADER_FIXED + TORC_ID_LEN;
  uint8_t bytes[256];
  memcpy(bytes, good.p, head);
  memcpy(bytes + head, rubbish, sizeof rubbish);
  bytes[13] = bytes[14] = 0;
  bytes[15] = (uint8_t)(head + sizeof rubbish);
  nt_input_bytes(s.h, s.a, torc_slice_of(bytes, head + sizeof rubbish));
  assert_non_null(nt_take_xid(s.h, m.hdr.xid)); /* the first one makes room for its header */
  uint64_t jobs = nt_counter(s.h, "jobs_verify");
  uint64_t calls = nt_mem(s.h)->num_calls;
  nt_input_bytes(s.h, s.a, torc_slice_of(bytes, head + sizeof rubbish));
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.c);
  assert_memory_equal(o->bytes.p + o->hdr.header_len, rubbish, sizeof rubbish);
  assert_int_equal(nt_counter(s.h, "jobs_verify"), jobs);
  assert_int_equal(nt_mem(s.h)->num_calls, calls); /* not one allocation */
  nt_free(s.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-28 RTG-01 RTG-02 RTG-13 RTG-15..18 RTG-23 RTG-27 RTG-28 ARC-06 ARC-11 ARC-12 "
                "ARC-14 R-27 GAP-26 "
                "GAP-29 GAP-39 the order of cases",
                test_ways),
      TORC_TEST("ARC-15 RTG-28 GAP-117 CON-03 routed through only after an UPDATE",
                test_update_makes_routing),
      TORC_TEST("ARC-14 ARC-15 nothing is forwarded without a routing table", test_no_way),
      TORC_TEST("R-50 RTG-19 no split horizon", test_no_split_horizon),
      TORC_TEST("GAP-36 RTG-22 a via list that names this node stops nothing", test_via_loop),
      TORC_TEST("RTG-04 RTG-05 RTG-08 RTG-20 RTG-21 HDR-22 GAP-34 the example of via lists, and "
                "the answer reversed",
                test_reverse),
      TORC_TEST("GAP-29 GAP-34 RTG-23 R-27 responses with and without the own id",
                test_response_forms),
      TORC_TEST("GAP-23 GAP-35 a response for nobody is dropped and counted", test_response_lost),
      TORC_TEST("GAP-35 the reverse hop is gone", test_reverse_hop_gone),
      TORC_TEST("GAP-23 GAP-35 HDR-17 an own answer is no answer to an own request",
                test_own_answer_is_no_answer),
      TORC_TEST("RTG-09 GAP-33 GAP-30 RTG-04 a response that comes another way", test_asymmetric),
      TORC_TEST("RTG-06 RTG-07 RTG-23 RTG-29 HDR-21 route lists of own requests", test_own_routes),
      TORC_TEST("GAP-37 ARC-16 BST-13 PNG-01 the wildcard is for PING only and goes nowhere",
                test_wildcard),
      TORC_TEST("GAP-18 R-29 HDR-18 full via lists", test_full_via),
      TORC_TEST("GAP-18 RTG-24 a full via list is compressed", test_full_via_compressed),
      TORC_TEST("RTG-14 RTG-22 RTG-24 RTG-25 GAP-27 the example of list compression",
                test_private_id),
      TORC_TEST("GAP-27 RTG-26 a private id lives for 60 s", test_private_id_age),
      TORC_TEST("RTG-14 GAP-27 private ids inside private ids", test_private_id_nested),
      TORC_TEST("RTG-14 GAP-27 GAP-36 many private ids in a list", test_private_id_many),
      TORC_TEST("GAP-18 RTG-25 an expansion beyond 255 entries is dropped",
                test_private_id_overflow),
      TORC_TEST("GAP-27 RTG-24 private ids are bounded in number", test_private_id_limit),
      TORC_TEST("RTG-26 private ids of a peer that has left", test_private_id_of_another),
      TORC_TEST(
          "LOG-01 LOG-02 LOG-04..08 GAP-49 GAP-20 D-22 a hop appends its entry, also for responses",
          test_log_forward),
      TORC_TEST("LOG-03 R-34 GAP-19 GAP-49 the responder copies the log and appends once",
                test_log_answer),
      TORC_TEST("LOG-07 D-22 GAP-49 transport codes", test_log_transport),
      TORC_TEST("LOG-03 GAP-49 the originator appends nothing and gets the log", test_log_own),
      TORC_TEST("LOG-01 GAP-49 no entry beyond 65000 bytes or against policy", test_log_limits),
      TORC_TEST("GAP-47 a congested link takes little of others, of each its share",
                test_congested),
      TORC_TEST("ARC-13 MSG-01 SIG-01 GAP-53 contents are opaque on the way", test_opaque),
  };
  return TORC_RUN(tests);
}
