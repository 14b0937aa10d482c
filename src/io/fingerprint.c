/* SPDX-License-Identifier: Apache-2.0 */
#include "io/fingerprint.h"

#include <openssl/evp.h>
#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/slice.h"

static const struct {
  const char *name;
  int nid;
  size_t len;
} hashes[] = {/* [GAP-72] */
              {"sha-256", NID_sha256, 32},
              {"sha-1", NID_sha1, 20},
              {"sha-384", NID_sha384, 48},
              {"sha-512", NID_sha512, 64}};

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int torc_fingerprint_parse(const char *text, torc_fingerprint *out) {
  const char *space = strchr(text, ' ');
  memset(out, 0, sizeof *out);
  if (space == NULL) {
    return TORC_ERR_FORMAT;
  }
  size_t name_len = (size_t)(space - text);
  const char *c = space + 1;
  for (size_t h = 0; h < TORC_ARRAY_LEN(hashes); h++) {
    if (strlen(hashes[h].name) == name_len && strncasecmp(text, hashes[h].name, name_len) == 0) {
      out->nid = hashes[h].nid;
      out->len = hashes[h].len;
    }
  }
  if (out->nid == 0 || strlen(c) != out->len * 3 - 1) {
    return TORC_ERR_FORMAT;
  }
  for (size_t i = 0; i < out->len; i++) {
    int hi = hex_digit(c[3 * i]);
    int lo = hex_digit(c[3 * i + 1]);
    if (hi < 0 || lo < 0 || (i + 1 < out->len && c[3 * i + 2] != ':')) {
      return TORC_ERR_FORMAT;
    }
    out->digest[i] = (uint8_t)(hi * 16 + lo);
  }
  return 0;
}

void torc_fingerprint_format(const uint8_t digest[TORC_DIGEST_LEN],
                             char out[TORC_FINGERPRINT_TEXT]) {
  size_t len = (size_t)snprintf(out, TORC_FINGERPRINT_TEXT, "sha-256 ");
  for (size_t i = 0; i < TORC_DIGEST_LEN; i++) {
    len += (size_t)snprintf(out + len, TORC_FINGERPRINT_TEXT - len, "%s%02X", i == 0 ? "" : ":",
                            digest[i]);
  }
}

bool torc_fingerprint_matches(const torc_fingerprint *f, const torc_cert *cert) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (f->nid == 0) { /* none was given: not from a CONNECT */
    return true;
  }
  if (f->nid == NID_sha256) {
    return torc_ct_equal(f->digest, cert->digest, TORC_DIGEST_LEN);
  }
  return EVP_Digest(cert->der.p, cert->der.len, digest, &len, EVP_get_digestbynid(f->nid), NULL) ==
             1 &&
         len == f->len && torc_ct_equal(f->digest, digest, len);
}
