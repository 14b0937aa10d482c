/* libFuzzer target of the STUN codec and of what answers requests. The first byte says whether the
 * rest is a datagram as it stands, or the type and the attributes of a message whose length, cookie
 * and FINGERPRINT are made right. Property: what is read is written and read again as the same, and
 * an answer is not much longer than its request. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/crc32.h"
#include "base/slice.h"
#include "fuzz/ice_toy.h"
#include "ice/stun_answer.h"
#include "ice/stun_login.h"

#define MAX 65552u

/* Length, cookie, and the last attribute if it is FINGERPRINT. */
static size_t mend(uint8_t *b, size_t len) {
  size_t rest;
  if (len < TORC_STUN_HEADER_LEN) {
    return len;
  }
  len -= len % 4;
  rest = len - TORC_STUN_HEADER_LEN;
  b[0] &= 0x3f;
  b[2] = (uint8_t)(rest >> 8);
  b[3] = (uint8_t)rest;
  memcpy(b + 4, "\x21\x12\xa4\x42", 4);
  if (rest >= 8 && memcmp(b + len - 8, "\x80\x28\0\4", 4) == 0) {
    uint32_t crc = torc_crc32(torc_slice_of(b, len - 8)) ^ 0x5354554eu;
    for (size_t i = 0; i < 4; i++) {
      b[len - 4 + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
  }
  return len;
}

static void read_values(const torc_stun_msg *m) {
  torc_slice reason = {0};
  uint16_t type;
  uint16_t code = 0;
  uint32_t u32;
  uint64_t u64;
  torc_addr a;
  for (int k = 0; k < TORC_STUN_NUM_KNOWN; k++) {
    torc_stun_known known = (torc_stun_known)k;
    CHECK(torc_stun_has(m, known) || torc_stun_value(m, known).len == 0);
    (void)!torc_stun_get_u32(m, known, &u32);
    (void)!torc_stun_get_u64(m, known, &u64);
    (void)!torc_stun_get_addr(m, known, &a);
  }
  CHECK(torc_stun_get_error(m, &code, &reason) != 0 || (code >= 300 && code <= 699));
  for (size_t i = 0; torc_stun_unknown_at(m, i, &type); i++) {
  }
  (void)torc_stun_nonce_features(torc_stun_value(m, TORC_STUN_KNOWN_NONCE));
}

/* The same message without what its integrity does not cover, and signed by us. */
static void write_again(const torc_stun_msg *m) {
  static uint8_t room[MAX + 64];
  torc_stun_key key = {.b = {1}, .len = 1};
  torc_stun_integrity used;
  torc_stun_msg again;
  torc_slice value;
  torc_slice value_again;
  uint16_t type;
  uint16_t type_again;
  ice_toy toy;
  torc_stun_wr w;
  torc_wr wr;
  torc_rd rd = torc_stun_attrs(m);
  torc_rd rd_again;
  ice_toy_init(&toy);
  torc_wr_init(&wr, room, sizeof room);
  torc_stun_begin(&w, &wr, m->cls, m->method, m->txid);
  while (torc_stun_attr_next(&rd, &type, &value)) {
    torc_stun_put(&w, type, value);
  }
  if (wr.err != 0 || torc_stun_put_integrity(&w, &toy.table, &key, TORC_STUN_INTEGRITY_BOTH, 16)) {
    /* A second one of a kind may have a length that a first one may not; or there is no room. */
    CHECK(wr.err == TORC_ERR_LIMIT || wr.err == TORC_ERR_SPACE);
    return;
  }
  torc_stun_put_fingerprint(&w);
  if (wr.err != 0) {
    return;
  }
  if (torc_stun_decode(&again, torc_wr_slice(&wr)) != 0) {
    rd = torc_stun_attrs(m); /* three more than it had */
    size_t num = 3;
    while (torc_stun_attr_next(&rd, &type, &value)) {
      num++;
    }
    CHECK(num > TORC_STUN_MAX_ATTRS);
    return;
  }
  CHECK(again.cls == m->cls && again.method == m->method);
  CHECK(again.num_unknown == m->num_unknown);
  rd = torc_stun_attrs(m);
  rd_again = torc_stun_attrs(&again);
  while (torc_stun_attr_next(&rd, &type, &value)) {
    CHECK(torc_stun_attr_next(&rd_again, &type_again, &value_again));
    CHECK(type == type_again && torc_slice_eq(value, value_again));
  }
  CHECK(!torc_stun_attr_next(&rd_again, &type_again, &value_again));
  CHECK(torc_stun_check_integrity(&again, &toy.table, &key, TORC_STUN_INTEGRITY_BOTH, 16, &used) ==
        0);
  CHECK(used == TORC_STUN_INTEGRITY_SHA256);
  CHECK(torc_stun_check_integrity(&again, &toy.table, &key, TORC_STUN_INTEGRITY_SHA1, 16, &used) ==
        0);
}

static void log_in(const torc_stun_msg *m) {
  torc_stun_login login;
  ice_toy toy;
  ice_toy_init(&toy);
  CHECK(torc_stun_login_init(&login, &toy.table, torc_slice_str("u"), torc_slice_str("p")) == 0);
  if (torc_stun_login_challenge(&login, &toy.table, m) == 0) {
    CHECK(login.is_challenged && login.realm_len != 0 && login.nonce_len != 0);
  } else {
    CHECK(!login.is_challenged);
  }
  torc_stun_login_clear(&login);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  static uint8_t b[MAX];
  const torc_addr from = {.family = 2, .addr = {0x20, 1}, .port = 1};
  uint8_t room[512];
  torc_stun_msg m;
  torc_wr wr;
  if (len == 0 || len - 1 > sizeof b) {
    return 0;
  }
  memcpy(b, data + 1, len - 1);
  len = (data[0] & 1u) != 0 ? len - 1 : mend(b, len - 1);
  torc_wr_init(&wr, room, sizeof room);
  CHECK(torc_stun_answer_binding(&wr, torc_slice_of(b, len), &from) == 0);
  CHECK(wr.len == 0 || wr.len <= len + TORC_STUN_ANSWER_GROWTH);
  if (wr.len != 0) {
    CHECK(torc_stun_decode(&m, torc_wr_slice(&wr)) == 0 && m.cls >= TORC_STUN_SUCCESS);
  }
  if (torc_stun_decode(&m, torc_slice_of(b, len)) == 0) {
    read_values(&m);
    write_again(&m);
    log_in(&m);
  }
  return 0;
}
