/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/password.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

const char *torc_account_name_fault(const char *name) {
  size_t len = strlen(name);
  if (len == 0 || len > TORC_ACCOUNT_MAX) {
    return "an account name has 1 to 255 bytes";
  }
  for (size_t i = 0; i < len; i++) {
    if (name[i] <= ' ' || name[i] >= 0x7f || strchr(":\"\\", name[i]) != NULL) {
      return "an account name is printable ASCII without blank, ':', '\"' and '\\'";
    }
  }
  if (strncmp(name, TORC_GUEST_PREFIX, strlen(TORC_GUEST_PREFIX)) == 0) {
    return "names that begin with guest- are those of guests";
  }
  return NULL;
}

static int digest(const EVP_MD *md, const char *const parts[], size_t num, uint8_t *out) {
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, md, NULL) == 1;
  for (size_t i = 0; ok && i < num; i++) {
    ok = EVP_DigestUpdate(ctx, parts[i], strlen(parts[i])) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
  EVP_MD_CTX_free(ctx);
  return ok ? 0 : TORC_ERR_CRYPTO;
}

int torc_password_digest(const char *account, const char *realm, const char *password,
                         bool with_md5, torc_password *out) {
  const char *const parts[] = {account, ":", realm, ":", password};
  torc_password p = {.is_set = true, .has_md5 = with_md5};
  int rc = digest(EVP_sha256(), parts, 5, p.sha256);
  if (rc == 0 && with_md5) {
    rc = digest(EVP_md5(), parts, 5, p.md5);
  }
  if (rc == 0) {
    *out = p;
  }
  OPENSSL_cleanse(&p, sizeof p);
  return rc;
}

int torc_password_make(char out[TORC_PASSWORD_MADE + 1]) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  size_t num = sizeof letters - 1;
  size_t at = 0;
  while (at < TORC_PASSWORD_MADE) {
    uint8_t byte = 0;
    if (RAND_bytes(&byte, 1) != 1) {
      return TORC_ERR_CRYPTO;
    }
    if (byte < 256 / num * num) { /* the rest would favour the first letters */
      out[at] = letters[byte % num];
      at++;
    }
  }
  out[at] = '\0';
  return 0;
}
