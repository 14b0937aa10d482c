/* Links on a libuv loop [TLS-01] [TLS-03]: listening, dialling, ICE, framing,
 * back-pressure. Knows certificates and message lengths, nothing else of the overlay. One thread.
 *
 * What happens is told through torc_net_events. `down`, `open_failed`, `congested` and `mtu` come
 * from inside torc_net_flush only, `up` and `message` from the loop only, so no call below ever
 * calls back except torc_net_flush.
 *
 * Who runs the loop holds SIGPIPE back (io/sigpipe.h): libuv writes where nobody reads any more.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_NET_H
#define TORC_IO_NET_H

#include <uv.h>

#include "io/addr.h"
#include "io/x509.h"
#include "torc/node.h"
#include "torc/peer.h"

typedef struct torc_net torc_net;

#define TORC_NET_LISTEN_MAX 8
#define TORC_NET_ADVERTISE_MAX 8

/* Every limit a peer can reach; each has a counter [GAP-162]. */
typedef struct torc_net_limits {
  torc_time handshake; /* TCP accepted to TLS done */
  torc_time message;   /* first to last byte of one message */
  torc_time dial;      /* all addresses of one OPEN */
  torc_time answer;    /* from an offer to its answer, from an answer until it has left */
  torc_time connect;   /* from then to the link: checks and handshake */
  torc_time stagger;   /* before the next address is tried beside the first */
  torc_time linger;    /* for what is queued when a link is closed in good order */
  uint32_t half_open_max,
      half_open_per_ip_max;                /* accepted connections without a finished handshake */
  uint32_t links_max;                      /* of all kinds; the node's own limits are lower */
  uint32_t pending_max;                    /* CONNECTs answered or awaited */
  size_t queue_high, queue_low, queue_max; /* bytes waiting to be sent on one link */
  size_t queue_total_max; /* on all links: beyond it the next one above queue_low is closed */
  size_t partial_max;     /* bytes of unfinished messages on all links */
  uint32_t streams_max;   /* connections of applications [GAP-76] */
  torc_time stream_take;  /* one that nobody carries so long is cut */
  torc_time stream_idle;  /* TCP asks whether the other side is there, */
  torc_time stream_gone;  /* and gives up when what was sent is not acknowledged for so long */
} torc_net_limits;

#define TORC_NET_LIMITS_INIT                                                                     \
  {                                                                                              \
    .handshake = TORC_SEC(10), .message = TORC_SEC(30), .dial = TORC_SEC(10),                    \
    .answer = TORC_SEC(35), .connect = TORC_SEC(20), .stagger = TORC_MS(250),                    \
    .linger = TORC_SEC(2), .half_open_max = 256, .half_open_per_ip_max = 64, .links_max = 1024,  \
    .pending_max = 256, .queue_high = 256u << 10, .queue_low = 64u << 10, .queue_max = 8u << 20, \
    .queue_total_max = 64u << 20, .partial_max = 32u << 20, .streams_max = 512,                  \
    .stream_take = TORC_SEC(30), .stream_idle = TORC_SEC(30), .stream_gone = TORC_SEC(60)        \
  }

typedef struct torc_net_events {
  void *ctx;
  /* info->cert: one reference passes to the receiver. */
  void (*up)(void *ctx, torc_link_id link, const torc_link_info *info);
  /* A whole message; `msg` lives for the call. */
  void (*message)(void *ctx, torc_link_id link, torc_slice msg);
  void (*down)(void *ctx, torc_link_id link, int rc);
  void (*open_failed)(void *ctx, torc_token token, int rc);
  void (*congested)(void *ctx, torc_link_id link, bool is_congested);
  /* From now on a message on this link may be as long as `mtu`, see torc_link_info. */
  void (*mtu)(void *ctx, torc_link_id link, uint32_t mtu);
  /* The connection that the CONNECT `token` asked for; info->cert: one reference passes to the
   * receiver. Not 0: it is not wanted any more and is cut. From torc_net_flush only, as is the
   * next one. */
  int (*connection_up)(void *ctx, torc_token token, const torc_link_info *info);
  void (*connection_down)(void *ctx, torc_token token, int rc);
  /* The loop has done a step: drain what it caused, then call torc_net_flush. */
  void (*turn)(void *ctx);
} torc_net_events;

typedef struct torc_net_config {
  uv_loop_t *loop;
  torc_pki *pki;                 /* borrowed, with own certificate and key */
  const torc_net_limits *limits; /* copied; NULL: the defaults */
  torc_net_events events;
  const torc_log *log; /* may be NULL */
  torc_wall wall;
} torc_net_config;

int torc_net_new(torc_net **out, const torc_net_config *cfg, char *err,
                 size_t err_cap) TORC_MUST_CHECK;
/* Closes every handle at once, without events. Run the loop until it has no handle of ours, then
 * torc_net_free. */
void torc_net_shutdown(torc_net *net);
bool torc_net_is_shut(const torc_net *net);
void torc_net_free(torc_net *net);

/* "address:port"; the reason names address and cause. */
int torc_net_listen(torc_net *net, const char *address, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Puts `address` into candidates instead of the listening addresses. */
int torc_net_advertise(torc_net *net, const char *address, char *err,
                       size_t err_cap) TORC_MUST_CHECK;
size_t torc_net_num_listeners(const torc_net *net);
uint16_t torc_net_port(const torc_net *net, size_t i);
/* The port where links are taken at this address of the machine (its own port is not looked at); 0:
 * none. */
uint16_t torc_net_port_at(const torc_net *net, const torc_sock *a);
/* The port of the first UDP socket; 0: there is none yet. */
uint16_t torc_net_datagram_port(const torc_net *net);
/* Whether host and port are one of the listening or advertised addresses; a host name is resolved
 * (blocking). */
bool torc_net_is_self(const torc_net *net, const torc_endpoint *endpoint);

/* Dials [TLS-06]; ends with `up` or `open_failed` and `token`. */
void torc_net_open(torc_net *net, torc_token token, const torc_endpoint *endpoint);
/* Encrypts head ++ body as one message; nothing happens if the link is gone. */
void torc_net_send(torc_net *net, torc_link_id link, torc_slice head, torc_slice body);
/* Closes once what was sent is flushed; `down` follows at the next flush. */
void torc_net_close(torc_net *net, torc_link_id link);
/* Writes what is queued, tells what happened; returns the number of events told. */
size_t torc_net_flush(torc_net *net);
/* Stops or resumes reading from every link. */
void torc_net_pause(torc_net *net, bool is_paused);
/* The present; links whose certificate has expired are closed [GAP-135]. */
void torc_net_set_wall(torc_net *net, torc_wall now);

/* New links show the certificate that the pki has as its own now [ENR-38]. TORC_ERR_CRYPTO. */
int torc_net_renew(torc_net *net) TORC_MUST_CHECK;

/* ---- CONNECT [CON-01] ---- */

/* Storage of the candidate strings of a torc_connect_params. */
typedef struct torc_net_params {
  torc_connect_params p;
  char text[TORC_CANDIDATES_MAX][160];
} torc_net_params;
/* Whether all candidates that are being gathered are there, or have taken too long [GAP-75]. */
bool torc_net_is_settled(const torc_net *net);
/* Own parameters for the offer `token`, which is remembered; `application`: what the CONNECT is
 * for. TORC_ERR_LIMIT: too many are under way. TORC_ERR_CRYPTO: no randomness. TORC_ERR_CONFIG: no
 * address of this machine can be offered, which is logged with what to do (io:no_own_address). */
int torc_net_offer(torc_net *net, torc_token token, uint16_t application,
                   torc_net_params *out) TORC_MUST_CHECK;
/* Own parameters for the answer to `remote`; 0, or the code to refuse with. The remote side is
 * remembered under `token`. */
uint16_t torc_net_answer(torc_net *net, torc_token token, const torc_connect_params *remote,
                         torc_net_params *out);
/* The answer came: connectivity checks, then (D)TLS; ends with `up` or `open_failed`. */
void torc_net_connect(torc_net *net, torc_token token, const torc_id *peer,
                      const torc_connect_params *remote);
/* The answer was sent: the same. */
void torc_net_accept(torc_net *net, torc_token token, const torc_id *peer);

/* Nothing will come of it: forgets what was offered or answered. What has begun for a link goes on.
 */
void torc_net_cancel(torc_net *net, torc_token token);

/* ---- connections of applications (stream.c) ---- */

/* Carries the bytes of a connection that stands to and from a connected stream socket, which passes
 * to `net`, also on failure. Its end of file ends what this side sends; that of the other side
 * shuts it down for reading. It is never read ahead of what the other side takes, and never written
 * ahead of what its reader takes. TORC_ERR_NOTFOUND: no such connection; TORC_ERR_EXISTS: somebody
 * carries it; TORC_ERR_IO. */
int torc_net_carry(torc_net *net, torc_token token, int fd) TORC_MUST_CHECK;
/* Ends it in good order: what was written to the socket up to its end of file is sent, what comes
 * is not looked at any more. connection_down follows. */
void torc_net_end(torc_net *net, torc_token token);
/* Ends it at once: the other side learns that it was cut. connection_down follows. */
void torc_net_cut(torc_net *net, torc_token token);

/* ---- servers of the configuration [ICE-09] [ICE-18] ---- */

/* What TURN servers are told, and whose certificates are trusted (PEM): NULL: nothing, and the
 * CAs of the machine. Copied; before torc_net_add_server. */
void torc_net_set_login(torc_net *net, const char *user, const char *password, const char *ca_file);
void torc_net_set_policy(torc_net *net, torc_candidate_policy policy);
/* A STUN server beside the peers that are linked, or a TURN server, where an allocation is made and
 * kept [GAP-75] [GAP-79]: see io/server_uri.h. A name that is not found is looked up again. The
 * reason says what is wrong with the text. */
int torc_net_add_server(torc_net *net, const char *uri, char *err, size_t err_cap) TORC_MUST_CHECK;

/* ---- views ---- */

/* Links whose other end can be dialled again [BST-11]: `each` gets peer-id and address. */
void torc_net_each_dialable(const torc_net *net, void *ctx,
                            void (*each)(void *ctx, const torc_id *peer, const torc_endpoint *at));
/* Whether a link to `peer` was made by CONNECT, which has said all about where it can be reached.
 */
bool torc_net_is_by_connect(const torc_net *net, const torc_id *peer);
void torc_net_counters(const torc_net *net, void *ctx,
                       void (*each)(void *ctx, const char *name, uint64_t value));
/* What there is at present: connections, bytes. */
void torc_net_gauges(const torc_net *net, void *ctx,
                     void (*each)(void *ctx, const char *name, uint64_t value));

#endif
