/* What the first ring holds goes to the second [D-19]: of what it answers for there, each peer
 * stores the elements, as their owners signed them, in the second ring. Who writes in one ring only
 * because his configuration is older is carried along. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/rings.h"

static void pump(torc_node *n);

static bool is_member(const torc_node *n) {
  return n->phase == TORC_PHASE_JOINED;
}

static void arm(torc_node *n, torc_time wait) {
  torc_timer_arm(&n->timers, &n->move->carry.timer, torc_time_add(n->now, wait));
}

static void begin_round(torc_node *n) {
  torc_carry *c = &n->move->carry;
  c->is_walking = true;
  c->is_again = false;
  c->in_resource = false;
  c->place = (torc_copy_place){.resource = n->self};
  pump(n);
}

/* The first ring is left when what it holds is in the second, or that has taken too long. */
static void leave_first(torc_node *n) {
  if (n->phase != TORC_PHASE_LEAVING && n->phase != TORC_PHASE_LEFT) {
    int rc = torc_core_leave(n, n->now);
    TORC_LOG(n->log, TORC_LOG_INFO, "node:leaves_first", TORC_F_ERR("why", rc));
  }
}

static void on_timer(torc_timer *t, torc_time now) {
  torc_migration *m = TORC_CONTAINER_OF(t, torc_migration, carry.timer);
  torc_node *n = m->n;
  torc_carry *c = &m->carry;
  if (n->store == NULL) { /* a client: nothing to carry */
    if (c->is_last && is_member(n->second)) {
      leave_first(n);
    } else if (c->is_last) {
      arm(n, TORC_NODE_CARRY_LOOK);
    }
    return;
  }
  if (c->is_last && is_member(n->second) && c->round_ends == 0) {
    c->round_ends = torc_time_add(now, TORC_NODE_CARRY_LAST);
  }
  if (c->is_last && c->round_ends != 0 && (now >= c->round_ends || !is_member(n))) {
    leave_first(n);
    return;
  }
  if (c->is_walking) {
    arm(n, TORC_NODE_CARRY_LOOK);
  } else if (is_member(n) && is_member(n->second)) {
    begin_round(n);
  } else {
    arm(n, TORC_NODE_CARRY_LOOK);
  }
}

static void round_over(torc_node *n) {
  torc_carry *c = &n->move->carry;
  c->is_walking = false;
  n->move->seen.rounds++;
  TORC_LOG(n->log, TORC_LOG_INFO, "node:carried", TORC_F_U64("elements", n->move->seen.carried),
           TORC_F_U64("refused", n->move->seen.refused),
           TORC_F_U64("failed", n->move->seen.failed));
  if (c->is_last && !c->is_again) {
    leave_first(n);
  } else if (c->is_again) {
    arm(n, TORC_NODE_CARRY_LOOK);
  } else {
    arm(n, TORC_NODE_CARRY_PERIOD / 2 + torc_rng_below(&n->rng, TORC_NODE_CARRY_PERIOD));
  }
}

static void on_stored(torc_node *second, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_node *n = ctx;
  torc_migration *m = n->move;
  (void)second;
  (void)cookie;
  m->carry.busy--;
  if (reply->rc != 0 || reply->code == TORC_CODE_NOT_FOUND ||
      reply->code == TORC_CODE_UNAVAILABLE) {
    m->seen.failed++;
  } else if (reply->code == TORC_CODE_OK) {
    m->seen.carried++;
  } else { /* 412: it has a newer one; 403: only its owner may store it */
    m->seen.refused++;
  }
  if (reply->rc != TORC_ERR_CLOSED && !m->carry.is_pumping) {
    pump(n);
  }
}

int torc_carry_store(torc_node *to, const torc_id *resource, torc_slice payload, torc_reply_fn done,
                     void *ctx, torc_token cookie) {
  torc_store_request sent;
  torc_store_type type;
  torc_rd types;
  uint8_t *bytes = NULL;
  int rc = torc_slice_dup(to->mem, payload, &bytes);
  if (rc != 0) {
    return rc;
  }
  rc = torc_store_request_decode(&sent, torc_slice_of(bytes, payload.len));
  torc_rd_init(&types, sent.types);
  while (rc == 0 && torc_store_type_next(&types, &type)) {
    size_t at = (size_t)(type.values.p - bytes) - sizeof(uint16_t) - sizeof(uint64_t);
    memset(bytes + at, 0, sizeof(uint64_t)); /* [STO-19] whatever it is there */
  }
  if (rc == 0) {
    torc_request r = {.method = TORC_METHOD_STORE,
                      .payload = torc_slice_of(bytes, payload.len),
                      .num_route = 1,
                      .done = done,
                      .ctx = ctx,
                      .cookie = cookie};
    r.route[0] = *resource;
    rc = torc_request_start(to, &r, NULL);
  }
  torc_free(to->mem, bytes);
  return rc;
}

static int send_element(void *ctx, const torc_id *resource, torc_slice payload) {
  torc_node *n = ctx;
  if (torc_carry_store(n->second, resource, payload, on_stored, n, 0) == 0) {
    n->move->carry.busy++;
  } else {
    n->move->seen.failed++;
  }
  return 0;
}

/* What was removed is not there any more: nothing to carry. */
static int skip_removal(void *ctx, const torc_id *resource, uint64_t xid, torc_slice contents,
                        torc_slice signature) {
  (void)ctx;
  (void)resource;
  (void)xid;
  (void)contents;
  (void)signature;
  return 0;
}

/* The next resource of the round. TORC_ERR_NOTFOUND: none is left. */
static int next_resource(torc_node *n) {
  torc_carry *c = &n->move->carry;
  torc_id at = c->place.resource;
  torc_id next;
  int rc = torc_store_next_resource(n->store, &at, &n->self, &n->self, &next);
  while (rc == 0 && !torc_route_responsible(n, &next)) {
    at = next;
    rc = torc_store_next_resource(n->store, &at, &n->self, &n->self, &next);
  }
  if (rc == 0) {
    c->place = (torc_copy_place){.resource = next, .payload_max = 1};
    c->in_resource = true;
  }
  return rc;
}

/* One element a message: the second ring may have a newer one of some. */
static void pump(torc_node *n) {
  torc_carry *c = &n->move->carry;
  bool is_possible = n->second != NULL && !n->second->is_freeing && is_member(n->second) &&
                     is_member(n) && !n->is_freeing;
  if (!is_possible) {
    if (c->is_walking && c->busy == 0) {
      c->is_walking = false;
      c->is_again = true;
      if (n->second != NULL && !n->second->is_freeing && !n->is_freeing) {
        arm(n, TORC_NODE_CARRY_LOOK);
      }
    }
    return;
  }
  c->is_pumping = true;
  int rc = c->is_walking ? 0 : TORC_ERR_NOTFOUND;
  while (rc == 0 && c->busy < TORC_NODE_CARRY_WINDOW) {
    rc = c->in_resource ? torc_store_copy_next(n->store, &c->place, torc_node_wall(n), send_element,
                                               skip_removal, n)
                        : TORC_ERR_NOTFOUND;
    if (rc != 0) {
      c->in_resource = false;
      rc = next_resource(n);
    }
  }
  c->is_pumping = false;
  if (rc != 0 && c->is_walking && c->busy == 0) {
    round_over(n);
  }
}

void torc_carry_written(torc_node *n, const torc_id *resource, torc_slice payload) {
  if (n->second == NULL || n->store == NULL || n->move->is_dropping || n->second->is_freeing ||
      !is_member(n->second)) {
    return;
  }
  if (n->move->carry.busy >= TORC_NODE_CARRY_WRITES) {
    n->move->carry.is_again = true;
    if (!n->move->carry.is_walking) {
      arm(n, TORC_NODE_CARRY_LOOK);
    }
    return;
  }
  (void)send_element(n, resource, payload);
}

void torc_carry_stage(torc_node *n) {
  if (n->second == NULL || n->move->is_dropping) {
    return;
  }
  torc_carry *c = &n->move->carry;
  c->is_last = n->move->stage == TORC_MIGRATION_NEW_ONLY;
  c->is_again = c->is_walking;
  if (!c->is_walking) {
    arm(n, TORC_NODE_CARRY_LOOK);
  }
}

void torc_carry_init(torc_node *n) {
  torc_timer_init(&n->move->carry.timer, on_timer);
}

void torc_carry_clear(torc_node *n) {
  n->move->carry.is_walking = false;
  torc_timer_stop(&n->timers, &n->move->carry.timer);
}
