/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/helper_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int test_dir_setup(void **state) {
  char *path = strdup("/tmp/torc-authority-test-XXXXXX");
  if (path == NULL || mkdtemp(path) == NULL) {
    free(path);
    return -1;
  }
  *state = path;
  return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where) {
  (void)st;
  (void)kind;
  (void)where;
  return remove(path);
}

int test_dir_teardown(void **state) {
  int rc = nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  free(*state);
  return rc;
}

const char *test_path(const char *dir, const char *name) {
  static char buffers[64][512];
  static unsigned turn;
  char *out = buffers[turn++ % 64];
  (void)snprintf(out, sizeof buffers[0], "%s/%s", dir, name);
  return out;
}

char *test_read(const char *path, size_t *len) {
  FILE *f = fopen(path, "rbe");
  assert_non_null(f);
  char *data = calloc(1, 1u << 20);
  assert_non_null(data);
  *len = fread(data, 1, (1u << 20) - 1, f);
  assert_int_equal(fclose(f), 0);
  return data;
}

void test_write(const char *path, const char *text) {
  FILE *f = fopen(path, "wbe");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}
