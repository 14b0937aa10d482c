/* The admitting peer: checks a JOIN, hands the range over, and keeps it until the joining peer has
 * answered [JOI-08] [GAP-114] [GAP-116]. Used by every ring topology. SPDX-License-Identifier:
 * Apache-2.0 */
#include "overlay/topology/ring.h"

/* [GAP-116]; 0: admit. */
static uint16_t join_refusal(const torc_topology *t, const torc_id *jp) {
  if (!torc_ring_is_active(t) || t->state == TORC_TOPO_LEAVING) {
    return TORC_CODE_UNAVAILABLE;
  }
  if (!torc_ring_is_responsible(t, jp)) {
    return TORC_CODE_NOT_FOUND;
  }
  if (t->handoff.stage != TORC_HANDOFF_NONE && !torc_id_eq(&t->handoff.jp, jp)) {
    return TORC_CODE_UNAVAILABLE; /* one JOIN at a time [GAP-114] */
  }
  if (t->num_members >= t->policy->join_members_max) {
    return TORC_CODE_UNAVAILABLE;
  }
  return 0;
}

/* Two survivors that each try to join the other: the one with the higher id stays and admits. */
static void settle_mutual(torc_topology *t, const torc_id *jp) {
  if (t->state == TORC_TOPO_JOINING && t->has_range && torc_id_cmp(&t->self, jp) > 0 &&
      (torc_id_eq(jp, &t->join.bootstrap) || torc_id_eq(jp, &t->join.ap))) {
    torc_ring_join_stop(t);
    t->num_members = 0;
    torc_ring_set_state(t, TORC_TOPO_JOINED);
    torc_ring_stabilise_start(t);
  }
}

static void begin(torc_topology *t, const torc_id *jp) {
  torc_ring_cand_del(t, jp);
  t->handoff.stage = TORC_HANDOFF_TRANSFER;
  t->handoff.jp = *jp;
  t->handoff.from = t->range_from;
  t->handoff.serial++;
  t->handoff.deadline = torc_time_add(torc_ring_now(t), TORC_RING_HANDOFF_MAX);
  torc_ring_arm(t, TORC_ALARM_STEP, t->handoff.deadline);
  TORC_LOG(t->host->log, TORC_LOG_DEBUG, "topology:admits", TORC_F_ID("peer", jp));
  /* [CHD-15] [JOI-03] */
  if (torc_ring_transfer(t, TORC_OP_HANDOFF_TRANSFER, t->handoff.serial, jp, &t->handoff.from,
                         jp) != 0) {
    torc_ring_handoff_abort(t, "the transfer could not start");
  }
}

void torc_ring_on_join(torc_topology *t, const torc_id *from, torc_slice payload,
                       torc_topology_reply *reply) {
  torc_peer_notice notice;
  if (torc_peer_notice_decode(&notice, payload) != 0) {
    reply->code = TORC_CODE_BAD_REQUEST;
    t->host->stats->joins_refused++;
    return;
  }
  if (!torc_id_eq(&notice.peer, from) || !torc_id_is_peer(from) || torc_id_eq(from, &t->self) ||
      !t->host->ops->is_linked(t->host->ctx, from)) { /* [GAP-54] [GAP-116] */
    reply->code = TORC_CODE_FORBIDDEN;
    t->host->stats->joins_refused++;
    return;
  }
  settle_mutual(t, from);
  if (torc_ring_is_active(t)) {
    /* A known peer that joins has started anew [GAP-116]; one that was heard of and never linked,
     * with whom the own range begins, is not in the ring either: its range is handed to it. */
    if (torc_ring_member_find(t, from) != NULL) {
      torc_ring_member_del(t, from, TORC_GONE_LEFT);
    }
    torc_ring_cand_del(t, from);
    torc_ring_check_range(t);
  }
  reply->code = join_refusal(t, from);
  if (reply->code == 0) {
    reply->code = TORC_CODE_OK; /* [JOI-07] success or failure only */
    begin(t, from);
    if (t->handoff.stage == TORC_HANDOFF_NONE) {
      reply->code = TORC_CODE_UNAVAILABLE;
    }
  } else if (reply->code == TORC_CODE_UNAVAILABLE) {
    t->host->stats->joins_busy++;
  } else {
    t->host->stats->joins_refused++;
  }
}

/* [CHD-16]: the UPDATE that labels the joining peer as predecessor. */
void torc_ring_handoff_transferred(torc_topology *t, const torc_ring_op *op, int rc) {
  if (t->handoff.stage != TORC_HANDOFF_TRANSFER || op->arg != t->handoff.serial) {
    return;
  }
  if (rc != 0) {
    t->host->stats->transfers_failed++;
    torc_ring_handoff_abort(t, "the transfer failed");
    return;
  }
  t->handoff.stage = TORC_HANDOFF_UPDATE;
  if (torc_ring_update_send(t, TORC_OP_HANDOFF_UPDATE, t->handoff.serial, &t->handoff.jp,
                            &t->handoff.jp) != 0) {
    torc_ring_handoff_abort(t, "the UPDATE could not be sent");
  }
}

void torc_ring_handoff_answered(torc_topology *t, const torc_ring_op *op, uint16_t code) {
  if (t->handoff.stage != TORC_HANDOFF_UPDATE || op->arg != t->handoff.serial) {
    return;
  }
  if (code == TORC_CODE_OK) {
    torc_ring_handoff_finish(t);
  } else {
    torc_ring_handoff_abort(t, "the UPDATE was refused or not answered");
  }
}

/* The joining peer has switched; [CHD-17]: the neighbours are told by the changed table. */
void torc_ring_handoff_finish(torc_topology *t) {
  torc_id jp = t->handoff.jp;
  torc_id from = t->handoff.from;
  torc_id grown = t->range_from;
  torc_ring_member *m;
  t->handoff.stage = TORC_HANDOFF_NONE;
  torc_ring_disarm(t, TORC_ALARM_STEP);
  m = torc_ring_member_add(t, &jp, true);
  if (m == NULL) {
    t->host->stats
        ->handoffs_aborted++; /* the table is full: its UPDATEs bring it in by the other way */
    return;
  }
  m->first_pred = from;
  m->is_restored = true; /* it has just been given everything */
  if (torc_id_in_open(&from, &grown, &jp)) {
    torc_ring_owe(t, &grown, &from); /* but what has come to this peer since */
  }
  t->host->stats->joins_ok++;
  TORC_LOG(t->host->log, TORC_LOG_INFO, "topology:admitted", TORC_F_ID("peer", &jp));
}

/* The range stays here. A joining peer that is still linked gets an UPDATE that does not name it,
 * and tries again. */
void torc_ring_handoff_abort(torc_topology *t, const char *why) {
  torc_id jp = t->handoff.jp;
  if (t->handoff.stage == TORC_HANDOFF_NONE) {
    return;
  }
  t->handoff.stage = TORC_HANDOFF_NONE;
  t->handoff.serial++;
  t->host->stats->handoffs_aborted++;
  torc_ring_disarm(t, TORC_ALARM_STEP);
  TORC_LOG(t->host->log, TORC_LOG_INFO, "topology:admission_failed", TORC_F_ID("peer", &jp),
           TORC_F_STR("why", why));
  if (t->host->ops->is_linked(t->host->ctx, &jp) &&
      torc_ring_update_send(t, TORC_OP_HANDOFF_NOTICE, 0, &jp, NULL) != 0) {
    TORC_LOG(t->host->log, TORC_LOG_DEBUG, "topology:notice_unsent", TORC_F_ID("peer", &jp));
  }
}

void torc_ring_handoff_check(torc_topology *t) {
  if (t->handoff.stage == TORC_HANDOFF_NONE || torc_id_eq(&t->range_from, &t->handoff.from)) {
    return;
  }
  if (t->handoff.stage == TORC_HANDOFF_UPDATE && torc_ring_is_responsible(t, &t->handoff.jp)) {
    return; /* the UPDATE cannot be called back: writes go on to both until it is answered */
  }
  torc_ring_handoff_abort(t, "the range changed meanwhile");
}
