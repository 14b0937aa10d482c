/* SPDX-License-Identifier: Apache-2.0 */
#include "io/server_uri.h"

#include <string.h>
#include <strings.h>

#include "base/slice.h"
#include "io/addr.h"

static const struct {
  const char *scheme, *transport; /* transport NULL: not said */
  torc_server_kind kind;
  uint16_t port;
} forms[] = {
    {"stun", NULL, TORC_SERVER_STUN, 3478},      {"turn", NULL, TORC_SERVER_TURN_UDP, 3478},
    {"turn", "udp", TORC_SERVER_TURN_UDP, 3478}, {"turn", "tcp", TORC_SERVER_TURN_TCP, 3478},
    {"turns", NULL, TORC_SERVER_TURN_TLS, 5349}, {"turns", "tcp", TORC_SERVER_TURN_TLS, 5349}};

static bool same(const char *text, size_t len, const char *word) {
  return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* Digits to the end; 0: no port. */
static uint16_t port_of(const char *text, size_t len) {
  uint32_t port = 0;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9' || i > 5) {
      return 0;
    }
    port = port * 10 + (uint32_t)(text[i] - '0');
  }
  return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static int read_host(const char *text, size_t len, torc_server_uri *out) {
  const char *end = text + len;
  const char *host = text;
  const char *after = NULL;
  if (len > 0 && text[0] == '[') { /* an IPv6 literal */
    const char *bracket = memchr(text, ']', len);
    if (bracket == NULL) {
      return TORC_ERR_FORMAT;
    }
    host = text + 1;
    len = (size_t)(bracket - host);
    after = bracket + 1;
  } else {
    const char *colon = memchr(text, ':', len);
    after = colon == NULL ? end : colon;
    len = (size_t)(after - text);
  }
  if (after < end) {
    out->port = *after == ':' ? port_of(after + 1, (size_t)(end - after) - 1) : 0;
  }
  if (len == 0 || len >= sizeof out->host || out->port == 0) {
    return TORC_ERR_FORMAT;
  }
  memcpy(out->host, host, len);
  out->host[len] = '\0';
  return torc_host_valid(out->host) ? 0 : TORC_ERR_FORMAT;
}

int torc_server_uri_parse(const char *text, torc_server_uri *out) {
  const char *colon = strchr(text, ':');
  if (colon == NULL) {
    return TORC_ERR_FORMAT;
  }
  const char *host = colon + 1;
  const char *query = strchr(host, '?');
  size_t host_len = query == NULL ? strlen(host) : (size_t)(query - host);
  const char *transport = NULL;
  if (query != NULL) {
    static const char key[] = "?transport=";
    if (strncasecmp(query, key, sizeof key - 1) != 0) {
      return TORC_ERR_FORMAT;
    }
    transport = query + sizeof key - 1;
  }
  memset(out, 0, sizeof *out);
  for (size_t i = 0; i < TORC_ARRAY_LEN(forms); i++) {
    bool is_transport = transport == NULL || forms[i].transport == NULL
                            ? transport == forms[i].transport
                            : strcasecmp(transport, forms[i].transport) == 0;
    if (is_transport && same(text, (size_t)(colon - text), forms[i].scheme)) {
      out->kind = forms[i].kind;
      out->port = forms[i].port;
      return read_host(host, host_len, out);
    }
  }
  return TORC_ERR_FORMAT;
}
