/* Finding the ring, founding it, and clients on their way in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"

static const torc_endpoint bootstrap_peers[2] = {{.host = "boot-0.example", .port = 6084},
                                                 {.host = "192.0.2.2", .port = 6085}};

typedef struct setup {
  size_t num_bootstrap, num_cached;
  bool may_found, has_group;
  torc_endpoint cached[2], listed[3];
} setup;

static void configure(torc_node_config *c, void *ctx) {
  setup *s = ctx;
  for (size_t i = 0; i < 2; i++) {
    s->cached[i] = (torc_endpoint){
        .host = "198.51.100.1", .port = (uint16_t)(7000 + i), .peer = nt_id((uint8_t)(0x41 + i))};
  }
  memcpy(s->listed, bootstrap_peers, s->num_bootstrap * sizeof *s->listed);
  c->bootstrap = s->listed;
  c->num_bootstrap = s->num_bootstrap;
  if (s->has_group) {
    s->listed[c->num_bootstrap++] =
        (torc_endpoint){.host = "239.1.2.3", .port = 6999, .is_group = true};
  }
  c->cached = s->cached;
  c->num_cached = s->num_cached;
  c->may_found = s->may_found;
}

static nt *node(setup *s, torc_role role) {
  nt_options o = {.role = role, .tweak = configure, .ctx = s};
  nt *h = nt_new(&o);
  nt_answer(h, 0);
  return h;
}

/* Takes an OPEN for this port; 0: there is none. */
static torc_token opened(nt *h, uint16_t port) {
  nt_out *o = nt_take(h, TORC_OUT_OPEN);
  if (o == NULL) {
    return 0;
  }
  assert_int_equal(o->endpoint.port, port);
  return o->token;
}

/* The PING on a link that has come up. */
static nt_out *pinged(nt *h, torc_link_id link, const torc_id *target) {
  nt_out *o = nt_take_request(h, link, TORC_METHOD_PING);
  assert_non_null(o);
  assert_int_equal(torc_id_list_len(o->hdr.route), 1);
  assert_memory_equal(o->hdr.route.p, target->b, TORC_ID_LEN);
  assert_int_equal(o->c.signature.identity.type, TORC_IDENTITY_CERT);
  assert_true(nt_is_signed_by(h, o, nt_cert(h, NT_SELF)));
  return o;
}

static void pong(nt *h, torc_link_id link, uint8_t signer, const nt_out *request, uint16_t code) {
  nt_msg m;
  nt_response(h, &m, signer, request, code,
              code == 200 ? nt_pong_payload(h, 1) : torc_slice_of(NULL, 0));
  nt_input(h, link, &m);
}

static const char *state_of(nt *h) {
  torc_node_view v;
  torc_node_get_view(nt_node(h), &v);
  return v.state;
}

/* ---- order ---- */

/* Cached peers first, then the bootstrap peers of the configuration; each a quarter of a second
 * after the one before, which is still being tried. */
static void test_order(void **state) {
  setup s = {.num_bootstrap = 2, .num_cached = 2};
  nt *h = node(&s, TORC_ROLE_PEER);
  (void)state;
  assert_int_equal(nt_count(h, TORC_OUT_OPEN), 0); /* nothing before the start */
  assert_string_equal(state_of(h), "starting");
  nt_start(h);
  assert_string_equal(state_of(h), "bootstrapping");
  static const uint16_t order[] = {7000, 7001, 6084, 6085};
  for (size_t i = 0; i < TORC_ARRAY_LEN(order); i++) {
    nt_out *o = nt_take(h, TORC_OUT_OPEN);
    assert_non_null(o);
    assert_int_equal(o->endpoint.port, order[i]);
    assert_false(o->endpoint.is_group);
    nt_advance(h, TORC_MS(249));
    assert_int_equal(nt_count(h, TORC_OUT_OPEN), 0);
    nt_advance(h, TORC_MS(1));
  }
  assert_int_equal(nt_count(h, TORC_OUT_OPEN), 0);
  assert_int_equal(torc_node_start(nt_node(h), nt_now(h)), TORC_ERR_STATE);
  nt_free(h);
}

/* One that has failed keeps nobody waiting. */
static void test_cached_fail(void **state) {
  setup s = {.num_bootstrap = 1, .num_cached = 2};
  nt *h = node(&s, TORC_ROLE_PEER);
  (void)state;
  nt_start(h);
  nt_open_failed(h, opened(h, 7000), TORC_ERR_IO);
  nt_open_failed(h, opened(h, 7001), TORC_ERR_TIMEOUT);
  assert_int_not_equal(opened(h, 6084), 0);
  nt_free(h);
}

/* ---- the PING ---- */

/* To the cached peer's own id, to the wildcard where it is not known. */
static void test_ping_targets(void **state) {
  setup s = {.num_bootstrap = 1, .num_cached = 1};
  nt *h = node(&s, TORC_ROLE_PEER);
  torc_id known = nt_id(0x41);
  (void)state;
  nt_start(h);
  torc_link_id cached = nt_up_token(h, 0x41, TORC_LINK_TLS, opened(h, 7000), nt_cert(h, 0x41));
  (void)pinged(h, cached, &known);
  nt_advance(h, TORC_MS(300));
  torc_link_id boot = nt_up_token(h, 0x61, TORC_LINK_TLS, opened(h, 6084), nt_cert(h, 0x61));
  (void)pinged(h, boot, &torc_id_wildcard);
  nt_free(h);
}

/* The peer-id in the answer is what the join goes through. */
static void test_join_follows(void **state) {
  setup s = {.num_bootstrap = 1};
  nt *h = node(&s, TORC_ROLE_PEER);
  torc_id want[2] = {nt_id(0x61), nt_id(NT_SELF)};
  (void)state;
  want[1] = torc_id_next(&want[1]);
  nt_start(h);
  nt_tick(h);
  torc_link_id link = nt_up_token(h, 0x61, TORC_LINK_TLS, opened(h, 6084), nt_cert(h, 0x61));
  pong(h, link, 0x61, pinged(h, link, &torc_id_wildcard), 200);
  assert_string_equal(state_of(h), "joining");
  nt_out *o = nt_take_request(h, link, TORC_METHOD_PING); /* for the successor: n+1, through it */
  assert_non_null(o);
  assert_int_equal(torc_id_list_len(o->hdr.route), 2);
  assert_memory_equal(o->hdr.route.p, want, sizeof want);
  assert_null(nt_take_request(h, link, TORC_METHOD_JOIN));
  torc_id self = nt_self(h); /* it is no way in itself yet, but says that it lives */
  nt_msg m;
  nt_request(h, &m, 0x61, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(&m, &torc_id_wildcard);
  nt_input(h, link, &m);
  (void)nt_expect(h, link, &m, 503);
  nt_request(h, &m, 0x61, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(&m, &self);
  nt_input(h, link, &m);
  (void)nt_expect(h, link, &m, 200);
  nt_free(h);
}

/* Answers that open no way: an error, another peer's, a forged one, none. The next endpoint is
 * used. */
static void test_ping_fails(void **state) {
  (void)state;
  for (unsigned how = 0; how < 4; how++) {
    setup s = {.num_bootstrap = 2};
    nt *h = node(&s, TORC_ROLE_PEER);
    nt_msg m;
    nt_start(h);
    nt_tick(h);
    torc_token one = opened(h, 6084);
    nt_advance(h, TORC_MS(250));
    torc_token two = opened(h, 6085);
    torc_link_id link = nt_up_token(h, 0x61, TORC_LINK_TLS, one, nt_cert(h, 0x61));
    nt_out *o = pinged(h, link, &torc_id_wildcard);
    if (how == 0) {
      pong(h, link, 0x61, o, 503);
    } else if (how == 1) {
      pong(h, link, 0x62, o, 200);
    } else if (how == 2) {
      nt_response(h, &m, 0x61, o, 200, nt_pong_payload(h, 1));
      m.is_forged = true;
      nt_input(h, link, &m);
    }
    nt_advance(h, TORC_MS(100));
    assert_string_equal(state_of(h), "bootstrapping");
    link = nt_up_token(h, 0x63, TORC_LINK_TLS, two, nt_cert(h, 0x63));
    pong(h, link, 0x63, pinged(h, link, &torc_id_wildcard),
         200); /* not kept waiting by the first */
    assert_string_equal(state_of(h), "joining");
    nt_advance(h, TORC_SEC(10)); /* the end of the first PING changes nothing */
    assert_string_equal(state_of(h), "joining");
    nt_free(h);
  }
}

/* ---- groups ---- */

static torc_endpoint heard(uint8_t id) {
  return (torc_endpoint){.host = "192.0.2.77", .port = (uint16_t)(7000 + id), .peer = nt_id(id)};
}

static int discover(nt *h, const torc_endpoint *at) {
  int rc = torc_node_discovered(nt_node(h), at, nt_now(h));
  nt_drain(h);
  return rc;
}

/* The group is asked last; who answers there is dialled, and believed after a PING. */
static void test_group(void **state) {
  setup s = {.num_bootstrap = 1, .num_cached = 1, .has_group = true};
  nt *h = node(&s, TORC_ROLE_PEER);
  torc_endpoint first = heard(0x70);
  torc_endpoint second = heard(0x71);
  torc_id known = nt_id(0x71);
  (void)state;
  assert_int_equal(discover(h, &first), TORC_ERR_STATE); /* before the start */
  nt_start(h);
  nt_open_failed(h, opened(h, 7000), TORC_ERR_IO);
  nt_open_failed(h, opened(h, 6084), TORC_ERR_IO);
  nt_out *o = nt_take(h, TORC_OUT_OPEN);
  assert_non_null(o);
  assert_true(o->endpoint.is_group);
  assert_string_equal(o->endpoint.host, "239.1.2.3");
  torc_token group = o->token;
  assert_int_equal(discover(h, &first), 0);
  assert_int_equal(discover(h, &first), TORC_ERR_EXISTS);
  assert_int_equal(discover(h, &second), 0);
  nt_advance(h, TORC_MS(250));
  (void)opened(h, 7000 + 0x70); /* says nothing for ever */
  assert_int_equal(nt_count(h, TORC_OUT_OPEN), 0);
  nt_advance(h, TORC_MS(250));
  torc_token token = opened(h, 7000 + 0x71);
  assert_int_not_equal(token, 0);
  nt_open_failed(h, group, TORC_ERR_TIMEOUT); /* no more answers */
  torc_link_id link = nt_up_token(h, 0x71, TORC_LINK_TLS, token, nt_cert(h, 0x71));
  assert_string_equal(state_of(h), "bootstrapping");
  pong(h, link, 0x71, pinged(h, link, &known), 200);
  assert_string_equal(state_of(h), "joining");
  assert_int_equal(discover(h, &first), TORC_ERR_STATE); /* too late */
  nt_free(h);
}

/* However many answer, four are dialled; a round with them ends, and the next asks again. */
static void test_group_flood(void **state) {
  setup s = {.has_group = true};
  nt *h = node(&s, TORC_ROLE_PEER);
  (void)state;
  nt_start(h);
  for (unsigned round = 0; round < 3; round++) {
    nt_out *o = NULL;
    for (unsigned k = 0; k < 1000 && o == NULL; k++) {
      nt_advance(h, TORC_MS(10));
      o = nt_take(h, TORC_OUT_OPEN);
    }
    assert_non_null(o);
    assert_true(o->endpoint.is_group);
    torc_token group = o->token;
    for (uint8_t i = 0; i < 100; i++) {
      torc_endpoint at = heard((uint8_t)(0x70 + i));
      assert_int_equal(discover(h, &at), i < 4 ? 0 : TORC_ERR_STATE);
    }
    nt_open_failed(h, group, TORC_ERR_TIMEOUT);
    for (uint16_t i = 0; i < 4; i++) {
      nt_open_failed(h, opened(h, (uint16_t)(7000 + 0x70 + i)), TORC_ERR_IO);
    }
    assert_int_equal(nt_count(h, TORC_OUT_OPEN), 0);
    assert_int_equal(nt_counter(h, "bootstrap_failures"), round + 1);
  }
  nt_free(h);
}

/* It is quick to answer, and no join comes of it: the next search begins with the others. */
static void test_bad_way_in(void **state) {
  setup s = {.num_bootstrap = 2, .num_cached = 1};
  nt *h = node(&s, TORC_ROLE_PEER);
  torc_id known = nt_id(0x41);
  (void)state;
  nt_start(h);
  for (unsigned i = 0; i < 2; i++) { /* the way in is believed the first time only */
    torc_link_id bad = nt_up_token(h, 0x41, TORC_LINK_TLS, opened(h, 7000), nt_cert(h, 0x41));
    pong(h, bad, 0x41, pinged(h, bad, &known), 200);
    assert_string_equal(state_of(h), "joining");
    nt_clear(h);
    nt_down(h, bad);
    for (unsigned k = 0; k < 2000 && nt_count(h, TORC_OUT_OPEN) == 0; k++) {
      nt_advance(h, TORC_MS(10));
    }
    nt_open_failed(h, opened(h, 6084), TORC_ERR_IO);
    nt_open_failed(h, opened(h, 6085), TORC_ERR_IO);
  }
  assert_int_not_equal(opened(h, 7000), 0);
  nt_free(h);
}

/* ---- nobody answers ---- */

/* Times between rounds: 1 s to 60 s, with jitter; a peer that is no bootstrap peer never founds a
 * ring. */
static void test_retries(void **state) {
  setup s = {.num_bootstrap = 1};
  nt *h = node(&s, TORC_ROLE_PEER);
  torc_time last = 0;
  torc_time longest = 0;
  (void)state;
  nt_start(h);
  for (unsigned i = 0; i < 14; i++) {
    torc_token token = 0;
    for (unsigned k = 0; k < 1000 && token == 0; k++) {
      nt_advance(h, TORC_MS(100));
      token = opened(h, 6084);
    }
    assert_int_not_equal(token, 0);
    torc_time wait = nt_now(h) - last;
    if (i == 1) {
      assert_in_range(wait, TORC_MS(500), TORC_MS(1700));
    }
    if (i > 0) {
      assert_in_range(wait, TORC_MS(500), TORC_SEC(91));
      longest = wait > longest ? wait : longest;
    }
    last = nt_now(h);
    nt_open_failed(h, token, TORC_ERR_IO);
  }
  assert_true(longest > TORC_SEC(30));
  assert_string_equal(state_of(h), "bootstrapping");
  assert_null(nt_take_event(h, TORC_EVENT_JOINED));
  assert_int_equal(nt_counter(h, "bootstrap_failures"), 14);
  nt_free(h);
}

/* The platform says nothing at all: a round ends by itself. */
static void test_silence(void **state) {
  setup s = {.num_bootstrap = 1};
  nt *h = node(&s, TORC_ROLE_PEER);
  (void)state;
  nt_start(h);
  nt_tick(h);
  torc_token first = opened(h, 6084);
  assert_int_not_equal(first, 0);
  nt_advance(h, TORC_SEC(14));
  torc_token second = opened(h, 6084);
  assert_int_not_equal(second, 0);
  assert_true(second != first);
  nt_open_failed(h, first, TORC_ERR_TIMEOUT); /* late */
  (void)nt_up_token(h, 0x61, TORC_LINK_TLS, second, nt_cert(h, 0x61));
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  nt_free(h);
}

static void test_nobody_configured(void **state) {
  setup s = {0};
  nt *h = node(&s, TORC_ROLE_PEER);
  (void)state;
  nt_start(h);
  nt_advance(h, TORC_SEC(600));
  assert_string_equal(state_of(h), "bootstrapping");
  nt_free(h);
}

/* ---- founding [R-51] ---- */

static void test_found(void **state) {
  setup s = {.num_bootstrap = 2, .num_cached = 1, .may_found = true};
  nt *h = node(&s, TORC_ROLE_PEER);
  (void)state;
  nt_start(h);
  for (unsigned round = 0; round < 3; round++) { /* three tries, cached and listed ones */
    assert_null(nt_take_event(h, TORC_EVENT_JOINED));
    for (unsigned k = 0; k < 3; k++) {
      nt_out *o = NULL;
      for (unsigned ms = 0; ms < 2000 && o == NULL; ms += 10) {
        o = nt_take(h, TORC_OUT_OPEN);
        if (o == NULL) {
          nt_advance(h, TORC_MS(10));
        }
      }
      assert_non_null(o);
      nt_open_failed(h, o->token, TORC_ERR_IO);
    }
  }
  nt_tick(h);
  assert_non_null(nt_take_event(h, TORC_EVENT_JOINED));
  torc_node_view v;
  torc_node_get_view(nt_node(h), &v);
  assert_true(v.is_joined && v.is_responsible);
  assert_int_equal(nt_counter(h, "bootstrap_tries"), 3);
  nt_free(h);
}

/* Its own address is in the list: it reaches itself, and that is nobody. */
static void test_found_self(void **state) {
  setup s = {.num_bootstrap = 1, .may_found = true};
  nt *h = node(&s, TORC_ROLE_PEER);
  (void)state;
  nt_start(h);
  nt_tick(h);
  (void)nt_up_token(h, NT_SELF, TORC_LINK_TLS, opened(h, 6084), nt_cert(h, NT_SELF));
  assert_non_null(nt_take(h, TORC_OUT_CLOSE));
  nt_advance(h, TORC_SEC(5));
  assert_int_equal(nt_count(h, TORC_OUT_OPEN), 0); /* not dialled again */
  assert_non_null(nt_take_event(h, TORC_EVENT_JOINED));
  nt_free(h);
}

/* Somebody answers: it joins. */
static void test_found_not(void **state) {
  setup s = {.num_bootstrap = 2, .may_found = true};
  nt *h = node(&s, TORC_ROLE_PEER);
  (void)state;
  nt_start(h);
  nt_tick(h);
  nt_open_failed(h, opened(h, 6084), TORC_ERR_IO);
  torc_link_id link = nt_up_token(h, 0x61, TORC_LINK_TLS, opened(h, 6085), nt_cert(h, 0x61));
  pong(h, link, 0x61, pinged(h, link, &torc_id_wildcard), 200);
  assert_string_equal(state_of(h), "joining");
  assert_null(nt_take_event(h, TORC_EVENT_JOINED));
  nt_free(h);
}

/* Two bootstrap peers that start at once, neither in a ring: the larger id waits for the smaller
 * one to found it, for a while, and dials it once. */
static void test_found_yields(void **state) {
  (void)state;
  for (unsigned is_smaller = 0; is_smaller < 2; is_smaller++) {
    setup s = {.num_bootstrap = 1, .may_found = true};
    uint8_t other = is_smaller ? 0x61 : 0x91;
    unsigned num_rounds = 0;
    nt *h = node(&s, TORC_ROLE_PEER);
    nt_start(h);
    nt_tick(h);
    torc_link_id link = nt_up_token(h, other, TORC_LINK_TLS, opened(h, 6084), nt_cert(h, other));
    for (unsigned ms = 0; ms < 20000 && nt_take_event(h, TORC_EVENT_JOINED) == NULL; ms += 10) {
      nt_out *o = nt_take_request(h, link, TORC_METHOD_PING);
      if (o != NULL) {
        num_rounds++;
        pong(h, link, other, o, 503);
      }
      nt_advance(h, TORC_MS(10));
    }
    assert_int_equal(num_rounds, is_smaller ? 23 : 3);
    assert_int_equal(nt_counter(h, "bootstrap_tries"), num_rounds);
    assert_null(nt_take(h, TORC_OUT_OPEN));
    nt_free(h);
  }
}

static void test_client_never_founds(void **state) {
  setup s = {.num_bootstrap = 1, .may_found = true};
  nt *h = node(&s, TORC_ROLE_CLIENT);
  (void)state;
  nt_start(h);
  for (unsigned i = 0; i < 6; i++) {
    nt_out *o = NULL;
    for (unsigned k = 0; k < 1000 && o == NULL; k++) {
      nt_advance(h, TORC_MS(100));
      o = nt_take(h, TORC_OUT_OPEN);
    }
    assert_non_null(o);
    nt_open_failed(h, o->token, TORC_ERR_IO);
  }
  assert_null(nt_take_event(h, TORC_EVENT_JOINED));
  nt_free(h);
}

/* A founder asks the other bootstrap peers every 10 s until an UPDATE period has passed; and an
 * OPEN whose end the search has forgotten still ends the question. */
static nt *founder(setup *s) {
  nt *h = node(s, TORC_ROLE_PEER);
  nt_start(h);
  for (unsigned k = 0; k < 500; k++) {
    nt_out *o = NULL;
    while ((o = nt_take(h, TORC_OUT_OPEN)) != NULL) {
      nt_open_failed(h, o->token, TORC_ERR_IO);
    }
    if (nt_take_event(h, TORC_EVENT_JOINED) != NULL) {
      nt_clear(h);
      return h;
    }
    nt_advance(h, TORC_MS(20));
  }
  fail();
  return h;
}

static void test_founder_asks(void **state) {
  setup s = {.num_bootstrap = 1, .may_found = true};
  nt *h = founder(&s);
  unsigned num = 0;
  (void)state;
  for (unsigned second = 0; second < 600; second++) {
    nt_advance(h, TORC_SEC(1));
    nt_out *o = nt_take(h, TORC_OUT_OPEN);
    if (o != NULL) {
      num++;
      nt_open_failed(h, o->token, TORC_ERR_IO);
    }
  }
  assert_in_range(num, 50, 61);
  nt_advance(h, TORC_SEC(600));
  assert_true(nt_count(h, TORC_OUT_OPEN) <= 1); /* afterwards seldom */
  nt_free(h);
}

/* The answer comes from another ring: its peer is looked up. The PING goes through the bootstrap
 * peer to n+1. */
static void test_founder_meets(void **state) {
  setup s = {.num_bootstrap = 1, .may_found = true};
  nt *h = founder(&s);
  torc_id want[2] = {nt_id(0x61), nt_id(NT_SELF)};
  nt_out *o = NULL;
  (void)state;
  want[1] = torc_id_next(&want[1]);
  for (unsigned second = 0; second < 30 && o == NULL; second++) {
    nt_advance(h, TORC_SEC(1));
    o = nt_take(h, TORC_OUT_OPEN);
  }
  assert_non_null(o);
  torc_link_id link = nt_up_token(h, 0x61, TORC_LINK_TLS, o->token, nt_cert(h, 0x61));
  o = nt_take_request(h, link, TORC_METHOD_PING);
  assert_non_null(o);
  assert_int_equal(torc_id_list_len(o->hdr.route), 2);
  assert_memory_equal(o->hdr.route.p, want, sizeof want);
  pong(h, link, 0x99, o, 200);
  o = nt_take(h, TORC_OUT_OFFER_NEEDED);
  assert_non_null(o);
  torc_id other = nt_id(0x99);
  assert_true(torc_id_eq(&o->peer, &other));
  nt_free(h);
}

/* A question is on its way when the node is cut off and searches anew: the search's rounds do not
 * lose its end. */
static void test_probe_survives(void **state) {
  setup s = {.num_bootstrap = 1, .may_found = true};
  nt *h = founder(&s);
  nt_out *o = NULL;
  unsigned num = 0;
  (void)state;
  for (unsigned second = 0; second < 30 && o == NULL; second++) {
    nt_advance(h, TORC_SEC(1));
    o = nt_take(h, TORC_OUT_OPEN);
  }
  assert_non_null(o);
  torc_token probe = o->token; /* the platform takes its time */
  nt_answer(h, NT_ANSWER_DEFAULT);
  torc_link_id c = nt_join(h, 0xc0);
  nt_answer(h, 0);
  nt_down(h, c);
  assert_non_null(nt_take_event(h, TORC_EVENT_DISCONNECTED));
  nt_advance(h, TORC_SEC(20)); /* a round of the search has ended */
  nt_open_failed(h, probe, TORC_ERR_TIMEOUT);
  for (unsigned second = 0; second < 300; second++) {
    nt_advance(h, TORC_SEC(1));
    while ((o = nt_take(h, TORC_OUT_OPEN)) != NULL) {
      num++;
      nt_open_failed(h, o->token, TORC_ERR_IO);
    }
  }
  assert_true(num > 5); /* it goes on asking */
  nt_free(h);
}

/* ---- cut off ---- */

/* Every link of the routing table is gone: bootstrap again [CHD-26]. */
static void test_cut_off(void **state) {
  setup s = {.num_bootstrap = 1, .may_found = true};
  nt *h = founder(&s);
  (void)state;
  nt_answer(h, NT_ANSWER_DEFAULT);
  torc_link_id c = nt_join(h, 0xc0);
  nt_clear(h);
  nt_down(h, c);
  assert_non_null(nt_take_event(h, TORC_EVENT_DISCONNECTED));
  assert_string_equal(state_of(h), "disconnected");
  nt_tick(h);
  nt_out *o = nt_take(h, TORC_OUT_OPEN);
  assert_non_null(o);
  nt_free(h);
}

/* ---- clients ---- */

static torc_link_id attach(nt *h, uint16_t port, uint8_t ap) {
  torc_link_id link = nt_up_token(h, ap, TORC_LINK_TLS, opened(h, port), nt_cert(h, ap));
  pong(h, link, ap, pinged(h, link, &torc_id_wildcard), 200);
  assert_non_null(nt_take_event(h, TORC_EVENT_JOINED));
  return link;
}

static void test_client(void **state) {
  setup s = {.num_bootstrap = 2};
  nt *h = node(&s, TORC_ROLE_CLIENT);
  torc_id self = nt_self(h);
  torc_id there = nt_id(0x10);
  torc_id resource = nt_resource(0x20);
  nt_element e = {.type = NT_TYPE_LINE,
                  .value = "v",
                  .storage_time = NT_WALL,
                  .lifetime_s = 100,
                  .signer = nt_cert(h, 0x20)};
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_start(h);
  nt_tick(h);
  torc_link_id ap = attach(h, 6084, 0x61);
  assert_null(nt_take_request(h, ap, TORC_METHOD_JOIN));
  assert_null(nt_take_request(h, ap, TORC_METHOD_UPDATE));
  torc_link_id other =
      nt_up_token(h, 0x11, TORC_LINK_TLS, 0, nt_cert(h, 0x11)); /* closer to `there` */
  assert_int_equal(torc_node_ping(nt_node(h), &there, 1, 0, nt_now(h), &token), 0);
  nt_drain(h);
  nt_out *o =
      nt_take_request(h, ap, TORC_METHOD_PING); /* everything goes through the admitting peer */
  assert_non_null(o);
  assert_int_equal(torc_id_list_len(o->hdr.route), 1);
  pong(h, ap, 0x12, o, 200);
  assert_int_equal(nt_take_done(h, token)->event.done.rc, 0);
  nt_request(h, &m, 0x33, TORC_METHOD_PING,
             nt_ping_payload(h)); /* asked itself, it answers along the via list */
  nt_route(&m, &self);
  torc_id via = nt_id(0x33);
  nt_via(&m, &via);
  nt_input(h, ap, &m);
  o = nt_expect(h, ap, &m, 200);
  assert_int_equal(torc_id_list_len(o->hdr.route), 2);
  nt_request(h, &m, 0x61, TORC_METHOD_PING, nt_ping_payload(h)); /* it forwards nothing */
  nt_route(&m, &there);
  nt_input(h, ap, &m);
  nt_expect_nothing(h, &m);
  assert_int_equal(nt_counter(h, "drop_client_forward"), 1);
  nt_request(h, &m, 0x61, TORC_METHOD_STORE,
             nt_store_payload(h, &resource, &e, 1)); /* and stores nothing */
  nt_route(&m, &self);
  nt_input(h, ap, &m);
  (void)nt_expect(h, ap, &m, 404);
  uint32_t type = NT_TYPE_LINE;
  nt_request(h, &m, 0x61, TORC_METHOD_FETCH, nt_fetch_payload(h, &resource, &type, NULL, 1));
  nt_route(&m, &self);
  nt_input(h, ap, &m);
  (void)nt_expect(h, ap, &m, 404);
  nt_request(h, &m, 0x61, TORC_METHOD_UPDATE, nt_update_payload(h, NULL, NULL));
  nt_route(&m, &self);
  nt_input(h, ap, &m);
  (void)nt_expect(h, ap, &m, 405);
  nt_answer(h, NT_ANSWER_DEFAULT);
  nt_clear(h);
  nt_advance(h, TORC_SEC(3600)); /* the way in is kept, other links are not */
  size_t num_closed = 0;
  while ((o = nt_take(h, TORC_OUT_CLOSE)) != NULL) {
    assert_int_equal(o->link, other);
    num_closed++;
  }
  assert_int_equal(num_closed, 1);
  nt_free(h);
}

/* Its peer goes: another one is found. */
static void test_client_moves(void **state) {
  setup s = {.num_bootstrap = 2};
  nt *h = node(&s, TORC_ROLE_CLIENT);
  torc_id there = nt_id(0x10);
  torc_token token = 0;
  (void)state;
  nt_start(h);
  nt_tick(h);
  torc_link_id first = attach(h, 6084, 0x61);
  nt_clear(h);
  nt_down(h, first);
  assert_non_null(nt_take_event(h, TORC_EVENT_DISCONNECTED));
  assert_int_equal(torc_node_ping(nt_node(h), &there, 1, 0, nt_now(h), &token), TORC_ERR_STATE);
  nt_tick(h);
  nt_open_failed(h, opened(h, 6084), TORC_ERR_IO);
  torc_link_id second = attach(h, 6085, 0x62);
  assert_int_equal(torc_node_ping(nt_node(h), &there, 1, 0, nt_now(h), &token), 0);
  nt_drain(h);
  assert_non_null(nt_take_request(h, second, TORC_METHOD_PING));
  nt_free(h);
}

/* The only bootstrap peer is gone, but another link is up: its peer leads to the ring, a client's
 * or a refusing one does not. */
static void test_client_other_link(void **state) {
  setup s = {.num_bootstrap = 1};
  nt *h = node(&s, TORC_ROLE_CLIENT);
  torc_id there = nt_id(0x10);
  torc_id want[2] = {nt_id(0x63), nt_id(NT_SELF)};
  torc_token token = 0;
  (void)state;
  want[1] = torc_id_next(&want[1]);
  nt_start(h);
  nt_tick(h);
  torc_link_id first = attach(h, 6084, 0x61);
  torc_link_id mute = nt_up(h, 0x62);
  torc_link_id good = nt_up(h, 0x63);
  torc_link_id loth = nt_up(h, 0x64);
  nt_down(h, first);
  nt_tick(h);
  nt_open_failed(h, opened(h, 6084), TORC_ERR_IO);
  nt_out *o = nt_take_request(h, loth, TORC_METHOD_PING);
  assert_non_null(o);
  pong(h, loth, 0x64, o, 404);
  assert_string_equal(state_of(h), "disconnected");
  assert_non_null(nt_take_request(h, mute, TORC_METHOD_PING));
  nt_advance(h, TORC_MS(1700)); /* no round waits for those who say nothing */
  assert_int_not_equal(opened(h, 6084), 0);
  o = nt_take_request(h, good, TORC_METHOD_PING);
  assert_non_null(o);
  assert_int_equal(torc_id_list_len(o->hdr.route), 2);
  assert_memory_equal(o->hdr.route.p, want, sizeof want);
  pong(h, good, 0x99, o, 200);
  assert_string_equal(state_of(h), "joined");
  assert_int_equal(torc_node_ping(nt_node(h), &there, 1, 0, nt_now(h), &token), 0);
  nt_drain(h);
  assert_non_null(nt_take_request(h, good, TORC_METHOD_PING));
  nt_free(h);
}

/* Addresses learned later take the place of those given at the creation; a dial under way goes on.
 */
static void test_set_cached(void **state) {
  setup s = {.num_bootstrap = 1, .num_cached = 2};
  nt *h = node(&s, TORC_ROLE_CLIENT);
  torc_endpoint fresh[2] = {s.cached[1],
                            {.host = "203.0.113.9", .port = 7777, .peer = nt_id(0x44)}};
  (void)state;
  nt_start(h);
  (void)opened(h, 7000);
  nt_advance(h, TORC_MS(250));
  torc_token kept = opened(h, 7001);
  assert_int_equal(torc_node_set_cached(nt_node(h), fresh, 2), 0);
  torc_link_id link = nt_up_token(h, 0x42, TORC_LINK_TLS, kept, nt_cert(h, 0x42));
  torc_id known = nt_id(0x42);
  pong(h, link, 0x42, pinged(h, link, &known), 200);
  assert_string_equal(state_of(h), "joined");
  nt_clear(h);
  nt_down(h, link);
  static const uint16_t order[] = {7001, 7777, 6084};
  for (size_t i = 0; i < TORC_ARRAY_LEN(order); i++) {
    assert_int_not_equal(opened(h, order[i]), 0);
    assert_null(nt_take(h, TORC_OUT_OPEN));
    nt_advance(h, TORC_MS(250));
  }
  assert_int_equal(torc_node_set_cached(nt_node(h), NULL, 0), 0);
  nt_free(h);
}

/* A link is made anew only where there is one. */
static void test_renew_link(void **state) {
  setup s = {.num_bootstrap = 1, .may_found = true};
  nt *h = founder(&s);
  torc_id peer = nt_id(0xc0);
  torc_id unknown = nt_id(0xc1);
  (void)state;
  nt_answer(h, NT_ANSWER_DEFAULT);
  (void)nt_join(h, 0xc0);
  nt_clear(h);
  assert_int_equal(torc_node_renew_link(nt_node(h), &unknown, nt_now(h)), TORC_ERR_NOTFOUND);
  assert_int_equal(torc_node_renew_link(nt_node(h), &peer, nt_now(h)), 0);
  nt_drain(h);
  nt_out *o = nt_take(h, TORC_OUT_OFFER_NEEDED);
  assert_non_null(o);
  assert_true(torc_id_eq(&o->peer, &peer));
  nt_free(h);
}

/* An answer to a PING of an earlier search comes late: it opens no way. */
static void test_late_answer(void **state) {
  setup s = {.num_bootstrap = 2};
  nt *h = node(&s, TORC_ROLE_CLIENT);
  (void)state;
  nt_start(h);
  nt_tick(h);
  torc_link_id slow = nt_up_token(h, 0x61, TORC_LINK_TLS, opened(h, 6084), nt_cert(h, 0x61));
  nt_out *o = pinged(h, slow, &torc_id_wildcard);
  nt_advance(h, TORC_MS(250));
  torc_link_id quick = attach(h, 6085, 0x62);
  nt_down(h, quick);
  assert_string_equal(state_of(h), "disconnected");
  pong(h, slow, 0x61, o, 200);
  assert_string_equal(state_of(h), "disconnected");
  nt_advance(h, TORC_MS(250));
  assert_int_not_equal(opened(h, 6085), 0); /* the search goes on undisturbed: one is asked again */
  pong(h, slow, 0x61, pinged(h, slow, &torc_id_wildcard), 200);
  assert_string_equal(state_of(h), "joined");
  nt_free(h);
}

/* A second link to the same peer does not make it lose its way in. */
static void test_client_relinks(void **state) {
  setup s = {.num_bootstrap = 1};
  nt *h = node(&s, TORC_ROLE_CLIENT);
  torc_id there = nt_id(0x10);
  torc_token token = 0;
  (void)state;
  nt_start(h);
  nt_tick(h);
  torc_link_id first = attach(h, 6084, 0x61);
  nt_advance(h, TORC_SEC(10));
  torc_link_id second = nt_up(h, 0x61);
  nt_down(h, first);
  assert_null(nt_take_event(h, TORC_EVENT_DISCONNECTED));
  assert_int_equal(torc_node_ping(nt_node(h), &there, 1, 0, nt_now(h), &token), 0);
  nt_drain(h);
  assert_non_null(nt_take_request(h, second, TORC_METHOD_PING));
  nt_free(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("BST-01 BST-02 BST-03 BST-04 GAP-132 cached peers, then bootstrap peers",
                test_order),
      TORC_TEST("BST-01 BST-04 no cached peer answers", test_cached_fail),
      TORC_TEST("BST-03 BST-05 BST-06 GAP-52 GAP-138 PNG-01 target of the first PING",
                test_ping_targets),
      TORC_TEST("BST-05 BST-08 GAP-69 GAP-132 a multicast group is asked last", test_group),
      TORC_TEST("GAP-68 GAP-69 many answers at a group", test_group_flood),
      TORC_TEST("BST-03 GAP-139 a hostile cached peer is no way in twice", test_bad_way_in),
      TORC_TEST("BST-08 BST-13 CHD-10 CHD-11 GAP-66 the answer names the way in",
                test_join_follows),
      TORC_TEST("BST-01 BST-07 GAP-26 GAP-59 a bootstrap peer that gives no good answer",
                test_ping_fails),
      TORC_TEST("R-51 BST-01 nobody answers: again after 1 s to 60 s", test_retries),
      TORC_TEST("BST-01 the platform says nothing", test_silence),
      TORC_TEST("BST-01 R-51 nobody is configured", test_nobody_configured),
      TORC_TEST("R-51 GAP-109 a bootstrap peer founds after three tries", test_found),
      TORC_TEST("R-51 BST-04 it reaches itself", test_found_self),
      TORC_TEST("R-51 somebody answers: no founding", test_found_not),
      TORC_TEST("R-51 two bootstrap peers start at once", test_found_yields),
      TORC_TEST("R-51 CLI-01 a client never founds", test_client_never_founds),
      TORC_TEST("R-51 GAP-124 a founder asks the others", test_founder_asks),
      TORC_TEST("R-51 GAP-124 a founder meets another ring", test_founder_meets),
      TORC_TEST("GAP-124 GAP-122 a question outlives the search", test_probe_survives),
      TORC_TEST("CHD-26 GAP-122 BST-01 cut off: bootstrap again", test_cut_off),
      TORC_TEST("CLI-01..04 CLI-06 GAP-141 BST-08 a client and its admitting peer", test_client),
      TORC_TEST("CLI-01 CLI-06 GAP-40 a client loses its admitting peer", test_client_moves),
      TORC_TEST("CLI-01 CLI-06 GAP-40 a client goes on over another link", test_client_other_link),
      TORC_TEST("BST-03 BST-09 addresses learned later", test_set_cached),
      TORC_TEST("BST-09 GAP-74 a link is made anew", test_renew_link),
      TORC_TEST("BST-01 BST-08 an answer of an earlier search", test_late_answer),
      TORC_TEST("CLI-01 R-14 a client's second link to its admitting peer", test_client_relinks),
  };
  return TORC_RUN(tests);
}
