/* The command line of torc: options shared by the subcommands.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_ARGS_H
#define TORC_CMD_ARGS_H

#include "client.h"

#define EXIT_USAGE 2
#define ARGS_KEYS_MAX 64
#define ARGS_WORDS_MAX 4

/* Which options a subcommand takes beside --socket, --json and --help. */
enum {
  ARG_TYPE = 1 << 0,
  ARG_KEY = 1 << 1,
  ARG_INDEX = 1 << 2,
  ARG_APPEND = 1 << 3,
  ARG_LIFETIME = 1 << 4,
  ARG_GENERATION = 1 << 5,
  ARG_FILE = 1 << 6,
  ARG_ROUTE_LOG = 1 << 7,
  ARG_ITERATIVE = 1 << 8,
  ARG_WALK = 1 << 9,
  ARG_RAW = 1 << 10,
  ARG_REPLICAS = 1 << 11,
  ARG_FETCH = 1 << 12,
  ARG_APPLICATION = 1 << 13,
  ARG_EXEC = 1 << 14,
  ARG_TO = 1 << 15,
  ARG_LISTEN = 1 << 16,
  ARG_LINES = 1 << 17,
  ARG_DIALOG = 1 << 18
};

typedef struct args {
  const char *socket;
  bool json, append, route_log, iterative, walk, raw, replicas, fetch, listen, lines, help;
  const char *type, *index, *file, *application, *exec, *to, *dialog;
  const char *keys[ARGS_KEYS_MAX];
  size_t num_keys;
  uint64_t lifetime_s; /* 0: not given */
  uint64_t generation;
  const char *words[ARGS_WORDS_MAX];
  int num_words;
} args;

/* Reads the arguments after the subcommand's name. False: a complaint was printed. */
bool args_read(args *a, const char *command, unsigned allowed, int argc, char **argv);

/* A request {"cmd": name}. */
json_t *args_request(const char *cmd);
/* Enters where a name leads: "id:HEX" a resource-id, "peer:HEX" the resource of a peer-id, else a
 * name. False: a complaint was printed. */
bool args_put_name(json_t *request, const char *name);
/* As args_put_name, and 32 hex digits alone are a resource-id. */
bool args_put_place(json_t *request, const char *text);

#endif
