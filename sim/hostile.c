/* Hostile nodes: real ones, whose inputs and outputs are changed on the way.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "impl.h"
#include "mix.h"
#include "store.h"

/* First byte of a key of the store, and where in a key of that table the kind of record is. */
#define TABLE_FORMAT 0x00
#define TABLE_SLOT 0x01
#define AT_KIND (1u + TORC_ID_LEN + 3u)
#define KIND_ELEMENT 0x01

struct sim_hostile {
  torc_backend inner; /* the node's own table */
  bool is_wrapped;
  unsigned behaviours;
  uint64_t xid; /* of the message that came last */
  bool is_response;
};

/* ---- what it stores ---- */

static int h_begin(void *ctx, bool write) {
  const sim_hostile *h = ctx;
  return h->inner.begin(h->inner.ctx, write);
}

static int h_commit(void *ctx) {
  const sim_hostile *h = ctx;
  return h->inner.commit(h->inner.ctx);
}

static void h_abort(void *ctx) {
  const sim_hostile *h = ctx;
  h->inner.abort(h->inner.ctx);
}

/* The record that says how the store is laid out is nothing that anybody asks for. */
static bool is_denied(const sim_hostile *h, torc_slice key) {
  return (h->behaviours & TORC_SIM_DENIES) != 0 && key.len > 0 && key.p[0] != TABLE_FORMAT;
}

static int h_get(void *ctx, torc_slice key, torc_slice *value) {
  const sim_hostile *h = ctx;
  return is_denied(h, key) ? TORC_ERR_NOTFOUND : h->inner.get(h->inner.ctx, key, value);
}

/* Once there, an element neither changes nor goes. */
static bool is_kept(const sim_hostile *h, torc_slice key) {
  torc_slice old;
  return (h->behaviours & TORC_SIM_STALE) != 0 && key.len > AT_KIND && key.p[0] == TABLE_SLOT &&
         key.p[AT_KIND] == KIND_ELEMENT && h->inner.get(h->inner.ctx, key, &old) == 0;
}

static int h_put(void *ctx, torc_slice key, torc_slice value) {
  const sim_hostile *h = ctx;
  return is_kept(h, key) ? 0 : h->inner.put(h->inner.ctx, key, value);
}

static int h_del(void *ctx, torc_slice key) {
  const sim_hostile *h = ctx;
  return is_kept(h, key) ? 0 : h->inner.del(h->inner.ctx, key);
}

static int h_seek(void *ctx, torc_slice key, torc_slice *found_key, torc_slice *value) {
  const sim_hostile *h = ctx;
  return is_denied(h, key) ? TORC_ERR_NOTFOUND : h->inner.seek(h->inner.ctx, key, found_key, value);
}

static void wrap(sim_node *n) {
  sim_hostile *h = n->hostility;
  if (n->store == NULL || h->is_wrapped) {
    return;
  }
  h->inner = n->store->table;
  h->is_wrapped = true;
  n->store->table = (torc_backend){.ctx = h,
                                   .begin = h_begin,
                                   .commit = h_commit,
                                   .abort = h_abort,
                                   .get = h_get,
                                   .put = h_put,
                                   .del = h_del,
                                   .seek = h_seek};
}

void sim_hostile_clear(sim_worker *w, sim_node *n) {
  if (n->hostility != NULL) {
    if (n->hostility->is_wrapped && n->store != NULL) {
      n->store->table = n->hostility->inner;
    }
    torc_free(&w->engine.mem, n->hostility);
    n->hostility = NULL;
  }
}

void sim_hostile_set(sim_worker *w, sim_node *n, unsigned behaviours) {
  bool floods = (n->hostile & TORC_SIM_FLOODS) != 0;
  n->hostile = (uint8_t)behaviours;
  if (behaviours == 0 || n->node == NULL) {
    sim_hostile_clear(w, n);
    return;
  }
  if (n->hostility == NULL) {
    n->hostility = torc_calloc(&w->engine.mem, 1, sizeof *n->hostility);
    floods = false;
  }
  if (n->hostility == NULL) {
    sim_fail(w, TORC_ERR_NOMEM, "making a node hostile");
    n->hostile = 0;
    return;
  }
  n->hostility->behaviours = behaviours;
  wrap(n);
  if (!floods && (behaviours & TORC_SIM_FLOODS) != 0) {
    sim_hostile_start(w, n);
  }
}

/* ---- what it forwards ---- */

void sim_hostile_input(sim_node *n, torc_slice bytes) {
  sim_message m;
  sim_message_read(bytes, torc_slice_of(NULL, 0), &m);
  n->hostility->xid = m.xid;
  n->hostility->is_response = m.is_valid && m.is_response;
}

/* A request on its way has passed somebody; a response on its way is the one that just came. */
static bool is_forwarded(const sim_hostile *h, const sim_message *m) {
  return m->is_response ? h->is_response && m->xid == h->xid : m->has_via;
}

static sim_end *random_end(sim_node *n, uint16_t *slot) {
  uint32_t start = (uint32_t)sim_below(&n->rng, n->num_ends);
  for (uint32_t i = 0; i < n->num_ends; i++) {
    uint16_t at = (uint16_t)((start + i) % n->num_ends);
    if (n->ends[at].state == SIM_END_UP) {
      *slot = at;
      return &n->ends[at];
    }
  }
  return NULL;
}

sim_end *sim_hostile_send(sim_node *n, const sim_message *m, sim_end *end, uint16_t *slot) {
  const sim_hostile *h = n->hostility;
  if (!is_forwarded(h, m)) {
    return end;
  }
  if ((h->behaviours & TORC_SIM_DROPS) != 0) {
    return NULL;
  }
  return (h->behaviours & TORC_SIM_MISROUTES) != 0 ? random_end(n, slot) : end;
}

/* ---- what it asks ---- */

void sim_hostile_start(sim_worker *w, sim_node *n) {
  sim_event e = {.at = w->now + TORC_SEC(1) / w->sim->cfg.flood_rate,
                 .dst = n->index,
                 .kind = SIM_FLOOD,
                 .len = n->life};
  sim_post(w, n, &e);
}

void sim_hostile_flood(sim_worker *w, sim_node *n) {
  torc_id place;
  torc_token token = 0;
  if ((n->hostile & TORC_SIM_FLOODS) == 0) {
    return;
  }
  for (unsigned i = 0; i < TORC_ID_LEN; i++) {
    place.b[i] = (uint8_t)sim_next(&n->rng);
  }
  /* It may be refused: not joined yet, or too many under way. */
  (void)!torc_node_ping(n->node, &place, 1, 0, w->now, &token);
  sim_hostile_start(w, n);
}
