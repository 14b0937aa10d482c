/* Libraries that few programs need, or only while they start: not linked, opened when needed.
 * libxml2 alone brings 3 MB of ICU and libstdc++ into a process.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_LATE_LIB_H
#define TORC_IO_LATE_LIB_H

#include <stddef.h>

#include "torc/types.h"

typedef struct torc_late_symbol {
  const char *name;
  size_t offset; /* of a pointer in the caller's table, where the symbol's address goes */
} torc_late_symbol;

/* Opens the library called `soname` (TORC_SONAME_*) for the rest of the process and fills `table`;
 * calling again costs a few look-ups. TORC_ERR_IO: it is not installed or lacks a symbol; `err`
 * says which library. */
int torc_late_lib_open(const char *soname, const torc_late_symbol *symbols, size_t num, void *table,
                       char *err, size_t err_cap) TORC_MUST_CHECK;

#endif
