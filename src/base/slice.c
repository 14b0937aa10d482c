/* Helpers for borrowed bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <string.h>

#include "base/mem.h"

torc_slice torc_slice_of(const void *p, size_t len) {
  return (torc_slice){.p = p, .len = len};
}

torc_slice torc_slice_str(const char *text) {
  return (torc_slice){.p = (const uint8_t *)text, .len = text != NULL ? strlen(text) : 0};
}

bool torc_slice_eq(torc_slice a, torc_slice b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

int torc_slice_cmp(torc_slice a, torc_slice b) {
  size_t common = a.len < b.len ? a.len : b.len;
  int order = common != 0 ? memcmp(a.p, b.p, common) : 0;
  if (order != 0) {
    return order;
  }
  return a.len < b.len ? -1 : a.len > b.len;
}

torc_slice torc_slice_sub(torc_slice s, size_t off, size_t len) {
  if (off > s.len || len > s.len - off || s.p == NULL) {
    return (torc_slice){.p = NULL, .len = 0};
  }
  return (torc_slice){.p = s.p + off, .len = len};
}

/* Bytes of the sequence that starts with `lead`, and what its second byte may be: this is where
 * overlong forms, surrogates and values above U+10FFFF are kept out. 0: no such lead. */
static size_t utf8_lead(uint8_t lead, uint8_t *low, uint8_t *high) {
  *low = 0x80;
  *high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    return 2;
  }
  if (lead >= 0xe0 && lead <= 0xef) {
    *low = lead == 0xe0 ? 0xa0 : 0x80;
    *high = lead == 0xed ? 0x9f : 0xbf;
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    *low = lead == 0xf0 ? 0x90 : 0x80;
    *high = lead == 0xf4 ? 0x8f : 0xbf;
    return 4;
  }
  return 0;
}

/* [GAP-10]: every string but application_pdu and dialog_id. */
bool torc_utf8_valid(torc_slice s) {
  size_t i = 0;
  while (i < s.len) {
    uint8_t low;
    uint8_t high;
    size_t len;
    if (s.p[i] != 0 && s.p[i] < 0x80) {
      i++;
      continue;
    }
    len = utf8_lead(s.p[i], &low, &high);
    if (len == 0 || len > s.len - i || s.p[i + 1] < low || s.p[i + 1] > high) {
      return false;
    }
    for (size_t k = 2; k < len; k++) {
      if ((s.p[i + k] & 0xc0) != 0x80) {
        return false;
      }
    }
    i += len;
  }
  return true;
}

bool torc_ct_equal(const void *a, const void *b, size_t len) {
  const volatile uint8_t *x = a;
  const volatile uint8_t *y = b;
  unsigned differ = 0;
  for (size_t i = 0; i < len; i++) {
    differ |= (unsigned)(x[i] ^ y[i]);
  }
  return differ == 0;
}

void torc_wipe(void *p, size_t len) {
  volatile uint8_t *bytes = p;
  for (size_t i = 0; i < len; i++) {
    bytes[i] = 0;
  }
}

int torc_slice_dup(const torc_mem *mem, torc_slice s, uint8_t **out) {
  uint8_t *copy = NULL;
  if (s.len != 0) {
    copy = torc_alloc(mem, s.len);
    if (copy == NULL) {
      return TORC_ERR_NOMEM;
    }
    memcpy(copy, s.p, s.len);
  }
  *out = copy;
  return 0;
}
