/* The engine's parts: latencies, the model of cryptography, memory, queues.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/slice.h"
#include "sim/latency.h"
#include "sim/mix.h"
#include "sim/model.h"
#include "sim/pool.h"
#include "sim/queue.h"
#include "torc_test.h"

/* ---- latencies ---- */

static void test_plane(void **state) {
  sim_latency l;
  torc_sim_config c = {
      .seed = 4, .latency_kind = TORC_SIM_PLANE, .latency = TORC_MS(80), .latency_min = TORC_MS(3)};
  torc_time least = TORC_NEVER;
  torc_time most = 0;
  (void)state;
  assert_int_equal(sim_latency_init(&l, &c), 0);
  for (uint32_t a = 0; a < 300; a++) {
    for (uint32_t b = 0; b < 300; b++) {
      torc_time way = sim_latency_of(&l, a, b);
      assert_int_equal(way, sim_latency_of(&l, b, a));
      least = way < least ? way : least;
      most = way > most ? way : most;
    }
  }
  assert_int_equal(l.least, TORC_MS(3));
  assert_in_range(least, l.least, TORC_MS(5)); /* the nearest of so many are near */
  assert_in_range(most, TORC_MS(80), l.most);  /* and the farthest beyond a side of the square */
  sim_latency_clear(&l);
}

#define MATRIX_NAME_MAX 512

typedef struct matrix_case {
  const char *text, *why;
} matrix_case;

static const char *matrix_file(const char *text, char name[MATRIX_NAME_MAX]) {
  const char *base = getenv("TMPDIR");
  int len = snprintf(name, MATRIX_NAME_MAX, "%s/torc-matrix-XXXXXX", base == NULL ? "/tmp" : base);
  assert_in_range(len, 1, MATRIX_NAME_MAX - 1);
  int fd = mkstemp(name);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  (void)close(fd);
  return name;
}

static void test_matrix_fault(void **state) {
  const matrix_case *m = *state;
  char name[MATRIX_NAME_MAX];
  torc_sim *s = NULL;
  const char *why = "";
  torc_sim_config c = {.latency_kind = TORC_SIM_MATRIX, .matrix_file = matrix_file(m->text, name)};
  assert_int_equal(torc_sim_new(&s, &c, &why), TORC_ERR_FORMAT);
  (void)unlink(name);
  assert_null(s);
  assert_string_equal(why, m->why);
}

static void test_matrix(void **state) {
  char name[MATRIX_NAME_MAX];
  sim_latency l;
  torc_sim_config c = {
      .latency_kind = TORC_SIM_MATRIX,
      .latency_min = TORC_MS(2),
      .matrix_file = matrix_file("# three places\n0 10 20.5\n\n 11 0 1 \n21 \t 0.25 0\n", name)};
  (void)state;
  assert_int_equal(sim_latency_init(&l, &c), 0);
  (void)unlink(name);
  assert_int_equal(sim_latency_of(&l, 0, 1), TORC_MS(10));
  assert_int_equal(sim_latency_of(&l, 1, 0), TORC_MS(11));
  assert_int_equal(sim_latency_of(&l, 0, 5), 20500);
  assert_int_equal(sim_latency_of(&l, 4, 2), TORC_MS(2)); /* raised */
  assert_int_equal(sim_latency_of(&l, 3, 0), TORC_MS(2)); /* one place */
  assert_int_equal(l.least, TORC_MS(2));
  assert_int_equal(l.most, TORC_MS(21));
  sim_latency_clear(&l);
}

static void test_no_matrix(void **state) {
  sim_latency l;
  torc_sim_config c = {.latency_kind = TORC_SIM_MATRIX, .matrix_file = "/nonexistent/matrix"};
  (void)state;
  assert_int_equal(sim_latency_init(&l, &c), TORC_ERR_IO);
  assert_string_equal(l.why, "latency matrix: No such file or directory");
}

/* ---- cryptography ---- */

static void test_hash(void **state) {
  uint8_t text[200];
  uint8_t whole[TORC_DIGEST_LEN];
  uint8_t split[TORC_DIGEST_LEN];
  (void)state;
  for (size_t i = 0; i < sizeof text; i++) {
    text[i] = (uint8_t)(i * 7);
  }
  for (size_t len = 0; len <= 100; len++) {
    torc_slice all = torc_slice_of(text, len);
    sim_model_hash(&all, 1, whole);
    for (size_t at = 0; at <= len; at += 3) {
      torc_slice parts[3] = {torc_slice_of(text, at), torc_slice_of(NULL, 0),
                             torc_slice_of(text + at, len - at)};
      sim_model_hash(parts, 3, split);
      assert_memory_equal(whole, split, sizeof whole);
    }
    all.len = len + 1;
    sim_model_hash(&all, 1, split);
    assert_memory_not_equal(whole, split, 8);
  }
}

/* Ids are spread evenly: each bit of the first bytes is set about half the time. */
static void test_hash_spread(void **state) {
  unsigned set[128] = {0};
  (void)state;
  for (uint32_t i = 0; i < 4096; i++) {
    uint8_t digest[TORC_DIGEST_LEN];
    torc_slice part = torc_slice_of(&i, sizeof i);
    sim_model_hash(&part, 1, digest);
    for (unsigned b = 0; b < 128; b++) {
      set[b] += ((unsigned)digest[b / 8] >> (b % 8)) & 1u;
    }
  }
  for (unsigned b = 0; b < 128; b++) {
    assert_in_range(set[b], 2048 - 200, 2048 + 200);
  }
}

static void test_sign(void **state) {
  torc_id one = {{1}};
  torc_id other = {{2}};
  uint8_t sig[SIM_SIGNATURE_LEN];
  torc_slice parts[2] = {torc_slice_str("overlay"), torc_slice_str("contents")};
  torc_job job = {.kind = TORC_JOB_SIGN, .parts = parts, .num_parts = 2};
  (void)state;
  sim_model_sign(&one, &job, sig);
  job.signature = torc_slice_of(sig, sizeof sig);
  assert_true(sim_model_verify(&one, &job));
  assert_false(sim_model_verify(&other, &job));
  parts[1] = torc_slice_str("contentt");
  assert_false(sim_model_verify(&one, &job));
  parts[1] = torc_slice_str("contents");
  job.signature.len--;
  assert_false(sim_model_verify(&one, &job));
}

static void test_cert(void **state) {
  torc_id id = {{7, 8, 9}};
  torc_id read;
  torc_sim_index i = 0;
  uint8_t bad[64];
  (void)state;
  torc_cert *c = sim_model_cert(torc_mem_libc(), 4711, &id);
  assert_non_null(c);
  assert_string_equal(c->users[0], "u4711@sim.example");
  assert_true(sim_model_cert_owner(c->der, &i, &read));
  assert_int_equal(i, 4711);
  assert_memory_equal(&read, &id, sizeof id);
  for (size_t len = 0; len < c->der.len; len++) {
    assert_false(sim_model_cert_owner(torc_slice_of(c->der.p, len), &i, &read));
  }
  memcpy(bad, c->der.p, c->der.len);
  bad[20] = 'v';
  assert_false(sim_model_cert_owner(torc_slice_of(bad, c->der.len), &i, &read));
  torc_free(torc_mem_libc(), c);
}

/* ---- memory ---- */

#define BLOCKS 4000u

static void test_pool(void **state) {
  static uint8_t *blocks[BLOCKS];
  static size_t sizes[BLOCKS];
  sim_pool pool;
  sim_account a;
  uint64_t rng = 3;
  (void)state;
  sim_pool_init(&pool, 1);
  sim_account_init(&a, &pool);
  for (unsigned round = 0; round < 40000; round++) {
    size_t i = (size_t)sim_below(&rng, BLOCKS);
    if (blocks[i] != NULL) {
      for (size_t k = 0; k < sizes[i]; k++) {
        assert_int_equal(blocks[i][k], (uint8_t)i);
      }
    }
    if (blocks[i] == NULL || sim_below(&rng, 4) == 0) {
      size_t size = 1 + (size_t)sim_below(&rng, sim_below(&rng, 50) == 0 ? 40000 : 700);
      uint8_t *p = a.mem.realloc(a.mem.ctx, blocks[i], size);
      assert_non_null(p);
      assert_int_equal((uintptr_t)p % 16, 0);
      blocks[i] = p;
      sizes[i] = size;
      memset(p, (int)(uint8_t)i, size);
    } else {
      a.mem.free(a.mem.ctx, blocks[i]);
      blocks[i] = NULL;
    }
  }
  assert_true(a.bytes > 0);
  for (size_t i = 0; i < BLOCKS; i++) {
    a.mem.free(a.mem.ctx, blocks[i]);
  }
  assert_int_equal(a.bytes, 0);
  sim_pool_clear(&pool);
}

/* A pool that may take no more says so; what was given back serves again. */
static void test_pool_end(void **state) {
  static void *blocks[100];
  sim_pool pool;
  sim_account a;
  size_t num = 0;
  (void)state;
  sim_pool_init(&pool, 1);
  pool.allowed_slabs = 2;
  sim_account_init(&a, &pool);
  while (num < 100 && (blocks[num] = a.mem.alloc(a.mem.ctx, 8000)) != NULL) {
    num++;
  }
  assert_in_range(num, 2 * 6, 100);
  a.mem.free(a.mem.ctx, blocks[0]);
  blocks[0] = a.mem.alloc(a.mem.ctx, 8000);
  assert_non_null(blocks[0]);
  for (size_t i = 0; i < num; i++) {
    a.mem.free(a.mem.ctx, blocks[i]);
  }
  assert_int_equal(a.bytes, 0);
  sim_pool_clear(&pool);
}

/* ---- queues ---- */

static void test_heap(void **state) {
  sim_heap h = {.len = 0};
  uint64_t rng = 5;
  sim_event last = {.at = 0};
  (void)state;
  for (uint32_t i = 0; i < 3000; i++) {
    sim_event e = {.at = sim_below(&rng, 50), .dst = (uint32_t)sim_below(&rng, 5), .seq = i};
    assert_int_equal(sim_heap_push(&h, &e), 0);
  }
  for (uint32_t i = 0; i < 3000; i++) {
    sim_event e = sim_heap_pop(&h);
    assert_true(i == 0 || sim_event_before(&last, &e));
    last = e;
  }
  assert_int_equal(h.len, 0);
  sim_heap_clear(&h);
}

static void on_moved(void *ctx, uint32_t node, uint32_t place) {
  ((uint32_t *)ctx)[node] = place;
}

static void test_wakes(void **state) {
  static uint32_t places[500];
  static torc_time due[500];
  sim_wakes w = {.ctx = places, .moved = on_moved};
  uint64_t rng = 6;
  torc_time last = 0;
  (void)state;
  for (uint32_t i = 0; i < 500; i++) {
    due[i] = sim_below(&rng, 10000);
    assert_int_equal(sim_wakes_add(&w, i, due[i]), 0);
  }
  for (uint32_t k = 0; k < 2000; k++) {
    uint32_t i = (uint32_t)sim_below(&rng, 500);
    if (places[i] != SIM_WAKE_NONE && sim_below(&rng, 8) == 0) {
      sim_wakes_remove(&w, places[i]);
    } else if (places[i] != SIM_WAKE_NONE) {
      due[i] = sim_below(&rng, 10000);
      sim_wakes_set(&w, places[i], due[i]);
    }
  }
  while (w.len > 0) {
    sim_wake_entry e = w.v[0];
    assert_int_equal(places[e.node], 0);
    assert_int_equal(e.at, due[e.node]);
    assert_true(e.at >= last);
    last = e.at;
    sim_wakes_remove(&w, 0);
    assert_int_equal(places[e.node], SIM_WAKE_NONE);
  }
  sim_wakes_clear(&w);
}

static void test_keys(void **state) {
  static sim_key keys[1000];
  static sim_key spare[1000];
  uint64_t rng = 7;
  (void)state;
  for (size_t num = 0; num <= 1000; num += num < 40 ? 1 : 111) {
    for (size_t i = 0; i < num; i++) {
      keys[i] = (sim_key){.first = sim_below(&rng, 20), .second = sim_next(&rng)};
    }
    sim_keys_sort(keys, spare, num);
    for (size_t i = 1; i < num; i++) {
      assert_true(keys[i - 1].first < keys[i].first ||
                  (keys[i - 1].first == keys[i].first && keys[i - 1].second < keys[i].second));
    }
  }
}

int main(void) {
  static matrix_case faults[] = {
      {"", "latency matrix: empty"},
      {"1 2\n", "latency matrix: fewer lines than numbers in the first"},
      {"1\n", "latency matrix, line 1: 2 to 8192 numbers expected"},
      {"0 1\n\n1 0\n2 2\n", "latency matrix, line 4: more lines than numbers in the first"},
      {"0 1\n1\n", "latency matrix, line 2: too few numbers"},
      {"0 1\n1 0 3\n", "latency matrix, line 2: too many numbers"},
      {"# a\n0 1x\n1 0\n", "latency matrix, line 2: not a number of milliseconds up to 60000"},
      {"0 -1\n1 0\n", "latency matrix, line 1: not a number of milliseconds up to 60000"},
      {"0 60001\n1 0\n", "latency matrix, line 1: not a number of milliseconds up to 60000"},
  };
  const struct CMUnitTest tests[] = {
      TORC_TEST("latencies of a plane lie within its bounds", test_plane),
      TORC_TEST("latencies of a matrix, comments, the least one", test_matrix),
      TORC_TEST("a matrix file that is not there", test_no_matrix),
      TORC_CASE("a matrix: empty", test_matrix_fault, &faults[0]),
      TORC_CASE("a matrix: a line short", test_matrix_fault, &faults[1]),
      TORC_CASE("a matrix: one number", test_matrix_fault, &faults[2]),
      TORC_CASE("a matrix: a line more", test_matrix_fault, &faults[3]),
      TORC_CASE("a matrix: a number short", test_matrix_fault, &faults[4]),
      TORC_CASE("a matrix: a number more", test_matrix_fault, &faults[5]),
      TORC_CASE("a matrix: letters", test_matrix_fault, &faults[6]),
      TORC_CASE("a matrix: a sign", test_matrix_fault, &faults[7]),
      TORC_CASE("a matrix: over a minute", test_matrix_fault, &faults[8]),
      TORC_TEST("D-41 the hash of parts is that of the whole", test_hash),
      TORC_TEST("D-41 hashes are spread evenly", test_hash_spread),
      TORC_TEST("D-41 signatures are the signer's and over all parts", test_sign),
      TORC_TEST("D-41 certificates name their owner", test_cert),
      TORC_TEST("blocks of memory do not overlap, and are counted", test_pool),
      TORC_TEST("memory that is used up", test_pool_end),
      TORC_TEST("a heap of events", test_heap),
      TORC_TEST("a heap of wake-ups that knows every place", test_wakes),
      TORC_TEST("sorting", test_keys),
  };
  return TORC_RUN(tests);
}
