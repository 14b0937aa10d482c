/* SPDX-License-Identifier: Apache-2.0 */
#include "ice_end_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "io/addr.h"

#define LONGEST_WAIT_MS 1000

torc_time net_now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (torc_time)t.tv_sec * 1000000u + (torc_time)t.tv_nsec / 1000u;
}

static torc_addr addr_of(const torc_sock *s) {
  torc_addr out = {.family = s->sa.sa_family == AF_INET ? 1 : 2, .port = torc_sock_port(s)};
  if (out.family == 1) {
    memcpy(out.addr, &s->v4.sin_addr, 4);
  } else {
    memcpy(out.addr, &s->v6.sin6_addr, 16);
  }
  return out;
}

static socklen_t sock_of(const torc_addr *a, torc_sock *out) {
  memset(out, 0, sizeof *out);
  if (a->family == 1) {
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(a->port);
    memcpy(&out->v4.sin_addr, a->addr, 4);
    return sizeof out->v4;
  }
  out->v6.sin6_family = AF_INET6;
  out->v6.sin6_port = htons(a->port);
  memcpy(&out->v6.sin6_addr, a->addr, 16);
  return sizeof out->v6;
}

torc_ice_socket net_id(const net *n, const net_socket *s) {
  return (torc_ice_socket)(s - n->sockets) + 1;
}

net_socket *net_of_id(net *n, torc_ice_socket id) {
  net_socket *s = id >= 1 && id <= NET_SOCKETS ? &n->sockets[id - 1] : NULL;
  return s != NULL && s->kind != NET_FREE ? s : NULL;
}

net_socket *net_of_token(net *n, net_kind kind, torc_token token) {
  for (size_t i = 0; i < NET_SOCKETS; i++) {
    if (n->sockets[i].kind == kind && n->sockets[i].token == token) {
      return &n->sockets[i];
    }
  }
  return NULL;
}

void net_close(net_socket *s) {
  SSL_free(s->ssl);
  (void)close(s->fd);
  s->ssl = NULL;
  s->kind = NET_FREE;
}

/* Takes fd. */
static net_socket *take(net *n, net_kind kind, int fd) {
  torc_sock own;
  socklen_t len = sizeof own;
  for (size_t i = 0; fd >= 0 && i < NET_SOCKETS; i++) {
    net_socket *s = &n->sockets[i];
    if (s->kind == NET_FREE) {
      int yes = 1;
      *s = (net_socket){.kind = kind, .fd = fd};
      (void)fcntl(fd, F_SETFL, O_NONBLOCK);
      (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      if (getsockname(fd, &own.sa, &len) == 0) {
        s->local = addr_of(&own);
      }
      return s;
    }
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  return NULL;
}

static int bound(const torc_addr *local, int type, bool shares_port) {
  torc_sock own;
  int yes = 1;
  torc_addr at = *local;
  if (type == SOCK_STREAM && !shares_port) {
    at.port = 0;
  }
  int fd = socket(at.family == 1 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -1;
  }
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (shares_port) {
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  }
  if (bind(fd, &own.sa, sock_of(&at, &own)) != 0) {
    (void)close(fd);
    return -1;
  }
  return fd;
}

net_socket *net_open_udp(net *n, const torc_addr *local) {
  return take(n, NET_UDP, bound(local, SOCK_DGRAM, false));
}

net_socket *net_open_listener(net *n, const torc_addr *local) {
  net_socket *s = take(n, NET_LISTENER, bound(local, SOCK_STREAM, true));
  if (s != NULL && listen(s->fd, 16) != 0) {
    net_close(s);
    return NULL;
  }
  return s;
}

static net_socket *dial(net *n, net_kind kind, int fd, const torc_addr *remote) {
  torc_sock to;
  socklen_t len = sock_of(remote, &to);
  net_socket *s = take(n, kind, fd);
  if (s == NULL) {
    return NULL;
  }
  s->remote = *remote;
  if (connect(s->fd, &to.sa, len) != 0 && errno != EINPROGRESS) {
    net_close(s);
    return NULL;
  }
  return s;
}

net_socket *net_dial(net *n, const torc_addr *local, bool shares_port, const torc_addr *remote) {
  return dial(n, NET_DIALLING, bound(local, SOCK_STREAM, shares_port), remote);
}

net_socket *net_dial_turn(net *n, const torc_addr *remote, bool is_tls, const char *host) {
  int fd = socket(remote->family == 1 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  net_socket *s = fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0
                      ? dial(n, NET_TURN_DIALLING, fd, remote)
                      : NULL;
  if (s == NULL || !is_tls) {
    return s;
  }
  s->ssl = SSL_new(n->tls);
  if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1 ||
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), host) != 1) {
    net_close(s);
    return NULL;
  }
  return s;
}

void net_send(net *n, net_socket *s, const torc_addr *remote, torc_slice bytes) {
  torc_sock to;
  uint8_t frame[NET_FRAME];
  (void)n;
  if (s->kind == NET_UDP) {
    socklen_t len = sock_of(remote, &to);
    (void)sendto(s->fd, bytes.p, bytes.len, 0, &to.sa, len);
  } else if (s->kind == NET_FRAMED && bytes.len + 2 <= sizeof frame) {
    frame[0] = (uint8_t)(bytes.len >> 8);
    frame[1] = (uint8_t)bytes.len;
    memcpy(frame + 2, bytes.p, bytes.len);
    (void)send(s->fd, frame, bytes.len + 2, MSG_NOSIGNAL);
  } else if (s->kind == NET_TURN && s->ssl != NULL) {
    (void)SSL_write(s->ssl, bytes.p, (int)bytes.len);
  } else if (s->kind == NET_TURN) {
    (void)send(s->fd, bytes.p, bytes.len, MSG_NOSIGNAL);
  }
}

static void lose(net *n, net_socket *s) {
  n->events->closed(n->ctx, s);
  net_close(s);
}

static void read_udp(net *n, net_socket *s) {
  uint8_t in[NET_FRAME];
  torc_sock from;
  socklen_t len = sizeof from;
  ssize_t num = recvfrom(s->fd, in, sizeof in, 0, &from.sa, &len);
  while (num >= 0) {
    torc_addr remote = addr_of(&from);
    n->events->datagram(n->ctx, s, &remote, torc_slice_of(in, (size_t)num));
    len = sizeof from;
    num = recvfrom(s->fd, in, sizeof in, 0, &from.sa, &len);
  }
}

static void read_listener(net *n, const net_socket *listener) {
  torc_sock from;
  socklen_t len = sizeof from;
  net_socket *s = take(n, NET_FRAMED, accept(listener->fd, &from.sa, &len));
  if (s != NULL) {
    s->remote = addr_of(&from);
  }
}

static void read_framed(net *n, net_socket *s) {
  ssize_t num = recv(s->fd, s->in + s->num_in, sizeof s->in - s->num_in, 0);
  if (num == 0 || (num < 0 && errno != EAGAIN)) {
    lose(n, s);
    return;
  }
  s->num_in += num > 0 ? (size_t)num : 0;
  while (s->kind == NET_FRAMED && s->num_in >= 2) {
    size_t len = (size_t)s->in[0] << 8 | s->in[1];
    uint8_t frame[NET_FRAME];
    if (len + 2 > sizeof s->in) {
      lose(n, s);
      return;
    }
    if (s->num_in < len + 2) {
      return;
    }
    memcpy(frame, s->in + 2, len);
    s->num_in -= len + 2;
    memmove(s->in, s->in + 2 + len, s->num_in);
    n->events->frame(n->ctx, s, torc_slice_of(frame, len));
  }
}

static void read_turn(net *n, net_socket *s) {
  uint8_t in[NET_FRAME];
  for (;;) {
    int num = s->ssl != NULL ? SSL_read(s->ssl, in, sizeof in) : (int)recv(s->fd, in, sizeof in, 0);
    bool waits = s->ssl != NULL ? SSL_get_error(s->ssl, num) == SSL_ERROR_WANT_READ
                                : num < 0 && errno == EAGAIN;
    if (num > 0) {
      n->events->turn_input(n->ctx, s, torc_slice_of(in, (size_t)num));
    } else if (!waits) {
      lose(n, s);
    }
    if (num <= 0 || s->kind != NET_TURN) {
      return;
    }
  }
}

static int outcome(const net_socket *s) {
  int err = 0;
  socklen_t len = sizeof err;
  return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == 0 ? 0
                                                                              : TORC_ERR_REFUSED;
}

static void finish_dial(net *n, net_socket *s) {
  int rc = outcome(s);
  torc_sock own;
  socklen_t len = sizeof own;
  if (getsockname(s->fd, &own.sa, &len) == 0) {
    s->local = addr_of(&own);
  }
  s->kind = NET_FRAMED;
  n->events->dialled(n->ctx, s, rc);
  if (rc != 0) {
    net_close(s);
  }
}

static void secure(net *n, net_socket *s) {
  int rc = SSL_connect(s->ssl);
  int why = SSL_get_error(s->ssl, rc);
  if (rc != 1 && (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)) {
    return;
  }
  s->kind = NET_TURN;
  n->events->turn_opened(n->ctx, s, rc == 1 ? 0 : TORC_ERR_CRYPTO);
  if (rc != 1) {
    net_close(s);
  }
}

static void finish_turn_dial(net *n, net_socket *s) {
  int rc = outcome(s);
  if (rc == 0 && s->ssl != NULL) {
    s->kind = NET_TURN_SECURING;
    secure(n, s);
    return;
  }
  s->kind = NET_TURN;
  n->events->turn_opened(n->ctx, s, rc);
  if (rc != 0) {
    net_close(s);
  }
}

static void handle(net *n, net_socket *s) {
  switch (s->kind) {
    case NET_UDP:
      read_udp(n, s);
      break;
    case NET_LISTENER:
      read_listener(n, s);
      break;
    case NET_DIALLING:
      finish_dial(n, s);
      break;
    case NET_FRAMED:
      read_framed(n, s);
      break;
    case NET_TURN_DIALLING:
      finish_turn_dial(n, s);
      break;
    case NET_TURN_SECURING:
      secure(n, s);
      break;
    case NET_TURN:
      read_turn(n, s);
      break;
    case NET_FREE:
    default:
      break;
  }
}

bool net_wait(net *n, torc_time deadline, int extra_fd) {
  struct pollfd fds[NET_SOCKETS + 1];
  torc_time now = net_now();
  int wait_ms = deadline <= now ? 0 : LONGEST_WAIT_MS;
  if (deadline > now && deadline - now < LONGEST_WAIT_MS * 1000u) {
    wait_ms = (int)((deadline - now + 999) / 1000);
  }
  for (size_t i = 0; i < NET_SOCKETS; i++) {
    net_kind kind = n->sockets[i].kind;
    bool is_dialling = kind == NET_DIALLING || kind == NET_TURN_DIALLING;
    fds[i] = (struct pollfd){.fd = kind == NET_FREE ? -1 : n->sockets[i].fd,
                             .events = is_dialling ? POLLOUT : POLLIN};
  }
  fds[NET_SOCKETS] = (struct pollfd){.fd = extra_fd, .events = POLLIN};
  if (poll(fds, NET_SOCKETS + 1, wait_ms) <= 0) {
    return false;
  }
  for (size_t i = 0; i < NET_SOCKETS; i++) {
    if (fds[i].revents != 0 && n->sockets[i].kind != NET_FREE && n->sockets[i].fd == fds[i].fd) {
      handle(n, &n->sockets[i]);
    }
  }
  return fds[NET_SOCKETS].revents != 0;
}
