/* Whether the response of a Digest header is right, whatever became of its nonce: the library tells
 * a nonce that it forgot or that served before from a wrong password only by guessing, and a client
 * must not be told that its password is wrong when it is not [ENR-30].
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "authority/http/server_impl.h"
#include "authority/registry_impl.h"
#include "base/slice.h"

#define HEX_CAP (2 * TORC_SHA256_LEN + 1)

typedef struct field {
  const char *name;
  char value[256]; /* a longer one is none of ours */
} field;

enum { URI, NONCE, NC, CNONCE, QOP, RESPONSE, FIELDS_NUM };

/* Reads one name=value at `p`, quoted or not, and returns what is behind its comma; NULL: the end
 * or nonsense. */
static const char *read_field(const char *p, field *fields) {
  p += strspn(p, " \t,");
  size_t name_len = strcspn(p, "= \t");
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
  for (size_t i = 0; i < FIELDS_NUM; i++) {
    field *f = &fields[i];
    if (strlen(f->name) == name_len && strncasecmp(f->name, p, name_len) == 0 &&
        len < sizeof f->value) {
      memcpy(f->value, value, len);
      f->value[len] = '\0';
    }
  }
  return is_quoted && value[len] == '"' ? value + len + 1 : value + len;
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

bool torc_http_digest_fits(const char *header, const char *method,
                           const uint8_t secret[TORC_SHA256_LEN], bool is_md5) {
  static const char scheme[] = "Digest ";
  field fields[FIELDS_NUM] = {[URI] = {.name = "uri"}, [NONCE] = {.name = "nonce"},
                              [NC] = {.name = "nc"},   [CNONCE] = {.name = "cnonce"},
                              [QOP] = {.name = "qop"}, [RESPONSE] = {.name = "response"}};
  const EVP_MD *md = is_md5 ? EVP_md5() : EVP_sha256();
  size_t len = is_md5 ? TORC_MD5_LEN : TORC_SHA256_LEN;
  char ha1[HEX_CAP];
  char ha2[HEX_CAP];
  char expected[HEX_CAP];
  if (header == NULL || strncasecmp(header, scheme, sizeof scheme - 1) != 0) {
    return false;
  }
  for (const char *p = header + sizeof scheme - 1; p != NULL && *p != '\0';) {
    p = read_field(p, fields);
  }
  torc_registry_hex(secret, len, ha1);
  const char *const what[] = {method, fields[URI].value};
  const char *const all[] = {
      ha1, fields[NONCE].value, fields[NC].value, fields[CNONCE].value, fields[QOP].value, ha2};
  bool fits = hash(md, what, TORC_ARRAY_LEN(what), ha2) &&
              hash(md, all, TORC_ARRAY_LEN(all), expected) &&
              strlen(fields[RESPONSE].value) == 2 * len &&
              CRYPTO_memcmp(fields[RESPONSE].value, expected, 2 * len) == 0;
  OPENSSL_cleanse(ha1, sizeof ha1);
  return fits;
}
