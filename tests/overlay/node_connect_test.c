/* CONNECT from both sides, glare, and iterative look-ups that connect from redirect to redirect.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/pdu.h"

#define A 0x20   /* a client link; smaller than the node's 0x80 */
#define BIG 0x90 /* larger; CONNECTs of it come through C */
#define C 0xc0   /* a member */
#define CANDIDATE "candidate:1 1 TCP 1 192.0.2.9 6084 typ host tcptype passive"

typedef struct scene {
  nt *h;
  torc_link_id a, c;
  torc_id self;
} scene;

static scene scene_new(const nt_options *o) {
  scene s = {.h = nt_ring(o)};
  s.self = nt_self(s.h);
  s.c = nt_join(s.h, C);
  s.a = nt_up(s.h, A);
  nt_advance(s.h, TORC_SEC(40)); /* the ring's own CONNECTs for fingers are over */
  nt_clear(s.h);
  return s;
}

/* ---- as requester ---- */

/* Calls torc_node_connect and takes what the platform is asked for. */
static nt_out *call(scene *s, const torc_id *route, size_t num, torc_token *token) {
  assert_int_equal(torc_node_connect(nt_node(s->h), route, num, nt_now(s->h), token), 0);
  nt_drain(s->h);
  return nt_take(s->h, TORC_OUT_OFFER_NEEDED);
}

/* Gives the parameters and takes the request. */
static nt_out *offer(scene *s, torc_token token) {
  torc_connect_params p;
  nt_params(&p, "passive");
  assert_int_equal(torc_node_offer_ready(nt_node(s->h), token, &p, nt_now(s->h)), 0);
  nt_drain(s->h);
  return nt_take_request(s->h, s->c, TORC_METHOD_CONNECT);
}

static int result(scene *s, torc_token token) {
  nt_out *o = nt_take_done(s->h, token);
  assert_non_null(o);
  return o->event.done.rc;
}

static void answer(scene *s, const nt_out *request, uint8_t signer, uint16_t code) {
  nt_msg m;
  nt_response(
      s->h, &m, signer, request, code,
      code == 200 ? nt_connect_payload(s->h, "active", 6084, CANDIDATE) : torc_slice_of(NULL, 0));
  nt_input(s->h, s->c, &m);
}

static void test_request(void **state) {
  scene s = scene_new(NULL);
  torc_id route[1] = {nt_id(0xb0)};
  torc_token token = 0;
  (void)state;
  nt_out *o = call(&s, route, 1, &token);
  assert_non_null(o);
  assert_true(torc_id_eq(&o->peer, &route[0]));
  torc_token conn = o->token;
  assert_null(
      nt_take_request(s.h, s.c, TORC_METHOD_CONNECT)); /* not before the parameters are there */
  nt_out *request = offer(&s, conn);
  assert_non_null(request);
  torc_connect_data d;
  torc_slice text;
  torc_rd rd;
  assert_int_equal(torc_connect_decode(&d, request->c.payload), 0);
  assert_true(torc_slice_eq(d.ufrag, torc_slice_str("own1")));
  assert_true(torc_slice_eq(d.password, torc_slice_str("another one of 22 byte")));
  assert_int_equal(d.application, 6084);
  assert_true(torc_slice_eq(d.fingerprint, torc_slice_str("sha-256 CC:DD")));
  assert_true(torc_slice_eq(d.role, torc_slice_str("passive")));
  torc_rd_init(&rd, d.candidates);
  assert_true(torc_candidate_next(&rd, &text));
  assert_true(torc_slice_eq(
      text,
      torc_slice_str("candidate:1 1 TCP 2130706431 192.0.2.1 6084 typ host tcptype passive")));
  assert_false(torc_candidate_next(&rd, &text));
  assert_int_equal(request->c.signature.identity.type,
                   TORC_IDENTITY_CERT); /* always inline [GAP-52] */
  answer(&s, request, 0xb0, 200);
  o = nt_take(s.h, TORC_OUT_CONNECT);
  assert_non_null(o);
  assert_int_equal(o->token, conn);
  assert_true(torc_id_eq(&o->peer, &route[0]));
  assert_string_equal(o->remote.role, "active");
  assert_string_equal(o->remote.ufrag, "ufr4");
  assert_string_equal(o->remote.fingerprint, "sha-256 AA:BB");
  assert_int_equal(o->remote.num_candidates, 1);
  assert_string_equal(o->remote.candidates[0], CANDIDATE);
  assert_null(nt_take_done(s.h, token)); /* done when the link stands */
  torc_link_id link = nt_up_token(s.h, 0xb0, TORC_LINK_TLS, conn, nt_cert(s.h, 0xb0));
  o = nt_take_done(s.h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.rc, 0);
  assert_true(torc_id_eq(&o->event.done.responder, &route[0]));
  torc_node_link_view views[4];
  size_t num = torc_node_links(nt_node(s.h), views, 4);
  for (size_t i = 0; i < num; i++) { /* CONNECT alone changes no routing table */
    assert_true(views[i].link != link || !views[i].is_routing);
  }
  nt_free(s.h);
}

static void test_request_along_route(void **state) {
  scene s = scene_new(NULL);
  torc_id route[3] = {nt_id(C), nt_id(0x44), nt_id(0xb0)};
  torc_token token = 0;
  (void)state;
  nt_out *o = call(&s, route, 3, &token);
  nt_out *request = offer(&s, o->token);
  assert_non_null(request);
  assert_int_equal(torc_id_list_len(request->hdr.route), 3);
  assert_memory_equal(request->hdr.route.p, route, sizeof route);
  nt_free(s.h);
}

static void test_request_not_needed(void **state) {
  scene s = scene_new(NULL);
  torc_id linked = nt_id(A);
  torc_token token = 0;
  (void)state;
  assert_null(call(&s, &linked, 1, &token));
  assert_int_equal(result(&s, token), 0);
  assert_int_equal(nt_count(s.h, TORC_OUT_SEND), 0);
  const torc_id *bad[] = {&s.self, &torc_id_zero, &torc_id_wildcard};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(torc_node_connect(nt_node(s.h), bad[i], 1, nt_now(s.h), &token),
                     TORC_ERR_INVALID);
  }
  assert_int_equal(torc_node_connect(nt_node(s.h), &linked, 0, nt_now(s.h), &token),
                   TORC_ERR_INVALID);
  assert_int_equal(torc_node_connect(nt_node(s.h), &linked, 17, nt_now(s.h), &token),
                   TORC_ERR_INVALID);
  nt_free(s.h);
}

static void test_request_fails(void **state) {
  static const struct {
    uint8_t signer;
    uint16_t code; /* 0: no answer */
    int rc;
  } cases[] = {{0xb0, 404, TORC_ERR_NOTFOUND},
               {0xb0, 403, TORC_ERR_REFUSED},
               {0xb0, 503, TORC_ERR_REFUSED},
               {0xb1, 200, TORC_ERR_NOTFOUND},
               {0xb0, 0, TORC_ERR_TIMEOUT}};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    scene s = scene_new(NULL);
    torc_id target = nt_id(0xb0);
    torc_token token = 0;
    nt_out *request = offer(&s, call(&s, &target, 1, &token)->token);
    assert_non_null(request);
    if (cases[i].code != 0) {
      answer(&s, request, cases[i].signer, cases[i].code);
    } else {
      nt_advance(s.h, TORC_SEC(36));
    }
    assert_int_equal(result(&s, token), cases[i].rc);
    assert_null(nt_take(s.h, TORC_OUT_CONNECT));
    assert_int_equal(nt_counter(s.h, "connect_failures"), 1);
    nt_free(s.h);
  }
}

static void test_request_bad_answer(void **state) {
  scene s = scene_new(NULL);
  torc_id target = nt_id(0xb0);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_out *request = offer(&s, call(&s, &target, 1, &token)->token);
  nt_response(s.h, &m, 0xb0, request, 200, torc_slice_str("nonsense"));
  nt_input(s.h, s.c, &m);
  assert_true(result(&s, token) < 0);
  nt_free(s.h);
}

/* The link does not come: the platform says so, or nobody says anything. */
static void test_request_no_link(void **state) {
  (void)state;
  for (unsigned silent = 0; silent < 2; silent++) {
    scene s = scene_new(NULL);
    torc_id target = nt_id(0xb0);
    torc_token token = 0;
    torc_token conn = call(&s, &target, 1, &token)->token;
    answer(&s, offer(&s, conn), 0xb0, 200);
    assert_non_null(nt_take(s.h, TORC_OUT_CONNECT));
    if (silent != 0) {
      nt_advance(s.h, TORC_SEC(35));
      assert_int_equal(result(&s, token), TORC_ERR_TIMEOUT);
    } else {
      nt_open_failed(s.h, conn, TORC_ERR_IO);
      assert_int_equal(result(&s, token), TORC_ERR_IO);
    }
    nt_free(s.h);
  }
}

/* No parameters ever come, or they come too late. */
static void test_request_no_offer(void **state) {
  scene s = scene_new(NULL);
  torc_id target = nt_id(0xb0);
  torc_token token = 0;
  torc_connect_params p;
  (void)state;
  torc_token conn = call(&s, &target, 1, &token)->token;
  nt_advance(s.h, TORC_SEC(35));
  assert_int_equal(result(&s, token), TORC_ERR_TIMEOUT);
  assert_null(offer(&s, conn));
  nt_params(&p, "passive");
  p.num_candidates = TORC_CANDIDATES_MAX + 1;
  conn = call(&s, &target, 1, &token)->token;
  assert_int_equal(torc_node_offer_ready(nt_node(s.h), conn, &p, nt_now(s.h)), TORC_ERR_INVALID);
  nt_free(s.h);
}

/* The other side was quicker than its answer. */
static void test_request_link_first(void **state) {
  scene s = scene_new(NULL);
  torc_id target = nt_id(0xb0);
  torc_token token = 0;
  (void)state;
  nt_out *request = offer(&s, call(&s, &target, 1, &token)->token);
  (void)nt_up(s.h, 0xb0);
  assert_int_equal(result(&s, token), 0);
  answer(&s, request, 0xb0, 200); /* nobody waits for it any more */
  assert_null(nt_take(s.h, TORC_OUT_CONNECT));
  nt_advance(s.h, TORC_SEC(40));
  assert_null(nt_take_xid(s.h, request->hdr.xid));
  nt_free(s.h);
}

/* Two who want the same link share one CONNECT. */
static void test_request_shared(void **state) {
  scene s = scene_new(NULL);
  torc_id target = nt_id(0xb0);
  torc_token one = 0;
  torc_token two = 0;
  (void)state;
  nt_out *o = call(&s, &target, 1, &one);
  assert_non_null(o);
  assert_null(call(&s, &target, 1, &two));
  answer(&s, offer(&s, o->token), 0xb0, 200);
  (void)nt_up_token(s.h, 0xb0, TORC_LINK_TLS, o->token, nt_cert(s.h, 0xb0));
  assert_int_equal(result(&s, one), 0);
  assert_int_equal(result(&s, two), 0);
  nt_free(s.h);
}

static void test_request_limit(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  size_t num = 0;
  (void)state;
  for (; num < 600; num++) {
    torc_id target = nt_id(0xb0);
    target.b[1] = (uint8_t)(num >> 8);
    target.b[2] = (uint8_t)num;
    if (torc_node_connect(nt_node(s.h), &target, 1, nt_now(s.h), &token) != 0) {
      break;
    }
  }
  assert_in_range(num, 500, 512);
  nt_advance(s.h, TORC_SEC(36)); /* all of them end */
  torc_id target = nt_id(0xb0);
  assert_non_null(call(&s, &target, 1, &token));
  nt_free(s.h);
}

/* ---- as answerer ---- */

static void connect_of(scene *s, nt_msg *m, uint8_t peer, torc_slice payload) {
  torc_id via = nt_id(peer);
  nt_request(s->h, m, peer, TORC_METHOD_CONNECT, payload);
  nt_route(m, &s->self);
  if (peer != A) {
    nt_via(m, &via);
  }
}

static void test_answer(void **state) {
  scene s = scene_new(NULL);
  torc_id peer = nt_id(0x30);
  torc_connect_params p;
  torc_connect_data d;
  nt_msg m;
  (void)state;
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  nt_out *o = nt_take(s.h, TORC_OUT_ANSWER_NEEDED);
  assert_non_null(o);
  assert_true(torc_id_eq(&o->peer, &peer));
  assert_string_equal(o->remote.role, "passive");
  assert_string_equal(o->remote.ufrag, "ufr4");
  assert_string_equal(o->remote.password, "a password of 22 bytes");
  assert_int_equal(o->remote.application, 6084);
  assert_int_equal(o->remote.num_candidates, 1);
  assert_string_equal(o->remote.candidates[0], CANDIDATE);
  nt_expect_nothing(s.h, &m);
  nt_input(s.h, s.c, &m); /* gathering takes longer than the first retransmission [GAP-75] */
  assert_int_equal(nt_counter(s.h, "drop_duplicate"), 1);
  assert_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  nt_params(&p, "active");
  assert_int_equal(torc_node_answer_ready(nt_node(s.h), o->token, &p, 0, nt_now(s.h)), 0);
  nt_drain(s.h);
  nt_out *response = nt_expect(s.h, s.c, &m, 200);
  assert_int_equal(torc_connect_decode(&d, response->c.payload), 0);
  assert_true(torc_slice_eq(d.role, torc_slice_str("active")));
  assert_true(torc_slice_eq(d.fingerprint, torc_slice_str("sha-256 CC:DD")));
  nt_out *accept = nt_take(s.h, TORC_OUT_ACCEPT);
  assert_non_null(accept);
  assert_int_equal(accept->token, o->token);
  assert_true(torc_id_eq(&accept->peer, &peer));
  assert_int_equal(torc_node_answer_ready(nt_node(s.h), o->token, &p, 0, nt_now(s.h)),
                   0); /* once is enough */
  nt_drain(s.h);
  nt_expect_nothing(s.h, &m);
  torc_link_id link = nt_up_token(s.h, 0x30, TORC_LINK_TLS, o->token, nt_cert(s.h, 0x30));
  (void)link;
  nt_input(s.h, s.c, &m); /* a late duplicate gets the same answer */
  (void)nt_expect(s.h, s.c, &m, 200);
  assert_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  nt_free(s.h);
}

static void test_answer_refused(void **state) {
  static const uint16_t codes[] = {400, 403, 404, 503};
  scene s = scene_new(NULL);
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(codes); i++) {
    nt_msg m;
    connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
    nt_input(s.h, s.c, &m);
    nt_out *o = nt_take(s.h, TORC_OUT_ANSWER_NEEDED);
    assert_non_null(o);
    assert_int_equal(torc_node_answer_ready(nt_node(s.h), o->token, NULL, codes[i], nt_now(s.h)),
                     0);
    nt_drain(s.h);
    (void)nt_expect(s.h, s.c, &m, codes[i]);
    assert_null(nt_take(s.h, TORC_OUT_ACCEPT));
  }
  nt_free(s.h);
}

typedef struct offer_case {
  const char *role, *candidate;
  uint16_t application, code; /* code 0: accepted */
  const char *phrase;
} offer_case;

static void test_offers(void **state) {
  static const offer_case cases[] = {
      {"passive", CANDIDATE, 6084, 0, NULL},
      {"active", CANDIDATE, 6084, 0, NULL},
      {"actpass", CANDIDATE, 6084, 0, NULL},
      {"holdconn", CANDIDATE, 6084, 400, "Bad Request"},
      {"", CANDIDATE, 6084, 400, "Bad Request"},
      {"PASSIVE", CANDIDATE, 6084, 400, "Bad Request"},
      {"passive", NULL, 6084, 400, "Bad Request"},
      {"passive", "no candidate at all", 6084, 400, "Bad Request"},
      {"passive", "a=" CANDIDATE, 6084, 0, NULL},
      {"passive", CANDIDATE, 5060, 404, "Unknown Application"},
      {"passive", CANDIDATE, 5061, 404, "Unknown Application"},
      {"passive", CANDIDATE, 0, 404, "Unknown Application"},
      {"passive", CANDIDATE, 5160, 404, "Unknown Application"},
  };
  scene s = scene_new(NULL);
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    uint8_t peer = (uint8_t)(0x30 + i);
    torc_slice info;
    nt_msg m;
    connect_of(&s, &m, peer,
               nt_connect_payload(s.h, cases[i].role, cases[i].application, cases[i].candidate));
    nt_input(s.h, s.c, &m);
    if (cases[i].code == 0) {
      assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
    } else {
      nt_out *o = nt_expect(s.h, s.c, &m, cases[i].code);
      assert_string_equal(nt_phrase(s.h, o, &info), cases[i].phrase);
      assert_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
    }
  }
  nt_free(s.h);
}

/* Candidates that do not parse are skipped, one good one is enough; without a fingerprint there is
 * no link. */
static void test_offer_parts(void **state) {
  scene s = scene_new(NULL);
  torc_slice mixed[3] = {torc_slice_str("rubbish"), torc_slice_str(CANDIDATE), torc_slice_str("")};
  torc_connect_data d = {.ufrag = torc_slice_str("u"),
                         .password = torc_slice_str("p"),
                         .application = 6084,
                         .fingerprint = torc_slice_str("sha-256 AA"),
                         .role = torc_slice_str("passive")};
  uint8_t buf[1024];
  torc_wr wr;
  nt_msg m;
  (void)state;
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_connect_put(&wr, &d, mixed, 3), 0);
  connect_of(&s, &m, 0x30, torc_wr_slice(&wr));
  nt_input(s.h, s.c, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  d.fingerprint = torc_slice_str("");
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_connect_put(&wr, &d, mixed, 3), 0);
  connect_of(&s, &m, 0x31, torc_wr_slice(&wr));
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 400);
  nt_free(s.h);
}

/* Strings longer than any platform takes, and more candidates than it takes. */
static void test_offer_sizes(void **state) {
  static char long_text[400];
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  memset(long_text, 'x', sizeof long_text - 1);
  torc_slice list[40];
  for (size_t i = 0; i < 40; i++) {
    list[i] = torc_slice_str(CANDIDATE);
  }
  for (unsigned k = 0; k < 5; k++) {
    torc_slice text = torc_slice_str(long_text);
    torc_connect_data d = {.ufrag = k == 0 ? text : torc_slice_str("u"),
                           .password = k == 1 ? text : torc_slice_str("p"),
                           .application = 6084,
                           .fingerprint = k == 2 ? text : torc_slice_str("sha-256 AA"),
                           .role = k == 3 ? text : torc_slice_str("passive")};
    uint8_t buf[8192];
    torc_wr wr;
    torc_wr_init(&wr, buf, sizeof buf);
    assert_int_equal(torc_connect_put(&wr, &d, list, k == 4 ? 40 : 1), 0);
    connect_of(&s, &m, (uint8_t)(0x30 + k), torc_wr_slice(&wr));
    nt_input(s.h, s.c, &m);
    nt_out *o = nt_take(s.h, TORC_OUT_ANSWER_NEEDED);
    if (k == 4) { /* the first 32 are handed on */
      assert_non_null(o);
      assert_int_equal(o->remote.num_candidates, TORC_CANDIDATES_MAX);
    } else {
      assert_null(o);
      (void)nt_expect(s.h, s.c, &m, 400);
    }
  }
  nt_free(s.h);
}

static void few_links(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->max_links = 2;
}

static void test_offer_limits(void **state) {
  static const nt_options o = {.tweak = few_links};
  scene s = scene_new(&o);
  nt_msg m;
  (void)state;
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 503); /* no link would be left */
  nt_free(s.h);
  s = scene_new(NULL);
  for (unsigned i = 0; i < 4; i++) { /* so many at once of one peer */
    connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
    nt_input(s.h, s.c, &m);
    assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  }
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 503);
  connect_of(&s, &m, 0x31, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED)); /* which is nothing to others */
  nt_advance(s.h, TORC_SEC(36));
  nt_clear(s.h);
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  nt_free(s.h);
}

/* Dials that fail at once make no room for more: this peer is nobody's port scanner. */
static void test_offer_rate(void **state) {
  scene s = scene_new(NULL);
  torc_connect_params p;
  nt_msg m;
  (void)state;
  nt_params(&p, "active");
  for (unsigned i = 0; i < 4; i++) {
    connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
    nt_input(s.h, s.c, &m);
    torc_token token = nt_take(s.h, TORC_OUT_ANSWER_NEEDED)->token;
    assert_int_equal(torc_node_answer_ready(nt_node(s.h), token, &p, 0, nt_now(s.h)), 0);
    nt_drain(s.h);
    assert_non_null(nt_take(s.h, TORC_OUT_ACCEPT));
    assert_int_equal(torc_node_open_failed(nt_node(s.h), token, TORC_ERR_IO, nt_now(s.h)), 0);
    assert_int_equal(torc_node_open_failed(nt_node(s.h), token, TORC_ERR_IO, nt_now(s.h)), 0);
    nt_drain(s.h);
  }
  assert_int_equal(nt_counter(s.h, "connect_failures"), 4);
  nt_advance(s.h, TORC_SEC(9));
  nt_clear(s.h);
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  assert_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  (void)nt_expect(s.h, s.c, &m, 503);
  nt_advance(s.h, TORC_SEC(2));
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  assert_int_equal(nt_counter(s.h, "connect_failures"), 4);
  nt_free(s.h);
}

static void test_offer_while_leaving(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  assert_int_equal(torc_node_leave(nt_node(s.h), nt_now(s.h)), 0);
  nt_drain(s.h);
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 503);
  nt_free(s.h);
}

/* A healthy link exists: it is answered all the same, and the new link takes over [GAP-74].
 */
static void test_offer_linked(void **state) {
  scene s = scene_new(NULL);
  torc_connect_params p;
  nt_msg m;
  (void)state;
  connect_of(&s, &m, A, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take(s.h, TORC_OUT_ANSWER_NEEDED);
  assert_non_null(o);
  nt_params(&p, "active");
  assert_int_equal(torc_node_answer_ready(nt_node(s.h), o->token, &p, 0, nt_now(s.h)), 0);
  nt_drain(s.h);
  (void)nt_expect(s.h, s.a, &m, 200);
  assert_null(nt_take(s.h, TORC_OUT_CLOSE)); /* not before the new one is authenticated */
  (void)nt_up_token(s.h, A, TORC_LINK_TLS, o->token, nt_cert(s.h, A));
  o = nt_take(s.h, TORC_OUT_CLOSE);
  assert_non_null(o);
  assert_int_equal(o->link, s.a);
  nt_free(s.h);
}

/* Link after link of one peer, each by CONNECT: the old ones drain, and there are others. */
static void test_offer_links(void **state) {
  scene s = scene_new(NULL);
  torc_connect_params p;
  nt_msg m;
  (void)state;
  nt_params(&p, "active");
  for (unsigned i = 0; i < 8; i++) {
    connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
    nt_input(s.h, s.c, &m);
    nt_out *o = nt_take(s.h, TORC_OUT_ANSWER_NEEDED);
    assert_non_null(o);
    assert_int_equal(torc_node_answer_ready(nt_node(s.h), o->token, &p, 0, nt_now(s.h)), 0);
    nt_drain(s.h);
    (void)nt_up_token(s.h, 0x30, TORC_LINK_TLS, o->token, nt_cert(s.h, 0x30));
  }
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 503);
  connect_of(&s, &m, 0x31, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  nt_clear(s.h);
  nt_advance(s.h, TORC_SEC(31)); /* they are closed by then */
  for (unsigned i = 0; i < 7; i++) {
    nt_out *o = nt_take(s.h, TORC_OUT_CLOSE);
    assert_non_null(o);
    nt_down(s.h, o->link);
  }
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  nt_free(s.h);
}

/* A signer of several peer-ids that came over a detour: nobody knows whom to connect. */
static void test_offer_of_nobody(void **state) {
  scene s = scene_new(NULL);
  torc_id ids[2] = {nt_id(0x51), nt_id(0x52)};
  nt_msg m;
  (void)state;
  connect_of(&s, &m, 0x51, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  m.signer = nt_cert_make(s.h, "two@example.org", ids, 2, 1, UINT32_MAX);
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 403);
  nt_free(s.h);
}

/* A CONNECT to a place in the node's range, of a peer with a link to it and of one without. */
static void test_offer_to_a_place(void **state) {
  scene s = scene_new(NULL);
  torc_id place = nt_id(0x70);
  torc_connect_params p;
  torc_connect_data d;
  nt_msg m;
  (void)state;
  nt_params(&p, "passive");
  for (unsigned i = 0; i < 20; i++) { /* it costs nothing, so it may be asked often */
    connect_of(&s, &m, A, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
    m.route[0] = place;
    nt_input(s.h, s.a, &m);
    nt_out *o = nt_take(s.h, TORC_OUT_OFFER_NEEDED);
    assert_non_null(o);
    assert_int_equal(torc_node_offer_ready(nt_node(s.h), o->token, &p, nt_now(s.h)), 0);
    nt_drain(s.h);
    o = nt_expect(s.h, s.a, &m, 200);
    assert_int_equal(torc_connect_decode(&d, o->c.payload), 0);
    assert_true(torc_slice_eq(d.role, torc_slice_str("active")));
    assert_null(nt_take(s.h, TORC_OUT_ACCEPT));
    assert_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  }
  connect_of(&s, &m, 0x30, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  m.route[0] = place;
  nt_input(s.h, s.c, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  nt_free(s.h);
}

/* ---- glare [GAP-74] ---- */

/* Own request to `peer` under way; theirs arrives. */
static void test_glare(void **state) {
  static const uint8_t peers[] = {A + 0x10, BIG};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    scene s = scene_new(NULL);
    uint8_t peer = peers[i];
    bool theirs_wins = peer > 0x80;
    torc_id target = nt_id(peer);
    torc_id route[2] = {nt_id(C), target};
    torc_token token = 0;
    torc_connect_params p;
    nt_msg m;
    nt_out *request = offer(&s, call(&s, route, 2, &token)->token);
    assert_non_null(request);
    connect_of(&s, &m, peer, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
    nt_input(s.h, s.c, &m);
    nt_out *o = nt_take(s.h, TORC_OUT_ANSWER_NEEDED);
    assert_int_equal(o != NULL, theirs_wins);
    assert_int_equal(nt_counter(s.h, "drop_glare"), theirs_wins ? 0 : 1);
    if (theirs_wins) { /* the own one is dropped, and whoever waits for it gets the link by theirs
                        */
      nt_params(&p, "active");
      assert_int_equal(torc_node_answer_ready(nt_node(s.h), o->token, &p, 0, nt_now(s.h)), 0);
      nt_drain(s.h);
      (void)nt_expect(s.h, s.c, &m, 200);
      nt_advance(s.h, TORC_SEC(5));
      assert_null(nt_take_xid(s.h, request->hdr.xid)); /* no more retransmissions */
      (void)nt_up_token(s.h, peer, TORC_LINK_TLS, o->token, nt_cert(s.h, peer));
      assert_int_equal(result(&s, token), 0);
    } else { /* theirs is ignored, for it will be dropped over there */
      nt_expect_nothing(s.h, &m);
      answer(&s, request, peer, 200);
      o = nt_take(s.h, TORC_OUT_CONNECT);
      assert_non_null(o);
      (void)nt_up_token(s.h, peer, TORC_LINK_TLS, o->token, nt_cert(s.h, peer));
      assert_int_equal(result(&s, token), 0);
    }
    nt_free(s.h);
  }
}

/* The own request is answered already: theirs is a second link, and the newest stays. */
static void test_glare_late(void **state) {
  scene s = scene_new(NULL);
  torc_id target = nt_id(A + 0x10);
  torc_id route[2] = {nt_id(C), target};
  torc_token token = 0;
  nt_msg m;
  (void)state;
  answer(&s, offer(&s, call(&s, route, 2, &token)->token), A + 0x10, 200);
  assert_non_null(nt_take(s.h, TORC_OUT_CONNECT));
  connect_of(&s, &m, A + 0x10, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  nt_free(s.h);
}

/* The loser's platform refuses: whoever waited learns it. */
static void test_glare_refused(void **state) {
  scene s = scene_new(NULL);
  torc_id route[2] = {nt_id(C), nt_id(BIG)};
  torc_token token = 0;
  nt_msg m;
  (void)state;
  (void)offer(&s, call(&s, route, 2, &token)->token);
  connect_of(&s, &m, BIG, nt_connect_payload(s.h, "passive", 6084, CANDIDATE));
  nt_input(s.h, s.c, &m);
  nt_out *o = nt_take(s.h, TORC_OUT_ANSWER_NEEDED);
  assert_non_null(o);
  assert_int_equal(torc_node_answer_ready(nt_node(s.h), o->token, NULL, 503, nt_now(s.h)), 0);
  nt_drain(s.h);
  assert_int_equal(result(&s, token), TORC_ERR_REFUSED);
  nt_free(s.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("CON-01..08 CON-10 CON-11 CON-14 CON-15 GAP-52 GAP-70 GAP-72 GAP-73 a CONNECT, its "
                "answer and its link",
                test_request),
      TORC_TEST("CON-02 RTG-07 a CONNECT along a source route", test_request_along_route),
      TORC_TEST("CON-01 ARC-16 a CONNECT that is not needed, or not possible",
                test_request_not_needed),
      TORC_TEST("CON-02 GAP-26 GAP-59 GAP-76 a CONNECT that is refused or not answered",
                test_request_fails),
      TORC_TEST("CON-14 GAP-09 an answer that is none", test_request_bad_answer),
      TORC_TEST("CON-14 GAP-75 the link does not come", test_request_no_link),
      TORC_TEST("CON-02 GAP-75 parameters do not come", test_request_no_offer),
      TORC_TEST("CON-13 CON-14 the link is quicker than the answer", test_request_link_first),
      TORC_TEST("CON-01 GAP-74 two callers, one CONNECT", test_request_shared),
      TORC_TEST("GAP-76 CONNECTs under way are bounded", test_request_limit),
      TORC_TEST("CON-12 CON-13 GAP-75 GAP-63 a CONNECT arrives", test_answer),
      TORC_TEST("CON-12 GAP-76 the platform refuses", test_answer_refused),
      TORC_TEST("CON-07 CON-09 CON-10 GAP-70 GAP-71 GAP-73 GAP-76 which offers are taken",
                test_offers),
      TORC_TEST("GAP-71 GAP-72 CON-08 candidates that do not parse, no fingerprint",
                test_offer_parts),
      TORC_TEST("CON-04 CON-10 GAP-10 strings too long, candidates too many", test_offer_sizes),
      TORC_TEST("GAP-76 CONNECTs are refused at the limits", test_offer_limits),
      TORC_TEST("GAP-76 offers that lead nowhere are few in any ten seconds", test_offer_rate),
      TORC_TEST("GAP-76 LEA-01 a CONNECT to a peer that leaves", test_offer_while_leaving),
      TORC_TEST("GAP-74 R-14 a CONNECT of a linked peer", test_offer_linked),
      TORC_TEST("GAP-74 GAP-26 a CONNECT of a linked peer to a place of the node",
                test_offer_to_a_place),
      TORC_TEST("GAP-76 R-14 one peer does not take every link", test_offer_links),
      TORC_TEST("R-09 GAP-136 a CONNECT of nobody in particular", test_offer_of_nobody),
      TORC_TEST("GAP-74 glare: the larger peer-id's request wins", test_glare),
      TORC_TEST("GAP-74 glare after the answer", test_glare_late),
      TORC_TEST("GAP-74 glare and a refusal", test_glare_refused),
  };
  return TORC_RUN(tests);
}
