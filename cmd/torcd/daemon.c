/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"
#include "base/slice.h"
#include "io/notify.h"
#include "io/peer_from.h"
#include "io/settle.h"
#include "io/x509.h"
#include "overlay/topology/topology.h"
#include "refresh.h"
#include "renew.h"

static const torc_log *log_of(const torcd *d) {
  return d->log == NULL ? NULL : torc_json_log_sink(d->log);
}

/* ---- before anything runs ---- */

static int check_algorithm(const torcd *d, const torc_overlay *overlay, char *err, size_t err_cap) {
  const torc_topology_ops *ops = NULL;
  torc_topology_params params;
  int rc = torc_topology_find(overlay->algorithm, &ops, &params);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "%s: the algorithm '%s' is not known: %s", d->conf.overlay_file,
                   overlay->algorithm, torc_topology_explain(overlay->algorithm));
  }
  return rc;
}

static int check_identity(torcd *d, const torc_overlay *overlay, char *err, size_t err_cap) {
  torc_slice roots[TORC_OVERLAY_ROOTS_MAX];
  torc_pki *pki = NULL;
  bool is_shared = d->conf.shared_key_file[0] != '\0';
  int fits = torc_overlay_fits_key(overlay, is_shared, err, err_cap);
  if (fits != 0 || is_shared) {
    uint8_t key[TORC_SHARED_KEY_LEN];
    fits = fits != 0 ? fits : torc_shared_key_load(key, d->conf.shared_key_file, err, err_cap);
    torc_wipe(key, sizeof key);
    return fits;
  }
  for (size_t i = 0; i < overlay->num_roots; i++) {
    roots[i] = torc_slice_of(overlay->roots[i].der, overlay->roots[i].len);
  }
  int rc = torc_pki_new(&pki, overlay->name, roots, overlay->num_roots, err, err_cap);
  if (rc == 0 && overlay->next != NULL) { /* [D-19] a certificate of either name */
    rc = torc_pki_add_name(pki, overlay->next->name, err, err_cap);
  }
  if (rc == 0 && overlay->migrates_from[0] != '\0') {
    rc = torc_pki_add_name(pki, overlay->migrates_from, err, err_cap);
  }
  if (rc == 0) {
    torc_pki_admit(pki, overlay->signature_algorithms);
    rc = torc_pki_load_own(pki, d->conf.cert_file, d->conf.key_file, (torc_wall)time(NULL), err,
                           err_cap);
  }
  if (rc == 0) {
    const torc_cert *cert = torc_pki_own_cert(pki);
    (void)snprintf(d->user, sizeof d->user, "%s", cert->num_users > 0 ? cert->users[0] : "");
  }
  torc_pki_free(pki);
  return rc;
}

int torcd_check(torcd *d, char *err, size_t err_cap) {
  const torc_overlay *overlay = &d->document;
  int rc = refresh_choose(d, err, err_cap);
  if (rc == 0) {
    rc = check_algorithm(d, overlay, err, err_cap);
  }
  if (rc == 0) {
    (void)snprintf(d->overlay, sizeof d->overlay, "%s", overlay->name);
    rc = check_identity(d, overlay, err, err_cap);
  }
  if (rc == 0) {
    rc = renew_check(d, err, err_cap);
  }
  return rc;
}

/* Starting and joining are over, little happens from now on. */
static void on_settled(uv_timer_t *timer) {
  (void)timer;
  torc_settle();
}

/* ---- signals ---- */

static void reload(torcd *d) {
  char err[512] = "";
  torc_conf fresh;
  torc_notify_service("RELOADING=1");
  if (torc_conf_load(&fresh, d->conf_file, err, sizeof err) != 0) {
    TORC_LOG(log_of(d), TORC_LOG_ERROR, "torcd:reload_refused", TORC_F_STR("why", err));
  } else {
    torc_json_log_sink(d->log)->level = fresh.log_level;
    d->conf.log_level = fresh.log_level;
  }
  if (torc_json_log_reopen(d->log, err, sizeof err) != 0) {
    TORC_LOG(log_of(d), TORC_LOG_ERROR, "torcd:log_kept", TORC_F_STR("why", err));
  }
  if (refresh_start(d, false, err, sizeof err) != 0) {
    TORC_LOG(log_of(d), TORC_LOG_ERROR, "torcd:configuration_kept", TORC_F_STR("why", err));
  }
  renew_look(d);
  TORC_LOG(log_of(d), TORC_LOG_INFO, "torcd:reloaded",
           TORC_F_STR("level", torc_log_level_name(d->conf.log_level)));
  torc_notify_service("READY=1");
}

static void finish(torcd *d) {
  d->is_done = true;
  torc_peer_wake(d->peer);
}

static void on_grace_over(uv_timer_t *timer) {
  torcd *d = timer->data;
  TORC_LOG(log_of(d), TORC_LOG_WARN, "torcd:leave_timeout", TORC_F_U64("ms", LEAVE_GRACE_MS));
  finish(d);
}

/* [LEA-01]: the neighbours are told before the process ends. */
static void leave(torcd *d) {
  d->is_leaving = true;
  torc_notify_service("STOPPING=1\nSTATUS=leaving the overlay");
  TORC_LOG(log_of(d), TORC_LOG_INFO, "torcd:leaving", TORC_F_U64("pid", (uint64_t)getpid()));
  int rc = torc_node_leave(torc_peer_node(d->peer), torc_peer_now(d->peer));
  torc_peer_flush(d->peer);
  if (rc != 0 || uv_timer_start(&d->grace, on_grace_over, LEAVE_GRACE_MS, 0) != 0) {
    finish(d); /* there was nothing to leave */
  }
  torc_peer_wake(d->peer);
}

static void on_signal(uv_signal_t *handle, int number) {
  torcd *d = handle->data;
  if (number == SIGHUP) {
    reload(d);
  } else if (d->is_leaving) {
    finish(d);
  } else {
    leave(d);
  }
}

static int watch_signals(torcd *d) {
  static const int numbers[NUM_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
  uv_loop_t *loop = torc_peer_loop(d->peer);
  (void)signal(SIGPIPE, SIG_IGN);
  for (size_t i = 0; i < NUM_SIGNALS; i++) {
    if (uv_signal_init(loop, &d->signals[i]) != 0) {
      return TORC_ERR_IO;
    }
    d->num_handles++;
    d->signals[i].data = d;
    if (uv_signal_start(&d->signals[i], on_signal, numbers[i]) != 0) {
      return TORC_ERR_IO;
    }
  }
  uv_timer_t *timers[NUM_TIMERS] = {&d->grace, &d->settle};
  for (size_t i = 0; i < NUM_TIMERS; i++) {
    if (uv_timer_init(loop, timers[i]) != 0) {
      return TORC_ERR_IO;
    }
    d->num_handles++;
    timers[i]->data = d;
  }
  return 0;
}

/* ---- life ---- */

static void use_servers(const torc_conf *c, torc_peer_config *cfg, const char **stun,
                        const char **turn) {
  for (size_t i = 0; i < c->num_stun; i++) {
    stun[i] = c->stun[i];
  }
  for (size_t i = 0; i < c->num_turn; i++) {
    turn[i] = c->turn[i];
  }
  cfg->stun_servers = stun;
  cfg->turn_servers = turn;
  cfg->candidates = c->candidates;
  cfg->turn_user = c->turn_user[0] == '\0' ? NULL : c->turn_user;
  cfg->turn_password_file = c->turn_password_file[0] == '\0' ? NULL : c->turn_password_file;
  cfg->turn_ca_file = c->turn_ca_file[0] == '\0' ? NULL : c->turn_ca_file;
}

static int open_peer(torcd *d, char *err, size_t err_cap) {
  const torc_conf *c = &d->conf;
  const char *advertise[TORC_CONF_ADVERTISE_MAX + 1] = {NULL};
  const char *stun[TORC_CONF_SERVERS_MAX + 1] = {NULL};
  const char *turn[TORC_CONF_SERVERS_MAX + 1] = {NULL};
  torc_peer_config cfg = TORC_PEER_CONFIG_INIT;
  cfg.overlay_file = c->overlay_file;
  cfg.overlay_name = c->overlay_name[0] == '\0' ? NULL : c->overlay_name;
  if (c->shared_key_file[0] != '\0') {
    cfg.shared_key_file = c->shared_key_file;
  } else {
    cfg.cert_file = c->cert_file;
    cfg.key_file = c->key_file;
  }
  cfg.state_dir = c->state_dir[0] == '\0' ? NULL : c->state_dir;
  cfg.role = c->role;
  for (size_t i = 0; i < c->num_listen; i++) {
    cfg.listen[i] = c->listen[i];
  }
  for (size_t i = 0; i < c->num_advertise; i++) {
    advertise[i] = c->advertise[i];
  }
  cfg.advertise = c->num_advertise == 0 ? NULL : advertise;
  use_servers(c, &cfg, stun, turn);
  cfg.num_threads = (unsigned)c->threads;
  cfg.sync_disk = c->sync_disk;
  cfg.log = log_of(d);
  cfg.update_period = c->update_period;
  cfg.ping_period = c->ping_period;
  cfg.t1 = c->t1;
  cfg.keepalive = c->keepalive;
  cfg.deletion_delay = c->deletion_delay;
  cfg.replica_wait = c->replica_wait;
  cfg.idle_close = c->idle_close;
  cfg.max_links = (uint32_t)c->max_links;
  cfg.max_client_links = (uint32_t)c->max_client_links;
  cfg.max_answer_bytes = (uint32_t)c->max_answer_bytes;
  cfg.max_stored_bytes = c->max_stored_bytes;
  return torc_peer_new_from(&d->peer, &cfg, &d->document, NULL, err, err_cap);
}

static int reload_document(void *ctx, bool is_fetch, char *why, size_t why_cap) {
  return refresh_start(ctx, is_fetch, why, why_cap);
}

/* The control socket comes last: who can connect to it finds everything else ready. */
static int open_doors(torcd *d, char *err, size_t err_cap) {
  int rc = 0;
  if (d->conf.metrics_listen[0] != '\0') {
    torc_metrics_config metrics = {
        .peer = d->peer, .listen = d->conf.metrics_listen, .log = d->log};
    rc = torc_metrics_open(&d->metrics, &metrics, err, err_cap);
  }
  if (rc == 0 && watch_signals(d) != 0) {
    (void)snprintf(err, err_cap, "cannot watch signals");
    rc = TORC_ERR_IO;
  }
  if (rc == 0) {
    rc = refresh_open(d, err, err_cap);
  }
  if (rc == 0) {
    rc = renew_open(d, err, err_cap);
  }
  if (rc == 0) {
    torc_control_config control = {.peer = d->peer,
                                   .path = d->conf.control_socket,
                                   .overlay = d->overlay,
                                   .user = d->user,
                                   .log = log_of(d),
                                   .ctx = d,
                                   .reload = reload_document};
    rc = torc_control_open(&d->control, &control, err, err_cap);
  }
  if (rc == 0) {
    torc_metrics_attach(d->metrics, d->control);
  }
  return rc;
}

static void announce(torcd *d) {
  char ready[128];
  torc_node_view view;
  torc_node_get_view(torc_peer_node(d->peer), &view);
  (void)snprintf(ready, sizeof ready, "READY=1\nMAINPID=%ld\nSTATUS=looking for the overlay",
                 (long)getpid());
  torc_notify_service(ready);
  TORC_LOG(log_of(d), TORC_LOG_INFO, "torcd:started", TORC_F_STR("version", TORC_VERSION),
           TORC_F_STR("overlay", d->overlay), TORC_F_STR("user", d->user),
           TORC_F_ID("peer", &view.self), TORC_F_U64("port", torc_peer_port(d->peer, 0)),
           TORC_F_U64("pid", (uint64_t)getpid()));
}

int torcd_start(torcd *d, char *err, size_t err_cap) {
  const torc_conf *c = &d->conf;
  int rc = torc_json_log_open(&d->log, c->log_file, c->log_level, c->log_json, err, err_cap);
  if (rc == 0) {
    rc = open_peer(d, err, err_cap);
  }
  if (rc == 0) {
    rc = open_doors(d, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_peer_start(d->peer);
    if (rc != 0) {
      (void)snprintf(err, err_cap, "the peer does not start: %s", torc_strerror(rc));
    }
  }
  if (rc == 0) {
    announce(d);
  }
  return rc;
}

static void on_event(torcd *d, const torc_event *ev) {
  switch (ev->kind) {
    case TORC_EVENT_JOINED:
      torc_notify_service("STATUS=in the overlay");
      TORC_LOG(log_of(d), TORC_LOG_INFO, "torcd:joined", TORC_F_STR("overlay", d->overlay));
      (void)uv_timer_start(&d->settle, on_settled, SETTLE_MS, 0);
      break;
    case TORC_EVENT_DISCONNECTED:
      torc_notify_service("STATUS=looking for the overlay");
      TORC_LOG(log_of(d), TORC_LOG_WARN, "torcd:disconnected", TORC_F_STR("overlay", d->overlay));
      break;
    case TORC_EVENT_LEFT:
      d->is_done = d->is_done || d->is_leaving;
      break;
    case TORC_EVENT_DONE:
    case TORC_EVENT_TUNNEL:
    case TORC_EVENT_CONNECTION:
      torc_control_event(d->control, ev);
      break;
    case TORC_EVENT_LINK:
      break;
  }
}

int torcd_run(torcd *d) {
  while (!d->is_done) {
    torc_event ev;
    int rc = torc_peer_run(d->peer, -1);
    while (torc_peer_next_event(d->peer, &ev)) {
      on_event(d, &ev);
    }
    if (rc != 0) {
      TORC_LOG(log_of(d), TORC_LOG_ERROR, "torcd:loop_failed", TORC_F_ERR("why", rc));
      return rc;
    }
  }
  TORC_LOG(log_of(d), TORC_LOG_INFO, "torcd:stopped", TORC_F_U64("pid", (uint64_t)getpid()));
  return 0;
}

static void on_handle_closed(uv_handle_t *handle) {
  torcd *d = handle->data;
  d->num_handles--;
}

void torcd_stop(torcd *d) {
  torc_metrics_close(d->metrics);
  refresh_close(d);
  renew_close(d);
  torc_control_close(d->control);
  size_t num = d->num_handles;
  for (size_t i = 0; i < num && i < NUM_SIGNALS; i++) {
    uv_close((uv_handle_t *)&d->signals[i], on_handle_closed);
  }
  if (num > NUM_SIGNALS) {
    uv_close((uv_handle_t *)&d->grace, on_handle_closed);
  }
  if (num > NUM_SIGNALS + 1) {
    uv_close((uv_handle_t *)&d->settle, on_handle_closed);
  }
  while (d->num_handles > 0) {
    (void)uv_run(torc_peer_loop(d->peer), UV_RUN_NOWAIT);
  }
  torc_peer_free(d->peer);
  torc_json_log_close(d->log);
}
