/* The router's commands, one a line (docs/netlab.md lists them); each is answered by one line.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NETLAB_WAN_COMMAND_H
#define TORC_NETLAB_WAN_COMMAND_H

#include <stddef.h>

#include "wan_core.h"

#define WAN_COMMAND_LEN 512 /* with its terminating 0 */
#define WAN_REPLY_LEN 131072

/* Opens the device of a link in the network namespace at `path`; NULL or why it could not. */
typedef const char *(*wan_open_device)(void *ctx, size_t index, const char *path);

typedef struct wan_commander {
  wan_core *core;
  wan_open_device open_device;
  void *ctx;
} wan_commander;

/* Does what `line` says (its words are cut apart in it) and writes "ok", "error WHY" or a JSON
 * object. */
void wan_command_run(const wan_commander *commander, char *line, char *reply, size_t reply_len);

#endif
