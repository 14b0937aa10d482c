/* Requests that arrive: signatures, identities, duplicates, methods, error answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "torc_test.h"
#include "wire/pdu.h"
#include "wire/storage_pdu.h"

#define A 0x20   /* a client link */
#define FAR 0x31 /* a peer that is not linked: its requests come through A */
#define APP 7777

typedef struct scene {
  nt *h;
  torc_link_id a;
  torc_id self;
} scene;

static scene scene_new(const nt_options *o) {
  scene s = {.h = nt_ring(o)};
  s.self = nt_self(s.h);
  s.a = nt_up(s.h, A);
  assert_int_equal(torc_node_listen(nt_node(s.h), APP, true), 0);
  nt_clear(s.h);
  return s;
}

static torc_slice tunnel_payload(nt *h, uint16_t application, const char *pdu) {
  torc_tunnel_data t = {.application = application,
                        .dialog_id = torc_slice_str("d"),
                        .application_pdu = torc_slice_str(pdu)};
  uint8_t buf[256];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  assert_int_equal(torc_tunnel_put(&wr, &t), 0);
  return nt_keep(h, buf, wr.len);
}

/* A request whose execution can be counted: each makes one TUNNEL event. */
static void tunnel(scene *s, nt_msg *m, uint8_t signer) {
  nt_request(s->h, m, signer, TORC_METHOD_TUNNEL, tunnel_payload(s->h, APP, "hello"));
  nt_route(m, &s->self);
  if (signer != A) {
    torc_id via = nt_id(signer);
    nt_via(m, &via);
  }
}

static size_t executed(scene *s) {
  size_t num = 0;
  while (nt_take_event(s->h, TORC_EVENT_TUNNEL) != NULL) {
    num++;
  }
  return num;
}

/* ---- signatures ---- */

typedef struct sig_case {
  void (*spoil)(nt *h, nt_msg *m);
  uint16_t code;
  const char *counter; /* NULL: 200 */
} sig_case;

static void fine(nt *h, nt_msg *m) {
  (void)h;
  (void)m;
}
static void not_signed(nt *h, nt_msg *m) {
  (void)h;
  m->signer = NULL;
}
static void forged(nt *h, nt_msg *m) {
  (void)h;
  m->is_forged = true;
}
static void expired(nt *h, nt_msg *m) {
  m->signer = nt_cert_make(h, "late@example.org", &m->signer->peers[0], 1, 1, NT_WALL - 1);
}
static void too_early(nt *h, nt_msg *m) {
  m->signer =
      nt_cert_make(h, "early@example.org", &m->signer->peers[0], 1, NT_WALL + 3600, UINT32_MAX);
}
static void other_authority(nt *h, nt_msg *m) {
  torc_cert *c = nt_cert_make(h, "x@example.org", &m->signer->peers[0], 1, 1, UINT32_MAX);
  ((uint8_t *)(uintptr_t)c->der.p)[0] = 'X';
  m->signer = c;
}
static void algorithm_0(nt *h, nt_msg *m) {
  (void)h;
  m->algorithm = 0;
}
static void rsa_sha1(nt *h, nt_msg *m) {
  (void)h;
  m->algorithm = TORC_SIGALG_RSA_SHA1;
}
static void algorithm_99(nt *h, nt_msg *m) {
  (void)h;
  m->algorithm = 99;
}
static void by_peer(nt *h, nt_msg *m) {
  (void)h;
  m->identity = TORC_IDENTITY_PEER;
}
static void by_name(nt *h, nt_msg *m) {
  (void)h;
  m->identity = TORC_IDENTITY_NAME;
}
static const sig_case signatures[] = {
    {fine, 200, NULL},
    {not_signed, 401, "signature_missing"},
    {forged, 403, "signature_invalid"},
    {expired, 403, "signature_invalid"},
    {too_early, 403, "signature_invalid"},
    {other_authority, 403, "certificates_refused"},
    {algorithm_0, 403, "signature_invalid"},
    {rsa_sha1, 403, "signature_invalid"},
    {algorithm_99, 403, "signature_invalid"},
};

static void test_signature(void **state) {
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(signatures); i++) {
    for (unsigned far = 0; far < 2; far++) {
      scene s = scene_new(NULL);
      torc_slice info;
      nt_msg m;
      tunnel(&s, &m, far != 0 ? FAR : A);
      signatures[i].spoil(s.h, &m);
      nt_input(s.h, s.a, &m);
      nt_out *o = nt_expect(s.h, s.a, &m, signatures[i].code);
      assert_int_equal(executed(&s), signatures[i].code == 200 ? 1 : 0);
      if (signatures[i].counter != NULL) {
        assert_int_equal(nt_counter(s.h, signatures[i].counter), 1);
        assert_string_equal(nt_phrase(s.h, o, &info),
                            signatures[i].code == 401 ? "Unauthorized" : "Forbidden");
        assert_int_equal(info.len, 0);
      }
      nt_free(s.h);
    }
  }
}

/* A failure of this side is not the peer's: no 403, and it may try again. */
static void test_verify_fails(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  nt_job_result(s.h, TORC_JOB_VERIFY, TORC_ERR_NOMEM);
  tunnel(&s, &m, A);
  nt_input(s.h, s.a, &m);
  assert_int_equal(executed(&s), 0);
  assert_int_equal(nt_counter(s.h, "error_403"), 0);
  assert_int_equal(nt_counter(s.h, "jobs_failed"), 1);
  nt_job_result(s.h, TORC_JOB_VERIFY, 0);
  nt_clear(s.h);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(executed(&s), 1);
  nt_free(s.h);
}

static void test_huge_certificate(void **state) {
  scene s = scene_new(NULL);
  (void)state;
  nt_msg m;
  nt_request(s.h, &m, A, TORC_METHOD_PING, nt_ping_payload(s.h));
  nt_route(&m, &s.self);
  m.signer = NULL;
  torc_slice whole = nt_encode(s.h, &m);
  uint8_t *big = nt_block(s.h, whole.len + 9000);
  torc_wr wr;
  torc_wr_init(&wr, big, whole.len + 9000);
  torc_wr_bytes(&wr, whole);
  torc_wr_u8(&wr, 3);
  torc_wr_vec16(&wr, torc_slice_str("signature"));
  torc_wr_u8(&wr, TORC_IDENTITY_CERT);
  torc_wr_vec16(&wr,
                torc_slice_of(nt_block(s.h, TORC_CERT_MAX_BYTES + 1), TORC_CERT_MAX_BYTES + 1));
  assert_int_equal(wr.err, 0);
  big[13] = (uint8_t)(wr.len >> 16);
  big[14] = (uint8_t)(wr.len >> 8);
  big[15] = (uint8_t)wr.len;
  uint64_t jobs = nt_counter(s.h, "jobs_certificate");
  nt_input_bytes(s.h, s.a, torc_slice_of(big, wr.len));
  (void)nt_expect(s.h, s.a, &m, 403);
  assert_int_equal(nt_counter(s.h, "jobs_certificate"), jobs);
  nt_free(s.h);
}

/* ---- identities by reference [GAP-52] ---- */

static void test_identity_of_link(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  tunnel(&s, &m, A);
  by_peer(s.h, &m);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  tunnel(&s, &m, A);
  by_name(s.h, &m);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(nt_counter(s.h, "jobs_certificate"), 0); /* the link's own certificate serves */
  nt_free(s.h);
}

/* Unknown at first: 401; with the certificate once: known for eight hours. */
static void test_identity_from_cache(void **state) {
  static void (*const ways[])(nt * h, nt_msg * m) = {by_peer, by_name};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    scene s = scene_new(NULL);
    nt_msg m;
    tunnel(&s, &m, FAR);
    ways[i](s.h, &m);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 401);
    tunnel(&s, &m, FAR);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 200);
    for (unsigned hours = 0; hours < 9; hours++) {
      tunnel(&s, &m, FAR);
      ways[i](s.h, &m);
      nt_input(s.h, s.a, &m);
      (void)nt_expect(s.h, s.a, &m, hours < 8 ? 200 : 401);
      nt_advance(s.h, TORC_SEC(3600));
      nt_clear(s.h);
    }
    nt_free(s.h);
  }
}

/* One certificate is checked against the authority once. */
static void test_certificate_once(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  for (unsigned i = 0; i < 5; i++) {
    tunnel(&s, &m, FAR);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 200);
  }
  assert_int_equal(nt_counter(s.h, "jobs_certificate"), 1);
  nt_free(s.h);
}

/* The cache is bounded; what is still in use lives on. */
static void test_certificate_limit(void **state) {
  scene s = scene_new(NULL);
  torc_id via = nt_id(FAR);
  nt_msg m;
  (void)state;
  for (unsigned i = 0; i < 1100; i++) {
    torc_id id = nt_id(0x42);
    char user[32];
    id.b[1] = (uint8_t)(i >> 8);
    id.b[2] = (uint8_t)i;
    snprintf(user, sizeof user, "u%u@example.org", i);
    tunnel(&s, &m, FAR);
    m.signer = nt_cert_make(s.h, user, &id, 1, 1, UINT32_MAX);
    m.via[0] = via;
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 200);
  }
  assert_in_range(nt_counter(s.h, "certificate_evictions"), 1100 - 1024, 1100 - 1024 + 2);
  nt_free(s.h);
}

/* Two devices of one user: a name stands for either certificate. */
static void test_name_of_two(void **state) {
  scene s = scene_new(NULL);
  torc_id ids[2] = {nt_id(0x31), nt_id(0x32)};
  torc_cert *certs[2];
  nt_msg m;
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    certs[i] = nt_cert_make(s.h, "both@example.org", &ids[i], 1, 1, UINT32_MAX);
    tunnel(&s, &m, (uint8_t)(0x31 + i));
    m.signer = certs[i];
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 200);
  }
  for (size_t i = 0; i < 2; i++) {
    tunnel(&s, &m, (uint8_t)(0x31 + i));
    m.signer = certs[i];
    by_name(s.h, &m);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 200);
    (void)executed(&s);
  }
  tunnel(&s, &m, 0x31);
  m.signer = certs[0];
  by_name(s.h, &m);
  m.is_forged = true;
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 403);
  nt_free(s.h);
}

/* Without a via list the originator is the link's peer, and signs. */
static void test_signer_of_link(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  tunnel(&s, &m, FAR);
  m.num_via = 0;
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 403);
  assert_int_equal(executed(&s), 0);
  nt_free(s.h);
}

/* [R-09] [GAP-136] A certificate with several peer-ids: who signed is told by type 1, or by the
 * link. */
static void test_several_ids(void **state) {
  scene s = scene_new(NULL);
  torc_id ids[2] = {nt_id(0x51), nt_id(0x52)};
  torc_cert *c = nt_cert_make(s.h, "many@example.org", ids, 2, 1, UINT32_MAX);
  torc_link_id link = nt_up_token(s.h, 0x51, TORC_LINK_TLS, 0, c);
  nt_msg m;
  (void)state;
  tunnel(&s, &m, 0x51);
  m.num_via = 0;
  m.signer = c;
  nt_input(s.h, link, &m);
  (void)nt_expect(s.h, link, &m, 200);
  nt_out *o = nt_take_event(s.h, TORC_EVENT_TUNNEL);
  assert_true(torc_id_eq(&o->event.peer, &ids[0])); /* the link's */
  tunnel(&s, &m, 0x51);
  m.signer = c;
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  o = nt_take_event(s.h, TORC_EVENT_TUNNEL);
  assert_true(torc_id_eq(&o->event.peer, &torc_id_zero)); /* nobody knows which */
  tunnel(&s, &m, 0x51);
  m.signer = c;
  by_peer(s.h, &m);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  o = nt_take_event(s.h, TORC_EVENT_TUNNEL);
  assert_true(torc_id_eq(&o->event.peer, &ids[0]));
  nt_free(s.h);
}

/* ---- duplicates ---- */

/* While it is being worked on a duplicate gets no answer; afterwards the same contents and
 * signature, along its own way. */
static void test_duplicates(void **state) {
  scene s = scene_new(NULL);
  torc_link_id b = nt_up(s.h, 0x21);
  torc_id other = nt_id(0x32);
  nt_msg m;
  (void)state;
  tunnel(&s, &m, FAR);
  nt_hold_jobs(s.h, true);
  nt_input(s.h, s.a, &m);
  nt_run_job(s.h, TORC_JOB_CERTIFICATE, 0);
  nt_run_job(s.h, TORC_JOB_VERIFY, 0); /* executed; the answer waits for its signature */
  assert_int_equal(nt_num_jobs(s.h, TORC_JOB_SIGN), 1);
  nt_input(s.h, s.a, &m);
  nt_run_job(s.h, TORC_JOB_VERIFY, 0);
  assert_int_equal(nt_counter(s.h, "drop_duplicate"), 1);
  nt_hold_jobs(s.h, false);
  nt_out *first = nt_expect(s.h, s.a, &m, 200);
  nt_expect_nothing(s.h, &m);
  assert_int_equal(executed(&s), 1);
  m.via[1] = other; /* the retransmission went another way */
  m.num_via = 2;
  nt_input(s.h, b, &m);
  nt_out *again = nt_expect(s.h, b, &m, 200);
  torc_id back[3] = {nt_id(0x21), other, nt_id(FAR)};
  assert_int_equal(torc_id_list_len(again->hdr.route), 3);
  assert_memory_equal(again->hdr.route.p, back, sizeof back);
  torc_slice one =
      torc_slice_sub(first->bytes, first->hdr.header_len, first->bytes.len - first->hdr.header_len);
  torc_slice two =
      torc_slice_sub(again->bytes, again->hdr.header_len, again->bytes.len - again->hdr.header_len);
  assert_true(torc_slice_eq(one, two));
  assert_int_equal(executed(&s), 0);
  assert_int_equal(nt_counter(s.h, "duplicates_answered"), 1);
  nt_free(s.h);
}

/* The signature comes first, then the key alone decides. */
static void test_duplicate_key(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  nt_msg n;
  (void)state;
  tunnel(&s, &m, FAR);
  nt_input(s.h, s.a, &m);
  nt_out *first = nt_expect(s.h, s.a, &m, 200);
  assert_int_equal(executed(&s), 1);
  n = m;
  n.is_forged = true;
  nt_input(s.h, s.a, &n);
  (void)nt_expect(s.h, s.a, &n, 403);
  n = m;
  n.payload = tunnel_payload(s.h, APP, "something else");
  nt_input(s.h, s.a, &n);
  nt_out *again = nt_expect(s.h, s.a, &n, 200);
  assert_true(torc_slice_eq(first->c.bytes, again->c.bytes));
  assert_int_equal(executed(&s), 0);
  n.code = TORC_METHOD_PING; /* not even another method */
  n.payload = nt_ping_payload(s.h);
  nt_input(s.h, s.a, &n);
  again = nt_expect(s.h, s.a, &n, 200);
  assert_int_equal(again->c.payload.len, 0);
  tunnel(&s, &n, 0x33); /* the same number of another signer is another request */
  n.hdr.xid = m.hdr.xid;
  nt_input(s.h, s.a, &n);
  (void)nt_expect(s.h, s.a, &n, 200);
  assert_int_equal(executed(&s), 1);
  tunnel(&s, &n, FAR); /* another number as well */
  nt_input(s.h, s.a, &n);
  (void)nt_expect(s.h, s.a, &n, 200);
  assert_int_equal(executed(&s), 1);
  nt_free(s.h);
}

static void test_duplicate_age(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  tunnel(&s, &m, FAR);
  nt_input(s.h, s.a, &m);
  nt_advance(s.h, TORC_SEC(32) - 1);
  nt_input(s.h, s.a, &m);
  assert_int_equal(executed(&s), 1);
  nt_advance(s.h, 1);
  nt_input(s.h, s.a, &m);
  assert_int_equal(executed(&s), 1);
  nt_free(s.h);
}

/* Error answers are remembered like others. */
static void test_duplicate_error(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  nt_request(s.h, &m, A, 0x7000, torc_slice_of(NULL, 0));
  nt_route(&m, &s.self);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 405);
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 405);
  assert_int_equal(nt_counter(s.h, "duplicates_answered"), 1);
  assert_int_equal(nt_counter(s.h, "error_405"), 1);
  nt_free(s.h);
}

/* One origin cannot push out what is remembered of others, nor fill the memory. */
static void test_duplicate_share(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  nt_msg first;
  (void)state;
  tunnel(&s, &first, 0x33);
  nt_input(s.h, s.a, &first);
  (void)nt_expect(s.h, s.a, &first, 200);
  assert_int_equal(executed(&s), 1);
  int64_t before = nt_mem(s.h)->num_bytes;
  for (unsigned i = 0; i < 6000; i++) {
    nt_request(s.h, &m, FAR, TORC_METHOD_PING, nt_ping_payload(s.h));
    nt_route(&m, &s.self);
    torc_id via = nt_id(FAR);
    nt_via(&m, &via);
    nt_input(s.h, s.a, &m);
    nt_clear(s.h);
  }
  assert_true(nt_counter(s.h, "duplicate_evictions") > 1000);
  assert_true(nt_mem(s.h)->num_bytes - before < 1 << 20); /* an eighth of 4 MiB, and overhead */
  nt_input(s.h, s.a, &first);
  (void)nt_expect(s.h, s.a, &first, 200);
  assert_int_equal(executed(&s), 0); /* still known */
  nt_free(s.h);
}

/* ---- methods and error answers ---- */

static void test_methods(void **state) {
  static const uint16_t unknown[] = {0,  2,  4,  6,  8,  10,  12,     14,     16,
                                     18, 20, 21, 22, 23, 200, 0x7f01, 0x7f03, 0x7fff};
  scene s = scene_new(NULL);
  torc_slice info;
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(unknown); i++) {
    nt_msg m;
    nt_request(s.h, &m, A, unknown[i], torc_slice_str("anything"));
    nt_route(&m, &s.self);
    nt_input(s.h, s.a, &m);
    nt_out *o = nt_expect(s.h, s.a, &m, 405);
    assert_string_equal(nt_phrase(s.h, o, &info), "Method Not Allowed");
    assert_int_equal(info.len, 0);
  }
  assert_int_equal(nt_counter(s.h, "error_405"), TORC_ARRAY_LEN(unknown));
  nt_free(s.h);
}

/* Every method with a payload that is not its own. */
static void test_bad_payloads(void **state) {
  static const uint16_t methods[] = {TORC_METHOD_PING,  TORC_METHOD_CONNECT, TORC_METHOD_TUNNEL,
                                     TORC_METHOD_STORE, TORC_METHOD_FETCH,   TORC_METHOD_REMOVE,
                                     TORC_METHOD_FIND,  TORC_METHOD_JOIN,    TORC_METHOD_LEAVE,
                                     TORC_METHOD_UPDATE};
  scene s = scene_new(NULL);
  torc_slice info;
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(methods); i++) {
    for (unsigned k = 0; k < 2; k++) {
      nt_msg m;
      nt_request(s.h, &m, A, methods[i], torc_slice_of("\xff\xff\xff", k == 0 ? 0 : 3));
      nt_route(&m, &s.self);
      nt_input(s.h, s.a, &m);
      nt_out *o = nt_expect(s.h, s.a, &m, 400);
      assert_string_equal(nt_phrase(s.h, o, &info), "Bad Request");
    }
  }
  nt_free(s.h);
}

/* Contents or a signature that do not parse: 400 for a request, nothing for a response. */
static void test_bad_contents(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  for (unsigned is_response = 0; is_response < 2; is_response++) {
    nt_request(s.h, &m, A, is_response != 0 ? 200 : TORC_METHOD_PING, nt_ping_payload(s.h));
    nt_route(&m, &s.self);
    m.is_response = is_response != 0;
    torc_slice whole = nt_encode(s.h, &m);
    size_t head = TORC_HEADER_FIXED + TORC_ID_LEN;
    unsigned answered = 0;
    for (size_t len = head + 1; len < whole.len; len++) {
      uint8_t copy[512];
      memcpy(copy, whole.p, len);
      copy[13] = 0;
      copy[14] = (uint8_t)(len >> 8);
      copy[15] = (uint8_t)len;
      nt_advance(s.h, TORC_SEC(1)); /* the rate of errors is not what is looked at here */
      nt_clear(s.h);
      nt_input_bytes(s.h, s.a, torc_slice_of(copy, len));
      nt_out *o = nt_take_xid(s.h, m.hdr.xid);
      if (is_response != 0) {
        assert_null(o);
      } else {
        assert_non_null(o);
        /* cut between payload and signature it is a request without one */
        assert_int_equal(o->c.code, len == head + 4 + 4 + 1 ? 401 : 400);
        answered++;
      }
    }
    assert_int_equal(answered, is_response != 0 ? 0 : whole.len - head - 1);
  }
  nt_free(s.h);
}

/* Which methods need their exact addressee, and which are served by whoever is responsible. */
static void test_exactness(void **state) {
  scene s = scene_new(NULL);
  torc_id owned = nt_id(0x10); /* in this node's range, and nobody's id */
  torc_id signer = nt_id(A);
  torc_id resource = nt_resource(A);
  uint32_t type = NT_TYPE_LINE;
  nt_element e = {.type = type,
                  .value = "v",
                  .storage_time = NT_WALL,
                  .lifetime_s = 100,
                  .signer = nt_cert(s.h, A)};
  uint8_t find[32];
  torc_wr wr;
  torc_wr_init(&wr, find, sizeof find);
  (void)state;
  assert_int_equal(torc_find_request_put(&wr, &resource, &type, 1), 0);
  const char *candidate = "candidate:1 1 TCP 1 192.0.2.9 6084 typ host tcptype passive";
  const struct {
    uint16_t method;
    torc_slice payload;
    bool needs_exact;
  } cases[] = {
      {TORC_METHOD_JOIN, nt_notice_payload(s.h, &signer), true},
      {TORC_METHOD_LEAVE, nt_notice_payload(s.h, &signer), true},
      {TORC_METHOD_UPDATE, nt_update_payload(s.h, NULL, NULL), true},
      {TORC_METHOD_TUNNEL, tunnel_payload(s.h, APP, "x"), true},
      {TORC_METHOD_CONNECT, nt_connect_payload(s.h, "passive", 5060, candidate), true},
      {TORC_METHOD_PING, nt_ping_payload(s.h), false},
      {TORC_METHOD_STORE, nt_store_payload(s.h, &resource, &e, 1), false},
      {TORC_METHOD_FETCH, nt_fetch_payload(s.h, &resource, &type, NULL, 1), false},
      {TORC_METHOD_REMOVE, nt_fetch_payload(s.h, &resource, &type, (uint64_t[]){1}, 1), false},
      {TORC_METHOD_FIND, nt_keep(s.h, find, wr.len), false},
  };
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    nt_msg m;
    nt_request(s.h, &m, A, cases[i].method, cases[i].payload);
    nt_route(&m, &owned); /* not the resource either: only the contents count */
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, cases[i].needs_exact ? 404 : 200);
  }
  nt_free(s.h);
}

/* A CONNECT for RELOAD is for whoever is responsible. */
static void test_connect_not_exact(void **state) {
  scene s = scene_new(NULL);
  torc_id owned = nt_id(0x10);
  torc_id far = nt_id(FAR);
  nt_msg m;
  (void)state;
  nt_request(s.h, &m, FAR, TORC_METHOD_CONNECT,
             nt_connect_payload(s.h, "passive", 6084,
                                "candidate:1 1 TCP 1 192.0.2.9 6084 typ host tcptype passive"));
  nt_route(&m, &owned);
  nt_via(&m, &far);
  nt_input(s.h, s.a, &m);
  assert_non_null(nt_take(s.h, TORC_OUT_ANSWER_NEEDED));
  nt_free(s.h);
}

/* [GAP-54] [GAP-116..118] Routing messages only from the peer at the other end, about itself. */
static void test_routing_only_direct(void **state) {
  static const uint16_t methods[] = {TORC_METHOD_JOIN, TORC_METHOD_LEAVE, TORC_METHOD_UPDATE};
  scene s = scene_new(NULL);
  torc_id owned = nt_id(0x10);
  (void)state;
  for (size_t i = 0; i < 3; i++) {
    torc_id far = nt_id(FAR);
    torc_id near = nt_id(A);
    nt_msg m;
    bool is_update = methods[i] == TORC_METHOD_UPDATE;
    torc_slice of_far =
        is_update ? nt_update_payload(s.h, NULL, NULL) : nt_notice_payload(s.h, &far);
    nt_request(s.h, &m, FAR, methods[i], of_far); /* through another peer */
    nt_route(&m, &s.self);
    nt_via(&m, &far);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 403);
    nt_request(s.h, &m, FAR, methods[i], of_far); /* and to a place of this peer: that is told */
    nt_route(&m, &owned);
    nt_via(&m, &far);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 404);
    nt_request(s.h, &m, FAR, methods[i], of_far); /* as if it were the other end */
    nt_route(&m, &s.self);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 403);
    nt_request(s.h, &m, A, methods[i],
               is_update ? of_far : nt_notice_payload(s.h, &near)); /* its own, on a detour */
    nt_route(&m, &s.self);
    nt_via(&m, &near);
    nt_input(s.h, s.a, &m);
    (void)nt_expect(s.h, s.a, &m, 403);
    if (!is_update) { /* about somebody else */
      nt_request(s.h, &m, A, methods[i], of_far);
      nt_route(&m, &s.self);
      nt_input(s.h, s.a, &m);
      (void)nt_expect(s.h, s.a, &m, 403);
    }
  }
  assert_int_equal(nt_counter(s.h, "error_403"), 11);
  torc_id ids[2] = {nt_id(0x51), nt_id(0x52)}; /* one certificate, and it names its other id */
  torc_cert *both = nt_cert_make(s.h, "both@example.org", ids, 2, 1, UINT32_MAX);
  torc_link_id link = nt_up_token(s.h, 0x52, TORC_LINK_TLS, 0, both);
  nt_msg m;
  nt_request(s.h, &m, 0x52, TORC_METHOD_UPDATE, nt_update_payload(s.h, NULL, NULL));
  nt_route(&m, &s.self);
  m.signer = both;
  m.identity = TORC_IDENTITY_PEER;
  nt_input(s.h, link, &m);
  (void)nt_expect(s.h, link, &m, 403);
  nt_free(s.h);
}

/* An empty route list on arrival is an exact address. */
static void test_empty_route(void **state) {
  scene s = scene_new(NULL);
  torc_id near = nt_id(A);
  nt_msg m;
  (void)state;
  tunnel(&s, &m, A);
  m.num_route = 0;
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_request(s.h, &m, A, TORC_METHOD_UPDATE, nt_update_payload(s.h, NULL, NULL));
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_request(s.h, &m, A, TORC_METHOD_LEAVE, nt_notice_payload(s.h, &near));
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_free(s.h);
}

/* Reserved bits of the common header are signed as sent and mean nothing. */
static void test_reserved(void **state) {
  scene s = scene_new(NULL);
  nt_msg m;
  (void)state;
  nt_request(s.h, &m, A, TORC_METHOD_PING, nt_ping_payload(s.h));
  nt_route(&m, &s.self);
  m.reserved = 0xbeef;
  nt_input(s.h, s.a, &m);
  (void)nt_expect(s.h, s.a, &m, 200);
  nt_free(s.h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST(
          "SIG-06 SIG-09 SIG-11 ERR-04 ERR-05 ERR-12 GAP-51 GAP-53 GAP-58 GAP-135 STO-16 SEC-16 "
          "D-10 R-40 signatures of "
          "requests",
          test_signature),
      TORC_TEST("D-41 GAP-58 a signature that could not be checked is nobody's fault",
                test_verify_fails),
      TORC_TEST("GAP-52 CRT-01 a certificate longer than any is refused unread",
                test_huge_certificate),
      TORC_TEST("SIG-05 GAP-52 R-37 identity by reference: the link's certificate",
                test_identity_of_link),
      TORC_TEST("SIG-05 GAP-52 GAP-58 CRT-06 identity by reference: the cache of eight hours",
                test_identity_from_cache),
      TORC_TEST("GAP-52 a certificate is checked once", test_certificate_once),
      TORC_TEST("GAP-52 the cache of certificates is bounded", test_certificate_limit),
      TORC_TEST("GAP-52 R-52 R-37 a name with two certificates", test_name_of_two),
      TORC_TEST("R-13 TLS-08 GAP-34 an empty via list: the link's peer signs", test_signer_of_link),
      TORC_TEST("R-09 GAP-66 GAP-136 a certificate with several peer-ids", test_several_ids),
      TORC_TEST("GAP-63 D-24 R-06 RTX-03 duplicates while executing and afterwards",
                test_duplicates),
      TORC_TEST("GAP-63 D-24 R-07 GAP-54 the signature first, then the key", test_duplicate_key),
      TORC_TEST("GAP-63 D-24 RTX-02 duplicates are known for 32 s", test_duplicate_age),
      TORC_TEST("GAP-63 R-06 error answers are remembered", test_duplicate_error),
      TORC_TEST("D-24 GAP-63 memory of duplicates: bounded, a share per origin",
                test_duplicate_share),
      TORC_TEST("MSG-05 MSG-06 GAP-22 GAP-59 R-40 R-53 ERR-11..13 unknown methods", test_methods),
      TORC_TEST("MSG-04 GAP-09 GAP-59 R-40 R-22 payloads of a wrong form: 400", test_bad_payloads),
      TORC_TEST("R-11 GAP-25 SIG-02 contents cut at every length", test_bad_contents),
      TORC_TEST("GAP-26 R-49 RTG-15 who may serve a request", test_exactness),
      TORC_TEST("GAP-26 CON-02 CONNECT for RELOAD goes to whoever is responsible",
                test_connect_not_exact),
      TORC_TEST("GAP-54 GAP-116..118 SEC-16 UPD-01 JOI-01 LEA-04 routing messages come directly "
                "from their signer",
                test_routing_only_direct),
      TORC_TEST("R-27 GAP-29 an empty route list is an exact address", test_empty_route),
      TORC_TEST("MSG-02 GAP-21 GAP-24 reserved bits", test_reserved),
  };
  return TORC_RUN(tests);
}
