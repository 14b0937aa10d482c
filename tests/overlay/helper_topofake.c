/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topofake.h"

torc_id topofake_id(unsigned n) {
  torc_id id = {{0}};
  id.b[0] = (uint8_t)(n >> 8);
  id.b[1] = (uint8_t)n;
  return id;
}

static topofake_call *record(topofake *f, topofake_kind kind, torc_token cookie) {
  topofake_call *c;
  assert_true(f->num_calls < TOPOFAKE_CALLS_MAX);
  c = &f->calls[f->num_calls];
  f->num_calls++;
  memset(c, 0, sizeof *c);
  c->kind = kind;
  c->cookie = cookie;
  return c;
}

static torc_time fake_now(void *ctx) {
  return ((topofake *)ctx)->now;
}

static bool fake_is_linked(void *ctx, const torc_id *peer) {
  topofake *f = ctx;
  for (size_t i = 0; i < f->num_linked; i++) {
    if (torc_id_eq(&f->linked[i], peer)) {
      return true;
    }
  }
  return false;
}

static int fake_connect(void *ctx, const torc_id *target, bool is_exact, const torc_id *via,
                        torc_token cookie) {
  topofake *f = ctx;
  topofake_call *c;
  if (f->refuse_calls) {
    return TORC_ERR_LIMIT;
  }
  c = record(f, FAKE_CONNECT, cookie);
  c->target = *target;
  c->is_exact = is_exact;
  if (via != NULL) {
    c->has_via = true;
    c->via = *via;
  }
  return 0;
}

static int fake_ping(void *ctx, const torc_id *target, const torc_id *via, torc_token cookie) {
  topofake *f = ctx;
  topofake_call *c;
  if (f->refuse_calls) {
    return TORC_ERR_LIMIT;
  }
  c = record(f, FAKE_PING, cookie);
  c->target = *target;
  if (via != NULL) {
    c->has_via = true;
    c->via = *via;
  }
  return 0;
}

static int fake_request(void *ctx, const torc_id *peer, torc_method method, torc_slice payload,
                        torc_token cookie) {
  topofake *f = ctx;
  topofake_call *c;
  if (f->refuse_calls || !fake_is_linked(ctx, peer)) {
    return TORC_ERR_NOTFOUND;
  }
  c = record(f, FAKE_REQUEST, cookie);
  c->target = *peer;
  c->method = method;
  assert_true(payload.len <= sizeof c->payload);
  memcpy(c->payload, payload.p, payload.len);
  c->len = payload.len;
  return 0;
}

static int fake_transfer(void *ctx, const torc_id *peer, const torc_id *from, const torc_id *to,
                         torc_token cookie) {
  topofake *f = ctx;
  topofake_call *c;
  assert_true(fake_is_linked(ctx, peer));
  if (f->refuse_calls) {
    return TORC_ERR_LIMIT;
  }
  c = record(f, FAKE_TRANSFER, cookie);
  c->target = *peer;
  c->from = *from;
  c->to = *to;
  return 0;
}

static void fake_drop(void *ctx, const torc_id *from, const torc_id *to) {
  topofake_call *c = record(ctx, FAKE_DROP, 0);
  c->from = *from;
  c->to = *to;
}

static void fake_took_over(void *ctx, const torc_id *from, const torc_id *to, bool has_copies) {
  (void)has_copies;
  topofake_call *c = record(ctx, FAKE_TOOK_OVER, 0);
  c->from = *from;
  c->to = *to;
}

static void unlink_peer(topofake *f, const torc_id *peer) {
  for (size_t i = 0; i < f->num_linked; i++) {
    if (torc_id_eq(&f->linked[i], peer)) {
      f->num_linked--;
      f->linked[i] = f->linked[f->num_linked];
      return;
    }
  }
}

static void fake_close(void *ctx, const torc_id *peer) {
  topofake_call *c = record(ctx, FAKE_CLOSE, 0);
  c->target = *peer;
  unlink_peer(ctx, peer);
}

static void fake_state_changed(void *ctx, torc_topology_state state) {
  ((topofake *)ctx)->state = state;
}

static int fake_ping_bootstrap(void *ctx, const torc_id *target, torc_token cookie) {
  topofake *f = ctx;
  topofake_call *c;
  if (f->no_bootstrap) {
    return TORC_ERR_NOTFOUND;
  }
  c = record(f, FAKE_BOOT_PING, cookie);
  c->target = *target;
  return 0;
}

static bool fake_has_data(void *ctx) {
  return ((topofake *)ctx)->has_data;
}

static size_t fake_links(void *ctx, torc_id *out, size_t max) {
  const topofake *f = ctx;
  for (size_t i = 0; i < f->num_linked && i < max; i++) {
    out[i] = f->linked[i];
  }
  return f->num_linked;
}

static const torc_topology_host_ops fake_ops = {.now = fake_now,
                                                .is_linked = fake_is_linked,
                                                .links = fake_links,
                                                .connect = fake_connect,
                                                .ping = fake_ping,
                                                .request = fake_request,
                                                .transfer = fake_transfer,
                                                .drop_range = fake_drop,
                                                .took_over = fake_took_over,
                                                .close_link = fake_close,
                                                .state_changed = fake_state_changed,
                                                .ping_bootstrap = fake_ping_bootstrap,
                                                .has_data = fake_has_data};

int topofake_create(topofake *f, const char *algorithm, unsigned self, const torc_mem *mem) {
  memset(f, 0, sizeof *f);
  f->now = TORC_SEC(100);
  torc_timers_init(&f->timers);
  torc_rng_seed(&f->rng, 42);
  f->host = (torc_topology_host){.ops = &fake_ops,
                                 .ctx = f,
                                 .stats = &f->stats,
                                 .mem = mem != NULL ? mem : torc_mem_libc(),
                                 .timers = &f->timers,
                                 .rng = &f->rng,
                                 .self = topofake_id(self)};
  assert_int_equal(torc_topology_find(algorithm, &f->ops, &f->params), 0);
  return f->ops->create(&f->t, &f->host, &f->params);
}

void topofake_init(topofake *f, const char *algorithm, unsigned self) {
  assert_int_equal(topofake_create(f, algorithm, self, NULL), 0);
}

void topofake_clear(topofake *f) {
  f->ops->destroy(f->t);
  assert_int_equal(f->timers.num_armed, 0);
}

void topofake_run(topofake *f, torc_time duration) {
  torc_time end = f->now + duration;
  while (torc_timers_next(&f->timers) <= end) {
    torc_time at = torc_timers_next(&f->timers);
    f->now = at > f->now ? at : f->now;
    torc_timers_run(&f->timers, f->now);
  }
  f->now = end;
}

void topofake_link(topofake *f, unsigned peer) {
  torc_id id = topofake_id(peer);
  if (!fake_is_linked(f, &id)) {
    assert_true(f->num_linked < 600);
    f->linked[f->num_linked] = id;
    f->num_linked++;
  }
}

void topofake_link_up(topofake *f, unsigned peer) {
  torc_id id = topofake_id(peer);
  topofake_link(f, peer);
  f->ops->on_link_up(f->t, &id);
}

void topofake_link_down(topofake *f, unsigned peer) {
  torc_id id = topofake_id(peer);
  unlink_peer(f, &id);
  f->ops->on_link_down(f->t, &id);
}

size_t topofake_count(const topofake *f, topofake_kind kind, torc_method method) {
  size_t num = 0;
  for (size_t i = 0; i < f->num_calls; i++) {
    num += f->calls[i].kind == kind && (method == 0 || f->calls[i].method == method) ? 1 : 0;
  }
  return num;
}

static topofake_call take_at(topofake *f, size_t i) {
  topofake_call c = f->calls[i];
  f->num_calls--;
  memmove(&f->calls[i], &f->calls[i + 1], (f->num_calls - i) * sizeof f->calls[0]);
  return c;
}

topofake_call topofake_take(topofake *f, topofake_kind kind, torc_method method) {
  for (size_t i = 0; i < f->num_calls; i++) {
    if (f->calls[i].kind == kind && (method == 0 || f->calls[i].method == method)) {
      return take_at(f, i);
    }
  }
  fail_msg("no call of kind %d", (int)kind);
  return f->calls[0];
}

bool topofake_find(topofake *f, topofake_kind kind, torc_method method, unsigned target,
                   topofake_call *out) {
  torc_id id = topofake_id(target);
  for (size_t i = 0; i < f->num_calls; i++) {
    if (f->calls[i].kind == kind && (method == 0 || f->calls[i].method == method) &&
        torc_id_eq(&f->calls[i].target, &id)) {
      *out = take_at(f, i);
      return true;
    }
  }
  return false;
}

void topofake_forget(topofake *f) {
  f->num_calls = 0;
}

void topofake_pong(topofake *f, const topofake_call *c, unsigned responder) {
  torc_id id = topofake_id(responder);
  f->ops->on_ping_done(f->t, c->cookie, responder == 0 ? TORC_ERR_TIMEOUT : 0, &id);
}

void topofake_connected(topofake *f, const topofake_call *c, unsigned peer) {
  torc_id id = topofake_id(peer);
  if (peer != 0) {
    topofake_link_up(f, peer);
  }
  f->ops->on_connect_done(f->t, c->cookie, peer == 0 ? TORC_ERR_TIMEOUT : 0, &id);
}

void topofake_answer(topofake *f, const topofake_call *c, uint16_t code) {
  torc_slice empty = {0};
  if (c->kind == FAKE_TRANSFER) {
    f->ops->on_transfer_done(f->t, c->cookie, code == TORC_CODE_OK ? 0 : TORC_ERR_REFUSED);
  } else {
    f->ops->on_response(f->t, c->cookie, code == 0 ? TORC_ERR_TIMEOUT : 0, code, empty);
  }
}

/* Who of the linked peers owns `id`; 0: none. */
static unsigned owner_of(const topofake *f, const torc_id *id) {
  torc_id best = torc_id_wildcard;
  unsigned found = 0;
  for (size_t i = 0; i < f->num_linked; i++) {
    torc_id dist = torc_id_distance(id, &f->linked[i]);
    if (torc_id_cmp(&dist, &best) < 0) {
      best = dist;
      found = ((unsigned)f->linked[i].b[0] << 8) + f->linked[i].b[1];
    }
  }
  return found;
}

void topofake_please(topofake *f) {
  for (size_t round = 0; round < 1000 && f->num_calls > 0; round++) {
    topofake_call c = take_at(f, 0);
    unsigned n = ((unsigned)c.target.b[0] << 8) + c.target.b[1];
    if (c.kind == FAKE_REQUEST || c.kind == FAKE_TRANSFER) {
      topofake_answer(f, &c, TORC_CODE_OK);
    } else if (c.kind == FAKE_CONNECT) {
      topofake_connected(f, &c, c.is_exact ? n : owner_of(f, &c.target));
    } else if (c.kind == FAKE_PING) {
      topofake_pong(f, &c, n);
    } else if (c.kind == FAKE_BOOT_PING) {
      topofake_pong(f, &c, 0);
    }
  }
}

uint16_t topofake_request(topofake *f, unsigned from, torc_method method, torc_slice payload) {
  torc_topology_reply reply = {0};
  torc_id id = topofake_id(from);
  f->ops->on_request(f->t, method, &id, payload, &reply);
  assert_int_equal(reply.payload.len, 0);
  return reply.code;
}

static uint16_t notice(topofake *f, unsigned from, unsigned named, torc_method method) {
  uint8_t buf[64];
  torc_wr wr;
  torc_peer_notice n = {.peer = topofake_id(named)};
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_peer_notice_put(&wr, &n), 0);
  return topofake_request(f, from, method, torc_wr_slice(&wr));
}

uint16_t topofake_join(topofake *f, unsigned from, unsigned named) {
  return notice(f, from, named, TORC_METHOD_JOIN);
}

uint16_t topofake_leave(topofake *f, unsigned from, unsigned named) {
  return notice(f, from, named, TORC_METHOD_LEAVE);
}

uint16_t topofake_update(topofake *f, unsigned from, const unsigned *preds, const unsigned *succs) {
  uint8_t buf[600];
  torc_wr wr;
  torc_chord_update u = {.num_predecessors = 0};
  for (size_t i = 0; preds[i] != 0; i++) {
    u.predecessors[u.num_predecessors++] = topofake_id(preds[i]);
  }
  for (size_t i = 0; succs[i] != 0; i++) {
    u.successors[u.num_successors++] = topofake_id(succs[i]);
  }
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_chord_update_put(&wr, &u), 0);
  return topofake_request(f, from, TORC_METHOD_UPDATE, torc_wr_slice(&wr));
}

void topofake_ring(topofake *f, const unsigned *peers) {
  static const unsigned none[] = {0};
  assert_int_equal(f->ops->start(f->t, NULL), 0);
  for (size_t i = 0; peers[i] != 0; i++) {
    topofake_link(f, peers[i]);
    assert_int_equal(topofake_update(f, peers[i], none, none), TORC_CODE_OK);
  }
  for (size_t i = 0; i < 20; i++) {
    topofake_run(f, TORC_MS(500));
    topofake_please(f);
  }
  topofake_forget(f);
}

torc_topology_view topofake_view(const topofake *f) {
  torc_topology_view v;
  f->ops->view(f->t, &v);
  return v;
}
