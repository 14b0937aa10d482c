/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/ice_toy.h"

#include <string.h>

#include "base/id.h"

static bool fails(ice_toy *t) {
  return t->fail_at != 0 && --t->fail_at == 0;
}

static int toy_random(void *ctx, uint8_t *out, size_t len) {
  ice_toy *t = ctx;
  memset(out, 0, len);
  memcpy(out, &t->num_random, len < 4 ? len : 4);
  t->num_random++;
  return fails(t) ? TORC_ERR_CRYPTO : 0;
}

static void mix(uint64_t h[4], const torc_slice *parts, size_t num) {
  for (size_t i = 0; i < num; i++) {
    for (size_t k = 0; parts[i].len != 0 && k < 4; k++) {
      h[k] = torc_hash64(h[k], parts[i]);
    }
  }
}

static int toy_digest(void *ctx, torc_stun_hash hash, const torc_slice *parts, size_t num,
                      uint8_t *out) {
  uint64_t h[4] = {1, 2, 3, (uint64_t)hash};
  mix(h, parts, num);
  memcpy(out, h, hash == TORC_STUN_MD5 ? 16 : 32);
  return fails(ctx) ? TORC_ERR_CRYPTO : 0;
}

/* Of all parts joined: a reader splits the message elsewhere than a writer. */
static int toy_hmac(void *ctx, torc_stun_hash hash, torc_slice key, const torc_slice *parts,
                    size_t num, uint8_t *out) {
  static uint8_t all[1u << 17];
  uint64_t h[4] = {5, 6, 7, (uint64_t)hash};
  torc_slice joined = {all, 0};
  for (size_t i = 0; i < num; i++) {
    if (parts[i].len != 0 && parts[i].len <= sizeof all - joined.len) {
      memcpy(all + joined.len, parts[i].p, parts[i].len);
      joined.len += parts[i].len;
    }
  }
  mix(h, &key, 1);
  mix(h, &joined, 1);
  memcpy(out, h, hash == TORC_STUN_SHA1 ? 20 : 32);
  return fails(ctx) ? TORC_ERR_CRYPTO : 0;
}

static int toy_opaque(void *ctx, torc_slice in, uint8_t *out, size_t cap, size_t *len) {
  if (fails(ctx) || in.len > cap) {
    return TORC_ERR_SPACE;
  }
  memcpy(out, in.p, in.len);
  *len = in.len;
  return 0;
}

void ice_toy_init(ice_toy *t) {
  *t = (ice_toy){.table = {.ctx = t,
                           .random = toy_random,
                           .digest = toy_digest,
                           .hmac = toy_hmac,
                           .opaque_string = toy_opaque}};
}
