/* What the fuzz targets try, in the ordinary tests: every input that once failed
 * (fuzz/regressions), every vector, and a fixed number of changes to each vector.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>

#include "base/rng.h"
#include "base/slice.h"
#include "torc_test.h"
#include "wire/helper_property.h"
#include "wire/helper_vectors.h"

#define INPUT_MAX 70000u
#define CHANGES_PER_VECTOR 2000
#define CHANGED_MAX 2048u /* longer vectors are not changed: vectors_test.c flips their bits */

static uint8_t input[INPUT_MAX];

static void replay_file(const char *target, const char *path) {
  FILE *f = fopen(path, "rb");
  size_t len;
  assert_non_null(f);
  len = fread(input, 1, sizeof(input), f);
  fclose(f);
  property_check(target, input, len);
}

/* fuzz/regressions/TARGET/FILE. A directory without a target would never be replayed: it fails. */
static void test_regressions(void **state) {
  DIR *targets = opendir(TORC_SOURCE_DIR "/fuzz/regressions");
  size_t num = 0;
  (void)state;
  assert_non_null(targets);
  for (struct dirent *t = readdir(targets); t != NULL; t = readdir(targets)) {
    char dir[600];
    DIR *files;
    if (t->d_name[0] == '.' || strncmp(t->d_name, "node_", 5) == 0 ||
        strncmp(t->d_name, "document_", 9) == 0 || strncmp(t->d_name, "ice_", 4) == 0 ||
        strcmp(t->d_name, "README.md") == 0) {
      continue;
    }
    assert_non_null(property_find(t->d_name));
    snprintf(dir, sizeof(dir), TORC_SOURCE_DIR "/fuzz/regressions/%s", t->d_name);
    files = opendir(dir);
    assert_non_null(files);
    for (struct dirent *f = readdir(files); f != NULL; f = readdir(files)) {
      char path[900];
      if (f->d_name[0] != '.') {
        snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
        replay_file(t->d_name, path);
        num++;
      }
    }
    closedir(files);
  }
  closedir(targets);
  assert_true(num > 0);
}

/* The number by which a target picks the vector's kind, or -1. */
static int selector(const property_target *t, const vec *v) {
  const char *model = vec_given(v, "model");
  for (size_t i = 0; i < property_num_kinds(t); i++) {
    char name[64];
    snprintf(name, sizeof(name), "%s%s%s", v->pdu, model != NULL ? " " : "",
             model != NULL ? model : "");
    if (strcmp(name, t->kinds[i]) == 0) {
      return (int)i;
    }
  }
  return -1;
}

/* Replaces, repeats or removes a few bytes. */
static size_t change(torc_rng *rng, uint8_t *bytes, size_t len) {
  static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xfd, 0xe8, 0xff};
  for (uint64_t n = 1 + torc_rng_below(rng, 4); n > 0 && len > 1; n--) {
    size_t at = 1 + (size_t)torc_rng_below(rng, len - 1);
    size_t count = 1 + (size_t)torc_rng_below(rng, 8);
    switch (torc_rng_below(rng, 4)) {
      case 0:
        bytes[at] = (uint8_t)torc_rng_u64(rng);
        break;
      case 1:
        bytes[at] = edges[torc_rng_below(rng, sizeof(edges))];
        break;
      case 2:
        count = count > len - at ? len - at : count;
        memmove(bytes + at, bytes + at + count, len - at - count);
        len -= count;
        break;
      default:
        memmove(bytes + at + count, bytes + at, len - at);
        len += count;
        break;
    }
  }
  return len;
}

static void test_changes(void **state) {
  vec_list vectors = {0};
  torc_rng rng;
  size_t num = 0;
  (void)state;
  torc_rng_seed(&rng, 2007);
  vec_load_dir(&vectors, TORC_SOURCE_DIR "/tests/vectors");
  for (size_t i = 0; i < vectors.len; i++) {
    const vec *v = &vectors.items[i];
    for (const property_target *t = property_targets; t->name != NULL; t++) {
      int kind = selector(t, v);
      if (kind < 0) {
        continue;
      }
      num++;
      input[0] = (uint8_t)kind;
      if (v->len != 0) {
        memcpy(input + 1, v->bytes, v->len);
      }
      property_check(t->name, input, v->len + 1);
      for (int k = 0; k < CHANGES_PER_VECTOR && v->len != 0 && v->len <= CHANGED_MAX; k++) {
        memcpy(input + 1, v->bytes, v->len);
        property_check(t->name, input, change(&rng, input, v->len + 1));
      }
    }
  }
  assert_int_equal(num, vectors.len); /* every vector has exactly one target */
  vec_free(&vectors);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("inputs that once failed", test_regressions),
      TORC_TEST("ENC-01 ENC-06 GAP-01 GAP-09 every vector, changed at random", test_changes),
  };
  return TORC_RUN(tests);
}
