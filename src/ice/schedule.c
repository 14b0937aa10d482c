/* Which check leaves when: one each Ta for all sessions, triggered ones first [ICE-28].
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "ice/ice_impl.h"

#define BUCKET_TOKENS 32u          /* first checks towards an address that has not answered */
#define BUCKET_PERIOD TORC_MS(100) /* then one each */

/* ---- addresses that do not answer ---- */

static torc_ice_bucket *bucket_of(torc_ice *ice, const torc_addr *a) {
  torc_slice ip = torc_slice_of(a->addr, a->family == 2 ? 8 : 4);
  return &ice->buckets[torc_hash64(ice->seed, ip) % TORC_ICE_BUCKETS];
}

void torc_ice_bucket_answered(torc_ice *ice, const torc_addr *a) {
  bucket_of(ice, a)->open_until = torc_time_add(ice->now, TORC_ICE_BUCKET_OPEN);
}

/* Whether a first check may go to this pair's address: a candidate may be anybody's. False: *again
 * is when it is worth asking. */
static bool pay(torc_ice_session *s, torc_ice_pair *p, torc_time *again) {
  torc_ice *ice = s->ice;
  torc_ice_bucket *b = bucket_of(ice, &s->others[p->other].addr);
  bool is_open = p->conn != NULL && p->conn->state == TORC_ICE_CONN_OPEN;
  if (p->was_paid || is_open || b->open_until > ice->now) {
    return true;
  }
  if (b->at == 0 || ice->now - b->at >= BUCKET_TOKENS * BUCKET_PERIOD) {
    b->tokens = BUCKET_TOKENS;
    b->at = ice->now;
  } else {
    torc_time num = (ice->now - b->at) / BUCKET_PERIOD;
    b->at += num * BUCKET_PERIOD;
    b->tokens += (uint32_t)num;
    b->tokens = b->tokens < BUCKET_TOKENS ? b->tokens : BUCKET_TOKENS;
  }
  if (b->tokens == 0) {
    torc_time next = torc_time_add(b->at, BUCKET_PERIOD);
    *again = next < *again ? next : *again;
    ice->stats.checks_held_back++;
    return false;
  }
  b->tokens--;
  p->was_paid = true;
  return true;
}

/* ---- one session ---- */

void torc_ice_ready(torc_ice_session *s) {
  if (s->state == TORC_ICE_RUNNING && torc_list_empty(&s->ready)) {
    torc_list_push_back(&s->ice->ready, &s->ready);
  }
}

void torc_ice_trigger(torc_ice_session *s, torc_ice_pair *p, bool is_first) {
  if (p->state != TORC_ICE_PAIR_SUCCEEDED) {
    torc_ice_pair_set(s, p, TORC_ICE_PAIR_WAITING);
  }
  torc_list_remove(&p->trigger);
  if (is_first) {
    torc_list_push_front(&s->triggered, &p->trigger);
  } else {
    torc_list_push_back(&s->triggered, &p->trigger);
  }
  torc_ice_ready(s);
}

/* RFC 8445 6.1.4.2: triggered checks, then the best that waits. */
static torc_ice_pair *choose(torc_ice_session *s, torc_time *again) {
  torc_list *l;
  while ((l = torc_list_pop_front(&s->triggered)) != NULL) {
    torc_ice_pair *p = TORC_CONTAINER_OF(l, torc_ice_pair, trigger);
    if (pay(s, p, again)) {
      return p;
    }
  }
  for (l = s->pairs.next; l != &s->pairs; l = l->next) {
    torc_ice_pair *p = torc_ice_pair_at(l);
    if (p->state == TORC_ICE_PAIR_WAITING && pay(s, p, again)) {
      return p;
    }
  }
  return NULL;
}

static bool start_one(torc_ice_session *s) {
  torc_time again = TORC_NEVER;
  torc_ice_pair *p = choose(s, &again);
  int rc;
  if (p == NULL) {
    torc_time thaw = torc_ice_pairs_thaw(s);
    again = thaw < again ? thaw : again;
    p = choose(s, &again);
  }
  if (p == NULL) {
    torc_list_remove(&s->ready);
    torc_timer_arm(&s->ice->timers, &s->retry, again);
    return false;
  }
  rc = torc_ice_check_start(s, p);
  if (rc == TORC_ERR_CLOSED) {
    torc_ice_pair_fail(s, p, rc);
  } else if (rc != 0) { /* memory, random bytes: later */
    torc_list_remove(&s->ready);
    if (p->will_nominate) {
      torc_list_push_front(&s->triggered, &p->trigger);
    }
    torc_timer_arm(&s->ice->timers, &s->retry, torc_time_add(s->ice->now, TORC_ICE_RETRY));
  }
  return rc == 0;
}

/* ---- all sessions ---- */

void torc_ice_pump(torc_ice *ice) {
  while (!torc_list_empty(&ice->ready) && ice->now >= ice->next_check) {
    torc_ice_session *s =
        TORC_CONTAINER_OF(torc_list_pop_front(&ice->ready), torc_ice_session, ready);
    if (start_one(s)) {
      ice->next_check = torc_time_add(ice->now, ice->cfg.ta);
      torc_ice_ready(s);
    }
  }
  torc_timer_arm(&ice->timers, &ice->pace,
                 torc_list_empty(&ice->ready) ? TORC_NEVER : ice->next_check);
}

void torc_ice_on_pace(torc_timer *t, torc_time now) {
  (void)now;
  torc_ice_pump(TORC_CONTAINER_OF(t, torc_ice, pace));
}

void torc_ice_on_retry(torc_timer *t, torc_time now) {
  (void)now;
  torc_ice_ready(TORC_CONTAINER_OF(t, torc_ice_session, retry));
}
