/* Candidates gathered ahead and kept fresh [ICE-15..18] [GAP-75] [GAP-77]: so that a CONNECT never
 * waits. From the sockets of this node, the connected peers as STUN servers (stun_servers.h) and
 * TURN servers it makes the list that torc_ice_open takes. Sans-I/O.
 *
 * Contract: call an input, then drain torc_gather_poll until it returns false, then wait until
 * torc_gather_deadline or the next input. Output is borrowed until the next call. A TURN allocation
 * is a socket of ICE: what comes through it leaves as DATA, what goes out enters by
 * torc_gather_relay_send.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_GATHER_H
#define TORC_ICE_GATHER_H

#include "ice/ice.h"
#include "ice/stun_servers.h"
#include "ice/turn_client.h"

typedef struct torc_gather torc_gather;

#define TORC_GATHER_SOCKETS_MAX 16u
#define TORC_GATHER_TURNS_MAX 4u
#define TORC_GATHER_ASKED_MAX 64u           /* pairs of a socket and a STUN server */
#define TORC_GATHER_HOSTS_MAX 16u           /* host candidates; the others always have room */
#define TORC_GATHER_PROBES 4u               /* peers at a time that are asked for the first time */
#define TORC_GATHER_TIME TORC_SEC(2)        /* a gathering takes no longer [GAP-75] */
#define TORC_GATHER_KEEPALIVE TORC_SEC(15)  /* [GAP-77] */
#define TORC_GATHER_RETRY TORC_SEC(60)      /* a TURN server that refused or did not answer */
#define TORC_GATHER_RETRY_MAX TORC_SEC(600) /* after doubling */

typedef struct torc_gather_config {
  const torc_mem *mem;            /* borrowed; NULL: libc */
  const torc_stun_crypto *crypto; /* borrowed */
  const torc_log *log;            /* borrowed; may be NULL */
  torc_ice_socket first_relay;    /* allocations are named from this number on; 0: 2^48 */
} torc_gather_config;

/* A socket of this node that is bound to an address others may be told. */
typedef struct torc_gather_socket {
  torc_ice_socket id;
  torc_addr addr;
  bool is_tcp;         /* a listener: candidates passive and active */
  bool is_so;          /* and simultaneous open, from its port */
  uint16_t preference; /* local preference, the higher the better */
} torc_gather_socket;

typedef enum torc_gather_path { TORC_TURN_UDP, TORC_TURN_TCP, TORC_TURN_TLS } torc_gather_path;

typedef struct torc_gather_turn {
  torc_addr server;
  torc_gather_path path;
  uint8_t families;          /* TORC_TURN_V4, TORC_TURN_V6 or both */
  torc_slice user, password; /* copied */
  torc_slice host;           /* TLS: the name in its certificate; empty: the address. Copied */
} torc_gather_turn;

int torc_gather_new(torc_gather **out, const torc_gather_config *cfg,
                    torc_time now) TORC_MUST_CHECK;
void torc_gather_free(torc_gather *g);
/* Gives all allocations back: SENDs and STREAM_SENDs come, then it may be freed. */
void torc_gather_close(torc_gather *g, torc_time now);

/* TORC_ERR_LIMIT; TORC_ERR_EXISTS: the number is taken; TORC_ERR_INVALID: number 0 or no family. */
int torc_gather_add_socket(torc_gather *g, const torc_gather_socket *socket,
                           torc_time now) TORC_MUST_CHECK;
void torc_gather_remove_socket(torc_gather *g, torc_ice_socket id, torc_time now);
/* *out names it. TORC_ERR_LIMIT: too many, or a text too long. */
int torc_gather_add_turn(torc_gather *g, const torc_gather_turn *turn, torc_time now,
                         torc_token *out) TORC_MUST_CHECK;
/* The allocation is given back. */
void torc_gather_remove_turn(torc_gather *g, torc_token turn, torc_time now);
/* A peer is connected that answers on UDP at `addr` [ICE-08] [ICE-09]; it is not any more. */
int torc_gather_peer_up(torc_gather *g, torc_stun_server_id id, const torc_addr *addr,
                        torc_time now) TORC_MUST_CHECK;
void torc_gather_peer_down(torc_gather *g, torc_stun_server_id id, torc_time now);
/* The network is another, or so it seems: everything is asked anew at once. */
void torc_gather_renew(torc_gather *g, torc_time now);

/* What is there; at any time, never waits. Borrowed until the next call. */
size_t torc_gather_locals(const torc_gather *g, const torc_ice_local **out);
/* All that was asked has answered or TORC_GATHER_TIME has passed: more is not to be waited for. */
bool torc_gather_is_settled(const torc_gather *g);

/* A datagram that came on a UDP socket. 0: it was for this. TORC_ERR_NOTFOUND: it was not.
 * `bytes` is borrowed until torc_gather_poll returns false. */
int torc_gather_input(torc_gather *g, torc_ice_socket socket, const torc_addr *from,
                      torc_slice bytes, torc_time now) TORC_MUST_CHECK;
/* How a STREAM_OPEN ended, 0 or an error; what came on it (borrowed likewise); it is closed. */
void torc_gather_stream_opened(torc_gather *g, torc_token stream, int rc, torc_time now);
int torc_gather_stream_input(torc_gather *g, torc_token stream, torc_slice bytes,
                             torc_time now) TORC_MUST_CHECK;
void torc_gather_stream_closed(torc_gather *g, torc_token stream, torc_time now);

/* To a peer through an allocation, as torc_turn_send, _permit and _bind. TORC_ERR_NOTFOUND: there
 * is no such allocation any more. TORC_ERR_DENIED: the server refuses this peer. */
int torc_gather_relay_send(torc_gather *g, torc_ice_socket relay, const torc_addr *peer,
                           torc_slice bytes, torc_time now) TORC_MUST_CHECK;
int torc_gather_relay_permit(torc_gather *g, torc_ice_socket relay, const torc_addr *peers,
                             size_t num, torc_time now) TORC_MUST_CHECK;
int torc_gather_relay_bind(torc_gather *g, torc_ice_socket relay, const torc_addr *peer,
                           torc_time now) TORC_MUST_CHECK;

void torc_gather_tick(torc_gather *g, torc_time now);
torc_time torc_gather_deadline(const torc_gather *g);

typedef enum torc_gather_output_kind {
  TORC_GATHER_OUT_SEND = 1,     /* `bytes` on `socket` to `remote` */
  TORC_GATHER_OUT_STREAM_OPEN,  /* a TCP or TLS connection to `remote`, to be named `stream`; the
                                 * certificate is that of `host`, or of the address */
  TORC_GATHER_OUT_STREAM_SEND,  /* `bytes` on `stream` */
  TORC_GATHER_OUT_STREAM_CLOSE, /* `stream` */
  TORC_GATHER_OUT_DATA, /* `bytes` through the allocation `socket` from `remote` to `local` */
  TORC_GATHER_OUT_UNREACHABLE, /* ICMP: nobody is at `remote`, sent to through `socket` */
  TORC_GATHER_OUT_RELAY_DOWN,  /* the allocation `socket` is no more */
  TORC_GATHER_OUT_CHANGED /* torc_gather_locals, or torc_gather_is_settled, say another thing */
} torc_gather_output_kind;

typedef struct torc_gather_output {
  torc_gather_output_kind kind;
  torc_ice_socket socket;
  torc_token stream;
  torc_addr local, remote;
  bool is_tls;
  torc_slice host, bytes;
} torc_gather_output;
bool torc_gather_poll(torc_gather *g, torc_gather_output *out);

/* clang-format off */
#define TORC_GATHER_COUNTERS(X)                                                                    \
  X(asked) X(answered) X(unanswered) X(mappings_changed) X(allocations) X(allocations_lost)         \
  X(allocations_refused) X(streams_failed) X(locals_double) X(locals_refused) X(servers_refused)
/* clang-format on */
/* Those of the allocations, summed, have "turn_" before their names. */
void torc_gather_counters(const torc_gather *g, void *ctx,
                          void (*each)(void *ctx, const char *name, uint64_t value));

#endif
