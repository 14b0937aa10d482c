/* A peer is put together and taken apart.
 * SPDX-License-Identifier: Apache-2.0 */
#include "torc/peer.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/peer_from.h"
#include "io/peer_impl.h"
#include "io/sigpipe.h"

typedef struct build { /* what the steps of torc_peer_new share */
  torc_peer *p;
  torc_peer_config cfg;
  torc_overlay *overlay; /* read before; NULL: read here */
  const torc_net_limits *limits;
  char *err;
  size_t err_cap;
} build;

static int no_memory(const build *b) {
  return torc_fail(TORC_ERR_NOMEM, b->err, b->err_cap, "out of memory");
}

static int missing(const build *b, const char *what) {
  return torc_fail(TORC_ERR_CONFIG, b->err, b->err_cap,
                   "the configuration does not say which %s to use", what);
}

static int read_overlay(build *b) {
  int rc = 0;
  if (b->overlay != NULL) {
    b->p->overlay = *b->overlay;
    *b->overlay = (torc_overlay){.name = ""};
  } else if (b->cfg.overlay_file == NULL) {
    return missing(b, "overlay configuration file");
  } else {
    rc = torc_overlay_load(&b->p->overlay, b->cfg.overlay_file, b->cfg.overlay_name, b->err,
                           b->err_cap);
  }
  if (rc == 0) {
    torc_peer_skip_old_ring(&b->p->overlay);
  }
  return rc;
}

/* [SEC-06] [GAP-137] The key, and the peer-id that this node has given itself. */
static int read_shared_key(build *b) {
  torc_peer *p = b->p;
  uint8_t key[TORC_SHARED_KEY_LEN];
  torc_id self;
  int rc = torc_shared_key_load(key, b->cfg.shared_key_file, b->err, b->err_cap);
  if (rc == 0) {
    rc = torc_peer_id_keep(&self, b->cfg.state_dir, b->err, b->err_cap);
  }
  if (rc == 0) {
    rc = torc_pki_new_shared(&p->pki, p->overlay.name, key, &self, b->err, b->err_cap);
  }
  torc_wipe(key, sizeof key);
  return rc;
}

/* [SEC-01] Overlay, root certificates, own certificate and key. */
static int read_files(build *b) {
  torc_peer *p = b->p;
  bool is_shared = b->cfg.shared_key_file != NULL;
  if (!is_shared && b->cfg.cert_file == NULL) {
    return missing(b, "certificate file");
  }
  if (!is_shared && b->cfg.key_file == NULL) {
    return missing(b, "private key file");
  }
  int rc = read_overlay(b);
  if (rc == 0) {
    rc = torc_overlay_fits_key(&p->overlay, is_shared, b->err, b->err_cap);
  }
  if (rc != 0 || is_shared) {
    return rc != 0 ? rc : read_shared_key(b);
  }
  torc_slice roots[TORC_OVERLAY_ROOTS_MAX];
  for (size_t i = 0; i < p->overlay.num_roots; i++) {
    roots[i] = torc_slice_of(p->overlay.roots[i].der, p->overlay.roots[i].len);
  }
  rc = torc_pki_new(&p->pki, p->overlay.name, roots, p->overlay.num_roots, b->err, b->err_cap);
  if (rc == 0 && p->overlay.migrates_from[0] != '\0') { /* [D-19] */
    rc = torc_pki_add_name(p->pki, p->overlay.migrates_from, b->err, b->err_cap);
  }
  if (rc == 0 && p->overlay.next != NULL) {
    rc = torc_pki_add_name(p->pki, p->overlay.next->name, b->err, b->err_cap);
  }
  if (rc == 0) {
    torc_pki_admit(p->pki, p->overlay.signature_algorithms);
    rc = torc_pki_load_own(p->pki, b->cfg.cert_file, b->cfg.key_file, torc_peer_wall(), b->err,
                           b->err_cap);
  }
  return rc;
}

int torc_overlay_fits_key(const torc_overlay *o, bool has_shared_key, char *err, size_t err_cap) {
  if (o->is_shared_key == has_shared_key) {
    return 0;
  }
  return torc_fail(
      TORC_ERR_CONFIG, err, err_cap,
      has_shared_key ? "the overlay %s works with certificates, not with a shared key"
                     : "the overlay %s has a shared key: [identity] shared-key must name its file",
      o->name);
}

static uint64_t max_stored(const build *b) {
  return b->cfg.max_stored_bytes == 0 ? TORC_PEER_STORE_DEFAULT : b->cfg.max_stored_bytes;
}

static int open_storage(build *b) {
  torc_peer *p = b->p;
  int rc = 0;
  if (b->cfg.state_dir != NULL) {
    rc = torc_peer_state_open(p, b->cfg.state_dir, b->err, b->err_cap);
  }
  if (rc != 0 || b->cfg.role == TORC_ROLE_CLIENT) { /* [CLI-02] a client stores nothing */
    return rc;
  }
  if (b->cfg.state_dir == NULL) {
    rc = torc_memory_backend_new(&p->memory, &p->backend, torc_mem_libc(), (size_t)max_stored(b));
    return rc == 0 ? 0 : no_memory(b);
  }
  return torc_peer_open_lmdb(p, &p->overlay, &p->lmdb, &p->backend, b->err, b->err_cap);
}

static int open_net(build *b) {
  torc_peer *p = b->p;
  torc_net_config cfg = {.loop = &p->loop,
                         .pki = p->pki,
                         .limits = b->limits,
                         .events = torc_peer_net_events,
                         .log = p->log,
                         .wall = torc_peer_wall()};
  cfg.events.ctx = p;
  int rc = torc_net_new(&p->net, &cfg, b->err, b->err_cap);
  for (size_t i = 0; rc == 0 && i < TORC_PEER_LISTEN_MAX && b->cfg.listen[i] != NULL; i++) {
    rc = torc_net_listen(p->net, b->cfg.listen[i], b->err, b->err_cap);
  }
  if (rc == 0 && b->cfg.advertise != NULL && torc_net_num_listeners(p->net) == 0) {
    rc = torc_fail(TORC_ERR_CONFIG, b->err, b->err_cap,
                   "addresses are advertised, but there is none to listen on");
  }
  for (size_t i = 0; rc == 0 && b->cfg.advertise != NULL && b->cfg.advertise[i] != NULL; i++) {
    rc = torc_net_advertise(p->net, b->cfg.advertise[i], b->err, b->err_cap);
  }
  return rc == 0 ? torc_peer_use_servers(p->net, &b->cfg, b->err, b->err_cap) : rc;
}

void torc_peer_use_groups(torc_peer *p, const torc_overlay *o, const torc_overlay *listed) {
  size_t num = torc_overlay_num_groups(listed);
  if (num < listed->num_multicast) {
    TORC_LOG(p->log, TORC_LOG_WARN, "io:multicast_unused",
             TORC_F_STR("why", "the overlay has a shared key: multicast-bootstrap is not used"));
  }
  torc_multicast_set_overlay(p->multicast, o->name);
  if (p->cfg.role == TORC_ROLE_PEER) {
    torc_multicast_set_groups(p->multicast, listed->multicast, num);
  }
}

/* [ENR-24] [GAP-69] */
static int open_multicast(build *b) {
  torc_peer *p = b->p;
  torc_multicast_config cfg = {.loop = &p->loop,
                               .pki = p->pki,
                               .net = p->net,
                               .log = p->log,
                               .wall = torc_peer_wall,
                               .ctx = p,
                               .may_answer = torc_peer_may_answer,
                               .heard = torc_peer_heard,
                               .over = torc_peer_ask_over,
                               .turn = torc_peer_pump};
  if (torc_multicast_new(&p->multicast, &cfg) != 0) {
    return no_memory(b);
  }
  torc_peer_use_groups(p, &p->overlay, &p->overlay);
  return 0;
}

static int open_pool(build *b) {
  torc_peer *p = b->p;
  p->is_signing_pooled = b->cfg.num_threads > 0;
  p->is_disk_synced = b->cfg.sync_disk && p->lmdb != NULL;
  if (!p->is_signing_pooled && !p->is_disk_synced) {
    return 0;
  }
  torc_pool_config cfg = {.loop = &p->loop,
                          .pki = p->pki,
                          .db = p->lmdb,
                          .num_threads = b->cfg.num_threads == 0 ? 1 : b->cfg.num_threads,
                          .ctx = p,
                          .done = torc_peer_job_done,
                          .turn = torc_peer_pump};
  int rc = torc_pool_new(&p->pool, &cfg);
  if (rc != 0) {
    return torc_fail(rc, b->err, b->err_cap, "cannot start %u threads (at most %d)",
                     cfg.num_threads, TORC_POOL_THREADS_MAX);
  }
  return 0;
}

static torc_time either(torc_time own, torc_time overlay) {
  return own != 0 ? own : overlay;
}

/* Who is in the list itself may found a ring, and does not dial itself. */
static bool sort_bootstrap(torc_peer *p, const torc_overlay *o) {
  bool is_listed = false;
  p->num_bootstrap = 0;
  for (size_t i = 0; i < o->num_bootstrap; i++) {
    if (torc_net_is_self(p->net, &o->bootstrap[i])) {
      is_listed = true;
    } else {
      p->bootstrap[p->num_bootstrap] = o->bootstrap[i];
      p->num_bootstrap++;
    }
  }
  for (size_t i = 0; i < torc_overlay_num_groups(o); i++) { /* [GAP-132] after all others */
    p->bootstrap[p->num_bootstrap] = o->multicast[i];
    p->bootstrap[p->num_bootstrap].is_group = true;
    p->num_bootstrap++;
  }
  return is_listed;
}

void torc_peer_node_config(torc_peer *p, const torc_overlay *o, torc_node_config *out) {
  const torc_peer_config *c = &p->cfg;
  torc_node_config cfg = TORC_NODE_CONFIG_INIT;
  cfg.overlay_name = o->name;
  cfg.algorithm = o->algorithm;
  cfg.role = c->role;
  cfg.types = o->types;
  cfg.num_types = o->num_types;
  cfg.may_found = sort_bootstrap(p, o);
  cfg.bootstrap = p->bootstrap;
  cfg.num_bootstrap = p->num_bootstrap;
  cfg.initial_ttl = o->initial_ttl;
  cfg.max_message = o->max_message;
  cfg.t1 = either(c->t1, o->t1);
  cfg.update_period = either(c->update_period, o->update_period);
  cfg.ping_period = either(c->ping_period, o->ping_period);
  cfg.deletion_delay = either(c->deletion_delay, o->deletion_delay);
  cfg.replica_wait = either(c->replica_wait, o->replica_wait);
  cfg.keepalive = either(c->keepalive, o->keepalive);
  cfg.idle_close = either(c->idle_close, o->idle_close);
  cfg.max_links = c->max_links;
  cfg.max_client_links = c->max_client_links;
  cfg.max_answer_bytes = c->max_answer_bytes;
  cfg.max_stored_bytes = c->max_stored_bytes;
  cfg.remove_zero_generation = o->remove_zero_generation;
  *out = cfg;
}

static int make_node(build *b) {
  torc_peer *p = b->p;
  torc_endpoint cached[TORC_PEER_CACHE_MAX];
  torc_cert *own = torc_pki_own_cert(p->pki);
  torc_node_config cfg;
  torc_peer_node_config(p, &p->overlay, &cfg);
  cfg.crypto = torc_pki_crypto(p->pki);
  cfg.log = p->log;
  cfg.backend = b->cfg.role == TORC_ROLE_CLIENT ? NULL : &p->backend;
  cfg.cert = own;
  memcpy(p->shown, own->digest, sizeof p->shown);
  cfg.signature_algorithm = torc_pki_signature_algorithm(p->pki);
  cfg.self =
      own->peers[0]; /* [R-09] [GAP-136] a node runs as the first peer-id of its certificate */
  cfg.cached = cached;
  cfg.num_cached = torc_peer_cache_endpoints(&p->cache, cached, TORC_PEER_CACHE_MAX);
  cfg.is_shared_key = p->overlay.is_shared_key;
  cfg.keep_certificate = !p->overlay.is_shared_key; /* [CRT-02] */
  cfg.wall = torc_peer_wall();
  const char *why = NULL;
  int rc = torc_node_new(&p->node, &cfg, torc_peer_now(p), &why);
  if (rc == TORC_ERR_FORMAT && p->lmdb != NULL) {
    return torc_fail(rc, b->err, b->err_cap,
                     "the values in %s/data.mdb cannot be read: they are damaged, or of another "
                     "version; move the file away, the other peers have copies",
                     p->state_dir);
  }
  if (rc != 0) {
    return torc_fail(rc, b->err, b->err_cap, "the node cannot be made: %s",
                     why == NULL ? torc_strerror(rc) : why);
  }
  return 0;
}

static int put_together(build *b) {
  torc_peer *p = b->p;
  if (b->cfg.role != TORC_ROLE_PEER && b->cfg.role != TORC_ROLE_CLIENT) {
    return missing(b, "role (peer or client)");
  }
  if (uv_loop_init(&p->loop) != 0) {
    return torc_fail(TORC_ERR_IO, b->err, b->err_cap,
                     "the event loop cannot be made: too many open files?");
  }
  p->has_loop = true;
  int rc = torc_peer_timers_init(p);
  if (rc != 0) {
    return torc_fail(rc, b->err, b->err_cap, "the event loop cannot be made: too many open files?");
  }
  rc = read_files(b);
  if (rc == 0) {
    rc = open_net(b);
  }
  if (rc == 0) { /* after the sockets: a second daemon fails before it touches anything */
    rc = open_storage(b);
  }
  if (rc == 0) {
    rc = open_multicast(b);
  }
  if (rc == 0) {
    rc = open_pool(b);
  }
  if (rc == 0) {
    rc = make_node(b);
  }
  if (rc == 0 && p->overlay.next != NULL) {
    rc = torc_peer_migrate(p, &p->overlay, b->err, b->err_cap);
  }
  return rc;
}

int torc_peer_new_from(torc_peer **out, const torc_peer_config *cfg, torc_overlay *overlay,
                       const torc_net_limits *limits, char *err, size_t err_cap) {
  if (cfg->size < offsetof(torc_peer_config, state_dir) || cfg->size > sizeof *cfg) {
    return torc_fail(TORC_ERR_INVALID, err, err_cap,
                     "the configuration was not made with TORC_PEER_CONFIG_INIT");
  }
  torc_peer *p = calloc(1, sizeof *p);
  build b = {.p = p, .overlay = overlay, .limits = limits, .err = err, .err_cap = err_cap};
  if (p == NULL) {
    return no_memory(&b);
  }
  memcpy(&b.cfg, cfg, cfg->size);
  p->cfg = b.cfg;
  p->log = b.cfg.log;
  p->lock_fd = -1;
  torc_list_init(&p->events);
  torc_list_init(&p->paths);
  torc_peer_cache_init(&p->cache);
  int rc = put_together(&b);
  if (rc != 0) {
    torc_peer_free(p);
    return rc;
  }
  *out = p;
  return 0;
}

int torc_peer_new_with(torc_peer **out, const torc_peer_config *cfg, const torc_net_limits *limits,
                       char *err, size_t err_cap) {
  return torc_peer_new_from(out, cfg, NULL, limits, err, err_cap);
}

int torc_peer_new(torc_peer **out, const torc_peer_config *cfg, char *err, size_t err_cap) {
  return torc_peer_new_from(out, cfg, NULL, NULL, err, err_cap);
}

static bool is_shut(const torc_peer *p) {
  return (p->net == NULL || torc_net_is_shut(p->net)) &&
         (p->multicast == NULL || torc_multicast_is_shut(p->multicast));
}

/* Runs the loop until libuv has let go of every handle of ours; others may remain. */
static void close_handles(torc_peer *p) {
  if (!p->has_loop) {
    return;
  }
  torc_peer_timers_close(p);
  if (p->pool != NULL) {
    torc_pool_shutdown(p->pool);
  }
  if (p->net != NULL) {
    torc_net_shutdown(p->net);
  }
  if (p->multicast != NULL) {
    torc_multicast_shutdown(p->multicast);
  }
  do {
    (void)uv_run(&p->loop, UV_RUN_NOWAIT);
  } while (!is_shut(p) && uv_run(&p->loop, UV_RUN_ONCE) != 0);
}

void torc_peer_free(torc_peer *p) {
  if (p == NULL) {
    return;
  }
  if (p->node != NULL) {
    torc_peer_cache_note(p, false);
  }
  torc_sigpipe held;
  torc_sigpipe_hold(&held);
  torc_paths_clear(p);
  p->is_closing = true;
  close_handles(p);
  torc_sigpipe_release(&held);
  torc_node_free(p->node);
  torc_peer_events_clear(p);
  torc_multicast_free(p->multicast);
  torc_net_free(p->net);
  torc_pool_free(p->pool);
  if (p->lmdb != NULL && torc_lmdb_sync(p->lmdb) != 0) {
    TORC_LOG(p->log, TORC_LOG_WARN, "io:sync_failed", TORC_F_STR("dir", p->state_dir));
  }
  if (p->second_lmdb != NULL && torc_lmdb_sync(p->second_lmdb) != 0) {
    TORC_LOG(p->log, TORC_LOG_WARN, "io:sync_failed", TORC_F_STR("dir", p->state_dir));
  }
  torc_lmdb_close(p->lmdb);
  torc_lmdb_close(p->second_lmdb);
  torc_memory_backend_free(p->memory);
  torc_memory_backend_free(p->second_memory);
  torc_peer_state_close(p);
  torc_pki_free(p->pki);
  torc_overlay_clear(&p->overlay);
  if (p->document != NULL) {
    torc_overlay_clear(p->document);
    free(p->document);
  }
  if (p->has_loop) {
    (void)uv_run(&p->loop, UV_RUN_NOWAIT);
    (void)uv_loop_close(&p->loop); /* busy only if the application left a handle in it */
  }
  free(p);
}

torc_node *torc_peer_node(torc_peer *p) {
  return p->node;
}

uint16_t torc_peer_port(const torc_peer *p, size_t i) {
  return torc_net_port(p->net, i);
}

void *torc_peer_loop(torc_peer *p) {
  return &p->loop;
}

const torc_cert *torc_peer_cert(const torc_peer *p) {
  return torc_pki_own_cert(p->pki);
}

void torc_peer_counters(const torc_peer *p, void *ctx,
                        void (*each)(void *ctx, const char *name, uint64_t value)) {
  torc_node_counters(p->node, ctx, each);
  torc_net_counters(p->net, ctx, each);
  torc_multicast_counters(p->multicast, ctx, each);
#define X(name) each(ctx, "io_" #name, p->stats.name);
  TORC_PEER_STATS(X)
#undef X
}

void torc_peer_gauges(const torc_peer *p, void *ctx,
                      void (*each)(void *ctx, const char *name, uint64_t value)) {
  torc_net_gauges(p->net, ctx, each);
  each(ctx, "io_jobs_pending", p->pool == NULL ? 0 : torc_pool_pending(p->pool));
  each(ctx, "io_events_waiting", p->num_events);
  each(ctx, "io_cached_peers", p->cache.len);
  each(ctx, "io_multicast_sockets", torc_multicast_num_listeners(p->multicast));
  /* [D-19] 0 none, 1 fetch-old, 2 fetch-new, 3 new-only. */
  torc_migration_view move;
  torc_node_get_migration(p->node, &move);
  each(ctx, "migration_stage", move.stage);
  each(ctx, "migration_joined", strcmp(move.new_state, "joined") == 0 ? 1 : 0);
  each(ctx, "migration_old_ring", strcmp(move.old_state, "left") == 0 ? 0 : 1);
  if (!p->overlay.is_shared_key) { /* [ENR-38] 0: it has ended */
    torc_wall end = torc_pki_own_cert(p->pki)->not_after;
    torc_wall now = torc_peer_wall();
    each(ctx, "io_certificate_seconds_left", end > now ? end - now : 0);
  }
  /* [GAP-130] 1 valid, 2 expired, 3 expired for as long again. */
  each(ctx, "io_configuration_age", torc_config_age_at(&p->config.life, torc_peer_wall()));
}
