/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/show.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "authority/ca.h"
#include "authority/document.h"
#include "authority/files.h"
#include "base/slice.h"

static void put(json_t *object, const char *name, json_t *value) {
  (void)json_object_set_new(object, name, value);
}

/* Text that may be no UTF-8: each byte that is not printable ASCII becomes '?'. */
static json_t *safe_text(const unsigned char *bytes, int len) {
  char text[1024];
  size_t n = len < 0 ? 0 : (size_t)len;
  if (n >= sizeof text) {
    n = sizeof text - 1;
  }
  for (size_t i = 0; i < n; i++) {
    text[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
  }
  return json_stringn(text, n);
}

static json_t *hex_text(const unsigned char *bytes, int len) {
  char text[129];
  int n = len < 0 ? 0 : len > 64 ? 64 : len;
  for (int i = 0; i < n; i++) {
    (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
  }
  return json_stringn(text, (size_t)n * 2);
}

static json_t *date_text(const ASN1_TIME *when) {
  struct tm tm;
  char text[32];
  if (ASN1_TIME_to_tm(when, &tm) != 1 ||
      strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
    return json_string("?");
  }
  return json_string(text);
}

static json_t *name_text(const X509_NAME *name) {
  BIO *bio = BIO_new(BIO_s_mem());
  json_t *out = NULL;
  char *data = NULL;
  if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
    long n = BIO_get_mem_data(bio, &data);
    out = safe_text((const unsigned char *)data, n > 1000 ? 1000 : (int)n);
  }
  BIO_free(bio);
  return out == NULL ? json_string("?") : out;
}

/* [GAP-134]: the parts of "reload://" hex "@" overlay. */
static void add_uri(json_t *object, json_t *peers, const unsigned char *bytes, int len) {
  static const char scheme[] = "reload://";
  size_t head = sizeof scheme - 1;
  size_t n = len < 0 ? 0 : (size_t)len;
  const unsigned char *at = n == 0 ? NULL : memchr(bytes, '@', n);
  if (n < head || memcmp(bytes, scheme, head) != 0 || at == NULL) {
    return;
  }
  size_t hex = (size_t)(at - bytes);
  (void)json_array_append_new(peers, safe_text(bytes + head, (int)(hex - head)));
  put(object, "overlay", safe_text(at + 1, (int)(n - hex - 1)));
}

static void add_subject_names(json_t *object, X509 *cert) {
  json_t *peers = json_array();
  json_t *users = json_array();
  GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
  for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_EMAIL) {
      (void)json_array_append_new(
          users, safe_text(ASN1_STRING_get0_data(name->d.ia5), ASN1_STRING_length(name->d.ia5)));
    } else if (name->type == GEN_URI) {
      add_uri(object, peers, ASN1_STRING_get0_data(name->d.ia5), ASN1_STRING_length(name->d.ia5));
    }
  }
  GENERAL_NAMES_free(names);
  put(object, "peers", peers);
  put(object, "users", users);
}

static json_t *key_text(X509 *cert) {
  EVP_PKEY *key = X509_get0_pubkey(cert);
  char text[64];
  if (key == NULL) {
    return json_string("unreadable");
  }
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
    (void)snprintf(text, sizeof text, "RSA %d bits", EVP_PKEY_get_bits(key));
  } else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
    (void)snprintf(text, sizeof text, "ECDSA %d bits", EVP_PKEY_get_bits(key));
  } else {
    (void)snprintf(text, sizeof text, "%s", OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
  }
  return json_string(text);
}

static json_t *describe_certificate(X509 *cert) {
  json_t *object = json_object();
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned digest_len = 0;
  const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
  put(object, "kind", json_string("certificate"));
  put(object, "is_root", json_boolean(X509_check_ca(cert) != 0));
  add_subject_names(object, cert);
  put(object, "subject", name_text(X509_get_subject_name(cert)));
  put(object, "issuer", name_text(X509_get_issuer_name(cert)));
  put(object, "serial", hex_text(ASN1_STRING_get0_data(serial), ASN1_STRING_length(serial)));
  put(object, "not_before", date_text(X509_get0_notBefore(cert)));
  put(object, "not_after", date_text(X509_get0_notAfter(cert)));
  put(object, "is_valid_now",
      json_boolean(X509_cmp_current_time(X509_get0_notBefore(cert)) < 0 &&
                   X509_cmp_current_time(X509_get0_notAfter(cert)) > 0));
  put(object, "key", key_text(cert));
  put(object, "signature", json_string(OBJ_nid2sn(X509_get_signature_nid(cert))));
  if (X509_digest(cert, EVP_sha256(), digest, &digest_len) == 1) {
    put(object, "sha256", hex_text(digest, (int)digest_len));
  }
  ERR_clear_error();
  return object;
}

static json_t *describe_types(const torc_overlay *o) {
  json_t *types = json_array();
  for (size_t i = 0; i < o->num_types; i++) {
    const torc_type_def *t = &o->types[i];
    char id[16];
    const char *model = torc_document_model_name(t->model);
    const char *rule = torc_document_rule_name(t->rule);
    (void)snprintf(id, sizeof id, "0x%06X", (unsigned)t->id);
    (void)json_array_append_new(
        types, json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:b}", "id", id, "name", t->name,
                         "model", model == NULL ? "?" : model, "access", rule == NULL ? "?" : rule,
                         "max_count", (int)t->max_values, "max_size", (int)t->max_size,
                         "max_lifetime", (int)t->max_lifetime_s, "find", t->findable ? 1 : 0));
  }
  return types;
}

static json_t *describe_roots(const torc_overlay *o) {
  json_t *roots = json_array();
  for (size_t i = 0; i < o->num_roots; i++) {
    const unsigned char *p = o->roots[i].der;
    X509 *cert = d2i_X509(NULL, &p, (long)o->roots[i].len);
    if (cert != NULL) {
      (void)json_array_append_new(roots, describe_certificate(cert));
    }
    X509_free(cert);
  }
  return roots;
}

static json_t *endpoints(const torc_endpoint *list, size_t num) {
  json_t *array = json_array();
  for (size_t i = 0; i < num; i++) {
    (void)json_array_append_new(
        array, json_pack("{s:s, s:i}", "address", list[i].host, "port", (int)list[i].port));
  }
  return array;
}

static json_t *describe_overlay(const torc_overlay *o) {
  json_t *object = json_object();
  json_t *bootstrap = endpoints(o->bootstrap, o->num_bootstrap);
  json_t *multicast = endpoints(o->multicast, o->num_multicast);
  put(object, "kind", json_string("overlay"));
  put(object, "name", json_string(o->name));
  put(object, "algorithm", json_string(o->algorithm));
  put(object, "sequence", json_integer((json_int_t)o->sequence));
  put(object, "signed", json_boolean(o->signer != TORC_OVERLAY_NO_SIGNER));
  if (o->source[0] != '\0') {
    put(object, "source", json_string(o->source));
  }
  put(object, "expiration_s", json_integer(o->expiration_s));
  put(object, "bootstrap_peers", bootstrap);
  put(object, "multicast_bootstrap", multicast);
  put(object, "update_period_s", json_integer((json_int_t)(o->update_period / TORC_SEC(1))));
  put(object, "ping_period_s", json_integer((json_int_t)(o->ping_period / TORC_SEC(1))));
  put(object, "types", describe_types(o));
  put(object, "roots", describe_roots(o));
  return object;
}

/* A certificate in PEM or DER; NULL if it is neither. */
static X509 *read_certificate(torc_slice data) {
  X509 *cert = NULL;
  if (torc_ca_cert_from_pem(data, &cert) == 0) {
    return cert;
  }
  const unsigned char *p = data.p;
  cert = data.len > INT32_MAX ? NULL : d2i_X509(NULL, &p, (long)data.len);
  ERR_clear_error();
  return cert;
}

static bool looks_like_xml(const uint8_t *data) {
  const char *text = (const char *)data;
  text += strspn(text, " \t\r\n");
  return *text == '<' || memcmp(data, "\xef\xbb\xbf", 3) == 0;
}

int torc_show_file(const char *path, json_t **out, char *err, size_t err_cap) {
  uint8_t *data = NULL;
  size_t len = 0;
  int rc = torc_file_read(path, TORC_OVERLAY_XML_MAX, &data, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  X509 *cert = read_certificate(torc_slice_of(data, len));
  if (cert != NULL) {
    *out = describe_certificate(cert);
  } else if (len > 3 && looks_like_xml(data)) {
    torc_overlay overlay = {.name = ""};
    rc = torc_overlay_parse(&overlay, (const char *)data, len, NULL, err, err_cap);
    if (rc == 0) {
      *out = describe_overlay(&overlay);
    }
    torc_overlay_clear(&overlay);
  } else {
    (void)snprintf(err, err_cap, "%s is neither a certificate (PEM, DER) nor an overlay document",
                   path);
    rc = TORC_ERR_FORMAT;
  }
  X509_free(cert);
  torc_file_free(data, len);
  return rc;
}

static void print_scalar(const json_t *value, FILE *to) {
  if (json_is_string(value)) {
    (void)fputs(json_string_value(value), to);
  } else if (json_is_boolean(value)) {
    (void)fputs(json_is_true(value) ? "yes" : "no", to);
  } else if (json_is_integer(value)) {
    (void)fprintf(to, "%lld", (long long)json_integer_value(value));
  }
}

/* An object of a list on one line: its scalars with their names. */
static void print_inline(const json_t *object, FILE *to) {
  const char *name = NULL;
  json_t *value = NULL;
  const char *between = "";
  if (!json_is_object(object)) {
    print_scalar(object, to);
    return;
  }
  json_object_foreach((json_t *)object, name, value) {
    if (json_is_array(value) || json_is_object(value)) {
      continue;
    }
    (void)fprintf(to, "%s%s=", between, name);
    print_scalar(value, to);
    between = " ";
  }
}

void torc_show_print(const json_t *object, FILE *to) {
  const char *name = NULL;
  json_t *value = NULL;
  json_object_foreach((json_t *)object, name, value) {
    (void)fprintf(to, "%-16s ", name);
    if (!json_is_array(value)) {
      print_scalar(value, to);
      (void)fputc('\n', to);
      continue;
    }
    if (json_array_size(value) == 0) {
      (void)fputs("none\n", to);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
      if (i > 0) {
        (void)fprintf(to, "%-16s ", "");
      }
      print_inline(json_array_get(value, i), to);
      (void)fputc('\n', to);
    }
  }
}
