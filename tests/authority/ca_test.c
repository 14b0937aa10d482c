/* Keys and certificates of the authority, read back with OpenSSL and with the parser of the peers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "authority/ca.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "authority/files.h"
#include "base/id.h"
#include "base/slice.h"
#include "io/x509.h"
#include "torc_test.h"

#define OVERLAY "ring.example.org"
#define DAY 86400u

typedef struct fixture {
  EVP_PKEY *root_key, *key;
  X509 *root;
  torc_wall now;
} fixture;

static fixture make(torc_ca_signature kind) {
  fixture f = {.now = (torc_wall)time(NULL)};
  assert_int_equal(torc_ca_key_new(kind, &f.root_key), 0);
  assert_int_equal(torc_ca_key_new(kind, &f.key), 0);
  assert_int_equal(torc_ca_root_new(f.root_key, f.now - 300, f.now + 10 * DAY, &f.root), 0);
  return f;
}

static void clear(fixture *f) {
  EVP_PKEY_free(f->root_key);
  EVP_PKEY_free(f->key);
  X509_free(f->root);
}

static torc_ca_profile profile_of(const fixture *f, const char *const *users, size_t num) {
  torc_ca_profile p = {.overlay = OVERLAY,
                       .subject_key = f->key,
                       .users = users,
                       .num_users = num,
                       .not_before = f->now - 300,
                       .not_after = f->now + DAY};
  assert_int_equal(torc_ca_random_serial(p.serial), 0);
  assert_int_equal(torc_ca_random_peer(&p.peer), 0);
  return p;
}

/* The certificate as a peer of the overlay sees it. */
static torc_cert *accept(const fixture *f, X509 *cert, int expected) {
  uint8_t *root = NULL;
  uint8_t *der = NULL;
  size_t root_len = 0;
  size_t len = 0;
  torc_pki *pki = NULL;
  torc_cert *out = NULL;
  char err[256] = "";
  assert_int_equal(torc_ca_cert_to_der(f->root, &root, &root_len), 0);
  assert_int_equal(torc_ca_cert_to_der(cert, &der, &len), 0);
  torc_slice roots[] = {torc_slice_of(root, root_len)};
  assert_int_equal(torc_pki_new(&pki, OVERLAY, roots, 1, err, sizeof err), 0);
  assert_int_equal(torc_pki_accept(pki, torc_slice_of(der, len), &out, err, sizeof err), expected);
  torc_pki_free(pki);
  torc_file_free(root, root_len);
  torc_file_free(der, len);
  return out;
}

static void issued_is_accepted(void **state) {
  torc_ca_signature kind = *(const torc_ca_signature *)*state;
  const char *users[] = {"alice@example.org", "Al.Ice@example.org"};
  fixture f = make(kind);
  torc_ca_profile p = profile_of(&f, users, 2);
  X509 *cert = NULL;
  assert_int_equal(torc_ca_issue(f.root, f.root_key, &p, &cert), 0);
  torc_cert *seen = accept(&f, cert, 0);
  assert_int_equal(seen->num_peers, 1); /* [R-09] */
  assert_true(torc_id_eq(&seen->peers[0], &p.peer));
  assert_int_equal(seen->num_users, 2);
  assert_string_equal(seen->users[0], users[0]);
  assert_string_equal(seen->users[1], users[1]);
  assert_int_equal(seen->not_before, p.not_before);
  assert_int_equal(seen->not_after, p.not_after);
  uint8_t *key = NULL;
  uint8_t *der = NULL;
  int key_len = i2d_PUBKEY(f.key, &key); /* [ENR-35] the user's public key */
  int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
  assert_int_equal(len, key_len);
  assert_memory_equal(der, key, (size_t)len);
  OPENSSL_free(key);
  OPENSSL_free(der);
  torc_cert_free(seen);
  X509_free(cert);
  clear(&f);
}

static bool has_uri(X509 *cert, const char *uri) {
  bool found = false;
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
    size_t len = n->type == GEN_URI ? (size_t)ASN1_STRING_length(n->d.ia5) : 0;
    found = found || (len == strlen(uri) && memcmp(ASN1_STRING_get0_data(n->d.ia5), uri, len) == 0);
  }
  GENERAL_NAMES_free(names);
  return found;
}

static void profile_is_as_written(void **state) {
  (void)state;
  const char *users[] = {
      "a,URI:reload://evil@x@example.org"}; /* a comma does not begin another name */
  char uri[128];
  char hex[TORC_ID_HEX_LEN + 1];
  fixture f = make(TORC_CA_ECDSA);
  torc_ca_profile p = profile_of(&f, users, 1);
  X509 *cert = NULL;
  assert_int_equal(torc_ca_issue(f.root, f.root_key, &p, &cert), 0);
  (void)snprintf(uri, sizeof uri, "reload://%s@" OVERLAY, torc_id_hex(&p.peer, hex));
  assert_true(has_uri(cert, uri));
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  assert_int_equal(sk_GENERAL_NAME_num(names), 2);
  GENERAL_NAMES_free(names);
  assert_int_equal(X509_get_version(cert), X509_VERSION_3);
  assert_int_equal(X509_check_ca(cert), 0);
  assert_int_equal(X509_get_key_usage(cert), KU_DIGITAL_SIGNATURE);
  assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_CLIENT | XKU_SSL_SERVER); /* [R-38] */
  assert_int_equal(X509_verify(cert, f.root_key), 1); /* directly by the root */
  assert_int_equal(X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(f.root)), 0);
  assert_int_equal(X509_get_signature_nid(cert), NID_ecdsa_with_SHA256);
  const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
  assert_int_equal(ASN1_STRING_length(serial), TORC_CA_SERIAL_LEN);
  assert_memory_equal(ASN1_STRING_get0_data(serial), p.serial, TORC_CA_SERIAL_LEN);
  X509_free(cert);
  clear(&f);
}

static void root_may_issue_end_certificates_only(void **state) {
  (void)state;
  fixture f = make(TORC_CA_RSA);
  assert_int_equal(X509_check_ca(f.root), 1);
  assert_int_equal(X509_get_pathlen(f.root), 0);
  assert_int_equal(X509_get_key_usage(f.root), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
  assert_int_equal(X509_verify(f.root, f.root_key), 1);
  assert_int_equal(X509_get_signature_nid(f.root), NID_sha256WithRSAEncryption);
  assert_int_equal(EVP_PKEY_get_bits(f.root_key), 2048);
  clear(&f);
}

static void another_root_is_not_accepted(void **state) {
  (void)state;
  const char *users[] = {"alice@example.org"};
  fixture ours = make(TORC_CA_ECDSA);
  fixture theirs = make(TORC_CA_ECDSA);
  torc_ca_profile p = profile_of(&theirs, users, 1);
  X509 *cert = NULL;
  assert_int_equal(torc_ca_issue(theirs.root, theirs.root_key, &p, &cert), 0);
  assert_null(accept(&ours, cert, TORC_ERR_CRYPTO));
  X509_free(cert);
  clear(&ours);
  clear(&theirs);
}

static void numbers_are_random(void **state) {
  (void)state;
  enum { NUM = 256 };
  static torc_id peers[NUM];
  static uint8_t serials[NUM][TORC_CA_SERIAL_LEN];
  unsigned first_bits = 0;
  for (size_t i = 0; i < NUM; i++) {
    assert_int_equal(torc_ca_random_peer(&peers[i]), 0);
    assert_int_equal(torc_ca_random_serial(serials[i]), 0);
    assert_true(torc_id_is_peer(&peers[i]));
    assert_int_equal(serials[i][0] & 0xc0, 0x40); /* positive, and never short */
    first_bits += peers[i].b[0] >> 7;
    for (size_t k = 0; k < i; k++) {
      assert_false(torc_id_eq(&peers[i], &peers[k]));
      assert_int_not_equal(memcmp(serials[i], serials[k], TORC_CA_SERIAL_LEN), 0);
    }
  }
  assert_in_range(first_bits, NUM / 4, NUM - NUM / 4); /* 8 standard deviations */
}

static const struct {
  const char *typed, *normal;
} user_names[] = {
    {"alice@example.org", "alice@example.org"},
    {"Alice@EXAMPLE.Org", "Alice@example.org"},
    {"a.b+c@x.", "a.b+c@x"},
    {"@x", NULL},
    {"alice@", NULL},
    {"alice@.", NULL},
    {"alice", NULL},
    {"a@b@c", NULL},
    {"al ice@x", NULL},
    {"al\tice@x", NULL},
    {"al\xc3\xaf"
     "ce@x",
     NULL},
    {"alice@x\x7f", NULL},
    {"", NULL},
};

static void user_names_are_normalised(void **state) {
  (void)state;
  char out[TORC_USER_MAX + 1];
  char text[TORC_USER_MAX + 8];
  for (size_t i = 0; i < TORC_ARRAY_LEN(user_names); i++) {
    int rc = torc_ca_user_name(user_names[i].typed, out, sizeof out);
    assert_int_equal(rc, user_names[i].normal == NULL ? TORC_ERR_FORMAT : 0);
    if (rc == 0) {
      assert_string_equal(out, user_names[i].normal);
    }
  }
  memset(text, 'a', sizeof text);
  text[1] = '@';
  text[TORC_USER_MAX] = '\0';
  assert_int_equal(torc_ca_user_name(text, out, sizeof out), 0);
  assert_int_equal(torc_ca_user_name(text, out, TORC_USER_MAX), TORC_ERR_SPACE);
  text[TORC_USER_MAX] = 'a';
  text[TORC_USER_MAX + 1] = '\0';
  assert_int_equal(torc_ca_user_name(text, out, sizeof out), TORC_ERR_FORMAT);
}

static void overlay_names(void **state) {
  (void)state;
  char text[256];
  assert_true(torc_ca_overlay_name_ok("ring.example.org"));
  assert_true(torc_ca_overlay_name_ok("a-b_c.D9"));
  assert_false(torc_ca_overlay_name_ok(""));
  assert_false(torc_ca_overlay_name_ok("a b"));
  assert_false(torc_ca_overlay_name_ok("a/b"));
  assert_false(torc_ca_overlay_name_ok("a@b"));
  memset(text, 'a', sizeof text);
  text[200] = '\0';
  assert_true(torc_ca_overlay_name_ok(text));
  text[200] = 'a';
  text[201] = '\0';
  assert_false(torc_ca_overlay_name_ok(text));
}

static void absurd_profiles_are_refused(void **state) {
  (void)state;
  const char *users[] = {"a@x", "b@x", "c@x", "d@x", "e@x"};
  fixture f = make(TORC_CA_ECDSA);
  X509 *cert = NULL;
  torc_ca_profile p = profile_of(&f, users, 5);
  assert_int_equal(torc_ca_issue(f.root, f.root_key, &p, &cert), TORC_ERR_INVALID);
  p.num_users = 1;
  p.overlay = "no good";
  assert_int_equal(torc_ca_issue(f.root, f.root_key, &p, &cert), TORC_ERR_INVALID);
  p.overlay = OVERLAY;
  p.peer = torc_id_wildcard;
  assert_int_equal(torc_ca_issue(f.root, f.root_key, &p, &cert), TORC_ERR_INVALID);
  p.peer = torc_id_zero;
  assert_int_equal(torc_ca_issue(f.root, f.root_key, &p, &cert), TORC_ERR_INVALID);
  assert_null(cert);
  clear(&f);
}

/* A request in PEM, signed by `signer` (the key itself unless the test wants it broken). */
static char *request_pem(EVP_PKEY *key, EVP_PKEY *signer) {
  X509_REQ *req = X509_REQ_new();
  BIO *bio = BIO_new(BIO_s_mem());
  char *data = NULL;
  assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
  assert_true(X509_REQ_sign(req, signer, EVP_sha256()) > 0);
  assert_int_equal(PEM_write_bio_X509_REQ(bio, req), 1);
  long len = BIO_get_mem_data(bio, &data);
  char *out = strndup(data, (size_t)len);
  X509_REQ_free(req);
  BIO_free(bio);
  return out;
}

static int request_rc(EVP_PKEY *key, EVP_PKEY *signer, const char *reason) {
  char err[256] = "";
  EVP_PKEY *got = NULL;
  char *pem = request_pem(key, signer);
  int rc = torc_ca_request_key(torc_slice_str(pem), &got, err, sizeof err);
  if (rc == 0) {
    assert_int_equal(EVP_PKEY_eq(got, key), 1);
  } else {
    assert_non_null(strstr(err, reason));
  }
  EVP_PKEY_free(got);
  free(pem);
  return rc;
}

static void requests_prove_their_key(void **state) {
  (void)state;
  char err[256] = "";
  EVP_PKEY *got = NULL;
  EVP_PKEY *good = EVP_EC_gen("P-256");
  EVP_PKEY *other = EVP_EC_gen("P-256");
  EVP_PKEY *rsa = EVP_RSA_gen(2048);
  EVP_PKEY *weak = EVP_RSA_gen(1024);
  EVP_PKEY *large = EVP_RSA_gen(4104);
  EVP_PKEY *p384 = EVP_EC_gen("P-384");
  EVP_PKEY *edwards = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
  assert_int_equal(request_rc(good, good, ""), 0);
  assert_int_equal(request_rc(rsa, rsa, ""), 0);
  assert_int_equal(request_rc(good, other, "signature does not hold"), TORC_ERR_CRYPTO);
  assert_int_equal(request_rc(weak, weak, "RSA key below 2048 bits"), TORC_ERR_CRYPTO);
  assert_int_equal(request_rc(large, large, "RSA key above 4096 bits; peers take P-256, or RSA"),
                   TORC_ERR_CRYPTO);
  assert_int_equal(request_rc(p384, p384, "not on the named curve P-256"), TORC_ERR_CRYPTO);
  assert_int_equal(request_rc(edwards, good, "neither RSA nor ECDSA P-256"), TORC_ERR_CRYPTO);
  assert_int_equal(torc_ca_request_key(torc_slice_str("junk"), &got, err, sizeof err),
                   TORC_ERR_CRYPTO);
  assert_non_null(strstr(err, "no PKCS#10 request"));
  EVP_PKEY_free(good);
  EVP_PKEY_free(other);
  EVP_PKEY_free(rsa);
  EVP_PKEY_free(weak);
  EVP_PKEY_free(large);
  EVP_PKEY_free(p384);
  EVP_PKEY_free(edwards);
}

static void keys_and_certificates_survive_pem(void **state) {
  (void)state;
  fixture f = make(TORC_CA_ECDSA);
  uint8_t *pem = NULL;
  size_t len = 0;
  EVP_PKEY *key = NULL;
  X509 *cert = NULL;
  assert_int_equal(torc_ca_key_to_pem(f.key, &pem, &len), 0);
  assert_int_equal(torc_ca_key_from_pem(torc_slice_of(pem, len), &key), 0);
  assert_int_equal(EVP_PKEY_eq(key, f.key), 1);
  for (size_t cut = 0; cut < len - 2; cut++) {
    EVP_PKEY *part = NULL;
    assert_int_equal(torc_ca_key_from_pem(torc_slice_of(pem, cut), &part), TORC_ERR_CRYPTO);
  }
  torc_file_free(pem, len);
  assert_int_equal(torc_ca_cert_to_pem(f.root, &pem, &len), 0);
  assert_int_equal(torc_ca_cert_from_pem(torc_slice_of(pem, len), &cert), 0);
  assert_int_equal(X509_cmp(cert, f.root), 0);
  torc_file_free(pem, len);
  EVP_PKEY_free(key);
  X509_free(cert);
  clear(&f);
}

int main(void) {
  static torc_ca_signature ecdsa = TORC_CA_ECDSA;
  static torc_ca_signature rsa = TORC_CA_RSA;
  const struct CMUnitTest tests[] = {
      TORC_CASE("D-10 ENR-35 GAP-134 R-09 an ECDSA certificate is accepted by peers",
                issued_is_accepted, &ecdsa),
      TORC_CASE("D-10 GAP-51 ENR-35 R-09 an RSA certificate is accepted by peers",
                issued_is_accepted, &rsa),
      TORC_TEST("GAP-134 R-09 R-38 ENR-31 profile of a certificate", profile_is_as_written),
      TORC_TEST("ENR-19 R-38 profile of a root", root_may_issue_end_certificates_only),
      TORC_TEST("ENR-34 SEC-04 another root's certificate is refused",
                another_root_is_not_accepted),
      TORC_TEST("ENR-32 ENR-33 SEC-05 ENR-35 peer-ids and serial numbers are random",
                numbers_are_random),
      TORC_TEST("GAP-108 R-38 user names", user_names_are_normalised),
      TORC_TEST("ARC-20 overlay names", overlay_names),
      TORC_TEST("R-09 absurd profiles are refused", absurd_profiles_are_refused),
      TORC_TEST("ENR-28 GAP-133 GAP-51 a request proves its key", requests_prove_their_key),
      TORC_TEST("D-10 keys and certificates survive PEM", keys_and_certificates_survive_pem),
  };
  return TORC_RUN(tests);
}
