/* STUN messages, RFC 8489 [ICE-07]: reading.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun.h"

#include <string.h>

#include "base/crc32.h"
#include "base/slice.h"
#include "wire/stun_internal.h"

#define FINGERPRINT_LEN 8u /* with its header */

static const torc_stun_attr_rule rules[TORC_STUN_NUM_KNOWN] = {
#define X(name_, type_, min_, max_) {.type = (type_), .min = (min_), .max = (max_)},
    TORC_STUN_ATTRS(X)
#undef X
};

const torc_stun_attr_rule *torc_stun_rule(uint16_t type) {
  size_t low = 0;
  size_t high = TORC_STUN_NUM_KNOWN;
  while (low < high) { /* the list is in ascending order */
    size_t mid = low + (high - low) / 2;
    if (rules[mid].type == type) {
      return &rules[mid];
    }
    if (rules[mid].type < type) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return NULL;
}

torc_first_byte torc_first_byte_of(torc_slice datagram) {
  uint8_t b = datagram.len != 0 ? datagram.p[0] : UINT8_MAX;
  if (b <= 3) {
    return TORC_FIRST_STUN;
  }
  if (b >= 20 && b <= 63) {
    return TORC_FIRST_DTLS;
  }
  return b >= 64 && b <= 79 ? TORC_FIRST_CHANNEL : TORC_FIRST_OTHER;
}

/* Sections 5 and 6.3: the two zero bits, the cookie, a Message Length in whole words. */
int torc_stun_frame_peek(torc_slice bytes, size_t *len) {
  torc_rd rd;
  uint16_t type;
  uint16_t rest;
  uint32_t cookie;
  if (bytes.len < TORC_STUN_HEADER_LEN) {
    return TORC_ERR_SHORT;
  }
  torc_rd_init(&rd, bytes);
  type = torc_rd_u16(&rd);
  rest = torc_rd_u16(&rd);
  cookie = torc_rd_u32(&rd);
  if (type > 0x3fff || rest % 4 != 0 || cookie != TORC_STUN_COOKIE) {
    return TORC_ERR_FORMAT;
  }
  *len = TORC_STUN_HEADER_LEN + (size_t)rest;
  return 0;
}

/* The twelve bits of the method lie around the two of the class. */
static void split_type(uint16_t type, torc_stun_msg *m) {
  m->cls = (torc_stun_class)(((type >> 4) & 1u) | ((type >> 7) & 2u));
  m->method = (uint16_t)((type & 0xfu) | ((type >> 1) & 0x70u) | ((type >> 2) & 0xf80u));
}

static bool fingerprint_ok(torc_slice message, torc_slice value) {
  torc_slice covered = torc_slice_sub(message, 0, message.len - FINGERPRINT_LEN);
  torc_rd rd;
  torc_rd_init(&rd, value);
  return torc_rd_u32(&rd) == (torc_crc32(covered) ^ TORC_STUN_FINGERPRINT_XOR);
}

/* Where a message stands while its attributes are read. */
typedef enum part { OPEN, AFTER_SHA1, AFTER_SHA256 } part;

static bool counts(part where, uint16_t type) {
  return where == OPEN || type == TORC_STUN_ATTR_FINGERPRINT ||
         (where == AFTER_SHA1 && type == TORC_STUN_ATTR_MESSAGE_INTEGRITY_SHA256);
}

/* One attribute that counts, at `offset`. */
static int take(torc_stun_msg *m, size_t offset, uint16_t type, torc_slice value) {
  const torc_stun_attr_rule *rule = torc_stun_rule(type);
  if (rule == NULL) {
    if (type < 0x8000 && m->num_unknown < TORC_STUN_MAX_UNKNOWN) {
      m->unknown[m->num_unknown] = type;
    }
    m->num_unknown += type < 0x8000;
    return 0;
  }
  if (m->at[rule - rules] != 0) {
    return 0;
  }
  if (value.len < rule->min || value.len > rule->max) {
    return TORC_ERR_FORMAT;
  }
  if (type == TORC_STUN_ATTR_MESSAGE_INTEGRITY_SHA256 && value.len % 4 != 0) {
    return TORC_ERR_FORMAT;
  }
  m->at[rule - rules] = (uint16_t)(offset / 4);
  return 0;
}

static int read_attrs(torc_stun_msg *m) {
  part where = OPEN;
  size_t num = 0;
  torc_rd rd;
  torc_rd_init(&rd,
               torc_slice_sub(m->bytes, TORC_STUN_HEADER_LEN, m->bytes.len - TORC_STUN_HEADER_LEN));
  while (torc_rd_left(&rd) != 0) {
    size_t offset = m->bytes.len - torc_rd_left(&rd);
    uint16_t type = 0;
    torc_slice value = {0};
    int rc;
    if (++num > TORC_STUN_MAX_ATTRS || !torc_stun_attr_next(&rd, &type, &value)) {
      return TORC_ERR_FORMAT;
    }
    if (!counts(where, type)) {
      continue;
    }
    rc = take(m, offset, type, value);
    if (rc != 0) {
      return rc;
    }
    if (type == TORC_STUN_ATTR_MESSAGE_INTEGRITY) {
      where = AFTER_SHA1;
    } else if (type == TORC_STUN_ATTR_MESSAGE_INTEGRITY_SHA256) {
      where = AFTER_SHA256;
    } else if (type == TORC_STUN_ATTR_FINGERPRINT &&
               (torc_rd_left(&rd) != 0 || !fingerprint_ok(m->bytes, value))) {
      return TORC_ERR_FORMAT; /* section 14.7: the last one, and right */
    }
  }
  return 0;
}

int torc_stun_decode(torc_stun_msg *out, torc_slice bytes) {
  torc_stun_msg m = {0};
  size_t len = 0;
  int rc = torc_stun_frame_peek(bytes, &len);
  torc_rd rd;
  if (rc != 0) {
    return rc;
  }
  if (bytes.len != len) {
    return bytes.len < len ? TORC_ERR_SHORT : TORC_ERR_FORMAT;
  }
  m.bytes = bytes;
  torc_rd_init(&rd, bytes);
  split_type(torc_rd_u16(&rd), &m);
  memcpy(m.txid, bytes.p + TORC_STUN_HEADER_LEN - TORC_STUN_TXID_LEN, TORC_STUN_TXID_LEN);
  rc = read_attrs(&m);
  if (rc == 0) {
    *out = m;
  }
  return rc;
}

bool torc_stun_has(const torc_stun_msg *m, torc_stun_known attr) {
  return m->at[attr] != 0;
}

torc_slice torc_stun_value(const torc_stun_msg *m, torc_stun_known attr) {
  size_t at = (size_t)m->at[attr] * 4;
  torc_slice value = {0};
  uint16_t type;
  torc_rd rd;
  if (at != 0) {
    torc_rd_init(&rd, torc_slice_sub(m->bytes, at, m->bytes.len - at));
    (void)torc_stun_attr_next(&rd, &type, &value);
  }
  return value;
}

torc_rd torc_stun_attrs(const torc_stun_msg *m) {
  size_t end = m->bytes.len;
  const torc_stun_known last[] = {TORC_STUN_KNOWN_MESSAGE_INTEGRITY,
                                  TORC_STUN_KNOWN_MESSAGE_INTEGRITY_SHA256,
                                  TORC_STUN_KNOWN_FINGERPRINT};
  torc_rd rd;
  for (size_t i = 0; i < TORC_ARRAY_LEN(last); i++) {
    size_t at = (size_t)m->at[last[i]] * 4;
    if (at != 0 && at < end) {
      end = at;
    }
  }
  torc_rd_init(&rd, torc_slice_sub(m->bytes, TORC_STUN_HEADER_LEN, end - TORC_STUN_HEADER_LEN));
  return rd;
}

/* Section 14: values end on a word; the bytes of the padding mean nothing. */
bool torc_stun_attr_next(torc_rd *rd, uint16_t *type, torc_slice *value) {
  uint16_t t;
  uint16_t len;
  torc_slice v;
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  t = torc_rd_u16(rd);
  len = torc_rd_u16(rd);
  v = torc_rd_slice(rd, len);
  torc_rd_skip(rd, TORC_STUN_PAD(len));
  if (rd->err != 0) {
    return false;
  }
  *type = t;
  *value = v;
  return true;
}

int torc_stun_get_u32(const torc_stun_msg *m, torc_stun_known attr, uint32_t *out) {
  torc_rd rd;
  uint32_t v;
  if (m->at[attr] == 0) {
    return TORC_ERR_NOTFOUND;
  }
  torc_rd_init(&rd, torc_stun_value(m, attr));
  v = torc_rd_u32(&rd);
  if (torc_rd_finish(&rd) != 0) {
    return TORC_ERR_FORMAT;
  }
  *out = v;
  return 0;
}

int torc_stun_get_u64(const torc_stun_msg *m, torc_stun_known attr, uint64_t *out) {
  torc_rd rd;
  uint64_t v;
  if (m->at[attr] == 0) {
    return TORC_ERR_NOTFOUND;
  }
  torc_rd_init(&rd, torc_stun_value(m, attr));
  v = torc_rd_u64(&rd);
  if (torc_rd_finish(&rd) != 0) {
    return TORC_ERR_FORMAT;
  }
  *out = v;
  return 0;
}

void torc_stun_addr_xor(torc_addr *a, const uint8_t txid[TORC_STUN_TXID_LEN]) {
  static const uint8_t cookie[4] = {0x21, 0x12, 0xa4, 0x42};
  size_t len = a->family == TORC_STUN_IP4 ? 4 : 16;
  a->port ^= (uint16_t)(TORC_STUN_COOKIE >> 16);
  for (size_t i = 0; i < len; i++) {
    a->addr[i] ^= i < 4 ? cookie[i] : txid[i - 4];
  }
}

int torc_stun_addr_read(torc_slice value, const uint8_t *txid, torc_addr *out) {
  torc_addr a = {0};
  torc_slice bytes;
  torc_rd rd;
  torc_rd_init(&rd, value);
  torc_rd_skip(&rd, 1);
  a.family = torc_rd_u8(&rd);
  a.port = torc_rd_u16(&rd);
  bytes = torc_rd_rest(&rd);
  if (rd.err != 0 || !((a.family == TORC_STUN_IP4 && bytes.len == 4) ||
                       (a.family == TORC_STUN_IP6 && bytes.len == 16))) {
    return TORC_ERR_FORMAT;
  }
  memcpy(a.addr, bytes.p, bytes.len);
  if (txid != NULL) {
    torc_stun_addr_xor(&a, txid);
  }
  *out = a;
  return 0;
}

int torc_stun_get_addr(const torc_stun_msg *m, torc_stun_known attr, torc_addr *out) {
  bool is_plain =
      attr == TORC_STUN_KNOWN_MAPPED_ADDRESS || attr == TORC_STUN_KNOWN_ALTERNATE_SERVER;
  if (m->at[attr] == 0) {
    return TORC_ERR_NOTFOUND;
  }
  return torc_stun_addr_read(torc_stun_value(m, attr), is_plain ? NULL : m->txid, out);
}

/* Section 14.8: 21 reserved bits, three of the hundreds, a byte of the rest. */
int torc_stun_get_error(const torc_stun_msg *m, uint16_t *code, torc_slice *reason) {
  torc_rd rd;
  unsigned hundreds;
  unsigned rest;
  if (!torc_stun_has(m, TORC_STUN_KNOWN_ERROR_CODE)) {
    return TORC_ERR_NOTFOUND;
  }
  torc_rd_init(&rd, torc_stun_value(m, TORC_STUN_KNOWN_ERROR_CODE));
  torc_rd_skip(&rd, 2);
  hundreds = torc_rd_u8(&rd) & 7u;
  rest = torc_rd_u8(&rd);
  if (rd.err != 0 || hundreds < 3 || hundreds > 6 || rest > 99) {
    return TORC_ERR_FORMAT;
  }
  *code = (uint16_t)(hundreds * 100 + rest);
  *reason = torc_rd_rest(&rd);
  if (!torc_utf8_valid(*reason)) {
    *reason = (torc_slice){0};
  }
  return 0;
}

bool torc_stun_unknown_at(const torc_stun_msg *m, size_t i, uint16_t *type) {
  torc_slice list = torc_stun_value(m, TORC_STUN_KNOWN_UNKNOWN_ATTRIBUTES);
  if (i >= list.len / 2) {
    return false;
  }
  *type = (uint16_t)((unsigned)list.p[2 * i] << 8 | list.p[2 * i + 1]);
  return true;
}

bool torc_stun_addr_eq(const torc_addr *a, const torc_addr *b) {
  return a->family == b->family && a->port == b->port &&
         memcmp(a->addr, b->addr, a->family == TORC_STUN_IP4 ? 4 : 16) == 0;
}
