/* torc-authority.conf: where an authority keeps what it has, whom it serves and how often.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_SETTINGS_H
#define TORC_AUTHORITY_SETTINGS_H

#include "authority/enrol.h"
#include "authority/files.h"
#include "authority/http/server.h"
#include "io/conf_table.h"

#define TORC_AUTHORITY_CONF "torc-authority.conf" /* in the authority's directory */
#define TORC_AUTHORITY_KEY "ca.key"               /* mode 0600 */
#define TORC_AUTHORITY_CERT "ca.crt"
#define TORC_AUTHORITY_OVERLAY "overlay.xml"
#define TORC_AUTHORITY_DATABASE "authority.db" /* mode 0600 */
#define TORC_AUTHORITY_AUDIT "audit.jsonl"
#define TORC_AUTHORITY_DAYS 365 /* of a certificate unless told otherwise */
#define TORC_AUTHORITY_DAYS_MAX 3650

#define TORC_DATABASE_MAX (TORC_PATH_MAX + 16)

typedef struct torc_settings {
  char dir[TORC_PATH_MAX];
  /* As they stand in the file; "" and 0 entries: not there. */
  char overlay_file[TORC_CONF_TEXT_MAX], database_url[TORC_CONF_TEXT_MAX];
  char audit_file[TORC_CONF_TEXT_MAX];
  char issuer_cert[TORC_ISSUERS_MAX][TORC_CONF_TEXT_MAX];
  char issuer_key[TORC_ISSUERS_MAX][TORC_CONF_TEXT_MAX];
  size_t num_issuer_cert, num_issuer_key;
  char listen[TORC_HTTP_LISTEN_MAX][TORC_CONF_TEXT_MAX];
  size_t num_listen;
  char https_cert[TORC_CONF_TEXT_MAX], https_key[TORC_CONF_TEXT_MAX];
  char metrics_listen[TORC_CONF_TEXT_MAX];
  uint64_t threads, days, certificates, guest_days;
  uint64_t per_minute, burst, failures_per_minute;
  bool allows_md5, allows_guests;
} torc_settings;

/* Reads dir/torc-authority.conf; without that file everything has its default. TORC_ERR_CONFIG:
 * with file and line in `err`. */
int torc_settings_load(torc_settings *out, const char *dir, char *err,
                       size_t err_cap) TORC_MUST_CHECK;

/* Writes the names of the keys that differ and that a service only takes at its start. False: none
 * does. */
bool torc_settings_fixed(const torc_settings *old, const torc_settings *fresh, char *out,
                         size_t cap);

/* A name of a file: as it is if it begins with '/', else in the authority's directory. */
int torc_settings_path(const torc_settings *s, const char *name, char out[TORC_PATH_MAX], char *err,
                       size_t err_cap) TORC_MUST_CHECK;
/* The database for torc_registry_open; the default is sqlite:DIR/authority.db. */
int torc_settings_database(const torc_settings *s, char out[TORC_DATABASE_MAX], char *err,
                           size_t err_cap) TORC_MUST_CHECK;
/* Whether the database is a file, and its name. */
bool torc_settings_database_file(const char *database, const char **file);

#endif
