/* Real peers on loopback: join, store, fetch, and what the runtime itself promises.
 * SPDX-License-Identifier: Apache-2.0 */
#include "torc/peer.h"

#include <stdio.h>

#include "base/slice.h"
#include "io/helper_ring.h"
#include "torc_test.h"

static torc_token start_store(torc_peer *p, const char *name, const char *key, const char *text) {
  torc_id resource;
  torc_token token = 0;
  torc_store_item item = {.type = 0xF00001,
                          .key = torc_slice_str(key),
                          .value = torc_slice_str(text),
                          .lifetime_s = 3600};
  assert_int_equal(torc_node_resource_id(torc_peer_node(p), torc_slice_str(name), &resource), 0);
  assert_int_equal(
      torc_node_store(torc_peer_node(p), &resource, &item, 1, torc_peer_now(p), &token), 0);
  return token;
}

static torc_token start_fetch(torc_peer *p, const char *name) {
  torc_id resource;
  torc_token token = 0;
  torc_fetch_item item = {.type = 0xF00001, .first = 0, .last = -1};
  assert_int_equal(torc_node_resource_id(torc_peer_node(p), torc_slice_str(name), &resource), 0);
  assert_int_equal(
      torc_node_fetch(torc_peer_node(p), &resource, &item, 1, torc_peer_now(p), &token), 0);
  return token;
}

static void ring_of(size_t num, const char *algorithm, unsigned threads) {
  hr_ring r;
  torc_done done;
  hr_open(&r, algorithm);
  for (size_t i = 0; i < num; i++) {
    torc_peer_config cfg;
    hr_config(&r, i, &cfg);
    cfg.num_threads = threads;
    (void)hr_add_with(&r, &cfg);
  }
  assert_true(hr_join(&r, 20000));
  for (size_t i = 0; i < num; i++) {
    char name[40];
    snprintf(name, sizeof name, "u%zu@example.org", i);
    torc_token token = start_store(r.peers[i], name, "k", name);
    assert_int_equal(hr_wait(&r, i, token, 10000, &done), 0);
  }
  for (size_t i = 0; i < num; i++) {
    char name[40];
    size_t reader = (i + 1) % num;
    snprintf(name, sizeof name, "u%zu@example.org", i);
    torc_token token = start_fetch(r.peers[reader], name);
    assert_int_equal(hr_wait(&r, reader, token, 10000, &done), 0);
    assert_int_equal(done.num_values, 1);
    assert_int_equal(done.values[0].value.len, strlen(name));
    assert_memory_equal(done.values[0].value.p, name, strlen(name));
    assert_string_equal(done.values[0].signer->users[0], name);
  }
  hr_close(&r);
}

static void test_one(void **state) {
  (void)state;
  ring_of(1, "chord-128-2-8", 0);
}

static void test_two(void **state) {
  (void)state;
  ring_of(2, "chord-128-2-8", 0);
}

static void test_five(void **state) {
  (void)state;
  ring_of(5, "chord-128-2-8", 0);
}

static void test_threads(void **state) {
  (void)state;
  ring_of(3, "chord-128-2-8", 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("TLS-01 SEC-01 one peer founds, stores and fetches", test_one),
      TORC_TEST("TLS-01 SEC-01 two peers join, store and fetch", test_two),
      TORC_TEST("TLS-01 CON-08 CON-09 CON-10 GAP-75 five peers join, store and fetch", test_five),
      TORC_TEST("SIG-03 three peers that sign in threads", test_threads),
  };
  return TORC_RUN(tests);
}
