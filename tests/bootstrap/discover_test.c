/* The datagrams of multicast bootstrap, and how often they may cost something.
 * SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/discover.h"

#include "base/id.h"
#include "base/slice.h"
#include "torc_test.h"
#include "wire/header.h"
#include "wire/pdu.h"

#define OVERLAY 0x11223344u

/* A peer whose signature is a sum over what is signed and its own secret: enough to tell a changed
 * bit. The certificate is "C" and the secret's byte, padded. */
typedef struct end {
  torc_discover_self self;
  torc_cert cert;
  torc_id id;
  uint8_t der[1400];
  size_t sig_len;
  unsigned num_jobs, num_live;
  torc_cert given;
  torc_id given_ids[2];
  int fail_rc;
  torc_wall given_from, given_until;
  uint32_t given_num_peers;
} end;

static void make_sig(uint8_t secret, const torc_job *job, uint8_t out[16]) {
  uint64_t sum = 0xcbf29ce484222325u ^ secret;
  for (size_t i = 0; i < job->num_parts; i++) {
    for (size_t k = 0; k < job->parts[i].len; k++) {
      sum = (sum ^ job->parts[i].p[k]) * 0x100000001b3u;
    }
  }
  for (unsigned i = 0; i < 16; i++) {
    out[i] = (uint8_t)(sum >> (8 * (i % 8)));
  }
}

static void run(void *ctx, const torc_job *job, uint8_t *sig, torc_job_result *out) {
  end *e = ctx;
  uint8_t want[16];
  bool is_good = false;
  e->num_jobs++;
  *out = (torc_job_result){.rc = e->fail_rc};
  if (e->fail_rc != 0) {
    return;
  }
  switch (job->kind) {
    case TORC_JOB_SIGN:
      memset(sig, 0, e->sig_len);
      make_sig(e->id.b[0], job, sig);
      out->signature = torc_slice_of(sig, e->sig_len);
      break;
    case TORC_JOB_VERIFY:
      make_sig(job->cert->der.p[1], job, want);
      is_good = job->algorithm == TORC_SIGALG_ECDSA_P256_SHA256 && job->signature.len >= 16 &&
                memcmp(want, job->signature.p, 16) == 0;
      out->rc = is_good ? 0 : TORC_ERR_CRYPTO;
      break;
    case TORC_JOB_CERTIFICATE:
      if (job->der.len < 2 || job->der.p[0] != 'C') {
        out->rc = TORC_ERR_CRYPTO;
        break;
      }
      memset(&e->given_ids, job->der.p[1], sizeof e->given_ids);
      e->given = (torc_cert){.der = job->der,
                             .num_peers = e->given_num_peers,
                             .peers = e->given_ids,
                             .not_before = e->given_from,
                             .not_after = e->given_until};
      e->num_live++;
      out->cert = &e->given;
      break;
    case TORC_JOB_SYNC:
      fail();
      break;
  }
}

static void release(void *ctx, torc_cert *cert) {
  end *e = ctx;
  assert_ptr_equal(cert, &e->given);
  e->num_live--;
}

static void end_init(end *e, uint8_t id, size_t der_len) {
  memset(e, 0, sizeof *e);
  memset(&e->id, id, sizeof e->id);
  e->der[0] = 'C';
  e->der[1] = id;
  e->cert = (torc_cert){.der = torc_slice_of(e->der, der_len), .num_peers = 1, .peers = &e->id};
  e->sig_len = 16;
  e->given_until = 1000;
  e->given_num_peers = 1;
  e->self = (torc_discover_self){.id = e->id,
                                 .overlay = OVERLAY,
                                 .cert = &e->cert,
                                 .algorithm = TORC_SIGALG_ECDSA_P256_SHA256,
                                 .ctx = e,
                                 .run = run,
                                 .release = release};
}

typedef struct datagram {
  uint8_t bytes[2 * TORC_DISCOVER_DATAGRAM_MAX];
  size_t len;
} datagram;

static void put_question(end *from, uint64_t xid, datagram *out) {
  torc_wr wr;
  torc_wr_init(&wr, out->bytes, sizeof out->bytes);
  assert_int_equal(torc_discover_ask_put(&wr, &from->self, xid), 0);
  out->len = wr.len;
}

static torc_slice slice(const datagram *d) {
  return torc_slice_of(d->bytes, d->len);
}

/* The bytes of both, by hand from docs/spec/protocol.md. */
static void test_layout(void **state) {
  (void)state;
  end a;
  end b;
  datagram ask;
  datagram answer;
  torc_discover_msg m;
  torc_header h;
  torc_id signer;
  torc_wr wr;
  end_init(&a, 0x21, 20);
  end_init(&b, 0x42, 20);
  put_question(&a, 0x0102030405060708u, &ask);
  assert_int_equal(torc_header_decode(&h, slice(&ask)), 0);
  assert_int_equal(h.ttl, 1);
  assert_int_equal(h.overlay, OVERLAY);
  assert_int_equal(h.version, 1);
  assert_false(h.is_fragment);
  assert_int_equal(h.via.len, 0);
  assert_int_equal(h.route.len, TORC_ID_LEN);
  assert_memory_equal(h.route.p, torc_id_wildcard.b, TORC_ID_LEN);
  static const uint8_t ping[] = {0, 1, 0, 0, 0, 0, 0, 2, 1, 0xf0}; /* code, Length, one info code */
  assert_memory_equal(ask.bytes + h.header_len, ping, sizeof ping);
  assert_int_equal(torc_discover_read(&b.self, slice(&ask), &m), 0);
  assert_false(m.is_answer);
  assert_true(m.wants_port);
  assert_true(m.xid == 0x0102030405060708u);
  assert_int_equal(torc_discover_verify(&b.self, &m, 500, &signer), 0);
  assert_true(torc_id_eq(&signer, &a.id));
  torc_wr_init(&wr, answer.bytes, sizeof answer.bytes);
  assert_int_equal(torc_discover_answer_put(&wr, &b.self, &m, &signer, 0x99, 6084), 0);
  answer.len = wr.len;
  assert_int_equal(torc_header_decode(&h, slice(&answer)), 0);
  assert_memory_equal(h.route.p, a.id.b, TORC_ID_LEN);
  static const uint8_t pong[] = {0x80, 0xc8, 0, 0,    0, 0, 0, 15,   0, 0,    0,   0,
                                 0,    0,    0, 0x99, 0, 5, 0, 0xf0, 2, 0x17, 0xc4};
  assert_memory_equal(answer.bytes + h.header_len, pong, sizeof pong);
  assert_int_equal(torc_discover_read(&a.self, slice(&answer), &m), 0);
  assert_true(m.is_answer);
  assert_int_equal(m.port, 6084);
  assert_true(m.xid == 0x0102030405060708u);
  assert_int_equal(torc_discover_verify(&a.self, &m, 500, &signer), 0);
  assert_true(torc_id_eq(&signer, &b.id));
  assert_int_equal(a.num_live + b.num_live, 0);
}

/* Cut at each length, and with any bit behind the header flipped, it is refused, by the reader or
 * by the signature. */
static void test_mutations(void **state) {
  end a;
  end b;
  datagram ask;
  torc_discover_msg m;
  torc_id signer;
  (void)state;
  end_init(&a, 0x21, 20);
  end_init(&b, 0x42, 20);
  put_question(&a, 7, &ask);
  for (size_t len = 0; len < ask.len; len++) {
    assert_int_not_equal(torc_discover_read(&b.self, torc_slice_of(ask.bytes, len), &m), 0);
  }
  ask.bytes[ask.len] = 0; /* and longer */
  assert_int_not_equal(torc_discover_read(&b.self, torc_slice_of(ask.bytes, ask.len + 1), &m), 0);
  torc_header h;
  assert_int_equal(torc_header_decode(&h, slice(&ask)), 0);
  for (size_t bit = h.header_len * 8; bit < ask.len * 8; bit++) {
    ask.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    int rc = torc_discover_read(&b.self, slice(&ask), &m);
    rc = rc != 0 ? rc : torc_discover_verify(&b.self, &m, 500, &signer);
    assert_int_not_equal(rc, 0);
    ask.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  assert_int_equal(b.num_live, 0);
}

/* What costs no cryptography at all. */
static void test_refused_cheaply(void **state) {
  end a;
  end b;
  end other;
  datagram d;
  torc_discover_msg m;
  (void)state;
  end_init(&a, 0x21, 20);
  end_init(&b, 0x42, 20);
  end_init(&other, 0x55, 20);
  other.self.overlay = OVERLAY + 1;
  put_question(&other, 7, &d);
  assert_int_equal(torc_discover_read(&b.self, slice(&d), &m), TORC_ERR_DENIED);
  put_question(&b, 7, &d); /* the own one */
  b.num_jobs = 0;
  assert_int_equal(torc_discover_read(&b.self, slice(&d), &m), TORC_ERR_EXISTS);
  static const struct {
    size_t at;
    uint8_t value;
  } changes[] = {{0, 0x53},    /* magic */
                 {12, 0x81},   /* EXP */
                 {12, 0x02},   /* version */
                 {10, 0x80},   /* a fragment that is not all */
                 {28 + 3, 9}}; /* not the wildcard */
  for (size_t i = 0; i < TORC_ARRAY_LEN(changes); i++) {
    put_question(&a, 7, &d);
    assert_int_not_equal(d.bytes[changes[i].at], changes[i].value);
    d.bytes[changes[i].at] = changes[i].value;
    assert_int_equal(torc_discover_read(&b.self, slice(&d), &m), TORC_ERR_FORMAT);
  }
  uint8_t big[TORC_DISCOVER_DATAGRAM_MAX + 1] = {0};
  assert_int_equal(torc_discover_read(&b.self, torc_slice_of(big, sizeof big), &m),
                   TORC_ERR_FORMAT);
  assert_int_equal(b.num_jobs, 0);
}

/* A message like ours with another method, without signature or with a reference to the signer. */
static void test_other_messages(void **state) {
  (void)state;
  for (unsigned how = 0; how < 4; how++) {
    end b;
    uint8_t body[256];
    uint8_t whole[512];
    torc_wr bwr;
    torc_wr wr;
    torc_discover_msg m;
    end_init(&b, 0x42, 20);
    uint8_t payload[2] = {1, 0xf0};
    const uint8_t value[16] = {0};
    torc_signature s = {.is_present = how != 2,
                        .algorithm = TORC_SIGALG_ECDSA_P256_SHA256,
                        .value = torc_slice_of(value, sizeof value),
                        .identity = {.type = how == 3 ? TORC_IDENTITY_PEER : TORC_IDENTITY_CERT,
                                     .peer = b.id,
                                     .cert = torc_slice_of(payload, 2)}};
    torc_wr_init(&bwr, body, sizeof body);
    memset(body, 0, sizeof body);
    assert_int_equal(torc_contents_put(&bwr, how == 1,
                                       how == 0   ? TORC_METHOD_JOIN
                                       : how == 1 ? 503
                                                  : TORC_METHOD_PING,
                                       torc_slice_of(payload, 2)),
                     0);
    assert_int_equal(torc_signature_put(&bwr, &s), 0);
    torc_header h = {.overlay = OVERLAY,
                     .ttl = 1,
                     .routing = 1,
                     .version = TORC_VERSION_1,
                     .route = torc_slice_of(how == 1 ? b.id.b : torc_id_wildcard.b, TORC_ID_LEN)};
    torc_wr_init(&wr, whole, sizeof whole);
    assert_int_equal(torc_header_put(&wr, &h, bwr.len), 0);
    torc_wr_bytes(&wr, torc_wr_slice(&bwr));
    assert_int_equal(torc_discover_read(&b.self, torc_wr_slice(&wr), &m),
                     how < 2 ? TORC_ERR_FORMAT : TORC_ERR_CRYPTO);
  }
}

/* Dates, several peer-ids, this very peer with another certificate, a failure of this side. */
static void test_certificates(void **state) {
  end a;
  end b;
  datagram d;
  torc_discover_msg m;
  torc_id signer = torc_id_zero;
  (void)state;
  end_init(&a, 0x21, 20);
  end_init(&b, 0x42, 20);
  put_question(&a, 7, &d);
  assert_int_equal(torc_discover_read(&b.self, slice(&d), &m), 0);
  assert_int_equal(torc_discover_verify(&b.self, &m, 1001, &signer), TORC_ERR_CRYPTO);
  b.given_from = 10;
  assert_int_equal(torc_discover_verify(&b.self, &m, 9, &signer), TORC_ERR_CRYPTO);
  b.given_num_peers = 2;
  assert_int_equal(torc_discover_verify(&b.self, &m, 500, &signer), TORC_ERR_CRYPTO);
  b.given_num_peers = 1;
  b.fail_rc = TORC_ERR_NOMEM;
  assert_int_equal(torc_discover_verify(&b.self, &m, 500, &signer), TORC_ERR_NOMEM);
  b.fail_rc = 0;
  assert_true(torc_id_eq(&signer, &torc_id_zero));
  end twin;
  end_init(&twin, 0x42, 24);
  put_question(&twin, 8, &d);
  assert_int_equal(torc_discover_read(&b.self, slice(&d), &m), 0);
  assert_int_equal(torc_discover_verify(&b.self, &m, 500, &signer), TORC_ERR_EXISTS);
  assert_int_equal(b.num_live, 0);
}

/* An answer has at most three times the bytes of its question, and fits one datagram. */
static void test_growth(void **state) {
  end small;
  end big;
  datagram d;
  datagram out;
  torc_discover_msg m;
  torc_wr wr;
  (void)state;
  end_init(&small, 0x21, 20);
  unsigned num_given = 0;
  unsigned num_kept = 0;
  put_question(&small, 7, &d);
  for (size_t len = 20; len <= 1400; len++) {
    end_init(&big, 0x42, len);
    assert_int_equal(torc_discover_read(&big.self, slice(&d), &m), 0);
    torc_wr_init(&wr, out.bytes, sizeof out.bytes);
    int rc = torc_discover_answer_put(&wr, &big.self, &m, &small.id, 1, 6084);
    if (rc == 0) {
      assert_true(wr.len <= 3 * d.len);
      num_given++;
    } else {
      assert_int_equal(rc, TORC_ERR_LIMIT);
      assert_int_equal(wr.len, 0);
      num_kept++;
    }
  }
  assert_true(num_given > 100 && num_kept > 100);
  end_init(&big, 0x42, 1400);
  big.sig_len = 256;
  torc_wr_init(&wr, out.bytes, sizeof out.bytes);
  assert_int_equal(torc_discover_ask_put(&wr, &big.self, 7), TORC_ERR_LIMIT);
}

/* ---- the gate ---- */

static const uint8_t *site(unsigned n) {
  static uint8_t bytes[16];
  memset(bytes, 0, sizeof bytes);
  bytes[14] = (uint8_t)(n >> 8);
  bytes[15] = (uint8_t)n;
  return bytes;
}

static void test_gate_checks(void **state) {
  torc_discover_gate g = {0};
  unsigned num = 0;
  (void)state;
  for (unsigned i = 0; i < 100; i++) { /* one source leaves room for others */
    num += torc_discover_admit(&g, site(1), TORC_SEC(5)) == TORC_DISCOVER_PASS;
  }
  assert_int_equal(num, TORC_DISCOVER_PER_SOURCE);
  for (unsigned i = 2; i < 1000; i++) { /* many sources together have a limit as well */
    num += torc_discover_admit(&g, site(i), TORC_SEC(5) + i) == TORC_DISCOVER_PASS;
  }
  assert_int_equal(num, TORC_DISCOVER_CHECKS);
  assert_int_equal(torc_discover_admit(&g, site(1), TORC_SEC(6) - 1), TORC_DISCOVER_BUSY);
  assert_int_equal(torc_discover_admit(&g, site(1), TORC_SEC(6)), TORC_DISCOVER_PASS);
}

static void test_gate_answers(void **state) {
  torc_discover_gate g = {0};
  unsigned num = 0;
  (void)state;
  assert_false(torc_discover_is_seen(&g, 77));
  assert_false(torc_discover_is_seen(&g, 0));
  assert_int_equal(torc_discover_may_answer(&g, 77, 0), TORC_DISCOVER_PASS);
  assert_true(torc_discover_is_seen(&g, 77));
  assert_int_equal(torc_discover_may_answer(&g, 77, 1), TORC_DISCOVER_REPEATED);
  for (uint64_t xid = 100; xid < 200; xid++) {
    num += torc_discover_may_answer(&g, xid, 2) == TORC_DISCOVER_PASS;
  }
  assert_int_equal(num, TORC_DISCOVER_ANSWERS - 1);
  assert_int_equal(torc_discover_may_answer(&g, 77, TORC_SEC(3)), TORC_DISCOVER_REPEATED);
  for (unsigned k = 0; k < TORC_DISCOVER_SEEN_MAX; k++) { /* so many later ones push it out */
    assert_int_equal(torc_discover_may_answer(&g, 1000 + k, TORC_SEC(10 + k)), TORC_DISCOVER_PASS);
  }
  assert_int_equal(torc_discover_may_answer(&g, 77, TORC_SEC(100)), TORC_DISCOVER_PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("BST-06 BST-08 BST-13 GAP-69 PNG-08 the question and its answer", test_layout),
      TORC_TEST("BST-07 GAP-69 every bit counts", test_mutations),
      TORC_TEST("BST-07 GAP-69 refused without cryptography", test_refused_cheaply),
      TORC_TEST("BST-07 GAP-69 other messages at the group", test_other_messages),
      TORC_TEST("BST-07 GAP-69 GAP-135 R-09 whose certificate", test_certificates),
      TORC_TEST("GAP-69 no amplification", test_growth),
      TORC_TEST("GAP-69 signatures checked a second", test_gate_checks),
      TORC_TEST("GAP-68 GAP-69 answers a second, and copies", test_gate_answers),
  };
  return TORC_RUN(tests);
}
