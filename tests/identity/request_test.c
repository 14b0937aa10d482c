/* What is asked for, and what of an answer is believed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "identity/request.h"

#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "authority/files.h"
#include "base/id.h"
#include "base/slice.h"
#include "io/x509.h"
#include "torc_test.h"

#define OVERLAY "ring.example.org"
#define NOW 1700000000u
#define DAY 86400u

typedef struct ca {
  EVP_PKEY *key;
  X509 *root;
  uint8_t *der;
  size_t der_len;
} ca;

typedef struct fixture {
  ca own, other;
  EVP_PKEY *key, *strange;
  torc_overlay overlay;
} fixture;

static void make_ca(ca *c) {
  assert_int_equal(torc_ca_key_new(TORC_CA_ECDSA, &c->key), 0);
  assert_int_equal(torc_ca_root_new(c->key, NOW - DAY, NOW + 900 * DAY, &c->root), 0);
  assert_int_equal(torc_ca_cert_to_der(c->root, &c->der, &c->der_len), 0);
}

static void clear_ca(ca *c) {
  EVP_PKEY_free(c->key);
  X509_free(c->root);
  torc_file_free(c->der, c->der_len);
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  make_ca(&f->own);
  make_ca(&f->other);
  assert_int_equal(torc_ca_key_new(TORC_CA_ECDSA, &f->key), 0);
  assert_int_equal(torc_ca_key_new(TORC_CA_ECDSA, &f->strange), 0);
  (void)snprintf(f->overlay.name, sizeof f->overlay.name, OVERLAY);
  f->overlay.roots[0].der = f->own.der;
  f->overlay.roots[0].len = f->own.der_len;
  f->overlay.num_roots = 1;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  clear_ca(&f->own);
  clear_ca(&f->other);
  EVP_PKEY_free(f->key);
  EVP_PKEY_free(f->strange);
  free(f);
  return 0;
}

/* ---- answers ---- */

typedef struct answer {
  const char *name;
  int rc;
  const char *said;                /* of a refusal */
  const char *overlay;             /* NULL: the right one */
  const char *users[2], *asked[2]; /* asked NULL: a guest */
  bool is_of_other_ca, is_of_strange_key, is_renewal, has_another_peer;
  int32_t from_day, to_day; /* 0, 0: in force */
  bool has_chain;
} answer;

static const answer answers[] = {
    {"ENR-34 as asked for", 0, NULL, .users = {"alice@" OVERLAY}, .asked = {"alice@" OVERLAY}},
    {"ENR-34 with the chain", 0, NULL, .users = {"alice@" OVERLAY}, .asked = {"alice@" OVERLAY},
     .has_chain = true},
    {"ENR-38 a renewal", 0, NULL, .users = {"alice@" OVERLAY}, .asked = {"alice@" OVERLAY},
     .is_renewal = true},
    {"ENR-36 a guest", 0, NULL, .users = {"guest-1@" OVERLAY}},
    {"ENR-34 another authority", TORC_ERR_CRYPTO, "not one of this overlay",
     .users = {"alice@" OVERLAY}, .asked = {"alice@" OVERLAY}, .is_of_other_ca = true},
    {"ENR-34 another overlay", TORC_ERR_CRYPTO, "not one of this overlay", .overlay = "b.example",
     .users = {"alice@" OVERLAY}, .asked = {"alice@" OVERLAY}},
    {"ENR-34 another key", TORC_ERR_CRYPTO, "no certificate of the key",
     .users = {"alice@" OVERLAY}, .asked = {"alice@" OVERLAY}, .is_of_strange_key = true},
    {"ENR-31 another user", TORC_ERR_CRYPTO, "", .users = {"bob@" OVERLAY},
     .asked = {"alice@" OVERLAY}},
    {"ENR-31 a user too many", TORC_ERR_CRYPTO, "", .users = {"alice@" OVERLAY, "bob@" OVERLAY},
     .asked = {"alice@" OVERLAY}},
    {"ENR-31 a user too few", TORC_ERR_CRYPTO, "", .users = {"alice@" OVERLAY},
     .asked = {"alice@" OVERLAY, "bob@" OVERLAY}},
    {"ENR-38 another peer-id", TORC_ERR_CRYPTO, "another peer-id", .users = {"alice@" OVERLAY},
     .asked = {"alice@" OVERLAY}, .is_renewal = true, .has_another_peer = true},
    {"ENR-34 ended", TORC_ERR_CRYPTO, "", .users = {"alice@" OVERLAY}, .asked = {"alice@" OVERLAY},
     .from_day = -3, .to_day = -1},
    {"ENR-34 of tomorrow", TORC_ERR_CRYPTO, "", .users = {"alice@" OVERLAY},
     .asked = {"alice@" OVERLAY}, .from_day = 1, .to_day = 9},
};

static size_t count(const char *const list[2]) {
  return list[0] == NULL ? 0 : list[1] == NULL ? 1 : 2;
}

/* certs-only CMS by OpenSSL itself; freed with OPENSSL_free. */
static uint8_t *wrap(X509 *cert, X509 *more, size_t *len) {
  PKCS7 *p7 = PKCS7_new();
  uint8_t *der = NULL;
  assert_non_null(p7);
  assert_int_equal(PKCS7_set_type(p7, NID_pkcs7_signed), 1);
  assert_int_equal(PKCS7_content_new(p7, NID_pkcs7_data), 1);
  assert_int_equal(PKCS7_set_detached(p7, 1), 1);
  assert_true(more == NULL || PKCS7_add_certificate(p7, more) == 1);
  assert_true(cert == NULL || PKCS7_add_certificate(p7, cert) == 1);
  int n = i2d_PKCS7(p7, &der);
  assert_true(n > 0);
  PKCS7_free(p7);
  *len = (size_t)n;
  return der;
}

static uint8_t *make_answer(const fixture *f, const answer *a, const torc_id *peer, size_t *len) {
  const ca *by = a->is_of_other_ca ? &f->other : &f->own;
  X509 *cert = NULL;
  torc_ca_profile p = {.overlay = a->overlay == NULL ? OVERLAY : a->overlay,
                       .subject_key = a->is_of_strange_key ? f->strange : f->key,
                       .peer = *peer,
                       .users = a->users,
                       .num_users = count(a->users),
                       .not_before = NOW - DAY,
                       .not_after = NOW + 90 * DAY};
  if (a->to_day != 0) {
    p.not_before = (torc_wall)((int64_t)NOW + a->from_day * (int64_t)DAY);
    p.not_after = (torc_wall)((int64_t)NOW + a->to_day * (int64_t)DAY);
  }
  if (a->has_another_peer) {
    p.peer.b[0] ^= 1;
  }
  assert_int_equal(torc_ca_random_serial(p.serial), 0);
  assert_int_equal(torc_ca_issue(by->root, by->key, &p, &cert), 0);
  uint8_t *der = wrap(cert, a->has_chain ? by->root : NULL, len);
  X509_free(cert);
  return der;
}

static void answers_are_checked(void **state) {
  const fixture *f = *state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(answers); i++) {
    const answer *a = &answers[i];
    char err[400] = "";
    torc_granted g;
    torc_id peer;
    size_t len = 0;
    print_message("%s\n", a->name);
    assert_int_equal(torc_ca_random_peer(&peer), 0);
    torc_wish w = {.users = a->asked, .num_users = count(a->asked)};
    w.peer = a->is_renewal ? &peer : NULL;
    uint8_t *der = make_answer(f, a, &peer, &len);
    int rc = torc_answer_check(&g, torc_slice_of(der, len), &w, &f->overlay, f->key, NOW, err,
                               sizeof err);
    assert_int_equal(rc, a->rc);
    if (rc == 0) {
      assert_true(torc_id_eq(&g.peer, &peer));
      assert_int_equal(g.num_users, count(a->users));
      assert_string_equal(g.users[0], a->users[0]);
      assert_int_equal(g.not_after, NOW + 90 * DAY);
    } else {
      assert_non_null(strstr(err, a->said));
      assert_true(strlen(err) > 20 && g.pem == NULL);
    }
    torc_granted_clear(&g);
    OPENSSL_free(der);
  }
}

/* Cut at every length and with each byte bent: no crash, and never another certificate's names. */
static void answers_that_are_damaged(void **state) {
  const fixture *f = *state;
  char err[400];
  torc_granted g;
  torc_id peer;
  size_t len = 0;
  assert_int_equal(torc_ca_random_peer(&peer), 0);
  torc_wish w = {.users = answers[0].asked, .num_users = 1};
  uint8_t *der = make_answer(f, &answers[0], &peer, &len);
  for (size_t cut = 0; cut < len; cut++) {
    assert_int_equal(torc_answer_check(&g, torc_slice_of(der, cut), &w, &f->overlay, f->key, NOW,
                                       err, sizeof err),
                     TORC_ERR_FORMAT);
  }
  for (size_t i = 0; i < len; i++) {
    der[i] ^= 0x10;
    if (torc_answer_check(&g, torc_slice_of(der, len), &w, &f->overlay, f->key, NOW, err,
                          sizeof err) == 0) { /* around the certificate, not in it */
      assert_true(torc_id_eq(&g.peer, &peer));
      assert_string_equal(g.users[0], answers[0].users[0]);
    }
    torc_granted_clear(&g);
    der[i] ^= 0x10;
  }
  OPENSSL_free(der);
}

static void answers_without_certificates(void **state) {
  const fixture *f = *state;
  char err[400] = "";
  torc_granted g;
  size_t len = 0;
  torc_wish w = {.users = answers[0].asked, .num_users = 1};
  uint8_t *der = wrap(NULL, NULL, &len);
  assert_int_equal(
      torc_answer_check(&g, torc_slice_of(der, len), &w, &f->overlay, f->key, NOW, err, sizeof err),
      TORC_ERR_CRYPTO);
  OPENSSL_free(der);
  uint8_t *large = calloc(1, TORC_ANSWER_MAX + 1);
  assert_non_null(large);
  assert_int_equal(torc_answer_check(&g, torc_slice_of(large, TORC_ANSWER_MAX + 1), &w, &f->overlay,
                                     f->key, NOW, err, sizeof err),
                   TORC_ERR_FORMAT);
  free(large);
}

/* ---- requests ---- */

static void requests_name_what_is_wanted(void **state) {
  const fixture *f = *state;
  const char *const users[] = {"alice@" OVERLAY, "al@" OVERLAY};
  const torc_id peer = {.b = {1, 2, 3}};
  const torc_wish w = {.users = users, .num_users = 2, .peer = &peer};
  uint8_t *der = NULL;
  size_t len = 0;
  assert_int_equal(torc_request_make(&w, OVERLAY, f->key, &der, &len), 0);
  const uint8_t *at = der;
  X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)len);
  assert_non_null(req);
  assert_int_equal(X509_REQ_verify(req, f->key), 1);
  STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(req);
  assert_int_equal(sk_X509_EXTENSION_num(list), 1);
  GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);
  static const char *const expected[] = {"alice@" OVERLAY, "al@" OVERLAY,
                                         "reload://01020300000000000000000000000000@" OVERLAY};
  assert_int_equal(sk_GENERAL_NAME_num(names), 3);
  for (int i = 0; i < 3; i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    assert_int_equal(name->type, i < 2 ? GEN_EMAIL : GEN_URI);
    assert_string_equal((const char *)ASN1_STRING_get0_data(name->d.ia5), expected[i]);
  }
  GENERAL_NAMES_free(names);
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  X509_REQ_free(req);
  free(der);
}

static void key_is_as_the_document_asks(void **state) {
  (void)state;
  static const struct {
    uint8_t admitted;
    int rc;
    torc_ca_signature kind;
  } cases[] = {{0, 0, TORC_CA_ECDSA},
               {1u << 3, 0, TORC_CA_ECDSA},
               {1u << 2 | 1u << 3, 0, TORC_CA_ECDSA},
               {1u << 2, 0, TORC_CA_RSA},
               {1u << 1, TORC_ERR_CONFIG, TORC_CA_ECDSA}};
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    const torc_overlay o = {.signature_algorithms = cases[i].admitted};
    torc_ca_signature kind = TORC_CA_ECDSA;
    assert_int_equal(torc_request_key_kind(&o, &kind), cases[i].rc);
    assert_int_equal(kind, cases[i].kind);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENR-34 ENR-31 ENR-38 GAP-134 an answer must be what was asked for",
                answers_are_checked),
      TORC_TEST("ENR-34 a damaged answer is refused", answers_that_are_damaged),
      TORC_TEST("ENR-34 an answer without certificate, or too large", answers_without_certificates),
      TORC_TEST("ENR-28 ENR-29 ENR-38 a request names users and peer-id",
                requests_name_what_is_wanted),
      TORC_TEST("D-10 the key is of the kind that the document admits",
                key_is_as_the_document_asks),
  };
  return cmocka_run_group_tests_name(__FILE__, tests, setup, teardown);
}
