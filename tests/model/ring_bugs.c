/* The ring code with one of its safeguards taken away, each behind a BUG_ name: the model must find
 * what goes wrong then. run.sh links these in front of the functions they replace (ld --wrap).
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/topology/ring.h"

#ifdef BUG_check_range
/* Its own range does not grow when the predecessor is gone [GAP-109]. */
void __wrap_torc_ring_check_range(torc_topology *t);
void __wrap_torc_ring_check_range(torc_topology *t) {
  (void)t;
}
#endif

#ifdef BUG_cands_pump
/* Peers that UPDATEs list are not connected to [CHD-29]. */
void __wrap_torc_ring_cands_pump(torc_topology *t, torc_time *next);
void __wrap_torc_ring_cands_pump(torc_topology *t, torc_time *next) {
  (void)t;
  (void)next;
}
#endif

#ifdef BUG_replicas_pump
/* New replicas get nothing [CHD-35]. */
void __wrap_torc_ring_replicas_pump(torc_topology *t, torc_time *next);
void __wrap_torc_ring_replicas_pump(torc_topology *t, torc_time *next) {
  (void)t;
  (void)next;
}
#endif

#ifdef BUG_on_join
/* A second JOIN is served while the first one is [GAP-114]. */
void __real_torc_ring_on_join(torc_topology *t, const torc_id *from, torc_slice payload,
                              torc_topology_reply *reply);
void __wrap_torc_ring_on_join(torc_topology *t, const torc_id *from, torc_slice payload,
                              torc_topology_reply *reply);
void __wrap_torc_ring_on_join(torc_topology *t, const torc_id *from, torc_slice payload,
                              torc_topology_reply *reply) {
  t->handoff.stage = TORC_HANDOFF_NONE;
  __real_torc_ring_on_join(t, from, payload, reply);
}
#endif

#ifdef BUG_on_link_down
/* A joining peer keeps neighbours whose links have gone down, as it once did. */
void __real_torc_ring_on_link_down(torc_topology *t, const torc_id *peer);
void __wrap_torc_ring_on_link_down(torc_topology *t, const torc_id *peer);
void __wrap_torc_ring_on_link_down(torc_topology *t, const torc_id *peer) {
  if (t->state == TORC_TOPO_JOINING) {
    torc_ring_join_link_down(t, peer);
    torc_ring_settle(t);
  } else {
    __real_torc_ring_on_link_down(t, peer);
  }
}
#endif

#ifdef BUG_handoff_check
/* A hand-over is given up although its UPDATE cannot be called back, as it once was. */
void __wrap_torc_ring_handoff_check(torc_topology *t);
void __wrap_torc_ring_handoff_check(torc_topology *t) {
  if (t->handoff.stage != TORC_HANDOFF_NONE && !torc_id_eq(&t->range_from, &t->handoff.from)) {
    torc_ring_handoff_abort(t, "the range changed meanwhile");
  }
}
#endif

#ifdef BUG_handoff_transferred
/* The admitting peer gives the range away before the joining peer has answered [GAP-114]. */
void __real_torc_ring_handoff_transferred(torc_topology *t, const torc_ring_op *op, int rc);
void __wrap_torc_ring_handoff_transferred(torc_topology *t, const torc_ring_op *op, int rc);
void __wrap_torc_ring_handoff_transferred(torc_topology *t, const torc_ring_op *op, int rc) {
  __real_torc_ring_handoff_transferred(t, op, rc);
  if (t->handoff.stage == TORC_HANDOFF_UPDATE) {
    torc_ring_handoff_finish(t);
  }
}
#endif

#ifdef BUG_on_drop
/* What others hold copies of is dropped at once [GAP-119]. */
void __wrap_torc_ring_on_drop(torc_topology *t, torc_time now);
void __wrap_torc_ring_on_drop(torc_topology *t, torc_time now) {
  (void)now;
  t->host->ops->drop_range(t->host->ctx, &t->self, &t->range_from);
}
#endif

#ifdef BUG_cand_confirmed
/* A peer that says it is not in the ring goes on standing for a lost predecessor, as it once did.
 */
void __real_torc_ring_cand_confirmed(torc_topology *t, const torc_ring_op *op, uint16_t code);
void __wrap_torc_ring_cand_confirmed(torc_topology *t, const torc_ring_op *op, uint16_t code);
void __wrap_torc_ring_cand_confirmed(torc_topology *t, const torc_ring_op *op, uint16_t code) {
  torc_ring_cand *c;
  __real_torc_ring_cand_confirmed(t, op, code);
  c = torc_ring_cand_find(t, &op->peer);
  if (c != NULL && code == TORC_CODE_NOT_FOUND) {
    c->fails = 0;
    c->tried_at = 0;
  }
}
#endif

#ifdef BUG_cand_del
/* A peer that was heard of stays one until it is a member, also when it joins or leaves. */
void __real_torc_ring_cand_del(torc_topology *t, const torc_id *id);
void __wrap_torc_ring_cand_del(torc_topology *t, const torc_id *id);
void __wrap_torc_ring_cand_del(torc_topology *t, const torc_id *id) {
  if (torc_ring_member_find(t, id) != NULL) {
    __real_torc_ring_cand_del(t, id);
  }
}
#endif
