/* STUN messages, RFC 8489 [ICE-07] [ICE-27]: writing.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/crc32.h"
#include "base/slice.h"
#include "wire/stun_internal.h"

static void fail(torc_stun_wr *w, int err) {
  if (w->wr->err == 0) {
    w->wr->err = err;
  }
}

void torc_stun_patch_len(torc_stun_wr *w, size_t more) {
  size_t len = w->wr->len - w->start - TORC_STUN_HEADER_LEN + more;
  if (w->wr->err != 0) {
    return;
  }
  if (len > UINT16_MAX) {
    fail(w, TORC_ERR_LIMIT);
    return;
  }
  w->wr->base[w->start + 2] = (uint8_t)(len >> 8);
  w->wr->base[w->start + 3] = (uint8_t)len;
}

void torc_stun_begin(torc_stun_wr *w, torc_wr *wr, torc_stun_class cls, uint16_t method,
                     const uint8_t txid[TORC_STUN_TXID_LEN]) {
  unsigned c = (unsigned)cls;
  unsigned m = method;
  *w = (torc_stun_wr){.wr = wr, .start = wr->len};
  memcpy(w->txid, txid, TORC_STUN_TXID_LEN);
  if (m > TORC_STUN_METHOD_MAX) {
    fail(w, TORC_ERR_LIMIT);
  }
  torc_wr_u16(wr, (uint16_t)((m & 0xfu) | (m & 0x70u) << 1 | (m & 0xf80u) << 2 | (c & 1u) << 4 |
                             (c & 2u) << 7));
  torc_wr_u16(wr, 0);
  torc_wr_u32(wr, TORC_STUN_COOKIE);
  torc_wr_bytes(wr, torc_slice_of(w->txid, TORC_STUN_TXID_LEN));
}

void torc_stun_put(torc_stun_wr *w, uint16_t type, torc_slice value) {
  static const uint8_t zeros[4] = {0};
  const torc_stun_attr_rule *rule = torc_stun_rule(type);
  if (value.len > UINT16_MAX ||
      (rule != NULL && (value.len < rule->min || value.len > rule->max))) {
    fail(w, TORC_ERR_LIMIT);
    return;
  }
  torc_wr_u16(w->wr, type);
  torc_wr_u16(w->wr, (uint16_t)value.len);
  torc_wr_bytes(w->wr, value);
  torc_wr_bytes(w->wr, torc_slice_of(zeros, TORC_STUN_PAD(value.len)));
  torc_stun_patch_len(w, 0);
}

void torc_stun_put_flag(torc_stun_wr *w, uint16_t type) {
  torc_stun_put(w, type, (torc_slice){0});
}

void torc_stun_put_u8(torc_stun_wr *w, uint16_t type, uint8_t v) {
  torc_stun_put(w, type, torc_slice_of(&v, 1));
}

void torc_stun_put_u32(torc_stun_wr *w, uint16_t type, uint32_t v) {
  uint8_t room[4];
  torc_wr value;
  torc_wr_init(&value, room, sizeof room);
  torc_wr_u32(&value, v);
  torc_stun_put(w, type, torc_wr_slice(&value));
}

void torc_stun_put_u64(torc_stun_wr *w, uint16_t type, uint64_t v) {
  uint8_t room[8];
  torc_wr value;
  torc_wr_init(&value, room, sizeof room);
  torc_wr_u64(&value, v);
  torc_stun_put(w, type, torc_wr_slice(&value));
}

void torc_stun_put_addr(torc_stun_wr *w, uint16_t type, const torc_addr *a) {
  uint8_t room[20];
  torc_wr value;
  if (a->family != TORC_STUN_IP4 && a->family != TORC_STUN_IP6) {
    fail(w, TORC_ERR_INVALID);
    return;
  }
  torc_wr_init(&value, room, sizeof room);
  torc_wr_u8(&value, 0);
  torc_wr_u8(&value, a->family);
  torc_wr_u16(&value, a->port);
  torc_wr_bytes(&value, torc_slice_of(a->addr, a->family == TORC_STUN_IP4 ? 4 : 16));
  torc_stun_put(w, type, torc_wr_slice(&value));
}

void torc_stun_put_xor_addr(torc_stun_wr *w, uint16_t type, const torc_addr *a) {
  torc_addr hidden = *a;
  torc_stun_addr_xor(&hidden, w->txid);
  torc_stun_put_addr(w, type, &hidden);
}

void torc_stun_put_error(torc_stun_wr *w, uint16_t code, const char *reason) {
  uint8_t room[4 + TORC_STUN_TEXT_MAX];
  torc_wr value;
  if (code < 300 || code > 699) {
    fail(w, TORC_ERR_INVALID);
    return;
  }
  torc_wr_init(&value, room, sizeof room);
  torc_wr_u16(&value, 0);
  torc_wr_u8(&value, (uint8_t)(code / 100));
  torc_wr_u8(&value, (uint8_t)(code % 100));
  torc_wr_bytes(&value, torc_slice_str(reason));
  if (value.err != 0) {
    fail(w, TORC_ERR_LIMIT);
    return;
  }
  torc_stun_put(w, TORC_STUN_ATTR_ERROR_CODE, torc_wr_slice(&value));
}

void torc_stun_put_unknown(torc_stun_wr *w, const torc_stun_msg *m) {
  uint8_t room[2 * TORC_STUN_MAX_UNKNOWN];
  torc_wr value;
  torc_wr_init(&value, room, sizeof room);
  for (size_t i = 0; i < m->num_unknown && i < TORC_STUN_MAX_UNKNOWN; i++) {
    torc_wr_u16(&value, m->unknown[i]);
  }
  torc_stun_put(w, TORC_STUN_ATTR_UNKNOWN_ATTRIBUTES, torc_wr_slice(&value));
}

void torc_stun_put_fingerprint(torc_stun_wr *w) {
  torc_stun_patch_len(w, 8);
  if (w->wr->err == 0) {
    torc_stun_put_u32(w, TORC_STUN_ATTR_FINGERPRINT,
                      torc_crc32(torc_stun_written(w)) ^ TORC_STUN_FINGERPRINT_XOR);
  }
}

torc_slice torc_stun_written(const torc_stun_wr *w) {
  return torc_slice_of(w->wr->base + w->start, w->wr->len - w->start);
}
