/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/helper_csr.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

EVP_PKEY *test_ec_key(const char *curve) {
  EVP_PKEY *key = EVP_EC_gen(curve);
  assert_non_null(key);
  return key;
}

EVP_PKEY *test_rsa_key(unsigned bits) {
  EVP_PKEY *key = EVP_RSA_gen(bits);
  assert_non_null(key);
  return key;
}

static void add_extension(STACK_OF(X509_EXTENSION) * list, const char *name, const char *value) {
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, NULL, NULL, NULL, NULL, 0);
  X509_EXTENSION *ext = X509V3_EXT_nconf(NULL, &ctx, name, value);
  assert_non_null(ext);
  assert_true(sk_X509_EXTENSION_push(list, ext) > 0);
}

static X509_REQ *make_request(const test_csr *w) {
  X509_REQ *req = X509_REQ_new();
  EVP_PKEY *key = w->key == NULL ? test_ec_key("P-256") : w->key;
  STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
  assert_non_null(req);
  assert_non_null(list);
  if (w->san != NULL) {
    add_extension(list, "subjectAltName", w->san);
  }
  if (w->extension[0] != NULL) {
    add_extension(list, w->extension[0], w->extension[1]);
  }
  if (sk_X509_EXTENSION_num(list) > 0) {
    assert_int_equal(X509_REQ_add_extensions(req, list), 1);
  }
  assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
  assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  if (w->key == NULL) {
    EVP_PKEY_free(key);
  }
  return req;
}

uint8_t *test_csr_der(const test_csr *w, size_t *len) {
  X509_REQ *req = make_request(w);
  uint8_t *der = NULL;
  int n = i2d_X509_REQ(req, &der);
  assert_true(n > 0);
  X509_REQ_free(req);
  if (w->is_signature_broken) {
    der[n - 5] ^= 1;
  }
  *len = (size_t)n;
  return der;
}

char *test_csr_pem(const test_csr *w) {
  X509_REQ *req = make_request(w);
  BIO *bio = BIO_new(BIO_s_mem());
  char *data = NULL;
  assert_int_equal(PEM_write_bio_X509_REQ(bio, req), 1);
  long n = BIO_get_mem_data(bio, &data);
  char *copy = strndup(data, (size_t)n);
  assert_non_null(copy);
  BIO_free(bio);
  X509_REQ_free(req);
  return copy;
}
