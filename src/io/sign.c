/* Signatures with prepared contexts: no algorithm is looked up per operation.
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "io/x509_internal.h"
#include "wire/contents.h"

static bool borrow(bool *busy) {
  return !__atomic_exchange_n(busy, true, __ATOMIC_ACQUIRE);
}

static void give_back(bool *busy) {
  __atomic_store_n(busy, false, __ATOMIC_RELEASE);
}

int torc_pki_digest(torc_pki_shared *s, const torc_slice *parts, size_t num,
                    uint8_t out[TORC_DIGEST_LEN]) {
  bool is_borrowed = borrow(&s->md_busy);
  EVP_MD_CTX *md = is_borrowed ? s->md : EVP_MD_CTX_new();
  int ok = md != NULL && EVP_DigestInit_ex(md, s->sha256, NULL) == 1;
  for (size_t i = 0; ok && i < num; i++) {
    if (parts[i].len > 0) {
      ok = EVP_DigestUpdate(md, parts[i].p, parts[i].len) == 1;
    }
  }
  ok = ok && EVP_DigestFinal_ex(md, out, NULL) == 1;
  if (is_borrowed) {
    give_back(&s->md_busy);
  } else {
    EVP_MD_CTX_free(md);
  }
  return ok ? 0 : TORC_ERR_CRYPTO;
}

void torc_pki_shared_release(torc_pki_shared *s) {
  if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0) {
    return;
  }
  EVP_MD_CTX_free(s->md);
  EVP_MD_free(s->sha256);
  (void)pthread_mutex_destroy(&s->seen_lock);
  free(s);
}

static EVP_PKEY_CTX *new_op(const torc_pki_key *k, bool is_private) {
  EVP_PKEY_CTX *op = EVP_PKEY_CTX_new_from_pkey(NULL, k->pkey, NULL);
  int ok = op != NULL;
  if (ok) {
    ok = is_private ? EVP_PKEY_sign_init(op) == 1 : EVP_PKEY_verify_init(op) == 1;
  }
  /* [GAP-51] PKCS#1 v1.5 padding. */
  if (ok && k->algorithm == TORC_SIGALG_RSA_SHA256) {
    ok = EVP_PKEY_CTX_set_rsa_padding(op, RSA_PKCS1_PADDING) == 1;
  }
  ok = ok && EVP_PKEY_CTX_set_signature_md(op, k->shared->sha256) == 1;
  if (!ok) {
    EVP_PKEY_CTX_free(op);
    op = NULL;
  }
  return op;
}

static const char *rsa_fault(const EVP_PKEY *pkey) {
  int bits = EVP_PKEY_get_bits(pkey);
  if (bits < TORC_RSA_BITS_MIN) { /* [GAP-51] */
    return "RSA key below 2048 bits";
  }
  if (bits > TORC_RSA_BITS_MAX) {
    return "RSA key above 4096 bits";
  }
  BIGNUM *e = NULL;
  int ok = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
           !BN_is_one(e) && BN_num_bits(e) <= TORC_RSA_E_BITS_MAX;
  BN_free(e);
  return ok ? NULL : "RSA public exponent is unusable";
}

static const char *ec_fault(const EVP_PKEY *pkey) {
  char group[64] = "";
  int is_explicit = 0;
  int ok = EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) == 1;
  ok = ok && EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                                    &is_explicit) == 1;
  if (!ok || is_explicit != 0 || strcmp(group, "prime256v1") != 0) {
    return "EC key is not on the named curve P-256";
  }
  return NULL;
}

const char *torc_pki_key_fault(const void *key) {
  const EVP_PKEY *pkey = key;
  const char *fault = "key is neither RSA nor ECDSA P-256";
  /* [D-10] RSA with SHA-256 and ECDSA P-256 with SHA-256; nothing else is signed or believed. */
  if (EVP_PKEY_is_a(pkey, "RSA")) {
    fault = rsa_fault(pkey);
  } else if (EVP_PKEY_is_a(pkey, "EC")) {
    fault = ec_fault(pkey);
  }
  ERR_clear_error();
  return fault;
}

int torc_pki_key_new(torc_pki_key **out, EVP_PKEY *pkey, torc_pki_shared *shared, bool is_private,
                     const char **why) {
  *why = torc_pki_key_fault(pkey);
  if (*why != NULL) {
    return TORC_ERR_CRYPTO;
  }
  uint8_t algorithm =
      EVP_PKEY_is_a(pkey, "RSA") ? TORC_SIGALG_RSA_SHA256 : TORC_SIGALG_ECDSA_P256_SHA256;
  torc_pki_key *k = calloc(1, sizeof *k);
  if (k == NULL) {
    *why = "out of memory";
    return TORC_ERR_NOMEM;
  }
  k->pkey = pkey;
  k->algorithm = algorithm;
  k->shared = shared;
  k->op = new_op(k, is_private);
  if (k->op == NULL) {
    ERR_clear_error();
    free(k);
    *why = "the cryptographic library refuses the key";
    return TORC_ERR_CRYPTO;
  }
  __atomic_add_fetch(&shared->refs, 1, __ATOMIC_RELAXED);
  *out = k;
  return 0;
}

void torc_pki_key_free(torc_pki_key *k) {
  if (k == NULL) {
    return;
  }
  EVP_PKEY_CTX_free(k->op);
  EVP_PKEY_free(k->pkey);
  torc_pki_shared_release(k->shared);
  free(k);
}

static int sign_with(torc_pki_key *k, const torc_slice *parts, size_t num, uint8_t *sig,
                     size_t sig_cap, size_t *sig_len) {
  uint8_t digest[TORC_DIGEST_LEN];
  int rc = torc_pki_digest(k->shared, parts, num, digest);
  if (rc != 0) {
    return rc;
  }
  bool is_borrowed = borrow(&k->op_busy);
  EVP_PKEY_CTX *op = is_borrowed ? k->op : new_op(k, true);
  size_t len = sig_cap;
  int ok = op != NULL && EVP_PKEY_sign(op, sig, &len, digest, sizeof digest) == 1;
  if (is_borrowed) {
    give_back(&k->op_busy);
  } else {
    EVP_PKEY_CTX_free(op);
  }
  if (!ok) {
    ERR_clear_error();
    return TORC_ERR_CRYPTO;
  }
  *sig_len = len;
  return 0;
}

int torc_pki_sign(torc_pki *p, const torc_cert *own, const torc_slice *parts, size_t num,
                  uint8_t *sig, size_t sig_cap, size_t *sig_len) {
  int rc = TORC_ERR_STATE;
  (void)pthread_rwlock_rdlock(&p->own_lock);
  torc_pki_key *k = own == NULL || own == p->own.cert ? p->own.key
                    : own == p->old.cert              ? p->old.key
                                                      : NULL;
  if (k != NULL) {
    rc = sign_with(k, parts, num, sig, sig_cap, sig_len);
  }
  (void)pthread_rwlock_unlock(&p->own_lock);
  return rc;
}

int torc_pki_verify(const torc_cert *cert, uint8_t algorithm, const torc_slice *parts, size_t num,
                    torc_slice signature) {
  torc_pki_key *k = cert->key;
  /* [SIG-03] [GAP-51] [D-10]: 0x01 (SHA-1), unknown codes and a code that does not fit the key are
   * invalid. */
  if (k == NULL || algorithm != k->algorithm || signature.len == 0 ||
      signature.len > TORC_SIGNATURE_MAX) {
    return TORC_ERR_CRYPTO;
  }
  uint8_t digest[TORC_DIGEST_LEN];
  int rc = torc_pki_digest(k->shared, parts, num, digest);
  if (rc != 0) {
    return rc;
  }
  bool is_borrowed = borrow(&k->op_busy);
  EVP_PKEY_CTX *op = is_borrowed ? k->op : new_op(k, false);
  int ok =
      op != NULL && EVP_PKEY_verify(op, signature.p, signature.len, digest, sizeof digest) == 1;
  if (is_borrowed) {
    give_back(&k->op_busy);
  } else {
    EVP_PKEY_CTX_free(op);
  }
  if (!ok) {
    ERR_clear_error(); /* a stale entry would be taken for a failure of a TLS link */
    return TORC_ERR_CRYPTO;
  }
  return 0;
}

static int crypto_random(void *ctx, uint8_t *out, size_t len) {
  (void)ctx;
  while (len > 0) {
    int n = len > 4096 ? 4096 : (int)len;
    if (RAND_bytes(out, n) != 1) {
      return TORC_ERR_CRYPTO;
    }
    out += n;
    len -= (size_t)n;
  }
  return 0;
}

static int crypto_sha256(void *ctx, const torc_slice *parts, size_t num,
                         uint8_t out[TORC_DIGEST_LEN]) {
  torc_pki *p = ctx;
  return torc_pki_digest(p->shared, parts, num, out);
}

static void crypto_cert_release(void *ctx, torc_cert *cert) {
  (void)ctx;
  torc_cert_free(cert);
}

const torc_crypto *torc_pki_crypto(torc_pki *p) {
  p->crypto = (torc_crypto){.ctx = p,
                            .random = crypto_random,
                            .sha256 = crypto_sha256,
                            .cert_release = crypto_cert_release};
  return &p->crypto;
}
