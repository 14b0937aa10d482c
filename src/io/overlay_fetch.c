/* SPDX-License-Identifier: Apache-2.0 */
#include "io/overlay_fetch.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/late_lib.h"

#undef curl_easy_setopt
#undef curl_easy_getinfo
#define FUNCTIONS(X)   \
  X(curl_global_init)  \
  X(curl_easy_init)    \
  X(curl_easy_setopt)  \
  X(curl_easy_perform) \
  X(curl_easy_getinfo) X(curl_easy_strerror) X(curl_easy_cleanup) X(curl_getdate)

#define MEDIA_TYPE "application/p2p-overlay+xml" /* [ENR-10] */
#define PEM_LINE 64u

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

typedef struct fetch {
  const curl_lib *curl;
  torc_overlay_fetched *out;
  bool is_too_long;
} fetch;

void torc_overlay_default_url(const char *name, char out[TORC_OVERLAY_URL_MAX]) {
  (void)snprintf(out, TORC_OVERLAY_URL_MAX, "https://%s/p2psip/enroll", name);
}

/* ---- what comes ---- */

static size_t on_body(char *bytes, size_t one, size_t num, void *ctx) {
  fetch *f = ctx;
  (void)one; /* always 1 */
  if (num > TORC_OVERLAY_XML_MAX - f->out->len) {
    f->is_too_long = true;
    return 0;
  }
  memcpy(f->out->xml + f->out->len, bytes, num);
  f->out->len += num;
  return num;
}

static size_t on_header(char *bytes, size_t one, size_t num, void *ctx) {
  fetch *f = ctx;
  char text[128];
  size_t len = one * num;
  if (len > 5 && len < sizeof text && strncasecmp(bytes, "date:", 5) == 0) {
    memcpy(text, bytes + 5, len - 5);
    text[len - 5] = '\0';
    time_t t = f->curl->curl_getdate(text, NULL);
    f->out->date = t > 0 && t < (time_t)UINT32_MAX ? (torc_wall)t : 0;
  }
  return len;
}

/* [ENR-10] [ENR-13] */
static int read_media_type(const char *type, torc_overlay_fetched *out, char *err, size_t err_cap) {
  size_t len = strlen(MEDIA_TYPE);
  if (type == NULL || strncasecmp(type, MEDIA_TYPE, len) != 0 ||
      strchr("; \t", type[len]) == NULL) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "the answer is %.80s, not " MEDIA_TYPE,
                     type == NULL ? "of no type" : type);
  }
  const char *charset = strcasestr(type + len, "charset=");
  if (charset != NULL) {
    charset += strlen("charset=");
    charset += *charset == '"' ? 1 : 0;
    size_t n = strcspn(charset, "\"; \t");
    if (n == 0 || n >= sizeof out->encoding) {
      return torc_fail(TORC_ERR_IO, err, err_cap, "the answer has a charset that is none");
    }
    memcpy(out->encoding, charset, n);
    out->encoding[n] = '\0';
  }
  return 0;
}

/* ---- whom to believe ---- */

/* The roots as PEM, for libcurl; NULL: no memory. */
static char *roots_pem(const torc_slice *roots, size_t num, size_t *len) {
  size_t cap = 1;
  for (size_t i = 0; i < num; i++) {
    cap += (roots[i].len + 2) / 3 * 4 * (PEM_LINE + 1) / PEM_LINE + 80;
  }
  char *pem = malloc(cap);
  char *base64 = malloc(cap);
  size_t n = 0;
  for (size_t i = 0; pem != NULL && base64 != NULL && i < num; i++) {
    size_t chars = (size_t)EVP_EncodeBlock((uint8_t *)base64, roots[i].p, (int)roots[i].len);
    n += (size_t)snprintf(pem + n, cap - n, "-----BEGIN CERTIFICATE-----\n");
    for (size_t at = 0; at < chars; at += PEM_LINE) {
      n += (size_t)snprintf(pem + n, cap - n, "%.64s\n", base64 + at);
    }
    n += (size_t)snprintf(pem + n, cap - n, "-----END CERTIFICATE-----\n");
  }
  free(base64);
  *len = n;
  return pem;
}

static CURLcode set_up(const curl_lib *curl, CURL *easy, const char *url, fetch *f, char *reason,
                       struct curl_blob *roots) {
  const struct {
    CURLoption option;
    long value;
  } numbers[] = {{CURLOPT_FOLLOWLOCATION, 0},
                 {CURLOPT_SSL_VERIFYPEER, 1},
                 {CURLOPT_SSL_VERIFYHOST, 2},
                 {CURLOPT_TIMEOUT, TORC_OVERLAY_FETCH_S},
                 {CURLOPT_NOSIGNAL, 1},
                 {CURLOPT_FAILONERROR, 1},
                 {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
                 {CURLOPT_MAXFILESIZE, TORC_OVERLAY_XML_MAX}};
  const struct {
    CURLoption option;
    const void *value;
  } pointers[] = {{CURLOPT_URL, url},
                  {CURLOPT_PROTOCOLS_STR, "https"},
                  {CURLOPT_WRITEDATA, f},
                  {CURLOPT_HEADERDATA, f},
                  {CURLOPT_ERRORBUFFER, reason},
                  {CURLOPT_CAINFO_BLOB, roots},
                  {CURLOPT_USERAGENT, "torc/" TORC_VERSION}};
  CURLcode rc = curl->curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  rc = rc != CURLE_OK ? rc : curl->curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  for (size_t i = 0; rc == CURLE_OK && i < TORC_ARRAY_LEN(numbers); i++) {
    rc = curl->curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
  }
  for (size_t i = 0; rc == CURLE_OK && i < TORC_ARRAY_LEN(pointers); i++) {
    rc = curl->curl_easy_setopt(easy, pointers[i].option, pointers[i].value);
  }
  return rc;
}

static int perform(const curl_lib *curl, fetch *f, const char *url, struct curl_blob *roots,
                   char *err, size_t err_cap) {
  char reason[CURL_ERROR_SIZE] = "";
  char *type = NULL;
  CURL *easy = curl->curl_easy_init();
  if (easy == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  CURLcode code = set_up(curl, easy, url, f, reason, roots);
  code = code != CURLE_OK ? code : curl->curl_easy_perform(easy);
  int rc = 0;
  if (f->is_too_long || code == CURLE_FILESIZE_EXCEEDED) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "the answer is larger than 1 MiB");
  } else if (code != CURLE_OK) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "%s",
                   reason[0] != '\0' ? reason : curl->curl_easy_strerror(code));
  } else {
    (void)curl->curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    rc = read_media_type(type, f->out, err, err_cap);
  }
  curl->curl_easy_cleanup(easy);
  return rc;
}

int torc_overlay_fetch(torc_overlay_fetched *out, const char *url, const torc_slice *roots,
                       size_t num_roots, char *err, size_t err_cap) {
  curl_lib curl;
  size_t pem_len = 0;
  memset(out, 0, sizeof *out);
  int rc =
      torc_late_lib_open(TORC_SONAME_CURL, symbols, TORC_ARRAY_LEN(symbols), &curl, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  if (strncasecmp(url, "https://", 8) != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "only https is used");
  }
  char *pem = roots_pem(roots, num_roots, &pem_len);
  out->xml = malloc(TORC_OVERLAY_XML_MAX);
  fetch f = {.curl = &curl, .out = out};
  if (pem == NULL || out->xml == NULL || curl.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    rc = torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  } else {
    struct curl_blob blob = {.data = pem, .len = pem_len, .flags = CURL_BLOB_COPY};
    rc = perform(&curl, &f, url, &blob, err, err_cap);
  }
  free(pem);
  if (rc != 0) {
    free(out->xml);
    out->xml = NULL;
    out->len = 0;
  }
  return rc;
}
