/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/home.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authority/past.h"
#include "authority/pkcs11.h"
#include "io/err.h"

#define SOURCE_CAP 64

int torc_home_lock(const char *dir, bool alone, int *out, char *err, size_t err_cap) {
  char path[TORC_PATH_MAX];
  if (torc_path_join(path, sizeof path, dir, TORC_HOME_LOCK) != 0) {
    return torc_fail(TORC_ERR_SPACE, err, err_cap, "the name %.40s... is too long", dir);
  }
  int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot open %s: %s", path, strerror(errno));
  }
  if (flock(fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
    int why = errno;
    (void)close(fd);
    if (why != EWOULDBLOCK) {
      return torc_fail(TORC_ERR_IO, err, err_cap, "cannot lock %s: %s", path, strerror(why));
    }
    return torc_fail(TORC_ERR_STATE, err, err_cap,
                     alone ? "another program uses %s: stop the service and end other commands"
                           : "%s is being restored; try again when that is done",
                     dir);
  }
  *out = fd;
  return 0;
}

static int open_overlay(torc_home *h, char *err, size_t err_cap) {
  torc_overlay document = {.name = ""};
  int rc = torc_overlay_load(&document, h->overlay_file, NULL, err, err_cap);
  if (rc == 0) {
    (void)snprintf(h->overlay, sizeof h->overlay, "%s", document.name);
  }
  torc_overlay_clear(&document);
  return rc;
}

/* Two registries of one overlay would give one name twice. */
static int refuse_second(const torc_home *h, const char *database, char *err, size_t err_cap) {
  char path[TORC_PATH_MAX];
  const char *file = NULL;
  if (torc_path_join(path, sizeof path, h->settings.dir, TORC_AUTHORITY_DATABASE) != 0 ||
      (torc_settings_database_file(database, &file) && strcmp(file, path) == 0) ||
      access(path, F_OK) != 0) {
    return 0;
  }
  return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "[database] url is not %s, which is there: nothing of it would be known; move "
                   "it away if nothing was issued with it",
                   path);
}

static int open_registry(torc_home *h, char *err, size_t err_cap) {
  char database[TORC_DATABASE_MAX];
  char audit[TORC_PATH_MAX];
  const char *audit_file = h->settings.audit_file;
  int rc = torc_home_lock(h->settings.dir, false, &h->lock_fd, err, err_cap);
  if (rc == 0) {
    rc = torc_settings_database(&h->settings, database, err, err_cap);
  }
  if (rc == 0) {
    rc = refuse_second(h, database, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_registry_open(&h->registry, database, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_past_take_ledger(h->registry, h->settings.dir, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_settings_path(&h->settings, audit_file[0] == '\0' ? TORC_AUTHORITY_AUDIT : audit_file,
                            audit, err, err_cap);
  }
  return rc == 0 ? torc_audit_open(&h->audit, audit, err, err_cap) : rc;
}

static int open_issuer(torc_home *h, const char *cert, const char *key, char *err, size_t err_cap) {
  char cert_file[TORC_PATH_MAX];
  char key_file[TORC_PATH_MAX];
  bool is_token = torc_pkcs11_is_uri(key);
  int rc = torc_settings_path(&h->settings, cert, cert_file, err, err_cap);
  if (rc == 0 && !is_token) {
    rc = torc_settings_path(&h->settings, key, key_file, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_issuer_load(&h->issuers[h->num_issuers], cert_file, is_token ? key : key_file, err,
                          err_cap);
  }
  h->num_issuers += rc == 0 ? 1 : 0;
  return rc;
}

static int open_issuers(torc_home *h, char *err, size_t err_cap) {
  const torc_settings *s = &h->settings;
  int rc = 0;
  if (s->num_issuer_cert == 0) {
    return open_issuer(h, TORC_AUTHORITY_CERT, TORC_AUTHORITY_KEY, err, err_cap);
  }
  for (size_t i = 0; rc == 0 && i < s->num_issuer_cert; i++) {
    rc = open_issuer(h, s->issuer_cert[i], s->issuer_key[i], err, err_cap);
  }
  return rc;
}

static int open_parts(torc_home *h, const char *dir, unsigned parts, char *err, size_t err_cap) {
  int rc = torc_settings_load(&h->settings, dir, err, err_cap);
  if (rc == 0) {
    const char *file = h->settings.overlay_file;
    rc = torc_settings_path(&h->settings, file[0] == '\0' ? TORC_AUTHORITY_OVERLAY : file,
                            h->overlay_file, err, err_cap);
  }
  if (rc == 0 && (parts & TORC_HOME_OVERLAY) != 0) {
    rc = open_overlay(h, err, err_cap);
  }
  if (rc == 0 && (parts & TORC_HOME_ISSUERS) != 0) {
    rc = open_issuers(h, err, err_cap);
  }
  if (rc == 0 && (parts & TORC_HOME_REGISTRY) != 0) {
    rc = open_registry(h, err, err_cap);
  }
  return rc;
}

int torc_home_open(torc_home **out, const char *dir, unsigned parts, char *err, size_t err_cap) {
  torc_home *h = calloc(1, sizeof *h);
  if (h == NULL) {
    (void)torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
    return TORC_ERR_NOMEM;
  }
  h->lock_fd = -1;
  int rc = open_parts(h, dir, parts, err, err_cap);
  if (rc != 0) {
    torc_home_close(h);
    return rc;
  }
  *out = h;
  return 0;
}

void torc_home_close(torc_home *h) {
  if (h == NULL) {
    return;
  }
  for (size_t i = 0; i < h->num_issuers; i++) {
    torc_issuer_clear(&h->issuers[i]);
  }
  torc_registry_close(h->registry);
  torc_audit_close(h->audit);
  if (h->lock_fd >= 0) {
    (void)close(h->lock_fd);
  }
  free(h);
}

int torc_home_tell(torc_home *h, torc_audit_event *event, char *err, size_t err_cap) {
  char source[SOURCE_CAP];
  const struct passwd *user = getpwuid(getuid());
  if (user != NULL) {
    (void)snprintf(source, sizeof source, "user %.50s", user->pw_name);
  } else {
    (void)snprintf(source, sizeof source, "uid %lu", (unsigned long)getuid());
  }
  event->source = source;
  int rc = torc_audit_write(h->audit, event);
  return rc == 0 ? 0 : torc_fail(rc, err, err_cap, "the audit log cannot be written");
}
