/* SPDX-License-Identifier: Apache-2.0 */
#include "io/udp.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/slice.h"

#define ERRORS_PER_TURN 64 /* ICMP errors read in a row */

struct torc_udp {
  uv_udp_t udp;
  int fd;
  torc_sock local;
  uint8_t *read_buf;
  torc_udp_events events;
  torc_udp_stats *stats;
  size_t num_read; /* datagrams since the socket was empty */
  bool is_closing;
  void (*closed)(void *ctx);
  void *closed_ctx;
};

typedef struct send_req {
  uv_udp_send_t req;
  uint8_t bytes[];
} send_req;

const torc_sock *torc_udp_local(const torc_udp *u) {
  return &u->local;
}

/* ---- ICMP errors ---- */

static void tell_error(torc_udp *u, const struct sock_extended_err *e, const torc_sock *remote) {
  bool is_icmp = e->ee_origin == SO_EE_ORIGIN_ICMP || e->ee_origin == SO_EE_ORIGIN_ICMP6;
  if (!is_icmp && e->ee_origin != SO_EE_ORIGIN_LOCAL) {
    return;
  }
  u->stats->icmp_errors++;
  if (!u->is_closing) {
    u->events.unreachable(u->events.ctx, u, remote, e->ee_errno == EMSGSIZE ? e->ee_info : 0);
  }
}

/* One entry of the error queue; false: it is empty. */
static bool next_error(torc_udp *u) {
  char control[512];
  char payload[1];
  torc_sock remote;
  struct iovec iov = {.iov_base = payload, .iov_len = sizeof payload};
  struct msghdr m = {.msg_name = &remote,
                     .msg_namelen = sizeof remote,
                     .msg_iov = &iov,
                     .msg_iovlen = 1,
                     .msg_control = control,
                     .msg_controllen = sizeof control};
  memset(&remote, 0, sizeof remote);
  if (recvmsg(u->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
    return false;
  }
  torc_sock_normalise(&remote);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
    bool is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
    if (is_error && c->cmsg_len >= CMSG_LEN(sizeof(struct sock_extended_err))) {
      struct sock_extended_err e;
      memcpy(&e, CMSG_DATA(c), sizeof e);
      tell_error(u, &e, &remote);
    }
  }
  return true;
}

/* The queue must be emptied: as long as it is not, the loop is woken again and again. */
static void read_errors(torc_udp *u) {
  for (int i = 0; i < ERRORS_PER_TURN && !u->is_closing && next_error(u); i++) {
  }
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
  torc_udp *u = h->data;
  (void)suggested;
  *buf = uv_buf_init((char *)u->read_buf, TORC_UDP_BATCH * TORC_UDP_DATAGRAM_MAX);
}

static void on_datagram(torc_udp *u, const uv_buf_t *buf, size_t len, const struct sockaddr *from,
                        unsigned flags) {
  torc_sock remote;
  u->num_read++;
  if ((flags & UV_UDP_PARTIAL) != 0) {
    u->stats->truncated++;
    return;
  }
  memset(&remote, 0, sizeof remote);
  if (from->sa_family == AF_INET6) {
    memcpy(&remote.v6, from, sizeof remote.v6);
  } else {
    memcpy(&remote.v4, from, sizeof remote.v4);
  }
  torc_sock_normalise(&remote);
  u->stats->datagrams_in++;
  u->stats->bytes_in += len;
  u->events.datagram(u->events.ctx, u, &remote, torc_slice_of(buf->base, len));
}

static void on_recv(uv_udp_t *h, ssize_t nread, const uv_buf_t *buf, const struct sockaddr *from,
                    unsigned flags) {
  torc_udp *u = h->data;
  if (u->is_closing) {
    return;
  }
  if (nread >= 0 && from != NULL) {
    on_datagram(u, buf, (size_t)nread, from, flags);
    return;
  }
  bool is_batch_end = (flags & UV_UDP_MMSG_FREE) != 0;
  if (!is_batch_end) { /* the socket is empty */
    /* Woken for nothing: then it was an error that a send had already been told. */
    if (nread < 0 || u->num_read == 0) {
      read_errors(u);
      is_batch_end = true;
    }
    u->num_read = 0;
  }
  if (is_batch_end && !u->is_closing && u->events.turn != NULL) {
    u->events.turn(u->events.ctx);
  }
}

/* ---- sending ---- */

static void on_sent(uv_udp_send_t *req, int status) {
  torc_udp *u = req->handle->data;
  free(TORC_CONTAINER_OF(req, send_req, req));
  u->stats->failed += status < 0 && status != UV_ECANCELED ? 1 : 0;
}

static int queue(torc_udp *u, const torc_sock *remote, torc_slice bytes) {
  if (uv_udp_get_send_queue_size(&u->udp) + bytes.len > TORC_UDP_QUEUE_MAX) {
    u->stats->dropped++;
    return TORC_ERR_LIMIT;
  }
  send_req *r = malloc(sizeof *r + bytes.len);
  if (r == NULL) {
    u->stats->dropped++;
    return TORC_ERR_NOMEM;
  }
  memcpy(r->bytes, bytes.p, bytes.len);
  uv_buf_t buf = uv_buf_init((char *)r->bytes, (unsigned)bytes.len);
  if (uv_udp_send(&r->req, &u->udp, &buf, 1, &remote->sa, on_sent) != 0) {
    free(r);
    u->stats->failed++;
    return TORC_ERR_IO;
  }
  u->stats->queued++;
  return 0;
}

static int try_send(torc_udp *u, const torc_sock *remote, torc_slice bytes) {
  uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes.p, (unsigned)bytes.len);
  return uv_udp_try_send(&u->udp, &buf, 1, &remote->sa);
}

int torc_udp_send(torc_udp *u, const torc_sock *remote, torc_slice bytes) {
  if (remote->sa.sa_family != u->local.sa.sa_family) {
    return TORC_ERR_INVALID;
  }
  int n = try_send(u, remote, bytes);
  if (n == UV_ECONNREFUSED || n == UV_EHOSTUNREACH) {
    n = try_send(u, remote, bytes); /* that was told of an earlier datagram, to anybody */
  }
  if (n == UV_EAGAIN) {
    return queue(u, remote, bytes);
  }
  if (n < 0) {
    u->stats->failed++;
    return n == UV_EMSGSIZE ? TORC_ERR_SPACE : TORC_ERR_IO;
  }
  u->stats->datagrams_out++;
  u->stats->bytes_out += bytes.len;
  return 0;
}

/* ---- life ---- */

static void on_closed(uv_handle_t *h) {
  torc_udp *u = h->data;
  void (*closed)(void *ctx) = u->closed;
  void *ctx = u->closed_ctx;
  free(u);
  if (closed != NULL) {
    closed(ctx);
  }
}

void torc_udp_close(torc_udp *u, void (*closed)(void *ctx), void *ctx) {
  u->is_closing = true;
  u->closed = closed;
  u->closed_ctx = ctx;
  uv_close((uv_handle_t *)&u->udp, on_closed);
}

void torc_udp_set_reading(torc_udp *u, bool on) {
  if (on) {
    (void)uv_udp_recv_start(&u->udp, on_alloc, on_recv); /* did so before */
  } else {
    (void)uv_udp_recv_stop(&u->udp);
  }
}

static int set_up(torc_udp *u) {
  int on = 1;
  int size = TORC_UDP_SOCKET_BUFFER;
  int len = (int)sizeof u->local;
  bool is_v6 = u->local.sa.sa_family == AF_INET6;
  uv_os_fd_t fd;
  if (uv_fileno((uv_handle_t *)&u->udp, &fd) != 0 ||
      uv_udp_getsockname(&u->udp, &u->local.sa, &len) != 0 ||
      setsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_RECVERR : IP_RECVERR, &on,
                 sizeof on) != 0) {
    return TORC_ERR_IO;
  }
  u->fd = fd;
  /* Bursts of fragments; the kernel may give less. */
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return uv_udp_recv_start(&u->udp, on_alloc, on_recv) == 0 ? 0 : TORC_ERR_IO;
}

int torc_udp_open(torc_udp **out, uv_loop_t *loop, const torc_sock *local, uint8_t *read_buf,
                  const torc_udp_events *events, torc_udp_stats *stats) {
  torc_udp *u = calloc(1, sizeof *u);
  if (u == NULL) {
    return TORC_ERR_NOMEM;
  }
  unsigned family = local->sa.sa_family;
  if (uv_udp_init_ex(loop, &u->udp, family | UV_UDP_RECVMMSG) != 0) {
    free(u);
    return TORC_ERR_IO;
  }
  u->udp.data = u;
  u->local = *local;
  u->read_buf = read_buf;
  u->events = *events;
  u->stats = stats;
  int uv = uv_udp_bind(&u->udp, &local->sa, family == AF_INET6 ? UV_UDP_IPV6ONLY : 0);
  int rc = uv == 0 ? set_up(u) : uv == UV_EADDRINUSE ? TORC_ERR_EXISTS : TORC_ERR_IO;
  if (rc != 0) {
    torc_udp_close(u, NULL, NULL);
    return rc;
  }
  *out = u;
  return 0;
}
