/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_AFTER_MS 1000

uint64_t client_now_ms(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static const char *advice(int why) {
  switch (why) {
    case ENOENT:
      return "no torcd has made this socket; start one, or name its socket with --socket or "
             "TORC_SOCKET";
    case ECONNREFUSED:
      return "the torcd that made this socket is gone; start it again";
    case EACCES:
      return "the socket belongs to another user; run this as that user, or as root";
    default:
      return "see torcd.conf(5), section [control]";
  }
}

int client_open(client *c, const char *path, char *err, size_t err_cap) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  *c = (client){.fd = -1};
  if (strlen(path) >= sizeof to.sun_path) {
    (void)snprintf(err, err_cap, "the name of the socket is too long: %s", path);
    return TORC_ERR_INVALID;
  }
  memcpy(to.sun_path, path, strlen(path) + 1);
  (void)snprintf(c->path, sizeof c->path, "%s", path);
  c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) {
    int why = errno;
    (void)snprintf(err, err_cap, "cannot reach torcd at %s: %s; %s", path, strerror(why),
                   advice(why));
    client_close(c);
    return TORC_ERR_IO;
  }
  return 0;
}

void client_close(client *c) {
  if (c->fd >= 0) {
    (void)close(c->fd);
  }
  free(c->buffer);
  *c = (client){.fd = -1};
}

static int send_line(client *c, json_t *request) {
  char *text = json_dumps(request, JSON_COMPACT);
  if (text == NULL) {
    return TORC_ERR_NOMEM;
  }
  size_t len = strlen(text);
  text[len] = '\n';
  size_t done = 0;
  int rc = 0;
  while (done < len + 1 && rc == 0) {
    ssize_t n = send(c->fd, text + done, len + 1 - done, MSG_NOSIGNAL);
    if (n > 0) {
      done += (size_t)n;
    } else if (errno != EINTR) {
      rc = TORC_ERR_IO;
    }
  }
  free(text);
  return rc;
}

static int make_room(client *c) {
  if (c->cap - c->len >= 4096) {
    return 0;
  }
  size_t cap = c->cap == 0 ? 16384 : c->cap * 2;
  if (cap > CLIENT_ANSWER_MAX) {
    return TORC_ERR_LIMIT;
  }
  char *grown = realloc(c->buffer, cap);
  if (grown == NULL) {
    return TORC_ERR_NOMEM;
  }
  c->buffer = grown;
  c->cap = cap;
  return 0;
}

/* A line on the terminal that says how long it has taken; removed by `clear`. */
static void progress(uint64_t since, bool clear, bool *is_shown) {
  uint64_t ms = client_now_ms() - since;
  if (clear) {
    if (*is_shown) {
      (void)fputs("\r\033[K", stderr);
    }
    *is_shown = false;
  } else if (ms >= PROGRESS_AFTER_MS && isatty(STDERR_FILENO) == 1) {
    (void)fprintf(stderr, "\r\033[Kwaiting for the answer of the overlay, %llu s",
                  (unsigned long long)(ms / 1000));
    *is_shown = true;
  }
}

/* Waits for a whole line; *line points into the buffer. */
static int read_line(client *c, int timeout_ms, char **line, size_t *len) {
  uint64_t start = client_now_ms();
  bool is_shown = false;
  int rc = 0;
  char *newline = NULL;
  while (rc == 0 && newline == NULL) {
    struct pollfd pfd = {.fd = c->fd, .events = POLLIN};
    int ready = poll(&pfd, 1, 500);
    if (ready < 0 && errno == EINTR) {
      rc = TORC_ERR_CLOSED; /* Ctrl-C */
    } else if (ready == 0) {
      progress(start, false, &is_shown);
      rc = client_now_ms() - start > (uint64_t)timeout_ms ? TORC_ERR_TIMEOUT : 0;
    } else {
      rc = make_room(c);
      ssize_t n = rc != 0 ? -1 : read(c->fd, c->buffer + c->len, c->cap - c->len);
      if (rc == 0 && n <= 0) {
        rc = TORC_ERR_CLOSED;
      }
      if (n > 0) {
        newline = memchr(c->buffer + c->len, '\n', (size_t)n);
        c->len += (size_t)n;
      }
    }
  }
  progress(start, true, &is_shown);
  if (rc == 0) {
    *line = c->buffer;
    *len = (size_t)(newline - c->buffer);
  }
  return rc;
}

int client_call(client *c, json_t *request, int timeout_ms, json_t **reply, char *err,
                size_t err_cap) {
  char *line = NULL;
  size_t len = 0;
  json_t *got = NULL;
  c->len = 0; /* one request at a time: what is left belongs to none */
  int rc = request == NULL ? TORC_ERR_NOMEM : send_line(c, request);
  if (rc == 0) {
    rc = read_line(c, timeout_ms, &line, &len);
  }
  if (rc == 0) {
    got = json_loadb(line, len, 0, NULL);
    rc = json_is_object(got) ? 0 : TORC_ERR_FORMAT;
    c->len -= len + 1;
    memmove(c->buffer, c->buffer + len + 1, c->len);
  }
  json_decref(request);
  if (rc != 0) {
    json_decref(got);
    (void)snprintf(err, err_cap, "torcd at %s gave no answer: %s; see its log", c->path,
                   torc_strerror(rc));
    return rc;
  }
  *reply = got;
  return 0;
}
