/* What the authority remembers for ever, in its database: accounts, to whom each user name and
 * peer-id belongs [R-52] [ENR-36], and every certificate it issued [ENR-35]. Each call is one
 * transaction; several threads and several authorities may use one database.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_REGISTRY_H
#define TORC_AUTHORITY_REGISTRY_H

#include "authority/ca.h"

/* Peer-ids of one account with a valid certificate: one for each of its devices [R-52] [SEC-22]
 * [ENR-37]. */
#define TORC_ACCOUNT_CERTS 10
#define TORC_ACCOUNT_NAMES 32 /* user names of one account */
#define TORC_ACCOUNT_MAX TORC_USER_MAX
#define TORC_GUEST_PREFIX "guest-" /* of accounts of the open policy, and of no others */
#define TORC_SHA256_LEN 32
#define TORC_MD5_LEN 16
/* A repeated request gets the certificate of the first so long. */
#define TORC_REGISTRY_RETRY_S 600

typedef struct torc_registry torc_registry;

/* where: see torc_db_open. Tables are made if there are none. TORC_ERR_STATE: the tables are of a
 * newer program. */
int torc_registry_open(torc_registry **out, const char *where, char *err,
                       size_t err_cap) TORC_MUST_CHECK;
void torc_registry_close(torc_registry *r);

/* Digests of "account:realm:password" [ENR-30]; whoever reads them can enrol as the account. */
typedef struct torc_password {
  bool is_set; /* false: nobody can enrol over the network with this account */
  bool has_md5;
  uint8_t sha256[TORC_SHA256_LEN];
  uint8_t md5[TORC_MD5_LEN];
} torc_password;

typedef struct torc_account {
  char name[TORC_ACCOUNT_MAX + 1];
  char names[TORC_ACCOUNT_NAMES][TORC_USER_MAX + 1]; /* normalised [GAP-108] */
  size_t num_names;
  torc_password password;
  torc_wall created;
  bool is_disabled, is_guest;
  uint64_t num_valid; /* certificates not over */
} torc_account;

/* TORC_ERR_EXISTS: the account is there, or a name belongs to another one (told in err). */
int torc_registry_add(torc_registry *r, const torc_account *a, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
/* TORC_ERR_NOTFOUND: no such account. */
int torc_registry_get(torc_registry *r, const char *name, torc_wall now, torc_account *out,
                      char *err, size_t err_cap) TORC_MUST_CHECK;
int torc_registry_set_password(torc_registry *r, const char *name, const torc_password *p,
                               char *err, size_t err_cap) TORC_MUST_CHECK;
int torc_registry_disable(torc_registry *r, const char *name, bool is_disabled, char *err,
                          size_t err_cap) TORC_MUST_CHECK;
/* Gives the account one more user name. TORC_ERR_EXISTS, TORC_ERR_LIMIT. */
int torc_registry_add_name(torc_registry *r, const char *account, const char *name, char *err,
                           size_t err_cap) TORC_MUST_CHECK;

/* In the order of their names; `names` and `num_names` are empty. Not 0: stop. */
typedef int torc_account_visit(void *arg, const torc_account *a);
int torc_registry_accounts(torc_registry *r, torc_wall now, torc_account_visit *visit, void *arg,
                           char *err, size_t err_cap) TORC_MUST_CHECK;

/* ---- certificates ---- */

typedef struct torc_certificate_entry {
  uint8_t serial[TORC_CA_SERIAL_LEN];
  torc_id peer;
  char account[TORC_ACCOUNT_MAX + 1];
  char users[TORC_CERT_MAX_USERS][TORC_USER_MAX + 1]; /* normalised */
  size_t num_users;
  torc_wall issued, not_after;
} torc_certificate_entry;

/* Newest first. account: NULL for all. */
typedef int torc_certificate_visit(void *arg, const torc_certificate_entry *e);
int torc_registry_issued(torc_registry *r, const char *account, torc_certificate_visit *visit,
                         void *arg, char *err, size_t err_cap) TORC_MUST_CHECK;

typedef struct torc_issue_order {
  const char *account;
  const char *users[TORC_CERT_MAX_USERS]; /* normalised, 1 or more, no name twice */
  size_t num_users;
  bool may_claim; /* the account is made, free names become its own: the administrator asks */
  bool has_peer;  /* renewal [ENR-38]: of this peer-id, which must be the account's */
  torc_id peer;
  bool may_repeat; /* the same request a short time ago has its answer again */
  char key_hash[2 * TORC_SHA256_LEN + 1]; /* of the public key, lower-case hex */
  torc_wall now, not_after;
  uint32_t max_certs; /* 0: TORC_ACCOUNT_CERTS */
  /* Makes the certificate with the numbers in `e` and writes it down; *der: freed with free().
   * Called inside the transaction. */
  int (*sign)(void *arg, const torc_certificate_entry *e, uint8_t **der, size_t *len);
  void *sign_arg;
} torc_issue_order;
typedef struct torc_issue_result {
  torc_certificate_entry entry;
  uint8_t *der; /* freed with torc_issue_result_clear */
  size_t len;
  bool is_repeat; /* the certificate of the same request a short time ago */
} torc_issue_result;

/* Issues one certificate. It is in the database, durably, when this returns 0, so no serial, name
 * or peer-id can be given twice whatever happens next. TORC_ERR_NOTFOUND: no such account.
 * TORC_ERR_DENIED: it is disabled, or a name or the peer-id is not its own. TORC_ERR_LIMIT: it has
 * as many valid certificates as it may have. `err` gets one line for whoever asked. */
int torc_registry_issue(torc_registry *r, const torc_issue_order *o, torc_issue_result *out,
                        char *err, size_t err_cap) TORC_MUST_CHECK;
void torc_issue_result_clear(torc_issue_result *r);

/* What a file remembers of the past: a certificate, or names an account was given. */
typedef struct torc_import_entry {
  torc_certificate_entry certificate; /* without one only `account` and `issued` */
  bool has_certificate;
  char names[TORC_ACCOUNT_NAMES][TORC_USER_MAX + 1];
  size_t num_names;
} torc_import_entry;
typedef struct torc_registry_import_source {
  int (*rewind)(void *arg, char *err, size_t err_cap);
  int (*next)(void *arg, torc_import_entry *out, bool *is_end, char *err, size_t err_cap);
  void *arg;
} torc_registry_import_source;
typedef struct torc_registry_imported {
  uint64_t entries, certificates; /* read; among them new here */
} torc_registry_imported;
/* Enters all of it or, if something fails, nothing. What is there already is left alone; accounts
 * are made, without a password. TORC_ERR_EXISTS: a name belongs to another account here. */
int torc_registry_import(torc_registry *r, const torc_registry_import_source *source,
                         torc_registry_imported *out, char *err, size_t err_cap) TORC_MUST_CHECK;

/* See torc_db_backup. */
int torc_registry_backup(torc_registry *r, const char *file, char *err,
                         size_t err_cap) TORC_MUST_CHECK;

#endif
