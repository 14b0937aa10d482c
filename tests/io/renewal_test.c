/* When certificates are renewed. SPDX-License-Identifier: Apache-2.0 */
#include "io/renewal.h"

#include "torc_test.h"

#define DAY 86400u
#define NOW 1700000000u

static void due(void **state) {
  (void)state;
  static const struct {
    uint32_t days, jitter, due_days;
  } cases[] = {{90, 0, 60}, {12, 0, 8}, {12, TORC_RENEWAL_JITTER_MAX / 2, 8}, {0, 7, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    torc_wall at = torc_renewal_due(NOW, NOW + cases[i].days * DAY, cases[i].jitter);
    assert_in_range(at, NOW + cases[i].due_days * DAY, NOW + cases[i].due_days * DAY + DAY / 2);
  }
  /* the latest is a twelfth later, and a quarter is left then */
  torc_wall last = torc_renewal_due(NOW, NOW + 12 * DAY, TORC_RENEWAL_JITTER_MAX - 1);
  assert_in_range(last, NOW + 9 * DAY - 100, NOW + 9 * DAY - 1);
  assert_int_equal(torc_renewal_due(NOW, NOW - 1, 5), NOW); /* no dates to go by */
}

static void wait_longer_and_longer(void **state) {
  (void)state;
  static const uint32_t expected[] = {60,   120,  240,   480,   960,  1920,
                                      3840, 7680, 15360, 21600, 21600};
  for (unsigned i = 0; i < sizeof expected / sizeof expected[0]; i++) {
    assert_int_equal(torc_renewal_wait(i + 1, 30 * DAY), expected[i]);
  }
  assert_int_equal(torc_renewal_wait(UINT32_MAX, 30 * DAY), 21600);
  assert_int_equal(torc_renewal_wait(20, DAY), DAY / 8); /* more often towards the end, */
  assert_int_equal(torc_renewal_wait(20, 100), 60);      /* but not without a pause */
  assert_int_equal(torc_renewal_wait(20, 0), 21600); /* it has ended: nothing presses any more */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENR-38 BGAP-04 after two thirds of the time", due),
      TORC_TEST("ENR-38 after failures longer and longer", wait_longer_and_longer),
  };
  return TORC_RUN(tests);
}
