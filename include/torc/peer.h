/* A native peer or client: a torc_node on libuv, TLS, LMDB and OpenSSL. One thread; nothing here is
 * thread-safe but torc_peer_wake. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_PEER_H
#define TORC_PEER_H

#include "torc/node.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct torc_peer torc_peer;

#define TORC_PEER_LISTEN_MAX 8

/* Which candidates CONNECT offers: those of relays alone hide where this machine is. */
typedef enum torc_candidate_policy {
  TORC_OFFER_ALL = 0,
  TORC_OFFER_RELAY = 1, /* needs a TURN server */
  TORC_OFFER_UDP = 2    /* all but TCP: where a firewall breaks long connections */
} torc_candidate_policy;

#define TORC_PEER_CONFIG_INIT \
  { .size = sizeof(torc_peer_config) }
/* Strings are copied. */
typedef struct torc_peer_config {
  size_t size;
  const char *overlay_file; /* overlay configuration document (XML), docs/spec/protocol.md */
  const char *overlay_name; /* which `overlay` element, NULL: the only one */
  const char *cert_file;    /* PEM certificate */
  const char *key_file;     /* PEM private key, mode 0600 */
  const char *state_dir;    /* LMDB, peer cache; NULL: memory only */
  torc_role role;
  const char
      *listen[TORC_PEER_LISTEN_MAX]; /* "127.0.0.1:6084", "[::]:6084", port 0: any; NULL ends */
  const char *const *advertise; /* NULL-terminated "address:port" put into candidates instead of the
                                   listen addresses */
  unsigned num_threads;         /* 0: signatures on the loop's thread; else a pool of so many */
  bool sync_disk; /* answer writes only after fsync; default: safe against a crash of the process */
  const torc_log *log; /* borrowed; may be NULL */
  /* 0: from the overlay configuration, else the default; for tests and small overlays */
  torc_time update_period, ping_period, t1, keepalive, deletion_delay, replica_wait, idle_close;
  uint32_t max_links, max_client_links, max_answer_bytes;
  uint64_t max_stored_bytes;
  /* Instead of cert_file and key_file, in a shared-key overlay: as `torc key new` writes it, mode
   * 0600. The peer-id is kept in state_dir; without one it is another each time. */
  const char *shared_key_file;
  /* NULL-terminated lists of servers that help through NATs, beside the peers themselves: URIs of
   * RFC 7064 and 7065, "stun:192.0.2.1:3478", "turn:relay.example.org?transport=udp",
   * "turns:relay.example.org:443". Up to 4 of each; NULL: none [ICE-09] [ICE-18]. */
  const char *const *stun_servers;
  const char *const *turn_servers;
  const char *turn_user;
  const char *turn_password_file; /* its first line; mode 0600 */
  torc_candidate_policy candidates;
  const char *turn_ca_file; /* PEM: who certifies turns: servers; NULL: whom the machine trusts */
} torc_peer_config;

/* Reads every file, opens the state directory and the listening sockets. On failure writes one line
 * of English, which says what was wrong with what and what to do, into err (NUL-terminated). */
int torc_peer_new(torc_peer **out, const torc_peer_config *cfg, char *err,
                  size_t err_cap) TORC_MUST_CHECK;
/* Closes every link at once, without LEAVE. */
void torc_peer_free(torc_peer *p);

/* The node inside, for application calls, views and counters. After a direct call on the node, call
 * torc_peer_flush. */
torc_node *torc_peer_node(torc_peer *p);
torc_time torc_peer_now(const torc_peer *p); /* loop time as the node counts it */
void torc_peer_flush(torc_peer *p);
/* Port of listening socket `i`, 0 if there is none. */
uint16_t torc_peer_port(const torc_peer *p, size_t i);
/* libuv loop (uv_loop_t *), to add handles of one's own; close them before torc_peer_free. */
void *torc_peer_loop(torc_peer *p);
/* Own certificate, borrowed. */
const torc_cert *torc_peer_cert(const torc_peer *p);
/* Named counters, which only rise: those of the node, then those of the links and of this object,
 * which begin with "io_". */
void torc_peer_counters(const torc_peer *p, void *ctx,
                        void (*each)(void *ctx, const char *name, uint64_t value));
/* Likewise what the links and this object hold at present, which rises and falls. */
void torc_peer_gauges(const torc_peer *p, void *ctx,
                      void (*each)(void *ctx, const char *name, uint64_t value));

/* Starts bootstrapping. */
int torc_peer_start(torc_peer *p) TORC_MUST_CHECK;
/* The calls that run the loop or flush hold SIGPIPE back from the calling thread meanwhile.
 * Runs the loop until an event is there, for at most timeout_ms (-1: no limit); 0 runs what is
 * ready. */
int torc_peer_run(torc_peer *p, int timeout_ms) TORC_MUST_CHECK;
/* Makes a blocked torc_peer_run return; callable from any thread or signal handler. */
void torc_peer_wake(torc_peer *p);
/* Takes the oldest event; false: none. Slices and values live until the next call of
 * torc_peer_next_event or _run. */
bool torc_peer_next_event(torc_peer *p, torc_event *out);

/* ---- connections of applications ----
 * torc_node_connect_application and torc_node_listen_connections ask for them,
 * TORC_EVENT_CONNECTION tells when one stands, with its token, and when it has ended or failed. */

/* A connected stream socket that carries the bytes of a connection that stands; the caller owns it
 * and may use it anywhere, in another thread too, while torc_peer_run runs. End of file: the other
 * side has ended. shutdown(*fd, SHUT_WR) tells the other side that this one has. Closing it
 * does the same, and cuts the connection once more comes, which nobody reads. TORC_ERR_NOTFOUND: it
 * does not stand; TORC_ERR_EXISTS: somebody has it. */
int torc_peer_connection_fd(torc_peer *p, torc_token token, int *fd) TORC_MUST_CHECK;
/* The same with a connected stream socket of the caller's, which passes, also on failure. */
int torc_peer_connection_carry(torc_peer *p, torc_token token, int fd) TORC_MUST_CHECK;
/* Ends it in good order: what was written, up to shutdown(fd, SHUT_WR) or the closing of the
 * socket, still goes to the other side, what comes is thrown away. */
void torc_peer_connection_end(torc_peer *p, torc_token token);
/* Ends it at once: the other side is told that it was cut. */
void torc_peer_connection_cut(torc_peer *p, torc_token token);

/* The rest are blocking conveniences over the calls above; they run the loop until their own answer
 * is there. Events that belong to others stay queued. */
int torc_peer_join(torc_peer *p, int timeout_ms) TORC_MUST_CHECK;  /* start and wait for JOINED */
int torc_peer_leave(torc_peer *p, int timeout_ms) TORC_MUST_CHECK; /* LEAVE and wait for LEFT */
/* Waits for the end of `token`. TORC_ERR_TIMEOUT: it has not ended in time (or torc_peer_wake was
 * called), *out is untouched. Else *out is written, its slices live until the next call on `p`, and
 * the result is out->rc. */
int torc_peer_wait(torc_peer *p, torc_token token, int timeout_ms, torc_done *out) TORC_MUST_CHECK;
/* TORC_ERR_NOTFOUND: no such type. TORC_ERR_INVALID: a key for what is no dictionary, or none for
 * one. Else as torc_peer_wait. */
int torc_peer_store_text(torc_peer *p, const char *name, const char *type, const char *key,
                         int32_t index, torc_slice value, uint32_t lifetime_s, int timeout_ms,
                         torc_done *out) TORC_MUST_CHECK;
int torc_peer_fetch_text(torc_peer *p, const char *name, const char *type, const char *key,
                         int timeout_ms, torc_done *out) TORC_MUST_CHECK;

/* The peer-ids of the certificates that are stored under a user name [CRT-02]: each of the
 * user's devices has one. *num: at most TORC_PEER_DEVICES_MAX. TORC_ERR_NOTFOUND: none is stored;
 * TORC_ERR_STATE: a shared-key overlay, which has no users. Else as torc_peer_wait. */
#define TORC_PEER_DEVICES_MAX 10
int torc_peer_find_user(torc_peer *p, const char *user, int timeout_ms,
                        torc_id peers[TORC_PEER_DEVICES_MAX], size_t *num) TORC_MUST_CHECK;
/* Connects to an application of a peer and waits until the connection stands; *fd as
 * torc_peer_connection_fd gives it. On a failure out->rc, code and phrase say why; *out is not
 * written with TORC_ERR_TIMEOUT. TORC_EVENT_CONNECTION tells its end. */
int torc_peer_connect_application(torc_peer *p, const torc_id *peer, uint16_t application,
                                  int timeout_ms, torc_token *token, int *fd,
                                  torc_done *out) TORC_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
