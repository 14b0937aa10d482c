/* Certificates by digest: each is checked once against the roots, then remembered for eight hours,
 * by its link or here [GAP-52] [CRT-06]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

typedef struct cert_entry {
  uint8_t digest[TORC_DIGEST_LEN];
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
  (void)torc_map_del(&n->certs, e->digest);
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

static void remember(torc_node *n, torc_cert *cert, torc_time expires) {
  cert_entry *e = find(n, cert->digest);
  if (e != NULL) {
    e->expires = expires > e->expires ? expires : e->expires;
    return;
  }
  if (n->certs.len >= TORC_NODE_CERTS_MAX) {
    n->stats->certificate_evictions++;
    drop(n, TORC_CONTAINER_OF(n->cert_lru.next, cert_entry, lru));
  }
  e = torc_calloc(n->mem, 1, sizeof *e);
  if (e != NULL) {
    memcpy(e->digest, cert->digest, sizeof e->digest);
  }
  if (e == NULL || torc_map_put(&n->certs, e) != 0) {
    n->stats->no_memory++;
    torc_free(n->mem, e);
    return;
  }
  e->cert = torc_cert_ref(cert);
  e->expires = expires;
  torc_list_init(&e->lru);
  torc_list_push_back(&n->cert_lru, &e->lru);
  n->stats->certificates_cached++;
}

void torc_cert_remember(torc_node *n, torc_cert *cert) {
  remember(n, cert, torc_time_add(n->now, TORC_NODE_CERT_AGE));
}

/* The certificate of a link that stands is known by the link, for eight hours as well. */
static bool is_fresh(const torc_node *n, const torc_link *l) {
  return n->now - l->up_at < TORC_NODE_CERT_AGE;
}

void torc_cert_take_over(torc_node *n, const torc_link *l) {
  cert_entry *e = torc_map_get(&n->certs, l->cert->digest);
  if (e != NULL) {
    drop(n, e);
  }
}

void torc_cert_remember_link(torc_node *n, const torc_link *l) {
  if (is_fresh(n, l)) {
    remember(n, l->cert, torc_time_add(l->up_at, TORC_NODE_CERT_AGE));
  }
}

static bool is_der(const torc_cert *c, torc_slice der) {
  return torc_slice_eq(c->der, der);
}

torc_cert *torc_cert_by_digest(torc_node *n, const uint8_t digest[TORC_DIGEST_LEN]) {
  const cert_entry *e = find(n, digest);
  size_t it = 0;
  const torc_link *l = NULL;
  while (e == NULL && (l = torc_map_next(&n->links, &it)) != NULL) {
    if (memcmp(l->cert->digest, digest, TORC_DIGEST_LEN) == 0 && is_fresh(n, l)) {
      return l->cert;
    }
  }
  return e != NULL ? e->cert : NULL;
}

static bool is_named(const torc_cert *c, const torc_identity *id) {
  return id->type == TORC_IDENTITY_PEER ? torc_cert_has_peer(c, &id->peer)
                                        : torc_cert_has_user(c, id->name);
}

/* Takes a reference of `c` if it bears the name. False: enough are found. */
static bool take_namesake(torc_cert_lookup *lu, const torc_identity *id, torc_cert *c,
                          torc_cert **found) {
  if (!is_named(c, id) || c == *found) {
    return true;
  }
  for (size_t i = 0; i < lu->num_more; i++) {
    if (lu->more[i] == c) {
      return true;
    }
  }
  if (*found == NULL) {
    *found = torc_cert_ref(c);
  } else if (lu->num_more < TORC_ARRAY_LEN(lu->more)) {
    lu->more[lu->num_more++] = torc_cert_ref(c);
  } else {
    return false;
  }
  return true;
}

/* Types 1 and 2: the certificate of the link it came on, then of other links, then the cache, the
 * most recently used first, then the own one [GAP-52]. References are taken. */
torc_cert *torc_cert_by_reference(torc_node *n, torc_cert_lookup *lu, const torc_identity *id,
                                  const torc_link *l) {
  torc_cert *found = NULL;
  size_t it = 0;
  bool is_more = l == NULL || take_namesake(lu, id, l->cert, &found);
  while (is_more && (l = torc_map_next(&n->links, &it)) != NULL) {
    is_more = !is_fresh(n, l) || take_namesake(lu, id, l->cert, &found);
  }
  for (torc_list *i = n->cert_lru.prev; is_more && i != &n->cert_lru; i = i->prev) {
    const cert_entry *e = TORC_CONTAINER_OF(i, cert_entry, lru);
    is_more = e->expires <= n->now || take_namesake(lu, id, e->cert, &found);
  }
  if (is_more) {
    (void)take_namesake(lu, id, n->cert, &found);
  }
  return found;
}

torc_cert *torc_cert_another(torc_cert_lookup *lu) {
  return lu->num_more == 0 ? NULL : lu->more[--lu->num_more];
}

bool torc_cert_retry(torc_node *n, torc_cert_lookup *lu) {
  if (lu->is_retry || !lu->may_fetch || lu->id == NULL) {
    return false;
  }
  lu->is_retry = true;
  return torc_cert_fetch_start(n, lu) == 0;
}

void torc_cert_lookup_clear(torc_node *n, torc_cert_lookup *lu) {
  torc_cert *c = NULL;
  torc_cert_fetch_forget(lu);
  while ((c = torc_cert_another(lu)) != NULL) {
    torc_cert_unref(n, c);
  }
}

static void on_certificate(torc_node *n, torc_jobref *j, const torc_job_result *r) {
  torc_cert_lookup *lu = TORC_CONTAINER_OF(j, torc_cert_lookup, job);
  if (r->rc != 0 && r->rc != TORC_ERR_CRYPTO) {
    n->stats->jobs_failed++;
    lu->fn(n, lu->ctx, r->rc == TORC_ERR_NOTFOUND ? TORC_ERR_IO : r->rc, NULL);
    return;
  }
  if (r->rc != 0 || r->cert == NULL) {
    n->stats->certificates_refused++;
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
  uint8_t digest[TORC_DIGEST_LEN];
  torc_cert *known = NULL;
  if (id->type != TORC_IDENTITY_CERT) {
    known = torc_cert_by_reference(n, lu, id, l);
    lu->fn = fn;
    lu->ctx = ctx;
    lu->id = id;
    if (known == NULL && lu->may_fetch && torc_cert_fetch_start(n, lu) == 0) {
      return;
    }
    fn(n, ctx, known == NULL ? TORC_ERR_NOTFOUND : 0, known);
    torc_cert_unref(n, known);
    return;
  }
  if (l != NULL && is_der(l->cert, id->cert) && is_fresh(n, l)) {
    known = l->cert; /* most messages: nothing to be hashed */
  } else if (is_der(n->cert, id->cert)) {
    known = n->cert;
  } else if (id->cert.len == 0 || id->cert.len > TORC_CERT_MAX_BYTES ||
             n->crypto->sha256(n->crypto->ctx, &id->cert, 1, digest) != 0) {
    fn(n, ctx, TORC_ERR_CRYPTO, NULL);
    return;
  } else {
    known = torc_cert_by_digest(n, digest);
  }
  if (known != NULL) {
    known = torc_cert_ref(known);
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

void torc_certs_init(torc_node *n, uint64_t seed) {
  torc_list_init(&n->cert_lru);
  torc_map_init(&n->certs, n->mem, offsetof(cert_entry, digest), TORC_DIGEST_LEN, seed);
}

void torc_certs_clear(torc_node *n) {
  while (!torc_list_empty(&n->cert_lru)) {
    drop(n, TORC_CONTAINER_OF(n->cert_lru.next, cert_entry, lru));
  }
  torc_map_clear(&n->certs);
}
