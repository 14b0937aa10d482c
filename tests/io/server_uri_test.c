/* URIs of STUN and TURN servers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/server_uri.h"

#include "base/slice.h"
#include "torc_test.h"

static void test_good(void **state) {
  (void)state;
  static const struct {
    const char *text;
    torc_server_kind kind;
    const char *host;
    uint16_t port;
  } cases[] = {
      {"stun:stun.example.org", TORC_SERVER_STUN, "stun.example.org", 3478},
      {"stun:192.0.2.1:1234", TORC_SERVER_STUN, "192.0.2.1", 1234},
      {"STUN:[2001:db8::1]", TORC_SERVER_STUN, "2001:db8::1", 3478},
      {"turn:192.0.2.1", TORC_SERVER_TURN_UDP, "192.0.2.1", 3478},
      {"turn:192.0.2.1:65535?transport=udp", TORC_SERVER_TURN_UDP, "192.0.2.1", 65535},
      {"turn:relay.example.org?transport=TCP", TORC_SERVER_TURN_TCP, "relay.example.org", 3478},
      {"turns:relay.example.org", TORC_SERVER_TURN_TLS, "relay.example.org", 5349},
      {"turns:[2001:db8::1]:443?transport=tcp", TORC_SERVER_TURN_TLS, "2001:db8::1", 443},
  };
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_server_uri u;
    if (torc_server_uri_parse(cases[i].text, &u) != 0) {
      fail_msg("%s", cases[i].text);
    }
    assert_int_equal(u.kind, cases[i].kind);
    assert_string_equal(u.host, cases[i].host);
    assert_int_equal(u.port, cases[i].port);
  }
}

static void test_bad(void **state) {
  (void)state;
  static const char *const cases[] = {"",
                                      "stun",
                                      "stun:",
                                      "stuns:a",
                                      "http://a",
                                      "stun://a",
                                      "stun:a:0",
                                      "stun:a:65536",
                                      "stun:a:12x",
                                      "stun:a:",
                                      "stun:[::1",
                                      "stun:[::1]x",
                                      "stun:a b",
                                      "stun:a?transport=udp",
                                      "turn:a?transport=sctp",
                                      "turn:a?transport=",
                                      "turn:a?user=b",
                                      "turns:a?transport=udp",
                                      "turn:?transport=udp"};
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_server_uri u;
    if (torc_server_uri_parse(cases[i], &u) != TORC_ERR_FORMAT) {
      fail_msg("%s", cases[i]);
    }
  }
  char name[300] = "stun:";
  torc_server_uri u;
  memset(name + 5, 'a', 256);
  assert_int_equal(torc_server_uri_parse(name, &u), TORC_ERR_FORMAT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      {"ICE-09 ICE-18 URIs of servers", test_good, NULL, NULL, NULL},
      {"ICE-09 ICE-18 what is none", test_bad, NULL, NULL, NULL},
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
