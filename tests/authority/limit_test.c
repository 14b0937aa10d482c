/* How often one source may ask. SPDX-License-Identifier: Apache-2.0 */
#include "authority/limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "torc_test.h"

static void key_of(const char *text, uint8_t out[TORC_LIMIT_KEY_LEN]) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = 7};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = 7};
  if (strchr(text, ':') == NULL) {
    assert_int_equal(inet_pton(AF_INET, text, &v4.sin_addr), 1);
    torc_limit_key((const struct sockaddr *)&v4, out);
  } else {
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    torc_limit_key((const struct sockaddr *)&v6, out);
  }
}

static bool is_same(const char *a, const char *b) {
  uint8_t x[TORC_LIMIT_KEY_LEN];
  uint8_t y[TORC_LIMIT_KEY_LEN];
  key_of(a, x);
  key_of(b, y);
  return memcmp(x, y, sizeof x) == 0;
}

static void a_bucket_empties_and_fills(void **state) {
  torc_limit *l = NULL;
  uint8_t a[TORC_LIMIT_KEY_LEN];
  uint8_t b[TORC_LIMIT_KEY_LEN];
  uint32_t wait = 0;
  torc_time now = TORC_SEC(1000);
  (void)state;
  key_of("192.0.2.1", a);
  key_of("192.0.2.2", b);
  assert_int_equal(torc_limit_new(&l, 60, 3), 0); /* one a second, three at once */
  for (int i = 0; i < 3; i++) {
    assert_true(torc_limit_take(l, a, now, &wait));
  }
  assert_false(torc_limit_take(l, a, now, &wait));
  assert_int_equal(wait, 1);
  assert_true(torc_limit_is_out(l, a, now, &wait));
  assert_true(torc_limit_take(l, b, now, &wait)); /* another one does not suffer */
  assert_false(torc_limit_is_out(l, b, now, &wait));
  assert_true(torc_limit_take(l, a, now + TORC_SEC(1), &wait));
  assert_false(torc_limit_take(l, a, now + TORC_SEC(1), &wait));
  now += TORC_SEC(3600); /* it holds three, however long it fills */
  for (int i = 0; i < 3; i++) {
    assert_true(torc_limit_take(l, a, now, &wait));
  }
  assert_false(torc_limit_take(l, a, now, &wait));
  torc_limit_free(l);
  assert_int_equal(torc_limit_new(&l, 0, 1), TORC_ERR_INVALID);
  assert_int_equal(torc_limit_new(&l, 1, 0), TORC_ERR_INVALID);
}

/* More sources than the table has room for: each is served, and memory stays what it is. */
static void more_sources_than_slots(void **state) {
  torc_limit *l = NULL;
  uint32_t wait = 0;
  size_t served = 0;
  (void)state;
  assert_int_equal(torc_limit_new(&l, 1, 1), 0);
  for (uint32_t i = 0; i < 2 * TORC_LIMIT_SLOTS; i++) {
    uint8_t key[TORC_LIMIT_KEY_LEN] = {0};
    memcpy(key, &i, sizeof i);
    served += torc_limit_take(l, key, TORC_SEC(1000) + i, &wait) ? 1 : 0;
  }
  assert_int_equal(served, 2 * TORC_LIMIT_SLOTS);
  uint8_t last[TORC_LIMIT_KEY_LEN] = {0};
  uint32_t number = 2 * TORC_LIMIT_SLOTS - 1;
  memcpy(last, &number, sizeof number);
  assert_false(torc_limit_take(l, last, TORC_SEC(1001), &wait)); /* the newest is remembered */
  torc_limit_free(l);
}

static void a_source_is_an_address_or_a_64(void **state) {
  (void)state;
  assert_true(is_same("192.0.2.1", "192.0.2.1"));
  assert_false(is_same("192.0.2.1", "192.0.2.2"));
  assert_true(is_same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
  assert_false(is_same("2001:db8:1:2::1", "2001:db8:1:3::1"));
  assert_true(is_same("192.0.2.1", "::ffff:192.0.2.1"));
  assert_false(is_same("32.1.13.184", "2001:db8::"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("SEC-22 a bucket empties and fills", a_bucket_empties_and_fills),
      TORC_TEST("SEC-22 more sources than the table has room for", more_sources_than_slots),
      TORC_TEST("SEC-22 a source is an IPv4 address or an IPv6 /64",
                a_source_is_an_address_or_a_64),
  };
  return TORC_RUN(tests);
}
