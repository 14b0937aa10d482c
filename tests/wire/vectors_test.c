/* Every vector of tests/vectors is a test of its own: decoded fields, encoding, each cut and each
 * flipped bit. The array of tests is built when the program starts, so that the names in the
 * results are those of the files. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/slice.h"
#include "torc_test.h"
#include "wire/helper_vectors.h"

#define AGAIN_CAP (1u << 18)
#define WHOLE_MAX                                                                \
  4096u /* longer vectors are cut and flipped at their ends and at steps between \
         */
#define END_BYTES 20u
#define STEP 9973u

static vec_list vectors;
static uint8_t again_buf[2][AGAIN_CAP];

static int want_rc(const vec *v) {
  static const struct {
    const char *word;
    int rc;
  } results[] = {
      {"ok", 0},
      {"malformed", TORC_ERR_FORMAT},
      {"short", TORC_ERR_SHORT},
      {"unknown-type", TORC_ERR_NOTFOUND},
      {"later-version", TORC_ERR_INVALID},
  };
  for (size_t i = 0; i < TORC_ARRAY_LEN(results); i++) {
    if (strcmp(results[i].word, v->result) == 0) {
      return results[i].rc;
    }
  }
  fail_msg("%s:%d: unknown result", v->file, v->line);
  return 0;
}

static int run(const vec *v, torc_slice in, vec_text *out, uint8_t *again, torc_slice *encoded) {
  const vec_kind *kind = vec_kind_find(v->pdu);
  torc_wr wr;
  int encode_rc = 0;
  int rc;
  if (kind == NULL) {
    fail_msg("%s:%d: unknown pdu %s", v->file, v->line, v->pdu);
    return 0;
  }
  vec_text_clear(out);
  torc_wr_init(&wr, again, AGAIN_CAP);
  rc = kind->run(v, in, out, &wr, &encode_rc);
  if (rc == 0) {
    assert_int_equal(encode_rc, 0);
    assert_int_equal(wr.err, 0);
  }
  *encoded = torc_wr_slice(&wr);
  return rc;
}

/* What is decoded can be encoded, and that means the same again. */
static void check_consistent(const vec *v, torc_slice in, bool must_be_same_bytes) {
  vec_text first = {0};
  vec_text second = {0};
  torc_slice encoded = {0};
  torc_slice twice = {0};
  if (run(v, in, &first, again_buf[0], &encoded) == 0) {
    if (must_be_same_bytes) {
      assert_int_equal(encoded.len, in.len);
      assert_true(torc_slice_eq(encoded, in));
    }
    assert_int_equal(run(v, encoded, &second, again_buf[1], &twice), 0);
    if (first.len != 0 || second.len != 0) {
      assert_string_equal(first.p, second.p);
    }
    assert_true(torc_slice_eq(encoded, twice));
  }
  vec_text_free(&first);
  vec_text_free(&second);
}

static bool is_probed(const vec *v, size_t i) {
  return v->len <= WHOLE_MAX || i < END_BYTES || v->len - i < END_BYTES || i % STEP == 0;
}

/* Copies of exactly the right size, so that a sanitizer sees one byte too many. */
static void check_cuts_and_flips(const vec *v) {
  bool same_bytes = vec_kind_find(v->pdu)->is_canonical;
  for (size_t len = 0; len < v->len; len++) {
    uint8_t *copy;
    if (!is_probed(v, len)) {
      continue;
    }
    copy = malloc(len + 1);
    assert_non_null(copy);
    if (len != 0) {
      memcpy(copy + 1, v->bytes, len);
    }
    check_consistent(v, torc_slice_of(copy + 1, len), same_bytes);
    free(copy);
  }
  for (size_t i = 0; i < v->len; i++) {
    for (unsigned bit = 0; bit < 8 && is_probed(v, i); bit++) {
      uint8_t *copy = malloc(v->len);
      assert_non_null(copy);
      memcpy(copy, v->bytes, v->len);
      copy[i] ^= (uint8_t)(1u << bit);
      check_consistent(v, torc_slice_of(copy, v->len), same_bytes);
      free(copy);
    }
  }
}

/* Whatever room is missing, the encoder says so and stays inside what there is. */
static void check_every_room(const vec *v, size_t need) {
  const vec_kind *kind = vec_kind_find(v->pdu);
  vec_text text = {0};
  for (size_t cap = 0; cap < need && need <= WHOLE_MAX; cap++) {
    uint8_t *small = malloc(cap + 1);
    int encode_rc = 0;
    torc_wr wr;
    assert_non_null(small);
    small[cap] = 0xa5;
    torc_wr_init(&wr, small, cap);
    vec_text_clear(&text);
    assert_int_equal(kind->run(v, torc_slice_of(v->bytes, v->len), &text, &wr, &encode_rc), 0);
    assert_int_equal(wr.err, TORC_ERR_SPACE);
    assert_int_equal(small[cap], 0xa5);
    free(small);
  }
  vec_text_free(&text);
}

static void test_vector(void **state) {
  const vec *v = *state;
  torc_slice in = torc_slice_of(v->bytes, v->len);
  torc_slice encoded = {0};
  vec_text got = {0};
  int rc = run(v, in, &got, again_buf[0], &encoded);
  assert_int_equal(rc, want_rc(v));
  if (v->fields.len != 0) {
    assert_non_null(got.p);
    assert_string_equal(got.p, v->fields.p);
  } else if (rc == 0) {
    assert_int_equal(got.len, 0); /* every decoded field is written down */
  }
  vec_text_free(&got);
  if (rc == 0) {
    assert_int_equal(torc_slice_eq(encoded, in), !v->is_reencoded_otherwise);
    check_every_room(v, encoded.len);
    check_consistent(v, in, !v->is_reencoded_otherwise);
  }
  check_cuts_and_flips(v);
}

/* A number of vectors that only ever grows: an empty directory must not pass. */
static void test_all_kinds_present(void **state) {
  const vec_kind *const tables[] = {vec_message_kinds, vec_pdu_kinds, vec_storage_kinds};
  (void)state;
  for (size_t t = 0; t < TORC_ARRAY_LEN(tables); t++) {
    for (const vec_kind *k = tables[t]; k->pdu != NULL; k++) {
      size_t num_ok = 0;
      size_t num_refused = 0;
      for (size_t i = 0; i < vectors.len; i++) {
        if (strcmp(vectors.items[i].pdu, k->pdu) == 0) {
          num_ok += want_rc(&vectors.items[i]) == 0 ? 1u : 0u;
          num_refused += want_rc(&vectors.items[i]) != 0 ? 1u : 0u;
        }
      }
      if (num_ok == 0 || num_refused == 0) {
        fail_msg("%s: %zu accepted, %zu refused vectors", k->pdu, num_ok, num_refused);
      }
    }
  }
}

int main(void) {
  struct CMUnitTest *tests;
  int rc;
  vec_load_dir(&vectors, TORC_SOURCE_DIR "/tests/vectors");
  tests = calloc(vectors.len + 1, sizeof(*tests));
  if (tests == NULL) {
    return 2;
  }
  for (size_t i = 0; i < vectors.len; i++) {
    tests[i] = (struct CMUnitTest)TORC_CASE(vectors.items[i].name, test_vector, &vectors.items[i]);
  }
  tests[vectors.len] = (struct CMUnitTest)TORC_TEST(
      "every structure has vectors that are accepted and refused", test_all_kinds_present);
  rc = _cmocka_run_group_tests(__FILE__, tests, vectors.len + 1, NULL, NULL);
  free(tests);
  vec_free(&vectors);
  return rc;
}
