/* Inside of the control socket.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_CONTROL_IMPL_H
#define TORC_IO_CONTROL_IMPL_H

#include <jansson.h>
#include <uv.h>

#include "base/map.h"
#include "base/slice.h"
#include "io/control.h"

/* A type as a request named it, for the answer. */
typedef struct control_type {
  uint32_t id;
  uint8_t model; /* TORC_TYPE_* */
  char name[64];
} control_type;

/* One call on the node whose end is awaited. */
typedef struct control_call {
  torc_list in_control;
  torc_token token;
  uint64_t client; /* 0: it went away */
  json_t *id;      /* the request's, owned; may be NULL */
  void (*finish)(struct torc_control *c, const struct control_call *call, const torc_done *done,
                 json_t *reply);
  size_t num_types;
  control_type types[TORC_CONTROL_ITEMS_MAX];
} control_call;

/* Who takes an application's connections, or its TUNNEL messages. */
typedef struct control_listen {
  torc_list in_control;
  uint64_t client;
  uint16_t application;
  bool is_tunnel;
} control_listen;

/* A connection that stands, and the client it belongs to: with the client it ends. */
typedef struct control_connection {
  torc_list in_control;
  uint64_t client;
  torc_token token;
} control_connection;

typedef struct control_client {
  torc_list in_control;
  uv_pipe_t pipe;
  struct torc_control *control;
  uint64_t serial; /* never reused */
  char *line;      /* what came of the request that is not complete */
  size_t line_len, line_cap;
  size_t num_calls;
  size_t unsent; /* bytes given to libuv and not yet written */
  bool is_closing;
} control_client;

struct torc_control {
  torc_peer *peer;
  torc_node *node;
  const torc_log *log;
  uv_loop_t *loop;
  uv_pipe_t listener;
  bool is_listening;
  torc_list clients, calls, listens, connections;
  size_t num_listens;
  size_t num_clients, num_handles; /* handles: what libuv has not yet closed */
  uint64_t last_serial;
  char path[108], overlay[256], user[TORC_USER_MAX + 1];
  torc_control_stats stats;
  void *ctx;
  int (*reload)(void *ctx, bool is_fetch, char *why, size_t why_cap);
  char read_buffer[16384];
};

/* A request being handled. */
typedef struct control_request {
  torc_control *control;
  json_t *json; /* borrowed */
  control_client *client;
  json_t *reply;      /* borrowed: fields of an immediate answer go here */
  control_call *call; /* borrowed: what a call that ends later needs */
  torc_token carry;
  char why[320]; /* reason of a failure */
} control_request;

/* Handles a request. 0: `reply` is complete. CONTROL_LATER: call->token and call->finish are set.
 * Negative: `why`. */
#define CONTROL_LATER 1
#define CONTROL_CARRY 2           /* `reply` is the last line: bytes follow, of r->carry */
#define CONTROL_RELOAD UINT64_MAX /* token of calls that await the end of a reload */
typedef int (*control_handler)(control_request *r);

int control_fail(control_request *r, int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* control_view.c: answers from what the node knows itself. */
int control_status(control_request *r);
int control_links(control_request *r);
int control_ring(control_request *r);
int control_counters(control_request *r);
int control_resource(control_request *r);

/* control_call.c: calls on the node. */
int control_ping(control_request *r);
int control_connect(control_request *r);
int control_find(control_request *r);

/* control_app.c: connections and messages of applications. */
int control_connect_application(control_request *r);
int control_listen_on(control_request *r);
int control_carry(control_request *r);
int control_end_connection(control_request *r);
int control_tunnel(control_request *r);
void control_app_event(torc_control *c, const torc_event *ev);
/* Everything that was this client's ends with it. */
void control_app_gone(torc_control *c, uint64_t client);
void control_apps_clear(torc_control *c);

/* control_config.c: the overlay document. */
int control_config(control_request *r);
int control_reload(control_request *r);
void control_put_config(const torc_control *c, json_t *reply);

/* control.c */
control_client *control_client_of(torc_control *c, uint64_t serial); /* NULL: it is gone */
/* Sends one line; `line` is freed. A client that does not read is dropped. */
void control_send(control_client *client, json_t *line);
/* The call with this token, out of the list; NULL: there is none. */
control_call *control_take_call(torc_control *c, torc_token token);
void control_call_free(control_call *call);
json_t *control_new_reply(json_t *id, bool is_ok);
/* Why the node refuses a call at once (control_call.c). */
int control_refused(control_request *r, int rc);

/* control.c: ends every call with this token. fill: adds to the answer. */
void control_end(torc_control *c, torc_token token, bool is_ok,
                 void (*fill)(const torc_control *c, void *ctx, json_t *reply), void *ctx);

/* control_data.c: calls that carry values. */
int control_store(control_request *r);
int control_fetch(control_request *r);
int control_remove(control_request *r);

/* control_json.c */
void control_put(json_t *object, const char *name, json_t *value);
json_t *control_id(const torc_id *id);
json_t *control_ids(const torc_id *ids, size_t num);
/* Text that a terminal and a shell can take; other bytes travel as base64. */
bool control_is_text(torc_slice s);
/* `name` as text if the bytes are printable UTF-8, else NAME_base64. */
void control_put_bytes(json_t *object, const char *name, torc_slice bytes);
json_t *control_type_text(uint32_t type);
/* Reads an id of 32 hex digits. TORC_ERR_NOTFOUND: there is no such field. */
int control_get_id(control_request *r, const json_t *object, const char *name, torc_id *out);
/* Reads NAME or NAME_base64; *out is freed with free. TORC_ERR_NOTFOUND: neither is there. */
int control_get_bytes(control_request *r, const json_t *object, const char *name, uint8_t **out,
                      size_t *len);
int control_get_number(control_request *r, const json_t *object, const char *name, uint64_t max,
                       uint64_t *out);
/* The resource of "resource" (an id), "name" (hashed) or "node" (a peer-id, hashed). */
int control_get_resource(control_request *r, torc_id *out);
/* The type of "type": a name or a number in text. */
int control_get_type(control_request *r, const json_t *object, control_type *out);
/* The ids of "route": 1 to 16. */
int control_get_route(control_request *r, torc_id route[16], size_t *num);

/* control_reply.c: how a call ended. */
void control_put_done(json_t *reply, const torc_done *done);
void control_finish_plain(torc_control *c, const control_call *call, const torc_done *done,
                          json_t *reply);
void control_finish_ping(torc_control *c, const control_call *call, const torc_done *done,
                         json_t *reply);
void control_finish_find(torc_control *c, const control_call *call, const torc_done *done,
                         json_t *reply);
void control_finish_write(torc_control *c, const control_call *call, const torc_done *done,
                          json_t *reply);
/* Also how many answered, and how many of them gave each value. */
void control_finish_asked(torc_control *c, const control_call *call, const torc_done *done,
                          json_t *reply);
void control_finish_fetch(torc_control *c, const control_call *call, const torc_done *done,
                          json_t *reply);

#endif
