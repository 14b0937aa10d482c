/* SPDX-License-Identifier: Apache-2.0 */
#include "io/helper_pki.h"

#include <ftw.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "torc_test.h"

torc_id hp_id(uint8_t byte) {
  torc_id id;
  memset(id.b, byte == 0 ? 1 : byte, sizeof id.b);
  return id;
}

torc_wall hp_now(void) {
  return (torc_wall)time(NULL);
}

EVP_PKEY *hp_key(hp_key_kind kind) {
  EVP_PKEY *key = NULL;
  switch (kind) {
    case HP_EC:
      key = EVP_EC_gen("P-256");
      break;
    case HP_EC384:
      key = EVP_EC_gen("P-384");
      break;
    case HP_RSA2048:
      key = EVP_RSA_gen(2048);
      break;
    case HP_RSA1024:
      key = EVP_RSA_gen(1024);
      break;
    case HP_ED25519:
      key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
      break;
    case HP_RSA_PSS: {
      EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
      assert_non_null(ctx);
      assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
      assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048), 1);
      assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
      EVP_PKEY_CTX_free(ctx);
      break;
    }
  }
  assert_non_null(key);
  return key;
}

static void set_name(X509 *x, const char *name) {
  X509_NAME *subject = X509_get_subject_name(x);
  assert_int_equal(
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0), 1);
}

static void add_ext(X509 *x, int nid, const char *value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  assert_non_null(e);
  assert_int_equal(X509_add_ext(x, e, -1), 1);
  X509_EXTENSION_free(e);
}

static void set_serial(X509 *x) {
  static long serial = 1000; /* a test is one thread */
  serial++;
  assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), serial), 1);
}

void hp_ca_make(hp_ca *ca, const char *name, bool is_ca) {
  ca->key = hp_key(HP_EC);
  ca->x509 = X509_new();
  assert_non_null(ca->x509);
  X509_set_version(ca->x509, X509_VERSION_3);
  set_serial(ca->x509);
  set_name(ca->x509, name);
  X509_set_issuer_name(ca->x509, X509_get_subject_name(ca->x509));
  X509_gmtime_adj(X509_getm_notBefore(ca->x509), -3600);
  X509_gmtime_adj(X509_getm_notAfter(ca->x509), 10 * 86400);
  X509_set_pubkey(ca->x509, ca->key);
  add_ext(ca->x509, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (is_ca) {
    add_ext(ca->x509, NID_key_usage, "critical,keyCertSign,cRLSign");
  }
  assert_true(X509_sign(ca->x509, ca->key, EVP_sha256()) > 0);
  ca->der = NULL;
  int len = i2d_X509(ca->x509, &ca->der);
  assert_true(len > 0);
  ca->der_len = (size_t)len;
}

void hp_ca_free(hp_ca *ca) {
  EVP_PKEY_free(ca->key);
  X509_free(ca->x509);
  OPENSSL_free(ca->der);
}

torc_slice hp_ca_der(const hp_ca *ca) {
  return (torc_slice){.p = ca->der, .len = ca->der_len};
}

static void add_name(GENERAL_NAMES *names, int type, const char *text, int len) {
  GENERAL_NAME *name = GENERAL_NAME_new();
  ASN1_IA5STRING *s = ASN1_IA5STRING_new();
  assert_int_equal(ASN1_STRING_set(s, text, len), 1);
  GENERAL_NAME_set0_value(name, type, s);
  assert_true(sk_GENERAL_NAME_push(names, name) > 0);
}

static void add_san(X509 *x, const hp_spec *spec) {
  GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
  if (spec->uris[0] == NULL) {
    char uri[400];
    char hex[TORC_ID_HEX_LEN + 1];
    torc_id id = hp_id(spec->id);
    snprintf(uri, sizeof uri, "reload://%s@%s", torc_id_hex(&id, hex), spec->overlay);
    add_name(names, GEN_URI, uri, -1);
  }
  for (size_t i = 0; i < sizeof spec->uris / sizeof spec->uris[0] && spec->uris[i] != NULL; i++) {
    add_name(names, GEN_URI, spec->uris[i], -1);
  }
  if (spec->email != NULL) {
    add_name(names, GEN_EMAIL, spec->email, spec->email_len == 0 ? -1 : spec->email_len);
  }
  assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
  GENERAL_NAMES_free(names);
}

static void add_raw(X509 *x, const char *oid, bool is_critical, const uint8_t *bytes, size_t len) {
  ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
  ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
  assert_int_equal(ASN1_OCTET_STRING_set(value, bytes, (int)len), 1);
  X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, obj, is_critical, value);
  assert_int_equal(X509_add_ext(x, e, -1), 1);
  X509_EXTENSION_free(e);
  ASN1_OCTET_STRING_free(value);
  ASN1_OBJECT_free(obj);
}

X509 *hp_issue(const hp_ca *ca, const hp_spec *spec, EVP_PKEY *key) {
  X509 *x = X509_new();
  bool has_dates = spec->from_s != 0 || spec->to_s != 0;
  assert_non_null(x);
  X509_set_version(x, spec->is_v1 ? X509_VERSION_1 : X509_VERSION_3);
  set_serial(x);
  set_name(x, "peer");
  X509_set_issuer_name(x, X509_get_subject_name(ca->x509));
  X509_gmtime_adj(X509_getm_notBefore(x), has_dates ? spec->from_s : -3600);
  X509_gmtime_adj(X509_getm_notAfter(x), has_dates ? spec->to_s : 86400);
  X509_set_pubkey(x, key);
  if (!spec->has_no_san && !spec->is_v1) {
    add_san(x, spec);
  }
  if (spec->eku != NULL) {
    add_ext(x, NID_ext_key_usage, spec->eku);
  }
  if (spec->key_usage != NULL) {
    add_ext(x, NID_key_usage, spec->key_usage);
  }
  if (spec->basic != NULL) {
    add_ext(x, NID_basic_constraints, spec->basic);
  }
  if (spec->unknown_critical != NULL) {
    uint8_t bytes[256];
    size_t len = torc_unhex(spec->unknown_critical, bytes, sizeof bytes);
    add_raw(x, "1.3.6.1.4.1.55555.1", true, bytes, len);
  }
  if (spec->padding > 0) {
    uint8_t *bytes = calloc(1, spec->padding);
    add_raw(x, "1.3.6.1.4.1.55555.2", false, bytes, spec->padding);
    free(bytes);
  }
  assert_true(X509_sign(x, ca->key, spec->is_sha1 ? EVP_sha1() : EVP_sha256()) > 0);
  return x;
}

torc_slice hp_der(X509 *x) {
  uint8_t *der = NULL;
  int len = i2d_X509(x, &der);
  assert_true(len > 0);
  return (torc_slice){.p = der, .len = (size_t)len};
}

torc_pki *hp_pki(const hp_ca *ca, const char *overlay) {
  torc_pki *p = NULL;
  char err[200] = "";
  torc_slice root = hp_ca_der(ca);
  int rc = torc_pki_new(&p, overlay, &root, 1, err, sizeof err);
  if (rc != 0) {
    fail_msg("torc_pki_new: %s", err);
  }
  return p;
}

void hp_dir_make(char out[256]) {
  const char *base = getenv("TMPDIR");
  snprintf(out, 256, "%s/torc-test-XXXXXX", base == NULL ? "/tmp" : base);
  assert_non_null(mkdtemp(out));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
  (void)st;
  (void)kind;
  (void)ftw;
  return remove(path);
}

void hp_dir_remove(const char *dir) {
  (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void hp_write_file(const char *path, const void *bytes, size_t len, unsigned mode) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, len, f), len);
  assert_int_equal(fclose(f), 0);
  assert_int_equal(chmod(path, (mode_t)mode), 0);
}

static void write_pem(const char *dir, const char *name, X509 *x, EVP_PKEY *key) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s.crt", dir, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(PEM_write_X509(f, x), 1);
  fclose(f);
  snprintf(path, sizeof path, "%s/%s.key", dir, name);
  f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
  fclose(f);
  assert_int_equal(chmod(path, 0600), 0);
}

void hp_write_identity(const char *dir, const char *name, const hp_ca *ca, const hp_spec *spec) {
  EVP_PKEY *key = hp_key(spec->kind);
  X509 *x = hp_issue(ca, spec, key);
  write_pem(dir, name, x, key);
  X509_free(x);
  EVP_PKEY_free(key);
}

torc_pki *hp_pki_own(const hp_ca *ca, const char *overlay, const hp_spec *spec) {
  char dir[256];
  char cert[300];
  char key[300];
  char err[300] = "";
  torc_pki *p = hp_pki(ca, overlay);
  hp_dir_make(dir);
  hp_write_identity(dir, "own", ca, spec);
  snprintf(cert, sizeof cert, "%s/own.crt", dir);
  snprintf(key, sizeof key, "%s/own.key", dir);
  int rc = torc_pki_load_own(p, cert, key, hp_now(), err, sizeof err);
  hp_dir_remove(dir);
  if (rc != 0) {
    fail_msg("torc_pki_load_own: %s", err);
  }
  return p;
}
