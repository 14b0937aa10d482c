/* Threads that do jobs: results, order of the end, one flush for many commits.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/pool.h"

#include "base/slice.h"
#include "io/helper_pki.h"
#include "torc_test.h"
#include "wire/contents.h"

#define OVERLAY "ring.example.org"
#define NUM_JOBS 300

typedef struct fixture {
  uv_loop_t loop;
  hp_ca ca;
  torc_pki *pki;
  torc_pool *pool;
  uint8_t sigs[NUM_JOBS][TORC_SIGNATURE_MAX];
  size_t sig_lens[NUM_JOBS];
  int rcs[NUM_JOBS];
  torc_cert *cert;
  size_t num_done, num_turns;
} fixture;

static void on_done(void *ctx, torc_token id, const torc_job_result *r) {
  fixture *f = ctx;
  assert_in_range(id, 1, NUM_JOBS);
  f->rcs[id - 1] = r->rc;
  f->sig_lens[id - 1] = r->signature.len;
  if (r->signature.len > 0) {
    memcpy(f->sigs[id - 1], r->signature.p, r->signature.len);
  }
  if (r->cert != NULL) {
    torc_cert_free(f->cert);
    f->cert = r->cert;
  }
  f->num_done++;
}

static void on_turn(void *ctx) {
  fixture *f = ctx;
  f->num_turns++;
}

static fixture *open_pool(unsigned threads, torc_lmdb *db) {
  fixture *f = calloc(1, sizeof *f);
  hp_spec spec = {.overlay = OVERLAY};
  assert_non_null(f);
  assert_int_equal(uv_loop_init(&f->loop), 0);
  hp_ca_make(&f->ca, "root", true);
  f->pki = hp_pki_own(&f->ca, OVERLAY, &spec);
  torc_pool_config cfg = {.loop = &f->loop,
                          .pki = f->pki,
                          .db = db,
                          .num_threads = threads,
                          .ctx = f,
                          .done = on_done,
                          .turn = on_turn};
  assert_int_equal(torc_pool_new(&f->pool, &cfg), 0);
  return f;
}

static void close_pool(fixture *f) {
  torc_pool_shutdown(f->pool);
  (void)uv_run(&f->loop, UV_RUN_DEFAULT);
  torc_pool_free(f->pool);
  assert_int_equal(uv_loop_close(&f->loop), 0);
  torc_cert_free(f->cert);
  torc_pki_free(f->pki);
  hp_ca_free(&f->ca);
  free(f);
}

static void run_until(fixture *f, size_t num) {
  while (f->num_done < num) { /* the test's own time limit ends a hang */
    (void)uv_run(&f->loop, UV_RUN_ONCE);
  }
}

static void test_jobs(void **state) {
  (void)state;
  fixture *f = open_pool(4, NULL);
  torc_cert *own = torc_pki_own_cert(f->pki);
  uint32_t numbers[NUM_JOBS];
  torc_slice parts[NUM_JOBS];
  for (uint32_t i = 0; i < NUM_JOBS; i++) {
    numbers[i] = i;
    parts[i] = torc_slice_of(&numbers[i], sizeof numbers[i]);
    torc_job job = {.id = i + 1, .kind = TORC_JOB_SIGN, .parts = &parts[i], .num_parts = 1};
    assert_int_equal(torc_pool_submit(f->pool, &job), 0);
  }
  assert_int_equal(torc_pool_pending(f->pool), NUM_JOBS);
  run_until(f, NUM_JOBS);
  assert_int_equal(torc_pool_pending(f->pool), 0);
  assert_true(f->num_turns >= 1);
  f->num_done = 0;
  for (uint32_t i = 0; i < NUM_JOBS; i++) { /* every third with another's signature */
    assert_int_equal(f->rcs[i], 0);
    uint32_t of = i % 3 == 0 ? (i + 1) % NUM_JOBS : i;
    torc_job job = {.id = i + 1,
                    .kind = TORC_JOB_VERIFY,
                    .parts = &parts[i],
                    .num_parts = 1,
                    .algorithm = TORC_SIGALG_ECDSA_P256_SHA256,
                    .cert = own,
                    .signature = torc_slice_of(f->sigs[of], f->sig_lens[of])};
    assert_int_equal(torc_pool_submit(f->pool, &job), 0);
  }
  /* The slices above live in f->sigs, which on_done overwrites only where a result has a signature:
   * here none has. */
  run_until(f, NUM_JOBS);
  for (uint32_t i = 0; i < NUM_JOBS; i++) {
    assert_int_equal(f->rcs[i], i % 3 == 0 ? TORC_ERR_CRYPTO : 0);
  }
  f->num_done = 0;
  torc_job job = {.id = 1, .kind = TORC_JOB_CERTIFICATE, .der = own->der};
  assert_int_equal(torc_pool_submit(f->pool, &job), 0);
  job = (torc_job){.id = 2, .kind = TORC_JOB_CERTIFICATE, .der = torc_slice_of("x", 1)};
  assert_int_equal(torc_pool_submit(f->pool, &job), 0);
  run_until(f, 2);
  assert_int_equal(f->rcs[0], 0);
  assert_int_equal(f->rcs[1], TORC_ERR_CRYPTO);
  assert_memory_equal(f->cert->digest, own->digest, TORC_DIGEST_LEN);
  close_pool(f);
}

static void test_sync(void **state) {
  (void)state;
  char dir[256];
  torc_lmdb *db = NULL;
  torc_backend b;
  bool was_damaged = false;
  hp_dir_make(dir);
  assert_int_equal(torc_lmdb_open(&db, &b, dir, 1 << 20, &was_damaged, NULL, 0), 0);
  fixture *f = open_pool(1, db);
  for (uint32_t i = 0; i < 50; i++) {
    torc_job job = {.id = i + 1, .kind = TORC_JOB_SYNC};
    assert_int_equal(torc_pool_submit(f->pool, &job), 0);
    f->rcs[i] = 1;
  }
  run_until(f, 50);
  for (uint32_t i = 0; i < 50; i++) {
    assert_int_equal(f->rcs[i], 0);
  }
  close_pool(f);
  torc_lmdb_close(db);
  hp_dir_remove(dir);
}

/* Shut down with most jobs not begun, some done and not reported: nothing leaks, nothing is
 * reported. */
static void test_shutdown(void **state) {
  (void)state;
  fixture *f = open_pool(2, NULL);
  torc_cert *own = torc_pki_own_cert(f->pki);
  for (uint32_t i = 0; i < NUM_JOBS; i++) {
    torc_job job = {.id = i + 1, .kind = TORC_JOB_CERTIFICATE, .der = own->der};
    assert_int_equal(torc_pool_submit(f->pool, &job), 0);
  }
  close_pool(f); /* f->num_done is not touched after this, or ASan tells */
}

static void test_inline(void **state) {
  (void)state;
  fixture *f = open_pool(1, NULL);
  uint8_t sig[TORC_SIGNATURE_MAX];
  torc_job_result r;
  torc_slice part = torc_slice_str("m");
  torc_job job = {.id = 1, .kind = TORC_JOB_SIGN, .parts = &part, .num_parts = 1};
  torc_job_run(f->pki, NULL, &job, sig, &r);
  assert_int_equal(r.rc, 0);
  job = (torc_job){.id = 2,
                   .kind = TORC_JOB_VERIFY,
                   .algorithm = TORC_SIGALG_ECDSA_P256_SHA256,
                   .parts = &part,
                   .num_parts = 1,
                   .cert = torc_pki_own_cert(f->pki),
                   .signature = r.signature};
  torc_job_result v;
  torc_job_run(f->pki, NULL, &job, sig, &v);
  assert_int_equal(v.rc, 0);
  job = (torc_job){.id = 3, .kind = TORC_JOB_SYNC};
  torc_job_run(f->pki, NULL, &job, sig, &v);
  assert_int_equal(v.rc, 0);
  close_pool(f);
}

static void test_bad_number(void **state) {
  (void)state;
  torc_pool *p = NULL;
  torc_pool_config cfg = {.num_threads = 0};
  assert_int_equal(torc_pool_new(&p, &cfg), TORC_ERR_INVALID);
  cfg.num_threads = TORC_POOL_THREADS_MAX + 1;
  assert_int_equal(torc_pool_new(&p, &cfg), TORC_ERR_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-41 SIG-03 four threads sign, verify and read certificates", test_jobs),
      TORC_TEST("D-41 D-42 commits waiting for the disk", test_sync),
      TORC_TEST("D-41 shutting down with jobs under way", test_shutdown),
      TORC_TEST("D-41 a job done at once", test_inline),
      TORC_TEST("D-41 how many threads", test_bad_number),
  };
  return TORC_RUN(tests);
}
