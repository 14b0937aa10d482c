/* libuv writes to sockets without MSG_NOSIGNAL: a link that the other side has closed would end a
 * program that has not said what SIGPIPE is to do. A library cannot say that for its program, so
 * the calling thread holds the signal back while the library works, and drops the one it may have
 * caused itself.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_SIGPIPE_H
#define TORC_IO_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

typedef struct torc_sigpipe {
  sigset_t before;
  bool is_held; /* by us; false: it was blocked anyway */
} torc_sigpipe;

/* Calls nest. */
void torc_sigpipe_hold(torc_sigpipe *s);
void torc_sigpipe_release(const torc_sigpipe *s);

#endif
