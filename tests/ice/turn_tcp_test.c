/* Relayed TCP (RFC 6062) in virtual time, against a server laid by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "ice/helper_turn.h"
#include "torc_test.h"

#define K(name_) TORC_STUN_KNOWN_##name_
#define A(name_) TORC_STUN_ATTR_##name_

static void set_up(turn_bed *b) {
  turn_bed_init(b);
  b->cfg.is_stream = true;
  b->cfg.is_tcp = true;
}

static torc_turn_conn connect_to(turn_bed *b, const torc_addr *peer) {
  torc_turn_conn conn = 0;
  assert_int_equal(torc_turn_connect(b->t, peer, b->now, &conn), 0);
  turn_drain(b);
  return conn;
}

static void answer_connect(turn_bed *b, uint32_t number) {
  torc_stun_msg m = turn_request_of(b, TORC_STUN_CONNECT);
  turn_answer(b, &m, TORC_STUN_SUCCESS);
  torc_stun_put_u32(&b->w, A(CONNECTION_ID), number);
  turn_sign(b);
  turn_deliver(b);
}

static void put_bound(turn_bed *b) {
  torc_stun_msg m = turn_request_of(b, TORC_STUN_CONNECTION_BIND);
  turn_answer(b, &m, TORC_STUN_SUCCESS);
  turn_sign(b);
}

static void attempt(turn_bed *b, const torc_addr *peer, uint32_t number) {
  turn_indicate(b, TORC_STUN_CONNECTION_ATTEMPT);
  torc_stun_put_xor_addr(&b->w, A(XOR_PEER_ADDRESS), peer);
  torc_stun_put_u32(&b->w, A(CONNECTION_ID), number);
  turn_deliver(b);
}

static void permitted(turn_bed *b) {
  set_up(b);
  turn_allocate(b);
  assert_int_equal(torc_turn_permit(b->t, &turn_peer, 1, b->now), 0);
  turn_drain(b);
  turn_succeed(b, TORC_STUN_CREATE_PERMISSION);
  turn_forget(b);
}

static void test_allocate(void **state) {
  torc_stun_msg m;
  uint32_t transport = 0;
  turn_bed b;
  (void)state;
  set_up(&b);
  b.cfg.forbids_fragments = true; /* means nothing here */
  turn_bed_new(&b);
  turn_challenge(&b);
  m = turn_request_of(&b, TORC_STUN_ALLOCATE);
  assert_int_equal(torc_stun_get_u32(&m, K(REQUESTED_TRANSPORT), &transport), 0);
  assert_int_equal(transport, 6u << 24);
  assert_false(torc_stun_has(&m, K(DONT_FRAGMENT)));
  turn_bed_clear(&b);
}

static void test_connect(void **state) {
  torc_turn_conn conn;
  torc_stun_msg m;
  torc_addr a;
  uint32_t number = 0;
  size_t used = 0;
  turn_bed b;
  (void)state;
  set_up(&b);
  turn_allocate(&b);
  conn = connect_to(&b, &turn_peer);
  m = turn_request_of(&b, TORC_STUN_CONNECT);
  assert_int_equal(torc_stun_get_addr(&m, K(XOR_PEER_ADDRESS), &a), 0);
  assert_true(torc_stun_addr_eq(&a, &turn_peer));
  assert_int_equal(torc_turn_data_opened(b.t, conn, b.now), TORC_ERR_NOTFOUND); /* too early */
  answer_connect(&b, 0x01020304);
  assert_true(turn_last(&b, TORC_TURN_OUT_OPEN_DATA)->o.conn == conn);
  assert_false(turn_last(&b, TORC_TURN_OUT_OPEN_DATA)->o.is_incoming);
  assert_int_equal(torc_turn_data_opened(b.t, conn, b.now), 0);
  turn_drain(&b);
  assert_true(turn_last(&b, TORC_TURN_OUT_SEND_DATA)->o.conn == conn);
  m = turn_request_of(&b, TORC_STUN_CONNECTION_BIND);
  assert_int_equal(torc_stun_get_u32(&m, K(CONNECTION_ID), &number), 0);
  assert_int_equal(number, 0x01020304);
  assert_int_equal(
      torc_stun_check_integrity(&m, &b.crypto.table, &b.key, TORC_STUN_INTEGRITY_SHA1, 32, NULL),
      0);
  put_bound(&b);
  torc_wr_bytes(&b.wr, torc_slice_str("the peer's"));
  for (size_t i = 0; i < b.wr.len && turn_count(&b, TORC_TURN_OUT_DATA_UP) == 0; i += used) {
    size_t num = b.wr.len - i < 7 ? b.wr.len - i : 7;
    assert_int_equal(
        torc_turn_data_input(b.t, conn, torc_slice_of(b.answer + i, num), &used, b.now), 0);
    turn_drain(&b);
    if (turn_count(&b, TORC_TURN_OUT_DATA_UP) != 0) {
      assert_memory_equal(b.answer + i + used, "the peer's", 10);
    } else {
      assert_int_equal(used, num);
    }
  }
  assert_true(torc_stun_addr_eq(&turn_last(&b, TORC_TURN_OUT_DATA_UP)->o.addr, &turn_peer));
  assert_int_equal(torc_turn_data_input(b.t, conn, torc_slice_of("x", 1), &used, b.now),
                   TORC_ERR_NOTFOUND); /* it is the caller's */
  assert_int_equal(turn_counter(&b, "conns_opened"), 1);
  assert_int_equal(torc_turn_send(b.t, &turn_peer, torc_slice_str("x"), b.now), TORC_ERR_STATE);
  assert_int_equal(torc_turn_bind(b.t, &turn_peer, b.now), TORC_ERR_STATE);
  turn_bed_clear(&b);
}

/* A nonce that got stale meanwhile: ConnectionBind once more on the same connection. */
static void test_bind_again(void **state) {
  torc_turn_conn conn;
  torc_stun_msg m;
  size_t used = 0;
  turn_bed b;
  (void)state;
  set_up(&b);
  turn_allocate(&b);
  conn = connect_to(&b, &turn_peer);
  answer_connect(&b, 9);
  assert_int_equal(torc_turn_data_opened(b.t, conn, b.now), 0);
  turn_drain(&b);
  m = turn_request_of(&b, TORC_STUN_CONNECTION_BIND);
  turn_error(&b, &m, 438);
  torc_stun_put(&b.w, A(REALM), torc_slice_str(TURN_REALM));
  torc_stun_put(&b.w, A(NONCE), torc_slice_str("nonce-2"));
  assert_int_equal(torc_turn_data_input(b.t, conn, torc_wr_slice(&b.wr), &used, b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_requests(&b, TORC_STUN_CONNECTION_BIND), 2);
  put_bound(&b);
  assert_int_equal(torc_turn_data_input(b.t, conn, torc_wr_slice(&b.wr), &used, b.now), 0);
  assert_int_equal(used, b.wr.len);
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA_UP), 1);
  turn_bed_clear(&b);
}

static void test_refused(void **state) {
  static const uint16_t codes[] = {403, 446, 447};
  torc_turn_conn conn;
  turn_bed b;
  (void)state;
  set_up(&b);
  turn_allocate(&b);
  for (size_t i = 0; i < TORC_ARRAY_LEN(codes); i++) {
    conn = connect_to(&b, &turn_peer);
    turn_refuse(&b, TORC_STUN_CONNECT, codes[i]);
    assert_true(turn_last(&b, TORC_TURN_OUT_DATA_DOWN)->o.conn == conn);
    assert_int_equal(turn_last(&b, TORC_TURN_OUT_DATA_DOWN)->o.code, codes[i]);
    assert_int_equal(torc_turn_data_opened(b.t, conn, b.now), TORC_ERR_NOTFOUND);
  }
  conn = connect_to(&b, &turn_peer);
  turn_succeed(&b, TORC_STUN_CONNECT); /* without CONNECTION-ID */
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_DATA_DOWN)->o.rc, TORC_ERR_FORMAT);
  conn = connect_to(&b, &turn_peer);
  turn_run(&b, b.now + TORC_SEC(40));
  assert_true(turn_last(&b, TORC_TURN_OUT_DATA_DOWN)->o.conn == conn);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_DATA_DOWN)->o.rc, TORC_ERR_TIMEOUT);
  assert_int_equal(turn_counter(&b, "conns_refused"), 5);
  conn = connect_to(&b, &turn_peer);
  turn_refuse(&b, TORC_STUN_CONNECT, 437);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.code, 437);
  assert_int_equal(torc_turn_connect(b.t, &turn_peer, b.now, &conn), TORC_ERR_STATE);
  turn_bed_clear(&b);
}

/* The data connection does not come up, or brings something else. */
static void test_data_connection_fails(void **state) {
  static const uint8_t garbage[] = "HTTP/1.1 400 Bad Request\r\n";
  torc_turn_conn conn;
  size_t used = 0;
  turn_bed b;
  (void)state;
  set_up(&b);
  turn_allocate(&b);
  conn = connect_to(&b, &turn_peer);
  answer_connect(&b, 1);
  turn_run(&b, b.now + TORC_SEC(30)); /* nobody opened it */
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_DATA_DOWN)->o.rc, TORC_ERR_TIMEOUT);
  turn_forget(&b);
  conn = connect_to(&b, &turn_peer);
  answer_connect(&b, 2);
  torc_turn_data_closed(b.t, conn);
  torc_turn_data_closed(b.t, conn);
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA_DOWN), 0);
  conn = connect_to(&b, &turn_peer);
  answer_connect(&b, 3);
  assert_int_equal(torc_turn_data_opened(b.t, conn, b.now), 0);
  turn_drain(&b);
  assert_int_equal(
      torc_turn_data_input(b.t, conn, torc_slice_of(garbage, sizeof garbage), &used, b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_DATA_DOWN)->o.rc, TORC_ERR_FORMAT);
  /* One whose message would be longer than any answer. */
  turn_forget(&b);
  conn = connect_to(&b, &turn_peer);
  answer_connect(&b, 4);
  assert_int_equal(torc_turn_data_opened(b.t, conn, b.now), 0);
  turn_drain(&b);
  put_bound(&b);
  b.answer[2] = 0x40;
  assert_int_equal(torc_turn_data_input(b.t, conn, torc_wr_slice(&b.wr), &used, b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_DATA_DOWN)->o.rc, TORC_ERR_FORMAT);
  turn_bed_clear(&b);
}

static void test_forged_bind(void **state) {
  torc_turn_conn conn;
  size_t used = 0;
  turn_bed b;
  (void)state;
  set_up(&b);
  turn_allocate(&b);
  conn = connect_to(&b, &turn_peer);
  answer_connect(&b, 1);
  assert_int_equal(torc_turn_data_opened(b.t, conn, b.now), 0);
  turn_drain(&b);
  b.key.b[0] ^= 1;
  put_bound(&b);
  b.key.b[0] ^= 1;
  assert_int_equal(torc_turn_data_input(b.t, conn, torc_wr_slice(&b.wr), &used, b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA_UP), 0);
  /* The right answer, but on the connection of the allocation. */
  put_bound(&b);
  turn_deliver(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA_UP), 0);
  assert_int_equal(turn_counter(&b, "drop_answer"), 1);
  turn_bed_clear(&b);
}

static void test_attempt(void **state) {
  torc_addr other = turn_peer;
  torc_turn_conn conn;
  size_t used = 0;
  turn_bed b;
  (void)state;
  permitted(&b);
  attempt(&b, &turn_peer, 77);
  assert_true(turn_last(&b, TORC_TURN_OUT_OPEN_DATA)->o.is_incoming);
  assert_true(torc_stun_addr_eq(&turn_last(&b, TORC_TURN_OUT_OPEN_DATA)->o.addr, &turn_peer));
  conn = turn_last(&b, TORC_TURN_OUT_OPEN_DATA)->o.conn;
  assert_int_equal(torc_turn_data_opened(b.t, conn, b.now), 0);
  turn_drain(&b);
  put_bound(&b);
  assert_int_equal(torc_turn_data_input(b.t, conn, torc_wr_slice(&b.wr), &used, b.now), 0);
  turn_drain(&b);
  assert_true(turn_last(&b, TORC_TURN_OUT_DATA_UP)->o.is_incoming);
  turn_forget(&b);
  other.addr[3]++;
  attempt(&b, &other, 78); /* nobody permitted that */
  assert_int_equal(turn_counter(&b, "drop_no_permission"), 1);
  attempt(&b, &turn_peer, 79);
  attempt(&b, &turn_peer, 79); /* the same one twice */
  assert_int_equal(turn_counter(&b, "drop_unexpected"), 1);
  turn_indicate(&b, TORC_STUN_CONNECTION_ATTEMPT);
  torc_stun_put_u32(&b.w, A(CONNECTION_ID), 5);
  turn_deliver(&b);
  turn_indicate(&b, TORC_STUN_DATA); /* not of an allocation of TCP */
  turn_deliver(&b);
  assert_int_equal(turn_counter(&b, "drop_malformed"), 1);
  assert_int_equal(turn_counter(&b, "drop_unexpected"), 2);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_OPEN_DATA), 1);
  turn_bed_clear(&b);
}

/* A peer that connects for ever holds no more than the limit, for no longer than 30 s. */
static void test_limit(void **state) {
  torc_turn_conn conn;
  turn_bed b;
  (void)state;
  permitted(&b);
  for (uint32_t i = 0; i < 100; i++) {
    attempt(&b, &turn_peer, i);
  }
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_OPEN_DATA), TORC_TURN_CONNS_MAX);
  assert_int_equal(turn_counter(&b, "conns_full"), 100 - TORC_TURN_CONNS_MAX);
  assert_int_equal(torc_turn_connect(b.t, &turn_peer, b.now, &conn), TORC_ERR_LIMIT);
  turn_run(&b, b.now + TORC_SEC(31));
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA_DOWN), TORC_TURN_CONNS_MAX);
  turn_forget(&b);
  (void)connect_to(&b, &turn_peer);
  torc_turn_lost(b.t, b.now); /* and all that was under way with it */
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_FAILED), 1);
  turn_bed_clear(&b);
}

static void test_no_memory(void **state) {
  torc_turn_conn conn = 0;
  turn_bed b;
  (void)state;
  permitted(&b);
  b.mem.fail_at = b.mem.num_calls + 1;
  assert_int_equal(torc_turn_connect(b.t, &turn_peer, b.now, &conn), TORC_ERR_NOMEM);
  b.mem.fail_at = b.mem.num_calls + 1;
  attempt(&b, &turn_peer, 7);
  assert_int_equal(b.num_outs, 0);
  b.crypto.fail_next = 1;
  assert_int_equal(torc_turn_connect(b.t, &turn_peer, b.now, &conn), TORC_ERR_CRYPTO);
  turn_bed_clear(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-18 GAP-79 an allocation of TCP", test_allocate),
      TORC_TEST("ICE-18 GAP-79 we connect to a peer", test_connect),
      TORC_TEST("ICE-18 ConnectionBind with a new nonce", test_bind_again),
      TORC_TEST("ICE-18 Connect is refused", test_refused),
      TORC_TEST("ICE-18 the data connection fails", test_data_connection_fails),
      TORC_TEST("ICE-18 a forged answer to ConnectionBind", test_forged_bind),
      TORC_TEST("ICE-18 GAP-79 a peer connects to us", test_attempt),
      TORC_TEST("ICE-18 too many connections", test_limit),
      TORC_TEST("ICE-18 no memory for a connection", test_no_memory),
  };
  return TORC_RUN(tests);
}
