/* Between the files that run a scenario. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_SCENARIO_IMPL_RUN_H
#define TORC_SIM_SCENARIO_IMPL_RUN_H

#include "base/rng.h"
#include "scenario_run.h"
#include "workload.h"

#define STEP TORC_MS(100) /* between two plans of an action that goes on */
#define JOIN_STEP TORC_MS(50)
#define VERIFY_ROUNDS 4u /* who got no answer asks again */

typedef enum act_state { ACT_WAITS, ACT_RUNS, ACT_DONE } act_state;

typedef struct act {
  const torc_action *a;
  act_state state;
  torc_time started, ended, wake;
  uint64_t done, total; /* of what it does one after the other */
  torc_sim_index *nodes;
  size_t num_nodes; /* it chose */
  unsigned round;
} act;

/* The end of a session, or the return of a node. */
typedef struct session {
  torc_time at;
  torc_sim_index node;
  uint32_t life;
  bool is_return;
} session;

typedef struct run {
  const torc_scenario *sc;
  const torc_run_options *o;
  torc_sim *s;
  torc_workload *w;
  torc_rng rng;
  act *acts;
  size_t num_acts;
  session *sessions; /* heap by (at, node) */
  size_t num_sessions, cap_sessions;
  uint32_t *lives; /* per node: how often it was started */
  size_t num_lives;
  unsigned num_bootstrap;
  double at_once_share; /* of the values of which all holders were among peers that went at once */
  /* churn, for the model: its means and when it went on */
  double session_mean_s;
  torc_time churn_from, churn_to;
  double held, missing; /* holders of values, and those to three, summed over its intervals */
  /* measures */
  torc_measure base;
  torc_sim_traffic base_traffic;
  uint64_t *base_load;
  size_t num_base_load;
  torc_time measured_from, counted_to;
  double node_us;      /* live nodes times time since measured_from */
  torc_measure before; /* at the last interval */
  torc_sim_traffic before_traffic;
  double before_node_us;
  torc_time next_sample;
  double wall_started, wall_shown;
  torc_run_result *r;
  int rc;
} run;

/* scenario_act.c */
void torc_act_start(run *r, act *x);
void torc_act_step(run *r, act *x);
void torc_act_finish(const run *r, act *x);
void torc_sessions_due(run *r);
torc_time torc_sessions_next(const run *r);

/* scenario_verify.c */
void torc_verify_step(run *r, act *x);
/* Marks the values that nobody holds; the number of those that fewer than three peers hold. While
 * there is churn, also sums up holders. */
uint64_t torc_count_holders(run *r);
/* After this a call has ended [RTX-02]. */
torc_time torc_run_call_life(const run *r);

/* scenario_run.c */
void torc_run_note_measure(run *r);
void torc_run_figures(run *r);
void torc_run_expect_step(run *r, act *x);
double torc_run_wall(void);

#endif
