/* SRV records (RFC 2782): what they hold and in which order their targets are tried.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IDENTITY_SRV_H
#define TORC_IDENTITY_SRV_H

#include "base/cursor.h"
#include "io/dns_record.h"

/* Reads a name as it stands in a record, uncompressed, into text without final dot. The labels may
 * hold letters, digits, '-' and '_'. TORC_ERR_SHORT, TORC_ERR_FORMAT. */
int torc_dns_name_read(torc_rd *rd, char out[TORC_DNS_NAME_MAX]) TORC_MUST_CHECK;
/* Reads the data of one SRV record. TORC_ERR_SHORT, TORC_ERR_FORMAT: also bytes left over. */
int torc_srv_read(torc_slice rdata, torc_srv *out) TORC_MUST_CHECK;

/* A number from 0 to `limit`, both included. */
typedef uint32_t torc_srv_random(void *ctx, uint32_t limit);
/* Puts records into the order in which they are tried [ENR-05]: lower priorities first, among equal
 * ones at random by weight, as RFC 2782 "The format of the SRV RR" has it. */
void torc_srv_order(torc_srv *list, size_t num, torc_srv_random *random, void *ctx);

#endif
