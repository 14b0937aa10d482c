/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/ca.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/general_name.h"
#include "io/x509.h"

#define OVERLAY_NAME_MAX 200
#define P256_POINT_LEN 65 /* uncompressed */

int torc_ca_key_new(torc_ca_signature kind, EVP_PKEY **out) {
  EVP_PKEY *key = NULL;
  if (kind == TORC_CA_RSA) {
    key = EVP_RSA_gen(TORC_CA_RSA_BITS);
  } else {
    key = EVP_EC_gen("P-256");
  }
  if (key == NULL) {
    return TORC_ERR_CRYPTO;
  }
  *out = key;
  return 0;
}

int torc_ca_random_serial(uint8_t out[TORC_CA_SERIAL_LEN]) {
  if (RAND_bytes(out, TORC_CA_SERIAL_LEN) != 1) {
    return TORC_ERR_CRYPTO;
  }
  out[0] &= 0x7f;
  out[0] |= 0x40; /* never shorter than 16 bytes, never zero */
  return 0;
}

int torc_ca_random_peer(torc_id *out) {
  /* [ENR-32] [ENR-33] "Credentials": from the cryptographic generator, chosen here and by nobody
   * who asks. [SEC-05] */
  do {
    if (RAND_bytes(out->b, TORC_ID_LEN) != 1) {
      return TORC_ERR_CRYPTO;
    }
  } while (!torc_id_is_peer(out));
  return 0;
}

static int set_serial(X509 *cert, const uint8_t serial[TORC_CA_SERIAL_LEN]) {
  BIGNUM *bn = BN_bin2bn(serial, TORC_CA_SERIAL_LEN, NULL);
  int rc = TORC_ERR_CRYPTO;
  if (bn != NULL && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL) {
    rc = 0;
  }
  BN_free(bn);
  return rc;
}

static int set_dates(X509 *cert, torc_wall not_before, torc_wall not_after) {
  bool ok = ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)not_before) != NULL &&
            ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)not_after) != NULL;
  return ok ? 0 : TORC_ERR_CRYPTO;
}

static int set_common_name(X509_NAME *name, const char *text) {
  const unsigned char *bytes = (const unsigned char *)text;
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, bytes, -1, -1, 0) == 1
             ? 0
             : TORC_ERR_CRYPTO;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *text) {
  X509V3_CTX ctx;
  X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
  X509V3_set_ctx_nodb(&ctx);
  X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, text);
  int rc = TORC_ERR_CRYPTO;
  if (ext != NULL && X509_add_ext(cert, ext, -1) == 1) {
    rc = 0;
  }
  X509_EXTENSION_free(ext);
  return rc;
}

/* From OpenSSL's memory into the C library's, with a NUL behind. */
static int copy_bytes(const void *data, long n, uint8_t **out, size_t *len) {
  if (n <= 0) {
    return TORC_ERR_CRYPTO;
  }
  uint8_t *copy = malloc((size_t)n + 1);
  if (copy == NULL) {
    return TORC_ERR_NOMEM;
  }
  memcpy(copy, data, (size_t)n);
  copy[n] = 0;
  *out = copy;
  *len = (size_t)n;
  return 0;
}

/* The uncompressed point of a P-256 key. False: it is another kind of key. */
static bool read_point(const EVP_PKEY *key, uint8_t out[P256_POINT_LEN]) {
  char group[32] = "";
  size_t len = 0;
  bool ok = EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
            OBJ_txt2nid(group) == NID_X9_62_prime256v1 &&
            EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out, P256_POINT_LEN,
                                            &len) == 1 &&
            len == P256_POINT_LEN && out[0] == POINT_CONVERSION_UNCOMPRESSED;
  ERR_clear_error();
  return ok;
}

/* X509_PUBKEY_set encodes a key and reads it back, which takes several times as long as a
 * signature; of a P-256 key everything is known. False: it is another kind of key. */
static bool put_point(X509_PUBKEY *pub, const EVP_PKEY *key) {
  uint8_t point[P256_POINT_LEN];
  if (!read_point(key, point)) {
    return false;
  }
  uint8_t *copy = OPENSSL_memdup(point, sizeof point);
  bool ok = copy != NULL &&
            X509_PUBKEY_set0_param(pub, OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
                                   OBJ_nid2obj(NID_X9_62_prime256v1), copy, sizeof point) == 1;
  if (!ok) {
    OPENSSL_free(copy);
  }
  return ok;
}

int torc_ca_public_key(EVP_PKEY *key, uint8_t **out, size_t *len) {
  X509_PUBKEY *pub = X509_PUBKEY_new();
  uint8_t *der = NULL;
  int rc = TORC_ERR_CRYPTO;
  if (pub != NULL && (put_point(pub, key) || X509_PUBKEY_set(&pub, key) == 1)) {
    int n = i2d_X509_PUBKEY(pub, &der);
    rc = copy_bytes(der, n, out, len);
  }
  OPENSSL_free(der);
  X509_PUBKEY_free(pub);
  return rc;
}

/* A certificate with what root and end certificates share. */
static int begin_certificate(const uint8_t serial[TORC_CA_SERIAL_LEN], torc_wall not_before,
                             torc_wall not_after, X509 **out) {
  X509 *cert = X509_new();
  if (cert == NULL) {
    return TORC_ERR_NOMEM;
  }
  int rc = X509_set_version(cert, X509_VERSION_3) == 1 ? 0 : TORC_ERR_CRYPTO;
  if (rc == 0) {
    rc = set_serial(cert, serial);
  }
  if (rc == 0) {
    rc = set_dates(cert, not_before, not_after);
  }
  if (rc != 0) {
    X509_free(cert);
    return rc;
  }
  *out = cert;
  return 0;
}

/* Two authorities of one overlay name still have different names: part of the key's digest is in
 * it. */
static int name_root(X509 *cert) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  char text[64];
  if (X509_pubkey_digest(cert, EVP_sha256(), digest, &len) != 1 || len < 8) {
    return TORC_ERR_CRYPTO;
  }
  (void)snprintf(text, sizeof text, "Torc authority %02x%02x%02x%02x%02x%02x%02x%02x", digest[0],
                 digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]);
  int rc = set_common_name(X509_get_subject_name(cert), text);
  if (rc == 0 && X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1) {
    rc = TORC_ERR_CRYPTO;
  }
  return rc;
}

int torc_ca_root_new(EVP_PKEY *key, torc_wall not_before, torc_wall not_after, X509 **out) {
  uint8_t serial[TORC_CA_SERIAL_LEN];
  X509 *cert = NULL;
  int rc = torc_ca_random_serial(serial);
  if (rc == 0) {
    rc = begin_certificate(serial, not_before, not_after, &cert);
  }
  if (rc == 0 && X509_set_pubkey(cert, key) != 1) {
    rc = TORC_ERR_CRYPTO;
  }
  if (rc == 0) {
    rc = name_root(cert);
  }
  /* [R-38]: no intermediates, so the path length is 0. */
  static const struct {
    int nid;
    const char *text;
  } extensions[] = {
      {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
      {NID_key_usage, "critical,keyCertSign,cRLSign"},
      {NID_subject_key_identifier, "hash"},
  };
  for (size_t i = 0; rc == 0 && i < TORC_ARRAY_LEN(extensions); i++) {
    rc = add_extension(cert, cert, extensions[i].nid, extensions[i].text);
  }
  if (rc == 0 && X509_sign(cert, key, EVP_sha256()) <= 0) {
    rc = TORC_ERR_CRYPTO;
  }
  if (rc == 0) {
    *out = cert;
    cert = NULL;
  }
  X509_free(cert);
  return rc;
}

/* [GAP-134]: user names as rfc822Name, the peer-id as "reload://" hex "@" overlay name. [R-09]:
 * exactly one peer-id. Built by hand, not from text: a name with a comma must not become two. */
static int add_names(X509 *cert, const torc_ca_profile *profile) {
  char hex[TORC_ID_HEX_LEN + 1];
  char uri[OVERLAY_NAME_MAX + 64];
  GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
  if (names == NULL) {
    return TORC_ERR_NOMEM;
  }
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < profile->num_users; i++) {
    rc = torc_general_name_add(names, GEN_EMAIL, profile->users[i]);
  }
  if (rc == 0) {
    (void)snprintf(uri, sizeof uri, "reload://%s@%s", torc_id_hex(&profile->peer, hex),
                   profile->overlay);
    rc = torc_general_name_add(names, GEN_URI, uri);
  }
  if (rc == 0 && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1) {
    rc = TORC_ERR_CRYPTO;
  }
  GENERAL_NAMES_free(names);
  return rc;
}

static int finish_issue(X509 *cert, X509 *root, EVP_PKEY *root_key,
                        const torc_ca_profile *profile) {
  char hex[TORC_ID_HEX_LEN + 1];
  static const struct {
    int nid;
    const char *text;
  } extensions[] = {
      {NID_basic_constraints, "critical,CA:FALSE"}, {NID_key_usage, "critical,digitalSignature"},
      {NID_ext_key_usage, "clientAuth,serverAuth"}, /* [R-38] */
      {NID_subject_key_identifier, "hash"},         {NID_authority_key_identifier, "keyid"},
  };
  int rc = set_common_name(X509_get_subject_name(cert), torc_id_hex(&profile->peer, hex));
  if (rc == 0 && X509_set_issuer_name(cert, X509_get_subject_name(root)) != 1) {
    rc = TORC_ERR_CRYPTO;
  }
  for (size_t i = 0; rc == 0 && i < TORC_ARRAY_LEN(extensions); i++) {
    rc = add_extension(cert, root, extensions[i].nid, extensions[i].text);
  }
  if (rc == 0) {
    rc = add_names(cert, profile);
  }
  if (rc == 0 && X509_sign(cert, root_key, EVP_sha256()) <= 0) {
    rc = TORC_ERR_CRYPTO;
  }
  return rc;
}

int torc_ca_issue(X509 *root, EVP_PKEY *root_key, const torc_ca_profile *profile, X509 **out) {
  X509 *cert = NULL;
  if (!torc_ca_overlay_name_ok(profile->overlay) || !torc_id_is_peer(&profile->peer) ||
      profile->num_users > TORC_CERT_MAX_USERS) {
    return TORC_ERR_INVALID;
  }
  /* [ENR-35]: public key, user names, peer-id, serial number, end of validity. */
  int rc = begin_certificate(profile->serial, profile->not_before, profile->not_after, &cert);
  if (rc == 0 && !put_point(X509_get_X509_PUBKEY(cert), profile->subject_key) &&
      X509_set_pubkey(cert, profile->subject_key) != 1) {
    rc = TORC_ERR_CRYPTO;
  }
  if (rc == 0) {
    rc = finish_issue(cert, root, root_key, profile);
  }
  if (rc == 0) {
    *out = cert;
    cert = NULL;
  }
  X509_free(cert);
  return rc;
}

int torc_ca_no_passphrase(char *buf, int size, int is_writing, void *arg) {
  (void)buf;
  (void)size;
  (void)is_writing;
  (void)arg;
  return -1;
}

static BIO *reading(torc_slice bytes) {
  return bytes.len > INT32_MAX ? NULL : BIO_new_mem_buf(bytes.p, (int)bytes.len);
}

int torc_ca_request_key(torc_slice pem, EVP_PKEY **out, char *err, size_t err_cap) {
  BIO *bio = reading(pem);
  X509_REQ *req =
      bio == NULL ? NULL : PEM_read_bio_X509_REQ(bio, NULL, torc_ca_no_passphrase, NULL);
  EVP_PKEY *key = req == NULL ? NULL : X509_REQ_get_pubkey(req);
  const char *fault = key == NULL ? NULL : torc_pki_key_fault(key); /* [D-10] [GAP-51] */
  int rc = TORC_ERR_CRYPTO;
  if (req == NULL || key == NULL) {
    (void)snprintf(err, err_cap, "it is no PKCS#10 request in PEM (BEGIN CERTIFICATE REQUEST)");
  } else if (fault != NULL) {
    (void)snprintf(err, err_cap, "%s; peers take P-256, or RSA with 2048 to 4096 bits", fault);
  } else if (X509_REQ_verify(req, key) != 1) {
    (void)snprintf(err, err_cap, "its own signature does not hold");
  } else {
    rc = 0;
    *out = key;
    key = NULL;
  }
  ERR_clear_error();
  EVP_PKEY_free(key);
  X509_REQ_free(req);
  BIO_free(bio);
  return rc;
}

/* Moves what a memory BIO holds into memory of the C library. */
static int take_bytes(BIO *bio, uint8_t **out, size_t *len) {
  char *data = NULL;
  long n = BIO_get_mem_data(bio, &data);
  return copy_bytes(data, n, out, len);
}

int torc_ca_key_to_pem(EVP_PKEY *key, uint8_t **out, size_t *len) {
  BIO *bio = BIO_new(BIO_s_secmem());
  int rc = TORC_ERR_CRYPTO;
  if (bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
    rc = take_bytes(bio, out, len);
  }
  BIO_free(bio);
  return rc;
}

int torc_ca_cert_to_pem(X509 *cert, uint8_t **out, size_t *len) {
  BIO *bio = BIO_new(BIO_s_mem());
  int rc = TORC_ERR_CRYPTO;
  if (bio != NULL && PEM_write_bio_X509(bio, cert) == 1) {
    rc = take_bytes(bio, out, len);
  }
  BIO_free(bio);
  return rc;
}

int torc_ca_cert_to_der(X509 *cert, uint8_t **out, size_t *len) {
  BIO *bio = BIO_new(BIO_s_mem());
  int rc = TORC_ERR_CRYPTO;
  if (bio != NULL && i2d_X509_bio(bio, cert) == 1) {
    rc = take_bytes(bio, out, len);
  }
  BIO_free(bio);
  return rc;
}

int torc_ca_key_from_pem(torc_slice pem, EVP_PKEY **out) {
  BIO *bio = reading(pem);
  EVP_PKEY *key =
      bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, torc_ca_no_passphrase, NULL);
  BIO_free(bio);
  ERR_clear_error();
  if (key == NULL) {
    return TORC_ERR_CRYPTO;
  }
  *out = key;
  return 0;
}

int torc_ca_cert_from_pem(torc_slice pem, X509 **out) {
  BIO *bio = reading(pem);
  X509 *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, torc_ca_no_passphrase, NULL);
  BIO_free(bio);
  ERR_clear_error();
  if (cert == NULL) {
    return TORC_ERR_CRYPTO;
  }
  *out = cert;
  return 0;
}

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int torc_ca_user_name(const char *name, char *out, size_t cap) {
  const char *at = strchr(name, '@');
  size_t len = strlen(name);
  if (at == NULL || at == name || strchr(at + 1, '@') != NULL || len > TORC_USER_MAX) {
    return TORC_ERR_FORMAT;
  }
  if (name[len - 1] == '.') {
    len--; /* [GAP-108]: one final dot of the host means nothing */
  }
  if (len + 1 > cap) {
    return TORC_ERR_SPACE;
  }
  size_t host = (size_t)(at - name) + 1;
  if (len <= host) {
    return TORC_ERR_FORMAT;
  }
  for (size_t i = 0; i < len; i++) {
    if (name[i] <= ' ' || name[i] >= 0x7f) { /* also negative: not ASCII [R-38] */
      return TORC_ERR_FORMAT;
    }
    out[i] = i < host ? name[i] : lower(name[i]);
  }
  out[len] = '\0';
  return 0;
}

bool torc_ca_overlay_name_ok(const char *name) {
  size_t len = strlen(name);
  if (len == 0 || len > OVERLAY_NAME_MAX) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    char c = lower(name[i]);
    bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (!is_word && c != '-' && c != '.' && c != '_') {
      return false;
    }
  }
  return true;
}
