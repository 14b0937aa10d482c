/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/request.h"

#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authority/files.h"
#include "base/id.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/general_name.h"
#include "io/wall.h"
#include "io/x509.h"
#include "torc/crypto.h"
#include "wire/contents.h"

int torc_request_key_kind(const torc_overlay *o, torc_ca_signature *out) {
  uint8_t admitted = o->signature_algorithms;
  if (admitted == 0 || (admitted & 1u << TORC_SIGALG_ECDSA_P256_SHA256) != 0) {
    *out = TORC_CA_ECDSA;
    return 0;
  }
  if ((admitted & 1u << TORC_SIGALG_RSA_SHA256) != 0) {
    *out = TORC_CA_RSA;
    return 0;
  }
  return TORC_ERR_CONFIG;
}

/* ---- the request ---- */

static int add_names(X509_REQ *req, const torc_wish *w, const char *overlay) {
  GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
  STACK_OF(X509_EXTENSION) *list = NULL;
  int rc = names == NULL ? TORC_ERR_NOMEM : 0;
  for (size_t i = 0; rc == 0 && i < w->num_users; i++) {
    rc = torc_general_name_add(names, GEN_EMAIL, w->users[i]);
  }
  if (rc == 0 && w->peer != NULL) {
    char hex[TORC_ID_HEX_LEN + 1];
    char uri[320];
    (void)snprintf(uri, sizeof uri, "reload://%s@%.255s", torc_id_hex(w->peer, hex), overlay);
    rc = torc_general_name_add(names, GEN_URI, uri);
  }
  if (rc == 0 && sk_GENERAL_NAME_num(names) > 0 &&
      (X509V3_add1_i2d(&list, NID_subject_alt_name, names, 0, 0) != 1 ||
       X509_REQ_add_extensions(req, list) != 1)) {
    rc = TORC_ERR_CRYPTO;
  }
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  GENERAL_NAMES_free(names);
  return rc;
}

int torc_request_make(const torc_wish *w, const char *overlay, EVP_PKEY *key, uint8_t **out,
                      size_t *len) {
  X509_REQ *req = X509_REQ_new();
  uint8_t *der = NULL;
  int rc = req == NULL ? TORC_ERR_NOMEM : add_names(req, w, overlay);
  if (rc == 0 && (X509_REQ_set_version(req, 0) != 1 || X509_REQ_set_pubkey(req, key) != 1 ||
                  X509_REQ_sign(req, key, EVP_sha256()) <= 0)) {
    rc = TORC_ERR_CRYPTO;
  }
  int n = rc == 0 ? i2d_X509_REQ(req, &der) : -1;
  if (rc == 0 && n > 0) {
    *out = malloc((size_t)n);
    rc = *out == NULL ? TORC_ERR_NOMEM : 0;
    if (rc == 0) {
      memcpy(*out, der, (size_t)n);
      *len = (size_t)n;
    }
  } else if (rc == 0) {
    rc = TORC_ERR_CRYPTO;
  }
  ERR_clear_error();
  OPENSSL_free(der);
  X509_REQ_free(req);
  return rc;
}

/* ---- the answer ---- */

/* The certificate of `key`; others may be there, a chain for example. Borrowed from `p7`. */
static X509 *find_own(const PKCS7 *p7, const EVP_PKEY *key) {
  if (!PKCS7_type_is_signed(p7) || p7->d.sign == NULL ||
      sk_X509_num(p7->d.sign->cert) > TORC_ANSWER_CERTS_MAX) {
    return NULL;
  }
  for (int i = 0; i < sk_X509_num(p7->d.sign->cert); i++) {
    X509 *x = sk_X509_value(p7->d.sign->cert, i);
    EVP_PKEY *its = X509_get0_pubkey(x);
    if (its != NULL && EVP_PKEY_eq(its, key) == 1) {
      return x;
    }
  }
  return NULL;
}

static bool has_user(const torc_wish *w, const char *user) {
  for (size_t i = 0; i < w->num_users; i++) {
    if (strcmp(w->users[i], user) == 0) {
      return true;
    }
  }
  return false;
}

static int check_dates(const torc_cert *c, torc_wall now, char *err, size_t err_cap) {
  char limit[TORC_WALL_TEXT];
  char clock[TORC_WALL_TEXT];
  if (now < c->not_before) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "the certificate is not valid before %s, but by this machine's clock it is "
                     "%s: set the clock",
                     torc_wall_text(c->not_before, limit), torc_wall_text(now, clock));
  }
  if (now > c->not_after) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "the certificate ended on %s, but by this machine's clock it is %s: set the "
                     "clock, or tell the operator of the overlay",
                     torc_wall_text(c->not_after, limit), torc_wall_text(now, clock));
  }
  return 0;
}

static int check_names(const torc_cert *c, const torc_wish *w, char *err, size_t err_cap) {
  size_t wanted = w->num_users == 0 ? 1 : w->num_users;
  bool is_same = c->num_users == wanted;
  for (size_t i = 0; i < c->num_users && w->num_users > 0; i++) {
    is_same = is_same && has_user(w, c->users[i]);
  }
  if (!is_same) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "the certificate is for other user names (%.100s) than were asked for",
                     c->num_users == 0 ? "none" : c->users[0]);
  }
  if (c->num_peers != 1 || (w->peer != NULL && !torc_id_eq(&c->peers[0], w->peer))) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     w->peer == NULL ? "the certificate has not exactly one peer-id"
                                     : "the certificate is for another peer-id");
  }
  return 0;
}

/* [ENR-34] As a peer would check it. */
static int accept(const torc_overlay *o, torc_slice der, torc_cert **out, char *err,
                  size_t err_cap) {
  torc_slice roots[TORC_OVERLAY_ROOTS_MAX];
  torc_pki *pki = NULL;
  char why[160] = "";
  for (size_t i = 0; i < o->num_roots; i++) {
    roots[i] = torc_slice_of(o->roots[i].der, o->roots[i].len);
  }
  int rc = torc_pki_new(&pki, o->name, roots, o->num_roots, err, err_cap);
  if (rc == 0) {
    torc_pki_admit(pki, o->signature_algorithms);
    rc = torc_pki_accept(pki, der, out, why, sizeof why);
    if (rc != 0) {
      (void)torc_fail(rc, err, err_cap, "the certificate is not one of this overlay: %s", why);
    }
  }
  torc_pki_free(pki);
  return rc;
}

static void fill(torc_granted *out, const torc_cert *c) {
  out->peer = c->peers[0];
  out->num_users = c->num_users;
  for (size_t i = 0; i < c->num_users; i++) {
    (void)snprintf(out->users[i], sizeof out->users[i], "%s", c->users[i]);
  }
  out->not_before = c->not_before;
  out->not_after = c->not_after;
}

static int check_certificate(torc_granted *out, X509 *x, const torc_wish *w,
                             const torc_overlay *overlay, torc_wall now, char *err,
                             size_t err_cap) {
  uint8_t *der = NULL;
  torc_cert *cert = NULL;
  int n = i2d_X509(x, &der);
  int rc = TORC_ERR_CRYPTO;
  if (n > 0) {
    rc = accept(overlay, torc_slice_of(der, (size_t)n), &cert, err, err_cap);
  } else {
    (void)torc_fail(rc, err, err_cap, "the certificate cannot be encoded");
  }
  rc = rc != 0 ? rc : check_dates(cert, now, err, err_cap);
  rc = rc != 0 ? rc : check_names(cert, w, err, err_cap);
  if (rc == 0 && torc_ca_cert_to_pem(x, &out->pem, &out->len) != 0) {
    rc = torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  if (rc == 0) {
    fill(out, cert);
  }
  torc_cert_free(cert);
  OPENSSL_free(der);
  return rc;
}

int torc_answer_check(torc_granted *out, torc_slice cms, const torc_wish *w,
                      const torc_overlay *overlay, const EVP_PKEY *key, torc_wall now, char *err,
                      size_t err_cap) {
  const uint8_t *at = cms.p;
  *out = (torc_granted){.pem = NULL};
  PKCS7 *p7 =
      cms.len == 0 || cms.len > TORC_ANSWER_MAX ? NULL : d2i_PKCS7(NULL, &at, (long)cms.len);
  X509 *own = NULL;
  int rc = 0;
  if (p7 == NULL || at != cms.p + cms.len) {
    rc = torc_fail(TORC_ERR_FORMAT, err, err_cap,
                   "the answer is no certificate in certs-only CMS (RFC 5272)");
  } else {
    own = find_own(p7, key);
    rc = own != NULL ? 0
                     : torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                                 "the answer holds no certificate of the key that was sent");
  }
  rc = rc != 0 ? rc : check_certificate(out, own, w, overlay, now, err, err_cap);
  ERR_clear_error();
  PKCS7_free(p7);
  return rc;
}

void torc_granted_clear(torc_granted *g) {
  torc_file_free(g->pem, g->len);
  *g = (torc_granted){.pem = NULL};
}
