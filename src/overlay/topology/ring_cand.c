/* Candidates: peers that UPDATEs list. They are believed only after an own CONNECT and an answered
 * UPDATE [GAP-54] [GAP-117], each sender makes this peer try only so many, and the table is
 * bounded. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "overlay/topology/ring.h"

torc_ring_cand *torc_ring_cand_find(const torc_topology *t, const torc_id *id) {
  for (size_t i = 0; i < t->num_cands; i++) {
    if (torc_id_eq(&t->cands[i].id, id)) {
      return &t->cands[i];
    }
  }
  return NULL;
}

static void cand_remove(torc_topology *t, torc_ring_cand *c) {
  t->num_cands--;
  *c = t->cands[t->num_cands];
}

void torc_ring_cand_del(torc_topology *t, const torc_id *id) {
  torc_ring_cand *c = torc_ring_cand_find(t, id);
  if (c != NULL) {
    cand_remove(t, c);
  }
}

static unsigned num_reporters(const torc_topology *t, const torc_ring_cand *c) {
  unsigned num = 0;
  for (size_t i = 0; i < 2; i++) {
    const torc_ring_member *m = torc_ring_member_find(t, &c->reporters[i]);
    num += m != NULL && torc_ring_is_near(t, m) ? 1 : 0;
  }
  return num;
}

bool torc_ring_cand_counts(const torc_topology *t, const torc_ring_cand *c) {
  return c->state == TORC_CAND_UNREACHABLE && num_reporters(t, c) == 2;
}

bool torc_ring_cand_is_pending(const torc_topology *t, const torc_ring_cand *c) {
  if (c->state == TORC_CAND_UNREACHABLE || c->was_member || c->fails > 0) {
    return false;
  }
  return c->tried_at == 0 || torc_ring_now(t) < torc_time_add(c->tried_at, TORC_RING_PENDING);
}

static bool is_wanted(const torc_topology *t, const torc_ring_cand *c) {
  return t->policy->keeps_all || torc_ring_would_be_near(t, &c->id, t->keep);
}

/* Room by dropping one that nobody vouches for. */
static bool evict_one(torc_topology *t) {
  for (size_t i = 0; i < t->num_cands; i++) {
    torc_ring_cand *c = &t->cands[i];
    if (num_reporters(t, c) == 0 && !c->was_member && c->state != TORC_CAND_CONFIRMING &&
        c->state != TORC_CAND_CONNECTING) {
      cand_remove(t, c);
      t->host->stats->candidates_evicted++;
      return true;
    }
  }
  return false;
}

static torc_ring_cand *cand_add(torc_topology *t, const torc_id *id) {
  torc_time now = torc_ring_now(t);
  torc_ring_cand *c = torc_ring_cand_find(t, id);
  void *array;
  int rc;
  if (c != NULL) {
    return c;
  }
  if (t->num_cands >= TORC_RING_CANDIDATES_MAX && !evict_one(t)) {
    t->host->stats->ids_ignored++;
    return NULL;
  }
  array = t->cands;
  rc = torc_ring_reserve(t, &array, &t->cap_cands, t->num_cands, sizeof t->cands[0],
                         TORC_RING_CANDIDATES_MAX);
  t->cands = array;
  if (rc != 0) {
    t->host->stats->ids_ignored++;
    return NULL;
  }
  c = &t->cands[t->num_cands];
  t->num_cands++;
  *c = (torc_ring_cand){.id = *id, .since = now};
  /* Both ends usually hear of each other at once: the lower id dials, the other only if nothing
   * comes. */
  c->retry_at = torc_id_cmp(&t->self, id) < 0 ? now : torc_time_add(now, TORC_RING_YIELD);
  return c;
}

/* [CHD-41]: the entry is no longer used, and one attempt is made to re-establish the connection. */
void torc_ring_cand_lost(torc_topology *t, const torc_id *id) {
  torc_ring_cand *c = cand_add(t, id);
  if (c != NULL) {
    c->was_member = true;
    c->state = TORC_CAND_IDLE;
    c->reporters[0] = torc_id_zero; /* what was said before the loss is no evidence */
    c->reporters[1] = torc_id_zero;
    c->retry_at = torc_time_add(torc_ring_now(t), torc_ring_jitter(t, TORC_RING_YIELD));
  }
}

/* ---- what an UPDATE lists ---- */

static void forget_reports(torc_topology *t, const torc_id *reporter) {
  for (size_t i = 0; i < t->num_cands; i++) {
    for (size_t k = 0; k < 2; k++) {
      if (torc_id_eq(&t->cands[i].reporters[k], reporter)) {
        t->cands[i].reporters[k] = torc_id_zero;
      }
    }
  }
}

static void add_report(torc_topology *t, torc_ring_cand *c, const torc_id *reporter) {
  c->since = torc_ring_now(t);
  for (size_t k = 0; k < 2; k++) {
    if (torc_id_eq(&c->reporters[k], reporter)) {
      return;
    }
  }
  for (size_t k = 0; k < 2; k++) {
    if (torc_ring_member_find(t, &c->reporters[k]) == NULL) {
      c->reporters[k] = *reporter;
      return;
    }
  }
}

/* One sender's share of the table. */
static bool has_share(const torc_topology *t, const torc_id *reporter) {
  size_t num = 0;
  for (size_t i = 0; i < t->num_cands; i++) {
    num += torc_id_eq(&t->cands[i].reporters[0], reporter) ? 1 : 0;
  }
  return num < t->policy->tokens_max;
}

/* [CHD-29] [GAP-117]: only peers that could be neighbours, or replace one, are remembered, so that
 * the next three are known when three die at once. */
static bool is_worth_knowing(const torc_topology *t, const torc_id *id) {
  return t->policy->keeps_all || torc_ring_would_be_near(t, id, t->keep + TORC_RING_NEIGHBOURS_MIN);
}

static void hear_one(torc_topology *t, torc_ring_member *reporter, const torc_id *id) {
  torc_ring_cand *c;
  if (torc_id_eq(id, &t->self) || torc_ring_member_find(t, id) != NULL) {
    return;
  }
  c = torc_ring_cand_find(t, id);
  if (c == NULL) {
    if (!is_worth_knowing(t, id)) {
      return;
    }
    if (!torc_ring_has_token(t, &reporter->id) || !has_share(t, &reporter->id)) {
      t->host->stats->ids_ignored++;
      return;
    }
    c = cand_add(t, id);
    if (c == NULL) {
      return;
    }
    torc_ring_take_token(t, &reporter->id);
  }
  add_report(t, c, &reporter->id);
}

void torc_ring_cands_heard(torc_topology *t, torc_ring_member *reporter,
                           const torc_ring_heard *heard) {
  torc_id id = reporter->id;
  forget_reports(t, &id); /* [GAP-163]: the latest received counts */
  t->host->stats->ids_ignored += heard->num_cut;
  for (size_t i = 0; i < heard->num; i++) {
    if (!torc_id_eq(&heard->ids[i], &id)) {
      hear_one(t, reporter, &heard->ids[i]);
    }
  }
}

/* ---- CONNECT and confirm ---- */

/* Twice more, soon: a CONNECT may have gone astray while tables changed. Then it counts as
 * unreachable [GAP-123]. */
static void cand_failed(torc_topology *t, torc_ring_cand *c) {
  torc_time now = torc_ring_now(t);
  c->was_member = false;
  c->fails++;
  if (c->fails < 3) {
    c->state = TORC_CAND_IDLE;
    c->retry_at = torc_time_add(now, torc_ring_jitter(t, c->fails * TORC_RING_RETRY));
  } else {
    c->state = TORC_CAND_UNREACHABLE;
    c->retry_at = torc_time_add(now, t->params->retry_unreachable);
  }
}

static void cand_later(torc_topology *t, torc_ring_cand *c) {
  c->state = TORC_CAND_IDLE;
  c->retry_at = torc_time_add(torc_ring_now(t), TORC_RING_RETRY);
}

static void send_confirm(torc_topology *t, torc_ring_cand *c) {
  torc_id id = c->id;
  if (c->tried_at == 0) {
    c->tried_at = torc_ring_now(t);
  }
  c->state = TORC_CAND_CONFIRMING;
  if (torc_ring_update_send(t, TORC_OP_CONFIRM, 0, &id, NULL) != 0) {
    c = torc_ring_cand_find(t, &id);
    if (c != NULL) {
      cand_later(t, c);
    }
  }
}

void torc_ring_cand_confirm(torc_topology *t, const torc_id *id) {
  torc_ring_cand *c = cand_add(t, id);
  if (c != NULL && c->state != TORC_CAND_CONFIRMING) {
    send_confirm(t, c);
  }
}

/* A CONNECT goes through the neighbour that reported the peer, because that one has a link to it
 * [CHD-21]; also where two rings meet and ordinary routing does not lead there [GAP-124]. */
static void start_connect(torc_topology *t, torc_ring_cand *c) {
  const torc_id *via = NULL;
  torc_id id = c->id;
  torc_id reporter = torc_id_zero;
  torc_time now = torc_ring_now(t);
  for (size_t k = 0; k < 2 && via == NULL; k++) {
    size_t which = (k + c->fails) % 2; /* not through the same one again */
    if (torc_ring_member_find(t, &c->reporters[which]) != NULL) {
      reporter = c->reporters[which];
      via = &reporter;
    }
  }
  if (c->tried_at == 0) {
    c->tried_at = now;
  }
  c->state = TORC_CAND_CONNECTING;
  c->via = reporter;
  c->serial = ++t->last_serial;
  if (torc_ring_connect(t, TORC_OP_CAND_CONNECT, c->serial, &id, true, via) != 0) {
    c = torc_ring_cand_find(t, &id);
    if (c != NULL) {
      cand_later(t, c);
    }
  }
}

/* A CONNECT on its way through a peer that is gone starts again by another way. */
void torc_ring_cands_via_lost(torc_topology *t, const torc_id *via) {
  for (size_t i = 0; i < t->num_cands; i++) {
    torc_ring_cand *c = &t->cands[i];
    if (c->state == TORC_CAND_CONNECTING && torc_id_eq(&c->via, via)) {
      c->state = TORC_CAND_IDLE;
      c->retry_at = 0;
    }
  }
}

/* Connections under way, in all and for one reporter: nobody can occupy them all with dead peers.
 */
static bool may_connect(const torc_topology *t, const torc_ring_cand *c) {
  unsigned all = 0;
  unsigned same = 0;
  for (size_t i = 0; i < t->num_cands; i++) {
    const torc_ring_cand *o = &t->cands[i];
    if (o->state == TORC_CAND_CONNECTING || o->state == TORC_CAND_CONFIRMING) {
      all++;
      same += torc_id_eq(&o->reporters[0], &c->reporters[0]) ? 1 : 0;
    }
  }
  return all < t->policy->connects_max && same < t->policy->connects_per_reporter;
}

/* True: the candidate was removed. */
static bool expire(torc_topology *t, torc_ring_cand *c, torc_time now) {
  bool is_busy = c->state == TORC_CAND_CONNECTING || c->state == TORC_CAND_CONFIRMING;
  if (is_busy || c->was_member || now < c->retry_at ||
      now < torc_time_add(c->since, t->params->retry_unreachable) || num_reporters(t, c) > 0) {
    return false;
  }
  cand_remove(t, c);
  return true;
}

/* [CHD-42] [CHD-22]: wherever a table is short of neighbours, the next known peers are tried. */
void torc_ring_cands_pump(torc_topology *t, torc_time *next) {
  torc_time now = torc_ring_now(t);
  size_t i = 0;
  while (i < t->num_cands) {
    torc_ring_cand *c = &t->cands[i];
    if (expire(t, c, now)) {
      continue;
    }
    bool is_busy = c->state == TORC_CAND_CONNECTING || c->state == TORC_CAND_CONFIRMING;
    bool is_needed = !is_busy && is_wanted(t, c);
    if (!is_busy && !is_needed && !is_worth_knowing(t, &c->id)) {
      cand_remove(t, c); /* nearer ones have come between */
      continue;
    }
    i++;
    if (!is_needed) {
      c->was_member = c->was_member && is_busy;
      continue;
    }
    if (c->retry_at > now) {
      *next = c->retry_at < *next ? c->retry_at : *next;
      continue;
    }
    if (t->host->ops->is_linked(t->host->ctx, &c->id)) {
      send_confirm(t, c);
    } else if (may_connect(t, c)) {
      start_connect(t, c);
    }
  }
  void *array = t->cands;
  torc_ring_release(t, &array, &t->cap_cands, t->num_cands, sizeof t->cands[0]);
  t->cands = array;
}

void torc_ring_cand_connected(torc_topology *t, const torc_ring_op *op, int rc) {
  torc_ring_cand *c = torc_ring_cand_find(t, &op->peer);
  if (c == NULL || c->state != TORC_CAND_CONNECTING || c->serial != op->arg) {
    return;
  }
  if (rc != 0) {
    cand_failed(t, c);
    return;
  }
  send_confirm(t, c);
}

/* [CHD-30]: it is taken in once it has answered as a member of the ring. */
void torc_ring_cand_confirmed(torc_topology *t, const torc_ring_op *op, uint16_t code) {
  torc_ring_cand *c = torc_ring_cand_find(t, &op->peer);
  torc_id id = op->peer;
  if (c == NULL || c->state != TORC_CAND_CONFIRMING) {
    return;
  }
  if (code == TORC_CODE_OK) {
    cand_later(t, c); /* in case the table is full */
    (void)torc_ring_member_add(t, &id, false);
  } else if (code == 0) {
    cand_failed(t, c);
  } else {
    c->was_member = false;
    if (code != TORC_CODE_UNAVAILABLE && c->fails == 0) {
      c->fails = 1; /* not in the ring: it stands for nobody [GAP-109] */
    }
    cand_later(t, c);
  }
}
