/* Members, neighbours, own range and next hop. The table is sorted by clockwise distance: its front
 * are the successors, its back the predecessors, and the best next hop is found by halving.
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "overlay/topology/ring.h"

/* Clockwise from this peer the larger ids come first, then, beyond 0, the smaller ones. */
static bool is_behind(const torc_topology *t, const torc_id *id) {
  return torc_id_cmp(id, &t->self) < 0;
}

/* Whether a member comes before `id`, of which `behind` is known. */
static bool is_before(const torc_ring_member *m, const torc_id *id, bool behind) {
  return m->is_behind != behind ? behind : torc_id_cmp(&m->id, id) < 0;
}

/* Index of the first member at or clockwise after `id`. */
static size_t lower_bound(const torc_topology *t, const torc_id *id) {
  bool behind = is_behind(t, id);
  size_t lo = 0;
  size_t hi = t->num_members;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (is_before(&t->members[mid], id, behind)) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

torc_ring_member *torc_ring_member_find(const torc_topology *t, const torc_id *id) {
  size_t at = lower_bound(t, id);
  assert(t->num_members == 0 || t->members != NULL);
  if (at < t->num_members && torc_id_eq(&t->members[at].id, id)) {
    return &t->members[at];
  }
  return NULL;
}

size_t torc_ring_num_near(const torc_topology *t) {
  return t->num_members < t->keep ? t->num_members : t->keep;
}

const torc_ring_member *torc_ring_succ(const torc_topology *t, size_t i) {
  return i < torc_ring_num_near(t) ? &t->members[i] : NULL;
}

const torc_ring_member *torc_ring_pred(const torc_topology *t, size_t i) {
  return i < torc_ring_num_near(t) ? &t->members[t->num_members - 1 - i] : NULL;
}

bool torc_ring_is_near(const torc_topology *t, const torc_ring_member *m) {
  size_t at = (size_t)(m - t->members);
  return at < t->keep || t->num_members - at <= t->keep;
}

bool torc_ring_is_finger(const torc_topology *t, const torc_id *id) {
  for (size_t i = 0; i < t->params->num_fingers; i++) {
    if (t->fingers[i].state == TORC_FINGER_SET && torc_id_eq(&t->fingers[i].id, id)) {
      return true;
    }
  }
  return false;
}

const torc_ring_member *torc_ring_member_from(const torc_topology *t, const torc_id *id) {
  size_t at = lower_bound(t, id);
  return at < t->num_members ? &t->members[at] : NULL;
}

/* Fewer than `num` members before it, or fewer than `num` after it. */
bool torc_ring_would_be_near(const torc_topology *t, const torc_id *id, size_t num) {
  bool behind = is_behind(t, id);
  if (t->num_members < num) {
    return true;
  }
  const torc_ring_member *last = &t->members[t->num_members - num];
  return !is_before(&t->members[num - 1], id, behind) || is_before(last, id, behind) ||
         torc_id_eq(&last->id, id);
}

/* ---- members ---- */

/* The oldest unheard member that is neither neighbour nor finger gives way. */
static bool evict_one(torc_topology *t) {
  const torc_ring_member *worst = NULL;
  torc_id id;
  for (size_t i = 0; i < t->num_members; i++) {
    const torc_ring_member *m = &t->members[i];
    if (torc_ring_is_near(t, m) || torc_ring_is_finger(t, &m->id)) {
      continue;
    }
    if (worst == NULL || m->heard < worst->heard) {
      worst = m;
    }
  }
  if (worst == NULL) {
    return false;
  }
  id = worst->id;
  torc_ring_member_del(t, &id, TORC_GONE_UNUSED);
  return true;
}

/* What a changed neighbour table entails; `was_near` says whether the change touched it. */
static void table_changed(torc_topology *t) {
  torc_time now = torc_ring_now(t);
  t->changed_at = now;
  torc_ring_update_near(t); /* [CHD-33] the new table; the old one was marked before the change */
  /* [GAP-119]: deletion waits for a stable view. */
  torc_ring_arm(t, TORC_ALARM_DROP, torc_time_add(now, t->params->deletion_delay));
}

/* [CHD-25]: the farthest successor of a list without holes; beyond it nothing is known to be
 * adjacent. */
static void note_succ_edge(torc_topology *t) {
  size_t near = torc_ring_num_near(t);
  t->succ_edge = near == 0 ? torc_id_zero : torc_id_distance(&t->self, &t->members[near - 1].id);
}

/* A predecessor nearer than the present one without a JOIN: two views meet, so what it owns now is
 * owed to it [GAP-117] [GAP-124]. */
static void range_shrink(torc_topology *t, const torc_id *id, bool by_handoff) {
  torc_id old = t->range_from;
  if (!torc_ring_is_active(t) || !torc_id_in_open(id, &old, &t->self)) {
    return;
  }
  t->range_from = *id;
  if (!by_handoff) {
    t->host->stats->merges++;
    torc_ring_owe(t, &old, id);
    torc_ring_handoff_check(t);
  }
}

static torc_ring_member *insert(torc_topology *t, const torc_id *id) {
  torc_time now = torc_ring_now(t);
  size_t at = lower_bound(t, id);
  memmove(&t->members[at + 1], &t->members[at], (t->num_members - at) * sizeof t->members[0]);
  t->num_members++;
  t->members[at] =
      (torc_ring_member){.id = *id, .since = now, .window = now, .is_behind = is_behind(t, id)};
  return &t->members[at];
}

torc_ring_member *torc_ring_member_add(torc_topology *t, const torc_id *id, bool by_handoff) {
  torc_ring_member *m = torc_ring_member_find(t, id);
  void *array;
  int rc;
  if (m != NULL) {
    return m;
  }
  if (!torc_id_is_peer(id) || torc_id_eq(id, &t->self)) { /* [CHD-34] */
    return NULL;
  }
  if (t->num_members >= t->policy->members_max && !evict_one(t)) {
    t->host->stats->members_refused++;
    return NULL;
  }
  array = t->members;
  rc = torc_ring_reserve(t, &array, &t->cap_members, t->num_members, sizeof t->members[0],
                         t->policy->members_max);
  t->members = array;
  if (rc != 0) {
    t->host->stats->members_refused++;
    return NULL;
  }
  if (torc_ring_would_be_near(t, id, t->keep)) {
    torc_ring_remember_former(t);
    torc_ring_update_near(t);
  }
  m = insert(t, id);
  torc_ring_cand_del(t, id);
  if (t->state == TORC_TOPO_DISCONNECTED && t->has_range) {
    torc_ring_set_state(t, TORC_TOPO_JOINED);
  }
  range_shrink(t, id, by_handoff);
  if (torc_ring_is_near(t, m)) {
    note_succ_edge(t);
    table_changed(t);
  }
  TORC_LOG(t->host->log, TORC_LOG_DEBUG, "topology:member", TORC_F_ID("peer", id),
           TORC_F_U64("num", t->num_members));
  return torc_ring_member_find(t, id);
}

/* Of the deaths remembered, how many others happened about when `dead` did. */
static size_t num_died_beside(const torc_topology *t, const torc_id *dead) {
  size_t num = 0;
  for (size_t i = 0; i < TORC_ARRAY_LEN(t->deaths); i++) {
    const torc_ring_death *d = &t->deaths[i];
    num += d->at != 0 && !torc_id_eq(&d->id, dead) &&
           torc_ring_now(t) < torc_time_add(d->at, TORC_RING_BESIDE);
  }
  return num;
}

static bool is_late(const torc_topology *t, const torc_ring_member *m) {
  return torc_ring_now(t) < torc_time_add(m->since, TORC_RING_LATELY);
}

/* Predecessors between `m` and this peer that have been there for a while. */
static size_t num_old_between(const torc_topology *t, const torc_ring_member *m) {
  size_t num = 0;
  assert(t->members != NULL);
  for (size_t i = (size_t)(m - t->members) + 1; i < t->num_members; i++) {
    num += !is_late(t, &t->members[i]);
  }
  return num;
}

static void note_death(torc_topology *t, const torc_id *dead) {
  torc_time now = torc_ring_now(t);
  t->deaths[1] = t->deaths[0];
  t->deaths[0] = (torc_ring_death){.id = *dead, .at = now == 0 ? 1 : now};
}

/* A predecessor died whose copies this peer holds. Who follows it may have none of them, or those
 * of an earlier run: it came only lately, and may have joined beside a dead one; or others that
 * stood between the two died with it. They are given to it [CHD-24] [CHD-35]. `from`: start of the
 * dead one's range. */
void torc_ring_owe_heir(torc_topology *t, const torc_ring_member *heir, const torc_id *from,
                        const torc_id *dead) {
  size_t num_deaths = num_died_beside(t, dead);
  if (torc_ring_is_active(t) && (is_late(t, heir) || num_deaths > 0) &&
      num_old_between(t, heir) < t->params->num_replicas + num_deaths) {
    torc_ring_owe(t, from, dead);
  }
}

/* A member that still sends UPDATEs has this peer as its neighbour or finger. */
static bool sends_updates(const torc_topology *t, const torc_ring_member *m) {
  torc_time until =
      torc_time_add(m->heard, 2 * t->params->update_period + t->params->update_period / 2);
  return m->heard != 0 && torc_ring_now(t) < until;
}

/* With others that died beside it, the heir's range begins at the nearest that lives. Links that
 * nobody needs end as well: that is no death. */
static void owe_dead(torc_topology *t, const torc_ring_member *dead) {
  size_t at = (size_t)(dead - t->members);
  size_t place = t->num_members - at; /* 1: the predecessor, whose heir is this peer */
  torc_id from = dead->first_pred;
  if (place == 1 || place > t->keep + TORC_RING_NEIGHBOURS_MIN ||
      !(torc_ring_is_near(t, dead) || sends_updates(t, dead))) {
    return;
  }
  if ((!torc_id_is_peer(&from) || num_died_beside(t, &dead->id) > 0) && at > 0 &&
      torc_ring_is_near(t, &t->members[at - 1])) {
    from = t->members[at - 1].id;
  }
  if (torc_id_is_peer(&from)) {
    torc_ring_owe_heir(t, &t->members[at + 1], &from, &dead->id);
  }
}

/* A predecessor whose range may become this peer's: has it been here long enough to copy it? */
static void note_lost(torc_topology *t, const torc_ring_member *m) {
  bool is_proven = m->heard != 0 && torc_ring_now(t) >= torc_time_add(m->since, TORC_RING_COPIED);
  if (torc_id_eq(&m->id, &t->range_from)) {
    t->has_lost_proven = is_proven;
  }
  t->has_lost_unproven = t->has_lost_unproven || !is_proven;
}

void torc_ring_member_del(torc_topology *t, const torc_id *id, torc_ring_gone why) {
  torc_ring_member *m = torc_ring_member_find(t, id);
  torc_id gone = *id;
  size_t at;
  bool was_near;
  if (m == NULL) {
    return;
  }
  at = (size_t)(m - t->members);
  was_near = torc_ring_is_near(t, m);
  if (was_near) {
    torc_ring_remember_former(t);
    note_lost(t, m);
  }
  if (why == TORC_GONE_DOWN) {
    owe_dead(t, m);
    if (was_near) {
      note_death(t, &gone);
    }
  }
  t->num_members--;
  memmove(&t->members[at], &t->members[at + 1], (t->num_members - at) * sizeof t->members[0]);
  torc_ring_pace_del(t, &gone);
  torc_ring_finger_lost(t, &gone);
  torc_ring_cands_via_lost(t, &gone);
  t->gap_peer = torc_id_eq(&t->gap_peer, &gone) ? torc_id_zero : t->gap_peer;
  if (why == TORC_GONE_DOWN) {
    torc_ring_cand_lost(t, &gone);
  }
  TORC_LOG(t->host->log, TORC_LOG_DEBUG, "topology:member_gone", TORC_F_ID("peer", &gone),
           TORC_F_U64("why", (uint64_t)why), TORC_F_U64("num", t->num_members));
  t->is_cut = t->num_members == 0 && why != TORC_GONE_LEFT;
  if (!was_near) {
    return;
  }
  t->host->stats->neighbours_lost++;
  table_changed(t); /* [CHD-24] [CHD-47]: the remaining neighbours are told */
  if (t->num_members > 0) {
    torc_id nearest = torc_id_distance(&t->self, &t->members[0].id);
    if (torc_id_cmp(&nearest, &t->succ_edge) > 0) {
      t->has_gap = true; /* [CHD-25] */
    }
  }
}

/* ---- range ---- */

/* May this candidate stand for the predecessor [GAP-109] [GAP-123]? */
static bool cand_stands(const torc_topology *t, const torc_ring_cand *c) {
  return torc_ring_cand_is_pending(t, c) || torc_ring_cand_counts(t, c);
}

/* Nearest peer before this one among members and candidates behind `old` that may stand for it;
 * self: nobody. */
static torc_id nearest_before(const torc_topology *t, const torc_id *old) {
  const torc_ring_member *pred = torc_ring_pred(t, 0);
  torc_id best = pred != NULL ? pred->id : t->self;
  for (size_t i = 0; i < t->num_cands; i++) {
    const torc_ring_cand *c = &t->cands[i];
    /* A candidate alone is no reason to believe in a ring: with no member left this peer is alone.
     */
    if (pred != NULL && torc_id_in_open(&c->id, &best, &t->self) &&
        !torc_id_in_open_closed(&c->id, old, &t->self) && !torc_id_eq(&c->id, old) &&
        cand_stands(t, c)) {
      best = c->id;
    }
  }
  return best;
}

/* A candidate that two neighbours report and nobody here can reach counts as predecessor [GAP-123].
 */
static void check_unreachable(torc_topology *t) {
  for (size_t i = 0; i < t->num_cands; i++) {
    const torc_ring_cand *c = &t->cands[i];
    if (torc_ring_cand_counts(t, c)) {
      range_shrink(t, &c->id, false);
    }
  }
}

/* Who dies beside a peer that has just come may have died before it came, and never have given it a
 * copy. */
static void doubt(torc_topology *t, const torc_id *to) {
  torc_time now = torc_ring_now(t);
  if (t->doubt_until <= now || !torc_id_in_open_closed(&t->doubt_to, &t->range_from, &t->self)) {
    t->doubt_to = *to;
  }
  t->doubt_until = torc_time_add(now, TORC_RING_LATELY);
}

/* The next successors, as for the replicas: they held the copies, and hold what was written since.
 */
size_t torc_ring_elders(const torc_topology *t, const torc_id *resource,
                        torc_id out[TORC_REPLICAS_MAX]) {
  size_t num = 0;
  /* The admitting peer may itself have come a moment ago, with the data of an earlier run. */
  bool is_fresh = t->joined_at != 0 &&
                  torc_ring_now(t) < torc_time_add(t->joined_at, TORC_RING_COPIED) &&
                  torc_id_in_open_closed(resource, &t->range_from, &t->self);
  bool is_doubted = t->doubt_until > torc_ring_now(t) &&
                    torc_id_in_open_closed(&t->doubt_to, &t->range_from, &t->self) &&
                    torc_id_in_open_closed(resource, &t->range_from, &t->doubt_to);
  if (!is_fresh && !is_doubted) {
    return 0;
  }
  while (num < t->params->num_replicas && torc_ring_succ(t, num) != NULL) {
    out[num] = torc_ring_succ(t, num)->id;
    num++;
  }
  return num;
}

/* [CHD-04] [GAP-109]: the range begins at the nearest live predecessor; when that is gone it grows
 * at once. */
void torc_ring_check_range(torc_topology *t) {
  torc_id old = t->range_from;
  const torc_ring_cand *c;
  if (!torc_ring_is_active(t)) {
    return;
  }
  check_unreachable(t);
  if (torc_ring_pred(t, 0) != NULL) {
    range_shrink(t, &torc_ring_pred(t, 0)->id, false);
  }
  old = t->range_from;
  if (torc_id_eq(&old, &t->self) || torc_ring_member_find(t, &old) != NULL) {
    return;
  }
  c = torc_ring_cand_find(t, &old);
  if (t->num_members > 0 && c != NULL && cand_stands(t, c)) {
    return;
  }
  t->range_from = nearest_before(t, &old);
  t->changed_at = torc_ring_now(t);
  torc_ring_update_near(t); /* who holds copies of it and sees no dead peer gives them now */
  t->host->stats->takeovers++;
  TORC_LOG(t->host->log, TORC_LOG_INFO, "topology:took_over", TORC_F_ID("from", &t->range_from),
           TORC_F_ID("to", &old));
  torc_ring_handoff_check(t);
  bool has_copies = t->joined_at == 0 ||
                    torc_ring_now(t) >= torc_time_add(t->joined_at, TORC_RING_LATELY) ||
                    (t->has_lost_proven && !t->has_lost_unproven);
  t->has_lost_proven = false;
  t->has_lost_unproven = false;
  if (!has_copies) {
    doubt(t, &old);
  }
  t->host->ops->took_over(t->host->ctx, &t->range_from, &old, has_copies); /* [GAP-95] */
}

bool torc_ring_is_responsible(const torc_topology *t, const torc_id *id) {
  if (!t->has_range || (t->state == TORC_TOPO_LEAVING && t->has_sent_leaves) ||
      t->state == TORC_TOPO_LEFT || t->state == TORC_TOPO_IDLE) {
    return false;
  }
  /* [CHD-04] (p, n], and k = n belongs to n; alone: everything [GAP-109] [ARC-18]. */
  return torc_id_in_open_closed(id, &t->range_from, &t->self);
}

/* ---- routing ---- */

/* Has this neighbour said that `id` is its own? */
static bool claims(const torc_topology *t, const torc_ring_member *m, const torc_id *id) {
  return torc_ring_is_near(t, m) && torc_id_is_peer(&m->first_pred) &&
         torc_id_in_open_closed(id, &m->first_pred, &m->id);
}

/* [CHD-05] [RTG-17] as [GAP-110] has it: the member farthest clockwise in (self, k]; if none, the
 * immediate successor, which then is responsible. A neighbour that is known to be responsible is
 * taken directly: without that, k of a peer that has just joined would go back and forth between
 * its old and its new predecessor [GAP-36]. With it is the one redirect that may name a peer
 * beyond the target. */
bool torc_ring_next_hop(const torc_topology *t, const torc_id *id, torc_id *out) {
  size_t at;
  if (t->num_members == 0) {
    return false;
  }
  at = lower_bound(t, id);
  if (at < t->num_members &&
      (torc_id_eq(&t->members[at].id, id) || claims(t, &t->members[at], id))) {
    *out = t->members[at].id;
  } else {
    *out = t->members[at > 0 ? at - 1 : 0].id;
  }
  return true;
}

bool torc_ring_is_neighbour(const torc_topology *t, const torc_id *peer) {
  const torc_ring_member *m = torc_ring_member_find(t, peer);
  return m != NULL && torc_ring_is_near(t, m);
}

static bool join_wants(const torc_topology *t, const torc_id *peer) {
  if (t->join.stage == TORC_JOIN_NONE) {
    return false;
  }
  for (size_t i = 0; i < t->join.num_found; i++) {
    if (torc_id_eq(&t->join.found[i], peer)) {
      return true;
    }
  }
  return torc_id_eq(&t->join.bootstrap, peer);
}

bool torc_ring_wants_link(const torc_topology *t, const torc_id *peer) {
  const torc_ring_member *m = torc_ring_member_find(t, peer);
  const torc_ring_cand *c;
  if (m != NULL) {
    return torc_ring_is_near(t, m) || torc_ring_is_finger(t, peer) ||
           torc_id_eq(peer, &t->owed_peer) || sends_updates(t, m);
  }
  c = torc_ring_cand_find(t, peer);
  return (c != NULL && (c->state == TORC_CAND_CONNECTING || c->state == TORC_CAND_CONFIRMING)) ||
         join_wants(t, peer) ||
         (t->handoff.stage != TORC_HANDOFF_NONE && torc_id_eq(&t->handoff.jp, peer)) ||
         torc_id_eq(peer, &t->owed_peer) || torc_id_eq(peer, &t->gap_peer);
}

/* ---- lists ---- */

/* Keeps `list` sorted by distance, which runs clockwise for successors and the other way for
 * predecessors. */
static void list_insert(const torc_topology *t, bool is_pred, torc_id *list, size_t *num,
                        size_t max, const torc_id *id) {
  torc_id dist = is_pred ? torc_id_distance(id, &t->self) : torc_id_distance(&t->self, id);
  size_t at = *num;
  while (at > 0) {
    torc_id other = is_pred ? torc_id_distance(&list[at - 1], &t->self)
                            : torc_id_distance(&t->self, &list[at - 1]);
    int order = torc_id_cmp(&other, &dist);
    if (order == 0) {
      return;
    }
    if (order < 0) {
      break;
    }
    at--;
  }
  if (at >= max) {
    return;
  }
  if (*num < max) {
    (*num)++;
  }
  memmove(&list[at + 1], &list[at], (*num - 1 - at) * sizeof list[0]);
  list[at] = *id;
}

void torc_ring_lists(const torc_topology *t, const torc_id *extra,
                     torc_id preds[TORC_CHORD_LIST_MAX], size_t *num_preds,
                     torc_id succs[TORC_CHORD_LIST_MAX], size_t *num_succs) {
  size_t near = torc_ring_num_near(t);
  size_t max = t->keep < TORC_CHORD_LIST_MAX ? t->keep : TORC_CHORD_LIST_MAX;
  if (near > max) {
    near = max;
  }
  for (size_t i = 0; i < near; i++) {
    succs[i] = t->members[i].id;
    preds[i] = t->members[t->num_members - 1 - i].id;
  }
  *num_preds = near;
  *num_succs = near;
  if (t->has_range && !torc_id_eq(&t->range_from, &t->self)) {
    list_insert(t, true, preds, num_preds, max, &t->range_from);
  }
  if (extra != NULL) {
    list_insert(t, true, preds, num_preds, max, extra);
    list_insert(t, false, succs, num_succs, max, extra);
  }
}

void torc_ring_view(const torc_topology *t, torc_topology_view *out) {
  size_t near = torc_ring_num_near(t);
  size_t cap = TORC_ARRAY_LEN(out->successors);
  memset(out, 0, sizeof *out);
  out->state = t->state;
  out->is_responsible = torc_ring_is_responsible(t, &t->self);
  out->range_from = t->range_from;
  if (near > cap) {
    near = cap;
  }
  for (size_t i = 0; i < near; i++) {
    out->successors[i] = t->members[i].id;
    out->predecessors[i] = t->members[t->num_members - 1 - i].id;
  }
  out->num_successors = near;
  out->num_predecessors = near;
  out->num_fingers = t->params->num_fingers;
  for (size_t i = 0; i < t->params->num_fingers; i++) {
    out->fingers[i] = t->fingers[i].state == TORC_FINGER_SET ? t->fingers[i].id : torc_id_zero;
  }
  out->num_routing = t->num_members;
  out->num_candidates = t->num_cands;
  for (size_t i = 0; i < t->num_replicas; i++) {
    out->num_unreplicated += t->replicas[i].is_synced ? 0 : 1;
  }
  out->num_owed = t->num_owed;
  out->is_admitting = t->handoff.stage != TORC_HANDOFF_NONE;
  out->stats = *t->host->stats;
}
