/* The few things the authority asks of a database, over SQLite or PostgreSQL [D-17]. One statement
 * text serves both: parameters are $1, $2, ..., values are 64-bit integers and UTF-8 text.
 * Objects are for one thread at a time. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_STORE_DB_H
#define TORC_AUTHORITY_STORE_DB_H

#include "torc/types.h"

#define TORC_DB_PARAMS_MAX 12
#define TORC_DB_COLUMNS_MAX 12

typedef struct torc_db_value {
  const char *text; /* NUL-terminated, borrowed; NULL: `number` is the value */
  int64_t number;
} torc_db_value;
#define TORC_DB_TEXT(t) ((torc_db_value){.text = (t)})
#define TORC_DB_NUMBER(n) ((torc_db_value){.number = (int64_t)(n)})

/* One row; text is borrowed for the call, never NULL, and empty where the column is NULL. Not 0:
 * stop, and the statement returns this. */
typedef int torc_db_row(void *arg, const char *const *columns, size_t num);

typedef struct torc_db torc_db;
typedef struct torc_db_ops {
  /* See torc_db_run. `sql` is a literal: its address may name a prepared statement. */
  int (*run)(torc_db *db, const char *sql, const torc_db_value *params, size_t num,
             torc_db_row *row, void *arg, uint64_t *changed, char *err, size_t err_cap);
  int (*begin)(torc_db *db, char *err, size_t err_cap); /* a transaction that may write */
  int (*backup)(torc_db *db, const char *file, char *err, size_t err_cap);
  void (*close)(torc_db *db);
} torc_db_ops;
struct torc_db { /* the first member of the implementation's object */
  const torc_db_ops *ops;
};

/* where: "sqlite:FILE" (made with mode 0600 unless it is there) or what libpq takes as a connection
 * string, "postgresql://...". TORC_ERR_CONFIG: neither. TORC_ERR_IO. `err` gets one line, in which
 * no password stands. */
int torc_db_open(torc_db **out, const char *where, char *err, size_t err_cap) TORC_MUST_CHECK;
void torc_db_close(torc_db *db);

/* Runs one statement. row, arg: for each row, or NULL. changed: rows written, or NULL.
 * TORC_ERR_EXISTS: a unique column has the value already. TORC_ERR_STATE: another program wrote the
 * same rows; the transaction must be begun again. TORC_ERR_IO: anything else. After a failure
 * inside a transaction only torc_db_rollback is allowed. */
int torc_db_run(torc_db *db, const char *sql, const torc_db_value *params, size_t num,
                torc_db_row *row, void *arg, uint64_t *changed, char *err,
                size_t err_cap) TORC_MUST_CHECK;
int torc_db_begin(torc_db *db, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Durable when it returns 0. */
int torc_db_commit(torc_db *db, char *err, size_t err_cap) TORC_MUST_CHECK;
void torc_db_rollback(torc_db *db);

/* A consistent copy in a new file (mode 0600) while others write. TORC_ERR_EXISTS: the file is
 * there. TORC_ERR_INVALID: a PostgreSQL database is backed up with pg_dump. */
int torc_db_backup(torc_db *db, const char *file, char *err, size_t err_cap) TORC_MUST_CHECK;

/* Puts the copy that torc_db_backup made in the place of the database file, which nobody has open:
 * what was there stays under its name followed by `kept`. The copy is checked first, whole; a crash
 * leaves the old database or the new one. TORC_ERR_FORMAT: it is no undamaged database.
 * TORC_ERR_IO.
 */
int torc_db_restore_sqlite(const char *copy, const char *file, const char *kept, char *err,
                           size_t err_cap) TORC_MUST_CHECK;
/* For the implementation: copies all pages. An SQLite code. */
struct sqlite3;
int torc_sqlite_copy(struct sqlite3 *from, struct sqlite3 *to);

int torc_db_open_sqlite(torc_db **out, const char *file, char *err, size_t err_cap) TORC_MUST_CHECK;
int torc_db_open_postgres(torc_db **out, const char *where, char *err,
                          size_t err_cap) TORC_MUST_CHECK;

#endif
