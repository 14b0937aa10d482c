/* Application calls of a node that moves from one ring to another [D-19]: a write goes to both
 * [MIG-03], all else to the second and, if that fails, to the first [MIG-04].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"
#include "overlay/node/rings.h"

enum { OLD = 0, NEW = 1 };

/* A REMOVE, one step after the other: what the first ring's holder had begun to carry when it took
 * the REMOVE has come to the second when that is looked at, and is removed there as well. */
typedef enum remove_step {
  STEP_SEEN,  /* arrays: which elements lie at the places, for they lie elsewhere in the other */
  STEP_HERE,  /* the REMOVE, in the ring that decides */
  STEP_LOOK,  /* the other one's elements and counters */
  STEP_THERE, /* the REMOVE of what was seen */
  STEP_CHECK, /* second ring: whether it was carried there meanwhile */
  STEP_AGAIN  /* and that is removed */
} remove_step;

typedef struct joint joint;

typedef struct part { /* a call in one ring */
  torc_token token;   /* 0: none under way */
  joint *of;
  torc_out *outcome; /* its DONE, kept until the other part has ended too */
} part;

struct joint {
  torc_token token; /* as the application knows it */
  uint16_t method;
  uint8_t decides;    /* the ring whose outcome counts */
  bool asks_replicas; /* FETCH: torc_node_fetch_replicas */
  remove_step step;
  unsigned looks;
  torc_out *seen_here, *seen_there; /* REMOVE: what SEEN and the first LOOK were answered with */
  part parts[2];
  torc_out *spare; /* told if neither ring can say how it ended */
  torc_id resource;
  torc_fetch_item *items; /* in `room`, with their keys */
  torc_fetch_item *aims;  /* likewise, of the step: REMOVE */
  size_t num_items, num_aims;
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
  torc_out_free(n, j->seen_here);
  torc_out_free(n, j->seen_there);
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

/* ---- one ring's part ---- */

static int begin(torc_node *ring, joint *j, uint16_t method, torc_token *token) {
  switch (method) {
    case TORC_METHOD_FETCH:
      return j->asks_replicas
                 ? torc_app_fetch_replicas(ring, &j->resource, j->aims, j->num_aims, token)
                 : torc_app_fetch(ring, &j->resource, j->aims, j->num_aims, token);
    case TORC_METHOD_REMOVE:
      return torc_app_remove(ring, &j->resource, j->aims, j->num_aims, token);
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

/* Tells the application, with the outcome of the ring that decides, or, if that is the second, was
 * not reached and the first one took it, of that: its elements are carried. */
static void finish(torc_node *n, joint *j) {
  part *chosen = &j->parts[j->decides];
  part *other = &j->parts[1 - j->decides];
  if (j->decides == NEW && is_unreached(chosen) && rc_of(other) == 0) {
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

static const torc_done *done_of(const torc_out *o) {
  return &o->o.event.done;
}

static bool has_value(const torc_out *o) {
  for (size_t i = 0; i < done_of(o)->num_values; i++) {
    if (done_of(o)->values[i].exists) {
      return true;
    }
  }
  return false;
}

static uint64_t counter_of(const torc_done *d, torc_type_id type) {
  for (size_t i = 0; i < d->num_generations; i++) {
    if (d->generations[i].type == type) {
      return d->generations[i].generation;
    }
  }
  return 0;
}

/* [STO-19] What the first ring alone has is shown with the second's counters: there the next write
 * is checked. */
static void take_counters(torc_out *to, const torc_out *from) {
  const torc_done *d = done_of(from);
  torc_value *values = to->extra;
  for (size_t i = 0; i < done_of(to)->num_values; i++) {
    values[i].generation = counter_of(d, values[i].type);
  }
  to->o.event.done.num_generations = d->num_generations;
  memcpy(to->o.event.done.generations, d->generations, sizeof d->generations);
}

static void store_ended(torc_node *n, joint *j, unsigned which, torc_out *o) {
  j->parts[which].outcome = o;
  if (j->parts[1 - which].token == 0) {
    finish(n, j);
  }
}

static void read_ended(torc_node *n, joint *j, unsigned which, torc_out *o) {
  j->parts[which].outcome = o;
  bool goes_on =
      which == NEW && (o == NULL || !is_enough(j, done_of(o))) && start(n, j, OLD, j->method) == 0;
  if (goes_on) {
    return;
  }
  const torc_out *second = j->parts[NEW].outcome;
  bool is_fetch = j->method == TORC_METHOD_FETCH;
  bool is_answered = second != NULL && done_of(second)->rc == 0;
  if (which == OLD && rc_of(&j->parts[OLD]) == 0 && !(is_fetch && is_answered && !has_value(o))) {
    n->move->seen.retried++;
    j->decides = OLD;
    if (is_fetch && is_answered) {
      take_counters(o, second);
    }
  }
  finish(n, j);
}

/* ---- REMOVE ---- */

static const torc_type *type_of(const torc_node *n, torc_type_id id) {
  return torc_types_find(&n->types, id);
}

static bool is_array(const torc_node *n, torc_type_id id) {
  const torc_type *type = type_of(n, id);
  return type != NULL && type->model == TORC_MODEL_ARRAY;
}

static bool has_array(const torc_node *n, const joint *j) {
  for (size_t i = 0; i < j->num_items; i++) {
    if (is_array(n, j->items[i].type)) {
      return true;
    }
  }
  return false;
}

/* As the application says; with its conditions or without, and of arrays its places or all. */
static void aim_at_items(const torc_node *n, joint *j, bool with_counters, bool all_places) {
  for (size_t i = 0; i < j->num_items; i++) {
    j->aims[i] = j->items[i];
    j->aims[i].generation = with_counters ? j->items[i].generation : 0;
    if (all_places && is_array(n, j->items[i].type)) {
      j->aims[i].first = 0;
      j->aims[i].last = -1;
    }
  }
  j->num_aims = j->num_items;
}

static bool is_same_signer(const torc_value *a, const torc_value *b) {
  return a->signer == NULL || b->signer == NULL
             ? a->signer == b->signer
             : memcmp(a->signer->digest, b->signer->digest, TORC_DIGEST_LEN) == 0;
}

/* Whether `v` is among what was seen: of an array the same element, wherever it lies; else the same
 * place, with an element that is not older. */
static bool is_among(const torc_out *seen, const torc_value *v, bool is_element) {
  for (size_t i = 0; seen != NULL && i < done_of(seen)->num_values; i++) {
    const torc_value *w = &done_of(seen)->values[i];
    bool is_it = is_element ? w->storage_time == v->storage_time && is_same_signer(w, v) &&
                                  torc_slice_eq(w->value, v->value)
                            : w->storage_time >= v->storage_time && torc_slice_eq(w->key, v->key);
    if (w->exists && w->type == v->type && is_it) {
      return true;
    }
  }
  return false;
}

/* The first run of places at which lie elements that were seen. False: there is none. */
static bool aim_at_run(const joint *j, const torc_done *d, torc_fetch_item *aim) {
  bool has_any = false;
  for (size_t i = 0; i < d->num_values; i++) {
    const torc_value *v = &d->values[i];
    bool is_it = v->type == aim->type && v->exists && is_among(j->seen_here, v, true);
    if (is_it && !has_any) {
      aim->first = v->index;
      aim->last = v->index;
      has_any = true;
    } else if (is_it && v->index == aim->last + 1) {
      aim->last = v->index;
    }
  }
  return has_any;
}

/* What is to be removed of what a look has shown, under the counters that it has shown. False:
 * nothing. */
static bool aim_at_seen(const torc_node *n, joint *j, const torc_done *d, bool is_check) {
  j->num_aims = 0;
  for (size_t i = 0; i < j->num_items; i++) {
    torc_fetch_item *aim = &j->aims[j->num_aims];
    bool has_any = false;
    *aim = j->items[i];
    aim->generation = counter_of(d, aim->type);
    if (is_array(n, aim->type)) { /* only owners place these: nobody carries them */
      has_any = !is_check && aim_at_run(j, d, aim);
    } else {
      for (size_t k = 0; k < d->num_values; k++) {
        const torc_value *v = &d->values[k];
        has_any = has_any || (v->type == aim->type && v->exists &&
                              (!is_check || is_among(j->seen_there, v, false)));
      }
    }
    j->num_aims += has_any ? 1u : 0u;
  }
  return j->num_aims > 0;
}

static bool is_over(const torc_node *ring) {
  return ring->is_freeing || ring->phase == TORC_PHASE_LEAVING || ring->phase == TORC_PHASE_LEFT;
}

/* It is removed where it decides but perhaps not in the other ring: that is no success, for from
 * there it would come back. NULL: it could not even be asked. */
static void remove_failed(torc_node *n, joint *j, torc_out *o) {
  torc_out_free(n, j->parts[j->decides].outcome);
  j->parts[j->decides].outcome = o;
  finish(n, j);
}

static void remove_step_start(torc_node *n, joint *j, remove_step step);

/* A look was answered. */
static void looked(torc_node *n, joint *j, torc_out *o) {
  bool is_check = j->step == STEP_CHECK;
  bool has_any = aim_at_seen(n, j, done_of(o), is_check);
  if (!is_check && j->seen_there == NULL) {
    j->seen_there = o;
  } else {
    torc_out_free(n, o);
  }
  if (has_any) {
    remove_step_start(n, j, is_check ? STEP_AGAIN : STEP_THERE);
  } else if (!is_check && j->decides == NEW) {
    remove_step_start(n, j, STEP_CHECK);
  } else {
    finish(n, j);
  }
}

/* After a REMOVE of what a look has shown: of an array there may be another run, and with 412 the
 * counter has moved on since [REM-10]. */
static void removed(torc_node *n, joint *j, torc_out *o) {
  bool is_late = done_of(o)->code == TORC_CODE_PRECONDITION;
  bool is_there = j->step == STEP_THERE;
  if (done_of(o)->rc != 0 && (!is_late || j->looks >= TORC_NODE_JOINT_LOOKS)) {
    remove_failed(n, j, o);
    return;
  }
  torc_out_free(n, o);
  if (is_late || (is_there && has_array(n, j) && j->looks < TORC_NODE_JOINT_LOOKS)) {
    remove_step_start(n, j, is_there ? STEP_LOOK : STEP_CHECK);
  } else if (is_there && j->decides == NEW) {
    remove_step_start(n, j, STEP_CHECK);
  } else {
    finish(n, j);
  }
}

static int remove_step_try(torc_node *n, joint *j, remove_step step) {
  bool is_here = step != STEP_LOOK && step != STEP_THERE;
  bool is_look = step == STEP_SEEN || step == STEP_LOOK || step == STEP_CHECK;
  unsigned which = is_here ? j->decides : 1u - j->decides;
  j->step = step;
  if (is_look || step == STEP_HERE) {
    aim_at_items(n, j, step == STEP_HERE, step == STEP_LOOK);
  }
  j->looks += is_look ? 1u : 0u;
  return start(n, j, which, is_look ? TORC_METHOD_FETCH : TORC_METHOD_REMOVE);
}

/* A ring that this peer is not in, not yet or no longer, is passed over. */
static void remove_step_start(torc_node *n, joint *j, remove_step step) {
  int rc = remove_step_try(n, j, step);
  if (rc == TORC_ERR_STATE || rc == TORC_ERR_CLOSED) {
    finish(n, j);
  } else if (rc != 0) {
    remove_failed(n, j, NULL);
  }
}

static void remove_ended(torc_node *n, joint *j, unsigned which, torc_out *o) {
  bool is_good = o != NULL && done_of(o)->rc == 0;
  if (j->step == STEP_SEEN && is_good) {
    j->seen_here = o;
    remove_step_start(n, j, STEP_HERE);
  } else if (j->step == STEP_SEEN || j->step == STEP_HERE) {
    j->parts[which].outcome = o;
    if (is_good) {
      remove_step_start(n, j, STEP_LOOK);
    } else {
      finish(n, j);
    }
  } else if (!is_good && is_over(ring_at(n, which))) {
    torc_out_free(n, o);
    finish(n, j);
  } else if (o == NULL) {
    remove_failed(n, j, NULL);
  } else if (j->step == STEP_THERE || j->step == STEP_AGAIN) {
    removed(n, j, o);
  } else if (is_good) {
    looked(n, j, o);
  } else {
    remove_failed(n, j, o);
  }
}

static void part_ended(torc_node *n, part *p, torc_out *o) {
  joint *j = p->of;
  unsigned which = p == &j->parts[NEW] ? NEW : OLD;
  (void)torc_map_del(&n->move->parts, &p->token);
  p->token = 0;
  if (j->method == TORC_METHOD_STORE) {
    store_ended(n, j, which, o);
  } else if (j->method == TORC_METHOD_REMOVE) {
    remove_ended(n, j, which, o);
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
  j->room = torc_alloc(n->mem, 2 * num * sizeof *items + num_keys * sizeof(torc_slice) + bytes);
  if (j->room == NULL) {
    return TORC_ERR_NOMEM;
  }
  j->items = (torc_fetch_item *)(void *)j->room;
  j->aims = j->items + num;
  torc_slice *keys = (torc_slice *)(void *)(j->aims + num);
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
  aim_at_items(n, j, true, false);
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
  bool is_late = torc_call_allowed(ring_at(n, j->decides)) != 0; /* not in the second ring yet */
  unsigned signs = is_late ? OLD : j->decides;
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

/* Who is not in the second ring yet removes in the first, as a peer of the stage before. */
static int begin_remove(torc_node *n, joint *j, torc_token *token) {
  if (torc_call_allowed(ring_at(n, j->decides)) != 0) {
    j->decides = OLD;
  }
  int rc = remove_step_try(n, j, has_array(n, j) ? STEP_SEEN : STEP_HERE);
  if (rc != 0) {
    joint_free(n, j);
    return rc;
  }
  *token = j->token;
  return 0;
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
