/* The joining peer: find the successors, link to them, JOIN, take over [JOI-01..04] [CHD-10..18].
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "overlay/topology/ring.h"

static void arm_step(torc_topology *t, torc_time delay) {
  t->join.deadline = torc_time_add(torc_ring_now(t), delay);
  torc_ring_arm(t, TORC_ALARM_STEP, t->join.deadline);
}

/* [R-51] [GAP-109]: a ring of one is responsible for everything. */
void torc_ring_found(torc_topology *t) {
  torc_ring_join_stop(t);
  t->num_members = 0;
  t->has_range = true;
  t->range_from = t->self;
  t->founded_at = torc_ring_now(t);
  torc_ring_set_state(t, TORC_TOPO_JOINED);
  torc_ring_stabilise_start(t);
}

void torc_ring_join_stop(torc_topology *t) {
  t->join.stage = TORC_JOIN_NONE;
  t->join.attempt++; /* answers under way belong to nothing now */
  t->join.pending = 0;
  t->join.num_found = 0;
  torc_free(t->host->mem, t->join.found);
  t->join.found = NULL;
  torc_ring_disarm(t, TORC_ALARM_STEP);
}

/* The attempts are over: the node has to find another bootstrap peer [CHD-26] [GAP-122]. */
static void give_up(torc_topology *t) {
  torc_ring_join_stop(t);
  t->num_members = 0;
  torc_ring_set_state(t, TORC_TOPO_DISCONNECTED);
  torc_ring_boot_arm(t);
}

static void again(torc_topology *t, torc_time delay) {
  t->join.stage = TORC_JOIN_BACKOFF;
  t->join.attempt++;
  t->join.pending = 0;
  arm_step(t, torc_ring_jitter(t, delay));
}

/* Another JOIN is being served [GAP-114]: soon again, without hurry. */
static void again_busy(torc_topology *t) {
  torc_time delay = TORC_RING_BUSY_MIN;
  for (unsigned i = 0; i < t->join.num_busy && delay < TORC_RING_BUSY_MAX; i++) {
    delay *= 2;
  }
  t->join.num_busy++;
  again(t, delay < TORC_RING_BUSY_MAX ? delay : TORC_RING_BUSY_MAX);
}

static void again_failed(torc_topology *t, const char *why) {
  torc_time delay = TORC_RING_AGAIN_MIN;
  t->host->stats->joins_failed++;
  t->join.num_failed++;
  TORC_LOG(t->host->log, TORC_LOG_INFO, "topology:join_failed", TORC_F_STR("why", why),
           TORC_F_U64("tries", t->join.num_failed));
  if (t->join.num_failed >= TORC_RING_JOIN_TRIES) {
    give_up(t);
    return;
  }
  for (unsigned i = 1; i < t->join.num_failed && delay < TORC_RING_AGAIN_MAX; i++) {
    delay *= 2;
  }
  again(t, delay < TORC_RING_AGAIN_MAX ? delay : TORC_RING_AGAIN_MAX);
}

/* ---- finding successors ---- */

/* [CHD-11]: a PING directed at the id after the last peer found finds the next one. */
static void ping_next(torc_topology *t) {
  const torc_id *last = t->join.num_found == 0 ? &t->self : &t->join.found[t->join.num_found - 1];
  torc_id target = torc_id_next(last);
  if (torc_ring_ping(t, TORC_OP_JOIN_PING, t->join.attempt, &target, &t->join.bootstrap) != 0) {
    t->join.is_chain_done = true;
    if (t->join.num_found == 0) {
      again_failed(t, "the PING could not be sent");
    }
  }
}

/* Three, or as many as a writer needs at once and one more [CHD-11] [CHD-22]. */
static size_t wanted_successors(const torc_topology *t) {
  size_t num = t->params->num_replicas + 1;
  return num > TORC_RING_NEIGHBOURS_MIN ? num : TORC_RING_NEIGHBOURS_MIN;
}

static void attempt(torc_topology *t) {
  t->join.stage = TORC_JOIN_FIND;
  t->join.attempt++;
  t->join.num_found = 0;
  t->join.pending = 0;
  t->join.is_chain_done = false;
  t->num_members = 0;
  t->num_cands = 0;
  if (t->join.found == NULL) {
    t->join.found = torc_calloc(t->host->mem, TORC_CHORD_LIST_MAX, sizeof t->join.found[0]);
  }
  if (t->join.found == NULL) {
    again_failed(t, "no memory");
    return;
  }
  arm_step(t, TORC_RING_JOIN_STEP);
  ping_next(t);
}

void torc_ring_join_begin(torc_topology *t, const torc_id *bootstrap) {
  torc_ring_handoff_abort(t, "this peer joins another ring");
  torc_ring_stabilise_stop(t);
  t->join.bootstrap = *bootstrap;
  t->join.has_data = t->host->ops->has_data == NULL || t->host->ops->has_data(t->host->ctx);
  t->join.num_busy = 0;
  t->join.num_failed = 0;
  t->founded_at = 0;
  t->has_gap = false;
  torc_ring_set_state(t, TORC_TOPO_JOINING);
  attempt(t);
}

static bool is_found(const torc_topology *t, const torc_id *id) {
  for (size_t i = 0; i < t->join.num_found; i++) {
    if (torc_id_eq(&t->join.found[i], id)) {
      return true;
    }
  }
  return torc_id_eq(id, &t->self);
}

/* [CHD-14] [JOI-01]: to the admitting peer's own peer-id, over the direct link [GAP-116] [GAP-28].
 */
static void send_join(torc_topology *t) {
  t->join.ap = t->join.found[0];
  t->join.stage = TORC_JOIN_SENT;
  arm_step(t, TORC_RING_JOIN_STEP);
  if (torc_ring_notice(t, TORC_OP_JOIN, t->join.attempt, &t->join.ap, TORC_METHOD_JOIN) != 0) {
    again_failed(t, "the JOIN could not be sent");
  }
}

/* JOIN goes out when as many successors as a write needs are linked or have failed: whoever becomes
 * responsible can replicate at once [D-13]. Neither the further ones nor fingers are waited for
 * [GAP-115]. */
static void advance(torc_topology *t) {
  bool is_enough = t->join.is_chain_done || t->join.num_found >= t->params->num_replicas;
  if (t->join.stage != TORC_JOIN_FIND || !is_enough || t->join.pending > 0) {
    return;
  }
  if (t->join.num_found == 0 || !t->host->ops->is_linked(t->host->ctx, &t->join.found[0])) {
    again_failed(t, "no link to the admitting peer");
    return;
  }
  send_join(t);
}

/* Does an answer of this attempt still help? */
static bool is_current(const torc_topology *t, const torc_ring_op *op) {
  return t->state == TORC_TOPO_JOINING && t->join.stage != TORC_JOIN_BACKOFF &&
         op->arg == t->join.attempt;
}

static bool is_waited_for(const torc_topology *t, const torc_id *id) {
  for (size_t i = 0; i < t->join.num_found && i < t->params->num_replicas; i++) {
    if (torc_id_eq(&t->join.found[i], id)) {
      return true;
    }
  }
  return false;
}

/* [CHD-12]: fills the connection table only; [CHD-13]: once linked, this peer may send through it.
 */
static void link_successor(torc_topology *t, const torc_id *id) {
  unsigned waits = is_waited_for(t, id) ? 1 : 0;
  if (torc_ring_connect(t, TORC_OP_JOIN_CONNECT, t->join.attempt, id, true, &t->join.bootstrap) ==
      0) {
    t->join.pending += waits;
  }
}

void torc_ring_join_pinged(torc_topology *t, const torc_ring_op *op, int rc,
                           const torc_id *responder) {
  bool is_new;
  if (!is_current(t, op)) {
    return;
  }
  is_new = rc == 0 && torc_id_is_peer(responder) && !is_found(t, responder);
  if (!is_new && t->join.num_found == 0) {
    again_failed(t, "no successor was found");
    return;
  }
  if (is_new) {
    t->join.found[t->join.num_found] = *responder;
    t->join.num_found++;
    link_successor(t, responder);
  }
  t->join.is_chain_done = !is_new || t->join.num_found >= wanted_successors(t);
  if (!t->join.is_chain_done) {
    ping_next(t);
  }
  advance(t);
}

void torc_ring_join_connected(torc_topology *t, const torc_ring_op *op, int rc) {
  if (!is_current(t, op)) {
    return;
  }
  if (is_waited_for(t, &op->peer) && t->join.pending > 0) {
    t->join.pending--;
  }
  if (rc == 0) {
    (void)torc_ring_member_add(t, &op->peer, true);
    if (t->join.stage == TORC_JOIN_FIND && torc_id_eq(&op->peer, &t->join.found[0])) {
      arm_step(t, TORC_RING_JOIN_WAIT);
    }
  }
  advance(t);
}

/* ---- JOIN and what follows ---- */

void torc_ring_join_answered(torc_topology *t, const torc_ring_op *op, uint16_t code) {
  if (t->join.stage != TORC_JOIN_SENT || op->arg != t->join.attempt) {
    return; /* the UPDATE has overtaken the answer, or this is an earlier attempt's */
  }
  if (code == TORC_CODE_OK) {
    t->join.stage = TORC_JOIN_ADMITTED;
    arm_step(t, TORC_RING_JOIN_IDLE);
  } else if (code == TORC_CODE_UNAVAILABLE || code == TORC_CODE_NOT_FOUND) {
    again_busy(t); /* 404: somebody else was admitted in between */
  } else {
    again_failed(t, "the JOIN was refused or not answered");
  }
}

/* The nearest peer before this one among those the admitting peer lists, and itself. */
static torc_id announced_pred(const torc_topology *t, const torc_id *ap,
                              const torc_ring_heard *heard) {
  torc_id best = *ap;
  for (size_t i = 0; i < heard->num; i++) {
    if (torc_id_in_open(&heard->ids[i], &best, &t->self)) {
      best = heard->ids[i];
    }
  }
  return best;
}

/* [CHD-16]: from here this peer is in the ring; [CHD-18]: it tells all it knows. */
static void take_over(torc_topology *t, const torc_id *ap, const torc_ring_heard *heard) {
  bool had_range = t->has_range;
  torc_id old = t->range_from;
  torc_ring_member *m;
  t->has_range = true;
  t->range_from = announced_pred(t, ap, heard); /* [GAP-109] */
  torc_ring_join_stop(t);
  m = torc_ring_member_add(t, ap, true);
  torc_ring_set_state(t, TORC_TOPO_JOINED);
  if (!t->join.has_data) {
    torc_ring_replicas_inherit(t, ap);
  }
  if (m != NULL) {
    m->heard = torc_ring_now(t);
    m->first_pred = t->self;
    torc_ring_cands_heard(t, m, heard);
  }
  if (had_range && torc_id_in_open(&t->range_from, &old, &t->self)) {
    torc_ring_owe(t, &old,
                  &t->range_from); /* what was written while this peer was apart [GAP-124] */
  }
  t->joined_at = torc_ring_now(t);
  t->restores_left = t->join.has_data ? t->params->num_replicas : 0;
  torc_ring_stabilise_start(t);
  torc_ring_update_near(t);
  torc_ring_update_flush(t);
}

bool torc_ring_join_update(torc_topology *t, const torc_id *from, const torc_ring_heard *heard,
                           torc_topology_reply *reply) {
  bool is_waiting = t->join.stage == TORC_JOIN_SENT || t->join.stage == TORC_JOIN_ADMITTED;
  if (t->state != TORC_TOPO_JOINING) {
    return false;
  }
  reply->code = TORC_CODE_NOT_FOUND; /* not in the ring yet */
  if (!is_waiting || !torc_id_eq(from, &t->join.ap)) {
    return true;
  }
  if (torc_id_eq(&heard->first_pred, &t->self)) {
    take_over(t, from, heard); /* before the answer [GAP-114] */
    reply->code = TORC_CODE_OK;
  } else if (t->join.stage == TORC_JOIN_ADMITTED) {
    again_failed(t, "the admitting peer gave up");
  }
  return true;
}

void torc_ring_join_link_down(torc_topology *t, const torc_id *peer) {
  bool is_waiting = t->join.stage == TORC_JOIN_SENT || t->join.stage == TORC_JOIN_ADMITTED;
  if (t->state != TORC_TOPO_JOINING) {
    return;
  }
  if (is_waiting && torc_id_eq(peer, &t->join.ap)) {
    again_failed(t, "the link to the admitting peer went down");
  }
  if (t->state == TORC_TOPO_JOINING && torc_id_eq(peer, &t->join.bootstrap)) {
    if (t->num_members > 0) {
      t->join.bootstrap = t->members[0].id; /* any linked peer of the ring will do [JOI-01] */
    } else {
      t->host->stats->joins_failed++;
      give_up(t);
    }
  }
}

void torc_ring_join_timeout(torc_topology *t) {
  if (t->join.stage == TORC_JOIN_NONE || torc_ring_now(t) < t->join.deadline) {
    return;
  }
  if (t->join.stage == TORC_JOIN_BACKOFF) {
    attempt(t);
  } else if (t->join.stage == TORC_JOIN_FIND && t->join.num_found > 0 &&
             t->host->ops->is_linked(t->host->ctx, &t->join.found[0])) {
    send_join(t); /* the further successors are late: they come by UPDATE */
  } else {
    again_failed(t, "no answer in time");
  }
}
