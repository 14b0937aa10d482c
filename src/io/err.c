/* SPDX-License-Identifier: Apache-2.0 */
#include "io/err.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/slice.h"

/* Bytes of the character at `s`; 0: none begins there. */
static size_t char_len(torc_slice s) {
  for (size_t len = 1; len <= 4 && len <= s.len; len++) {
    if (torc_utf8_valid(torc_slice_of(s.p, len))) {
      return len;
    }
  }
  return 0;
}

void torc_text_mend(char *text) {
  torc_slice s = torc_slice_str(text);
  if (torc_utf8_valid(s)) {
    return;
  }
  for (size_t i = 0; i < s.len;) {
    size_t len = char_len(torc_slice_of(s.p + i, s.len - i));
    if (len == 0) {
      text[i] = '?';
    }
    i += len == 0 ? 1 : len;
  }
}

int torc_fail(int rc, char *err, size_t err_cap, const char *fmt, ...) {
  if (err == NULL || err_cap == 0) {
    return rc;
  }
  va_list args;
  va_start(args, fmt);
  int n = vsnprintf(err, err_cap, fmt, args);
  va_end(args);
  if (n < 0) {
    err[0] = '\0';
  }
  torc_text_mend(err);
  return rc;
}
