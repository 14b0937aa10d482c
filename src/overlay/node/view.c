/* State for status, metrics and tests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/rings.h"

void torc_core_get_view(const torc_node *n, torc_node_view *out) {
  torc_topology_view v;
  memset(out, 0, sizeof *out);
  memset(&v, 0, sizeof v);
  out->self = n->self;
  out->role = n->role;
  out->is_joined = n->phase == TORC_PHASE_JOINED;
  out->state = torc_node_state_name(n);
  out->num_links = n->num_links;
  out->num_client_links = n->num_client_links;
  out->uptime = n->now - n->started;
  if (n->store != NULL) {
    out->num_resources = torc_store_num_resources(n->store);
    out->stored_bytes = torc_store_num_bytes(n->store);
  }
  if (n->topo == NULL) {
    return;
  }
  n->topo_ops->view(n->topo, &v);
  out->is_responsible = v.is_responsible;
  out->range_from = v.range_from;
  out->num_predecessors = v.num_predecessors;
  out->num_successors = v.num_successors;
  out->num_fingers = v.num_fingers;
  memcpy(out->predecessors, v.predecessors, sizeof out->predecessors);
  memcpy(out->successors, v.successors, sizeof out->successors);
  memcpy(out->fingers, v.fingers, sizeof out->fingers);
}

int torc_counters_new(torc_counters **out, const torc_mem *mem) {
  torc_counters *c = torc_calloc(mem, 1, sizeof *c);
  if (c == NULL) {
    return TORC_ERR_NOMEM;
  }
  c->mem = mem;
  *out = c;
  return 0;
}

void torc_counters_free(torc_counters *c) {
  if (c != NULL) {
    torc_free(c->mem, c);
  }
}

void torc_core_counters(const torc_node *n, void *ctx,
                        void (*each)(void *ctx, const char *name, uint64_t value)) {
#define X(name) each(ctx, #name, n->stats->name);
  TORC_NODE_COUNTERS(X)
#undef X
  if (n->store != NULL) {
    const torc_store_stats *s = torc_store_get_stats(n->store);
    each(ctx, "store_stores_ok", s->stores_ok);
    each(ctx, "store_removes_ok", s->removes_ok);
    each(ctx, "store_fetches", s->fetches);
    each(ctx, "store_refused_400", s->refused_400);
    each(ctx, "store_refused_401", s->refused_401);
    each(ctx, "store_refused_403", s->refused_403);
    each(ctx, "store_refused_404", s->refused_404);
    each(ctx, "store_refused_412", s->refused_412);
    each(ctx, "store_refused_413", s->refused_413);
    each(ctx, "store_expired", s->expired);
    each(ctx, "store_tombstones", s->tombstones);
    each(ctx, "store_dropped", s->dropped);
    each(ctx, "store_backend_errors", s->backend_errors);
    each(ctx, "store_backend_full", s->backend_full);
    each(ctx, "store_blinds_refused", s->blinds_refused);
  }
  if (n->topo != NULL) {
    torc_topology_view v;
    memset(&v, 0, sizeof v);
    n->topo_ops->view(n->topo, &v);
    each(ctx, "topology_updates_in", v.stats.updates_in);
    each(ctx, "topology_updates_bad", v.stats.updates_bad);
    each(ctx, "topology_ids_ignored", v.stats.ids_ignored);
    each(ctx, "topology_candidates_evicted", v.stats.candidates_evicted);
    each(ctx, "topology_pings_ignored", v.stats.pings_ignored);
    each(ctx, "topology_members_refused", v.stats.members_refused);
    each(ctx, "topology_links_ignored", v.stats.links_ignored);
    each(ctx, "topology_ops_refused", v.stats.ops_refused);
    each(ctx, "topology_joins_ok", v.stats.joins_ok);
    each(ctx, "topology_joins_busy", v.stats.joins_busy);
    each(ctx, "topology_joins_refused", v.stats.joins_refused);
    each(ctx, "topology_joins_failed", v.stats.joins_failed);
    each(ctx, "topology_handoffs_aborted", v.stats.handoffs_aborted);
    each(ctx, "topology_neighbours_lost", v.stats.neighbours_lost);
    each(ctx, "topology_takeovers", v.stats.takeovers);
    each(ctx, "topology_fingers_failed", v.stats.fingers_failed);
    each(ctx, "topology_transfers_failed", v.stats.transfers_failed);
    each(ctx, "topology_merges", v.stats.merges);
    each(ctx, "topology_owed_dropped", v.stats.owed_dropped);
    each(ctx, "topology_copies_refused", v.stats.copies_refused);
  }
}
