/* What the authority remembers of certificates it issued: one JSON object per line, appended and
 * never changed, so that serial numbers and peer-ids stay unique [ENR-35] and a user name belongs
 * to one account for ever [R-52] [ENR-36]. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_LEDGER_H
#define TORC_AUTHORITY_LEDGER_H

#include "authority/ca.h"

#define TORC_LEDGER_ACCOUNT_CERTS 10        /* valid certificates of one account [R-52] [SEC-22] */
#define TORC_LEDGER_MAX_BYTES (1024u << 20) /* about two million certificates */
#define TORC_LEDGER_LINE_MAX 4096

typedef struct torc_ledger_entry {
  torc_wall issued, not_after;
  uint8_t serial[TORC_CA_SERIAL_LEN];
  torc_id peer;
  char account[TORC_USER_MAX + 1];
  char users[TORC_CERT_MAX_USERS][TORC_USER_MAX + 1]; /* normalised */
  size_t num_users;
} torc_ledger_entry;

typedef struct torc_ledger torc_ledger;

/* Opens or creates the file (mode 0600) and locks it against other processes until closed. A last
 * line without its newline is what a crash left of an entry whose certificate was never handed out;
 * it is cut off. */
int torc_ledger_open(torc_ledger **out, const char *path, char *err,
                     size_t err_cap) TORC_MUST_CHECK;
void torc_ledger_close(torc_ledger *l);

/* Whether `e` may be issued now. TORC_ERR_EXISTS: serial or peer-id was used before; draw others.
 * TORC_ERR_DENIED: a name belongs to another account. TORC_ERR_LIMIT: the account has as many valid
 * certificates as it may have. TORC_ERR_FORMAT: the file is damaged, with the line in `err`. */
int torc_ledger_check(torc_ledger *l, const torc_ledger_entry *e, torc_wall now, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
/* Appends and makes durable: to be called before the certificate leaves. */
int torc_ledger_append(torc_ledger *l, const torc_ledger_entry *e, char *err,
                       size_t err_cap) TORC_MUST_CHECK;

#endif
