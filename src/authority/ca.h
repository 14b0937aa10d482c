/* Keys and certificates of an overlay's authority with OpenSSL.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_CA_H
#define TORC_AUTHORITY_CA_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "torc/crypto.h"

#define TORC_CA_SERIAL_LEN 16  /* random; the first bit is 0, so that it is a positive number */
#define TORC_CA_BACKDATE_S 300 /* certificates begin so much earlier: clocks differ */
#define TORC_CA_RSA_BITS 2048  /* [D-10] */

typedef enum torc_ca_signature {
  TORC_CA_ECDSA = 1, /* P-256 with SHA-256, the default [D-10] */
  TORC_CA_RSA = 2    /* 2048 bits with SHA-256 [D-10] */
} torc_ca_signature;

/* What stands in one certificate. Pointers are borrowed for the call. */
typedef struct torc_ca_profile {
  const char *overlay;
  EVP_PKEY *subject_key;
  torc_id peer;             /* exactly one */
  const char *const *users; /* normalised [GAP-108] */
  size_t num_users;
  uint8_t serial[TORC_CA_SERIAL_LEN];
  torc_wall not_before, not_after;
} torc_ca_profile;

/* A fresh key pair. TORC_ERR_CRYPTO. */
int torc_ca_key_new(torc_ca_signature kind, EVP_PKEY **out) TORC_MUST_CHECK;
/* Bytes of an unpredictable serial number or peer-id, which is neither 0 nor all ones [ENR-32]
 * [ENR-33]. */
int torc_ca_random_serial(uint8_t out[TORC_CA_SERIAL_LEN]) TORC_MUST_CHECK;
int torc_ca_random_peer(torc_id *out) TORC_MUST_CHECK;

/* A root that signs itself and may issue end certificates only [ENR-19]. */
int torc_ca_root_new(EVP_PKEY *key, torc_wall not_before, torc_wall not_after,
                     X509 **out) TORC_MUST_CHECK;
/* A certificate issued directly by `root` [GAP-134] [R-38] [ENR-35], to be written down: its public
 * key is bytes only, which X509_get0_pubkey does not give. */
int torc_ca_issue(X509 *root, EVP_PKEY *root_key, const torc_ca_profile *profile,
                  X509 **out) TORC_MUST_CHECK;

/* SubjectPublicKeyInfo in DER. *out is freed with free(). TORC_ERR_CRYPTO. */
int torc_ca_public_key(EVP_PKEY *key, uint8_t **out, size_t *len) TORC_MUST_CHECK;

/* Takes the public key out of a PKCS#10 request (PEM) whose own signature holds and whose key
 * peers accept. Names in the request are not looked at: who asks does not decide them. */
int torc_ca_request_key(torc_slice pem, EVP_PKEY **out, char *err, size_t err_cap) TORC_MUST_CHECK;

/* For OpenSSL's PEM readers, which otherwise ask the terminal: nobody is there to be asked. */
int torc_ca_no_passphrase(char *buf, int size, int is_writing, void *arg);

/* PEM and DER out and in. *out is freed with torc_file_free. */
int torc_ca_key_to_pem(EVP_PKEY *key, uint8_t **out, size_t *len) TORC_MUST_CHECK;
int torc_ca_cert_to_pem(X509 *cert, uint8_t **out, size_t *len) TORC_MUST_CHECK;
int torc_ca_cert_to_der(X509 *cert, uint8_t **out, size_t *len) TORC_MUST_CHECK;
int torc_ca_key_from_pem(torc_slice pem, EVP_PKEY **out) TORC_MUST_CHECK;
int torc_ca_cert_from_pem(torc_slice pem, X509 **out) TORC_MUST_CHECK;

/* Normalises a user name: ASCII, one '@', host part lower-case without a final dot, no white space
 * or control character [GAP-108]. TORC_ERR_FORMAT: it is none. TORC_ERR_SPACE. */
int torc_ca_user_name(const char *name, char *out, size_t cap) TORC_MUST_CHECK;
/* Overlay names stand in URIs and in file names: letters, digits, '-', '.', '_' ; 1..200 bytes. */
bool torc_ca_overlay_name_ok(const char *name);

#endif
