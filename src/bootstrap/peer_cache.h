/* Peers of earlier runs, by which a node finds the overlay again [BST-03] [BST-09..12] [GAP-139].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BOOTSTRAP_PEER_CACHE_H
#define TORC_BOOTSTRAP_PEER_CACHE_H

#include "torc/node.h"

#define TORC_PEER_CACHE_MAX 10               /* [BST-12] */
#define TORC_PEER_CACHE_FAILURES 3           /* [GAP-139] so many failed dials drop an entry */
#define TORC_PEER_CACHE_PERIOD TORC_SEC(600) /* [GAP-139] between two looks at the links */

typedef struct torc_cached_peer {
  torc_endpoint at; /* with the peer-id */
  torc_link_kind transport;
  torc_wall last_seen;
  uint32_t failures; /* since it was last seen */
} torc_cached_peer;

/* Most recently seen first; of equal ones the older entry. One entry per peer-id. */
typedef struct torc_peer_cache {
  torc_cached_peer list[TORC_PEER_CACHE_MAX];
  size_t len;
  bool is_changed; /* since the owner last set it false */
} torc_peer_cache;

void torc_peer_cache_init(torc_peer_cache *c);
/* Adds one entry as read from a file; false: no peer-id, host or port, or a peer that is there
 * already, or full. */
bool torc_peer_cache_add(torc_peer_cache *c, const torc_cached_peer *entry);
/* Takes note of the peers linked directly at `now`: those in the cache are refreshed, others take
 * free places and the places of entries not linked, the longest unseen first. */
void torc_peer_cache_look(torc_peer_cache *c, const torc_cached_peer *linked, size_t num,
                          torc_wall now);
/* A dial to `at` failed; the third failure drops the entry. False: not in the cache. */
bool torc_peer_cache_failed(torc_peer_cache *c, const torc_endpoint *at);
/* For torc_node_config.cached; returns the number written. */
size_t torc_peer_cache_endpoints(const torc_peer_cache *c, torc_endpoint *out, size_t max);

#endif
