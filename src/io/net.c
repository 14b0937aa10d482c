/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/net_impl.h"

torc_time torc_net_now(void) {
  return uv_hrtime() / 1000;
}

/* ---- timers ---- */

static void on_timer(uv_timer_t *t);

static void rearm(torc_net *net) {
  torc_time next = torc_timers_next(&net->timers);
  if (net->is_shutting) {
    return;
  }
  if (next == TORC_NEVER) {
    (void)uv_timer_stop(&net->timer);
    return;
  }
  torc_time now = torc_net_now();
  uint64_t ms = next > now ? (next - now + 999) / 1000 : 0;
  (void)uv_timer_start(&net->timer, on_timer, ms, 0);
}

static void on_timer(uv_timer_t *t) {
  torc_net *net = t->data;
  torc_timers_run(&net->timers, torc_net_now());
  rearm(net);
  net->events.turn(net->events.ctx);
}

void torc_net_arm(torc_net *net, torc_timer *t, torc_time at) {
  torc_time before = torc_timers_next(&net->timers);
  torc_timer_arm(&net->timers, t, at);
  if (torc_timers_next(&net->timers) <
      before) { /* a later deadline is found when the earlier one fires */
    rearm(net);
  }
}

/* ---- life ---- */

static int allocate(torc_net *net) {
  net->read_buf = malloc(TORC_NET_READ_BYTES);
  net->plain_buf = malloc(TORC_NET_PLAIN_BYTES);
  net->record_buf = malloc(TORC_NET_RECORD_BYTES);
  net->early = calloc(TORC_NET_EARLY_MAX, sizeof *net->early);
  return net->early != NULL && net->read_buf != NULL && net->plain_buf != NULL &&
                 net->record_buf != NULL
             ? 0
             : TORC_ERR_NOMEM;
}

static void on_own_closed(uv_handle_t *h) {
  torc_net *net = h->data;
  net->num_handles--;
}

int torc_net_new(torc_net **out, const torc_net_config *cfg, char *err, size_t err_cap) {
  torc_net *net = calloc(1, sizeof *net);
  if (net == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  torc_net_limits defaults = TORC_NET_LIMITS_INIT;
  uint64_t seed = 0;
  const torc_crypto *crypto = torc_pki_crypto(cfg->pki);
  int rc = crypto->random(crypto->ctx, (uint8_t *)&seed, sizeof seed);
  net->loop = cfg->loop;
  net->pki = cfg->pki;
  net->limits = cfg->limits == NULL ? defaults : *cfg->limits;
  net->events = cfg->events;
  net->log = cfg->log;
  net->wall = cfg->wall;
  torc_timers_init(&net->timers);
  torc_map_init(&net->links, torc_mem_libc(), offsetof(torc_net_link, id), sizeof(torc_link_id),
                seed);
  torc_map_init(&net->paths, torc_mem_libc(), offsetof(torc_dlink, path), sizeof(torc_path_key),
                seed);
  torc_list_init(&net->names);
  torc_list_init(&net->dlinks);
  torc_list_init(&net->dlinks_over);
  torc_list_init(&net->conns);
  torc_list_init(&net->dirty);
  torc_list_init(&net->resting);
  torc_list_init(&net->ended);
  torc_list_init(&net->dials);
  torc_list_init(&net->pending);
  torc_list_init(&net->failures);
  torc_streams_init(net, seed);
  if (rc == 0) {
    rc = allocate(net);
  }
  if (rc == 0) {
    rc = torc_net_ice_init(net, seed);
  }
  if (rc == 0) {
    rc = torc_net_udp_init(net);
  }
  if (rc == 0) {
    rc = torc_net_gather_init(net);
  }
  if (rc == 0) {
    rc = torc_tls_ctx_new(&net->tls, cfg->pki, err, err_cap);
    if (rc == 0) {
      rc = torc_tls_ctx_new_dtls(&net->dtls_ctx, cfg->pki, err, err_cap);
    }
  } else {
    torc_fail(rc, err, err_cap, "no memory or no random numbers");
  }
  if (rc == 0) {
    rc = torc_dtls_gate_new(&net->gate, net->dtls_ctx, torc_net_now());
  }
  if (rc == 0 && uv_timer_init(net->loop, &net->timer) != 0) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "the event loop cannot make a timer");
  }
  if (rc != 0) {
    torc_net_free(net);
    return rc;
  }
  net->timer.data = net;
  (void)uv_idle_init(net->loop, &net->next_turn); /* cannot fail */
  net->next_turn.data = net;
  net->num_handles = 2;
  uv_unref((uv_handle_t *)&net->timer);
  net->self = torc_pki_own_cert(cfg->pki)->peers[0];
  torc_tls_ctx_set_wall(net->tls, net->wall);
  torc_tls_ctx_set_wall(net->dtls_ctx, net->wall);
  torc_net_arm(net, &net->udp_timer, torc_net_now()); /* when the loop runs: after the listeners */
  *out = net;
  return 0;
}

void torc_net_shutdown(torc_net *net) {
  if (net->is_shutting) {
    return;
  }
  net->is_shutting = true;
  for (size_t i = 0; i < net->num_listeners; i++) {
    uv_close((uv_handle_t *)&net->listeners[i]->tcp, on_own_closed);
  }
  torc_list *node = NULL;
  while ((node = torc_list_pop_front(&net->dials)) != NULL) {
    torc_list_init(node);
    torc_dial_free(TORC_CONTAINER_OF(node, torc_dial, all));
  }
  for (node = net->conns.next; node != &net->conns; node = node->next) {
    torc_conn_end(TORC_CONTAINER_OF(node, torc_conn, all), TORC_ERR_CLOSED);
  }
  torc_streams_shutdown(net);
  while ((node = torc_list_pop_front(&net->pending)) != NULL) {
    torc_list_init(node);
    torc_pending_free(TORC_CONTAINER_OF(node, torc_pending, all));
  }
  torc_local_names_clear(net);
  torc_net_servers_shutdown(net);
  torc_net_gather_shutdown(net);
  torc_net_udp_shutdown(net);
  (void)uv_timer_stop(&net->timer);
  uv_close((uv_handle_t *)&net->timer, on_own_closed);
  uv_close((uv_handle_t *)&net->next_turn, on_own_closed);
}

bool torc_net_is_shut(const torc_net *net) {
  return net->num_handles == 0;
}

void torc_net_free(torc_net *net) {
  if (net == NULL) {
    return;
  }
  torc_list *node = NULL;
  while ((node = torc_list_pop_front(&net->failures)) != NULL) {
    free(TORC_CONTAINER_OF(node, torc_failure, all));
  }
  for (size_t i = 0; i < net->num_listeners; i++) {
    free(net->listeners[i]);
  }
  torc_map_clear(&net->links);
  torc_dlinks_clear(net);
  torc_map_clear(&net->paths);
  torc_map_clear(&net->streams);
  torc_net_gather_clear(net);
  torc_net_ice_clear(net);
  torc_net_udp_clear(net);
  torc_dtls_gate_free(net->gate);
  torc_tls_ctx_free(net->dtls_ctx);
  torc_tls_ctx_free(net->tls);
  OPENSSL_cleanse(net->turn_password, sizeof net->turn_password);
  free(net->early);
  free(net->read_buf);
  free(net->plain_buf);
  free(net->record_buf);
  free(net);
}

/* ---- what is told later ---- */

void torc_net_tell_failure(torc_net *net, torc_token token, int rc) {
  torc_failure *f = calloc(1, sizeof *f);
  net->stats.open_failures++;
  if (f == NULL) { /* the node's own time limit ends what we cannot report */
    net->stats.no_memory++;
    return;
  }
  f->token = token;
  f->rc = rc;
  torc_list_push_back(&net->failures, &f->all);
}

static bool is_up(const torc_net_link *l) {
  return l->id != 0 && torc_map_get(&l->net->links, &l->id) == l;
}

static size_t tell_congestion(torc_net *net, torc_net_link *l) {
  size_t queued = l->ops->queued(l);
  if (!l->is_congested && queued > net->limits.queue_high) {
    l->is_congested = true;
    net->stats.congestions++;
  } else if (l->is_congested && queued <= net->limits.queue_low) {
    l->is_congested = false;
  }
  if (!is_up(l) || l->is_congested == l->has_told_congested) {
    return 0;
  }
  l->has_told_congested = l->is_congested;
  net->events.congested(net->events.ctx, l->id, l->is_congested);
  return 1;
}

static size_t tell_mtu(torc_net *net, torc_net_link *l) {
  if (!l->is_mtu_new || !is_up(l)) {
    return 0;
  }
  l->is_mtu_new = false;
  net->events.mtu(net->events.ctx, l->id, l->mtu);
  return 1;
}

size_t torc_net_flush(torc_net *net) {
  size_t told = 0;
  torc_list *node = NULL;
  torc_net_gather_pump(net);
  torc_net_ice_pump(net);
  while ((node = torc_list_pop_front(&net->dirty)) != NULL) {
    torc_net_link *l = TORC_CONTAINER_OF(node, torc_net_link, dirty);
    torc_list_init(node);
    l->ops->flush(l);
    told += tell_congestion(net, l);
    told += tell_mtu(net, l);
  }
  while ((node = torc_list_pop_front(&net->ended)) != NULL) {
    torc_net_link *l = TORC_CONTAINER_OF(node, torc_net_link, ended);
    torc_list_init(node);
    if (l->is_told_up) {
      l->is_told_up = false;
      told++;
      net->events.down(net->events.ctx, l->id, l->end_rc);
    }
  }
  torc_dlinks_sweep(net);
  while ((node = torc_list_pop_front(&net->failures)) != NULL) {
    torc_failure f = *TORC_CONTAINER_OF(node, torc_failure, all);
    free(TORC_CONTAINER_OF(node, torc_failure, all));
    told++;
    net->events.open_failed(net->events.ctx, f.token, f.rc);
  }
  return told + torc_streams_tell(net);
}

/* ---- calls by link ---- */

static torc_net_link *find_link(const torc_net *net, torc_link_id link) {
  return torc_map_get(&net->links, &link);
}

void torc_net_send(torc_net *net, torc_link_id link, torc_slice head, torc_slice body) {
  torc_net_link *l = find_link(net, link);
  if (l != NULL) {
    l->ops->send(l, head, body);
  }
}

void torc_net_close(torc_net *net, torc_link_id link) {
  torc_net_link *l = find_link(net, link);
  if (l != NULL) {
    l->ops->drain(l);
  }
}

void torc_net_pause(torc_net *net, bool is_paused) {
  size_t it = 0;
  torc_net_link *l = NULL;
  if (net->is_paused == is_paused) {
    return;
  }
  net->is_paused = is_paused;
  if (is_paused) {
    net->stats.pauses++;
  }
  torc_net_udp_set_reading(net, !is_paused);
  while ((l = torc_map_next(&net->links, &it)) != NULL) {
    l->ops->set_reading(l, !is_paused);
  }
}

int torc_net_renew(torc_net *net) {
  int rc = torc_tls_ctx_renew(net->tls);
  return rc == 0 ? torc_tls_ctx_renew(net->dtls_ctx) : rc;
}

void torc_net_set_wall(torc_net *net, torc_wall now) {
  net->wall = now;
  torc_tls_ctx_set_wall(net->tls, now);
  torc_tls_ctx_set_wall(net->dtls_ctx, now);
  torc_streams_set_wall(net, now);
  size_t it = 0;
  torc_net_link *l = NULL;
  while ((l = torc_map_next(&net->links, &it)) != NULL) {
    if (now > l->not_after) { /* [GAP-135] */
      net->stats.expired_links++;
      TORC_LOG(net->log, TORC_LOG_INFO, "io:certificate_expired", TORC_F_ID("peer", &l->peer));
      l->ops->drain(l);
    }
  }
}

/* ---- views ---- */

/* [BST-09] [BST-11] only peers linked directly, and only where they can be dialled. */
void torc_net_each_dialable(const torc_net *net, void *ctx,
                            void (*each)(void *ctx, const torc_id *peer, const torc_endpoint *at)) {
  size_t it = 0;
  const torc_net_link *l = NULL;
  while ((l = torc_map_next(&net->links, &it)) != NULL) {
    if (l->dialable.sa.sa_family == 0) {
      continue;
    }
    char host[TORC_SOCK_TEXT];
    torc_endpoint at;
    memset(&at, 0, sizeof at);
    torc_sock_host(&l->dialable, host);
    memcpy(at.host, host, strlen(host) + 1);
    at.port = torc_sock_port(&l->dialable);
    at.peer = l->peer;
    each(ctx, &l->peer, &at);
  }
}

bool torc_net_is_by_connect(const torc_net *net, const torc_id *peer) {
  size_t it = 0;
  const torc_net_link *l = NULL;
  while ((l = torc_map_next(&net->links, &it)) != NULL) {
    if (l->is_by_connect && torc_id_eq(&l->peer, peer)) {
      return true;
    }
  }
  return false;
}

void torc_net_counters(const torc_net *net, void *ctx,
                       void (*each)(void *ctx, const char *name, uint64_t value)) {
#define X(name) each(ctx, "io_" #name, net->stats.name);
  TORC_NET_STATS(X)
#undef X
  const torc_dtls_stats *dtls = torc_dtls_gate_stats(net->gate);
#define X(name) each(ctx, "io_dtls_" #name, dtls->name);
  TORC_DTLS_STATS(X)
#undef X
#define X(name) each(ctx, "io_udp_" #name, net->udp_stats.name);
  TORC_UDP_STATS(X)
#undef X
}

void torc_net_gauges(const torc_net *net, void *ctx,
                     void (*each)(void *ctx, const char *name, uint64_t value)) {
  each(ctx, "io_half_open", net->num_half_open);
  each(ctx, "io_connections", net->num_conns);
  each(ctx, "io_partial_bytes", net->partial_bytes);
  each(ctx, "io_queued_bytes", net->queued_bytes);
  each(ctx, "io_app_connections", net->num_streams);
  each(ctx, "io_app_bytes", net->stream_bytes);
}
