/* What the parts of torc_net share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_NET_IMPL_H
#define TORC_IO_NET_IMPL_H

#include <uv.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/map.h"
#include "base/timer.h"
#include "ice/gather.h"
#include "io/dtls.h"
#include "io/fingerprint.h"
#include "io/net.h"
#include "io/server_stream.h"
#include "io/server_uri.h"
#include "io/stun_crypto.h"
#include "io/tls.h"
#include "io/udp.h"

#define TORC_NET_READ_BYTES 65536u   /* one read of a socket, shared by all links */
#define TORC_NET_RECORD_BYTES 16384u /* one TLS record */
#define TORC_NET_PLAIN_BYTES (4u * TORC_NET_RECORD_BYTES)
#define TORC_NET_DIAL_ADDRS_MAX 8 /* addresses tried for one OPEN */
#define TORC_NET_BACKLOG 256
#define TORC_NET_SEND_AHEAD \
  262144u /* queued bytes after which a send writes to the socket at once */
#define TORC_NET_LOCALS_MAX TORC_ICE_LOCAL_MAX
#define TORC_REMOTE_HOST_MAX 64u /* a name in a candidate: "<uuid>.local" */
#define TORC_NET_UDP_MAX 16      /* UDP sockets: addresses of this machine */
#define TORC_NET_HOST_MAX TORC_SERVER_HOST_MAX
#define TORC_NET_SERVERS_MAX 8
#define TORC_NET_RELAYED_MAX 512u /* datagrams that one read of a stream brought */
#define TORC_NET_NAMES_MAX 16u    /* `.local` names waiting to be asked for */
#define TORC_NET_EARLY_MAX 32u    /* datagrams kept until their path is known */
#define TORC_NET_EARLY_BYTES 1500u
#define TORC_NET_EARLY_AGE TORC_SEC(2)
#define TORC_NET_STUN_MAX 2048u /* bytes of one STUN message on a TCP connection of ICE */

/* clang-format never comes to rest with this list. */
/* clang-format off */
#define TORC_NET_STATS(X) \
  X(accepted) X(dialled) X(links_up) X(links_down) X(messages_in) X(messages_out) X(bytes_in) \
  X(bytes_out) X(writes) X(writes_queued) X(handshakes_failed) X(handshake_timeouts) \
  X(half_open_evicted) X(half_open_ip_evicted) X(links_refused) X(wrong_peer) X(self_links) \
  X(bad_fingerprint) X(bad_frame) X(later_version) X(bad_length) X(message_timeouts) \
  X(queue_overflows) X(queue_total_overflows) X(partial_refused) X(tls_failures) X(congestions) X(expired_links) \
  X(open_failures) X(await_timeouts) X(candidates_skipped) X(connects_refused) \
  X(pending_refused) X(pairs_tcp) X(pairs_udp) X(stun_answers) X(udp_strangers) X(early_kept) X(datagrams_refused) \
  X(consents_lost) X(candidates_changed) X(paths_crossed) X(peers_vanished) X(names_asked) X(names_found) X(names_refused) X(relayed_dropped) X(stun_servers_refused) \
  X(ice_failures) X(ice_strangers) X(no_memory) X(pauses) X(no_own_address) \
  X(connections_up) X(connections_down) X(connections_cut) X(connections_refused) \
  X(connections_untaken) X(connection_bytes_in) X(connection_bytes_out)
/* clang-format on */

typedef struct torc_net_stats {
#define X(name) uint64_t name;
  TORC_NET_STATS(X)
#undef X
} torc_net_stats;

typedef enum torc_conn_state {
  TORC_CONN_CONNECTING, /* TCP */
  TORC_CONN_OPENING,    /* accepted: the first byte says whether TLS or ICE begins */
  TORC_CONN_ICE,        /* connectivity checks */
  TORC_CONN_HANDSHAKE,  /* TLS */
  TORC_CONN_UP,
  TORC_CONN_STREAM,   /* an application's, up */
  TORC_CONN_DRAINING, /* closing in good order */
  TORC_CONN_CLOSED    /* waits for libuv */
} torc_conn_state;

typedef struct torc_dial torc_dial;
typedef struct torc_pending torc_pending;
typedef struct torc_dlink torc_dlink;
typedef struct torc_stream torc_stream;
typedef struct torc_net_server torc_net_server;

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
  uint32_t mtu; /* of datagrams, if is_mtu_new */
  bool is_told_up, is_congested, has_told_congested, is_mtu_new;
  bool is_by_connect;
  torc_sock remote;
  torc_sock dialable; /* family 0: not known */
  torc_id peer;
  torc_wall not_after;
};

typedef struct torc_conn {
  torc_net_link link;
  uv_tcp_t tcp;
  torc_conn_state state;
  torc_dial *dial;        /* NULL: accepted, of ICE, or up */
  torc_pending *pending;  /* the CONNECT whose selected pair this is */
  torc_stream *stream;    /* STREAM */
  torc_ice_socket socket; /* its name there; 0: not of ICE */
  torc_token ice_token;   /* the agent's attempt to connect; 0: none */
  torc_sock local;        /* of ICE: the base */
  torc_list all;          /* net->conns */
  torc_list siblings;     /* dial->conns */
  torc_list resting;      /* net->resting: had its turn, reads on after the others */
  torc_timer timer;       /* handshake, message or linger limit, by state */
  torc_tls tls;
  torc_buf partial; /* the message under way */
  size_t in_flight; /* bytes handed to libuv */
  bool is_half_open, is_reading, is_shut_down;
  bool is_reset;  /* is closed so that the other side sees it was cut */
  bool is_client; /* of TLS */
  bool has_tls;   /* bytes of TLS have come: no more STUN */
} torc_conn;

struct torc_dial {
  torc_net *net;
  torc_list all;   /* net->dials */
  torc_list conns; /* attempts under way */
  torc_token token;
  torc_id expected; /* 0: any peer of the overlay */
  torc_sock addrs[TORC_NET_DIAL_ADDRS_MAX];
  size_t num_addrs, next_addr;
  torc_timer stagger, deadline;
  uv_getaddrinfo_t resolve;
  bool is_resolving, is_over;
  int rc; /* of the last attempt */
};

/* A CONNECT from its parameters to its link. */
typedef enum torc_pending_state {
  TORC_PENDING_OFFERED,  /* the answer is awaited */
  TORC_PENDING_ANSWERED, /* the answer has not left yet */
  TORC_PENDING_CHECKING, /* ICE */
  TORC_PENDING_SECURING  /* TLS or DTLS on the selected pair */
} torc_pending_state;

typedef struct torc_remote { /* the other side's parameters until checks begin */
  char ufrag[257], password[257];
  torc_candidate candidates[TORC_CANDIDATES_MAX];
  size_t num;
  char hosts[TORC_CANDIDATES_MAX][TORC_REMOTE_HOST_MAX]; /* names that candidates borrow */
} torc_remote;

struct torc_pending {
  torc_list all; /* net->pending */
  torc_net *net;
  torc_token token;
  uint16_t application;
  torc_pending_state state;
  torc_ice_id ice;
  bool is_client;    /* of (D)TLS [CON-09] */
  bool is_requester; /* the CONNECT was this side's */
  torc_id peer;
  torc_fingerprint fingerprint;
  torc_remote *remote;
  torc_sock dialable; /* where the other side takes connections, if it says so */
  torc_conn *conn;    /* SECURING over TCP */
  torc_dlink *dlink;  /* or over UDP */
  torc_timer timer;
};

/* A path of datagrams: what sends, and to whom. */
typedef struct torc_path_key {
  torc_ice_socket socket;
  uint8_t addr[16];
  uint16_t port;
  uint8_t family;
  uint8_t pad[5]; /* 0: all bytes are compared */
} torc_path_key;

struct torc_dlink {
  torc_net_link link;
  torc_list all; /* net->dlinks or net->dlinks_over */
  torc_path_key path;
  torc_addr remote, local;
  torc_dlink *older;     /* the link that this one takes the path from once it is up */
  torc_pending *pending; /* until it is up */
  torc_ice_id ice;       /* keeps consent */
  torc_dtls *dtls;
  torc_timer timer;
  torc_timer probe;     /* while ICMP says that nobody is there */
  uint32_t num_probes;  /* sent since; 0: it says nothing */
  uint32_t num_refused; /* ICMP errors since anything was heard */
  bool is_over;
};

/* A UDP socket on one address of this machine. */
typedef struct torc_net_udp {
  torc_net *net;
  torc_udp *udp;
  torc_ice_socket socket;
  torc_sock local;
  uint16_t asked_port; /* of the listener; 0: any */
} torc_net_udp;

typedef struct torc_net_turn_name { /* of a server of the configuration */
  torc_sock server;
  char host[TORC_NET_HOST_MAX];
} torc_net_turn_name;

typedef struct torc_early {
  torc_path_key path;
  torc_time at;
  uint16_t len; /* 0: empty */
  uint8_t bytes[TORC_NET_EARLY_BYTES];
} torc_early;

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
  torc_ice *ice;
  torc_stun_openssl *stun;
  torc_timer ice_timer;
  torc_list names; /* `.local` names to be asked for */
  size_t num_names;
  bool is_asking;
  torc_map ice_conns; /* by torc_ice_socket */
  torc_ice_socket last_socket;
  bool is_ice_running; /* its outputs are being carried out */
  torc_net_udp *udps[TORC_NET_UDP_MAX];
  size_t num_udps;
  torc_timer udp_timer;
  uint8_t *udp_buf;
  torc_udp_stats udp_stats;
  torc_gather *gather;
  torc_timer gather_timer;
  bool is_gather_running;
  torc_list relayed; /* datagrams that came through allocations, to be worked on */
  size_t num_relayed;
  struct turn_stream *turn_streams[TORC_GATHER_TURNS_MAX];
  torc_net_turn_name turns[TORC_GATHER_TURNS_MAX];
  size_t num_turns, num_stun;
  torc_candidate_policy policy;
  struct torc_net_server *servers[TORC_NET_SERVERS_MAX];
  size_t num_servers;
  char turn_user[512], turn_password[512], turn_ca[1024];
  SSL_CTX *turn_tls;
  torc_tls_ctx *dtls_ctx;
  torc_dtls_gate *gate;
  torc_map paths; /* torc_dlink by path */
  torc_list dlinks, dlinks_over;
  size_t num_dlinks;
  torc_early *early; /* TORC_NET_EARLY_MAX of them, a ring */
  size_t next_early;
  torc_list conns, dirty, resting, ended, dials, pending, failures;
  torc_map streams; /* by token */
  torc_list all_streams, fresh_streams, over_streams;
  size_t num_streams, stream_bytes;
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
/* Waits for the first byte on an accepted socket. */
int torc_conn_open(torc_conn *c);
/* Begins the TLS handshake on a connected socket [TLS-09]. */
int torc_conn_begin(torc_conn *c, bool is_client);
void torc_conn_end(torc_conn *c, int rc); /* closes at once */
void torc_conn_drain(torc_conn *c);       /* closes in good order */
void torc_conn_send(torc_conn *c, torc_slice head, torc_slice body);
void torc_conn_flush(torc_conn *c);
void torc_conn_set_reading(torc_conn *c, bool on);
/* Encrypts bytes of an application's connection. */
int torc_conn_write(torc_conn *c, torc_slice data) TORC_MUST_CHECK;
size_t torc_conn_queued(const torc_conn *c);
/* The time of the handshake is over: nothing but the connection itself limits it now. */
void torc_conn_settled(torc_conn *c);
bool torc_conn_has_peer(const torc_conn *c, const torc_id *peer);
/* Keeps the beginning of a message or frame in c->partial. TORC_ERR_LIMIT. */
int torc_conn_keep(torc_conn *c, torc_slice bytes);
/* What c->partial holds is TLS. */
void torc_conn_begin_tls(torc_conn *c);
/* What has come of the connection, from the first byte on. */
void torc_conn_input(torc_conn *c, torc_slice bytes);

/* dial.c */
/* Several addresses of one peer. */
void torc_dial_start(torc_net *net, torc_token token, const torc_id *expected,
                     const torc_sock *addrs, size_t num_addrs);
void torc_dial_attempt_ended(torc_dial *d, torc_conn *c, int rc);
void torc_dial_won(torc_dial *d, torc_conn *c); /* frees d */
void torc_dial_free(torc_dial *d);

/* connect.c */
torc_pending *torc_pending_of_ice(torc_net *net, torc_ice_id id);
void torc_pending_free(torc_pending *p);
/* It has come to nothing: told and freed. */
void torc_pending_fail(torc_pending *p, int rc);

/* candidates.c */
/* What this side offers. TORC_ERR_CONFIG: no address, which is logged. */
int torc_net_locals(torc_net *net, torc_ice_local out[TORC_NET_LOCALS_MAX],
                    size_t *num) TORC_MUST_CHECK;
void torc_addr_to_sock(const torc_addr *a, torc_sock *out); /* family 0 stays unusable */
void torc_sock_to_addr(const torc_sock *a, torc_addr *out);
/* Whether the loopback of this machine may be tried because the other side says so. */
bool torc_net_may_loopback(const torc_net *net);

/* net_ice.c: the ICE agent and what it wants done. */
int torc_net_ice_init(torc_net *net, uint64_t seed) TORC_MUST_CHECK;
void torc_net_ice_clear(torc_net *net);
/* After every call on net->ice. */
void torc_net_ice_pump(torc_net *net);

/* net_udp.c */
int torc_net_udp_init(torc_net *net) TORC_MUST_CHECK;
void torc_net_udp_shutdown(torc_net *net);
void torc_net_udp_clear(torc_net *net);
/* Opens and closes sockets as the addresses of this machine are now. */
void torc_net_udp_refresh(torc_net *net);
void torc_net_udp_set_reading(torc_net *net, bool on);
/* One datagram on a path; results as of torc_udp_send. TORC_ERR_NOTFOUND: no such socket. */
int torc_net_datagram_send(torc_net *net, torc_ice_socket socket, const torc_addr *remote,
                           torc_slice bytes) TORC_MUST_CHECK;

/* One datagram that came on a path. */
void torc_net_datagram_input(torc_net *net, const torc_ice_from *from, torc_slice bytes);

/* net_gather.c */
int torc_net_gather_init(torc_net *net) TORC_MUST_CHECK;
void torc_net_gather_shutdown(torc_net *net);
void torc_net_gather_clear(torc_net *net);
void torc_net_gather_pump(torc_net *net);
void torc_net_gather_socket(torc_net *net, const torc_net_udp *u, bool is_there);
/* Whether the datagram was for the gatherer. */
bool torc_net_gather_input(torc_net *net, torc_ice_socket socket, const torc_addr *from,
                           torc_slice bytes);
/* A link is up, or no more. */
void torc_net_gather_peer(torc_net *net, const torc_net_link *l, bool is_up);
int torc_net_gather_stun(torc_net *net, const torc_sock *server) TORC_MUST_CHECK;
int torc_net_gather_turn(torc_net *net, const torc_server_uri *uri,
                         const torc_sock *server) TORC_MUST_CHECK;
/* If it is an allocation: a channel, which makes datagrams shorter. */
void torc_net_relay_bind(torc_net *net, torc_ice_socket socket, const torc_addr *remote);
int torc_net_relay_send(torc_net *net, torc_ice_socket socket, const torc_addr *remote,
                        torc_slice bytes) TORC_MUST_CHECK;

/* net_servers.c */
void torc_net_servers_shutdown(torc_net *net);

/* dtls_link.c */
void torc_path_key_set(torc_path_key *k, torc_ice_socket socket, const torc_addr *remote);
/* On the selected pair. */
int torc_dlink_open(torc_net *net, torc_pending *p, const torc_ice_pair_info *pair) TORC_MUST_CHECK;
torc_dlink *torc_dlink_of_path(const torc_net *net, torc_ice_socket socket,
                               const torc_addr *remote);
void torc_dlink_input(torc_dlink *d, torc_slice bytes);
/* ICMP: what it sent was longer than the `mtu` of some link on the way, headers included. */
void torc_dlink_too_long(torc_dlink *d, uint32_t mtu);
/* ICMP: nobody is there. A peer that answers no probe either is gone. */
void torc_dlink_unreachable(torc_dlink *d);
/* Whatever has come from the other end. */
void torc_dlink_heard(torc_dlink *d);
void torc_dlink_end(torc_dlink *d, int rc);
void torc_dlinks_end_ice(torc_net *net, torc_ice_id ice, int rc);
void torc_dlinks_end_socket(torc_net *net, torc_ice_socket socket, int rc);
void torc_dlinks_sweep(torc_net *net);
void torc_dlinks_clear(torc_net *net);

/* early.c */
void torc_early_keep(torc_net *net, torc_ice_socket socket, const torc_addr *remote,
                     torc_slice bytes);
void torc_early_replay(torc_net *net, torc_dlink *d);

/* local_names.c */
void torc_local_name_ask(torc_net *net, torc_token token, torc_slice host);
void torc_local_names_clear(torc_net *net);

/* ice_tcp.c: connections of ICE before TLS [ICE-16] [GAP-48]. */
void torc_ice_tcp_connect(torc_net *net, const torc_ice_output *o);
void torc_ice_tcp_send(torc_net *net, const torc_ice_output *o);
void torc_ice_tcp_close(torc_net *net, const torc_ice_output *o);
torc_conn *torc_ice_tcp_of(const torc_net *net, torc_ice_socket socket);
/* An accepted connection whose first byte is STUN's: it gets a name. */
int torc_ice_tcp_adopt(torc_conn *c) TORC_MUST_CHECK;
/* Frames of RFC 4571, until TLS begins; what is left in c->partial is TLS. */
void torc_ice_tcp_input(torc_conn *c, torc_slice bytes);
/* The connection is at its end. */
void torc_ice_tcp_forget(torc_conn *c);

/* stream.c: a connection whose handshake is done and whose CONNECT was an application's. */
int torc_stream_begin(torc_conn *c) TORC_MUST_CHECK;
void torc_stream_read(torc_conn *c);    /* c->tls.in holds new bytes */
void torc_stream_resume(torc_conn *c);  /* reads on, if there is room */
void torc_stream_flushed(torc_conn *c); /* some or all of what was queued is out */
/* An end of file that is not looked at yet. */
bool torc_stream_waits(const torc_conn *c, int uv);
int torc_stream_lost(const torc_conn *c, int uv); /* the reason of an end of file or an error */
void torc_stream_conn_ended(torc_conn *c, int rc);
void torc_streams_init(torc_net *net, uint64_t seed);
size_t torc_streams_tell(torc_net *net);
void torc_streams_set_wall(torc_net *net, torc_wall now);
void torc_streams_shutdown(torc_net *net);

#endif
