/* SPDX-License-Identifier: Apache-2.0 */
#include "ice_end_tcp.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/slice.h"
#include "ice/stun_tx.h"
#include "ice_end_net.h"

#define LIMIT TORC_SEC(2)

static bool is_ready(int fd, short events, torc_time until) {
  struct pollfd p = {.fd = fd, .events = events};
  torc_time now = net_now();
  return now < until && poll(&p, 1, (int)((until - now) / 1000 + 1)) > 0 &&
         (p.revents & (POLLERR | POLLHUP)) == 0;
}

/* The server's one answer, which fits a segment. */
static torc_addr ask(int fd, const torc_addr *server, const torc_stun_crypto *crypto,
                     torc_time until) {
  torc_stun_request req = {.method = TORC_STUN_BINDING, .is_reliable = true};
  torc_addr mapped = {0};
  uint8_t room[TORC_STUN_REQUEST_ROOM];
  uint8_t in[512];
  torc_stun_output out;
  torc_stun_msg m;
  torc_stun_tx tx;
  ssize_t num;
  req.path.remote = *server;
  if (torc_stun_tx_start(&tx, crypto, &req, room, sizeof room, net_now()) != 0 ||
      !torc_stun_tx_poll(&tx, &out) ||
      send(fd, out.bytes.p, out.bytes.len, MSG_NOSIGNAL) != (ssize_t)out.bytes.len ||
      !is_ready(fd, POLLIN, until)) {
    return mapped;
  }
  num = recv(fd, in, sizeof in, 0);
  if (num > 0 && torc_stun_decode(&m, torc_slice_of(in, (size_t)num)) == 0 &&
      torc_stun_tx_input(&tx, &req.path, &m, net_now()) == 0 && torc_stun_tx_poll(&tx, &out) &&
      out.result.rc == 0) {
    (void)!torc_stun_get_addr(&m, TORC_STUN_KNOWN_XOR_MAPPED_ADDRESS, &mapped);
  }
  return mapped;
}

torc_addr ice_end_tcp_mapped(net *n, const torc_addr *listener, const torc_addr *server,
                             const torc_stun_crypto *crypto) {
  torc_time until = net_now() + LIMIT;
  net_socket *s = net_dial(n, listener, true, server);
  torc_addr none = {0};
  int fd = s != NULL ? dup(s->fd) : -1; /* it stays open, and with it the mapping */
  if (s != NULL) {
    net_close(s);
  }
  if (fd < 0 || !is_ready(fd, POLLOUT, until)) {
    return none;
  }
  return ask(fd, server, crypto, until);
}
