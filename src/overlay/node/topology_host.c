/* What the node does for the topology plug-in, and JOIN, LEAVE, UPDATE on their way to it [ARC-06]
 * [ARC-07]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

static const torc_slice nothing = {NULL, 0};

static torc_time host_now(void *ctx) {
  return ((torc_node *)ctx)->now;
}

static bool host_is_linked(void *ctx, const torc_id *peer) {
  return torc_link_of_peer(ctx, peer) != NULL;
}

static size_t host_links(void *ctx, torc_id *out, size_t max) {
  const torc_node *n = ctx;
  size_t it = 0;
  size_t num = 0;
  const torc_link *l = NULL;
  while ((l = torc_map_next(&n->links_by_peer, &it)) != NULL) {
    if (num < max) {
      out[num] = l->peer;
    }
    num++;
  }
  return num;
}

static void connect_done(torc_node *n, void *ctx, torc_token cookie, int rc, const torc_id *peer) {
  (void)ctx;
  if (n->topo != NULL) {
    n->topo_ops->on_connect_done(n->topo, cookie, rc, peer);
  }
}

/* Puts `via` in front of `target`; the wildcard stands for the bootstrap peer of the last probe
 * [GAP-124]. */
static size_t make_route(torc_node *n, const torc_id *target, const torc_id *via,
                         torc_id route[2]) {
  size_t num = 0;
  if (via != NULL && torc_id_eq(via, &torc_id_wildcard)) {
    if (torc_bootstrap_learned(n, target, &route[0])) {
      num = 1;
    }
  } else if (via != NULL && !torc_id_eq(via, target)) {
    route[num++] = *via;
  }
  route[num++] = *target;
  return num;
}

static int host_connect(void *ctx, const torc_id *target, bool is_exact, const torc_id *via,
                        torc_token cookie) {
  torc_node *n = ctx;
  torc_id route[2];
  size_t num = make_route(n, target, via, route);
  return torc_connect_start(n, route, num, is_exact, connect_done, NULL, cookie);
}

static void ping_done(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  int rc = reply->rc != 0 ? reply->rc : reply->code == TORC_CODE_OK ? 0 : TORC_ERR_REFUSED;
  (void)ctx;
  if (n->topo != NULL) {
    n->topo_ops->on_ping_done(n->topo, cookie, rc, &reply->responder);
  }
}

static int host_ping(void *ctx, const torc_id *target, const torc_id *via, torc_token cookie) {
  torc_node *n = ctx;
  uint8_t payload[1] = {0}; /* an empty list of codes */
  torc_request r = {
      .method = TORC_METHOD_PING, .payload = torc_slice_of(payload, 1), .done = ping_done};
  r.num_route = make_route(n, target, via, r.route);
  r.cookie = cookie;
  return torc_request_start(n, &r, NULL);
}

static void request_done(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  (void)ctx;
  if (n->topo != NULL) {
    n->topo_ops->on_response(n->topo, cookie, reply->rc, reply->rc == 0 ? reply->code : 0,
                             reply->payload);
  }
}

static int host_request(void *ctx, const torc_id *peer, torc_method method, torc_slice payload,
                        torc_token cookie) {
  torc_node *n = ctx;
  torc_link *l = torc_link_of_peer(n, peer);
  torc_request r = {
      .method = (uint16_t)method, .payload = payload, .num_route = 1, .done = request_done};
  if (l == NULL) {
    return TORC_ERR_CLOSED;
  }
  r.route[0] = *peer;
  r.link = l->id;
  r.cookie = cookie;
  return torc_request_start(n, &r, NULL);
}

static int host_transfer(void *ctx, const torc_id *peer, const torc_id *from, const torc_id *to,
                         torc_token cookie) {
  return torc_transfer_start(ctx, peer, from, to, cookie);
}

static void host_drop_range(void *ctx, const torc_id *from, const torc_id *to) {
  torc_node *n = ctx;
  int rc = torc_store_drop_range(n->store, from, to);
  if (rc != 0) {
    TORC_LOG(n->log, TORC_LOG_ERROR, "store:drop_failed", TORC_F_ERR("why", rc));
  }
}

static void host_took_over(void *ctx, const torc_id *from, const torc_id *to,
                           bool has_copies) { /* [GAP-95] */
  torc_node *n = ctx;
  int rc = torc_store_raise_generations(n->store, from, to, has_copies);
  if (rc != 0) {
    TORC_LOG(n->log, TORC_LOG_ERROR, "store:raise_failed", TORC_F_ERR("why", rc));
  }
}

static void host_close_link(void *ctx, const torc_id *peer) {
  torc_node *n = ctx;
  torc_link *l = torc_link_of_peer(n, peer);
  if (l != NULL) {
    torc_link_close(n, l);
  }
}

static void rejoin(torc_node *n, void *ctx, torc_token cookie, int rc, const torc_id *peer) {
  (void)ctx;
  (void)cookie;
  (void)rc;
  (void)peer;
  n->is_rejoining = false;
  if (n->phase == TORC_PHASE_DISCONNECTED) {
    torc_bootstrap_start(n);
  }
}

static void host_state_changed(void *ctx, torc_topology_state state) {
  torc_node *n = ctx;
  if (n->phase == TORC_PHASE_LEFT) {
    return;
  }
  switch (state) {
    case TORC_TOPO_JOINED:
      torc_bootstrap_joined(n); /* a peer of the old ring may have come back by itself */
      torc_node_set_phase(n, TORC_PHASE_JOINED);
      break;
    case TORC_TOPO_JOINING:
      torc_node_set_phase(n, TORC_PHASE_JOINING);
      break;
    case TORC_TOPO_DISCONNECTED: /* [CHD-26] [GAP-122] */
      torc_node_set_phase(n, TORC_PHASE_DISCONNECTED);
      if (!n->is_rejoining) {
        n->is_rejoining = true;
        torc_defer(n, &n->rejoin, rejoin, NULL, 0, 0, NULL);
      }
      break;
    case TORC_TOPO_LEFT:
      torc_node_set_phase(n, TORC_PHASE_LEFT);
      break;
    case TORC_TOPO_IDLE:
    case TORC_TOPO_LEAVING:
      break;
  }
}

static int host_ping_bootstrap(void *ctx, const torc_id *target, torc_token cookie) {
  return torc_bootstrap_probe(ctx, target, cookie);
}

static bool host_has_data(void *ctx) {
  torc_node *n = ctx;
  return n->store != NULL && torc_store_num_resources(n->store) > 0;
}

static const torc_topology_host_ops host_ops = {.now = host_now,
                                                .is_linked = host_is_linked,
                                                .links = host_links,
                                                .connect = host_connect,
                                                .ping = host_ping,
                                                .request = host_request,
                                                .transfer = host_transfer,
                                                .drop_range = host_drop_range,
                                                .took_over = host_took_over,
                                                .close_link = host_close_link,
                                                .state_changed = host_state_changed,
                                                .ping_bootstrap = host_ping_bootstrap,
                                                .has_data = host_has_data};

int torc_topology_setup(torc_node *n, const torc_node_config *cfg, const char **why) {
  torc_topology_params *p = &n->topo_params;
  torc_counters *counters = cfg->counters != NULL ? cfg->counters : n->own_counters;
  int rc = torc_topology_find(cfg->algorithm, &n->topo_ops, p);
  if (rc != 0) {
    *why = "the overlay's algorithm is not one this library knows";
    return TORC_ERR_CONFIG;
  }
  p->update_period = cfg->update_period == 0 ? p->update_period : cfg->update_period;
  p->ping_period = cfg->ping_period == 0 ? p->ping_period : cfg->ping_period;
  p->deletion_delay = cfg->deletion_delay == 0 ? p->deletion_delay : cfg->deletion_delay;
  n->topo_host = (torc_topology_host){.ops = &host_ops,
                                      .ctx = n,
                                      .stats = &counters->topology,
                                      .mem = n->mem,
                                      .timers = &n->timers,
                                      .rng = &n->rng,
                                      .log = n->log,
                                      .self = n->self};
  if (n->role == TORC_ROLE_CLIENT) { /* [CLI-01] never JOINs: no plug-in */
    return 0;
  }
  if (cfg->max_links == 0 && n->topo_ops == &torc_topology_full_mesh) {
    n->cfg.max_links = TORC_NODE_MESH_LINKS;
  }
  return n->topo_ops->create(&n->topo, &n->topo_host, p);
}

/* [GAP-26] [GAP-54] [GAP-117] [SEC-16] Only from the peer at the other end of the link, addressed
 * to exactly this peer. */
void torc_handle_topology(torc_node *n, torc_inbound *in) {
  torc_topology_reply reply = {.code = TORC_CODE_OK};
  torc_link *l = torc_link_of_peer(n, &in->last_hop);
  if (n->role == TORC_ROLE_CLIENT) {
    torc_respond_error(n, in, TORC_CODE_METHOD, NULL, nothing);
    return;
  }
  if (!in->is_exact) {
    torc_respond_error(n, in, TORC_CODE_NOT_FOUND, NULL, nothing);
    return;
  }
  if (in->is_local || l == NULL || in->hdr.via.len != 0 ||
      !torc_id_eq(&in->signer_peer, &in->last_hop)) {
    torc_respond_error(n, in, TORC_CODE_FORBIDDEN, NULL, nothing);
    return;
  }
  if (n->refuses_joins && in->c.code == TORC_METHOD_JOIN) { /* [GAP-130] */
    torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
    return;
  }
  n->topo_ops->on_request(n->topo, (torc_method)in->c.code, &in->last_hop, in->c.payload, &reply);
  if (reply.code == TORC_CODE_OK && in->c.code != TORC_METHOD_LEAVE) {
    torc_link_mark_routing(n, l);
  }
  if (reply.code == TORC_CODE_OK) {
    torc_respond(n, in, reply.code, reply.payload);
  } else {
    torc_respond_error(n, in, reply.code, NULL, nothing);
  }
}
