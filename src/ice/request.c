/* Checks of the other side: answers, peer-reflexive candidates, triggered checks, early ones
 * [ICE-28]. SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "ice/ice_impl.h"
#include "ice/stun_answer.h"

/* What a check says that was proven to be of the other side. */
typedef struct asked {
  const torc_ice_from *from;
  uint32_t priority;
  bool is_nominating;
} asked;

/* code 0: success. */
static void answer(torc_ice_session *s, const torc_ice_from *from, const torc_stun_reply *r,
                   uint16_t code) {
  torc_ice *ice = s->ice;
  torc_ice_datagram *d = torc_ice_datagram_new(ice, s, TORC_ICE_ANSWER_ROOM);
  torc_wr wr;
  int rc;
  if (d == NULL) {
    return;
  }
  torc_wr_init(&wr, d->bytes, TORC_ICE_ANSWER_ROOM);
  rc = code == 0 ? torc_stun_reply_mapped(&wr, r, &from->remote)
                 : torc_stun_reply_error(&wr, r, code);
  if (rc != 0) {
    ice->stats.answers_dropped++;
    torc_free(ice->mem, d);
    return;
  }
  d->socket = from->socket;
  d->local = from->local;
  d->remote = from->remote;
  d->len = wr.len;
  ice->num_queued++;
  torc_ice_queue(ice, &d->node, TORC_ICE_NODE_DATAGRAM);
}

/* RFC 8445 7.3.1.1. True: 487 is the answer. */
static bool is_conflict(torc_ice_session *s, const torc_stun_msg *m) {
  torc_stun_known same =
      s->is_controlling ? TORC_STUN_KNOWN_ICE_CONTROLLING : TORC_STUN_KNOWN_ICE_CONTROLLED;
  uint64_t tie = 0;
  if (torc_stun_get_u64(m, same, &tie) != 0) {
    return false;
  }
  if ((s->tie >= tie) == s->is_controlling) {
    s->ice->stats.role_conflicts_told++;
    return true;
  }
  torc_ice_switch_role(s);
  return false;
}

/* ---- which pair ---- */

static torc_cand_tcptype tcptype_of_other(const torc_ice_session *s, size_t own, bool is_tcp) {
  if (!is_tcp) {
    return TORC_TCPTYPE_NONE;
  }
  return s->owns[own].l.tcptype == TORC_TCPTYPE_SO ? TORC_TCPTYPE_SO : TORC_TCPTYPE_ACTIVE;
}

/* RFC 8445 7.3.1.3 and 7.3.1.4: the pair of this check, made if need be. NULL: none can be. */
static torc_ice_pair *pair_of(torc_ice_session *s, const asked *a, torc_ice_conn *conn) {
  const torc_ice_from *from = a->from;
  torc_ice_pair *p = conn != NULL ? conn->pair : NULL;
  torc_cand_tcptype tcptype;
  size_t own;
  size_t other;
  if (p != NULL) {
    return p;
  }
  own = torc_ice_own_find(s, from, true);
  if (own == TORC_ICE_NONE) {
    s->ice->stats.requests_misplaced++;
    return NULL;
  }
  tcptype = tcptype_of_other(s, own, from->is_tcp);
  other =
      torc_ice_other_find(s, from->is_tcp ? TORC_CAND_TCP : TORC_CAND_UDP, tcptype, &from->remote);
  if (other == TORC_ICE_NONE) {
    other = torc_ice_other_prflx(s, from, own, tcptype, a->priority);
    if (other == TORC_ICE_NONE) {
      return NULL;
    }
  }
  p = torc_ice_pair_find(s, own, other);
  if (p == NULL) {
    p = torc_ice_pair_add(s, own, other, true);
  }
  if (p != NULL && conn != NULL) {
    if (p->conn != NULL) { /* simultaneous open gave two: the one that works */
      torc_ice_conn_close(p->conn);
    }
    p->conn = conn;
    conn->pair = p;
  }
  return p;
}

/* RFC 8445 7.3.1.4. A check that is already the answer to one of theirs is not made again: what is
 * sent twice, or by somebody who listened, costs nothing. */
static void trigger(torc_ice_session *s, torc_ice_pair *p) {
  switch (p->state) {
    case TORC_ICE_PAIR_SUCCEEDED:
      return;
    case TORC_ICE_PAIR_IN_PROGRESS:
      if (p->is_triggered_check || p->check == NULL || p->conn != NULL) {
        return;
      }
      break;
    case TORC_ICE_PAIR_FAILED:
      if (p->num_revivals >= TORC_ICE_REVIVALS_MAX) {
        return;
      }
      p->num_revivals++;
      break;
    case TORC_ICE_PAIR_WAITING:
    case TORC_ICE_PAIR_FROZEN:
    default:
      if (!torc_list_empty(&p->trigger)) {
        return;
      }
      break;
  }
  p->is_triggered_check = true;
  s->ice->stats.checks_triggered++;
  torc_ice_trigger(s, p, false);
}

/* On TCP our own check leaves before the answer that may make the connection the other side's to
 * use: behind that answer may come TLS. */
static void check_before_answer(torc_ice_session *s, torc_ice_pair *p) {
  if (p->conn != NULL && p->state != TORC_ICE_PAIR_SUCCEEDED && p->check == NULL &&
      torc_ice_check_start(s, p) == 0) {
    torc_list_remove(&p->trigger);
    p->is_triggered_check = true;
  }
}

/* The rest, behind the answer. */
static void take(torc_ice_session *s, torc_ice_pair *p, const asked *a) {
  if (!a->is_nominating) {
    p->has_plain_request = true;
  } else if (!s->is_controlling && !p->is_named) {
    p->is_named = true;
    p->is_aggressive = !p->has_plain_request;
  }
  trigger(s, p);
  torc_ice_conclude(s);
}

/* ---- before the other side's parameters are known ---- */

static void keep(torc_ice_session *s, const asked *a) {
  torc_ice_early *e;
  for (torc_list *l = s->early.next; l != &s->early; l = l->next) {
    e = TORC_CONTAINER_OF(l, torc_ice_early, link);
    if (e->from.socket == a->from->socket && torc_stun_addr_eq(&e->from.remote, &a->from->remote)) {
      e->is_nominating = e->is_nominating || a->is_nominating;
      return;
    }
  }
  e = s->num_early < TORC_ICE_EARLY_MAX ? torc_alloc(s->ice->mem, sizeof *e) : NULL;
  if (e == NULL) {
    s->ice->stats.requests_early_dropped++;
    return;
  }
  *e = (torc_ice_early){
      .from = *a->from, .priority = a->priority, .is_nominating = a->is_nominating};
  torc_list_push_back(&s->early, &e->link);
  s->num_early++;
  s->ice->stats.requests_early++;
}

void torc_ice_early_run(torc_ice_session *s) {
  torc_list *l;
  while ((l = torc_list_pop_front(&s->early)) != NULL) {
    torc_ice_early *e = TORC_CONTAINER_OF(l, torc_ice_early, link);
    asked a = {.from = &e->from, .priority = e->priority, .is_nominating = e->is_nominating};
    torc_ice_conn *conn = e->from.is_tcp ? torc_ice_conn_find(s->ice, e->from.socket) : NULL;
    torc_ice_pair *p = NULL;
    s->num_early--;
    if (s->state == TORC_ICE_RUNNING && (!e->from.is_tcp || conn != NULL)) {
      p = pair_of(s, &a, conn);
    }
    if (p != NULL) {
      take(s, p, &a);
    }
    torc_free(s->ice->mem, e);
  }
}

void torc_ice_early_clear(torc_ice_session *s) {
  torc_list *l;
  while ((l = torc_list_pop_front(&s->early)) != NULL) {
    torc_free(s->ice->mem, TORC_CONTAINER_OF(l, torc_ice_early, link));
  }
  s->num_early = 0;
}

/* ---- a request ---- */

/* TCP: the connection it came on is the session's from here. False: it cannot be. */
static bool find_conn(torc_ice_session *s, const torc_ice_from *from, torc_ice_conn **out) {
  torc_ice_conn *c;
  *out = NULL;
  if (!from->is_tcp || (s->state == TORC_ICE_SELECTED && from->socket == s->info.socket)) {
    return true; /* the other side's check may come behind its answer to ours */
  }
  c = torc_ice_conn_find(s->ice, from->socket);
  if (c == NULL && s->state <= TORC_ICE_RUNNING) {
    c = torc_ice_conn_accepted(s, from);
  } else if (c == NULL) {
    torc_ice_conn_refuse(s->ice, s->id, from->socket);
  }
  *out = c;
  return c != NULL && c->session == s;
}

static void proven(torc_ice_session *s, const asked *a, const torc_stun_msg *m,
                   const torc_stun_reply *r) {
  torc_ice_conn *conn;
  torc_ice_pair *p = NULL;
  if (!find_conn(s, a->from, &conn)) {
    s->ice->stats.requests_misplaced++;
    return;
  }
  if (s->state <= TORC_ICE_RUNNING && is_conflict(s, m)) {
    answer(s, a->from, r, TORC_STUN_ROLE_CONFLICT);
    return;
  }
  if (s->state == TORC_ICE_RUNNING) {
    p = pair_of(s, a, conn);
    if (p == NULL && conn != NULL) {
      torc_ice_conn_close(conn);
      return;
    }
    if (p != NULL) {
      check_before_answer(s, p);
    }
  }
  answer(s, a->from, r, 0);
  if (s->state == TORC_ICE_NEW) {
    keep(s, a);
  } else if (p != NULL) {
    take(s, p, a);
  }
}

int torc_ice_request(torc_ice_session *s, const torc_ice_from *from, const torc_stun_msg *m) {
  torc_ice *ice = s->ice;
  torc_stun_reply r = {.request = m, .crypto = ice->crypto};
  asked a = {.from = from, .is_nominating = torc_stun_has(m, TORC_STUN_KNOWN_USE_CANDIDATE)};
  uint16_t code = 0;
  int rc;
  if (s->state == TORC_ICE_FAILED || s->state == TORC_ICE_LOST) {
    return 0;
  }
  rc = torc_stun_auth_short(m, ice->crypto, &s->own_key, &r.integrity, &code);
  if (rc != 0) {
    return rc;
  }
  ice->stats.requests++;
  if (code != 0) {
    ice->stats.requests_unproven++;
    answer(s, from, &r, code);
    return 0;
  }
  r.key = &s->own_key;
  if (m->num_unknown != 0) {
    code = TORC_STUN_UNKNOWN_ATTRIBUTE;
  } else if (torc_stun_get_u32(m, TORC_STUN_KNOWN_PRIORITY, &a.priority) != 0) {
    code = TORC_STUN_BAD_REQUEST; /* RFC 8445 7.1.1 */
  }
  if (code != 0) {
    ice->stats.requests_malformed++;
    answer(s, from, &r, code);
    return 0;
  }
  a.priority = a.priority & 0x7fffffffu;
  proven(s, &a, m, &r);
  return 0;
}
