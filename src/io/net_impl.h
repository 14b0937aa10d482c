/* What the parts of torc_net share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_NET_IMPL_H
#define TORC_IO_NET_IMPL_H

#include <uv.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/map.h"
#include "base/timer.h"
#include "io/net.h"
#include "io/tls.h"

#define TORC_NET_READ_BYTES 65536u   /* one read of a socket, shared by all links */
#define TORC_NET_RECORD_BYTES 16384u /* one TLS record */
#define TORC_NET_PLAIN_BYTES (4u * TORC_NET_RECORD_BYTES)
#define TORC_NET_DIAL_ADDRS_MAX 8 /* addresses tried for one OPEN or CONNECT */
#define TORC_NET_BACKLOG 256
#define TORC_NET_SEND_AHEAD \
  262144u /* queued bytes after which a send writes to the socket at once */
#define TORC_NET_FINGERPRINT_MAX 64u /* bytes of the longest digest accepted, SHA-512 */

/* clang-format never comes to rest with this list. */
/* clang-format off */
#define TORC_NET_STATS(X) \
  X(accepted) X(dialled) X(links_up) X(links_down) X(messages_in) X(messages_out) X(bytes_in) \
  X(bytes_out) X(writes) X(writes_queued) X(handshakes_failed) X(handshake_timeouts) \
  X(half_open_evicted) X(half_open_ip_evicted) X(links_refused) X(wrong_peer) X(self_links) \
  X(bad_fingerprint) X(bad_frame) X(later_version) X(bad_length) X(message_timeouts) \
  X(queue_overflows) X(queue_total_overflows) X(partial_refused) X(tls_failures) X(congestions) X(expired_links) \
  X(open_failures) X(await_timeouts) X(candidates_skipped) X(connects_refused) \
  X(pending_refused) X(no_memory) X(pauses) X(no_own_address)
/* clang-format on */

typedef struct torc_net_stats {
#define X(name) uint64_t name;
  TORC_NET_STATS(X)
#undef X
} torc_net_stats;

typedef enum torc_conn_state {
  TORC_CONN_CONNECTING, /* TCP */
  TORC_CONN_HANDSHAKE,  /* TLS */
  TORC_CONN_UP,
  TORC_CONN_DRAINING, /* closing in good order */
  TORC_CONN_CLOSED    /* waits for libuv */
} torc_conn_state;

/* A fingerprint of CONNECT, parsed [CON-08]. */
typedef struct torc_fingerprint {
  int nid; /* OpenSSL's number of the hash; 0: none */
  size_t len;
  uint8_t digest[TORC_NET_FINGERPRINT_MAX];
} torc_fingerprint;

typedef struct torc_dial torc_dial;

/* What every link has, whatever carries it; the first member of what does. */
typedef struct torc_net_link torc_net_link;
typedef struct torc_net_link_ops {
  torc_link_kind kind;
  void (*send)(torc_net_link *l, torc_slice head, torc_slice body);
  void (*flush)(torc_net_link *l); /* writes what waits */
  void (*drain)(torc_net_link *l); /* closes in good order */
  void (*set_reading)(torc_net_link *l, bool on);
  size_t (*queued)(const torc_net_link *l); /* bytes that wait */
} torc_net_link_ops;

struct torc_net_link {
  const torc_net_link_ops *ops;
  torc_net *net;
  torc_link_id id; /* 0: not a link yet */
  torc_list dirty; /* net->dirty: has output */
  torc_list ended; /* net->ended: `down` is to be told */
  size_t counted;  /* of net->queued_bytes */
  int end_rc;
  bool is_told_up, is_congested, has_told_congested;
  torc_sock remote;
  torc_sock dialable; /* family 0: not known */
  torc_id peer;
  torc_wall not_after;
};

typedef struct torc_conn {
  torc_net_link link;
  uv_tcp_t tcp;
  torc_conn_state state;
  torc_dial *dial;    /* NULL: accepted, or up */
  torc_list all;      /* net->conns */
  torc_list siblings; /* dial->conns */
  torc_list resting;  /* net->resting: had its turn, reads on after the others */
  torc_timer timer;   /* handshake, message or linger limit, by state */
  torc_tls tls;
  torc_buf partial; /* the message under way */
  size_t in_flight; /* bytes handed to libuv */
  bool is_half_open, is_reading, is_shut_down;
} torc_conn;

struct torc_dial {
  torc_net *net;
  torc_list all;   /* net->dials */
  torc_list conns; /* attempts under way */
  torc_token token;
  torc_id expected; /* 0: any peer of the overlay */
  torc_fingerprint fingerprint;
  torc_sock addrs[TORC_NET_DIAL_ADDRS_MAX];
  size_t num_addrs, next_addr;
  torc_timer stagger, deadline;
  uv_getaddrinfo_t resolve;
  bool is_resolving, is_over;
  int rc; /* of the last attempt */
};

/* A CONNECT between its parameters and its link. */
typedef struct torc_pending {
  torc_list all; /* net->pending */
  torc_net *net;
  torc_token token;
  bool is_awaiting; /* the other side dials; else: answered, ACCEPT is still to come */
  bool is_active;   /* this side dials */
  torc_id peer;
  torc_fingerprint fingerprint;
  torc_sock addrs[TORC_NET_DIAL_ADDRS_MAX];
  size_t num_addrs;
  torc_timer timer;
} torc_pending;

typedef struct torc_failure { /* an open_failed to be told */
  torc_list all;
  torc_token token;
  int rc;
} torc_failure;

typedef struct torc_listener {
  uv_tcp_t tcp;
  torc_sock addr; /* with the port the system chose */
} torc_listener;

struct torc_net {
  uv_loop_t *loop;
  uv_timer_t timer;
  uv_idle_t next_turn; /* active while somebody rests */
  torc_timers timers;
  torc_pki *pki;
  torc_tls_ctx *tls;
  torc_net_limits limits;
  torc_net_events events;
  const torc_log *log;
  torc_wall wall;
  torc_id self;
  torc_listener *listeners[TORC_NET_LISTEN_MAX];
  size_t num_listeners;
  torc_sock advertised[TORC_NET_ADVERTISE_MAX];
  size_t num_advertised;
  torc_map links; /* torc_net_link by id */
  torc_list conns, dirty, resting, ended, dials, pending, failures;
  size_t num_conns, num_half_open, num_pending, partial_bytes, queued_bytes;
  size_t num_handles; /* libuv still knows so many */
  torc_link_id last_id;
  bool is_paused, is_shutting;
  bool has_told_key;   /* that a handshake has failed for the shared key, since the last link */
  bool has_no_address; /* the last CONNECT found none to offer, and it has been told */
  uint8_t *read_buf, *plain_buf, *record_buf; /* shared by all links */
  torc_net_stats stats;
};

torc_time torc_net_now(void);
/* Arms or stops a timer and keeps libuv's in step. */
void torc_net_arm(torc_net *net, torc_timer *t, torc_time at);
void torc_net_tell_failure(torc_net *net, torc_token token, int rc);

/* link.c */
void torc_net_link_init(torc_net_link *l, torc_net *net, const torc_net_link_ops *ops);
/* It gets its number. TORC_ERR_LIMIT: too many links. TORC_ERR_NOMEM. */
int torc_net_link_admit(torc_net_link *l) TORC_MUST_CHECK;
/* Announces it to the node, which may close it at once. info: certificate, of which the reference
 * passes on, token and addresses; the rest is filled in. */
void torc_net_link_tell(torc_net_link *l, torc_link_info *info);
/* No longer a link for the node: it is told at the next flush. */
void torc_net_link_forget(torc_net_link *l, int rc);
/* Its owner is about to be freed. */
void torc_net_link_clear(torc_net_link *l);
/* Has output: flushed at the end of this turn. */
void torc_net_link_touch(torc_net_link *l);
/* Brings the sum over all links up to date with this one. */
void torc_net_link_recount(torc_net_link *l);
/* Whether `more` bytes may wait. TORC_ERR_LIMIT. */
int torc_net_link_room(const torc_net_link *l, size_t more) TORC_MUST_CHECK;

/* conn.c */
torc_conn *torc_conn_new(torc_net *net);
/* Begins the TLS handshake on a connected socket [TLS-09]. */
int torc_conn_begin(torc_conn *c, bool is_client);
void torc_conn_end(torc_conn *c, int rc); /* closes at once */
void torc_conn_drain(torc_conn *c);       /* closes in good order */
void torc_conn_send(torc_conn *c, torc_slice head, torc_slice body);
void torc_conn_flush(torc_conn *c);
void torc_conn_set_reading(torc_conn *c, bool on);
bool torc_conn_has_peer(const torc_conn *c, const torc_id *peer);

/* dial.c */
void torc_dial_start(torc_net *net, torc_token token, const torc_id *expected,
                     const torc_fingerprint *fingerprint, const torc_sock *addrs, size_t num_addrs);
void torc_dial_attempt_ended(torc_dial *d, torc_conn *c, int rc);
void torc_dial_won(torc_dial *d, torc_conn *c); /* frees d */
void torc_dial_free(torc_dial *d);

/* connect.c */
/* The CONNECT that awaits `peer`, or NULL. */
torc_pending *torc_pending_of(torc_net *net, const torc_conn *c);
void torc_pending_free(torc_pending *p);
bool torc_fingerprint_matches(const torc_fingerprint *f, const torc_cert *cert);

#endif
