/* The control socket of torcd: a UNIX stream socket, one JSON object per line each way;
 * docs/operations.md lists the commands. Clients may send several requests without waiting; answers
 * carry the request's "id" and come as they are ready.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_CONTROL_H
#define TORC_IO_CONTROL_H

#include "io/peer_config.h"
#include "torc/peer.h"

#define TORC_CONTROL_CLIENTS_MAX 64
#define TORC_CONTROL_CALLS_MAX 64          /* unanswered requests of one client */
#define TORC_CONTROL_LINE_MAX (256u << 10) /* bytes of one request */
#define TORC_CONTROL_UNSENT_MAX                                                           \
  (8u << 20)                        /* answers a client does not read; then it is dropped \
                                     */
#define TORC_CONTROL_LISTENS_MAX 16 /* applications that clients listen for, of each kind */
#define TORC_CONTROL_ITEMS_MAX 8    /* elements of one store, fetch or remove */

typedef struct torc_control torc_control;

typedef struct torc_control_config {
  torc_peer *peer;     /* borrowed until torc_control_close */
  const char *path;    /* of the socket; its directory must be there */
  const char *overlay; /* shown by "status" */
  const char *user;    /* own user name, shown by "status"; may be empty */
  const torc_log *log; /* borrowed; may be NULL */
  void *ctx;           /* of reload */
  /* Reads the overlay document anew, or fetches it; torc_control_reloaded tells the end, later.
   * NULL: this program cannot. A failure with its reason in `why`. */
  int (*reload)(void *ctx, bool is_fetch, char *why, size_t why_cap);
} torc_control_config;

/* Listens with mode 0600. A socket that nobody listens to any more is replaced; TORC_ERR_EXISTS:
 * another process does. `err` gets one line. */
int torc_control_open(torc_control **out, const torc_control_config *cfg, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
/* Ends the call an event belongs to, if it is one of ours, and tells who listens. */
void torc_control_event(torc_control *c, const torc_event *ev);
/* Ends the calls of "reload": rc 0, or a failure with its reason. changes: what took hold. */
void torc_control_reloaded(torc_control *c, int rc, const char *why,
                           const torc_config_lines *changes);
/* Drops every client and removes the socket; runs the loop until its handles are closed. */
void torc_control_close(torc_control *c);

#define TORC_CONTROL_STATS(X) \
  X(clients)                  \
  X(requests)                 \
  X(bad_requests)             \
  X(clients_refused) X(lines_too_long) X(clients_too_slow) X(calls_refused) X(tunnels_lost)
typedef struct torc_control_stats {
#define X(name) uint64_t name;
  TORC_CONTROL_STATS(X)
#undef X
} torc_control_stats;
/* The counters of the socket, whose names begin with "control_". */
void torc_control_counters(const torc_control *c, void *ctx,
                           void (*each)(void *ctx, const char *name, uint64_t value));

/* Resident memory of this process in bytes, 0 if the system does not tell. */
uint64_t torc_process_rss(void);

#endif
