/* What the gate and the connections share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_DTLS_IMPL_H
#define TORC_IO_DTLS_IMPL_H

#include "base/map.h"
#include "io/dtls.h"

struct torc_dtls_gate {
  torc_tls_ctx *tls;
  torc_list half_open; /* accepted handshakes, oldest first */
  size_t num_half_open;
  size_t queued;          /* bytes, of all connections */
  uint8_t secrets[2][32]; /* of cookies: the present one and the one before */
  torc_time secret_until;
  torc_dtls_stats stats;
  uint8_t plain[TORC_DTLS_PLAIN_MAX];   /* a record that came, for the call */
  uint8_t leaving[TORC_DTLS_PLAIN_MAX]; /* one that goes out */
};

typedef struct torc_dtls_waiting {
  torc_list node;
  size_t len;
  uint8_t bytes[];
} torc_dtls_waiting;

struct torc_dtls {
  torc_tls tls; /* first: what OpenSSL's callbacks are given */
  torc_dtls_gate *gate;
  torc_dtls_config cfg;
  torc_list half_open;
  torc_dtls_state state;
  int rc;
  torc_slice in;               /* the datagram at hand */
  bool is_half_open, is_muted; /* is_muted: what it writes was said before it was made */
  bool is_narrow;              /* a datagram of this call was too long for the path */
  torc_time now, limit, rto_at, path_until; /* rto_at: when OpenSSL's timer is looked at */
  uint32_t path, path_max;
  uint32_t mtu;
  uint64_t tokens; /* bytes, millionths of them */
  torc_time tokens_at;
  torc_list waiting;
  size_t queued;
};

/* Takes a place among the handshakes under way. */
void torc_dtls_gate_enter(torc_dtls_gate *g, torc_dtls *d);
void torc_dtls_gate_leave(torc_dtls_gate *g, torc_dtls *d);
/* Ends it; says nothing to the other side. */
void torc_dtls_end(torc_dtls *d, int rc, const char *why);
/* A ClientHello without cookie, as the other side sent it before the one with it: for OpenSSL,
 * which has not seen it. */
#define TORC_DTLS_FIRST_HELLO 80u
size_t torc_dtls_first_hello(uint8_t out[TORC_DTLS_FIRST_HELLO]);

#endif
