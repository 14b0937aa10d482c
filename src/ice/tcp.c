/* TCP connections of sessions, RFC 6544: opened for checks, accepted with checks, given away when
 * selected [ICE-16]. SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "ice/ice_impl.h"

#define ACCEPTED_MAX 16u /* of one session, opened ones included */

torc_ice_conn *torc_ice_conn_find(const torc_ice *ice, torc_ice_socket socket) {
  return torc_map_get(&ice->conns, &socket);
}

static torc_ice_conn *conn_new(torc_ice *ice, torc_ice_id id) {
  torc_ice_conn *c = torc_calloc(ice->mem, 1, sizeof *c);
  if (c == NULL) {
    ice->stats.no_memory++;
    return NULL;
  }
  c->id = id;
  torc_list_init(&c->node.link);
  torc_list_init(&c->link);
  return c;
}

static void leave(torc_ice_conn *c) {
  torc_ice_session *s = c->session;
  if (s == NULL) {
    return;
  }
  if (c->state == TORC_ICE_CONN_OPEN) {
    (void)torc_map_del(&s->ice->conns, &c->socket);
  } else {
    (void)torc_map_del(&s->ice->connecting, &c->token);
  }
  if (c->pair != NULL) {
    c->pair->conn = NULL;
    c->pair = NULL;
  }
  torc_list_remove(&c->link);
  s->num_conns--;
  c->session = NULL;
}

void torc_ice_conn_forget(torc_ice_conn *c) {
  const torc_mem *mem = c->session->ice->mem;
  leave(c);
  torc_list_remove(&c->node.link);
  torc_free(mem, c);
}

void torc_ice_conn_close(torc_ice_conn *c) {
  torc_ice *ice = c->session->ice;
  bool is_untold = c->node.kind == TORC_ICE_NODE_CONNECT && !torc_list_empty(&c->node.link);
  if (is_untold) { /* nobody was asked to connect yet */
    torc_ice_conn_forget(c);
    return;
  }
  leave(c);
  c->state = TORC_ICE_CONN_CLOSING;
  torc_ice_queue(ice, &c->node, TORC_ICE_NODE_CLOSE);
}

void torc_ice_conn_refuse(torc_ice *ice, torc_ice_id id, torc_ice_socket socket) {
  torc_ice_conn *c = conn_new(ice, id);
  ice->stats.tcp_refused++;
  if (c != NULL) {
    c->socket = socket;
    c->state = TORC_ICE_CONN_CLOSING;
    torc_ice_queue(ice, &c->node, TORC_ICE_NODE_CLOSE);
  }
}

int torc_ice_conn_open(torc_ice_session *s, torc_ice_pair *p) {
  torc_ice *ice = s->ice;
  const torc_ice_local *l = &s->owns[p->own].l;
  torc_ice_conn *c = conn_new(ice, s->id);
  if (c == NULL) {
    return TORC_ERR_NOMEM;
  }
  c->token = ice->next_token++;
  c->is_so = l->tcptype == TORC_TCPTYPE_SO;
  c->local = l->base;
  c->remote = s->others[p->other].addr;
  if (torc_map_put(&ice->connecting, c) != 0) {
    ice->stats.no_memory++;
    torc_free(ice->mem, c);
    return TORC_ERR_NOMEM;
  }
  c->session = s;
  c->pair = p;
  p->conn = c;
  s->num_conns++;
  torc_list_push_back(&s->conns, &c->link);
  ice->stats.tcp_connects++;
  torc_ice_queue(ice, &c->node, TORC_ICE_NODE_CONNECT);
  return 0;
}

torc_ice_conn *torc_ice_conn_accepted(torc_ice_session *s, const torc_ice_from *from) {
  torc_ice *ice = s->ice;
  torc_ice_conn *c;
  if (s->num_conns >= ACCEPTED_MAX) {
    torc_ice_conn_refuse(ice, s->id, from->socket);
    return NULL;
  }
  c = conn_new(ice, s->id);
  if (c == NULL) {
    return NULL;
  }
  c->socket = from->socket;
  c->state = TORC_ICE_CONN_OPEN;
  c->local = from->local;
  c->remote = from->remote;
  if (torc_map_put(&ice->conns, c) != 0) {
    ice->stats.no_memory++;
    torc_free(ice->mem, c);
    return NULL;
  }
  c->session = s;
  s->num_conns++;
  torc_list_push_back(&s->conns, &c->link);
  ice->stats.tcp_accepted++;
  return c;
}

void torc_ice_tcp_connected(torc_ice *ice, torc_token token, int rc, torc_ice_socket socket,
                            const torc_addr *local, torc_time now) {
  torc_ice_conn *c = torc_map_get(&ice->connecting, &token);
  torc_ice_session *s;
  torc_ice_pair *p;
  torc_ice_advance(ice, now);
  if (c == NULL) { /* it was no longer wanted */
    if (rc == 0) {
      torc_ice_conn_refuse(ice, 0, socket);
    }
    return;
  }
  s = c->session;
  p = c->pair;
  (void)torc_map_del(&ice->connecting, &token);
  c->state = TORC_ICE_CONN_OPEN;
  c->socket = socket;
  if (rc == 0 && torc_ice_conn_find(ice, socket) == NULL && torc_map_put(&ice->conns, c) == 0) {
    c->local = *local;
    rc = torc_ice_check_start(s, p);
    if (rc != 0) {
      torc_ice_pair_fail(s, p, rc);
    }
  } else {
    ice->stats.tcp_failed++;
    if (rc == 0) {
      torc_ice_conn_refuse(ice, s->id, socket);
      rc = TORC_ERR_NOMEM;
    }
    c->socket = 0;
    torc_ice_conn_forget(c);
    torc_ice_pair_fail(s, p, rc);
  }
  torc_ice_pump(ice);
}
