/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "io/err.h"

#define SQLITE_PREFIX "sqlite:"

#define AT(field) offsetof(torc_settings, field)
#define TEXT(section_, name_, field_) \
  { .section = (section_), .name = (name_), .kind = TORC_CONF_TEXT, .offset = AT(field_) }
#define COUNT(section_, name_, field_, min_, max_, expected_)                              \
  {                                                                                        \
    .section = (section_), .name = (name_), .kind = TORC_CONF_COUNT, .offset = AT(field_), \
    .min = (min_), .max = (max_), .expected = (expected_)                                  \
  }

static const torc_conf_key keys[] = {
    TEXT("overlay", "file", overlay_file),
    TEXT("database", "url", database_url),
    {.section = "issuer",
     .name = "cert",
     .kind = TORC_CONF_TEXTS,
     .offset = AT(issuer_cert),
     .num_offset = AT(num_issuer_cert),
     .max = TORC_ISSUERS_MAX,
     .expected = "the name of a file, at most 8 of them"},
    {.section = "issuer",
     .name = "key",
     .kind = TORC_CONF_TEXTS,
     .offset = AT(issuer_key),
     .num_offset = AT(num_issuer_key),
     .max = TORC_ISSUERS_MAX,
     .expected = "the name of a file or pkcs11:..., at most 8 of them"},
    {.section = "https",
     .name = "listen",
     .kind = TORC_CONF_LISTEN,
     .offset = AT(listen),
     .num_offset = AT(num_listen),
     .max = TORC_HTTP_LISTEN_MAX,
     .expected = "ADDRESS:PORT, for example 192.0.2.2:443 or [::]:443, at most 8 of them"},
    TEXT("https", "cert", https_cert),
    TEXT("https", "key", https_key),
    COUNT("https", "threads", threads, 1, 64, "1 to 64"),
    {.section = "https",
     .name = "md5",
     .kind = TORC_CONF_BOOL,
     .offset = AT(allows_md5),
     .expected = "yes or no"},
    COUNT("policy", "days", days, 1, TORC_AUTHORITY_DAYS_MAX, "1 to 3650"),
    COUNT("policy", "certificates", certificates, 1, 10000, "1 to 10000"),
    {.section = "policy",
     .name = "guests",
     .kind = TORC_CONF_BOOL,
     .offset = AT(allows_guests),
     .expected = "yes or no"},
    COUNT("policy", "guest-days", guest_days, 1, TORC_AUTHORITY_DAYS_MAX, "1 to 3650"),
    COUNT("limits", "requests-per-minute", per_minute, 1, 1000000, "1 to 1000000"),
    COUNT("limits", "burst", burst, 1, 1000000, "1 to 1000000"),
    COUNT("limits", "failures-per-minute", failures_per_minute, 1, 1000000, "1 to 1000000"),
    TEXT("audit", "file", audit_file),
    {.section = "metrics",
     .name = "listen",
     .kind = TORC_CONF_LOOPBACK,
     .offset = AT(metrics_listen),
     .expected = "ADDRESS:PORT of this machine only, for example 127.0.0.1:9467"},
};

int torc_settings_load(torc_settings *out, const char *dir, char *err, size_t err_cap) {
  char path[TORC_PATH_MAX];
  *out = (torc_settings){.threads = 2,
                         .days = TORC_AUTHORITY_DAYS,
                         .certificates = TORC_ACCOUNT_CERTS,
                         .guest_days = 7,
                         .per_minute = 60,
                         .burst = 60,
                         .failures_per_minute = 10};
  if (strlen(dir) >= sizeof out->dir ||
      torc_path_join(path, sizeof path, dir, TORC_AUTHORITY_CONF) != 0) {
    return torc_fail(TORC_ERR_SPACE, err, err_cap, "the name %.40s... is too long", dir);
  }
  memcpy(out->dir, dir, strlen(dir) + 1);
  int rc = torc_conf_read(out, keys, TORC_ARRAY_LEN(keys), path, err, err_cap);
  if (rc == TORC_ERR_NOTFOUND) {
    rc = 0;
  }
  if (rc == 0 && out->num_issuer_cert != out->num_issuer_key) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "%s: [issuer] has %zu lines cert and %zu lines key; they belong together in "
                   "pairs",
                   path, out->num_issuer_cert, out->num_issuer_key);
  }
  return rc;
}

static bool is_same_listen(const torc_settings *a, const torc_settings *b) {
  bool is_same = a->num_listen == b->num_listen;
  for (size_t i = 0; is_same && i < a->num_listen; i++) {
    is_same = strcmp(a->listen[i], b->listen[i]) == 0;
  }
  return is_same;
}

bool torc_settings_fixed(const torc_settings *old, const torc_settings *fresh, char *out,
                         size_t cap) {
  const struct {
    const char *name;
    bool is_same;
  } fixed[] = {
      {"[database] url", strcmp(old->database_url, fresh->database_url) == 0},
      {"[https] listen", is_same_listen(old, fresh)},
      {"[https] threads", old->threads == fresh->threads},
      {"[audit] file", strcmp(old->audit_file, fresh->audit_file) == 0},
      {"[metrics] listen", strcmp(old->metrics_listen, fresh->metrics_listen) == 0},
  };
  size_t at = 0;
  for (size_t i = 0; i < TORC_ARRAY_LEN(fixed) && at < cap; i++) {
    if (!fixed[i].is_same) {
      int n = snprintf(out + at, cap - at, "%s%s", at == 0 ? "" : ", ", fixed[i].name);
      at += (size_t)n;
    }
  }
  return at != 0;
}

int torc_settings_path(const torc_settings *s, const char *name, char out[TORC_PATH_MAX], char *err,
                       size_t err_cap) {
  if (name[0] == '/') {
    int n = snprintf(out, TORC_PATH_MAX, "%s", name);
    if (n >= 0 && n < TORC_PATH_MAX) {
      return 0;
    }
  } else if (torc_path_join(out, TORC_PATH_MAX, s->dir, name) == 0) {
    return 0;
  }
  return torc_fail(TORC_ERR_SPACE, err, err_cap, "the file name %.40s... is too long", name);
}

int torc_settings_database(const torc_settings *s, char out[TORC_DATABASE_MAX], char *err,
                           size_t err_cap) {
  size_t prefix = strlen(SQLITE_PREFIX);
  const char *file = TORC_AUTHORITY_DATABASE;
  if (s->database_url[0] != '\0' && !torc_settings_database_file(s->database_url, &file)) {
    (void)snprintf(out, TORC_DATABASE_MAX, "%s", s->database_url);
    return 0;
  }
  memcpy(out, SQLITE_PREFIX, prefix);
  return torc_settings_path(s, file, out + prefix, err, err_cap);
}

bool torc_settings_database_file(const char *database, const char **file) {
  size_t prefix = strlen(SQLITE_PREFIX);
  if (strncmp(database, SQLITE_PREFIX, prefix) != 0) {
    return false;
  }
  *file = database + prefix;
  return true;
}
