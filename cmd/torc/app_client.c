/* SPDX-License-Identifier: Apache-2.0 */
#include "app_client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"

unsigned application_of(const args *a, const char *command) {
  char *end = NULL;
  const char *text = a->application;
  unsigned long number = text == NULL ? 0 : strtoul(text, &end, 10);
  if (text == NULL) {
    (void)fprintf(stderr,
                  "torc %s: --application is missing: a port number that names the "
                  "protocol, as 5060 does SIP\n",
                  command);
    return 0;
  }
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || number == 0 || number > 65535) {
    (void)fprintf(stderr, "torc: --application '%s': expected a number of 1 to 65535\n", text);
    return 0;
  }
  return (unsigned)number;
}

/* ---- whom a name means ---- */

static void add(devices *d, const char *peer) {
  for (size_t i = 0; i < d->num; i++) {
    if (strcmp(d->peers[i], peer) == 0) {
      return;
    }
  }
  if (d->num < DEVICES_MAX && strlen(peer) < DEVICE_TEXT) {
    (void)snprintf(d->peers[d->num], DEVICE_TEXT, "%s", peer);
    d->num++;
  }
}

static bool has_user(const json_t *users, const char *user) {
  for (size_t i = 0; i < json_array_size(users); i++) {
    const char *name = json_string_value(json_array_get(users, i));
    if (name != NULL && strcmp(name, user) == 0) {
      return true;
    }
  }
  return false;
}

/* The signers of the certificates that are stored under the name hold their keys [CRT-08]. */
static void add_stored(const json_t *reply, const char *user, devices *out) {
  const json_t *values = json_object_get(reply, "values");
  for (size_t i = 0; i < json_array_size(values); i++) {
    const json_t *signer = json_object_get(json_array_get(values, i), "signer");
    const char *peer = json_string_value(json_array_get(json_object_get(signer, "peers"), 0));
    if (peer != NULL && has_user(json_object_get(signer, "users"), user)) {
      add(out, peer);
    }
  }
}

static void add_linked(client *c, const char *user, devices *out) {
  char err[256] = "";
  json_t *reply = NULL;
  if (client_call(c, args_request("links"), CLIENT_TIMEOUT_MS, &reply, err, sizeof err) != 0) {
    return;
  }
  const json_t *links = json_object_get(reply, "links");
  for (size_t i = 0; i < json_array_size(links); i++) {
    const json_t *l = json_array_get(links, i);
    if (strcmp(text_of(l, "user"), user) == 0) {
      add(out, text_of(l, "peer"));
    }
  }
  json_decref(reply);
}

int devices_find(client *c, const args *a, const char *whom, devices *out) {
  torc_id id;
  *out = (devices){.num = 0};
  if (torc_id_parse(whom, strlen(whom), &id) == 0) {
    add(out, whom);
    return EXIT_SUCCESS;
  }
  add_linked(c, whom, out);
  json_t *request =
      json_pack("{s:s, s:s, s:s}", "cmd", "fetch", "name", whom, "type", "CERTIFICATE");
  if (request == NULL) {
    (void)fputs("torc: the name is no text in UTF-8\n", stderr);
    return EXIT_USAGE;
  }
  json_t *reply = NULL;
  char err[512] = "";
  int rc = client_call(c, request, CLIENT_TIMEOUT_MS, &reply, err, sizeof err);
  if (rc == 0) {
    add_stored(reply, whom, out);
  }
  if (rc == 0 && out->num == 0 && !json_is_true(json_object_get(reply, "ok")) &&
      number_of(reply, "code") != 404) {
    (void)snprintf(err, sizeof err, "could not look up %s: %s", whom, text_of(reply, "error"));
    rc = TORC_ERR_REFUSED;
  }
  json_decref(reply);
  (void)a;
  if (out->num > 0) {
    return EXIT_SUCCESS;
  }
  if (rc != 0) {
    (void)fprintf(stderr, "torc: %s\n", err);
    return EXIT_FAILURE;
  }
  (void)fprintf(stderr,
                "torc: nobody is known as %s: no certificate is stored under that name, and no "
                "link has it; give the peer-id instead (torc ring lists them)\n",
                whom);
  return EXIT_NO_USER;
}

/* ---- lines that come unasked ---- */

int client_send(client *c, json_t *request) {
  char *text = request == NULL ? NULL : json_dumps(request, JSON_COMPACT);
  json_decref(request);
  if (text == NULL) {
    return TORC_ERR_NOMEM;
  }
  size_t len = strlen(text);
  text[len] = '\n';
  size_t done = 0;
  while (done < len + 1) {
    ssize_t n = send(c->fd, text + done, len + 1 - done, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) {
      free(text);
      return TORC_ERR_CLOSED;
    }
    done += n > 0 ? (size_t)n : 0;
  }
  free(text);
  return 0;
}

bool client_has_line(const client *c) {
  return c->len > 0 && memchr(c->buffer, '\n', c->len) != NULL;
}

static json_t *take_line(client *c) {
  char *newline = memchr(c->buffer, '\n', c->len);
  size_t len = (size_t)(newline - c->buffer);
  json_t *line = json_loadb(c->buffer, len, 0, NULL);
  c->len -= len + 1;
  memmove(c->buffer, newline + 1, c->len);
  return line;
}

static int read_some(client *c) {
  if (c->cap - c->len < 4096) {
    size_t cap = c->cap == 0 ? 16384 : c->cap * 2;
    char *grown = cap > CLIENT_ANSWER_MAX ? NULL : realloc(c->buffer, cap);
    if (grown == NULL) {
      return TORC_ERR_NOMEM;
    }
    c->buffer = grown;
    c->cap = cap;
  }
  ssize_t n = read(c->fd, c->buffer + c->len, c->cap - c->len);
  if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
    return TORC_ERR_CLOSED;
  }
  c->len += n > 0 ? (size_t)n : 0;
  return 0;
}

int client_next(client *c, int timeout_ms, json_t **out) {
  *out = NULL;
  while (!client_has_line(c)) {
    struct pollfd pfd = {.fd = c->fd, .events = POLLIN};
    int ready = poll(&pfd, 1, timeout_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR)) {
      return 0;
    }
    int rc = ready < 0 ? TORC_ERR_IO : read_some(c);
    if (rc != 0) {
      return rc;
    }
  }
  *out = take_line(c);
  return *out == NULL ? TORC_ERR_FORMAT : 0;
}

/* The answer, and not a byte more: behind it the connection begins. */
static json_t *read_answer(int fd) {
  char line[1024];
  size_t len = 0;
  while (len < sizeof line) {
    ssize_t n = read(fd, line + len, 1);
    if (n == 0 || (n < 0 && errno != EINTR)) {
      return NULL;
    }
    if (n > 0 && line[len] == '\n') {
      return json_loadb(line, len, 0, NULL);
    }
    len += n > 0 ? 1u : 0u;
  }
  return NULL;
}

int carry(const args *a, const char *connection) {
  client own;
  char err[512] = "";
  int fd = -1;
  if (client_open(&own, a->socket, err, sizeof err) != 0) {
    (void)fprintf(stderr, "torc: %s\n", err);
    return -1;
  }
  json_t *request = json_pack("{s:s, s:s}", "cmd", "carry", "connection", connection);
  json_t *reply = client_send(&own, request) == 0 ? read_answer(own.fd) : NULL;
  if (json_is_true(json_object_get(reply, "ok"))) {
    fd = own.fd;
    own.fd = -1;
  } else {
    (void)fprintf(stderr, "torc: could not take the connection: %s\n",
                  reply == NULL ? "torcd gave no answer" : text_of(reply, "error"));
  }
  json_decref(reply);
  client_close(&own);
  return fd;
}

/* ---- bytes both ways ---- */

/* A pipe or terminal that others use as well is not made non-blocking: of what poll allows only so
 * much is sure not to block. */
static size_t room_of(int fd, size_t len) {
  struct stat st;
  bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  bool is_nonblocking = (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
  return is_file || is_nonblocking || len < PIPE_BUF ? len : PIPE_BUF;
}

static void end_flow(flow *f) {
  f->is_done = true;
  if (f->to_socket) {
    (void)shutdown(f->to, SHUT_WR);
    return;
  }
  int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC); /* the reader sees the end at once */
  if (nothing >= 0) {
    (void)dup2(nothing, f->to);
    (void)close(nothing);
  }
}

static void fill_flow(flow *f) {
  ssize_t n = read(f->from, f->buffer, PUMP_BYTES);
  if (n > 0) {
    f->len = (size_t)n;
    f->at = 0;
  } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
    f->is_open = false;
  }
}

static void empty_flow(flow *f) {
  ssize_t n = write(f->to, f->buffer + f->at, room_of(f->to, f->len - f->at));
  if (n > 0) {
    f->at += (size_t)n;
  } else if (n < 0 && errno != EINTR && errno != EAGAIN) {
    f->is_broken = true;
    f->is_open = false;
    f->at = f->len;
    f->is_done = true;
  }
}

static void step_flow(flow *f, short from, short to) {
  if (!f->is_done && f->at < f->len && to != 0) {
    empty_flow(f);
  }
  if (f->is_open && f->at == f->len && from != 0) {
    fill_flow(f);
  }
  if (!f->is_done && !f->is_open && f->at == f->len) {
    end_flow(f);
  }
}

static void read_control(pump *p) {
  json_t *line = NULL;
  do {
    int rc = client_next(p->control, 0, &line);
    if (rc != 0) {
      p->is_torcd_gone = true;
      p->is_cut = true;
      p->is_closed = true;
      (void)snprintf(p->why, sizeof p->why, "torcd at %s is gone", p->control->path);
    } else if (strcmp(text_of(line, "event"), "closed") == 0 &&
               strcmp(text_of(line, "connection"), p->connection) == 0) {
      p->is_closed = true;
      p->is_cut = !json_is_true(json_object_get(line, "ok"));
      (void)snprintf(p->why, sizeof p->why, "%s", text_of(line, "error"));
    }
    json_decref(line);
  } while (!p->is_closed && client_has_line(p->control));
}

/* Whom to wait for: the descriptor, or none. */
static int if_wanted(bool is_wanted, int fd) {
  return is_wanted ? fd : -1;
}

static bool is_over(const pump *p, bool half) {
  const flow *in = &p->flows[1];
  if (p->is_closed) { /* what has come is still passed on */
    return in->is_done;
  }
  if (p->control == NULL || half) {
    return in->is_done && (half || p->flows[0].is_done);
  }
  return in->is_broken;
}

static void step(pump *p) {
  flow *a = &p->flows[0];
  flow *b = &p->flows[1];
  bool no_news = p->control == NULL || p->is_closed;
  bool may_send = !p->is_closed;
  struct pollfd fds[5] = {
      {.fd = if_wanted(may_send && a->is_open && a->at == a->len, a->from), .events = POLLIN},
      {.fd = if_wanted(may_send && !a->is_done && a->at < a->len, a->to), .events = POLLOUT},
      {.fd = if_wanted(b->is_open && b->at == b->len, b->from), .events = POLLIN},
      {.fd = if_wanted(!b->is_done && b->at < b->len, b->to), .events = POLLOUT},
      {.fd = no_news ? -1 : p->control->fd, .events = POLLIN}};
  if (!no_news && client_has_line(p->control)) {
    read_control(p);
    return;
  }
  if (poll(fds, 5, -1) <= 0) {
    return; /* a signal */
  }
  if (may_send) {
    step_flow(a, fds[0].revents, fds[1].revents);
  }
  step_flow(b, fds[2].revents, fds[3].revents);
  if (fds[4].revents != 0) {
    read_control(p);
  }
}

int pump_run(pump *p, bool half) {
  for (size_t i = 0; i < 2; i++) {
    p->flows[i].is_open = true;
    p->flows[i].buffer = malloc(PUMP_BYTES);
  }
  int rc = p->flows[0].buffer == NULL || p->flows[1].buffer == NULL ? TORC_ERR_NOMEM : 0;
  while (rc == 0 && !is_over(p, half)) {
    step(p);
  }
  free(p->flows[0].buffer);
  free(p->flows[1].buffer);
  return rc;
}
