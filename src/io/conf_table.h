/* Configuration files of the programs, read with inih by a table of what may stand in them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_CONF_TABLE_H
#define TORC_IO_CONF_TABLE_H

#include "torc/types.h"

#define TORC_CONF_TEXT_MAX 256 /* of one value with its NUL */
#define TORC_CONF_LINE_MAX 199 /* bytes of a line that inih takes */
#define TORC_CONF_KEYS_MAX 64

typedef enum torc_conf_kind {
  TORC_CONF_TEXT,     /* char[TORC_CONF_TEXT_MAX] */
  TORC_CONF_TEXTS,    /* repeatable: an array of these, and a size_t for their number */
  TORC_CONF_LISTEN,   /* the same, of addresses with ports */
  TORC_CONF_LOOPBACK, /* text: one address of this machine only, with a port */
  TORC_CONF_BOOL,     /* bool: yes or no */
  TORC_CONF_COUNT,    /* these three: uint64_t; durations in microseconds */
  TORC_CONF_SIZE,
  TORC_CONF_DURATION,
  TORC_CONF_OWN /* whatever `read` makes of it */
} torc_conf_kind;

typedef struct torc_conf_key {
  const char *section, *name;
  torc_conf_kind kind;
  size_t offset;                              /* of the field in what is filled */
  size_t num_offset;                          /* of the number of entries; 0: not repeatable */
  uint64_t min, max;                          /* of numbers; max: of entries */
  int (*read)(void *field, const char *text); /* TORC_CONF_OWN; not 0: not as expected */
  const char *expected;                       /* told when it is something else */
} torc_conf_key;

/* Fills the fields of `out` that the file names; the others stay. On failure `err` gets one line:
 * the file, the number of the line, what is wrong with what and what is expected.
 * TORC_ERR_NOTFOUND: no such file. TORC_ERR_CONFIG, TORC_ERR_IO. */
int torc_conf_read(void *out, const torc_conf_key *keys, size_t num_keys, const char *path,
                   char *err, size_t err_cap) TORC_MUST_CHECK;

/* "90", "90s", "500ms", "15m", "1h", "7d" to microseconds. TORC_ERR_FORMAT. */
int torc_duration_parse(const char *text, torc_time *out) TORC_MUST_CHECK;
/* "4096", "64k", "16M", "1G" to bytes. TORC_ERR_FORMAT. */
int torc_size_parse(const char *text, uint64_t *out) TORC_MUST_CHECK;
/* "127.0.0.1:9100", "[::1]:9100": splits an address literal from its port. TORC_ERR_FORMAT. */
int torc_listen_parse(const char *text, char *host, size_t host_cap,
                      uint16_t *port) TORC_MUST_CHECK;
/* Whether the literal is 127.0.0.0/8 or ::1. */
bool torc_is_loopback(const char *host);

#endif
