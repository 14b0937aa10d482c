/* STUN's crypto by OpenSSL, and OpaqueString: RFC 5769, RFC 8489 B.1, RFC 8265 4.2.3, RFC 5892 A.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/stun_crypto.h"

#include "base/slice.h"
#include "stun_vectors.h"
#include "torc_test.h"

static int set_up(void **state) {
  torc_stun_openssl *s = NULL;
  if (torc_stun_openssl_new(&s) != 0) {
    return -1;
  }
  *state = s;
  return 0;
}

static int tear_down(void **state) {
  torc_stun_openssl_free(*state);
  return 0;
}

static const struct {
  const char *hex, *user, *password;
  torc_stun_hash hash;
} vectors[] = {
    {STUN_5769_REQUEST, NULL, STUN_PASSWORD, 0},
    {STUN_5769_IPV4, NULL, STUN_PASSWORD, 0},
    {STUN_5769_IPV6, NULL, STUN_PASSWORD, 0},
    {STUN_5769_LONG, STUN_LONG_USER, "TheMatrIX", TORC_STUN_MD5},
    {STUN_8489_LONG, STUN_LONG_USER, "TheMatrIX", TORC_STUN_SHA256},
    {STUN_HAND_BOTH, NULL, STUN_HAND_PASSWORD, 0},
};

/* Twice round: the contexts are used again. */
static void test_vectors(void **state) {
  const torc_stun_crypto *c = torc_stun_openssl_table(*state);
  for (size_t i = 0; i < 2 * TORC_ARRAY_LEN(vectors); i++) {
    size_t v = i % TORC_ARRAY_LEN(vectors);
    torc_slice password = torc_slice_str(vectors[v].password);
    uint8_t b[512];
    torc_stun_key key;
    torc_stun_msg m;
    size_t len = torc_unhex(vectors[v].hex, b, sizeof b);
    assert_int_equal(torc_stun_decode(&m, torc_slice_of(b, len)), 0);
    if (vectors[v].user == NULL) {
      assert_int_equal(torc_stun_key_short(c, password, &key), 0);
    } else {
      assert_int_equal(torc_stun_key_long(c, vectors[v].hash, torc_slice_str(vectors[v].user),
                                          torc_slice_str("example.org"), password, &key),
                       0);
    }
    assert_int_equal(torc_stun_check_integrity(&m, c, &key, TORC_STUN_INTEGRITY_SHA1, 32, NULL),
                     torc_stun_has(&m, TORC_STUN_KNOWN_MESSAGE_INTEGRITY) ? 0 : TORC_ERR_NOTFOUND);
    assert_int_equal(torc_stun_check_integrity(&m, c, &key, TORC_STUN_INTEGRITY_BOTH, 32, NULL), 0);
    key.b[key.len - 1] ^= 1;
    assert_int_equal(torc_stun_check_integrity(&m, c, &key, TORC_STUN_INTEGRITY_BOTH, 32, NULL),
                     TORC_ERR_DENIED);
  }
}

static void test_userhash(void **state) {
  const torc_stun_crypto *c = torc_stun_openssl_table(*state);
  uint8_t want[32];
  uint8_t out[32];
  (void)torc_unhex("4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704", want, 32);
  assert_int_equal(
      torc_stun_userhash(c, torc_slice_str(STUN_LONG_USER), torc_slice_str("example.org"), out), 0);
  assert_memory_equal(out, want, 32);
}

static void test_misuse(void **state) {
  const torc_stun_crypto *c = torc_stun_openssl_table(*state);
  uint8_t a[32] = {0};
  uint8_t b[32] = {0};
  torc_slice part = torc_slice_of(a, sizeof a);
  assert_int_equal(c->digest(c->ctx, TORC_STUN_SHA1, &part, 1, b), TORC_ERR_CRYPTO);
  assert_int_equal(c->hmac(c->ctx, TORC_STUN_MD5, part, &part, 1, b), TORC_ERR_CRYPTO);
  assert_int_equal(c->hmac(c->ctx, TORC_STUN_SHA1, torc_slice_of(a, 0), &part, 1, b),
                   TORC_ERR_CRYPTO);
  assert_int_equal(c->random(c->ctx, a, 32), 0);
  assert_int_equal(c->random(c->ctx, b, 32), 0);
  assert_memory_not_equal(a, b, 32);
  torc_stun_openssl_free(NULL);
}

static const struct opaque {
  const char *name, *in, *out; /* out NULL: not allowed */
} opaques[] = {
    {"ICE-07 8265 ex. 9", "correct horse battery staple", "correct horse battery staple"},
    {"ICE-07 8265 ex. 10", "Correct Horse Battery Staple", "Correct Horse Battery Staple"},
    {"ICE-07 8265 ex. 11", "\xcf\x80\xc3\x9f\xc3\xa5", "\xcf\x80\xc3\x9f\xc3\xa5"},
    {"ICE-07 8265 ex. 12", "Jack of \xe2\x99\xa6s", "Jack of \xe2\x99\xa6s"},
    {"ICE-07 8265 ex. 13: ogham space",
     "foo\xe1\x9a\x80"
     "bar",
     "foo bar"},
    {"ICE-07 8265 ex. 14: empty", "", NULL},
    {"ICE-07 8265 ex. 15: a tab", "my cat is a \tby", NULL},
    {"ICE-07 katakana", STUN_LONG_USER, STUN_LONG_USER},
    /* RFC 8489 B.1 says it becomes TheMatrIX, as SASLprep had it; RFC 8265 refuses U+00AD. */
    {"ICE-07 soft hyphen",
     "The\xc2\xad"
     "M\xc2\xaatr\xe2\x85\xa8",
     NULL},
    {"ICE-07 compatibility characters stay", "M\xc2\xaatr\xe2\x85\xa8", "M\xc2\xaatr\xe2\x85\xa8"},
    {"ICE-07 composed", "a\xcc\x88", "\xc3\xa4"},
    {"ICE-07 angstrom", "\xe2\x84\xab", "\xc3\x85"},
    {"ICE-07 no-break space",
     "a\xc2\xa0"
     "b",
     "a b"},
    {"ICE-07 C1 control", "a\xc2\x85", NULL},
    {"ICE-07 zero width space", "a\xe2\x80\x8b", NULL},
    {"ICE-07 line separator", "a\xe2\x80\xa8", NULL},
    {"ICE-07 annotation mark", "\xef\xbf\xb9", NULL},
    {"ICE-07 private use", "\xee\x80\x80", NULL},
    {"ICE-07 unassigned", "\xcd\xb8", NULL},
    {"ICE-07 noncharacter", "\xef\xb7\x90", NULL},
    {"ICE-07 old hangul", "\xe1\x84\x80", NULL},
    {"ICE-07 hangul syllable", "\xea\xb0\x80", "\xea\xb0\x80"},
    {"ICE-07 tatweel", "\xd9\x80", NULL},
    {"ICE-07 middle dot in Catalan", "l\xc2\xb7l", "l\xc2\xb7l"},
    {"ICE-07 middle dot elsewhere", "a\xc2\xb7l", NULL},
    {"ICE-07 middle dot at the end", "l\xc2\xb7", NULL},
    {"ICE-07 keraia before Greek", "\xcd\xb5\xce\xb1", "\xcd\xb5\xce\xb1"},
    {"ICE-07 keraia before Latin",
     "\xcd\xb5"
     "a",
     NULL},
    {"ICE-07 geresh behind Hebrew", "\xd7\x90\xd7\xb3", "\xd7\x90\xd7\xb3"},
    {"ICE-07 geresh first", "\xd7\xb3\xd7\x90", NULL},
    {"ICE-07 katakana dot among kana", "\xe3\x83\xbb\xe3\x82\xa2", "\xe3\x83\xbb\xe3\x82\xa2"},
    {"ICE-07 katakana dot alone", "a\xe3\x83\xbb", NULL},
    {"ICE-07 Arabic digits", "\xd9\xa1\xd9\xa2", "\xd9\xa1\xd9\xa2"},
    {"ICE-07 Arabic digits of both kinds", "\xd9\xa1\xdb\xb2", NULL},
    {"ICE-07 both kinds, the other way", "\xdb\xb2\xd9\xa1", NULL},
    {"ICE-07 joiner behind a virama", "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d",
     "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d"},
    {"ICE-07 joiner elsewhere", "a\xe2\x80\x8d", NULL},
    {"ICE-07 non-joiner between letters that join", "\xd8\xa8\xe2\x80\x8c\xd8\xa8",
     "\xd8\xa8\xe2\x80\x8c\xd8\xa8"},
    {"ICE-07 non-joiner between Latin letters",
     "a\xe2\x80\x8c"
     "b",
     NULL},
    {"ICE-07 no UTF-8", "\xc3", NULL},
};

static void test_opaque(void **state) {
  const struct opaque *o = *state;
  uint8_t out[256];
  size_t len = 0;
  int rc = torc_opaque_string(torc_slice_str(o->in), out, sizeof out, &len);
  assert_int_equal(rc, o->out != NULL ? 0 : TORC_ERR_FORMAT);
  assert_true(o->out == NULL || torc_slice_eq(torc_slice_of(out, len), torc_slice_str(o->out)));
}

static void test_opaque_limits(void **state) {
  uint8_t in[TORC_OPAQUE_MAX + 1];
  uint8_t out[3 * TORC_OPAQUE_MAX];
  size_t len;
  (void)state;
  memset(in, 'a', sizeof in);
  assert_int_equal(torc_opaque_string(torc_slice_of(in, sizeof in), out, sizeof out, &len),
                   TORC_ERR_LIMIT);
  assert_int_equal(torc_opaque_string(torc_slice_of(in, TORC_OPAQUE_MAX), out, sizeof out, &len),
                   0);
  assert_int_equal(torc_opaque_string(torc_slice_of(in, 9), out, 8, &len), TORC_ERR_SPACE);
  /* U+0958 becomes two in NFC: 341 of them fit, more code points than the buffer never come */
  for (size_t i = 0; i + 3 <= TORC_OPAQUE_MAX; i += 3) {
    memcpy(in + i, "\xe0\xa5\x98", 3);
  }
  assert_int_equal(torc_opaque_string(torc_slice_of(in, 1023), out, sizeof out, &len), 0);
  assert_int_equal(len, 2046);
}

/* The table's function: a password beyond ASCII. */
static void test_key_opaque(void **state) {
  const torc_stun_crypto *c = torc_stun_openssl_table(*state);
  torc_stun_key key;
  assert_int_equal(torc_stun_key_short(c, torc_slice_str("a\xcc\x88"), &key), 0);
  assert_int_equal(key.len, 2);
  assert_memory_equal(key.b, "\xc3\xa4", 2);
  assert_int_equal(torc_stun_key_short(c, torc_slice_str("a\xc2\xad"), &key), TORC_ERR_FORMAT);
}

#define WITH_CRYPTO(name_, fn_) \
  { .name = (name_), .test_func = (fn_), .setup_func = set_up, .teardown_func = tear_down }

int main(void) {
  struct CMUnitTest tests[64] = {
      WITH_CRYPTO("ICE-07 RFC 5769 and RFC 8489 B.1 by OpenSSL", test_vectors),
      WITH_CRYPTO("ICE-07 USERHASH by OpenSSL", test_userhash),
      WITH_CRYPTO("ICE-07 hashes that are not for this", test_misuse),
      TORC_TEST("ICE-07 limits of OpaqueString", test_opaque_limits),
      WITH_CRYPTO("ICE-07 a password beyond ASCII", test_key_opaque),
  };
  size_t num = 5;
  for (size_t i = 0; i < TORC_ARRAY_LEN(opaques); i++) {
    tests[num++] =
        (struct CMUnitTest)TORC_CASE(opaques[i].name, test_opaque, (void *)(uintptr_t)&opaques[i]);
  }
  return _cmocka_run_group_tests(__FILE__, tests, num, NULL, NULL);
}
