/* URIs of STUN and TURN servers: RFC 7064, RFC 7065 [ICE-09] [ICE-18].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_SERVER_URI_H
#define TORC_IO_SERVER_URI_H

#include "torc/types.h"

#define TORC_SERVER_HOST_MAX 256

typedef enum torc_server_kind {
  TORC_SERVER_STUN,     /* stun:HOST[:PORT], 3478 */
  TORC_SERVER_TURN_UDP, /* turn:HOST[:PORT][?transport=udp], 3478 */
  TORC_SERVER_TURN_TCP, /* turn:HOST[:PORT]?transport=tcp, 3478 */
  TORC_SERVER_TURN_TLS  /* turns:HOST[:PORT][?transport=tcp], 5349 */
} torc_server_kind;

typedef struct torc_server_uri {
  torc_server_kind kind;
  char host[TORC_SERVER_HOST_MAX]; /* name or address literal, without brackets */
  uint16_t port;
} torc_server_uri;

/* TORC_ERR_FORMAT: something else, or a scheme that is not served here (stuns, DTLS). */
int torc_server_uri_parse(const char *text, torc_server_uri *out) TORC_MUST_CHECK;

#endif
