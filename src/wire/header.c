/* Forwarding header. Reading and writing it is the hot path of every peer: no allocation, one pass.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/header.h"

#include <string.h>

#include "base/id.h"
#include "base/slice.h"

#define FRAME_PEEK 16u /* up to and including Length [GAP-48] */
#define AT_FRAGMENT 10u
#define AT_LENGTH 13u
#define FRAG_BIT 0x8000u     /* [HDR-10] */
#define LFRG_BIT 0x4000u     /* [HDR-11] */
#define UNITS_MASK 0x3fffu   /* [HDR-12] [GAP-42] */
#define EXP_BIT 0x80u        /* [HDR-13] */
#define VERSION_MASK 0x7fu   /* [HDR-14] */
#define LENGTH_MAX 0xffffffu /* uint24 [HDR-15] */

size_t torc_id_list_len(torc_slice list) {
  return list.len / TORC_ID_LEN;
}

torc_id torc_id_list_at(torc_slice list, size_t i) {
  return torc_id_from_bytes(list.p + i * TORC_ID_LEN);
}

/* [HDR-01] [GAP-11]: the four octets in front of everything. */
static int check_magic(uint32_t magic) {
  if (magic == TORC_RELO_MAGIC) {
    return 0;
  }
  return magic == TORC_RELO_MAGIC_LATER ? TORC_ERR_INVALID : TORC_ERR_FORMAT;
}

/* [GAP-48]: Length at offset 13 delimits the messages of a stream. */
int torc_frame_peek(torc_slice bytes, uint32_t *length) {
  torc_rd rd;
  uint32_t value;
  int rc;
  if (bytes.len < FRAME_PEEK) {
    return TORC_ERR_SHORT;
  }
  torc_rd_init(&rd, bytes);
  rc = check_magic(torc_rd_u32(&rd));
  if (rc != 0) {
    return rc;
  }
  torc_rd_skip(&rd, 9);
  value = torc_rd_u24(&rd);
  if (value < TORC_HEADER_FIXED || value > TORC_MESSAGE_MAX) { /* */
    return TORC_ERR_LIMIT;
  }
  *length = value;
  return 0;
}

/* Value 0 in any list is malformed, and so is the wildcard where nobody can be it [GAP-37].
 */
static bool list_is_sound(torc_slice list, bool may_hold_wildcard) {
  for (size_t i = 0; i < list.len; i += TORC_ID_LEN) {
    uint64_t half[2];
    memcpy(half, list.p + i, sizeof(half)); /* both values read the same in either byte order */
    if ((half[0] | half[1]) == 0 || (!may_hold_wildcard && (half[0] & half[1]) == UINT64_MAX)) {
      return false;
    }
  }
  return true;
}

/* Bytes 0..27, which hold everything of known size [HDR-20] [ENC-11]. */
static void read_fixed(torc_rd *rd, torc_header *h, uint8_t *num_route, uint8_t *num_via) {
  uint16_t fragment;
  uint8_t version;
  h->overlay = torc_rd_u32(rd); /* [HDR-02] */
  h->ttl = torc_rd_u8(rd);      /* [HDR-04] */
  h->routing = torc_rd_u8(rd);  /* [HDR-08] */
  fragment = torc_rd_u16(rd);
  h->is_fragment = (fragment & FRAG_BIT) != 0;
  h->is_last_fragment = (fragment & LFRG_BIT) != 0; /* without FRAG it means nothing [GAP-44] */
  h->fragment_units = fragment & UNITS_MASK;
  version = torc_rd_u8(rd);
  h->experimental = (version & EXP_BIT) != 0;
  h->version = version & VERSION_MASK;
  h->length = torc_rd_u24(rd); /* [HDR-15] */
  h->xid = torc_rd_u64(rd);    /* [HDR-16] */
  *num_route = torc_rd_u8(rd); /* counted in ids, not bytes [HDR-18] */
  *num_via = torc_rd_u8(rd);
  h->flags = torc_rd_u16(rd); /* undefined bits are kept [HDR-19] [GAP-19] */
}

/* What fails here is dropped and counted; the stream stays in step because Length was good.
 */
int torc_header_decode(torc_header *out, torc_slice msg) {
  torc_header h = {0};
  torc_rd rd;
  uint8_t num_route;
  uint8_t num_via;
  int rc;
  torc_rd_init(&rd, msg);
  rc = check_magic(torc_rd_u32(&rd));
  if (rd.err != 0) {
    return rd.err;
  }
  if (rc != 0) {
    return rc;
  }
  read_fixed(&rd, &h, &num_route, &num_via);
  if (rd.err == 0 && h.length != msg.len) { /* [GAP-16] */
    return TORC_ERR_FORMAT;
  }
  h.route = torc_rd_slice(&rd, (size_t)num_route * TORC_ID_LEN); /* [HDR-21] */
  h.via = torc_rd_slice(&rd, (size_t)num_via * TORC_ID_LEN);     /* [HDR-22] */
  if ((h.flags & TORC_FLAG_ROUTE_LOG) != 0) {                    /* [LOG-04] [GAP-20] */
    h.route_log = torc_rd_vec16(&rd);
  }
  if (rd.err != 0) {
    return rd.err;
  }
  if (!list_is_sound(h.route, true) || !list_is_sound(h.via, false)) {
    return TORC_ERR_FORMAT;
  }
  h.header_len = msg.len - torc_rd_left(&rd); /* contents follow, then the signature [ENC-12] */
  *out = h;
  return 0;
}

void torc_header_set_fragment(uint8_t *head, unsigned kind, uint16_t units, uint32_t length) {
  unsigned fragment = kind | (units & UNITS_MASK);
  head[AT_FRAGMENT] = (uint8_t)(fragment >> 8);
  head[AT_FRAGMENT + 1] = (uint8_t)fragment;
  head[AT_LENGTH] = (uint8_t)(length >> 16);
  head[AT_LENGTH + 1] = (uint8_t)(length >> 8);
  head[AT_LENGTH + 2] = (uint8_t)length;
}

size_t torc_header_size(const torc_header *h) {
  size_t size = TORC_HEADER_FIXED + h->route.len + h->via.len;
  if ((h->flags & TORC_FLAG_ROUTE_LOG) != 0) {
    size += 2 + h->route_log.len;
  }
  return size;
}

static int check_limits(const torc_header *h, size_t body_len) {
  if (h->route.len % TORC_ID_LEN != 0 || h->via.len % TORC_ID_LEN != 0 ||
      h->fragment_units > UNITS_MASK || h->version > VERSION_MASK) {
    return TORC_ERR_INVALID;
  }
  if (h->route.len > TORC_LIST_MAX * TORC_ID_LEN || h->via.len > TORC_LIST_MAX * TORC_ID_LEN) {
    return TORC_ERR_LIMIT; /* [HDR-18] */
  }
  if ((h->flags & TORC_FLAG_ROUTE_LOG) != 0 && h->route_log.len > TORC_VEC16_MAX) {
    return TORC_ERR_LIMIT;
  }
  if (body_len != SIZE_MAX && body_len > TORC_BODY_MAX) {
    return TORC_ERR_LIMIT; /* [GAP-42] */
  }
  return 0;
}

int torc_header_put(torc_wr *wr, const torc_header *h, size_t body_len) {
  unsigned fragment = h->fragment_units;
  size_t length = h->length;
  int rc = check_limits(h, body_len);
  if (rc != 0) {
    return rc;
  }
  if (body_len != SIZE_MAX) {
    length = torc_header_size(h) + body_len; /* rewritten by every forwarder [GAP-16] */
  }
  if (length > LENGTH_MAX) {
    return TORC_ERR_LIMIT;
  }
  fragment |= h->is_fragment ? FRAG_BIT : 0u;
  fragment |= h->is_last_fragment ? LFRG_BIT : 0u;
  torc_wr_u32(wr, TORC_RELO_MAGIC);
  torc_wr_u32(wr, h->overlay);
  torc_wr_u8(wr, h->ttl);
  torc_wr_u8(wr, h->routing);
  torc_wr_u16(wr, (uint16_t)fragment);
  torc_wr_u8(wr, (uint8_t)(h->version | (h->experimental ? EXP_BIT : 0u)));
  torc_wr_u24(wr, (uint32_t)length);
  torc_wr_u64(wr, h->xid);
  torc_wr_u8(wr, (uint8_t)torc_id_list_len(h->route));
  torc_wr_u8(wr, (uint8_t)torc_id_list_len(h->via));
  torc_wr_u16(wr, h->flags);
  torc_wr_bytes(wr, h->route);
  torc_wr_bytes(wr, h->via);
  if ((h->flags & TORC_FLAG_ROUTE_LOG) != 0) {
    torc_wr_vec16(wr, h->route_log); /* the length is there even if 0 [GAP-20] */
  }
  return wr->err;
}
