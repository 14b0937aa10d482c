/* The subcommands of torc. Each gets a connection to a torcd and prints for people, or JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_COMMANDS_H
#define TORC_CMD_COMMANDS_H

#include "args.h"

/* Exit codes: 0 success, 1 failure. */
int command_status(client *c, const args *a);
int command_peers(client *c, const args *a);
int command_counters(client *c, const args *a);
int command_ring(client *c, const args *a);
int command_route(client *c, const args *a);
int command_ping(client *c, const args *a);
int command_connect(client *c, const args *a);
int command_connect_application(client *c, const args *a);
int command_listen(client *c, const args *a);
int command_tunnel(client *c, const args *a);
int command_find(client *c, const args *a);
int command_store(client *c, const args *a);
int command_fetch(client *c, const args *a);
int command_remove(client *c, const args *a);
int command_config(client *c, const args *a);
int command_demo(int argc, char **argv);
int command_sim(int argc, char **argv);
int command_enroll(int argc, char **argv);
int command_renew(int argc, char **argv);
int command_key(int argc, char **argv);

/* Prints `object` (taken) as JSON; the exit code. */
int print_json(json_t *object);
/* Calls; a failure or an answer with "ok": false is reported as "could not WHAT: why" and NULL
 * comes back (with --json the answer is printed, too). */
json_t *call_or_report(client *c, const args *a, json_t *request, const char *what);
/* Text of a field, "" if it is missing. */
const char *text_of(const json_t *object, const char *name);
long long number_of(const json_t *object, const char *name);
/* "1.4 MB", "3 min": short forms for people. */
const char *short_bytes(long long bytes, char out[32]);
const char *short_time(long long seconds, char out[32]);
/* Bytes of NAME or NAME_base64; freed with free. NULL: missing. */
unsigned char *bytes_of(const json_t *object, const char *name, size_t *len);

/* The ids along the ring from this peer on, found with PINGs; freed with json_decref. `complete`:
 * it closed. */
typedef struct ring_walk {
  json_t *peers; /* [{"peer", "user", "resources"}...], the first is whom we asked */
  bool complete;
} ring_walk;
int ring_walk_run(client *c, const args *a, const json_t *status, ring_walk *out);
/* Draws the ring as text: an ellipse of numbers with a legend. labels: array of {"peer", "user"}.
 */
void ring_draw(const json_t *peers, const char *title, const char *self);

#endif
