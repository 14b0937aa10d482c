/* Answers to STUN requests, without state [ICE-08]: every peer is a STUN server.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_STUN_ANSWER_H
#define TORC_ICE_STUN_ANSWER_H

#include "wire/stun_auth.h"

/* An answer of torc_stun_answer_binding is longer than its request by no more than this: who sends
 * requests in somebody else's name gains little. */
#define TORC_STUN_ANSWER_GROWTH 64u

enum { /* error codes, RFC 8489 14.8, RFC 8445 7.3.1.1 */
       TORC_STUN_TRY_ALTERNATE = 300,
       TORC_STUN_BAD_REQUEST = 400,
       TORC_STUN_UNAUTHENTICATED = 401,
       TORC_STUN_UNKNOWN_ATTRIBUTE = 420,
       TORC_STUN_STALE_NONCE = 438,
       TORC_STUN_ROLE_CONFLICT = 487,
       TORC_STUN_SERVER_ERROR = 500
};
/* Its phrase, as the RFC has it; "Error" for others. */
const char *torc_stun_reason(uint16_t code);

/* How the answer to a request is made: what the request had. */
typedef struct torc_stun_reply {
  const torc_stun_msg *request; /* borrowed */
  const torc_stun_crypto *crypto;
  const torc_stun_key *key;      /* NULL: unsigned */
  torc_stun_integrity integrity; /* as the request was */
} torc_stun_reply;

/* The answer to one datagram that came from `from`, as a server without credentials gives it,
 * behind what `wr` holds: success to a Binding request, 420 to one with attributes that are not
 * understood. All else, indications and answers too, is passed over: 0 and nothing is written.
 * FINGERPRINT if the request has it. TORC_ERR_SPACE, TORC_ERR_INVALID (family): ours. */
int torc_stun_answer_binding(torc_wr *wr, torc_slice datagram,
                             const torc_addr *from) TORC_MUST_CHECK;

/* Section 9.1.3, for whoever knows users (ICE): *code 0 and *used: the request is the user's who
 * has `key`; else 400 or 401 to be answered unsigned. key NULL: there is no such user. Returns the
 * crypto table's error. */
int torc_stun_auth_short(const torc_stun_msg *m, const torc_stun_crypto *c,
                         const torc_stun_key *key, torc_stun_integrity *used,
                         uint16_t *code) TORC_MUST_CHECK;

/* Success with XOR-MAPPED-ADDRESS; or an error, 420 with what was not understood. Signed as `r`
 * says, FINGERPRINT if the request has it. */
int torc_stun_reply_mapped(torc_wr *wr, const torc_stun_reply *r,
                           const torc_addr *from) TORC_MUST_CHECK;
int torc_stun_reply_error(torc_wr *wr, const torc_stun_reply *r, uint16_t code) TORC_MUST_CHECK;

#endif
