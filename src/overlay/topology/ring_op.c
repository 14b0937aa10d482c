/* Operations under way at the host: one record per cookie, so that a late answer finds what it
 * belongs to or nothing. SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "overlay/topology/ring.h"

#define RELEASE_SLACK 4u /* spare elements that are not worth giving back */

int torc_ring_reserve(torc_topology *t, void **array, size_t *cap, size_t num, size_t size,
                      size_t max) {
  size_t want = *cap + *cap / 4 + 4;
  void *grown;
  if (num < *cap) {
    return 0;
  }
  if (num >= max) {
    return TORC_ERR_LIMIT;
  }
  if (want > max) {
    want = max;
  }
  grown = torc_realloc(t->host->mem, *array, want * size);
  if (grown == NULL) {
    return TORC_ERR_NOMEM;
  }
  *array = grown;
  *cap = want;
  return 0;
}

void torc_ring_release(torc_topology *t, void **array, size_t *cap, size_t num, size_t size) {
  void *less;
  if (num == 0) {
    torc_free(t->host->mem, *array);
    *array = NULL;
    *cap = 0;
  } else if (num + RELEASE_SLACK < *cap) {
    less = torc_realloc(t->host->mem, *array, num * size);
    if (less != NULL) {
      *array = less;
      *cap = num;
    }
  }
}

static void ops_release(torc_topology *t) {
  void *array = t->ops;
  if (t->num_ops == 0) {
    torc_ring_release(t, &array, &t->cap_ops, t->num_ops, sizeof(torc_ring_op));
    t->ops = array;
  }
}

static int op_new(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *peer,
                  torc_ring_op **out) {
  void *array = t->ops;
  torc_ring_op *op;
  int rc = torc_ring_reserve(t, &array, &t->cap_ops, t->num_ops, sizeof(torc_ring_op),
                             TORC_RING_OPS_MAX);
  t->ops = array;
  if (rc != 0) {
    t->host->stats->ops_refused++;
    return rc;
  }
  op = &t->ops[t->num_ops];
  t->num_ops++;
  *op = (torc_ring_op){.cookie = ++t->last_cookie, .kind = kind, .arg = arg, .peer = *peer};
  *out = op;
  return 0;
}

bool torc_ring_op_take(torc_topology *t, torc_token cookie, torc_ring_op *out) {
  for (size_t i = 0; i < t->num_ops; i++) {
    if (t->ops[i].cookie == cookie) {
      *out = t->ops[i];
      t->num_ops--;
      t->ops[i] = t->ops[t->num_ops];
      ops_release(t);
      return true;
    }
  }
  return false;
}

void torc_ring_ops_clear(torc_topology *t) {
  t->num_ops = 0;
  ops_release(t);
}

/* The host refused the call at once: nothing will be answered. */
static int op_started(torc_topology *t, torc_token cookie, int rc) {
  torc_ring_op dropped;
  if (rc != 0) {
    (void)torc_ring_op_take(t, cookie, &dropped);
  }
  return rc;
}

int torc_ring_ping(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *target,
                   const torc_id *via) {
  torc_ring_op *op;
  torc_token cookie;
  int rc = op_new(t, kind, arg, target, &op);
  if (rc != 0) {
    return rc;
  }
  cookie = op->cookie;
  rc = t->host->ops->ping(t->host->ctx, target, via, cookie);
  return op_started(t, cookie, rc);
}

int torc_ring_connect(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *target,
                      bool is_exact, const torc_id *via) {
  torc_ring_op *op;
  torc_token cookie;
  int rc = op_new(t, kind, arg, target, &op);
  if (rc != 0) {
    return rc;
  }
  cookie = op->cookie;
  rc = t->host->ops->connect(t->host->ctx, target, is_exact, via, cookie);
  return op_started(t, cookie, rc);
}

int torc_ring_request(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *peer,
                      torc_method method, torc_slice payload) {
  torc_ring_op *op;
  torc_token cookie;
  int rc = op_new(t, kind, arg, peer, &op);
  if (rc != 0) {
    return rc;
  }
  cookie = op->cookie;
  rc = t->host->ops->request(t->host->ctx, peer, method, payload, cookie);
  return op_started(t, cookie, rc);
}

int torc_ring_transfer(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *peer,
                       const torc_id *from, const torc_id *to) {
  torc_ring_op *op;
  torc_token cookie;
  int rc = op_new(t, kind, arg, peer, &op);
  if (rc != 0) {
    return rc;
  }
  cookie = op->cookie;
  op->from = *from;
  op->to = *to;
  rc = t->host->ops->transfer(t->host->ctx, peer, from, to, cookie);
  return op_started(t, cookie, rc);
}

int torc_ring_ping_bootstrap(torc_topology *t) {
  torc_id target = torc_id_next(&t->self);
  torc_ring_op *op;
  torc_token cookie;
  int rc = op_new(t, TORC_OP_BOOT_PING, 0, &target, &op);
  if (rc != 0) {
    return rc;
  }
  cookie = op->cookie;
  rc = t->host->ops->ping_bootstrap(t->host->ctx, &target, cookie);
  return op_started(t, cookie, rc);
}

int torc_ring_notice(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *peer,
                     torc_method method) {
  uint8_t buf[TORC_ID_LEN + 8];
  torc_wr wr;
  torc_peer_notice notice = {.peer = t->self}; /* [JOI-06] [LEA-03]: no DHT-specific data */
  int rc;
  torc_wr_init(&wr, buf, sizeof buf);
  rc = torc_peer_notice_put(&wr, &notice);
  if (rc != 0) {
    return rc;
  }
  return torc_ring_request(t, kind, arg, peer, method, torc_wr_slice(&wr));
}
