/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/log.h"
#include "base/rng.h"
#include "overlay/helper_crypto.h"
#include "overlay/node/impl.h"

#define WALL_BASE 1800000000u
#define CALL_LIMIT TORC_SEC(60)
#define CALLS_MAX 1024 /* that nobody waits for, of one sim */

typedef enum what { W_MESSAGE, W_UP, W_DOWN, W_OPEN_FAILED, W_WAKE, W_JOB } what;

typedef struct event {
  torc_time at;
  uint64_t order;
  what kind;
  size_t to;
  uint64_t life; /* of the node it is for: a restarted one does not get it */
  torc_link_id link;
  torc_token token;
  uint8_t *bytes;
  size_t len;
  int rc; /* of a job, which is named by the token */
  torc_cert *cert;
} event;

typedef struct link_end {
  torc_link_id id;
  size_t a, b;
  bool is_down;
} link_end;

typedef struct sim_peer {
  torc_node *node;
  helper_mem mem;
  torc_memory_backend *memory, *memory2; /* of a second ring */
  torc_backend backend, backend2;
  torc_id id;
  torc_cert *cert;
  char user[64];
  torc_role role;
  uint64_t life;
  unsigned group;
  torc_time wake;
  bool has_left;
  torc_log log;
  sim *sim;
} sim_peer;

typedef struct begun { /* a call that nobody waits for */
  size_t node;
  torc_token token;
  bool is_answered;
  sim_value answer;
} begun;

struct sim {
  sim_options o;
  torc_rng rng;
  torc_time now;
  event *heap;
  size_t num_events, cap_events;
  uint64_t order;
  sim_peer peers[SIM_NODES_MAX];
  size_t num;
  link_end *links;
  size_t num_links, cap_links;
  torc_crypto crypto;
  torc_counters *counters; /* of all nodes that are lean */
  torc_token waiting;
  size_t waiting_node;
  bool is_answered;
  sim_value answer;
  begun calls[CALLS_MAX];
  size_t num_calls;
};

/* ---- events ---- */

static bool before(const event *a, const event *b) {
  return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(sim *s, event e) {
  if (s->num_events == s->cap_events) {
    s->cap_events = s->cap_events == 0 ? 256 : s->cap_events * 2;
    s->heap = realloc(s->heap, s->cap_events * sizeof *s->heap);
  }
  e.order = s->order++;
  size_t i = s->num_events++;
  while (i > 0 && before(&e, &s->heap[(i - 1) / 2])) {
    s->heap[i] = s->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  s->heap[i] = e;
}

static event pop(sim *s) {
  event first = s->heap[0];
  event last = s->heap[--s->num_events];
  size_t i = 0;
  for (;;) {
    size_t c = 2 * i + 1;
    if (c >= s->num_events) {
      break;
    }
    if (c + 1 < s->num_events && before(&s->heap[c + 1], &s->heap[c])) {
      c++;
    }
    if (!before(&s->heap[c], &last)) {
      break;
    }
    s->heap[i] = s->heap[c];
    i = c;
  }
  if (s->num_events > 0) {
    s->heap[i] = last;
  }
  return first;
}

static torc_time delay(sim *s) {
  return s->o.delay + torc_rng_below(&s->rng, s->o.delay / 4 + 1);
}

/* ---- modelled crypto ---- */

static int sim_rand(void *ctx, uint8_t *out, size_t len) {
  sim *s = ctx;
  for (size_t i = 0; i < len; i++) {
    out[i] = (uint8_t)torc_rng_u64(&s->rng);
  }
  return 0;
}

static void model_sign(sim *s, const torc_id *key, const torc_job *j,
                       uint8_t out[TORC_DIGEST_LEN]) {
  torc_slice parts[6];
  size_t n = 0;
  parts[n++] = torc_slice_of(key->b, TORC_ID_LEN);
  for (size_t i = 0; i < j->num_parts; i++) {
    parts[n++] = j->parts[i];
  }
  (void)s->crypto.sha256(s->crypto.ctx, parts, n, out);
}

/* A model certificate's bytes: "SIMC" ++ peer-id ++ user name. */
static torc_cert *model_cert(const uint8_t *der, size_t len) {
  char user[128] = "";
  torc_id id;
  if (len < 4 + TORC_ID_LEN || len > 4 + TORC_ID_LEN + 100 || memcmp(der, "SIMC", 4) != 0) {
    return NULL;
  }
  memcpy(id.b, der + 4, TORC_ID_LEN);
  memcpy(user, der + 4 + TORC_ID_LEN, len - 4 - TORC_ID_LEN);
  return helper_cert_der(user, &id, torc_slice_of(der, len));
}

static void job_done(sim *s, size_t i, torc_token id, const torc_job_result *r) {
  int rc = torc_node_job_done(s->peers[i].node, id, r, s->now);
  if (rc != 0) {
    fprintf(stderr, "job_done: %d\n", rc);
    abort();
  }
}

static void do_job(sim *s, size_t i, const torc_job *j) {
  uint8_t sig[TORC_DIGEST_LEN] = {0};
  torc_job_result r = {0};
  switch (j->kind) {
    case TORC_JOB_SIGN:
      model_sign(s, &s->peers[i].id, j, sig);
      r.signature = torc_slice_of(sig, sizeof sig);
      break;
    case TORC_JOB_VERIFY:
      model_sign(s, &j->cert->peers[0], j, sig);
      r.rc = torc_slice_eq(j->signature, torc_slice_of(sig, sizeof sig)) ? 0 : TORC_ERR_CRYPTO;
      break;
    case TORC_JOB_CERTIFICATE:
      r.cert = model_cert(j->der.p, j->der.len);
      r.rc = r.cert == NULL ? TORC_ERR_CRYPTO : 0;
      break;
    case TORC_JOB_SYNC:
      break;
  }
  if (s->o.job_time > 0) {
    event e = {.at = s->now + torc_rng_below(&s->rng, s->o.job_time),
               .kind = W_JOB,
               .to = i,
               .life = s->peers[i].life,
               .token = j->id,
               .bytes = malloc(sizeof sig),
               .len = r.signature.len,
               .rc = r.rc,
               .cert = r.cert};
    memcpy(e.bytes, sig, sizeof sig);
    push(s, e);
    return;
  }
  job_done(s, i, j->id, &r);
}

/* ---- links ---- */

static bool can_reach(const sim *s, size_t a, size_t b) {
  return s->peers[a].node != NULL && s->peers[b].node != NULL &&
         s->peers[a].group == s->peers[b].group;
}

static link_end *find_link(sim *s, torc_link_id id) {
  return id == 0 || id > s->num_links ? NULL : &s->links[id - 1];
}

static void make_link(sim *s, size_t from, size_t to, torc_token token) {
  if (s->num_links == s->cap_links) {
    s->cap_links = s->cap_links == 0 ? 256 : s->cap_links * 2;
    s->links = realloc(s->links, s->cap_links * sizeof *s->links);
  }
  torc_link_id id = s->num_links + 1;
  s->links[s->num_links++] = (link_end){.id = id, .a = from, .b = to};
  torc_time d = delay(s);
  push(s, (event){.at = s->now + 3 * d,
                  .kind = W_UP,
                  .to = from,
                  .life = s->peers[from].life,
                  .link = id,
                  .token = token});
  push(s, (event){
              .at = s->now + 4 * d, .kind = W_UP, .to = to, .life = s->peers[to].life, .link = id});
}

static void open_failed(sim *s, size_t i, torc_token token, torc_time after) {
  push(s, (event){.at = s->now + after,
                  .kind = W_OPEN_FAILED,
                  .to = i,
                  .life = s->peers[i].life,
                  .token = token});
}

static void break_link(sim *s, link_end *l, size_t silent) {
  if (l->is_down) {
    return;
  }
  l->is_down = true;
  size_t ends[2] = {l->a, l->b};
  for (int k = 0; k < 2; k++) {
    if (ends[k] != silent && s->peers[ends[k]].node != NULL) {
      push(s, (event){.at = s->now + delay(s),
                      .kind = W_DOWN,
                      .to = ends[k],
                      .life = s->peers[ends[k]].life,
                      .link = l->id});
    }
  }
}

static size_t by_id(const sim *s, const torc_id *id) {
  for (size_t i = 0; i < s->num; i++) {
    if (torc_id_eq(&s->peers[i].id, id)) {
      return i;
    }
  }
  return SIZE_MAX;
}

static torc_connect_params params_of(void) {
  torc_connect_params p = {.ufrag = "abcd",
                           .password = "0123456789012345678901",
                           .fingerprint = "sha-256 AA",
                           .role = "passive",
                           .application = TORC_APPLICATION_RELOAD,
                           .num_candidates = 1};
  p.candidates[0] = "candidate:1 1 TCP 1 192.0.2.1 6084 typ host tcptype passive";
  return p;
}

/* ---- what nodes say ---- */

static void note_done(const torc_event *e, sim_value *v) {
  const torc_done *d = &e->done;
  memset(v, 0, sizeof *v);
  v->rc = d->rc;
  v->code = d->code;
  v->responder = d->responder;
  v->elapsed = d->elapsed;
  v->num_values = d->num_values;
  v->num_rejected = d->num_rejected;
  v->generation = d->num_generations > 0 ? d->generations[0].generation : 0;
  if (d->num_values > 0) {
    v->exists = d->values[0].exists;
    v->index = d->values[0].index;
    v->len =
        d->values[0].value.len < sizeof v->value - 1 ? d->values[0].value.len : sizeof v->value - 1;
    if (v->len > 0) {
      memcpy(v->value, d->values[0].value.p, v->len);
    }
  }
  torc_rd rd;
  torc_route_log_entry entry;
  torc_rd_init(&rd, d->route_log);
  while (torc_route_log_next(&rd, &entry)) {
    v->num_hops++;
  }
  for (size_t k = 0; k < d->num_values; k++) {
    v->num_existing += d->values[k].exists;
  }
}

static void on_done(sim *s, size_t i, const torc_event *e) {
  if (i == s->waiting_node && e->token == s->waiting) {
    note_done(e, &s->answer);
    s->is_answered = true;
  }
  for (size_t k = 0; k < s->num_calls; k++) {
    if (s->calls[k].node == i && s->calls[k].token == e->token && !s->calls[k].is_answered) {
      note_done(e, &s->calls[k].answer);
      s->calls[k].is_answered = true;
    }
  }
}

static void drain(sim *s, size_t i);

static void on_output(sim *s, size_t i, const torc_output *o) {
  sim_peer *p = &s->peers[i];
  link_end *l = find_link(s, o->link);
  size_t other = SIZE_MAX;
  torc_connect_params params;
  switch (o->kind) {
    case TORC_OUT_SEND:
      if (l == NULL || l->is_down ||
          (s->o.loss_permille > 0 && torc_rng_below(&s->rng, 1000) < s->o.loss_permille)) {
        break;
      }
      other = l->a == i ? l->b : l->a;
      if (s->peers[other].group != p->group) {
        break;
      }
      event e = {.at = s->now + delay(s),
                 .kind = W_MESSAGE,
                 .to = other,
                 .life = s->peers[other].life,
                 .link = o->link};
      e.len = o->head.len + o->body.len;
      e.bytes = malloc(e.len);
      memcpy(e.bytes, o->head.p, o->head.len);
      if (o->body.len > 0) {
        memcpy(e.bytes + o->head.len, o->body.p, o->body.len);
      }
      push(s, e);
      break;
    case TORC_OUT_OPEN:
      other = (size_t)atoi(o->endpoint.host + 1);
      if (other < s->num && can_reach(s, i, other)) {
        make_link(s, i, other, o->token);
      } else {
        open_failed(s, i, o->token, delay(s));
      }
      break;
    case TORC_OUT_CLOSE:
      if (l != NULL) {
        break_link(s, l, SIZE_MAX);
      }
      break;
    case TORC_OUT_JOB:
      do_job(s, i, &o->job);
      break;
    case TORC_OUT_OFFER_NEEDED:
      params = params_of();
      (void)!torc_node_offer_ready(p->node, o->token, &params, s->now);
      break;
    case TORC_OUT_ANSWER_NEEDED:
      params = params_of();
      memcpy(params.role, "active", 7);
      (void)!torc_node_answer_ready(p->node, o->token, &params, 0, s->now);
      break;
    case TORC_OUT_CONNECT:
      open_failed(s, i, o->token, TORC_SEC(10));
      break;
    case TORC_OUT_CANCEL:
      break;
    case TORC_OUT_ACCEPT:
      other = by_id(s, &o->peer);
      if (other != SIZE_MAX && can_reach(s, i, other)) {
        make_link(s, i, other, o->token);
      } else {
        open_failed(s, i, o->token, delay(s));
      }
      break;
    case TORC_OUT_EVENT:
      if (o->event.kind == TORC_EVENT_LEFT) {
        p->has_left = true;
      } else if (o->event.kind == TORC_EVENT_DONE) {
        on_done(s, i, &o->event);
      }
      break;
  }
}

static void drain(sim *s, size_t i) {
  sim_peer *p = &s->peers[i];
  torc_output o;
  while (p->node != NULL && torc_node_poll(p->node, &o)) {
    on_output(s, i, &o);
  }
  if (p->node == NULL) {
    return;
  }
  torc_time at = torc_node_deadline(p->node);
  if (at != TORC_NEVER && (p->wake <= s->now || at < p->wake)) {
    p->wake = at > s->now ? at : s->now + 1;
    push(s, (event){.at = p->wake, .kind = W_WAKE, .to = i, .life = p->life});
  }
}

static void up(sim *s, const event *e) {
  link_end *l = find_link(s, e->link);
  sim_peer *p = &s->peers[e->to];
  size_t other = l->a == e->to ? l->b : l->a;
  torc_link_info info = {.kind = TORC_LINK_TLS, .peer = s->peers[other].id, .token = e->token};
  if (l->is_down || s->peers[other].group != p->group || s->peers[other].node == NULL) {
    if (e->token != 0) {
      (void)!torc_node_open_failed(p->node, e->token, TORC_ERR_CLOSED, s->now);
    }
    return;
  }
  info.cert = torc_cert_ref(s->peers[other].cert);
  info.local_addr[10] = info.local_addr[11] = 0xff;
  (void)!torc_node_link_up(p->node, l->id, &info, s->now);
}

static void dispatch(sim *s, event *e) {
  sim_peer *p = &s->peers[e->to];
  s->now = e->at;
  if (p->node == NULL || p->life != e->life) {
    helper_cert_free(e->cert);
    free(e->bytes);
    return;
  }
  switch (e->kind) {
    case W_MESSAGE:
      (void)!torc_node_input(p->node, e->link, torc_slice_of(e->bytes, e->len), s->now);
      break;
    case W_UP:
      up(s, e);
      break;
    case W_DOWN:
      (void)!torc_node_link_down(p->node, e->link, s->now);
      break;
    case W_OPEN_FAILED:
      (void)!torc_node_open_failed(p->node, e->token, TORC_ERR_TIMEOUT, s->now);
      break;
    case W_WAKE:
      if (s->now >= p->wake) {
        (void)!torc_node_tick(p->node, s->now);
      }
      break;
    case W_JOB: {
      torc_job_result result = {
          .rc = e->rc, .cert = e->cert, .signature = torc_slice_of(e->bytes, e->len)};
      job_done(s, e->to, e->token, &result);
      break;
    }
  }
  drain(s, e->to);
  free(e->bytes);
  if (p->has_left && p->node != NULL) {
    sim_kill(s, e->to);
  }
}

/* ---- life ---- */

sim *sim_new(const sim_options *o) {
  sim *s = calloc(1, sizeof *s);
  s->o = *o;
  s->o.delay = o->delay == 0 ? TORC_MS(2) : o->delay;
  s->o.update_period = o->update_period == 0 ? TORC_SEC(10) : o->update_period;
  s->o.num_bootstrap = o->num_bootstrap == 0 ? 1 : o->num_bootstrap;
  torc_rng_seed(&s->rng, o->seed);
  s->crypto = *helper_crypto();
  s->crypto.random = sim_rand;
  s->crypto.ctx = s;
  s->o.trace = o->trace || getenv("TORC_TRACE") != NULL;
  s->now = TORC_SEC(1);
  return s;
}

static void on_log(void *ctx, torc_log_level level, const char *name, const torc_field *fields,
                   size_t num) {
  sim_peer *p = ctx;
  char line[1024];
  size_t len = torc_log_json(line, sizeof line, p->sim->now, level, name, fields, num);
  fprintf(stderr, "n%zu %.*s", (size_t)(p - p->sim->peers), (int)len, line);
}

/* As the overlay's document and the peer's own files say. */
static torc_node_config config_of(sim *s, size_t i, torc_endpoint bootstrap[16]) {
  static const torc_type_def types[] = {{.id = 0xf00001,
                                         .name = "note",
                                         .model = TORC_TYPE_DICTIONARY,
                                         .rule = TORC_RULE_USER_MATCH,
                                         .findable = true,
                                         .max_values = 1000,
                                         .max_size = 4096,
                                         .max_lifetime_s = 604800},
                                        {.id = 0xf00002,
                                         .name = "list",
                                         .model = TORC_TYPE_ARRAY,
                                         .rule = TORC_RULE_USER_MATCH,
                                         .max_values = 100,
                                         .max_size = 4096,
                                         .max_lifetime_s = 604800}};
  sim_peer *p = &s->peers[i];
  torc_node_config c = TORC_NODE_CONFIG_INIT;
  memset(bootstrap, 0, 16 * sizeof *bootstrap);
  for (unsigned k = 0; k < s->o.num_bootstrap; k++) {
    snprintf(bootstrap[k].host, sizeof bootstrap[k].host, "n%u", k);
    bootstrap[k].port = 1;
  }
  c.mem = &p->mem.mem;
  c.crypto = &s->crypto;
  c.log = &p->log;
  c.backend = &p->backend;
  c.overlay_name = "example.org";
  c.algorithm = s->o.algorithm == NULL ? "chord-128-2-8" : s->o.algorithm;
  c.role = p->role;
  c.cert = p->cert;
  c.signature_algorithm = 3;
  c.self = p->id;
  c.types = types;
  c.num_types = s->o.has_list ? 2 : 1;
  c.keep_certificate = s->o.keep_certificate;
  c.is_shared_key = s->o.is_shared_key;
  c.bootstrap = bootstrap;
  c.num_bootstrap = s->o.num_bootstrap;
  c.may_found = i < s->o.num_bootstrap;
  c.update_period = s->o.update_period;
  c.ping_period = 3 * s->o.update_period;
  c.compress_via = s->o.compress_via;
  c.keepalive = s->o.keepalive;
  c.max_client_links = s->o.max_client_links;
  c.is_lean = s->o.is_lean;
  c.counters = s->counters;
  c.wall = WALL_BASE + (torc_wall)(s->now / TORC_SEC(1));
  return c;
}

static void start(sim *s, size_t i) {
  sim_peer *p = &s->peers[i];
  torc_endpoint bootstrap[16];
  const char *why = NULL;
  p->sim = s;
  p->log =
      (torc_log){.ctx = p, .level = s->o.trace ? TORC_LOG_TRACE : TORC_LOG_ERROR, .event = on_log};
  if (s->o.is_lean && s->counters == NULL && torc_counters_new(&s->counters, NULL) != 0) {
    abort();
  }
  torc_node_config c = config_of(s, i, bootstrap);
  c.seed = torc_rng_u64(&s->rng) | 1;
  int rc = torc_node_new(&p->node, &c, s->now, &why);
  if (rc != 0) {
    fprintf(stderr, "torc_node_new: %d %s\n", rc, why);
    abort();
  }
  p->life++;
  p->has_left = false;
  p->wake = 0;
  rc = torc_node_start(p->node, s->now);
  drain(s, i);
}

int sim_migrate(sim *s, size_t i, torc_migration_stage stage, const char **why) {
  sim_peer *p = &s->peers[i];
  torc_endpoint bootstrap[16];
  torc_node_config c = config_of(s, i, bootstrap);
  if (p->memory2 == NULL &&
      torc_memory_backend_new(&p->memory2, &p->backend2, torc_mem_libc(), (size_t)64 << 20) != 0) {
    abort();
  }
  c.backend = &p->backend2;
  c.overlay_name = "new.example.org";
  c.algorithm = "chord-128-2-24";
  int rc = torc_node_migrate(p->node, &c, stage, s->now, why);
  drain(s, i);
  return rc;
}

size_t sim_add(sim *s, torc_role role) {
  torc_id id;
  (void)sim_rand(s, id.b, TORC_ID_LEN);
  return sim_add_id(s, role, &id);
}

helper_mem *sim_mem(sim *s, size_t i) {
  return &s->peers[i].mem;
}

size_t sim_add_id(sim *s, torc_role role, const torc_id *id) {
  size_t i = s->num++;
  sim_peer *p = &s->peers[i];
  uint8_t der[4 + TORC_ID_LEN + 64];
  helper_mem_init(&p->mem);
  p->role = role;
  p->id = *id;
  snprintf(p->user, sizeof p->user, "user%zu@example.org", i);
  memcpy(der, "SIMC", 4);
  memcpy(der + 4, p->id.b, TORC_ID_LEN);
  memcpy(der + 4 + TORC_ID_LEN, p->user, strlen(p->user));
  p->cert = model_cert(der, 4 + TORC_ID_LEN + strlen(p->user));
  if (torc_memory_backend_new(&p->memory, &p->backend, torc_mem_libc(), (size_t)64 << 20) != 0) {
    abort();
  }
  start(s, i);
  return i;
}

void sim_restart(sim *s, size_t i) {
  start(s, i);
}

void sim_kill(sim *s, size_t i) {
  for (size_t k = 0; k < s->num_links; k++) {
    if (s->links[k].a == i || s->links[k].b == i) {
      break_link(s, &s->links[k], i);
    }
  }
  torc_node_free(s->peers[i].node);
  s->peers[i].node = NULL;
}

void sim_leave(sim *s, size_t i) {
  (void)!torc_node_leave(s->peers[i].node, s->now);
  drain(s, i);
  if (s->peers[i].has_left) {
    sim_kill(s, i);
  }
}

void sim_free(sim *s) {
  for (size_t i = 0; i < s->num; i++) {
    torc_node_free(s->peers[i].node);
    torc_memory_backend_free(s->peers[i].memory);
    torc_memory_backend_free(s->peers[i].memory2);
    helper_cert_free(s->peers[i].cert);
  }
  for (size_t i = 0; i < s->num_events; i++) {
    helper_cert_free(s->heap[i].cert);
    free(s->heap[i].bytes);
  }
  torc_counters_free(s->counters);
  free(s->heap);
  free(s->links);
  free(s);
}

bool sim_is_alive(const sim *s, size_t i) {
  return s->peers[i].node != NULL;
}

void sim_set_group(sim *s, size_t i, unsigned group) {
  s->peers[i].group = group;
  for (size_t k = 0; k < s->num_links; k++) {
    link_end *l = &s->links[k];
    if (!l->is_down && s->peers[l->a].group != s->peers[l->b].group) {
      break_link(s, l, SIZE_MAX);
    }
  }
}

torc_node *sim_node(sim *s, size_t i) {
  return s->peers[i].node;
}

torc_id sim_id(const sim *s, size_t i) {
  return s->peers[i].id;
}

torc_time sim_now(const sim *s) {
  return s->now;
}

uint64_t sim_random(sim *s, uint64_t bound) {
  return torc_rng_below(&s->rng, bound);
}

size_t sim_num(const sim *s) {
  return s->num;
}

void sim_run(sim *s, torc_time duration) {
  torc_time end = s->now + duration;
  while (s->num_events > 0 && s->heap[0].at <= end) {
    event e = pop(s);
    dispatch(s, &e);
  }
  s->now = end;
}

bool sim_run_until(sim *s, bool (*done)(sim *s, void *ctx), void *ctx, torc_time limit) {
  torc_time end = s->now + limit;
  torc_time next_check = s->now;
  for (;;) {
    if (s->now >= next_check) {
      if (done(s, ctx)) {
        return true;
      }
      next_check = s->now + TORC_MS(1);
    }
    if (s->num_events == 0 || s->heap[0].at > end) {
      s->now = end;
      return done(s, ctx);
    }
    event e = pop(s);
    dispatch(s, &e);
  }
}

/* ---- the ring ---- */

static int by_value(const void *a, const void *b) {
  return torc_id_cmp(a, b);
}

static size_t live_peers(const sim *s, torc_id *out) {
  size_t n = 0;
  for (size_t i = 0; i < s->num; i++) {
    if (s->peers[i].node != NULL && s->peers[i].role == TORC_ROLE_PEER) {
      out[n++] = s->peers[i].id;
    }
  }
  qsort(out, n, sizeof *out, by_value);
  return n;
}

static bool peer_ok(const sim *s, size_t i, const torc_id *ids, size_t n) {
  torc_node_view v;
  size_t at = 0;
  torc_node_get_view(s->peers[i].node, &v);
  while (!torc_id_eq(&ids[at], &v.self)) {
    at++;
  }
  if (!v.is_joined || !v.is_responsible) {
    return false;
  }
  if (n == 1) {
    return v.num_successors == 0 && v.num_predecessors == 0;
  }
  size_t want = n - 1 < 3 ? n - 1 : 3;
  if (v.num_successors < want || v.num_predecessors < want) {
    return false;
  }
  for (size_t k = 0; k < want; k++) {
    if (!torc_id_eq(&v.successors[k], &ids[(at + k + 1) % n]) ||
        !torc_id_eq(&v.predecessors[k], &ids[(at + n - k - 1) % n])) {
      return false;
    }
  }
  return torc_id_eq(&v.range_from, &ids[(at + n - 1) % n]);
}

bool sim_ring_ok(sim *s, void *unused) {
  torc_id ids[SIM_NODES_MAX];
  size_t n = live_peers(s, ids);
  (void)unused;
  for (size_t i = 0; i < s->num; i++) {
    if (s->peers[i].node != NULL && s->peers[i].role == TORC_ROLE_PEER && !peer_ok(s, i, ids, n)) {
      return false;
    }
  }
  return true;
}

void sim_print_ring(sim *s) {
  torc_id ids[SIM_NODES_MAX];
  size_t n = live_peers(s, ids);
  for (size_t i = 0; i < s->num; i++) {
    if (s->peers[i].node != NULL && s->peers[i].role == TORC_ROLE_PEER) {
      torc_node_view v;
      torc_node_get_view(s->peers[i].node, &v);
      fprintf(stderr, "n%zu %02x%02x %s ok=%d pred", i, v.self.b[0], v.self.b[1], v.state,
              peer_ok(s, i, ids, n));
      for (size_t k = 0; k < v.num_predecessors; k++) {
        fprintf(stderr, " %02x%02x", v.predecessors[k].b[0], v.predecessors[k].b[1]);
      }
      fprintf(stderr, " succ");
      for (size_t k = 0; k < v.num_successors; k++) {
        fprintf(stderr, " %02x%02x", v.successors[k].b[0], v.successors[k].b[1]);
      }
      fprintf(stderr, " links %u\n", v.num_links);
    }
  }
}

size_t sim_holders(sim *s, const torc_id *resource) {
  size_t n = 0;
  torc_id before_it = torc_id_prev(resource);
  torc_id found;
  for (size_t i = 0; i < s->num; i++) {
    if (s->peers[i].node != NULL && s->peers[i].node->store != NULL &&
        torc_store_next_resource(s->peers[i].node->store, &before_it, &before_it, resource,
                                 &found) == 0) {
      n++;
    }
  }
  return n;
}

/* ---- calls ---- */

static bool answered(sim *s, void *ctx) {
  (void)ctx;
  return s->is_answered;
}

static sim_value await(sim *s, size_t i, int rc, torc_token token) {
  sim_value failed = {.rc = rc};
  if (rc != 0) {
    return failed;
  }
  s->waiting = token;
  s->waiting_node = i;
  s->is_answered = false;
  drain(s, i);
  if (!sim_run_until(s, answered, NULL, CALL_LIMIT)) {
    failed.rc = TORC_ERR_STATE;
    return failed;
  }
  return s->answer;
}

torc_id sim_resource(sim *s, size_t i, const char *user) {
  torc_id id = torc_id_zero;
  if (torc_node_resource_id(s->peers[i].node, torc_slice_str(user), &id) != 0) {
    abort();
  }
  return id;
}

sim_value sim_store(sim *s, size_t i, const char *key, const char *value) {
  torc_id resource = sim_resource(s, i, s->peers[i].user);
  torc_store_item item = {.type = 0xf00001,
                          .key = torc_slice_str(key),
                          .value = torc_slice_str(value),
                          .lifetime_s = 86400};
  torc_token token = 0;
  int rc = torc_node_store(s->peers[i].node, &resource, &item, 1, s->now, &token);
  return await(s, i, rc, token);
}

sim_value sim_fetch(sim *s, size_t i, const char *user, const char *key) {
  torc_id resource = sim_resource(s, i, user);
  torc_slice k = torc_slice_str(key == NULL ? "" : key);
  torc_fetch_item item = {.type = 0xf00001, .keys = &k, .num_keys = key == NULL ? 0 : 1};
  torc_token token = 0;
  int rc = torc_node_fetch(s->peers[i].node, &resource, &item, 1, s->now, &token);
  return await(s, i, rc, token);
}

sim_value sim_remove(sim *s, size_t i, const char *key, uint64_t generation) {
  torc_id resource = sim_resource(s, i, s->peers[i].user);
  torc_slice k = torc_slice_str(key);
  torc_fetch_item item = {.type = 0xf00001, .generation = generation, .keys = &k, .num_keys = 1};
  torc_token token = 0;
  int rc = torc_node_remove(s->peers[i].node, &resource, &item, 1, s->now, &token);
  return await(s, i, rc, token);
}

sim_value sim_ping(sim *s, size_t i, const torc_id *target, unsigned flags) {
  torc_token token = 0;
  int rc = torc_node_ping(s->peers[i].node, target, 1, flags, s->now, &token);
  return await(s, i, rc, token);
}

sim_value sim_connect(sim *s, size_t i, const torc_id *target) {
  torc_token token = 0;
  int rc = torc_node_connect(s->peers[i].node, target, 1, s->now, &token);
  return await(s, i, rc, token);
}

/* ---- calls that nobody waits for ---- */

static size_t begin_call(sim *s, size_t i, int rc, torc_token token) {
  begun *c = &s->calls[s->num_calls];
  if (s->num_calls == CALLS_MAX) {
    abort();
  }
  *c = (begun){.node = i, .token = token, .is_answered = rc != 0, .answer = {.rc = rc}};
  s->num_calls++;
  drain(s, i);
  return s->num_calls - 1;
}

size_t sim_begin_remove(sim *s, size_t i, const char *key, uint64_t generation) {
  torc_id resource = sim_resource(s, i, s->peers[i].user);
  torc_slice k = torc_slice_str(key);
  torc_fetch_item item = {.type = 0xf00001, .generation = generation, .keys = &k, .num_keys = 1};
  torc_token token = 0;
  int rc = torc_node_remove(s->peers[i].node, &resource, &item, 1, s->now, &token);
  return begin_call(s, i, rc, token);
}

size_t sim_begin_store(sim *s, size_t i, const char *key, const char *value) {
  torc_id resource = sim_resource(s, i, s->peers[i].user);
  torc_store_item item = {.type = 0xf00001,
                          .key = torc_slice_str(key),
                          .value = torc_slice_str(value),
                          .lifetime_s = 86400};
  torc_token token = 0;
  int rc = torc_node_store(s->peers[i].node, &resource, &item, 1, s->now, &token);
  return begin_call(s, i, rc, token);
}

bool sim_has_ended(const sim *s, size_t call) {
  return s->calls[call].is_answered;
}

sim_value sim_result(const sim *s, size_t call) {
  return s->calls[call].answer;
}

sim_value sim_append(sim *s, size_t i, const char *value) {
  torc_id resource = sim_resource(s, i, s->peers[i].user);
  torc_store_item item = {
      .type = 0xf00002, .index = -1, .value = torc_slice_str(value), .lifetime_s = 86400};
  torc_token token = 0;
  int rc = torc_node_store(s->peers[i].node, &resource, &item, 1, s->now, &token);
  return await(s, i, rc, token);
}

static torc_fetch_item list_item(int32_t index) {
  torc_fetch_item item = {.type = 0xf00002, .first = index, .last = index};
  if (index < 0) {
    item.first = 0;
  }
  return item;
}

sim_value sim_list(sim *s, size_t i, const char *user, int32_t index) {
  torc_id resource = sim_resource(s, i, user);
  torc_fetch_item item = list_item(index);
  torc_token token = 0;
  int rc = torc_node_fetch(s->peers[i].node, &resource, &item, 1, s->now, &token);
  return await(s, i, rc, token);
}

sim_value sim_remove_at(sim *s, size_t i, int32_t index, uint64_t generation) {
  torc_id resource = sim_resource(s, i, s->peers[i].user);
  torc_fetch_item item = list_item(index);
  item.generation = generation;
  torc_token token = 0;
  int rc = torc_node_remove(s->peers[i].node, &resource, &item, 1, s->now, &token);
  return await(s, i, rc, token);
}
