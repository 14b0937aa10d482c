/* Small scenarios from end to end: what is measured, what fails, and that neither threads nor runs
 * change it. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/slice.h"
#include "sim/report.h"
#include "sim/scenario_run.h"
#include "sim/scenario_search.h"
#include "torc_test.h"

static torc_run_result run(const char *text, unsigned threads, FILE *json) {
  torc_scenario s;
  torc_run_result r = {0};
  char err[700] = "";
  torc_run_options o = {.threads = threads, .json = json};
  if (torc_scenario_parse(&s, "test", torc_slice_str(text), NULL, 0, err, sizeof err) != 0 ||
      torc_scenario_run(&s, &o, &r, err, sizeof err) != 0) {
    fail_msg("%s", err);
  }
  torc_scenario_clear(&s);
  return r;
}

static double metric(const torc_run_result *r, torc_metric m) {
  double v = -1;
  assert_true(torc_run_metric(r, m, &v));
  return v;
}

#define SMALL                                                            \
  "seed 5\nlatency plane 40ms 5ms\nt1 100ms\nkeepalive 5s\nupdate 10s\n" \
  "ping 30s\ninterval 5s\n"

static void test_quiet_ring(void **state) {
  (void)state;
  torc_run_result r = run(SMALL
                          "peers 24\nat 0s join peers over=2s\n"
                          "after 0s expect ring=consistent within=60s\n"
                          "after 1s store 30 over=1s\nafter 5s measure\n"
                          "after 0s lookups 50/s for=4s\nafter 5s overwrites 10/s for=4s\n"
                          "after 5s verify over=1s\n"
                          "after 0s expect success>=1 wrong<=0 lost<=0 stale<=0 whole<60s\n",
                          1, NULL);
  assert_int_equal(r.num_failed, 0);
  assert_int_equal(r.num_expects, 6);
  assert_true(r.is_whole);
  assert_int_equal(r.peers, 24);
  assert_int_equal(r.joined, 24);
  assert_int_equal(r.measure.counts[TORC_COUNT_LOOKUPS], 200);
  /* an owner that is still busy with a value leaves one out */
  assert_in_range(r.measure.counts[TORC_COUNT_STORES], 35, 40);
  assert_int_equal(r.measure.hops.count, 200);
  assert_true(metric(&r, TORC_METRIC_HOPS_MEAN) > 0.5 && metric(&r, TORC_METRIC_HOPS_MEAN) < 3);
  assert_int_equal(r.values.stored, 30);
  assert_int_equal(r.values.found, 30);
  assert_true(metric(&r, TORC_METRIC_MESSAGES) > 1);
  assert_true(r.bytes_per_node > 1000);
  assert_true(r.num_samples >= 4);
  assert_int_equal(r.unended, 0);
  torc_run_result_clear(&r);
}

static void test_expectations_fail(void **state) {
  (void)state;
  torc_run_result r = run(SMALL
                          "peers 8\nat 0s join peers over=1s\nafter 5s lookups 10/s for=2s\n"
                          "after 2s expect hops_mean>=50 success<=0.5 markov_ratio<=1 peers=8\n"
                          "after 0s partition 2\nafter 0s expect ring=consistent within=2s\n",
                          1, NULL);
  assert_int_equal(r.num_expects, 5);
  assert_int_equal(r.num_failed, 4); /* what was not measured does not hold */
  assert_false(r.is_whole);
  assert_true(strlen(r.fault) > 10);
  torc_run_result_clear(&r);
}

/* All holders of everything go at once: lost, and nobody is to blame. */
static void test_lost_values(void **state) {
  (void)state;
  torc_run_result r = run(SMALL
                          "peers 12\nbootstrap 1\nat 0s join peers over=2s\n"
                          "after 0s expect ring=consistent within=60s\n"
                          "after 1s store 12 over=1s\nafter 5s vanish n1..n11\n"
                          "after 0s join 11 over=2s\nafter 60s verify over=1s\n"
                          "after 0s expect lost_held<=0 lost>=1\n",
                          1, NULL);
  assert_int_equal(r.num_failed, 0);
  assert_int_equal(r.values.lost, r.values.lost_gone);
  assert_int_equal(r.values.owed, r.values.found + r.values.lost);
  assert_true(r.values.found < 12);
  torc_run_result_clear(&r);
}

static void test_churn(void **state) {
  (void)state;
  torc_run_result r = run(SMALL
                          "peers 30\nat 0s join peers over=3s\n"
                          "after 0s expect ring=consistent within=60s\n"
                          "after 1s store peers over=2s refresh=20s\nafter 2s measure\n"
                          "after 0s lookups 10/s\n"
                          "after 0s churn mean=5m ends=vanish for=2m\nafter 30s verify over=1s\n",
                          1, NULL);
  assert_int_equal(r.peers, 30); /* each is replaced */
  assert_true(r.measure.detect_us.count > 0);
  assert_true(torc_hist_mean(&r.measure.detect_us) > 1.6e6); /* 16 T1 at the least */
  assert_true(r.values.model.session_s > 299 && r.values.model.session_s < 301);
  assert_true(r.values.model_share > 0);
  assert_true(r.measure.counts[TORC_COUNT_STORE_OK] > 60); /* refreshed */
  torc_run_result_clear(&r);
}

static void test_removed_values(void **state) {
  (void)state;
  torc_run_result r = run(SMALL
                          "peers 16\nat 0s join peers over=2s\n"
                          "after 0s expect ring=consistent within=60s\n"
                          "after 1s store 40 over=1s\nafter 3s removes 5/s for=4s\n"
                          "after 0s crash 2\nafter 30s verify over=1s\n"
                          "after 0s expect resurrected<=0 lost<=0 forged<=0\n",
                          1, NULL);
  assert_int_equal(r.num_failed, 0);
  assert_true(r.measure.counts[TORC_COUNT_REMOVE_OK] >= 10);
  assert_true(r.values.owed + r.measure.counts[TORC_COUNT_REMOVE_OK] <= 40);
  assert_int_equal(r.values.owed, r.values.found);
  torc_run_result_clear(&r);
}

static void test_clients_and_restart(void **state) {
  (void)state;
  torc_run_result r = run(SMALL
                          "peers 12\nat 0s join peers over=2s\n"
                          "after 0s join 10 as=client over=2s\n"
                          "after 0s expect ring=consistent within=60s\n"
                          "after 1s store 12 over=1s\nafter 5s crash 3\nafter 20s restart all\n"
                          "after 0s expect ring=consistent within=60s\nafter 1s measure\n"
                          "after 0s lookups 20/s as=client for=2s\nafter 10s verify over=1s\n"
                          "after 0s expect success>=1 lost<=0\n",
                          2, NULL);
  assert_int_equal(r.num_failed, 0);
  assert_int_equal(r.peers, 12);
  assert_int_equal(r.clients, 10);
  torc_run_result_clear(&r);
}

/* The lines of --json up to the summary, whose times on the wall differ. */
static char *lines_of(const char *text, unsigned threads) {
  char *out = NULL;
  size_t len = 0;
  FILE *f = open_memstream(&out, &len);
  assert_non_null(f);
  torc_run_result r = run(text, threads, f);
  r.wall_s = 1;
  r.threads = 1;
  r.memory = (torc_sim_memory){0};
  r.bytes_per_node = 0;
  torc_report_json(f, &r);
  torc_run_result_clear(&r);
  assert_int_equal(fclose(f), 0);
  return out;
}

static void test_threads_change_nothing(void **state) {
  static const char text[] = SMALL
      "peers 40\nloss 1%\nat 0s join peers over=3s\nafter 2s store peers over=2s refresh=15s\n"
      "after 2s lookups 20/s\nafter 0s fetches 20/s\nafter 0s overwrites 5/s\n"
      "after 0s removes 1/s\nafter 0s churn mean=1m replace=same down=10s for=40s\n"
      "after 0s verify over=1s\n";
  (void)state;
  char *one = lines_of(text, 1);
  char *again = lines_of(text, 1);
  char *three = lines_of(text, 3);
  assert_string_equal(one, again);
  assert_string_equal(one, three);
  assert_non_null(strstr(one, "\"kind\":\"interval\""));
  assert_non_null(strstr(one, "\"kind\":\"verify\""));
  free(one);
  free(again);
  free(three);
}

static void test_refused(void **state) {
  torc_scenario s;
  torc_run_result r = {0};
  char err[700] = "";
  torc_run_options o = {.threads = 1};
  (void)state;
  assert_int_equal(torc_scenario_parse(&s, "t", torc_slice_str("algorithm dance\nat 0s join 1\n"),
                                       NULL, 0, err, sizeof err),
                   0);
  assert_int_not_equal(torc_scenario_run(&s, &o, &r, err, sizeof err), 0);
  assert_true(strlen(err) > 5);
  torc_scenario_clear(&s);
}

/* Whatever the seed, the search writes a scenario that can be read. */
static void test_search_texts(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 500; seed++) {
    torc_scenario s;
    char err[700] = "";
    char *text = NULL;
    char *again = NULL;
    assert_int_equal(torc_search_text(seed, NULL, &text), 0);
    assert_int_equal(torc_search_text(seed, NULL, &again), 0);
    assert_string_equal(text, again);
    if (torc_scenario_parse(&s, "search", torc_slice_str(text), NULL, 0, err, sizeof err) != 0) {
      fail_msg("seed %llu: %s", (unsigned long long)seed, err);
    }
    assert_true(s.peers >= TORC_SEARCH_PEERS_MIN && s.peers <= TORC_SEARCH_PEERS_MAX);
    torc_scenario_clear(&s);
    free(text);
    free(again);
  }
}

/* A seed is the same ring whatever compiler built the search. */
static void test_search_text_fixed(void **state) {
  char *text = NULL;
  (void)state;
  assert_int_equal(torc_search_text(4, NULL, &text), 0);
  assert_non_null(strstr(text,
                         "peers 17\nalgorithm chord-128-2-16\nbootstrap 3\n"
                         "latency plane 19ms 2ms\njitter 15%\nloss 0.1%\n"));
  assert_non_null(strstr(text, "\nafter 7s link 3 loss=20% for=9s\n"));
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("CHD-04 a quiet ring: lookups, stores and a check", test_quiet_ring),
      TORC_TEST("expectations that do not hold are counted", test_expectations_fail),
      TORC_TEST("values whose holders are all gone are lost, and told apart", test_lost_values),
      TORC_TEST("GAP-77 churn keeps the number, neighbours notice in time", test_churn),
      TORC_TEST("D-14 removed values stay away", test_removed_values),
      TORC_TEST("D-13 clients, crashes and restarts", test_clients_and_restart),
      TORC_TEST("neither threads nor runs change a figure", test_threads_change_nothing),
      TORC_TEST("a setting that the engine refuses ends the run with a reason", test_refused),
      TORC_TEST("the search writes scenarios that can be read", test_search_texts),
      TORC_TEST("a seed of the search is one ring, however it is built", test_search_text_fixed),
  };
  return TORC_RUN(tests);
}
