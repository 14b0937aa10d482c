/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/issuer.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "authority/files.h"
#include "authority/pkcs11.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/x509.h"

#define PEM_MAX 65536
#define DAY_S 86400u

static int load_key_file(const char *path, EVP_PKEY **out, char *err, size_t err_cap) {
  struct stat st;
  uint8_t *pem = NULL;
  size_t len = 0;
  if (stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap, "%s can be read by others; run: chmod 600 %s",
                     path, path);
  }
  int rc = torc_file_read(path, PEM_MAX, &pem, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_ca_key_from_pem(torc_slice_of(pem, len), out);
  if (rc != 0) {
    (void)torc_fail(rc, err, err_cap, "%s holds no private key in PEM", path);
  }
  torc_file_free(pem, len);
  return rc;
}

static int load_cert_file(const char *path, X509 **out, char *err, size_t err_cap) {
  uint8_t *pem = NULL;
  size_t len = 0;
  int rc = torc_file_read(path, PEM_MAX, &pem, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_ca_cert_from_pem(torc_slice_of(pem, len), out);
  if (rc != 0) {
    (void)torc_fail(rc, err, err_cap, "%s holds no certificate in PEM", path);
  }
  torc_file_free(pem, len);
  return rc;
}

int torc_issuer_load(torc_issuer *out, const char *cert_file, const char *key, char *err,
                     size_t err_cap) {
  struct tm end;
  memset(out, 0, sizeof *out);
  int rc = load_cert_file(cert_file, &out->root, err, err_cap);
  if (rc == 0) {
    rc = torc_pkcs11_is_uri(key) ? torc_pkcs11_key(key, &out->key, err, err_cap)
                                 : load_key_file(key, &out->key, err, err_cap);
  }
  if (rc == 0 && X509_check_private_key(out->root, out->key) != 1) {
    ERR_clear_error();
    rc = torc_fail(TORC_ERR_CRYPTO, err, err_cap, "%s and %s do not belong together", key,
                   cert_file);
  }
  if (rc == 0 && ASN1_TIME_to_tm(X509_get0_notAfter(out->root), &end) != 1) {
    rc = torc_fail(TORC_ERR_CRYPTO, err, err_cap, "%s has no readable end of validity", cert_file);
  }
  if (rc != 0) {
    torc_issuer_clear(out);
    return rc;
  }
  time_t t = timegm(&end);
  (void)snprintf(out->name, sizeof out->name, "%s", cert_file);
  out->not_after = t > (time_t)UINT32_MAX ? UINT32_MAX : (torc_wall)t;
  return 0;
}

void torc_issuer_clear(torc_issuer *i) {
  EVP_PKEY_free(i->key);
  X509_free(i->root);
  memset(i, 0, sizeof *i);
}

int torc_issuer_end(const torc_issuer *i, torc_wall now, uint32_t days, torc_wall *out, char *err,
                    size_t err_cap) {
  if (i->not_after <= now) {
    return torc_fail(TORC_ERR_STATE, err, err_cap,
                     "the root certificate has expired; make a new root with init --force");
  }
  uint64_t end = (uint64_t)now + (uint64_t)days * DAY_S;
  *out = end < i->not_after ? (torc_wall)end : i->not_after;
  return 0;
}

int torc_issuer_sign(const torc_issuer *i, const char *overlay, const torc_certificate_entry *e,
                     EVP_PKEY *key, uint8_t **der, size_t *len) {
  const char *users[TORC_CERT_MAX_USERS];
  X509 *cert = NULL;
  for (size_t k = 0; k < e->num_users; k++) {
    users[k] = e->users[k];
  }
  torc_ca_profile profile = {
      .overlay = overlay,
      .subject_key = key,
      .peer = e->peer,
      .users = users,
      .num_users = e->num_users,
      .not_before = e->issued > TORC_CA_BACKDATE_S ? e->issued - TORC_CA_BACKDATE_S : 0,
      .not_after = e->not_after};
  memcpy(profile.serial, e->serial, sizeof profile.serial);
  int rc = torc_ca_issue(i->root, i->key, &profile, &cert);
  if (rc == 0) {
    rc = torc_ca_cert_to_der(cert, der, len);
  }
  X509_free(cert);
  return rc;
}

/* A certificate of a fresh key that nobody keeps. */
static int make_trial(const torc_issuer *i, const char *overlay, torc_wall now, uint8_t **der,
                      size_t *len) {
  torc_certificate_entry e = {.num_users = 1, .issued = now, .not_after = now + DAY_S};
  EVP_PKEY *key = NULL;
  (void)snprintf(e.users[0], sizeof e.users[0], "trial@%.200s", overlay);
  int rc = torc_ca_random_serial(e.serial);
  if (rc == 0) {
    rc = torc_ca_random_peer(&e.peer);
  }
  if (rc == 0) {
    rc = torc_ca_key_new(TORC_CA_ECDSA, &key);
  }
  if (rc == 0) {
    rc = torc_issuer_sign(i, overlay, &e, key, der, len);
  }
  EVP_PKEY_free(key);
  return rc;
}

static int check_one(const torc_issuer *i, const torc_pki *pki, const char *overlay, torc_wall now,
                     char *err, size_t err_cap) {
  uint8_t *der = NULL;
  size_t len = 0;
  torc_cert *cert = NULL;
  char why[300] = "";
  int rc = make_trial(i, overlay, now, &der, &len);
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "the key of %s does not sign: %s", i->name,
                     torc_strerror(rc));
  }
  if (torc_pki_accept(pki, torc_slice_of(der, len), &cert, why, sizeof why) != 0) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "peers would refuse what %s issues (%s): is it a root-cert of the document?",
                   i->name, why);
  }
  torc_cert_free(cert);
  free(der);
  return rc;
}

int torc_issuers_check(const torc_issuer *issuers, size_t num, const torc_overlay *document,
                       torc_wall now, char *err, size_t err_cap) {
  torc_slice roots[TORC_OVERLAY_ROOTS_MAX];
  torc_pki *pki = NULL;
  size_t num_usable = 0;
  for (size_t i = 0; i < document->num_roots; i++) {
    roots[i] = torc_slice_of(document->roots[i].der, document->roots[i].len);
  }
  int rc = torc_pki_new(&pki, document->name, roots, document->num_roots, err, err_cap);
  for (size_t i = 0; rc == 0 && i < num; i++) {
    if (issuers[i].not_after > now) {
      num_usable++;
      rc = check_one(&issuers[i], pki, document->name, now, err, err_cap);
    }
  }
  torc_pki_free(pki);
  if (rc == 0 && num_usable == 0) {
    rc = torc_fail(TORC_ERR_STATE, err, err_cap, "every issuing certificate has expired");
  }
  return rc;
}
