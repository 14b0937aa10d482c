/* Certificates made at test time, good and bad, and files of them in a directory of the test's own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TESTS_HELPER_PKI_H
#define TORC_TESTS_HELPER_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "io/x509.h"
#include "torc/types.h"

typedef enum hp_key_kind {
  HP_EC = 0,
  HP_RSA2048,
  HP_RSA1024,
  HP_EC384,
  HP_ED25519,
  HP_RSA_PSS
} hp_key_kind;

typedef struct hp_ca {
  EVP_PKEY *key;
  X509 *x509;
  uint8_t *der;
  size_t der_len;
} hp_ca;

/* What a certificate says. Zero: a good one for `overlay`. */
typedef struct hp_spec {
  const char *overlay;  /* in the URI */
  const char *uris[70]; /* instead of the URI made from `id` and `overlay` */
  const char *email;    /* rfc822Name; NULL: none */
  int email_len;        /* bytes of it if it holds a NUL */
  uint8_t id;           /* peer-id: sixteen times this byte; 0: 1 */
  hp_key_kind kind;
  long from_s, to_s; /* dates relative to now; 0, 0: an hour ago to a day from now */
  const char *eku;   /* OpenSSL's configuration syntax; NULL: none */
  const char *key_usage;
  const char *basic;
  const char *unknown_critical; /* DER as hex of an extension 1.3.6.1.4.1.55555.1 */
  bool has_no_san;
  bool is_v1;
  bool is_sha1;
  size_t padding; /* bytes of an unknown, not critical extension */
} hp_spec;

void hp_ca_make(hp_ca *ca, const char *name, bool is_ca);
void hp_ca_free(hp_ca *ca);
torc_slice hp_ca_der(const hp_ca *ca);
EVP_PKEY *hp_key(hp_key_kind kind);
/* A certificate for `key` signed by `ca`; the caller frees both results. */
X509 *hp_issue(const hp_ca *ca, const hp_spec *spec, EVP_PKEY *key);
/* Its DER; freed with OPENSSL_free. */
torc_slice hp_der(X509 *x);
/* A pki with one root. */
torc_pki *hp_pki(const hp_ca *ca, const char *overlay);
/* The same with own certificate and key according to `spec`. */
torc_pki *hp_pki_own(const hp_ca *ca, const char *overlay, const hp_spec *spec);

/* A new directory; removed with everything in it by hp_dir_remove. */
void hp_dir_make(char out[256]);
void hp_dir_remove(const char *dir);
void hp_write_file(const char *path, const void *bytes, size_t len, unsigned mode);
/* Writes dir/name.crt and dir/name.key. */
void hp_write_identity(const char *dir, const char *name, const hp_ca *ca, const hp_spec *spec);
torc_id hp_id(uint8_t byte);
torc_wall hp_now(void);

#endif
