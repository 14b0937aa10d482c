/* Forwarding header at a node: what is refused, dropped, kept and rewritten.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"

#define A 0x20 /* a client link */
#define C 0xc0 /* a member of the ring: what lies in (0x80, 0xc0] goes to it */

static void ping(nt *h, nt_msg *m, const torc_id *target) {
  nt_request(h, m, A, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(m, target);
}

/* The link still works and the node still answers. */
static void expect_alive(nt *h, torc_link_id link) {
  torc_id self = nt_self(h);
  nt_msg m;
  nt_clear(h);
  nt_advance(h, TORC_SEC(2));
  ping(h, &m, &self);
  nt_input(h, link, &m);
  (void)nt_expect(h, link, &m, TORC_CODE_OK);
}

/* ---- header faults ---- */

typedef struct fault {
  const char *counter;
  void (*spoil)(nt_msg *m);
  uint16_t code;
  const char *phrase;
} fault;

static void other_overlay(nt_msg *m) {
  m->hdr.overlay = NT_OVERLAY_CRC ^ 1;
}
static void version_0(nt_msg *m) {
  m->hdr.version = 0;
}
static void version_2(nt_msg *m) {
  m->hdr.version = 2;
}
static void version_10(nt_msg *m) {
  m->hdr.version = 0x0a;
}
static void experimental(nt_msg *m) {
  m->hdr.experimental = true;
}
static void routing_3(nt_msg *m) {
  m->hdr.routing = 3;
}
static void routing_255(nt_msg *m) {
  m->hdr.routing = 255;
}

static fault faults[] = {
    {"drop_overlay", other_overlay, 498, "Incompatible with Overlay"},
    {"drop_version", version_0, 498, "Incompatible with Overlay"},
    {"drop_version", version_2, 498, "Incompatible with Overlay"},
    {"drop_version", version_10, 498, "Incompatible with Overlay"},
    {"drop_version", experimental, 498, "Incompatible with Overlay"},
    {"error_499", routing_3, 499, "UnWilling To Proxy"},
    {"error_499", routing_255, 499, "UnWilling To Proxy"},
};

/* Refused whether it is for this peer or for another, along the via list, unsigned or not.
 */
static void test_fault(void **state) {
  const fault *f = *state;
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  torc_id there = nt_id(0xb0);
  const torc_id *targets[] = {&self, &there};
  for (size_t i = 0; i < 2; i++) {
    torc_id hops[2] = {nt_id(0x01), nt_id(0x02)};
    torc_slice info;
    nt_msg m;
    uint64_t before = nt_counter(h, f->counter);
    ping(h, &m, targets[i]);
    nt_via(&m, &hops[0]);
    nt_via(&m, &hops[1]);
    f->spoil(&m);
    nt_input(h, a, &m);
    nt_out *o = nt_expect(h, a, &m, f->code);
    assert_int_equal(o->hdr.overlay, NT_OVERLAY_CRC); /* its own, and signed over that */
    assert_string_equal(nt_phrase(h, o, &info), f->phrase);
    assert_int_equal(info.len, 0);
    assert_int_equal(torc_id_list_len(o->hdr.route), 3);
    torc_id want[3] = {nt_id(A), hops[1], hops[0]};
    assert_memory_equal(o->hdr.route.p, want, sizeof want);
    assert_int_equal(nt_counter(h, f->counter), before + 1);
  }
  assert_null(nt_take_request(h, c, TORC_METHOD_PING)); /* nothing went on */
  expect_alive(h, a);
  nt_free(h);
}

/* Errors answer requests only, and no fragment but the first. */
static void test_fault_no_error(void **state) {
  const fault *f = *state;
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  ping(h, &m, &self);
  m.is_response = true;
  m.code = 200;
  f->spoil(&m);
  nt_input(h, a, &m);
  nt_expect_nothing(h, &m);
  ping(h, &m, &self);
  m.hdr.is_fragment = true;
  m.hdr.fragment_units = 4;
  f->spoil(&m);
  nt_input(h, a, &m);
  nt_expect_nothing(h, &m);
  assert_int_equal(nt_counter(h, "error_498") + nt_counter(h, "error_499"), 0);
  nt_free(h);
}

static void test_routing_values(void **state) {
  static const uint8_t good[] = {0, 1, 2};
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  (void)state;
  for (size_t i = 0; i < sizeof good; i++) {
    nt_msg m;
    ping(h, &m, &self);
    m.hdr.routing = good[i];
    nt_input(h, a, &m);
    assert_int_equal(nt_expect(h, a, &m, 200)->hdr.routing, good[i]);
  }
  nt_free(h);
}

/* A response with an unknown Routing goes on recursively, unjudged. */
static void test_routing_of_response(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id client = nt_id(A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  for (unsigned routing = 2; routing <= 9; routing += 7) {
    nt_request(h, &m, C, 200, nt_ping_payload(h));
    m.is_response = true;
    m.hdr.routing = (uint8_t)routing;
    nt_route(&m, &self);
    nt_route(&m, &client);
    nt_input(h, c, &m);
    nt_out *o = nt_take_xid(h, m.hdr.xid);
    assert_non_null(o);
    assert_int_equal(o->link, a);
    assert_int_equal(o->hdr.routing, routing);
    assert_true(o->c.is_response);
  }
  nt_free(h);
}

/* ---- rate of unverified errors ---- */

static void test_error_rate(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_link_id b = nt_up(h, 0x21);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  for (unsigned second = 0; second < 3; second++) {
    for (unsigned i = 0; i < 25; i++) {
      ping(h, &m, &self);
      other_overlay(&m);
      nt_input(h, a, &m);
    }
    assert_int_equal(nt_count(h, TORC_OUT_SEND), 10);
    assert_int_equal(nt_counter(h, "drop_error_rate"), 15 * (second + 1));
    nt_clear(h);
    nt_advance(h, TORC_SEC(1));
  }
  for (unsigned i = 0; i < 11; i++) { /* a missing signature counts as well */
    ping(h, &m, &self);
    m.signer = NULL;
    nt_input(h, a, &m);
  }
  assert_int_equal(nt_count(h, TORC_OUT_SEND), 10);
  assert_int_equal(nt_counter(h, "drop_error_rate"), 46);
  m.hdr.xid = nt_xid(h);
  nt_input(h, b, &m); /* another link has its own ten */
  (void)nt_expect(h, b, &m, 401);
  ping(h, &m, &self); /* errors to signed requests are not limited */
  m.code = 0x7000;
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 405);
  nt_free(h);
}

/* ---- TTL ---- */

static void test_ttl_here(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  (void)state;
  for (uint8_t ttl = 0; ttl < 3; ttl++) {
    nt_msg m;
    ping(h, &m, &self);
    m.hdr.ttl = ttl;
    nt_input(h, a, &m);
    (void)nt_expect(h, a, &m, 200); /* which checks the fresh TTL of the answer */
  }
  nt_free(h);
}

static void test_ttl_forward(void **state) {
  static const struct {
    uint8_t in;
    bool goes_on;
  } cases[] = {{0, false}, {1, false}, {2, true}, {100, true}, {255, true}};
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id there = nt_id(0xb0);
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    uint64_t dropped = nt_counter(h, "drop_ttl");
    nt_msg m;
    ping(h, &m, &there);
    m.hdr.ttl = cases[i].in;
    nt_input(h, a, &m);
    nt_out *o = nt_take_xid(h, m.hdr.xid);
    if (cases[i].goes_on) {
      assert_non_null(o);
      assert_int_equal(o->link, c);
      assert_int_equal(o->hdr.ttl, cases[i].in - 1);
    } else {
      assert_null(o); /* and no error either */
    }
    assert_int_equal(nt_counter(h, "drop_ttl"), dropped + (cases[i].goes_on ? 0 : 1));
  }
  nt_free(h);
}

static void ttl_7(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->initial_ttl = 7;
}

static void test_ttl_own(void **state) {
  static const nt_options seven = {.tweak = ttl_7};
  const nt_options *options[] = {NULL, &seven};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    nt *h = nt_ring(options[i]);
    torc_link_id c = nt_join(h, C);
    torc_id there = nt_id(0xb0);
    torc_token token = 0;
    assert_int_equal(torc_node_ping(nt_node(h), &there, 1, 0, nt_now(h), &token), 0);
    nt_drain(h);
    nt_out *o = nt_take_request(h, c, TORC_METHOD_PING);
    assert_non_null(o);
    assert_int_equal(o->hdr.ttl, i == 0 ? 100 : 7);
    assert_int_equal(o->hdr.overlay, NT_OVERLAY_CRC);
    assert_int_equal(o->hdr.routing, TORC_ROUTING_RECURSIVE);
    assert_int_equal(o->hdr.version, 1);
    assert_false(o->hdr.experimental || o->hdr.is_fragment || o->hdr.is_last_fragment);
    assert_int_equal(o->hdr.fragment_units, 0);
    assert_int_equal(o->hdr.flags, 0);
    assert_int_equal(o->hdr.via.len, 0);
    assert_int_equal(o->c.reserved, 0);
    assert_true(nt_is_signed_by(h, o, nt_cert(h, NT_SELF)));
    nt_free(h);
  }
}

/* ---- bytes ---- */

/* Every octet of a forwarded message, laid out by hand. The contents are somebody's affair: "body".
 */
static void test_forward_bytes(void **state) {
  static const char in[] =
      "52454c4f d257de59 05 01 0000 01 00004c 0123456789abcdef 02 01 fff0"
      "80111111111111111111111111111111 b0222222222222222222222222222222"
      "07070707070707070707070707070707";
  static const char out[] =
      "52454c4f d257de59 04 01 0000 01 00004c 0123456789abcdef 01 02 fff0"
      "b0222222222222222222222222222222"
      "07070707070707070707070707070707 20111111111111111111111111111111";
  uint8_t bytes[256], want[256];
  size_t len = torc_unhex(in, bytes, sizeof bytes);
  size_t want_len = torc_unhex(out, want, sizeof want);
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  (void)state;
  nt_input_bytes(h, a, torc_slice_of(bytes, len));
  nt_out *o = nt_take_xid(h, 0x0123456789abcdefu);
  assert_non_null(o);
  assert_int_equal(o->link, c);
  assert_int_equal(o->bytes.len, want_len);
  assert_memory_equal(o->bytes.p, want, want_len);
  assert_int_equal(nt_counter(h, "messages_forwarded"), 1);
  nt_free(h);
}

/* Undefined flag bits travel; Length follows the lists; in an answer they are zero. */
static void test_flags(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  ping(h, &m, &there);
  m.hdr.flags = 0xfffe;
  nt_input(h, a, &m);
  nt_out *o = nt_take_xid(h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, c);
  assert_int_equal(o->hdr.flags, 0xfffe);
  assert_int_equal(o->hdr.length, o->bytes.len);
  assert_int_equal(o->bytes.len, nt_encode(h, &m).len + TORC_ID_LEN);
  ping(h, &m, &self);
  m.hdr.flags = 0xfffe;
  nt_input(h, a, &m);
  assert_int_equal(nt_expect(h, a, &m, 200)->hdr.flags, 0);
  ping(h, &m, &self);
  m.hdr.flags = 0xffff;
  nt_input(h, a, &m);
  assert_int_equal(nt_expect(h, a, &m, 200)->hdr.flags, TORC_FLAG_ROUTE_LOG);
  nt_free(h);
}

/* FRAG=0: LFRG and offset mean nothing. */
static void test_lfrg_without_frag(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  ping(h, &m, &self);
  m.hdr.is_last_fragment = true;
  m.hdr.fragment_units = 77;
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 200);
  ping(h, &m, &self);
  m.hdr.is_fragment = true; /* a part of a message, and its length no multiple of 8 */
  nt_input(h, a, &m);
  nt_expect_nothing(h, &m);
  assert_int_equal(nt_counter(h, "fragments_in"), 1);
  nt_free(h);
}

/* Fragments of others pass like messages. */
static void test_fragment_passes(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  ping(h, &m, &there);
  m.hdr.is_fragment = true;
  m.hdr.is_last_fragment = true;
  m.hdr.fragment_units = 0x1234;
  nt_input(h, a, &m);
  nt_out *o = nt_take_xid(h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, c);
  assert_true(o->hdr.is_fragment && o->hdr.is_last_fragment);
  assert_int_equal(o->hdr.fragment_units, 0x1234);
  nt_free(h);
}

/* ---- malformed ---- */

/* Ids that may not be in a list: dropped and counted, the link stays [R-11] [GAP-37]. */
static void test_bad_ids(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  const torc_id *bad[] = {&torc_id_zero, &torc_id_wildcard};
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    nt_msg m;
    ping(h, &m, &self);
    if (i == 2) {
      nt_route(&m, &torc_id_zero);
    } else {
      nt_via(&m, bad[i]);
    }
    nt_input(h, a, &m);
    nt_expect_nothing(h, &m);
    assert_int_equal(nt_counter(h, "drop_header"), i + 1);
  }
  assert_int_equal(nt_count(h, TORC_OUT_CLOSE), 0);
  expect_alive(h, a);
  nt_free(h);
}

static void test_magic(void **state) {
  static const uint8_t later[] = {0xd2, 0x45, 0x4c, 0x4f};
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  ping(h, &m, &self);
  torc_slice bytes = nt_encode(h, &m);
  memcpy((uint8_t *)(uintptr_t)bytes.p, later, sizeof later);
  nt_input_bytes(h, a, bytes);
  nt_expect_nothing(h, &m);
  assert_int_equal(nt_counter(h, "drop_not_reload"), 1);
  ((uint8_t *)(uintptr_t)bytes.p)[0] = 'X';
  nt_input_bytes(h, a, bytes);
  assert_int_equal(nt_counter(h, "drop_header"), 1);
  expect_alive(h, a);
  nt_free(h);
}

/* The parts of a good request, each cut off at every length and with every bit turned: nothing
 * breaks, and nothing but an unchanged request is executed. */
static void test_cut(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  ping(h, &m, &self);
  nt_via(&m, &self);
  torc_slice whole = nt_encode(h, &m);
  for (size_t len = 0; len < whole.len; len++) {
    uint8_t copy[1024];
    memcpy(copy, whole.p, whole.len);
    nt_input_bytes(h, a, torc_slice_of(copy, len)); /* Length does not fit */
    copy[13] = 0;
    copy[14] = (uint8_t)(len >> 8);
    copy[15] = (uint8_t)len;
    nt_input_bytes(h, a, torc_slice_of(copy, len)); /* Length does */
    nt_clear(h);
  }
  assert_int_equal(nt_counter(h, "requests_received"), 0);
  expect_alive(h, a);
  nt_free(h);
}

static void test_flip(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  (void)c;
  ping(h, &m, &self);
  nt_via(&m, &self);
  torc_slice whole = nt_encode(h, &m);
  size_t head = TORC_HEADER_FIXED + 2 * TORC_ID_LEN;
  uint64_t before = nt_counter(h, "requests_received");
  for (size_t bit = 0; bit < whole.len * 8; bit++) {
    uint8_t copy[1024];
    memcpy(copy, whole.p, whole.len);
    copy[bit / 8] = (uint8_t)(copy[bit / 8] ^ (1u << (bit % 8)));
    nt_input_bytes(h, a, torc_slice_of(copy, whole.len));
    if (bit / 8 >= head) {
      assert_int_equal(nt_counter(h, "requests_received"), before); /* all of it is signed */
    } else {
      before = nt_counter(h, "requests_received");
    }
    nt_clear(h);
  }
  expect_alive(h, a);
  nt_free(h);
}

/* ---- sizes ---- */

static void test_big_body(void **state) {
  static uint8_t filler[140000];
  nt *h = nt_ring(NULL);
  torc_link_id c = nt_join(h, C);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  nt_request(h, &m, A, TORC_METHOD_TUNNEL, torc_slice_of(filler, 131000));
  nt_route(&m, &self);
  torc_slice just = nt_encode(h, &m);
  m.payload.len += TORC_BODY_MAX - (just.len - TORC_HEADER_FIXED - TORC_ID_LEN);
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 400); /* exactly at the limit: read, and no tunnel_data */
  m.hdr.xid = nt_xid(h);
  m.payload.len++;
  nt_input(h, a, &m);
  (void)nt_expect(h, a, &m, 413);
  nt_request(h, &m, A, TORC_METHOD_TUNNEL, torc_slice_of(filler, 140000)); /* others pass it on */
  nt_route(&m, &there);
  nt_input(h, a, &m);
  nt_out *o = nt_take_xid(h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, c);
  assert_int_equal(o->bytes.len, nt_encode(h, &m).len + TORC_ID_LEN);
  nt_free(h);
}

/* What would grow beyond the longest message goes no further: the next peer would close the link.
 */
static void test_too_long_to_forward(void **state) {
  static uint8_t filler[TORC_MESSAGE_MAX];
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id there = nt_id(0xb0);
  nt_msg m;
  (void)state;
  (void)nt_join(h, C);
  nt_request(h, &m, A, TORC_METHOD_TUNNEL, torc_slice_of(filler, 200000));
  nt_route(&m, &there);
  m.payload.len += TORC_MESSAGE_MAX - nt_encode(h, &m).len;
  nt_input(h, a, &m);
  nt_expect_nothing(h, &m);
  assert_int_equal(nt_counter(h, "drop_too_long"), 1);
  nt_free(h);
}

/* ---- floods ---- */

static void test_inbound_limit(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_link_id b = nt_up(h, 0x21);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  nt_hold_jobs(h, true);
  for (unsigned i = 0; i < 1100; i++) {
    ping(h, &m, &self);
    nt_input(h, a, &m);
  }
  assert_int_equal(nt_num_jobs(h, TORC_JOB_VERIFY), 1024);
  assert_int_equal(nt_counter(h, "drop_inbound_full"), 76);
  nt_request(h, &m, 0x21, TORC_METHOD_PING, nt_ping_payload(h));
  nt_route(&m, &self);
  nt_input(h, b, &m);
  assert_int_equal(nt_num_jobs(h, TORC_JOB_VERIFY), 1025); /* one link does not shut out another */
  nt_hold_jobs(h, false);
  (void)nt_expect(h, b, &m, 200);
  expect_alive(h, a);
  nt_free(h);
}

/* Large messages are limited by their bytes. */
static void test_inbound_bytes(void **state) {
  static uint8_t filler[130000];
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  nt_hold_jobs(h, true);
  for (unsigned i = 0; i < 200; i++) {
    nt_request(h, &m, A, TORC_METHOD_TUNNEL, torc_slice_of(filler, sizeof filler));
    nt_route(&m, &self);
    nt_input(h, a, &m);
    if (nt_counter(h, "drop_inbound_full") > 0) {
      break;
    }
  }
  assert_in_range(nt_num_jobs(h, TORC_JOB_VERIFY), 16, 64);
  assert_true(nt_counter(h, "drop_inbound_full") > 0);
  nt_hold_jobs(h, false);
  expect_alive(h, a);
  nt_free(h);
}

/* A link the node does not know. */
static void test_unknown_link(void **state) {
  nt *h = nt_ring(NULL);
  torc_link_id a = nt_up(h, A);
  torc_id self = nt_self(h);
  nt_msg m;
  (void)state;
  ping(h, &m, &self);
  nt_input(h, a + 99, &m);
  nt_expect_nothing(h, &m);
  assert_int_equal(nt_counter(h, "drop_unknown_link"), 1);
  nt_free(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_CASE("HDR-02 RTG-10 RTG-11 GAP-61 GAP-140 GAP-38 ERR-09 R-12 R-48 another overlay: 498",
                test_fault, &faults[0]),
      TORC_CASE("HDR-14 RTG-10 GAP-15 R-48 version 0: 498", test_fault, &faults[1]),
      TORC_CASE("HDR-14 GAP-15 version 2: 498", test_fault, &faults[2]),
      TORC_CASE("HDR-14 GAP-15 GAP-32 version 10: 498", test_fault, &faults[3]),
      TORC_CASE("HDR-13 GAP-15 experimental: 498", test_fault, &faults[4]),
      TORC_CASE("HDR-09 HDR-08 GAP-14 GAP-32 ERR-10 R-48 Routing 3: 499", test_fault, &faults[5]),
      TORC_CASE("HDR-09 GAP-14 Routing 255: 499", test_fault, &faults[6]),
      TORC_CASE("GAP-38 RTG-12 no error for a response of another overlay", test_fault_no_error,
                &faults[0]),
      TORC_CASE("GAP-38 RTG-12 no error for a response of another version", test_fault_no_error,
                &faults[2]),
      TORC_TEST("HDR-08 GAP-14 the three routing styles are understood, and copied",
                test_routing_values),
      TORC_TEST("GAP-14 GAP-34 Routing of a response is not judged", test_routing_of_response),
      TORC_TEST("R-30 GAP-38 ten unverified errors a second and link", test_error_rate),
      TORC_TEST("HDR-04 R-42 GAP-13 D-22 delivered whatever its TTL, answered with a fresh one",
                test_ttl_here),
      TORC_TEST("HDR-05 HDR-06 RTG-19 GAP-13 TTL of what is forwarded", test_ttl_forward),
      TORC_TEST("HDR-07 HDR-04 GAP-13 D-22 R-53 header of an own request", test_ttl_own),
      TORC_TEST("HDR-05 HDR-15 HDR-16 HDR-18 HDR-20 HDR-21 HDR-22 RTG-20 ARC-13 GAP-16 a forwarded "
                "message, octet by octet",
                test_forward_bytes),
      TORC_TEST("HDR-19 HDR-15 GAP-19 undefined flags travel, and are zero in answers", test_flags),
      TORC_TEST("GAP-44 LFRG and offset mean nothing without FRAG", test_lfrg_without_frag),
      TORC_TEST("GAP-46 fragments of others pass", test_fragment_passes),
      TORC_TEST("R-11 R-46 ARC-16 GAP-37 0 in a list, all ones in a via list", test_bad_ids),
      TORC_TEST("HDR-01 GAP-11 R-19 foreign magic is dropped and counted", test_magic),
      TORC_TEST("R-11 HDR-20 a request cut at every length", test_cut),
      TORC_TEST("SIG-06 SIG-01 R-11 a request with every bit turned", test_flip),
      TORC_TEST("R-10 GAP-42 body above 131072: 413 here, forwarded elsewhere", test_big_body),
      TORC_TEST("R-10 GAP-48 not forwarded beyond the longest message", test_too_long_to_forward),
      TORC_TEST("GAP-48 flood of one link: 1024 messages at work", test_inbound_limit),
      TORC_TEST("GAP-42 flood of one link: bytes at work", test_inbound_bytes),
      TORC_TEST("TLS-08 bytes of an unknown link", test_unknown_link),
  };
  return TORC_RUN(tests);
}
