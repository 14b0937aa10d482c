/* Connections of applications: asked for by CONNECT with another application than RELOAD's, made by
 * the platform, counted here. They are no links: nothing is routed over them, and a link to the
 * same peer neither helps nor hinders them [CON-01] [CON-07] [CON-15] [GAP-76] [GAP-82].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"

typedef struct appconn {
  torc_token token;
  torc_id peer;
  uint16_t application;
  bool is_incoming, is_up;
  torc_time since; /* asked for; from when it stands, that */
  torc_out *end;   /* made with it, so that its end can always be told */
} appconn;

/* Few nodes ever need it, and a simulator holds a million. */
static int make_apps(torc_node *n) {
  if (n->apps == NULL) {
    n->apps = torc_calloc(n->mem, 1, sizeof *n->apps);
    if (n->apps == NULL) {
      n->stats->no_memory++;
      return TORC_ERR_NOMEM;
    }
    torc_map_init(&n->apps->conns, n->mem, offsetof(appconn, token), sizeof(torc_token),
                  torc_rng_u64(&n->rng));
  }
  return 0;
}

int torc_apps_copy(torc_node *n, const torc_node *from) {
  if (from->apps == NULL) {
    return 0;
  }
  int rc = make_apps(n);
  if (rc == 0) {
    memcpy(n->apps->tunnels, from->apps->tunnels, sizeof n->apps->tunnels);
    memcpy(n->apps->accepts, from->apps->accepts, sizeof n->apps->accepts);
    n->apps->num_tunnels = from->apps->num_tunnels;
    n->apps->num_accepts = from->apps->num_accepts;
  }
  return rc;
}

static appconn *find(const torc_node *n, torc_token token) {
  return n->apps == NULL ? NULL : torc_map_get(&n->apps->conns, &token);
}

size_t torc_appconns_num(const torc_node *n) {
  return n->apps == NULL ? 0 : n->apps->conns.len;
}

static void appconn_free(torc_node *n, appconn *a) {
  (void)torc_map_del(&n->apps->conns, &a->token);
  torc_out_free(n, a->end);
  torc_free(n->mem, a);
}

void torc_apps_clear(torc_node *n) {
  size_t it = 0;
  appconn *a = NULL;
  if (n->apps == NULL) {
    return;
  }
  while ((a = torc_map_next(&n->apps->conns, &it)) != NULL) {
    appconn_free(n, a);
  }
  torc_map_clear(&n->apps->conns);
  torc_free(n->mem, n->apps);
  n->apps = NULL;
}

/* [GAP-76] One peer cannot use up the places of all. */
bool torc_appconn_fits(const torc_node *n, const torc_id *peer) {
  size_t it = 0;
  size_t num = 0;
  const appconn *a = NULL;
  while (n->apps != NULL && (a = torc_map_next(&n->apps->conns, &it)) != NULL) {
    num += torc_id_eq(&a->peer, peer) ? 1u : 0u;
  }
  return num < TORC_NODE_APPS_PER_PEER && torc_appconns_num(n) < TORC_NODE_APPS_MAX;
}

static int appconn_new(torc_node *n, torc_token token, const torc_id *peer, uint16_t application,
                       bool is_incoming) {
  appconn *a = make_apps(n) == 0 ? torc_calloc(n->mem, 1, sizeof *a) : NULL;
  if (a == NULL) {
    return TORC_ERR_NOMEM;
  }
  a->token = token;
  a->peer = *peer;
  a->application = application;
  a->is_incoming = is_incoming;
  a->since = n->now;
  a->end = torc_out_new(n, TORC_OUT_EVENT);
  if (a->end == NULL || torc_map_put(&n->apps->conns, a) != 0) {
    torc_out_free(n, a->end);
    torc_free(n->mem, a);
    return TORC_ERR_NOMEM;
  }
  return 0;
}

int torc_appconn_asked(torc_node *n, torc_token token, const torc_id *peer, uint16_t application) {
  return appconn_new(n, token, peer, application, true);
}

static void fill(const appconn *a, torc_event *e) {
  e->kind = TORC_EVENT_CONNECTION;
  e->token = a->token;
  e->peer = a->peer;
  e->application = a->application;
  e->is_incoming = a->is_incoming;
}

int torc_appconn_start(torc_node *n, const torc_id *route, size_t num_route, uint16_t application,
                       torc_token *token) {
  int rc = torc_call_allowed(n);
  if (rc != 0) {
    return rc;
  }
  if (num_route == 0 || num_route > TORC_NODE_ROUTE_MAX || application == 0 ||
      application == TORC_APPLICATION_RELOAD) {
    return TORC_ERR_INVALID;
  }
  const torc_id *target = &route[num_route - 1];
  if (!torc_id_is_peer(target) || torc_id_eq(target, &n->self)) {
    return TORC_ERR_INVALID;
  }
  if (!torc_appconn_fits(n, target)) {
    return TORC_ERR_LIMIT;
  }
  rc = torc_connect_application(n, route, num_route, application, token);
  if (rc != 0) {
    return rc;
  }
  rc = appconn_new(n, *token, target, application, false);
  if (rc != 0) {
    torc_connect_failed(n, *token, rc);
  }
  return rc;
}

/* The answer says why there will be none. */
void torc_appconn_refused(torc_node *n, torc_token token, const torc_reply *reply) {
  appconn *a = find(n, token);
  torc_error_response e;
  if (a == NULL) {
    return;
  }
  torc_done *done = &a->end->o.event.done;
  done->code = reply->code;
  done->responder = reply->responder;
  if (reply->payload.len > 0 && torc_error_response_decode(&e, reply->payload) == 0 &&
      a->end->owned == NULL && torc_slice_dup(n->mem, e.reason_phrase, &a->end->owned) == 0) {
    done->phrase = torc_slice_of(a->end->owned, e.reason_phrase.len);
  }
}

/* Nobody here waits for one that the other side asked for and that never stood. */
void torc_appconn_ended(torc_node *n, torc_token token, int rc) {
  appconn *a = find(n, token);
  if (a == NULL) {
    return;
  }
  if (a->is_up || !a->is_incoming) {
    torc_event *e = &a->end->o.event;
    fill(a, e);
    e->done.rc = rc;
    e->done.elapsed = n->now - a->since;
    TORC_LOG(n->log, TORC_LOG_DEBUG, a->is_up ? "connection:down" : "connection:failed",
             TORC_F_ID("peer", &a->peer), TORC_F_U64("application", a->application),
             TORC_F_ERR("why", rc));
    torc_out_push(n, a->end);
    a->end = NULL;
  }
  n->stats->connections_ended += a->is_up ? 1u : 0u;
  appconn_free(n, a);
}

/* [TLS-06] [CON-08] the platform has proved peer and certificate. The event lends the certificate,
 * which says whose the connection is [GAP-83]. */
static int tell_up(torc_node *n, appconn *a, torc_cert *cert) {
  torc_out *o = torc_out_new(n, TORC_OUT_EVENT);
  if (o == NULL || (!n->cfg.is_shared_key && torc_out_hold(n, o, cert) != 0)) {
    torc_out_free(n, o);
    return TORC_ERR_NOMEM;
  }
  fill(a, &o->o.event);
  o->o.event.is_up = true;
  o->o.event.done.elapsed = n->now - a->since;
  torc_out_push(n, o);
  return 0;
}

static int up(torc_node *n, torc_token token, const torc_link_info *info) {
  appconn *a = find(n, token);
  int rc = a == NULL || a->is_up ? TORC_ERR_NOTFOUND : torc_connect_app_up(n, token, &info->peer);
  if (rc == TORC_ERR_DENIED) {
    torc_connect_failed(n, token, rc);
  }
  if (rc != 0) {
    return rc;
  }
  rc = tell_up(n, a, info->cert);
  if (rc != 0) {
    n->stats->no_memory++;
    torc_appconn_ended(n, token, rc);
    return rc;
  }
  a->is_up = true;
  a->since = n->now;
  if (a->is_incoming) {
    n->stats->connections_taken++;
  } else {
    n->stats->connections_made++;
  }
  TORC_LOG(n->log, TORC_LOG_DEBUG, "connection:up", TORC_F_ID("peer", &a->peer),
           TORC_F_U64("application", a->application), TORC_F_U64("incoming", a->is_incoming));
  return 0;
}

int torc_appconn_up(torc_node *n, torc_token token, const torc_link_info *info) {
  int rc = info->cert == NULL ? TORC_ERR_INVALID : up(n, token, info);
  torc_cert_unref(n, info->cert);
  return rc;
}

/* ---- which applications are there ---- */

static size_t place_of(const uint16_t *list, size_t num, uint16_t application) {
  for (size_t i = 0; i < num; i++) {
    if (list[i] == application) {
      return i;
    }
  }
  return num;
}

static int change(uint16_t list[TORC_NODE_LISTEN_MAX], uint16_t *num, uint16_t application,
                  bool on) {
  size_t at = place_of(list, *num, application);
  bool is_there = at < *num;
  if (is_there == on) {
    return 0;
  }
  if (is_there) {
    (*num)--;
    list[at] = list[*num];
    return 0;
  }
  if (*num == TORC_NODE_LISTEN_MAX) {
    return TORC_ERR_LIMIT;
  }
  list[*num] = application;
  (*num)++;
  return 0;
}

bool torc_appconn_listens(const torc_node *n, uint16_t application) {
  const torc_applications *a = n->apps;
  return application == TORC_APPLICATION_RELOAD ||
         (a != NULL && place_of(a->accepts, a->num_accepts, application) < a->num_accepts);
}

int torc_appconn_listen(torc_node *n, uint16_t application, bool on) {
  if (application == 0 || application == TORC_APPLICATION_RELOAD) {
    return TORC_ERR_INVALID;
  }
  int rc = make_apps(n);
  return rc != 0 ? rc : change(n->apps->accepts, &n->apps->num_accepts, application, on);
}

bool torc_app_takes_tunnels(const torc_node *n, uint16_t application) {
  const torc_applications *a = n->apps;
  return a != NULL && place_of(a->tunnels, a->num_tunnels, application) < a->num_tunnels;
}

int torc_app_take_tunnels(torc_node *n, uint16_t application, bool on) {
  int rc = make_apps(n);
  return rc != 0 ? rc : change(n->apps->tunnels, &n->apps->num_tunnels, application, on);
}
