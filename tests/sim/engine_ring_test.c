/* Rings in the simulator, and that one seed is one run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/helper_engine.h"
#include "sim/model.h"
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

/* [CRT-02] Every node's certificate lies at both of its places, with the nodes' own means. */
static void test_certificates(void **state) {
  rig r;
  torc_sim_config c = {
      .seed = 5, .threads = 1, .update_period = TORC_SEC(20), .keep_certificates = 1};
  unsigned held = 0;
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, 12);
  rig_run(&r, TORC_SEC(60));
  for (torc_sim_index i = 0; i < 12; i++) {
    char user[SIM_USER_CAP];
    torc_node *n = torc_sim_node(r.sim, i);
    torc_node_view view;
    torc_node_get_view(n, &view);
    torc_id places[2];
    size_t len = sim_model_user(i, user);
    torc_slice peer = {.p = view.self.b, .len = sizeof view.self.b};
    uint8_t digest[TORC_DIGEST_LEN];
    sim_model_hash(&peer, 1, digest);
    memcpy(places[0].b, digest, TORC_ID_LEN);
    assert_int_equal(
        torc_node_resource_id(n, (torc_slice){.p = (const uint8_t *)user, .len = len}, &places[1]),
        0);
    for (torc_sim_index k = 0; k < 12; k++) {
      held += torc_node_holds(torc_sim_node(r.sim, k), &places[0]) ? 1 : 0;
      held += torc_node_holds(torc_sim_node(r.sim, k), &places[1]) ? 1 : 0;
    }
  }
  assert_true(held >= 12 * 2 * 3); /* owner and two replicas of each */
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
      TORC_TEST("CRT-02 CRT-03 certificates are stored in the simulator", test_certificates),
      TORC_TEST("D-40 the same seed gives the same trace, whatever the number of threads",
                test_threads),
  };
  return TORC_RUN(tests);
}
