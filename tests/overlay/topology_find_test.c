/* The names of algorithms and what they stand for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topofake.h"

typedef struct name_case {
  const char *name;
  const torc_topology_ops *ops; /* NULL: refused */
  unsigned replicas, fingers;
  const char *why; /* part of the explanation */
} name_case;

static void test_name(void **state) {
  const name_case *c = *state;
  const torc_topology_ops *ops = NULL;
  torc_topology_params p;
  int rc = torc_topology_find(c->name, &ops, &p);
  memset(&p, 0, sizeof p);
  rc = torc_topology_find(c->name, &ops, &p);
  if (c->ops == NULL) {
    assert_int_equal(rc, TORC_ERR_CONFIG);
    assert_null(ops);
    assert_non_null(strstr(torc_topology_explain(c->name), c->why));
    return;
  }
  assert_int_equal(rc, 0);
  assert_ptr_equal(ops, c->ops);
  assert_int_equal(p.num_replicas, c->replicas);
  assert_int_equal(p.num_fingers, c->fingers);
  assert_string_equal(torc_topology_explain(c->name), "The name is known.");
}

#define LONG_NAME "chord-128-2-8888888888888888888888888888888888888888888888888888888888888888"

static name_case names[] = {
    {"chord-128-2-8", &torc_topology_chord, 2, 8, NULL},
    {"chord-128-1-1", &torc_topology_chord, 1, 1, NULL},
    {"chord-128-8-64", &torc_topology_chord, 8, 64, NULL},
    {"chord-128-2-24", &torc_topology_chord, 2, 24, NULL},
    {"full-mesh", &torc_topology_full_mesh, 2, 0, NULL},
    {"chord-160-2-8", NULL, 0, 0, "128 bits"},
    {"chord-64-2-8", NULL, 0, 0, "128 bits"},
    {"chord-128-0-8", NULL, 0, 0, "chord-<bits>-<replicas>-<fingers>"},
    {"chord-128-9-8", NULL, 0, 0, "1 to 8 replicas"},
    {"chord-128-2-0", NULL, 0, 0, "chord-<bits>-<replicas>-<fingers>"},
    {"chord-128-2-65", NULL, 0, 0, "1 to 64 fingers"},
    {"chord-128-2", NULL, 0, 0, "chord-<bits>-<replicas>-<fingers>"},
    {"chord-128-2-8-", NULL, 0, 0, "chord-<bits>-<replicas>-<fingers>"},
    {"chord-128-2-8x", NULL, 0, 0, "chord-<bits>-<replicas>-<fingers>"},
    {"chord-128-02-8", NULL, 0, 0, "chord-<bits>-<replicas>-<fingers>"},
    {"chord-128--2-8", NULL, 0, 0, "chord-<bits>-<replicas>-<fingers>"},
    {"chord-99999999999-2-8", NULL, 0, 0, "chord-<bits>-<replicas>-<fingers>"},
    {LONG_NAME, NULL, 0, 0, "chord-"},
    {"chord-", NULL, 0, 0, "chord-<bits>-<replicas>-<fingers>"},
    {"chord", NULL, 0, 0, "known algorithms"},
    {"kademlia", NULL, 0, 0, "known algorithms"},
    {"full-mesh-2", NULL, 0, 0, "known algorithms"},
    {"", NULL, 0, 0, "known algorithms"},
};

static void test_defaults(void **state) {
  const torc_topology_ops *ops;
  torc_topology_params p;
  (void)state;
  assert_int_equal(torc_topology_find("chord-128-2-8", &ops, &p), 0);
  assert_int_equal(p.update_period, TORC_SEC(600));
  assert_int_equal(p.ping_period, TORC_SEC(3600));
  assert_int_equal(p.deletion_delay, TORC_SEC(60));
  assert_int_equal(p.rejoin_min, TORC_SEC(5));
  assert_int_equal(p.rejoin_max, TORC_SEC(300));
  assert_int_equal(p.retry_unreachable, TORC_SEC(60));
}

/* The two plug-ins stand behind the same table of functions, and neither leaves one out. */
static void test_interface(void **state) {
  const torc_topology_ops *all[] = {&torc_topology_chord, &torc_topology_full_mesh};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    void (*const *fn)(void);
    const torc_topology_ops *o = all[i];
    size_t num = (sizeof *o - offsetof(torc_topology_ops, parse)) / sizeof *fn;
    fn =
        (void (*const *)(void))(const void *)((const char *)o + offsetof(torc_topology_ops, parse));
    for (size_t k = 0; k < num; k++) {
      assert_non_null(fn[k]);
    }
  }
}

static void test_bad_params(void **state) {
  topofake f;
  torc_topology *t = NULL;
  (void)state;
  topofake_init(&f, "chord-128-2-8", 1000);
  f.params.update_period = 0;
  assert_int_equal(f.ops->create(&t, &f.host, &f.params), TORC_ERR_CONFIG);
  f.params.update_period = 1;
  f.params.num_replicas = TORC_REPLICAS_MAX + 1;
  assert_int_equal(f.ops->create(&t, &f.host, &f.params), TORC_ERR_CONFIG);
  f.params.num_replicas = 2;
  f.host.self = torc_id_zero;
  assert_int_equal(f.ops->create(&t, &f.host, &f.params), TORC_ERR_INVALID);
  f.host.self = torc_id_wildcard;
  assert_int_equal(f.ops->create(&t, &f.host, &f.params), TORC_ERR_INVALID);
  assert_null(t);
  topofake_clear(&f);
  f.ops->destroy(NULL);
}

int main(void) {
  struct CMUnitTest tests[TORC_ARRAY_LEN(names) + 3];
  for (size_t i = 0; i < TORC_ARRAY_LEN(names); i++) {
    tests[i] = (struct CMUnitTest)TORC_CASE("CHD-01 D-12 GAP-112 ARC-05 algorithm name", test_name,
                                            &names[i]);
  }
  tests[TORC_ARRAY_LEN(names)] = (struct CMUnitTest)TORC_TEST(
      "CHD-39 CHD-44 GAP-119 GAP-120 GAP-122 GAP-123 default periods", test_defaults);
  tests[TORC_ARRAY_LEN(names) + 1] = (struct CMUnitTest)TORC_TEST(
      "ARC-04 ARC-22 two plug-ins behind one interface", test_interface);
  tests[TORC_ARRAY_LEN(names) + 2] =
      (struct CMUnitTest)TORC_TEST("D-12 ARC-16 parameters out of range", test_bad_params);
  return TORC_RUN(tests);
}
