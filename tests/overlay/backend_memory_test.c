/* The memory backend: the common cases, its bound, and failing memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"

#include "backend_cases.h"
#include "helper_crypto.h"

#define ROOM 1000000u

typedef void (*backend_case)(torc_backend *b);

static void run_case(backend_case fn) {
  helper_mem mem;
  helper_mem_init(&mem);
  torc_memory_backend *obj = NULL;
  torc_backend b;
  assert_int_equal(torc_memory_backend_new(&obj, &b, &mem.mem, ROOM), 0);
  fn(&b);
  torc_memory_backend_free(obj);
  assert_int_equal(mem.num_live, 0);
}

#define AS_TEST(name_, fn_)              \
  static void test_##fn_(void **state) { \
    (void)state;                         \
    run_case(fn_);                       \
  }
BACKEND_CASES(AS_TEST)

static void is_bounded(void **state) {
  (void)state;
  torc_memory_backend *obj = NULL;
  torc_backend b;
  assert_int_equal(torc_memory_backend_new(&obj, &b, NULL, 10), 0);
  bc_begin(&b, true);
  bc_put(&b, "ab", "12345");
  assert_int_equal(b.put(b.ctx, bc_str("c"), bc_str("123")), TORC_ERR_LIMIT);
  bc_put(&b, "c", "12");
  assert_int_equal(b.put(b.ctx, bc_str("d"), bc_str("")), TORC_ERR_LIMIT);
  bc_put(&b, "ab", "1234"); /* replacing frees its room */
  bc_put(&b, "d", "");
  assert_int_equal(b.del(b.ctx, bc_str("ab")), 0);
  bc_put(&b, "e", "12345");
  b.abort(b.ctx);
  bc_begin(&b, true);
  bc_put(&b, "a", "123456789"); /* the abort gave everything back */
  bc_commit(&b);
  torc_memory_backend_free(obj);
}

static void misuse_is_refused(void **state) {
  (void)state;
  torc_memory_backend *obj = NULL;
  torc_backend b;
  uint8_t key[TORC_BACKEND_KEY_MAX + 1] = {1};
  torc_slice value;
  assert_int_equal(torc_memory_backend_new(&obj, &b, NULL, ROOM), 0);
  assert_int_equal(b.get(b.ctx, bc_str("a"), &value), TORC_ERR_STATE);
  assert_int_equal(b.commit(b.ctx), TORC_ERR_STATE);
  b.abort(b.ctx);
  bc_begin(&b, true);
  assert_int_equal(b.begin(b.ctx, false), TORC_ERR_STATE);
  assert_int_equal(b.put(b.ctx, bc_str(""), bc_str("x")), TORC_ERR_INVALID);
  assert_int_equal(b.put(b.ctx, (torc_slice){.p = key, .len = sizeof key}, bc_str("x")),
                   TORC_ERR_INVALID);
  b.abort(b.ctx);
  torc_memory_backend_free(obj);
  torc_memory_backend_free(NULL);
}

/* The transaction of which some allocation fails changes nothing; the first in which none fails
 * changes all. */
static void survives_failing_memory(void **state) {
  (void)state;
  helper_mem mem;
  helper_mem_init(&mem);
  torc_memory_backend *obj = NULL;
  torc_backend b;
  helper_mem_reset(&mem, 1);
  assert_int_equal(torc_memory_backend_new(&obj, &b, &mem.mem, ROOM), TORC_ERR_NOMEM);
  helper_mem_reset(&mem, 0);
  assert_int_equal(torc_memory_backend_new(&obj, &b, &mem.mem, ROOM), 0);
  bc_begin(&b, true);
  bc_put(&b, "old", "1");
  bc_commit(&b);
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    helper_mem_reset(&mem, n);
    bc_begin(&b, true);
    failed = false;
    for (int i = 0; i < 40 && !failed; i++) {
      char key[16];
      snprintf(key, sizeof key, "k%02d", i);
      int rc = b.put(b.ctx, bc_str(key), bc_str("v"));
      assert_true(rc == 0 || rc == TORC_ERR_NOMEM);
      failed = rc != 0;
    }
    int rc = failed ? 0 : b.del(b.ctx, bc_str("old"));
    assert_true(rc == 0 || rc == TORC_ERR_NOMEM);
    failed = failed || rc != 0;
    if (failed) {
      b.abort(b.ctx);
      bc_begin(&b, false);
      bc_expect_seek(&b, "a", "old", "1");
      b.abort(b.ctx);
    } else {
      assert_true(n > 40);
      bc_commit(&b);
    }
  }
  bc_begin(&b, false);
  bc_expect(&b, "old", NULL);
  bc_expect(&b, "k39", "v");
  torc_memory_backend_free(obj); /* also in the middle of a transaction */
  assert_int_equal(mem.num_live, 0);
}

int main(void) {
#define AS_ENTRY(name_, fn_) TORC_TEST(name_, test_##fn_),
  const struct CMUnitTest tests[] = {
      BACKEND_CASES(AS_ENTRY) TORC_TEST("SEC-12 memory backend: bounded in bytes", is_bounded),
      TORC_TEST("STO-06 memory backend: misuse is refused", misuse_is_refused),
      TORC_TEST("STO-06 memory backend: the n-th allocation fails", survives_failing_memory),
  };
  return TORC_RUN(tests);
}
