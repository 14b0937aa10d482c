/* Memory is given back, and nothing is lost with it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/settle.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "io/helper_pki.h"
#include "torc_test.h"

static uint32_t written[4096] = {1}; /* in a segment that can be written */

/* Resident kB of files, or in all. */
static long resident(const char *key) {
  char line[256];
  long kb = -1;
  FILE *f = fopen("/proc/self/status", "r");
  assert_non_null(f);
  while (fgets(line, sizeof line, f) != NULL) {
    if (strncmp(line, key, strlen(key)) == 0) {
      kb = strtol(line + strlen(key), NULL, 10);
    }
  }
  (void)fclose(f);
  assert_true(kb >= 0);
  return kb;
}

/* Uses much of the cryptographic library; all of it must go as it did before. */
static void check_identity(uint8_t sig[TORC_SIGNATURE_MAX], size_t *len, torc_pki *pki) {
  torc_slice part = {(const uint8_t *)"text", 4};
  torc_cert *cert = NULL;
  assert_int_equal(torc_pki_sign(pki, NULL, &part, 1, sig, TORC_SIGNATURE_MAX, len), 0);
  assert_int_equal(torc_pki_accept(pki, torc_pki_own_cert(pki)->der, &cert, NULL, 0), 0);
  assert_int_equal(
      torc_pki_verify(cert, torc_pki_signature_algorithm(pki), &part, 1, (torc_slice){sig, *len}),
      0);
  torc_cert_free(cert);
}

static void test_settle(void **state) {
  hp_ca ca;
  uint8_t sig[TORC_SIGNATURE_MAX];
  size_t len = 0;
  (void)state;
  for (uint32_t i = 0; i < 4096; i++) {
    written[i] = i * 7;
  }
  hp_ca_make(&ca, "root", true);
  torc_pki *pki = hp_pki_own(&ca, "ring.example.org", &(hp_spec){.overlay = "ring.example.org"});
  check_identity(sig, &len, pki);
  long before = resident("RssFile:");
  torc_settle();
  long after = resident("RssFile:");
  assert_true(after < before / 2);
  for (uint32_t i = 0; i < 4096; i++) {
    assert_int_equal(written[i], i * 7);
  }
  for (int i = 0; i < 3; i++) {
    check_identity(sig, &len, pki);
    torc_settle();
  }
  torc_pki_free(pki);
  hp_ca_free(&ca);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      TORC_TEST("memory is given back, and nothing is lost with it", test_settle),
  };
  return TORC_RUN(tests);
}
