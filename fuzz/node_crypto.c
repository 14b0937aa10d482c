/* The crypto of tests/overlay/helper_crypto.h for fuzz targets: quick digests that only this
 * process believes. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_crypto.h"

static int digest(void *ctx, const torc_slice *parts, size_t num, uint8_t out[TORC_DIGEST_LEN]) {
  uint64_t h[4] = {1, 2, 3, 4};
  (void)ctx;
  for (size_t i = 0; i < num; i++) {
    for (size_t k = 0; parts[i].len > 0 && k < 4; k++) {
      h[k] = torc_hash64(h[k], parts[i]);
    }
  }
  memcpy(out, h, TORC_DIGEST_LEN);
  return 0;
}

static int no_random(void *ctx, uint8_t *out, size_t len) {
  (void)ctx;
  memset(out, 0x5a, len);
  return 0;
}

const torc_crypto *helper_crypto(void) {
  static const torc_crypto table = {
      .random = no_random, .sha256 = digest, .cert_release = helper_cert_release};
  return &table;
}

torc_id helper_user_resource(const char *user) {
  torc_slice part = torc_slice_str(user);
  uint8_t out[TORC_DIGEST_LEN];
  (void)digest(NULL, &part, 1, out);
  return torc_id_from_bytes(out);
}
