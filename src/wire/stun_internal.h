/* Shared by the reader, the writer and the integrity of STUN messages.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_STUN_INTERNAL_H
#define TORC_WIRE_STUN_INTERNAL_H

#include "wire/stun.h"

#define TORC_STUN_FINGERPRINT_XOR 0x5354554eu
#define TORC_STUN_PAD(len) ((4u - (len) % 4u) % 4u)
#define TORC_STUN_IP4 1u
#define TORC_STUN_IP6 2u

typedef struct torc_stun_attr_rule {
  uint16_t type, min, max;
} torc_stun_attr_rule;

/* NULL: not understood. */
const torc_stun_attr_rule *torc_stun_rule(uint16_t type);
/* Both ways: XOR with the cookie and the transaction id. */
void torc_stun_addr_xor(torc_addr *a, const uint8_t txid[TORC_STUN_TXID_LEN]);

#endif
