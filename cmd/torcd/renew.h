/* The certificate of a running daemon: renewed before it ends, by a helper process as `torc renew`
 * does it, and taken anew whenever its file changes [ENR-38].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_TORCD_RENEW_H
#define TORC_CMD_TORCD_RENEW_H

#include "daemon.h"

#define RENEW_LIMIT_S 180          /* the helper process may take */
#define RENEW_LOOK_MS (30 * 1000u) /* clock and file are looked at so often */
#define RENEW_REASON_MAX 1024u     /* bytes of the helper's complaint */

/* Whether [identity] renew names what torc enroll has written, with all that a renewal without
 * anybody at hand needs. One line in err. */
int renew_check(const torcd *d, char *err, size_t err_cap);
/* Begins to look after the certificate of d->peer. */
int renew_open(torcd *d, char *err, size_t err_cap);
/* Looks at the file now, and tries to renew if it is time, whatever failed before. */
void renew_look(torcd *d);
/* Runs the loop until its handles are closed. */
void renew_close(torcd *d);
/* The helper process: renews what is in `dir`; a complaint goes to standard output. The exit code.
 */
int renew_help(const char *dir);

#endif
