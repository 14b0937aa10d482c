/* What people are told. SPDX-License-Identifier: Apache-2.0 */
#include "io/err.h"

#include <stdio.h>

#include "torc_test.h"

static void test_text(void **state) {
  static const struct {
    const char *given, *want;
  } cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"latin \xe9t\xe9", "latin ?t?"},
      {"cut \xe2\x82", "cut ??"},
      {"\xc0\x80", "??"},      /* an overlong NUL */
      {"\xed\xa0\x80", "???"}, /* a surrogate */
      {"\xff\xc3\xa9\xc3", "?\xc3\xa9?"},
  };
  char text[64];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    (void)snprintf(text, sizeof text, "%s", cases[i].given);
    torc_text_mend(text);
    assert_string_equal(text, cases[i].want);
    assert_int_equal(torc_fail(-7, text, sizeof text, "%s", cases[i].given), -7);
    assert_string_equal(text, cases[i].want);
  }
  assert_int_equal(torc_fail(-1, text, 6, "abcd\xc3\xa9"), -1);
  assert_string_equal(text, "abcd?");
  assert_int_equal(torc_fail(-2, NULL, 0, "nothing"), -2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-130 a reason is text, whatever it quotes and wherever it is cut", test_text),
  };
  return TORC_RUN(tests);
}
