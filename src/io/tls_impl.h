/* What the parts of torc_tls share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_TLS_IMPL_H
#define TORC_IO_TLS_IMPL_H

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "io/tls.h"

struct torc_tls_ctx {
  SSL_CTX *ssl_ctx;
  BIO_METHOD *method;
  const torc_pki *pki;
  torc_wall now;
  bool is_dtls;
  char own_id[2 * TORC_ID_LEN + 1]; /* shared-key overlay: the own peer-id in hex; else empty */
};

/* Makes what the handshake of t->ssl needs to know of `t`; `bio` passes to it. */
int torc_tls_attach(torc_tls *t, BIO *bio, bool is_client) TORC_MUST_CHECK;
/* Notes why OpenSSL failed in t->why, unless our own check said; gives TORC_ERR_CRYPTO. */
int torc_tls_fault(torc_tls *t);
/* dtls.c: a BIO that keeps datagrams apart; and what a context of DTLS needs beside. */
BIO_METHOD *torc_dtls_method(void);
int torc_dtls_set_up(SSL_CTX *s) TORC_MUST_CHECK;

/* tls_psk.c: links of a shared-key overlay, which only who has the key can form [D-18] [GAP-137]
 * [SEC-06] [SEC-09]. */
int torc_tls_psk_set_up(torc_tls_ctx *c) TORC_MUST_CHECK;
/* Before the handshake. */
int torc_tls_psk_begin(torc_tls *t, bool is_client) TORC_MUST_CHECK;
/* Makes t->cert, which says whom the other side claims to be. */
int torc_tls_psk_done(torc_tls *t) TORC_MUST_CHECK;
/* What the failure `code` of OpenSSL (alert: of the other side, else -1) means there; NULL: nothing
 * special. */
const char *torc_tls_psk_fault(unsigned long code, int alert);

#endif
