/* Links of a shared-key overlay: the handshake proves that both sides hold the key, with fresh
 * Diffie-Hellman keys beside it. Peer-ids are claims: in TLS 1.2 the client's is its PSK identity
 * and the server's its hint; in TLS 1.3, which has no hint, the dialler must know whom it dials and
 * names both, `own@expected` [D-18] [GAP-137]. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/tls_impl.h"

#define CIPHERS_13 "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
#define CIPHERS_12 "ECDHE-PSK-CHACHA20-POLY1305"
#define ID_TEXT ((size_t)(2 * TORC_ID_LEN))
#define BOTH_TEXT (ID_TEXT + 1 + ID_TEXT)

static const unsigned char context[] = {'t', 'o', 'r', 'c'};
static const uint8_t suite_13[2] = {0x13, 0x03}; /* the session's; its hash is what counts */

static void why(torc_tls *t, const char *text) {
  if (t->why[0] == '\0') {
    (void)snprintf(t->why, sizeof t->why, "%s", text);
  }
}

static bool parse_id(const char *text, size_t len, torc_id *out) {
  return len == ID_TEXT && torc_id_parse(text, len, out) == 0 && torc_id_is_peer(out);
}

/* DTLS counts its versions otherwise. */
static bool is_13(const SSL *ssl) {
  return SSL_version(ssl) == TLS1_3_VERSION;
}

static bool is_expected(const torc_tls *t) {
  return !torc_id_eq(&t->expected, &torc_id_zero);
}

static void id_text(const torc_id *id, char out[2 * TORC_ID_LEN + 1]) {
  for (size_t i = 0; i < TORC_ID_LEN; i++) {
    (void)snprintf(out + 2 * i, 3, "%02x", id->b[i]);
  }
}

/* ---- TLS 1.2 and DTLS 1.2 ---- */

static unsigned client_key(SSL *ssl, const char *hint, char *identity, unsigned identity_cap,
                           unsigned char *key, unsigned key_cap) {
  torc_tls *t = SSL_get_app_data(ssl);
  torc_id peer;
  if (is_13(ssl) || key_cap < TORC_SHARED_KEY_LEN || identity_cap <= ID_TEXT) {
    return 0;
  }
  if (hint == NULL || !parse_id(hint, strlen(hint), &peer)) {
    why(t, "the other side does not say its peer-id");
    return 0;
  }
  if (is_expected(t) && !torc_id_eq(&peer, &t->expected)) {
    why(t, "another peer than expected");
    return 0;
  }
  t->claimed = peer;
  memcpy(identity, t->ctx->own_id, ID_TEXT + 1);
  memcpy(key, torc_pki_shared_key(t->ctx->pki), TORC_SHARED_KEY_LEN);
  return TORC_SHARED_KEY_LEN;
}

static unsigned server_key(SSL *ssl, const char *identity, unsigned char *key, unsigned key_cap) {
  torc_tls *t = SSL_get_app_data(ssl);
  if (is_13(ssl)) { /* whom it wanted was looked at below */
    return 0;
  }
  if (key_cap < TORC_SHARED_KEY_LEN || !parse_id(identity, strlen(identity), &t->claimed)) {
    why(t, "the PSK identity is no peer-id");
    return 0;
  }
  memcpy(key, torc_pki_shared_key(t->ctx->pki), TORC_SHARED_KEY_LEN);
  return TORC_SHARED_KEY_LEN;
}

/* ---- TLS 1.3 ---- */

static SSL_SESSION *session_of(SSL *ssl, const torc_tls *t) {
  const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite_13);
  SSL_SESSION *s = SSL_SESSION_new();
  if (cipher == NULL || s == NULL ||
      SSL_SESSION_set1_master_key(s, torc_pki_shared_key(t->ctx->pki), TORC_SHARED_KEY_LEN) != 1 ||
      SSL_SESSION_set_cipher(s, cipher) != 1 ||
      SSL_SESSION_set1_id_context(s, context, sizeof context) != 1 ||
      SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION) != 1) {
    SSL_SESSION_free(s);
    return NULL;
  }
  return s;
}

static int client_session(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_len,
                          SSL_SESSION **out) {
  torc_tls *t = SSL_get_app_data(ssl);
  *out = NULL;
  if (!is_expected(t) || (md != NULL && !EVP_MD_is_a(md, "SHA256"))) {
    return 1;
  }
  *out = session_of(ssl, t);
  *id = (const unsigned char *)t->identity;
  *id_len = BOTH_TEXT;
  return *out != NULL;
}

/* Another identity is nobody's here: the handshake then fails for want of a key. */
static int server_session(SSL *ssl, const unsigned char *identity, size_t len, SSL_SESSION **out) {
  torc_tls *t = SSL_get_app_data(ssl);
  const char *text = (const char *)identity;
  torc_id claimed;
  *out = NULL;
  if (len != BOTH_TEXT || text[ID_TEXT] != '@' || !parse_id(text, ID_TEXT, &claimed)) {
    why(t, "the PSK identity does not name two peer-ids");
    return 1;
  }
  if (memcmp(text + ID_TEXT + 1, t->ctx->own_id, ID_TEXT) != 0) {
    why(t, "the other side expects another peer");
    return 1;
  }
  *out = session_of(ssl, t);
  t->claimed = claimed;
  return *out != NULL;
}

/* ---- both ---- */

/* Certificates have no place here: a side that shows one does not know the key. */
static int no_certificate(X509_STORE_CTX *store, void *arg) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  (void)arg;
  why(SSL_get_app_data(ssl), "the other side shows a certificate instead of using the shared key");
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

int torc_tls_psk_set_up(torc_tls_ctx *c) {
  SSL_CTX *s = c->ssl_ctx;
  id_text(&torc_pki_own_cert(c->pki)->peers[0], c->own_id);
  SSL_CTX_set_verify(s, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_cert_verify_callback(s, no_certificate, c);
  SSL_CTX_set_psk_client_callback(s, client_key);
  SSL_CTX_set_psk_server_callback(s, server_key);
  SSL_CTX_set_psk_use_session_callback(s, client_session);
  SSL_CTX_set_psk_find_session_callback(s, server_session);
  /* OpenSSL wants to know whose sessions these are, though none is ever kept. */
  return SSL_CTX_set_session_id_context(s, context, sizeof context) == 1 &&
                 SSL_CTX_set_ciphersuites(s, CIPHERS_13) == 1 &&
                 SSL_CTX_set_cipher_list(s, CIPHERS_12) == 1 &&
                 SSL_CTX_use_psk_identity_hint(s, c->own_id) == 1
             ? 0
             : TORC_ERR_CRYPTO;
}

int torc_tls_psk_begin(torc_tls *t, bool is_client) {
  if (!is_client) {
    return 0;
  }
  if (t->ctx->is_dtls) {
    return 0;
  }
  if (!is_expected(t)) {
    return SSL_set_max_proto_version(t->ssl, TLS1_2_VERSION) == 1 ? 0 : TORC_ERR_CRYPTO;
  }
  char other[2 * TORC_ID_LEN + 1];
  id_text(&t->expected, other);
  int n = snprintf(t->identity, sizeof t->identity, "%s@%s", t->ctx->own_id, other);
  return n == (int)BOTH_TEXT ? 0 : TORC_ERR_INVALID;
}

int torc_tls_psk_done(torc_tls *t) {
  if (is_13(t->ssl) && !SSL_session_reused(t->ssl)) { /* no key was used */
    why(t, "the other side does not use the shared key");
    return TORC_ERR_CRYPTO;
  }
  if (is_13(t->ssl) && !SSL_is_server(t->ssl)) {
    t->claimed = t->expected;
  }
  if (!torc_id_is_peer(&t->claimed)) {
    why(t, "the other side does not say its peer-id");
    return TORC_ERR_CRYPTO;
  }
  return torc_pki_claimed_cert(&t->claimed, &t->cert);
}

const char *torc_tls_psk_fault(unsigned long code, int alert) {
  int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  if (alert == SSL_AD_BAD_RECORD_MAC || alert == SSL_AD_DECRYPT_ERROR ||
      alert == SSL_AD_UNKNOWN_PSK_IDENTITY || alert == SSL_AD_ILLEGAL_PARAMETER ||
      reason == SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC ||
      reason == SSL_R_BINDER_DOES_NOT_VERIFY || reason == SSL_R_DIGEST_CHECK_FAILED) {
    return "the other side has another shared key";
  }
  if (alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_PROTOCOL_VERSION ||
      reason == SSL_R_NO_SHARED_CIPHER || reason == SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM ||
      reason == SSL_R_UNSUPPORTED_PROTOCOL) {
    return "the other side is of no shared-key overlay, or another peer than expected";
  }
  return NULL;
}
