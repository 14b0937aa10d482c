/* SPDX-License-Identifier: Apache-2.0 */
#include "io/wall.h"

#include <stdio.h>
#include <time.h>

torc_wall torc_wall_now(void) {
  time_t t = time(NULL);
  return t < 0 ? 0 : t > (time_t)UINT32_MAX ? UINT32_MAX : (torc_wall)t;
}

const char *torc_wall_text(torc_wall when, char out[TORC_WALL_TEXT]) {
  time_t t = (time_t)when;
  struct tm tm;
  if (gmtime_r(&t, &tm) == NULL ||
      strftime(out, TORC_WALL_TEXT, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
    (void)snprintf(out, TORC_WALL_TEXT, "?");
  }
  return out;
}
