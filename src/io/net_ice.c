/* Runs the ICE agent of all links [ICE-01] [GAP-82].
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "io/net_impl.h"

static void on_ice_timer(torc_timer *t, torc_time now) {
  torc_net *net = TORC_CONTAINER_OF(t, torc_net, ice_timer);
  torc_ice_tick(net->ice, now);
  torc_net_ice_pump(net);
}

int torc_net_ice_init(torc_net *net, uint64_t seed) {
  torc_map_init(&net->ice_conns, torc_mem_libc(), offsetof(torc_conn, socket),
                sizeof(torc_ice_socket), seed);
  torc_timer_init(&net->ice_timer, on_ice_timer);
  net->last_socket = 1; /* the listeners' */
  int rc = torc_stun_openssl_new(&net->stun);
  if (rc != 0) {
    return rc;
  }
  torc_ice_config cfg = {.crypto = torc_stun_openssl_table(net->stun),
                         .log = net->log,
                         .max_sessions = net->limits.pending_max + net->limits.links_max,
                         .allows_loopback = true /* who may is looked at per CONNECT */};
  return torc_ice_new(&net->ice, &cfg, torc_net_now());
}

void torc_net_ice_clear(torc_net *net) {
  torc_ice_free(net->ice);
  torc_stun_openssl_free(net->stun);
  torc_map_clear(&net->ice_conns);
}

static void secure_udp(torc_net *net, torc_pending *p, const torc_ice_pair_info *pair) {
  net->stats.pairs_udp++;
  int rc = torc_dlink_open(net, p, pair);
  if (rc != 0) {
    torc_pending_fail(p, rc);
  }
}

static void secure_tcp(torc_net *net, torc_pending *p, torc_conn *c) {
  if (c == NULL) {
    torc_pending_fail(p, TORC_ERR_CLOSED);
    return;
  }
  net->stats.pairs_tcp++;
  p->conn = c;
  c->pending = p;
  int rc = torc_conn_begin(c, p->is_client);
  if (rc == 0) {
    torc_ice_tcp_input(c, torc_slice_of(NULL, 0)); /* what was read ahead */
  } else {
    torc_conn_end(c, rc);
  }
}

/* [ICE-05] [ICE-34] [TLS-09] The security handshake follows on the selected pair. */
static void on_selected(torc_net *net, const torc_ice_output *o) {
  torc_pending *p = torc_pending_of_ice(net, o->id);
  if (p == NULL || p->state != TORC_PENDING_CHECKING) {
    return;
  }
  p->state = TORC_PENDING_SECURING;
  if (o->pair.transport == TORC_CAND_UDP) {
    secure_udp(net, p, &o->pair);
  } else {
    secure_tcp(net, p, torc_ice_tcp_of(net, o->pair.socket));
  }
}

static void on_failed(torc_net *net, const torc_ice_output *o) {
  torc_pending *p = torc_pending_of_ice(net, o->id);
  net->stats.ice_failures++;
  if (p != NULL) {
    torc_pending_fail(p, o->rc);
  }
}

/* A datagram that does not leave is lost, and a check is repeated. */
static void send_check(torc_net *net, const torc_ice_output *o) {
  if (torc_ice_tcp_of(net, o->socket) != NULL) {
    torc_ice_tcp_send(net, o);
  } else if (torc_net_datagram_send(net, o->socket, &o->remote, o->bytes) != 0) {
    net->stats.datagrams_refused++;
  }
}

static void carry_out(torc_net *net, const torc_ice_output *o) {
  switch (o->kind) {
    case TORC_ICE_OUT_SEND:
      send_check(net, o);
      break;
    case TORC_ICE_OUT_CONNECT_TCP:
      torc_ice_tcp_connect(net, o);
      break;
    case TORC_ICE_OUT_CLOSE_TCP:
      torc_ice_tcp_close(net, o);
      break;
    case TORC_ICE_OUT_RESOLVE:
      torc_local_name_ask(net, o->token, o->host);
      break;
    case TORC_ICE_OUT_SELECTED:
      on_selected(net, o);
      break;
    case TORC_ICE_OUT_FAILED:
      on_failed(net, o);
      break;
    case TORC_ICE_OUT_CONSENT_LOST: /* [GAP-77] nothing may be sent there any more */
      net->stats.consents_lost++;
      torc_dlinks_end_ice(net, o->id, TORC_ERR_TIMEOUT);
      break;
  }
}

void torc_net_ice_pump(torc_net *net) {
  torc_ice_output o;
  if (net->is_ice_running || net->is_shutting) {
    return; /* whoever runs it goes on until nothing is left */
  }
  net->is_ice_running = true;
  while (torc_ice_poll(net->ice, &o)) {
    carry_out(net, &o);
  }
  net->is_ice_running = false;
  torc_net_arm(net, &net->ice_timer, torc_ice_deadline(net->ice));
}
