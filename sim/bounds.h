/* Nothing of a node grows without end: its tables stay below their limits, and at rest hold no more
 * than rest needs. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_BOUNDS_H
#define TORC_SIM_BOUNDS_H

#include "engine.h"

typedef struct torc_bounds {
  uint64_t num_over; /* tables of nodes above their bound */
  char fault[128];   /* the first of them */
} torc_bounds;

/* Looks at one node's tables. num_peers 0: beside their limits; else beside what they need at rest
 * in a ring of so many. Adds to *out. */
void torc_bounds_look(torc_sim *s, torc_sim_index i, size_t num_peers, torc_bounds *out);
/* Beside the memory of a node at rest, its store not counted. */
void torc_bounds_look_at_memory(uint64_t bytes_per_node, size_t num_peers, torc_bounds *out);

#endif
