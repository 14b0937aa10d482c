/* What STUN needs of OpenSSL and of the Unicode tables (wire/stun_auth.h) [ICE-07].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_STUN_CRYPTO_H
#define TORC_IO_STUN_CRYPTO_H

#include "wire/stun_auth.h"

/* Prepared contexts: no algorithm is looked up per message. For one thread at a time. */
typedef struct torc_stun_openssl torc_stun_openssl;

/* TORC_ERR_NOMEM, TORC_ERR_CRYPTO. A library without MD5 is no error: its keys fail. */
int torc_stun_openssl_new(torc_stun_openssl **out) TORC_MUST_CHECK;
void torc_stun_openssl_free(torc_stun_openssl *s);
/* Borrowed for its life. */
const torc_stun_crypto *torc_stun_openssl_table(torc_stun_openssl *s);

/* OpaqueString, RFC 8265 4.2, of UTF-8 text: spaces of every kind become U+0020, NFC, and only what
 * the FreeformClass of RFC 8264 has. TORC_ERR_FORMAT: not allowed, or empty. TORC_ERR_SPACE: longer
 * than `cap`. TORC_ERR_LIMIT: more than TORC_OPAQUE_MAX bytes. TORC_ERR_IO: libunistring is not
 * installed. */
#define TORC_OPAQUE_MAX 1024u
int torc_opaque_string(torc_slice in, uint8_t *out, size_t cap, size_t *len) TORC_MUST_CHECK;

#endif
