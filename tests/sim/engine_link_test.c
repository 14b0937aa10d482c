/* Links of the simulator: their order, what they lose, who can make them, how they end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "sim/helper_engine.h"
#include "torc_test.h"

#define SAID 60u

static void start_ring(rig *r, torc_sim_config *c, size_t num) {
  c->update_period = c->update_period == 0 ? TORC_SEC(20) : c->update_period;
  rig_start(r, c, false);
  rig_grow(r, num);
  rig_run(r, TORC_SEC(30));
}

static void test_order(void **state) {
  rig r;
  torc_sim_config c = {.seed = 5, .threads = 1, .jitter_permille = 3000};
  (void)state;
  start_ring(&r, &c, 2);
  rig_listen(&r, 1);
  for (uint32_t k = 1; k <= SAID; k++) {
    rig_say(&r, 0, 1, k, 100);
    rig_run(&r, TORC_MS(1));
  }
  rig_run(&r, TORC_SEC(5));
  assert_int_equal(r.nodes[1].num_heard, SAID);
  assert_int_equal(r.nodes[1].num_disordered, 0);
  rig_stop(&r);
}

/* Links of datagrams: a ring, and long messages in parts that overtake each other and get lost. */
static void test_datagrams(void **state) {
  rig r;
  torc_sim_config c = {
      .seed = 5, .threads = 1, .jitter_permille = 3000, .mtu = 500, .loss_ppm = 10000};
  (void)state;
  start_ring(&r, &c, 8);
  assert_true(rig_is_whole(&r));
  rig_listen(&r, 1);
  for (uint32_t k = 1; k <= SAID; k++) {
    rig_say(&r, 0, 1, k, 4000);
    rig_run(&r, TORC_MS(5));
  }
  rig_run(&r, TORC_SEC(40));
  assert_int_equal(r.nodes[0].num_done, SAID); /* the engine fails where a message is too long */
  assert_int_equal(r.nodes[0].num_failed, 0);
  assert_true(r.nodes[1].num_disordered > 0);
  assert_int_equal(rig_lookups_lost(&r), 0);
  rig_stop(&r);
}

/* How long an answer to 2,000 bytes takes. */
static torc_time say_time(uint64_t bits_per_second) {
  rig r;
  torc_sim_config c = {.seed = 5, .threads = 1, .bits_per_second = bits_per_second};
  start_ring(&r, &c, 2);
  rig_listen(&r, 1);
  rig_say(&r, 0, 1, 1, 2000);
  rig_run(&r, TORC_SEC(10));
  assert_int_equal(r.nodes[0].num_done, 1);
  assert_int_equal(r.nodes[0].num_failed, 0);
  torc_time elapsed = r.nodes[0].elapsed;
  rig_stop(&r);
  return elapsed;
}

static void test_bandwidth(void **state) {
  (void)state;
  torc_time plain = say_time(0);
  assert_int_equal(plain, TORC_MS(40)); /* there and back */
  torc_time narrow = say_time(16000);   /* 2,000 bytes a second */
  assert_in_range(narrow, TORC_SEC(1), TORC_SEC(3));
}

static void test_loss(void **state) {
  rig r;
  torc_sim_config c = {.seed = 5, .threads = 1};
  torc_sim_traffic t;
  (void)state;
  start_ring(&r, &c, 3);
  rig_listen(&r, 1);
  rig_listen(&r, 2);
  torc_sim_get_traffic(r.sim, &t);
  assert_int_equal(t.dropped, 0);
  torc_sim_set_node_loss(r.sim, 1, 1000000);
  rig_say(&r, 0, 1, 1, 100);
  rig_say(&r, 0, 2, 1, 100);
  rig_run(&r, TORC_SEC(5));
  assert_int_equal(r.nodes[1].num_heard, 0);
  assert_int_equal(r.nodes[2].num_heard, 1);
  torc_sim_get_traffic(r.sim, &t);
  assert_true(t.dropped > 0);
  torc_sim_set_node_loss(r.sim, 1, 0);
  torc_sim_set_loss(r.sim, 1000000);
  rig_say(&r, 0, 2, 2, 100);
  rig_run(&r, TORC_SEC(5));
  assert_int_equal(r.nodes[2].num_heard, 1);
  rig_stop(&r);
}

static void test_groups(void **state) {
  rig r;
  torc_sim_config c = {.seed = 6, .threads = 1, .num_bootstrap = 8, .ping_period = TORC_SEC(60)};
  (void)state;
  start_ring(&r, &c, 8);
  for (torc_sim_index i = 0; i < 4; i++) {
    torc_sim_set_group(r.sim, i, 1);
  }
  rig_listen(&r, 7);
  rig_say(&r, 4, 7, 1, 100); /* within a group */
  rig_say(&r, 0, 7, 2, 100);
  rig_run(&r, TORC_SEC(2));
  assert_int_equal(r.nodes[7].num_heard, 1);
  rig_run(&r, TORC_SEC(150));
  for (torc_sim_index i = 0; i < 8; i++) {
    for (torc_sim_index k = 0; k < 8; k++) {
      assert_true(i == k || rig_is_linked(&r, i, k) == (i / 4 == k / 4));
    }
  }
  for (torc_sim_index i = 0; i < 4; i++) {
    torc_sim_set_group(r.sim, i, 0);
  }
  for (unsigned wait = 0; wait < 60 && !rig_is_whole(&r); wait++) {
    rig_run(&r, TORC_SEC(30));
  }
  assert_true(rig_is_whole(&r));
  rig_stop(&r);
}

/* Two nodes behind a NAT have no link, whoever is asked to dial; each has one to the others. */
static void test_closed(void **state) {
  rig r;
  torc_sim_config c = {.seed = 5,
                       .threads = 1,
                       .num_bootstrap = 6,
                       .closed_permille = 1000,
                       .update_period = TORC_SEC(20)};
  torc_sim_index i = 0;
  (void)state;
  rig_start(&r, &c, false);
  rig_grow(&r, 6);
  assert_int_equal(torc_sim_add(r.sim, NULL, &i), 0);
  assert_int_equal(torc_sim_add(r.sim, NULL, &i), 0);
  rig_run(&r, TORC_SEC(120));
  assert_false(rig_is_linked(&r, 6, 7));
  assert_false(rig_is_linked(&r, 7, 6));
  assert_true(rig_links(&r, 6) >= 3);
  assert_true(rig_links(&r, 7) >= 3);
  rig_stop(&r);
}

static void test_crash(void **state) {
  rig r;
  torc_sim_config c = {.seed = 5, .threads = 1};
  (void)state;
  start_ring(&r, &c, 4);
  assert_true(rig_is_linked(&r, 0, 3));
  torc_sim_stop(r.sim, 3, TORC_SIM_CRASH);
  assert_false(torc_sim_is_up(r.sim, 3));
  assert_null(torc_sim_node(r.sim, 3));
  rig_run(&r, TORC_MS(100));
  assert_false(rig_is_linked(&r, 0, 3));
  rig_stop(&r);
}

/* [GAP-77] Nobody is told: the link ends when a PING after 30 s has had no answer for 32 s. */
static void test_vanish(void **state) {
  rig r;
  torc_sim_config c = {.seed = 5, .threads = 1, .update_period = TORC_SEC(600)};
  (void)state;
  start_ring(&r, &c, 2);
  rig_run(&r, TORC_SEC(60));
  torc_sim_stop(r.sim, 1, TORC_SIM_VANISH);
  rig_run(&r, TORC_SEC(30));
  assert_true(rig_is_linked(&r, 0, 1));
  rig_run(&r, TORC_SEC(40));
  assert_false(rig_is_linked(&r, 0, 1));
  rig_stop(&r);
}

/* What is sent to the node that was there before it vanished breaks the link. */
static void test_vanish_restart(void **state) {
  rig r;
  torc_sim_config c = {.seed = 5, .threads = 1, .num_bootstrap = 2};
  (void)state;
  start_ring(&r, &c, 2);
  torc_sim_stop(r.sim, 1, TORC_SIM_VANISH);
  rig_run(&r, TORC_SEC(1));
  assert_int_equal(torc_sim_restart(r.sim, 1, true), 0);
  rig_run(&r, TORC_SEC(120));
  assert_true(rig_is_whole(&r));
  assert_true(rig_is_linked(&r, 0, 1));
  rig_stop(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("messages of a link keep their order where their ways differ", test_order),
      TORC_TEST("FRG-01 FRG-02 FRG-05 GAP-45 a ring on links of datagrams", test_datagrams),
      TORC_TEST("a narrow link takes its time", test_bandwidth),
      TORC_TEST("loss of a node and of all", test_loss),
      TORC_TEST("GAP-124 groups fall apart and find together", test_groups),
      TORC_TEST("two nodes behind a NAT have no link", test_closed),
      TORC_TEST("a crash is seen at once", test_crash),
      TORC_TEST("GAP-77 who vanishes is missed by a PING only", test_vanish),
      TORC_TEST("a node that vanished and is back has no old links", test_vanish_restart),
  };
  return TORC_RUN(tests);
}
