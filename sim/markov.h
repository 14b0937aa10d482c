/* What share of values is lost for good while their holders come and go: a Markov chain over the
 * number of holders. Each of the three vanishes after an exponential time with the mean of the
 * session; each missing one is noticed and its copy made anew after an exponential time with the
 * mean of detection and copy together; no holder left is the end. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef TORC_SIM_MARKOV_H
#define TORC_SIM_MARKOV_H

#define TORC_MARKOV_HOLDERS 3
#define TORC_MARKOV_STEPS 256

typedef struct torc_markov {
  double session_s, detect_s, copy_s; /* means; session above 0 */
} torc_markov;

/* The probability that a value held three times at time 0 has no holder at `time_s`. */
double torc_markov_lost(const torc_markov *m, double time_s);
/* The same at the times 0, most_s / TORC_MARKOV_STEPS, ..., most_s. */
void torc_markov_curve(const torc_markov *m, double most_s, double out[TORC_MARKOV_STEPS + 1]);
/* Reads a time from such a curve. */
double torc_markov_at(const double curve[TORC_MARKOV_STEPS + 1], double most_s, double time_s);
/* The share of values whose three holders are all among a share `gone` that goes at once, of
 * `peers`. */
double torc_markov_at_once(double peers, double gone);

#endif
