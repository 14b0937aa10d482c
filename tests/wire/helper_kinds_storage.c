/* Vectors of STORE, FETCH, REMOVE, FIND and stored_data. Data models come from the vector's lines
 * "given model" (one type) or from the table below, which README.md of the vectors repeats.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "wire/helper_vectors.h"
#include "wire/storage_pdu.h"

static bool model_of(const void *ctx, torc_type_id type, torc_model *out) {
  (void)ctx;
  switch (type) {
    case 1: /* SIP-REGISTRATION */
      *out = TORC_MODEL_DICTIONARY;
      return true;
    case 2: /* TURN-SERVICE */
      *out = TORC_MODEL_SINGLE;
      return true;
    case 3: /* CERTIFICATE */
      *out = TORC_MODEL_ARRAY;
      return true;
    case 0xf00001: /* three private types */
      *out = TORC_MODEL_SINGLE;
      return true;
    case 0xf00002:
      *out = TORC_MODEL_ARRAY;
      return true;
    case 0xf00003:
      *out = TORC_MODEL_DICTIONARY;
      return true;
    default:
      return false;
  }
}

static const torc_model_lookup models = {.ctx = NULL, .model = model_of};

static void add_stored_data(vec_text *t, const char *prefix, const torc_stored_data *v) {
  vec_add_number(t, prefix, "storage_time", v->storage_time);
  vec_add_number(t, prefix, "lifetime", v->lifetime);
  if (v->entry.model == TORC_MODEL_ARRAY) {
    vec_add(t, "%sindex = %d\n", prefix, v->entry.index);
  } else if (v->entry.model == TORC_MODEL_DICTIONARY) {
    vec_add_hex(t, prefix, "key", v->entry.key);
  }
  vec_add_hex(t, prefix, "value", v->entry.value);
  vec_add_signature(t, prefix, &v->signature);
  if (torc_stored_data_is_absent(v)) {
    vec_add_word(t, prefix, "nonexistent", "yes");
  }
}

static torc_model given_model(const vec *v) {
  const char *model = vec_given(v, "model");
  if (model != NULL && strcmp(model, "array") == 0) {
    return TORC_MODEL_ARRAY;
  }
  if (model != NULL && strcmp(model, "dictionary") == 0) {
    return TORC_MODEL_DICTIONARY;
  }
  return TORC_MODEL_SINGLE;
}

/* resource ++ type ++ storage_time ++ lifetime ++ data-value */
static void add_signed_input(vec_text *out, const vec *v, const torc_stored_data *d) {
  const char *resource = vec_given(v, "resource");
  const char *type = vec_given(v, "type");
  torc_id id;
  uint8_t *input;
  size_t prefix_max = TORC_DATA_SIGNED_PREFIX_MAX(d->entry.key.len);
  torc_wr wr;
  if (resource == NULL || type == NULL || torc_id_parse(resource, 32, &id) != 0) {
    return;
  }
  input = malloc(prefix_max + d->entry.value.len);
  if (input == NULL) {
    exit(2);
  }
  torc_wr_init(&wr, input, prefix_max);
  if (torc_data_signed_prefix_put(&wr, &id, (torc_type_id)strtoul(type, NULL, 16), d) == 0) {
    wr.cap += d->entry.value.len;
    torc_wr_bytes(&wr, d->entry.value);
    vec_add_hex(out, "", "signed_input", torc_wr_slice(&wr));
  }
  free(input);
}

/* Both ways of naming the same bytes must agree. */
static void check_bytes(const torc_stored_data *d, torc_slice whole) {
  if (!torc_slice_eq(d->bytes, whole) || d->entry_bytes.p < d->bytes.p ||
      d->entry_bytes.p + d->entry_bytes.len > d->bytes.p + d->bytes.len ||
      torc_stored_data_size(d) < whole.len) {
    fprintf(stderr, "stored_data: borrowed bytes or size are wrong\n");
    abort();
  }
}

static int run_stored_data(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                           int *encode_rc) {
  torc_stored_data d;
  torc_rd rd;
  int rc;
  torc_rd_init(&rd, in);
  rc = torc_stored_data_get(&rd, given_model(v), &d);
  if (rc == 0) {
    rc = torc_rd_finish(&rd);
  }
  if (rc != 0) {
    return rc;
  }
  check_bytes(&d, in);
  add_stored_data(out, "", &d);
  vec_add_hex(out, "", "data_value", d.entry_bytes);
  add_signed_input(out, v, &d);
  if (torc_stored_data_is_absent(&d)) {
    *encode_rc = torc_stored_data_put_absent(again, &d.entry);
  } else {
    *encode_rc = torc_stored_data_put(again, &d);
  }
  return 0;
}

/* The elements of one type, printed and encoded again. */
static int run_values(torc_slice values, torc_type_id type, const char *prefix, vec_text *out,
                      torc_wr *again, int *encode_rc) {
  torc_model model;
  torc_rd rd;
  if (!model_of(NULL, type, &model)) {
    return TORC_ERR_NOTFOUND;
  }
  torc_rd_init(&rd, values);
  for (int i = 0; torc_rd_left(&rd) != 0; i++) {
    torc_stored_data d;
    char inner[80];
    int rc = torc_stored_data_get(&rd, model, &d);
    if (rc != 0) {
      return rc;
    }
    snprintf(inner, sizeof(inner), "%svalues[%d].", prefix, i);
    add_stored_data(out, inner, &d);
    if (*encode_rc == 0) {
      *encode_rc = torc_stored_data_put(again, &d);
    }
  }
  return 0;
}

static int run_store_request(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                             int *encode_rc) {
  torc_store_request r;
  torc_store_type t;
  torc_rd rd;
  size_t mark;
  int rc = torc_store_request_decode(&r, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_hex(out, "", "resource", torc_slice_of(r.resource.b, TORC_ID_LEN));
  mark = torc_store_request_begin(again, &r.resource);
  torc_rd_init(&rd, r.types);
  for (int i = 0; rc == 0 && torc_store_type_next(&rd, &t); i++) {
    char prefix[32];
    size_t type_mark = torc_store_type_begin(again, t.type, t.generation);
    snprintf(prefix, sizeof(prefix), "types[%d].", i);
    vec_add(out, "%stype = 0x%06x\n", prefix, t.type);
    vec_add_number(out, prefix, "generation", t.generation);
    rc = run_values(t.values, t.type, prefix, out, again, encode_rc);
    torc_store_type_end(again, type_mark);
  }
  torc_store_request_end(again, mark);
  return rc;
}

static int run_store_response(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                              int *encode_rc) {
  torc_store_type_response r;
  torc_rd rd;
  (void)v;
  torc_rd_init(&rd, in);
  for (int i = 0; torc_store_type_response_next(&rd, &r); i++) {
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "types[%d].", i);
    vec_add(out, "%stype = 0x%06x\n", prefix, r.type);
    vec_add_number(out, prefix, "generation", r.generation);
    if (*encode_rc == 0) {
      *encode_rc = torc_store_type_response_put(again, &r);
    }
  }
  return rd.err;
}

static void add_specifier(vec_text *out, const char *prefix, const torc_specifier *s) {
  torc_slice key;
  torc_rd rd;
  vec_add(out, "%stype = 0x%06x\n", prefix, s->type);
  vec_add_number(out, prefix, "generation", s->generation);
  if (s->model == TORC_MODEL_ARRAY) {
    vec_add(out, "%sfirst = %d\n", prefix, s->first);
    vec_add(out, "%slast = %d\n", prefix, s->last);
  } else if (s->model == TORC_MODEL_DICTIONARY) {
    vec_add_word(out, prefix, "keys", s->keys.len == 0 ? "all" : "listed");
    torc_rd_init(&rd, s->keys);
    for (int i = 0; torc_key_next(&rd, &key); i++) {
      char name[32];
      snprintf(name, sizeof(name), "keys[%d]", i);
      vec_add_hex(out, prefix, name, key);
    }
  }
}

static int run_fetch_request(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                             int *encode_rc) {
  torc_fetch_request r;
  torc_specifier s;
  torc_type_id unknown = 0;
  torc_rd rd;
  size_t mark;
  int rc = torc_fetch_request_decode(&r, in, &models, &unknown);
  (void)v;
  if (rc == TORC_ERR_NOTFOUND) {
    vec_add(out, "unknown_type = 0x%06x\n", unknown);
  }
  if (rc != 0) {
    return rc;
  }
  vec_add_hex(out, "", "resource", torc_slice_of(r.resource.b, TORC_ID_LEN));
  mark = torc_fetch_request_begin(again, &r.resource);
  torc_rd_init(&rd, r.specifiers);
  for (int i = 0; torc_specifier_next(&rd, &models, &s); i++) {
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "specifiers[%d].", i);
    add_specifier(out, prefix, &s);
    if (*encode_rc == 0) {
      *encode_rc = torc_specifier_put(again, &s);
    }
  }
  torc_fetch_request_end(again, mark);
  return rd.err;
}

static int run_fetch_response(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                              int *encode_rc) {
  torc_fetch_response r;
  torc_rd rd;
  (void)v;
  torc_rd_init(&rd, in);
  for (int i = 0; torc_fetch_response_next(&rd, &r); i++) {
    char prefix[32];
    size_t mark = torc_fetch_response_begin(again, r.type, r.generation);
    int rc;
    snprintf(prefix, sizeof(prefix), "types[%d].", i);
    vec_add(out, "%stype = 0x%06x\n", prefix, r.type);
    vec_add_number(out, prefix, "generation", r.generation);
    rc = run_values(r.values, r.type, prefix, out, again, encode_rc);
    if (rc != 0) {
      return rc;
    }
    torc_fetch_response_end(again, mark);
  }
  return rd.err;
}

static int run_find_request(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                            int *encode_rc) {
  torc_find_request r;
  torc_type_id types[85];
  size_t num;
  int rc = torc_find_request_decode(&r, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_hex(out, "", "resource", torc_slice_of(r.resource.b, TORC_ID_LEN));
  vec_add(out, "types =");
  num = torc_find_num_types(&r);
  for (size_t i = 0; i < num; i++) {
    types[i] = torc_find_type_at(&r, i);
    vec_add(out, " 0x%06x", types[i]);
  }
  vec_add(out, "\n");
  *encode_rc = torc_find_request_put(again, &r.resource, types, num);
  return 0;
}

static int run_find_response(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                             int *encode_rc) {
  torc_find_result r;
  torc_rd rd;
  (void)v;
  torc_rd_init(&rd, in);
  for (int i = 0; torc_find_result_next(&rd, &r); i++) {
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "types[%d].", i);
    vec_add(out, "%stype = 0x%06x\n", prefix, r.type);
    vec_add_hex(out, prefix, "closest_resource", torc_slice_of(r.closest.b, TORC_ID_LEN));
    if (*encode_rc == 0) {
      *encode_rc = torc_find_result_put(again, &r);
    }
  }
  return rd.err;
}

const vec_kind vec_storage_kinds[] = {
    {"stored_data", run_stored_data, true},
    {"store_request", run_store_request, true},
    {"store_response", run_store_response, true},
    {"fetch_request", run_fetch_request, true},
    {"remove_request", run_fetch_request, true},
    {"fetch_response", run_fetch_response, true},
    {"find_request", run_find_request, true},
    {"find_response", run_find_response, true},
    {NULL, NULL, false},
};
