/* SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_EVENTS 16u
#define CHUNK_BYTES 16384u
#define CHUNKS_LEAST 8u
#define WAKE_WAYS 4u

/* ---- buckets ---- */

struct sim_chunk {
  sim_chunk *next;
  uint32_t used, cap;
  uint8_t bytes[];
};

static int grow(void **v, uint32_t *cap, size_t item) {
  uint32_t more = *cap == 0 ? FIRST_EVENTS : *cap * 2;
  void *p = *cap > UINT32_MAX / 4 ? NULL : realloc(*v, more * item);
  if (p == NULL) {
    return TORC_ERR_NOMEM;
  }
  *v = p;
  *cap = more;
  return 0;
}

int sim_bucket_push(sim_bucket *b, const sim_event *e) {
  if (b->len == b->cap) {
    void *v = b->v;
    int rc = grow(&v, &b->cap, sizeof *b->v);
    b->v = v;
    if (rc != 0) {
      return rc;
    }
  }
  b->v[b->len] = *e;
  b->len++;
  b->most = b->len > b->most ? b->len : b->most;
  return 0;
}

static sim_chunk *new_chunk(sim_chunks *pool, size_t len) {
  sim_chunk *c = len <= CHUNK_BYTES ? pool->free : NULL;
  if (c != NULL) {
    pool->free = c->next;
    pool->num_free--;
  } else {
    size_t cap = len > CHUNK_BYTES ? len : CHUNK_BYTES;
    c = malloc(sizeof *c + cap);
    if (c == NULL) {
      return NULL;
    }
    c->cap = (uint32_t)cap;
    pool->bytes += cap;
  }
  pool->num_used++;
  c->used = 0;
  return c;
}

uint8_t *sim_bucket_bytes(sim_bucket *b, sim_chunks *pool, size_t len) {
  sim_chunk *c = b->chunks;
  if (c == NULL || c->cap - c->used < len) {
    c = new_chunk(pool, len);
    if (c == NULL) {
      return NULL;
    }
    c->next = b->chunks;
    b->chunks = c;
  }
  uint8_t *p = c->bytes + c->used;
  c->used += (uint32_t)len;
  return p;
}

/* Half as many as are in use are kept for the next messages. */
static void give_back(sim_bucket *b, sim_chunks *pool) {
  while (b->chunks != NULL) {
    sim_chunk *c = b->chunks;
    b->chunks = c->next;
    pool->num_used--;
    if (c->cap != CHUNK_BYTES || pool->num_free > pool->num_used / 2 + CHUNKS_LEAST) {
      pool->bytes -= c->cap;
      free(c);
    } else {
      c->next = pool->free;
      pool->free = c;
      pool->num_free++;
    }
  }
}

void sim_bucket_reset(sim_bucket *b, sim_chunks *pool) {
  if (b->len > 0) {
    return;
  }
  give_back(b, pool);
  if (b->most < b->cap / 4) { /* grown in a burst that is over */
    free(b->v);
    b->v = NULL;
    b->cap = 0;
  }
  b->most = 0;
}

void sim_bucket_clear(sim_bucket *b, sim_chunks *pool) {
  for (uint32_t i = 0; i < b->len; i++) {
    if (b->v[i].is_owned) {
      free(b->v[i].u.bytes);
    }
  }
  give_back(b, pool);
  free(b->v);
  *b = (sim_bucket){.len = 0};
}

void sim_chunks_clear(sim_chunks *pool) {
  while (pool->free != NULL) {
    sim_chunk *next = pool->free->next;
    free(pool->free);
    pool->free = next;
  }
  *pool = (sim_chunks){.bytes = 0};
}

/* ---- heap of events ---- */

bool sim_event_before(const sim_event *a, const sim_event *b) {
  if (a->at != b->at) {
    return a->at < b->at;
  }
  if (a->dst != b->dst) {
    return a->dst < b->dst;
  }
  return a->src != b->src ? a->src < b->src : a->seq < b->seq;
}

int sim_heap_push(sim_heap *h, const sim_event *e) {
  if (h->len == h->cap) {
    void *v = h->v;
    int rc = grow(&v, &h->cap, sizeof *h->v);
    h->v = v;
    if (rc != 0) {
      return rc;
    }
  }
  uint32_t i = h->len++;
  while (i > 0 && sim_event_before(e, &h->v[(i - 1) / 2])) {
    h->v[i] = h->v[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  h->v[i] = *e;
  return 0;
}

sim_event sim_heap_pop(sim_heap *h) {
  sim_event first = h->v[0];
  sim_event last = h->v[--h->len];
  uint32_t i = 0;
  for (;;) {
    uint32_t c = 2 * i + 1;
    if (c >= h->len) {
      break;
    }
    if (c + 1 < h->len && sim_event_before(&h->v[c + 1], &h->v[c])) {
      c++;
    }
    if (!sim_event_before(&h->v[c], &last)) {
      break;
    }
    h->v[i] = h->v[c];
    i = c;
  }
  if (h->len > 0) {
    h->v[i] = last;
  }
  return first;
}

void sim_heap_clear(sim_heap *h) {
  for (uint32_t i = 0; i < h->len; i++) {
    if (h->v[i].is_owned) {
      free(h->v[i].u.bytes);
    }
  }
  free(h->v);
  *h = (sim_heap){.len = 0};
}

/* ---- wake-ups ---- */

static void place(sim_wakes *w, uint32_t at, sim_wake_entry e) {
  w->v[at] = e;
  w->moved(w->ctx, e.node, at);
}

static void rise(sim_wakes *w, uint32_t i, sim_wake_entry e) {
  while (i > 0 && e.at < w->v[(i - 1) / WAKE_WAYS].at) {
    place(w, i, w->v[(i - 1) / WAKE_WAYS]);
    i = (i - 1) / WAKE_WAYS;
  }
  place(w, i, e);
}

static void sink(sim_wakes *w, uint32_t i, sim_wake_entry e) {
  for (;;) {
    uint32_t first = WAKE_WAYS * i + 1;
    uint32_t best = first;
    if (first >= w->len) {
      break;
    }
    for (uint32_t c = first + 1; c < first + WAKE_WAYS && c < w->len; c++) {
      if (w->v[c].at < w->v[best].at) {
        best = c;
      }
    }
    if (e.at <= w->v[best].at) {
      break;
    }
    place(w, i, w->v[best]);
    i = best;
  }
  place(w, i, e);
}

int sim_wakes_add(sim_wakes *w, uint32_t node, torc_time at) {
  if (w->len == w->cap) {
    void *v = w->v;
    int rc = grow(&v, &w->cap, sizeof *w->v);
    w->v = v;
    if (rc != 0) {
      return rc;
    }
  }
  w->len++;
  rise(w, w->len - 1, (sim_wake_entry){.at = at, .node = node});
  return 0;
}

void sim_wakes_set(sim_wakes *w, uint32_t at_place, torc_time at) {
  sim_wake_entry e = {.at = at, .node = w->v[at_place].node};
  if (at < w->v[at_place].at) {
    rise(w, at_place, e);
  } else {
    sink(w, at_place, e);
  }
}

void sim_wakes_remove(sim_wakes *w, uint32_t at_place) {
  sim_wake_entry gone = w->v[at_place];
  sim_wake_entry last = w->v[--w->len];
  w->moved(w->ctx, gone.node, SIM_WAKE_NONE);
  if (at_place < w->len) {
    if (last.at < gone.at) {
      rise(w, at_place, last);
    } else {
      sink(w, at_place, last);
    }
  }
}

void sim_wakes_clear(sim_wakes *w) {
  free(w->v);
  w->v = NULL;
  w->len = 0;
  w->cap = 0;
}

/* ---- order ---- */

#define INSERTION_MAX 12u

static bool is_before(const sim_key *a, const sim_key *b) {
  return a->first != b->first ? a->first < b->first : a->second < b->second;
}

static void insertion(sim_key *k, size_t num) {
  for (size_t i = 1; i < num; i++) {
    sim_key x = k[i];
    size_t at = i;
    while (at > 0 && is_before(&x, &k[at - 1])) {
      k[at] = k[at - 1];
      at--;
    }
    k[at] = x;
  }
}

static void merge(const sim_key *a, size_t num_a, const sim_key *b, size_t num_b, sim_key *out) {
  while (num_a > 0 && num_b > 0) {
    if (is_before(b, a)) {
      *out++ = *b++;
      num_b--;
    } else {
      *out++ = *a++;
      num_a--;
    }
  }
  if (num_a > 0) {
    memcpy(out, a, num_a * sizeof *out);
  }
  if (num_b > 0) {
    memcpy(out, b, num_b * sizeof *out);
  }
}

void sim_keys_sort(sim_key *keys, sim_key *spare, size_t num) {
  sim_key *from = keys;
  sim_key *to = spare;
  for (size_t i = 0; i < num; i += INSERTION_MAX) {
    insertion(keys + i, num - i < INSERTION_MAX ? num - i : INSERTION_MAX);
  }
  for (size_t width = INSERTION_MAX; width < num; width *= 2) {
    for (size_t i = 0; i < num; i += 2 * width) {
      size_t left = num - i < width ? num - i : width;
      size_t right = num - i - left < width ? num - i - left : width;
      merge(from + i, left, from + i + left, right, to + i);
    }
    sim_key *t = from;
    from = to;
    to = t;
  }
  if (from != keys) {
    memcpy(keys, from, num * sizeof *keys);
  }
}
