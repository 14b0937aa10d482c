/* The UDP sockets of all links: one for each address of this machine [GAP-82] [ICE-17].
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "ice/stun_answer.h"
#include "io/net_impl.h"
#include "wire/stun.h"

#define INTERFACES_EVERY TORC_SEC(5) /* how often addresses of this machine are looked at */
#define ANY_PORT 9                   /* an address without one is not usable */
#define ANSWER_ROOM 1500u

static void on_closed(void *ctx) {
  torc_net_udp *u = ctx;
  u->net->num_handles--;
  free(u);
}

static void close_one(torc_net_udp *u) {
  torc_udp_close(u->udp, on_closed, u);
}

/* ---- what comes ---- */

/* [ICE-08] Every peer is a STUN server, for who asks without being anybody's check. */
static void answer_binding(torc_net *net, const torc_ice_from *from, torc_slice bytes) {
  uint8_t buf[ANSWER_ROOM];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  if (torc_stun_answer_binding(&wr, bytes, &from->remote) == 0 && wr.len > 0 &&
      torc_net_datagram_send(net, from->socket, &from->remote, torc_wr_slice(&wr)) == 0) {
    net->stats.stun_answers++;
  }
}

static void on_stun(torc_net *net, const torc_ice_from *from, torc_slice bytes) {
  int rc = torc_ice_input(net->ice, from, bytes, torc_net_now());
  if (rc == TORC_ERR_NOTFOUND && !torc_net_gather_input(net, from->socket, &from->remote, bytes)) {
    answer_binding(net, from, bytes);
  }
  torc_net_ice_pump(net);
}

static void on_dtls(torc_net *net, torc_dlink *d, const torc_ice_from *from, torc_slice bytes) {
  if (d != NULL) {
    torc_dlink_input(d, bytes);
  } else {
    torc_early_keep(net, from->socket, &from->remote, bytes);
  }
}

/* [GAP-82] by address and first byte */
void torc_net_datagram_input(torc_net *net, const torc_ice_from *from, torc_slice bytes) {
  torc_dlink *d = torc_dlink_of_path(net, from->socket, &from->remote);
  if (d != NULL) {
    torc_dlink_heard(d);
  }
  switch (torc_first_byte_of(bytes)) {
    case TORC_FIRST_STUN:
      on_stun(net, from, bytes);
      break;
    case TORC_FIRST_DTLS:
      on_dtls(net, d, from, bytes);
      break;
    case TORC_FIRST_CHANNEL:
      if (!torc_net_gather_input(net, from->socket, &from->remote, bytes)) {
        net->stats.udp_strangers++;
      }
      break;
    case TORC_FIRST_OTHER:
      net->stats.udp_strangers++;
      break;
  }
}

static void on_datagram(void *ctx, torc_udp *udp, const torc_sock *remote, torc_slice bytes) {
  torc_net_udp *u = ctx;
  torc_ice_from from = {.socket = u->socket};
  (void)udp;
  torc_sock_to_addr(&u->local, &from.local);
  torc_sock_to_addr(remote, &from.remote);
  torc_net_datagram_input(u->net, &from, bytes);
}

static void on_unreachable(void *ctx, torc_udp *udp, const torc_sock *remote, uint32_t mtu) {
  torc_net_udp *u = ctx;
  torc_addr to;
  (void)udp;
  torc_sock_to_addr(remote, &to);
  torc_dlink *d = torc_dlink_of_path(u->net, u->socket, &to);
  if (mtu > 0) {
    if (d != NULL) {
      torc_dlink_too_long(d, mtu);
    }
    return;
  }
  if (d != NULL) {
    torc_dlink_unreachable(d);
  }
  torc_ice_unreachable(u->net->ice, u->socket, &to, torc_net_now());
  torc_net_ice_pump(u->net);
}

static void on_turn(void *ctx) {
  torc_net_udp *u = ctx;
  u->net->events.turn(u->net->events.ctx);
}

/* ---- which there are ---- */

/* Addresses that deserve a socket: those of the listeners with their ports, or all with any. */
static size_t wanted(const torc_net *net, torc_sock *out, size_t max) {
  size_t num = 0;
  for (size_t i = 0; i < net->num_listeners; i++) {
    const torc_sock *a = &net->listeners[i]->addr;
    if (torc_sock_is_wildcard(a)) {
      num += torc_sock_interfaces(a->sa.sa_family, torc_sock_port(a), out + num, max - num);
    } else if (torc_sock_is_usable(a) && num < max) {
      out[num] = *a;
      num++;
    }
  }
  if (net->num_listeners == 0) {
    num = torc_sock_interfaces(AF_INET, ANY_PORT, out, max);
    num += torc_sock_interfaces(AF_INET6, ANY_PORT, out + num, max - num);
    for (size_t i = 0; i < num; i++) {
      torc_sock_set_port(&out[i], 0);
    }
  }
  return num;
}

static bool serves(const torc_net_udp *u, const torc_sock *a) {
  return u->local.sa.sa_family == a->sa.sa_family && torc_sock_host_eq(&u->local, a) &&
         (torc_sock_port(a) == 0 || torc_sock_port(a) == u->asked_port);
}

static void forget_gone(torc_net *net, const torc_sock *list, size_t num) {
  for (size_t i = 0; i < net->num_udps;) {
    torc_net_udp *u = net->udps[i];
    bool is_there = false;
    for (size_t k = 0; k < num && !is_there; k++) {
      is_there = serves(u, &list[k]);
    }
    if (is_there) {
      i++;
      continue;
    }
    char text[TORC_SOCK_TEXT];
    torc_sock_text(&u->local, text);
    TORC_LOG(net->log, TORC_LOG_INFO, "io:address_gone", TORC_F_STR("address", text));
    net->num_udps--;
    net->udps[i] = net->udps[net->num_udps];
    torc_dlinks_end_socket(net, u->socket, TORC_ERR_CLOSED);
    torc_ice_socket_closed(net->ice, u->socket, torc_net_now());
    torc_net_gather_socket(net, u, false);
    close_one(u);
  }
}

/* The listener's port if it is free for UDP, else any. */
static int open_socket(torc_net *net, torc_net_udp *u, const torc_sock *a) {
  torc_udp_events events = {
      .ctx = u, .datagram = on_datagram, .unreachable = on_unreachable, .turn = on_turn};
  torc_sock local = *a;
  int rc = torc_udp_open(&u->udp, net->loop, &local, net->udp_buf, &events, &net->udp_stats);
  if (rc == TORC_ERR_EXISTS) {
    torc_sock_set_port(&local, 0);
    rc = torc_udp_open(&u->udp, net->loop, &local, net->udp_buf, &events, &net->udp_stats);
  }
  return rc;
}

static void add(torc_net *net, const torc_sock *a) {
  torc_net_udp *u = calloc(1, sizeof *u);
  int rc = u == NULL ? TORC_ERR_NOMEM : open_socket(net, u, a);
  if (rc != 0) {
    char text[TORC_SOCK_TEXT];
    torc_sock_text(a, text);
    TORC_LOG(net->log, TORC_LOG_DEBUG, "io:no_udp", TORC_F_STR("address", text),
             TORC_F_ERR("why", rc));
    free(u);
    return;
  }
  u->net = net;
  u->asked_port = torc_sock_port(a);
  u->local = *torc_udp_local(u->udp);
  net->last_socket++;
  u->socket = net->last_socket;
  net->udps[net->num_udps] = u;
  net->num_udps++;
  net->num_handles++;
  torc_net_gather_socket(net, u, true);
}

void torc_net_udp_refresh(torc_net *net) {
  torc_sock list[TORC_NET_UDP_MAX];
  size_t num = wanted(net, list, TORC_ARRAY_LEN(list));
  forget_gone(net, list, num);
  for (size_t k = 0; k < num; k++) {
    bool is_there = false;
    for (size_t i = 0; i < net->num_udps && !is_there; i++) {
      is_there = serves(net->udps[i], &list[k]);
    }
    if (!is_there && net->num_udps < TORC_NET_UDP_MAX) {
      add(net, &list[k]);
    }
  }
  torc_net_arm(net, &net->udp_timer, torc_time_add(torc_net_now(), INTERFACES_EVERY));
}

static void on_udp_timer(torc_timer *t, torc_time now) {
  torc_net *net = TORC_CONTAINER_OF(t, torc_net, udp_timer);
  (void)now;
  torc_net_udp_refresh(net);
  torc_net_ice_pump(net);
}

int torc_net_udp_init(torc_net *net) {
  torc_timer_init(&net->udp_timer, on_udp_timer);
  net->udp_buf = malloc((size_t)TORC_UDP_BATCH * TORC_UDP_DATAGRAM_MAX);
  return net->udp_buf == NULL ? TORC_ERR_NOMEM : 0;
}

void torc_net_udp_shutdown(torc_net *net) {
  while (net->num_udps > 0) {
    net->num_udps--;
    close_one(net->udps[net->num_udps]);
  }
}

void torc_net_udp_clear(torc_net *net) {
  free(net->udp_buf);
}

static torc_net_udp *find(const torc_net *net, torc_ice_socket socket) {
  for (size_t i = 0; i < net->num_udps; i++) {
    if (net->udps[i]->socket == socket) {
      return net->udps[i];
    }
  }
  return NULL;
}

int torc_net_datagram_send(torc_net *net, torc_ice_socket socket, const torc_addr *remote,
                           torc_slice bytes) {
  const torc_net_udp *u = find(net, socket);
  torc_sock to;
  if (u == NULL) {
    return torc_net_relay_send(net, socket, remote, bytes);
  }
  torc_addr_to_sock(remote, &to);
  return torc_udp_send(u->udp, &to, bytes);
}

void torc_net_udp_set_reading(torc_net *net, bool on) {
  for (size_t i = 0; i < net->num_udps; i++) {
    torc_udp_set_reading(net->udps[i]->udp, on);
  }
}

uint16_t torc_net_datagram_port(const torc_net *net) {
  return net->num_udps > 0 ? torc_sock_port(&net->udps[0]->local) : 0;
}
