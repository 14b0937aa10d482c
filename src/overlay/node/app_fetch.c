/* Application call FETCH: values are shown only if their signature and their signer's right hold
 * [SEC-14]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"

#define VALUES_MAX 4096u

typedef struct fetch_state {
  torc_call *call;
  uint64_t *generations; /* beside the elements of the batch */
} fetch_state;

bool torc_fetch_note_time(torc_node *n, const torc_call *c, const torc_store_element *e) {
  uint32_t known = torc_seen_get(n, &c->resource, e->type->id, &e->data.entry);
  if (known > e->data.storage_time) {
    n->stats->rollbacks_seen++;
    return true;
  }
  torc_seen_put(n, &c->resource, e->type->id, &e->data.entry, e->data.storage_time);
  return false;
}

bool torc_fetch_acceptable(const torc_node *n, const torc_call *c, const torc_store_element *e) {
  if (torc_stored_data_is_absent(&e->data)) {
    return true;
  }
  return e->verdict == TORC_VERDICT_VALID &&
         torc_access_check(e->type, n->crypto, &c->resource, &e->data.entry, e->signer) == 0;
}

void torc_fetch_value(const torc_node *n, const torc_store_element *e, uint64_t generation,
                      torc_value *v) {
  *v = (torc_value){.type = e->type->id,
                    .generation = generation,
                    .exists = !torc_stored_data_is_absent(&e->data),
                    .index = e->data.entry.index,
                    .key = e->data.entry.key,
                    .value = e->data.entry.value,
                    .storage_time = e->data.storage_time,
                    .lifetime_s = e->data.lifetime,
                    .signer = n->cfg.is_shared_key ? NULL : e->signer,
                    .num_holders = 1};
}

/* Moves payload, values and certificates into the event. */
static void emit(torc_node *n, torc_call *c, torc_store_element *elements, size_t num,
                 const uint64_t *generations) {
  torc_out *o = c->event;
  torc_value *values = torc_calloc(n->mem, num + 1, sizeof *values);
  torc_cert **certs = torc_calloc(n->mem, num + 1, sizeof *certs);
  torc_done done = c->done;
  if (values == NULL || certs == NULL) {
    done.rc = TORC_ERR_NOMEM;
    torc_free(n->mem, values);
    torc_free(n->mem, certs);
    torc_call_done(n, c, &done);
    return;
  }
  o->owned = c->payload;
  c->payload = NULL;
  o->extra = values;
  o->certs = certs;
  for (size_t i = 0; i < num; i++) {
    const torc_store_element *e = &elements[i];
    if (!torc_fetch_acceptable(n, c, e)) {
      n->stats->values_rejected++;
      done.num_rejected++;
      continue;
    }
    torc_value *v = &values[done.num_values++];
    torc_fetch_value(n, e, generations[i], v);
    if (v->exists) {
      done.is_rollback = torc_fetch_note_time(n, c, e) || done.is_rollback;
    }
    if (v->exists && v->signer != NULL) {
      o->certs[o->num_certs++] = torc_cert_ref((torc_cert *)(uintptr_t)e->signer);
    }
  }
  done.values = values;
  torc_call_done(n, c, &done);
}

static void on_verified(torc_node *n, void *ctx, torc_store_element *elements, size_t num) {
  fetch_state *s = ctx;
  emit(n, s->call, elements, num, s->generations);
  torc_verify_elements_free(n, elements, num);
  torc_free(n->mem, s->generations);
  torc_free(n->mem, s);
}

static int parsed_add(torc_node *n, torc_fetched *p, const torc_type *type, uint64_t generation,
                      torc_rd *values) {
  if (p->num == p->cap) {
    size_t cap = p->cap == 0 ? 8 : p->cap * 2;
    torc_store_element *elements = torc_realloc(n->mem, p->elements, cap * sizeof *elements);
    if (elements == NULL) {
      return TORC_ERR_NOMEM;
    }
    p->elements = elements;
    uint64_t *generations = torc_realloc(n->mem, p->generations, cap * sizeof *generations);
    if (generations == NULL) {
      return TORC_ERR_NOMEM;
    }
    p->generations = generations;
    p->cap = cap;
  }
  if (p->num >= VALUES_MAX) {
    return TORC_ERR_LIMIT;
  }
  memset(&p->elements[p->num], 0, sizeof p->elements[p->num]);
  int rc = torc_stored_data_get(values, type->model, &p->elements[p->num].data);
  p->elements[p->num].type = type;
  p->generations[p->num] = generation;
  p->num++;
  return rc;
}

/* [FET-12] Of the types asked for, and each once: `answered` counts those begun so far. */
static bool is_next_type(const torc_call *c, torc_type_id type, torc_type_id *answered,
                         size_t *num) {
  bool is_asked = false;
  if (*num > 0 && answered[*num - 1] == type) { /* [GAP-86] repeated because it is long */
    return true;
  }
  for (size_t i = 0; i < c->num_asked; i++) {
    is_asked = is_asked || c->asked[i] == type;
  }
  for (size_t i = 0; i < *num; i++) {
    is_asked = is_asked && answered[i] != type;
  }
  if (is_asked) {
    answered[(*num)++] = type;
  }
  return is_asked;
}

static void note_generation(torc_done *d, const torc_fetch_response *r) {
  size_t num = d->num_generations;
  if (num < TORC_ARRAY_LEN(d->generations) &&
      (num == 0 || d->generations[num - 1].type != r->type)) {
    d->generations[num].type = r->type;
    d->generations[num].generation = r->generation;
    d->num_generations++;
  }
}

void torc_fetched_clear(torc_node *n, torc_fetched *f) {
  torc_free(n->mem, f->elements);
  torc_free(n->mem, f->generations);
  *f = (torc_fetched){0};
}

/* [FET-11] [GAP-86] The run of fetch_response, repeated elements joined. */
int torc_fetch_parse(torc_node *n, const torc_call *c, torc_slice payload, torc_fetched *out,
                     torc_done *done) {
  torc_type_id answered[TORC_CALL_ITEMS_MAX];
  size_t num_answered = 0;
  torc_fetch_response r;
  torc_rd rd;
  int rc = 0;
  torc_rd_init(&rd, payload);
  while (rc == 0 && torc_fetch_response_next(&rd, &r)) {
    const torc_type *type = torc_types_find(&n->types, r.type);
    torc_rd values;
    if (type == NULL || !is_next_type(c, r.type, answered, &num_answered)) {
      return TORC_ERR_FORMAT;
    }
    note_generation(done, &r);
    torc_rd_init(&values, r.values);
    while (rc == 0 && torc_rd_left(&values) > 0) {
      rc = parsed_add(n, out, type, r.generation, &values);
    }
  }
  rc = rc != 0 ? rc : rd.err;
  return rc == 0 && num_answered != c->num_asked ? TORC_ERR_FORMAT : rc;
}

static int check_values(torc_node *n, torc_call *c, const torc_reply *reply) {
  torc_fetched f = {0};
  fetch_state *s = NULL;
  int rc = torc_slice_dup(n->mem, reply->payload, &c->payload);
  if (rc == 0) {
    rc = torc_fetch_parse(n, c, torc_slice_of(c->payload, reply->payload.len), &f, &c->done);
  }
  s = rc == 0 ? torc_calloc(n->mem, 1, sizeof *s) : NULL;
  if (s == NULL) {
    torc_fetched_clear(n, &f);
    return rc != 0 ? rc : TORC_ERR_NOMEM;
  }
  s->call = c;
  s->generations = f.generations;
  rc = torc_verify_start(n, &c->resource, f.elements, f.num, 0, true, false, on_verified,
                         s); /* */
  if (rc != 0) {
    torc_free(n->mem, s->generations);
    torc_free(n->mem, s);
  }
  return rc;
}

static void on_fetched(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_call *c = ctx;
  torc_done done = {0};
  (void)cookie;
  if (!torc_call_outcome(n, c, reply, &done)) {
    torc_call_done(n, c, &done);
    return;
  }
  c->done = done;
  int rc = check_values(n, c, reply);
  if (rc != 0) {
    done.rc = rc;
    torc_call_done(n, c, &done);
  }
}

int torc_app_fetch(torc_node *n, const torc_id *resource, const torc_fetch_item *items, size_t num,
                   torc_token *token) {
  return torc_app_specified(n, TORC_METHOD_FETCH, resource, items, num, on_fetched, token);
}
