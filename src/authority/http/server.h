/* HTTPS of the authority on libmicrohttpd: the overlay configuration [ENR-09], certificates under
 * HTTP Digest [ENR-30], CORS for browsers [BGAP-05], metrics. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TORC_AUTHORITY_HTTP_SERVER_H
#define TORC_AUTHORITY_HTTP_SERVER_H

#include "authority/enrol.h"
#include "authority/limit.h"

#define TORC_HTTP_PATH_CONFIG "/p2psip/enroll" /* [ENR-09] */
#define TORC_HTTP_PATH_CREDENTIAL "/p2psip/credential"
#define TORC_HTTP_PATH_GUEST "/p2psip/guest"
#define TORC_HTTP_LISTEN_MAX 8
#define TORC_HTTP_CONNECTIONS 1024 /* at a time, over all threads of one address */
#define TORC_HTTP_PER_ADDRESS 32   /* of them from one address */
#define TORC_HTTP_TIMEOUT_S 15     /* of a silent connection */
#define TORC_HTTP_DROPPED_MAX \
  (2u << 20) /* bytes of a body beyond its limit that are read, for an answer */

typedef struct torc_http_config {
  const char *listen[TORC_HTTP_LISTEN_MAX]; /* "192.0.2.2:443", "[::]:443"; port 0: any free one */
  size_t num_listen;
  const char *metrics_listen;       /* plain HTTP; NULL: none */
  const char *cert_file, *key_file; /* PEM, of the HTTPS server; the chain in cert_file */
  const char *document_file;        /* the overlay configuration */
  uint32_t document_expires_s;      /* how long it holds [ENR-17]; 0: not said */
  unsigned threads;                 /* for each address; 1 or more */
  bool allows_md5;
  uint32_t per_minute, burst;   /* requests for certificates from one address, and challenges */
  uint32_t failures_per_minute; /* wrong passwords from one address */
  torc_enrol *enrol;            /* borrowed */
} torc_http_config;

typedef struct torc_http torc_http;

/* Begins to serve; strings in `cfg` are copied or read now. TORC_ERR_CONFIG: the document is one
 * that peers would refuse, or an address is none. TORC_ERR_IO: a port or file. TORC_ERR_CRYPTO:
 * certificate and key. `err` gets one line. */
int torc_http_start(torc_http **out, const torc_http_config *cfg, char *err,
                    size_t err_cap) TORC_MUST_CHECK;
/* Whether torc_http_start would find document, certificate and key usable; opens no port. */
int torc_http_check(const torc_http_config *cfg, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Reads document, certificate and key again, where `cfg` says, and takes its limits and MD5 over,
 * and `terms` for whoever asks from now on; addresses and threads stay. A new certificate closes
 * the connections there are; whoever asked meanwhile asks again and gets the same answer. On
 * failure everything stays as it was. */
int torc_http_reload(torc_http *h, const torc_http_config *cfg, const torc_enrol_terms *terms,
                     char *err, size_t err_cap) TORC_MUST_CHECK;
/* Ends what is in progress and frees everything. */
void torc_http_stop(torc_http *h);

/* The i-th address with its real port; false: there are not so many. */
bool torc_http_address(const torc_http *h, size_t i, char *out, size_t cap);
/* The same of the metrics; false: there are none. */
bool torc_http_metrics_address(const torc_http *h, char *out, size_t cap);

#endif
