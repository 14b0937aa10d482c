/* Keys that issue. SPDX-License-Identifier: Apache-2.0 */
#include "authority/issuer.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authority/files.h"
#include "authority/helper_dir.h"
#include "base/slice.h"

#define NOW 1700000000u
#define DAY 86400u

/* A root with its key in dir/NAME.crt, dir/NAME.key, valid until NOW + days. */
static void make_root(const char *dir, const char *name, uint32_t days) {
  char err[200] = "";
  char file[64];
  EVP_PKEY *key = NULL;
  X509 *root = NULL;
  uint8_t *pem = NULL;
  size_t len = 0;
  assert_int_equal(torc_ca_key_new(TORC_CA_ECDSA, &key), 0);
  assert_int_equal(torc_ca_root_new(key, NOW - DAY, NOW + days * DAY, &root), 0);
  assert_int_equal(torc_ca_key_to_pem(key, &pem, &len), 0);
  (void)snprintf(file, sizeof file, "%s.key", name);
  assert_int_equal(
      torc_file_write(test_path(dir, file), torc_slice_of(pem, len), 0600, true, err, sizeof err),
      0);
  torc_file_free(pem, len);
  assert_int_equal(torc_ca_cert_to_pem(root, &pem, &len), 0);
  (void)snprintf(file, sizeof file, "%s.crt", name);
  assert_int_equal(
      torc_file_write(test_path(dir, file), torc_slice_of(pem, len), 0644, true, err, sizeof err),
      0);
  torc_file_free(pem, len);
  X509_free(root);
  EVP_PKEY_free(key);
}

static int load(torc_issuer *out, const char *dir, const char *cert, const char *key, char *err,
                size_t cap) {
  char key_file[512];
  (void)snprintf(key_file, sizeof key_file, "%s", test_path(dir, key));
  return torc_issuer_load(out, test_path(dir, cert), key_file, err, cap);
}

static void keys_must_fit_and_be_private(void **state) {
  char err[400] = "";
  torc_issuer i;
  make_root(*state, "a", 100);
  make_root(*state, "b", 100);
  assert_int_equal(load(&i, *state, "a.crt", "a.key", err, sizeof err), 0);
  assert_int_equal(i.not_after, NOW + 100 * DAY);
  torc_issuer_clear(&i);
  assert_int_equal(load(&i, *state, "a.crt", "b.key", err, sizeof err), TORC_ERR_CRYPTO);
  assert_non_null(strstr(err, "do not belong together"));
  assert_int_equal(chmod(test_path(*state, "a.key"), 0640), 0);
  assert_int_equal(load(&i, *state, "a.crt", "a.key", err, sizeof err), TORC_ERR_DENIED);
  assert_non_null(strstr(err, "chmod 600"));
  assert_int_equal(load(&i, *state, "none.crt", "b.key", err, sizeof err), TORC_ERR_NOTFOUND);
  test_write(test_path(*state, "junk"), "junk");
  assert_int_equal(load(&i, *state, "junk", "b.key", err, sizeof err), TORC_ERR_CRYPTO);
}

static void nothing_outlives_its_issuer(void **state) {
  char err[400] = "";
  torc_issuer i;
  torc_wall end = 0;
  make_root(*state, "a", 100);
  assert_int_equal(load(&i, *state, "a.crt", "a.key", err, sizeof err), 0);
  assert_int_equal(torc_issuer_end(&i, NOW, 30, &end, err, sizeof err), 0);
  assert_int_equal(end, NOW + 30 * DAY);
  assert_int_equal(torc_issuer_end(&i, NOW, 101, &end, err, sizeof err), 0);
  assert_int_equal(end, NOW + 100 * DAY);
  assert_int_equal(torc_issuer_end(&i, NOW + 100 * DAY, 1, &end, err, sizeof err), TORC_ERR_STATE);
  assert_non_null(strstr(err, "expired"));
  torc_issuer_clear(&i);
}

/* The document of `num` roots, the first of them `from`. */
static void fill_document(torc_overlay *o, const torc_issuer *issuers, size_t num) {
  memset(o, 0, sizeof *o);
  (void)snprintf(o->name, sizeof o->name, "ring.example.org");
  for (size_t i = 0; i < num; i++) {
    assert_int_equal(torc_ca_cert_to_der(issuers[i].root, &o->roots[i].der, &o->roots[i].len), 0);
  }
  o->num_roots = num;
}

static void each_issuer_must_be_a_root_of_the_document(void **state) {
  char err[600] = "";
  torc_issuer i[3];
  torc_overlay o;
  make_root(*state, "a", 100);
  make_root(*state, "b", 100);
  make_root(*state, "old", 1);
  assert_int_equal(load(&i[0], *state, "a.crt", "a.key", err, sizeof err), 0);
  assert_int_equal(load(&i[1], *state, "b.crt", "b.key", err, sizeof err), 0);
  assert_int_equal(load(&i[2], *state, "old.crt", "old.key", err, sizeof err), 0);
  fill_document(&o, i, 2);
  assert_int_equal(torc_issuers_check(i, 2, &o, NOW, err, sizeof err), 0);
  assert_int_equal(torc_issuers_check(i, 3, &o, NOW, err, sizeof err), TORC_ERR_CONFIG);
  assert_non_null(strstr(err, "old.crt"));
  assert_int_equal(torc_issuers_check(i, 3, &o, NOW + 2 * DAY, err, sizeof err), 0);
  assert_int_equal(torc_issuers_check(&i[2], 1, &o, NOW + 2 * DAY, err, sizeof err),
                   TORC_ERR_STATE);
  assert_non_null(strstr(err, "every issuing certificate has expired"));
  torc_overlay_clear(&o);
  for (size_t k = 0; k < 3; k++) {
    torc_issuer_clear(&i[k]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_DIR_TEST("D-17 key and certificate belong together, the key is private",
                    keys_must_fit_and_be_private),
      TORC_DIR_TEST("ENR-35 nothing outlives its issuer", nothing_outlives_its_issuer),
      TORC_DIR_TEST("R-38 ENR-34 BGAP-04 each issuer is a root of the document",
                    each_issuer_must_be_a_root_of_the_document),
  };
  return TORC_RUN(tests);
}
