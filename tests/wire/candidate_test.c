/* Addresses as text, and candidates that cannot be written.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "base/slice.h"
#include "torc_test.h"
#include "wire/pdu.h"

static const struct {
  const char *text;
  const char *hex;       /* NULL: refused */
  const char *canonical; /* NULL: as `text` */
} addresses[] = {
    {"0.0.0.0", "00000000", NULL},
    {"255.255.255.255", "ffffffff", NULL},
    {"192.0.2.1", "c0000201", NULL},
    {"1.2.3", NULL, NULL},
    {"1.2.3.4.5", NULL, NULL},
    {"1.2.3.", NULL, NULL},
    {".1.2.3", NULL, NULL},
    {"1..2.3", NULL, NULL},
    {"1.2.3.256", NULL, NULL},
    {"01.2.3.4", NULL, NULL},
    {"1.2.3.00", NULL, NULL},
    {"1.2.3.4 ", NULL, NULL},
    {"1.2.3.0x4", NULL, NULL},
    {"", NULL, NULL},
    {"::", "00000000000000000000000000000000", NULL},
    {"::1", "00000000000000000000000000000001", NULL},
    {"1::", "00010000000000000000000000000000", NULL},
    {"2001:db8::1", "20010db8000000000000000000000001", NULL},
    {"2001:db8:0:0:1:0:0:1", "20010db8000000000001000000000001", "2001:db8::1:0:0:1"},
    {"2001:db8::1:1:1:1:1", "20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"},
    {"2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001", NULL},
    {"1:0:0:2:0:0:0:3", "00010000000000020000000000000003", "1:0:0:2::3"},
    {"1:0:0:0:2:0:0:3", "00010000000000000002000000000003", "1::2:0:0:3"},
    {"0:0:1:2:3:4:5:6", "00000000000100020003000400050006", "::1:2:3:4:5:6"},
    {"1:2:3:4:5:6:0:0", "00010002000300040005000600000000", "1:2:3:4:5:6::"},
    {"FE80::ABCD", "fe80000000000000000000000000abcd", "fe80::abcd"},
    {"1:2:3:4:5:6:7:8", "00010002000300040005000600070008", NULL},
    {"::ffff:1.2.3.4", "00000000000000000000ffff01020304", NULL},
    {"::ffff:102:304", "00000000000000000000ffff01020304", "::ffff:1.2.3.4"},
    {"64:ff9b::192.0.2.33", "0064ff9b0000000000000000c0000221", "64:ff9b::c000:221"},
    {"1:2:3:4:5:6:1.2.3.4", "00010002000300040005000601020304", "1:2:3:4:5:6:102:304"},
    {":", NULL, NULL},
    {":::", NULL, NULL},
    {"1:", NULL, NULL},
    {":1", NULL, NULL},
    {"1:2:3:4:5:6:7", NULL, NULL},
    {"1:2:3:4:5:6:7:8:9", NULL, NULL},
    {"1::2::3", NULL, NULL},
    {"1:2:3:4::5:6:7:8", NULL, NULL},
    {"1:2:3:4:5:6:7::8", NULL, NULL},
    {"12345::", NULL, NULL},
    {"g::", NULL, NULL},
    {"::1.2.3", NULL, NULL},
    {"::1.2.3.4:5", NULL, NULL},
    {"1.2.3.4::", NULL, NULL},
    {"1:2:3:4:5:6:7:1.2.3.4", NULL, NULL},
    {"fe80::1%eth0", NULL, NULL},
    {"[::1]", NULL, NULL},
    {"0000:0000:0000:0000:0000:0000:255.255.255.255", "000000000000000000000000ffffffff",
     "::ffff:ffff"},
    {"0000:0000:0000:0000:0000:00000:255.255.255.255", NULL, NULL},
};

static void test_addresses(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(addresses); i++) {
    torc_addr a = {.port = 7};
    uint8_t want[16];
    char text[TORC_ADDR_TEXT_MAX];
    size_t len;
    int rc = torc_addr_parse(torc_slice_str(addresses[i].text), &a);
    if (addresses[i].hex == NULL) {
      assert_int_equal(rc, TORC_ERR_FORMAT);
      assert_int_equal(a.port, 7); /* untouched */
      continue;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(a.port, 0);
    len = torc_unhex(addresses[i].hex, want, sizeof(want));
    assert_int_equal(a.family, len == 4 ? 1 : 2);
    assert_memory_equal(a.addr, want, len);
    assert_string_equal(torc_addr_format(&a, text), addresses[i].canonical != NULL
                                                        ? addresses[i].canonical
                                                        : addresses[i].text);
  }
}

static void test_round_trip(void **state) {
  torc_rng rng;
  (void)state;
  torc_rng_seed(&rng, 5);
  for (int i = 0; i < 20000; i++) {
    torc_addr a = {.family = (uint8_t)(1 + torc_rng_below(&rng, 2))};
    torc_addr back;
    char text[TORC_ADDR_TEXT_MAX];
    for (size_t k = 0; k < (a.family == 1 ? 4u : 16u); k++) {
      a.addr[k] = (uint8_t)(torc_rng_below(&rng, 3) == 0 ? torc_rng_u64(&rng) : 0);
    }
    torc_addr_format(&a, text);
    assert_int_equal(torc_addr_parse(torc_slice_str(text), &back), 0);
    assert_int_equal(a.family, back.family);
    assert_memory_equal(a.addr, back.addr, 16);
  }
}

static void test_no_family(void **state) {
  char text[TORC_ADDR_TEXT_MAX];
  uint8_t buf[32];
  torc_addr a = {.family = 0};
  torc_wr wr;
  (void)state;
  torc_wr_init(&wr, buf, sizeof(buf));
  assert_string_equal(torc_addr_format(&a, text), "");
  assert_int_equal(torc_addr_put(&wr, &a), TORC_ERR_INVALID);
  a.family = 3;
  assert_string_equal(torc_addr_format(&a, text), "");
  assert_int_equal(torc_addr_put(&wr, &a), TORC_ERR_INVALID);
}

static torc_candidate good(void) {
  return (torc_candidate){.foundation = "1",
                          .component = 1,
                          .transport = TORC_CAND_TCP,
                          .priority = 5,
                          .addr = {.family = 1, .addr = {127, 0, 0, 1}, .port = 6084},
                          .type = TORC_CAND_HOST,
                          .tcptype = TORC_TCPTYPE_PASSIVE};
}

static int format(const torc_candidate *c, char out[300]) {
  torc_wr wr;
  int rc;
  torc_wr_init(&wr, out, 299);
  rc = torc_candidate_format(&wr, c);
  out[wr.len] = '\0';
  return rc;
}

static void test_format(void **state) {
  char text[300];
  torc_candidate c = good();
  (void)state;
  assert_int_equal(format(&c, text), 0);
  assert_string_equal(text, "candidate:1 1 TCP 5 127.0.0.1 6084 typ host tcptype passive");
  c.tcptype = TORC_TCPTYPE_NONE;
  assert_int_equal(format(&c, text), TORC_ERR_INVALID);
  c.transport = TORC_CAND_UDP;
  assert_int_equal(format(&c, text), 0);
  c = good();
  c.transport = (torc_cand_transport)0;
  assert_int_equal(format(&c, text), TORC_ERR_INVALID);
  c = good();
  c.foundation[0] = '\0';
  assert_int_equal(format(&c, text), TORC_ERR_INVALID);
  memset(c.foundation, 'a', sizeof(c.foundation)); /* no NUL */
  assert_int_equal(format(&c, text), TORC_ERR_INVALID);
  c.foundation[32] = '\0';
  assert_int_equal(format(&c, text), 0);
  c = good();
  c.component = 0;
  assert_int_equal(format(&c, text), TORC_ERR_INVALID);
  c = good();
  c.priority = 0x80000000u;
  assert_int_equal(format(&c, text), TORC_ERR_INVALID);
  c = good();
  c.type = (torc_cand_type)5;
  assert_int_equal(format(&c, text), TORC_ERR_INVALID);
  c = good();
  c.raddr.family = 3;
  assert_int_equal(format(&c, text), TORC_ERR_INVALID);
  c = good();
  c.addr.family = 0;
  c.host = torc_slice_str("two words");
  assert_int_equal(format(&c, text), TORC_ERR_INVALID);
  c.host = torc_slice_str("peer.example");
  assert_int_equal(format(&c, text), 0);
  assert_string_equal(text, "candidate:1 1 TCP 5 peer.example 6084 typ host tcptype passive");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENC-07 ENC-08 CON-10 addresses as text", test_addresses),
      TORC_TEST("CON-10 addresses survive being written and read", test_round_trip),
      TORC_TEST("ENC-09 an address without family is not written", test_no_family),
      TORC_TEST("CON-10 GAP-71 candidates that cannot be read are not written", test_format),
  };
  return TORC_RUN(tests);
}
