/* Digests and HMAC for STUN, by OpenSSL with prepared contexts (D-42).
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/stun_crypto.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "base/slice.h"

struct torc_stun_openssl {
  torc_stun_crypto table;
  EVP_MD *md5, *sha256;
  EVP_MD_CTX *md;
  EVP_MAC *hmac;
  EVP_MAC_CTX *hmac_sha1, *hmac_sha256;
};

static int random_bytes(void *ctx, uint8_t *out, size_t len) {
  (void)ctx;
  if (len > INT32_MAX || RAND_bytes(out, (int)len) != 1) {
    return TORC_ERR_CRYPTO;
  }
  return 0;
}

static int digest(void *ctx, torc_stun_hash hash, const torc_slice *parts, size_t num,
                  uint8_t *out) {
  torc_stun_openssl *s = ctx;
  const EVP_MD *type = hash == TORC_STUN_MD5 ? s->md5 : s->sha256;
  int ok = hash != TORC_STUN_SHA1 && type != NULL && EVP_DigestInit_ex(s->md, type, NULL) == 1;
  for (size_t i = 0; ok && i < num; i++) {
    ok = parts[i].len == 0 || EVP_DigestUpdate(s->md, parts[i].p, parts[i].len) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(s->md, out, NULL) == 1;
  return ok ? 0 : TORC_ERR_CRYPTO;
}

static int hmac(void *ctx, torc_stun_hash hash, torc_slice key, const torc_slice *parts, size_t num,
                uint8_t *out) {
  torc_stun_openssl *s = ctx;
  EVP_MAC_CTX *mac = hash == TORC_STUN_SHA1 ? s->hmac_sha1 : s->hmac_sha256;
  size_t len = 0;
  int ok = hash != TORC_STUN_MD5 && key.len != 0 && EVP_MAC_init(mac, key.p, key.len, NULL) == 1;
  for (size_t i = 0; ok && i < num; i++) {
    ok = parts[i].len == 0 || EVP_MAC_update(mac, parts[i].p, parts[i].len) == 1;
  }
  ok = ok && EVP_MAC_final(mac, out, &len, hash == TORC_STUN_SHA1 ? 20 : 32) == 1;
  return ok ? 0 : TORC_ERR_CRYPTO;
}

static int opaque(void *ctx, torc_slice in, uint8_t *out, size_t cap, size_t *len) {
  (void)ctx;
  return torc_opaque_string(in, out, cap, len);
}

static EVP_MAC_CTX *new_hmac(EVP_MAC *hmac_type, char *name) {
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                               OSSL_PARAM_construct_end()};
  EVP_MAC_CTX *mac = hmac_type != NULL ? EVP_MAC_CTX_new(hmac_type) : NULL;
  if (mac != NULL && EVP_MAC_CTX_set_params(mac, params) != 1) {
    EVP_MAC_CTX_free(mac);
    return NULL;
  }
  return mac;
}

int torc_stun_openssl_new(torc_stun_openssl **out) {
  char sha1[] = "SHA1";
  char sha256[] = "SHA256";
  torc_stun_openssl *s = calloc(1, sizeof *s);
  if (s == NULL) {
    return TORC_ERR_NOMEM;
  }
  s->md5 = EVP_MD_fetch(NULL, "MD5", NULL);
  s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  s->md = EVP_MD_CTX_new();
  s->hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
  s->hmac_sha1 = new_hmac(s->hmac, sha1);
  s->hmac_sha256 = new_hmac(s->hmac, sha256);
  if (s->sha256 == NULL || s->md == NULL || s->hmac_sha1 == NULL || s->hmac_sha256 == NULL) {
    torc_stun_openssl_free(s);
    return TORC_ERR_CRYPTO;
  }
  s->table = (torc_stun_crypto){
      .ctx = s, .random = random_bytes, .digest = digest, .hmac = hmac, .opaque_string = opaque};
  *out = s;
  return 0;
}

void torc_stun_openssl_free(torc_stun_openssl *s) {
  if (s == NULL) {
    return;
  }
  EVP_MAC_CTX_free(s->hmac_sha1);
  EVP_MAC_CTX_free(s->hmac_sha256);
  EVP_MAC_free(s->hmac);
  EVP_MD_CTX_free(s->md);
  EVP_MD_free(s->md5);
  EVP_MD_free(s->sha256);
  free(s);
}

const torc_stun_crypto *torc_stun_openssl_table(torc_stun_openssl *s) {
  return &s->table;
}
