/* CRC-32/ISO-HDLC from two tables of 64 bytes, one for each half of a byte: the remainder of a byte
 * is the sum of theirs. SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32.h"

static const uint32_t low_half[16] = {
    0x00000000, 0x77073096, 0xee0e612c, 0x990951ba, 0x076dc419, 0x706af48f, 0xe963a535, 0x9e6495a3,
    0x0edb8832, 0x79dcb8a4, 0xe0d5e91e, 0x97d2d988, 0x09b64c2b, 0x7eb17cbd, 0xe7b82d07, 0x90bf1d91};
static const uint32_t high_half[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};

static uint32_t crc_byte(uint32_t crc, uint8_t byte) {
  uint32_t index = (crc ^ byte) & 0xffu;
  return (crc >> 8) ^ low_half[index & 15u] ^ high_half[index >> 4];
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
