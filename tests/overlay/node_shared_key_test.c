/* A node of a shared-key overlay: nothing is signed, peer-ids are claims.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/storage_pdu.h"

#define A 0x20

static void shared(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->is_shared_key = true;
  c->keep_certificate = true; /* does not count */
}

static nt *shared_ring(void) {
  const nt_options o = {.tweak = shared};
  return nt_ring(&o);
}

/* The answer to `m`: nt_expect would look for a signature. */
static nt_out *answer_to(nt *h, const nt_msg *m, uint16_t code) {
  nt_out *o = nt_take_xid(h, m->hdr.xid);
  assert_non_null(o);
  assert_true(o->c.is_response);
  assert_int_equal(o->c.code, code);
  assert_false(o->c.signature.is_present);
  return o;
}

static void test_unsigned(void **state) {
  nt *h = shared_ring();
  torc_id self = nt_self(h);
  torc_link_id a = nt_up(h, A);
  nt_msg m;
  (void)state;
  nt_clear(h);
  nt_request(h, &m, A, TORC_METHOD_PING, nt_ping_payload(h));
  m.signer = NULL;
  nt_route(&m, &self);
  nt_input(h, a, &m);
  (void)answer_to(h, &m, TORC_CODE_OK);
  nt_input(h, a, &m); /* [D-24] the same again */
  (void)answer_to(h, &m, TORC_CODE_OK);
  assert_int_equal(nt_counter(h, "duplicates_answered"), 1);
  nt_request(h, &m, A, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(&m, &self); /* signed: not of this overlay */
  nt_input(h, a, &m);
  (void)answer_to(h, &m, TORC_CODE_BAD_REQUEST);
  assert_int_equal(nt_counter(h, "jobs_sign") + nt_counter(h, "jobs_verify"), 0);
  nt_advance(h, TORC_SEC(60));
  assert_int_equal(nt_counter(h, "certificate_checks"), 0);
  nt_free(h);
}

static uint16_t store(nt *h, torc_link_id a, const torc_id *resource, nt_element e) {
  nt_msg m;
  nt_request(h, &m, A, TORC_METHOD_STORE, nt_store_payload(h, resource, &e, 1));
  m.signer = NULL;
  nt_route(&m, resource);
  nt_input(h, a, &m);
  nt_out *o = nt_take_xid(h, m.hdr.xid);
  assert_non_null(o);
  return o->c.code;
}

static void test_values(void **state) {
  nt *h = shared_ring();
  torc_link_id a = nt_up(h, A);
  torc_id resource = nt_resource(0x55); /* nobody's here */
  torc_token token = 0;
  const torc_fetch_item item = {.type = NT_TYPE_LINE};
  nt_element e = {
      .type = NT_TYPE_LINE, .value = "mine", .storage_time = NT_WALL, .lifetime_s = 3600};
  (void)state;
  assert_int_equal(store(h, a, &resource, e), TORC_CODE_OK);
  e.signer = nt_cert(h, 0x55);
  assert_int_equal(store(h, a, &resource, e), TORC_CODE_FORBIDDEN); /* signed */
  assert_int_equal(torc_node_fetch(nt_node(h), &resource, &item, 1, nt_now(h), &token), 0);
  nt_drain(h);
  const torc_done *done = &nt_take_done(h, token)->event.done;
  assert_int_equal(done->rc, 0);
  assert_int_equal(done->num_values, 1);
  assert_true(torc_slice_eq(done->values[0].value, torc_slice_str("mine")));
  assert_null(done->values[0].signer);
  const torc_store_item own = {
      .type = NT_TYPE_LINE, .value = torc_slice_str("over it"), .lifetime_s = 60};
  assert_int_equal(torc_node_store(nt_node(h), &resource, &own, 1, nt_now(h), &token), 0);
  nt_drain(h);
  assert_int_equal(nt_take_done(h, token)->event.done.rc, 0);
  const torc_fetch_item gone = {.type = NT_TYPE_LINE, .generation = 2};
  assert_int_equal(torc_node_remove(nt_node(h), &resource, &gone, 1, nt_now(h), &token), 0);
  nt_drain(h);
  assert_int_equal(nt_take_done(h, token)->event.done.rc, 0);
  nt_free(h);
}

/* [GAP-66] the first via entry, else the link. */
static void test_claims(void **state) {
  nt *h = shared_ring();
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  torc_id far = nt_id(0x66);
  torc_token token = 0;
  nt_msg m;
  (void)state;
  nt_clear(h);
  torc_id route = nt_id(A);
  assert_int_equal(torc_node_ping(nt_node(h), &route, 1, 0, nt_now(h), &token), 0);
  nt_drain(h);
  nt_out *ping = nt_take_request(h, a, TORC_METHOD_PING);
  if (ping == NULL) { /* acted peers answer PING */
    nt_answer(h, 0);
    assert_int_equal(torc_node_ping(nt_node(h), &route, 1, 0, nt_now(h), &token), 0);
    nt_drain(h);
    ping = nt_take_request(h, a, TORC_METHOD_PING);
  }
  assert_non_null(ping);
  assert_false(ping->c.signature.is_present);
  nt_response(h, &m, A, ping, TORC_CODE_OK, nt_pong_payload(h, 5));
  m.signer = NULL;
  nt_via(&m, &far);
  nt_input(h, a, &m);
  const torc_done *done = &nt_take_done(h, token)->event.done;
  assert_int_equal(done->rc, 0);
  assert_memory_equal(&done->responder, &far, sizeof far);
  (void)self;
  nt_free(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("SIG-11 SEC-08 GAP-25 messages without signature", test_unsigned),
      TORC_TEST("SEC-08 GAP-106 values without signature, everybody's", test_values),
      TORC_TEST("GAP-66 whom an answer comes from", test_claims),
  };
  return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
