/* SPDX-License-Identifier: Apache-2.0 */
#include "io/err.h"

#include <stdarg.h>
#include <stdio.h>

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
  return rc;
}
