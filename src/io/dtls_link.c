/* Links of datagrams: DTLS on the pair that ICE selected [TLS-02] [TLS-09] [GAP-82].
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/net_impl.h"
#include "wire/header.h"
#include "wire/stun.h"

#define IP_HEADER 20u
#define IPV6_HEADER 40u
#define UDP_HEADER 8u
#define PROBES 4u /* Binding requests while ICMP says that nobody is there, */
#define PROBE_EVERY TORC_MS(100)
#define PROBES_REFUSED 3u          /* of which so many must have been refused */
#define HANDSHAKE_RECORDS_BELOW 23 /* content types 20..22; 23 is application data */

static const torc_net_link_ops ops;

static torc_dlink *dlink_of(torc_net_link *l) {
  return TORC_CONTAINER_OF(l, torc_dlink, link);
}

void torc_path_key_set(torc_path_key *k, torc_ice_socket socket, const torc_addr *remote) {
  memset(k, 0, sizeof *k);
  k->socket = socket;
  k->family = remote->family;
  memcpy(k->addr, remote->addr, remote->family == 1 ? 4 : 16);
  k->port = remote->port;
}

/* ---- the end ---- */

static void release(torc_dlink *d) {
  torc_net *net = d->link.net;
  torc_list_remove(&d->all);
  torc_net_link_clear(&d->link);
  torc_dtls_free(d->dtls);
  free(d);
  net->num_dlinks--;
}

/* Those that have ended are freed where nothing of theirs is on the stack. */
void torc_dlinks_sweep(torc_net *net) {
  torc_list *node = net->dlinks_over.next;
  while (node != &net->dlinks_over) {
    torc_dlink *d = TORC_CONTAINER_OF(node, torc_dlink, all);
    node = node->next;
    if (!d->link.is_told_up) { /* its `down` has been told */
      release(d);
    }
  }
}

/* The path belongs to whoever had it before. */
static void leave_path(torc_dlink *d) {
  torc_net *net = d->link.net;
  torc_dlink *newest = torc_map_get(&net->paths, &d->path);
  if (newest == d && d->older == NULL) {
    (void)torc_map_del(&net->paths, &d->path);
  } else if (newest == d) {
    if (torc_map_put(&net->paths, d->older) != 0) { /* takes its place: needs no memory */
      net->stats.no_memory++;
    }
  } else if (newest != NULL && newest->older == d) {
    newest->older = NULL;
  }
  d->older = NULL;
}

void torc_dlink_end(torc_dlink *d, int rc) {
  torc_net *net = d->link.net;
  torc_pending *p = d->pending;
  if (d->is_over) {
    return;
  }
  d->is_over = true;
  d->pending = NULL;
  torc_net_link_forget(&d->link, rc);
  leave_path(d);
  torc_timer_stop(&net->timers, &d->timer);
  torc_timer_stop(&net->timers, &d->probe);
  if (d->ice != 0) {
    torc_ice_close(net->ice, d->ice);
    d->ice = 0;
  }
  torc_list_remove(&d->all);
  torc_list_push_back(&net->dlinks_over, &d->all);
  if (p != NULL) {
    p->dlink = NULL;
    torc_pending_fail(p, rc);
  }
}

/* ---- up ---- */

static void local_address(const torc_dlink *d, uint8_t out[18]) {
  torc_sock local;
  torc_addr_to_sock(&d->local, &local);
  torc_sock_wire(&local, out);
}

static int go_up(torc_dlink *d) {
  torc_pending *p = d->pending;
  int rc = torc_net_link_admit(&d->link);
  if (rc != 0) {
    return rc;
  }
  /* The DTLS server is ready first. */
  torc_link_info info = {.cert = torc_cert_retain(torc_dtls_cert(d->dtls)),
                         .token = p->token,
                         .is_dialled = !p->is_client,
                         .by_connect = true,
                         .is_requester = p->is_requester,
                         .mtu = torc_dtls_mtu(d->dtls)};
  local_address(d, info.local_addr);
  d->link.peer = p->peer;
  d->link.dialable = p->dialable;
  d->link.is_by_connect = true;
  d->pending = NULL;
  p->dlink = NULL;
  torc_pending_free(p);
  if (d->older != NULL) { /* [GAP-74] it has served until now */
    torc_dlink *older = d->older;
    d->older = NULL;
    torc_dlink_end(older, TORC_ERR_CLOSED);
  }
  torc_net_link_tell(&d->link, &info);
  return 0;
}

/* After every call on d->dtls. */
static void settle(torc_dlink *d) {
  torc_net *net = d->link.net;
  if (d->is_over) {
    return;
  }
  torc_dtls_state state = torc_dtls_get_state(d->dtls);
  int rc = state == TORC_DTLS_UP && d->pending != NULL ? go_up(d) : 0;
  if (state == TORC_DTLS_ENDED) {
    rc = torc_dtls_rc(d->dtls) == 0 ? TORC_ERR_CLOSED : torc_dtls_rc(d->dtls);
    TORC_LOG(net->log, TORC_LOG_DEBUG, "io:dtls_ended", TORC_F_ID("peer", &d->link.peer),
             TORC_F_STR("why", torc_dtls_why(d->dtls)), TORC_F_ERR("rc", rc));
  }
  if (rc != 0) {
    torc_dlink_end(d, rc);
    return;
  }
  torc_net_link_recount(&d->link);
  torc_net_arm(net, &d->timer, torc_dtls_deadline(d->dtls));
}

/* ---- what DTLS wants ---- */

static int on_datagram(void *ctx, torc_slice bytes) {
  torc_dlink *d = ctx;
  return torc_net_datagram_send(d->link.net, d->path.socket, &d->remote, bytes);
}

/* on datagram links what is no message is dropped. */
static void on_message(void *ctx, torc_slice bytes) {
  torc_dlink *d = ctx;
  torc_net *net = d->link.net;
  uint32_t length = 0;
  if (d->is_over || d->link.id == 0) {
    return;
  }
  if (torc_frame_peek(bytes, &length) != 0 || length != bytes.len) {
    net->stats.bad_frame++;
    return;
  }
  net->stats.messages_in++;
  net->stats.bytes_in += bytes.len;
  net->events.message(net->events.ctx, d->link.id, bytes);
}

static bool on_admits(void *ctx, const torc_cert *cert) { /* [ICE-06] [GAP-72] */
  torc_dlink *d = ctx;
  torc_net *net = d->link.net;
  for (size_t i = 0; i < cert->num_peers; i++) {
    if (torc_id_eq(&cert->peers[i], &net->self)) {
      net->stats.self_links++;
      return false;
    }
  }
  if (d->pending != NULL && !torc_fingerprint_matches(&d->pending->fingerprint, cert)) {
    net->stats.bad_fingerprint++;
    return false;
  }
  return true;
}

static void on_mtu(void *ctx, uint32_t mtu) {
  torc_dlink *d = ctx;
  d->link.mtu = mtu;
  d->link.is_mtu_new = true; /* told at the next flush */
  torc_net_link_touch(&d->link);
}

/* Its place among the handshakes is another's: it ends when its time comes, which is now. */
static void on_evicted(void *ctx) {
  torc_dlink *d = ctx;
  torc_net_arm(d->link.net, &d->timer, torc_net_now());
}

static void on_timer(torc_timer *t, torc_time now) {
  torc_dlink *d = TORC_CONTAINER_OF(t, torc_dlink, timer);
  torc_dtls_tick(d->dtls, now);
  settle(d);
  torc_net_link_touch(&d->link); /* less may be waiting now */
}

/* ---- a peer that has vanished ---- */

/* [ICE-08] Every peer answers: with the process the socket is gone, and ICMP says so at once. But
 * ICMP can be forged, so it only makes us ask. */
static void send_probe(torc_dlink *d) {
  torc_net *net = d->link.net;
  uint8_t buf[64];
  uint8_t txid[TORC_STUN_TXID_LEN];
  torc_stun_wr w;
  torc_wr wr;
  const torc_crypto *crypto = torc_pki_crypto(net->pki);
  if (crypto->random(crypto->ctx, txid, sizeof txid) != 0) {
    return;
  }
  torc_wr_init(&wr, buf, sizeof buf);
  torc_stun_begin(&w, &wr, TORC_STUN_REQUEST, TORC_STUN_BINDING, txid);
  torc_stun_put_fingerprint(&w);
  if (wr.err == 0 &&
      torc_net_datagram_send(net, d->path.socket, &d->remote, torc_wr_slice(&wr)) != 0) {
    net->stats.datagrams_refused++;
  }
  d->num_probes++;
  torc_net_arm(net, &d->probe, torc_time_add(torc_net_now(), PROBE_EVERY));
}

static void on_probe(torc_timer *t, torc_time now) {
  torc_dlink *d = TORC_CONTAINER_OF(t, torc_dlink, probe);
  torc_net *net = d->link.net;
  (void)now;
  if (d->num_probes < PROBES) {
    send_probe(d);
  } else if (d->num_refused >= PROBES_REFUSED) {
    net->stats.peers_vanished++;
    torc_dlink_end(d, TORC_ERR_CLOSED);
  } else {
    d->num_probes = 0;
    d->num_refused = 0;
  }
}

void torc_dlink_unreachable(torc_dlink *d) {
  d->num_refused++;
  if (d->num_probes == 0) {
    send_probe(d);
  }
}

void torc_dlink_heard(torc_dlink *d) {
  if (d->num_probes > 0) {
    d->num_probes = 0;
    d->num_refused = 0;
    torc_timer_stop(&d->link.net->timers, &d->probe);
  }
}

/* ---- life ---- */

/* Two CONNECTs, one of each side, that met on one path: two handshakes there would disturb each
 * other, so both sides go on with that of the larger peer-id, as GAP-74 has it. */
static bool yields(const torc_net *net, const torc_pending *fresh, const torc_pending *old) {
  return fresh->is_requester != old->is_requester &&
         (torc_id_cmp(&net->self, &fresh->peer) > 0) == old->is_requester;
}

int torc_dlink_open(torc_net *net, torc_pending *p, const torc_ice_pair_info *pair) {
  torc_dlink *d = calloc(1, sizeof *d);
  if (d == NULL) {
    net->stats.no_memory++;
    return TORC_ERR_NOMEM;
  }
  torc_net_link_init(&d->link, net, &ops);
  torc_timer_init(&d->timer, on_timer);
  torc_timer_init(&d->probe, on_probe);
  torc_path_key_set(&d->path, pair->socket, &pair->remote);
  d->remote = pair->remote;
  d->local = pair->local;
  torc_addr_to_sock(&pair->remote, &d->link.remote);
  torc_dtls_config cfg = {.is_client = p->is_client,
                          .expected = p->peer,
                          .remote = d->link.remote,
                          .rto = pair->rtt > 0 ? 2 * pair->rtt + TORC_MS(50) : 0,
                          .events = {.ctx = d,
                                     .datagram = on_datagram,
                                     .message = on_message,
                                     .admits = on_admits,
                                     .mtu = on_mtu,
                                     .evicted = on_evicted}};
  torc_dlink *older = torc_map_get(&net->paths, &d->path);
  if (older != NULL && older->pending != NULL && yields(net, p, older->pending)) {
    net->stats.paths_crossed++;
    free(d);
    return TORC_ERR_EXISTS;
  }
  if (older != NULL && older->pending != NULL) {
    net->stats.paths_crossed++;
    torc_dlink_end(older, TORC_ERR_EXISTS);
    older = torc_map_get(&net->paths, &d->path);
  }
  d->older = older;
  int rc = torc_map_put(&net->paths, d);
  if (rc != 0) {
    free(d);
    return rc;
  }
  net->num_dlinks++;
  torc_list_push_back(&net->dlinks, &d->all);
  d->pending = p;
  p->dlink = d;
  d->ice = p->ice; /* consent goes on [RFC 7675] */
  p->ice = 0;
  d->link.peer = p->peer;
  rc = torc_dtls_new(&d->dtls, net->gate, &cfg, torc_net_now());
  if (rc != 0) {
    torc_dlink_end(d, rc);
    return 0; /* told already */
  }
  torc_net_relay_bind(net, pair->socket, &pair->remote);
  torc_early_replay(net, d);
  settle(d);
  return 0;
}

void torc_dlink_input(torc_dlink *d, torc_slice bytes) {
  /* While a new connection on the same path is being made, data are of the one before. */
  bool is_data = bytes.p[0] >= HANDSHAKE_RECORDS_BELOW;
  if (d->older != NULL && d->pending != NULL && is_data) {
    d = d->older;
  }
  torc_dtls_input(d->dtls, bytes, torc_net_now());
  settle(d);
  torc_net_link_touch(&d->link);
}

void torc_dlink_too_long(torc_dlink *d, uint32_t mtu) {
  uint32_t headers = (d->path.family == 2 ? IPV6_HEADER : IP_HEADER) + UDP_HEADER;
  if (mtu > headers) {
    torc_dtls_path(d->dtls, mtu - headers, torc_net_now());
    settle(d);
  }
}

torc_dlink *torc_dlink_of_path(const torc_net *net, torc_ice_socket socket,
                               const torc_addr *remote) {
  torc_path_key key;
  torc_path_key_set(&key, socket, remote);
  return torc_map_get(&net->paths, &key);
}

static void end_where(torc_net *net, torc_ice_id ice, torc_ice_socket socket, int rc) {
  for (torc_list *node = net->dlinks.next; node != &net->dlinks;) {
    torc_dlink *d = TORC_CONTAINER_OF(node, torc_dlink, all);
    node = node->next;
    if ((ice != 0 && d->ice == ice) || (socket != 0 && d->path.socket == socket)) {
      torc_dlink_end(d, rc);
    }
  }
}

void torc_dlinks_end_ice(torc_net *net, torc_ice_id ice, int rc) {
  end_where(net, ice, 0, rc);
}

void torc_dlinks_end_socket(torc_net *net, torc_ice_socket socket, int rc) {
  end_where(net, 0, socket, rc);
}

void torc_dlinks_clear(torc_net *net) {
  torc_list *node = NULL;
  while ((node = torc_list_pop_front(&net->dlinks)) != NULL) {
    torc_dlink *d = TORC_CONTAINER_OF(node, torc_dlink, all);
    torc_list_init(node);
    d->is_over = true;
    torc_list_push_back(&net->dlinks_over, node);
  }
  while ((node = torc_list_pop_front(&net->dlinks_over)) != NULL) {
    torc_list_init(node);
    release(TORC_CONTAINER_OF(node, torc_dlink, all));
  }
}

/* ---- as a link ---- */

static void link_send(torc_net_link *l, torc_slice head, torc_slice body) {
  torc_dlink *d = dlink_of(l);
  torc_net *net = l->net;
  if (d->is_over) {
    return;
  }
  /* What is dropped here is as if lost on the way: requests are sent again end to end [GAP-47]. */
  int rc = torc_dtls_send(d->dtls, head, body, torc_net_now());
  if (rc == 0) {
    net->stats.messages_out++;
    net->stats.bytes_out += head.len + body.len;
  } else {
    net->stats.datagrams_refused++;
  }
  settle(d);
  torc_net_link_touch(l);
}

static void link_flush(torc_net_link *l) {
  (void)l; /* nothing is kept back but by the link's rate */
}

static void link_drain(torc_net_link *l) {
  torc_dlink *d = dlink_of(l);
  if (!d->is_over) {
    torc_dtls_close(d->dtls);
    torc_dlink_end(d, TORC_ERR_CLOSED);
  }
}

static void link_set_reading(torc_net_link *l, bool on) {
  (void)l; /* the sockets are stopped, which all share */
  (void)on;
}

static size_t link_queued(const torc_net_link *l) {
  const torc_dlink *d = dlink_of((torc_net_link *)(uintptr_t)l);
  return d->is_over ? 0 : torc_dtls_queued(d->dtls);
}

static const torc_net_link_ops ops = {.kind = TORC_LINK_DTLS,
                                      .send = link_send,
                                      .flush = link_flush,
                                      .drain = link_drain,
                                      .set_reading = link_set_reading,
                                      .queued = link_queued};
