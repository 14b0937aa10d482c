/* What the fuzzer of the reader asserts, over every document there is and changes of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/fuzz_document_overlay.c" /* NOLINT(bugprone-suspicious-include): the target as it is */

#include <dirent.h>

#include "base/rng.h"
#include "torc_test.h"

#define CHANGES 400 /* of each document; each takes a millisecond */

static size_t for_each(const char *dir, void (*run)(uint8_t *data, size_t len)) {
  DIR *files = opendir(dir);
  size_t num = 0;
  if (files == NULL) {
    return 0;
  }
  for (struct dirent *f = readdir(files); f != NULL; f = readdir(files)) {
    char path[900];
    char err[300];
    char *text = NULL;
    size_t len = 0;
    if (f->d_name[0] == '.') {
      continue;
    }
    (void)snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
    assert_int_equal(torc_overlay_file(path, &text, &len, err, sizeof err), 0);
    run((uint8_t *)text, len);
    free(text);
    num++;
  }
  (void)closedir(files);
  return num;
}

static void as_it_is(uint8_t *data, size_t len) {
  (void)LLVMFuzzerTestOneInput(data, len);
}

static void changed(uint8_t *data, size_t len) {
  static const char *const words[] = {"torc:",   "t:",         "name",     "0xF00001",
                                      "own-key", "<t1>9</t1>", "&#10;",    "\"",
                                      "-",       "<!--",       "xmlns=''", "999999999999"};
  torc_rng rng;
  uint8_t *copy = malloc(len + 16);
  assert_non_null(copy);
  torc_rng_seed(&rng, 7);
  /* The signature would end everything: without it. */
  len = torc_overlay_signed_len(torc_slice_of(data, len));
  for (int i = 0; i < CHANGES; i++) {
    size_t at = (size_t)torc_rng_below(&rng, len);
    const char *word = words[torc_rng_below(&rng, TORC_ARRAY_LEN(words))];
    size_t cut = (size_t)torc_rng_below(&rng, 8);
    cut = cut < len - at ? cut : len - at;
    size_t num = strlen(word);
    memcpy(copy, data, at);
    memcpy(copy + at, word, num);
    memcpy(copy + at + num, data + at + cut, len - at - cut);
    (void)LLVMFuzzerTestOneInput(copy, len + num - cut);
  }
  free(copy);
}

static void test_documents(void **state) {
  (void)state;
  assert_true(for_each(TORC_SOURCE_DIR "/tests/vectors/overlay", as_it_is) >= 6);
  (void)for_each(TORC_SOURCE_DIR "/fuzz/regressions/document_overlay", as_it_is);
}

static void test_changed(void **state) {
  (void)state;
  assert_true(for_each(TORC_SOURCE_DIR "/tests/vectors/overlay", changed) >= 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENR-11 GAP-127 what is read is written and read again", test_documents),
      TORC_TEST("ENR-11 GAP-127 GAP-131 documents changed by chance", test_changed),
  };
  return TORC_RUN(tests);
}
