/* Storage structures: what is signed, what is not written, and lists as long as they can be.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/storage_pdu.h"

#include "base/id.h"
#include "base/slice.h"
#include "torc_test.h"

static uint8_t big[200000];

static bool always_single(const void *ctx, torc_type_id type, torc_model *out) {
  (void)ctx;
  (void)type;
  *out = TORC_MODEL_SINGLE;
  return true;
}

static const torc_model_lookup singles = {.ctx = NULL, .model = always_single};

static void test_index_not_signed(void **state) {
  torc_stored_data v = {.storage_time = 1, .lifetime = 2, .entry = {.model = TORC_MODEL_ARRAY}};
  uint8_t inputs[3][TORC_DATA_SIGNED_PREFIX_MAX(0)];
  static const int32_t indexes[3] = {0, -1, 65535};
  size_t len[3];
  (void)state;
  v.entry.value = torc_slice_str("abc");
  for (size_t i = 0; i < 3; i++) {
    torc_wr wr;
    v.entry.index = indexes[i];
    torc_wr_init(&wr, inputs[i], sizeof(inputs[i]));
    assert_int_equal(torc_data_signed_prefix_put(&wr, &torc_id_wildcard, 3, &v), 0);
    len[i] = wr.len;
  }
  assert_int_equal(len[0], 16 + 3 + 4 + 4 + 4 + 2);
  for (size_t i = 1; i < 3; i++) {
    assert_int_equal(len[i], len[0]);
    assert_memory_equal(inputs[i], inputs[0], len[0]);
  }
}

static void test_prefix_room(void **state) {
  torc_stored_data v = {.entry = {.model = TORC_MODEL_DICTIONARY}};
  torc_wr wr;
  size_t room = TORC_DATA_SIGNED_PREFIX_MAX(1000);
  (void)state;
  v.entry.key = torc_slice_of(big + 100000, 1000);
  v.entry.value = torc_slice_of(big, 65000);
  torc_wr_init(&wr, big, room);
  assert_int_equal(torc_data_signed_prefix_put(&wr, &torc_id_zero, 1, &v), 0);
  assert_int_equal(wr.len, 16 + 3 + 4 + 4 + 2 + 1000 + 2);
  v.entry.value = torc_slice_of(big, 65001);
  torc_wr_init(&wr, big, room);
  assert_int_equal(torc_data_signed_prefix_put(&wr, &torc_id_zero, 1, &v), TORC_ERR_LIMIT);
  v.entry.model = TORC_MODEL_ARRAY;
  v.entry.index = -2;
  assert_int_equal(torc_data_signed_prefix_put(&wr, &torc_id_zero, 1, &v), TORC_ERR_INVALID);
}

static void test_absent(void **state) {
  static const uint8_t want[] = {0, 0, 0, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0};
  torc_entry e = {.model = TORC_MODEL_ARRAY, .index = 9};
  torc_stored_data v;
  torc_rd rd;
  torc_wr wr;
  uint8_t buf[32];
  (void)state;
  e.value = torc_slice_str("left out");
  torc_wr_init(&wr, buf, sizeof(buf));
  assert_int_equal(torc_stored_data_put_absent(&wr, &e), 0);
  assert_int_equal(wr.len, sizeof(want));
  assert_memory_equal(buf, want, sizeof(want));
  torc_rd_init(&rd, torc_wr_slice(&wr));
  assert_int_equal(torc_stored_data_get(&rd, TORC_MODEL_ARRAY, &v), 0);
  assert_true(torc_stored_data_is_absent(&v));
  v.storage_time = 1;
  assert_false(torc_stored_data_is_absent(&v));
  v.storage_time = 0;
  v.signature.is_present = true;
  assert_false(torc_stored_data_is_absent(&v));
}

static void test_borrowed(void **state) {
  static const uint8_t bytes[] = {0xee, 0, 0, 0, 14, 0,   0, 0, 1,   0,
                                  0,    0, 2, 0, 1,  'k', 0, 1, 'v', 0xdd};
  torc_stored_data v;
  torc_rd rd;
  (void)state;
  torc_rd_init(&rd, torc_slice_of(bytes, sizeof(bytes)));
  torc_rd_skip(&rd, 1);
  assert_int_equal(torc_stored_data_get(&rd, TORC_MODEL_DICTIONARY, &v), 0);
  assert_ptr_equal(v.bytes.p, bytes + 1);
  assert_int_equal(v.bytes.len, 18);
  assert_ptr_equal(v.entry_bytes.p, bytes + 13);
  assert_int_equal(v.entry_bytes.len, 6);
  assert_int_equal(torc_rd_left(&rd), 1);
  assert_int_equal(torc_stored_data_get(&rd, (torc_model)9, &v), TORC_ERR_SHORT);
}

static void test_not_written(void **state) {
  torc_stored_data v = {.entry = {.model = TORC_MODEL_ARRAY, .index = -2}};
  torc_specifier s = {.type = 1, .model = TORC_MODEL_ARRAY, .first = 3, .last = 2};
  torc_type_id types[86] = {1};
  torc_wr wr;
  (void)state;
  torc_wr_init(&wr, big, sizeof(big));
  assert_int_equal(torc_stored_data_put(&wr, &v), TORC_ERR_INVALID);
  v.entry.model = (torc_model)0;
  assert_int_equal(torc_stored_data_put(&wr, &v), TORC_ERR_INVALID);
  assert_int_equal(torc_specifier_put(&wr, &s), TORC_ERR_INVALID);
  s.first = -2;
  assert_int_equal(torc_specifier_put(&wr, &s), TORC_ERR_INVALID);
  s.model = TORC_MODEL_DICTIONARY;
  s.keys = torc_slice_of("\0\2a", 3);
  assert_int_equal(torc_specifier_put(&wr, &s), TORC_ERR_INVALID);
  s.model = (torc_model)7;
  assert_int_equal(torc_specifier_put(&wr, &s), TORC_ERR_INVALID);
  assert_int_equal(torc_find_request_put(&wr, &torc_id_zero, types, 0), TORC_ERR_INVALID);
  assert_int_equal(torc_find_request_put(&wr, &torc_id_zero, types, 86), TORC_ERR_LIMIT);
  types[0] = 0x1000000;
  assert_int_equal(torc_find_request_put(&wr, &torc_id_zero, types, 1), TORC_ERR_LIMIT);
}

/* 5909 specifiers fill the vector. They are all different, in falling order, then one is repeated.
 */
static void test_many_specifiers(void **state) {
  size_t num = 65000 / 11;
  torc_fetch_request r;
  torc_specifier s = {.model = TORC_MODEL_SINGLE};
  torc_rd rd;
  torc_wr wr;
  size_t mark;
  (void)state;
  for (int with_twice = 0; with_twice < 2; with_twice++) {
    torc_wr_init(&wr, big, sizeof(big));
    mark = torc_fetch_request_begin(&wr, &torc_id_wildcard);
    for (size_t i = 0; i < num; i++) {
      s.type = (torc_type_id)(num - i);
      if (with_twice == 1 && i == num - 1) {
        s.type = (torc_type_id)(num / 2);
      }
      assert_int_equal(torc_specifier_put(&wr, &s), 0);
    }
    torc_fetch_request_end(&wr, mark);
    assert_int_equal(wr.err, 0);
    assert_int_equal(torc_fetch_request_decode(&r, torc_wr_slice(&wr), &singles, NULL),
                     with_twice == 1 ? TORC_ERR_FORMAT : 0);
  }
  torc_rd_init(&rd, r.specifiers);
  for (size_t i = 0; i < num; i++) {
    assert_true(torc_specifier_next(&rd, &singles, &s));
  }
  assert_false(torc_specifier_next(&rd, &singles, &s));
}

/* Types with one smallest element each: 3 + 8 + 2 + 4 bytes. */
static void test_many_types(void **state) {
  size_t num = 65000 / 17;
  torc_store_request r;
  torc_store_type t;
  torc_rd rd;
  torc_wr wr;
  size_t mark;
  size_t seen = 0;
  (void)state;
  for (int with_twice = 0; with_twice < 2; with_twice++) {
    torc_wr_init(&wr, big, sizeof(big));
    mark = torc_store_request_begin(&wr, &torc_id_wildcard);
    for (size_t i = 0; i < num; i++) {
      torc_type_id type = (torc_type_id)((i * 7919) % num + 1);
      size_t inner = torc_store_type_begin(&wr, with_twice == 1 && i == 0 ? 2 : type, 1);
      torc_wr_u32(&wr, 0);
      torc_store_type_end(&wr, inner);
    }
    torc_store_request_end(&wr, mark);
    assert_int_equal(wr.err, 0);
    if (with_twice == 1) {
      assert_int_equal(torc_store_request_decode(&r, torc_wr_slice(&wr)), TORC_ERR_FORMAT);
    } else {
      assert_int_equal(torc_store_request_decode(&r, torc_wr_slice(&wr)), 0);
      torc_rd_init(&rd, r.types);
      while (torc_store_type_next(&rd, &t)) {
        seen++;
      }
      assert_int_equal(seen, num);
    }
  }
}

static void test_too_long(void **state) {
  torc_wr wr;
  size_t mark;
  (void)state;
  torc_wr_init(&wr, big, sizeof(big));
  mark = torc_store_type_begin(&wr, 1, 0);
  wr.len += 65001;
  torc_store_type_end(&wr, mark);
  assert_int_equal(wr.err, TORC_ERR_LIMIT);
  torc_wr_init(&wr, big, sizeof(big));
  mark = torc_fetch_response_begin(&wr, 1, 0);
  wr.len += 65000;
  torc_fetch_response_end(&wr, mark);
  assert_int_equal(wr.err, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("SIG-07 GAP-56 an array's index is not signed", test_index_not_signed),
      TORC_TEST("SIG-07 GAP-55 GAP-02 room for what is signed", test_prefix_room),
      TORC_TEST("FET-15 GAP-87 a nonexistent value is written", test_absent),
      TORC_TEST("STO-08 STO-09 GAP-03 GAP-05 parts of an element are borrowed", test_borrowed),
      TORC_TEST("GAP-88 R-26 FND-02 what is not written", test_not_written),
      TORC_TEST("FET-02 R-21 REM-05 a request full of specifiers", test_many_specifiers),
      TORC_TEST("STO-04 STO-05 a request full of types", test_many_types),
      TORC_TEST("STO-07 FET-11 GAP-02 GAP-86 values of more than 65000 bytes", test_too_long),
  };
  return TORC_RUN(tests);
}
