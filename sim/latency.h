/* How long a message takes from one node to another.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_LATENCY_H
#define TORC_SIM_LATENCY_H

#include "sim/engine.h"

typedef struct sim_latency {
  torc_sim_latency_kind kind;
  torc_time least; /* no two nodes are nearer: the length of a window */
  torc_time most;
  torc_time base, across; /* PLANE: base + across * distance in squares' sides; FIXED: base */
  uint64_t seed;          /* of the places */
  uint32_t *delays;       /* MATRIX: rows of `side` microseconds */
  uint32_t side;
  char why[160]; /* of a matrix that cannot be used */
} sim_latency;

/* TORC_ERR_INVALID, TORC_ERR_IO, TORC_ERR_FORMAT (both of the matrix), TORC_ERR_NOMEM; l->why is a
 * sentence then. The numbers of `cfg` are complete. */
int sim_latency_init(sim_latency *l, const torc_sim_config *cfg) TORC_MUST_CHECK;
void sim_latency_clear(sim_latency *l);
/* One way; at least l->least, at most l->most. */
torc_time sim_latency_of(const sim_latency *l, torc_sim_index from, torc_sim_index to);

#endif
