/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "authority/store/db.h"
#include "io/err.h"

#define NAME_MAX_LEN 4200

static int is_ok(void *arg, int num, char **columns, char **names) {
  bool *out = arg;
  (void)names;
  *out = num == 1 && columns[0] != NULL && strcmp(columns[0], "ok") == 0;
  return 0;
}

/* Every page and index, and that it is one of ours. */
static int check_copy(sqlite3 *from, const char *copy, char *err, size_t err_cap) {
  bool is_whole = false;
  bool is_ours = false;
  int code = sqlite3_exec(from, "PRAGMA integrity_check(1)", is_ok, &is_whole, NULL);
  if (code == SQLITE_OK) {
    code = sqlite3_exec(from, "SELECT 'ok' FROM torc_schema", is_ok, &is_ours, NULL);
  }
  if (code != SQLITE_OK || !is_whole || !is_ours) {
    return torc_fail(TORC_ERR_FORMAT, err, err_cap,
                     "%s is no undamaged database of an authority: %s", copy,
                     code == SQLITE_OK ? "the check of its pages fails" : sqlite3_errmsg(from));
  }
  return 0;
}

static int fill_new(sqlite3 *from, const char *fresh, char *err, size_t err_cap) {
  sqlite3 *to = NULL;
  int fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot make %s: %s", fresh, strerror(errno));
  }
  (void)close(fd);
  int code = sqlite3_open_v2(fresh, &to, SQLITE_OPEN_READWRITE, NULL);
  if (code == SQLITE_OK) {
    code = torc_sqlite_copy(from, to);
  }
  if (code == SQLITE_OK) { /* one file: no log beside it */
    code = sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
  }
  (void)sqlite3_close(to);
  return code == SQLITE_OK ? 0
                           : torc_fail(TORC_ERR_IO, err, err_cap, "cannot write %s: %s", fresh,
                                       sqlite3_errstr(code));
}

/* Puts what stands in the old database's log into its file. A damaged one keeps its log. */
static void settle_old(const char *file) {
  sqlite3 *old = NULL;
  if (sqlite3_open_v2(file, &old, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
    (void)sqlite3_exec(old, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
  }
  (void)sqlite3_close(old);
}

/* The old log must be away before the new file is there: it would be taken for the new one's. */
static int keep_old(const char *file, const char *kept, char *err, size_t err_cap) {
  static const char *const logs[] = {"-wal", "-shm"};
  char from[NAME_MAX_LEN];
  char to[NAME_MAX_LEN];
  (void)snprintf(to, sizeof to, "%s%s", file, kept);
  if (link(file, to) != 0 && errno != ENOENT) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot keep %s as %s: %s", file, to,
                     strerror(errno));
  }
  for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
    (void)snprintf(from, sizeof from, "%s%s", file, logs[i]);
    (void)snprintf(to, sizeof to, "%s%s%s", file, kept, logs[i]);
    if (rename(from, to) != 0 && errno != ENOENT) {
      return torc_fail(TORC_ERR_IO, err, err_cap, "cannot keep %s as %s: %s", from, to,
                       strerror(errno));
    }
  }
  return 0;
}

int torc_db_restore_sqlite(const char *copy, const char *file, const char *kept, char *err,
                           size_t err_cap) {
  char fresh[NAME_MAX_LEN];
  sqlite3 *from = NULL;
  int n = snprintf(fresh, sizeof fresh, "%s.new", file);
  if (n < 0 || (size_t)n + strlen(kept) + 8 >= sizeof fresh) {
    return torc_fail(TORC_ERR_SPACE, err, err_cap, "the file name %.40s... is too long", file);
  }
  int rc = 0;
  int code = sqlite3_open_v2(copy, &from, SQLITE_OPEN_READONLY, NULL);
  if (code != SQLITE_OK) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "cannot open %s: %s", copy, sqlite3_errstr(code));
  }
  if (rc == 0) {
    rc = check_copy(from, copy, err, err_cap);
  }
  if (rc == 0) {
    rc = fill_new(from, fresh, err, err_cap);
  }
  (void)sqlite3_close(from);
  if (rc == 0) {
    settle_old(file);
    rc = keep_old(file, kept, err, err_cap);
  }
  if (rc == 0 && rename(fresh, file) != 0) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "cannot put %s in its place: %s", file,
                   strerror(errno));
  }
  return rc;
}
