/* Limits over all links and origins, and what is counted and shown.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/pdu.h"

#define A 0x20
#define C 0xc0

static void ping(nt *h, nt_msg *m, uint8_t signer, const torc_id *target) {
  nt_request(h, m, signer, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(m, target);
}

/* ---- all links together ---- */

static void test_inbound_of_all(void **state) {
  nt *h = nt_ring(NULL);
  torc_id self = nt_self(h);
  torc_link_id links[20];
  nt_msg m;
  (void)state;
  for (uint8_t i = 0; i < 20; i++) {
    links[i] = nt_up(h, (uint8_t)(1 + i));
  }
  nt_hold_jobs(h, true);
  for (unsigned i = 0; i < 20; i++) {
    for (unsigned k = 0; k < 256; k++) {
      ping(h, &m, (uint8_t)(1 + i), &self);
      nt_input(h, links[i], &m);
    }
  }
  assert_int_equal(nt_num_jobs(h, TORC_JOB_VERIFY), 4096);
  assert_int_equal(nt_counter(h, "drop_inbound_full"), 20 * 256 - 4096);
  ping(h, &m, 20, &self); /* errors need room as well */
  m.hdr.overlay = 1;
  nt_input(h, links[19], &m);
  assert_int_equal(nt_counter(h, "drop_error_rate"), 1);
  nt_hold_jobs(h, false);
  nt_clear(h);
  ping(h, &m, 20, &self);
  nt_input(h, links[19], &m);
  (void)nt_expect(h, links[19], &m, 200);
  nt_free(h);
}

/* What passes through needs no room. */
static void test_full_but_forwarding(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  nt_hold_jobs(h, true);
  for (unsigned k = 0; k < 300; k++) {
    ping(h, &m, A, &self);
    nt_input(h, a, &m);
  }
  ping(h, &m, A, &there);
  nt_input(h, a, &m);
  nt_out *o = nt_take_xid(h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, c);
  nt_hold_jobs(h, false);
  nt_free(h);
}

static void test_transactions(void **state) {
  nt *h = nt_ring(NULL);
  torc_id there = nt_id(0xb0);
  torc_token token = 0;
  unsigned num = 0;
  (void)state;
  (void)nt_join(h, C);
  while (num < 9000 && torc_node_ping(nt_node(h), &there, 1, 0, nt_now(h), &token) == 0) {
    num++;
    nt_drain(h);
  }
  assert_in_range(num, 8180, 8192); /* the ring has some of its own */
  assert_int_equal(torc_node_ping(nt_node(h), &there, 1, 0, nt_now(h), &token), TORC_ERR_LIMIT);
  nt_advance(h, TORC_SEC(33));
  assert_int_equal(torc_node_ping(nt_node(h), &there, 1, 0, nt_now(h), &token), 0);
  nt_free(h);
}

static void little_memory(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->max_answer_bytes = 1500; /* less than one origin's share */
}

static torc_slice tunnel_payload(nt *h) {
  torc_tunnel_data t = {.application = 5060};
  uint8_t *buf = nt_block(h, 64);
  torc_wr wr;
  torc_wr_init(&wr, buf, 64);
  assert_int_equal(torc_tunnel_put(&wr, &t), 0);
  return torc_wr_slice(&wr);
}

/* Where memory ends, what may be done twice goes first: a TUNNEL is known longer than the PINGs
 * that came after it. */
static void test_harmless_first(void **state) {
  nt_options options = {.algorithm = "chord-128-2-8", .tweak = little_memory};
  nt *h = nt_ring(&options);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg once;
  nt_msg m;
  (void)state;
  nt_request(h, &once, A, TORC_METHOD_TUNNEL, tunnel_payload(h));
  nt_route(&once, &self);
  nt_input(h, a, &once);
  (void)nt_expect(h, a, &once, 404);
  torc_link_id b = nt_up(h, A + 1); /* an origin that has not used up its share */
  for (unsigned i = 0; i < 200; i++) {
    ping(h, &m, A + 1, &self);
    nt_input(h, b, &m);
    (void)nt_expect(h, b, &m, 200);
  }
  assert_true(nt_counter(h, "duplicate_evictions") > 150);
  uint64_t before = nt_counter(h, "requests_received");
  nt_input(h, a, &once);
  (void)nt_expect(h, a, &once, 404);
  assert_int_equal(nt_counter(h, "requests_received"), before);
  nt_free(h);
}

/* Duplicates of many origins: by number. */
static void test_duplicates_of_all(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  nt_msg first;
  (void)state;
  for (unsigned i = 0; i < 8200; i++) {
    torc_id id = nt_id(0x42);
    char user[32];
    id.b[1] = (uint8_t)(i >> 8);
    id.b[2] = (uint8_t)i;
    snprintf(user, sizeof user, "u%u@example.org", i);
    ping(h, &m, A, &self);
    m.signer = nt_cert_make(h, user, &id, 1, 1, UINT32_MAX);
    nt_via(&m, &id);
    if (i == 0) {
      first = m;
    }
    nt_input(h, a, &m);
    (void)nt_expect(h, a, &m, 200);
  }
  assert_in_range(nt_counter(h, "duplicate_evictions"), 7, 9);
  uint64_t before = nt_counter(h, "requests_received");
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 200);
  assert_int_equal(nt_counter(h, "requests_received"), before); /* the latest is known */
  nt_input(h, a, &first);
  (void)nt_expect(h, a, &first, 200);
  assert_int_equal(nt_counter(h, "requests_received"), before + 1); /* the oldest is not */
  nt_free(h);
}

/* ---- counters and views ---- */

static void test_counters(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  torc_id there = nt_id(0xb0);
  torc_node_link_view v[4];
  nt_msg m;
  (void)state;
  static const char *const names[] = {"messages_in",       "messages_out",   "messages_forwarded",
                                      "requests_received", "responses_sent", "jobs_verify",
                                      "jobs_sign"};
  static const uint64_t more[] = {2, 2, 1, 1, 1, 1, 1};
  uint64_t before[7];
  uint64_t bytes_in = nt_counter(h, "bytes_in");
  uint64_t bytes_out = nt_counter(h, "bytes_out");
  for (size_t i = 0; i < 7; i++) {
    before[i] = nt_counter(h, names[i]);
  }
  ping(h, &m, A, &self);
  torc_slice one = nt_encode(h, &m);
  nt_input_bytes(h, a, one);
  nt_out *answer = nt_expect(h, a, &m, 200);
  ping(h, &m, A, &there);
  torc_slice two = nt_encode(h, &m);
  nt_input_bytes(h, a, two);
  nt_out *passed = nt_take_xid(h, m.hdr.xid);
  assert_int_equal(passed->link, c);
  for (size_t i = 0; i < 7; i++) {
    assert_int_equal(nt_counter(h, names[i]), before[i] + more[i]);
  }
  assert_int_equal(nt_counter(h, "bytes_in"), bytes_in + one.len + two.len);
  assert_int_equal(nt_counter(h, "bytes_out"), bytes_out + answer->bytes.len + passed->bytes.len);
  size_t num = torc_node_links(nt_node(h), v, 4);
  assert_int_equal(num, 2);
  const torc_node_link_view *of_a = v[0].link == a ? &v[0] : &v[1];
  assert_int_equal(of_a->messages_in, 2);
  assert_int_equal(of_a->messages_out, 1);
  assert_int_equal(of_a->bytes_in, one.len + two.len);
  assert_int_equal(of_a->bytes_out, answer->bytes.len);
  assert_int_equal(torc_node_links(nt_node(h), v, 1), 1);
  nt_free(h);
}

static void test_view(void **state) {
  nt *h = nt_ring(NULL);
  torc_node_view v;
  torc_id c = nt_id(C);
  (void)state;
  torc_node_get_view(nt_node(h), &v);
  assert_string_equal(v.state, "joined");
  assert_true(v.is_joined && v.is_responsible);
  assert_int_equal(v.num_successors + v.num_predecessors, 0);
  assert_true(torc_id_eq(&v.range_from, &v.self));
  (void)nt_join(h, C);
  (void)nt_up(h, A);
  torc_node_get_view(nt_node(h), &v);
  assert_int_equal(v.num_successors, 1);
  assert_int_equal(v.num_predecessors, 1);
  assert_true(torc_id_eq(&v.successors[0], &c) && torc_id_eq(&v.range_from, &c));
  assert_int_equal(v.num_links, 2);
  assert_int_equal(v.num_client_links, 1);
  assert_true(v.uptime > TORC_SEC(4));
  nt_free(h);
}

/* ---- configuration ---- */

static int creation(void (*tweak)(torc_node_config *c, void *ctx)) {
  torc_node_config c = TORC_NODE_CONFIG_INIT;
  torc_memory_backend *memory = NULL;
  torc_backend backend;
  torc_node *n = NULL;
  const char *why = NULL;
  torc_id self = nt_id(NT_SELF);
  torc_cert *cert = helper_cert("a@example.org", &self);
  assert_int_equal(torc_memory_backend_new(&memory, &backend, torc_mem_libc(), 1 << 20), 0);
  c.crypto = helper_crypto();
  c.backend = &backend;
  c.overlay_name = NT_OVERLAY_NAME;
  c.algorithm = "chord-128-2-8";
  c.cert = cert;
  c.self = self;
  c.role = TORC_ROLE_PEER;
  c.wall = NT_WALL;
  tweak(&c, NULL);
  int rc = torc_node_new(&n, &c, 0, &why);
  assert_true(rc == 0 ? n != NULL : n == NULL && why != NULL && why[0] != '\0');
  torc_node_free(n);
  torc_memory_backend_free(memory);
  assert_int_equal(cert->refs, 1);
  helper_cert_free(cert);
  return rc;
}

static void as_it_is(torc_node_config *c, void *ctx) {
  (void)c;
  (void)ctx;
}
static void bad_size(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->size = 4;
}
static void no_cert(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->cert = NULL;
}
static void other_id(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->self = nt_id(0x11);
}
static void no_algorithm(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->algorithm = "kademlia";
}
static void no_backend(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->backend = NULL;
}
static void client_without_backend(torc_node_config *c, void *ctx) {
  no_backend(c, ctx);
  c->role = TORC_ROLE_CLIENT;
}
static void no_name(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->overlay_name = "";
}
static void long_name(torc_node_config *c, void *ctx) {
  static char name[300];
  (void)ctx;
  memset(name, 'x', sizeof name - 1);
  c->overlay_name = name;
}
static void bad_type(torc_node_config *c, void *ctx) {
  static const torc_type_def type = {
      .id = 5, .name = "in nobody's range", .model = 1, .rule = 1, .max_values = 1};
  (void)ctx;
  c->types = &type;
  c->num_types = 1;
}
static int no_bytes(void *ctx, uint8_t *out, size_t len) {
  (void)ctx;
  (void)out;
  (void)len;
  return TORC_ERR_CRYPTO;
}
static void no_random(torc_node_config *c, void *ctx) {
  static torc_crypto crypto;
  (void)ctx;
  crypto = *helper_crypto();
  crypto.random = no_bytes;
  c->crypto = &crypto;
}

static void test_creation(void **state) {
  (void)state;
  assert_int_equal(creation(as_it_is), 0);
  assert_int_equal(creation(client_without_backend), 0);
  assert_int_equal(creation(bad_size), TORC_ERR_INVALID);
  assert_int_equal(creation(no_cert), TORC_ERR_INVALID);
  assert_int_equal(creation(other_id), TORC_ERR_CONFIG);
  assert_int_equal(creation(no_algorithm), TORC_ERR_CONFIG);
  assert_int_equal(creation(no_backend), TORC_ERR_CONFIG);
  assert_int_equal(creation(no_name), TORC_ERR_CONFIG);
  assert_int_equal(creation(long_name), TORC_ERR_CONFIG);
  assert_int_equal(creation(bad_type), TORC_ERR_CONFIG);
  assert_int_equal(creation(no_random), TORC_ERR_CRYPTO);
}

/* A job the node never asked for, or that is done already. */
static void test_strange_jobs(void **state) {
  nt *h = nt_ring(NULL);
  torc_job_result r = {.rc = 0};
  (void)state;
  assert_int_equal(torc_node_job_done(nt_node(h), 0, &r, nt_now(h)), TORC_ERR_NOTFOUND);
  assert_int_equal(torc_node_job_done(nt_node(h), 987654, &r, nt_now(h)), TORC_ERR_NOTFOUND);
  nt_free(h);
}

/* Outputs not drained: a forwarded message has only one place. */
static void test_not_drained(void **state) {
  nt *h = nt_ring(NULL);
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  (void)nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  ping(h, &m, A, &there);
  torc_slice bytes = nt_encode(h, &m);
  assert_int_equal(torc_node_input(nt_node(h), a, bytes, nt_now(h)), 0);
  assert_int_equal(torc_node_input(nt_node(h), a, bytes, nt_now(h)), TORC_ERR_STATE);
  nt_drain(h);
  assert_int_equal(torc_node_input(nt_node(h), a, bytes, nt_now(h)), 0);
  nt_drain(h);
  nt_free(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-48 D-41 flood of all links: 4096 messages at work", test_inbound_of_all),
      TORC_TEST("ARC-12 ARC-13 forwarding needs no room", test_full_but_forwarding),
      TORC_TEST("RTX-01 own requests under way are bounded", test_transactions),
      TORC_TEST("D-24 GAP-63 duplicates of many origins are bounded", test_duplicates_of_all),
      TORC_TEST("D-24 GAP-63 R-06 what may be done twice is forgotten first", test_harmless_first),
      TORC_TEST("ARC-14 what is counted", test_counters),
      TORC_TEST("ARC-15 CHD-02 what is shown", test_view),
      TORC_TEST(
          "ARC-04 ARC-16 ARC-20 ARC-22 R-09 CHD-01 D-12 GAP-143 configurations that cannot be",
          test_creation),
      TORC_TEST("D-41 jobs nobody asked for", test_strange_jobs),
      TORC_TEST("D-40 outputs are drained after each input", test_not_drained),
  };
  return TORC_RUN(tests);
}
