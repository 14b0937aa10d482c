/* A store under test.
 * SPDX-License-Identifier: Apache-2.0 */
#include "helper_store.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/slice.h"
#include "torc_test.h"
#include "wire/contents.h"

#define BACKEND_ROOM (16u << 20)

/* The watched backend. */

static bool may_go_on(hs_backend *b) {
  b->num_calls++;
  return b->fail_at == 0 || b->num_calls != b->fail_at;
}

static void take_back(hs_backend *b) {
  for (size_t i = 0; i < b->num_handed_out; i++) {
    free(b->handed_out[i]);
  }
  b->num_handed_out = 0;
}

/* A copy in its own allocation, so that a sanitizer sees every use after its end. */
static torc_slice hand_out(hs_backend *b, torc_slice s) {
  if (b->num_handed_out == sizeof b->handed_out / sizeof b->handed_out[0]) {
    return s;
  }
  uint8_t *copy = malloc(s.len > 0 ? s.len : 1);
  assert_non_null(copy);
  if (s.len > 0) {
    memcpy(copy, s.p, s.len);
  }
  b->handed_out[b->num_handed_out] = copy;
  b->num_handed_out++;
  return (torc_slice){.p = copy, .len = s.len};
}

static int watched_begin(void *ctx, bool write) {
  hs_backend *b = ctx;
  return may_go_on(b) ? b->inner.begin(b->inner.ctx, write) : TORC_ERR_IO;
}

static int watched_commit(void *ctx) {
  hs_backend *b = ctx;
  take_back(b);
  if (!may_go_on(b)) {
    b->inner.abort(b->inner.ctx);
    return TORC_ERR_IO;
  }
  return b->inner.commit(b->inner.ctx);
}

static void watched_abort(void *ctx) {
  hs_backend *b = ctx;
  take_back(b);
  b->inner.abort(b->inner.ctx);
}

static int watched_get(void *ctx, torc_slice key, torc_slice *value) {
  hs_backend *b = ctx;
  int rc = may_go_on(b) ? b->inner.get(b->inner.ctx, key, value) : TORC_ERR_IO;
  if (rc == 0) {
    *value = hand_out(b, *value);
  }
  return rc;
}

static int watched_put(void *ctx, torc_slice key, torc_slice value) {
  hs_backend *b = ctx;
  int rc = may_go_on(b) ? b->inner.put(b->inner.ctx, key, value) : TORC_ERR_IO;
  take_back(b);
  return rc;
}

static int watched_del(void *ctx, torc_slice key) {
  hs_backend *b = ctx;
  int rc = may_go_on(b) ? b->inner.del(b->inner.ctx, key) : TORC_ERR_IO;
  take_back(b);
  return rc;
}

static int watched_seek(void *ctx, torc_slice key, torc_slice *found_key, torc_slice *value) {
  hs_backend *b = ctx;
  int rc = may_go_on(b) ? b->inner.seek(b->inner.ctx, key, found_key, value) : TORC_ERR_IO;
  if (rc == 0) {
    *found_key = hand_out(b, *found_key);
    *value = hand_out(b, *value);
  }
  return rc;
}

/* Set-up. */

static void add_type(torc_types *t, uint32_t id, const char *name, torc_model model,
                     torc_access access, uint32_t max_values, uint32_t max_size) {
  torc_type type = {.id = id,
                    .name = name,
                    .model = model,
                    .access = access,
                    .max_values = max_values,
                    .max_size = max_size,
                    .max_lifetime_s = 1000,
                    .is_findable = true};
  assert_int_equal(torc_types_add(t, &type), 0);
}

void hs_init(hs *h) {
  memset(h, 0, sizeof *h);
  helper_mem_init(&h->mem);
  assert_int_equal(torc_memory_backend_new(&h->obj, &h->backend.inner, &h->mem.mem, BACKEND_ROOM),
                   0);
  h->backend.table = (torc_backend){.ctx = &h->backend,
                                    .begin = watched_begin,
                                    .commit = watched_commit,
                                    .abort = watched_abort,
                                    .get = watched_get,
                                    .put = watched_put,
                                    .del = watched_del,
                                    .seek = watched_seek};
  torc_types_init(&h->types, h->room, TORC_TYPES_MAX);
  add_type(&h->types, HS_NOTE, "note", TORC_MODEL_SINGLE, TORC_ACCESS_USER_MATCH, 1, 64);
  add_type(&h->types, HS_LIST, "list", TORC_MODEL_ARRAY, TORC_ACCESS_USER_MATCH, 4, 64);
  add_type(&h->types, HS_MAP, "map", TORC_MODEL_DICTIONARY, TORC_ACCESS_USER_MATCH, 4, 64);
  add_type(&h->types, HS_BIG, "big", TORC_MODEL_DICTIONARY, TORC_ACCESS_USER_MATCH, 100, 60000);
  add_type(&h->types, HS_PEER, "peer", TORC_MODEL_SINGLE, TORC_ACCESS_NODE_MATCH, 1, 64);
  add_type(&h->types, HS_LOG, "log", TORC_MODEL_ARRAY, TORC_ACCESS_USER_MATCH, 65536, 64);
  add_type(&h->types, HS_DEVICE, "device", TORC_MODEL_DICTIONARY, TORC_ACCESS_USER_NODE_MATCH, 10,
           64);
  torc_id peer = helper_id(0xa1, 1);
  h->alice = helper_cert("alice@example.org", &peer);
  peer = helper_id(0xa2, 2);
  h->alice2 = helper_cert("alice@example.org", &peer);
  peer = helper_id(0xb0, 3);
  h->bob = helper_cert("bob@example.org", &peer);
  h->res = helper_user_resource("alice@example.org");
  h->now = HS_NOW;
  h->origin = TORC_ORIGIN_OWNER;
  h->message_signer = h->alice;
  h->xid = 1;
  h->cfg = (torc_store_config){.mem = &h->mem.mem,
                               .crypto = helper_crypto(),
                               .types = &h->types,
                               .backend = &h->backend.table,
                               .remove_needs_generation = true,
                               .max_bytes = 1u << 20,
                               .max_remove_memory = 100};
  assert_int_equal(torc_store_new(&h->store, &h->cfg, h->now), 0);
}

void hs_clear(hs *h) {
  torc_store_free(h->store);
  take_back(&h->backend);
  torc_memory_backend_free(h->obj);
  helper_cert_free(h->alice);
  helper_cert_free(h->alice2);
  helper_cert_free(h->bob);
  assert_int_equal(h->mem.num_live, 0);
}

void hs_reopen(hs *h) {
  torc_store_free(h->store);
  h->store = NULL;
  assert_int_equal(torc_store_new(&h->store, &h->cfg, h->now), 0);
}

/* STORE. */

static const torc_type *type_of(const hs *h, uint32_t id) {
  return torc_types_find(&h->types, id);
}

static uint32_t or_default(uint32_t v, uint32_t fallback) {
  if (v == HS_ZERO_TIME) {
    return 0;
  }
  return v == 0 ? fallback : v;
}

static void put_elem(const hs *h, torc_wr *wr, const hs_elem *e) {
  const torc_type *type = type_of(h, e->type);
  const torc_cert *signer = e->signer != NULL ? e->signer : h->alice;
  torc_stored_data d = {.storage_time = or_default(e->time, HS_NOW),
                        .lifetime = or_default(e->life, 100)};
  d.entry.model = type != NULL ? type->model : TORC_MODEL_SINGLE;
  d.entry.index = e->index;
  d.entry.key = torc_slice_str(e->key);
  d.entry.value = e->raw.p != NULL ? e->raw : torc_slice_str(e->value);
  if (e->verdict != TORC_VERDICT_UNSIGNED) {
    d.signature.is_present = true;
    d.signature.algorithm = TORC_SIGALG_ECDSA_P256_SHA256;
    d.signature.value = torc_slice_str(e->sig != NULL ? e->sig : "sig");
    d.signature.identity.type = TORC_IDENTITY_PEER;
    d.signature.identity.peer = signer->peers[0];
  }
  assert_int_equal(torc_stored_data_put(wr, &d), 0);
}

size_t hs_store_payload(const hs *h, const torc_id *resource, const hs_elem *list, size_t num,
                        uint8_t *buf, size_t cap) {
  torc_wr wr;
  torc_wr_init(&wr, buf, cap);
  size_t all = torc_store_request_begin(&wr, resource);
  for (size_t i = 0; i < num;) {
    uint32_t type = list[i].type;
    size_t mark = torc_store_type_begin(&wr, type, list[i].gen);
    for (; i < num && list[i].type == type; i++) {
      put_elem(h, &wr, &list[i]);
    }
    torc_store_type_end(&wr, mark);
  }
  torc_store_request_end(&wr, all);
  assert_int_equal(wr.err, 0);
  return wr.len;
}

/* Reads a payload into elements with one verdict and signer each. */
static size_t read_payload(const hs *h, torc_slice payload, torc_store_request *request,
                           torc_store_element *out, size_t cap) {
  assert_int_equal(torc_store_request_decode(request, payload), 0);
  torc_rd types;
  torc_rd_init(&types, request->types);
  torc_store_type t;
  size_t num = 0;
  while (torc_store_type_next(&types, &t)) {
    const torc_type *type = type_of(h, t.type);
    torc_rd values;
    torc_rd_init(&values, t.values);
    while (torc_rd_left(&values) > 0) {
      assert_true(num < cap);
      memset(&out[num], 0, sizeof out[num]);
      out[num].type = type;
      out[num].verdict = TORC_VERDICT_VALID;
      torc_model model = type != NULL ? type->model : TORC_MODEL_SINGLE;
      assert_int_equal(torc_stored_data_get(&values, model, &out[num].data), 0);
      num++;
    }
  }
  return num;
}

int hs_store(hs *h, const torc_id *resource, const hs_elem *list, size_t num) {
  enum { CAP = 70000 };
  uint8_t *buf = malloc(CAP);
  torc_store_element *elements = calloc(num + 1, sizeof *elements);
  assert_non_null(buf);
  assert_non_null(elements);
  size_t len = hs_store_payload(h, resource, list, num, buf, CAP);
  torc_store_request request;
  assert_int_equal(read_payload(h, torc_slice_of(buf, len), &request, elements, num), num);
  for (size_t i = 0; i < num; i++) {
    elements[i].signer = list[i].signer != NULL ? list[i].signer : h->alice;
    elements[i].verdict = list[i].verdict != 0 ? list[i].verdict : TORC_VERDICT_VALID;
  }
  const torc_cert *message_signer = h->origin == TORC_ORIGIN_REPLICA ? NULL : h->message_signer;
  int rc = torc_store_apply(h->store, &request, elements, num, message_signer, h->origin, h->now,
                            &h->result);
  h->last_index = elements[num - 1].data.entry.index;
  free(elements);
  free(buf);
  return rc != 0 ? rc : h->result.code;
}

int hs_replica_store(hs *h, torc_slice payload, const torc_cert *signer) {
  enum { CAP = 4096 };
  torc_store_element *elements = calloc(CAP, sizeof *elements);
  assert_non_null(elements);
  torc_store_request request;
  size_t num = read_payload(h, payload, &request, elements, CAP);
  for (size_t i = 0; i < num; i++) {
    elements[i].signer = signer;
  }
  int rc = torc_store_apply(h->store, &request, elements, num, NULL, TORC_ORIGIN_REPLICA, h->now,
                            &h->result);
  free(elements);
  return rc != 0 ? rc : h->result.code;
}

/* FETCH and REMOVE. */

size_t hs_spec_payload(const hs *h, const torc_id *resource, const hs_spec *list, size_t num,
                       uint8_t *buf, size_t cap) {
  torc_wr wr;
  torc_wr_init(&wr, buf, cap);
  size_t mark = torc_fetch_request_begin(&wr, resource);
  for (size_t i = 0; i < num; i++) {
    const torc_type *type = type_of(h, list[i].type);
    uint8_t keys[4096];
    torc_wr kw;
    torc_wr_init(&kw, keys, sizeof keys);
    const char *p = list[i].keys;
    while (p != NULL) {
      size_t len = strcspn(p, ",");
      torc_wr_vec16(&kw, torc_slice_of(p, len));
      p = p[len] == ',' ? p + len + 1 : NULL;
    }
    torc_specifier spec = {.type = list[i].type,
                           .generation = list[i].gen,
                           .model = type != NULL ? type->model : TORC_MODEL_SINGLE,
                           .first = list[i].first,
                           .last = list[i].last,
                           .keys = torc_wr_slice(&kw)};
    assert_int_equal(torc_specifier_put(&wr, &spec), 0);
  }
  torc_fetch_request_end(&wr, mark);
  assert_int_equal(wr.err, 0);
  return wr.len;
}

int hs_remove_raw(hs *h, torc_slice payload, const torc_cert *signer) {
  uint8_t contents[8192];
  torc_wr wr;
  torc_wr_init(&wr, contents, sizeof contents);
  assert_int_equal(torc_contents_put(&wr, false, TORC_METHOD_REMOVE, payload), 0);
  char signature[64];
  snprintf(signature, sizeof signature, "signature of %llu", (unsigned long long)h->xid);
  torc_remove_record record = {.payload = payload,
                               .contents = torc_wr_slice(&wr),
                               .signature = torc_slice_str(signature),
                               .xid = h->xid,
                               .signer = signer};
  int rc = torc_store_remove(h->store, &record, h->origin, h->now, &h->result);
  return rc != 0 ? rc : h->result.code;
}

int hs_remove(hs *h, const torc_id *resource, const hs_spec *list, size_t num,
              const torc_cert *signer) {
  uint8_t buf[4096];
  size_t len = hs_spec_payload(h, resource, list, num, buf, sizeof buf);
  int code = hs_remove_raw(h, torc_slice_of(buf, len), signer);
  h->xid++;
  return code;
}

static size_t say(hs *h, size_t at, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(h->text + at, sizeof h->text - at, format, args);
  va_end(args);
  assert_true(n >= 0 && (size_t)n < sizeof h->text - at);
  return at + (size_t)n;
}

static size_t say_value(hs *h, size_t at, const torc_stored_data *d) {
  if (d->entry.model == TORC_MODEL_ARRAY) {
    at = say(h, at, " %d=", (int)d->entry.index);
  } else if (d->entry.model == TORC_MODEL_DICTIONARY && d->entry.key.len > 40) {
    at = say(h, at, " (%zu)%.*s=", d->entry.key.len, 4,
             (const char *)d->entry.key.p + d->entry.key.len - 4);
  } else {
    at = say(h, at, " %.*s=", (int)d->entry.key.len, (const char *)d->entry.key.p);
  }
  if (torc_stored_data_is_absent(d)) {
    return say(h, at, "-");
  }
  if (d->entry.value.len > 200) {
    return say(h, at, "(%zu)@%u", d->entry.value.len, d->storage_time);
  }
  return say(h, at, "%.*s@%u", (int)d->entry.value.len, (const char *)d->entry.value.p,
             d->storage_time);
}

const char *hs_fetch(hs *h, const torc_id *resource, const hs_spec *list, size_t num) {
  uint8_t payload[4096];
  size_t len = hs_spec_payload(h, resource, list, num, payload, sizeof payload);
  torc_buf out;
  torc_buf_init(&out, &h->mem.mem, 1u << 20);
  int rc = torc_store_fetch(h->store, torc_slice_of(payload, len), h->now, &out);
  size_t at = 0;
  h->text[0] = '\0';
  if (rc != 0) {
    (void)say(h, at, "error %d", rc);
    torc_buf_clear(&out);
    return h->text;
  }
  torc_rd rd;
  torc_rd_init(&rd, torc_buf_slice(&out));
  torc_fetch_response r;
  while (torc_fetch_response_next(&rd, &r)) {
    const torc_type *type = type_of(h, r.type);
    at = say(h, at, "%s%06x g%llu:", at > 0 ? "; " : "", r.type, (unsigned long long)r.generation);
    torc_rd values;
    torc_rd_init(&values, r.values);
    while (torc_rd_left(&values) > 0) {
      torc_stored_data d;
      assert_int_equal(torc_stored_data_get(&values, type->model, &d), 0);
      at = say_value(h, at, &d);
    }
  }
  assert_int_equal(rd.err, 0);
  torc_buf_clear(&out);
  return h->text;
}

const char *hs_fetch_all(hs *h, const torc_id *resource, uint32_t type) {
  return hs_fetch(h, resource, &(hs_spec){.type = type, .first = 0, .last = -1}, 1);
}

uint64_t hs_generation(hs *h, const torc_id *resource, uint32_t type) {
  hs_spec spec = {.type = type, .first = 0, .last = 0, .keys = "no such key"};
  const char *text = hs_fetch(h, resource, &spec, 1);
  const char *g = strchr(text, 'g');
  assert_non_null(g);
  return strtoull(g + 1, NULL, 10);
}

/* State. */

void hs_digest(hs *h, uint8_t out[TORC_DIGEST_LEN]) {
  const torc_backend *b = &h->backend.inner;
  memset(out, 0, TORC_DIGEST_LEN);
  assert_int_equal(b->begin(b->ctx, false), 0);
  uint8_t at[TORC_BACKEND_KEY_MAX + 1] = {0};
  size_t at_len = 1;
  torc_slice key;
  torc_slice value;
  while (b->seek(b->ctx, torc_slice_of(at, at_len), &key, &value) == 0) {
    const uint8_t lens[4] = {(uint8_t)(key.len >> 8), (uint8_t)key.len, (uint8_t)(value.len >> 8),
                             (uint8_t)value.len};
    const torc_slice parts[4] = {torc_slice_of(out, TORC_DIGEST_LEN),
                                 torc_slice_of(lens, sizeof lens), key, value};
    uint8_t next[TORC_DIGEST_LEN];
    assert_int_equal(helper_crypto()->sha256(NULL, parts, 4, next), 0);
    memcpy(out, next, sizeof next);
    memcpy(at, key.p, key.len);
    at[key.len] = 0;
    at_len = key.len + 1;
  }
  b->abort(b->ctx);
}

typedef struct copying {
  hs *to;
  const torc_cert *signer;
} copying;

static int copy_store(void *ctx, const torc_id *resource, torc_slice payload) {
  copying *c = ctx;
  (void)resource;
  assert_true(payload.len <= TORC_STORE_COPY_MAX);
  assert_int_equal(hs_replica_store(c->to, payload, c->signer), TORC_CODE_OK);
  return 0;
}

static int copy_remove(void *ctx, const torc_id *resource, uint64_t xid, torc_slice contents,
                       torc_slice signature) {
  copying *c = ctx;
  (void)resource;
  torc_remove_record record = {.payload = torc_slice_sub(contents, 8, contents.len - 8),
                               .contents = contents,
                               .signature = signature,
                               .xid = xid,
                               .signer = c->signer};
  int rc =
      torc_store_remove(c->to->store, &record, TORC_ORIGIN_REPLICA, c->to->now, &c->to->result);
  assert_int_equal(rc, 0);
  assert_int_equal(c->to->result.code, TORC_CODE_OK);
  return 0;
}

int hs_copy_all(hs *from, const torc_id *resource, torc_wall now, torc_copy_store_fn store,
                torc_copy_remove_fn remove, void *ctx) {
  torc_copy_place place = {.resource = *resource};
  int rc = 0;
  while (rc == 0) {
    rc = torc_store_copy_next(from->store, &place, now, store, remove, ctx);
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

int hs_copy(hs *from, hs *to, const torc_id *resource, const torc_cert *signer) {
  copying c = {.to = to, .signer = signer};
  return hs_copy_all(from, resource, from->now, copy_store, copy_remove, &c);
}
