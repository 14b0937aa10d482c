/* Bad days in virtual time: churn, leave, partition, restart of everybody, clients, lossy links.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/id.h"
#include "overlay/helper_sim.h"
#include "torc_test.h"

/* TORC_SEED: the first seed, to repeat a failure. */
static uint64_t seeds_from(void) {
  const char *text = getenv("TORC_SEED");
  return text == NULL ? 1 : strtoull(text, NULL, 10);
}

/* How many seeds a case runs with; TORC_SEEDS asks for more. */
static uint64_t seeds(uint64_t usual) {
  const char *text = getenv("TORC_SEEDS");
  return text == NULL ? usual : strtoull(text, NULL, 10);
}

#define NUM 8
#define HEAL TORC_SEC(60)

static sim *ring(const sim_options *o, size_t n) {
  sim *s = sim_new(o);
  for (size_t i = 0; i < n; i++) {
    sim_add(s, TORC_ROLE_PEER);
  }
  if (!sim_run_until(s, sim_ring_ok, NULL, HEAL)) {
    sim_print_ring(s);
    fail_msg("no ring of %zu with seed %llu", n, (unsigned long long)o->seed);
  }
  return s;
}

static void expect_ring(sim *s, const char *when, uint64_t seed) {
  if (!sim_run_until(s, sim_ring_ok, NULL, HEAL)) {
    sim_print_ring(s);
    fail_msg("ring not whole %s, seed %llu", when, (unsigned long long)seed);
  }
}

static void user_of(size_t i, char *out, size_t cap) {
  snprintf(out, cap, "user%zu@example.org", i);
}

static void store_all(sim *s, size_t num, const char *value) {
  for (size_t i = 0; i < num; i++) {
    sim_value v = sim_store(s, i, "k", value);
    if (v.rc != 0 || v.code != 200) {
      sim_print_ring(s);
      fail_msg("store from n%zu: rc %d code %u", i, v.rc, v.code);
    }
  }
}

static void check_all(sim *s, size_t from, size_t num, const char *value, uint64_t seed) {
  for (size_t i = 0; i < num; i++) {
    char user[64];
    user_of(i, user, sizeof user);
    sim_value v = sim_fetch(s, from, user, "k");
    if (v.rc != 0 || !v.exists || strcmp(v.value, value) != 0) {
      sim_print_ring(s);
      fail_msg("seed %llu: fetch of %s from n%zu: rc %d code %u exists %d value '%s'",
               (unsigned long long)seed, user, from, v.rc, v.code, v.exists, v.value);
    }
  }
}

static size_t holders_min(sim *s, size_t num, size_t asker) {
  size_t least = SIZE_MAX;
  for (size_t i = 0; i < num; i++) {
    char user[64];
    user_of(i, user, sizeof user);
    torc_id r = sim_resource(s, asker, user);
    size_t h = sim_holders(s, &r);
    least = h < least ? h : least;
  }
  return least;
}

/* One after the other leaves and comes back. */
static void test_leave(void **state) {
  for (uint64_t seed = seeds_from(); seed <= seeds(5); seed++) {
    sim_options o = {.seed = seed, .algorithm = *state};
    sim *s = ring(&o, NUM);
    store_all(s, NUM, "v");
    for (size_t i = 1; i < NUM; i++) {
      sim_leave(s, i);
      sim_run(s, TORC_SEC(4));
      assert_false(sim_is_alive(s, i));
      expect_ring(s, "after a leave", seed);
      check_all(s, 0, NUM, "v", seed);
      assert_true(holders_min(s, NUM, 0) >= 3);
      sim_restart(s, i);
      expect_ring(s, "after a return", seed);
    }
    check_all(s, 3, NUM, "v", seed);
    sim_free(s);
  }
}

static void test_all_restart(void **state) {
  for (uint64_t seed = seeds_from(); seed <= seeds(5); seed++) {
    sim_options o = {.seed = seed, .algorithm = *state, .num_bootstrap = 2};
    sim *s = ring(&o, NUM);
    store_all(s, NUM, "kept");
    for (size_t i = 0; i < NUM; i++) {
      sim_kill(s, i);
    }
    for (size_t i = 0; i < NUM; i++) {
      sim_restart(s, i);
    }
    expect_ring(s, "after everybody restarted", seed);
    check_all(s, 2, NUM, "kept", seed);
    sim_free(s);
  }
}

static void test_partition(void **state) {
  for (uint64_t seed = seeds_from(); seed <= seeds(12); seed++) {
    sim_options o = {.seed = seed, .algorithm = *state, .num_bootstrap = 2};
    sim *s = ring(&o, NUM);
    store_all(s, NUM, "before");
    for (size_t i = 0; i < NUM; i++) {
      sim_set_group(s, i, (unsigned)(i % 2));
    }
    sim_run(s, TORC_SEC(20));
    bool is_answered[NUM] = {false};
    for (size_t i = 0; i < NUM; i += 2) {
      sim_value v = sim_store(s, i, "k", "during");
      is_answered[i] = v.rc == 0 && v.code == 200;
    }
    for (size_t i = 0; i < NUM; i++) {
      sim_set_group(s, i, 0);
    }
    if (!sim_run_until(s, sim_ring_ok, NULL, TORC_SEC(180))) {
      sim_print_ring(s);
      fail_msg("rings did not merge, seed %llu", (unsigned long long)seed);
    }
    sim_run(s, TORC_SEC(30));
    for (size_t i = 0; i < NUM; i++) {
      char user[64];
      user_of(i, user, sizeof user);
      sim_value v = sim_fetch(s, 1, user, "k");
      if (v.rc != 0 || strcmp(v.value, is_answered[i] ? "during" : "before") != 0) {
        fail_msg("seed %llu %s: rc %d code %u '%s'", (unsigned long long)seed, user, v.rc, v.code,
                 v.value);
      }
    }
    sim_free(s);
  }
}

/* Random kills and returns while values are stored and read; answered values are never lost. */
static void test_churn(void **state) {
  for (uint64_t seed = seeds_from(); seed <= seeds(5); seed++) {
    sim_options o = {.seed = seed, .algorithm = *state, .num_bootstrap = 3};
    sim *s = ring(&o, 12);
    char last[12][32];
    for (size_t i = 0; i < 12; i++) {
      snprintf(last[i], sizeof last[i], "v0");
    }
    store_all(s, 12, "v0");
    for (int round = 1; round <= 10; round++) {
      size_t victim = sim_random(s, 12);
      if (sim_is_alive(s, victim)) {
        sim_kill(s, victim);
      }
      for (size_t i = 0; i < 12; i++) {
        char value[32];
        snprintf(value, sizeof value, "v%d", round);
        if (sim_is_alive(s, i)) {
          sim_value v = sim_store(s, i, "k", value);
          if (v.rc == 0 && v.code == 200) {
            memcpy(last[i], value, sizeof value);
          }
        }
      }
      expect_ring(s, "after a kill", seed);
      sim_restart(s, victim);
      expect_ring(s, "after a return", seed);
      size_t from = sim_random(s, 12);
      for (size_t i = 0; i < 12; i++) {
        char user[64];
        user_of(i, user, sizeof user);
        sim_value v = sim_fetch(s, from, user, "k");
        if (v.rc != 0 || !v.exists || strcmp(v.value, last[i]) != 0) {
          sim_print_ring(s);
          fail_msg("seed %llu round %d: %s from n%zu: rc %d code %u '%s', want '%s'",
                   (unsigned long long)seed, round, user, from, v.rc, v.code, v.value, last[i]);
        }
      }
    }
    sim_free(s);
  }
}

static void test_client(void **state) {
  sim_options o = {.seed = 3, .algorithm = *state};
  sim *s = ring(&o, 5);
  size_t c = sim_add(s, TORC_ROLE_CLIENT);
  sim_run(s, TORC_SEC(2));
  sim_value v = sim_store(s, c, "k", "from a client");
  assert_int_equal(v.rc, 0);
  char user[64];
  user_of(c, user, sizeof user);
  v = sim_fetch(s, 2, user, "k");
  assert_string_equal(v.value, "from a client");
  torc_id route[2] = {sim_id(s, 0), sim_id(s, c)};
  torc_token token = 0;
  assert_int_equal(torc_node_ping(sim_node(s, 3), route, 2, 0, sim_now(s), &token), 0);
  torc_node_view view;
  torc_node_get_view(sim_node(s, 0), &view);
  assert_true(view.num_client_links >= 1);
  for (size_t k = 0; k < view.num_successors; k++) { /* never in a routing table */
    torc_id id = sim_id(s, c);
    assert_memory_not_equal(&view.successors[k], &id, sizeof id);
  }
  sim_free(s);
}

static void test_remove(void **state) {
  sim_options o = {.seed = 11, .algorithm = *state};
  sim *s = ring(&o, NUM);
  sim_value v = sim_store(s, 4, "k", "gone soon");
  assert_int_equal(v.code, 200);
  sim_value stale = sim_remove(s, 4, "k", v.generation + 1);
  assert_int_equal(stale.code, 412);
  v = sim_remove(s, 4, "k", v.generation);
  assert_int_equal(v.code, 200);
  for (size_t i = 0; i < NUM; i++) {
    sim_value f = sim_fetch(s, i, "user4@example.org", "k");
    assert_int_equal(f.rc, 0);
    assert_false(f.exists);
  }
  size_t late = sim_add(s, TORC_ROLE_PEER);
  expect_ring(s, "with a late peer", 11);
  sim_value f = sim_fetch(s, late, "user4@example.org", "k");
  assert_int_equal(f.rc, 0);
  assert_false(f.exists);
  sim_free(s);
}

static void test_compressed(void **state) {
  (void)state;
  sim_options o = {.seed = 5, .compress_via = true};
  sim *s = ring(&o, 16);
  store_all(s, 16, "private");
  check_all(s, 9, 16, "private", 5);
  sim_free(s);
}

static void test_iterative(void **state) {
  (void)state;
  sim_options o = {.seed = 21};
  sim *s = ring(&o, 24);
  for (size_t i = 0; i < 24; i++) {
    torc_id target = sim_id(s, (i * 7 + 3) % 24);
    sim_value v = sim_ping(s, i, &target, TORC_CALL_ITERATIVE);
    assert_int_equal(v.rc, 0);
    assert_memory_equal(&v.responder, &target, sizeof target);
    v = sim_ping(s, i, &target, TORC_CALL_ROUTE_LOG);
    assert_int_equal(v.rc, 0);
  }
  sim_free(s);
}

static void test_lossy(void **state) {
  sim_options o = {.seed = 2, .algorithm = *state, .loss_permille = 50};
  sim *s = ring(&o, NUM);
  store_all(s, NUM, "through loss");
  check_all(s, 5, NUM, "through loss", 2);
  sim_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_CASE("LEA-01 LEA-04 CHD-46 CHD-47 peers leave and return (chord)", test_leave,
                "chord-128-2-8"),
      TORC_CASE("LEA-01 peers leave and return (full-mesh)", test_leave, "full-mesh"),
      TORC_CASE("R-51 everybody restarts (chord)", test_all_restart, "chord-128-2-8"),
      TORC_CASE("R-51 everybody restarts (full-mesh)", test_all_restart, "full-mesh"),
      TORC_CASE("GAP-124 USG-09 GAP-103 a partition heals (chord)", test_partition,
                "chord-128-2-8"),
      TORC_CASE("GAP-124 a partition heals (full-mesh)", test_partition, "full-mesh"),
      TORC_CASE("D-13 CHD-24 CHD-35 churn loses nothing (chord)", test_churn, "chord-128-2-8"),
      TORC_CASE("D-13 churn loses nothing (full-mesh)", test_churn, "full-mesh"),
      TORC_CASE("CLI-01 CLI-02 CLI-05 a client stores and is reached", test_client,
                "chord-128-2-8"),
      TORC_CASE("D-14 GAP-93 REM-03 a removed value stays removed", test_remove, "chord-128-2-8"),
      TORC_CASE("RTG-24 RTG-25 GAP-27 with list compression everywhere", test_compressed, NULL),
      TORC_CASE("RTG-03 GAP-31 R-04 iterative look-ups", test_iterative, NULL),
      TORC_CASE("RTX-01 GAP-63 one message in twenty is lost", test_lossy, "chord-128-2-8"),
  };
  return TORC_RUN(tests);
}
