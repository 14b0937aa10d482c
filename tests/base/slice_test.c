/* Borrowed bytes, UTF-8, comparison of secrets, error texts and memory hooks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include "base/failing_mem.h"
#include "base/mem.h"
#include "torc_test.h"

static const struct {
  const char *bytes;
  size_t len;
  bool is_valid;
} texts[] = {
    {"", 0, true},
    {"plain ASCII\n\x7f", 13, true},
    {"a\0b", 3, false}, /* NUL */
    {"\0", 1, false},
    {"\xc2\x80", 2, true},          /* U+0080 */
    {"\xdf\xbf", 2, true},          /* U+07FF */
    {"\xc0\x80", 2, false},         /* NUL in two bytes */
    {"\xc1\xbf", 2, false},         /* overlong */
    {"\xe0\xa0\x80", 3, true},      /* U+0800 */
    {"\xe0\x9f\xbf", 3, false},     /* overlong */
    {"\xed\x9f\xbf", 3, true},      /* U+D7FF */
    {"\xed\xa0\x80", 3, false},     /* surrogate */
    {"\xee\x80\x80", 3, true},      /* U+E000 */
    {"\xef\xbf\xbf", 3, true},      /* U+FFFF */
    {"\xf0\x90\x80\x80", 4, true},  /* U+10000 */
    {"\xf0\x8f\xbf\xbf", 4, false}, /* overlong */
    {"\xf4\x8f\xbf\xbf", 4, true},  /* U+10FFFF */
    {"\xf4\x90\x80\x80", 4, false}, /* beyond */
    {"\xf5\x80\x80\x80", 4, false},
    {"\x80", 1, false}, /* continuation alone */
    {"\xbf", 1, false},
    {"\xc3", 1, false}, /* cut */
    {"\xe2\x82", 2, false},
    {"\xf0\x9f\x92", 3, false},
    {"\xc3(", 2, false},
    {"\xe2\x28\xa1", 3, false},
    {"\xe2\x82\x28", 3, false},
    {"\xf0\x9f\x92\x28", 4, false},
    {"gr\xc3\xbc\xc3\x9f", 6, true},
};

static void test_utf8(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(texts); i++) {
    uint8_t *copy = malloc(texts[i].len + 1); /* exact size for the sanitizer */
    uint8_t *exact;
    assert_non_null(copy);
    memcpy(copy + 1, texts[i].bytes, texts[i].len);
    exact = copy + 1;
    assert_int_equal(torc_utf8_valid(torc_slice_of(exact, texts[i].len)), texts[i].is_valid);
    free(copy);
  }
}

/* Every sequence of up to three bytes, and every four with a lead of four, against a decoder
 * written from the table of code points. */
static bool slow_valid(const uint8_t *p, size_t len) {
  size_t i = 0;
  while (i < len) {
    uint32_t code;
    size_t n = p[i] < 0x80 ? 1 : (p[i] >> 5) == 6 ? 2 : (p[i] >> 4) == 14 ? 3 : 4;
    static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
    if (n == 4 && (p[i] >> 3) != 30) {
      return false;
    }
    code = n == 1 ? p[i] : p[i] & (0x7fu >> n);
    for (size_t k = 1; k < n; k++) {
      if (i + k >= len || (p[i + k] >> 6) != 2) {
        return false;
      }
      code = code << 6 | (p[i + k] & 0x3fu);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      return false;
    }
    i += n;
  }
  return true;
}

static void test_utf8_exhaustive(void **state) {
  (void)state;
  for (uint32_t v = 0; v < 1u << 24; v++) {
    uint8_t three[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    uint8_t four[4] = {(uint8_t)(0xf0 | (v >> 21)), (uint8_t)(v >> 13), (uint8_t)(v >> 5),
                       (uint8_t)((v & 31) << 3)};
    if (torc_utf8_valid(torc_slice_of(three, 3)) != slow_valid(three, 3) ||
        torc_utf8_valid(torc_slice_of(four, 4)) != slow_valid(four, 4)) {
      fail_msg("differs at %06x", v);
    }
  }
}

static void test_slices(void **state) {
  torc_slice abc = torc_slice_str("abc");
  (void)state;
  assert_true(torc_slice_eq(torc_slice_str(NULL), torc_slice_str("")));
  assert_true(torc_slice_cmp(abc, torc_slice_str("abd")) < 0);
  assert_true(torc_slice_cmp(abc, torc_slice_str("ab")) > 0);
  assert_true(torc_slice_cmp(torc_slice_str("ab"), abc) < 0);
  assert_int_equal(torc_slice_cmp(abc, abc), 0);
  assert_true(torc_slice_cmp(torc_slice_of("\xff", 1), torc_slice_of("\x01", 1)) > 0);
  assert_true(torc_slice_eq(torc_slice_sub(abc, 1, 2), torc_slice_str("bc")));
  assert_int_equal(torc_slice_sub(abc, 1, 3).len, 0);
  assert_int_equal(torc_slice_sub(abc, 4, 0).len, 0);
  assert_int_equal(torc_slice_sub(abc, 2, SIZE_MAX).len, 0);
}

static void test_secrets(void **state) {
  uint8_t a[32];
  uint8_t b[32];
  static const uint8_t zeros[32];
  (void)state;
  memset(a, 7, sizeof(a));
  memset(b, 7, sizeof(b));
  assert_true(torc_ct_equal(a, b, sizeof(a)));
  for (size_t bit = 0; bit < 8 * sizeof(a); bit++) {
    b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_false(torc_ct_equal(a, b, sizeof(a)));
    b[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  assert_true(torc_ct_equal(a, b, 0));
  torc_wipe(a, sizeof(a));
  assert_memory_equal(a, zeros, sizeof(a));
}

static void test_memory(void **state) {
  failing_mem mem;
  uint8_t *copy = (uint8_t *)1;
  uint64_t *numbers;
  (void)state;
  failing_mem_init(&mem, 1);
  assert_int_equal(torc_slice_dup(&mem.mem, torc_slice_str("abc"), &copy), TORC_ERR_NOMEM);
  assert_ptr_equal(copy, (uint8_t *)1);
  assert_int_equal(torc_slice_dup(&mem.mem, torc_slice_str("abc"), &copy), 0);
  assert_memory_equal(copy, "abc", 3);
  torc_free(&mem.mem, copy);
  assert_int_equal(torc_slice_dup(&mem.mem, torc_slice_str(""), &copy), 0);
  assert_null(copy);
  torc_free(&mem.mem, NULL);
  assert_int_equal(mem.num_held, 0);
  assert_null(torc_calloc(NULL, SIZE_MAX / 2, 3));
  numbers = torc_calloc(NULL, 3, sizeof(*numbers));
  assert_non_null(numbers);
  assert_true((numbers[0] | numbers[1] | numbers[2]) == 0);
  numbers = torc_realloc(NULL, numbers, 100);
  assert_non_null(numbers);
  torc_free(NULL, numbers);
}

static void test_strerror(void **state) {
  (void)state;
  for (int rc = 0; rc >= TORC_ERR_CLOSED; rc--) {
    assert_string_not_equal(torc_strerror(rc), "unknown error");
    for (int other = 0; other > rc; other--) {
      assert_string_not_equal(torc_strerror(rc), torc_strerror(other));
    }
  }
  assert_string_equal(torc_strerror(1), "unknown error");
  assert_string_equal(torc_strerror(-1000), "unknown error");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-10 R-45 UTF-8 without NUL, overlong forms and surrogates", test_utf8),
      TORC_TEST("GAP-10 R-45 UTF-8 agrees with a slow decoder everywhere", test_utf8_exhaustive),
      TORC_TEST("slices", test_slices),
      TORC_TEST("secrets are compared and wiped", test_secrets),
      TORC_TEST("memory hooks and their failure", test_memory),
      TORC_TEST("every error code has its own text", test_strerror),
  };
  return TORC_RUN(tests);
}
