/* Hostile nodes of the simulator: each behaviour is seen, and ends when it is told to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/helper_engine.h"
#include "torc_test.h"

static void set_hostile(rig *r, torc_sim_index step, unsigned behaviours) {
  for (torc_sim_index i = 0; i < torc_sim_num(r->sim); i += step) {
    torc_sim_set_hostile(r->sim, i, behaviours);
  }
}

static uint64_t pings(rig *r) {
  torc_sim_traffic t;
  torc_sim_get_traffic(r->sim, &t);
  return t.messages[0][0];
}

/* Whoever has one that drops on the way gets no answer; one that misroutes makes the way longer. */
static void test_forwarding(void **state) {
  rig r;
  torc_sim_config c = {.seed = 9, .threads = 2, .update_period = TORC_SEC(600)};
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, 48);
  rig_run(&r, TORC_SEC(60));
  uint64_t before = pings(&r);
  assert_int_equal(rig_lookups_lost(&r), 0);
  uint64_t plain = pings(&r) - before;
  set_hostile(&r, 4, TORC_SIM_DROPS);
  assert_in_range(rig_lookups_lost(&r), 5, 43);
  set_hostile(&r, 1, 0);
  assert_int_equal(rig_lookups_lost(&r), 0);
  set_hostile(&r, 1, TORC_SIM_MISROUTES);
  before = pings(&r);
  (void)rig_lookups_lost(&r);
  assert_true(pings(&r) - before > plain + 48);
  rig_stop(&r);
}

static void fetched(rig *r, const char *expected) {
  rig_fetch(r, 0, 0);
  rig_run(r, TORC_SEC(5));
  assert_int_equal(r->nodes[0].num_done, 1);
  assert_string_equal(r->nodes[0].value, expected);
}

static void stored(rig *r, const char *value) {
  rig_store(r, 0, value);
  rig_run(r, TORC_SEC(5));
  assert_int_equal(r->nodes[0].num_done, 1);
}

static void test_storing(void **state) {
  rig r;
  torc_sim_config c = {.seed = 9, .threads = 1, .num_bootstrap = 1};
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, 1);
  stored(&r, "one");
  fetched(&r, "one");
  torc_sim_set_hostile(r.sim, 0, TORC_SIM_DENIES);
  fetched(&r, "");
  torc_sim_set_hostile(r.sim, 0, 0);
  fetched(&r, "one");
  torc_sim_set_hostile(r.sim, 0, TORC_SIM_STALE);
  stored(&r, "two");
  fetched(&r, "one");
  torc_sim_set_hostile(r.sim, 0, 0);
  stored(&r, "three");
  fetched(&r, "three");
  rig_stop(&r);
}

static void test_flood(void **state) {
  rig r;
  torc_sim_config c = {.seed = 9, .threads = 1, .flood_rate = 50};
  torc_sim_node_options floods = {.hostile = TORC_SIM_FLOODS};
  torc_sim_index i = 0;
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, 4);
  assert_int_equal(torc_sim_add(r.sim, &floods, &i), 0);
  rig_run(&r, TORC_SEC(30));
  uint64_t load = torc_sim_load(r.sim, i);
  unsigned done = r.nodes[i].num_done;
  rig_run(&r, TORC_SEC(10));
  assert_in_range(r.nodes[i].num_done - done, 480, 520);
  assert_true(torc_sim_load(r.sim, i) - load > 200); /* but for what is its own place */
  torc_sim_stop(r.sim, i, TORC_SIM_CRASH);
  assert_int_equal(torc_sim_restart(r.sim, i, false), 0);
  rig_run(&r, TORC_SEC(30));
  done = r.nodes[i].num_done;
  rig_run(&r, TORC_SEC(10));
  assert_in_range(r.nodes[i].num_done - done, 480, 520); /* not twice */
  rig_stop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("nodes that drop or misroute what they should forward", test_forwarding),
      TORC_TEST("nodes that deny, and that keep old values", test_storing),
      TORC_TEST("a node that floods", test_flood),
  };
  return TORC_RUN(tests);
}
