/* What this side offers in CONNECT [CON-10] [CON-11] [ICE-15..17].
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "io/net_impl.h"

#define ACTIVE_PORT 9      /* port of a candidate that only dials (RFC 6544 4.5) */
#define LISTENER_SOCKET 1u /* the agent only needs a name for where connections come in */

void torc_addr_to_sock(const torc_addr *a, torc_sock *out) {
  memset(out, 0, sizeof *out);
  if (a->family == 1) {
    out->v4.sin_family = AF_INET;
    memcpy(&out->v4.sin_addr, a->addr, 4);
  } else if (a->family == 2) {
    out->v6.sin6_family = AF_INET6;
    memcpy(&out->v6.sin6_addr, a->addr, 16);
  } else {
    return;
  }
  torc_sock_set_port(out, a->port);
  torc_sock_normalise(out);
}

void torc_sock_to_addr(const torc_sock *a, torc_addr *out) {
  memset(out, 0, sizeof *out);
  if (a->sa.sa_family == AF_INET6) {
    out->family = 2;
    memcpy(out->addr, &a->v6.sin6_addr, 16);
  } else {
    out->family = 1;
    memcpy(out->addr, &a->v4.sin_addr, 4);
  }
  out->port = torc_sock_port(a);
}

/* Our own loopback is open only to those who live there: an offer must not make us dial a local
 * service. */
bool torc_net_may_loopback(const torc_net *net) {
  for (size_t i = 0; i < net->num_listeners; i++) {
    if (torc_sock_is_loopback(&net->listeners[i]->addr)) {
      return true;
    }
  }
  for (const torc_list *node = net->conns.next; node != &net->conns; node = node->next) {
    const torc_conn *c = TORC_CONTAINER_OF((torc_list *)(uintptr_t)node, torc_conn, all);
    if (c->state == TORC_CONN_UP && torc_sock_is_loopback(&c->link.remote)) {
      return true;
    }
  }
  return false;
}

/* Where connections are taken: advertised addresses instead of the own ones. */
static size_t listening(const torc_net *net, torc_sock *out, size_t max) {
  size_t num = 0;
  for (size_t i = 0; i < net->num_advertised && num < max; i++) {
    out[num] = net->advertised[i];
    num++;
  }
  for (size_t i = 0; net->num_advertised == 0 && i < net->num_listeners && num < max; i++) {
    const torc_sock *a = &net->listeners[i]->addr;
    if (torc_sock_is_wildcard(a)) {
      num += torc_sock_interfaces(a->sa.sa_family, torc_sock_port(a), out + num, max - num);
    } else if (torc_sock_is_usable(a)) {
      out[num] = *a;
      num++;
    }
  }
  return num;
}

/* From where this side can dial: each family's first address will do, the system chooses. */
static size_t dialling(const torc_net *net, torc_sock *out, size_t max) {
  size_t num = 0;
  if (net->num_listeners > 0 && torc_sock_is_loopback(&net->listeners[0]->addr)) {
    out[0] = net->listeners[0]->addr;
    torc_sock_set_port(&out[0], ACTIVE_PORT);
    return 1;
  }
  num = torc_sock_interfaces(AF_INET, ACTIVE_PORT, out, 1);
  return num + torc_sock_interfaces(AF_INET6, ACTIVE_PORT, out + num, max - num > 0 ? 1 : 0);
}

static void add(const torc_net *net, torc_ice_local *out, size_t *num,
                const torc_ice_local *local) {
  if (*num < TORC_NET_LOCALS_MAX && net->policy == TORC_OFFER_ALL) { /* they are all of TCP */
    out[*num] = *local;
    out[*num].preference = (uint16_t)(8191u - *num);
    (*num)++;
  }
}

static torc_ice_local tcp_host(const torc_sock *a, torc_cand_tcptype tcptype) {
  torc_ice_local l = {.type = TORC_CAND_HOST, .transport = TORC_CAND_TCP, .tcptype = tcptype};
  torc_sock_to_addr(a, &l.addr);
  l.base = l.addr;
  l.socket = tcptype == TORC_TCPTYPE_PASSIVE ? LISTENER_SOCKET : 0;
  return l;
}

/* Told once, until there are addresses again: every CONNECT fails meanwhile. */
static int no_own_address(torc_net *net) {
  net->stats.no_own_address++;
  if (net->policy == TORC_OFFER_RELAY && !net->has_no_address) {
    net->has_no_address = true;
    TORC_LOG(net->log, TORC_LOG_WARN, "io:no_own_address",
             TORC_F_STR("fix",
                        "no relayed address to offer in CONNECT yet: the TURN server has "
                        "not answered, or not as it should"));
  }
  if (!net->has_no_address) {
    net->has_no_address = true;
    TORC_LOG(net->log, TORC_LOG_ERROR, "io:no_own_address",
             TORC_F_STR("fix", net->num_listeners > 0
                                   ? "no address to offer in CONNECT: listen on an address of this "
                                     "machine instead of a wildcard, or advertise one; in a "
                                     "sandbox allow AF_NETLINK, so that interfaces can be listed"
                                   : "no address to offer in CONNECT: no interface is up, or a "
                                     "sandbox does not allow AF_NETLINK to list them"));
  }
  return TORC_ERR_CONFIG;
}

void torc_net_set_policy(torc_net *net, torc_candidate_policy policy) {
  net->policy = policy;
}

/* What is told to others, as the policy has it. */
static bool is_offered(const torc_net *net, const torc_ice_local *l) {
  switch (net->policy) {
    case TORC_OFFER_RELAY:
      return l->type == TORC_CAND_RELAY;
    case TORC_OFFER_UDP:
      return l->transport == TORC_CAND_UDP;
    case TORC_OFFER_ALL:
      break;
  }
  return true;
}

int torc_net_locals(torc_net *net, torc_ice_local out[TORC_NET_LOCALS_MAX], size_t *num) {
  torc_sock own[TORC_NET_ADVERTISE_MAX];
  size_t num_own = listening(net, own, TORC_ARRAY_LEN(own));
  *num = 0;
  for (size_t i = 0; i < num_own; i++) {
    torc_ice_local l = tcp_host(&own[i], TORC_TCPTYPE_PASSIVE);
    add(net, out, num, &l);
  }
  num_own = dialling(net, own, TORC_ARRAY_LEN(own));
  for (size_t i = 0; i < num_own; i++) {
    torc_ice_local l = tcp_host(&own[i], TORC_TCPTYPE_ACTIVE);
    add(net, out, num, &l);
  }
  torc_net_udp_refresh(net);
  const torc_ice_local *gathered = NULL;
  size_t num_gathered = torc_gather_locals(net->gather, &gathered);
  for (size_t i = 0; i < num_gathered; i++) {
    if (*num < TORC_NET_LOCALS_MAX && is_offered(net, &gathered[i])) {
      out[*num] = gathered[i];
      (*num)++;
    }
  }
  if (*num == 0) {
    return no_own_address(net);
  }
  net->has_no_address = false;
  return 0;
}
