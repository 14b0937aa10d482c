/* A TURN client: one allocation on one server [ICE-18] [GAP-79], RFC 8656, over UDP, TCP or TLS,
 * and RFC 6062 (relayed TCP). Sans-I/O, and it does not know what carries its bytes: a UDP socket,
 * a TLS connection, or another allocation. To ICE it is a socket (torc_ice_socket) whose address is
 * `relayed`.
 *
 * Contract: call an input, then drain torc_turn_poll until it returns false, then wait until
 * torc_turn_deadline or the next input. Output is borrowed until the next call. Nothing is
 * allocated per packet. The peer addresses of the interface are those of the other side, never the
 * server's. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_TURN_CLIENT_H
#define TORC_ICE_TURN_CLIENT_H

#include "base/log.h"
#include "wire/pdu.h"
#include "wire/stun_auth.h"

typedef struct torc_turn torc_turn;
typedef uint64_t torc_turn_conn; /* a relayed TCP connection; 0: none */

#define TORC_TURN_PERMISSIONS_MAX 128u /* addresses that may send to us */
#define TORC_TURN_CHANNELS_MAX 128u    /* those of the last 15 minutes among them */
#define TORC_TURN_CONNS_MAX 16u        /* TCP connections being made */
#define TORC_TURN_DATA_MAX 4096u       /* bytes of one datagram to a peer */
#define TORC_TURN_PASSWORD_MAX 512u
#define TORC_TURN_MOVES_MAX 5u      /* 300 after 300 */
#define TORC_TURN_STREAM_MAX 65552u /* one frame of a stream that is not whole yet */

#define TORC_TURN_PERMISSION TORC_SEC(300)      /* how long one lives, RFC 8656 3.3 */
#define TORC_TURN_CHANNEL TORC_SEC(600)         /* 3.5 */
#define TORC_TURN_REST TORC_SEC(300)            /* before a number is another peer's, 12 */
#define TORC_TURN_KEEPALIVE TORC_SEC(15)        /* over UDP: NATs forget no path used so often */
#define TORC_TURN_KEEPALIVE_STREAM TORC_SEC(60) /* over TCP and TLS */
#define TORC_TURN_CONN TORC_SEC(30) /* RFC 6062 5.3: a connection not bound by then is lost */

enum { TORC_TURN_V4 = 1, TORC_TURN_V6 = 2 }; /* families, as bits; as torc_addr numbers them */

typedef struct torc_turn_config {
  const torc_mem *mem;            /* borrowed; NULL: libc */
  const torc_stun_crypto *crypto; /* borrowed */
  const torc_log *log;            /* borrowed; may be NULL */
  torc_addr server;
  bool is_stream;            /* TCP or TLS to the server: bytes are framed here */
  bool is_tcp;               /* relays TCP (RFC 6062); needs is_stream */
  bool forbids_fragments;    /* DONT-FRAGMENT, where the server can */
  uint8_t families;          /* wanted: TORC_TURN_V4, TORC_TURN_V6 or both */
  torc_slice user, password; /* copied; an empty user: no credentials */
  uint32_t lifetime_s;       /* asked for; 0: the server chooses */
  uint32_t max_permissions, max_channels, max_conns, max_data; /* 0: as above */
  torc_time keepalive; /* between Binding requests to the server; 0: as above, TORC_NEVER: none */
  torc_time rto;       /* 0: TORC_STUN_RTO */
} torc_turn_config;

/* TORC_ERR_INVALID: no family, is_tcp without is_stream, a limit above what numbers allow.
 * TORC_ERR_LIMIT: password too long. As torc_stun_login_init. TORC_ERR_CRYPTO, TORC_ERR_NOMEM. */
int torc_turn_new(torc_turn **out, const torc_turn_config *cfg, torc_time now) TORC_MUST_CHECK;
void torc_turn_free(torc_turn *t); /* the server is told nothing; torc_turn_close does */

/* The stream to torc_turn_remote stands, or UDP: asks for the allocation. Once at first and once
 * behind each MOVED; TORC_ERR_STATE otherwise. */
int torc_turn_start(torc_turn *t, torc_time now) TORC_MUST_CHECK;
/* Where SENDs go now. */
torc_addr torc_turn_remote(const torc_turn *t);
/* Gives the allocation back (lifetime 0): CLOSED comes when the server answered or never will. */
void torc_turn_close(torc_turn *t, torc_time now);
/* The connection to the server is lost: FAILED with TORC_ERR_CLOSED comes. */
void torc_turn_lost(torc_turn *t, torc_time now);

/* What came from the server: a datagram from `from`, or some bytes of the stream, where `from` is
 * not looked at. `bytes` is borrowed until torc_turn_poll returns false. TORC_ERR_STATE: it has not
 * yet since the last one. TORC_ERR_NOMEM: the beginning of a frame could not be kept; the stream is
 * useless then and FAILED comes. What is bad in it is dropped and counted. */
int torc_turn_input(torc_turn *t, const torc_addr *from, torc_slice bytes,
                    torc_time now) TORC_MUST_CHECK;

/* Whether `m` answers a request under way. A server may be a peer as well, whose answers come from
 * the same address. */
bool torc_turn_awaits(const torc_turn *t, const torc_stun_msg *m);

/* A datagram to a peer: ChannelData if a channel is bound, else a Send indication. If there is no
 * permission yet it is asked for and the data goes right behind the question, which is early enough
 * unless the network swaps the two. TORC_ERR_STATE: there is no allocation, or it relays TCP, or
 * the last datagram was not polled. TORC_ERR_INVALID: no allocation of this family. TORC_ERR_LIMIT:
 * more than max_data, or too many permissions in use. */
int torc_turn_send(torc_turn *t, const torc_addr *peer, torc_slice bytes,
                   torc_time now) TORC_MUST_CHECK;
/* These may send to us (the port counts for nothing); at most 16 in one request. A permission is
 * renewed while this or torc_turn_send was called for it within TORC_TURN_PERMISSION. PERMITTED or
 * REFUSED comes for each address that had none. Addresses of families that are not allocated are
 * passed over. TORC_ERR_LIMIT: not all; the others are counted. TORC_ERR_STATE: no allocation. */
int torc_turn_permit(torc_turn *t, const torc_addr *peers, size_t num,
                     torc_time now) TORC_MUST_CHECK;
/* Binds a channel: 4 bytes instead of 36 for each datagram. Renewed while torc_turn_send is used.
 * No event but a REFUSED. TORC_ERR_LIMIT: no number is free; data goes by indications. */
int torc_turn_bind(torc_turn *t, const torc_addr *peer, torc_time now) TORC_MUST_CHECK;

/* RFC 6062: a connection to a peer. OPEN_DATA comes, or DATA_DOWN. TORC_ERR_LIMIT. */
int torc_turn_connect(torc_turn *t, const torc_addr *peer, torc_time now,
                      torc_turn_conn *out) TORC_MUST_CHECK;
/* The connection that OPEN_DATA asked for stands: SEND_DATA comes for it. TORC_ERR_NOTFOUND: it is
 * over already (DATA_DOWN). */
int torc_turn_data_opened(torc_turn *t, torc_turn_conn conn, torc_time now) TORC_MUST_CHECK;
/* What came on it. DATA_UP ends this: the rest and all that follows is the peer's and the caller's
 * matter; *used says how many of `bytes` were not. */
int torc_turn_data_input(torc_turn *t, torc_turn_conn conn, torc_slice bytes, size_t *used,
                         torc_time now) TORC_MUST_CHECK;
/* It could not be opened, broke, or is not wanted: nothing more comes for it. */
void torc_turn_data_closed(torc_turn *t, torc_turn_conn conn);

/* Asks the server at once how it sees us. If that is not as it was when it made the allocation, a
 * NAT has forgotten us and the allocation is of no more use: FAILED with TORC_ERR_CLOSED comes.
 * This is asked every TORC_TURN_KEEPALIVE too. */
void torc_turn_check(torc_turn *t, torc_time now);
void torc_turn_tick(torc_turn *t, torc_time now);
torc_time torc_turn_deadline(const torc_turn *t);

typedef enum torc_turn_output_kind {
  TORC_TURN_OUT_SEND = 1,    /* `bytes` to the server `addr`: a datagram or bytes of the stream */
  TORC_TURN_OUT_DATA,        /* `bytes` from the peer `addr` */
  TORC_TURN_OUT_UNREACHABLE, /* the server got ICMP for what went to `addr`: `icmp` */
  TORC_TURN_OUT_ALLOCATED, /* `relayed`, `mapped`, `lifetime`; `code`: the family that is missing */
  TORC_TURN_OUT_PERMITTED, /* `addr`, port 0 */
  TORC_TURN_OUT_REFUSED,   /* a permission (port 0) or a channel for `addr`: `rc`, `code` */
  TORC_TURN_OUT_MOVED,     /* 300: to `addr`, certificate of `text` if that is not empty. Connect
                            * there, then torc_turn_start */
  TORC_TURN_OUT_OPEN_DATA, /* open a connection to the server for `conn`, of peer `addr`, which
                            * connected to us if `is_incoming` */
  TORC_TURN_OUT_SEND_DATA, /* `bytes` on the connection of `conn` */
  TORC_TURN_OUT_DATA_UP,   /* `conn` carries the bytes of peer `addr` from here, and is the caller's
                            */
  TORC_TURN_OUT_DATA_DOWN, /* `conn` will not: `rc`, `code`; to be closed */
  TORC_TURN_OUT_CLOSED,    /* after torc_turn_close */
  TORC_TURN_OUT_FAILED     /* no allocation, or none any more: `rc`, `code`, `text`, `advice` */
} torc_turn_output_kind;

/* What a failure means for the next try. */
typedef enum torc_turn_advice {
  TORC_TURN_ADVICE_NONE = 0,     /* another server, or this one later */
  TORC_TURN_ADVICE_NEW_PORT = 1, /* 437 twice: this one at once, from another port of ours */
  TORC_TURN_ADVICE_LOGIN = 2,    /* 401, 441: not with these credentials */
  TORC_TURN_ADVICE_LATER = 3,    /* 486, 500, 508: not within a minute */
  TORC_TURN_ADVICE_NEVER = 4     /* 403, 420, 440, 442: not from this server */
} torc_turn_advice;

typedef struct torc_turn_icmp {
  uint8_t type, code;
  uint32_t data; /* of "too big": the MTU */
} torc_turn_icmp;

typedef struct torc_turn_output {
  torc_turn_output_kind kind;
  torc_slice bytes;
  torc_addr addr;
  torc_turn_conn conn;
  bool is_incoming;
  torc_addr relayed[2]; /* IPv4, IPv6; family 0: none */
  torc_addr mapped; /* what the server sees us as; a server-reflexive address if UDP goes there */
  torc_time lifetime;
  int rc;          /* REFUSED by the server: TORC_ERR_REFUSED and `code`; TORC_ERR_TIMEOUT, ... */
  uint16_t code;   /* of the server's error; 0: none */
  torc_slice text; /* FAILED: the server's reason, for people. MOVED: ALTERNATE-DOMAIN */
  torc_turn_advice advice;
  torc_turn_icmp icmp;
} torc_turn_output;
bool torc_turn_poll(torc_turn *t, torc_turn_output *out);

/* clang-format off */
#define TORC_TURN_COUNTERS(X)                                                                      \
  X(channel_sent) X(indication_sent) X(channel_received) X(indication_received) X(icmp_received)   \
  X(drop_source) X(drop_malformed) X(drop_unexpected) X(drop_no_permission) X(drop_no_channel)     \
  X(drop_answer) X(drop_family) X(requests) X(timeouts) X(permissions_granted)                     \
  X(keepalives) X(permissions_refused) X(permissions_full) X(permissions_evicted) X(channels_bound)              \
  X(channels_refused) X(channels_full) X(conns_opened) X(conns_refused) X(conns_full) X(moved)
/* clang-format on */
void torc_turn_counters(const torc_turn *t, void *ctx,
                        void (*each)(void *ctx, const char *name, uint64_t value));

#endif
