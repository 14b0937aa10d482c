/* libFuzzer target of the reader of certificate requests. The first byte picks what the rest is:
 * the request as it comes over the network, the value of the subjectAltName or the list of
 * extensions of a request that is rightly signed. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/ca.h"
#include "authority/csr.h"
#include "base/slice.h"
#include "io/x509.h"

#define OVERLAY "ring.example.org"
#define CHECK(condition)                                                 \
  do {                                                                   \
    if (!(condition)) {                                                  \
      (void)fprintf(stderr, "fuzz_csr: %s does not hold\n", #condition); \
      abort();                                                           \
    }                                                                    \
  } while (0)

static EVP_PKEY *signing_key(void) {
  static EVP_PKEY *key;
  if (key == NULL) {
    key = EVP_EC_gen("P-256");
    CHECK(key != NULL);
  }
  return key;
}

/* What is accepted is what a certificate may hold. */
static void check_accepted(const torc_csr *c) {
  CHECK(c->key != NULL && torc_pki_key_fault(c->key) == NULL);
  CHECK(strlen(c->key_hash) == 2 * TORC_SHA256_LEN);
  CHECK(c->num_users <= TORC_CERT_MAX_USERS);
  for (size_t i = 0; i < c->num_users; i++) {
    char again[TORC_USER_MAX + 1];
    CHECK(torc_ca_user_name(c->users[i], again, sizeof again) == 0);
    CHECK(strcmp(again, c->users[i]) == 0);
    for (size_t k = 0; k < i; k++) {
      CHECK(strcmp(c->users[k], c->users[i]) != 0);
    }
  }
}

static void read_one(const uint8_t *data, size_t len) {
  char err[400] = "";
  torc_csr csr;
  int rc = torc_csr_read(torc_slice_of(data, len), OVERLAY, &csr, err, sizeof err);
  CHECK((rc == 0) == (err[0] == '\0'));
  if (rc == 0) {
    check_accepted(&csr);
  } else {
    CHECK(csr.key == NULL);
  }
  torc_csr_clear(&csr);
}

static bool add_names(X509_REQ *req, const uint8_t *data, size_t len) {
  ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
  X509_EXTENSION *ext = NULL;
  STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
  bool ok = value != NULL && list != NULL && ASN1_OCTET_STRING_set(value, data, (int)len) == 1;
  ext = ok ? X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, value) : NULL;
  ok = ext != NULL && sk_X509_EXTENSION_push(list, ext) > 0 &&
       X509_REQ_add_extensions(req, list) == 1;
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  ASN1_OCTET_STRING_free(value);
  return ok;
}

/* A request around the bytes, signed. */
static void read_signed(bool is_names, const uint8_t *data, size_t len) {
  X509_REQ *req = X509_REQ_new();
  uint8_t *der = NULL;
  CHECK(req != NULL && X509_REQ_set_pubkey(req, signing_key()) == 1);
  bool ok = is_names
                ? add_names(req, data, len)
                : X509_REQ_add1_attr_by_NID(req, NID_ext_req, V_ASN1_SEQUENCE, data, (int)len) == 1;
  if (ok && X509_REQ_sign(req, signing_key(), EVP_sha256()) > 0) {
    int n = i2d_X509_REQ(req, &der);
    if (n > 0) {
      read_one(der, (size_t)n);
    }
  }
  OPENSSL_free(der);
  X509_REQ_free(req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  if (len == 0) {
    return 0;
  }
  if (data[0] % 3 == 0) {
    read_one(data + 1, len - 1);
  } else {
    read_signed(data[0] % 3 == 1, data + 1, len - 1);
  }
  return 0;
}
