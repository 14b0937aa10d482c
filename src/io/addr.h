/* Addresses: text, screening, and those of this machine.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_ADDR_H
#define TORC_IO_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "torc/types.h"

typedef union torc_addr {
  struct sockaddr sa;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
  struct sockaddr_storage storage;
} torc_addr;

#define TORC_ADDR_TEXT 64 /* "[v6 address]:port" with its NUL */

/* An IPv4 or IPv6 literal, or a host name of letters, digits, '-', '_' and '.'. */
bool torc_host_valid(const char *host);
bool torc_host_is_multicast(const char *host);
/* A literal without brackets; TORC_ERR_FORMAT otherwise. */
int torc_addr_literal(const char *host, uint16_t port, torc_addr *out) TORC_MUST_CHECK;
/* "127.0.0.1:6084" or "[::1]:6084"; port 0 is accepted. TORC_ERR_FORMAT. */
int torc_addr_parse(const char *text, torc_addr *out) TORC_MUST_CHECK;
/* "1.2.3.4" or "::1". */
void torc_addr_host(const torc_addr *a, char out[TORC_ADDR_TEXT]);
/* "1.2.3.4:80" or "[::1]:80". */
void torc_addr_text(const torc_addr *a, char out[TORC_ADDR_TEXT]);
uint16_t torc_addr_port(const torc_addr *a);
void torc_addr_set_port(torc_addr *a, uint16_t port);
bool torc_addr_eq(const torc_addr *a, const torc_addr *b);      /* address and port */
bool torc_addr_host_eq(const torc_addr *a, const torc_addr *b); /* address only */
bool torc_addr_is_wildcard(const torc_addr *a);
bool torc_addr_is_loopback(const torc_addr *a);
/* May be dialled or advertised at all: a port, and no wildcard, multicast, broadcast or link-local
 * address. */
bool torc_addr_is_usable(const torc_addr *a);
/* 16 bytes of address, IPv4-mapped for IPv4, then the port: ip_address_and_port of the route log
 * [LOG-07]. */
void torc_addr_wire(const torc_addr *a, uint8_t out[18]);
/* IPv4-mapped IPv6 addresses become IPv4. */
void torc_addr_normalise(torc_addr *a);
/* Addresses of this machine's interfaces of one family with `port`; loopback only if there is
 * nothing else. Returns the number written. */
size_t torc_addr_interfaces(int family, uint16_t port, torc_addr *out, size_t max);

#endif
