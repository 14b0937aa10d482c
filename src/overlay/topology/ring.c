/* Life of the ring engine, dispatch of the node's events, and the follow-up work after each.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/topology/ring.h"

#include "base/mem.h"

torc_time torc_ring_now(const torc_topology *t) {
  return t->host->ops->now(t->host->ctx);
}

torc_time torc_ring_jitter(torc_topology *t, torc_time base) {
  return base + torc_rng_below(t->host->rng, base);
}

bool torc_ring_is_active(const torc_topology *t) {
  return t->has_range && (t->state == TORC_TOPO_JOINED || t->state == TORC_TOPO_DISCONNECTED ||
                          (t->state == TORC_TOPO_LEAVING && !t->has_sent_leaves));
}

void torc_ring_set_state(torc_topology *t, torc_topology_state state) {
  if (t->state == state) {
    return;
  }
  t->state = state;
  if (state == TORC_TOPO_JOINED) {
    t->rejoin_delay = 0;
  }
  TORC_LOG(t->host->log, TORC_LOG_INFO, "topology:state", TORC_F_U64("state", (uint64_t)state));
  t->host->ops->state_changed(t->host->ctx, state);
}

/* ---- alarms ---- */

static torc_ring_alarm earliest(const torc_time alarms[TORC_ALARMS]) {
  size_t first = 0;
  for (size_t i = 1; i < TORC_ALARMS; i++) {
    first = alarms[i] < alarms[first] ? i : first;
  }
  return (torc_ring_alarm)first;
}

void torc_ring_arm(torc_topology *t, torc_ring_alarm alarm, torc_time at) {
  t->alarms[alarm] = at;
  at = t->alarms[earliest(t->alarms)];
  if (at != t->timer.at) {
    torc_timer_arm(t->host->timers, &t->timer, at);
  }
}

void torc_ring_disarm(torc_topology *t, torc_ring_alarm alarm) {
  torc_ring_arm(t, alarm, TORC_NEVER);
}

static void on_step(torc_topology *t, torc_time now) {
  if (t->state == TORC_TOPO_LEAVING) {
    torc_ring_leave_timeout(t);
  } else if (t->state == TORC_TOPO_JOINING) {
    torc_ring_join_timeout(t);
  } else if (t->handoff.stage != TORC_HANDOFF_NONE && now >= t->handoff.deadline) {
    torc_ring_handoff_abort(t, "it took too long");
  }
  torc_ring_settle(t);
}

static void ring_alarm(torc_topology *t, torc_ring_alarm alarm, torc_time now) {
  switch (alarm) {
    case TORC_ALARM_WORK:
      torc_ring_settle(t);
      break;
    case TORC_ALARM_GATHER:
      torc_ring_update_flush(t);
      torc_ring_settle(t);
      break;
    case TORC_ALARM_PERIODIC:
      torc_ring_on_periodic(t, now);
      break;
    case TORC_ALARM_FINGER_PING:
      torc_ring_on_finger_ping(t, now);
      break;
    case TORC_ALARM_BOOT:
      torc_ring_on_boot(t);
      break;
    case TORC_ALARM_DROP:
      torc_ring_on_drop(t, now);
      break;
    case TORC_ALARM_STEP:
      on_step(t, now);
      break;
    case TORC_ALARMS:
      break;
  }
}

/* Those that are due now, in the order of their times; what they arm comes later. */
static void on_timer(torc_timer *timer, torc_time now) {
  torc_topology *t = TORC_CONTAINER_OF(timer, torc_topology, timer);
  torc_time due[TORC_ALARMS];
  torc_ring_alarm next;
  for (size_t i = 0; i < TORC_ALARMS; i++) {
    due[i] = t->alarms[i] <= now ? t->alarms[i] : TORC_NEVER;
  }
  while (next = earliest(due), due[next] != TORC_NEVER) {
    bool is_still_due = t->alarms[next] == due[next];
    due[next] = TORC_NEVER;
    if (is_still_due) {
      torc_ring_disarm(t, next);
      ring_alarm(t, next, now);
    }
  }
  torc_timer_arm(t->host->timers, &t->timer, t->alarms[earliest(t->alarms)]);
}

/* ---- life ---- */

static bool params_ok(const torc_topology_params *p) {
  return p->num_replicas >= 1 && p->num_replicas <= TORC_REPLICAS_MAX &&
         p->num_fingers <= TORC_FINGERS_MAX && p->update_period > 0 && p->ping_period > 0 &&
         p->deletion_delay > 0 && p->rejoin_min > 1 && p->rejoin_max >= p->rejoin_min &&
         p->retry_unreachable > 0;
}

int torc_ring_create(torc_topology **out, const torc_ring_policy *policy,
                     const torc_topology_host *host, const torc_topology_params *params) {
  torc_topology *t;
  if (!params_ok(params)) {
    return TORC_ERR_CONFIG;
  }
  if (!torc_id_is_peer(&host->self)) {
    return TORC_ERR_INVALID;
  }
  t = torc_calloc(host->mem, 1, sizeof *t);
  if (t == NULL) {
    return TORC_ERR_NOMEM;
  }
  t->host = host;
  t->params = params;
  t->policy = policy;
  t->self = host->self;
  t->replicas = torc_calloc(host->mem, params->num_replicas, sizeof t->replicas[0]);
  if (params->num_fingers > 0) {
    t->fingers = torc_calloc(host->mem, params->num_fingers, sizeof t->fingers[0]);
  }
  if (t->replicas == NULL || (t->fingers == NULL && params->num_fingers > 0)) {
    torc_free(host->mem, t->replicas);
    torc_free(host->mem, t->fingers);
    torc_free(host->mem, t);
    return TORC_ERR_NOMEM;
  }
  t->keep = policy->keeps_all ? policy->members_max : params->num_replicas + 1;
  if (t->keep < TORC_RING_NEIGHBOURS_MIN) {
    t->keep = TORC_RING_NEIGHBOURS_MIN; /* [CHD-02] [CHD-22]; GAP-119 needs replicas + 1 */
  }
  torc_timer_init(&t->timer, on_timer);
  for (size_t i = 0; i < TORC_ALARMS; i++) {
    t->alarms[i] = TORC_NEVER;
  }
  *out = t;
  return 0;
}

void torc_ring_destroy(torc_topology *t) {
  const torc_mem *mem;
  if (t == NULL) {
    return;
  }
  mem = t->host->mem;
  torc_timer_stop(t->host->timers, &t->timer);
  torc_free(mem, t->members);
  torc_free(mem, t->paces);
  torc_free(mem, t->cands);
  torc_free(mem, t->ops);
  torc_free(mem, t->join.found);
  torc_free(mem, t->replicas);
  torc_free(mem, t->owed);
  torc_free(mem, t->former);
  torc_free(mem, t->fingers);
  torc_free(mem, t);
}

/* [R-51] [ARC-09] [ARC-10]. In a ring already: the bootstrap peer's ring is looked at and, if it is
 * another one, merged with [GAP-124]. */
int torc_ring_start(torc_topology *t, const torc_id *bootstrap) {
  if (t->state == TORC_TOPO_LEAVING ||
      (bootstrap != NULL && (!torc_id_is_peer(bootstrap) || torc_id_eq(bootstrap, &t->self)))) {
    return TORC_ERR_STATE;
  }
  if (bootstrap == NULL) {
    if (t->state == TORC_TOPO_JOINED) {
      return TORC_ERR_STATE;
    }
    torc_ring_found(t);
  } else if (t->state == TORC_TOPO_JOINED && t->num_members > 0) {
    torc_id target = torc_id_next(&t->self);
    int rc = torc_ring_ping(t, TORC_OP_BOOT_PING, 0, &target, bootstrap);
    if (rc != 0) {
      return rc;
    }
    t->is_boot_running = true;
  } else {
    torc_ring_join_begin(t, bootstrap);
  }
  torc_ring_settle(t);
  return 0;
}

/* ---- follow-up work ---- */

/* A candidate stands in for a lost predecessor only for a while [GAP-109]. */
static void range_deadline(const torc_topology *t, torc_time *next) {
  const torc_ring_cand *c = torc_ring_cand_find(t, &t->range_from);
  torc_time at;
  if (c != NULL && torc_ring_cand_is_pending(t, c) && c->tried_at != 0) {
    at = torc_time_add(c->tried_at, TORC_RING_PENDING);
    *next = at < *next ? at : *next;
  }
}

/* [CHD-26] [GAP-122]: only with no connection at all in the routing table is this peer cut off. */
static void check_cut(torc_topology *t) {
  if (t->state == TORC_TOPO_JOINED && t->num_members == 0 && t->is_cut) {
    t->is_cut = false;
    torc_ring_set_state(t, TORC_TOPO_DISCONNECTED);
    torc_ring_boot_arm(t);
  }
}

void torc_ring_settle(torc_topology *t) {
  torc_time next = TORC_NEVER;
  if (!torc_ring_is_active(t)) {
    return;
  }
  torc_ring_check_range(t);
  torc_ring_replicas_pump(t, &next);
  if (t->state == TORC_TOPO_LEAVING) {
    torc_ring_arm(t, TORC_ALARM_WORK, next);
    torc_ring_leave_pump(t);
    return;
  }
  torc_ring_gap_pump(t, &next);
  torc_ring_cands_pump(t, &next);
  torc_ring_owed_pump(t, &next);
  torc_ring_restore_pump(t);
  torc_ring_fingers_pump(t, &next);
  range_deadline(t, &next);
  torc_ring_arm(t, TORC_ALARM_WORK, next);
  check_cut(t);
}

/* ---- events ---- */

void torc_ring_on_link_up(torc_topology *t, const torc_id *peer) {
  torc_ring_member *m = torc_ring_member_find(t, peer);
  torc_ring_cand *c = torc_ring_cand_find(t, peer);
  if (m != NULL) {
    /* A new link of a known peer: it may have started anew, with an empty store. If so it is
     * joining, and says so. */
    torc_ring_update_member(t, m);
    torc_ring_update_flush(t);
    if (torc_ring_now(t) >= torc_time_add(m->since, TORC_RING_GLARE)) {
      torc_ring_replicas_stale(t, peer);
    }
  }
  if (c != NULL && c->state != TORC_CAND_CONFIRMING) {
    c->state = TORC_CAND_IDLE;
    c->retry_at = 0;
  }
  torc_ring_settle(t);
}

/* [CHD-24] [ARC-07] */
void torc_ring_on_link_down(torc_topology *t, const torc_id *peer) {
  torc_id id = *peer;
  if (t->state == TORC_TOPO_JOINING) {
    torc_ring_member_del(t, &id, TORC_GONE_DOWN); /* before the join looks for another way */
  }
  torc_ring_join_link_down(t, &id);
  if (t->handoff.stage != TORC_HANDOFF_NONE && torc_id_eq(&t->handoff.jp, &id)) {
    torc_ring_handoff_abort(t, "the link to the joining peer went down");
  }
  torc_ring_owed_link_down(t, &id);
  if (t->state == TORC_TOPO_JOINED || t->state == TORC_TOPO_LEAVING) {
    torc_ring_member_del(t, &id, TORC_GONE_DOWN);
  }
  torc_ring_settle(t);
}

void torc_ring_on_request(torc_topology *t, torc_method method, const torc_id *from,
                          torc_slice payload, torc_topology_reply *reply) {
  torc_id id = *from;
  *reply = (torc_topology_reply){.code = TORC_CODE_METHOD};
  if (method == TORC_METHOD_JOIN) {
    torc_ring_on_join(t, &id, payload, reply);
  } else if (method == TORC_METHOD_LEAVE) {
    torc_ring_on_leave(t, &id, payload, reply);
  } else if (method == TORC_METHOD_UPDATE) {
    torc_ring_on_update(t, &id, payload, reply);
  }
  torc_ring_settle(t);
}

static void finger_replaced(torc_topology *t, const torc_ring_op *op, int rc) {
  if (rc == 0 && t->fingers[op->arg].state == TORC_FINGER_SET) {
    t->fingers[op->arg].state = TORC_FINGER_RUNNING;
    t->num_fingers_running++;
    torc_ring_finger_connected(t, op, rc, &op->peer);
  }
}

void torc_ring_on_connect_done(torc_topology *t, torc_token cookie, int rc, const torc_id *peer) {
  torc_ring_op op;
  if (!torc_ring_op_take(t, cookie, &op)) {
    return;
  }
  if (op.kind == TORC_OP_JOIN_CONNECT) {
    torc_ring_join_connected(t, &op, rc);
  } else if (op.kind == TORC_OP_CAND_CONNECT) {
    torc_ring_cand_connected(t, &op, rc);
  } else if (op.kind == TORC_OP_FINGER_CONNECT) {
    torc_ring_finger_connected(t, &op, rc, peer);
  } else if (op.kind == TORC_OP_FINGER_REPLACE) {
    finger_replaced(t, &op, rc);
  } else if (op.kind == TORC_OP_OWED_CONNECT) {
    torc_ring_owed_connected(t, &op, rc, peer);
  } else if (op.kind == TORC_OP_BOOT_CONNECT) {
    torc_ring_boot_connected(t, &op, rc);
  } else if (op.kind == TORC_OP_GAP_CONNECT) {
    torc_ring_gap_connected(t, &op, rc);
  }
  torc_ring_settle(t);
}

void torc_ring_on_ping_done(torc_topology *t, torc_token cookie, int rc, const torc_id *responder) {
  torc_ring_op op;
  if (!torc_ring_op_take(t, cookie, &op)) {
    return;
  }
  if (op.kind == TORC_OP_JOIN_PING) {
    torc_ring_join_pinged(t, &op, rc, responder);
  } else if (op.kind == TORC_OP_SUSPECT_PING) {
    torc_ring_suspect_answered(t, &op, rc, responder);
  } else if (op.kind == TORC_OP_FINGER_PING) {
    torc_ring_finger_pinged(t, &op, rc, responder);
  } else if (op.kind == TORC_OP_BOOT_PING) {
    torc_ring_boot_pinged(t, rc, responder);
  } else if (op.kind == TORC_OP_GAP_PING) {
    torc_ring_gap_pinged(t, rc, responder);
  }
  torc_ring_settle(t);
}

void torc_ring_on_response(torc_topology *t, torc_token cookie, int rc, uint16_t code,
                           torc_slice payload) {
  torc_ring_op op;
  (void)payload; /* [UPD-03] [JOI-07]: success or an error, nothing else */
  if (!torc_ring_op_take(t, cookie, &op)) {
    return;
  }
  if (rc != 0) {
    code = 0;
  }
  if (op.kind == TORC_OP_UPDATE) {
    torc_ring_update_answered(t, &op, rc, code);
  } else if (op.kind == TORC_OP_CONFIRM) {
    torc_ring_cand_confirmed(t, &op, code);
  } else if (op.kind == TORC_OP_JOIN) {
    torc_ring_join_answered(t, &op, code);
  } else if (op.kind == TORC_OP_HANDOFF_UPDATE) {
    torc_ring_handoff_answered(t, &op, code);
  } else if (op.kind == TORC_OP_GAP_JOIN) {
    torc_ring_gap_answered(t, &op, code);
  } else if (op.kind == TORC_OP_LEAVE) {
    torc_ring_leave_answered(t);
  }
  torc_ring_settle(t);
}

void torc_ring_on_transfer_done(torc_topology *t, torc_token cookie, int rc) {
  torc_ring_op op;
  if (!torc_ring_op_take(t, cookie, &op)) {
    return;
  }
  if (op.kind == TORC_OP_HANDOFF_TRANSFER) {
    torc_ring_handoff_transferred(t, &op, rc);
  } else if (op.kind == TORC_OP_SYNC_TRANSFER) {
    torc_ring_replica_transferred(t, &op, rc);
  } else if (op.kind == TORC_OP_OWED_TRANSFER) {
    torc_ring_owed_transferred(t, &op, rc);
  } else if (rc != 0) {
    t->host->stats->transfers_failed++;
  }
  torc_ring_settle(t);
}

void torc_ring_on_copy_failed(torc_topology *t, const torc_id *peer) {
  t->host->stats->transfers_failed++;
  torc_ring_replicas_missed(t, peer);
  torc_ring_settle(t);
}
