/* libFuzzer target of the reader of Authorization headers. What is read is written down in the
 * order of the standard and read again: the same must come out. Nothing forged is a password's
 * answer or one of our nonces. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/http/digest.h"

#define HEADER_CAP (16 * TORC_DIGEST_FIELD_MAX)
#define PATH "/p2psip/credential"
#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) {                                                     \
      (void)fprintf(stderr, "fuzz_digest: %s does not hold\n", #condition); \
      abort();                                                              \
    }                                                                       \
  } while (0)

static torc_nonces *our_nonces(void) {
  static torc_nonces *nonces;
  CHECK(nonces != NULL || torc_nonces_new(&nonces) == 0);
  return nonces;
}

static void write_header(const torc_digest *d, char out[HEADER_CAP]) {
  (void)snprintf(
      out, HEADER_CAP,
      "Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", algorithm=\"%s\", "
      "qop=\"%s\", nc=\"%s\", cnonce=\"%s\", response=\"%s\"",
      d->username, d->realm, d->nonce, d->uri, d->algorithm, d->qop, d->nc, d->cnonce, d->response);
}

/* A value without quotes may hold one behind its first byte, which cannot be written with them. */
static bool can_be_quoted(const torc_digest *d) {
  const char *const fields[] = {d->username, d->realm,    d->nonce, d->uri,      d->nc,
                                d->cnonce,   d->response, d->qop,   d->algorithm};
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    if (strchr(fields[i], '"') != NULL) {
      return false;
    }
  }
  return true;
}

static void check_read(const torc_digest *d) {
  static const uint8_t secret[TORC_SHA256_LEN] = {1};
  char header[HEADER_CAP];
  torc_digest again;
  CHECK(d->username[0] != '\0' && strcmp(d->qop, "auth") == 0);
  CHECK(!torc_digest_fits(d, "POST", secret));
  CHECK(!torc_nonces_use(our_nonces(), d->nonce, TORC_SEC(1)));
  CHECK(!torc_digest_is_for(d, PATH) || strstr(d->uri, PATH) != NULL);
  if (can_be_quoted(d)) {
    write_header(d, header);
    CHECK(torc_digest_read(header, &again));
    CHECK(memcmp(&again, d, sizeof again) == 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  torc_digest d;
  char *header = malloc(len + 1);
  CHECK(header != NULL);
  memcpy(header, data, len);
  header[len] = '\0';
  if (torc_digest_read(header, &d)) {
    check_read(&d);
  }
  free(header);
  return 0;
}
