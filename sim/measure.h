/* Histograms and counters of a run. Each worker has its own; merged they do not depend on how the
 * nodes were dealt out to threads. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_MEASURE_H
#define TORC_SIM_MEASURE_H

#include "torc/types.h"

/* Exact below 64, then 32 steps for each doubling: at most 3.2 % too low. */
#define TORC_HIST_BUCKETS (64u + 58u * 32u)
typedef struct torc_hist {
  uint64_t count, sum;
  uint64_t buckets[TORC_HIST_BUCKETS];
} torc_hist;

void torc_hist_add(torc_hist *h, uint64_t value);
void torc_hist_merge(torc_hist *to, const torc_hist *from);
/* Takes away what was there before; `before` must be an earlier state of `h`. */
void torc_hist_subtract(torc_hist *h, const torc_hist *before);
/* 0 if it is empty. */
double torc_hist_mean(const torc_hist *h);
/* The least value (of its bucket the lowest) that `permille` of all do not exceed; 0 if it is
 * empty. 1000: the greatest. */
uint64_t torc_hist_percentile(const torc_hist *h, unsigned permille);
/* The lowest value of a bucket. */
uint64_t torc_hist_low(size_t bucket);

typedef enum torc_count {
  TORC_COUNT_LOOKUPS, /* that have ended */
  TORC_COUNT_LOOKUP_OK,
  TORC_COUNT_LOOKUP_WRONG, /* answered by a peer that was not responsible */
  TORC_COUNT_STORES,
  TORC_COUNT_STORE_OK,
  TORC_COUNT_FETCHES,
  TORC_COUNT_FETCH_OK,
  TORC_COUNT_ASKS, /* FETCHes that asked the replicas; not among the others */
  TORC_COUNT_ASK_OK,
  TORC_COUNT_FETCH_MISSING, /* answered, but the value was not there */
  TORC_COUNT_STALE,         /* older than what had been answered before the FETCH began */
  TORC_COUNT_RESURRECTED,   /* a removed value was there again */
  TORC_COUNT_FORGED,        /* a value that nobody stored */
  TORC_COUNT_REMOVES,
  TORC_COUNT_REMOVE_OK,
  TORC_COUNT_ABANDONED, /* calls of nodes that went down meanwhile */
  TORC_COUNT_JOINED,
  TORC_COUNT_DISCONNECTED,
  TORC_COUNT_LINKS_LOST,
  TORC_NUM_COUNTS
} torc_count;

typedef struct torc_measure {
  torc_hist hops, lookup_us, store_us, fetch_us, ask_us, join_us;
  torc_hist detect_us; /* from the vanishing of a peer to when a neighbour on the ring saw it */
  uint64_t counts[TORC_NUM_COUNTS];
} torc_measure;

void torc_measure_merge(torc_measure *to, const torc_measure *from);
void torc_measure_subtract(torc_measure *m, const torc_measure *before);

/* floor(2^20 * log2(v)); v > 0. For sessions and for log2 N, the same on every machine. */
uint64_t torc_log2_q20(uint64_t v);
/* floor(2^(x / 2^20)); x below 63 * 2^20. */
uint64_t torc_exp2_q20(uint64_t x);
/* log2(n) / 2, what an ideal Chord ring comes near to. */
double torc_half_log2(uint64_t n);

/* Session lengths from 64 random bits, in integers: the same on every machine; at most 366 days.
 * shape: thousandths; Pareto: above 1000. */
torc_time torc_session_exponential(torc_time mean, uint64_t random);
torc_time torc_session_pareto(torc_time mean, uint64_t shape, uint64_t random);
torc_time torc_session_weibull(torc_time scale, uint64_t shape, uint64_t random);

#endif
