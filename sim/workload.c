/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/map.h"
#include "base/slice.h"
#include "wire/pdu.h"

#define RETRY TORC_SEC(10) /* an owner whose STORE failed tries again */
#define VALUE_MAX 4001u    /* with a NUL */
#define KEY_MAX 16u
#define NEED_REMOVED 0x0fffffffu /* the FETCH must find nothing */
#define NEAR 2u                  /* places on the ring that count as neighbours */

typedef enum call_kind {
  CALL_LOOKUP = 0,
  CALL_STORE,   /* a new serial */
  CALL_REFRESH, /* the last serial once more, if it is time */
  CALL_AGAIN,   /* the last serial once more: its STORE failed */
  CALL_REMOVE,  /* fetches the generation, then removes */
  CALL_FETCH,
  CALL_ASK,    /* a FETCH that asks the replicas */
  CALL_VERDICT /* a FETCH of the check */
} call_kind;

/* What torc_sim_call carries: 4 bits kind, 28 bits the serial that must be found, 32 bits place. */
static uint64_t pack(call_kind kind, uint32_t need, size_t place) {
  return (uint64_t)kind << 60 | (uint64_t)(need & 0x0fffffffu) << 32 | (uint32_t)place;
}

typedef struct torc_work_call {
  struct torc_work_call *next;
  torc_token token;
  torc_time started;
  call_kind kind;
  bool has_generation; /* REMOVE: the second half */
  uint32_t need, serial;
  size_t place;
  torc_id target;
} call;

typedef struct vanished_peer {
  torc_id id;
  torc_time at;
} vanished_peer;

typedef struct worker {
  torc_measure measure;
  uint64_t calls_begun, calls_ended;
  uint64_t ring_changes;
  char pad[64]; /* a cache line between two workers */
} worker;

struct torc_workload {
  torc_sim *sim;
  worker workers[TORC_SIM_THREADS_MAX];
  torc_work_node *nodes;
  size_t num_nodes, cap_nodes;
  torc_work_value *values;
  size_t num_values, cap_values;
  torc_sim_index *live[2];
  size_t num_live[2], cap_live[2];
  torc_map vanished; /* of vanished_peer */
  torc_ring ring;    /* all live peers */
  torc_ring joined;  /* those that have joined: who answers for what */
  bool is_ring_old;
  bool is_apart; /* parts of the network cannot reach each other, or could not lately */
  uint64_t ring_changes;
  uint64_t abandoned;
};

static size_t role_place(torc_role role) {
  return role == TORC_ROLE_CLIENT ? 1 : 0;
}

/* ---- calls begin ---- */

static uint64_t *count_of(torc_workload *w, unsigned worker_of, torc_count c) {
  return &w->workers[worker_of].measure.counts[c];
}

static void key_text(const torc_work_value *v, char out[KEY_MAX]) {
  (void)snprintf(out, KEY_MAX, "k%u", v->number);
}

static size_t value_text(const torc_work_value *v, uint32_t serial, char out[VALUE_MAX]) {
  int n = snprintf(out, VALUE_MAX, "%u.%u.%u.", v->owner, v->number, serial);
  size_t len = n > 0 ? (size_t)n : 0;
  if (len < v->size) {
    memset(out + len, '.', v->size - len);
    len = v->size;
  }
  return len;
}

static int begin_store(torc_workload *w, const torc_work_value *v, call *c, torc_node *n,
                       torc_time now) {
  char key[KEY_MAX];
  char text[VALUE_MAX];
  torc_store_item item = {.type = TORC_SIM_TYPE_NOTE};
  (void)w;
  key_text(v, key);
  item.key = torc_slice_str(key);
  item.value = torc_slice_of(text, value_text(v, c->serial, text));
  item.lifetime_s = (uint32_t)(v->lifetime / TORC_SEC(1));
  return torc_node_store(n, &v->resource, &item, 1, now, &c->token);
}

static int begin_fetch(const torc_work_value *v, call *c, torc_node *n, bool asks_replicas,
                       torc_time now) {
  char key[KEY_MAX];
  key_text(v, key);
  torc_slice keys = torc_slice_str(key);
  torc_fetch_item item = {
      .type = TORC_SIM_TYPE_NOTE, .first = 0, .last = -1, .keys = &keys, .num_keys = 1};
  return asks_replicas ? torc_node_fetch_replicas(n, &v->resource, &item, 1, now, &c->token)
                       : torc_node_fetch(n, &v->resource, &item, 1, now, &c->token);
}

static int begin_lookup(torc_workload *w, torc_sim_index i, call *c, torc_node *n, torc_time now) {
  for (size_t k = 0; k < TORC_ID_LEN; k += 4) {
    uint32_t r = (uint32_t)torc_sim_random(w->sim, i, (uint64_t)1 << 32);
    memcpy(c->target.b + k, &r, sizeof r);
  }
  c->target.b[0] ^= c->target.b[15] == 0; /* never 0 as a whole, nor all ones */
  c->target.b[15] &= 0xfe;
  return torc_node_ping(n, &c->target, 1, TORC_CALL_ROUTE_LOG, now, &c->token);
}

static int begin(torc_workload *w, torc_sim_index i, call *c, torc_time now) {
  torc_node *n = torc_sim_node(w->sim, i);
  torc_work_value *v = c->kind == CALL_LOOKUP ? NULL : &w->values[c->place];
  if (n == NULL) {
    return TORC_ERR_STATE;
  }
  switch (c->kind) {
    case CALL_LOOKUP:
      return begin_lookup(w, i, c, n, now);
    case CALL_STORE:
    case CALL_REFRESH:
    case CALL_AGAIN:
      c->serial = v->issued;
      return begin_store(w, v, c, n, now);
    case CALL_REMOVE:
    case CALL_FETCH:
    case CALL_VERDICT:
      return begin_fetch(v, c, n, false, now);
    case CALL_ASK:
      return begin_fetch(v, c, n, true, now);
  }
  return TORC_ERR_INVALID;
}

/* Whether an owner has reason to go on with this; it takes the value if so. */
static bool owner_takes(torc_work_value *v, call_kind kind, torc_time now) {
  if (v->is_busy || v->is_removed) {
    return false;
  }
  switch (kind) {
    case CALL_STORE:
      if (v->is_removing) {
        return false;
      }
      v->issued++;
      break;
    case CALL_REFRESH:
      if (v->is_removing || now < v->answered_at + v->refresh) {
        return false;
      }
      break;
    case CALL_AGAIN:
      if (v->is_removing || v->answered == v->issued) {
        return false;
      }
      break;
    case CALL_REMOVE:
      if (v->answered == 0) {
        return false;
      }
      v->is_removing = true;
      break;
    case CALL_LOOKUP:
    case CALL_FETCH:
    case CALL_ASK:
    case CALL_VERDICT:
      break;
  }
  v->is_busy = true;
  return true;
}

static bool is_owners(call_kind kind) {
  return kind == CALL_STORE || kind == CALL_REFRESH || kind == CALL_AGAIN || kind == CALL_REMOVE;
}

/* Whoever reads in a part cannot know what the others know; the check waits until they meet. */
static bool is_apart_read(const torc_workload *w, call_kind kind) {
  return w->is_apart && (kind == CALL_FETCH || kind == CALL_ASK);
}

static void ended(torc_workload *w, unsigned me, torc_sim_index i, call *c, const torc_done *d,
                  torc_time now);

static void on_call(void *ctx, unsigned me, torc_sim_index i, uint64_t arg, torc_time now) {
  torc_workload *w = ctx;
  call_kind kind = (call_kind)(arg >> 60);
  size_t place = (uint32_t)arg;
  if (is_owners(kind) && !owner_takes(&w->values[place], kind, now)) {
    return;
  }
  call *c = calloc(1, sizeof *c);
  if (c == NULL) {
    return; /* the run shows it as a call that never began */
  }
  c->kind = kind;
  c->need = is_apart_read(w, kind) ? 0 : (uint32_t)(arg >> 32) & 0x0fffffffu;
  c->place = place;
  c->started = now;
  w->workers[me].calls_begun++;
  int rc = begin(w, i, c, now);
  if (rc != 0) {
    torc_done failed = {.rc = rc};
    ended(w, me, i, c, &failed, now);
    return;
  }
  c->next = w->nodes[i].calls;
  w->nodes[i].calls = c;
}

/* ---- calls end ---- */

/* How many links the request went over: the forwarders stand in the log before the responder. */
static bool hops_of(const torc_done *d, const torc_id *self, uint64_t *out) {
  torc_rd rd;
  torc_route_log_entry e;
  uint64_t n = 0;
  if (torc_id_eq(&d->responder, self)) {
    *out = 0;
    return true;
  }
  torc_rd_init(&rd, d->route_log);
  while (torc_route_log_next(&rd, &e)) {
    n++;
    if (torc_id_eq(&e.id, &d->responder)) {
      *out = n;
      return true;
    }
  }
  return false;
}

static void lookup_ended(torc_workload *w, unsigned me, torc_sim_index i, const call *c,
                         const torc_done *d, torc_time now) {
  torc_measure *m = &w->workers[me].measure;
  torc_id self = torc_sim_id(w->sim, i);
  uint64_t hops = 0;
  m->counts[TORC_COUNT_LOOKUPS]++;
  if (d->rc != 0) {
    return;
  }
  m->counts[TORC_COUNT_LOOKUP_OK]++;
  torc_hist_add(&m->lookup_us, now - c->started);
  if (hops_of(d, &self, &hops)) {
    torc_hist_add(&m->hops, hops);
  }
  size_t at = torc_ring_responsible(&w->joined, &c->target);
  if (at != SIZE_MAX && w->nodes[i].group == 0 &&
      !torc_id_eq(&w->joined.places[at].id, &d->responder)) {
    m->counts[TORC_COUNT_LOOKUP_WRONG]++;
  }
}

static void store_ended(torc_workload *w, unsigned me, torc_sim_index i, const call *c,
                        const torc_done *d, torc_time now) {
  torc_work_value *v = &w->values[c->place];
  torc_measure *m = &w->workers[me].measure;
  v->is_busy = false;
  m->counts[TORC_COUNT_STORES]++;
  if (d->rc != 0) {
    torc_sim_call_at(w->sim, i, now + RETRY, pack(CALL_AGAIN, 0, c->place));
    return;
  }
  m->counts[TORC_COUNT_STORE_OK]++;
  torc_hist_add(&m->store_us, now - c->started);
  v->answered = c->serial;
  v->answered_at = now;
  v->first_at = v->first_at == 0 ? now : v->first_at;
  if (v->refresh > 0) {
    torc_sim_call_at(w->sim, i, now + v->refresh, pack(CALL_REFRESH, 0, c->place));
  }
}

/* A number and the dot behind it; moves on. */
static bool take_number(const char **at, uint32_t *out) {
  uint64_t v = 0;
  const char *p = *at;
  for (; *p >= '0' && *p <= '9' && v <= UINT32_MAX; p++) {
    v = v * 10 + (uint64_t)(*p - '0');
  }
  *out = (uint32_t)v;
  *at = p + 1;
  return *p == '.' && v <= UINT32_MAX;
}

/* The serial in a fetched value; false: nobody stored these bytes there. */
static bool serial_of(const torc_work_value *v, torc_slice value, uint32_t *serial) {
  char text[VALUE_MAX];
  char expected[VALUE_MAX];
  const char *at = text;
  uint32_t owner = 0;
  uint32_t number = 0;
  if (value.len == 0 || value.len >= sizeof text) {
    return false;
  }
  memcpy(text, value.p, value.len);
  text[value.len] = '\0';
  return take_number(&at, &owner) && take_number(&at, &number) && take_number(&at, serial) &&
         value_text(v, *serial, expected) == value.len && memcmp(expected, text, value.len) == 0;
}

static void fetch_ended(torc_workload *w, unsigned me, const call *c, const torc_done *d,
                        torc_time now) {
  torc_work_value *v = &w->values[c->place];
  torc_measure *m = &w->workers[me].measure;
  torc_verdict verdict = TORC_VERDICT_NONE;
  uint32_t serial = 0;
  bool exists = d->rc == 0 && d->num_values > 0 && d->values[0].exists;
  bool is_ask = c->kind == CALL_ASK;
  uint32_t need = is_apart_read(w, c->kind) ? 0 : c->need;
  m->counts[is_ask ? TORC_COUNT_ASKS : TORC_COUNT_FETCHES]++;
  if (d->rc == 0) {
    torc_hist_add(is_ask ? &m->ask_us : &m->fetch_us, now - c->started);
    verdict = TORC_VERDICT_FOUND;
  }
  if (exists && !serial_of(v, d->values[0].value, &serial)) {
    m->counts[TORC_COUNT_FORGED]++;
  } else if (exists && need == NEED_REMOVED) {
    m->counts[TORC_COUNT_RESURRECTED]++;
  } else if (exists && serial < need) {
    m->counts[TORC_COUNT_STALE]++;
    verdict = TORC_VERDICT_STALE;
  } else if (d->rc == 0 && !exists && need != 0 && need != NEED_REMOVED && !v->is_to_go) {
    m->counts[TORC_COUNT_FETCH_MISSING]++;
    verdict = TORC_VERDICT_MISSING;
  } else if (d->rc == 0) {
    m->counts[is_ask ? TORC_COUNT_ASK_OK : TORC_COUNT_FETCH_OK]++;
  }
  if (c->kind == CALL_VERDICT) {
    v->verdict = (uint8_t)verdict;
  }
}

/* The second half of a removal; true: it is under way. */
static bool remove_goes_on(torc_workload *w, torc_sim_index i, call *c, const torc_done *d,
                           torc_time now) {
  torc_work_value *v = &w->values[c->place];
  char key[KEY_MAX];
  torc_slice keys;
  torc_fetch_item item = {.type = TORC_SIM_TYPE_NOTE, .keys = &keys, .num_keys = 1};
  torc_node *n = torc_sim_node(w->sim, i);
  uint32_t serial = 0;
  if (c->has_generation || d->rc != 0 || d->num_values == 0 || !d->values[0].exists || n == NULL) {
    return false;
  }
  if (!serial_of(v, d->values[0].value, &serial) || serial < v->issued) {
    return false; /* not the one to be removed: its holders cannot be reached */
  }
  item.generation = d->values[0].generation;
  key_text(v, key);
  keys = torc_slice_str(key);
  c->has_generation = true;
  if (torc_node_remove(n, &v->resource, &item, 1, now, &c->token) != 0) {
    return false;
  }
  c->next = w->nodes[i].calls;
  w->nodes[i].calls = c;
  return true;
}

static void remove_ended(torc_workload *w, unsigned me, torc_sim_index i, const call *c,
                         const torc_done *d, torc_time now) {
  torc_work_value *v = &w->values[c->place];
  v->is_busy = false;
  ++*count_of(w, me, TORC_COUNT_REMOVES);
  if (d->rc != 0 || !c->has_generation) { /* also where there was nothing to remove */
    torc_sim_call_at(w->sim, i, now + RETRY, pack(CALL_REMOVE, 0, c->place));
    return;
  }
  ++*count_of(w, me, TORC_COUNT_REMOVE_OK);
  /* [GAP-93] Where nobody has the value's history a REMOVE may not outrank what the other part
   * holds: then it is neither owed nor gone. */
  v->is_removed = !w->is_apart;
}

static void ended(torc_workload *w, unsigned me, torc_sim_index i, call *c, const torc_done *d,
                  torc_time now) {
  switch (c->kind) {
    case CALL_LOOKUP:
      lookup_ended(w, me, i, c, d, now);
      break;
    case CALL_STORE:
    case CALL_REFRESH:
    case CALL_AGAIN:
      store_ended(w, me, i, c, d, now);
      break;
    case CALL_REMOVE:
      if (remove_goes_on(w, i, c, d, now)) {
        return;
      }
      remove_ended(w, me, i, c, d, now);
      break;
    case CALL_FETCH:
    case CALL_ASK:
    case CALL_VERDICT:
      fetch_ended(w, me, c, d, now);
      break;
  }
  w->workers[me].calls_ended++;
  free(c);
}

static call *take_call(torc_work_node *n, torc_token token) {
  for (call **at = &n->calls; *at != NULL; at = &(*at)->next) {
    if ((*at)->token == token) {
      call *c = *at;
      *at = c->next;
      return c;
    }
  }
  return NULL;
}

/* [GAP-77] How long a vanished peer's neighbours on the ring go on counting on it. */
static void link_lost(torc_workload *w, unsigned me, torc_sim_index i, const torc_id *peer,
                      torc_time now) {
  torc_measure *m = &w->workers[me].measure;
  const vanished_peer *gone = torc_map_get(&w->vanished, peer->b);
  m->counts[TORC_COUNT_LINKS_LOST]++;
  if (gone == NULL || w->ring.num == 0 || w->nodes[i].role == TORC_ROLE_CLIENT) {
    return;
  }
  torc_id self = torc_sim_id(w->sim, i);
  size_t next = torc_ring_responsible(&w->ring, peer);
  size_t own = torc_ring_responsible(&w->ring, &self);
  if (next == SIZE_MAX || own == SIZE_MAX) {
    return;
  }
  size_t away = (own + w->ring.num - next) % w->ring.num; /* 0: its successor */
  if (away < NEAR || away + NEAR >= w->ring.num) {
    torc_hist_add(&m->detect_us, now - gone->at);
  }
}

static void on_event(void *ctx, unsigned me, torc_sim_index i, const torc_event *e, torc_time now) {
  torc_workload *w = ctx;
  torc_work_node *n = &w->nodes[i];
  torc_measure *m = &w->workers[me].measure;
  call *c = NULL;
  switch (e->kind) {
    case TORC_EVENT_JOINED:
      if (!n->is_joined) {
        torc_hist_add(&m->join_us, now - n->started);
        m->counts[TORC_COUNT_JOINED]++;
      }
      n->is_joined = true;
      w->workers[me].ring_changes++;
      break;
    case TORC_EVENT_DISCONNECTED:
      n->is_joined = false;
      m->counts[TORC_COUNT_DISCONNECTED]++;
      w->workers[me].ring_changes++;
      break;
    case TORC_EVENT_LEFT:
      n->has_left = true;
      break;
    case TORC_EVENT_DONE:
      c = take_call(n, e->token);
      if (c != NULL) {
        ended(w, me, i, c, &e->done, now);
      }
      break;
    case TORC_EVENT_LINK:
      if (!e->is_up) {
        link_lost(w, me, i, &e->peer, now);
      }
      break;
    case TORC_EVENT_TUNNEL:
    case TORC_EVENT_CONNECTION:
      break;
  }
}

/* ---- life ---- */

int torc_workload_new(torc_workload **out) {
  torc_workload *w = calloc(1, sizeof *w);
  if (w == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_map_init(&w->vanished, torc_mem_libc(), offsetof(vanished_peer, id), TORC_ID_LEN, 1);
  *out = w;
  return 0;
}

static void free_calls(torc_work_node *n) {
  while (n->calls != NULL) {
    call *c = n->calls;
    n->calls = c->next;
    free(c);
  }
}

void torc_workload_free(torc_workload *w) {
  if (w == NULL) {
    return;
  }
  for (size_t i = 0; i < w->num_nodes; i++) {
    free_calls(&w->nodes[i]);
  }
  size_t it = 0;
  for (void *gone = torc_map_next(&w->vanished, &it); gone != NULL;
       gone = torc_map_next(&w->vanished, &it)) {
    free(gone);
  }
  torc_map_clear(&w->vanished);
  torc_ring_clear(&w->ring);
  torc_ring_clear(&w->joined);
  free(w->live[0]);
  free(w->live[1]);
  free(w->nodes);
  free(w->values);
  free(w);
}

void torc_workload_hooks(torc_workload *w, torc_sim_hooks *hooks) {
  *hooks = (torc_sim_hooks){.ctx = w, .event = on_event, .call = on_call};
}

void torc_workload_attach(torc_workload *w, torc_sim *s) {
  w->sim = s;
}

/* Room for one more element; the array may move. */
static int room(void **array, size_t num, size_t *cap, size_t size) {
  if (num < *cap) {
    return 0;
  }
  size_t want = *cap == 0 ? 64 : *cap * 2;
  void *grown = realloc(*array, want * size);
  if (grown == NULL) {
    return TORC_ERR_NOMEM;
  }
  *array = grown;
  *cap = want;
  return 0;
}

int torc_workload_reserve(torc_workload *w) {
  void *nodes = w->nodes;
  int rc = room(&nodes, w->num_nodes, &w->cap_nodes, sizeof *w->nodes);
  w->nodes = nodes;
  if (rc == 0 && w->num_nodes < w->cap_nodes) {
    w->nodes[w->num_nodes] = (torc_work_node){0};
  }
  return rc;
}

int torc_workload_up(torc_workload *w, torc_sim_index i, torc_role role) {
  size_t r = role_place(role);
  void *list = w->live[r];
  int rc = room(&list, w->num_live[r], &w->cap_live[r], sizeof *w->live[r]);
  w->live[r] = list;
  if (rc != 0) {
    return rc;
  }
  torc_work_node *n = &w->nodes[i];
  if (i == w->num_nodes) {
    w->num_nodes++;
  } else {
    torc_id id = torc_sim_id(w->sim, i);
    free(torc_map_del(&w->vanished, id.b));
  }
  n->role = (uint8_t)(role == TORC_ROLE_CLIENT ? TORC_ROLE_CLIENT : TORC_ROLE_PEER);
  n->started = torc_sim_now(w->sim);
  n->ended = 0;
  n->has_left = false;
  n->is_vanished = false;
  n->place = (uint32_t)w->num_live[r];
  w->live[r][w->num_live[r]++] = i;
  w->is_ring_old = true;
  for (size_t k = 0; n->num_values > 0 && k < w->num_values; k++) { /* its owner is back */
    if (w->values[k].owner == i && w->values[k].refresh > 0) {
      torc_sim_call(w->sim, i, n->started + w->values[k].refresh, pack(CALL_REFRESH, 0, k));
    }
  }
  return 0;
}

/* Without memory there is only a figure less. */
static void note_vanished(torc_workload *w, const torc_id *id, torc_time at) {
  vanished_peer *gone = calloc(1, sizeof *gone);
  if (gone == NULL) {
    return;
  }
  *gone = (vanished_peer){.id = *id, .at = at};
  free(torc_map_del(&w->vanished, id->b));
  if (torc_map_put(&w->vanished, gone) != 0) {
    free(gone);
  }
}

void torc_workload_down(torc_workload *w, torc_sim_index i, bool has_vanished) {
  torc_work_node *n = &w->nodes[i];
  size_t r = role_place((torc_role)n->role);
  torc_id id = torc_sim_id(w->sim, i);
  if (n->ended != 0) {
    return;
  }
  torc_sim_index last = w->live[r][--w->num_live[r]];
  w->live[r][n->place] = last;
  w->nodes[last].place = n->place;
  n->ended = torc_sim_now(w->sim) == 0 ? 1 : torc_sim_now(w->sim);
  n->is_joined = false;
  n->is_vanished = has_vanished;
  if (has_vanished) {
    note_vanished(w, &id, n->ended);
  }
  for (const call *c = n->calls; c != NULL; c = c->next) {
    w->abandoned++;
    if (is_owners(c->kind)) {
      w->values[c->place].is_busy = false;
    }
  }
  free_calls(n);
  w->is_ring_old = true;
}

torc_work_node *torc_workload_node(torc_workload *w, torc_sim_index i) {
  return &w->nodes[i];
}

const torc_sim_index *torc_workload_live(const torc_workload *w, torc_role role, size_t *num) {
  *num = w->num_live[role_place(role)];
  return w->live[role_place(role)];
}

size_t torc_workload_joined(const torc_workload *w) {
  size_t n = 0;
  for (size_t r = 0; r < 2; r++) {
    for (size_t k = 0; k < w->num_live[r]; k++) {
      n += w->nodes[w->live[r][k]].is_joined;
    }
  }
  return n;
}

static bool ring_is_old(torc_workload *w) {
  uint64_t changes = 0;
  for (size_t k = 0; k < TORC_SIM_THREADS_MAX; k++) {
    changes += w->workers[k].ring_changes;
  }
  bool out = w->is_ring_old || changes != w->ring_changes;
  w->ring_changes = changes;
  w->is_ring_old = false;
  return out;
}

void torc_workload_ring_changed(torc_workload *w) {
  w->is_ring_old = true;
}

void torc_workload_set_apart(torc_workload *w, bool is_apart) {
  w->is_apart = is_apart;
}

bool torc_workload_is_apart(const torc_workload *w) {
  return w->is_apart;
}

const torc_ring *torc_workload_ring(torc_workload *w) {
  if (!ring_is_old(w)) {
    return &w->ring;
  }
  torc_ring_reset(&w->ring);
  torc_ring_reset(&w->joined);
  for (size_t k = 0; k < w->num_live[0]; k++) {
    torc_sim_index i = w->live[0][k];
    torc_id id = torc_sim_id(w->sim, i);
    int rc = torc_ring_add(&w->ring, &id, i, w->nodes[i].group);
    if (rc == 0 && w->nodes[i].is_joined) {
      rc = torc_ring_add(&w->joined, &id, i, w->nodes[i].group);
    }
    if (rc != 0) { /* without memory nothing can be said about the ring */
      torc_ring_reset(&w->ring);
      torc_ring_reset(&w->joined);
      w->is_ring_old = true;
      return &w->ring;
    }
  }
  torc_ring_sort(&w->ring);
  torc_ring_sort(&w->joined);
  return &w->ring;
}

/* ---- values ---- */

int torc_workload_add_value(torc_workload *w, torc_sim_index owner, uint32_t size,
                            torc_time lifetime, torc_time refresh, size_t *place) {
  void *values = w->values;
  char user[64];
  torc_node *n = torc_sim_node(w->sim, owner);
  int rc = room(&values, w->num_values, &w->cap_values, sizeof *w->values);
  w->values = values;
  if (rc != 0 || n == NULL) {
    return rc != 0 ? rc : TORC_ERR_STATE;
  }
  torc_work_value *v = &w->values[w->num_values];
  *v = (torc_work_value){.owner = owner,
                         .number = w->nodes[owner].num_values,
                         .lifetime = lifetime,
                         .refresh = refresh,
                         .size = size};
  (void)snprintf(user, sizeof user, "u%u@sim.example", owner);
  rc = torc_node_resource_id(n, torc_slice_str(user), &v->resource);
  if (rc != 0) {
    return rc;
  }
  w->nodes[owner].num_values++;
  *place = w->num_values++;
  return 0;
}

torc_work_value *torc_workload_value(torc_workload *w, size_t place) {
  return &w->values[place];
}

size_t torc_workload_num_values(const torc_workload *w) {
  return w->num_values;
}

bool torc_workload_is_owed(const torc_workload *w, size_t place) {
  const torc_work_value *v = &w->values[place];
  return v->answered > 0 && !v->is_to_go && !v->is_removed &&
         torc_sim_now(w->sim) + TORC_SEC(60) < v->answered_at + v->lifetime;
}

/* ---- plans ---- */

void torc_workload_lookup(torc_workload *w, torc_sim_index node, torc_time at) {
  torc_sim_call(w->sim, node, at, pack(CALL_LOOKUP, 0, 0));
}

void torc_workload_store(torc_workload *w, size_t place, torc_time at) {
  torc_sim_call(w->sim, w->values[place].owner, at, pack(CALL_STORE, 0, place));
}

void torc_workload_remove(torc_workload *w, size_t place, torc_time at) {
  w->values[place].is_to_go = true;
  torc_sim_call(w->sim, w->values[place].owner, at, pack(CALL_REMOVE, 0, place));
}

void torc_workload_fetch(torc_workload *w, torc_sim_index node, size_t place, torc_fetch_kind kind,
                         torc_time at) {
  const torc_work_value *v = &w->values[place];
  uint32_t need = v->is_removed ? NEED_REMOVED : torc_workload_is_owed(w, place) ? v->answered : 0;
  call_kind as = kind == TORC_FETCH_VERDICT  ? CALL_VERDICT
                 : kind == TORC_FETCH_ASKING ? CALL_ASK
                                             : CALL_FETCH;
  torc_sim_call(w->sim, node, at, pack(as, need, place));
}

/* ---- figures ---- */

size_t torc_workload_unended(const torc_workload *w, torc_time limit) {
  torc_time now = torc_sim_now(w->sim);
  size_t num = 0;
  for (size_t i = 0; i < w->num_nodes; i++) {
    for (const call *c = w->nodes[i].calls; c != NULL; c = c->next) {
      num += now - c->started > limit;
    }
  }
  return num;
}

size_t torc_workload_pending(const torc_workload *w) {
  uint64_t begun = 0;
  uint64_t ended_calls = w->abandoned;
  for (size_t k = 0; k < TORC_SIM_THREADS_MAX; k++) {
    begun += w->workers[k].calls_begun;
    ended_calls += w->workers[k].calls_ended;
  }
  return (size_t)(begun - ended_calls);
}

void torc_workload_measure(const torc_workload *w, torc_measure *out) {
  memset(out, 0, sizeof *out);
  for (size_t k = 0; k < TORC_SIM_THREADS_MAX; k++) {
    torc_measure_merge(out, &w->workers[k].measure);
  }
  out->counts[TORC_COUNT_ABANDONED] += w->abandoned;
}
