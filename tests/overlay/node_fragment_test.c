/* Messages in parts, as a node sends, forwards and receives them on links of which some carry only
 * short ones. SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_fragment.h"
#include "overlay/helper_node.h"
#include "overlay/node/impl.h"
#include "torc_test.h"
#include "wire/pdu.h"

#define A 0x20 /* a client link; its id lies in the node's own range */
#define C 0xc0 /* a member of the ring */
#define APP 7777
#define MTU 1200u

typedef struct scene {
  nt *h;
  torc_link_id a, c;
  torc_id self, there; /* there: an id in C's range */
} scene;

static void set_mtu(scene *s, torc_link_id link, uint32_t mtu) {
  assert_int_equal(torc_node_link_mtu(nt_node(s->h), link, mtu, nt_now(s->h)), 0);
}

static scene scene_new(const nt_options *o) {
  scene s = {.h = nt_ring(o), .there = nt_id(0xb0)};
  s.self = nt_self(s.h);
  s.c = nt_join(s.h, C);
  s.a = nt_up(s.h, A);
  assert_int_equal(torc_node_listen(nt_node(s.h), APP, true), 0);
  nt_clear(s.h);
  return s;
}

/* A request with `len` bytes of application data: as long as the test wants. */
static torc_slice tunnel(nt *h, nt_msg *m, size_t len) {
  torc_tunnel_data t = {.application = APP};
  uint8_t *pdu = nt_block(h, len);
  uint8_t *buf = nt_block(h, len + 64);
  torc_wr wr;
  for (size_t i = 0; i < len; i++) {
    pdu[i] = hf_byte(len, i);
  }
  t.application_pdu = torc_slice_of(pdu, len);
  torc_wr_init(&wr, buf, len + 64);
  assert_int_equal(torc_tunnel_put(&wr, &t), 0);
  nt_request(h, m, A, TORC_METHOD_TUNNEL, torc_wr_slice(&wr));
  return torc_slice_of(pdu, len);
}

static torc_slice body_of(const nt_out *o) {
  return torc_slice_sub(o->bytes, o->hdr.header_len, o->bytes.len - o->hdr.header_len);
}

typedef struct gathered {
  size_t num;
  uint8_t body[TORC_BODY_MAX];
  size_t len;
  nt_out *first;
} gathered;

/* Takes every part that left for `link`, in order; each is a fragment as it has to be, and no
 * longer than `mtu` less the spare bytes. */
static void gather(nt *h, uint64_t xid, torc_link_id link, size_t mtu, gathered *g) {
  bool is_over = false;
  nt_out *o = NULL;
  memset(g, 0, sizeof *g);
  while ((o = nt_take_xid(h, xid)) != NULL) {
    torc_slice body = body_of(o);
    g->first = g->num == 0 ? o : g->first;
    assert_false(is_over);
    assert_int_equal(o->link, link);
    assert_true(o->hdr.is_fragment);
    assert_int_equal(o->hdr.length, o->bytes.len);
    assert_true(o->bytes.len <= mtu - 32);
    assert_int_equal(o->hdr.fragment_units * 8u, g->len);
    is_over = o->hdr.is_last_fragment;
    assert_true(is_over || (body.len % 8 == 0 && body.len >= 256));
    /* a full copy of the header but for what tells the parts apart */
    assert_int_equal(o->hdr.header_len, g->first->hdr.header_len);
    assert_memory_equal(o->bytes.p, g->first->bytes.p, 10);
    assert_memory_equal(o->bytes.p + 16, g->first->bytes.p + 16, o->hdr.header_len - 16);
    assert_int_equal(o->bytes.p[12], 1);
    memcpy(g->body + g->len, body.p, body.len);
    g->len += body.len;
    g->num++;
  }
  assert_true(is_over);
}

/* Lays a message out in parts with at most `part` body bytes each, in memory of the harness. */
static size_t cut(nt *h, torc_slice msg, size_t part, torc_slice *out) {
  torc_header hdr;
  size_t num = 0;
  assert_int_equal(torc_header_decode(&hdr, msg), 0);
  size_t len = msg.len - hdr.header_len;
  for (size_t at = 0; at < len; at += part) {
    size_t take = len - at < part ? len - at : part;
    uint8_t *p = nt_block(h, hdr.header_len + take);
    memcpy(p, msg.p, hdr.header_len);
    memcpy(p + hdr.header_len, msg.p + hdr.header_len + at, take);
    p[10] = (uint8_t)((at + take == len ? 0xc0 : 0x80) | at / 8 >> 8);
    p[11] = (uint8_t)(at / 8);
    p[13] = 0;
    p[14] = (uint8_t)((hdr.header_len + take) >> 8);
    p[15] = (uint8_t)(hdr.header_len + take);
    out[num++] = torc_slice_of(p, hdr.header_len + take);
  }
  return num;
}

/* ---- own messages ---- */

static torc_slice stored_line(nt *h, size_t len) {
  static const uint32_t type = NT_TYPE_LINE;
  char *text = nt_block(h, len + 1);
  torc_id resource = nt_resource(A);
  memset(text, 'v', len);
  nt_element e = {.type = type,
                  .value = text,
                  .storage_time = NT_WALL,
                  .lifetime_s = 600,
                  .signer = nt_cert(h, A)};
  return nt_store_payload(h, &resource, &e, 1);
}

/* A value comes in parts, is stored once, and goes out again in parts. */
static void test_store_and_fetch(void **state) {
  static const uint32_t type = NT_TYPE_LINE;
  scene s = scene_new(NULL);
  torc_id resource = nt_resource(A);
  torc_slice parts[64];
  static gathered g;
  nt_msg m;
  (void)state;
  nt_down(s.h, s.c); /* alone in the ring: it answers for everything */
  set_mtu(&s, s.a, MTU);
  nt_request(s.h, &m, A, TORC_METHOD_STORE, stored_line(s.h, 20000));
  nt_route(&m, &resource);
  size_t num = cut(s.h, nt_encode(s.h, &m), 1000, parts);
  assert_int_equal(num, 21);
  for (size_t i = num; i > 0; i--) {
    assert_int_equal(nt_counter(s.h, "messages_reassembled"), 0);
    nt_input_bytes(s.h, s.a, parts[i - 1]);
  }
  assert_int_equal(nt_counter(s.h, "messages_reassembled"), 1);
  assert_int_equal(nt_counter(s.h, "fragments_in"), num);
  (void)nt_expect(s.h, s.a, &m, 200);
  for (size_t i = 0; i < num; i++) { /* repeated: known, answered from memory */
    nt_input_bytes(s.h, s.a, parts[i]);
  }
  (void)nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(nt_counter(s.h, "duplicates_answered"), 1);
  nt_request(s.h, &m, A, TORC_METHOD_FETCH, nt_fetch_payload(s.h, &resource, &type, NULL, 1));
  nt_route(&m, &resource);
  nt_input(s.h, s.a, &m);
  gather(s.h, m.hdr.xid, s.a, MTU, &g);
  assert_true(g.num >= 18);
  assert_int_equal(nt_counter(s.h, "fragments_out"), g.num);
  assert_int_equal(nt_counter(s.h, "messages_split"), 1);
  nt_out joined = *g.first; /* put together again it is signed by the node */
  assert_int_equal(torc_contents_decode(&joined.c, torc_slice_of(g.body, g.len)), 0);
  assert_true(joined.c.is_response && joined.c.code == 200);
  assert_true(nt_is_signed_by(s.h, &joined, nt_cert(s.h, NT_SELF)));
  set_mtu(&s, s.a, 0); /* a stream takes it whole */
  nt_request(s.h, &m, A, TORC_METHOD_FETCH, nt_fetch_payload(s.h, &resource, &type, NULL, 1));
  nt_route(&m, &resource);
  nt_input(s.h, s.a, &m);
  assert_true(nt_expect(s.h, s.a, &m, 200)->bytes.len > 20000);
  nt_free(s.h);
}

/* What fits goes whole, one byte more does not. */
static void test_bound(void **state) {
  scene s = scene_new(NULL);
  static gathered g;
  nt_msg m;
  (void)state;
  (void)tunnel(s.h, &m, 1000);
  nt_route(&m, &s.there);
  m.payload.len -= (nt_encode(s.h, &m).len + TORC_ID_LEN) % 4; /* an mtu counts in words */
  size_t len = nt_encode(s.h, &m).len + TORC_ID_LEN;           /* with its via list */
  set_mtu(&s, s.c, (uint32_t)len);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->bytes.len, len);
  assert_false(o->hdr.is_fragment);
  set_mtu(&s, s.c, (uint32_t)len - 1);
  nt_input(s.h, s.a, &m);
  gather(s.h, m.hdr.xid, s.c, len - 4, &g);
  assert_int_equal(g.num, 2);
  nt_free(s.h);
}

/* A request of the node's own that no part of fits: the call fails, at once. */
static void test_too_long(void **state) {
  scene s = scene_new(NULL);
  torc_token token = 0;
  torc_slice pdu = torc_slice_of(nt_block(s.h, 5000), 5000);
  torc_id there = nt_id(C);
  (void)state;
  set_mtu(&s, s.c, 28 + 16 + 60);
  assert_int_equal(torc_node_tunnel(nt_node(s.h), &there, 1, APP, torc_slice_of(NULL, 0), pdu,
                                    nt_now(s.h), &token),
                   0);
  nt_drain(s.h);
  nt_advance(s.h, TORC_MS(1));
  nt_out *o = nt_take_done(s.h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.rc, TORC_ERR_LIMIT);
  set_mtu(&s, s.c, 28 + 16 + 64); /* the least there is */
  assert_int_equal(torc_node_tunnel(nt_node(s.h), &there, 1, APP, torc_slice_of(NULL, 0), pdu,
                                    nt_now(s.h), &token),
                   0);
  nt_drain(s.h);
  size_t num = 0;
  while ((o = nt_take(s.h, TORC_OUT_SEND)) != NULL) {
    assert_true(o->bytes.len <= 28 + 16 + 64);
    num++;
  }
  assert_in_range(num, 5000 / 64, 5000 / 64 + 10);
  nt_free(s.h);
}

/* ---- messages of others ---- */

/* A whole message, then its parts, through a link that carries less: split, split again, the last
 * part as the last, nothing kept. */
static void test_forward(void **state) {
  scene s = scene_new(NULL);
  torc_slice parts[8];
  static gathered g;
  nt_msg m;
  (void)state;
  (void)tunnel(s.h, &m, 5003);
  nt_route(&m, &s.there);
  torc_slice msg = nt_encode(s.h, &m);
  torc_header hdr;
  assert_int_equal(torc_header_decode(&hdr, msg), 0);
  set_mtu(&s, s.c, 700);
  nt_input_bytes(s.h, s.a, msg);
  gather(s.h, m.hdr.xid, s.c, 700, &g);
  assert_int_equal(g.len, msg.len - hdr.header_len);
  assert_memory_equal(g.body, msg.p + hdr.header_len, g.len);
  assert_int_equal(torc_id_list_len(g.first->hdr.via), 1);
  assert_int_equal(g.first->hdr.ttl, 99);
  size_t num = cut(s.h, msg, 1200, parts);
  uint8_t all[6000];
  size_t len = 0;
  for (size_t i = 0; i < num; i++) { /* each on its own header, as it comes */
    nt_input_bytes(s.h, s.a, parts[i]);
    size_t begin = len;
    nt_out *o = NULL;
    bool is_last = false;
    while ((o = nt_take_xid(s.h, m.hdr.xid)) != NULL) {
      assert_false(is_last);
      assert_true(o->hdr.is_fragment && o->bytes.len <= 700 - 32);
      assert_int_equal(o->hdr.fragment_units * 8u, len);
      torc_id from = nt_id(A);
      assert_int_equal(torc_id_list_len(o->hdr.via), 1);
      assert_memory_equal(o->hdr.via.p, from.b, TORC_ID_LEN);
      is_last = o->hdr.is_last_fragment;
      memcpy(all + len, body_of(o).p, body_of(o).len);
      len += body_of(o).len;
    }
    assert_int_equal(is_last, i == num - 1);
    assert_int_equal(len - begin, parts[i].len - hdr.header_len);
  }
  assert_memory_equal(all, msg.p + hdr.header_len, len);
  assert_int_equal(nt_counter(s.h, "fragments_in"), 0); /* [FRG-04] */
  set_mtu(&s, s.c, 0);                                  /* a stream passes a part on as it is */
  nt_input_bytes(s.h, s.a, parts[1]);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(body_of(o).len, 1200);
  assert_int_equal(o->hdr.fragment_units, 150);
  assert_null(nt_take_xid(s.h, m.hdr.xid));
  nt_free(s.h);
}

/* Once the room for the header is there. */
static void test_forward_allocates_nothing(void **state) {
  scene s = scene_new(NULL);
  torc_output o;
  nt_msg m;
  (void)state;
  (void)tunnel(s.h, &m, 9000);
  nt_route(&m, &s.there);
  torc_slice msg = nt_encode(s.h, &m);
  set_mtu(&s, s.c, 700);
  nt_input_bytes(s.h, s.a, msg);
  nt_clear(s.h);
  helper_mem_reset(nt_mem(s.h), 0);
  assert_int_equal(torc_node_input(nt_node(s.h), s.a, msg, nt_now(s.h)), 0);
  size_t num = 0;
  while (torc_node_poll(nt_node(s.h), &o)) {
    assert_int_equal(o.kind, TORC_OUT_SEND);
    assert_true(o.body.p > msg.p && o.body.p + o.body.len <= msg.p + msg.len); /* no copy */
    num++;
  }
  assert_true(num >= 15);
  assert_int_equal(nt_mem(s.h)->num_calls, 0);
  nt_free(s.h);
}

/* With a route log the header grows at every peer, and with it each part. */
static void test_forward_log(void **state) {
  scene s = scene_new(NULL);
  static gathered g;
  nt_msg m;
  (void)state;
  (void)tunnel(s.h, &m, 3000);
  nt_route(&m, &s.there);
  m.hdr.flags = TORC_FLAG_ROUTE_LOG;
  set_mtu(&s, s.c, 700);
  nt_input(s.h, s.a, &m);
  gather(s.h, m.hdr.xid, s.c, 700, &g);
  assert_true(g.first->hdr.route_log.len > 20);
  assert_true(g.num >= 5);
  nt_free(s.h);
}

/* The spare bytes go first, then the size of 256, then it cannot be sent. */
static void test_long_header(void **state) {
  static const struct {
    size_t via;
    size_t most; /* of a body part; 0: none leaves */
  } cases[] = {{8, 232}, {15, 120}, {18, 72}, {19, 0}, {60, 0}};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    scene s = scene_new(NULL);
    size_t head = 28 + 16 * (1 + cases[i].via);
    nt_msg m;
    (void)tunnel(s.h, &m, 2000);
    nt_route(&m, &s.there);
    for (size_t k = 1; k < cases[i].via; k++) {
      torc_id id = nt_id(0x30);
      nt_via(&m, &id);
    }
    set_mtu(&s, s.c, 408);
    nt_input(s.h, s.a, &m);
    nt_out *o = nt_take_xid(s.h, m.hdr.xid);
    assert_int_equal(o != NULL, cases[i].most != 0);
    assert_int_equal(nt_counter(s.h, "drop_too_long"), cases[i].most == 0);
    if (o != NULL) {
      assert_int_equal(body_of(o).len, cases[i].most);
      assert_true(o->bytes.len == head + cases[i].most && o->bytes.len <= 408);
    }
    nt_free(s.h);
  }
}

static void compress(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->compress_via = true;
}

/* The first via entry tells whose parts they are: a private id of each part's own would not. */
static void test_no_compression(void **state) {
  nt_options o = {.role = TORC_ROLE_PEER, .tweak = compress};
  scene s = scene_new(&o);
  torc_slice parts[8];
  torc_id from = nt_id(A);
  nt_msg m;
  (void)state;
  (void)tunnel(s.h, &m, 2000);
  nt_route(&m, &s.there);
  size_t num = cut(s.h, nt_encode(s.h, &m), 1000, parts);
  for (size_t i = 0; i < num; i++) {
    nt_input_bytes(s.h, s.a, parts[i]);
    nt_out *out = nt_take_xid(s.h, m.hdr.xid);
    assert_non_null(out);
    assert_memory_equal(out->hdr.via.p, from.b, TORC_ID_LEN);
  }
  nt_input(s.h, s.a, &m); /* a whole message has its list compressed, then split */
  set_mtu(&s, s.c, 700);
  nt_input(s.h, s.a, &m);
  nt_out *out = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(out);
  assert_true(memcmp(out->hdr.via.p, from.b, TORC_ID_LEN) != 0);
  nt_free(s.h);
}

/* ---- messages for this node ---- */

/* The message is the first part's: the link it came on, even if that is gone by the end. */
static void test_first_part_decides(void **state) {
  scene s = scene_new(NULL);
  torc_slice parts[8];
  torc_id via = nt_id(0x31);
  nt_msg m;
  (void)state;
  torc_slice pdu = tunnel(s.h, &m, 2500);
  nt_route(&m, &s.self);
  nt_via(&m, &via);
  size_t num = cut(s.h, nt_encode(s.h, &m), 1000, parts);
  assert_int_equal(num, 3);
  nt_input_bytes(s.h, s.c, parts[2]);
  nt_input_bytes(s.h, s.a, parts[0]);
  nt_input_bytes(s.h, s.c, parts[1]);
  nt_out *e = nt_take_event(s.h, TORC_EVENT_TUNNEL);
  assert_non_null(e);
  assert_true(torc_slice_eq(e->event.pdu, pdu));
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.a); /* [GAP-35] back the way the first part came */
  assert_int_equal(o->c.code, 200);
  pdu = tunnel(s.h, &m, 2500);
  nt_route(&m, &s.self);
  nt_via(&m, &via);
  (void)cut(s.h, nt_encode(s.h, &m), 1000, parts);
  nt_input_bytes(s.h, s.a, parts[0]);
  nt_down(s.h, s.a);
  nt_input_bytes(s.h, s.c, parts[1]);
  nt_input_bytes(s.h, s.c, parts[2]);
  assert_null(nt_take_event(s.h, TORC_EVENT_TUNNEL)); /* repeated, it comes another way */
  for (size_t i = 0; i < num; i++) {
    nt_input_bytes(s.h, s.c, parts[i]);
  }
  e = nt_take_event(s.h, TORC_EVENT_TUNNEL);
  assert_non_null(e);
  assert_true(torc_slice_eq(e->event.pdu, pdu));
  nt_free(s.h);
}

/* One part with FRAG and LFRG is a whole message. */
static void test_single(void **state) {
  scene s = scene_new(NULL);
  torc_slice parts[2];
  nt_msg m;
  (void)state;
  (void)tunnel(s.h, &m, 500);
  nt_route(&m, &s.self);
  assert_int_equal(cut(s.h, nt_encode(s.h, &m), 100000, parts), 1);
  nt_input_bytes(s.h, s.a, parts[0]);
  (void)nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(nt_counter(s.h, "fragments_in"), 0);
  nt_free(s.h);
}

/* What is wrong with parts is counted, answered by nothing, and hurts nobody else. */
static void test_hostile(void **state) {
  scene s = scene_new(NULL);
  torc_slice parts[8];
  nt_msg m;
  (void)state;
  (void)tunnel(s.h, &m, 2500);
  nt_route(&m, &s.self);
  size_t num = cut(s.h, nt_encode(s.h, &m), 1000, parts);
  ((uint8_t *)(uintptr_t)parts[1].p)[parts[1].len - 1] ^= 1;
  nt_input_bytes(s.h, s.a, parts[1]);
  ((uint8_t *)(uintptr_t)parts[1].p)[parts[1].len - 1] ^= 1;
  for (size_t i = 0; i < num; i++) {
    nt_input_bytes(s.h, s.a, parts[i]);
  }
  assert_int_equal(nt_counter(s.h, "fragment_conflicts"), 1);
  assert_int_equal(nt_counter(s.h, "drop_fragment_ignored"), 2); /* and the last one */
  nt_expect_nothing(s.h, &m);
  nt_advance(s.h, TORC_SEC(15));
  nt_clear(s.h);
  for (size_t i = 0; i < num; i++) {
    nt_input_bytes(s.h, s.a, parts[i]);
  }
  (void)nt_expect(s.h, s.a, &m, 200);
  (void)tunnel(s.h, &m, 2500); /* a part is missing: forgotten, the memory given back */
  nt_route(&m, &s.self);
  (void)cut(s.h, nt_encode(s.h, &m), 1000, parts);
  nt_input_bytes(s.h, s.a, parts[0]);
  nt_input_bytes(s.h, s.a, parts[2]);
  nt_answer(s.h, NT_ANSWER_DEFAULT);
  nt_advance(s.h, TORC_SEC(30));
  assert_int_equal(nt_counter(s.h, "fragment_timeouts"), 1);
  uint8_t bad[64];
  torc_id none = nt_id(0x10);
  hf_part p = {.xid = 99, .route = &s.self, .via = &none, .units = 3};
  nt_input_bytes(s.h, s.a, torc_slice_of(bad, hf_lay(bad, &p, torc_slice_str("odd"))));
  assert_int_equal(nt_counter(s.h, "drop_fragment"), 1);
  nt_free(s.h);
}

/* A forged signature over a whole message in parts is refused as of any other. */
static void test_forged(void **state) {
  scene s = scene_new(NULL);
  torc_slice parts[8];
  nt_msg m;
  (void)state;
  (void)tunnel(s.h, &m, 2500);
  nt_route(&m, &s.self);
  m.is_forged = true;
  size_t num = cut(s.h, nt_encode(s.h, &m), 1000, parts);
  for (size_t i = 0; i < num; i++) {
    nt_input_bytes(s.h, s.a, parts[i]);
  }
  (void)nt_expect(s.h, s.a, &m, 403);
  assert_null(nt_take_event(s.h, TORC_EVENT_TUNNEL));
  nt_free(s.h);
}

static void each_table(void *ctx, const char *name, uint64_t held, uint64_t limit) {
  uint64_t *out = ctx;
  if (strcmp(name, "fragment_sets") == 0) {
    out[0] = held;
    assert_true(held <= limit);
  } else if (strcmp(name, "fragment_bytes") == 0) {
    out[1] = held;
    assert_true(held <= limit);
  }
}

/* 10,000 sets that never end: bounded by the link's share, all forgotten 15 s later. */
static void test_flood(void **state) {
  scene s = scene_new(NULL);
  uint8_t bytes[128];
  uint64_t held[2] = {0, 0};
  torc_id origin = nt_id(0x10);
  (void)state;
  for (uint64_t i = 0; i < 10000; i++) {
    hf_part p = {.xid = i + 1, .route = &s.self, .via = &origin, .units = 7};
    origin.b[9] = (uint8_t)(i >> 3);
    size_t len = hf_lay(bytes, &p, torc_slice_str("eight by"));
    assert_int_equal(torc_node_input(nt_node(s.h), s.a, torc_slice_of(bytes, len), nt_now(s.h)), 0);
  }
  torc_node_tables(nt_node(s.h), held, each_table);
  assert_true(held[0] > 1000 && held[1] <= TORC_REASM_BYTES / TORC_REASM_HOP_SHARE);
  assert_true(nt_counter(s.h, "fragment_evictions") > 1000);
  int64_t full = nt_mem(s.h)->num_bytes;
  nt_advance(s.h, TORC_SEC(30));
  torc_node_tables(nt_node(s.h), held, each_table);
  assert_int_equal(held[0], 0);
  assert_int_equal(held[1], 0);
  assert_true(nt_mem(s.h)->num_bytes < full - (4 << 20));
  nt_free(s.h);
}

/* The n-th allocation fails while parts come in and go out: nothing leaks, nothing hangs. */
static void test_no_memory(void **state) {
  (void)state;
  for (uint64_t fail_at = 1; fail_at < 40; fail_at++) {
    scene s = scene_new(NULL);
    torc_slice parts[8];
    nt_msg m;
    (void)tunnel(s.h, &m, 2500);
    nt_route(&m, &s.self);
    set_mtu(&s, s.a, 120); /* the answer leaves in parts, too */
    size_t num = cut(s.h, nt_encode(s.h, &m), 1000, parts);
    helper_mem_reset(nt_mem(s.h), fail_at);
    for (size_t round = 0; round < 2; round++) {
      for (size_t i = 0; i < num; i++) {
        nt_input_bytes(s.h, s.a, parts[i]);
      }
    }
    helper_mem_reset(nt_mem(s.h), 0);
    nt_clear(s.h);
    (void)tunnel(s.h, &m, 2500);
    nt_route(&m, &s.self);
    (void)cut(s.h, nt_encode(s.h, &m), 1000, parts);
    for (size_t i = 0; i < num; i++) {
      nt_input_bytes(s.h, s.a, parts[i]);
    }
    assert_non_null(nt_take_event(s.h, TORC_EVENT_TUNNEL));
    nt_free(s.h);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("FRG-01 FRG-02 FRG-05 GAP-43 GAP-45 a value stored and fetched in parts",
                test_store_and_fetch),
      TORC_TEST("FRG-02 GAP-45 what fits goes whole", test_bound),
      TORC_TEST("FRG-02 a message that no part of fits", test_too_long),
      TORC_TEST("FRG-03 FRG-04 GAP-42 GAP-45 GAP-46 forwarded and split again", test_forward),
      TORC_TEST("FRG-03 forwarding in parts allocates nothing", test_forward_allocates_nothing),
      TORC_TEST("FRG-03 GAP-46 a route log in every part", test_forward_log),
      TORC_TEST("GAP-45 a long header leaves less room", test_long_header),
      TORC_TEST("GAP-45 GAP-46 parts keep their first via entry", test_no_compression),
      TORC_TEST("FRG-05 GAP-45 offset 0 decides", test_first_part_decides),
      TORC_TEST("GAP-44 a single fragment is whole", test_single),
      TORC_TEST("FRG-06 R-33 contradiction, loss and oddities", test_hostile),
      TORC_TEST("FRG-05 a forged message in parts", test_forged),
      TORC_TEST("FRG-06 GAP-45 10,000 sets that never end", test_flood),
      TORC_TEST("FRG-05 no memory", test_no_memory),
  };
  return TORC_RUN(tests);
}
