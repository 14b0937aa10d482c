/* The audit log: one JSON object per line for every certificate issued, every request refused and
 * every change an administrator made. Never passwords or keys. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TORC_AUTHORITY_AUDIT_H
#define TORC_AUTHORITY_AUDIT_H

#include "authority/files.h"
#include "authority/registry.h"

typedef struct torc_audit torc_audit;

typedef struct torc_audit_event {
  const char *what; /* "issued", "refused", "account-added", ... */
  torc_wall when;
  const char *source; /* the address that asked, or the user of this machine; NULL: unknown */
  const char *account;
  const char *reason;       /* of a refusal; NULL: none */
  const char *const *names; /* given to the account; num_names of them */
  size_t num_names;
  const torc_certificate_entry *entry; /* of a certificate; NULL: none */
  bool is_repeat;
} torc_audit_event;

/* file: appended to, made with mode 0640. `err` gets one line. */
int torc_audit_open(torc_audit **out, const char *file, char *err, size_t err_cap) TORC_MUST_CHECK;
/* Opens the file by name again, after it was moved away; on failure the old one stays. */
int torc_audit_reopen(torc_audit *a, char *err, size_t err_cap) TORC_MUST_CHECK;
void torc_audit_close(torc_audit *a);

/* Writes one line in one call of the system, so that threads and programs do not mix theirs. NULL:
 * nowhere. TORC_ERR_IO: it could not be written; what it tells of must not happen then. Any thread.
 */
int torc_audit_write(torc_audit *a, const torc_audit_event *e) TORC_MUST_CHECK;

#endif
