/* The inside of a node: what its modules share. Each module is one file; this header lists them in
 * the order a message meets them. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NODE_IMPL_H
#define TORC_NODE_IMPL_H

#include <string.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/slice.h"
#include "base/timer.h"
#include "overlay/node/counters.h"
#include "overlay/node/reassembly.h"
#include "overlay/storage/store.h"
#include "overlay/topology/topology.h"
#include "overlay/usage/usage.h"
#include "torc/node.h"
#include "wire/contents.h"
#include "wire/header.h"
#include "wire/pdu.h"
#include "wire/storage_pdu.h"

/* ---- limits ---- */
#define TORC_NODE_ROUTE_MAX 16       /* entries of a route list that this node originates */
#define TORC_NODE_FORWARD_HEAD 1052u /* header bytes forwarded without allocation: 64 ids */
/* Messages of one link being worked on: more than the platform hands over before it stops reading
 * (512 jobs and one read), so that a burst waits in its socket and is not dropped. */
#define TORC_NODE_INBOUND_PER_LINK 1024u
#define TORC_NODE_INBOUND_MAX 4096u             /* and of all links */
#define TORC_NODE_INBOUND_LINK_BYTES (4u << 20) /* their bytes, of one link */
#define TORC_NODE_INBOUND_BYTES (64u << 20)     /* and of all links */
#define TORC_NODE_ERRORS_PER_SECOND 10u         /* unverified errors per link */
#define TORC_NODE_CONGESTED_SHARE 8192u         /* bytes a second into a congested link, of each */
#define TORC_NODE_LINKS 256u                    /* unless told otherwise [GAP-162] */
#define TORC_NODE_MESH_LINKS 512u               /* in a full mesh: to everybody, and clients */
#define TORC_NODE_CERTS_MAX 1024u               /* certificate cache */
#define TORC_NODE_CERT_AGE TORC_SEC(8 * 3600)   /* [CRT-06] [GAP-52] */
#define TORC_NODE_NAMESAKES_MAX 10u             /* certificates tried for one name */
/* Certificates named by reference are fetched [GAP-52]; nobody makes a node fetch without limit. */
#define TORC_NODE_CERT_FETCHES_MAX 64u          /* under way */
#define TORC_NODE_CERT_FETCHES_PER_LINK 8u      /* of them, caused by messages of one link */
#define TORC_NODE_CERT_FETCHES_PER_SECOND 128u  /* begun */
#define TORC_NODE_CERT_FETCHES_LINK_SECOND 8u   /* and for one link */
#define TORC_NODE_CERT_WAITING_MAX 64u          /* signatures that wait for one of them */
#define TORC_NODE_CERT_FETCH_LIMIT TORC_SEC(10) /* then it has failed */
#define TORC_NODE_CERT_MISSES_MAX 256u          /* places where there was none, remembered */
#define TORC_NODE_CERT_MISS_AGE TORC_SEC(30)
#define TORC_NODE_DUP_AGE_T1 64u       /* duplicates are known for 64*T1 [GAP-63] [D-24] */
#define TORC_NODE_DUP_BYTES (4u << 20) /* memory of cached responses, the default */
#define TORC_NODE_DUP_SHARE 8u         /* one origin may use 1/8 of it [D-24] */
#define TORC_NODE_DUP_SHARE_MIN 2048u  /* but never less */
#define TORC_NODE_DUP_ENTRIES 8192u
#define TORC_NODE_PRIVATE_IDS_MAX 4096u       /* compressed via lists */
#define TORC_NODE_PRIVATE_ID_AGE TORC_SEC(60) /* [GAP-27] */
#define TORC_NODE_TRANS_MAX 8192u             /* requests waiting for an answer */
#define TORC_NODE_SEEN_MAX 1024u              /* storage times remembered [FET-17] [GAP-97] */
#define TORC_NODE_CONNS_MAX 512u              /* CONNECTs in progress */
#define TORC_NODE_CONNS_PER_PEER 4u           /* of them, asked for by one peer */
#define TORC_NODE_LINKS_PER_PEER 8u   /* links of one peer, draining ones too: no CONNECT then */
#define TORC_NODE_APPS_ASKED_MAX 128u /* CONNECTs of applications among those in progress */
#define TORC_NODE_APPS_ASKED_PER_PEER 16u /* of them, asked for by one peer */
#define TORC_NODE_APPS_MAX 512u           /* connections of applications, also those being made */
#define TORC_NODE_APPS_PER_PEER 64u       /* of them, with one peer [GAP-76] */
#define TORC_NODE_CONN_TIMEOUT TORC_SEC(35)
#define TORC_NODE_CONN_SPENT TORC_SEC(10) /* an answered one without a link counts so long */
#define TORC_NODE_COPY_WINDOW 16u         /* requests of one transfer under way */
#define TORC_NODE_TRANSFERS_MAX 64u
/* Those of the transfers, and one to each replica for each write being worked on. */
#define TORC_NODE_COPIES_MAX \
  (TORC_NODE_TRANSFERS_MAX * TORC_NODE_COPY_WINDOW + TORC_NODE_INBOUND_MAX * TORC_REPLICAS_MAX)
#define TORC_NODE_LISTEN_MAX 16u
#define TORC_NODE_REDIRECTS_MAX 16u           /* [GAP-31] */
#define TORC_NODE_DRAIN TORC_SEC(30)          /* an old link is closed by then */
#define TORC_NODE_HANDOVER TORC_SEC(2)        /* the one replaced by a link of one's own dialling */
#define TORC_NODE_BOOTSTRAP_IDLE TORC_SEC(20) /* a way in that is not needed any more */
#define TORC_TOKEN_OPEN ((torc_token)1 << 62) /* set in the tokens of OPEN */
#define TORC_NODE_CROSSING TORC_SEC(5)        /* two links dialled from both ends at once */
#define TORC_NODE_CROSSING_CONNECTS TORC_SEC(20) /* with checks between request and link */
#define TORC_NODE_SURPLUS_CLOSE TORC_SEC(5)      /* */
#define TORC_NODE_FOUND_TRIES 3u                 /* */
#define TORC_NODE_LEARNED_MAX 32u
/* [GAP-45] A fragment leaves so many bytes of its link's mtu free, and has so long a body at least;
 * where its header is too long for that, so many bytes are worth sending. */
#define TORC_NODE_FRAGMENT_SPARE 32u
#define TORC_NODE_FRAGMENT_BODY 256u
#define TORC_NODE_FRAGMENT_LEAST 64u

/* ---- jobs ---- */
typedef struct torc_jobref torc_jobref;
typedef void (*torc_job_fn)(torc_node *n, torc_jobref *j, const torc_job_result *r);
struct torc_jobref {
  torc_job job;
  torc_slice parts[4];
  torc_job_fn done;
  bool is_pending; /* the owner must live until done was called */
};
/* Emits the job; on failure calls nothing and returns the error. */
int torc_job_start(torc_node *n, torc_jobref *j, torc_job_kind kind,
                   torc_job_fn done) TORC_MUST_CHECK;

/* ---- things to do once the current call is through, so that callbacks never nest (node.c) ---- */
typedef void (*torc_defer_fn)(torc_node *n, void *ctx, torc_token cookie, int rc,
                              const torc_id *peer);
typedef struct torc_deferred { /* lies in its owner: what is deferred is never lost */
  torc_list node;
  torc_defer_fn fn;
  void *ctx;
  torc_token cookie;
  int rc;
  torc_id peer;
} torc_deferred;
/* `d` lives until the callback, which may free it. peer: NULL stands for none. */
void torc_defer(torc_node *n, torc_deferred *d, torc_defer_fn fn, void *ctx, torc_token cookie,
                int rc, const torc_id *peer);

/* ---- links (links.c) ---- */
/* What a simulator's node leaves out [torc_node_config.is_lean]. */
typedef struct torc_link_traffic {
  uint64_t messages_in, messages_out, bytes_in, bytes_out;
  torc_addr local;
} torc_link_traffic;

/* There are many in a process that holds many nodes: what every message needs comes first, nothing
 * is larger than its limit wants. */
typedef struct torc_link {
  torc_link_id id;
  torc_id peer;
  uint8_t kind;          /* torc_link_kind */
  bool is_routing : 1;   /* sent an UPDATE or JOIN: no client [GAP-141] */
  bool by_connect : 1;   /* set up by CONNECT */
  bool is_asked : 1;     /* it answers an OPEN or CONNECT */
  bool is_own : 1;       /* this node asked for it: the other end is no client of it */
  bool is_bootstrap : 1; /* and dialled it to find or probe the ring */
  bool is_dialled : 1;   /* by this side, for whatever reason; its CONNECT */
  bool is_draining : 1;  /* replaced by a newer link of the same peer */
  bool is_closing : 1;   /* CLOSE was said */
  bool is_surplus : 1;   /* 65th client */
  bool is_congested : 1;
  bool is_counted_client : 1;
  bool is_pinging : 1;
  bool is_owing : 1;        /* took a request, and nothing has come since */
  uint8_t errors : 4;       /* unverified ones told in this second */
  uint8_t cert_fetches : 4; /* begun for it in this second */
  uint16_t share;           /* bytes of this second that went on into congested links */
  uint16_t num_inbound;     /* messages being worked on */
  uint32_t inbound_bytes;
  uint16_t second;             /* which one "this second" is: the last bits of node time */
  uint16_t mtu_words;          /* see torc_link_mtu */
  torc_time last_in, last_use; /* any message; any message that is no keepalive */
  torc_time up_at;
  torc_time due; /* keepalive, drain, surplus: when the link is to be looked at */
  torc_cert *cert;
  torc_link_traffic traffic[]; /* one, or none in a lean node */
} torc_link;
torc_link *torc_link_find(const torc_node *n, torc_link_id id);
/* The newest link of a peer; NULL if there is none or only draining ones. */
torc_link *torc_link_of_peer(const torc_node *n, const torc_id *peer);
bool torc_link_is_client(const torc_link *l);
/* A request leaves on it: an answer, or anything else, is to come [GAP-77]. */
void torc_link_asked(torc_node *n, torc_link *l);
void torc_link_close(torc_node *n, torc_link *l);
void torc_links_close_all(torc_node *n);
/* Takes one of the link's unverified errors of this second; false: none left [R-30] (respond.c). */
bool torc_link_error_allowed(torc_node *n, torc_link *l);
/* Begins a new second for the link's limits when the last one is over. */
void torc_link_second(const torc_node *n, torc_link *l);
void torc_links_init(torc_node *n, uint64_t seed); /* seed: of hash tables */
void torc_links_clear(torc_node *n);
/* The platform's words; see torc_node_link_up and _down. */
int torc_links_input_up(torc_node *n, torc_link_id id, const torc_link_info *info) TORC_MUST_CHECK;
int torc_links_input_down(torc_node *n, torc_link_id id) TORC_MUST_CHECK;
void torc_link_mark_routing(torc_node *n, torc_link *l);

/* One whole message that came on `l` (input.c). */
void torc_input_message(torc_node *n, torc_link *l, torc_slice msg);

/* ---- messages in parts (fragment.c) ---- */
/* The longest message the link carries in one piece, 0: any. Kept in words of 4 bytes. */
uint32_t torc_link_mtu(const torc_link *l);
void torc_link_set_mtu(torc_link *l, uint32_t mtu);
typedef struct torc_split {
  uint32_t part;  /* body bytes of each part but the last; 0: the message goes as it is */
  uint16_t units; /* offset of the next part */
  bool is_last;   /* the last part ends the message */
} torc_split;
void torc_link_count_out(torc_node *n, torc_link *l, const torc_split *split, size_t head_len,
                         size_t body_len); /* a message sent (links.c) */
/* How a message with `body_len` bytes behind its header goes onto the link [FRG-02] [GAP-45].
 * TORC_ERR_LIMIT: not at all. */
int torc_split_plan(const torc_link *l, const torc_header *h, size_t body_len,
                    torc_split *out) TORC_MUST_CHECK;
size_t torc_split_parts(const torc_split *s, size_t body_len);
/* Gives the next part: head ++ *part; what is behind it stays in *body. The header in `head` is
 * made that of the part. */
void torc_split_next(torc_split *s, uint8_t *head, size_t head_len, torc_slice *body,
                     torc_slice *part);

/* ---- outputs (output.c) ---- */
typedef struct torc_out {
  torc_list node;
  torc_split split; /* SEND: its body has more than one part */
  uint8_t *owned;   /* freed with it */
  char **strings;   /* owned candidate strings */
  size_t num_strings;
  void *extra;       /* freed with it: the values of an event */
  torc_cert **certs; /* references an event's values hold */
  size_t num_certs;
  torc_output o; /* as much of it as its kind needs */
} torc_out;
torc_out *torc_out_new(torc_node *n, torc_output_kind kind); /* NULL: no memory, counted */
/* Bytes of a torc_output that an output of this kind fills. */
size_t torc_out_size(torc_output_kind kind);
void torc_out_push(torc_node *n, torc_out *o);
void torc_out_free(torc_node *n, torc_out *o);
/* A SEND of a message of `len` bytes, to be written to *room, which is freed with it, and pushed by
 * torc_out_sent: its header is `head_len` bytes long. */
torc_out *torc_out_sending(torc_node *n, const torc_link *l, size_t len, uint8_t **room);
void torc_out_sent(torc_node *n, torc_link *l, torc_out *o, size_t head_len,
                   const torc_split *split);
/* The event's certificate: takes a reference of its own, given up with it. TORC_ERR_NOMEM. */
int torc_out_hold(torc_node *n, torc_out *o, torc_cert *cert) TORC_MUST_CHECK;
int torc_out_params(torc_node *n, torc_out *o, const torc_connect_data *c);
void torc_outputs_clear(torc_node *n);

/* ---- where a message goes (route.c) ---- */
typedef enum torc_step_kind { TORC_STEP_HERE, TORC_STEP_FORWARD, TORC_STEP_DROP } torc_step_kind;
typedef struct torc_step {
  torc_step_kind kind;
  torc_link *link; /* FORWARD */
  bool has_entry;
  torc_id entry; /* HERE: last stripped one */
  bool is_exact, is_wildcard;
  torc_slice route; /* what is left, in `room` if expanded */
  bool by_topology; /* FORWARD: chosen by the plug-in, not an exact link */
} torc_step;
/* Walks the route list in the order of GAP-28. `room`: TORC_LIST_MAX ids, used when a private id is
 * expanded. */
void torc_route_step(torc_node *n, torc_slice route, uint8_t *room, torc_step *out);

/* ---- messages for this node that come in parts (fragment.c) ---- */
/* A part of a message for this node that came on `l` [FRG-05]. */
void torc_fragment_take(torc_node *n, torc_link *l, const torc_header *h, torc_slice msg,
                        const torc_step *step);
bool torc_fragments_expire(torc_node *n); /* as torc_dups_expire */
void torc_fragments_clear(torc_node *n);

/* ---- certificates (certs.c) ---- */
typedef void (*torc_cert_fn)(torc_node *n, void *ctx, int rc, torc_cert *cert);
/* Finds the certificate of an identity: inline, link's, cache [GAP-52]. Calls back at once or after
 * a job; cert is borrowed for the callback. rc: 0, TORC_ERR_NOTFOUND (cannot be resolved: 401),
 * TORC_ERR_CRYPTO (refused: 403), others: own failure. Of a name that several certificates bear the
 * others wait in `more`: each may be the one that signed. A reference that leads to nothing here is
 * fetched if `may_fetch` says so (cert_fetch.c); `id` must then live until the callback. */
typedef struct torc_cert_fetch torc_cert_fetch;
typedef struct torc_cert_lookup {
  torc_jobref job;
  torc_cert_fn fn;
  void *ctx;
  torc_cert *more[TORC_NODE_NAMESAKES_MAX - 1];
  size_t num_more;
  bool may_fetch;
  torc_link_id link; /* whose message it is, which pays for a fetch; 0: this node's own */
  const torc_identity *id;
  torc_cert_fetch *fetch; /* what it waits for; NULL: nothing */
  torc_list waiting;
  bool is_retry; /* what was known has not signed it */
} torc_cert_lookup;
void torc_cert_resolve(torc_node *n, torc_cert_lookup *lu, const torc_identity *id,
                       const torc_link *l, torc_cert_fn fn, void *ctx);
/* Of what is known by now: the first certificate an identity of type 1 or 2 may mean, the others go
 * to lu->more; NULL: none. The reference passes to the caller. */
torc_cert *torc_cert_by_reference(torc_node *n, torc_cert_lookup *lu, const torc_identity *id,
                                  const torc_link *l);
/* One of the cache or of a link that stands; borrowed. NULL: not known. */
torc_cert *torc_cert_by_digest(torc_node *n, const uint8_t digest[TORC_DIGEST_LEN]);
/* The next certificate to try, whose reference passes to the caller; NULL: there is none. */
torc_cert *torc_cert_another(torc_cert_lookup *lu);
/* None of those signed it: the owner of the name may have a newer one by now [ENR-38]. True: it is
 * fetched, once, and the lookup calls back again: with one to try, or TORC_ERR_CRYPTO when there is
 * nothing new. */
bool torc_cert_retry(torc_node *n, torc_cert_lookup *lu);
void torc_cert_lookup_clear(torc_node *n, torc_cert_lookup *lu);
void torc_cert_remember(torc_node *n, torc_cert *cert);     /* takes a reference of its own */
void torc_cert_take_over(torc_node *n, const torc_link *l); /* from now on the link remembers its */
void torc_cert_remember_link(torc_node *n, const torc_link *l); /* before it is gone */
torc_cert *torc_cert_ref(torc_cert *c);
void torc_cert_unref(torc_node *n, torc_cert *c);
bool torc_cert_has_peer(const torc_cert *c, const torc_id *peer);
bool torc_cert_has_user(const torc_cert *c, torc_slice user);
bool torc_cert_valid_at(const torc_cert *c, torc_wall t);
void torc_certs_init(torc_node *n, uint64_t seed);
void torc_certs_clear(torc_node *n);

/* ---- certificates that others name by reference (cert_fetch.c) ---- */
/* Fetches what lu->id names and calls lu->fn later [GAP-52] [CRT-01]. TORC_ERR_NOTFOUND: not now,
 * or not at all; nothing will be called. */
int torc_cert_fetch_start(torc_node *n, torc_cert_lookup *lu) TORC_MUST_CHECK;
void torc_cert_fetch_forget(torc_cert_lookup *lu); /* waits no more; no callback */
size_t torc_cert_misses(const torc_node *n);
void torc_cert_fetches_init(torc_node *n, uint64_t seed);
void torc_cert_fetches_clear(torc_node *n);

/* ---- the own certificate (own_cert.c) ---- */
/* What has been signed with the one before is sent and stored within this and 64*T1. */
#define TORC_NODE_RENEW_PAUSE TORC_SEC(60)
typedef struct torc_old_own { /* the one before, for what is under way with it [ENR-38] */
  uint8_t *identity;
  size_t identity_len;
  torc_cert *cert;
  torc_time renewed_at;
} torc_old_own;
int torc_own_cert_init(torc_node *n) TORC_MUST_CHECK; /* of n->cert: the identity as on the wire */
void torc_own_cert_clear(torc_node *n);
/* The own identity of this number; false: it is older than the one before the present one. */
bool torc_own_identity(const torc_node *n, uint8_t number, torc_slice *out);

/* ---- the own certificate in the overlay (cert_keep.c) ---- */
int torc_cert_keep_init(torc_node *n) TORC_MUST_CHECK; /* if the configuration wants it */
void torc_cert_keep_clear(torc_node *n);
void torc_cert_keep_joined(torc_node *n);  /* [CRT-04] a look at every place, soon */
void torc_cert_keep_renewed(torc_node *n); /* likewise */

/* ---- a message for this node on its way through checks and handlers (inbound.c) ---- */
typedef struct torc_inbound torc_inbound;
struct torc_inbound {
  torc_list node;
  uint8_t *msg; /* owned copy; header and contents borrow from it */
  size_t size;  /* of it */
  torc_header hdr;
  torc_contents c;
  torc_link_id link; /* 0: from this node itself */
  torc_id last_hop;  /* authenticated peer-id of the link [TLS-08]; self for local ones */
  bool is_local;
  bool has_entry; /* the last stripped route entry travels along [GAP-26] */
  torc_id entry;
  bool is_exact; /* entry is this peer, the wildcard, or the list was empty on arrival */
  bool is_wildcard;
  torc_cert *signer;
  torc_id signer_peer; /* 0 if the certificate does not tell */
  bool is_replay;      /* a REMOVE replayed by a holder */
  torc_jobref job;
  torc_cert_lookup lookup;
  uint8_t prefix[12];
  struct torc_dup *dup; /* entry made for it; NULL: none */
  torc_deferred local;  /* a message of this node to itself */
  void *state;          /* of the handler, while it waits */
  void (*state_free)(torc_node *n, void *state);
};
/* Shared-key overlay: the peer-id that a message claims to come from, the first entry of its via
 * list, else the link's [GAP-66]; 0 if that is no peer-id. */
torc_id torc_inbound_origin(const torc_inbound *in);
/* Takes a message whose route list is used up. `in` is owned from here on. */
void torc_inbound_start(torc_node *n, torc_inbound *in);
/* Room for one more message of `size` bytes that came on `l`? */
bool torc_inbound_fits(const torc_node *n, const torc_link *l, size_t size);
/* Counts it among those being worked on, until torc_inbound_free. l may be NULL. */
void torc_inbound_hold(torc_node *n, torc_inbound *in, torc_link *l, size_t size);
void torc_inbound_free(torc_node *n, torc_inbound *in);
/* Copies and decodes the message; NULL: no memory, counted. l NULL: from this node itself. */
torc_inbound *torc_inbound_new(torc_node *n, torc_slice msg, const torc_step *step, torc_link *l);
/* The same with memory of the node's that passes to it, also on failure; NULL: none. */
torc_inbound *torc_inbound_take(torc_node *n, uint8_t *msg, size_t len, const torc_step *step,
                                torc_link *l);
void torc_dispatch(torc_node *n, torc_inbound *in); /* verified request: handle_misc.c */

/* ---- stored elements whose signatures are to be checked (verify.c) ---- */
typedef struct torc_verify_batch torc_verify_batch;
typedef void (*torc_verify_fn)(torc_node *n, void *ctx, torc_store_element *elements, size_t num);
/* Takes `elements` (owned array of n->mem, also on failure; data borrowed from memory that `ctx`
 * keeps) and hands it to the callback, which frees it with torc_verify_elements_free; the callback
 * may come before the call returns. `at_storage_time`: dates of the certificate are compared with
 * storage_time only, not with now as well. `stops_at_fault`: behind the first one that is
 * not valid the rest stays TORC_VERDICT_UNRESOLVED, for the first failure decides. `link`:
 * whose message brought them, 0: this node's own call. */
int torc_verify_start(torc_node *n, const torc_id *resource, torc_store_element *elements,
                      size_t num, torc_link_id link, bool at_storage_time, bool stops_at_fault,
                      torc_verify_fn fn, void *ctx);
void torc_verify_elements_free(torc_node *n, torc_store_element *elements, size_t num);

/* ---- duplicates (dup.c) ---- */
typedef struct torc_dup torc_dup;
/* NULL and *is_known false: no memory or limit, go on without. *is_known: a duplicate; then *dup is
 * the entry. */
torc_dup *torc_dup_enter(torc_node *n, const torc_cert *signer, const torc_id *first_via,
                         uint64_t xid, uint16_t method, bool *is_known);
/* The response body (contents and signature), for the caller to free; NULL while the request is
 * being worked on, or for want of memory. */
uint8_t *torc_dup_response(torc_node *n, const torc_dup *d, torc_slice *body);
void torc_dup_finish(torc_node *n, torc_dup *d, torc_slice body);
void torc_dup_drop(torc_node *n, torc_dup *d); /* no response will come */
/* Forgets what is due; true: something is left. */
bool torc_dups_expire(torc_node *n);
void torc_dups_init(torc_node *n, uint64_t seed);
void torc_dups_clear(torc_node *n);

/* ---- signing own contents (sign.c) ---- */
typedef struct torc_signing torc_signing;
/* body: contents and signature, owned by the callee; NULL with rc != 0. */
typedef void (*torc_signed_fn)(torc_node *n, void *ctx, int rc, uint8_t *body, size_t len);
/* Encodes contents, signs them for `xid` [SIG-06] [SIG-09] and calls back, never before returning.
 */
int torc_sign_start(torc_node *n, uint64_t xid, bool is_response, uint16_t code, torc_slice payload,
                    torc_signed_fn fn, void *ctx, torc_signing **out) TORC_MUST_CHECK;
void torc_sign_cancel(torc_signing *s); /* no callback any more */

/* ---- answering (respond.c) ---- */
/* Answers and frees `in`. `payload` is copied. */
void torc_respond(torc_node *n, torc_inbound *in, uint16_t code, torc_slice payload);
/* Answers with an error_response; NULL phrase: the code's own. */
void torc_respond_error(torc_node *n, torc_inbound *in, uint16_t code, const char *phrase,
                        torc_slice info);
/* Sends a ready body along the reversed via list of `in`. */
void torc_respond_body(torc_node *n, const torc_inbound *in, torc_slice body);
/* An error about a message that is not (yet) for this node or not verified; rate-limited. */
void torc_early_error(torc_node *n, torc_link *l, const torc_header *hdr, uint16_t code,
                      torc_slice info);

/* ---- routing (route.c) ---- */
bool torc_route_responsible(const torc_node *n, const torc_id *id);
bool torc_route_next_hop(const torc_node *n, const torc_id *id, torc_id *out);
/* Sends a message of this node: header from the arguments, route list as given, no via list.
 * Delivered locally if the route ends here. TORC_ERR_NOTFOUND: nowhere to send it. */
typedef struct torc_send {
  uint64_t xid;
  uint8_t routing;
  uint16_t flags;
  torc_slice route;
  torc_slice route_log; /* responses [LOG-03] */
  torc_slice body;
  torc_link_id link;   /* not 0: this link, whatever the route */
  bool is_for_another; /* an answer: its way does not end here, whoever is responsible for the id */
  torc_link_id *sent_on; /* not NULL: receives the link it left on, 0 if on none */
} torc_send;
int torc_route_send(torc_node *n, const torc_send *s);
/* Passes a message of somebody else on; `msg` is what `in` was decoded from. */
void torc_route_forward(torc_node *n, torc_link *from, const torc_header *in, torc_slice msg,
                        const torc_step *step);
/* Appends this peer's entry to a copy of `log`; returns the new log in *out (allocated) or the old
 * one [GAP-49]. */
int torc_route_log_append(torc_node *n, torc_slice log, const torc_link *leaving_on,
                          uint8_t **owned, torc_slice *out);

/* ---- private ids (private_id.c) ---- */
int torc_private_id_make(torc_node *n, torc_slice via, const torc_id *last_hop,
                         torc_id *out) TORC_MUST_CHECK;
/* The ids a private id stands for, in route order; false: not one of ours. */
bool torc_private_id_expand(torc_node *n, const torc_id *id, torc_slice *ids);
bool torc_private_ids_expire(torc_node *n); /* as torc_dups_expire */
void torc_private_ids_init(torc_node *n, uint64_t seed);
void torc_private_ids_clear(torc_node *n);

/* ---- requests of this node (trans.c) ---- */
typedef struct torc_trans torc_trans;
typedef struct torc_reply {
  int rc;        /* 0: an answer; else TORC_ERR_TIMEOUT, _CLOSED, _CRYPTO, _NOTFOUND, _NOMEM */
  uint16_t code; /* of the answer; 0 without one */
  torc_slice payload;
  torc_id responder; /* signer's peer-id; 0 if unknown */
  torc_cert *signer; /* borrowed */
  torc_slice route_log;
  bool is_local;
  torc_time elapsed;
} torc_reply;
typedef void (*torc_reply_fn)(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply);
typedef struct torc_request {
  uint16_t method;
  torc_slice payload; /* copied */
  torc_id route[TORC_NODE_ROUTE_MAX];
  size_t num_route;
  torc_link_id
      link; /* send on this link whatever the route; the request fails when the link goes down */
  uint8_t routing;
  uint16_t flags;
  torc_time limit; /* give up after this long; 0: 64*T1 */
  /* A replayed REMOVE: ready contents and signature with a foreign xid [D-14]; payload is ignored.
   */
  bool is_replay;
  uint64_t xid;
  torc_slice contents, signature;
  bool is_certificate; /* asks for certificates: its answer is signed inline [GAP-52] */
  torc_reply_fn done;
  void *ctx;
  torc_token cookie;
} torc_request;
/* Signs and sends. `done` is called exactly once later if 0 is returned (never before the call
 * returns). */
int torc_request_start(torc_node *n, const torc_request *r, torc_trans **out) TORC_MUST_CHECK;
void torc_trans_cancel(torc_node *n, torc_trans *t); /* no callback any more */
/* A response for this node; dropped and counted if no transaction waits for it. */
void torc_trans_response(torc_node *n, torc_inbound *in); /* before verification: owns `in` */
void torc_trans_verified(torc_node *n, torc_inbound *in, int rc);     /* after it: owns `in` */
bool torc_trans_is_certificate(torc_node *n, const torc_inbound *in); /* answers such a request */
/* Checks the message signature of `in`, then calls torc_trans_verified or goes on with a request.
 */
void torc_inbound_verify(torc_node *n, torc_inbound *in);
void torc_trans_link_down(torc_node *n, torc_link_id link);
void torc_trans_foreign(torc_node *n, torc_link *l, const torc_header *hdr,
                        torc_slice msg); /* 498 */
/* Ends one transaction, whichever; false: there is none. For torc_node_free. */
bool torc_trans_fail_one(torc_node *n, int rc);
void torc_transactions_init(torc_node *n, uint64_t seed);
void torc_transactions_clear(torc_node *n);

/* ---- links to make (connect.c) ---- */
typedef void (*torc_connect_fn)(torc_node *n, void *ctx, torc_token cookie, int rc,
                                const torc_id *peer);
int torc_connect_start(torc_node *n, const torc_id *route, size_t num_route, bool is_exact,
                       torc_connect_fn done, void *ctx, torc_token cookie) TORC_MUST_CHECK;
/* See torc_node_renew_link. */
int torc_connect_renew(torc_node *n, const torc_id *peer) TORC_MUST_CHECK;
void torc_connect_request(torc_node *n, torc_inbound *in); /* CONNECT arrived */
/* The platform's parameters; see torc_node_offer_ready and _answer_ready. */
int torc_connect_offer(torc_node *n, torc_token token,
                       const torc_connect_params *params) TORC_MUST_CHECK;
int torc_connect_answer(torc_node *n, torc_token token, const torc_connect_params *params,
                        uint16_t refuse) TORC_MUST_CHECK;
/* token: of the CONNECT that it answers, or 0. */
void torc_connect_link_up(torc_node *n, torc_link *l, torc_token token);
void torc_connect_failed(torc_node *n, torc_token token, int rc);
/* One for an application, see torc_node_connect_application; its end is torc_appconn_ended. */
int torc_connect_application(torc_node *n, const torc_id *route, size_t num_route,
                             uint16_t application, torc_token *token) TORC_MUST_CHECK;
/* Its connection stands, and the CONNECT is over. TORC_ERR_NOTFOUND, TORC_ERR_DENIED: see
 * torc_node_connection_up. */
int torc_connect_app_up(torc_node *n, torc_token token, const torc_id *peer) TORC_MUST_CHECK;
void torc_connects_init(torc_node *n, uint64_t seed);
void torc_connects_clear(torc_node *n);

/* ---- connections of applications (connect_app.c) ---- */
typedef struct torc_applications {
  uint16_t tunnels[TORC_NODE_LISTEN_MAX]; /* whose TUNNEL messages are taken */
  uint16_t num_tunnels;
  uint16_t accepts[TORC_NODE_LISTEN_MAX]; /* whose CONNECTs are answered */
  uint16_t num_accepts;
  torc_map conns; /* token -> struct */
} torc_applications;
/* Whether TUNNEL messages of this application are taken. */
bool torc_app_takes_tunnels(const torc_node *n, uint16_t application);
int torc_app_take_tunnels(torc_node *n, uint16_t application, bool on) TORC_MUST_CHECK;
/* Takes the applications of another ring as this one's own. */
int torc_apps_copy(torc_node *n, const torc_node *from) TORC_MUST_CHECK;
size_t torc_appconns_num(const torc_node *n);
/* Whether CONNECTs with this application are answered at all; RELOAD's are. */
bool torc_appconn_listens(const torc_node *n, uint16_t application);
/* Room for one more with this peer? */
bool torc_appconn_fits(const torc_node *n, const torc_id *peer);
/* The peer asks for one: it counts from now on. */
int torc_appconn_asked(torc_node *n, torc_token token, const torc_id *peer,
                       uint16_t application) TORC_MUST_CHECK;
void torc_appconn_refused(torc_node *n, torc_token token, const torc_reply *reply);
void torc_appconn_ended(torc_node *n, torc_token token, int rc);
/* The bodies of the public functions of similar names. */
int torc_appconn_start(torc_node *n, const torc_id *route, size_t num_route, uint16_t application,
                       torc_token *token) TORC_MUST_CHECK;
int torc_appconn_up(torc_node *n, torc_token token, const torc_link_info *info) TORC_MUST_CHECK;
int torc_appconn_listen(torc_node *n, uint16_t application, bool on) TORC_MUST_CHECK;
void torc_apps_clear(torc_node *n);

/* ---- handlers (handle_*.c) ---- */
void torc_handle_ping(torc_node *n, torc_inbound *in);
void torc_handle_tunnel(torc_node *n, torc_inbound *in);
void torc_handle_store(torc_node *n, torc_inbound *in); /* handle_write.c */
void torc_handle_remove(torc_node *n, torc_inbound *in);
uint16_t torc_write_precheck(const torc_node *n, const torc_inbound *in, const char **phrase);
void torc_handle_fetch(torc_node *n, torc_inbound *in); /* handle_read.c */
void torc_handle_find(torc_node *n, torc_inbound *in);
void torc_handle_topology(torc_node *n, torc_inbound *in); /* topology_host.c */
/* GAP-101 and R-16: a STORE or REMOVE for exactly this peer, on a direct link, from a neighbour
 * that may copy here. */
bool torc_is_copy(const torc_node *n, const torc_inbound *in, const torc_id *resource);

/* ---- replication and hand-over (copy.c) ---- */
typedef void (*torc_copied_fn)(torc_node *n, void *ctx);
/* Sends one STORE or REMOVE to every replica of `resource` and calls back when each has answered or
 * was given up [D-13]. */
int torc_replicate_store(torc_node *n, const torc_id *resource, torc_slice payload,
                         torc_copied_fn fn, void *ctx);
int torc_replicate_remove(torc_node *n, const torc_id *resource, const torc_remove_record *r,
                          torc_copied_fn fn, void *ctx);
int torc_transfer_start(torc_node *n, const torc_id *peer, const torc_id *from, const torc_id *to,
                        torc_token cookie);
void torc_copies_clear(torc_node *n);

/* ---- topology host (topology_host.c) ---- */
int torc_topology_setup(torc_node *n, const torc_node_config *cfg, const char **why);

/* ---- bootstrap (bootstrap.c) ---- */
int torc_bootstrap_setup(torc_node *n, const torc_node_config *cfg) TORC_MUST_CHECK;
/* See torc_node_set_cached. */
int torc_bootstrap_set_cached(torc_node *n, const torc_endpoint *cached,
                              size_t num_cached) TORC_MUST_CHECK;
/* Likewise the bootstrap peers in place of those given before. */
int torc_bootstrap_set_fixed(torc_node *n, const torc_endpoint *fixed,
                             size_t num_fixed) TORC_MUST_CHECK;
void torc_bootstrap_start(torc_node *n);
/* The ring has been found another way. */
void torc_bootstrap_stop(torc_node *n);
void torc_bootstrap_joined(torc_node *n); /* stops, and nobody is held for a bad way in any more */
int torc_bootstrap_discovered(torc_node *n, const torc_endpoint *at) TORC_MUST_CHECK;
void torc_bootstrap_link_up(torc_node *n, torc_link *l, torc_token token);
bool torc_bootstrap_failed(torc_node *n, torc_token token,
                           int rc); /* true: the token was bootstrap's */
void torc_bootstrap_clear(torc_node *n);
int torc_bootstrap_probe(torc_node *n, const torc_id *target, torc_token cookie); /* GAP-124 */
bool torc_bootstrap_learned(torc_node *n, const torc_id *peer, torc_id *through);

/* ---- memory of storage times (seen.c) ---- */
/* Storage time last seen for an element; 0 if none. */
uint32_t torc_seen_get(torc_node *n, const torc_id *resource, torc_type_id type,
                       const torc_entry *e);
void torc_seen_put(torc_node *n, const torc_id *resource, torc_type_id type, const torc_entry *e,
                   uint32_t time);
/* A storage time for a new STORE of the element: now, or just after the last one known or claimed
 * [GAP-97]. */
uint32_t torc_seen_claim(torc_node *n, const torc_id *resource, torc_type_id type,
                         const torc_entry *e, uint32_t now);
void torc_seen_init(torc_node *n, uint64_t seed);
void torc_seen_clear(torc_node *n);

/* ---- application calls (app.c) ---- */
void torc_calls_init(torc_node *n, uint64_t seed);
void torc_calls_clear(torc_node *n);

/* ---- the node ---- */
typedef enum torc_node_phase {
  TORC_PHASE_NEW,
  TORC_PHASE_BOOTSTRAPPING,
  TORC_PHASE_JOINING,
  TORC_PHASE_JOINED,
  TORC_PHASE_DISCONNECTED,
  TORC_PHASE_LEAVING,
  TORC_PHASE_LEFT
} torc_node_phase;

struct torc_bootstrap; /* bootstrap.c */

struct torc_counters {
  const torc_mem *mem;
  torc_node_stats node;
  torc_topology_stats topology;
};

/* The numbers of torc_node_config that count after the creation, defaults filled in. */
typedef struct torc_node_settings {
  torc_time t1, replica_wait, keepalive, idle_close;
  uint32_t max_message, max_links, max_client_links, max_answer_bytes;
  uint8_t initial_ttl;
  bool may_found, compress_via, hide_topology, is_lean, keep_certificate, is_shared_key;
} torc_node_settings;
torc_node_settings torc_node_settings_of(const torc_node_config *c);
/* The types and every text of the configuration that is needed later, in one block: n->type_room,
 * which is not freed before. */
int torc_node_copy_types(torc_node *n, const torc_node_config *cfg, const char **why);

#define TORC_NODE_RETIRED_MAX 16             /* tables of types that were replaced */
#define TORC_NODE_RETIRED_AGE TORC_SEC(3600) /* no request takes longer than 64*T1 */
typedef struct torc_retired {
  torc_type *room;
  torc_time at;
} torc_retired;
/* See torc_node_reconfigure (reconfigure.c). */
int torc_node_change(torc_node *n, const torc_node_config *cfg, const char **why);
/* Frees the tables of types that nothing points into any more (reconfigure.c). */
void torc_retired_clear(torc_node *n, bool all);

struct torc_node {
  /* What every message needs. */
  torc_time now;
  const torc_log *log;
  torc_out *polled; /* borrowed by the caller until the next call */
  torc_list outputs, deferred;
  torc_map links;         /* by id */
  torc_map links_by_peer; /* by peer-id: the newest */
  torc_node_stats *stats;
  uint32_t overlay;
  torc_role role;
  torc_node_phase phase;
  bool is_freeing;    /* nothing new is started any more */
  bool is_retired;    /* its move to another ring is over: only `second` is left */
  uint8_t ring;       /* its number in tokens */
  uint8_t rings_made; /* the number of the last one made beside it */
  torc_node_settings cfg;
  const torc_topology_ops *topo_ops;
  torc_topology *topo;
  struct {                  /* a forwarded message, until it is polled */
    bool is_full, was_used; /* was_used: since the last tidying */
    uint16_t head_len, head_cap;
    uint8_t *head; /* as large as was needed; freed when nothing is forwarded for a while */
    torc_link_id link;
    torc_slice body;
    torc_split split;
  } forward;
  torc_map private_ids;

  const torc_mem *mem;
  const torc_crypto *crypto;
  torc_timers timers;
  torc_rng rng;
  torc_time started;
  torc_time wall_at;
  torc_wall wall_base;
  torc_timer link_timer; /* the earliest of the links' */
  torc_timer tidy_timer; /* armed while there is something to forget */

  torc_id self;
  torc_cert *cert;
  torc_cert *anyone;     /* shared-key overlay: stands for whoever sent or wrote; else NULL */
  uint8_t *own_identity; /* signer_identity with the inline certificate, as on the wire */
  struct torc_old_own *old_own; /* NULL: never renewed */
  uint8_t signature_algorithm;
  uint8_t num_retired;
  uint16_t own_identity_len; /* a certificate has at most TORC_CERT_MAX_BYTES */
  uint8_t identity_number;   /* of own_identity: counts the renewals */
  bool refuses_joins, has_ap, is_rejoining;
  const char *version_text; /* the library's, or texts */
  torc_types types;
  torc_type *type_room;  /* of types, and behind it the texts: names of types, version */
  torc_retired *retired; /* NULL: no table of types was ever replaced */

  torc_topology_host topo_host;
  torc_topology_params topo_params;
  torc_store *store;
  torc_timer expire_timer;
  torc_id ap; /* client: the admitting peer */

  uint32_t num_links, num_client_links;

  torc_token next_token;
  torc_map jobs; /* job id -> torc_jobref */
  torc_list inbounds;
  uint32_t num_inbound;
  size_t inbound_bytes;

  torc_map certs; /* digest -> struct */
  torc_list cert_lru;
  torc_map cert_fetches; /* resource -> struct: under way, or a miss that is remembered */
  torc_list cert_missed; /* the misses, oldest first */
  uint32_t num_cert_active, cert_second, cert_begun; /* begun: in that second of node time */
  struct torc_cert_keep *keep;                       /* NULL: does not keep its certificate */
  torc_map dups, dup_origins;
  torc_list dup_age, dup_harmless; /* the latter go first when memory ends */
  size_t dup_bytes;
  torc_reasm *reasm; /* NULL: no fragment has come for a while */
  uint64_t last_dup_origin;
  torc_list private_age;
  torc_map trans;   /* xid -> torc_trans */
  torc_map replays; /* xid ++ peer -> torc_trans */
  torc_map conns;   /* token -> struct */
  torc_map seen;
  torc_list seen_lru;
  torc_list copies;
  uint32_t num_transfers;
  torc_map calls; /* token -> struct */
  torc_deferred rejoin;
  struct torc_bootstrap *boot;
  struct torc_applications *apps; /* NULL: never had any (connect_app.c) */
  torc_timer leave_timer;
  torc_counters *own_counters; /* NULL: they are the configuration's */

  /* Two rings in one node [D-19] (rings.h). */
  torc_node *second; /* the ring it moves to; owned */
  torc_node *first;  /* of a second ring: the one it moves from */
  struct torc_migration *move;
};

/* What a public call begins and ends with: the time, and what was put off (node.c). */
void torc_node_enter(torc_node *n, torc_time now);
void torc_node_settle(torc_node *n);
/* Frees all that a node holds but the node itself and its counters. */
void torc_node_clear(torc_node *n);

torc_wall torc_node_wall(const torc_node *n);
torc_token torc_node_token(torc_node *n);
void torc_node_set_phase(torc_node *n, torc_node_phase phase);
const char *torc_node_state_name(const torc_node *n);
torc_time torc_node_t1(const torc_node *n);
/* Something was stored that may expire [STO-31]. */
void torc_node_expires(torc_node *n);
/* Something was remembered that is forgotten by itself: see to it that it is. */
void torc_node_untidy(torc_node *n);

#endif
