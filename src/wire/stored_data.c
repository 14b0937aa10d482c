/* stored_data and what of it is signed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "wire/storage_pdu.h"

#define LENGTH_FIELD 4u
#define TIMES 8u /* storage_time and lifetime */

/* data-value [STO-14]: no tag, no prefix of its own [GAP-03]; the type's model says what it is. */
static void entry_get(torc_rd *rd, torc_model model, torc_entry *e) {
  e->model = model;
  e->index = 0;
  switch (model) {
    case TORC_MODEL_SINGLE:
      break;
    case TORC_MODEL_ARRAY: /* [STO-24]; -1 appends [STO-26], other negatives are malformed [GAP-88]
                            */
      e->index = (int32_t)torc_rd_u32(rd);
      if (e->index < -1) {
        torc_rd_fail(rd, TORC_ERR_FORMAT);
      }
      break;
    case TORC_MODEL_DICTIONARY: /* [STO-27]; keys are raw bytes [GAP-08] */
      e->key = torc_rd_vec16(rd);
      break;
    default:
      torc_rd_fail(rd, TORC_ERR_INVALID);
      break;
  }
  e->value = torc_rd_vec16(rd);
}

static bool entry_is_sound(const torc_entry *e) {
  switch (e->model) {
    case TORC_MODEL_ARRAY:
      return e->index >= -1;
    case TORC_MODEL_SINGLE:
    case TORC_MODEL_DICTIONARY:
      return true;
    default:
      return false;
  }
}

/* What stands in front of the value's own bytes, its length included. */
static void entry_put_head(torc_wr *wr, const torc_entry *e, int32_t index) {
  if (e->model == TORC_MODEL_ARRAY) {
    torc_wr_u32(wr, (uint32_t)index);
  } else if (e->model == TORC_MODEL_DICTIONARY) {
    torc_wr_vec16(wr, e->key);
  }
  if (e->value.len > TORC_VEC16_MAX) {
    wr->err = wr->err != 0 ? wr->err : TORC_ERR_LIMIT;
  }
  torc_wr_u16(wr, (uint16_t)e->value.len);
}

/* [STO-08] "STORE / Request Definition". `length` does not count itself [STO-09] [GAP-05]. Bytes
 * after the entry are a signature, or there is none [GAP-25]. */
int torc_stored_data_get(torc_rd *rd, torc_model model, torc_stored_data *out) {
  torc_stored_data v = {0};
  torc_rd sub;
  torc_slice element;
  const uint8_t *start = rd->p;
  uint32_t length = torc_rd_u32(rd);
  int rc;
  element = torc_rd_slice(rd, length);
  if (rd->err != 0) {
    return rd->err;
  }
  torc_rd_init(&sub, element);
  v.storage_time = torc_rd_u32(&sub); /* [STO-10] */
  v.lifetime = torc_rd_u32(&sub);     /* [STO-12] */
  entry_get(&sub, model, &v.entry);
  v.bytes = torc_slice_of(start, LENGTH_FIELD + element.len);
  v.entry_bytes = torc_slice_sub(element, TIMES, element.len - torc_rd_left(&sub) - TIMES);
  rc = torc_signature_get(&sub, &v.signature);
  if (rc == 0) {
    rc = torc_rd_finish(&sub);
  }
  if (rc != 0) {
    torc_rd_fail(rd, rc);
    return rc;
  }
  *out = v;
  return 0;
}

int torc_stored_data_put(torc_wr *wr, const torc_stored_data *v) {
  size_t mark;
  int rc;
  if (!entry_is_sound(&v->entry)) {
    return TORC_ERR_INVALID;
  }
  mark = torc_wr_begin_u32(wr);
  torc_wr_u32(wr, v->storage_time);
  torc_wr_u32(wr, v->lifetime);
  entry_put_head(wr, &v->entry, v->entry.index);
  torc_wr_bytes(wr, v->entry.value);
  rc = torc_signature_put(wr, &v->signature);
  if (rc != 0) {
    return rc;
  }
  torc_wr_end_u32(wr, mark);
  return wr->err;
}

/* [FET-15] "FETCH / Response Definition" in the form of [GAP-87]; also the holes of an array
 * [STO-25]. */
int torc_stored_data_put_absent(torc_wr *wr, const torc_entry *e) {
  torc_stored_data v = {.storage_time = 0, .lifetime = 0, .entry = *e};
  v.entry.value = (torc_slice){.p = NULL, .len = 0};
  return torc_stored_data_put(wr, &v);
}

/* [GAP-87]: a real empty value has a storage time. */
bool torc_stored_data_is_absent(const torc_stored_data *v) {
  return v->storage_time == 0 && v->lifetime == 0 && v->entry.value.len == 0 &&
         !v->signature.is_present;
}

size_t torc_stored_data_size(const torc_stored_data *v) {
  const torc_identity *id = &v->signature.identity;
  size_t size = LENGTH_FIELD + TIMES + 4 + 2 + v->entry.key.len + 2 + v->entry.value.len;
  if (v->signature.is_present) {
    size += 1 + 2 + v->signature.value.len + 1 + TORC_ID_LEN + 2 + id->name.len + id->cert.len;
  }
  return size;
}

/* [SIG-07] [GAP-55]; an array's index counts as 0, so that an appended element stays valid at the
 * place its holder gives it [GAP-56]. */
int torc_data_signed_prefix_put(torc_wr *wr, const torc_id *resource, torc_type_id type,
                                const torc_stored_data *v) {
  if (!entry_is_sound(&v->entry)) {
    return TORC_ERR_INVALID;
  }
  torc_wr_id(wr, resource);
  torc_wr_u24(wr, type);
  torc_wr_u32(wr, v->storage_time);
  torc_wr_u32(wr, v->lifetime);
  entry_put_head(wr, &v->entry, 0);
  return wr->err;
}
