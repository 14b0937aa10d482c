/* Integrity of STUN messages and keys: RFC 5769, RFC 8489 B.1, and values from Python's hashlib.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun_auth.h"

#include "base/slice.h"
#include "ice/helper_stun.h"
#include "stun_vectors.h"
#include "torc_test.h"

typedef struct vector {
  const char *name, *hex, *password; /* user NULL: short-term */
  const char *user, *realm;
  torc_stun_hash hash;
  torc_stun_integrity has, used;
  size_t min_len;
} vector;

static const vector vectors[] = {
    {"ICE-07 RFC 5769 2.1", STUN_5769_REQUEST, STUN_PASSWORD, NULL, NULL, 0,
     TORC_STUN_INTEGRITY_SHA1, TORC_STUN_INTEGRITY_SHA1, 32},
    {"ICE-07 RFC 5769 2.2", STUN_5769_IPV4, STUN_PASSWORD, NULL, NULL, 0, TORC_STUN_INTEGRITY_SHA1,
     TORC_STUN_INTEGRITY_SHA1, 32},
    {"ICE-07 RFC 5769 2.3", STUN_5769_IPV6, STUN_PASSWORD, NULL, NULL, 0, TORC_STUN_INTEGRITY_SHA1,
     TORC_STUN_INTEGRITY_SHA1, 32},
    {"ICE-07 RFC 5769 2.4", STUN_5769_LONG, "TheMatrIX", STUN_LONG_USER, "example.org",
     TORC_STUN_MD5, TORC_STUN_INTEGRITY_SHA1, TORC_STUN_INTEGRITY_SHA1, 32},
    {"ICE-07 RFC 8489 B.1", STUN_8489_LONG, "TheMatrIX", STUN_LONG_USER, "example.org",
     TORC_STUN_SHA256, TORC_STUN_INTEGRITY_SHA256, TORC_STUN_INTEGRITY_SHA256, 32},
    {"ICE-07 both, the stronger counts", STUN_HAND_BOTH, STUN_HAND_PASSWORD, NULL, NULL, 0,
     TORC_STUN_INTEGRITY_BOTH, TORC_STUN_INTEGRITY_SHA256, 32},
    {"ICE-07 cut to 16 bytes", STUN_HAND_CUT_16, STUN_HAND_PASSWORD, NULL, NULL, 0,
     TORC_STUN_INTEGRITY_SHA256, TORC_STUN_INTEGRITY_SHA256, 16},
    {"ICE-07 cut to 24 bytes", STUN_HAND_CUT_24, STUN_HAND_PASSWORD, NULL, NULL, 0,
     TORC_STUN_INTEGRITY_SHA256, TORC_STUN_INTEGRITY_SHA256, 16},
};

static void make_key(const vector *v, const torc_stun_crypto *c, torc_stun_key *key) {
  torc_slice password = torc_slice_str(v->password);
  if (v->user == NULL) {
    assert_int_equal(torc_stun_key_short(c, password, key), 0);
  } else {
    assert_int_equal(torc_stun_key_long(c, v->hash, torc_slice_str(v->user),
                                        torc_slice_str(v->realm), password, key),
                     0);
  }
}

/* Right as it is; wrong with any bit in front of or in the integrity changed, or another key. */
static void test_vector(void **state) {
  const vector *v = *state;
  uint8_t b[512];
  size_t len = torc_unhex(v->hex, b, sizeof b);
  torc_stun_integrity used;
  torc_stun_key key;
  torc_stun_msg m;
  helper_stun h;
  helper_stun_init(&h);
  make_key(v, &h.table, &key);
  assert_int_equal(torc_stun_decode(&m, torc_slice_of(b, len)), 0);
  assert_int_equal(torc_stun_integrity_of(&m), v->has);
  assert_int_equal(
      torc_stun_check_integrity(&m, &h.table, &key, TORC_STUN_INTEGRITY_BOTH, v->min_len, &used),
      0);
  assert_int_equal(used, v->used);
  for (size_t bit = 0; bit < len * 8; bit++) {
    torc_stun_msg changed = m; /* as if it had been read from the changed bytes */
    size_t at = bit / 8;
    torc_slice mac = torc_stun_value(&m, v->used == TORC_STUN_INTEGRITY_SHA1
                                             ? TORC_STUN_KNOWN_MESSAGE_INTEGRITY
                                             : TORC_STUN_KNOWN_MESSAGE_INTEGRITY_SHA256);
    bool is_len = at == 2 || at == 3; /* computed anew */
    if (is_len || (at >= (size_t)(mac.p - b) - 4 && at < (size_t)(mac.p - b)) ||
        at >= (size_t)(mac.p - b) + mac.len) {
      continue;
    }
    b[at] ^= (uint8_t)(1u << bit % 8);
    assert_int_equal(torc_stun_check_integrity(&changed, &h.table, &key, TORC_STUN_INTEGRITY_BOTH,
                                               v->min_len, NULL),
                     TORC_ERR_DENIED);
    b[at] ^= (uint8_t)(1u << bit % 8);
  }
  key.b[0] ^= 1;
  assert_int_equal(
      torc_stun_check_integrity(&m, &h.table, &key, TORC_STUN_INTEGRITY_BOTH, v->min_len, NULL),
      TORC_ERR_DENIED);
}

/* The writer's integrity attribute is the vector's. */
static void test_writes(void **state) {
  const vector *v = *state;
  uint8_t b[512];
  uint8_t room[512];
  size_t len = torc_unhex(v->hex, b, sizeof b);
  torc_stun_msg m;
  torc_stun_key key;
  torc_slice value;
  uint16_t type;
  helper_stun h;
  torc_stun_wr w;
  torc_wr wr;
  torc_rd rd;
  helper_stun_init(&h);
  make_key(v, &h.table, &key);
  assert_int_equal(torc_stun_decode(&m, torc_slice_of(b, len)), 0);
  torc_wr_init(&wr, room, sizeof room);
  torc_stun_begin(&w, &wr, m.cls, m.method, m.txid);
  rd = torc_stun_attrs(&m);
  while (torc_stun_attr_next(&rd, &type, &value)) {
    torc_stun_put(&w, type, value);
    /* RFC 5769 pads with blanks. */
    memcpy(room + wr.len - (4u - value.len % 4) % 4, value.p + value.len, (4u - value.len % 4) % 4);
  }
  len = torc_stun_value(&m, TORC_STUN_KNOWN_MESSAGE_INTEGRITY_SHA256).len;
  assert_int_equal(torc_stun_put_integrity(&w, &h.table, &key, v->has, len != 0 ? len : 32), 0);
  if (torc_stun_has(&m, TORC_STUN_KNOWN_FINGERPRINT)) {
    torc_stun_put_fingerprint(&w);
  }
  assert_int_equal(wr.len, m.bytes.len);
  assert_memory_equal(room, b, wr.len);
}

static void test_accepts_only(void **state) {
  uint8_t b[512];
  torc_stun_integrity used;
  torc_stun_key key;
  torc_stun_msg m;
  helper_stun h;
  size_t len = torc_unhex(STUN_HAND_CUT_16, b, sizeof b);
  (void)state;
  helper_stun_init(&h);
  assert_int_equal(torc_stun_key_short(&h.table, torc_slice_str(STUN_HAND_PASSWORD), &key), 0);
  assert_int_equal(torc_stun_decode(&m, torc_slice_of(b, len)), 0);
  assert_int_equal(
      torc_stun_check_integrity(&m, &h.table, &key, TORC_STUN_INTEGRITY_BOTH, 32, &used),
      TORC_ERR_DENIED);
  assert_int_equal(
      torc_stun_check_integrity(&m, &h.table, &key, TORC_STUN_INTEGRITY_SHA1, 16, &used),
      TORC_ERR_NOTFOUND);
  assert_int_equal(used, TORC_STUN_INTEGRITY_NONE);
  h.fail_next = 1;
  assert_int_equal(
      torc_stun_check_integrity(&m, &h.table, &key, TORC_STUN_INTEGRITY_BOTH, 16, &used),
      TORC_ERR_CRYPTO);
  len = torc_unhex(STUN_HAND_BOTH, b, sizeof b);
  assert_int_equal(torc_stun_decode(&m, torc_slice_of(b, len)), 0);
  assert_int_equal(
      torc_stun_check_integrity(&m, &h.table, &key, TORC_STUN_INTEGRITY_SHA1, 32, &used), 0);
  assert_int_equal(used, TORC_STUN_INTEGRITY_SHA1);
}

static void assert_hex(const uint8_t *got, const char *hex) {
  uint8_t want[64];
  size_t len = torc_unhex(hex, want, sizeof want);
  assert_memory_equal(got, want, len);
}

static void test_keys(void **state) {
  const torc_slice user = torc_slice_str("user");
  const torc_slice realm = torc_slice_str("realm");
  const torc_slice pass = torc_slice_str("pass");
  uint8_t userhash[32];
  torc_stun_key key;
  helper_stun h;
  (void)state;
  helper_stun_init(&h);
  assert_int_equal(torc_stun_key_long(&h.table, TORC_STUN_MD5, user, realm, pass, &key), 0);
  assert_int_equal(key.len, 16);
  assert_hex(key.b, "8493fbc53ba582fb4c044c456bdc40eb");
  assert_int_equal(torc_stun_key_long(&h.table, TORC_STUN_SHA256, user, realm, pass, &key), 0);
  assert_int_equal(key.len, 32);
  assert_hex(key.b, "07e934117abd40836e7c6329b54731b2b2d2a5f9a71f544922d75e0730d8251b");
  assert_int_equal(torc_stun_userhash(&h.table, user, realm, userhash), 0);
  assert_hex(userhash, "6a3029116b47aa98bcaa325399733dc1a23cd57e26b81bef3ff6531ce624e2da");
  assert_int_equal(torc_stun_userhash(&h.table, torc_slice_str(STUN_LONG_USER),
                                      torc_slice_str("example.org"), userhash),
                   0);
  assert_hex(userhash, "4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704");
  assert_int_equal(torc_stun_key_long(&h.table, TORC_STUN_SHA1, user, realm, pass, &key),
                   TORC_ERR_INVALID);
  h.fail_next = 1;
  assert_int_equal(torc_stun_key_long(&h.table, TORC_STUN_MD5, user, realm, pass, &key),
                   TORC_ERR_CRYPTO);
}

static void test_prepare(void **state) {
  static const struct {
    const char *in;
    int rc;
  } texts[] = {
      {"", TORC_ERR_FORMAT},
      {"a\tb", TORC_ERR_FORMAT},
      {"a\x7f", TORC_ERR_FORMAT},
      {"a\x1f", TORC_ERR_FORMAT},
      {"\xff", TORC_ERR_FORMAT},
      {"\xc3\xa4", TORC_ERR_STATE},
      {"a b~", 0},
  };
  static const char long_text[TORC_STUN_KEY_MAX + 2] = {0};
  torc_stun_crypto none;
  torc_stun_key key;
  helper_stun h;
  uint8_t out[8];
  size_t len;
  char big[TORC_STUN_KEY_MAX + 2];
  (void)state;
  helper_stun_init(&h);
  none = h.table;
  none.opaque_string = NULL;
  for (size_t i = 0; i < TORC_ARRAY_LEN(texts); i++) {
    assert_int_equal(torc_stun_prepare(&none, torc_slice_str(texts[i].in), out, sizeof out, &len),
                     texts[i].rc);
  }
  assert_int_equal(torc_stun_prepare(&none, torc_slice_str("123456789"), out, sizeof out, &len),
                   TORC_ERR_SPACE);
  memcpy(big, long_text, sizeof big);
  memset(big, 'a', sizeof big - 1);
  assert_int_equal(torc_stun_key_short(&none, torc_slice_str(big), &key), TORC_ERR_LIMIT);
  assert_int_equal(torc_stun_key_short(&none, torc_slice_of(big, TORC_STUN_KEY_MAX), &key), 0);
}

static void test_cookie(void **state) {
  static const struct {
    const char *nonce;
    unsigned features;
  } nonces[] = {
      {"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA", TORC_STUN_FEATURE_ANONYMITY}, /* B.1 */
      {"obMatJos2AAAB", TORC_STUN_FEATURE_ALGORITHMS},
      {"obMatJos2AAAD", TORC_STUN_FEATURE_ALGORITHMS | TORC_STUN_FEATURE_ANONYMITY},
      {"obMatJos2gAAA", TORC_STUN_FEATURE_ALGORITHMS}, /* counted from the left */
      {"obMatJos2QAAA", TORC_STUN_FEATURE_ANONYMITY},
      {"obMatJos2wAAAx", TORC_STUN_FEATURE_ALGORITHMS | TORC_STUN_FEATURE_ANONYMITY},
      {"obMatJos2AAAA", 0},
      {"obMatJos2AAA", 0},  /* cut */
      {"obMatJos2AA*D", 0}, /* no base64 */
      {"obmatJos2AAAD", 0},
      {"f//499k954d6OL34oL9FSTvy64sA", 0},
      {"", 0},
  };
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(nonces); i++) {
    assert_int_equal(torc_stun_nonce_features(torc_slice_str(nonces[i].nonce)), nonces[i].features);
  }
  for (unsigned f = 0; f < 4; f++) {
    uint8_t out[TORC_STUN_COOKIE_LEN];
    torc_stun_nonce_cookie(f, out);
    assert_int_equal(torc_stun_nonce_features(torc_slice_of(out, sizeof out)), f);
  }
}

static void test_algorithms(void **state) {
  static const struct {
    const char *hex;
    torc_stun_hash found[3];
    bool is_broken;
  } lists[] = {
      {"0002 0000 0001 0000", {TORC_STUN_SHA256, TORC_STUN_MD5}, false},
      {"0001 0000", {TORC_STUN_MD5}, false},
      {"0007 0005 0102030405000000 0002 0000", {TORC_STUN_SHA256}, false},
      {"0002 0004 00000000 0001 0000", {TORC_STUN_MD5}, false}, /* SHA-256 has no parameters */
      {"", {0}, false},
      {"0000 0000", {0}, false},
      {"0002 0001", {0}, true},
      {"0002", {0}, true},
  };
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(lists); i++) {
    uint8_t b[64];
    torc_stun_hash hash;
    size_t num = 0;
    torc_rd rd;
    torc_rd_init(&rd, torc_slice_of(b, torc_unhex(lists[i].hex, b, sizeof b)));
    while (torc_stun_algorithm_next(&rd, &hash)) {
      assert_int_equal(hash, lists[i].found[num++]);
    }
    assert_int_equal(lists[i].found[num], 0);
    assert_int_equal(rd.err != 0, lists[i].is_broken);
  }
}

int main(void) {
  struct CMUnitTest tests[32] = {
      TORC_TEST("ICE-07 only what is accepted", test_accepts_only),
      TORC_TEST("ICE-07 long-term keys and USERHASH", test_keys),
      TORC_TEST("ICE-07 names and passwords of ASCII", test_prepare),
      TORC_TEST("ICE-07 the cookie of the nonce", test_cookie),
      TORC_TEST("ICE-07 lists of algorithms", test_algorithms),
  };
  size_t num = 5;
  for (size_t i = 0; i < TORC_ARRAY_LEN(vectors); i++) {
    void *v = (void *)(uintptr_t)&vectors[i];
    tests[num++] = (struct CMUnitTest)TORC_CASE(vectors[i].name, test_vector, v);
    tests[num++] = (struct CMUnitTest)TORC_CASE(vectors[i].name, test_writes, v);
  }
  return _cmocka_run_group_tests(__FILE__, tests, num, NULL, NULL);
}
