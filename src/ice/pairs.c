/* Candidate pairs: forming, pruning, order, what is frozen [ICE-28].
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "ice/ice_impl.h"

torc_ice_pair *torc_ice_pair_at(torc_list *link) {
  return TORC_CONTAINER_OF(link, torc_ice_pair, link);
}

/* RFC 8445 6.1.2.3. */
static uint64_t priority_of(const torc_ice_session *s, size_t own, size_t other) {
  uint64_t a = s->owns[own].priority;
  uint64_t b = s->others[other].priority;
  uint64_t controlling = s->is_controlling ? a : b;
  uint64_t controlled = s->is_controlling ? b : a;
  return ((a < b ? a : b) << 32) + 2 * (a < b ? b : a) + (controlling > controlled ? 1 : 0);
}

static bool is_link_local(const torc_addr *a) {
  return a->family == 2 && a->addr[0] == 0xfe && (a->addr[1] & 0xc0) == 0x80;
}

/* RFC 8445 6.1.2.2, RFC 6544 6.2; a passive candidate of ours has nothing to check with. */
static bool may_pair(const torc_ice_own *o, const torc_ice_other *r) {
  if (o->is_gone || o->l.transport != r->transport || o->l.base.family != r->addr.family ||
      is_link_local(&o->l.base) != is_link_local(&r->addr)) {
    return false;
  }
  if (r->transport == TORC_CAND_UDP) {
    return true;
  }
  return (o->l.tcptype == TORC_TCPTYPE_ACTIVE && r->tcptype == TORC_TCPTYPE_PASSIVE) ||
         (o->l.tcptype == TORC_TCPTYPE_SO && r->tcptype == TORC_TCPTYPE_SO);
}

/* RFC 8445 6.1.2.4: a server-reflexive candidate stands for its base. */
static size_t base_of(const torc_ice_session *s, size_t own) {
  const torc_ice_local *l = &s->owns[own].l;
  for (size_t i = 0; i < s->num_owns; i++) {
    const torc_ice_local *b = &s->owns[i].l;
    if (b->transport == l->transport && b->tcptype == l->tcptype && b->socket == l->socket &&
        !s->owns[i].is_gone && torc_stun_addr_eq(&b->base, &l->base) &&
        torc_stun_addr_eq(&b->addr, &b->base)) {
      return i;
    }
  }
  return own;
}

torc_ice_pair *torc_ice_pair_find(const torc_ice_session *s, size_t own, size_t other) {
  for (torc_list *l = s->pairs.next; l != &s->pairs; l = l->next) {
    torc_ice_pair *p = torc_ice_pair_at(l);
    if (p->own == own && p->other == other) {
      return p;
    }
  }
  return NULL;
}

void torc_ice_pair_set(torc_ice_session *s, torc_ice_pair *p, torc_ice_pair_state state) {
  bool was = p->state == TORC_ICE_PAIR_WAITING || p->state == TORC_ICE_PAIR_IN_PROGRESS;
  bool is = state == TORC_ICE_PAIR_WAITING || state == TORC_ICE_PAIR_IN_PROGRESS;
  p->state = state;
  if (is && !was) {
    s->ice->num_under_way++;
  } else if (was && !is) {
    s->ice->num_under_way--;
  }
}

void torc_ice_pair_free(torc_ice_session *s, torc_ice_pair *p) {
  torc_ice_pair_set(s, p, TORC_ICE_PAIR_FROZEN);
  if (p->check != NULL) {
    torc_ice_check_free(p->check);
  }
  if (p->quiet != NULL) {
    torc_ice_check_free(p->quiet);
  }
  if (p->conn != NULL) {
    torc_ice_conn_close(p->conn);
  }
  if (s->nominating == p) {
    s->nominating = NULL;
  }
  torc_list_remove(&p->link);
  torc_list_remove(&p->trigger);
  s->num_pairs--;
  torc_free(s->ice->mem, p);
}

static void insert(torc_ice_session *s, torc_ice_pair *p) {
  torc_list *at = s->pairs.next;
  while (at != &s->pairs && torc_ice_pair_at(at)->priority >= p->priority) {
    at = at->next;
  }
  torc_list_push_back(at, &p->link); /* before `at` */
}

void torc_ice_pairs_sort(torc_ice_session *s) {
  torc_list old;
  torc_list *l;
  torc_list_init(&old);
  while ((l = torc_list_pop_front(&s->pairs)) != NULL) {
    torc_list_push_back(&old, l);
  }
  while ((l = torc_list_pop_front(&old)) != NULL) {
    torc_ice_pair *p = torc_ice_pair_at(l);
    p->priority = priority_of(s, p->own, p->other);
    insert(s, p);
  }
}

/* Whether it may go for another: `is_asked`, for one that the other side checks. */
static bool may_go(const torc_ice_pair *p, bool is_asked) {
  switch (p->state) {
    case TORC_ICE_PAIR_FROZEN:
    case TORC_ICE_PAIR_WAITING:
      return !is_asked || !p->has_plain_request;
    case TORC_ICE_PAIR_FAILED:
      return true;
    case TORC_ICE_PAIR_IN_PROGRESS:
      return is_asked && !p->has_plain_request && !p->is_named && p->conn == NULL;
    case TORC_ICE_PAIR_SUCCEEDED:
    default:
      return false;
  }
}

/* The worst pair that may go for another; with `ip`: among those with that remote address. */
static torc_ice_pair *worst(const torc_ice_session *s, const torc_addr *ip, bool is_asked) {
  for (torc_list *l = s->pairs.prev; l != &s->pairs; l = l->prev) {
    torc_ice_pair *p = torc_ice_pair_at(l);
    if ((ip == NULL || torc_ice_same_ip(&s->others[p->other].addr, ip)) && may_go(p, is_asked)) {
      return p;
    }
  }
  return NULL;
}

/* Room for one more pair: with its address, and at all. False: it is the one to be left out. */
static bool make_room(torc_ice_session *s, const torc_addr *ip, uint64_t priority, bool is_asked) {
  uint32_t num_ip = 0;
  torc_ice_pair *p;
  bool is_crowded;
  for (torc_list *l = s->pairs.next; l != &s->pairs; l = l->next) {
    num_ip += torc_ice_same_ip(&s->others[torc_ice_pair_at(l)->other].addr, ip) ? 1 : 0;
  }
  is_crowded = num_ip >= TORC_ICE_PAIRS_PER_ADDRESS;
  if (!is_crowded && s->num_pairs < TORC_ICE_PAIRS_MAX) {
    return true;
  }
  if (is_crowded) {
    s->ice->stats.pairs_crowded++;
  } else {
    s->ice->stats.pairs_beyond++;
  }
  p = worst(s, is_crowded ? ip : NULL, is_asked);
  if (p == NULL || (!is_asked && p->priority >= priority)) {
    return false;
  }
  torc_ice_pair_free(s, p);
  return true;
}

torc_ice_pair *torc_ice_pair_add(torc_ice_session *s, size_t own, size_t other, bool is_asked) {
  uint64_t priority = priority_of(s, own, other);
  torc_ice_pair *p;
  if (!make_room(s, &s->others[other].addr, priority, is_asked)) {
    return NULL;
  }
  p = torc_calloc(s->ice->mem, 1, sizeof *p);
  if (p == NULL) {
    s->ice->stats.no_memory++;
    return NULL;
  }
  p->priority = priority;
  p->own = (uint8_t)own;
  p->other = (uint8_t)other;
  torc_list_init(&p->trigger);
  insert(s, p);
  s->num_pairs++;
  s->had_pair = true;
  s->ice->stats.pairs++;
  return p;
}

void torc_ice_pairs_form(torc_ice_session *s, size_t first_own, size_t first_other) {
  for (size_t i = first_own; i < s->num_owns; i++) {
    size_t own = base_of(s, i);
    for (size_t k = first_other; k < s->num_others; k++) {
      if (!may_pair(&s->owns[own], &s->others[k])) {
        continue;
      }
      if (torc_ice_pair_find(s, own, k) != NULL) {
        s->ice->stats.pairs_pruned++;
        continue;
      }
      (void)torc_ice_pair_add(s, own, k, false);
    }
  }
}

static bool same_foundation(const torc_ice_session *s, const torc_ice_pair *a,
                            const torc_ice_pair *b) {
  return s->owns[a->own].foundation == s->owns[b->own].foundation &&
         s->others[a->other].foundation == s->others[b->other].foundation;
}

/* Until when another pair of its foundation goes first; 0: none does. [ICE-28 deviates] RFC 8445
 * 6.1.4.2 lets one that is never answered hold up the others until it is over, 39 s: here for one
 * RTO only. */
static torc_time held_until(const torc_ice_session *s, const torc_ice_pair *p) {
  torc_time until = 0;
  for (torc_list *l = s->pairs.next; l != &s->pairs; l = l->next) {
    const torc_ice_pair *q = torc_ice_pair_at(l);
    if (q->state == TORC_ICE_PAIR_FROZEN || q->state == TORC_ICE_PAIR_FAILED ||
        !same_foundation(s, p, q)) {
      continue;
    }
    if (q->state == TORC_ICE_PAIR_SUCCEEDED) {
      return 0;
    }
    if (q->state == TORC_ICE_PAIR_WAITING) {
      until = TORC_NEVER;
    } else if (until < torc_time_add(q->at, TORC_ICE_RTO_MIN)) {
      until = torc_time_add(q->at, TORC_ICE_RTO_MIN);
    }
  }
  return until;
}

torc_time torc_ice_pairs_thaw(torc_ice_session *s) {
  torc_time again = TORC_NEVER;
  for (torc_list *l = s->pairs.next; l != &s->pairs; l = l->next) {
    torc_ice_pair *p = torc_ice_pair_at(l);
    torc_time until;
    if (p->state != TORC_ICE_PAIR_FROZEN) {
      continue;
    }
    until = held_until(s, p);
    if (until <= s->ice->now) {
      torc_ice_pair_set(s, p, TORC_ICE_PAIR_WAITING);
    } else if (until < again) {
      again = until;
    }
  }
  torc_ice_ready(s);
  return again;
}

void torc_ice_pair_fail(torc_ice_session *s, torc_ice_pair *p, int rc) {
  bool was_nominating = s->nominating == p;
  if (p->check != NULL) {
    torc_ice_check_free(p->check);
  }
  if (p->quiet != NULL) {
    torc_ice_check_free(p->quiet);
  }
  if (p->conn != NULL) {
    torc_ice_conn_close(p->conn);
  }
  torc_list_remove(&p->trigger);
  p->will_nominate = false;
  p->rc = rc;
  s->rc = rc;
  torc_ice_pair_set(s, p, TORC_ICE_PAIR_FAILED);
  s->ice->stats.checks_failed++;
  TORC_LOG(s->ice->log, TORC_LOG_DEBUG, "ice:pair_failed", TORC_F_U64("session", s->id),
           TORC_F_U64("priority", p->priority), TORC_F_ERR("why", rc));
  if (was_nominating) {
    s->nominating = NULL;
  }
  (void)torc_ice_pairs_thaw(s);
  torc_ice_conclude(s);
  if (s->state == TORC_ICE_RUNNING) {
    torc_ice_look_for_end(s);
  }
}
