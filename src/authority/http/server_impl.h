/* Shared by the files of the HTTPS server. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_HTTP_SERVER_IMPL_H
#define TORC_AUTHORITY_HTTP_SERVER_IMPL_H

#include <microhttpd.h>
#include <pthread.h>

#include "authority/files.h"
#include "authority/http/digest.h"
#include "authority/http/server.h"

typedef struct torc_http_listener {
  int fd; /* kept over a reload */
  struct MHD_Daemon *daemon;
} torc_http_listener;

/* Of the HTTPS server, in PEM. */
typedef struct torc_http_tls {
  uint8_t *cert, *key;
  size_t cert_len, key_len;
} torc_http_tls;

/* The configuration document as it is served: one that a peer accepts. Counted references, since a
 * reload comes while answers with the old one are on their way. */
typedef struct torc_http_document {
  uint8_t *text;
  size_t len;
  char etag[2 * TORC_SHA256_LEN + 3]; /* with quotes */
  uint32_t expires_s;
} torc_http_document;

struct torc_http {
  torc_enrol *enrol;
  torc_limit *requests, *challenged, *failures;
  uint8_t secret[TORC_SHA256_LEN]; /* of digests of accounts that do not exist */
  torc_nonces *nonces;
  torc_http_listener listeners[TORC_HTTP_LISTEN_MAX];
  size_t num_listeners;
  struct MHD_Daemon *metrics;
  int metrics_fd;       /* of that daemon */
  pthread_mutex_t lock; /* of `document` */
  torc_http_document document;
  torc_http_tls tls; /* held while a daemon uses it */
  unsigned threads;
  atomic_bool allows_md5;
  _Atomic uint64_t documents, challenges, limited, unknown;
};

/* What one request has brought so far. */
typedef struct torc_http_request {
  size_t len, dropped;
  bool is_too_long;
  uint8_t body[TORC_CSR_MAX];
} torc_http_request;

enum MHD_Result torc_http_handle(void *cls, struct MHD_Connection *c, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_len, void **state);
void torc_http_done(void *cls, struct MHD_Connection *c, void **state,
                    enum MHD_RequestTerminationCode why);
enum MHD_Result torc_http_handle_metrics(void *cls, struct MHD_Connection *c, const char *url,
                                         const char *method, const char *version,
                                         const char *upload, size_t *upload_len, void **state);

/* Answers with text; takes no ownership. wait_s: Retry-After, 0: none. */
enum MHD_Result torc_http_text(struct MHD_Connection *c, unsigned status, const char *text,
                               uint32_t wait_s);
/* POST of a request for a certificate, its body complete. */
enum MHD_Result torc_http_credential(torc_http *h, struct MHD_Connection *c,
                                     const torc_http_request *r);
enum MHD_Result torc_http_guest(torc_http *h, struct MHD_Connection *c, const torc_http_request *r);
/* Headers that let pages of other origins read the answer. */
void torc_http_allow_origins(struct MHD_Response *r);

#endif
