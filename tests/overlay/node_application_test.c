/* Connections of applications: CONNECT with another application than RELOAD's, from both sides,
 * beside links, at the limits, and their events. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/pdu.h"

#define C 0xc0     /* a member, through whom everything goes */
#define THERE 0xb0 /* whom the node connects to */
#define FROM 0x30  /* who connects to the node */
#define BIG 0x90   /* larger than the node's 0x80: wins a glare */
#define APP 7000
#define OTHER 7001
#define PER_PEER 64 /* connections of applications with one peer */
#define IN_ALL 512
#define ASKED 16 /* CONNECTs of one peer under way */
#define CANDIDATE "candidate:1 1 TCP 1 192.0.2.9 6084 typ host tcptype passive"

typedef struct scene {
  nt *h;
  torc_link_id c;
  torc_id self;
} scene;

static scene scene_of(const nt_options *o) {
  scene s = {.h = nt_ring(o)};
  s.self = nt_self(s.h);
  s.c = nt_join(s.h, C);
  nt_advance(s.h, TORC_SEC(40));
  nt_clear(s.h);
  return s;
}

static int up(scene *s, torc_token token, uint8_t peer) {
  torc_link_info info = {.kind = TORC_LINK_TLS, .peer = nt_id(peer), .cert = nt_cert(s->h, peer)};
  info.cert->refs++;
  int rc = torc_node_connection_up(nt_node(s->h), token, &info, nt_now(s->h));
  nt_drain(s->h);
  return rc;
}

static void down(scene *s, torc_token token, int rc) {
  assert_int_equal(torc_node_connection_down(nt_node(s->h), token, rc, nt_now(s->h)), 0);
  nt_drain(s->h);
}

static nt_out *event(scene *s) {
  return nt_take_event(s->h, TORC_EVENT_CONNECTION);
}

/* ---- as requester ---- */

static int call(scene *s, uint8_t peer, uint16_t application, torc_token *token) {
  torc_id route[2] = {nt_id(C), nt_id(peer)};
  int rc = torc_node_connect_application(nt_node(s->h), route, 2, application, nt_now(s->h), token);
  nt_drain(s->h);
  return rc;
}

/* Calls, and gives the parameters: the request that leaves. */
static nt_out *request(scene *s, uint8_t peer, uint16_t application, torc_token *token) {
  torc_connect_params p;
  assert_int_equal(call(s, peer, application, token), 0);
  nt_out *o = nt_take(s->h, TORC_OUT_OFFER_NEEDED);
  assert_non_null(o);
  assert_int_equal(o->token, *token);
  assert_int_equal(o->application, application);
  nt_params(&p, "passive");
  assert_int_equal(torc_node_offer_ready(nt_node(s->h), *token, &p, nt_now(s->h)), 0);
  nt_drain(s->h);
  return nt_take_request(s->h, s->c, TORC_METHOD_CONNECT);
}

static void answer(scene *s, const nt_out *r, uint8_t signer, uint16_t application) {
  nt_msg m;
  nt_response(s->h, &m, signer, r, 200, nt_connect_payload(s->h, "active", application, CANDIDATE));
  nt_input(s->h, s->c, &m);
}

static void test_request(void **state) {
  scene s = scene_of(NULL);
  torc_id there = nt_id(THERE);
  torc_token token = 0;
  torc_connect_data d;
  torc_node_link_view views[8];
  (void)state;
  nt_out *r = request(&s, THERE, APP, &token);
  assert_non_null(r);
  assert_int_equal(torc_connect_decode(&d, r->c.payload), 0);
  assert_int_equal(d.application, APP); /* whatever the platform wrote there */
  size_t links = torc_node_links(nt_node(s.h), views, 8);
  answer(&s, r, THERE, APP);
  nt_out *o = nt_take(s.h, TORC_OUT_CONNECT);
  assert_non_null(o);
  assert_int_equal(o->token, token);
  assert_int_equal(o->application, APP);
  assert_true(torc_id_eq(&o->peer, &there));
  assert_null(event(&s)); /* not before it stands */
  assert_int_equal(up(&s, token, THERE), 0);
  o = event(&s);
  assert_non_null(o);
  assert_true(o->event.is_up);
  assert_false(o->event.is_incoming);
  assert_int_equal(o->event.token, token);
  assert_int_equal(o->event.application, APP);
  assert_true(torc_id_eq(&o->event.peer, &there));
  assert_ptr_equal(o->event.cert, nt_cert(s.h, THERE));
  assert_int_equal(torc_node_links(nt_node(s.h), views, 8), links); /* it is no link */
  nt_advance(s.h, TORC_SEC(100));
  assert_null(event(&s)); /* the time limit of the CONNECT does not end it */
  down(&s, token, 0);
  o = event(&s);
  assert_non_null(o);
  assert_false(o->event.is_up);
  assert_int_equal(o->event.token, token);
  assert_int_equal(o->event.done.rc, 0);
  assert_true(o->event.done.elapsed == TORC_SEC(100));
  down(&s, token, 0); /* known no more */
  assert_null(event(&s));
  assert_null(nt_take(s.h, TORC_OUT_CANCEL));
  assert_int_equal(nt_counter(s.h, "connections_made"), 1);
  assert_int_equal(nt_counter(s.h, "connections_ended"), 1);
  nt_free(s.h);
}

static void test_not_possible(void **state) {
  scene s = scene_of(NULL);
  torc_id ids[17];
  torc_token token = 0;
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(ids); i++) {
    ids[i] = nt_id(THERE);
  }
  torc_node *n = nt_node(s.h);
  torc_time now = nt_now(s.h);
  assert_int_equal(torc_node_connect_application(n, ids, 0, APP, now, &token), TORC_ERR_INVALID);
  assert_int_equal(torc_node_connect_application(n, ids, 17, APP, now, &token), TORC_ERR_INVALID);
  assert_int_equal(torc_node_connect_application(n, ids, 1, 0, now, &token), TORC_ERR_INVALID);
  assert_int_equal(torc_node_connect_application(n, ids, 1, 6084, now, &token), TORC_ERR_INVALID);
  assert_int_equal(torc_node_connect_application(n, &s.self, 1, APP, now, &token),
                   TORC_ERR_INVALID);
  assert_int_equal(torc_node_connect_application(n, &torc_id_zero, 1, APP, now, &token),
                   TORC_ERR_INVALID);
  nt_drain(s.h);
  assert_null(nt_take(s.h, TORC_OUT_OFFER_NEEDED));
  nt_free(s.h);
}

/* Every reason why there is none reaches the application, once, and the platform is told to forget
 * what it holds unless the failure was its own. */
static void test_failures(void **state) {
  scene s = scene_of(NULL);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_out *r = request(&s, THERE, APP, &token); /* refused, with a reason */
  uint8_t buf[64];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  torc_error_response why = {.reason_phrase = torc_slice_str("Unknown Application")};
  assert_int_equal(torc_error_response_put(&wr, &why), 0);
  nt_response(s.h, &m, THERE, r, 404, torc_wr_slice(&wr));
  nt_input(s.h, s.c, &m);
  nt_out *o = event(&s);
  assert_non_null(o);
  assert_false(o->event.is_up);
  assert_int_equal(o->event.done.rc, TORC_ERR_REFUSED);
  assert_int_equal(o->event.done.code, 404);
  assert_true(torc_slice_eq(o->event.done.phrase, torc_slice_str("Unknown Application")));
  o = nt_take(s.h, TORC_OUT_CANCEL);
  assert_non_null(o);
  assert_int_equal(o->token, token);

  r = request(&s, THERE, APP, &token); /* the answer is for another application */
  answer(&s, r, THERE, OTHER);
  assert_null(nt_take(s.h, TORC_OUT_CONNECT));
  assert_int_equal(event(&s)->event.done.rc, TORC_ERR_FORMAT);
  assert_non_null(nt_take(s.h, TORC_OUT_CANCEL));

  r = request(&s, THERE, APP, &token); /* and of another peer */
  answer(&s, r, 0xb1, APP);
  assert_int_equal(event(&s)->event.done.rc, TORC_ERR_NOTFOUND);
  assert_non_null(nt_take(s.h, TORC_OUT_CANCEL));

  r = request(&s, THERE, APP, &token); /* it answers and never connects: the platform says so */
  answer(&s, r, THERE, APP);
  nt_open_failed(s.h, token, TORC_ERR_TIMEOUT);
  assert_int_equal(event(&s)->event.done.rc, TORC_ERR_TIMEOUT);
  assert_null(nt_take(s.h, TORC_OUT_CANCEL));

  r = request(&s, THERE, APP, &token); /* or the node has to, at the latest after 35 s */
  answer(&s, r, THERE, APP);
  nt_advance(s.h, TORC_SEC(34));
  assert_null(event(&s));
  nt_advance(s.h, TORC_SEC(1));
  assert_int_equal(event(&s)->event.done.rc, TORC_ERR_TIMEOUT);
  assert_non_null(nt_take(s.h, TORC_OUT_CANCEL));
  assert_int_equal(up(&s, token, THERE), TORC_ERR_NOTFOUND);

  r = request(&s, THERE, APP, &token); /* another peer at the other end */
  answer(&s, r, THERE, APP);
  assert_int_equal(up(&s, token, FROM), TORC_ERR_DENIED);
  assert_int_equal(event(&s)->event.done.rc, TORC_ERR_DENIED);
  assert_int_equal(up(&s, token, THERE), TORC_ERR_NOTFOUND);

  assert_int_equal(call(&s, THERE, APP, &token), 0); /* the platform has no address to offer */
  nt_open_failed(s.h, token, TORC_ERR_CONFIG);
  assert_int_equal(event(&s)->event.done.rc, TORC_ERR_CONFIG);
  assert_null(event(&s));
  nt_free(s.h);
}

/* ---- as answerer ---- */

static void connect_of(scene *s, nt_msg *m, uint8_t peer, uint16_t application) {
  torc_id via = nt_id(peer);
  nt_request(s->h, m, peer, TORC_METHOD_CONNECT,
             nt_connect_payload(s->h, "passive", application, CANDIDATE));
  nt_route(m, &s->self);
  nt_via(m, &via);
}

/* A CONNECT comes and is answered 200; the token of what is to be made. */
static torc_token take_one(scene *s, uint8_t peer, uint16_t application) {
  torc_connect_params p;
  torc_connect_data d;
  nt_msg m;
  connect_of(s, &m, peer, application);
  nt_input(s->h, s->c, &m);
  nt_out *o = nt_take(s->h, TORC_OUT_ANSWER_NEEDED);
  assert_non_null(o);
  assert_int_equal(o->application, application);
  assert_int_equal(o->remote.application, application);
  nt_params(&p, "active");
  assert_int_equal(torc_node_answer_ready(nt_node(s->h), o->token, &p, 0, nt_now(s->h)), 0);
  nt_drain(s->h);
  nt_out *r = nt_expect(s->h, s->c, &m, 200);
  assert_int_equal(torc_connect_decode(&d, r->c.payload), 0);
  assert_int_equal(d.application, application);
  nt_out *accept = nt_take(s->h, TORC_OUT_ACCEPT);
  assert_non_null(accept);
  assert_int_equal(accept->token, o->token);
  assert_int_equal(accept->application, application);
  return o->token;
}

static void refused(scene *s, uint8_t peer, uint16_t application, uint16_t code,
                    const char *phrase) {
  torc_slice info;
  nt_msg m;
  connect_of(s, &m, peer, application);
  nt_input(s->h, s->c, &m);
  nt_out *o = nt_expect(s->h, s->c, &m, code);
  assert_string_equal(nt_phrase(s->h, o, &info), phrase);
  assert_null(nt_take(s->h, TORC_OUT_ANSWER_NEEDED));
}

static void listen(scene *s, uint16_t application, bool on) {
  assert_int_equal(torc_node_listen_connections(nt_node(s->h), application, on), 0);
}

static void test_answer(void **state) {
  scene s = scene_of(NULL);
  torc_id from = nt_id(FROM);
  (void)state;
  refused(&s, FROM, APP, 404, "Unknown Application");
  listen(&s, APP, true);
  refused(&s, FROM, OTHER, 404, "Unknown Application");
  torc_token token = take_one(&s, FROM, APP);
  assert_null(event(&s));
  assert_int_equal(up(&s, token, FROM), 0);
  nt_out *o = event(&s);
  assert_non_null(o);
  assert_true(o->event.is_up);
  assert_true(o->event.is_incoming);
  assert_int_equal(o->event.token, token);
  assert_true(torc_id_eq(&o->event.peer, &from));
  assert_ptr_equal(o->event.cert, nt_cert(s.h, FROM));
  listen(&s, APP, false); /* those that stand stay */
  refused(&s, FROM, APP, 404, "Unknown Application");
  down(&s, token, TORC_ERR_CLOSED);
  o = event(&s);
  assert_int_equal(o->event.done.rc, TORC_ERR_CLOSED);
  assert_true(o->event.is_incoming);
  listen(&s, APP, true);
  token = take_one(&s, FROM, APP); /* answered, and then nobody came */
  nt_open_failed(s.h, token, TORC_ERR_TIMEOUT);
  assert_null(event(&s)); /* nobody here waited for it */
  nt_free(s.h);
}

static void test_not_exact(void **state) {
  scene s = scene_of(NULL);
  torc_id place = nt_id(0x7f); /* the node is responsible for it */
  torc_slice info;
  nt_msg m;
  (void)state;
  listen(&s, APP, true);
  nt_request(s.h, &m, C, TORC_METHOD_CONNECT, nt_connect_payload(s.h, "passive", APP, CANDIDATE));
  nt_route(&m, &place);
  nt_input(s.h, s.c, &m);
  nt_out *o = nt_expect(s.h, s.c, &m, 404);
  assert_string_equal(nt_phrase(s.h, o, &info), "Not Found");
  nt_free(s.h);
}

static void test_bad_offers(void **state) {
  static const struct {
    const char *role, *candidate;
  } bad[] = {{"holdconn", CANDIDATE}, {"", CANDIDATE}, {"passive", NULL}, {"passive", "rubbish"}};
  scene s = scene_of(NULL);
  (void)state;
  listen(&s, APP, true);
  for (size_t i = 0; i < TORC_ARRAY_LEN(bad); i++) {
    torc_id via = nt_id(FROM);
    nt_msg m;
    nt_request(s.h, &m, FROM, TORC_METHOD_CONNECT,
               nt_connect_payload(s.h, bad[i].role, APP, bad[i].candidate));
    nt_route(&m, &s.self);
    nt_via(&m, &via);
    nt_input(s.h, s.c, &m);
    (void)nt_expect(s.h, s.c, &m, 400);
  }
  nt_free(s.h);
}

/* The platform refuses for its own reasons: its code is what the other side gets. */
static void test_policy(void **state) {
  static const uint16_t codes[] = {403, 503, 400, 404};
  scene s = scene_of(NULL);
  (void)state;
  listen(&s, APP, true);
  for (size_t i = 0; i < TORC_ARRAY_LEN(codes); i++) {
    nt_msg m;
    connect_of(&s, &m, FROM, APP);
    nt_input(s.h, s.c, &m);
    nt_out *o = nt_take(s.h, TORC_OUT_ANSWER_NEEDED);
    assert_non_null(o);
    assert_int_equal(torc_node_answer_ready(nt_node(s.h), o->token, NULL, codes[i], nt_now(s.h)),
                     0);
    nt_drain(s.h);
    (void)nt_expect(s.h, s.c, &m, codes[i]);
    assert_null(nt_take(s.h, TORC_OUT_ACCEPT));
    assert_null(nt_take(s.h, TORC_OUT_CANCEL));
    assert_null(event(&s));
  }
  nt_free(s.h);
}

/* ---- limits ---- */

typedef struct wanted {
  const char *name;
  uint64_t held;
} wanted;

static void each_table(void *ctx, const char *name, uint64_t now, uint64_t limit) {
  wanted *w = ctx;
  if (strcmp(name, w->name) == 0) {
    w->held = now;
    assert_true(now <= limit);
  }
}

static uint64_t held(scene *s, const char *table) {
  wanted w = {.name = table, .held = UINT64_MAX};
  torc_node_tables(nt_node(s->h), &w, each_table);
  return w.held;
}

static void test_limits(void **state) {
  scene s = scene_of(NULL);
  torc_token token = 0;
  torc_token tokens[PER_PEER];
  (void)state;
  listen(&s, APP, true);
  for (size_t i = 0; i < ASKED; i++) { /* asked for, answered, never made */
    tokens[i] = take_one(&s, FROM, APP);
  }
  refused(&s, FROM, APP, 503, "Service Unavailable");
  torc_token other = take_one(&s, FROM + 1, APP); /* nobody else suffers */
  assert_int_equal(up(&s, other, FROM + 1), 0);
  for (size_t i = 0; i < ASKED; i++) {
    nt_open_failed(s.h, tokens[i], TORC_ERR_TIMEOUT);
  }
  refused(&s, FROM, APP, 503, "Service Unavailable"); /* it has made the node dial for nothing */
  nt_advance(s.h, TORC_SEC(10));
  for (size_t i = 0; i < PER_PEER; i++) {
    tokens[i] = take_one(&s, FROM, APP);
    assert_int_equal(up(&s, tokens[i], FROM), 0);
  }
  refused(&s, FROM, APP, 503, "Service Unavailable");
  assert_int_equal(call(&s, FROM, APP, &token), TORC_ERR_LIMIT);
  down(&s, tokens[0], 0);
  token = take_one(&s, FROM, APP);
  assert_int_equal(up(&s, token, FROM), 0);
  uint8_t peer = FROM + 2;
  while (held(&s, "connections") < IN_ALL) {
    for (size_t i = 0; i < PER_PEER && held(&s, "connections") < IN_ALL; i++) {
      token = take_one(&s, peer, APP);
      assert_int_equal(up(&s, token, peer), 0);
    }
    peer++;
  }
  refused(&s, peer, APP, 503, "Service Unavailable");
  assert_int_equal(call(&s, peer, APP, &token), TORC_ERR_LIMIT);
  nt_free(s.h);
}

/* 10,000 CONNECTs of one peer, and a ring that goes on. */
static void test_flood(void **state) {
  scene s = scene_of(NULL);
  (void)state;
  listen(&s, APP, true);
  size_t answers_needed = 0;
  for (size_t i = 0; i < 10000; i++) {
    nt_msg m;
    connect_of(&s, &m, FROM, APP);
    nt_input(s.h, s.c, &m);
    answers_needed += nt_take(s.h, TORC_OUT_ANSWER_NEEDED) != NULL ? 1u : 0u;
    if (i % 500 == 499) {
      nt_clear(s.h);
    }
  }
  assert_int_equal(answers_needed, ASKED);
  assert_int_equal(held(&s, "connections"), ASKED);
  nt_msg m; /* a CONNECT for a link of the same peer has places of its own */
  connect_of(&s, &m, FROM, 6084);
  nt_input(s.h, s.c, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  nt_advance(s.h, TORC_SEC(36));
  assert_int_equal(held(&s, "connections"), 0);
  nt_free(s.h);
}

static void test_listen_limit(void **state) {
  scene s = scene_of(NULL);
  torc_node *n = nt_node(s.h);
  (void)state;
  assert_int_equal(torc_node_listen_connections(n, 0, true), TORC_ERR_INVALID);
  assert_int_equal(torc_node_listen_connections(n, 6084, true), TORC_ERR_INVALID);
  for (uint16_t i = 0; i < 16; i++) {
    listen(&s, (uint16_t)(APP + i), true);
    listen(&s, (uint16_t)(APP + i), true); /* again: nothing new */
  }
  assert_int_equal(torc_node_listen_connections(n, APP + 16, true), TORC_ERR_LIMIT);
  listen(&s, APP + 3, false);
  listen(&s, APP + 3, false);
  listen(&s, APP + 16, true);
  refused(&s, FROM, APP + 3, 404, "Unknown Application");
  (void)take_one(&s, FROM, APP + 15);
  assert_int_equal(torc_node_listen(n, APP, true), 0); /* TUNNEL counts apart */
  nt_free(s.h);
}

/* ---- beside links ---- */

/* A link to the same peer is made at the same time, stands, is made anew, goes down: nothing of it
 * concerns the connection, and the other way round. */
static void test_beside_link(void **state) {
  scene s = scene_of(NULL);
  torc_id there = nt_id(THERE);
  torc_token token = 0;
  torc_token linking = 0;
  torc_connect_params p;
  (void)state;
  nt_out *r = request(&s, THERE, APP, &token);
  assert_int_equal(torc_node_connect(nt_node(s.h), &there, 1, nt_now(s.h), &linking), 0);
  nt_drain(s.h);
  nt_out *o = nt_take(s.h, TORC_OUT_OFFER_NEEDED); /* a CONNECT of its own */
  assert_non_null(o);
  assert_int_equal(o->application, 6084);
  nt_params(&p, "passive");
  assert_int_equal(torc_node_offer_ready(nt_node(s.h), o->token, &p, nt_now(s.h)), 0);
  nt_drain(s.h);
  nt_out *link_request = nt_take_request(s.h, s.c, TORC_METHOD_CONNECT);
  assert_non_null(link_request);
  answer(&s, link_request, THERE, 6084);
  torc_link_id link = nt_up_token(s.h, THERE, TORC_LINK_TLS, o->token, nt_cert(s.h, THERE));
  assert_int_equal(nt_take_done(s.h, linking)->event.done.rc, 0);
  assert_null(event(&s));
  nt_clear(s.h);
  answer(&s, r, THERE, APP); /* the link did not end it */
  assert_non_null(nt_take(s.h, TORC_OUT_CONNECT));
  assert_int_equal(up(&s, token, THERE), 0);
  assert_true(event(&s)->event.is_up);
  assert_int_equal(nt_counter(s.h, "links_replaced"), 0);
  torc_token second = 0; /* another one, though link and connection stand */
  r = request(&s, THERE, APP, &second);
  assert_non_null(r);
  assert_int_not_equal(second, token);
  nt_down(s.h, link);
  assert_null(event(&s));
  down(&s, token, 0);
  assert_false(event(&s)->event.is_up);
  nt_free(s.h);
}

/* [GAP-74] Both sides want one at the same time: each gets its own, whoever is larger. */
static void test_crossing(void **state) {
  static const uint8_t peers[] = {FROM, BIG};
  scene s = scene_of(NULL);
  (void)state;
  listen(&s, APP, true);
  for (size_t i = 0; i < TORC_ARRAY_LEN(peers); i++) {
    torc_token mine = 0;
    nt_out *r = request(&s, peers[i], APP, &mine);
    torc_token theirs = take_one(&s, peers[i], APP);
    assert_int_not_equal(mine, theirs);
    answer(&s, r, peers[i], APP);
    assert_non_null(nt_take(s.h, TORC_OUT_CONNECT));
    assert_int_equal(up(&s, mine, peers[i]), 0);
    assert_false(event(&s)->event.is_incoming);
    assert_int_equal(up(&s, theirs, peers[i]), 0);
    assert_true(event(&s)->event.is_incoming);
  }
  assert_int_equal(nt_counter(s.h, "drop_glare"), 0);
  nt_free(s.h);
}

/* A CONNECT for a link, under way to the same peer, is no glare for that of an application. */
static void test_no_glare_with_link(void **state) {
  scene s = scene_of(NULL);
  torc_id route[2] = {nt_id(C), nt_id(FROM)}; /* smaller: a CONNECT for a link would be ignored */
  torc_token linking = 0;
  torc_connect_params p;
  (void)state;
  listen(&s, APP, true);
  assert_int_equal(torc_node_connect(nt_node(s.h), route, 2, nt_now(s.h), &linking), 0);
  nt_drain(s.h);
  nt_out *o = nt_take(s.h, TORC_OUT_OFFER_NEEDED);
  nt_params(&p, "passive");
  assert_int_equal(torc_node_offer_ready(nt_node(s.h), o->token, &p, nt_now(s.h)), 0);
  nt_drain(s.h);
  assert_non_null(nt_take_request(s.h, s.c, TORC_METHOD_CONNECT));
  (void)take_one(&s, FROM, APP);
  assert_int_equal(nt_counter(s.h, "drop_glare"), 0);
  nt_free(s.h);
}

/* [GAP-83] In a shared-key overlay there is no certificate to tell of. */
static void shared(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->is_shared_key = true;
}

static void test_shared_key(void **state) {
  nt_options o = {.tweak = shared};
  scene s = {.h = nt_ring(&o)};
  torc_id from = nt_id(FROM);
  torc_connect_params p;
  nt_msg m;
  (void)state;
  s.self = nt_self(s.h);
  s.c = nt_up(s.h, FROM);
  nt_clear(s.h);
  listen(&s, APP, true);
  nt_request(s.h, &m, FROM, TORC_METHOD_CONNECT,
             nt_connect_payload(s.h, "passive", APP, CANDIDATE));
  m.signer = NULL;
  nt_route(&m, &s.self);
  nt_input(s.h, s.c, &m);
  nt_out *out = nt_take(s.h, TORC_OUT_ANSWER_NEEDED);
  assert_non_null(out);
  nt_params(&p, "active");
  p.fingerprint[0] = '\0';
  assert_int_equal(torc_node_answer_ready(nt_node(s.h), out->token, &p, 0, nt_now(s.h)), 0);
  nt_drain(s.h);
  assert_int_equal(up(&s, out->token, FROM), 0);
  nt_out *e = event(&s);
  assert_non_null(e);
  assert_null(e->event.cert);
  assert_true(torc_id_eq(&e->event.peer, &from));
  nt_free(s.h);
}

/* What the application knows of the sender of a TUNNEL message. */
static void test_tunnel_sender(void **state) {
  scene s = scene_of(NULL);
  torc_tunnel_data t = {.application = APP,
                        .dialog_id = torc_slice_str("d1"),
                        .application_pdu = torc_slice_str("hello")};
  torc_id via = nt_id(FROM);
  uint8_t buf[64];
  torc_wr wr;
  nt_msg m;
  (void)state;
  assert_int_equal(torc_node_listen(nt_node(s.h), APP, true), 0);
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_tunnel_put(&wr, &t), 0);
  nt_request(s.h, &m, FROM, TORC_METHOD_TUNNEL, torc_wr_slice(&wr));
  nt_route(&m, &s.self);
  nt_via(&m, &via);
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 200);
  nt_out *o = nt_take_event(s.h, TORC_EVENT_TUNNEL);
  assert_non_null(o);
  assert_non_null(o->event.cert);
  assert_true(
      torc_slice_eq(torc_slice_str(o->event.cert->users[0]), torc_slice_str(nt_user(FROM))));
  nt_free(s.h);
}

/* ---- no memory ---- */

/* One of each kind, as far as it gets; what began for the application also ends for it. */
static void go_through(scene *s) {
  torc_id route[2] = {nt_id(C), nt_id(THERE)};
  torc_node *n = nt_node(s->h);
  torc_connect_params p;
  torc_token token = 0;
  nt_msg m;
  nt_params(&p, "passive");
  int rc = torc_node_connect_application(n, route, 2, APP, nt_now(s->h), &token);
  nt_drain(s->h);
  (void)!torc_node_offer_ready(n, token, &p, nt_now(s->h));
  nt_drain(s->h);
  nt_out *r = nt_take_request(s->h, s->c, TORC_METHOD_CONNECT);
  if (r != NULL) {
    answer(s, r, THERE, APP);
    (void)up(s, token, THERE);
  }
  (void)!torc_node_listen_connections(n, APP, true);
  connect_of(s, &m, FROM, APP);
  nt_input(s->h, s->c, &m);
  nt_out *o = nt_take(s->h, TORC_OUT_ANSWER_NEEDED);
  if (o != NULL) {
    (void)!torc_node_answer_ready(n, o->token, &p, 0, nt_now(s->h));
    nt_drain(s->h);
    if (up(s, o->token, FROM) == 0) {
      down(s, o->token, 0);
    }
  }
  nt_advance(s->h, TORC_SEC(80)); /* 64*T1, and what stays unanswered */
  if (rc == 0) {
    down(s, token, 0);
    nt_out *last = NULL;
    for (nt_out *e = event(s); e != NULL; e = event(s)) {
      last = e->event.token == token ? e : last;
    }
    assert_non_null(last);
    assert_false(last->event.is_up);
  }
  assert_int_equal(held(s, "connections"), 0);
}

static void test_no_memory(void **state) {
  bool has_failed = true;
  (void)state;
  for (uint64_t nth = 1; has_failed; nth++) {
    scene s = scene_of(NULL);
    helper_mem *mem = nt_mem(s.h);
    mem->fail_at = mem->num_calls + nth;
    go_through(&s);
    has_failed = mem->num_calls >= mem->fail_at;
    mem->fail_at = 0;
    nt_free(s.h);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("CON-01 CON-03 CON-04 CON-07 GAP-82 a connection of an application, from its "
                "CONNECT to its end",
                test_request),
      TORC_TEST("CON-01 CON-07 connections that are not possible", test_not_possible),
      TORC_TEST("CON-14 GAP-76 every reason why there is none", test_failures),
      TORC_TEST("CON-12 CON-13 GAP-76 one that the other side asks for", test_answer),
      TORC_TEST("GAP-76 an application is one peer's, not a place's: 404", test_not_exact),
      TORC_TEST("CON-09 CON-10 GAP-71 GAP-73 offers that are answered 400", test_bad_offers),
      TORC_TEST("GAP-76 the platform's refusals", test_policy),
      TORC_TEST("GAP-76 limits: asked for, with one peer, in all", test_limits),
      TORC_TEST("GAP-76 ten thousand CONNECTs of one peer", test_flood),
      TORC_TEST("GAP-76 applications that are taken", test_listen_limit),
      TORC_TEST("GAP-74 GAP-82 CON-03 a link to the same peer is another matter", test_beside_link),
      TORC_TEST("GAP-74 two at once are two", test_crossing),
      TORC_TEST("GAP-74 no glare between link and application", test_no_glare_with_link),
      TORC_TEST("GAP-83 GAP-72 a shared-key overlay", test_shared_key),
      TORC_TEST("CON-01 GAP-76 the n-th allocation fails", test_no_memory),
      TORC_TEST("TUN-05 whose a TUNNEL message is", test_tunnel_sender),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
