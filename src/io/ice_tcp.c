/* TCP connections of ICE before TLS: STUN in frames of RFC 4571, then TLS as it is [ICE-16]
 * [GAP-48].
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/net_impl.h"
#include "wire/stun.h"

#define FRAME_HEADER 2u
#define OUT_MAX 16384u /* bytes of frames that a connection does not take */

typedef struct ice_connect { /* freed by its callback */
  uv_connect_t req;
} ice_connect;

torc_conn *torc_ice_tcp_of(const torc_net *net, torc_ice_socket socket) {
  return torc_map_get(&net->ice_conns, &socket);
}

/* From here on it is named to the agent, and watched. */
static int open_frames(torc_conn *c) {
  torc_net *net = c->link.net;
  torc_ice_socket socket = net->last_socket + 1;
  int len = (int)sizeof c->local;
  memset(&c->local, 0, sizeof c->local);
  if (uv_tcp_getsockname(&c->tcp, &c->local.sa, &len) != 0) {
    return TORC_ERR_IO;
  }
  torc_sock_normalise(&c->local);
  c->socket = socket;
  int rc = torc_map_put(&net->ice_conns, c);
  if (rc != 0) {
    c->socket = 0;
    return rc;
  }
  net->last_socket = socket;
  c->state = TORC_CONN_ICE;
  c->tls.out.max = OUT_MAX;
  torc_net_arm(net, &c->timer, torc_time_add(torc_net_now(), net->limits.connect));
  (void)uv_tcp_nodelay(&c->tcp, 1);
  torc_conn_set_reading(c, true);
  return 0;
}

int torc_ice_tcp_adopt(torc_conn *c) {
  return open_frames(c);
}

void torc_ice_tcp_forget(torc_conn *c) {
  torc_net *net = c->link.net;
  torc_token token = c->ice_token;
  torc_ice_socket socket = c->socket;
  c->ice_token = 0;
  if (socket != 0) {
    (void)torc_map_del(&net->ice_conns, &socket);
    c->socket = 0;
    torc_ice_socket_closed(net->ice, socket, torc_net_now());
  } else if (token != 0) {
    torc_addr none = {0};
    torc_ice_tcp_connected(net->ice, token, TORC_ERR_IO, 0, &none, torc_net_now());
  }
}

static void on_connected(uv_connect_t *req, int status) {
  torc_conn *c = req->data;
  torc_net *net = c->link.net;
  free(TORC_CONTAINER_OF(req, ice_connect, req));
  if (c->state != TORC_CONN_CONNECTING) {
    return; /* closed meanwhile */
  }
  int rc = status < 0 ? TORC_ERR_IO : open_frames(c);
  if (rc != 0) {
    torc_conn_end(c, rc);
  } else {
    torc_addr local;
    torc_token token = c->ice_token;
    c->ice_token = 0;
    torc_sock_to_addr(&c->local, &local);
    torc_ice_tcp_connected(net->ice, token, 0, c->socket, &local, torc_net_now());
  }
  torc_net_ice_pump(net);
  net->events.turn(net->events.ctx);
}

/* The base's address, any port: the port of a listener is taken. */
static int bind_local(torc_conn *c, const torc_addr *base) {
  torc_sock local;
  torc_addr_to_sock(base, &local);
  torc_sock_set_port(&local, 0);
  return uv_tcp_bind(&c->tcp, &local.sa, 0) == 0 ? 0 : TORC_ERR_IO;
}

static int start(torc_conn *c, const torc_ice_output *o) {
  ice_connect *r = calloc(1, sizeof *r);
  torc_addr_to_sock(&o->remote, &c->link.remote);
  int rc = r == NULL ? TORC_ERR_NOMEM : bind_local(c, &o->local);
  if (rc == 0) {
    r->req.data = c;
    rc = uv_tcp_connect(&r->req, &c->tcp, &c->link.remote.sa, on_connected) == 0 ? 0 : TORC_ERR_IO;
  }
  if (rc != 0) {
    free(r);
  }
  return rc;
}

void torc_ice_tcp_connect(torc_net *net, const torc_ice_output *o) {
  torc_conn *c = torc_conn_new(net);
  if (c == NULL) {
    torc_addr none = {0};
    torc_ice_tcp_connected(net->ice, o->token, TORC_ERR_NOMEM, 0, &none, torc_net_now());
    return;
  }
  net->stats.dialled++;
  c->ice_token = o->token;
  torc_net_arm(net, &c->timer, torc_time_add(torc_net_now(), net->limits.connect));
  int rc = start(c, o);
  if (rc != 0) {
    torc_conn_end(c, rc);
  }
}

void torc_ice_tcp_close(torc_net *net, const torc_ice_output *o) {
  if (o->socket != 0) {
    torc_conn *c = torc_ice_tcp_of(net, o->socket);
    if (c != NULL && c->pending == NULL) {
      torc_conn_end(c, TORC_ERR_CLOSED);
    }
    return;
  }
  for (torc_list *node = net->conns.next; node != &net->conns; node = node->next) {
    torc_conn *c = TORC_CONTAINER_OF(node, torc_conn, all);
    if (c->ice_token == o->token && o->token != 0) {
      c->ice_token = 0;
      torc_conn_end(c, TORC_ERR_CLOSED);
      return;
    }
  }
}

/* Once TLS has begun in this direction no frame may follow. */
void torc_ice_tcp_send(torc_net *net, const torc_ice_output *o) {
  torc_conn *c = torc_ice_tcp_of(net, o->socket);
  if (c == NULL || (c->state != TORC_CONN_ICE &&
                    (c->state != TORC_CONN_HANDSHAKE || c->has_tls || c->is_client))) {
    return;
  }
  uint8_t head[FRAME_HEADER] = {(uint8_t)(o->bytes.len >> 8), (uint8_t)(o->bytes.len & 0xff)};
  int rc = torc_buf_append(&c->tls.out, torc_slice_of(head, sizeof head));
  if (rc == 0) {
    rc = torc_buf_append(&c->tls.out, o->bytes);
  }
  if (rc != 0) {
    torc_conn_end(c, rc);
    return;
  }
  torc_conn_flush(c);
}

/* One frame off c->partial; false: none is whole. */
static bool next_frame(torc_conn *c, uint8_t out[TORC_NET_STUN_MAX], size_t *len) {
  torc_slice have = torc_buf_slice(&c->partial);
  if (have.len < FRAME_HEADER) {
    return false;
  }
  *len = (size_t)have.p[0] << 8 | have.p[1];
  if (have.len < FRAME_HEADER + *len) {
    return false;
  }
  memcpy(out, have.p + FRAME_HEADER, *len);
  torc_buf_consume(&c->partial, FRAME_HEADER + *len);
  return true;
}

static void use_frame(torc_conn *c, torc_slice frame) {
  torc_net *net = c->link.net;
  torc_ice_from from = {.socket = c->socket, .is_tcp = true};
  torc_sock_to_addr(&c->local, &from.local);
  torc_sock_to_addr(&c->link.remote, &from.remote);
  int rc = torc_ice_input(net->ice, &from, frame, torc_net_now());
  if (rc != 0) { /* nobody's: who connects has to say at once whom it means */
    net->stats.ice_strangers++;
    torc_conn_end(c, TORC_ERR_DENIED);
    return;
  }
  torc_net_ice_pump(net);
}

static bool is_before_tls(const torc_conn *c) {
  return c->state == TORC_CONN_ICE || (c->state == TORC_CONN_HANDSHAKE && !c->has_tls);
}

/* The first byte of a frame's length is 0..7 here, that of a TLS record 20 or more. */
static bool is_tls_next(const torc_conn *c) {
  return c->partial.len > 0 && torc_buf_slice(&c->partial).p[0] > (TORC_NET_STUN_MAX >> 8);
}

static bool may_be_stun(size_t len) {
  return len >= TORC_STUN_HEADER_LEN && len <= TORC_NET_STUN_MAX;
}

static void use_frames(torc_conn *c) {
  uint8_t frame[TORC_NET_STUN_MAX];
  size_t len = 0;
  while (is_before_tls(c) && !is_tls_next(c)) {
    torc_slice have = torc_buf_slice(&c->partial);
    if (have.len >= FRAME_HEADER && !may_be_stun((size_t)have.p[0] << 8 | have.p[1])) {
      c->link.net->stats.bad_frame++;
      torc_conn_end(c, TORC_ERR_FORMAT);
      return;
    }
    if (!next_frame(c, frame, &len)) {
      return;
    }
    use_frame(c, torc_slice_of(frame, len));
  }
}

void torc_ice_tcp_input(torc_conn *c, torc_slice bytes) {
  int rc = torc_conn_keep(c, bytes);
  if (rc != 0) {
    torc_conn_end(c, rc);
    return;
  }
  use_frames(c);
  if (c->state == TORC_CONN_ICE && is_tls_next(c)) { /* the other side knows the pair first */
    torc_conn_set_reading(c, false);
  } else if (c->state == TORC_CONN_HANDSHAKE && is_tls_next(c)) {
    torc_conn_begin_tls(c);
  }
}
