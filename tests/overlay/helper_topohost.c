/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topohost.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/pdu.h"

#define REQUEST_TIMEOUT TORC_SEC(8)
#define DETECT_MAX TORC_MS(20)
#define TTL 100
#define DONE_MAX 1024

typedef enum event_kind {
  EV_REQUEST,
  EV_RESPONSE,
  EV_CONNECTED,
  EV_PONG,
  EV_LINK_UP,
  EV_LINK_DOWN,
  EV_TRANSFER,
  EV_TRANSFER_DONE,
  EV_ROUTE,
  EV_COPY,
  EV_COPY_DONE,
  EV_RESTART
} event_kind;

typedef enum route_kind { ROUTE_PING, ROUTE_CONNECT, ROUTE_PUT } route_kind;

typedef struct event {
  torc_time at;
  uint64_t seq;
  event_kind kind;
  size_t peer; /* whom it happens to */
  unsigned incarnation;
  size_t other;
  unsigned other_incarnation;
  torc_token cookie;
  int rc;
  uint16_t code;
  torc_id id;
  route_kind route;
  bool is_exact, has_via;
  torc_id via;
  unsigned hops;
  size_t key;
  uint32_t version;
  torc_method method;
  uint8_t *data;
  size_t len;
} event;

typedef struct peer {
  toposim *sim;
  size_t index;
  torc_id id;
  bool is_alive, is_frozen, is_bootstrap, has_joined;
  unsigned incarnation;
  unsigned side;
  size_t bootstrap; /* how it was started */
  size_t boot_via;  /* last ping_bootstrap */
  torc_time started_at, joined_at;
  torc_timers timers;
  torc_rng rng;
  torc_topology_host host;
  torc_topology_stats stats;
  torc_topology *topo;
  torc_topology_state state;
  torc_token done[DONE_MAX]; /* cookies answered lately: no retransmission */
  size_t next_done;
  uint32_t version[TOPOSIM_KEYS_MAX];
} peer;

typedef struct put_state {
  unsigned pending;
  unsigned done; /* bit per replica */
  uint32_t version;
} put_state;

struct toposim {
  toposim_config cfg;
  const torc_topology_ops *ops;
  torc_topology_params params;
  torc_rng rng;
  torc_time now;
  uint64_t seq;
  event *heap;
  size_t num_events, cap_events;
  peer peers[TOPOSIM_PEERS_MAX];
  size_t num_peers;
  unsigned linked[TOPOSIM_PEERS_MAX][TOPOSIM_PEERS_MAX]; /* the other's incarnation, 0: no link */
  bool forbidden[TOPOSIM_PEERS_MAX][TOPOSIM_PEERS_MAX];
  torc_id keys[TOPOSIM_KEYS_MAX];
  uint32_t issued[TOPOSIM_KEYS_MAX], answered[TOPOSIM_KEYS_MAX];
  put_state puts[TOPOSIM_KEYS_MAX];
  toposim_counts counts;
  char text[TOPOSIM_TEXT_MAX];
};

/* ---- event queue ---- */

static bool earlier(const event *a, const event *b) {
  return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void push(toposim *sim, event e) {
  size_t i;
  if (sim->num_events == sim->cap_events) {
    sim->cap_events = sim->cap_events == 0 ? 1024 : sim->cap_events * 2;
    sim->heap = realloc(sim->heap, sim->cap_events * sizeof(event));
    if (sim->heap == NULL) {
      abort();
    }
  }
  e.seq = ++sim->seq;
  i = sim->num_events;
  sim->num_events++;
  while (i > 0 && earlier(&e, &sim->heap[(i - 1) / 2])) {
    sim->heap[i] = sim->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  sim->heap[i] = e;
}

static event pop(toposim *sim) {
  event first = sim->heap[0];
  event last = sim->heap[sim->num_events - 1];
  size_t i = 0;
  sim->num_events--;
  while (2 * i + 1 < sim->num_events) {
    size_t child = 2 * i + 1;
    if (child + 1 < sim->num_events && earlier(&sim->heap[child + 1], &sim->heap[child])) {
      child++;
    }
    if (!earlier(&sim->heap[child], &last)) {
      break;
    }
    sim->heap[i] = sim->heap[child];
    i = child;
  }
  if (sim->num_events > 0) {
    sim->heap[i] = last;
  }
  return first;
}

static bool is_done(const peer *p, torc_token cookie) {
  for (size_t i = 0; i < DONE_MAX; i++) {
    if (p->done[i] == cookie) {
      return true;
    }
  }
  return false;
}

static torc_time latency(toposim *sim) {
  return sim->cfg.latency_min +
         torc_rng_below(&sim->rng, sim->cfg.latency_max - sim->cfg.latency_min + 1);
}

static bool chance(toposim *sim, unsigned permille) {
  return permille > 0 && torc_rng_below(&sim->rng, 1000) < permille;
}

/* An event for a peer as it runs now. */
static event event_for(toposim *sim, event_kind kind, size_t p, torc_time delay) {
  return (event){
      .at = sim->now + delay, .kind = kind, .peer = p, .incarnation = sim->peers[p].incarnation};
}

static size_t index_of(const toposim *sim, const torc_id *id) {
  for (size_t i = 0; i < sim->num_peers; i++) {
    if (torc_id_eq(&sim->peers[i].id, id)) {
      return i;
    }
  }
  return TOPOSIM_NONE;
}

static bool can_hear(const toposim *sim, size_t a, size_t b) {
  const peer *pa = &sim->peers[a];
  const peer *pb = &sim->peers[b];
  return pa->is_alive && pb->is_alive && !pa->is_frozen && !pb->is_frozen && pa->side == pb->side;
}

bool toposim_is_linked(const toposim *sim, size_t a, size_t b) {
  return sim->linked[a][b] != 0;
}

/* Does a message that `a` sends to `b` over their link arrive? */
static bool link_works(const toposim *sim, size_t a, size_t b) {
  return can_hear(sim, a, b) && sim->linked[a][b] == sim->peers[b].incarnation &&
         sim->linked[b][a] == sim->peers[a].incarnation;
}

/* ---- host functions ---- */

static torc_time host_now(void *ctx) {
  return ((peer *)ctx)->sim->now;
}

static bool host_is_linked(void *ctx, const torc_id *id) {
  peer *p = ctx;
  size_t other = index_of(p->sim, id);
  return other != TOPOSIM_NONE && toposim_is_linked(p->sim, p->index, other);
}

static size_t host_links(void *ctx, torc_id *out, size_t max) {
  const peer *p = ctx;
  size_t num = 0;
  for (size_t i = 0; i < p->sim->num_peers; i++) {
    if (toposim_is_linked(p->sim, p->index, i)) {
      if (num < max) {
        out[num] = p->sim->peers[i].id;
      }
      num++;
    }
  }
  return num;
}

static void start_route(peer *p, route_kind kind, const torc_id *target, bool is_exact,
                        const torc_id *via, torc_token cookie, event_kind failure) {
  toposim *sim = p->sim;
  event e = event_for(sim, EV_ROUTE, p->index, 0);
  event late = event_for(sim, failure, p->index, REQUEST_TIMEOUT);
  e.route = kind;
  e.id = *target;
  e.is_exact = is_exact;
  e.cookie = cookie;
  e.other = p->index; /* originator */
  e.other_incarnation = p->incarnation;
  if (via != NULL) {
    e.has_via = true;
    e.via = *via;
  }
  late.cookie = cookie;
  late.rc = TORC_ERR_TIMEOUT;
  push(sim, late);
  /* The node retransmits after 0.5 s and 1.5 s. */
  for (unsigned i = 0; i < 3; i++) {
    e.at = sim->now + (i == 0 ? 0 : TORC_MS(500) * ((1u << i) - 1));
    if (!chance(sim, sim->cfg.loss_permille)) {
      push(sim, e);
    }
  }
}

static int host_connect(void *ctx, const torc_id *target, bool is_exact, const torc_id *via,
                        torc_token cookie) {
  peer *p = ctx;
  toposim *sim = p->sim;
  sim->counts.connects++;
  if (is_exact && host_is_linked(ctx, target)) {
    event e = event_for(sim, EV_CONNECTED, p->index, 0);
    e.cookie = cookie;
    e.id = *target;
    push(sim, e);
    return 0;
  }
  if (via != NULL && torc_id_eq(via, &torc_id_wildcard)) {
    if (p->boot_via == TOPOSIM_NONE) {
      return TORC_ERR_NOTFOUND;
    }
    via = &sim->peers[p->boot_via].id;
  }
  start_route(p, ROUTE_CONNECT, target, is_exact, via, cookie, EV_CONNECTED);
  return 0;
}

static int host_ping(void *ctx, const torc_id *target, const torc_id *via, torc_token cookie) {
  peer *p = ctx;
  p->sim->counts.pings++;
  start_route(p, ROUTE_PING, target, false, via, cookie, EV_PONG);
  return 0;
}

static int host_request(void *ctx, const torc_id *id, torc_method method, torc_slice payload,
                        torc_token cookie) {
  peer *p = ctx;
  toposim *sim = p->sim;
  size_t other = index_of(sim, id);
  event late = event_for(sim, EV_RESPONSE, p->index, REQUEST_TIMEOUT);
  unsigned copies =
      method == TORC_METHOD_UPDATE && chance(sim, sim->cfg.duplicate_permille) ? 2 : 1;
  sim->counts.requests++;
  sim->counts.updates += method == TORC_METHOD_UPDATE ? 1 : 0;
  sim->counts.joins += method == TORC_METHOD_JOIN ? 1 : 0;
  if (other == TOPOSIM_NONE || !toposim_is_linked(sim, p->index, other)) {
    return TORC_ERR_NOTFOUND;
  }
  late.cookie = cookie;
  late.rc = TORC_ERR_TIMEOUT;
  push(sim, late);
  if (chance(sim, sim->cfg.loss_permille)) {
    return 0;
  }
  for (unsigned i = 0; i < copies; i++) {
    event e = event_for(sim, EV_REQUEST, other, latency(sim));
    e.incarnation = sim->linked[p->index][other];
    e.other = p->index;
    e.other_incarnation = p->incarnation;
    e.method = method;
    e.cookie = cookie;
    e.data = malloc(payload.len + 1);
    e.len = payload.len;
    if (payload.len > 0) {
      memcpy(e.data, payload.p, payload.len);
    }
    push(sim, e);
  }
  return 0;
}

static int host_transfer(void *ctx, const torc_id *id, const torc_id *from, const torc_id *to,
                         torc_token cookie) {
  peer *p = ctx;
  toposim *sim = p->sim;
  size_t other = index_of(sim, id);
  event e, late;
  uint32_t *list;
  size_t num = 0;
  if (other == TOPOSIM_NONE || !toposim_is_linked(sim, p->index, other)) {
    return TORC_ERR_NOTFOUND;
  }
  sim->counts.transfers++;
  list = calloc(2 * TOPOSIM_KEYS_MAX, sizeof *list);
  for (size_t k = 0; k < TOPOSIM_KEYS_MAX; k++) {
    if (p->version[k] != 0 && torc_id_in_open_closed(&sim->keys[k], from, to)) {
      list[2 * num] = (uint32_t)k;
      list[2 * num + 1] = p->version[k];
      num++;
    }
  }
  e = event_for(sim, EV_TRANSFER, other, latency(sim) + 20 * num);
  e.incarnation = sim->linked[p->index][other];
  e.other = p->index;
  e.other_incarnation = p->incarnation;
  e.cookie = cookie;
  e.data = (uint8_t *)list;
  e.len = num;
  push(sim, e);
  late = event_for(sim, EV_TRANSFER_DONE, p->index, REQUEST_TIMEOUT);
  late.cookie = cookie;
  late.rc = TORC_ERR_TIMEOUT;
  push(sim, late);
  return 0;
}

static void host_drop_range(void *ctx, const torc_id *from, const torc_id *to) {
  peer *p = ctx;
  for (size_t k = 0; k < TOPOSIM_KEYS_MAX; k++) {
    if (torc_id_in_open_closed(&p->sim->keys[k], from, to)) {
      p->sim->counts.drops += p->version[k] != 0 ? 1 : 0;
      p->version[k] = 0;
    }
  }
}

static void host_took_over(void *ctx, const torc_id *from, const torc_id *to, bool has_copies) {
  (void)has_copies;
  peer *p = ctx;
  (void)from;
  (void)to;
  p->sim->counts.took_over++;
}

static void break_link(toposim *sim, size_t a, size_t b) {
  size_t ends[2] = {a, b};
  for (size_t i = 0; i < 2; i++) {
    size_t at = ends[i];
    size_t other = ends[1 - i];
    if (sim->linked[at][other] != 0 && sim->peers[at].is_alive) {
      event e = event_for(sim, EV_LINK_DOWN, at, 1 + torc_rng_below(&sim->rng, DETECT_MAX));
      e.other = other;
      e.other_incarnation = sim->linked[at][other];
      push(sim, e);
    }
  }
}

static void host_close_link(void *ctx, const torc_id *id) {
  peer *p = ctx;
  size_t other = index_of(p->sim, id);
  if (other != TOPOSIM_NONE && toposim_is_linked(p->sim, p->index, other)) {
    break_link(p->sim, p->index, other);
  }
}

static void host_state_changed(void *ctx, torc_topology_state state) {
  peer *p = ctx;
  p->state = state;
  if (state == TORC_TOPO_JOINED) {
    if (!p->has_joined) {
      p->joined_at = p->sim->now;
    }
    p->has_joined = true;
  }
  if (state == TORC_TOPO_DISCONNECTED && !p->has_joined && p->bootstrap != TOPOSIM_NONE) {
    /* What the node does: it bootstraps again. */
    event e = event_for(p->sim, EV_RESTART, p->index, TORC_MS(300) + latency(p->sim));
    push(p->sim, e);
  }
}

static bool host_has_data(void *ctx) {
  const peer *p = ctx;
  for (size_t k = 0; k < TOPOSIM_KEYS_MAX; k++) {
    if (p->version[k] != 0) {
      return true;
    }
  }
  return false;
}

static void make_link(toposim *sim, size_t a, size_t b) {
  size_t ends[2] = {a, b};
  if (!can_hear(sim, a, b) || sim->forbidden[a][b] || a == b) {
    return;
  }
  for (size_t i = 0; i < 2; i++) {
    size_t at = ends[i];
    size_t other = ends[1 - i];
    event e = event_for(sim, EV_LINK_UP, at, 0);
    if (sim->linked[at][other] == sim->peers[other].incarnation) {
      continue;
    }
    sim->linked[at][other] = sim->peers[other].incarnation;
    e.other = other;
    push(sim, e);
  }
}

static int host_ping_bootstrap(void *ctx, const torc_id *target, torc_token cookie) {
  peer *p = ctx;
  toposim *sim = p->sim;
  size_t found[TOPOSIM_PEERS_MAX];
  size_t num = 0;
  for (size_t i = 0; i < sim->num_peers; i++) {
    if (i != p->index && sim->peers[i].is_bootstrap && can_hear(sim, p->index, i)) {
      found[num] = i;
      num++;
    }
  }
  if (num == 0) {
    return TORC_ERR_NOTFOUND;
  }
  p->boot_via = found[torc_rng_below(&sim->rng, num)];
  make_link(sim, p->index, p->boot_via);
  sim->counts.pings++;
  start_route(p, ROUTE_PING, target, false, &sim->peers[p->boot_via].id, cookie, EV_PONG);
  return 0;
}

/* ---- what events do ---- */

static void on_request(toposim *sim, event *e) {
  peer *p = &sim->peers[e->peer];
  torc_topology_reply reply = {0};
  event back;
  if (!link_works(sim, e->other, e->peer)) {
    return;
  }
  sim->ops->on_request(p->topo, e->method, &sim->peers[e->other].id,
                       (torc_slice){.p = e->data, .len = e->len}, &reply);
  back = event_for(sim, EV_RESPONSE, e->other, latency(sim));
  back.incarnation = e->other_incarnation;
  back.cookie = e->cookie;
  back.code = reply.code;
  if (!chance(sim, sim->cfg.loss_permille)) {
    push(sim, back);
  }
}

static void on_transfer(toposim *sim, event *e) {
  peer *p = &sim->peers[e->peer];
  const uint32_t *list = (const uint32_t *)(const void *)e->data;
  event back = event_for(sim, EV_TRANSFER_DONE, e->other, latency(sim));
  if (!link_works(sim, e->other, e->peer)) {
    return;
  }
  back.incarnation = e->other_incarnation;
  back.cookie = e->cookie;
  for (size_t i = 0; i < e->len; i++) {
    size_t key = list[2 * i];
    if (!sim->ops->accepts_copy(p->topo, &sim->peers[e->other].id, &sim->keys[key])) {
      back.rc = TORC_ERR_REFUSED;
      sim->counts.transfers_refused++;
      break;
    }
    if (p->version[key] < list[2 * i + 1]) {
      p->version[key] = list[2 * i + 1];
    }
  }
  push(sim, back);
}

/* The node's side of a STORE at the responsible peer [D-13]. */
static void consume_put(toposim *sim, event *e) {
  peer *p = &sim->peers[e->peer];
  torc_id replicas[TORC_REPLICAS_MAX];
  size_t num = sim->ops->replicas(p->topo, &sim->keys[e->key], replicas);
  if (p->version[e->key] < e->version) {
    p->version[e->key] = e->version;
  }
  sim->puts[e->key] = (put_state){.pending = (unsigned)num, .version = e->version};
  for (size_t i = 0; i < num; i++) {
    event copy = event_for(sim, EV_COPY, index_of(sim, &replicas[i]), latency(sim));
    event late = event_for(sim, EV_COPY_DONE, e->peer, TORC_SEC(2));
    copy.other = e->peer;
    copy.other_incarnation = p->incarnation;
    copy.key = e->key;
    copy.version = e->version;
    copy.cookie = i;
    copy.incarnation = sim->linked[e->peer][copy.peer];
    late.key = e->key;
    late.version = e->version;
    late.cookie = i;
    late.other = copy.peer;
    late.rc = TORC_ERR_TIMEOUT;
    push(sim, copy);
    push(sim, late);
  }
  if (num == 0 && sim->answered[e->key] < e->version) {
    sim->answered[e->key] = e->version;
  }
}

static void on_copy(toposim *sim, event *e) {
  peer *p = &sim->peers[e->peer];
  event back;
  if (!link_works(sim, e->other, e->peer)) {
    return;
  }
  back = event_for(sim, EV_COPY_DONE, e->other, latency(sim));
  back.incarnation = e->other_incarnation;
  back.other = e->peer;
  if (!sim->ops->accepts_copy(p->topo, &sim->peers[e->other].id, &sim->keys[e->key])) {
    back.rc = TORC_ERR_REFUSED;
  } else if (p->version[e->key] < e->version) {
    p->version[e->key] = e->version;
  }
  back.key = e->key;
  back.version = e->version;
  back.cookie = e->cookie;
  push(sim, back);
}

static void on_copy_done(toposim *sim, event *e) {
  peer *p = &sim->peers[e->peer];
  put_state *put = &sim->puts[e->key];
  if (put->version != e->version || put->pending == 0 || (put->done & (1u << e->cookie)) != 0) {
    return;
  }
  put->done |= 1u << e->cookie;
  put->pending--;
  if (e->rc != 0) {
    sim->ops->on_copy_failed(p->topo, &sim->peers[e->other].id);
  }
  if (put->pending == 0 && sim->answered[e->key] < e->version) {
    sim->answered[e->key] = e->version;
  }
}

static void answer_route(toposim *sim, event *e, event_kind kind, int rc) {
  event back = event_for(sim, kind, e->other, latency(sim));
  back.incarnation = e->other_incarnation;
  back.cookie = e->cookie;
  back.rc = rc;
  back.id = sim->peers[e->peer].id;
  push(sim, back);
}

static void consume(toposim *sim, event *e) {
  if (e->route == ROUTE_PING) {
    answer_route(sim, e, EV_PONG, 0);
  } else if (e->route == ROUTE_PUT) {
    consume_put(sim, e);
  } else if (e->is_exact && !torc_id_eq(&e->id, &sim->peers[e->peer].id)) {
    answer_route(sim, e, EV_CONNECTED, TORC_ERR_NOTFOUND);
  } else if (sim->forbidden[e->other][e->peer]) {
    answer_route(sim, e, EV_CONNECTED, TORC_ERR_TIMEOUT);
  } else if (e->other == e->peer) {
    answer_route(sim, e, EV_CONNECTED, TORC_ERR_NOTFOUND);
  } else {
    make_link(sim, e->other, e->peer);
    answer_route(sim, e, EV_CONNECTED, 0);
  }
}

/* The node's order of cases [GAP-28]. */
static void on_route(toposim *sim, event *e) {
  peer *p = &sim->peers[e->peer];
  torc_id target = e->has_via ? e->via : e->id;
  torc_id next;
  size_t to;
  if (e->hops == 0 && e->cookie != 0 && is_done(p, e->cookie)) {
    return; /* a retransmission that is not needed */
  }
  if (e->has_via && (torc_id_eq(&e->via, &p->id) || sim->ops->is_responsible(p->topo, &e->via)) &&
      (index_of(sim, &e->via) == TOPOSIM_NONE ||
       !toposim_is_linked(sim, e->peer, index_of(sim, &e->via)))) {
    e->has_via = false;
    target = e->id;
  }
  to = index_of(sim, &target);
  if (torc_id_eq(&target, &p->id)) {
    consume(sim, e);
    return;
  }
  if (to == TOPOSIM_NONE || !toposim_is_linked(sim, e->peer, to)) {
    if (!e->has_via && sim->ops->is_responsible(p->topo, &target)) {
      consume(sim, e);
      return;
    }
    if (!sim->ops->next_hop(p->topo, &target, &next)) {
      sim->counts.lost_routes++;
      return;
    }
    to = index_of(sim, &next);
  }
  e->hops++;
  if (e->hops > TTL || to == TOPOSIM_NONE || !link_works(sim, e->peer, to)) {
    sim->counts.lost_routes++;
    return;
  }
  e->at = sim->now + latency(sim);
  e->peer = to;
  e->incarnation = sim->peers[to].incarnation;
  push(sim, *e);
}

static void on_link_down(toposim *sim, event *e) {
  peer *p = &sim->peers[e->peer];
  if (sim->linked[e->peer][e->other] == e->other_incarnation) {
    sim->linked[e->peer][e->other] = 0;
    sim->ops->on_link_down(p->topo, &sim->peers[e->other].id);
  }
}

static void dispatch(toposim *sim, event *e) {
  peer *p = &sim->peers[e->peer];
  if (!p->is_alive || p->is_frozen || p->incarnation != e->incarnation) {
    return;
  }
  if (e->kind == EV_CONNECTED || e->kind == EV_PONG) {
    p->done[p->next_done] = e->cookie;
    p->next_done = (p->next_done + 1) % DONE_MAX;
  }
  switch (e->kind) {
    case EV_REQUEST:
      on_request(sim, e);
      break;
    case EV_RESPONSE:
      sim->ops->on_response(p->topo, e->cookie, e->rc, e->code, (torc_slice){0});
      break;
    case EV_CONNECTED:
      sim->ops->on_connect_done(p->topo, e->cookie, e->rc, &e->id);
      break;
    case EV_PONG:
      sim->ops->on_ping_done(p->topo, e->cookie, e->rc, &e->id);
      break;
    case EV_LINK_UP:
      if (sim->linked[e->peer][e->other] != 0) {
        sim->ops->on_link_up(p->topo, &sim->peers[e->other].id);
      }
      break;
    case EV_LINK_DOWN:
      on_link_down(sim, e);
      break;
    case EV_TRANSFER:
      on_transfer(sim, e);
      break;
    case EV_TRANSFER_DONE:
      sim->ops->on_transfer_done(p->topo, e->cookie, e->rc);
      break;
    case EV_ROUTE:
      on_route(sim, e);
      break;
    case EV_COPY:
      on_copy(sim, e);
      break;
    case EV_COPY_DONE:
      on_copy_done(sim, e);
      break;
    case EV_RESTART:
      if (p->state == TORC_TOPO_DISCONNECTED) {
        make_link(sim, p->index, p->bootstrap);
        (void)sim->ops->start(p->topo, &sim->peers[p->bootstrap].id);
      }
      break;
  }
}

static torc_time next_timer(const toposim *sim, size_t *which) {
  torc_time best = TORC_NEVER;
  for (size_t i = 0; i < sim->num_peers; i++) {
    const peer *p = &sim->peers[i];
    torc_time at = p->is_alive && !p->is_frozen ? torc_timers_next(&p->timers) : TORC_NEVER;
    if (at < best) {
      best = at;
      *which = i;
    }
  }
  return best;
}

void toposim_run(toposim *sim, torc_time duration) {
  torc_time end = sim->now + duration;
  for (;;) {
    size_t which = 0;
    torc_time timer = next_timer(sim, &which);
    torc_time message = sim->num_events > 0 ? sim->heap[0].at : TORC_NEVER;
    if (timer > end && message > end) {
      break;
    }
    if (message <= timer) {
      event e = pop(sim);
      event copy = e;
      sim->now = e.at > sim->now ? e.at : sim->now;
      dispatch(sim, &copy);
      if (e.kind != EV_ROUTE) {
        free(e.data);
      }
    } else {
      sim->now = timer > sim->now ? timer : sim->now;
      torc_timers_run(&sim->peers[which].timers, sim->now);
    }
  }
  sim->now = end;
}

/* ---- control ---- */

toposim *toposim_new(const toposim_config *cfg) {
  toposim *sim = calloc(1, sizeof *sim);
  if (sim == NULL) {
    abort();
  }
  sim->cfg = *cfg;
  sim->now = TORC_SEC(1);
  if (sim->cfg.latency_max == 0) {
    sim->cfg.latency_min = TORC_MS(1);
    sim->cfg.latency_max = TORC_MS(4);
  }
  if (torc_topology_find(cfg->algorithm != NULL ? cfg->algorithm : "chord-128-2-8", &sim->ops,
                         &sim->params) != 0) {
    abort();
  }
  sim->params.update_period = cfg->update_period != 0 ? cfg->update_period : TORC_SEC(30);
  sim->params.ping_period = cfg->ping_period != 0 ? cfg->ping_period : TORC_SEC(60);
  sim->params.deletion_delay = cfg->deletion_delay != 0 ? cfg->deletion_delay : TORC_SEC(20);
  sim->params.retry_unreachable =
      cfg->retry_unreachable != 0 ? cfg->retry_unreachable : TORC_SEC(60);
  torc_rng_seed(&sim->rng, cfg->seed);
  for (size_t k = 0; k < TOPOSIM_KEYS_MAX; k++) {
    for (size_t b = 0; b < TORC_ID_LEN; b++) {
      sim->keys[k].b[b] = (uint8_t)torc_rng_below(&sim->rng, 256);
    }
  }
  return sim;
}

static void stop_peer(toposim *sim, peer *p) {
  sim->ops->destroy(p->topo);
  p->topo = NULL;
  p->is_alive = false;
}

void toposim_free(toposim *sim) {
  for (size_t i = 0; i < sim->num_peers; i++) {
    stop_peer(sim, &sim->peers[i]);
  }
  for (size_t i = 0; i < sim->num_events; i++) {
    free(sim->heap[i].kind != EV_ROUTE ? sim->heap[i].data : NULL);
  }
  free(sim->heap);
  free(sim);
}

size_t toposim_add(toposim *sim, const torc_id *id, bool is_bootstrap) {
  size_t i = sim->num_peers;
  peer *p = &sim->peers[i];
  if (i == TOPOSIM_PEERS_MAX) {
    abort();
  }
  sim->num_peers++;
  p->sim = sim;
  p->index = i;
  p->is_bootstrap = is_bootstrap;
  p->boot_via = TOPOSIM_NONE;
  if (id != NULL) {
    p->id = *id;
  } else {
    for (size_t b = 0; b < TORC_ID_LEN; b++) {
      p->id.b[b] = (uint8_t)torc_rng_below(&sim->rng, 256);
    }
  }
  return i;
}

int toposim_try_start(toposim *sim, size_t which, size_t bootstrap) {
  peer *p = &sim->peers[which];
  int rc;
  static const torc_topology_host_ops host_ops = {
      .now = host_now,
      .is_linked = host_is_linked,
      .links = host_links,
      .connect = host_connect,
      .ping = host_ping,
      .request = host_request,
      .transfer = host_transfer,
      .drop_range = host_drop_range,
      .took_over = host_took_over,
      .close_link = host_close_link,
      .state_changed = host_state_changed,
      .ping_bootstrap = host_ping_bootstrap,
      .has_data = host_has_data,
  };
  memset(&p->stats, 0, sizeof p->stats);
  p->host = (torc_topology_host){
      .ops = &host_ops,
      .ctx = p,
      .stats = &p->stats,
      .mem = sim->cfg.mem != NULL ? sim->cfg.mem : torc_mem_libc(),
      .timers = &p->timers,
      .rng = &p->rng,
      .self = p->id,
  };
  torc_timers_init(&p->timers);
  torc_rng_seed(&p->rng, torc_rng_u64(&sim->rng));
  rc = sim->ops->create(&p->topo, &p->host, &sim->params);
  if (rc != 0) {
    return rc;
  }
  p->incarnation++;
  p->is_alive = true;
  p->is_frozen = false;
  memset(p->done, 0, sizeof p->done);
  p->has_joined = false;
  p->boot_via = TOPOSIM_NONE;
  p->bootstrap = bootstrap;
  p->started_at = sim->now;
  p->state = TORC_TOPO_IDLE;
  memset(sim->linked[which], 0, sizeof sim->linked[which]);
  if (bootstrap != TOPOSIM_NONE) {
    make_link(sim, which, bootstrap);
  }
  return sim->ops->start(p->topo, bootstrap != TOPOSIM_NONE ? &sim->peers[bootstrap].id : NULL);
}

void toposim_start(toposim *sim, size_t which, size_t bootstrap, bool keep_store) {
  peer *p = &sim->peers[which];
  if (p->topo != NULL) {
    toposim_kill(sim, which);
  }
  if (!keep_store) {
    memset(p->version, 0, sizeof p->version);
  }
  if (toposim_try_start(sim, which, bootstrap) != 0) {
    abort();
  }
}

void toposim_leave(toposim *sim, size_t which) {
  sim->ops->leave(sim->peers[which].topo);
}

void toposim_kill(toposim *sim, size_t which) {
  peer *p = &sim->peers[which];
  stop_peer(sim, p);
  for (size_t i = 0; i < sim->num_peers; i++) {
    if (sim->linked[i][which] != 0) {
      break_link(sim, i, which);
    }
    sim->linked[which][i] = 0;
  }
}

void toposim_freeze(toposim *sim, size_t which) {
  sim->peers[which].is_frozen = true;
}

void toposim_cut(toposim *sim, size_t a, size_t b) {
  break_link(sim, a, b);
}

void toposim_forbid(toposim *sim, size_t a, size_t b, bool on) {
  sim->forbidden[a][b] = on;
  sim->forbidden[b][a] = on;
}

void toposim_side(toposim *sim, size_t which, unsigned side) {
  sim->peers[which].side = side;
  for (size_t i = 0; i < sim->num_peers; i++) {
    if (sim->linked[which][i] != 0 && sim->peers[i].side != side) {
      break_link(sim, which, i);
    }
  }
}

void toposim_put(toposim *sim, size_t from, size_t key) {
  event e = event_for(sim, EV_ROUTE, from, 0);
  e.route = ROUTE_PUT;
  e.id = sim->keys[key];
  e.key = key;
  e.version = ++sim->issued[key];
  e.other = from;
  e.other_incarnation = sim->peers[from].incarnation;
  push(sim, e);
}

/* ---- looking ---- */

torc_time toposim_now(const toposim *sim) {
  return sim->now;
}

torc_rng *toposim_rng(toposim *sim) {
  return &sim->rng;
}

const toposim_counts *toposim_get_counts(const toposim *sim) {
  return &sim->counts;
}

uint32_t toposim_answered(const toposim *sim, size_t key) {
  return sim->answered[key];
}

uint32_t toposim_held(const toposim *sim, size_t which, size_t key) {
  return sim->peers[which].version[key];
}

size_t toposim_num(const toposim *sim) {
  return sim->num_peers;
}

bool toposim_is_alive(const toposim *sim, size_t which) {
  const peer *p = &sim->peers[which];
  return p->is_alive && !p->is_frozen && p->state != TORC_TOPO_LEFT;
}

torc_id toposim_id(const toposim *sim, size_t which) {
  return sim->peers[which].id;
}

torc_id toposim_key(const toposim *sim, size_t key) {
  return sim->keys[key];
}

torc_topology *toposim_topo(toposim *sim, size_t which) {
  return sim->peers[which].topo;
}

const torc_topology_ops *toposim_ops(const toposim *sim) {
  return sim->ops;
}

torc_topology_view toposim_view(const toposim *sim, size_t which) {
  torc_topology_view v;
  sim->ops->view(sim->peers[which].topo, &v);
  return v;
}

torc_topology_state toposim_state(const toposim *sim, size_t which) {
  return sim->peers[which].state;
}

torc_time toposim_joined_at(const toposim *sim, size_t which) {
  return sim->peers[which].joined_at - sim->peers[which].started_at;
}

unsigned toposim_side_of(const toposim *sim, size_t which) {
  return sim->peers[which].side;
}

char *toposim_text(toposim *sim) {
  return sim->text;
}

uint64_t toposim_seed(const toposim *sim) {
  return sim->cfg.seed;
}

size_t toposim_copies(const toposim *sim) {
  return sim->params.num_replicas + 1;
}

size_t toposim_index(const toposim *sim, const torc_id *id) {
  return index_of(sim, id);
}
