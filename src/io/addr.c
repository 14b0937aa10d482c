/* SPDX-License-Identifier: Apache-2.0 */
#include "io/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

int torc_sock_literal(const char *host, uint16_t port, torc_sock *out) {
  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
    out->v4.sin_family = AF_INET;
  } else if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
    out->v6.sin6_family = AF_INET6;
  } else {
    return TORC_ERR_FORMAT;
  }
  torc_sock_set_port(out, port);
  return 0;
}

bool torc_host_valid(const char *host) {
  torc_sock a;
  if (torc_sock_literal(host, 0, &a) == 0) {
    return true;
  }
  size_t len = strlen(host);
  if (len == 0 || len > 255 || host[0] == '.' || host[0] == '-') {
    return false;
  }
  bool was_dot = false;
  for (size_t i = 0; i < len; i++) {
    char c = host[i];
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    bool is_dot = c == '.';
    if ((!is_letter && c != '-' && c != '_' && !is_dot) || (is_dot && was_dot)) {
      return false;
    }
    was_dot = is_dot;
  }
  return true;
}

static bool is_multicast(const torc_sock *a) {
  if (a->sa.sa_family == AF_INET) {
    return IN_MULTICAST(ntohl(a->v4.sin_addr.s_addr));
  }
  return IN6_IS_ADDR_MULTICAST(&a->v6.sin6_addr) != 0;
}

bool torc_host_is_multicast(const char *host) {
  torc_sock a;
  return torc_sock_literal(host, 0, &a) == 0 && is_multicast(&a);
}

int torc_sock_parse(const char *text, torc_sock *out) {
  const char *colon = strrchr(text, ':');
  if (colon == NULL) {
    return TORC_ERR_FORMAT;
  }
  const char *begin = text;
  size_t len = (size_t)(colon - text);
  bool has_brackets = len >= 2 && text[0] == '[' && text[len - 1] == ']';
  if (has_brackets) {
    begin++;
    len -= 2;
  }
  char host[TORC_SOCK_TEXT];
  if (len == 0 || len >= sizeof host) {
    return TORC_ERR_FORMAT;
  }
  memcpy(host, begin, len);
  host[len] = '\0';
  uint32_t port = 0;
  const char *c = colon + 1;
  if (*c == '\0') {
    return TORC_ERR_FORMAT;
  }
  for (; *c != '\0'; c++) {
    if (*c < '0' || *c > '9') {
      return TORC_ERR_FORMAT;
    }
    port = port * 10 + (uint32_t)(*c - '0');
    if (port > UINT16_MAX) {
      return TORC_ERR_FORMAT;
    }
  }
  if (torc_sock_literal(host, (uint16_t)port, out) != 0) {
    return TORC_ERR_FORMAT;
  }
  return (out->sa.sa_family == AF_INET6) == has_brackets ? 0 : TORC_ERR_FORMAT;
}

void torc_sock_host(const torc_sock *a, char out[TORC_SOCK_TEXT]) {
  const void *bytes =
      a->sa.sa_family == AF_INET6 ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr;
  if (inet_ntop(a->sa.sa_family, bytes, out, TORC_SOCK_TEXT) == NULL) {
    snprintf(out, TORC_SOCK_TEXT, "?");
  }
}

void torc_sock_text(const torc_sock *a, char out[TORC_SOCK_TEXT]) {
  char host[TORC_SOCK_TEXT];
  torc_sock_host(a, host);
  snprintf(out, TORC_SOCK_TEXT, a->sa.sa_family == AF_INET6 ? "[%.45s]:%u" : "%.45s:%u", host,
           (unsigned)torc_sock_port(a));
}

uint16_t torc_sock_port(const torc_sock *a) {
  return ntohs(a->sa.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

void torc_sock_set_port(torc_sock *a, uint16_t port) {
  if (a->sa.sa_family == AF_INET6) {
    a->v6.sin6_port = htons(port);
  } else {
    a->v4.sin_port = htons(port);
  }
}

bool torc_sock_host_eq(const torc_sock *a, const torc_sock *b) {
  if (a->sa.sa_family != b->sa.sa_family) {
    return false;
  }
  if (a->sa.sa_family == AF_INET6) {
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
  }
  return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

bool torc_sock_site_eq(const torc_sock *a, const torc_sock *b) {
  if (a->sa.sa_family != AF_INET6 || b->sa.sa_family != AF_INET6) {
    return torc_sock_host_eq(a, b);
  }
  return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 8) == 0;
}

bool torc_sock_eq(const torc_sock *a, const torc_sock *b) {
  return torc_sock_host_eq(a, b) && torc_sock_port(a) == torc_sock_port(b);
}

bool torc_sock_is_wildcard(const torc_sock *a) {
  if (a->sa.sa_family == AF_INET6) {
    return IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr) != 0;
  }
  return a->v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

bool torc_sock_is_loopback(const torc_sock *a) {
  if (a->sa.sa_family == AF_INET6) {
    return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr) != 0;
  }
  return ntohl(a->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

void torc_sock_normalise(torc_sock *a) {
  if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
    return;
  }
  torc_sock v4;
  memset(&v4, 0, sizeof v4);
  v4.v4.sin_family = AF_INET;
  v4.v4.sin_port = a->v6.sin6_port;
  memcpy(&v4.v4.sin_addr, a->v6.sin6_addr.s6_addr + 12, 4);
  *a = v4;
}

bool torc_sock_is_usable(const torc_sock *a) {
  torc_sock plain = *a;
  torc_sock_normalise(&plain);
  if (torc_sock_port(&plain) == 0 || torc_sock_is_wildcard(&plain) || is_multicast(&plain)) {
    return false;
  }
  if (plain.sa.sa_family == AF_INET6) {
    return !IN6_IS_ADDR_LINKLOCAL(&plain.v6.sin6_addr);
  }
  uint32_t host = ntohl(plain.v4.sin_addr.s_addr);
  bool is_link_local = host >> 16 == 0xa9fe;
  return host >> 24 != 0 && host != INADDR_BROADCAST && !is_link_local && host >> 28 != 0xf;
}

void torc_sock_wire(const torc_sock *a, uint8_t out[18]) {
  memset(out, 0, 18);
  if (a->sa.sa_family == AF_INET6) {
    memcpy(out, a->v6.sin6_addr.s6_addr, 16);
  } else {
    out[10] = 0xff;
    out[11] = 0xff;
    memcpy(out + 12, &a->v4.sin_addr, 4);
  }
  out[16] = (uint8_t)(torc_sock_port(a) >> 8);
  out[17] = (uint8_t)(torc_sock_port(a) & 0xff);
}

size_t torc_sock_interfaces(int family, uint16_t port, torc_sock *out, size_t max) {
  uv_interface_address_t *list = NULL;
  int count = 0;
  if (uv_interface_addresses(&list, &count) != 0) {
    return 0;
  }
  size_t num = 0;
  for (int pass = 0; pass < 2 && num == 0; pass++) { /* the second one: loopback */
    for (int i = 0; i < count && num < max; i++) {
      torc_sock a;
      memset(&a, 0, sizeof a);
      memcpy(&a, &list[i].address, sizeof list[i].address);
      if (a.sa.sa_family != family || torc_sock_is_loopback(&a) != (pass == 1)) {
        continue;
      }
      torc_sock_set_port(&a, port);
      if (torc_sock_is_usable(&a)) {
        out[num] = a;
        num++;
      }
    }
  }
  uv_free_interface_addresses(list, count);
  return num;
}
