/* The full-mesh plug-in, for small overlays: every peer links to every other; place and copies of
 * data follow the same ring rule as Chord's. UPDATE payload: docs/spec/extensions.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "overlay/topology/ring.h"

/* Every peer this one is linked to, the peer being admitted included. */
static int put_update(const torc_topology *t, torc_wr *wr, const torc_id *new_pred) {
  size_t mark = torc_wr_begin_u16(wr);
  for (size_t i = 0; i < t->num_members; i++) {
    torc_wr_id(wr, &t->members[i].id);
  }
  if (t->has_range && !torc_id_eq(&t->range_from, &t->self) &&
      torc_ring_member_find(t, &t->range_from) == NULL) {
    torc_wr_id(wr, &t->range_from);
  }
  if (new_pred != NULL) {
    torc_wr_id(wr, new_pred);
  }
  torc_wr_end_u16(wr, mark);
  return wr->err;
}

static int get_update(torc_slice payload, const torc_id *sender, torc_ring_heard *out) {
  torc_slice peers;
  size_t num;
  int rc = torc_mesh_update_decode(&peers, payload);
  if (rc != 0) {
    return rc;
  }
  num = peers.len / TORC_ID_LEN;
  out->num_cut = num > TORC_RING_HEARD_MAX ? num - TORC_RING_HEARD_MAX : 0;
  out->num = num - out->num_cut;
  out->num_walk = 0;
  out->first_pred = torc_id_zero;
  for (size_t i = 0; i < out->num; i++) {
    memcpy(out->ids[i].b, peers.p + i * TORC_ID_LEN, TORC_ID_LEN);
    if (!torc_id_eq(&out->ids[i], sender) &&
        (!torc_id_is_peer(&out->first_pred) ||
         torc_id_in_open(&out->ids[i], &out->first_pred, sender))) {
      out->first_pred = out->ids[i];
    }
  }
  return 0;
}

static const torc_ring_policy mesh_policy = {.family = "full-mesh",
                                             .members_max = TORC_MESH_PEERS_MAX - 1,
                                             .join_members_max = TORC_MESH_PEERS_MAX - 1,
                                             .tokens_max = TORC_MESH_PEERS_MAX,
                                             .tokens_per_s = 8,
                                             .connects_max = 32,
                                             .connects_per_reporter = 32,
                                             .keeps_all = true,
                                             .gather = TORC_MS(200),
                                             .put_update = put_update,
                                             .get_update = get_update};

static int mesh_parse(const char *name, torc_topology_params *params) {
  if (strcmp(name, mesh_policy.family) != 0) {
    return TORC_ERR_CONFIG;
  }
  params->num_replicas = 2;
  params->num_fingers = 0;
  return 0;
}

static int mesh_create(torc_topology **out, const torc_topology_host *host,
                       const torc_topology_params *params) {
  return torc_ring_create(out, &mesh_policy, host, params);
}

const torc_topology_ops torc_topology_full_mesh = {
    .family = "full-mesh", .parse = mesh_parse, .create = mesh_create, TORC_RING_OPS};
