/* Timers: order, and what handlers may do to other timers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/timer.h"

#include "base/rng.h"
#include "base/slice.h"
#include "torc_test.h"

typedef struct clock_item {
  torc_timer timer;
  int id;
  torc_timers *timers;
  struct clock_item *stop, *rearm;
  torc_time rearm_at;
} clock_item;

static int fired[1024];
static size_t num_fired;

static void on_fire(torc_timer *t, torc_time now) {
  clock_item *item = TORC_CONTAINER_OF(t, clock_item, timer);
  (void)now;
  assert_false(torc_timer_armed(t));
  assert_true(num_fired < TORC_ARRAY_LEN(fired));
  fired[num_fired++] = item->id;
  if (item->stop != NULL) {
    torc_timer_stop(item->timers, &item->stop->timer);
  }
  if (item->rearm != NULL) {
    torc_timer_arm(item->timers, &item->rearm->timer, item->rearm_at);
  }
}

static void set_up(torc_timers *ts, clock_item *items, size_t num) {
  torc_timers_init(ts);
  num_fired = 0;
  for (size_t i = 0; i < num; i++) {
    items[i] = (clock_item){.id = (int)i, .timers = ts};
    torc_timer_init(&items[i].timer, on_fire);
  }
}

static void test_equal_deadlines(void **state) {
  torc_timers ts;
  clock_item items[100];
  (void)state;
  set_up(&ts, items, 100);
  for (size_t i = 0; i < 100; i++) {
    torc_timer_arm(&ts, &items[i * 37 % 100].timer, 5);
  }
  torc_timers_run(&ts, 4);
  assert_int_equal(num_fired, 0);
  torc_timers_run(&ts, 5);
  assert_int_equal(num_fired, 100);
  for (size_t i = 0; i < 100; i++) {
    assert_int_equal(fired[i], (int)(i * 37 % 100));
  }
}

/* Random arming, rearming and stopping, against a plain array. */
static void test_model(void **state) {
  enum { NUM = 200 };
  torc_timers ts;
  clock_item items[NUM];
  torc_time model[NUM];
  uint64_t order[NUM] = {0};
  uint64_t seq = 0;
  torc_rng rng;
  (void)state;
  set_up(&ts, items, NUM);
  torc_rng_seed(&rng, 3);
  for (size_t i = 0; i < NUM; i++) {
    model[i] = TORC_NEVER;
  }
  for (torc_time now = 0; now < 3000; now++) {
    torc_time earliest = TORC_NEVER;
    size_t num_armed = 0;
    for (int k = 0; k < 5; k++) {
      size_t i = (size_t)torc_rng_below(&rng, NUM);
      if (torc_rng_below(&rng, 4) == 0) {
        torc_timer_stop(&ts, &items[i].timer);
        model[i] = TORC_NEVER;
      } else {
        model[i] = now + torc_rng_below(&rng, 50);
        order[i] = seq++;
        torc_timer_arm(&ts, &items[i].timer, model[i]);
      }
    }
    for (size_t i = 0; i < NUM; i++) {
      earliest = model[i] < earliest ? model[i] : earliest;
      num_armed += model[i] != TORC_NEVER ? 1u : 0u;
      assert_int_equal(torc_timer_armed(&items[i].timer), model[i] != TORC_NEVER);
    }
    assert_true(torc_timers_next(&ts) == earliest);
    assert_int_equal(ts.num_armed, num_armed);
    num_fired = 0;
    torc_timers_run(&ts, now);
    for (size_t f = 0; f < num_fired; f++) {
      size_t best = NUM;
      for (size_t i = 0; i < NUM; i++) {
        if (model[i] <= now && (best == NUM || model[i] < model[best] ||
                                (model[i] == model[best] && order[i] < order[best]))) {
          best = i;
        }
      }
      assert_int_equal(fired[f], (int)best);
      model[best] = TORC_NEVER;
    }
    for (size_t i = 0; i < NUM; i++) {
      assert_true(model[i] > now);
    }
  }
}

static void test_stop_due(void **state) {
  torc_timers ts;
  clock_item items[4];
  (void)state;
  set_up(&ts, items, 4);
  for (size_t i = 0; i < 4; i++) {
    torc_timer_arm(&ts, &items[i].timer, 10 + i);
  }
  items[0].stop = &items[2];
  torc_timers_run(&ts, 100);
  assert_int_equal(num_fired, 3);
  assert_int_equal(fired[0], 0);
  assert_int_equal(fired[1], 1);
  assert_int_equal(fired[2], 3);
  assert_int_equal(ts.num_armed, 0);
  assert_true(torc_timers_next(&ts) == TORC_NEVER);
}

static void test_rearm_waits(void **state) {
  torc_timers ts;
  clock_item items[3];
  (void)state;
  set_up(&ts, items, 3);
  torc_timer_arm(&ts, &items[0].timer, 1);
  torc_timer_arm(&ts, &items[1].timer, 2);
  items[0].rearm = &items[0]; /* itself, already due */
  items[0].rearm_at = 1;
  items[1].rearm = &items[2]; /* another, already due */
  items[1].rearm_at = 2;
  torc_timers_run(&ts, 10);
  assert_int_equal(num_fired, 2);
  assert_true(torc_timers_next(&ts) == 1);
  items[0].rearm = NULL;
  torc_timers_run(&ts, 10);
  assert_int_equal(num_fired, 4);
  assert_int_equal(fired[2], 0);
  assert_int_equal(fired[3], 2);
  assert_true(torc_timers_next(&ts) == TORC_NEVER);
}

/* A due timer that an earlier handler arms anew leaves the run. */
static void test_rearm_due(void **state) {
  torc_timers ts;
  clock_item items[2];
  (void)state;
  set_up(&ts, items, 2);
  torc_timer_arm(&ts, &items[0].timer, 1);
  torc_timer_arm(&ts, &items[1].timer, 2);
  items[0].rearm = &items[1];
  items[0].rearm_at = 50;
  torc_timers_run(&ts, 10);
  assert_int_equal(num_fired, 1);
  assert_true(torc_timers_next(&ts) == 50);
  torc_timers_run(&ts, 50);
  assert_int_equal(num_fired, 2);
}

static void test_never(void **state) {
  torc_timers ts;
  clock_item items[1];
  (void)state;
  set_up(&ts, items, 1);
  torc_timer_stop(&ts, &items[0].timer);
  torc_timer_arm(&ts, &items[0].timer, 3);
  torc_timer_arm(&ts, &items[0].timer, TORC_NEVER);
  assert_false(torc_timer_armed(&items[0].timer));
  torc_timers_run(&ts, TORC_NEVER);
  assert_int_equal(num_fired, 0);
}

/* So many timers in one chain would exhaust the stack of a recursive heap. */
static void test_deep(void **state) {
  enum { NUM = 300000 };
  torc_timers ts;
  clock_item *items = calloc(NUM, sizeof(*items));
  (void)state;
  assert_non_null(items);
  set_up(&ts, items, NUM);
  for (size_t i = NUM; i > 0; i--) {
    torc_timer_arm(&ts, &items[i - 1].timer, i);
  }
  for (size_t i = 0; i < NUM; i += 2) {
    torc_timer_stop(&ts, &items[i].timer);
  }
  assert_int_equal(ts.num_armed, NUM / 2);
  for (torc_time now = 0; now <= NUM; now += 1000) {
    num_fired = 0;
    torc_timers_run(&ts, now);
    assert_int_equal(num_fired, now == 0 ? 0 : 500);
  }
  assert_int_equal(ts.num_armed, 0);
  free(items);
}

static void test_time_add(void **state) {
  (void)state;
  assert_true(torc_time_add(1, 2) == 3);
  assert_true(torc_time_add(1, TORC_NEVER) == TORC_NEVER - 1);
  assert_true(torc_time_add(TORC_NEVER, 1) == TORC_NEVER - 1);
  assert_true(torc_time_add(TORC_NEVER - 5, 3) == TORC_NEVER - 2);
  assert_true(torc_time_add(TORC_NEVER - 5, 4) == TORC_NEVER - 1);
  assert_true(torc_time_add(TORC_NEVER - 5, 5) == TORC_NEVER - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("equal deadlines fire in arming order", test_equal_deadlines),
      TORC_TEST("random timers agree with a plain array", test_model),
      TORC_TEST("a handler stops a timer that is due", test_stop_due),
      TORC_TEST("a timer armed by a handler waits for the next run", test_rearm_waits),
      TORC_TEST("a handler arms a timer that is due", test_rearm_due),
      TORC_TEST("TORC_NEVER disarms", test_never),
      TORC_TEST("hundreds of thousands of timers need no stack", test_deep),
      TORC_TEST("addition of times saturates", test_time_add),
  };
  return TORC_RUN(tests);
}
