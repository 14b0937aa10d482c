/* What a run has found: one line of JSON, a table, a page with plots.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_REPORT_H
#define TORC_SIM_REPORT_H

#include <stdio.h>

#include "scenario_run.h"

/* The last line of --json: sums up one run. */
void torc_report_json(FILE *to, const torc_run_result *r);
/* A run for people. */
void torc_report_text(FILE *to, const torc_run_result *r);
/* Several runs, a line each. */
void torc_report_table(FILE *to, const torc_run_result *runs, size_t num);

/* Whether gnuplot is there: to be asked before a long run. err: one line. TORC_ERR_NOTFOUND. */
int torc_report_can_plot(char *err, size_t err_cap) TORC_MUST_CHECK;
/* One page that needs nothing else: the runs, their plots (SVG made by gnuplot) and `text`, the
 * scenario. TORC_ERR_IO with a line in err. */
int torc_report_html(const char *path, const torc_run_result *runs, size_t num, const char *command,
                     const char *text, char *err, size_t err_cap) TORC_MUST_CHECK;

#endif
