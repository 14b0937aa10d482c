/* The application's STORE, FETCH and REMOVE at the requester.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/storage_pdu.h"

#define C 0xc0 /* a member, responsible for what is asked here */

typedef struct scene {
  nt *h;
  torc_link_id c;
  uint8_t owner; /* a user whose resource lies in C's range */
  torc_id resource;
} scene;

static scene scene_new(void) {
  scene s = {.h = nt_ring(NULL)};
  torc_id a = nt_id(NT_SELF);
  torc_id b = nt_id(C);
  s.c = nt_join(s.h, C);
  for (uint8_t u = 1; u < 0x80 && s.owner == 0; u++) {
    torc_id r = nt_resource(u);
    if (torc_id_in_open_closed(&r, &a, &b)) {
      s.owner = u;
      s.resource = r;
    }
  }
  assert_int_not_equal(s.owner, 0);
  nt_clear(s.h);
  return s;
}

static void reply(scene *s, const nt_out *request, uint16_t code, torc_slice payload) {
  nt_msg m;
  nt_response(s->h, &m, C, request, code, payload);
  nt_input(s->h, s->c, &m);
}

static const torc_done *done(scene *s, torc_token token) {
  nt_out *o = nt_take_done(s->h, token);
  return o == NULL ? NULL : &o->event.done;
}

/* ---- FETCH ---- */

static nt_out *fetch(scene *s, const uint32_t *types, size_t num, torc_token *token) {
  torc_fetch_item items[8];
  for (size_t i = 0; i < num; i++) {
    items[i] = (torc_fetch_item){.type = types[i], .first = 0, .last = -1};
  }
  assert_int_equal(torc_node_fetch(nt_node(s->h), &s->resource, items, num, nt_now(s->h), token),
                   0);
  nt_drain(s->h);
  nt_out *o = nt_take_request(s->h, s->c, TORC_METHOD_FETCH);
  assert_non_null(o);
  return o;
}

static nt_element line(scene *s, const char *value) {
  return (nt_element){.type = NT_TYPE_LINE,
                      .generation = 5,
                      .value = value,
                      .storage_time = NT_WALL,
                      .lifetime_s = 3600,
                      .signer = nt_cert(s->h, s->owner)};
}

static const torc_done *fetched(scene *s, const nt_element *e, size_t num) {
  static const uint32_t type = NT_TYPE_LINE;
  torc_token token = 0;
  nt_out *o = fetch(s, &type, 1, &token);
  reply(s, o, 200, nt_fetched_payload(s->h, &s->resource, e, num));
  const torc_done *d = done(s, token);
  assert_non_null(d);
  return d;
}

static void test_fetch(void **state) {
  scene s = scene_new();
  nt_element e = line(&s, "hello");
  torc_id c = nt_id(C);
  (void)state;
  const torc_done *d = fetched(&s, &e, 1);
  assert_int_equal(d->rc, 0);
  assert_int_equal(d->code, 200);
  assert_true(torc_id_eq(&d->responder, &c));
  assert_int_equal(d->num_values, 1);
  assert_int_equal(d->num_rejected, 0);
  assert_false(d->is_rollback);
  assert_true(d->values[0].exists);
  assert_int_equal(d->values[0].type, NT_TYPE_LINE);
  assert_int_equal(d->values[0].generation, 5);
  assert_true(torc_slice_eq(d->values[0].value, torc_slice_str("hello")));
  assert_int_equal(d->values[0].storage_time, NT_WALL);
  assert_int_equal(d->values[0].lifetime_s, 3600);
  assert_int_equal(d->num_generations, 1);
  assert_int_equal(d->generations[0].generation, 5);
  nt_free(s.h);
}

/* ---- values that are not shown [SEC-14] ---- */

static void fine(scene *s, nt_element *e) {
  (void)s;
  (void)e;
}
static void forged(scene *s, nt_element *e) {
  (void)s;
  e->is_forged = true;
}
static void not_signed(scene *s, nt_element *e) {
  (void)s;
  e->signer = NULL;
}
static void other_user(scene *s, nt_element *e) {
  e->signer = nt_cert(s->h, s->owner == 0x21 ? 0x22 : 0x21);
}
static void unknown_signer(scene *s, nt_element *e) {
  (void)s;
  e->identity = TORC_IDENTITY_PEER;
}
static void not_yet_valid(scene *s, nt_element *e) {
  torc_id id = nt_id(s->owner);
  e->signer = nt_cert_make(s->h, nt_user(s->owner), &id, 1, NT_WALL + 1, UINT32_MAX);
}
static void expired_when_stored(scene *s, nt_element *e) {
  torc_id id = nt_id(s->owner);
  e->signer = nt_cert_make(s->h, nt_user(s->owner), &id, 1, 1, NT_WALL - 1);
}
static void expired_since(scene *s, nt_element *e) { /* signed while it was valid */
  torc_id id = nt_id(s->owner);
  e->signer = nt_cert_make(s->h, nt_user(s->owner), &id, 1, 1, NT_WALL - 10);
  e->storage_time = NT_WALL - 100;
}
static void other_authority(scene *s, nt_element *e) {
  torc_id id = nt_id(s->owner);
  torc_cert *c = nt_cert_make(s->h, nt_user(s->owner), &id, 1, 1, UINT32_MAX);
  ((uint8_t *)(uintptr_t)c->der.p)[0] = 'X';
  e->signer = c;
}

static void test_values(void **state) {
  static const struct {
    void (*spoil)(scene *s, nt_element *e);
    bool is_shown;
  } cases[] = {{fine, true},
               {forged, false},
               {not_signed, false},
               {other_user, false},
               {unknown_signer, false},
               {not_yet_valid, false},
               {expired_when_stored, false},
               {expired_since, true},
               {other_authority, false}};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    scene s = scene_new();
    nt_element e = line(&s, "hello");
    cases[i].spoil(&s, &e);
    const torc_done *d = fetched(&s, &e, 1);
    assert_int_equal(d->rc, 0);
    assert_int_equal(d->num_values, cases[i].is_shown ? 1 : 0);
    assert_int_equal(d->num_rejected, cases[i].is_shown ? 0 : 1);
    assert_int_equal(nt_counter(s.h, "values_rejected"), cases[i].is_shown ? 0 : 1);
    nt_free(s.h);
  }
}

/* A value of another resource, signed for that. */
static void test_value_from_elsewhere(void **state) {
  static const uint32_t type = NT_TYPE_LINE;
  scene s = scene_new();
  nt_element e = line(&s, "hello");
  torc_id other = nt_id(0xb1);
  torc_token token = 0;
  (void)state;
  nt_out *o = fetch(&s, &type, 1, &token);
  reply(&s, o, 200, nt_fetched_payload(s.h, &other, &e, 1));
  assert_int_equal(done(&s, token)->num_rejected, 1);
  nt_free(s.h);
}

/* Good and bad ones together, arrays and keys, holes and missing ones. */
static void test_several(void **state) {
  static const uint32_t types[3] = {NT_TYPE_NOTE, NT_TYPE_LIST, NT_TYPE_LINE};
  scene s = scene_new();
  torc_cert *owner = nt_cert(s.h, s.owner);
  torc_token token = 0;
  (void)state;
  nt_element e[] = {
      {.type = NT_TYPE_NOTE,
       .generation = 1,
       .key = "a",
       .value = "1",
       .storage_time = 9,
       .lifetime_s = 5,
       .signer = owner},
      {.type = NT_TYPE_NOTE,
       .generation = 1,
       .key = "b",
       .value = "2",
       .storage_time = 9,
       .lifetime_s = 5,
       .signer = owner,
       .is_forged = true},
      {.type = NT_TYPE_NOTE, .generation = 1, .key = "c"},
      {.type = NT_TYPE_LIST,
       .generation = 2,
       .index = 0,
       .value = "x",
       .storage_time = 9,
       .lifetime_s = 5,
       .signer = owner},
      {.type = NT_TYPE_LIST, .generation = 2, .index = 1},
      {.type = NT_TYPE_LIST,
       .generation = 2,
       .index = 2,
       .value = "",
       .storage_time = 9,
       .lifetime_s = 5,
       .signer = owner},
      {.type = NT_TYPE_LINE, .generation = 3},
  };
  nt_out *o = fetch(&s, types, 3, &token);
  reply(&s, o, 200, nt_fetched_payload(s.h, &s.resource, e, 7));
  const torc_done *d = done(&s, token);
  assert_int_equal(d->rc, 0);
  assert_int_equal(d->num_values, 6);
  assert_int_equal(d->num_rejected, 1);
  assert_int_equal(d->num_generations, 3);
  static const struct {
    uint32_t type;
    bool exists;
    int32_t index;
    const char *key, *value;
  } want[] = {{NT_TYPE_NOTE, true, 0, "a", "1"}, {NT_TYPE_NOTE, false, 0, "c", ""},
              {NT_TYPE_LIST, true, 0, "", "x"},  {NT_TYPE_LIST, false, 1, "", ""},
              {NT_TYPE_LIST, true, 2, "", ""},   {NT_TYPE_LINE, false, 0, "", ""}};
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(d->values[i].type, want[i].type);
    assert_int_equal(d->values[i].exists, want[i].exists);
    assert_int_equal(d->values[i].index, want[i].index);
    assert_true(torc_slice_eq(d->values[i].key, torc_slice_str(want[i].key)));
    assert_true(torc_slice_eq(d->values[i].value, torc_slice_str(want[i].value)));
  }
  nt_free(s.h);
}

/* The same counter: no elements, and no error. */
static void test_cache_hit(void **state) {
  scene s = scene_new();
  torc_token token = 0;
  torc_fetch_item item = {.type = NT_TYPE_LINE, .generation = 5};
  uint8_t buf[32];
  torc_wr wr;
  (void)state;
  assert_int_equal(torc_node_fetch(nt_node(s.h), &s.resource, &item, 1, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_out *o = nt_take_request(s.h, s.c, TORC_METHOD_FETCH);
  torc_wr_init(&wr, buf, sizeof buf);
  size_t mark = torc_fetch_response_begin(&wr, NT_TYPE_LINE, 5);
  torc_fetch_response_end(&wr, mark);
  reply(&s, o, 200, torc_wr_slice(&wr));
  const torc_done *d = done(&s, token);
  assert_int_equal(d->rc, 0);
  assert_int_equal(d->num_values, 0);
  assert_int_equal(d->generations[0].generation, 5);
  nt_free(s.h);
}

/* What was not asked for, what is missing, what is repeated, what is no answer at all. */
static void test_wrong_answers(void **state) {
  static const uint32_t asked[2] = {NT_TYPE_LINE, NT_TYPE_NOTE};
  static const struct {
    uint32_t types[4];
    size_t num;
    bool is_good;
  } cases[] = {
      {{NT_TYPE_LINE, NT_TYPE_NOTE}, 2, true},
      {{NT_TYPE_NOTE, NT_TYPE_LINE}, 2, true},
      {{NT_TYPE_LINE}, 1, false},
      {{0}, 0, false},
      {{NT_TYPE_LINE, NT_TYPE_NOTE, NT_TYPE_LIST}, 3, false},
      {{NT_TYPE_LINE, NT_TYPE_NOTE, NT_TYPE_LINE}, 3, false},
      {{NT_TYPE_LINE, NT_TYPE_HIDDEN}, 2, false},
      {{NT_TYPE_LINE, 0xf0dead}, 2, false},
      {{NT_TYPE_LINE, NT_TYPE_NOTE, NT_TYPE_NOTE},
       3,
       true}, /* repeated because it is long [GAP-86] */
  };
  scene s = scene_new();
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_token token = 0;
    uint8_t buf[128];
    torc_wr wr;
    nt_out *o = fetch(&s, asked, 2, &token);
    torc_wr_init(&wr, buf, sizeof buf);
    for (size_t k = 0; k < cases[i].num; k++) {
      size_t mark = torc_fetch_response_begin(&wr, cases[i].types[k], 1);
      torc_fetch_response_end(&wr, mark);
    }
    reply(&s, o, 200, torc_wr_slice(&wr));
    const torc_done *d = done(&s, token);
    assert_non_null(d);
    assert_int_equal(d->rc, cases[i].is_good ? 0 : TORC_ERR_FORMAT);
  }
  nt_element e = line(&s, "cut off");
  torc_slice whole = nt_fetched_payload(s.h, &s.resource, &e, 1);
  for (size_t len = 1; len < whole.len; len++) {
    torc_token token = 0;
    static const uint32_t type = NT_TYPE_LINE;
    nt_out *o = fetch(&s, &type, 1, &token);
    reply(&s, o, 200, torc_slice_of(whole.p, len));
    const torc_done *d = done(&s, token);
    assert_non_null(d);
    assert_true(d->rc != 0);
  }
  nt_free(s.h);
}

/* Older than before: said, not hidden. */
static void test_rollback(void **state) {
  scene s = scene_new();
  nt_element e = line(&s, "new");
  (void)state;
  e.storage_time = NT_WALL - 100;
  assert_false(fetched(&s, &e, 1)->is_rollback);
  e.storage_time = NT_WALL - 50;
  assert_false(fetched(&s, &e, 1)->is_rollback);
  assert_false(fetched(&s, &e, 1)->is_rollback); /* the same again is no rollback */
  e.value = "old";
  e.storage_time = NT_WALL - 100;
  const torc_done *d = fetched(&s, &e, 1);
  assert_true(d->is_rollback);
  assert_int_equal(d->num_values, 1);
  assert_true(fetched(&s, &e, 1)->is_rollback); /* the newest is remembered */
  assert_int_equal(nt_counter(s.h, "rollbacks_seen"), 2);
  e.is_forged = true; /* what does not verify says nothing about times */
  e.storage_time = UINT32_MAX - 5;
  assert_int_equal(fetched(&s, &e, 1)->num_rejected, 1);
  e.is_forged = false;
  e.storage_time = NT_WALL - 50;
  assert_false(fetched(&s, &e, 1)->is_rollback);
  nt_free(s.h);
}

/* The memory of times is bounded: the least recently used is forgotten. */
static void test_rollback_memory(void **state) {
  static const uint32_t type = NT_TYPE_LIST;
  static nt_element many[600];
  scene s = scene_new();
  torc_token token = 0;
  (void)state;
  for (unsigned round = 0; round < 2; round++) {
    for (int32_t i = 0; i < 600; i++) {
      many[i] = (nt_element){.type = NT_TYPE_LIST,
                             .generation = 1,
                             .index = i + (int32_t)round * 600,
                             .value = "v",
                             .storage_time = NT_WALL,
                             .lifetime_s = 9,
                             .signer = nt_cert(s.h, s.owner)};
    }
    for (unsigned part = 0; part < 3; part++) {
      nt_out *o = fetch(&s, &type, 1, &token);
      reply(&s, o, 200, nt_fetched_payload(s.h, &s.resource, many + part * 200, 200));
      const torc_done *d = done(&s, token);
      assert_non_null(d);
      assert_int_equal(d->num_values, 200);
    }
  }
  assert_int_equal(nt_counter(s.h, "seen_evictions"), 1200 - 1024);
  nt_free(s.h);
}

/* The node ends, or the answer is repeated, while values are being checked. */
static void test_while_checking(void **state) {
  static const uint32_t type = NT_TYPE_LINE;
  scene s = scene_new();
  nt_element e = line(&s, "hello");
  torc_token token = 0;
  (void)state;
  nt_out *o = fetch(&s, &type, 1, &token);
  nt_hold_jobs(s.h, true);
  reply(&s, o, 200, nt_fetched_payload(s.h, &s.resource, &e, 1));
  nt_run_job(s.h, TORC_JOB_VERIFY, 0); /* the message is good; its value waits */
  reply(&s, o, 200, nt_fetched_payload(s.h, &s.resource, &e, 1));
  assert_int_equal(nt_counter(s.h, "drop_no_transaction"), 1);
  assert_null(done(&s, token));
  nt_free(s.h);
}

/* ---- STORE ---- */

static nt_out *store(scene *s, const torc_store_item *items, size_t num, torc_token *token) {
  assert_int_equal(torc_node_store(nt_node(s->h), &s->resource, items, num, nt_now(s->h), token),
                   0);
  nt_drain(s->h);
  nt_out *o = nt_take_request(s->h, s->c, TORC_METHOD_STORE);
  assert_non_null(o);
  return o;
}

static torc_slice counters(scene *s, const uint32_t *types, const uint64_t *generations,
                           size_t num) {
  uint8_t buf[128];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  for (size_t i = 0; i < num; i++) {
    torc_store_type_response r = {.type = types[i], .generation = generations[i]};
    assert_int_equal(torc_store_type_response_put(&wr, &r), 0);
  }
  return nt_keep(s->h, buf, wr.len);
}

/* The element that the request carries, with its signature checked here by hand. */
static void check_element(scene *s, torc_rd *rd, uint32_t type, torc_model model, const char *key,
                          const char *value, uint32_t storage_time) {
  torc_cert *own = nt_cert(s->h, NT_SELF);
  uint8_t prefix[128], sig[TORC_DIGEST_LEN];
  torc_stored_data d;
  torc_wr wr;
  assert_int_equal(torc_stored_data_get(rd, model, &d), 0);
  assert_int_equal(d.storage_time, storage_time);
  assert_true(torc_slice_eq(d.entry.key, torc_slice_str(key)));
  assert_true(torc_slice_eq(d.entry.value, torc_slice_str(value)));
  assert_int_equal(d.signature.identity.type, TORC_IDENTITY_CERT);
  assert_true(torc_slice_eq(d.signature.identity.cert, own->der));
  torc_wr_init(&wr, prefix, sizeof prefix);
  assert_int_equal(torc_data_signed_prefix_put(&wr, &s->resource, type, &d), 0);
  torc_slice parts[2] = {torc_wr_slice(&wr), d.entry.value};
  nt_sign(&own->peers[0], parts, 2, sig);
  assert_true(torc_slice_eq(d.signature.value, torc_slice_of(sig, sizeof sig)));
}

static void test_store(void **state) {
  static const uint32_t types[2] = {NT_TYPE_NOTE, NT_TYPE_LINE};
  static const uint64_t generations[2] = {7, 1};
  scene s = scene_new();
  torc_store_item items[3] = {
      {.type = NT_TYPE_NOTE,
       .generation = 6,
       .key = torc_slice_str("k1"),
       .value = torc_slice_str("v1"),
       .lifetime_s = 60},
      {.type = NT_TYPE_NOTE,
       .generation = 6,
       .key = torc_slice_str("k2"),
       .value = torc_slice_str("v2"),
       .lifetime_s = 60},
      {.type = NT_TYPE_LINE, .value = torc_slice_str("a line"), .lifetime_s = 60}};
  torc_token token = 0;
  torc_store_request r;
  torc_store_type t;
  torc_rd rd;
  torc_rd values;
  (void)state;
  nt_out *o = store(&s, items, 3, &token);
  uint32_t now = NT_WALL + (uint32_t)((nt_now(s.h) - TORC_SEC(100)) / TORC_SEC(1));
  assert_int_equal(torc_store_request_decode(&r, o->c.payload), 0);
  assert_true(torc_id_eq(&r.resource, &s.resource));
  torc_rd_init(&rd, r.types);
  assert_true(torc_store_type_next(&rd, &t));
  assert_int_equal(t.type, NT_TYPE_NOTE);
  assert_int_equal(t.generation, 6);
  torc_rd_init(&values, t.values);
  check_element(&s, &values, NT_TYPE_NOTE, TORC_MODEL_DICTIONARY, "k1", "v1", now);
  check_element(&s, &values, NT_TYPE_NOTE, TORC_MODEL_DICTIONARY, "k2", "v2", now);
  assert_int_equal(torc_rd_left(&values), 0);
  assert_true(torc_store_type_next(&rd, &t));
  assert_int_equal(t.generation, 0);
  torc_rd_init(&values, t.values);
  check_element(&s, &values, NT_TYPE_LINE, TORC_MODEL_SINGLE, "", "a line", now);
  assert_false(torc_store_type_next(&rd, &t));
  assert_int_equal(torc_id_list_len(o->hdr.route), 1);
  assert_memory_equal(o->hdr.route.p, s.resource.b, TORC_ID_LEN);
  reply(&s, o, 200, counters(&s, types, generations, 2));
  const torc_done *d = done(&s, token);
  assert_int_equal(d->rc, 0);
  assert_int_equal(d->num_generations, 2);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(d->generations[i].type, types[i]);
    assert_int_equal(d->generations[i].generation, generations[i]);
  }
  nt_free(s.h);
}

static uint32_t time_of(const nt_out *request, torc_model model) {
  torc_store_request r;
  torc_store_type t;
  torc_stored_data d;
  torc_rd rd;
  assert_int_equal(torc_store_request_decode(&r, request->c.payload), 0);
  torc_rd_init(&rd, r.types);
  assert_true(torc_store_type_next(&rd, &t));
  torc_rd_init(&rd, t.values);
  assert_int_equal(torc_stored_data_get(&rd, model, &d), 0);
  return d.storage_time;
}

/* max(now, last known + 1): stores in the same second, and what a FETCH has shown, go first
 * [GAP-97]. */
static void test_storage_times(void **state) {
  static const uint32_t type = NT_TYPE_LINE;
  static const uint64_t generation = 1;
  scene s = scene_new();
  torc_store_item item = {.type = type, .value = torc_slice_str("v"), .lifetime_s = 60};
  torc_token token = 0;
  (void)state;
  uint32_t first = 0;
  for (uint32_t i = 0; i < 3; i++) {
    nt_out *o = store(&s, &item, 1, &token);
    first = i == 0 ? time_of(o, TORC_MODEL_SINGLE) : first;
    assert_int_equal(time_of(o, TORC_MODEL_SINGLE), first + i);
    reply(&s, o, 200, counters(&s, &type, &generation, 1));
    assert_int_equal(done(&s, token)->rc, 0);
  }
  nt_element e = line(&s, "from a clock that is ahead");
  e.storage_time = NT_WALL + 5000;
  (void)fetched(&s, &e, 1);
  assert_int_equal(time_of(store(&s, &item, 1, &token), TORC_MODEL_SINGLE), NT_WALL + 5001);
  item.storage_time = 12345; /* the caller's own */
  assert_int_equal(time_of(store(&s, &item, 1, &token), TORC_MODEL_SINGLE), 12345);
  item.storage_time = 0;
  nt_advance(s.h, TORC_SEC(6000));
  nt_clear(s.h);
  assert_int_equal(time_of(store(&s, &item, 1, &token), TORC_MODEL_SINGLE),
                   NT_WALL + (uint32_t)((nt_now(s.h) - TORC_SEC(100)) / TORC_SEC(1)));
  nt_free(s.h);
}

/* The wall clock is set anew. */
static void test_wall(void **state) {
  scene s = scene_new();
  torc_store_item item = {.type = NT_TYPE_LINE, .value = torc_slice_str("v"), .lifetime_s = 60};
  torc_token token = 0;
  (void)state;
  torc_node_set_wall(nt_node(s.h), NT_WALL + 100000, nt_now(s.h));
  assert_int_equal(time_of(store(&s, &item, 1, &token), TORC_MODEL_SINGLE), NT_WALL + 100000);
  nt_free(s.h);
}

static void test_store_refused(void **state) {
  static const uint32_t types[2] = {NT_TYPE_NOTE, NT_TYPE_LINE};
  static const uint64_t generations[2] = {9, 0};
  scene s = scene_new();
  torc_store_item item = {.type = NT_TYPE_LINE, .value = torc_slice_str("v"), .lifetime_s = 60};
  torc_error_response e = {.reason_phrase = torc_slice_str("Precondition Failed")};
  torc_token token = 0;
  uint8_t buf[128];
  torc_wr wr;
  (void)state;
  nt_out *o = store(&s, &item, 1, &token);
  e.error_info = counters(&s, types, generations, 2);
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_error_response_put(&wr, &e), 0);
  reply(&s, o, 412, torc_wr_slice(&wr));
  const torc_done *d = done(&s, token);
  assert_int_equal(d->rc, TORC_ERR_REFUSED);
  assert_int_equal(d->code, 412);
  assert_true(torc_slice_eq(d->phrase, torc_slice_str("Precondition Failed")));
  assert_int_equal(d->num_generations, 2);
  assert_int_equal(d->generations[0].generation, 9);
  nt_free(s.h);
}

static void test_store_invalid(void **state) {
  static uint8_t big[65001];
  scene s = scene_new();
  torc_token token = 0;
  torc_store_item good = {.type = NT_TYPE_LINE, .value = torc_slice_str("v"), .lifetime_s = 60};
  torc_store_item apart[3] = {good, good, good};
  torc_store_item many[65];
  (void)state;
  apart[1].type = NT_TYPE_NOTE;
  for (size_t i = 0; i < 65; i++) {
    many[i] = good;
  }
  const struct {
    torc_store_item item;
    int rc;
  } cases[] = {
      {{.type = 0xf0dead, .value = torc_slice_str("v"), .lifetime_s = 60}, TORC_ERR_NOTFOUND},
      {{.type = NT_TYPE_LINE, .value = torc_slice_str("v"), .lifetime_s = 0}, TORC_ERR_INVALID},
      {{.type = NT_TYPE_LINE, .value = torc_slice_of(big, sizeof big), .lifetime_s = 60},
       TORC_ERR_INVALID},
      {{.type = NT_TYPE_NOTE, .key = torc_slice_of(big, sizeof big), .lifetime_s = 60},
       TORC_ERR_INVALID},
  };
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    assert_int_equal(
        torc_node_store(nt_node(s.h), &s.resource, &cases[i].item, 1, nt_now(s.h), &token),
        cases[i].rc);
  }
  assert_int_equal(torc_node_store(nt_node(s.h), &s.resource, &good, 0, nt_now(s.h), &token),
                   TORC_ERR_INVALID);
  assert_int_equal(torc_node_store(nt_node(s.h), &s.resource, apart, 3, nt_now(s.h), &token),
                   TORC_ERR_INVALID);
  assert_int_equal(torc_node_store(nt_node(s.h), &s.resource, many, 65, nt_now(s.h), &token),
                   TORC_ERR_INVALID);
  torc_fetch_item twice[2] = {{.type = NT_TYPE_LINE}, {.type = NT_TYPE_LINE}};
  assert_int_equal(torc_node_fetch(nt_node(s.h), &s.resource, twice, 2, nt_now(s.h), &token),
                   TORC_ERR_INVALID);
  assert_int_equal(torc_node_remove(nt_node(s.h), &s.resource, twice, 2, nt_now(s.h), &token),
                   TORC_ERR_INVALID);
  torc_fetch_item unknown = {.type = 0xf0dead};
  assert_int_equal(torc_node_fetch(nt_node(s.h), &s.resource, &unknown, 1, nt_now(s.h), &token),
                   TORC_ERR_NOTFOUND);
  nt_free(s.h);
}

static void test_store_cannot_sign(void **state) {
  scene s = scene_new();
  torc_store_item items[2] = {
      {.type = NT_TYPE_LINE, .value = torc_slice_str("v"), .lifetime_s = 60},
      {.type = NT_TYPE_NOTE, .value = torc_slice_str("v"), .lifetime_s = 60}};
  torc_token token = 0;
  (void)state;
  nt_job_result(s.h, TORC_JOB_SIGN, TORC_ERR_CRYPTO);
  assert_int_equal(torc_node_store(nt_node(s.h), &s.resource, items, 2, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  assert_int_equal(done(&s, token)->rc, TORC_ERR_CRYPTO);
  assert_null(nt_take_request(s.h, s.c, TORC_METHOD_STORE));
  nt_free(s.h);
}

/* Own resource, own range: the whole way inside one node. */
static void test_alone(void **state) {
  static const uint32_t type = NT_TYPE_LINE;
  nt *h = nt_ring(NULL);
  torc_id resource = nt_resource(NT_SELF);
  torc_store_item item = {.type = type, .value = torc_slice_str("mine"), .lifetime_s = 60};
  torc_fetch_item get = {.type = type};
  torc_token token = 0;
  (void)state;
  assert_int_equal(torc_node_store(nt_node(h), &resource, &item, 1, nt_now(h), &token), 0);
  nt_drain(h);
  nt_out *o = nt_take_done(h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.rc, 0);
  assert_int_equal(o->event.done.generations[0].generation, 1);
  assert_int_equal(torc_node_fetch(nt_node(h), &resource, &get, 1, nt_now(h), &token), 0);
  nt_drain(h);
  o = nt_take_done(h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.num_values, 1);
  assert_true(torc_slice_eq(o->event.done.values[0].value, torc_slice_str("mine")));
  get.generation = 1;
  assert_int_equal(torc_node_remove(nt_node(h), &resource, &get, 1, nt_now(h), &token), 0);
  nt_drain(h);
  o = nt_take_done(h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.rc, 0);
  get.generation = 0;
  assert_int_equal(torc_node_fetch(nt_node(h), &resource, &get, 1, nt_now(h), &token), 0);
  nt_drain(h);
  o = nt_take_done(h, token);
  assert_non_null(o);
  assert_int_equal(o->event.done.num_values, 1);
  assert_false(o->event.done.values[0].exists);
  assert_int_equal(nt_count(h, TORC_OUT_SEND), 0);
  nt_free(h);
}

/* ---- REMOVE ---- */

static void test_remove(void **state) {
  static const uint32_t type = NT_TYPE_NOTE;
  static const uint64_t generation = 8;
  scene s = scene_new();
  torc_slice keys[2] = {torc_slice_str("k1"), torc_slice_of("\x00\xff", 2)};
  torc_fetch_item item = {.type = type, .generation = 7, .keys = keys, .num_keys = 2};
  torc_token token = 0;
  (void)state;
  assert_int_equal(torc_node_remove(nt_node(s.h), &s.resource, &item, 1, nt_now(s.h), &token), 0);
  nt_drain(s.h);
  nt_out *o = nt_take_request(s.h, s.c, TORC_METHOD_REMOVE);
  assert_non_null(o);
  const uint8_t *p =
      o->c.payload.p + TORC_ID_LEN; /* length, type 3, generation 8, keys 2 + (2+2) + (2+2) */
  assert_int_equal(o->c.payload.len, TORC_ID_LEN + 2 + 3 + 8 + 2 + 8);
  assert_int_equal(p[0] << 8 | p[1], 21);
  assert_int_equal(p[2] << 16 | p[3] << 8 | p[4], NT_TYPE_NOTE);
  assert_int_equal(p[12], 7);
  assert_int_equal(p[13] << 8 | p[14], 8);
  assert_memory_equal(p + 15, "\x00\x02k1\x00\x02\x00\xff", 8);
  reply(&s, o, 200, counters(&s, &type, &generation, 1));
  const torc_done *d = done(&s, token);
  assert_int_equal(d->rc, 0);
  assert_int_equal(d->generations[0].generation, 8);
  nt_free(s.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("FET-01..04 FET-11 GAP-57 the call FETCH", test_fetch),
      TORC_TEST("SEC-14 R-31 GAP-135 GAP-166 STO-18 values that are not shown", test_values),
      TORC_TEST("SEC-14 SIG-07 a value of another resource", test_value_from_elsewhere),
      TORC_TEST("FET-06 FET-15 FET-16 GAP-87 several types, holes, missing keys", test_several),
      TORC_TEST("FET-09 FET-13 GAP-91 a cache hit", test_cache_hit),
      TORC_TEST("FET-12 GAP-86 GAP-09 answers that are none", test_wrong_answers),
      TORC_TEST("FET-17 a rollback is told", test_rollback),
      TORC_TEST("FET-17 the memory of times is bounded", test_rollback_memory),
      TORC_TEST("D-41 FET-11 the node ends while values are checked", test_while_checking),
      TORC_TEST(
          "STO-04 STO-07 STO-08 STO-13 STO-28 SIG-07 SIG-08 SIG-10 GAP-55 GAP-166 the call STORE",
          test_store),
      TORC_TEST("STO-10 GAP-97 storage times", test_storage_times),
      TORC_TEST("STO-10 the wall clock is set", test_wall),
      TORC_TEST("STO-29 STO-30 GAP-60 a STORE is refused", test_store_refused),
      TORC_TEST("STO-05 R-21 R-23 REM-05 calls that cannot be", test_store_invalid),
      TORC_TEST("D-41 STO-13 elements that cannot be signed", test_store_cannot_sign),
      TORC_TEST("CHD-06 D-13 store, fetch and remove within one node", test_alone),
      TORC_TEST("REM-01 REM-04 REM-15 GAP-08 the call REMOVE", test_remove),
  };
  return TORC_RUN(tests);
}
