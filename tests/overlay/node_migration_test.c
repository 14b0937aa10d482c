/* A node that moves from one ring to another. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "overlay/helper_sim.h"
#include "torc_test.h"

#define PEERS 8u

static torc_migration_view view_of(sim *s, size_t i) {
  torc_migration_view v;
  torc_node_get_migration(sim_node(s, i), &v);
  return v;
}

static sim *ring_of(uint64_t seed, size_t n) {
  sim_options o = {.seed = seed, .num_bootstrap = 2};
  sim *s = sim_new(&o);
  for (size_t i = 0; i < n; i++) {
    sim_add(s, TORC_ROLE_PEER);
  }
  assert_true(sim_run_until(s, sim_ring_ok, NULL, TORC_SEC(60)));
  return s;
}

static void stage_all(sim *s, torc_migration_stage stage) {
  for (size_t i = 0; i < sim_num(s); i++) {
    if (sim_is_alive(s, i)) {
      assert_int_equal(sim_migrate(s, i, stage, NULL), 0);
    }
  }
}

static bool both_joined(sim *s, void *ctx) {
  (void)ctx;
  for (size_t i = 0; i < sim_num(s); i++) {
    torc_migration_view v = view_of(s, i);
    if (strcmp(v.old_state, "joined") != 0 || strcmp(v.new_state, "joined") != 0) {
      return false;
    }
  }
  return true;
}

/* Each has gone through what it answers for since it came into the second ring. */
static bool all_carried(sim *s, void *ctx) {
  (void)ctx;
  for (size_t i = 0; i < sim_num(s); i++) {
    if (view_of(s, i).rounds == 0) {
      return false;
    }
  }
  return true;
}

static bool all_moved(sim *s, void *ctx) {
  (void)ctx;
  for (size_t i = 0; i < sim_num(s); i++) {
    if (strcmp(view_of(s, i).old_state, "left") != 0) {
      return false;
    }
  }
  return sim_ring_ok(s, NULL);
}

static void must_read(sim *s, size_t reader, size_t owner, const char *key, const char *value) {
  char user[40];
  (void)snprintf(user, sizeof user, "user%zu@example.org", owner);
  sim_value v = sim_fetch(s, reader, user, key);
  assert_int_equal(v.rc, 0);
  assert_true(v.exists);
  assert_string_equal(v.value, value);
}

static void print_all(sim *s) {
  for (size_t i = 0; i < sim_num(s); i++) {
    torc_migration_view v = view_of(s, i);
    printf("n%zu stage %d old %s new %s carried %u refused %u failed %u rounds %u retried %u\n", i,
           (int)v.stage, v.old_state, v.new_state, (unsigned)v.carried, (unsigned)v.refused,
           (unsigned)v.failed, (unsigned)v.rounds, (unsigned)v.retried);
  }
}

static void run_until(sim *s, bool (*done)(sim *s, void *ctx), torc_time limit) {
  bool is_done = sim_run_until(s, done, NULL, limit);
  if (!is_done) {
    print_all(s);
  }
  assert_true(is_done);
}

static void test_whole_move(void **state) {
  (void)state;
  sim *s = ring_of(1, PEERS);
  for (size_t i = 0; i < PEERS; i++) {
    assert_int_equal(sim_store(s, i, "before", "one").code, 200);
  }
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  run_until(s, both_joined, TORC_SEC(120));
  assert_true(sim_ring_ok(s, NULL));
  run_until(s, all_carried, TORC_SEC(60));
  for (size_t i = 0; i < PEERS; i++) {
    assert_int_equal(sim_store(s, i, "during", "two").code, 200);
    must_read(s, (i + 3) % PEERS, i, "during", "two");
  }
  stage_all(s, TORC_MIGRATION_FETCH_NEW);
  for (size_t i = 0; i < PEERS; i++) {
    must_read(s, (i + 1) % PEERS, i, "before", "one");
    must_read(s, (i + 2) % PEERS, i, "during", "two");
    assert_int_equal(view_of(s, i).retried, 0);
    assert_int_equal(sim_store(s, i, "late", "three").code, 200);
  }
  stage_all(s, TORC_MIGRATION_NEW_ONLY);
  for (size_t i = 0; i < PEERS; i++) {
    must_read(s, (i + 5) % PEERS, i, "late", "three");
  }
  run_until(s, all_moved, TORC_SEC(600));
  for (size_t i = 0; i < PEERS; i++) {
    must_read(s, (i + 1) % PEERS, i, "before", "one");
    must_read(s, (i + 2) % PEERS, i, "during", "two");
    must_read(s, (i + 3) % PEERS, i, "late", "three");
    assert_int_equal(sim_store(s, i, "after", "four").code, 200);
    must_read(s, (i + 4) % PEERS, i, "after", "four");
  }
  sim_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-19 MIG-01 MIG-02 MIG-03 MIG-04 MIG-05 a ring moves, every value with it",
                test_whole_move),
  };
  return TORC_RUN(tests);
}
