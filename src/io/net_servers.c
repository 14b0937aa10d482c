/* STUN and TURN servers of the configuration: their names are looked up while the node runs
 * already, and again when that fails [ICE-09] [ICE-18].
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/net_impl.h"

#define RETRY TORC_SEC(30)

struct torc_net_server {
  torc_net *net;
  torc_server_uri uri;
  uv_getaddrinfo_t resolve;
  torc_timer retry;
  bool is_resolving, is_over;
};

static void look_up(torc_net_server *s);

static void use(torc_net_server *s, const torc_sock *at) {
  torc_net *net = s->net;
  int rc = 0;
  if (s->uri.kind == TORC_SERVER_STUN) {
    rc = torc_net_gather_stun(net, at);
  } else {
    rc = torc_net_gather_turn(net, &s->uri, at);
  }
  if (rc != 0) {
    TORC_LOG(net->log, TORC_LOG_ERROR, "io:server_unusable", TORC_F_STR("server", s->uri.host),
             TORC_F_ERR("why", rc));
  }
}

static void try_later(torc_net_server *s, const char *why) {
  TORC_LOG(s->net->log, TORC_LOG_WARN, "io:server_not_found", TORC_F_STR("server", s->uri.host),
           TORC_F_STR("why", why), TORC_F_U64("again_in_s", RETRY / TORC_SEC(1)));
  torc_net_arm(s->net, &s->retry, torc_time_add(torc_net_now(), RETRY));
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list) {
  torc_net_server *s = req->data;
  torc_net *net = s->net;
  torc_sock at;
  s->is_resolving = false;
  net->num_handles--;
  bool found = status == 0 && list != NULL && list->ai_addrlen <= sizeof at;
  if (s->is_over) {
    uv_freeaddrinfo(list);
    free(s);
    return;
  }
  memset(&at, 0, sizeof at);
  if (found) {
    memcpy(&at, list->ai_addr, list->ai_addrlen);
    torc_sock_set_port(&at, s->uri.port);
  }
  uv_freeaddrinfo(list);
  if (found) {
    use(s, &at);
  } else {
    try_later(s, status == 0 ? "no address" : uv_strerror(status));
  }
  net->events.turn(net->events.ctx);
}

static void look_up(torc_net_server *s) {
  torc_net *net = s->net;
  torc_sock at;
  if (torc_sock_literal(s->uri.host, s->uri.port, &at) == 0) {
    use(s, &at);
    return;
  }
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  s->resolve.data = s;
  int uv = uv_getaddrinfo(net->loop, &s->resolve, on_resolved, s->uri.host, NULL, &hints);
  if (uv != 0) {
    try_later(s, uv_strerror(uv));
    return;
  }
  s->is_resolving = true;
  net->num_handles++;
}

static void on_retry(torc_timer *t, torc_time now) {
  (void)now;
  look_up(TORC_CONTAINER_OF(t, torc_net_server, retry));
}

void torc_net_set_login(torc_net *net, const char *user, const char *password,
                        const char *ca_file) {
  (void)snprintf(net->turn_user, sizeof net->turn_user, "%s", user == NULL ? "" : user);
  (void)snprintf(net->turn_password, sizeof net->turn_password, "%s",
                 password == NULL ? "" : password);
  (void)snprintf(net->turn_ca, sizeof net->turn_ca, "%s", ca_file == NULL ? "" : ca_file);
}

int torc_net_add_server(torc_net *net, const char *uri, char *err, size_t err_cap) {
  torc_server_uri parsed;
  if (torc_server_uri_parse(uri, &parsed) != 0) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "%s is no server: write stun:HOST:PORT, turn:HOST:PORT?transport=udp (or tcp) "
                     "or turns:HOST:PORT",
                     uri);
  }
  if (net->num_servers == TORC_NET_SERVERS_MAX) {
    return torc_fail(TORC_ERR_LIMIT, err, err_cap, "more than %d STUN and TURN servers",
                     TORC_NET_SERVERS_MAX);
  }
  if (parsed.kind == TORC_SERVER_TURN_TLS && net->turn_tls == NULL) {
    int rc = torc_server_stream_tls_new(
        &net->turn_tls, net->turn_ca[0] == '\0' ? NULL : net->turn_ca, err, err_cap);
    if (rc != 0) {
      return rc;
    }
  }
  torc_net_server *s = calloc(1, sizeof *s);
  if (s == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  s->net = net;
  s->uri = parsed;
  torc_timer_init(&s->retry, on_retry);
  net->servers[net->num_servers] = s;
  net->num_servers++;
  look_up(s);
  return 0;
}

void torc_net_servers_shutdown(torc_net *net) {
  for (size_t i = 0; i < net->num_servers; i++) {
    torc_net_server *s = net->servers[i];
    torc_timer_stop(&net->timers, &s->retry);
    s->is_over = true;
    if (s->is_resolving) {
      (void)uv_cancel((uv_req_t *)&s->resolve); /* its callback frees */
    } else {
      free(s);
    }
  }
  net->num_servers = 0;
}
