/* Own requests: retransmission, the match of answers, what answers mean.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"

#define A 0x20 /* a client link */
#define C 0xc0 /* a member of the ring: what lies in (0x80.., c0..] is its own */

typedef struct scene {
  nt *h;
  torc_link_id a, c;
  torc_id there;
} scene;

static scene scene_new(const nt_options *o) {
  scene s = {.h = nt_ring(o), .there = nt_id(0xb0)};
  s.c = nt_join(s.h, C);
  s.a = nt_up(s.h, A);
  nt_clear(s.h);
  return s;
}

/* Starts a PING of the node to an id in C's range and gives the request. */
static nt_out *start(scene *s, torc_token *token) {
  assert_int_equal(torc_node_ping(nt_node(s->h), &s->there, 1, 0, nt_now(s->h), token), 0);
  nt_drain(s->h);
  nt_out *o = nt_take_request(s->h, s->c, TORC_METHOD_PING);
  assert_non_null(o);
  return o;
}

static const torc_done *done(scene *s, torc_token token) {
  nt_out *o = nt_take_done(s->h, token);
  return o == NULL ? NULL : &o->event.done;
}

/* ---- retransmission ---- */

static void t1_100(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->t1 = TORC_MS(100);
}

static void test_times(void **state) {
  /* RFC 3261 17.1.2.1 with T1 = 500 ms, in tenths of a second */
  static const unsigned times[] = {0, 5, 15, 35, 75, 115, 155, 195, 235, 275, 315};
  static const nt_options quick = {.tweak = t1_100};
  static const struct {
    const nt_options *options;
    torc_time t1;
  } cases[] = {{NULL, TORC_MS(500)}, {&quick, TORC_MS(100)}};
  (void)state;
  for (size_t k = 0; k < TORC_ARRAY_LEN(cases); k++) {
    scene s = scene_new(cases[k].options);
    torc_token token = 0;
    torc_time begin = nt_now(s.h);
    nt_out *first = start(&s, &token);
    assert_true(first->at == begin);
    nt_advance(s.h, 64 * cases[k].t1 - 1);
    assert_null(done(&s, token));
    for (size_t i = 1; i < TORC_ARRAY_LEN(times); i++) {
      nt_out *o = nt_take_xid(s.h, first->hdr.xid);
      assert_non_null(o);
      assert_true(o->at == begin + times[i] * (cases[k].t1 / 5));
      assert_int_equal(o->bytes.len, first->bytes.len); /* the same octets, signature included */
      assert_memory_equal(o->bytes.p, first->bytes.p, first->bytes.len);
    }
    assert_null(nt_take_xid(s.h, first->hdr.xid)); /* eleven at most */
    nt_advance(s.h, 1);
    const torc_done *d = done(&s, token);
    assert_non_null(d);
    assert_int_equal(d->rc, TORC_ERR_TIMEOUT);
    assert_int_equal(d->code, 408);
    assert_true(d->elapsed == 64 * cases[k].t1);
    assert_int_equal(nt_counter(s.h, "retransmissions"), 10);
    assert_int_equal(nt_counter(s.h, "timeouts"), 1);
    nt_free(s.h);
  }
}

/* The signature takes its time: the first transmission waits for it, the end does not. */
static void test_late_signature(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  (void)state;
  nt_hold_jobs(s.h, true);
  assert_int_equal(torc_node_ping(nt_node(s.h), &s.there, 1, 0, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_advance(s.h, TORC_SEC(2));
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_PING));
  nt_run_job(s.h, TORC_JOB_SIGN, 0);
  assert_non_null(nt_take_request(s.h, s.c, TORC_METHOD_PING));
  nt_advance(s.h, TORC_SEC(30));
  assert_int_equal(done(&s, token)->rc, TORC_ERR_TIMEOUT);
  nt_hold_jobs(s.h, false);
  nt_free(s.h);
}

/* It comes when nobody waits for it any more. */
static void test_signature_after_end(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  (void)state;
  nt_hold_jobs(s.h, true);
  assert_int_equal(torc_node_ping(nt_node(s.h), &s.there, 1, 0, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_advance(s.h, TORC_SEC(33));
  assert_int_equal(done(&s, token)->rc, TORC_ERR_TIMEOUT);
  nt_hold_jobs(s.h, false);
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_PING));
  nt_free(s.h);
}

static void test_signature_fails(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  (void)state;
  nt_job_result(s.h, TORC_JOB_SIGN, TORC_ERR_CRYPTO);
  assert_int_equal(torc_node_ping(nt_node(s.h), &s.there, 1, 0, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_tick(s.h);
  assert_int_equal(done(&s, token)->rc, TORC_ERR_CRYPTO);
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_PING));
  nt_free(s.h);
}

/* No random, no transaction: there is no fallback. */
static void test_random_fails(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  (void)state;
  nt_fail_random(s.h, true);
  assert_int_equal(torc_node_ping(nt_node(s.h), &s.there, 1, 0, nt_now(s.h), &token),
                   TORC_ERR_CRYPTO);
  nt_fail_random(s.h, false);
  nt_free(s.h);
}

/* Transaction ids do not repeat and are not counted up. */
static void test_xids(void **state) {
  scene s = scene_new(NULL);
  uint64_t seen[32];
  (void)state;
  for (size_t i = 0; i < 32; i++) {
    torc_token token = 0;
    seen[i] = start(&s, &token)->hdr.xid;
    for (size_t k = 0; k < i; k++) {
      assert_true(seen[k] != seen[i] && seen[k] + 1 != seen[i]);
    }
  }
  nt_free(s.h);
}

/* The ring shrinks to this node while a request is on its way: the retransmission is answered here.
 */
static void test_retransmission_ends_here(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  torc_id self = nt_self(s.h);
  const torc_done *d = NULL;
  (void)state;
  (void)start(&s, &token);
  nt_down(s.h, s.c);
  nt_advance(s.h, TORC_SEC(31));
  d = done(&s, token);
  assert_non_null(d);
  assert_int_equal(d->rc, 0);
  assert_int_equal(d->code, 200);
  assert_true(torc_id_eq(&d->responder, &self));
  nt_free(s.h);
}

/* What is too long for the overlay is not sent, and the caller need not wait. */
static void test_too_long(void **state) {
  static uint8_t value[60000];
  scene s = scene_new(NULL);
  torc_id resource = s.there;
  torc_token token = 0;
  torc_store_item items[3];
  (void)state;
  memset(value, 'x', sizeof value);
  for (size_t i = 0; i < 3; i++) {
    items[i] = (torc_store_item){.type = NT_TYPE_LIST,
                                 .index = (int32_t)i,
                                 .value = torc_slice_of(value, 43500),
                                 .lifetime_s = 60};
  }
  assert_int_equal(torc_node_store(nt_node(s.h), &resource, items, 3, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_tick(s.h);
  const torc_done *d = done(&s, token);
  assert_non_null(d);
  assert_int_equal(d->rc, TORC_ERR_LIMIT);
  nt_free(s.h);
}

/* ---- answers ---- */

static void test_answer(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_out *o = start(&s, &token);
  nt_advance(s.h, TORC_MS(700));
  nt_response(s.h, &m, 0xb0, o, 200, nt_pong_payload(s.h, 0x1122334455667788u));
  nt_input(s.h, s.c, &m);
  const torc_done *d = done(&s, token);
  assert_non_null(d);
  assert_int_equal(d->rc, 0);
  assert_int_equal(d->code, 200);
  assert_true(d->response_id == 0x1122334455667788u);
  assert_true(torc_id_eq(&d->responder, &s.there)); /* PING's answer tells who answered */
  assert_true(d->elapsed == TORC_MS(700));
  nt_clear(s.h);
  nt_input(s.h, s.c, &m); /* once more: nobody waits for it */
  assert_int_equal(nt_counter(s.h, "drop_no_transaction"), 1);
  nt_advance(s.h, TORC_SEC(40));
  assert_null(nt_take_xid(s.h, o->hdr.xid)); /* no more retransmissions */
  assert_null(done(&s, token));
  nt_free(s.h);
}

typedef struct answer_case {
  void (*spoil)(nt *h, nt_msg *m);
  bool is_good;
} answer_case;

static void good(nt *h, nt_msg *m) {
  (void)h;
  (void)m;
}
static void forged(nt *h, nt_msg *m) {
  (void)h;
  m->is_forged = true;
}
static void not_signed(nt *h, nt_msg *m) {
  (void)h;
  m->signer = NULL;
}
static void expired(nt *h, nt_msg *m) {
  torc_id id = nt_id(0xb0);
  m->signer = nt_cert_make(h, "late@example.org", &id, 1, 1, NT_WALL - 1);
}
static void too_early(nt *h, nt_msg *m) {
  torc_id id = nt_id(0xb0);
  m->signer = nt_cert_make(h, "early@example.org", &id, 1, NT_WALL + 1000, UINT32_MAX);
}
static void other_authority(nt *h, nt_msg *m) {
  torc_id id = nt_id(0xb0);
  torc_cert *c = nt_cert_make(h, "x@example.org", &id, 1, 1, UINT32_MAX);
  ((uint8_t *)(uintptr_t)c->der.p)[0] = 'X';
  m->signer = c;
}
static void rsa_sha1(nt *h, nt_msg *m) {
  (void)h;
  m->algorithm = TORC_SIGALG_RSA_SHA1;
}
static void by_unknown_peer(nt *h, nt_msg *m) {
  (void)h;
  m->identity = TORC_IDENTITY_PEER;
}
static void by_unknown_name(nt *h, nt_msg *m) {
  (void)h;
  m->identity = TORC_IDENTITY_NAME;
}
static void any_signer(nt *h,
                       nt_msg *m) { /* [GAP-57] any member's answer counts; who it was is told */
  m->signer = nt_cert(h, 0x33);
}
static void reserved_flags(nt *h, nt_msg *m) {
  (void)h;
  m->hdr.flags = 0xfffe;
  m->hdr.routing = 0x77;
}

static answer_case answers[] = {
    {good, true},
    {forged, false},
    {not_signed, false},
    {expired, false},
    {too_early, false},
    {rsa_sha1, false},
    {by_unknown_peer, false},
    {by_unknown_name, false},
    {any_signer, true},
    {other_authority, false},
    {reserved_flags, true},
};

/* A bad answer is counted and the right one may still come; if it does not, the caller learns that
 * one was bad. */
static void test_answer_checks(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(answers); i++) {
    for (unsigned later = 0; later < 2; later++) {
      scene s = scene_new(NULL);
      torc_token token = 0;
      nt_msg m;
      nt_out *o = start(&s, &token);
      nt_response(s.h, &m, 0xb0, o, 200, nt_pong_payload(s.h, 1));
      answers[i].spoil(s.h, &m);
      nt_input(s.h, s.c, &m);
      const torc_done *d = done(&s, token);
      if (answers[i].is_good) {
        assert_non_null(d);
        assert_int_equal(d->rc, 0);
        assert_true(torc_id_eq(&d->responder, &m.signer->peers[0]));
      } else {
        assert_null(d);
        assert_int_equal(nt_counter(s.h, "drop_response_bad"), 1);
        assert_null(nt_take_event(s.h, TORC_EVENT_DONE));
        if (later != 0) {
          nt_response(s.h, &m, 0xb0, o, 200, nt_pong_payload(s.h, 2));
          nt_input(s.h, s.c, &m);
          d = done(&s, token);
          assert_non_null(d);
          assert_int_equal(d->rc, 0);
          assert_true(d->response_id == 2);
        } else {
          nt_advance(s.h, TORC_SEC(32));
          d = done(&s, token);
          assert_non_null(d);
          assert_int_equal(d->rc, TORC_ERR_CRYPTO);
        }
      }
      nt_free(s.h);
    }
  }
}

/* Answers while their signature is being checked: two at once, and the end of the transaction in
 * between. */
static void test_answer_while_checking(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_out *o = start(&s, &token);
  nt_hold_jobs(s.h, true);
  for (unsigned i = 0; i < 2; i++) {
    nt_response(s.h, &m, 0xb0, o, 200, nt_pong_payload(s.h, i));
    nt_input(s.h, s.c, &m);
  }
  assert_int_equal(nt_num_jobs(s.h, TORC_JOB_CERTIFICATE), 2);
  nt_hold_jobs(s.h, false);
  assert_int_equal(done(&s, token)->rc, 0);
  assert_null(done(&s, token));
  assert_int_equal(nt_counter(s.h, "drop_no_transaction"), 1);
  o = start(&s, &token);
  nt_hold_jobs(s.h, true);
  nt_response(s.h, &m, 0xb0, o, 200, nt_pong_payload(s.h, 3));
  nt_input(s.h, s.c, &m);
  nt_advance(s.h, TORC_SEC(32));
  assert_int_equal(done(&s, token)->rc, TORC_ERR_TIMEOUT);
  nt_hold_jobs(s.h, false);
  assert_null(done(&s, token));
  nt_free(s.h);
}

typedef struct code_case {
  uint16_t code;
  const char *phrase; /* NULL: empty payload */
} code_case;

static void test_error_answers(void **state) {
  static const code_case cases[] = {
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "whatever"},
      {408, "Request Timeout"},
      {412, "Precondition Failed"},
      {413, ""},
      {498, "Incompatible with Overlay"},
      {499, "UnWilling To Proxy"},
      {503, NULL},
      {404, NULL},
      {302, NULL},
      {499, NULL},
      {599, "unheard of"},
  };
  scene s = scene_new(NULL);
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_token token = 0;
    uint8_t buf[128];
    torc_slice payload = {NULL, 0};
    torc_wr wr;
    nt_msg m;
    nt_out *o = start(&s, &token);
    torc_wr_init(&wr, buf, sizeof buf);
    if (cases[i].phrase != NULL) {
      torc_error_response e = {.reason_phrase = torc_slice_str(cases[i].phrase)};
      assert_int_equal(torc_error_response_put(&wr, &e), 0);
      payload = torc_wr_slice(&wr);
    }
    nt_response(s.h, &m, 0xb0, o, cases[i].code, payload);
    nt_input(s.h, s.c, &m);
    const torc_done *d = done(&s, token);
    assert_non_null(d);
    assert_int_equal(d->rc, TORC_ERR_REFUSED);
    assert_int_equal(d->code, cases[i].code);
    assert_true(
        torc_slice_eq(d->phrase, torc_slice_str(cases[i].phrase == NULL ? "" : cases[i].phrase)));
  }
  nt_free(s.h);
}

/* A 200 that does not have the method's form. */
static void test_malformed_answer(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_out *o = start(&s, &token);
  nt_response(s.h, &m, 0xb0, o, 200, torc_slice_str("short"));
  nt_input(s.h, s.c, &m);
  const torc_done *d = done(&s, token);
  assert_non_null(d);
  assert_true(d->rc != 0 && d->rc != TORC_ERR_REFUSED);
  nt_free(s.h);
}

/* 498 of another overlay: signed over that one, so only the transaction and the link tell.
 */
static void test_foreign_498(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_out *o = start(&s, &token);
  nt_response(s.h, &m, C, o, 498, torc_slice_of(NULL, 0));
  m.hdr.overlay = 0x12345678;
  torc_id via = nt_id(0xb0);
  nt_via(&m, &via);
  nt_input(s.h, s.c, &m); /* not from the other end of the link */
  assert_null(done(&s, token));
  m.num_via = 0;
  m.code = 404; /* no other code is believed */
  nt_input(s.h, s.c, &m);
  assert_null(done(&s, token));
  m.code = 498;
  m.hdr.xid ^= 1;
  nt_input(s.h, s.c, &m);
  assert_null(done(&s, token));
  m.hdr.xid ^= 1;
  nt_input(s.h, s.c, &m);
  const torc_done *d = done(&s, token);
  assert_non_null(d);
  assert_int_equal(d->rc, TORC_ERR_REFUSED);
  assert_int_equal(d->code, 498);
  assert_int_equal(nt_counter(s.h, "drop_overlay"), 4);
  nt_free(s.h);
}

/* Nobody who was never asked ends an own request with a 498. */
static void test_foreign_498_of_stranger(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_out *o = start(&s, &token);
  nt_response(s.h, &m, A, o, 498, torc_slice_of(NULL, 0));
  m.hdr.overlay = 0x12345678;
  nt_input(s.h, s.a, &m);
  assert_null(done(&s, token));
  nt_free(s.h);
}

/* Answers with a request's bit, requests with an answer's. */
static void test_direction(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_out *o = start(&s, &token);
  nt_response(s.h, &m, C, o, 200, nt_pong_payload(s.h, 1));
  m.is_response = false; /* method 200: there is none */
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 405);
  assert_null(done(&s, token));
  nt_free(s.h);
}

/* ---- limits ---- */

static void test_calls_need_the_ring(void **state) {
  nt *h = nt_new(NULL);
  torc_id id = nt_id(0x10);
  torc_token token = 0;
  uint32_t type = NT_TYPE_LINE;
  torc_fetch_item fetch = {.type = type};
  torc_store_item store = {.type = type, .value = torc_slice_str("x"), .lifetime_s = 10};
  (void)state;
  assert_int_equal(torc_node_ping(nt_node(h), &id, 1, 0, nt_now(h), &token), TORC_ERR_STATE);
  assert_int_equal(torc_node_connect(nt_node(h), &id, 1, nt_now(h), &token), TORC_ERR_STATE);
  assert_int_equal(torc_node_find(nt_node(h), &id, &type, 1, nt_now(h), &token), TORC_ERR_STATE);
  assert_int_equal(torc_node_fetch(nt_node(h), &id, &fetch, 1, nt_now(h), &token), TORC_ERR_STATE);
  assert_int_equal(torc_node_remove(nt_node(h), &id, &fetch, 1, nt_now(h), &token), TORC_ERR_STATE);
  assert_int_equal(torc_node_store(nt_node(h), &id, &store, 1, nt_now(h), &token), TORC_ERR_STATE);
  assert_int_equal(torc_node_tunnel(nt_node(h), &id, 1, 1, torc_slice_str(""), torc_slice_str(""),
                                    nt_now(h), &token),
                   TORC_ERR_STATE);
  nt_free(h);
}

/* Everything under way ends with the node: nothing is called, read or leaked afterwards. */
static void test_free_under_way(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  torc_id resource = nt_resource(NT_SELF);
  uint32_t type = NT_TYPE_LINE;
  torc_fetch_item fetch = {.type = type};
  torc_store_item store = {.type = type, .value = torc_slice_str("x"), .lifetime_s = 10};
  nt_msg m;
  (void)state;
  (void)start(&s, &token);
  nt_hold_jobs(s.h, true);
  assert_int_equal(torc_node_ping(nt_node(s.h), &s.there, 1, 0, nt_now(s.h), &token), 0);
  assert_int_equal(torc_node_store(nt_node(s.h), &resource, &store, 1, nt_now(s.h), &token), 0);
  assert_int_equal(torc_node_fetch(nt_node(s.h), &resource, &fetch, 1, nt_now(s.h), &token), 0);
  assert_int_equal(torc_node_connect(nt_node(s.h), &s.there, 1, nt_now(s.h), &token), 0);
  torc_id self = nt_self(s.h);
  for (uint8_t i = 0x31; i < 0x41; i++) {
    torc_id via = nt_id(i);
    nt_request(s.h, &m, i, TORC_METHOD_PING, nt_ping_payload(s.h));
    nt_via(&m, &via);
    nt_route(&m, &self);
    nt_input(s.h, s.a, &m);
  }
  nt_drain(s.h);
  nt_free(s.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("RTX-01 RTX-02 RTX-03 GAP-62 GAP-64 ERR-07 sends at 0, 0.5, 1.5, 3.5, 7.5 ... 31.5 "
                "s, the end at 32 s",
                test_times),
      TORC_TEST("RTX-02 D-41 the first transmission waits for the signature", test_late_signature),
      TORC_TEST("D-41 a signature that comes after the end", test_signature_after_end),
      TORC_TEST("SIG-09 D-41 a request that cannot be signed is not sent", test_signature_fails),
      TORC_TEST("GAP-17 without random bytes there is no transaction", test_random_fails),
      TORC_TEST("HDR-16 GAP-17 transaction ids", test_xids),
      TORC_TEST("RTX-01 CHD-04 a retransmission that ends where it began",
                test_retransmission_ends_here),
      TORC_TEST("GAP-42 an own request that is too long", test_too_long),
      TORC_TEST(
          "HDR-17 ERR-01 ERR-02 MSG-03 GAP-23 GAP-66 PNG-08 BST-08 an answer ends the transaction",
          test_answer),
      TORC_TEST("SIG-09 GAP-53 GAP-57 GAP-51 D-10 which answers count", test_answer_checks),
      TORC_TEST("D-41 GAP-23 answers whose signature is still being checked",
                test_answer_while_checking),
      TORC_TEST("ERR-01 ERR-03..11 GAP-59 GAP-60 GAP-64 R-40 error answers", test_error_answers),
      TORC_TEST("MSG-04 GAP-09 a 200 without the method's form", test_malformed_answer),
      TORC_TEST("R-12 GAP-15 a 498 of another overlay", test_foreign_498),
      TORC_TEST("R-12 a 498 from a peer that was not asked", test_foreign_498_of_stranger),
      TORC_TEST("MSG-02 MSG-03 GAP-21 the R/r bit decides", test_direction),
      TORC_TEST("BST-02 calls before there is a ring", test_calls_need_the_ring),
      TORC_TEST("D-40 D-41 the node ends with everything under way", test_free_under_way),
  };
  return TORC_RUN(tests);
}
