/* The sockets of ice_end: datagrams, framed connections of ICE, connections to TURN servers.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NETLAB_ICE_END_NET_H
#define TORC_NETLAB_ICE_END_NET_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "ice/ice.h"

#define NET_SOCKETS 128
#define NET_FRAME 4096u

typedef enum net_kind {
  NET_FREE,
  NET_UDP,
  NET_LISTENER,
  NET_DIALLING, /* for ICE */
  NET_FRAMED,   /* of ICE: RFC 4571 */
  NET_TURN_DIALLING,
  NET_TURN_SECURING,
  NET_TURN
} net_kind;

typedef struct net_socket {
  net_kind kind;
  int fd;
  torc_addr local, remote;
  torc_token token; /* of ICE, or of the gatherer */
  SSL *ssl;
  uint8_t in[NET_FRAME];
  size_t num_in;
} net_socket;

/* What happens; all are called from net_wait. */
typedef struct net_events {
  void (*datagram)(void *ctx, net_socket *s, const torc_addr *from, torc_slice bytes);
  void (*frame)(void *ctx, net_socket *s, torc_slice bytes);
  void (*dialled)(void *ctx, net_socket *s, int rc); /* rc != 0: it is freed behind the call */
  void (*turn_opened)(void *ctx, net_socket *s, int rc);
  void (*turn_input)(void *ctx, net_socket *s, torc_slice bytes);
  void (*closed)(void *ctx, net_socket *s); /* freed behind the call */
} net_events;

typedef struct net {
  net_socket sockets[NET_SOCKETS];
  const net_events *events;
  void *ctx;
  SSL_CTX *tls;
} net;

torc_time net_now(void);
torc_ice_socket net_id(const net *n, const net_socket *s);
net_socket *net_of_id(net *n, torc_ice_socket id);
net_socket *net_of_token(net *n, net_kind kind, torc_token token);
/* NULL: cannot. */
net_socket *net_open_udp(net *n, const torc_addr *local);
net_socket *net_open_listener(net *n, const torc_addr *local);
/* From an address of `local`, and with shares_port its port, to `remote`; dialled follows. */
net_socket *net_dial(net *n, const torc_addr *local, bool shares_port, const torc_addr *remote);
net_socket *net_dial_turn(net *n, const torc_addr *remote, bool is_tls, const char *host);
/* To `remote` in a datagram, in a frame, or as it is to a TURN server. */
void net_send(net *n, net_socket *s, const torc_addr *remote, torc_slice bytes);
void net_close(net_socket *s);
/* Waits for what comes until `deadline` at most. `extra_fd`: true when it can be read. */
bool net_wait(net *n, torc_time deadline, int extra_fd);

#endif
