/* Certificates, good and hostile; signatures against OpenSSL's own and the command line's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/helper_pki.h"
#include "torc_test.h"
#include "wire/contents.h"

#define OVERLAY "ring.example.org"

typedef struct shared {
  hp_ca ca, other;
  torc_pki *pki;
} shared;

static shared *all; /* made once: keys are slow */

static int set_up(void **state) {
  (void)state;
  all = calloc(1, sizeof *all);
  hp_ca_make(&all->ca, "root", true);
  hp_ca_make(&all->other, "root", true); /* same name, other key */
  all->pki = hp_pki(&all->ca, OVERLAY);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  torc_pki_free(all->pki);
  hp_ca_free(&all->ca);
  hp_ca_free(&all->other);
  free(all);
  return 0;
}

/* Issues and offers; returns the result, *cert on success. */
static int offer(const hp_ca *ca, const hp_spec *spec, torc_cert **cert, char *err,
                 size_t err_cap) {
  EVP_PKEY *key = hp_key(spec->kind);
  X509 *x = hp_issue(ca, spec, key);
  torc_slice der = hp_der(x);
  int rc = torc_pki_accept(all->pki, der, cert, err, err_cap);
  OPENSSL_free((void *)(uintptr_t)der.p);
  X509_free(x);
  EVP_PKEY_free(key);
  assert_int_equal(ERR_peek_error(), 0);
  return rc;
}

/* ---- good ones ---- */

typedef struct good_case {
  hp_spec spec;
  uint8_t id;
  const char *user; /* NULL: none */
} good_case;

static good_case good[] = {
    {{.overlay = OVERLAY, .id = 0xab}, 0xab, NULL},
    {{.overlay = OVERLAY, .kind = HP_RSA2048}, 1, NULL},
    {{.overlay = OVERLAY, .email = "alice@Example.ORG"}, 1, "alice@example.org"},
    {{.uris = {"reload://ABABABABABABABABABABABABABABABAB@" OVERLAY}}, 0xab, NULL},
    {{.uris = {"reload://abababababababababababababababab@RING.example.org."}}, 0xab, NULL},
    {{.uris = {"reload://0110abababababababababababababababab@" OVERLAY}}, 0xab, NULL},
    {{.uris = {"https://example.org/", "reload://abababababababababababababababab@" OVERLAY}},
     0xab,
     NULL},
    {{.overlay = OVERLAY, .eku = "clientAuth,serverAuth"}, 1, NULL},
    {{.overlay = OVERLAY, .key_usage = "critical,digitalSignature", .basic = "CA:FALSE"}, 1, NULL},
    {{.overlay = OVERLAY, .padding = 4000}, 1, NULL},
    {{.overlay = OVERLAY, .from_s = -86400, .to_s = -3600}, 1, NULL},
};

static void test_good(void **state) {
  const good_case *g = *state;
  torc_cert *cert = NULL;
  char err[160] = "";
  int rc = offer(&all->ca, &g->spec, &cert, err, sizeof err);
  if (rc != 0) {
    fail_msg("refused: %s", err);
  }
  torc_id id = hp_id(g->id);
  assert_int_equal(cert->num_peers, 1);
  assert_true(torc_id_eq(&cert->peers[0], &id));
  assert_int_equal(cert->num_users, g->user == NULL ? 0 : 1);
  if (g->user != NULL) {
    assert_string_equal(cert->users[0], g->user);
  }
  assert_true(cert->not_before < cert->not_after);
  torc_cert_free(cert);
}

static void test_several_ids(void **state) {
  (void)state;
  hp_spec spec = {.uris = {"reload://02020202020202020202020202020202@" OVERLAY,
                           "reload://01010101010101010101010101010101@" OVERLAY,
                           "reload://02020202020202020202020202020202@" OVERLAY,
                           "reload://03030303030303030303030303030303@other.example.org"}};
  torc_cert *cert = NULL;
  assert_int_equal(offer(&all->ca, &spec, &cert, NULL, 0), 0);
  torc_id first = hp_id(2);
  torc_id second = hp_id(1);
  assert_int_equal(cert->num_peers, 2);
  assert_true(torc_id_eq(&cert->peers[0], &first));
  assert_true(torc_id_eq(&cert->peers[1], &second));
  torc_cert_free(cert);
}

static void test_dates(void **state) {
  (void)state;
  hp_spec spec = {.overlay = OVERLAY, .from_s = -100, .to_s = 200};
  torc_cert *cert = NULL;
  torc_wall now = hp_now();
  assert_int_equal(offer(&all->ca, &spec, &cert, NULL, 0), 0);
  assert_in_range(cert->not_before, now - 100, now - 98 + 5);
  assert_in_range(cert->not_after, now + 200, now + 200 + 5);
  torc_cert_free(cert);
}

/* ---- refused ones ---- */

typedef struct bad_case {
  hp_spec spec;
  bool is_other_ca;
  const char *why;
} bad_case;

static const char *many_uris[] = {"reload://02020202020202020202020202020202@" OVERLAY};

static bad_case bad[] = {
    {{.overlay = OVERLAY}, true, "not issued by a root certificate of this overlay"},
    {{.overlay = "other.example.org"}, false, "no peer-id of this overlay"},
    {{.has_no_san = true}, false, "no subjectAltName"},
    {{.uris = {"reload://abababababababababababababababa@" OVERLAY}},
     false,
     "no peer-id of this overlay"},
    {{.uris = {"reload://ababababababababababababababababab@" OVERLAY}},
     false,
     "no peer-id of this overlay"},
    {{.uris = {"reload://00000000000000000000000000000000@" OVERLAY}},
     false,
     "no peer-id of this overlay"},
    {{.uris = {"reload://ffffffffffffffffffffffffffffffff@" OVERLAY}},
     false,
     "no peer-id of this overlay"},
    {{.uris = {"reload://abababababababababababababababab"}}, false, "no peer-id of this overlay"},
    {{.uris = {"sip:alice@example.org"}}, false, "no peer-id of this overlay"},
    {{.overlay = OVERLAY, .kind = HP_RSA1024}, false, "RSA key below 2048 bits"},
    {{.overlay = OVERLAY, .kind = HP_EC384}, false, "EC key is not on the named curve P-256"},
    {{.overlay = OVERLAY, .kind = HP_ED25519}, false, "key is neither RSA nor ECDSA P-256"},
    {{.overlay = OVERLAY, .kind = HP_RSA_PSS}, false, "key is neither RSA nor ECDSA P-256"},
    {{.overlay = OVERLAY, .eku = "clientAuth"},
     false,
     "extended key usage is not clientAuth with serverAuth"},
    {{.overlay = OVERLAY, .eku = "codeSigning"},
     false,
     "extended key usage is not clientAuth with serverAuth"},
    {{.overlay = OVERLAY, .key_usage = "keyEncipherment"},
     false,
     "key usage does not allow signatures"},
    {{.overlay = OVERLAY, .basic = "critical,CA:TRUE"},
     false,
     "the certificate of an authority, not of a peer"},
    {{.overlay = OVERLAY, .unknown_critical = "0500"}, false, "unknown critical extension"},
    {{.overlay = OVERLAY, .is_v1 = true}, false, "not an X.509 version 3 certificate"},
    {{.overlay = OVERLAY, .is_sha1 = true}, false, "signed with a weak or unknown algorithm"},
    {{.overlay = OVERLAY, .padding = 9000}, false, "certificate larger than 8192 bytes"},
    {{.overlay = OVERLAY, .email = "al\xc3\xa9@example.org"},
     false,
     "a user name that is not printable ASCII"},
    {{.overlay = OVERLAY, .email = "a\0@example.org", .email_len = 15},
     false,
     "an empty name or one with a NUL"},
    {{.overlay = OVERLAY, .email = "example.org"},
     false,
     "a user name without user or with several hosts"},
    {{.overlay = OVERLAY, .email = "a@b@example.org"},
     false,
     "a user name without user or with several hosts"},
};

static void test_bad(void **state) {
  const bad_case *b = *state;
  torc_cert *cert = NULL;
  char err[160] = "";
  int rc = offer(b->is_other_ca ? &all->other : &all->ca, &b->spec, &cert, err, sizeof err);
  assert_int_equal(rc, TORC_ERR_CRYPTO);
  assert_null(cert);
  assert_string_equal(err, b->why);
}

static void test_many_names(void **state) {
  (void)state;
  hp_spec spec = {0};
  torc_cert *cert = NULL;
  char err[160] = "";
  for (size_t i = 0; i < 65; i++) {
    spec.uris[i] = many_uris[0];
  }
  assert_int_equal(offer(&all->ca, &spec, &cert, err, sizeof err), TORC_ERR_CRYPTO);
  assert_string_equal(err, "too many names");
}

/* Issued by a peer whose certificate is good: no intermediates. */
static void test_intermediate(void **state) {
  (void)state;
  hp_spec spec = {.overlay = OVERLAY};
  hp_ca peer = {.key = hp_key(HP_EC)};
  peer.x509 = hp_issue(&all->ca, &spec, peer.key);
  torc_cert *cert = NULL;
  assert_int_equal(offer(&peer, &spec, &cert, NULL, 0), TORC_ERR_CRYPTO);
  X509_free(peer.x509);
  EVP_PKEY_free(peer.key);
}

static void test_root_itself(void **state) {
  (void)state;
  torc_cert *cert = NULL;
  assert_int_equal(torc_pki_accept(all->pki, hp_ca_der(&all->ca), &cert, NULL, 0), TORC_ERR_CRYPTO);
}

static void test_no_ca(void **state) {
  (void)state;
  hp_ca ca;
  torc_pki *p = NULL;
  char err[160] = "";
  hp_ca_make(&ca, "no ca", false);
  torc_slice root = hp_ca_der(&ca);
  assert_int_equal(torc_pki_new(&p, OVERLAY, &root, 1, err, sizeof err), TORC_ERR_CRYPTO);
  assert_string_equal(err, "root-cert 1 is not the certificate of a certificate authority");
  root = torc_slice_of("abc", 3);
  assert_int_equal(torc_pki_new(&p, OVERLAY, &root, 1, err, sizeof err), TORC_ERR_CRYPTO);
  assert_string_equal(err, "root-cert 1 is not one X.509 certificate in DER");
  hp_ca_free(&ca);
}

static void test_two_roots(void **state) {
  (void)state;
  torc_slice roots[2] = {hp_ca_der(&all->ca), hp_ca_der(&all->other)};
  torc_pki *p = NULL;
  hp_spec spec = {.overlay = OVERLAY};
  EVP_PKEY *key = hp_key(HP_EC);
  X509 *x = hp_issue(&all->other, &spec, key);
  torc_slice der = hp_der(x);
  torc_cert *cert = NULL;
  assert_int_equal(torc_pki_new(&p, OVERLAY, roots, 2, NULL, 0), 0);
  assert_int_equal(torc_pki_accept(p, der, &cert, NULL, 0), 0);
  torc_cert_free(cert);
  torc_pki_free(p);
  OPENSSL_free((void *)(uintptr_t)der.p);
  X509_free(x);
  EVP_PKEY_free(key);
}

/* ---- every byte, every length ---- */

static void test_flips(void **state) {
  hp_spec spec = {.overlay = OVERLAY, .email = "a@example.org", .kind = *(hp_key_kind *)*state};
  EVP_PKEY *key = hp_key(spec.kind);
  X509 *x = hp_issue(&all->ca, &spec, key);
  torc_slice der = hp_der(x);
  uint8_t *copy = malloc(der.len + 1);
  torc_cert *cert = NULL;
  for (size_t i = 0; i < der.len; i++) {
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    for (size_t m = 0; m < sizeof masks; m++) {
      memcpy(copy, der.p, der.len);
      copy[i] = (uint8_t)(copy[i] ^ masks[m]);
      assert_int_equal(torc_pki_accept(all->pki, torc_slice_of(copy, der.len), &cert, NULL, 0),
                       TORC_ERR_CRYPTO);
    }
    assert_int_equal(torc_pki_accept(all->pki, torc_slice_of(der.p, i), &cert, NULL, 0),
                     TORC_ERR_CRYPTO);
  }
  memcpy(copy, der.p, der.len);
  copy[der.len] = 0; /* one byte more */
  assert_int_equal(torc_pki_accept(all->pki, torc_slice_of(copy, der.len + 1), &cert, NULL, 0),
                   TORC_ERR_CRYPTO);
  assert_int_equal(torc_pki_accept(all->pki, der, &cert, NULL, 0), 0);
  torc_cert_free(cert);
  free(copy);
  OPENSSL_free((void *)(uintptr_t)der.p);
  X509_free(x);
  EVP_PKEY_free(key);
}

/* ---- signatures ---- */

static void sign_verify(hp_key_kind kind, uint8_t algorithm) {
  hp_spec spec = {.overlay = OVERLAY, .kind = kind};
  torc_pki *p = hp_pki_own(&all->ca, OVERLAY, &spec);
  const torc_cert *cert = torc_pki_own_cert(p);
  uint8_t sig[TORC_SIGNATURE_MAX];
  size_t len = 0;
  torc_slice parts[3] = {torc_slice_str("one "), torc_slice_of(NULL, 0), torc_slice_str("two")};
  torc_slice whole = torc_slice_str("one two");
  assert_int_equal(torc_pki_signature_algorithm(p), algorithm);
  for (int round = 0; round < 3; round++) { /* the prepared context serves again */
    assert_int_equal(torc_pki_sign(p, NULL, parts, 3, sig, sizeof sig, &len), 0);
    torc_slice s = torc_slice_of(sig, len);
    assert_int_equal(torc_pki_verify(cert, algorithm, &whole, 1, s), 0);
    assert_int_equal(torc_pki_verify(cert, algorithm, parts, 3, s), 0);
    assert_int_equal(torc_pki_verify(cert, algorithm, parts, 1, s), TORC_ERR_CRYPTO);
    assert_int_equal(torc_pki_verify(cert, 0, &whole, 1, s), TORC_ERR_CRYPTO);
    assert_int_equal(torc_pki_verify(cert, TORC_SIGALG_RSA_SHA1, &whole, 1, s), TORC_ERR_CRYPTO);
    assert_int_equal(torc_pki_verify(cert, (uint8_t)(algorithm ^ 1), &whole, 1, s),
                     TORC_ERR_CRYPTO);
    assert_int_equal(torc_pki_verify(cert, 0xff, &whole, 1, s), TORC_ERR_CRYPTO);
    for (size_t i = 0; i < len; i++) {
      sig[i] ^= 0x20;
      assert_int_equal(torc_pki_verify(cert, algorithm, &whole, 1, s), TORC_ERR_CRYPTO);
      assert_int_equal(torc_pki_verify(cert, algorithm, &whole, 1, torc_slice_of(sig, i)),
                       TORC_ERR_CRYPTO);
      sig[i] ^= 0x20;
    }
    assert_int_equal(ERR_peek_error(), 0);
  }
  torc_pki_free(p);
}

static void test_sign_ec(void **state) {
  (void)state;
  sign_verify(HP_EC, TORC_SIGALG_ECDSA_P256_SHA256);
}

static void test_sign_rsa(void **state) {
  (void)state;
  sign_verify(HP_RSA2048, TORC_SIGALG_RSA_SHA256);
}

/* What `openssl dgst -sha256 -sign` makes, we verify; what we sign, `openssl dgst -verify`
 * verifies. */
static void command_line(hp_key_kind kind, uint8_t algorithm) {
  char dir[256];
  char cmd[1200];
  char path[300];
  uint8_t sig[TORC_SIGNATURE_MAX];
  size_t len = 0;
  char err[300] = "";
  hp_spec spec = {.overlay = OVERLAY, .kind = kind};
  torc_slice message = torc_slice_str("signed by another program");
  hp_dir_make(dir);
  hp_write_identity(dir, "own", &all->ca, &spec);
  snprintf(path, sizeof path, "%s/message", dir);
  hp_write_file(path, message.p, message.len, 0600);
  snprintf(cmd, sizeof cmd,
           "cd %s && openssl x509 -in own.crt -pubkey -noout > own.pub && "
           "openssl dgst -sha256 -sign own.key -out theirs message",
           dir);
  assert_int_equal(system(cmd), 0);
  snprintf(path, sizeof path, "%s/theirs", dir);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  len = fread(sig, 1, sizeof sig, f);
  fclose(f);

  torc_pki *p = hp_pki(&all->ca, OVERLAY);
  char cert[300];
  char key[300];
  snprintf(cert, sizeof cert, "%s/own.crt", dir);
  snprintf(key, sizeof key, "%s/own.key", dir);
  assert_int_equal(torc_pki_load_own(p, cert, key, hp_now(), err, sizeof err), 0);
  assert_int_equal(
      torc_pki_verify(torc_pki_own_cert(p), algorithm, &message, 1, torc_slice_of(sig, len)), 0);

  assert_int_equal(torc_pki_sign(p, NULL, &message, 1, sig, sizeof sig, &len), 0);
  snprintf(path, sizeof path, "%s/ours", dir);
  hp_write_file(path, sig, len, 0600);
  snprintf(cmd, sizeof cmd,
           "cd %s && openssl dgst -sha256 -verify own.pub -signature ours message > /dev/null",
           dir);
  assert_int_equal(system(cmd), 0);
  torc_pki_free(p);
  hp_dir_remove(dir);
}

static void test_command_line_ec(void **state) {
  (void)state;
  command_line(HP_EC, TORC_SIGALG_ECDSA_P256_SHA256);
}

static void test_command_line_rsa(void **state) {
  (void)state;
  command_line(HP_RSA2048, TORC_SIGALG_RSA_SHA256);
}

static void test_rsa_padding(void **state) {
  (void)state;
  hp_spec spec = {.overlay = OVERLAY, .kind = HP_RSA2048};
  torc_pki *p = hp_pki_own(&all->ca, OVERLAY, &spec);
  torc_slice message = torc_slice_str("padded otherwise");
  uint8_t sig[TORC_SIGNATURE_MAX];
  size_t len = sizeof sig;
  EVP_MD_CTX *md = EVP_MD_CTX_new();
  EVP_PKEY_CTX *op = NULL;
  assert_int_equal(EVP_DigestSignInit(md, &op, EVP_sha256(), NULL, torc_pki_own_key(p)), 1);
  assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(op, RSA_PKCS1_PSS_PADDING), 1);
  assert_int_equal(EVP_DigestSign(md, sig, &len, message.p, message.len), 1);
  EVP_MD_CTX_free(md);
  assert_int_equal(torc_pki_verify(torc_pki_own_cert(p), TORC_SIGALG_RSA_SHA256, &message, 1,
                                   torc_slice_of(sig, len)),
                   TORC_ERR_CRYPTO);
  torc_pki_free(p);
}

/* A certificate outlives the pki that accepted it. */
static void test_outlives(void **state) {
  (void)state;
  hp_spec spec = {.overlay = OVERLAY};
  torc_pki *p = hp_pki_own(&all->ca, OVERLAY, &spec);
  torc_slice message = torc_slice_str("m");
  uint8_t sig[TORC_SIGNATURE_MAX];
  size_t len = 0;
  assert_int_equal(torc_pki_sign(p, NULL, &message, 1, sig, sizeof sig, &len), 0);
  torc_cert *cert = torc_cert_retain(torc_pki_own_cert(p));
  torc_pki_free(p);
  assert_int_equal(
      torc_pki_verify(cert, TORC_SIGALG_ECDSA_P256_SHA256, &message, 1, torc_slice_of(sig, len)),
      0);
  torc_cert_free(cert);
}

/* ---- the digest, against a published vector ---- */

static void test_digest(void **state) {
  (void)state;
  uint8_t want[TORC_DIGEST_LEN];
  uint8_t got[TORC_DIGEST_LEN];
  const torc_crypto *c = torc_pki_crypto(all->pki);
  torc_slice parts[2] = {torc_slice_str("a"), torc_slice_str("bc")};
  torc_unhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want, sizeof want);
  assert_int_equal(c->sha256(c->ctx, parts, 2, got), 0);
  assert_memory_equal(got, want, sizeof want);
}

/* ---- files ---- */

typedef struct file_case {
  const char *cert, *key;
  const char *want; /* %s: the directory */
} file_case;

static file_case files[] = {
    {"good.crt", "none.key", "cannot read the private key %s/none.key: No such file or directory"},
    {"none.crt", "good.key", "cannot read the certificate %s/none.crt: No such file or directory"},
    {"good.key", "good.key", "%s/good.key holds no certificate in PEM"},
    {"good.crt", "open.key", "the private key %s/open.key is accessible to others: run chmod 600 "},
    {"good.crt", "other.key", "the private key %s/other.key does not belong to the certificate"},
    {"good.crt", "good.crt", "the private key %s/good.crt is accessible to others: run chmod 600 "},
    {"good.crt", "locked.key", "%s/locked.key holds no private key in PEM without a passphrase"},
    {"expired.crt", "expired.key", "the certificate %s/expired.crt has expired on "},
    {"early.crt", "early.key", "the certificate %s/early.crt is not valid before "},
    {"foreign.crt", "foreign.key",
     "the certificate %s/foreign.crt is not usable in this overlay: not issued by a root "
     "certificate of this overlay"},
    {"small.crt", "small.key",
     "the certificate %s/small.crt is not usable in this overlay: RSA key below 2048 bits"},
};

static void make_files(const char *dir) {
  char path[300];
  hp_spec spec = {.overlay = OVERLAY};
  hp_write_identity(dir, "good", &all->ca, &spec);
  hp_write_identity(dir, "other", &all->ca, &spec);
  hp_write_identity(dir, "open", &all->ca, &spec);
  hp_write_identity(dir, "foreign", &all->other, &spec);
  snprintf(path, sizeof path, "%s/open.key", dir);
  assert_int_equal(chmod(path, 0640), 0);
  hp_spec expired = {.overlay = OVERLAY, .from_s = -7200, .to_s = -3600};
  hp_write_identity(dir, "expired", &all->ca, &expired);
  hp_spec early = {.overlay = OVERLAY, .from_s = 3600, .to_s = 7200};
  hp_write_identity(dir, "early", &all->ca, &early);
  hp_spec small = {.overlay = OVERLAY, .kind = HP_RSA1024};
  hp_write_identity(dir, "small", &all->ca, &small);
  snprintf(path, sizeof path, "%s/locked.key", dir);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  EVP_PKEY *key = hp_key(HP_EC);
  assert_int_equal(
      PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(), (const uint8_t *)"secret", 6, NULL, NULL), 1);
  EVP_PKEY_free(key);
  fclose(f);
  assert_int_equal(chmod(path, 0600), 0);
}

static void test_files(void **state) {
  (void)state;
  char dir[256];
  hp_dir_make(dir);
  make_files(dir);
  for (size_t i = 0; i < TORC_ARRAY_LEN(files); i++) {
    char cert[300];
    char key[300];
    char err[600] = "";
    char want[600];
    torc_pki *p = hp_pki(&all->ca, OVERLAY);
    snprintf(cert, sizeof cert, "%s/%s", dir, files[i].cert);
    snprintf(key, sizeof key, "%s/%s", dir, files[i].key);
    assert_int_not_equal(torc_pki_load_own(p, cert, key, hp_now(), err, sizeof err), 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(want, sizeof want, files[i].want, dir);
#pragma GCC diagnostic pop
    assert_memory_equal(err, want, strlen(want));
    torc_pki_free(p);
  }
  hp_dir_remove(dir);
}

/* ---- renewal ---- */

static int renew(torc_pki *p, const char *dir, const char *cert_name, const char *key_name) {
  char cert[300];
  char key[300];
  char err[600] = "";
  snprintf(cert, sizeof cert, "%s/%s.crt", dir, cert_name);
  snprintf(key, sizeof key, "%s/%s.key", dir, key_name);
  return torc_pki_renew_own(p, cert, key, hp_now(), err, sizeof err);
}

/* Signs for the holder of `own`; whether the signature fits this certificate. */
static int sign_for(torc_pki *p, const torc_cert *own, const torc_cert *checked) {
  const torc_slice message = torc_slice_str("message");
  uint8_t sig[TORC_SIGNATURE_MAX];
  size_t len = 0;
  int rc = torc_pki_sign(p, own, &message, 1, sig, sizeof sig, &len);
  return rc != 0 ? rc
                 : torc_pki_verify(checked, torc_pki_signature_algorithm(p), &message, 1,
                                   torc_slice_of(sig, len));
}

static void test_renewal(void **state) {
  (void)state;
  char dir[256];
  hp_spec spec = {.overlay = OVERLAY};
  hp_spec stranger = {.overlay = OVERLAY, .id = 7};
  hp_dir_make(dir);
  hp_write_identity(dir, "first", &all->ca, &spec);
  hp_write_identity(dir, "second", &all->ca, &spec);
  hp_write_identity(dir, "third", &all->ca, &spec);
  hp_write_identity(dir, "stranger", &all->ca, &stranger);
  torc_pki *p = hp_pki(&all->ca, OVERLAY);
  torc_cert *certs[3];
  static const char *const names[] = {"first", "second", "third"};
  char path[300];
  char key[300];
  char err[600] = "";
  snprintf(path, sizeof path, "%s/first.crt", dir);
  snprintf(key, sizeof key, "%s/first.key", dir);
  assert_int_equal(torc_pki_load_own(p, path, key, hp_now(), err, sizeof err), 0);
  certs[0] = torc_cert_retain(torc_pki_own_cert(p));
  assert_int_equal(renew(p, dir, "stranger", "stranger"), TORC_ERR_CONFIG);
  assert_int_equal(renew(p, dir, "second", "first"), TORC_ERR_CONFIG);
  assert_int_equal(renew(p, dir, "nothing", "first"), TORC_ERR_IO);
  assert_int_equal(renew(p, dir, "first", "first"), 0); /* the same */
  assert_ptr_equal(torc_pki_own_cert(p), certs[0]);
  for (size_t i = 1; i < 3; i++) {
    assert_int_equal(renew(p, dir, names[i], names[i]), 0);
    certs[i] = torc_cert_retain(torc_pki_own_cert(p));
    assert_ptr_not_equal(certs[i], certs[i - 1]);
    assert_int_equal(sign_for(p, NULL, certs[i]), 0);
    assert_int_equal(sign_for(p, certs[i], certs[i]), 0);
    assert_int_equal(sign_for(p, certs[i - 1], certs[i - 1]), 0); /* what is under way */
    assert_int_equal(sign_for(p, certs[i - 1], certs[i]), TORC_ERR_CRYPTO);
  }
  assert_int_equal(sign_for(p, certs[0], certs[0]), TORC_ERR_STATE); /* its key is gone */
  for (size_t i = 0; i < 3; i++) {
    torc_cert_free(certs[i]);
  }
  torc_pki_free(p);
  hp_dir_remove(dir);
}

#define GOOD(i, name) TORC_CASE(name, test_good, &good[i])
#define BAD(i, name) TORC_CASE(name, test_bad, &bad[i])

static hp_key_kind flip_ec = HP_EC;
static hp_key_kind flip_rsa = HP_RSA2048;

int main(void) {
  const struct CMUnitTest tests[] = {
      GOOD(0, "GAP-134 ENR-34 SEC-04 an ECDSA certificate of the overlay is accepted"),
      GOOD(1, "D-10 GAP-51 an RSA-2048 certificate is accepted"),
      GOOD(2, "GAP-134 GAP-108 a user name keeps its user part and lower-cases its host"),
      GOOD(3, "R-38 upper-case hex in the URI is read"),
      GOOD(4, "R-38 GAP-134 case and trailing dot of the overlay name do not matter"),
      GOOD(5, "GAP-134 a destination header before the id is tolerated"),
      GOOD(6, "GAP-134 a URI of another kind beside the peer-id is passed over"),
      GOOD(7, "R-38 clientAuth with serverAuth is accepted"),
      GOOD(8, "R-38 key usage with digitalSignature is accepted"),
      GOOD(9, "R-38 an unknown extension that is not critical is passed over"),
      GOOD(10, "GAP-135 an expired certificate is read: who asks compares the dates"),
      TORC_TEST("GAP-136 R-09 several peer-ids are kept in order, each once", test_several_ids),
      TORC_TEST("GAP-135 dates are seconds since 1970", test_dates),
      BAD(0, "SEC-04 ENR-34 TLS-06 another authority of the same name is refused"),
      BAD(1, "GAP-134 R-38 a certificate of another overlay is refused"),
      BAD(2, "GAP-134 a certificate without URI is refused"),
      BAD(3, "GAP-134 a peer-id of 31 digits is none"),
      BAD(4, "GAP-134 a peer-id of 34 digits is none"),
      BAD(5, "ARC-16 GAP-134 peer-id 0 is none"),
      BAD(6, "ARC-16 GAP-134 the wildcard is no peer-id"),
      BAD(7, "GAP-134 a peer-id without overlay is none"),
      BAD(8, "GAP-134 another scheme is none"),
      BAD(9, "GAP-51 D-10 RSA below 2048 bits is refused"),
      BAD(10, "D-10 GAP-51 another curve is refused"),
      BAD(11, "D-10 GAP-51 another kind of key is refused"),
      BAD(12, "GAP-51 an RSA-PSS key is refused"),
      BAD(13, "R-38 clientAuth alone is refused"),
      BAD(14, "R-38 another extended key usage is refused"),
      BAD(15, "R-38 a key that may not sign is refused"),
      BAD(16, "R-38 the certificate of an authority is no peer's"),
      BAD(17, "R-38 an unknown critical extension is refused"),
      BAD(18, "GAP-134 version 1 is refused"),
      BAD(19, "SIG-03 GAP-51 an issuer's SHA-1 signature is refused"),
      BAD(20, "GAP-134 a certificate above 8 KiB is not parsed"),
      BAD(21, "R-38 a user name beyond ASCII is refused"),
      BAD(22, "R-38 GAP-108 a user name with a NUL is refused"),
      BAD(23, "GAP-134 a user name without host is refused"),
      BAD(24, "GAP-134 a user name with two hosts is refused"),
      TORC_TEST("GAP-134 more than 64 names are refused", test_many_names),
      TORC_TEST("R-38 no intermediates: a peer cannot issue", test_intermediate),
      TORC_TEST("R-38 the root certificate is no peer's", test_root_itself),
      TORC_TEST("ENR-19 a root-cert must be an authority's", test_no_ca),
      TORC_TEST("ENR-19 R-38 every root-cert issues", test_two_roots),
      TORC_CASE(
          "GAP-134 SEC-17 every flipped byte and every length of an ECDSA certificate is refused",
          test_flips, &flip_ec),
      TORC_CASE(
          "GAP-134 SEC-17 every flipped byte and every length of an RSA certificate is refused",
          test_flips, &flip_rsa),
      TORC_TEST("SIG-03 D-10 ECDSA signs and verifies, nothing else verifies", test_sign_ec),
      TORC_TEST("SIG-03 D-10 GAP-51 RSA-SHA-256 signs and verifies, RSA-SHA1 and other codes never",
                test_sign_rsa),
      TORC_TEST("SIG-03 D-10 ECDSA agrees with the openssl command", test_command_line_ec),
      TORC_TEST("SIG-03 GAP-51 RSA agrees with the openssl command", test_command_line_rsa),
      TORC_TEST("GAP-51 RSA is PKCS#1 v1.5: a PSS signature is invalid", test_rsa_padding),
      TORC_TEST("GAP-135 a certificate outlives its pki", test_outlives),
      TORC_TEST("D-11 SHA-256 over parts", test_digest),
      TORC_TEST("ENR-38 the own certificate and key are replaced while signatures are under way",
                test_renewal),
      TORC_TEST("GAP-135 SEC-01 own files: each fault with its reason", test_files),
  };
  return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
