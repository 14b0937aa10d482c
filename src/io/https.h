/* One HTTPS request with libcurl, which is opened by the first call. Blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_HTTPS_H
#define TORC_IO_HTTPS_H

#include "torc/types.h"

#define TORC_HTTPS_S 15 /* seconds a request may take */
#define TORC_HTTPS_TYPE_MAX 128

typedef struct torc_https_request {
  const char *url; /* https only */
  const char *at;  /* "192.0.2.1:8443": where to connect whatever the URL says; NULL: there */
  const torc_slice *roots; /* DER: believed beside the system's authorities */
  size_t num_roots;
  const char *ca_file;         /* PEM: believed instead of all others; NULL: none */
  const char *user, *password; /* HTTP Digest; NULL: none */
  torc_slice body;             /* POST if there is a type of it */
  const char *content_type;
  size_t max; /* bytes the answer may have */
} torc_https_request;

typedef enum torc_https_fault {
  TORC_HTTPS_OK = 0,    /* there is an answer, whatever its status */
  TORC_HTTPS_CONNECT,   /* nobody there */
  TORC_HTTPS_TIMEOUT,   /* there, but silent */
  TORC_HTTPS_TLS,       /* no TLS spoken there, or not together */
  TORC_HTTPS_NAME,      /* the certificate is another name's */
  TORC_HTTPS_EXPIRED,   /* the certificate has expired, by this machine's clock */
  TORC_HTTPS_NOT_YET,   /* its time is to come, by this machine's clock */
  TORC_HTTPS_UNTRUSTED, /* of an authority that is not believed */
  TORC_HTTPS_TOO_LARGE, /* more than `max` */
  TORC_HTTPS_OTHER      /* anything else: `err` says what */
} torc_https_fault;

typedef struct torc_https_answer {
  torc_https_fault fault;
  long status;                    /* 200... */
  char type[TORC_HTTPS_TYPE_MAX]; /* Content-Type as it came; empty: none */
  torc_wall date;                 /* of the answer; after EXPIRED and NOT_YET of one that nobody
                                   * vouches for, to compare clocks with; 0: none */
  uint32_t retry_after_s;         /* 0: none */
  char *body;                     /* NUL-terminated; freed with torc_https_clear */
  size_t len;
} torc_https_answer;

/* The certificate must be that of the URL's host [ENR-08] [GAP-126], also with `at`: server name,
 * Host header and check use the URL's. No redirects, TLS 1.2 or later. 0: out->status. Otherwise
 * TORC_ERR_IO with out->fault and one line, or TORC_ERR_NOMEM. */
int torc_https_ask(torc_https_answer *out, const torc_https_request *q, char *err,
                   size_t err_cap) TORC_MUST_CHECK;
void torc_https_clear(torc_https_answer *a);

#endif
