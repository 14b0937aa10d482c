/* A STUN client transaction, RFC 8489 6 and 9 [ICE-07] [ICE-33]: sends, repeats, tries again with
 * credentials, and says how it ended. Sans-I/O, no allocation: it lies in its owner, with the room
 * for its request beside it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_STUN_TX_H
#define TORC_ICE_STUN_TX_H

#include "ice/stun_login.h"

#define TORC_STUN_RTO TORC_MS(500)      /* first wait over UDP */
#define TORC_STUN_RTO_MAX TORC_SEC(8)   /* of the estimate */
#define TORC_STUN_RC 7u                 /* requests sent in all */
#define TORC_STUN_RM 16u                /* wait behind the last, in first waits */
#define TORC_STUN_TI TORC_MS(39500)     /* wait over TCP and TLS */
#define TORC_STUN_RTO_AGE TORC_SEC(600) /* an estimate older than this is forgotten */
#define TORC_STUN_MAX_RETRIES 3u        /* new requests after 401 and 438, in one transaction */
#define TORC_STUN_REQUEST_ROOM 548u     /* what fits any path of IPv4: for requests without DATA */

/* Where a request goes and its answer must come from: the owner's socket, and an address. */
typedef struct torc_stun_path {
  uint64_t socket;
  torc_addr remote;
} torc_stun_path;

typedef struct torc_stun_request {
  uint16_t method;
  torc_stun_path path;
  bool is_reliable;     /* TCP, TLS: sent once, Ti */
  bool has_fingerprint; /* FINGERPRINT at the end */
  torc_time rto;        /* 0: TORC_STUN_RTO */
  uint32_t rc, rm;      /* 0: TORC_STUN_RC, TORC_STUN_RM */
  torc_time ti;         /* 0: TORC_STUN_TI */
  /* Writes the attributes of the method; again for each retry, which has another transaction id.
   * NULL: none. Must not touch the transaction. */
  void (*put)(void *ctx, torc_stun_wr *w);
  void *ctx;
  /* Short-term credentials, borrowed until the transaction is over; key NULL: none. */
  torc_slice username;
  const torc_stun_key *key;
  torc_stun_integrity integrity;
  /* Or long-term ones; borrowed likewise, and changed by challenges. NULL: none. */
  torc_stun_login *login;
} torc_stun_request;

typedef struct torc_stun_result {
  /* 0: success response. TORC_ERR_REFUSED: error response, see `code`. TORC_ERR_TIMEOUT.
   * TORC_ERR_CRYPTO: answers came, none with right integrity; `code` is of the last of them that
   * was an error. TORC_ERR_FORMAT: an answer that has attributes one must understand and does not,
   * or an error without a code. TORC_ERR_DENIED: a challenge that must not be followed (bid-down).
   * Others: a request could not be made again. */
  int rc;
  uint16_t code;      /* REFUSED, CRYPTO; 0: none */
  torc_slice reason;  /* REFUSED, for people; borrowed like msg */
  torc_stun_msg msg;  /* rc 0 and REFUSED: the answer, borrowing from the datagram given in */
  torc_time rtt;      /* 0: unknown, more than one request was sent */
  uint32_t num_sends; /* datagrams sent, retries included */
} torc_stun_result;

typedef enum torc_stun_tx_state {
  TORC_STUN_TX_IDLE,
  TORC_STUN_TX_RUNNING,
  TORC_STUN_TX_QUIET, /* cancelled as in RFC 8445 7.3.1.4: an answer still counts */
  TORC_STUN_TX_ENDED  /* its result waits to be polled */
} torc_stun_tx_state;

typedef struct torc_stun_tx {
  const torc_stun_crypto *crypto;
  torc_stun_request req;
  uint8_t *room;
  size_t cap, len;
  uint8_t txid[TORC_STUN_TXID_LEN];
  torc_stun_tx_state state;
  torc_stun_integrity signed_with;
  bool is_sending; /* a SEND waits to be polled */
  uint32_t num_sends, sends_of_id, num_retries;
  uint32_t num_discarded; /* answers dropped: integrity, source */
  bool is_unverified;     /* one was dropped for its integrity */
  uint16_t unverified_code;
  torc_time now, first_at, wait, deadline;
  torc_stun_result result;
} torc_stun_tx;

typedef enum torc_stun_output_kind { TORC_STUN_OUT_SEND, TORC_STUN_OUT_DONE } torc_stun_output_kind;

/* Borrowed until the next call. */
typedef struct torc_stun_output {
  torc_stun_output_kind kind;
  torc_slice bytes; /* SEND, to `path` */
  torc_stun_path path;
  torc_stun_result result; /* DONE */
} torc_stun_output;

/* Starts; whatever it did before is forgotten. `room` is borrowed until it is over and takes the
 * request. TORC_ERR_SPACE: too little of it. TORC_ERR_LIMIT, TORC_ERR_INVALID: what `put` wrote.
 * TORC_ERR_CRYPTO: no random bytes or no HMAC. Next: torc_stun_tx_poll. */
int torc_stun_tx_start(torc_stun_tx *t, const torc_stun_crypto *c, const torc_stun_request *req,
                       uint8_t *room, size_t cap, torc_time now) TORC_MUST_CHECK;
/* Over at once, nothing more comes out. */
void torc_stun_tx_stop(torc_stun_tx *t);
/* No more requests; an answer within what is left of the time still counts, and no answer is
 * TORC_ERR_TIMEOUT. */
void torc_stun_tx_quiet(torc_stun_tx *t);

/* An answer that came on `path`; `m` borrows from its datagram, which must live until the result
 * is polled. 0: it was this transaction's (and taken or dropped). TORC_ERR_NOTFOUND: it was not.
 * TORC_ERR_DENIED: its integrity is right but it comes from elsewhere; dropped, and what ICE makes
 * of it (RFC 8445 7.2.5.2.1: the pair fails) is the caller's matter. */
int torc_stun_tx_input(torc_stun_tx *t, const torc_stun_path *path, const torc_stun_msg *m,
                       torc_time now) TORC_MUST_CHECK;
void torc_stun_tx_tick(torc_stun_tx *t, torc_time now); /* early, late or repeated: harmless */
bool torc_stun_tx_poll(torc_stun_tx *t, torc_stun_output *out);
torc_time torc_stun_tx_deadline(const torc_stun_tx *t);

/* The estimate of the first wait towards one server, RFC 6298 with the floor of RFC 8489 6.2.1. */
typedef struct torc_stun_rto {
  torc_time srtt, rttvar, at;
  bool is_set;
} torc_stun_rto;
void torc_stun_rto_add(torc_stun_rto *r, torc_time rtt, torc_time now);
torc_time torc_stun_rto_get(const torc_stun_rto *r, torc_time now);

#endif
