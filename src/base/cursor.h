/* Bounds-checked big-endian reader and writer with a sticky error (style 7 and 8).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_CURSOR_H
#define TORC_BASE_CURSOR_H

#include "torc/types.h"

/* Reader over borrowed bytes. After the first error every read gives 0 or an empty slice. */
typedef struct torc_rd {
  const uint8_t *p;
  const uint8_t *end;
  int err; /* 0, TORC_ERR_SHORT or TORC_ERR_FORMAT */
} torc_rd;

void torc_rd_init(torc_rd *rd, torc_slice s);
size_t torc_rd_left(const torc_rd *rd);
/* Integers of the widths that the draft names [ENC-02] [ENC-04]. */
uint8_t torc_rd_u8(torc_rd *rd);
uint16_t torc_rd_u16(torc_rd *rd);
uint32_t torc_rd_u24(torc_rd *rd);
uint32_t torc_rd_u32(torc_rd *rd);
uint64_t torc_rd_u64(torc_rd *rd);
torc_id torc_rd_id(torc_rd *rd);
torc_slice torc_rd_slice(torc_rd *rd, size_t len);
torc_slice torc_rd_rest(torc_rd *rd);
void torc_rd_skip(torc_rd *rd, size_t len);
/* Sets the sticky error unless one is set. */
void torc_rd_fail(torc_rd *rd, int err);
/* A vector with a prefix of 1 or 2 bytes holding its byte length. `max` is the draft's ceiling:
 * a prefix above it is TORC_ERR_FORMAT [GAP-01] [GAP-02]. */
torc_slice torc_rd_vec8(torc_rd *rd);
torc_slice torc_rd_vec16(torc_rd *rd);
/* As torc_rd_vec16, and the bytes must be UTF-8 without NUL [GAP-10]. */
torc_slice torc_rd_string(torc_rd *rd);
/* TORC_ERR_FORMAT if bytes are left over [GAP-09]; returns rd->err. */
int torc_rd_finish(torc_rd *rd) TORC_MUST_CHECK;

#define TORC_VEC16_MAX 65000u /* [ENC-06] [GAP-02] */
#define TORC_VEC8_MAX 255u

/* Writer into a caller's buffer of fixed capacity. After TORC_ERR_SPACE nothing more is written. */
typedef struct torc_wr {
  uint8_t *base;
  size_t len; /* bytes written */
  size_t cap;
  int err; /* 0, TORC_ERR_SPACE or TORC_ERR_LIMIT */
} torc_wr;

void torc_wr_init(torc_wr *wr, void *buf, size_t cap);
void torc_wr_u8(torc_wr *wr, uint8_t v);
void torc_wr_u16(torc_wr *wr, uint16_t v);
void torc_wr_u24(torc_wr *wr, uint32_t v); /* TORC_ERR_LIMIT above 2^24-1 */
void torc_wr_u32(torc_wr *wr, uint32_t v);
void torc_wr_u64(torc_wr *wr, uint64_t v);
void torc_wr_id(torc_wr *wr, const torc_id *id);
void torc_wr_bytes(torc_wr *wr, torc_slice s);
void torc_wr_vec8(torc_wr *wr, torc_slice s);  /* TORC_ERR_LIMIT above 255 bytes */
void torc_wr_vec16(torc_wr *wr, torc_slice s); /* TORC_ERR_LIMIT above 65000 bytes */
/* Reserves a length field, to be patched when its block closes; returns the mark. */
size_t torc_wr_begin_u8(torc_wr *wr);
size_t torc_wr_begin_u16(torc_wr *wr);
size_t torc_wr_begin_u32(torc_wr *wr);
/* Close a block: the field holds the bytes written since. _u16 fails with TORC_ERR_LIMIT above
 * 65000 bytes. */
void torc_wr_end_u8(torc_wr *wr, size_t mark);
void torc_wr_end_u16(torc_wr *wr, size_t mark);
void torc_wr_end_u32(torc_wr *wr, size_t mark);
torc_slice torc_wr_slice(const torc_wr *wr);

/* A growing byte buffer on `mem`, bounded by `max`. Not a writer: reserve room, write with a
 * torc_wr over it, then commit. */
typedef struct torc_buf {
  const torc_mem *mem;
  uint8_t *p;
  size_t len, cap, max;
} torc_buf;

void torc_buf_init(torc_buf *b, const torc_mem *mem, size_t max);
void torc_buf_clear(torc_buf *b); /* frees */
/* Makes room for `more` bytes after len. TORC_ERR_LIMIT beyond max, TORC_ERR_NOMEM. */
int torc_buf_reserve(torc_buf *b, size_t more) TORC_MUST_CHECK;
int torc_buf_append(torc_buf *b, torc_slice s) TORC_MUST_CHECK;
void torc_buf_consume(torc_buf *b, size_t n); /* drops n bytes from the front */
torc_slice torc_buf_slice(const torc_buf *b);

#endif
