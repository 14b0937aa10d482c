/* What the fuzz target of the node tries, in the ordinary tests: inputs that once failed
 * (fuzz/regressions/node_input) and a fixed number of inputs made by chance.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>

#include "base/rng.h"
#include "fuzz/node_script.c" /* NOLINT(bugprone-suspicious-include): the target as it is */
#include "torc_test.h"

#define INPUT_MAX 4096u

static uint8_t input[INPUT_MAX];

/* Runs every file of a directory; how many there are, 0 also without the directory. */
static size_t replay(const char *dir) {
  DIR *files = opendir(dir);
  size_t num = 0;
  if (files == NULL) {
    return 0;
  }
  for (struct dirent *f = readdir(files); f != NULL; f = readdir(files)) {
    char path[900];
    if (f->d_name[0] == '.') {
      continue;
    }
    snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t len = fread(input, 1, sizeof input, in);
    fclose(in);
    node_script_run(input, len);
    num++;
  }
  closedir(files);
  return num;
}

static void test_files(void **state) {
  (void)state;
  assert_true(replay(TORC_SOURCE_DIR "/fuzz/seeds/node_input") > 0);
  (void)replay(TORC_SOURCE_DIR "/fuzz/regressions/node_input");
}

static void test_chance(void **state) {
  torc_rng rng;
  (void)state;
  for (uint64_t seed = 1; seed <= 400; seed++) {
    torc_rng_seed(&rng, seed);
    size_t len = 20 + torc_rng_below(&rng, 900);
    for (size_t i = 0; i < len; i++) {
      input[i] = (uint8_t)torc_rng_u64(&rng);
    }
    input[0] |= seed % 5 == 0 ? 0 : 0x80; /* most begin in a ring */
    node_script_run(input, len);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-40 D-41 R-11 scripts that go far, and those that once failed", test_files),
      TORC_TEST("D-40 D-41 R-11 scripts by chance", test_chance),
  };
  return TORC_RUN(tests);
}
