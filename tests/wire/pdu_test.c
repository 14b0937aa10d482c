/* What the writers of the smaller structures refuse; what is read is in tests/vectors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/pdu.h"

#include "base/id.h"
#include "base/slice.h"
#include "torc_test.h"

static uint8_t buf[70000];

static torc_wr fresh(void) {
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof(buf));
  return wr;
}

static void test_ping(void **state) {
  torc_wr wr = fresh();
  torc_ping_info i = {.type = 3};
  (void)state;
  assert_int_equal(torc_ping_info_put(&wr, &i), TORC_ERR_INVALID);
  i.type = 0xef;
  assert_int_equal(torc_ping_info_put(&wr, &i), TORC_ERR_INVALID);
  i.type = 0x100;
  assert_int_equal(torc_ping_info_put(&wr, &i), TORC_ERR_INVALID);
  i.type = 0xf0;
  i.opaque = torc_slice_of(buf, 256);
  assert_int_equal(torc_ping_info_put(&wr, &i), TORC_ERR_LIMIT);
  wr = fresh();
  assert_int_equal(torc_ping_request_put(&wr, torc_slice_of(buf, 256)), TORC_ERR_LIMIT);
}

/* The caller can go on asking after an unknown type. */
static void test_ping_unknown(void **state) {
  torc_ping_info i;
  torc_rd rd;
  (void)state;
  torc_rd_init(&rd, torc_slice_of("\x00\x07\x00\x02\x00\x00\x00\x01", 8));
  assert_false(torc_ping_info_next(&rd, &i));
  assert_int_equal(rd.err, 0);
  assert_false(torc_ping_info_next(&rd, &i));
}

static void test_connect(void **state) {
  torc_wr wr = fresh();
  torc_connect_data c = {.application = TORC_APPLICATION_RELOAD};
  torc_slice candidate = torc_slice_str("candidate:1");
  torc_slice bad = torc_slice_of("a\0", 2);
  torc_slice *fields[] = {&c.ufrag, &c.password, &c.fingerprint, &c.role};
  (void)state;
  assert_int_equal(TORC_APPLICATION_RELOAD, 6084);
  assert_int_equal(torc_connect_put(&wr, &c, NULL, 0), TORC_ERR_INVALID);
  assert_int_equal(torc_connect_put(&wr, &c, &bad, 1), TORC_ERR_INVALID);
  for (size_t i = 0; i < TORC_ARRAY_LEN(fields); i++) {
    wr = fresh();
    *fields[i] = bad;
    assert_int_equal(torc_connect_put(&wr, &c, &candidate, 1), TORC_ERR_INVALID);
    *fields[i] = torc_slice_str("good");
  }
  wr = fresh();
  assert_int_equal(torc_connect_put(&wr, &c, &candidate, 1), 0);
}

static void test_update(void **state) {
  torc_chord_update u = {.num_predecessors = 16};
  torc_wr wr = fresh();
  (void)state;
  assert_int_equal(torc_chord_update_put(&wr, &u), TORC_ERR_LIMIT);
  u.num_predecessors = 0;
  u.num_successors = 16;
  wr = fresh();
  assert_int_equal(torc_chord_update_put(&wr, &u), TORC_ERR_LIMIT);
  u.num_successors = 1; /* id 0 */
  wr = fresh();
  assert_int_equal(torc_chord_update_put(&wr, &u), TORC_ERR_INVALID);
  u.successors[0] = torc_id_wildcard;
  wr = fresh();
  assert_int_equal(torc_chord_update_put(&wr, &u), TORC_ERR_INVALID);
  wr = fresh();
  assert_int_equal(torc_mesh_update_put(&wr, torc_slice_of(torc_id_zero.b, 16)), TORC_ERR_INVALID);
  assert_int_equal(torc_mesh_update_put(&wr, torc_slice_of(torc_id_zero.b, 15)), TORC_ERR_INVALID);
}

static void test_values(void **state) {
  torc_sip_registration r = {.kind = 0};
  torc_route_log_entry e = {.address = {.family = 1}};
  torc_turn_server t = {.iteration = 1};
  torc_wr wr = fresh();
  (void)state;
  assert_int_equal(torc_sip_registration_put(&wr, &r), TORC_ERR_INVALID);
  r.kind = 1;
  r.uri = torc_slice_of("\xff", 1);
  assert_int_equal(torc_sip_registration_put(&wr, &r), TORC_ERR_INVALID);
  r.kind = 2;
  r.contact_prefs = torc_slice_of("\0", 1);
  assert_int_equal(torc_sip_registration_put(&wr, &r), TORC_ERR_INVALID);
  r.contact_prefs = torc_slice_str("");
  r.route_list = torc_slice_of(torc_id_zero.b, 16);
  assert_int_equal(torc_sip_registration_put(&wr, &r), TORC_ERR_INVALID);
  e.version = torc_slice_of("\xc3", 1);
  assert_int_equal(torc_route_log_entry_put(&wr, &e), TORC_ERR_INVALID);
  e.version = torc_slice_str("ok");
  e.address.family = 0;
  assert_int_equal(torc_route_log_entry_put(&wr, &e), TORC_ERR_INVALID);
  wr = fresh();
  assert_int_equal(torc_turn_server_put(&wr, &t), TORC_ERR_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("PNG-03 PNG-09 R-44 GAP-65 information that is not written", test_ping),
      TORC_TEST("GAP-65 nothing is read after an unknown type", test_ping_unknown),
      TORC_TEST("CON-04 CON-07 CON-10 GAP-10 GAP-70 R-22 CONNECT that is not written",
                test_connect),
      TORC_TEST("CHD-20 GAP-113 R-46 UPDATE that is not written", test_update),
      TORC_TEST("LOG-05 SIP-13 TRN-05 R-45 R-46 values that are not written", test_values),
  };
  return TORC_RUN(tests);
}
