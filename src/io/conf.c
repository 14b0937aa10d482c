/* SPDX-License-Identifier: Apache-2.0 */
#include "io/conf.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/slice.h"

/* Which of two words it is; -1: neither. */
static int which(const char *value, const char *first, const char *second) {
  if (strcmp(value, first) == 0) {
    return 0;
  }
  return strcmp(value, second) == 0 ? 1 : -1;
}

static int read_role(void *at, const char *value) {
  int i = which(value, "peer", "client");
  if (i < 0) {
    return TORC_ERR_CONFIG;
  }
  *(torc_role *)at = i == 0 ? TORC_ROLE_PEER : TORC_ROLE_CLIENT;
  return 0;
}

static int read_policy(void *at, const char *value) {
  static const char *const words[] = {
      [TORC_OFFER_ALL] = "all", [TORC_OFFER_RELAY] = "relay", [TORC_OFFER_UDP] = "udp"};
  for (size_t i = 0; i < TORC_ARRAY_LEN(words); i++) {
    if (strcmp(value, words[i]) == 0) {
      *(torc_candidate_policy *)at = (torc_candidate_policy)i;
      return 0;
    }
  }
  return TORC_ERR_CONFIG;
}

static int read_level(void *at, const char *value) {
  return torc_log_level_parse(value, at);
}

static int read_format(void *at, const char *value) {
  int i = which(value, "text", "json");
  if (i < 0) {
    return TORC_ERR_CONFIG;
  }
  *(bool *)at = i == 1;
  return 0;
}

#define AT(field) offsetof(torc_conf, field)
#define TEXT(section_, name_, field_) \
  { .section = (section_), .name = (name_), .kind = TORC_CONF_TEXT, .offset = AT(field_) }
#define COUNT(section_, name_, field_, min_, max_, expected_)                              \
  {                                                                                        \
    .section = (section_), .name = (name_), .kind = TORC_CONF_COUNT, .offset = AT(field_), \
    .min = (min_), .max = (max_), .expected = (expected_)                                  \
  }
#define DURATION(name_, field_, min_, max_, expected_)                                      \
  {                                                                                         \
    .section = "timers", .name = (name_), .kind = TORC_CONF_DURATION, .offset = AT(field_), \
    .min = (min_), .max = (max_), .expected = (expected_)                                   \
  }

static const torc_conf_key keys[] = {
    TEXT("overlay", "file", overlay_file),
    TEXT("overlay", "name", overlay_name),
    TEXT("identity", "cert", cert_file),
    TEXT("identity", "key", key_file),
    TEXT("identity", "renew", renew_dir),
    TEXT("identity", "shared-key", shared_key_file),
    {.section = "node",
     .name = "role",
     .kind = TORC_CONF_OWN,
     .read = read_role,
     .offset = AT(role),
     .expected = "peer or client"},
    {.section = "node",
     .name = "listen",
     .kind = TORC_CONF_LISTEN,
     .offset = AT(listen),
     .num_offset = AT(num_listen),
     .max = TORC_PEER_LISTEN_MAX,
     .expected = "ADDRESS:PORT, for example 0.0.0.0:6084 or [::]:6084, at most 8 of them"},
    {.section = "node",
     .name = "advertise",
     .kind = TORC_CONF_LISTEN,
     .offset = AT(advertise),
     .num_offset = AT(num_advertise),
     .max = TORC_CONF_ADVERTISE_MAX,
     .expected = "ADDRESS:PORT, for example 192.0.2.7:6084, at most 8 of them"},
    TEXT("node", "state-dir", state_dir),
    {.section = "nat",
     .name = "stun",
     .kind = TORC_CONF_TEXTS,
     .offset = AT(stun),
     .num_offset = AT(num_stun),
     .max = TORC_CONF_SERVERS_MAX,
     .expected = "stun:HOST:PORT, at most 4 of them"},
    {.section = "nat",
     .name = "turn",
     .kind = TORC_CONF_TEXTS,
     .offset = AT(turn),
     .num_offset = AT(num_turn),
     .max = TORC_CONF_SERVERS_MAX,
     .expected = "turn:HOST:PORT?transport=udp (or tcp) or turns:HOST:PORT, at most 4 of them"},
    TEXT("nat", "turn-user", turn_user),
    {.section = "nat",
     .name = "candidates",
     .kind = TORC_CONF_OWN,
     .read = read_policy,
     .offset = AT(candidates),
     .expected = "all, relay or udp"},
    TEXT("nat", "turn-password-file", turn_password_file),
    TEXT("nat", "turn-ca", turn_ca_file),
    COUNT("node", "threads", threads, 0, 64, "0 to 64"),
    {.section = "node",
     .name = "sync-disk",
     .kind = TORC_CONF_BOOL,
     .offset = AT(sync_disk),
     .expected = "yes or no"},
    TEXT("control", "socket", control_socket),
    {.section = "log",
     .name = "level",
     .kind = TORC_CONF_OWN,
     .read = read_level,
     .offset = AT(log_level),
     .expected = "error, warn, info, debug or trace"},
    TEXT("log", "file", log_file),
    {.section = "log",
     .name = "format",
     .kind = TORC_CONF_OWN,
     .read = read_format,
     .offset = AT(log_json),
     .expected = "json or text"},
    {.section = "metrics",
     .name = "listen",
     .kind = TORC_CONF_LOOPBACK,
     .offset = AT(metrics_listen),
     .expected = "ADDRESS:PORT of this machine only, for example 127.0.0.1:9466"},
    COUNT("limits", "links", max_links, 8, 65536, "8 to 65536"),
    COUNT("limits", "client-links", max_client_links, 1, 65536, "1 to 65536"),
    {.section = "limits",
     .name = "answer-bytes",
     .kind = TORC_CONF_SIZE,
     .offset = AT(max_answer_bytes),
     .min = 1024,
     .max = 1u << 30,
     .expected = "a size of 1k to 1G"},
    {.section = "limits",
     .name = "stored-bytes",
     .kind = TORC_CONF_SIZE,
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

int torc_conf_load(torc_conf *out, const char *path, char *err, size_t err_cap) {
  *out = (torc_conf){.role = TORC_ROLE_PEER, .log_level = TORC_LOG_INFO, .log_json = true};
  memcpy(out->control_socket, TORC_CONF_DEFAULT_SOCKET, sizeof TORC_CONF_DEFAULT_SOCKET);
  int rc = torc_conf_read(out, keys, TORC_ARRAY_LEN(keys), path, err, err_cap);
  if (rc == TORC_ERR_NOTFOUND) {
    return TORC_ERR_IO;
  }
  const char *what = rc == 0 ? missing(out) : NULL;
  if (what != NULL) {
    (void)snprintf(err, err_cap, "%s: %s", path, what);
    rc = TORC_ERR_CONFIG;
  }
  return rc;
}
