/* Certificates by digest: each is checked once against the roots, then remembered for eight hours
 * [GAP-52] [CRT-06]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

typedef struct cert_entry {
  torc_list lru; /* least recently used first */
  torc_cert *cert;
  torc_time expires;
} cert_entry;

torc_cert *torc_cert_ref(torc_cert *c) {
  if (c != NULL) {
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
  }
  return c;
}

void torc_cert_unref(torc_node *n, torc_cert *c) {
  if (c != NULL) {
    n->crypto->cert_release(n->crypto->ctx, c);
  }
}

bool torc_cert_has_peer(const torc_cert *c, const torc_id *peer) {
  for (size_t i = 0; i < c->num_peers; i++) {
    if (torc_id_eq(&c->peers[i], peer)) {
      return true;
    }
  }
  return false;
}

/* Names are sent normalised and compared bytewise. */
bool torc_cert_has_user(const torc_cert *c, torc_slice user) {
  for (size_t i = 0; i < c->num_users; i++) {
    if (torc_slice_eq(torc_slice_str(c->users[i]), user)) {
      return true;
    }
  }
  return false;
}

bool torc_cert_valid_at(const torc_cert *c, torc_wall t) {
  return c->not_before <= t && t <= c->not_after; /* [GAP-135] */
}

static void drop(torc_node *n, cert_entry *e) {
  (void)torc_map_del(&n->certs, e->cert->digest);
  torc_list_remove(&e->lru);
  torc_cert_unref(n, e->cert);
  torc_free(n->mem, e);
}

static cert_entry *find(torc_node *n, const uint8_t digest[TORC_DIGEST_LEN]) {
  cert_entry *e = torc_map_get(&n->certs, digest);
  if (e != NULL && e->expires <= n->now) {
    drop(n, e);
    return NULL;
  }
  if (e != NULL) {
    torc_list_remove(&e->lru);
    torc_list_push_back(&n->cert_lru, &e->lru);
  }
  return e;
}

void torc_cert_remember(torc_node *n, torc_cert *cert) {
  cert_entry *e = find(n, cert->digest);
  if (e != NULL) {
    e->expires = torc_time_add(n->now, TORC_NODE_CERT_AGE);
    return;
  }
  if (n->certs.len >= TORC_NODE_CERTS_MAX) {
    n->stats.certificate_evictions++;
    drop(n, TORC_CONTAINER_OF(n->cert_lru.next, cert_entry, lru));
  }
  e = torc_calloc(n->mem, 1, sizeof *e);
  if (e == NULL || torc_map_put(&n->certs, cert->digest, e) != 0) {
    n->stats.no_memory++;
    torc_free(n->mem, e);
    return;
  }
  e->cert = torc_cert_ref(cert);
  e->expires = torc_time_add(n->now, TORC_NODE_CERT_AGE);
  torc_list_init(&e->lru);
  torc_list_push_back(&n->cert_lru, &e->lru);
  n->stats.certificates_cached++;
}

static bool is_named(const torc_cert *c, const torc_identity *id) {
  return id->type == TORC_IDENTITY_PEER ? torc_cert_has_peer(c, &id->peer)
                                        : torc_cert_has_user(c, id->name);
}

/* Types 1 and 2: the link's certificate, then the cache, the most recently used first [GAP-52]
 * . References are taken. */
static torc_cert *by_reference(torc_node *n, torc_cert_lookup *lu, const torc_identity *id,
                               const torc_link *l) {
  torc_cert *found = l != NULL && is_named(l->cert, id) ? torc_cert_ref(l->cert) : NULL;
  if (found != NULL && id->type == TORC_IDENTITY_PEER) {
    return found;
  }
  for (torc_list *i = n->cert_lru.prev; i != &n->cert_lru; i = i->prev) {
    cert_entry *e = TORC_CONTAINER_OF(i, cert_entry, lru);
    if (e->expires <= n->now || !is_named(e->cert, id) || (l != NULL && e->cert == l->cert)) {
      continue;
    }
    if (found == NULL) {
      found = torc_cert_ref(e->cert);
    } else if (lu->num_more < TORC_ARRAY_LEN(lu->more)) {
      lu->more[lu->num_more++] = torc_cert_ref(e->cert);
    } else {
      break;
    }
    if (id->type == TORC_IDENTITY_PEER) {
      break;
    }
  }
  return found;
}

torc_cert *torc_cert_another(torc_cert_lookup *lu) {
  return lu->num_more == 0 ? NULL : lu->more[--lu->num_more];
}

void torc_cert_lookup_clear(torc_node *n, torc_cert_lookup *lu) {
  torc_cert *c = NULL;
  while ((c = torc_cert_another(lu)) != NULL) {
    torc_cert_unref(n, c);
  }
}

static void on_certificate(torc_node *n, torc_jobref *j, const torc_job_result *r) {
  torc_cert_lookup *lu = TORC_CONTAINER_OF(j, torc_cert_lookup, job);
  if (r->rc != 0 && r->rc != TORC_ERR_CRYPTO) {
    n->stats.jobs_failed++;
    lu->fn(n, lu->ctx, r->rc == TORC_ERR_NOTFOUND ? TORC_ERR_IO : r->rc, NULL);
    return;
  }
  if (r->rc != 0 || r->cert == NULL) {
    n->stats.certificates_refused++;
    lu->fn(n, lu->ctx, TORC_ERR_CRYPTO, NULL);
    return;
  }
  torc_cert *cert = r->cert;
  torc_cert_remember(n, cert);
  lu->fn(n, lu->ctx, 0, cert);
  torc_cert_unref(n, cert);
}

void torc_cert_resolve(torc_node *n, torc_cert_lookup *lu, const torc_identity *id,
                       const torc_link *l, torc_cert_fn fn, void *ctx) {
  cert_entry *e = NULL;
  torc_cert *known = NULL;
  if (id->type != TORC_IDENTITY_CERT) {
    known = by_reference(n, lu, id, l);
    fn(n, ctx, known == NULL ? TORC_ERR_NOTFOUND : 0, known);
    torc_cert_unref(n, known);
    return;
  }
  if (id->cert.len == 0 || id->cert.len > TORC_CERT_MAX_BYTES ||
      n->crypto->sha256(n->crypto->ctx, &id->cert, 1, lu->digest) != 0) {
    fn(n, ctx, TORC_ERR_CRYPTO, NULL);
    return;
  }
  e = find(n, lu->digest);
  if (e != NULL) {
    known = torc_cert_ref(e->cert);
    fn(n, ctx, 0, known);
    torc_cert_unref(n, known);
    return;
  }
  lu->fn = fn;
  lu->ctx = ctx;
  memset(&lu->job, 0, sizeof lu->job);
  lu->job.job.der = id->cert;
  if (torc_job_start(n, &lu->job, TORC_JOB_CERTIFICATE, on_certificate) != 0) {
    fn(n, ctx, TORC_ERR_NOMEM, NULL);
  }
}

void torc_certs_clear(torc_node *n) {
  while (!torc_list_empty(&n->cert_lru)) {
    drop(n, TORC_CONTAINER_OF(n->cert_lru.next, cert_entry, lru));
  }
  torc_map_clear(&n->certs);
}
