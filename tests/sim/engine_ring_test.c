/* Rings in the simulator, and that one seed is one run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/helper_engine.h"
#include "torc_test.h"

static void test_ring(void **state) {
  rig r;
  torc_sim_config c = {.seed = 3, .threads = 1, .update_period = TORC_SEC(20)};
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, 32);
  rig_run(&r, TORC_SEC(60));
  assert_true(rig_is_whole(&r));
  assert_int_equal(rig_lookups_lost(&r), 0);
  rig_stop(&r);
}

/* Everything that a simulation may hold, so that nothing of it depends on threads. */
static void story(rig *r, uint64_t seed, unsigned threads) {
  torc_sim_config c = {.seed = seed,
                       .threads = threads,
                       .latency_kind = TORC_SIM_PLANE,
                       .jitter_permille = 300,
                       .loss_ppm = 10000,
                       .closed_permille = 200,
                       .bits_per_second = 1000000,
                       .sign_cost = 100,
                       .verify_cost = 50,
                       .update_period = TORC_SEC(20),
                       .log_level = TORC_LOG_DEBUG};
  torc_sim_node_options hostile = {.hostile = TORC_SIM_MISROUTES | TORC_SIM_FLOODS};
  torc_sim_index i = 0;
  rig_start(r, &c, true);
  for (unsigned k = 0; k < 24; k++) {
    assert_int_equal(torc_sim_add(r->sim, k == 10 ? &hostile : NULL, &i), 0);
    rig_run(r, TORC_MS(700));
  }
  rig_run(r, TORC_SEC(20));
  rig_store(r, 7, "seven");
  rig_run(r, TORC_SEC(5));
  torc_sim_stop(r->sim, 5, TORC_SIM_VANISH);
  torc_sim_stop(r->sim, 6, TORC_SIM_CRASH);
  torc_sim_leave(r->sim, 8);
  rig_run(r, TORC_SEC(5));
  assert_int_equal(torc_sim_restart(r->sim, 5, true), 0);
  torc_sim_set_group(r->sim, 3, 1);
  torc_sim_set_group(r->sim, 4, 1);
  rig_run(r, TORC_SEC(30));
  torc_sim_set_group(r->sim, 3, 0);
  torc_sim_set_group(r->sim, 4, 0);
  rig_run(r, TORC_SEC(30));
}

static void test_threads(void **state) {
  static rig one;
  static rig other;
  (void)state;
  story(&one, 11, 1);
  assert_true(one.trace_len > 10000);
  for (unsigned threads = 1; threads <= 3; threads++) {
    story(&other, 11, threads);
    assert_int_equal(torc_sim_threads(other.sim), threads);
    assert_int_equal(other.trace_len, one.trace_len);
    assert_memory_equal(other.trace, one.trace, one.trace_len);
    rig_stop(&other);
  }
  story(&other, 12, 1);
  assert_true(other.trace_len != one.trace_len ||
              memcmp(other.trace, one.trace, one.trace_len) != 0);
  rig_stop(&other);
  rig_stop(&one);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-40 D-41 a ring of 32 forms, and every lookup reaches the responsible peer",
                test_ring),
      TORC_TEST("D-40 the same seed gives the same trace, whatever the number of threads",
                test_threads),
  };
  return TORC_RUN(tests);
}
