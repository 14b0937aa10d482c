/* Framing, limits of the writer and forwarding of a header; what is read is in tests/vectors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/header.h"

#include "base/slice.h"
#include "torc_test.h"

static const struct {
  const char *hex;
  int rc;
  uint32_t length;
} frames[] = {
    {"52454c4f 00000000 0000 0000 01 00001c", 0, 28},
    {"52454c4f ffffffff ffff ffff ff 031de6 ff", 0, 204262},
    {"52454c4f 00000000 0000 0000 01 031de7", TORC_ERR_LIMIT, 0},
    {"52454c4f 00000000 0000 0000 01 ffffff", TORC_ERR_LIMIT, 0},
    {"52454c4f 00000000 0000 0000 01 00001b", TORC_ERR_LIMIT, 0},
    {"52454c4f 00000000 0000 0000 01 000000", TORC_ERR_LIMIT, 0},
    {"52454c4f 00000000 0000 0000 01 0000", TORC_ERR_SHORT, 0},
    {"52454c4f", TORC_ERR_SHORT, 0},
    {"", TORC_ERR_SHORT, 0},
    {"52454c4e 00000000 0000 0000 01 00001c", TORC_ERR_FORMAT, 0},
    {"47455420 2f204854 5450 2f31 2e 310d0a", TORC_ERR_FORMAT, 0}, /* "GET / HTTP/1.1" */
    {"d2454c4f 00000000 0000 0000 01 00001c", TORC_ERR_INVALID, 0},
};

static void test_peek(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(frames); i++) {
    uint8_t bytes[32];
    size_t len = torc_unhex(frames[i].hex, bytes, sizeof(bytes));
    uint32_t length = 0;
    assert_int_equal(torc_frame_peek(torc_slice_of(bytes, len), &length), frames[i].rc);
    assert_int_equal(length, frames[i].length);
  }
  assert_int_equal(TORC_MESSAGE_MAX, 204262);
}

static torc_header plain(void) {
  return (torc_header){.overlay = 1,
                       .ttl = TORC_TTL_INITIAL,
                       .routing = TORC_ROUTING_RECURSIVE,
                       .version = TORC_VERSION_1,
                       .xid = 2};
}

static uint8_t out[300000];

static int put(const torc_header *h, size_t body_len) {
  torc_wr wr;
  torc_wr_init(&wr, out, sizeof(out));
  return torc_header_put(&wr, h, body_len);
}

static void test_limits(void **state) {
  static const uint8_t bytes[70000];
  torc_header h = plain();
  (void)state;
  assert_int_equal(put(&h, TORC_BODY_MAX), 0);
  assert_int_equal(put(&h, TORC_BODY_MAX + 1), TORC_ERR_LIMIT);
  h.route = torc_slice_of(bytes, 255 * 16);
  h.via = h.route;
  assert_int_equal(put(&h, 0), 0);
  h.via = torc_slice_of(bytes, 256 * 16);
  assert_int_equal(put(&h, 0), TORC_ERR_LIMIT);
  h = plain();
  h.route = torc_slice_of(bytes, 256 * 16);
  assert_int_equal(put(&h, 0), TORC_ERR_LIMIT);
  h.route = torc_slice_of(bytes, 15);
  assert_int_equal(put(&h, 0), TORC_ERR_INVALID);
  h = plain();
  h.via = torc_slice_of(bytes, 17);
  assert_int_equal(put(&h, 0), TORC_ERR_INVALID);
  h = plain();
  h.fragment_units = 0x4000;
  assert_int_equal(put(&h, 0), TORC_ERR_INVALID);
  h = plain();
  h.version = 0x80;
  assert_int_equal(put(&h, 0), TORC_ERR_INVALID);
  h = plain();
  h.flags = TORC_FLAG_ROUTE_LOG;
  h.route_log = torc_slice_of(bytes, 65000);
  assert_int_equal(put(&h, 0), 0);
  h.route_log = torc_slice_of(bytes, 65001);
  assert_int_equal(put(&h, 0), TORC_ERR_LIMIT);
  h = plain();
  h.length = 0x1000000;
  assert_int_equal(put(&h, SIZE_MAX), TORC_ERR_LIMIT);
}

/* The largest message there is: two full lists, a full log, the largest body. */
static void test_largest(void **state) {
  static uint8_t ids[255 * 16];
  static uint8_t log[65000];
  torc_header h = plain();
  torc_header back;
  uint32_t length = 0;
  (void)state;
  memset(ids, 7, sizeof(ids));
  h.route = torc_slice_of(ids, sizeof(ids));
  h.via = h.route;
  h.flags = TORC_FLAG_ROUTE_LOG;
  h.route_log = torc_slice_of(log, sizeof(log));
  assert_int_equal(torc_header_size(&h) + TORC_BODY_MAX, TORC_MESSAGE_MAX);
  assert_int_equal(put(&h, TORC_BODY_MAX), 0);
  assert_int_equal(torc_frame_peek(torc_slice_of(out, sizeof(out)), &length), 0);
  assert_int_equal(length, TORC_MESSAGE_MAX);
  assert_int_equal(torc_header_decode(&back, torc_slice_of(out, length)), 0);
  assert_int_equal(back.header_len, TORC_MESSAGE_MAX - TORC_BODY_MAX);
}

/* What a forwarder does: strip the first route entry, add a via entry, count down, keep the rest.
 */
static void test_forward(void **state) {
  static const char before[] =
      "52454c4f 01020304 64 01 4001 01 000050 1122334455667788 02 00 8002"
      "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"
      "000102030405060708090a0b0c0d0e0f10111213";
  static const char after[] =
      "52454c4f 01020304 63 01 4001 01 000050 1122334455667788 01 01 8002"
      "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2 c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3";
  uint8_t msg[80];
  uint8_t want[60];
  uint8_t via[16];
  torc_header h;
  torc_wr wr;
  (void)state;
  assert_int_equal(torc_unhex(before, msg, sizeof(msg)), 80);
  assert_int_equal(torc_unhex(after, want, sizeof(want)), 60);
  memset(via, 0xc3, sizeof(via));
  assert_int_equal(torc_header_decode(&h, torc_slice_of(msg, sizeof(msg))), 0);
  assert_int_equal(torc_id_list_len(h.route), 2);
  assert_int_equal(torc_id_list_at(h.route, 1).b[15], 0xb2);
  h.route = torc_slice_sub(h.route, 16, h.route.len - 16);
  h.via = torc_slice_of(via, sizeof(via));
  h.ttl--;
  torc_wr_init(&wr, out, sizeof(out));
  assert_int_equal(torc_header_put(&wr, &h, sizeof(msg) - h.header_len), 0);
  assert_int_equal(wr.len, sizeof(want));
  assert_memory_equal(out, want, sizeof(want));
}

static void test_length_given(void **state) {
  torc_header h = plain();
  (void)state;
  h.length = 0x012345;
  assert_int_equal(put(&h, SIZE_MAX), 0);
  assert_memory_equal(out + 13, "\x01\x23\x45", 3);
  assert_int_equal(put(&h, 100), 0);
  assert_memory_equal(out + 13, "\x00\x00\x80", 3);
}

/* Without the flag there is no log, whatever the field still holds. */
static void test_log_needs_flag(void **state) {
  torc_header h = plain();
  (void)state;
  h.route_log = torc_slice_str("left over");
  assert_int_equal(torc_header_size(&h), 28);
  h.flags = TORC_FLAG_ROUTE_LOG;
  assert_int_equal(torc_header_size(&h), 28 + 2 + 9);
}

static void test_fixed_positions(void **state) {
  static const uint8_t ids[32] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  torc_header h = plain();
  uint8_t first[TORC_HEADER_FIXED];
  (void)state;
  assert_int_equal(put(&h, 0), 0);
  memcpy(first, out, sizeof(first));
  h.route = torc_slice_of(ids, 16);
  h.via = torc_slice_of(ids, 32);
  h.flags = TORC_FLAG_ROUTE_LOG;
  assert_int_equal(put(&h, 0), 0);
  assert_memory_equal(out, first, 13);          /* before Length */
  assert_memory_equal(out + 16, first + 16, 8); /* transaction id */
  assert_memory_equal(out + 24, "\1\2\0\1", 4);
  assert_memory_equal(out + 28, ids, 16);
  assert_memory_equal(out + 44, ids, 32);
  assert_memory_equal(out + 76, "\0\0", 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-48 R-10 R-19 GAP-11 HDR-01 HDR-15 framing of a stream", test_peek),
      TORC_TEST("HDR-12 HDR-14 HDR-18 GAP-42 GAP-02 R-10 limits of what is written", test_limits),
      TORC_TEST("R-10 HDR-15 GAP-42 the largest message", test_largest),
      TORC_TEST("HDR-21 HDR-22 GAP-16 GAP-19 HDR-16 a header is forwarded", test_forward),
      TORC_TEST("HDR-15 GAP-16 Length is computed or given", test_length_given),
      TORC_TEST("HDR-19 GAP-20 a route log needs its flag", test_log_needs_flag),
      TORC_TEST("ENC-11 HDR-20 fixed fields have fixed places", test_fixed_positions),
  };
  return TORC_RUN(tests);
}
