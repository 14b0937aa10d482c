/* What the node holds of each thing that others can make grow, beside its limit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/rings.h"
#include "overlay/topology/ring.h"

static uint64_t length(const torc_list *list) {
  uint64_t n = 0;
  for (const torc_list *i = list->next; i != list; i = i->next) {
    n++;
  }
  return n;
}

void torc_core_tables(const torc_node *n, void *ctx, torc_node_table_fn each) {
  each(ctx, "inbound", n->num_inbound, TORC_NODE_INBOUND_MAX);
  each(ctx, "inbound_bytes", n->inbound_bytes, TORC_NODE_INBOUND_BYTES);
  each(ctx, "requests", n->trans.len + n->replays.len, TORC_NODE_TRANS_MAX);
  each(ctx, "answers", n->dups.len, TORC_NODE_DUP_ENTRIES);
  each(ctx, "answer_bytes", n->dup_bytes, TORC_NODE_DUP_BYTES);
  each(ctx, "copies", length(&n->copies), TORC_NODE_COPIES_MAX);
  each(ctx, "transfers", n->num_transfers, TORC_NODE_TRANSFERS_MAX);
  each(ctx, "connects", n->conns.len, TORC_NODE_CONNS_MAX);
  each(ctx, "connections", torc_appconns_num(n), TORC_NODE_APPS_MAX);
  each(ctx, "certificates", n->certs.len, TORC_NODE_CERTS_MAX);
  each(ctx, "certificate_fetches", n->num_cert_active, TORC_NODE_CERT_FETCHES_MAX);
  each(ctx, "certificate_misses", torc_cert_misses(n), TORC_NODE_CERT_MISSES_MAX);
  each(ctx, "private_ids", n->private_ids.len, TORC_NODE_PRIVATE_IDS_MAX);
  each(ctx, "fragment_sets", torc_reasm_sets(n->reasm), TORC_REASM_SETS);
  each(ctx, "fragment_bytes", torc_reasm_bytes(n->reasm), TORC_REASM_BYTES);
  each(ctx, "seen", n->seen.len, TORC_NODE_SEEN_MAX);
  if (n->store != NULL) {
    torc_store_room room = torc_store_get_room(n->store);
    each(ctx, "stored_bytes", room.bytes, room.max_bytes);
    each(ctx, "removals", room.removals, room.max_removals);
  }
  if (n->topo != NULL) {
    torc_topology_view v;
    memset(&v, 0, sizeof v);
    n->topo_ops->view(n->topo, &v);
    each(ctx, "members", v.num_routing, TORC_RING_MEMBERS_MAX);
    each(ctx, "candidates", v.num_candidates, TORC_RING_CANDIDATES_MAX);
    each(ctx, "owed", v.num_owed, TORC_RING_OWED_MAX);
  }
}
