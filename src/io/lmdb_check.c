/* SPDX-License-Identifier: Apache-2.0 */
#include "io/lmdb_check.h"

#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FREE_DBI 0            /* LMDB's own table of free pages */
#define CHECK_CPU_SECONDS 120 /* a loop of pages ends the child, not us */

enum { CHILD_WHOLE = 0, CHILD_DAMAGED = 1, CHILD_UNREADABLE = 2 };

static bool is_damage(int rc) {
  return rc == MDB_INVALID || rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_PANIC ||
         rc == MDB_VERSION_MISMATCH || rc == MDB_BAD_TXN;
}

/* LMDB's own assertions would print and abort. */
static void on_assert(MDB_env *env, const char *msg) {
  (void)env;
  (void)msg;
  _exit(CHILD_DAMAGED);
}

/* Touches every key and value; the count bounds a walk around a loop of pages. */
static int walk(MDB_txn *txn, MDB_dbi dbi) {
  MDB_stat stat;
  MDB_cursor *cursor = NULL;
  int rc = mdb_stat(txn, dbi, &stat);
  if (rc == 0) {
    rc = mdb_cursor_open(txn, dbi, &cursor);
  }
  MDB_val key;
  MDB_val value;
  volatile uint8_t sink = 0;
  size_t num = 0;
  while (rc == 0) {
    rc = mdb_cursor_get(cursor, &key, &value, num == 0 ? MDB_FIRST : MDB_NEXT);
    if (rc != 0) {
      break;
    }
    const uint8_t *p = value.mv_data;
    for (size_t i = 0; i < value.mv_size; i += 512) {
      sink = (uint8_t)(sink ^ p[i]);
    }
    num++;
    if (num > stat.ms_entries) {
      return MDB_CORRUPTED;
    }
  }
  if (rc == MDB_NOTFOUND) {
    rc = num == stat.ms_entries ? 0 : MDB_CORRUPTED;
  }
  return rc;
}

static int open_and_walk(const char *dir, uint64_t map_bytes) {
  MDB_env *env = NULL;
  MDB_txn *txn = NULL;
  MDB_dbi dbi = 0;
  int rc = mdb_env_create(&env);
  if (rc == 0) {
    mdb_env_set_assert(env, on_assert);
    rc = mdb_env_set_mapsize(env, (size_t)map_bytes);
  }
  if (rc == 0) {
    rc = mdb_env_open(env, dir, MDB_RDONLY | MDB_NOLOCK, 0600);
  }
  if (rc == 0) {
    rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
  }
  if (rc == 0) {
    rc = walk(txn, FREE_DBI);
  }
  if (rc == 0) {
    rc = mdb_dbi_open(txn, NULL, 0, &dbi);
  }
  if (rc == 0) {
    rc = walk(txn, dbi);
  }
  return rc; /* nothing is closed: the process ends here */
}

static void child(const char *dir, uint64_t map_bytes) {
  struct rlimit cpu = {.rlim_cur = CHECK_CPU_SECONDS, .rlim_max = CHECK_CPU_SECONDS};
  struct rlimit core = {.rlim_cur = 0, .rlim_max = 0};
  static const int fatal[] = {SIGBUS, SIGSEGV, SIGABRT, SIGFPE, SIGILL};
  (void)setrlimit(RLIMIT_CPU, &cpu);
  (void)setrlimit(RLIMIT_CORE, &core);
  for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
    (void)signal(fatal[i], SIG_DFL); /* the program's own handlers are not for this */
  }
  int rc = open_and_walk(dir, map_bytes);
  if (rc == 0) {
    _exit(CHILD_WHOLE);
  }
  _exit(is_damage(rc) ? CHILD_DAMAGED : CHILD_UNREADABLE);
}

torc_lmdb_state torc_lmdb_check(const char *dir, uint64_t map_bytes) {
  char path[4096];
  struct stat st;
  int n = snprintf(path, sizeof path, "%s/data.mdb", dir);
  if (n < 0 || (size_t)n >= sizeof path) {
    return TORC_LMDB_UNREADABLE;
  }
  if (stat(path, &st) != 0) {
    return errno == ENOENT ? TORC_LMDB_ABSENT : TORC_LMDB_UNREADABLE;
  }
  if (st.st_size == 0) {
    return TORC_LMDB_ABSENT; /* killed between creation and the first page */
  }
  pid_t pid = fork();
  if (pid < 0) {
    return TORC_LMDB_UNREADABLE;
  }
  if (pid == 0) {
    child(dir, map_bytes);
  }
  int status = 0;
  pid_t done = 0;
  do {
    done = waitpid(pid, &status, 0);
  } while (done < 0 && errno == EINTR);
  if (done < 0) {
    return TORC_LMDB_WHOLE; /* the program reaps its children itself: LMDB's own checks remain */
  }
  if (WIFSIGNALED(status)) {
    return TORC_LMDB_DAMAGED;
  }
  switch (WEXITSTATUS(status)) {
    case CHILD_WHOLE:
      return TORC_LMDB_WHOLE;
    case CHILD_DAMAGED:
      return TORC_LMDB_DAMAGED;
    default:
      return TORC_LMDB_UNREADABLE;
  }
}
