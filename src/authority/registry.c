/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/registry_impl.h"
#include "base/slice.h"
#include "io/err.h"

#define SCHEMA_VERSION 1

static const char *const tables[] = {
    "CREATE TABLE IF NOT EXISTS torc_schema (version BIGINT NOT NULL PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS account (name TEXT NOT NULL PRIMARY KEY, sha256 TEXT NOT NULL, "
    "md5 TEXT NOT NULL, created BIGINT NOT NULL, is_disabled BIGINT NOT NULL, "
    "is_guest BIGINT NOT NULL, touched BIGINT NOT NULL)",
    /* rows are never deleted. */
    "CREATE TABLE IF NOT EXISTS user_name (name TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS peer (id TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS certificate (serial TEXT NOT NULL PRIMARY KEY, "
    "peer TEXT NOT NULL, account TEXT NOT NULL, users TEXT NOT NULL, key_hash TEXT NOT NULL, "
    "issued BIGINT NOT NULL, not_after BIGINT NOT NULL, der TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS certificate_account ON certificate (account, not_after)",
    "CREATE INDEX IF NOT EXISTS certificate_issued ON certificate (issued)",
    "CREATE INDEX IF NOT EXISTS user_name_account ON user_name (account)",
};

void torc_registry_hex(const uint8_t *bytes, size_t len, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < len; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  out[2 * len] = '\0';
}

static int digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool torc_registry_unhex(const char *hex, uint8_t *out, size_t len) {
  if (strlen(hex) != 2 * len) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    int high = digit(hex[2 * i]);
    int low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    out[i] = (uint8_t)(high * 16 + low);
  }
  return true;
}

bool torc_registry_copy(char *out, size_t cap, const char *text) {
  size_t len = strlen(text);
  if (len >= cap) {
    return false;
  }
  memcpy(out, text, len + 1);
  return true;
}

int torc_registry_do(torc_registry *r, torc_registry_step *step, void *arg, char *err,
                     size_t err_cap) {
  int rc = TORC_ERR_STATE;
  (void)pthread_mutex_lock(&r->lock);
  for (int i = 0; i < TORC_REGISTRY_TRIES && rc == TORC_ERR_STATE; i++) {
    rc = torc_db_begin(r->db, err, err_cap);
    if (rc != 0) {
      continue;
    }
    rc = step(r->db, arg, err, err_cap);
    if (rc == 0) {
      rc = torc_db_commit(r->db, err, err_cap);
    }
    if (rc != 0) {
      torc_db_rollback(r->db);
    }
  }
  (void)pthread_mutex_unlock(&r->lock);
  return rc;
}

/* ---- tables ---- */

static int read_version(void *arg, const char *const *columns, size_t num) {
  (void)num;
  *(int64_t *)arg = strtoll(columns[0], NULL, 10);
  return 0;
}

static int make_tables(torc_db *db, void *arg, char *err, size_t err_cap) {
  int64_t version = 0;
  (void)arg;
  for (size_t i = 0; i < TORC_ARRAY_LEN(tables); i++) {
    int rc = torc_db_run(db, tables[i], NULL, 0, NULL, NULL, NULL, err, err_cap);
    if (rc != 0) {
      return rc;
    }
  }
  int rc = torc_db_run(db, "SELECT version FROM torc_schema", NULL, 0, read_version, &version, NULL,
                       err, err_cap);
  if (rc != 0 || version == SCHEMA_VERSION) {
    return rc;
  }
  if (version != 0) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "the database is of another version of this program (%lld, this is %d)",
                     (long long)version, SCHEMA_VERSION);
  }
  torc_db_value v = TORC_DB_NUMBER(SCHEMA_VERSION);
  return torc_db_run(db, "INSERT INTO torc_schema (version) VALUES ($1) ON CONFLICT DO NOTHING", &v,
                     1, NULL, NULL, NULL, err, err_cap);
}

int torc_registry_open(torc_registry **out, const char *where, char *err, size_t err_cap) {
  torc_registry *r = calloc(1, sizeof *r);
  if (r == NULL || pthread_mutex_init(&r->lock, NULL) != 0) {
    free(r);
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  int rc = torc_db_open(&r->db, where, err, err_cap);
  for (int i = 0; rc == 0 && i < TORC_REGISTRY_TRIES; i++) {
    rc = torc_registry_do(r, make_tables, NULL, err, err_cap);
    if (rc != TORC_ERR_EXISTS) { /* two authorities made one table at once: PostgreSQL says this */
      break;
    }
    rc = i + 1 < TORC_REGISTRY_TRIES ? 0 : rc;
  }
  if (rc != 0) {
    torc_registry_close(r);
    return rc;
  }
  *out = r;
  return 0;
}

void torc_registry_close(torc_registry *r) {
  if (r != NULL) {
    torc_db_close(r->db);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
  }
}

int torc_registry_backup(torc_registry *r, const char *file, char *err, size_t err_cap) {
  (void)pthread_mutex_lock(&r->lock);
  int rc = torc_db_backup(r->db, file, err, err_cap);
  (void)pthread_mutex_unlock(&r->lock);
  return rc;
}

/* ---- names ---- */

typedef struct owner {
  char account[TORC_ACCOUNT_MAX + 1];
} owner;

static int read_owner(void *arg, const char *const *columns, size_t num) {
  owner *o = arg;
  (void)num;
  return torc_registry_copy(o->account, sizeof o->account, columns[0]) ? 0 : TORC_ERR_FORMAT;
}

int torc_registry_owner(torc_db *db, const char *name, char out[TORC_ACCOUNT_MAX + 1], char *err,
                        size_t err_cap) {
  owner o = {.account = ""};
  torc_db_value v = TORC_DB_TEXT(name);
  int rc = torc_db_run(db, "SELECT account FROM user_name WHERE name = $1", &v, 1, read_owner, &o,
                       NULL, err, err_cap);
  if (rc == 0) {
    memcpy(out, o.account, sizeof o.account);
  }
  return rc;
}

int torc_registry_claim(torc_db *db, const char *account, const char *name, char *err,
                        size_t err_cap) {
  char of[TORC_ACCOUNT_MAX + 1];
  torc_db_value v[] = {TORC_DB_TEXT(name), TORC_DB_TEXT(account)};
  /* Whoever comes second waits here until the first has committed, and then finds the row. */
  int rc = torc_db_run(
      db, "INSERT INTO user_name (name, account) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", v,
      2, NULL, NULL, NULL, err, err_cap);
  if (rc == 0) {
    rc = torc_registry_owner(db, name, of, err, err_cap);
  }
  if (rc == 0 && strcmp(of, account) != 0) {
    rc = torc_fail(TORC_ERR_EXISTS, err, err_cap, "the name %s belongs to the account %s for ever",
                   name, of);
  }
  return rc;
}

/* ---- accounts ---- */

static void password_columns(const torc_password *p, char sha256[2 * TORC_SHA256_LEN + 1],
                             char md5[2 * TORC_MD5_LEN + 1]) {
  sha256[0] = '\0';
  md5[0] = '\0';
  if (p->is_set) {
    torc_registry_hex(p->sha256, TORC_SHA256_LEN, sha256);
  }
  if (p->is_set && p->has_md5) {
    torc_registry_hex(p->md5, TORC_MD5_LEN, md5);
  }
}

static int add_step(torc_db *db, void *arg, char *err, size_t err_cap) {
  const torc_account *a = arg;
  char sha256[2 * TORC_SHA256_LEN + 1];
  char md5[2 * TORC_MD5_LEN + 1];
  password_columns(&a->password, sha256, md5);
  torc_db_value v[] = {TORC_DB_TEXT(a->name), TORC_DB_TEXT(sha256), TORC_DB_TEXT(md5),
                       TORC_DB_NUMBER(a->created), TORC_DB_NUMBER(a->is_guest)};
  uint64_t changed = 0;
  int rc = torc_db_run(db,
                       "INSERT INTO account (name, sha256, md5, created, is_disabled, is_guest, "
                       "touched) VALUES ($1, $2, $3, $4, 0, $5, 0) ON CONFLICT (name) DO NOTHING",
                       v, TORC_ARRAY_LEN(v), NULL, NULL, &changed, err, err_cap);
  if (rc == 0 && changed == 0) {
    rc = torc_fail(TORC_ERR_EXISTS, err, err_cap, "there is an account %s already", a->name);
  }
  for (size_t i = 0; rc == 0 && i < a->num_names; i++) {
    rc = torc_registry_claim(db, a->name, a->names[i], err, err_cap);
  }
  return rc;
}

int torc_registry_add(torc_registry *r, const torc_account *a, char *err, size_t err_cap) {
  torc_account copy = *a;
  int rc = torc_registry_do(r, add_step, &copy, err, err_cap);
  memset(&copy.password, 0, sizeof copy.password);
  return rc;
}

typedef struct reading {
  torc_account *a;
  torc_wall now;
  bool is_found;
  torc_account_visit *visit;
  void *arg;
} reading;

static int read_account(void *arg, const char *const *c, size_t num) {
  reading *r = arg;
  torc_account *a = r->a;
  (void)num;
  memset(a, 0, sizeof *a);
  if (!torc_registry_copy(a->name, sizeof a->name, c[0])) {
    return TORC_ERR_FORMAT;
  }
  a->password.is_set = torc_registry_unhex(c[1], a->password.sha256, TORC_SHA256_LEN);
  a->password.has_md5 = torc_registry_unhex(c[2], a->password.md5, TORC_MD5_LEN);
  a->created = (torc_wall)strtoll(c[3], NULL, 10);
  a->is_disabled = c[4][0] != '0';
  a->is_guest = c[5][0] != '0';
  a->num_valid = strtoull(c[6], NULL, 10);
  r->is_found = true;
  return r->visit == NULL ? 0 : r->visit(r->arg, a);
}

static int read_name(void *arg, const char *const *columns, size_t num) {
  torc_account *a = arg;
  (void)num;
  if (a->num_names == TORC_ACCOUNT_NAMES) {
    return 0;
  }
  if (!torc_registry_copy(a->names[a->num_names], sizeof a->names[0], columns[0])) {
    return TORC_ERR_FORMAT;
  }
  a->num_names++;
  return 0;
}

#define ACCOUNT_COLUMNS                                                              \
  "SELECT name, sha256, md5, created, is_disabled, is_guest, (SELECT COUNT(*) FROM " \
  "certificate WHERE certificate.account = account.name AND not_after > $1) FROM account "

static int get_step(torc_db *db, void *arg, char *err, size_t err_cap) {
  reading *r = arg;
  torc_db_value v[] = {TORC_DB_NUMBER(r->now), TORC_DB_TEXT(r->arg)};
  int rc =
      torc_db_run(db, ACCOUNT_COLUMNS "WHERE name = $2", v, 2, read_account, r, NULL, err, err_cap);
  if (rc == 0 && !r->is_found) {
    rc = torc_fail(TORC_ERR_NOTFOUND, err, err_cap, "there is no account %s", (char *)r->arg);
  }
  if (rc == 0) {
    rc = torc_db_run(db, "SELECT name FROM user_name WHERE account = $1 ORDER BY name", &v[1], 1,
                     read_name, r->a, NULL, err, err_cap);
  }
  return rc;
}

int torc_registry_get(torc_registry *r, const char *name, torc_wall now, torc_account *out,
                      char *err, size_t err_cap) {
  char copy[TORC_ACCOUNT_MAX + 1];
  reading arg = {.a = out, .now = now, .arg = copy};
  if (!torc_registry_copy(copy, sizeof copy, name)) {
    return torc_fail(TORC_ERR_NOTFOUND, err, err_cap, "no account has so long a name");
  }
  return torc_registry_do(r, get_step, &arg, err, err_cap);
}

static int accounts_step(torc_db *db, void *arg, char *err, size_t err_cap) {
  reading *r = arg;
  torc_db_value v = TORC_DB_NUMBER(r->now);
  return torc_db_run(db, ACCOUNT_COLUMNS "ORDER BY name", &v, 1, read_account, r, NULL, err,
                     err_cap);
}

int torc_registry_accounts(torc_registry *r, torc_wall now, torc_account_visit *visit, void *arg,
                           char *err, size_t err_cap) {
  torc_account *a = calloc(1, sizeof *a);
  if (a == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  reading reader = {.a = a, .now = now, .visit = visit, .arg = arg};
  int rc = torc_registry_do(r, accounts_step, &reader, err, err_cap);
  memset(a, 0, sizeof *a);
  free(a);
  return rc;
}

typedef struct change { /* of one row of accounts */
  const char *sql;
  torc_db_value v[4];
  size_t num;
  const char *account;
} change;

static int change_step(torc_db *db, void *arg, char *err, size_t err_cap) {
  const change *c = arg;
  uint64_t changed = 0;
  int rc = torc_db_run(db, c->sql, c->v, c->num, NULL, NULL, &changed, err, err_cap);
  if (rc == 0 && changed == 0) {
    rc = torc_fail(TORC_ERR_NOTFOUND, err, err_cap, "there is no account %s", c->account);
  }
  return rc;
}

int torc_registry_set_password(torc_registry *r, const char *name, const torc_password *p,
                               char *err, size_t err_cap) {
  char sha256[2 * TORC_SHA256_LEN + 1];
  char md5[2 * TORC_MD5_LEN + 1];
  password_columns(p, sha256, md5);
  change c = {.sql = "UPDATE account SET sha256 = $2, md5 = $3 WHERE name = $1",
              .v = {TORC_DB_TEXT(name), TORC_DB_TEXT(sha256), TORC_DB_TEXT(md5)},
              .num = 3,
              .account = name};
  return torc_registry_do(r, change_step, &c, err, err_cap);
}

int torc_registry_disable(torc_registry *r, const char *name, bool is_disabled, char *err,
                          size_t err_cap) {
  change c = {.sql = "UPDATE account SET is_disabled = $2 WHERE name = $1",
              .v = {TORC_DB_TEXT(name), TORC_DB_NUMBER(is_disabled)},
              .num = 2,
              .account = name};
  return torc_registry_do(r, change_step, &c, err, err_cap);
}

typedef struct naming {
  const char *account, *name;
  torc_account *room;
} naming;

static int name_step(torc_db *db, void *arg, char *err, size_t err_cap) {
  naming *n = arg;
  reading get = {.a = n->room, .arg = (void *)(uintptr_t)n->account};
  int rc = get_step(db, &get, err, err_cap);
  if (rc == 0 && n->room->num_names == TORC_ACCOUNT_NAMES) {
    rc = torc_fail(TORC_ERR_LIMIT, err, err_cap, "the account %s has %d user names already",
                   n->account, TORC_ACCOUNT_NAMES);
  }
  return rc == 0 ? torc_registry_claim(db, n->account, n->name, err, err_cap) : rc;
}

int torc_registry_add_name(torc_registry *r, const char *account, const char *name, char *err,
                           size_t err_cap) {
  naming n = {.account = account, .name = name, .room = calloc(1, sizeof *n.room)};
  if (n.room == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  int rc = torc_registry_do(r, name_step, &n, err, err_cap);
  memset(n.room, 0, sizeof *n.room);
  free(n.room);
  return rc;
}
