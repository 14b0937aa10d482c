/* The clock of the machine, and moments as people read them. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_WALL_H
#define TORC_IO_WALL_H

#include "torc/types.h"

#define TORC_WALL_TEXT 32 /* room for a moment and its NUL */

/* Seconds since 1970, UTC; 0 and UINT32_MAX stand for whatever lies beyond. */
torc_wall torc_wall_now(void);
/* "2026-11-21 16:30:00 UTC" in `out`, which it returns. */
const char *torc_wall_text(torc_wall when, char out[TORC_WALL_TEXT]);

#endif
