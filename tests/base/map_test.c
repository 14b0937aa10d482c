/* The hash table against a plain array, its memory failing, and the list.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/failing_mem.h"
#include "base/rng.h"
#include "base/slice.h"
#include "torc_test.h"

enum { NUM_KEYS = 400, KEY_MAX = 40 };

typedef struct item {
  int number;
  uint8_t key[KEY_MAX];
} item;

typedef struct number_item {
  void *unused;
  uint64_t key;
} number_item;

typedef struct model {
  item items[NUM_KEYS];
  bool is_in[NUM_KEYS];
  size_t len;
} model;

static void check_all(const torc_map *m, const model *mod) {
  size_t it = 0;
  size_t num = 0;
  bool seen[NUM_KEYS] = {false};
  assert_int_equal(m->len, mod->len);
  for (size_t i = 0; i < NUM_KEYS; i++) {
    assert_ptr_equal(torc_map_get(m, mod->items[i].key), mod->is_in[i] ? &mod->items[i] : NULL);
  }
  for (const item *v = torc_map_next(m, &it); v != NULL; v = torc_map_next(m, &it)) {
    assert_false(seen[v->number]);
    seen[v->number] = true;
    num++;
  }
  assert_int_equal(num, mod->len);
}

static void run_model(size_t key_len, uint64_t seed) {
  torc_map m;
  torc_rng rng;
  model *mod = calloc(1, sizeof(*mod));
  assert_non_null(mod);
  torc_rng_seed(&rng, seed);
  torc_map_init(&m, NULL, offsetof(item, key), key_len, seed);
  for (size_t i = 0; i < NUM_KEYS; i++) {
    item *v = &mod->items[i];
    v->number = (int)i;
    memset(v->key, 0xa5, key_len);
    v->key[0] = (uint8_t)i;
    v->key[key_len - 1] = (uint8_t)(i >> (key_len == 1 ? 0 : 8));
  }
  for (int step = 0; step < 30000; step++) {
    size_t num = key_len == 1 ? 256 : NUM_KEYS;
    size_t i = (size_t)torc_rng_below(&rng, num);
    if (torc_rng_below(&rng, step % 6000 < 3000 ? 4 : 2) != 0) {
      mod->len += mod->is_in[i] ? 0u : 1u;
      mod->is_in[i] = true;
      assert_int_equal(torc_map_put(&m, &mod->items[i]), 0);
    } else {
      assert_ptr_equal(torc_map_del(&m, mod->items[i].key), mod->is_in[i] ? &mod->items[i] : NULL);
      mod->len -= mod->is_in[i] ? 1u : 0u;
      mod->is_in[i] = false;
    }
    if (step % 500 == 0 && key_len != 1) {
      check_all(&m, mod);
    }
    assert_true(m.cap <= 4 * NUM_KEYS);
  }
  torc_map_clear(&m);
  assert_ptr_equal(torc_map_get(&m, mod->items[0].key), NULL);
  torc_map_clear(&m);
  free(mod);
}

static void test_model(void **state) {
  (void)state;
  run_model(16, 1);
  run_model(2, 2);
  run_model(1, 3);
  run_model(13, 4);
  run_model(KEY_MAX, 5);
}

static void test_delete_while_iterating(void **state) {
  torc_map m;
  int values[100];
  size_t it = 0;
  size_t num = 0;
  (void)state;
  torc_map_init(&m, NULL, 0, sizeof values[0], 9);
  for (int i = 0; i < 100; i++) {
    values[i] = i;
    assert_int_equal(torc_map_put(&m, &values[i]), 0);
  }
  for (int *v = torc_map_next(&m, &it); v != NULL; v = torc_map_next(&m, &it)) {
    num++;
    if (*v % 3 != 0) {
      assert_ptr_equal(torc_map_del(&m, v), v);
    }
  }
  assert_int_equal(num, 100);
  assert_int_equal(m.len, 34);
  for (int i = 0; i < 100; i++) {
    assert_ptr_equal(torc_map_get(&m, &i), i % 3 == 0 ? &values[i] : NULL);
  }
  torc_map_clear(&m);
}

/* Keys come and go for ever, few at a time: the table does not grow. */
static void test_churn(void **state) {
  torc_map m;
  failing_mem mem;
  number_item items[4];
  (void)state;
  failing_mem_init(&mem, 0);
  torc_map_init(&m, &mem.mem, offsetof(number_item, key), sizeof(uint64_t), 1);
  for (uint64_t i = 0; i < 200000; i++) {
    uint64_t old = i - 3;
    items[i % 4].key = i;
    assert_int_equal(torc_map_put(&m, &items[i % 4]), 0);
    if (i >= 3) {
      assert_ptr_equal(torc_map_del(&m, &old), &items[old % 4]);
    }
  }
  assert_int_equal(m.len, 3);
  assert_true(m.cap <= 16);
  torc_map_clear(&m);
  assert_int_equal(mem.num_held, 0);
}

/* Many entries, then few, then none: what they took is given back. */
static void test_shrinks(void **state) {
  torc_map m;
  failing_mem mem;
  int values[1000];
  (void)state;
  failing_mem_init(&mem, 0);
  torc_map_init(&m, &mem.mem, 0, sizeof values[0], 1);
  for (int i = 0; i < 1000; i++) {
    values[i] = i;
    assert_int_equal(torc_map_put(&m, &values[i]), 0);
  }
  assert_true(m.cap >= 1000);
  for (int i = 10; i < 1000; i++) {
    assert_ptr_equal(torc_map_del(&m, &i), &values[i]);
  }
  mem.fail_at = mem.num_calls + 1;
  assert_int_equal(torc_map_put(&m, &values[10]), 0); /* without memory it stays large */
  assert_true(m.cap >= 1000);
  assert_int_equal(torc_map_put(&m, &values[11]), 0);
  assert_true(m.cap <= 32);
  for (int i = 0; i < 12; i++) {
    assert_ptr_equal(torc_map_get(&m, &i), &values[i]);
  }
  for (int i = 0; i < 12; i++) {
    assert_ptr_equal(torc_map_del(&m, &i), &values[i]);
  }
  assert_int_equal(mem.num_held, 0);
}

/* Allocations while 100 values come in. */
static size_t calls_for_100(void) {
  torc_map m;
  failing_mem mem;
  int values[100];
  failing_mem_init(&mem, 0);
  torc_map_init(&m, &mem.mem, 0, sizeof values[0], 1);
  for (int i = 0; i < 100; i++) {
    values[i] = i;
    assert_int_equal(torc_map_put(&m, &values[i]), 0);
  }
  torc_map_clear(&m);
  return mem.num_calls;
}

static void test_no_memory(void **state) {
  size_t num_calls = calls_for_100();
  (void)state;
  assert_in_range(num_calls, 2, 25);
  for (size_t fail_at = 1; fail_at <= num_calls + 2; fail_at++) {
    torc_map m;
    failing_mem mem;
    int values[100];
    int num_refused = 0;
    failing_mem_init(&mem, fail_at);
    torc_map_init(&m, &mem.mem, 0, sizeof values[0], 1);
    for (int i = 0; i < 100; i++) {
      values[i] = i;
      int rc = torc_map_put(&m, &values[i]);
      if (rc != 0) {
        assert_int_equal(rc, TORC_ERR_NOMEM);
        num_refused++;
        assert_ptr_equal(torc_map_get(&m, &i), NULL);
        assert_int_equal(torc_map_put(&m, &values[i]), 0);
      }
    }
    assert_int_equal(num_refused, fail_at <= num_calls ? 1 : 0);
    assert_int_equal(m.len, 100);
    for (int i = 0; i < 100; i++) {
      assert_ptr_equal(torc_map_get(&m, &i), &values[i]);
    }
    torc_map_clear(&m);
    assert_int_equal(mem.num_held, 0);
  }
}

static void test_null_value(void **state) {
  torc_map m;
  (void)state;
  torc_map_init(&m, NULL, 0, 4, 1);
  assert_int_equal(torc_map_put(&m, NULL), TORC_ERR_INVALID);
  torc_map_clear(&m);
}

static void test_list(void **state) {
  torc_list head;
  torc_list nodes[4];
  (void)state;
  torc_list_init(&head);
  assert_true(torc_list_empty(&head));
  assert_ptr_equal(torc_list_pop_front(&head), NULL);
  for (size_t i = 0; i < 4; i++) {
    torc_list_init(&nodes[i]);
    torc_list_remove(&nodes[i]);
  }
  torc_list_push_back(&head, &nodes[1]);
  torc_list_push_back(&head, &nodes[2]);
  torc_list_push_front(&head, &nodes[0]);
  torc_list_push_back(&head, &nodes[3]);
  torc_list_remove(&nodes[2]);
  torc_list_remove(&nodes[2]);
  assert_ptr_equal(torc_list_pop_front(&head), &nodes[0]);
  assert_ptr_equal(torc_list_pop_front(&head), &nodes[1]);
  assert_ptr_equal(torc_list_pop_front(&head), &nodes[3]);
  assert_true(torc_list_empty(&head));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("map agrees with a plain array", test_model),
      TORC_TEST("map entries are deleted while iterating", test_delete_while_iterating),
      TORC_TEST("map does not grow when keys come and go", test_churn),
      TORC_TEST("map gives back what it needs no more", test_shrinks),
      TORC_TEST("map stays whole when memory fails", test_no_memory),
      TORC_TEST("map refuses a NULL value", test_null_value),
      TORC_TEST("list", test_list),
  };
  return TORC_RUN(tests);
}
