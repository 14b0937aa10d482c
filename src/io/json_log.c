/* SPDX-License-Identifier: Apache-2.0 */
#include "io/json_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"

#define LOG_FILE_MODE 0640

struct torc_json_log {
  torc_log sink;
  int fd;
  bool is_json;
  uint64_t lost;
  bool is_torn;    /* the last line has no end: the disk was full */
  char file[1024]; /* empty: standard error */
};

/* "2026-01-31T12:00:00.123456Z" */
static size_t write_date(char *out, size_t cap) {
  struct timespec now;
  struct tm tm;
  (void)clock_gettime(CLOCK_REALTIME, &now);
  if (gmtime_r(&now.tv_sec, &tm) == NULL) {
    return 0;
  }
  size_t n = strftime(out, cap, "%Y-%m-%dT%H:%M:%S", &tm);
  int more = snprintf(out + n, cap - n, ".%06ldZ", now.tv_nsec / 1000);
  return more < 0 ? n : n + (size_t)more;
}

static torc_time monotonic(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (torc_time)now.tv_sec * 1000000u + (torc_time)now.tv_nsec / 1000u;
}

/* The node's own line with the date put in front of its first field. */
static size_t format_json(char *out, size_t cap, torc_log_level level, const char *name,
                          const torc_field *fields, size_t num_fields) {
  char date[64];
  size_t date_len = write_date(date, sizeof date);
  int head = snprintf(out, cap, "{\"time\":\"%.*s\",", (int)date_len, date);
  if (head < 0 || (size_t)head >= cap) {
    return 0;
  }
  size_t n = (size_t)head - 1; /* the line's own '{' falls on the ',' */
  n += torc_log_json(out + n, cap - n, monotonic(), level, name, fields, num_fields);
  out[head - 1] = ',';
  return n;
}

typedef struct text_line {
  char *out;
  size_t len, cap;
} text_line;

static void add(text_line *t, const char *text, size_t len) {
  size_t room = t->cap - t->len;
  if (len > room) {
    len = room;
  }
  memcpy(t->out + t->len, text, len);
  t->len += len;
}

/* Values of peers stay on their line: what is not printable ASCII becomes '.'. */
static void add_printable(text_line *t, const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    char c = text[i] >= ' ' && text[i] < 0x7f ? text[i] : '.';
    add(t, &c, 1);
  }
}

static void add_field(text_line *t, const torc_field *f) {
  char text[64];
  int n = 0;
  add(t, " ", 1);
  add(t, f->key, strlen(f->key));
  add(t, "=", 1);
  switch (f->kind) {
    case TORC_FIELD_U64:
      n = snprintf(text, sizeof text, "%llu", (unsigned long long)f->v.u64);
      break;
    case TORC_FIELD_I64:
      n = snprintf(text, sizeof text, "%lld", (long long)f->v.i64);
      break;
    case TORC_FIELD_STR:
      add_printable(t, f->v.str == NULL ? "" : f->v.str, f->v.str == NULL ? 0 : strlen(f->v.str));
      break;
    case TORC_FIELD_ID:
      add(t, torc_id_hex(f->v.id, text), TORC_ID_HEX_LEN);
      break;
    case TORC_FIELD_BYTES:
      add_printable(t, (const char *)f->v.bytes.p, f->v.bytes.len);
      break;
    case TORC_FIELD_ERR:
      add(t, torc_strerror(f->v.err), strlen(torc_strerror(f->v.err)));
      break;
  }
  if (n > 0) {
    add(t, text, (size_t)n);
  }
}

static size_t format_text(char *out, size_t cap, torc_log_level level, const char *name,
                          const torc_field *fields, size_t num_fields) {
  text_line t = {.out = out, .cap = cap - 1}; /* room for the newline */
  char date[64];
  add(&t, date, write_date(date, sizeof date));
  add(&t, " ", 1);
  add(&t, torc_log_level_name(level), strlen(torc_log_level_name(level)));
  add(&t, " ", 1);
  add(&t, name, strlen(name));
  for (size_t i = 0; i < num_fields; i++) {
    add_field(&t, &fields[i]);
  }
  t.out[t.len] = '\n';
  return t.len + 1;
}

/* One write per line, so that lines of several processes in one file do not mix. */
static void on_event(void *ctx, torc_log_level level, const char *name, const torc_field *fields,
                     size_t num_fields) {
  torc_json_log *l = ctx;
  char line[TORC_LOG_LINE_MAX];
  size_t len = l->is_json ? format_json(line, sizeof line, level, name, fields, num_fields)
                          : format_text(line, sizeof line, level, name, fields, num_fields);
  if (len == 0 || (l->is_torn && write(l->fd, "\n", 1) != 1)) {
    l->lost++;
    return;
  }
  ssize_t n = write(l->fd, line, len);
  l->is_torn = n > 0 && (size_t)n < len;
  if (n != (ssize_t)len) {
    l->lost++;
  }
}

static int open_file(const char *file, int *fd, char *err, size_t err_cap) {
  int got = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, LOG_FILE_MODE);
  if (got < 0) {
    (void)snprintf(err, err_cap, "cannot open the log %s: %s", file, strerror(errno));
    return TORC_ERR_IO;
  }
  *fd = got;
  return 0;
}

int torc_json_log_open(torc_json_log **out, const char *file, torc_log_level level, bool is_json,
                       char *err, size_t err_cap) {
  torc_json_log *l = calloc(1, sizeof *l);
  if (l == NULL) {
    (void)snprintf(err, err_cap, "there is no memory for the log");
    return TORC_ERR_NOMEM;
  }
  l->fd = STDERR_FILENO;
  l->is_json = is_json;
  l->sink = (torc_log){.ctx = l, .level = level, .event = on_event};
  int rc = 0;
  if (file != NULL && file[0] != '\0') {
    if (strlen(file) >= sizeof l->file) {
      (void)snprintf(err, err_cap, "the name of the log is too long");
      rc = TORC_ERR_LIMIT;
    } else {
      memcpy(l->file, file, strlen(file) + 1);
      rc = open_file(file, &l->fd, err, err_cap);
    }
  }
  if (rc != 0) {
    free(l);
    return rc;
  }
  *out = l;
  return 0;
}

int torc_json_log_reopen(torc_json_log *l, char *err, size_t err_cap) {
  int fd = -1;
  if (l->file[0] == '\0') {
    return 0;
  }
  int rc = open_file(l->file, &fd, err, err_cap);
  if (rc == 0) {
    (void)close(l->fd);
    l->fd = fd;
    l->is_torn = false;
  }
  return rc;
}

void torc_json_log_close(torc_json_log *l) {
  if (l != NULL) {
    if (l->file[0] != '\0') {
      (void)close(l->fd);
    }
    free(l);
  }
}

torc_log *torc_json_log_sink(torc_json_log *l) {
  return &l->sink;
}

uint64_t torc_json_log_lost(const torc_json_log *l) {
  return l->lost;
}
