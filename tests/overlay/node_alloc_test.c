/* The n-th allocation fails, for every n of a scene in which a node does everything once: it goes
 * on, and gives back all it had. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/pdu.h"
#include "wire/storage_pdu.h"

#define A 0x20
#define C 0xc0
#define APP 7777
#define CANDIDATE "candidate:1 1 TCP 1 192.0.2.9 6084 typ host tcptype passive"

static void tweak(torc_node_config *c, void *ctx) {
  static const torc_endpoint cached = {.host = "192.0.2.1", .port = 1};
  static const torc_endpoint boot = {.host = "192.0.2.2", .port = 2};
  helper_mem *m = (helper_mem *)(uintptr_t)c->mem->ctx;
  const helper_mem *plan = ctx;
  c->may_found = true;
  c->cached = &cached;
  c->num_cached = 1;
  c->bootstrap = &boot;
  c->num_bootstrap = 1;
  c->compress_via = true;
  m->fail_at = plan->fail_at;
  m->fail_rest = plan->fail_rest;
}

/* Ends whatever the platform is asked for. */
static void serve(nt *h) {
  torc_connect_params p;
  nt_out *o = NULL;
  while ((o = nt_take(h, TORC_OUT_OPEN)) != NULL) {
    nt_open_failed(h, o->token, TORC_ERR_IO);
  }
  nt_params(&p, "passive");
  while ((o = nt_take(h, TORC_OUT_OFFER_NEEDED)) != NULL) {
    (void)!torc_node_offer_ready(nt_node(h), o->token, &p, nt_now(h));
    nt_drain(h);
  }
  while ((o = nt_take(h, TORC_OUT_ANSWER_NEEDED)) != NULL) {
    (void)!torc_node_answer_ready(nt_node(h), o->token, &p, 0, nt_now(h));
    nt_drain(h);
  }
  while ((o = nt_take(h, TORC_OUT_CONNECT)) != NULL) {
    nt_open_failed(h, o->token, TORC_ERR_TIMEOUT);
  }
}

static void pass(nt *h, torc_time duration) {
  for (unsigned i = 0; i < 4; i++) {
    serve(h);
    nt_advance(h, duration / 4);
  }
}

static void send(nt *h, torc_link_id link, uint8_t signer, uint16_t method, const torc_id *to,
                 torc_slice payload) {
  nt_msg m;
  nt_request(h, &m, signer, method, payload);
  nt_route(&m, to);
  if (signer != A && signer != C) {
    torc_id via = nt_id(signer);
    nt_via(&m, &via);
    m.hdr.flags = TORC_FLAG_ROUTE_LOG;
  }
  nt_input(h, link, &m);
  nt_input(h, link, &m);
  serve(h);
}

static torc_slice tunnel_payload(nt *h) {
  torc_tunnel_data t = {.application = APP, .application_pdu = torc_slice_str("x")};
  uint8_t buf[64];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_tunnel_put(&wr, &t), 0);
  return nt_keep(h, buf, wr.len);
}

static torc_slice find_payload(nt *h, const torc_id *resource) {
  uint32_t type = NT_TYPE_LINE;
  uint8_t buf[64];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_find_request_put(&wr, resource, &type, 1), 0);
  return nt_keep(h, buf, wr.len);
}

/* Requests of others. */
static void requests(nt *h, torc_link_id a, torc_link_id c) {
  torc_id self = nt_self(h);
  torc_id there = nt_id(0xb0);
  torc_id resource = nt_resource(A);
  uint32_t type = NT_TYPE_NOTE;
  uint64_t generation = 1;
  nt_element e[2] = {
      {.type = NT_TYPE_NOTE, .key = "k", .value = "v", .storage_time = NT_WALL, .lifetime_s = 999},
      {.type = NT_TYPE_LINE, .value = "v", .storage_time = NT_WALL, .lifetime_s = 999}};
  e[0].signer = e[1].signer = nt_cert(h, A);
  send(h, a, A, TORC_METHOD_PING, &self, nt_ping_payload(h));
  send(h, a, 0x31, TORC_METHOD_PING, &there, nt_ping_payload(h));
  send(h, a, 0x31, TORC_METHOD_TUNNEL, &self, tunnel_payload(h));
  send(h, a, A, TORC_METHOD_STORE, &resource, nt_store_payload(h, &resource, e, 2));
  pass(h, TORC_SEC(3));
  send(h, a, A, TORC_METHOD_FETCH, &resource, nt_fetch_payload(h, &resource, &type, NULL, 1));
  send(h, a, A, TORC_METHOD_FIND, &resource, find_payload(h, &resource));
  send(h, a, A, TORC_METHOD_REMOVE, &resource,
       nt_fetch_payload(h, &resource, &type, &generation, 1));
  send(h, a, 0x31, TORC_METHOD_CONNECT, &self, nt_connect_payload(h, "passive", 6084, CANDIDATE));
  send(h, a, 0x31, 0x7fff, &self, nt_ping_payload(h));
  send(h, c, C, TORC_METHOD_UPDATE, &self,
       nt_update_payload(h, (uint8_t[]){0x80, 0}, (uint8_t[]){0xd0, 0x80, 0}));
  nt_msg m;
  nt_request(h, &m, A, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(&m, &self);
  m.hdr.overlay = 1;
  nt_input(h, a, &m);
  m.hdr.overlay = NT_OVERLAY_CRC;
  m.signer = NULL;
  nt_input(h, a, &m);
}

/* What the application asks; a call that began ends with its event. */
static void calls(nt *h, torc_link_id c) {
  torc_id there = nt_id(0xb0);
  torc_id own = nt_resource(NT_SELF);
  torc_store_item item = {.type = NT_TYPE_LINE, .value = torc_slice_str("x"), .lifetime_s = 99};
  torc_fetch_item get = {.type = NT_TYPE_LINE};
  uint32_t type = NT_TYPE_LINE;
  torc_token tokens[8];
  int rc[8];
  torc_node *n = nt_node(h);
  torc_time now = nt_now(h);
  nt_msg m;
  rc[0] = torc_node_store(n, &own, &item, 1, now, &tokens[0]);
  nt_drain(h);
  rc[1] = torc_node_fetch(n, &own, &get, 1, now, &tokens[1]);
  rc[2] = torc_node_ping(n, &there, 1, TORC_CALL_ROUTE_LOG, now, &tokens[2]);
  rc[3] = torc_node_find(n, &there, &type, 1, now, &tokens[3]);
  rc[4] = torc_node_tunnel(n, &there, 1, APP, torc_slice_str("d"), torc_slice_str("p"), now,
                           &tokens[4]);
  rc[5] = torc_node_connect(n, &there, 1, now, &tokens[5]);
  rc[6] = torc_node_ping(n, &there, 1, TORC_CALL_ITERATIVE, now, &tokens[6]);
  rc[7] = torc_node_remove(n, &own, &get, 1, now, &tokens[7]);
  nt_drain(h);
  serve(h);
  nt_out *o = nt_take_request(h, c, TORC_METHOD_PING);
  if (o != NULL) {
    nt_response(h, &m, 0xb0, o, 200, nt_pong_payload(h, 1));
    nt_input(h, c, &m);
  }
  o = nt_take_request(h, c, TORC_METHOD_TUNNEL);
  if (o != NULL) {
    nt_response(h, &m, 0xb0, o, 404, torc_slice_of(NULL, 0));
    nt_input(h, c, &m);
  }
  pass(h, TORC_SEC(80));
  for (size_t i = 0; i < 8; i++) {
    if (rc[i] == 0 && nt_take_done(h, tokens[i]) == NULL) {
      fail_msg("call %zu did not end; allocation %llu", i, (unsigned long long)nt_mem(h)->fail_at);
    }
  }
}

static void join(nt *h, torc_link_id link, uint8_t first) {
  torc_id id = nt_id(first);
  torc_id self = nt_self(h);
  nt_msg m;
  nt_request(h, &m, first, TORC_METHOD_JOIN, nt_notice_payload(h, &id));
  nt_route(&m, &self);
  nt_input(h, link, &m);
  pass(h, TORC_SEC(1));
}

/* One run; the number of allocations it made. */
static uint64_t run(uint64_t fail_at, bool fail_rest) {
  helper_mem plan = {.fail_at = fail_at, .fail_rest = fail_rest};
  nt_options o = {.tweak = tweak, .ctx = &plan};
  nt *h = nt_new(&o);
  uint64_t num = 0;
  if (nt_node(h) == NULL) {
    num = nt_mem(h)->num_calls;
    nt_free(h);
    return num;
  }
  (void)!torc_node_listen(nt_node(h), APP, true);
  nt_start(h);
  pass(h, TORC_SEC(8));
  torc_link_id a = nt_up(h, A);
  torc_link_id c = nt_up(h, C);
  join(h, c, C);
  requests(h, a, c);
  calls(h, c);
  torc_link_id again = nt_up_token(h, A, TORC_LINK_WS, 0, nt_cert(h, A));
  pass(h, TORC_SEC(70));
  nt_down(h, a);
  nt_down(h, c);
  pass(h, TORC_SEC(30));
  num = nt_mem(h)->num_calls;
  nt_mem(h)->fail_at = 0; /* memory is there again: it still serves */
  nt_mem(h)->fail_rest = false;
  pass(h, TORC_SEC(200));
  nt_clear(h);
  torc_link_id fresh = nt_up(h, 0x21);
  torc_id self = nt_self(h);
  nt_msg m;
  nt_request(h, &m, 0x21, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(&m, &self);
  nt_input(h, fresh, &m);
  (void)nt_expect(h, fresh, &m, 200);
  nt_down(h, again);
  (void)!torc_node_leave(nt_node(h), nt_now(h));
  nt_drain(h);
  if (fail_at % 2 == 0) { /* with or without its farewells */
    nt_advance(h, TORC_SEC(5));
  }
  nt_free(h); /* which checks that nothing is held */
  return num;
}

static void test_one(void **state) {
  uint64_t num = run(0, false);
  (void)state;
  assert_true(num > 500);
  for (uint64_t i = 1; i <= num; i++) {
    (void)run(i, false);
  }
}

/* From the n-th on nothing is to be had for the rest of the scene. */
static void test_all(void **state) {
  uint64_t num = run(0, false);
  (void)state;
  for (uint64_t i = 1; i <= num; i += 3) {
    (void)run(i, true);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-40 the n-th allocation fails", test_one),
      TORC_TEST("D-40 from the n-th allocation on all fail", test_all),
  };
  return TORC_RUN(tests);
}
