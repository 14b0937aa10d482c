/* A plot by gnuplot: a script with its data is written, SVG comes back.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_REPORT_PLOT_H
#define TORC_SIM_REPORT_PLOT_H

#include <stdio.h>

#include "torc/types.h"

typedef struct torc_plot {
  FILE *script; /* the caller writes commands and data here */
} torc_plot;

/* Begins a script: terminal, colours, grid, title and axes. TORC_ERR_IO. */
int torc_plot_begin(torc_plot *p, const char *title, const char *x, const char *y) TORC_MUST_CHECK;
/* Runs gnuplot and writes the SVG element into `page`. TORC_ERR_NOTFOUND: there is no gnuplot;
 * TORC_ERR_IO: it failed. */
int torc_plot_end(torc_plot *p, FILE *page) TORC_MUST_CHECK;

#endif
