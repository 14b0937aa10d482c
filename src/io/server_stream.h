/* A TCP or TLS connection to a server that is no peer, such as a TURN server [ICE-18] [GAP-79]. Its
 * certificate is one of the web: a CA that the machine or the configuration trusts, and the name.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_SERVER_STREAM_H
#define TORC_IO_SERVER_STREAM_H

#include <openssl/ssl.h>
#include <uv.h>

#include "io/addr.h"

#define TORC_SERVER_STREAM_LIMIT \
  TORC_SEC(10) /* to connect and shake hands, by the caller's timer */
#define TORC_SERVER_STREAM_QUEUE (256u << 10) /* bytes that the other side does not take */
#define TORC_SERVER_STREAM_WHY_MAX 160

typedef struct torc_server_stream torc_server_stream;

/* From the loop only, but for `closed`. None is called after torc_server_stream_close. */
typedef struct torc_server_stream_events {
  void *ctx;
  /* It stands, or never will: then `why` says so in words. */
  void (*opened)(void *ctx, torc_server_stream *s, int rc, const char *why);
  void (*data)(void *ctx, torc_server_stream *s, torc_slice bytes); /* live for the call */
  void (*ended)(void *ctx, torc_server_stream *s, int rc);          /* behind `opened` */
  void (*freed)(void *ctx); /* torc_server_stream_close has been carried out */
} torc_server_stream_events;

/* What all TLS connections share: certificates are trusted that `ca_file` (PEM) has, or the
 * machine's if it is NULL. On failure `err` says what to do. TORC_ERR_CONFIG, TORC_ERR_NOMEM. */
int torc_server_stream_tls_new(SSL_CTX **out, const char *ca_file, char *err,
                               size_t err_cap) TORC_MUST_CHECK;

/* `tls` NULL: TCP alone. `host`: a name or an address literal that the certificate has to be for.
 * TORC_ERR_IO: no way there. TORC_ERR_NOMEM. */
int torc_server_stream_open(torc_server_stream **out, uv_loop_t *loop, const torc_sock *remote,
                            SSL_CTX *tls, const char *host,
                            const torc_server_stream_events *events) TORC_MUST_CHECK;
/* All of it, now or as the other side takes it. TORC_ERR_LIMIT: too much is waiting, nothing was
 * taken. TORC_ERR_STATE: not open. TORC_ERR_CRYPTO, TORC_ERR_NOMEM: of no use any more. */
int torc_server_stream_send(torc_server_stream *s, torc_slice bytes) TORC_MUST_CHECK;
/* Closes at once; `freed` follows. */
void torc_server_stream_close(torc_server_stream *s);

#endif
