/* Requests of this node, along a route list of one or more ids [RTG-06] [RTG-07]: end-to-end
 * retransmission and the match of responses [RTX-01..03] [GAP-17] [GAP-23] [GAP-62] [GAP-64].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

#define REPLAY_KEY_LEN (8u + TORC_ID_LEN) /* transaction id ++ peer-id */

struct torc_trans {
  torc_request r; /* payload, contents and signature are not kept here */
  uint64_t xid;
  uint8_t replay_key[REPLAY_KEY_LEN];
  torc_link_id sent_on; /* the link of the last transmission; 0: none yet */
  torc_timer timer;
  torc_time started, interval, limit;
  uint8_t *body; /* contents and signature, byte-identical in every transmission */
  size_t body_len;
  torc_signing *signing;
  int failed;   /* why the timer is to end it */
  bool saw_bad; /* an answer came that did not verify */
  torc_node *node;
};

torc_time torc_node_t1(const torc_node *n) {
  return n->cfg.t1;
}

static void make_replay_key(uint64_t xid, const torc_id *peer, uint8_t key[REPLAY_KEY_LEN]) {
  memcpy(key, &xid, sizeof xid);
  memcpy(key + sizeof xid, peer->b, TORC_ID_LEN);
}

static void unlink_trans(torc_node *n, torc_trans *t) {
  if (t->r.is_replay) {
    (void)torc_map_del(&n->replays, t->replay_key);
  } else {
    (void)torc_map_del(&n->trans, &t->xid);
  }
  torc_timer_stop(&n->timers, &t->timer);
}

static void trans_free(torc_node *n, torc_trans *t) {
  torc_sign_cancel(t->signing);
  torc_free(n->mem, t->body);
  torc_free(n->mem, t);
}

static void finish(torc_node *n, torc_trans *t, torc_reply *reply) {
  reply->elapsed = n->now - t->started;
  TORC_LOG(n->log, TORC_LOG_TRACE, "node:answered", TORC_F_U64("xid", t->xid),
           TORC_F_U64("method", t->r.method), TORC_F_U64("code", reply->code),
           TORC_F_U64("us", reply->elapsed), TORC_F_ERR("why", reply->rc));
  unlink_trans(n, t);
  t->r.done(n, t->r.ctx, t->r.cookie, reply);
  trans_free(n, t);
}

static void fail(torc_node *n, torc_trans *t, int rc) {
  torc_reply reply = {.rc = rc};
  if (rc == TORC_ERR_TIMEOUT) {
    n->stats->timeouts++;
    reply.rc = t->saw_bad ? TORC_ERR_CRYPTO : rc;
    reply.code = TORC_CODE_TIMEOUT; /* [ERR-07] [GAP-64] local only */
  }
  finish(n, t, &reply);
}

static void transmit(torc_node *n, torc_trans *t) {
  torc_send s = {.xid = t->xid,
                 .routing = t->r.routing,
                 .flags = t->r.flags,
                 .route = torc_slice_of(t->r.route, t->r.num_route * TORC_ID_LEN),
                 .body = torc_slice_of(t->body, t->body_len),
                 .link = t->r.link,
                 .sent_on = &t->sent_on};
  int rc = torc_route_send(n, &s);
  if (rc == TORC_ERR_CLOSED || rc == TORC_ERR_LIMIT) { /* LIMIT: too long for the link */
    t->failed = rc;
    torc_timer_arm(&n->timers, &t->timer, n->now);
  } else if (rc != 0) { /* no way now: perhaps at the next retransmission */
    TORC_LOG(n->log, TORC_LOG_DEBUG, "node:no_way", TORC_F_U64("method", t->r.method),
             TORC_F_ERR("why", rc));
  }
}

/* RFC 3261 17.1.2.1: T1 doubling up to T2 = 8*T1, for 64*T1 [RTX-02] [GAP-62]. */
static void on_timer(torc_timer *timer, torc_time now) {
  torc_trans *t = TORC_CONTAINER_OF(timer, torc_trans, timer);
  torc_node *n = t->node;
  torc_time next = 0;
  if (t->failed != 0) {
    fail(n, t, t->failed);
    return;
  }
  if (now >= t->limit) {
    fail(n, t, TORC_ERR_TIMEOUT);
    return;
  }
  if (t->body != NULL) {
    n->stats->retransmissions++;
    transmit(n, t);
    if (t->failed != 0) {
      return;
    }
  }
  t->interval = t->interval * 2 > 8 * n->cfg.t1 ? 8 * n->cfg.t1 : t->interval * 2;
  next = torc_time_add(now, t->interval);
  torc_timer_arm(&n->timers, &t->timer, next < t->limit ? next : t->limit);
}

static void first_transmission(torc_node *n, torc_trans *t) {
  n->stats->requests_sent++;
  TORC_LOG(n->log, TORC_LOG_TRACE, "node:requests", TORC_F_U64("xid", t->xid),
           TORC_F_U64("method", t->r.method), TORC_F_ID("to", &t->r.route[t->r.num_route - 1]));
  transmit(n, t);
}

static void on_signed(torc_node *n, void *ctx, int rc, uint8_t *body, size_t len) {
  torc_trans *t = ctx;
  t->signing = NULL;
  if (rc == 0 && len > TORC_BODY_MAX) { /* [GAP-42] */
    torc_free(n->mem, body);
    rc = TORC_ERR_LIMIT;
  }
  if (rc != 0) {
    t->failed = rc;
    torc_timer_arm(&n->timers, &t->timer, n->now);
    return;
  }
  t->body = body;
  t->body_len = len;
  first_transmission(n, t);
}

static int new_xid(torc_node *n, uint64_t *xid) { /* [GAP-17] */
  do {
    int rc = n->crypto->random(n->crypto->ctx, (uint8_t *)xid, sizeof *xid);
    if (rc != 0) {
      return rc;
    }
  } while (*xid == 0 || torc_map_get(&n->trans, xid) != NULL);
  return 0;
}

static int prepare(torc_node *n, torc_trans *t, const torc_request *r) {
  int rc = 0;
  if (!r->is_replay) {
    rc = new_xid(n, &t->xid);
    if (rc == 0) {
      rc = torc_map_put(&n->trans, t);
    }
    return rc != 0 ? rc
                   : torc_sign_start(n, t->xid, false, r->method, r->payload, on_signed, t,
                                     &t->signing);
  }
  t->xid = r->xid;
  make_replay_key(t->xid, &r->route[0], t->replay_key);
  if (torc_map_get(&n->replays, t->replay_key) != NULL) {
    return TORC_ERR_EXISTS; /* the same REMOVE is on its way there */
  }
  t->body_len = r->contents.len + r->signature.len;
  t->body = torc_alloc(n->mem, t->body_len);
  if (t->body == NULL) {
    return TORC_ERR_NOMEM;
  }
  memcpy(t->body, r->contents.p, r->contents.len);
  memcpy(t->body + r->contents.len, r->signature.p, r->signature.len);
  return torc_map_put(&n->replays, t);
}

int torc_request_start(torc_node *n, const torc_request *r, torc_trans **out) {
  torc_trans *t = NULL;
  int rc = 0;
  if (n->is_freeing) {
    return TORC_ERR_CLOSED;
  }
  if (r->num_route == 0 || r->num_route > TORC_NODE_ROUTE_MAX ||
      n->trans.len + n->replays.len >= TORC_NODE_TRANS_MAX) {
    return TORC_ERR_LIMIT;
  }
  t = torc_calloc(n->mem, 1, sizeof *t);
  if (t == NULL) {
    return TORC_ERR_NOMEM;
  }
  t->r = *r;
  if (t->r.routing == TORC_ROUTING_UNSPECIFIED) {
    t->r.routing = TORC_ROUTING_RECURSIVE; /* [GAP-30] */
  }
  t->node = n;
  t->started = n->now;
  t->interval = n->cfg.t1;
  t->limit = torc_time_add(n->now, r->limit == 0 ? 64 * n->cfg.t1 : r->limit);
  torc_timer_init(&t->timer, on_timer);
  rc = prepare(n, t, r);
  if (rc != 0) {
    if (rc != TORC_ERR_EXISTS) {
      unlink_trans(n, t);
    }
    trans_free(n, t);
    return rc;
  }
  t->r.payload = t->r.contents = t->r.signature = torc_slice_of(NULL, 0);
  torc_time first = torc_time_add(n->now, t->interval);
  torc_timer_arm(&n->timers, &t->timer, first < t->limit ? first : t->limit);
  if (r->is_replay) {
    first_transmission(n, t);
  }
  if (out != NULL) {
    *out = t;
  }
  return 0;
}

void torc_trans_cancel(torc_node *n, torc_trans *t) {
  unlink_trans(n, t);
  trans_free(n, t);
}

/* A direct answer of `in->last_hop` to a replay, else the transaction of that id [HDR-17]. */
static torc_trans *find(torc_node *n, const torc_inbound *in) {
  uint8_t key[REPLAY_KEY_LEN];
  torc_trans *t = NULL;
  if (in->hdr.via.len == 0) {
    make_replay_key(in->hdr.xid, &in->last_hop, key);
    t = torc_map_get(&n->replays, key);
  }
  return t != NULL ? t : torc_map_get(&n->trans, &in->hdr.xid);
}

void torc_trans_response(torc_node *n, torc_inbound *in) {
  if (find(n, in) == NULL) { /* [GAP-23] */
    n->stats->drop_no_transaction++;
    torc_inbound_free(n, in);
    return;
  }
  torc_inbound_verify(n, in);
}

bool torc_trans_is_certificate(torc_node *n, const torc_inbound *in) {
  const torc_trans *t = find(n, in);
  return t != NULL && t->r.is_certificate;
}

static torc_id responder_of(const torc_inbound *in, const torc_node *n) {
  if (in->is_local) {
    return n->self;
  }
  if (n->cfg.is_shared_key) {
    return torc_inbound_origin(in);
  }
  if (in->c.signature.identity.type == TORC_IDENTITY_PEER) {
    return in->c.signature.identity.peer;
  }
  return in->signer->num_peers == 1 ? in->signer->peers[0] : torc_id_zero; /* [GAP-66] */
}

/* [GAP-57] Any member's signed answer counts; who answered is told to the caller. [GAP-164]
 * Whatever a body may hold is taken. */
void torc_trans_verified(torc_node *n, torc_inbound *in, int rc) {
  torc_trans *t = find(n, in);
  if (t == NULL) {
    n->stats->drop_no_transaction++;
  } else if (rc != 0) {
    n->stats->drop_response_bad++;
    t->saw_bad = true; /* somebody on the way may have forged it: the right one may still come */
  } else {
    torc_reply reply = {.code = in->c.code,
                        .payload = in->c.payload,
                        .responder = responder_of(in, n),
                        .signer = in->signer,
                        .route_log = in->hdr.route_log,
                        .is_local = in->is_local};
    n->stats->responses_received++;
    finish(n, t, &reply);
  }
  torc_inbound_free(n, in);
}

/* A 498 of another overlay: matched by transaction id and the link it came on; it cannot be
 * verified. */
void torc_trans_foreign(torc_node *n, torc_link *l, const torc_header *hdr, torc_slice msg) {
  torc_trans *t = torc_map_get(&n->trans, &hdr->xid);
  torc_contents c;
  torc_reply reply = {.code = TORC_CODE_INCOMPATIBLE, .responder = l->peer};
  if (t == NULL || hdr->via.len != 0 || t->sent_on != l->id ||
      torc_contents_decode(&c, torc_slice_sub(msg, hdr->header_len, msg.len - hdr->header_len)) !=
          0 ||
      !c.is_response || c.code != TORC_CODE_INCOMPATIBLE) {
    return;
  }
  reply.payload = c.payload;
  finish(n, t, &reply);
}

void torc_trans_link_down(torc_node *n, torc_link_id link) {
  size_t it = 0;
  torc_trans *t = NULL;
  torc_map *maps[2] = {&n->trans, &n->replays};
  for (size_t i = 0; i < 2; i++) {
    it = 0;
    while ((t = torc_map_next(maps[i], &it)) != NULL) {
      if (t->r.link == link) {
        t->failed = TORC_ERR_CLOSED;
        torc_timer_arm(&n->timers, &t->timer, n->now);
      }
    }
  }
}

bool torc_trans_fail_one(torc_node *n, int rc) {
  size_t it = 0;
  torc_trans *t = torc_map_next(&n->trans, &it);
  it = 0;
  t = t != NULL ? t : torc_map_next(&n->replays, &it);
  if (t != NULL) {
    fail(n, t, rc);
  }
  return t != NULL;
}

void torc_transactions_init(torc_node *n, uint64_t seed) {
  torc_map_init(&n->trans, n->mem, offsetof(torc_trans, xid), sizeof(uint64_t), seed);
  torc_map_init(&n->replays, n->mem, offsetof(torc_trans, replay_key), REPLAY_KEY_LEN, seed);
}

void torc_transactions_clear(torc_node *n) {
  size_t it = 0;
  torc_trans *t = NULL;
  torc_map *maps[2] = {&n->trans, &n->replays};
  for (size_t i = 0; i < 2; i++) {
    it = 0;
    while ((t = torc_map_next(maps[i], &it)) != NULL) {
      torc_timer_stop(&n->timers, &t->timer);
      trans_free(n, t);
    }
    torc_map_clear(maps[i]);
  }
}
