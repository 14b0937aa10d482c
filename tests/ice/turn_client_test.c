/* The life of an allocation, in virtual time, against a server laid by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/turn_client.h"

#include "base/slice.h"
#include "ice/helper_turn.h"
#include "torc_test.h"

#define K(name_) TORC_STUN_KNOWN_##name_
#define A(name_) TORC_STUN_ATTR_##name_

static uint32_t u32_of(const torc_stun_msg *m, torc_stun_known attr) {
  uint32_t v = 0;
  assert_int_equal(torc_stun_get_u32(m, attr, &v), 0);
  return v;
}

static void test_allocate(void **state) {
  turn_bed b;
  torc_stun_msg m;
  const turn_out *out;
  (void)state;
  turn_bed_init(&b);
  b.cfg.lifetime_s = 900;
  turn_bed_new(&b);
  assert_true(torc_turn_deadline(b.t) == TORC_NEVER);
  turn_challenge(&b);
  assert_int_equal(turn_requests(&b, TORC_STUN_ALLOCATE), 2);
  m = turn_request_of(&b, TORC_STUN_ALLOCATE);
  assert_int_equal(u32_of(&m, K(REQUESTED_TRANSPORT)), 17u << 24);
  assert_int_equal(u32_of(&m, K(LIFETIME)), 900);
  assert_false(torc_stun_has(&m, K(REQUESTED_ADDRESS_FAMILY)));
  assert_false(torc_stun_has(&m, K(ADDITIONAL_ADDRESS_FAMILY)));
  assert_false(torc_stun_has(&m, K(DONT_FRAGMENT)));
  assert_true(torc_slice_eq(torc_stun_value(&m, K(USERNAME)), torc_slice_str("user")));
  assert_true(torc_slice_eq(torc_stun_value(&m, K(NONCE)), torc_slice_str(TURN_NONCE)));
  assert_int_equal(
      torc_stun_check_integrity(&m, &b.crypto.table, &b.key, TORC_STUN_INTEGRITY_SHA1, 32, NULL),
      0);
  turn_put_allocation(&b, 600);
  turn_sign(&b);
  turn_deliver(&b);
  out = turn_last(&b, TORC_TURN_OUT_ALLOCATED);
  assert_true(torc_stun_addr_eq(&out->o.relayed[0], &turn_relayed));
  assert_int_equal(out->o.relayed[1].family, 0);
  assert_int_equal(out->o.mapped.port, 40001);
  assert_true(out->o.lifetime == TORC_SEC(600) && out->o.code == 0);
  assert_true(torc_turn_deadline(b.t) == b.now + TORC_SEC(540));
  assert_int_equal(torc_turn_start(b.t, b.now), TORC_ERR_STATE);
  turn_bed_clear(&b);
}

/* 438 in the middle: once more with the new nonce. */
static void test_stale_nonce(void **state) {
  turn_bed b;
  torc_stun_msg m;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  turn_run(&b, b.now + TORC_SEC(541));
  m = turn_request_of(&b, TORC_STUN_REFRESH);
  turn_error(&b, &m, 438);
  torc_stun_put(&b.w, A(REALM), torc_slice_str(TURN_REALM));
  torc_stun_put(&b.w, A(NONCE), torc_slice_str("nonce-2"));
  turn_deliver(&b);
  m = turn_request_of(&b, TORC_STUN_REFRESH);
  assert_true(torc_slice_eq(torc_stun_value(&m, K(NONCE)), torc_slice_str("nonce-2")));
  turn_succeed(&b, TORC_STUN_REFRESH);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_FAILED), 0);
  turn_bed_clear(&b);
}

/* A server that offers SHA-256 gets it. */
static void test_sha256(void **state) {
  static const torc_stun_hash list[] = {TORC_STUN_SHA256, TORC_STUN_MD5};
  torc_stun_key key;
  torc_stun_msg m;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_bed_new(&b);
  assert_int_equal(torc_turn_start(b.t, b.now), 0);
  turn_drain(&b);
  m = turn_request_of(&b, TORC_STUN_ALLOCATE);
  turn_error(&b, &m, 401);
  torc_stun_put(&b.w, A(REALM), torc_slice_str(TURN_REALM));
  torc_stun_put(&b.w, A(NONCE), torc_slice_str("obMatJos2AAABnonce"));
  torc_stun_put_algorithms(&b.w, list, 2);
  turn_deliver(&b);
  m = turn_request_of(&b, TORC_STUN_ALLOCATE);
  assert_int_equal(torc_stun_integrity_of(&m), TORC_STUN_INTEGRITY_SHA256);
  assert_int_equal(torc_stun_key_long(&b.crypto.table, TORC_STUN_SHA256, b.cfg.user,
                                      torc_slice_str(TURN_REALM), b.cfg.password, &key),
                   0);
  turn_put_allocation(&b, 600);
  assert_int_equal(
      torc_stun_put_integrity(&b.w, &b.crypto.table, &key, TORC_STUN_INTEGRITY_SHA256, 32), 0);
  turn_deliver(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_ALLOCATED), 1);
  turn_bed_clear(&b);
}

static void test_wrong_integrity_and_source(void **state) {
  torc_addr other = turn_server;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_bed_new(&b);
  turn_challenge(&b);
  turn_put_allocation(&b, 600);
  turn_deliver(&b); /* unsigned */
  turn_put_allocation(&b, 600);
  b.key.b[0] ^= 1;
  turn_sign(&b);
  b.key.b[0] ^= 1;
  turn_deliver(&b);
  turn_put_allocation(&b, 600);
  turn_sign(&b);
  other.port++;
  assert_int_equal(torc_turn_input(b.t, &other, torc_wr_slice(&b.wr), b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_counter(&b, "drop_source"), 1);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_ALLOCATED), 0);
  turn_put_allocation(&b, 600);
  turn_sign(&b);
  turn_deliver(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_ALLOCATED), 1);
  turn_bed_clear(&b);
}

static void test_families(void **state) {
  turn_bed b;
  torc_stun_msg m;
  (void)state;
  turn_bed_init(&b);
  b.cfg.families = TORC_TURN_V6;
  turn_bed_new(&b);
  turn_challenge(&b);
  m = turn_request_of(&b, TORC_STUN_ALLOCATE);
  assert_int_equal(u32_of(&m, K(REQUESTED_ADDRESS_FAMILY)), 2u << 24);
  turn_bed_clear(&b);
  turn_bed_init(&b);
  b.cfg.families = TORC_TURN_V4 | TORC_TURN_V6;
  turn_bed_new(&b);
  turn_challenge(&b);
  m = turn_request_of(&b, TORC_STUN_ALLOCATE);
  assert_false(torc_stun_has(&m, K(REQUESTED_ADDRESS_FAMILY)));
  assert_int_equal(u32_of(&m, K(ADDITIONAL_ADDRESS_FAMILY)), 2u << 24);
  turn_put_allocation(&b, 600);
  turn_sign(&b);
  turn_deliver(&b);
  assert_true(
      torc_stun_addr_eq(&turn_last(&b, TORC_TURN_OUT_ALLOCATED)->o.relayed[0], &turn_relayed));
  assert_true(
      torc_stun_addr_eq(&turn_last(&b, TORC_TURN_OUT_ALLOCATED)->o.relayed[1], &turn_relayed6));
  turn_bed_clear(&b);
}

/* ADDRESS-ERROR-CODE: one family is better than none. */
static void test_family_missing(void **state) {
  static const uint8_t why[] = {2, 0, 4, 40, 'n', 'o'};
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  b.cfg.families = TORC_TURN_V4 | TORC_TURN_V6;
  turn_bed_new(&b);
  turn_challenge(&b);
  b.cfg.families = TORC_TURN_V4; /* what the server gives */
  turn_put_allocation(&b, 600);
  const torc_addr none = {.family = 1}; /* coturn 4.6 names the missing one 0.0.0.0, port 0 */
  torc_stun_put_xor_addr(&b.w, A(XOR_RELAYED_ADDRESS), &none);
  torc_stun_put(&b.w, A(ADDRESS_ERROR_CODE), torc_slice_of(why, sizeof why));
  turn_sign(&b);
  turn_deliver(&b);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_ALLOCATED)->o.code, 440);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_ALLOCATED)->o.relayed[1].family, 0);
  assert_int_equal(torc_turn_send(b.t, &turn_peer6, torc_slice_str("x"), b.now), TORC_ERR_INVALID);
  assert_int_equal(torc_turn_bind(b.t, &turn_peer6, b.now), TORC_ERR_INVALID);
  assert_int_equal(torc_turn_permit(b.t, &turn_peer6, 1, b.now), 0);
  assert_int_equal(turn_counter(&b, "drop_family"), 3);
  turn_bed_clear(&b);
}

/* An answer that is of no use is given back, then it has failed. */
static void test_useless_allocation(void **state) {
  (void)state;
  for (int i = 0; i < 4; i++) {
    turn_bed b;
    torc_stun_msg m;
    turn_bed_init(&b);
    turn_bed_new(&b);
    turn_challenge(&b);
    b.cfg.families = i == 0 ? TORC_TURN_V6 : i == 1 ? 0 : TORC_TURN_V4;
    turn_put_allocation(&b, i == 2 ? 0 : 600);
    if (i == 3) {
      torc_stun_put_xor_addr(&b.w, A(XOR_RELAYED_ADDRESS), &turn_relayed); /* two of a family */
    }
    turn_sign(&b);
    turn_deliver(&b);
    assert_int_equal(turn_count(&b, TORC_TURN_OUT_ALLOCATED), 0);
    m = turn_request_of(&b, TORC_STUN_REFRESH);
    assert_int_equal(u32_of(&m, K(LIFETIME)), 0);
    turn_succeed(&b, TORC_STUN_REFRESH);
    assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.rc, TORC_ERR_FORMAT);
    assert_true(torc_turn_deadline(b.t) == TORC_NEVER);
    turn_bed_clear(&b);
  }
}

static void test_refusals(void **state) {
  static const struct {
    uint16_t code;
    torc_turn_advice advice;
  } cases[] = {
      {400, TORC_TURN_ADVICE_NONE},  {401, TORC_TURN_ADVICE_LOGIN}, {403, TORC_TURN_ADVICE_NEVER},
      {420, TORC_TURN_ADVICE_NEVER}, {440, TORC_TURN_ADVICE_NEVER}, {441, TORC_TURN_ADVICE_LOGIN},
      {442, TORC_TURN_ADVICE_NEVER}, {443, TORC_TURN_ADVICE_NONE},  {486, TORC_TURN_ADVICE_LATER},
      {500, TORC_TURN_ADVICE_LATER}, {508, TORC_TURN_ADVICE_LATER}};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    const turn_out *out;
    torc_stun_msg m;
    turn_bed b;
    turn_bed_init(&b);
    turn_bed_new(&b);
    turn_challenge(&b);
    m = turn_request_of(&b, TORC_STUN_ALLOCATE);
    turn_error(&b, &m, cases[i].code);
    torc_stun_put(&b.w, A(REALM), torc_slice_str(TURN_REALM));
    torc_stun_put(&b.w, A(NONCE), torc_slice_str("nonce-2"));
    turn_sign(&b);
    turn_deliver(&b);
    out = turn_last(&b, TORC_TURN_OUT_FAILED);
    assert_int_equal(out->o.rc, TORC_ERR_REFUSED);
    assert_int_equal(out->o.code, cases[i].code);
    assert_int_equal(out->o.advice, cases[i].advice);
    assert_string_equal(out->text, "because");
    assert_true(torc_turn_deadline(b.t) == TORC_NEVER);
    assert_int_equal(torc_turn_send(b.t, &turn_peer, torc_slice_str("x"), b.now), TORC_ERR_STATE);
    turn_deliver(&b); /* after the end */
    assert_int_equal(turn_counter(&b, "drop_unexpected"), 1);
    turn_bed_clear(&b);
  }
}

/* 437: an allocation of before is given back, if it was ours; a second 437 is the end. */
static void test_mismatch(void **state) {
  (void)state;
  for (int is_ours = 0; is_ours < 2; is_ours++) {
    torc_stun_msg m;
    turn_bed b;
    turn_bed_init(&b);
    b.cfg.lifetime_s = 900;
    turn_bed_new(&b);
    turn_challenge(&b);
    turn_refuse(&b, TORC_STUN_ALLOCATE, 437);
    m = turn_request_of(&b, TORC_STUN_REFRESH);
    assert_int_equal(u32_of(&m, K(LIFETIME)), 0);
    assert_int_equal(turn_requests(&b, TORC_STUN_ALLOCATE), 2);
    if (is_ours == 0) {
      turn_refuse(&b, TORC_STUN_REFRESH, 441);
      assert_int_equal(turn_requests(&b, TORC_STUN_ALLOCATE), 3);
      turn_refuse(&b, TORC_STUN_ALLOCATE, 437);
      assert_int_equal(turn_requests(&b, TORC_STUN_REFRESH), 1);
      assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.code, 437);
      assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.advice, TORC_TURN_ADVICE_NEW_PORT);
    } else {
      turn_succeed(&b, TORC_STUN_REFRESH);
      turn_put_allocation(&b, 600);
      turn_sign(&b);
      turn_deliver(&b);
      assert_int_equal(turn_count(&b, TORC_TURN_OUT_ALLOCATED), 1);
    }
    turn_bed_clear(&b);
  }
  {
    turn_bed b;
    turn_bed_init(&b);
    turn_bed_new(&b);
    turn_challenge(&b);
    turn_refuse(&b, TORC_STUN_ALLOCATE, 437);
    torc_turn_close(b.t, b.now); /* meanwhile */
    turn_succeed(&b, TORC_STUN_REFRESH);
    assert_int_equal(turn_count(&b, TORC_TURN_OUT_CLOSED), 1);
    turn_bed_clear(&b);
  }
}

static void test_timeout(void **state) {
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_bed_new(&b);
  assert_int_equal(torc_turn_start(b.t, b.now), 0);
  turn_drain(&b);
  turn_run(&b, b.now + TORC_SEC(60));
  assert_int_equal(turn_requests(&b, TORC_STUN_ALLOCATE), 7);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.rc, TORC_ERR_TIMEOUT);
  assert_int_equal(turn_counter(&b, "timeouts"), 1);
  turn_bed_clear(&b);
}

static void test_refresh(void **state) {
  turn_bed b;
  torc_time t0;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  t0 = b.now;
  turn_run(&b, t0 + TORC_SEC(540) - 1);
  assert_int_equal(b.num_outs, 0);
  turn_tick(&b, t0 + TORC_SEC(540));
  assert_int_equal(turn_requests(&b, TORC_STUN_REFRESH), 1);
  turn_succeed(&b, TORC_STUN_REFRESH);
  assert_true(torc_turn_deadline(b.t) == t0 + TORC_SEC(1080));
  /* No answers: as long as the allocation lives, then no longer. */
  turn_run(&b, t0 + TORC_SEC(1139));
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_FAILED), 0);
  assert_true(turn_requests(&b, TORC_STUN_REFRESH) > 8);
  turn_run(&b, t0 + TORC_SEC(1200));
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.rc, TORC_ERR_TIMEOUT);
  turn_bed_clear(&b);
}

/* A short lifetime is renewed at its half; 437 says that the server forgot us. */
static void test_refresh_short_and_gone(void **state) {
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_bed_new(&b);
  turn_challenge(&b);
  turn_put_allocation(&b, 30);
  turn_sign(&b);
  turn_deliver(&b);
  assert_true(torc_turn_deadline(b.t) == b.now + TORC_SEC(15));
  turn_run(&b, b.now + TORC_SEC(15));
  turn_refuse(&b, TORC_STUN_REFRESH, 437);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.code, 437);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.advice, TORC_TURN_ADVICE_NEW_PORT);
  turn_bed_clear(&b);
}

static void test_close(void **state) {
  torc_stun_msg m;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  torc_turn_close(b.t, b.now);
  turn_drain(&b);
  m = turn_request_of(&b, TORC_STUN_REFRESH);
  assert_int_equal(u32_of(&m, K(LIFETIME)), 0);
  assert_int_equal(torc_turn_send(b.t, &turn_peer, torc_slice_str("x"), b.now), TORC_ERR_STATE);
  turn_refuse(&b, TORC_STUN_REFRESH, 437);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_CLOSED), 1);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_FAILED), 0);
  turn_bed_clear(&b);
  /* Nobody answers. */
  turn_bed_init(&b);
  turn_allocate(&b);
  torc_turn_close(b.t, b.now);
  turn_run(&b, b.now + TORC_SEC(40));
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_CLOSED), 1);
  assert_true(torc_turn_deadline(b.t) == TORC_NEVER);
  turn_bed_clear(&b);
  /* Before there is one: what the server makes is given back. */
  turn_bed_init(&b);
  turn_bed_new(&b);
  turn_challenge(&b);
  torc_turn_close(b.t, b.now);
  turn_put_allocation(&b, 600);
  turn_sign(&b);
  turn_deliver(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_ALLOCATED), 0);
  turn_succeed(&b, TORC_STUN_REFRESH);
  torc_turn_lost(b.t, b.now); /* says nothing new */
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_CLOSED), 1);
  turn_bed_clear(&b);
  /* Before anything. */
  turn_bed_init(&b);
  turn_bed_new(&b);
  torc_turn_close(b.t, b.now);
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_CLOSED), 1);
  turn_bed_clear(&b);
}

static void test_lost(void **state) {
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  torc_turn_lost(b.t, b.now);
  torc_turn_lost(b.t, b.now);
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_FAILED), 1);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.rc, TORC_ERR_CLOSED);
  turn_bed_clear(&b);
  turn_bed_init(&b);
  turn_allocate(&b);
  torc_turn_close(b.t, b.now);
  torc_turn_lost(b.t, b.now);
  torc_turn_lost(b.t, b.now);
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_CLOSED), 1);
  turn_bed_clear(&b);
}

static void answer_binding(turn_bed *b, uint16_t port) {
  torc_addr mapped = {.family = 1, .addr = {203, 0, 113, 5}, .port = port};
  torc_stun_msg m = turn_request_of(b, TORC_STUN_BINDING);
  assert_int_equal(torc_stun_integrity_of(&m), TORC_STUN_INTEGRITY_NONE);
  turn_answer(b, &m, TORC_STUN_SUCCESS);
  torc_stun_put_xor_addr(&b->w, A(XOR_MAPPED_ADDRESS), &mapped);
  turn_deliver(b);
}

/* Every 15 s the server is asked how it sees us: a NAT that has forgotten us is noticed. */
static void test_keepalive(void **state) {
  torc_time t0;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  b.cfg.keepalive = 0;
  turn_allocate(&b);
  t0 = b.now;
  turn_run(&b, t0 + TORC_SEC(15) - 1);
  assert_int_equal(b.num_outs, 0);
  turn_run(&b, t0 + TORC_SEC(15));
  assert_int_equal(turn_requests(&b, TORC_STUN_BINDING), 1);
  answer_binding(&b, 40001); /* as ever */
  turn_forget(&b);
  turn_run(&b, t0 + TORC_SEC(35)); /* one that is not answered means nothing */
  assert_true(turn_requests(&b, TORC_STUN_BINDING) >= 3);
  answer_binding(&b, 40001);
  turn_forget(&b);
  torc_turn_check(b.t, b.now); /* the network may be another */
  turn_drain(&b);
  assert_int_equal(turn_requests(&b, TORC_STUN_BINDING), 1);
  assert_int_equal(turn_counter(&b, "keepalives"), 3);
  answer_binding(&b, 40002);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.rc, TORC_ERR_CLOSED);
  torc_turn_check(b.t, b.now);
  turn_drain(&b);
  assert_true(torc_turn_deadline(b.t) == TORC_NEVER);
  turn_bed_clear(&b);
  turn_bed_init(&b);
  b.cfg.keepalive = 0;
  b.cfg.is_stream = true;
  turn_allocate(&b);
  assert_true(torc_turn_deadline(b.t) == b.now + TORC_SEC(60));
  turn_bed_clear(&b);
}

/* ---- 300 ---- */

static void redirect(turn_bed *b, const torc_addr *to, const char *domain) {
  torc_stun_msg m = turn_request_of(b, TORC_STUN_ALLOCATE);
  turn_error(b, &m, 300);
  torc_stun_put_addr(&b->w, A(ALTERNATE_SERVER), to);
  if (domain != NULL) {
    torc_stun_put(&b->w, A(ALTERNATE_DOMAIN), torc_slice_str(domain));
  }
  turn_sign(b);
  turn_deliver(b);
}

static void test_alternate(void **state) {
  torc_addr to = turn_server;
  torc_stun_msg m;
  turn_bed b;
  (void)state;
  to.addr[3] = 2;
  turn_bed_init(&b);
  turn_bed_new(&b);
  turn_challenge(&b);
  redirect(&b, &to, "turn2.example.org");
  assert_true(torc_stun_addr_eq(&turn_last(&b, TORC_TURN_OUT_MOVED)->o.addr, &to));
  assert_string_equal(turn_last(&b, TORC_TURN_OUT_MOVED)->text, "turn2.example.org");
  assert_true(torc_turn_deadline(b.t) == TORC_NEVER);
  turn_forget(&b);
  assert_int_equal(torc_turn_start(b.t, b.now), 0);
  turn_drain(&b);
  m = turn_request_of(&b, TORC_STUN_ALLOCATE);
  assert_false(torc_stun_has(&m, K(USERNAME))); /* the other server has not challenged yet */
  assert_true(torc_stun_addr_eq(&b.outs[0].o.addr, &to));
  /* An answer of the server before is none. */
  turn_put_allocation(&b, 600);
  assert_int_equal(torc_turn_input(b.t, &turn_server, torc_wr_slice(&b.wr), b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_counter(&b, "drop_source"), 1);
  turn_bed_clear(&b);
}

static void test_alternate_loop(void **state) {
  torc_addr to = turn_server;
  turn_bed b;
  (void)state;
  to.addr[3] = 2;
  turn_bed_init(&b);
  turn_bed_new(&b);
  turn_challenge(&b);
  redirect(&b, &to, NULL);
  assert_int_equal(torc_turn_start(b.t, b.now), 0);
  turn_drain(&b);
  redirect(&b, &turn_server, NULL);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.rc, TORC_ERR_LIMIT);
  turn_bed_clear(&b);
  turn_bed_init(&b);
  turn_bed_new(&b);
  assert_int_equal(torc_turn_start(b.t, b.now), 0);
  turn_drain(&b);
  for (uint32_t i = 1; i <= TORC_TURN_MOVES_MAX; i++) {
    to.addr[3] = (uint8_t)(10 + i);
    redirect(&b, &to, NULL);
    assert_int_equal(turn_count(&b, TORC_TURN_OUT_MOVED), i);
    assert_int_equal(torc_turn_start(b.t, b.now), 0);
    turn_drain(&b);
  }
  to.addr[3]++;
  redirect(&b, &to, NULL);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.rc, TORC_ERR_LIMIT);
  assert_int_equal(turn_counter(&b, "moved"), TORC_TURN_MOVES_MAX);
  turn_bed_clear(&b);
}

static void test_alternate_bad(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    torc_addr to = i == 0 ? turn_peer6 : turn_server;
    torc_stun_msg m;
    turn_bed b;
    turn_bed_init(&b);
    turn_bed_new(&b);
    turn_challenge(&b);
    to.port = i == 1 ? 0 : to.port;
    if (i < 2) {
      redirect(&b, &to, NULL);
    } else {
      m = turn_request_of(&b, TORC_STUN_ALLOCATE);
      turn_error(&b, &m, 300);
      turn_sign(&b);
      turn_deliver(&b);
    }
    assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.rc, TORC_ERR_FORMAT);
    assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.code, 300);
    turn_bed_clear(&b);
  }
}

/* 420 to DONT-FRAGMENT: without it then, in the indications too. */
static void test_dont_fragment(void **state) {
  (void)state;
  for (int is_known = 0; is_known < 2; is_known++) {
    static const uint8_t unknown[] = {0x00, 0x1a};
    torc_stun_msg m;
    turn_bed b;
    turn_bed_init(&b);
    b.cfg.forbids_fragments = true;
    turn_bed_new(&b);
    turn_challenge(&b);
    m = turn_request_of(&b, TORC_STUN_ALLOCATE);
    assert_true(torc_stun_has(&m, K(DONT_FRAGMENT)));
    if (is_known == 0) {
      turn_error(&b, &m, 420);
      torc_stun_put(&b.w, A(UNKNOWN_ATTRIBUTES), torc_slice_of(unknown, 2));
      turn_sign(&b);
      turn_deliver(&b);
      m = turn_request_of(&b, TORC_STUN_ALLOCATE);
      assert_false(torc_stun_has(&m, K(DONT_FRAGMENT)));
    }
    turn_put_allocation(&b, 600);
    turn_sign(&b);
    turn_deliver(&b);
    assert_int_equal(turn_count(&b, TORC_TURN_OUT_ALLOCATED), 1);
    assert_int_equal(torc_turn_send(b.t, &turn_peer, torc_slice_str("x"), b.now), 0);
    turn_drain(&b);
    assert_int_equal(torc_stun_decode(&m, turn_last(&b, TORC_TURN_OUT_SEND)->o.bytes), 0);
    assert_int_equal(m.method, TORC_STUN_SEND);
    assert_int_equal(torc_stun_has(&m, K(DONT_FRAGMENT)), is_known);
    turn_bed_clear(&b);
  }
}

/* ---- streams ---- */

static void stream(turn_bed *b) {
  turn_bed_init(b);
  b->cfg.is_stream = true;
  b->cfg.families = TORC_TURN_V4;
}

static const uint8_t channel_frame[] = {0x40, 0x00, 0x00, 0x05, 'h', 'e', 'l', 'l', 'o', 0, 0, 0};

/* Allocated, and channel 0x4000 is turn_peer's. */
static void stream_with_channel(turn_bed *b) {
  stream(b);
  turn_allocate(b);
  assert_int_equal(torc_turn_bind(b->t, &turn_peer, b->now), 0);
  turn_drain(b);
  turn_succeed(b, TORC_STUN_CREATE_PERMISSION);
  turn_succeed(b, TORC_STUN_CHANNEL_BIND);
  turn_forget(b);
}

static void put_data(turn_bed *b, const torc_addr *peer, const char *text) {
  turn_indicate(b, TORC_STUN_DATA);
  torc_stun_put_xor_addr(&b->w, A(XOR_PEER_ADDRESS), peer);
  torc_stun_put(&b->w, A(DATA), torc_slice_str(text));
}

static void test_stream_frames(void **state) {
  uint8_t all[256];
  size_t len = 0;
  turn_bed b;
  (void)state;
  stream_with_channel(&b);
  for (int i = 0; i < 2; i++) {
    memcpy(all + len, channel_frame, sizeof channel_frame);
    len += sizeof channel_frame;
    put_data(&b, &turn_peer, "data");
    memcpy(all + len, b.answer, b.wr.len);
    len += b.wr.len;
  }
  /* Cut into pieces of each length. */
  for (size_t piece = 1; piece <= len; piece++) {
    turn_forget(&b);
    for (size_t at = 0; at < len; at += piece) {
      size_t num = len - at < piece ? len - at : piece;
      uint8_t *copy = malloc(num);
      assert_non_null(copy);
      memcpy(copy, all + at, num);
      assert_int_equal(torc_turn_input(b.t, NULL, torc_slice_of(copy, num), b.now), 0);
      turn_drain(&b);
      free(copy); /* nothing borrows from it any more */
    }
    assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA), 4);
    assert_int_equal(b.num_outs, 4);
    for (size_t i = 0; i < 4; i++) {
      assert_true(torc_slice_eq(b.outs[i].o.bytes, torc_slice_str(i % 2 == 0 ? "hello" : "data")));
      assert_true(torc_stun_addr_eq(&b.outs[i].o.addr, &turn_peer));
    }
  }
  turn_bed_clear(&b);
}

static void test_stream_input_is_busy(void **state) {
  turn_bed b;
  torc_turn_output o;
  (void)state;
  stream_with_channel(&b);
  assert_int_equal(
      torc_turn_input(b.t, NULL, torc_slice_of(channel_frame, sizeof channel_frame), b.now), 0);
  assert_int_equal(torc_turn_input(b.t, NULL, torc_slice_of(channel_frame, 1), b.now),
                   TORC_ERR_STATE);
  assert_true(torc_turn_poll(b.t, &o));
  assert_false(torc_turn_poll(b.t, &o));
  assert_int_equal(torc_turn_input(b.t, NULL, torc_slice_of(channel_frame, 1), b.now), 0);
  turn_bed_clear(&b);
}

/* ChannelData is padded on a stream, and is not on UDP. */
static void test_stream_padding(void **state) {
  turn_bed b;
  (void)state;
  stream_with_channel(&b);
  assert_int_equal(torc_turn_send(b.t, &turn_peer, torc_slice_str("hello"), b.now), 0);
  turn_drain(&b);
  assert_true(torc_slice_eq(turn_last(&b, TORC_TURN_OUT_SEND)->o.bytes,
                            torc_slice_of(channel_frame, sizeof channel_frame)));
  turn_bed_clear(&b);
}

static void test_stream_garbage(void **state) {
  static const uint8_t garbage[][8] = {{0x50, 0, 0, 0}, {0xff}, {0x20, 0, 0, 0}};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(garbage); i++) {
    turn_bed b;
    stream_with_channel(&b);
    assert_int_equal(torc_turn_input(b.t, NULL, torc_slice_of(garbage[i], 8), b.now), 0);
    turn_drain(&b);
    assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.rc, TORC_ERR_FORMAT);
    turn_bed_clear(&b);
  }
}

/* A frame that never ends holds no more than one frame can. */
static void test_stream_endless_frame(void **state) {
  static uint8_t bytes[4096];
  turn_bed b;
  (void)state;
  stream_with_channel(&b);
  memset(bytes, 0, sizeof bytes);
  bytes[0] = 0x40;
  bytes[2] = 0xff;
  bytes[3] = 0xff;
  for (int i = 0; i < 15; i++) {
    assert_int_equal(torc_turn_input(b.t, NULL, torc_slice_of(bytes, sizeof bytes), b.now), 0);
    turn_drain(&b);
    memset(bytes, 'x', 4);
  }
  assert_int_equal(b.num_outs, 0);
  b.mem.fail_at = b.mem.num_calls + 1;
  assert_int_equal(torc_turn_input(b.t, NULL, torc_slice_of(bytes, sizeof bytes), b.now), 0);
  turn_drain(&b);
  assert_true(b.num_outs == 0 || b.outs[0].o.rc == TORC_ERR_NOMEM);
  turn_bed_clear(&b);
}

/* ---- failures of our own ---- */

static void test_config(void **state) {
  static char longer[TORC_TURN_PASSWORD_MAX + 1];
  turn_bed b;
  torc_turn *t = NULL;
  (void)state;
  memset(longer, 'p', sizeof longer);
  turn_bed_init(&b);
  b.cfg.families = 0;
  assert_int_equal(torc_turn_new(&t, &b.cfg, 0), TORC_ERR_INVALID);
  b.cfg.families = 4;
  assert_int_equal(torc_turn_new(&t, &b.cfg, 0), TORC_ERR_INVALID);
  b.cfg.families = TORC_TURN_V4;
  b.cfg.is_tcp = true;
  assert_int_equal(torc_turn_new(&t, &b.cfg, 0), TORC_ERR_INVALID);
  b.cfg.is_tcp = false;
  b.cfg.max_channels = 4097;
  assert_int_equal(torc_turn_new(&t, &b.cfg, 0), TORC_ERR_INVALID);
  b.cfg.max_channels = 0;
  b.cfg.password = torc_slice_of(longer, sizeof longer);
  assert_int_equal(torc_turn_new(&t, &b.cfg, 0), TORC_ERR_LIMIT);
  b.cfg.password = torc_slice_str("secret");
  b.cfg.user = torc_slice_str("a\nb");
  assert_int_equal(torc_turn_new(&t, &b.cfg, 0), TORC_ERR_FORMAT);
  assert_null(t);
  assert_int_equal(b.mem.num_held, 0);
}

/* A story that uses everything; what fails is told or passes, and nothing leaks. */
static void story(turn_bed *b) {
  torc_stun_msg m;
  if (torc_turn_new(&b->t, &b->cfg, b->now) != 0) {
    b->t = NULL;
    return;
  }
  if (torc_turn_start(b->t, b->now) == 0) {
    turn_drain(b);
    for (int i = 0; i < 2 && turn_requests(b, TORC_STUN_ALLOCATE) != 0; i++) {
      m = turn_request_of(b, TORC_STUN_ALLOCATE);
      if (i == 0) {
        turn_error(b, &m, 401);
        torc_stun_put(&b->w, A(REALM), torc_slice_str(TURN_REALM));
        torc_stun_put(&b->w, A(NONCE), torc_slice_str(TURN_NONCE));
      } else {
        turn_put_allocation(b, 600);
        (void)!torc_stun_put_integrity(&b->w, &b->crypto.table, &b->key, TORC_STUN_INTEGRITY_SHA1,
                                       32);
      }
      turn_deliver(b);
    }
    (void)!torc_turn_send(b->t, &turn_peer, torc_slice_str("hello"), b->now);
    turn_drain(b);
    (void)!torc_turn_bind(b->t, &turn_peer, b->now);
    turn_drain(b);
    put_data(b, &turn_peer, "part");
    (void)!torc_turn_input(b->t, &turn_server, torc_slice_of(b->answer, 7), b->now);
    turn_drain(b);
    turn_run(b, b->now + TORC_SEC(700));
    torc_turn_close(b->t, b->now);
    turn_run(b, b->now + TORC_SEC(50));
  }
  torc_turn_free(b->t);
}

static void test_no_memory(void **state) {
  size_t num = 0;
  (void)state;
  for (size_t i = 0; i <= num; i++) {
    turn_bed b;
    stream(&b);
    b.mem.fail_at = i;
    story(&b);
    num = i == 0 ? b.mem.num_calls : num;
    assert_int_equal(b.mem.num_held, 0);
  }
  assert_true(num >= 8);
}

static void test_no_crypto(void **state) {
  bool has_failed = true;
  (void)state;
  for (int i = 1; has_failed; i++) {
    turn_bed b;
    turn_bed_init(&b);
    b.crypto.fail_next = i;
    story(&b);
    has_failed = b.crypto.fail_next <= 0;
    assert_int_equal(b.mem.num_held, 0);
    assert_true(i < 200);
    assert_true(has_failed || i > 10);
  }
}

/* Every answer of the server cut at each length and with each bit flipped: no allocation comes of
 * it but of the right one. */
static void test_cut_and_flipped(void **state) {
  uint8_t right[512];
  size_t len;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_bed_new(&b);
  turn_challenge(&b);
  turn_put_allocation(&b, 600);
  turn_sign(&b);
  len = b.wr.len;
  memcpy(right, b.answer, len);
  for (size_t i = 0; i < len; i++) {
    assert_int_equal(torc_turn_input(b.t, &turn_server, torc_slice_of(right, i), b.now), 0);
    turn_drain(&b);
  }
  for (size_t i = 0; i < len * 8; i++) {
    memcpy(b.answer, right, len);
    b.answer[i / 8] ^= (uint8_t)(1u << i % 8);
    assert_int_equal(torc_turn_input(b.t, &turn_server, torc_slice_of(b.answer, len), b.now), 0);
    turn_drain(&b);
  }
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_ALLOCATED), 0);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_FAILED), 0);
  assert_int_equal(torc_turn_input(b.t, &turn_server, torc_slice_of(right, len), b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_ALLOCATED), 1);
  turn_bed_clear(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-18 GAP-79 an allocation with long-term credentials", test_allocate),
      TORC_TEST("ICE-18 a nonce gets stale", test_stale_nonce),
      TORC_TEST("ICE-18 SHA-256 where the server offers it", test_sha256),
      TORC_TEST("ICE-18 answers with wrong integrity or from elsewhere",
                test_wrong_integrity_and_source),
      TORC_TEST("ICE-18 both families", test_families),
      TORC_TEST("ICE-18 one of two families is missing", test_family_missing),
      TORC_TEST("ICE-18 an allocation of no use is given back", test_useless_allocation),
      TORC_TEST("ICE-18 refusals say what to do", test_refusals),
      TORC_TEST("ICE-18 an allocation of before is in the way", test_mismatch),
      TORC_TEST("ICE-18 no answer", test_timeout),
      TORC_TEST("ICE-18 refresh in time", test_refresh),
      TORC_TEST("ICE-18 short lifetime; the server has forgotten us", test_refresh_short_and_gone),
      TORC_TEST("ICE-18 close", test_close),
      TORC_TEST("ICE-18 the connection is lost", test_lost),
      TORC_TEST("ICE-18 GAP-77 the path to the server is kept alive", test_keepalive),
      TORC_TEST("ICE-18 alternate server", test_alternate),
      TORC_TEST("ICE-18 alternate servers in a circle and without end", test_alternate_loop),
      TORC_TEST("ICE-18 alternate servers that cannot be", test_alternate_bad),
      TORC_TEST("ICE-18 DONT-FRAGMENT", test_dont_fragment),
      TORC_TEST("ICE-18 frames of a stream cut anywhere", test_stream_frames),
      TORC_TEST("ICE-18 input before the last one was polled", test_stream_input_is_busy),
      TORC_TEST("ICE-18 padding of ChannelData", test_stream_padding),
      TORC_TEST("ICE-18 a stream that is no TURN", test_stream_garbage),
      TORC_TEST("ICE-18 a frame that never ends", test_stream_endless_frame),
      TORC_TEST("ICE-18 configurations that cannot be", test_config),
      TORC_TEST("ICE-18 each allocation fails", test_no_memory),
      TORC_TEST("ICE-18 each call of the crypto library fails", test_no_crypto),
      TORC_TEST("ICE-18 answers cut and flipped", test_cut_and_flipped),
  };
  return TORC_RUN(tests);
}
