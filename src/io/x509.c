/* Which certificates an overlay believes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/x509.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/x509_internal.h"

#define PEER_URI_SCHEME "reload://" /* [GAP-134] */
#define PEER_URI_DESTINATION \
  "0110" /* [GAP-134] destination header of a node, tolerated before the id */
#define SIGNATURE_SECURITY_BITS 112 /* of the CA's signature: SHA-256 and better */

typedef struct cert_object { /* a torc_cert and what it points to, one allocation */
  torc_cert cert;
  const char *users[TORC_CERT_MAX_USERS];
  torc_id peers[TORC_CERT_MAX_PEERS];
  uint8_t bytes[]; /* DER, then the user names */
} cert_object;

typedef struct cert_names { /* as they are found in a certificate */
  size_t num_peers, num_users;
  torc_id peers[TORC_CERT_MAX_PEERS];
  char users[TORC_CERT_MAX_USERS][TORC_USER_MAX + 1];
} cert_names;

static char lower(char c) {
  return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* Lower-case, one trailing dot removed. */
static int normalise_name(const char *in, size_t len, char *out, size_t cap) {
  if (len > 0 && in[len - 1] == '.') {
    len--;
  }
  if (len == 0 || len >= cap) {
    return TORC_ERR_LIMIT;
  }
  for (size_t i = 0; i < len; i++) {
    out[i] = lower(in[i]);
  }
  out[len] = '\0';
  return 0;
}

/* ---- pki ---- */

static torc_pki_shared *shared_new(void) {
  torc_pki_shared *s = calloc(1, sizeof *s);
  if (s == NULL) {
    return NULL;
  }
  s->refs = 1;
  (void)pthread_mutex_init(&s->seen_lock, NULL); /* cannot fail with Linux' default kind */
  s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
  s->md = EVP_MD_CTX_new();
  if (s->sha256 == NULL || s->md == NULL) {
    torc_pki_shared_release(s);
    return NULL;
  }
  return s;
}

/* One DER certificate and nothing after it. */
static X509 *parse_der(torc_slice der) {
  if (der.len == 0 || der.len > TORC_CERT_MAX_BYTES) {
    return NULL;
  }
  const unsigned char *p = der.p;
  X509 *x = d2i_X509(NULL, &p, (long)der.len);
  if (x != NULL && p != der.p + der.len) {
    X509_free(x);
    x = NULL;
  }
  if (x == NULL) {
    ERR_clear_error();
  }
  return x;
}

static int add_root(torc_pki *p, torc_slice der, size_t number, char *err, size_t err_cap) {
  X509 *x = parse_der(der);
  if (x == NULL) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "root-cert %zu is not one X.509 certificate in DER", number);
  }
  EVP_PKEY *key = X509_get_pubkey(x);
  /* [ENR-19] a root-cert is a trust anchor that signs the overlay's certificates. */
  if (key == NULL || X509_check_ca(x) != 1) {
    ERR_clear_error();
    X509_free(x);
    EVP_PKEY_free(key);
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "root-cert %zu is not the certificate of a certificate authority", number);
  }
  p->roots[p->num_roots] = x;
  p->root_keys[p->num_roots] = key;
  __atomic_store_n(&p->num_roots, p->num_roots + 1, __ATOMIC_RELEASE);
  return 0;
}

int torc_pki_add_root(torc_pki *p, torc_slice der, char *err, size_t err_cap) {
  X509 *x = parse_der(der);
  bool is_there = false;
  for (size_t i = 0; x != NULL && i < p->num_roots; i++) {
    is_there = is_there || X509_cmp(p->roots[i], x) == 0;
  }
  X509_free(x);
  if (is_there) {
    return 0;
  }
  if (p->num_roots == TORC_PKI_ROOTS_MAX) {
    return torc_fail(TORC_ERR_LIMIT, err, err_cap, "there are %d root certificates already",
                     TORC_PKI_ROOTS_MAX);
  }
  return add_root(p, der, p->num_roots + 1, err, err_cap);
}

/* [D-19] while an overlay moves to another, certificates of either are good in both. */
static bool is_ours(const torc_pki *p, const char *name) {
  size_t num = __atomic_load_n(&p->num_more, __ATOMIC_ACQUIRE);
  for (size_t i = 0; i < num; i++) {
    if (strcmp(name, p->more_names[i]) == 0) {
      return true;
    }
  }
  return strcmp(name, p->overlay_name) == 0;
}

int torc_pki_add_name(torc_pki *p, const char *overlay_name, char *err, size_t err_cap) {
  char name[256];
  if (normalise_name(overlay_name, strlen(overlay_name), name, sizeof name) != 0) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap, "the overlay name is empty or too long");
  }
  if (is_ours(p, name)) {
    return 0;
  }
  if (p->num_more == TORC_PKI_NAMES_MORE) {
    return torc_fail(TORC_ERR_LIMIT, err, err_cap,
                     "this peer accepts certificates of %u other overlays already: restart it",
                     TORC_PKI_NAMES_MORE);
  }
  memcpy(p->more_names[p->num_more], name, sizeof name);
  __atomic_store_n(&p->num_more, p->num_more + 1, __ATOMIC_RELEASE);
  return 0;
}

void torc_pki_admit(torc_pki *p, uint8_t algorithms) {
  __atomic_store_n(&p->admitted, algorithms, __ATOMIC_RELAXED);
}

int torc_pki_new(torc_pki **out, const char *overlay_name, const torc_slice *roots,
                 size_t num_roots, char *err, size_t err_cap) {
  torc_pki *p = calloc(1, sizeof *p);
  if (p == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  int rc = 0;
  (void)pthread_rwlock_init(&p->own_lock, NULL); /* cannot fail with Linux' default kind */
  p->shared = shared_new();
  if (p->shared == NULL) {
    rc = torc_fail(TORC_ERR_CRYPTO, err, err_cap, "the cryptographic library has no SHA-256");
    goto out;
  }
  rc = normalise_name(overlay_name, strlen(overlay_name), p->overlay_name, sizeof p->overlay_name);
  if (rc != 0) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap, "the overlay name is empty or too long");
    goto out;
  }
  if (num_roots == 0 || num_roots > TORC_PKI_ROOTS_MAX) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap, "the overlay needs 1 to %d root certificates",
                   TORC_PKI_ROOTS_MAX);
    goto out;
  }
  for (size_t i = 0; rc == 0 && i < num_roots; i++) {
    rc = add_root(p, roots[i], i + 1, err, err_cap);
  }
  if (rc == 0) {
    *out = p;
    p = NULL;
  }
out:
  torc_pki_free(p);
  return rc;
}

void torc_pki_free(torc_pki *p) {
  if (p == NULL) {
    return;
  }
  for (size_t i = 0; i < p->num_roots; i++) {
    X509_free(p->roots[i]);
    EVP_PKEY_free(p->root_keys[i]);
  }
  torc_pki_own_clear(&p->own);
  torc_pki_own_clear(&p->old);
  (void)pthread_rwlock_destroy(&p->own_lock);
  torc_pki_shared_release(p->shared);
  torc_wipe(p->shared_key, sizeof p->shared_key);
  free(p);
}

/* ---- without certificates ---- */

int torc_pki_claimed_cert(const torc_id *peer, torc_cert **out) {
  cert_object *o = calloc(1, sizeof *o);
  if (o == NULL) {
    return TORC_ERR_NOMEM;
  }
  o->peers[0] = *peer;
  o->cert.refs = 1;
  o->cert.num_peers = 1;
  o->cert.peers = o->peers;
  o->cert.users = o->users;
  o->cert.not_after = UINT32_MAX;
  memcpy(o->cert.digest, peer->b, TORC_ID_LEN); /* tells them apart, no more */
  *out = &o->cert;
  return 0;
}

int torc_pki_new_shared(torc_pki **out, const char *overlay_name,
                        const uint8_t key[TORC_SHARED_KEY_LEN], const torc_id *self, char *err,
                        size_t err_cap) {
  torc_pki *p = calloc(1, sizeof *p);
  int rc = TORC_ERR_NOMEM;
  if (p != NULL) {
    (void)pthread_rwlock_init(&p->own_lock, NULL);
    p->shared = shared_new();
    rc = p->shared == NULL ? TORC_ERR_CRYPTO : torc_pki_claimed_cert(self, &p->own.cert);
  }
  if (rc != 0) {
    torc_pki_free(p);
    return torc_fail(rc, err, err_cap, "out of memory, or no SHA-256");
  }
  if (normalise_name(overlay_name, strlen(overlay_name), p->overlay_name, sizeof p->overlay_name) !=
      0) {
    torc_pki_free(p);
    return torc_fail(TORC_ERR_CONFIG, err, err_cap, "the overlay name is empty or too long");
  }
  p->has_shared_key = true;
  memcpy(p->shared_key, key, TORC_SHARED_KEY_LEN);
  *out = p;
  return 0;
}

const uint8_t *torc_pki_shared_key(const torc_pki *p) {
  return p->has_shared_key ? p->shared_key : NULL;
}

/* ---- one certificate ---- */

/* d2i is lenient; a second encoding of the same certificate would have another digest. */
static bool is_canonical(X509 *x, torc_slice der) {
  uint8_t *again = NULL;
  int len = i2d_X509(x, &again);
  bool same = len > 0 && (size_t)len == der.len && memcmp(again, der.p, der.len) == 0;
  OPENSSL_free(again);
  return same;
}

/* [R-38] issued directly by a root, no intermediates; [SEC-04] nothing else is needed to know. */
static const char *check_issuer(const torc_pki *p, X509 *x) {
  int bits = 0;
  if (X509_get_signature_info(x, NULL, NULL, &bits, NULL) != 1 || bits < SIGNATURE_SECURITY_BITS) {
    return "signed with a weak or unknown algorithm";
  }
  size_t num = __atomic_load_n(&p->num_roots, __ATOMIC_ACQUIRE);
  for (size_t i = 0; i < num; i++) {
    if (X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(p->roots[i])) == 0 &&
        X509_verify(x, p->root_keys[i]) == 1) {
      return NULL;
    }
  }
  return "not issued by a root certificate of this overlay";
}

/* [R-38] profile: version 3, no unknown critical extension, no CA, may sign, both TLS roles. */
static const char *check_profile(X509 *x) {
  if (X509_get_version(x) != X509_VERSION_3) {
    return "not an X.509 version 3 certificate";
  }
  uint32_t flags = X509_get_extension_flags(x);
  if ((flags & EXFLAG_INVALID) != 0) {
    return "an extension does not parse";
  }
  if ((flags & EXFLAG_CRITICAL) != 0) {
    return "unknown critical extension";
  }
  if ((flags & EXFLAG_CA) != 0) {
    return "the certificate of an authority, not of a peer";
  }
  if ((flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE) == 0) {
    return "key usage does not allow signatures";
  }
  uint32_t both = XKU_SSL_SERVER | XKU_SSL_CLIENT;
  if ((flags & EXFLAG_XKUSAGE) != 0 && (X509_get_extended_key_usage(x) & both) != both) {
    return "extended key usage is not clientAuth with serverAuth";
  }
  return NULL;
}

/* [GAP-134] "reload://" ++ 32 hex digits ++ "@" ++ overlay name. A URI of another kind or overlay
 * is not ours. */
static bool parse_peer_uri(const torc_pki *p, const char *text, size_t len, torc_id *out) {
  size_t scheme = strlen(PEER_URI_SCHEME);
  if (len < scheme || memcmp(text, PEER_URI_SCHEME, scheme) != 0) {
    return false;
  }
  text += scheme;
  len -= scheme;
  const char *at = memchr(text, '@', len);
  if (at == NULL) {
    return false;
  }
  size_t hex_len = (size_t)(at - text);
  const char *name = at + 1;
  size_t name_len = len - hex_len - 1;
  if (hex_len == TORC_ID_HEX_LEN + strlen(PEER_URI_DESTINATION) &&
      memcmp(text, PEER_URI_DESTINATION, strlen(PEER_URI_DESTINATION)) == 0) {
    text += strlen(PEER_URI_DESTINATION);
    hex_len = TORC_ID_HEX_LEN;
  }
  char overlay[256];
  /* [R-38] either case is read, and a trailing dot of the name. */
  return torc_id_parse(text, hex_len, out) == 0 && torc_id_is_peer(out) &&
         normalise_name(name, name_len, overlay, sizeof overlay) == 0 && is_ours(p, overlay);
}

static void add_peer(cert_names *c, const torc_id *id) {
  for (size_t i = 0; i < c->num_peers; i++) {
    if (torc_id_eq(&c->peers[i], id)) {
      return;
    }
  }
  if (c->num_peers < TORC_CERT_MAX_PEERS) {
    c->peers[c->num_peers] = *id;
    c->num_peers++;
  }
}

/* [GAP-134] user names are rfc822Names; [R-38] ASCII; [GAP-108] the host part is compared in lower
 * case. */
static const char *add_user(cert_names *c, const char *text, size_t len) {
  const char *at = memchr(text, '@', len);
  if (at == NULL || at == text || memchr(at + 1, '@', len - (size_t)(at + 1 - text)) != NULL) {
    return "a user name without user or with several hosts";
  }
  if (len > TORC_USER_MAX) {
    return "a user name longer than 255 bytes";
  }
  for (size_t i = 0; i < len; i++) {
    if (text[i] <= 0x20 || text[i] >= 0x7f) {
      return "a user name that is not printable ASCII";
    }
  }
  size_t local = (size_t)(at + 1 - text);
  char user[TORC_USER_MAX + 1];
  memcpy(user, text, local);
  if (normalise_name(at + 1, len - local, user + local, sizeof user - local) != 0) {
    return "a user name without host";
  }
  for (size_t i = 0; i < c->num_users; i++) {
    if (strcmp(c->users[i], user) == 0) {
      return NULL;
    }
  }
  if (c->num_users < TORC_CERT_MAX_USERS) {
    memcpy(c->users[c->num_users], user, strlen(user) + 1);
    c->num_users++;
  }
  return NULL;
}

static const char *read_names(const torc_pki *p, X509 *x, cert_names *c) {
  GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
  if (names == NULL) {
    return "no subjectAltName";
  }
  const char *why = NULL;
  int num = sk_GENERAL_NAME_num(names);
  if (num > TORC_PKI_NAMES_MAX) {
    why = "too many names";
  }
  for (int i = 0; why == NULL && i < num; i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI && name->type != GEN_EMAIL) {
      continue;
    }
    const ASN1_IA5STRING *text = name->d.ia5;
    const char *bytes = (const char *)ASN1_STRING_get0_data(text);
    size_t len = (size_t)ASN1_STRING_length(text);
    torc_id id;
    if (len == 0 || memchr(bytes, '\0', len) != NULL) {
      why = "an empty name or one with a NUL";
    } else if (name->type == GEN_EMAIL) {
      why = add_user(c, bytes, len);
    } else if (parse_peer_uri(p, bytes, len, &id)) {
      add_peer(c, &id);
    }
  }
  GENERAL_NAMES_free(names);
  if (why == NULL && c->num_peers == 0) {
    why = "no peer-id of this overlay";
  }
  return why;
}

/* Seconds since 1970, cut to what a torc_wall holds. */
static int read_time(const ASN1_TIME *t, torc_wall *out) {
  struct tm tm;
  if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1) {
    return TORC_ERR_FORMAT;
  }
  time_t s = timegm(&tm);
  if (s < 0) {
    s = 0;
  }
  *out = s > (time_t)UINT32_MAX ? UINT32_MAX : (torc_wall)s;
  return 0;
}

/* Dates and key, once the names are there. */
static const char *read_rest(const torc_pki *p, X509 *x, torc_cert *c) {
  const char *why = NULL;
  if (read_time(X509_get0_notBefore(x), &c->not_before) != 0 ||
      read_time(X509_get0_notAfter(x), &c->not_after) != 0) {
    return "a date that does not parse";
  }
  EVP_PKEY *pkey = X509_get_pubkey(x);
  if (pkey == NULL) {
    return "a public key that does not parse";
  }
  torc_pki_key *key = NULL;
  if (torc_pki_key_new(&key, pkey, p->shared, false, &why) != 0) {
    EVP_PKEY_free(pkey);
    return why;
  }
  c->key = key;
  uint32_t admitted = __atomic_load_n(&p->admitted, __ATOMIC_RELAXED);
  return admitted == 0 || (admitted & 1u << key->algorithm) != 0
             ? NULL
             : "its key signs with an algorithm that the overlay does not admit";
}

static cert_object *object_new(const cert_names *names, torc_slice der,
                               const uint8_t digest[TORC_DIGEST_LEN]) {
  size_t size = sizeof(cert_object) + der.len;
  for (size_t i = 0; i < names->num_users; i++) {
    size += strlen(names->users[i]) + 1;
  }
  cert_object *o = calloc(1, size);
  if (o == NULL) {
    return NULL;
  }
  uint8_t *to = o->bytes;
  memcpy(to, der.p, der.len);
  to += der.len;
  for (size_t i = 0; i < names->num_users; i++) {
    size_t len = strlen(names->users[i]) + 1;
    memcpy(to, names->users[i], len);
    o->users[i] = (const char *)to;
    to += len;
  }
  memcpy(o->peers, names->peers, sizeof o->peers);
  o->cert.refs = 1;
  memcpy(o->cert.digest, digest, TORC_DIGEST_LEN);
  o->cert.der = torc_slice_of(o->bytes, der.len);
  o->cert.num_peers = (uint32_t)names->num_peers;
  o->cert.num_users = (uint32_t)names->num_users;
  o->cert.peers = o->peers;
  o->cert.users = o->users;
  return o;
}

/* ---- those in use ---- */

static torc_cert **seen_slot(torc_pki_shared *s, const uint8_t digest[TORC_DIGEST_LEN]) {
  return &s->seen[digest[0] % TORC_PKI_SEEN_MAX];
}

/* One more reference to a certificate that may be on its way out. */
static bool retain_living(torc_cert *c) {
  uint32_t refs = __atomic_load_n(&c->refs, __ATOMIC_RELAXED);
  while (refs != 0) {
    if (__atomic_compare_exchange_n(&c->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      return true;
    }
  }
  return false;
}

/* Only what this pki has accepted is there, and its roots do not change. */
static torc_cert *seen_find(torc_pki_shared *s, const uint8_t digest[TORC_DIGEST_LEN]) {
  (void)pthread_mutex_lock(&s->seen_lock);
  torc_cert *c = *seen_slot(s, digest);
  if (c != NULL && (memcmp(c->digest, digest, TORC_DIGEST_LEN) != 0 || !retain_living(c))) {
    c = NULL;
  }
  (void)pthread_mutex_unlock(&s->seen_lock);
  return c;
}

static void seen_add(torc_pki_shared *s, torc_cert *c) {
  (void)pthread_mutex_lock(&s->seen_lock);
  *seen_slot(s, c->digest) = c;
  (void)pthread_mutex_unlock(&s->seen_lock);
}

static void seen_remove(torc_pki_shared *s, const torc_cert *c) {
  (void)pthread_mutex_lock(&s->seen_lock);
  torc_cert **slot = seen_slot(s, c->digest);
  if (*slot == c) {
    *slot = NULL;
  }
  (void)pthread_mutex_unlock(&s->seen_lock);
}

/* `der` is what `x` encodes to. */
static int accept_new(const torc_pki *p, X509 *x, torc_slice der,
                      const uint8_t digest[TORC_DIGEST_LEN], torc_cert **out, char *err,
                      size_t err_cap) {
  int rc = 0;
  cert_object *o = NULL;
  cert_names names = {.num_peers = 0};
  const char *why = check_issuer(p, x);
  if (why == NULL) {
    why = check_profile(x);
  }
  if (why == NULL) {
    why = read_names(p, x, &names);
  }
  if (why == NULL) {
    o = object_new(&names, der, digest);
    if (o == NULL) {
      rc = torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
      goto out;
    }
    why = read_rest(p, x, &o->cert);
  }
  if (why != NULL) {
    rc = torc_fail(TORC_ERR_CRYPTO, err, err_cap, "%s", why);
    goto out;
  }
  seen_add(p->shared, &o->cert);
  *out = &o->cert;
  o = NULL;
out:
  ERR_clear_error();
  torc_cert_free(o == NULL ? NULL : &o->cert);
  return rc;
}

/* The digest of `der`; *out is set if such a certificate is in use. */
static int look_up(const torc_pki *p, torc_slice der, uint8_t digest[TORC_DIGEST_LEN],
                   torc_cert **out, char *err, size_t err_cap) {
  if (der.len > TORC_CERT_MAX_BYTES) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap, "certificate larger than %d bytes",
                     TORC_CERT_MAX_BYTES);
  }
  int rc = torc_pki_digest(p->shared, &der, 1, digest);
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "the certificate cannot be hashed");
  }
  *out = seen_find(p->shared, digest);
  return 0;
}

int torc_pki_accept(const torc_pki *p, torc_slice der, torc_cert **out, char *err, size_t err_cap) {
  uint8_t digest[TORC_DIGEST_LEN];
  torc_cert *seen = NULL;
  int rc = look_up(p, der, digest, &seen, err, err_cap);
  if (seen != NULL) {
    *out = seen;
  }
  if (rc != 0 || seen != NULL) {
    return rc;
  }
  X509 *x = parse_der(der);
  if (x == NULL) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap, "not an X.509 certificate");
  }
  if (is_canonical(x, der)) {
    rc = accept_new(p, x, der, digest, out, err, err_cap);
  } else {
    rc = torc_fail(TORC_ERR_CRYPTO, err, err_cap, "not in distinguished encoding");
  }
  X509_free(x);
  return rc;
}

int torc_pki_accept_parsed(const torc_pki *p, void *x509, torc_cert **out, char *err,
                           size_t err_cap) {
  uint8_t *encoded = NULL;
  uint8_t digest[TORC_DIGEST_LEN];
  torc_cert *seen = NULL;
  int len = x509 == NULL ? -1 : i2d_X509(x509, &encoded);
  torc_slice der = torc_slice_of(encoded, len > 0 ? (size_t)len : 0);
  int rc = len > 0 ? look_up(p, der, digest, &seen, err, err_cap)
                   : torc_fail(TORC_ERR_CRYPTO, err, err_cap, "no certificate");
  if (seen != NULL) {
    *out = seen;
  } else if (rc == 0) {
    rc = accept_new(p, x509, der, digest, out, err, err_cap);
  }
  ERR_clear_error();
  OPENSSL_free(encoded);
  return rc;
}

torc_cert *torc_cert_retain(torc_cert *c) {
  if (c != NULL) {
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
  }
  return c;
}

void torc_cert_free(torc_cert *c) {
  if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0) {
    return;
  }
  torc_pki_key *key = c->key;
  if (key != NULL) { /* it was accepted */
    seen_remove(key->shared, c);
  }
  torc_pki_key_free(key);
  free(TORC_CONTAINER_OF(c, cert_object, cert));
}
