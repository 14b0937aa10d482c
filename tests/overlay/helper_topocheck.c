/* What a ring of simulated plug-ins must look like. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "overlay/helper_topohost.h"

static const char *complain(toposim *sim, const char *what, size_t who, size_t n) {
  char hex[TORC_ID_HEX_LEN + 1];
  torc_id id = toposim_id(sim, who);
  torc_id_hex(&id, hex);
  (void)snprintf(toposim_text(sim), TOPOSIM_TEXT_MAX, "seed %llu t=%.3fs peer %zu (%.8s): %s (%zu)",
                 (unsigned long long)toposim_seed(sim), (double)toposim_now(sim) / 1e6, who, hex,
                 what, n);
  return toposim_text(sim);
}

static bool is_before(const toposim *sim, size_t a, size_t b) {
  torc_id x = toposim_id(sim, a);
  torc_id y = toposim_id(sim, b);
  return torc_id_cmp(&x, &y) < 0;
}

size_t toposim_ring(const toposim *sim, unsigned side, size_t out[TOPOSIM_PEERS_MAX]) {
  size_t num = 0;
  for (size_t i = 0; i < toposim_num(sim); i++) {
    size_t at = num;
    if (!toposim_is_alive(sim, i) || toposim_side_of(sim, i) != side) {
      continue;
    }
    while (at > 0 && is_before(sim, i, out[at - 1])) {
      out[at] = out[at - 1];
      at--;
    }
    out[at] = i;
    num++;
  }
  return num;
}

/* Is `id` the peer `offset` places clockwise from place `at`? */
static bool is_at(const toposim *sim, const torc_id *id, const size_t *ring, size_t num, size_t at,
                  size_t offset) {
  torc_id want = toposim_id(sim, ring[(at + offset) % num]);
  return torc_id_eq(id, &want);
}

static const char *check_peer(toposim *sim, const size_t *ring, size_t num, size_t at) {
  torc_topology_view v = toposim_view(sim, ring[at]);
  size_t want = num - 1 < 3 ? num - 1 : 3;
  if (v.state != TORC_TOPO_JOINED &&
      !(num == 1 && v.state == TORC_TOPO_DISCONNECTED && v.is_responsible)) {
    return complain(sim, "is not joined; state", ring[at], (size_t)v.state);
  }
  if (v.num_successors < want || v.num_predecessors < want) {
    return complain(sim, "knows too few neighbours", ring[at], v.num_successors);
  }
  for (size_t i = 0; i < want; i++) {
    if (!is_at(sim, &v.successors[i], ring, num, at, 1 + i)) {
      return complain(sim, "has a wrong successor", ring[at], i);
    }
    if (!is_at(sim, &v.predecessors[i], ring, num, at, num - 1 - i)) {
      return complain(sim, "has a wrong predecessor", ring[at], i);
    }
  }
  if (!is_at(sim, &v.range_from, ring, num, at, num - 1)) {
    return complain(sim, "has a wrong range", ring[at], num);
  }
  return NULL;
}

const char *toposim_check_ring(toposim *sim) {
  size_t ring[TOPOSIM_PEERS_MAX];
  for (unsigned side = 0; side < 4; side++) {
    size_t num = toposim_ring(sim, side, ring);
    for (size_t i = 0; i < num; i++) {
      const char *wrong = check_peer(sim, ring, num, i);
      if (wrong != NULL) {
        return wrong;
      }
    }
  }
  return NULL;
}

/* Where in the ring an id belongs. */
static size_t owner_at(const toposim *sim, const size_t *ring, size_t num, const torc_id *id) {
  for (size_t i = 0; i < num; i++) {
    torc_id peer = toposim_id(sim, ring[i]);
    if (torc_id_cmp(&peer, id) >= 0) {
      return i;
    }
  }
  return 0;
}

const char *toposim_check_data(toposim *sim) {
  size_t ring[TOPOSIM_PEERS_MAX];
  size_t num = toposim_ring(sim, 0, ring);
  size_t want = toposim_copies(sim);
  for (size_t k = 0; k < TOPOSIM_KEYS_MAX; k++) {
    torc_id key = toposim_key(sim, k);
    size_t at = owner_at(sim, ring, num, &key);
    for (size_t i = 0; i < want && i < num && toposim_answered(sim, k) > 0; i++) {
      size_t who = ring[(at + i) % num];
      if (toposim_held(sim, who, k) < toposim_answered(sim, k)) {
        return complain(sim, i == 0 ? "lacks a key of its own" : "lacks a key as replica", who, k);
      }
    }
  }
  return NULL;
}

size_t toposim_missing(toposim *sim) {
  size_t ring[TOPOSIM_PEERS_MAX];
  size_t num = toposim_ring(sim, 0, ring);
  size_t missing = 0;
  for (size_t k = 0; k < TOPOSIM_KEYS_MAX; k++) {
    torc_id key = toposim_key(sim, k);
    size_t at = owner_at(sim, ring, num, &key);
    missing += toposim_held(sim, ring[at], k) < toposim_answered(sim, k) ? 1 : 0;
  }
  return missing;
}

const char *toposim_settle_ring(toposim *sim, torc_time limit) {
  torc_time end = toposim_now(sim) + limit;
  const char *wrong = toposim_check_ring(sim);
  while (wrong != NULL && toposim_now(sim) < end) {
    toposim_run(sim, TORC_MS(50));
    wrong = toposim_check_ring(sim);
  }
  return wrong;
}

const char *toposim_settle(toposim *sim, torc_time limit) {
  torc_time end = toposim_now(sim) + limit;
  const char *wrong;
  for (;;) {
    wrong = toposim_check_ring(sim);
    if (wrong == NULL) {
      wrong = toposim_check_data(sim);
    }
    if (wrong == NULL || toposim_now(sim) >= end) {
      return wrong;
    }
    toposim_run(sim, TORC_MS(50));
  }
}

bool toposim_lookup(toposim *sim, unsigned *hops) {
  const torc_topology_ops *ops = toposim_ops(sim);
  size_t ring[TOPOSIM_PEERS_MAX];
  size_t num = toposim_ring(sim, 0, ring);
  size_t at = ring[torc_rng_below(toposim_rng(sim), num)];
  torc_id target, next;
  unsigned n = 0;
  for (size_t b = 0; b < TORC_ID_LEN; b++) {
    target.b[b] = (uint8_t)torc_rng_below(toposim_rng(sim), 256);
  }
  while (!ops->is_responsible(toposim_topo(sim, at), &target)) {
    if (n == 100 || !ops->next_hop(toposim_topo(sim, at), &target, &next)) {
      return false;
    }
    at = toposim_index(sim, &next);
    n++;
  }
  *hops = n;
  return ring[owner_at(sim, ring, num, &target)] == at;
}
