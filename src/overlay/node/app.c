/* Application calls: their life, and PING, FIND, CONNECT, TUNNEL.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"

/* A peer that has lost everybody else still serves what it holds. */
int torc_call_allowed(const torc_node *n) {
  bool is_alone = n->phase == TORC_PHASE_DISCONNECTED && n->topo != NULL;
  return n->phase == TORC_PHASE_JOINED || n->phase == TORC_PHASE_JOINING || is_alone
             ? 0
             : TORC_ERR_STATE;
}

torc_call *torc_call_new(torc_node *n, uint16_t method) {
  torc_call *c = torc_calloc(n->mem, 1, sizeof *c);
  if (c == NULL) {
    return NULL;
  }
  c->event = torc_out_new(n, TORC_OUT_EVENT);
  if (c->event == NULL) {
    torc_free(n->mem, c);
    return NULL;
  }
  c->node = n;
  c->token = torc_node_token(n);
  c->method = method;
  c->started = n->now;
  if (torc_map_put(&n->calls, c) != 0) {
    torc_out_free(n, c->event);
    torc_free(n->mem, c);
    return NULL;
  }
  return c;
}

void torc_call_free(torc_node *n, torc_call *c) {
  (void)torc_map_del(&n->calls, &c->token);
  for (size_t i = 0; i < c->num_items; i++) {
    torc_free(n->mem, c->items[i].bytes);
    torc_free(n->mem, c->items[i].prefix);
    torc_free(n->mem, c->items[i].signature);
  }
  torc_free(n->mem, c->items);
  torc_free(n->mem, c->payload);
  torc_ask_free(n, c->ask);
  torc_out_free(n, c->event);
  torc_free(n->mem, c);
}

void torc_calls_init(torc_node *n, uint64_t seed) {
  torc_map_init(&n->calls, n->mem, offsetof(torc_call, token), sizeof(torc_token), seed);
}

void torc_calls_clear(torc_node *n) {
  size_t it = 0;
  torc_call *c = NULL;
  while ((c = torc_map_next(&n->calls, &it)) != NULL) {
    torc_call_free(n, c);
  }
  torc_map_clear(&n->calls);
}

void torc_call_done(torc_node *n, torc_call *c, const torc_done *done) {
  torc_event *e = &c->event->o.event;
  e->kind = TORC_EVENT_DONE;
  e->token = c->token;
  e->done = *done;
  e->done.elapsed = n->now - c->started;
  if (c->inner != NULL) {
    c->inner(n, &e->done);
  } else {
    torc_out_push(n, c->event);
    c->event = NULL;
  }
  torc_call_free(n, c);
}

bool torc_call_outcome(torc_node *n, torc_call *c, const torc_reply *reply, torc_done *done) {
  torc_error_response e;
  memset(done, 0, sizeof *done);
  done->rc = reply->rc;
  done->code = reply->code;
  done->responder = reply->responder;
  done->responsible_ppb = UINT32_MAX;
  done->num_resources = UINT32_MAX;
  if (reply->rc != 0) {
    return false;
  }
  if (reply->code == TORC_CODE_OK) {
    return true;
  }
  done->rc = TORC_ERR_REFUSED;
  if (reply->payload.len == 0 || torc_error_response_decode(&e, reply->payload) != 0) {
    return false;
  }
  if (torc_slice_dup(n->mem, e.reason_phrase, &c->event->owned) == 0) {
    done->phrase = torc_slice_of(c->event->owned, e.reason_phrase.len);
  }
  if (reply->code == TORC_CODE_PRECONDITION) { /* [GAP-60] [STO-29] */
    torc_call_generations(e.error_info, done);
  }
  return false;
}

void torc_call_generations(torc_slice run, torc_done *done) {
  torc_store_type_response r;
  torc_rd rd;
  torc_rd_init(&rd, run);
  while (done->num_generations < TORC_ARRAY_LEN(done->generations) &&
         torc_store_type_response_next(&rd, &r)) {
    done->generations[done->num_generations].type = r.type;
    done->generations[done->num_generations].generation = r.generation;
    done->num_generations++;
  }
}

int torc_call_send(torc_node *n, torc_call *c, torc_slice payload, torc_reply_fn done) {
  torc_request r = {
      .method = c->method, .payload = payload, .num_route = 1, .done = done, .ctx = c};
  r.route[0] = c->resource;
  return torc_request_start(n, &r, NULL);
}

/* ---- FIND [FND-01] ---- */

static void on_found(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_call *c = ctx;
  torc_find_result result;
  torc_done done = {0};
  torc_rd rd;
  (void)cookie;
  if (torc_call_outcome(n, c, reply, &done)) {
    torc_rd_init(&rd, reply->payload);
    while (torc_find_result_next(&rd, &result)) {
      for (size_t i = 0; i < c->num_types; i++) {
        if (c->types[i] == result.type) {
          done.found[i] = result.closest;
        }
      }
    }
    done.num_found = c->num_types;
    done.rc = rd.err;
  }
  torc_call_done(n, c, &done);
}

int torc_app_find(torc_node *n, const torc_id *resource, const uint32_t *types, size_t num_types,
                  torc_token *token) {
  uint8_t buf[64];
  torc_wr wr;
  torc_call *c = NULL;
  int rc = torc_call_allowed(n);
  if (rc != 0) {
    return rc;
  }
  if (num_types == 0 || num_types > TORC_ARRAY_LEN(c->types)) {
    return TORC_ERR_INVALID;
  }
  torc_wr_init(&wr, buf, sizeof buf);
  rc = torc_find_request_put(&wr, resource, types, num_types);
  c = rc == 0 ? torc_call_new(n, TORC_METHOD_FIND) : NULL;
  if (c == NULL) {
    return rc != 0 ? rc : TORC_ERR_NOMEM;
  }
  c->resource = *resource;
  c->num_types = num_types;
  memcpy(c->types, types, num_types * sizeof *types);
  *token = c->token;
  rc = torc_call_send(n, c, torc_wr_slice(&wr), on_found);
  if (rc != 0) {
    torc_call_free(n, c);
  }
  return rc;
}

/* ---- PING [PNG-01], also iterative [RTG-03] [GAP-31] [R-04] ---- */

static int ping_send(torc_node *n, torc_call *c, const torc_id *direct);

static void ping_infos(const torc_reply *reply, torc_done *done) {
  torc_ping_response p;
  torc_ping_info info;
  torc_rd rd;
  done->rc = torc_ping_response_decode(&p, reply->payload);
  if (done->rc != 0) {
    return;
  }
  done->response_id = p.response_id;
  torc_rd_init(&rd, p.infos);
  while (torc_ping_info_next(&rd, &info)) {
    if (info.type == TORC_PING_RESPONSIBLE_SET) {
      done->responsible_ppb = info.number;
    } else if (info.type == TORC_PING_NUM_RESOURCES) {
      done->num_resources = info.number;
    }
  }
}

static void call_failed(torc_node *n, torc_call *c, int rc) {
  torc_done done = {.rc = rc, .responsible_ppb = UINT32_MAX, .num_resources = UINT32_MAX};
  torc_call_done(n, c, &done);
}

static void on_redirect_link(torc_node *n, void *ctx, torc_token cookie, int rc,
                             const torc_id *peer) {
  torc_call *c = torc_map_get(&n->calls, &cookie);
  (void)ctx;
  if (c == NULL) {
    return;
  }
  if (rc != 0) { /* [GAP-31] back to recursive */
    c->is_iterative = false;
    peer = NULL;
  }
  rc = ping_send(n, c, peer);
  if (rc != 0) {
    call_failed(n, c, rc);
  }
}

/* Redirects move clockwise inside (answering, target]; one may name a peer at or beyond it,
 * and is the last. */
static int follow(torc_node *n, torc_call *c, const torc_reply *reply) {
  torc_error_response e;
  torc_id route[2];
  const torc_id *target = &c->route[c->num_route - 1];
  if (torc_error_response_decode(&e, reply->payload) != 0 || e.error_info.len != TORC_ID_LEN) {
    return TORC_ERR_FORMAT;
  }
  memcpy(route[1].b, e.error_info.p, TORC_ID_LEN);
  route[0] = reply->responder;
  if (c->is_beyond || ++c->redirects > TORC_NODE_REDIRECTS_MAX) {
    return TORC_ERR_LIMIT;
  }
  if (!torc_id_in_open(&route[1], &route[0], target)) {
    c->is_beyond = true;
  }
  n->stats->redirects_followed++;
  return torc_connect_start(n, route, 2, true, on_redirect_link, NULL, c->token);
}

static void on_pong(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_call *c = ctx;
  torc_done done = {0};
  uint8_t *log = NULL;
  (void)cookie;
  if (reply->rc == 0 && reply->code == TORC_CODE_MOVED && c->is_iterative) {
    int rc = follow(n, c, reply);
    if (rc != 0) {
      call_failed(n, c, rc);
    }
    return;
  }
  if (torc_call_outcome(n, c, reply, &done)) {
    ping_infos(reply, &done);
    if (torc_slice_dup(n->mem, reply->route_log, &log) == 0) {
      c->event->owned = log;
      done.route_log = torc_slice_of(log, reply->route_log.len);
    }
  }
  torc_call_done(n, c, &done);
}

/* `direct`: the linked peer that a redirect named. */
static int ping_send(torc_node *n, torc_call *c, const torc_id *direct) {
  static const uint8_t codes[] = {TORC_PING_RESPONSIBLE_SET, TORC_PING_NUM_RESOURCES};
  uint8_t buf[8];
  torc_wr wr;
  torc_link *l = direct == NULL ? NULL : torc_link_of_peer(n, direct);
  torc_request r = {
      .method = TORC_METHOD_PING, .num_route = c->num_route, .done = on_pong, .ctx = c};
  torc_wr_init(&wr, buf, sizeof buf);
  int rc = torc_ping_request_put(&wr, torc_slice_of(codes, sizeof codes));
  if (rc != 0) {
    return rc;
  }
  r.payload = torc_wr_slice(&wr);
  memcpy(r.route, c->route, c->num_route * sizeof *c->route);
  r.link = l == NULL ? 0 : l->id;
  r.routing = c->is_iterative ? TORC_ROUTING_ITERATIVE : TORC_ROUTING_RECURSIVE;
  r.flags = (c->flags & TORC_CALL_ROUTE_LOG) != 0 ? TORC_FLAG_ROUTE_LOG : 0;
  return torc_request_start(n, &r, NULL);
}

int torc_app_ping(torc_node *n, const torc_id *route, size_t num_route, unsigned flags,
                  torc_token *token) {
  torc_call *c = NULL;
  int rc = torc_call_allowed(n);
  if (rc != 0) {
    return rc;
  }
  if (num_route == 0 || num_route > TORC_NODE_ROUTE_MAX) {
    return TORC_ERR_INVALID;
  }
  c = torc_call_new(n, TORC_METHOD_PING);
  if (c == NULL) {
    return TORC_ERR_NOMEM;
  }
  memcpy(c->route, route, num_route * sizeof *route);
  c->num_route = num_route;
  c->flags = flags;
  c->is_iterative = (flags & TORC_CALL_ITERATIVE) != 0;
  *token = c->token;
  rc = ping_send(n, c, NULL);
  if (rc != 0) {
    torc_call_free(n, c);
  }
  return rc;
}

/* ---- CONNECT ---- */

static void on_linked(torc_node *n, void *ctx, torc_token cookie, int rc, const torc_id *peer) {
  torc_call *c = torc_map_get(&n->calls, &cookie);
  torc_done done = {.rc = rc, .code = rc == 0 ? TORC_CODE_OK : 0};
  (void)ctx;
  if (c != NULL) {
    done.responder = *peer;
    torc_call_done(n, c, &done);
  }
}

int torc_app_connect(torc_node *n, const torc_id *route, size_t num_route, torc_token *token) {
  torc_call *c = NULL;
  int rc = torc_call_allowed(n);
  if (rc != 0) {
    return rc;
  }
  if (num_route == 0 || num_route > TORC_NODE_ROUTE_MAX) {
    return TORC_ERR_INVALID;
  }
  c = torc_call_new(n, TORC_METHOD_CONNECT);
  if (c == NULL) {
    return TORC_ERR_NOMEM;
  }
  *token = c->token;
  rc = torc_connect_start(n, route, num_route, true, on_linked, NULL, c->token);
  if (rc != 0) {
    torc_call_free(n, c);
  }
  return rc;
}

/* ---- TUNNEL [TUN-01] ---- */

static void on_tunnelled(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_done done = {0};
  (void)cookie;
  (void)torc_call_outcome(n, ctx, reply, &done);
  torc_call_done(n, ctx, &done);
}

int torc_app_tunnel(torc_node *n, const torc_id *route, size_t num_route,
                    const torc_tunnel_data *data, torc_token *token) {
  size_t cap = 6 + data->dialog_id.len + data->application_pdu.len;
  torc_request r = {.method = TORC_METHOD_TUNNEL, .num_route = num_route, .done = on_tunnelled};
  uint8_t *buf = NULL;
  torc_wr wr;
  int rc = torc_call_allowed(n);
  if (rc != 0) {
    return rc;
  }
  if (num_route == 0 || num_route > TORC_NODE_ROUTE_MAX) {
    return TORC_ERR_INVALID;
  }
  buf = torc_alloc(n->mem, cap);
  if (buf == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_wr_init(&wr, buf, cap);
  rc = torc_tunnel_put(&wr, data);
  torc_call *c = rc == 0 ? torc_call_new(n, TORC_METHOD_TUNNEL) : NULL;
  if (c == NULL) {
    torc_free(n->mem, buf);
    return rc != 0 ? rc : TORC_ERR_NOMEM;
  }
  r.payload = torc_wr_slice(&wr);
  r.ctx = c;
  memcpy(r.route, route, num_route * sizeof *route);
  *token = c->token;
  rc = torc_request_start(n, &r, NULL);
  torc_free(n->mem, buf);
  if (rc != 0) {
    torc_call_free(n, c);
  }
  return rc;
}
