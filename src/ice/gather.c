/* Candidates gathered ahead [ICE-15..18] [GAP-75] [GAP-77] [GAP-80].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/gather.h"

#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "ice/gather_impl.h"

#define FIRST_RELAY ((torc_ice_socket)1 << 48)
#define PORT_ACTIVE 9u /* RFC 6544 4.5 */

static void advance(torc_gather *g, torc_time now) {
  if (now > g->now) {
    g->now = now;
  }
}

int torc_gather_new(torc_gather **out, const torc_gather_config *cfg, torc_time now) {
  torc_gather *g = torc_calloc(cfg->mem, 1, sizeof *g);
  if (g == NULL) {
    return TORC_ERR_NOMEM;
  }
  g->mem = cfg->mem;
  g->crypto = cfg->crypto;
  g->log = cfg->log;
  g->now = now;
  g->next_relay = cfg->first_relay != 0 ? cfg->first_relay : FIRST_RELAY;
  g->is_settled = true;
  torc_stun_servers_init(&g->servers);
  *out = g;
  return 0;
}

void torc_gather_free(torc_gather *g) {
  const torc_mem *mem;
  if (g == NULL) {
    return;
  }
  mem = g->mem;
  torc_gather_relays_free(g);
  torc_wipe(g, sizeof *g);
  torc_free(mem, g);
}

/* ---- the list ---- */

static void add_local(torc_gather *g, const torc_ice_local *l, size_t max) {
  for (size_t i = 0; i < g->num_locals; i++) {
    const torc_ice_local *have = &g->locals[i];
    if (have->transport == l->transport && have->tcptype == l->tcptype &&
        torc_stun_addr_eq(&have->addr, &l->addr) && torc_stun_addr_eq(&have->base, &l->base)) {
      g->stats.locals_double++; /* RFC 8445 5.1.3 */
      return;
    }
  }
  if (g->num_locals >= max) {
    g->stats.locals_refused++;
    return;
  }
  g->locals[g->num_locals] = *l;
  g->num_locals++;
}

/* [ICE-16] [ICE-17] RFC 6544 5.1: each address of TCP is active and passive. */
static void add_hosts(torc_gather *g, const torc_gather_socket *s) {
  torc_ice_local l = {.type = TORC_CAND_HOST,
                      .transport = s->is_tcp ? TORC_CAND_TCP : TORC_CAND_UDP,
                      .tcptype = s->is_tcp ? TORC_TCPTYPE_PASSIVE : TORC_TCPTYPE_NONE,
                      .addr = s->addr,
                      .base = s->addr,
                      .socket = s->id,
                      .preference = s->preference};
  add_local(g, &l, TORC_GATHER_HOSTS_MAX);
  if (!s->is_tcp) {
    return;
  }
  l.socket = 0;
  if (s->is_so) {
    l.tcptype = TORC_TCPTYPE_SO;
    add_local(g, &l, TORC_GATHER_HOSTS_MAX);
  }
  l.tcptype = TORC_TCPTYPE_ACTIVE;
  l.addr.port = PORT_ACTIVE;
  l.base.port = PORT_ACTIVE;
  add_local(g, &l, TORC_GATHER_HOSTS_MAX);
}

static const torc_gather_socket *find_socket(const torc_gather *g, torc_ice_socket id) {
  for (size_t i = 0; i < g->num_sockets; i++) {
    if (g->sockets[i].id == id) {
      return &g->sockets[i];
    }
  }
  return NULL;
}

static void add_srflx(torc_gather *g, torc_ice_socket socket, const torc_addr *mapped,
                      const torc_addr *server) {
  const torc_gather_socket *s = find_socket(g, socket);
  torc_ice_local l = {.type = TORC_CAND_SRFLX,
                      .transport = TORC_CAND_UDP,
                      .addr = *mapped,
                      .server = *server,
                      .socket = socket};
  if (s != NULL && mapped->family == s->addr.family) {
    l.base = s->addr;
    l.preference = s->preference;
    add_local(g, &l, TORC_ICE_LOCAL_MAX);
  }
}

static void add_relays(torc_gather *g, const gather_relay *r, uint16_t preference) {
  for (size_t k = 0; k < 2; k++) {
    torc_ice_local l = {.type = TORC_CAND_RELAY,
                        .transport = TORC_CAND_UDP,
                        .addr = r->relayed[k],
                        .base = r->relayed[k],
                        .server = r->cfg.server,
                        .socket = r->relay,
                        .preference = preference};
    if (r->relayed[k].family != 0) {
      add_local(g, &l, TORC_ICE_LOCAL_MAX);
    }
  }
}

static void make_locals(torc_gather *g) {
  g->num_locals = 0;
  for (size_t i = 0; i < g->num_sockets; i++) {
    add_hosts(g, &g->sockets[i]);
  }
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    if (g->relays[i].state == RELAY_UP) {
      add_relays(g, &g->relays[i], (uint16_t)(UINT16_MAX - i));
    }
  }
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    if (g->asks[i].is_taken && g->asks[i].mapped.family != 0) {
      add_srflx(g, g->asks[i].socket, &g->asks[i].mapped, &g->asks[i].remote);
    }
  }
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    const gather_relay *r = &g->relays[i];
    if (r->state == RELAY_UP && r->cfg.path == TORC_TURN_UDP && r->mapped.family != 0) {
      add_srflx(g, r->via, &r->mapped, &r->cfg.server);
    }
  }
}

size_t torc_gather_locals(const torc_gather *g, const torc_ice_local **out) {
  *out = g->locals;
  return g->num_locals;
}

/* ---- who asks whom ---- */

const torc_gather_socket *torc_gather_udp_socket(const torc_gather *g, uint8_t family) {
  for (size_t i = 0; i < g->num_sockets; i++) {
    if (!g->sockets[i].is_tcp && g->sockets[i].addr.family == family) {
      return &g->sockets[i];
    }
  }
  return NULL;
}

static gather_ask *find_ask(torc_gather *g, torc_ice_socket socket, torc_stun_server_id server) {
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    gather_ask *a = &g->asks[i];
    if (a->is_taken && a->socket == socket && a->server == server) {
      return a;
    }
  }
  return NULL;
}

/* Keeps the pair, or begins with it. False: no place. */
static bool keep_ask(torc_gather *g, const torc_gather_socket *s, const torc_stun_server *server) {
  gather_ask *a = find_ask(g, s->id, server->id);
  if (a != NULL && torc_stun_addr_eq(&a->remote, &server->addr)) {
    a->is_kept = true;
    return true;
  }
  if (a == NULL) {
    for (size_t i = 0; i < TORC_GATHER_ASKED_MAX && a == NULL; i++) {
      a = g->asks[i].is_taken ? NULL : &g->asks[i];
    }
  }
  if (a == NULL) {
    g->stats.servers_refused++;
    return false;
  }
  memset(a, 0, sizeof *a);
  torc_stun_tx_stop(&a->tx);
  a->is_taken = true;
  a->is_kept = true;
  a->socket = s->id;
  a->base = s->addr;
  a->server = server->id;
  a->remote = server->addr;
  a->next_at = g->now;
  return true;
}

static void keep_selected(torc_gather *g) {
  const torc_stun_server *selected[TORC_STUN_GROUPS_MAX];
  size_t num = torc_stun_servers_selected(&g->servers, selected);
  for (size_t k = 0; k < num; k++) {
    for (size_t i = 0; i < g->num_sockets; i++) {
      const torc_gather_socket *s = &g->sockets[i];
      if (!s->is_tcp && s->addr.family == selected[k]->addr.family) {
        (void)keep_ask(g, s, selected[k]);
      }
    }
  }
}

/* Peers of which nobody knows yet how they see us. */
static void keep_probes(torc_gather *g) {
  const torc_stun_server *server;
  size_t at = 0;
  size_t num = 0;
  while (num < TORC_GATHER_PROBES &&
         (server = torc_stun_servers_unasked(&g->servers, &at)) != NULL) {
    const torc_gather_socket *s = torc_gather_udp_socket(g, server->addr.family);
    if (s != NULL && keep_ask(g, s, server)) {
      num++;
    }
  }
}

/* Until the new server of a group has answered, what the one before it said holds [ICE-14]. */
static void hand_over(torc_gather *g, const gather_ask *from) {
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    gather_ask *a = &g->asks[i];
    const torc_stun_server *s = a->is_taken ? torc_stun_servers_find(&g->servers, a->server) : NULL;
    if (s != NULL && a->is_kept && a->socket == from->socket && a->mapped.family == 0 &&
        a->num_failures == 0 && torc_stun_same_host(&s->reflexive, &from->mapped)) {
      a->mapped = from->mapped;
    }
  }
}

static void sync_asks(torc_gather *g) {
  if (g->synced == g->servers.version) {
    return;
  }
  g->synced = g->servers.version;
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    g->asks[i].is_kept = false;
  }
  keep_selected(g);
  keep_probes(g);
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    gather_ask *a = &g->asks[i];
    if (a->is_taken && !a->is_kept) {
      if (a->mapped.family != 0) {
        g->is_dirty = true;
        hand_over(g, a);
      }
      a->is_taken = false;
    }
  }
}

/* Something is other than it was: the pairs, the list, whether it is settled. */
static bool is_pending(const torc_gather *g) {
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    if (g->asks[i].is_taken && g->asks[i].round != g->round) {
      return true;
    }
  }
  return torc_gather_relays_pending(g);
}

static void update(torc_gather *g) {
  sync_asks(g);
  if (!g->is_settled && (g->now >= g->round_ends_at || !is_pending(g))) {
    g->is_settled = true;
    g->tells_changed = true;
  }
  if (g->is_dirty) {
    g->is_dirty = false;
    g->tells_changed = true;
    make_locals(g);
  }
}

void torc_gather_unsettle(torc_gather *g) {
  g->round_ends_at = torc_time_add(g->now, TORC_GATHER_TIME);
  g->is_settled = false;
}

/* A gathering begins [GAP-75]; what is known stays known meanwhile. */
static void begin_round(torc_gather *g) {
  g->round++;
  torc_gather_unsettle(g);
  torc_stun_servers_forgive(&g->servers);
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    if (g->asks[i].is_taken && !g->asks[i].is_running) {
      g->asks[i].next_at = g->now;
    }
  }
}

/* ---- what the owner says ---- */

int torc_gather_add_socket(torc_gather *g, const torc_gather_socket *socket, torc_time now) {
  advance(g, now);
  if (socket->id == 0 || (socket->addr.family != 1 && socket->addr.family != 2)) {
    return TORC_ERR_INVALID;
  }
  if (find_socket(g, socket->id) != NULL) {
    return TORC_ERR_EXISTS;
  }
  if (g->num_sockets == TORC_GATHER_SOCKETS_MAX) {
    return TORC_ERR_LIMIT;
  }
  g->sockets[g->num_sockets] = *socket;
  g->num_sockets++;
  g->servers.version++; /* each server is asked from it too */
  g->is_dirty = true;
  begin_round(g);
  update(g);
  return 0;
}

void torc_gather_remove_socket(torc_gather *g, torc_ice_socket id, torc_time now) {
  advance(g, now);
  for (size_t i = 0; i < g->num_sockets; i++) {
    if (g->sockets[i].id == id) {
      memmove(&g->sockets[i], &g->sockets[i + 1], (g->num_sockets - i - 1) * sizeof g->sockets[0]);
      g->num_sockets--;
      g->servers.version++;
      g->is_dirty = true;
      torc_gather_relays_lost_socket(g, id);
      begin_round(g);
      update(g);
      return;
    }
  }
}

int torc_gather_peer_up(torc_gather *g, torc_stun_server_id id, const torc_addr *addr,
                        torc_time now) {
  const torc_stun_server *selected[TORC_STUN_GROUPS_MAX];
  int rc;
  advance(g, now);
  if (torc_stun_servers_selected(&g->servers, selected) == 0) {
    torc_gather_unsettle(g); /* the first one that may say how others see us */
  }
  rc = torc_stun_servers_add(&g->servers, id, addr);
  update(g);
  return rc;
}

void torc_gather_peer_down(torc_gather *g, torc_stun_server_id id, torc_time now) {
  advance(g, now);
  torc_stun_servers_remove(&g->servers, id);
  update(g);
}

void torc_gather_renew(torc_gather *g, torc_time now) {
  advance(g, now);
  begin_round(g);
  torc_gather_relays_renew(g);
  update(g);
}

bool torc_gather_is_settled(const torc_gather *g) {
  return g->is_settled;
}

/* ---- asking ---- */

static void ask(torc_gather *g, gather_ask *a) {
  torc_stun_request req = {.method = TORC_STUN_BINDING,
                           .path = {.socket = a->socket, .remote = a->remote},
                           .has_fingerprint = true,
                           .rc = ASK_RC,
                           .rm = ASK_RM};
  int rc = torc_stun_tx_start(&a->tx, g->crypto, &req, a->room, sizeof a->room, g->now);
  a->is_running = rc == 0;
  a->next_at = torc_time_add(g->now, TORC_GATHER_KEEPALIVE);
  g->pace_at = torc_time_add(g->now, TORC_ICE_TA);
  g->stats.asked++;
  if (rc != 0) {
    torc_stun_tx_stop(&a->tx);
    a->round = g->round;
  }
}

static void set_mapped(torc_gather *g, gather_ask *a, const torc_addr *mapped) {
  if (!torc_stun_addr_eq(&a->mapped, mapped)) {
    g->stats.mappings_changed += a->mapped.family != 0 ? 1 : 0;
    a->mapped = *mapped;
    g->is_dirty = true;
  }
}

static bool read_mapped(const gather_ask *a, const torc_stun_result *r, torc_addr *out) {
  return r->rc == 0 &&
         (torc_stun_get_addr(&r->msg, TORC_STUN_KNOWN_XOR_MAPPED_ADDRESS, out) == 0 ||
          torc_stun_get_addr(&r->msg, TORC_STUN_KNOWN_MAPPED_ADDRESS, out) == 0) &&
         out->family == a->base.family && out->port != 0;
}

static void answered(torc_gather *g, gather_ask *a, const torc_stun_result *r) {
  static const torc_addr none = {0};
  torc_addr mapped;
  a->is_running = false;
  a->round = g->round;
  if (read_mapped(a, r, &mapped)) {
    g->stats.answered++;
    a->num_failures = 0;
    set_mapped(g, a, &mapped);
    torc_stun_servers_confirm(&g->servers, a->server, &mapped, g->now);
  } else {
    g->stats.unanswered++;
    a->num_failures++;
    if (a->mapped.family == 0 || a->num_failures >= ASK_PATIENCE) {
      set_mapped(g, a, &none);
      torc_stun_servers_failed(&g->servers, a->server);
    }
  }
}

static void settle(torc_gather *g, gather_ask *a) {
  torc_stun_output o;
  if (a->tx.state == TORC_STUN_TX_ENDED && torc_stun_tx_poll(&a->tx, &o)) {
    answered(g, a, &o.result);
  }
}

static bool input_asks(torc_gather *g, torc_ice_socket socket, const torc_addr *from,
                       torc_slice bytes) {
  torc_stun_path path = {.socket = socket, .remote = *from};
  torc_stun_msg m;
  if (torc_first_byte_of(bytes) != TORC_FIRST_STUN || torc_stun_decode(&m, bytes) != 0 ||
      (m.cls != TORC_STUN_SUCCESS && m.cls != TORC_STUN_ERROR)) {
    return false;
  }
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    gather_ask *a = &g->asks[i];
    if (a->is_taken && a->is_running &&
        torc_stun_tx_input(&a->tx, &path, &m, g->now) != TORC_ERR_NOTFOUND) {
      settle(g, a);
      return true;
    }
  }
  return false;
}

int torc_gather_input(torc_gather *g, torc_ice_socket socket, const torc_addr *from,
                      torc_slice bytes, torc_time now) {
  gather_relay *r;
  int rc = 0;
  advance(g, now);
  if (!input_asks(g, socket, from, bytes)) {
    r = torc_gather_relay_from(g, socket, from);
    rc = r != NULL ? torc_gather_relay_input(g, r, from, bytes) : TORC_ERR_NOTFOUND;
  }
  update(g);
  return rc;
}

/* ---- time and output ---- */

void torc_gather_tick(torc_gather *g, torc_time now) {
  advance(g, now);
  torc_gather_relays_tick(g);
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    gather_ask *a = &g->asks[i];
    if (!a->is_taken) {
      continue;
    }
    if (a->is_running) {
      torc_stun_tx_tick(&a->tx, g->now);
      settle(g, a);
    } else if (!g->is_closing && a->next_at <= g->now && g->pace_at <= g->now) {
      ask(g, a);
    }
  }
  update(g);
}

torc_time torc_gather_deadline(const torc_gather *g) {
  torc_time at = torc_gather_relays_deadline(g);
  if (!g->is_settled && g->round_ends_at < at) {
    at = g->round_ends_at;
  }
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    const gather_ask *a = &g->asks[i];
    torc_time d = TORC_NEVER;
    if (a->is_taken && a->is_running) {
      d = torc_stun_tx_deadline(&a->tx);
    } else if (a->is_taken && !g->is_closing) {
      d = a->next_at > g->pace_at ? a->next_at : g->pace_at;
    }
    at = d < at ? d : at;
  }
  return at;
}

static bool poll_asks(torc_gather *g, torc_gather_output *out) {
  torc_stun_output o;
  for (size_t i = 0; i < TORC_GATHER_ASKED_MAX; i++) {
    gather_ask *a = &g->asks[i];
    if (a->is_taken && a->is_running && torc_stun_tx_poll(&a->tx, &o)) {
      *out = (torc_gather_output){.kind = TORC_GATHER_OUT_SEND,
                                  .socket = a->socket,
                                  .local = a->base,
                                  .remote = a->remote,
                                  .bytes = o.bytes};
      return true;
    }
  }
  return false;
}

bool torc_gather_poll(torc_gather *g, torc_gather_output *out) {
  if (poll_asks(g, out) || torc_gather_relays_poll(g, out)) {
    return true;
  }
  update(g);
  if (g->tells_changed) {
    g->tells_changed = false;
    *out = (torc_gather_output){.kind = TORC_GATHER_OUT_CHANGED};
    return true;
  }
  return false;
}

void torc_gather_counters(const torc_gather *g, void *ctx,
                          void (*each)(void *ctx, const char *name, uint64_t value)) {
  static const char *const names[] = {
#define X(name) "turn_" #name,
      TORC_TURN_COUNTERS(X)
#undef X
  };
  uint64_t values[NUM_TURN_COUNTERS];
  memcpy(values, g->past, sizeof values);
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    torc_gather_add_up(g->relays[i].turn, values);
  }
#define X(name) each(ctx, #name, g->stats.name);
  TORC_GATHER_COUNTERS(X)
#undef X
  for (size_t i = 0; i < TORC_ARRAY_LEN(names); i++) {
    each(ctx, names[i], values[i]);
  }
}
