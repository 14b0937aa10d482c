/* Permissions, channels and data of an allocation, in virtual time, against a server laid by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "ice/helper_turn.h"
#include "ice/turn_frame.h"
#include "torc_test.h"

#define K(name_) TORC_STUN_KNOWN_##name_
#define A(name_) TORC_STUN_ATTR_##name_

static torc_addr peer_number(uint8_t i) {
  torc_addr a = turn_peer;
  a.addr[2] = 101;
  a.addr[3] = i;
  return a;
}

static int send_text(turn_bed *b, const torc_addr *peer, const char *text) {
  int rc = torc_turn_send(b->t, peer, torc_slice_str(text), b->now);
  turn_drain(b);
  return rc;
}

static void put_data(turn_bed *b, const torc_addr *peer, const char *text) {
  turn_indicate(b, TORC_STUN_DATA);
  torc_stun_put_xor_addr(&b->w, A(XOR_PEER_ADDRESS), peer);
  torc_stun_put(&b->w, A(DATA), torc_slice_str(text));
}

static size_t peers_in(const torc_stun_msg *m) {
  torc_rd rd = torc_stun_attrs(m);
  torc_slice value;
  uint16_t type;
  size_t num = 0;
  while (torc_stun_attr_next(&rd, &type, &value)) {
    num += type == A(XOR_PEER_ADDRESS) ? 1u : 0u;
  }
  return num;
}

static void permitted(turn_bed *b) {
  turn_allocate(b);
  assert_int_equal(torc_turn_permit(b->t, &turn_peer, 1, b->now), 0);
  turn_drain(b);
  turn_succeed(b, TORC_STUN_CREATE_PERMISSION);
  assert_int_equal(turn_count(b, TORC_TURN_OUT_PERMITTED), 1);
  turn_forget(b);
}

static void bound(turn_bed *b) {
  permitted(b);
  assert_int_equal(torc_turn_bind(b->t, &turn_peer, b->now), 0);
  turn_drain(b);
  turn_succeed(b, TORC_STUN_CHANNEL_BIND);
  turn_forget(b);
}

/* RFC 8656 11.1, laid by hand: 198.51.100.7:32853 is XORed with 2112a442 and 2112. */
static void test_send_bytes(void **state) {
  static const char *hex =
      "0016 0018 2112a442 ffffffffffffffffffffffff"
      "0012 0008 0001 a147 e721c045"
      "0013 0005 68656c6c 6f000000";
  uint8_t expected[64];
  size_t len = torc_unhex(hex, expected, sizeof expected);
  turn_bed b;
  const turn_out *out;
  (void)state;
  turn_bed_init(&b);
  permitted(&b);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  assert_int_equal(b.num_outs, 1);
  out = turn_last(&b, TORC_TURN_OUT_SEND);
  assert_true(torc_stun_addr_eq(&out->o.addr, &turn_server));
  assert_int_equal(out->o.bytes.len, len);
  memcpy(expected + 8, out->bytes + 8, TORC_STUN_TXID_LEN); /* whatever it is */
  assert_memory_equal(out->bytes, expected, len);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  assert_memory_not_equal(b.outs[0].bytes + 8, b.outs[1].bytes + 8, TORC_STUN_TXID_LEN);
  turn_bed_clear(&b);
}

/* The first datagram asks for the permission and goes right behind the question. */
static void test_send_asks_first(void **state) {
  torc_addr a;
  torc_stun_msg m;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  assert_int_equal(b.num_outs, 2);
  assert_int_equal(torc_stun_decode(&m, b.outs[0].o.bytes), 0);
  assert_int_equal(m.method, TORC_STUN_CREATE_PERMISSION);
  assert_int_equal(torc_stun_get_addr(&m, K(XOR_PEER_ADDRESS), &a), 0);
  a.port = turn_peer.port; /* counts for nothing */
  assert_true(torc_stun_addr_eq(&a, &turn_peer));
  assert_int_equal(
      torc_stun_check_integrity(&m, &b.crypto.table, &b.key, TORC_STUN_INTEGRITY_SHA1, 32, NULL),
      0);
  assert_int_equal(torc_stun_decode(&m, b.outs[1].o.bytes), 0);
  assert_int_equal(m.method, TORC_STUN_SEND);
  turn_forget(&b);
  assert_int_equal(send_text(&b, &turn_peer, "again"), 0);
  assert_int_equal(b.num_outs, 1); /* asked already */
  turn_bed_clear(&b);
}

static void test_send_limits(void **state) {
  static uint8_t big[TORC_TURN_DATA_MAX + 1];
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  permitted(&b);
  assert_int_equal(
      torc_turn_send(b.t, &turn_peer, torc_slice_of(big, TORC_TURN_DATA_MAX + 1), b.now),
      TORC_ERR_LIMIT);
  assert_int_equal(torc_turn_send(b.t, &turn_peer, torc_slice_of(big, TORC_TURN_DATA_MAX), b.now),
                   0);
  assert_int_equal(torc_turn_send(b.t, &turn_peer, torc_slice_of(big, 1), b.now), TORC_ERR_STATE);
  turn_drain(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_SEND), 1);
  assert_int_equal(send_text(&b, &turn_peer, ""), 0); /* an empty datagram is one */
  turn_bed_clear(&b);
}

/* No datagram, in or out, allocates. */
static void test_no_allocation_per_packet(void **state) {
  size_t before;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  bound(&b);
  before = b.mem.num_calls;
  for (int i = 0; i < 1000; i++) {
    torc_addr other = turn_peer;
    other.port++;
    turn_forget(&b);
    assert_int_equal(send_text(&b, &turn_peer, "over the channel"), 0);
    assert_int_equal(send_text(&b, &other, "by an indication"), 0);
    put_data(&b, &other, "to us");
    turn_deliver(&b);
  }
  assert_int_equal(b.mem.num_calls, before);
  assert_int_equal(turn_counter(&b, "channel_sent"), 1000);
  assert_int_equal(turn_counter(&b, "indication_sent"), 1000);
  assert_int_equal(turn_counter(&b, "indication_received"), 1000);
  turn_bed_clear(&b);
}

/* ---- permissions ---- */

static void test_several_in_one(void **state) {
  torc_addr peers[20];
  torc_stun_msg m;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  for (uint8_t i = 0; i < 20; i++) {
    peers[i] = peer_number(i);
  }
  peers[1] = peers[0]; /* the same address, another port */
  peers[1].port++;
  assert_int_equal(torc_turn_permit(b.t, peers, 20, b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_requests(&b, TORC_STUN_CREATE_PERMISSION), 2);
  m = turn_request_of(&b, TORC_STUN_CREATE_PERMISSION);
  assert_int_equal(peers_in(&m), 3);
  assert_int_equal(torc_stun_decode(&m, b.outs[0].o.bytes), 0);
  assert_int_equal(peers_in(&m), 16);
  turn_answer(&b, &m, TORC_STUN_SUCCESS);
  turn_sign(&b);
  turn_deliver(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_PERMITTED), 16);
  turn_succeed(&b, TORC_STUN_CREATE_PERMISSION);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_PERMITTED), 19);
  assert_int_equal(turn_counter(&b, "permissions_granted"), 19);
  turn_bed_clear(&b);
}

/* Several while no answer has come yet: as many requests as there are places for them. */
static void test_requests_are_bounded(void **state) {
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  for (uint8_t i = 0; i < 10; i++) {
    torc_addr a = peer_number(i);
    assert_int_equal(torc_turn_permit(b.t, &a, 1, b.now), 0);
    turn_drain(&b);
  }
  assert_int_equal(turn_requests(&b, TORC_STUN_CREATE_PERMISSION), 3);
  turn_succeed(&b, TORC_STUN_CREATE_PERMISSION);
  assert_int_equal(turn_requests(&b, TORC_STUN_CREATE_PERMISSION), 4);
  {
    torc_stun_msg m = turn_request_of(&b, TORC_STUN_CREATE_PERMISSION);
    assert_int_equal(peers_in(&m), 7);
  }
  turn_bed_clear(&b);
}

static void test_renewed_while_used(void **state) {
  turn_bed b;
  torc_time t0;
  (void)state;
  turn_bed_init(&b);
  permitted(&b);
  t0 = b.now;
  turn_run(&b, t0 + TORC_SEC(100));
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  turn_forget(&b);
  turn_run(&b, t0 + TORC_SEC(240) - 1);
  assert_int_equal(b.num_outs, 0);
  turn_run(&b, t0 + TORC_SEC(240));
  assert_int_equal(turn_requests(&b, TORC_STUN_CREATE_PERMISSION), 1);
  turn_succeed(&b, TORC_STUN_CREATE_PERMISSION);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_PERMITTED), 0); /* told once */
  /* Not used since t0 + 100 s: not renewed at 480 s, gone at 540 s. */
  turn_forget(&b);
  turn_run(&b, t0 + TORC_SEC(539));
  assert_int_equal(turn_requests(&b, TORC_STUN_CREATE_PERMISSION), 0);
  put_data(&b, &turn_peer, "still allowed");
  turn_deliver(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA), 1);
  turn_run(&b, t0 + TORC_SEC(541));
  put_data(&b, &turn_peer, "late");
  turn_deliver(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA), 1);
  assert_int_equal(turn_counter(&b, "drop_no_permission"), 1);
  turn_bed_clear(&b);
}

/* No answer to a renewal: asked again for as long as the permission and the channel live. */
static void test_renewal_unanswered(void **state) {
  turn_bed b;
  torc_time t0;
  (void)state;
  turn_bed_init(&b);
  permitted(&b);
  t0 = b.now;
  turn_run(&b, t0 + TORC_SEC(290)); /* one request from 240 s to 279.5 s, another one now */
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_REFUSED), 0);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  assert_true(turn_requests(&b, TORC_STUN_CREATE_PERMISSION) > 7);
  turn_succeed(&b, TORC_STUN_CREATE_PERMISSION);
  turn_run(&b, t0 + TORC_SEC(310));
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_REFUSED), 0);
  turn_bed_clear(&b);
}

/* Used again when it was about to end: asked for at once. */
static void test_renewed_late(void **state) {
  turn_bed b;
  torc_time t0;
  (void)state;
  turn_bed_init(&b);
  permitted(&b);
  t0 = b.now;
  turn_run(&b, t0 + TORC_SEC(240));
  turn_succeed(&b, TORC_STUN_CREATE_PERMISSION); /* it was used at t0 */
  turn_run(&b, t0 + TORC_SEC(490));
  turn_forget(&b);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  assert_int_equal(turn_requests(&b, TORC_STUN_CREATE_PERMISSION), 1);
  turn_bed_clear(&b);
}

static void test_renewals_go_together(void **state) {
  torc_stun_msg m;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  for (uint8_t i = 0; i < 5; i++) {
    torc_addr a = peer_number(i);
    assert_int_equal(torc_turn_permit(b.t, &a, 1, b.now), 0);
    turn_drain(&b);
    turn_succeed(&b, TORC_STUN_CREATE_PERMISSION);
    turn_run(&b, b.now + TORC_SEC(2));
  }
  turn_forget(&b);
  turn_run(&b, b.now + TORC_SEC(230));
  assert_int_equal(turn_requests(&b, TORC_STUN_CREATE_PERMISSION), 1);
  m = turn_request_of(&b, TORC_STUN_CREATE_PERMISSION);
  assert_int_equal(peers_in(&m), 5);
  turn_bed_clear(&b);
}

/* One forbidden address spoils a request for all: they are asked for one by one. */
static void test_one_spoils_all(void **state) {
  torc_addr peers[3];
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  for (uint8_t i = 0; i < 3; i++) {
    peers[i] = peer_number(i);
  }
  assert_int_equal(torc_turn_permit(b.t, peers, 3, b.now), 0);
  turn_drain(&b);
  turn_refuse(&b, TORC_STUN_CREATE_PERMISSION, 403);
  assert_int_equal(turn_requests(&b, TORC_STUN_CREATE_PERMISSION), 4);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_REFUSED), 0);
  for (size_t i = 1; i < 4; i++) {
    torc_stun_msg m;
    assert_int_equal(torc_stun_decode(&m, b.outs[i].o.bytes), 0);
    assert_int_equal(peers_in(&m), 1);
    if (i == 2) {
      turn_error(&b, &m, 403);
    } else {
      turn_answer(&b, &m, TORC_STUN_SUCCESS);
    }
    turn_sign(&b);
    turn_deliver(&b);
  }
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_PERMITTED), 2);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_REFUSED), 1);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_REFUSED)->o.code, 403);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_REFUSED)->o.rc, TORC_ERR_REFUSED);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_REFUSED)->o.addr.addr[3], 1);
  turn_bed_clear(&b);
}

/* 443 and 508 for one address: no more questions for a while, then again. */
static void test_refused(void **state) {
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  turn_refuse(&b, TORC_STUN_CREATE_PERMISSION, 443);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_REFUSED)->o.code, 443);
  turn_forget(&b);
  put_data(&b, &turn_peer, "no");
  turn_deliver(&b);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), TORC_ERR_DENIED);
  assert_int_equal(b.num_outs, 0);
  assert_int_equal(torc_turn_permit(b.t, &turn_peer, 1, b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_REFUSED)->o.code, 443);
  turn_run(&b, b.now + TORC_SEC(10));
  turn_forget(&b);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  assert_int_equal(turn_requests(&b, TORC_STUN_CREATE_PERMISSION), 1);
  turn_run(&b, b.now + TORC_SEC(40));
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_REFUSED)->o.rc, TORC_ERR_TIMEOUT);
  turn_bed_clear(&b);
}

static void test_gone(void **state) {
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  turn_allocate(&b);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  turn_refuse(&b, TORC_STUN_CREATE_PERMISSION, 437);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_FAILED)->o.code, 437);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_REFUSED), 0);
  assert_int_equal(torc_turn_permit(b.t, &turn_peer, 1, b.now), TORC_ERR_STATE);
  assert_int_equal(torc_turn_bind(b.t, &turn_peer, b.now), TORC_ERR_STATE);
  turn_bed_clear(&b);
}

/* The table is full: what was used just now stays, what was not makes room. */
static void test_table_full(void **state) {
  torc_addr a;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  b.cfg.max_permissions = 4;
  turn_allocate(&b);
  for (uint8_t i = 0; i < 4; i++) {
    a = peer_number(i);
    assert_int_equal(torc_turn_permit(b.t, &a, 1, b.now), 0);
    turn_drain(&b);
    turn_succeed(&b, TORC_STUN_CREATE_PERMISSION);
    b.now += TORC_SEC(1);
  }
  a = peer_number(9);
  assert_int_equal(torc_turn_permit(b.t, &a, 1, b.now), TORC_ERR_LIMIT);
  assert_int_equal(send_text(&b, &a, "x"), TORC_ERR_LIMIT);
  assert_int_equal(turn_counter(&b, "permissions_full"), 2);
  b.now += TORC_SEC(30);
  assert_int_equal(send_text(&b, &a, "x"), 0);
  assert_int_equal(turn_counter(&b, "permissions_evicted"), 1);
  a = peer_number(0);
  put_data(&b, &a, "forgotten");
  turn_deliver(&b);
  assert_int_equal(turn_counter(&b, "drop_no_permission"), 1);
  turn_bed_clear(&b);
}

/* ---- what comes in ---- */

static void test_data(void **state) {
  torc_addr a = turn_peer;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  permitted(&b);
  put_data(&b, &turn_peer, "hello");
  turn_deliver(&b);
  assert_true(torc_stun_addr_eq(&turn_last(&b, TORC_TURN_OUT_DATA)->o.addr, &turn_peer));
  assert_true(torc_slice_eq(turn_last(&b, TORC_TURN_OUT_DATA)->o.bytes, torc_slice_str("hello")));
  a.port = 9; /* a permission is for all ports */
  put_data(&b, &a, "hello");
  turn_deliver(&b);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA), 2);
  a.addr[3]++;
  put_data(&b, &a, "hello");
  turn_deliver(&b);
  put_data(&b, &turn_peer6, "hello");
  turn_deliver(&b);
  assert_int_equal(turn_counter(&b, "drop_no_permission"), 2);
  turn_indicate(&b, TORC_STUN_DATA);
  torc_stun_put(&b.w, A(DATA), torc_slice_str("whose?"));
  turn_deliver(&b);
  turn_indicate(&b, TORC_STUN_DATA);
  torc_stun_put_xor_addr(&b.w, A(XOR_PEER_ADDRESS), &turn_peer);
  turn_deliver(&b);
  put_data(&b, &turn_peer, "hello");
  torc_stun_put_flag(&b.w, 0x7abc); /* must be understood and is not */
  turn_deliver(&b);
  assert_int_equal(turn_counter(&b, "drop_malformed"), 3);
  turn_indicate(&b, TORC_STUN_SEND);
  turn_deliver(&b);
  turn_indicate(&b, TORC_STUN_CONNECTION_ATTEMPT); /* not of an allocation of UDP */
  turn_deliver(&b);
  assert_int_equal(turn_counter(&b, "drop_unexpected"), 2);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA), 2);
  turn_bed_clear(&b);
}

/* RFC 8656 18.13: type 3, code 4, MTU 1400. */
static void test_icmp(void **state) {
  static const uint8_t icmp[] = {0, 0, 3, 4, 0, 0, 0x05, 0x78};
  const turn_out *out;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  permitted(&b);
  turn_indicate(&b, TORC_STUN_DATA);
  torc_stun_put_xor_addr(&b.w, A(XOR_PEER_ADDRESS), &turn_peer);
  torc_stun_put(&b.w, A(ICMP), torc_slice_of(icmp, sizeof icmp));
  turn_deliver(&b);
  out = turn_last(&b, TORC_TURN_OUT_UNREACHABLE);
  assert_true(torc_stun_addr_eq(&out->o.addr, &turn_peer));
  assert_int_equal(out->o.icmp.type, 3);
  assert_int_equal(out->o.icmp.code, 4);
  assert_int_equal(out->o.icmp.data, 1400);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA), 0);
  turn_bed_clear(&b);
}

/* ---- channels ---- */

static const uint8_t frame[] = {0x40, 0x00, 0x00, 0x05, 'h', 'e', 'l', 'l', 'o'};

static void input(turn_bed *b, const void *bytes, size_t len) {
  assert_int_equal(torc_turn_input(b->t, &turn_server, torc_slice_of(bytes, len), b->now), 0);
  turn_drain(b);
}

static void test_channel(void **state) {
  torc_stun_msg m;
  torc_addr a;
  uint32_t number = 0;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  permitted(&b);
  assert_int_equal(torc_turn_bind(b.t, &turn_peer, b.now), 0);
  assert_int_equal(torc_turn_bind(b.t, &turn_peer, b.now), 0);
  turn_drain(&b);
  assert_int_equal(b.num_outs, 1);
  m = turn_request_of(&b, TORC_STUN_CHANNEL_BIND);
  assert_int_equal(torc_stun_get_u32(&m, K(CHANNEL_NUMBER), &number), 0);
  assert_int_equal(number, 0x40000000);
  assert_int_equal(torc_stun_get_addr(&m, K(XOR_PEER_ADDRESS), &a), 0);
  assert_true(torc_stun_addr_eq(&a, &turn_peer));
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0); /* not bound yet */
  assert_int_equal(turn_counter(&b, "indication_sent"), 1);
  turn_succeed(&b, TORC_STUN_CHANNEL_BIND);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
  assert_true(torc_slice_eq(turn_last(&b, TORC_TURN_OUT_SEND)->o.bytes,
                            torc_slice_of(frame, sizeof frame)));
  turn_forget(&b);
  input(&b, frame, sizeof frame);
  assert_true(torc_stun_addr_eq(&turn_last(&b, TORC_TURN_OUT_DATA)->o.addr, &turn_peer));
  assert_true(torc_slice_eq(turn_last(&b, TORC_TURN_OUT_DATA)->o.bytes, torc_slice_str("hello")));
  assert_int_equal(turn_counter(&b, "channel_received"), 1);
  turn_bed_clear(&b);
}

static void test_channel_bad(void **state) {
  static const uint8_t frames[][6] = {
      {0x40, 0x01, 0x00, 0x01, 'x', 0}, /* nobody's */
      {0x4f, 0xff, 0x00, 0x01, 'x', 0}, /* nobody's */
      {0x40, 0x00, 0x00, 0x03, 'x', 0}, /* longer than the datagram */
      {0x50, 0x00, 0x00, 0x01, 'x', 0}, /* no number of a channel */
      {0x04, 0x00, 0x00, 0x01, 'x', 0}, /* nothing */
  };
  torc_addr other = turn_server;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  bound(&b);
  for (size_t i = 0; i < TORC_ARRAY_LEN(frames); i++) {
    input(&b, frames[i], sizeof frames[i]);
  }
  input(&b, frame, 3);
  input(&b, frame, 0);
  assert_int_equal(turn_counter(&b, "drop_no_channel"), 2);
  assert_int_equal(turn_counter(&b, "drop_malformed"), 4);
  other.addr[3]++;
  assert_int_equal(torc_turn_input(b.t, &other, torc_slice_of(frame, sizeof frame), b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_counter(&b, "drop_source"), 1);
  assert_int_equal(b.num_outs, 0);
  turn_bed_clear(&b);
}

/* A channel whose permission made room for another: nothing comes in by it. */
static void test_channel_without_permission(void **state) {
  torc_addr other = peer_number(1);
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  b.cfg.max_permissions = 1;
  bound(&b);
  b.now += TORC_SEC(30);
  assert_int_equal(send_text(&b, &other, "hello"), 0);
  turn_forget(&b);
  input(&b, frame, sizeof frame);
  assert_int_equal(b.num_outs, 0);
  assert_int_equal(turn_counter(&b, "drop_no_permission"), 1);
  turn_bed_clear(&b);
}

/* Renewed one minute before its end while it is used; its permission is renewed beside it. */
static void test_channel_renewed(void **state) {
  turn_bed b;
  torc_time t0;
  size_t num = 0;
  (void)state;
  turn_bed_init(&b);
  bound(&b);
  t0 = b.now;
  for (torc_time s = 10; s <= 1200; s += 10) {
    turn_run(&b, t0 + TORC_SEC(s));
    for (int method = TORC_STUN_REFRESH; method <= TORC_STUN_CHANNEL_BIND; method++) {
      if (turn_requests(&b, (uint16_t)method) != 0) {
        num += method == TORC_STUN_CHANNEL_BIND ? 1u : 0u;
        turn_succeed(&b, (uint16_t)method);
      }
    }
    turn_forget(&b);
    assert_int_equal(send_text(&b, &turn_peer, "hello"), 0);
    assert_int_equal(b.num_outs, 1);
  }
  assert_int_equal(num, 2);
  assert_int_equal(turn_counter(&b, "indication_sent"), 0);
  assert_int_equal(turn_counter(&b, "channel_sent"), 120);
  assert_int_equal(turn_counter(&b, "channels_bound"), 1);
  turn_bed_clear(&b);
}

/* Answers until `until` whatever is asked up to the method `last`. */
static void wait_until(turn_bed *b, uint16_t last, torc_time until) {
  while (torc_turn_deadline(b->t) <= until) {
    turn_tick(b, torc_turn_deadline(b->t));
    for (uint16_t method = TORC_STUN_REFRESH; method <= last; method++) {
      if (turn_requests(b, method) != 0) {
        turn_succeed(b, method);
      }
    }
    turn_forget(b);
  }
  b->now = until;
}

/* RFC 8656 12: five minutes behind its end a number may be another peer's, the same peer gets the
 * same number before. */
static void test_number_rests(void **state) {
  torc_addr other = peer_number(1);
  torc_stun_msg m;
  uint32_t number = 0;
  torc_time t0;
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  b.cfg.max_channels = 1;
  bound(&b);
  t0 = b.now; /* renewed once, at 540 s */
  wait_until(&b, TORC_STUN_CHANNEL_BIND, t0 + TORC_SEC(1141));
  input(&b, frame, sizeof frame);
  assert_int_equal(turn_counter(&b, "drop_no_channel"), 1); /* its end has come */
  assert_int_equal(torc_turn_bind(b.t, &other, b.now), TORC_ERR_LIMIT);
  wait_until(&b, TORC_STUN_CHANNEL_BIND, t0 + TORC_SEC(1439));
  assert_int_equal(torc_turn_bind(b.t, &other, b.now), TORC_ERR_LIMIT);
  assert_int_equal(turn_counter(&b, "channels_full"), 2);
  wait_until(&b, TORC_STUN_CHANNEL_BIND, t0 + TORC_SEC(1440));
  turn_forget(&b);
  assert_int_equal(torc_turn_bind(b.t, &other, b.now), 0);
  turn_drain(&b);
  m = turn_request_of(&b, TORC_STUN_CHANNEL_BIND);
  assert_int_equal(torc_stun_get_u32(&m, K(CHANNEL_NUMBER), &number), 0);
  assert_int_equal(number, 0x40000000);
  turn_bed_clear(&b);
  turn_bed_init(&b);
  b.cfg.max_channels = 2;
  bound(&b);
  wait_until(&b, TORC_STUN_CHANNEL_BIND, b.now + TORC_SEC(1200));
  turn_forget(&b);
  assert_int_equal(torc_turn_bind(b.t, &turn_peer, b.now), 0);
  turn_drain(&b);
  m = turn_request_of(&b, TORC_STUN_CHANNEL_BIND);
  assert_int_equal(torc_stun_get_u32(&m, K(CHANNEL_NUMBER), &number), 0);
  assert_int_equal(number, 0x40000000);
  turn_bed_clear(&b);
}

static void test_channel_refused(void **state) {
  torc_addr other = peer_number(1);
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  b.cfg.max_channels = 1;
  permitted(&b);
  assert_int_equal(torc_turn_bind(b.t, &turn_peer, b.now), 0);
  turn_drain(&b);
  turn_refuse(&b, TORC_STUN_CHANNEL_BIND, 486);
  assert_int_equal(turn_last(&b, TORC_TURN_OUT_REFUSED)->o.code, 486);
  assert_true(torc_stun_addr_eq(&turn_last(&b, TORC_TURN_OUT_REFUSED)->o.addr, &turn_peer));
  turn_forget(&b);
  assert_int_equal(send_text(&b, &turn_peer, "hello"), 0); /* by indication then */
  assert_int_equal(turn_counter(&b, "indication_sent"), 1);
  assert_int_equal(torc_turn_bind(b.t, &turn_peer, b.now), 0);
  turn_drain(&b);
  assert_int_equal(turn_requests(&b, TORC_STUN_CHANNEL_BIND), 0);
  assert_int_equal(turn_count(&b, TORC_TURN_OUT_REFUSED), 1);
  turn_run(&b, b.now + TORC_SEC(10)); /* it was never bound: the number is free */
  assert_int_equal(torc_turn_bind(b.t, &other, b.now), 0);
  turn_bed_clear(&b);
}

/* The answer to ChannelBind may have been lost: the number rests as if it were bound. */
static void test_channel_unclear(void **state) {
  torc_addr other = peer_number(1);
  turn_bed b;
  torc_time t0;
  (void)state;
  turn_bed_init(&b);
  b.cfg.max_channels = 1;
  permitted(&b);
  t0 = b.now;
  assert_int_equal(torc_turn_bind(b.t, &turn_peer, b.now), 0);
  turn_drain(&b);
  wait_until(&b, TORC_STUN_CREATE_PERMISSION, t0 + TORC_SEC(60));
  wait_until(&b, TORC_STUN_CREATE_PERMISSION, t0 + TORC_SEC(939));
  assert_int_equal(torc_turn_bind(b.t, &other, b.now), TORC_ERR_LIMIT);
  wait_until(&b, TORC_STUN_CREATE_PERMISSION, t0 + TORC_SEC(940));
  assert_int_equal(torc_turn_bind(b.t, &other, b.now), 0);
  turn_bed_clear(&b);
}

/* ---- one inside another ---- */

static void pass_out(turn_bed *inner, turn_bed *outer, torc_stun_msg *m) {
  torc_turn_output o;
  torc_slice data;
  assert_true(torc_turn_poll(inner->t, &o));
  assert_int_equal(o.kind, TORC_TURN_OUT_SEND);
  turn_forget(outer);
  assert_int_equal(torc_turn_send(outer->t, &o.addr, o.bytes, outer->now), 0);
  assert_false(torc_turn_poll(inner->t, &o));
  turn_drain(outer);
  assert_int_equal(torc_stun_decode(m, turn_last(outer, TORC_TURN_OUT_SEND)->o.bytes), 0);
  assert_int_equal(m->method, TORC_STUN_SEND);
  data = torc_stun_value(m, K(DATA));
  inner->outs[0].o = (torc_turn_output){.kind = TORC_TURN_OUT_SEND};
  memcpy(inner->outs[0].bytes, data.p, data.len);
  inner->outs[0].o.bytes = torc_slice_of(inner->outs[0].bytes, data.len);
  inner->num_outs = 1;
}

/* What the inner server answered comes as Data of the outer one. */
static void pass_in(turn_bed *inner, turn_bed *outer) {
  const turn_out *out;
  turn_indicate(outer, TORC_STUN_DATA);
  torc_stun_put_xor_addr(&outer->w, A(XOR_PEER_ADDRESS), &inner->cfg.server);
  torc_stun_put(&outer->w, A(DATA), torc_wr_slice(&inner->wr));
  turn_forget(outer);
  turn_deliver(outer);
  out = turn_last(outer, TORC_TURN_OUT_DATA);
  assert_int_equal(torc_turn_input(inner->t, &out->o.addr, out->o.bytes, inner->now), 0);
}

static void test_inside_another(void **state) {
  static turn_bed outer;
  static turn_bed inner;
  torc_stun_msg m;
  (void)state;
  turn_bed_init(&outer);
  turn_allocate(&outer);
  turn_bed_init(&inner);
  inner.cfg.server = turn_peer;
  turn_bed_new(&inner);
  assert_int_equal(torc_turn_start(inner.t, inner.now), 0);
  pass_out(&inner, &outer, &m);
  m = turn_request_of(&inner, TORC_STUN_ALLOCATE);
  turn_error(&inner, &m, 401);
  torc_stun_put(&inner.w, A(REALM), torc_slice_str(TURN_REALM));
  torc_stun_put(&inner.w, A(NONCE), torc_slice_str(TURN_NONCE));
  pass_in(&inner, &outer);
  pass_out(&inner, &outer, &m);
  turn_put_allocation(&inner, 600);
  turn_sign(&inner);
  pass_in(&inner, &outer);
  turn_drain(&inner);
  assert_int_equal(turn_count(&inner, TORC_TURN_OUT_ALLOCATED), 1);
  turn_bed_clear(&inner);
  turn_bed_clear(&outer);
}

/* Indications and ChannelData cut and flipped: never data of somebody who was not permitted. */
static void test_cut_and_flipped(void **state) {
  uint8_t right[64];
  turn_bed b;
  (void)state;
  turn_bed_init(&b);
  bound(&b);
  for (int kind = 0; kind < 2; kind++) {
    size_t len = sizeof frame;
    memcpy(right, frame, len);
    if (kind == 0) {
      put_data(&b, &turn_peer, "hello");
      len = b.wr.len;
      memcpy(right, b.answer, len);
    }
    for (size_t i = 0; i < len; i++) {
      input(&b, right, i);
    }
    assert_int_equal(turn_count(&b, TORC_TURN_OUT_DATA), 0);
    for (size_t i = 0; i < len * 8; i++) {
      right[i / 8] ^= (uint8_t)(1u << i % 8);
      input(&b, right, len);
      right[i / 8] ^= (uint8_t)(1u << i % 8);
      for (size_t k = 0; k < b.num_outs; k++) {
        assert_int_equal(b.outs[k].o.kind, TORC_TURN_OUT_DATA);
        assert_memory_equal(b.outs[k].o.addr.addr, turn_peer.addr, 4);
        assert_true(b.outs[k].o.bytes.len <= 8);
      }
      turn_forget(&b);
    }
  }
  turn_bed_clear(&b);
}

static void test_frames(void **state) {
  static const struct {
    const char *hex;
    int rc;
    size_t len;
  } cases[] = {{"", TORC_ERR_SHORT, 0},
               {"4000", TORC_ERR_SHORT, 0},
               {"40000000", 0, 4},
               {"40000001", 0, 8},
               {"4fff0004", 0, 8},
               {"4000ffff", 0, 65540},
               {"00010000 2112a442", TORC_ERR_SHORT, 0},
               {"00010008 2112a442 000000000000000000000000", 0, 28},
               {"00010008 2112a443 000000000000000000000000", TORC_ERR_FORMAT, 0},
               {"00010007 2112a442 000000000000000000000000", TORC_ERR_FORMAT, 0},
               {"50000000", TORC_ERR_FORMAT, 0},
               {"16000000", TORC_ERR_FORMAT, 0}};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    uint8_t bytes[64];
    size_t len = 0;
    size_t num = torc_unhex(cases[i].hex, bytes, sizeof bytes);
    assert_int_equal(torc_turn_frame_peek(torc_slice_of(bytes, num), &len), cases[i].rc);
    assert_int_equal(len, cases[i].len);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-18 bytes of a Send indication", test_send_bytes),
      TORC_TEST("ICE-18 data asks for its permission", test_send_asks_first),
      TORC_TEST("ICE-18 limits of a datagram", test_send_limits),
      TORC_TEST("ICE-18 no allocation per packet", test_no_allocation_per_packet),
      TORC_TEST("ICE-18 several peers in one CreatePermission", test_several_in_one),
      TORC_TEST("ICE-18 requests under way are bounded", test_requests_are_bounded),
      TORC_TEST("ICE-18 permissions are renewed while used", test_renewed_while_used),
      TORC_TEST("ICE-18 a renewal without an answer", test_renewal_unanswered),
      TORC_TEST("ICE-18 a permission used again late", test_renewed_late),
      TORC_TEST("ICE-18 renewals go together", test_renewals_go_together),
      TORC_TEST("ICE-18 one refused address spoils no others", test_one_spoils_all),
      TORC_TEST("ICE-18 a refused permission", test_refused),
      TORC_TEST("ICE-18 the server has forgotten the allocation", test_gone),
      TORC_TEST("ICE-18 the table of permissions is full", test_table_full),
      TORC_TEST("ICE-18 data from peers", test_data),
      TORC_TEST("ICE-18 ICMP", test_icmp),
      TORC_TEST("ICE-18 a channel", test_channel),
      TORC_TEST("ICE-18 ChannelData that is none", test_channel_bad),
      TORC_TEST("ICE-18 a channel without a permission", test_channel_without_permission),
      TORC_TEST("ICE-18 channels are renewed while used", test_channel_renewed),
      TORC_TEST("ICE-18 numbers of channels rest before reuse", test_number_rests),
      TORC_TEST("ICE-18 a refused channel", test_channel_refused),
      TORC_TEST("ICE-18 a ChannelBind without an answer", test_channel_unclear),
      TORC_TEST("ICE-18 an allocation inside another", test_inside_another),
      TORC_TEST("ICE-18 data cut and flipped", test_cut_and_flipped),
      TORC_TEST("ICE-18 frames of a stream", test_frames),
  };
  return TORC_RUN(tests);
}
