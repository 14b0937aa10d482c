/* SPDX-License-Identifier: Apache-2.0 */
#include "io/conf_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

static int scaled(const char *text, const char *const units[], const uint64_t factors[], size_t num,
                  uint64_t *out) {
  char *end = NULL;
  if (text[0] < '0' || text[0] > '9') {
    return TORC_ERR_FORMAT;
  }
  errno = 0;
  unsigned long long v = strtoull(text, &end, 10);
  for (size_t i = 0; i < num; i++) {
    if (strcmp(end, units[i]) == 0) {
      if (errno != 0 || v > UINT64_MAX / factors[i]) {
        return TORC_ERR_FORMAT;
      }
      *out = v * factors[i];
      return 0;
    }
  }
  return TORC_ERR_FORMAT;
}

int torc_duration_parse(const char *text, torc_time *out) {
  static const char *const units[] = {"", "s", "ms", "m", "h", "d"};
  static const uint64_t factors[] = {1000000, 1000000, 1000, 60000000, 3600000000u, 86400000000u};
  return scaled(text, units, factors, TORC_ARRAY_LEN(units), out);
}

int torc_size_parse(const char *text, uint64_t *out) {
  static const char *const units[] = {"", "k", "M", "G"};
  static const uint64_t factors[] = {1, 1u << 10, 1u << 20, 1u << 30};
  return scaled(text, units, factors, TORC_ARRAY_LEN(units), out);
}

static bool is_address(const char *host) {
  uint8_t bytes[16];
  return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

int torc_listen_parse(const char *text, char *host, size_t host_cap, uint16_t *port) {
  static const char *const units[] = {""};
  static const uint64_t factors[] = {1};
  uint64_t v = 0;
  const char *colon = strrchr(text, ':');
  if (colon == NULL || scaled(colon + 1, units, factors, 1, &v) != 0 || v > 65535) {
    return TORC_ERR_FORMAT;
  }
  size_t len = (size_t)(colon - text);
  bool is_v6 = text[0] == '[';
  if (is_v6) {
    if (len < 3 || text[len - 1] != ']') {
      return TORC_ERR_FORMAT;
    }
    text++;
    len -= 2;
  }
  if (len == 0 || len >= host_cap) {
    return TORC_ERR_FORMAT;
  }
  memcpy(host, text, len);
  host[len] = '\0';
  if (!is_address(host) || (strchr(host, ':') != NULL) != is_v6) {
    return TORC_ERR_FORMAT;
  }
  *port = (uint16_t)v;
  return 0;
}

bool torc_is_loopback(const char *host) {
  uint8_t v4[4];
  if (inet_pton(AF_INET, host, v4) == 1) {
    return v4[0] == 127;
  }
  return strcmp(host, "::1") == 0;
}

/* ---- one value ---- */

static int set_text(char *at, const char *value) {
  size_t len = strlen(value);
  if (len == 0 || len >= TORC_CONF_TEXT_MAX) {
    return TORC_ERR_CONFIG;
  }
  memcpy(at, value, len + 1);
  return 0;
}

static int add_text(void *c, const torc_conf_key *key, const char *value) {
  char host[64];
  uint16_t port = 0;
  size_t *num = (size_t *)(void *)((char *)c + key->num_offset);
  if (*num == key->max) {
    return TORC_ERR_CONFIG;
  }
  if (key->kind == TORC_CONF_LISTEN && torc_listen_parse(value, host, sizeof host, &port) != 0) {
    return TORC_ERR_CONFIG;
  }
  int rc = set_text((char *)c + key->offset + *num * TORC_CONF_TEXT_MAX, value);
  if (rc == 0) {
    (*num)++;
  }
  return rc;
}

static int set_loopback(char *at, const char *value) {
  char host[64];
  uint16_t port = 0;
  if (torc_listen_parse(value, host, sizeof host, &port) != 0 || !torc_is_loopback(host)) {
    return TORC_ERR_CONFIG;
  }
  return set_text(at, value);
}

static int set_bool(bool *at, const char *value) {
  if (strcmp(value, "no") != 0 && strcmp(value, "yes") != 0) {
    return TORC_ERR_CONFIG;
  }
  *at = value[0] == 'y';
  return 0;
}

static int set_number(uint64_t *at, const torc_conf_key *key, const char *value) {
  uint64_t v = 0;
  int rc = TORC_ERR_FORMAT;
  if (key->kind == TORC_CONF_DURATION) {
    rc = torc_duration_parse(value, &v);
  } else {
    rc = torc_size_parse(value, &v);
  }
  if (rc != 0 || v < key->min || v > key->max) {
    return TORC_ERR_CONFIG;
  }
  *at = v;
  return 0;
}

static int set_value(void *c, const torc_conf_key *key, const char *value) {
  void *at = (char *)c + key->offset;
  switch (key->kind) {
    case TORC_CONF_TEXT:
      return set_text(at, value);
    case TORC_CONF_TEXTS:
    case TORC_CONF_LISTEN:
      return add_text(c, key, value);
    case TORC_CONF_LOOPBACK:
      return set_loopback(at, value);
    case TORC_CONF_BOOL:
      return set_bool(at, value);
    case TORC_CONF_OWN:
      return key->read(at, value);
    case TORC_CONF_COUNT:
    case TORC_CONF_SIZE:
    case TORC_CONF_DURATION:
      return set_number(at, key, value);
  }
  return TORC_ERR_CONFIG;
}

/* ---- the file ---- */

typedef struct reading {
  void *conf;
  const torc_conf_key *keys;
  size_t num_keys;
  FILE *file;
  unsigned line; /* of the text inih handles now */
  bool seen[TORC_CONF_KEYS_MAX];
  unsigned err_line; /* 0: no error yet; only the first is told */
  char reason[384];
} reading;

static void fail_at(reading *r, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fail_at(reading *r, unsigned line, const char *format, ...) {
  if (r->err_line == 0) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->reason, sizeof r->reason, format, args);
    va_end(args);
    r->err_line = line;
  }
}

static bool section_exists(const reading *r, const char *section, size_t len) {
  for (size_t i = 0; i < r->num_keys; i++) {
    if (strlen(r->keys[i].section) == len && memcmp(r->keys[i].section, section, len) == 0) {
      return true;
    }
  }
  return false;
}

/* inih says nothing of a section without keys, and nothing of a line it cannot read but its number.
 */
static void check_line(reading *r, const char *text) {
  size_t len = strcspn(text, "\r\n");
  if (len == 0 || text[0] == '#' || text[0] == ';') {
    return;
  }
  if (text[0] == '[') {
    const char *end = memchr(text, ']', len);
    if (end == NULL) {
      fail_at(r, r->line, "the ']' of the section is missing");
    } else if (!section_exists(r, text + 1, (size_t)(end - text) - 1)) {
      fail_at(r, r->line, "there is no section '%.*s'", (int)(end - text) - 1, text + 1);
    }
  } else if (memchr(text, '=', len) == NULL && memchr(text, ':', len) == NULL) {
    fail_at(r, r->line, "expected 'name = value', found '%.*s'", (int)(len < 60 ? len : 60), text);
  }
}

/* fgets for inih, which counts lines and refuses those inih would cut in two. */
static char *read_line(char *text, int cap, void *stream) {
  reading *r = stream;
  char *got = fgets(text, cap, r->file);
  if (got == NULL) {
    return NULL;
  }
  r->line++;
  size_t len = strlen(text);
  if (len + 1 == (size_t)cap && text[len - 1] != '\n' && !feof(r->file)) {
    fail_at(r, r->line, "the line has more than %zu bytes", len);
    return NULL;
  }
  size_t indent = strspn(text, " \t");
  memmove(text, text + indent,
          len - indent + 1); /* inih takes an indented line for the rest of the last value */
  check_line(r, text);
  return got;
}

static const torc_conf_key *find_key(const reading *r, const char *section, const char *name) {
  for (size_t i = 0; i < r->num_keys; i++) {
    if (strcmp(r->keys[i].section, section) == 0 && strcmp(r->keys[i].name, name) == 0) {
      return &r->keys[i];
    }
  }
  return NULL;
}

static int on_value(void *user, const char *section, const char *name, const char *value) {
  reading *r = user;
  const torc_conf_key *key = find_key(r, section, name);
  if (section[0] == '\0') {
    fail_at(r, r->line, "'%s' stands before the first [section]", name);
    return 0;
  }
  if (key == NULL) {
    fail_at(r, r->line, "there is no key '%s' in section [%s]", name, section);
    return 0;
  }
  size_t i = (size_t)(key - r->keys);
  if (r->seen[i] && key->num_offset == 0) {
    fail_at(r, r->line, "'%s' is given twice", name);
    return 0;
  }
  r->seen[i] = true;
  if (set_value(r->conf, key, value) != 0) {
    fail_at(r, r->line, "%s = '%s': expected %s", name, value,
            key->expected == NULL ? "1 to 255 bytes of text" : key->expected);
    return 0;
  }
  return 1;
}

static int finish(const reading *r, int ini_rc, const char *path, char *err, size_t err_cap) {
  if (r->err_line != 0) {
    (void)snprintf(err, err_cap, "%s:%u: %s", path, r->err_line, r->reason);
    return TORC_ERR_CONFIG;
  }
  if (ini_rc > 0) {
    (void)snprintf(err, err_cap, "%s:%d: expected '[section]' or 'name = value'", path, ini_rc);
    return TORC_ERR_CONFIG;
  }
  if (ini_rc < 0 || ferror(r->file) != 0) {
    (void)snprintf(err, err_cap, "cannot read %s", path);
    return TORC_ERR_IO;
  }
  return 0;
}

int torc_conf_read(void *out, const torc_conf_key *keys, size_t num_keys, const char *path,
                   char *err, size_t err_cap) {
  reading r = {.conf = out, .keys = keys, .num_keys = num_keys};
  if (num_keys > TORC_CONF_KEYS_MAX) {
    return TORC_ERR_INVALID;
  }
  r.file = fopen(path, "re");
  if (r.file == NULL) {
    int why = errno;
    (void)snprintf(err, err_cap, "cannot open the configuration %s: %s", path, strerror(why));
    return why == ENOENT ? TORC_ERR_NOTFOUND : TORC_ERR_IO;
  }
  int ini_rc = ini_parse_stream(read_line, &r, on_value, &r);
  int rc = finish(&r, ini_rc, path, err, err_cap);
  (void)fclose(r.file);
  return rc;
}
