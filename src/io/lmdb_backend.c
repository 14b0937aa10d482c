/* SPDX-License-Identifier: Apache-2.0 */
#include "io/lmdb_backend.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/slice.h"
#include "io/err.h"
#include "io/lmdb_check.h"

#define PATH_CAP 4096
#define DAMAGED_KEPT_MAX 100 /* data.mdb.damaged-1 .. -100; beyond them the operator must look */
#define MAP_MIN_BYTES (1u << 20)

struct torc_lmdb {
  MDB_env *env;
  MDB_dbi dbi;
  MDB_txn *read;      /* kept between transactions: reset and renewed */
  MDB_txn *txn;       /* the one that is open, or NULL */
  MDB_cursor *cursor; /* of `txn`, made by the first seek */
  bool is_write;
};

static int map_error(int rc) {
  switch (rc) {
    case 0:
      return 0;
    case MDB_NOTFOUND:
      return TORC_ERR_NOTFOUND;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
      return TORC_ERR_LIMIT;
    case ENOMEM:
      return TORC_ERR_NOMEM;
    case MDB_BAD_VALSIZE:
    case EINVAL:
      return TORC_ERR_INVALID;
    default:
      return TORC_ERR_IO;
  }
}

static MDB_val to_val(torc_slice s) {
  return (MDB_val){.mv_size = s.len, .mv_data = (void *)(uintptr_t)s.p};
}

static torc_slice from_val(const MDB_val *v) {
  return torc_slice_of(v->mv_data, v->mv_size);
}

static int be_begin(void *ctx, bool write) {
  torc_lmdb *db = ctx;
  if (db->txn != NULL) {
    return TORC_ERR_STATE;
  }
  int rc = 0;
  if (write) {
    rc = mdb_txn_begin(db->env, NULL, 0, &db->txn);
  } else if (db->read != NULL) {
    rc = mdb_txn_renew(db->read);
    db->txn = rc == 0 ? db->read : NULL;
  } else {
    rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &db->read);
    db->txn = db->read;
  }
  db->is_write = write;
  return map_error(rc);
}

static void close_cursor(torc_lmdb *db) {
  if (db->cursor != NULL) {
    mdb_cursor_close(db->cursor);
    db->cursor = NULL;
  }
}

static void be_abort(void *ctx) {
  torc_lmdb *db = ctx;
  if (db->txn == NULL) {
    return;
  }
  close_cursor(db);
  if (db->is_write) {
    mdb_txn_abort(db->txn);
  } else {
    mdb_txn_reset(db->txn);
  }
  db->txn = NULL;
}

static int be_commit(void *ctx) {
  torc_lmdb *db = ctx;
  if (db->txn == NULL) {
    return TORC_ERR_STATE;
  }
  if (!db->is_write) {
    be_abort(db);
    return 0;
  }
  close_cursor(db);
  int rc = mdb_txn_commit(db->txn); /* frees it in any case */
  db->txn = NULL;
  return map_error(rc);
}

static int be_get(void *ctx, torc_slice key, torc_slice *value) {
  torc_lmdb *db = ctx;
  if (db->txn == NULL) {
    return TORC_ERR_STATE;
  }
  MDB_val k = to_val(key);
  MDB_val v;
  int rc = mdb_get(db->txn, db->dbi, &k, &v);
  if (rc == 0) {
    *value = from_val(&v);
  }
  return map_error(rc);
}

static int be_put(void *ctx, torc_slice key, torc_slice value) {
  torc_lmdb *db = ctx;
  if (db->txn == NULL || !db->is_write) {
    return TORC_ERR_STATE;
  }
  if (key.len == 0 || key.len > TORC_BACKEND_KEY_MAX) {
    return TORC_ERR_INVALID;
  }
  MDB_val k = to_val(key);
  MDB_val v = to_val(value);
  return map_error(mdb_put(db->txn, db->dbi, &k, &v, 0));
}

static int be_del(void *ctx, torc_slice key) {
  torc_lmdb *db = ctx;
  if (db->txn == NULL || !db->is_write) {
    return TORC_ERR_STATE;
  }
  MDB_val k = to_val(key);
  int rc = mdb_del(db->txn, db->dbi, &k, NULL);
  return rc == MDB_NOTFOUND ? 0 : map_error(rc);
}

static int be_seek(void *ctx, torc_slice key, torc_slice *found_key, torc_slice *value) {
  torc_lmdb *db = ctx;
  if (db->txn == NULL) {
    return TORC_ERR_STATE;
  }
  int rc = 0;
  if (db->cursor == NULL) {
    rc = mdb_cursor_open(db->txn, db->dbi, &db->cursor);
  }
  MDB_val k = to_val(key);
  MDB_val v;
  if (rc == 0) {
    rc = mdb_cursor_get(db->cursor, &k, &v, key.len == 0 ? MDB_FIRST : MDB_SET_RANGE);
  }
  if (rc == 0) {
    *found_key = from_val(&k);
    *value = from_val(&v);
  }
  return map_error(rc);
}

/* Renames data.mdb to the first free data.mdb.damaged-N. */
static int move_aside(const char *dir, char *err, size_t err_cap) {
  char from[PATH_CAP];
  char to[PATH_CAP];
  if (snprintf(from, sizeof from, "%s/data.mdb", dir) >= (int)sizeof from) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "the path of the state directory is too long");
  }
  for (int i = 1; i <= DAMAGED_KEPT_MAX; i++) {
    if (snprintf(to, sizeof to, "%s/data.mdb.damaged-%d", dir, i) >= (int)sizeof to) {
      break;
    }
    if (access(to, F_OK) != 0) {
      if (rename(from, to) == 0) {
        return 0;
      }
      return torc_fail(TORC_ERR_IO, err, err_cap, "cannot move the damaged %s aside: %s", from,
                       strerror(errno));
    }
  }
  return torc_fail(
      TORC_ERR_IO, err, err_cap,
      "%s is damaged, and there are too many damaged files beside it already: remove them", from);
}

static int open_env(torc_lmdb *db, const char *dir, uint64_t map_bytes, char *err, size_t err_cap) {
  MDB_txn *txn = NULL;
  int rc = mdb_env_create(&db->env);
  if (rc == 0) {
    rc = mdb_env_set_mapsize(db->env, (size_t)map_bytes);
  }
  if (rc == 0) {
    /* NOSYNC: a commit is in the page cache, which outlives this process; torc_lmdb_sync makes it
     * outlive the machine. NOTLS: the read transaction is ours, not the thread's. */
    rc = mdb_env_open(db->env, dir, MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD, 0600);
  }
  if (rc == 0) {
    rc = mdb_txn_begin(db->env, NULL, 0, &txn);
  }
  if (rc == 0) {
    rc = mdb_dbi_open(txn, NULL, 0, &db->dbi);
  }
  if (rc == 0) {
    rc = mdb_txn_commit(txn);
    txn = NULL;
  }
  if (txn != NULL) {
    mdb_txn_abort(txn);
  }
  if (rc != 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot open the database in %s: %s", dir,
                     mdb_strerror(rc));
  }
  return 0;
}

int torc_lmdb_open(torc_lmdb **out, torc_backend *backend, const char *dir, uint64_t map_bytes,
                   bool *was_damaged, char *err, size_t err_cap) {
  *was_damaged = false;
  if (map_bytes < MAP_MIN_BYTES) {
    map_bytes = MAP_MIN_BYTES;
  }
  map_bytes = map_bytes / 65536 * 65536; /* whole pages of every size */
  torc_lmdb_state state = torc_lmdb_check(dir, map_bytes);
  if (state == TORC_LMDB_DAMAGED) {
    int rc = move_aside(dir, err, err_cap);
    if (rc != 0) {
      return rc;
    }
    *was_damaged = true;
  }
  torc_lmdb *db = calloc(1, sizeof *db);
  if (db == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  int rc = open_env(db, dir, map_bytes, err, err_cap);
  if (rc != 0) {
    torc_lmdb_close(db);
    return rc;
  }
  *backend = (torc_backend){.ctx = db,
                            .begin = be_begin,
                            .commit = be_commit,
                            .abort = be_abort,
                            .get = be_get,
                            .put = be_put,
                            .del = be_del,
                            .seek = be_seek};
  *out = db;
  return 0;
}

int torc_lmdb_sync(torc_lmdb *db) {
  return mdb_env_sync(db->env, 1) == 0 ? 0 : TORC_ERR_IO;
}

void torc_lmdb_close(torc_lmdb *db) {
  if (db == NULL) {
    return;
  }
  be_abort(db);
  if (db->read != NULL) {
    mdb_txn_abort(db->read);
  }
  if (db->env != NULL) {
    mdb_env_close(db->env);
  }
  free(db);
}
