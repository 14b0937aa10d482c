/* DTLS 1.2 over whatever carries datagrams [TLS-02] [GAP-161]: bytes in, bytes out, no socket. What
 * all connections of a node share is the gate: who may begin a handshake, and how many.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_DTLS_H
#define TORC_IO_DTLS_H

#include "io/addr.h"
#include "io/tls.h"

#define TORC_DTLS_PATH_MAX 1200u /* bytes of a datagram at first: passes nearly everywhere */
#define TORC_DTLS_PATH_MIN 548u  /* whatever anybody says: 576 less IP and UDP headers */
#define TORC_DTLS_PATH_AGE TORC_SEC(600) /* a path that was narrow is tried anew */
#define TORC_DTLS_RTO TORC_MS(400)       /* of a flight, then doubled up to */
#define TORC_DTLS_RTO_MAX TORC_SEC(3)
#define TORC_DTLS_LIMIT TORC_SEC(10) /* of a handshake */
#define TORC_DTLS_HALF_OPEN 256u     /* accepted handshakes under way */
#define TORC_DTLS_HALF_OPEN_SITE 64u /* of them, of one address or IPv6 network */
#define TORC_DTLS_BURST (128u << 10) /* token bucket of a link [GAP-47] */
#define TORC_DTLS_RATE (4u << 20)    /* bytes a second that fill it */
#define TORC_DTLS_QUEUE (512u << 10) /* bytes that wait for it on one link */
#define TORC_DTLS_QUEUE_ALL (32u << 20)
#define TORC_DTLS_COOKIE_AGE TORC_SEC(60) /* a secret makes cookies so long, and twice as long */
#define TORC_DTLS_REPLY_MAX 64u
#define TORC_DTLS_PLAIN_MAX 16384u

/* clang-format off */
#define TORC_DTLS_STATS(X) \
  X(handshakes_begun) X(handshakes_done) X(handshakes_failed) X(handshake_timeouts) \
  X(half_open_evicted) X(half_open_ip_evicted) X(cookies_sent) X(cookies_bad) X(hellos_bad) \
  X(retransmissions) X(wrong_peer) X(not_admitted) X(messages_in) X(messages_out) X(bytes_in) \
  X(bytes_out) X(datagrams_in) X(datagrams_out) X(alerts_in) X(alerts_out) X(too_long) \
  X(delayed) X(queue_dropped) X(paths_lowered) X(send_failures)
/* clang-format on */
typedef struct torc_dtls_stats {
#define X(name) uint64_t name;
  TORC_DTLS_STATS(X)
#undef X
} torc_dtls_stats;

/* ---- the gate ---- */

typedef struct torc_dtls_gate torc_dtls_gate;

typedef enum torc_dtls_verdict {
  TORC_DTLS_DROP,   /* nothing to do with it; counted */
  TORC_DTLS_ANSWER, /* send `reply` back: it asks for a cookie */
  TORC_DTLS_ACCEPT  /* make a connection of the accepting side, and give it the datagram */
} torc_dtls_verdict;

/* `tls`: of torc_tls_ctx_new_dtls, borrowed. TORC_ERR_NOMEM, TORC_ERR_CRYPTO: no random bytes. */
int torc_dtls_gate_new(torc_dtls_gate **out, torc_tls_ctx *tls, torc_time now) TORC_MUST_CHECK;
void torc_dtls_gate_free(torc_dtls_gate *g); /* after its connections */
/* A datagram from an address that has no connection. is_validated: ICE has proved that somebody is
 * there whom a signed CONNECT named; else the address has to send back a cookie first, and until it
 * has it costs no memory [GAP-82] [TLS-02]. The ClientHello may go on in another datagram; the
 * cookie is in the first. */
torc_dtls_verdict torc_dtls_gate_judge(torc_dtls_gate *g, const torc_sock *remote,
                                       bool is_validated, torc_slice datagram, torc_time now,
                                       uint8_t reply[TORC_DTLS_REPLY_MAX], size_t *reply_len);
const torc_dtls_stats *torc_dtls_gate_stats(const torc_dtls_gate *g);
size_t torc_dtls_gate_half_open(const torc_dtls_gate *g);

/* ---- one connection ---- */

typedef struct torc_dtls torc_dtls;

typedef enum torc_dtls_state {
  TORC_DTLS_HANDSHAKE,
  TORC_DTLS_UP,
  TORC_DTLS_ENDED /* see torc_dtls_rc; to be freed */
} torc_dtls_state;

/* Called during the calls below; none may free a connection, and only `message` may call one, by
 * torc_dtls_send. */
typedef struct torc_dtls_events {
  void *ctx;
  /* Sends one datagram. 0; TORC_ERR_SPACE: longer than the path takes; others are counted, and the
   * datagram is lost. */
  int (*datagram)(void *ctx, torc_slice bytes);
  /* One message or fragment, as long as it is wanted. */
  void (*message)(void *ctx, torc_slice bytes);
  /* Whether the certificate is the one of the CONNECT [CON-08]; its peer-id has been compared.
   * NULL: it is. */
  bool (*admits)(void *ctx, const torc_cert *cert);
  /* torc_dtls_mtu gives another number from now on. May be NULL. */
  void (*mtu)(void *ctx, uint32_t mtu);
  /* It ended to make room for another one, within a call that was not about it. May be NULL. */
  void (*evicted)(void *ctx);
} torc_dtls_events;

typedef struct torc_dtls_config {
  bool is_client;
  bool has_cookie;  /* accepted by a cookie, not by ICE: is_validated was false */
  torc_id expected; /* whom the certificate must be for; 0: anybody of the overlay */
  torc_sock remote; /* for the limits */
  torc_dtls_events events;
  torc_time rto;        /* of the first flight; 0: TORC_DTLS_RTO */
  uint32_t path_max;    /* bytes of a datagram at first, to 16,384; 0: TORC_DTLS_PATH_MAX */
  uint32_t burst, rate; /* 0: TORC_DTLS_BURST, TORC_DTLS_RATE */
} torc_dtls_config;

/* The dialling side sends its ClientHello at once. Where too many handshakes are under way, the
 * oldest accepted one ends with TORC_ERR_LIMIT, of the same site if that has too many. */
int torc_dtls_new(torc_dtls **out, torc_dtls_gate *g, const torc_dtls_config *cfg,
                  torc_time now) TORC_MUST_CHECK;
void torc_dtls_free(torc_dtls *d); /* says nothing to the other side */
/* One datagram. Afterwards, as after _tick, the state may be another. */
void torc_dtls_input(torc_dtls *d, torc_slice datagram, torc_time now);
/* Sends head ++ body as one record, now or as soon as the link's rate allows. TORC_ERR_SPACE:
 * longer than torc_dtls_mtu. TORC_ERR_LIMIT: dropped, too much is waiting. TORC_ERR_STATE: not up.
 */
int torc_dtls_send(torc_dtls *d, torc_slice head, torc_slice body, torc_time now) TORC_MUST_CHECK;
void torc_dtls_tick(torc_dtls *d, torc_time now);
torc_time torc_dtls_deadline(const torc_dtls *d);
/* Sends what waits, up to a burst, says close_notify, and is ENDED with rc 0. */
void torc_dtls_close(torc_dtls *d);
/* A datagram of more than `path` bytes will not arrive, as ICMP says [GAP-47]; 0: the last one sent
 * was too long. */
void torc_dtls_path(torc_dtls *d, uint32_t path, torc_time now);

torc_dtls_state torc_dtls_get_state(const torc_dtls *d);
/* Why it ended: 0 (torc_dtls_close), TORC_ERR_CLOSED (the other side closed), TORC_ERR_TIMEOUT,
 * TORC_ERR_CRYPTO, TORC_ERR_LIMIT, TORC_ERR_DENIED (another peer, or not the CONNECT's). */
int torc_dtls_rc(const torc_dtls *d);
const char *torc_dtls_why(const torc_dtls *d); /* in words; borrowed */
/* The other side's certificate once it is up; borrowed. */
torc_cert *torc_dtls_cert(const torc_dtls *d);
/* The longest message it takes now; 0 before it is up. */
uint32_t torc_dtls_mtu(const torc_dtls *d);
size_t torc_dtls_queued(const torc_dtls *d); /* bytes that wait for the link's rate */

#endif
