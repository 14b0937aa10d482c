/* Certificates and names of the past from files of JSON lines: the ledger of older versions, which
 * the registry replaces, and the audit log, which holds what came after a backup.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_PAST_H
#define TORC_AUTHORITY_PAST_H

#include "authority/registry.h"

#define TORC_PAST_LEDGER "ledger.jsonl" /* of versions before there was a database */
#define TORC_PAST_DONE ".imported"      /* behind its name when everything is in the registry */
#define TORC_PAST_LINE_MAX 16384

/* Takes over dir/ledger.jsonl, once; nothing to do if there is none. A last line torn by a crash is
 * no entry. TORC_ERR_FORMAT: another line is none, told in `err`; nothing was taken over then. */
int torc_past_take_ledger(torc_registry *r, const char *dir, char *err,
                          size_t err_cap) TORC_MUST_CHECK;
/* Enters what the audit log says was issued and given. No such file: 0 entries. Lines of other
 * events and lines torn by a crash are passed over. */
int torc_past_take_audit(torc_registry *r, const char *file, torc_registry_imported *out, char *err,
                         size_t err_cap) TORC_MUST_CHECK;

#endif
