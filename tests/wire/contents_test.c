/* Codes and what the writers of contents and signatures refuse.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/contents.h"

#include "base/slice.h"
#include "torc_test.h"

static void test_methods(void **state) {
  static const struct {
    uint16_t code;
    const char *name;
  } methods[] = {{1, "PING"},    {3, "CONNECT"}, {5, "TUNNEL"}, {7, "STORE"},  {9, "FETCH"},
                 {11, "REMOVE"}, {13, "FIND"},   {15, "JOIN"},  {17, "LEAVE"}, {19, "UPDATE"}};
  size_t next = 0;
  (void)state;
  for (unsigned code = 0; code <= 0x7fff; code++) {
    const char *name = torc_method_name((uint16_t)code);
    if (next < TORC_ARRAY_LEN(methods) && methods[next].code == code) {
      assert_string_equal(name, methods[next].name);
      next++;
    } else {
      assert_null(name);
    }
  }
  assert_int_equal(next, TORC_ARRAY_LEN(methods));
}

static void test_phrases(void **state) {
  static const struct {
    uint16_t code;
    const char *phrase;
  } codes[] = {{200, "OK"},
               {302, "Moved Temporarily"},
               {400, "Bad Request"},
               {401, "Unauthorized"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {408, "Request Timeout"},
               {412, "Precondition Failed"},
               {413, "Request Entity Too Large"},
               {498, "Incompatible with Overlay"},
               {499, "UnWilling To Proxy"},
               {503, "Service Unavailable"}};
  size_t next = 0;
  (void)state;
  for (unsigned code = 0; code <= 0x7fff; code++) {
    bool is_known = next < TORC_ARRAY_LEN(codes) && codes[next].code == code;
    assert_string_equal(torc_code_phrase((uint16_t)code), is_known ? codes[next].phrase : "");
    next += is_known ? 1u : 0u;
  }
  assert_int_equal(next, TORC_ARRAY_LEN(codes));
}

static void test_put(void **state) {
  static const uint8_t want[] = {0x81, 0xf4, 0, 0, 0, 0, 0, 2, 'h', 'i'};
  uint8_t buf[16];
  torc_wr wr;
  (void)state;
  torc_wr_init(&wr, buf, sizeof(buf));
  assert_int_equal(torc_contents_put(&wr, true, 500, torc_slice_str("hi")), 0);
  assert_int_equal(wr.len, sizeof(want));
  assert_memory_equal(buf, want, sizeof(want));
  assert_int_equal(torc_contents_put(&wr, false, 0x8000, torc_slice_str("")), TORC_ERR_INVALID);
}

static void test_decode_borrows(void **state) {
  static const uint8_t body[] = {0, 1, 0, 0, 0, 0, 0, 1, 9, 2, 0, 1, 0xaa, 3, 0, 1, 0x30};
  torc_contents c;
  (void)state;
  assert_int_equal(torc_contents_decode(&c, torc_slice_of(body, sizeof(body))), 0);
  assert_ptr_equal(c.bytes.p, body);
  assert_int_equal(c.bytes.len, 9);
  assert_ptr_equal(c.payload.p, body + 8);
  assert_ptr_equal(c.signature.identity.bytes.p, body + 13);
  assert_int_equal(c.signature.identity.bytes.len, 4);
}

static void test_signed_prefix(void **state) {
  static const uint8_t want[12] = {0x01, 0x02, 0x03, 0x04, 0x11, 0x22,
                                   0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
  uint8_t prefix[12];
  (void)state;
  torc_signed_prefix(prefix, 0x01020304, 0x1122334455667788u);
  assert_memory_equal(prefix, want, sizeof(want));
}

static void test_refused(void **state) {
  static uint8_t buf[140000];
  static const uint8_t zeros[65001];
  torc_signature s = {.is_present = true, .algorithm = 2, .identity = {.type = 1}};
  torc_error_response e = {{0}, {0}};
  torc_wr wr;
  (void)state;
  torc_wr_init(&wr, buf, sizeof(buf));
  s.identity.type = 0;
  assert_int_equal(torc_signature_put(&wr, &s), TORC_ERR_INVALID);
  s.identity.type = 4;
  assert_int_equal(torc_identity_put(&wr, &s.identity), TORC_ERR_INVALID);
  s.identity.type = TORC_IDENTITY_NAME;
  s.identity.name = torc_slice_of("a\0b", 3);
  assert_int_equal(torc_signature_put(&wr, &s), TORC_ERR_INVALID);
  e.reason_phrase = torc_slice_of("\xff", 1);
  assert_int_equal(torc_error_response_put(&wr, &e), TORC_ERR_INVALID);
  s.identity.type = TORC_IDENTITY_CERT;
  s.identity.cert = torc_slice_of(zeros, 65001);
  assert_int_equal(torc_signature_put(&wr, &s), TORC_ERR_LIMIT);
  torc_wr_init(&wr, buf, sizeof(buf));
  s.identity.cert = torc_slice_of(zeros, 65000);
  s.value = torc_slice_of(zeros, 65001);
  assert_int_equal(torc_signature_put(&wr, &s), TORC_ERR_LIMIT);
  torc_wr_init(&wr, buf, sizeof(buf));
  s.is_present = false; /* absent: zero bytes, whatever else is set */
  assert_int_equal(torc_signature_put(&wr, &s), 0);
  assert_int_equal(wr.len, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("MSG-05 MSG-06 GAP-22 method codes", test_methods),
      TORC_TEST("ERR-12 GAP-32 GAP-59 R-40 response codes and phrases", test_phrases),
      TORC_TEST("MSG-02 MSG-04 GAP-21 GAP-24 contents are written", test_put),
      TORC_TEST("SIG-06 GAP-50 GAP-03 signed parts are the bytes received", test_decode_borrows),
      TORC_TEST("SIG-06 GAP-50 what of the header is signed", test_signed_prefix),
      TORC_TEST("SIG-02 SIG-05 GAP-02 GAP-25 R-45 what is not written", test_refused),
  };
  return TORC_RUN(tests);
}
