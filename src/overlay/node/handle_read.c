/* FETCH and FIND at this peer; FIND gives ids, never data [FND-11].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

static const torc_slice nothing = {NULL, 0};

/* [GAP-90] A holder that is addressed exactly serves its copy. */
static bool holds_copy(torc_node *n, const torc_inbound *in, const torc_id *resource) {
  torc_id before = torc_id_prev(resource);
  torc_id found;
  return in->is_exact &&
         torc_store_next_resource(n->store, &before, &before, resource, &found) == 0;
}

/* ---- a FETCH in a range that was taken over without its data ---- */

/* Hangs on its inbound message while the holders are asked. */
typedef struct read_op {
  torc_inbound *in;
  torc_buf best; /* payload of the answer */
  size_t waiting;
} read_op;

static void op_free(torc_node *n, void *state) {
  read_op *op = state;
  torc_buf_clear(&op->best);
  torc_free(n->mem, op);
}

/* The first element of the next type: a long one is repeated [GAP-86]. */
static bool next_type(torc_rd *rd, torc_fetch_response *r) {
  torc_type_id last = r->type;
  while (torc_fetch_response_next(rd, r)) {
    if (r->type != last) {
      return true;
    }
  }
  return false;
}

/* The same types, no counter lower and one higher: that holder knows of a later write. */
static bool is_later(torc_slice answer, torc_slice than) {
  torc_fetch_response a = {0};
  torc_fetch_response b = {0};
  torc_rd ra;
  torc_rd rb;
  bool is_higher = false;
  torc_rd_init(&ra, answer);
  torc_rd_init(&rb, than);
  while (next_type(&rb, &b)) {
    if (!next_type(&ra, &a) || a.type != b.type || a.generation < b.generation) {
      return false;
    }
    is_higher = is_higher || a.generation > b.generation;
  }
  return is_higher && !next_type(&ra, &a) && ra.err == 0 && rb.err == 0;
}

static void release(torc_node *n, read_op *op) {
  op->waiting--;
  if (op->waiting == 0) {
    torc_respond(n, op->in, TORC_CODE_OK, torc_buf_slice(&op->best));
  }
}

static void on_elder(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  read_op *op = ctx;
  (void)cookie;
  if (reply->rc == 0 && reply->code == TORC_CODE_OK &&
      is_later(reply->payload, torc_buf_slice(&op->best))) {
    torc_buf later;
    torc_buf_init(&later, n->mem, TORC_BODY_MAX);
    if (torc_buf_append(&later, reply->payload) == 0) {
      torc_buf_clear(&op->best);
      op->best = later;
    } else {
      torc_buf_clear(&later);
    }
  }
  release(n, op);
}

/* Answers with what is in `answer`, which is taken, or with what a holder has that knows of a later
 * write. The holders have as long as those that a write waits for [D-13]. */
static void answer_with_elders(torc_node *n, torc_inbound *in, torc_buf *answer,
                               const torc_id *elders, size_t num) {
  read_op *op = torc_calloc(n->mem, 1, sizeof *op);
  if (op == NULL) {
    n->stats->no_memory++;
    torc_buf_clear(answer);
    torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
    return;
  }
  op->in = in;
  op->best = *answer;
  op->waiting = 1; /* held by this function */
  in->state = op;
  in->state_free = op_free;
  for (size_t i = 0; i < num; i++) {
    torc_request r = {.method = TORC_METHOD_FETCH,
                      .payload = in->c.payload,
                      .route = {elders[i]},
                      .num_route = 1,
                      .limit = n->cfg.replica_wait,
                      .done = on_elder,
                      .ctx = op};
    if (torc_request_start(n, &r, NULL) == 0) {
      op->waiting++;
    }
  }
  release(n, op);
}

/* [GAP-90] Who asks for this peer's own copy gets that. */
static size_t elders_of(const torc_node *n, const torc_inbound *in, const torc_id *resource,
                        torc_id out[TORC_REPLICAS_MAX]) {
  if (n->topo == NULL || (in->is_exact && !in->is_local)) {
    return 0;
  }
  return n->topo_ops->elders(n->topo, resource, out);
}

void torc_handle_fetch(torc_node *n, torc_inbound *in) {
  torc_model_lookup models = torc_types_models(&n->types);
  torc_fetch_request request;
  torc_id elders[TORC_REPLICAS_MAX];
  torc_buf answer;
  int rc = torc_fetch_request_decode(&request, in->c.payload, &models, NULL);
  if (rc != 0) { /* [GAP-89] */
    bool is_unknown = rc == TORC_ERR_NOTFOUND;
    torc_respond_error(n, in, is_unknown ? TORC_CODE_NOT_FOUND : TORC_CODE_BAD_REQUEST,
                       is_unknown ? "Unknown Type" : NULL, nothing);
    return;
  }
  if (n->store == NULL ||
      (!torc_route_responsible(n, &request.resource) && !holds_copy(n, in, &request.resource))) {
    torc_respond_error(n, in, TORC_CODE_NOT_FOUND, NULL, nothing);
    return;
  }
  torc_buf_init(&answer, n->mem, TORC_BODY_MAX);
  rc = torc_store_fetch(n->store, in->c.payload, torc_node_wall(n), &answer);
  size_t num = rc == 0 ? elders_of(n, in, &request.resource, elders) : 0;
  if (num > 0) {
    answer_with_elders(n, in, &answer, elders, num);
    return;
  }
  if (rc == 0) {
    torc_respond(n, in, TORC_CODE_OK, torc_buf_slice(&answer));
  } else {
    torc_respond_error(n, in, rc == TORC_ERR_LIMIT ? TORC_CODE_TOO_LARGE : TORC_CODE_UNAVAILABLE,
                       NULL, nothing);
  }
  torc_buf_clear(&answer);
}

/* [FND-01] [FND-05..10] [GAP-105]: over the resources of the own range. */
void torc_handle_find(torc_node *n, torc_inbound *in) {
  uint8_t buf[85 * 19];
  torc_find_request request;
  torc_topology_view view;
  torc_wr wr;
  int rc = torc_find_request_decode(&request, in->c.payload);
  if (rc != 0) {
    torc_respond_error(n, in, TORC_CODE_BAD_REQUEST, NULL, nothing);
    return;
  }
  if (n->store == NULL || !torc_route_responsible(n, &request.resource)) {
    torc_respond_error(n, in, TORC_CODE_NOT_FOUND, NULL, nothing);
    return;
  }
  n->topo_ops->view(n->topo, &view);
  torc_wr_init(&wr, buf, sizeof buf);
  for (size_t i = 0; rc == 0 && i < torc_find_num_types(&request); i++) {
    torc_find_result result = {.type = torc_find_type_at(&request, i)};
    const torc_type *type = torc_types_find(&n->types, result.type);
    if (type != NULL && !type->is_findable) {
      continue;
    }
    if (type != NULL) {
      rc = torc_store_find(n->store, result.type, &request.resource, &view.range_from, &n->self,
                           torc_node_wall(n), &result.closest);
    }
    if (rc == 0) {
      rc = torc_find_result_put(&wr, &result);
    }
  }
  if (rc != 0) {
    torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
    return;
  }
  torc_respond(n, in, TORC_CODE_OK, torc_wr_slice(&wr));
}
