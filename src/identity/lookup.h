/* Names are looked up in the DNS (libunbound) and by multicast DNS (avahi-core); both libraries are
 * opened by the first call. Blocks. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IDENTITY_LOOKUP_H
#define TORC_IDENTITY_LOOKUP_H

#include "identity/srv.h"
#include "io/addr.h"

#define TORC_LOOKUP_RECORDS_MAX 16   /* of one answer; the others are left */
#define TORC_LOOKUP_DNS_MS 10000     /* one question may take */
#define TORC_LOOKUP_MDNS_MS 3000     /* answers are awaited; RFC 6762 has no "there is none" */
#define TORC_LOOKUP_MDNS_MORE_MS 300 /* for more of them after the first */

typedef enum torc_lookup_type { /* numbers of the DNS */
                                TORC_LOOKUP_A = 1,
                                TORC_LOOKUP_PTR = 12,
                                TORC_LOOKUP_AAAA = 28,
                                TORC_LOOKUP_SRV = 33
} torc_lookup_type;

typedef enum torc_dnssec {
  TORC_DNSSEC_UNCHECKED = 0, /* no trust anchor was given */
  TORC_DNSSEC_INSECURE,      /* the zone is not signed */
  TORC_DNSSEC_SECURE
} torc_dnssec;

typedef struct torc_record { /* what its type says is set */
  torc_srv srv;
  torc_sock address;            /* port 0 */
  char name[TORC_DNS_NAME_MAX]; /* PTR */
} torc_record;

typedef struct torc_lookup {
  torc_record records[TORC_LOOKUP_RECORDS_MAX];
  size_t num;
  torc_dnssec dnssec;
  bool is_no_name; /* the DNS says that the name does not exist */
} torc_lookup;

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
/* The same on the links of this machine. 0 with num 0: nobody answered. */
int torc_mdns_ask(const char *name, torc_lookup_type type, torc_lookup *out, char *err,
                  size_t err_cap) TORC_MUST_CHECK;

#endif
