/* Work that a process of its own does better: it brings libraries with it that are not needed
 * afterwards, or reads what nobody has vouched for.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_APART_H
#define TORC_IO_APART_H

#include "base/cursor.h"

#define TORC_APART_SECONDS 20 /* of clock time, then the child is ended */

/* Runs `work` in a child, which has a copy of everything here, and appends what it left in its
 * `reply` (initialised; at most reply->max bytes) to ours. Only for a program that has no other
 * thread yet: the child goes on with the copies of its locks. `what` names the work in `err`.
 * The result of `work`, or TORC_ERR_IO with a reason in `err` and an empty `reply`: the child
 * could not be started, or ended without an answer. No child is left behind. */
int torc_apart_run(int (*work)(void *ctx, torc_buf *reply), void *ctx, torc_buf *reply,
                   const char *what, char *err, size_t err_cap) TORC_MUST_CHECK;

#endif
