/* The request for a certificate, and what is checked about the answer [ENR-28..34].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IDENTITY_REQUEST_H
#define TORC_IDENTITY_REQUEST_H

#include <openssl/evp.h>

#include "authority/ca.h"
#include "io/overlay_xml.h"

#define TORC_ANSWER_MAX 65536u /* bytes of certs-only CMS */
#define TORC_ANSWER_CERTS_MAX 8

/* What is asked for. Pointers are borrowed for the call. */
typedef struct torc_wish {
  const char *const *users; /* normalised; none: a guest */
  size_t num_users;
  const torc_id *peer; /* of a renewal: the peer-id to keep; NULL: the authority chooses one */
} torc_wish;

/* The kind of key the overlay admits: P-256 unless its document only takes RSA [D-10].
 * TORC_ERR_CONFIG: it admits neither. */
int torc_request_key_kind(const torc_overlay *o, torc_ca_signature *out) TORC_MUST_CHECK;
/* PKCS#10 in DER, signed by `key`, with the names of `w` as subjectAltName [ENR-29]. *out is freed
 * with free. TORC_ERR_CRYPTO, TORC_ERR_NOMEM. */
int torc_request_make(const torc_wish *w, const char *overlay, EVP_PKEY *key, uint8_t **out,
                      size_t *len) TORC_MUST_CHECK;

typedef struct torc_granted {
  uint8_t *pem; /* of the certificate; freed with torc_granted_clear */
  size_t len;
  torc_id peer;
  char users[TORC_CERT_MAX_USERS][TORC_USER_MAX + 1];
  size_t num_users;
  torc_wall not_before, not_after;
} torc_granted;

/* Reads certs-only CMS and takes the certificate of `key` out of it. It must chain to a root-cert
 * of the document and fit the overlay [ENR-34] [GAP-134], be in force at `now`, have exactly the
 * user names asked for, one name if a guest asks, and exactly one peer-id, the old one if one was
 * asked for. TORC_ERR_FORMAT: it is no such answer. TORC_ERR_CRYPTO: it must not be used. `err`
 * gets one line. */
int torc_answer_check(torc_granted *out, torc_slice cms, const torc_wish *w,
                      const torc_overlay *overlay, const EVP_PKEY *key, torc_wall now, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
void torc_granted_clear(torc_granted *g);

#endif
