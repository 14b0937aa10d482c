/* The n-th allocation fails: creating, joining, admitting, UPDATEs. Nothing crashes, nothing leaks,
 * and what could not be done is refused or done later. SPDX-License-Identifier: Apache-2.0 */
#include "base/failing_mem.h"
#include "overlay/helper_topofake.h"

static const char *const algorithms[] = {"chord-128-2-8", "full-mesh"};

static void test_create(void **state) {
  (void)state;
  for (size_t a = 0; a < TORC_ARRAY_LEN(algorithms); a++) {
    for (size_t n = 1;; n++) {
      failing_mem mem;
      topofake f;
      int rc;
      failing_mem_init(&mem, n);
      rc = topofake_create(&f, algorithms[a], 0x8000, &mem.mem);
      if (rc == 0) {
        topofake_clear(&f);
        assert_int_equal(mem.num_held, 0);
        assert_true(n > 1);
        break;
      }
      assert_int_equal(rc, TORC_ERR_NOMEM);
      assert_null(f.t);
      assert_int_equal(mem.num_held, 0);
    }
  }
}

/* A whole life: join, members, candidates, admitting, losing, leaving. */
static void live(topofake *f) {
  static const unsigned label[] = {0x8000, 0x7000, 0x6000, 0};
  static const unsigned succs[] = {0xa000, 0xb000, 0};
  static const unsigned none[] = {0};
  torc_id boot = topofake_id(0x9000);
  topofake_link_up(f, 0x9000);
  (void)f->ops->start(f->t, &boot);
  for (size_t i = 0; i < 40 && f->state == TORC_TOPO_JOINING; i++) {
    topofake_call c;
    unsigned answer = 0x9000;
    while (topofake_count(f, FAKE_PING, 0) > 0) {
      c = topofake_take(f, FAKE_PING, 0);
      topofake_pong(f, &c, answer);
      answer += 0x1000;
    }
    topofake_please(f);
    (void)topofake_update(f, 0x9000, label, succs);
    topofake_run(f, TORC_MS(300));
  }
  for (unsigned n = 0xa000; n < 0xf000; n += 0x800) {
    topofake_link(f, n);
    (void)topofake_update(f, n, label, none);
    topofake_run(f, TORC_MS(50));
  }
  topofake_please(f);
  topofake_link_up(f, 0x7c00);
  (void)topofake_join(f, 0x7c00, 0x7c00);
  topofake_please(f);
  topofake_link_down(f, 0x9000);
  topofake_link_down(f, 0x7000);
  topofake_run(f, TORC_SEC(10));
  topofake_please(f);
  f->ops->leave(f->t);
  topofake_run(f, TORC_SEC(4));
  assert_int_equal(f->state, TORC_TOPO_LEFT);
}

static void test_live(void **state) {
  size_t total = 0;
  (void)state;
  for (size_t n = 0;; n++) {
    failing_mem mem;
    topofake f;
    failing_mem_init(&mem, 0);
    assert_int_equal(topofake_create(&f, "chord-128-2-8", 0x8000, &mem.mem), 0);
    mem.fail_at = n == 0 ? 0 : mem.num_calls + n;
    live(&f);
    topofake_clear(&f);
    assert_int_equal(mem.num_held, 0);
    if (n == 0) {
      total = mem.num_calls - 2;
      assert_true(total > 4);
    } else if (n == total) {
      break;
    }
  }
}

/* Memory that ends for good: what is there goes on being served. */
static void test_no_more(void **state) {
  static const unsigned ring[] = {0x7000, 0x9000, 0};
  static const unsigned none[] = {0};
  failing_mem mem;
  topofake f;
  torc_id own = topofake_id(0x7800);
  (void)state;
  failing_mem_init(&mem, 0);
  assert_int_equal(topofake_create(&f, "chord-128-2-8", 0x8000, &mem.mem), 0);
  topofake_ring(&f, ring);
  for (unsigned n = 1; n < 200; n++) {
    mem.fail_at = mem.num_calls + 1; /* the next one, always */
    topofake_link(&f, 0x9000 + n);
    (void)topofake_update(&f, 0x9000 + n, none, none);
  }
  assert_true(topofake_view(&f).stats.members_refused > 100);
  assert_true(f.ops->is_responsible(f.t, &own));
  assert_peer(topofake_view(&f).predecessors[0], 0x7000);
  topofake_clear(&f);
  assert_int_equal(mem.num_held, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ARC-04 creating with failing memory", test_create),
      TORC_TEST("GAP-114 ARC-07 a life with failing memory", test_live),
      TORC_TEST("GAP-117 no memory for new members", test_no_more),
  };
  return TORC_RUN(tests);
}
