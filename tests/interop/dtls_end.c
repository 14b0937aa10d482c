/* One end of DTLS on a real socket, for tests/interop/test_dtls.py and test with OpenSSL's own
 * programs. What it is sent it sends back; what happens goes to standard output, a JSON object per
 * line. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "io/dtls_impl.h"
#include "io/tls_impl.h"
#include "io/wall.h"

#define DATAGRAM_MAX 65536u
#define FILE_MAX 65536u

static const char usage[] =
    "usage: dtls_end accept|dial ADDRESS PORT OVERLAY ROOT CERT KEY [keylog FILE]\n"
    "       accept: on a free port, printed, if PORT is 0; dial: what standard input holds, a line "
    "a "
    "message\n";

typedef struct side {
  int fd;
  torc_sock remote;
  bool is_client, has_cookie;
  torc_tls_ctx *tls;
  torc_dtls_gate *gate;
  torc_dtls *d;
  bool is_up, is_over;
} side;

static FILE *keylog;

static torc_time now(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return TORC_SEC(t.tv_sec) + (torc_time)t.tv_nsec / 1000;
}

static void fail(const char *what) {
  (void)fprintf(stderr, "dtls_end: %s\n", what);
  exit(1);
}

static socklen_t size_of(const torc_sock *a) {
  return a->sa.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6;
}

static void on_keylog(const SSL *ssl, const char *line) {
  (void)ssl;
  (void)fprintf(keylog, "%s\n", line);
  (void)fflush(keylog);
}

/* ---- what the connection does ---- */

static int on_datagram(void *ctx, torc_slice bytes) {
  side *s = ctx;
  ssize_t n = sendto(s->fd, bytes.p, bytes.len, 0, &s->remote.sa, size_of(&s->remote));
  return n == (ssize_t)bytes.len ? 0 : TORC_ERR_IO;
}

static void on_message(void *ctx, torc_slice bytes) {
  side *s = ctx;
  printf("{\"message\": \"");
  for (size_t i = 0; i < bytes.len; i++) {
    printf("%02x", bytes.p[i]);
  }
  printf("\"}\n");
  (void)fflush(stdout);
  if (!s->is_client && torc_dtls_send(s->d, torc_slice_of(NULL, 0), bytes, now()) != 0) {
    fail("cannot send back");
  }
}

static void tell(side *s) {
  if (!s->is_up && torc_dtls_get_state(s->d) == TORC_DTLS_UP) {
    s->is_up = true;
    const SSL *ssl = s->d->tls.ssl;
    printf("{\"up\": true, \"version\": \"%s\", \"cipher\": \"%s\", \"mtu\": %u, \"peer\": \"",
           SSL_get_version(ssl), SSL_get_cipher_name(ssl), (unsigned)torc_dtls_mtu(s->d));
    for (size_t i = 0; i < TORC_ID_LEN; i++) {
      printf("%02x", torc_dtls_cert(s->d)->peers[0].b[i]);
    }
    printf("\"}\n");
  }
  if (torc_dtls_get_state(s->d) == TORC_DTLS_ENDED && !s->is_over) {
    const torc_dtls_stats *st = torc_dtls_gate_stats(s->gate);
    s->is_over = true;
    printf("{\"ended\": %d, \"why\": \"%s\", \"cookies\": %llu, \"alerts_in\": %llu}\n",
           torc_dtls_rc(s->d), torc_dtls_why(s->d), (unsigned long long)st->cookies_sent,
           (unsigned long long)st->alerts_in);
  }
  (void)fflush(stdout);
}

static void begin(side *s) {
  torc_dtls_config cfg = {.is_client = s->is_client,
                          .has_cookie = !s->is_client,
                          .remote = s->remote,
                          .events = {.ctx = s, .datagram = on_datagram, .message = on_message}};
  if (torc_dtls_new(&s->d, s->gate, &cfg, now()) != 0) {
    fail("no connection");
  }
}

static void arrive(side *s, torc_slice bytes, const torc_sock *from) {
  uint8_t reply[TORC_DTLS_REPLY_MAX];
  size_t len = 0;
  if (s->d == NULL) {
    s->remote = *from;
    switch (torc_dtls_gate_judge(s->gate, from, false, bytes, now(), reply, &len)) {
      case TORC_DTLS_ANSWER:
        (void)on_datagram(s, torc_slice_of(reply, len));
        return;
      case TORC_DTLS_DROP:
        return;
      case TORC_DTLS_ACCEPT:
        begin(s);
        break;
    }
  }
  torc_dtls_input(s->d, bytes, now());
}

static bool read_line(side *s) {
  char line[4096];
  if (fgets(line, sizeof line, stdin) == NULL) {
    return false;
  }
  size_t len = strcspn(line, "\n");
  if (torc_dtls_send(s->d, torc_slice_of(line, len), torc_slice_of(NULL, 0), now()) != 0) {
    fail("cannot send");
  }
  return true;
}

static void run(side *s) {
  static uint8_t room[DATAGRAM_MAX];
  bool has_input = true;
  while (!s->is_over) {
    struct pollfd fds[2] = {{.fd = s->fd, .events = POLLIN},
                            {.fd = s->is_up && has_input ? 0 : -1, .events = POLLIN}};
    torc_time at = s->d == NULL ? TORC_NEVER : torc_dtls_deadline(s->d);
    torc_time wait = at == TORC_NEVER ? TORC_SEC(1) : at > now() ? at - now() : 0;
    if (poll(fds, 2, (int)(wait / 1000 + 1)) < 0) {
      fail("poll");
    }
    if ((fds[0].revents & POLLIN) != 0) {
      torc_sock from;
      socklen_t from_len = sizeof from;
      ssize_t n = recvfrom(s->fd, room, sizeof room, 0, &from.sa, &from_len);
      if (n > 0) {
        arrive(s, torc_slice_of(room, (size_t)n), &from);
      }
    }
    if (s->d == NULL) {
      continue;
    }
    torc_dtls_tick(s->d, now());
    if ((fds[1].revents & (POLLIN | POLLHUP)) != 0 && !read_line(s)) {
      has_input = false;
      torc_dtls_close(s->d);
    }
    tell(s);
  }
}

/* ---- setting up ---- */

static torc_slice read_der(const char *path) {
  static uint8_t der[FILE_MAX];
  FILE *f = fopen(path, "rb");
  X509 *x = f == NULL ? NULL : PEM_read_X509(f, NULL, NULL, NULL);
  uint8_t *at = der;
  if (x == NULL) {
    fail("no root certificate");
  }
  int len = i2d_X509(x, &at);
  X509_free(x);
  (void)fclose(f);
  return torc_slice_of(der, (size_t)len);
}

int main(int argc, char **argv) {
  side s = {.fd = -1};
  torc_pki *pki = NULL;
  torc_sock here;
  char err[256] = "";
  if (argc < 8) {
    (void)fputs(usage, stderr);
    return 2;
  }
  s.is_client = strcmp(argv[1], "dial") == 0;
  torc_slice root = read_der(argv[5]);
  if (torc_pki_new(&pki, argv[4], &root, 1, err, sizeof err) != 0 ||
      torc_pki_load_own(pki, argv[6], argv[7], torc_wall_now(), err, sizeof err) != 0 ||
      torc_tls_ctx_new_dtls(&s.tls, pki, err, sizeof err) != 0 ||
      torc_dtls_gate_new(&s.gate, s.tls, now()) != 0 ||
      torc_sock_literal(argv[2], (uint16_t)strtoul(argv[3], NULL, 10), &s.remote) != 0) {
    fail(err);
  }
  torc_tls_ctx_set_wall(s.tls, torc_wall_now());
  if (argc == 10) {
    keylog = fopen(argv[9], "w");
    SSL_CTX_set_keylog_callback(s.tls->ssl_ctx, on_keylog);
  }
  s.fd = socket(s.remote.sa.sa_family, SOCK_DGRAM, 0);
  here = s.remote;
  torc_sock_set_port(&here, s.is_client ? 0 : torc_sock_port(&s.remote));
  socklen_t here_len = size_of(&here);
  if (s.fd < 0 || bind(s.fd, &here.sa, here_len) != 0 ||
      getsockname(s.fd, &here.sa, &here_len) != 0) {
    fail("no socket");
  }
  printf("{\"port\": %u}\n", (unsigned)torc_sock_port(&here));
  (void)fflush(stdout);
  if (s.is_client) {
    begin(&s);
  }
  run(&s);
  torc_dtls_free(s.d);
  torc_dtls_gate_free(s.gate);
  torc_tls_ctx_free(s.tls);
  torc_pki_free(pki);
  (void)close(s.fd);
  if (keylog != NULL) {
    (void)fclose(keylog);
  }
  return 0;
}
