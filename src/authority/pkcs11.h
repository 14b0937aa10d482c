/* Private keys that stay in a PKCS#11 token. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_PKCS11_H
#define TORC_AUTHORITY_PKCS11_H

#include <openssl/evp.h>

#include "torc/types.h"

/* Whether it is a "pkcs11:" URI (RFC 7512). */
bool torc_pkcs11_is_uri(const char *text);
/* The key of the URI through OpenSSL's engine "pkcs11", which Debian's libengine-pkcs11-openssl
 * installs. The token's module is the engine's choice: PKCS11_MODULE_PATH in the environment.
 * TORC_ERR_IO: no engine or no token. TORC_ERR_NOTFOUND: no such key in it, or a wrong PIN. */
int torc_pkcs11_key(const char *uri, EVP_PKEY **out, char *err, size_t err_cap) TORC_MUST_CHECK;

#endif
