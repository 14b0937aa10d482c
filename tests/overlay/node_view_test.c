/* What the node shows of itself: no counter is forgotten.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_node.h"
#include "overlay/node/impl.h"
#include "torc_test.h"

#define SHOWN_MAX 256
#define FIRST_VALUE 1000 /* of a filled structure; the next one has the next number */

typedef struct shown {
  const char *names[SHOWN_MAX];
  uint64_t values[SHOWN_MAX];
  size_t num;
} shown;

static void on_counter(void *ctx, const char *name, uint64_t value) {
  shown *s = ctx;
  assert_true(s->num < SHOWN_MAX);
  for (size_t i = 0; i < s->num; i++) {
    assert_string_not_equal(s->names[i], name);
  }
  s->names[s->num] = name;
  s->values[s->num] = value;
  s->num++;
}

static void fill(void *stats, size_t size) {
  uint64_t *field = stats;
  for (size_t i = 0; i < size / sizeof *field; i++) {
    field[i] = FIRST_VALUE + i;
  }
}

/* Each of the values that `fill` gave to a structure of `size` bytes is shown once, under names
 * that begin with `prefix`, and nothing else is. */
static void assert_all_shown(const shown *s, const char *prefix, size_t size) {
  size_t num = size / sizeof(uint64_t);
  bool seen[SHOWN_MAX] = {false};
  size_t found = 0;
  assert_true(num > 0 && num <= SHOWN_MAX);
  for (size_t i = 0; i < s->num; i++) {
    if (strncmp(s->names[i], prefix, strlen(prefix)) != 0) {
      continue;
    }
    uint64_t place = s->values[i] - FIRST_VALUE;
    if (place >= num || seen[place]) {
      fail_msg("%s shows %llu", s->names[i], (unsigned long long)s->values[i]);
    }
    seen[place] = true;
    found++;
  }
  for (size_t i = 0; i < num; i++) {
    if (!seen[i]) {
      fail_msg("counter %zu of %s* is not shown", i, prefix);
    }
  }
  assert_int_equal(found, num);
}

static void test_store(void **state) {
  nt *h = nt_ring(NULL);
  shown s = {.num = 0};
  (void)state;
  fill((void *)(uintptr_t)torc_store_get_stats(nt_node(h)->store), sizeof(torc_store_stats));
  torc_node_counters(nt_node(h), &s, on_counter);
  assert_all_shown(&s, "store_", sizeof(torc_store_stats));
  nt_free(h);
}

static void view_of_filled(const torc_topology *t, torc_topology_view *out) {
  (void)t;
  fill(&out->stats, sizeof out->stats);
}

static void test_topology(void **state) {
  nt *h = nt_ring(NULL);
  torc_node *n = nt_node(h);
  const torc_topology_ops *real = n->topo_ops;
  torc_topology_ops ops = *real;
  shown s = {.num = 0};
  (void)state;
  ops.view = view_of_filled;
  n->topo_ops = &ops;
  torc_node_counters(n, &s, on_counter);
  n->topo_ops = real;
  assert_all_shown(&s, "topology_", sizeof(torc_topology_stats));
  nt_free(h);
}

static void test_node(void **state) {
  nt *h = nt_ring(NULL);
  shown s = {.num = 0};
  (void)state;
  torc_node_counters(nt_node(h), &s, on_counter);
  size_t fields = sizeof(torc_node_stats) + sizeof(torc_store_stats) + sizeof(torc_topology_stats);
  assert_int_equal(s.num, fields / sizeof(uint64_t) + 5); /* of a move to another ring */
  nt_free(h);
}

static void on_table(void *ctx, const char *name, uint64_t held, uint64_t limit) {
  assert_true(limit > 0 && held <= limit);
  on_counter(ctx, name, held);
}

static uint64_t held(const shown *s, const char *name) {
  for (size_t i = 0; i < s->num; i++) {
    if (strcmp(s->names[i], name) == 0) {
      return s->values[i];
    }
  }
  fail_msg("no table %s", name);
  return 0;
}

static void test_tables(void **state) {
  nt *h = nt_ring(NULL);
  torc_id to = nt_id(0x70);
  torc_token token = 0;
  shown before = {.num = 0};
  shown s = {.num = 0};
  (void)state;
  nt_answer(h, 1u << TORC_METHOD_UPDATE);
  (void)nt_join(h, 0xc0);
  nt_advance(h, TORC_SEC(1));
  torc_node_tables(nt_node(h), &before, on_table);
  assert_int_equal(torc_node_ping(nt_node(h), &to, 1, 0, nt_now(h), &token), 0);
  torc_node_tables(nt_node(h), &s, on_table);
  assert_int_equal(held(&s, "requests"), held(&before, "requests") + 1);
  assert_int_equal(held(&s, "members"), 1);
  assert_int_equal(held(&s, "stored_bytes"), 0);
  assert_true(held(&s, "answers") > 0); /* to C's UPDATE */
  nt_advance(h, TORC_SEC(60));
  s.num = 0;
  torc_node_tables(nt_node(h), &s, on_table);
  assert_int_equal(held(&s, "answers"), 0);
  nt_free(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("every counter of the store is shown", test_store),
      TORC_TEST("every counter of the topology is shown", test_topology),
      TORC_TEST("SEC-12 the node shows what its tables hold", test_tables),
      TORC_TEST("the node shows its counters once each, and no other", test_node),
  };
  return TORC_RUN(tests);
}
