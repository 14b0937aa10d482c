/* The overlay configuration document of a running daemon: read anew when the file is replaced or
 * `torc config reload` asks, fetched before it expires [GAP-130].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_TORCD_REFRESH_H
#define TORC_CMD_TORCD_REFRESH_H

#include "daemon.h"

#define REFRESH_FILE "overlay.xml"    /* of the state directory: the last one that was fetched */
#define REFRESH_LIMIT_MS 30000        /* the helper process may take */
#define REFRESH_SETTLE_MS 200         /* after a change of the file: it may not be whole yet */
#define REFRESH_LOOK_MS (3600 * 1000) /* the clock is looked at at least as often */

/* The document to start with: that of the file or a newer one fetched by an earlier run, fetched
 * anew if it has expired. *life and `source` say whence it is. One line in err. */
int refresh_choose(torcd *d, char *err, size_t err_cap);
/* Begins to look after the document of d->peer. */
int refresh_open(torcd *d, char *err, size_t err_cap);
/* Reads the file anew (or fetches), unless that is under way already; `torc_control_reloaded` tells
 * the end. */
int refresh_start(torcd *d, bool is_fetch, char *err, size_t err_cap);
/* Runs the loop until its handles are closed. */
void refresh_close(torcd *d);
/* The helper process: a request on standard input, an answer on standard output. The exit code. */
int refresh_help(void);

#endif
