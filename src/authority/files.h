/* Files of the authority: whole reads with a bound, atomic writes, private keys with mode 0600.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_AUTHORITY_FILES_H
#define TORC_AUTHORITY_FILES_H

#include "torc/types.h"

#define TORC_PATH_MAX 4096

/* Writes `dir`/`name` into out. TORC_ERR_SPACE: too long. */
int torc_path_join(char *out, size_t cap, const char *dir, const char *name) TORC_MUST_CHECK;

/* Writes `data` to a new file beside `path`, makes it durable and moves it to `path` in one step: a
 * crash leaves the old file, none, or the whole new one. mode: permission bits whatever the umask
 * is. Without `replace` an existing file stays as it is and TORC_ERR_EXISTS comes back.
 * TORC_ERR_IO. `err` gets one line. */
int torc_file_write(const char *path, torc_slice data, unsigned mode, bool replace, char *err,
                    size_t err_cap) TORC_MUST_CHECK;

/* Writes 1 or more files of one directory as one change: all are made durable beside their places
 * before the first is moved there. keep: what was there stays under its name followed by this, and
 * is back if a later step fails; NULL: TORC_ERR_EXISTS if one is there. On failure everything is as
 * it was. A crash may leave new files beside old ones: then every old one is there under its kept
 * name. TORC_ERR_IO, TORC_ERR_SPACE, TORC_ERR_NOMEM. `err` gets one line. */
typedef struct torc_file_part {
  const char *path;
  torc_slice data;
  unsigned mode; /* permission bits whatever the umask is */
} torc_file_part;
int torc_files_write(const torc_file_part *parts, size_t num, const char *keep, char *err,
                     size_t err_cap) TORC_MUST_CHECK;

/* Reads the whole file, at most `max` bytes; *out is NUL-terminated and freed with torc_file_free,
 * which wipes it. TORC_ERR_NOTFOUND, TORC_ERR_LIMIT, TORC_ERR_IO, TORC_ERR_NOMEM. */
int torc_file_read(const char *path, size_t max, uint8_t **out, size_t *len, char *err,
                   size_t err_cap) TORC_MUST_CHECK;
void torc_file_free(uint8_t *data, size_t len);

/* TORC_ERR_EXISTS: there is a file of that name, told in `err` with the advice. */
int torc_file_absent(const char *path, const char *advice, char *err,
                     size_t err_cap) TORC_MUST_CHECK;

/* Creates the directory with mode 0700 unless it is there. */
int torc_dir_make(const char *path, char *err, size_t err_cap) TORC_MUST_CHECK;

#endif
