/* TLS over whatever carries bytes: one OpenSSL connection whose input and output are memory.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_TLS_H
#define TORC_IO_TLS_H

#include "base/cursor.h"
#include "io/x509.h"

typedef struct torc_tls_ctx torc_tls_ctx; /* what all connections of one node share */

/* Called before anything else of OpenSSL, its table of error texts, a quarter of a megabyte, stays
 * out of this process. Alerts are told in words all the same, other failures by a number that
 * `openssl errstr` explains. */
void torc_tls_without_texts(void);

/* Borrows `pki`, which must hold the own certificate and key, or the shared key. */
int torc_tls_ctx_new(torc_tls_ctx **out, const torc_pki *pki, char *err,
                     size_t err_cap) TORC_MUST_CHECK;
/* The same for DTLS [TLS-02] [GAP-161]: for torc_dtls alone (dtls.h). */
int torc_tls_ctx_new_dtls(torc_tls_ctx **out, const torc_pki *pki, char *err,
                          size_t err_cap) TORC_MUST_CHECK;
void torc_tls_ctx_free(torc_tls_ctx *c);
/* Connections begun from now on show the certificate that the pki has as its own now [ENR-38].
 * TORC_ERR_CRYPTO: they show the one before. */
int torc_tls_ctx_renew(torc_tls_ctx *c) TORC_MUST_CHECK;
/* The present: certificates are dated by it. */
void torc_tls_ctx_set_wall(torc_tls_ctx *c, torc_wall now);

#define TORC_TLS_WHY_MAX 128

/* One connection; lies in its owner. */
typedef struct torc_tls {
  torc_tls_ctx *ctx;
  void *ssl; /* SSL * */
  torc_slice
      in; /* ciphertext not read yet, borrowed; set by the owner before a call, empty after it */
  torc_buf out;    /* ciphertext to be sent; the owner takes it out */
  torc_cert *cert; /* the other side's, once the handshake is done; owned */
  bool is_closed;  /* the other side said close_notify */
  /* Of a shared-key overlay [D-18]. */
  torc_id expected; /* client: whom it dials; 0: whoever answers */
  torc_id claimed;  /* what the other side says it is */
  char identity[2 * (2 * TORC_ID_LEN + 1)];
  char why[TORC_TLS_WHY_MAX]; /* reason of a failure */
} torc_tls;

/* expected: the peer-id that is dialled, 0 or NULL if it is not known; only a shared-key overlay
 * needs it. out_max: bytes `out` may hold; a write beyond it fails. */
int torc_tls_init(torc_tls *t, torc_tls_ctx *ctx, bool is_client, const torc_id *expected,
                  size_t out_max) TORC_MUST_CHECK;
void torc_tls_clear(torc_tls *t);
/* 0: done, `cert` is set. TORC_ERR_SHORT: needs more input. TORC_ERR_CRYPTO: failed, see `why`;
 * `out` may hold an alert. */
int torc_tls_handshake(torc_tls *t) TORC_MUST_CHECK;
/* Reads decrypted bytes; *len 0: `in` is used up. TORC_ERR_CLOSED, TORC_ERR_CRYPTO. */
int torc_tls_read(torc_tls *t, uint8_t *buf, size_t cap, size_t *len) TORC_MUST_CHECK;
/* Part of a record has come and the rest has not. */
bool torc_tls_has_part(const torc_tls *t);
/* Encrypts all of `data` into `out`. TORC_ERR_LIMIT: no room there. */
int torc_tls_write(torc_tls *t, torc_slice data) TORC_MUST_CHECK;
/* Says close_notify; nothing can be written after it. */
void torc_tls_shutdown(torc_tls *t);

#endif
