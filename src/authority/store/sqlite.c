/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authority/store/db.h"
#include "io/err.h"

#define STATEMENTS_MAX 64 /* kept prepared; a further one is prepared for each run */
#define BUSY_MS 10000     /* how long another program may hold the write lock */
#define BACKUP_PAGES 256  /* copied at once, so that writers are not kept waiting */
#define BACKUP_WAIT_MS 20

typedef struct statement {
  const char *sql; /* by address: they are literals */
  sqlite3_stmt *stmt;
} statement;

typedef struct sqlite_db {
  torc_db base;
  sqlite3 *handle;
  statement kept[STATEMENTS_MAX];
  size_t num_kept;
} sqlite_db;

static int fault(const sqlite_db *db, int code, char *err, size_t err_cap) {
  int rc = TORC_ERR_IO;
  if ((code & 0xff) == SQLITE_CONSTRAINT) {
    rc = TORC_ERR_EXISTS;
  } else if ((code & 0xff) == SQLITE_BUSY) {
    rc = TORC_ERR_STATE;
  }
  return torc_fail(rc, err, err_cap, "the database says: %s", sqlite3_errmsg(db->handle));
}

static int find_statement(sqlite_db *db, const char *sql, sqlite3_stmt **out, bool *is_kept,
                          char *err, size_t err_cap) {
  for (size_t i = 0; i < db->num_kept; i++) {
    if (db->kept[i].sql == sql) {
      *out = db->kept[i].stmt;
      *is_kept = true;
      return 0;
    }
  }
  int code = sqlite3_prepare_v2(db->handle, sql, -1, out, NULL);
  if (code != SQLITE_OK) {
    return fault(db, code, err, err_cap);
  }
  *is_kept = db->num_kept < STATEMENTS_MAX;
  if (*is_kept) {
    db->kept[db->num_kept] = (statement){.sql = sql, .stmt = *out};
    db->num_kept++;
  }
  return 0;
}

static int bind(sqlite3_stmt *stmt, const torc_db_value *params, size_t num) {
  for (size_t i = 0; i < num; i++) {
    char name[24];
    (void)snprintf(name, sizeof name, "$%zu", i + 1);
    int at = sqlite3_bind_parameter_index(stmt, name);
    int code = SQLITE_OK;
    if (at != 0 && params[i].text != NULL) {
      code = sqlite3_bind_text(stmt, at, params[i].text, -1, SQLITE_TRANSIENT);
    } else if (at != 0) {
      code = sqlite3_bind_int64(stmt, at, params[i].number);
    }
    if (code != SQLITE_OK) {
      return code;
    }
  }
  return SQLITE_OK;
}

static int give_row(sqlite3_stmt *stmt, torc_db_row *row, void *arg) {
  const char *columns[TORC_DB_COLUMNS_MAX];
  int num = sqlite3_column_count(stmt);
  if (num > TORC_DB_COLUMNS_MAX) {
    num = TORC_DB_COLUMNS_MAX;
  }
  for (int i = 0; i < num; i++) {
    const unsigned char *text = sqlite3_column_text(stmt, i);
    columns[i] = text == NULL ? "" : (const char *)text;
  }
  return row(arg, columns, (size_t)num);
}

static int run(torc_db *base, const char *sql, const torc_db_value *params, size_t num,
               torc_db_row *row, void *arg, uint64_t *changed, char *err, size_t err_cap) {
  sqlite_db *db = (sqlite_db *)base;
  sqlite3_stmt *stmt = NULL;
  bool is_kept = false;
  int rc = find_statement(db, sql, &stmt, &is_kept, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  int code = bind(stmt, params, num);
  if (code == SQLITE_OK) {
    code = sqlite3_step(stmt);
  }
  while (rc == 0 && code == SQLITE_ROW) {
    rc = row == NULL ? 0 : give_row(stmt, row, arg);
    code = rc == 0 ? sqlite3_step(stmt) : SQLITE_DONE;
  }
  if (code != SQLITE_DONE) {
    rc = fault(db, code, err, err_cap);
  }
  if (changed != NULL) {
    *changed = (uint64_t)sqlite3_changes(db->handle);
  }
  (void)sqlite3_reset(stmt); /* repeats the failure told above */
  (void)sqlite3_clear_bindings(stmt);
  if (!is_kept) {
    (void)sqlite3_finalize(stmt);
  }
  return rc;
}

static int begin(torc_db *base, char *err, size_t err_cap) {
  /* The write lock at once: a transaction that reads and then writes could otherwise fail. */
  return run(base, "BEGIN IMMEDIATE", NULL, 0, NULL, NULL, NULL, err, err_cap);
}

int torc_sqlite_copy(sqlite3 *from, sqlite3 *to) {
  sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
  if (copy == NULL) {
    return sqlite3_errcode(to);
  }
  int code = SQLITE_OK;
  while (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED) {
    code = sqlite3_backup_step(copy, BACKUP_PAGES);
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
      (void)sqlite3_sleep(BACKUP_WAIT_MS);
    }
  }
  int end = sqlite3_backup_finish(copy);
  return code == SQLITE_DONE ? end : code;
}

static int backup(torc_db *base, const char *file, char *err, size_t err_cap) {
  sqlite_db *db = (sqlite_db *)base;
  sqlite3 *to = NULL;
  int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    return torc_fail(errno == EEXIST ? TORC_ERR_EXISTS : TORC_ERR_IO, err, err_cap,
                     "cannot make %s: %s", file, strerror(errno));
  }
  (void)close(fd);
  int code = sqlite3_open_v2(file, &to, SQLITE_OPEN_READWRITE, NULL);
  if (code == SQLITE_OK) {
    code = torc_sqlite_copy(db->handle, to);
  }
  /* The copy is one file: no log beside it. */
  if (code == SQLITE_OK) {
    code = sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
  }
  int rc = 0;
  if (code != SQLITE_OK) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "cannot copy the database to %s: %s", file,
                   sqlite3_errstr(code));
    (void)unlink(file);
  }
  (void)sqlite3_close(to);
  return rc;
}

static void close_db(torc_db *base) {
  sqlite_db *db = (sqlite_db *)base;
  for (size_t i = 0; i < db->num_kept; i++) {
    (void)sqlite3_finalize(db->kept[i].stmt);
  }
  (void)sqlite3_close(db->handle);
  free(db);
}

static const torc_db_ops ops = {.run = run, .begin = begin, .backup = backup, .close = close_db};

/* Made here so that the mode is right from the first byte; SQLite gives its log the same. */
static int make_file(const char *file, char *err, size_t err_cap) {
  int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot open %s: %s", file, strerror(errno));
  }
  (void)close(fd);
  return 0;
}

int torc_db_open_sqlite(torc_db **out, const char *file, char *err, size_t err_cap) {
  static const char settings[] =
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON";
  int rc = make_file(file, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  sqlite_db *db = calloc(1, sizeof *db);
  if (db == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  db->base.ops = &ops;
  int code = sqlite3_open_v2(file, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
  if (code == SQLITE_OK) {
    code = sqlite3_busy_timeout(db->handle, BUSY_MS);
  }
  if (code == SQLITE_OK) {
    code = sqlite3_exec(db->handle, settings, NULL, NULL, NULL);
  }
  if (code != SQLITE_OK) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "cannot open the database %s: %s", file,
                   db->handle == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db->handle));
    close_db(&db->base);
    return rc;
  }
  *out = &db->base;
  return 0;
}
