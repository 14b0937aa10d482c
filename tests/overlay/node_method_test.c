/* PING, TUNNEL and FIND at a node, and the application's calls for them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/pdu.h"
#include "wire/storage_pdu.h"

#define A 0x20
#define C 0xc0

typedef struct scene {
  nt *h;
  torc_link_id a;
  torc_id self;
} scene;

static scene scene_new(void) {
  scene s = {.h = nt_ring(NULL)};
  s.self = nt_self(s.h);
  s.a = nt_up(s.h, A);
  nt_clear(s.h);
  return s;
}

/* ---- PING ---- */

static nt_out *ping_codes(scene *s, const uint8_t *codes, size_t num, uint16_t code) {
  uint8_t buf[256];
  nt_msg m;
  buf[0] = (uint8_t)num;
  memcpy(buf + 1, codes, num);
  nt_request(s->h, &m, A, TORC_METHOD_PING, nt_keep(s->h, buf, num + 1));
  nt_route(&m, &s->self);
  nt_input(s->h, s->a, &m);
  return nt_expect(s->h, s->a, &m, code);
}

/* Layout by hand: response_id 8, length 2, then type 2 and value 4 each. */
static void test_ping_layout(void **state) {
  static const struct {
    const char *codes;
    size_t num_codes;
    const char *types; /* of the answer, one byte each */
    size_t num;
  } cases[] = {
      {"", 0, "", 0},
      {"\x01", 1, "\x01", 1},
      {"\x02", 1, "\x02", 1},
      {"\x01\x02", 2, "\x01\x02", 2},
      {"\x02\x01", 2, "\x02\x01", 2},                         /* in the order asked */
      {"\x01\x01\x02\x01\x02", 5, "\x01\x02", 2},             /* each once, at its first place */
      {"\x00\x03\x7f\xf0\xff\x02\x55\x01", 8, "\x02\x01", 2}, /* unknown ones are left out */
      {"\xf1", 1, "", 0},
  };
  scene s = scene_new();
  uint8_t ids[8][8];
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    nt_out *o = ping_codes(&s, (const uint8_t *)cases[i].codes, cases[i].num_codes, 200);
    const uint8_t *p = o->c.payload.p;
    assert_int_equal(o->c.payload.len, 10 + cases[i].num * 6);
    assert_int_equal(p[8] << 8 | p[9], cases[i].num * 6);
    for (size_t k = 0; k < cases[i].num; k++) {
      const uint8_t *e = p + 10 + k * 6;
      uint32_t value = (uint32_t)e[2] << 24 | (uint32_t)e[3] << 16 | (uint32_t)e[4] << 8 | e[5];
      assert_int_equal(e[0], 0);
      assert_int_equal(e[1], (uint8_t)cases[i].types[k]);
      assert_int_equal(value,
                       e[1] == 1 ? 1000000000u : 0u); /* alone: the whole ring, nothing stored */
    }
    memcpy(ids[i], p, 8);
    for (size_t k = 0; k < i; k++) {
      assert_memory_not_equal(ids[k], ids[i], 8); /* response_id is random */
    }
  }
  nt_free(s.h);
}

static void test_ping_many_codes(void **state) {
  uint8_t codes[255];
  scene s = scene_new();
  (void)state;
  memset(codes, 1, sizeof codes);
  assert_int_equal(ping_codes(&s, codes, sizeof codes, 200)->c.payload.len, 16);
  nt_free(s.h);
}

/* Half the ring belongs to the other one: (0x40.., 0xc0..]. */
static void test_ping_values(void **state) {
  scene s = scene_new();
  torc_id resource = nt_resource(A);
  nt_element e = {.type = NT_TYPE_LINE,
                  .value = "v",
                  .storage_time = NT_WALL,
                  .lifetime_s = 100,
                  .signer = nt_cert(s.h, A)};
  nt_msg m;
  (void)state;
  nt_request(s.h, &m, A, TORC_METHOD_STORE, nt_store_payload(s.h, &resource, &e, 1));
  nt_route(&m, &s.self);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_answer(s.h, NT_ANSWER_DEFAULT | 1u << TORC_METHOD_STORE);
  (void)nt_join(s.h, 0xc0);
  nt_out *o = ping_codes(&s, (const uint8_t *)"\x01\x02", 2, 200);
  torc_ping_response p;
  torc_ping_info info;
  torc_rd rd;
  assert_int_equal(torc_ping_response_decode(&p, o->c.payload), 0);
  torc_rd_init(&rd, p.infos);
  assert_true(torc_ping_info_next(&rd, &info));
  assert_int_equal(info.number, 750000000u); /* from 0xc0 to 0x80 */
  assert_true(torc_ping_info_next(&rd, &info));
  assert_int_equal(info.type, TORC_PING_NUM_RESOURCES);
  assert_int_equal(info.number, 1);
  nt_free(s.h);
}

/* The application's call asks for both and shows them. */
static void test_ping_call(void **state) {
  scene s = scene_new();
  torc_link_id c = nt_join(s.h, C);
  torc_id there = nt_id(0xb0);
  torc_token token = 0;
  uint8_t buf[64];
  torc_wr wr;
  nt_msg m;
  (void)state;
  for (unsigned with_infos = 0; with_infos < 2; with_infos++) {
    assert_int_equal(torc_node_ping(nt_node(s.h), &there, 1, 0, nt_now(s.h), &token), 0);
    nt_drain(s.h);
    nt_out *o = nt_take_request(s.h, c, TORC_METHOD_PING);
    assert_non_null(o);
    torc_slice codes;
    assert_int_equal(torc_ping_request_decode(&codes, o->c.payload), 0);
    assert_int_equal(codes.len, 2);
    torc_wr_init(&wr, buf, sizeof buf);
    size_t mark = torc_ping_response_begin(&wr, 0xabcdef);
    if (with_infos != 0) {
      torc_ping_info one = {.type = 1, .number = 123456};
      torc_ping_info two = {.type = 2, .number = 77};
      assert_int_equal(torc_ping_info_put(&wr, &one), 0);
      assert_int_equal(torc_ping_info_put(&wr, &two), 0);
    }
    torc_ping_response_end(&wr, mark);
    nt_response(s.h, &m, 0xb0, o, 200, nt_keep(s.h, buf, wr.len));
    nt_input(s.h, c, &m);
    o = nt_take_done(s.h, token);
    assert_non_null(o);
    assert_int_equal(o->event.done.rc, 0);
    assert_true(o->event.done.response_id == 0xabcdef);
    assert_int_equal(o->event.done.responsible_ppb, with_infos != 0 ? 123456 : UINT32_MAX);
    assert_int_equal(o->event.done.num_resources, with_infos != 0 ? 77 : UINT32_MAX);
  }
  nt_free(s.h);
}

/* A PING of the node to itself never leaves it. */
static void test_ping_self(void **state) {
  scene s = scene_new();
  torc_id targets[3] = {s.self, nt_id(0x10), torc_id_wildcard};
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    torc_token token = 0;
    assert_int_equal(
        torc_node_ping(nt_node(s.h), &targets[i], 1, TORC_CALL_ROUTE_LOG, nt_now(s.h), &token), 0);
    nt_drain(s.h);
    nt_out *o = nt_take_done(s.h, token);
    assert_non_null(o);
    assert_int_equal(o->event.done.rc, 0);
    assert_true(torc_id_eq(&o->event.done.responder, &s.self));
    assert_int_equal(o->event.done.responsible_ppb, 1000000000u);
    assert_int_equal(nt_count(s.h, TORC_OUT_SEND), 0);
  }
  nt_free(s.h);
}

/* A peer that is not in the ring is no way into it. */
static void test_ping_outside(void **state) {
  nt *h = nt_new(NULL);
  torc_id self = nt_self(h);
  torc_link_id a = nt_up(h, A);
  nt_msg m;
  (void)state;
  nt_request(h, &m, A, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(&m, &torc_id_wildcard);
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 503);
  nt_request(h, &m, A, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(&m, &self);
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 503);
  nt_free(h);
}

/* ---- TUNNEL ---- */

#define APP 5060

static torc_slice tunnel_payload(nt *h, uint16_t application, torc_slice dialog, torc_slice pdu) {
  torc_tunnel_data t = {.application = application, .dialog_id = dialog, .application_pdu = pdu};
  uint8_t *buf = nt_block(h, 70000);
  torc_wr wr;
  torc_wr_init(&wr, buf, 70000);
  assert_int_equal(torc_tunnel_put(&wr, &t), 0);
  return torc_wr_slice(&wr);
}

static void test_tunnel_in(void **state) {
  static uint8_t big[60000];
  const struct {
    torc_slice dialog, pdu;
  } cases[] = {
      {torc_slice_str("dialog-1"), torc_slice_str("INVITE sip:bob")},
      {torc_slice_of("\x00\xff\x80", 3), torc_slice_of("\xfe\x00", 2)}, /* raw bytes */
      {torc_slice_of(NULL, 0), torc_slice_of(NULL, 0)},
      {torc_slice_str("d"), torc_slice_of(big, sizeof big)},
  };
  scene s = scene_new();
  torc_id from = nt_id(A);
  (void)state;
  assert_int_equal(torc_node_listen(nt_node(s.h), APP, true), 0);
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    nt_msg m;
    nt_request(s.h, &m, A, TORC_METHOD_TUNNEL,
               tunnel_payload(s.h, APP, cases[i].dialog, cases[i].pdu));
    nt_route(&m, &s.self);
    nt_input(s.h, s.a, &m);
    assert_int_equal(nt_expect(s.h, s.a, &m, 200)->c.payload.len, 0); /* receipt, nothing else */
    nt_out *o = nt_take_event(s.h, TORC_EVENT_TUNNEL);
    assert_non_null(o);
    assert_true(torc_id_eq(&o->event.peer, &from));
    assert_int_equal(o->event.application, APP);
    assert_true(torc_slice_eq(o->event.dialog_id, cases[i].dialog));
    assert_true(torc_slice_eq(o->event.pdu, cases[i].pdu));
  }
  nt_free(s.h);
}

static void test_tunnel_listen(void **state) {
  scene s = scene_new();
  torc_slice info;
  nt_msg m;
  (void)state;
  for (unsigned listening = 0; listening < 3; listening++) { /* not yet, now, no more */
    assert_int_equal(torc_node_listen(nt_node(s.h), APP, listening == 1), 0);
    nt_request(s.h, &m, A, TORC_METHOD_TUNNEL,
               tunnel_payload(s.h, APP, torc_slice_str("d"), torc_slice_str("p")));
    nt_route(&m, &s.self);
    nt_input(s.h, s.a, &m);
    nt_out *o = nt_expect(s.h, s.a, &m, listening == 1 ? 200 : 404);
    if (listening != 1) {
      assert_string_equal(nt_phrase(s.h, o, &info), "Unknown Application");
    }
    assert_int_equal(nt_take_event(s.h, TORC_EVENT_TUNNEL) != NULL, listening == 1);
  }
  for (uint16_t i = 0; i < 16; i++) {
    assert_int_equal(torc_node_listen(nt_node(s.h), i, true), 0);
  }
  assert_int_equal(torc_node_listen(nt_node(s.h), 16, true), TORC_ERR_LIMIT);
  assert_int_equal(torc_node_listen(nt_node(s.h), 3, true), 0); /* once is enough */
  nt_free(s.h);
}

static void test_tunnel_out(void **state) {
  scene s = scene_new();
  torc_link_id c = nt_join(s.h, C);
  torc_id route[2] = {nt_id(C), nt_id(0xb0)};
  torc_token token = 0;
  nt_msg m;
  (void)state;
  for (unsigned code = 200; code <= 404; code += 204) {
    assert_int_equal(torc_node_tunnel(nt_node(s.h), route, 2, APP, torc_slice_str("d"),
                                      torc_slice_str("hello"), nt_now(s.h), &token),
                     0);
    nt_drain(s.h);
    nt_out *o = nt_take_request(s.h, c, TORC_METHOD_TUNNEL);
    assert_non_null(o);
    torc_tunnel_data t;
    assert_int_equal(torc_tunnel_decode(&t, o->c.payload), 0);
    assert_int_equal(t.application, APP);
    assert_true(torc_slice_eq(t.dialog_id, torc_slice_str("d")));
    assert_true(torc_slice_eq(t.application_pdu, torc_slice_str("hello")));
    nt_response(s.h, &m, 0xb0, o, (uint16_t)code, torc_slice_of(NULL, 0));
    nt_input(s.h, c, &m);
    o = nt_take_done(s.h, token);
    assert_non_null(o);
    assert_int_equal(o->event.done.rc, code == 200 ? 0 : TORC_ERR_REFUSED);
    assert_int_equal(o->event.done.code, code);
  }
  nt_free(s.h);
}

/* ---- FIND ---- */

static torc_slice find_payload(nt *h, const torc_id *resource, const uint32_t *types, size_t num) {
  uint8_t buf[300];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_find_request_put(&wr, resource, types, num), 0);
  return nt_keep(h, buf, wr.len);
}

static void store_line(scene *s, uint8_t owner) {
  torc_id resource = nt_resource(owner);
  nt_element e = {.type = NT_TYPE_LINE,
                  .value = "v",
                  .storage_time = NT_WALL,
                  .lifetime_s = 1000,
                  .signer = nt_cert(s->h, owner)};
  nt_msg m;
  nt_request(s->h, &m, A, TORC_METHOD_STORE, nt_store_payload(s->h, &resource, &e, 1));
  nt_route(&m, &s->self);
  nt_input(s->h, s->a, &m);
  (void)nt_expect(s->h, s->a, &m, 200);
}

static void test_find(void **state) {
  static const uint32_t types[] = {NT_TYPE_NOTE, NT_TYPE_HIDDEN, NT_TYPE_LINE, 0xf0abcd, 1};
  scene s = scene_new();
  torc_id first = nt_resource(A);
  torc_id second = nt_resource(0x21);
  torc_id after = torc_id_next(&first);
  torc_find_result r;
  torc_rd rd;
  nt_msg m;
  (void)state;
  store_line(&s, A);
  store_line(&s, 0x21);
  const torc_id *asked[] = {&first, &after, &second};
  const torc_id *want[] = {&first, &second, &second};
  for (size_t i = 0; i < 3; i++) {
    nt_request(s.h, &m, A, TORC_METHOD_FIND, find_payload(s.h, asked[i], types, 5));
    nt_route(&m, asked[i]);
    nt_input(s.h, s.a, &m);
    nt_out *o = nt_expect(s.h, s.a, &m, 200);
    torc_rd_init(&rd, o->c.payload);
    assert_true(torc_find_result_next(&rd, &r)); /* nothing known of this type */
    assert_int_equal(r.type, NT_TYPE_NOTE);
    assert_true(torc_id_eq(&r.closest, &torc_id_zero));
    assert_true(torc_find_result_next(&rd, &r)); /* the hidden one is left out */
    assert_int_equal(r.type, NT_TYPE_LINE);
    assert_true(torc_id_eq(&r.closest, want[i]));
    assert_true(torc_find_result_next(&rd, &r)); /* unknown type: 0 */
    assert_int_equal(r.type, 0xf0abcd);
    assert_true(torc_id_eq(&r.closest, &torc_id_zero));
    assert_false(torc_find_result_next(&rd, &r)); /* SIP-REGISTRATION is not findable */
    assert_int_equal(rd.err, 0);
  }
  uint8_t raw[TORC_ID_LEN + 7] = {
      0}; /* by hand: our encoder writes neither a type twice nor an empty list */
  memcpy(raw, first.b, TORC_ID_LEN);
  nt_request(s.h, &m, A, TORC_METHOD_FIND, torc_slice_of(raw, TORC_ID_LEN + 1));
  nt_route(&m, &first);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 400);
  raw[TORC_ID_LEN] = 6;
  raw[TORC_ID_LEN + 1] = raw[TORC_ID_LEN + 4] = 0xf0;
  raw[TORC_ID_LEN + 3] = raw[TORC_ID_LEN + 6] = 0x02;
  nt_request(s.h, &m, A, TORC_METHOD_FIND, torc_slice_of(raw, sizeof raw));
  nt_route(&m, &first);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 400);
  nt_free(s.h);
}

/* 85 types fill the list. */
static void test_find_most(void **state) {
  uint32_t types[85];
  scene s = scene_new();
  torc_id id = nt_id(0x10);
  nt_msg m;
  (void)state;
  for (uint32_t i = 0; i < 85; i++) {
    types[i] = 0xf01000 + i;
  }
  nt_request(s.h, &m, A, TORC_METHOD_FIND, find_payload(s.h, &id, types, 85));
  nt_route(&m, &id);
  nt_input(s.h, s.a, &m);
  assert_int_equal(nt_expect(s.h, s.a, &m, 200)->c.payload.len, 85 * 19);
  nt_free(s.h);
}

static void test_find_elsewhere(void **state) {
  static const uint32_t type = NT_TYPE_LINE;
  scene s = scene_new();
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  (void)nt_join(s.h, C);
  nt_request(s.h, &m, A, TORC_METHOD_FIND, find_payload(s.h, &there, &type, 1));
  nt_route(&m, &s.self); /* sent here though the resource is another's */
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 404);
  nt_free(s.h);
}

static void test_find_call(void **state) {
  scene s = scene_new();
  torc_link_id c = nt_join(s.h, C);
  torc_id there = nt_id(0xb0);
  torc_id near = nt_id(0xb5);
  uint32_t types[2] = {NT_TYPE_LINE, NT_TYPE_NOTE};
  torc_token token = 0;
  uint8_t buf[64];
  torc_wr wr;
  nt_msg m;
  (void)state;
  assert_int_equal(torc_node_find(nt_node(s.h), &there, types, 2, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_out *o = nt_take_request(s.h, c, TORC_METHOD_FIND);
  assert_non_null(o);
  torc_find_result r = {.type = NT_TYPE_NOTE, .closest = near};
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_find_result_put(&wr, &r), 0); /* the other type was left out */
  nt_response(s.h, &m, C, o, 200, torc_wr_slice(&wr));
  nt_input(s.h, c, &m);
  o = nt_take_done(s.h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.rc, 0);
  assert_int_equal(o->event.done.num_found, 2);
  assert_true(torc_id_eq(&o->event.done.found[0], &torc_id_zero));
  assert_true(torc_id_eq(&o->event.done.found[1], &near));
  assert_int_equal(torc_node_find(nt_node(s.h), &there, types, 0, nt_now(s.h), &token),
                   TORC_ERR_INVALID);
  nt_free(s.h);
}

/* ---- names ---- */

static void test_names(void **state) {
  scene s = scene_new();
  torc_id id;
  torc_id want = nt_resource(A);
  uint32_t type = 0;
  uint8_t model = 0;
  (void)state;
  assert_int_equal(torc_node_resource_id(nt_node(s.h), torc_slice_str("user20@EXAMPLE.org."), &id),
                   0);
  assert_true(torc_id_eq(&id, &want)); /* host part in lower case */
  assert_int_equal(torc_node_type(nt_node(s.h), torc_slice_str("note"), &type, &model), 0);
  assert_int_equal(type, NT_TYPE_NOTE);
  assert_int_equal(model, TORC_TYPE_DICTIONARY);
  assert_int_equal(torc_node_type(nt_node(s.h), torc_slice_str("unheard-of"), &type, &model),
                   TORC_ERR_NOTFOUND);
  nt_free(s.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("PNG-02..04 PNG-07..11 R-35 R-44 GAP-65 what a PING is answered", test_ping_layout),
      TORC_TEST("PNG-10 R-35 255 times the same code", test_ping_many_codes),
      TORC_TEST("PNG-05 PNG-06 GAP-67 own share and number of resources", test_ping_values),
      TORC_TEST("PNG-01 PNG-07 PNG-09 GAP-65 the call PING", test_ping_call),
      TORC_TEST("PNG-01 RTG-23 a PING to oneself", test_ping_self),
      TORC_TEST("BST-07 GAP-59 no way in leads through a peer outside the ring", test_ping_outside),
      TORC_TEST("TUN-01..06 GAP-10 GAP-84 a TUNNEL arrives", test_tunnel_in),
      TORC_TEST("R-32 TUN-03 GAP-76 an application nobody listens to", test_tunnel_listen),
      TORC_TEST("TUN-01 TUN-06 RTG-07 the call TUNNEL", test_tunnel_out),
      TORC_TEST("FND-01..04 FND-06..11 GAP-105 R-22 R-36 FIND", test_find),
      TORC_TEST("FND-02 FND-07 FIND for 85 types", test_find_most),
      TORC_TEST("FND-05 R-49 FIND where another is responsible", test_find_elsewhere),
      TORC_TEST("FND-01 FND-08 FND-10 the call FIND", test_find_call),
      TORC_TEST("ARC-17 GAP-108 resource-ids and types by name", test_names),
  };
  return TORC_RUN(tests);
}
