/* What a joining peer is handed: values as STOREs, removals as the REMOVEs that made them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "overlay/node/impl.h"
#include "torc_test.h"
#include "wire/storage_pdu.h"

#define A 0x20
#define C 0xc0

typedef struct scene {
  nt *h;
  torc_link_id a, c;
  torc_id self;
  uint8_t kept, removed; /* users whose resources will be C's */
  nt_msg remove;         /* of `removed` */
} scene;

static uint8_t user_after(uint8_t first) {
  torc_id from = nt_id(NT_SELF);
  torc_id to = nt_id(C);
  for (unsigned u = first + 1u; u < 0x80; u++) {
    torc_id r = nt_resource((uint8_t)u);
    if (torc_id_in_open_closed(&r, &from, &to)) {
      return (uint8_t)u;
    }
  }
  fail();
  return 0;
}

static void write_of(scene *s, nt_msg *m, uint8_t user, uint16_t method, torc_slice payload) {
  torc_id resource = nt_resource(user);
  torc_id via = nt_id(user);
  nt_request(s->h, m, user, method, payload);
  nt_route(m, &resource);
  nt_via(m, &via);
  nt_input(s->h, s->a, m);
  (void)nt_expect(s->h, s->a, m, 200);
}

static nt_element note_of(scene *s, uint8_t user, const char *key, const char *value) {
  return (nt_element){.type = NT_TYPE_NOTE,
                      .key = key,
                      .value = value,
                      .storage_time = NT_WALL,
                      .lifetime_s = 3600,
                      .signer = nt_cert(s->h, user)};
}

static torc_slice line_of(scene *s, uint8_t user) {
  torc_id resource = nt_resource(user);
  nt_element e = {.type = NT_TYPE_LINE,
                  .value = "v",
                  .storage_time = NT_WALL,
                  .lifetime_s = 3600,
                  .signer = nt_cert(s->h, user)};
  return nt_store_payload(s->h, &resource, &e, 1);
}

static void join(scene *s) {
  torc_id c = nt_id(C);
  nt_msg m;
  nt_clear(s->h);
  nt_answer(s->h, 1u << TORC_METHOD_PING);
  s->c = nt_up(s->h, C);
  nt_request(s->h, &m, C, TORC_METHOD_JOIN, nt_notice_payload(s->h, &c));
  nt_route(&m, &s->self);
  nt_input(s->h, s->c, &m);
  (void)nt_expect(s->h, s->c, &m, 200);
}

/* Alone, with one value and one removal; then C is linked and asks to join. */
static scene scene_new(void) {
  scene s = {.h = nt_ring(NULL)};
  uint32_t type = NT_TYPE_LINE;
  uint64_t generation = 1;
  nt_msg m;
  s.self = nt_self(s.h);
  s.a = nt_up(s.h, A);
  s.kept = user_after(0);
  s.removed = user_after(s.kept);
  torc_id gone = nt_resource(s.removed);
  write_of(&s, &m, s.kept, TORC_METHOD_STORE, line_of(&s, s.kept));
  write_of(&s, &m, s.removed, TORC_METHOD_STORE, line_of(&s, s.removed));
  write_of(&s, &s.remove, s.removed, TORC_METHOD_REMOVE,
           nt_fetch_payload(s.h, &gone, &type, &generation, 1));
  join(&s);
  return s;
}

static void reply(scene *s, const nt_out *request, uint16_t code) {
  nt_msg m;
  nt_response(s->h, &m, C, request, code, torc_slice_of(NULL, 0));
  nt_input(s->h, s->c, &m);
}

static void test_handed_over(void **state) {
  scene s = scene_new();
  torc_id kept = nt_resource(s.kept);
  torc_id c = nt_id(C);
  torc_store_request r;
  (void)state;
  nt_out *store = nt_take_request(s.h, s.c, TORC_METHOD_STORE);
  nt_out *removal = nt_take_request(s.h, s.c, TORC_METHOD_REMOVE);
  assert_non_null(store);
  assert_non_null(removal);
  assert_int_equal(torc_store_request_decode(&r, store->c.payload), 0);
  assert_true(torc_id_eq(&r.resource, &kept));
  assert_true(nt_is_signed_by(s.h, store, nt_cert(s.h, NT_SELF)));
  assert_true(removal->hdr.xid == s.remove.hdr.xid); /* as its signer sent it */
  assert_true(nt_is_signed_by(s.h, removal, nt_cert(s.h, s.removed)));
  const nt_out *both[2] = {store, removal};
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(torc_id_list_len(both[i]->hdr.route), 1);
    assert_memory_equal(both[i]->hdr.route.p, c.b, TORC_ID_LEN);
    assert_int_equal(both[i]->hdr.via.len, 0);
  }
  reply(&s, store, 200);
  nt_advance(s.h, TORC_MS(20));
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_UPDATE)); /* not before everything is there */
  reply(&s, removal, 200);
  nt_advance(s.h, TORC_MS(20));
  nt_out *update = nt_take_request(s.h, s.c, TORC_METHOD_UPDATE);
  assert_non_null(update);
  reply(&s, update, 200);
  torc_node_view v;
  torc_node_get_view(nt_node(s.h), &v);
  assert_int_equal(v.num_successors, 1);
  assert_true(torc_id_eq(&v.range_from, &c));
  nt_free(s.h);
}

static void answer(scene *s, const nt_out *request, uint64_t generation) {
  uint8_t buf[16];
  torc_wr wr;
  nt_msg m;
  torc_wr_init(&wr, buf, sizeof buf);
  const torc_store_type_response r = {.type = NT_TYPE_LINE, .generation = generation};
  assert_int_equal(torc_store_type_response_put(&wr, &r), 0);
  nt_response(s->h, &m, C, request, 200, torc_wr_slice(&wr));
  nt_input(s->h, s->c, &m);
}

static uint64_t generation_of(const nt_out *store) {
  torc_store_request r;
  torc_store_type t;
  torc_rd rd;
  assert_non_null(store);
  assert_int_equal(torc_store_request_decode(&r, store->c.payload), 0);
  torc_rd_init(&rd, r.types);
  assert_true(torc_store_type_next(&rd, &t));
  assert_true(t.values.len > 0);
  return t.generation;
}

/* The element goes under its own counter. Where it is all that the other has, the slot's follows;
 * one with a history of its own keeps that. */
static void test_counters(void **state) {
  (void)state;
  for (unsigned has_own = 0; has_own < 2; has_own++) {
    scene s = {.h = nt_ring(NULL)};
    uint8_t user = user_after(0);
    uint64_t raised = ((uint64_t)1 << 32) + 1;
    nt_msg m;
    s.self = nt_self(s.h);
    s.a = nt_up(s.h, A);
    write_of(&s, &m, user, TORC_METHOD_STORE, line_of(&s, user));
    assert_int_equal(
        torc_store_raise_generations(nt_node(s.h)->store, &torc_id_zero, &torc_id_zero, true), 0);
    join(&s);
    nt_out *first = nt_take_request(s.h, s.c, TORC_METHOD_STORE);
    assert_true(generation_of(first) == 1);
    answer(&s, first, has_own == 0 ? 1 : 47);
    nt_advance(s.h, TORC_MS(20));
    nt_out *second = nt_take_request(s.h, s.c, TORC_METHOD_STORE);
    if (has_own == 0) {
      assert_true(generation_of(second) == raised);
      assert_null(nt_take_request(s.h, s.c, TORC_METHOD_UPDATE)); /* still on its way */
      answer(&s, second, raised);
      nt_advance(s.h, TORC_MS(20));
    }
    assert_null(nt_take_request(s.h, s.c, TORC_METHOD_STORE));
    assert_non_null(nt_take_request(s.h, s.c, TORC_METHOD_UPDATE));
    nt_free(s.h);
  }
}

/* One resource of many messages, more than a link may take at once: sixteen are under way. */
static void test_large(void **state) {
  scene s = {.h = nt_ring(NULL)};
  uint32_t type = NT_TYPE_NOTE;
  uint8_t user = user_after(0);
  torc_id resource = nt_resource(user);
  char key[8];
  nt_msg m;
  (void)state;
  s.self = nt_self(s.h);
  s.a = nt_up(s.h, A);
  for (unsigned i = 0; i < 40; i++) {
    snprintf(key, sizeof key, "%u", i);
    nt_element e = note_of(&s, user, key, "v");
    uint64_t generation = 2 * i + 1;
    write_of(&s, &m, user, TORC_METHOD_STORE, nt_store_payload(s.h, &resource, &e, 1));
    write_of(&s, &m, user, TORC_METHOD_REMOVE,
             nt_fetch_payload(s.h, &resource, &type, &generation, 1));
  }
  join(&s);
  nt_out *o[16];
  for (unsigned done = 0; done < 40; done += 8) {
    for (unsigned i = done == 0 ? 0 : 8; i < 16; i++) {
      o[i] = nt_take_request(s.h, s.c, TORC_METHOD_REMOVE);
      assert_true((o[i] != NULL) == (done + i < 40));
    }
    assert_null(nt_take_request(s.h, s.c, TORC_METHOD_REMOVE));
    for (unsigned i = 0; i < 8; i++) {
      reply(&s, o[i], 200);
      o[i] = o[i + 8];
    }
  }
  nt_advance(s.h, TORC_MS(20));
  assert_non_null(nt_take_request(s.h, s.c, TORC_METHOD_UPDATE));
  nt_free(s.h);
}

static void short_messages(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->max_message = 1500;
}

/* The overlay allows short messages: no STORE is longer, be there ever so many values. */
static void test_short(void **state) {
  static const nt_options o = {.tweak = short_messages};
  scene s = {.h = nt_ring(&o)};
  uint8_t user = user_after(0);
  torc_id resource = nt_resource(user);
  unsigned num = 0;
  char value[201];
  char key[8];
  nt_out *store = NULL;
  nt_msg m;
  (void)state;
  memset(value, 'v', 200);
  value[200] = '\0';
  s.self = nt_self(s.h);
  s.a = nt_up(s.h, A);
  for (unsigned i = 0; i < 8; i++) {
    snprintf(key, sizeof key, "%u", i);
    nt_element e = note_of(&s, user, key, value);
    write_of(&s, &m, user, TORC_METHOD_STORE, nt_store_payload(s.h, &resource, &e, 1));
  }
  join(&s);
  while ((store = nt_take_request(s.h, s.c, TORC_METHOD_STORE)) != NULL) {
    assert_in_range(store->bytes.len - store->hdr.header_len, 1, 1500);
    num++;
    reply(&s, store, 200);
  }
  assert_in_range(num, 2, 8);
  nt_advance(s.h, TORC_MS(20));
  assert_non_null(nt_take_request(s.h, s.c, TORC_METHOD_UPDATE));
  nt_free(s.h);
}

/* A value that filled its owner's STORE comes with the certificate of a holder, which is longer. */
static void test_a_little_longer(void **state) {
  static const nt_options o = {.tweak = short_messages};
  scene s = {.h = nt_ring(&o)};
  char value[1401];
  nt_msg m;
  (void)state;
  memset(value, 'v', 1400);
  value[1400] = '\0';
  s.self = nt_self(s.h);
  s.a = nt_up(s.h, A);
  s.c = nt_join(s.h, C);
  uint8_t user = user_after(0);
  torc_id resource = nt_resource(user);
  nt_element e = note_of(&s, user, NULL, value);
  e.type = NT_TYPE_LINE;
  torc_slice payload = nt_store_payload(s.h, &resource, &e, 1);
  nt_request(s.h, &m, C, TORC_METHOD_STORE, payload);
  nt_route(&m, &s.self);
  assert_in_range(nt_encode(s.h, &m).len, 1600, 2000);
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 200);
  nt_request(s.h, &m, A, TORC_METHOD_STORE, payload);
  nt_route(&m, &s.self);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 413);
  nt_free(s.h);
}

/* It refuses what it is handed: nothing is handed over, and this peer keeps its range. */
static void test_refused(void **state) {
  scene s = scene_new();
  (void)state;
  reply(&s, nt_take_request(s.h, s.c, TORC_METHOD_STORE), 413);
  reply(&s, nt_take_request(s.h, s.c, TORC_METHOD_REMOVE), 200);
  nt_advance(s.h, TORC_MS(100));
  torc_node_view v;
  torc_node_get_view(nt_node(s.h), &v);
  assert_int_equal(v.num_successors, 0);
  assert_true(torc_id_eq(&v.range_from, &s.self));
  assert_int_equal(nt_counter(s.h, "transfer_failures"), 1);
  assert_int_equal(nt_counter(s.h, "transfers"), 1);
  nt_free(s.h);
}

/* It cannot find the signer of a value: that one stays behind, and nobody is kept out of the ring.
 */
static void test_unknown_signer(void **state) {
  scene s = scene_new();
  (void)state;
  reply(&s, nt_take_request(s.h, s.c, TORC_METHOD_STORE), 401);
  reply(&s, nt_take_request(s.h, s.c, TORC_METHOD_REMOVE), 200);
  nt_advance(s.h, TORC_MS(20));
  nt_out *update = nt_take_request(s.h, s.c, TORC_METHOD_UPDATE);
  assert_non_null(update);
  reply(&s, update, 200);
  torc_node_view v;
  torc_node_get_view(nt_node(s.h), &v);
  assert_int_equal(v.num_successors, 1);
  assert_int_equal(nt_counter(s.h, "transfer_failures"), 0);
  nt_free(s.h);
}

/* It goes in the middle of it. */
static void test_goes(void **state) {
  scene s = scene_new();
  torc_id kept = nt_resource(s.kept);
  (void)state;
  reply(&s, nt_take_request(s.h, s.c, TORC_METHOD_STORE), 200);
  nt_down(s.h, s.c);
  nt_advance(s.h, TORC_SEC(1));
  torc_node_view v;
  torc_node_get_view(nt_node(s.h), &v);
  assert_true(torc_id_eq(&v.range_from, &s.self));
  assert_true(torc_node_holds(nt_node(s.h), &kept));
  assert_int_equal(nt_counter(s.h, "transfer_failures"), 1);
  nt_free(s.h);
}

/* Its view is behind: the message is repeated, and does no harm twice. */
static void test_repeated(void **state) {
  scene s = scene_new();
  (void)state;
  reply(&s, nt_take_request(s.h, s.c, TORC_METHOD_REMOVE), 200);
  reply(&s, nt_take_request(s.h, s.c, TORC_METHOD_STORE), 403);
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_STORE));
  nt_advance(s.h, TORC_MS(50));
  nt_out *again = nt_take_request(s.h, s.c, TORC_METHOD_STORE);
  assert_non_null(again);
  reply(&s, again, 200);
  nt_advance(s.h, TORC_MS(20));
  assert_non_null(nt_take_request(s.h, s.c, TORC_METHOD_UPDATE));
  nt_free(s.h);
}

/* The node ends with all of it under way. */
static void test_ends(void **state) {
  scene s = scene_new();
  (void)state;
  reply(&s, nt_take_request(s.h, s.c, TORC_METHOD_STORE), 403); /* one waits to be repeated */
  nt_free(s.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST(
          "JOI-03 JOI-08 CHD-15 CHD-16 D-14 R-16 GAP-114 a joining peer gets values and removals",
          test_handed_over),
      TORC_TEST("GAP-95 D-14 counters of elements and of their slot", test_counters),
      TORC_TEST("CHD-15 GAP-114 one resource of many messages", test_large),
      TORC_TEST("GAP-86 GAP-114 GAP-131 short messages", test_short),
      TORC_TEST("R-10 GAP-101 GAP-131 a copy may be longer than a message", test_a_little_longer),
      TORC_TEST("GAP-114 a joining peer refuses", test_refused),
      TORC_TEST("GAP-58 GAP-114 GAP-166 a joining peer does not know a signer",
                test_unknown_signer),
      TORC_TEST("GAP-114 a joining peer goes", test_goes),
      TORC_TEST("GAP-101 GAP-114 a joining peer's view is behind", test_repeated),
      TORC_TEST("D-40 GAP-114 the node ends during a hand-over", test_ends),
  };
  return TORC_RUN(tests);
}
