/* Certificate requests for tests, also wrong ones. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TEST_CSR_H
#define TORC_TEST_CSR_H

#include <openssl/x509.h>

#include "torc_test.h"

typedef struct test_csr {
  const char *san;          /* as in OpenSSL's configuration, "email:a@x,URI:reload://..."; NULL */
  const char *extension[2]; /* another one: name and value */
  EVP_PKEY *key;            /* borrowed; NULL: a fresh P-256 */
  bool is_signature_broken;
} test_csr;

EVP_PKEY *test_ec_key(const char *curve);
EVP_PKEY *test_rsa_key(unsigned bits);
/* DER, freed with OPENSSL_free. */
uint8_t *test_csr_der(const test_csr *wanted, size_t *len);
/* The same in PEM with the lines, NUL-terminated, freed with free. */
char *test_csr_pem(const test_csr *wanted);

#endif
