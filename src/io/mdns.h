/* Names on the links of this machine, by multicast DNS (RFC 6762, avahi-core, which the first call
 * opens). Blocks. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_MDNS_H
#define TORC_IO_MDNS_H

#include "io/dns_record.h"

#define TORC_LOOKUP_MDNS_MS 3000     /* answers are awaited; RFC 6762 has no "there is none" */
#define TORC_LOOKUP_MDNS_MORE_MS 300 /* for more of them after the first */

/* 0 with num 0: nobody answered. TORC_ERR_IO, TORC_ERR_NOMEM with one line. */
int torc_mdns_ask(const char *name, torc_lookup_type type, torc_lookup *out, char *err,
                  size_t err_cap) TORC_MUST_CHECK;

#endif
