/* Application calls: what app_*.c share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NODE_APP_H
#define TORC_NODE_APP_H

#include "overlay/node/impl.h"

#define TORC_CALL_ITEMS_MAX 64u

typedef struct torc_call torc_call;

/* One element that is being signed for a STORE. */
typedef struct torc_call_item {
  torc_jobref job;
  torc_call *call;
  torc_type_id type;
  uint64_t generation;
  torc_stored_data data;
  uint8_t *bytes;  /* owned: key and value */
  uint8_t *prefix; /* owned: start of the signed input */
  uint8_t *signature;
} torc_call_item;

/* A call of the application from its start to EVENT_DONE. */
struct torc_call {
  torc_node *node;
  torc_token token;
  uint16_t method;
  torc_time started;
  torc_id resource;
  size_t num_types; /* FIND */
  torc_type_id types[8];
  torc_call_item *items; /* STORE */
  size_t num_items, num_signing;
  int rc;
  uint8_t *payload; /* FETCH: copy of the answer while its values are checked */
  torc_done done;   /* FETCH: what is known before that */
  torc_out *event;  /* made with the call, so that its end can always be told */
  /* Not the application's but the node's own: gets the end in place of the event, its slices
   * borrowed. Nothing may depend on it: torc_node_free does not say it. */
  void (*inner)(torc_node *n, const torc_done *done);
  torc_type_id asked[TORC_CALL_ITEMS_MAX]; /* FETCH, REMOVE */
  size_t num_asked;
  /* iterative PING [GAP-31] */
  bool is_iterative, is_beyond;
  unsigned redirects, flags;
  torc_id route[TORC_NODE_ROUTE_MAX];
  size_t num_route;
  torc_id answering;
  struct torc_ask *ask; /* torc_node_fetch_replicas */
  void (*signed_to)(torc_node *n, torc_token token,
                    torc_slice payload); /* STORE: also told [D-19] */
};

torc_call *torc_call_new(torc_node *n, uint16_t method); /* NULL: no memory or not possible */
void torc_call_free(torc_node *n, torc_call *c);
/* Emits EVENT_DONE, with what c->event holds already, and frees the call. */
void torc_call_done(torc_node *n, torc_call *c, const torc_done *done);
/* Fills rc, code, phrase, responder, elapsed; c->event keeps the phrase. False: no success, all
 * that is to be said is there. */
bool torc_call_outcome(torc_node *n, torc_call *c, const torc_reply *reply, torc_done *done);
void torc_call_generations(torc_slice run, torc_done *done);
/* Sends the request of a call whose payload is ready; `done` gets the call as ctx. */
int torc_call_send(torc_node *n, torc_call *c, torc_slice payload,
                   torc_reply_fn done) TORC_MUST_CHECK;
/* 0 if application calls are possible now, else TORC_ERR_STATE. */
int torc_call_allowed(const torc_node *n) TORC_MUST_CHECK;

/* The bodies of torc_node_find, _ping, ... once the clock has been set. */
int torc_app_find(torc_node *n, const torc_id *resource, const uint32_t *types, size_t num_types,
                  torc_token *token) TORC_MUST_CHECK;
int torc_app_ping(torc_node *n, const torc_id *route, size_t num_route, unsigned flags,
                  torc_token *token) TORC_MUST_CHECK;
int torc_app_connect(torc_node *n, const torc_id *route, size_t num_route,
                     torc_token *token) TORC_MUST_CHECK;
int torc_app_tunnel(torc_node *n, const torc_id *route, size_t num_route,
                    const torc_tunnel_data *data, torc_token *token) TORC_MUST_CHECK;
int torc_app_store(torc_node *n, const torc_id *resource, const torc_store_item *items, size_t num,
                   torc_token *token) TORC_MUST_CHECK;
int torc_app_remove(torc_node *n, const torc_id *resource, const torc_fetch_item *items, size_t num,
                    torc_token *token) TORC_MUST_CHECK;
int torc_app_fetch(torc_node *n, const torc_id *resource, const torc_fetch_item *items, size_t num,
                   torc_token *token) TORC_MUST_CHECK;
int torc_app_fetch_replicas(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                            size_t num, torc_token *token) TORC_MUST_CHECK;
/* Writes a fetch_request of the items; FETCH's and REMOVE's [REM-04]. */
int torc_app_specifiers_put(torc_node *n, torc_wr *wr, const torc_id *resource,
                            const torc_fetch_item *items, size_t num) TORC_MUST_CHECK;
/* Makes a FETCH or REMOVE that is not sent yet, and its payload, which is the caller's to free. */
int torc_app_specify(torc_node *n, uint16_t method, const torc_id *resource,
                     const torc_fetch_item *items, size_t num, torc_call **out, uint8_t **payload,
                     size_t *payload_len) TORC_MUST_CHECK;
/* Starts a FETCH or REMOVE whose answer goes to `done`. */
int torc_app_specified(torc_node *n, uint16_t method, const torc_id *resource,
                       const torc_fetch_item *items, size_t num, torc_reply_fn done,
                       torc_token *token) TORC_MUST_CHECK;

/* ---- what a FETCH answer holds (app_fetch.c) ---- */
typedef struct torc_fetched {
  torc_store_element *elements;
  uint64_t *generations; /* one beside each element: its type's */
  size_t num, cap;
} torc_fetched;
/* Reads an answer to the types of the call; the elements borrow from `payload`. done: gets the
 * generations. On failure `out` is to be cleared as well. */
int torc_fetch_parse(torc_node *n, const torc_call *c, torc_slice payload, torc_fetched *out,
                     torc_done *done) TORC_MUST_CHECK;
void torc_fetched_clear(torc_node *n, torc_fetched *f); /* elements without signers */
/* Absent, or valid and signed by somebody who may write there [SEC-14]. */
bool torc_fetch_acceptable(const torc_node *n, const torc_call *c, const torc_store_element *e);
/* [FET-17] True: a value older than one seen before, a rollback. Else it is remembered. */
bool torc_fetch_note_time(torc_node *n, const torc_call *c, const torc_store_element *e);
void torc_fetch_value(const torc_node *n, const torc_store_element *e, uint64_t generation,
                      torc_value *v);

/* ---- asking the replicas: ask.c, answers in ask_merge.c, ways in ask_way.c ---- */
#define TORC_ASK_SEATS_MAX 8u    /* peers behind the resource that are remembered, nearest first */
#define TORC_ASK_ANSWERS_MAX 12u /* answers kept at once */
#define TORC_ASK_VOTES 2u        /* ways over which the responsible peer has to have answered */
#define TORC_ASK_CLOSINGS 3u     /* answers that tell a client of a ring of one or two peers */
#define TORC_ASK_WAVES_SURE 5u   /* after these as many holders as a value has are enough */
#define TORC_ASK_ATTEMPT_T1 8u   /* one request has so long, times T1 */
#define TORC_ASK_WAVE_T1 2u      /* then what is missing is asked for over the next way */

typedef struct torc_ask torc_ask;
void torc_ask_free(torc_node *n, torc_ask *a);

/* One holder's answer. */
typedef struct torc_ask_answer {
  torc_id from;     /* 0: its certificate does not tell */
  torc_id distance; /* clockwise from the resource; all ones: unknown */
  uint8_t *payload;
  torc_fetched fetched;
  bool is_checked; /* its values have been verified */
} torc_ask_answer;

typedef struct torc_ask_answers {
  torc_ask_answer *list[TORC_ASK_ANSWERS_MAX];
  size_t num, checking;
  size_t num_rejected;
} torc_ask_answers;
/* Copies an answer and has its values checked; `checked` is told when that is done, perhaps before
 * the call returns. TORC_ERR_EXISTS: that peer has answered; TORC_ERR_LIMIT: enough others have. */
int torc_ask_take(torc_node *n, torc_call *c, torc_ask_answers *all, const torc_reply *reply,
                  void (*checked)(torc_node *n, torc_call *c)) TORC_MUST_CHECK;
/* Fills the call's event with the newest value of each place; TORC_ERR_NOMEM. None may be
 * unchecked. */
int torc_ask_merge(torc_node *n, torc_call *c, const torc_ask_answers *all,
                   torc_done *done) TORC_MUST_CHECK;
void torc_ask_answers_clear(torc_node *n, torc_ask_answers *all);

/* How a message gets to a place: over which first hop, and whom it passes. way: 0 is the ordinary
 * one to the first of `by`, or to the place; the next ones have each another first hop, nearest
 * before it first; behind these come ways over some other place of the ring. */
#define TORC_ASK_BY_MAX 3u
typedef struct torc_ask_journey {
  unsigned way;
  size_t num_by;
  torc_id by[TORC_ASK_BY_MAX];
} torc_ask_journey;
/* Sets route, num_route and link of a request. */
void torc_ask_way(torc_node *n, const torc_ask_journey *j, const torc_id *target, torc_request *r);
/* Past a place before it, a third of a `stride` at least and four at most: the peers there know the
 * one at the target, and the last ones before it are passed over. */
void torc_ask_pass_before(torc_node *n, const torc_id *target, const torc_id *stride,
                          torc_ask_journey *j);
/* Past three places behind it, the farthest first, each about half a `stride` from the next: where
 * those before the target do not pass messages on. */
void torc_ask_pass_behind(torc_node *n, const torc_id *target, const torc_id *stride,
                          torc_ask_journey *j);
/* A random id in (from, to); from == to: anywhere. */
torc_id torc_ask_between(torc_node *n, const torc_id *from, const torc_id *to);
/* The distance from one id to the other, divided by `parts`, 1 to 255. */
torc_id torc_ask_part(const torc_id *from, const torc_id *to, unsigned parts);

#endif
