/* Application call FETCH: values are shown only if their signature and their signer's right hold
 * [SEC-14]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"

#define VALUES_MAX 4096u

/* The generation of each element's type, beside the elements of the batch. */
typedef struct fetched {
  uint64_t generation;
} fetched;

typedef struct fetch_state {
  torc_call *call;
  fetched *extra;
} fetch_state;

/* [FET-17] A value older than one seen before is a rollback. */
static bool note_time(torc_node *n, const torc_call *c, const torc_store_element *e) {
  uint32_t known = torc_seen_get(n, &c->resource, e->type->id, &e->data.entry);
  if (known > e->data.storage_time) {
    n->stats.rollbacks_seen++;
    return true;
  }
  torc_seen_put(n, &c->resource, e->type->id, &e->data.entry, e->data.storage_time);
  return false;
}

static bool is_acceptable(torc_node *n, const torc_call *c, const torc_store_element *e) {
  if (torc_stored_data_is_absent(&e->data)) {
    return true;
  }
  return e->verdict == TORC_VERDICT_VALID &&
         torc_access_check(e->type, n->crypto, &c->resource, &e->data.entry, e->signer) == 0;
}

/* Moves payload, values and certificates into the event. */
static void emit(torc_node *n, torc_call *c, torc_store_element *elements, size_t num,
                 const fetched *extra) {
  torc_out *o = torc_out_new(n, TORC_OUT_EVENT);
  torc_value *values = torc_calloc(n->mem, num + 1, sizeof *values);
  torc_cert **certs = torc_calloc(n->mem, num + 1, sizeof *certs);
  torc_done done = c->done;
  if (o == NULL || values == NULL || certs == NULL) {
    done.rc = TORC_ERR_NOMEM;
    torc_free(n->mem, values);
    torc_free(n->mem, certs);
    torc_call_done(n, c, o, &done);
    return;
  }
  o->owned = c->payload;
  c->payload = NULL;
  o->extra = values;
  o->certs = certs;
  for (size_t i = 0; i < num; i++) {
    const torc_store_element *e = &elements[i];
    if (!is_acceptable(n, c, e)) {
      n->stats.values_rejected++;
      done.num_rejected++;
      continue;
    }
    torc_value *v = &values[done.num_values++];
    v->type = e->type->id;
    v->generation = extra[i].generation;
    v->exists = !torc_stored_data_is_absent(&e->data);
    v->index = e->data.entry.index;
    v->key = e->data.entry.key;
    v->value = e->data.entry.value;
    v->storage_time = e->data.storage_time;
    v->lifetime_s = e->data.lifetime;
    v->signer = e->signer;
    if (v->exists) {
      done.is_rollback = note_time(n, c, e) || done.is_rollback;
      o->certs[o->num_certs++] = torc_cert_ref((torc_cert *)(uintptr_t)e->signer);
    }
  }
  done.values = values;
  torc_call_done(n, c, o, &done);
}

static void on_verified(torc_node *n, void *ctx, torc_store_element *elements, size_t num) {
  fetch_state *s = ctx;
  emit(n, s->call, elements, num, s->extra);
  torc_verify_elements_free(n, elements, num);
  torc_free(n->mem, s->extra);
  torc_free(n->mem, s);
}

typedef struct parsed {
  torc_store_element *elements;
  fetched *extra;
  size_t num, cap;
} parsed;

static int parsed_add(torc_node *n, parsed *p, const torc_type *type, uint64_t generation,
                      torc_rd *values) {
  if (p->num == p->cap) {
    size_t cap = p->cap == 0 ? 8 : p->cap * 2;
    torc_store_element *elements = torc_realloc(n->mem, p->elements, cap * sizeof *elements);
    if (elements == NULL) {
      return TORC_ERR_NOMEM;
    }
    p->elements = elements;
    fetched *extra = torc_realloc(n->mem, p->extra, cap * sizeof *extra);
    if (extra == NULL) {
      return TORC_ERR_NOMEM;
    }
    p->extra = extra;
    p->cap = cap;
  }
  if (p->num >= VALUES_MAX) {
    return TORC_ERR_LIMIT;
  }
  memset(&p->elements[p->num], 0, sizeof p->elements[p->num]);
  int rc = torc_stored_data_get(values, type->model, &p->elements[p->num].data);
  p->elements[p->num].type = type;
  p->extra[p->num].generation = generation;
  p->num++;
  return rc;
}

/* [FET-11] [GAP-86] The run of fetch_response, repeated elements joined. */
static int parse(torc_node *n, torc_call *c, parsed *p) {
  torc_fetch_response r;
  torc_rd rd;
  int rc = 0;
  torc_rd_init(&rd, torc_slice_of(c->payload, c->payload_len));
  while (rc == 0 && torc_fetch_response_next(&rd, &r)) {
    const torc_type *type = torc_types_find(&n->types, r.type);
    torc_rd values;
    torc_done *d = &c->done;
    if (type == NULL) {
      return TORC_ERR_FORMAT;
    }
    if (d->num_generations < TORC_ARRAY_LEN(d->generations) &&
        (d->num_generations == 0 || d->generations[d->num_generations - 1].type != r.type)) {
      d->generations[d->num_generations].type = r.type;
      d->generations[d->num_generations].generation = r.generation;
      d->num_generations++;
    }
    torc_rd_init(&values, r.values);
    while (rc == 0 && torc_rd_left(&values) > 0) {
      rc = parsed_add(n, p, type, r.generation, &values);
    }
  }
  return rc != 0 ? rc : rd.err;
}

static int check_values(torc_node *n, torc_call *c, const torc_reply *reply) {
  parsed p = {0};
  fetch_state *s = NULL;
  int rc = torc_slice_dup(n->mem, reply->payload, &c->payload);
  c->payload_len = reply->payload.len;
  if (rc == 0) {
    rc = parse(n, c, &p);
  }
  s = rc == 0 ? torc_calloc(n->mem, 1, sizeof *s) : NULL;
  if (s == NULL) {
    torc_free(n->mem, p.elements);
    torc_free(n->mem, p.extra);
    return rc != 0 ? rc : TORC_ERR_NOMEM;
  }
  s->call = c;
  s->extra = p.extra;
  rc = torc_verify_start(n, &c->resource, p.elements, p.num, true, on_verified, s); /* */
  if (rc != 0) {
    torc_free(n->mem, s->extra);
    torc_free(n->mem, s);
  }
  return rc;
}

static void on_fetched(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_call *c = ctx;
  torc_out *o = torc_out_new(n, TORC_OUT_EVENT);
  torc_done done = {0};
  (void)cookie;
  if (o == NULL || !torc_call_outcome(n, o, reply, &done)) {
    torc_call_done(n, c, o, &done);
    return;
  }
  torc_out_free(n, o);
  c->done = done;
  int rc = check_values(n, c, reply);
  if (rc != 0) {
    done.rc = rc;
    torc_call_done(n, c, NULL, &done);
  }
}

int torc_app_fetch(torc_node *n, const torc_id *resource, const torc_fetch_item *items, size_t num,
                   torc_token *token) {
  return torc_app_specified(n, TORC_METHOD_FETCH, resource, items, num, on_fetched, token);
}
