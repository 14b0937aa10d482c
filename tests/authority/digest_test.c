/* HTTP Digest and its nonces. SPDX-License-Identifier: Apache-2.0 */
#include "authority/http/digest.h"

#include <stdio.h>

#include "authority/password.h"
#include "torc_test.h"

/* RFC 7616, 3.9.1. */
#define RFC_HEADER(algorithm_, response_)                                                  \
  "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", " \
  "algorithm=" algorithm_                                                                  \
  ", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "                             \
  "nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, "       \
  "response=\"" response_ "\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
#define SHA256_RESPONSE "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
#define MD5_RESPONSE "8ca523f5e9506fed4657c9700eebdbec"

static bool fits(const char *header, const char *method, const char *password) {
  torc_digest d;
  torc_password p;
  assert_int_equal(torc_password_digest("Mufasa", "http-auth@example.org", password, true, &p), 0);
  return torc_digest_read(header, &d) &&
         torc_digest_fits(&d, method, torc_digest_is_md5(&d) ? p.md5 : p.sha256);
}

static void the_examples_of_the_standard(void **state) {
  (void)state;
  assert_true(fits(RFC_HEADER("SHA-256", SHA256_RESPONSE), "GET", "Circle of Life"));
  assert_true(fits(RFC_HEADER("MD5", MD5_RESPONSE), "GET", "Circle of Life"));
  assert_false(fits(RFC_HEADER("SHA-256", SHA256_RESPONSE), "POST", "Circle of Life"));
  assert_false(fits(RFC_HEADER("SHA-256", SHA256_RESPONSE), "GET", "Circle of life"));
  assert_false(fits(RFC_HEADER("MD5", SHA256_RESPONSE), "GET", "Circle of Life"));
  assert_false(fits(RFC_HEADER("SHA-256", MD5_RESPONSE), "GET", "Circle of Life"));
  assert_false(fits(RFC_HEADER("SHA-512-256", SHA256_RESPONSE), "GET", "Circle of Life"));
  assert_false(fits(RFC_HEADER("SHA-256", ""), "GET", "Circle of Life"));
}

static void headers_are_read_to_the_letter(void **state) {
  static const char *const none[] = {"",
                                     "Digest",
                                     "Digest ",
                                     "Basic YTpi",
                                     "Digest =",
                                     "Digest username",
                                     "Digest username=",
                                     "Digest username=\"a",
                                     "Digest username=\"a\"",
                                     "Digest username=a, qop=auth-int",
                                     "Digest qop=auth",
                                     "Digest username=\"\", qop=auth",
                                     "Digest ,,,,",
                                     "Digest username==a,qop="};
  torc_digest d;
  (void)state;
  assert_false(torc_digest_read(NULL, &d));
  for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
    if (torc_digest_read(none[i], &d)) {
      fail_msg("%s", none[i]);
    }
  }
  assert_true(torc_digest_read("dIGEST  UserName = \"a b\" ,qop=\"auth\",uri=\"/x?y=1\",nc=1", &d));
  assert_string_equal(d.username, "a b");
  assert_true(torc_digest_is_for(&d, "/x"));
  assert_false(torc_digest_is_for(&d, "/"));
  assert_false(torc_digest_is_for(&d, "/x?y=1"));
  assert_true(torc_digest_read("Digest username=a,qop=auth,uri=\"https://h:1/x\",username=b", &d));
  assert_string_equal(d.username, "a"); /* the first counts */
  assert_true(torc_digest_is_for(&d, "/x"));
  char header[2 * TORC_DIGEST_FIELD_MAX];
  for (int len = TORC_DIGEST_FIELD_MAX - 2; len <= TORC_DIGEST_FIELD_MAX + 1; len++) {
    (void)snprintf(header, sizeof header, "Digest qop=auth, username=\"%0*d\"", len, 7);
    assert_int_equal(torc_digest_read(header, &d), len < TORC_DIGEST_FIELD_MAX);
  }
}

static void a_nonce_serves_once(void **state) {
  torc_nonces *n = NULL;
  torc_nonces *other = NULL;
  torc_time now = TORC_SEC(1000);
  char first[TORC_NONCE_LEN + 1];
  char second[TORC_NONCE_LEN + 1];
  (void)state;
  assert_int_equal(torc_nonces_new(&n), 0);
  assert_int_equal(torc_nonces_new(&other), 0);
  assert_int_equal(torc_nonces_make(n, now, first), 0);
  assert_int_equal(torc_nonces_make(n, now, second), 0);
  assert_string_not_equal(first, second);
  assert_false(torc_nonces_use(other, first, now));
  assert_true(torc_nonces_use(n, first, now));
  assert_false(torc_nonces_use(n, first, now));
  assert_true(torc_nonces_use(n, second, now + TORC_SEC(TORC_NONCE_LIFE_S)));
  assert_int_equal(torc_nonces_make(n, now, first), 0);
  assert_false(torc_nonces_use(n, first, now + TORC_SEC(TORC_NONCE_LIFE_S) + 1));
  for (size_t i = 0; i < TORC_NONCE_LEN; i++) { /* each digit counts */
    char bent[TORC_NONCE_LEN + 1];
    memcpy(bent, first, sizeof bent);
    bent[i] = bent[i] == '0' ? '1' : '0';
    assert_false(torc_nonces_use(n, bent, now));
  }
  assert_false(torc_nonces_use(n, "", now));
  assert_true(torc_nonces_use(n, first, now));
  torc_nonces_free(other);
  torc_nonces_free(n);
}

/* More than are tracked: the oldest is stale, and its bit is not mistaken for the new one's. */
static void old_ones_are_stale(void **state) {
  torc_nonces *n = NULL;
  char oldest[TORC_NONCE_LEN + 1];
  char second[TORC_NONCE_LEN + 1];
  char nonce[TORC_NONCE_LEN + 1];
  (void)state;
  assert_int_equal(torc_nonces_new(&n), 0);
  assert_int_equal(torc_nonces_make(n, 0, oldest), 0);
  assert_int_equal(torc_nonces_make(n, 0, second), 0);
  for (uint32_t i = 0; i < TORC_NONCES_TRACKED - 1; i++) {
    assert_int_equal(torc_nonces_make(n, 0, nonce), 0);
  }
  assert_false(torc_nonces_use(n, oldest, 0));
  assert_true(torc_nonces_use(n, nonce, 0)); /* has the oldest's bit */
  assert_false(torc_nonces_use(n, nonce, 0));
  assert_true(torc_nonces_use(n, second, 0));
  torc_nonces_free(n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENR-30 the examples of RFC 7616", the_examples_of_the_standard),
      TORC_TEST("ENR-30 headers are read to the letter", headers_are_read_to_the_letter),
      TORC_TEST("ENR-30 a nonce serves once", a_nonce_serves_once),
      TORC_TEST("ENR-30 nonces beyond those tracked are stale", old_ones_are_stale),
  };
  return TORC_RUN(tests);
}
