/* Listening sockets and the caps on those who have proved nothing yet.
 * SPDX-License-Identifier: Apache-2.0 */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/net_impl.h"

#define LOCAL_MAX 32 /* addresses of this machine compared with a bootstrap entry */

/* Connections without a finished handshake, from the site of `remote` or from anywhere (NULL);
 * *longest: the one that has waited longest. */
static size_t half_open_of(const torc_net *net, const torc_sock *remote, torc_conn **longest) {
  size_t num = 0;
  *longest = NULL;
  for (const torc_list *node = net->conns.next; node != &net->conns; node = node->next) {
    torc_conn *c = TORC_CONTAINER_OF((torc_list *)(uintptr_t)node, torc_conn, all);
    if (c->is_half_open && (remote == NULL || torc_sock_site_eq(&c->link.remote, remote))) {
      *longest = num == 0 ? c : *longest; /* the list is in the order of arrival */
      num++;
    }
  }
  return num;
}

/* Whoever has waited longest goes, so that connections that never speak keep nobody out: a
 * handshake is a matter of moments. */
static int admit(torc_net *net, const torc_sock *remote) {
  torc_conn *longest = NULL;
  if (net->num_conns >=
      (size_t)net->limits.links_max + net->limits.half_open_max + net->limits.streams_max) {
    net->stats.links_refused++;
    return TORC_ERR_LIMIT;
  }
  if (half_open_of(net, remote, &longest) >= net->limits.half_open_per_ip_max) {
    net->stats.half_open_ip_evicted++;
  } else if (half_open_of(net, NULL, &longest) >= net->limits.half_open_max) {
    net->stats.half_open_evicted++;
  } else {
    longest = NULL;
  }
  if (longest != NULL) {
    torc_conn_end(longest, TORC_ERR_LIMIT);
  }
  return 0;
}

static void on_connection(uv_stream_t *server, int status) {
  torc_net *net = server->data;
  if (status < 0 || net->is_shutting) {
    return;
  }
  torc_conn *c = torc_conn_new(net);
  if (c == NULL) {
    return;
  }
  int rc = uv_accept(server, (uv_stream_t *)&c->tcp) == 0 ? 0 : TORC_ERR_IO;
  int len = (int)sizeof c->link.remote;
  if (rc == 0 && uv_tcp_getpeername(&c->tcp, &c->link.remote.sa, &len) != 0) {
    rc = TORC_ERR_IO;
  }
  torc_sock_normalise(&c->link.remote);
  if (rc == 0) {
    rc = admit(net, &c->link.remote);
  }
  if (rc == 0) {
    rc = torc_conn_open(c);
  }
  if (rc != 0) {
    torc_conn_end(c, rc);
    net->events.turn(net->events.ctx);
    return;
  }
  net->stats.accepted++;
  c->is_half_open = true;
  net->num_half_open++;
}

static int bind_and_listen(torc_net *net, torc_listener *l, const char *address, char *err,
                           size_t err_cap) {
  unsigned flags = l->addr.sa.sa_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
  int uv = uv_tcp_bind(&l->tcp, &l->addr.sa, flags);
  if (uv == 0) {
    uv = uv_listen((uv_stream_t *)&l->tcp, TORC_NET_BACKLOG, on_connection);
  }
  if (uv == UV_EADDRINUSE) {
    return torc_fail(
        TORC_ERR_IO, err, err_cap,
        "cannot listen on %s: the port is in use; stop the other program or choose another port",
        address);
  }
  if (uv != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot listen on %s: %s", address,
                     uv_strerror(uv));
  }
  int len = (int)sizeof l->addr;
  (void)uv_tcp_getsockname(&l->tcp, &l->addr.sa, &len);
  net->listeners[net->num_listeners] = l;
  net->num_listeners++;
  return 0;
}

static void on_failed_closed(uv_handle_t *h) {
  torc_net *net = h->data;
  net->num_handles--;
  free(TORC_CONTAINER_OF(h, torc_listener, tcp));
}

int torc_net_listen(torc_net *net, const char *address, char *err, size_t err_cap) {
  torc_sock addr;
  if (torc_sock_parse(address, &addr) != 0) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "%s is no address to listen on: write 127.0.0.1:6084 or [::]:6084", address);
  }
  if (net->num_listeners == TORC_NET_LISTEN_MAX) {
    return torc_fail(TORC_ERR_LIMIT, err, err_cap, "more than %d addresses to listen on",
                     TORC_NET_LISTEN_MAX);
  }
  torc_listener *l = calloc(1, sizeof *l);
  if (l == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  l->addr = addr;
  if (uv_tcp_init(net->loop, &l->tcp) != 0) {
    free(l);
    return torc_fail(TORC_ERR_IO, err, err_cap, "the event loop cannot make a socket");
  }
  net->num_handles++;
  l->tcp.data = net;
  int rc = bind_and_listen(net, l, address, err, err_cap);
  if (rc != 0) {
    uv_close((uv_handle_t *)&l->tcp, on_failed_closed);
  }
  return rc;
}

int torc_net_advertise(torc_net *net, const char *address, char *err, size_t err_cap) {
  torc_sock addr;
  if (torc_sock_parse(address, &addr) != 0 || !torc_sock_is_usable(&addr)) {
    return torc_fail(
        TORC_ERR_CONFIG, err, err_cap,
        "%s cannot be advertised: write an address others can dial, such as 192.0.2.1:6084",
        address);
  }
  if (net->num_advertised == TORC_NET_ADVERTISE_MAX) {
    return torc_fail(TORC_ERR_LIMIT, err, err_cap, "more than %d addresses to advertise",
                     TORC_NET_ADVERTISE_MAX);
  }
  net->advertised[net->num_advertised] = addr;
  net->num_advertised++;
  return 0;
}

size_t torc_net_num_listeners(const torc_net *net) {
  return net->num_listeners;
}

uint16_t torc_net_port(const torc_net *net, size_t i) {
  return i < net->num_listeners ? torc_sock_port(&net->listeners[i]->addr) : 0;
}

uint16_t torc_net_port_at(const torc_net *net, const torc_sock *a) {
  for (size_t i = 0; i < net->num_listeners; i++) {
    const torc_sock *mine = &net->listeners[i]->addr;
    if (mine->sa.sa_family == a->sa.sa_family &&
        (torc_sock_is_wildcard(mine) || torc_sock_host_eq(mine, a))) {
      return torc_sock_port(mine);
    }
  }
  return 0;
}

static bool is_own(const torc_net *net, const torc_sock *a) {
  torc_sock local[LOCAL_MAX];
  for (size_t i = 0; i < net->num_advertised; i++) {
    if (torc_sock_eq(&net->advertised[i], a)) {
      return true;
    }
  }
  for (size_t i = 0; i < net->num_listeners; i++) {
    const torc_sock *mine = &net->listeners[i]->addr;
    if (torc_sock_eq(mine, a)) {
      return true;
    }
    if (!torc_sock_is_wildcard(mine) || torc_sock_port(mine) != torc_sock_port(a) ||
        mine->sa.sa_family != a->sa.sa_family) {
      continue;
    }
    size_t num = torc_sock_interfaces(mine->sa.sa_family, torc_sock_port(mine), local, LOCAL_MAX);
    for (size_t k = 0; k < num; k++) {
      if (torc_sock_eq(&local[k], a)) {
        return true;
      }
    }
    if (torc_sock_is_loopback(a)) {
      return true;
    }
  }
  return false;
}

bool torc_net_is_self(const torc_net *net, const torc_endpoint *endpoint) {
  torc_sock a;
  if (net->num_listeners == 0) {
    return false;
  }
  if (torc_sock_literal(endpoint->host, endpoint->port, &a) == 0) {
    return is_own(net, &a);
  }
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  struct addrinfo *list = NULL;
  bool found = false;
  if (getaddrinfo(endpoint->host, NULL, &hints, &list) != 0) {
    return false;
  }
  for (struct addrinfo *i = list; i != NULL && !found; i = i->ai_next) {
    if (i->ai_addrlen <= sizeof a) {
      memset(&a, 0, sizeof a);
      memcpy(&a, i->ai_addr, i->ai_addrlen);
      torc_sock_set_port(&a, endpoint->port);
      found = is_own(net, &a);
    }
  }
  freeaddrinfo(list);
  return found;
}
