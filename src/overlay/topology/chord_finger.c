/* The finger table: finger i (from 1) is the peer responsible for n + 2^(128-i) [CHD-03] [CHD-19]
 * [GAP-111]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/topology/ring.h"

#define BITS (8u * TORC_ID_LEN)

/* `index` counts from 0: finger 1 is half a ring away. */
torc_id torc_ring_finger_target(const torc_topology *t, size_t index) {
  return torc_id_add_pow2(&t->self, (unsigned)(BITS - 1u - index));
}

/* [CHD-12 deviates] "Joining": fingers are linked after the JOIN, so that no join waits for them; a
 * moment later, since the neighbours' first UPDATEs tell who is responsible for most targets of a
 * small ring. */
void torc_ring_fingers_restart(torc_topology *t) {
  torc_time at = torc_time_add(torc_ring_now(t), TORC_RING_FINGER_DELAY);
  t->num_fingers_running = 0;
  for (size_t i = 0; i < t->params->num_fingers; i++) {
    t->fingers[i] = (torc_ring_finger){.state = TORC_FINGER_NEEDED, .retry_at = at};
  }
}

static void finger_set(torc_topology *t, size_t i, const torc_id *id) {
  /* [GAP-111] [CHD-34]: itself is not entered, the place stays empty. */
  t->fingers[i].id = torc_id_eq(id, &t->self) ? torc_id_zero : *id;
  t->fingers[i].state = TORC_FINGER_SET;
}

static void finger_later(torc_topology *t, size_t i, torc_time delay) {
  t->fingers[i].state = TORC_FINGER_NEEDED;
  t->fingers[i].retry_at = torc_time_add(torc_ring_now(t), torc_ring_jitter(t, delay));
}

/* Another finger's answer that covers this target too: nobody lies between its target and its peer.
 */
static bool from_fingers(const torc_topology *t, const torc_id *target, torc_id *out) {
  for (size_t k = 0; k < t->params->num_fingers; k++) {
    const torc_ring_finger *f = &t->fingers[k];
    torc_id start;
    if (f->state != TORC_FINGER_SET || !torc_id_is_peer(&f->id)) {
      continue;
    }
    start = torc_ring_finger_target(t, k);
    if (!torc_id_eq(&start, &f->id) &&
        (torc_id_eq(target, &start) || torc_id_in_open_closed(target, &start, &f->id))) {
      *out = f->id;
      return true;
    }
  }
  return false;
}

/* Answers from what is known: own range, a member that has said where its range begins, another
 * finger. */
static bool resolve(const torc_topology *t, const torc_id *target, torc_id *out) {
  const torc_ring_member *m = torc_ring_member_from(t, target);
  if (torc_ring_is_responsible(t, target)) {
    *out = t->self;
    return true;
  }
  if (m != NULL &&
      (torc_id_eq(&m->id, target) || (torc_id_is_peer(&m->first_pred) &&
                                      torc_id_in_open_closed(target, &m->first_pred, &m->id)))) {
    *out = m->id;
    return true;
  }
  return from_fingers(t, target, out);
}

/* Nearest targets first: their answers cover some of the farther ones. While as many are looked for
 * as may be, the others wait: their turn comes with the next answer. */
void torc_ring_fingers_pump(torc_topology *t, torc_time *next) {
  torc_time now = torc_ring_now(t);
  if (t->num_fingers_running >= TORC_RING_FINGERS_AT_ONCE) {
    return;
  }
  for (size_t n = t->params->num_fingers; n > 0; n--) {
    size_t i = n - 1;
    torc_ring_finger *f = &t->fingers[i];
    torc_id target, found;
    if (f->state != TORC_FINGER_NEEDED) {
      continue;
    }
    target = torc_ring_finger_target(t, i);
    if (f->retry_at > now) {
      *next = f->retry_at < *next ? f->retry_at : *next;
    } else if (resolve(t, &target, &found)) {
      finger_set(t, i, &found);
    } else if (t->num_fingers_running < TORC_RING_FINGERS_AT_ONCE && t->num_members > 0) {
      f->state = TORC_FINGER_RUNNING;
      t->num_fingers_running++;
      if (torc_ring_connect(t, TORC_OP_FINGER_CONNECT, (unsigned)i, &target, false, NULL) != 0) {
        t->num_fingers_running--;
        finger_later(t, i, TORC_RING_RETRY);
        *next = f->retry_at < *next ? f->retry_at : *next;
      }
    }
  }
}

void torc_ring_finger_lost(torc_topology *t, const torc_id *id) {
  for (size_t i = 0; i < t->params->num_fingers; i++) {
    if (t->fingers[i].state == TORC_FINGER_SET && torc_id_eq(&t->fingers[i].id, id)) {
      finger_later(t, i, TORC_RING_RETRY);
    }
  }
}

/* The peer is linked: it becomes a member and learns of this one by an UPDATE. */
static void finger_take(torc_topology *t, size_t i, const torc_id *peer) {
  torc_ring_member *m;
  if (torc_id_eq(peer, &t->self)) {
    finger_set(t, i, peer);
    return;
  }
  m = torc_ring_member_find(t, peer);
  if (m == NULL) {
    m = torc_ring_member_add(t, peer, false);
    if (m != NULL) {
      torc_ring_update_member(t, m);
    }
  }
  if (m != NULL) {
    finger_set(t, i, peer);
  } else {
    finger_later(t, i, t->params->retry_unreachable);
  }
}

void torc_ring_finger_connected(torc_topology *t, const torc_ring_op *op, int rc,
                                const torc_id *peer) {
  size_t i = op->arg;
  if (t->fingers[i].state != TORC_FINGER_RUNNING) {
    return;
  }
  t->num_fingers_running--;
  if (rc != 0 || peer == NULL || !torc_ring_is_active(t)) {
    t->host->stats->fingers_failed++;
    finger_later(t, i, t->params->retry_unreachable); /* [ARC-19]: not fatal */
  } else {
    finger_take(t, i, peer);
  }
}

/* [CHD-43]: a random one. */
void torc_ring_finger_ping(torc_topology *t) {
  unsigned i = (unsigned)torc_rng_below(t->host->rng, t->params->num_fingers);
  torc_id target = torc_ring_finger_target(t, i);
  if (torc_ring_is_active(t) && t->num_members > 0 &&
      torc_ring_ping(t, TORC_OP_FINGER_PING, i, &target, NULL) != 0) {
    t->host->stats->fingers_failed++; /* another one next period */
  }
}

void torc_ring_finger_pinged(torc_topology *t, const torc_ring_op *op, int rc,
                             const torc_id *responder) {
  size_t i = op->arg;
  const torc_ring_finger *f = &t->fingers[i];
  if (rc != 0 || responder == NULL || f->state == TORC_FINGER_RUNNING || !torc_ring_is_active(t) ||
      (f->state == TORC_FINGER_SET && torc_id_eq(responder, &f->id))) {
    return;
  }
  if (torc_id_eq(responder, &t->self) || torc_ring_member_find(t, responder) != NULL) {
    finger_set(t, i, responder);
  } else if (torc_ring_connect(t, TORC_OP_FINGER_REPLACE, (unsigned)i, responder, true, NULL) !=
             0) {                     /* [CHD-45] */
    t->host->stats->fingers_failed++; /* the old entry serves on */
  }
}
