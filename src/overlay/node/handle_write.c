/* STORE and REMOVE at this peer [STO-01] [REM-01]; a usage is not on the wire, only its types are
 * [ARC-03]: origin, signatures, the store, replicas, durability, answer. SPDX-License-Identifier:
 * Apache-2.0 */
#include "overlay/node/rings.h"

static const torc_slice nothing = {NULL, 0};

/* One write on its way; hangs on its inbound message. */
typedef struct write_op {
  torc_inbound *in;
  torc_store_request request;
  torc_store_element *elements;
  size_t num;
  torc_store_origin origin;
  torc_write_result result;
  torc_jobref sync;
  unsigned pending; /* things the answer waits for */
} write_op;

static void op_free(torc_node *n, void *state) {
  write_op *op = state;
  if (op->elements != NULL) {
    torc_verify_elements_free(n, op->elements, op->num);
  }
  torc_free(n->mem, op);
}

static write_op *op_new(torc_node *n, torc_inbound *in) {
  write_op *op = torc_calloc(n->mem, 1, sizeof *op);
  if (op == NULL) {
    n->stats->no_memory++;
    torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
    return NULL;
  }
  op->in = in;
  in->state = op;
  in->state_free = op_free;
  return op;
}

bool torc_is_copy(const torc_node *n, const torc_inbound *in, const torc_id *resource) {
  return !in->is_local && in->is_exact && !in->is_wildcard && in->hdr.via.len == 0 &&
         n->topo != NULL && n->topo_ops->accepts_copy(n->topo, &in->last_hop, resource);
}

/* Only the resource in the contents counts. [R-05] [GAP-101] [GAP-104]: 0 is fine, else the
 * code. */
static uint16_t find_origin(const torc_node *n, const torc_inbound *in, const torc_id *resource,
                            torc_store_origin *out) {
  if (n->store == NULL || n->topo == NULL) {
    return TORC_CODE_NOT_FOUND;
  }
  if (torc_is_copy(n, in, resource)) {
    *out = TORC_ORIGIN_REPLICA;
    return 0;
  }
  if (torc_route_responsible(n, resource)) {
    *out = TORC_ORIGIN_OWNER;
    return 0;
  }
  return in->is_exact && in->hdr.via.len == 0 && n->topo_ops->is_neighbour(n->topo, &in->last_hop)
             ? TORC_CODE_FORBIDDEN
             : TORC_CODE_NOT_FOUND;
}

/* [STO-28] [GAP-60] The run of store_type_response. */
static torc_slice type_responses(const torc_write_result *r, uint8_t *buf, size_t cap) {
  torc_wr wr;
  torc_wr_init(&wr, buf, cap);
  for (size_t i = 0; i < r->num_types; i++) {
    if (torc_store_type_response_put(&wr, &r->types[i]) != 0) {
      return nothing;
    }
  }
  return torc_wr_slice(&wr);
}

static void answer(torc_node *n, write_op *op) {
  uint8_t buf[TORC_STORE_TYPES_MAX * 11];
  torc_slice run = type_responses(&op->result, buf, sizeof buf);
  if (op->result.code == TORC_CODE_OK) {
    torc_respond(n, op->in, TORC_CODE_OK, run);
    return;
  }
  TORC_LOG(n->log, TORC_LOG_DEBUG, "store:refused", TORC_F_U64("code", op->result.code),
           TORC_F_STR("why", op->result.detail == NULL ? "" : op->result.detail));
  torc_respond_error(n, op->in, op->result.code,
                     op->result.code == TORC_CODE_NOT_FOUND ? "Unknown Type" : NULL,
                     op->result.code == TORC_CODE_PRECONDITION ? run : nothing);
}

static void step_done(torc_node *n, write_op *op) {
  op->pending--;
  if (op->pending == 0) {
    answer(n, op);
  }
}

static void on_replicated(torc_node *n, void *ctx) {
  step_done(n, ctx);
}

static void on_synced(torc_node *n, torc_jobref *j, const torc_job_result *r) {
  write_op *op = TORC_CONTAINER_OF(j, write_op, sync);
  if (r->rc != 0) { /* what may be lost is not answered with success */
    n->stats->jobs_failed++;
    op->result.code = TORC_CODE_UNAVAILABLE;
  }
  step_done(n, op);
}

/* [D-13] The answer waits for the disk and for every current replica. */
static void start_sync(torc_node *n, write_op *op) {
  op->pending++;
  if (torc_job_start(n, &op->sync, TORC_JOB_SYNC, on_synced) != 0) {
    op->result.code = TORC_CODE_UNAVAILABLE;
    step_done(n, op);
  }
}

/* [D-13] Every write of an owner. A copy that told a responsible peer something new came from a
 * ring that was apart: its replicas, and a peer that is just being handed the range, do not know it
 * either [GAP-114] [GAP-124]. */
static bool must_replicate(const torc_node *n, const write_op *op, const torc_id *resource) {
  return op->origin == TORC_ORIGIN_OWNER ||
         (op->result.is_changed && torc_route_responsible(n, resource));
}

/* ---- STORE ---- */

/* The elements as stored, under the present counters, for the replicas [GAP-95]. */
static int replica_payload(torc_node *n, const write_op *op, uint8_t **out, torc_slice *payload) {
  size_t cap = TORC_ID_LEN + 2 + op->result.num_types * 16 + op->in->c.payload.len;
  uint8_t *buf = torc_alloc(n->mem, cap);
  size_t i = 0;
  torc_wr wr;
  if (buf == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_wr_init(&wr, buf, cap);
  size_t outer = torc_store_request_begin(&wr, &op->request.resource);
  for (size_t t = 0; t < op->result.num_types; t++) {
    size_t mark =
        torc_store_type_begin(&wr, op->result.types[t].type, op->result.types[t].generation);
    for (; i < op->num && op->elements[i].type->id == op->result.types[t].type; i++) {
      if (torc_stored_data_put(&wr, &op->elements[i].data) != 0) {
        break;
      }
    }
    torc_store_type_end(&wr, mark);
  }
  torc_store_request_end(&wr, outer);
  if (wr.err != 0) {
    torc_free(n->mem, buf);
    return wr.err;
  }
  *out = buf;
  *payload = torc_wr_slice(&wr);
  return 0;
}

static void replicate_store(torc_node *n, write_op *op) {
  uint8_t *buf = NULL;
  torc_slice payload;
  int rc = replica_payload(n, op, &buf, &payload);
  op->pending++;
  if (rc == 0) {
    rc = torc_replicate_store(n, &op->request.resource, payload, on_replicated, op);
  }
  torc_free(n->mem, buf);
  if (rc != 0) {
    op->result.code = TORC_CODE_UNAVAILABLE;
    step_done(n, op);
  }
}

static void on_verified(torc_node *n, void *ctx, torc_store_element *elements, size_t num) {
  write_op *op = ctx;
  int rc = 0;
  op->elements = elements;
  op->num = num;
  rc = torc_store_apply(n->store, &op->request, elements, num, op->in->signer, op->origin,
                        torc_node_wall(n), &op->result);
  torc_node_expires(n);
  if (rc != 0) {
    TORC_LOG(n->log, TORC_LOG_ERROR, "store:failed", TORC_F_ERR("why", rc));
    op->result.code = TORC_CODE_UNAVAILABLE;
  }
  op->pending = 1; /* held by this function */
  if (op->result.code == TORC_CODE_OK) {
    start_sync(n, op);
    if (op->result.is_changed && op->origin == TORC_ORIGIN_OWNER) {
      torc_carry_written(n, &op->request.resource, op->in->c.payload);
    }
    if (must_replicate(n, op, &op->request.resource)) {
      replicate_store(n, op);
    }
  }
  step_done(n, op);
}

/* [R-15] [STO-15] [REM-07] The first check of a write is whether its types are known, before any
 * signature: 0, or the code and phrase to refuse it with. */
uint16_t torc_write_precheck(const torc_node *n, const torc_inbound *in, const char **phrase) {
  torc_model_lookup models = torc_types_models(&n->types);
  torc_store_request store;
  torc_fetch_request remove;
  torc_store_type st;
  torc_rd types;
  int rc = 0;
  *phrase = NULL;
  if (n->store == NULL || (in->c.code != TORC_METHOD_STORE && in->c.code != TORC_METHOD_REMOVE)) {
    return 0;
  }
  if (in->c.code == TORC_METHOD_REMOVE) {
    rc = torc_fetch_request_decode(&remove, in->c.payload, &models, NULL);
  } else {
    rc = torc_store_request_decode(&store, in->c.payload);
    torc_rd_init(&types, rc == 0 ? store.types : nothing);
    while (rc == 0 && torc_store_type_next(&types, &st)) {
      rc = torc_types_find(&n->types, st.type) == NULL ? TORC_ERR_NOTFOUND : 0;
    }
  }
  if (rc == TORC_ERR_NOTFOUND) {
    *phrase = "Unknown Type";
    return TORC_CODE_NOT_FOUND;
  }
  return rc == 0 ? 0 : TORC_CODE_BAD_REQUEST;
}

/* Decodes every element by its type's model. 0, TORC_ERR_NOTFOUND (unknown type), TORC_ERR_FORMAT,
 * TORC_ERR_LIMIT. */
static int decode_elements(torc_node *n, write_op *op, torc_store_element **out, size_t *out_num) {
  torc_rd types;
  torc_store_type st;
  torc_store_element *list = NULL;
  size_t num = 0;
  size_t cap = 0;
  int rc = 0;
  torc_rd_init(&types, op->request.types);
  while (rc == 0 && torc_store_type_next(&types, &st)) {
    const torc_type *type = torc_types_find(&n->types, st.type);
    torc_rd values;
    torc_rd_init(&values, st.values);
    if (type == NULL) { /* [STO-15] [GAP-59] */
      rc = TORC_ERR_NOTFOUND;
    }
    while (rc == 0 && torc_rd_left(&values) > 0) {
      if (num == cap) {
        size_t more = cap == 0 ? 8 : cap * 2;
        torc_store_element *grown = torc_realloc(n->mem, list, more * sizeof *list);
        if (grown == NULL) {
          rc = TORC_ERR_NOMEM;
          break;
        }
        list = grown;
        cap = more;
      }
      memset(&list[num], 0, sizeof list[num]);
      rc = num >= TORC_STORE_ELEMENTS_MAX
               ? TORC_ERR_LIMIT
               : torc_stored_data_get(&values, type->model, &list[num].data);
      list[num].type = type;
      num++;
    }
  }
  if (rc != 0) {
    torc_free(n->mem, list);
    return rc;
  }
  *out = list;
  *out_num = num;
  return 0;
}

static void refuse_decode(torc_node *n, torc_inbound *in, int rc) {
  switch (rc) {
    case TORC_ERR_NOTFOUND:
      torc_respond_error(n, in, TORC_CODE_NOT_FOUND, "Unknown Type", nothing);
      break;
    case TORC_ERR_LIMIT:
      torc_respond_error(n, in, TORC_CODE_TOO_LARGE, NULL, nothing);
      break;
    case TORC_ERR_NOMEM:
      torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
      break;
    default:
      torc_respond_error(n, in, TORC_CODE_BAD_REQUEST, NULL, nothing);
      break;
  }
}

/* [CHD-06] [CHD-08] [STO-15..22] */
void torc_handle_store(torc_node *n, torc_inbound *in) {
  torc_store_request request;
  torc_store_element *elements = NULL;
  size_t num = 0;
  uint16_t code = 0;
  write_op *op = NULL;
  int rc = torc_store_request_decode(&request, in->c.payload);
  if (rc != 0) {
    torc_respond_error(n, in, TORC_CODE_BAD_REQUEST, NULL, nothing);
    return;
  }
  op = op_new(n, in);
  if (op == NULL) {
    return;
  }
  op->request = request;
  code = find_origin(n, in, &request.resource, &op->origin);
  if (code != 0) {
    torc_respond_error(n, in, code, NULL, nothing);
    return;
  }
  rc = decode_elements(n, op, &elements, &num);
  if (rc != 0) {
    refuse_decode(n, in, rc);
    return;
  }
  rc = torc_verify_start(n, &request.resource, elements, num, in->link,
                         op->origin == TORC_ORIGIN_REPLICA, true, on_verified, op);
  if (rc != 0) {
    torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
  }
}

/* ---- REMOVE ---- */

/* [GAP-93] [D-14] The original contents and signature go to the replicas unchanged. */
static void replicate_remove(torc_node *n, write_op *op, const torc_id *resource,
                             const torc_remove_record *r) {
  op->pending++;
  if (torc_replicate_remove(n, resource, r, on_replicated, op) != 0) {
    op->result.code = TORC_CODE_UNAVAILABLE;
    step_done(n, op);
  }
}

static torc_slice signature_bytes(const torc_inbound *in) {
  size_t start = in->hdr.header_len + in->c.bytes.len;
  return torc_slice_of(in->msg + start, in->hdr.length - start);
}

/* [REM-03..14] */
void torc_handle_remove(torc_node *n, torc_inbound *in) {
  torc_model_lookup models = torc_types_models(&n->types);
  torc_fetch_request request;
  torc_remove_record record = {.payload = in->c.payload,
                               .contents = in->c.bytes,
                               .signature = signature_bytes(in),
                               .xid = in->hdr.xid,
                               .signer = in->signer};
  write_op *op = NULL;
  uint16_t code = 0;
  int rc = torc_fetch_request_decode(&request, in->c.payload, &models, NULL);
  if (rc != 0) {
    refuse_decode(n, in, rc);
    return;
  }
  op = op_new(n, in);
  if (op == NULL) {
    return;
  }
  code = find_origin(n, in, &request.resource, &op->origin);
  if (code != 0) {
    torc_respond_error(n, in, code, NULL, nothing);
    return;
  }
  rc = torc_store_remove(n->store, &record, op->origin, torc_node_wall(n), &op->result);
  torc_node_expires(n);
  if (rc != 0) {
    TORC_LOG(n->log, TORC_LOG_ERROR, "store:failed", TORC_F_ERR("why", rc));
    op->result.code = TORC_CODE_UNAVAILABLE;
  }
  op->pending = 1;
  if (op->result.code == TORC_CODE_OK) {
    start_sync(n, op);
    if (must_replicate(n, op, &request.resource)) {
      replicate_remove(n, op, &request.resource, &record);
    }
  }
  step_done(n, op);
}
