/* What must hold in every state, and what when it is quiet.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ring_world.h"

/* ---- what must hold ---- */

static char complaint[160];

static unsigned live_ring(unsigned out[PEERS]) {
  unsigned num = 0;
  for (unsigned i = 0; i < PEERS; i++) {
    if (model_is_member(i)) {
      out[num++] = i;
    }
  }
  return num;
}

/* Ring order of lists and ranges; nobody is stuck. */
const char *model_check_ring(void) {
  unsigned ring[PEERS];
  unsigned num = live_ring(ring);
  for (unsigned k = 0; k < num; k++) {
    const model_peer *p = &model.peers[ring[k]];
    unsigned before = ring[(k + num - 1) % num];
    unsigned want;
    torc_topology_view v;
    model_ops->view(p->topo, &v);
    if (p->state != TORC_TOPO_JOINED) {
      snprintf(complaint, sizeof complaint, "n%u is not in the ring, state %d", ring[k],
               (int)p->state);
      return complaint;
    }
    want = num - 1 < TORC_RING_NEIGHBOURS_MIN ? num - 1 : TORC_RING_NEIGHBOURS_MIN;
    if (v.num_successors < want || v.num_predecessors < want) {
      snprintf(complaint, sizeof complaint, "n%u lacks neighbours", ring[k]);
      return complaint;
    }
    for (unsigned j = 0; j < want; j++) {
      if (model_index_of(&v.successors[j]) != ring[(k + j + 1) % num] ||
          model_index_of(&v.predecessors[j]) != ring[(k + num - j - 1) % num]) {
        snprintf(complaint, sizeof complaint, "n%u has wrong neighbours", ring[k]);
        return complaint;
      }
    }
    if (!v.is_responsible || model_index_of(&v.range_from) != before) {
      snprintf(complaint, sizeof complaint, "n%u has the wrong range", ring[k]);
      return complaint;
    }
    if (v.is_admitting || v.num_owed > 0) {
      snprintf(complaint, sizeof complaint, "n%u goes on handing over", ring[k]);
      return complaint;
    }
  }
  return NULL;
}

const char *model_check_value(void) {
  unsigned ring[PEERS];
  unsigned num = live_ring(ring);
  unsigned at = 0;
  if (num == 0) {
    return NULL;
  }
  while (at < num && ring[at] < KEY) {
    at++;
  }
  for (unsigned k = 0; k < num && k <= REPLICAS; k++) {
    if (model.peers[ring[(at + k) % num]].version < model.answered) {
      snprintf(complaint, sizeof complaint, "n%u does not hold the value", ring[(at + k) % num]);
      return complaint;
    }
  }
  return NULL;
}

/* At any time: an answered value has a holder; whoever takes itself for responsible serves it. */
const char *model_check_always(void) {
  torc_id key = model_key_id();
  unsigned best = 0;
  unsigned responsible = 0;
  if (model.is_full) {
    return "more and more is under way";
  }
  for (unsigned i = 0; i < PEERS; i++) {
    const model_peer *p = &model.peers[i];
    if (!p->is_alive) {
      continue;
    }
    best = p->version > best ? p->version : best;
    if (model_ops->is_responsible(p->topo, &key)) {
      responsible++;
#ifdef CHECK_READS
      if (p->version < model.answered) {
        snprintf(complaint, sizeof complaint, "n%u is responsible and lacks version %u", i,
                 model.answered);
        return complaint;
      }
#endif
    }
  }
#ifdef CHECK_SERVED
  if (responsible == 0) {
    return "nobody is responsible for the value";
  }
#endif
  (void)responsible;
  return best < model.answered ? "an answered value is lost" : NULL;
}
