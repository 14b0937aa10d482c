/* What torc connect, listen and tunnel share: whom a name means, lines of the control socket that
 * come unasked, and bytes between two pairs of descriptors.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_APP_CLIENT_H
#define TORC_CMD_APP_CLIENT_H

#include "commands.h"

#define EXIT_NO_USER 3 /* nobody of that name is known */
#define EXIT_NO_PEER 4 /* none of the user's devices could be reached, or took it */

#define DEVICES_MAX 10 /* certificates under one name */
#define DEVICE_TEXT 33

typedef struct devices {
  char peers[DEVICES_MAX][DEVICE_TEXT];
  size_t num;
} devices;

/* The peer-ids that `whom`, a user name or a peer-id, means: those that are linked first. Exit
 * code; a complaint was printed. */
int devices_find(client *c, const args *a, const char *whom, devices *out);

/* --application, as a number; 0: a complaint was printed. */
unsigned application_of(const args *a, const char *command);

/* Sends `request` (taken) without waiting. */
int client_send(client *c, json_t *request) TORC_MUST_CHECK;
/* The next line that has come or comes within timeout_ms (-1: no limit); to be freed. *out NULL
 * with 0: none yet. TORC_ERR_CLOSED: torcd is gone. */
int client_next(client *c, int timeout_ms, json_t **out) TORC_MUST_CHECK;
/* Whether client_next has a line without waiting. */
bool client_has_line(const client *c);

/* Makes a connection a socket of its own; -1: a complaint was printed. */
int carry(const args *a, const char *connection);

/* Bytes from `from` to `to` in each of two directions. */
typedef struct flow {
  int from, to;
  bool is_open;   /* `from` may give more */
  bool is_done;   /* and all of it is in `to`, which has been told that it was all */
  bool to_socket; /* which can be shut down for writing; else it is closed */
  bool is_broken; /* `to` takes nothing any more */
  char *buffer;
  size_t len, at;
} flow;

typedef struct pump {
  flow flows[2];
  client *control; /* NULL: nobody tells anything */
  const char *connection;
  /* What was told: */
  bool is_closed, is_cut, is_torcd_gone;
  char why[256];
} pump;

#define PUMP_BYTES 65536

/* Runs until both directions are done, or the connection has ended and what it brought is through.
 * `half`: the second direction, when done, is enough (a person at a terminal). 0, or
 * TORC_ERR_NOMEM. */
int pump_run(pump *p, bool half) TORC_MUST_CHECK;

#endif
