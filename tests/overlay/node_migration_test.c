/* A node that moves from one ring to another. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/slice.h"
#include "overlay/helper_sim.h"
#include "overlay/usage/certificate_store.h"
#include "torc_test.h"

#define PEERS 8u

static torc_migration_view view_of(sim *s, size_t i) {
  torc_migration_view v;
  torc_node_get_migration(sim_node(s, i), &v);
  return v;
}

static sim *ring_with(const sim_options *o, size_t n) {
  sim *s = sim_new(o);
  for (size_t i = 0; i < n; i++) {
    sim_add(s, TORC_ROLE_PEER);
  }
  assert_true(sim_run_until(s, sim_ring_ok, NULL, TORC_SEC(60)));
  return s;
}

static sim *ring_of(uint64_t seed, size_t n) {
  sim_options o = {.seed = seed, .num_bootstrap = 2};
  return ring_with(&o, n);
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

static void into_stage_two(sim *s) {
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  run_until(s, both_joined, TORC_SEC(120));
  run_until(s, all_carried, TORC_SEC(60));
}

static void whole_move(const sim_options *o) {
  sim *s = ring_with(o, PEERS);
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

static void test_whole_move(void **state) {
  (void)state;
  whole_move(&(sim_options){.seed = 1, .num_bootstrap = 2});
}

/* [SEC-06] No signatures, no certificates: the second ring is as the first. */
static void test_shared_key_move(void **state) {
  (void)state;
  whole_move(&(sim_options){.seed = 2, .num_bootstrap = 2, .is_shared_key = true});
}

/* One link to each peer. */
static bool has_single_links(sim *s, size_t i) {
  torc_node_link_view v[64];
  size_t num = torc_node_links(sim_node(s, i), v, 64);
  for (size_t k = 0; k < num; k++) {
    for (size_t j = 0; j < k; j++) {
      if (memcmp(v[k].peer.b, v[j].peer.b, TORC_ID_LEN) == 0) {
        return false;
      }
    }
  }
  return num >= 3;
}

static bool all_single(sim *s, void *ctx) {
  (void)ctx;
  for (size_t i = 0; i < sim_num(s); i++) {
    if (!has_single_links(s, i)) {
      return false;
    }
  }
  return true;
}

/* [D-19] Both rings use one link of two peers, not two, however slow everybody is. */
static void test_links_shared(void **state) {
  (void)state;
  for (uint64_t seed = 200; seed < 220; seed++) {
    sim_options o = {.seed = seed,
                     .num_bootstrap = 2,
                     .update_period = TORC_SEC(1),
                     .job_time = TORC_MS(seed % 4 * 150)};
    sim *s = ring_with(&o, PEERS);
    for (size_t i = 0; i < PEERS; i++) {
      assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_OLD, NULL), 0);
      sim_run(s, sim_random(s, TORC_MS(400)));
    }
    run_until(s, both_joined, TORC_SEC(120));
    assert_true(sim_run_until(s, all_single, NULL, TORC_SEC(90)));
    sim_free(s);
  }
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

/* The counters of the two rings have nothing to do with each other: what a read is answered with is
 * that of the ring in which the next write is checked. */
static void test_counters(void **state) {
  (void)state;
  sim *s = ring_of(13, PEERS);
  assert_int_equal(sim_store(s, 2, "a", "1").code, 200);
  assert_int_equal(sim_store(s, 2, "b", "1").code, 200);
  sim_value v = sim_fetch(s, 2, "user2@example.org", "a");
  assert_int_equal(sim_remove(s, 2, "a", v.generation).code, 200);
  into_stage_two(s);
  stage_all(s, TORC_MIGRATION_FETCH_NEW);
  v = sim_fetch(s, 2, "user2@example.org", "a"); /* neither ring has it */
  assert_int_equal(v.rc, 0);
  assert_false(v.exists);
  assert_int_equal(sim_remove(s, 2, "b", v.generation).code, 200);
  v = sim_fetch(s, 5, "user2@example.org", "b");
  assert_false(v.exists);
  sim_free(s);
}

static void must_be_gone(sim *s, size_t owner, const char *key) {
  char user[40];
  (void)snprintf(user, sizeof user, "user%zu@example.org", owner);
  for (size_t i = 0; i < sim_num(s); i++) {
    sim_value v = sim_fetch(s, i, user, key);
    assert_int_equal(v.rc, 0);
    assert_false(v.exists);
  }
}

/* The number of the peer with this id. */
static size_t peer_of(sim *s, const torc_id *id) {
  size_t i = 0;
  torc_id at = sim_id(s, i);
  while (memcmp(at.b, id->b, TORC_ID_LEN) != 0) {
    i++;
    at = sim_id(s, i);
  }
  return i;
}

static bool is_carrying(sim *s, void *ctx) {
  return view_of(s, *(size_t *)ctx).is_carrying;
}

/* What is removed just when it is being carried: whoever answers for it is the last to come into
 * the second ring. */
static void test_remove_meets_carry(void **state) {
  (void)state;
  for (uint64_t seed = 100; seed < 200; seed++) {
    sim_options o = {.seed = seed, .num_bootstrap = 2, .job_time = TORC_MS(60)};
    sim *s = ring_with(&o, PEERS);
    assert_int_equal(sim_store(s, 3, "k", "v").code, 200);
    sim_value v = sim_fetch(s, 3, "user3@example.org", "k");
    size_t holder = peer_of(s, &v.responder);
    for (size_t i = 0; i < PEERS; i++) {
      if (i != holder) {
        assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_OLD, NULL), 0);
      }
    }
    sim_run(s, TORC_SEC(30));
    assert_int_equal(sim_migrate(s, holder, TORC_MIGRATION_FETCH_OLD, NULL), 0);
    assert_true(sim_run_until(s, is_carrying, &holder, TORC_SEC(120)));
    sim_run(s, sim_random(s, TORC_MS(20)));
    size_t call = sim_begin_remove(s, 3, "k", v.generation);
    run_until(s, all_carried, TORC_SEC(60));
    sim_run(s, TORC_SEC(40));
    assert_true(sim_has_ended(s, call));
    assert_int_equal(sim_result(s, call).code, 200);
    stage_all(s, TORC_MIGRATION_FETCH_NEW);
    must_be_gone(s, 3, "k");
    sim_free(s);
  }
}

/* The other ring's counter moves on between the look at it and the REMOVE. */
static void test_remove_beside_stores(void **state) {
  char key[16];
  (void)state;
  sim *s = ring_of(14, PEERS);
  for (unsigned k = 0; k < 40; k++) {
    (void)snprintf(key, sizeof key, "k%u", k);
    assert_int_equal(sim_store(s, 3, key, "v").code, 200);
  }
  into_stage_two(s);
  size_t calls[40];
  for (unsigned k = 0; k < 40; k++) {
    if (k == 20) {
      stage_all(s, TORC_MIGRATION_FETCH_NEW);
    }
    (void)snprintf(key, sizeof key, "k%u", k);
    sim_value v = sim_fetch(s, 3, "user3@example.org", key);
    calls[k] = sim_begin_remove(s, 3, key, v.generation);
    for (unsigned m = 0; m < 3; m++) {
      sim_run(s, TORC_MS(sim_random(s, 6)));
      (void)snprintf(key, sizeof key, "x%u.%u", k, m);
      (void)sim_begin_store(s, 3, key, "w");
    }
    sim_run(s, TORC_SEC(1));
  }
  stage_all(s, TORC_MIGRATION_FETCH_NEW);
  unsigned removed = 0;
  for (unsigned k = 0; k < 40; k++) {
    (void)snprintf(key, sizeof key, "k%u", k);
    assert_true(sim_has_ended(s, calls[k]));
    if (sim_result(s, calls[k]).code == 200) {
      must_be_gone(s, 3, key);
      removed++;
    }
  }
  assert_in_range(removed, 10, 40);
  sim_free(s);
}

/* An owner who does not answer for the place of his own values: nobody may carry his list. */
static size_t owner_elsewhere(sim *s, char user[40]) {
  for (size_t i = 0; i < PEERS; i++) {
    (void)snprintf(user, 40, "user%zu@example.org", i);
    sim_value v = sim_list(s, i, user, -1);
    if (peer_of(s, &v.responder) != i) {
      return i;
    }
  }
  fail();
  return 0;
}

/* Appended to both rings, an element has a place of its own in each: what is removed is the same
 * element in both. */
static void test_remove_in_list(void **state) {
  sim_options o = {.seed = 15, .num_bootstrap = 2, .has_list = true};
  char user[40];
  (void)state;
  sim *s = ring_with(&o, PEERS);
  size_t owner = owner_elsewhere(s, user);
  assert_int_equal(sim_append(s, owner, "x").code, 200);
  assert_int_equal(sim_append(s, owner, "y").code, 200);
  into_stage_two(s);
  assert_int_equal(sim_append(s, owner, "z").code, 200); /* 2 in the first ring, 0 in the second */
  assert_int_equal(sim_append(s, owner, "w").code, 200);
  sim_value v = sim_list(s, 1, user, 2);
  assert_string_equal(v.value, "z");
  assert_int_equal(sim_remove_at(s, owner, 2, v.generation).code, 200);
  stage_all(s, TORC_MIGRATION_FETCH_NEW);
  v = sim_list(s, 1, user, -1); /* of the second: w alone */
  assert_int_equal(v.num_existing, 1);
  v = sim_list(s, 1, user, 1);
  assert_string_equal(v.value, "w");
  assert_int_equal(sim_remove_at(s, owner, 1, v.generation).code, 200);
  stage_all(s, TORC_MIGRATION_FETCH_OLD);
  v = sim_list(s, 1, user, -1);
  assert_int_equal(v.num_existing, 2);
  assert_string_equal(sim_list(s, 2, user, 0).value, "x");
  assert_string_equal(sim_list(s, 2, user, 1).value, "y");
  sim_free(s);
}

/* [CRT-02] The certificate lies in both rings, and stays when the first is left. */
static void test_certificates(void **state) {
  sim_options o = {.seed = 16, .num_bootstrap = 2, .keep_certificate = true};
  (void)state;
  sim *s = ring_with(&o, PEERS);
  sim_run(s, TORC_SEC(20));
  into_stage_two(s);
  sim_run(s, TORC_SEC(20));
  stage_all(s, TORC_MIGRATION_NEW_ONLY);
  run_until(s, all_moved, TORC_SEC(600));
  for (size_t i = 0; i < PEERS; i++) {
    torc_id id = sim_id(s, i);
    torc_id place;
    assert_int_equal(
        torc_certificate_place_of(helper_crypto(), &id, torc_slice_of(NULL, 0), &place), 0);
    size_t holders = 0;
    for (size_t k = 0; k < PEERS; k++) {
      holders += torc_node_holds(sim_node(s, k), &place);
    }
    assert_in_range(holders, 1, PEERS);
  }
  sim_free(s);
}

/* One peer got none of the documents until all others had left the first ring, or is two stages
 * behind: what it wrote meanwhile goes with it. */
static void test_far_behind(void **state) {
  static const torc_migration_stage behind[] = {TORC_MIGRATION_NONE, TORC_MIGRATION_FETCH_OLD};
  (void)state;
  for (size_t k = 0; k < TORC_ARRAY_LEN(behind); k++) {
    sim *s = ring_of(17 + k, PEERS);
    assert_int_equal(sim_store(s, 7, "k", "old").code, 200);
    assert_int_equal(sim_store(s, 3, "k", "old").code, 200);
    for (size_t i = 0; i < 7; i++) {
      assert_int_equal(sim_migrate(s, i, TORC_MIGRATION_FETCH_OLD, NULL), 0);
    }
    assert_int_equal(sim_migrate(s, 7, behind[k], NULL), 0);
    sim_run(s, TORC_SEC(60));
    for (torc_migration_stage stage = TORC_MIGRATION_FETCH_NEW; stage <= TORC_MIGRATION_NEW_ONLY;
         stage++) {
      for (size_t i = 0; i < 7; i++) {
        assert_int_equal(sim_migrate(s, i, stage, NULL), 0);
      }
      sim_run(s, TORC_SEC(400));
    }
    for (size_t i = 0; i < 7; i++) {
      assert_string_equal(view_of(s, i).old_state, "left");
      must_read(s, i, 7, "k", "old");
    }
    must_read(s, 7, 7, "k", "old"); /* alone in the first ring: it has what it held */
    assert_int_equal(sim_store(s, 7, "k", "new").code, 200);
    assert_int_equal(sim_store(s, 3, "k", "new").code, 200);
    assert_int_equal(sim_migrate(s, 7, TORC_MIGRATION_NEW_ONLY, NULL), 0);
    run_until(s, all_moved, TORC_SEC(600));
    for (size_t i = 0; i < PEERS; i++) {
      must_read(s, i, 7, "k", "new");
      must_read(s, i, 3, "k", "new");
    }
    sim_free(s);
  }
}

/* Back from each stage, and what is removed after that does not come with another try; nor does it
 * when a peer was away meanwhile and has kept the second ring's values. */
static void test_roll_back_and_remove(void **state) {
  static const torc_migration_stage from[] = {TORC_MIGRATION_FETCH_OLD, TORC_MIGRATION_FETCH_NEW};
  (void)state;
  for (size_t k = 0; k < TORC_ARRAY_LEN(from); k++) {
    sim *s = ring_of(20 + k, PEERS);
    for (size_t i = 0; i < PEERS; i++) {
      assert_int_equal(sim_store(s, i, "before", "v").code, 200);
    }
    into_stage_two(s);
    stage_all(s, from[k]);
    for (size_t i = 0; i < PEERS; i++) {
      assert_int_equal(sim_store(s, i, "during", "v").code, 200);
    }
    sim_kill(s, 5);
    sim_kill(s, 6);
    sim_run(s, TORC_SEC(10));
    stage_all(s, TORC_MIGRATION_NONE);
    sim_run(s, TORC_SEC(60));
    sim_restart(s, 5);
    sim_restart(s, 6);
    run_until(s, all_dropped, TORC_SEC(120));
    for (size_t i = 0; i < PEERS; i++) {
      char user[40];
      (void)snprintf(user, sizeof user, "user%zu@example.org", i);
      sim_value v = sim_fetch(s, i, user, "during");
      assert_true(v.exists);
      assert_int_equal(sim_remove(s, i, "during", v.generation).code, 200);
    }
    into_stage_two(s);
    stage_all(s, TORC_MIGRATION_FETCH_NEW);
    for (size_t i = 0; i < PEERS; i++) {
      must_be_gone(s, i, "during");
      must_read(s, (i + 3) % PEERS, i, "before", "v");
    }
    sim_free(s);
  }
}

/* Every peer is killed once in each stage, while its neighbours go on. */
static void test_restart_in_each(void **state) {
  (void)state;
  sim *s = ring_of(22, PEERS);
  for (size_t i = 0; i < PEERS; i++) {
    assert_int_equal(sim_store(s, i, "k", "v").code, 200);
  }
  for (torc_migration_stage stage = TORC_MIGRATION_FETCH_OLD; stage <= TORC_MIGRATION_FETCH_NEW;
       stage++) {
    stage_all(s, stage);
    sim_run(s, TORC_SEC(5));
    for (size_t i = 0; i < PEERS; i++) {
      sim_kill(s, i);
      sim_run(s, TORC_MS(sim_random(s, 3000)));
      sim_restart(s, i);
      assert_int_equal(sim_migrate(s, i, stage, NULL), 0);
      run_until(s, both_joined, TORC_SEC(120));
      for (size_t m = 0; m < PEERS; m++) {
        must_read(s, m, i, "k", "v");
      }
    }
  }
  run_until(s, all_carried, TORC_SEC(60));
  stage_all(s, TORC_MIGRATION_NEW_ONLY);
  run_until(s, all_moved, TORC_SEC(600));
  for (size_t i = 0; i < PEERS; i++) {
    must_read(s, (i + 3) % PEERS, i, "k", "v");
  }
  sim_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-19 GAP-142 MIG-01 MIG-02 MIG-03 MIG-04 MIG-05 a ring moves, with every value",
                test_whole_move),
      TORC_TEST("D-19 SEC-06 MIG-05 a ring with a shared key moves", test_shared_key_move),
      TORC_TEST("D-19 two rings over the same links", test_links_shared),
      TORC_TEST("MIG-01 MIG-03 MIG-04 peers of different stages", test_mixed_stages),
      TORC_TEST("MIG-03 who writes to the first ring alone", test_old_writer),
      TORC_TEST("MIG-03 MIG-04 a REMOVE in both rings", test_remove),
      TORC_TEST("D-19 the move is taken back, and made again", test_roll_back),
      TORC_TEST("MIG-01 restarts in the middle", test_restart),
      TORC_TEST("MIG-04 STO-19 counters of the ring that checks them", test_counters),
      TORC_TEST("MIG-03 REM-01 what is removed while it is carried", test_remove_meets_carry),
      TORC_TEST("MIG-03 MIG-04 REM-10 a REMOVE beside STOREs", test_remove_beside_stores),
      TORC_TEST("MIG-03 MIG-04 REM-12 a REMOVE in a list", test_remove_in_list),
      TORC_TEST("CRT-02 D-19 certificates in both rings", test_certificates),
      TORC_TEST("MIG-01 MIG-05 peers that are two or three stages behind", test_far_behind),
      TORC_TEST("D-19 REM-01 back from each stage, and a removal", test_roll_back_and_remove),
      TORC_TEST("MIG-01 restarts in each stage", test_restart_in_each),
      TORC_TEST("D-19 LEA-01 leaving both rings", test_leave_both),
      TORC_TEST("MIG-04 no second ring to be reached", test_no_second_ring),
      TORC_TEST("D-19 R-39 places of clients, with two rings", test_client_places),
      TORC_TEST("D-19 no memory for the second ring", test_no_memory),
      TORC_TEST("D-19 rings that cannot be moved to", test_misuse),
  };
  return TORC_RUN(tests);
}
