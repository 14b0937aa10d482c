/* What nodes hold beside what they may. SPDX-License-Identifier: Apache-2.0 */
#include "sim/bounds.h"

#include "sim/helper_engine.h"
#include "torc_test.h"

#define PEERS 8u

static torc_bounds look(rig *r, size_t num_peers) {
  torc_bounds out = {.num_over = 0};
  for (torc_sim_index i = 0; i < torc_sim_num(r->sim); i++) {
    torc_bounds_look(r->sim, i, num_peers, &out);
  }
  return out;
}

/* At rest everybody knows everybody: too many for a ring of one. */
static void test_tables(void **state) {
  rig r;
  torc_sim_config c = {.seed = 3, .threads = 1};
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, PEERS);
  rig_run(&r, TORC_SEC(120));
  assert_int_equal(look(&r, 0).num_over, 0);
  assert_int_equal(look(&r, PEERS).num_over, 0);
  torc_bounds b = look(&r, 1);
  assert_true(b.num_over >= PEERS);
  assert_string_equal(b.fault, "n0 holds 7 members, 1 at most at rest");
  torc_sim_stop(r.sim, 3, TORC_SIM_CRASH); /* who is down holds nothing */
  torc_bounds fewer = look(&r, 1);
  assert_true(fewer.num_over < b.num_over);
  rig_stop(&r);
}

static void test_memory(void **state) {
  torc_bounds b = {.num_over = 0};
  (void)state;
  torc_bounds_look_at_memory(18u << 10, 2, &b);
  assert_int_equal(b.num_over, 0);
  torc_bounds_look_at_memory((18u << 10) + 1, 2, &b);
  assert_int_equal(b.num_over, 1);
  assert_string_equal(b.fault, "a node takes 18433 bytes, 18432 at most at rest");
  torc_bounds_look_at_memory(1u << 30, 2, &b);
  assert_int_equal(b.num_over, 2);
  assert_string_equal(b.fault, "a node takes 18433 bytes, 18432 at most at rest"); /* the first */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("SEC-12 tables of nodes beside what they need at rest", test_tables),
      TORC_TEST("SEC-12 memory of a node at rest", test_memory),
  };
  return TORC_RUN(tests);
}
