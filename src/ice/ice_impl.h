/* What the files of the ICE agent share. ice.c is the set of sessions and its outputs; the others
 * are one thing each and work on one session.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_IMPL_H
#define TORC_ICE_IMPL_H

#include "base/map.h"
#include "base/rng.h"
#include "base/slice.h"
#include "base/timer.h"
#include "ice/ice.h"
#include "ice/stun_tx.h"

#define TORC_ICE_UFRAG_LEN 8u     /* 48 random bits; RFC 8445 5.3 wants 24 */
#define TORC_ICE_PASSWORD_LEN 24u /* 144; 128 */
#define TORC_ICE_CHECK_ROOM 92u   /* a check without what depends on its user name */
#define TORC_ICE_ANSWER_ROOM 256u
#define TORC_ICE_CONSENT_SLOTS 8u /* requests that may still be answered */
#define TORC_ICE_BUCKETS 256u     /* of addresses that have not answered */
#define TORC_ICE_RETRY TORC_MS(100)
#define TORC_ICE_BUCKET_OPEN                                                                   \
  TORC_SEC(60)                         /* an address that has answered is not limited for this \
                                        */
#define TORC_ICE_PAIRS_PER_ADDRESS 20u /* of one session, with one remote IP address */
#define TORC_ICE_HOPE \
  TORC_SEC(5)                    /* all pairs have failed: the other side's checks may still come */
#define TORC_ICE_REVIVALS_MAX 8u /* of one pair */
#define TORC_ICE_EARLY_MAX 16u   /* checks of one session kept until its parameters are known */
#define TORC_ICE_QUEUED_MAX 64u  /* answers that nobody polled */
#define TORC_ICE_RTO_MIN TORC_MS(500) /* RFC 8445 14.3 */
#define TORC_ICE_RTO_MOST TORC_SEC(2) /* ours: a session has no time for more */

/* clang-format off */
#define TORC_ICE_STATS(X) \
  X(sessions) X(sessions_refused) X(selected) X(failed) X(failed_all_pairs) X(failed_limit) \
  X(locals_refused) X(locals_double) X(remotes_refused) X(remotes_double) X(remotes_beyond) \
  X(names_refused) X(names_asked) X(names_unknown) \
  X(prflx_remote) X(prflx_local) X(prflx_refused) \
  X(pairs) X(pairs_pruned) X(pairs_beyond) X(pairs_crowded) \
  X(checks) X(checks_sent) X(checks_triggered) X(checks_held_back) X(checks_cancelled) X(checks_again) \
  X(checks_succeeded) X(checks_failed) X(checks_timed_out) X(checks_misplaced) X(unreachable) \
  X(nominations) X(role_switches) X(role_conflicts_told) \
  X(requests) X(requests_early) X(requests_early_dropped) X(requests_unproven) \
  X(requests_malformed) X(requests_misplaced) X(requests_unknown) X(indications) X(malformed) \
  X(answers_unknown) X(answers_dropped) \
  X(tcp_connects) X(tcp_failed) X(tcp_accepted) X(tcp_refused) X(tcp_closed) \
  X(consent_sent) X(consent_answered) X(consent_lost) X(no_memory)
/* clang-format on */

typedef struct torc_ice_stats {
#define X(name) uint64_t name;
  TORC_ICE_STATS(X)
#undef X
} torc_ice_stats;

/* What waits for torc_ice_poll. It lies in its owner, so that no event is lost for want of memory.
 */
typedef enum torc_ice_node_kind {
  TORC_ICE_NODE_CHECK,
  TORC_ICE_NODE_DATAGRAM, /* owned by the queue */
  TORC_ICE_NODE_CONNECT,
  TORC_ICE_NODE_CLOSE, /* owned by the queue */
  TORC_ICE_NODE_RESOLVE,
  TORC_ICE_NODE_EVENT
} torc_ice_node_kind;
typedef struct torc_ice_node {
  torc_list link;
  torc_ice_node_kind kind;
} torc_ice_node;

typedef struct torc_ice_session torc_ice_session;
typedef struct torc_ice_pair torc_ice_pair;

/* An answer or a consent request on its way out. */
typedef struct torc_ice_datagram {
  torc_ice_node node;
  torc_ice_id id;
  torc_ice_socket socket;
  torc_addr local, remote;
  size_t len;
  uint8_t bytes[]; /* TORC_ICE_ANSWER_ROOM, or as long as a check */
} torc_ice_datagram;

/* What an answer is found by: begins torc_ice_check and torc_ice_consent_slot. */
typedef struct torc_ice_txn {
  uint8_t txid[TORC_STUN_TXID_LEN]; /* key of ice->txns */
  bool is_consent, is_known;        /* is_known: in the map */
} torc_ice_txn;

/* A connectivity check under way. */
typedef struct torc_ice_check {
  torc_ice_txn txn;
  torc_ice_node node;
  torc_list link; /* ice->checks */
  torc_timer timer;
  torc_ice_session *session;
  torc_ice_pair *pair;
  torc_time sent_at;
  bool was_controlling; /* the role it tells */
  bool is_nominating;
  bool is_quiet;    /* cancelled, RFC 8445 7.3.1.4 */
  bool is_repeated; /* made again when it times out: the other side is there */
  torc_stun_tx tx;
  size_t cap;
  uint8_t room[];
} torc_ice_check;

typedef enum torc_ice_conn_state {
  TORC_ICE_CONN_CONNECTING,
  TORC_ICE_CONN_OPEN,
  TORC_ICE_CONN_CLOSING /* only the queue of outputs has it */
} torc_ice_conn_state;

/* A TCP connection of a session, until it is selected. */
typedef struct torc_ice_conn {
  torc_ice_socket socket; /* key of ice->conns; 0: connecting */
  torc_token token;       /* key of ice->connecting; 0: accepted */
  torc_ice_node node;
  torc_list link; /* session->conns */
  torc_ice_session *session;
  torc_ice_pair *pair; /* may be NULL: the other side's parameters are not known yet */
  torc_ice_id id;      /* for outputs behind the session's end */
  torc_ice_conn_state state;
  bool is_so;
  torc_addr local, remote;
} torc_ice_conn;

/* A name of a remote candidate that is asked for. */
typedef struct torc_ice_name {
  torc_token token; /* key of ice->names */
  torc_ice_node node;
  torc_list link; /* session->names */
  torc_ice_session *session;
  torc_candidate candidate; /* `host` lies in text */
  char text[];
} torc_ice_name;

typedef struct torc_ice_own {
  torc_ice_local l;
  uint32_t priority;
  uint8_t foundation; /* equal ones are equal */
  bool is_gone;       /* its socket is closed */
} torc_ice_own;

typedef struct torc_ice_other {
  torc_addr addr;
  uint32_t priority;
  torc_cand_transport transport;
  torc_cand_type type;
  torc_cand_tcptype tcptype;
  uint8_t foundation; /* index of the first candidate with the same */
  uint8_t own;        /* is_learnt: by a check that came to this local candidate */
  bool is_learnt;
  char text[33]; /* as it was told; "" for peer-reflexive ones */
} torc_ice_other;

typedef enum torc_ice_pair_state {
  TORC_ICE_PAIR_FROZEN,
  TORC_ICE_PAIR_WAITING,
  TORC_ICE_PAIR_IN_PROGRESS,
  TORC_ICE_PAIR_SUCCEEDED,
  TORC_ICE_PAIR_FAILED
} torc_ice_pair_state;

struct torc_ice_pair {
  torc_list link;    /* session->pairs, the best first */
  torc_list trigger; /* session->triggered */
  uint64_t priority;
  uint8_t own, other; /* indexes in the session's candidates */
  torc_ice_pair_state state;
  bool is_triggered_check; /* its check came of the other side's */
  bool has_plain_request;  /* it was checked by the other side without being nominated */
  bool is_named;           /* the other side nominates it */
  bool is_aggressive;      /* and did so at first sight */
  bool will_nominate;      /* the next check does */
  bool was_paid;           /* the address's bucket let it pass */
  uint8_t num_revivals;    /* after having failed */
  torc_ice_check *check, *quiet;
  torc_ice_conn *conn;
  torc_time at;    /* when its last check or connection began */
  torc_time rtt;   /* 0: unknown */
  torc_time guess; /* of it, never less */
  int rc;          /* why it failed */
  torc_addr mapped;
  torc_cand_type mapped_type;
};

typedef enum torc_ice_state {
  TORC_ICE_NEW, /* the other side's parameters are not known */
  TORC_ICE_RUNNING,
  TORC_ICE_SELECTED,
  TORC_ICE_FAILED,
  TORC_ICE_LOST
} torc_ice_state;

/* A check that came before the other side's parameters. */
typedef struct torc_ice_early {
  torc_list link;
  torc_ice_from from;
  uint32_t priority;
  bool is_nominating;
} torc_ice_early;

typedef struct torc_ice_consent_slot {
  torc_ice_txn txn;
  torc_ice_session *session;
} torc_ice_consent_slot;

struct torc_ice_session {
  torc_ice_id id; /* key of ice->sessions */
  char ufrag[TORC_ICE_UFRAG_LEN + 1];
  char password[TORC_ICE_PASSWORD_LEN + 1];
  torc_ice *ice;
  torc_ice_node node; /* an event */
  torc_list ready;    /* ice->ready: has checks to send */
  torc_ice_state state;
  bool is_controlling, had_pair;
  bool has_active[3]; /* by family: the other side connects by TCP */
  uint64_t tie;
  torc_stun_key own_key, peer_key;
  char *username; /* of our requests */
  size_t username_len;
  torc_ice_own *owns;
  torc_ice_other *others;
  size_t num_owns, cap_owns, num_others;
  torc_list pairs, triggered, conns, names, early;
  uint32_t num_pairs, num_conns, num_early, num_prflx;
  torc_ice_pair *nominating;
  torc_time valid_at; /* when the first eligible pair was there; TORC_NEVER: none */
  torc_time limit_at;
  int rc; /* of the last pair that failed; then of the session */
  torc_timer limit, settle, retry, consent;
  /* Selected. */
  torc_ice_pair_info info;
  uint32_t check_priority;
  torc_time consent_at; /* the last proof that the other side wants to hear us */
  torc_ice_consent_slot slots[TORC_ICE_CONSENT_SLOTS];
  uint8_t next_slot;
};

/* First checks towards one address (IPv6: one /64) that has not answered. */
typedef struct torc_ice_bucket {
  torc_time at, open_until;
  uint32_t tokens;
} torc_ice_bucket;

struct torc_ice {
  const torc_mem *mem;
  const torc_stun_crypto *crypto;
  const torc_log *log;
  torc_ice_config cfg;
  torc_time now, next_check; /* pacing */
  torc_timers timers;
  torc_timer pace;
  torc_map sessions, ufrags, txns, conns, connecting, names;
  torc_list out, ready, checks;
  torc_ice_node *told; /* what the last output borrows from; freed with the next */
  uint64_t next_id, next_token;
  uint64_t seed;
  uint32_t num_under_way; /* pairs Waiting or In-Progress, for the first RTO */
  uint32_t num_queued;    /* datagrams in `out` */
  torc_rng rng;
  torc_ice_stats stats;
  torc_ice_bucket buckets[TORC_ICE_BUCKETS];
};

/* ---- ice.c ---- */
torc_ice_session *torc_ice_find(const torc_ice *ice, torc_ice_id id);
/* Queues for torc_ice_poll; a node that is queued already stays where it is. */
void torc_ice_queue(torc_ice *ice, torc_ice_node *node, torc_ice_node_kind kind);
/* Takes `now` in. */
void torc_ice_advance(torc_ice *ice, torc_time now);
/* NULL: no memory or too many undrained; counted. */
torc_ice_datagram *torc_ice_datagram_new(torc_ice *ice, const torc_ice_session *s, size_t cap);

/* ---- candidates.c ---- */
bool torc_ice_same_ip(const torc_addr *a, const torc_addr *b);
/* By the RFCs, TCP above UDP [ICE-19]. */
uint32_t torc_ice_priority(const torc_ice_local *l, torc_cand_type type);
/* The priority a check tells: of a peer-reflexive candidate with this base. */
uint32_t torc_ice_check_priority(const torc_ice_local *l);
/* 0, TORC_ERR_EXISTS (a duplicate), TORC_ERR_LIMIT, TORC_ERR_INVALID, TORC_ERR_NOMEM. */
int torc_ice_own_add(torc_ice_session *s, const torc_ice_local *l) TORC_MUST_CHECK;
void torc_ice_others_add(torc_ice_session *s, const torc_candidate *list, size_t num);
/* A peer-reflexive one; TORC_ICE_NONE: the limit. */
#define TORC_ICE_NONE SIZE_MAX
size_t torc_ice_other_prflx(torc_ice_session *s, const torc_ice_from *from, size_t own,
                            torc_cand_tcptype tcptype, uint32_t priority);
/* A passive and a simultaneous-open candidate may have one address: they are two. */
size_t torc_ice_other_find(const torc_ice_session *s, torc_cand_transport transport,
                           torc_cand_tcptype tcptype, const torc_addr *addr);
/* Which local candidate a datagram came to. */
size_t torc_ice_own_find(const torc_ice_session *s, const torc_ice_from *from, bool is_accepted);
void torc_ice_name_free(torc_ice_name *name);

/* ---- pairs.c ---- */
/* Forms all pairs of the local candidates from `first_own` on with the remote ones from
 * `first_other` on. */
void torc_ice_pairs_form(torc_ice_session *s, size_t first_own, size_t first_other);
/* Pairs that are frozen and need not be: RFC 8445 6.1.2.6 and 6.1.4.2. TORC_NEVER, or when it is to
 * be called again. */
torc_time torc_ice_pairs_thaw(torc_ice_session *s);
/* One pair; `is_asked`: the other side checks it, so it takes the place of one that does not work.
 * NULL: limits or memory. */
torc_ice_pair *torc_ice_pair_add(torc_ice_session *s, size_t own, size_t other, bool is_asked);
torc_ice_pair *torc_ice_pair_find(const torc_ice_session *s, size_t own, size_t other);
torc_ice_pair *torc_ice_pair_at(torc_list *link);
void torc_ice_pair_set(torc_ice_session *s, torc_ice_pair *p, torc_ice_pair_state state);
void torc_ice_pair_fail(torc_ice_session *s, torc_ice_pair *p, int rc);
void torc_ice_pair_free(torc_ice_session *s, torc_ice_pair *p);
/* After the role changed. */
void torc_ice_pairs_sort(torc_ice_session *s);

/* ---- checks.c ---- */
int torc_ice_check_start(torc_ice_session *s, torc_ice_pair *p) TORC_MUST_CHECK;
void torc_ice_check_free(torc_ice_check *c);
void torc_ice_check_answer(torc_ice_check *c, const torc_stun_path *path, const torc_stun_msg *m);
void torc_ice_switch_role(torc_ice_session *s);
/* Writes a Binding request of `s`; crypto errors as they come. */
int torc_ice_request_put(const torc_ice_session *s, torc_wr *wr, uint8_t txid[TORC_STUN_TXID_LEN]);
size_t torc_ice_request_room(const torc_ice_session *s);

/* ---- schedule.c ---- */
void torc_ice_ready(torc_ice_session *s);
void torc_ice_trigger(torc_ice_session *s, torc_ice_pair *p, bool is_first);
void torc_ice_pump(torc_ice *ice);
void torc_ice_on_pace(torc_timer *t, torc_time now);
void torc_ice_on_retry(torc_timer *t, torc_time now);
void torc_ice_bucket_answered(torc_ice *ice, const torc_addr *a);

/* ---- request.c ---- */
int torc_ice_request(torc_ice_session *s, const torc_ice_from *from, const torc_stun_msg *m);
void torc_ice_early_run(torc_ice_session *s);
void torc_ice_early_clear(torc_ice_session *s);

/* ---- tcp.c ---- */
int torc_ice_conn_open(torc_ice_session *s, torc_ice_pair *p) TORC_MUST_CHECK;
torc_ice_conn *torc_ice_conn_accepted(torc_ice_session *s, const torc_ice_from *from);
torc_ice_conn *torc_ice_conn_find(const torc_ice *ice, torc_ice_socket socket);
/* Closes it: CLOSE_TCP follows. */
void torc_ice_conn_close(torc_ice_conn *c);
/* It is the caller's, or gone: nothing follows. */
void torc_ice_conn_forget(torc_ice_conn *c);
/* A connection that belongs to no session. */
void torc_ice_conn_refuse(torc_ice *ice, torc_ice_id id, torc_ice_socket socket);

/* ---- conclude.c ---- */
/* Nominates, selects, or waits: after anything that may allow it. */
void torc_ice_conclude(torc_ice_session *s);
void torc_ice_select(torc_ice_session *s, torc_ice_pair *p);
void torc_ice_fail(torc_ice_session *s, int rc);
/* Fails when no pair may still work and nothing can come from outside. */
void torc_ice_look_for_end(torc_ice_session *s);
void torc_ice_on_settle(torc_timer *t, torc_time now);
void torc_ice_on_limit(torc_timer *t, torc_time now);
/* Everything that only serves finding a pair. */
void torc_ice_drop_work(torc_ice_session *s);

/* ---- consent.c ---- */
void torc_ice_consent_start(torc_ice_session *s);
void torc_ice_on_consent(torc_timer *t, torc_time now);
void torc_ice_consent_answer(torc_ice_consent_slot *slot, const torc_ice_from *from,
                             const torc_stun_msg *m);
void torc_ice_consent_stop(torc_ice_session *s);
void torc_ice_lose(torc_ice_session *s);

#endif
