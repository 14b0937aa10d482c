/* Crypto for tests, with OpenSSL; the rest of helper_crypto.h is in helper_cert.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "helper_crypto.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static int sha256_parts(void *ctx, const torc_slice *parts, size_t num,
                        uint8_t out[TORC_DIGEST_LEN]) {
  (void)ctx;
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  int ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
  for (size_t i = 0; ok && i < num; i++) {
    ok = parts[i].len == 0 || EVP_DigestUpdate(md, parts[i].p, parts[i].len) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(md, out, NULL) == 1;
  EVP_MD_CTX_free(md);
  return ok ? 0 : TORC_ERR_CRYPTO;
}

static uint64_t random_state = 88172645463325252u;

static int random_bytes(void *ctx, uint8_t *out, size_t len) {
  (void)ctx;
  for (size_t i = 0; i < len; i++) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    out[i] = (uint8_t)(random_state >> 32);
  }
  return 0;
}

const torc_crypto *helper_crypto(void) {
  static const torc_crypto table = {.ctx = NULL,
                                    .random = random_bytes,
                                    .sha256 = sha256_parts,
                                    .cert_release = helper_cert_release};
  return &table;
}

torc_id helper_hash(const void *bytes, size_t len) {
  torc_slice part = {.p = bytes, .len = len};
  uint8_t digest[TORC_DIGEST_LEN];
  torc_id id;
  if (sha256_parts(NULL, &part, 1, digest) != 0) {
    abort();
  }
  memcpy(id.b, digest, sizeof id.b);
  return id;
}

torc_id helper_user_resource(const char *user) {
  return helper_hash(user, strlen(user));
}

torc_id helper_peer_resource(const torc_id *peer) {
  return helper_hash(peer->b, sizeof peer->b);
}

torc_id helper_turn_resource(const torc_id *peer, uint8_t iteration) {
  uint8_t seed[TORC_ID_LEN + 1];
  memcpy(seed, peer->b, TORC_ID_LEN);
  seed[TORC_ID_LEN] = iteration;
  return helper_hash(seed, sizeof seed);
}
