/* FETCH requests and answers, and REMOVE requests, which have the same syntax [REM-04].
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "wire/elements.h"
#include "wire/storage_pdu.h"
#include "wire/type_set.h"

/* [FET-06] [FET-07]: only -1 is special [GAP-88]; with -1 a range may turn out empty. */
static bool range_is_sound(int32_t first, int32_t last) {
  if (first < -1 || last < -1) {
    return false;
  }
  return first == -1 || last == -1 || first <= last;
}

/* A vector of 2-byte-prefixed keys; ends where a key ends [GAP-01]. */
static bool keys_are_delimited(torc_slice keys) {
  torc_rd rd;
  torc_slice key;
  torc_rd_init(&rd, keys);
  while (torc_key_next(&rd, &key)) {
  }
  return rd.err == 0;
}

/* The reference has neither tag nor length: its form follows from the model [FET-03] [GAP-89]. */
static void reference_get(torc_rd *rd, torc_specifier *s) {
  switch (s->model) {
    case TORC_MODEL_SINGLE: /* [FET-05] */
      break;
    case TORC_MODEL_ARRAY:
      s->first = (int32_t)torc_rd_u32(rd);
      s->last = (int32_t)torc_rd_u32(rd);
      if (!range_is_sound(s->first, s->last)) {
        torc_rd_fail(rd, TORC_ERR_FORMAT);
      }
      break;
    case TORC_MODEL_DICTIONARY: /* [FET-08], one prefix per key [GAP-08] */
      s->keys = torc_rd_vec16(rd);
      if (!keys_are_delimited(s->keys)) {
        torc_rd_fail(rd, TORC_ERR_FORMAT);
      }
      break;
    default:
      torc_rd_fail(rd, TORC_ERR_INVALID);
      break;
  }
}

/* 0 and an element, or an error; *type is written as soon as it is known. */
static int specifier_get(torc_rd *rd, const torc_model_lookup *models, torc_specifier *out) {
  torc_specifier s = {0};
  s.type = torc_rd_u24(rd);
  s.generation = torc_rd_u64(rd); /* [FET-04] */
  if (rd->err == 0) {
    out->type = s.type;
    if (!models->model(models->ctx, s.type, &s.model)) {
      torc_rd_fail(rd, TORC_ERR_NOTFOUND); /* nothing after it can be parsed [GAP-89] */
    } else {
      reference_get(rd, &s);
    }
  }
  if (rd->err == 0) {
    *out = s;
  }
  return rd->err;
}

bool torc_specifier_next(torc_rd *rd, const torc_model_lookup *models, torc_specifier *out) {
  torc_specifier s = {0};
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  if (specifier_get(rd, models, &s) != 0) {
    return false;
  }
  *out = s;
  return true;
}

static int check_specifiers(torc_slice list, const torc_model_lookup *models,
                            torc_type_id *unknown) {
  torc_type_set seen;
  torc_specifier s = {0};
  torc_rd rd;
  torc_type_set_init(&seen);
  torc_rd_init(&rd, list);
  while (torc_rd_left(&rd) != 0) {
    int rc = specifier_get(&rd, models, &s);
    if (rc == TORC_ERR_NOTFOUND && unknown != NULL) {
      *unknown = s.type;
    }
    if (rc == 0) {
      rc = torc_type_set_add(&seen, s.type);
    }
    if (rc != 0) {
      return rc;
    }
  }
  return torc_type_set_has_twice(&seen) ? TORC_ERR_FORMAT : 0; /* [R-21] [REM-05] */
}

/* [FET-02] "FETCH / Request Definition"; an empty list is malformed [FET-01]. */
int torc_fetch_request_decode(torc_fetch_request *out, torc_slice payload,
                              const torc_model_lookup *models, torc_type_id *unknown) {
  torc_fetch_request r = {.specifiers = {.p = NULL, .len = 0}};
  torc_rd rd;
  int rc;
  torc_rd_init(&rd, payload);
  r.resource = torc_rd_id(&rd);
  r.specifiers = torc_rd_vec16(&rd);
  rc = torc_rd_finish(&rd);
  if (rc == 0 && r.specifiers.len == 0) {
    rc = TORC_ERR_FORMAT;
  }
  if (rc == 0) {
    rc = check_specifiers(r.specifiers, models, unknown);
  }
  if (rc == 0) {
    *out = r;
  }
  return rc;
}

bool torc_key_next(torc_rd *rd, torc_slice *key) {
  torc_slice k;
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  k = torc_rd_vec16(rd);
  if (rd->err != 0) {
    return false;
  }
  *key = k;
  return true;
}

size_t torc_fetch_request_begin(torc_wr *wr, const torc_id *resource) {
  torc_wr_id(wr, resource);
  return torc_wr_begin_u16(wr);
}

int torc_specifier_put(torc_wr *wr, const torc_specifier *s) {
  switch (s->model) {
    case TORC_MODEL_SINGLE:
      torc_wr_u24(wr, s->type);
      torc_wr_u64(wr, s->generation);
      return wr->err;
    case TORC_MODEL_ARRAY:
      if (!range_is_sound(s->first, s->last)) {
        return TORC_ERR_INVALID;
      }
      torc_wr_u24(wr, s->type);
      torc_wr_u64(wr, s->generation);
      torc_wr_u32(wr, (uint32_t)s->first);
      torc_wr_u32(wr, (uint32_t)s->last);
      return wr->err;
    case TORC_MODEL_DICTIONARY:
      if (!keys_are_delimited(s->keys)) {
        return TORC_ERR_INVALID;
      }
      torc_wr_u24(wr, s->type);
      torc_wr_u64(wr, s->generation);
      torc_wr_vec16(wr, s->keys);
      return wr->err;
    default:
      return TORC_ERR_INVALID;
  }
}

void torc_fetch_request_end(torc_wr *wr, size_t mark) {
  torc_wr_end_u16(wr, mark);
}

/* [FET-11] "FETCH / Response Definition". No values: the requester's copy is current [FET-13]. A
 * type whose values need more than 65000 bytes comes as consecutive elements [GAP-86]. */
bool torc_fetch_response_next(torc_rd *rd, torc_fetch_response *out) {
  torc_fetch_response r = {0};
  if (torc_rd_left(rd) == 0) {
    return false;
  }
  r.type = torc_rd_u24(rd);
  r.generation = torc_rd_u64(rd);
  r.values = torc_rd_vec16(rd);
  if (!torc_elements_are_delimited(r.values)) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
  }
  if (rd->err != 0) {
    return false;
  }
  *out = r;
  return true;
}

size_t torc_fetch_response_begin(torc_wr *wr, torc_type_id type, uint64_t generation) {
  torc_wr_u24(wr, type);
  torc_wr_u64(wr, generation);
  return torc_wr_begin_u16(wr);
}

void torc_fetch_response_end(torc_wr *wr, size_t mark) {
  torc_wr_end_u16(wr, mark);
}
