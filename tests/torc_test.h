/* What every C test shares: cmocka, named cases and hex. A test's name starts with the rows it
 * proves, e.g. "HDR-01 HDR-14 refuses a foreign magic"; `make trace` reads the names of the tests
 * that passed. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TEST_H
#define TORC_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "torc/types.h"

/* A test with a readable name; `fn` takes (void **state). */
#define TORC_TEST(name_, fn_) \
  { .name = (name_), .test_func = (fn_) }
/* A table-driven case: `*state` is `arg`. */
#define TORC_CASE(name_, fn_, arg_) \
  { .name = (name_), .test_func = (fn_), .initial_state = (arg_) }
#define TORC_RUN(tests) cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL)

/* Reads hex digits, ignoring white space; fails the test on anything else. Returns the number of
 * bytes. */
static inline size_t torc_unhex(const char *hex, uint8_t *out, size_t cap) {
  size_t n = 0;
  int hi = -1;
  for (const char *c = hex; *c != '\0'; c++) {
    int v = -1;
    if (*c == ' ' || *c == '\n' || *c == '\t') {
      continue;
    }
    if (*c >= '0' && *c <= '9') {
      v = *c - '0';
    } else if (*c >= 'a' && *c <= 'f') {
      v = *c - 'a' + 10;
    } else if (*c >= 'A' && *c <= 'F') {
      v = *c - 'A' + 10;
    }
    assert_true(v >= 0);
    if (hi < 0) {
      hi = v;
    } else {
      assert_true(n < cap);
      out[n++] = (uint8_t)(hi * 16 + v);
      hi = -1;
    }
  }
  assert_int_equal(hi, -1);
  return n;
}

#endif
