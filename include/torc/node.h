/* The sans-I/O node: bytes and time enter by calls, everything leaves by torc_node_poll [D-40].
 *
 * Contract: call one of the input functions, then drain torc_node_poll until it returns false, then
 * wait until torc_node_deadline or the next input. Inputs return 0, or a negative TORC_ERR_* for a
 * failure on this side; what a peer does wrong is counted and traced, never returned. Output is
 * borrowed until the next call on the node. The bytes given to torc_node_input must stay valid
 * until the outputs have been drained: a forwarded message leaves from them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NODE_H
#define TORC_NODE_H

#include "torc/crypto.h"
#include "torc/storage.h"
#include "torc/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct torc_node torc_node;

typedef enum torc_role {
  TORC_ROLE_PEER = 1,  /* full ring member */
  TORC_ROLE_CLIENT = 2 /* connects, stores nothing for others [CLI-01] [CLI-02] */
} torc_role;

/* Kinds of link [ARC-21]; the numbers are the route log's transport codes [LOG-07] [D-22]. */
typedef enum torc_link_kind {
  TORC_LINK_TLS = 1,
  TORC_LINK_DTLS = 2,
  TORC_LINK_WS = 3,
  TORC_LINK_DC = 4
} torc_link_kind;

/* An address as the configuration or the peer cache gives it. */
typedef struct torc_endpoint {
  char host[256]; /* name or literal, NUL-terminated */
  uint16_t port;
  torc_id peer;  /* expected peer-id, or 0 if unknown (bootstrap-peer element) */
  bool is_group; /* a multicast group: the OPEN asks who is there [BST-05] [GAP-69] */
} torc_endpoint;

/* Data model of a type (as in the STORE chapter). */
enum { TORC_TYPE_SINGLE = 1, TORC_TYPE_ARRAY = 2, TORC_TYPE_DICTIONARY = 3 };
/* Access rules; see docs/storage.md. */
enum {
  TORC_RULE_USER_MATCH = 1,
  TORC_RULE_NODE_MATCH = 2,
  TORC_RULE_USER_NODE_MATCH = 3,
  TORC_RULE_NODE_MULTIPLE = 4,
  TORC_RULE_OWN_KEY = 6
};
typedef struct torc_type_def { /* a private type of the overlay configuration, 0xF00000 and up
                                  [GAP-143] */
  uint32_t id;
  char name[64];
  uint8_t model, rule;
  bool findable;
  uint32_t max_values, max_size, max_lifetime_s;
} torc_type_def;

/* Counters that nodes of one thread share: torc_node_counters then gives their sum, but for what is
 * counted of stored data. For simulators. */
typedef struct torc_counters torc_counters;
int torc_counters_new(torc_counters **out, const torc_mem *mem) TORC_MUST_CHECK;
void torc_counters_free(torc_counters *c); /* after the nodes; NULL: nothing */

#define TORC_NODE_CONFIG_INIT \
  { .size = sizeof(torc_node_config) }
typedef struct torc_node_config {
  size_t size;                 /* set by TORC_NODE_CONFIG_INIT; new fields go at the end */
  const torc_mem *mem;         /* borrowed for the node's life; NULL: libc */
  const torc_crypto *crypto;   /* borrowed */
  const torc_log *log;         /* borrowed; may be NULL */
  const torc_backend *backend; /* borrowed; NULL only for clients */
  const char *overlay_name;    /* [ARC-20]; copied */
  const char *algorithm;       /* "chord-128-2-8" [D-12]; copied */
  const char *version_text; /* route log version [LOG-07]; NULL: "torc" and the library's version */
  torc_role role;
  torc_cert *cert;             /* own certificate; the node takes a reference of its own */
  uint8_t signature_algorithm; /* of own signatures: 2 RSA-SHA-256, 3 ECDSA P-256 [D-10] */
  torc_id self;                /* own peer-id, one of cert's */
  const torc_type_def *types;  /* private types; copied */
  size_t num_types;
  const torc_endpoint *bootstrap; /* bootstrap-peer elements; copied */
  size_t num_bootstrap;
  const torc_endpoint *cached; /* peers of earlier runs, most recent first [BST-03]; copied */
  size_t num_cached;
  bool may_found;                       /* own address is one of the bootstrap peers */
  uint8_t initial_ttl;                  /* 0: 100 [GAP-13] */
  uint32_t max_message;                 /* body bytes, 0: 131072 [GAP-131] */
  torc_time t1;                         /* 0: 500 ms [RTX-02] [GAP-62] */
  torc_time update_period, ping_period; /* 0: 600 s, 3600 s [CHD-39] [CHD-44] */
  torc_time deletion_delay;             /* 0: 60 s [GAP-119] */
  torc_time replica_wait;               /* 0: 2 s [D-13] */
  torc_time keepalive;                  /* 0: 30 s idle before a PING [GAP-77] */
  torc_time idle_close;                 /* 0: 300 s [GAP-162] */
  uint32_t max_links;                   /* 0: 256 [GAP-162]; 512 in a full mesh */
  uint32_t max_client_links;            /* 0: 64 [GAP-141] */
  uint32_t max_answer_bytes;            /* 0: 4 MiB, of answers kept for repeated requests [D-24] */
  uint64_t max_stored_bytes;            /* 0: 1 GiB */
  bool compress_via;                    /* list compression [GAP-27]; default off */
  bool hide_topology;                   /* do not append to route logs [GAP-49] */
  bool remove_zero_generation;          /* accept REMOVE with generation 0 [GAP-92]; default off */
  torc_wall wall;                       /* wall time at `now` of torc_node_new */
  uint64_t seed;                        /* of jitter and choices; 0: taken from crypto->random */
  bool is_lean; /* for simulators: links keep neither traffic counters nor a local address */
  torc_counters *counters; /* borrowed; where it counts, NULL: apart from every other node */
  bool keep_certificate;   /* store the own certificate in the overlay and look after it [CRT-02] */
  /* A shared-key overlay [SEC-08]: the links know who is a member, nothing is signed, and everybody
   * may write everything. `cert` says no more than the own peer-id; signature_algorithm and
   * keep_certificate do not count. */
  bool is_shared_key;
} torc_node_config;

/* Creates a node; nothing is sent before torc_node_start. On failure *why (if not NULL) points to a
 * static sentence. TORC_ERR_CONFIG: algorithm, types or names are not usable. TORC_ERR_NOMEM,
 * TORC_ERR_IO (backend). */
int torc_node_new(torc_node **out, const torc_node_config *cfg, torc_time now,
                  const char **why) TORC_MUST_CHECK;
void torc_node_free(torc_node *n);

/* Begins to look for the ring: cached peers, then bootstrap peers [BST-01]. */
int torc_node_start(torc_node *n, torc_time now) TORC_MUST_CHECK;
/* Leaves cleanly; EVENT_LEFT follows within 3 s [LEA-01] [GAP-118]. */
int torc_node_leave(torc_node *n, torc_time now) TORC_MUST_CHECK;
/* Wall time has been set anew: it is `wall` at `now`. */
void torc_node_set_wall(torc_node *n, torc_wall wall, torc_time now);

/* What of a configuration may change while the node runs [GAP-130]: types, bootstrap, may_found,
 * initial_ttl, max_message, t1, update_period, ping_period, deletion_delay, replica_wait,
 * keepalive, idle_close, remove_zero_generation. The other fields of `cfg` are not looked at, links
 * and stored values stay. A new period counts from the next time on. A type that is there may
 * change in all but id, data model and access rule, and none may be missing: values are stored
 * under them. On failure
 * nothing has changed (TORC_ERR_NOMEM: perhaps the types have, which a repetition puts right).
 * TORC_ERR_CONFIG: *why says which type; TORC_ERR_LIMIT: changed 16 times within an hour. */
int torc_node_reconfigure(torc_node *n, const torc_node_config *cfg, torc_time now,
                          const char **why) TORC_MUST_CHECK;
/* The own certificate has been renewed: from now on the node signs with `cert`, of which it takes a
 * reference of its own, stores it in the overlay and shows it to those it meets [ENR-38]; the one
 * before stays where it is stored. Jobs to sign name the certificate to sign for, which for those
 * under way is the old one. The same certificate again changes nothing. TORC_ERR_CONFIG: it is not
 * for the peer-id this node runs as. TORC_ERR_STATE: renewed less than a minute ago (and 64*T1), or
 * a shared-key overlay. TORC_ERR_NOMEM. *why (if not NULL) says what. */
int torc_node_renew(torc_node *n, torc_cert *cert, uint8_t signature_algorithm, torc_time now,
                    const char **why) TORC_MUST_CHECK;
/* Stages of a move from one ring to another, as the overlay configuration names them [D-19]
 * [MIG-01..05]. */
typedef enum torc_migration_stage {
  TORC_MIGRATION_NONE = 0,      /* one ring */
  TORC_MIGRATION_FETCH_OLD = 1, /* writes go to both rings, all else to the first */
  TORC_MIGRATION_FETCH_NEW = 2, /* writes go to both; all else to the second, and if that fails to
                                   the first */
  TORC_MIGRATION_NEW_ONLY = 3   /* the second; the first is left */
} torc_migration_stage;

/* Runs a second ring beside the node's own, over the same links, or goes on to another stage. Of
 * `cfg` count overlay_name (another one), algorithm, backend (one of its own, borrowed until the
 * second ring has been left), types, bootstrap, cached, may_found, and all numbers; the rest is as
 * in the node. Called again it changes in the second ring what torc_node_reconfigure would; name
 * and algorithm must be the same. NONE: the second ring is left and given up, cfg may be NULL.
 * NEW_ONLY: the first ring is left once what this peer answers for in it has been stored in the
 * second, and the node is from then on one of the second, with no way back. TORC_ERR_STATE: a ring
 * is still being left, or was; TORC_ERR_CONFIG, TORC_ERR_LIMIT as for torc_node_new and
 * torc_node_reconfigure, *why (if not NULL) says what. */
int torc_node_migrate(torc_node *n, const torc_node_config *cfg, torc_migration_stage stage,
                      torc_time now, const char **why) TORC_MUST_CHECK;

typedef struct torc_migration_view {
  torc_migration_stage stage;
  const char *old_state, *new_state; /* as torc_node_view's state; "none": there is no such ring */
  uint64_t carried;                  /* elements stored in the second ring for their owners */
  uint64_t refused; /* what it did not take: it has newer ones, or only the owner may store it */
  uint64_t failed;  /* no answer: tried again with the next round */
  uint64_t rounds;  /* times that everything was gone through */
  bool is_carrying; /* a round is under way */
  uint64_t retried; /* calls that the second ring failed and the first one took */
} torc_migration_view;
void torc_node_get_migration(const torc_node *n, torc_migration_view *out);

/* Whether JOINs are refused with 503: by a peer whose configuration is long out of date [GAP-130].
 */
void torc_node_refuse_joins(torc_node *n, bool on);

/* ---- inputs from the platform ---- */

int torc_node_input(torc_node *n, torc_link_id link, torc_slice data,
                    torc_time now) TORC_MUST_CHECK;
int torc_node_tick(torc_node *n,
                   torc_time now) TORC_MUST_CHECK; /* early, late or repeated: all harmless */
torc_time torc_node_deadline(const torc_node *n);  /* TORC_NEVER when idle */
int torc_node_job_done(torc_node *n, torc_token job, const torc_job_result *result,
                       torc_time now) TORC_MUST_CHECK;

/* A link stands: the peer at the other end has proved `peer` with a certificate that chains to the
 * overlay [TLS-06] [TLS-08]. `cert`: one reference passes to the node, also on failure. */
typedef struct torc_link_info {
  torc_link_kind kind;
  torc_id peer;
  torc_cert *cert;
  torc_token token;       /* the OPEN or CONNECT it answers; 0: the other side dialled */
  uint8_t local_addr[18]; /* ip_address_and_port for the route log: IPv4-mapped or IPv6 address,
                             port; [LOG-07] */
  bool is_dialled;        /* this side dialled: the other one learns of the link a moment later */
  bool by_connect;        /* made by a CONNECT, */
  bool is_requester;      /* which this side sent */
  /* The longest message that it carries in one piece; a node uses what of it is a multiple of 4, up
   * to 262,140. 0: any, for it is a stream. */
  uint32_t mtu;
} torc_link_info;
int torc_node_link_up(torc_node *n, torc_link_id link, const torc_link_info *info,
                      torc_time now) TORC_MUST_CHECK;
int torc_node_link_down(torc_node *n, torc_link_id link, torc_time now) TORC_MUST_CHECK;
/* What the link carries in one piece has changed: see torc_link_info. Counts for what is sent from
 * now on; longer messages go in fragments [FRG-02]. */
int torc_node_link_mtu(torc_node *n, torc_link_id link, uint32_t mtu,
                       torc_time now) TORC_MUST_CHECK;
/* The OPEN or CONNECT `token` has failed for good. */
int torc_node_open_failed(torc_node *n, torc_token token, int rc, torc_time now) TORC_MUST_CHECK;
/* Back-pressure: while congested, messages that would only be forwarded to this link are dropped
 * and counted. */
int torc_node_link_congested(torc_node *n, torc_link_id link, bool congested,
                             torc_time now) TORC_MUST_CHECK;

/* ICE parameters of one side as CONNECT carries them [CON-04]. Strings NUL-terminated; borrowed for
 * the call. */
#define TORC_CANDIDATES_MAX 32
typedef struct torc_connect_params {
  char ufrag[257], password[257];
  char fingerprint[256];
  char role[16];
  uint16_t application;
  size_t num_candidates;
  const char *candidates[TORC_CANDIDATES_MAX];
} torc_connect_params;
/* Local parameters for the OFFER_NEEDED or ANSWER_NEEDED `token`. For an answer `refuse` may be a
 * response code (403, 503, 404, 400) instead of 0; then params is ignored. */
int torc_node_offer_ready(torc_node *n, torc_token token, const torc_connect_params *params,
                          torc_time now) TORC_MUST_CHECK;
int torc_node_answer_ready(torc_node *n, torc_token token, const torc_connect_params *params,
                           uint16_t refuse, torc_time now) TORC_MUST_CHECK;
/* The connection that a CONNECT or ACCEPT of an application asked for stands, with the peer at the
 * other end that info->peer and info->cert name, proved as for a link. It is no link: the node gets
 * none of its bytes. info->cert: one reference passes to the node, also on failure; info->token
 * does not count. TORC_ERR_NOTFOUND: the node has given it up; TORC_ERR_DENIED: it is with another
 * peer; TORC_ERR_NOMEM. After a failure the platform cuts it and says no more of it. */
int torc_node_connection_up(torc_node *n, torc_token token, const torc_link_info *info,
                            torc_time now) TORC_MUST_CHECK;
/* Such a connection has ended. rc 0: both sides ended it in good order; TORC_ERR_CLOSED: it was
 * cut; others: why. */
int torc_node_connection_down(torc_node *n, torc_token token, int rc,
                              torc_time now) TORC_MUST_CHECK;

/* Peers to ask first when the ring is looked for the next time, in place of those given at the
 * creation [BST-03]; copied, at most 64 with the bootstrap peers. TORC_ERR_NOMEM: nothing changed.
 */
int torc_node_set_cached(torc_node *n, const torc_endpoint *cached,
                         size_t num_cached) TORC_MUST_CHECK;

/* Somebody answered at the group of an OPEN: dialled after what else is to be dialled in this
 * round, and believed once the link stands and a PING was answered [GAP-69]. The OPEN itself ends
 * with open_failed once no more answers are awaited. TORC_ERR_STATE: the ring is not being looked
 * for, or four are known; TORC_ERR_EXISTS: known already. */
int torc_node_discovered(torc_node *n, const torc_endpoint *at, torc_time now) TORC_MUST_CHECK;

/* Makes the link to a linked peer anew with a CONNECT [GAP-74], whose answer says where the peer
 * can be dialled: a peer that was only ever dialled knows no such address [BST-09].
 * TORC_ERR_NOTFOUND: no link to it. */
int torc_node_renew_link(torc_node *n, const torc_id *peer, torc_time now) TORC_MUST_CHECK;

/* ---- outputs ---- */

typedef enum torc_output_kind {
  TORC_OUT_SEND = 1,          /* send head ++ body as one message or fragment on `link` */
  TORC_OUT_OPEN = 2,          /* dial `endpoint`; answer with link_up or open_failed and `token` */
  TORC_OUT_CLOSE = 3,         /* close `link` once what was sent is flushed */
  TORC_OUT_JOB = 4,           /* do `job` */
  TORC_OUT_OFFER_NEEDED = 5,  /* give local parameters for `token`; peer: whom it is for, or 0 */
  TORC_OUT_ANSWER_NEEDED = 6, /* `remote` offers from `peer`; give local parameters or refuse */
  TORC_OUT_CONNECT = 7,       /* the answer came: `remote`, expect `peer`; make the link */
  TORC_OUT_ACCEPT = 8, /* the answer to `token` was sent: make or await the link from `peer` */
  TORC_OUT_EVENT = 9,
  TORC_OUT_CANCEL = 10 /* nothing will come of `token`, for which parameters were given */
} torc_output_kind;

typedef enum torc_event_kind {
  TORC_EVENT_JOINED = 1,       /* full member, or client attached */
  TORC_EVENT_DISCONNECTED = 2, /* looking for the ring again */
  TORC_EVENT_LEFT = 3,
  TORC_EVENT_DONE = 4,      /* the application call `token` has ended */
  TORC_EVENT_TUNNEL = 5,    /* a TUNNEL message arrived */
  TORC_EVENT_LINK = 6,      /* a link came up or went down: cache candidates changed [BST-09] */
  TORC_EVENT_CONNECTION = 7 /* an application's connection stands, has ended or could not be made */
} torc_event_kind;

/* One value of a FETCH. */
typedef struct torc_value {
  uint32_t type;
  uint64_t generation;
  bool exists;
  int32_t index;  /* arrays */
  torc_slice key; /* dictionaries */
  torc_slice value;
  uint32_t storage_time, lifetime_s;
  const torc_cert
      *signer;          /* verified: who signed the value [SEC-14]; NULL in a shared-key overlay */
  uint32_t num_holders; /* how many of those that answered gave exactly this */
} torc_value;

/* How an application call ended. rc 0: answered with code 200. TORC_ERR_REFUSED: `code` says what
 * the peer answered and `phrase` why. TORC_ERR_TIMEOUT: no answer within 64*T1 [RTX-02]; code is
 * then 408. TORC_ERR_CRYPTO: an answer came whose signature or values do not verify. */
typedef struct torc_done {
  int rc;
  uint16_t code;
  torc_slice phrase;
  torc_id responder;
  torc_time elapsed;
  size_t num_generations; /* STORE, REMOVE: per type; also with 412 */
  struct {
    uint32_t type;
    uint64_t generation;
  } generations[8];
  const torc_value *values; /* FETCH */
  size_t num_values;
  size_t num_rejected; /* FETCH: values that did not verify, left out */
  uint32_t num_asked;  /* torc_node_fetch_replicas: holders that answered, with values or without */
  bool is_rollback;    /* FETCH: a value older than one seen before [FET-17] */
  torc_id found[8];    /* FIND: per type asked */
  size_t num_found;
  uint64_t response_id;                    /* PING */
  uint32_t responsible_ppb, num_resources; /* PING, if asked and answered; else UINT32_MAX */
  torc_slice route_log;                    /* entries, if asked for */
} torc_done;

typedef struct torc_event {
  torc_event_kind kind;
  torc_token token;
  torc_done done; /* DONE */
  torc_id peer;   /* TUNNEL: sender; LINK, CONNECTION */
  bool is_up;     /* LINK, CONNECTION */
  uint16_t application;
  torc_slice dialog_id, pdu; /* TUNNEL */
  /* CONNECTION: `token` names it; done.elapsed is its age. Not up: done.rc is 0 if both sides ended
   * it in good order, else why, with code and phrase if the peer refused it. */
  bool is_incoming;      /* CONNECTION: the peer asked for it */
  const torc_cert *cert; /* CONNECTION that is up, TUNNEL: the peer's, verified; NULL in a
                            shared-key overlay, where members are not told apart [GAP-83] */
} torc_event;

typedef struct torc_output {
  torc_output_kind kind;
  torc_link_id link;
  torc_slice head, body;
  torc_token token;
  torc_id peer;
  uint16_t application; /* OFFER_NEEDED, ANSWER_NEEDED, CONNECT, ACCEPT; TORC_APPLICATION_RELOAD: a
                           link, else a connection of an application */
  torc_job job;         /* JOB */
  torc_endpoint endpoint;     /* OPEN */
  torc_event event;           /* EVENT */
  torc_connect_params remote; /* ANSWER_NEEDED, CONNECT */
} torc_output;

/* The next output, false when there is none. Of job, endpoint, event and remote only those of the
 * output's kind are written. */
bool torc_node_poll(torc_node *n, torc_output *out);

/* ---- application calls; each ends with EVENT_DONE and *token ---- */

typedef struct torc_store_item {
  uint32_t type;
  uint64_t generation; /* expected counter, 0: do not care [STO-19] */
  int32_t index;       /* arrays; -1 appends */
  torc_slice key;      /* dictionaries */
  torc_slice value;
  uint32_t lifetime_s;
  uint32_t storage_time; /* 0: max(now, last known + 1) [GAP-97] */
} torc_store_item;
/* Signs and stores items at one resource, atomically [STO-06]. Items of one type must be adjacent.
 * Everything is copied. */
int torc_node_store(torc_node *n, const torc_id *resource, const torc_store_item *items,
                    size_t num_items, torc_time now, torc_token *token) TORC_MUST_CHECK;

typedef struct torc_fetch_item {
  uint32_t type;
  uint64_t generation;
  int32_t first, last;    /* arrays; 0, -1: all */
  const torc_slice *keys; /* dictionaries; none: all */
  size_t num_keys;
} torc_fetch_item;
int torc_node_fetch(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                    size_t num_items, torc_time now, torc_token *token) TORC_MUST_CHECK;
/* The same, where the answer of the responsible peer fails or is doubted: asks it and the holders
 * of the copies, each to its own peer-id [GAP-90], over several first hops until one way serves,
 * and gives of each value the newest that its owner has signed [GAP-103]. Who holds a value can
 * deny it or give an older one, not forge one. A value that only one holder gives may also have
 * been removed: num_holders beside num_asked tells. At most TORC_ASK_REQUESTS_MAX requests; ends
 * after TORC_ASK_DEADLINE_T1 times T1 at the latest. */
#define TORC_ASK_REQUESTS_MAX 64u
#define TORC_ASK_DEADLINE_T1 24u
int torc_node_fetch_replicas(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                             size_t num_items, torc_time now, torc_token *token) TORC_MUST_CHECK;
int torc_node_remove(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                     size_t num_items, torc_time now, torc_token *token) TORC_MUST_CHECK;
int torc_node_find(torc_node *n, const torc_id *resource, const uint32_t *types, size_t num_types,
                   torc_time now, torc_token *token) TORC_MUST_CHECK;

enum { TORC_CALL_ROUTE_LOG = 1, TORC_CALL_ITERATIVE = 2 };
/* PING along a route of 1..16 ids; asks for responsible set and number of resources. flags:
 * TORC_CALL_*. */
int torc_node_ping(torc_node *n, const torc_id *route, size_t num_route, unsigned flags,
                   torc_time now, torc_token *token) TORC_MUST_CHECK;
/* A direct RELOAD link to `peer` [CON-01]; done when the link stands. */
int torc_node_connect(torc_node *n, const torc_id *route, size_t num_route, torc_time now,
                      torc_token *token) TORC_MUST_CHECK;
/* A direct connection of an application to the peer at the end of `route` [CON-01] [CON-07], which
 * must be exactly that one. Every call makes one of its own. TORC_EVENT_CONNECTION tells when it
 * stands and when it has ended or failed; its bytes are the platform's. TORC_ERR_INVALID: no
 * peer-id, the own one, or an application that is 0 or RELOAD's; TORC_ERR_LIMIT: too many stand or
 * are being made, with this peer or in all. */
int torc_node_connect_application(torc_node *n, const torc_id *route, size_t num_route,
                                  uint16_t application, torc_time now,
                                  torc_token *token) TORC_MUST_CHECK;
/* Take (or do not take any more) connections of an application; others get 404 [GAP-76]. Those that
 * stand stay. At most 16 applications. */
int torc_node_listen_connections(torc_node *n, uint16_t application, bool on) TORC_MUST_CHECK;
/* One application message over the overlay [TUN-01]. Arriving ones are TORC_EVENT_TUNNEL if the
 * application listens. */
int torc_node_tunnel(torc_node *n, const torc_id *route, size_t num_route, uint16_t application,
                     torc_slice dialog_id, torc_slice pdu, torc_time now,
                     torc_token *token) TORC_MUST_CHECK;
/* Listen (or stop) for TUNNEL messages of an application; others get 404. */
int torc_node_listen(torc_node *n, uint16_t application, bool on) TORC_MUST_CHECK;
/* resource-id of a seed: normalised, then hashed [ARC-17] [GAP-108]. */
int torc_node_resource_id(torc_node *n, torc_slice seed, torc_id *out) TORC_MUST_CHECK;
/* Finds a type by name or number in text. TORC_ERR_NOTFOUND. *model: TORC_TYPE_*. */
int torc_node_type(torc_node *n, torc_slice name, uint32_t *id, uint8_t *model) TORC_MUST_CHECK;

/* ---- state for status, metrics and tests ---- */

typedef struct torc_node_link_view {
  torc_link_id link;
  torc_id peer;
  torc_link_kind kind;
  bool is_client, is_routing; /* routing: in the routing table [ARC-15] */
  torc_time idle;
  uint32_t mtu; /* see torc_link_info */
  uint64_t messages_in, messages_out, bytes_in, bytes_out;
  char users[TORC_USER_MAX + 1]; /* first user name of its certificate */
} torc_node_link_view;
size_t torc_node_links(const torc_node *n, torc_node_link_view *out,
                       size_t max); /* number written */

typedef struct torc_node_view {
  torc_id self;
  torc_role role;
  bool is_joined;
  const char *state; /* "starting", "bootstrapping", "joining", "joined", "disconnected", "leaving",
                        "left" */
  bool is_responsible;
  torc_id range_from;
  torc_id predecessors[16], successors[16], fingers[64];
  size_t num_predecessors, num_successors, num_fingers;
  uint32_t num_links, num_client_links, num_resources;
  uint64_t stored_bytes;
  torc_time uptime;
} torc_node_view;
void torc_node_get_view(const torc_node *n, torc_node_view *out);
/* Whether this node itself holds an unexpired element of `resource`, as its owner or as a replica.
 */
bool torc_node_holds(const torc_node *n, const torc_id *resource);

/* Named counters for metrics: calls `each` once per counter, in a fixed order. */
void torc_node_counters(const torc_node *n, void *ctx,
                        void (*each)(void *ctx, const char *name, uint64_t value));
/* What the node holds at present of each thing that others can make grow, and the most that it ever
 * holds of it: for metrics. Calls `each` once per table, in a fixed order. */
typedef void (*torc_node_table_fn)(void *ctx, const char *name, uint64_t held, uint64_t limit);
void torc_node_tables(const torc_node *n, void *ctx, torc_node_table_fn each);

#ifdef __cplusplus
}
#endif
#endif
