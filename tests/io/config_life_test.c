/* How long a document is good for, in seconds worked out by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/config_life.h"

#include "torc_test.h"

#define T 1800000000u

static void test_ages(void **state) {
  (void)state;
  torc_config_life l = {.received = T, .period_s = 100};
  assert_int_equal(torc_config_expires(&l), T + 100);
  assert_int_equal(torc_config_age_at(&l, T), TORC_CONFIG_FRESH);
  assert_int_equal(torc_config_age_at(&l, T + 100), TORC_CONFIG_FRESH);
  assert_int_equal(torc_config_age_at(&l, T + 101), TORC_CONFIG_EXPIRED);
  assert_int_equal(torc_config_age_at(&l, T + 200), TORC_CONFIG_EXPIRED);
  assert_int_equal(torc_config_age_at(&l, T + 201), TORC_CONFIG_STALE);
  assert_int_equal(torc_config_age_at(&l, T - 86400), TORC_CONFIG_FRESH); /* a clock set back */
  l.period_s = 0;
  assert_int_equal(torc_config_expires(&l), UINT32_MAX);
  assert_int_equal(torc_config_age_at(&l, UINT32_MAX), TORC_CONFIG_FRESH);
  assert_int_equal(torc_config_next(&l), UINT32_MAX);
}

static void test_tries(void **state) {
  static const struct {
    uint32_t period, jitter, tried, next;
  } cases[] = {
      {86400, 0, 0, T + 64800},   /* 75 % of a day */
      {86400, 500, 0, T + 69120}, /* 80 % */
      {86400, 999, 0, T + 73431}, /* 84.99 % */
      {86400, 5000, 0, T + 73431},
      {86400, 500, T + 69120, T + 70020}, /* 15 minutes after a try that failed */
      {86400, 500, T + 90000, T + 90900}, /* also when it has expired */
      {18000, 500, T + 1, T + 901},
      {17999, 500, T + 1, T + 900}, /* a twentieth of a shorter period */
      {600, 500, T + 1, T + 31},
      {8, 500, 0, T + 6},
      {8, 500, T + 6, T + 11}, /* at least 5 s */
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    torc_config_life l = {.received = T,
                          .period_s = cases[i].period,
                          .jitter = cases[i].jitter,
                          .tried = cases[i].tried};
    assert_int_equal(torc_config_next(&l), cases[i].next);
  }
}

static void test_ends_of_time(void **state) {
  (void)state;
  torc_config_life l = {.received = UINT32_MAX - 10, .period_s = UINT32_MAX, .jitter = 999};
  assert_int_equal(torc_config_expires(&l), UINT32_MAX);
  assert_int_equal(torc_config_next(&l), UINT32_MAX);
  assert_int_equal(torc_config_age_at(&l, UINT32_MAX), TORC_CONFIG_FRESH);
  assert_int_equal(torc_config_since(5, 9), 4);
  assert_int_equal(torc_config_since(9, 5), 0);
}

/* A server whose clock is behind is not asked twice a second for what it has given already. */
static void test_dated_back(void **state) {
  (void)state;
  torc_config_life l = {.tried = T, .jitter = 0};
  torc_config_taken(&l, T, 86400, T + 10);
  assert_int_equal(l.received, T);
  assert_int_equal(l.tried, 0);
  assert_int_equal(torc_config_next(&l), T + 64800);
  torc_config_taken(&l, T, 86400, T + 64800);
  assert_int_equal(torc_config_next(&l), T + 64800 + 900);
  torc_config_taken(&l, T - 30000000, 86400, T);
  assert_int_equal(torc_config_next(&l), T + 900);
  torc_config_taken(&l, T, 0, T + 5);
  assert_int_equal(torc_config_next(&l), UINT32_MAX);
  assert_int_equal(l.tried, 0);
}

/* A clock that was a year ahead while a try failed, and is set right. */
static void test_clock_set_back(void **state) {
  (void)state;
  torc_config_life l = {.received = T, .period_s = 86400, .tried = T + 31536000};
  torc_config_clock(&l, T + 60);
  assert_int_equal(torc_config_next(&l), T + 60 + 900);
  torc_config_clock(&l, T + 100);
  assert_int_equal(torc_config_next(&l), T + 60 + 900);
  l.tried = 0;
  torc_config_clock(&l, T + 60);
  assert_int_equal(l.tried, 0);
  /* A file of a day to come. */
  assert_int_equal(torc_config_written(T - 5, T - 9, T), T - 5);
  assert_int_equal(torc_config_written(T + 86400, T - 9, T), T);
  assert_int_equal(torc_config_written(T + 86400, 0, T), T);
  assert_int_equal(torc_config_written(T - 86400, T - 9, T), T - 86400);
  assert_int_equal(torc_config_written(T + 86400, T + 600, T), T + 600); /* a clock behind */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENR-17 GAP-130 valid, expired, long expired", test_ages),
      TORC_TEST("GAP-130 fetched at 80 % with jitter, then every 15 minutes", test_tries),
      TORC_TEST("GAP-130 a document that is dated back", test_dated_back),
      TORC_TEST("GAP-130 ENR-17 a clock that was set back", test_clock_set_back),
      TORC_TEST("GAP-130 at the ends of the clock", test_ends_of_time),
  };
  return TORC_RUN(tests);
}
