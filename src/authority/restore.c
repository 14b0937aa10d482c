/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/restore.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "authority/past.h"
#include "authority/store/db.h"
#include "io/err.h"

#define KEPT_CAP 40

/* ".old-20260102T030405Z", like the files that init replaces. */
static void kept_suffix(torc_wall now, char out[KEPT_CAP]) {
  time_t t = (time_t)now;
  struct tm tm;
  if (gmtime_r(&t, &tm) == NULL || strftime(out, KEPT_CAP, ".old-%Y%m%dT%H%M%SZ", &tm) == 0) {
    (void)snprintf(out, KEPT_CAP, ".old-%u", now);
  }
}

static int replay(const torc_settings *s, const char *database, torc_registry_imported *out,
                  char *err, size_t err_cap) {
  char audit[TORC_PATH_MAX];
  torc_registry *registry = NULL;
  int rc = torc_settings_path(s, s->audit_file[0] == '\0' ? TORC_AUTHORITY_AUDIT : s->audit_file,
                              audit, err, err_cap);
  if (rc == 0) {
    rc = torc_registry_open(&registry, database, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_past_take_audit(registry, audit, out, err, err_cap);
  }
  torc_registry_close(registry);
  return rc;
}

static int restore(const torc_settings *s, const char *copy, torc_wall now, torc_restored *out,
                   char *err, size_t err_cap) {
  char database[TORC_DATABASE_MAX];
  char kept[KEPT_CAP];
  const char *file = NULL;
  int rc = torc_settings_database(s, database, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  if (!torc_settings_database_file(database, &file)) {
    return torc_fail(TORC_ERR_INVALID, err, err_cap,
                     "a PostgreSQL database is restored with pg_restore; this command is for "
                     "SQLite");
  }
  kept_suffix(now, kept);
  (void)snprintf(out->kept, sizeof out->kept, "%s%s", file, kept);
  rc = torc_file_absent(out->kept, "try again in a second", err, err_cap);
  if (rc == 0) {
    rc = torc_db_restore_sqlite(copy, file, kept, err, err_cap);
  }
  if (rc == 0) {
    rc = replay(s, database, &out->later, err, err_cap);
  }
  return rc;
}

int torc_restore(const char *dir, const char *copy, torc_wall now, torc_restored *out, char *err,
                 size_t err_cap) {
  torc_settings s;
  int fd = -1;
  int rc = torc_settings_load(&s, dir, err, err_cap);
  if (rc == 0) {
    rc = torc_home_lock(dir, true, &fd, err, err_cap);
  }
  if (rc == 0) {
    rc = restore(&s, copy, now, out, err, err_cap);
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  return rc;
}
