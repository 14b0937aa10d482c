/* The Chord plug-in: name, UPDATE format and limits [CHD-01] [CHD-20] [ARC-05] [D-12]. The rest is
 * the ring engine. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "overlay/topology/chord_name.h"
#include "overlay/topology/ring.h"

static int put_update(const torc_topology *t, torc_wr *wr, const torc_id *new_pred) {
  torc_chord_update u;
  torc_ring_lists(t, new_pred, u.predecessors, &u.num_predecessors, u.successors,
                  &u.num_successors);
  return torc_chord_update_put(wr, &u);
}

static int get_update(torc_slice payload, const torc_id *sender, torc_ring_heard *out) {
  torc_chord_update u;
  int rc = torc_chord_update_decode(&u, payload);
  if (rc != 0) {
    return rc;
  }
  out->num = 0;
  out->num_cut = 0;
  out->num_walk = 0;
  out->first_pred = u.num_predecessors > 0 ? u.predecessors[0] : torc_id_zero;
  for (size_t i = 0; i < u.num_predecessors; i++) {
    out->ids[out->num++] = u.predecessors[i];
    out->walk[out->num_walk++] = u.predecessors[u.num_predecessors - 1 - i];
  }
  out->walk[out->num_walk++] = *sender;
  for (size_t i = 0; i < u.num_successors; i++) {
    out->ids[out->num++] = u.successors[i];
    out->walk[out->num_walk++] = u.successors[i];
  }
  return 0;
}

static const torc_ring_policy chord_policy = {.family = "chord",
                                              .members_max = TORC_RING_MEMBERS_MAX,
                                              .join_members_max = TORC_RING_MEMBERS_MAX,
                                              .tokens_max = 32,
                                              .tokens_per_s = 4,
                                              .connects_max = 16,
                                              .connects_per_reporter = 6,
                                              .keeps_all = false,
                                              .gather = TORC_MS(5),
                                              .put_update = put_update,
                                              .get_update = get_update};

static int chord_parse(const char *name, torc_topology_params *params) {
  torc_chord_name parsed;
  if (torc_chord_name_parse(name, &parsed) != NULL) {
    return TORC_ERR_CONFIG;
  }
  params->num_replicas = parsed.num_replicas;
  params->num_fingers = parsed.num_fingers;
  return 0;
}

static int chord_create(torc_topology **out, const torc_topology_host *host,
                        const torc_topology_params *params) {
  return torc_ring_create(out, &chord_policy, host, params);
}

const torc_topology_ops torc_topology_chord = {
    .family = "chord", .parse = chord_parse, .create = chord_create, TORC_RING_OPS};
