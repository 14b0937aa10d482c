/* The allocations of the gatherer [ICE-18] [GAP-79].
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "ice/gather_impl.h"

static void advance(torc_gather *g, torc_time now) {
  if (now > g->now) {
    g->now = now;
  }
}

static bool is_stream(const gather_relay *r) {
  return r->cfg.path != TORC_TURN_UDP;
}

static void add_one(void *ctx, const char *name, uint64_t value) {
  uint64_t **at = ctx;
  (void)name;
  **at += value;
  (*at)++;
}

void torc_gather_add_up(const torc_turn *t, uint64_t sums[NUM_TURN_COUNTERS]) {
  if (t != NULL) {
    torc_turn_counters(t, &sums, add_one);
  }
}

/* Its addresses are nobody's any more. */
static void withdraw(torc_gather *g, gather_relay *r) {
  if (r->relay != 0) {
    r->lost = r->relay;
    g->stats.allocations_lost++;
    g->is_dirty = true;
  }
  r->relay = 0;
  memset(r->relayed, 0, sizeof r->relayed);
  r->mapped = (torc_addr){0};
}

/* It has an allocation no more, and makes none; what the owner must hear of is noted. */
static void stop(torc_gather *g, gather_relay *r) {
  torc_gather_add_up(r->turn, g->past);
  torc_turn_free(r->turn);
  r->turn = NULL;
  withdraw(g, r);
  if (r->stream != 0 && !r->tells_open) {
    r->closes = r->stream;
  }
  r->stream = 0;
  r->tells_open = false;
  r->via = 0;
}

static void leave(torc_gather *g, gather_relay *r) {
  stop(g, r);
  torc_wipe(r->password, sizeof r->password);
  r->state = RELAY_OFF;
  r->id = 0;
}

/* Again after a while, each time a longer one; at once if it was up for long enough. */
static void fail(torc_gather *g, gather_relay *r) {
  bool is_at_once = r->relay != 0 && g->now - r->up_at >= TORC_GATHER_RETRY;
  stop(g, r);
  r->state = RELAY_WAITING;
  if (is_at_once) {
    r->retry_at = g->now;
    torc_gather_unsettle(g);
    return;
  }
  r->wait = r->wait == 0 ? TORC_GATHER_RETRY : 2 * r->wait;
  r->wait = r->wait > TORC_GATHER_RETRY_MAX ? TORC_GATHER_RETRY_MAX : r->wait;
  r->retry_at = torc_time_add(g->now, r->wait);
}

static void make_turn(torc_gather *g, gather_relay *r) {
  torc_turn_config cfg = {.mem = g->mem,
                          .crypto = g->crypto,
                          .log = g->log,
                          .server = r->cfg.server,
                          .is_stream = is_stream(r),
                          .families = r->cfg.families,
                          .user = r->cfg.user,
                          .password = r->cfg.password};
  r->state = RELAY_ASKING;
  if (torc_turn_new(&r->turn, &cfg, g->now) != 0 || torc_turn_start(r->turn, g->now) != 0) {
    fail(g, r);
  }
}

static torc_slice keep(uint8_t *to, torc_slice from) {
  if (from.len != 0) {
    memcpy(to, from.p, from.len);
  }
  return torc_slice_of(to, from.len);
}

/* host: at most HOST_MAX. */
static void open_stream(torc_gather *g, gather_relay *r, const torc_addr *remote, torc_slice host) {
  r->host_len = keep(r->host, host).len;
  r->stream = ++g->next_token;
  r->remote = *remote;
  r->tells_open = true;
  r->state = RELAY_OPENING;
}

static void start(torc_gather *g, gather_relay *r) {
  const torc_gather_socket *s;
  if (is_stream(r)) {
    open_stream(g, r, &r->cfg.server, r->cfg.host);
    return;
  }
  s = torc_gather_udp_socket(g, r->cfg.server.family);
  if (s == NULL) {
    return; /* until there is one */
  }
  r->via = s->id;
  r->via_addr = s->addr;
  make_turn(g, r);
}

static bool waits_for_socket(const torc_gather *g, const gather_relay *r) {
  return !is_stream(r) && torc_gather_udp_socket(g, r->cfg.server.family) == NULL;
}

/* ---- what the owner says ---- */

int torc_gather_add_turn(torc_gather *g, const torc_gather_turn *turn, torc_time now,
                         torc_token *out) {
  advance(g, now);
  if (turn->user.len > TORC_STUN_USERNAME_MAX || turn->password.len > TORC_TURN_PASSWORD_MAX ||
      turn->host.len > HOST_MAX) {
    return TORC_ERR_LIMIT;
  }
  if (turn->families == 0 || turn->families > (TORC_TURN_V4 | TORC_TURN_V6)) {
    return TORC_ERR_INVALID;
  }
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    gather_relay *r = &g->relays[i];
    if (r->id != 0) {
      continue;
    }
    memset(r, 0, sizeof *r);
    r->id = ++g->next_token;
    r->cfg = *turn;
    r->cfg.user = keep(r->user, turn->user);
    r->cfg.password = keep(r->password, turn->password);
    r->cfg.host = keep(r->name, turn->host);
    r->state = RELAY_WAITING;
    r->retry_at = g->now;
    torc_gather_unsettle(g);
    start(g, r);
    *out = r->id;
    return 0;
  }
  return TORC_ERR_LIMIT;
}

static gather_relay *find(torc_gather *g, torc_token id) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    if (g->relays[i].id == id) {
      return &g->relays[i];
    }
  }
  return NULL;
}

void torc_gather_remove_turn(torc_gather *g, torc_token turn, torc_time now) {
  gather_relay *r = turn != 0 ? find(g, turn) : NULL;
  advance(g, now);
  if (r == NULL || r->state == RELAY_LEAVING) {
    return;
  }
  if (r->state != RELAY_ASKING && r->state != RELAY_UP) {
    leave(g, r);
    return;
  }
  withdraw(g, r);
  r->state = RELAY_LEAVING;
  torc_turn_close(r->turn, g->now);
}

void torc_gather_close(torc_gather *g, torc_time now) {
  advance(g, now);
  g->is_closing = true;
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    if (g->relays[i].turn != NULL) {
      torc_turn_close(g->relays[i].turn, g->now);
    }
  }
}

void torc_gather_relays_free(torc_gather *g) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    torc_turn_free(g->relays[i].turn);
    g->relays[i].turn = NULL;
  }
}

/* Those that waited try at once; what stands is looked at. */
void torc_gather_relays_renew(torc_gather *g) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    gather_relay *r = &g->relays[i];
    if (r->id != 0 && r->state == RELAY_WAITING) {
      r->wait = 0;
      r->retry_at = g->now;
    } else if (r->state == RELAY_UP) {
      torc_turn_check(r->turn, g->now);
    }
  }
}

void torc_gather_relays_lost_socket(torc_gather *g, torc_ice_socket id) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    gather_relay *r = &g->relays[i];
    if (r->id == 0 || r->via != id || r->turn == NULL) {
      continue;
    }
    if (r->state == RELAY_LEAVING) {
      leave(g, r);
      continue;
    }
    stop(g, r);
    r->state = RELAY_WAITING;
    r->retry_at = g->now;
  }
}

/* ---- streams ---- */

static gather_relay *of_stream(torc_gather *g, torc_token stream) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    gather_relay *r = &g->relays[i];
    if (r->id != 0 && stream != 0 && r->stream == stream) {
      return r;
    }
  }
  return NULL;
}

void torc_gather_stream_opened(torc_gather *g, torc_token stream, int rc, torc_time now) {
  gather_relay *r = of_stream(g, stream);
  advance(g, now);
  if (r == NULL || r->state != RELAY_OPENING) {
    return;
  }
  if (rc != 0) {
    g->stats.streams_failed++;
    r->stream = 0; /* there is nothing to be closed */
    fail(g, r);
  } else if (r->turn == NULL) {
    make_turn(g, r);
  } else { /* it was moved */
    r->state = RELAY_ASKING;
    if (torc_turn_start(r->turn, g->now) != 0) {
      fail(g, r);
    }
  }
}

int torc_gather_stream_input(torc_gather *g, torc_token stream, torc_slice bytes, torc_time now) {
  gather_relay *r = of_stream(g, stream);
  advance(g, now);
  if (r == NULL || r->turn == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  return torc_turn_input(r->turn, NULL, bytes, g->now);
}

void torc_gather_stream_closed(torc_gather *g, torc_token stream, torc_time now) {
  gather_relay *r = of_stream(g, stream);
  advance(g, now);
  if (r == NULL) {
    return;
  }
  g->stats.streams_failed++;
  r->stream = 0;
  r->tells_open = false;
  if (r->state == RELAY_LEAVING) {
    leave(g, r);
  } else {
    fail(g, r);
  }
}

/* ---- datagrams ---- */

gather_relay *torc_gather_relay_from(torc_gather *g, torc_ice_socket socket,
                                     const torc_addr *from) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    gather_relay *r = &g->relays[i];
    torc_addr server;
    if (r->id == 0 || r->turn == NULL || r->via != socket || is_stream(r)) {
      continue;
    }
    server = torc_turn_remote(r->turn);
    if (torc_stun_addr_eq(&server, from)) {
      return r;
    }
  }
  return NULL;
}

/* Peers may be where the server is: only what TURN clients get is the allocation's. */
int torc_gather_relay_input(torc_gather *g, gather_relay *r, const torc_addr *from,
                            torc_slice bytes) {
  torc_stun_msg m;
  if (torc_first_byte_of(bytes) == TORC_FIRST_CHANNEL) {
    return torc_turn_input(r->turn, from, bytes, g->now);
  }
  if (torc_first_byte_of(bytes) != TORC_FIRST_STUN || torc_stun_decode(&m, bytes) != 0 ||
      m.cls == TORC_STUN_REQUEST ||
      (m.method == TORC_STUN_BINDING && !torc_turn_awaits(r->turn, &m))) {
    return TORC_ERR_NOTFOUND;
  }
  return torc_turn_input(r->turn, from, bytes, g->now);
}

static gather_relay *of_relay(torc_gather *g, torc_ice_socket relay) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    if (relay != 0 && g->relays[i].relay == relay) {
      return &g->relays[i];
    }
  }
  return NULL;
}

int torc_gather_relay_send(torc_gather *g, torc_ice_socket relay, const torc_addr *peer,
                           torc_slice bytes, torc_time now) {
  gather_relay *r = of_relay(g, relay);
  advance(g, now);
  return r != NULL ? torc_turn_send(r->turn, peer, bytes, g->now) : TORC_ERR_NOTFOUND;
}

int torc_gather_relay_permit(torc_gather *g, torc_ice_socket relay, const torc_addr *peers,
                             size_t num, torc_time now) {
  gather_relay *r = of_relay(g, relay);
  advance(g, now);
  return r != NULL ? torc_turn_permit(r->turn, peers, num, g->now) : TORC_ERR_NOTFOUND;
}

int torc_gather_relay_bind(torc_gather *g, torc_ice_socket relay, const torc_addr *peer,
                           torc_time now) {
  gather_relay *r = of_relay(g, relay);
  advance(g, now);
  return r != NULL ? torc_turn_bind(r->turn, peer, g->now) : TORC_ERR_NOTFOUND;
}

/* ---- time and output ---- */

bool torc_gather_relays_pending(const torc_gather *g) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    const gather_relay *r = &g->relays[i];
    if (r->id != 0 &&
        (r->state == RELAY_OPENING || r->state == RELAY_ASKING ||
         (r->state == RELAY_WAITING && r->retry_at <= g->now && !waits_for_socket(g, r)))) {
      return true;
    }
  }
  return false;
}

void torc_gather_relays_tick(torc_gather *g) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    gather_relay *r = &g->relays[i];
    if (r->id == 0) {
      continue;
    }
    if (r->turn != NULL) {
      torc_turn_tick(r->turn, g->now);
    } else if (r->state == RELAY_WAITING && r->retry_at <= g->now && !g->is_closing) {
      start(g, r);
    }
  }
}

torc_time torc_gather_relays_deadline(const torc_gather *g) {
  torc_time at = TORC_NEVER;
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    const gather_relay *r = &g->relays[i];
    torc_time d = TORC_NEVER;
    if (r->turn != NULL) {
      d = torc_turn_deadline(r->turn);
    } else if (r->id != 0 && r->state == RELAY_WAITING && !waits_for_socket(g, r) &&
               !g->is_closing) {
      d = r->retry_at;
    }
    at = d < at ? d : at;
  }
  return at;
}

static void allocated(torc_gather *g, gather_relay *r, const torc_turn_output *o) {
  memcpy(r->relayed, o->relayed, sizeof r->relayed);
  r->mapped = o->mapped;
  r->relay = g->next_relay++;
  r->state = RELAY_UP;
  r->up_at = g->now;
  r->wait = 0;
  g->stats.allocations++;
  g->is_dirty = true;
}

static void failed(torc_gather *g, gather_relay *r, const torc_turn_output *o) {
  torc_turn_advice advice = o->advice;
  if (r->state == RELAY_LEAVING) {
    leave(g, r);
    return;
  }
  g->stats.allocations_refused += o->rc == TORC_ERR_REFUSED ? 1 : 0;
  fail(g, r);
  if (advice == TORC_TURN_ADVICE_LOGIN || advice == TORC_TURN_ADVICE_NEVER) {
    r->state = RELAY_OFF;
  }
}

/* 300 [ICE-18]: over UDP the same socket asks the other server, a stream is another one. */
static void moved(torc_gather *g, gather_relay *r, const torc_turn_output *o) {
  if (!is_stream(r)) {
    if (torc_turn_start(r->turn, g->now) != 0) {
      fail(g, r);
    }
    return;
  }
  r->closes = r->stream;
  open_stream(g, r, &o->addr, o->text.len <= HOST_MAX ? o->text : (torc_slice){0});
}

/* What of an output of a TURN client is the owner's matter. False: none of it. */
static bool pass(torc_gather *g, gather_relay *r, const torc_turn_output *o,
                 torc_gather_output *out) {
  switch (o->kind) {
    case TORC_TURN_OUT_SEND:
      *out = (torc_gather_output){.kind = TORC_GATHER_OUT_STREAM_SEND,
                                  .stream = r->stream,
                                  .bytes = o->bytes,
                                  .remote = o->addr};
      if (!is_stream(r)) {
        out->kind = TORC_GATHER_OUT_SEND;
        out->socket = r->via;
        out->local = r->via_addr;
      }
      return true;
    case TORC_TURN_OUT_DATA:
    case TORC_TURN_OUT_UNREACHABLE:
      *out =
          (torc_gather_output){.kind = o->kind == TORC_TURN_OUT_DATA ? TORC_GATHER_OUT_DATA
                                                                     : TORC_GATHER_OUT_UNREACHABLE,
                               .socket = r->relay,
                               .local = r->relayed[o->addr.family - 1],
                               .remote = o->addr,
                               .bytes = o->bytes};
      return true;
    case TORC_TURN_OUT_ALLOCATED:
      allocated(g, r, o);
      return false;
    case TORC_TURN_OUT_MOVED:
      moved(g, r, o);
      return false;
    case TORC_TURN_OUT_FAILED:
      failed(g, r, o);
      return false;
    case TORC_TURN_OUT_CLOSED:
      leave(g, r);
      return false;
    case TORC_TURN_OUT_PERMITTED:
    case TORC_TURN_OUT_REFUSED:
    case TORC_TURN_OUT_OPEN_DATA:
    case TORC_TURN_OUT_SEND_DATA:
    case TORC_TURN_OUT_DATA_UP:
    case TORC_TURN_OUT_DATA_DOWN:
      return false; /* the first two show in torc_gather_relay_send; no TCP is relayed here */
  }
  return false;
}

static bool poll_notes(gather_relay *r, torc_gather_output *out) {
  if (r->lost != 0) {
    *out = (torc_gather_output){.kind = TORC_GATHER_OUT_RELAY_DOWN, .socket = r->lost};
    r->lost = 0;
  } else if (r->closes != 0) {
    *out = (torc_gather_output){.kind = TORC_GATHER_OUT_STREAM_CLOSE, .stream = r->closes};
    r->closes = 0;
  } else if (r->tells_open) {
    r->tells_open = false;
    *out = (torc_gather_output){.kind = TORC_GATHER_OUT_STREAM_OPEN,
                                .stream = r->stream,
                                .remote = r->remote,
                                .is_tls = r->cfg.path == TORC_TURN_TLS,
                                .host = torc_slice_of(r->host, r->host_len)};
  } else {
    return false;
  }
  return true;
}

bool torc_gather_relays_poll(torc_gather *g, torc_gather_output *out) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    gather_relay *r = &g->relays[i];
    torc_turn_output o;
    while (r->turn != NULL && torc_turn_poll(r->turn, &o)) {
      if (pass(g, r, &o, out)) {
        return true;
      }
    }
    if (poll_notes(r, out)) {
      return true;
    }
  }
  return false;
}
