/* Bounds-checked big-endian reader and writer, and a growing buffer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include <string.h>

#include "base/mem.h"
#include "base/slice.h"

void torc_rd_init(torc_rd *rd, torc_slice s) {
  static const uint8_t nothing[1] = {0};
  rd->p = s.p != NULL ? s.p : nothing;
  rd->end = s.p != NULL ? s.p + s.len : nothing;
  rd->err = 0;
}

size_t torc_rd_left(const torc_rd *rd) {
  return rd->err == 0 ? (size_t)(rd->end - rd->p) : 0;
}

void torc_rd_fail(torc_rd *rd, int err) {
  if (rd->err == 0) {
    rd->err = err;
  }
}

/* The next `len` bytes, or NULL and the sticky error. */
static const uint8_t *take(torc_rd *rd, size_t len) {
  const uint8_t *p = rd->p;
  if (rd->err != 0) {
    return NULL;
  }
  if (len > (size_t)(rd->end - rd->p)) {
    rd->err = TORC_ERR_SHORT;
    return NULL;
  }
  rd->p += len;
  return p;
}

/* Every integer is in network byte order [ENC-01]. Widths are written out: these run for every
 * field of every header forwarded. */
uint8_t torc_rd_u8(torc_rd *rd) {
  const uint8_t *p = take(rd, 1);
  return p != NULL ? p[0] : 0;
}

uint16_t torc_rd_u16(torc_rd *rd) {
  const uint8_t *p = take(rd, 2);
  return p != NULL ? (uint16_t)((unsigned)p[0] << 8 | (unsigned)p[1]) : 0;
}

uint32_t torc_rd_u24(torc_rd *rd) {
  const uint8_t *p = take(rd, 3);
  return p != NULL ? (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2] : 0;
}

static uint32_t load32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint32_t torc_rd_u32(torc_rd *rd) {
  const uint8_t *p = take(rd, 4);
  return p != NULL ? load32(p) : 0;
}

uint64_t torc_rd_u64(torc_rd *rd) {
  const uint8_t *p = take(rd, 8);
  return p != NULL ? (uint64_t)load32(p) << 32 | load32(p + 4) : 0;
}

/* peer_id and resource_id: 128 bits, no length byte [ENC-03] [GAP-06]. */
torc_id torc_rd_id(torc_rd *rd) {
  const uint8_t *p = take(rd, TORC_ID_LEN);
  torc_id id = {{0}};
  if (p != NULL) {
    memcpy(id.b, p, TORC_ID_LEN);
  }
  return id;
}

torc_slice torc_rd_slice(torc_rd *rd, size_t len) {
  const uint8_t *p = take(rd, len);
  return (torc_slice){.p = p, .len = p != NULL ? len : 0};
}

torc_slice torc_rd_rest(torc_rd *rd) {
  return torc_rd_slice(rd, torc_rd_left(rd));
}

void torc_rd_skip(torc_rd *rd, size_t len) {
  (void)take(rd, len);
}

/* The prefix is a length in bytes, never a count; one byte for <255> [ENC-06] [GAP-01]. */
torc_slice torc_rd_vec8(torc_rd *rd) {
  uint8_t len = torc_rd_u8(rd);
  return torc_rd_slice(rd, len);
}

/* Two bytes for <65000>; 65001..65535 is malformed [ENC-06] [GAP-02]. */
torc_slice torc_rd_vec16(torc_rd *rd) {
  uint16_t len = torc_rd_u16(rd);
  if (len > TORC_VEC16_MAX) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
  }
  return torc_rd_slice(rd, len);
}

/* string = char<65000> [ENC-05], UTF-8 without NUL [GAP-10]. */
torc_slice torc_rd_string(torc_rd *rd) {
  torc_slice s = torc_rd_vec16(rd);
  if (!torc_utf8_valid(s)) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
    s = (torc_slice){.p = NULL, .len = 0};
  }
  return s;
}

int torc_rd_finish(torc_rd *rd) {
  if (rd->err == 0 && rd->p != rd->end) {
    rd->err = TORC_ERR_FORMAT;
  }
  return rd->err;
}

void torc_wr_init(torc_wr *wr, void *buf, size_t cap) {
  *wr = (torc_wr){.base = buf, .len = 0, .cap = cap, .err = 0};
}

static void wr_fail(torc_wr *wr, int err) {
  if (wr->err == 0) {
    wr->err = err;
  }
}

/* Room for `len` more bytes, or NULL and the sticky error. */
static uint8_t *room(torc_wr *wr, size_t len) {
  uint8_t *p;
  if (wr->err != 0) {
    return NULL;
  }
  if (len > wr->cap - wr->len) {
    wr->err = TORC_ERR_SPACE;
    return NULL;
  }
  p = wr->base + wr->len;
  wr->len += len;
  return p;
}

static void fill_uint(uint8_t *p, uint64_t v, size_t width) {
  for (size_t i = width; i > 0; i--) {
    p[i - 1] = (uint8_t)v;
    v >>= 8;
  }
}

static void put_uint(torc_wr *wr, uint64_t v, size_t width) {
  uint8_t *p = room(wr, width);
  if (p != NULL) {
    fill_uint(p, v, width);
  }
}

void torc_wr_u8(torc_wr *wr, uint8_t v) {
  uint8_t *p = room(wr, 1);
  if (p != NULL) {
    p[0] = v;
  }
}

void torc_wr_u16(torc_wr *wr, uint16_t v) {
  uint8_t *p = room(wr, 2);
  if (p != NULL) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
  }
}

void torc_wr_u24(torc_wr *wr, uint32_t v) {
  if (v > 0xffffffu) {
    wr_fail(wr, TORC_ERR_LIMIT);
  }
  put_uint(wr, v, 3);
}

static void store32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24);
  p[1] = (uint8_t)(v >> 16);
  p[2] = (uint8_t)(v >> 8);
  p[3] = (uint8_t)v;
}

void torc_wr_u32(torc_wr *wr, uint32_t v) {
  uint8_t *p = room(wr, 4);
  if (p != NULL) {
    store32(p, v);
  }
}

void torc_wr_u64(torc_wr *wr, uint64_t v) {
  uint8_t *p = room(wr, 8);
  if (p != NULL) {
    store32(p, (uint32_t)(v >> 32));
    store32(p + 4, (uint32_t)v);
  }
}

void torc_wr_id(torc_wr *wr, const torc_id *id) {
  torc_wr_bytes(wr, (torc_slice){.p = id->b, .len = TORC_ID_LEN});
}

void torc_wr_bytes(torc_wr *wr, torc_slice s) {
  uint8_t *p = room(wr, s.len);
  if (p != NULL && s.len != 0) {
    memcpy(p, s.p, s.len);
  }
}

void torc_wr_vec8(torc_wr *wr, torc_slice s) {
  if (s.len > TORC_VEC8_MAX) {
    wr_fail(wr, TORC_ERR_LIMIT);
  }
  put_uint(wr, s.len, 1);
  torc_wr_bytes(wr, s);
}

void torc_wr_vec16(torc_wr *wr, torc_slice s) {
  if (s.len > TORC_VEC16_MAX) { /* [GAP-02]: never send more */
    wr_fail(wr, TORC_ERR_LIMIT);
  }
  put_uint(wr, s.len, 2);
  torc_wr_bytes(wr, s);
}

static size_t begin(torc_wr *wr, size_t width) {
  size_t mark = wr->len;
  put_uint(wr, 0, width);
  return mark;
}

size_t torc_wr_begin_u8(torc_wr *wr) {
  return begin(wr, 1);
}

size_t torc_wr_begin_u16(torc_wr *wr) {
  return begin(wr, 2);
}

size_t torc_wr_begin_u32(torc_wr *wr) {
  return begin(wr, 4);
}

static void end_block(torc_wr *wr, size_t mark, size_t width, size_t max) {
  size_t len;
  if (wr->err != 0) {
    return;
  }
  len = wr->len - mark - width;
  if (len > max) {
    wr->err = TORC_ERR_LIMIT;
    return;
  }
  fill_uint(wr->base + mark, len, width);
}

void torc_wr_end_u8(torc_wr *wr, size_t mark) {
  end_block(wr, mark, 1, TORC_VEC8_MAX);
}

void torc_wr_end_u16(torc_wr *wr, size_t mark) {
  end_block(wr, mark, 2, TORC_VEC16_MAX);
}

void torc_wr_end_u32(torc_wr *wr, size_t mark) {
  end_block(wr, mark, 4, UINT32_MAX);
}

torc_slice torc_wr_slice(const torc_wr *wr) {
  return (torc_slice){.p = wr->base, .len = wr->err == 0 ? wr->len : 0};
}

#define BUF_MIN_CAP 64u

void torc_buf_init(torc_buf *b, const torc_mem *mem, size_t max) {
  *b = (torc_buf){.mem = mem, .max = max};
}

void torc_buf_clear(torc_buf *b) {
  torc_free(b->mem, b->p);
  b->p = NULL;
  b->len = 0;
  b->cap = 0;
}

int torc_buf_reserve(torc_buf *b, size_t more) {
  size_t need;
  size_t cap;
  uint8_t *p;
  if (b->len > b->max || more > b->max - b->len) {
    return TORC_ERR_LIMIT;
  }
  need = b->len + more;
  if (need <= b->cap) {
    return 0;
  }
  cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
  cap = cap < BUF_MIN_CAP ? BUF_MIN_CAP : cap;
  cap = cap > b->max ? b->max : cap;
  cap = cap < need ? need : cap;
  p = torc_realloc(b->mem, b->p, cap);
  if (p == NULL) {
    return TORC_ERR_NOMEM;
  }
  b->p = p;
  b->cap = cap;
  return 0;
}

int torc_buf_append(torc_buf *b, torc_slice s) {
  int rc = torc_buf_reserve(b, s.len);
  if (rc == 0 && s.len != 0) {
    memcpy(b->p + b->len, s.p, s.len);
    b->len += s.len;
  }
  return rc;
}

void torc_buf_consume(torc_buf *b, size_t n) {
  if (n >= b->len) {
    b->len = 0;
    return;
  }
  memmove(b->p, b->p + n, b->len - n);
  b->len -= n;
}

torc_slice torc_buf_slice(const torc_buf *b) {
  return (torc_slice){.p = b->p, .len = b->len};
}
