/* Which connected peers are STUN servers. SPDX-License-Identifier: Apache-2.0 */
#include "ice/stun_servers.h"

#include "torc_test.h"

static torc_addr addr_of(uint8_t i) {
  return (torc_addr){.family = 1, .addr = {192, 0, 2, i}, .port = 6084};
}

static torc_addr seen_as(uint8_t i) {
  return (torc_addr){.family = 1, .addr = {203, 0, 113, i}, .port = (uint16_t)(40000 + i)};
}

static void add(torc_stun_servers *s, uint8_t id) {
  torc_addr a = addr_of(id);
  assert_int_equal(torc_stun_servers_add(s, id, &a), 0);
}

static void confirm(torc_stun_servers *s, uint8_t id, uint8_t group, torc_time now) {
  torc_addr a = seen_as(group);
  a.port = (uint16_t)(a.port + id); /* counts for nothing */
  torc_stun_servers_confirm(s, id, &a, now);
}

/* The numbers of those selected, in order, as digits: 0 if there is none. */
static uint64_t selected(const torc_stun_servers *s) {
  const torc_stun_server *out[TORC_STUN_GROUPS_MAX];
  size_t num = torc_stun_servers_selected(s, out);
  uint64_t digits = 0;
  for (size_t i = 0; i < num; i++) {
    digits = digits * 10 + out[i]->id;
  }
  return digits;
}

static void test_groups(void **state) {
  torc_stun_servers s;
  (void)state;
  torc_stun_servers_init(&s);
  assert_int_equal(selected(&s), 0);
  for (uint8_t i = 1; i <= 5; i++) {
    add(&s, i);
  }
  assert_int_equal(selected(&s), 0); /* nobody knows yet */
  confirm(&s, 1, 1, 10);
  confirm(&s, 2, 1, 20);
  assert_int_equal(selected(&s), 1); /* the same group: the first stays */
  confirm(&s, 3, 2, 15);
  assert_int_equal(selected(&s), 13); /* its group was confirmed at 20 */
  confirm(&s, 3, 2, 30);
  assert_int_equal(selected(&s), 31);
  confirm(&s, 4, 3, 40);
  confirm(&s, 5, 3, 41);
  assert_int_equal(selected(&s), 431);
}

static void test_removed(void **state) {
  torc_stun_servers s;
  uint64_t version;
  (void)state;
  torc_stun_servers_init(&s);
  for (uint8_t i = 1; i <= 4; i++) {
    add(&s, i);
  }
  confirm(&s, 1, 1, 10);
  confirm(&s, 2, 1, 11);
  confirm(&s, 3, 1, 12);
  version = s.version;
  torc_stun_servers_remove(&s, 1);
  assert_true(s.version != version);
  assert_int_equal(selected(&s), 3); /* the one of the group that answered last */
  torc_stun_servers_remove(&s, 2);
  assert_int_equal(selected(&s), 3);
  torc_stun_servers_remove(&s, 3);
  assert_int_equal(selected(&s), 0);
  torc_stun_servers_remove(&s, 3);
  torc_stun_servers_remove(&s, 0);
  assert_null(torc_stun_servers_find(&s, 3));
  confirm(&s, 3, 1, 50); /* an answer that came too late */
  assert_int_equal(selected(&s), 0);
}

static void test_four_groups(void **state) {
  torc_stun_servers s;
  (void)state;
  torc_stun_servers_init(&s);
  for (uint8_t i = 1; i <= 6; i++) {
    add(&s, i);
    confirm(&s, i, i, i * 10);
  }
  assert_int_equal(selected(&s), 6543);
  confirm(&s, 1, 1, 100);
  assert_int_equal(selected(&s), 1654);
  torc_stun_servers_remove(&s, 5);
  assert_int_equal(selected(&s), 1643);
}

static void test_failed(void **state) {
  torc_stun_servers s;
  (void)state;
  torc_stun_servers_init(&s);
  add(&s, 1);
  add(&s, 2);
  confirm(&s, 1, 1, 10);
  torc_stun_servers_failed(&s, 1);
  assert_int_equal(selected(&s), 1); /* alone: asked again */
  confirm(&s, 2, 1, 11);
  assert_int_equal(selected(&s), 2);
  confirm(&s, 1, 1, 12);
  assert_int_equal(selected(&s), 2);
  torc_stun_servers_failed(&s, 2);
  assert_int_equal(selected(&s), 1);
  torc_stun_servers_failed(&s, 9);
}

/* Our address changed, or the peer's: other groups. */
static void test_moves(void **state) {
  torc_addr a = addr_of(77);
  torc_stun_servers s;
  (void)state;
  torc_stun_servers_init(&s);
  add(&s, 1);
  add(&s, 2);
  confirm(&s, 1, 1, 10);
  confirm(&s, 2, 1, 11);
  confirm(&s, 1, 5, 20);
  assert_int_equal(selected(&s), 12);
  assert_int_equal(torc_stun_servers_add(&s, 1, &a), 0);
  assert_int_equal(selected(&s), 2); /* must be asked anew */
  add(&s, 2);
  assert_int_equal(selected(&s), 2); /* nothing new */
}

static void test_families(void **state) {
  torc_addr v6 = {.family = 2, .addr = {203, 0, 113, 1}, .port = 1};
  torc_stun_servers s;
  (void)state;
  torc_stun_servers_init(&s);
  add(&s, 1);
  add(&s, 2);
  confirm(&s, 1, 1, 10);
  torc_stun_servers_confirm(&s, 2, &v6, 11);
  assert_int_equal(selected(&s), 21);
}

static void test_unasked(void **state) {
  torc_stun_servers s;
  size_t at = 0;
  (void)state;
  torc_stun_servers_init(&s);
  add(&s, 1);
  add(&s, 2);
  add(&s, 3);
  add(&s, 4);
  confirm(&s, 2, 1, 10);
  torc_stun_servers_failed(&s, 3);
  assert_int_equal(torc_stun_servers_unasked(&s, &at)->id, 1);
  assert_int_equal(torc_stun_servers_unasked(&s, &at)->id, 4);
  assert_null(torc_stun_servers_unasked(&s, &at));
}

static void test_limit(void **state) {
  torc_addr a = addr_of(1);
  torc_stun_servers s;
  (void)state;
  torc_stun_servers_init(&s);
  for (uint64_t i = 1; i <= TORC_STUN_SERVERS_MAX; i++) {
    assert_int_equal(torc_stun_servers_add(&s, i, &a), 0);
  }
  assert_int_equal(torc_stun_servers_add(&s, 1000, &a), TORC_ERR_LIMIT);
  assert_int_equal(s.num_refused, 1);
  torc_stun_servers_remove(&s, 5);
  assert_int_equal(torc_stun_servers_add(&s, 1000, &a), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-08 ICE-09 ICE-10 ICE-11 peers in groups by the address they see", test_groups),
      TORC_TEST("ICE-12 ICE-13 ICE-14 a connection is lost", test_removed),
      TORC_TEST("GAP-80 at most four groups", test_four_groups),
      TORC_TEST("ICE-14 a server does not answer", test_failed),
      TORC_TEST("ICE-10 an address changed", test_moves),
      TORC_TEST("ICE-10 families are groups", test_families),
      TORC_TEST("ICE-09 those that were never asked", test_unasked),
      TORC_TEST("ICE-12 more peers than places", test_limit),
  };
  return TORC_RUN(tests);
}
