/* CRC-32/ISO-HDLC. Bit by bit: it runs once per overlay name, not per message.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32.h"

static uint32_t crc_byte(uint32_t crc, uint8_t byte) {
  crc ^= byte;
  for (int bit = 0; bit < 8; bit++) {
    crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return crc;
}

uint32_t torc_crc32(torc_slice s) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < s.len; i++) {
    crc = crc_byte(crc, s.p[i]);
  }
  return crc ^ 0xffffffffu;
}

/* [HDR-02] [HDR-03] "Forwarding Header"; the normal form of the name is [GAP-12]. */
uint32_t torc_overlay_crc(torc_slice overlay_name) {
  uint32_t crc = 0xffffffffu;
  size_t len = overlay_name.len;
  if (len != 0 && overlay_name.p[len - 1] == '.') {
    len--;
  }
  for (size_t i = 0; i < len; i++) {
    uint8_t c = overlay_name.p[i];
    if (c >= 'A' && c <= 'Z') {
      c = (uint8_t)(c - 'A' + 'a');
    }
    crc = crc_byte(crc, c);
  }
  return crc ^ 0xffffffffu;
}
