/* CRC-32 of the overlay name. Values from an independent implementation (Python's zlib.crc32).
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32.h"

#include "base/slice.h"
#include "torc_test.h"

static void test_crc(void **state) {
  (void)state;
  assert_int_equal(torc_crc32(torc_slice_str("123456789")), 0xcbf43926);
  assert_int_equal(torc_crc32(torc_slice_str("")), 0);
  assert_int_equal(torc_crc32(torc_slice_str("a")), 0xe8b7be43);
  assert_int_equal(torc_crc32(torc_slice_of("\0\0\0\0", 4)), 0x2144df1c);
}

static void test_overlay(void **state) {
  static const struct {
    const char *name;
    uint32_t crc;
  } names[] = {
      {"example.com", 0xb6fa4eb9},
      {"Example.COM", 0xb6fa4eb9},
      {"example.com.", 0xb6fa4eb9},
      {"EXAMPLE.com.", 0xb6fa4eb9},
      {"example.com..", 0xbcdf1324},
      {"b\xc3\xbc"
       "cher.example",
       0xfd5562f9},
      {"", 0},
      {".", 0},
  };
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(names); i++) {
    assert_int_equal(torc_overlay_crc(torc_slice_str(names[i].name)), names[i].crc);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("HDR-03 GAP-12 check value", test_crc),
      TORC_TEST("HDR-02 HDR-03 GAP-12 normal form of an overlay name", test_overlay),
  };
  return TORC_RUN(tests);
}
