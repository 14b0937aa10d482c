/* Between node and loop: outputs are carried out, what happens is told to the node.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/log.h"
#include "base/slice.h"
#include "io/peer_impl.h"
#include "io/sigpipe.h"

torc_wall torc_peer_wall(void) {
  struct timeval tv;
  if (gettimeofday(&tv, NULL) != 0 || tv.tv_sec < 0) {
    return 0;
  }
  return tv.tv_sec > (time_t)UINT32_MAX ? UINT32_MAX : (torc_wall)tv.tv_sec;
}

torc_time torc_peer_now(const torc_peer *p) {
  (void)p;
  return uv_hrtime() / 1000;
}

/* A negative result of the node is this side's failure: memory or misuse. */
static void check(torc_peer *p, const char *what, int rc) {
  if (rc != 0) {
    p->stats.node_failures++;
    TORC_LOG(p->log, TORC_LOG_ERROR, "io:node_failed", TORC_F_STR("call", what),
             TORC_F_ERR("why", rc));
  }
}

/* ---- outputs ---- */

void torc_peer_job_done(void *ctx, torc_token id, const torc_job_result *result) {
  torc_peer *p = ctx;
  check(p, "job_done", torc_node_job_done(p->node, id, result, torc_peer_now(p)));
}

static void do_job(torc_peer *p, const torc_job *job) {
  bool is_sync = job->kind == TORC_JOB_SYNC;
  bool is_pooled = p->pool != NULL && (is_sync ? p->is_disk_synced : p->is_signing_pooled);
  if (is_pooled && torc_pool_submit(p->pool, job) == 0) {
    return;
  }
  uint8_t sig[TORC_SIGNATURE_MAX];
  torc_job_result result;
  /* Without sync_disk a commit counts when the process may die, not the machine. */
  torc_job_run(p->pki, p->is_disk_synced ? p->lmdb : NULL, job, sig, &result);
  if (is_sync && result.rc == 0 && p->is_disk_synced && p->second_lmdb != NULL) {
    result.rc = torc_lmdb_sync(p->second_lmdb);
  }
  torc_peer_job_done(p, job->id, &result);
}

static void offer(torc_peer *p, const torc_peer_offer *o) {
  torc_net_params params;
  int rc = torc_net_offer(p->net, o->token, o->application, &params);
  if (rc == 0) {
    rc = torc_node_offer_ready(p->node, o->token, &params.p, torc_peer_now(p));
  } else {
    rc = torc_node_open_failed(p->node, o->token, rc, torc_peer_now(p));
  }
  check(p, "offer", rc);
}

/* [GAP-75] A relay that is being asked for is worth the moment that it takes, 2 s at most: without
 * it the first CONNECT of a peer behind a firewall would fail only after all checks have. */
static void offer_soon(torc_peer *p, const torc_output *o) {
  torc_peer_offer next = {.token = o->token, .application = o->application};
  if (torc_net_is_settled(p->net) || p->num_offers == TORC_PEER_OFFERS_MAX) {
    offer(p, &next);
  } else {
    p->offers[p->num_offers] = next;
    p->num_offers++;
  }
}

static void offer_waiting(torc_peer *p) {
  if (p->num_offers == 0 || !torc_net_is_settled(p->net)) {
    return;
  }
  size_t num = p->num_offers;
  p->num_offers = 0;
  for (size_t i = 0; i < num; i++) {
    offer(p, &p->offers[i]); /* does not come back here: what it causes is drained later */
  }
}

static void cancel(torc_peer *p, torc_token token) {
  size_t num = 0;
  for (size_t i = 0; i < p->num_offers; i++) {
    if (p->offers[i].token != token) {
      p->offers[num] = p->offers[i];
      num++;
    }
  }
  p->num_offers = num;
  torc_net_cancel(p->net, token);
}

static void answer(torc_peer *p, const torc_output *o) {
  torc_net_params params;
  uint16_t refuse = torc_net_answer(p->net, o->token, &o->remote, &params);
  check(p, "answer",
        torc_node_answer_ready(p->node, o->token, refuse == 0 ? &params.p : NULL, refuse,
                               torc_peer_now(p)));
}

static void cache_soon(torc_peer *p);

static void on_event(torc_peer *p, const torc_event *e) {
  if (e->kind == TORC_EVENT_LEFT) {
    p->is_left = true;
    torc_peer_cache_note(p, false); /* [GAP-139] */
  } else if (e->kind == TORC_EVENT_LINK) {
    cache_soon(p);
  }
  if (!torc_paths_event(p, e)) {
    torc_peer_push(p, e);
  }
}

static void open_one(torc_peer *p, const torc_output *o) {
  if (o->endpoint.is_group) {
    torc_multicast_ask(p->multicast, o->token, &o->endpoint);
    return;
  }
  torc_peer_cache_opening(p, o->token, &o->endpoint);
  torc_net_open(p->net, o->token, &o->endpoint);
}

static void carry_out(torc_peer *p, const torc_output *o) {
  switch (o->kind) {
    case TORC_OUT_SEND:
      torc_net_send(p->net, o->link, o->head, o->body);
      break;
    case TORC_OUT_OPEN:
      open_one(p, o);
      break;
    case TORC_OUT_CLOSE:
      torc_net_close(p->net, o->link);
      break;
    case TORC_OUT_JOB:
      do_job(p, &o->job);
      break;
    case TORC_OUT_OFFER_NEEDED:
      offer_soon(p, o);
      break;
    case TORC_OUT_ANSWER_NEEDED:
      answer(p, o);
      break;
    case TORC_OUT_CONNECT:
      torc_net_connect(p->net, o->token, &o->peer, &o->remote);
      break;
    case TORC_OUT_ACCEPT:
      torc_net_accept(p->net, o->token, &o->peer);
      break;
    case TORC_OUT_CANCEL:
      cancel(p, o->token);
      break;
    case TORC_OUT_EVENT:
      on_event(p, &o->event);
      break;
  }
}

static void drain(torc_peer *p) {
  torc_output o;
  while (torc_node_poll(p->node, &o)) {
    carry_out(p, &o);
  }
}

static void check_load(torc_peer *p) {
  if (p->pool == NULL) {
    return;
  }
  size_t pending = torc_pool_pending(p->pool);
  if (pending > TORC_PEER_JOBS_PAUSE) { /* a flood waits in the sockets, not in memory */
    torc_net_pause(p->net, true);
  } else if (pending < TORC_PEER_JOBS_RESUME) {
    torc_net_pause(p->net, false);
  }
}

/* Until the node has nothing to say and the links have nothing to tell. */
void torc_peer_pump(void *ctx) {
  torc_peer *p = ctx;
  if (p->is_pumping || p->is_closing || p->node == NULL) {
    return;
  }
  p->is_pumping = true;
  do {
    offer_waiting(p);
    drain(p);
  } while (torc_net_flush(p->net) > 0);
  check_load(p);
  p->is_pumping = false;
}

void torc_peer_flush(torc_peer *p) {
  torc_sigpipe held;
  torc_sigpipe_hold(&held);
  torc_peer_pump(p);
  torc_sigpipe_release(&held);
}

/* ---- what the links tell ---- */

static void on_up(void *ctx, torc_link_id link, const torc_link_info *info) {
  torc_peer *p = ctx;
  check(p, "link_up", torc_node_link_up(p->node, link, info, torc_peer_now(p)));
  drain(p);
}

static void on_message(void *ctx, torc_link_id link, torc_slice msg) {
  torc_peer *p = ctx;
  check(p, "input", torc_node_input(p->node, link, msg, torc_peer_now(p)));
  drain(p); /* a forwarded message leaves from the read buffer */
}

static void on_down(void *ctx, torc_link_id link, int rc) {
  torc_peer *p = ctx;
  (void)rc;
  check(p, "link_down", torc_node_link_down(p->node, link, torc_peer_now(p)));
}

static void on_open_failed(void *ctx, torc_token token, int rc) {
  torc_peer *p = ctx;
  torc_peer_cache_open_failed(p, token);
  check(p, "open_failed", torc_node_open_failed(p->node, token, rc, torc_peer_now(p)));
}

static int on_connection_up(void *ctx, torc_token token, const torc_link_info *info) {
  torc_peer *p = ctx;
  int rc = torc_node_connection_up(p->node, token, info, torc_peer_now(p));
  if (rc != TORC_ERR_NOTFOUND && rc != TORC_ERR_DENIED) { /* given up meanwhile */
    check(p, "connection_up", rc);
  }
  return rc;
}

static void on_connection_down(void *ctx, torc_token token, int rc) {
  torc_peer *p = ctx;
  check(p, "connection_down", torc_node_connection_down(p->node, token, rc, torc_peer_now(p)));
}

static void on_congested(void *ctx, torc_link_id link, bool is_congested) {
  torc_peer *p = ctx;
  check(p, "congested", torc_node_link_congested(p->node, link, is_congested, torc_peer_now(p)));
}

static void on_mtu(void *ctx, torc_link_id link, uint32_t mtu) {
  torc_peer *p = ctx;
  check(p, "mtu", torc_node_link_mtu(p->node, link, mtu, torc_peer_now(p)));
}

const torc_net_events torc_peer_net_events = {.up = on_up,
                                              .message = on_message,
                                              .down = on_down,
                                              .open_failed = on_open_failed,
                                              .congested = on_congested,
                                              .mtu = on_mtu,
                                              .connection_up = on_connection_up,
                                              .connection_down = on_connection_down,
                                              .turn = torc_peer_pump};

/* ---- what the multicast groups tell ---- */

bool torc_peer_may_answer(void *ctx) {
  const torc_peer *p = ctx;
  torc_node_view v;
  if (p->node == NULL) {
    return false;
  }
  torc_node_get_view(p->node, &v);
  return v.role == TORC_ROLE_PEER && v.is_joined;
}

void torc_peer_heard(void *ctx, const torc_endpoint *at) {
  torc_peer *p = ctx;
  int rc = torc_node_discovered(p->node, at, torc_peer_now(p));
  if (rc != TORC_ERR_STATE && rc != TORC_ERR_EXISTS) { /* no longer needed, or known */
    check(p, "discovered", rc);
  }
}

void torc_peer_ask_over(void *ctx, torc_token token) {
  torc_peer *p = ctx;
  check(p, "open_failed",
        torc_node_open_failed(p->node, token, TORC_ERR_TIMEOUT, torc_peer_now(p)));
}

/* ---- timers ---- */

static void on_deadline(uv_timer_t *t) {
  torc_peer *p = t->data;
  p->deadline_at = TORC_NEVER;
  check(p, "tick", torc_node_tick(p->node, torc_peer_now(p)));
  torc_peer_pump(p);
}

/* Before the loop sleeps: everything is drained, and the timer is the node's. */
static void on_prepare(uv_prepare_t *h) {
  torc_peer *p = h->data;
  if (p->node == NULL || p->is_closing) {
    return;
  }
  torc_peer_pump(p);
  torc_time at = torc_node_deadline(p->node);
  if (at == p->deadline_at) {
    return;
  }
  p->deadline_at = at;
  if (at == TORC_NEVER) {
    (void)uv_timer_stop(&p->deadline);
    return;
  }
  torc_time now = torc_peer_now(p);
  uint64_t ms = at > now ? (at - now + 999) / 1000 : 0;
  uv_update_time(&p->loop);
  (void)uv_timer_start(&p->deadline, on_deadline, ms, 0);
}

static void on_limit(uv_timer_t *t) {
  torc_peer *p = t->data;
  p->is_limit_over = true;
}

static void on_wall(uv_timer_t *t) {
  torc_peer *p = t->data;
  torc_wall now = torc_peer_wall();
  torc_node_set_wall(p->node, now, torc_peer_now(p));
  torc_net_set_wall(p->net, now);
  torc_peer_follow_move(p);
  torc_multicast_refresh(p->multicast);
  const torc_cert *own = torc_pki_own_cert(p->pki);
  if (now > own->not_after) { /* [GAP-135] the others refuse new links */
    TORC_LOG(p->log, TORC_LOG_WARN, "io:own_certificate_expired",
             TORC_F_U64("seconds_ago", now - own->not_after));
  }
  if (torc_peer_now(p) - p->cache_looked >= TORC_PEER_CACHE_PERIOD) {
    torc_peer_cache_note(p, true);
  }
  torc_peer_pump(p);
}

static void on_cache_timer(uv_timer_t *t) {
  torc_peer *p = t->data;
  torc_time now = torc_peer_now(p);
  torc_peer_follow_move(p);
  torc_peer_cache_note(p, true);
  if (p->cache_ask_at > now) { /* once more, should too few addresses be known by then */
    (void)uv_timer_start(t, on_cache_timer, (p->cache_ask_at - now) / 1000 + 1, 0);
  }
}

static void cache_soon(torc_peer *p) {
  if ((!uv_is_active((uv_handle_t *)&p->cache_timer) ||
       uv_timer_get_due_in(&p->cache_timer) > TORC_PEER_CACHE_DEBOUNCE / 1000)) {
    (void)uv_timer_start(&p->cache_timer, on_cache_timer, TORC_PEER_CACHE_DEBOUNCE / 1000, 0);
  }
}

static void on_wake(uv_async_t *a) {
  torc_peer *p = a->data;
  p->is_woken = true;
}

int torc_peer_timers_init(torc_peer *p) {
  uv_handle_t *handles[] = {(uv_handle_t *)&p->deadline, (uv_handle_t *)&p->limit,
                            (uv_handle_t *)&p->wall, (uv_handle_t *)&p->cache_timer};
  if (uv_async_init(&p->loop, &p->wake, on_wake) != 0) {
    return TORC_ERR_IO;
  }
  p->has_handles = true;
  p->wake.data = p;
  for (size_t i = 0; i < TORC_ARRAY_LEN(handles); i++) {
    (void)uv_timer_init(&p->loop, (uv_timer_t *)handles[i]); /* cannot fail */
    handles[i]->data = p;
  }
  (void)uv_prepare_init(&p->loop, &p->prepare);
  p->prepare.data = p;
  p->deadline_at = TORC_NEVER;
  (void)uv_prepare_start(&p->prepare, on_prepare);
  uint64_t period = TORC_PEER_WALL_PERIOD / 1000;
  (void)uv_timer_start(&p->wall, on_wall, period, period);
  return 0;
}

void torc_peer_timers_close(torc_peer *p) {
  if (!p->has_handles) {
    return;
  }
  p->has_handles = false;
  uv_close((uv_handle_t *)&p->wake, NULL);
  uv_close((uv_handle_t *)&p->prepare, NULL);
  uv_close((uv_handle_t *)&p->deadline, NULL);
  uv_close((uv_handle_t *)&p->limit, NULL);
  uv_close((uv_handle_t *)&p->wall, NULL);
  uv_close((uv_handle_t *)&p->cache_timer, NULL);
}

/* ---- running ---- */

void torc_peer_limit(torc_peer *p, int timeout_ms) {
  p->is_limit_over = timeout_ms == 0;
  p->is_woken = false;
  (void)uv_timer_stop(&p->limit);
  if (timeout_ms > 0) {
    uv_update_time(&p->loop);
    (void)uv_timer_start(&p->limit, on_limit, (uint64_t)timeout_ms, 0);
  }
}

void torc_peer_step(torc_peer *p) {
  torc_peer_pump(p);
  (void)uv_run(&p->loop, p->is_limit_over ? UV_RUN_NOWAIT : UV_RUN_ONCE);
}

int torc_peer_run(torc_peer *p, int timeout_ms) {
  torc_sigpipe held;
  torc_sigpipe_hold(&held);
  torc_peer_give(p, NULL);
  torc_peer_limit(p, timeout_ms);
  do {
    torc_peer_step(p);
  } while (!p->is_limit_over && !p->is_woken && p->num_events == 0);
  (void)uv_timer_stop(&p->limit);
  torc_sigpipe_release(&held);
  return 0;
}

void torc_peer_wake(torc_peer *p) {
  (void)uv_async_send(&p->wake);
}
