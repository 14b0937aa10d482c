/* A TURN client: the allocation's life, RFC 8656 7 and 8 [ICE-18] [GAP-79].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/turn_client.h"

#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "ice/stun_answer.h"
#include "ice/turn_frame.h"
#include "ice/turn_impl.h"

#define A(name_) TORC_STUN_ATTR_##name_
#define K(name_) TORC_STUN_KNOWN_##name_

enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

/* The numbers that ADDITIONAL-ADDRESS-FAMILY and ADDRESS-ERROR-CODE had before RFC 8656; coturn 4.6
 * knows no others. Nobody must understand them. */
enum { OLD_ADDITIONAL_ADDRESS_FAMILY = 0x8032, OLD_ADDRESS_ERROR_CODE = 0x8033 };

void torc_turn_advance(torc_turn *t, torc_time now) {
  if (now > t->now) {
    t->now = now;
  }
}

/* ---- beginning and end ---- */

static uint32_t or_default(uint32_t v, uint32_t usual) {
  return v != 0 ? v : usual;
}

static int check_config(const torc_turn_config *c) {
  uint32_t numbers = TORC_TURN_CHANNEL_LAST - TORC_TURN_CHANNEL_FIRST + 1;
  if (c->crypto == NULL || c->families == 0 || c->families > (TORC_TURN_V4 | TORC_TURN_V6) ||
      (c->is_tcp && !c->is_stream) || c->max_channels > numbers ||
      c->max_permissions > UINT16_MAX || c->max_data > UINT16_MAX - 64u) {
    return TORC_ERR_INVALID;
  }
  if (c->user.len > TORC_STUN_USERNAME_MAX || c->password.len > TORC_TURN_PASSWORD_MAX) {
    return TORC_ERR_LIMIT;
  }
  return 0;
}

static void on_refresh(torc_timer *timer, torc_time now);
static void on_keepalive(torc_timer *timer, torc_time now);

/* The login of a server that has not said anything yet. */
static int new_login(torc_turn *t) {
  torc_stun_login_clear(&t->login);
  return t->has_login ? torc_stun_login_init(&t->login, t->crypto, t->cfg.user, t->cfg.password)
                      : 0;
}

static torc_slice copy_in(uint8_t *to, torc_slice from) {
  if (from.len != 0) {
    memcpy(to, from.p, from.len);
  }
  return torc_slice_of(to, from.len);
}

static void take_config(torc_turn *t, const torc_turn_config *cfg) {
  torc_turn_config *c = &t->cfg;
  *c = *cfg;
  c->max_permissions = or_default(c->max_permissions, TORC_TURN_PERMISSIONS_MAX);
  c->max_channels = or_default(c->max_channels, TORC_TURN_CHANNELS_MAX);
  c->max_conns = or_default(c->max_conns, TORC_TURN_CONNS_MAX);
  c->max_data = or_default(c->max_data, TORC_TURN_DATA_MAX);
  c->user = copy_in(t->user, cfg->user);
  c->password = copy_in(t->password, cfg->password);
  if (c->keepalive == 0) {
    c->keepalive = c->is_stream ? TORC_TURN_KEEPALIVE_STREAM : TORC_TURN_KEEPALIVE;
  }
  t->crypto = cfg->crypto;
  t->log = cfg->log;
  t->has_login = cfg->user.len != 0;
  t->server = cfg->server;
  t->visited[0] = cfg->server;
  t->num_visited = 1;
  t->forbids_fragments = cfg->forbids_fragments && !cfg->is_tcp;
}

int torc_turn_new(torc_turn **out, const torc_turn_config *cfg, torc_time now) {
  torc_turn *t;
  uint64_t seed = 0;
  int rc = check_config(cfg);
  if (rc != 0) {
    return rc;
  }
  t = torc_calloc(cfg->mem, 1, sizeof *t);
  if (t == NULL) {
    return TORC_ERR_NOMEM;
  }
  t->mem = cfg->mem;
  t->now = now;
  take_config(t, cfg);
  torc_timers_init(&t->timers);
  torc_timer_init(&t->refresh, on_refresh);
  torc_timer_init(&t->keepalive, on_keepalive);
  torc_buf_init(&t->part, t->mem, TORC_TURN_STREAM_MAX);
  for (size_t i = 0; i < NUM_JOBS; i++) {
    t->jobs[i].turn = t;
    torc_stun_tx_stop(&t->jobs[i].tx);
  }
  t->out_cap = t->cfg.max_data + 64u; /* an indication to an IPv6 peer: 56, and padding */
  t->out = torc_alloc(t->mem, t->out_cap);
  rc = t->out != NULL ? new_login(t) : TORC_ERR_NOMEM;
  if (rc == 0) {
    rc = t->crypto->random(t->crypto->ctx, (uint8_t *)&seed, sizeof seed);
  }
  if (rc == 0) {
    rc = t->crypto->random(t->crypto->ctx, t->txid, sizeof t->txid);
  }
  if (rc == 0) {
    rc = torc_turn_peers_init(t, seed);
  }
  if (rc == 0) {
    t->conns = torc_calloc(t->mem, t->cfg.max_conns, sizeof *t->conns);
    rc = t->conns != NULL ? 0 : TORC_ERR_NOMEM;
  }
  if (rc != 0) {
    torc_turn_free(t);
    return rc;
  }
  *out = t;
  return 0;
}

void torc_turn_free(torc_turn *t) {
  const torc_mem *mem;
  if (t == NULL) {
    return;
  }
  mem = t->mem;
  torc_turn_conns_stop(t);
  torc_turn_peers_clear(t);
  torc_buf_clear(&t->part);
  torc_free(mem, t->conns);
  torc_free(mem, t->out);
  torc_wipe(t, sizeof *t);
  torc_free(mem, t);
}

static void stop_jobs(torc_turn *t) {
  for (size_t i = 0; i < NUM_JOBS; i++) {
    torc_stun_tx_stop(&t->jobs[i].tx);
    t->jobs[i].kind = JOB_IDLE;
  }
}

/* The allocation is no more: whatever belonged to it is forgotten. */
static void end(torc_turn *t) {
  t->state = TURN_OVER;
  stop_jobs(t);
  torc_timer_stop(&t->timers, &t->refresh);
  torc_timer_stop(&t->timers, &t->keepalive);
  torc_turn_peers_stop(t);
  torc_turn_conns_stop(t);
  t->tells_allocated = false;
  t->out_len = 0;
  t->got.kind = 0;
  t->in = (torc_slice){0};
}

static void set_text(torc_turn *t, torc_slice text) {
  t->text_len = text.len < sizeof t->text ? text.len : sizeof t->text;
  if (t->text_len != 0) {
    memmove(t->text, text.p, t->text_len);
  }
}

static torc_turn_advice advice_of(int rc, uint16_t code) {
  switch (rc == TORC_ERR_REFUSED ? code : 0) {
    case 401:
    case 441:
      return TORC_TURN_ADVICE_LOGIN;
    case 403:
    case 420:
    case 440:
    case 442:
      return TORC_TURN_ADVICE_NEVER;
    case 437:
      return TORC_TURN_ADVICE_NEW_PORT;
    case 486:
    case 500:
    case 508:
      return TORC_TURN_ADVICE_LATER;
    default:
      return TORC_TURN_ADVICE_NONE;
  }
}

static const char *fix_for(torc_turn_advice advice) {
  switch (advice) {
    case TORC_TURN_ADVICE_NEW_PORT:
      return "another port is tried";
    case TORC_TURN_ADVICE_LOGIN:
      return "it does not take this user name and password";
    case TORC_TURN_ADVICE_LATER:
      return "it has no room now, and is asked again later";
    case TORC_TURN_ADVICE_NEVER:
      return "it does not serve this peer: use another server";
    case TORC_TURN_ADVICE_NONE:
      break;
  }
  return "it is asked again later";
}

void torc_turn_fail(torc_turn *t, int rc, uint16_t code, torc_slice reason) {
  char server[TORC_ADDR_TEXT_MAX];
  TORC_LOG(t->log, TORC_LOG_WARN, "turn:failed",
           TORC_F_STR("server", torc_addr_format(&t->server, server)),
           TORC_F_U64("port", t->server.port), TORC_F_ERR("why", rc), TORC_F_U64("code", code),
           TORC_F_STR("fix", fix_for(advice_of(rc, code))));
  set_text(t, reason);
  end(t);
  t->fail_rc = rc;
  t->fail_code = code;
  t->advice = advice_of(rc, code);
  t->tells_failed = true;
}

bool torc_turn_is_gone(torc_turn *t, const torc_stun_result *r) {
  if (r->rc != TORC_ERR_REFUSED || r->code != 437) {
    return false;
  }
  torc_turn_fail(t, r->rc, r->code, r->reason);
  return true;
}

/* ---- requests ---- */

torc_stun_request torc_turn_request(torc_turn *t, uint16_t method, uint64_t socket,
                                    void (*put)(void *ctx, torc_stun_wr *w), void *ctx) {
  torc_stun_request req = {.method = method,
                           .path = {.socket = socket, .remote = t->server},
                           .is_reliable = t->cfg.is_stream,
                           .put = put,
                           .ctx = ctx,
                           .login = t->has_login ? &t->login : NULL};
  req.rto = t->rto.is_set || t->cfg.rto == 0 ? torc_stun_rto_get(&t->rto, t->now) : t->cfg.rto;
  t->stats.requests++;
  return req;
}

int torc_turn_job_start(turn_job *job, turn_job_kind kind, uint16_t method,
                        void (*put)(void *ctx, torc_stun_wr *w)) {
  torc_turn *t = job->turn;
  torc_stun_request req = torc_turn_request(t, method, 0, put, job);
  int rc;
  if (method == TORC_STUN_BINDING) {
    req.login = NULL;
  }
  rc = torc_stun_tx_start(&job->tx, t->crypto, &req, job->room, sizeof job->room, t->now);
  if (rc != 0) {
    torc_stun_tx_stop(&job->tx);
  }
  job->kind = rc == 0 ? kind : JOB_IDLE;
  return rc;
}

/* Section 7.1. IPv4 alone is what a server gives that was not asked for a family, one of RFC 5766
 * too. */
static void put_allocate(void *ctx, torc_stun_wr *w) {
  const turn_job *job = ctx;
  const torc_turn *t = job->turn;
  uint32_t protocol = t->cfg.is_tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
  torc_stun_put_u32(w, A(REQUESTED_TRANSPORT), protocol << 24);
  if (t->cfg.families == TORC_TURN_V6) {
    torc_stun_put_u32(w, A(REQUESTED_ADDRESS_FAMILY), 2u << 24);
  } else if (t->cfg.families == (TORC_TURN_V4 | TORC_TURN_V6)) {
    torc_stun_put_u32(w, A(ADDITIONAL_ADDRESS_FAMILY), 2u << 24);
    torc_stun_put_u32(w, OLD_ADDITIONAL_ADDRESS_FAMILY, 2u << 24);
  }
  if (t->forbids_fragments) {
    torc_stun_put_flag(w, A(DONT_FRAGMENT));
  }
  if (t->cfg.lifetime_s != 0) {
    torc_stun_put_u32(w, A(LIFETIME), t->cfg.lifetime_s);
  }
}

static void put_refresh(void *ctx, torc_stun_wr *w) {
  const turn_job *job = ctx;
  if (job->turn->state != TURN_UP) {
    torc_stun_put_u32(w, A(LIFETIME), 0);
  } else if (job->turn->cfg.lifetime_s != 0) {
    torc_stun_put_u32(w, A(LIFETIME), job->turn->cfg.lifetime_s);
  }
}

static void allocate(torc_turn *t) {
  int rc = torc_turn_job_start(&t->jobs[JOB_MAIN], JOB_ALLOCATE, TORC_STUN_ALLOCATE, put_allocate);
  t->state = TURN_ALLOCATING;
  if (rc != 0) {
    torc_turn_fail(t, rc, 0, (torc_slice){0});
  }
}

int torc_turn_start(torc_turn *t, torc_time now) {
  int rc;
  torc_turn_advance(t, now);
  if ((t->state != TURN_NEW && t->state != TURN_MOVED) || t->tells_moved) {
    return TORC_ERR_STATE;
  }
  rc = new_login(t);
  if (rc == 0) {
    allocate(t);
  }
  return rc;
}

torc_addr torc_turn_remote(const torc_turn *t) {
  return t->server;
}

static void closed(torc_turn *t) {
  bool is_failure = t->fails_behind;
  if (is_failure) {
    torc_turn_fail(t, TORC_ERR_FORMAT, 0, (torc_slice){0});
  } else {
    end(t);
    t->tells_closed = true;
  }
}

static void release(torc_turn *t) {
  stop_jobs(t);
  torc_timer_stop(&t->timers, &t->refresh);
  torc_timer_stop(&t->timers, &t->keepalive);
  torc_turn_peers_stop(t);
  torc_turn_conns_stop(t);
  t->state = TURN_CLOSING;
  t->out_len = 0;
  if (torc_turn_job_start(&t->jobs[JOB_MAIN], JOB_RELEASE, TORC_STUN_REFRESH, put_refresh) != 0) {
    closed(t);
  }
}

void torc_turn_close(torc_turn *t, torc_time now) {
  torc_turn_advance(t, now);
  if (t->state == TURN_UP) {
    t->tells_allocated = false;
    release(t);
  } else if (t->state == TURN_ALLOCATING) {
    t->is_ending = true; /* the server may have made it already */
  } else if (t->state == TURN_NEW || t->state == TURN_MOVED) {
    t->tells_moved = false;
    closed(t);
  }
}

void torc_turn_lost(torc_turn *t, torc_time now) {
  torc_turn_advance(t, now);
  if (t->state == TURN_OVER) {
    return;
  }
  if (t->state == TURN_CLOSING || t->is_ending) {
    closed(t);
  } else {
    t->tells_moved = false;
    torc_turn_fail(t, TORC_ERR_CLOSED, 0, (torc_slice){0});
  }
}

/* ---- the path to the server ---- */

/* NATs on it must not forget us; if one did, the server sees us from elsewhere [GAP-77]. */
static void on_keepalive(torc_timer *timer, torc_time now) {
  torc_turn *t = TORC_CONTAINER_OF(timer, torc_turn, keepalive);
  turn_job *job = &t->jobs[JOB_PATH];
  if (job->kind == JOB_IDLE &&
      torc_turn_job_start(job, JOB_KEEPALIVE, TORC_STUN_BINDING, NULL) == 0) {
    t->stats.keepalives++;
  }
  torc_timer_arm(&t->timers, timer, torc_time_add(now, t->cfg.keepalive));
}

void torc_turn_check(torc_turn *t, torc_time now) {
  torc_turn_advance(t, now);
  if (t->state == TURN_UP) {
    on_keepalive(&t->keepalive, t->now);
  }
}

/* The allocation is of the address that the server saw then. No answer means nothing: it may be a
 * server that has no Binding. */
static void keepalive_done(torc_turn *t, const torc_stun_result *r) {
  torc_addr mapped;
  if (r->rc == 0 && t->mapped.family != 0 &&
      torc_stun_get_addr(&r->msg, K(XOR_MAPPED_ADDRESS), &mapped) == 0 &&
      !torc_stun_addr_eq(&mapped, &t->mapped)) {
    torc_turn_fail(t, TORC_ERR_CLOSED, 0, (torc_slice){0});
  }
}

/* ---- answers ---- */

static void arm_refresh(torc_turn *t) {
  torc_time early = t->lifetime >= 2 * TURN_EARLY ? TURN_EARLY : t->lifetime / 2;
  t->expires_at = torc_time_add(t->now, t->lifetime);
  torc_timer_arm(&t->timers, &t->refresh, t->expires_at - early);
}

static void refresh(torc_turn *t) {
  int rc = torc_turn_job_start(&t->jobs[JOB_MAIN], JOB_REFRESH, TORC_STUN_REFRESH, put_refresh);
  if (rc != 0) {
    torc_turn_fail(t, rc, 0, (torc_slice){0});
  }
}

static void on_refresh(torc_timer *timer, torc_time now) {
  torc_turn *t = TORC_CONTAINER_OF(timer, torc_turn, refresh);
  (void)now;
  if (t->state == TURN_UP && t->jobs[JOB_MAIN].kind == JOB_IDLE) {
    refresh(t);
  }
}

/* Seconds; 0: none, or none that is of use. */
static torc_time lifetime_of(const torc_stun_msg *m) {
  uint32_t s = 0;
  return torc_stun_get_u32(m, K(LIFETIME), &s) == 0 ? TORC_SEC(s) : 0;
}

/* The relayed addresses, at most one of each family that was asked for. False: none of use. */
static bool take_relayed(torc_turn *t, const torc_stun_msg *m) {
  torc_rd rd = torc_stun_attrs(m);
  torc_slice value;
  uint16_t type;
  memset(t->relayed, 0, sizeof t->relayed);
  while (torc_stun_attr_next(&rd, &type, &value)) {
    torc_addr a;
    if (type != A(XOR_RELAYED_ADDRESS) || torc_stun_addr_read(value, m->txid, &a) != 0 ||
        a.port == 0) { /* coturn 4.6 names so the family that it has not */
      continue;
    }
    if ((t->cfg.families & a.family) == 0 || t->relayed[a.family - 1].family != 0) {
      return false;
    }
    t->relayed[a.family - 1] = a;
  }
  return t->relayed[0].family != 0 || t->relayed[1].family != 0;
}

/* ADDRESS-ERROR-CODE, section 18.12: why the other family is missing. 0: nothing is said. */
static uint16_t missing_code(const torc_stun_msg *m) {
  torc_rd rd = torc_stun_attrs(m);
  torc_slice v;
  uint16_t type;
  while (torc_stun_attr_next(&rd, &type, &v)) {
    if ((type == A(ADDRESS_ERROR_CODE) || type == OLD_ADDRESS_ERROR_CODE) && v.len >= 4) {
      return (uint16_t)((v.p[2] & 7u) * 100 + v.p[3]);
    }
  }
  return 0;
}

static void allocated(torc_turn *t, const torc_stun_msg *m) {
  bool is_right = take_relayed(t, m);
  t->lifetime = lifetime_of(m);
  if (torc_stun_get_addr(m, K(XOR_MAPPED_ADDRESS), &t->mapped) != 0) {
    t->mapped = (torc_addr){0};
  }
  if (t->is_ending || !is_right || t->lifetime == 0) { /* section 7.3: give it back */
    t->fails_behind = !t->is_ending;
    release(t);
    return;
  }
  t->missing_code = missing_code(m);
  t->state = TURN_UP;
  t->tells_allocated = true;
  TORC_LOG(t->log, TORC_LOG_DEBUG, "turn:allocated", TORC_F_U64("lifetime_us", t->lifetime));
  arm_refresh(t);
  torc_timer_arm(&t->timers, &t->keepalive, torc_time_add(t->now, t->cfg.keepalive));
}

/* RFC 8489 10: not a second time to the same server, and not for ever. */
static void move(torc_turn *t, const torc_stun_result *r) {
  torc_addr to = {0};
  if (torc_stun_get_addr(&r->msg, K(ALTERNATE_SERVER), &to) != 0 || to.port == 0 ||
      to.family != t->server.family) {
    torc_turn_fail(t, TORC_ERR_FORMAT, r->code, r->reason);
    return;
  }
  for (uint32_t i = 0; i < t->num_visited; i++) {
    if (t->num_visited > TORC_TURN_MOVES_MAX || torc_stun_addr_eq(&t->visited[i], &to)) {
      torc_turn_fail(t, TORC_ERR_LIMIT, r->code, r->reason);
      return;
    }
  }
  t->visited[t->num_visited] = to;
  t->num_visited++;
  t->server = to;
  t->rto = (torc_stun_rto){0};
  t->has_cleared = false;
  t->state = TURN_MOVED;
  t->tells_moved = true;
  t->stats.moved++;
  t->in = (torc_slice){0}; /* the old stream is of no more use */
  t->part.len = 0;
  set_text(t, torc_stun_value(&r->msg, K(ALTERNATE_DOMAIN)));
}

static bool lacks_dont_fragment(const torc_stun_msg *m) {
  uint16_t type = 0;
  for (size_t i = 0; torc_stun_unknown_at(m, i, &type); i++) {
    if (type == A(DONT_FRAGMENT)) {
      return true;
    }
  }
  return false;
}

/* Section 7.4 wants another port, which a node that has only one cannot take. What is in the way is
 * its own of before a crash, mostly: then the server gives it back; else it says 441. */
static void clear(torc_turn *t) {
  int rc = torc_turn_job_start(&t->jobs[JOB_MAIN], JOB_CLEAR, TORC_STUN_REFRESH, put_refresh);
  t->has_cleared = true;
  if (rc != 0) {
    torc_turn_fail(t, rc, 0, (torc_slice){0});
  }
}

static void allocate_done(torc_turn *t, const torc_stun_result *r) {
  if (r->rc == 0) {
    allocated(t, &r->msg);
  } else if (t->is_ending) {
    closed(t);
  } else if (r->rc == TORC_ERR_REFUSED && r->code == TORC_STUN_TRY_ALTERNATE) {
    move(t, r);
  } else if (r->rc == TORC_ERR_REFUSED && r->code == 437 && !t->has_cleared) {
    clear(t);
  } else if (r->rc == TORC_ERR_REFUSED && r->code == TORC_STUN_UNKNOWN_ATTRIBUTE &&
             t->forbids_fragments && lacks_dont_fragment(&r->msg)) {
    t->forbids_fragments = false; /* section 7.4 */
    allocate(t);
  } else {
    torc_turn_fail(t, r->rc, r->code, r->reason);
  }
}

static void refresh_done(torc_turn *t, const torc_stun_result *r) {
  if (r->rc == 0) {
    t->lifetime = lifetime_of(&r->msg);
    if (t->lifetime == 0) {
      torc_turn_fail(t, TORC_ERR_CLOSED, 0, (torc_slice){0});
      return;
    }
    arm_refresh(t);
  } else if ((r->rc == TORC_ERR_TIMEOUT || r->rc == TORC_ERR_CRYPTO) && t->now < t->expires_at) {
    refresh(t);
  } else {
    torc_turn_fail(t, r->rc, r->code, r->reason);
  }
}

/* A transaction ended; `r` borrows from the datagram. */
static void job_done(turn_job *job, const torc_stun_result *r) {
  torc_turn *t = job->turn;
  turn_job_kind kind = job->kind;
  job->kind = JOB_IDLE;
  t->stats.timeouts += r->rc == TORC_ERR_TIMEOUT ? 1 : 0;
  if (r->rtt != 0 && !t->cfg.is_stream) {
    torc_stun_rto_add(&t->rto, r->rtt, t->now);
  }
  switch (kind) {
    case JOB_ALLOCATE:
      allocate_done(t, r);
      break;
    case JOB_REFRESH:
      refresh_done(t, r);
      break;
    case JOB_RELEASE:
      closed(t);
      break;
    case JOB_CLEAR:
      if (t->is_ending) {
        closed(t);
      } else {
        allocate(t);
      }
      break;
    case JOB_KEEPALIVE:
      keepalive_done(t, r);
      break;
    case JOB_PERMISSION:
    case JOB_CHANNEL:
      job->kind = kind;
      torc_turn_peers_done(job, r);
      break;
    case JOB_IDLE:
      break;
  }
}

static void settle(turn_job *job) {
  torc_stun_output o;
  if (job->tx.state == TORC_STUN_TX_ENDED && torc_stun_tx_poll(&job->tx, &o)) {
    job_done(job, &o.result);
  }
}

/* ---- input ---- */

bool torc_turn_has_family(const torc_turn *t, const torc_addr *a) {
  return (a->family == 1 || a->family == 2) && t->relayed[a->family - 1].family != 0;
}

bool torc_turn_awaits(const torc_turn *t, const torc_stun_msg *m) {
  for (size_t i = 0; i < NUM_JOBS; i++) {
    const turn_job *job = &t->jobs[i];
    if (job->kind != JOB_IDLE && memcmp(job->tx.txid, m->txid, sizeof job->tx.txid) == 0) {
      return true;
    }
  }
  return false;
}

static void take_answer(torc_turn *t, const torc_stun_msg *m) {
  torc_stun_path path = {.remote = t->server};
  for (size_t i = 0; i < NUM_JOBS; i++) {
    if (torc_stun_tx_input(&t->jobs[i].tx, &path, m, t->now) != TORC_ERR_NOTFOUND) {
      settle(&t->jobs[i]);
      return;
    }
  }
  if (!torc_turn_conns_input(t, m)) {
    t->stats.drop_answer++;
  }
}

/* Sections 11.4 and 11.6: data, or what ICMP said, of a peer that we permitted. */
static void take_data(torc_turn *t, const torc_stun_msg *m) {
  torc_slice icmp = torc_stun_value(m, K(ICMP));
  torc_addr peer;
  if (m->num_unknown != 0 || torc_stun_get_addr(m, K(XOR_PEER_ADDRESS), &peer) != 0 ||
      (!torc_stun_has(m, K(DATA)) && icmp.len == 0)) {
    t->stats.drop_malformed++;
    return;
  }
  if (!torc_turn_may_send_to_us(t, &peer)) {
    t->stats.drop_no_permission++;
    return;
  }
  t->got = (torc_turn_output){.kind = TORC_TURN_OUT_DATA, .addr = peer};
  if (icmp.len != 0) {
    torc_rd rd;
    torc_rd_init(&rd, icmp);
    torc_rd_skip(&rd, 2);
    t->got.kind = TORC_TURN_OUT_UNREACHABLE;
    t->got.icmp.type = torc_rd_u8(&rd);
    t->got.icmp.code = torc_rd_u8(&rd);
    t->got.icmp.data = torc_rd_u32(&rd);
    t->stats.icmp_received++;
    return;
  }
  t->got.bytes = torc_stun_value(m, K(DATA));
  t->stats.indication_received++;
}

static void take_channel(torc_turn *t, torc_slice frame) {
  torc_addr peer;
  torc_slice data;
  uint16_t number;
  if (torc_turn_channel_get(frame, &number, &data) != 0) {
    t->stats.drop_malformed++;
  } else if (t->state != TURN_UP || !torc_turn_channel_peer(t, number, &peer)) {
    t->stats.drop_no_channel++;
  } else if (!torc_turn_may_send_to_us(t, &peer)) {
    t->stats.drop_no_permission++;
  } else {
    t->got = (torc_turn_output){.kind = TORC_TURN_OUT_DATA, .addr = peer, .bytes = data};
    t->stats.channel_received++;
  }
}

static void take_frame(torc_turn *t, torc_slice frame) {
  torc_stun_msg m;
  if (torc_first_byte_of(frame) == TORC_FIRST_CHANNEL) {
    take_channel(t, frame);
  } else if (torc_stun_decode(&m, frame) != 0) {
    t->stats.drop_malformed++;
  } else if (m.cls == TORC_STUN_SUCCESS || m.cls == TORC_STUN_ERROR) {
    take_answer(t, &m);
  } else if (m.cls == TORC_STUN_INDICATION && m.method == TORC_STUN_DATA && t->state == TURN_UP &&
             !t->cfg.is_tcp) {
    take_data(t, &m);
  } else if (m.cls == TORC_STUN_INDICATION && m.method == TORC_STUN_CONNECTION_ATTEMPT &&
             t->state == TURN_UP && t->cfg.is_tcp) {
    torc_turn_conns_attempt(t, &m);
  } else {
    t->stats.drop_unexpected++;
  }
}

/* Moves bytes of the input behind the beginning of a frame, as many as are there of `want`. */
static int gather(torc_turn *t, size_t want) {
  size_t num = want - t->part.len;
  int rc;
  if (num > t->in.len) {
    num = t->in.len;
  }
  rc = torc_buf_append(&t->part, torc_slice_of(t->in.p, num));
  if (rc == 0) {
    t->in = torc_slice_of(t->in.p + num, t->in.len - num);
  }
  return rc;
}

/* The next whole frame of a stream. TORC_ERR_SHORT: the input is used up. */
static int next_frame(torc_turn *t, torc_slice *frame) {
  size_t len = 0;
  int rc;
  if (t->part.len == 0) {
    rc = torc_turn_frame_peek(t->in, &len);
    if (rc == 0 && len <= t->in.len) {
      *frame = torc_slice_of(t->in.p, len);
      t->in = torc_slice_of(t->in.p + len, t->in.len - len);
      return 0;
    }
    if (rc == TORC_ERR_FORMAT || t->in.len == 0) {
      return rc;
    }
    rc = gather(t, t->in.len);
    return rc != 0 ? rc : TORC_ERR_SHORT;
  }
  for (;;) {
    rc = torc_turn_frame_peek(torc_buf_slice(&t->part), &len);
    if (rc == TORC_ERR_FORMAT) {
      return rc;
    }
    if (rc != 0) { /* its header is not whole yet */
      len = t->part.p[0] <= 3 ? TORC_STUN_HEADER_LEN : TORC_TURN_CHANNEL_HEADER;
    } else if (len == t->part.len) {
      *frame = torc_buf_slice(&t->part);
      t->part_is_done = true;
      return 0;
    }
    if (t->in.len == 0) {
      return TORC_ERR_SHORT;
    }
    rc = gather(t, len);
    if (rc != 0) {
      return rc;
    }
  }
}

/* Looks at the next frame of the input; false: there is none. */
static bool pump(torc_turn *t) {
  torc_slice frame = {0};
  int rc;
  if (t->part_is_done) { /* whoever borrowed from it is through */
    t->part.len = 0;
    t->part_is_done = false;
  }
  if (t->in.len == 0 || t->state == TURN_OVER) {
    return false;
  }
  if (!t->cfg.is_stream) {
    frame = t->in;
    t->in = (torc_slice){0};
    take_frame(t, frame);
    return true;
  }
  rc = next_frame(t, &frame);
  if (rc == 0) {
    take_frame(t, frame);
  } else if (rc != TORC_ERR_SHORT) {
    torc_turn_fail(t, rc, 0, (torc_slice){0});
    return true;
  }
  return rc == 0;
}

int torc_turn_input(torc_turn *t, const torc_addr *from, torc_slice bytes, torc_time now) {
  torc_turn_advance(t, now);
  if (t->in.len != 0 || t->got.kind != 0) {
    return TORC_ERR_STATE;
  }
  if (t->state == TURN_NEW || t->state == TURN_MOVED || t->state == TURN_OVER) {
    t->stats.drop_unexpected++;
    return 0;
  }
  if (!t->cfg.is_stream && !torc_stun_addr_eq(from, &t->server)) {
    t->stats.drop_source++;
    return 0;
  }
  t->in = bytes;
  if (!t->cfg.is_stream) {
    (void)pump(t);
  }
  return 0;
}

/* ---- time and output ---- */

void torc_turn_tick(torc_turn *t, torc_time now) {
  torc_turn_advance(t, now);
  for (size_t i = 0; i < NUM_JOBS; i++) {
    torc_stun_tx_tick(&t->jobs[i].tx, t->now);
    settle(&t->jobs[i]);
  }
  torc_turn_conns_tick(t);
  torc_timers_run(&t->timers, t->now);
  torc_turn_peers_schedule(t);
}

torc_time torc_turn_deadline(const torc_turn *t) {
  torc_time at = torc_timers_next(&t->timers);
  torc_time conns = torc_turn_conns_deadline(t);
  at = conns < at ? conns : at;
  for (size_t i = 0; i < NUM_JOBS; i++) {
    torc_time d = torc_stun_tx_deadline(&t->jobs[i].tx);
    at = d < at ? d : at;
  }
  return at;
}

static bool poll_jobs(torc_turn *t, torc_turn_output *out) {
  torc_stun_output o;
  for (size_t i = 0; i < NUM_JOBS; i++) {
    if (t->jobs[i].kind != JOB_IDLE && torc_stun_tx_poll(&t->jobs[i].tx, &o)) {
      *out = (torc_turn_output){.kind = TORC_TURN_OUT_SEND, .bytes = o.bytes, .addr = t->server};
      return true;
    }
  }
  return false;
}

static torc_turn_output allocation(const torc_turn *t) {
  torc_turn_output o = {.kind = TORC_TURN_OUT_ALLOCATED,
                        .mapped = t->mapped,
                        .lifetime = t->lifetime,
                        .code = t->missing_code};
  memcpy(o.relayed, t->relayed, sizeof o.relayed);
  return o;
}

static bool poll_events(torc_turn *t, torc_turn_output *out) {
  if (t->tells_allocated) {
    t->tells_allocated = false;
    *out = allocation(t);
  } else if (t->tells_moved) {
    t->tells_moved = false;
    *out = (torc_turn_output){.kind = TORC_TURN_OUT_MOVED,
                              .addr = t->server,
                              .text = torc_slice_of(t->text, t->text_len)};
  } else if (t->tells_closed) {
    t->tells_closed = false;
    *out = (torc_turn_output){.kind = TORC_TURN_OUT_CLOSED};
  } else if (t->tells_failed) {
    t->tells_failed = false;
    *out = (torc_turn_output){.kind = TORC_TURN_OUT_FAILED,
                              .rc = t->fail_rc,
                              .code = t->fail_code,
                              .advice = t->advice,
                              .text = torc_slice_of(t->text, t->text_len)};
  } else {
    return false;
  }
  return true;
}

bool torc_turn_poll(torc_turn *t, torc_turn_output *out) {
  do {
    if (poll_jobs(t, out)) {
      return true;
    }
    if (t->out_len != 0) {
      *out = (torc_turn_output){.kind = TORC_TURN_OUT_SEND,
                                .bytes = torc_slice_of(t->out, t->out_len),
                                .addr = t->server};
      t->out_len = 0;
      return true;
    }
    if (t->got.kind != 0) {
      *out = t->got;
      t->got.kind = 0;
      return true;
    }
    if (poll_events(t, out) || torc_turn_peers_poll(t, out) || torc_turn_conns_poll(t, out)) {
      return true;
    }
  } while (pump(t));
  return false;
}

void torc_turn_counters(const torc_turn *t, void *ctx,
                        void (*each)(void *ctx, const char *name, uint64_t value)) {
#define X(name) each(ctx, #name, t->stats.name);
  TORC_TURN_COUNTERS(X)
#undef X
}
