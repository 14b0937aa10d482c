/* From a node to another: when it arrives, and where it waits until then.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "mix.h"

torc_time sim_way(sim_worker *w, sim_node *n, uint32_t peer) {
  const torc_sim *s = w->sim;
  torc_time way = sim_latency_of(&s->latency, n->index, peer);
  if (s->cfg.jitter_permille > 0) {
    way += sim_below(&n->rng, way * s->cfg.jitter_permille / 1000 + 1);
  }
  return way;
}

/* A link is a pipe: it holds its order, and each message takes its own time at the end of it. */
torc_time sim_arrival(sim_worker *w, sim_node *n, const sim_end *end, size_t len) {
  const torc_sim *s = w->sim;
  torc_time at = w->now + sim_way(w, n, end->peer);
  if (s->has_order) {
    torc_time *last = &n->last[end - n->ends];
    at = at > *last ? at : *last;
    if (s->cfg.bits_per_second > 0) {
      at += (uint64_t)len * 8 * TORC_SEC(1) / s->cfg.bits_per_second;
    }
    *last = at;
  }
  return at;
}

static int post_far(sim_lane *lane, const sim_event *e) {
  if (lane->num_far == lane->cap_far) {
    uint32_t cap = lane->cap_far == 0 ? 16 : lane->cap_far * 2;
    sim_event *v = realloc(lane->far, cap * sizeof *v);
    if (v == NULL) {
      return TORC_ERR_NOMEM;
    }
    lane->far = v;
    lane->cap_far = cap;
  }
  lane->far[lane->num_far] = *e;
  lane->num_far++;
  return 0;
}

/* The bucket for this time; NULL: beyond the ring. */
static sim_bucket *bucket_for(sim_worker *w, sim_lane *lane, torc_time at) {
  torc_sim *s = w->sim;
  uint64_t window = at / s->window_len;
  return window - s->window < s->ring_len ? &lane->ring[window % s->ring_len] : NULL;
}

void sim_post(sim_worker *w, sim_node *n, sim_event *e) {
  torc_sim *s = w->sim;
  int rc = 0;
  e->src = n->index;
  e->seq = n->seq++;
  if (e->at < w->limit) { /* only a node's own doing is so near */
    rc = sim_heap_push(&w->local, e);
  } else {
    sim_lane *lane = &w->lanes[e->dst % s->num_workers];
    sim_bucket *b = bucket_for(w, lane, e->at);
    rc = b == NULL ? post_far(lane, e) : sim_bucket_push(b, e);
  }
  if (rc != 0) {
    sim_fail(w, rc, "posting an event");
    if (e->is_owned) {
      free(e->u.bytes);
    }
  }
}

void sim_post_message(sim_worker *w, sim_node *n, sim_event *e, torc_slice head, torc_slice body) {
  torc_sim *s = w->sim;
  sim_bucket *b = bucket_for(w, &w->lanes[e->dst % s->num_workers], e->at);
  e->kind = SIM_MESSAGE;
  e->len = (uint32_t)(head.len + body.len);
  e->is_owned = b == NULL;
  e->u.bytes = b == NULL ? malloc(e->len) : sim_bucket_bytes(b, &w->chunks, e->len);
  if (e->u.bytes == NULL) {
    sim_fail(w, TORC_ERR_NOMEM, "sending a message");
    return;
  }
  if (head.len > 0) {
    memcpy(e->u.bytes, head.p, head.len);
  }
  if (body.len > 0) {
    memcpy(e->u.bytes + head.len, body.p, body.len);
  }
  sim_post(w, n, e);
}
