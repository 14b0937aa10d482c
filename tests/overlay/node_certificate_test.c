/* Certificates that a node fetches because it is told a name only, and its own that it looks after.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "overlay/node/impl.h"
#include "overlay/usage/certificate_store.h"
#include "torc_test.h"

#define A 0x20     /* a client link */
#define C 0xc0     /* the other member */
#define OTHER 0x21 /* a second client link */
#define DAY 86400u

typedef struct scene {
  nt *h;
  torc_link_id a, c;
  torc_id self;
} scene;

static scene scene_new(void) {
  scene s = {.h = nt_ring(NULL)};
  s.self = nt_self(s.h);
  nt_answer(s.h, NT_ANSWER_DEFAULT | 1u << TORC_METHOD_STORE);
  s.c = nt_join(s.h, C);
  s.a = nt_up(s.h, A);
  nt_advance(s.h, TORC_SEC(2));
  nt_clear(s.h);
  nt_answer(s.h, NT_ANSWER_DEFAULT);
  return s;
}

/* Whether the other member is asked for the certificate of this peer-id, or of its user name. */
static bool lies_at_c(const scene *s, uint8_t first, bool by_name) {
  torc_id at;
  torc_id id = nt_id(first);
  torc_slice name = by_name ? torc_slice_str(nt_user(first)) : torc_slice_of(NULL, 0);
  torc_id c = nt_id(C);
  assert_int_equal(torc_certificate_place_of(helper_crypto(), &id, name, &at), 0);
  return torc_id_in_open_closed(&at, &s->self, &c);
}

/* Strangers in this order, whose certificates lie at the other member. */
static uint8_t stranger(const scene *s, unsigned nth, bool by_name) {
  for (uint8_t u = 0x30; u < 0x80; u++) {
    if (lies_at_c(s, u, by_name) && nth-- == 0) {
      return u;
    }
  }
  fail();
  return 0;
}

/* A PING to the node through A, whose signer is named only. */
static void ask(scene *s, nt_msg *m, uint8_t signer, uint8_t identity) {
  torc_id via = nt_id(signer);
  nt_request(s->h, m, signer, TORC_METHOD_PING, nt_ping_payload(s->h));
  m->identity = identity;
  nt_route(m, &s->self);
  nt_via(m, &via);
  nt_input(s->h, s->a, m);
}

/* The same with a certificate of the test's making. */
static void ask_as(scene *s, nt_msg *m, uint8_t who, torc_cert *signer, uint8_t identity) {
  torc_id via = nt_id(who);
  nt_request(s->h, m, who, TORC_METHOD_PING, nt_ping_payload(s->h));
  m->signer = signer;
  m->identity = identity;
  nt_route(m, &s->self);
  nt_via(m, &via);
  nt_input(s->h, s->a, m);
}

static torc_slice der_text(nt *h, const torc_cert *cert) {
  return nt_keep(h, cert->der.p, cert->der.len);
}

/* C's answer to a FETCH of certificates: these, signed by whoever. */
static void answer_with(scene *s, const nt_out *request, torc_cert *const *certs, size_t num) {
  uint8_t room[8192];
  torc_wr wr;
  nt_msg m;
  torc_wr_init(&wr, room, sizeof room);
  size_t mark = torc_fetch_response_begin(&wr, TORC_TYPE_CERTIFICATE, 7);
  for (size_t i = 0; i < num; i++) {
    torc_slice der = der_text(s->h, certs[i]);
    torc_stored_data d = {.storage_time = NT_WALL,
                          .lifetime = 60 * DAY,
                          .entry = {.model = TORC_MODEL_ARRAY, .index = (int32_t)i, .value = der}};
    d.signature.is_present = true;
    d.signature.algorithm = TORC_SIGALG_ECDSA_P256_SHA256;
    d.signature.value = torc_slice_str("whatever");
    d.signature.identity.type = TORC_IDENTITY_PEER; /* not looked at: the value proves itself */
    d.signature.identity.peer = nt_id(0x99);
    assert_int_equal(torc_stored_data_put(&wr, &d), 0);
  }
  torc_fetch_response_end(&wr, mark);
  assert_int_equal(wr.err, 0);
  nt_response(s->h, &m, C, request, TORC_CODE_OK, torc_wr_slice(&wr));
  nt_input(s->h, s->c, &m);
}

static nt_out *take_fetch(scene *s) {
  return nt_take_request(s->h, s->c, TORC_METHOD_FETCH);
}

static void test_resolves(void **state) {
  static const uint8_t identities[] = {TORC_IDENTITY_PEER, TORC_IDENTITY_NAME};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(identities); i++) {
    scene s = scene_new();
    uint8_t who = stranger(&s, 0, identities[i] == TORC_IDENTITY_NAME);
    nt_msg m, again;
    ask(&s, &m, who, identities[i]);
    nt_out *fetch = take_fetch(&s);
    assert_non_null(fetch);
    assert_int_equal(fetch->c.signature.identity.type, TORC_IDENTITY_CERT); /* never by reference */
    nt_expect_nothing(s.h, &m);
    torc_cert *certs[] = {nt_cert(s.h, 0x22), nt_cert(s.h, who)};
    answer_with(&s, fetch, certs, 2);
    (void)nt_expect(s.h, s.a, &m, TORC_CODE_OK);
    assert_int_equal(nt_counter(s.h, "certificate_fetches"), 1);
    ask(&s, &again, who, identities[i]); /* [CRT-06] known from now on, */
    (void)nt_expect(s.h, s.a, &again, TORC_CODE_OK);
    nt_clear(s.h);
    nt_advance(s.h, TORC_SEC(8 * 3600)); /* for eight hours */
    nt_down(s.h, s.a);
    s.a = nt_up(s.h, A);
    nt_clear(s.h);
    ask(&s, &again, who, identities[i]);
    assert_non_null(take_fetch(&s));
    nt_free(s.h);
  }
}

/* The certificate that bears the name is known, but it is the predecessor of the one that signed.
 */
static void test_renewed(void **state) {
  scene s = scene_new();
  uint8_t who = stranger(&s, 0, true);
  torc_id key = nt_id(0x99);
  torc_cert *old = nt_cert(s.h, who);
  torc_cert *renewed = nt_cert_make(s.h, nt_user(who), &key, 1, 1, UINT32_MAX);
  torc_cert *both[] = {old, renewed};
  nt_msg m[3];
  (void)state;
  ask(&s, &m[0], who, TORC_IDENTITY_NAME);
  answer_with(&s, take_fetch(&s), both, 1);
  (void)nt_expect(s.h, s.a, &m[0], TORC_CODE_OK);
  ask_as(&s, &m[0], who, renewed, TORC_IDENTITY_NAME);
  ask_as(&s, &m[1], who, renewed, TORC_IDENTITY_NAME);
  nt_out *fetch = take_fetch(&s);
  assert_non_null(fetch);
  assert_null(take_fetch(&s)); /* one for both */
  nt_expect_nothing(s.h, &m[0]);
  answer_with(&s, fetch, both, 2);
  (void)nt_expect(s.h, s.a, &m[0], TORC_CODE_OK);
  (void)nt_expect(s.h, s.a, &m[1], TORC_CODE_OK);
  ask_as(&s, &m[2], who, renewed, TORC_IDENTITY_NAME); /* both are known now, */
  (void)nt_expect(s.h, s.a, &m[2], TORC_CODE_OK);
  ask(&s, &m[2], who, TORC_IDENTITY_NAME); /* and the old one still counts */
  (void)nt_expect(s.h, s.a, &m[2], TORC_CODE_OK);
  assert_null(take_fetch(&s));
  assert_int_equal(nt_counter(s.h, "certificate_fetches"), 2);
  assert_int_equal(nt_counter(s.h, "signature_invalid"), 0);
  nt_free(s.h);
}

/* The same when the one that is known has ended. */
static void test_renewed_after_the_end(void **state) {
  static const uint8_t identities[] = {TORC_IDENTITY_PEER, TORC_IDENTITY_NAME};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(identities); i++) {
    scene s = scene_new();
    uint8_t who = stranger(&s, 0, identities[i] == TORC_IDENTITY_NAME);
    torc_id key = nt_id(who);
    torc_cert *old = nt_cert_make(s.h, nt_user(who), &key, 1, 1, NT_WALL + 3600);
    torc_cert *renewed = nt_cert_make(s.h, nt_user(who), &key, 1, 1, UINT32_MAX);
    torc_cert *both[] = {old, renewed};
    nt_msg m;
    ask_as(&s, &m, who, old, identities[i]);
    answer_with(&s, take_fetch(&s), both, 1);
    (void)nt_expect(s.h, s.a, &m, TORC_CODE_OK);
    nt_advance(s.h, TORC_SEC(3700));
    nt_clear(s.h);
    ask_as(&s, &m, who, renewed, identities[i]);
    nt_out *fetch = take_fetch(&s);
    assert_non_null(fetch);
    answer_with(&s, fetch, both, 2);
    (void)nt_expect(s.h, s.a, &m, TORC_CODE_OK);
    nt_free(s.h);
  }
}

/* Nobody makes a node fetch again and again by signing wrongly. */
static void test_never_signed(void **state) {
  scene s = scene_new();
  uint8_t who = stranger(&s, 0, true);
  torc_id key = nt_id(0x99);
  torc_cert *old = nt_cert(s.h, who);
  torc_cert *forged = nt_cert_make(s.h, nt_user(who), &key, 1, 1, UINT32_MAX);
  nt_msg m;
  (void)state;
  ask(&s, &m, who, TORC_IDENTITY_NAME);
  answer_with(&s, take_fetch(&s), &old, 1);
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_OK);
  ask_as(&s, &m, who, forged, TORC_IDENTITY_NAME);
  nt_out *fetch = take_fetch(&s);
  assert_non_null(fetch);
  answer_with(&s, fetch, &old, 1);
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_FORBIDDEN);
  ask_as(&s, &m, who, forged, TORC_IDENTITY_NAME);
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_FORBIDDEN);
  assert_null(take_fetch(&s));
  assert_int_equal(nt_counter(s.h, "signature_invalid"), 2);
  ask(&s, &m, who, TORC_IDENTITY_NAME); /* who signs rightly is heard all the same */
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_OK);
  nt_advance(s.h, TORC_NODE_CERT_MISS_AGE);
  nt_clear(s.h);
  ask_as(&s, &m, who, forged, TORC_IDENTITY_NAME); /* later it may have been renewed; */
  assert_non_null(take_fetch(&s));
  nt_advance(s.h, TORC_NODE_CERT_FETCH_LIMIT); /* nobody answers */
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_FORBIDDEN);
  nt_free(s.h);
}

static void test_one_fetch_for_many(void **state) {
  scene s = scene_new();
  uint8_t who = stranger(&s, 0, false);
  nt_msg m[3];
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    ask(&s, &m[i], who, TORC_IDENTITY_PEER);
  }
  nt_out *fetch = take_fetch(&s);
  assert_non_null(fetch);
  assert_null(take_fetch(&s));
  torc_cert *certs[] = {nt_cert(s.h, who)};
  answer_with(&s, fetch, certs, 1);
  for (size_t i = 0; i < 3; i++) {
    (void)nt_expect(s.h, s.a, &m[i], TORC_CODE_OK);
  }
  nt_free(s.h);
}

static void test_not_found(void **state) {
  scene s = scene_new();
  uint8_t who = stranger(&s, 0, false);
  nt_msg m;
  (void)state;
  ask(&s, &m, who, TORC_IDENTITY_PEER);
  torc_cert *others[] = {nt_cert(s.h, 0x22)};
  answer_with(&s, take_fetch(&s), others, 1);
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_UNAUTHORIZED);
  assert_int_equal(nt_counter(s.h, "certificate_misses"), 1);
  ask(&s, &m, who, TORC_IDENTITY_PEER); /* it is not asked for again at once, */
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_UNAUTHORIZED);
  assert_null(take_fetch(&s));
  nt_advance(s.h, TORC_NODE_CERT_MISS_AGE);
  nt_clear(s.h);
  ask(&s, &m, who, TORC_IDENTITY_PEER); /* but later */
  assert_non_null(take_fetch(&s));
  nt_advance(s.h, TORC_NODE_CERT_FETCH_LIMIT); /* nobody answers */
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_UNAUTHORIZED);
  assert_int_equal(nt_counter(s.h, "certificate_fetch_failures"), 1);
  nt_free(s.h);
}

static void test_no_recursion(void **state) {
  scene s = scene_new();
  uint8_t who = stranger(&s, 0, false);
  uint8_t holder = stranger(&s, 1, false);
  nt_msg m, reply;
  (void)state;
  ask(&s, &m, who, TORC_IDENTITY_PEER);
  nt_out *fetch = take_fetch(&s);
  nt_response(s.h, &reply, holder, fetch, TORC_CODE_OK, torc_slice_of(NULL, 0));
  reply.identity = TORC_IDENTITY_PEER; /* the answer is signed by reference */
  nt_input(s.h, s.c, &reply);
  assert_null(take_fetch(&s));
  /* and who asks for certificates shows his own */
  const uint32_t type = TORC_TYPE_CERTIFICATE;
  const uint64_t generation = 0;
  torc_id via = nt_id(holder);
  nt_request(s.h, &m, holder, TORC_METHOD_FETCH,
             nt_fetch_payload(s.h, &s.self, &type, &generation, 1));
  m.identity = TORC_IDENTITY_PEER;
  nt_route(&m, &s.self);
  nt_via(&m, &via);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_UNAUTHORIZED);
  assert_null(take_fetch(&s));
  nt_free(s.h);
}

static void test_limits(void **state) {
  scene s = scene_new();
  nt_msg m;
  unsigned num = 0;
  (void)state;
  for (uint8_t u = 0x30; u < 0x80; u++) {
    num += lies_at_c(&s, u, false) ? 1 : 0;
    ask(&s, &m, u, TORC_IDENTITY_PEER);
  }
  assert_true(num > TORC_NODE_CERT_FETCHES_PER_LINK);
  assert_int_equal(nt_counter(s.h, "certificate_fetches"), TORC_NODE_CERT_FETCHES_PER_LINK);
  assert_int_equal(nt_counter(s.h, "certificate_fetch_limits"),
                   0x80 - 0x30 - TORC_NODE_CERT_FETCHES_PER_LINK);
  /* each second as many again at most, and never more under way for one link */
  nt_advance(s.h, TORC_SEC(1));
  nt_clear(s.h);
  for (uint8_t u = 0x30; u < 0x80; u++) {
    ask(&s, &m, u, TORC_IDENTITY_PEER);
  }
  assert_in_range(nt_counter(s.h, "certificate_fetches"), TORC_NODE_CERT_FETCHES_PER_LINK,
                  2 * TORC_NODE_CERT_FETCHES_LINK_SECOND);
  /* another link is served all the same */
  torc_link_id own = s.a;
  uint64_t before = nt_counter(s.h, "certificate_fetches");
  s.a = nt_up(s.h, OTHER);
  nt_clear(s.h);
  for (uint8_t u = 0x70; u < 0x80; u++) {
    ask(&s, &m, (uint8_t)(u + 0x60), TORC_IDENTITY_PEER);
  }
  assert_true(nt_counter(s.h, "certificate_fetches") > before);
  assert_int_not_equal(own, s.a);
  nt_free(s.h);
}

static void value_by(bool is_renewed) {
  scene s = scene_new();
  torc_id d = nt_id(C);
  uint8_t owner = 0;
  nt_msg m;
  for (uint8_t u = 0x30; u < 0x80 && owner == 0; u++) { /* his value here, his certificate there */
    torc_id r = nt_resource(u);
    owner = torc_id_in_open_closed(&r, &d, &s.self) && lies_at_c(&s, u, false) ? u : 0;
  }
  assert_int_not_equal(owner, 0);
  torc_id key = nt_id(owner);
  torc_cert *old = nt_cert_make(s.h, nt_user(owner), &key, 1, 1, NT_WALL - 3600);
  if (is_renewed) { /* what is known of him has ended */
    ask_as(&s, &m, owner, old, TORC_IDENTITY_PEER);
    answer_with(&s, take_fetch(&s), &old, 1);
    nt_clear(s.h);
    nt_advance(s.h, TORC_NODE_CERT_MISS_AGE);
    nt_clear(s.h);
  }
  torc_id resource = nt_resource(owner);
  nt_element e = {.type = NT_TYPE_LINE,
                  .value = "hello",
                  .storage_time = NT_WALL,
                  .lifetime_s = 3600,
                  .signer = nt_cert(s.h, owner),
                  .identity = TORC_IDENTITY_PEER};
  nt_request(s.h, &m, A, TORC_METHOD_STORE, nt_store_payload(s.h, &resource, &e, 1));
  nt_route(&m, &resource);
  nt_answer(s.h, NT_ANSWER_DEFAULT | 1u << TORC_METHOD_STORE);
  nt_input(s.h, s.a, &m);
  nt_out *fetch = take_fetch(&s);
  assert_non_null(fetch);
  torc_cert *certs[] = {nt_cert(s.h, owner)};
  answer_with(&s, fetch, certs, 1);
  (void)nt_expect(s.h, s.a, &m, TORC_CODE_OK);
  nt_free(s.h);
}

static void test_value(void **state) {
  (void)state;
  value_by(false);
  value_by(true);
}

static void test_freed_while_waiting(void **state) {
  (void)state;
  for (int step = 0; step < 3; step++) {
    scene s = scene_new();
    uint8_t who = stranger(&s, 0, false);
    nt_msg m;
    ask(&s, &m, who, TORC_IDENTITY_PEER);
    nt_out *fetch = take_fetch(&s);
    torc_cert *certs[] = {nt_cert(s.h, who)};
    if (step == 1) {
      nt_hold_jobs(s.h, true);
      answer_with(&s, fetch, certs, 1);
      nt_run_job(s.h, TORC_JOB_VERIFY, 0);
      assert_int_equal(nt_num_jobs(s.h, TORC_JOB_CERTIFICATE), 1);
    } else if (step == 2) {
      nt_down(s.h, s.a);
    }
    nt_free(s.h);
  }
}

/* ---- the own certificate ---- */

static void keeping(torc_node_config *c, void *ctx) {
  (void)ctx;
  c->keep_certificate = true;
}

static void advance_long(nt *h, torc_time duration) {
  for (torc_time done = 0; done < duration; done += TORC_SEC(3600)) {
    nt_advance(h, TORC_SEC(3600));
    nt_clear(h);
  }
}

static void test_kept(void **state) {
  const nt_options o = {.tweak = keeping};
  nt *h = nt_ring(&o);
  torc_id self = nt_self(h);
  torc_id places[2];
  (void)state;
  assert_int_equal(torc_certificate_place(helper_crypto(), nt_cert(h, NT_SELF), 0, &places[0]), 0);
  assert_int_equal(torc_certificate_place(helper_crypto(), nt_cert(h, NT_SELF), 1, &places[1]), 0);
  (void)self;
  nt_advance(h, TORC_SEC(6));
  for (size_t i = 0; i < 2; i++) {
    assert_true(torc_node_holds(nt_node(h), &places[i]));
  }
  assert_int_equal(nt_counter(h, "certificate_stores"), 2);
  assert_int_equal(nt_counter(h, "certificate_checks"), 2);
  assert_null(nt_take(h, TORC_OUT_EVENT)); /* the application has not asked for it */
  advance_long(h, TORC_SEC(27ull * 3600));
  assert_int_equal(nt_counter(h, "certificate_checks"), 4); /* [CRT-04] */
  assert_int_equal(nt_counter(h, "certificate_stores"), 2);
  advance_long(h, TORC_SEC(32ull * DAY)); /* [CRT-05] once anew, when half of 60 days is over */
  assert_int_equal(nt_counter(h, "certificate_stores"), 4);
  advance_long(h, TORC_SEC(40ull * DAY));
  assert_true(torc_node_holds(nt_node(h), &places[0]));
  assert_int_equal(nt_counter(h, "certificate_keep_failures"), 0);
  nt_free(h);
}

/* ---- the own certificate is renewed ---- */

static torc_cert *renewed_own(nt *h, torc_wall not_after) {
  torc_id self = nt_self(h);
  return nt_cert_make(h, nt_user(NT_SELF), &self, 1, 2, not_after);
}

static void expect_signed_with(nt *h, torc_link_id link, nt_msg *m, torc_cert *cert) {
  nt_expect_own(h, cert);
  const nt_out *o = nt_expect(h, link, m, TORC_CODE_OK);
  assert_int_equal(o->c.signature.identity.type, TORC_IDENTITY_CERT);
  assert_true(torc_slice_eq(o->c.signature.identity.cert, cert->der));
}

static void ask_self(scene *s, nt_msg *m) {
  nt_request(s->h, m, A, TORC_METHOD_PING, nt_ping_payload(s->h));
  nt_route(m, &s->self);
  nt_input(s->h, s->a, m);
}

static void test_own_renewed(void **state) {
  scene s = scene_new();
  torc_node *n = nt_node(s.h);
  torc_cert *first = nt_cert(s.h, NT_SELF);
  torc_cert *second = renewed_own(s.h, 2000000000);
  torc_cert *third = renewed_own(s.h, 2100000000);
  torc_id another = nt_id(0x99);
  torc_cert *strange = nt_cert_make(s.h, nt_user(NT_SELF), &another, 1, 1, UINT32_MAX);
  const char *why = NULL;
  nt_msg m, held, again;
  (void)state;
  ask_self(&s, &m);
  expect_signed_with(s.h, s.a, &m, first);
  assert_int_equal(torc_node_renew(n, strange, 3, nt_now(s.h), &why), TORC_ERR_CONFIG);
  assert_non_null(strstr(why, "another peer-id"));
  nt_hold_jobs(s.h, true);
  ask_self(&s, &held);
  nt_run_job(s.h, TORC_JOB_VERIFY, 0);
  assert_int_equal(nt_num_jobs(s.h, TORC_JOB_SIGN), 1);
  assert_int_equal(torc_node_renew(n, second, 3, nt_now(s.h), &why), 0);
  nt_run_job(s.h, TORC_JOB_SIGN, 0); /* what was under way ends with the one it began with */
  expect_signed_with(s.h, s.a, &held, first);
  nt_hold_jobs(s.h, false);
  nt_input(s.h, s.a, &m); /* answers that are sent again do so as well */
  expect_signed_with(s.h, s.a, &m, first);
  ask_self(&s, &again);
  expect_signed_with(s.h, s.a, &again, second);
  assert_int_equal(torc_node_renew(n, second, 3, nt_now(s.h), &why), 0); /* the same */
  assert_int_equal(torc_node_renew(n, third, 3, nt_now(s.h), &why), TORC_ERR_STATE);
  assert_non_null(strstr(why, "a moment ago"));
  nt_advance(s.h, TORC_SEC(3600));
  nt_clear(s.h);
  nt_down(s.h, s.a);
  s.a = nt_up(s.h, A);
  nt_clear(s.h);
  assert_int_equal(torc_node_renew(n, third, 3, nt_now(s.h), NULL), 0);
  ask_self(&s, &again);
  expect_signed_with(s.h, s.a, &again, third);
  nt_free(s.h);
}

/* It is stored at once beside the first, which may have signed what others hold. */
static void test_own_renewed_is_stored(void **state) {
  const nt_options o = {.tweak = keeping};
  nt *h = nt_ring(&o);
  torc_cert *second = renewed_own(h, UINT32_MAX);
  (void)state;
  nt_advance(h, TORC_SEC(6));
  assert_int_equal(nt_counter(h, "certificate_stores"), 2);
  assert_int_equal(torc_node_renew(nt_node(h), second, 3, nt_now(h), NULL), 0);
  nt_advance(h, TORC_SEC(6));
  assert_int_equal(nt_counter(h, "certificate_stores"), 4);
  torc_id place;
  assert_int_equal(torc_certificate_place(helper_crypto(), second, 0, &place), 0);
  const torc_fetch_item all = {.type = TORC_TYPE_CERTIFICATE, .last = -1};
  torc_token token = 0;
  assert_int_equal(torc_node_fetch(nt_node(h), &place, &all, 1, nt_now(h), &token), 0);
  nt_advance(h, TORC_SEC(1));
  const nt_out *out = nt_take_done(h, token);
  assert_non_null(out);
  const torc_done *done = &out->event.done;
  assert_int_equal(done->num_values, 2);
  assert_true(torc_slice_eq(done->values[0].value, nt_cert(h, NT_SELF)->der));
  assert_true(torc_slice_eq(done->values[1].value, second->der));
  nt_free(h);
}

static void test_own_renewed_needs_memory(void **state) {
  (void)state;
  for (uint64_t fail = 1; fail < 8; fail++) {
    scene s = scene_new();
    torc_cert *second = renewed_own(s.h, UINT32_MAX);
    const char *why = NULL;
    nt_msg m;
    helper_mem_reset(nt_mem(s.h), fail);
    int rc = torc_node_renew(nt_node(s.h), second, 3, nt_now(s.h), &why);
    helper_mem_reset(nt_mem(s.h), 0);
    assert_true(rc == 0 || rc == TORC_ERR_NOMEM);
    ask_self(&s, &m);
    expect_signed_with(s.h, s.a, &m, rc == 0 ? second : nt_cert(s.h, NT_SELF));
    nt_free(s.h);
  }
}

/* A second peer-id in the own certificate, whose place is C's. */
static torc_id second_at_c(void) {
  torc_id c = nt_id(C);
  torc_id self = nt_id(NT_SELF);
  for (uint8_t first = 1; first < 0xff; first++) {
    torc_id id = nt_id(first);
    torc_id at;
    assert_int_equal(torc_certificate_place_of(helper_crypto(), &id, torc_slice_of(NULL, 0), &at),
                     0);
    if (torc_id_in_open_closed(&at, &self, &c) && first != NT_SELF) {
      return id;
    }
  }
  fail();
  return torc_id_zero;
}

static void keeping_two(torc_node_config *c, void *ctx) {
  torc_id ids[2] = {c->self, second_at_c()};
  (void)ctx;
  c->keep_certificate = true;
  helper_cert_set_peers(c->cert, ids, 2);
}

static void test_keep_retries(void **state) {
  const nt_options o = {.tweak = keeping_two};
  nt *h = nt_ring(&o);
  (void)state;
  nt_answer(h, NT_ANSWER_DEFAULT | 1u << TORC_METHOD_STORE);
  torc_link_id c = nt_join(h, C);
  nt_clear(h);
  advance_long(h, TORC_SEC(30 * 3600)); /* C never answers a FETCH */
  uint64_t failures = nt_counter(h, "certificate_keep_failures");
  assert_in_range(failures, 1, 40); /* it pauses longer and longer */
  nt_down(h, c);
  advance_long(h, TORC_SEC(2 * 3600));
  assert_true(nt_counter(h, "certificate_checks") > 0);
  failures = nt_counter(h, "certificate_keep_failures");
  advance_long(h, TORC_SEC(12 * 3600));
  assert_int_equal(nt_counter(h, "certificate_keep_failures"), failures);
  nt_free(h);
}

static void test_not_kept(void **state) {
  nt *h = nt_ring(NULL);
  (void)state;
  nt_advance(h, TORC_SEC(60));
  assert_int_equal(nt_counter(h, "certificate_checks"), 0);
  nt_free(h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      {"GAP-52 CRT-01 CRT-06 a reference is resolved by FETCH", test_resolves, NULL, NULL, NULL},
      {"ENR-38 GAP-52 a renewed certificate is fetched", test_renewed, NULL, NULL, NULL},
      {"ENR-38 GAP-52 likewise after the end of the old one", test_renewed_after_the_end, NULL,
       NULL, NULL},
      {"ENR-38 GAP-52 once, if nothing new is found", test_never_signed, NULL, NULL, NULL},
      {"GAP-52 one FETCH for all that wait", test_one_fetch_for_many, NULL, NULL, NULL},
      {"GAP-58 401 when there is none", test_not_found, NULL, NULL, NULL},
      {"GAP-52 no FETCH because of a FETCH", test_no_recursion, NULL, NULL, NULL},
      {"GAP-52 nobody makes a node fetch without limit", test_limits, NULL, NULL, NULL},
      {"GAP-166 ENR-38 a value signed by reference", test_value, NULL, NULL, NULL},
      {"GAP-52 node freed while somebody waits", test_freed_while_waiting, NULL, NULL, NULL},
      {"CRT-02 CRT-04 CRT-05 own certificate is looked after", test_kept, NULL, NULL, NULL},
      {"ENR-38 the own certificate is renewed while the node runs", test_own_renewed, NULL, NULL,
       NULL},
      {"ENR-38 CRT-02 and stored beside the one before", test_own_renewed_is_stored, NULL, NULL,
       NULL},
      {"ENR-38 a failure changes nothing", test_own_renewed_needs_memory, NULL, NULL, NULL},
      {"CRT-04 tried again after a failure", test_keep_retries, NULL, NULL, NULL},
      {"CRT-02 only if told to", test_not_kept, NULL, NULL, NULL},
  };
  return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
