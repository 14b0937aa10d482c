/* What a certificate request over the network asks for: PKCS#10 in, certs-only CMS out [ENR-28]
 * [ENR-29] [GAP-133]. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_CSR_H
#define TORC_AUTHORITY_CSR_H

#include "authority/registry.h"

#define TORC_CSR_MAX 16384 /* bytes of a request in any form */

typedef struct torc_csr {
  EVP_PKEY *key; /* owned */
  char key_hash[2 * TORC_SHA256_LEN + 1];
  char users[TORC_CERT_MAX_USERS][TORC_USER_MAX + 1]; /* normalised, no two alike */
  size_t num_users;
  bool has_peer; /* a renewal names the peer-id it is for */
  torc_id peer;
} torc_csr;

/* Reads DER, PEM or base64 without PEM's lines. The request must be signed by its own key, the key
 * one that peers accept, and the subjectAltName may hold rfc822Names and one URI of this overlay;
 * any other extension is refused, since a certificate has none that the requester chose.
 * TORC_ERR_FORMAT: it is no request. TORC_ERR_CRYPTO: key or signature. TORC_ERR_DENIED: it asks
 * for what nobody gets. `err` gets one line for whoever asked. Freed with torc_csr_clear. */
int torc_csr_read(torc_slice bytes, const char *overlay, torc_csr *out, char *err,
                  size_t err_cap) TORC_MUST_CHECK;
void torc_csr_clear(torc_csr *c);

/* SHA-256 of the public key in DER, lower-case hex. TORC_ERR_CRYPTO. */
int torc_csr_key_hash(EVP_PKEY *key, char out[2 * TORC_SHA256_LEN + 1]) TORC_MUST_CHECK;

/* Wraps one certificate (DER) as certs-only CMS (DER); *out is freed with free(). TORC_ERR_CRYPTO:
 * `der` is not one SEQUENCE; what is in it is not looked at. */
int torc_csr_answer(torc_slice der, uint8_t **out, size_t *len) TORC_MUST_CHECK;

#endif
