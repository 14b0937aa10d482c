/* Leaving, and peers that leave [LEA-01] [LEA-04] [CHD-46] [CHD-47] [GAP-118].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/topology/ring.h"

/* Of the three seconds, the answers to the LEAVEs get the last one. */
#define PUSH_MAX (TORC_RING_LEAVE_MAX - TORC_SEC(1))

static void finish(torc_topology *t) {
  torc_ring_disarm(t, TORC_ALARM_STEP);
  torc_ring_disarm(t, TORC_ALARM_WORK);
  torc_ring_disarm(t, TORC_ALARM_GATHER);
  torc_ring_ops_clear(t);
  t->num_members = 0;
  t->num_cands = 0;
  t->num_owed = 0;
  t->num_replicas = 0;
  t->has_range = false;
  torc_ring_set_state(t, TORC_TOPO_LEFT);
}

/* [LEA-01]: to every directly connected peer. */
static void send_leaves(torc_topology *t) {
  torc_id peers[TORC_RING_LINKS_MAX];
  size_t num = t->host->ops->links(t->host->ctx, peers, TORC_RING_LINKS_MAX);
  if (num > TORC_RING_LINKS_MAX) {
    t->host->stats->links_ignored += num - TORC_RING_LINKS_MAX;
    num = TORC_RING_LINKS_MAX;
  }
  t->has_sent_leaves = true;
  t->leaves_pending = 0;
  for (size_t i = 0; i < num; i++) {
    if (torc_ring_notice(t, TORC_OP_LEAVE, 0, &peers[i], TORC_METHOD_LEAVE) == 0) {
      t->leaves_pending++;
    }
  }
  if (t->leaves_pending == 0) {
    finish(t);
    return;
  }
  torc_ring_arm(t, TORC_ALARM_STEP, t->leave_deadline);
}

/* What is not yet replicated goes first [GAP-118]. */
void torc_ring_leave_pump(torc_topology *t) {
  if (!t->has_sent_leaves && torc_ring_replicas_idle(t)) {
    send_leaves(t);
  }
}

void torc_ring_leave(torc_topology *t) {
  torc_time now = torc_ring_now(t);
  bool was_active = torc_ring_is_active(t);
  if (t->state == TORC_TOPO_LEAVING || t->state == TORC_TOPO_LEFT) {
    return;
  }
  torc_ring_handoff_abort(t, "this peer leaves");
  torc_ring_join_stop(t);
  torc_ring_stabilise_stop(t);
  t->leave_deadline = torc_time_add(now, TORC_RING_LEAVE_MAX);
  t->has_sent_leaves = false;
  torc_ring_set_state(t, TORC_TOPO_LEAVING);
  if (!was_active) {
    finish(t); /* never in the ring: nobody to tell */
    return;
  }
  torc_ring_arm(t, TORC_ALARM_STEP, torc_time_add(now, PUSH_MAX));
  torc_ring_settle(t);
}

void torc_ring_leave_timeout(torc_topology *t) {
  if (!t->has_sent_leaves) {
    send_leaves(t);
  } else {
    finish(t);
  }
}

void torc_ring_leave_answered(torc_topology *t) {
  if (t->state != TORC_TOPO_LEAVING || t->leaves_pending == 0) {
    return;
  }
  t->leaves_pending--;
  if (t->leaves_pending == 0) {
    finish(t);
  }
}

/* [CHD-47] [LEA-04]: removed at once, without a PING; what follows is that of any lost neighbour. A
 * client's LEAVE changes nothing. */
void torc_ring_on_leave(torc_topology *t, const torc_id *from, torc_slice payload,
                        torc_topology_reply *reply) {
  torc_peer_notice notice;
  if (torc_peer_notice_decode(&notice, payload) != 0) {
    reply->code = TORC_CODE_BAD_REQUEST;
    return;
  }
  if (!torc_id_eq(&notice.peer, from)) { /* [GAP-118] */
    reply->code = TORC_CODE_FORBIDDEN;
    return;
  }
  reply->code = TORC_CODE_OK;
  if (t->state == TORC_TOPO_JOINING) {
    torc_ring_member_del(t, from, TORC_GONE_LEFT); /* before the join looks for another way */
  }
  torc_ring_join_link_down(t, from);
  if (t->handoff.stage != TORC_HANDOFF_NONE && torc_id_eq(&t->handoff.jp, from)) {
    torc_ring_handoff_abort(t, "the joining peer leaves");
  }
  torc_ring_owed_link_down(t, from);
  torc_ring_member_del(t, from, TORC_GONE_LEFT);
  torc_ring_cand_del(t, from);
}
