/* The ICE agent, RFC 8445 with RFC 6544 (TCP) and RFC 7675 (consent), one component, no SDP
 * [ICE-01..36] [GAP-78]. Sans-I/O. One torc_ice holds all sessions of a platform, for they share
 * sockets [GAP-82]: it finds the session of a datagram by user name (requests) and transaction id
 * (answers).
 *
 * Contract: call an input, then drain torc_ice_poll until it returns false, then wait until
 * torc_ice_deadline or the next input. Output is borrowed until the next call.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_ICE_H
#define TORC_ICE_ICE_H

#include "base/log.h"
#include "wire/pdu.h"
#include "wire/stun_auth.h"

typedef struct torc_ice torc_ice;
typedef uint64_t torc_ice_id; /* a session; 0: none */
/* Whatever sends and receives, named by the caller: a UDP socket, a TURN allocation (or one inside
 * another: RETURN), one TCP connection. Never 0. */
typedef uint64_t torc_ice_socket;

#define TORC_ICE_SESSIONS_MAX 256u
#define TORC_ICE_LOCAL_MAX 24u /* candidates of one side in one session */
#define TORC_ICE_REMOTE_MAX 32u
#define TORC_ICE_PAIRS_MAX 100u       /* RFC 8445 6.1.2.5 */
#define TORC_ICE_TA TORC_MS(5)        /* pacing of the whole agent; RFC 8445 14.2 allows no less */
#define TORC_ICE_LIMIT TORC_SEC(15)   /* a session without a selected pair fails */
#define TORC_ICE_PATIENCE TORC_MS(10) /* beside one RTT: what a better pair is waited for */
#define TORC_ICE_CONSENT TORC_SEC(5)  /* times 0.8 to 1.2 [RFC 7675]; at most the 15 s of GAP-77 */
#define TORC_ICE_CONSENT_END TORC_SEC(30)

typedef struct torc_ice_config {
  const torc_mem *mem;                                 /* borrowed; NULL: libc */
  const torc_stun_crypto *crypto;                      /* borrowed */
  const torc_log *log;                                 /* borrowed; may be NULL */
  uint32_t max_sessions;                               /* 0: TORC_ICE_SESSIONS_MAX */
  torc_time ta, limit, patience, consent, consent_end; /* 0: as above */
  bool allows_loopback; /* remote candidates on 127/8 and ::1 are tried */
} torc_ice_config;

/* A local candidate, gathered ahead [GAP-75]. */
typedef struct torc_ice_local {
  torc_cand_type type;
  torc_cand_transport transport;
  torc_cand_tcptype tcptype;
  torc_addr addr;   /* what the other side is told; port 9 for active TCP */
  torc_addr base;   /* what it is sent from (host and relay: addr) */
  torc_addr server; /* srflx, relay: the STUN or TURN server, for the foundation; else family 0 */
  torc_ice_socket
      socket; /* UDP and relay: sends from `base`. TCP passive: its listener. TCP active: 0 */
  uint16_t preference;     /* local preference, RFC 8445 5.1.2.1; for TCP its 13 bits of "other" */
  uint8_t type_preference; /* 0: by the RFC, TCP above UDP [ICE-19]; RETURN gives its own (D-23) */
} torc_ice_local;

int torc_ice_new(torc_ice **out, const torc_ice_config *cfg, torc_time now) TORC_MUST_CHECK;
void torc_ice_free(torc_ice *ice);

/* A session with fresh user fragment and password. The local candidates are copied, duplicates left
 * out. CONNECT's sender is controlling [ICE-26]. TORC_ERR_LIMIT, TORC_ERR_NOMEM, TORC_ERR_CRYPTO.
 */
int torc_ice_open(torc_ice *ice, bool is_controlling, const torc_ice_local *locals, size_t num,
                  torc_time now, torc_ice_id *out) TORC_MUST_CHECK;
void torc_ice_close(torc_ice *ice, torc_ice_id id); /* CLOSE_TCP outputs follow */
/* What is told to the other side; NULL: no such session. */
const char *torc_ice_ufrag(const torc_ice *ice, torc_ice_id id);
const char *torc_ice_password(const torc_ice *ice, torc_ice_id id);
size_t torc_ice_candidates(const torc_ice *ice, torc_ice_id id,
                           torc_candidate out[TORC_ICE_LOCAL_MAX]);
/* A candidate that came later (a relay that was slow); checks with it begin at once. */
int torc_ice_add_local(torc_ice *ice, torc_ice_id id, const torc_ice_local *local,
                       torc_time now) TORC_MUST_CHECK;
/* The other side's parameters: checks begin. What is not usable is counted and left out [GAP-71].
 * TORC_ERR_FORMAT: user fragment or password against RFC 8445 5.3. TORC_ERR_STATE: known already.
 */
int torc_ice_remote(torc_ice *ice, torc_ice_id id, torc_slice ufrag, torc_slice password,
                    const torc_candidate *candidates, size_t num, torc_time now) TORC_MUST_CHECK;

/* Where a datagram came from; on TCP one RFC 4571 frame without its length. */
typedef struct torc_ice_from {
  torc_ice_socket socket;
  torc_addr local; /* of the socket: the base */
  torc_addr remote;
  bool is_tcp;
} torc_ice_from;
/* One STUN message (first byte 0..3). 0: of a session, used or dropped and counted. A request on a
 * TCP connection that was accepted makes it the session's; on the selected one it is still
 * answered, for a frame of STUN may come before the other side's TLS. TORC_ERR_NOTFOUND: of none: a
 * Binding request without or with a foreign user name, an answer nobody waits for. */
int torc_ice_input(torc_ice *ice, const torc_ice_from *from, torc_slice bytes,
                   torc_time now) TORC_MUST_CHECK;
/* How a CONNECT_TCP ended; rc 0: `socket` stands, `local` is its address. */
void torc_ice_tcp_connected(torc_ice *ice, torc_token token, int rc, torc_ice_socket socket,
                            const torc_addr *local, torc_time now);
/* The socket is closed: TCP connection, UDP socket, allocation. */
void torc_ice_socket_closed(torc_ice *ice, torc_ice_socket socket, torc_time now);
/* ICMP said that nobody is there (hard error), RFC 8445 7.2.5.2.2. */
void torc_ice_unreachable(torc_ice *ice, torc_ice_socket socket, const torc_addr *remote,
                          torc_time now);
/* The answer to a RESOLVE; none: num 0. */
void torc_ice_resolved(torc_ice *ice, torc_token token, const torc_addr *addrs, size_t num,
                       torc_time now);
void torc_ice_tick(torc_ice *ice, torc_time now);
torc_time torc_ice_deadline(const torc_ice *ice);

typedef enum torc_ice_output_kind {
  TORC_ICE_OUT_SEND = 1,        /* bytes on `socket` to `remote`; TCP: to be framed by RFC 4571 */
  TORC_ICE_OUT_CONNECT_TCP = 2, /* from an address of `local` (S-O: and its port) to `remote` */
  TORC_ICE_OUT_CLOSE_TCP = 3, /* no longer needed: `socket`, or the CONNECT_TCP `token` under way */
  TORC_ICE_OUT_RESOLVE = 4,   /* `host`, by mDNS only; answer with `token` */
  TORC_ICE_OUT_SELECTED = 5, /* `id`: the pair to use. A TCP connection is the caller's from here */
  TORC_ICE_OUT_FAILED = 6,   /* `id`: no pair; closed by the caller */
  TORC_ICE_OUT_CONSENT_LOST = 7 /* `id`: nothing may be sent any more [RFC 7675] */
} torc_ice_output_kind;

typedef struct torc_ice_pair_info {
  torc_cand_transport transport;
  torc_cand_type local_type, remote_type;
  torc_ice_socket socket;
  torc_addr local, remote; /* local: the base */
  torc_addr mapped;        /* how the other side sees this one; family 0: not known */
  torc_time rtt;           /* 0: unknown */
} torc_ice_pair_info;

typedef struct torc_ice_output {
  torc_ice_output_kind kind;
  torc_ice_id id;
  torc_token token;
  torc_ice_socket socket;
  torc_addr local, remote;
  bool is_so;
  torc_slice bytes;
  torc_slice host;
  torc_ice_pair_info pair; /* SELECTED */
  int rc; /* FAILED: TORC_ERR_TIMEOUT, TORC_ERR_NOTFOUND (no pair could be formed), ... */
} torc_ice_output;
bool torc_ice_poll(torc_ice *ice, torc_ice_output *out);

/* For people and tests: state of a session, counters (discarded, checks sent, triggered, role
 * switches, pairs pruned, candidates refused, consent...). */
void torc_ice_counters(const torc_ice *ice, void *ctx,
                       void (*each)(void *ctx, const char *name, uint64_t value));
#endif
