/* Connectivity checks: requests, their answers, roles [ICE-26] [ICE-27] [ICE-28].
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "ice/ice_impl.h"
#include "ice/stun_answer.h"

/* A check on a pair that the other side is known to be behind: 0, 0.5, 1.5 and 3.5 s, and from 5.5
 * s again, so that loss is overcome within the limit of a session. Others repeat as RFC 8489 says.
 */
#define REPEATED_RC 4u
#define REPEATED_RM 4u

size_t torc_ice_request_room(const torc_ice_session *s) {
  return TORC_ICE_CHECK_ROOM + s->username_len;
}

/* [ICE-27] RFC 8445 7.1. */
static void put_common(const torc_ice_session *s, torc_stun_wr *w, uint32_t priority,
                       bool is_controlling) {
  torc_stun_put_u32(w, TORC_STUN_ATTR_PRIORITY, priority);
  torc_stun_put_u64(
      w, is_controlling ? TORC_STUN_ATTR_ICE_CONTROLLING : TORC_STUN_ATTR_ICE_CONTROLLED, s->tie);
}

int torc_ice_request_put(const torc_ice_session *s, torc_wr *wr, uint8_t txid[TORC_STUN_TXID_LEN]) {
  const torc_stun_crypto *crypto = s->ice->crypto;
  torc_stun_wr w;
  int rc = crypto->random(crypto->ctx, txid, TORC_STUN_TXID_LEN);
  if (rc != 0) {
    return rc;
  }
  torc_stun_begin(&w, wr, TORC_STUN_REQUEST, TORC_STUN_BINDING, txid);
  put_common(s, &w, s->check_priority, s->is_controlling);
  torc_stun_put(&w, TORC_STUN_ATTR_USERNAME, torc_slice_of(s->username, s->username_len));
  rc = torc_stun_put_integrity(&w, crypto, &s->peer_key, TORC_STUN_INTEGRITY_SHA1,
                               TORC_STUN_HASH_MAX);
  torc_stun_put_fingerprint(&w);
  return rc != 0 ? rc : wr->err;
}

static void put_check(void *ctx, torc_stun_wr *w) {
  const torc_ice_check *c = ctx;
  const torc_ice_session *s = c->session;
  put_common(s, w, torc_ice_check_priority(&s->owns[c->pair->own].l), c->was_controlling);
  if (c->is_nominating) {
    torc_stun_put_flag(w, TORC_STUN_ATTR_USE_CANDIDATE);
  }
}

void torc_ice_check_free(torc_ice_check *c) {
  torc_ice *ice = c->session->ice;
  if (c->pair->check == c) {
    c->pair->check = NULL;
  }
  if (c->pair->quiet == c) {
    c->pair->quiet = NULL;
  }
  if (c->txn.is_known) {
    (void)torc_map_del(&ice->txns, &c->txn);
  }
  torc_list_remove(&c->node.link);
  torc_list_remove(&c->link);
  torc_timer_stop(&ice->timers, &c->timer);
  torc_free(ice->mem, c);
}

/* ---- results ---- */

void torc_ice_switch_role(torc_ice_session *s) {
  s->is_controlling = !s->is_controlling;
  s->ice->stats.role_switches++;
  s->nominating = NULL;
  s->valid_at = TORC_NEVER;
  for (torc_list *l = s->pairs.next; l != &s->pairs; l = l->next) {
    torc_ice_pair_at(l)->will_nominate = false;
  }
  torc_ice_pairs_sort(s);
  TORC_LOG(s->ice->log, TORC_LOG_INFO, "ice:role", TORC_F_U64("session", s->id),
           TORC_F_U64("controlling", s->is_controlling ? 1 : 0));
}

/* RFC 8445 7.2.5.1. */
static void on_conflict(torc_ice_session *s, torc_ice_pair *p, bool was_controlling) {
  if (s->nominating == p) {
    s->nominating = NULL;
  }
  if (was_controlling == s->is_controlling) {
    torc_ice_switch_role(s);
  }
  if (p->num_revivals >= TORC_ICE_REVIVALS_MAX) {
    torc_ice_pair_fail(s, p, TORC_ERR_REFUSED);
    return;
  }
  p->num_revivals++;
  torc_ice_trigger(s, p, false);
}

/* How the other side sees us: RFC 8445 7.2.5.3.1. */
static void learn_mapped(torc_ice_session *s, torc_ice_pair *p, const torc_addr *mapped) {
  const torc_ice_local *base = &s->owns[p->own].l;
  p->mapped = *mapped;
  p->mapped_type = TORC_CAND_PRFLX;
  if (p->conn != NULL && torc_stun_addr_eq(&p->conn->local, mapped)) {
    p->mapped_type = base->type;
    return;
  }
  for (size_t i = 0; i < s->num_owns; i++) {
    const torc_ice_local *l = &s->owns[i].l;
    if (l->transport == base->transport && torc_stun_addr_eq(&l->addr, mapped)) {
      p->mapped_type = l->type;
      return;
    }
  }
  s->ice->stats.prflx_local++;
}

/* RFC 8445 7.2.5.3. The valid pair is kept as the pair that was checked, with what it is mapped to.
 */
static void on_success(torc_ice_session *s, torc_ice_pair *p, const torc_stun_result *r,
                       bool is_nominating, torc_time guess) {
  torc_addr mapped;
  if (torc_stun_get_addr(&r->msg, TORC_STUN_KNOWN_XOR_MAPPED_ADDRESS, &mapped) != 0) {
    torc_ice_pair_fail(s, p, TORC_ERR_FORMAT);
    return;
  }
  s->ice->stats.checks_succeeded++;
  torc_ice_bucket_answered(s->ice, &s->others[p->other].addr);
  p->rtt = r->rtt != 0 ? r->rtt : p->rtt;
  p->guess = r->rtt != 0 ? r->rtt : guess;
  learn_mapped(s, p, &mapped);
  if (p->state != TORC_ICE_PAIR_SUCCEEDED) {
    if (p->check != NULL) { /* the answer was to the one before it */
      torc_ice_check_free(p->check);
    }
    torc_list_remove(&p->trigger);
    torc_ice_pair_set(s, p, TORC_ICE_PAIR_SUCCEEDED);
    (void)torc_ice_pairs_thaw(s);
  }
  if (is_nominating && s->is_controlling && s->nominating == p) {
    torc_ice_select(s, p);
  } else {
    torc_ice_conclude(s);
  }
}

/* The other side is known to be there. */
static bool is_alive(const torc_ice_pair *p) {
  return p->has_plain_request || p->is_named || p->state == TORC_ICE_PAIR_SUCCEEDED;
}

static void finish(torc_ice_check *c, const torc_stun_result *r) {
  torc_ice_session *s = c->session;
  torc_ice_pair *p = c->pair;
  bool was_controlling = c->was_controlling;
  bool is_nominating = c->is_nominating;
  bool is_quiet = c->is_quiet;
  bool is_repeated = c->is_repeated;
  torc_time guess = s->ice->now - c->sent_at;
  torc_ice_check_free(c);
  if (r->rc == 0) {
    on_success(s, p, r, is_nominating, guess);
  } else if (r->rc == TORC_ERR_REFUSED && r->code == TORC_STUN_ROLE_CONFLICT) {
    on_conflict(s, p, was_controlling);
  } else if (r->rc == TORC_ERR_TIMEOUT && is_repeated && !is_quiet) {
    p->will_nominate = is_nominating && s->nominating == p;
    s->ice->stats.checks_again++;
    torc_ice_trigger(s, p, is_nominating);
  } else if (!is_quiet) {
    s->ice->stats.checks_timed_out += r->rc == TORC_ERR_TIMEOUT ? 1 : 0;
    torc_ice_pair_fail(s, p, r->rc);
  }
}

/* After anything that moved the transaction. */
static void follow(torc_ice_check *c) {
  torc_ice *ice = c->session->ice;
  torc_stun_output out;
  torc_stun_result r;
  if (c->tx.is_sending) {
    torc_ice_queue(ice, &c->node, TORC_ICE_NODE_CHECK);
  }
  torc_timer_arm(&ice->timers, &c->timer, torc_stun_tx_deadline(&c->tx));
  if (c->tx.state == TORC_STUN_TX_ENDED && torc_stun_tx_poll(&c->tx, &out)) {
    r = out.result;
    finish(c, &r);
  }
}

static void on_timer(torc_timer *t, torc_time now) {
  torc_ice_check *c = TORC_CONTAINER_OF(t, torc_ice_check, timer);
  torc_stun_tx_tick(&c->tx, now);
  follow(c);
}

void torc_ice_check_answer(torc_ice_check *c, const torc_stun_path *path, const torc_stun_msg *m) {
  torc_ice_session *s = c->session;
  int rc = torc_stun_tx_input(&c->tx, path, m, s->ice->now);
  if (rc == TORC_ERR_DENIED) { /* RFC 8445 7.2.5.2.1: not symmetric */
    s->ice->stats.checks_misplaced++;
    torc_ice_pair_fail(s, c->pair, rc);
    return;
  }
  follow(c);
}

/* ---- requests ---- */

/* RFC 8445 14.3. */
static torc_time first_rto(const torc_ice *ice) {
  torc_time rto = ice->cfg.ta * ice->num_under_way;
  rto = rto < TORC_ICE_RTO_MOST ? rto : TORC_ICE_RTO_MOST;
  return rto > TORC_ICE_RTO_MIN ? rto : TORC_ICE_RTO_MIN;
}

static int launch(torc_ice_session *s, torc_ice_pair *p, torc_ice_check *c) {
  torc_ice *ice = s->ice;
  bool is_tcp = s->owns[p->own].l.transport == TORC_CAND_TCP;
  torc_stun_request req = {.method = TORC_STUN_BINDING,
                           .path = {.socket = is_tcp ? p->conn->socket : s->owns[p->own].l.socket,
                                    .remote = s->others[p->other].addr},
                           .is_reliable = is_tcp,
                           .has_fingerprint = true,
                           .rto = first_rto(ice),
                           .put = put_check,
                           .ctx = c,
                           .username = torc_slice_of(s->username, s->username_len),
                           .key = &s->peer_key,
                           .integrity = TORC_STUN_INTEGRITY_SHA1};
  int rc;
  if (c->is_repeated) {
    req.rc = REPEATED_RC;
    req.rm = REPEATED_RM;
  }
  rc = torc_stun_tx_start(&c->tx, ice->crypto, &req, c->room, c->cap, ice->now);
  if (rc != 0) {
    return rc;
  }
  memcpy(c->txn.txid, c->tx.txid, sizeof c->txn.txid);
  if (torc_map_get(&ice->txns, &c->txn) != NULL) {
    return TORC_ERR_CRYPTO; /* no random bytes are these */
  }
  rc = torc_map_put(&ice->txns, c);
  c->txn.is_known = rc == 0;
  return rc;
}

/* RFC 8445 7.3.1.4: nothing more is sent, an answer still counts. */
static void hush(torc_ice_pair *p) {
  torc_ice_check *c = p->check;
  if (p->quiet != NULL) {
    torc_ice_check_free(p->quiet);
  }
  c->is_quiet = true;
  p->check = NULL;
  p->quiet = c;
  torc_stun_tx_quiet(&c->tx);
  torc_list_remove(&c->node.link);
  torc_timer_arm(&c->session->ice->timers, &c->timer, torc_stun_tx_deadline(&c->tx));
  c->session->ice->stats.checks_cancelled++;
}

int torc_ice_check_start(torc_ice_session *s, torc_ice_pair *p) {
  torc_ice *ice = s->ice;
  size_t cap = torc_ice_request_room(s);
  torc_ice_check *c;
  int rc;
  if (s->owns[p->own].l.transport == TORC_CAND_TCP && p->conn == NULL) {
    if (s->owns[p->own].l.tcptype == TORC_TCPTYPE_PASSIVE) {
      return TORC_ERR_CLOSED;
    }
    rc = torc_ice_conn_open(s, p);
    if (rc == 0) {
      p->at = ice->now;
      torc_ice_pair_set(s, p, TORC_ICE_PAIR_IN_PROGRESS);
    }
    return rc;
  }
  if (p->conn != NULL && p->conn->state != TORC_ICE_CONN_OPEN) {
    return 0;
  }
  c = torc_calloc(ice->mem, 1, sizeof *c + cap);
  if (c == NULL) {
    ice->stats.no_memory++;
    return TORC_ERR_NOMEM;
  }
  c->session = s;
  c->pair = p;
  c->cap = cap;
  c->was_controlling = s->is_controlling;
  c->is_nominating = p->will_nominate;
  c->is_repeated = is_alive(p) && p->conn == NULL;
  torc_list_init(&c->node.link);
  torc_list_init(&c->link);
  torc_timer_init(&c->timer, on_timer);
  rc = launch(s, p, c);
  if (rc != 0) {
    torc_free(ice->mem, c);
    return rc;
  }
  if (p->check != NULL) {
    hush(p);
  }
  p->check = c;
  p->will_nominate = false;
  p->at = ice->now;
  c->sent_at = ice->now;
  torc_list_push_back(&ice->checks, &c->link);
  if (p->state != TORC_ICE_PAIR_SUCCEEDED) {
    torc_ice_pair_set(s, p, TORC_ICE_PAIR_IN_PROGRESS);
  }
  ice->stats.checks++;
  follow(c);
  return 0;
}
