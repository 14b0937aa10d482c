/* A FETCH at a peer that took a range over without its data: who held it before is asked as well.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/id.h"
#include "overlay/helper_node.h"
#include "overlay/node/impl.h"
#include "torc_test.h"

#define A 0x20 /* a client link */
#define C 0xc0 /* the elder */

typedef struct scene {
  nt *h;
  torc_link_id a, c;
  torc_id self, resource;
  uint8_t owner;
  torc_topology_ops ops; /* the real ones, but for elders */
  const torc_topology_ops *real;
} scene;

static size_t elder_c(const torc_topology *t, const torc_id *resource,
                      torc_id out[TORC_REPLICAS_MAX]) {
  (void)t;
  (void)resource;
  out[0] = nt_id(C);
  return 1;
}

static uint8_t user_in(uint8_t from, uint8_t to) {
  torc_id a = nt_id(from);
  torc_id b = nt_id(to);
  for (uint8_t u = 1; u < 0x80; u++) {
    torc_id r = nt_resource(u);
    if (torc_id_in_open_closed(&r, &a, &b)) {
      return u;
    }
  }
  fail();
  return 0;
}

static nt_element line(const scene *s, uint64_t generation, const char *value, uint32_t age) {
  return (nt_element){.type = NT_TYPE_LINE,
                      .generation = generation,
                      .value = value,
                      .storage_time = NT_WALL - age,
                      .lifetime_s = 3600,
                      .signer = nt_cert(s->h, s->owner)};
}

/* The node holds "old" with counter 1; C is its only neighbour. */
static void scene_init(scene *s) {
  nt_msg m;
  torc_id via;
  *s = (scene){.h = nt_ring(NULL)};
  s->self = nt_self(s->h);
  s->c = nt_join(s->h, C);
  s->a = nt_up(s->h, A);
  s->owner = user_in(C, NT_SELF);
  s->resource = nt_resource(s->owner);
  nt_answer(s->h, NT_ANSWER_DEFAULT | 1u << TORC_METHOD_STORE);
  nt_advance(s->h, TORC_SEC(2));
  nt_element e = line(s, 0, "old", 10);
  via = nt_id(s->owner);
  nt_request(s->h, &m, s->owner, TORC_METHOD_STORE, nt_store_payload(s->h, &s->resource, &e, 1));
  nt_route(&m, &s->resource);
  nt_via(&m, &via);
  nt_input(s->h, s->a, &m);
  (void)nt_expect(s->h, s->a, &m, 200);
  nt_answer(s->h, NT_ANSWER_DEFAULT);
  nt_clear(s->h);
  torc_node *n = nt_node(s->h);
  s->real = n->topo_ops;
  s->ops = *s->real;
  s->ops.elders = elder_c;
  n->topo_ops = &s->ops;
}

static void scene_free(scene *s) {
  nt_node(s->h)->topo_ops = s->real;
  nt_free(s->h);
}

static torc_slice fetch_payload(scene *s) {
  uint32_t type = NT_TYPE_LINE;
  return nt_fetch_payload(s->h, &s->resource, &type, NULL, 1);
}

/* A's FETCH, to whoever is responsible; what the node asks C. */
static nt_out *fetch(scene *s, nt_msg *m) {
  torc_id c = nt_id(C);
  nt_request(s->h, m, A, TORC_METHOD_FETCH, fetch_payload(s));
  nt_route(m, &s->resource);
  nt_input(s->h, s->a, m);
  nt_out *asked = nt_take_request(s->h, s->c, TORC_METHOD_FETCH);
  assert_non_null(asked);
  assert_int_equal(torc_id_list_len(asked->hdr.route), 1);
  torc_id to = torc_id_list_at(asked->hdr.route, 0);
  assert_true(torc_id_eq(&to, &c)); /* its own copy [GAP-90] */
  return asked;
}

static void expect_answer(scene *s, const nt_msg *m, uint64_t generation, const char *value,
                          uint32_t age) {
  nt_element e = line(s, generation, value, age);
  torc_slice want = nt_fetched_payload(s->h, &s->resource, &e, 1);
  nt_out *o = nt_expect(s->h, s->a, m, 200);
  assert_int_equal(o->c.payload.len, want.len);
  assert_memory_equal(o->c.payload.p, want.p, want.len);
}

static const struct {
  uint64_t generation; /* of C's answer */
  uint16_t code;
  bool is_later;
} answers[] = {
    {.generation = 2, .code = 200, .is_later = true},
    {.generation = 1, .code = 200, .is_later = false},
    {.generation = 0, .code = 404, .is_later = false},
    {.generation = 0, .code = 503, .is_later = false},
};

static void test_answers(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    scene s;
    nt_msg m;
    nt_msg r;
    scene_init(&s);
    nt_element e = line(&s, answers[i].generation, "new", 5);
    nt_out *asked = fetch(&s, &m);
    torc_slice payload = answers[i].code == 200 ? nt_fetched_payload(s.h, &s.resource, &e, 1)
                                                : torc_slice_of(NULL, 0);
    nt_response(s.h, &r, C, asked, answers[i].code, payload);
    nt_input(s.h, s.c, &r);
    if (answers[i].is_later) {
      expect_answer(&s, &m, 2, "new", 5);
    } else {
      expect_answer(&s, &m, 1, "old", 10);
    }
    scene_free(&s);
  }
}

/* An answer about other types, or one that is cut, does not count. */
static void test_odd_answers(void **state) {
  (void)state;
  for (unsigned kind = 0; kind < 3; kind++) {
    scene s;
    nt_msg m;
    nt_msg r;
    scene_init(&s);
    nt_element e[2] = {line(&s, 9, "new", 5), line(&s, 9, "new", 5)};
    e[kind == 0 ? 0 : 1].type = NT_TYPE_LIST;
    nt_out *asked = fetch(&s, &m);
    torc_slice payload = nt_fetched_payload(s.h, &s.resource, e, kind == 0 ? 1 : 2);
    payload.len -= kind == 2 ? 1 : 0;
    nt_response(s.h, &r, C, asked, 200, payload);
    nt_input(s.h, s.c, &r);
    expect_answer(&s, &m, 1, "old", 10);
    scene_free(&s);
  }
}

/* It has as long as a replica has for a write. */
static void test_silent(void **state) {
  scene s;
  nt_msg m;
  (void)state;
  scene_init(&s);
  (void)fetch(&s, &m);
  nt_advance(s.h, TORC_MS(1900));
  assert_null(nt_take_xid(s.h, m.hdr.xid));
  nt_advance(s.h, TORC_MS(200));
  expect_answer(&s, &m, 1, "old", 10);
  scene_free(&s);
}

/* Whoever wants this holder's copy gets it: two that ask each other come to an end. */
static void test_exact(void **state) {
  scene s;
  nt_msg m;
  (void)state;
  scene_init(&s);
  nt_request(s.h, &m, A, TORC_METHOD_FETCH, fetch_payload(&s));
  nt_route(&m, &s.self);
  nt_input(s.h, s.a, &m);
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_FETCH));
  expect_answer(&s, &m, 1, "old", 10);
  scene_free(&s);
}

/* The node ends, and memory is short, while the elder is asked. */
static void test_ends(void **state) {
  (void)state;
  scene s;
  nt_msg m;
  scene_init(&s);
  (void)fetch(&s, &m);
  scene_free(&s);
  for (int nth = 1; nth < 40; nth++) {
    scene_init(&s);
    nt_request(s.h, &m, A, TORC_METHOD_FETCH, fetch_payload(&s));
    nt_route(&m, &s.resource);
    nt_mem(s.h)->fail_at = nt_mem(s.h)->num_calls + (uint64_t)nth;
    nt_input(s.h, s.a, &m);
    nt_advance(s.h, TORC_SEC(3));
    scene_free(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("GAP-95 GAP-90 D-13 an elder that knows of a later write is believed",
                test_answers),
      TORC_TEST("GAP-95 FET-11 GAP-86 an elder's odd answer does not count", test_odd_answers),
      TORC_TEST("GAP-95 D-13 a silent elder is waited for as long as a replica", test_silent),
      TORC_TEST("GAP-90 a holder addressed itself answers from its own", test_exact),
      TORC_TEST("GAP-95 the node ends or has no memory meanwhile", test_ends),
  };
  return TORC_RUN(tests);
}
