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

void torc_handle_fetch(torc_node *n, torc_inbound *in) {
  torc_model_lookup models = torc_types_models(&n->types);
  torc_fetch_request request;
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
