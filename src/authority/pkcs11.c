/* OpenSSL 3 calls engines deprecated and has no provider for PKCS#11 of its own; Debian 12's is the
 * engine. SPDX-License-Identifier: Apache-2.0 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "authority/pkcs11.h"

#include <openssl/engine.h>
#include <openssl/err.h>
#include <string.h>

#include "io/err.h"

bool torc_pkcs11_is_uri(const char *text) {
  return strncmp(text, "pkcs11:", 7) == 0;
}

static void last_reason(char *out, size_t cap) {
  unsigned long code = ERR_peek_error();
  out[0] = '\0';
  if (code != 0) {
    ERR_error_string_n(code, out, cap);
  }
  ERR_clear_error();
}

int torc_pkcs11_key(const char *uri, EVP_PKEY **out, char *err, size_t err_cap) {
  char why[200];
  ENGINE_load_builtin_engines();
  ENGINE *engine = ENGINE_by_id("pkcs11");
  if (engine == NULL || ENGINE_init(engine) != 1) {
    last_reason(why, sizeof why);
    ENGINE_free(engine);
    return torc_fail(TORC_ERR_IO, err, err_cap,
                     "the PKCS#11 token cannot be used: %s; install libengine-pkcs11-openssl and "
                     "set PKCS11_MODULE_PATH to the token's module",
                     why);
  }
  EVP_PKEY *key = ENGINE_load_private_key(engine, uri, NULL, NULL);
  int rc = 0;
  if (key == NULL) {
    last_reason(why, sizeof why);
    rc = torc_fail(TORC_ERR_NOTFOUND, err, err_cap,
                   "the PKCS#11 token gives no such key (check object, PIN and token): %s", why);
  } else {
    *out = key;
  }
  (void)ENGINE_finish(engine); /* the key holds the engine as long as it needs it */
  (void)ENGINE_free(engine);
  return rc;
}
