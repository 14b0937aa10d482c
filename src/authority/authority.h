/* An authority's directory: made with the root's key and certificate, the overlay configuration
 * document and the registry of what was issued; certificates issued by its administrator. No
 * network. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_AUTHORITY_H
#define TORC_AUTHORITY_AUTHORITY_H

#include "authority/home.h"
#include "io/overlay_xml.h"

#define TORC_AUTHORITY_ROOT_DAYS 3650
#define TORC_AUTHORITY_REQUEST_MAX 65536 /* bytes of a certificate request file */

typedef struct torc_authority_setup {
  const char *dir;
  torc_overlay *overlay; /* name, algorithm, bootstrap peers, types, periods; its roots are filled
                            in by init */
  torc_ca_signature signature;
  torc_wall now;
  bool replace; /* make a new root although there is one, which is kept, and the registry stays */
} torc_authority_setup;
#define TORC_AUTHORITY_KEPT_MAX 48
typedef struct torc_authority_made {
  char kept[TORC_AUTHORITY_KEPT_MAX]; /* ".old-20260102T030405Z": key, certificate and document that
                                         were there have it behind their names; empty: none were */
} torc_authority_made;
/* Makes the directory, key, certificate and document, and the registry unless it is there. Whatever
 * fails, no file that was there has changed: the document is read as a peer reads it before
 * anything is written, and what is replaced is kept. TORC_ERR_EXISTS: one of the files is there and
 * `replace` is not set. TORC_ERR_CONFIG: peers would refuse the document. `err` gets one line. */
int torc_authority_init(const torc_authority_setup *setup, torc_authority_made *out, char *err,
                        size_t err_cap) TORC_MUST_CHECK;

/* Makes `fresh` the overlay's document: it gets the next sequence, is written, signed with the key
 * of an issuer that is a root of the old one and of the new one, and judged by the rules of
 * config.h; then it takes the place of the old one in one step, with the sequence in
 * fresh->sequence. The audit log is told. TORC_ERR_CONFIG: peers would refuse it, or what the
 * issuers sign, or it is another overlay's, or lacks the root of this directory. `err` gets one
 * line. */
int torc_authority_publish(const char *dir, torc_overlay *fresh, torc_wall now,
                           torc_authority_made *out, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Reads a document as an operator may have edited it: a signature in it is not looked at. What our
 * namespace has no element for is a fault. */
int torc_authority_draft(const char *file, torc_overlay *out, char *err,
                         size_t err_cap) TORC_MUST_CHECK;

typedef struct torc_authority_request {
  const char *dir;
  const char *out_prefix;   /* PREFIX.crt, and PREFIX.key unless there is a request file */
  const char *account;      /* NULL: the first user name */
  const char *const *users; /* 1..TORC_CERT_MAX_USERS, as typed */
  size_t num_users;
  const char *request_file; /* PKCS#10 in PEM, or NULL: a key is made here */
  uint32_t days;
  torc_wall now;
  bool replace; /* of the output files */
} torc_authority_request;
typedef struct torc_authority_issued {
  torc_id peer;
  torc_wall not_after;
  char account[TORC_USER_MAX + 1];
  char cert_file[TORC_PATH_MAX], key_file[TORC_PATH_MAX]; /* key_file is empty with a request */
} torc_authority_issued;
/* Issues one certificate with one fresh peer-id [R-09] [ENR-31]; it is in the registry before any
 * file is written. The account is made if there is none, and free names become its own. The key
 * made here is of the root's kind. TORC_ERR_DENIED, TORC_ERR_LIMIT: see torc_registry_issue. */
int torc_authority_issue(const torc_authority_request *request, torc_authority_issued *out,
                         char *err, size_t err_cap) TORC_MUST_CHECK;

#endif
