/* What a certificate request over the network may ask for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "authority/csr.h"

#include <openssl/core_names.h>
#include <openssl/pkcs7.h>
#include <stdio.h>

#include "authority/ca.h"
#include "authority/helper_csr.h"
#include "authority/helper_dir.h"
#include "base/id.h"
#include "base/slice.h"

#define OVERLAY "ring.example.org"
#define PEER "0123456789abcdef0123456789abcdef"

static int read_bytes(const void *p, size_t len, torc_csr *out, char *err, size_t cap) {
  err[0] = '\0';
  int rc = torc_csr_read(torc_slice_of(p, len), OVERLAY, out, err, cap);
  assert_true((rc == 0) == (err[0] == '\0'));
  return rc;
}

/* The result for a request; the names are left in `out`. */
static int read_wanted(const test_csr *wanted, torc_csr *out, char *err, size_t cap) {
  size_t len = 0;
  uint8_t *der = test_csr_der(wanted, &len);
  int rc = read_bytes(der, len, out, err, cap);
  OPENSSL_free(der);
  return rc;
}

static void names_are_normalised(void **state) {
  char err[400];
  char hex[TORC_ID_HEX_LEN + 1];
  torc_csr csr;
  (void)state;
  test_csr wanted = {.san = "email:Alice@Example.Org.,email:bob@x,URI:reload://" PEER
                            "@ring.example.org"};
  assert_int_equal(read_wanted(&wanted, &csr, err, sizeof err), 0);
  assert_int_equal(csr.num_users, 2);
  assert_string_equal(csr.users[0], "Alice@example.org");
  assert_string_equal(csr.users[1], "bob@x");
  assert_true(csr.has_peer);
  assert_string_equal(torc_id_hex(&csr.peer, hex), PEER);
  assert_int_equal(strlen(csr.key_hash), 64);
  torc_csr_clear(&csr);
  wanted.san = NULL;
  assert_int_equal(read_wanted(&wanted, &csr, err, sizeof err), 0); /* guests name nobody */
  assert_int_equal(csr.num_users, 0);
  assert_false(csr.has_peer);
  torc_csr_clear(&csr);
}

static void three_forms_are_read(void **state) {
  char err[400];
  torc_csr csr;
  (void)state;
  test_csr wanted = {.san = "email:alice@x"};
  char *pem = test_csr_pem(&wanted);
  assert_int_equal(read_bytes(pem, strlen(pem), &csr, err, sizeof err), 0);
  torc_csr_clear(&csr);
  char *start = strchr(pem, '\n') + 1;
  char *end = strstr(pem, "-----END");
  assert_int_equal(read_bytes(start, (size_t)(end - start), &csr, err, sizeof err), 0);
  assert_string_equal(csr.users[0], "alice@x");
  torc_csr_clear(&csr);
  free(pem);
}

static const struct {
  const char *name;
  test_csr wanted;
  int rc;
  const char *why;
} refusals[] = {
    {"CA rights",
     {.san = "email:a@x", .extension = {"basicConstraints", "CA:TRUE"}},
     TORC_ERR_DENIED,
     "it asks for the extension X509v3 Basic Constraints"},
    {"key usage",
     {.san = "email:a@x", .extension = {"keyUsage", "keyCertSign"}},
     TORC_ERR_DENIED,
     "it asks for the extension"},
    {"two subjectAltNames",
     {.san = "email:a@x", .extension = {"subjectAltName", "email:b@x"}},
     TORC_ERR_DENIED,
     "only one subjectAltName"},
    {"DNS name",
     {.san = "email:a@x,DNS:ring.example.org"},
     TORC_ERR_DENIED,
     "something else than user names"},
    {"IP address", {.san = "IP:192.0.2.1"}, TORC_ERR_DENIED, "something else than user names"},
    {"five names",
     {.san = "email:a@x,email:b@x,email:c@x,email:d@x,email:e@x"},
     TORC_ERR_DENIED,
     "at most 4"},
    {"a name twice", {.san = "email:a@X.org,email:a@x.org"}, TORC_ERR_DENIED, "twice"},
    {"no user name", {.san = "email:alice"}, TORC_ERR_DENIED, "is no user name"},
    {"a URI of another overlay",
     {.san = "email:a@x,URI:reload://" PEER "@other.example.org"},
     TORC_ERR_DENIED,
     "a URI in it is not one reload://PEER-ID@" OVERLAY},
    {"a longer name of an overlay",
     {.san = "URI:reload://" PEER "@" OVERLAY "x"},
     TORC_ERR_DENIED,
     "a URI in it"},
    {"half a peer-id",
     {.san = "URI:reload://0123456789abcdef@" OVERLAY},
     TORC_ERR_DENIED,
     "a URI in it"},
    {"peer-id zero",
     {.san = "URI:reload://00000000000000000000000000000000@" OVERLAY},
     TORC_ERR_DENIED,
     "a URI in it"},
    {"another URI", {.san = "URI:https://example.org/"}, TORC_ERR_DENIED, "a URI in it"},
    {"two peer-ids",
     {.san = "URI:reload://" PEER "@" OVERLAY
             ",URI:reload://11111111111111111111111111111111@" OVERLAY},
     TORC_ERR_DENIED,
     "a URI in it"},
    {"a broken signature",
     {.san = "email:a@x", .is_signature_broken = true},
     TORC_ERR_CRYPTO,
     "its own signature does not hold"},
};

static void others_are_refused(void **state) {
  char err[400];
  torc_csr csr;
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(refusals); i++) {
    int rc = read_wanted(&refusals[i].wanted, &csr, err, sizeof err);
    if (rc != refusals[i].rc || strstr(err, refusals[i].why) == NULL) {
      fail_msg("%s: %d %s", refusals[i].name, rc, err);
    }
    assert_null(csr.key);
  }
}

static void weak_keys_are_refused(void **state) {
  char err[400];
  torc_csr csr;
  EVP_PKEY *keys[] = {test_rsa_key(1024), test_rsa_key(5120), test_ec_key("P-224"),
                      test_ec_key("P-384"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(keys); i++) {
    if (EVP_PKEY_get_base_id(keys[i]) != EVP_PKEY_ED25519) { /* which signs without a digest */
      test_csr wanted = {.san = "email:a@x", .key = keys[i]};
      assert_int_equal(read_wanted(&wanted, &csr, err, sizeof err), TORC_ERR_CRYPTO);
      assert_non_null(strstr(err, "peers take P-256, or RSA with 2048 to 4096 bits"));
    }
    EVP_PKEY_free(keys[i]);
  }
  EVP_PKEY *good = test_rsa_key(2048);
  test_csr wanted = {.san = "email:a@x", .key = good};
  assert_int_equal(read_wanted(&wanted, &csr, err, sizeof err), 0);
  torc_csr_clear(&csr);
  EVP_PKEY_free(good);
}

/* Cut at each length, with each bit flipped: never accepted as something else, never a crash. */
static void every_damage_is_refused(void **state) {
  char err[400];
  torc_csr csr;
  size_t len = 0;
  test_csr wanted = {.san = "email:alice@x"};
  uint8_t *der = test_csr_der(&wanted, &len);
  (void)state;
  for (size_t cut = 0; cut < len; cut++) {
    assert_int_not_equal(read_bytes(der, cut, &csr, err, sizeof err), 0);
  }
  size_t flips = 0;
  for (size_t bit = 0; bit < len * 8; bit++) {
    der[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    int rc = read_bytes(der, len, &csr, err, sizeof err);
    flips += rc == 0 ? 1 : 0;
    torc_csr_clear(&csr);
    der[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  assert_int_equal(flips, 0);
  uint8_t *longer = calloc(1, len + 1);
  assert_non_null(longer);
  memcpy(longer, der, len);
  assert_int_equal(read_bytes(longer, len + 1, &csr, err, sizeof err), TORC_ERR_FORMAT);
  free(longer);
  OPENSSL_free(der);
}

static void text_that_is_none(void **state) {
  static const char *const texts[] = {
      "", "A", "====", "AAAA", "not base64 at all!", "-----BEGIN CERTIFICATE REQUEST-----",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
      /* encrypted: nobody is asked for the passphrase */
      ("-----BEGIN CERTIFICATE REQUEST-----\nProc-Type: 4,ENCRYPTED\n"
       "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END CERTIFICATE REQUEST-----\n")};
  char err[400];
  torc_csr csr;
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(texts); i++) {
    assert_int_equal(read_bytes(texts[i], strlen(texts[i]), &csr, err, sizeof err),
                     TORC_ERR_FORMAT);
    assert_string_equal(err, "it is no PKCS#10 certificate request in DER or PEM");
  }
  char *big = malloc(TORC_CSR_MAX + 1);
  assert_non_null(big);
  memset(big, 'A', TORC_CSR_MAX + 1);
  assert_int_equal(read_bytes(big, TORC_CSR_MAX, &csr, err, sizeof err), TORC_ERR_FORMAT);
  assert_int_equal(read_bytes(big, TORC_CSR_MAX + 1, &csr, err, sizeof err), TORC_ERR_FORMAT);
  memset(big, 0x30, TORC_CSR_MAX);
  assert_int_equal(read_bytes(big, TORC_CSR_MAX, &csr, err, sizeof err), TORC_ERR_FORMAT);
  free(big);
}

/* Seeds of fuzz/fuzz_csr.c that are requests as they come; a crash it finds is added here. */
static void seeds_of_the_fuzzer(void **state) {
  static const struct {
    const char *name;
    int rc;
  } seeds[] = {{"der", 0}, {"pem", 0}, {"base64", 0}, {"ca", TORC_ERR_DENIED}};
  char err[400];
  char path[600];
  torc_csr csr;
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(seeds); i++) {
    size_t len = 0;
    (void)snprintf(path, sizeof path, "%s/fuzz/seeds/csr/%s", TORC_SOURCE_DIR, seeds[i].name);
    char *data = test_read(path, &len);
    assert_true(len > 1 && data[0] == 0);
    assert_int_equal(read_bytes(data + 1, len - 1, &csr, err, sizeof err), seeds[i].rc);
    assert_true(seeds[i].rc != 0 || strcmp(csr.users[0], "alice@ring.example.org") == 0);
    torc_csr_clear(&csr);
    free(data);
  }
}

/* What OpenSSL makes of the same certificate, as `openssl crl2pkcs7 -nocrl` does. */
static int certs_only(X509 *cert, uint8_t **out) {
  PKCS7 *p7 = PKCS7_new();
  assert_non_null(p7);
  assert_int_equal(PKCS7_set_type(p7, NID_pkcs7_signed), 1);
  assert_int_equal(PKCS7_content_new(p7, NID_pkcs7_data), 1);
  assert_int_equal(PKCS7_set_detached(p7, 1), 1);
  assert_int_equal(PKCS7_add_certificate(p7, cert), 1);
  int len = i2d_PKCS7(p7, out);
  PKCS7_free(p7);
  return len;
}

static void answer_holds_the_certificate_only(void **state) {
  static const torc_ca_signature kinds[] = {TORC_CA_ECDSA, TORC_CA_RSA};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(kinds); i++) { /* lengths of one byte and of two */
    EVP_PKEY *key = NULL;
    X509 *root = NULL;
    uint8_t *der = NULL;
    uint8_t *answer = NULL;
    uint8_t *expected = NULL;
    size_t len = 0;
    size_t answer_len = 0;
    assert_int_equal(torc_ca_key_new(kinds[i], &key), 0);
    assert_int_equal(torc_ca_root_new(key, 1000, 2000, &root), 0);
    assert_int_equal(torc_ca_cert_to_der(root, &der, &len), 0);
    assert_int_equal(torc_csr_answer(torc_slice_of(der, len), &answer, &answer_len), 0);
    int expected_len = certs_only(root, &expected);
    assert_int_equal(answer_len, expected_len);
    assert_memory_equal(answer, expected, answer_len);
    OPENSSL_free(expected);
    free(answer);
    for (size_t cut = 0; cut < len; cut++) {
      assert_int_equal(torc_csr_answer(torc_slice_of(der, cut), &answer, &answer_len),
                       TORC_ERR_CRYPTO);
    }
    free(der);
    X509_free(root);
    EVP_PKEY_free(key);
  }
}

/* The public key in DER is the one that OpenSSL writes, whatever the key and its form. */
static void public_key_is_as_openssl_writes_it(void **state) {
  EVP_PKEY *keys[] = {test_ec_key("P-256"), test_ec_key("P-384"), EVP_RSA_gen(2048),
                      test_ec_key("P-256")};
  (void)state;
  assert_int_equal(
      EVP_PKEY_set_utf8_string_param(keys[3], OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                     OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED),
      1);
  for (size_t i = 0; i < TORC_ARRAY_LEN(keys); i++) {
    uint8_t *expected = NULL;
    uint8_t *der = NULL;
    size_t len = 0;
    int expected_len = i2d_PUBKEY(keys[i], &expected);
    assert_int_equal(torc_ca_public_key(keys[i], &der, &len), 0);
    assert_int_equal(len, expected_len);
    assert_memory_equal(der, expected, len);
    free(der);
    OPENSSL_free(expected);
    EVP_PKEY_free(keys[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ENR-29 GAP-108 GAP-134 names and peer-id of a request", names_are_normalised),
      TORC_TEST("ENR-28 GAP-133 DER, PEM and base64", three_forms_are_read),
      TORC_TEST("ENR-28 R-38 what nobody gets is refused", others_are_refused),
      TORC_TEST("D-10 GAP-51 weak and unknown keys are refused", weak_keys_are_refused),
      TORC_TEST("ENR-28 every cut and every flipped bit is refused", every_damage_is_refused),
      TORC_TEST("ENR-28 what is no request, also encrypted", text_that_is_none),
      TORC_TEST("ENR-28 seeds of the fuzzer", seeds_of_the_fuzzer),
      TORC_TEST("ENR-31 GAP-133 the answer is certs-only CMS", answer_holds_the_certificate_only),
      TORC_TEST("ENR-35 the public key in DER", public_key_is_as_openssl_writes_it),
  };
  return TORC_RUN(tests);
}
