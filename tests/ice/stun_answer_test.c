/* Answers to STUN requests: what is answered, what is passed over, how much longer it is.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/stun_answer.h"

#include "base/slice.h"
#include "ice/helper_stun.h"
#include "stun_vectors.h"
#include "torc_test.h"

#define K(name_) TORC_STUN_KNOWN_##name_
#define A(name_) TORC_STUN_ATTR_##name_

static const torc_addr from4 = {.family = 1, .addr = {192, 0, 2, 1}, .port = 32853};
static const torc_addr from6 = {.family = 2, .addr = {0x20, 1, 0xd, 0xb8, [15] = 1}, .port = 6084};

typedef struct answer {
  uint8_t room[256];
  torc_wr wr;
  torc_stun_msg m;
} answer;

static size_t ask(answer *a, torc_slice datagram, const torc_addr *from) {
  torc_wr_init(&a->wr, a->room, sizeof a->room);
  assert_int_equal(torc_stun_answer_binding(&a->wr, datagram, from), 0);
  if (a->wr.len != 0) {
    assert_int_equal(torc_stun_decode(&a->m, torc_wr_slice(&a->wr)), 0);
    assert_memory_equal(a->m.txid, datagram.p + 8, 12);
    assert_true(a->wr.len <= datagram.len + TORC_STUN_ANSWER_GROWTH);
  }
  return a->wr.len;
}

static size_t ask_hex(answer *a, const char *hex, const torc_addr *from) {
  uint8_t b[512];
  return ask(a, torc_slice_of(b, torc_unhex(hex, b, sizeof b)), from);
}

#define HEAD "2112a442 a0a1a2a3a4a5a6a7a8a9aaab"

/* The whole answer, laid out by hand: 198.51.100.1 and the port, XORed with the cookie. */
static void test_plain(void **state) {
  const torc_addr from = {.family = 1, .addr = {198, 51, 100, 1}, .port = 40000};
  uint8_t want[64];
  answer a;
  size_t len = torc_unhex("0101 000c" HEAD "0020 0008 0001 bd52 e721c043", want, sizeof want);
  (void)state;
  assert_int_equal(ask_hex(&a, "0001 0000" HEAD, &from), len);
  assert_memory_equal(a.room, want, len);
}

static void test_mapped(void **state) {
  torc_addr got;
  answer a;
  (void)state;
  assert_true(ask_hex(&a, STUN_5769_REQUEST, &from4) != 0); /* credentials are not asked for */
  assert_int_equal(a.m.cls, TORC_STUN_SUCCESS);
  assert_int_equal(torc_stun_get_addr(&a.m, K(XOR_MAPPED_ADDRESS), &got), 0);
  assert_true(torc_stun_addr_eq(&got, &from4));
  assert_true(torc_stun_has(&a.m, K(FINGERPRINT))); /* as the request has */
  assert_true(ask_hex(&a, "0001 0000" HEAD, &from6) != 0);
  assert_int_equal(torc_stun_get_addr(&a.m, K(XOR_MAPPED_ADDRESS), &got), 0);
  assert_true(torc_stun_addr_eq(&got, &from6));
  assert_false(torc_stun_has(&a.m, K(FINGERPRINT)));
}

static void test_unknown(void **state) {
  uint16_t code;
  uint16_t type;
  torc_slice reason;
  answer a;
  (void)state;
  /* CHANGE-REQUEST of RFC 5780 is one we do not know */
  assert_true(ask_hex(&a, "0001 0010" HEAD "0003 0004 00000006 7001 0000 f001 0000", &from4) != 0);
  assert_int_equal(a.m.cls, TORC_STUN_ERROR);
  assert_int_equal(torc_stun_get_error(&a.m, &code, &reason), 0);
  assert_int_equal(code, 420);
  assert_true(torc_slice_eq(reason, torc_slice_str("Unknown Attribute")));
  assert_true(torc_stun_unknown_at(&a.m, 0, &type));
  assert_int_equal(type, 3);
  assert_true(torc_stun_unknown_at(&a.m, 1, &type));
  assert_int_equal(type, 0x7001);
  assert_false(torc_stun_unknown_at(&a.m, 2, &type));
}

static void test_passed_over(void **state) {
  static const char *const hex[] = {
      "",
      "16fe fd00 000000", /* DTLS */
      "0011 0000" HEAD,   /* indication: a keepalive */
      "0101 0000" HEAD,   /* answers to nothing of ours */
      "0111 0000" HEAD,
      "0003 0000" HEAD, /* Allocate */
      "0001 0000 2112a440 a0a1a2a3a4a5a6a7a8a9aaab",
      "0001 0008" HEAD "8028 0004 00000000",
      "0001 0004" HEAD,
      "0001 0000" HEAD "00",
  };
  answer a;
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(hex); i++) {
    assert_int_equal(ask_hex(&a, hex[i], &from4), 0);
  }
}

static void test_no_room(void **state) {
  uint8_t b[64];
  uint8_t room[64];
  size_t len = torc_unhex("0001 0000" HEAD, b, sizeof b);
  const torc_addr none = {.family = 0};
  torc_wr wr;
  (void)state;
  for (size_t cap = 0; cap <= 32; cap++) {
    torc_wr_init(&wr, room, cap);
    assert_int_equal(torc_stun_answer_binding(&wr, torc_slice_of(b, len), &from4),
                     cap < 32 ? TORC_ERR_SPACE : 0);
  }
  torc_wr_init(&wr, room, sizeof room);
  assert_int_equal(torc_stun_answer_binding(&wr, torc_slice_of(b, len), &none), TORC_ERR_INVALID);
}

/* RFC 8489 9.1.3 on the request of RFC 5769. */
static void test_auth_short(void **state) {
  uint8_t b[512];
  size_t len = torc_unhex(STUN_5769_REQUEST, b, sizeof b);
  torc_stun_integrity used;
  torc_stun_key key;
  torc_stun_msg m;
  helper_stun h;
  uint16_t code;
  (void)state;
  helper_stun_init(&h);
  assert_int_equal(torc_stun_key_short(&h.table, torc_slice_str(STUN_PASSWORD), &key), 0);
  assert_int_equal(torc_stun_decode(&m, torc_slice_of(b, len)), 0);
  assert_int_equal(torc_stun_auth_short(&m, &h.table, &key, &used, &code), 0);
  assert_int_equal(code, 0);
  assert_int_equal(used, TORC_STUN_INTEGRITY_SHA1);
  assert_int_equal(torc_stun_auth_short(&m, &h.table, NULL, &used, &code), 0);
  assert_int_equal(code, 401);
  h.fail_next = 1;
  assert_int_equal(torc_stun_auth_short(&m, &h.table, &key, &used, &code), TORC_ERR_CRYPTO);
  key.b[3] ^= 4;
  assert_int_equal(torc_stun_auth_short(&m, &h.table, &key, &used, &code), 0);
  assert_int_equal(code, 401);
  assert_int_equal(used, TORC_STUN_INTEGRITY_NONE);
  len = torc_unhex("0001 0008" HEAD "0006 0003 613a6200", b, sizeof b);
  assert_int_equal(torc_stun_decode(&m, torc_slice_of(b, len)), 0);
  assert_int_equal(torc_stun_auth_short(&m, &h.table, &key, &used, &code), 0);
  assert_int_equal(code, 400);
  len = torc_unhex("0001 0018" HEAD "0008 0014 0000000000000000000000000000000000000000", b,
                   sizeof b);
  assert_int_equal(torc_stun_decode(&m, torc_slice_of(b, len)), 0);
  assert_int_equal(torc_stun_auth_short(&m, &h.table, &key, &used, &code), 0);
  assert_int_equal(code, 400);
}

/* Answers signed like the request: the very bytes of RFC 5769 2.2 but for SOFTWARE are checked by
 * the key. */
static void test_signed(void **state) {
  static const torc_stun_integrity kinds[] = {TORC_STUN_INTEGRITY_SHA1, TORC_STUN_INTEGRITY_SHA256};
  uint8_t b[512];
  uint8_t room[256];
  size_t len = torc_unhex(STUN_5769_REQUEST, b, sizeof b);
  torc_stun_msg m;
  torc_stun_msg got;
  torc_stun_key key;
  helper_stun h;
  (void)state;
  helper_stun_init(&h);
  assert_int_equal(torc_stun_key_short(&h.table, torc_slice_str(STUN_PASSWORD), &key), 0);
  assert_int_equal(torc_stun_decode(&m, torc_slice_of(b, len)), 0);
  for (size_t i = 0; i < 4; i++) {
    torc_stun_reply r = {.request = &m, .crypto = &h.table, .key = &key, .integrity = kinds[i / 2]};
    torc_stun_integrity used;
    torc_wr wr;
    torc_wr_init(&wr, room, sizeof room);
    assert_int_equal(i % 2 == 0 ? torc_stun_reply_mapped(&wr, &r, &from4)
                                : torc_stun_reply_error(&wr, &r, TORC_STUN_ROLE_CONFLICT),
                     0);
    assert_int_equal(torc_stun_decode(&got, torc_wr_slice(&wr)), 0);
    assert_int_equal(
        torc_stun_check_integrity(&got, &h.table, &key, TORC_STUN_INTEGRITY_BOTH, 32, &used), 0);
    assert_int_equal(used, kinds[i / 2]);
    assert_true(torc_stun_has(&got, K(FINGERPRINT)));
    h.fail_next = 1;
    torc_wr_init(&wr, room, sizeof room);
    assert_int_equal(torc_stun_reply_mapped(&wr, &r, &from4), TORC_ERR_CRYPTO);
  }
}

static void test_reasons(void **state) {
  static const uint16_t codes[] = {300, 400, 401, 420, 438, 487, 500};
  (void)state;
  assert_string_equal(torc_stun_reason(499), "Error");
  for (size_t i = 0; i < TORC_ARRAY_LEN(codes); i++) {
    assert_string_not_equal(torc_stun_reason(codes[i]), "Error");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-08 the answer by hand", test_plain),
      TORC_TEST("ICE-08 the address a request came from", test_mapped),
      TORC_TEST("ICE-08 420 for what is not understood", test_unknown),
      TORC_TEST("ICE-08 what gets no answer", test_passed_over),
      TORC_TEST("ICE-08 too little room, no address", test_no_room),
      TORC_TEST("ICE-07 who knows the short-term password", test_auth_short),
      TORC_TEST("ICE-07 answers signed as the request", test_signed),
      TORC_TEST("ICE-07 phrases", test_reasons),
  };
  return TORC_RUN(tests);
}
