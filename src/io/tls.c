/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls_impl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/err.h"

#define RECORD_MAX 16384u /* plaintext bytes of one TLS record */

/* [GAP-161] AEAD with forward secrecy only; the cheap ones first. */
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS_12                                             \
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"
#define SIGALGS "ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256:rsa_pkcs1_sha256"

/* ---- the BIO between OpenSSL and a torc_tls ---- */

static int bio_read(BIO *bio, char *buf, size_t cap, size_t *num) {
  torc_tls *t = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (t->in.len == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  *num = cap < t->in.len ? cap : t->in.len;
  memcpy(buf, t->in.p, *num);
  t->in = torc_slice_of(t->in.p + *num, t->in.len - *num);
  return 1;
}

static int bio_write(BIO *bio, const char *buf, size_t len, size_t *num) {
  torc_tls *t = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (torc_buf_append(&t->out, torc_slice_of(buf, len)) != 0) {
    return 0;
  }
  *num = len;
  return 1;
}

static long bio_ctrl(BIO *bio, int cmd, long larg, void *parg) {
  (void)bio;
  (void)larg;
  (void)parg;
  return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *new_method(void) {
  BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "torc");
  if (m == NULL || BIO_meth_set_read_ex(m, bio_read) != 1 ||
      BIO_meth_set_write_ex(m, bio_write) != 1 || BIO_meth_set_ctrl(m, bio_ctrl) != 1) {
    BIO_meth_free(m);
    return NULL;
  }
  return m;
}

/* ---- whom we believe ---- */

/* [TLS-06] [TLS-07] [SEC-17] Instead of OpenSSL's own chain check, on both sides of every
 * connection: the certificate shown must be one of the overlay, and valid now [GAP-135].
 * Certificates sent beside it are not looked at. */
static int verify_peer(X509_STORE_CTX *store, void *arg) {
  torc_tls_ctx *ctx = arg;
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  torc_tls *t = SSL_get_app_data(ssl);
  torc_cert *cert = NULL;
  int rc = torc_pki_accept_parsed(ctx->pki, X509_STORE_CTX_get0_cert(store), &cert, t->why,
                                  sizeof t->why);
  if (rc != 0) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
    return 0;
  }
  if (ctx->now < cert->not_before || ctx->now > cert->not_after) {
    bool is_early = ctx->now < cert->not_before;
    snprintf(t->why, sizeof t->why, is_early ? "certificate not valid yet" : "certificate expired");
    X509_STORE_CTX_set_error(
        store, is_early ? X509_V_ERR_CERT_NOT_YET_VALID : X509_V_ERR_CERT_HAS_EXPIRED);
    torc_cert_free(cert);
    return 0;
  }
  torc_cert_free(t->cert);
  t->cert = cert;
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

void torc_tls_without_texts(void) {
  (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_SSL_STRINGS | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS,
                         NULL);
}

static int set_up(torc_tls_ctx *c) {
  SSL_CTX *s = c->ssl_ctx;
  /* [TLS-03] [GAP-161]: 1.3 preferred, 1.2 accepted; no renegotiation, no compression, no
   * resumption (a session could outlive the certificate it was made with). */
  int ok = SSL_CTX_set_min_proto_version(s, c->is_dtls ? DTLS1_2_VERSION : TLS1_2_VERSION) == 1 &&
           SSL_CTX_set1_groups_list(s, GROUPS) == 1 && SSL_CTX_set_num_tickets(s, 0) == 1;
  SSL_CTX_set_options(s, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                             SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
  /* An idle link holds no record buffers. */
  SSL_CTX_set_mode(s, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_max_cert_list(s, TORC_CERT_MAX_BYTES + 1024);
  return !ok ? TORC_ERR_CRYPTO : c->is_dtls ? torc_dtls_set_up(s) : 0;
}

/* The certificate first: a key that does not fit it is dropped by it. */
static int show_own(torc_tls_ctx *c) {
  return SSL_CTX_use_certificate(c->ssl_ctx, torc_pki_own_x509(c->pki)) == 1 &&
                 SSL_CTX_use_PrivateKey(c->ssl_ctx, torc_pki_own_key(c->pki)) == 1
             ? 0
             : TORC_ERR_CRYPTO;
}

int torc_tls_ctx_renew(torc_tls_ctx *c) {
  int rc = show_own(c);
  ERR_clear_error();
  return rc;
}

static int set_up_certificates(torc_tls_ctx *c) {
  SSL_CTX *s = c->ssl_ctx;
  int ok = SSL_CTX_set_ciphersuites(s, CIPHERS_13) == 1 &&
           SSL_CTX_set_cipher_list(s, CIPHERS_12) == 1 &&
           SSL_CTX_set1_sigalgs_list(s, SIGALGS) == 1 &&
           SSL_CTX_set1_client_sigalgs_list(s, SIGALGS) == 1;
  /* [SEC-16] [SEC-19] mutual, so that members alone get as far as a message. */
  SSL_CTX_set_verify(s, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  SSL_CTX_set_cert_verify_callback(s, verify_peer, c);
  /* The leaf alone: roots are known, intermediates do not exist. */
  SSL_CTX_set_mode(s, SSL_MODE_NO_AUTO_CHAIN);
  return ok ? show_own(c) : TORC_ERR_CRYPTO;
}

static int ctx_new(torc_tls_ctx **out, const torc_pki *pki, bool is_dtls, char *err,
                   size_t err_cap) {
  bool is_shared = torc_pki_shared_key(pki) != NULL;
  if (!is_shared && (torc_pki_own_x509(pki) == NULL || torc_pki_own_key(pki) == NULL)) {
    return torc_fail(TORC_ERR_STATE, err, err_cap, "TLS needs an own certificate and key");
  }
  torc_tls_ctx *c = calloc(1, sizeof *c);
  if (c == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  c->pki = pki;
  c->is_dtls = is_dtls;
  c->ssl_ctx = SSL_CTX_new(is_dtls ? DTLS_method() : TLS_method());
  c->method = is_dtls ? torc_dtls_method() : new_method();
  if (c->ssl_ctx == NULL || c->method == NULL || set_up(c) != 0 ||
      (is_shared ? torc_tls_psk_set_up(c) : set_up_certificates(c)) != 0) {
    ERR_clear_error();
    torc_tls_ctx_free(c);
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap,
                     "the TLS library refuses the certificate, the key or the settings");
  }
  *out = c;
  return 0;
}

int torc_tls_ctx_new(torc_tls_ctx **out, const torc_pki *pki, char *err, size_t err_cap) {
  return ctx_new(out, pki, false, err, err_cap);
}

int torc_tls_ctx_new_dtls(torc_tls_ctx **out, const torc_pki *pki, char *err, size_t err_cap) {
  return ctx_new(out, pki, true, err, err_cap);
}

void torc_tls_ctx_free(torc_tls_ctx *c) {
  if (c == NULL) {
    return;
  }
  SSL_CTX_free(c->ssl_ctx);
  BIO_meth_free(c->method);
  free(c);
}

void torc_tls_ctx_set_wall(torc_tls_ctx *c, torc_wall now) {
  c->now = now;
}

/* ---- one connection ---- */

static bool is_shared_key(const torc_tls *t) {
  return torc_pki_shared_key(t->ctx->pki) != NULL;
}

int torc_tls_init(torc_tls *t, torc_tls_ctx *ctx, bool is_client, const torc_id *expected,
                  size_t out_max) {
  memset(t, 0, sizeof *t);
  t->expected = expected == NULL ? torc_id_zero : *expected;
  t->ctx = ctx;
  torc_buf_init(&t->out, torc_mem_libc(), out_max);
  BIO *bio = BIO_new(ctx->method);
  if (bio != NULL) {
    BIO_set_data(bio, t);
  }
  return torc_tls_attach(t, bio, is_client);
}

int torc_tls_attach(torc_tls *t, BIO *bio, bool is_client) {
  SSL *ssl = SSL_new(t->ctx->ssl_ctx);
  if (ssl == NULL || bio == NULL || SSL_set_app_data(ssl, t) != 1) {
    ERR_clear_error();
    SSL_free(ssl);
    BIO_free(bio);
    return TORC_ERR_NOMEM;
  }
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  if (is_client) {
    SSL_set_connect_state(ssl);
  } else {
    SSL_set_accept_state(ssl);
  }
  t->ssl = ssl;
  return is_shared_key(t) ? torc_tls_psk_begin(t, is_client) : 0;
}

void torc_tls_clear(torc_tls *t) {
  SSL_free(t->ssl);
  t->ssl = NULL;
  torc_cert_free(t->cert);
  t->cert = NULL;
  torc_buf_clear(&t->out);
}

/* In words as far as the program has them, see torc_tls_without_texts. */
static void explain(const torc_tls *t, unsigned long code, char *out, size_t cap) {
  int alert = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET : -1;
  const char *reason = ERR_reason_error_string(code);
  const char *fault = is_shared_key(t) ? torc_tls_psk_fault(code, alert) : NULL;
  if (fault != NULL) {
    snprintf(out, cap, "%s", fault);
  } else if (code == 0) {
    snprintf(out, cap, "TLS failure");
  } else if (alert >= 0 && alert <= UINT8_MAX) {
    snprintf(out, cap, "refused by the other side: %s", SSL_alert_desc_string_long(alert));
  } else if (reason != NULL) {
    snprintf(out, cap, "%s", reason);
  } else {
    snprintf(out, cap, "OpenSSL error %08lX", code);
  }
}

/* Writes down the oldest entry of OpenSSL's queue, unless our own check said why. */
int torc_tls_fault(torc_tls *t) {
  if (t->why[0] == '\0') {
    explain(t, ERR_peek_error(), t->why, sizeof t->why);
  }
  ERR_clear_error();
  return TORC_ERR_CRYPTO;
}

/* OpenSSL judges a call by what lies in its queue; emptying an empty one costs more than a record.
 */
static void forget_errors(void) {
  if (ERR_peek_error() != 0) {
    ERR_clear_error();
  }
}

int torc_tls_handshake(torc_tls *t) {
  forget_errors();
  int n = SSL_do_handshake(t->ssl);
  if (n == 1) {
    if (is_shared_key(t)) {
      return torc_tls_psk_done(t);
    }
    if (t->cert == NULL) { /* mutual authentication is what a link is [TLS-06] */
      snprintf(t->why, sizeof t->why, "no certificate");
      return TORC_ERR_CRYPTO;
    }
    return 0;
  }
  if (SSL_get_error(t->ssl, n) == SSL_ERROR_WANT_READ) {
    return TORC_ERR_SHORT;
  }
  return torc_tls_fault(t);
}

int torc_tls_read(torc_tls *t, uint8_t *buf, size_t cap, size_t *len) {
  size_t n = 0;
  *len = 0;
  forget_errors();
  int ok = SSL_read_ex(t->ssl, buf, cap, &n);
  if (ok == 1) {
    *len = n;
    return 0;
  }
  switch (SSL_get_error(t->ssl, ok)) {
    case SSL_ERROR_WANT_READ:
      return 0;
    case SSL_ERROR_ZERO_RETURN:
      t->is_closed = true;
      return TORC_ERR_CLOSED;
    default:
      return torc_tls_fault(t);
  }
}

bool torc_tls_has_part(const torc_tls *t) {
  return SSL_has_pending(t->ssl) == 1;
}

int torc_tls_write(torc_tls *t, torc_slice data) {
  forget_errors();
  while (data.len > 0) {
    size_t chunk = data.len < RECORD_MAX ? data.len : RECORD_MAX;
    size_t n = 0;
    int ok = SSL_write_ex(t->ssl, data.p, chunk, &n);
    if (ok != 1) {
      int rc = t->out.len + chunk > t->out.max ? TORC_ERR_LIMIT : TORC_ERR_CRYPTO;
      (void)torc_tls_fault(t);
      return rc;
    }
    data = torc_slice_of(data.p + n, data.len - n);
  }
  return 0;
}

void torc_tls_shutdown(torc_tls *t) {
  if (t->ssl != NULL && SSL_is_init_finished(t->ssl)) {
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
  }
}
