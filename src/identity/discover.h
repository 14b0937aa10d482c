/* Where the enrolment server of an overlay is [ENR-03..08] [GAP-125] [GAP-126].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IDENTITY_DISCOVER_H
#define TORC_IDENTITY_DISCOVER_H

#include "identity/lookup.h"

#define TORC_SERVERS_MAX 16 /* addresses that are tried */
#define TORC_HTTPS_PORT 443

typedef struct torc_server {
  char host[TORC_DNS_NAME_MAX]; /* for people: the name it was found under */
  torc_sock at;
} torc_server;

#define TORC_SERVER_TEXT (TORC_DNS_NAME_MAX + TORC_SOCK_TEXT + 4)
/* "host (192.0.2.1:443)". */
const char *torc_server_text(const torc_server *s, char out[TORC_SERVER_TEXT]);

typedef struct torc_discovery {
  torc_server servers[TORC_SERVERS_MAX]; /* in the order in which they are tried */
  size_t num;
  bool has_srv; /* found by SRV records */
  torc_dnssec dnssec;
} torc_discovery;

typedef struct torc_discover_config {
  torc_dns_config dns;
  const char *server; /* "HOST:PORT" instead of any search [ENR-02]; NULL: none */
} torc_discover_config;

/* The overlay's name is looked at first: an IP address is the server's [ENR-04]; under .local the
 * links are asked for SRV records of _p2p_menroll._tcp [ENR-06], elsewhere the DNS for those of
 * _p2p_enroll._tcp [ENR-05]; without any the name itself at port 443. TORC_ERR_INVALID: it is no
 * name. TORC_ERR_NOTFOUND, TORC_ERR_IO: one line that says what was looked for. */
int torc_discover(torc_discovery *out, const char *overlay, const torc_discover_config *cfg,
                  char *err, size_t err_cap) TORC_MUST_CHECK;
/* Addresses of a host that is no overlay: a credential server elsewhere [ENR-21]. */
int torc_discover_host(torc_discovery *out, const char *host, uint16_t port,
                       const torc_discover_config *cfg, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Whether the name, in any case and with or without a final dot, ends in .local. */
bool torc_discover_is_local(const char *name);
/* What a report says of the DNSSEC state. */
const char *torc_dnssec_text(torc_dnssec state);

#endif
