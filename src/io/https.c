/* SPDX-License-Identifier: Apache-2.0 */
#include "io/https.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/late_lib.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#define FUNCTIONS(X)    \
  X(curl_global_init)   \
  X(curl_easy_init)     \
  X(curl_easy_setopt)   \
  X(curl_easy_perform)  \
  X(curl_easy_getinfo)  \
  X(curl_easy_strerror) \
  X(curl_easy_cleanup) X(curl_getdate) X(curl_slist_append) X(curl_slist_free_all)

#define PEM_LINE 64u
#define RETRY_AFTER_MAX 86400 /* seconds; whatever says more is not believed */
#define BODY_STEP 4096u

typedef struct curl_lib {
#define X(name) __typeof__(name) *(name);
  FUNCTIONS(X)
#undef X
} curl_lib;

static const torc_late_symbol symbols[] = {
#define X(name) {#name, offsetof(curl_lib, name)},
    FUNCTIONS(X)
#undef X
};

typedef struct asking {
  const curl_lib *curl;
  const torc_https_request *q;
  torc_https_answer *out;
  size_t cap;
  bool is_too_long, is_out_of_memory;
  char *pem; /* the roots */
  size_t pem_len;
  struct curl_slist *headers, *connect;
  char reason[CURL_ERROR_SIZE];
} asking;

/* ---- what comes ---- */

static size_t on_body(char *bytes, size_t one, size_t num, void *ctx) {
  asking *a = ctx;
  torc_https_answer *out = a->out;
  (void)one; /* always 1 */
  if (num > a->q->max - out->len) {
    a->is_too_long = true;
    return 0;
  }
  if (out->len + num + 1 > a->cap) {
    size_t cap = 2 * (out->len + num) + BODY_STEP;
    char *more = realloc(out->body, cap);
    if (more == NULL) {
      a->is_out_of_memory = true;
      return 0;
    }
    out->body = more;
    a->cap = cap;
  }
  memcpy(out->body + out->len, bytes, num);
  out->len += num;
  out->body[out->len] = '\0';
  return num;
}

/* The text of a header, if it is `name`. */
static bool is_header(const char *bytes, size_t len, const char *name, char out[128]) {
  size_t n = strlen(name);
  if (len <= n || len - n >= 128 || strncasecmp(bytes, name, n) != 0) {
    return false;
  }
  memcpy(out, bytes + n, len - n);
  out[len - n] = '\0';
  return true;
}

static size_t on_header(char *bytes, size_t one, size_t num, void *ctx) {
  asking *a = ctx;
  char text[128];
  size_t len = one * num;
  if (is_header(bytes, len, "date:", text)) {
    time_t t = a->curl->curl_getdate(text, NULL);
    a->out->date = t > 0 && t < (time_t)UINT32_MAX ? (torc_wall)t : 0;
  } else if (is_header(bytes, len, "retry-after:", text)) {
    long s = strtol(text, NULL, 10);
    a->out->retry_after_s = s > 0 && s <= RETRY_AFTER_MAX ? (uint32_t)s : 0;
  } else if (is_header(bytes, len, "http/", text)) { /* Digest: of the last answer only */
    a->out->len = 0;
    a->out->retry_after_s = 0;
  }
  return len;
}

/* ---- whom to believe ---- */

/* The roots as PEM, for libcurl. */
static int put_roots(asking *a) {
  const torc_https_request *q = a->q;
  size_t cap = 1;
  for (size_t i = 0; i < q->num_roots; i++) {
    cap += (q->roots[i].len + 2) / 3 * 4 * (PEM_LINE + 1) / PEM_LINE + 80;
  }
  char *base64 = malloc(cap);
  size_t n = 0;
  a->pem = malloc(cap);
  for (size_t i = 0; a->pem != NULL && base64 != NULL && i < q->num_roots; i++) {
    size_t chars = (size_t)EVP_EncodeBlock((uint8_t *)base64, q->roots[i].p, (int)q->roots[i].len);
    n += (size_t)snprintf(a->pem + n, cap - n, "-----BEGIN CERTIFICATE-----\n");
    for (size_t at = 0; at < chars; at += PEM_LINE) {
      n += (size_t)snprintf(a->pem + n, cap - n, "%.64s\n", base64 + at);
    }
    n += (size_t)snprintf(a->pem + n, cap - n, "-----END CERTIFICATE-----\n");
  }
  bool has_memory = a->pem != NULL && base64 != NULL;
  free(base64);
  a->pem_len = n;
  return has_memory ? 0 : TORC_ERR_NOMEM;
}

static CURLcode set_trust(const asking *a, CURL *easy) {
  CURLcode rc = CURLE_OK;
  if (a->q->ca_file != NULL) {
    rc = a->curl->curl_easy_setopt(easy, CURLOPT_CAINFO, a->q->ca_file);
    return rc != CURLE_OK ? rc : a->curl->curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
  }
  if (a->q->num_roots > 0) {
    struct curl_blob blob = {.data = a->pem, .len = a->pem_len, .flags = CURL_BLOB_COPY};
    rc = a->curl->curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
  }
  return rc;
}

/* ---- the request ---- */

static CURLcode set_method(asking *a, CURL *easy) {
  const curl_lib *c = a->curl;
  const torc_https_request *q = a->q;
  char line[TORC_HTTPS_TYPE_MAX + 16];
  CURLcode rc = CURLE_OK;
  if (q->content_type != NULL) {
    (void)snprintf(line, sizeof line, "Content-Type: %s", q->content_type);
    a->headers = c->curl_slist_append(NULL, line);
    rc = a->headers == NULL ? CURLE_OUT_OF_MEMORY
                            : c->curl_easy_setopt(easy, CURLOPT_HTTPHEADER, a->headers);
    rc = rc != CURLE_OK ? rc : c->curl_easy_setopt(easy, CURLOPT_POSTFIELDS, q->body.p);
    rc = rc != CURLE_OK ? rc : c->curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)q->body.len);
  }
  if (rc == CURLE_OK && q->user != NULL) { /* [ENR-30] */
    rc = c->curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_DIGEST);
    rc = rc != CURLE_OK ? rc : c->curl_easy_setopt(easy, CURLOPT_USERNAME, q->user);
    rc = rc != CURLE_OK ? rc : c->curl_easy_setopt(easy, CURLOPT_PASSWORD, q->password);
  }
  if (rc == CURLE_OK && q->at != NULL) {
    char to[300];
    (void)snprintf(to, sizeof to, "::%s", q->at);
    a->connect = c->curl_slist_append(NULL, to);
    rc = a->connect == NULL ? CURLE_OUT_OF_MEMORY
                            : c->curl_easy_setopt(easy, CURLOPT_CONNECT_TO, a->connect);
  }
  return rc;
}

static CURLcode set_up(asking *a, CURL *easy) {
  const struct {
    CURLoption option;
    long value;
  } numbers[] = {{CURLOPT_FOLLOWLOCATION, 0},
                 {CURLOPT_SSL_VERIFYPEER, 1},
                 {CURLOPT_SSL_VERIFYHOST, 2},
                 {CURLOPT_TIMEOUT, TORC_HTTPS_S},
                 {CURLOPT_NOSIGNAL, 1},
                 {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
                 {CURLOPT_NETRC, CURL_NETRC_IGNORED}};
  const struct {
    CURLoption option;
    const void *value;
  } pointers[] = {{CURLOPT_URL, a->q->url},
                  {CURLOPT_PROTOCOLS_STR, "https"},
                  {CURLOPT_WRITEDATA, a},
                  {CURLOPT_HEADERDATA, a},
                  {CURLOPT_ERRORBUFFER, a->reason},
                  {CURLOPT_PROXY, a->q->at == NULL ? NULL : ""},
                  {CURLOPT_USERAGENT, "torc/" TORC_VERSION}};
  const curl_lib *c = a->curl;
  CURLcode rc = c->curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  rc = rc != CURLE_OK ? rc : c->curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  for (size_t i = 0; rc == CURLE_OK && i < TORC_ARRAY_LEN(numbers); i++) {
    rc = c->curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
  }
  for (size_t i = 0; rc == CURLE_OK && i < TORC_ARRAY_LEN(pointers); i++) {
    if (pointers[i].value != NULL) {
      rc = c->curl_easy_setopt(easy, pointers[i].option, pointers[i].value);
    }
  }
  rc = rc != CURLE_OK ? rc : set_trust(a, easy);
  return rc != CURLE_OK ? rc : set_method(a, easy);
}

/* ---- what went wrong ---- */

static torc_https_fault fault_of_certificate(const asking *a, CURL *easy) {
  long result = X509_V_OK;
  (void)a->curl->curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return TORC_HTTPS_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return TORC_HTTPS_NOT_YET;
    case X509_V_OK:
    case X509_V_ERR_UNSPECIFIED: /* libcurl looks at the name before it asks for this number */
      return TORC_HTTPS_NAME;
    default:
      return TORC_HTTPS_UNTRUSTED;
  }
}

static torc_https_fault fault_of(const asking *a, CURL *easy, int code) {
  if (a->is_too_long || code == CURLE_FILESIZE_EXCEEDED) {
    return TORC_HTTPS_TOO_LARGE;
  }
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      return TORC_HTTPS_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
      return TORC_HTTPS_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
      return fault_of_certificate(a, easy);
    case CURLE_SSL_CONNECT_ERROR:
      return TORC_HTTPS_TLS;
    default:
      return TORC_HTTPS_OTHER;
  }
}

/* A certificate whose time is not now: is it the server's fault or this clock's? Its own idea of
 * the time is asked for, and used for nothing but the words of the complaint. No body, no password.
 */
static void ask_date(asking *a, CURL *easy) {
  const curl_lib *c = a->curl;
  if (c->curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
      c->curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_NONE) == CURLE_OK &&
      c->curl_easy_setopt(easy, CURLOPT_USERNAME, NULL) == CURLE_OK &&
      c->curl_easy_setopt(easy, CURLOPT_PASSWORD, NULL) == CURLE_OK &&
      c->curl_easy_setopt(easy, CURLOPT_POST, 0L) == CURLE_OK &&
      c->curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK) {
    (void)c->curl_easy_perform(easy);
  }
}

/* In the words of the operating system where there are some. */
static const char *words_of(const asking *a, CURL *easy, CURLcode code) {
  long number = 0;
  if (code == CURLE_COULDNT_CONNECT &&
      a->curl->curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number) == CURLE_OK && number != 0) {
    return strerror((int)number);
  }
  return a->reason[0] != '\0' ? a->reason : a->curl->curl_easy_strerror(code);
}

static int perform(asking *a, char *err, size_t err_cap) {
  torc_https_answer *out = a->out;
  char *type = NULL;
  CURL *easy = a->curl->curl_easy_init();
  if (easy == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  CURLcode code = set_up(a, easy);
  code = code != CURLE_OK ? code : a->curl->curl_easy_perform(easy);
  int rc = 0;
  if (a->is_out_of_memory || code == CURLE_OUT_OF_MEMORY) {
    rc = torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  } else if (code != CURLE_OK) {
    out->fault = fault_of(a, easy, (int)code);
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "%s", words_of(a, easy, code));
    if (out->fault == TORC_HTTPS_EXPIRED || out->fault == TORC_HTTPS_NOT_YET) {
      ask_date(a, easy);
    }
  } else {
    (void)a->curl->curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &out->status);
    (void)a->curl->curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    (void)snprintf(out->type, sizeof out->type, "%s", type == NULL ? "" : type);
  }
  a->curl->curl_easy_cleanup(easy);
  return rc;
}

int torc_https_ask(torc_https_answer *out, const torc_https_request *q, char *err, size_t err_cap) {
  curl_lib curl;
  asking a = {.curl = &curl, .q = q, .out = out};
  *out = (torc_https_answer){.fault = TORC_HTTPS_OTHER};
  int rc =
      torc_late_lib_open(TORC_SONAME_CURL, symbols, TORC_ARRAY_LEN(symbols), &curl, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  if (strncasecmp(q->url, "https://", 8) != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "only https is used");
  }
  out->body = calloc(1, BODY_STEP);
  a.cap = BODY_STEP;
  if (out->body == NULL || put_roots(&a) != 0 ||
      curl.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    rc = torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  } else {
    rc = perform(&a, err, err_cap);
  }
  curl.curl_slist_free_all(a.headers);
  curl.curl_slist_free_all(a.connect);
  free(a.pem);
  if (rc != 0) {
    torc_https_clear(out);
  } else {
    out->fault = TORC_HTTPS_OK;
  }
  return rc;
}

void torc_https_clear(torc_https_answer *a) {
  free(a->body);
  a->body = NULL;
  a->len = 0;
}
