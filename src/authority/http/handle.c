/* What each URL does. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/http/server_impl.h"

#define CONFIG_TYPE "application/p2p-overlay+xml" /* [ENR-10] */
#define REFRESH_PERCENT 80                        /* [GAP-130] */
#define METRICS_CAP 8192

/* [BGAP-05]: pages of any origin may enrol: what protects an account is its password, which no
 * browser sends by itself. */
void torc_http_allow_origins(struct MHD_Response *r) {
  (void)MHD_add_response_header(r, "Access-Control-Allow-Origin", "*");
  (void)MHD_add_response_header(r, "Access-Control-Expose-Headers",
                                "WWW-Authenticate, Retry-After, Date, ETag");
}

enum MHD_Result torc_http_text(struct MHD_Connection *c, unsigned status, const char *text,
                               uint32_t wait_s) {
  struct MHD_Response *r =
      MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
  if (r == NULL) {
    return MHD_NO;
  }
  torc_http_allow_origins(r);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
  if (wait_s > 0) {
    char seconds[16];
    (void)snprintf(seconds, sizeof seconds, "%" PRIu32, wait_s);
    (void)MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
  }
  enum MHD_Result rc = MHD_queue_response(c, status, r);
  MHD_destroy_response(r);
  return rc;
}

/* ---- the configuration document ---- */

static enum MHD_Result send_document(torc_http *h, struct MHD_Connection *c) {
  char cache[48];
  const char *known = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
  (void)pthread_mutex_lock(&h->lock);
  const torc_http_document *d = &h->document;
  bool is_known = known != NULL && strcmp(known, d->etag) == 0;
  struct MHD_Response *r =
      is_known ? MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT)
               : MHD_create_response_from_buffer(d->len, d->text, MHD_RESPMEM_MUST_COPY);
  if (r != NULL) {
    (void)MHD_add_response_header(r, "ETag", d->etag);
    (void)snprintf(cache, sizeof cache, "max-age=%" PRIu64,
                   (uint64_t)d->expires_s * REFRESH_PERCENT / 100);
  }
  (void)pthread_mutex_unlock(&h->lock);
  if (r == NULL) {
    return MHD_NO;
  }
  (void)atomic_fetch_add_explicit(&h->documents, 1, memory_order_relaxed);
  torc_http_allow_origins(r);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, CONFIG_TYPE);
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, cache);
  enum MHD_Result rc = MHD_queue_response(c, is_known ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, r);
  MHD_destroy_response(r);
  return rc;
}

/* A browser asks before it sends Authorization to another origin. */
static enum MHD_Result send_preflight(struct MHD_Connection *c) {
  struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  if (r == NULL) {
    return MHD_NO;
  }
  torc_http_allow_origins(r);
  (void)MHD_add_response_header(r, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
  (void)MHD_add_response_header(r, "Access-Control-Allow-Headers", "Authorization, Content-Type");
  (void)MHD_add_response_header(r, "Access-Control-Max-Age", "86400");
  enum MHD_Result rc = MHD_queue_response(c, MHD_HTTP_NO_CONTENT, r);
  MHD_destroy_response(r);
  return rc;
}

/* ---- requests with a body ---- */

static enum MHD_Result take_body(torc_http_request *r, const char *upload, size_t *upload_len) {
  size_t room = sizeof r->body - r->len;
  size_t n = *upload_len < room ? *upload_len : room;
  r->dropped += *upload_len - n;
  r->is_too_long = r->dropped > 0;
  memcpy(r->body + r->len, upload, n);
  r->len += n;
  *upload_len = 0;
  return r->dropped > TORC_HTTP_DROPPED_MAX ? MHD_NO : MHD_YES; /* NO: ends the connection */
}

static enum MHD_Result too_long(struct MHD_Connection *c) {
  return torc_http_text(c, MHD_HTTP_CONTENT_TOO_LARGE,
                        "a certificate request has at most 16384 bytes\n", 0);
}

/* Whether the headers announce a body that is not even read. */
static bool announces_too_much(struct MHD_Connection *c) {
  const char *len = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
  return len != NULL && strtoull(len, NULL, 10) > TORC_CSR_MAX + TORC_HTTP_DROPPED_MAX;
}

static bool has_wrong_type(struct MHD_Connection *c) {
  const char *type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type");
  return type != NULL && strncasecmp(type, "application/pkcs10", 18) != 0;
}

static enum MHD_Result post(torc_http *h, struct MHD_Connection *c, const char *url,
                            const torc_http_request *r) {
  if (r->is_too_long) {
    return too_long(c);
  }
  if (has_wrong_type(c)) {
    return torc_http_text(c, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                          "send a PKCS#10 request with Content-Type: application/pkcs10\n", 0);
  }
  return strcmp(url, TORC_HTTP_PATH_GUEST) == 0 ? torc_http_guest(h, c, r)
                                                : torc_http_credential(h, c, r);
}

static bool takes_post(const char *url) {
  return strcmp(url, TORC_HTTP_PATH_CREDENTIAL) == 0 || strcmp(url, TORC_HTTP_PATH_GUEST) == 0;
}

static enum MHD_Result no_such_thing(torc_http *h, struct MHD_Connection *c, const char *url) {
  bool is_ours = takes_post(url) || strcmp(url, TORC_HTTP_PATH_CONFIG) == 0;
  (void)atomic_fetch_add_explicit(&h->unknown, 1, memory_order_relaxed);
  return is_ours ? torc_http_text(c, MHD_HTTP_METHOD_NOT_ALLOWED,
                                  "GET " TORC_HTTP_PATH_CONFIG ", POST " TORC_HTTP_PATH_CREDENTIAL
                                  " and POST " TORC_HTTP_PATH_GUEST " are what there is\n",
                                  0)
                 : torc_http_text(c, MHD_HTTP_NOT_FOUND,
                                  "an authority of an overlay: GET " TORC_HTTP_PATH_CONFIG "\n", 0);
}

enum MHD_Result torc_http_handle(void *cls, struct MHD_Connection *c, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_len, void **state) {
  torc_http *h = cls;
  torc_http_request *r = *state;
  (void)version;
  if (r == NULL) { /* the headers are here */
    *state = calloc(1, sizeof *r);
    if (*state != NULL && announces_too_much(c)) {
      return too_long(c);
    }
    return *state == NULL ? MHD_NO : MHD_YES;
  }
  if (*upload_len > 0) {
    return take_body(r, upload, upload_len);
  }
  if (strcmp(method, MHD_HTTP_METHOD_OPTIONS) == 0) {
    return send_preflight(c);
  }
  bool is_get =
      strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
  if (is_get && strcmp(url, TORC_HTTP_PATH_CONFIG) == 0) {
    return send_document(h, c);
  }
  if (strcmp(method, MHD_HTTP_METHOD_POST) == 0 && takes_post(url)) {
    return post(h, c, url, r);
  }
  return no_such_thing(h, c, url);
}

void torc_http_done(void *cls, struct MHD_Connection *c, void **state,
                    enum MHD_RequestTerminationCode why) {
  (void)cls;
  (void)c;
  (void)why;
  free(*state);
  *state = NULL;
}

/* ---- metrics ---- */

typedef struct metric {
  const char *name, *help;
  uint64_t value;
} metric;

static uint64_t load(const _Atomic uint64_t *c) {
  return atomic_load_explicit(c, memory_order_relaxed);
}

static size_t write_metrics(const torc_http *h, char *out, size_t cap) {
  const torc_enrol_counts *n = &h->enrol->counts;
  const metric list[] = {
      {"certificates_issued", "certificates issued", load(&n->issued)},
      {"certificates_repeated", "requests answered with the certificate of a short time ago",
       load(&n->repeated)},
      {"guest_certificates_issued", "certificates among them that went to guests",
       load(&n->guests_issued)},
      {"refused_request", "requests refused: no PKCS#10, weak key, signature",
       load(&n->refused_request)},
      {"refused_name", "requests refused: name, peer-id or account", load(&n->refused_name)},
      {"refused_count", "requests refused: the account has enough certificates",
       load(&n->refused_count)},
      {"refused_limit", "requests refused: too many from one address", load(&n->refused_limit)},
      {"refused_password", "requests refused: wrong account name or password",
       load(&n->refused_password)},
      {"failed", "requests that failed here: database, signature, audit log", load(&n->failed)},
      {"documents", "configuration documents served", load(&h->documents)},
      {"challenges", "Digest challenges sent", load(&h->challenges)},
      {"unknown", "requests for what there is not", load(&h->unknown)},
  };
  size_t at = 0;
  for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
    int len = snprintf(out + at, cap - at,
                       "# HELP torc_authority_%s_total %s\n# TYPE torc_authority_%s_total counter\n"
                       "torc_authority_%s_total %" PRIu64 "\n",
                       list[i].name, list[i].help, list[i].name, list[i].name, list[i].value);
    if (len < 0 || (size_t)len >= cap - at) {
      break;
    }
    at += (size_t)len;
  }
  return at;
}

enum MHD_Result torc_http_handle_metrics(void *cls, struct MHD_Connection *c, const char *url,
                                         const char *method, const char *version,
                                         const char *upload, size_t *upload_len, void **state) {
  static const char token = 0;
  char text[METRICS_CAP];
  (void)version;
  (void)upload;
  if (*state == NULL) {
    *state = (void *)(uintptr_t)&token;
    return MHD_YES;
  }
  *upload_len = 0;
  if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 || strcmp(url, "/metrics") != 0) {
    return torc_http_text(c, MHD_HTTP_NOT_FOUND, "GET /metrics\n", 0);
  }
  size_t len = write_metrics(cls, text, sizeof text);
  struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_COPY);
  if (r == NULL) {
    return MHD_NO;
  }
  (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
                                "text/plain; version=0.0.4; charset=utf-8");
  enum MHD_Result rc = MHD_queue_response(c, MHD_HTTP_OK, r);
  MHD_destroy_response(r);
  return rc;
}
