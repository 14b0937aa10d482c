/* SPDX-License-Identifier: Apache-2.0 */
#include "io/control_impl.h"

static torc_time now(const control_request *r) {
  return torc_peer_now(r->control->peer);
}

/* What a call that the node refuses at once means for whoever made it. */
int control_refused(control_request *r, int rc) {
  torc_node_view view;
  torc_node_get_view(r->control->node, &view);
  if (rc == TORC_ERR_STATE && !view.is_joined) {
    return control_fail(r, rc,
                        "this %s is not in the overlay yet (state: %s); try again, and look at its "
                        "log if it stays so",
                        view.role == TORC_ROLE_CLIENT ? "client" : "peer", view.state);
  }
  return control_fail(r, rc, "the node cannot do that: %s", torc_strerror(rc));
}

int control_ping(control_request *r) {
  torc_id route[16];
  size_t num = 0;
  unsigned flags = 0;
  int rc = control_get_route(r, route, &num);
  if (rc != 0) {
    return rc;
  }
  if (json_is_true(json_object_get(r->json, "route_log"))) {
    flags |= TORC_CALL_ROUTE_LOG;
  }
  if (json_is_true(json_object_get(r->json, "iterative"))) {
    flags |= TORC_CALL_ITERATIVE;
  }
  rc = torc_node_ping(r->control->node, route, num, flags, now(r), &r->call->token);
  if (rc != 0) {
    return control_refused(r, rc);
  }
  r->call->finish = control_finish_ping;
  return CONTROL_LATER;
}

int control_connect(control_request *r) {
  torc_id route[16];
  size_t num = 0;
  if (json_object_get(r->json, "application") != NULL) {
    return control_connect_application(r);
  }
  int rc = control_get_route(r, route, &num);
  if (rc == 0) {
    rc = torc_node_connect(r->control->node, route, num, now(r), &r->call->token);
    if (rc != 0) {
      return control_refused(r, rc);
    }
  }
  if (rc != 0) {
    return rc;
  }
  r->call->finish = control_finish_plain;
  return CONTROL_LATER;
}

int control_find(control_request *r) {
  torc_id resource;
  control_call *call = r->call;
  int rc = control_get_resource(r, &resource);
  if (rc == 0) {
    rc = control_get_type(r, r->json, &call->types[0]);
  }
  if (rc != 0) {
    return rc;
  }
  call->num_types = 1;
  rc = torc_node_find(r->control->node, &resource, &call->types[0].id, 1, now(r), &call->token);
  if (rc != 0) {
    return control_refused(r, rc);
  }
  call->finish = control_finish_find;
  return CONTROL_LATER;
}
