/* SPDX-License-Identifier: Apache-2.0 */
#include "io/shared_key.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/err.h"

#define KEY_TEXT (2 * TORC_SHARED_KEY_LEN)
#define ID_TEXT (2 * TORC_ID_LEN)
#define NAME_MAX_BYTES 255
#define PATH_CAP 4096
#define ID_FILE "peer-id"

static void to_hex(const uint8_t *bytes, size_t len, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < len; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
}

static int digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `len` bytes as hex digits, behind which only white space may stand. */
static int from_hex(const char *text, size_t text_len, uint8_t *out, size_t len) {
  while (text_len > 0 && strchr(" \t\r\n", text[text_len - 1]) != NULL) {
    text_len--;
  }
  if (text_len != 2 * len) {
    return TORC_ERR_FORMAT;
  }
  for (size_t i = 0; i < len; i++) {
    int hi = digit(text[2 * i]);
    int lo = digit(text[2 * i + 1]);
    if (hi < 0 || lo < 0) {
      return TORC_ERR_FORMAT;
    }
    out[i] = (uint8_t)(hi * 16 + lo);
  }
  return 0;
}

int torc_shared_key_make(uint8_t key[TORC_SHARED_KEY_LEN], char *err, size_t err_cap) {
  if (RAND_priv_bytes(key, TORC_SHARED_KEY_LEN) != 1) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap, "the system gives no random numbers");
  }
  return 0;
}

int torc_shared_key_derive(uint8_t key[TORC_SHARED_KEY_LEN], torc_slice passphrase,
                           const char *overlay_name, char *err, size_t err_cap) {
  char salt[NAME_MAX_BYTES + 1];
  size_t len = strlen(overlay_name);
  if (len > 0 && overlay_name[len - 1] == '.') {
    len--;
  }
  if (passphrase.len < TORC_PASSPHRASE_MIN || passphrase.len > TORC_PASSPHRASE_MAX) {
    return torc_fail(TORC_ERR_INVALID, err, err_cap,
                     "the passphrase must have %d to %d bytes: everybody who records one "
                     "handshake can try out short ones",
                     TORC_PASSPHRASE_MIN, TORC_PASSPHRASE_MAX);
  }
  if (len == 0 || len > NAME_MAX_BYTES) {
    return torc_fail(TORC_ERR_INVALID, err, err_cap, "the overlay name is empty or too long");
  }
  for (size_t i = 0; i < len; i++) {
    char c = overlay_name[i];
    salt[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  if (PKCS5_PBKDF2_HMAC((const char *)passphrase.p, (int)passphrase.len, (const uint8_t *)salt,
                        (int)len, TORC_SHARED_KEY_ROUNDS, EVP_sha256(), TORC_SHARED_KEY_LEN,
                        key) != 1) {
    return torc_fail(TORC_ERR_CRYPTO, err, err_cap, "the cryptographic library has no PBKDF2");
  }
  return 0;
}

static int write_whole(int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, text, len);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return TORC_ERR_IO;
    }
    text += n;
    len -= (size_t)n;
  }
  return fsync(fd) == 0 ? 0 : TORC_ERR_IO;
}

/* The new name is on the disk when its directory is. */
static int sync_dir(const char *path) {
  char copy[PATH_CAP];
  (void)snprintf(copy, sizeof copy, "%s", path);
  int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = fd < 0 || (fsync(fd) != 0 && errno != EINVAL) ? TORC_ERR_IO : 0;
  int saved = errno;
  if (fd >= 0) {
    close(fd);
  }
  errno = saved;
  return rc;
}

/* A new file under another name, then a second name for it: no moment shows a part of it, and what
 * is there already stays. errno says why not. */
static int save_new(const char *path, const char *text, size_t len) {
  char temporary[PATH_CAP];
  int n = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
  if (n < 0 || (size_t)n >= sizeof temporary) {
    errno = ENAMETOOLONG;
    return TORC_ERR_IO;
  }
  int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
  if (fd < 0) {
    return TORC_ERR_IO;
  }
  int rc = write_whole(fd, text, len);
  int saved = errno;
  if (close(fd) != 0 && rc == 0) {
    rc = TORC_ERR_IO;
    saved = errno;
  }
  if (rc == 0 && link(temporary, path) != 0) {
    saved = errno;
    rc = saved == EEXIST ? TORC_ERR_EXISTS : TORC_ERR_IO;
  }
  (void)unlink(temporary);
  errno = saved;
  return rc == 0 ? sync_dir(path) : rc;
}

int torc_shared_key_save(const char *path, const uint8_t key[TORC_SHARED_KEY_LEN], char *err,
                         size_t err_cap) {
  char text[KEY_TEXT + 1];
  to_hex(key, TORC_SHARED_KEY_LEN, text);
  text[KEY_TEXT] = '\n';
  int rc = save_new(path, text, sizeof text);
  torc_wipe(text, sizeof text);
  if (rc == TORC_ERR_EXISTS) {
    return torc_fail(rc, err, err_cap,
                     "%s is there already and stays as it is: a peer with another key is shut out",
                     path);
  }
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "cannot write the key to %s: %s", path, strerror(errno));
  }
  return 0;
}

/* At most cap bytes of a small file; more of them make *len cap + 1. */
static int read_small(int fd, char *out, size_t cap, size_t *len) {
  *len = 0;
  while (*len < cap) {
    ssize_t n = read(fd, out + *len, cap - *len);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return TORC_ERR_IO;
    }
    if (n == 0) {
      return 0;
    }
    *len += (size_t)n;
  }
  return 0;
}

int torc_shared_key_load(uint8_t key[TORC_SHARED_KEY_LEN], const char *path, char *err,
                         size_t err_cap) {
  char text[KEY_TEXT + 16];
  size_t len = 0;
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot read the shared key %s: %s", path,
                     strerror(errno));
  }
  int rc = 0;
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap, "the shared key %s is no regular file", path);
  } else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "the shared key %s is accessible to others: run chmod 600 %s", path, path);
  } else if (read_small(fd, text, sizeof text, &len) != 0) {
    rc = torc_fail(TORC_ERR_IO, err, err_cap, "cannot read the shared key %s: %s", path,
                   strerror(errno));
  } else if (from_hex(text, len, key, TORC_SHARED_KEY_LEN) != 0) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "%s holds no shared key: expected %d hex digits, as torc key new writes them",
                   path, KEY_TEXT);
  }
  torc_wipe(text, sizeof text);
  close(fd);
  return rc;
}

static int random_id(torc_id *out, char *err, size_t err_cap) {
  do {
    if (RAND_bytes(out->b, TORC_ID_LEN) != 1) {
      return torc_fail(TORC_ERR_CRYPTO, err, err_cap, "the system gives no random numbers");
    }
  } while (!torc_id_is_peer(out));
  return 0;
}

static int load_id(torc_id *out, const char *path, bool *is_there, char *err, size_t err_cap) {
  char text[ID_TEXT + 16];
  size_t len = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  *is_there = fd >= 0 || errno != ENOENT;
  if (!*is_there) {
    return 0;
  }
  int rc = fd < 0 ? TORC_ERR_IO : read_small(fd, text, sizeof text, &len);
  if (rc != 0) {
    rc = torc_fail(rc, err, err_cap, "cannot read the peer-id %s: %s", path, strerror(errno));
  } else if (from_hex(text, len, out->b, TORC_ID_LEN) != 0 || !torc_id_is_peer(out)) {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "%s holds no peer-id: remove the file, and another one is made", path);
  }
  if (fd >= 0) {
    close(fd);
  }
  return rc;
}

int torc_peer_id_keep(torc_id *out, const char *dir, char *err, size_t err_cap) {
  char path[PATH_CAP];
  char text[ID_TEXT + 1];
  bool is_there = false;
  if (dir == NULL) {
    return random_id(out, err, err_cap);
  }
  int n = snprintf(path, sizeof path, "%s/%s", dir, ID_FILE);
  if (n < 0 || (size_t)n >= sizeof path) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap, "the path of the state directory is too long");
  }
  int rc = load_id(out, path, &is_there, err, err_cap);
  if (rc != 0 || is_there) {
    return rc;
  }
  rc = random_id(out, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  to_hex(out->b, TORC_ID_LEN, text);
  text[ID_TEXT] = '\n';
  rc = save_new(path, text, sizeof text);
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "cannot write the peer-id to %s: %s", path, strerror(errno));
  }
  return 0;
}
