/* Windows, and the threads that go through them side by side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"

#define NODE_HOT 512u /* bytes of a node that every input touches */
#define KEYS_LEAST 256u
#define SPINS 4000u /* before a worker that waits for the others sleeps */

/* ---- a window, by one worker ---- */

static bool reserve_work(sim_worker *w, uint32_t more) {
  uint32_t need = w->num_work + more;
  if (need <= w->cap_work) {
    return true;
  }
  uint32_t cap = w->cap_work == 0 ? 256 : w->cap_work;
  while (cap < need) {
    cap *= 2;
  }
  sim_event *v = realloc(w->work, cap * sizeof *v);
  if (v == NULL) {
    return false;
  }
  w->work = v;
  w->cap_work = cap;
  return true;
}

/* A window cut short: what of the bucket is due is copied, the rest stays. */
static bool take_part(sim_worker *w, sim_bucket *b) {
  uint32_t rest = 0;
  if (!reserve_work(w, b->len)) {
    return false;
  }
  for (uint32_t i = 0; i < b->len; i++) {
    if (b->v[i].at < w->limit) {
      w->work[w->num_work] = b->v[i];
      w->num_work++;
    } else {
      b->v[rest] = b->v[i];
      rest++;
    }
  }
  b->len = rest;
  return true;
}

static sim_bucket *bucket_from(const sim_worker *w, unsigned from) {
  const torc_sim *s = w->sim;
  return &s->workers[from].lanes[w->index].ring[s->window % s->ring_len];
}

/* What is due and does not lie in a whole bucket. */
static bool gather(sim_worker *w, bool is_cut) {
  static const sim_event wake = {.kind = SIM_WAKE};
  w->num_work = 0;
  for (unsigned i = 0; is_cut && i < w->sim->num_workers; i++) {
    if (!take_part(w, bucket_from(w, i))) {
      return false;
    }
  }
  while (w->far.len > 0 && w->far.v[0].at < w->limit) {
    if (!reserve_work(w, 1)) {
      return false;
    }
    w->work[w->num_work] = sim_heap_pop(&w->far);
    w->num_work++;
  }
  while (w->wakes.len > 0 && w->wakes.v[0].at < w->limit) {
    if (!reserve_work(w, 1)) {
      return false;
    }
    w->work[w->num_work] = wake;
    w->work[w->num_work].dst = w->wakes.v[0].node;
    w->num_work++;
    sim_wakes_remove(&w->wakes, 0);
  }
  return true;
}

/* Room for `num` keys; much too much of it is given back. */
static bool reserve_keys(sim_worker *w, uint32_t num) {
  if (num <= w->cap_keys && w->cap_keys / 8 <= num + KEYS_LEAST) {
    return true;
  }
  uint32_t cap = num + num / 4 + KEYS_LEAST;
  free(w->keys);
  free(w->spare);
  w->keys = malloc(cap * sizeof *w->keys);
  w->spare = malloc(cap * sizeof *w->spare);
  w->cap_keys = w->keys == NULL || w->spare == NULL ? 0 : cap;
  return w->cap_keys > 0;
}

static void add_keys(sim_worker *w, const sim_event *v, uint32_t num) {
  torc_time start = w->sim->window * w->sim->window_len;
  for (uint32_t i = 0; i < num; i++) {
    const sim_event *e = &v[i];
    uint64_t at = e->kind == SIM_WAKE ? 0 : e->at - start + 1;
    w->keys[w->num_keys] = (sim_key){
        .first = (uint64_t)e->dst << 32 | at, .second = (uint64_t)e->src << 32 | e->seq, .e = e};
    w->num_keys++;
  }
}

static bool order(sim_worker *w, bool is_cut) {
  uint32_t num = w->num_work;
  for (unsigned i = 0; !is_cut && i < w->sim->num_workers; i++) {
    num += bucket_from(w, i)->len;
  }
  if (!reserve_keys(w, num)) {
    return false;
  }
  w->num_keys = 0;
  add_keys(w, w->work, w->num_work);
  for (unsigned i = 0; !is_cut && i < w->sim->num_workers; i++) {
    add_keys(w, bucket_from(w, i)->v, bucket_from(w, i)->len);
  }
  sim_keys_sort(w->keys, w->spare, w->num_keys);
  return true;
}

static uint32_t key_dst(const sim_key *k) {
  return (uint32_t)(k->first >> 32);
}

#define LINE 64u /* bytes of a cache line */

static void fetch(const void *p, size_t bytes) {
  for (size_t i = 0; p != NULL && i < bytes; i += LINE) {
    __builtin_prefetch((const uint8_t *)p + i);
  }
}

/* Nodes are far more than a cache holds: the next ones are on their way while one runs. */
static void look_ahead(const sim_worker *w, uint32_t i) {
  if (i + 2 < w->num_keys) {
    fetch(sim_node_at(w->sim, key_dst(&w->keys[i + 2])), sizeof(sim_node));
    fetch(w->keys[i + 2].e, sizeof(sim_event));
  }
  if (i < w->num_keys) {
    const sim_event *e = w->keys[i].e;
    const sim_node *n = sim_node_at(w->sim, e->dst);
    fetch(n->node, NODE_HOT);
    if (e->kind == SIM_MESSAGE) {
      fetch(e->u.bytes, e->len < 4 * LINE ? e->len : 4 * LINE);
      fetch(n->ends == NULL ? NULL : &n->ends[e->slot], 1);
    }
  }
}

/* Nothing is posted into this window's buckets while it is gone through, unless it is cut short. */
static void window(sim_worker *w, torc_time limit) {
  const torc_sim *s = w->sim;
  bool is_cut = limit < (s->window + 1) * s->window_len;
  w->limit = limit;
  if (!gather(w, is_cut) || !order(w, is_cut)) {
    sim_fail(w, TORC_ERR_NOMEM, "going through a window");
    w->limit = 0;
    return;
  }
  for (uint32_t i = 0; i < w->num_keys;) {
    uint32_t dst = key_dst(&w->keys[i]);
    uint32_t num = 1;
    while (i + num < w->num_keys && key_dst(&w->keys[i + num]) == dst) {
      num++;
    }
    look_ahead(w, i + num);
    sim_host_run(w, sim_node_at(s, dst), w->keys + i, num);
    i += num;
  }
  for (unsigned i = 0; !is_cut && i < s->num_workers; i++) {
    bucket_from(w, i)->len = 0;
  }
  w->limit = 0;
}

/* ---- after it ---- */

static uint64_t next_in_ring(const sim_worker *w) {
  const torc_sim *s = w->sim;
  for (uint32_t k = 0; k < s->ring_len; k++) {
    for (unsigned i = 0; i < s->num_workers; i++) {
      if (s->workers[i].lanes[w->index].ring[(s->window + k) % s->ring_len].len > 0) {
        return s->window + k;
      }
    }
  }
  return UINT64_MAX;
}

static uint64_t window_of(const torc_sim *s, torc_time at) {
  return at / s->window_len;
}

/* Fetches what the others have put far off, gives back memory, and looks what comes next. */
static void hand_over(sim_worker *w) {
  torc_sim *s = w->sim;
  for (unsigned i = 0; i < s->num_workers; i++) {
    sim_lane *from = &s->workers[i].lanes[w->index];
    for (uint32_t k = 0; k < from->num_far; k++) {
      if (sim_heap_push(&w->far, &from->far[k]) != 0) {
        sim_fail(w, TORC_ERR_NOMEM, "keeping an event");
      }
    }
    from->num_far = 0;
    sim_bucket_reset(&w->lanes[i].ring[s->window % s->ring_len], &w->chunks);
  }
  w->next_window = next_in_ring(w);
  if (w->far.len > 0 && window_of(s, w->far.v[0].at) < w->next_window) {
    w->next_window = window_of(s, w->far.v[0].at);
  }
  if (w->wakes.len > 0 && window_of(s, w->wakes.v[0].at) < w->next_window) {
    w->next_window = window_of(s, w->wakes.v[0].at);
  }
}

static void take_leavers(torc_sim *s) {
  for (unsigned i = 0; i < s->num_workers; i++) {
    sim_worker *w = &s->workers[i];
    for (uint32_t k = 0; k < w->num_leavers; k++) {
      sim_node *n = sim_node_at(s, w->leavers[k]);
      if (n->node != NULL && n->has_left) {
        sim_host_down(n, TORC_SIM_CRASH);
      }
      w->next_window = s->window + 1; /* what it says last is on its way */
    }
    w->num_leavers = 0;
  }
}

/* ---- threads ---- */

typedef struct sim_team {
  pthread_t threads[TORC_SIM_THREADS_MAX];
  unsigned num_threads, size;
  torc_time limit;
  bool is_over;
  atomic_uint arrived, round;
  pthread_mutex_t mutex;
  pthread_cond_t cond;
} sim_team;

static void barrier(sim_team *t) {
  unsigned round = atomic_load_explicit(&t->round, memory_order_acquire);
  if (atomic_fetch_add_explicit(&t->arrived, 1, memory_order_acq_rel) + 1 == t->size) {
    atomic_store_explicit(&t->arrived, 0, memory_order_relaxed);
    (void)pthread_mutex_lock(&t->mutex);
    atomic_fetch_add_explicit(&t->round, 1, memory_order_release);
    (void)pthread_cond_broadcast(&t->cond);
    (void)pthread_mutex_unlock(&t->mutex);
    return;
  }
  for (unsigned i = 0; i < SPINS; i++) {
    if (atomic_load_explicit(&t->round, memory_order_acquire) != round) {
      return;
    }
  }
  (void)pthread_mutex_lock(&t->mutex);
  while (atomic_load_explicit(&t->round, memory_order_acquire) == round) {
    (void)pthread_cond_wait(&t->cond, &t->mutex);
  }
  (void)pthread_mutex_unlock(&t->mutex);
}

static void *thread_main(void *ctx) {
  sim_worker *w = ctx;
  sim_team *t = w->sim->team;
  for (;;) {
    barrier(t);
    if (t->is_over) {
      return NULL;
    }
    window(w, t->limit);
    barrier(t);
    hand_over(w);
    barrier(t);
  }
}

int sim_team_new(torc_sim *s) {
  if (s->num_workers == 1) {
    return 0;
  }
  sim_team *t = calloc(1, sizeof *t);
  if (t == NULL) {
    return TORC_ERR_NOMEM;
  }
  s->team = t;
  (void)pthread_mutex_init(&t->mutex, NULL);
  (void)pthread_cond_init(&t->cond, NULL);
  t->size = s->num_workers;
  for (unsigned i = 1; i < s->num_workers; i++) {
    if (pthread_create(&t->threads[i], NULL, thread_main, &s->workers[i]) != 0) {
      t->size = t->num_threads + 1; /* those that wait are let go */
      return TORC_ERR_NOMEM;
    }
    t->num_threads++;
  }
  return 0;
}

void sim_team_free(torc_sim *s) {
  sim_team *t = s->team;
  if (t == NULL) {
    return;
  }
  t->is_over = true;
  barrier(t);
  for (unsigned i = 1; i <= t->num_threads; i++) {
    (void)pthread_join(t->threads[i], NULL);
  }
  (void)pthread_cond_destroy(&t->cond);
  (void)pthread_mutex_destroy(&t->mutex);
  free(t);
  s->team = NULL;
}

static void go(torc_sim *s, torc_time limit) {
  if (s->team == NULL) {
    window(&s->workers[0], limit);
    hand_over(&s->workers[0]);
    return;
  }
  s->team->limit = limit;
  barrier(s->team);
  window(&s->workers[0], limit);
  barrier(s->team);
  hand_over(&s->workers[0]);
  barrier(s->team);
}

/* ---- running ---- */

/* What was done to nodes since the last run. */
static void settle(torc_sim *s) {
  if (s->has_new_groups) {
    sim_link_part(s);
    s->has_new_groups = false;
  }
  for (uint32_t i = 0; i < s->num_touched; i++) {
    sim_node *n = sim_node_at(s, s->touched[i]);
    n->is_touched = false;
    sim_host_settle(n->worker, n);
  }
  s->num_touched = 0;
  for (unsigned i = 0; i < s->num_workers; i++) {
    hand_over(&s->workers[i]);
  }
}

static uint64_t next_window(const torc_sim *s) {
  uint64_t next = UINT64_MAX;
  for (unsigned i = 0; i < s->num_workers; i++) {
    next = s->workers[i].next_window < next ? s->workers[i].next_window : next;
  }
  return next;
}

static bool has_failed(torc_sim *s) {
  for (unsigned i = 0; i < s->num_workers && !s->is_failed; i++) {
    const sim_worker *w = &s->workers[i];
    if (w->failed != NULL) {
      s->is_failed = true;
      (void)snprintf(s->why, sizeof s->why, "%s: %s", w->failed, torc_strerror(w->failed_rc));
    }
  }
  return s->is_failed;
}

void torc_sim_run(torc_sim *s, torc_time until) {
  bool is_cut = false;
  s->is_running = true;
  settle(s);
  while (!is_cut && !has_failed(s)) {
    uint64_t next = next_window(s);
    if (next == UINT64_MAX || next * s->window_len > until) {
      break;
    }
    torc_time start = next * s->window_len;
    torc_time end = start + s->window_len;
    is_cut = end > until; /* `until` itself is gone through */
    s->window = next;
    s->now = start > s->now ? start : s->now;
    go(s, is_cut ? until + 1 : end);
    s->now = is_cut ? until : end;
    take_leavers(s);
    sim_trace_flush(s);
  }
  if (until != TORC_NEVER && !s->is_failed && until > s->now) {
    s->now = until;
  }
  s->window = window_of(s, s->now);
  s->is_running = false;
}
