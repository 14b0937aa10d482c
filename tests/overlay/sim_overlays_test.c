/* Several overlays in one process, long answers, one answer a PING. SPDX-License-Identifier:
 * Apache-2.0 */
#include <stdio.h>

#include "overlay/helper_sim.h"
#include "torc_test.h"

static sim *ring(uint64_t seed, const char *algorithm, size_t n) {
  sim_options o = {.seed = seed, .algorithm = algorithm};
  sim *s = sim_new(&o);
  for (size_t i = 0; i < n; i++) {
    sim_add(s, TORC_ROLE_PEER);
  }
  assert_true(sim_run_until(s, sim_ring_ok, NULL, TORC_SEC(60)));
  return s;
}

/* Nodes of two overlays, each with its own algorithm, live side by side and share nothing. */
static void test_two_overlays(void **state) {
  (void)state;
  sim *chord = ring(1, "chord-128-2-8", 5);
  sim *mesh = ring(2, "full-mesh", 4);
  assert_int_equal(sim_store(chord, 0, "k", "in the first").code, 200);
  assert_int_equal(sim_store(mesh, 0, "k", "in the second").code, 200);
  assert_int_equal(sim_store(chord, 1, "k", "only there").code, 200);
  assert_string_equal(sim_fetch(chord, 4, "user0@example.org", "k").value, "in the first");
  assert_string_equal(sim_fetch(mesh, 3, "user0@example.org", "k").value, "in the second");
  assert_false(sim_fetch(mesh, 3, "user1@example.org", "k").exists);
  sim_free(chord);
  assert_string_equal(sim_fetch(mesh, 2, "user0@example.org", "k").value, "in the second");
  sim_free(mesh);
}

/* 28 values of 4,000 bytes: more than one element can hold, less than a body may. */
static void test_long_answer(void **state) {
  char value[4001];
  char key[16];
  (void)state;
  sim *s = ring(3, NULL, 6);
  memset(value, 'v', sizeof value - 1);
  value[sizeof value - 1] = '\0';
  for (int i = 0; i < 28; i++) {
    (void)snprintf(key, sizeof key, "k%02d", i);
    assert_int_equal(sim_store(s, 2, key, value).code, 200);
  }
  for (size_t i = 0; i < 6; i++) {
    sim_value v = sim_fetch(s, i, "user2@example.org", NULL);
    assert_int_equal(v.rc, 0);
    assert_int_equal(v.num_values, 28);
    assert_int_equal(v.num_rejected, 0);
  }
  sim_free(s);
}

static void find_sent(void *ctx, const char *name, uint64_t value) {
  if (strcmp(name, "responses_sent") == 0) {
    *(uint64_t *)ctx = value;
  }
}

static void test_one_response(void **state) {
  uint64_t before = 0;
  uint64_t after = 0;
  (void)state;
  sim *s = ring(4, NULL, 2);
  torc_id target = sim_id(s, 1);
  sim_run(s, TORC_MS(500));
  torc_node_counters(sim_node(s, 1), &before, find_sent);
  for (int i = 0; i < 10; i++) {
    assert_int_equal(sim_ping(s, 0, &target, 0).code, 200);
  }
  torc_node_counters(sim_node(s, 1), &after, find_sent);
  assert_int_equal(after - before, 10);
  sim_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ARC-08 nodes of two overlays in one process", test_two_overlays),
      TORC_TEST("GAP-164 GAP-86 answers longer than one element", test_long_answer),
      TORC_TEST("GAP-68 each PING has one response", test_one_response),
  };
  return TORC_RUN(tests);
}
