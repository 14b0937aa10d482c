/* A certificate that is in use is not checked again.
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <pthread.h>

#include "base/slice.h"
#include "io/helper_pki.h"
#include "torc_test.h"

#define OVERLAY "ring.example.org"
#define ROUNDS 300

static hp_ca ca;
static torc_pki *pki;
static X509 *x509;
static torc_slice der;

static int set_up(void **state) {
  (void)state;
  hp_ca_make(&ca, "root", true);
  pki = hp_pki(&ca, OVERLAY);
  EVP_PKEY *key = hp_key(HP_EC);
  x509 = hp_issue(&ca, &(hp_spec){.overlay = OVERLAY}, key);
  der = hp_der(x509);
  EVP_PKEY_free(key);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  OPENSSL_free((void *)(uintptr_t)der.p);
  X509_free(x509);
  torc_pki_free(pki);
  hp_ca_free(&ca);
  return 0;
}

static torc_cert *accept(void) {
  torc_cert *c = NULL;
  assert_int_equal(torc_pki_accept(pki, der, &c, NULL, 0), 0);
  return c;
}

static void test_same_object(void **state) {
  torc_cert *parsed = NULL;
  (void)state;
  torc_cert *first = accept();
  torc_cert *second = accept();
  assert_ptr_equal(first, second);
  assert_int_equal(torc_pki_accept_parsed(pki, x509, &parsed, NULL, 0), 0);
  assert_ptr_equal(first, parsed);
  assert_int_equal(first->refs, 3);
  torc_cert_free(first);
  torc_cert_free(second);
  assert_int_equal(parsed->num_peers, 1);
  torc_cert_free(parsed);
}

/* The same in the other order; and nobody keeps it when nobody uses it. */
static void test_let_go(void **state) {
  torc_cert *c = NULL;
  (void)state;
  assert_int_equal(torc_pki_accept_parsed(pki, x509, &c, NULL, 0), 0);
  torc_cert *again = accept();
  assert_ptr_equal(c, again);
  torc_cert_free(c);
  assert_int_equal(again->refs, 1);
  torc_cert_free(again);
  c = accept();
  assert_int_equal(c->refs, 1);
  torc_cert_free(c);
}

/* Every bit of the bytes counts: one that is in use vouches for no other. */
static void test_no_other(void **state) {
  (void)state;
  torc_cert *c = accept();
  uint8_t *changed = malloc(der.len);
  assert_non_null(changed);
  for (size_t bit = 0; bit < 8 * der.len; bit++) {
    torc_cert *other = NULL;
    memcpy(changed, der.p, der.len);
    changed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    assert_int_equal(torc_pki_accept(pki, torc_slice_of(changed, der.len), &other, NULL, 0),
                     TORC_ERR_CRYPTO);
    assert_null(other);
  }
  free(changed);
  assert_int_equal(c->refs, 1);
  torc_cert_free(c);
}

/* Another overlay's pki asks its own roots. */
static void test_per_pki(void **state) {
  hp_ca other;
  torc_cert *c = accept();
  torc_cert *there = NULL;
  (void)state;
  hp_ca_make(&other, "root", true);
  torc_pki *foreign = hp_pki(&other, OVERLAY);
  assert_int_equal(torc_pki_accept(foreign, der, &there, NULL, 0), TORC_ERR_CRYPTO);
  torc_pki_free(foreign);
  hp_ca_free(&other);
  torc_cert_free(c);
}

static void *accept_and_free(void *arg) {
  size_t *failures = arg;
  for (size_t i = 0; i < ROUNDS; i++) {
    torc_cert *c = NULL;
    if (torc_pki_accept(pki, der, &c, NULL, 0) != 0 || !torc_slice_eq(c->der, der)) {
      (*failures)++;
    }
    torc_cert_free(c);
  }
  return NULL;
}

/* The last reference goes in one thread while another finds it. */
static void test_threads(void **state) {
  pthread_t threads[3];
  size_t failures[TORC_ARRAY_LEN(threads)] = {0};
  (void)state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(threads); i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, accept_and_free, &failures[i]), 0);
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(threads); i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(failures[i], 0);
  }
  torc_cert *c = accept();
  assert_int_equal(c->refs, 1);
  torc_cert_free(c);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      TORC_TEST("CRT-06 GAP-52 a certificate in use is checked once", test_same_object),
      TORC_TEST("CRT-06 GAP-52 one nobody uses is let go", test_let_go),
      TORC_TEST("TLS-06 R-38 one in use vouches for no other", test_no_other),
      TORC_TEST("R-38 one in use is believed in its own overlay only", test_per_pki),
      TORC_TEST("certificates found and freed by several threads", test_threads),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
