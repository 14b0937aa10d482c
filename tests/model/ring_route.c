/* How PING and CONNECT find their way, what they do there, and what else a node has under way
 * [src/overlay/node/route.c, connect.c, bootstrap.c].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ring_world.h"

#define TTL 16

/* ---- routing ---- */

typedef enum walk_end { WALK_LOST, WALK_HERE } walk_end;

/* torc_route_step of every peer on the way. */
static walk_end walk(unsigned from, const torc_id *route, size_t num, unsigned *at,
                     bool *is_exact) {
  *at = from;
  *is_exact = false;
  for (unsigned ttl = 0; ttl < TTL; ttl++) {
    const model_peer *p = &model.peers[*at];
    unsigned next = NOBODY;
    if (!p->is_alive) {
      return WALK_LOST;
    }
    while (num > 0 && next == NOBODY) {
      unsigned exact = model_index_of(&route[0]);
      torc_id hop;
      if (exact == *at) {
        *is_exact = true;
        route++;
        num--;
      } else if (exact != NOBODY && model.links[*at][exact]) {
        next = exact;
      } else if (model_ops->is_responsible(p->topo, &route[0])) {
        *is_exact = false;
        route++;
        num--;
      } else if (model_ops->next_hop(p->topo, &route[0], &hop) &&
                 model.links[*at][model_index_of(&hop)]) {
        next = model_index_of(&hop);
      } else {
        return WALK_LOST;
      }
    }
    if (num == 0) {
      return WALK_HERE;
    }
    if (!model.links[next][*at]) {
      return WALK_LOST; /* the other end is gone, or has closed it */
    }
    *at = next;
  }
  return WALK_LOST;
}

static walk_end walk_op(const model_op *op, unsigned *at, bool *is_exact) {
  torc_id route[2];
  size_t num = 0;
  if (op->via != NOBODY && op->via != model_index_of(&op->target)) {
    route[num++] = model_id_of(op->via);
  }
  route[num++] = op->target;
  return walk(op->peer, route, num, at, is_exact);
}

static bool vouches(unsigned who, bool is_exact) {
  torc_topology_state s = model.peers[who].state;
  return s == TORC_TOPO_JOINED || !is_exact || s == TORC_TOPO_JOINING;
}

unsigned model_lowest_joined(unsigned not_me) {
  for (unsigned i = 0; i < PEERS; i++) {
    const model_peer *p = &model.peers[i];
    if (i != not_me && p->is_alive && !p->is_leaving && p->state == TORC_TOPO_JOINED) {
      return i;
    }
  }
  return NOBODY;
}

static bool is_lowest_seeker(unsigned me) {
  for (unsigned i = 0; i < me; i++) {
    if (model.peers[i].is_alive && !model.peers[i].is_leaving) {
      return false;
    }
  }
  return true;
}

bool model_op_is_due(const model_op *op) {
  unsigned at;
  bool is_exact;
  if (op->kind == MODEL_PING || op->kind == MODEL_CONNECT) {
    return op->due <= model.now || walk_op(op, &at, &is_exact) == WALK_HERE;
  }
  if (op->kind == MODEL_BOOT_PING) {
    return true;
  }
  if (op->kind == MODEL_REBOOT) {
    return op->due <= model.now &&
           (model_lowest_joined(op->peer) != NOBODY || is_lowest_seeker(op->peer));
  }
  return op->due <= model.now;
}

static void ping_ends(const model_op *op) {
  model_peer *p = &model.peers[op->peer];
  unsigned at;
  bool is_exact;
  torc_id id;
  if (walk_op(op, &at, &is_exact) != WALK_HERE) {
    SAY("n%u: PING is not answered", op->peer);
    model_ops->on_ping_done(p->topo, op->cookie, TORC_ERR_TIMEOUT, &torc_id_zero);
    return;
  }
  id = model_id_of(at);
  SAY("n%u: PING is answered by n%u", op->peer, at);
  model_ops->on_ping_done(p->topo, op->cookie, vouches(at, is_exact) ? 0 : TORC_ERR_REFUSED, &id);
}

static void connect_ends(const model_op *op) {
  model_peer *p = &model.peers[op->peer];
  unsigned at;
  bool is_exact;
  int rc = 0;
  torc_id id = op->target;
  if (walk_op(op, &at, &is_exact) != WALK_HERE) {
    rc = TORC_ERR_TIMEOUT;
  } else if (at == op->peer || (op->is_exact && at != model_index_of(&op->target))) {
    rc = TORC_ERR_NOTFOUND;
  } else if (model.peers[at].is_leaving) {
    rc = TORC_ERR_REFUSED;
  } else {
    id = model_id_of(at);
  }
  SAY("n%u: CONNECT to n%u ends with %d", op->peer, model_index_of(&id), rc);
  if (rc == 0 && (op->is_exact || !model.links[op->peer][at])) {
    model_link_up(op->peer, at);
  }
  model_ops->on_connect_done(p->topo, op->cookie, rc, &id);
}

static void boot_ping_ends(const model_op *op) {
  model_peer *p = &model.peers[op->peer];
  unsigned through = model_lowest_joined(op->peer);
  model_op ping = *op;
  unsigned at;
  bool is_exact;
  torc_id id;
  if (through != NOBODY && !model.links[op->peer][through]) {
    model_link_up(op->peer, through);
  }
  ping.via = (uint8_t)through;
  if (through == NOBODY || walk_op(&ping, &at, &is_exact) != WALK_HERE) {
    model_ops->on_ping_done(p->topo, op->cookie, TORC_ERR_TIMEOUT, &torc_id_zero);
    return;
  }
  p->learned_via = (uint8_t)through;
  id = model_id_of(at);
  SAY("n%u: PING through bootstrap peer n%u is answered by n%u", op->peer, through, at);
  model_ops->on_ping_done(p->topo, op->cookie, 0, &id);
}

void model_start_through(unsigned me, unsigned bootstrap) {
  model_peer *p = &model.peers[me];
  torc_id id;
  if (bootstrap == NOBODY) {
    SAY("n%u founds a ring", me);
    if (model_ops->start(p->topo, NULL) != 0) {
      model_broken("start");
    }
    return;
  }
  SAY("n%u joins through n%u", me, bootstrap);
  id = model_id_of(bootstrap);
  if (!model.links[me][bootstrap] || !model.links[bootstrap][me]) {
    model_link_up(me, bootstrap);
  }
  if (p->state == TORC_TOPO_JOINED) {
    return;
  }
  if (model_ops->start(p->topo, &id) != 0) {
    model_broken("start");
  }
}

void model_do_op(size_t i) {
  model_op op = model.ops[i];
  model_peer *p = &model.peers[op.peer];
  model_remove_op(i);
  switch ((model_op_kind)op.kind) {
    case MODEL_PING:
      ping_ends(&op);
      break;
    case MODEL_CONNECT:
      connect_ends(&op);
      break;
    case MODEL_LINKED: {
      unsigned other = model_index_of(&op.target);
      model_ops->on_connect_done(p->topo, op.cookie,
                                 model.links[op.peer][other] ? 0 : TORC_ERR_CLOSED, &op.target);
      break;
    }
    case MODEL_TRANSFERRED:
      SAY("n%u: transfer ends with %d", op.peer, op.rc);
      model_ops->on_transfer_done(p->topo, op.cookie, op.rc);
      break;
    case MODEL_RETRY:
      model_retry_copy(op.slot);
      break;
    case MODEL_BOOT_PING:
      boot_ping_ends(&op);
      break;
    case MODEL_REBOOT:
      model_start_through(op.peer, model_lowest_joined(op.peer));
      break;
  }
}
