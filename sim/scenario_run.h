/* Runs a scenario on the engine and measures it. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_SCENARIO_RUN_H
#define TORC_SIM_SCENARIO_RUN_H

#include <stdio.h>

#include "bounds.h"
#include "markov.h"
#include "measure.h"
#include "scenario.h"

/* One interval of a run. */
typedef struct torc_sample {
  torc_time at;
  uint64_t peers, clients, joined;
  uint64_t values, gone, thin;      /* gone: no live peer holds it; thin: fewer than three do */
  uint64_t counts[TORC_NUM_COUNTS]; /* within the interval */
  double hops_mean;
  double messages, bytes; /* per node and minute */
} torc_sample;

/* What has become of the values at the last check. */
typedef struct torc_value_result {
  bool is_checked;
  uint64_t stored; /* whose STORE was ever answered with 200 */
  uint64_t owed;   /* of these, not removed, their life not over */
  uint64_t found, lost, lost_held, lost_gone, stale, unanswered;
  double at_once_share; /* in theory, of all three holders having gone at once */
  double model_share;   /* what the Markov model loses of those owed */
  torc_markov model;    /* with these means; session_s 0: no churn */
  double repair_s;      /* measured: how long a holder that is gone is missing; below 0: unknown */
} torc_value_result;

typedef struct torc_run_result {
  char name[TORC_SCENARIO_TEXT_MAX];
  char about[TORC_SCENARIO_LINE_MAX];
  char algorithm[TORC_SCENARIO_TEXT_MAX];
  char label[TORC_SCENARIO_LINE_MAX]; /* what sets it apart from other runs; the caller's */
  uint64_t seed;
  unsigned threads;
  uint64_t peers, clients, joined; /* live at the end */
  uint64_t moved;       /* peers that were done with their stage, when that was last looked at */
  torc_measure measure; /* since the last "measure", as all below */
  torc_time measured_from, ended_at;
  torc_sim_traffic traffic;
  double node_minutes;
  torc_hist load; /* messages sent by each live peer */
  torc_sim_memory memory;
  uint64_t bytes_per_node;
  uint64_t events; /* since the beginning */
  double wall_s;
  torc_value_result values;
  uint64_t resurrected, unended;
  torc_bounds overfull; /* above their limits, whenever looked at; only if that is expected */
  torc_bounds leftover; /* above what a node needs at rest, when last expected */
  bool is_whole;        /* the ring, when it was last looked at */
  double whole_s;       /* the last wait for ring=consistent; below 0: none */
  char fault[160];      /* of the ring, when it was last looked at */
  torc_sample *samples;
  size_t num_samples;
  uint64_t num_expects, num_failed;
} torc_run_result;

typedef struct torc_run_options {
  unsigned threads;
  FILE *json;       /* a line for each interval, expectation and check; NULL: none */
  FILE *progress;   /* NULL: none */
  bool is_terminal; /* progress is one line, rewritten; else a line a minute */
  FILE *said;       /* expectations and checks for people; NULL: none */
  FILE *trace;
} torc_run_options;

/* Runs it to its end. 0 also if expectations failed: result.num_failed says so. err: one line.
 * TORC_ERR_NOMEM, TORC_ERR_CONFIG (the engine refuses a setting). */
int torc_scenario_run(const torc_scenario *scenario, const torc_run_options *o,
                      torc_run_result *out, char *err, size_t err_cap) TORC_MUST_CHECK;
void torc_run_result_clear(torc_run_result *r);
/* NaN-free value of a measure; false: nothing was measured. */
bool torc_run_metric(const torc_run_result *r, torc_metric m, double *out);

#endif
