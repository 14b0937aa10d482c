/* The LMDB backend: the common cases, kill -9, full, damaged.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/lmdb_backend.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend_cases.h"
#include "base/rng.h"
#include "base/slice.h"
#include "io/helper_pki.h"

#define MAP_BYTES (16u << 20)

typedef struct fixture {
  char dir[256];
  torc_lmdb *db;
  torc_backend b;
  bool was_damaged;
} fixture;

static int reopen(fixture *f, uint64_t map, char *err, size_t err_cap) {
  torc_lmdb_close(f->db);
  f->db = NULL;
  return torc_lmdb_open(&f->db, &f->b, f->dir, map, &f->was_damaged, err, err_cap);
}

static void open_new(fixture *f) {
  memset(f, 0, sizeof *f);
  hp_dir_make(f->dir);
  assert_int_equal(reopen(f, MAP_BYTES, NULL, 0), 0);
  assert_false(f->was_damaged);
}

static void close_all(fixture *f) {
  torc_lmdb_close(f->db);
  hp_dir_remove(f->dir);
}

typedef void (*case_fn)(torc_backend *b);
typedef struct common_case {
  case_fn fn;
} common_case;

static void run_common(void **state) {
  const common_case *c = *state;
  fixture f;
  open_new(&f);
  c->fn(&f.b);
  close_all(&f);
}

static void test_persists(void **state) {
  (void)state;
  fixture f;
  open_new(&f);
  bc_begin(&f.b, true);
  bc_put(&f.b, "kept", "1");
  bc_commit(&f.b);
  bc_begin(&f.b, true);
  bc_put(&f.b, "undone", "2");
  assert_int_equal(torc_lmdb_sync(f.db), 0);
  assert_int_equal(reopen(&f, MAP_BYTES, NULL, 0), 0); /* closes in the middle of a transaction */
  bc_begin(&f.b, false);
  bc_expect(&f.b, "kept", "1");
  bc_expect(&f.b, "undone", NULL);
  f.b.abort(f.b.ctx);
  close_all(&f);
}

static void test_misuse(void **state) {
  (void)state;
  fixture f;
  torc_slice out;
  uint8_t long_key[TORC_BACKEND_KEY_MAX + 1] = {0};
  open_new(&f);
  assert_int_equal(f.b.get(f.b.ctx, bc_str("a"), &out), TORC_ERR_STATE);
  assert_int_equal(f.b.put(f.b.ctx, bc_str("a"), bc_str("b")), TORC_ERR_STATE);
  assert_int_equal(f.b.del(f.b.ctx, bc_str("a")), TORC_ERR_STATE);
  assert_int_equal(f.b.seek(f.b.ctx, bc_str("a"), &out, &out), TORC_ERR_STATE);
  assert_int_equal(f.b.commit(f.b.ctx), TORC_ERR_STATE);
  f.b.abort(f.b.ctx);
  bc_begin(&f.b, true);
  assert_int_equal(f.b.begin(f.b.ctx, true), TORC_ERR_STATE);
  assert_int_equal(f.b.put(f.b.ctx, torc_slice_of(long_key, sizeof long_key), bc_str("b")),
                   TORC_ERR_INVALID);
  assert_int_equal(f.b.put(f.b.ctx, torc_slice_of(NULL, 0), bc_str("b")), TORC_ERR_INVALID);
  assert_int_equal(f.b.put(f.b.ctx, bc_str("empty"), torc_slice_of(NULL, 0)), 0);
  bc_expect(&f.b, "empty", "");
  f.b.abort(f.b.ctx);
  close_all(&f);
}

/* Full: the write says so, the transaction can be given up, what was there stays. */
static void test_full(void **state) {
  (void)state;
  fixture f;
  char key[16];
  uint8_t *value = calloc(1, 100000);
  int rc = 0;
  open_new(&f);
  assert_int_equal(reopen(&f, 1 << 20, NULL, 0), 0);
  bc_begin(&f.b, true);
  bc_put(&f.b, "first", "1");
  bc_commit(&f.b);
  bc_begin(&f.b, true);
  for (int i = 0; rc == 0 && i < 100; i++) {
    snprintf(key, sizeof key, "k%d", i);
    rc = f.b.put(f.b.ctx, bc_str(key), torc_slice_of(value, 100000));
  }
  assert_int_equal(rc, TORC_ERR_LIMIT);
  f.b.abort(f.b.ctx);
  bc_begin(&f.b, true);
  bc_expect(&f.b, "first", "1");
  bc_expect(&f.b, "k0", NULL);
  bc_put(&f.b, "second", "2");
  bc_commit(&f.b);
  free(value);
  close_all(&f);
}

/* ---- kill -9 ---- */

#define KEYS_PER_TXN 5

/* Writes transaction after transaction: all keys of one carry its number. Reports each commit. */
static void writer(const char *dir, int report) {
  torc_lmdb *db = NULL;
  torc_backend b;
  bool was_damaged = false;
  if (torc_lmdb_open(&db, &b, dir, MAP_BYTES, &was_damaged, NULL, 0) != 0) {
    _exit(2);
  }
  for (uint32_t n = 1;; n++) {
    uint8_t value[3000];
    memset(value, (int)(n & 0xff), sizeof value);
    memcpy(value, &n, sizeof n);
    if (b.begin(b.ctx, true) != 0) {
      _exit(3);
    }
    for (uint8_t k = 0; k < KEYS_PER_TXN; k++) {
      uint8_t key[2] = {'k', k};
      size_t len = sizeof n + (n * 37 + k * 101) % (sizeof value - sizeof n);
      if (b.put(b.ctx, torc_slice_of(key, 2), torc_slice_of(value, len)) != 0) {
        _exit(4);
      }
    }
    if (b.commit(b.ctx) != 0) {
      _exit(5);
    }
    if (write(report, &n, sizeof n) != (ssize_t)sizeof n) {
      _exit(6);
    }
  }
}

/* The number all keys carry; 0: none is there. */
static uint32_t check_whole(fixture *f) {
  uint32_t n = 0;
  bc_begin(&f->b, false);
  for (uint8_t k = 0; k < KEYS_PER_TXN; k++) {
    uint8_t key[2] = {'k', k};
    torc_slice v;
    uint32_t mine = 0;
    int rc = f->b.get(f->b.ctx, torc_slice_of(key, 2), &v);
    if (rc == TORC_ERR_NOTFOUND) {
      assert_int_equal(n, 0);
      continue;
    }
    assert_int_equal(rc, 0);
    assert_true(v.len >= sizeof mine);
    memcpy(&mine, v.p, sizeof mine);
    assert_true(k == 0 || mine == n); /* no half of a transaction */
    n = mine;
    assert_int_equal(v.len, sizeof n + (n * 37 + k * 101) % (3000 - sizeof n));
    for (size_t i = sizeof n; i < v.len; i++) {
      assert_int_equal(v.p[i], n & 0xff);
    }
  }
  f->b.abort(f->b.ctx);
  return n;
}

static void kill_round(fixture *f, uint64_t commits, uint64_t extra_ns) {
  int fds[2];
  uint32_t last = 0;
  uint32_t n = 0;
  assert_int_equal(pipe(fds), 0);
  torc_lmdb_close(f->db);
  f->db = NULL;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    close(fds[0]);
    writer(f->dir, fds[1]);
  }
  close(fds[1]);
  for (uint64_t i = 0; i < commits && read(fds[0], &n, sizeof n) == (ssize_t)sizeof n; i++) {
    last = n;
  }
  struct timespec from;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &from);
  do { /* into the middle of a transaction */
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((uint64_t)((now.tv_sec - from.tv_sec) * 1000000000 + now.tv_nsec - from.tv_nsec) <
           extra_ns);
  assert_int_equal(kill(pid, SIGKILL), 0);
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFSIGNALED(status));
  while (read(fds[0], &n, sizeof n) == (ssize_t)sizeof n) {
    last = n; /* reported before it died */
  }
  close(fds[0]);
  assert_int_equal(reopen(f, MAP_BYTES, NULL, 0), 0);
  assert_false(f->was_damaged);
  uint32_t found = check_whole(f);
  assert_true(found >= last);     /* every commit that was reported */
  assert_true(found <= last + 1); /* and at most the one whose report was cut off */
}

static void test_kill(void **state) {
  (void)state;
  fixture f;
  torc_rng rng;
  torc_rng_seed(&rng, 20240607);
  open_new(&f);
  for (int round = 0; round < 25; round++) {
    kill_round(&f, 1 + torc_rng_below(&rng, 60), torc_rng_below(&rng, 400000));
  }
  close_all(&f);
}

/* ---- damage ---- */

static void fill(fixture *f) {
  char key[16];
  uint8_t value[500];
  bc_begin(&f->b, true);
  for (int i = 0; i < 400; i++) {
    snprintf(key, sizeof key, "key%05d", i);
    memset(value, i & 0xff, sizeof value);
    assert_int_equal(f->b.put(f->b.ctx, bc_str(key), torc_slice_of(value, sizeof value)), 0);
  }
  bc_commit(&f->b);
}

static bool exists(const char *dir, const char *name) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  return access(path, F_OK) == 0;
}

static void expect_moved_aside(fixture *f, const char *name) {
  char err[400] = "";
  if (torc_lmdb_open(&f->db, &f->b, f->dir, MAP_BYTES, &f->was_damaged, err, sizeof err) != 0) {
    fail_msg("%s", err);
  }
  assert_true(f->was_damaged);
  assert_true(exists(f->dir, name));
  bc_empty(&f->b);
}

static void test_damaged(void **state) {
  (void)state;
  fixture f;
  char path[400];
  open_new(&f);
  snprintf(path, sizeof path, "%s/data.mdb", f.dir);
  torc_lmdb_close(f.db);
  hp_write_file(path, "this is no database, although it stands where one should", 56, 0600);
  expect_moved_aside(&f, "data.mdb.damaged-1");
  fill(&f);
  torc_lmdb_close(f.db);
  assert_int_equal(truncate(path, 40960), 0); /* cut: the tree points behind the end */
  expect_moved_aside(&f, "data.mdb.damaged-2");
  fill(&f);
  torc_lmdb_close(f.db);
  int fd = open(path, O_WRONLY);
  uint8_t noise[4096];
  memset(noise, 0xa5, sizeof noise);
  for (off_t page = 3; page < 40; page++) {
    assert_int_equal(pwrite(fd, noise, sizeof noise, page * 4096), sizeof noise);
  }
  close(fd);
  expect_moved_aside(&f, "data.mdb.damaged-3");
  close_all(&f);
}

/* Each page overwritten in turn, with two patterns: opens or is moved aside, never dies. */
static void test_any_page(void **state) {
  (void)state;
  fixture f;
  char path[400];
  open_new(&f);
  fill(&f);
  torc_lmdb_close(f.db);
  f.db = NULL;
  snprintf(path, sizeof path, "%s/data.mdb", f.dir);
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  uint8_t *whole = malloc((size_t)st.st_size);
  int fd = open(path, O_RDONLY);
  assert_int_equal(read(fd, whole, (size_t)st.st_size), st.st_size);
  close(fd);
  for (off_t page = 0; page * 4096 < st.st_size; page += 3) {
    uint8_t noise[4096];
    memset(noise, page % 2 == 0 ? 0 : 0xff, sizeof noise);
    hp_write_file(path, whole, (size_t)st.st_size, 0600);
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, noise, sizeof noise, page * 4096), sizeof noise);
    close(fd);
    assert_int_equal(reopen(&f, MAP_BYTES, NULL, 0), 0);
    bc_begin(&f.b, true);
    bc_put(&f.b, "new", "value");
    bc_commit(&f.b);
    torc_lmdb_close(f.db);
    f.db = NULL;
  }
  free(whole);
  close_all(&f);
}

static void test_no_directory(void **state) {
  (void)state;
  fixture f = {.dir = "/nonexistent/torc"};
  char err[400] = "";
  assert_int_equal(torc_lmdb_open(&f.db, &f.b, f.dir, MAP_BYTES, &f.was_damaged, err, sizeof err),
                   TORC_ERR_IO);
  assert_string_equal(err,
                      "cannot open the database in /nonexistent/torc: No such file or directory");
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define X(name_, fn_) \
  {.name = name_ " (LMDB)", .test_func = run_common, .initial_state = &(common_case){fn_}},
      BACKEND_CASES(X)
#undef X
          TORC_TEST("D-42 STO-06 what was committed is there after reopening", test_persists),
      TORC_TEST("D-42 calls outside a transaction are refused", test_misuse),
      TORC_TEST("D-42 STO-06 a full database refuses and keeps what it has", test_full),
      TORC_TEST("D-42 STO-06 kill -9 at random moments: every commit, no half of one", test_kill),
      TORC_TEST("D-42 a damaged file is moved aside and a new one begun", test_damaged),
      TORC_TEST("D-42 a page of noise anywhere never kills the process", test_any_page),
      TORC_TEST("D-42 a directory that is not there", test_no_directory),
  };
  return TORC_RUN(tests);
}
