/* Nodes of the simulator that come and go, what stays of them, and what is counted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/helper_engine.h"
#include "torc_test.h"

static void test_restart(void **state) {
  rig r;
  torc_sim_config c = {.seed = 8, .threads = 1, .num_bootstrap = 1};
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, 1);
  torc_id id = torc_sim_id(r.sim, 0);
  rig_store(&r, 0, "kept");
  rig_run(&r, TORC_SEC(5));
  assert_int_equal(r.nodes[0].num_done, 1);
  assert_int_equal(r.nodes[0].num_failed, 0);
  for (int keeps = 1; keeps >= 0; keeps--) {
    torc_sim_stop(r.sim, 0, TORC_SIM_CRASH);
    torc_sim_stop(r.sim, 0, TORC_SIM_CRASH); /* harmless */
    rig_run(&r, TORC_SEC(5));
    assert_int_equal(torc_sim_restart(r.sim, 0, keeps == 1), 0);
    assert_int_equal(torc_sim_restart(r.sim, 0, false), TORC_ERR_STATE);
    rig_run(&r, TORC_SEC(30));
    rig_fetch(&r, 0, 0);
    rig_run(&r, TORC_SEC(5));
    assert_int_equal(r.nodes[0].num_done, 1);
    assert_int_equal(r.nodes[0].num_values, keeps);
    assert_string_equal(r.nodes[0].value, keeps == 1 ? "kept" : "");
  }
  torc_id again = torc_sim_id(r.sim, 0);
  assert_memory_equal(&id, &again, sizeof id);
  rig_stop(&r);
}

static void test_leave(void **state) {
  rig r;
  torc_sim_config c = {.seed = 8, .threads = 2, .update_period = TORC_SEC(20)};
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, 6);
  rig_run(&r, TORC_SEC(30));
  torc_sim_leave(r.sim, 5);
  rig_run(&r, TORC_SEC(5));
  assert_int_equal(r.nodes[5].num_left, 1);
  assert_false(torc_sim_is_up(r.sim, 5));
  assert_true(rig_is_whole(&r));
  for (torc_sim_index i = 0; i < 5; i++) {
    assert_false(rig_is_linked(&r, i, 5));
  }
  rig_stop(&r);
}

static void test_memory(void **state) {
  rig r;
  torc_sim_config c = {.seed = 8, .threads = 2, .verify_cost = 300, .sign_cost = 900};
  torc_sim_memory m;
  (void)state;
  rig_start(&r, &c, false);
  torc_sim_get_memory(r.sim, &m);
  assert_int_equal(m.nodes, 0);
  assert_int_equal(m.stores, 0);
  rig_grow(&r, 12);
  rig_store(&r, 3, "something");
  rig_run(&r, TORC_MS(30)); /* in the middle of it */
  torc_sim_get_memory(r.sim, &m);
  assert_true(m.nodes > 12 * 1000);
  assert_true(m.stores > 0);
  assert_true(m.engine > 0);
  for (torc_sim_index i = 0; i < 12; i++) {
    torc_sim_stop(r.sim, i, i % 2 == 0 ? TORC_SIM_CRASH : TORC_SIM_VANISH);
  }
  torc_sim_get_memory(r.sim, &m);
  assert_int_equal(m.nodes, 0);
  assert_true(m.stores > 0);
  for (torc_sim_index i = 0; i < 12; i++) {
    torc_sim_forget(r.sim, i);
  }
  torc_sim_get_memory(r.sim, &m);
  assert_int_equal(m.stores, 0);
  rig_run(&r, TORC_SEC(60)); /* what was under way comes to nobody */
  rig_stop(&r);
}

/* ---- calls ---- */

typedef struct called {
  torc_sim *sim;
  unsigned num;
  torc_time at[8];
  uint64_t arg[8];
} called;

static void on_call(void *ctx, unsigned worker, torc_sim_index i, uint64_t arg, torc_time now) {
  called *k = ctx;
  (void)worker;
  k->at[k->num] = now;
  k->arg[k->num] = arg;
  k->num++;
  if (arg < 3) { /* once within the same window, once far off */
    torc_sim_call_at(k->sim, i, now + (arg == 1 ? 5 : TORC_SEC(900)), arg + 1);
  }
}

static void test_calls(void **state) {
  called k = {.num = 0};
  torc_sim_config c = {.seed = 8, .threads = 1, .hooks = {.ctx = &k, .call = on_call}};
  torc_sim_index i = 0;
  (void)state;
  assert_int_equal(torc_sim_new(&k.sim, &c, NULL), 0);
  assert_int_equal(torc_sim_add(k.sim, NULL, &i), 0);
  torc_sim_call(k.sim, i, TORC_SEC(10), 1);
  torc_sim_run(k.sim, TORC_SEC(10) - 1);
  assert_int_equal(k.num, 0);
  torc_sim_run(k.sim, TORC_SEC(10)); /* until then, and then too */
  assert_int_equal(k.num, 1);
  torc_sim_run(k.sim, TORC_SEC(2000));
  assert_int_equal(k.num, 3);
  assert_int_equal(k.at[0], TORC_SEC(10));
  assert_int_equal(k.at[1], TORC_SEC(10) + 5);
  assert_int_equal(k.at[2], TORC_SEC(910) + 5);
  assert_int_equal(torc_sim_now(k.sim), TORC_SEC(2000));
  torc_sim_call(k.sim, i, TORC_SEC(2010), 3);
  torc_sim_stop(k.sim, i, TORC_SIM_CRASH);
  assert_int_equal(torc_sim_restart(k.sim, i, false), 0);
  torc_sim_run(k.sim, TORC_SEC(2020));
  assert_int_equal(k.num, 3); /* it was asked of another life */
  torc_sim_free(k.sim);
}

static void test_traffic(void **state) {
  rig r;
  torc_sim_config c = {.seed = 8, .threads = 1};
  torc_sim_traffic before;
  torc_sim_traffic after;
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, 3);
  rig_run(&r, TORC_SEC(21));
  rig_listen(&r, 1);
  torc_sim_get_traffic(r.sim, &before);
  uint64_t load = torc_sim_load(r.sim, 0);
  rig_say(&r, 0, 1, 1, 500);
  rig_run(&r, TORC_MS(50));
  torc_sim_get_traffic(r.sim, &after);
  assert_int_equal(after.messages[2][0] - before.messages[2][0], 1); /* TUNNEL, and its answer */
  assert_int_equal(after.messages[2][1] - before.messages[2][1], 1);
  assert_in_range(after.bytes[2][0] - before.bytes[2][0], 500 + 71 + 560, 500 + 71 + 560 + 120);
  assert_int_equal(torc_sim_load(r.sim, 0) - load, 1);
  assert_true(after.events > before.events);
  rig_stop(&r);
}

static void test_config(void **state) {
  torc_sim *s = NULL;
  const char *why = NULL;
  torc_sim_config c = {.algorithm = "chord-17"};
  (void)state;
  assert_int_equal(torc_sim_new(&s, &c, &why), TORC_ERR_CONFIG);
  assert_null(s);
  assert_non_null(strstr(why, "algorithm"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-40 a node that starts again is the same, with or without its store",
                test_restart),
      TORC_TEST("LEA-01 a node that leaves is gone, and its neighbours know", test_leave),
      TORC_TEST("D-41 nodes that are down hold no memory", test_memory),
      TORC_TEST("D-40 calls come at their time", test_calls),
      TORC_TEST("traffic is counted by method, as long as with real signatures", test_traffic),
      TORC_TEST("an algorithm that does not exist", test_config),
  };
  return TORC_RUN(tests);
}
