/* The peer cache as a file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/cache_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/slice.h"
#include "io/addr.h"
#include "io/helper_pki.h"
#include "torc_test.h"

#define OVERLAY "ring.example.org"
#define NOW 4100000000u

static torc_cached_peer peer(uint8_t n, const char *host, torc_wall seen) {
  torc_cached_peer e;
  memset(&e, 0, sizeof e);
  memset(e.at.peer.b, n, sizeof e.at.peer.b);
  snprintf(e.at.host, sizeof e.at.host, "%s", host);
  e.at.port = (uint16_t)(6000 + n);
  e.transport = TORC_LINK_TLS;
  e.last_seen = seen;
  e.failures = n % 3;
  return e;
}

static void test_round(void **state) {
  (void)state;
  char dir[256];
  char path[300];
  torc_peer_cache c;
  torc_peer_cache back;
  struct stat st;
  hp_dir_make(dir);
  snprintf(path, sizeof path, "%s/peers.json", dir);
  assert_int_equal(torc_cache_load(&back, path, OVERLAY, NOW), 0); /* none yet */
  assert_int_equal(back.len, 0);
  torc_peer_cache_init(&c);
  torc_cached_peer entries[] = {peer(1, "192.0.2.1", 100), peer(2, "2001:db8::2", 4000000000u),
                                peer(3, "boot.example.org", 50)};
  for (size_t i = 0; i < 3; i++) {
    assert_true(torc_peer_cache_add(&c, &entries[i]));
  }
  assert_int_equal(torc_cache_save(&c, path, OVERLAY), 0);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(torc_cache_load(&back, path, OVERLAY, NOW), 0);
  assert_int_equal(back.len, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_memory_equal(&back.list[i].at.peer, &c.list[i].at.peer, sizeof(torc_id));
    assert_string_equal(back.list[i].at.host, c.list[i].at.host);
    assert_int_equal(back.list[i].at.port, c.list[i].at.port);
    assert_int_equal(back.list[i].last_seen, c.list[i].last_seen);
    assert_int_equal(back.list[i].failures, c.list[i].failures);
    assert_int_equal(back.list[i].transport, TORC_LINK_TLS);
  }
  snprintf(path, sizeof path, "%s/peers.json.new", dir);
  assert_int_not_equal(access(path, F_OK), 0); /* renamed */
  hp_dir_remove(dir);
}

static void test_hand_written(void **state) {
  (void)state;
  static const char text[] =
      "{\"version\":1,\"peers\":["
      "{\"peer_id\":\"0102030405060708090a0b0c0d0e0f10\",\"address\":\"192.0.2.1\",\"port\":6084,"
      "\"transport\":\"tls\","
      "\"last_seen\":7},"
      "{\"peer_id\":\"11020304050607\",\"address\":\"192.0.2.1\",\"port\":6084,\"transport\":"
      "\"tls\"},"
      "{\"peer_id\":\"2102030405060708090a0b0c0d0e0f10\",\"address\":\"a/"
      "b\",\"port\":6084,\"transport\":\"tls\"},"
      "{\"peer_id\":\"3102030405060708090a0b0c0d0e0f10\",\"address\":\"192.0.2.1\",\"port\":70000,"
      "\"transport\":\"tls\"},"
      "{\"peer_id\":\"4102030405060708090a0b0c0d0e0f10\",\"address\":\"192.0.2.1\",\"port\":1,"
      "\"transport\":\"smoke\"},"
      "{\"peer_id\":\"5102030405060708090a0b0c0d0e0f10\",\"address\":\"192.0.2.1\",\"port\":1,"
      "\"transport\":\"tls\","
      "\"last_seen\":-1},"
      "17, null]}";
  char dir[256];
  char path[300];
  torc_peer_cache c;
  hp_dir_make(dir);
  snprintf(path, sizeof path, "%s/peers.json", dir);
  hp_write_file(path, text, sizeof text - 1, 0600);
  assert_int_equal(torc_cache_load(&c, path, OVERLAY, NOW), 0);
  assert_int_equal(c.len, 1);
  assert_int_equal(c.list[0].at.peer.b[15], 0x10);
  assert_int_equal(c.list[0].last_seen, 7);
  for (size_t i = 0; i < sizeof text - 1; i++) { /* cut: not ours, and empty */
    hp_write_file(path, text, i, 0600);
    assert_int_equal(torc_cache_load(&c, path, OVERLAY, NOW), TORC_ERR_FORMAT);
    assert_int_equal(c.len, 0);
  }
  char big[70000];
  memset(big, ' ', sizeof big);
  memcpy(big, text, sizeof text - 1);
  hp_write_file(path, big, sizeof big, 0600);
  assert_int_equal(torc_cache_load(&c, path, OVERLAY, NOW), TORC_ERR_FORMAT);
  hp_dir_remove(dir);
}

/* A state directory that served another overlay: its peers would only cost time. And a clock that
 * was wrong when the file was written. */
static void test_other_overlay(void **state) {
  (void)state;
  char dir[256];
  char path[300];
  torc_peer_cache c;
  torc_peer_cache back;
  hp_dir_make(dir);
  snprintf(path, sizeof path, "%s/peers.json", dir);
  torc_peer_cache_init(&c);
  torc_cached_peer late = peer(1, "192.0.2.1", 3000000000u);
  torc_cached_peer recent = peer(2, "192.0.2.2", 2000);
  assert_true(torc_peer_cache_add(&c, &late));
  assert_true(torc_peer_cache_add(&c, &recent));
  assert_int_equal(torc_cache_save(&c, path, "RING.example.org"), 0);
  assert_int_equal(torc_cache_load(&back, path, "other.example.org", 5000), TORC_ERR_DENIED);
  assert_int_equal(back.len, 0);
  assert_int_equal(torc_cache_load(&back, path, "ring.example.org", 5000), 0);
  assert_int_equal(back.len, 2);
  assert_int_equal(back.list[0].last_seen, 5000);
  assert_int_equal(back.list[1].last_seen, 2000);
  hp_dir_remove(dir);
}

/* A save that fails leaves the old file as it was. */
static void test_old_stays(void **state) {
  (void)state;
  char dir[256];
  char path[300];
  char in_the_way[310];
  torc_peer_cache c;
  hp_dir_make(dir);
  snprintf(path, sizeof path, "%s/peers.json", dir);
  snprintf(in_the_way, sizeof in_the_way, "%s.new", path);
  torc_peer_cache_init(&c);
  torc_cached_peer e = peer(1, "192.0.2.1", 5);
  assert_true(torc_peer_cache_add(&c, &e));
  assert_int_equal(torc_cache_save(&c, path, OVERLAY), 0);
  assert_int_equal(mkdir(in_the_way, 0700), 0);
  torc_peer_cache_init(&c);
  assert_int_equal(torc_cache_save(&c, path, OVERLAY), TORC_ERR_IO);
  assert_int_equal(torc_cache_load(&c, path, OVERLAY, NOW), 0);
  assert_int_equal(c.len, 1);
  hp_dir_remove(dir);
}

/* ---- addresses, which both file and document hold ---- */

static void test_hosts(void **state) {
  (void)state;
  static const char *const good[] = {"a",         "example.org", "example.org.", "x-1.y_2",
                                     "192.0.2.1", "::1",         "2001:db8::1"};
  static const char *const bad[] = {"",    ".",   ".a",  "-a",    "a..b",
                                    "a b", "a/b", "a:b", "[::1]", "\xc3\xa9.org"};
  char longest[258];
  for (size_t i = 0; i < TORC_ARRAY_LEN(good); i++) {
    assert_true(torc_host_valid(good[i]));
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(bad); i++) {
    assert_false(torc_host_valid(bad[i]));
  }
  memset(longest, 'a', sizeof longest);
  longest[255] = '\0';
  assert_true(torc_host_valid(longest));
  longest[255] = 'a';
  longest[256] = '\0';
  assert_false(torc_host_valid(longest));
}

static void test_texts(void **state) {
  (void)state;
  static const char *const same[] = {"127.0.0.1:80", "[::1]:6084", "[2001:db8::ffff]:65535",
                                     "0.0.0.0:0"};
  for (size_t i = 0; i < TORC_ARRAY_LEN(same); i++) {
    torc_sock a;
    char text[TORC_SOCK_TEXT];
    assert_int_equal(torc_sock_parse(same[i], &a), 0);
    torc_sock_text(&a, text);
    assert_string_equal(text, same[i]);
  }
  torc_sock a;
  torc_sock b;
  uint8_t wire[18];
  assert_int_equal(torc_sock_parse("[::ffff:192.0.2.1]:258", &a), 0);
  torc_sock_normalise(&a);
  assert_int_equal(torc_sock_parse("192.0.2.1:258", &b), 0);
  assert_true(torc_sock_eq(&a, &b));
  torc_sock_wire(&a, wire);
  static const uint8_t want[18] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, 1, 2};
  assert_memory_equal(wire, want, sizeof want);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-139 BST-10 the file gives back what was saved", test_round),
      TORC_TEST("GAP-139 entries that make no sense are passed over, a broken file is ignored",
                test_hand_written),
      TORC_TEST("GAP-139 a save that fails leaves the old file", test_old_stays),
      TORC_TEST("GAP-139 BST-03 a cache of another overlay, and of a wrong clock",
                test_other_overlay),
      TORC_TEST("ENR-22 ARC-20 host names and literals", test_hosts),
      TORC_TEST("LOG-07 addresses as text and on the wire", test_texts),
  };
  return TORC_RUN(tests);
}
