/* SPDX-License-Identifier: Apache-2.0 */
#include "io/cache_file.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "io/addr.h"

#define FILE_BYTES_MAX 65536
#define PATH_CAP 4096

static bool read_entry(const json_t *json, torc_cached_peer *out) {
  const char *peer = json_string_value(json_object_get(json, "peer_id"));
  const char *address = json_string_value(json_object_get(json, "address"));
  const char *transport = json_string_value(json_object_get(json, "transport"));
  json_int_t port = json_integer_value(json_object_get(json, "port"));
  json_int_t seen = json_integer_value(json_object_get(json, "last_seen"));
  json_int_t failures = json_integer_value(json_object_get(json, "failures"));
  memset(out, 0, sizeof *out);
  if (peer == NULL || address == NULL || transport == NULL || strcmp(transport, "tls") != 0 ||
      !torc_host_valid(address) || port < 1 || port > UINT16_MAX || seen < 0 || seen > UINT32_MAX ||
      failures < 0 || failures > TORC_PEER_CACHE_FAILURES ||
      torc_id_parse(peer, strlen(peer), &out->at.peer) != 0) {
    return false;
  }
  memcpy(out->at.host, address, strlen(address) + 1);
  out->at.port = (uint16_t)port;
  out->transport = TORC_LINK_TLS;
  out->last_seen = (torc_wall)seen;
  out->failures = (uint32_t)failures;
  return true;
}

/* A file of an earlier version names none. */
static bool is_of(const json_t *json, const char *overlay) {
  const char *name = json_string_value(json_object_get(json, "overlay"));
  return name == NULL || strcasecmp(name, overlay) == 0;
}

int torc_cache_load(torc_peer_cache *c, const char *path, const char *overlay, torc_wall now) {
  torc_peer_cache_init(c);
  struct stat st;
  if (stat(path, &st) != 0) {
    return 0;
  }
  if (st.st_size > FILE_BYTES_MAX) {
    return TORC_ERR_FORMAT;
  }
  json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
  const json_t *peers = json_object_get(json, "peers");
  int rc = json_is_array(peers) ? 0 : TORC_ERR_FORMAT;
  rc = rc == 0 && !is_of(json, overlay) ? TORC_ERR_DENIED : rc;
  for (size_t i = 0; rc == 0 && i < json_array_size(peers); i++) {
    torc_cached_peer entry;
    if (read_entry(json_array_get(peers, i), &entry)) {
      entry.last_seen = entry.last_seen > now ? now : entry.last_seen;
      (void)torc_peer_cache_add(c, &entry);
    }
  }
  json_decref(json);
  return rc;
}

static json_t *to_json(const torc_peer_cache *c, const char *overlay) {
  json_t *peers = json_array();
  for (size_t i = 0; peers != NULL && i < c->len; i++) {
    const torc_cached_peer *e = &c->list[i];
    char id[TORC_ID_HEX_LEN + 1];
    json_t *entry =
        json_pack("{s:s, s:s, s:i, s:s, s:I, s:i}", "peer_id", torc_id_hex(&e->at.peer, id),
                  "address", e->at.host, "port", (int)e->at.port, "transport", "tls", "last_seen",
                  (json_int_t)e->last_seen, "failures", (int)e->failures);
    if (entry == NULL || json_array_append_new(peers, entry) != 0) {
      json_decref(peers);
      peers = NULL;
    }
  }
  return peers == NULL
             ? NULL
             : json_pack("{s:i, s:s, s:o}", "version", 1, "overlay", overlay, "peers", peers);
}

static int write_all(int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, text, len);
    if (n <= 0) {
      return TORC_ERR_IO;
    }
    text += n;
    len -= (size_t)n;
  }
  return 0;
}

int torc_cache_save(const torc_peer_cache *c, const char *path, const char *overlay) {
  char temporary[PATH_CAP];
  if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) {
    return TORC_ERR_INVALID;
  }
  json_t *json = to_json(c, overlay);
  char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
  json_decref(json);
  if (text == NULL) {
    return TORC_ERR_NOMEM;
  }
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  int rc = fd < 0 ? TORC_ERR_IO : write_all(fd, text, strlen(text));
  free(text);
  if (fd >= 0 && close(fd) != 0) {
    rc = TORC_ERR_IO;
  }
  if (rc == 0 && rename(temporary, path) != 0) {
    rc = TORC_ERR_IO;
  }
  return rc;
}
