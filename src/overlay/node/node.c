/* The node: creation, time, the public calls. Nothing is global: a process may hold a node per
 * overlay, each with its own algorithm [ARC-08]. SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32.h"
#include "overlay/node/app.h"
#include "overlay/node/rings.h"

#define EXPIRE_BATCH 256u
#define EXPIRE_IDLE TORC_SEC(60)
#define LEAVE_LIMIT TORC_SEC(4) /* the plug-in's own limit is 3 s [GAP-118] */
#define MAX_STORED_DEFAULT ((uint64_t)1 << 30)
#define REMOVE_MEMORY 65536u /* REMOVE transactions remembered [GAP-92] */
#define OVERLAY_NAME_MAX 255u
#define VERSION_MAX 63u /* bytes of the route log's version text */

/* ---- small services ---- */

torc_wall torc_node_wall(const torc_node *n) {
  return n->wall_base + (torc_wall)((n->now - n->wall_at) / TORC_SEC(1));
}

torc_token torc_node_token(torc_node *n) {
  n->next_token++;
  return n->next_token | (torc_token)n->ring << TORC_RING_SHIFT;
}

static const char *phase_name(torc_node_phase p) {
  switch (p) {
    case TORC_PHASE_NEW:
      return "starting";
    case TORC_PHASE_BOOTSTRAPPING:
      return "bootstrapping";
    case TORC_PHASE_JOINING:
      return "joining";
    case TORC_PHASE_JOINED:
      return "joined";
    case TORC_PHASE_DISCONNECTED:
      return "disconnected";
    case TORC_PHASE_LEAVING:
      return "leaving";
    case TORC_PHASE_LEFT:
      return "left";
  }
  return "";
}

const char *torc_node_state_name(const torc_node *n) {
  return phase_name(n->phase);
}

static void event(torc_node *n, torc_event_kind kind) {
  torc_out *o = torc_out_new(n, TORC_OUT_EVENT);
  if (o != NULL) {
    o->o.event.kind = kind;
    torc_out_push(n, o);
  }
}

void torc_node_set_phase(torc_node *n, torc_node_phase phase) {
  torc_node_phase old = n->phase;
  if (old == phase || (old == TORC_PHASE_LEAVING && phase != TORC_PHASE_LEFT)) {
    return;
  }
  n->phase = phase;
  TORC_LOG(n->log, TORC_LOG_INFO, "node:state", TORC_F_STR("from", phase_name(old)),
           TORC_F_STR("to", phase_name(phase)));
  if (phase == TORC_PHASE_JOINED) {
    event(n, TORC_EVENT_JOINED);
    torc_cert_keep_joined(n);
  } else if (phase == TORC_PHASE_DISCONNECTED) {
    event(n, TORC_EVENT_DISCONNECTED);
  } else if (phase == TORC_PHASE_LEFT) {
    event(n, TORC_EVENT_LEFT);
    torc_links_close_all(n);
  }
}

/* ---- deferred callbacks ---- */

void torc_defer(torc_node *n, torc_deferred *d, torc_defer_fn fn, void *ctx, torc_token cookie,
                int rc, const torc_id *peer) {
  d->fn = fn;
  d->ctx = ctx;
  d->cookie = cookie;
  d->rc = rc;
  d->peer = peer == NULL ? torc_id_zero : *peer;
  torc_list_push_back(&n->deferred, &d->node);
}

void torc_node_settle(torc_node *n) {
  torc_list *node = NULL;
  while ((node = torc_list_pop_front(&n->deferred)) != NULL) {
    torc_deferred d = *TORC_CONTAINER_OF(node, torc_deferred, node);
    d.fn(n, d.ctx, d.cookie, d.rc, &d.peer);
  }
}

/* Time never goes back (style 5). */
void torc_node_enter(torc_node *n, torc_time now) {
  n->now = now > n->now ? now : n->now;
  torc_out_free(n, n->polled);
  n->polled = NULL;
}

/* ---- expiry of stored data [STO-31] [GAP-98] ---- */

/* Nothing stored, nothing to do: the timer rests until something is. */
static void on_expire(torc_timer *t, torc_time now) {
  torc_node *n = TORC_CONTAINER_OF(t, torc_node, expire_timer);
  torc_wall wall = torc_node_wall(n);
  torc_wall next = 0;
  torc_time wait = EXPIRE_IDLE;
  int rc = torc_store_expire(n->store, wall, EXPIRE_BATCH, &next);
  if (rc != 0) {
    TORC_LOG(n->log, TORC_LOG_ERROR, "store:expire_failed", TORC_F_ERR("why", rc));
  } else if (next == 0) {
    return;
  } else if (next <= wall) {
    wait = TORC_MS(10);
  } else if (TORC_SEC(next - wall) < EXPIRE_IDLE) {
    wait = TORC_SEC(next - wall);
  }
  torc_timer_arm(&n->timers, &n->expire_timer, torc_time_add(now, wait));
}

void torc_node_expires(torc_node *n) {
  if (n->store != NULL && !torc_timer_armed(&n->expire_timer)) {
    torc_timer_arm(&n->timers, &n->expire_timer, torc_time_add(n->now, TORC_SEC(1)));
  }
}

/* ---- forgetting ---- */

static torc_time tidy_pause(const torc_node *n) {
  return n->cfg.t1 * TORC_NODE_DUP_AGE_T1 / 4;
}

/* What is only good for a while is forgotten also by a node to which nothing comes any more. */
static void on_tidy(torc_timer *t, torc_time now) {
  torc_node *n = TORC_CONTAINER_OF(t, torc_node, tidy_timer);
  bool is_more = torc_dups_expire(n);
  is_more = torc_private_ids_expire(n) || is_more;
  is_more = torc_fragments_expire(n) || is_more;
  if (n->forward.was_used || n->forward.is_full) {
    n->forward.was_used = false;
    is_more = true;
  } else {
    torc_free(n->mem, n->forward.head);
    n->forward.head = NULL;
    n->forward.head_cap = 0;
  }
  if (is_more) {
    torc_timer_arm(&n->timers, t, torc_time_add(now, tidy_pause(n)));
  }
}

void torc_node_untidy(torc_node *n) {
  if (!torc_timer_armed(&n->tidy_timer)) {
    torc_timer_arm(&n->timers, &n->tidy_timer, torc_time_add(n->now, tidy_pause(n)));
  }
}

/* ---- creation ---- */

torc_node_settings torc_node_settings_of(const torc_node_config *c) {
  torc_node_settings s = {.may_found = c->may_found,
                          .compress_via = c->compress_via,
                          .hide_topology = c->hide_topology,
                          .is_lean = c->is_lean,
                          .keep_certificate = c->keep_certificate && !c->is_shared_key,
                          .is_shared_key = c->is_shared_key};
  s.initial_ttl = c->initial_ttl == 0 ? TORC_TTL_INITIAL : c->initial_ttl;
  s.max_message =
      c->max_message == 0 || c->max_message > TORC_BODY_MAX ? TORC_BODY_MAX : c->max_message;
  s.t1 = c->t1 == 0 ? TORC_MS(500) : c->t1;
  s.replica_wait = c->replica_wait == 0 ? TORC_SEC(2) : c->replica_wait;
  s.keepalive = c->keepalive == 0 ? TORC_SEC(30) : c->keepalive;
  s.idle_close = c->idle_close == 0 ? TORC_SEC(300) : c->idle_close;
  s.max_links = c->max_links == 0 ? TORC_NODE_LINKS : c->max_links;
  s.max_client_links = c->max_client_links == 0 ? 64 : c->max_client_links;
  s.max_answer_bytes = c->max_answer_bytes == 0 ? TORC_NODE_DUP_BYTES : c->max_answer_bytes;
  return s;
}

static char *put_text(char **room, const char *text, size_t max) {
  char *at = *room;
  size_t len = strnlen(text, max);
  memcpy(at, text, len);
  at[len] = '\0';
  *room += len + 1;
  return at;
}

int torc_node_copy_types(torc_node *n, const torc_node_config *cfg, const char **why) {
  size_t num = TORC_TYPES_OF_DRAFT + cfg->num_types;
  size_t text_len = cfg->version_text != NULL ? VERSION_MAX + 1 : 0;
  for (size_t i = 0; i < cfg->num_types; i++) {
    text_len += strnlen(cfg->types[i].name, sizeof cfg->types[i].name - 1) + 1;
  }
  n->type_room = torc_alloc(n->mem, num * sizeof *n->type_room + text_len);
  if (n->type_room == NULL) {
    return TORC_ERR_NOMEM;
  }
  char *text = (char *)(n->type_room + num);
  torc_types_init(&n->types, n->type_room, num);
  n->version_text = cfg->version_text != NULL ? put_text(&text, cfg->version_text, VERSION_MAX)
                                              : "torc " TORC_VERSION;
  for (size_t i = 0; i < cfg->num_types; i++) {
    const torc_type_def *d = &cfg->types[i];
    torc_type type = torc_type_of(d, put_text(&text, d->name, sizeof d->name - 1));
    const char *fault = torc_types_fault(&n->types, &type);
    if (fault != NULL || torc_types_add(&n->types, &type) != 0) {
      *why = fault != NULL ? fault : "a private type of the overlay configuration is not usable";
      return TORC_ERR_CONFIG;
    }
  }
  return 0;
}

/* [SEC-08] [GAP-106] The same for everybody, so that all holders of a value agree. */
static int make_anyone(torc_node *n) {
  n->anyone = torc_calloc(n->mem, 1, sizeof *n->anyone);
  if (n->anyone == NULL) {
    return TORC_ERR_NOMEM;
  }
  n->anyone->refs = 1; /* the node's own: nobody releases the last one */
  n->anyone->not_after = UINT32_MAX;
  return 0;
}

static int make_identity(torc_node *n) {
  return n->cfg.is_shared_key ? make_anyone(n) : torc_own_cert_init(n);
}

static int make_store(torc_node *n, const torc_node_config *cfg, const char **why) {
  torc_store_config sc = {
      .mem = n->mem,
      .crypto = n->crypto,
      .types = &n->types,
      .backend = cfg->backend,
      .log = n->log,
      .remove_needs_generation = !cfg->remove_zero_generation,
      .max_bytes = cfg->max_stored_bytes == 0 ? MAX_STORED_DEFAULT : cfg->max_stored_bytes,
      .max_remove_memory = REMOVE_MEMORY};
  int rc = 0;
  if (n->role == TORC_ROLE_CLIENT) { /* [CLI-02] never stores for others */
    return 0;
  }
  if (cfg->backend == NULL) {
    *why = "a peer needs a storage backend";
    return TORC_ERR_CONFIG;
  }
  rc = torc_store_new(&n->store, &sc, cfg->wall);
  if (rc != 0) {
    *why = "the stored data cannot be opened";
    return rc;
  }
  torc_node_expires(n); /* what an earlier run has left */
  return 0;
}

static void init_tables(torc_node *n, uint64_t seed) {
  torc_timers_init(&n->timers);
  torc_timer_init(&n->expire_timer, on_expire);
  torc_timer_init(&n->tidy_timer, on_tidy);
  torc_list_init(&n->outputs);
  torc_list_init(&n->inbounds);
  torc_list_init(&n->copies);
  torc_list_init(&n->deferred);
  torc_map_init(&n->jobs, n->mem, offsetof(torc_jobref, job.id), sizeof(torc_token), seed);
  torc_links_init(n, seed);
  torc_certs_init(n, seed);
  torc_cert_fetches_init(n, seed);
  torc_dups_init(n, seed);
  torc_private_ids_init(n, seed);
  torc_transactions_init(n, seed);
  torc_connects_init(n, seed);
  torc_seen_init(n, seed);
  torc_calls_init(n, seed);
}

static int check_config(const torc_node_config *cfg, const char **why) {
  if (cfg->size != sizeof *cfg || cfg->crypto == NULL || cfg->cert == NULL ||
      cfg->overlay_name == NULL || cfg->algorithm == NULL) {
    *why = "the node's configuration is incomplete";
    return TORC_ERR_INVALID;
  }
  if (!torc_id_is_peer(&cfg->self) || !torc_cert_has_peer(cfg->cert, &cfg->self)) {
    *why = "the own peer-id is not in the own certificate";
    return TORC_ERR_CONFIG;
  }
  if (strlen(cfg->overlay_name) > OVERLAY_NAME_MAX || cfg->overlay_name[0] == '\0') {
    *why = "the overlay name is empty or longer than 255 bytes";
    return TORC_ERR_CONFIG;
  }
  return 0;
}

static int seed_of(const torc_node_config *cfg, uint64_t *seed) {
  *seed = cfg->seed;
  return cfg->seed != 0 ? 0 : cfg->crypto->random(cfg->crypto->ctx, (uint8_t *)seed, sizeof *seed);
}

static int node_init(torc_node *n, const torc_node_config *cfg, const char **why) {
  int rc = 0;
  n->cert = torc_cert_ref(cfg->cert);
  n->signature_algorithm = cfg->signature_algorithm;
  n->self = cfg->self;
  n->role = cfg->role;
  n->overlay = torc_overlay_crc(torc_slice_str(cfg->overlay_name));
  rc = torc_node_copy_types(n, cfg, why);
  rc = rc != 0 ? rc : make_identity(n);
  rc = rc != 0 ? rc : torc_cert_keep_init(n);
  rc = rc != 0 ? rc : torc_bootstrap_setup(n, cfg);
  rc = rc != 0 ? rc : make_store(n, cfg, why);
  return rc != 0 ? rc : torc_topology_setup(n, cfg, why);
}

int torc_node_new(torc_node **out, const torc_node_config *cfg, torc_time now, const char **why) {
  const char *unused = NULL;
  const torc_mem *mem = cfg->mem == NULL ? torc_mem_libc() : cfg->mem;
  torc_node *n = NULL;
  uint64_t seed = 0;
  why = why == NULL ? &unused : why;
  *why = "no memory";
  int rc = check_config(cfg, why);
  rc = rc != 0 ? rc : seed_of(cfg, &seed);
  if (rc != 0) {
    return rc;
  }
  n = torc_calloc(mem, 1, sizeof *n);
  if (n == NULL) {
    return TORC_ERR_NOMEM;
  }
  n->mem = mem;
  if (cfg->counters == NULL && torc_counters_new(&n->own_counters, mem) != 0) {
    torc_free(mem, n);
    return TORC_ERR_NOMEM;
  }
  n->stats = cfg->counters != NULL ? &cfg->counters->node : &n->own_counters->node;
  n->crypto = cfg->crypto;
  n->log = cfg->log;
  n->now = now;
  n->started = now;
  n->wall_base = cfg->wall;
  n->wall_at = now;
  n->cfg = torc_node_settings_of(cfg);
  torc_rng_seed(&n->rng, seed);
  init_tables(n, seed);
  rc = node_init(n, cfg, why);
  if (rc != 0) {
    torc_node_free(n);
    return rc;
  }
  torc_node_settle(n);
  *out = n;
  return 0;
}

/* Everything under way is ended with TORC_ERR_CLOSED: owners free themselves, nothing new can
 * start. */
static void unwind(torc_node *n) {
  bool is_more = true;
  while (is_more) {
    size_t it = 0;
    torc_jobref *j = NULL;
    is_more = torc_trans_fail_one(n, TORC_ERR_CLOSED);
    j = torc_map_next(&n->jobs, &it);
    if (j != NULL) {
      torc_job_result closed = {.rc = TORC_ERR_CLOSED};
      (void)torc_map_del(&n->jobs, &j->job.id);
      j->is_pending = false;
      j->done(n, j, &closed);
      is_more = true;
    }
    torc_node_settle(n);
  }
}

static void inbounds_clear(torc_node *n) {
  while (!torc_list_empty(&n->inbounds)) {
    torc_inbound_free(n, TORC_CONTAINER_OF(n->inbounds.next, torc_inbound, node));
  }
}

void torc_node_clear(torc_node *n) {
  n->is_freeing = true;
  n->phase = TORC_PHASE_LEFT;
  if (n->topo != NULL) {
    n->topo_ops->destroy(n->topo);
    n->topo = NULL;
  }
  unwind(n);
  torc_copies_clear(n);
  unwind(n);
  torc_connects_clear(n);
  torc_apps_clear(n);
  torc_calls_clear(n);
  inbounds_clear(n);
  unwind(n);
  torc_transactions_clear(n);
  torc_bootstrap_clear(n);
  torc_links_clear(n);
  torc_outputs_clear(n);
  torc_private_ids_clear(n);
  torc_fragments_clear(n);
  torc_dups_clear(n);
  torc_seen_clear(n);
  torc_store_free(n->store);
  torc_cert_fetches_clear(n);
  torc_cert_keep_clear(n);
  torc_certs_clear(n);
  torc_free(n->mem, n->anyone);
  torc_map_clear(&n->jobs);
  torc_free(n->mem, n->type_room);
  torc_retired_clear(n, true);
  torc_free(n->mem, n->retired);
  torc_free(n->mem, n->forward.head);
  torc_own_cert_clear(n);
}

void torc_node_free(torc_node *n) {
  if (n == NULL) {
    return;
  }
  torc_rings_clear(n);
  if (!n->is_retired) {
    torc_node_clear(n);
  }
  torc_counters_free(n->own_counters);
  torc_free(n->mem, n);
}

/* ---- inputs ---- */

int torc_core_start(torc_node *n, torc_time now) {
  torc_node_enter(n, now);
  if (n->phase != TORC_PHASE_NEW) {
    return TORC_ERR_STATE;
  }
  torc_bootstrap_start(n);
  torc_node_settle(n);
  return 0;
}

static void on_leave_limit(torc_timer *t, torc_time now) {
  torc_node *n = TORC_CONTAINER_OF(t, torc_node, leave_timer);
  (void)now;
  torc_node_set_phase(n, TORC_PHASE_LEFT);
}

/* A client leaves by closing its links. */
int torc_core_leave(torc_node *n, torc_time now) {
  torc_node_enter(n, now);
  if (n->phase == TORC_PHASE_LEAVING || n->phase == TORC_PHASE_LEFT) {
    return 0;
  }
  bool is_member =
      n->topo != NULL && (n->phase == TORC_PHASE_JOINED || n->phase == TORC_PHASE_JOINING);
  torc_node_set_phase(n, TORC_PHASE_LEAVING);
  if (is_member) {
    torc_timer_init(&n->leave_timer, on_leave_limit);
    torc_timer_arm(&n->timers, &n->leave_timer, torc_time_add(n->now, LEAVE_LIMIT));
    n->topo_ops->leave(n->topo);
  } else {
    torc_node_set_phase(n, TORC_PHASE_LEFT);
  }
  torc_node_settle(n);
  return 0;
}

void torc_core_set_wall(torc_node *n, torc_wall wall, torc_time now) {
  torc_node_enter(n, now);
  n->wall_base = wall;
  n->wall_at = n->now;
  torc_node_expires(n);
}

int torc_core_reconfigure(torc_node *n, const torc_node_config *cfg, torc_time now,
                          const char **why) {
  const char *unused = NULL;
  torc_node_enter(n, now);
  int rc = torc_node_change(n, cfg, why == NULL ? &unused : why);
  torc_node_settle(n);
  return rc;
}

int torc_core_input(torc_node *n, torc_link_id link, torc_slice data, torc_time now) {
  torc_link *l = NULL;
  torc_node_enter(n, now);
  if (n->forward.is_full) {
    return TORC_ERR_STATE; /* the caller did not drain the outputs of the last input */
  }
  l = torc_link_find(n, link);
  if (l == NULL || n->phase == TORC_PHASE_LEFT) {
    n->stats->drop_unknown_link++;
    return 0;
  }
  torc_input_message(n, l, data);
  torc_node_settle(n);
  return 0;
}

int torc_core_tick(torc_node *n, torc_time now) {
  torc_node_enter(n, now);
  torc_timers_run(&n->timers, n->now);
  torc_node_settle(n);
  return 0;
}

torc_time torc_core_deadline(const torc_node *n) {
  return torc_timers_next(&n->timers);
}

int torc_core_job_done(torc_node *n, torc_token job, const torc_job_result *result, torc_time now) {
  torc_jobref *j = NULL;
  torc_node_enter(n, now);
  j = torc_map_del(&n->jobs, &job);
  if (j == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  j->is_pending = false;
  j->done(n, j, result);
  torc_node_settle(n);
  return 0;
}

int torc_core_link_up(torc_node *n, torc_link_id link, const torc_link_info *info, torc_time now) {
  torc_node_enter(n, now);
  int rc = torc_links_input_up(n, link, info);
  torc_node_settle(n);
  return rc;
}

int torc_core_link_down(torc_node *n, torc_link_id link, torc_time now) {
  torc_node_enter(n, now);
  int rc = torc_links_input_down(n, link);
  torc_node_settle(n);
  return rc;
}

int torc_core_open_failed(torc_node *n, torc_token token, int rc, torc_time now) {
  torc_node_enter(n, now);
  if (!torc_bootstrap_failed(n, token, rc)) {
    torc_connect_failed(n, token, rc);
  }
  torc_node_settle(n);
  return 0;
}

int torc_core_link_congested(torc_node *n, torc_link_id link, bool congested, torc_time now) {
  torc_link *l = NULL;
  torc_node_enter(n, now);
  l = torc_link_find(n, link);
  if (l != NULL) {
    l->is_congested = congested;
  }
  return 0;
}

int torc_core_link_mtu(torc_node *n, torc_link_id link, uint32_t mtu, torc_time now) {
  torc_node_enter(n, now);
  torc_link *l = torc_link_find(n, link);
  if (l != NULL) {
    torc_link_set_mtu(l, mtu);
  }
  return 0;
}

int torc_core_set_cached(torc_node *n, const torc_endpoint *cached, size_t num_cached) {
  return torc_bootstrap_set_cached(n, cached, num_cached);
}

int torc_core_discovered(torc_node *n, const torc_endpoint *at, torc_time now) {
  torc_node_enter(n, now);
  int rc = torc_bootstrap_discovered(n, at);
  torc_node_settle(n);
  return rc;
}

int torc_core_renew_link(torc_node *n, const torc_id *peer, torc_time now) {
  torc_node_enter(n, now);
  int rc = torc_connect_renew(n, peer);
  torc_node_settle(n);
  return rc;
}

int torc_core_offer_ready(torc_node *n, torc_token token, const torc_connect_params *params,
                          torc_time now) {
  torc_node_enter(n, now);
  int rc = torc_connect_offer(n, token, params);
  torc_node_settle(n);
  return rc;
}

int torc_core_answer_ready(torc_node *n, torc_token token, const torc_connect_params *params,
                           uint16_t refuse, torc_time now) {
  torc_node_enter(n, now);
  int rc = torc_connect_answer(n, token, params, refuse);
  torc_node_settle(n);
  return rc;
}

int torc_core_connection_up(torc_node *n, torc_token token, const torc_link_info *info,
                            torc_time now) {
  torc_node_enter(n, now);
  int rc = torc_appconn_up(n, token, info);
  torc_node_settle(n);
  return rc;
}

int torc_core_connection_down(torc_node *n, torc_token token, int rc, torc_time now) {
  torc_node_enter(n, now);
  torc_appconn_ended(n, token, rc);
  torc_node_settle(n);
  return 0;
}

/* ---- outputs ---- */

/* The message being forwarded, or its next part. */
static void poll_forward(torc_node *n, torc_output *out) {
  memset(out, 0, torc_out_size(TORC_OUT_SEND));
  out->kind = TORC_OUT_SEND;
  out->link = n->forward.link;
  out->head = torc_slice_of(n->forward.head, n->forward.head_len);
  torc_split_next(&n->forward.split, n->forward.head, n->forward.head_len, &n->forward.body,
                  &out->body);
  n->forward.is_full = n->forward.body.len > 0;
}

/* The output at hand; one with a body has parts of it left as long as that is not empty. */
static void poll_out(torc_node *n, torc_output *out) {
  torc_out *o = n->polled;
  memcpy(out, &o->o, torc_out_size(o->o.kind));
  if (o->split.part != 0) {
    uint8_t *head = (uint8_t *)o + offsetof(torc_out, o) + torc_out_size(TORC_OUT_SEND);
    torc_split_next(&o->split, head, o->o.head.len, &o->o.body, &out->body);
  }
}

bool torc_core_poll(torc_node *n, torc_output *out) {
  if (n->polled != NULL && n->polled->split.part != 0 && n->polled->o.body.len > 0) {
    poll_out(n, out);
    return true;
  }
  torc_out_free(n, n->polled);
  n->polled = NULL;
  if (n->forward.is_full) {
    poll_forward(n, out);
    return true;
  }
  torc_list *node = torc_list_pop_front(&n->outputs);
  if (node == NULL) {
    return false;
  }
  n->polled = TORC_CONTAINER_OF(node, torc_out, node);
  poll_out(n, out);
  return true;
}

/* ---- application calls ---- */

int torc_core_store(torc_node *n, const torc_id *resource, const torc_store_item *items,
                    size_t num_items, torc_time now, torc_token *token) {
  torc_node_enter(n, now);
  int rc = torc_app_store(n, resource, items, num_items, token);
  torc_node_settle(n);
  return rc;
}

int torc_core_fetch(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                    size_t num_items, torc_time now, torc_token *token) {
  torc_node_enter(n, now);
  int rc = torc_app_fetch(n, resource, items, num_items, token);
  torc_node_settle(n);
  return rc;
}

int torc_core_fetch_replicas(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                             size_t num_items, torc_time now, torc_token *token) {
  torc_node_enter(n, now);
  int rc = torc_app_fetch_replicas(n, resource, items, num_items, token);
  torc_node_settle(n);
  return rc;
}

int torc_core_remove(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                     size_t num_items, torc_time now, torc_token *token) {
  torc_node_enter(n, now);
  int rc = torc_app_remove(n, resource, items, num_items, token);
  torc_node_settle(n);
  return rc;
}

int torc_core_find(torc_node *n, const torc_id *resource, const uint32_t *types, size_t num_types,
                   torc_time now, torc_token *token) {
  torc_node_enter(n, now);
  int rc = torc_app_find(n, resource, types, num_types, token);
  torc_node_settle(n);
  return rc;
}

int torc_core_ping(torc_node *n, const torc_id *route, size_t num_route, unsigned flags,
                   torc_time now, torc_token *token) {
  torc_node_enter(n, now);
  int rc = torc_app_ping(n, route, num_route, flags, token);
  torc_node_settle(n);
  return rc;
}

int torc_core_connect(torc_node *n, const torc_id *route, size_t num_route, torc_time now,
                      torc_token *token) {
  torc_node_enter(n, now);
  int rc = torc_app_connect(n, route, num_route, token);
  torc_node_settle(n);
  return rc;
}

int torc_core_connect_application(torc_node *n, const torc_id *route, size_t num_route,
                                  uint16_t application, torc_time now, torc_token *token) {
  torc_node_enter(n, now);
  int rc = torc_appconn_start(n, route, num_route, application, token);
  torc_node_settle(n);
  return rc;
}

int torc_core_tunnel(torc_node *n, const torc_id *route, size_t num_route, uint16_t application,
                     torc_slice dialog_id, torc_slice pdu, torc_time now, torc_token *token) {
  torc_tunnel_data data = {
      .application = application, .dialog_id = dialog_id, .application_pdu = pdu};
  torc_node_enter(n, now);
  int rc = torc_app_tunnel(n, route, num_route, &data, token);
  torc_node_settle(n);
  return rc;
}

int torc_core_listen(torc_node *n, uint16_t application, bool on) {
  return torc_app_take_tunnels(n, application, on);
}

int torc_core_resource_id(torc_node *n, torc_slice seed, torc_id *out) {
  char text[1024];
  size_t len = 0;
  int rc = torc_seed_normalise(seed, text, sizeof text, &len);
  return rc != 0 ? rc : torc_resource_id(n->crypto, torc_slice_of(text, len), out);
}

int torc_core_type(torc_node *n, torc_slice name, uint32_t *id, uint8_t *model) {
  const torc_type *type = torc_types_find_name(&n->types, name);
  if (type == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  *id = type->id;
  *model = (uint8_t)type->model;
  return 0;
}
