/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/csr.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/registry_impl.h"
#include "base/id.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/x509.h"

#define URI_SCHEME "reload://" /* [GAP-134] */
#define DER_SEQUENCE 0x30

/* ---- the three forms ---- */

static X509_REQ *from_der(const uint8_t *p, size_t len) {
  const uint8_t *at = p;
  X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)len);
  if (req != NULL && at != p + len) { /* something behind it */
    X509_REQ_free(req);
    req = NULL;
  }
  return req;
}

static X509_REQ *from_pem(torc_slice text) {
  BIO *bio = BIO_new_mem_buf(text.p, (int)text.len);
  X509_REQ *req =
      bio == NULL ? NULL : PEM_read_bio_X509_REQ(bio, NULL, torc_ca_no_passphrase, NULL);
  BIO_free(bio);
  return req;
}

static X509_REQ *from_base64(torc_slice text) {
  uint8_t der[TORC_CSR_MAX];
  EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
  int len = 0;
  int rest = 0;
  X509_REQ *req = NULL;
  if (ctx == NULL) {
    return NULL;
  }
  EVP_DecodeInit(ctx);
  if (EVP_DecodeUpdate(ctx, der, &len, text.p, (int)text.len) >= 0 &&
      EVP_DecodeFinal(ctx, der + len, &rest) == 1 && len + rest > 0) {
    req = from_der(der, (size_t)len + (size_t)rest);
  }
  EVP_ENCODE_CTX_free(ctx);
  return req;
}

static X509_REQ *read_request(torc_slice bytes) {
  if (bytes.len == 0 || bytes.len > TORC_CSR_MAX) {
    return NULL;
  }
  if (bytes.p[0] == DER_SEQUENCE) {
    return from_der(bytes.p, bytes.len);
  }
  static const char begin[] = "-----BEGIN";
  if (memmem(bytes.p, bytes.len, begin, sizeof begin - 1) != NULL) {
    return from_pem(bytes);
  }
  return from_base64(bytes);
}

/* ---- what it asks for ---- */

static int add_user(torc_csr *c, const char *text, size_t len, char *err, size_t err_cap) {
  char typed[TORC_USER_MAX + 2];
  if (c->num_users == TORC_CERT_MAX_USERS) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap, "a certificate has at most %d user names",
                     TORC_CERT_MAX_USERS);
  }
  if (len > TORC_USER_MAX || memchr(text, '\0', len) != NULL) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap, "a user name in it is no user name");
  }
  memcpy(typed, text, len);
  typed[len] = '\0';
  char *name = c->users[c->num_users];
  if (torc_ca_user_name(typed, name, sizeof c->users[0]) != 0) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "a user name in it is no user name; one looks like alice@example.org");
  }
  for (size_t i = 0; i < c->num_users; i++) {
    if (strcmp(c->users[i], name) == 0) {
      return torc_fail(TORC_ERR_DENIED, err, err_cap, "it names %s twice", name);
    }
  }
  c->num_users++;
  return 0;
}

/* [GAP-134]: "reload://" 32 hex digits "@" overlay. */
static int add_peer(torc_csr *c, const char *text, size_t len, const char *overlay, char *err,
                    size_t err_cap) {
  size_t scheme = strlen(URI_SCHEME);
  size_t name = strlen(overlay);
  bool is_ours = !c->has_peer && len == scheme + TORC_ID_HEX_LEN + 1 + name &&
                 memcmp(text, URI_SCHEME, scheme) == 0 && text[scheme + TORC_ID_HEX_LEN] == '@' &&
                 strncasecmp(text + scheme + TORC_ID_HEX_LEN + 1, overlay, name) == 0 &&
                 torc_id_parse(text + scheme, TORC_ID_HEX_LEN, &c->peer) == 0 &&
                 torc_id_is_peer(&c->peer);
  if (!is_ours) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap, "a URI in it is not one %sPEER-ID@%s",
                     URI_SCHEME, overlay);
  }
  c->has_peer = true;
  return 0;
}

static int read_names(torc_csr *c, const X509_EXTENSION *ext, const char *overlay, char *err,
                      size_t err_cap) {
  GENERAL_NAMES *names = X509V3_EXT_d2i((X509_EXTENSION *)(uintptr_t)ext);
  if (names == NULL) {
    return torc_fail(TORC_ERR_FORMAT, err, err_cap, "its subjectAltName cannot be read");
  }
  int rc = 0;
  for (int i = 0; rc == 0 && i < sk_GENERAL_NAME_num(names); i++) {
    int kind = 0;
    const ASN1_IA5STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind);
    if (kind == GEN_EMAIL) {
      rc = add_user(c, (const char *)ASN1_STRING_get0_data(value),
                    (size_t)ASN1_STRING_length(value), err, err_cap);
    } else if (kind == GEN_URI) {
      rc = add_peer(c, (const char *)ASN1_STRING_get0_data(value),
                    (size_t)ASN1_STRING_length(value), overlay, err, err_cap);
    } else {
      rc = torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "its subjectAltName holds something else than user names (email)");
    }
  }
  GENERAL_NAMES_free(names);
  return rc;
}

/* The requester decides nothing but the names it asks for: a request for CA rights or for another
 * key usage is not quietly cut down, it is refused. */
static int read_extensions(torc_csr *c, X509_REQ *req, const char *overlay, char *err,
                           size_t err_cap) {
  STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(req);
  bool has_names = false;
  int rc = 0;
  for (int i = 0; rc == 0 && i < sk_X509_EXTENSION_num(list); i++) {
    X509_EXTENSION *ext = sk_X509_EXTENSION_value(list, i);
    int nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));
    if (nid == NID_subject_alt_name && !has_names) {
      has_names = true;
      rc = read_names(c, ext, overlay, err, err_cap);
    } else {
      char name[80] = "";
      (void)OBJ_obj2txt(name, sizeof name, X509_EXTENSION_get_object(ext), 0);
      rc = torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "it asks for the extension %s; only one subjectAltName is allowed", name);
    }
  }
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  return rc;
}

static int check_key(const X509_REQ *req, EVP_PKEY *key, char *err, size_t err_cap) {
  const char *fault = torc_pki_key_fault(key); /* [D-10] [GAP-51] */
  if (fault != NULL) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "%s; peers take P-256, or RSA with 2048 to 4096 bits", fault);
  }
  if (X509_REQ_verify((X509_REQ *)(uintptr_t)req, key) != 1) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "its own signature does not hold: it must be signed with the key in it");
  }
  return 0;
}

int torc_csr_key_hash(const EVP_PKEY *key, char out[2 * TORC_SHA256_LEN + 1]) {
  uint8_t *der = NULL;
  uint8_t digest[TORC_SHA256_LEN];
  int len = i2d_PUBKEY(key, &der);
  int rc = TORC_ERR_CRYPTO;
  if (len > 0 && EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1) {
    torc_registry_hex(digest, sizeof digest, out);
    rc = 0;
  }
  OPENSSL_free(der);
  return rc;
}

int torc_csr_read(torc_slice bytes, const char *overlay, torc_csr *out, char *err, size_t err_cap) {
  memset(out, 0, sizeof *out);
  X509_REQ *req = read_request(bytes);
  if (req == NULL) {
    ERR_clear_error();
    return torc_fail(TORC_ERR_FORMAT, err, err_cap,
                     "it is no PKCS#10 certificate request in DER or PEM");
  }
  EVP_PKEY *key = X509_REQ_get_pubkey(req);
  int rc = key == NULL ? torc_fail(TORC_ERR_CRYPTO, err, err_cap, "the key in it is unknown")
                       : check_key(req, key, err, err_cap);
  if (rc == 0) {
    rc = read_extensions(out, req, overlay, err, err_cap);
  }
  if (rc == 0 && torc_csr_key_hash(key, out->key_hash) != 0) {
    rc = torc_fail(TORC_ERR_CRYPTO, err, err_cap, "the key in it cannot be hashed");
  }
  if (rc == 0) {
    out->key = key;
    key = NULL;
  }
  ERR_clear_error();
  EVP_PKEY_free(key);
  X509_REQ_free(req);
  return rc;
}

void torc_csr_clear(torc_csr *c) {
  EVP_PKEY_free(c->key);
  c->key = NULL;
}

/* ---- the answer ---- */

static int fill_pkcs7(PKCS7 *p7, X509 *cert) {
  if (PKCS7_set_type(p7, NID_pkcs7_signed) != 1 || PKCS7_content_new(p7, NID_pkcs7_data) != 1 ||
      PKCS7_set_detached(p7, 1) != 1 || PKCS7_add_certificate(p7, cert) != 1) {
    return TORC_ERR_CRYPTO;
  }
  return 0;
}

int torc_csr_answer(torc_slice der, uint8_t **out, size_t *len) {
  const uint8_t *at = der.p;
  X509 *cert = d2i_X509(NULL, &at, (long)der.len);
  PKCS7 *p7 = PKCS7_new();
  uint8_t *bytes = NULL;
  int n = -1;
  int rc = TORC_ERR_CRYPTO;
  if (cert != NULL && p7 != NULL && fill_pkcs7(p7, cert) == 0) {
    n = i2d_PKCS7(p7, &bytes);
  }
  if (n > 0) {
    uint8_t *copy = malloc((size_t)n);
    rc = copy == NULL ? TORC_ERR_NOMEM : 0;
    if (copy != NULL) {
      memcpy(copy, bytes, (size_t)n);
      *out = copy;
      *len = (size_t)n;
    }
  }
  ERR_clear_error();
  OPENSSL_free(bytes);
  PKCS7_free(p7);
  X509_free(cert);
  return rc;
}
