/* STORE requests and answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/elements.h"
#include "wire/storage_pdu.h"
#include "wire/type_set.h"

#define TYPE_INVALID_LOW 0u
#define TYPE_INVALID_HIGH 0xffffffu

/* store_type_data [STO-07]. */
static bool type_get(torc_rd *rd, torc_store_type *out) {
  torc_store_type t = {0};
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  t.type = torc_rd_u24(rd); /* [ENC-04] */
  t.generation = torc_rd_u64(rd);
  t.values = torc_rd_vec16(rd);
  if (rd->err != 0) {
    return false;
  }
  *out = t;
  return true;
}

static int check_types(torc_slice types) {
  torc_type_set seen;
  torc_store_type t;
  torc_rd rd;
  torc_type_set_init(&seen);
  torc_rd_init(&rd, types);
  while (type_get(&rd, &t)) {
    int rc;
    if (t.type == TYPE_INVALID_LOW || t.type == TYPE_INVALID_HIGH) { /* [GAP-143] */
      return TORC_ERR_FORMAT;
    }
    if (t.values.len == 0 || !torc_elements_are_delimited(t.values)) { /* [R-22] [GAP-01] */
      return TORC_ERR_FORMAT;
    }
    rc = torc_type_set_add(&seen, t.type);
    if (rc != 0) {
      return rc;
    }
  }
  if (rd.err != 0) {
    return rd.err;
  }
  return torc_type_set_has_twice(&seen) ? TORC_ERR_FORMAT : 0; /* [STO-05] */
}

/* [STO-04] "STORE / Request Definition"; empty lists are malformed. */
int torc_store_request_decode(torc_store_request *out, torc_slice payload) {
  torc_store_request r = {.types = {.p = NULL, .len = 0}};
  torc_rd rd;
  int rc;
  torc_rd_init(&rd, payload);
  r.resource = torc_rd_id(&rd);
  r.types = torc_rd_vec16(&rd);
  rc = torc_rd_finish(&rd);
  if (rc == 0 && r.types.len == 0) {
    rc = TORC_ERR_FORMAT;
  }
  if (rc == 0) {
    rc = check_types(r.types);
  }
  if (rc == 0) {
    *out = r;
  }
  return rc;
}

bool torc_store_type_next(torc_rd *rd, torc_store_type *out) {
  return type_get(rd, out);
}

size_t torc_store_request_begin(torc_wr *wr, const torc_id *resource) {
  torc_wr_id(wr, resource);
  return torc_wr_begin_u16(wr);
}

size_t torc_store_type_begin(torc_wr *wr, torc_type_id type, uint64_t generation) {
  torc_wr_u24(wr, type);
  torc_wr_u64(wr, generation);
  return torc_wr_begin_u16(wr);
}

void torc_store_type_end(torc_wr *wr, size_t mark) {
  torc_wr_end_u16(wr, mark);
}

void torc_store_request_end(torc_wr *wr, size_t mark) {
  torc_wr_end_u16(wr, mark);
}

/* [STO-28]: packed end to end, no outer length; also what a 412 carries [GAP-60]. */
int torc_store_type_response_put(torc_wr *wr, const torc_store_type_response *r) {
  torc_wr_u24(wr, r->type);
  torc_wr_u64(wr, r->generation);
  return wr->err;
}

bool torc_store_type_response_next(torc_rd *rd, torc_store_type_response *out) {
  torc_store_type_response r = {0};
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  r.type = torc_rd_u24(rd);
  r.generation = torc_rd_u64(rd);
  if (rd->err != 0) {
    return false;
  }
  *out = r;
  return true;
}
