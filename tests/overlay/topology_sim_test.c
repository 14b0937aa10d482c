/* Rings of plug-ins in virtual time: growth, death, leaving, partitions, loss. After each scenario
 * every peer's neighbours and range are right and every answered value is held by its owner and the
 * next two. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/helper_topohost.h"

#include "torc_test.h"

#define NUM_KEYS 200
#define CHORD "chord-128-2-8"
#define MESH "full-mesh"

typedef struct scenario {
  const char *algorithm;
  uint64_t seed;
  size_t num;
  unsigned param;
  unsigned loss, duplicates;
} scenario;

static void assert_right(const char *wrong) {
  if (wrong != NULL) {
    fail_msg("%s", wrong);
  }
}

static toposim *make_sim(const scenario *s) {
  const toposim_config cfg = {.algorithm = s->algorithm,
                              .seed = s->seed,
                              .loss_permille = s->loss,
                              .duplicate_permille = s->duplicates};
  return toposim_new(&cfg);
}

static size_t below(toposim *sim, size_t n) {
  return (size_t)torc_rng_below(toposim_rng(sim), n);
}

static size_t any_peer(toposim *sim) {
  size_t ring[TOPOSIM_PEERS_MAX];
  size_t num = toposim_ring(sim, 0, ring);
  return ring[below(sim, num)];
}

static void put_all(toposim *sim) {
  for (size_t k = 0; k < NUM_KEYS; k++) {
    toposim_put(sim, any_peer(sim), k);
  }
}

static void put_some(toposim *sim, size_t n) {
  for (size_t i = 0; i < n; i++) {
    size_t from = any_peer(sim);
    toposim_put(sim, from, below(sim, NUM_KEYS));
  }
}

/* A ring of s->num peers, all bootstrap peers, with every key written. */
static toposim *make_ring(const scenario *s) {
  toposim *sim = make_sim(s);
  toposim_start(sim, toposim_add(sim, NULL, true), TOPOSIM_NONE, false);
  while (toposim_num(sim) < s->num) {
    toposim_start(sim, toposim_add(sim, NULL, true), 0, false);
  }
  assert_right(toposim_settle_ring(sim, TORC_SEC(60)));
  put_all(sim);
  toposim_run(sim, TORC_SEC(3));
  assert_right(toposim_settle(sim, TORC_SEC(20)));
  for (size_t k = 0; k < NUM_KEYS; k++) {
    assert_int_equal(toposim_answered(sim, k), 1);
  }
  return sim;
}

/* ---- growth ---- */

static void test_one_by_one(void **state) {
  const scenario *s = *state;
  toposim *sim = make_sim(s);
  toposim_start(sim, toposim_add(sim, NULL, true), TOPOSIM_NONE, false);
  put_all(sim);
  toposim_run(sim, TORC_SEC(1));
  while (toposim_num(sim) < s->num) {
    size_t p = toposim_add(sim, NULL, false);
    toposim_start(sim, p, below(sim, toposim_num(sim) - 1), false);
    assert_right(toposim_settle(sim, TORC_SEC(5)));
    assert_true(toposim_joined_at(sim, p) < TORC_MS(100)); /* of 1 to 4 ms each way */
    put_some(sim, 3);
  }
  toposim_run(sim, TORC_SEC(3));
  assert_right(toposim_settle(sim, TORC_SEC(5)));
  assert_int_equal(toposim_get_counts(sim)->joins, s->num - 1);
  assert_int_equal(toposim_get_counts(sim)->took_over, 0);
  toposim_free(sim);
}

static void test_all_at_once(void **state) {
  const scenario *s = *state;
  toposim *sim = make_sim(s);
  toposim_start(sim, toposim_add(sim, NULL, true), TOPOSIM_NONE, false);
  while (toposim_num(sim) < s->num) {
    toposim_start(sim, toposim_add(sim, NULL, false), 0, false);
  }
  assert_right(toposim_settle_ring(sim, TORC_SEC(5)));
  for (size_t i = 1; i < s->num; i++) {
    assert_true(toposim_joined_at(sim, i) < TORC_SEC(3));
  }
  put_all(sim);
  toposim_run(sim, TORC_SEC(3));
  assert_right(toposim_settle(sim, TORC_SEC(5)));
  toposim_free(sim);
}

/* Writes go on while the ring grows from 3 to s->num. */
static void test_writes_in_growth(void **state) {
  const scenario *s = *state;
  scenario small = *s;
  toposim *sim;
  small.num = 3;
  sim = make_ring(&small);
  while (toposim_num(sim) < s->num) {
    toposim_start(sim, toposim_add(sim, NULL, false), any_peer(sim), false);
    for (size_t i = 0; i < 5; i++) {
      toposim_put(sim, 0, below(sim, NUM_KEYS));
      toposim_run(sim, TORC_MS(5));
    }
  }
  toposim_run(sim, TORC_SEC(3));
  assert_right(toposim_settle(sim, TORC_SEC(10)));
  toposim_free(sim);
}

/* ---- death ---- */

/* Rounds of: s->param neighbours die at once, later they start again, with or without their store.
 */
static void test_kill(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  for (size_t round = 0; round < 12; round++) {
    size_t ring[TOPOSIM_PEERS_MAX];
    size_t num = toposim_ring(sim, 0, ring);
    size_t first = below(sim, num);
    bool keep = s->param > 2 || below(sim, 2) == 0;
    put_some(sim, 20);
    toposim_run(sim, TORC_SEC(3));
    for (size_t i = 0; i < s->param; i++) {
      toposim_kill(sim, ring[(first + i) % num]);
    }
    if (s->param <= 2) { /* with three, all holders of some values are gone */
      toposim_run(sim, TORC_MS(100));
      assert_int_equal(toposim_missing(sim), 0);
      assert_right(toposim_settle(sim, TORC_SEC(3)));
    } else {
      assert_right(toposim_settle_ring(sim, TORC_SEC(3)));
    }
    toposim_run(sim, below(sim, TORC_SEC(40)));
    for (size_t i = 0; i < s->param; i++) {
      toposim_start(sim, ring[(first + i) % num], any_peer(sim), keep);
    }
    assert_right(toposim_settle(sim, TORC_SEC(5)));
  }
  toposim_free(sim);
}

/* As above at random moments, without waiting for anything before the next. */
static void test_kill_any_time(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  for (size_t round = 0; round < 25; round++) {
    size_t ring[TOPOSIM_PEERS_MAX];
    size_t num = toposim_ring(sim, 0, ring);
    size_t first = below(sim, num);
    put_some(sim, 20);
    toposim_run(sim, below(sim, TORC_MS(30)));
    toposim_kill(sim, ring[first]);
    toposim_kill(sim, ring[(first + 1) % num]);
    toposim_run(sim, TORC_SEC(2) + below(sim, TORC_SEC(2)));
    assert_int_equal(toposim_missing(sim), 0);
    for (size_t i = 0; i < 2; i++) {
      bool keep = below(sim, 2) == 0;
      toposim_start(sim, ring[(first + i) % num], any_peer(sim), keep);
    }
    assert_right(toposim_settle(sim, TORC_SEC(5)));
  }
  toposim_free(sim);
}

/* Everything dies and starts again with its stores, in any order. */
static void test_kill_all(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  for (size_t round = 0; round < 8; round++) {
    size_t ring[TOPOSIM_PEERS_MAX];
    size_t num = toposim_ring(sim, 0, ring);
    size_t founder = below(sim, num);
    size_t down = ring[(founder + 1) % num];
    toposim_kill(sim, down); /* one misses the last writes */
    toposim_run(sim, TORC_SEC(2));
    put_some(sim, 40);
    toposim_run(sim, below(sim, TORC_SEC(3)));
    for (size_t i = 0; i < num; i++) {
      if (ring[i] != down) {
        toposim_kill(sim, ring[i]);
      }
    }
    toposim_run(sim, TORC_SEC(1));
    toposim_start(sim, ring[founder], TOPOSIM_NONE, true);
    for (size_t i = 0; i < num; i++) {
      if (i != founder) {
        toposim_start(sim, ring[i], ring[founder], true);
        toposim_run(sim, below(sim, 2) == 0 ? 0 : below(sim, TORC_SEC(1)));
      }
    }
    assert_right(toposim_settle(sim, TORC_SEC(10)));
  }
  toposim_free(sim);
}

/* A peer hangs: its links stay up and nothing answers. Found by UPDATEs, told on by them. */
static void test_freeze(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  for (size_t round = 0; round < 5; round++) {
    size_t p = any_peer(sim);
    toposim_run(sim, TORC_SEC(3));
    toposim_freeze(sim, p);
    assert_right(toposim_settle(sim, TORC_SEC(3 * 30))); /* three UPDATE periods */
    toposim_start(sim, p, any_peer(sim), true);
    assert_right(toposim_settle(sim, TORC_SEC(20)));
  }
  toposim_free(sim);
}

/* A link breaks, both ends live: it is re-established and nothing is lost. */
static void test_cut_links(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  for (size_t round = 0; round < 30; round++) {
    size_t ring[TOPOSIM_PEERS_MAX];
    size_t num = toposim_ring(sim, 0, ring);
    size_t first = below(sim, num);
    toposim_cut(sim, ring[first], ring[(first + 1 + below(sim, 2)) % num]);
    put_some(sim, 10);
    toposim_run(sim, TORC_SEC(3));
    assert_right(toposim_settle(sim, TORC_SEC(10)));
  }
  toposim_free(sim);
}

/* Each peer in turn is replaced by one without data; faster than its links can break, too. */
static void test_rolling_restart(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  for (size_t i = 0; i < s->num; i++) {
    size_t other = i;
    while (other == i) {
      other = any_peer(sim);
    }
    toposim_start(sim, i, other, false);
    put_some(sim, 5);
    toposim_run(sim, TORC_MS(500) + below(sim, TORC_SEC(3)));
    assert_right(toposim_settle(sim, TORC_SEC(10)));
  }
  toposim_free(sim);
}

/* ---- leaving ---- */

static void test_leave(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  for (size_t left = s->num; left > 3; left--) {
    size_t p = any_peer(sim);
    uint64_t lost = toposim_view(sim, p).stats.neighbours_lost;
    (void)lost;
    put_some(sim, 10);
    toposim_run(sim, below(sim, TORC_MS(20)));
    toposim_leave(sim, p);
    toposim_run(sim, TORC_SEC(3));
    assert_int_equal(toposim_state(sim, p), TORC_TOPO_LEFT);
    toposim_kill(sim, p);
    assert_int_equal(toposim_missing(sim), 0);
    assert_right(toposim_settle(sim, TORC_SEC(5)));
  }
  toposim_free(sim);
}

/* ---- partitions ---- */

static void test_partition(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  for (size_t round = 0; round < 3; round++) {
    for (size_t i = 0; i < s->num; i++) {
      toposim_side(sim, i, below(sim, 2) == 0 ? 1 : 0);
    }
    toposim_side(sim, round % s->num, 0);
    toposim_side(sim, (round + 1) % s->num, 1);
    assert_right(toposim_settle_ring(sim, TORC_SEC(300)));
    put_some(sim, 40); /* on the first side */
    toposim_run(sim, TORC_SEC(5));
    for (size_t i = 0; i < s->num; i++) {
      toposim_side(sim, i, 0);
    }
    assert_right(toposim_settle(sim, TORC_SEC(900)));
  }
  toposim_free(sim);
}

/* One peer alone against the rest: what it took in while apart reaches its many owners. */
static void test_partition_one(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  for (size_t i = 1; i < s->num; i++) {
    toposim_side(sim, i, 1);
  }
  assert_right(toposim_settle_ring(sim, TORC_SEC(300)));
  put_all(sim); /* through peer 0 alone: 200 answered values */
  toposim_run(sim, TORC_SEC(5));
  for (size_t k = 0; k < NUM_KEYS; k++) {
    assert_int_equal(toposim_answered(sim, k), 2);
  }
  for (size_t i = 1; i < s->num; i++) {
    toposim_side(sim, i, 0);
  }
  assert_right(toposim_settle(sim, TORC_SEC(900)));
  toposim_free(sim);
}

/* Two rings founded apart that learn of each other. */
static void test_two_founders(void **state) {
  const scenario *s = *state;
  toposim *sim = make_sim(s);
  for (size_t i = 0; i < s->num; i++) {
    size_t p = toposim_add(sim, NULL, true);
    toposim_start(sim, p, i < 2 ? TOPOSIM_NONE : i % 2, false);
  }
  toposim_run(sim, TORC_SEC(2));
  assert_right(toposim_settle_ring(sim, TORC_SEC(300)));
  put_all(sim);
  toposim_run(sim, TORC_SEC(3));
  assert_right(toposim_settle(sim, TORC_SEC(60)));
  toposim_free(sim);
}

/* ---- loss ---- */

static void test_lossy(void **state) {
  const scenario *s = *state;
  toposim *sim = make_sim(s);
  toposim_start(sim, toposim_add(sim, NULL, true), TOPOSIM_NONE, false);
  while (toposim_num(sim) < s->num) {
    toposim_start(sim, toposim_add(sim, NULL, true), 0, false);
  }
  assert_right(toposim_settle_ring(sim, TORC_SEC(300)));
  put_all(sim);
  for (size_t round = 0; round < 6; round++) {
    size_t p = any_peer(sim);
    toposim_run(sim, TORC_SEC(5));
    toposim_kill(sim, p);
    assert_right(toposim_settle(sim, TORC_SEC(300)));
    toposim_start(sim, p, any_peer(sim), false);
    assert_right(toposim_settle(sim, TORC_SEC(300)));
  }
  toposim_free(sim);
}

/* ---- what a quiet ring looks like ---- */

static size_t owner_of(toposim *sim, const size_t *ring, size_t num, const torc_id *id) {
  for (size_t i = 0; i < num; i++) {
    torc_id peer = toposim_id(sim, ring[i]);
    if (torc_id_cmp(&peer, id) >= 0) {
      return ring[i];
    }
  }
  return ring[0];
}

static void test_fingers(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  size_t ring[TOPOSIM_PEERS_MAX];
  size_t num = toposim_ring(sim, 0, ring);
  size_t right = 0, all = 0;
  toposim_run(sim, TORC_SEC(60 * 60)); /* 60 finger periods */
  for (size_t i = 0; i < num; i++) {
    torc_topology_view v = toposim_view(sim, ring[i]);
    torc_id self = toposim_id(sim, ring[i]);
    for (unsigned k = 0; k < v.num_fingers; k++) {
      torc_id target = torc_id_add_pow2(&self, 127 - k);
      size_t owner = owner_of(sim, ring, num, &target);
      torc_id want = owner == ring[i] ? torc_id_zero : toposim_id(sim, owner);
      right += torc_id_eq(&want, &v.fingers[k]) ? 1 : 0;
      all++;
    }
  }
  assert_int_equal(right, all);
  toposim_free(sim);
}

static void test_hops(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  unsigned worst = 0, sum = 0;
  toposim_run(sim, TORC_SEC(30));
  for (size_t i = 0; i < 2000; i++) {
    unsigned hops;
    assert_true(toposim_lookup(sim, &hops));
    worst = hops > worst ? hops : worst;
    sum += hops;
  }
  assert_true(worst <= s->param);
  assert_true(sum <= 2000 * (s->param / 2));
  toposim_free(sim);
}

/* In the end every value lies with three peers and nowhere else, and the ring is silent but for its
 * periods. */
static void test_quiet(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  toposim_counts before, after;
  size_t p = any_peer(sim);
  toposim_kill(sim, p);
  toposim_run(sim, TORC_SEC(30));
  toposim_start(sim, p, any_peer(sim), true);
  toposim_run(sim, TORC_SEC(300));
  for (size_t k = 0; k < NUM_KEYS; k++) {
    size_t holders = 0;
    for (size_t i = 0; i < s->num; i++) {
      holders += toposim_held(sim, i, k) != 0 ? 1 : 0;
    }
    assert_int_equal(holders, 3);
  }
  assert_right(toposim_check_data(sim));
  before = *toposim_get_counts(sim);
  toposim_run(sim, TORC_SEC(300)); /* ten UPDATE periods, five finger periods */
  after = *toposim_get_counts(sim);
  assert_int_equal(after.transfers, before.transfers);
  assert_int_equal(after.joins, before.joins);
  /* Per peer and period an UPDATE to 6 neighbours and at most 8 fingers; per finger period two
   * PINGs. */
  assert_true(after.updates - before.updates <= s->num * 11 * 14);
  assert_true(after.updates - before.updates >= s->num * 9 * 6);
  assert_true(after.pings - before.pings <= s->num * 6 * 2);
  toposim_free(sim);
}

/* One seed, one run. */
static void test_repeatable(void **state) {
  const scenario *s = *state;
  toposim_counts counts[2];
  for (size_t i = 0; i < 2; i++) {
    toposim *sim = make_ring(s);
    toposim_kill(sim, 1);
    toposim_run(sim, TORC_SEC(60));
    counts[i] = *toposim_get_counts(sim);
    toposim_free(sim);
  }
  assert_memory_equal(&counts[0], &counts[1], sizeof counts[0]);
}

/* Neighbours that can never be linked (two NATs): the ring stands, and nothing but that link is
 * missing. */
static void test_unreachable_pair(void **state) {
  const scenario *s = *state;
  toposim *sim = make_ring(s);
  size_t ring[TOPOSIM_PEERS_MAX];
  size_t num = toposim_ring(sim, 0, ring);
  torc_topology_view v;
  torc_id pred = toposim_id(sim, ring[3]);
  toposim_forbid(sim, ring[3], ring[4], true);
  toposim_cut(sim, ring[3], ring[4]);
  toposim_run(sim, TORC_SEC(90));
  /* Two neighbours report it: it counts for the range, not as a next hop. */
  v = toposim_view(sim, ring[4]);
  assert_memory_equal(v.range_from.b, pred.b, TORC_ID_LEN);
  assert_false(torc_id_eq(&v.predecessors[0], &pred));
  toposim_forbid(sim, ring[3], ring[4], false);
  assert_right(toposim_settle(sim, TORC_SEC(130)));
  (void)num;
  toposim_free(sim);
}

#define CASE(name_, fn_, algorithm_, seed_, num_, ...) \
  TORC_CASE(name_, fn_,                                \
            (&(scenario){.algorithm = (algorithm_), .seed = (seed_), .num = (num_), __VA_ARGS__}))

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE("CHD-02 CHD-04 CHD-10 CHD-16 CHD-18 JOI-04 ARC-10 ARC-18 one by one to 64",
           test_one_by_one, CHORD, 1, 64, .param = 0),
      CASE("ARC-22 JOI-04 one by one to 64 (full-mesh)", test_one_by_one, MESH, 2, 64, .param = 0),
      CASE("GAP-114 JOI-02 JOI-03 8 at once", test_all_at_once, CHORD, 3, 8, .param = 0),
      CASE("GAP-114 JOI-02 JOI-03 32 at once", test_all_at_once, CHORD, 4, 32, .param = 0),
      CASE("GAP-114 JOI-02 JOI-03 64 at once", test_all_at_once, CHORD, 5, 64, .param = 0),
      CASE("GAP-114 ARC-22 64 at once (full-mesh)", test_all_at_once, MESH, 6, 64, .param = 0),
      CASE("ARC-22 D-03 256 at once (full-mesh)", test_all_at_once, MESH, 7, 256, .param = 0),
      CASE("D-12 GAP-114 32 at once with 5 copies and 24 fingers", test_all_at_once,
           "chord-128-5-24", 7, 32, .param = 0),
      CASE("GAP-114 D-13 writes during growth", test_writes_in_growth, CHORD, 8, 24, .param = 0),
      CASE("GAP-114 D-13 writes during growth (full-mesh)", test_writes_in_growth, MESH, 9, 24,
           .param = 0),
      CASE("D-13 CHD-24 CHD-35 one dies, 3 peers", test_kill, CHORD, 10, 3, .param = 1),
      CASE("D-13 CHD-24 CHD-35 one dies, 8 peers", test_kill, CHORD, 11, 8, .param = 1),
      CASE("D-13 CHD-24 CHD-35 CHD-42 two neighbours die, 3 peers", test_kill, CHORD, 12, 3,
           .param = 2),
      CASE("D-13 CHD-24 CHD-35 CHD-42 two neighbours die, 4 peers", test_kill, CHORD, 13, 4,
           .param = 2),
      CASE("D-13 CHD-24 CHD-35 CHD-42 two neighbours die, 8 peers", test_kill, CHORD, 14, 8,
           .param = 2),
      CASE("D-13 CHD-24 CHD-35 CHD-42 two neighbours die, 30 peers", test_kill, CHORD, 15, 30,
           .param = 2),
      CASE("D-13 ARC-22 two neighbours die, 8 peers (full-mesh)", test_kill, MESH, 16, 8,
           .param = 2),
      CASE("CHD-22 CHD-25 CHD-42 three neighbours die, 8 peers", test_kill, CHORD, 17, 8,
           .param = 3),
      CASE("CHD-22 CHD-25 CHD-42 three neighbours die, 40 peers", test_kill, CHORD, 18, 40,
           .param = 3),
      CASE("D-13 GAP-116 two die at any moment, 8 peers", test_kill_any_time, CHORD, 19, 8,
           .param = 0),
      CASE("D-13 GAP-116 two die at any moment, 20 peers", test_kill_any_time, CHORD, 20, 20,
           .param = 0),
      CASE("D-13 GAP-116 two die at any moment, 8 peers (full-mesh)", test_kill_any_time, MESH, 21,
           8, .param = 0),
      CASE("R-51 GAP-103 all die and start again, 8 peers", test_kill_all, CHORD, 22, 8,
           .param = 0),
      CASE("R-51 GAP-103 all die and start again, 20 peers", test_kill_all, CHORD, 23, 20,
           .param = 0),
      CASE("R-51 GAP-103 all die and start again, 8 peers (full-mesh)", test_kill_all, MESH, 24, 8,
           .param = 0),
      CASE("CHD-31 CHD-38 CHD-41 one hangs, 8 peers", test_freeze, CHORD, 25, 8, .param = 0),
      CASE("CHD-38 CHD-41 one hangs, 8 peers (full-mesh)", test_freeze, MESH, 26, 8, .param = 0),
      CASE("CHD-21 CHD-41 links break", test_cut_links, CHORD, 27, 10, .param = 0),
      CASE("GAP-116 CHD-35 rolling restart", test_rolling_restart, CHORD, 28, 12, .param = 0),
      CASE("GAP-116 CHD-35 rolling restart (full-mesh)", test_rolling_restart, MESH, 29, 8,
           .param = 0),
      CASE("LEA-01 LEA-04 CHD-46 CHD-47 GAP-118 leaving", test_leave, CHORD, 30, 16, .param = 0),
      CASE("LEA-04 ARC-22 leaving (full-mesh)", test_leave, MESH, 31, 8, .param = 0),
      CASE("GAP-124 GAP-103 CHD-26 partition, 8 peers", test_partition, CHORD, 32, 8, .param = 0),
      CASE("GAP-124 GAP-103 CHD-26 partition, 20 peers", test_partition, CHORD, 33, 20, .param = 0),
      CASE("GAP-124 GAP-103 partition, 8 peers (full-mesh)", test_partition, MESH, 34, 8,
           .param = 0),
      CASE("GAP-124 GAP-103 CHD-26 one against 23", test_partition_one, CHORD, 35, 24, .param = 0),
      CASE("GAP-124 GAP-122 one of two", test_partition_one, CHORD, 36, 2, .param = 0),
      CASE("R-51 GAP-124 two founders", test_two_founders, CHORD, 37, 2, .param = 0),
      CASE("R-51 GAP-124 two rings of six", test_two_founders, CHORD, 38, 12, .param = 0),
      CASE("GAP-163 CHD-41 loss, duplicates, reordering", test_lossy, CHORD, 39, 12, .loss = 30,
           .duplicates = 100),
      CASE("GAP-163 loss, duplicates, reordering (full-mesh)", test_lossy, MESH, 40, 8, .loss = 30,
           .duplicates = 100),
      CASE("CHD-03 CHD-19 CHD-43 CHD-45 GAP-111 fingers get right", test_fingers, CHORD, 41, 40,
           .param = 0),
      CASE("CHD-05 GAP-110 GAP-112 hops, 64 peers", test_hops, CHORD, 42, 64, .param = 8),
      CASE("ARC-22 hops, 64 peers (full-mesh)", test_hops, MESH, 43, 64, .param = 2),
      CASE("CHD-37 CHD-38 CHD-39 GAP-119 GAP-120 a quiet ring", test_quiet, CHORD, 44, 16,
           .param = 0),
      CASE("GAP-163 one seed, one run", test_repeatable, CHORD, 45, 12, .param = 0),
      CASE("GAP-123 ARC-19 two that cannot be linked", test_unreachable_pair, CHORD, 46, 10,
           .param = 0),
  };
  return TORC_RUN(tests);
}
