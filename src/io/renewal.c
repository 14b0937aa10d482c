/* SPDX-License-Identifier: Apache-2.0 */
#include "io/renewal.h"

#include <string.h>

#include "io/err.h"
#include "io/peer_impl.h"

torc_wall torc_renewal_due(torc_wall not_before, torc_wall not_after, uint32_t jitter) {
  uint64_t whole = not_after > not_before ? not_after - not_before : 0;
  uint64_t part = whole / TORC_RENEWAL_PARTS;
  uint64_t at = not_before + part * TORC_RENEWAL_DUE_PARTS +
                part * (jitter % TORC_RENEWAL_JITTER_MAX) / TORC_RENEWAL_JITTER_MAX;
  return (torc_wall)at;
}

uint32_t torc_renewal_wait(unsigned failures, uint32_t left_s) {
  uint32_t wait = TORC_RENEWAL_RETRY_FIRST_S;
  for (unsigned i = 1; i < failures && wait < TORC_RENEWAL_RETRY_LAST_S; i++) {
    wait *= 2;
  }
  wait = wait > TORC_RENEWAL_RETRY_LAST_S ? TORC_RENEWAL_RETRY_LAST_S : wait;
  wait = left_s > 0 && wait > left_s / 8 ? left_s / 8 : wait;
  return wait < TORC_RENEWAL_RETRY_FIRST_S ? TORC_RENEWAL_RETRY_FIRST_S : wait;
}

/* What of it has been done stays done: a repetition finishes it. */
static int change(torc_peer *p, char *err, size_t err_cap) {
  const char *why = NULL;
  if (torc_net_renew(p->net) != 0) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap, "the TLS library refuses the certificate");
  }
  int rc = torc_node_renew(p->node, torc_pki_own_cert(p->pki), torc_pki_signature_algorithm(p->pki),
                           torc_peer_now(p), &why);
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "%s", why);
  }
  torc_peer_flush(p);
  return 0;
}

int torc_peer_renew(torc_peer *p, const char *cert_file, const char *key_file, bool *is_new,
                    char *err, size_t err_cap) {
  *is_new = false;
  if (p->overlay.is_shared_key) {
    return torc_fail(TORC_ERR_STATE, err, err_cap, "a shared-key overlay has no certificates");
  }
  int rc = torc_pki_renew_own(p->pki, cert_file, key_file, torc_peer_wall(), err, err_cap);
  const uint8_t *digest = torc_pki_own_cert(p->pki)->digest;
  if (rc == 0 && memcmp(p->shown, digest, sizeof p->shown) != 0) {
    rc = change(p, err, err_cap);
    *is_new = rc == 0;
  }
  if (*is_new) {
    memcpy(p->shown, digest, sizeof p->shown);
    p->stats.renewals++;
  }
  return rc;
}

void torc_peer_renewal_failed(torc_peer *p) {
  p->stats.renewal_failures++;
}
