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
  size_t payload_len;
  torc_done done;  /* FETCH: what is known before that */
  torc_out *event; /* made with the call, so that its end can always be told */
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
/* Writes a fetch_request of the items; FETCH's and REMOVE's [REM-04]. */
int torc_app_specifiers_put(torc_node *n, torc_wr *wr, const torc_id *resource,
                            const torc_fetch_item *items, size_t num) TORC_MUST_CHECK;
/* Starts a FETCH or REMOVE whose answer goes to `done`. */
int torc_app_specified(torc_node *n, uint16_t method, const torc_id *resource,
                       const torc_fetch_item *items, size_t num, torc_reply_fn done,
                       torc_token *token) TORC_MUST_CHECK;

#endif
