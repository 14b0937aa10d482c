/* The simulator as its users see it: creation, nodes, what is asked about them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/mem.h"
#include "impl.h"
#include "mix.h"
#include "model.h"

#define DEFAULT_ALGORITHM "chord-128-2-8"
#define SECOND_ALGORITHM "chord-128-2-24"
#define DEFAULT_WALL 1800000000u
#define DEFAULT_STORED ((uint64_t)1 << 20)
#define RING_LEAST 4u
#define MONTH_S 2592000u

static const char overlay_name[] = "sim.example";
static const char second_name[] = "second.sim.example";

void sim_fail(sim_worker *w, int rc, const char *what) {
  if (w->failed == NULL) {
    w->failed = what;
    w->failed_rc = rc;
  }
}

/* ---- creation ---- */

static void set_defaults(torc_sim_config *c) {
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  if (c->threads == 0) {
    c->threads = processors < 1 ? 1 : (unsigned)processors;
  }
  c->threads = c->threads > TORC_SIM_THREADS_MAX ? TORC_SIM_THREADS_MAX : c->threads;
  c->algorithm = c->algorithm == NULL ? DEFAULT_ALGORITHM : c->algorithm;
  c->num_bootstrap = c->num_bootstrap == 0 ? 4 : c->num_bootstrap;
  c->latency = c->latency == 0 ? TORC_MS(20) : c->latency;
  c->latency_min = c->latency_min == 0 ? TORC_MS(1) : c->latency_min;
  c->max_stored_bytes = c->max_stored_bytes == 0 ? DEFAULT_STORED : c->max_stored_bytes;
  c->flood_rate = c->flood_rate == 0 ? 100 : c->flood_rate;
  c->wall = c->wall == 0 ? DEFAULT_WALL : c->wall;
}

static void on_wake_moved(void *ctx, uint32_t node, uint32_t place) {
  sim_node_at(ctx, node)->wake = place;
}

static int worker_init(torc_sim *s, unsigned i) {
  sim_worker *w = &s->workers[i];
  w->sim = s;
  w->index = i;
  w->next_window = UINT64_MAX;
  w->wakes.ctx = s;
  w->wakes.moved = on_wake_moved;
  sim_pool_init(&w->pool, s->num_workers);
  sim_account_init(&w->nodes, &w->pool);
  sim_account_init(&w->stores, &w->pool);
  sim_account_init(&w->engine, &w->pool);
  int rc = torc_counters_new(&w->counters, &w->engine.mem);
  if (rc != 0) {
    return rc;
  }
  w->lanes = calloc(s->num_workers, sizeof *w->lanes);
  for (unsigned k = 0; w->lanes != NULL && k < s->num_workers; k++) {
    w->lanes[k].ring = calloc(s->ring_len, sizeof *w->lanes[k].ring);
    if (w->lanes[k].ring == NULL) {
      return TORC_ERR_NOMEM;
    }
  }
  return w->lanes == NULL ? TORC_ERR_NOMEM : 0;
}

static int workers_init(torc_sim *s) {
  torc_time most = s->latency.most + s->latency.most * s->cfg.jitter_permille / 1000;
  uint64_t windows = most / s->window_len + RING_LEAST;
  s->ring_len = windows > SIM_RING_MAX ? SIM_RING_MAX : (uint32_t)windows;
  s->workers = calloc(s->cfg.threads, sizeof *s->workers);
  if (s->workers == NULL) {
    return TORC_ERR_NOMEM;
  }
  s->num_workers = s->cfg.threads;
  for (unsigned i = 0; i < s->num_workers; i++) {
    int rc = worker_init(s, i);
    if (rc != 0) {
      return rc;
    }
  }
  return sim_team_new(s);
}

/* The reason must outlive a simulator that was not made. */
static const char *lasting(torc_sim *s, int rc) {
  static _Thread_local char text[200];
  (void)snprintf(text, sizeof text, "%s", s->why[0] != '\0' ? s->why : torc_strerror(rc));
  return text;
}

/* Whether nodes can be made as configured, found out with one. */
static int try_node(torc_sim *s) {
  torc_sim_index i = 0;
  int rc = torc_sim_add(s, NULL, &i);
  if (rc == 0) {
    sim_node *n = sim_node_at(s, 0);
    sim_host_down(n, TORC_SIM_VANISH);
    torc_sim_forget(s, 0);
    sim_link_clear(n->worker, n); /* it may have begun to dial */
    torc_free(&n->worker->engine.mem, n->cert);
    s->num = 0;
    s->num_touched = 0;
  }
  return rc;
}

static int sim_init(torc_sim *s) {
  int rc = sim_latency_init(&s->latency, &s->cfg);
  if (rc != 0) {
    (void)snprintf(s->why, sizeof s->why, "%s", s->latency.why);
    return rc;
  }
  s->window_len = s->latency.least;
  s->has_order = (s->cfg.jitter_permille > 0 && s->cfg.mtu == 0) || s->cfg.bits_per_second > 0;
  sim_connect_init(s);
  return workers_init(s);
}

int torc_sim_new(torc_sim **out, const torc_sim_config *cfg, const char **why) {
  torc_sim *s = calloc(1, sizeof *s);
  int rc = TORC_ERR_NOMEM;
  if (s != NULL) {
    s->cfg = *cfg;
    set_defaults(&s->cfg);
    s->algorithm = strdup(s->cfg.algorithm);
    s->cfg.algorithm = s->algorithm;
    rc = s->algorithm == NULL ? TORC_ERR_NOMEM : sim_init(s);
  }
  if (rc == 0) {
    void (*trace)(void *, const char *, size_t) = s->cfg.trace;
    s->cfg.trace = NULL;
    rc = try_node(s);
    s->cfg.trace = trace;
  }
  if (rc != 0) {
    if (why != NULL) {
      *why = s == NULL ? torc_strerror(rc) : lasting(s, rc);
    }
    torc_sim_free(s);
    return rc;
  }
  *out = s;
  return 0;
}

static void worker_free(torc_sim *s, sim_worker *w) {
  for (unsigned k = 0; w->lanes != NULL && k < s->num_workers; k++) {
    sim_lane *lane = &w->lanes[k];
    for (uint32_t b = 0; lane->ring != NULL && b < s->ring_len; b++) {
      sim_bucket_clear(&lane->ring[b], &w->chunks);
    }
    for (uint32_t i = 0; i < lane->num_far; i++) {
      if (lane->far[i].is_owned) {
        free(lane->far[i].u.bytes);
      }
    }
    free(lane->ring);
    free(lane->far);
  }
  sim_chunks_clear(&w->chunks);
  sim_heap_clear(&w->far);
  sim_heap_clear(&w->local);
  sim_wakes_clear(&w->wakes);
  sim_trace_clear(w);
  free(w->lanes);
  free(w->work);
  free(w->keys);
  free(w->spare);
  free(w->leavers);
  torc_counters_free(w->counters);
  sim_pool_clear(&w->pool);
}

void torc_sim_free(torc_sim *s) {
  if (s == NULL) {
    return;
  }
  s->cfg.trace = NULL;
  sim_team_free(s);
  for (uint32_t i = 0; i < s->num; i++) {
    sim_node *n = sim_node_at(s, i);
    torc_node_free(n->node);
    n->node = NULL;
    sim_hostile_clear(n->worker, n);
    sim_store_free(n->worker, &n->store);
    sim_store_free(n->worker, &n->second_store);
    sim_link_clear(n->worker, n);
    torc_free(&n->worker->engine.mem, n->logger);
  }
  for (uint32_t i = 0; i < s->num; i++) {
    sim_node *n = sim_node_at(s, i);
    torc_free(&n->worker->engine.mem, n->cert);
  }
  for (unsigned i = 0; i < s->num_workers; i++) {
    worker_free(s, &s->workers[i]);
  }
  for (uint32_t i = 0; i < s->num_chunks; i++) {
    free(s->chunks[i]);
  }
  free(s->chunks);
  free(s->workers);
  free(s->touched);
  sim_latency_clear(&s->latency);
  free(s->algorithm);
  free(s);
}

/* ---- what a node gets ---- */

static int node_random(void *ctx, uint8_t *out, size_t len) {
  sim_node *n = ctx;
  while (len > 0) {
    uint64_t v = sim_next(&n->rng);
    for (size_t i = 0; i < 8 && len > 0; i++, len--) {
      *out++ = (uint8_t)(v >> (8 * i));
    }
  }
  return 0;
}

static int node_sha256(void *ctx, const torc_slice *parts, size_t num,
                       uint8_t out[TORC_DIGEST_LEN]) {
  (void)ctx;
  sim_model_hash(parts, num, out);
  return 0;
}

/* The simulator keeps every certificate to its end. */
static void cert_release(void *ctx, torc_cert *cert) {
  (void)ctx;
  __atomic_sub_fetch(&cert->refs, 1, __ATOMIC_RELAXED);
}

/* A live peer that has been there for a while; SIM_TRIES in vain: any of the first ones. */
static uint32_t some_live(torc_sim *s, sim_node *n) {
  uint32_t older = n->index - n->index / 4;
  for (unsigned tries = 0; tries < SIM_TRIES; tries++) {
    uint32_t peer = (uint32_t)sim_below(&n->rng, older);
    const sim_node *p = sim_node_at(s, peer);
    if (p->node != NULL && p->role == TORC_ROLE_PEER) {
      return peer;
    }
  }
  return (uint32_t)sim_below(&n->rng, s->cfg.num_bootstrap);
}

/* The first four bootstrap peers know each other; everybody else is told of some of all, or of some
 * that live. */
static size_t bootstrap_of(torc_sim *s, sim_node *n, torc_endpoint out[SIM_NEAR_BOOTSTRAP]) {
  unsigned all = s->cfg.num_bootstrap;
  unsigned num = all < SIM_NEAR_BOOTSTRAP ? all : SIM_NEAR_BOOTSTRAP;
  bool is_founder = n->index < num;
  uint32_t first = is_founder ? 0 : (uint32_t)sim_below(&n->rng, all);
  memset(out, 0, num * sizeof *out);
  for (unsigned i = 0; i < num; i++) {
    uint32_t peer = (uint32_t)((first + (uint64_t)i * all / num) % all);
    if (s->cfg.tells_live && n->index >= all) {
      peer = some_live(s, n);
    }
    (void)sim_connect_host(is_founder ? i : peer, out[i].host, sizeof out[i].host);
    out[i].port = SIM_PORT;
  }
  return num;
}

static void fill_config(torc_sim *s, sim_node *n, torc_node_config *c,
                        torc_endpoint endpoints[SIM_NEAR_BOOTSTRAP]) {
  static const torc_type_def types[] = {{.id = TORC_SIM_TYPE_NOTE,
                                         .name = "note",
                                         .model = TORC_TYPE_DICTIONARY,
                                         .rule = TORC_RULE_USER_MATCH,
                                         .findable = true,
                                         .max_values = 1000,
                                         .max_size = 4096,
                                         .max_lifetime_s = MONTH_S},
                                        {.id = TORC_SIM_TYPE_SPREAD,
                                         .name = "spread",
                                         .model = TORC_TYPE_SINGLE,
                                         .rule = TORC_RULE_NODE_MULTIPLE,
                                         .findable = true,
                                         .max_values = 1,
                                         .max_size = 4096,
                                         .max_lifetime_s = MONTH_S}};
  const torc_sim_config *k = &s->cfg;
  *c = (torc_node_config){.size = sizeof *c,
                          .mem = &n->worker->nodes.mem,
                          .crypto = &n->crypto,
                          .log = sim_logger_log(n->logger),
                          .backend = n->store == NULL ? NULL : sim_store_backend(n->store),
                          .overlay_name = overlay_name,
                          .algorithm = s->algorithm,
                          .role = (torc_role)n->role,
                          .cert = n->cert,
                          .signature_algorithm = 3,
                          .self = n->id,
                          .types = types,
                          .num_types = 2,
                          .bootstrap = endpoints,
                          .may_found = n->index < k->num_bootstrap && n->index < SIM_NEAR_BOOTSTRAP,
                          .t1 = k->t1,
                          .update_period = k->update_period,
                          .ping_period = k->ping_period,
                          .deletion_delay = k->deletion_delay,
                          .replica_wait = k->replica_wait,
                          .keepalive = k->keepalive,
                          .idle_close = k->idle_close,
                          .max_links = k->max_links,
                          .keep_certificate = k->keep_certificates != 0,
                          .max_client_links = k->max_client_links,
                          .max_answer_bytes = k->max_answer_bytes,
                          .max_stored_bytes = k->max_stored_bytes,
                          .wall = k->wall + (torc_wall)(s->now / TORC_SEC(1)),
                          .seed = sim_next(&n->rng) | 1u,
                          .is_lean = true,
                          .counters = n->worker->counters};
  c->num_bootstrap = bootstrap_of(s, n, endpoints);
}

/* The node goes on to n->stage of its move [D-19]. */
static int move_on(torc_sim *s, sim_node *n) {
  torc_endpoint endpoints[SIM_NEAR_BOOTSTRAP];
  torc_node_config c;
  const char *why = NULL;
  if (n->role == TORC_ROLE_PEER && n->second_store == NULL) {
    int rc = sim_store_new(n->worker, &n->second_store);
    if (rc != 0) {
      return rc;
    }
  }
  fill_config(s, n, &c, endpoints);
  c.backend = n->second_store == NULL ? NULL : sim_store_backend(n->second_store);
  c.overlay_name = second_name;
  c.algorithm = SECOND_ALGORITHM;
  int rc = torc_node_migrate(n->node, &c, (torc_migration_stage)n->stage, s->now, &why);
  if (rc != 0) {
    (void)snprintf(s->why, sizeof s->why, "%s", why == NULL ? torc_strerror(rc) : why);
  }
  return rc;
}

/* Makes and starts the node. */
static int bring_up(torc_sim *s, sim_node *n) {
  sim_worker *w = n->worker;
  torc_endpoint endpoints[SIM_NEAR_BOOTSTRAP];
  torc_node_config c;
  const char *why = NULL;
  w->now = s->now;
  sim_trace_own(w, n, s->now);
  int rc = sim_logger_new(w, n);
  if (rc == 0 && n->role == TORC_ROLE_PEER && n->store == NULL) {
    rc = sim_store_new(w, &n->store);
  }
  if (rc != 0) {
    return rc;
  }
  fill_config(s, n, &c, endpoints);
  rc = torc_node_new(&n->node, &c, s->now, &why);
  if (rc != 0) {
    (void)snprintf(s->why, sizeof s->why, "%s", why == NULL ? torc_strerror(rc) : why);
    return rc;
  }
  n->has_vanished = false;
  n->sweep_at = TORC_NEVER;
  if (sim_traces(w)) {
    sim_trace_line(w, "start %u", n->index);
  }
  if (n->hostile != 0) {
    sim_hostile_set(w, n, n->hostile);
  }
  rc = torc_node_start(n->node, s->now);
  if (rc == 0 && n->stage != TORC_MIGRATION_NONE) {
    rc = move_on(s, n);
  }
  if (rc != 0) {
    sim_fail(w, rc, "start");
  }
  sim_host_settle(w, n);
  sim_trace_flush(s);
  return rc;
}

/* ---- nodes ---- */

static int reserve_node(torc_sim *s) {
  if (s->num >= SIM_NODES_MAX) {
    return TORC_ERR_LIMIT;
  }
  if (s->num / SIM_NODES_PER_CHUNK < s->num_chunks) {
    return 0;
  }
  if (s->num_chunks == s->cap_chunks) {
    uint32_t cap = s->cap_chunks == 0 ? 16 : s->cap_chunks * 2;
    sim_node **chunks = realloc(s->chunks, cap * sizeof *chunks);
    if (chunks == NULL) {
      return TORC_ERR_NOMEM;
    }
    s->chunks = chunks;
    s->cap_chunks = cap;
  }
  s->chunks[s->num_chunks] = calloc(SIM_NODES_PER_CHUNK, sizeof(sim_node));
  if (s->chunks[s->num_chunks] == NULL) {
    return TORC_ERR_NOMEM;
  }
  s->num_chunks++;
  return 0;
}

static bool draws_closed(const torc_sim *s, uint32_t i) {
  return i >= s->cfg.num_bootstrap && s->cfg.closed_permille > 0 &&
         sim_mix(s->cfg.seed ^ sim_mix(i + SIM_GOLDEN)) % 1000 < s->cfg.closed_permille;
}

static void node_init(torc_sim *s, sim_node *n, const torc_sim_node_options *o) {
  uint32_t i = s->num;
  *n = (sim_node){.index = i,
                  .wake = SIM_WAKE_NONE,
                  .free_end = SIM_END_NONE,
                  .sweep_at = TORC_NEVER,
                  .worker = &s->workers[i % s->num_workers],
                  .role = (uint8_t)(o->role == 0 ? TORC_ROLE_PEER : o->role),
                  .hostile = (uint8_t)o->hostile,
                  .is_closed = draws_closed(s, i),
                  .rng = sim_mix(sim_mix(s->cfg.seed + SIM_GOLDEN) + (uint64_t)i * SIM_GOLDEN)};
  n->crypto = (torc_crypto){
      .ctx = n, .random = node_random, .sha256 = node_sha256, .cert_release = cert_release};
  n->id = o->id;
  while (!o->has_id && !torc_id_is_peer(&n->id)) {
    (void)node_random(n, n->id.b, TORC_ID_LEN);
  }
}

int torc_sim_add(torc_sim *s, const torc_sim_node_options *o, torc_sim_index *index) {
  static const torc_sim_node_options plain = {0};
  int rc = reserve_node(s);
  if (rc != 0) {
    return rc;
  }
  sim_node *n = sim_node_at(s, s->num);
  node_init(s, n, o == NULL ? &plain : o);
  n->cert = sim_model_cert(&n->worker->engine.mem, n->index, &n->id);
  if (n->cert == NULL) {
    return TORC_ERR_NOMEM;
  }
  s->num++;
  rc = bring_up(s, n);
  if (rc != 0) {
    torc_node_free(n->node);
    n->node = NULL;
    return rc;
  }
  *index = n->index;
  return 0;
}

void torc_sim_stop(torc_sim *s, torc_sim_index i, torc_sim_end how) {
  sim_node *n = sim_node_at(s, i);
  if (n->node != NULL) {
    sim_host_down(n, how);
    sim_trace_flush(s);
  }
}

void torc_sim_leave(torc_sim *s, torc_sim_index i) {
  sim_node *n = sim_node_at(s, i);
  if (n->node != NULL) {
    n->worker->now = s->now;
    sim_trace_own(n->worker, n, s->now);
    int rc = torc_node_leave(n->node, s->now);
    if (rc != 0) {
      sim_fail(n->worker, rc, "leave");
    }
    sim_host_settle(n->worker, n);
    sim_trace_flush(s);
  }
}

int torc_sim_migrate(torc_sim *s, torc_sim_index i, torc_migration_stage stage) {
  sim_node *n = sim_node_at(s, i);
  n->stage = (uint8_t)stage;
  if (n->node == NULL) {
    return 0;
  }
  n->worker->now = s->now;
  sim_trace_own(n->worker, n, s->now);
  int rc = move_on(s, n);
  sim_host_settle(n->worker, n);
  sim_trace_flush(s);
  return rc;
}

int torc_sim_restart(torc_sim *s, torc_sim_index i, bool keeps) {
  sim_node *n = sim_node_at(s, i);
  if (n->node != NULL) {
    return TORC_ERR_STATE;
  }
  if (!keeps) {
    sim_store_free(n->worker, &n->store);
    sim_store_free(n->worker, &n->second_store);
  }
  return bring_up(s, n);
}

void torc_sim_forget(torc_sim *s, torc_sim_index i) {
  sim_node *n = sim_node_at(s, i);
  if (n->node == NULL) {
    sim_store_free(n->worker, &n->store);
    sim_store_free(n->worker, &n->second_store);
    torc_free(&n->worker->engine.mem, n->logger);
    n->logger = NULL;
  }
}

void torc_sim_set_group(torc_sim *s, torc_sim_index i, unsigned group) {
  sim_node_at(s, i)->group = (uint16_t)group;
  s->has_new_groups = true;
}

void torc_sim_set_loss(torc_sim *s, uint32_t ppm) {
  s->cfg.loss_ppm = ppm;
}

void torc_sim_set_node_loss(torc_sim *s, torc_sim_index i, uint32_t ppm) {
  sim_node_at(s, i)->loss_ppm = ppm;
  s->has_node_loss = s->has_node_loss || ppm > 0;
}

void torc_sim_set_hostile(torc_sim *s, torc_sim_index i, unsigned behaviours) {
  sim_node *n = sim_node_at(s, i);
  n->worker->now = s->now;
  sim_hostile_set(n->worker, n, behaviours);
}

/* ---- state ---- */

torc_time torc_sim_now(const torc_sim *s) {
  return s->now;
}

const char *torc_sim_why(const torc_sim *s) {
  return s->is_failed ? s->why : NULL;
}

size_t torc_sim_num(const torc_sim *s) {
  return s->num;
}

bool torc_sim_is_up(const torc_sim *s, torc_sim_index i) {
  return sim_node_at(s, i)->node != NULL;
}

unsigned torc_sim_threads(const torc_sim *s) {
  return s->num_workers;
}

void torc_sim_get_traffic(const torc_sim *s, torc_sim_traffic *out) {
  *out = (torc_sim_traffic){.events = 0};
  for (unsigned i = 0; i < s->num_workers; i++) {
    const torc_sim_traffic *t = &s->workers[i].traffic;
    out->events += t->events;
    out->dropped += t->dropped;
    out->errors += t->errors;
    for (unsigned m = 0; m < TORC_SIM_METHODS; m++) {
      for (unsigned k = 0; k < 2; k++) {
        out->messages[m][k] += t->messages[m][k];
        out->bytes[m][k] += t->bytes[m][k];
      }
    }
  }
}

uint64_t torc_sim_load(const torc_sim *s, torc_sim_index i) {
  return sim_node_at(s, i)->load;
}

static uint64_t queue_bytes(const torc_sim *s, const sim_worker *w) {
  uint64_t sum = w->chunks.bytes + w->far.cap * sizeof(sim_event) +
                 w->wakes.cap * sizeof(sim_wake_entry) + w->cap_work * sizeof(sim_event) +
                 w->cap_keys * 2 * sizeof(sim_key);
  for (unsigned k = 0; k < s->num_workers; k++) {
    const sim_lane *lane = &w->lanes[k];
    sum += s->ring_len * sizeof *lane->ring + lane->cap_far * sizeof(sim_event);
    for (uint32_t b = 0; b < s->ring_len; b++) {
      sum += lane->ring[b].cap * sizeof(sim_event);
    }
  }
  return sum;
}

void torc_sim_get_memory(const torc_sim *s, torc_sim_memory *out) {
  *out =
      (torc_sim_memory){.engine = (uint64_t)s->num_chunks * SIM_NODES_PER_CHUNK * sizeof(sim_node)};
  for (unsigned i = 0; i < s->num_workers; i++) {
    const sim_worker *w = &s->workers[i];
    out->nodes += w->nodes.bytes;
    out->stores += w->stores.bytes;
    out->engine += w->engine.bytes + queue_bytes(s, w);
  }
}

/* ---- also within hooks ---- */

static void touch(torc_sim *s, sim_node *n) {
  if (s->is_running || n->is_touched || n->node == NULL) {
    return;
  }
  if (s->num_touched == s->cap_touched) {
    uint32_t cap = s->cap_touched == 0 ? 64 : s->cap_touched * 2;
    uint32_t *v = realloc(s->touched, cap * sizeof *v);
    if (v == NULL) {
      sim_fail(n->worker, TORC_ERR_NOMEM, "looking at a node");
      return;
    }
    s->touched = v;
    s->cap_touched = cap;
  }
  s->touched[s->num_touched] = n->index;
  s->num_touched++;
  n->is_touched = true;
}

/* Between two runs the caller may do anything with it: what it says is heard at the next run. */
torc_node *torc_sim_node(torc_sim *s, torc_sim_index i) {
  sim_node *n = sim_node_at(s, i);
  touch(s, n);
  return n->node;
}

torc_id torc_sim_id(const torc_sim *s, torc_sim_index i) {
  return sim_node_at(s, i)->id;
}

uint64_t torc_sim_random(torc_sim *s, torc_sim_index i, uint64_t bound) {
  return sim_below(&sim_node_at(s, i)->rng, bound);
}

void torc_sim_call_at(torc_sim *s, torc_sim_index i, torc_time at, uint64_t arg) {
  sim_node *n = sim_node_at(s, i);
  torc_time now = s->is_running ? n->worker->now : s->now;
  sim_event e = {
      .at = at > now ? at : now, .dst = i, .kind = SIM_CALL, .len = n->life, .u.arg = arg};
  if (n->node != NULL) {
    sim_post(n->worker, n, &e);
  }
}

void torc_sim_call(torc_sim *s, torc_sim_index i, torc_time at, uint64_t arg) {
  torc_sim_call_at(s, i, at, arg);
}
