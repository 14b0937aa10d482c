/* Writes at their holder: who checks what, whom the answer waits for, copies and replays.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/storage_pdu.h"

#define A 0x20 /* a client link */
#define C 0xc0 /* a member: successor and predecessor of the node */
#define D 0xe0 /* another one, behind C */

#define STORES (1u << TORC_METHOD_STORE)
#define REMOVES (1u << TORC_METHOD_REMOVE)

typedef struct scene {
  nt *h;
  torc_link_id a, c, d;
  torc_id self;
  uint8_t owner; /* whose resource lies in the node's own range, whoever joins */
  torc_id resource;
} scene;

/* A user whose resource lies in (from, to]. */
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

/* A ring of `members` peers beside the node: none, C, or C and D. */
static scene scene_new(unsigned members) {
  scene s = {.h = nt_ring(NULL)};
  s.self = nt_self(s.h);
  nt_answer(s.h, NT_ANSWER_DEFAULT | STORES | REMOVES);
  if (members > 0) {
    s.c = nt_join(s.h, C);
  }
  if (members > 1) {
    static const uint8_t preds[] = {NT_SELF, 0};
    static const uint8_t succs[] = {D, 0};
    s.d = nt_join(s.h, D);
    nt_update(s.h, s.c, C, preds, succs);
  }
  s.a = nt_up(s.h, A);
  s.owner = user_in(D, NT_SELF);
  s.resource = nt_resource(s.owner);
  nt_advance(s.h, TORC_SEC(2)); /* new replicas have everything: nothing */
  nt_clear(s.h);
  nt_answer(s.h, NT_ANSWER_DEFAULT);
  return s;
}

static nt_element line(const scene *s, const char *value) {
  return (nt_element){.type = NT_TYPE_LINE,
                      .value = value,
                      .storage_time = NT_WALL,
                      .lifetime_s = 3600,
                      .signer = nt_cert(s->h, s->owner)};
}

static void store_by(scene *s, nt_msg *m, uint8_t signer, const nt_element *e, size_t num) {
  torc_id via = nt_id(signer);
  nt_request(s->h, m, signer, TORC_METHOD_STORE, nt_store_payload(s->h, &s->resource, e, num));
  nt_route(m, &s->resource);
  if (signer != A) {
    nt_via(m, &via);
  }
  nt_input(s->h, s->a, m);
}

/* By their owner, through A. */
static void store(scene *s, nt_msg *m, const nt_element *e, size_t num) {
  store_by(s, m, s->owner, e, num);
}

static uint64_t generation_of(torc_slice run) {
  torc_store_type_response r;
  torc_rd rd;
  torc_rd_init(&rd, run);
  assert_true(torc_store_type_response_next(&rd, &r));
  assert_int_equal(torc_rd_left(&rd), 0);
  return r.generation;
}

/* ---- who may store what ---- */

typedef struct element_case {
  void (*spoil)(scene *s, nt_element *e);
  uint16_t code;
} element_case;

static void fine(scene *s, nt_element *e) {
  (void)s;
  (void)e;
}
static void unknown_type(scene *s, nt_element *e) {
  (void)s;
  e->type = 0xf0beef;
}
static void not_signed(scene *s, nt_element *e) {
  (void)s;
  e->signer = NULL;
}
static void forged(scene *s, nt_element *e) {
  (void)s;
  e->is_forged = true;
}
static void other_user(scene *s, nt_element *e) {
  e->signer = nt_cert(s->h, s->owner == A ? 0x21 : A);
}
static void unknown_signer(scene *s, nt_element *e) {
  torc_id id = nt_id(0x77);
  e->signer = nt_cert_make(s->h, nt_user(s->owner), &id, 1, 1, UINT32_MAX);
  e->identity = TORC_IDENTITY_PEER;
}
static void known_by_reference(scene *s, nt_element *e) {
  nt_msg m;
  nt_request(s->h, &m, s->owner, TORC_METHOD_PING,
             nt_ping_payload(s->h)); /* its certificate has been seen */
  nt_route(&m, &s->self);
  torc_id via = nt_id(s->owner);
  nt_via(&m, &via);
  nt_input(s->h, s->a, &m);
  e->identity = TORC_IDENTITY_PEER;
}
static void expired_signer(scene *s, nt_element *e) {
  torc_id id = nt_id(s->owner);
  e->signer = nt_cert_make(s->h, nt_user(s->owner), &id, 1, 1, NT_WALL - 1);
  e->storage_time = NT_WALL - 100; /* it was good then: no help for a first STORE */
}
static void signed_too_early(scene *s, nt_element *e) { /* no replica would take it */
  torc_id id = nt_id(s->owner);
  e->signer = nt_cert_make(s->h, nt_user(s->owner), &id, 1, NT_WALL - 10, UINT32_MAX);
  e->storage_time = NT_WALL - 11;
}
static void signed_too_late(scene *s, nt_element *e) {
  torc_id id = nt_id(s->owner);
  e->signer = nt_cert_make(s->h, nt_user(s->owner), &id, 1, 1, NT_WALL + 10);
  e->storage_time = NT_WALL + 11;
}
static void other_authority(scene *s, nt_element *e) {
  torc_id id = nt_id(s->owner);
  torc_cert *c = nt_cert_make(s->h, nt_user(s->owner), &id, 1, 1, UINT32_MAX);
  ((uint8_t *)(uintptr_t)c->der.p)[0] = 'X';
  e->signer = c;
}
static void wrong_generation(scene *s, nt_element *e) {
  (void)s;
  e->generation = 77;
}
static void no_time(scene *s, nt_element *e) {
  (void)s;
  e->storage_time = 0;
}
static void no_lifetime(scene *s, nt_element *e) {
  (void)s;
  e->lifetime_s = 0;
}
static void too_old(scene *s, nt_element *e) {
  (void)s;
  e->storage_time = NT_WALL - 8000;
}

static void test_elements(void **state) {
  static const element_case cases[] = {
      {fine, 200},
      {unknown_type, 404},
      {not_signed, 401},
      {forged, 403},
      {other_user, 403},
      {unknown_signer, 401},
      {expired_signer, 403},
      {signed_too_early, 403},
      {signed_too_late, 403},
      {other_authority, 403},
      {wrong_generation, 412},
      {no_time, 400},
      {no_lifetime, 400},
      {too_old, 412},
      {known_by_reference, 200},
  };
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    scene s = scene_new(0);
    nt_element e = line(&s, "value");
    torc_slice info;
    nt_msg m;
    cases[i].spoil(&s, &e);
    store(&s, &m, &e, 1);
    nt_out *o = nt_expect(s.h, s.a, &m, cases[i].code);
    if (cases[i].code == 200) {
      assert_int_equal(generation_of(o->c.payload), 1);
    } else if (cases[i].code == 404) {
      assert_string_equal(nt_phrase(s.h, o, &info), "Unknown Type");
    } else if (cases[i].code == 412) { /* the counters come along */
      assert_string_equal(nt_phrase(s.h, o, &info), "Precondition Failed");
      assert_int_equal(generation_of(info), 0);
    } else {
      (void)nt_phrase(s.h, o, &info);
      assert_int_equal(info.len, 0);
    }
    torc_node_view v;
    torc_node_get_view(nt_node(s.h), &v);
    assert_int_equal(v.num_resources, cases[i].code == 200 ? 1 : 0);
    assert_int_equal(torc_node_holds(nt_node(s.h), &s.resource), cases[i].code == 200);
    nt_free(s.h);
  }
}

/* Several faults at once: the order of R-15 decides. Each case has the fault of the one before it
 * as well. */
static void test_order_of_checks(void **state) {
  static const struct {
    void (*spoil)(scene *s, nt_element *e);
    uint16_t code;
  } cases[] = {{too_old, 412},
               {wrong_generation, 412},
               {forged, 403},
               {not_signed, 401},
               {unknown_type, 404}};
  (void)state;
  for (size_t num = 1; num <= TORC_ARRAY_LEN(cases); num++) {
    scene s = scene_new(0);
    nt_element e = line(&s, "value");
    nt_msg m;
    for (size_t i = 0; i < num; i++) {
      cases[i].spoil(&s, &e);
    }
    store(&s, &m, &e, 1);
    (void)nt_expect(s.h, s.a, &m, cases[num - 1].code);
    nt_free(s.h);
  }
}

/* One bad element among good ones: nothing of the request is kept. */
static void test_all_or_nothing(void **state) {
  scene s = scene_new(0);
  nt_element e[3] = {line(&s, "one"), line(&s, "two"), line(&s, "three")};
  nt_msg m;
  (void)state;
  e[0].type = NT_TYPE_NOTE;
  e[0].key = "k";
  e[1].type = NT_TYPE_LIST;
  e[2].is_forged = true;
  store(&s, &m, e, 3);
  (void)nt_expect(s.h, s.a, &m, 403);
  assert_false(torc_node_holds(nt_node(s.h), &s.resource));
  e[2].is_forged = false;
  store(&s, &m, e, 3);
  nt_out *o = nt_expect(s.h, s.a, &m, 200);
  torc_store_type_response r;
  torc_rd rd;
  torc_rd_init(&rd, o->c.payload);
  for (size_t i = 0; i < 3; i++) { /* one element per type, in order */
    assert_true(torc_store_type_response_next(&rd, &r));
    assert_int_equal(r.type, e[i].type);
    assert_int_equal(r.generation, 1);
  }
  nt_free(s.h);
}

/* Many elements: their signatures are checked a few at a time, and they may be checked in any
 * order. */
static void test_many_elements(void **state) {
  scene s = scene_new(0);
  nt_element e[60];
  char values[60][8];
  nt_msg m;
  (void)state;
  for (size_t i = 0; i < 60; i++) {
    values[i][0] = (char)('a' + i % 26);
    values[i][1] = '\0';
    e[i] = line(&s, values[i]);
    e[i].type = NT_TYPE_LIST;
    e[i].index = (int32_t)i;
  }
  nt_hold_jobs(s.h, true);
  store(&s, &m, e, 60);
  nt_run_job(s.h, TORC_JOB_CERTIFICATE, 0);
  nt_run_job(s.h, TORC_JOB_VERIFY, 0); /* the message's */
  unsigned most = 0;
  while (nt_num_jobs(s.h, TORC_JOB_VERIFY) + nt_num_jobs(s.h, TORC_JOB_CERTIFICATE) > 0) {
    unsigned now =
        (unsigned)(nt_num_jobs(s.h, TORC_JOB_VERIFY) + nt_num_jobs(s.h, TORC_JOB_CERTIFICATE));
    most = now > most ? now : most;
    nt_run_job(s.h, nt_num_jobs(s.h, TORC_JOB_VERIFY) > 0 ? TORC_JOB_VERIFY : TORC_JOB_CERTIFICATE,
               0);
  }
  assert_in_range(most, 2, 8);
  nt_hold_jobs(s.h, false);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_free(s.h);
}

/* Nobody makes a holder look at six hundred signatures of which the first is wrong. */
static void test_fault_ends_checks(void **state) {
  (void)state;
  for (size_t bad = 0; bad < 40; bad += 13) {
    scene s = scene_new(0);
    nt_element e[60];
    nt_msg m;
    for (size_t i = 0; i < 60; i++) {
      e[i] = line(&s, "v");
      e[i].type = NT_TYPE_LIST;
      e[i].index = (int32_t)i;
    }
    e[bad].is_forged = true;
    e[bad + 1].signer = NULL; /* behind it: does not count */
    uint64_t before = nt_counter(s.h, "jobs_verify");
    store(&s, &m, e, 60);
    (void)nt_expect(s.h, s.a, &m, 403);
    assert_in_range(nt_counter(s.h, "jobs_verify") - before, bad + 2, bad + 10);
    nt_free(s.h);
  }
}

/* The signer's own client, another member, a far peer: anybody may carry it. But an array is for
 * its owner. */
static void test_message_signer(void **state) {
  scene s = scene_new(0);
  nt_element e = line(&s, "by another");
  nt_msg m;
  (void)state;
  uint8_t other = s.owner == 0x21 ? 0x22 : 0x21;
  store_by(&s, &m, other, &e, 1);
  (void)nt_expect(s.h, s.a, &m, 200);
  e.type = NT_TYPE_LIST;
  store_by(&s, &m, other, &e, 1);
  (void)nt_expect(s.h, s.a, &m, 403);
  store(&s, &m, &e, 1);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_free(s.h);
}

/* ---- the answer waits [D-13] ---- */

/* Alone: for the disk only. */
static void test_sync(void **state) {
  scene s = scene_new(0);
  nt_element e = line(&s, "one");
  nt_msg m;
  (void)state;
  nt_job_result(s.h, TORC_JOB_SYNC, 0);
  nt_hold_jobs(s.h, true);
  store(&s, &m, &e, 1);
  nt_run_job(s.h, TORC_JOB_CERTIFICATE, 0);
  nt_run_job(s.h, TORC_JOB_VERIFY, 0);
  nt_run_job(s.h, TORC_JOB_VERIFY, 0);
  assert_int_equal(nt_num_jobs(s.h, TORC_JOB_SYNC), 1);
  assert_int_equal(nt_num_jobs(s.h, TORC_JOB_SIGN), 0); /* no answer yet */
  nt_advance(s.h, TORC_SEC(3));
  nt_expect_nothing(s.h, &m);
  nt_run_job(s.h, TORC_JOB_SYNC, 0);
  nt_hold_jobs(s.h, false);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_job_result(s.h, TORC_JOB_SYNC,
                TORC_ERR_IO); /* what may be lost is not answered with success */
  e.value = "two";
  e.storage_time++;
  store(&s, &m, &e, 1);
  (void)nt_expect(s.h, s.a, &m, 503);
  assert_int_equal(nt_counter(s.h, "jobs_failed"), 1);
  nt_free(s.h);
}

/* The copy as it goes to a replica: to its exact id, under the present counter, element and
 * signature unchanged. */
static nt_out *expect_copy(scene *s, torc_link_id link, uint8_t peer, const nt_element *e,
                           uint64_t generation) {
  nt_out *o = nt_take_request(s->h, link, TORC_METHOD_STORE);
  torc_id want = nt_id(peer);
  torc_store_request r;
  torc_store_type t;
  torc_stored_data d;
  torc_rd rd;
  assert_non_null(o);
  assert_int_equal(torc_id_list_len(o->hdr.route), 1);
  assert_memory_equal(o->hdr.route.p, want.b, TORC_ID_LEN);
  assert_true(nt_is_signed_by(s->h, o, nt_cert(s->h, NT_SELF)));
  assert_int_equal(torc_store_request_decode(&r, o->c.payload), 0);
  assert_true(torc_id_eq(&r.resource, &s->resource));
  torc_rd_init(&rd, r.types);
  assert_true(torc_store_type_next(&rd, &t));
  assert_int_equal(t.generation, generation);
  torc_slice plain = nt_store_payload(s->h, &s->resource, e, 1);
  torc_store_request mine;
  torc_store_type mine_t;
  torc_rd mine_rd;
  assert_int_equal(torc_store_request_decode(&mine, plain), 0);
  torc_rd_init(&mine_rd, mine.types);
  assert_true(torc_store_type_next(&mine_rd, &mine_t));
  assert_true(torc_slice_eq(t.values, mine_t.values));
  torc_rd_init(&rd, t.values);
  assert_int_equal(torc_stored_data_get(&rd, TORC_MODEL_SINGLE, &d), 0);
  return o;
}

static void reply(scene *s, torc_link_id link, uint8_t signer, const nt_out *request,
                  uint16_t code) {
  nt_msg m;
  nt_response(s->h, &m, signer, request, code, torc_slice_of(NULL, 0));
  nt_input(s->h, link, &m);
}

static void test_replicas(void **state) {
  scene s = scene_new(2);
  nt_element e = line(&s, "copied");
  nt_msg m;
  (void)state;
  store(&s, &m, &e, 1);
  nt_out *to_c = expect_copy(&s, s.c, C, &e, 1);
  nt_out *to_d = expect_copy(&s, s.d, D, &e, 1);
  nt_expect_nothing(s.h, &m);
  nt_input(s.h, s.a, &m); /* a retransmission meanwhile */
  nt_expect_nothing(s.h, &m);
  assert_int_equal(nt_counter(s.h, "drop_duplicate"), 1);
  reply(&s, s.c, C, to_c, 200);
  nt_expect_nothing(s.h, &m);
  nt_advance(s.h, TORC_MS(300));
  nt_expect_nothing(s.h, &m);
  reply(&s, s.d, D, to_d, 200);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_STORE)); /* once */
  assert_int_equal(nt_counter(s.h, "replicas_given_up"), 0);
  nt_free(s.h);
}

/* A replica with a higher counter has the older history: the responsible peer goes on from there.
 */
static void test_replica_ahead(void **state) {
  static const uint8_t ahead[11] = {0xf0, 0x00, 0x02, 0, 0, 0, 1, 0, 0, 0, 7};
  scene s = scene_new(2);
  nt_element e = line(&s, "anew");
  nt_msg m;
  nt_msg answer;
  (void)state;
  store(&s, &m, &e, 1);
  nt_out *to_c = expect_copy(&s, s.c, C, &e, 1);
  nt_out *to_d = expect_copy(&s, s.d, D, &e, 1);
  nt_response(s.h, &answer, C, to_c, 200, torc_slice_of(ahead, sizeof ahead));
  nt_input(s.h, s.c, &answer);
  reply(&s, s.d, D, to_d, 200);
  (void)nt_expect(s.h, s.a, &m, 200);
  e.value = "next";
  e.storage_time++;
  store(&s, &m, &e, 1);
  (void)expect_copy(&s, s.c, C, &e, 0x100000008);
  (void)expect_copy(&s, s.d, D, &e, 0x100000008);
  nt_free(s.h);
}

/* A replica that does not answer is given up after two seconds. */
static void test_replica_silent(void **state) {
  scene s = scene_new(2);
  nt_element e = line(&s, "copied");
  nt_msg m;
  (void)state;
  store(&s, &m, &e, 1);
  reply(&s, s.c, C, expect_copy(&s, s.c, C, &e, 1), 200);
  nt_advance(s.h, TORC_SEC(2) - 1);
  nt_expect_nothing(s.h, &m);
  nt_advance(s.h, 1);
  (void)nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(nt_counter(s.h, "replicas_given_up"), 1);
  nt_free(s.h);
}

/* Its view is behind: asked again, for as long as there is time. */
static void test_replica_refuses(void **state) {
  scene s = scene_new(1);
  nt_element e = line(&s, "copied");
  nt_msg m;
  unsigned tries = 0;
  (void)state;
  store(&s, &m, &e, 1);
  torc_time begin = nt_now(s.h);
  nt_out *answered = NULL;
  while ((answered = nt_take_xid(s.h, m.hdr.xid)) == NULL) {
    nt_out *o = nt_take_request(s.h, s.c, TORC_METHOD_STORE);
    if (o != NULL) {
      tries++;
      reply(&s, s.c, C, o, 403);
    } else {
      nt_advance(s.h, TORC_MS(10));
    }
    assert_true(nt_now(s.h) - begin <= TORC_SEC(2));
  }
  assert_int_equal(answered->c.code, 200);
  assert_in_range(tries, 4, 10);
  e.value = "again";
  e.storage_time++;
  store(&s, &m, &e, 1);
  reply(&s, s.c, C, expect_copy(&s, s.c, C, &e, 2), 403);
  nt_advance(s.h, TORC_MS(50));
  reply(&s, s.c, C, expect_copy(&s, s.c, C, &e, 2), 200);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_free(s.h);
}

/* It cannot find the signer, and will not: neither asked again nor sent everything anew. */
static void test_replica_lost_signer(void **state) {
  scene s = scene_new(1);
  nt_element e = line(&s, "copied");
  nt_msg m;
  (void)state;
  store(&s, &m, &e, 1);
  reply(&s, s.c, C, expect_copy(&s, s.c, C, &e, 1), 401);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_advance(s.h, TORC_SEC(30));
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_STORE));
  assert_int_equal(nt_counter(s.h, "replicas_given_up"), 1);
  nt_free(s.h);
}

/* Its link goes down: it is given up at once. */
static void test_replica_dies(void **state) {
  scene s = scene_new(2);
  nt_element e = line(&s, "copied");
  nt_msg m;
  (void)state;
  store(&s, &m, &e, 1);
  reply(&s, s.d, D, expect_copy(&s, s.d, D, &e, 1), 200);
  nt_down(s.h, s.c);
  nt_tick(s.h);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_free(s.h);
}

static void short_wait(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->replica_wait = TORC_MS(200);
}

static void test_replica_wait(void **state) {
  static const nt_options o = {.tweak = short_wait};
  nt *h = nt_ring(&o);
  torc_link_id a = nt_up(h, A);
  uint8_t owner = user_in(C, NT_SELF);
  torc_id resource = nt_resource(owner);
  nt_element e = {.type = NT_TYPE_LINE,
                  .value = "v",
                  .storage_time = NT_WALL,
                  .lifetime_s = 100,
                  .signer = nt_cert(h, owner)};
  nt_msg m;
  (void)state;
  (void)nt_join(h, C);
  nt_request(h, &m, A, TORC_METHOD_STORE, nt_store_payload(h, &resource, &e, 1));
  nt_route(&m, &resource);
  nt_input(h, a, &m);
  nt_advance(h, TORC_MS(200));
  (void)nt_expect(h, a, &m, 200);
  nt_free(h);
}

/* A refused write goes nowhere. */
static void test_refused_is_not_copied(void **state) {
  scene s = scene_new(2);
  nt_element e = line(&s, "bad");
  nt_msg m;
  (void)state;
  e.is_forged = true;
  store(&s, &m, &e, 1);
  (void)nt_expect(s.h, s.a, &m, 403);
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_STORE));
  nt_free(s.h);
}

/* ---- REMOVE ---- */

static void stored(scene *s, const char *value) {
  nt_element e = line(s, value);
  nt_msg m;
  nt_answer(s->h, NT_ANSWER_DEFAULT | STORES);
  store(s, &m, &e, 1);
  (void)nt_expect(s->h, s->a, &m, 200);
  nt_answer(s->h, NT_ANSWER_DEFAULT);
}

static void remove_of(scene *s, nt_msg *m, uint8_t signer, uint64_t generation) {
  uint32_t type = NT_TYPE_LINE;
  torc_id via = nt_id(signer);
  nt_request(s->h, m, signer, TORC_METHOD_REMOVE,
             nt_fetch_payload(s->h, &s->resource, &type, &generation, 1));
  nt_route(m, &s->resource);
  if (signer != A) {
    nt_via(m, &via);
  }
  nt_input(s->h, s->a, m);
}

/* The owner's REMOVE goes to the replicas as it came: same transaction, contents and signature. */
static void test_remove_is_replayed(void **state) {
  scene s = scene_new(1);
  torc_id c = nt_id(C);
  nt_msg m;
  (void)state;
  stored(&s, "v");
  remove_of(&s, &m, s.owner, 1);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_non_null(o);
  assert_int_equal(o->link, s.c);
  assert_false(o->c.is_response);
  assert_int_equal(torc_id_list_len(o->hdr.route), 1);
  assert_memory_equal(o->hdr.route.p, c.b, TORC_ID_LEN);
  assert_int_equal(o->hdr.via.len, 0);
  assert_true(nt_is_signed_by(s.h, o, nt_cert(s.h, s.owner)));
  torc_slice mine = nt_encode(s.h, &m);
  size_t head = TORC_HEADER_FIXED + 2 * TORC_ID_LEN;
  assert_true(
      torc_slice_eq(torc_slice_sub(mine, head, mine.len - head),
                    torc_slice_sub(o->bytes, o->hdr.header_len, o->bytes.len - o->hdr.header_len)));
  nt_expect_nothing(s.h, &m);
  reply(&s, s.c, C, o, 200);
  o = nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(generation_of(o->c.payload), 2);
  nt_free(s.h);
}

static void test_remove_codes(void **state) {
  scene s = scene_new(0);
  uint32_t unknown = 0xf0dead;
  torc_slice info;
  nt_msg m;
  (void)state;
  remove_of(&s, &m, s.owner, 0);
  assert_int_equal(generation_of(nt_expect(s.h, s.a, &m, 200)->c.payload),
                   0); /* nothing there: a silent success */
  stored(&s, "v");
  remove_of(&s, &m, s.owner, 0);
  nt_out *o = nt_expect(s.h, s.a, &m, 412); /* */
  (void)nt_phrase(s.h, o, &info);
  assert_int_equal(generation_of(info), 1);
  remove_of(&s, &m, s.owner, 9);
  (void)nt_expect(s.h, s.a, &m, 412);
  remove_of(&s, &m, s.owner == 0x21 ? 0x22 : 0x21, 1);
  (void)nt_expect(s.h, s.a, &m, 403);
  assert_true(torc_node_holds(nt_node(s.h), &s.resource));
  nt_request(s.h, &m, s.owner, TORC_METHOD_REMOVE,
             nt_fetch_payload(s.h, &s.resource, &unknown, NULL, 1));
  torc_id via = nt_id(s.owner);
  nt_via(&m, &via);
  nt_route(&m, &s.resource);
  nt_input(s.h, s.a, &m);
  o = nt_expect(s.h, s.a, &m, 404);
  assert_string_equal(nt_phrase(s.h, o, &info), "Unknown Type");
  remove_of(&s, &m, s.owner, 1);
  (void)nt_expect(s.h, s.a, &m, 200);
  assert_false(torc_node_holds(nt_node(s.h), &s.resource));
  nt_free(s.h);
}

/* ---- as replica ---- */

/* In a ring of C and this node, this node is C's successor: C's resources are copied here. */
static scene replica_scene(void) {
  scene s = scene_new(1);
  s.owner = user_in(NT_SELF, C);
  s.resource = nt_resource(s.owner);
  return s;
}

/* A message of `from` to this node's own id on its link. */
static void direct(scene *s, nt_msg *m, torc_link_id link, uint8_t from, uint16_t method,
                   torc_slice payload) {
  nt_request(s->h, m, from, method, payload);
  nt_route(m, &s->self);
  nt_input(s->h, link, m);
}

static void test_copy_accepted(void **state) {
  scene s = replica_scene();
  nt_element e = line(&s, "copy");
  nt_msg m;
  (void)state;
  e.generation = 42; /* the sender's counter: taken over, not compared */
  direct(&s, &m, s.c, C, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
  assert_int_equal(generation_of(nt_expect(s.h, s.c, &m, 200)->c.payload), 42);
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_STORE)); /* a copy is not copied on */
  uint32_t type = NT_TYPE_LINE;
  torc_slice fetch = nt_fetch_payload(s.h, &s.resource, &type, NULL, 1);
  direct(&s, &m, s.a, A, TORC_METHOD_FETCH,
         fetch); /* a replica that is addressed exactly serves its copy */
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_request(s.h, &m, A, TORC_METHOD_FETCH, fetch); /* otherwise it is routed on */
  nt_route(&m, &s.resource);
  nt_input(s.h, s.a, &m);
  nt_out *o = nt_take_xid(s.h, m.hdr.xid);
  assert_int_equal(o->link, s.c);
  nt_free(s.h);
}

/* Signatures are checked as well; dates against the storage time. */
static void test_copy_checked(void **state) {
  scene s = replica_scene();
  nt_element e = line(&s, "copy");
  nt_msg m;
  (void)state;
  e.is_forged = true;
  direct(&s, &m, s.c, C, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
  (void)nt_expect(s.h, s.c, &m, 403);
  e.is_forged = false;
  e.signer = nt_cert(s.h, s.owner == A ? 0x21 : A);
  direct(&s, &m, s.c, C, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
  (void)nt_expect(s.h, s.c, &m, 403);
  expired_signer(&s, &e);
  e.lifetime_s = 5000;
  direct(&s, &m, s.c, C, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
  (void)nt_expect(s.h, s.c, &m, 200);
  nt_free(s.h);
}

/* Whom a copy is not taken from: no neighbour 404, a neighbour out of its range 403. */
static void test_copy_refused(void **state) {
  scene s = replica_scene();
  nt_element e = line(&s, "copy");
  torc_id c = nt_id(C);
  nt_msg m;
  (void)state;
  torc_slice payload = nt_store_payload(s.h, &s.resource, &e, 1);
  direct(&s, &m, s.a, A, TORC_METHOD_STORE, payload);
  (void)nt_expect(s.h, s.a, &m, 404);
  nt_request(s.h, &m, C, TORC_METHOD_STORE, payload); /* not directly */
  nt_route(&m, &s.self);
  nt_via(&m, &c);
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 404);
  assert_false(torc_node_holds(nt_node(s.h), &s.resource));
  nt_free(s.h);
  s = scene_new(2); /* D is this node's predecessor and C the one before: a resource of C is not D's
                       to copy */
  static const uint8_t preds[] = {C, NT_SELF, 0};
  static const uint8_t succs[] = {NT_SELF, C, 0};
  nt_update(s.h, s.d, D, preds, succs);
  nt_advance(s.h, TORC_SEC(90)); /* what fitted before the table changed fits no more */
  s.owner = user_in(NT_SELF, C);
  s.resource = nt_resource(s.owner);
  e = line(&s, "copy");
  direct(&s, &m, s.d, D, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
  (void)nt_expect(s.h, s.d, &m, 403);
  direct(&s, &m, s.c, C, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
  (void)nt_expect(s.h, s.c, &m, 200);
  nt_free(s.h);
}

/* A REMOVE signed by the owner, passed on by the holder over its own link: a replay. */
static void test_replay_accepted(void **state) {
  scene s = replica_scene();
  nt_element e = line(&s, "copy");
  uint32_t type = NT_TYPE_LINE;
  uint64_t generation = 45; /* of the primary; this holder missed something */
  nt_msg m;
  (void)state;
  e.generation = 42;
  direct(&s, &m, s.c, C, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
  (void)nt_expect(s.h, s.c, &m, 200);
  nt_request(s.h, &m, s.owner, TORC_METHOD_REMOVE,
             nt_fetch_payload(s.h, &s.resource, &type, &generation, 1));
  nt_route(&m, &s.self);
  nt_input(s.h, s.a, &m); /* by somebody else: not signed by the link's peer */
  (void)nt_expect(s.h, s.a, &m, s.owner == A ? 404 : 403);
  assert_true(torc_node_holds(nt_node(s.h), &s.resource));
  nt_input(s.h, s.c, &m); /* without the generation test */
  (void)nt_expect(s.h, s.c, &m, 200);
  assert_false(torc_node_holds(nt_node(s.h), &s.resource));
  nt_input(s.h, s.c, &m); /* again, as a holder does that is not sure [D-14] */
  (void)nt_expect(s.h, s.c, &m, 200);
  e.generation = 42;
  direct(&s, &m, s.c, C, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
  (void)nt_take_xid(s.h, m.hdr.xid);
  assert_false(torc_node_holds(nt_node(s.h), &s.resource)); /* no stale copy brings it back */
  nt_free(s.h);
}

/* A forged replay. */
static void test_replay_forged(void **state) {
  scene s = replica_scene();
  nt_element e = line(&s, "copy");
  uint32_t type = NT_TYPE_LINE;
  uint64_t generation = 42;
  nt_msg m;
  (void)state;
  e.generation = 42;
  direct(&s, &m, s.c, C, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
  (void)nt_expect(s.h, s.c, &m, 200);
  nt_request(s.h, &m, s.owner, TORC_METHOD_REMOVE,
             nt_fetch_payload(s.h, &s.resource, &type, &generation, 1));
  nt_route(&m, &s.self);
  m.is_forged = true;
  nt_input(s.h, s.c, &m);
  (void)nt_expect(s.h, s.c, &m, 403);
  nt_request(s.h, &m, C, TORC_METHOD_REMOVE,
             nt_fetch_payload(s.h, &s.resource, &type, &generation, 1));
  nt_route(&m, &s.self);
  nt_input(s.h, s.c, &m); /* signed by the holder itself, who is not the owner */
  (void)nt_expect(s.h, s.c, &m, 403);
  assert_true(torc_node_holds(nt_node(s.h), &s.resource));
  nt_free(s.h);
}

/* ---- FETCH ---- */

static void test_fetch(void **state) {
  static const uint32_t twice[2] = {NT_TYPE_LINE, NT_TYPE_LINE};
  scene s = scene_new(1);
  uint32_t type = NT_TYPE_LINE;
  uint64_t generation = 1;
  uint32_t unknown[2] = {NT_TYPE_LINE, 0xf0dead};
  torc_id elsewhere = nt_id(0xb0);
  torc_slice info;
  torc_fetch_response r;
  torc_rd rd;
  nt_msg m;
  (void)state;
  stored(&s, "the value");
  for (unsigned hit = 0; hit < 2; hit++) {
    direct(&s, &m, s.a, A, TORC_METHOD_FETCH,
           nt_fetch_payload(s.h, &s.resource, &type, hit != 0 ? &generation : NULL, 1));
    nt_out *o = nt_expect(s.h, s.a, &m, 200);
    torc_rd_init(&rd, o->c.payload);
    assert_true(torc_fetch_response_next(&rd, &r));
    assert_int_equal(r.type, type);
    assert_int_equal(r.generation, 1);
    assert_int_equal(r.values.len > 0, hit == 0);
    assert_false(torc_fetch_response_next(&rd, &r));
  }
  direct(&s, &m, s.a, A, TORC_METHOD_FETCH, nt_fetch_payload(s.h, &s.resource, twice, NULL, 2));
  (void)nt_expect(s.h, s.a, &m, 400);
  direct(&s, &m, s.a, A, TORC_METHOD_FETCH, nt_fetch_payload(s.h, &s.resource, unknown, NULL, 2));
  assert_string_equal(nt_phrase(s.h, nt_expect(s.h, s.a, &m, 404), &info), "Unknown Type");
  direct(&s, &m, s.a, A, TORC_METHOD_FETCH, nt_fetch_payload(s.h, &s.resource, &type, NULL, 0));
  (void)nt_expect(s.h, s.a, &m, 400);
  direct(&s, &m, s.a, A, TORC_METHOD_FETCH, nt_fetch_payload(s.h, &elsewhere, &type, NULL, 1));
  assert_string_equal(nt_phrase(s.h, nt_expect(s.h, s.a, &m, 404), &info), "Not Found");
  nt_free(s.h);
}

/* More than one message holds: 413, and the requester narrows what it asks for. */
static void test_fetch_too_much(void **state) {
  static char big[45000];
  scene s = scene_new(0);
  uint32_t type = NT_TYPE_LIST;
  nt_msg m;
  (void)state;
  if (s.owner != A) { /* arrays are stored by their owner */
    s.a = nt_up(s.h, s.owner);
  }
  memset(big, 'x', sizeof big - 1);
  for (int32_t i = 0; i < 3; i++) {
    nt_element e = line(&s, big);
    e.type = NT_TYPE_LIST;
    e.index = i;
    nt_request(s.h, &m, s.owner, TORC_METHOD_STORE, nt_store_payload(s.h, &s.resource, &e, 1));
    nt_route(&m, &s.resource);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 200);
  }
  nt_request(s.h, &m, s.owner, TORC_METHOD_FETCH,
             nt_fetch_payload(s.h, &s.resource, &type, NULL, 1));
  nt_route(&m, &s.resource);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 413);
  nt_free(s.h);
}

static void long_certificate(torc_node_config *c, void *ctx) {
  torc_cert **own = ctx;
  static uint8_t der[8000];
  *own = helper_cert_der(nt_user(NT_SELF), &c->self, torc_slice_of(der, sizeof der));
  c->cert = *own;
}

/* It fits into a message, but not with this peer's own certificate. */
static void test_fetch_too_much_signed(void **state) {
  static char big[42000];
  torc_cert *own = NULL;
  nt_options o = {.tweak = long_certificate, .ctx = &own};
  nt *h = nt_ring(&o);
  torc_link_id a = nt_up(h, A);
  torc_id resource = nt_resource(A);
  uint32_t type = NT_TYPE_LIST;
  nt_msg m;
  (void)state;
  memset(big, 'x', sizeof big - 1);
  for (int32_t i = 0; i < 3; i++) {
    nt_element e = {.type = type,
                    .value = big,
                    .index = i,
                    .storage_time = NT_WALL,
                    .lifetime_s = 100,
                    .signer = nt_cert(h, A)};
    nt_request(h, &m, A, TORC_METHOD_STORE, nt_store_payload(h, &resource, &e, 1));
    nt_route(&m, &resource);
    nt_input(h, a, &m);
    assert_int_equal(nt_take_xid(h, m.hdr.xid)->c.code, 200);
  }
  nt_request(h, &m, A, TORC_METHOD_FETCH, nt_fetch_payload(h, &resource, &type, NULL, 1));
  nt_route(&m, &resource);
  nt_input(h, a, &m);
  nt_out *answer = nt_take_xid(h, m.hdr.xid);
  assert_non_null(answer);
  assert_int_equal(answer->c.code, 413);
  nt_free(h);
  helper_cert_free(own);
}

/* Data expires without anybody asking. */
static void test_expiry(void **state) {
  scene s = scene_new(0);
  nt_element e = line(&s, "short-lived");
  torc_node_view v;
  nt_msg m;
  (void)state;
  e.lifetime_s = 300;
  store(&s, &m, &e, 1);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_advance(s.h, TORC_SEC(280));
  torc_node_get_view(nt_node(s.h), &v);
  assert_int_equal(v.num_resources, 1);
  nt_advance(s.h, TORC_SEC(30));
  torc_node_get_view(nt_node(s.h), &v);
  assert_int_equal(v.num_resources, 0);
  assert_int_equal(nt_counter(s.h, "store_expired"), 1);
  nt_free(s.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("STO-11 STO-13 STO-15..21 STO-28 STO-29 GAP-58 GAP-60 GAP-87 GAP-135 GAP-166 R-03 "
                "R-23 R-25 R-31 R-43 "
                "SEC-10 CHD-06 one element and its faults",
                test_elements),
      TORC_TEST("R-15 STO-15..20 the order of checks", test_order_of_checks),
      TORC_TEST("STO-06 STO-28 GAP-99 all or nothing", test_all_or_nothing),
      TORC_TEST("STO-17 D-41 many signatures", test_many_elements),
      TORC_TEST("R-15 STO-17 the first element that is not valid ends the checks",
                test_fault_ends_checks),
      TORC_TEST("R-02 GAP-165 who carries a value, and arrays", test_message_signer),
      TORC_TEST("D-13 STO-21 the answer waits for the disk", test_sync),
      TORC_TEST("D-13 CHD-07 GAP-95 GAP-102 R-06 the answer waits for every replica",
                test_replicas),
      TORC_TEST("GAP-95 D-14 a replica whose counter is ahead", test_replica_ahead),
      TORC_TEST("D-13 GAP-99 a silent replica is given up after 2 s", test_replica_silent),
      TORC_TEST("D-13 GAP-101 a replica whose view is behind is asked again", test_replica_refuses),
      TORC_TEST("D-13 GAP-58 GAP-166 a replica that cannot find a signer",
                test_replica_lost_signer),
      TORC_TEST("D-13 CHD-24 a replica that dies is given up at once", test_replica_dies),
      TORC_TEST("D-13 the time for replicas is configured", test_replica_wait),
      TORC_TEST("D-13 a refused write goes nowhere", test_refused_is_not_copied),
      TORC_TEST("D-14 R-16 GAP-93 REM-03 a REMOVE goes to the replicas as it came",
                test_remove_is_replayed),
      TORC_TEST("REM-07..11 R-01 R-43 GAP-60 GAP-92 REMOVE: codes", test_remove_codes),
      TORC_TEST("CHD-08 GAP-95 GAP-90 GAP-101 a copy is taken and served", test_copy_accepted),
      TORC_TEST("CHD-08 R-31 GAP-101 a copy is checked", test_copy_checked),
      TORC_TEST("CHD-08 R-05 GAP-101 GAP-104 whom no copy is taken from", test_copy_refused),
      TORC_TEST("D-14 R-16 R-13 GAP-93 a replayed REMOVE", test_replay_accepted),
      TORC_TEST("D-14 R-16 REM-09 a replayed REMOVE that is none", test_replay_forged),
      TORC_TEST("FET-01 FET-09 FET-11..13 GAP-89 GAP-90 R-21 R-22 FETCH", test_fetch),
      TORC_TEST("GAP-42 GAP-86 FETCH of more than a message holds", test_fetch_too_much),
      TORC_TEST("GAP-42 GAP-86 FETCH of more than a message with its signature holds",
                test_fetch_too_much_signed),
      TORC_TEST("STO-31 GAP-98 data expires", test_expiry),
  };
  return TORC_RUN(tests);
}
