/* Between the files of the scenario reader. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_SCENARIO_IMPL_H
#define TORC_SIM_SCENARIO_IMPL_H

#include "scenario.h"

/* What is wrong with which word. */
typedef struct torc_complaint {
  const char *word;
  char why[400];
} torc_complaint;

/* Fills in the complaint; always TORC_ERR_FORMAT. */
int torc_complain(torc_complaint *c, const char *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets a setting from the words behind its name. TORC_ERR_NOTFOUND: there is no such setting. */
int torc_setting_set(torc_scenario *s, const char *name, char **words, size_t num_words,
                     torc_complaint *c) TORC_MUST_CHECK;
/* Reads the words of an action behind its time: the verb first. */
int torc_action_read(torc_action *a, const torc_scenario *s, char **words, size_t num_words,
                     torc_complaint *c) TORC_MUST_CHECK;

#endif
