/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/past.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "authority/files.h"
#include "authority/registry_impl.h"
#include "io/err.h"

typedef struct past {
  FILE *file;
  const char *path;
  size_t line;
  bool is_audit; /* tolerant: other events, torn lines */
  char text[TORC_PAST_LINE_MAX];
} past;

static int start(void *arg, char *err, size_t err_cap) {
  past *p = arg;
  p->line = 0;
  if (fseek(p->file, 0, SEEK_SET) != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot read %s: %s", p->path, strerror(errno));
  }
  return 0;
}

/* Strings of an array, as they are: they were checked when they were written. */
static bool read_texts(const json_t *array, char (*out)[TORC_USER_MAX + 1], size_t max,
                       size_t *num) {
  *num = json_array_size(array);
  if (*num > max) {
    return false;
  }
  for (size_t i = 0; i < *num; i++) {
    const char *text = json_string_value(json_array_get(array, i));
    if (text == NULL || text[0] == '\0' || !torc_registry_copy(out[i], sizeof out[i], text)) {
      return false;
    }
  }
  return true;
}

static bool read_certificate(const json_t *line, torc_import_entry *out) {
  torc_certificate_entry *e = &out->certificate;
  const char *serial = json_string_value(json_object_get(line, "serial"));
  const char *peer = json_string_value(json_object_get(line, "peer"));
  const json_t *users = json_object_get(line, "users");
  const json_t *end = json_object_get(line, "not_after");
  out->has_certificate = true;
  e->not_after = (torc_wall)json_integer_value(end);
  return serial != NULL && peer != NULL && json_is_integer(end) && json_is_array(users) &&
         torc_registry_unhex(serial, e->serial, TORC_CA_SERIAL_LEN) &&
         torc_registry_unhex(peer, e->peer.b, TORC_ID_LEN) &&
         read_texts(users, e->users, TORC_CERT_MAX_USERS, &e->num_users) && e->num_users > 0;
}

static bool read_account(const json_t *line, const char *when, torc_import_entry *out) {
  const char *account = json_string_value(json_object_get(line, "account"));
  const json_t *time = json_object_get(line, when);
  memset(out, 0, sizeof *out);
  out->certificate.issued = (torc_wall)json_integer_value(time);
  return account != NULL && account[0] != '\0' && json_is_integer(time) &&
         torc_registry_copy(out->certificate.account, sizeof out->certificate.account, account);
}

/* False: not an entry. */
static bool read_line(const past *p, const json_t *line, torc_import_entry *out) {
  if (!p->is_audit) {
    return read_account(line, "issued", out) && read_certificate(line, out);
  }
  const char *event = json_string_value(json_object_get(line, "event"));
  if (event == NULL || !read_account(line, "time", out)) {
    return false;
  }
  if (strcmp(event, "issued") == 0) {
    return read_certificate(line, out);
  }
  return strncmp(event, "account-", 8) == 0 &&
         read_texts(json_object_get(line, "names"), out->names, TORC_ACCOUNT_NAMES,
                    &out->num_names);
}

/* One line; *is_end without one. A line that is too long or without its newline is empty. */
static int get_line(past *p, bool *is_end, char *err, size_t err_cap) {
  *is_end = fgets(p->text, sizeof p->text, p->file) == NULL;
  if (*is_end) {
    return ferror(p->file) == 0 ? 0
                                : torc_fail(TORC_ERR_IO, err, err_cap, "cannot read %s: %s",
                                            p->path, strerror(errno));
  }
  p->line++;
  if (strchr(p->text, '\n') == NULL && (p->is_audit || feof(p->file) != 0)) {
    *is_end = feof(p->file) != 0;
    p->text[0] = '\0';
  }
  return 0;
}

static int next(void *arg, torc_import_entry *out, bool *is_end, char *err, size_t err_cap) {
  past *p = arg;
  while (true) {
    int rc = get_line(p, is_end, err, err_cap);
    if (rc != 0 || *is_end) {
      return rc;
    }
    json_t *line = json_loads(p->text, JSON_REJECT_DUPLICATES, NULL);
    bool is_entry = line != NULL && read_line(p, line, out);
    json_decref(line);
    if (is_entry) {
      return 0;
    }
    if (!p->is_audit) {
      return torc_fail(TORC_ERR_FORMAT, err, err_cap,
                       "%s:%zu: this line is no entry; restore the file from a backup", p->path,
                       p->line);
    }
  }
}

static int take(torc_registry *r, past *p, torc_registry_imported *out, char *err, size_t err_cap) {
  torc_registry_import_source source = {.rewind = start, .next = next, .arg = p};
  return torc_registry_import(r, &source, out, err, err_cap);
}

/* The exclusive lock waits for a program of an older version that is just writing it. */
static int take_ledger(torc_registry *r, past *p, char *err, size_t err_cap) {
  char done[TORC_PATH_MAX + sizeof TORC_PAST_DONE];
  torc_registry_imported imported;
  (void)snprintf(done, sizeof done, "%s%s", p->path, TORC_PAST_DONE);
  if (flock(fileno(p->file), LOCK_EX) != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot lock %s: %s", p->path, strerror(errno));
  }
  int rc = take(r, p, &imported, err, err_cap);
  if (rc == 0 && rename(p->path, done) != 0 && errno != ENOENT) { /* ENOENT: another was faster */
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "cannot rename %s to %s: %s", p->path, done,
                   strerror(errno));
  }
  return rc;
}

static int open_past(const char *path, bool is_audit, past **out, char *err, size_t err_cap) {
  FILE *file = fopen(path, "re");
  if (file == NULL) {
    return errno == ENOENT
               ? 0
               : torc_fail(TORC_ERR_IO, err, err_cap, "cannot open %s: %s", path, strerror(errno));
  }
  past *p = calloc(1, sizeof *p);
  if (p == NULL) {
    (void)fclose(file);
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  p->file = file;
  p->path = path;
  p->is_audit = is_audit;
  *out = p;
  return 0;
}

static void close_past(past *p) {
  if (p != NULL) {
    (void)fclose(p->file);
    free(p);
  }
}

int torc_past_take_ledger(torc_registry *r, const char *dir, char *err, size_t err_cap) {
  char path[TORC_PATH_MAX];
  past *p = NULL;
  if (torc_path_join(path, sizeof path, dir, TORC_PAST_LEDGER) != 0) {
    return torc_fail(TORC_ERR_SPACE, err, err_cap, "the name %.40s... is too long", dir);
  }
  int rc = open_past(path, false, &p, err, err_cap);
  if (p != NULL) {
    rc = take_ledger(r, p, err, err_cap);
  }
  close_past(p);
  return rc;
}

int torc_past_take_audit(torc_registry *r, const char *file, torc_registry_imported *out, char *err,
                         size_t err_cap) {
  past *p = NULL;
  memset(out, 0, sizeof *out);
  int rc = open_past(file, true, &p, err, err_cap);
  if (p != NULL) {
    rc = take(r, p, out, err, err_cap);
  }
  close_past(p);
  return rc;
}
