/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/slice.h"

struct torc_ledger {
  FILE *file;
  char path[1024];
};

/* Length of the file up to and with its last newline; -1 on failure. */
static off_t whole_lines(int fd, off_t size) {
  off_t end = size;
  char block[4096];
  while (end > 0) {
    size_t want = end < (off_t)sizeof block ? (size_t)end : sizeof block;
    ssize_t n = pread(fd, block, want, end - (off_t)want);
    if (n != (ssize_t)want) {
      return -1;
    }
    const char *newline = memrchr(block, '\n', want);
    if (newline != NULL) {
      return end - (off_t)want + (newline - block) + 1;
    }
    end -= (off_t)want;
  }
  return 0;
}

static int cut_torn_line(int fd) {
  struct stat st;
  if (fstat(fd, &st) != 0 || st.st_size > (off_t)TORC_LEDGER_MAX_BYTES) {
    return TORC_ERR_IO;
  }
  off_t end = whole_lines(fd, st.st_size);
  if (end < 0 || (end < st.st_size && ftruncate(fd, end) != 0)) {
    return TORC_ERR_IO;
  }
  return 0;
}

int torc_ledger_open(torc_ledger **out, const char *path, char *err, size_t err_cap) {
  int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) {
    (void)snprintf(err, err_cap, "cannot open %s: %s", path, strerror(errno));
    return TORC_ERR_IO;
  }
  torc_ledger *l = calloc(1, sizeof *l);
  int rc = l == NULL ? TORC_ERR_NOMEM : 0;
  if (rc == 0 && flock(fd, LOCK_EX) != 0) {
    rc = TORC_ERR_IO;
  }
  if (rc == 0) {
    rc = cut_torn_line(fd);
  }
  if (rc == 0) {
    l->file = fdopen(fd, "a+");
    rc = l->file == NULL ? TORC_ERR_NOMEM : 0;
  }
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot use %s: %s", path, strerror(errno));
    (void)close(fd);
    free(l);
    return rc;
  }
  (void)snprintf(l->path, sizeof l->path, "%s", path);
  *out = l;
  return 0;
}

void torc_ledger_close(torc_ledger *l) {
  if (l != NULL) {
    (void)fclose(l->file); /* the lock goes with it */
    free(l);
  }
}

static char *hex_of(const uint8_t *bytes, size_t len, char *out) {
  for (size_t i = 0; i < len; i++) {
    (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
  }
  return out;
}

static bool names_user(const torc_ledger_entry *e, const char *name) {
  for (size_t i = 0; i < e->num_users; i++) {
    if (strcmp(e->users[i], name) == 0) {
      return true;
    }
  }
  return false;
}

/* What one line of the ledger says against `e`. */
typedef struct verdict {
  int rc;
  char name[TORC_USER_MAX + 1];    /* the name that is taken */
  char account[TORC_USER_MAX + 1]; /* by whom */
  size_t num_valid;                /* certificates of e's account */
} verdict;

static int judge_line(const json_t *line, const torc_ledger_entry *e, torc_wall now, verdict *v) {
  const char *serial = NULL;
  const char *peer = NULL;
  const char *account = NULL;
  json_t *users = NULL;
  json_int_t not_after = 0;
  char hex[2 * TORC_CA_SERIAL_LEN + 1];
  if (json_unpack((json_t *)line, "{s:s, s:s, s:s, s:o, s:I}", "serial", &serial, "peer", &peer,
                  "account", &account, "users", &users, "not_after", &not_after) != 0 ||
      !json_is_array(users)) {
    return TORC_ERR_FORMAT;
  }
  bool is_own = strcmp(account, e->account) == 0;
  if (strcmp(serial, hex_of(e->serial, sizeof e->serial, hex)) == 0 ||
      strcmp(peer, torc_id_hex(&e->peer, hex)) == 0) {
    v->rc = TORC_ERR_EXISTS;
  }
  if (is_own && not_after > (json_int_t)now) {
    v->num_valid++;
  }
  for (size_t i = 0; !is_own && i < json_array_size(users); i++) { /* */
    const char *name = json_string_value(json_array_get(users, i));
    if (name != NULL && names_user(e, name)) {
      v->rc = TORC_ERR_DENIED;
      (void)snprintf(v->name, sizeof v->name, "%s", name);
      (void)snprintf(v->account, sizeof v->account, "%s", account);
    }
  }
  return 0;
}

static int scan(torc_ledger *l, const torc_ledger_entry *e, torc_wall now, verdict *v,
                size_t *line_number) {
  char text[TORC_LEDGER_LINE_MAX];
  rewind(l->file);
  for (*line_number = 1; fgets(text, sizeof text, l->file) != NULL; (*line_number)++) {
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    int rc = line == NULL ? TORC_ERR_FORMAT : judge_line(line, e, now, v);
    json_decref(line);
    if (rc != 0 || v->rc != 0) {
      return rc;
    }
  }
  return ferror(l->file) != 0 ? TORC_ERR_IO : 0;
}

int torc_ledger_check(torc_ledger *l, const torc_ledger_entry *e, torc_wall now, char *err,
                      size_t err_cap) {
  verdict v = {.rc = 0};
  size_t line = 0;
  int rc = scan(l, e, now, &v, &line);
  if (rc == TORC_ERR_FORMAT) {
    (void)snprintf(err, err_cap, "%s:%zu: this line is no entry; restore the file from a backup",
                   l->path, line);
    return rc;
  }
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot read %s: %s", l->path, strerror(errno));
    return rc;
  }
  if (v.rc == TORC_ERR_EXISTS) {
    (void)snprintf(err, err_cap, "serial number or peer-id was issued before");
  } else if (v.rc == TORC_ERR_DENIED) {
    (void)snprintf(err, err_cap, "the name %s belongs to the account %s for ever", v.name,
                   v.account);
  } else if (v.num_valid >= TORC_LEDGER_ACCOUNT_CERTS) { /* */
    (void)snprintf(err, err_cap, "the account %s has %zu valid certificates, and %d are allowed",
                   e->account, v.num_valid, TORC_LEDGER_ACCOUNT_CERTS);
    return TORC_ERR_LIMIT;
  }
  return v.rc;
}

static json_t *entry_json(const torc_ledger_entry *e) {
  char serial[2 * TORC_CA_SERIAL_LEN + 1];
  char peer[TORC_ID_HEX_LEN + 1];
  json_t *users = json_array();
  for (size_t i = 0; i < e->num_users; i++) {
    (void)json_array_append_new(users, json_string(e->users[i]));
  }
  return json_pack("{s:I, s:s, s:s, s:s, s:o, s:I}", "issued", (json_int_t)e->issued, "serial",
                   hex_of(e->serial, sizeof e->serial, serial), "peer", torc_id_hex(&e->peer, peer),
                   "account", e->account, "users", users, "not_after", (json_int_t)e->not_after);
}

int torc_ledger_append(torc_ledger *l, const torc_ledger_entry *e, char *err, size_t err_cap) {
  json_t *line = entry_json(e);
  char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
  int rc = text == NULL ? TORC_ERR_NOMEM : 0;
  if (rc == 0 && strlen(text) + 2 > TORC_LEDGER_LINE_MAX) {
    rc = TORC_ERR_LIMIT;
  }
  if (rc == 0 && (fseek(l->file, 0, SEEK_END) != 0 || fprintf(l->file, "%s\n", text) < 0 ||
                  fflush(l->file) != 0 || fsync(fileno(l->file)) != 0)) {
    rc = TORC_ERR_IO;
  }
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot append to %s: %s", l->path,
                   rc == TORC_ERR_IO ? strerror(errno) : torc_strerror(rc));
  }
  free(text);
  json_decref(line);
  return rc;
}
