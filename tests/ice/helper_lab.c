/* SPDX-License-Identifier: Apache-2.0 */
#include "ice/helper_lab.h"

#include <string.h>

#include "base/slice.h"
#include "ice/helper_stun.h"
#include "torc_test.h"

typedef enum event_kind { DATAGRAM, SYN, ACCEPTED, RESET, FRAME, FIN } event_kind;

struct lab_event {
  lab_event *next;
  torc_time at;
  event_kind kind;
  int from_agent;
  torc_addr src, dst;
  torc_ice_socket socket, peer; /* socket: whom it is for, where that is known */
  size_t len;
  uint8_t bytes[600];
};

torc_addr lab_addr(const char *ip, uint16_t port) {
  torc_addr a;
  assert_int_equal(torc_addr_parse(torc_slice_str(ip), &a), 0);
  a.port = port;
  return a;
}

static bool same_ip(const torc_addr *a, const torc_addr *b) {
  return a->family == b->family && memcmp(a->addr, b->addr, 16) == 0;
}

/* Family 0 too. */
static bool same(const torc_addr *a, const torc_addr *b) {
  return same_ip(a, b) && a->port == b->port;
}

static int lab_random(void *ctx, uint8_t *out, size_t len) {
  lab *l = ctx;
  for (size_t i = 0; i < len; i++) {
    out[i] = (uint8_t)torc_rng_u64(&l->rng);
  }
  return 0;
}

static int lab_digest(void *ctx, torc_stun_hash hash, const torc_slice *parts, size_t num,
                      uint8_t *out) {
  helper_stun h;
  (void)ctx;
  helper_stun_init(&h);
  return h.table.digest(h.table.ctx, hash, parts, num, out);
}

static int lab_hmac(void *ctx, torc_stun_hash hash, torc_slice key, const torc_slice *parts,
                    size_t num, uint8_t *out) {
  helper_stun h;
  (void)ctx;
  helper_stun_init(&h);
  return h.table.hmac(h.table.ctx, hash, key, parts, num, out);
}

void lab_init(lab *l, uint64_t seed) {
  memset(l, 0, sizeof *l);
  torc_rng_seed(&l->rng, seed);
  l->now = TORC_SEC(1000);
  l->delay = TORC_MS(25);
  l->crypto =
      (torc_stun_crypto){.ctx = l, .random = lab_random, .digest = lab_digest, .hmac = lab_hmac};
  l->cfg.crypto = &l->crypto;
}

void lab_clear(lab *l) {
  for (int i = 0; i < LAB_AGENTS; i++) {
    torc_ice_free(l->agents[i].ice);
    l->agents[i].ice = NULL;
  }
  while (l->events != NULL) {
    lab_event *e = l->events;
    l->events = e->next;
    free(e);
  }
}

/* ---- NATs ---- */

lab_nat *lab_add_nat(lab *l, const char *outside, lab_dependence mapping,
                     lab_dependence filtering) {
  lab_nat *n = &l->nats[l->num_nats++];
  n->outside = lab_addr(outside, 0);
  n->mapping = mapping;
  n->filtering = filtering;
  n->next_port = 20000;
  return n;
}

static torc_addr as_far_as(lab_dependence d, const torc_addr *to) {
  torc_addr a = {0};
  if (d == LAB_ADDRESS) {
    a = *to;
    a.port = 0;
  } else if (d == LAB_PORT) {
    a = *to;
  }
  return a;
}

/* What a datagram from `inside` to `to` has for a source outside; it opens the filter. */
static torc_addr nat_out(lab_nat *n, const torc_addr *inside, const torc_addr *to, bool is_tcp) {
  torc_addr key = as_far_as(n->mapping, to);
  torc_addr allow = as_far_as(n->filtering, to);
  size_t i = 0;
  while (i < n->num_maps &&
         !(n->maps[i].is_tcp == is_tcp && torc_stun_addr_eq(&n->maps[i].inside, inside) &&
           same(&n->maps[i].to, &key))) {
    i++;
  }
  if (i == n->num_maps) {
    assert_true(i < LAB_MAPS);
    memset(&n->maps[i], 0, sizeof n->maps[i]);
    n->maps[i].is_tcp = is_tcp;
    n->maps[i].inside = *inside;
    n->maps[i].to = key;
    n->maps[i].outside = n->outside;
    n->maps[i].outside.port = n->next_port++;
    n->num_maps++;
  }
  for (size_t k = 0; k < n->maps[i].num_allowed; k++) {
    if (same(&n->maps[i].allowed[k], &allow)) {
      return n->maps[i].outside;
    }
  }
  if (n->maps[i].num_allowed < TORC_ARRAY_LEN(n->maps[i].allowed)) {
    n->maps[i].allowed[n->maps[i].num_allowed++] = allow;
  }
  return n->maps[i].outside;
}

/* Where what comes from `from` to `outside` goes inside; false: filtered. */
static bool nat_in(const lab_nat *n, const torc_addr *outside, const torc_addr *from, bool is_tcp,
                   torc_addr *inside) {
  torc_addr allow = as_far_as(n->filtering, from);
  for (size_t i = 0; i < n->num_maps; i++) {
    if (n->maps[i].is_tcp != is_tcp || !torc_stun_addr_eq(&n->maps[i].outside, outside)) {
      continue;
    }
    for (size_t k = 0; k < n->maps[i].num_allowed; k++) {
      if (same(&n->maps[i].allowed[k], &allow)) {
        *inside = n->maps[i].inside;
        return true;
      }
    }
  }
  return false;
}

/* ---- sockets ---- */

static lab_socket *socket_new(lab *l, int agent, lab_kind kind) {
  lab_socket *s = NULL;
  assert_true(l->num_sockets < LAB_SOCKETS);
  s = &l->sockets[l->num_sockets++];
  memset(s, 0, sizeof *s);
  s->kind = kind;
  s->agent = agent;
  s->id = l->num_sockets;
  s->is_open = true;
  return s;
}

static lab_socket *socket_at(lab *l, torc_ice_socket id) {
  assert_true(id >= 1 && id <= l->num_sockets);
  return &l->sockets[id - 1];
}

static torc_ice_local *add_local(lab *l, int agent, torc_ice_local local) {
  lab_agent *a = &l->agents[agent];
  assert_true(a->num_locals < TORC_ICE_LOCAL_MAX);
  local.preference = (uint16_t)(60000 - 10 * a->num_locals);
  a->locals[a->num_locals] = local;
  return &a->locals[a->num_locals++];
}

torc_ice_local lab_host(const lab_socket *s, torc_cand_type type, const torc_addr *seen_as) {
  torc_ice_local local = {.type = type,
                          .transport = TORC_CAND_UDP,
                          .addr = seen_as != NULL ? *seen_as : s->addr,
                          .base = s->addr,
                          .socket = s->id};
  if (type == TORC_CAND_SRFLX) {
    local.server = lab_addr("203.0.113.1", 3478);
  }
  return local;
}

torc_ice_socket lab_udp(lab *l, int agent, const char *ip, uint16_t port, lab_nat *nat) {
  lab_socket *s = socket_new(l, agent, LAB_UDP);
  s->addr = lab_addr(ip, port);
  s->nat = nat;
  add_local(l, agent, lab_host(s, TORC_CAND_HOST, NULL));
  if (nat != NULL) {
    torc_addr server = lab_addr("203.0.113.1", 3478);
    torc_addr seen = nat_out(nat, &s->addr, &server, false);
    add_local(l, agent, lab_host(s, TORC_CAND_SRFLX, &seen));
  }
  return s->id;
}

torc_ice_socket lab_relay(lab *l, int agent, const char *ip, uint16_t port) {
  lab_socket *s = socket_new(l, agent, LAB_RELAY);
  s->addr = lab_addr(ip, port);
  add_local(l, agent, lab_host(s, TORC_CAND_RELAY, NULL));
  return s->id;
}

void lab_tcp(lab *l, int agent, const char *ip, uint16_t port, torc_cand_tcptype type,
             lab_nat *nat) {
  torc_ice_local local = {.type = TORC_CAND_HOST, .transport = TORC_CAND_TCP, .tcptype = type};
  local.addr = lab_addr(ip, type == TORC_TCPTYPE_ACTIVE ? 9 : port);
  local.base = local.addr;
  if (type == TORC_TCPTYPE_PASSIVE) {
    lab_socket *s = socket_new(l, agent, LAB_LISTENER);
    s->addr = local.addr;
    s->nat = nat;
    local.socket = s->id;
  }
  add_local(l, agent, local);
  if (type == TORC_TCPTYPE_SO && nat != NULL) {
    torc_addr server = lab_addr("203.0.113.1", 3478);
    local.type = TORC_CAND_SRFLX;
    local.addr = nat_out(nat, &local.base, &server, true);
    add_local(l, agent, local);
  }
}

/* ---- events ---- */

static lab_event *event_new(lab *l, event_kind kind, torc_time delay) {
  lab_event *e = calloc(1, sizeof *e);
  lab_event **at = &l->events;
  assert_non_null(e);
  e->kind = kind;
  e->at = l->now + delay;
  while (*at != NULL && (*at)->at <= e->at) {
    at = &(*at)->next;
  }
  e->next = *at;
  *at = e;
  return e;
}

static torc_time way(lab *l) {
  return l->delay + (l->jitter != 0 ? torc_rng_below(&l->rng, l->jitter) : 0);
}

/* An address as it is seen behind the NAT of `s`, if `to` is not inside too. */
static bool is_inside(lab *l, const lab_nat *nat, const torc_addr *to) {
  for (size_t i = 0; i < l->num_sockets; i++) {
    if (l->sockets[i].nat == nat && same_ip(&l->sockets[i].addr, to)) {
      return true;
    }
  }
  return false;
}

static torc_addr leave(lab *l, lab_socket *s, const torc_addr *to, bool is_tcp, bool *is_lan) {
  *is_lan = s->nat != NULL && is_inside(l, s->nat, to);
  return s->nat == NULL || *is_lan ? s->addr : nat_out(s->nat, &s->addr, to, is_tcp);
}

static lab_nat *nat_at(lab *l, const torc_addr *a) {
  for (size_t i = 0; i < l->num_nats; i++) {
    if (same_ip(&l->nats[i].outside, a)) {
      return &l->nats[i];
    }
  }
  return NULL;
}

/* Whom `dst` belongs to for somebody at `src`; NULL: nobody, or not let in. */
static lab_socket *arrive(lab *l, const torc_addr *src, const torc_addr *dst, bool is_tcp,
                          bool is_lan) {
  lab_nat *nat = nat_at(l, dst);
  torc_addr at = *dst;
  if (nat != NULL &&
      (!nat_in(nat, dst, src, is_tcp, &at) || (same_ip(src, &nat->outside) && !nat->hairpins))) {
    return NULL;
  }
  for (size_t i = 0; i < l->num_sockets; i++) {
    lab_socket *s = &l->sockets[i];
    bool is_kind = is_tcp ? s->kind == LAB_LISTENER || (s->kind == LAB_SYN && s->is_so)
                          : s->kind == LAB_UDP || s->kind == LAB_RELAY;
    if (!s->is_open || !is_kind || !torc_stun_addr_eq(&s->addr, &at) ||
        (nat == NULL && s->nat != NULL && !is_lan)) {
      continue;
    }
    if (s->kind == LAB_SYN && !torc_stun_addr_eq(&s->remote, src)) {
      continue;
    }
    return s;
  }
  return NULL;
}

static void send_udp(lab *l, lab_socket *s, const torc_addr *to, torc_slice bytes) {
  bool is_lan = false;
  torc_addr src = leave(l, s, to, false, &is_lan);
  lab_event *e;
  uint8_t copy[600];
  size_t len = bytes.len;
  assert_true(len <= sizeof copy);
  memcpy(copy, bytes.p, len);
  if (s->kind == LAB_RELAY && s->num_allowed < TORC_ARRAY_LEN(s->allowed)) {
    s->allowed[s->num_allowed++] = *to;
  }
  if (l->is_cut || (s->nat != NULL && s->nat->drops_udp) ||
      torc_rng_below(&l->rng, 1000) < l->loss_permille ||
      (l->tap != NULL && !l->tap(l, s->agent, copy, &len))) {
    return;
  }
  e = event_new(l, DATAGRAM, way(l) + (s->kind == LAB_RELAY ? l->delay : 0));
  e->from_agent = s->agent;
  e->src = src;
  e->dst = *to;
  e->socket = is_lan ? 1 : 0;
  e->len = len;
  memcpy(e->bytes, copy, len);
}

static lab_agent *agent_of(lab *l, const lab_socket *s) {
  return &l->agents[s->agent];
}

static void input(lab *l, lab_socket *s, const torc_addr *from, torc_slice bytes, bool is_tcp) {
  torc_ice_from f = {.socket = s->id, .local = s->addr, .remote = *from, .is_tcp = is_tcp};
  int rc;
  if (l->reflects_all && bytes.p[0] == 1) {
    f.remote.port = (uint16_t)(f.remote.port + 7);
  }
  if (agent_of(l, s)->ice == NULL) {
    return;
  }
  rc = torc_ice_input(agent_of(l, s)->ice, &f, bytes, l->now);
  assert_true(rc == 0 || rc == TORC_ERR_NOTFOUND);
}

void lab_inject(lab *l, int agent, torc_ice_socket socket, const torc_addr *from,
                torc_slice bytes) {
  (void)agent;
  input(l, socket_at(l, socket), from, bytes, false);
  lab_drain(l);
}

static void on_datagram(lab *l, const lab_event *e) {
  lab_socket *s = arrive(l, &e->src, &e->dst, false, e->socket == 1);
  torc_slice bytes = torc_slice_of(e->bytes, e->len);
  if (s == NULL) {
    l->num_lost_sends++;
    return;
  }
  if (s->kind == LAB_RELAY) {
    bool is_allowed = false;
    for (size_t i = 0; i < s->num_allowed; i++) {
      is_allowed = is_allowed || same_ip(&s->allowed[i], &e->src);
    }
    if (!is_allowed) {
      return;
    }
  }
  if (s->nat != NULL && s->nat->drops_udp) {
    return;
  }
  memcpy(l->last, e->bytes, e->len);
  l->last_len = e->len;
  l->last_src = e->src;
  input(l, s, &e->src, bytes, false);
}

/* ---- TCP ---- */

static void connect_tcp(lab *l, int agent, const torc_ice_output *out) {
  lab_socket *s = socket_new(l, agent, LAB_SYN);
  bool is_lan = false;
  lab_event *e;
  s->addr = out->local;
  if (!out->is_so) {
    s->addr.port = (uint16_t)(40000 + s->id);
  }
  s->is_so = out->is_so;
  s->remote = out->remote;
  s->token = out->token;
  for (size_t i = 0; i < l->num_sockets; i++) { /* the NAT of its address */
    if (l->sockets[i].nat != NULL && same_ip(&l->sockets[i].addr, &out->local)) {
      s->nat = l->sockets[i].nat;
    }
  }
  s->seen_as = leave(l, s, &out->remote, true, &is_lan);
  e = event_new(l, SYN, l->delay);
  e->src = s->seen_as;
  e->dst = out->remote;
  e->peer = s->id;
  e->socket = is_lan ? 1 : 0;
}

static void establish(lab *l, lab_socket *s, torc_ice_socket peer) {
  s->kind = LAB_TCP;
  s->peer = peer;
  if (s->token != 0) {
    torc_ice_tcp_connected(agent_of(l, s)->ice, s->token, 0, s->id, &s->addr, l->now);
  }
}

static void on_syn(lab *l, const lab_event *e) {
  lab_socket *from = socket_at(l, e->peer);
  lab_socket *s = arrive(l, &e->src, &e->dst, true, e->socket == 1);
  lab_event *back;
  if (!from->is_open || from->kind != LAB_SYN) {
    return;
  }
  if (s == NULL) {
    if (nat_at(l, &e->dst) == NULL) { /* a host says no, a NAT nothing */
      back = event_new(l, RESET, l->delay);
      back->socket = from->id;
    }
    return;
  }
  back = event_new(l, ACCEPTED, l->delay);
  back->socket = from->id;
  if (s->kind == LAB_SYN) { /* simultaneous open: this end stands, the other soon */
    back->peer = s->id;
    from->peer = s->id;
    establish(l, s, from->id);
    return;
  }
  {
    lab_socket *conn = socket_new(l, s->agent, LAB_TCP);
    conn->addr = s->addr;
    conn->nat = s->nat;
    conn->remote = e->src;
    conn->peer = from->id;
    back->peer = conn->id;
  }
}

static void send_tcp(lab *l, lab_socket *s, torc_slice bytes) {
  lab_event *e = event_new(l, FRAME, l->delay);
  assert_true(s->kind == LAB_TCP && s->is_open);
  e->socket = s->peer;
  e->len = bytes.len;
  memcpy(e->bytes, bytes.p, bytes.len);
}

static void close_tcp(lab *l, int agent, const torc_ice_output *out) {
  for (size_t i = 0; i < l->num_sockets; i++) {
    lab_socket *s = &l->sockets[i];
    if (s->agent == agent && s->is_open && (s->kind == LAB_TCP || s->kind == LAB_SYN) &&
        (out->socket != 0 ? s->id == out->socket : s->token == out->token)) {
      s->is_open = false;
      if (s->kind == LAB_TCP && s->peer != 0) {
        lab_event *e = event_new(l, FIN, l->delay);
        e->socket = s->peer;
      }
      return;
    }
  }
  fail_msg("nothing to close");
}

static void on_event(lab *l, const lab_event *e) {
  lab_socket *s =
      e->socket != 0 && e->kind != DATAGRAM && e->kind != SYN ? socket_at(l, e->socket) : NULL;
  if (s != NULL && (!s->is_open || agent_of(l, s)->ice == NULL)) {
    return;
  }
  switch (e->kind) {
    case DATAGRAM:
      on_datagram(l, e);
      break;
    case SYN:
      on_syn(l, e);
      break;
    case ACCEPTED:
      if (s->kind == LAB_SYN) {
        establish(l, s, e->peer);
      }
      break;
    case RESET:
      if (s->kind == LAB_SYN) {
        s->is_open = false;
        torc_ice_tcp_connected(agent_of(l, s)->ice, s->token, TORC_ERR_REFUSED, 0, NULL, l->now);
      }
      break;
    case FRAME:
      input(l, s, &s->remote, torc_slice_of(e->bytes, e->len), true);
      break;
    case FIN:
    default:
      s->is_open = false;
      torc_ice_socket_closed(agent_of(l, s)->ice, s->id, l->now);
      break;
  }
}

/* ---- agents ---- */

void lab_open(lab *l, int agent, bool is_controlling) {
  lab_agent *a = &l->agents[agent];
  if (a->ice == NULL) {
    assert_int_equal(torc_ice_new(&a->ice, &l->cfg, l->now), 0);
  }
  a->is_controlling = is_controlling;
  assert_int_equal(torc_ice_open(a->ice, is_controlling, a->locals, a->num_locals, l->now, &a->id),
                   0);
}

void lab_tell(lab *l, int to) {
  const lab_agent *o = &l->agents[1 - to];
  torc_candidate list[TORC_ICE_LOCAL_MAX];
  size_t num = torc_ice_candidates(o->ice, o->id, list);
  assert_int_equal(
      torc_ice_remote(l->agents[to].ice, l->agents[to].id,
                      torc_slice_str(torc_ice_ufrag(o->ice, o->id)),
                      torc_slice_str(torc_ice_password(o->ice, o->id)), list, num, l->now),
      0);
  lab_drain(l);
}

static void on_output(lab *l, int agent, const torc_ice_output *out) {
  lab_agent *a = &l->agents[agent];
  lab_socket *s;
  switch (out->kind) {
    case TORC_ICE_OUT_SEND:
      s = socket_at(l, out->socket);
      assert_int_equal(s->agent, agent);
      a->num_sends++;
      if (a->first_send == 0) {
        a->first_send = l->now;
      }
      if (s->kind == LAB_TCP) {
        send_tcp(l, s, out->bytes);
      } else {
        send_udp(l, s, &out->remote, out->bytes);
      }
      break;
    case TORC_ICE_OUT_CONNECT_TCP:
      a->num_connects++;
      if (a->first_send == 0) {
        a->first_send = l->now;
      }
      connect_tcp(l, agent, out);
      break;
    case TORC_ICE_OUT_CLOSE_TCP:
      a->num_closes++;
      close_tcp(l, agent, out);
      break;
    case TORC_ICE_OUT_RESOLVE:
      a->num_resolves++;
      a->resolve = out->token;
      assert_true(out->host.len < sizeof a->resolve_name);
      memcpy(a->resolve_name, out->host.p, out->host.len);
      a->resolve_name[out->host.len] = '\0';
      break;
    case TORC_ICE_OUT_SELECTED:
      a->is_selected = true;
      a->num_selected++;
      a->pair = out->pair;
      a->selected_at = l->now;
      break;
    case TORC_ICE_OUT_FAILED:
      a->is_failed = true;
      a->failed_at = l->now;
      a->rc = out->rc;
      break;
    case TORC_ICE_OUT_CONSENT_LOST:
    default:
      a->is_lost = true;
      a->lost_at = l->now;
      break;
  }
}

typedef struct counter {
  const char *name;
  uint64_t value;
} counter;

static void on_counter(void *ctx, const char *name, uint64_t value) {
  counter *c = ctx;
  if (strcmp(c->name, name) == 0) {
    c->value = value;
  }
}

uint64_t lab_count(const lab *l, int agent, const char *name) {
  counter c = {.name = name, .value = UINT64_MAX};
  torc_ice_counters(l->agents[agent].ice, &c, on_counter);
  assert_true(c.value != UINT64_MAX); /* there is such a counter */
  return c.value;
}

void lab_drain(lab *l) {
  for (int i = 0; i < LAB_AGENTS; i++) {
    lab_agent *a = &l->agents[i];
    torc_ice_output out;
    if (a->ice == NULL) {
      continue;
    }
    while (torc_ice_poll(a->ice, &out)) {
      on_output(l, i, &out);
    }
    if (a->valid_at == 0 && lab_count(l, i, "checks_succeeded") != 0) {
      a->valid_at = l->now;
    }
  }
}

static torc_time next_time(const lab *l) {
  torc_time t = l->events != NULL ? l->events->at : TORC_NEVER;
  for (int i = 0; i < LAB_AGENTS; i++) {
    if (l->agents[i].ice != NULL && torc_ice_deadline(l->agents[i].ice) < t) {
      t = torc_ice_deadline(l->agents[i].ice);
    }
  }
  return t;
}

static void run(lab *l, torc_time span, bool stops_at_end) {
  torc_time end = l->now + span;
  lab_drain(l);
  for (;;) {
    const lab_agent *a = l->agents;
    torc_time t = next_time(l);
    if (t > end || (stops_at_end && (a[0].is_selected || a[0].is_failed || a[0].ice == NULL) &&
                    (a[1].is_selected || a[1].is_failed || a[1].ice == NULL))) {
      break;
    }
    l->now = t > l->now ? t : l->now;
    if (l->events != NULL && l->events->at <= l->now) {
      lab_event *e = l->events;
      l->events = e->next;
      on_event(l, e);
      free(e);
    } else {
      for (int i = 0; i < LAB_AGENTS; i++) {
        if (a[i].ice != NULL) {
          torc_ice_tick(a[i].ice, l->now);
        }
      }
    }
    lab_drain(l);
  }
  if (!stops_at_end) {
    l->now = end;
  }
}

void lab_run(lab *l, torc_time span) {
  run(l, span, false);
}

void lab_run_to_end(lab *l, torc_time span) {
  run(l, span, true);
}
