/* Where a daemon's typed events go: one line each, JSON or text, to standard error or to a file
 * that can be opened anew.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_JSON_LOG_H
#define TORC_IO_JSON_LOG_H

#include "torc/types.h"

#define TORC_LOG_LINE_MAX 4096 /* a longer line is cut at a field */

typedef struct torc_json_log torc_json_log;

/* file: appended to, made with mode 0640; NULL or empty: standard error. `err` gets one line. */
int torc_json_log_open(torc_json_log **out, const char *file, torc_log_level level, bool is_json,
                       char *err, size_t err_cap) TORC_MUST_CHECK;
/* Closes the file and opens it by name again, after it was moved away; on failure the old one
 * stays. */
int torc_json_log_reopen(torc_json_log *l, char *err, size_t err_cap) TORC_MUST_CHECK;
void torc_json_log_close(torc_json_log *l);

torc_log *torc_json_log_sink(torc_json_log *l);      /* borrowed; its level may be set */
uint64_t torc_json_log_lost(const torc_json_log *l); /* lines that could not be written */

#endif
