/* A simulator for tests: it keeps its trace and what calls came to.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_HELPER_ENGINE_H
#define TORC_SIM_HELPER_ENGINE_H

#include "sim/engine.h"

#define RIG_NODES_MAX 256

typedef struct rig_node { /* touched by this node's worker only */
  unsigned num_joined, num_left, num_disconnected;
  unsigned num_done, num_failed; /* calls */
  torc_id responder;             /* of the last answered one */
  torc_time elapsed;
  char value[64];
  size_t num_values;
  unsigned num_heard, num_disordered; /* of rig_say */
  uint32_t heard;
} rig_node;

typedef struct rig {
  torc_sim *sim;
  char *trace;
  size_t trace_len, trace_cap;
  rig_node nodes[RIG_NODES_MAX];
} rig;

/* Fills in hooks and, if asked for, trace of `cfg`; fails the test if it cannot be made. */
void rig_start(rig *r, torc_sim_config *cfg, bool traces);
void rig_stop(rig *r);
/* Adds `num` nodes, one every second, then runs until all are joined (at most ten minutes). */
void rig_grow(rig *r, size_t num);
void rig_run(rig *r, torc_time duration);
/* All nodes that are up are joined, and the nearest neighbours of each are the right ones. */
bool rig_is_whole(rig *r);
/* PINGs the place opposite of every node from it; the number of those that did not get an answer of
 * the right node. */
unsigned rig_lookups_lost(rig *r);
/* Between two runs. */
void rig_store(rig *r, torc_sim_index i, const char *value);
void rig_fetch(rig *r, torc_sim_index i, torc_sim_index whose);
unsigned rig_links(rig *r, torc_sim_index i);
bool rig_is_linked(rig *r, torc_sim_index i, torc_sim_index to);
/* Sends `number` in a TUNNEL message of `len` bytes; the other node hears all in order, or counts.
 */
void rig_listen(rig *r, torc_sim_index i);
void rig_say(rig *r, torc_sim_index i, torc_sim_index to, uint32_t number, size_t len);

#endif
