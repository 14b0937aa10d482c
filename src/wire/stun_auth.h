/* Integrity and credentials of STUN messages, RFC 8489 9 and 14.5, 14.6 [ICE-07] [ICE-21]: the
 * hashes come from the platform as a table of functions (D-41, D-42).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_STUN_AUTH_H
#define TORC_WIRE_STUN_AUTH_H

#include "wire/stun.h"

typedef enum torc_stun_hash {
  TORC_STUN_MD5 = 1, /* as numbers of password algorithms, RFC 8489 18.5 */
  TORC_STUN_SHA256 = 2,
  TORC_STUN_SHA1 = 3 /* HMAC only; no password algorithm */
} torc_stun_hash;

#define TORC_STUN_HASH_MAX 32u
#define TORC_STUN_KEY_MAX 256u /* longest short-term password: RFC 8445 5.3 */
#define TORC_STUN_MAX_ALGORITHMS 8u
#define TORC_STUN_ALGORITHMS_MAX 64u /* bytes of PASSWORD-ALGORITHMS kept to be echoed */

/* Borrowed for the life of whoever is given it. Each function returns 0 or TORC_ERR_CRYPTO. */
typedef struct torc_stun_crypto {
  void *ctx;
  int (*random)(void *ctx, uint8_t *out, size_t len);
  /* Over `num` parts joined; `out` has the length of the hash: 16, 20 or 32 bytes. */
  int (*digest)(void *ctx, torc_stun_hash hash, const torc_slice *parts, size_t num, uint8_t *out);
  int (*hmac)(void *ctx, torc_stun_hash hash, torc_slice key, const torc_slice *parts, size_t num,
              uint8_t *out);
  /* OpaqueString (RFC 8265) of UTF-8 that is not all ASCII. TORC_ERR_FORMAT: not allowed.
   * TORC_ERR_SPACE. NULL: only ASCII is possible here. */
  int (*opaque_string)(void *ctx, torc_slice in, uint8_t *out, size_t cap, size_t *len);
} torc_stun_crypto;

/* A key of integrity attributes; to be wiped. */
typedef struct torc_stun_key {
  uint8_t b[TORC_STUN_KEY_MAX];
  uint16_t len;
} torc_stun_key;

/* Which integrity attributes a message carries or must carry. */
typedef enum torc_stun_integrity {
  TORC_STUN_INTEGRITY_NONE = 0,
  TORC_STUN_INTEGRITY_SHA1 = 1,
  TORC_STUN_INTEGRITY_SHA256 = 2,
  TORC_STUN_INTEGRITY_BOTH = 3
} torc_stun_integrity;

/* OpaqueString preparation of a user name, realm or password. ASCII is looked at here, all else by
 * crypto->opaque_string. TORC_ERR_FORMAT: empty, control characters, no UTF-8, or not allowed.
 * TORC_ERR_SPACE; TORC_ERR_STATE: not ASCII and nobody to prepare it. */
int torc_stun_prepare(const torc_stun_crypto *c, torc_slice text, uint8_t *out, size_t cap,
                      size_t *len) TORC_MUST_CHECK;

/* Section 9.1.1: the prepared password. TORC_ERR_LIMIT: longer than TORC_STUN_KEY_MAX. Others as
 * torc_stun_prepare. */
int torc_stun_key_short(const torc_stun_crypto *c, torc_slice password,
                        torc_stun_key *out) TORC_MUST_CHECK;
/* Section 9.2.2: hash(user ":" realm ":" password), all prepared; `hash` is MD5 or SHA-256. */
int torc_stun_key_long(const torc_stun_crypto *c, torc_stun_hash hash, torc_slice user,
                       torc_slice realm, torc_slice password, torc_stun_key *out) TORC_MUST_CHECK;
/* Section 14.4: SHA-256(user ":" realm), both prepared. */
int torc_stun_userhash(const torc_stun_crypto *c, torc_slice user, torc_slice realm,
                       uint8_t out[TORC_STUN_USERHASH_LEN]) TORC_MUST_CHECK;
void torc_stun_key_wipe(torc_stun_key *k);

/* Writes the integrity attributes asked for, the SHA-1 one first; only FINGERPRINT may follow.
 * `sha256_len`: bytes of the SHA-256 one, 32 or, cut short, a multiple of 4 from 16 on. Returns the
 * writer's error or TORC_ERR_CRYPTO. */
int torc_stun_put_integrity(torc_stun_wr *w, const torc_stun_crypto *c, const torc_stun_key *key,
                            torc_stun_integrity which, size_t sha256_len) TORC_MUST_CHECK;

/* Which are there. */
torc_stun_integrity torc_stun_integrity_of(const torc_stun_msg *m);
/* Checks the strongest one of `accept` that is there; *used (may be NULL) says which. 0: right.
 * TORC_ERR_NOTFOUND: none of them. TORC_ERR_DENIED: wrong. TORC_ERR_CRYPTO: the library failed.
 * `min_sha256_len`: a SHA-256 one shorter than this is wrong; 32 unless a usage says otherwise. */
int torc_stun_check_integrity(const torc_stun_msg *m, const torc_stun_crypto *c,
                              const torc_stun_key *key, torc_stun_integrity accept,
                              size_t min_sha256_len, torc_stun_integrity *used) TORC_MUST_CHECK;

/* Security feature bits that the nonce cookie carries, RFC 8489 9.2 and 18.1. */
enum { TORC_STUN_FEATURE_ALGORITHMS = 1, TORC_STUN_FEATURE_ANONYMITY = 2 };
#define TORC_STUN_COOKIE_LEN 13u /* "obMatJos2" and four base64 digits */
/* 0 if the nonce has no cookie. Both orders of bits are read: the text of 18.1 counts from the
 * left, its example and verified erratum 6290 from the right; no other bit is assigned. */
unsigned torc_stun_nonce_features(torc_slice nonce);
/* The beginning of a server's nonce, as the erratum has it. */
void torc_stun_nonce_cookie(unsigned features, uint8_t out[TORC_STUN_COOKIE_LEN]);

/* The algorithms of PASSWORD-ALGORITHMS, in its order; those that are not known are passed over.
 * False at the end or where the list is broken (then rd->err != 0). Start: a reader of the value.
 */
bool torc_stun_algorithm_next(torc_rd *rd, torc_stun_hash *out);
void torc_stun_put_algorithm(torc_stun_wr *w, torc_stun_hash hash); /* PASSWORD-ALGORITHM */
void torc_stun_put_algorithms(torc_stun_wr *w, const torc_stun_hash *list, size_t num);

#endif
