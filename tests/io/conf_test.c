/* The daemon's configuration file, and the units its values come in. What is wrong with a file is
 * tested with torcd itself (tests/loopback/test_wrong_inputs.py).
 * SPDX-License-Identifier:
 * Apache-2.0 */
#include "io/conf.h"

#include <stdio.h>
#include <unistd.h>

#include "base/slice.h"
#include "torc_test.h"

static int load(const char *text, torc_conf *out, char *err, size_t cap) {
  char path[] = "/tmp/torc-conf-test-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  assert_int_equal(close(fd), 0);
  int rc = torc_conf_load(out, path, err, cap);
  assert_int_equal(unlink(path), 0);
  return rc;
}

static const char everything[] =
    "# a comment\n"
    "; another\n"
    "[overlay]\nfile = /a b/overlay.xml ; behind a value\nname=ring.example.org\n"
    "[identity]\n  cert = c.crt\n  key = c.key\n"
    "[node]\nrole = client\nlisten = 127.0.0.1:6084\nlisten = [::1]:0\nadvertise = 192.0.2.7:1\n"
    "state-dir = /var/lib/torc\nthreads = 3\nsync-disk = yes\n"
    "[nat]\nstun = stun:a.example.org\nstun = stun:[::1]:3\nturn = turns:b.example.org:443\n"
    "turn-user = u\nturn-password-file = /p\nturn-ca = /ca\ncandidates = relay\n"
    "[control]\nsocket = /tmp/s\n"
    "[log]\nlevel = debug\nfile = /tmp/l\nformat = text\n"
    "[metrics]\nlisten = [::1]:9466\n"
    "[limits]\nlinks = 500\nclient-links = 20\nanswer-bytes = 64k\nstored-bytes = 2G\n"
    "[timers]\nupdate-period = 2s\nping-period = 15m\nt1 = 100ms\nkeepalive = 1h\n"
    "deletion-delay = 500ms\nreplica-wait = 3\nidle-close = 1m";

static void every_key_is_read(void **state) {
  (void)state;
  torc_conf c;
  char err[512] = "";
  assert_int_equal(load(everything, &c, err, sizeof err), 0);
  assert_string_equal(c.overlay_file, "/a b/overlay.xml");
  assert_string_equal(c.overlay_name, "ring.example.org");
  assert_string_equal(c.cert_file, "c.crt");
  assert_string_equal(c.key_file, "c.key");
  assert_int_equal(c.role, TORC_ROLE_CLIENT);
  assert_int_equal(c.num_listen, 2);
  assert_string_equal(c.listen[1], "[::1]:0");
  assert_int_equal(c.num_advertise, 1);
  assert_string_equal(c.advertise[0], "192.0.2.7:1");
  assert_string_equal(c.state_dir, "/var/lib/torc");
  assert_int_equal(c.num_stun, 2);
  assert_string_equal(c.stun[1], "stun:[::1]:3");
  assert_int_equal(c.num_turn, 1);
  assert_string_equal(c.turn[0], "turns:b.example.org:443");
  assert_string_equal(c.turn_user, "u");
  assert_string_equal(c.turn_password_file, "/p");
  assert_string_equal(c.turn_ca_file, "/ca");
  assert_int_equal(c.candidates, TORC_OFFER_RELAY);
  assert_int_equal(c.threads, 3);
  assert_true(c.sync_disk);
  assert_string_equal(c.control_socket, "/tmp/s");
  assert_int_equal(c.log_level, TORC_LOG_DEBUG);
  assert_string_equal(c.log_file, "/tmp/l");
  assert_false(c.log_json);
  assert_string_equal(c.metrics_listen, "[::1]:9466");
  assert_int_equal(c.max_links, 500);
  assert_int_equal(c.max_client_links, 20);
  assert_int_equal(c.max_answer_bytes, 65536);
  assert_int_equal(c.max_stored_bytes, 2ull << 30);
  assert_int_equal(c.update_period, TORC_SEC(2));
  assert_int_equal(c.ping_period, TORC_SEC(900));
  assert_int_equal(c.t1, TORC_MS(100));
  assert_int_equal(c.keepalive, TORC_SEC(3600));
  assert_int_equal(c.deletion_delay, TORC_MS(500));
  assert_int_equal(c.replica_wait, TORC_SEC(3));
  assert_int_equal(c.idle_close, TORC_SEC(60));
}

static void what_is_missing_has_its_default(void **state) {
  (void)state;
  torc_conf c;
  char err[512] = "";
  assert_int_equal(
      load("[overlay]\nfile=a\n[identity]\ncert=b\nkey=c\n[node]\nlisten=127.0.0.1:1\n", &c, err,
           sizeof err),
      0);
  assert_int_equal(c.role, TORC_ROLE_PEER);
  assert_string_equal(c.control_socket, TORC_CONF_DEFAULT_SOCKET);
  assert_int_equal(c.log_level, TORC_LOG_INFO);
  assert_true(c.log_json);
  assert_string_equal(c.state_dir, "");
  assert_string_equal(c.metrics_listen, "");
  assert_int_equal(c.update_period, 0);
  assert_int_equal(c.max_links, 0);
}

static void the_first_error_is_told(void **state) {
  (void)state;
  torc_conf c;
  char err[512] = "";
  assert_int_equal(load("[overlay]\nfile=a\nfiel=b\nnome=c\n", &c, err, sizeof err),
                   TORC_ERR_CONFIG);
  assert_non_null(strstr(err, ":3: there is no key 'fiel' in section [overlay]"));
}

static void example_file_is_accepted(void **state) {
  (void)state;
  torc_conf c;
  char err[512] = "";
  assert_int_equal(torc_conf_load(&c, TORC_SOURCE_DIR "/packaging/torcd.conf", err, sizeof err), 0);
  assert_string_equal(c.listen[0], "0.0.0.0:6084");
  assert_string_equal(c.control_socket, TORC_CONF_DEFAULT_SOCKET);
}

/* The example with its commented keys in force: they are right, too. */
static void example_file_is_accepted_with_every_key(void **state) {
  (void)state;
  static char text[16384];
  torc_conf c;
  char err[512] = "";
  FILE *f = fopen(TORC_SOURCE_DIR "/packaging/torcd.conf", "re");
  assert_non_null(f);
  size_t len = fread(text, 1, sizeof text - 1, f);
  assert_int_equal(fclose(f), 0);
  text[len] = '\0';
  size_t num = 0;
  for (char *p = strstr(text, "\n;"); p != NULL; p = strstr(p + 1, "\n;")) {
    p[1] = ' ';
    num++;
  }
  assert_true(num >= 15);
  /* But these exclude each other [SEC-06]. */
  static const char *const lines[] = {"\ncert =", "\nkey ="};
  for (size_t i = 0; i < TORC_ARRAY_LEN(lines); i++) {
    assert_int_equal(load(text, &c, err, sizeof err), TORC_ERR_CONFIG);
    assert_non_null(strstr(err, "[identity] has shared-key beside cert or key"));
    char *line = strstr(text, lines[i]);
    assert_non_null(line);
    line[1] = ';';
  }
  assert_int_equal(load(text, &c, err, sizeof err), 0);
  assert_string_equal(c.shared_key_file, "/etc/torc/shared.key");
  assert_int_equal(c.num_listen, 2);
  assert_int_equal(c.update_period, TORC_SEC(600));
}

static const struct {
  const char *text;
  int rc;
  torc_time value;
} durations[] = {
    {"0", 0, 0},
    {"90", 0, TORC_SEC(90)},
    {"90s", 0, TORC_SEC(90)},
    {"500ms", 0, TORC_MS(500)},
    {"15m", 0, TORC_SEC(900)},
    {"1h", 0, TORC_SEC(3600)},
    {"7d", 0, TORC_SEC(604800)},
    {"", TORC_ERR_FORMAT, 0},
    {"-1s", TORC_ERR_FORMAT, 0},
    {"1 s", TORC_ERR_FORMAT, 0},
    {"s", TORC_ERR_FORMAT, 0},
    {"1w", TORC_ERR_FORMAT, 0},
    {"1.5h", TORC_ERR_FORMAT, 0},
    {"213503983d", TORC_ERR_FORMAT, 0},           /* more than 2^64 microseconds */
    {"99999999999999999999", TORC_ERR_FORMAT, 0}, /* more than 2^64 */
};

static void durations_have_units(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(durations); i++) {
    torc_time t = 0;
    assert_int_equal(torc_duration_parse(durations[i].text, &t), durations[i].rc);
    assert_int_equal(t, durations[i].value);
  }
}

static void sizes_have_units(void **state) {
  (void)state;
  uint64_t v = 0;
  assert_int_equal(torc_size_parse("4096", &v), 0);
  assert_int_equal(v, 4096);
  assert_int_equal(torc_size_parse("64k", &v), 0);
  assert_int_equal(v, 65536);
  assert_int_equal(torc_size_parse("3G", &v), 0);
  assert_int_equal(v, 3ull << 30);
  assert_int_equal(torc_size_parse("3g", &v), TORC_ERR_FORMAT);
  assert_int_equal(torc_size_parse("18446744073709551615k", &v), TORC_ERR_FORMAT);
  assert_int_equal(torc_size_parse("18014398509481984k", &v), TORC_ERR_FORMAT);
}

static const struct {
  const char *text, *host;
  uint16_t port;
} addresses[] = {
    {"127.0.0.1:80", "127.0.0.1", 80},
    {"[::]:65535", "::", 65535},
    {"0.0.0.0:0", "0.0.0.0", 0},
    {"127.0.0.1", NULL, 0},
    {"127.0.0.1:", NULL, 0},
    {"127.0.0.1:65536", NULL, 0},
    {"127.0.0.1:8x", NULL, 0},
    {"::1:80", NULL, 0},
    {"[127.0.0.1]:80", NULL, 0},
    {"[::1]80", NULL, 0},
    {"[]:80", NULL, 0},
    {":80", NULL, 0},
    {"localhost:80", NULL, 0},
    {"1.2.3:80", NULL, 0},
    {"", NULL, 0},
};

static void addresses_are_literals_with_a_port(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(addresses); i++) {
    char host[64] = "";
    uint16_t port = 0;
    int rc = torc_listen_parse(addresses[i].text, host, sizeof host, &port);
    assert_int_equal(rc, addresses[i].host == NULL ? TORC_ERR_FORMAT : 0);
    if (rc == 0) {
      assert_string_equal(host, addresses[i].host);
      assert_int_equal(port, addresses[i].port);
    }
  }
  assert_true(torc_is_loopback("127.0.0.1") && torc_is_loopback("127.9.9.9") &&
              torc_is_loopback("::1"));
  assert_false(torc_is_loopback("128.0.0.1") || torc_is_loopback("::") ||
               torc_is_loopback("::ffff:1.2.3.4"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-42 every key is read", every_key_is_read),
      TORC_TEST("D-42 what is missing has its default", what_is_missing_has_its_default),
      TORC_TEST("D-42 the first error is told", the_first_error_is_told),
      TORC_TEST("D-42 the example file is accepted", example_file_is_accepted),
      TORC_TEST("D-42 the example file is accepted with every key",
                example_file_is_accepted_with_every_key),
      TORC_TEST("D-42 durations", durations_have_units),
      TORC_TEST("D-42 sizes", sizes_have_units),
      TORC_TEST("D-42 addresses", addresses_are_literals_with_a_port),
  };
  return TORC_RUN(tests);
}
