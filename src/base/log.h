/* Typed log events (style 11).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_LOG_H
#define TORC_BASE_LOG_H

#include "base/slice.h"
#include "torc/types.h"

#define TORC_F_U64(k, x) ((torc_field){.key = (k), .kind = TORC_FIELD_U64, .v.u64 = (x)})
#define TORC_F_I64(k, x) ((torc_field){.key = (k), .kind = TORC_FIELD_I64, .v.i64 = (x)})
#define TORC_F_STR(k, x) ((torc_field){.key = (k), .kind = TORC_FIELD_STR, .v.str = (x)})
#define TORC_F_ID(k, x) ((torc_field){.key = (k), .kind = TORC_FIELD_ID, .v.id = (x)})
#define TORC_F_BYTES(k, x) ((torc_field){.key = (k), .kind = TORC_FIELD_BYTES, .v.bytes = (x)})
#define TORC_F_ERR(k, x) ((torc_field){.key = (k), .kind = TORC_FIELD_ERR, .v.err = (x)})

/* The level is tested before any field is evaluated. `log` may be NULL. At least one field. */
#define TORC_LOG(log, lvl, name, ...)                                                             \
  do {                                                                                            \
    const torc_log *torc_log_sink = (log);                                                        \
    if (torc_log_sink != NULL && torc_log_sink->event != NULL && (lvl) <= torc_log_sink->level) { \
      const torc_field torc_log_fields[] = {__VA_ARGS__};                                         \
      torc_log_sink->event(torc_log_sink->ctx, (lvl), (name), torc_log_fields,                    \
                           TORC_ARRAY_LEN(torc_log_fields));                                      \
    }                                                                                             \
  } while (0)

/* Writes one event as a line of JSON, with "t_us", "level" and "event" first, and a final newline;
 * truncates at a field if `cap` is too small, always NUL-terminated. Returns the length.
 * `t_us` is the node's monotonic time. */
size_t torc_log_json(char *out, size_t cap, torc_time t_us, torc_log_level level, const char *name,
                     const torc_field *fields, size_t num_fields);
const char *torc_log_level_name(torc_log_level level);
/* TORC_ERR_FORMAT for a word that is no level. */
int torc_log_level_parse(const char *text, torc_log_level *out) TORC_MUST_CHECK;

#endif
