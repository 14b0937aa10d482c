/* What goes over the path to a TURN server: STUN messages and ChannelData, RFC 8656 12.4 and 3.1.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_TURN_FRAME_H
#define TORC_ICE_TURN_FRAME_H

#include "base/cursor.h"

#define TORC_TURN_CHANNEL_FIRST 0x4000u
#define TORC_TURN_CHANNEL_LAST 0x4fffu
#define TORC_TURN_CHANNEL_HEADER 4u

/* Length of the frame that a stream begins with, ChannelData with its padding to a multiple of 4.
 * TORC_ERR_SHORT: too few bytes to say. TORC_ERR_FORMAT: neither, the stream is lost. */
int torc_turn_frame_peek(torc_slice bytes, size_t *len) TORC_MUST_CHECK;

/* TORC_ERR_FORMAT: no such number. TORC_ERR_SHORT: less than its length says; more is padding. */
int torc_turn_channel_get(torc_slice bytes, uint16_t *number, torc_slice *data) TORC_MUST_CHECK;
/* `is_stream`: padded. TORC_ERR_LIMIT in the writer: above 65535 bytes. */
void torc_turn_channel_put(torc_wr *wr, uint16_t number, torc_slice data, bool is_stream);

#endif
