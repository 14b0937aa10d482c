/* FETCH: what is stored, as it was received; what is not, as nonexistent values.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "overlay/storage/slot.h"
#include "wire/header.h"

#define ANSWER_MAX \
  (TORC_BODY_MAX - 4096u) /* room for the header of the contents and the signature [GAP-86] */
#define HEAD_LEN 13u      /* type, generation, length of the values */

/* The answer to one specifier: a run of fetch_response elements. */
typedef struct answer {
  torc_store *s;
  torc_slot slot;
  torc_buf *out;
  size_t head; /* where the open element begins */
} answer;

static int open_response(answer *a) {
  uint8_t buf[HEAD_LEN];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  torc_wr_u24(&wr, a->slot.type_id);
  torc_wr_u64(&wr, a->slot.meta.generation);
  torc_wr_u16(&wr, 0);
  a->head = a->out->len;
  if (a->out->len + wr.len > ANSWER_MAX) {
    return TORC_ERR_LIMIT;
  }
  return torc_buf_append(a->out, torc_wr_slice(&wr));
}

static void close_response(answer *a) {
  size_t len = a->out->len - a->head - HEAD_LEN;
  a->out->p[a->head + HEAD_LEN - 2] = (uint8_t)(len >> 8);
  a->out->p[a->head + HEAD_LEN - 1] = (uint8_t)len;
}

/* Adds one stored_data; [GAP-86] the type's element is repeated when it is full. */
static int add_value(answer *a, torc_slice bytes) {
  int rc = 0;
  if (a->out->len - a->head - HEAD_LEN + bytes.len > TORC_VEC16_MAX) {
    close_response(a);
    rc = bytes.len > TORC_VEC16_MAX ? TORC_ERR_LIMIT : open_response(a);
  }
  if (rc == 0 && a->out->len + bytes.len > ANSWER_MAX) {
    rc = TORC_ERR_LIMIT;
  }
  return rc != 0 ? rc : torc_buf_append(a->out, bytes);
}

/* [FET-15] [FET-16] [GAP-87] */
static int add_absent(answer *a, const torc_entry *e) {
  torc_stored_data shape = {.entry = *e};
  torc_buf *scratch = &a->s->scratch;
  scratch->len = 0;
  int rc = torc_buf_reserve(scratch, torc_stored_data_size(&shape));
  if (rc != 0) {
    return rc;
  }
  torc_wr wr;
  torc_wr_init(&wr, scratch->p, scratch->cap);
  rc = torc_stored_data_put_absent(&wr, e);
  return rc != 0 ? rc : add_value(a, torc_wr_slice(&wr));
}

static int add_named(answer *a, const torc_entry *e) {
  torc_rkey key;
  torc_element found;
  int rc = torc_slot_key(a->s, &a->slot, TORC_KIND_ELEMENT, e, &key);
  if (rc == 0) {
    rc = torc_slot_get(a->s, &key, &found);
  }
  if (rc == TORC_ERR_NOTFOUND) {
    return add_absent(a, e);
  }
  return rc != 0 ? rc : add_value(a, found.bytes);
}

static int add_holes(answer *a, uint32_t from, uint32_t to) {
  int rc = 0;
  for (uint32_t i = from; i < to && rc == 0; i++) {
    /* [STO-25] an unset index is an empty value. */
    rc = add_absent(a, &(torc_entry){.model = TORC_MODEL_ARRAY, .index = (int32_t)i});
  }
  return rc;
}

/* [GAP-88] the range clipped to the array, holes included, in the order of the indexes. */
static int add_range(answer *a, const torc_specifier *spec) {
  uint32_t at = 0;
  uint32_t to = 0;
  if (!torc_array_range(spec->first, spec->last, a->slot.meta.top, &at, &to)) {
    return 0;
  }
  int rc = 0;
  while (rc == 0 && at <= to) {
    torc_rkey key;
    torc_slot_index_key(&a->slot, TORC_KIND_ELEMENT, at, &key);
    torc_slice value;
    torc_element e;
    rc = torc_txn_seek(a->s, &key, key.len - 4, &key, &value);
    if (rc == 0) {
      rc = torc_element_get(&e, value);
    }
    uint32_t found = rc == 0 ? torc_slot_key_index(&key) : to + 1;
    if (rc == 0 || rc == TORC_ERR_NOTFOUND) {
      int ended = rc;
      rc = add_holes(a, at, found <= to ? found : to + 1);
      if (rc == 0 && ended == 0 && found <= to) {
        rc = add_value(a, e.bytes);
      }
    }
    at = found <= to ? found + 1 : to + 1;
  }
  return rc;
}

/* A run of long keys that share their first bytes: their records lie in the order of hashes. */
typedef struct key_run {
  const torc_mem *mem;
  torc_slice *list; /* stored_data bytes */
  torc_slice *keys;
  size_t len, cap;
} key_run;

static void run_clear(key_run *r) {
  torc_free(r->mem, r->list);
  torc_free(r->mem, r->keys);
  *r = (key_run){.mem = r->mem};
}

static int run_grow(key_run *r) {
  size_t cap = r->cap == 0 ? 16 : r->cap * 2;
  torc_slice *list = torc_realloc(r->mem, r->list, cap * sizeof *list);
  if (list == NULL) {
    return TORC_ERR_NOMEM;
  }
  r->list = list;
  torc_slice *keys = torc_realloc(r->mem, r->keys, cap * sizeof *keys);
  if (keys == NULL) {
    return TORC_ERR_NOMEM;
  }
  r->keys = keys;
  r->cap = cap;
  return 0;
}

static int run_add(key_run *r, torc_slice bytes) {
  torc_rd rd;
  torc_rd_init(&rd, bytes);
  torc_stored_data d;
  int rc = torc_stored_data_get(&rd, TORC_MODEL_DICTIONARY, &d);
  if (rc == 0 && r->len == r->cap) {
    rc = run_grow(r);
  }
  if (rc != 0) {
    return rc;
  }
  r->list[r->len] = bytes;
  r->keys[r->len] = d.entry.key;
  r->len++;
  return 0;
}

static void run_swap(key_run *r, size_t a, size_t b) {
  torc_slice t = r->list[a];
  r->list[a] = r->list[b];
  r->list[b] = t;
  t = r->keys[a];
  r->keys[a] = r->keys[b];
  r->keys[b] = t;
}

/* Heap sort: no recursion, no worst case that a peer could choose. */
static void run_sift(key_run *r, size_t at, size_t len) {
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= len) {
      return;
    }
    if (child + 1 < len && torc_slice_cmp(r->keys[child + 1], r->keys[child]) > 0) {
      child++;
    }
    if (torc_slice_cmp(r->keys[child], r->keys[at]) <= 0) {
      return;
    }
    run_swap(r, at, child);
    at = child;
  }
}

static void run_sort(key_run *r) {
  for (size_t i = r->len / 2; i > 0; i--) {
    run_sift(r, i - 1, r->len);
  }
  for (size_t end = r->len; end > 1; end--) {
    run_swap(r, 0, end - 1);
    run_sift(r, 0, end - 1);
  }
}

static int run_flush(key_run *r, answer *a) {
  int rc = 0;
  run_sort(r);
  for (size_t i = 0; i < r->len && rc == 0; i++) {
    rc = add_value(a, r->list[i]);
  }
  r->len = 0;
  return rc;
}

/* all pairs, ascending by key. */
static int add_all(answer *a) {
  torc_rkey key;
  torc_rkey_slot(&key, &a->slot.resource, a->slot.type_id, TORC_KIND_ELEMENT);
  size_t prefix = key.len;
  size_t shared = prefix + TORC_RECORD_KEY_RAW;
  torc_rkey run_start = {.len = 0};
  key_run run = {.mem = a->s->mem};
  torc_slice value;
  int rc = torc_txn_seek(a->s, &key, prefix, &key, &value);
  while (rc == 0) {
    torc_element e;
    rc = torc_element_get(&e, value);
    bool is_hashed = key.len == prefix + TORC_RECORD_KEY_HASHED;
    bool is_in_run = is_hashed && run.len > 0 && memcmp(run_start.b, key.b, shared) == 0;
    if (rc == 0 && !is_in_run) {
      rc = run_flush(&run, a);
      run_start = key;
    }
    if (rc == 0) {
      rc = is_hashed ? run_add(&run, e.bytes) : add_value(a, e.bytes);
    }
    if (rc == 0) {
      torc_rkey_next(&key);
      rc = torc_txn_seek(a->s, &key, prefix, &key, &value);
    }
  }
  if (rc == TORC_ERR_NOTFOUND) {
    rc = run_flush(&run, a);
  }
  run_clear(&run);
  return rc;
}

static int add_keys(answer *a, torc_slice keys) {
  torc_rd rd;
  torc_rd_init(&rd, keys);
  torc_entry e = {.model = TORC_MODEL_DICTIONARY};
  int rc = 0;
  while (rc == 0 && torc_key_next(&rd, &e.key)) {
    rc = add_named(a, &e); /* in the order asked, a repeated key each time */
  }
  return rc;
}

static int add_specifier(answer *a, const torc_specifier *spec) {
  int rc = open_response(a); /* [FET-12] one for each type */
  if (rc != 0) {
    return rc;
  }
  /* [FET-09] [FET-13] [GAP-90] [GAP-91] the counter is the type's; 0 stands for no cached state. */
  if (spec->generation == 0 || spec->generation != a->slot.meta.generation) {
    if (spec->model == TORC_MODEL_ARRAY) {
      rc = add_range(a, spec);
    } else if (spec->model == TORC_MODEL_DICTIONARY) {
      rc = spec->keys.len > 0 ? add_keys(a, spec->keys) : add_all(a); /* [FET-14] */
    } else {
      rc = add_named(a, &(torc_entry){.model = TORC_MODEL_SINGLE});
    }
  }
  if (rc == 0) {
    close_response(a);
  }
  return rc;
}

/* Answers all specifiers from one state. *is_stale: an asked slot holds expired elements, nothing
 * was answered. */
static int answer_all(torc_store *s, const torc_fetch_request *request,
                      const torc_model_lookup *models, torc_buf *out, bool *is_stale) {
  torc_rd rd;
  torc_rd_init(&rd, request->specifiers);
  torc_specifier spec;
  int rc = 0;
  *is_stale = false;
  while (rc == 0 && torc_specifier_next(&rd, models, &spec)) {
    answer a = {.s = s, .out = out};
    rc = torc_slot_load(s, &a.slot, &request->resource, spec.type);
    if (rc == 0 && torc_slot_needs_purge(&a.slot, s->now)) {
      *is_stale = true;
      return 0;
    }
    if (rc == 0) {
      rc = add_specifier(&a, &spec);
    }
  }
  return rc;
}

static int purge_all(torc_store *s, const torc_fetch_request *request,
                     const torc_model_lookup *models, torc_wall now) {
  int rc = torc_txn_begin(s, true, now);
  if (rc != 0) {
    return rc;
  }
  torc_rd rd;
  torc_rd_init(&rd, request->specifiers);
  torc_specifier spec;
  while (rc == 0 && torc_specifier_next(&rd, models, &spec)) {
    torc_slot slot;
    rc = torc_slot_load(s, &slot, &request->resource, spec.type);
    if (rc == 0) {
      rc = torc_slot_purge(s, &slot);
    }
    if (rc == 0) {
      rc = torc_slot_save(s, &slot);
    }
  }
  if (rc == 0) {
    return torc_txn_commit(s);
  }
  torc_txn_abort(s);
  return rc;
}

int torc_store_fetch(torc_store *s, torc_slice payload, torc_wall now, torc_buf *out) {
  torc_model_lookup models = torc_types_models(s->types);
  torc_fetch_request request;
  int rc = torc_fetch_request_decode(&request, payload, &models, NULL);
  bool is_stale = rc == 0;
  /* A second look follows a purge, never more: after it nothing asked for is expired. */
  for (int look = 0; rc == 0 && is_stale && look < 2; look++) {
    if (look == 1) {
      rc = purge_all(s, &request, &models, now);
    }
    if (rc == 0) {
      rc = torc_txn_begin(s, false, now);
    }
    if (rc == 0) {
      out->len = 0;
      rc = answer_all(s, &request, &models, out, &is_stale);
      torc_txn_abort(s);
    }
  }
  if (rc != 0) {
    out->len = 0;
    return rc;
  }
  s->stats.fetches++;
  return 0;
}
