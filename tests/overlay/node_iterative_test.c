/* Iterative routing: redirects given, redirects followed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"

#define A 0x20 /* a client link */
#define B 0x90 /* a member: next hop for what lies behind it */
#define C 0xc0 /* a member that has not said where its range begins */

typedef struct scene {
  nt *h;
  torc_link_id a, b, c;
  torc_id self, target;
} scene;

static scene scene_new(void) {
  static const uint8_t none[] = {0};
  static const uint8_t self[] = {NT_SELF, 0};
  static const uint8_t c[] = {C, 0};
  scene s = {.h = nt_ring(NULL), .target = nt_id(0xb0)};
  s.self = nt_self(s.h);
  s.c = nt_join(s.h, C);
  s.b = nt_up(s.h, B);
  nt_update(s.h, s.b, B, self, c);
  nt_update(s.h, s.c, C, none, self);
  s.a = nt_up(s.h, A);
  nt_advance(s.h, TORC_SEC(40)); /* the ring's own CONNECTs are over */
  nt_clear(s.h);
  return s;
}

/* ---- as the peer that is asked ---- */

typedef struct asked {
  uint8_t route[3]; /* first bytes; 0x80: the node, 0xff: the wildcard; 0 ends */
  uint16_t code;    /* 0: forwarded */
  uint8_t named;    /* in the redirect, or where it is forwarded to */
} asked;

static void test_asked(void **state) {
  static const asked cases[] = {
      {{0xb0}, 302, B},       /* a single foreign entry */
      {{0x80, 0xb0}, 302, B}, /* what is left decides */
      {{C}, 302, C},          /* connected, but no client */
      {{0xb0, 0x10}, 499, 0}, /* a source route */
      {{A}, 0, A},            /* a client of this peer */
      {{0x80, A}, 0, A},
      {{0x80}, 200, 0}, /* here */
      {{0x10}, 200, 0}, /* responsible */
      {{0xff}, 200, 0},
      {{0}, 200, 0},
  };
  scene s = scene_new();
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_id named = nt_id(cases[i].named);
    torc_slice info;
    nt_msg m;
    nt_request(s.h, &m, C, TORC_METHOD_PING, nt_ping_payload(s.h));
    m.hdr.routing = TORC_ROUTING_ITERATIVE;
    for (size_t k = 0; k < 3 && cases[i].route[k] != 0; k++) {
      torc_id id = cases[i].route[k] == 0xff ? torc_id_wildcard : nt_id(cases[i].route[k]);
      nt_route(&m, &id);
    }
    nt_input(s.h, s.c, &m);
    if (cases[i].code == 0) {
      nt_out *o = nt_take_xid(s.h, m.hdr.xid);
      assert_non_null(o);
      assert_int_equal(o->link, s.a);
      assert_false(o->c.is_response);
      assert_int_equal(o->hdr.routing, TORC_ROUTING_ITERATIVE);
      continue;
    }
    nt_out *o = nt_expect(s.h, s.c, &m, cases[i].code);
    if (cases[i].code == 302) {
      assert_string_equal(nt_phrase(s.h, o, &info), "Moved Temporarily");
      assert_int_equal(info.len, TORC_ID_LEN);
      assert_memory_equal(info.p, named.b, TORC_ID_LEN);
    } else if (cases[i].code == 499) {
      assert_string_equal(nt_phrase(s.h, o, &info), "UnWilling To Proxy");
      assert_int_equal(info.len, 0);
    }
  }
  assert_int_equal(nt_counter(s.h, "messages_forwarded"), 2);
  nt_free(s.h);
}

/* ---- as the requester ---- */

static nt_out *start(scene *s, torc_token *token) {
  assert_int_equal(
      torc_node_ping(nt_node(s->h), &s->target, 1, TORC_CALL_ITERATIVE, nt_now(s->h), token), 0);
  nt_drain(s->h);
  nt_out *o = nt_take_request(s->h, s->b, TORC_METHOD_PING);
  assert_non_null(o);
  assert_int_equal(o->hdr.routing, TORC_ROUTING_ITERATIVE);
  return o;
}

static void redirect(scene *s, torc_link_id link, uint8_t peer, const nt_out *request,
                     torc_slice info) {
  torc_error_response e = {.reason_phrase = torc_slice_str("Moved Temporarily"),
                           .error_info = info};
  uint8_t buf[256];
  torc_wr wr;
  nt_msg m;
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_error_response_put(&wr, &e), 0);
  nt_response(s->h, &m, peer, request, 302, torc_wr_slice(&wr));
  nt_input(s->h, link, &m);
}

static void redirect_to(scene *s, torc_link_id link, uint8_t peer, const nt_out *request,
                        uint8_t to) {
  torc_id id = nt_id(to);
  redirect(s, link, peer, request, torc_slice_of(id.b, TORC_ID_LEN));
}

/* The CONNECT to the named peer through the one that named it, and its link. */
static torc_link_id follow(scene *s, torc_link_id through, uint8_t answering, uint8_t next) {
  torc_id want[2] = {nt_id(answering), nt_id(next)};
  torc_connect_params p;
  nt_msg m;
  nt_out *o = nt_take(s->h, TORC_OUT_OFFER_NEEDED);
  assert_non_null(o);
  assert_true(torc_id_eq(&o->peer, &want[1]));
  torc_token conn = o->token;
  nt_params(&p, "passive");
  assert_int_equal(torc_node_offer_ready(nt_node(s->h), conn, &p, nt_now(s->h)), 0);
  nt_drain(s->h);
  o = nt_take_request(s->h, through, TORC_METHOD_CONNECT);
  assert_non_null(o);
  assert_int_equal(torc_id_list_len(o->hdr.route),
                   2); /* source route (answering peer, next peer) */
  assert_memory_equal(o->hdr.route.p, want, sizeof want);
  nt_response(s->h, &m, next, o, 200,
              nt_connect_payload(s->h, "active", 6084,
                                 "candidate:1 1 TCP 1 192.0.2.9 6084 typ host tcptype passive"));
  nt_input(s->h, through, &m);
  assert_non_null(nt_take(s->h, TORC_OUT_CONNECT));
  return nt_up_token(s->h, next, TORC_LINK_TLS, conn, nt_cert(s->h, next));
}

/* The next PING on the link that has just come up. */
static nt_out *next_ping(scene *s, torc_link_id link, const nt_out *before) {
  nt_out *o = nt_take_request(s->h, link, TORC_METHOD_PING);
  assert_non_null(o);
  assert_true(o->hdr.xid != before->hdr.xid); /* a new transaction */
  assert_int_equal(o->hdr.routing, TORC_ROUTING_ITERATIVE);
  assert_int_equal(torc_id_list_len(o->hdr.route), 1);
  assert_memory_equal(o->hdr.route.p, s->target.b, TORC_ID_LEN);
  return o;
}

static int result(scene *s, torc_token token) {
  nt_out *o = nt_take_done(s->h, token);
  assert_non_null(o);
  return o->event.done.rc;
}

/* b0 is asked for: B names a0, a0 names b8, which is responsible and answers. */
static void test_follow(void **state) {
  scene s = scene_new();
  torc_token token = 0;
  torc_id responsible = nt_id(0xb8);
  nt_msg m;
  (void)state;
  nt_out *o = start(&s, &token);
  redirect_to(&s, s.b, B, o, 0xa0);
  torc_link_id a0 = follow(&s, s.b, B, 0xa0);
  o = next_ping(&s, a0, o);
  redirect_to(&s, a0, 0xa0, o, 0xb8); /* at or beyond the target: the last one */
  torc_link_id b8 = follow(&s, a0, 0xa0, 0xb8);
  o = next_ping(&s, b8, o);
  nt_response(s.h, &m, 0xb8, o, 200, nt_pong_payload(s.h, 5));
  nt_input(s.h, b8, &m);
  o = nt_take_done(s.h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.rc, 0);
  assert_true(o->event.done.response_id == 5);
  assert_true(torc_id_eq(&o->event.done.responder, &responsible));
  assert_int_equal(nt_counter(s.h, "redirects_followed"), 2);
  nt_free(s.h);
}

/* The named peer is linked already: no CONNECT. */
static void test_follow_linked(void **state) {
  scene s = scene_new();
  torc_token token = 0;
  (void)state;
  torc_link_id a0 = nt_up(s.h, 0xa0);
  nt_out *o = start(&s, &token);
  redirect_to(&s, s.b, B, o, 0xa0);
  assert_null(nt_take(s.h, TORC_OUT_OFFER_NEEDED));
  (void)next_ping(&s, a0, o);
  nt_free(s.h);
}

/* Only one redirect may leave (answering peer, target), and its peer's answer is no redirect. */
static void test_not_closer(void **state) {
  static const uint8_t backwards[] = {0xb8, 0x88, B};
  (void)state;
  for (size_t i = 0; i < sizeof backwards; i++) {
    scene s = scene_new();
    torc_token token = 0;
    uint8_t beyond = backwards[i];
    nt_out *o = start(&s, &token);
    redirect_to(&s, s.b, B, o, beyond);
    torc_link_id link = beyond == B ? s.b : follow(&s, s.b, B, beyond);
    o = next_ping(&s, link, o);
    redirect_to(&s, link, beyond, o, 0xa0);
    assert_int_equal(result(&s, token), TORC_ERR_LIMIT);
    assert_null(nt_take(s.h, TORC_OUT_OFFER_NEEDED));
    nt_free(s.h);
  }
}

static void test_sixteen(void **state) {
  scene s = scene_new();
  torc_token token = 0;
  torc_link_id link = s.b;
  uint8_t at = B;
  (void)state;
  nt_out *o = start(&s, &token);
  for (unsigned i = 0; i < 16; i++) {
    redirect_to(&s, link, at, o, (uint8_t)(at + 1));
    link = follow(&s, link, at, (uint8_t)(at + 1));
    at++;
    o = next_ping(&s, link, o);
  }
  redirect_to(&s, link, at, o, (uint8_t)(at + 1)); /* the seventeenth */
  assert_int_equal(result(&s, token), TORC_ERR_LIMIT);
  nt_free(s.h);
}

static void test_bad_redirects(void **state) {
  static const uint8_t zero[16] = {0};
  static const uint8_t ones[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  torc_id self = nt_id(NT_SELF);
  const torc_slice infos[] = {torc_slice_of(zero, 0), torc_slice_of(zero, 15),
                              torc_slice_of(ones, 16), torc_slice_of(zero, 16),
                              torc_slice_of(self.b, 16)};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(infos); i++) {
    scene s = scene_new();
    torc_token token = 0;
    redirect(&s, s.b, B, start(&s, &token), infos[i]);
    assert_true(result(&s, token) < 0);
    assert_null(nt_take(s.h, TORC_OUT_OFFER_NEEDED));
    nt_free(s.h);
  }
}

/* The CONNECT fails: recursive. */
static void test_fall_back(void **state) {
  scene s = scene_new();
  torc_token token = 0;
  nt_msg m;
  (void)state;
  redirect_to(&s, s.b, B, start(&s, &token), 0xa0);
  nt_out *o = nt_take(s.h, TORC_OUT_OFFER_NEEDED);
  assert_non_null(o);
  nt_advance(s.h, TORC_SEC(36));
  o = nt_take_request(s.h, s.b, TORC_METHOD_PING);
  assert_non_null(o);
  assert_int_equal(o->hdr.routing, TORC_ROUTING_RECURSIVE);
  nt_response(s.h, &m, 0xb0, o, 200, nt_pong_payload(s.h, 1));
  nt_input(s.h, s.b, &m);
  assert_int_equal(result(&s, token), 0);
  nt_free(s.h);
}

/* Nobody asked for a redirect. */
static void test_unasked(void **state) {
  scene s = scene_new();
  torc_token token = 0;
  (void)state;
  assert_int_equal(torc_node_ping(nt_node(s.h), &s.target, 1, 0, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_out *o = nt_take_request(s.h, s.b, TORC_METHOD_PING);
  redirect_to(&s, s.b, B, o, 0xa0);
  o = nt_take_done(s.h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.rc, TORC_ERR_REFUSED);
  assert_int_equal(o->event.done.code, 302);
  nt_free(s.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("RTG-03 GAP-30 R-28 ERR-03 ERR-14 HDR-08 HDR-09 an iterative request: 302, 499, "
                "forwarded, answered",
                test_asked),
      TORC_TEST("RTG-03 GAP-31 R-04 ERR-03 redirects are followed", test_follow),
      TORC_TEST("RTG-03 GAP-31 a redirect to a linked peer", test_follow_linked),
      TORC_TEST("R-04 GAP-31 a redirect that leads no closer is the last", test_not_closer),
      TORC_TEST("GAP-31 at most sixteen redirects", test_sixteen),
      TORC_TEST("ERR-14 GAP-31 ARC-16 redirects to nobody", test_bad_redirects),
      TORC_TEST("GAP-31 back to recursive when the CONNECT fails", test_fall_back),
      TORC_TEST("ERR-03 GAP-30 a redirect nobody asked for", test_unasked),
  };
  return TORC_RUN(tests);
}
