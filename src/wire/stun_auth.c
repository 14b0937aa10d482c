/* Integrity and credentials of STUN messages, RFC 8489 [ICE-07].
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun_auth.h"

#include <string.h>

#include "base/slice.h"
#include "wire/stun_internal.h"

#define SHA1_LEN 20u
#define SHA256_LEN 32u
#define SHA256_MIN 16u

static const char cookie_text[] = "obMatJos2";

int torc_stun_prepare(const torc_stun_crypto *c, torc_slice text, uint8_t *out, size_t cap,
                      size_t *len) {
  bool is_ascii = true;
  for (size_t i = 0; i < text.len; i++) {
    if (text.p[i] < 0x20 || text.p[i] == 0x7f) {
      return TORC_ERR_FORMAT;
    }
    is_ascii = is_ascii && text.p[i] < 0x80;
  }
  if (text.len == 0 || !torc_utf8_valid(text)) {
    return TORC_ERR_FORMAT;
  }
  if (!is_ascii) {
    return c->opaque_string != NULL ? c->opaque_string(c->ctx, text, out, cap, len)
                                    : TORC_ERR_STATE;
  }
  if (text.len > cap) {
    return TORC_ERR_SPACE;
  }
  memcpy(out, text.p, text.len);
  *len = text.len;
  return 0;
}

int torc_stun_key_short(const torc_stun_crypto *c, torc_slice password, torc_stun_key *out) {
  torc_stun_key k = {.len = 0};
  size_t len = 0;
  int rc = torc_stun_prepare(c, password, k.b, sizeof k.b, &len);
  if (rc == 0) {
    k.len = (uint16_t)len;
    *out = k;
  }
  torc_stun_key_wipe(&k);
  return rc == TORC_ERR_SPACE ? TORC_ERR_LIMIT : rc;
}

static size_t hash_len(torc_stun_hash hash) {
  switch (hash) {
    case TORC_STUN_MD5:
      return 16;
    case TORC_STUN_SHA1:
      return SHA1_LEN;
    case TORC_STUN_SHA256:
      return SHA256_LEN;
    default:
      return 0;
  }
}

int torc_stun_key_long(const torc_stun_crypto *c, torc_stun_hash hash, torc_slice user,
                       torc_slice realm, torc_slice password, torc_stun_key *out) {
  uint8_t room[3][TORC_STUN_TEXT_MAX];
  const torc_slice in[3] = {user, realm, password};
  torc_slice parts[5] = {{0}, {(const uint8_t *)":", 1}, {0}, {(const uint8_t *)":", 1}, {0}};
  torc_stun_key k = {.len = (uint16_t)hash_len(hash)};
  int rc = hash == TORC_STUN_MD5 || hash == TORC_STUN_SHA256 ? 0 : TORC_ERR_INVALID;
  for (size_t i = 0; rc == 0 && i < 3; i++) {
    size_t len = 0;
    rc = torc_stun_prepare(c, in[i], room[i], sizeof room[i], &len);
    parts[2 * i] = torc_slice_of(room[i], len);
  }
  if (rc == 0) {
    rc = c->digest(c->ctx, hash, parts, TORC_ARRAY_LEN(parts), k.b);
  }
  if (rc == 0) {
    *out = k;
  }
  torc_wipe(room, sizeof room);
  torc_stun_key_wipe(&k);
  return rc == TORC_ERR_SPACE ? TORC_ERR_LIMIT : rc;
}

int torc_stun_userhash(const torc_stun_crypto *c, torc_slice user, torc_slice realm,
                       uint8_t out[TORC_STUN_USERHASH_LEN]) {
  uint8_t room[2][TORC_STUN_TEXT_MAX];
  const torc_slice in[2] = {user, realm};
  torc_slice parts[3] = {{0}, {(const uint8_t *)":", 1}, {0}};
  for (size_t i = 0; i < 2; i++) {
    size_t len = 0;
    int rc = torc_stun_prepare(c, in[i], room[i], sizeof room[i], &len);
    if (rc != 0) {
      return rc == TORC_ERR_SPACE ? TORC_ERR_LIMIT : rc;
    }
    parts[2 * i] = torc_slice_of(room[i], len);
  }
  return c->digest(c->ctx, TORC_STUN_SHA256, parts, TORC_ARRAY_LEN(parts), out);
}

void torc_stun_key_wipe(torc_stun_key *k) {
  torc_wipe(k, sizeof *k);
}

/* The HMAC covers the message as if it ended with the integrity attribute: all before it, with the
 * Message Length that it would have. */
static int put_one(torc_stun_wr *w, const torc_stun_crypto *c, const torc_stun_key *key,
                   torc_stun_hash hash, uint16_t type, size_t len) {
  uint8_t mac[TORC_STUN_HASH_MAX];
  torc_slice message;
  int rc;
  torc_stun_patch_len(w, 4 + len);
  if (w->wr->err != 0) {
    return w->wr->err;
  }
  message = torc_stun_written(w);
  rc = c->hmac(c->ctx, hash, torc_slice_of(key->b, key->len), &message, 1, mac);
  if (rc != 0) {
    return rc;
  }
  torc_stun_put(w, type, torc_slice_of(mac, len));
  return w->wr->err;
}

int torc_stun_put_integrity(torc_stun_wr *w, const torc_stun_crypto *c, const torc_stun_key *key,
                            torc_stun_integrity which, size_t sha256_len) {
  int rc = w->wr->err;
  if (sha256_len < SHA256_MIN || sha256_len > SHA256_LEN || sha256_len % 4 != 0) {
    return TORC_ERR_INVALID;
  }
  if (rc == 0 && ((unsigned)which & TORC_STUN_INTEGRITY_SHA1) != 0) {
    rc = put_one(w, c, key, TORC_STUN_SHA1, TORC_STUN_ATTR_MESSAGE_INTEGRITY, SHA1_LEN);
  }
  if (rc == 0 && ((unsigned)which & TORC_STUN_INTEGRITY_SHA256) != 0) {
    rc = put_one(w, c, key, TORC_STUN_SHA256, TORC_STUN_ATTR_MESSAGE_INTEGRITY_SHA256, sha256_len);
  }
  return rc;
}

torc_stun_integrity torc_stun_integrity_of(const torc_stun_msg *m) {
  unsigned which = 0;
  if (torc_stun_has(m, TORC_STUN_KNOWN_MESSAGE_INTEGRITY)) {
    which |= TORC_STUN_INTEGRITY_SHA1;
  }
  if (torc_stun_has(m, TORC_STUN_KNOWN_MESSAGE_INTEGRITY_SHA256)) {
    which |= TORC_STUN_INTEGRITY_SHA256;
  }
  return (torc_stun_integrity)which;
}

static int check_one(const torc_stun_msg *m, const torc_stun_crypto *c, const torc_stun_key *key,
                     torc_stun_hash hash, torc_stun_known attr, size_t min_len) {
  size_t at = (size_t)m->at[attr] * 4;
  torc_slice value = torc_stun_value(m, attr);
  size_t len = at - TORC_STUN_HEADER_LEN + 4 + value.len;
  uint8_t mac[TORC_STUN_HASH_MAX];
  uint8_t length[2];
  torc_slice parts[3];
  int rc;
  if (value.len < min_len) {
    return TORC_ERR_DENIED;
  }
  length[0] = (uint8_t)(len >> 8);
  length[1] = (uint8_t)len;
  parts[0] = torc_slice_sub(m->bytes, 0, 2);
  parts[1] = torc_slice_of(length, sizeof length);
  parts[2] = torc_slice_sub(m->bytes, 4, at - 4);
  rc = c->hmac(c->ctx, hash, torc_slice_of(key->b, key->len), parts, TORC_ARRAY_LEN(parts), mac);
  if (rc != 0) {
    return rc;
  }
  return torc_ct_equal(mac, value.p, value.len) ? 0 : TORC_ERR_DENIED;
}

int torc_stun_check_integrity(const torc_stun_msg *m, const torc_stun_crypto *c,
                              const torc_stun_key *key, torc_stun_integrity accept,
                              size_t min_sha256_len, torc_stun_integrity *used) {
  unsigned there = (unsigned)torc_stun_integrity_of(m) & (unsigned)accept;
  torc_stun_integrity which = TORC_STUN_INTEGRITY_NONE;
  int rc = TORC_ERR_NOTFOUND;
  if ((there & TORC_STUN_INTEGRITY_SHA256) != 0) {
    which = TORC_STUN_INTEGRITY_SHA256;
    rc = check_one(m, c, key, TORC_STUN_SHA256, TORC_STUN_KNOWN_MESSAGE_INTEGRITY_SHA256,
                   min_sha256_len);
  } else if (there != 0) {
    which = TORC_STUN_INTEGRITY_SHA1;
    rc = check_one(m, c, key, TORC_STUN_SHA1, TORC_STUN_KNOWN_MESSAGE_INTEGRITY, SHA1_LEN);
  }
  if (used != NULL) {
    *used = which;
  }
  return rc;
}

static int base64_digit(uint8_t c) {
  if (c >= 'A' && c <= 'Z') {
    return c - 'A';
  }
  if (c >= 'a' && c <= 'z') {
    return c - 'a' + 26;
  }
  if (c >= '0' && c <= '9') {
    return c - '0' + 52;
  }
  if (c == '+') {
    return 62;
  }
  return c == '/' ? 63 : -1;
}

unsigned torc_stun_nonce_features(torc_slice nonce) {
  torc_slice head = torc_slice_sub(nonce, 0, sizeof cookie_text - 1);
  uint32_t bits = 0;
  unsigned features = 0;
  if (nonce.len < TORC_STUN_COOKIE_LEN || !torc_slice_eq(head, torc_slice_str(cookie_text))) {
    return 0;
  }
  for (size_t i = sizeof cookie_text - 1; i < TORC_STUN_COOKIE_LEN; i++) {
    int digit = base64_digit(nonce.p[i]);
    if (digit < 0) {
      return 0;
    }
    bits = bits << 6 | (uint32_t)digit;
  }
  if ((bits & 0x800001u) != 0) {
    features |= TORC_STUN_FEATURE_ALGORITHMS;
  }
  if ((bits & 0x400002u) != 0) {
    features |= TORC_STUN_FEATURE_ANONYMITY;
  }
  return features;
}

void torc_stun_nonce_cookie(unsigned features, uint8_t out[TORC_STUN_COOKIE_LEN]) {
  static const char digits[] = "ABCD"; /* only the two lowest bits are assigned */
  memcpy(out, cookie_text, sizeof cookie_text - 1);
  memset(out + sizeof cookie_text - 1, 'A', 3);
  out[TORC_STUN_COOKIE_LEN - 1] = (uint8_t)digits[features & 3u];
}

/* Section 14.11: number, length of the parameters, parameters and padding. */
bool torc_stun_algorithm_next(torc_rd *rd, torc_stun_hash *out) {
  for (size_t i = 0; i < TORC_STUN_MAX_ALGORITHMS && torc_rd_left(rd) != 0; i++) {
    uint16_t number = 0;
    torc_slice parameters;
    if (!torc_stun_attr_next(rd, &number, &parameters)) {
      return false;
    }
    if ((number == TORC_STUN_MD5 || number == TORC_STUN_SHA256) && parameters.len == 0) {
      *out = (torc_stun_hash)number;
      return true;
    }
  }
  return false;
}

void torc_stun_put_algorithm(torc_stun_wr *w, torc_stun_hash hash) {
  torc_stun_put_u32(w, TORC_STUN_ATTR_PASSWORD_ALGORITHM, (uint32_t)hash << 16);
}

void torc_stun_put_algorithms(torc_stun_wr *w, const torc_stun_hash *list, size_t num) {
  uint8_t room[4 * TORC_STUN_MAX_ALGORITHMS];
  torc_wr value;
  torc_wr_init(&value, room, sizeof room);
  for (size_t i = 0; i < num; i++) {
    torc_wr_u32(&value, (uint32_t)list[i] << 16);
  }
  if (value.err != 0) {
    w->wr->err = w->wr->err != 0 ? w->wr->err : TORC_ERR_LIMIT;
    return;
  }
  torc_stun_put(w, TORC_STUN_ATTR_PASSWORD_ALGORITHMS, torc_wr_slice(&value));
}
