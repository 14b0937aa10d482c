/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authority/registry_impl.h"
#include "base/id.h"
#include "io/err.h"

struct torc_audit {
  pthread_mutex_t lock;
  int fd;
  bool is_torn; /* the last line has no end */
  char file[TORC_PATH_MAX];
};

/* Whether a crash or a full disk left a line without its end. */
static bool is_torn(int fd) {
  char last = '\n';
  off_t end = lseek(fd, 0, SEEK_END);
  return end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n';
}

static int open_file(const char *file, int *out, char *err, size_t err_cap) {
  int fd = open(file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot write the audit log %s: %s", file,
                     strerror(errno));
  }
  *out = fd;
  return 0;
}

int torc_audit_open(torc_audit **out, const char *file, char *err, size_t err_cap) {
  torc_audit *a = calloc(1, sizeof *a);
  if (a == NULL || strlen(file) >= sizeof a->file || pthread_mutex_init(&a->lock, NULL) != 0) {
    free(a);
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory for the audit log");
  }
  (void)snprintf(a->file, sizeof a->file, "%s", file);
  int rc = open_file(file, &a->fd, err, err_cap);
  if (rc != 0) {
    (void)pthread_mutex_destroy(&a->lock);
    free(a);
    return rc;
  }
  a->is_torn = is_torn(a->fd);
  *out = a;
  return 0;
}

int torc_audit_reopen(torc_audit *a, char *err, size_t err_cap) {
  int fd = -1;
  int rc = open_file(a->file, &fd, err, err_cap);
  if (rc == 0) {
    (void)pthread_mutex_lock(&a->lock);
    (void)close(a->fd);
    a->fd = fd;
    a->is_torn = is_torn(fd);
    (void)pthread_mutex_unlock(&a->lock);
  }
  return rc;
}

void torc_audit_close(torc_audit *a) {
  if (a != NULL) {
    (void)close(a->fd);
    (void)pthread_mutex_destroy(&a->lock);
    free(a);
  }
}

/* What a requester typed may be no UTF-8: it is left out rather than the line. */
static void set_text(json_t *line, const char *key, const char *text) {
  json_t *value = text == NULL ? NULL : json_string(text);
  if (value == NULL && text != NULL) {
    value = json_string("(not UTF-8)");
  }
  if (value != NULL) {
    (void)json_object_set_new(line, key, value);
  }
}

static void set_entry(json_t *line, const torc_certificate_entry *e) {
  char serial[2 * TORC_CA_SERIAL_LEN + 1];
  char peer[TORC_ID_HEX_LEN + 1];
  json_t *users = json_array();
  torc_registry_hex(e->serial, TORC_CA_SERIAL_LEN, serial);
  for (size_t i = 0; i < e->num_users; i++) {
    (void)json_array_append_new(users, json_string(e->users[i]));
  }
  (void)json_object_set_new(line, "users", users);
  set_text(line, "serial", serial);
  set_text(line, "peer", torc_id_hex(&e->peer, peer));
  (void)json_object_set_new(line, "not_after", json_integer((json_int_t)e->not_after));
}

static char *line_of(const torc_audit_event *e) {
  json_t *line = json_pack("{s:I, s:s}", "time", (json_int_t)e->when, "event", e->what);
  if (line == NULL) {
    return NULL;
  }
  set_text(line, "source", e->source);
  set_text(line, "account", e->account);
  set_text(line, "reason", e->reason);
  if (e->num_names > 0) {
    json_t *names = json_array();
    for (size_t i = 0; i < e->num_names; i++) {
      (void)json_array_append_new(names, json_string(e->names[i]));
    }
    (void)json_object_set_new(line, "names", names);
  }
  if (e->entry != NULL) {
    set_entry(line, e->entry);
  }
  if (e->is_repeat) {
    (void)json_object_set_new(line, "repeat", json_true());
  }
  char *text = json_dumps(line, JSON_COMPACT);
  json_decref(line);
  return text;
}

int torc_audit_write(torc_audit *a, const torc_audit_event *e) {
  if (a == NULL) {
    return 0;
  }
  char *text = line_of(e);
  if (text == NULL) {
    return TORC_ERR_NOMEM;
  }
  size_t len = strlen(text);
  text[len] = '\n'; /* in place of the NUL: one write, one line */
  (void)pthread_mutex_lock(&a->lock);
  if (a->is_torn && write(a->fd, "\n", 1) == 1) {
    a->is_torn = false;
  }
  ssize_t n = a->is_torn ? -1 : write(a->fd, text, len + 1);
  a->is_torn = a->is_torn || (n > 0 && n <= (ssize_t)len);
  (void)pthread_mutex_unlock(&a->lock);
  free(text);
  return n == (ssize_t)len + 1 ? 0 : TORC_ERR_IO;
}
