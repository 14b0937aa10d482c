/* The database below the registry, with SQLite. PostgreSQL runs in
 * tests/loopback/test_enrol_postgres.py. SPDX-License-Identifier: Apache-2.0 */
#include "authority/store/db.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authority/helper_dir.h"

static torc_db *open_db(const char *dir) {
  char err[300] = "";
  char where[600];
  torc_db *db = NULL;
  (void)snprintf(where, sizeof where, "sqlite:%s", test_path(dir, "db"));
  assert_int_equal(torc_db_open(&db, where, err, sizeof err), 0);
  return db;
}

static int run(torc_db *db, const char *sql, const torc_db_value *v, size_t num,
               uint64_t *changed) {
  char err[300] = "";
  int rc = torc_db_run(db, sql, v, num, NULL, NULL, changed, err, sizeof err);
  assert_true((rc == 0) == (err[0] == '\0'));
  return rc;
}

static void must(torc_db *db, const char *sql) {
  assert_int_equal(run(db, sql, NULL, 0, NULL), 0);
}

static int join_row(void *arg, const char *const *columns, size_t num) {
  char *text = arg;
  for (size_t i = 0; i < num; i++) {
    strcat(text, columns[i]);
    strcat(text, i + 1 < num ? "," : ";");
  }
  return strlen(text) > 200 ? 77 : 0;
}

/* All rows of t in one text. */
static const char *rows(torc_db *db) {
  static char text[400];
  char err[300] = "";
  text[0] = '\0';
  assert_int_equal(torc_db_run(db, "SELECT a, b FROM t ORDER BY a", NULL, 0, join_row, text, NULL,
                               err, sizeof err),
                   0);
  return text;
}

static void values_come_back(void **state) {
  char err[300] = "";
  char text[400] = "";
  uint64_t changed = 0;
  torc_db *db = open_db(*state);
  must(db, "CREATE TABLE t (a TEXT PRIMARY KEY, b BIGINT)");
  /* Parameters are used in any order, and text is never part of the statement. */
  torc_db_value v[] = {TORC_DB_NUMBER(INT64_MIN), TORC_DB_TEXT("'; DROP TABLE t; --")};
  assert_int_equal(run(db, "INSERT INTO t (a, b) VALUES ($2, $1)", v, 2, &changed), 0);
  assert_int_equal(changed, 1);
  torc_db_value w[] = {TORC_DB_NUMBER(7), TORC_DB_TEXT("\xc3\xa9")};
  assert_int_equal(run(db, "INSERT INTO t (a, b) VALUES ($2, $1)", w, 2, &changed), 0);
  assert_string_equal(rows(db), "'; DROP TABLE t; --,-9223372036854775808;\xc3\xa9,7;");
  assert_int_equal(run(db, "UPDATE t SET b = 1", NULL, 0, &changed), 0);
  assert_int_equal(changed, 2);
  assert_int_equal(run(db, "UPDATE t SET b = 1 WHERE a = 'x'", NULL, 0, &changed), 0);
  assert_int_equal(changed, 0);
  must(db, "UPDATE t SET b = NULL");
  assert_string_equal(rows(db), "'; DROP TABLE t; --,;\xc3\xa9,;");
  for (int i = 0; i < 30; i++) { /* what the reader of rows says ends the statement */
    torc_db_value n[] = {TORC_DB_NUMBER(i), TORC_DB_NUMBER(100000 + i)};
    assert_int_equal(run(db, "INSERT INTO t (a, b) VALUES ($1, $2)", n, 2, NULL), 0);
  }
  assert_int_equal(
      torc_db_run(db, "SELECT a, b FROM t", NULL, 0, join_row, text, NULL, err, sizeof err), 77);
  must(db, "DELETE FROM t"); /* the statement holds nothing back */
  torc_db_value many[TORC_DB_PARAMS_MAX + 1] = {TORC_DB_NUMBER(1)};
  assert_int_equal(run(db, "SELECT 1", many, TORC_DB_PARAMS_MAX + 1, NULL), TORC_ERR_INVALID);
  torc_db_close(db);
}

static void transactions_are_whole(void **state) {
  char err[300] = "";
  torc_db *db = open_db(*state);
  must(db, "CREATE TABLE t (a TEXT PRIMARY KEY, b BIGINT)");
  assert_int_equal(torc_db_begin(db, err, sizeof err), 0);
  must(db, "INSERT INTO t VALUES ('x', 1)");
  assert_int_equal(run(db, "INSERT INTO t VALUES ('x', 2)", NULL, 0, NULL), TORC_ERR_EXISTS);
  torc_db_rollback(db);
  assert_string_equal(rows(db), "");
  assert_int_equal(torc_db_begin(db, err, sizeof err), 0);
  must(db, "INSERT INTO t VALUES ('x', 1)");
  assert_int_equal(torc_db_commit(db, err, sizeof err), 0);
  torc_db_rollback(db); /* nothing to do */
  assert_int_equal(run(db, "SELECT nonsense", NULL, 0, NULL), TORC_ERR_IO);
  torc_db_close(db);
  db = open_db(*state);
  assert_string_equal(rows(db), "x,1;");
  torc_db_close(db);
}

static void copies_are_whole_and_private(void **state) {
  char err[300] = "";
  char copy[512];
  char file[512];
  struct stat st;
  torc_db *db = open_db(*state);
  (void)snprintf(copy, sizeof copy, "%s", test_path(*state, "copy"));
  (void)snprintf(file, sizeof file, "%s", test_path(*state, "db"));
  must(db, "CREATE TABLE torc_schema (version BIGINT)");
  must(db, "INSERT INTO torc_schema VALUES (1)");
  must(db, "CREATE TABLE t (a TEXT PRIMARY KEY, b BIGINT)");
  must(db, "INSERT INTO t VALUES ('x', 1)");
  assert_int_equal(stat(file, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(torc_db_backup(db, copy, err, sizeof err), 0);
  assert_int_equal(stat(copy, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(torc_db_backup(db, copy, err, sizeof err), TORC_ERR_EXISTS);
  must(db, "INSERT INTO t VALUES ('y', 2)");
  torc_db_close(db);
  assert_int_equal(torc_db_restore_sqlite(copy, file, ".old", err, sizeof err), 0);
  db = open_db(*state);
  assert_string_equal(rows(db), "x,1;");
  torc_db_close(db);
  assert_int_equal(rename(test_path(*state, "db.old"), file), 0); /* what was there is kept whole */
  db = open_db(*state);
  assert_string_equal(rows(db), "x,1;y,2;");
  torc_db_close(db);
}

static void damaged_copies_change_nothing(void **state) {
  char err[300] = "";
  char copy[512];
  char file[512];
  size_t len = 0;
  torc_db *db = open_db(*state);
  (void)snprintf(copy, sizeof copy, "%s", test_path(*state, "copy"));
  (void)snprintf(file, sizeof file, "%s", test_path(*state, "db"));
  must(db, "CREATE TABLE torc_schema (version BIGINT)");
  must(db, "INSERT INTO torc_schema VALUES (1)");
  must(db, "CREATE TABLE t (a TEXT PRIMARY KEY, b BIGINT)");
  assert_int_equal(torc_db_begin(db, err, sizeof err), 0);
  for (int i = 0; i < 2000; i++) {
    torc_db_value n[] = {TORC_DB_NUMBER(i), TORC_DB_NUMBER(i)};
    assert_int_equal(run(db, "INSERT INTO t (a, b) VALUES ($1, $2)", n, 2, NULL), 0);
  }
  assert_int_equal(torc_db_commit(db, err, sizeof err), 0);
  assert_int_equal(torc_db_backup(db, copy, err, sizeof err), 0);
  torc_db_close(db);
  char *before = test_read(file, &len);
  struct stat st;
  assert_int_equal(stat(copy, &st), 0);
  FILE *f = fopen(copy, "r+be");
  assert_non_null(f);
  for (long at = 4096; at < st.st_size; at += 512) { /* all but the first page */
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fputs("damage damage damage", f) >= 0, 1);
  }
  assert_int_equal(fclose(f), 0);
  assert_int_equal(torc_db_restore_sqlite(copy, file, ".old", err, sizeof err), TORC_ERR_FORMAT);
  test_write(copy, "no database at all, but long enough to be read as one");
  assert_int_equal(torc_db_restore_sqlite(copy, file, ".old", err, sizeof err), TORC_ERR_FORMAT);
  assert_int_equal(truncate(copy, 0), 0); /* an empty file is an empty database */
  assert_int_equal(torc_db_restore_sqlite(copy, file, ".old", err, sizeof err), TORC_ERR_FORMAT);
  assert_int_equal(torc_db_restore_sqlite(test_path(*state, "none"), file, ".old", err, sizeof err),
                   TORC_ERR_IO);
  size_t again_len = 0;
  char *after = test_read(file, &again_len);
  assert_int_equal(again_len, len);
  assert_memory_equal(after, before, len);
  assert_int_equal(access(test_path(*state, "db.old"), F_OK), -1);
  free(before);
  free(after);
}

static void addresses_are_checked(void **state) {
  static const char *const wrong[] = {"", "sqlite:", "authority.db", "mysql://x", "postgresql:/x"};
  char err[300];
  torc_db *db = NULL;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_int_equal(torc_db_open(&db, wrong[i], err, sizeof err), TORC_ERR_CONFIG);
    assert_string_equal(err, "a database is sqlite:FILE or postgresql://USER@HOST/DATABASE");
  }
  char where[600];
  (void)snprintf(where, sizeof where, "sqlite:%s", test_path(*state, "none/db"));
  assert_int_equal(torc_db_open(&db, where, err, sizeof err), TORC_ERR_IO);
  assert_int_equal(torc_db_open(&db, "postgresql://u:secret@/x?host=/nonexistent", err, sizeof err),
                   TORC_ERR_IO);
  assert_non_null(strstr(err, "cannot reach the PostgreSQL database"));
  assert_null(strstr(err, "secret"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_DIR_TEST("D-17 values come back as they were", values_come_back),
      TORC_DIR_TEST("D-17 transactions are whole or nothing", transactions_are_whole),
      TORC_DIR_TEST("D-17 copies are whole and private", copies_are_whole_and_private),
      TORC_DIR_TEST("D-17 damaged copies change nothing", damaged_copies_change_nothing),
      TORC_DIR_TEST("D-17 an address of a database is checked", addresses_are_checked),
  };
  return TORC_RUN(tests);
}
