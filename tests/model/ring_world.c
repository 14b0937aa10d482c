/* What a peer of the model has around it: the functions its ring code calls, links, and copies of
 * the value [src/overlay/node/topology_host.c, copy.c, handle_write.c, links.c, trans.c].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ring_world.h"

#include <stdlib.h>
#include <string.h>

#define PING_LIMIT TORC_SEC(32)
#define CONNECT_LIMIT TORC_SEC(35)
#define REPLICA_WAIT TORC_SEC(2)
#define TRANSFER_LIMIT TORC_SEC(10)
#define COPY_RETRY TORC_MS(50)
#define REBOOT_DELAY TORC_SEC(1)

model_state model;
bool model_is_started, model_is_traced;
const torc_topology_ops *model_ops;
torc_topology_params model_params;

/* ---- names ---- */

torc_id model_id_of(unsigned i) {
  torc_id id = {{0}};
  id.b[0] = (uint8_t)(16 * (i + 1));
  return id;
}

torc_id model_key_id(void) {
  torc_id id = model_id_of(KEY);
  id.b[0] = (uint8_t)(id.b[0] - 8);
  return id;
}

/* NOBODY: no peer's. */
unsigned model_index_of(const torc_id *id) {
  torc_id same;
  unsigned i = (unsigned)(id->b[0] / 16);
  if (i == 0 || i > PEERS) {
    return NOBODY;
  }
  same = model_id_of(i - 1);
  return torc_id_eq(&same, id) ? i - 1 : NOBODY;
}

static model_peer *peer_of(void *ctx) {
  return ctx;
}

unsigned model_number_of(const model_peer *p) {
  return (unsigned)(p - model.peers);
}

void model_broken(const char *what) {
  fprintf(stderr, "ring_model: %s\n", what);
  exit(3);
}

/* ---- what the ring code is given in place of chance and memory ---- */

/* Different for every peer, the same in every run: chance would only choose among timings. */
uint64_t __wrap_torc_rng_below(torc_rng *rng, uint64_t bound);
uint64_t __wrap_torc_rng_below(torc_rng *rng, uint64_t bound) {
  for (unsigned i = 0; i < PEERS; i++) {
    if (rng == &model.peers[i].rng) {
      return bound * (2 * i + 1) / (2 * PEERS);
    }
  }
  return 0;
}

/* First fit; what is freed is used again, so that the state does not grow. */
typedef struct block {
  size_t size; /* with this head */
  bool is_used;
} block;
#define HEAD 16

static block *block_at(model_peer *p, size_t at) {
  return (block *)(void *)(p->arena + at);
}

static void *arena_alloc(void *ctx, size_t size) {
  model_peer *p = ctx;
  size_t want = HEAD + ((size + 15) & ~(size_t)15);
  size_t at = 0;
  while (at < ARENA) {
    block *b = block_at(p, at);
    while (!b->is_used && at + b->size < ARENA && !block_at(p, at + b->size)->is_used) {
      b->size += block_at(p, at + b->size)->size;
    }
    if (!b->is_used && b->size >= want) {
      if (b->size > want) {
        *block_at(p, at + want) = (block){.size = b->size - want};
      }
      *b = (block){.size = want, .is_used = true};
      return p->arena + at + HEAD;
    }
    at += b->size;
  }
  model_broken("no room in the arena");
  return NULL;
}

static void arena_free(void *ctx, void *mem) {
  (void)ctx;
  if (mem != NULL) {
    ((block *)(void *)((uint8_t *)mem - HEAD))->is_used = false;
  }
}

static void *arena_realloc(void *ctx, void *old, size_t size) {
  void *fresh = arena_alloc(ctx, size);
  if (old != NULL) {
    size_t had = ((block *)(void *)((uint8_t *)old - HEAD))->size - HEAD;
    memcpy(fresh, old, had < size ? had : size);
    arena_free(ctx, old);
  }
  return fresh;
}

static torc_mem mem_of[PEERS];
static torc_topology_host host_of[PEERS];
static torc_topology_stats stats_of[PEERS]; /* counted and not looked at: no part of the state */
static torc_log log_of[PEERS];

static void on_log(void *ctx, torc_log_level level, const char *name, const torc_field *fields,
                   size_t num) {
  (void)level;
  if (!model_is_traced) {
    return;
  }
  printf("            n%u: %s", model_number_of(ctx), name);
  for (size_t i = 0; i < num; i++) {
    if (fields[i].kind == TORC_FIELD_ID) {
      printf(" %s=n%u", fields[i].key, model_index_of(fields[i].v.id));
    } else if (fields[i].kind == TORC_FIELD_STR) {
      printf(" %s=%s", fields[i].key, fields[i].v.str);
    } else {
      printf(" %s=%lld", fields[i].key, (long long)fields[i].v.u64);
    }
  }
  printf("\n");
}

/* ---- messages ---- */

model_message *model_push(unsigned kind, unsigned from, unsigned to) {
  model_message *m;
  if (model.num_messages == MESSAGES_MAX) {
    model.is_full = true;
    model.num_messages--;
  }
  m = &model.messages[model.num_messages++];
  memset(m, 0, sizeof *m);
  m->kind = (uint8_t)kind;
  m->from = (uint8_t)from;
  m->to = (uint8_t)to;
  return m;
}

void model_remove_message(size_t i) {
  model.num_messages--;
  memmove(&model.messages[i], &model.messages[i + 1],
          (model.num_messages - i) * sizeof model.messages[0]);
}

/* Messages from a to b; NOBODY: from or to everybody. */
void model_drop_messages(unsigned a, unsigned b) {
  size_t i = 0;
  while (i < model.num_messages) {
    const model_message *m = &model.messages[i];
    if ((a == NOBODY || m->from == a) && (b == NOBODY || m->to == b)) {
      model_remove_message(i);
    } else {
      i++;
    }
  }
}

size_t model_head_of(unsigned from, unsigned to) {
  for (size_t i = 0; i < model.num_messages; i++) {
    if (model.messages[i].from == from && model.messages[i].to == to) {
      return i;
    }
  }
  return MESSAGES_MAX;
}

model_op *model_push_op(unsigned kind, unsigned peer, torc_token cookie) {
  model_op *op;
  if (model.num_ops == OPS_MAX) {
    model.is_full = true;
    model.num_ops--;
  }
  op = &model.ops[model.num_ops++];
  memset(op, 0, sizeof *op);
  op->kind = (uint8_t)kind;
  op->peer = (uint8_t)peer;
  op->cookie = cookie;
  op->via = NOBODY;
  return op;
}

void model_remove_op(size_t i) {
  model.num_ops--;
  memmove(&model.ops[i], &model.ops[i + 1], (model.num_ops - i) * sizeof model.ops[0]);
}

/* ---- host functions ---- */

static torc_time host_now(void *ctx) {
  (void)ctx;
  return model.now;
}

static bool host_is_linked(void *ctx, const torc_id *peer) {
  unsigned i = model_index_of(peer);
  return i != NOBODY && model.links[model_number_of(peer_of(ctx))][i];
}

static int routed(unsigned kind, unsigned peer, const torc_id *target, bool is_exact,
                  const torc_id *via, torc_token cookie, torc_time limit) {
  model_op *op = model_push_op(kind, peer, cookie);
  op->target = *target;
  op->is_exact = is_exact;
  op->due = torc_time_add(model.now, limit);
  if (via != NULL && torc_id_eq(via, &torc_id_wildcard)) {
    op->via = model.peers[peer].learned_via;
  } else if (via != NULL) {
    op->via = (uint8_t)model_index_of(via);
  }
  return 0;
}

static int host_connect(void *ctx, const torc_id *target, bool is_exact, const torc_id *via,
                        torc_token cookie) {
  unsigned me = model_number_of(peer_of(ctx));
  if (is_exact && host_is_linked(ctx, target)) {
    model_push_op(MODEL_LINKED, me, cookie)->target = *target;
    return 0;
  }
  return routed(MODEL_CONNECT, me, target, is_exact, via, cookie, CONNECT_LIMIT);
}

static int host_ping(void *ctx, const torc_id *target, const torc_id *via, torc_token cookie) {
  return routed(MODEL_PING, model_number_of(peer_of(ctx)), target, false, via, cookie, PING_LIMIT);
}

static int host_ping_bootstrap(void *ctx, const torc_id *target, torc_token cookie) {
  return routed(MODEL_BOOT_PING, model_number_of(peer_of(ctx)), target, false, NULL, cookie,
                PING_LIMIT);
}

static uint8_t short_list(uint8_t *out, const torc_id *ids, size_t num) {
  for (size_t i = 0; i < num; i++) {
    if (i >= PEERS || model_index_of(&ids[i]) == NOBODY) {
      model_broken("an UPDATE lists somebody unknown");
    }
    out[i] = (uint8_t)model_index_of(&ids[i]);
  }
  return (uint8_t)num;
}

static int host_request(void *ctx, const torc_id *peer, torc_method method, torc_slice payload,
                        torc_token cookie) {
  unsigned me = model_number_of(peer_of(ctx));
  unsigned to = model_index_of(peer);
  torc_chord_update u;
  model_message *m;
  if (to == NOBODY || !model.links[me][to]) {
    return TORC_ERR_CLOSED;
  }
  if (!model.peers[to].is_alive) {
    return 0; /* the word that the link is down is under way */
  }
  m = model_push(MODEL_REQUEST, me, to);
  m->method = (uint8_t)method;
  m->cookie = cookie;
  if (method == TORC_METHOD_UPDATE) {
    if (torc_chord_update_decode(&u, payload) != 0) {
      model_broken("an UPDATE does not parse");
    }
    m->num_preds = short_list(m->preds, u.predecessors, u.num_predecessors);
    m->num_succs = short_list(m->succs, u.successors, u.num_successors);
  }
  return 0;
}

/* ---- copies of the value ---- */

void model_copy_ended(model_copy c, int rc);

static void send_copy(unsigned slot) {
  const model_copy *c = &model.copies[slot];
  model_message *m;
  if (!model.peers[c->to].is_alive) {
    return;
  }
  m = model_push(MODEL_COPY, c->from, c->to);
  m->slot = (uint8_t)slot;
  m->version = c->version;
}

static int start_copy(unsigned from, unsigned to, unsigned version, torc_token cookie,
                      unsigned write, torc_time limit) {
  unsigned slot = 0;
  if (!model.links[from][to]) {
    return TORC_ERR_CLOSED;
  }
  while (slot < COPIES_MAX && model.copies[slot].is_used) {
    slot++;
  }
  if (slot == COPIES_MAX) {
    model_broken("too many copies");
  }
  model.copies[slot] = (model_copy){.cookie = cookie,
                                    .delay = COPY_RETRY,
                                    .deadline = torc_time_add(model.now, limit),
                                    .from = (uint8_t)from,
                                    .to = (uint8_t)to,
                                    .version = (uint8_t)version,
                                    .write = (uint8_t)write,
                                    .is_used = true};
  send_copy(slot);
  return 0;
}

static void release_write(unsigned w) {
  model_write done = model.writes[w];
  model.writes[w].waiting--;
  if (model.writes[w].waiting > 0) {
    return;
  }
  model.writes[w] = (model_write){0};
  if (done.answer_to == NOBODY) {
    SAY("n%u answers the STORE of version %u", done.peer, done.version);
    model.answered = done.version > model.answered ? done.version : model.answered;
  } else if (model.links[done.peer][done.answer_to] && model.peers[done.answer_to].is_alive) {
    model_message *m = model_push(MODEL_COPY_ANSWER, done.peer, done.answer_to);
    m->slot = done.slot;
    m->code = TORC_CODE_OK;
  }
}

/* src/overlay/node/handle_write.c: stores, sends copies, answers when they have arrived. */
void model_write_here(unsigned me, unsigned version, bool must_replicate, unsigned answer_to,
                      unsigned slot) {
  model_peer *p = &model.peers[me];
  torc_id replicas[TORC_REPLICAS_MAX];
  torc_id key = model_key_id();
  unsigned w = 0;
  size_t num = 0;
  while (w < WRITES_MAX && model.writes[w].is_used) {
    w++;
  }
  if (w == WRITES_MAX) {
    model_broken("too many writes");
  }
  p->version = version > p->version ? (uint8_t)version : p->version;
  if (must_replicate) {
    num = model_ops->replicas(p->topo, &key, replicas);
  }
  model.writes[w] = (model_write){.peer = (uint8_t)me,
                                  .version = (uint8_t)version,
                                  .waiting = (uint8_t)(num + 1),
                                  .answer_to = (uint8_t)answer_to,
                                  .slot = (uint8_t)slot,
                                  .is_used = true};
  for (size_t i = 0; i < num; i++) {
    unsigned to = model_index_of(&replicas[i]);
    if (start_copy(me, to, version, 0, w, REPLICA_WAIT) != 0) {
      model_ops->on_copy_failed(p->topo, &replicas[i]);
      release_write(w);
    }
  }
  release_write(w);
}

/* src/overlay/node/copy.c. */
void model_copy_ended(model_copy c, int rc) {
  model_peer *p = &model.peers[c.from];
  torc_id to = model_id_of(c.to);
  if (c.cookie != 0) {
    model_op *op = model_push_op(MODEL_TRANSFERRED, c.from, c.cookie);
    op->rc = rc;
    return;
  }
  if (rc != 0) {
    model_ops->on_copy_failed(p->topo, &to);
  }
  release_write(c.write);
}

static int host_transfer(void *ctx, const torc_id *peer, const torc_id *from, const torc_id *to,
                         torc_token cookie) {
  unsigned me = model_number_of(peer_of(ctx));
  unsigned other = model_index_of(peer);
  torc_id key = model_key_id();
  if (other == NOBODY || !model.links[me][other]) {
    return TORC_ERR_CLOSED;
  }
#ifdef BUG_NO_COPY
  model_push_op(MODEL_TRANSFERRED, me, cookie);
  return 0;
#endif
  if (model.peers[me].version == 0 || !torc_id_in_open_closed(&key, from, to)) {
    model_push_op(MODEL_TRANSFERRED, me, cookie);
    return 0;
  }
  return start_copy(me, other, model.peers[me].version, cookie, 0, TRANSFER_LIMIT);
}

static void host_drop_range(void *ctx, const torc_id *from, const torc_id *to) {
  torc_id key = model_key_id();
  model_peer *p = ctx;
  if (torc_id_in_open_closed(&key, from, to)) {
    SAY("n%u drops the value", model_number_of(p));
    p->version = 0;
  }
}

static void host_took_over(void *ctx, const torc_id *from, const torc_id *to, bool has_copies) {
  (void)has_copies;
  (void)ctx;
  (void)from;
  (void)to;
}

static bool host_has_data(void *ctx) {
  return peer_of(ctx)->version != 0;
}

static void close_both(unsigned a, unsigned b) {
  if (model.links[a][b] && model.peers[a].is_alive) {
    model_push(MODEL_DOWN, b, a);
  }
  if (model.links[b][a] && model.peers[b].is_alive) {
    model_push(MODEL_DOWN, a, b);
  }
}

static void host_close_link(void *ctx, const torc_id *peer) {
  unsigned me = model_number_of(peer_of(ctx));
  unsigned other = model_index_of(peer);
  if (other != NOBODY && model.links[me][other]) {
    close_both(me, other);
  }
}

/* src/overlay/node/topology_host.c and bootstrap.c. */
static void host_state_changed(void *ctx, torc_topology_state state) {
  model_peer *p = ctx;
  unsigned me = model_number_of(p);
  size_t i = 0;
  p->state = state;
  p->has_left = state == TORC_TOPO_LEFT;
  if (state == TORC_TOPO_JOINED) {
    while (i < model.num_ops) { /* torc_bootstrap_stop */
      if (model.ops[i].kind == MODEL_REBOOT && model.ops[i].peer == me) {
        model_remove_op(i);
      } else {
        i++;
      }
    }
  } else if (state == TORC_TOPO_DISCONNECTED) {
    for (i = 0; i < model.num_ops; i++) {
      if (model.ops[i].kind == MODEL_REBOOT && model.ops[i].peer == me) {
        return;
      }
    }
    model_push_op(MODEL_REBOOT, me, 0)->due = torc_time_add(model.now, REBOOT_DELAY);
  }
}

static size_t host_links(void *ctx, torc_id *out, size_t max) {
  unsigned me = model_number_of(peer_of(ctx));
  size_t num = 0;
  for (unsigned i = 0; i < PEERS; i++) {
    if (model.links[me][i]) {
      if (num < max) {
        out[num] = model_id_of(i);
      }
      num++;
    }
  }
  return num;
}

static const torc_topology_host_ops host_ops = {.now = host_now,
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
                                                .has_data = host_has_data};

/* ---- links ---- */

/* What waits at `a` for an answer of `b` ends [src/overlay/node/trans.c]. */
static void fail_requests(unsigned a, unsigned b) {
  model_peer *p = &model.peers[a];
  torc_id other = model_id_of(b);
  torc_token cookies[TORC_RING_OPS_MAX];
  size_t num = 0;
  for (size_t i = 0; i < p->topo->num_ops; i++) {
    const torc_ring_op *op = &p->topo->ops[i];
    bool is_request = op->kind == TORC_OP_JOIN || op->kind == TORC_OP_UPDATE ||
                      op->kind == TORC_OP_CONFIRM || op->kind == TORC_OP_HANDOFF_UPDATE ||
                      op->kind == TORC_OP_HANDOFF_NOTICE || op->kind == TORC_OP_GAP_JOIN ||
                      op->kind == TORC_OP_LEAVE;
    if (is_request && torc_id_eq(&op->peer, &other)) {
      cookies[num++] = op->cookie;
    }
  }
  for (size_t i = 0; i < num; i++) {
    model_ops->on_response(p->topo, cookies[i], TORC_ERR_CLOSED, 0, (torc_slice){NULL, 0});
  }
  for (unsigned s = 0; s < COPIES_MAX; s++) {
    model_copy c = model.copies[s];
    if (c.is_used && c.from == a && c.to == b) {
      model.copies[s] = (model_copy){0};
      for (size_t i = 0; i < model.num_ops; i++) {
        if (model.ops[i].kind == MODEL_RETRY && model.ops[i].slot == s) {
          model_remove_op(i);
          break;
        }
      }
      model_copy_ended(c, TORC_ERR_CLOSED);
    }
  }
}

void model_down(unsigned me, unsigned other) {
  torc_id id = model_id_of(other);
  if (!model.links[me][other]) {
    return;
  }
  SAY("n%u learns that its link to n%u is down", me, other);
  model_drop_messages(other, me);
  model.links[me][other] = false;
#ifdef BUG_DEAF
  return;
#endif
  fail_requests(me, other);
  model_ops->on_link_down(model.peers[me].topo, &id);
}

/* A second link takes the place of the first. */
void model_link_up(unsigned a, unsigned b) {
  torc_id ida = model_id_of(a);
  torc_id idb = model_id_of(b);
  bool had_a = model.links[a][b];
  bool had_b = model.links[b][a];
  model_drop_messages(a, b);
  model_drop_messages(b, a);
  model.links[a][b] = true;
  model.links[b][a] = true;
  if (had_a) {
    fail_requests(a, b);
  }
  if (had_b) {
    fail_requests(b, a);
  }
  model_ops->on_link_up(model.peers[a].topo, &idb);
  model_ops->on_link_up(model.peers[b].topo, &ida);
}

/* ---- a peer ---- */

void model_make_peer(unsigned i) {
  model_peer *p = &model.peers[i];
  uint8_t kept = p->version;
  memset(p, 0, sizeof *p);
  p->version = kept;
  p->is_alive = true;
  p->learned_via = NOBODY;
  *block_at(p, 0) = (block){.size = ARENA};
  torc_timers_init(&p->timers);
  mem_of[i] = (torc_mem){p, arena_alloc, arena_realloc, arena_free};
  log_of[i] = (torc_log){p, TORC_LOG_DEBUG, on_log};
  host_of[i] = (torc_topology_host){.ops = &host_ops,
                                    .ctx = p,
                                    .mem = &mem_of[i],
                                    .timers = &p->timers,
                                    .rng = &p->rng,
                                    .log = &log_of[i],
                                    .stats = &stats_of[i],
                                    .self = model_id_of(i)};
  if (model_ops->create(&p->topo, &host_of[i], &model_params) != 0) {
    model_broken("create");
  }
}

void model_retry_copy(unsigned slot) {
  model_copy c = model.copies[slot];
  if (!model.links[c.from][c.to]) {
    model.copies[slot] = (model_copy){0};
    model_copy_ended(c, TORC_ERR_CLOSED);
  } else {
    send_copy(slot);
  }
}
