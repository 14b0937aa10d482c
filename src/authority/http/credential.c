/* A certificate under HTTP Digest, or for a guest. SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "authority/http/server_impl.h"
#include "base/slice.h"

#define SOURCE_CAP INET6_ADDRSTRLEN
#define SMIME_TYPE "application/pkcs7-mime; smime-type=certs-only" /* [GAP-133] */
#define CHALLENGE_CAP 512

static torc_time monotonic(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (torc_time)t.tv_sec * 1000000u + (torc_time)t.tv_nsec / 1000u;
}

static const struct sockaddr *address_of(struct MHD_Connection *c) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return info == NULL ? NULL : info->client_addr;
}

static void source_of(struct MHD_Connection *c, char out[SOURCE_CAP]) {
  const struct sockaddr *a = address_of(c);
  const char *ok = NULL;
  if (a != NULL && a->sa_family == AF_INET) {
    ok = inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, out,
                   SOURCE_CAP);
  } else if (a != NULL && a->sa_family == AF_INET6) {
    ok = inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, out,
                   SOURCE_CAP);
  }
  if (ok == NULL) {
    (void)snprintf(out, SOURCE_CAP, "unknown");
  }
}

static void key_of(struct MHD_Connection *c, uint8_t key[TORC_LIMIT_KEY_LEN]) {
  const struct sockaddr *a = address_of(c);
  memset(key, 0, TORC_LIMIT_KEY_LEN);
  if (a != NULL) {
    torc_limit_key(a, key);
  }
}

static enum MHD_Result too_often(torc_http *h, struct MHD_Connection *c, uint32_t wait_s) {
  char text[120];
  (void)atomic_fetch_add_explicit(&h->enrol->counts.refused_limit, 1, memory_order_relaxed);
  (void)snprintf(text, sizeof text,
                 "too many requests from your address; try again in %u seconds\n", wait_s);
  return torc_http_text(c, MHD_HTTP_TOO_MANY_REQUESTS, text, wait_s);
}

/* Whether this address may ask now; if not, the answer is queued. of: what it takes from. */
static bool admit(torc_http *h, struct MHD_Connection *c, torc_limit *of, enum MHD_Result *out) {
  uint8_t key[TORC_LIMIT_KEY_LEN];
  uint32_t wait_s = 0;
  key_of(c, key);
  if (torc_limit_is_out(h->failures, key, monotonic(), &wait_s) ||
      !torc_limit_take(of, key, monotonic(), &wait_s)) {
    *out = too_often(h, c, wait_s);
    return false;
  }
  return true;
}

static enum MHD_Result send_answer(struct MHD_Connection *c, const torc_enrol_answer *a) {
  if (a->status != MHD_HTTP_OK) {
    char text[TORC_REASON_MAX + 40];
    (void)snprintf(text, sizeof text, "no certificate: %s\n", a->reason);
    return torc_http_text(c, (unsigned)a->status, text, 0);
  }
  struct MHD_Response *r = MHD_create_response_from_buffer(a->len, a->body, MHD_RESPMEM_MUST_COPY);
  if (r == NULL) {
    return MHD_NO;
  }
  torc_http_allow_origins(r);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, SMIME_TYPE);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  enum MHD_Result rc = MHD_queue_response(c, MHD_HTTP_OK, r);
  MHD_destroy_response(r);
  return rc;
}

/* ---- digest ---- */

/* 401 with a fresh nonce. */
static enum MHD_Result challenge(torc_http *h, struct MHD_Connection *c, bool is_md5, bool is_stale,
                                 const char *text) {
  char nonce[TORC_NONCE_LEN + 1];
  char header[CHALLENGE_CAP];
  if (torc_nonces_make(h->nonces, monotonic(), nonce) != 0) {
    return MHD_NO;
  }
  struct MHD_Response *r =
      MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
  if (r == NULL) {
    return MHD_NO;
  }
  (void)atomic_fetch_add_explicit(&h->challenges, 1, memory_order_relaxed);
  (void)snprintf(
      header, sizeof header, "Digest realm=\"%s\", qop=\"auth\", algorithm=%s, nonce=\"%s\"%s",
      h->enrol->overlay, is_md5 ? "MD5" : "SHA-256", nonce, is_stale ? ", stale=true" : "");
  torc_http_allow_origins(r);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, header);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  enum MHD_Result rc = MHD_queue_response(c, MHD_HTTP_UNAUTHORIZED, r);
  MHD_destroy_response(r);
  return rc;
}

/* MD5 only if the operator enabled it and the client cannot do better: it says so in the URL,
 * "?algorithm=MD5". */
static bool wants_md5(const torc_http *h, struct MHD_Connection *c) {
  const char *query = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "algorithm");
  return h->allows_md5 && query != NULL && strcasecmp(query, "MD5") == 0;
}

/* What an account that does not exist or may not enrol is compared with, so that the answer and the
 * time it takes are those of a wrong password. */
static void nobodys_digest(const torc_http *h, const char *name, uint8_t out[TORC_SHA256_LEN]) {
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  memset(out, 0, TORC_SHA256_LEN);
  if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
      EVP_DigestUpdate(ctx, h->secret, sizeof h->secret) == 1 &&
      EVP_DigestUpdate(ctx, name, strlen(name)) == 1) {
    (void)EVP_DigestFinal_ex(ctx, out, NULL);
  }
  EVP_MD_CTX_free(ctx);
}

typedef enum verdict { RIGHT, WRONG, STALE, FAILED } verdict;

static verdict judge(torc_http *h, const torc_digest *d, const uint8_t secret[TORC_SHA256_LEN]) {
  if (strcmp(d->realm, h->enrol->overlay) != 0 ||
      !torc_digest_is_for(d, TORC_HTTP_PATH_CREDENTIAL) ||
      !torc_digest_fits(d, MHD_HTTP_METHOD_POST, secret)) {
    return WRONG;
  }
  return torc_nonces_use(h->nonces, d->nonce, monotonic()) ? RIGHT : STALE;
}

static verdict check_password(torc_http *h, const torc_digest *d) {
  char err[TORC_REASON_MAX];
  uint8_t secret[TORC_SHA256_LEN];
  bool is_md5 = torc_digest_is_md5(d);
  torc_account *a = calloc(1, sizeof *a);
  if (a == NULL) {
    return FAILED;
  }
  int rc =
      torc_registry_get(h->enrol->registry, d->username, (torc_wall)time(NULL), a, err, sizeof err);
  bool is_usable = rc == 0 && a->password.is_set && !a->is_disabled &&
                   (!is_md5 || (h->allows_md5 && a->password.has_md5));
  nobodys_digest(h, d->username, secret);
  if (is_usable && is_md5) {
    memcpy(secret, a->password.md5, TORC_MD5_LEN);
  } else if (is_usable) {
    memcpy(secret, a->password.sha256, TORC_SHA256_LEN);
  }
  OPENSSL_cleanse(a, sizeof *a);
  free(a);
  verdict v = FAILED;
  if (rc == 0 || rc == TORC_ERR_NOTFOUND) {
    v = judge(h, d, secret);
    v = is_usable ? v : WRONG;
  } else {
    torc_enrol_refused(h->enrol, d->username, NULL, (torc_wall)time(NULL), err);
  }
  OPENSSL_cleanse(secret, sizeof secret);
  return v;
}

static enum MHD_Result wrong_password(torc_http *h, struct MHD_Connection *c, const char *name,
                                      const char *source, bool is_md5) {
  uint8_t key[TORC_LIMIT_KEY_LEN];
  uint32_t wait_s = 0;
  key_of(c, key);
  (void)atomic_fetch_add_explicit(&h->enrol->counts.refused_password, 1, memory_order_relaxed);
  torc_enrol_refused(h->enrol, name, source, (torc_wall)time(NULL), "wrong account or password");
  if (!torc_limit_take(h->failures, key, monotonic(), &wait_s)) {
    return too_often(h, c, wait_s);
  }
  return challenge(h, c, is_md5, false, "wrong account name or password\n");
}

static enum MHD_Result authenticated(torc_http *h, struct MHD_Connection *c, const char *name,
                                     const char *source, const torc_http_request *r) {
  torc_enrol_answer answer;
  torc_enrol_account(h->enrol, name, torc_slice_of(r->body, r->len), source, (torc_wall)time(NULL),
                     &answer);
  enum MHD_Result rc = send_answer(c, &answer);
  torc_enrol_answer_clear(&answer);
  return rc;
}

static enum MHD_Result answer_digest(torc_http *h, struct MHD_Connection *c, const torc_digest *d,
                                     const torc_http_request *r) {
  char source[SOURCE_CAP];
  bool is_md5 = wants_md5(h, c);
  source_of(c, source);
  switch (check_password(h, d)) {
    case RIGHT:
      return authenticated(h, c, d->username, source, r);
    case WRONG:
      return wrong_password(h, c, d->username, source, is_md5);
    case STALE:
      return challenge(h, c, is_md5, true,
                       "the nonce is used or too old; try again with this one\n");
    case FAILED:
      break;
  }
  return torc_http_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR,
                        "the authority cannot read its accounts now\n", 0);
}

enum MHD_Result torc_http_credential(torc_http *h, struct MHD_Connection *c,
                                     const torc_http_request *r) {
  torc_digest d;
  enum MHD_Result rc = MHD_NO;
  const char *header = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
  bool has_digest = torc_digest_read(header, &d);
  if (!admit(h, c, has_digest ? h->requests : h->challenged, &rc)) {
    return rc;
  }
  if (!has_digest) { /* the first half of every Digest exchange: not yet a request */
    return challenge(h, c, wants_md5(h, c), false, "an account name and a password are needed\n");
  }
  return answer_digest(h, c, &d, r);
}

enum MHD_Result torc_http_guest(torc_http *h, struct MHD_Connection *c,
                                const torc_http_request *r) {
  char source[SOURCE_CAP];
  torc_enrol_answer answer;
  enum MHD_Result rc = MHD_NO;
  if (!admit(h, c, h->requests, &rc)) {
    return rc;
  }
  source_of(c, source);
  torc_enrol_guest(h->enrol, torc_slice_of(r->body, r->len), source, (torc_wall)time(NULL),
                   &answer);
  rc = send_answer(c, &answer);
  torc_enrol_answer_clear(&answer);
  return rc;
}
