/* Candidates gathered ahead: STUN with the connected peers and the servers of the configuration,
 * TURN allocations as sockets [ICE-09] [ICE-18] [GAP-75] [GAP-79].
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/net_impl.h"

#define SERVER_ID_FIRST (1ull << 62) /* STUN servers of the configuration; links count from 1 */

/* A connection to a TURN server over TCP or TLS. */
typedef struct turn_stream {
  torc_net *net;
  torc_token token; /* 0: the gatherer has given it up */
  torc_server_stream *stream;
  torc_timer limit;
  char host[TORC_NET_HOST_MAX]; /* whom it is to */
} turn_stream;

static void pump(torc_net *net) {
  torc_net_gather_pump(net);
  torc_net_ice_pump(net);
}

/* ---- streams ---- */

static turn_stream *find_stream(const torc_net *net, torc_token token) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    turn_stream *t = net->turn_streams[i];
    if (t != NULL && t->token == token) {
      return t;
    }
  }
  return NULL;
}

static void on_freed(void *ctx) {
  turn_stream *t = ctx;
  t->net->num_handles--;
  free(t);
}

static void close_stream(turn_stream *t) {
  torc_net *net = t->net;
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    if (net->turn_streams[i] == t) {
      net->turn_streams[i] = NULL;
    }
  }
  torc_timer_stop(&net->timers, &t->limit);
  torc_server_stream_close(t->stream);
}

static void on_opened(void *ctx, torc_server_stream *s, int rc, const char *why) {
  turn_stream *t = ctx;
  torc_net *net = t->net;
  torc_token token = t->token;
  (void)s;
  torc_timer_stop(&net->timers, &t->limit);
  if (rc != 0) {
    TORC_LOG(net->log, TORC_LOG_WARN, "io:turn_unreachable", TORC_F_STR("server", t->host),
             TORC_F_STR("why", why));
    close_stream(t);
  }
  torc_gather_stream_opened(net->gather, token, rc, torc_net_now());
  pump(net);
}

static void on_data(void *ctx, torc_server_stream *s, torc_slice bytes) {
  turn_stream *t = ctx;
  torc_net *net = t->net;
  torc_token token = t->token;
  (void)s;
  if (torc_gather_stream_input(net->gather, token, bytes, torc_net_now()) != 0) {
    close_stream(t);
    torc_gather_stream_closed(net->gather, token, torc_net_now());
  }
  pump(net);
  net->events.turn(net->events.ctx);
}

static void on_ended(void *ctx, torc_server_stream *s, int rc) {
  turn_stream *t = ctx;
  torc_net *net = t->net;
  torc_token token = t->token;
  (void)s;
  (void)rc;
  close_stream(t);
  torc_gather_stream_closed(net->gather, token, torc_net_now());
  pump(net);
  net->events.turn(net->events.ctx);
}

static void on_limit(torc_timer *timer, torc_time now) {
  turn_stream *t = TORC_CONTAINER_OF(timer, turn_stream, limit);
  (void)now;
  on_opened(t, t->stream, TORC_ERR_TIMEOUT, "no answer in time");
}

/* Whom its certificate has to be for: the name that a redirection gave, or the configuration. */
static void name_of(const torc_net *net, const torc_gather_output *o, char out[TORC_NET_HOST_MAX]) {
  torc_sock remote;
  torc_addr_to_sock(&o->remote, &remote);
  if (o->host.len > 0 && o->host.len < TORC_NET_HOST_MAX) {
    memcpy(out, o->host.p, o->host.len);
    out[o->host.len] = '\0';
    return;
  }
  torc_sock_host(&remote, out);
  for (size_t i = 0; i < net->num_turns; i++) {
    if (torc_sock_eq(&net->turns[i].server, &remote)) {
      memcpy(out, net->turns[i].host, TORC_NET_HOST_MAX);
    }
  }
}

static int begin_stream(torc_net *net, turn_stream **place, const torc_gather_output *o) {
  turn_stream *t = calloc(1, sizeof *t);
  torc_sock remote;
  if (t == NULL || (o->is_tls && net->turn_tls == NULL)) {
    free(t);
    return TORC_ERR_NOMEM;
  }
  torc_server_stream_events events = {
      .ctx = t, .opened = on_opened, .data = on_data, .ended = on_ended, .freed = on_freed};
  torc_addr_to_sock(&o->remote, &remote);
  name_of(net, o, t->host);
  int rc = torc_server_stream_open(&t->stream, net->loop, &remote, o->is_tls ? net->turn_tls : NULL,
                                   t->host, &events);
  if (rc != 0) {
    free(t);
    return rc;
  }
  t->net = net;
  t->token = o->stream;
  *place = t;
  net->num_handles++;
  torc_timer_init(&t->limit, on_limit);
  torc_net_arm(net, &t->limit, torc_time_add(torc_net_now(), TORC_SERVER_STREAM_LIMIT));
  return 0;
}

static void open_stream(torc_net *net, const torc_gather_output *o) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    if (net->turn_streams[i] == NULL) {
      int rc = begin_stream(net, &net->turn_streams[i], o);
      if (rc != 0) {
        torc_gather_stream_opened(net->gather, o->stream, rc, torc_net_now());
      }
      return;
    }
  }
  torc_gather_stream_opened(net->gather, o->stream, TORC_ERR_LIMIT, torc_net_now());
}

static void send_stream(torc_net *net, const torc_gather_output *o) {
  turn_stream *t = find_stream(net, o->stream);
  torc_token token = o->stream;
  int rc = t == NULL ? TORC_ERR_NOTFOUND : torc_server_stream_send(t->stream, o->bytes);
  if (t != NULL && rc != 0 && rc != TORC_ERR_LIMIT) { /* LIMIT: as if lost on the way */
    close_stream(t);
    torc_gather_stream_closed(net->gather, token, torc_net_now());
  }
}

/* ---- outputs ---- */

static void relay_down(torc_net *net, torc_ice_socket socket) {
  torc_dlinks_end_socket(net, socket, TORC_ERR_CLOSED);
  torc_ice_socket_closed(net->ice, socket, torc_net_now());
}

typedef struct relayed {
  torc_list node;
  torc_ice_from from;
  size_t len;
  uint8_t bytes[];
} relayed;

/* What it causes may be sent through the same allocation, for which the gatherer is called: so it
 * waits until the gatherer has said everything. */
static void keep_relayed(torc_net *net, const torc_gather_output *o) {
  relayed *r = net->num_relayed == TORC_NET_RELAYED_MAX ? NULL : malloc(sizeof *r + o->bytes.len);
  if (r == NULL || o->bytes.len == 0) {
    net->stats.relayed_dropped++;
    free(r);
    return;
  }
  r->from = (torc_ice_from){.socket = o->socket, .local = o->local, .remote = o->remote};
  r->len = o->bytes.len;
  memcpy(r->bytes, o->bytes.p, r->len);
  torc_list_push_back(&net->relayed, &r->node);
  net->num_relayed++;
}

static bool use_relayed(torc_net *net) {
  torc_list *node = torc_list_pop_front(&net->relayed);
  if (node == NULL) {
    return false;
  }
  relayed *r = TORC_CONTAINER_OF(node, relayed, node);
  net->num_relayed--;
  torc_net_datagram_input(net, &r->from, torc_slice_of(r->bytes, r->len));
  free(r);
  return true;
}

static void carry_out(torc_net *net, const torc_gather_output *o) {
  turn_stream *t = NULL;
  switch (o->kind) {
    case TORC_GATHER_OUT_SEND:
      if (torc_net_datagram_send(net, o->socket, &o->remote, o->bytes) != 0) {
        net->stats.datagrams_refused++;
      }
      break;
    case TORC_GATHER_OUT_STREAM_OPEN:
      open_stream(net, o);
      break;
    case TORC_GATHER_OUT_STREAM_SEND:
      send_stream(net, o);
      break;
    case TORC_GATHER_OUT_STREAM_CLOSE:
      t = find_stream(net, o->stream);
      if (t != NULL) {
        close_stream(t);
      }
      break;
    case TORC_GATHER_OUT_DATA:
      keep_relayed(net, o);
      break;
    case TORC_GATHER_OUT_UNREACHABLE:
      torc_ice_unreachable(net->ice, o->socket, &o->remote, torc_net_now());
      break;
    case TORC_GATHER_OUT_RELAY_DOWN:
      relay_down(net, o->socket);
      break;
    case TORC_GATHER_OUT_CHANGED:
      net->stats.candidates_changed++;
      break;
  }
}

static void poll_all(torc_net *net) {
  torc_gather_output o;
  while (torc_gather_poll(net->gather, &o)) {
    carry_out(net, &o);
  }
}

void torc_net_gather_pump(torc_net *net) {
  if (net->is_shutting) {
    return;
  }
  poll_all(net);
  if (net->is_gather_running) {
    return; /* whoever runs it goes on with what was relayed */
  }
  net->is_gather_running = true;
  while (use_relayed(net)) {
    poll_all(net);
  }
  net->is_gather_running = false;
  torc_net_arm(net, &net->gather_timer, torc_gather_deadline(net->gather));
}

static void on_timer(torc_timer *t, torc_time now) {
  torc_net *net = TORC_CONTAINER_OF(t, torc_net, gather_timer);
  torc_gather_tick(net->gather, now);
  pump(net);
}

/* ---- inputs ---- */

int torc_net_gather_init(torc_net *net) {
  torc_gather_config cfg = {.crypto = torc_stun_openssl_table(net->stun), .log = net->log};
  torc_timer_init(&net->gather_timer, on_timer);
  torc_list_init(&net->relayed);
  return torc_gather_new(&net->gather, &cfg, torc_net_now());
}

void torc_net_gather_shutdown(torc_net *net) {
  for (size_t i = 0; i < TORC_GATHER_TURNS_MAX; i++) {
    if (net->turn_streams[i] != NULL) {
      close_stream(net->turn_streams[i]);
    }
  }
}

void torc_net_gather_clear(torc_net *net) {
  torc_list *node = NULL;
  while (net->gather != NULL && (node = torc_list_pop_front(&net->relayed)) != NULL) {
    free(TORC_CONTAINER_OF(node, relayed, node));
  }
  torc_gather_free(net->gather);
  SSL_CTX_free(net->turn_tls);
}

void torc_net_gather_socket(torc_net *net, const torc_net_udp *u, bool is_there) {
  torc_gather_socket s = {.id = u->socket};
  if (!is_there) {
    torc_gather_remove_socket(net->gather, u->socket, torc_net_now());
  } else {
    torc_sock_to_addr(&u->local, &s.addr);
    s.preference = (uint16_t)(65535u - net->num_udps);
    int rc = torc_gather_add_socket(net->gather, &s, torc_net_now());
    if (rc != 0) {
      TORC_LOG(net->log, TORC_LOG_DEBUG, "io:not_gathered", TORC_F_ERR("why", rc));
    }
  }
  pump(net);
}

bool torc_net_gather_input(torc_net *net, torc_ice_socket socket, const torc_addr *from,
                           torc_slice bytes) {
  int rc = torc_gather_input(net->gather, socket, from, bytes, torc_net_now());
  pump(net);
  return rc == 0;
}

/* [ICE-08] A peer that takes connections at an address answers STUN on the same port over UDP; one
 * at the end of a DTLS link does where it is. */
void torc_net_gather_peer(torc_net *net, const torc_net_link *l, bool is_up) {
  const torc_sock *at = l->ops->kind == TORC_LINK_DTLS ? &l->remote : &l->dialable;
  torc_addr addr;
  if (!is_up) {
    torc_gather_peer_down(net->gather, l->id, torc_net_now()); /* [ICE-12] [ICE-13] */
  } else if (at->sa.sa_family != 0) {
    torc_sock_to_addr(at, &addr);
    if (torc_gather_peer_up(net->gather, l->id, &addr, torc_net_now()) != 0) {
      net->stats.stun_servers_refused++;
    }
  }
}

bool torc_net_is_settled(const torc_net *net) {
  return torc_gather_is_settled(net->gather);
}

int torc_net_relay_send(torc_net *net, torc_ice_socket socket, const torc_addr *remote,
                        torc_slice bytes) {
  int rc = torc_gather_relay_send(net->gather, socket, remote, bytes, torc_net_now());
  torc_net_gather_pump(net);
  return rc;
}

void torc_net_relay_bind(torc_net *net, torc_ice_socket socket, const torc_addr *remote) {
  int rc = torc_gather_relay_bind(net->gather, socket, remote, torc_net_now());
  if (rc != 0 && rc != TORC_ERR_NOTFOUND) { /* data goes by indications, which are longer */
    net->stats.datagrams_refused++;
  }
  torc_net_gather_pump(net);
}

/* ---- servers of the configuration ---- */

int torc_net_gather_stun(torc_net *net, const torc_sock *server) {
  torc_addr addr;
  torc_sock_to_addr(server, &addr);
  int rc = torc_gather_peer_up(net->gather, SERVER_ID_FIRST + net->num_stun, &addr, torc_net_now());
  if (rc == 0) {
    net->num_stun++;
  }
  pump(net);
  return rc;
}

int torc_net_gather_turn(torc_net *net, const torc_server_uri *uri, const torc_sock *server) {
  torc_gather_turn g = {.families = TORC_TURN_V4 | TORC_TURN_V6,
                        .user = torc_slice_str(net->turn_user),
                        .password = torc_slice_str(net->turn_password)};
  torc_token token = 0;
  if (net->num_turns == TORC_GATHER_TURNS_MAX) {
    return TORC_ERR_LIMIT;
  }
  g.path = uri->kind == TORC_SERVER_TURN_UDP   ? TORC_TURN_UDP
           : uri->kind == TORC_SERVER_TURN_TCP ? TORC_TURN_TCP
                                               : TORC_TURN_TLS;
  torc_sock_to_addr(server, &g.server);
  torc_net_turn_name *known = &net->turns[net->num_turns];
  known->server = *server;
  memcpy(known->host, uri->host, sizeof known->host);
  net->num_turns++;
  int rc = torc_gather_add_turn(net->gather, &g, torc_net_now(), &token);
  pump(net);
  return rc;
}
