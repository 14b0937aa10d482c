/* SPDX-License-Identifier: Apache-2.0 */
#include "io/overlay_fetch.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "io/err.h"

#define MEDIA_TYPE "application/p2p-overlay+xml" /* [ENR-10] */
#define WHY_MAX 256

void torc_overlay_url(const char *name, const char *path, char out[TORC_OVERLAY_URL_MAX]) {
  bool is_v6 = strchr(name, ':') != NULL; /* [ENR-04] an address as name */
  (void)snprintf(out, TORC_OVERLAY_URL_MAX, "https://%s%s%s%s", is_v6 ? "[" : "", name,
                 is_v6 ? "]" : "", path);
}

void torc_overlay_default_url(const char *name, char out[TORC_OVERLAY_URL_MAX]) {
  torc_overlay_url(name, "/p2psip/enroll", out);
}

/* [ENR-10] [ENR-13] */
int torc_overlay_media_type(const char *type, char encoding[TORC_OVERLAY_ENCODING_MAX], char *err,
                            size_t err_cap) {
  size_t len = strlen(MEDIA_TYPE);
  if (strncasecmp(type, MEDIA_TYPE, len) != 0 || strchr("; \t", type[len]) == NULL) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "the answer is %.80s, not " MEDIA_TYPE,
                     type[0] == '\0' ? "of no type" : type);
  }
  encoding[0] = '\0';
  const char *charset = strcasestr(type + len, "charset=");
  if (charset != NULL) {
    charset += strlen("charset=");
    charset += *charset == '"' ? 1 : 0;
    size_t n = strcspn(charset, "\"; \t");
    if (n == 0 || n >= TORC_OVERLAY_ENCODING_MAX) {
      return torc_fail(TORC_ERR_IO, err, err_cap, "the answer has a charset that is none");
    }
    memcpy(encoding, charset, n);
    encoding[n] = '\0';
  }
  return 0;
}

int torc_overlay_fetch(torc_overlay_fetched *out, const char *url, const torc_slice *roots,
                       size_t num_roots, char *err, size_t err_cap) {
  torc_https_answer answer;
  const torc_https_request q = {
      .url = url, .roots = roots, .num_roots = num_roots, .max = TORC_OVERLAY_XML_MAX};
  memset(out, 0, sizeof *out);
  char why[WHY_MAX] = "";
  int rc = torc_https_ask(&answer, &q, why, sizeof why);
  if (rc != 0 && answer.fault == TORC_HTTPS_TOO_LARGE) {
    return torc_fail(rc, err, err_cap, "the answer is larger than 1 MiB");
  }
  if (rc != 0 && answer.fault == TORC_HTTPS_CONNECT) {
    return torc_fail(rc, err, err_cap, "%s cannot be reached: %s", url, why);
  }
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "%s", why);
  }
  if (answer.status != 200) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "the server answers with status %ld", answer.status);
  } else {
    rc = torc_overlay_media_type(answer.type, out->encoding, err, err_cap);
  }
  if (rc == 0) {
    out->xml = answer.body; /* moved: the line below frees nothing */
    out->len = answer.len;
    out->date = answer.date;
    answer.body = NULL;
  }
  torc_https_clear(&answer);
  return rc;
}
