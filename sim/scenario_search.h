/* Random bad days for small rings: each seed is a scenario, so that a broken one can be kept as a
 * file. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_SCENARIO_SEARCH_H
#define TORC_SIM_SCENARIO_SEARCH_H

#include "scenario.h"

#define TORC_SEARCH_PEERS_MIN 5u
#define TORC_SEARCH_PEERS_MAX 40u

/* Writes the scenario of a seed, NUL-terminated and freed with free. At most two peers go within
 * the time it takes to notice and to copy, so no answered write may be lost. algorithm NULL: any.
 * TORC_ERR_NOMEM. */
int torc_search_text(uint64_t seed, const char *algorithm, char **out) TORC_MUST_CHECK;

#endif
