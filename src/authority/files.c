/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/slice.h"

int torc_path_join(char *out, size_t cap, const char *dir, const char *name) {
  int n = snprintf(out, cap, "%s/%s", dir, name);
  return n >= 0 && (size_t)n < cap ? 0 : TORC_ERR_SPACE;
}

static int write_all(int fd, torc_slice data) {
  size_t done = 0;
  while (done < data.len) {
    ssize_t n = write(fd, data.p + done, data.len - done);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return TORC_ERR_IO;
    }
    done += (size_t)n;
  }
  return 0;
}

/* Makes the entry of `path` in its directory durable. */
static void sync_directory(const char *path) {
  char dir[TORC_PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t len = slash == NULL ? 0 : (size_t)(slash - path);
  if (slash == NULL) {
    memcpy(dir, ".", 2);
  } else if (len == 0) {
    memcpy(dir, "/", 2);
  } else {
    memcpy(dir, path, len);
    dir[len] = '\0';
  }
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    (void)fsync(fd); /* not every file system can; the file itself is safe already */
    (void)close(fd);
  }
}

static int fill_temporary(int fd, torc_slice data, unsigned mode) {
  if (fchmod(fd, (mode_t)mode) != 0 || write_all(fd, data) != 0 || fsync(fd) != 0) {
    return TORC_ERR_IO;
  }
  return 0;
}

/* `link` fails where a file exists, `rename` replaces it: both in one step. */
static int move_into_place(const char *temporary, const char *path, bool replace) {
  if (replace) {
    return rename(temporary, path) == 0 ? 0 : TORC_ERR_IO;
  }
  if (link(temporary, path) == 0) {
    (void)unlink(temporary);
    return 0;
  }
  return errno == EEXIST ? TORC_ERR_EXISTS : TORC_ERR_IO;
}

/* Writes a durable file beside `path`, whose name goes to `temporary`; none is left on failure. */
static int write_temporary(const char *path, torc_slice data, unsigned mode,
                           char temporary[TORC_PATH_MAX], char *err, size_t err_cap) {
  int n = snprintf(temporary, TORC_PATH_MAX, "%s.new-XXXXXX", path);
  if (n < 0 || n >= TORC_PATH_MAX) {
    (void)snprintf(err, err_cap, "the file name %.40s... is too long", path);
    return TORC_ERR_SPACE;
  }
  int fd = mkostemp(temporary, O_CLOEXEC);
  if (fd < 0) {
    (void)snprintf(err, err_cap, "cannot create a file beside %s: %s", path, strerror(errno));
    return TORC_ERR_IO;
  }
  int rc = fill_temporary(fd, data, mode);
  if (close(fd) != 0) {
    rc = TORC_ERR_IO;
  }
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot write %s: %s", path, strerror(errno));
    (void)unlink(temporary);
  }
  return rc;
}

static int place(const char *temporary, const char *path, bool replace, char *err, size_t err_cap) {
  int rc = move_into_place(temporary, path, replace);
  if (rc == TORC_ERR_EXISTS) {
    (void)snprintf(err, err_cap, "%s exists already and was left as it is", path);
  } else if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot write %s: %s", path, strerror(errno));
  }
  return rc;
}

int torc_file_write(const char *path, torc_slice data, unsigned mode, bool replace, char *err,
                    size_t err_cap) {
  char temporary[TORC_PATH_MAX];
  int rc = write_temporary(path, data, mode, temporary, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = place(temporary, path, replace, err, err_cap);
  if (rc != 0) {
    (void)unlink(temporary);
    return rc;
  }
  sync_directory(path);
  return 0;
}

/* ---- several files as one change ---- */

typedef struct part_state {
  char temporary[TORC_PATH_MAX], kept[TORC_PATH_MAX];
  bool has_temporary, has_kept, is_placed;
} part_state;

/* A second name for the old file: at no time is it without one. */
static int keep_old(const torc_file_part *part, const char *suffix, part_state *s, char *err,
                    size_t err_cap) {
  struct stat st;
  if (lstat(part->path, &st) != 0 && errno == ENOENT) {
    return 0;
  }
  int n = snprintf(s->kept, sizeof s->kept, "%s%s", part->path, suffix);
  if (n < 0 || (size_t)n >= sizeof s->kept) {
    (void)snprintf(err, err_cap, "the file name %.40s... is too long", part->path);
    return TORC_ERR_SPACE;
  }
  if (link(part->path, s->kept) != 0) {
    (void)snprintf(err, err_cap, "cannot keep %s under the name %s: %s", part->path, s->kept,
                   strerror(errno));
    return TORC_ERR_IO;
  }
  s->has_kept = true;
  return 0;
}

static void undo(const torc_file_part *part, const part_state *s) {
  if (s->is_placed && s->has_kept) {
    (void)rename(s->kept, part->path);
  } else if (s->is_placed) {
    (void)unlink(part->path);
  } else if (s->has_kept) {
    (void)unlink(s->kept);
  }
  if (s->has_temporary && !s->is_placed) {
    (void)unlink(s->temporary);
  }
}

static int write_parts(const torc_file_part *parts, part_state *s, size_t num, const char *keep,
                       char *err, size_t err_cap) {
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < num; i++) {
    rc = write_temporary(parts[i].path, parts[i].data, parts[i].mode, s[i].temporary, err, err_cap);
    s[i].has_temporary = rc == 0;
  }
  for (size_t i = 0; rc == 0 && keep != NULL && i < num; i++) {
    rc = keep_old(&parts[i], keep, &s[i], err, err_cap);
  }
  if (rc == 0) {
    sync_directory(parts[0].path); /* the old names last before the new files come */
  }
  for (size_t i = 0; rc == 0 && i < num; i++) {
    rc = place(s[i].temporary, parts[i].path, keep != NULL, err, err_cap);
    s[i].is_placed = rc == 0;
  }
  return rc;
}

int torc_files_write(const torc_file_part *parts, size_t num, const char *keep, char *err,
                     size_t err_cap) {
  part_state *s = calloc(num, sizeof *s);
  if (s == NULL) {
    (void)snprintf(err, err_cap, "there is no memory");
    return TORC_ERR_NOMEM;
  }
  int rc = write_parts(parts, s, num, keep, err, err_cap);
  for (size_t i = num; rc != 0 && i > 0; i--) {
    undo(&parts[i - 1], &s[i - 1]);
  }
  sync_directory(parts[0].path);
  free(s);
  return rc;
}

static int read_all(int fd, size_t max, uint8_t **out, size_t *len) {
  struct stat st;
  if (fstat(fd, &st) != 0) {
    return TORC_ERR_IO;
  }
  if (st.st_size < 0 || (uint64_t)st.st_size > max) {
    return TORC_ERR_LIMIT;
  }
  size_t cap = max < SIZE_MAX ? max : SIZE_MAX - 1;
  if (S_ISREG(st.st_mode)) {
    cap = (size_t)st.st_size; /* what is appended meanwhile is not read */
  }
  uint8_t *data = malloc(cap + 1);
  if (data == NULL) {
    return TORC_ERR_NOMEM;
  }
  size_t got = 0;
  while (got < cap) {
    ssize_t n = read(fd, data + got, cap - got);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      torc_file_free(data, got);
      return TORC_ERR_IO;
    }
    if (n == 0) {
      break;
    }
    got += (size_t)n;
  }
  data[got] = '\0';
  *out = data;
  *len = got;
  return 0;
}

int torc_file_read(const char *path, size_t max, uint8_t **out, size_t *len, char *err,
                   size_t err_cap) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    int rc = errno == ENOENT ? TORC_ERR_NOTFOUND : TORC_ERR_IO;
    (void)snprintf(err, err_cap, "cannot open %s: %s", path, strerror(errno));
    return rc;
  }
  int rc = read_all(fd, max, out, len);
  if (rc == TORC_ERR_LIMIT) {
    (void)snprintf(err, err_cap,
                   "%s has more than %zu bytes, which is more than such a file can have", path,
                   max);
  } else if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot read %s: %s", path, strerror(errno));
  }
  (void)close(fd);
  return rc;
}

void torc_file_free(uint8_t *data, size_t len) {
  if (data != NULL) {
    torc_wipe(data, len);
    free(data);
  }
}

int torc_file_absent(const char *path, const char *advice, char *err, size_t err_cap) {
  if (access(path, F_OK) != 0) {
    return 0;
  }
  (void)snprintf(err, err_cap, "%s exists already and was left as it is; %s", path, advice);
  return TORC_ERR_EXISTS;
}

int torc_dir_make(const char *path, char *err, size_t err_cap) {
  struct stat st;
  if (mkdir(path, 0700) == 0) {
    return 0;
  }
  int why = errno;
  if (why == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
    return 0;
  }
  (void)snprintf(err, err_cap, "cannot create the directory %s: %s", path,
                 why == EEXIST ? "a file of that name is in the way" : strerror(why));
  return TORC_ERR_IO;
}
