/* How a session ends: nomination, selection, failure [ICE-29] [ICE-30] [ICE-31].
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "ice/ice_impl.h"

/* ---- what is no longer needed ---- */

/* [ICE-31] Unused candidates are freed at once. */
void torc_ice_drop_work(torc_ice_session *s) {
  torc_ice *ice = s->ice;
  while (!torc_list_empty(&s->pairs)) {
    torc_ice_pair_free(s, torc_ice_pair_at(s->pairs.next));
  }
  while (!torc_list_empty(&s->conns)) {
    torc_ice_conn_close(TORC_CONTAINER_OF(s->conns.next, torc_ice_conn, link));
  }
  while (!torc_list_empty(&s->names)) {
    torc_ice_name_free(TORC_CONTAINER_OF(s->names.next, torc_ice_name, link));
  }
  torc_ice_early_clear(s);
  torc_free(ice->mem, s->owns);
  torc_free(ice->mem, s->others);
  s->owns = NULL;
  s->others = NULL;
  s->num_owns = s->cap_owns = s->num_others = 0;
  torc_list_remove(&s->ready);
  torc_timer_stop(&ice->timers, &s->limit);
  torc_timer_stop(&ice->timers, &s->settle);
  torc_timer_stop(&ice->timers, &s->retry);
}

/* ---- success ---- */

static void describe(const torc_ice_session *s, const torc_ice_pair *p, torc_ice_pair_info *out) {
  const torc_ice_local *l = &s->owns[p->own].l;
  const torc_ice_other *o = &s->others[p->other];
  *out = (torc_ice_pair_info){.transport = l->transport,
                              .local_type = l->type,
                              .remote_type = o->type,
                              .socket = p->conn != NULL ? p->conn->socket : l->socket,
                              .local = p->conn != NULL ? p->conn->local : l->base,
                              .remote = o->addr,
                              .mapped = p->mapped,
                              .rtt = p->rtt};
  if (l->type != TORC_CAND_RELAY && p->mapped_type != 0) {
    out->local_type = p->mapped_type;
  }
}

void torc_ice_select(torc_ice_session *s, torc_ice_pair *p) {
  torc_ice *ice = s->ice;
  describe(s, p, &s->info);
  s->check_priority = torc_ice_check_priority(&s->owns[p->own].l);
  s->state = TORC_ICE_SELECTED;
  if (p->conn != NULL) {
    torc_ice_conn_forget(p->conn); /* the caller's */
  }
  torc_ice_drop_work(s);
  ice->stats.selected++;
  TORC_LOG(ice->log, TORC_LOG_INFO, "ice:selected", TORC_F_U64("session", s->id),
           TORC_F_U64("transport", s->info.transport), TORC_F_U64("local_type", s->info.local_type),
           TORC_F_U64("remote_type", s->info.remote_type), TORC_F_U64("rtt_us", s->info.rtt));
  torc_ice_queue(ice, &s->node, TORC_ICE_NODE_EVENT);
  torc_ice_consent_start(s);
}

static bool is_eligible(const torc_ice_session *s, const torc_ice_pair *p) {
  return p->state == TORC_ICE_PAIR_SUCCEEDED && (s->is_controlling || p->is_named);
}

static bool is_relayed(const torc_ice_session *s, const torc_ice_pair *p) {
  return s->owns[p->own].l.type == TORC_CAND_RELAY || s->others[p->other].type == TORC_CAND_RELAY;
}

/* [ICE-19] The other side's TCP may be on its way to us: `best` is UDP, and nothing came yet. */
static bool awaits_tcp(const torc_ice_session *s, const torc_ice_pair *best) {
  if (s->owns[best->own].l.transport != TORC_CAND_UDP) {
    return false;
  }
  for (size_t i = 0; i < s->num_owns; i++) {
    const torc_ice_local *l = &s->owns[i].l;
    if (l->tcptype == TORC_TCPTYPE_PASSIVE && !s->owns[i].is_gone &&
        s->has_active[l->base.family]) {
      return true;
    }
  }
  return false;
}

/* Until when `p`, which is better, is waited for. `cap`: all the patience there is, one round trip
 * and `patience` from when a pair was valid. A relayed pair has it with any better one, UDP with
 * TCP [ICE-19]; else only what was under way counts, while its answer would be there if its path
 * were about as long as that of `best`. */
static torc_time waited_for(const torc_ice_session *s, const torc_ice_pair *best,
                            const torc_ice_pair *p, torc_time cap) {
  bool is_upgrade = s->owns[best->own].l.transport == TORC_CAND_UDP &&
                    s->owns[p->own].l.transport == TORC_CAND_TCP;
  bool is_under_way = p->state == TORC_ICE_PAIR_IN_PROGRESS && p->at <= s->valid_at;
  torc_time t;
  if (p->state == TORC_ICE_PAIR_FAILED) {
    return 0;
  }
  if (is_relayed(s, best)) {
    return cap;
  }
  if (!is_under_way) {
    return is_upgrade || p->state == TORC_ICE_PAIR_SUCCEEDED ? cap : 0;
  }
  t = p->check == NULL ? 2 * best->guess : best->guess; /* without a check: it is connecting */
  t = torc_time_add(p->at, torc_time_add(t, s->ice->cfg.patience / 2));
  return t < cap ? t : cap;
}

static torc_time settled_at(const torc_ice_session *s, const torc_ice_pair *best) {
  torc_time cap = torc_time_add(s->valid_at, torc_time_add(best->guess, s->ice->cfg.patience));
  torc_time until = awaits_tcp(s, best) ? cap : 0;
  for (torc_list *l = s->pairs.next; l != &best->link; l = l->next) {
    torc_time t = waited_for(s, best, torc_ice_pair_at(l), cap);
    until = t > until ? t : until;
  }
  return until;
}

void torc_ice_conclude(torc_ice_session *s) {
  torc_ice *ice = s->ice;
  torc_ice_pair *best = NULL;
  torc_time until;
  if (s->state != TORC_ICE_RUNNING || s->nominating != NULL) {
    return;
  }
  for (torc_list *l = s->pairs.next; l != &s->pairs && best == NULL; l = l->next) {
    best = is_eligible(s, torc_ice_pair_at(l)) ? torc_ice_pair_at(l) : NULL;
  }
  if (best == NULL) {
    s->valid_at = TORC_NEVER;
    torc_timer_stop(&ice->timers, &s->settle);
    return;
  }
  if (s->valid_at == TORC_NEVER) {
    s->valid_at = ice->now;
  }
  if (!s->is_controlling && !best->is_aggressive) {
    torc_ice_select(s, best);
    return;
  }
  until = settled_at(s, best);
  if (until > ice->now) {
    torc_timer_arm(&ice->timers, &s->settle, until);
    return;
  }
  torc_timer_stop(&ice->timers, &s->settle);
  if (!s->is_controlling) {
    torc_ice_select(s, best);
    return;
  }
  /* [ICE-29] Regular nomination: the valid pair is checked again, with USE-CANDIDATE. */
  s->nominating = best;
  best->will_nominate = true;
  ice->stats.nominations++;
  torc_ice_trigger(s, best, true);
}

void torc_ice_on_settle(torc_timer *t, torc_time now) {
  (void)now;
  torc_ice_conclude(TORC_CONTAINER_OF(t, torc_ice_session, settle));
}

/* ---- failure ---- */

void torc_ice_fail(torc_ice_session *s, int rc) {
  torc_ice *ice = s->ice;
  s->state = TORC_ICE_FAILED;
  s->rc = rc;
  torc_ice_drop_work(s);
  ice->stats.failed++;
  TORC_LOG(ice->log, TORC_LOG_INFO, "ice:failed", TORC_F_U64("session", s->id),
           TORC_F_ERR("why", rc));
  torc_ice_queue(ice, &s->node, TORC_ICE_NODE_EVENT);
}

static bool has_hope(const torc_ice_session *s) {
  for (torc_list *l = s->pairs.next; l != &s->pairs; l = l->next) {
    if (torc_ice_pair_at(l)->state != TORC_ICE_PAIR_FAILED) {
      return true;
    }
  }
  return !torc_list_empty(&s->names);
}

/* The other side may reach us though we do not reach it (RFC 8863). */
static bool can_be_reached(const torc_ice_session *s) {
  for (size_t i = 0; i < s->num_owns; i++) {
    if (!s->owns[i].is_gone && s->owns[i].l.tcptype != TORC_TCPTYPE_ACTIVE) {
      return true;
    }
  }
  return false;
}

static int reason(const torc_ice_session *s) {
  if (!s->had_pair) {
    return TORC_ERR_NOTFOUND;
  }
  return s->rc != 0 ? s->rc : TORC_ERR_TIMEOUT;
}

void torc_ice_look_for_end(torc_ice_session *s) {
  torc_ice *ice = s->ice;
  torc_time until = torc_time_add(ice->now, TORC_ICE_HOPE);
  if (s->state != TORC_ICE_RUNNING || has_hope(s)) {
    return;
  }
  if (!can_be_reached(s)) {
    ice->stats.failed_all_pairs++;
    torc_ice_fail(s, reason(s));
    return;
  }
  if (until < s->limit_at && until < s->limit.at) {
    torc_timer_arm(&ice->timers, &s->limit, until);
  }
}

void torc_ice_on_limit(torc_timer *t, torc_time now) {
  torc_ice_session *s = TORC_CONTAINER_OF(t, torc_ice_session, limit);
  torc_ice *ice = s->ice;
  if (now >= s->limit_at) {
    ice->stats.failed_limit++;
    torc_ice_fail(s, s->had_pair ? TORC_ERR_TIMEOUT : TORC_ERR_NOTFOUND);
  } else if (has_hope(s)) {
    torc_timer_arm(&ice->timers, &s->limit, s->limit_at);
  } else {
    ice->stats.failed_all_pairs++;
    torc_ice_fail(s, reason(s));
  }
}
