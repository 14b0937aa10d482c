/* SPDX-License-Identifier: Apache-2.0 */
#include "ice/helper_stun.h"

#include <openssl/evp.h>
#include <string.h>

static bool fails(helper_stun *h) {
  return h->fail_next > 0 && --h->fail_next == 0;
}

static const char *name_of(torc_stun_hash hash) {
  switch (hash) {
    case TORC_STUN_MD5:
      return "MD5";
    case TORC_STUN_SHA1:
      return "SHA1";
    case TORC_STUN_SHA256:
    default:
      return "SHA256";
  }
}

static size_t join(const torc_slice *parts, size_t num, uint8_t *out, size_t cap) {
  size_t len = 0;
  for (size_t i = 0; i < num; i++) {
    if (parts[i].len != 0 && parts[i].len <= cap - len) {
      memcpy(out + len, parts[i].p, parts[i].len);
      len += parts[i].len;
    }
  }
  return len;
}

static int random_bytes(void *ctx, uint8_t *out, size_t len) {
  helper_stun *h = ctx;
  if (fails(h)) {
    return TORC_ERR_CRYPTO;
  }
  memset(out, ++h->next, len);
  return 0;
}

static int digest(void *ctx, torc_stun_hash hash, const torc_slice *parts, size_t num,
                  uint8_t *out) {
  uint8_t all[4096];
  size_t len = join(parts, num, all, sizeof all);
  if (fails(ctx) || EVP_Q_digest(NULL, name_of(hash), NULL, all, len, out, NULL) != 1) {
    return TORC_ERR_CRYPTO;
  }
  return 0;
}

static int hmac(void *ctx, torc_stun_hash hash, torc_slice key, const torc_slice *parts, size_t num,
                uint8_t *out) {
  uint8_t all[4096];
  size_t len = join(parts, num, all, sizeof all);
  if (fails(ctx) || EVP_Q_mac(NULL, "HMAC", NULL, name_of(hash), NULL, key.p, key.len, all, len,
                              out, TORC_STUN_HASH_MAX, NULL) == NULL) {
    return TORC_ERR_CRYPTO;
  }
  return 0;
}

/* The names of the vectors are unchanged by it. */
static int opaque_string(void *ctx, torc_slice in, uint8_t *out, size_t cap, size_t *len) {
  if (fails(ctx) || in.len > cap) {
    return TORC_ERR_SPACE;
  }
  memcpy(out, in.p, in.len);
  *len = in.len;
  return 0;
}

void helper_stun_init(helper_stun *h) {
  *h = (helper_stun){.table = {.ctx = h,
                               .random = random_bytes,
                               .digest = digest,
                               .hmac = hmac,
                               .opaque_string = opaque_string}};
}
