/* Which peers are remembered.
 * SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/peer_cache.h"

#include <stdio.h>

#include "torc_test.h"

static torc_cached_peer peer(uint8_t n, torc_wall seen) {
  torc_cached_peer e;
  memset(&e, 0, sizeof e);
  memset(e.at.peer.b, n, sizeof e.at.peer.b);
  snprintf(e.at.host, sizeof e.at.host, "192.0.2.%u", (unsigned)n);
  e.at.port = 6084;
  e.transport = TORC_LINK_TLS;
  e.last_seen = seen;
  return e;
}

static void expect(const torc_peer_cache *c, const uint8_t *ids, size_t num) {
  assert_int_equal(c->len, num);
  for (size_t i = 0; i < num; i++) {
    assert_int_equal(c->list[i].at.peer.b[0], ids[i]);
  }
}

static void test_order(void **state) {
  (void)state;
  torc_peer_cache c;
  torc_peer_cache_init(&c);
  torc_cached_peer entries[] = {peer(1, 100), peer(2, 300), peer(3, 200), peer(4, 300)};
  for (size_t i = 0; i < 4; i++) {
    assert_true(torc_peer_cache_add(&c, &entries[i]));
  }
  expect(&c, (const uint8_t[]){2, 4, 3, 1}, 4);
  torc_endpoint out[TORC_PEER_CACHE_MAX];
  assert_int_equal(torc_peer_cache_endpoints(&c, out, 3), 3);
  assert_int_equal(out[0].peer.b[0], 2);
  assert_int_equal(out[2].peer.b[0], 3);
}

static void test_add_refused(void **state) {
  (void)state;
  torc_peer_cache c;
  torc_peer_cache_init(&c);
  torc_cached_peer e = peer(1, 5);
  assert_true(torc_peer_cache_add(&c, &e));
  assert_false(torc_peer_cache_add(&c, &e)); /* there already */
  e = peer(2, 5);
  e.at.port = 0;
  assert_false(torc_peer_cache_add(&c, &e));
  e = peer(2, 5);
  e.at.host[0] = '\0';
  assert_false(torc_peer_cache_add(&c, &e));
  e = peer(0, 5);
  assert_false(torc_peer_cache_add(&c, &e));
  e = peer(0xff, 5);
  assert_false(torc_peer_cache_add(&c, &e));
  e = peer(2, 5);
  e.failures = TORC_PEER_CACHE_FAILURES;
  assert_false(torc_peer_cache_add(&c, &e));
  assert_int_equal(c.len, 1);
}

static void test_ten(void **state) {
  (void)state;
  torc_peer_cache c;
  torc_cached_peer links[30];
  torc_peer_cache_init(&c);
  for (uint8_t i = 0; i < 30; i++) {
    links[i] = peer((uint8_t)(i + 1), 0);
  }
  torc_peer_cache_look(&c, links, 30, 1000);
  expect(&c, (const uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 10);
  assert_true(c.is_changed);
  assert_int_equal(c.list[9].last_seen, 1000);
  /* Those in it stay as long as they are linked. */
  torc_peer_cache_look(&c, links, 30, 2000);
  expect(&c, (const uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 10);
  /* 1 and 2 are linked no more: two others take their places. */
  torc_peer_cache_look(&c, links + 2, 28, 3000);
  expect(&c, (const uint8_t[]){3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 10);
}

static void test_replace_oldest(void **state) {
  (void)state;
  torc_peer_cache c;
  torc_peer_cache_init(&c);
  for (uint8_t i = 1; i <= 10; i++) {
    torc_cached_peer e = peer(i, (torc_wall)(100 + i));
    assert_true(torc_peer_cache_add(&c, &e));
  }
  torc_cached_peer fresh = peer(50, 0);
  torc_peer_cache_look(&c, &fresh, 1, 500);
  expect(&c, (const uint8_t[]){50, 10, 9, 8, 7, 6, 5, 4, 3, 2}, 10);
}

static void test_address_changes(void **state) {
  (void)state;
  torc_peer_cache c;
  torc_peer_cache_init(&c);
  torc_cached_peer e = peer(1, 5);
  e.failures = 2;
  assert_true(torc_peer_cache_add(&c, &e));
  e.at.port = 7000;
  torc_peer_cache_look(&c, &e, 1, 9);
  assert_int_equal(c.len, 1);
  assert_int_equal(c.list[0].at.port, 7000);
  assert_int_equal(c.list[0].failures, 0);
}

static void test_failures(void **state) {
  (void)state;
  torc_peer_cache c;
  torc_peer_cache_init(&c);
  torc_cached_peer one = peer(1, 10);
  torc_cached_peer two = peer(2, 5);
  assert_true(torc_peer_cache_add(&c, &one));
  assert_true(torc_peer_cache_add(&c, &two));
  assert_true(torc_peer_cache_failed(&c, &one.at));
  assert_true(torc_peer_cache_failed(&c, &one.at));
  assert_int_equal(c.len, 2);
  torc_peer_cache_look(&c, &one, 1, 20); /* seen again: counted anew */
  assert_true(torc_peer_cache_failed(&c, &one.at));
  assert_true(torc_peer_cache_failed(&c, &one.at));
  assert_true(torc_peer_cache_failed(&c, &one.at));
  expect(&c, (const uint8_t[]){2}, 1);
  assert_false(torc_peer_cache_failed(&c, &one.at));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-139 BST-03 most recently seen first", test_order),
      TORC_TEST("GAP-139 entries that cannot be dialled are none", test_add_refused),
      TORC_TEST("BST-09 BST-10 BST-12 ten of the linked peers, without churn", test_ten),
      TORC_TEST("BST-10 GAP-139 a linked peer takes the place of the longest unseen",
                test_replace_oldest),
      TORC_TEST("GAP-139 a peer at another address", test_address_changes),
      TORC_TEST("GAP-139 three failures drop an entry", test_failures),
  };
  return TORC_RUN(tests);
}
