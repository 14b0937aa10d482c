/* Copies to other holders: replication of one write, and hand-over of a range [CHD-07] [CHD-15]
 * [CHD-35] [D-13] [D-14]. Both send STOREs and replayed REMOVEs directly to a peer and repeat what
 * it refuses because its view is behind. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

#define SIGNATURE_ROOM 512u /* RSA with 4096 bits */
#define RETRY_FIRST TORC_MS(50)
#define TRANSFER_LIMIT TORC_SEC(10) /* for one message of a hand-over */

typedef struct copy_op copy_op;
typedef void (*copy_done_fn)(torc_node *n, void *owner, const torc_id *peer, int rc);

/* One message to one peer. */
struct copy_op {
  torc_list node; /* of n->copies */
  torc_node *n;
  torc_id peer;
  bool is_remove;
  bool is_write; /* an owner's, not a hand-over */
  bool is_again; /* under the slots' counters */
  uint64_t xid;
  uint8_t *bytes; /* STORE payload, or contents ++ signature */
  size_t len, contents_len;
  torc_time deadline, delay;
  torc_timer retry;
  torc_trans *trans;
  copy_done_fn done;
  void *owner;
};

static void op_free(torc_node *n, copy_op *op) {
  torc_timer_stop(&n->timers, &op->retry);
  torc_list_remove(&op->node);
  torc_free(n->mem, op->bytes);
  torc_free(n->mem, op);
}

static void op_end(torc_node *n, copy_op *op, int rc) {
  copy_done_fn done = op->done;
  void *owner = op->owner;
  torc_id peer = op->peer;
  op_free(n, op);
  done(n, owner, &peer, rc);
}

/* [GAP-95] [D-14] A peer that took a range over without its data begins its counters anew with the
 * first write. A replica that has the data says so by its own counter: it goes on from there, or a
 * REMOVE would seem older than what it removes to whoever comes back with an old copy. */
static void meet_counters(torc_node *n, const copy_op *op, torc_slice answer) {
  torc_store_request sent;
  torc_store_type type;
  torc_store_type_response r;
  torc_rd types;
  torc_rd counters;
  if (op->is_remove || !op->is_write ||
      torc_store_request_decode(&sent, torc_slice_of(op->bytes, op->len)) != 0) {
    return;
  }
  torc_rd_init(&types, sent.types);
  torc_rd_init(&counters, answer);
  while (torc_store_type_next(&types, &type) && torc_store_type_response_next(&counters, &r) &&
         r.type == type.type) {
    int rc = r.generation <= type.generation
                 ? 0
                 : torc_store_meet_generation(n->store, &sent.resource, r.type, r.generation);
    if (rc != 0) {
      TORC_LOG(n->log, TORC_LOG_ERROR, "store:meet_failed", TORC_F_ERR("why", rc));
    }
  }
}

/* [GAP-95] [D-14] Where a hand-over's elements have arrived at a holder that had none, the slots'
 * counters follow. True: under these the elements go once more. */
static bool raise_counters(torc_node *n, copy_op *op, torc_slice answer) {
  torc_store_request sent;
  torc_store_type type;
  torc_store_type_response r;
  torc_rd types;
  torc_rd counters;
  bool is_raised = false;
  if (op->is_remove || op->is_write || op->is_again ||
      torc_store_request_decode(&sent, torc_slice_of(op->bytes, op->len)) != 0) {
    return false;
  }
  torc_rd_init(&types, sent.types);
  torc_rd_init(&counters, answer);
  while (torc_store_type_next(&types, &type) && torc_store_type_response_next(&counters, &r) &&
         r.type == type.type) {
    uint64_t own = type.generation;
    int rc = r.generation != type.generation
                 ? 0
                 : torc_store_copy_counter(n->store, &sent.resource, r.type, r.generation, &own);
    if (rc == 0 && own > type.generation) {
      /* type, counter, length, values */
      size_t at = (size_t)(type.values.p - op->bytes) - sizeof(uint16_t) - sizeof(uint64_t);
      torc_wr wr;
      torc_wr_init(&wr, op->bytes + at, sizeof(uint64_t));
      torc_wr_u64(&wr, own);
      is_raised = true;
    }
  }
  op->is_again = is_raised;
  return is_raised;
}

static int op_send(torc_node *n, copy_op *op);

/* [GAP-58] [GAP-166] 401: it cannot find the signer of a value that names him by reference, nor
 * would it the next time. Such a value stays behind (TORC_ERR_DENIED), and nothing else waits for
 * it. */
static void on_reply(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  copy_op *op = ctx;
  (void)cookie;
  op->trans = NULL;
  if (reply->rc == 0 && reply->code == TORC_CODE_OK) {
    meet_counters(n, op, reply->payload);
    int rc = 0;
    bool goes_on = raise_counters(n, op, reply->payload);
    if (goes_on) {
      rc = op_send(n, op);
    }
    if (!goes_on || rc != 0) {
      op_end(n, op, rc);
    }
    return;
  }
  if (reply->rc == 0 && reply->code == TORC_CODE_UNAUTHORIZED) {
    TORC_LOG(n->log, TORC_LOG_DEBUG, "copy:left_behind", TORC_F_ID("peer", &op->peer));
    op_end(n, op, TORC_ERR_DENIED);
    return;
  }
  bool is_final = reply->rc != 0 || reply->code == TORC_CODE_BAD_REQUEST ||
                  reply->code == TORC_CODE_TOO_LARGE || reply->code == TORC_CODE_METHOD;
  if (is_final || torc_time_add(n->now, op->delay) >= op->deadline) {
    TORC_LOG(n->log, TORC_LOG_INFO, "copy:given_up", TORC_F_ID("peer", &op->peer),
             TORC_F_U64("code", reply->code), TORC_F_ERR("why", reply->rc));
    op_end(n, op, reply->rc != 0 ? reply->rc : TORC_ERR_REFUSED);
    return;
  }
  torc_timer_arm(&n->timers, &op->retry,
                 torc_time_add(n->now, op->delay)); /* [GAP-101] its view may be behind */
  op->delay *= 2;
}

static int op_send(torc_node *n, copy_op *op) {
  torc_link *l = torc_link_of_peer(n, &op->peer);
  torc_request r = {.method = op->is_remove ? TORC_METHOD_REMOVE : TORC_METHOD_STORE,
                    .num_route = 1,
                    .is_replay = op->is_remove,
                    .xid = op->xid,
                    .done = on_reply,
                    .ctx = op};
  if (l == NULL) {
    return TORC_ERR_CLOSED;
  }
  if (op->is_remove) {
    r.contents = torc_slice_of(op->bytes, op->contents_len);
    r.signature = torc_slice_of(op->bytes + op->contents_len, op->len - op->contents_len);
  } else {
    r.payload = torc_slice_of(op->bytes, op->len);
  }
  r.route[0] = op->peer;
  r.link = l->id;
  r.limit = op->deadline > n->now ? op->deadline - n->now : 1;
  return torc_request_start(n, &r, &op->trans);
}

static void on_retry(torc_timer *t, torc_time now) {
  copy_op *op = TORC_CONTAINER_OF(t, copy_op, retry);
  torc_node *n = op->n;
  (void)now;
  int rc = op_send(n, op);
  if (rc != 0) {
    op_end(n, op, rc);
  }
}

static void replica_done(torc_node *n, void *owner, const torc_id *peer, int rc);

/* Starts one message; on failure `done` is not called. */
static int op_start(torc_node *n, const torc_id *peer, torc_slice a, torc_slice b, bool is_remove,
                    uint64_t xid, torc_time limit, copy_done_fn done, void *owner) {
  copy_op *op = torc_calloc(n->mem, 1, sizeof *op);
  int rc = 0;
  if (op == NULL) {
    return TORC_ERR_NOMEM;
  }
  op->n = n;
  op->peer = *peer;
  op->is_remove = is_remove;
  op->xid = xid;
  op->len = a.len + b.len;
  op->contents_len = a.len;
  op->deadline = torc_time_add(n->now, limit);
  op->delay = RETRY_FIRST;
  op->done = done;
  op->is_write = done == replica_done;
  op->owner = owner;
  torc_timer_init(&op->retry, on_retry);
  torc_list_push_back(&n->copies, &op->node);
  op->bytes = torc_alloc(n->mem, op->len == 0 ? 1 : op->len);
  if (op->bytes == NULL) {
    rc = TORC_ERR_NOMEM;
  } else {
    memcpy(op->bytes, a.p, a.len);
    if (b.len > 0) {
      memcpy(op->bytes + a.len, b.p, b.len);
    }
    rc = op_send(n, op);
    if (rc == TORC_ERR_EXISTS) { /* the same replay is under way: wait for it, then do it again */
      torc_timer_arm(&n->timers, &op->retry, torc_time_add(n->now, op->delay));
      rc = 0;
    }
  }
  if (rc != 0) {
    op_free(n, op);
  }
  return rc;
}

/* Only what waits to be repeated is left when the transactions have been ended. */
void torc_copies_clear(torc_node *n) {
  while (!torc_list_empty(&n->copies)) {
    op_end(n, TORC_CONTAINER_OF(n->copies.next, copy_op, node), TORC_ERR_CLOSED);
  }
}

/* ---- one write to every replica ---- */

typedef struct replication {
  size_t waiting;
  torc_copied_fn fn;
  void *ctx;
} replication;

static void release(torc_node *n, replication *r) {
  r->waiting--;
  if (r->waiting == 0) {
    torc_copied_fn fn = r->fn;
    void *ctx = r->ctx;
    torc_free(n->mem, r);
    fn(n, ctx);
  }
}

static void replica_done(torc_node *n, void *owner, const torc_id *peer, int rc) {
  if (rc != 0) {
    n->stats->replicas_given_up++;
    if (n->topo != NULL && rc != TORC_ERR_DENIED) { /* [GAP-99] repaired by CHD-35 */
      n->topo_ops->on_copy_failed(n->topo, peer);
    }
  }
  release(n, owner);
}

static int replicate(torc_node *n, const torc_id *resource, torc_slice a, torc_slice b,
                     bool is_remove, uint64_t xid, torc_copied_fn fn, void *ctx) {
  torc_id peers[TORC_REPLICAS_MAX];
  size_t num = n->topo_ops->replicas(n->topo, resource, peers);
  replication *r = torc_calloc(n->mem, 1, sizeof *r);
  if (r == NULL) {
    return TORC_ERR_NOMEM;
  }
  r->fn = fn;
  r->ctx = ctx;
  r->waiting = num + 1; /* one held by this function */
  for (size_t i = 0; i < num; i++) {
    int rc = op_start(n, &peers[i], a, b, is_remove, xid, n->cfg.replica_wait, replica_done, r);
    if (rc != 0) {
      replica_done(n, r, &peers[i], rc);
    }
  }
  release(n, r);
  return 0;
}

int torc_replicate_store(torc_node *n, const torc_id *resource, torc_slice payload,
                         torc_copied_fn fn, void *ctx) {
  return replicate(n, resource, payload, torc_slice_of(NULL, 0), false, 0, fn, ctx);
}

int torc_replicate_remove(torc_node *n, const torc_id *resource, const torc_remove_record *rec,
                          torc_copied_fn fn, void *ctx) {
  return replicate(n, resource, rec->contents, rec->signature, true, rec->xid, fn, ctx);
}

/* ---- hand-over of a range ---- */

typedef struct transfer {
  torc_id peer, from, to;
  torc_copy_place place; /* in the resource reached */
  bool is_in_resource;
  torc_token cookie;
  torc_deferred ended;
  size_t busy;
  bool is_walked; /* no resource is left */
  bool is_pumping;
  int rc;
} transfer;

static void pump(torc_node *n, transfer *t);

static void transfer_end(torc_node *n, void *ctx, torc_token cookie, int rc, const torc_id *peer) {
  (void)peer;
  torc_free(n->mem, ctx);
  if (n->topo != NULL) {
    n->topo_ops->on_transfer_done(n->topo, cookie, rc);
  }
}

static void message_done(torc_node *n, void *owner, const torc_id *peer, int rc) {
  transfer *t = owner;
  (void)peer;
  t->busy--;
  if (rc != 0 && rc != TORC_ERR_DENIED && t->rc == 0) {
    t->rc = rc;
  }
  if (!t->is_pumping) {
    pump(n, t);
  }
}

typedef struct copy_ctx {
  torc_node *n;
  transfer *t;
} copy_ctx;

static int copy_store(void *ctx, const torc_id *resource, torc_slice payload) {
  copy_ctx *c = ctx;
  (void)resource;
  int rc = op_start(c->n, &c->t->peer, payload, torc_slice_of(NULL, 0), false, 0, TRANSFER_LIMIT,
                    message_done, c->t);
  if (rc == 0) {
    c->t->busy++;
  }
  return rc;
}

static int copy_remove(void *ctx, const torc_id *resource, uint64_t xid, torc_slice contents,
                       torc_slice signature) {
  copy_ctx *c = ctx;
  (void)resource;
  int rc = op_start(c->n, &c->t->peer, contents, signature, true, xid, TRANSFER_LIMIT, message_done,
                    c->t);
  if (rc == 0) {
    c->t->busy++;
  }
  return rc;
}

/* [GAP-86] [GAP-131] What the overlay allows a message, less what goes around the payload. */
static size_t payload_max(const torc_node *n) {
  size_t around = TORC_CONTENTS_FIXED + 3 + SIGNATURE_ROOM + n->own_identity_len;
  return n->cfg.max_message > around ? n->cfg.max_message - around : 1;
}

/* Starts one more message: of the resource reached, else of the next one. One resource may be more
 * than a link takes at once. TORC_ERR_NOTFOUND: none is left. */
static int next_message(torc_node *n, transfer *t) {
  copy_ctx c = {.n = n, .t = t};
  for (;;) {
    int rc = TORC_ERR_NOTFOUND;
    if (t->is_in_resource) {
      rc =
          torc_store_copy_next(n->store, &t->place, torc_node_wall(n), copy_store, copy_remove, &c);
    }
    if (rc != TORC_ERR_NOTFOUND) {
      return rc;
    }
    torc_id at = t->place.resource;
    t->place = (torc_copy_place){.payload_max = payload_max(n)};
    rc = torc_store_next_resource(n->store, &at, &t->from, &t->to, &t->place.resource);
    if (rc != 0) {
      return rc;
    }
    t->is_in_resource = true;
  }
}

static void pump(torc_node *n, transfer *t) {
  t->is_pumping = true;
  while (!t->is_walked && t->busy < TORC_NODE_COPY_WINDOW) {
    int rc = t->rc == TORC_ERR_CLOSED ? TORC_ERR_NOTFOUND : next_message(n, t);
    t->is_walked = rc != 0;
    if (rc != 0 && rc != TORC_ERR_NOTFOUND) {
      t->rc = rc;
    }
  }
  t->is_pumping = false;
  if (t->is_walked && t->busy == 0) {
    if (t->rc != 0) {
      n->stats->transfer_failures++;
    }
    n->num_transfers--;
    torc_defer(n, &t->ended, transfer_end, t, t->cookie, t->rc, NULL);
  }
}

int torc_transfer_start(torc_node *n, const torc_id *peer, const torc_id *from, const torc_id *to,
                        torc_token cookie) {
  transfer *t = NULL;
  if (torc_link_of_peer(n, peer) == NULL) {
    return TORC_ERR_CLOSED;
  }
  if (n->num_transfers >= TORC_NODE_TRANSFERS_MAX) {
    return TORC_ERR_LIMIT;
  }
  t = torc_calloc(n->mem, 1, sizeof *t);
  if (t == NULL) {
    return TORC_ERR_NOMEM;
  }
  t->peer = *peer;
  t->from = *from;
  t->place.resource = *from;
  t->to = *to;
  t->cookie = cookie;
  n->num_transfers++;
  n->stats->transfers++;
  pump(n, t);
  return 0;
}
