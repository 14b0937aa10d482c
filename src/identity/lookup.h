/* Names are looked up in the DNS (libunbound), which the first call opens. Blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IDENTITY_LOOKUP_H
#define TORC_IDENTITY_LOOKUP_H

#include "identity/srv.h"
#include "io/dns_record.h"
#include "io/mdns.h"

#define TORC_LOOKUP_DNS_MS 10000 /* one question may take */

typedef struct torc_dns torc_dns;
typedef struct torc_dns_config {
  const char *resolver;     /* "192.0.2.53", "::1@5353": asked alone; NULL: those of this machine */
  const char *trust_anchor; /* file with DS or DNSKEY records; NULL: DNSSEC is not checked */
} torc_dns_config;

/* TORC_ERR_CONFIG, TORC_ERR_IO, TORC_ERR_NOMEM with one line. Freed with torc_dns_close. */
int torc_dns_open(torc_dns **out, const torc_dns_config *cfg, char *err,
                  size_t err_cap) TORC_MUST_CHECK;
void torc_dns_close(torc_dns *d);
/* 0 with num 0: there is no such record. TORC_ERR_IO: no answer, or a forged one. */
int torc_dns_ask(torc_dns *d, const char *name, torc_lookup_type type, torc_lookup *out, char *err,
                 size_t err_cap) TORC_MUST_CHECK;

#endif
