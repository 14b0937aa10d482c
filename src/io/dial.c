/* Dialling: names, several addresses a short time apart, the first authenticated connection wins.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/net_impl.h"

typedef struct dial_connect { /* freed by its callback */
  uv_connect_t req;
} dial_connect;

static void try_next(torc_dial *d);

void torc_dial_free(torc_dial *d) {
  torc_net *net = d->net;
  if (d->is_over && d->is_resolving) {
    return; /* the resolver's callback comes back here */
  }
  torc_list_remove(&d->all);
  torc_list_init(&d->all);
  torc_timer_stop(&net->timers, &d->stagger);
  torc_timer_stop(&net->timers, &d->deadline);
  while (!torc_list_empty(&d->conns)) {
    torc_conn *c = TORC_CONTAINER_OF(torc_list_pop_front(&d->conns), torc_conn, siblings);
    torc_list_init(&c->siblings);
    c->dial = NULL;
    torc_conn_end(c, TORC_ERR_CLOSED);
  }
  d->is_over = true;
  if (d->is_resolving) {
    (void)uv_cancel((uv_req_t *)&d->resolve);
    return;
  }
  free(d);
}

static void dial_failed(torc_dial *d, int rc) {
  torc_net *net = d->net;
  torc_token token = d->token;
  TORC_LOG(net->log, TORC_LOG_DEBUG, "io:dial_failed", TORC_F_U64("token", token),
           TORC_F_ERR("why", rc));
  torc_dial_free(d);
  torc_net_tell_failure(net, token, rc);
}

void torc_dial_won(torc_dial *d, torc_conn *c) {
  torc_list_remove(&c->siblings);
  torc_list_init(&c->siblings);
  torc_dial_free(d);
}

/* Nothing under way and nothing left to try: failed for good. */
static void settle(torc_dial *d) {
  if (!d->is_over && !d->is_resolving && d->next_addr == d->num_addrs &&
      torc_list_empty(&d->conns)) {
    dial_failed(d, d->rc == 0 ? TORC_ERR_IO : d->rc);
  }
}

void torc_dial_attempt_ended(torc_dial *d, torc_conn *c, int rc) {
  (void)c;
  d->rc = rc;
  if (d->next_addr < d->num_addrs) {
    try_next(d);
  } else {
    settle(d);
  }
}

static void on_connected(uv_connect_t *req, int status) {
  torc_conn *c = req->data;
  torc_net *net = c->link.net;
  free(TORC_CONTAINER_OF(req, dial_connect, req));
  if (c->state != TORC_CONN_CONNECTING) {
    return; /* closed meanwhile */
  }
  int rc = status < 0 ? TORC_ERR_IO : torc_conn_begin(c, true);
  if (rc != 0) {
    char text[TORC_SOCK_TEXT];
    torc_sock_text(&c->link.remote, text);
    TORC_LOG(net->log, TORC_LOG_DEBUG, "io:connect_failed", TORC_F_STR("remote", text),
             TORC_F_STR("why", status < 0 ? uv_strerror(status) : "no memory"));
    torc_conn_end(c, rc);
  }
  net->events.turn(net->events.ctx);
}

static int attempt(torc_dial *d, const torc_sock *addr) {
  torc_net *net = d->net;
  torc_conn *c = torc_conn_new(net);
  dial_connect *r = calloc(1, sizeof *r);
  if (c == NULL || r == NULL) {
    free(r);
    if (c != NULL) {
      torc_conn_end(c, TORC_ERR_NOMEM);
    }
    return TORC_ERR_NOMEM;
  }
  net->stats.dialled++;
  c->link.remote = *addr;
  r->req.data = c;
  if (uv_tcp_connect(&r->req, &c->tcp, &addr->sa, on_connected) != 0) {
    free(r);
    torc_conn_end(c, TORC_ERR_IO);
    return TORC_ERR_IO;
  }
  c->dial = d;
  torc_list_push_back(&d->conns, &c->siblings);
  return 0;
}

/* Starts one more attempt; addresses that fail on the spot are passed over. */
static void try_next(torc_dial *d) {
  torc_net *net = d->net;
  while (d->next_addr < d->num_addrs) {
    const torc_sock *addr = &d->addrs[d->next_addr];
    d->next_addr++;
    int rc = attempt(d, addr);
    if (rc == 0) {
      break;
    }
    d->rc = rc;
  }
  if (d->next_addr < d->num_addrs) {
    torc_net_arm(net, &d->stagger, torc_time_add(torc_net_now(), net->limits.stagger));
  } else {
    torc_timer_stop(&net->timers, &d->stagger);
  }
  settle(d);
}

static void on_stagger(torc_timer *t, torc_time now) {
  (void)now;
  try_next(TORC_CONTAINER_OF(t, torc_dial, stagger));
}

static void on_deadline(torc_timer *t, torc_time now) {
  (void)now;
  dial_failed(TORC_CONTAINER_OF(t, torc_dial, deadline), TORC_ERR_TIMEOUT);
}

static torc_dial *dial_new(torc_net *net, torc_token token, const torc_id *expected) {
  torc_dial *d = calloc(1, sizeof *d);
  if (d == NULL) {
    net->stats.no_memory++;
    torc_net_tell_failure(net, token, TORC_ERR_NOMEM);
    return NULL;
  }
  d->net = net;
  d->token = token;
  d->expected = *expected;
  torc_list_init(&d->conns);
  torc_timer_init(&d->stagger, on_stagger);
  torc_timer_init(&d->deadline, on_deadline);
  torc_list_push_back(&net->dials, &d->all);
  torc_net_arm(net, &d->deadline, torc_time_add(torc_net_now(), net->limits.dial));
  return d;
}

static void add_addr(torc_dial *d, const torc_sock *addr) {
  if (d->num_addrs < TORC_NET_DIAL_ADDRS_MAX && torc_sock_is_usable(addr)) {
    d->addrs[d->num_addrs] = *addr;
    d->num_addrs++;
  }
}

/* The families take turns, the resolver's first choice first. */
static void add_resolved(torc_dial *d, const struct addrinfo *list) {
  int first = list == NULL ? AF_UNSPEC : list->ai_family;
  const struct addrinfo *next[2] = {list, list};
  bool is_left = list != NULL;
  while (is_left && d->num_addrs < TORC_NET_DIAL_ADDRS_MAX) {
    is_left = false;
    for (size_t i = 0; i < 2; i++) {
      while (next[i] != NULL && (next[i]->ai_family == first) != (i == 0)) {
        next[i] = next[i]->ai_next;
      }
      torc_sock a;
      if (next[i] == NULL || next[i]->ai_addrlen > sizeof a) {
        next[i] = NULL;
        continue;
      }
      memset(&a, 0, sizeof a);
      memcpy(&a, next[i]->ai_addr, next[i]->ai_addrlen);
      add_addr(d, &a);
      next[i] = next[i]->ai_next;
      is_left = true;
    }
  }
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list) {
  torc_dial *d = req->data;
  torc_net *net = d->net;
  d->is_resolving = false;
  net->num_handles--;
  if (d->is_over) {
    uv_freeaddrinfo(list);
    free(d);
    return;
  }
  if (status == 0) {
    add_resolved(d, list);
  }
  uv_freeaddrinfo(list);
  if (d->num_addrs == 0) {
    d->rc = TORC_ERR_NOTFOUND;
  }
  try_next(d);
  net->events.turn(net->events.ctx);
}

void torc_dial_start(torc_net *net, torc_token token, const torc_id *expected,
                     const torc_sock *addrs, size_t num_addrs) {
  torc_dial *d = dial_new(net, token, expected);
  if (d == NULL) {
    return;
  }
  d->rc = TORC_ERR_INVALID;
  for (size_t i = 0; i < num_addrs; i++) {
    add_addr(d, &addrs[i]);
  }
  try_next(d);
}

/* [GAP-138] TLS straight away, without ICE; without an expected peer-id any peer of the overlay
 * will do. */
void torc_net_open(torc_net *net, torc_token token, const torc_endpoint *endpoint) {
  torc_sock addr;
  if (torc_sock_literal(endpoint->host, endpoint->port, &addr) == 0) {
    torc_dial_start(net, token, &endpoint->peer, &addr, 1);
    return;
  }
  torc_dial *d = dial_new(net, token, &endpoint->peer);
  if (d == NULL) {
    return;
  }
  char port[8];
  snprintf(port, sizeof port, "%u", (unsigned)endpoint->port);
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  d->resolve.data = d;
  if (uv_getaddrinfo(net->loop, &d->resolve, on_resolved, endpoint->host, port, &hints) != 0) {
    dial_failed(d, TORC_ERR_NOTFOUND);
    return;
  }
  d->is_resolving = true;
  net->num_handles++;
}
