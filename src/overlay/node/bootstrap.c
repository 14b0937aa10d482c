/* Finding the ring, with the credentials that every link needs [CLI-03]; a client keeps the first
 * peer that answers, responsible for it or not [CLI-06]: cached peers, then bootstrap peers, until
 * one answers a PING [BST-01..08] [GAP-132] [GAP-138]; multicast groups come last [GAP-69].
 * One after the other is dialled, without waiting for the end of the one before.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/rings.h"

#define ENDPOINTS_MAX 64
#define PING_LIMIT TORC_SEC(5)
/* Between one dial and the next beside it, the Connection Attempt Delay of RFC 8305, 5: longer than
 * most handshakes take, so that the first of the list that lives is mostly the only one dialled,
 * and ten dead cached peers cost 2.5 s and not ten times the limit of a dial. */
#define STAGGER TORC_MS(250)
#define ROUND_LIMIT TORC_SEC(12)   /* after its last dial a round without an answer has failed */
#define FOUND_MAX 4u               /* peers heard at multicast groups, of one round */
#define FOUND_SPACING TORC_MS(300) /* between a founder's tries */
#define YIELD_TRIES 20u            /* a founder waits so many more for another one */
#define LINKS_ASKED_MAX 8u         /* of those still up when the ring is lost */
#define RETRY_FIRST TORC_SEC(1)    /* */
#define RETRY_LAST TORC_SEC(60)

typedef struct endpoint {
  const char *host; /* in the list's block, behind its entries */
  uint16_t port;
  bool is_cached;
  bool is_self;     /* dialling it reached this very node */
  bool is_group;    /* [BST-05] whoever answers there comes as torc_node_discovered */
  bool is_tried;    /* in this round */
  bool is_way;      /* the way in of the join under way */
  bool is_bad;      /* it answered, and no join came of it: after all others */
  torc_id expected; /* 0: whoever answers */
  torc_token token; /* OPEN under way */
  torc_id peer;     /* who answered there last; 0: unknown */
} endpoint;

typedef struct probe { /* GAP-124 */
  bool is_active;
  torc_id target;
  torc_token cookie;
  torc_token open; /* 0: PING under way */
  torc_id through;
} probe;

typedef struct found_peer { /* heard at a group */
  endpoint e;
  char host[sizeof((torc_endpoint *)NULL)->host];
} found_peer;

struct torc_bootstrap {
  torc_node *n;
  bool is_running;
  bool has_learned;
  bool yields;          /* another bootstrap peer, with a smaller id, looks for the ring as well */
  unsigned num_pinging; /* PINGs under way: every link that comes up gets one at once */
  uintptr_t epoch;      /* of the search; answers of an earlier one mean nothing */
  unsigned tries, num_found;
  torc_time backoff;
  torc_time round_end; /* ROUND_LIMIT after the last dial; 0: no round */
  torc_timer timer;
  probe probe;
  torc_id learned_through; /* the bootstrap peer of the last answered probe */
  size_t num;
  endpoint *list;    /* cached ones first, groups last */
  found_peer *found; /* FOUND_MAX of them; NULL: there was none since the last join */
};

static void round_start(torc_node *n);
static void round_over(torc_node *n);
static void on_timer(torc_timer *t, torc_time now);

/* Room for `num` entries and the texts of their hosts; *text: where these begin. */
static endpoint *list_new(torc_node *n, size_t num, size_t text_len, char **text) {
  endpoint *list = torc_calloc(n->mem, 1, num * sizeof *list + text_len);
  *text = list != NULL ? (char *)(list + num) : NULL;
  return list;
}

static size_t host_size(const char *host) {
  return strnlen(host, sizeof((torc_endpoint *)NULL)->host - 1) + 1;
}

static void set_host(endpoint *e, const char *host, char **text) {
  size_t size = host_size(host);
  memcpy(*text, host, size - 1); /* the block was zeroed */
  e->host = *text;
  *text += size;
}

static endpoint endpoint_of(const torc_endpoint *ep, char **text) {
  endpoint e = {.port = ep->port, .expected = ep->peer, .is_group = ep->is_group};
  set_host(&e, ep->host, text);
  return e;
}

/* What is known of an endpoint that both lists hold goes on being known. */
static endpoint known_of(const struct torc_bootstrap *b, const torc_endpoint *ep, bool is_cached,
                         char **text) {
  endpoint e = endpoint_of(ep, text);
  e.is_cached = is_cached;
  for (size_t i = 0; i < b->num; i++) {
    const endpoint *old = &b->list[i];
    if (old->is_cached == is_cached && old->port == e.port && strcmp(old->host, e.host) == 0) {
      e.is_self = old->is_self;
      e.is_tried = old->is_tried;
      e.is_way = old->is_way;
      e.is_bad = old->is_bad;
      e.token = old->token;
      e.peer = old->peer;
      break;
    }
  }
  return e;
}

int torc_bootstrap_set_cached(torc_node *n, const torc_endpoint *cached, size_t num_cached) {
  struct torc_bootstrap *b = n->boot;
  size_t num_fixed = 0;
  size_t num = 0;
  size_t text_len = 0;
  char *text = NULL;
  for (size_t i = 0; i < b->num; i++) {
    if (!b->list[i].is_cached) {
      num_fixed++;
      text_len += host_size(b->list[i].host);
    }
  }
  if (num_cached > ENDPOINTS_MAX - num_fixed) {
    num_cached = ENDPOINTS_MAX - num_fixed;
  }
  for (size_t i = 0; i < num_cached; i++) {
    text_len += host_size(cached[i].host);
  }
  if (num_fixed + num_cached == 0) {
    b->num = 0;
    return 0;
  }
  endpoint *list = list_new(n, num_fixed + num_cached, text_len, &text);
  if (list == NULL) {
    return TORC_ERR_NOMEM;
  }
  for (; num < num_cached; num++) {
    list[num] = known_of(b, &cached[num], true, &text);
  }
  for (size_t i = 0; i < b->num; i++) {
    if (!b->list[i].is_cached) {
      list[num] = b->list[i];
      set_host(&list[num], b->list[i].host, &text);
      num++;
    }
  }
  torc_free(n->mem, b->list);
  b->list = list;
  b->num = num;
  return 0;
}

int torc_bootstrap_set_fixed(torc_node *n, const torc_endpoint *fixed, size_t num_fixed) {
  struct torc_bootstrap *b = n->boot;
  size_t num = 0;
  size_t text_len = 0;
  char *text = NULL;
  for (; num < b->num && b->list[num].is_cached; num++) { /* they come first */
    text_len += host_size(b->list[num].host);
  }
  if (num_fixed > ENDPOINTS_MAX - num) {
    num_fixed = ENDPOINTS_MAX - num;
  }
  for (size_t i = 0; i < num_fixed; i++) {
    text_len += host_size(fixed[i].host);
  }
  if (num + num_fixed == 0) {
    b->num = 0;
    return 0;
  }
  endpoint *list = list_new(n, num + num_fixed, text_len, &text);
  if (list == NULL) {
    return TORC_ERR_NOMEM;
  }
  for (size_t i = 0; i < num; i++) {
    list[i] = b->list[i];
    set_host(&list[i], b->list[i].host, &text);
  }
  for (size_t i = 0; i < num_fixed; i++) {
    list[num + i] = known_of(b, &fixed[i], false, &text);
  }
  torc_free(n->mem, b->list);
  b->list = list;
  b->num = num + num_fixed;
  return 0;
}

/* Copies the endpoints of the configuration; created with the node. */
int torc_bootstrap_setup(torc_node *n, const torc_node_config *cfg) {
  struct torc_bootstrap *b = torc_calloc(n->mem, 1, sizeof *b);
  size_t text_len = 0;
  char *text = NULL;
  if (b == NULL) {
    return TORC_ERR_NOMEM;
  }
  b->n = n;
  torc_timer_init(&b->timer, on_timer);
  n->boot = b;
  size_t max = cfg->num_bootstrap < ENDPOINTS_MAX ? cfg->num_bootstrap : ENDPOINTS_MAX;
  for (size_t i = 0; i < max; i++) {
    text_len += host_size(cfg->bootstrap[i].host);
  }
  if (max > 0) {
    b->list = list_new(n, max, text_len, &text);
    if (b->list == NULL) {
      return TORC_ERR_NOMEM;
    }
  }
  for (; b->num < max; b->num++) {
    b->list[b->num] = endpoint_of(&cfg->bootstrap[b->num], &text);
  }
  return cfg->num_cached == 0 ? 0 : torc_bootstrap_set_cached(n, cfg->cached, cfg->num_cached);
}

void torc_bootstrap_clear(torc_node *n) {
  if (n->boot != NULL) {
    torc_timer_stop(&n->timers, &n->boot->timer);
    torc_free(n->mem, n->boot->list);
    torc_free(n->mem, n->boot->found);
    torc_free(n->mem, n->boot);
    n->boot = NULL;
  }
}

static int open_endpoint(torc_node *n, endpoint *e, torc_token *token) {
  torc_out *o = torc_out_new(n, TORC_OUT_OPEN);
  if (o == NULL) {
    return TORC_ERR_NOMEM;
  }
  o->o.token = torc_node_token(n) | TORC_TOKEN_OPEN;
  memcpy(o->o.endpoint.host, e->host, host_size(e->host));
  o->o.endpoint.port = e->port;
  o->o.endpoint.peer = e->expected;
  o->o.endpoint.is_group = e->is_group;
  *token = o->o.token;
  torc_out_push(n, o);
  return 0;
}

/* Of the lists and of those heard at groups. */
static size_t num_all(const struct torc_bootstrap *b) {
  return b->num + b->num_found;
}

static endpoint *at_index(struct torc_bootstrap *b, size_t i) {
  return i < b->num ? &b->list[i] : &b->found[i - b->num].e;
}

void torc_bootstrap_stop(torc_node *n) {
  struct torc_bootstrap *b = n->boot;
  b->is_running = false;
  b->num_pinging = 0;
  b->epoch++;
  b->tries = 0;
  b->backoff = RETRY_FIRST;
  for (size_t i = 0; i < num_all(b); i++) {
    endpoint *e = at_index(b, i);
    e->is_way = false;
    e->token = 0; /* links that still come up are ordinary links; idle ones close by themselves */
  }
  torc_timer_stop(&n->timers, &b->timer);
}

void torc_bootstrap_joined(torc_node *n) {
  torc_bootstrap_stop(n);
  for (size_t i = 0; i < num_all(n->boot); i++) {
    at_index(n->boot, i)->is_bad = false;
  }
  n->boot->num_found = 0;
  torc_free(n->mem, n->boot->found);
  n->boot->found = NULL;
}

/* Whoever answers first and then leads nowhere would be the way in again and again. */
static void mark_bad(struct torc_bootstrap *b) {
  for (size_t i = 0; i < num_all(b); i++) {
    endpoint *e = at_index(b, i);
    e->is_bad = e->is_bad || e->is_way;
    e->is_way = false;
  }
}

/* [CLI-01] [CHD-10] [BST-08] */
static void attach(torc_node *n, const torc_id *peer) {
  torc_bootstrap_stop(n);
  TORC_LOG(n->log, TORC_LOG_INFO, "bootstrap:found", TORC_F_ID("peer", peer));
  if (n->role == TORC_ROLE_CLIENT) {
    n->ap = *peer;
    n->has_ap = true;
    torc_node_set_phase(n, TORC_PHASE_JOINED);
    return;
  }
  for (size_t i = 0; i < num_all(n->boot); i++) {
    endpoint *e = at_index(n->boot, i);
    e->is_way = torc_id_eq(&e->peer, peer);
  }
  torc_node_set_phase(n, TORC_PHASE_JOINING);
  if (n->topo_ops->start(n->topo, peer) != 0) {
    torc_node_set_phase(n, TORC_PHASE_DISCONNECTED);
    torc_bootstrap_start(n);
  }
}

static void found_ring(torc_node *n) {
  torc_bootstrap_stop(n);
  TORC_LOG(n->log, TORC_LOG_INFO, "bootstrap:founds", TORC_F_ID("self", &n->self));
  if (n->topo_ops->start(n->topo, NULL) != 0) {
    torc_bootstrap_start(n);
  }
}

static bool any_open(struct torc_bootstrap *b) {
  for (size_t i = 0; i < num_all(b); i++) {
    if (at_index(b, i)->token != 0) {
      return true;
    }
  }
  return b->num_pinging > 0;
}

/* Of bootstrap peers that all start at once the one with the smallest id founds the ring,
 * the others wait for it, though not for ever. */
static bool may_found_now(const torc_node *n) {
  const struct torc_bootstrap *b = n->boot;
  return n->cfg.may_found && n->role == TORC_ROLE_PEER &&
         b->tries >= TORC_NODE_FOUND_TRIES + (b->yields ? YIELD_TRIES : 0);
}

/* Every endpoint of this round has failed. */
static void round_failed(torc_node *n) {
  struct torc_bootstrap *b = n->boot;
  torc_time wait = 0;
  n->stats->bootstrap_failures++;
  b->tries++;
  for (size_t i = 0; i < num_all(b); i++) {
    at_index(b, i)->token = 0;
  }
  if (may_found_now(n)) {
    found_ring(n);
    return;
  }
  if (n->cfg.may_found && b->tries < TORC_NODE_FOUND_TRIES + YIELD_TRIES) {
    wait = FOUND_SPACING;
  } else {
    wait = b->backoff / 2 + torc_rng_below(&n->rng, b->backoff);
    b->backoff = b->backoff * 2 > RETRY_LAST ? RETRY_LAST : b->backoff * 2;
    TORC_LOG(n->log, TORC_LOG_WARN, "bootstrap:no_answer", TORC_F_U64("tries", b->tries),
             TORC_F_U64("retry_ms", wait / 1000));
  }
  b->round_end = 0;
  torc_timer_arm(&n->timers, &b->timer, torc_time_add(n->now, wait));
}

/* Another founder that is not in a ring either and goes first. */
static bool goes_first(const torc_node *n, const torc_link *l, uint16_t code) {
  const struct torc_bootstrap *b = n->boot;
  if (code != TORC_CODE_UNAVAILABLE || torc_id_cmp(&l->peer, &n->self) >= 0) {
    return false;
  }
  for (size_t i = 0; i < b->num; i++) {
    if (!b->list[i].is_cached && torc_id_eq(&b->list[i].peer, &l->peer)) {
      return true;
    }
  }
  return false;
}

static void on_ping(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  struct torc_bootstrap *b = n->boot;
  const torc_link *l = torc_link_find(n, cookie);
  if (!b->is_running || (uintptr_t)ctx != b->epoch) {
    return;
  }
  b->num_pinging--;
  if (reply->rc == 0 && l != NULL && torc_id_eq(&reply->responder, &l->peer)) {
    if (reply->code == TORC_CODE_OK) {
      attach(n, &reply->responder);
      return;
    }
    b->yields = b->yields || goes_first(n, l, reply->code);
  }
  TORC_LOG(n->log, TORC_LOG_WARN, "bootstrap:ping_failed", TORC_F_U64("code", reply->code),
           TORC_F_ERR("why", reply->rc));
  round_over(n);
}

/* Somebody answered for the own place, through the peer of this link. */
static void on_asked(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  struct torc_bootstrap *b = n->boot;
  const torc_link *l = torc_link_find(n, cookie);
  if (b->is_running && (uintptr_t)ctx == b->epoch && reply->rc == 0 &&
      reply->code == TORC_CODE_OK && l != NULL) {
    attach(n, &l->peer);
  }
}

static int start_ping(torc_node *n, const torc_link *l, const torc_id *route, size_t num,
                      torc_reply_fn done) {
  struct torc_bootstrap *b = n->boot;
  uint8_t payload[1] = {0};
  torc_request r = {.method = TORC_METHOD_PING,
                    .payload = torc_slice_of(payload, 1),
                    .num_route = num,
                    .link = l->id,
                    .limit = PING_LIMIT,
                    .done = done,
                    .ctx = (void *)b->epoch,
                    .cookie = l->id};
  memcpy(r.route, route, num * sizeof *route);
  return torc_request_start(n, &r, NULL);
}

/* [BST-01] [BST-03] [BST-06] */
static void ping_link(torc_node *n, const endpoint *e, const torc_link *l) {
  bool is_unknown = torc_id_eq(&e->expected, &torc_id_zero);
  if (start_ping(n, l, is_unknown ? &torc_id_wildcard : &e->expected, 1, on_ping) == 0) {
    n->boot->num_pinging++;
  }
}

static bool is_usable(const torc_link *l) {
  return !l->is_closing && !l->is_draining;
}

/* Links that are still up when the ring is lost may lead back to it as well as any address does
 * [GAP-40]. Their peers may be clients, which say nothing, so each is asked for the own place, to
 * which only a member leads, and no round waits for it. */
static void ask_links(torc_node *n) {
  size_t it = 0;
  unsigned num = 0;
  const torc_link *l = NULL;
  while (num < LINKS_ASKED_MAX && (l = torc_map_next(&n->links, &it)) != NULL) {
    torc_id route[2] = {l->peer, torc_id_next(&n->self)};
    if (is_usable(l) && !l->is_bootstrap && start_ping(n, l, route, 2, on_asked) == 0) {
      num++;
    }
  }
}

/* The next to be dialled in this round: the bad ones after all others; NULL: none is left. */
static endpoint *next_one(struct torc_bootstrap *b) {
  endpoint *bad = NULL;
  for (size_t i = 0; i < num_all(b); i++) {
    endpoint *e = at_index(b, i);
    if (e->is_tried || e->is_self || e->token != 0) {
      continue;
    }
    if (!e->is_bad) {
      return e;
    }
    bad = bad == NULL ? e : bad;
  }
  return bad;
}

/* Dials one more, if there is one. */
static void open_next(torc_node *n) {
  struct torc_bootstrap *b = n->boot;
  endpoint *e = next_one(b);
  if (e == NULL) {
    return;
  }
  const torc_link *l = torc_link_of_peer(n, &e->peer);
  e->is_tried = true;
  b->round_end = torc_time_add(n->now, ROUND_LIMIT);
  if (l != NULL && is_usable(l)) {
    ping_link(n, e, l); /* of an earlier round */
  } else {
    (void)open_endpoint(n, e, &e->token);
  }
}

/* When there is something to do the next time. Nothing is under way: at once. */
static void schedule(torc_node *n) {
  struct torc_bootstrap *b = n->boot;
  torc_time at = b->round_end;
  if (!any_open(b)) {
    at = n->now;
  } else if (next_one(b) != NULL) {
    at = b->round_end - ROUND_LIMIT + STAGGER;
  }
  torc_timer_arm(&n->timers, &b->timer, at);
}

static void on_timer(torc_timer *t, torc_time now) {
  struct torc_bootstrap *b = TORC_CONTAINER_OF(t, struct torc_bootstrap, timer);
  torc_node *n = b->n;
  if (!b->is_running) {
    return;
  }
  if (b->round_end == 0) {
    round_start(n);
  } else if (next_one(b) != NULL) {
    open_next(n);
    schedule(n);
  } else if (now >= b->round_end || !any_open(b)) {
    round_failed(n);
  } else {
    schedule(n);
  }
}

static void round_start(torc_node *n) {
  struct torc_bootstrap *b = n->boot;
  n->stats->bootstrap_tries++;
  b->yields = false;
  b->num_found = 0;
  for (size_t i = 0; i < b->num; i++) {
    b->list[i].is_tried = false;
  }
  b->round_end = torc_time_add(n->now, ROUND_LIMIT);
  torc_rings_borrow_some(n);
  if (n->phase == TORC_PHASE_DISCONNECTED || n->first != NULL) {
    ask_links(n);
  }
  open_next(n); /* [BST-03] */
  schedule(n);
}

void torc_bootstrap_start(torc_node *n) {
  struct torc_bootstrap *b = n->boot;
  if (b->is_running) {
    return;
  }
  mark_bad(b);
  b->is_running = true;
  b->num_pinging = 0;
  b->epoch++;
  b->tries = 0;
  b->backoff = RETRY_FIRST;
  if (n->phase == TORC_PHASE_NEW) {
    torc_node_set_phase(n, TORC_PHASE_BOOTSTRAPPING);
  }
  round_start(n);
}

/* One of those under way has come to nothing: the next one need not wait. */
static void round_over(torc_node *n) {
  struct torc_bootstrap *b = n->boot;
  if (!b->is_running || b->round_end == 0) {
    return;
  }
  open_next(n);
  if (any_open(b) || next_one(b) != NULL) {
    schedule(n);
  } else {
    round_failed(n);
  }
}

int torc_bootstrap_discovered(torc_node *n, const torc_endpoint *at) {
  struct torc_bootstrap *b = n->boot;
  if (!b->is_running || b->round_end == 0 || b->num_found == FOUND_MAX || at->is_group) {
    return TORC_ERR_STATE;
  }
  for (size_t i = 0; i < num_all(b); i++) {
    const endpoint *e = at_index(b, i);
    if (e->port == at->port && strcmp(e->host, at->host) == 0) {
      return TORC_ERR_EXISTS;
    }
  }
  if (b->found == NULL) {
    b->found = torc_calloc(n->mem, FOUND_MAX, sizeof *b->found);
  }
  if (b->found == NULL) {
    return TORC_ERR_NOMEM;
  }
  found_peer *f = &b->found[b->num_found];
  char *text = f->host;
  memset(f, 0, sizeof *f);
  f->e = endpoint_of(at, &text);
  b->num_found++;
  TORC_LOG(n->log, TORC_LOG_INFO, "bootstrap:discovered", TORC_F_ID("peer", &at->peer));
  schedule(n);
  return 0;
}

/* ---- probes [GAP-124] ---- */

static void probe_end(torc_node *n, int rc, const torc_id *responder) {
  probe *p = &n->boot->probe;
  p->is_active = false;
  if (rc == 0) {
    n->boot->learned_through = p->through;
    n->boot->has_learned = true;
  }
  if (n->topo != NULL) {
    n->topo_ops->on_ping_done(n->topo, p->cookie, rc, responder);
  }
}

static void on_probe(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  (void)ctx;
  if (n->boot->probe.is_active && n->boot->probe.cookie == cookie) {
    probe_end(n,
              reply->rc != 0                ? reply->rc
              : reply->code == TORC_CODE_OK ? 0
                                            : TORC_ERR_REFUSED,
              &reply->responder);
  }
}

static int probe_ping(torc_node *n, const torc_link *l) {
  probe *p = &n->boot->probe;
  uint8_t payload[1] = {0};
  torc_request r = {.method = TORC_METHOD_PING,
                    .payload = torc_slice_of(payload, 1),
                    .num_route = 2,
                    .link = l->id,
                    .limit = PING_LIMIT,
                    .done = on_probe};
  r.cookie = p->cookie;
  r.route[0] = l->peer;
  r.route[1] = p->target;
  p->through = l->peer;
  p->open = 0;
  return torc_request_start(n, &r, NULL);
}

int torc_bootstrap_probe(torc_node *n, const torc_id *target, torc_token cookie) {
  struct torc_bootstrap *b = n->boot;
  size_t start = 0;
  if (b->probe.is_active) {
    return TORC_ERR_STATE;
  }
  if (b->num == 0) {
    return TORC_ERR_NOTFOUND;
  }
  start = torc_rng_below(&n->rng, b->num);
  for (size_t k = 0; k < b->num; k++) {
    endpoint *e = &b->list[(start + k) % b->num];
    torc_link *l = torc_link_of_peer(n, &e->peer);
    if (e->is_self || e->is_cached || e->is_group) {
      continue;
    }
    b->probe = (probe){.is_active = true, .target = *target, .cookie = cookie};
    int rc = l != NULL ? probe_ping(n, l) : open_endpoint(n, e, &b->probe.open);
    if (rc == 0 && l == NULL) {
      e->token = b->probe.open;
    }
    b->probe.is_active = rc == 0;
    return rc;
  }
  return TORC_ERR_NOTFOUND;
}

bool torc_bootstrap_learned(torc_node *n, const torc_id *peer, torc_id *through) {
  *through = n->boot->learned_through;
  return n->boot->has_learned && !torc_id_eq(through, peer) &&
         torc_link_of_peer(n, through) != NULL;
}

/* ---- what became of an OPEN ---- */

static endpoint *find_token(struct torc_bootstrap *b, torc_token token) {
  for (size_t i = 0; token != 0 && i < num_all(b); i++) {
    if (at_index(b, i)->token == token) {
      return at_index(b, i);
    }
  }
  return NULL;
}

void torc_bootstrap_link_up(torc_node *n, torc_link *l, torc_token token) {
  struct torc_bootstrap *b = n->boot;
  endpoint *e = find_token(b, token);
  if (b->probe.is_active && b->probe.open != 0 && b->probe.open == token && probe_ping(n, l) != 0) {
    probe_end(n, TORC_ERR_LIMIT, &torc_id_zero);
  }
  if (e == NULL) {
    return;
  }
  e->token = 0;
  e->peer = l->peer;
  if (b->is_running) {
    ping_link(n, e, l);
    if (b->round_end != 0) {
      schedule(n);
    }
  }
}

bool torc_bootstrap_failed(torc_node *n, torc_token token, int rc) {
  struct torc_bootstrap *b = n->boot;
  endpoint *e = find_token(b, token);
  bool is_probe = b->probe.is_active && b->probe.open != 0 && b->probe.open == token;
  if (is_probe) {
    probe_end(n, rc, &torc_id_zero);
  }
  if (e != NULL) {
    e->token = 0;
    e->is_self = rc == TORC_ERR_EXISTS;
    round_over(n);
  }
  return e != NULL || is_probe;
}
