/* What the nodes of a run are asked to do, and what became of it: lookups, stores, fetches,
 * removes. The thread between the windows plans calls; they run in the hooks, on the threads of
 * their nodes, and touch what belongs to the node, to the worker, or to a value by its owner alone.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_WORKLOAD_H
#define TORC_SIM_WORKLOAD_H

#include "engine.h"
#include "invariant.h"
#include "measure.h"

typedef struct torc_workload torc_workload;

/* What a FETCH of the check at the end has brought. */
typedef enum torc_verdict {
  TORC_VERDICT_NONE = 0, /* not asked, or no answer */
  TORC_VERDICT_FOUND,
  TORC_VERDICT_STALE,
  TORC_VERDICT_MISSING
} torc_verdict;

/* A value and what its owner knows about it. Written by the owner's hooks; `verdict` by the one
 * that fetches it for the check. */
typedef struct torc_work_value {
  torc_id resource;
  torc_sim_index owner;
  uint32_t number;             /* its key among those of the owner */
  uint32_t issued, answered;   /* serials of STOREs */
  torc_time first_at;          /* when the first STORE was answered, 0: none was */
  torc_time answered_at;       /* the last one */
  torc_time lifetime, refresh; /* refresh 0: never */
  uint32_t size;
  bool is_busy;     /* a call of its owner is under way */
  bool is_removing; /* a REMOVE was sent; whether it was done is not known */
  bool is_removed;  /* a REMOVE was answered with 200 */
  bool is_to_go;    /* its removal is planned: a FETCH need not find it any more */
  bool is_gone;     /* no live peer held it when it was last looked for */
  uint8_t verdict;
} torc_work_value;

/* One per node ever created. */
typedef struct torc_work_node {
  struct torc_work_call *calls; /* under way */
  torc_time started, ended;     /* ended: 0 while it is up */
  uint32_t num_values;
  uint32_t place; /* in the list of the live ones of its role */
  uint8_t role, group;
  bool is_joined, has_left, is_vanished, is_hostile;
} torc_work_node;

int torc_workload_new(torc_workload **out) TORC_MUST_CHECK;
void torc_workload_free(torc_workload *w);
/* For torc_sim_config: before the simulator exists; then the simulator is told. */
void torc_workload_hooks(torc_workload *w, torc_sim_hooks *hooks);
void torc_workload_attach(torc_workload *w, torc_sim *s);

/* ---- between the windows ---- */

/* Room for one more node, before it is created: its hooks may run at once. */
int torc_workload_reserve(torc_workload *w) TORC_MUST_CHECK;
/* A node was created or started again / went down. */
int torc_workload_up(torc_workload *w, torc_sim_index i, torc_role role) TORC_MUST_CHECK;
void torc_workload_down(torc_workload *w, torc_sim_index i, bool has_vanished);
torc_work_node *torc_workload_node(torc_workload *w, torc_sim_index i);
/* Live nodes of a role, in no order but the same every time. */
const torc_sim_index *torc_workload_live(const torc_workload *w, torc_role role, size_t *num);
size_t torc_workload_joined(const torc_workload *w);
/* Live peers that do not leave, of all groups; built anew if the ring changed. */
const torc_ring *torc_workload_ring(torc_workload *w);
void torc_workload_ring_changed(torc_workload *w); /* groups were dealt out anew */
/* Whoever cannot reach the holders cannot know better: meanwhile no FETCH is called stale, missing
 * or resurrected, but those of the check, and what is removed need not stay so. */
void torc_workload_set_apart(torc_workload *w, bool is_apart);
bool torc_workload_is_apart(const torc_workload *w);

/* A value of `owner`, which is up; *number: its place in the list. */
int torc_workload_add_value(torc_workload *w, torc_sim_index owner, uint32_t size,
                            torc_time lifetime, torc_time refresh, size_t *place) TORC_MUST_CHECK;
torc_work_value *torc_workload_value(torc_workload *w, size_t place);
size_t torc_workload_num_values(const torc_workload *w);
/* Whether a FETCH has to find it: answered, not removed, its life not over. */
bool torc_workload_is_owed(const torc_workload *w, size_t place);

void torc_workload_lookup(torc_workload *w, torc_sim_index node, torc_time at);
void torc_workload_store(torc_workload *w, size_t place, torc_time at);
void torc_workload_remove(torc_workload *w, size_t place, torc_time at);
typedef enum torc_fetch_kind {
  TORC_FETCH_PLAIN,
  TORC_FETCH_ASKING, /* of the replicas as well */
  TORC_FETCH_VERDICT /* of the check at the end */
} torc_fetch_kind;
void torc_workload_fetch(torc_workload *w, torc_sim_index node, size_t place, torc_fetch_kind kind,
                         torc_time at);

/* Calls that have been under way for longer than `limit`. */
size_t torc_workload_unended(const torc_workload *w, torc_time limit);
/* Calls under way. */
size_t torc_workload_pending(const torc_workload *w);
/* Merged over the workers. */
void torc_workload_measure(const torc_workload *w, torc_measure *out);

#endif
