/* The set of ICE sessions: opening, closing, what comes in, what goes out [ICE-02] [ICE-03].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/ice.h"

#include <string.h>

#include "base/mem.h"
#include "ice/ice_impl.h"

#define UFRAG_MIN 4u /* RFC 8445 5.3 */
#define PASSWORD_MIN 22u
#define CREDENTIAL_MAX 256u

void torc_ice_advance(torc_ice *ice, torc_time now) {
  if (now > ice->now) {
    ice->now = now;
  }
}

torc_ice_session *torc_ice_find(const torc_ice *ice, torc_ice_id id) {
  return torc_map_get(&ice->sessions, &id);
}

/* ---- the agent ---- */

static int seed_from(const torc_stun_crypto *crypto, uint64_t *out) {
  uint8_t bytes[8];
  int rc = crypto->random(crypto->ctx, bytes, sizeof bytes);
  if (rc == 0) {
    memcpy(out, bytes, sizeof bytes);
  }
  return rc;
}

int torc_ice_new(torc_ice **out, const torc_ice_config *cfg, torc_time now) {
  torc_ice *ice = torc_calloc(cfg->mem, 1, sizeof *ice);
  uint64_t seed = 0;
  int rc;
  if (ice == NULL) {
    return TORC_ERR_NOMEM;
  }
  rc = seed_from(cfg->crypto, &ice->seed);
  if (rc == 0) {
    rc = seed_from(cfg->crypto, &seed);
  }
  if (rc != 0) {
    torc_free(cfg->mem, ice);
    return rc;
  }
  torc_rng_seed(&ice->rng, seed);
  ice->mem = cfg->mem;
  ice->crypto = cfg->crypto;
  ice->log = cfg->log;
  ice->cfg = *cfg;
  ice->cfg.max_sessions = cfg->max_sessions != 0 ? cfg->max_sessions : TORC_ICE_SESSIONS_MAX;
  ice->cfg.ta = cfg->ta != 0 ? cfg->ta : TORC_ICE_TA;
  ice->cfg.limit = cfg->limit != 0 ? cfg->limit : TORC_ICE_LIMIT;
  ice->cfg.patience = cfg->patience != 0 ? cfg->patience : TORC_ICE_PATIENCE;
  ice->cfg.consent = cfg->consent != 0 ? cfg->consent : TORC_ICE_CONSENT;
  ice->cfg.consent_end = cfg->consent_end != 0 ? cfg->consent_end : TORC_ICE_CONSENT_END;
  ice->now = now;
  ice->next_check = now;
  ice->next_id = 1;
  ice->next_token = 1;
  torc_timers_init(&ice->timers);
  torc_timer_init(&ice->pace, torc_ice_on_pace);
  torc_map_init(&ice->sessions, ice->mem, offsetof(torc_ice_session, id), sizeof(torc_ice_id),
                ice->seed);
  torc_map_init(&ice->ufrags, ice->mem, offsetof(torc_ice_session, ufrag), TORC_ICE_UFRAG_LEN,
                ice->seed);
  torc_map_init(&ice->txns, ice->mem, 0, TORC_STUN_TXID_LEN, ice->seed);
  torc_map_init(&ice->conns, ice->mem, offsetof(torc_ice_conn, socket), sizeof(torc_ice_socket),
                ice->seed);
  torc_map_init(&ice->connecting, ice->mem, offsetof(torc_ice_conn, token), sizeof(torc_token),
                ice->seed);
  torc_map_init(&ice->names, ice->mem, offsetof(torc_ice_name, token), sizeof(torc_token),
                ice->seed);
  torc_list_init(&ice->out);
  torc_list_init(&ice->ready);
  torc_list_init(&ice->checks);
  *out = ice;
  return 0;
}

static void session_free(torc_ice_session *s) {
  torc_ice *ice = s->ice;
  torc_ice_drop_work(s);
  torc_ice_consent_stop(s);
  torc_list_remove(&s->node.link);
  (void)torc_map_del(&ice->sessions, &s->id);
  if (torc_map_get(&ice->ufrags, s->ufrag) == s) {
    (void)torc_map_del(&ice->ufrags, s->ufrag);
  }
  torc_stun_key_wipe(&s->own_key);
  torc_stun_key_wipe(&s->peer_key);
  torc_wipe(s->password, sizeof s->password);
  torc_free(ice->mem, s->username);
  torc_free(ice->mem, s);
}

/* What the queue alone has. */
static void node_free(torc_ice *ice, torc_ice_node *node) {
  if (node == NULL) {
    return;
  }
  if (node->kind == TORC_ICE_NODE_DATAGRAM) {
    torc_free(ice->mem, TORC_CONTAINER_OF(node, torc_ice_datagram, node));
  } else if (node->kind == TORC_ICE_NODE_CLOSE) {
    torc_free(ice->mem, TORC_CONTAINER_OF(node, torc_ice_conn, node));
  }
}

void torc_ice_free(torc_ice *ice) {
  torc_ice_session *s;
  torc_list *l;
  size_t it = 0;
  if (ice == NULL) {
    return;
  }
  while ((s = torc_map_next(&ice->sessions, &it)) != NULL) {
    session_free(s);
  }
  while ((l = torc_list_pop_front(&ice->out)) != NULL) {
    node_free(ice, TORC_CONTAINER_OF(l, torc_ice_node, link));
  }
  node_free(ice, ice->told);
  torc_map_clear(&ice->sessions);
  torc_map_clear(&ice->ufrags);
  torc_map_clear(&ice->txns);
  torc_map_clear(&ice->conns);
  torc_map_clear(&ice->connecting);
  torc_map_clear(&ice->names);
  torc_free(ice->mem, ice);
}

/* ---- sessions ---- */

/* ice-chars, RFC 8445 5.3: six bits of each random byte. */
static int random_text(const torc_stun_crypto *crypto, char *out, size_t len) {
  static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint8_t bytes[TORC_ICE_PASSWORD_LEN];
  int rc = crypto->random(crypto->ctx, bytes, len);
  for (size_t i = 0; i < len && rc == 0; i++) {
    out[i] = chars[bytes[i] & 63u];
  }
  torc_wipe(bytes, sizeof bytes);
  return rc;
}

static int fill_credentials(torc_ice_session *s) {
  const torc_stun_crypto *crypto = s->ice->crypto;
  int rc = random_text(crypto, s->ufrag, TORC_ICE_UFRAG_LEN);
  if (rc == 0) {
    rc = random_text(crypto, s->password, TORC_ICE_PASSWORD_LEN);
  }
  if (rc == 0) {
    rc = seed_from(crypto, &s->tie);
  }
  if (rc == 0) {
    rc = torc_stun_key_short(crypto, torc_slice_str(s->password), &s->own_key);
  }
  if (rc == 0 && torc_map_get(&s->ice->ufrags, s->ufrag) != NULL) {
    rc = TORC_ERR_CRYPTO; /* 48 bits do not meet by chance */
  }
  return rc;
}

static torc_ice_session *session_new(torc_ice *ice, bool is_controlling) {
  torc_ice_session *s = torc_calloc(ice->mem, 1, sizeof *s);
  if (s == NULL) {
    return NULL;
  }
  s->id = ice->next_id++;
  s->ice = ice;
  s->is_controlling = is_controlling;
  s->valid_at = TORC_NEVER;
  torc_list_init(&s->node.link);
  torc_list_init(&s->ready);
  torc_list_init(&s->pairs);
  torc_list_init(&s->triggered);
  torc_list_init(&s->conns);
  torc_list_init(&s->names);
  torc_list_init(&s->early);
  torc_timer_init(&s->limit, torc_ice_on_limit);
  torc_timer_init(&s->settle, torc_ice_on_settle);
  torc_timer_init(&s->retry, torc_ice_on_retry);
  torc_timer_init(&s->consent, torc_ice_on_consent);
  return s;
}

int torc_ice_open(torc_ice *ice, bool is_controlling, const torc_ice_local *locals, size_t num,
                  torc_time now, torc_ice_id *out) {
  torc_ice_session *s;
  int rc;
  torc_ice_advance(ice, now);
  if (ice->sessions.len >= ice->cfg.max_sessions) {
    ice->stats.sessions_refused++;
    return TORC_ERR_LIMIT;
  }
  s = session_new(ice, is_controlling);
  if (s == NULL) {
    return TORC_ERR_NOMEM;
  }
  rc = fill_credentials(s);
  for (size_t i = 0; i < num && rc == 0; i++) {
    rc = torc_ice_own_add(s, &locals[i]);
    rc = rc == TORC_ERR_EXISTS ? 0 : rc;
  }
  if (rc == 0) {
    rc = torc_map_put(&ice->sessions, s);
  }
  if (rc == 0) {
    rc = torc_map_put(&ice->ufrags, s);
  }
  if (rc != 0) {
    session_free(s);
    return rc;
  }
  ice->stats.sessions++;
  *out = s->id;
  return 0;
}

void torc_ice_close(torc_ice *ice, torc_ice_id id) {
  torc_ice_session *s = torc_ice_find(ice, id);
  if (s != NULL) {
    session_free(s);
    torc_map_trim(&ice->txns);
  }
}

const char *torc_ice_ufrag(const torc_ice *ice, torc_ice_id id) {
  const torc_ice_session *s = torc_ice_find(ice, id);
  return s != NULL ? s->ufrag : NULL;
}

const char *torc_ice_password(const torc_ice *ice, torc_ice_id id) {
  const torc_ice_session *s = torc_ice_find(ice, id);
  return s != NULL ? s->password : NULL;
}

int torc_ice_add_local(torc_ice *ice, torc_ice_id id, const torc_ice_local *local, torc_time now) {
  torc_ice_session *s = torc_ice_find(ice, id);
  int rc;
  torc_ice_advance(ice, now);
  if (s == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  if (s->state != TORC_ICE_NEW && s->state != TORC_ICE_RUNNING) {
    return TORC_ERR_STATE;
  }
  rc = torc_ice_own_add(s, local);
  if (rc == 0 && s->state == TORC_ICE_RUNNING) {
    torc_ice_pairs_form(s, s->num_owns - 1, 0);
    (void)torc_ice_pairs_thaw(s);
    torc_ice_pump(ice);
  }
  return rc == TORC_ERR_EXISTS ? 0 : rc;
}

static bool is_credential(torc_slice text, size_t min) {
  if (text.len < min || text.len > CREDENTIAL_MAX) {
    return false;
  }
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.p[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
          c == '/')) {
      return false;
    }
  }
  return true;
}

/* "theirs:ours", RFC 8445 7.2.2. */
static int set_username(torc_ice_session *s, torc_slice ufrag) {
  size_t len = ufrag.len + 1 + TORC_ICE_UFRAG_LEN;
  s->username = torc_alloc(s->ice->mem, len);
  if (s->username == NULL) {
    return TORC_ERR_NOMEM;
  }
  memcpy(s->username, ufrag.p, ufrag.len);
  s->username[ufrag.len] = ':';
  memcpy(s->username + ufrag.len + 1, s->ufrag, TORC_ICE_UFRAG_LEN);
  s->username_len = len;
  return 0;
}

int torc_ice_remote(torc_ice *ice, torc_ice_id id, torc_slice ufrag, torc_slice password,
                    const torc_candidate *candidates, size_t num, torc_time now) {
  torc_ice_session *s = torc_ice_find(ice, id);
  int rc;
  torc_ice_advance(ice, now);
  if (s == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  /* [ICE-32] [ICE-35] One exchange: nothing is restarted, and no pair of before is known. */
  if (s->state != TORC_ICE_NEW) {
    return TORC_ERR_STATE;
  }
  /* [ICE-25] Whether the other side knows ICE is not asked: these are there, or it is refused. */
  if (!is_credential(ufrag, UFRAG_MIN) || !is_credential(password, PASSWORD_MIN)) {
    return TORC_ERR_FORMAT;
  }
  rc = torc_stun_key_short(ice->crypto, password, &s->peer_key);
  if (rc == 0) {
    rc = set_username(s, ufrag);
  }
  if (rc != 0) {
    return rc;
  }
  s->state = TORC_ICE_RUNNING;
  s->limit_at = torc_time_add(ice->now, ice->cfg.limit);
  torc_timer_arm(&ice->timers, &s->limit, s->limit_at);
  torc_ice_others_add(s, candidates, num);
  torc_ice_pairs_form(s, 0, 0);
  (void)torc_ice_pairs_thaw(s);
  torc_ice_early_run(s);
  torc_ice_look_for_end(s);
  torc_ice_pump(ice);
  return 0;
}

/* ---- what comes in ---- */

static torc_ice_session *session_of(const torc_ice *ice, const torc_stun_msg *m) {
  torc_slice name = torc_stun_value(m, TORC_STUN_KNOWN_USERNAME);
  if (name.len <= TORC_ICE_UFRAG_LEN || name.p[TORC_ICE_UFRAG_LEN] != ':') {
    return NULL;
  }
  return torc_map_get(&ice->ufrags, name.p);
}

static int input_request(torc_ice *ice, const torc_ice_from *from, const torc_stun_msg *m) {
  torc_ice_session *s = session_of(ice, m);
  if (s == NULL) {
    ice->stats.requests_unknown++;
    return TORC_ERR_NOTFOUND;
  }
  return torc_ice_request(s, from, m);
}

static int input_answer(torc_ice *ice, const torc_ice_from *from, const torc_stun_msg *m) {
  torc_ice_txn *txn = torc_map_get(&ice->txns, m->txid);
  torc_stun_path path = {.socket = from->socket, .remote = from->remote};
  if (txn == NULL) {
    ice->stats.answers_unknown++;
    return TORC_ERR_NOTFOUND;
  }
  if (txn->is_consent) {
    torc_ice_consent_answer(TORC_CONTAINER_OF(txn, torc_ice_consent_slot, txn), from, m);
  } else {
    torc_ice_check_answer(TORC_CONTAINER_OF(txn, torc_ice_check, txn), &path, m);
  }
  return 0;
}

int torc_ice_input(torc_ice *ice, const torc_ice_from *from, torc_slice bytes, torc_time now) {
  torc_stun_msg m;
  int rc = 0;
  torc_ice_advance(ice, now);
  if (torc_stun_decode(&m, bytes) != 0) {
    ice->stats.malformed++;
    return 0;
  }
  if (m.method != TORC_STUN_BINDING) {
    return TORC_ERR_NOTFOUND;
  }
  switch (m.cls) {
    case TORC_STUN_REQUEST:
      rc = input_request(ice, from, &m);
      break;
    case TORC_STUN_SUCCESS:
    case TORC_STUN_ERROR:
      rc = input_answer(ice, from, &m);
      break;
    case TORC_STUN_INDICATION: /* a keepalive of RFC 8445 11 */
    default:
      ice->stats.indications++;
      break;
  }
  torc_ice_pump(ice);
  return rc;
}

/* Fails the pairs that have lost their socket; one failure may end the session. */
static void fail_gone(torc_ice_session *s) {
  torc_list *l = s->pairs.next;
  while (s->state == TORC_ICE_RUNNING && l != &s->pairs) {
    torc_ice_pair *p = torc_ice_pair_at(l);
    l = l->next;
    if (s->owns[p->own].is_gone && p->state != TORC_ICE_PAIR_FAILED) {
      torc_ice_pair_fail(s, p, TORC_ERR_CLOSED);
      l = s->pairs.next;
    }
  }
}

static void socket_gone(torc_ice_session *s, torc_ice_socket socket) {
  bool had_any = false;
  if (s->state == TORC_ICE_SELECTED && s->info.socket == socket &&
      s->info.transport == TORC_CAND_UDP) {
    torc_ice_lose(s);
    return;
  }
  for (size_t i = 0; i < s->num_owns; i++) {
    if (s->owns[i].l.socket == socket && !s->owns[i].is_gone) {
      s->owns[i].is_gone = true;
      had_any = true;
    }
  }
  if (had_any) {
    fail_gone(s);
    torc_ice_look_for_end(s);
  }
}

void torc_ice_socket_closed(torc_ice *ice, torc_ice_socket socket, torc_time now) {
  torc_ice_conn *c = torc_ice_conn_find(ice, socket);
  torc_ice_session *s;
  size_t it = 0;
  torc_ice_advance(ice, now);
  if (c != NULL) {
    torc_ice_pair *p = c->pair;
    s = c->session;
    ice->stats.tcp_closed++;
    torc_ice_conn_forget(c);
    if (p != NULL) {
      torc_ice_pair_fail(s, p, TORC_ERR_CLOSED);
    }
  } else {
    while ((s = torc_map_next(&ice->sessions, &it)) != NULL) {
      socket_gone(s, socket);
    }
  }
  torc_ice_pump(ice);
}

void torc_ice_unreachable(torc_ice *ice, torc_ice_socket socket, const torc_addr *remote,
                          torc_time now) {
  torc_list *l = ice->checks.next;
  torc_ice_advance(ice, now);
  while (l != &ice->checks) {
    torc_ice_check *c = TORC_CONTAINER_OF(l, torc_ice_check, link);
    l = l->next;
    if (!c->is_quiet && c->pair->state == TORC_ICE_PAIR_IN_PROGRESS &&
        c->tx.req.path.socket == socket && torc_stun_addr_eq(&c->tx.req.path.remote, remote)) {
      ice->stats.unreachable++;
      torc_ice_pair_fail(c->session, c->pair, TORC_ERR_REFUSED);
      l = ice->checks.next; /* others may be gone with it */
    }
  }
  torc_ice_pump(ice);
}

void torc_ice_tick(torc_ice *ice, torc_time now) {
  torc_ice_advance(ice, now);
  torc_timers_run(&ice->timers, ice->now);
  torc_ice_pump(ice);
}

torc_time torc_ice_deadline(const torc_ice *ice) {
  return torc_timers_next(&ice->timers);
}

/* ---- what goes out ---- */

void torc_ice_queue(torc_ice *ice, torc_ice_node *node, torc_ice_node_kind kind) {
  node->kind = kind;
  if (torc_list_empty(&node->link)) {
    torc_list_push_back(&ice->out, &node->link);
  }
}

torc_ice_datagram *torc_ice_datagram_new(torc_ice *ice, const torc_ice_session *s, size_t cap) {
  torc_ice_datagram *d = NULL;
  if (ice->num_queued >= TORC_ICE_QUEUED_MAX) {
    ice->stats.answers_dropped++;
    return NULL;
  }
  d = torc_calloc(ice->mem, 1, sizeof *d + cap);
  if (d == NULL) {
    ice->stats.no_memory++;
    return NULL;
  }
  d->id = s->id;
  torc_list_init(&d->node.link);
  return d;
}

static bool tell_check(torc_ice_check *c, torc_ice_output *out) {
  torc_ice *ice = c->session->ice;
  const torc_ice_pair *p = c->pair;
  torc_stun_output o;
  if (!c->tx.is_sending || !torc_stun_tx_poll(&c->tx, &o)) {
    return false;
  }
  ice->stats.checks_sent++;
  c->sent_at = ice->now;
  *out =
      (torc_ice_output){.kind = TORC_ICE_OUT_SEND,
                        .id = c->session->id,
                        .socket = o.path.socket,
                        .local = p->conn != NULL ? p->conn->local : c->session->owns[p->own].l.base,
                        .remote = o.path.remote,
                        .bytes = o.bytes};
  return true;
}

static void tell_conn(const torc_ice_conn *c, torc_ice_output *out) {
  *out = (torc_ice_output){
      .kind = c->state == TORC_ICE_CONN_CLOSING ? TORC_ICE_OUT_CLOSE_TCP : TORC_ICE_OUT_CONNECT_TCP,
      .id = c->id,
      .socket = c->socket,
      .local = c->local,
      .remote = c->remote,
      .is_so = c->is_so};
  if (c->socket == 0) {
    out->token = c->token;
  }
}

static void tell_event(const torc_ice_session *s, torc_ice_output *out) {
  *out = (torc_ice_output){.kind = TORC_ICE_OUT_CONSENT_LOST, .id = s->id};
  if (s->state == TORC_ICE_SELECTED) {
    out->kind = TORC_ICE_OUT_SELECTED;
    out->socket = s->info.socket;
    out->local = s->info.local;
    out->remote = s->info.remote;
    out->pair = s->info;
  } else if (s->state == TORC_ICE_FAILED) {
    out->kind = TORC_ICE_OUT_FAILED;
    out->rc = s->rc;
  }
}

static bool tell(torc_ice *ice, torc_ice_node *node, torc_ice_output *out) {
  const torc_ice_datagram *d;
  const torc_ice_name *name;
  switch (node->kind) {
    case TORC_ICE_NODE_CHECK:
      return tell_check(TORC_CONTAINER_OF(node, torc_ice_check, node), out);
    case TORC_ICE_NODE_DATAGRAM:
      d = TORC_CONTAINER_OF(node, torc_ice_datagram, node);
      ice->num_queued--;
      ice->told = node;
      *out = (torc_ice_output){.kind = TORC_ICE_OUT_SEND,
                               .id = d->id,
                               .socket = d->socket,
                               .local = d->local,
                               .remote = d->remote,
                               .bytes = torc_slice_of(d->bytes, d->len)};
      return true;
    case TORC_ICE_NODE_CLOSE:
      ice->told = node;
      tell_conn(TORC_CONTAINER_OF(node, torc_ice_conn, node), out);
      return true;
    case TORC_ICE_NODE_CONNECT:
      tell_conn(TORC_CONTAINER_OF(node, torc_ice_conn, node), out);
      return true;
    case TORC_ICE_NODE_RESOLVE:
      name = TORC_CONTAINER_OF(node, torc_ice_name, node);
      *out = (torc_ice_output){.kind = TORC_ICE_OUT_RESOLVE,
                               .id = name->session->id,
                               .token = name->token,
                               .host = name->candidate.host};
      return true;
    case TORC_ICE_NODE_EVENT:
    default:
      tell_event(TORC_CONTAINER_OF(node, torc_ice_session, node), out);
      return true;
  }
}

bool torc_ice_poll(torc_ice *ice, torc_ice_output *out) {
  torc_list *l;
  node_free(ice, ice->told);
  ice->told = NULL;
  while ((l = torc_list_pop_front(&ice->out)) != NULL) {
    if (tell(ice, TORC_CONTAINER_OF(l, torc_ice_node, link), out)) {
      return true;
    }
  }
  return false;
}

void torc_ice_counters(const torc_ice *ice, void *ctx,
                       void (*each)(void *ctx, const char *name, uint64_t value)) {
#define X(name) each(ctx, #name, ice->stats.name);
  TORC_ICE_STATS(X)
#undef X
}
