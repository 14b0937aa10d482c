/* SPDX-License-Identifier: Apache-2.0 */
#include "io/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/slice.h"

typedef enum value_kind {
  KIND_TEXT,
  KIND_LISTEN,   /* repeatable list of addresses with ports */
  KIND_LOOPBACK, /* one address of this machine only, with a port */
  KIND_ROLE,
  KIND_LEVEL,
  KIND_FORMAT,
  KIND_BOOL,
  KIND_COUNT,
  KIND_SIZE,
  KIND_DURATION
} value_kind;

typedef struct key_def {
  const char *section, *name;
  value_kind kind;
  size_t offset;
  size_t num_offset; /* KIND_LISTEN: of the number of entries */
  uint64_t min, max; /* counts and sizes; durations in microseconds */
  const char *expected;
} key_def;

#define AT(field) offsetof(torc_conf, field)
#define TEXT(section_, name_, field_) \
  { .section = (section_), .name = (name_), .kind = KIND_TEXT, .offset = AT(field_) }
#define COUNT(section_, name_, field_, min_, max_, expected_)                         \
  {                                                                                   \
    .section = (section_), .name = (name_), .kind = KIND_COUNT, .offset = AT(field_), \
    .min = (min_), .max = (max_), .expected = (expected_)                             \
  }
#define DURATION(name_, field_, min_, max_, expected_)                                 \
  {                                                                                    \
    .section = "timers", .name = (name_), .kind = KIND_DURATION, .offset = AT(field_), \
    .min = (min_), .max = (max_), .expected = (expected_)                              \
  }

static const key_def keys[] = {
    TEXT("overlay", "file", overlay_file),
    TEXT("overlay", "name", overlay_name),
    TEXT("identity", "cert", cert_file),
    TEXT("identity", "key", key_file),
    TEXT("identity", "shared-key", shared_key_file),
    {.section = "node",
     .name = "role",
     .kind = KIND_ROLE,
     .offset = AT(role),
     .expected = "peer or client"},
    {.section = "node",
     .name = "listen",
     .kind = KIND_LISTEN,
     .offset = AT(listen),
     .num_offset = AT(num_listen),
     .max = TORC_PEER_LISTEN_MAX,
     .expected = "ADDRESS:PORT, for example 0.0.0.0:6084 or [::]:6084, at most 8 of them"},
    {.section = "node",
     .name = "advertise",
     .kind = KIND_LISTEN,
     .offset = AT(advertise),
     .num_offset = AT(num_advertise),
     .max = TORC_CONF_ADVERTISE_MAX,
     .expected = "ADDRESS:PORT, for example 192.0.2.7:6084, at most 8 of them"},
    TEXT("node", "state-dir", state_dir),
    COUNT("node", "threads", threads, 0, 64, "0 to 64"),
    {.section = "node",
     .name = "sync-disk",
     .kind = KIND_BOOL,
     .offset = AT(sync_disk),
     .expected = "yes or no"},
    TEXT("control", "socket", control_socket),
    {.section = "log",
     .name = "level",
     .kind = KIND_LEVEL,
     .offset = AT(log_level),
     .expected = "error, warn, info, debug or trace"},
    TEXT("log", "file", log_file),
    {.section = "log",
     .name = "format",
     .kind = KIND_FORMAT,
     .offset = AT(log_json),
     .expected = "json or text"},
    {.section = "metrics",
     .name = "listen",
     .kind = KIND_LOOPBACK,
     .offset = AT(metrics_listen),
     .expected = "ADDRESS:PORT of this machine only, for example 127.0.0.1:9466"},
    COUNT("limits", "links", max_links, 8, 65536, "8 to 65536"),
    COUNT("limits", "client-links", max_client_links, 1, 65536, "1 to 65536"),
    {.section = "limits",
     .name = "answer-bytes",
     .kind = KIND_SIZE,
     .offset = AT(max_answer_bytes),
     .min = 1024,
     .max = 1u << 30,
     .expected = "a size of 1k to 1G"},
    {.section = "limits",
     .name = "stored-bytes",
     .kind = KIND_SIZE,
     .offset = AT(max_stored_bytes),
     .min = 1u << 20,
     .max = 1ull << 44,
     .expected = "a size of 1M to 16384G"},
    DURATION("update-period", update_period, TORC_MS(100), TORC_SEC(86400), "100ms to 24h"),
    DURATION("ping-period", ping_period, TORC_MS(100), TORC_SEC(86400), "100ms to 24h"),
    DURATION("t1", t1, TORC_MS(10), TORC_SEC(10), "10ms to 10s"),
    DURATION("keepalive", keepalive, TORC_MS(100), TORC_SEC(3600), "100ms to 1h"),
    DURATION("deletion-delay", deletion_delay, TORC_MS(100), TORC_SEC(86400), "100ms to 24h"),
    DURATION("replica-wait", replica_wait, TORC_MS(100), TORC_SEC(30), "100ms to 30s"),
    DURATION("idle-close", idle_close, TORC_SEC(1), TORC_SEC(86400), "1s to 24h"),
};

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

static int add_listen(torc_conf *c, const key_def *key, const char *value) {
  char host[64];
  uint16_t port = 0;
  size_t *num = (size_t *)(void *)((char *)c + key->num_offset);
  if (*num == key->max || torc_listen_parse(value, host, sizeof host, &port) != 0) {
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

/* Places `value` among `words`; -1: none of them. */
static int word_index(const char *value, const char *const words[], size_t num) {
  for (size_t i = 0; i < num; i++) {
    if (strcmp(value, words[i]) == 0) {
      return (int)i;
    }
  }
  return -1;
}

static int set_bool(bool *at, const char *value, const char *no, const char *yes) {
  const char *const words[] = {no, yes};
  int i = word_index(value, words, 2);
  if (i < 0) {
    return TORC_ERR_CONFIG;
  }
  *at = i == 1;
  return 0;
}

static int set_role(torc_role *at, const char *value) {
  static const char *const words[] = {"peer", "client"};
  int i = word_index(value, words, 2);
  if (i < 0) {
    return TORC_ERR_CONFIG;
  }
  *at = i == 0 ? TORC_ROLE_PEER : TORC_ROLE_CLIENT;
  return 0;
}

static int set_number(uint64_t *at, const key_def *key, const char *value) {
  uint64_t v = 0;
  int rc = TORC_ERR_FORMAT;
  if (key->kind == KIND_DURATION) {
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

static int set_value(torc_conf *c, const key_def *key, const char *value) {
  void *at = (char *)c + key->offset;
  switch (key->kind) {
    case KIND_TEXT:
      return set_text(at, value);
    case KIND_LISTEN:
      return add_listen(c, key, value);
    case KIND_LOOPBACK:
      return set_loopback(at, value);
    case KIND_ROLE:
      return set_role(at, value);
    case KIND_LEVEL:
      return torc_log_level_parse(value, at);
    case KIND_FORMAT:
      return set_bool(at, value, "text", "json");
    case KIND_BOOL:
      return set_bool(at, value, "no", "yes");
    case KIND_COUNT:
    case KIND_SIZE:
    case KIND_DURATION:
      return set_number(at, key, value);
  }
  return TORC_ERR_CONFIG;
}

/* ---- the file ---- */

typedef struct reading {
  torc_conf *conf;
  FILE *file;
  unsigned line; /* of the text inih handles now */
  bool seen[TORC_ARRAY_LEN(keys)];
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

static bool section_exists(const char *section, size_t len) {
  for (size_t i = 0; i < TORC_ARRAY_LEN(keys); i++) {
    if (strlen(keys[i].section) == len && memcmp(keys[i].section, section, len) == 0) {
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
    } else if (!section_exists(text + 1, (size_t)(end - text) - 1)) {
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

static const key_def *find_key(const char *section, const char *name) {
  for (size_t i = 0; i < TORC_ARRAY_LEN(keys); i++) {
    if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0) {
      return &keys[i];
    }
  }
  return NULL;
}

static int on_value(void *user, const char *section, const char *name, const char *value) {
  reading *r = user;
  const key_def *key = find_key(section, name);
  if (section[0] == '\0') {
    fail_at(r, r->line, "'%s' stands before the first [section]", name);
    return 0;
  }
  if (key == NULL) {
    fail_at(r, r->line, "there is no key '%s' in section [%s]", name, section);
    return 0;
  }
  size_t i = (size_t)(key - keys);
  if (r->seen[i] && key->kind != KIND_LISTEN) {
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

/* What must be there whatever else is. NULL: nothing is missing. */
static const char *missing(const torc_conf *c) {
  if (c->overlay_file[0] == '\0') {
    return "[overlay] file is missing: the overlay configuration document (overlay.xml)";
  }
  bool is_shared = c->shared_key_file[0] != '\0';
  if (is_shared && (c->cert_file[0] != '\0' || c->key_file[0] != '\0')) {
    return "[identity] has shared-key beside cert or key: a peer has the one or the other";
  }
  if (!is_shared && c->cert_file[0] == '\0') {
    return "[identity] cert is missing: the certificate in PEM";
  }
  if (!is_shared && c->key_file[0] == '\0') {
    return "[identity] key is missing: the private key in PEM";
  }
  if (c->role == TORC_ROLE_PEER && c->num_listen == 0) {
    return "[node] listen is missing: a peer must be reachable (or say role = client)";
  }
  return NULL;
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
  const char *what = missing(r->conf);
  if (what != NULL) {
    (void)snprintf(err, err_cap, "%s: %s", path, what);
    return TORC_ERR_CONFIG;
  }
  return 0;
}

int torc_conf_load(torc_conf *out, const char *path, char *err, size_t err_cap) {
  reading r = {.conf = out};
  *out = (torc_conf){.role = TORC_ROLE_PEER, .log_level = TORC_LOG_INFO, .log_json = true};
  memcpy(out->control_socket, TORC_CONF_DEFAULT_SOCKET, sizeof TORC_CONF_DEFAULT_SOCKET);
  r.file = fopen(path, "re");
  if (r.file == NULL) {
    (void)snprintf(err, err_cap, "cannot open the configuration %s: %s", path, strerror(errno));
    return TORC_ERR_IO;
  }
  int ini_rc = ini_parse_stream(read_line, &r, on_value, &r);
  int rc = finish(&r, ini_rc, path, err, err_cap);
  (void)fclose(r.file);
  return rc;
}
