/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/csr.h"

#include <openssl/err.h>
#include <openssl/pem.h>
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

int torc_csr_key_hash(EVP_PKEY *key, char out[2 * TORC_SHA256_LEN + 1]) {
  uint8_t *der = NULL;
  size_t len = 0;
  uint8_t digest[TORC_SHA256_LEN];
  int rc = torc_ca_public_key(key, &der, &len);
  if (rc == 0 && EVP_Digest(der, len, digest, NULL, EVP_sha256(), NULL) != 1) {
    rc = TORC_ERR_CRYPTO;
  }
  if (rc == 0) {
    torc_registry_hex(digest, sizeof digest, out);
  }
  free(der);
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

/* ContentInfo { signedData, [0] SignedData { 1, {}, { data }, [0] the certificate, {} } }: every
 * byte but the certificate and the lengths is fixed. OpenSSL's PKCS7 would read the certificate
 * first, which takes longer than a signature. */
static const uint8_t signed_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                      0xf7, 0x0d, 0x01, 0x07, 0x02};
static const uint8_t before_certificate[] = {0x02, 0x01, 0x01, 0x31, 0x00, 0x30, 0x0b, 0x06, 0x09,
                                             0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01};
static const uint8_t no_signers[] = {0x31, 0x00};

static void put_bytes(uint8_t **at, const uint8_t *bytes, size_t len) {
  memcpy(*at, bytes, len);
  *at += len;
}

static bool is_one_sequence(torc_slice der) {
  const uint8_t *at = der.p;
  long len = 0;
  int tag = 0;
  int class = 0;
  if (der.len > TORC_CSR_MAX) {
    return false;
  }
  int kind = ASN1_get_object(&at, &len, &tag, &class, (long)der.len);
  ERR_clear_error();
  return kind == V_ASN1_CONSTRUCTED && tag == V_ASN1_SEQUENCE && at + len == der.p + der.len;
}

int torc_csr_answer(torc_slice der, uint8_t **out, size_t *len) {
  if (!is_one_sequence(der)) {
    return TORC_ERR_CRYPTO;
  }
  int certs = ASN1_object_size(1, (int)der.len, 0);
  int inner = (int)sizeof before_certificate + certs + (int)sizeof no_signers;
  int content = ASN1_object_size(1, inner, V_ASN1_SEQUENCE);
  int outer = (int)sizeof signed_data + ASN1_object_size(1, content, 0);
  int whole = ASN1_object_size(1, outer, V_ASN1_SEQUENCE);
  uint8_t *bytes = malloc((size_t)whole);
  if (bytes == NULL) {
    return TORC_ERR_NOMEM;
  }
  uint8_t *at = bytes;
  ASN1_put_object(&at, 1, outer, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
  put_bytes(&at, signed_data, sizeof signed_data);
  ASN1_put_object(&at, 1, content, 0, V_ASN1_CONTEXT_SPECIFIC);
  ASN1_put_object(&at, 1, inner, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
  put_bytes(&at, before_certificate, sizeof before_certificate);
  ASN1_put_object(&at, 1, (int)der.len, 0, V_ASN1_CONTEXT_SPECIFIC);
  put_bytes(&at, der.p, der.len);
  put_bytes(&at, no_signers, sizeof no_signers);
  *out = bytes;
  *len = (size_t)whole;
  return 0;
}
