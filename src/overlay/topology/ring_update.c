/* UPDATE: sending the neighbour set, and the three cases of receiving one [UPD-01] [CHD-20..33].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/topology/ring.h"

#define UPDATE_BYTES_MAX (2 + TORC_RING_HEARD_MAX * TORC_ID_LEN + 2)

int torc_ring_update_send(torc_topology *t, torc_ring_op_kind kind, unsigned arg,
                          const torc_id *peer, const torc_id *new_pred) {
  uint8_t buf[UPDATE_BYTES_MAX];
  torc_wr wr;
  int rc;
  torc_wr_init(&wr, buf, sizeof buf);
  rc = t->policy->put_update(t, &wr, new_pred); /* [CHD-23] [UPD-02] */
  if (rc != 0) {
    return rc;
  }
  return torc_ring_request(t, kind, arg, peer, TORC_METHOD_UPDATE, torc_wr_slice(&wr));
}

static void arm_gather(torc_topology *t) {
  torc_time at = torc_time_add(torc_ring_now(t), t->policy->gather);
  if (t->alarms[TORC_ALARM_GATHER] > at) {
    torc_ring_arm(t, TORC_ALARM_GATHER, at);
  }
}

void torc_ring_update_member(torc_topology *t, torc_ring_member *m) {
  m->is_update_due = true;
  arm_gather(t);
}

void torc_ring_update_near(torc_topology *t) {
  for (size_t i = 0; torc_ring_is_active(t) && i < t->num_members; i++) {
    if (torc_ring_is_near(t, &t->members[i])) {
      torc_ring_update_member(t, &t->members[i]);
    }
  }
}

/* [CHD-38] [GAP-120]: neighbours and fingers. */
void torc_ring_update_all(torc_topology *t) {
  for (size_t i = 0; torc_ring_is_active(t) && i < t->num_members; i++) {
    torc_ring_member *m = &t->members[i];
    if (torc_ring_is_near(t, m) || torc_ring_is_finger(t, &m->id)) {
      torc_ring_update_member(t, m);
    }
  }
}

static torc_time retry_time(const torc_topology *t, const torc_ring_member *m) {
  const torc_ring_pace *p = torc_ring_pace_find(t, &m->id);
  return p != NULL ? p->retry_at : 0;
}

/* Without memory to note it, the next event that sends UPDATEs may be earlier. */
static torc_time retry_later(torc_topology *t, const torc_ring_member *m) {
  torc_time at = torc_time_add(torc_ring_now(t), TORC_RING_RETRY);
  torc_ring_pace *p = torc_ring_pace_of(t, &m->id);
  if (p != NULL) {
    p->retry_at = at;
  }
  return at;
}

/* One UPDATE at a time per peer, so that they cannot overtake each other [GAP-163]. */
void torc_ring_update_flush(torc_topology *t) {
  torc_time now = torc_ring_now(t);
  torc_time next = TORC_NEVER;
  for (size_t i = 0; torc_ring_is_active(t) && i < t->num_members; i++) {
    torc_ring_member *m = &t->members[i];
    torc_time retry_at;
    if (!m->is_update_due || m->is_update_out) {
      continue;
    }
    retry_at = retry_time(t, m);
    if (retry_at <= now) {
      if (torc_ring_update_send(t, TORC_OP_UPDATE, 0, &m->id, NULL) == 0) {
        m->is_update_due = false;
        m->is_update_out = true;
        continue;
      }
      retry_at = retry_later(t, m);
    }
    next = retry_at < next ? retry_at : next;
  }
  torc_ring_arm(t, TORC_ALARM_GATHER, next);
}

/* [CHD-41]: silence makes the entry invalid and the connection is tried again. 404 and 405: it is
 * not in the ring. */
void torc_ring_update_answered(torc_topology *t, const torc_ring_op *op, int rc, uint16_t code) {
  torc_ring_member *m = torc_ring_member_find(t, &op->peer);
  torc_id id = op->peer;
  if (m == NULL || !m->is_update_out) {
    return;
  }
  m->is_update_out = false;
  if (code == TORC_CODE_OK) {
    if (m->is_update_due) {
      arm_gather(t);
    }
  } else if (rc == TORC_ERR_CLOSED) {
    torc_ring_update_member(t, m); /* its link was replaced; if it is gone, the event follows */
  } else if (code == 0) {
    torc_ring_member_del(t, &id, TORC_GONE_DOWN);
    t->host->ops->close_link(t->host->ctx, &id);
  } else if (code == TORC_CODE_NOT_FOUND || code == TORC_CODE_METHOD) {
    torc_ring_member_del(t, &id, TORC_GONE_OUTSIDE);
  } else {
    (void)retry_later(t, m);
    torc_ring_update_member(t, m);
  }
}

/* ---- receiving ---- */

static bool is_listed(const torc_ring_heard *heard, const torc_id *id) {
  for (size_t i = 0; i < heard->num; i++) {
    if (torc_id_eq(&heard->ids[i], id)) {
      return true;
    }
  }
  return false;
}

/* PINGs a neighbour whose place in the ring the sender knows as empty. False: no further PING for
 * this UPDATE. */
static bool suspect(torc_topology *t, torc_ring_member *m, unsigned *num) {
  torc_time now = torc_ring_now(t);
  torc_ring_pace *p = torc_ring_pace_find(t, &m->id);
  if (p != NULL && p->suspected != 0 &&
      now < torc_time_add(p->suspected, TORC_RING_SUSPECT_PAUSE)) {
    return true;
  }
  if (*num >= TORC_RING_PINGS_PER_UPDATE) {
    t->host->stats->pings_ignored++;
    return false;
  }
  p = torc_ring_pace_of(t, &m->id);
  if (p == NULL) { /* no memory to limit it: the next UPDATE asks again */
    t->host->stats->pings_ignored++;
    return true;
  }
  (*num)++;
  p->suspected = torc_ring_ping(t, TORC_OP_SUSPECT_PING, 0, &m->id, NULL) == 0 ? now : 0;
  return true;
}

/* Does the sender see nobody between `a` and `b`, where this peer is, or is one of the two? */
static bool concerns_self(const torc_topology *t, const torc_id *a, const torc_id *b) {
  return torc_id_in_open(&t->self, a, b) || torc_id_eq(&t->self, a) || torc_id_eq(&t->self, b);
}

/* Third case [CHD-27] [CHD-31] [CHD-32]: an adjacent pair (a, b) of the sender has this peer
 * between them, and a neighbour x as well, but x is not listed [GAP-117]. A pair that ends in this
 * peer is evidence just as well: the sender has lost an x that was next to it, or never met it.
 * True: there is such a neighbour. */
static bool check_brackets(torc_topology *t, const torc_ring_heard *heard) {
  unsigned num = 0;
  bool lacks = false;
  for (size_t i = 0; i + 1 < heard->num_walk; i++) {
    const torc_id *a = &heard->walk[i];
    const torc_id *b = &heard->walk[i + 1];
    if (torc_id_eq(a, b) || !concerns_self(t, a, b)) {
      continue;
    }
    for (size_t k = 0; k < t->num_members; k++) {
      torc_ring_member *m = &t->members[k];
      if (!torc_ring_is_near(t, m) || !torc_id_in_open(&m->id, a, b) || is_listed(heard, &m->id)) {
        continue;
      }
      lacks = true;
      if (!suspect(t, m, &num)) {
        return true;
      }
    }
  }
  return lacks;
}

/* A neighbour that does not know this peer, though it should, is told. So is a peer far from here
 * that takes this one for its neighbour and lacks those between: after two rings have met at one
 * place it may know the other ring by them alone, and nobody else will tell it who comes before
 * them [GAP-124]. */
static void tell_if_lacking(torc_topology *t, torc_ring_member *m, const torc_ring_heard *heard,
                            bool lacks) {
  torc_time now = torc_ring_now(t);
  torc_ring_pace *p = NULL;
  if (torc_ring_is_near(t, m) ? is_listed(heard, &t->self) : !lacks) {
    return;
  }
  p = torc_ring_pace_of(t, &m->id);
  if (p != NULL && (p->told_at == 0 || now >= torc_time_add(p->told_at, TORC_RING_RETRY))) {
    p->told_at = now;
    torc_ring_update_member(t, m);
  }
}

static void note_sender(torc_topology *t, torc_ring_member *m, const torc_ring_heard *heard) {
  torc_time now = torc_ring_now(t);
  torc_id before = m->first_pred;
  m->heard = now == 0 ? 1 : now;
  m->first_pred = heard->first_pred;
  if (torc_id_is_peer(&before) && torc_id_is_peer(&m->first_pred) &&
      torc_id_in_open(&before, &m->first_pred, &m->id)) {
    /* It may have missed the dead one before this peer does; or what is owed waits for it. */
    torc_ring_owe_heir(t, m, &m->first_pred, &before);
    t->owed_retry_at = 0;
  }
  /* A member may hand over merged data for a minute, once per UPDATE period [GAP-124]. */
  if (now >= torc_time_add(m->window, t->params->update_period)) {
    m->window = now;
  }
}

/* [UPD-03] 200 or an error; the sender is the direct, authenticated link's peer that signed
 * [GAP-54]. */
void torc_ring_on_update(torc_topology *t, const torc_id *from, torc_slice payload,
                         torc_topology_reply *reply) {
  torc_ring_heard heard;
  torc_ring_member *m;
  t->host->stats->updates_in++;
  if (t->policy->get_update(payload, from, &heard) != 0) { /* */
    t->host->stats->updates_bad++;
    reply->code = TORC_CODE_BAD_REQUEST;
    return;
  }
  if (torc_ring_join_update(t, from, &heard, reply)) {
    return;
  }
  if (!torc_ring_is_active(t)) {
    reply->code = TORC_CODE_NOT_FOUND; /* not in the ring, or no longer */
    return;
  }
  if (t->handoff.stage == TORC_HANDOFF_UPDATE && torc_id_eq(&t->handoff.jp, from)) {
    torc_ring_handoff_finish(t); /* it has switched: its answer was lost or comes later */
  }
  m = torc_ring_member_add(t, from, false); /* [GAP-117]: any sender may be routed through */
  if (m == NULL) {
    reply->code = TORC_CODE_UNAVAILABLE;
    return;
  }
  reply->code = TORC_CODE_OK;
  note_sender(t, m, &heard);
  torc_ring_cands_heard(t, m, &heard);
  tell_if_lacking(t, m, &heard, check_brackets(t, &heard));
}

void torc_ring_suspect_answered(torc_topology *t, const torc_ring_op *op, int rc,
                                const torc_id *responder) {
  torc_id id = op->peer;
  if (rc == 0 && responder != NULL && torc_id_eq(responder, &id)) {
    return;
  }
  if (torc_ring_member_find(t, &id) != NULL) {
    torc_ring_member_del(t, &id, TORC_GONE_DOWN); /* [CHD-31] */
    t->host->ops->close_link(t->host->ctx, &id);
  }
}
