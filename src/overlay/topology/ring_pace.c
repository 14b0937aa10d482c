/* What slows the talk with a member down: pauses, and how many candidates it can make this peer try
 * [GAP-117]. Few members have anything to wait for at a time, so it is kept apart from them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/topology/ring.h"

torc_ring_pace *torc_ring_pace_find(const torc_topology *t, const torc_id *id) {
  for (size_t i = 0; i < t->num_paces; i++) {
    if (torc_id_eq(&t->paces[i].id, id)) {
      return &t->paces[i];
    }
  }
  return NULL;
}

static void refill(const torc_topology *t, torc_ring_pace *p) {
  uint64_t whole = (torc_ring_now(t) - p->tokens_at) / TORC_SEC(1);
  uint64_t more = whole * t->policy->tokens_per_s;
  p->tokens_at += whole * TORC_SEC(1);
  if (whole > t->policy->tokens_max || more > t->policy->tokens_max - p->tokens) {
    p->tokens = t->policy->tokens_max;
  } else {
    p->tokens += (unsigned)more;
  }
}

static bool says_nothing(const torc_topology *t, const torc_ring_pace *p) {
  torc_time now = torc_ring_now(t);
  return p->tokens == t->policy->tokens_max && p->retry_at <= now &&
         (p->suspected == 0 || now >= torc_time_add(p->suspected, TORC_RING_SUSPECT_PAUSE)) &&
         (p->told_at == 0 || now >= torc_time_add(p->told_at, TORC_RING_RETRY));
}

static void remove_at(torc_topology *t, size_t i) {
  t->num_paces--;
  t->paces[i] = t->paces[t->num_paces];
}

static void release(torc_topology *t) {
  void *array = t->paces;
  torc_ring_release(t, &array, &t->cap_paces, t->num_paces, sizeof t->paces[0]);
  t->paces = array;
}

void torc_ring_paces_prune(torc_topology *t) {
  size_t i = 0;
  while (i < t->num_paces) {
    refill(t, &t->paces[i]);
    if (says_nothing(t, &t->paces[i])) {
      remove_at(t, i);
    } else {
      i++;
    }
  }
  release(t);
}

void torc_ring_pace_del(torc_topology *t, const torc_id *id) {
  const torc_ring_pace *p = torc_ring_pace_find(t, id);
  if (p != NULL) {
    remove_at(t, (size_t)(p - t->paces));
    release(t);
  }
}

torc_ring_pace *torc_ring_pace_of(torc_topology *t, const torc_id *id) {
  torc_ring_pace *p = torc_ring_pace_find(t, id);
  void *array;
  int rc;
  if (p != NULL) {
    return p;
  }
  if (t->num_paces == t->cap_paces) {
    torc_ring_paces_prune(t);
  }
  array = t->paces;
  rc = torc_ring_reserve(t, &array, &t->cap_paces, t->num_paces, sizeof t->paces[0],
                         TORC_RING_MEMBERS_MAX);
  t->paces = array;
  if (rc != 0) {
    return NULL;
  }
  p = &t->paces[t->num_paces];
  t->num_paces++;
  *p = (torc_ring_pace){.id = *id, .tokens_at = torc_ring_now(t), .tokens = t->policy->tokens_max};
  return p;
}

bool torc_ring_has_token(const torc_topology *t, const torc_id *id) {
  torc_ring_pace *p = torc_ring_pace_find(t, id);
  if (p != NULL) {
    refill(t, p);
  }
  return p == NULL || p->tokens > 0;
}

void torc_ring_take_token(torc_topology *t, const torc_id *id) {
  torc_ring_pace *p = torc_ring_pace_of(t, id);
  if (p != NULL && p->tokens > 0) {
    p->tokens--;
  }
}
