/* SPDX-License-Identifier: Apache-2.0 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/store/db.h"
#include "io/err.h"

#define NUMBER_CAP 24
#define CONNECT_S "10"    /* these three unless the connection string says otherwise */
#define SILENT_MS "15000" /* of a server that does not acknowledge what is sent */
#define SESSION \
  "-c statement_timeout=15s" /* so that one request does not hold the others for ever */
#define UNIQUE_VIOLATION "23505"
#define SERIALIZATION_FAILURE "40001"
#define DEADLOCK "40P01"

typedef struct postgres_db {
  torc_db base;
  PGconn *conn;
} postgres_db;

/* The server's first line, without its final newline. */
static int fault(const postgres_db *db, const PGresult *result, char *err, size_t err_cap) {
  const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char *text = result == NULL ? "" : PQresultErrorMessage(result);
  int rc = TORC_ERR_IO;
  if (state != NULL && strcmp(state, UNIQUE_VIOLATION) == 0) {
    rc = TORC_ERR_EXISTS;
  } else if (state != NULL &&
             (strcmp(state, SERIALIZATION_FAILURE) == 0 || strcmp(state, DEADLOCK) == 0)) {
    rc = TORC_ERR_STATE;
  }
  if (text[0] == '\0') {
    text = PQerrorMessage(db->conn);
  }
  return torc_fail(rc, err, err_cap, "the database says: %.*s", (int)strcspn(text, "\n"), text);
}

static int give_rows(const PGresult *result, torc_db_row *row, void *arg) {
  const char *columns[TORC_DB_COLUMNS_MAX];
  int num = PQnfields(result);
  int rc = 0;
  if (num > TORC_DB_COLUMNS_MAX) {
    num = TORC_DB_COLUMNS_MAX;
  }
  for (int i = 0; rc == 0 && i < PQntuples(result); i++) {
    for (int k = 0; k < num; k++) {
      columns[k] = PQgetvalue(result, i, k); /* "" for NULL */
    }
    rc = row(arg, columns, (size_t)num);
  }
  return rc;
}

static int run(torc_db *base, const char *sql, const torc_db_value *params, size_t num,
               torc_db_row *row, void *arg, uint64_t *changed, char *err, size_t err_cap) {
  postgres_db *db = (postgres_db *)base;
  const char *values[TORC_DB_PARAMS_MAX];
  char numbers[TORC_DB_PARAMS_MAX][NUMBER_CAP];
  for (size_t i = 0; i < num; i++) {
    values[i] = params[i].text;
    if (values[i] == NULL) {
      (void)snprintf(numbers[i], NUMBER_CAP, "%lld", (long long)params[i].number);
      values[i] = numbers[i];
    }
  }
  PGresult *result = PQexecParams(db->conn, sql, (int)num, NULL, values, NULL, NULL, 0);
  ExecStatusType status = PQresultStatus(result);
  int rc = 0;
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    rc = fault(db, result, err, err_cap);
  } else if (row != NULL) {
    rc = give_rows(result, row, arg);
  }
  if (rc == 0 && changed != NULL) {
    *changed = strtoull(PQcmdTuples(result), NULL, 10);
  }
  PQclear(result);
  return rc;
}

/* A server that was restarted meanwhile is met with a new connection. */
static int begin(torc_db *base, char *err, size_t err_cap) {
  postgres_db *db = (postgres_db *)base;
  static const char sql[] = "BEGIN ISOLATION LEVEL READ COMMITTED";
  int rc = run(base, sql, NULL, 0, NULL, NULL, NULL, err, err_cap);
  if (rc != 0 && PQstatus(db->conn) == CONNECTION_BAD) {
    PQreset(db->conn);
    rc = run(base, sql, NULL, 0, NULL, NULL, NULL, err, err_cap);
  }
  return rc;
}

static int backup(torc_db *base, const char *file, char *err, size_t err_cap) {
  (void)base;
  (void)file;
  return torc_fail(TORC_ERR_INVALID, err, err_cap,
                   "a PostgreSQL database is backed up with pg_dump; this command is for SQLite");
}

static void close_db(torc_db *base) {
  postgres_db *db = (postgres_db *)base;
  PQfinish(db->conn);
  free(db);
}

static const torc_db_ops ops = {.run = run, .begin = begin, .backup = backup, .close = close_db};

static void no_notice(void *arg, const char *message) { /* "already exists, skipping" */
  (void)arg;
  (void)message;
}

int torc_db_open_postgres(torc_db **out, const char *where, char *err, size_t err_cap) {
  postgres_db *db = calloc(1, sizeof *db);
  if (db == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  db->base.ops = &ops;
  /* What stands in `where` comes after, and wins. */
  static const char *const keywords[] = {"connect_timeout",           "tcp_user_timeout", "options",
                                         "fallback_application_name", "dbname",           NULL};
  const char *const values[] = {CONNECT_S, SILENT_MS, SESSION, "torc-authority", where, NULL};
  db->conn = PQconnectdbParams(keywords, values, 1);
  if (PQstatus(db->conn) != CONNECTION_OK) {
    const char *why = PQerrorMessage(db->conn); /* libpq leaves passwords out */
    int rc = torc_fail(TORC_ERR_IO, err, err_cap, "cannot reach the PostgreSQL database: %.*s",
                       (int)strcspn(why, "\n"), why);
    close_db(&db->base);
    return rc;
  }
  (void)PQsetNoticeProcessor(db->conn, no_notice, NULL);
  *out = &db->base;
  return 0;
}
