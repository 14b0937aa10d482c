/* What happens by the clock: periodic UPDATEs, finger PINGs, bootstrap peers of another ring, lost
 * successors [CHD-25] [CHD-26] [CHD-38..40] [GAP-120] [GAP-122] [GAP-124].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/topology/ring.h"

/* P +- 10 % [CHD-40]. */
static torc_time around(torc_topology *t, torc_time period) {
  return period - period / 10 + torc_rng_below(t->host->rng, period / 5 + 1);
}

void torc_ring_stabilise_start(torc_topology *t) {
  torc_time now = torc_ring_now(t);
  /* [GAP-120]: the first after a random part of the period. */
  torc_ring_arm(t, TORC_ALARM_PERIODIC,
                torc_time_add(now, torc_rng_below(t->host->rng, t->params->update_period)));
  if (t->params->num_fingers > 0) {
    torc_ring_arm(t, TORC_ALARM_FINGER_PING,
                  torc_time_add(now, torc_rng_below(t->host->rng, t->params->ping_period)));
  }
  torc_ring_arm(t, TORC_ALARM_DROP, torc_time_add(now, t->params->deletion_delay));
  t->changed_at = now;
  torc_ring_boot_arm(t);
  torc_ring_fingers_restart(t);
}

void torc_ring_stabilise_stop(torc_topology *t) {
  torc_ring_disarm(t, TORC_ALARM_PERIODIC);
  torc_ring_disarm(t, TORC_ALARM_FINGER_PING);
  torc_ring_disarm(t, TORC_ALARM_DROP);
  torc_ring_disarm(t, TORC_ALARM_BOOT);
  torc_ring_disarm(t, TORC_ALARM_GATHER);
  torc_ring_disarm(t, TORC_ALARM_WORK);
}

/* Members that this peer does not use, and that have stopped using it. */
static void prune(torc_topology *t, torc_time now) {
  torc_time age = 2 * t->params->update_period + t->params->update_period / 2;
  size_t i = 0;
  while (i < t->num_members) {
    const torc_ring_member *m = &t->members[i];
    torc_time last = m->heard > m->since ? m->heard : m->since;
    torc_id id = m->id;
    if (!torc_ring_is_near(t, m) && !torc_ring_is_finger(t, &id) &&
        !torc_id_eq(&id, &t->owed_peer) && now >= torc_time_add(last, age)) {
      torc_ring_member_del(t, &id, TORC_GONE_UNUSED);
    } else {
      i++;
    }
  }
  void *array = t->members;
  torc_ring_release(t, &array, &t->cap_members, t->num_members, sizeof t->members[0]);
  t->members = array;
}

void torc_ring_on_periodic(torc_topology *t, torc_time now) {
  torc_ring_arm(t, TORC_ALARM_PERIODIC, torc_time_add(now, around(t, t->params->update_period)));
  prune(t, now);
  torc_ring_paces_prune(t);
  torc_ring_forget_former(t);
  if (!t->has_gap) {
    t->gap_peer = torc_id_zero;
  }
  torc_ring_update_all(t); /* [CHD-38] [ARC-07] */
  torc_ring_settle(t);
}

void torc_ring_on_finger_ping(torc_topology *t, torc_time now) {
  torc_ring_arm(t, TORC_ALARM_FINGER_PING, torc_time_add(now, around(t, t->params->ping_period)));
  torc_ring_finger_ping(t);
  torc_ring_settle(t);
}

/* ---- bootstrap peers ---- */

static torc_time founder_period(const torc_topology *t) {
  torc_time period = t->params->update_period / 6;
  return period < TORC_RING_FOUNDER_MAX ? period : TORC_RING_FOUNDER_MAX;
}

/* a founder every 10 s for one UPDATE period; [GAP-124] any peer once per finger period;
 * [GAP-122] one that has lost its ring with growing pauses. */
void torc_ring_boot_arm(torc_topology *t) {
  torc_time now = torc_ring_now(t);
  torc_time delay;
  if (t->state == TORC_TOPO_DISCONNECTED) {
    if (t->rejoin_delay == 0) {
      t->rejoin_delay = t->params->rejoin_min;
    }
    delay = torc_ring_jitter(t, t->rejoin_delay / 2);
    t->rejoin_delay *= 2;
    if (t->rejoin_delay > t->params->rejoin_max) {
      t->rejoin_delay = t->params->rejoin_max;
    }
  } else if (t->founded_at != 0 && now < torc_time_add(t->founded_at, t->params->update_period)) {
    delay = around(t, founder_period(t));
  } else {
    delay = around(t, t->params->ping_period);
  }
  torc_ring_arm(t, TORC_ALARM_BOOT, torc_time_add(now, delay));
}

void torc_ring_on_boot(torc_topology *t) {
  torc_ring_boot_arm(t);
  if (!t->is_boot_running && t->state != TORC_TOPO_JOINING) {
    t->is_boot_running = torc_ring_ping_bootstrap(t) == 0;
  }
  torc_ring_settle(t);
}

void torc_ring_boot_pinged(torc_topology *t, int rc, const torc_id *responder) {
  bool is_news = false;
  t->is_boot_running = false;
  if (rc != 0 || responder == NULL || !torc_id_is_peer(responder) ||
      torc_id_eq(responder, &t->self)) {
    return;
  }
  if (t->state == TORC_TOPO_DISCONNECTED || t->num_members == 0) {
    is_news = true;
  } else if (t->state == TORC_TOPO_JOINED) {
    /* [GAP-124]: a successor closer than the present one; or a peer that holds itself responsible
     * for the place right behind this one and has not been met: its ring is another one, and there
     * the closer neighbour may be on its side. */
    is_news = torc_id_in_open(responder, &t->self, &t->members[0].id) ||
              torc_ring_member_find(t, responder) == NULL;
  }
  if (is_news) {
    t->is_boot_running =
        torc_ring_connect(t, TORC_OP_BOOT_CONNECT, 0, responder, true, &torc_id_wildcard) == 0;
  }
}

void torc_ring_boot_connected(torc_topology *t, const torc_ring_op *op, int rc) {
  t->is_boot_running = false;
  if (rc != 0) {
    return;
  }
  if (t->state == TORC_TOPO_DISCONNECTED) {
    torc_ring_join_begin(t, &op->peer); /* [CHD-26] */
  } else if (torc_ring_is_active(t)) {
    t->host->stats->merges++;
    torc_ring_cand_confirm(t, &op->peer); /* as a closer peer of an UPDATE */
  }
}

/* ---- all successors lost [CHD-25] ---- */

void torc_ring_gap_pump(torc_topology *t, torc_time *next) {
  torc_time now = torc_ring_now(t);
  torc_id target = torc_id_next(&t->self);
  const torc_ring_member *pred = torc_ring_pred(t, 0);
  if (pred == NULL) {
    t->has_gap = false;
  }
  if (!t->has_gap || t->is_gap_running) {
    return;
  }
  if (t->gap_retry_at <= now) {
    /* [GAP-122]: the predecessors are asked first. */
    t->is_gap_running = torc_ring_ping(t, TORC_OP_GAP_PING, 0, &target, &pred->id) == 0;
    t->gap_retry_at = torc_time_add(now, TORC_RING_RETRY);
  }
  if (!t->is_gap_running) {
    *next = t->gap_retry_at < *next ? t->gap_retry_at : *next;
  }
}

void torc_ring_gap_pinged(torc_topology *t, int rc, const torc_id *responder) {
  const torc_ring_member *pred = torc_ring_pred(t, 0);
  t->is_gap_running = false;
  if (rc != 0 || responder == NULL || !torc_id_is_peer(responder) || pred == NULL) {
    return; /* again after gap_retry_at */
  }
  if (torc_id_eq(responder, &t->self) || torc_ring_member_find(t, responder) != NULL) {
    t->has_gap = false;
    return;
  }
  t->gap_peer = *responder;
  t->is_gap_running = torc_ring_connect(t, TORC_OP_GAP_CONNECT, 0, responder, true, &pred->id) == 0;
}

void torc_ring_gap_connected(torc_topology *t, const torc_ring_op *op, int rc) {
  t->is_gap_running = false;
  if (rc != 0) {
    t->gap_peer = torc_id_zero;
    return;
  }
  if (torc_ring_member_find(t, &op->peer) != NULL) {
    t->has_gap = false; /* candidates have closed it meanwhile */
    return;
  }
  t->is_gap_running = torc_ring_notice(t, TORC_OP_GAP_JOIN, 0, &op->peer, TORC_METHOD_JOIN) == 0;
}

void torc_ring_gap_answered(torc_topology *t, const torc_ring_op *op, uint16_t code) {
  t->is_gap_running = false;
  /* 200: its UPDATE follows when the data are here. Otherwise it does not own this place: an UPDATE
   * tells it. */
  if (code != TORC_CODE_OK && code != 0 && torc_ring_member_find(t, &op->peer) == NULL) {
    torc_ring_cand_confirm(t, &op->peer);
  }
  t->gap_retry_at = torc_time_add(torc_ring_now(t), TORC_RING_PENDING);
}
