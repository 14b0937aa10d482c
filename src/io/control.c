/* SPDX-License-Identifier: Apache-2.0 */
#include "io/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "io/control_impl.h"
#include "io/err.h"

#define BACKLOG 128

static const struct {
  const char *name;
  control_handler run;
} handlers[] = {
    {"status", control_status},      {"links", control_links},      {"ring", control_ring},
    {"counters", control_counters},  {"ping", control_ping},        {"connect", control_connect},
    {"resource", control_resource},  {"find", control_find},        {"store", control_store},
    {"fetch", control_fetch},        {"remove", control_remove},    {"config", control_config},
    {"reload", control_reload},      {"listen", control_listen_on}, {"carry", control_carry},
    {"end", control_end_connection}, {"tunnel", control_tunnel},
};

int control_fail(control_request *r, int rc, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(r->why, sizeof r->why, format, args);
  va_end(args);
  torc_text_mend(r->why);
  return rc;
}

/* ---- sending ---- */

typedef struct sending {
  uv_write_t req;
  control_client *client;
  char *text;
  size_t len;
} sending;

static void on_client_closed(uv_handle_t *handle) {
  control_client *client = handle->data;
  client->control->num_handles--;
  free(client->line);
  free(client);
}

static void close_client(control_client *client) {
  torc_control *c = client->control;
  if (client->is_closing) {
    return;
  }
  client->is_closing = true;
  for (torc_list *it = c->calls.next; it != &c->calls; it = it->next) {
    control_call *call = TORC_CONTAINER_OF(it, control_call, in_control);
    if (call->client == client->serial) {
      call->client = 0; /* its end is awaited and then dropped */
    }
  }
  torc_list_remove(&client->in_control);
  c->num_clients--;
  control_app_gone(c, client->serial);
  uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void on_written(uv_write_t *req, int status) {
  sending *s = req->data;
  s->client->unsent -= s->len;
  if (status < 0 && status != UV_ECANCELED) {
    close_client(s->client);
  }
  free(s->text);
  free(s);
}

/* Sends `reply` as one line; frees nothing of it. */
static void send_reply(control_client *client, const json_t *reply) {
  torc_control *c = client->control;
  char *text = json_dumps(reply, JSON_COMPACT);
  sending *s = text == NULL ? NULL : calloc(1, sizeof *s);
  if (s == NULL || client->is_closing) {
    free(text);
    free(s);
    close_client(client);
    return;
  }
  size_t len = strlen(text);
  text[len] = '\n'; /* in place of the NUL: libuv is told the length */
  *s = (sending){.client = client, .text = text, .len = len + 1};
  s->req.data = s;
  if (s->len > TORC_CONTROL_UNSENT_MAX - client->unsent) {
    c->stats.clients_too_slow++;
    free(text);
    free(s);
    close_client(client);
    return;
  }
  client->unsent += s->len;
  uv_buf_t buf = uv_buf_init(text, (unsigned)s->len);
  if (uv_write(&s->req, (uv_stream_t *)&client->pipe, &buf, 1, on_written) != 0) {
    client->unsent -= s->len;
    free(text);
    free(s);
    close_client(client);
  }
}

void control_send(control_client *client, json_t *line) {
  send_reply(client, line);
  json_decref(line);
}

json_t *control_new_reply(json_t *id, bool is_ok) {
  json_t *reply = json_object();
  if (id != NULL) {
    control_put(reply, "id", json_incref(id));
  }
  control_put(reply, "ok", json_boolean(is_ok));
  return reply;
}

static void send_error(control_client *client, json_t *id, int rc, const char *why) {
  json_t *reply = control_new_reply(id, false);
  client->control->stats.bad_requests++;
  control_put(reply, "error", json_string(why));
  control_put(reply, "reason", json_string(torc_strerror(rc)));
  send_reply(client, reply);
  json_decref(reply);
}

/* ---- requests ---- */

void control_call_free(control_call *call) {
  if (call != NULL) {
    json_decref(call->id);
    free(call);
  }
}

static control_handler find_handler(const char *name) {
  for (size_t i = 0; name != NULL && i < TORC_ARRAY_LEN(handlers); i++) {
    if (strcmp(handlers[i].name, name) == 0) {
      return handlers[i].run;
    }
  }
  return NULL;
}

/* The client's socket becomes the connection: the last line leaves at once, a fresh socket has room
 * for it. */
static void hand_over(control_client *client, const control_request *r) {
  torc_control *c = client->control;
  char *text = json_dumps(r->reply, JSON_COMPACT);
  size_t len = text == NULL ? 0 : strlen(text);
  int fd = -1;
  bool is_sent = false;
  if (text != NULL && client->unsent == 0) {
    text[len] = '\n';
    uv_buf_t buf = uv_buf_init(text, (unsigned)len + 1);
    is_sent = uv_try_write((uv_stream_t *)&client->pipe, &buf, 1) == (int)len + 1;
  }
  free(text);
  if (is_sent && uv_fileno((uv_handle_t *)&client->pipe, &fd) == 0) {
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  }
  close_client(client);
  if (!is_sent || fd < 0 || torc_peer_connection_carry(c->peer, r->carry, fd) != 0) {
    torc_peer_connection_cut(c->peer, r->carry);
  }
}

/* Runs the handler and answers, or files the call for its end. */
static void run_request(control_client *client, control_request *r, json_t *id,
                        control_handler run) {
  torc_control *c = client->control;
  int rc = run(r);
  torc_peer_flush(c->peer);
  if (rc < 0) {
    send_error(client, id, rc, r->why);
  } else if (rc == CONTROL_LATER) {
    r->call->client = client->serial;
    r->call->id = id == NULL ? NULL : json_incref(id);
    client->num_calls++;
    torc_list_push_back(&c->calls, &r->call->in_control);
    r->call = NULL;
    torc_peer_wake(c->peer); /* the call may have ended already: its event waits */
  } else if (rc == CONTROL_CARRY) {
    hand_over(client, r);
  } else {
    send_reply(client, r->reply);
  }
}

static void handle_json(control_client *client, json_t *json) {
  torc_control *c = client->control;
  json_t *id = json_object_get(json, "id");
  const char *name = json_string_value(json_object_get(json, "cmd"));
  control_handler run = find_handler(name);
  char why[160];
  if (run == NULL) {
    (void)snprintf(why, sizeof why, "there is no command '%.64s'", name == NULL ? "" : name);
    send_error(client, id, TORC_ERR_INVALID, why);
    return;
  }
  if (client->num_calls >= TORC_CONTROL_CALLS_MAX) {
    c->stats.calls_refused++;
    send_error(client, id, TORC_ERR_LIMIT, "too many requests are waiting for an answer already");
    return;
  }
  control_request r = {.control = c, .json = json, .client = client};
  r.reply = control_new_reply(id, true);
  r.call = calloc(1, sizeof *r.call);
  if (r.reply == NULL || r.call == NULL) {
    send_error(client, id, TORC_ERR_NOMEM, "there is no memory");
  } else {
    run_request(client, &r, id, run);
  }
  json_decref(r.reply);
  control_call_free(r.call);
}

static void handle_line(control_client *client, const char *text, size_t len) {
  json_error_t where;
  char why[192];
  client->control->stats.requests++;
  json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
  if (!json_is_object(json)) {
    (void)snprintf(why, sizeof why, "the line is no JSON object: %.120s",
                   json == NULL ? where.text : "another value");
    send_error(client, NULL, TORC_ERR_FORMAT, why);
  } else {
    handle_json(client, json);
  }
  json_decref(json);
}

/* ---- receiving ---- */

static int keep(control_client *client, const char *bytes, size_t len) {
  if (len > TORC_CONTROL_LINE_MAX - client->line_len) {
    return TORC_ERR_LIMIT;
  }
  size_t need = client->line_len + len;
  if (need > client->line_cap) {
    size_t cap = client->line_cap == 0 ? 1024 : client->line_cap;
    while (cap < need) {
      cap *= 2;
    }
    char *grown = realloc(client->line, cap);
    if (grown == NULL) {
      return TORC_ERR_NOMEM;
    }
    client->line = grown;
    client->line_cap = cap;
  }
  memcpy(client->line + client->line_len, bytes, len);
  client->line_len = need;
  return 0;
}

/* Takes bytes of the stream; false: the client was closed. */
static bool take_bytes(control_client *client, const char *bytes, size_t len) {
  while (len > 0 && !client->is_closing) {
    const char *newline = memchr(bytes, '\n', len);
    size_t part = newline == NULL ? len : (size_t)(newline - bytes);
    if (keep(client, bytes, part) != 0) {
      client->control->stats.lines_too_long++;
      return false;
    }
    if (newline == NULL) {
      return true;
    }
    if (client->line_len > 0) {
      handle_line(client, client->line, client->line_len);
    }
    client->line_len = 0;
    bytes += part + 1;
    len -= part + 1;
  }
  return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  control_client *client = handle->data;
  (void)suggested;
  *buf = uv_buf_init(client->control->read_buffer, sizeof client->control->read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  control_client *client = stream->data;
  if (n < 0 || (n > 0 && !take_bytes(client, buf->base, (size_t)n))) {
    close_client(client);
  }
}

static void on_connection(uv_stream_t *listener, int status) {
  torc_control *c = listener->data;
  control_client *client = status < 0 ? NULL : calloc(1, sizeof *client);
  if (client == NULL) {
    return;
  }
  client->control = c;
  client->serial = ++c->last_serial;
  client->pipe.data = client;
  torc_list_init(&client->in_control);
  if (uv_pipe_init(c->loop, &client->pipe, 0) != 0) {
    free(client);
    return;
  }
  c->num_handles++;
  c->num_clients++;
  c->stats.clients++;
  torc_list_push_back(&c->clients, &client->in_control);
  if (uv_accept(listener, (uv_stream_t *)&client->pipe) != 0 ||
      c->num_clients > TORC_CONTROL_CLIENTS_MAX ||
      uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) != 0) {
    c->stats.clients_refused++;
    close_client(client);
  }
}

/* ---- ends of calls ---- */

control_client *control_client_of(torc_control *c, uint64_t serial) {
  for (torc_list *it = c->clients.next; it != &c->clients; it = it->next) {
    control_client *client = TORC_CONTAINER_OF(it, control_client, in_control);
    if (client->serial == serial) {
      return client;
    }
  }
  return NULL;
}

void control_end(torc_control *c, torc_token token, bool is_ok,
                 void (*fill)(const torc_control *c, void *ctx, json_t *reply), void *ctx) {
  for (torc_list *it = c->calls.next; it != &c->calls;) {
    control_call *call = TORC_CONTAINER_OF(it, control_call, in_control);
    it = it->next;
    if (call->token != token) {
      continue;
    }
    torc_list_remove(&call->in_control);
    control_client *client = control_client_of(c, call->client);
    if (client != NULL) {
      json_t *reply = control_new_reply(call->id, is_ok);
      client->num_calls--;
      fill(c, ctx, reply);
      send_reply(client, reply);
      json_decref(reply);
    }
    control_call_free(call);
  }
}

control_call *control_take_call(torc_control *c, torc_token token) {
  for (torc_list *it = c->calls.next; it != &c->calls; it = it->next) {
    control_call *call = TORC_CONTAINER_OF(it, control_call, in_control);
    if (call->token == token) {
      torc_list_remove(&call->in_control);
      return call;
    }
  }
  return NULL;
}

static void end_call(torc_control *c, const torc_event *ev) {
  control_call *call = control_take_call(c, ev->token);
  if (call == NULL) {
    return;
  }
  control_client *client = control_client_of(c, call->client);
  if (client != NULL) {
    json_t *reply = control_new_reply(call->id, ev->done.rc == 0);
    client->num_calls--;
    control_put_done(reply, &ev->done);
    call->finish(c, call, &ev->done, reply);
    control_send(client, reply);
  }
  control_call_free(call);
}

void torc_control_event(torc_control *c, const torc_event *ev) {
  if (c == NULL) {
    return;
  }
  if (ev->kind == TORC_EVENT_DONE) {
    end_call(c, ev);
  } else if (ev->kind == TORC_EVENT_CONNECTION || ev->kind == TORC_EVENT_TUNNEL) {
    control_app_event(c, ev);
  }
}

/* ---- the socket ---- */

static int address_of(const char *path, struct sockaddr_un *out, char *err, size_t err_cap) {
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof out->sun_path) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "the name of the control socket has more than %zu bytes: %s",
                     sizeof out->sun_path - 1, path);
  }
  memcpy(out->sun_path, path, strlen(path) + 1);
  return 0;
}

/* Removes what a killed process left; a socket that answers belongs to somebody. */
static int clear_path(const char *path, char *err, size_t err_cap) {
  struct sockaddr_un address;
  struct stat st;
  int rc = address_of(path, &address, err, err_cap);
  if (rc != 0 || lstat(path, &st) != 0) {
    return rc;
  }
  if (!S_ISSOCK(st.st_mode)) {
    return torc_fail(TORC_ERR_EXISTS, err, err_cap, "%s is in the way of the control socket", path);
  }
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int connected = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address);
  if (fd >= 0) {
    (void)close(fd);
  }
  if (connected == 0) {
    return torc_fail(TORC_ERR_EXISTS, err, err_cap,
                     "another torcd answers on the control socket %s; stop it, or give this one "
                     "a socket of its own",
                     path);
  }
  (void)unlink(path);
  return 0;
}

static int listen_on(torc_control *c, char *err, size_t err_cap) {
  int rc = uv_pipe_init(c->loop, &c->listener, 0);
  if (rc == 0) {
    c->num_handles++;
    c->is_listening = true;
    c->listener.data = c;
    mode_t before = umask(0177); /* the socket is never open to others, not for a moment */
    rc = uv_pipe_bind(&c->listener, c->path);
    (void)umask(before);
  }
  if (rc == 0) {
    rc = uv_listen((uv_stream_t *)&c->listener, BACKLOG, on_connection);
  }
  if (rc != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap,
                     "cannot listen on the control socket %s: %s; its directory must exist and be "
                     "writable",
                     c->path, uv_strerror(rc));
  }
  return 0;
}

int torc_control_open(torc_control **out, const torc_control_config *cfg, char *err,
                      size_t err_cap) {
  int rc = clear_path(cfg->path, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  torc_control *c = calloc(1, sizeof *c);
  if (c == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory for the control socket");
  }
  c->peer = cfg->peer;
  c->node = torc_peer_node(cfg->peer);
  c->loop = torc_peer_loop(cfg->peer);
  c->log = cfg->log;
  c->ctx = cfg->ctx;
  c->reload = cfg->reload;
  torc_list_init(&c->clients);
  torc_list_init(&c->calls);
  torc_list_init(&c->listens);
  torc_list_init(&c->connections);
  (void)snprintf(c->path, sizeof c->path, "%s", cfg->path);
  (void)snprintf(c->overlay, sizeof c->overlay, "%s", cfg->overlay);
  (void)snprintf(c->user, sizeof c->user, "%s", cfg->user);
  rc = listen_on(c, err, err_cap);
  if (rc != 0) {
    torc_control_close(c);
    return rc;
  }
  *out = c;
  return 0;
}

static void on_listener_closed(uv_handle_t *handle) {
  torc_control *c = handle->data;
  c->num_handles--;
}

void torc_control_close(torc_control *c) {
  if (c == NULL) {
    return;
  }
  if (c->is_listening) {
    uv_close((uv_handle_t *)&c->listener, on_listener_closed); /* libuv removes the file */
  }
  while (!torc_list_empty(&c->clients)) {
    close_client(TORC_CONTAINER_OF(c->clients.next, control_client, in_control));
  }
  while (!torc_list_empty(&c->calls)) {
    control_call_free(TORC_CONTAINER_OF(torc_list_pop_front(&c->calls), control_call, in_control));
  }
  control_apps_clear(c);
  while (c->num_handles > 0) {
    (void)uv_run(c->loop, UV_RUN_NOWAIT);
  }
  free(c);
}

void torc_control_counters(const torc_control *c, void *ctx,
                           void (*each)(void *ctx, const char *name, uint64_t value)) {
#define X(name) each(ctx, "control_" #name, c->stats.name);
  TORC_CONTROL_STATS(X)
#undef X
}

uint64_t torc_process_rss(void) {
  char text[128] = "";
  FILE *f = fopen("/proc/self/statm", "re");
  if (f == NULL) {
    return 0;
  }
  char *got = fgets(text, sizeof text, f);
  (void)fclose(f);
  char *rest = got == NULL ? NULL : strchr(got, ' '); /* the second number: resident pages */
  uint64_t pages = rest == NULL ? 0 : strtoull(rest, NULL, 10);
  long page = sysconf(_SC_PAGESIZE);
  return page > 0 ? pages * (uint64_t)page : 0;
}
