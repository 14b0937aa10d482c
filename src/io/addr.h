/* Addresses: text, screening, and those of this machine.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_ADDR_H
#define TORC_IO_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "torc/types.h"

typedef union torc_sock {
  struct sockaddr sa;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} torc_sock;

#define TORC_SOCK_TEXT 64 /* "[v6 address]:port" with its NUL */

/* An IPv4 or IPv6 literal, or a host name of letters, digits, '-', '_' and '.'. */
bool torc_host_valid(const char *host);
bool torc_host_is_multicast(const char *host);
/* A literal without brackets; TORC_ERR_FORMAT otherwise. */
int torc_sock_literal(const char *host, uint16_t port, torc_sock *out) TORC_MUST_CHECK;
/* "127.0.0.1:6084" or "[::1]:6084"; port 0 is accepted. TORC_ERR_FORMAT. */
int torc_sock_parse(const char *text, torc_sock *out) TORC_MUST_CHECK;
/* "1.2.3.4" or "::1". */
void torc_sock_host(const torc_sock *a, char out[TORC_SOCK_TEXT]);
/* "1.2.3.4:80" or "[::1]:80". */
void torc_sock_text(const torc_sock *a, char out[TORC_SOCK_TEXT]);
uint16_t torc_sock_port(const torc_sock *a);
void torc_sock_set_port(torc_sock *a, uint16_t port);
bool torc_sock_eq(const torc_sock *a, const torc_sock *b);      /* address and port */
bool torc_sock_host_eq(const torc_sock *a, const torc_sock *b); /* address only */
/* The same IPv4 address, or the same IPv6 network of 64 bits: somebody with one of its addresses
 * has them all. */
bool torc_sock_site_eq(const torc_sock *a, const torc_sock *b);
bool torc_sock_is_wildcard(const torc_sock *a);
bool torc_sock_is_loopback(const torc_sock *a);
/* May be dialled or advertised at all: a port, and no wildcard, multicast, broadcast or link-local
 * address. */
bool torc_sock_is_usable(const torc_sock *a);
/* 16 bytes of address, IPv4-mapped for IPv4, then the port: ip_address_and_port of the route log
 * [LOG-07]. */
void torc_sock_wire(const torc_sock *a, uint8_t out[18]);
/* IPv4-mapped IPv6 addresses become IPv4. */
void torc_sock_normalise(torc_sock *a);
/* Addresses of this machine's interfaces of one family with `port`; loopback only if there is
 * nothing else. Returns the number written. */
size_t torc_sock_interfaces(int family, uint16_t port, torc_sock *out, size_t max);

#endif
