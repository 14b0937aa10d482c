/* HTTP Digest (RFC 7616) as the credential server needs it [ENR-30]. libmicrohttpd has its own, but
 * that of Debian 12 (0.9.75) gives all clients of one second the same nonce, so that a request
 * could be replayed and clients push each other out. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_HTTP_DIGEST_H
#define TORC_AUTHORITY_HTTP_DIGEST_H

#include "authority/registry.h"

#define TORC_DIGEST_FIELD_MAX 256 /* of one value with its NUL */

typedef struct torc_digest {
  char username[TORC_DIGEST_FIELD_MAX], realm[TORC_DIGEST_FIELD_MAX], uri[TORC_DIGEST_FIELD_MAX];
  char nonce[TORC_DIGEST_FIELD_MAX], nc[TORC_DIGEST_FIELD_MAX], cnonce[TORC_DIGEST_FIELD_MAX];
  char qop[TORC_DIGEST_FIELD_MAX], response[TORC_DIGEST_FIELD_MAX];
  char algorithm[TORC_DIGEST_FIELD_MAX]; /* "" is MD5 */
} torc_digest;

/* Reads the value of an Authorization header; NULL is allowed. False: it is no Digest with qop=auth
 * that says whose it is. A value that is too long is left out. */
bool torc_digest_read(const char *header, torc_digest *out);
bool torc_digest_is_md5(const torc_digest *d);
/* Whether the response is that of `secret`, H(account:realm:password), for the nonce it names;
 * compared in constant time. Says nothing of whether the nonce is one of ours. */
bool torc_digest_fits(const torc_digest *d, const char *method,
                      const uint8_t secret[TORC_SHA256_LEN]);
/* Whether it was made for this path; the query is not looked at. */
bool torc_digest_is_for(const torc_digest *d, const char *path);

/* ---- nonces ---- */

#define TORC_NONCE_LEN 80              /* digits */
#define TORC_NONCE_LIFE_S 300          /* from challenge to answer */
#define TORC_NONCES_TRACKED (1u << 20) /* the newest; an older one is stale. A power of two */

/* Each is made once and serves once: they are numbered and signed, and a bit remembers for each
 * whether it has served. 128 KiB, whatever is asked. Any thread. */
typedef struct torc_nonces torc_nonces;
int torc_nonces_new(torc_nonces **out) TORC_MUST_CHECK;
void torc_nonces_free(torc_nonces *n);
int torc_nonces_make(torc_nonces *n, torc_time now, char out[TORC_NONCE_LEN + 1]) TORC_MUST_CHECK;
/* True: it is ours, not too old, and has not served; now it has. */
bool torc_nonces_use(torc_nonces *n, const char *nonce, torc_time now);

#endif
