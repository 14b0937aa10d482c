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

/* [D-19] Both rings use one link of two peers, not two. */
static void test_links_shared(void **state) {
  (void)state;
  sim *s = ring_of(2, PEERS);
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  run_until(s, both_joined, TORC_SEC(120));
  sim_run(s, TORC_SEC(60));
  for (size_t i = 0; i < PEERS; i++) {
    torc_node_link_view v[64];
    size_t num = torc_node_links(sim_node(s, i), v, 64);
    assert_in_range(num, 3, PEERS - 1);
    for (size_t k = 0; k < num; k++) {
      for (size_t j = 0; j < k; j++) {
        assert_memory_not_equal(v[k].peer.b, v[j].peer.b, TORC_ID_LEN);
      }
    }
  }
  sim_free(s);
}

/* The configuration reaches peers one after the other: who is behind writes and reads as before. */
static void test_mixed_stages(void **state) {
  (void)state;
  sim *s = ring_of(3, PEERS);
  for (size_t i = 0; i < PEERS; i++) {
    assert_int_equal(sim_store(s, i, "k", "old").code, 200);
  }
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  run_until(s, both_joined, TORC_SEC(120));
  run_until(s, all_carried, TORC_SEC(60));
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_NEW, NULL), 0);
  }
  for (size_t i = 0; i < PEERS; i++) {
    sim_run(s, TORC_SEC(2)); /* another second of wall time */
    assert_int_equal(sim_store(s, i, "k", "new").code, 200);
    must_read(s, (i + 4) % PEERS, i, "k", "new");
    must_read(s, (i + 1) % PEERS, i, "k", "new");
  }
  for (size_t i = 4; i < PEERS; i++) { /* back, while others are further */
    assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_OLD, NULL), 0);
    must_read(s, i, 0, "k", "new");
  }
  sim_free(s);
}

/* A peer that has not got the new configuration writes into the first ring alone: who answers for
 * the place carries it to the second. */
static void test_old_writer(void **state) {
  (void)state;
  sim *s = ring_of(4, PEERS);
  assert_int_equal(sim_store(s, 7, "k", "one").code, 200);
  for (size_t i = 0; i < 7; i++) {
    assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_OLD, NULL), 0);
  }
  sim_run(s, TORC_SEC(60));
  for (size_t i = 0; i < 7; i++) {
    assert_string_equal(view_of(s, i).new_state, "joined");
    assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_NEW, NULL), 0);
  }
  assert_string_equal(view_of(s, 7).new_state, "none");
  for (unsigned round = 0; round < 4; round++) {
    char value[8];
    (void)snprintf(value, sizeof value, "v%u", round);
    sim_run(s, TORC_SEC(2));
    assert_int_equal(sim_store(s, 7, "k", value).code, 200);
    sim_run(s, TORC_SEC(1));
    for (size_t i = 0; i < PEERS; i++) {
      must_read(s, i, 7, "k", value);
    }
  }
  sim_free(s);
}

static void test_remove(void **state) {
  (void)state;
  sim *s = ring_of(5, PEERS);
  for (size_t i = 0; i < PEERS; i++) {
    assert_int_equal(sim_store(s, i, "k", "v").code, 200);
  }
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  run_until(s, both_joined, TORC_SEC(120));
  run_until(s, all_carried, TORC_SEC(60));
  for (size_t i = 0; i < 4; i++) {
    char user[40];
    (void)snprintf(user, sizeof user, "user%zu@example.org", i);
    sim_value v = sim_fetch(s, i, user, "k");
    assert_int_equal(sim_remove(s, i, "k", v.generation).code, 200);
  }
  stage_all(s, TORC_MIGRATION_FETCH_NEW);
  for (size_t i = 4; i < PEERS; i++) {
    char user[40];
    (void)snprintf(user, sizeof user, "user%zu@example.org", i);
    sim_value v = sim_fetch(s, i, user, "k");
    assert_true(v.exists);
    assert_int_equal(sim_remove(s, i, "k", v.generation).code, 200);
  }
  for (size_t i = 0; i < PEERS; i++) {
    char user[40];
    (void)snprintf(user, sizeof user, "user%zu@example.org", i);
    for (size_t k = 0; k < PEERS; k++) {
      sim_value v = sim_fetch(s, k, user, "k");
      assert_int_equal(v.rc, 0);
      assert_false(v.exists);
    }
  }
  sim_free(s);
}

static bool all_dropped(sim *s, void *ctx) {
  (void)ctx;
  for (size_t i = 0; i < sim_num(s); i++) {
    if (strcmp(view_of(s, i).new_state, "none") != 0) {
      return false;
    }
  }
  return sim_ring_ok(s, NULL);
}

static void test_roll_back(void **state) {
  (void)state;
  const char *why = NULL;
  sim *s = ring_of(6, PEERS);
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  run_until(s, both_joined, TORC_SEC(120));
  stage_all(s, TORC_MIGRATION_FETCH_NEW);
  for (size_t i = 0; i < PEERS; i++) {
    assert_int_equal(sim_store(s, i, "k", "v").code, 200);
  }
  stage_all(s, TORC_MIGRATION_NONE);
  for (size_t i = 0; i < PEERS; i++) {
    must_read(s, (i + 1) % PEERS, i, "k", "v");
  }
  run_until(s, all_dropped, TORC_SEC(60));
  for (size_t i = 0; i < PEERS; i++) {
    must_read(s, (i + 3) % PEERS, i, "k", "v");
  }
  /* And once more to the end. */
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  run_until(s, both_joined, TORC_SEC(120));
  stage_all(s, TORC_MIGRATION_NEW_ONLY);
  assert_int_equal(sim_migrate(s, 0, TORC_MIGRATION_FETCH_OLD, &why), TORC_ERR_STATE);
  assert_string_equal(why, "the first ring has been left: there is no way back");
  run_until(s, all_moved, TORC_SEC(600));
  for (size_t i = 0; i < PEERS; i++) {
    must_read(s, (i + 3) % PEERS, i, "k", "v");
  }
  sim_free(s);
}

/* A peer that is restarted finds itself in a stage, without ever having seen the one before. */
static void test_restart(void **state) {
  (void)state;
  sim *s = ring_of(7, PEERS);
  for (size_t i = 0; i < PEERS; i++) {
    assert_int_equal(sim_store(s, i, "k", "v").code, 200);
  }
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  run_until(s, both_joined, TORC_SEC(120));
  run_until(s, all_carried, TORC_SEC(60));
  stage_all(s, TORC_MIGRATION_FETCH_NEW);
  for (size_t i = 0; i < PEERS; i++) {
    sim_kill(s, i);
    must_read(s, (i + 1) % PEERS, i, "k", "v");
    sim_restart(s, i);
    assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_NEW, NULL), 0);
    run_until(s, both_joined, TORC_SEC(120));
    must_read(s, i, (i + 3) % PEERS, "k", "v");
  }
  stage_all(s, TORC_MIGRATION_NEW_ONLY);
  run_until(s, all_moved, TORC_SEC(600));
  for (size_t i = 0; i < PEERS; i++) {
    must_read(s, (i + 3) % PEERS, i, "k", "v");
  }
  sim_free(s);
}

static void test_leave_both(void **state) {
  (void)state;
  sim *s = ring_of(8, PEERS);
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  run_until(s, both_joined, TORC_SEC(120));
  for (size_t i = 0; i < PEERS; i++) {
    assert_int_equal(sim_store(s, i, "k", "v").code, 200);
  }
  sim_leave(s, 5);
  sim_run(s, TORC_SEC(10));
  assert_false(sim_is_alive(s, 5));
  assert_true(sim_ring_ok(s, NULL));
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_NEW, NULL), 0);
    must_read(s, i, 5, "k", "v");
    must_read(s, i, i, "k", "v");
  }
  sim_free(s);
}

/* Reads, writes and the rest while the second ring cannot be reached: the first one serves. */
static void test_no_second_ring(void **state) {
  (void)state;
  sim *s = ring_of(9, PEERS);
  assert_int_equal(sim_store(s, 3, "k", "v").code, 200);
  assert_int_equal(sim_migrate(s, 6, TORC_MIGRATION_FETCH_NEW, NULL), 0);
  must_read(s, 6, 3, "k", "v");
  assert_int_equal(sim_store(s, 6, "k", "w").code, 200);
  must_read(s, 1, 6, "k", "w");
  torc_id target = sim_id(s, 2);
  assert_int_equal(sim_ping(s, 6, &target, 0).code, 200);
  assert_int_equal(sim_connect(s, 6, &target).rc, 0);
  assert_in_range(view_of(s, 6).retried, 0, 4);
  sim_free(s);
}

/* Links of the second ring are no clients' of the first, whose places are few [GAP-141]. */
static void test_client_places(void **state) {
  (void)state;
  sim_options o = {.seed = 12, .num_bootstrap = 2, .max_client_links = 10};
  sim *s = sim_new(&o);
  for (size_t i = 0; i < 40; i++) {
    sim_add(s, TORC_ROLE_PEER);
    sim_run(s, TORC_SEC(3));
  }
  assert_true(sim_run_until(s, sim_ring_ok, NULL, TORC_SEC(60)));
  for (size_t i = 0; i < 40; i++) {
    assert_int_equal(sim_store(s, i, "k", "v").code, 200);
  }
  for (size_t i = 0; i < 40; i++) {
    assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_OLD, NULL), 0);
    sim_run(s, TORC_SEC(3));
  }
  run_until(s, both_joined, TORC_SEC(300));
  for (size_t i = 0; i < 40; i++) {
    for (size_t k = 0; k < 40; k++) {
      must_read(s, k, i, "k", "v");
    }
  }
  sim_free(s);
}

/* Every allocation of the change fails once: the node is what it was, and tries again with success.
 */
static void test_no_memory(void **state) {
  (void)state;
  sim *s = ring_of(10, 3);
  assert_int_equal(sim_store(s, 1, "k", "v").code, 200);
  uint64_t num = 0;
  unsigned refused = 0;
  for (uint64_t at = 1; at <= num + 1; at++) {
    helper_mem_reset(sim_mem(s, 2), at);
    refused += sim_migrate(s, 2, TORC_MIGRATION_FETCH_NEW, NULL) == TORC_ERR_NOMEM;
    num = sim_mem(s, 2)->num_calls < at ? at - 1 : at;
    helper_mem_reset(sim_mem(s, 2), 0);
    must_read(s, 2, 1, "k", "v");
    assert_int_equal(sim_migrate(s, 2, TORC_MIGRATION_NONE, NULL), 0);
    run_until(s, all_dropped, TORC_SEC(60));
  }
  assert_in_range(refused, 10, num);
  sim_free(s);
}

static void test_misuse(void **state) {
  torc_node_config c = TORC_NODE_CONFIG_INIT;
  const char *why = NULL;
  (void)state;
  sim *s = ring_of(11, 3);
  c.overlay_name = "Example.ORG."; /* [GAP-12] the same name */
  c.algorithm = "chord-128-2-24";
  assert_int_equal(
      torc_node_migrate(sim_node(s, 0), &c, TORC_MIGRATION_FETCH_OLD, sim_now(s), &why),
      TORC_ERR_CONFIG);
  assert_string_equal(why, "the second ring needs a name of its own, with another checksum");
  c.overlay_name = "new.example.org";
  c.algorithm = "pastry";
  assert_int_equal(
      torc_node_migrate(sim_node(s, 0), &c, TORC_MIGRATION_FETCH_OLD, sim_now(s), &why),
      TORC_ERR_CONFIG);
  assert_string_equal(view_of(s, 0).new_state, "none");
  assert_int_equal(sim_migrate(s, 0, TORC_MIGRATION_FETCH_OLD, NULL), 0);
  c.algorithm = "full-mesh";
  assert_int_equal(
      torc_node_migrate(sim_node(s, 0), &c, TORC_MIGRATION_FETCH_NEW, sim_now(s), &why),
      TORC_ERR_CONFIG);
  assert_string_equal(why, "the ring that this node moves to has become another one");
  assert_int_equal(view_of(s, 0).stage, TORC_MIGRATION_FETCH_OLD);
  sim_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-19 GAP-142 MIG-01 MIG-02 MIG-03 MIG-04 MIG-05 a ring moves, with every value",
                test_whole_move),
      TORC_TEST("D-19 two rings over the same links", test_links_shared),
      TORC_TEST("MIG-01 MIG-03 MIG-04 peers of different stages", test_mixed_stages),
      TORC_TEST("MIG-03 who writes to the first ring alone", test_old_writer),
      TORC_TEST("MIG-03 MIG-04 a REMOVE in both rings", test_remove),
      TORC_TEST("D-19 the move is taken back, and made again", test_roll_back),
      TORC_TEST("MIG-01 restarts in the middle", test_restart),
      TORC_TEST("D-19 LEA-01 leaving both rings", test_leave_both),
      TORC_TEST("MIG-04 no second ring to be reached", test_no_second_ring),
      TORC_TEST("D-19 R-39 places of clients, with two rings", test_client_places),
      TORC_TEST("D-19 no memory for the second ring", test_no_memory),
      TORC_TEST("D-19 rings that cannot be moved to", test_misuse),
  };
  return TORC_RUN(tests);
}
