/* Application calls STORE and REMOVE; an unchanged counter after REMOVE says that nothing was there
 * [REM-15]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"
#include "overlay/node/rings.h"

/* [GAP-97] The next one must be newer, in whichever ring it is written. */
static void remember_times(torc_node *n, const torc_call *c) {
  for (size_t i = 0; n != NULL && i < c->num_items; i++) {
    const torc_stored_data *d = &c->items[i].data;
    if (d->entry.model != TORC_MODEL_ARRAY || d->entry.index >= 0) {
      torc_seen_put(n, &c->resource, c->items[i].type, &d->entry, d->storage_time);
    }
  }
}

static void on_stored(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_call *c = ctx;
  torc_done done = {0};
  (void)cookie;
  if (torc_call_outcome(n, c, reply, &done)) {
    torc_call_generations(reply->payload, &done);
    remember_times(n, c);
    remember_times(torc_rings_other(n), c);
  }
  torc_call_done(n, c, &done);
}

/* Every element is signed: the request can be written. [STO-04] [STO-07] */
static int send_store(torc_node *n, torc_call *c) {
  size_t cap = TORC_ID_LEN + 2;
  uint8_t *buf = NULL;
  torc_wr wr;
  int rc = 0;
  for (size_t i = 0; i < c->num_items; i++) {
    cap += 16 + torc_stored_data_size(&c->items[i].data);
  }
  buf = torc_alloc(n->mem, cap);
  if (buf == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_wr_init(&wr, buf, cap);
  size_t outer = torc_store_request_begin(&wr, &c->resource);
  for (size_t i = 0; i < c->num_items;) {
    torc_type_id type = c->items[i].type;
    size_t mark = torc_store_type_begin(&wr, type, c->items[i].generation);
    for (; i < c->num_items && c->items[i].type == type; i++) {
      rc = torc_stored_data_put(&wr, &c->items[i].data);
      if (rc != 0) {
        break;
      }
    }
    torc_store_type_end(&wr, mark);
    if (rc != 0) {
      break;
    }
  }
  torc_store_request_end(&wr, outer);
  rc = rc != 0 ? rc : wr.err;
  if (rc == 0 && c->signed_to != NULL) {
    c->signed_to(n, c->token, torc_wr_slice(&wr));
  }
  if (rc == 0) {
    rc = torc_call_send(n, c, torc_wr_slice(&wr), on_stored);
  }
  torc_free(n->mem, buf);
  return rc;
}

static void signed_all(torc_node *n, torc_call *c) {
  torc_done done = {.rc = c->rc};
  if (done.rc == 0) {
    done.rc = send_store(n, c);
  }
  if (done.rc != 0) {
    torc_call_done(n, c, &done);
  }
}

static void on_signed(torc_node *n, torc_jobref *j, const torc_job_result *r) {
  torc_call_item *item = TORC_CONTAINER_OF(j, torc_call_item, job);
  torc_call *c = item->call;
  int rc = r->rc != 0 ? r->rc : torc_slice_dup(n->mem, r->signature, &item->signature);
  if (rc != 0) {
    c->rc = rc;
  } else {
    item->data.signature.value = torc_slice_of(item->signature, r->signature.len);
  }
  c->num_signing--;
  if (c->num_signing == 0) {
    signed_all(n, c);
  }
}

/* [GAP-97] [STO-10] */
static uint32_t storage_time(torc_node *n, const torc_call *c, const torc_call_item *item,
                             uint32_t wanted) {
  if (wanted != 0) {
    return wanted;
  }
  if (item->data.entry.model == TORC_MODEL_ARRAY && item->data.entry.index < 0) {
    return torc_node_wall(n); /* an append has no predecessor [GAP-96] */
  }
  return torc_seen_claim(n, &c->resource, item->type, &item->data.entry, torc_node_wall(n));
}

/* Copies one item, decides its storage time and prepares the signed input [GAP-55] [GAP-166]. */
static int item_init(torc_node *n, torc_call *c, torc_call_item *item, const torc_store_item *in) {
  const torc_type *type = torc_types_find(&n->types, in->type);
  size_t prefix_cap = TORC_DATA_SIGNED_PREFIX_MAX(in->key.len);
  torc_stored_data *d = &item->data;
  torc_wr wr;
  int rc = 0;
  if (type == NULL || in->lifetime_s == 0 || in->value.len > TORC_VEC16_MAX ||
      in->key.len > TORC_VEC16_MAX) {
    return type == NULL ? TORC_ERR_NOTFOUND : TORC_ERR_INVALID;
  }
  item->call = c;
  item->type = in->type;
  item->generation = in->generation;
  item->bytes = torc_alloc(n->mem, in->key.len + in->value.len + 1);
  item->prefix = torc_alloc(n->mem, prefix_cap);
  if (item->bytes == NULL || item->prefix == NULL) {
    return TORC_ERR_NOMEM;
  }
  if (in->key.len > 0) {
    memcpy(item->bytes, in->key.p, in->key.len);
  }
  if (in->value.len > 0) {
    memcpy(item->bytes + in->key.len, in->value.p, in->value.len);
  }
  d->lifetime = in->lifetime_s;
  d->entry.model = type->model;
  d->entry.index = in->index;
  d->entry.key = torc_slice_of(item->bytes, in->key.len);
  d->entry.value = torc_slice_of(item->bytes + in->key.len, in->value.len);
  d->storage_time = storage_time(n, c, item, in->storage_time);
  if (n->cfg.is_shared_key) { /* [GAP-25] */
    return 0;
  }
  d->signature.is_present = true;
  d->signature.algorithm = n->signature_algorithm;
  d->signature.identity.type = TORC_IDENTITY_CERT;
  d->signature.identity.cert = n->cert->der;
  torc_wr_init(&wr, item->prefix, prefix_cap);
  rc = torc_data_signed_prefix_put(&wr, &c->resource, in->type, d);
  item->job.parts[0] = torc_wr_slice(&wr);
  item->job.parts[1] = d->entry.value;
  item->job.job.num_parts = 2;
  item->job.job.algorithm = n->signature_algorithm;
  item->job.job.cert = n->cert;
  return rc != 0 ? rc : wr.err;
}

/* Types must be adjacent [STO-05]. */
static bool types_adjacent(const torc_store_item *items, size_t num) {
  for (size_t i = 1; i < num; i++) {
    for (size_t k = 0; k + 1 < i; k++) {
      if (items[k].type == items[i].type && items[i - 1].type != items[i].type) {
        return false;
      }
    }
  }
  return true;
}

int torc_app_store(torc_node *n, const torc_id *resource, const torc_store_item *items, size_t num,
                   torc_token *token) {
  torc_call *c = NULL;
  int rc = torc_call_allowed(n);
  if (rc != 0) {
    return rc;
  }
  if (num == 0 || num > TORC_CALL_ITEMS_MAX || !types_adjacent(items, num)) {
    return TORC_ERR_INVALID;
  }
  c = torc_call_new(n, TORC_METHOD_STORE);
  if (c == NULL) {
    return TORC_ERR_NOMEM;
  }
  c->resource = *resource;
  c->items = torc_calloc(n->mem, num, sizeof *c->items);
  if (c->items == NULL) {
    torc_call_free(n, c);
    return TORC_ERR_NOMEM;
  }
  c->num_items = num;
  for (size_t i = 0; rc == 0 && i < num; i++) {
    rc = item_init(n, c, &c->items[i], &items[i]);
  }
  if (rc == 0 && n->cfg.is_shared_key) {
    rc = send_store(n, c);
  }
  for (size_t i = 0; rc == 0 && !n->cfg.is_shared_key && i < num; i++) {
    rc = torc_job_start(n, &c->items[i].job, TORC_JOB_SIGN, on_signed);
    if (rc == 0) {
      c->num_signing++;
    } else if (c->num_signing > 0) { /* jobs are under way: they end the call */
      c->rc = rc;
      rc = 0;
      break;
    }
  }
  if (rc != 0) {
    torc_call_free(n, c);
    return rc;
  }
  *token = c->token;
  return 0;
}

/* ---- REMOVE ---- */

/* Writes a fetch_request; also FETCH's [REM-04]. */
int torc_app_specifiers_put(torc_node *n, torc_wr *wr, const torc_id *resource,
                            const torc_fetch_item *items, size_t num) {
  size_t mark = torc_fetch_request_begin(wr, resource);
  for (size_t i = 0; i < num; i++) {
    const torc_type *type = torc_types_find(&n->types, items[i].type);
    torc_specifier s = {.type = items[i].type, .generation = items[i].generation};
    uint8_t *keys = NULL;
    size_t cap = 0;
    torc_wr kw;
    int rc = 0;
    if (type == NULL) {
      return TORC_ERR_NOTFOUND;
    }
    s.model = type->model;
    s.first = items[i].first;
    s.last = items[i].last;
    for (size_t k = 0; k < items[i].num_keys; k++) {
      cap += 2 + items[i].keys[k].len;
    }
    if (cap > 0) {
      keys = torc_alloc(n->mem, cap);
      if (keys == NULL) {
        return TORC_ERR_NOMEM;
      }
      torc_wr_init(&kw, keys, cap);
      for (size_t k = 0; k < items[i].num_keys; k++) {
        torc_wr_vec16(&kw, items[i].keys[k]);
      }
      s.keys = torc_wr_slice(&kw);
      rc = kw.err;
    }
    rc = rc != 0 ? rc : torc_specifier_put(wr, &s);
    torc_free(n->mem, keys);
    if (rc != 0) {
      return rc;
    }
  }
  torc_fetch_request_end(wr, mark);
  return wr->err;
}

/* [R-21] [REM-05] */
static bool types_differ(const torc_fetch_item *items, size_t num) {
  for (size_t i = 1; i < num; i++) {
    for (size_t k = 0; k < i; k++) {
      if (items[k].type == items[i].type) {
        return false;
      }
    }
  }
  return true;
}

int torc_app_specify(torc_node *n, uint16_t method, const torc_id *resource,
                     const torc_fetch_item *items, size_t num, torc_call **out, uint8_t **payload,
                     size_t *payload_len) {
  size_t cap = TORC_ID_LEN + 2;
  uint8_t *buf = NULL;
  torc_call *c = NULL;
  torc_wr wr;
  int rc = torc_call_allowed(n);
  if (rc != 0) {
    return rc;
  }
  if (num == 0 || num > TORC_CALL_ITEMS_MAX || !types_differ(items, num)) {
    return TORC_ERR_INVALID;
  }
  for (size_t i = 0; i < num; i++) {
    cap += 32;
    for (size_t k = 0; k < items[i].num_keys; k++) {
      cap += 2 + items[i].keys[k].len;
    }
  }
  buf = torc_alloc(n->mem, cap);
  c = buf == NULL ? NULL : torc_call_new(n, method);
  if (c == NULL) {
    torc_free(n->mem, buf);
    return TORC_ERR_NOMEM;
  }
  c->resource = *resource;
  for (size_t i = 0; i < num; i++) {
    c->asked[i] = items[i].type;
  }
  c->num_asked = num;
  torc_wr_init(&wr, buf, cap);
  rc = torc_app_specifiers_put(n, &wr, resource, items, num);
  if (rc != 0) {
    torc_free(n->mem, buf);
    torc_call_free(n, c);
    return rc;
  }
  *out = c;
  *payload = buf;
  *payload_len = wr.len;
  return 0;
}

int torc_app_specified(torc_node *n, uint16_t method, const torc_id *resource,
                       const torc_fetch_item *items, size_t num, torc_reply_fn done,
                       torc_token *token) {
  uint8_t *payload = NULL;
  size_t len = 0;
  torc_call *c = NULL;
  int rc = torc_app_specify(n, method, resource, items, num, &c, &payload, &len);
  if (rc != 0) {
    return rc;
  }
  *token = c->token;
  rc = torc_call_send(n, c, torc_slice_of(payload, len), done);
  torc_free(n->mem, payload);
  if (rc != 0) {
    torc_call_free(n, c);
  }
  return rc;
}

int torc_app_remove(torc_node *n, const torc_id *resource, const torc_fetch_item *items, size_t num,
                    torc_token *token) {
  return torc_app_specified(n, TORC_METHOD_REMOVE, resource, items, num, on_stored, token);
}
