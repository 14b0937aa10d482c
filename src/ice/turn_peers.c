/* Permissions and channels of a TURN client, and data to peers; RFC 8656 9 to 12 [ICE-18].
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "ice/turn_frame.h"
#include "ice/turn_impl.h"

static void host_key(const torc_addr *a, uint8_t key[TURN_HOST_KEY]) {
  memset(key, 0, TURN_HOST_KEY);
  key[0] = a->family;
  memcpy(key + 1, a->addr, a->family == 1 ? 4 : 16);
}

static void peer_key(const torc_addr *a, uint8_t key[TURN_PEER_KEY]) {
  host_key(a, key);
  key[TURN_HOST_KEY] = (uint8_t)(a->port >> 8);
  key[TURN_HOST_KEY + 1] = (uint8_t)a->port;
}

static torc_addr host_of(const uint8_t *key) {
  torc_addr a = {.family = key[0]};
  memcpy(a.addr, key + 1, 16);
  return a;
}

static torc_addr peer_of(const uint8_t *key) {
  torc_addr a = host_of(key);
  a.port = (uint16_t)((unsigned)key[TURN_HOST_KEY] << 8 | key[TURN_HOST_KEY + 1]);
  return a;
}

static turn_perm *find_perm(const torc_turn *t, const torc_addr *a) {
  uint8_t key[TURN_HOST_KEY];
  host_key(a, key);
  return torc_map_get(&t->perm_map, key);
}

static turn_channel *find_channel(const torc_turn *t, const torc_addr *a) {
  uint8_t key[TURN_PEER_KEY];
  if (t->channel_map.len == 0) {
    return NULL;
  }
  peer_key(a, key);
  return torc_map_get(&t->channel_map, key);
}

/* ---- what both have in common ---- */

static bool is_refused(const turn_grant *g) {
  return g->refused_until > g->turn->now;
}

static bool lives(const turn_grant *g) {
  return g->until > g->turn->now;
}

/* The time for the next request has come and none is on its way. */
static bool is_due(const turn_grant *g) {
  return !g->is_wanted && !g->is_asked && !is_refused(g) &&
         g->until <= torc_time_add(g->turn->now, TURN_EARLY);
}

static void tell(turn_grant *g, turn_told what, size_t *untold) {
  *untold += g->told == TOLD && what != TOLD ? 1u : 0u;
  *untold -= g->told != TOLD && what == TOLD ? 1u : 0u;
  g->told = what;
}

static void want(turn_grant *g, bool wanted, size_t *num) {
  *num += wanted && !g->is_wanted ? 1u : 0u;
  *num -= !wanted && g->is_wanted ? 1u : 0u;
  g->is_wanted = wanted;
}

/* ---- permissions ---- */

static void free_perm(turn_perm *p) {
  torc_turn *t = p->g.turn;
  want(&p->g, false, &t->wanted_perms);
  tell(&p->g, TOLD, &t->untold_perms);
  torc_timer_stop(&t->timers, &p->g.timer);
  (void)torc_map_del(&t->perm_map, p->key);
  p->g.is_taken = false;
}

static void arm_perm(turn_perm *p) {
  turn_grant *g = &p->g;
  torc_time at = g->until;
  if (is_refused(g)) {
    at = g->refused_until;
  } else if (at > torc_time_add(g->turn->now, TURN_EARLY)) {
    at -= TURN_EARLY;
  }
  torc_timer_arm(&g->turn->timers, &g->timer, at);
}

/* Renewed if it was used, forgotten at its end if it was not. */
static void on_perm(torc_timer *timer, torc_time now) {
  turn_perm *p = TORC_CONTAINER_OF(timer, turn_perm, g.timer);
  turn_grant *g = &p->g;
  if (g->is_asked || g->is_wanted) {
    return; /* the answer arms it again */
  }
  if (g->until <= now && !is_refused(g)) {
    free_perm(p);
  } else if (is_due(g) && torc_time_add(g->used_at, TORC_TURN_PERMISSION) > now) {
    want(g, true, &g->turn->wanted_perms);
  } else {
    torc_timer_arm(&g->turn->timers, timer, is_refused(g) ? g->refused_until : g->until);
  }
}

/* Room for one more, if need be that of the one that was not used for the longest time. */
static turn_perm *free_slot(torc_turn *t) {
  turn_perm *oldest = NULL;
  for (uint32_t i = 0; i < t->cfg.max_permissions; i++) {
    turn_perm *p = &t->perms[i];
    if (!p->g.is_taken) {
      return p;
    }
    if (!p->g.is_asked && torc_time_add(p->g.used_at, TURN_EVICTABLE) <= t->now &&
        (oldest == NULL || p->g.used_at < oldest->g.used_at)) {
      oldest = p;
    }
  }
  if (oldest != NULL) {
    free_perm(oldest);
    t->stats.permissions_evicted++;
  }
  return oldest;
}

/* The permission of an address, asked for if that is due. */
static int use_perm(torc_turn *t, const torc_addr *peer, turn_perm **out) {
  turn_perm *p = find_perm(t, peer);
  if (p == NULL) {
    int rc;
    p = free_slot(t);
    if (p == NULL) {
      t->stats.permissions_full++;
      return TORC_ERR_LIMIT;
    }
    memset(p, 0, sizeof *p);
    host_key(peer, p->key);
    p->g.turn = t;
    torc_timer_init(&p->g.timer, on_perm);
    rc = torc_map_put(&t->perm_map, p);
    if (rc != 0) {
      return rc;
    }
    p->g.is_taken = true;
  }
  p->g.used_at = t->now;
  if (is_due(&p->g)) {
    want(&p->g, true, &t->wanted_perms);
  }
  *out = p;
  return 0;
}

static void put_perms(void *ctx, torc_stun_wr *w) {
  const turn_job *job = ctx;
  for (uint16_t i = 0; i < job->num_items; i++) {
    torc_addr a = host_of(job->turn->perms[job->items[i]].key);
    torc_stun_put_xor_addr(w, TORC_STUN_ATTR_XOR_PEER_ADDRESS, &a);
  }
}

static void perm_granted(turn_perm *p) {
  turn_grant *g = &p->g;
  if (g->until == 0) {
    tell(g, TELL_GRANTED, &g->turn->untold_perms);
    g->turn->stats.permissions_granted++;
  }
  g->until = torc_time_add(g->turn->now, TORC_TURN_PERMISSION);
  g->refused_until = 0;
  arm_perm(p);
}

static void perm_refused(turn_perm *p, int rc, uint16_t code) {
  turn_grant *g = &p->g;
  g->rc = rc;
  g->code = code;
  g->until = 0;
  g->refused_until = torc_time_add(g->turn->now, TURN_REFUSED);
  tell(g, TELL_REFUSED, &g->turn->untold_perms);
  g->turn->stats.permissions_refused++;
  arm_perm(p);
}

/* In use and to be renewed soon: goes along with the request that is being made. */
static bool is_near(const turn_perm *p) {
  const turn_grant *g = &p->g;
  return !g->is_asked && lives(g) &&
         g->until <= torc_time_add(g->turn->now, TURN_EARLY + TURN_NEAR) &&
         torc_time_add(g->used_at, TORC_TURN_PERMISSION) > g->turn->now;
}

/* One request for as many as wait and fit. False: none waits. */
static bool ask_perms(torc_turn *t, turn_job *job) {
  bool is_alone = false;
  int rc;
  job->num_items = 0;
  for (uint32_t i = 0; i < t->cfg.max_permissions && job->num_items < TURN_PEERS && !is_alone;
       i++) {
    turn_perm *p = &t->perms[i];
    if (!p->g.is_taken || (!p->g.is_wanted && !is_near(p)) ||
        (p->is_alone && job->num_items != 0)) {
      continue;
    }
    is_alone = p->is_alone;
    want(&p->g, false, &t->wanted_perms);
    p->g.is_asked = true;
    job->items[job->num_items] = (uint16_t)i;
    job->num_items++;
  }
  if (job->num_items == 0) {
    return false;
  }
  rc = torc_turn_job_start(job, JOB_PERMISSION, TORC_STUN_CREATE_PERMISSION, put_perms);
  for (uint16_t i = 0; rc != 0 && i < job->num_items; i++) {
    t->perms[job->items[i]].g.is_asked = false;
    perm_refused(&t->perms[job->items[i]], rc, 0);
  }
  return true;
}

static void perms_done(turn_job *job, const torc_stun_result *r) {
  torc_turn *t = job->turn;
  for (uint16_t i = 0; i < job->num_items; i++) {
    turn_perm *p = &t->perms[job->items[i]];
    p->g.is_asked = false;
    if (r->rc == 0) {
      p->is_alone = false;
      perm_granted(p);
    } else if (r->rc == TORC_ERR_REFUSED && job->num_items > 1) {
      p->is_alone = true; /* section 10.2: one of them spoilt it for all */
      want(&p->g, true, &t->wanted_perms);
    } else if (r->rc != TORC_ERR_REFUSED && lives(&p->g)) {
      want(&p->g, true, &t->wanted_perms); /* as long as it lives */
    } else {
      perm_refused(p, r->rc, r->code);
    }
  }
}

bool torc_turn_may_send_to_us(torc_turn *t, const torc_addr *peer) {
  const turn_perm *p = find_perm(t, peer);
  return p != NULL && !is_refused(&p->g) && (lives(&p->g) || p->g.is_asked);
}

int torc_turn_permit(torc_turn *t, const torc_addr *peers, size_t num, torc_time now) {
  int result = 0;
  torc_turn_advance(t, now);
  if (t->state != TURN_UP) {
    return TORC_ERR_STATE;
  }
  for (size_t i = 0; i < num; i++) {
    turn_perm *p = NULL;
    int rc;
    if (!torc_turn_has_family(t, &peers[i])) {
      t->stats.drop_family++;
      continue;
    }
    rc = use_perm(t, &peers[i], &p);
    if (rc == 0 && is_refused(&p->g)) {
      tell(&p->g, TELL_REFUSED, &t->untold_perms);
    }
    result = rc != 0 ? rc : result;
  }
  torc_turn_peers_schedule(t);
  return result;
}

/* ---- channels ---- */

static uint16_t number_of(const turn_channel *c) {
  return (uint16_t)(TORC_TURN_CHANNEL_FIRST + (size_t)(c - c->g.turn->channels));
}

static void free_channel(turn_channel *c) {
  torc_turn *t = c->g.turn;
  want(&c->g, false, &t->wanted_channels);
  tell(&c->g, TOLD, &t->untold_channels);
  torc_timer_stop(&t->timers, &c->g.timer);
  (void)torc_map_del(&t->channel_map, c->key);
  c->g.is_taken = false;
}

/* The next of: renewal, end, the number is free. */
static void arm_channel(turn_channel *c) {
  turn_grant *g = &c->g;
  torc_time at = c->free_at;
  if (is_refused(g) && g->refused_until > at) {
    at = g->refused_until;
  } else if (g->until > torc_time_add(g->turn->now, TURN_EARLY)) {
    at = g->until - TURN_EARLY;
  }
  torc_timer_arm(&g->turn->timers, &g->timer, at);
}

static void on_channel(torc_timer *timer, torc_time now) {
  turn_channel *c = TORC_CONTAINER_OF(timer, turn_channel, g.timer);
  turn_grant *g = &c->g;
  if (g->is_asked || g->is_wanted) {
    return;
  }
  if (c->free_at <= now && !is_refused(g)) {
    free_channel(c);
  } else if (is_due(g) && lives(g) && torc_time_add(g->used_at, TORC_TURN_CHANNEL) > now) {
    want(g, true, &g->turn->wanted_channels);
  } else {
    arm_channel(c);
  }
}

static void put_channel(void *ctx, torc_stun_wr *w) {
  const turn_job *job = ctx;
  const turn_channel *c = &job->turn->channels[job->items[0]];
  torc_addr peer = peer_of(c->key);
  torc_stun_put_u32(w, TORC_STUN_ATTR_CHANNEL_NUMBER, (uint32_t)number_of(c) << 16);
  torc_stun_put_xor_addr(w, TORC_STUN_ATTR_XOR_PEER_ADDRESS, &peer);
}

static void channel_refused(turn_channel *c, int rc, uint16_t code) {
  turn_grant *g = &c->g;
  g->rc = rc;
  g->code = code;
  g->refused_until = torc_time_add(g->turn->now, TURN_REFUSED);
  tell(g, TELL_REFUSED, &g->turn->untold_channels);
  g->turn->stats.channels_refused++;
  arm_channel(c);
}

static bool ask_channel(torc_turn *t, turn_job *job) {
  for (uint32_t i = 0; i < t->cfg.max_channels; i++) {
    turn_channel *c = &t->channels[i];
    if (c->g.is_taken && c->g.is_wanted) {
      torc_time at_most = torc_time_add(t->now, TORC_STUN_TI + TORC_TURN_CHANNEL + TORC_TURN_REST);
      int rc;
      want(&c->g, false, &t->wanted_channels);
      job->items[0] = (uint16_t)i;
      job->num_items = 1;
      rc = torc_turn_job_start(job, JOB_CHANNEL, TORC_STUN_CHANNEL_BIND, put_channel);
      c->g.is_asked = rc == 0;
      c->free_at = rc == 0 ? at_most : c->free_at; /* the answer may be lost */
      if (rc != 0) {
        channel_refused(c, rc, 0);
      }
      return true;
    }
  }
  return false;
}

static void channel_done(turn_job *job, const torc_stun_result *r) {
  torc_turn *t = job->turn;
  turn_channel *c = &t->channels[job->items[0]];
  turn_grant *g = &c->g;
  g->is_asked = false;
  if (r->rc == 0) {
    t->stats.channels_bound += g->until == 0 ? 1 : 0;
    g->until = torc_time_add(t->now, TORC_TURN_CHANNEL);
    g->refused_until = 0;
    c->free_at = torc_time_add(g->until, TORC_TURN_REST);
    arm_channel(c);
    return;
  }
  if (r->rc != TORC_ERR_REFUSED && lives(g)) {
    want(g, true, &t->wanted_channels);
    return;
  }
  if (r->rc == TORC_ERR_REFUSED) { /* the binding is as it was before */
    c->free_at = g->until == 0 ? t->now : torc_time_add(g->until, TORC_TURN_REST);
  }
  channel_refused(c, r->rc, r->code);
}

static int new_channel(torc_turn *t, const torc_addr *peer, turn_channel **out) {
  for (uint32_t i = 0; i < t->cfg.max_channels; i++) {
    turn_channel *c = &t->channels[i];
    int rc;
    if (c->g.is_taken) {
      continue;
    }
    memset(c, 0, sizeof *c);
    peer_key(peer, c->key);
    c->g.turn = t;
    torc_timer_init(&c->g.timer, on_channel);
    rc = torc_map_put(&t->channel_map, c);
    if (rc == 0) {
      c->g.is_taken = true;
      *out = c;
    }
    return rc;
  }
  t->stats.channels_full++;
  return TORC_ERR_LIMIT;
}

int torc_turn_bind(torc_turn *t, const torc_addr *peer, torc_time now) {
  turn_channel *c;
  turn_perm *p = NULL;
  int rc;
  torc_turn_advance(t, now);
  if (t->state != TURN_UP || t->cfg.is_tcp) {
    return TORC_ERR_STATE;
  }
  if (!torc_turn_has_family(t, peer)) {
    t->stats.drop_family++;
    return TORC_ERR_INVALID;
  }
  rc = use_perm(t, peer, &p);
  if (rc != 0) {
    return rc;
  }
  c = find_channel(t, peer);
  if (c == NULL) {
    rc = new_channel(t, peer, &c);
    if (rc != 0) {
      torc_turn_peers_schedule(t);
      return rc;
    }
  }
  c->g.used_at = t->now;
  if (is_due(&c->g)) {
    want(&c->g, true, &t->wanted_channels);
  } else if (is_refused(&c->g)) {
    tell(&c->g, TELL_REFUSED, &t->untold_channels);
  }
  torc_turn_peers_schedule(t);
  return 0;
}

bool torc_turn_channel_peer(torc_turn *t, uint16_t number, torc_addr *peer) {
  size_t i = (size_t)number - TORC_TURN_CHANNEL_FIRST;
  const turn_channel *c = i < t->cfg.max_channels ? &t->channels[i] : NULL;
  if (c == NULL || !c->g.is_taken || (!lives(&c->g) && !c->g.is_asked)) {
    return false;
  }
  *peer = peer_of(c->key);
  return true;
}

/* ---- data ---- */

static void next_txid(torc_turn *t) {
  for (size_t i = TORC_STUN_TXID_LEN; i > 0; i--) {
    t->txid[i - 1]++;
    if (t->txid[i - 1] != 0) {
      break;
    }
  }
}

static void put_send(torc_turn *t, torc_wr *wr, const torc_addr *peer, torc_slice bytes) {
  torc_stun_wr w;
  torc_stun_begin(&w, wr, TORC_STUN_INDICATION, TORC_STUN_SEND, t->txid);
  next_txid(t);
  torc_stun_put_xor_addr(&w, TORC_STUN_ATTR_XOR_PEER_ADDRESS, peer);
  if (t->forbids_fragments) {
    torc_stun_put_flag(&w, TORC_STUN_ATTR_DONT_FRAGMENT);
  }
  torc_stun_put(&w, TORC_STUN_ATTR_DATA, bytes);
}

int torc_turn_send(torc_turn *t, const torc_addr *peer, torc_slice bytes, torc_time now) {
  turn_channel *c;
  turn_perm *p = NULL;
  torc_wr wr;
  int rc;
  torc_turn_advance(t, now);
  if (t->state != TURN_UP || t->cfg.is_tcp || t->out_len != 0) {
    return TORC_ERR_STATE;
  }
  if (!torc_turn_has_family(t, peer)) {
    t->stats.drop_family++;
    return TORC_ERR_INVALID;
  }
  if (bytes.len > t->cfg.max_data) {
    return TORC_ERR_LIMIT;
  }
  rc = use_perm(t, peer, &p);
  if (rc != 0) {
    return rc;
  }
  if (is_refused(&p->g)) {
    return TORC_ERR_DENIED;
  }
  torc_wr_init(&wr, t->out, t->out_cap);
  c = find_channel(t, peer);
  if (c != NULL && lives(&c->g)) {
    c->g.used_at = t->now;
    if (is_due(&c->g)) {
      want(&c->g, true, &t->wanted_channels);
    }
    torc_turn_channel_put(&wr, number_of(c), bytes, t->cfg.is_stream);
    t->stats.channel_sent++;
  } else {
    put_send(t, &wr, peer, bytes);
    t->stats.indication_sent++;
  }
  if (wr.err != 0) {
    return wr.err;
  }
  t->out_len = wr.len;
  torc_turn_peers_schedule(t);
  return 0;
}

/* ---- all of them ---- */

int torc_turn_peers_init(torc_turn *t, uint64_t seed) {
  torc_map_init(&t->perm_map, t->mem, offsetof(turn_perm, key), TURN_HOST_KEY, seed);
  torc_map_init(&t->channel_map, t->mem, offsetof(turn_channel, key), TURN_PEER_KEY, seed);
  t->perms = torc_calloc(t->mem, t->cfg.max_permissions, sizeof *t->perms);
  t->channels = torc_calloc(t->mem, t->cfg.max_channels, sizeof *t->channels);
  return t->perms != NULL && t->channels != NULL ? 0 : TORC_ERR_NOMEM;
}

void torc_turn_peers_clear(torc_turn *t) {
  torc_map_clear(&t->perm_map);
  torc_map_clear(&t->channel_map);
  torc_free(t->mem, t->perms);
  torc_free(t->mem, t->channels);
  t->perms = NULL;
  t->channels = NULL;
}

void torc_turn_peers_stop(torc_turn *t) {
  for (uint32_t i = 0; i < t->cfg.max_permissions; i++) {
    if (t->perms[i].g.is_taken) {
      free_perm(&t->perms[i]);
    }
  }
  for (uint32_t i = 0; i < t->cfg.max_channels; i++) {
    if (t->channels[i].g.is_taken) {
      free_channel(&t->channels[i]);
    }
  }
}

void torc_turn_peers_schedule(torc_turn *t) {
  if (t->state != TURN_UP) {
    return;
  }
  for (size_t i = JOB_PERMIT; i < NUM_JOBS; i++) {
    turn_job *job = &t->jobs[i];
    bool is_going = true;
    while (is_going && job->kind == JOB_IDLE &&
           (i < JOB_BIND ? t->wanted_perms : t->wanted_channels) != 0) {
      is_going = i < JOB_BIND ? ask_perms(t, job) : ask_channel(t, job);
    }
  }
}

void torc_turn_peers_done(turn_job *job, const torc_stun_result *r) {
  turn_job_kind kind = job->kind;
  torc_turn *t = job->turn;
  job->kind = JOB_IDLE;
  if (torc_turn_is_gone(t, r)) {
    return;
  }
  if (kind == JOB_PERMISSION) {
    perms_done(job, r);
  } else {
    channel_done(job, r);
  }
  torc_turn_peers_schedule(t);
}

static bool poll_perm(torc_turn *t, torc_turn_output *out) {
  for (uint32_t i = 0; i < t->cfg.max_permissions; i++) {
    turn_perm *p = &t->perms[i];
    if (p->g.is_taken && p->g.told != TOLD) {
      bool is_granted = p->g.told == TELL_GRANTED;
      *out =
          (torc_turn_output){.kind = is_granted ? TORC_TURN_OUT_PERMITTED : TORC_TURN_OUT_REFUSED,
                             .addr = host_of(p->key)};
      out->rc = is_granted ? 0 : p->g.rc;
      out->code = is_granted ? 0 : p->g.code;
      tell(&p->g, TOLD, &t->untold_perms);
      return true;
    }
  }
  return false;
}

bool torc_turn_peers_poll(torc_turn *t, torc_turn_output *out) {
  if (t->untold_perms != 0 && poll_perm(t, out)) {
    return true;
  }
  for (uint32_t i = 0; t->untold_channels != 0 && i < t->cfg.max_channels; i++) {
    turn_channel *c = &t->channels[i];
    if (c->g.is_taken && c->g.told != TOLD) {
      *out = (torc_turn_output){
          .kind = TORC_TURN_OUT_REFUSED, .addr = peer_of(c->key), .rc = c->g.rc, .code = c->g.code};
      tell(&c->g, TOLD, &t->untold_channels);
      return true;
    }
  }
  return false;
}
