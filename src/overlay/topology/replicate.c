/* Who holds copies of the own range, bringing new holders up to date, and deleting what is no
 * longer ours [CHD-35] [CHD-36] [CHD-37] [GAP-119] [D-13]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/topology/ring.h"

static torc_ring_replica *replica_find(torc_topology *t, const torc_id *id) {
  for (size_t i = 0; i < t->num_replicas; i++) {
    if (torc_id_eq(&t->replicas[i].id, id)) {
      return &t->replicas[i];
    }
  }
  return NULL;
}

/* The next num_replicas successors; what is known of those that stay is kept. Peers that left the
 * set are not told to delete anything [CHD-36]. */
static void rebuild(torc_topology *t) {
  torc_ring_replica now[TORC_REPLICAS_MAX];
  size_t num = 0;
  for (size_t i = 0; i < t->params->num_replicas; i++) {
    const torc_ring_member *succ = torc_ring_succ(t, i);
    const torc_ring_replica *old;
    if (succ == NULL) {
      break;
    }
    old = replica_find(t, &succ->id);
    now[num] = old != NULL ? *old : (torc_ring_replica){.id = succ->id};
    num++;
  }
  t->num_replicas = num;
  for (size_t i = 0; i < num; i++) {
    t->replicas[i] = now[i];
  }
}

static bool is_covered(const torc_topology *t, const torc_ring_replica *r) {
  return r->is_synced && !torc_id_in_open(&r->synced_from, &t->range_from, &t->self);
}

/* What it held of a range that has since gone to somebody else may be old or deleted when the range
 * comes back. */
static void clamp(const torc_topology *t, torc_ring_replica *r) {
  if (torc_id_in_open(&t->range_from, &r->synced_from, &t->self)) {
    r->synced_from = t->range_from;
  }
}

static void pause_before_retry(torc_topology *t, torc_ring_replica *r) {
  torc_time delay = TORC_RING_SYNC_RETRY_MIN;
  for (unsigned i = 0; i < r->fails && delay < TORC_RING_SYNC_RETRY_MAX; i++) {
    delay *= 2;
  }
  r->fails++;
  r->retry_at = torc_time_add(
      torc_ring_now(t),
      torc_ring_jitter(t, delay < TORC_RING_SYNC_RETRY_MAX ? delay : TORC_RING_SYNC_RETRY_MAX));
}

static void failed(torc_topology *t, torc_ring_replica *r) {
  t->host->stats->transfers_failed++;
  r->is_running = false;
  pause_before_retry(t, r);
}

/* [CHD-35] [CHD-47]: all data of the own range to a new replica, the added part to an old one. */
static void sync_one(torc_topology *t, torc_ring_replica *r) {
  torc_id to = r->is_synced ? r->synced_from : t->self;
  r->is_running = true;
  r->serial = ++t->last_serial;
  if (torc_ring_transfer(t, TORC_OP_SYNC_TRANSFER, r->serial, &r->id, &t->range_from, &to) != 0) {
    failed(t, r);
  }
}

static void check_merged(torc_topology *t, torc_time *next) {
  torc_time at = torc_time_add(t->merged_at, TORC_RING_MERGE_QUIET);
  if (t->merged_at == 0) {
    return;
  }
  if (torc_ring_now(t) < at) {
    *next = at < *next ? at : *next;
    return;
  }
  t->merged_at = 0;
  torc_ring_replicas_stale(t, NULL);
}

void torc_ring_replicas_pump(torc_topology *t, torc_time *next) {
  torc_time now = torc_ring_now(t);
  check_merged(t, next);
  rebuild(t);
  for (size_t i = 0; i < t->num_replicas; i++) {
    torc_ring_replica *r = &t->replicas[i];
    clamp(t, r);
    if (r->is_running || is_covered(t, r)) {
      continue;
    }
    if (r->retry_at <= now) {
      sync_one(t, r);
    }
    if (!r->is_running && r->retry_at > now) {
      *next = r->retry_at < *next ? r->retry_at : *next;
    }
  }
}

void torc_ring_replica_transferred(torc_topology *t, const torc_ring_op *op, int rc) {
  torc_ring_replica *r = replica_find(t, &op->peer);
  if (r == NULL || !r->is_running || r->serial != op->arg) {
    return;
  }
  if (rc != 0) {
    failed(t, r);
    return;
  }
  r->is_running = false;
  r->fails = 0;
  r->is_synced = true;
  r->synced_from = op->from;
}

/* Copies may be missing or old there: everything is sent again. */
void torc_ring_replicas_stale(torc_topology *t, const torc_id *id) {
  for (size_t i = 0; i < t->num_replicas; i++) {
    if (id == NULL || torc_id_eq(&t->replicas[i].id, id)) {
      t->replicas[i].is_synced = false;
      t->replicas[i].is_running = false; /* a transfer under way may have begun too early */
      t->replicas[i].retry_at = 0;
    }
  }
}

/* One write did not arrive: the range is sent again, with the pauses of a failed transfer. */
void torc_ring_replicas_missed(torc_topology *t, const torc_id *id) {
  torc_ring_replica *r = replica_find(t, id);
  if (r != NULL) {
    r->is_synced = false;
    r->is_running = false;
    pause_before_retry(t, r);
  }
}

/* The admitting peer has just given the range away and keeps it [GAP-119]: it needs no copy. Only
 * for a peer that brought no data of its own. The second replica is not trusted to be up to date:
 * the admitting peer may not have finished with it. */
void torc_ring_replicas_inherit(torc_topology *t, const torc_id *ap) {
  torc_ring_replica *r;
  t->num_replicas = 0;
  rebuild(t);
  r = replica_find(t, ap);
  if (r != NULL) {
    r->is_synced = true;
    r->synced_from = t->range_from;
  }
}

bool torc_ring_replicas_idle(const torc_topology *t) {
  for (size_t i = 0; i < t->num_replicas; i++) {
    if (!is_covered(t, &t->replicas[i])) {
      return false;
    }
  }
  return t->merged_at == 0;
}

/* [CHD-06] [CHD-07] [D-13]: the next successors and, while it is being admitted, the peer that will
 * own the resource [GAP-114]. [CHD-09]: a malicious holder is not a matter of this set. */
size_t torc_ring_replicas(const torc_topology *t, const torc_id *resource,
                          torc_id out[TORC_REPLICAS_MAX]) {
  size_t num = 0;
  if (t->handoff.stage != TORC_HANDOFF_NONE &&
      torc_id_in_open_closed(resource, &t->handoff.from, &t->handoff.jp) &&
      t->host->ops->is_linked(t->host->ctx, &t->handoff.jp)) {
    out[num] = t->handoff.jp;
    num++;
  }
  for (size_t i = 0; i < t->params->num_replicas && num < TORC_REPLICAS_MAX; i++) {
    const torc_ring_member *succ = torc_ring_succ(t, i);
    if (succ == NULL) {
      break;
    }
    out[num] = succ->id;
    num++;
  }
  return num;
}

/* A store from an earlier run may be newer than what the ring serves: each of the predecessors
 * whose copies this peer should hold gets them back, once. From one to the next by what they
 * announce: right after the join the own table is still full of holes. */
void torc_ring_restore_pump(torc_topology *t) {
  torc_id at = t->range_from;
  if (t->restores_left == 0) {
    return;
  }
  if (torc_ring_now(t) >= torc_time_add(t->joined_at, TORC_RING_GRACE)) {
    t->restores_left = 0;
    return;
  }
  for (size_t i = 0; i < t->params->num_replicas && t->restores_left > 0; i++) {
    torc_ring_member *m = torc_ring_member_find(t, &at);
    if (m == NULL || !torc_id_is_peer(&m->first_pred)) {
      return;
    }
    at = m->first_pred;
    if (m->is_restored) {
      continue;
    }
    m->is_restored = true;
    t->restores_left--;
    if (torc_ring_transfer(t, TORC_OP_RESTORE_TRANSFER, 0, &m->id, &m->first_pred, &m->id) != 0) {
      t->host->stats->transfers_failed++;
    }
  }
}

/* [CHD-37]: replicas + 1 predecessors lie in [R, self). [GAP-119]: only after a view that has been
 * stable for a while, and with nothing under way. */
void torc_ring_on_drop(torc_topology *t, torc_time now) {
  const torc_ring_member *last = torc_ring_pred(t, t->params->num_replicas);
  torc_time stable = torc_time_add(t->changed_at, t->params->deletion_delay);
  torc_time from = stable > t->hold_until ? stable : t->hold_until;
  torc_time period = t->params->update_period > t->params->deletion_delay
                         ? t->params->update_period
                         : t->params->deletion_delay;
  torc_ring_forget_former(t);
  if (t->state != TORC_TOPO_JOINED) {
    return;
  }
  if (now < from) {
    torc_ring_arm(t, TORC_ALARM_DROP, from);
    return;
  }
  if (t->handoff.stage == TORC_HANDOFF_NONE && t->num_owed == 0 && torc_ring_replicas_idle(t) &&
      last != NULL) {
    t->host->ops->drop_range(t->host->ctx, &t->self, &last->id);
    torc_ring_arm(t, TORC_ALARM_DROP, torc_time_add(now, period));
  } else {
    torc_ring_arm(t, TORC_ALARM_DROP, torc_time_add(now, t->params->deletion_delay));
  }
}
