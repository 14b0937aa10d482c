/* Data owed to others after two views of the ring have met, and which copies are taken from whom
 * [CHD-08] [GAP-101] [GAP-124].
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "overlay/topology/ring.h"

static void owed_remove(torc_topology *t, size_t i) {
  t->num_owed--;
  memmove(&t->owed[i], &t->owed[i + 1], (t->num_owed - i) * sizeof t->owed[0]);
}

void torc_ring_owe(torc_topology *t, const torc_id *from, const torc_id *to) {
  for (size_t i = 0; i < t->num_owed; i++) {
    if (torc_id_eq(&t->owed[i].to, from)) {
      t->owed[i].to = *to;
      return;
    }
  }
  if (t->owed == NULL) {
    t->owed = torc_calloc(t->host->mem, TORC_RING_OWED_MAX, sizeof t->owed[0]);
    if (t->owed == NULL) {
      t->host->stats->owed_dropped++;
      return;
    }
  }
  if (t->num_owed == TORC_RING_OWED_MAX) {
    owed_remove(t, 0);
    t->host->stats->owed_dropped++;
  }
  t->owed[t->num_owed] = (torc_ring_range){.from = *from, .to = *to};
  t->num_owed++;
}

/* Takes out of the first owed range what has become this peer's own again. True: the whole of it.
 */
static bool clip_own(torc_topology *t, torc_ring_range *r) {
  torc_id first = torc_id_next(&r->from);
  if (torc_id_in_open_closed(&first, &t->range_from, &t->self)) {
    return true;
  }
  if (torc_id_in_open(&t->range_from, &r->from, &r->to)) {
    r->to = t->range_from;
  }
  return false;
}

/* Who owns the start of the range: a neighbour that says so, or the peer just connected for. */
static const torc_ring_member *owner_of(const torc_topology *t, const torc_id *first) {
  const torc_ring_member *m = torc_ring_member_find(t, &t->owed_peer);
  if (m != NULL) {
    return m;
  }
  m = torc_ring_member_from(t, first);
  if (m != NULL && torc_ring_is_near(t, m) && torc_id_is_peer(&m->first_pred) &&
      torc_id_in_open_closed(first, &m->first_pred, &m->id)) {
    return m;
  }
  return NULL;
}

static void owed_later(torc_topology *t) {
  torc_time delay = TORC_RING_SYNC_RETRY_MIN;
  for (unsigned i = 0; i < t->owed_fails && delay < TORC_RING_SYNC_RETRY_MAX; i++) {
    delay *= 2;
  }
  t->owed_fails++;
  t->is_owed_running = false;
  t->owed_retry_at = torc_time_add(torc_ring_now(t), torc_ring_jitter(t, delay));
}

/* One owner at a time, walking clockwise: its part is copied to it, then the next one is looked
 * for. */
void torc_ring_owed_pump(torc_topology *t, torc_time *next) {
  torc_time now = torc_ring_now(t);
  const torc_ring_member *owner;
  torc_ring_range *r = t->owed;
  torc_id first, end;
  while (t->num_owed > 0 && !t->is_owed_running && clip_own(t, r)) {
    owed_remove(t, 0);
  }
  if (t->num_owed == 0 && t->owed != NULL) {
    torc_free(t->host->mem, t->owed);
    t->owed = NULL;
  }
  if (t->num_owed == 0 || t->is_owed_running || t->num_members == 0) {
    return;
  }
  if (t->owed_retry_at > now) {
    *next = t->owed_retry_at < *next ? t->owed_retry_at : *next;
    return;
  }
  first = torc_id_next(&r->from);
  owner = owner_of(t, &first);
  t->is_owed_running = true;
  if (owner == NULL) {
    t->owed_peer = torc_id_zero;
    if (torc_ring_connect(t, TORC_OP_OWED_CONNECT, 0, &first, false, NULL) != 0) {
      owed_later(t);
    }
  } else {
    end = torc_id_in_open_closed(&owner->id, &r->from, &r->to) ? owner->id : r->to;
    if (torc_ring_transfer(t, TORC_OP_OWED_TRANSFER, 0, &owner->id, &r->from, &end) != 0) {
      owed_later(t);
    }
  }
  if (!t->is_owed_running) {
    *next = t->owed_retry_at < *next ? t->owed_retry_at : *next;
  }
}

void torc_ring_owed_link_down(torc_topology *t, const torc_id *peer) {
  if (torc_id_eq(&t->owed_peer, peer)) {
    t->owed_peer = torc_id_zero;
  }
}

void torc_ring_owed_connected(torc_topology *t, const torc_ring_op *op, int rc,
                              const torc_id *peer) {
  (void)op;
  if (!t->is_owed_running) {
    return;
  }
  if (rc != 0 || torc_id_eq(peer, &t->self)) {
    owed_later(t);
    return;
  }
  t->is_owed_running = false;
  t->owed_peer = *peer;
  if (torc_ring_member_find(t, peer) == NULL) {
    /* It must know this peer before it takes anything: the answered UPDATE makes it a member and
     * the next pump goes on; without one, the walk asks again. */
    torc_ring_cand_confirm(t, peer);
    owed_later(t);
    t->owed_retry_at = torc_time_add(torc_ring_now(t), TORC_RING_SYNC_RETRY_MIN);
  }
}

void torc_ring_owed_transferred(torc_topology *t, const torc_ring_op *op, int rc) {
  torc_ring_member *m = torc_ring_member_find(t, &op->peer);
  torc_ring_range *r = t->owed;
  if (!t->is_owed_running) {
    return;
  }
  t->owed_peer = torc_id_zero;
  if (rc != 0) {
    t->host->stats->transfers_failed++;
    if (m != NULL) {
      torc_ring_update_member(t, m); /* it may not know this peer yet */
    }
    owed_later(t);
    return;
  }
  t->is_owed_running = false;
  t->owed_fails = 0;
  t->owed_retry_at = 0;
  if (t->num_owed == 0 || !torc_id_eq(&r->from, &op->from)) {
    return;
  }
  if (torc_id_eq(&r->to, &op->to)) {
    owed_remove(t, 0);
  } else {
    r->from = op->to;
  }
}

/* ---- which copies are taken ---- */

/* Start of the range that predecessor number `i` is responsible for, as far as this peer knows. */
static torc_id lower_of(const torc_topology *t, size_t i) {
  const torc_ring_member *before = torc_ring_pred(t, i + 1);
  return before != NULL ? before->id : t->self;
}

/* A place for one more: an old one's, a new one, or that of the next to give way. NULL: no memory.
 */
static torc_ring_former *former_place(torc_topology *t) {
  torc_time now = torc_ring_now(t);
  void *array = t->former;
  int rc;
  for (size_t k = 0; k < t->num_former; k++) {
    if (t->former[k].until <= now) {
      return &t->former[k];
    }
  }
  if (t->num_former == TORC_RING_FORMER_MAX) {
    t->next_former = (t->next_former + 1) % TORC_RING_FORMER_MAX;
    return &t->former[t->next_former];
  }
  rc = torc_ring_reserve(t, &array, &t->cap_former, t->num_former, sizeof t->former[0],
                         TORC_RING_FORMER_MAX);
  t->former = array;
  return rc == 0 ? &t->former[t->num_former++] : NULL;
}

static torc_ring_former *former_find(torc_topology *t, const torc_id *sender,
                                     const torc_id *lower) {
  for (size_t k = 0; k < t->num_former; k++) {
    if (torc_id_eq(&t->former[k].sender, sender) && torc_id_eq(&t->former[k].lower, lower)) {
      return &t->former[k];
    }
  }
  return NULL;
}

/* Before the neighbours change: what fitted goes on fitting for a minute [GAP-101]. */
void torc_ring_remember_former(torc_topology *t) {
  torc_time until = torc_time_add(torc_ring_now(t), TORC_RING_GRACE);
  for (size_t i = 0; i < t->params->num_replicas; i++) {
    const torc_ring_member *pred = torc_ring_pred(t, i);
    torc_id lower = lower_of(t, i);
    torc_ring_former *f;
    if (pred == NULL) {
      return;
    }
    f = former_find(t, &pred->id, &lower);
    f = f != NULL ? f : former_place(t);
    if (f == NULL) {
      return; /* no memory: the sender tries again */
    }
    *f = (torc_ring_former){.sender = pred->id, .lower = lower, .until = until};
  }
}

void torc_ring_forget_former(torc_topology *t) {
  torc_time now = torc_ring_now(t);
  void *array = t->former;
  for (size_t k = 0; k < t->num_former; k++) {
    if (t->former[k].until > now) {
      return;
    }
  }
  t->num_former = 0;
  torc_ring_release(t, &array, &t->cap_former, 0, sizeof t->former[0]);
  t->former = array;
}

static bool fits_former(const torc_topology *t, const torc_id *sender, const torc_id *resource) {
  torc_time now = torc_ring_now(t);
  for (size_t k = 0; k < t->num_former; k++) {
    const torc_ring_former *f = &t->former[k];
    if (f->until > now && torc_id_eq(&f->sender, sender) &&
        torc_id_in_open_closed(resource, &f->lower, &f->sender)) {
      return true;
    }
  }
  return false;
}

/* One of the predecessors whose replica this peer is, and data of its range [CHD-08]. */
static bool fits_replica(const torc_topology *t, const torc_id *sender, const torc_id *resource) {
  for (size_t i = 0; i < t->params->num_replicas; i++) {
    const torc_ring_member *pred = torc_ring_pred(t, i);
    torc_id lower = lower_of(t, i);
    if (pred != NULL && torc_id_eq(&pred->id, sender)) {
      return torc_id_in_open_closed(resource, &lower, sender);
    }
  }
  return false;
}

/* The same with the range that the sender's last UPDATE gives: it may know of a death earlier. */
static bool fits_announced(const torc_topology *t, const torc_id *sender, const torc_id *resource) {
  for (size_t i = 0; i < t->params->num_replicas; i++) {
    const torc_ring_member *pred = torc_ring_pred(t, i);
    if (pred != NULL && torc_id_eq(&pred->id, sender)) {
      return torc_id_is_peer(&pred->first_pred) &&
             torc_id_in_open_closed(resource, &pred->first_pred, sender);
    }
  }
  return false;
}

/* What fits only by the sender's word or by an earlier table shows that one of the two views is
 * behind: until that is settled this peer deletes nothing, for the sender now counts on it. */
static bool fits_copy(torc_topology *t, const torc_id *sender, const torc_id *resource) {
  if (fits_replica(t, sender, resource)) {
    return true;
  }
  if (fits_announced(t, sender, resource) || fits_former(t, sender, resource)) {
    t->hold_until = torc_time_add(torc_ring_now(t), 2 * t->params->update_period);
    return true;
  }
  return false;
}

/* Data of the own range: from a neighbour (it held a replica, or the range itself before this peer
 * came), or for a minute from any peer of the ring that has made itself known by an UPDATE: the
 * other side of a partition, whose owners were no neighbours of this one [GAP-124]. */
static bool fits_merge(const torc_topology *t, const torc_id *sender) {
  const torc_ring_member *m = torc_ring_member_find(t, sender);
  if (m == NULL) {
    return false;
  }
  return torc_ring_is_near(t, m) ||
         (m->heard != 0 && torc_ring_now(t) < torc_time_add(m->window, TORC_RING_GRACE));
}

static bool is_joining_with(const torc_topology *t, const torc_id *sender) {
  bool is_waiting = t->join.stage == TORC_JOIN_SENT || t->join.stage == TORC_JOIN_ADMITTED;
  return (is_waiting && torc_id_eq(&t->join.ap, sender)) || torc_id_eq(&t->gap_peer, sender);
}

bool torc_ring_accepts_copy(torc_topology *t, const torc_id *sender, const torc_id *resource) {
  if (is_joining_with(t, sender)) { /* hand-over during the own join [GAP-101] */
    if (t->join.stage == TORC_JOIN_ADMITTED) {
      t->join.deadline = torc_time_add(torc_ring_now(t), TORC_RING_JOIN_IDLE);
      torc_ring_arm(t, TORC_ALARM_STEP, t->join.deadline);
    }
    return true;
  }
  if (torc_ring_is_active(t)) {
    if (torc_ring_is_responsible(t, resource) &&
        (fits_merge(t, sender) || fits_former(t, sender, resource))) {
      t->merged_at = torc_ring_now(t) == 0 ? 1 : torc_ring_now(t);
      torc_time at = torc_time_add(t->merged_at, TORC_RING_MERGE_QUIET);
      if (t->alarms[TORC_ALARM_WORK] > at) {
        torc_ring_arm(t, TORC_ALARM_WORK, at);
      }
      return true;
    }
    if (!torc_ring_is_responsible(t, resource) && fits_copy(t, sender, resource)) {
      return true;
    }
  }
  t->host->stats->copies_refused++;
  return false;
}
