/* Answers of several holders to one FETCH: of each value the newest that its owner has signed.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "overlay/node/app.h"

/* ---- answers ---- */

static void answer_free(torc_node *n, torc_ask_answer *a) {
  for (size_t i = 0; i < a->fetched.num; i++) {
    torc_cert_unref(n, (torc_cert *)(uintptr_t)a->fetched.elements[i].signer);
  }
  torc_fetched_clear(n, &a->fetched);
  torc_free(n->mem, a->payload);
  torc_free(n->mem, a);
}

void torc_ask_answers_clear(torc_node *n, torc_ask_answers *all) {
  for (size_t i = 0; i < all->num; i++) {
    answer_free(n, all->list[i]);
  }
  all->num = 0;
}

/* Where one more may stand: free, or of a checked one that is farther from the resource. */
static int room(torc_node *n, torc_ask_answers *all, const torc_id *distance, size_t *at) {
  size_t farthest = SIZE_MAX;
  if (all->num < TORC_ASK_ANSWERS_MAX) {
    *at = all->num++;
    return 0;
  }
  for (size_t i = 0; i < all->num; i++) {
    const torc_ask_answer *a = all->list[i];
    if (a->is_checked && torc_id_cmp(&a->distance, distance) > 0 &&
        (farthest == SIZE_MAX || torc_id_cmp(&a->distance, &all->list[farthest]->distance) > 0)) {
      farthest = i;
    }
  }
  if (farthest == SIZE_MAX) {
    return TORC_ERR_LIMIT;
  }
  answer_free(n, all->list[farthest]);
  *at = farthest;
  return 0;
}

/* What a batch of the verification belongs to. */
typedef struct check {
  torc_call *call;
  torc_ask_answers *all;
  torc_ask_answer *answer;
  void (*checked)(torc_node *n, torc_call *c);
} check;

/* Values that do not hold are left out: who gave them counts as one that has nothing. */
static void on_verified(torc_node *n, void *ctx, torc_store_element *elements, size_t num) {
  check *k = ctx;
  torc_ask_answer *a = k->answer;
  size_t kept = 0;
  for (size_t i = 0; i < num; i++) {
    if (torc_fetch_acceptable(n, k->call, &elements[i])) {
      a->fetched.generations[kept] = a->fetched.generations[i];
      elements[kept++] = elements[i];
    } else {
      torc_cert_unref(n, (torc_cert *)(uintptr_t)elements[i].signer);
      n->stats->values_rejected++;
      k->all->num_rejected++;
    }
  }
  a->fetched.elements = elements;
  a->fetched.num = kept;
  a->is_checked = true;
  k->all->checking--;
  torc_call *call = k->call;
  void (*checked)(torc_node *, torc_call *) = k->checked;
  torc_free(n->mem, k);
  checked(n, call);
}

static int answer_new(torc_node *n, const torc_call *c, const torc_reply *reply,
                      torc_ask_answer **out) {
  torc_done generations = {0}; /* each value has its own */
  torc_ask_answer *a = torc_calloc(n->mem, 1, sizeof *a);
  if (a == NULL) {
    return TORC_ERR_NOMEM;
  }
  a->from = reply->responder;
  a->distance =
      torc_id_is_peer(&a->from) ? torc_id_distance(&c->resource, &a->from) : torc_id_wildcard;
  int rc = torc_slice_dup(n->mem, reply->payload, &a->payload);
  if (rc == 0) {
    rc = torc_fetch_parse(n, c, torc_slice_of(a->payload, reply->payload.len), &a->fetched,
                          &generations);
  }
  if (rc != 0) {
    torc_fetched_clear(n, &a->fetched);
    torc_free(n->mem, a->payload);
    torc_free(n->mem, a);
    return rc;
  }
  *out = a;
  return 0;
}

int torc_ask_take(torc_node *n, torc_call *c, torc_ask_answers *all, const torc_reply *reply,
                  void (*checked)(torc_node *n, torc_call *c)) {
  torc_ask_answer *a = NULL;
  size_t at = 0;
  for (size_t i = 0; i < all->num; i++) {
    if (torc_id_eq(&all->list[i]->from, &reply->responder)) {
      return TORC_ERR_EXISTS;
    }
  }
  int rc = answer_new(n, c, reply, &a);
  if (rc != 0) {
    return rc;
  }
  check *k = torc_calloc(n->mem, 1, sizeof *k);
  rc = k == NULL ? TORC_ERR_NOMEM : room(n, all, &a->distance, &at);
  if (rc != 0) {
    torc_free(n->mem, k);
    answer_free(n, a);
    return rc;
  }
  *k = (check){.call = c, .all = all, .answer = a, .checked = checked};
  torc_store_element *elements = a->fetched.elements;
  size_t num = a->fetched.num;
  a->fetched.elements = NULL; /* they come back with on_verified */
  a->fetched.num = 0;
  all->list[at] = a;
  all->checking++;
  rc = torc_verify_start(n, &c->resource, elements, num, 0, true, false, on_verified,
                         k); /* */
  if (rc != 0) {
    all->checking--;
    a->is_checked = true; /* with nothing in it */
    torc_free(n->mem, k);
  }
  return rc;
}

/* ---- the newest of each ---- */

typedef struct candidate {
  const torc_store_element *element;
  uint64_t generation;
  size_t type_place; /* in the order asked for */
} candidate;

static int compare_slices(torc_slice a, torc_slice b) {
  size_t least = a.len < b.len ? a.len : b.len;
  int d = least == 0 ? 0 : memcmp(a.p, b.p, least);
  return d != 0 ? d : (a.len > b.len) - (a.len < b.len);
}

static int compare_places(const candidate *a, const candidate *b) {
  const torc_entry *x = &a->element->data.entry;
  const torc_entry *y = &b->element->data.entry;
  if (a->type_place != b->type_place) {
    return a->type_place < b->type_place ? -1 : 1;
  }
  if (x->model == TORC_MODEL_ARRAY && x->index != y->index) {
    return x->index < y->index ? -1 : 1;
  }
  return x->model == TORC_MODEL_DICTIONARY ? compare_slices(x->key, y->key) : 0;
}

static bool exists(const candidate *c) {
  return !torc_stored_data_is_absent(&c->element->data);
}

/* [GAP-103] The greater storage time first, at equal times the greater signature bytes; what is
 * there before what is not. */
static int compare_versions(const candidate *a, const candidate *b) {
  const torc_stored_data *x = &a->element->data;
  const torc_stored_data *y = &b->element->data;
  if (exists(a) != exists(b)) {
    return exists(a) ? -1 : 1;
  }
  if (!exists(a)) {
    return 0;
  }
  if (x->storage_time != y->storage_time) {
    return x->storage_time > y->storage_time ? -1 : 1;
  }
  return compare_slices(y->signature.value, x->signature.value);
}

/* Whatever is equal so far differs in the counter under which it was given: the highest first. */
static int compare(const void *left, const void *right) {
  const candidate *a = left;
  const candidate *b = right;
  int d = compare_places(a, b);
  d = d != 0 ? d : compare_versions(a, b);
  return d != 0 ? d : (a->generation < b->generation) - (a->generation > b->generation);
}

static size_t type_place(const torc_call *c, torc_type_id type) {
  size_t i = 0;
  while (i < c->num_asked && c->asked[i] != type) {
    i++;
  }
  return i;
}

static size_t collect(const torc_call *c, const torc_ask_answers *all, candidate *out) {
  size_t num = 0;
  for (size_t i = 0; i < all->num; i++) {
    const torc_fetched *f = &all->list[i]->fetched;
    for (size_t k = 0; k < f->num; k++) {
      out[num++] = (candidate){.element = &f->elements[k],
                               .generation = f->generations[k],
                               .type_place = type_place(c, f->elements[k].type->id)};
    }
  }
  return num;
}

/* The first of each place stays, with the number of those that say the same. */
static size_t thin(candidate *list, size_t num, uint32_t *holders) {
  size_t kept = 0;
  for (size_t i = 0; i < num; i++) {
    bool is_new = kept == 0 || compare_places(&list[kept - 1], &list[i]) != 0;
    if (is_new) {
      list[kept] = list[i];
      holders[kept++] = 1;
    } else if (compare_versions(&list[kept - 1], &list[i]) == 0) {
      holders[kept - 1]++;
    }
  }
  return kept;
}

static torc_slice keep(uint8_t *bytes, size_t *used, torc_slice s) {
  torc_slice out = torc_slice_of(bytes + *used, s.len);
  if (s.len > 0) {
    memcpy(bytes + *used, s.p, s.len);
    *used += s.len;
  }
  return out;
}

static size_t size_of(const candidate *list, size_t num) {
  size_t size = 1;
  for (size_t i = 0; i < num; i++) {
    size += list[i].element->data.entry.key.len + list[i].element->data.entry.value.len;
  }
  return size;
}

/* One counter for each type: the highest. */
static void note_generation(torc_done *d, const torc_value *v) {
  size_t at = d->num_generations;
  if (at > 0 && d->generations[at - 1].type == v->type) {
    at--;
  } else if (at == TORC_ARRAY_LEN(d->generations)) {
    return;
  } else {
    d->generations[at].type = v->type;
    d->generations[at].generation = 0;
    d->num_generations++;
  }
  if (v->generation > d->generations[at].generation) {
    d->generations[at].generation = v->generation;
  }
}

/* Keys and values are copied behind each other, since the answers go. */
static int fill_event(torc_node *n, torc_call *c, const candidate *list, size_t num,
                      const uint32_t *holders, torc_done *done) {
  torc_out *o = c->event;
  size_t used = 0;
  uint8_t *bytes = torc_alloc(n->mem, size_of(list, num));
  torc_value *values = torc_calloc(n->mem, num + 1, sizeof *values);
  torc_cert **certs = torc_calloc(n->mem, num + 1, sizeof *certs);
  if (bytes == NULL || values == NULL || certs == NULL) {
    torc_free(n->mem, bytes);
    torc_free(n->mem, values);
    torc_free(n->mem, certs);
    return TORC_ERR_NOMEM;
  }
  torc_free(n->mem, o->owned); /* the phrase of a refusal */
  o->owned = bytes;
  o->extra = values;
  o->certs = certs;
  for (size_t i = 0; i < num; i++) {
    const torc_store_element *e = list[i].element;
    torc_value *v = &values[i];
    torc_fetch_value(n, e, list[i].generation, v);
    v->key = keep(bytes, &used, v->key);
    v->value = keep(bytes, &used, v->value);
    v->num_holders = holders[i];
    note_generation(done, v);
    if (v->exists) {
      done->is_rollback = torc_fetch_note_time(n, c, e) || done->is_rollback;
    }
    if (v->exists && v->signer != NULL) {
      o->certs[o->num_certs++] = torc_cert_ref((torc_cert *)(uintptr_t)e->signer);
    }
  }
  done->values = values;
  done->num_values = num;
  return 0;
}

int torc_ask_merge(torc_node *n, torc_call *c, const torc_ask_answers *all, torc_done *done) {
  size_t num = 0;
  for (size_t i = 0; i < all->num; i++) {
    num += all->list[i]->fetched.num;
  }
  candidate *list = torc_calloc(n->mem, num + 1, sizeof *list);
  uint32_t *holders = torc_calloc(n->mem, num + 1, sizeof *holders);
  int rc = TORC_ERR_NOMEM;
  if (list != NULL && holders != NULL) {
    num = collect(c, all, list);
    qsort(list, num, sizeof *list, compare);
    num = thin(list, num, holders);
    rc = fill_event(n, c, list, num, holders, done);
  }
  done->num_rejected = all->num_rejected;
  torc_free(n->mem, list);
  torc_free(n->mem, holders);
  return rc;
}
