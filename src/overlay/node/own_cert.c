/* The certificate this node shows and signs with, and the next one when it has been renewed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"
#include "overlay/node/rings.h"

static int make_identity(const torc_node *n, const torc_cert *cert, uint8_t **out, uint16_t *len) {
  torc_identity id = {.type = TORC_IDENTITY_CERT, .cert = cert->der};
  size_t cap = 3 + cert->der.len;
  torc_wr wr;
  if (cert->der.len > TORC_CERT_MAX_BYTES) {
    return TORC_ERR_LIMIT;
  }
  *out = torc_alloc(n->mem, cap);
  if (*out == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_wr_init(&wr, *out, cap);
  int rc = torc_identity_put(&wr, &id);
  *len = (uint16_t)wr.len;
  return rc != 0 ? rc : wr.err;
}

int torc_own_cert_init(torc_node *n) {
  return make_identity(n, n->cert, &n->own_identity, &n->own_identity_len);
}

void torc_own_cert_clear(torc_node *n) {
  torc_free(n->mem, n->own_identity);
  torc_cert_unref(n, n->cert);
  if (n->old_own != NULL) {
    torc_free(n->mem, n->old_own->identity);
    torc_cert_unref(n, n->old_own->cert);
    torc_free(n->mem, n->old_own);
  }
}

bool torc_own_identity(const torc_node *n, uint8_t number, torc_slice *out) {
  if (number == n->identity_number) {
    *out = torc_slice_of(n->own_identity, n->own_identity_len);
    return true;
  }
  if (n->old_own == NULL || (uint8_t)(number + 1) != n->identity_number) {
    return false;
  }
  *out = torc_slice_of(n->old_own->identity, n->old_own->identity_len);
  return true;
}

/* The pause keeps the one before alive as long as a job or a write may point to it. */
static int may_renew(const torc_node *n, const torc_cert *cert, const char **why) {
  torc_time pause = torc_time_add(TORC_NODE_RENEW_PAUSE, 64 * n->cfg.t1);
  if (n->cfg.is_shared_key) {
    *why = "a shared-key overlay has no certificates";
    return TORC_ERR_STATE;
  }
  if (!torc_cert_has_peer(cert, &n->self)) {
    *why = "the certificate is for another peer-id, which needs a restart";
    return TORC_ERR_CONFIG;
  }
  if (n->old_own != NULL && n->now < torc_time_add(n->old_own->renewed_at, pause)) {
    *why = "the certificate has been renewed a moment ago: wait a minute";
    return TORC_ERR_STATE;
  }
  return 0;
}

static bool is_own(const torc_node *n, const torc_cert *cert) {
  return memcmp(cert->digest, n->cert->digest, TORC_DIGEST_LEN) == 0;
}

/* [ENR-38] Links stay as they are: those made from now on, and every signature, show the new one.
 */
static int change(torc_node *n, torc_cert *cert, uint8_t signature_algorithm) {
  uint8_t *identity = NULL;
  uint16_t len = 0;
  torc_old_own *old =
      n->old_own != NULL ? n->old_own : torc_calloc(n->mem, 1, sizeof(torc_old_own));
  int rc = old == NULL ? TORC_ERR_NOMEM : make_identity(n, cert, &identity, &len);
  if (rc != 0) {
    torc_free(n->mem, identity);
    torc_free(n->mem, old != n->old_own ? old : NULL);
    return rc;
  }
  torc_cert_remember(n, n->cert); /* values of one's own that it has signed */
  torc_free(n->mem, old->identity);
  torc_cert_unref(n, old->cert);
  *old = (torc_old_own){.identity = n->own_identity,
                        .identity_len = n->own_identity_len,
                        .cert = n->cert,
                        .renewed_at = n->now};
  n->old_own = old;
  n->own_identity = identity;
  n->own_identity_len = len;
  n->cert = torc_cert_ref(cert);
  n->signature_algorithm = signature_algorithm;
  n->identity_number++;
  torc_cert_keep_renewed(n); /* [CRT-02] */
  return 0;
}

int torc_core_renew(torc_node *n, torc_cert *cert, uint8_t signature_algorithm, torc_time now,
                    const char **why) {
  torc_node_enter(n, now);
  int rc = 0;
  if (n->cfg.is_shared_key || !is_own(n, cert)) {
    rc = may_renew(n, cert, why);
    rc = rc != 0 ? rc : change(n, cert, signature_algorithm);
  }
  torc_node_settle(n);
  return rc;
}
