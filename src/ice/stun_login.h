/* Long-term credentials of a STUN or TURN client with one server, RFC 8489 9.2 [ICE-18]: what the
 * server's challenge said, and the key that comes of it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_STUN_LOGIN_H
#define TORC_ICE_STUN_LOGIN_H

#include "wire/stun_auth.h"

typedef struct torc_stun_login {
  torc_slice password;                  /* borrowed for its life */
  uint8_t user[TORC_STUN_USERNAME_MAX]; /* prepared */
  uint8_t realm[TORC_STUN_TEXT_MAX], nonce[TORC_STUN_TEXT_MAX];
  uint8_t algorithms[TORC_STUN_ALGORITHMS_MAX]; /* PASSWORD-ALGORITHMS, echoed as received */
  uint8_t userhash[TORC_STUN_USERHASH_LEN];
  uint16_t user_len, realm_len, nonce_len, algorithms_len;
  torc_stun_hash hash; /* of the key */
  bool is_challenged;  /* realm, nonce and key are there: requests are signed */
  bool is_anonymous;   /* USERHASH in place of USERNAME */
  bool is_chosen;      /* the server named algorithms: it may not take that back */
  torc_stun_key key;
} torc_stun_login;

/* TORC_ERR_FORMAT, TORC_ERR_SPACE, TORC_ERR_STATE: the user name as torc_stun_prepare says. */
int torc_stun_login_init(torc_stun_login *l, const torc_stun_crypto *c, torc_slice user,
                         torc_slice password) TORC_MUST_CHECK;
/* Wipes key and all else. */
void torc_stun_login_clear(torc_stun_login *l);

/* Takes a 401 or 438 in. TORC_ERR_FORMAT: realm or nonce missing. TORC_ERR_DENIED: an attempt to
 * bid the algorithms down, or none of them is known: no further request may be sent for it.
 * TORC_ERR_LIMIT: a list of algorithms too long to be echoed. Unchanged unless 0. */
int torc_stun_login_challenge(torc_stun_login *l, const torc_stun_crypto *c,
                              const torc_stun_msg *m) TORC_MUST_CHECK;
/* Writes USERNAME or USERHASH, REALM, NONCE, and the algorithms; nothing before a challenge. The
 * integrity attribute is the caller's: torc_stun_login_integrity says which. */
void torc_stun_login_put(const torc_stun_login *l, torc_stun_wr *w);
torc_stun_integrity torc_stun_login_integrity(const torc_stun_login *l);

#endif
