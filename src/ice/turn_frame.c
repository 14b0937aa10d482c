/* Frames between a TURN client and its server [ICE-18].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/turn_frame.h"

#include "base/slice.h"
#include "wire/stun.h"

int torc_turn_frame_peek(torc_slice bytes, size_t *len) {
  torc_rd rd;
  size_t data;
  if (bytes.len == 0) {
    return TORC_ERR_SHORT;
  }
  if (torc_first_byte_of(bytes) == TORC_FIRST_STUN) {
    return torc_stun_frame_peek(bytes, len);
  }
  if (torc_first_byte_of(bytes) != TORC_FIRST_CHANNEL) {
    return TORC_ERR_FORMAT;
  }
  torc_rd_init(&rd, bytes);
  torc_rd_skip(&rd, 2);
  data = torc_rd_u16(&rd);
  if (rd.err == 0) {
    *len = TORC_TURN_CHANNEL_HEADER + (data + 3) / 4 * 4;
  }
  return rd.err;
}

int torc_turn_channel_get(torc_slice bytes, uint16_t *number, torc_slice *data) {
  torc_rd rd;
  uint16_t n;
  uint16_t len;
  torc_slice value;
  torc_rd_init(&rd, bytes);
  n = torc_rd_u16(&rd);
  len = torc_rd_u16(&rd);
  value = torc_rd_slice(&rd, len);
  if (rd.err == 0 && (n < TORC_TURN_CHANNEL_FIRST || n > TORC_TURN_CHANNEL_LAST)) {
    return TORC_ERR_FORMAT;
  }
  if (rd.err == 0) {
    *number = n;
    *data = value;
  }
  return rd.err;
}

void torc_turn_channel_put(torc_wr *wr, uint16_t number, torc_slice data, bool is_stream) {
  if (data.len > UINT16_MAX) {
    wr->err = TORC_ERR_LIMIT;
    return;
  }
  torc_wr_u16(wr, number);
  torc_wr_u16(wr, (uint16_t)data.len);
  torc_wr_bytes(wr, data);
  for (size_t i = data.len; is_stream && i % 4 != 0; i++) {
    torc_wr_u8(wr, 0);
  }
}
