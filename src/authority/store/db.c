/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/store/db.h"

#include <string.h>

#include "io/err.h"

static const char sqlite_prefix[] = "sqlite:";

int torc_db_open(torc_db **out, const char *where, char *err, size_t err_cap) {
  if (strncmp(where, sqlite_prefix, sizeof sqlite_prefix - 1) == 0 &&
      where[sizeof sqlite_prefix - 1] != '\0') {
    return torc_db_open_sqlite(out, where + sizeof sqlite_prefix - 1, err, err_cap);
  }
  if (strncmp(where, "postgresql://", 13) == 0 || strncmp(where, "postgres://", 11) == 0) {
    return torc_db_open_postgres(out, where, err, err_cap);
  }
  return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "a database is sqlite:FILE or postgresql://USER@HOST/DATABASE");
}

void torc_db_close(torc_db *db) {
  if (db != NULL) {
    db->ops->close(db);
  }
}

int torc_db_run(torc_db *db, const char *sql, const torc_db_value *params, size_t num,
                torc_db_row *row, void *arg, uint64_t *changed, char *err, size_t err_cap) {
  if (num > TORC_DB_PARAMS_MAX) {
    return torc_fail(TORC_ERR_INVALID, err, err_cap, "too many parameters");
  }
  return db->ops->run(db, sql, params, num, row, arg, changed, err, err_cap);
}

int torc_db_begin(torc_db *db, char *err, size_t err_cap) {
  return db->ops->begin(db, err, err_cap);
}

int torc_db_commit(torc_db *db, char *err, size_t err_cap) {
  return db->ops->run(db, "COMMIT", NULL, 0, NULL, NULL, NULL, err, err_cap);
}

void torc_db_rollback(torc_db *db) {
  (void)db->ops->run(db, "ROLLBACK", NULL, 0, NULL, NULL, NULL, NULL, 0);
}

int torc_db_backup(torc_db *db, const char *file, char *err, size_t err_cap) {
  return db->ops->backup(db, file, err, err_cap);
}
