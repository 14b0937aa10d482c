/* What the ends of STUN and TURN on real sockets share: time, addresses, JSON lines.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_INTEROP_END_H
#define TORC_INTEROP_END_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"
#include "io/addr.h"
#include "wire/pdu.h"

static inline torc_time end_now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return TORC_SEC(t.tv_sec) + (torc_time)t.tv_nsec / 1000;
}

static inline void end_print_hex(const char *what, torc_slice bytes) {
  printf("{\"%s\": \"", what);
  for (size_t i = 0; i < bytes.len; i++) {
    printf("%02x", bytes.p[i]);
  }
  printf("\"}\n");
  (void)fflush(stdout);
}

static inline void end_fail(const char *what) {
  (void)fprintf(stderr, "%s\n", what);
  exit(1);
}

static inline torc_sock end_address(const char *host, const char *port) {
  torc_sock a;
  if (torc_sock_literal(host, (uint16_t)strtoul(port, NULL, 10), &a) != 0) {
    end_fail("no address");
  }
  return a;
}

static inline socklen_t end_size_of(const torc_sock *a) {
  return a->sa.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6;
}

static inline torc_addr end_addr_of(const torc_sock *a) {
  torc_addr out = {.family = a->sa.sa_family == AF_INET ? 1 : 2, .port = torc_sock_port(a)};
  if (out.family == 1) {
    memcpy(out.addr, &a->v4.sin_addr, 4);
  } else {
    memcpy(out.addr, &a->v6.sin6_addr, 16);
  }
  return out;
}

#endif
