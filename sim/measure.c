/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

static unsigned top_bit(uint64_t v) {
  unsigned n = 0;
  while (v > 1) {
    v >>= 1;
    n++;
  }
  return n;
}

static size_t bucket_of(uint64_t v) {
  if (v < 64) {
    return (size_t)v;
  }
  unsigned shift = top_bit(v) - 5;
  return 64 + (shift - 1) * 32u + (size_t)((v >> shift) - 32);
}

uint64_t torc_hist_low(size_t bucket) {
  if (bucket < 64) {
    return bucket;
  }
  size_t shift = (bucket - 64) / 32 + 1;
  return (uint64_t)(32 + (bucket - 64) % 32) << shift;
}

void torc_hist_add(torc_hist *h, uint64_t value) {
  h->count++;
  h->sum += value;
  h->buckets[bucket_of(value)]++;
}

void torc_hist_merge(torc_hist *to, const torc_hist *from) {
  to->count += from->count;
  to->sum += from->sum;
  for (size_t i = 0; i < TORC_HIST_BUCKETS; i++) {
    to->buckets[i] += from->buckets[i];
  }
}

void torc_hist_subtract(torc_hist *h, const torc_hist *before) {
  h->count -= before->count;
  h->sum -= before->sum;
  for (size_t i = 0; i < TORC_HIST_BUCKETS; i++) {
    h->buckets[i] -= before->buckets[i];
  }
}

double torc_hist_mean(const torc_hist *h) {
  return h->count == 0 ? 0 : (double)h->sum / (double)h->count;
}

uint64_t torc_hist_percentile(const torc_hist *h, unsigned permille) {
  uint64_t rank = (h->count / 1000) * permille + (h->count % 1000 * permille + 999) / 1000;
  uint64_t seen = 0;
  rank = rank == 0 ? 1 : rank;
  for (size_t i = 0; i < TORC_HIST_BUCKETS; i++) {
    seen += h->buckets[i];
    if (seen >= rank) {
      return torc_hist_low(i);
    }
  }
  return 0;
}

typedef void (*hist_fn)(torc_hist *to, const torc_hist *from);

static void each_hist(torc_measure *m, const torc_measure *other, hist_fn fn) {
  fn(&m->hops, &other->hops);
  fn(&m->lookup_us, &other->lookup_us);
  fn(&m->store_us, &other->store_us);
  fn(&m->fetch_us, &other->fetch_us);
  fn(&m->ask_us, &other->ask_us);
  fn(&m->join_us, &other->join_us);
  fn(&m->detect_us, &other->detect_us);
}

void torc_measure_merge(torc_measure *to, const torc_measure *from) {
  each_hist(to, from, torc_hist_merge);
  for (size_t i = 0; i < TORC_NUM_COUNTS; i++) {
    to->counts[i] += from->counts[i];
  }
}

void torc_measure_subtract(torc_measure *m, const torc_measure *before) {
  each_hist(m, before, torc_hist_subtract);
  for (size_t i = 0; i < TORC_NUM_COUNTS; i++) {
    m->counts[i] -= before->counts[i];
  }
}

uint64_t torc_log2_q20(uint64_t v) {
  unsigned whole = top_bit(v);
  uint64_t out = (uint64_t)whole << 20;
  uint64_t x = whole <= 31 ? v << (31 - whole) : v >> (whole - 31); /* 1..2 times 2^31 */
  for (unsigned bit = 1u << 19; bit != 0; bit >>= 1) {
    x = (x * x) >> 31;
    if (x >= (uint64_t)1 << 32) {
      x >>= 1;
      out += bit;
    }
  }
  return out;
}

uint64_t torc_exp2_q20(uint64_t x) {
  /* 2^(2^-k) for k = 1..20, times 2^31, rounded down. */
  static const uint32_t roots[20] = {
      3037000499u, 2553802833u, 2341847523u, 2242560871u, 2194507416u, 2170868211u, 2159144271u,
      2153306066u, 2150392886u, 2148937775u, 2148210588u, 2147847087u, 2147665360u, 2147574502u,
      2147529074u, 2147506361u, 2147495004u, 2147489326u, 2147486487u, 2147485067u};
  unsigned whole = (unsigned)(x >> 20);
  uint64_t y = (uint64_t)1 << 31;
  for (unsigned k = 0; k < 20; k++) {
    if ((x & ((uint64_t)1 << (19 - k))) != 0) {
      y = (y * roots[k]) >> 31;
    }
  }
  return whole >= 31 ? y << (whole - 31) : y >> (31 - whole);
}

double torc_half_log2(uint64_t n) {
  return n == 0 ? 0 : (double)torc_log2_q20(n) / (double)(1u << 21);
}

#define UNIT ((uint64_t)1 << 20)
#define LN2_Q20 726817u

static torc_time scale_q20(torc_time t, uint64_t factor) {
  unsigned __int128 wide = (unsigned __int128)t * factor >> 20;
  return wide > TORC_SEC(86400) * 366 ? TORC_SEC(86400) * 366 : (torc_time)wide;
}

torc_time torc_session_exponential(torc_time mean, uint64_t random) {
  uint64_t halvings = (64 * UNIT) - torc_log2_q20(random | 1);
  return scale_q20(mean, halvings * LN2_Q20 >> 20);
}

torc_time torc_session_pareto(torc_time mean, uint64_t shape, uint64_t random) {
  uint64_t halvings = (64 * UNIT) - torc_log2_q20(random | 1);
  uint64_t power = halvings * 1000 / shape;
  power = power > 40 * UNIT ? 40 * UNIT : power;
  return scale_q20(mean / shape * (shape - 1000), torc_exp2_q20(power + 20 * UNIT));
}

torc_time torc_session_weibull(torc_time scale, uint64_t shape, uint64_t random) {
  uint64_t halvings = (64 * UNIT) - torc_log2_q20(random | 1);
  uint64_t y = halvings * LN2_Q20 >> 20;
  int64_t power = y == 0 ? -(int64_t)(20 * UNIT) : (int64_t)torc_log2_q20(y) - (int64_t)(20 * UNIT);
  power = power * 1000 / (int64_t)shape;
  if (power < -(int64_t)(20 * UNIT)) {
    return 0;
  }
  power = power > (int64_t)(40 * UNIT) ? (int64_t)(40 * UNIT) : power;
  return scale_q20(scale, torc_exp2_q20((uint64_t)(power + (int64_t)(20 * UNIT))));
}
