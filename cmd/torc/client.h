/* A connection to the control socket of a torcd; blocking, one request at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_CLIENT_H
#define TORC_CMD_CLIENT_H

#include <jansson.h>

#include "torc/types.h"

#define CLIENT_TIMEOUT_MS 60000 /* a request gives up in the node after 32 s [RTX-02] */
#define CLIENT_ANSWER_MAX (16u << 20)

typedef struct client {
  int fd;
  char path[128];
  char *buffer;
  size_t len, cap;
} client;

/* TORC_ERR_*; `err` gets one line: what was tried, what went wrong, what to do. */
int client_open(client *c, const char *path, char *err, size_t err_cap) TORC_MUST_CHECK;
void client_close(client *c);

/* Sends `request` (taken) and waits for its answer. On a terminal a line of progress appears after
 * a second. Returns 0 with *reply, an object whose "ok" is true or false; negative if there was
 * none. What came behind the answer stays in the buffer until the next call. */
int client_call(client *c, json_t *request, int timeout_ms, json_t **reply, char *err,
                size_t err_cap) TORC_MUST_CHECK;

/* Milliseconds of a clock that does not jump. */
uint64_t client_now_ms(void);

#endif
