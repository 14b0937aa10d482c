/* CRC-32/ISO-HDLC, the Overlay field's checksum [HDR-03] [GAP-12].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_CRC32_H
#define TORC_BASE_CRC32_H

#include "torc/types.h"

/* Reflected polynomial 0xEDB88320, init and xorout 0xFFFFFFFF: "123456789" gives 0xCBF43926. */
uint32_t torc_crc32(torc_slice s);
/* Checksum of an overlay name after ASCII lower-casing and removal of one trailing dot [GAP-12]. */
uint32_t torc_overlay_crc(torc_slice overlay_name);

#endif
