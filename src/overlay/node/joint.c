/* Application calls of a node that moves from one ring to another [D-19]: a write goes to both
 * [MIG-03], all else to the second and, if that fails, to the first [MIG-04].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"
#include "overlay/node/rings.h"

enum { OLD = 0, NEW = 1 };

typedef struct joint joint;

typedef struct part { /* a call in one ring */
  torc_token token;   /* 0: none under way */
  joint *of;
  torc_out *outcome; /* its DONE, kept until the other part has ended too */
} part;

struct joint {
  torc_token token; /* as the application knows it */
  uint16_t method;
  uint8_t decides;     /* the ring whose outcome counts */
  bool asks_replicas;  /* FETCH: torc_node_fetch_replicas */
  bool reads_counters; /* REMOVE: the other ring's are read first, for it counts for itself */
  part parts[2];
  torc_out *spare; /* told if neither ring can say how it ended */
  torc_id resource;
  torc_fetch_item *items; /* in `room`, with their keys */
  size_t num_items;
  torc_type_id types[8]; /* FIND */
  size_t num_types;
  torc_id route[TORC_NODE_ROUTE_MAX];
  size_t num_route;
  unsigned flags;
  torc_tunnel_data data;
  uint8_t *room;
};

static torc_node *ring_at(torc_node *n, unsigned which) {
  return which == OLD ? n : n->second;
}

void torc_joints_init(torc_node *n, uint64_t seed) {
  torc_map_init(&n->move->parts, n->mem, offsetof(part, token), sizeof(torc_token), seed);
}

static void joint_free(torc_node *n, joint *j) {
  for (unsigned i = 0; i < 2; i++) {
    if (j->parts[i].token != 0) {
      (void)torc_map_del(&n->move->parts, &j->parts[i].token);
    }
    torc_out_free(n, j->parts[i].outcome);
  }
  torc_out_free(n, j->spare);
  torc_free(n->mem, j->room);
  torc_free(n->mem, j);
  n->move->num_joints--;
}

void torc_joints_clear(torc_node *n) {
  size_t it = 0;
  part *p = NULL;
  while ((p = torc_map_next(&n->move->parts, &it)) != NULL) {
    joint_free(n, p->of);
    it = 0;
  }
  torc_map_clear(&n->move->parts);
}

static joint *joint_new(torc_node *n, uint16_t method) {
  if (n->move->num_joints >= TORC_NODE_JOINTS_MAX) {
    return NULL;
  }
  joint *j = torc_calloc(n->mem, 1, sizeof *j);
  torc_out *spare = j == NULL ? NULL : torc_out_new(n, TORC_OUT_EVENT);
  if (spare == NULL) {
    torc_free(n->mem, j);
    return NULL;
  }
  n->move->num_joints++;
  j->spare = spare;
  j->token = torc_node_token(n);
  j->method = method;
  j->decides = n->move->stage == TORC_MIGRATION_FETCH_OLD ? OLD : NEW;
  j->parts[OLD].of = j;
  j->parts[NEW].of = j;
  return j;
}

static bool is_write(const joint *j) {
  return j->method == TORC_METHOD_STORE || j->method == TORC_METHOD_REMOVE;
}

/* ---- one ring's part ---- */

static int begin(torc_node *ring, joint *j, uint16_t method, torc_token *token) {
  switch (method) {
    case TORC_METHOD_FETCH:
      return j->asks_replicas
                 ? torc_app_fetch_replicas(ring, &j->resource, j->items, j->num_items, token)
                 : torc_app_fetch(ring, &j->resource, j->items, j->num_items, token);
    case TORC_METHOD_REMOVE:
      return torc_app_remove(ring, &j->resource, j->items, j->num_items, token);
    case TORC_METHOD_FIND:
      return torc_app_find(ring, &j->resource, j->types, j->num_types, token);
    case TORC_METHOD_PING:
      return torc_app_ping(ring, j->route, j->num_route, j->flags, token);
    case TORC_METHOD_CONNECT:
      return torc_app_connect(ring, j->route, j->num_route, token);
    case TORC_METHOD_TUNNEL:
    default:
      return torc_app_tunnel(ring, j->route, j->num_route, &j->data, token);
  }
}

/* The call in the ring has `token`: its end will be this part's. */
static int follow(torc_node *n, joint *j, unsigned which, torc_token token) {
  part *p = &j->parts[which];
  p->token = token;
  int rc = torc_map_put(&n->move->parts, p);
  if (rc != 0) { /* its DONE is told nobody */
    n->stats->no_memory++;
    p->token = 0;
  }
  return rc;
}

static int start(torc_node *n, joint *j, unsigned which, uint16_t method) {
  torc_token token = 0;
  torc_node *ring = ring_at(n, which);
  int rc = ring->is_freeing ? TORC_ERR_CLOSED : begin(ring, j, method, &token);
  return rc != 0 ? rc : follow(n, j, which, token);
}

/* ---- how a call ends ---- */

static int rc_of(const part *p) {
  return p->outcome == NULL ? TORC_ERR_CLOSED : p->outcome->o.event.done.rc;
}

/* The ring did not say no: it could not be asked. */
static bool is_unreached(const part *p) {
  int rc = rc_of(p);
  return rc == TORC_ERR_TIMEOUT || rc == TORC_ERR_CLOSED || rc == TORC_ERR_NOTFOUND ||
         rc == TORC_ERR_STATE;
}

/* Tells the application, with the outcome of the ring that decides, or, if that was not reached and
 * the other one took it, of that. */
static void finish(torc_node *n, joint *j) {
  part *chosen = &j->parts[j->decides];
  part *other = &j->parts[1 - j->decides];
  if (is_unreached(chosen) && rc_of(other) == 0) {
    n->move->seen.retried++;
    chosen = other;
  }
  chosen = chosen->outcome == NULL && other->outcome != NULL ? other : chosen;
  torc_out *o = chosen->outcome;
  chosen->outcome = NULL;
  if (o == NULL) {
    o = j->spare;
    j->spare = NULL;
    o->o.event.kind = TORC_EVENT_DONE;
    o->o.event.done.rc = TORC_ERR_CLOSED;
    o->o.event.done.responsible_ppb = UINT32_MAX;
    o->o.event.done.num_resources = UINT32_MAX;
  }
  o->o.event.token = j->token;
  joint_free(n, j);
  torc_out_push(n->phase == TORC_PHASE_LEFT ? n->second : n, o);
}

/* Whether the second ring's answer will do [MIG-04]: what was written before it took part may be in
 * the first one alone. */
static bool is_enough(const joint *j, const torc_done *d) {
  if (d->rc != 0) {
    return false;
  }
  if (j->method == TORC_METHOD_FIND) {
    for (size_t i = 0; i < d->num_found; i++) {
      if (!torc_id_eq(&d->found[i], &torc_id_zero)) {
        return true;
      }
    }
    return false;
  }
  if (j->method != TORC_METHOD_FETCH) {
    return true;
  }
  for (size_t i = 0; i < d->num_values; i++) {
    if (d->values[i].exists) {
      return true;
    }
  }
  return false;
}

/* The counters of the other ring have come: what is there goes under them. */
static bool remove_there(torc_node *n, joint *j, unsigned which, const torc_done *d) {
  bool has_any = false;
  j->reads_counters = false;
  for (size_t i = 0; i < j->num_items; i++) {
    j->items[i].generation = 0;
  }
  for (size_t k = 0; d->rc == 0 && k < d->num_values; k++) {
    has_any = has_any || d->values[k].exists;
    for (size_t i = 0; i < j->num_items; i++) {
      if (j->items[i].type == d->values[k].type) {
        j->items[i].generation = d->values[k].generation;
      }
    }
  }
  return has_any && start(n, j, which, TORC_METHOD_REMOVE) == 0;
}

static void write_ended(torc_node *n, joint *j, unsigned which, torc_out *o) {
  bool is_counters = j->reads_counters && which != j->decides;
  if (is_counters && o != NULL) {
    bool goes_on = remove_there(n, j, which, &o->o.event.done);
    torc_out_free(n, o);
    o = NULL;
    if (goes_on) {
      return;
    }
  }
  j->parts[which].outcome = o;
  if (j->parts[1 - which].token == 0) {
    finish(n, j);
  }
}

static void read_ended(torc_node *n, joint *j, unsigned which, torc_out *o) {
  j->parts[which].outcome = o;
  bool goes_on = which == NEW && (o == NULL || !is_enough(j, &o->o.event.done)) &&
                 start(n, j, OLD, j->method) == 0;
  if (goes_on) {
    return;
  }
  if (which == OLD && rc_of(&j->parts[OLD]) == 0) {
    n->move->seen.retried++;
    j->decides = OLD;
  }
  finish(n, j);
}

static void part_ended(torc_node *n, part *p, torc_out *o) {
  joint *j = p->of;
  unsigned which = p == &j->parts[NEW] ? NEW : OLD;
  (void)torc_map_del(&n->move->parts, &p->token);
  p->token = 0;
  if (is_write(j)) {
    write_ended(n, j, which, o);
  } else {
    read_ended(n, j, which, o);
  }
}

bool torc_joint_take(torc_node *n, torc_node *ring, torc_token token) {
  part *p = torc_map_get(&n->move->parts, &token);
  if (p == NULL) {
    return false;
  }
  torc_out *o = ring->polled;
  ring->polled = NULL;
  part_ended(n, p, o);
  torc_node_settle(n);
  torc_node_settle(n->second);
  return true;
}

void torc_joints_ring_gone(torc_node *n, const torc_node *ring) {
  size_t it = 0;
  part *p = NULL;
  while ((p = torc_map_next(&n->move->parts, &it)) != NULL) {
    joint *j = p->of;
    if (ring_at(n, p == &j->parts[NEW] ? NEW : OLD) == ring) {
      part_ended(n, p, NULL);
      it = 0;
    }
  }
}

/* ---- calls ---- */

/* Copies of the items, and of their keys. */
static int copy_items(torc_node *n, joint *j, const torc_fetch_item *items, size_t num) {
  size_t num_keys = 0;
  size_t bytes = 0;
  if (num == 0 || num > TORC_CALL_ITEMS_MAX) {
    return TORC_ERR_INVALID;
  }
  for (size_t i = 0; i < num; i++) {
    num_keys += items[i].num_keys;
    for (size_t k = 0; k < items[i].num_keys; k++) {
      bytes += items[i].keys[k].len;
    }
  }
  j->room = torc_alloc(n->mem, num * sizeof *items + num_keys * sizeof(torc_slice) + bytes);
  if (j->room == NULL) {
    return TORC_ERR_NOMEM;
  }
  j->items = (torc_fetch_item *)(void *)j->room;
  torc_slice *keys = (torc_slice *)(void *)(j->items + num);
  uint8_t *at = (uint8_t *)(keys + num_keys);
  for (size_t i = 0; i < num; i++) {
    j->items[i] = items[i];
    j->items[i].keys = keys;
    for (size_t k = 0; k < items[i].num_keys; k++) {
      torc_slice key = items[i].keys[k];
      if (key.len > 0) {
        memcpy(at, key.p, key.len);
      }
      *keys = torc_slice_of(at, key.len);
      keys++;
      at += key.len;
    }
  }
  j->num_items = num;
  return 0;
}

/* The other ring's answer to the same elements. */
static void on_also_stored(torc_node *ring, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_node *n = ctx;
  part *p = n->move == NULL ? NULL : torc_map_get(&n->move->parts, &cookie);
  (void)ring;
  if (p == NULL) {
    return;
  }
  torc_out *o = torc_out_new(n, TORC_OUT_EVENT);
  if (o != NULL) {
    torc_done *d = &o->o.event.done;
    o->o.event.kind = TORC_EVENT_DONE;
    d->rc = reply->rc != 0 ? reply->rc : reply->code == TORC_CODE_OK ? 0 : TORC_ERR_REFUSED;
    d->code = reply->code;
    d->responder = reply->responder;
    d->elapsed = reply->elapsed;
    d->responsible_ppb = UINT32_MAX;
    d->num_resources = UINT32_MAX;
    if (d->rc == 0) {
      torc_call_generations(reply->payload, d);
    }
  }
  part_ended(n, p, o);
}

/* [MIG-03] The elements are signed, once: as they go to the ring that decides they go to the other
 * one, so that whoever carries one to the other carries nothing new. The counters of the two have
 * nothing to do with each other: the application's condition is for the ring it reads from. */
static void also_store(torc_node *ring, torc_token token, torc_slice payload) {
  torc_node *n = ring->first != NULL ? ring->first : ring;
  part *p = n->move == NULL ? NULL : torc_map_get(&n->move->parts, &token);
  torc_node *to = torc_rings_other(ring);
  if (p == NULL || to == NULL || torc_call_allowed(to) != 0) {
    return;
  }
  joint *j = p->of;
  unsigned which = p == &j->parts[NEW] ? OLD : NEW;
  torc_token mine = torc_node_token(to);
  if (follow(n, j, which, mine) == 0 &&
      torc_carry_store(to, &j->resource, payload, on_also_stored, n, mine) != 0) {
    (void)torc_map_del(&n->move->parts, &mine);
    j->parts[which].token = 0;
  }
}

int torc_joint_store(torc_node *n, const torc_id *resource, const torc_store_item *items,
                     size_t num, torc_token *token) {
  joint *j = joint_new(n, TORC_METHOD_STORE);
  if (j == NULL) {
    return TORC_ERR_NOMEM;
  }
  j->resource = *resource;
  unsigned signs = torc_call_allowed(ring_at(n, j->decides)) == 0 ? j->decides : 1u - j->decides;
  torc_node *ring = ring_at(n, signs);
  torc_token part_token = 0;
  int rc = torc_app_store(ring, resource, items, num, &part_token);
  if (rc == 0) {
    torc_call *c = torc_map_get(&ring->calls, &part_token);
    c->signed_to = also_store;
    rc = follow(n, j, signs, part_token);
  }
  if (rc != 0) {
    joint_free(n, j);
    return rc;
  }
  *token = j->token;
  return 0;
}

/* Both rings are asked; whichever takes the write has it. */
static int write_begun(torc_node *n, joint *j, int decider, int other, torc_token *token) {
  if (decider != 0 && other != 0) {
    joint_free(n, j);
    return decider;
  }
  *token = j->token;
  return 0;
}

static int begin_remove(torc_node *n, joint *j, torc_token *token) {
  unsigned decides = j->decides;
  int decider = start(n, j, decides, TORC_METHOD_REMOVE);
  if (decider == TORC_ERR_INVALID) {
    joint_free(n, j);
    return decider;
  }
  j->reads_counters = true;
  for (size_t i = 0; i < j->num_items;
       i++) { /* [FET-05] all of it, whatever the application knows */
    j->items[i].generation = 0;
  }
  int other = start(n, j, 1 - decides, TORC_METHOD_FETCH);
  return write_begun(n, j, decider, other, token);
}

/* [MIG-04] First the second ring, then the first. */
static int begin_read(torc_node *n, joint *j, torc_token *token) {
  int rc = start(n, j, NEW, j->method);
  if (rc == TORC_ERR_INVALID) {
    joint_free(n, j);
    return rc;
  }
  if (rc != 0) {
    rc = start(n, j, OLD, j->method);
  }
  if (rc != 0) {
    joint_free(n, j);
    return rc;
  }
  *token = j->token;
  return 0;
}

int torc_joint_specified(torc_node *n, uint16_t method, bool asks_replicas, const torc_id *resource,
                         const torc_fetch_item *items, size_t num, torc_token *token) {
  joint *j = joint_new(n, method);
  if (j == NULL) {
    return TORC_ERR_NOMEM;
  }
  j->asks_replicas = asks_replicas;
  j->resource = *resource;
  int rc = copy_items(n, j, items, num);
  if (rc != 0) {
    joint_free(n, j);
    return rc;
  }
  return method == TORC_METHOD_REMOVE ? begin_remove(n, j, token) : begin_read(n, j, token);
}

int torc_joint_find(torc_node *n, const torc_id *resource, const uint32_t *types, size_t num_types,
                    torc_token *token) {
  joint *j = NULL;
  if (num_types == 0 || num_types > TORC_ARRAY_LEN(j->types)) {
    return TORC_ERR_INVALID;
  }
  j = joint_new(n, TORC_METHOD_FIND);
  if (j == NULL) {
    return TORC_ERR_NOMEM;
  }
  j->resource = *resource;
  memcpy(j->types, types, num_types * sizeof *types);
  j->num_types = num_types;
  return begin_read(n, j, token);
}

int torc_joint_send(torc_node *n, uint16_t method, const torc_id *route, size_t num_route,
                    unsigned flags, const torc_tunnel_data *data, torc_token *token) {
  if (num_route == 0 || num_route > TORC_NODE_ROUTE_MAX) {
    return TORC_ERR_INVALID;
  }
  joint *j = joint_new(n, method);
  if (j == NULL) {
    return TORC_ERR_NOMEM;
  }
  memcpy(j->route, route, num_route * sizeof *route);
  j->num_route = num_route;
  j->flags = flags;
  if (data != NULL) {
    size_t len = data->dialog_id.len + data->application_pdu.len;
    j->data = *data;
    j->room = torc_alloc(n->mem, len + 1);
    if (j->room == NULL) {
      joint_free(n, j);
      return TORC_ERR_NOMEM;
    }
    if (data->dialog_id.len > 0) {
      memcpy(j->room, data->dialog_id.p, data->dialog_id.len);
    }
    if (data->application_pdu.len > 0) {
      memcpy(j->room + data->dialog_id.len, data->application_pdu.p, data->application_pdu.len);
    }
    j->data.dialog_id = torc_slice_of(j->room, data->dialog_id.len);
    j->data.application_pdu =
        torc_slice_of(j->room + data->dialog_id.len, data->application_pdu.len);
  }
  return begin_read(n, j, token);
}
