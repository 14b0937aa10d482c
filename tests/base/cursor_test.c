/* Reader, writer and growing buffer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include "base/failing_mem.h"
#include "base/slice.h"
#include "torc_test.h"

static const uint8_t count_up[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                   12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

static void test_integers(void **state) {
  torc_rd rd;
  (void)state;
  torc_rd_init(&rd, torc_slice_of(count_up, sizeof(count_up)));
  assert_int_equal(torc_rd_u8(&rd), 0x00);
  assert_int_equal(torc_rd_u16(&rd), 0x0102);
  assert_int_equal(torc_rd_u24(&rd), 0x030405);
  assert_int_equal(torc_rd_u32(&rd), 0x06070809);
  assert_true(torc_rd_u64(&rd) == 0x0a0b0c0d0e0f1011u);
  assert_int_equal(torc_rd_left(&rd), 6);
  torc_rd_skip(&rd, 4);
  assert_int_equal(torc_rd_finish(&rd), TORC_ERR_FORMAT);
}

static void test_sticky(void **state) {
  torc_rd rd;
  torc_id id;
  torc_slice s;
  (void)state;
  torc_rd_init(&rd, torc_slice_of(count_up, 3));
  assert_int_equal(torc_rd_u32(&rd), 0);
  assert_int_equal(rd.err, TORC_ERR_SHORT);
  torc_rd_fail(&rd, TORC_ERR_FORMAT);
  assert_int_equal(rd.err, TORC_ERR_SHORT);
  assert_int_equal(torc_rd_u8(&rd), 0);
  assert_int_equal(torc_rd_left(&rd), 0);
  s = torc_rd_slice(&rd, 0);
  assert_int_equal(s.len, 0);
  id = torc_rd_id(&rd);
  assert_int_equal(id.b[0] | id.b[15], 0);
  assert_int_equal(torc_rd_finish(&rd), TORC_ERR_SHORT);
  torc_rd_init(&rd, torc_slice_of(count_up, 3));
  torc_rd_skip(&rd, SIZE_MAX);
  assert_int_equal(rd.err, TORC_ERR_SHORT);
  torc_rd_init(&rd, torc_slice_of(NULL, 0));
  assert_int_equal(torc_rd_left(&rd), 0);
  assert_int_equal(torc_rd_finish(&rd), 0);
}

static void test_vectors(void **state) {
  static uint8_t big[2 + 65535];
  torc_rd rd;
  torc_slice s;
  (void)state;
  torc_rd_init(&rd, torc_slice_of("\x02"
                                  "ab"
                                  "\x00\x03"
                                  "cde"
                                  "\x00",
                                  9));
  s = torc_rd_vec8(&rd);
  assert_true(torc_slice_eq(s, torc_slice_str("ab")));
  s = torc_rd_vec16(&rd);
  assert_true(torc_slice_eq(s, torc_slice_str("cde")));
  s = torc_rd_vec8(&rd);
  assert_int_equal(s.len, 0);
  assert_int_equal(torc_rd_finish(&rd), 0);
  for (unsigned len = 64999; len <= 65535; len++) {
    big[0] = (uint8_t)(len >> 8);
    big[1] = (uint8_t)len;
    torc_rd_init(&rd, torc_slice_of(big, sizeof(big)));
    s = torc_rd_vec16(&rd);
    assert_int_equal(s.len, len <= 65000 ? len : 0);
    assert_int_equal(rd.err, len <= 65000 ? 0 : TORC_ERR_FORMAT);
  }
}

static void test_strings(void **state) {
  torc_rd rd;
  (void)state;
  torc_rd_init(&rd, torc_slice_of("\x00\x02\xc3\xa9", 4));
  assert_int_equal(torc_rd_string(&rd).len, 2);
  torc_rd_init(&rd, torc_slice_of("\x00\x02"
                                  "a\x00",
                                  4));
  assert_int_equal(torc_rd_string(&rd).len, 0);
  assert_int_equal(rd.err, TORC_ERR_FORMAT);
  torc_rd_init(&rd, torc_slice_of("\x00\x01\xff", 3));
  assert_int_equal(torc_rd_string(&rd).len, 0);
  assert_int_equal(rd.err, TORC_ERR_FORMAT);
}

static void test_writer(void **state) {
  static const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
  uint8_t buf[18];
  torc_wr wr;
  (void)state;
  torc_wr_init(&wr, buf, sizeof(buf));
  torc_wr_u8(&wr, 0x01);
  torc_wr_u16(&wr, 0x0203);
  torc_wr_u24(&wr, 0x040506);
  torc_wr_u32(&wr, 0x0708090a);
  torc_wr_u64(&wr, 0x0b0c0d0e0f101112u);
  assert_int_equal(wr.err, 0);
  assert_memory_equal(buf, want, sizeof(want));
  assert_int_equal(torc_wr_slice(&wr).len, 18);
  torc_wr_u8(&wr, 1);
  assert_int_equal(wr.err, TORC_ERR_SPACE);
  assert_int_equal(wr.len, 18);
  assert_int_equal(torc_wr_slice(&wr).len, 0);
}

static void test_writer_limits(void **state) {
  static uint8_t buf[70000];
  static const uint8_t zeros[66000];
  torc_wr wr;
  size_t mark;
  (void)state;
  torc_wr_init(&wr, buf, sizeof(buf));
  torc_wr_u24(&wr, 0x1000000);
  assert_int_equal(wr.err, TORC_ERR_LIMIT);
  torc_wr_init(&wr, buf, sizeof(buf));
  torc_wr_vec8(&wr, torc_slice_of(zeros, 256));
  assert_int_equal(wr.err, TORC_ERR_LIMIT);
  torc_wr_init(&wr, buf, sizeof(buf));
  torc_wr_vec16(&wr, torc_slice_of(zeros, 65000));
  assert_int_equal(wr.err, 0);
  torc_wr_init(&wr, buf, sizeof(buf));
  torc_wr_vec16(&wr, torc_slice_of(zeros, 65001));
  assert_int_equal(wr.err, TORC_ERR_LIMIT);
  torc_wr_init(&wr, buf, sizeof(buf));
  mark = torc_wr_begin_u16(&wr);
  torc_wr_bytes(&wr, torc_slice_of(zeros, 65001));
  torc_wr_end_u16(&wr, mark);
  assert_int_equal(wr.err, TORC_ERR_LIMIT);
  torc_wr_init(&wr, buf, sizeof(buf));
  mark = torc_wr_begin_u8(&wr);
  torc_wr_bytes(&wr, torc_slice_of(zeros, 256));
  torc_wr_end_u8(&wr, mark);
  assert_int_equal(wr.err, TORC_ERR_LIMIT);
}

static void test_blocks(void **state) {
  static const uint8_t want[] = {0, 0, 0, 6, 0, 3, 2, 'a', 'b', 9};
  uint8_t buf[16];
  torc_wr wr;
  size_t outer;
  size_t middle;
  size_t inner;
  (void)state;
  torc_wr_init(&wr, buf, sizeof(buf));
  outer = torc_wr_begin_u32(&wr);
  middle = torc_wr_begin_u16(&wr);
  inner = torc_wr_begin_u8(&wr);
  torc_wr_bytes(&wr, torc_slice_str("ab"));
  torc_wr_end_u8(&wr, inner);
  torc_wr_end_u16(&wr, middle);
  torc_wr_u8(&wr, 9);
  torc_wr_end_u32(&wr, outer);
  assert_int_equal(wr.len, sizeof(want));
  assert_memory_equal(buf, want, sizeof(want));
  /* closing a block that had no room writes nothing */
  torc_wr_init(&wr, buf, 1);
  outer = torc_wr_begin_u16(&wr);
  torc_wr_end_u16(&wr, outer);
  assert_int_equal(wr.err, TORC_ERR_SPACE);
  assert_int_equal(wr.len, 0);
}

static void test_buf(void **state) {
  torc_buf b;
  failing_mem mem;
  (void)state;
  failing_mem_init(&mem, 0);
  torc_buf_init(&b, &mem.mem, 1000);
  for (int i = 0; i < 100; i++) {
    assert_int_equal(torc_buf_append(&b, torc_slice_of(count_up, 10)), 0);
  }
  assert_int_equal(b.len, 1000);
  assert_true(b.cap <= 1000);
  assert_int_equal(torc_buf_append(&b, torc_slice_of(count_up, 1)), TORC_ERR_LIMIT);
  assert_int_equal(torc_buf_reserve(&b, SIZE_MAX), TORC_ERR_LIMIT);
  torc_buf_consume(&b, 995);
  assert_int_equal(torc_buf_slice(&b).len, 5);
  assert_memory_equal(b.p, count_up + 5, 5);
  torc_buf_consume(&b, 100);
  assert_int_equal(b.len, 0);
  torc_buf_clear(&b);
  torc_buf_clear(&b);
  assert_int_equal(mem.num_held, 0);
}

static void test_buf_no_memory(void **state) {
  (void)state;
  for (size_t fail_at = 1; fail_at <= 3; fail_at++) {
    torc_buf b;
    failing_mem mem;
    size_t num = 0;
    failing_mem_init(&mem, fail_at);
    torc_buf_init(&b, &mem.mem, 1000);
    while (num < 30 && torc_buf_append(&b, torc_slice_of(count_up, 24)) == 0) {
      num++;
    }
    assert_true(num < 30);
    assert_int_equal(b.len, 24 * num);
    assert_int_equal(torc_buf_append(&b, torc_slice_of(count_up, 24)), 0);
    torc_buf_clear(&b);
    assert_int_equal(mem.num_held, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENC-01 ENC-02 ENC-04 integers are big-endian", test_integers),
      TORC_TEST("ENC-01 the first error of a reader sticks", test_sticky),
      TORC_TEST("ENC-06 GAP-01 GAP-02 vectors and their ceiling", test_vectors),
      TORC_TEST("ENC-05 GAP-10 R-45 strings are UTF-8 without NUL", test_strings),
      TORC_TEST("ENC-01 ENC-02 written integers are big-endian", test_writer),
      TORC_TEST("ENC-06 GAP-02 a writer refuses what is too long", test_writer_limits),
      TORC_TEST("ENC-06 GAP-01 lengths are patched when a block closes", test_blocks),
      TORC_TEST("buffer grows up to its limit", test_buf),
      TORC_TEST("buffer stays whole when memory fails", test_buf_no_memory),
  };
  return TORC_RUN(tests);
}
