/* A node whose configuration changes while it runs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/storage_pdu.h"

#define C 0xc0

/* The types of the harness, with room for one more. */
static torc_type_def types[5] = {
    {NT_TYPE_NOTE, "note", TORC_TYPE_DICTIONARY, TORC_RULE_USER_MATCH, true, 10, 100, 86400},
    {NT_TYPE_LINE, "line", TORC_TYPE_SINGLE, TORC_RULE_USER_MATCH, true, 1, 100, 86400},
    {NT_TYPE_LIST, "list", TORC_TYPE_ARRAY, TORC_RULE_USER_MATCH, true, 10, 100, 86400},
    {NT_TYPE_HIDDEN, "hidden", TORC_TYPE_SINGLE, TORC_RULE_NODE_MATCH, false, 1, 100, 86400},
    {0xf00005, "board", TORC_TYPE_DICTIONARY, TORC_RULE_OWN_KEY, true, 10, 100, 86400},
};

static torc_node_config config(size_t num_types) {
  torc_node_config c = TORC_NODE_CONFIG_INIT;
  c.algorithm = "chord-128-2-8";
  c.types = types;
  c.num_types = num_types;
  return c;
}

static int change(nt *h, const torc_node_config *c, const char **why) {
  int rc = torc_node_reconfigure(nt_node(h), c, nt_now(h), why);
  nt_drain(h);
  return rc;
}

static bool knows(nt *h, const char *name) {
  uint32_t id = 0;
  uint8_t model = 0;
  return torc_node_type(nt_node(h), torc_slice_str(name), &id, &model) == 0;
}

static void test_new_type(void **state) {
  (void)state;
  nt *h = nt_ring(NULL);
  torc_node_config c = config(5);
  assert_false(knows(h, "board"));
  assert_int_equal(change(h, &c, NULL), 0);
  assert_true(knows(h, "board") && knows(h, "note") && knows(h, "CERTIFICATE"));
  torc_token token = 0;
  torc_id anywhere = nt_id(0x33);
  torc_id self = nt_self(h);
  torc_store_item item = {.type = 0xf00005,
                          .key = torc_slice_of(self.b, sizeof self.b),
                          .value = torc_slice_str("x"),
                          .lifetime_s = 60};
  assert_int_equal(torc_node_store(nt_node(h), &anywhere, &item, 1, nt_now(h), &token), 0);
  nt_drain(h);
  nt_out *o = nt_take_done(h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.code, 200);
  nt_free(h);
}

static void test_lost_types(void **state) {
  (void)state;
  nt *h = nt_ring(NULL);
  const char *why = NULL;
  torc_node_config c = config(3);
  assert_int_equal(change(h, &c, &why), TORC_ERR_CONFIG);
  assert_string_equal(why, "a type is gone under which values may be stored");
  assert_true(knows(h, "hidden"));
  c = config(4);
  types[1].model = TORC_TYPE_ARRAY;
  assert_int_equal(change(h, &c, &why), TORC_ERR_CONFIG);
  assert_string_equal(why, "a type has another data model or access rule than its values");
  types[1].model = TORC_TYPE_SINGLE;
  types[1].id = 7;
  assert_int_equal(change(h, &c, &why), TORC_ERR_CONFIG);
  assert_string_equal(why, "the id is not one of a private type, 0xF00000 to 0xFFFFFE");
  types[1].id = NT_TYPE_LINE;
  assert_true(knows(h, "line"));
  assert_int_equal(change(h, &c, &why), 0);
  nt_free(h);
}

/* A request whose signature is being checked keeps the table it came under. */
static void test_request_under_way(void **state) {
  (void)state;
  nt *h = nt_ring(NULL);
  torc_link_id link = nt_up(h, C);
  torc_id at = nt_resource(C);
  nt_element e = {.type = NT_TYPE_LINE,
                  .value = "hello",
                  .storage_time = NT_WALL,
                  .lifetime_s = 60,
                  .signer = nt_cert(h, C)};
  nt_msg m;
  nt_hold_jobs(h, true);
  nt_request(h, &m, C, TORC_METHOD_STORE, nt_store_payload(h, &at, &e, 1));
  nt_route(&m, &at);
  nt_input(h, link, &m);
  for (int i = 0; i < 16; i++) { /* each waits, for the request may point into it */
    torc_node_config c = config(4);
    types[1].max_size = 50 + (uint32_t)i;
    assert_int_equal(change(h, &c, NULL), 0);
  }
  const char *why = NULL;
  torc_node_config c = config(4);
  assert_int_equal(change(h, &c, &why), TORC_ERR_LIMIT);
  assert_string_equal(why, "the configuration has changed 16 times within an hour: wait");
  nt_hold_jobs(h, false);
  (void)nt_expect(h, link, &m, 200);
  assert_int_equal(change(h, &c, &why), 0); /* nothing is under way: all of them are free */
  types[1].max_size = 100;
  nt_free(h);
}

static void test_limits_hold_at_once(void **state) {
  (void)state;
  nt *h = nt_ring(NULL);
  torc_link_id link = nt_up(h, C);
  torc_id at = nt_resource(C);
  nt_element e = {.type = NT_TYPE_LINE,
                  .value = "hello",
                  .storage_time = NT_WALL,
                  .lifetime_s = 60,
                  .signer = nt_cert(h, C)};
  nt_msg m;
  torc_node_config c = config(4);
  types[1].max_size = 4;
  assert_int_equal(change(h, &c, NULL), 0);
  types[1].max_size = 100;
  nt_request(h, &m, C, TORC_METHOD_STORE, nt_store_payload(h, &at, &e, 1));
  nt_route(&m, &at);
  nt_input(h, link, &m);
  (void)nt_expect(h, link, &m, 413);
  assert_int_equal(change(h, &c, NULL), 0);
  nt_request(h, &m, C, TORC_METHOD_STORE, nt_store_payload(h, &at, &e, 1));
  nt_route(&m, &at);
  nt_input(h, link, &m);
  (void)nt_expect(h, link, &m, 200);
  nt_free(h);
}

static void test_ttl(void **state) {
  (void)state;
  nt *h = nt_ring(NULL);
  torc_link_id link = nt_join(h, C);
  torc_id to = nt_id(C);
  torc_token token = 0;
  torc_node_config c = config(4);
  c.initial_ttl = 33;
  assert_int_equal(change(h, &c, NULL), 0);
  nt_answer(h, 0);
  assert_int_equal(torc_node_ping(nt_node(h), &to, 1, 0, nt_now(h), &token), 0);
  nt_drain(h);
  nt_out *o = nt_take_request(h, link, TORC_METHOD_PING);
  assert_non_null(o);
  assert_int_equal(o->hdr.ttl, 33);
  nt_free(h);
}

static void test_joins(void **state) {
  (void)state;
  nt *h = nt_ring(NULL);
  torc_link_id link = nt_up(h, C);
  torc_id self = nt_self(h);
  torc_id who = nt_id(C);
  nt_msg m;
  torc_node_refuse_joins(nt_node(h), true);
  nt_request(h, &m, C, TORC_METHOD_JOIN, nt_notice_payload(h, &who));
  nt_route(&m, &self);
  nt_input(h, link, &m);
  (void)nt_expect(h, link, &m, 503);
  torc_node_refuse_joins(nt_node(h), false);
  nt_request(h, &m, C, TORC_METHOD_JOIN, nt_notice_payload(h, &who));
  nt_route(&m, &self);
  nt_input(h, link, &m);
  (void)nt_expect(h, link, &m, 200);
  nt_free(h);
}

/* The n-th allocation of a change fails: nothing has changed, or all but the bootstrap peers. */
static void test_no_memory(void **state) {
  (void)state;
  torc_endpoint boot = {.host = "192.0.2.7", .port = 7};
  for (uint64_t n = 1;; n++) {
    nt *h = nt_ring(NULL);
    torc_node_config c = config(5);
    c.bootstrap = &boot;
    c.num_bootstrap = 1;
    nt_mem(h)->fail_at = nt_mem(h)->num_calls + n;
    int rc = torc_node_reconfigure(nt_node(h), &c, nt_now(h), NULL);
    nt_mem(h)->fail_at = 0;
    nt_drain(h);
    assert_true(rc == 0 || rc == TORC_ERR_NOMEM);
    assert_true(knows(h, "note"));
    if (rc == 0) {
      assert_true(n > 2);
      nt_free(h);
      return;
    }
    assert_int_equal(change(h, &c, NULL), 0);
    assert_true(knows(h, "board"));
    nt_free(h);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-130 USG-01 a new type, which any member may use", test_new_type),
      TORC_TEST("GAP-130 USG-07 types under which values are stored stay", test_lost_types),
      TORC_TEST("GAP-130 a request under way and sixteen changes", test_request_under_way),
      TORC_TEST("GAP-130 USG-04 new limits hold at once", test_limits_hold_at_once),
      TORC_TEST("GAP-130 GAP-13 a new TTL", test_ttl),
      TORC_TEST("GAP-130 JOINs are refused and accepted again", test_joins),
      TORC_TEST("GAP-130 a change without memory", test_no_memory),
  };
  return TORC_RUN(tests);
}
