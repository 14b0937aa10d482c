/* Records of the DNS as a look-up gives them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_DNS_RECORD_H
#define TORC_IO_DNS_RECORD_H

#include "io/addr.h"

#define TORC_DNS_NAME_MAX 256 /* characters of a name as text, with its NUL */

typedef struct torc_srv {
  uint16_t priority, weight, port;
  char target[TORC_DNS_NAME_MAX]; /* without final dot; empty: the service is not offered */
} torc_srv;

#define TORC_LOOKUP_RECORDS_MAX 16 /* of one answer; the others are left */

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

#endif
