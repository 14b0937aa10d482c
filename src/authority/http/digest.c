/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/http/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "authority/registry_impl.h"
#include "base/slice.h"

#define HEX_CAP (2 * TORC_SHA256_LEN + 1)

static char *field_of(torc_digest *d, const char *name, size_t len) {
  const struct {
    const char *name;
    char *value;
  } fields[] = {{"username", d->username},
                {"realm", d->realm},
                {"uri", d->uri},
                {"nonce", d->nonce},
                {"nc", d->nc},
                {"cnonce", d->cnonce},
                {"qop", d->qop},
                {"response", d->response},
                {"algorithm", d->algorithm}};
  for (size_t i = 0; i < TORC_ARRAY_LEN(fields); i++) {
    if (strlen(fields[i].name) == len && strncasecmp(fields[i].name, name, len) == 0) {
      return fields[i].value;
    }
  }
  return NULL;
}

/* Reads one name=value at `p`, quoted or not, and returns what is behind it; NULL: the end, or
 * nonsense. */
static const char *read_field(const char *p, torc_digest *d) {
  p += strspn(p, " \t,");
  size_t name_len = strcspn(p, "=, \t");
  const char *value = p + name_len;
  value += strspn(value, " \t");
  if (name_len == 0 || *value != '=') {
    return NULL;
  }
  value++;
  value += strspn(value, " \t");
  bool is_quoted = *value == '"';
  value += is_quoted ? 1 : 0;
  size_t len = strcspn(value, is_quoted ? "\"" : ", \t");
  if (is_quoted && value[len] != '"') {
    return NULL;
  }
  char *field = field_of(d, p, name_len);
  if (field != NULL && field[0] == '\0' && len < TORC_DIGEST_FIELD_MAX) {
    memcpy(field, value, len);
    field[len] = '\0';
  }
  return value + len + (is_quoted ? 1 : 0);
}

bool torc_digest_read(const char *header, torc_digest *out) {
  static const char scheme[] = "Digest ";
  memset(out, 0, sizeof *out);
  if (header == NULL || strncasecmp(header, scheme, sizeof scheme - 1) != 0) {
    return false;
  }
  const char *p = header + sizeof scheme - 1;
  while (p != NULL && *p != '\0') {
    p = read_field(p, out);
  }
  return out->username[0] != '\0' && strcmp(out->qop, "auth") == 0;
}

bool torc_digest_is_md5(const torc_digest *d) {
  return d->algorithm[0] == '\0' || strcasecmp(d->algorithm, "MD5") == 0;
}

static bool hash(const EVP_MD *md, const char *const parts[], size_t num, char out[HEX_CAP]) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) == 1;
  for (size_t i = 0; ok && i < num; i++) {
    ok = (i == 0 || EVP_DigestUpdate(ctx, ":", 1) == 1) &&
         EVP_DigestUpdate(ctx, parts[i], strlen(parts[i])) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(ctx, digest, &len) == 1;
  EVP_MD_CTX_free(ctx);
  if (ok) {
    torc_registry_hex(digest, len, out);
  }
  return ok;
}

bool torc_digest_fits(const torc_digest *d, const char *method,
                      const uint8_t secret[TORC_SHA256_LEN]) {
  bool is_md5 = torc_digest_is_md5(d);
  const EVP_MD *md = is_md5 ? EVP_md5() : EVP_sha256();
  size_t len = is_md5 ? TORC_MD5_LEN : TORC_SHA256_LEN;
  char ha1[HEX_CAP];
  char ha2[HEX_CAP];
  char expected[HEX_CAP];
  torc_registry_hex(secret, len, ha1);
  const char *const what[] = {method, d->uri};
  const char *const all[] = {ha1, d->nonce, d->nc, d->cnonce, d->qop, ha2};
  bool fits = (is_md5 || strcasecmp(d->algorithm, "SHA-256") == 0) &&
              hash(md, what, TORC_ARRAY_LEN(what), ha2) &&
              hash(md, all, TORC_ARRAY_LEN(all), expected) && strlen(d->response) == 2 * len &&
              CRYPTO_memcmp(d->response, expected, 2 * len) == 0;
  OPENSSL_cleanse(ha1, sizeof ha1);
  return fits;
}

bool torc_digest_is_for(const torc_digest *d, const char *path) {
  static const char scheme[] = "https://";
  const char *p = d->uri;
  if (strncasecmp(p, scheme, sizeof scheme - 1) == 0) {
    p += sizeof scheme - 1;
    p += strcspn(p, "/");
  }
  size_t len = strcspn(p, "?");
  return strlen(path) == len && memcmp(p, path, len) == 0;
}
