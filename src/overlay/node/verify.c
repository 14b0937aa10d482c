/* Signatures of stored elements, checked one after the other by jobs [STO-13] [STO-17] [SEC-14]
 * [SIG-07] [SIG-10]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

/* Elements of one batch whose jobs are under way at once. */
#define WINDOW 8

typedef struct check {
  torc_verify_batch *batch;
  torc_store_element *element;
  torc_cert_lookup lookup;
  torc_jobref job;
  uint8_t *prefix;
} check;

struct torc_verify_batch {
  torc_id resource;
  torc_store_element *elements;
  size_t num, next, busy;
  torc_link_id link;
  bool at_storage_time, stops_at_fault;
  bool is_faulty;   /* one of them is not valid */
  bool is_starting; /* the loop below is at work: a finished check must not start it again */
  torc_verify_fn fn;
  void *ctx;
};

void torc_verify_elements_free(torc_node *n, torc_store_element *elements, size_t num) {
  for (size_t i = 0; i < num; i++) {
    torc_cert_unref(n, (torc_cert *)(uintptr_t)elements[i].signer);
  }
  torc_free(n->mem, elements);
}

static void advance(torc_node *n, torc_verify_batch *b);

static void check_done(torc_node *n, check *c, torc_verdict verdict) {
  torc_verify_batch *b = c->batch;
  c->element->verdict = verdict;
  if (verdict != TORC_VERDICT_VALID) {
    b->is_faulty = true;
    torc_cert_unref(n, (torc_cert *)(uintptr_t)c->element->signer);
    c->element->signer = NULL;
  }
  torc_cert_lookup_clear(n, &c->lookup);
  torc_free(n->mem, c->prefix);
  torc_free(n->mem, c);
  b->busy--;
  if (!b->is_starting) {
    advance(n, b);
  }
}

static void check_signature(torc_node *n, check *c, torc_cert *cert);

/* No certificate that is known has signed it: he may have been given another [ENR-38]. */
static void none_signed(torc_node *n, check *c) {
  if (!torc_cert_retry(n, &c->lookup)) {
    n->stats->signature_invalid++;
    check_done(n, c, TORC_VERDICT_INVALID);
  }
}

static void on_verified(torc_node *n, torc_jobref *j, const torc_job_result *r) {
  check *c = TORC_CONTAINER_OF(j, check, job);
  torc_cert *next = r->rc == TORC_ERR_CRYPTO ? torc_cert_another(&c->lookup) : NULL;
  if (next != NULL) {
    check_signature(n, c, next);
  } else if (r->rc == 0) {
    check_done(n, c, TORC_VERDICT_VALID);
  } else if (r->rc == TORC_ERR_CRYPTO) {
    none_signed(n, c);
  } else { /* own failure */
    n->stats->jobs_failed++;
    check_done(n, c, TORC_VERDICT_UNRESOLVED);
  }
}

/* The dates that count. A new value is checked now, and as everybody after us will check it:
 * who held one that no replica takes could never hand its range over. */
static bool may_sign(const torc_node *n, const check *c, const torc_cert *cert) {
  return torc_cert_valid_at(cert, c->element->data.storage_time) &&
         (c->batch->at_storage_time || torc_cert_valid_at(cert, torc_node_wall(n)));
}

/* Takes the reference. */
static void check_signature(torc_node *n, check *c, torc_cert *cert) {
  while (cert != NULL && !may_sign(n, c, cert)) {
    torc_cert_unref(n, cert);
    cert = torc_cert_another(&c->lookup);
  }
  if (cert == NULL) {
    none_signed(n, c);
    return;
  }
  torc_cert_unref(n, (torc_cert *)(uintptr_t)c->element->signer);
  c->element->signer = cert;
  c->job.job.cert = cert;
  if (torc_job_start(n, &c->job, TORC_JOB_VERIFY, on_verified) != 0) {
    check_done(n, c, TORC_VERDICT_UNRESOLVED);
  }
}

/* [GAP-55] [GAP-56] the signed input. */
static int prepare(torc_node *n, check *c) {
  const torc_stored_data *d = &c->element->data;
  size_t cap = TORC_DATA_SIGNED_PREFIX_MAX(d->entry.key.len);
  torc_wr wr;
  torc_free(n->mem, c->prefix); /* of an earlier try */
  c->prefix = torc_alloc(n->mem, cap);
  if (c->prefix == NULL) {
    n->stats->no_memory++;
    return TORC_ERR_NOMEM;
  }
  torc_wr_init(&wr, c->prefix, cap);
  int rc = torc_data_signed_prefix_put(&wr, &c->batch->resource, c->element->type->id, d);
  c->job.parts[0] = torc_wr_slice(&wr);
  c->job.parts[1] = d->entry.value;
  c->job.job.num_parts = 2;
  c->job.job.algorithm = d->signature.algorithm;
  c->job.job.signature = d->signature.value;
  return rc != 0 ? rc : wr.err;
}

static void on_cert(torc_node *n, void *ctx, int rc, torc_cert *cert) {
  check *c = ctx;
  rc = rc != 0 ? rc : prepare(n, c);
  if (rc == 0) {
    check_signature(n, c, torc_cert_ref(cert));
  } else {
    n->stats->signature_invalid += c->lookup.is_retry && rc == TORC_ERR_CRYPTO;
    check_done(n, c, rc == TORC_ERR_CRYPTO ? TORC_VERDICT_INVALID : TORC_VERDICT_UNRESOLVED);
  }
}

/* [SEC-08] [GAP-106] Whoever holds the key may have written it. */
static void accept_unsigned(torc_node *n, torc_verify_batch *b, torc_store_element *e) {
  if (torc_stored_data_is_absent(&e->data)) {
    e->verdict = TORC_VERDICT_UNSIGNED;
  } else if (e->data.signature.is_present) {
    e->verdict = TORC_VERDICT_INVALID;
  } else {
    e->verdict = TORC_VERDICT_VALID;
    e->signer = torc_cert_ref(n->anyone);
  }
  b->is_faulty = b->is_faulty || e->verdict != TORC_VERDICT_VALID;
}

static void start_one(torc_node *n, torc_verify_batch *b, torc_store_element *e) {
  check *c = NULL;
  if (n->cfg.is_shared_key) {
    accept_unsigned(n, b, e);
    return;
  }
  if (torc_stored_data_is_absent(&e->data) || !e->data.signature.is_present) { /* */
    e->verdict = TORC_VERDICT_UNSIGNED;
    b->is_faulty = true;
    return;
  }
  c = torc_calloc(n->mem, 1, sizeof *c);
  if (c == NULL) {
    n->stats->no_memory++;
    e->verdict = TORC_VERDICT_UNRESOLVED;
    b->is_faulty = true;
    return;
  }
  c->batch = b;
  c->element = e;
  c->lookup.may_fetch = true;
  c->lookup.link = b->link;
  b->busy++;
  torc_cert_resolve(n, &c->lookup, &e->data.signature.identity, NULL, on_cert, c);
}

static void advance(torc_node *n, torc_verify_batch *b) {
  b->is_starting = true;
  while (b->next < b->num && b->busy < WINDOW) {
    torc_store_element *e = &b->elements[b->next++];
    if (b->stops_at_fault && b->is_faulty) {
      e->verdict = TORC_VERDICT_UNRESOLVED;
    } else {
      start_one(n, b, e);
    }
  }
  b->is_starting = false;
  if (b->busy == 0 && b->next == b->num) {
    torc_verify_fn fn = b->fn;
    void *ctx = b->ctx;
    torc_store_element *elements = b->elements;
    size_t num = b->num;
    torc_free(n->mem, b);
    fn(n, ctx, elements, num); /* owns the elements now */
  }
}

int torc_verify_start(torc_node *n, const torc_id *resource, torc_store_element *elements,
                      size_t num, torc_link_id link, bool at_storage_time, bool stops_at_fault,
                      torc_verify_fn fn, void *ctx) {
  torc_verify_batch *b = torc_calloc(n->mem, 1, sizeof *b);
  if (b == NULL) {
    torc_verify_elements_free(n, elements, num);
    return TORC_ERR_NOMEM;
  }
  b->resource = *resource;
  b->elements = elements;
  b->num = num;
  b->link = link;
  b->at_storage_time = at_storage_time;
  b->stops_at_fault = stops_at_fault;
  b->fn = fn;
  b->ctx = ctx;
  advance(n, b);
  return 0;
}
