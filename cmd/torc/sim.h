/* torc sim: scenarios of the simulator. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_SIM_H
#define TORC_CMD_SIM_H

#include "sim/report.h"
#include "sim/scenario.h"

#define SIM_PATH_MAX 1024u
#define SIM_OVERRIDES_MAX 32u
#define SIM_GROUPS_MAX 8u
#define SIM_RUNS_MAX 256u

/* Finds a scenario by its name in $TORC_SCENARIOS, the installed directory or the source tree, or
 * by its path. False: a complaint was printed. */
bool sim_find(const char *name, char path[SIM_PATH_MAX]);
/* torc sim list [--json]. */
int sim_list(bool json);
/* torc sim show NAME. */
int sim_show(const char *name);

/* --sweep NAME=A,B: every combination of what stands in one group is a run. */
typedef struct sim_group {
  char *names[SIM_OVERRIDES_MAX], *values[SIM_OVERRIDES_MAX]; /* values: with commas */
  size_t num;
} sim_group;
/* The runs of all groups: calls `each` with what is set for each; stops where it returns nonzero.
 */
int sim_sweep(const sim_group *groups, size_t num_groups, void *ctx,
              int (*each)(void *ctx, const torc_override *overrides, size_t num));

#endif
