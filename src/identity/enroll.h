/* From an overlay's name to a certificate [ENR-01..09] [ENR-26..34], and to the next one before it
 * ends [ENR-38]. Blocks; single-threaded programs only. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IDENTITY_ENROLL_H
#define TORC_IDENTITY_ENROLL_H

#include "authority/files.h"
#include "identity/discover.h"
#include "io/conf_table.h"
#include "torc/crypto.h"

/* Files of the directory. */
#define TORC_ENROLL_OVERLAY "overlay.xml"
#define TORC_ENROLL_CERT "node.crt"
#define TORC_ENROLL_KEY "node.key"
#define TORC_ENROLL_CONF "enroll.conf"      /* how it was enrolled: what a renewal needs */
#define TORC_ENROLL_PASSWORD "password"     /* only if the user said so */
#define TORC_ENROLL_PENDING "node.key.next" /* the key of a request whose answer has not come */
#define TORC_ENROLL_USERS_MAX TORC_CERT_MAX_USERS
#define TORC_PASSWORD_MAX 256

/* What enroll.conf holds; empty texts: not given. */
typedef struct torc_enrolment {
  char overlay[TORC_CONF_TEXT_MAX];
  char account[TORC_CONF_TEXT_MAX]; /* empty: a guest */
  char users[TORC_ENROLL_USERS_MAX][TORC_CONF_TEXT_MAX];
  size_t num_users;
  char password_file[TORC_CONF_TEXT_MAX];
  char server[TORC_CONF_TEXT_MAX], resolver[TORC_CONF_TEXT_MAX];
  char trust_anchor[TORC_CONF_TEXT_MAX], ca_file[TORC_CONF_TEXT_MAX];
} torc_enrolment;

typedef struct torc_enroll_job {
  torc_enrolment how;
  const char *dir;
  const char *password; /* NULL: a guest */
  bool save_password;   /* into the directory */
  bool replace;         /* an identity that is there, of which a copy is kept */
  bool is_renewal;      /* user names and peer-id of the certificate that is there stay */
} torc_enroll_job;

typedef struct torc_enrolled {
  torc_id peer;
  char users[TORC_ENROLL_USERS_MAX][TORC_USER_MAX + 1];
  size_t num_users;
  torc_wall not_before, not_after;
  char overlay[TORC_CONF_TEXT_MAX];
  char server[TORC_SERVER_TEXT]; /* who gave it */
  bool has_srv;
  torc_dnssec dnssec;
  char kept[64]; /* suffix of the files that were there; empty: none were */
} torc_enrolled;

/* Does it. Nothing that is there is changed before the certificate has been checked, and then all
 * files at once. A request whose answer was lost is repeated with the same key, so that the
 * authority gives the same certificate. TORC_ERR_EXISTS: there is an identity. TORC_ERR_DENIED,
 * TORC_ERR_NOTFOUND, TORC_ERR_REFUSED (later), TORC_ERR_CONFIG, TORC_ERR_CRYPTO, TORC_ERR_IO, ...
 * `err` gets one line that says what to do. */
int torc_enroll(torc_enrolled *out, const torc_enroll_job *job, char *err,
                size_t err_cap) TORC_MUST_CHECK;

/* Reads DIR/enroll.conf. TORC_ERR_NOTFOUND, TORC_ERR_CONFIG, TORC_ERR_IO with one line. */
int torc_enrolment_read(torc_enrolment *out, const char *dir, char *err,
                        size_t err_cap) TORC_MUST_CHECK;
/* Renews what is in `dir` as its enroll.conf says. password: NULL: that of its password-file. */
int torc_renew(torc_enrolled *out, const char *dir, const char *password, char *err,
               size_t err_cap) TORC_MUST_CHECK;
/* Reads the first line of a file of mode 0600 or stricter. `out` is to be wiped. TORC_ERR_IO,
 * TORC_ERR_DENIED, TORC_ERR_FORMAT with one line. */
int torc_password_read(const char *path, char out[TORC_PASSWORD_MAX + 1], char *err,
                       size_t err_cap) TORC_MUST_CHECK;

#endif
