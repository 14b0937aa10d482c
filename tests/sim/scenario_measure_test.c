/* Histograms, logarithms, sessions and the Markov model against values worked out by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/markov.h"
#include "sim/measure.h"
#include "torc_test.h"

static bool near(double a, double b, double within) {
  return a - b <= within && b - a <= within;
}

static void test_small_values(void **state) {
  torc_hist h = {0};
  (void)state;
  for (uint64_t v = 1; v <= 10; v++) { /* 1, 2, 2, 3, 3, 3, ... 10 x 10: 55 values, sum 385 */
    for (uint64_t n = 0; n < v; n++) {
      torc_hist_add(&h, v);
    }
  }
  assert_int_equal(h.count, 55);
  assert_true(near(torc_hist_mean(&h), 7, 1e-9));
  assert_int_equal(torc_hist_percentile(&h, 500), 7); /* the 28th: 21 are at most 6, 28 at most 7 */
  assert_int_equal(torc_hist_percentile(&h, 510), 8); /* the 29th */
  assert_int_equal(torc_hist_percentile(&h, 1000), 10);
  assert_int_equal(torc_hist_percentile(&h, 1), 1);
}

static void test_large_values(void **state) {
  torc_hist h = {0};
  static const uint64_t values[] = {64, 100, 1000, 123456, 1000000007, UINT64_MAX};
  (void)state;
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    torc_hist one = {0};
    torc_hist_add(&one, values[i]);
    uint64_t low = torc_hist_percentile(&one, 500);
    assert_true(low <= values[i] && values[i] - low <= values[i] / 32 + 1);
  }
  assert_int_equal(torc_hist_percentile(&h, 500), 0);
  assert_true(near(torc_hist_mean(&h), 0, 0));
}

static void test_merge(void **state) {
  torc_measure a = {0};
  torc_measure b = {0};
  torc_measure sum = {0};
  (void)state;
  torc_hist_add(&a.hops, 3);
  torc_hist_add(&b.hops, 5);
  torc_hist_add(&b.detect_us, 47000000);
  a.counts[TORC_COUNT_LOOKUPS] = 1;
  b.counts[TORC_COUNT_LOOKUPS] = 2;
  torc_measure_merge(&sum, &a);
  torc_measure_merge(&sum, &b);
  assert_int_equal(sum.hops.count, 2);
  assert_int_equal(sum.hops.sum, 8);
  assert_int_equal(sum.detect_us.count, 1);
  assert_int_equal(sum.counts[TORC_COUNT_LOOKUPS], 3);
  torc_measure_subtract(&sum, &b);
  assert_memory_equal(&sum, &a, sizeof sum);
}

static void test_logarithms(void **state) {
  (void)state;
  assert_int_equal(torc_log2_q20(1), 0);
  assert_int_equal(torc_log2_q20(1024), 10u << 20);
  assert_true(near((double)torc_log2_q20(1000) / 1048576, 9.965784, 2e-6));
  assert_int_equal(torc_exp2_q20(10u << 20), 1024);
  assert_int_equal(torc_exp2_q20((uint64_t)40 << 20), (uint64_t)1 << 40);
  assert_true(near((double)torc_exp2_q20(20971520 + 524288), 1482910.4, 3)); /* 2^20.5 */
  assert_true(near(torc_half_log2(1000), 4.982892, 2e-6));
}

/* The median of 2^64 / 2: half of the sessions end before it. */
static void test_sessions(void **state) {
  uint64_t half = (uint64_t)1 << 63;
  (void)state;
  /* exponential: median = mean ln 2 = 693.147 s */
  assert_true(near((double)torc_session_exponential(TORC_SEC(1000), half) / 1e6, 693.147, 0.01));
  /* Pareto, shape 1.5: x_m = mean / 3 = 333.333, median = x_m 2^(2/3) = 529.13 */
  assert_true(near((double)torc_session_pareto(TORC_SEC(1000), 1500, half) / 1e6, 529.13, 0.05));
  /* Weibull, shape 0.5, scale 1000: median = 1000 (ln 2)^2 = 480.45 */
  assert_true(near((double)torc_session_weibull(TORC_SEC(1000), 500, half) / 1e6, 480.45, 0.05));
  /* the ends of the scale neither overflow nor go below the least */
  assert_int_equal(torc_session_exponential(TORC_SEC(1000), UINT64_MAX), 0);
  assert_true(torc_session_pareto(TORC_SEC(1000), 1001, 0) <= TORC_SEC(86400) * 366);
  assert_true(torc_session_weibull(TORC_SEC(1000), 100, UINT64_MAX) < TORC_SEC(1));
}

static void test_sessions_mean(void **state) {
  uint64_t x = 88172645463325252u; /* xorshift: any 64 bits will do */
  double sum = 0;
  double pareto = 0;
  (void)state;
  for (int i = 0; i < 100000; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    sum += (double)torc_session_exponential(TORC_SEC(1000), x) / 1e6;
    pareto += (double)torc_session_pareto(TORC_SEC(1000), 3000, x) / 1e6;
  }
  assert_true(near(sum / 100000, 1000, 15));
  assert_true(near(pareto / 100000, 1000, 15));
}

static void test_markov_without_repair(void **state) {
  torc_markov m = {.session_s = 100};
  (void)state;
  /* three independent holders: (1 - e^-1)^3 */
  assert_true(near(torc_markov_lost(&m, 100), 0.2525805, 1e-6));
  assert_true(near(torc_markov_lost(&m, 0), 0, 1e-9));
  assert_true(near(torc_markov_lost(&m, 100000), 1, 1e-6));
}

static void test_markov_with_repair(void **state) {
  torc_markov m = {.session_s = 1800, .detect_s = 47, .copy_s = 1};
  (void)state;
  /* Far from the start the chain loses at the rate 1 / (mean time to absorption). By hand, with
   * f = 1/1800 and r = 1/48, from two missing to one back 2r, from one missing r:
   *   T1 = (1 + 2r T2) / (f + 2r), T2 = (1 + r T3 + 2f T1) / (2f + r), T3 = 1/(3f) + T2
   * gives T3 = 925,800 s. */
  double one = torc_markov_lost(&m, 3600);
  double two = torc_markov_lost(&m, 7200);
  double rate = (two - one) / 3600 / (1 - one);
  assert_true(near(1 / rate, 925800, 3000));
  assert_true(one > 0.0036 && one < 0.0040);
}

static void test_markov_curve(void **state) {
  torc_markov m = {.session_s = 600, .detect_s = 40, .copy_s = 2};
  double curve[TORC_MARKOV_STEPS + 1];
  (void)state;
  torc_markov_curve(&m, 3600, curve);
  assert_true(near(curve[0], 0, 1e-12));
  assert_true(near(curve[TORC_MARKOV_STEPS], torc_markov_lost(&m, 3600), 1e-9));
  assert_true(near(torc_markov_at(curve, 3600, 1000), torc_markov_lost(&m, 1000), 1e-5));
  assert_true(near(torc_markov_at(curve, 3600, 9999), curve[TORC_MARKOV_STEPS], 0));
  assert_true(near(torc_markov_at(curve, 3600, -1), 0, 0));
}

static void test_at_once(void **state) {
  (void)state;
  /* 25 of 100: 25/100 24/99 23/98 */
  assert_true(near(torc_markov_at_once(100, 0.25), 0.0142239, 1e-6));
  assert_true(near(torc_markov_at_once(100, 0.02), 0, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("a histogram is exact for small values", test_small_values),
      TORC_TEST("a histogram is near for large ones", test_large_values),
      TORC_TEST("measures of workers are merged", test_merge),
      TORC_TEST("logarithms in integers", test_logarithms),
      TORC_TEST("sessions have the medians of their distributions", test_sessions),
      TORC_TEST("sessions have the mean that is asked for", test_sessions_mean),
      TORC_TEST("Markov model without repair", test_markov_without_repair),
      TORC_TEST("Markov model with repair", test_markov_with_repair),
      TORC_TEST("the curve of the Markov model", test_markov_curve),
      TORC_TEST("all three holders among those that go at once", test_at_once),
  };
  return TORC_RUN(tests);
}
