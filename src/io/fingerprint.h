/* The fingerprint that a CONNECT names [CON-08] [GAP-72].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_FINGERPRINT_H
#define TORC_IO_FINGERPRINT_H

#include "torc/crypto.h"

#define TORC_FINGERPRINT_MAX 64u /* bytes of the longest digest accepted, SHA-512 */

typedef struct torc_fingerprint {
  int nid; /* OpenSSL's number of the hash; 0: none */
  size_t len;
  uint8_t digest[TORC_FINGERPRINT_MAX];
} torc_fingerprint;

/* "sha-256 AA:BB:..", the hash's name and the digits in either case; sha-1, sha-256, sha-384,
 * sha-512. TORC_ERR_FORMAT. */
int torc_fingerprint_parse(const char *text, torc_fingerprint *out) TORC_MUST_CHECK;
/* The other way, of a certificate's SHA-256; NUL-terminated, 104 bytes with the NUL. */
#define TORC_FINGERPRINT_TEXT (8u + 3u * TORC_DIGEST_LEN)
void torc_fingerprint_format(const uint8_t digest[TORC_DIGEST_LEN],
                             char out[TORC_FINGERPRINT_TEXT]);
/* Whether it is this certificate's; one without a hash is everybody's. */
bool torc_fingerprint_matches(const torc_fingerprint *f, const torc_cert *cert);

#endif
