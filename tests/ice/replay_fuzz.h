/* Replays what lies in fuzz/seeds and fuzz/regressions for the fuzz target that was included
 * before. SPDX-License-Identifier: Apache-2.0 */
#ifndef REPLAY_FUZZ_H
#define REPLAY_FUZZ_H

#include <dirent.h>
#include <stdio.h>

#include "base/rng.h"
#include "torc_test.h"

#define REPLAY_CHANGES 2000 /* of each seed */
#define REPLAY_MAX 4096u

static const char *replay_dir; /* set by main */

static void as_it_is(const uint8_t *data, size_t len) {
  (void)LLVMFuzzerTestOneInput(data, len);
}

static void changed(const uint8_t *data, size_t len) {
  static uint8_t copy[REPLAY_MAX];
  torc_rng rng;
  torc_rng_seed(&rng, 7);
  for (int i = 0; i < REPLAY_CHANGES; i++) {
    size_t num = 1 + (size_t)torc_rng_below(&rng, 4);
    memcpy(copy, data, len);
    for (size_t k = 0; k < num && len != 0; k++) {
      copy[torc_rng_below(&rng, len)] ^= (uint8_t)(1u << torc_rng_below(&rng, 8));
    }
    (void)LLVMFuzzerTestOneInput(copy, len - (size_t)torc_rng_below(&rng, len / 4 + 1));
  }
}

static size_t for_each(const char *kind, void (*run)(const uint8_t *data, size_t len)) {
  static uint8_t data[REPLAY_MAX];
  char path[1200];
  size_t num = 0;
  DIR *files;
  (void)snprintf(path, sizeof path, TORC_SOURCE_DIR "/fuzz/%s/%s", kind, replay_dir);
  files = opendir(path);
  if (files == NULL) {
    return 0;
  }
  for (struct dirent *f = readdir(files); f != NULL; f = readdir(files)) {
    FILE *in;
    if (f->d_name[0] == '.') {
      continue;
    }
    (void)snprintf(path, sizeof path, TORC_SOURCE_DIR "/fuzz/%s/%s/%s", kind, replay_dir,
                   f->d_name);
    in = fopen(path, "rb");
    assert_non_null(in);
    run(data, fread(data, 1, sizeof data, in));
    (void)fclose(in);
    num++;
  }
  (void)closedir(files);
  return num;
}

static void test_seeds(void **state) {
  (void)state;
  assert_true(for_each("seeds", as_it_is) >= 10);
}

static void test_regressions(void **state) {
  (void)state;
  (void)for_each("regressions", as_it_is);
}

static void test_changed(void **state) {
  (void)state;
  assert_true(for_each("seeds", changed) >= 10);
}

#endif
