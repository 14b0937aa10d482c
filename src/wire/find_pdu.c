/* FIND.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/storage_pdu.h"

#define TYPE_LEN 3u /* uint24 [ENC-04] */
#define TYPES_MAX (TORC_VEC8_MAX / TYPE_LEN)

size_t torc_find_num_types(const torc_find_request *r) {
  return r->types.len / TYPE_LEN;
}

torc_type_id torc_find_type_at(const torc_find_request *r, size_t i) {
  const uint8_t *p = r->types.p + i * TYPE_LEN;
  return (torc_type_id)p[0] << 16 | (torc_type_id)p[1] << 8 | p[2];
}

/* At most 85 ids, so comparing each with each is cheap. */
static bool has_twice(const torc_find_request *r) {
  size_t num = torc_find_num_types(r);
  for (size_t i = 0; i < num; i++) {
    torc_type_id type = torc_find_type_at(r, i);
    for (size_t k = 0; k < i; k++) {
      if (torc_find_type_at(r, k) == type) {
        return true;
      }
    }
  }
  return false;
}

/* [FND-02] "FIND / Request Definition": `<255>` counts bytes [GAP-01]. */
int torc_find_request_decode(torc_find_request *out, torc_slice payload) {
  torc_find_request r = {.types = {.p = NULL, .len = 0}};
  torc_rd rd;
  torc_rd_init(&rd, payload);
  r.resource = torc_rd_id(&rd);
  r.types = torc_rd_vec8(&rd);
  if (torc_rd_finish(&rd) != 0) {
    return rd.err;
  }
  if (r.types.len == 0 || r.types.len % TYPE_LEN != 0 || has_twice(&r)) { /* [R-22] [FND-03] */
    return TORC_ERR_FORMAT;
  }
  *out = r;
  return 0;
}

int torc_find_request_put(torc_wr *wr, const torc_id *resource, const torc_type_id *types,
                          size_t num_types) {
  size_t mark;
  if (num_types == 0) {
    return TORC_ERR_INVALID;
  }
  if (num_types > TYPES_MAX) {
    return TORC_ERR_LIMIT;
  }
  torc_wr_id(wr, resource);
  mark = torc_wr_begin_u8(wr);
  for (size_t i = 0; i < num_types; i++) {
    torc_wr_u24(wr, types[i]);
  }
  torc_wr_end_u8(wr, mark);
  return wr->err;
}

/* find_type_data, concatenated end to end [FND-04]. */
int torc_find_result_put(torc_wr *wr, const torc_find_result *r) {
  torc_wr_u24(wr, r->type);
  torc_wr_id(wr, &r->closest); /* 0: none known [FND-09] [FND-10] */
  return wr->err;
}

bool torc_find_result_next(torc_rd *rd, torc_find_result *out) {
  torc_find_result r = {0};
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  r.type = torc_rd_u24(rd);
  r.closest = torc_rd_id(rd);
  if (rd->err != 0) {
    return false;
  }
  *out = r;
  return true;
}
