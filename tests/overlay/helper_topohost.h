/* A simulated network of topology plug-ins in virtual time: no node, no crypto, no sockets. It
 * routes PING and CONNECT hop by hop with the plug-ins' own answers, carries JOIN, LEAVE and UPDATE
 * over links, and keeps a toy store (one version number per key) so that transfer, drop_range and
 * replicas can be checked. One seed gives one run. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TEST_TOPOHOST_H
#define TORC_TEST_TOPOHOST_H

#include "base/id.h"
#include "overlay/topology/topology.h"

#define TOPOSIM_PEERS_MAX 260
#define TOPOSIM_KEYS_MAX 256
#define TOPOSIM_NONE ((size_t)-1)
#define TOPOSIM_TEXT_MAX 200

typedef struct toposim_config {
  const char *algorithm; /* NULL: chord-128-2-8 */
  uint64_t seed;
  torc_time update_period, ping_period, deletion_delay, retry_unreachable; /* 0: test defaults */
  torc_time latency_min, latency_max;                                      /* 0: 1 ms and 4 ms */
  unsigned loss_permille;      /* requests that are never answered */
  unsigned duplicate_permille; /* UPDATEs that arrive twice */
  const torc_mem *mem;         /* NULL: libc; given to the plug-ins only */
} toposim_config;

typedef struct toposim_counts {
  uint64_t requests, pings, connects, transfers, transfers_refused, updates, joins, took_over,
      drops;
  uint64_t routed, hops, lost_routes;
  unsigned max_hops;
} toposim_counts;

typedef struct toposim toposim;

toposim *toposim_new(const toposim_config *cfg);
void toposim_free(toposim *sim);
torc_time toposim_now(const toposim *sim);
torc_rng *toposim_rng(toposim *sim);
const toposim_counts *toposim_get_counts(const toposim *sim);

/* Adds a peer that is not running yet; random id if NULL. Every `is_bootstrap` peer can be asked by
 * ping_bootstrap. */
size_t toposim_add(toposim *sim, const torc_id *id, bool is_bootstrap);
/* Starts (or starts again) a peer that founds a ring (TOPOSIM_NONE) or joins through another one.
 * keep_store: its data survive. A joiner whose state becomes DISCONNECTED before it has ever joined
 * is started again like the node would. */
void toposim_start(toposim *sim, size_t which, size_t bootstrap, bool keep_store);
int toposim_try_start(toposim *sim, size_t which, size_t bootstrap);
void toposim_leave(toposim *sim, size_t which);
void toposim_kill(toposim *sim, size_t which);      /* links break within a few ms */
void toposim_freeze(toposim *sim, size_t which);    /* silent: links stay, nothing is answered */
void toposim_cut(toposim *sim, size_t a, size_t b); /* breaks one link */
void toposim_forbid(toposim *sim, size_t a, size_t b,
                    bool on); /* no link between the two can be made */
/* Splits the network: peers with different `side` cannot hear each other. */
void toposim_side(toposim *sim, size_t which, unsigned side);
unsigned toposim_side_of(const toposim *sim, size_t which);
void toposim_run(toposim *sim, torc_time duration);
/* Runs until ring and data are right, at most `limit`. NULL, or what is wrong. */
const char *toposim_settle(toposim *sim, torc_time limit);
/* Runs until the ring is right, whatever the data. */
const char *toposim_settle_ring(toposim *sim, torc_time limit);

/* Writes a new version of a key through `from`; it counts as answered when the replicas have
 * answered. */
void toposim_put(toposim *sim, size_t from, size_t key);
uint32_t toposim_answered(const toposim *sim, size_t key);
uint32_t toposim_held(const toposim *sim, size_t which, size_t key);
/* Number of answered keys that the responsible peer of their side does not hold up to date. */
size_t toposim_missing(toposim *sim);
/* Looks a random key up from a random peer; false: it did not reach the responsible peer. *hops is
 * the number of links it took. */
bool toposim_lookup(toposim *sim, unsigned *hops);

size_t toposim_num(const toposim *sim);
bool toposim_is_alive(const toposim *sim, size_t which);
torc_id toposim_id(const toposim *sim, size_t which);
torc_id toposim_key(const toposim *sim, size_t key);
torc_topology *toposim_topo(toposim *sim, size_t which);
const torc_topology_ops *toposim_ops(const toposim *sim);
torc_topology_view toposim_view(const toposim *sim, size_t which);
torc_topology_state toposim_state(const toposim *sim, size_t which);
torc_time toposim_joined_at(const toposim *sim, size_t which);
/* Peers in ring order among the living of `side`; returns how many. */
size_t toposim_ring(const toposim *sim, unsigned side, size_t out[TOPOSIM_PEERS_MAX]);
/* NULL, or what is wrong with the rings (one per side) or with the data; static text. */
const char *toposim_check_ring(toposim *sim);
const char *toposim_check_data(toposim *sim);
/* For helper_topocheck.c. */
char *toposim_text(toposim *sim);
uint64_t toposim_seed(const toposim *sim);
size_t toposim_copies(const toposim *sim); /* of one value, the owner's included */
size_t toposim_index(const toposim *sim, const torc_id *id);
bool toposim_is_linked(const toposim *sim, size_t a, size_t b);

#endif
