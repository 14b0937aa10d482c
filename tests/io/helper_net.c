/* SPDX-License-Identifier: Apache-2.0 */
#include "io/helper_net.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/slice.h"
#include "io/sigpipe.h"
#include "torc_test.h"
#include "wire/header.h"

#define PATIENCE_NS 10000000000ull

uint64_t hn_hash(uint64_t before, torc_slice bytes) {
  uint64_t h = before ^ 1469598103934665603ull ^ bytes.len;
  for (size_t i = 0; i < bytes.len; i++) {
    h = (h ^ bytes.p[i]) * 1099511628211ull;
  }
  return h;
}

void hn_message(uint8_t *out, size_t len, uint8_t seed) {
  torc_wr wr;
  assert_true(len >= TORC_HEADER_FIXED);
  for (size_t i = 0; i < len; i++) {
    out[i] = (uint8_t)(i * 7 + seed);
  }
  torc_wr_init(&wr, out, len);
  torc_wr_u32(&wr, TORC_RELO_MAGIC);
  torc_wr_u32(&wr, 0x12345678);
  torc_wr_u8(&wr, 100);
  torc_wr_u8(&wr, 1);
  torc_wr_u16(&wr, 0);
  torc_wr_u8(&wr, 1);
  torc_wr_u24(&wr, (uint32_t)len);
  assert_int_equal(wr.err, 0);
  uint32_t length = 0;
  assert_int_equal(torc_frame_peek(torc_slice_of(out, len), &length), 0);
  assert_int_equal(length, len);
}

static void on_up(void *ctx, torc_link_id link, const torc_link_info *info) {
  hn_end *e = ctx;
  assert_true(e->num_ups < HN_LOG_MAX);
  hn_up *u = &e->ups[e->num_ups];
  e->num_ups++;
  u->link = link;
  u->peer = info->peer;
  u->token = info->token;
  memcpy(u->cert_digest, info->cert->digest, sizeof u->cert_digest);
  memcpy(u->local_addr, info->local_addr, sizeof u->local_addr);
  u->kind = info->kind;
  u->mtu = info->mtu;
  torc_cert_free(info->cert);
}

static void on_message(void *ctx, torc_link_id link, torc_slice msg) {
  hn_end *e = ctx;
  e->num_messages++;
  e->run = link == e->last_from ? e->run + 1 : 1;
  e->last_from = link;
  e->longest_run = e->run > e->longest_run ? e->run : e->longest_run;
  e->message_bytes += msg.len;
  e->message_hash = hn_hash(e->message_hash, msg);
  free(e->last_message);
  e->last_message = malloc(msg.len);
  memcpy(e->last_message, msg.p, msg.len);
  e->last_len = msg.len;
  if (e->is_echo) {
    torc_net_send(e->net, link, torc_slice_sub(msg, 0, 20), torc_slice_sub(msg, 20, msg.len - 20));
  }
  for (size_t i = 0; i < e->reply_times; i++) {
    torc_net_send(e->net, link, e->reply, torc_slice_of(NULL, 0));
  }
  if (e->close_on_message) {
    torc_net_close(e->net, link);
  }
}

static void on_down(void *ctx, torc_link_id link, int rc) {
  hn_end *e = ctx;
  assert_true(e->num_downs < HN_LOG_MAX);
  e->downs[e->num_downs] = link;
  e->down_rcs[e->num_downs] = rc;
  e->num_downs++;
}

static void on_open_failed(void *ctx, torc_token token, int rc) {
  hn_end *e = ctx;
  assert_true(e->num_failed < HN_LOG_MAX);
  e->failed[e->num_failed] = token;
  e->failed_rcs[e->num_failed] = rc;
  e->num_failed++;
}

static void on_mtu(void *ctx, torc_link_id link, uint32_t mtu) {
  hn_end *e = ctx;
  (void)link;
  e->last_mtu = mtu;
  e->num_mtus++;
}

static void on_congested(void *ctx, torc_link_id link, bool is_congested) {
  hn_end *e = ctx;
  (void)link;
  if (is_congested) {
    e->num_congested++;
  } else {
    e->num_relieved++;
  }
}

static void on_turn(void *ctx) {
  hn_end *e = ctx;
  if (e->net != NULL) {
    (void)torc_net_flush(e->net);
  }
}

void hn_open(hn_world *w) {
  torc_net_limits defaults = TORC_NET_LIMITS_INIT;
  torc_sigpipe held; /* for good: the links alone leave that to who runs the loop */
  torc_sigpipe_hold(&held);
  memset(w, 0, sizeof *w);
  w->limits = defaults;
  assert_int_equal(uv_loop_init(&w->loop), 0);
  hp_ca_make(&w->ca, "root", true);
}

void hn_close(hn_world *w) {
  for (size_t i = 0; i < w->num; i++) {
    torc_net_shutdown(w->ends[i].net);
  }
  (void)uv_run(&w->loop, UV_RUN_DEFAULT); /* returns: no handle is left */
  for (size_t i = 0; i < w->num; i++) {
    assert_true(torc_net_is_shut(w->ends[i].net));
    torc_net_free(w->ends[i].net);
    torc_pki_free(w->ends[i].pki);
    free(w->ends[i].last_message);
  }
  assert_int_equal(uv_loop_close(&w->loop), 0);
  hp_ca_free(&w->ca);
}

hn_end *hn_add_spec(hn_world *w, const hp_spec *spec, const char *listen) {
  char err[300] = "";
  assert_true(w->num < HN_ENDS_MAX);
  hn_end *e = &w->ends[w->num];
  w->num++;
  e->world = w;
  e->pki = hp_pki_own(&w->ca, HN_OVERLAY, spec);
  torc_net_config cfg = {.loop = &w->loop, .pki = e->pki, .limits = &w->limits, .wall = hp_now()};
  cfg.events = (torc_net_events){.ctx = e,
                                 .up = on_up,
                                 .message = on_message,
                                 .down = on_down,
                                 .open_failed = on_open_failed,
                                 .congested = on_congested,
                                 .mtu = on_mtu,
                                 .turn = on_turn};
  int rc = torc_net_new(&e->net, &cfg, err, sizeof err);
  if (rc == 0 && listen != NULL) {
    rc = torc_net_listen(e->net, listen, err, sizeof err);
  }
  if (rc != 0) {
    fail_msg("%s", err);
  }
  return e;
}

hn_end *hn_add(hn_world *w, uint8_t id, const char *listen) {
  hp_spec spec = {.overlay = HN_OVERLAY, .id = id};
  return hn_add_spec(w, &spec, listen);
}

static void tick(hn_world *w) {
  for (size_t i = 0; i < w->num; i++) {
    (void)torc_net_flush(w->ends[i].net);
  }
  (void)uv_run(&w->loop, UV_RUN_NOWAIT);
}

void hn_wait(hn_world *w, const size_t *what, size_t want) {
  uint64_t end = uv_hrtime() + PATIENCE_NS;
  while (*(const volatile size_t *)what < want) {
    if (uv_hrtime() > end) {
      fail_msg("waited for %zu, have %zu", want, *what);
    }
    tick(w);
  }
}

void hn_wait_counter(hn_world *w, const uint64_t *what, uint64_t want) {
  uint64_t end = uv_hrtime() + PATIENCE_NS;
  while (*(const volatile uint64_t *)what < want) {
    if (uv_hrtime() > end) {
      fail_msg("waited for a counter of %llu, have %llu", (unsigned long long)want,
               (unsigned long long)*what);
    }
    tick(w);
  }
}

void hn_run(hn_world *w, int ms) {
  uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000u;
  while (uv_hrtime() < end) {
    tick(w);
  }
}

torc_endpoint hn_endpoint(const hn_end *end, const char *host) {
  torc_endpoint at;
  memset(&at, 0, sizeof at);
  snprintf(at.host, sizeof at.host, "%s", host);
  at.port = torc_net_port(end->net, 0);
  return at;
}

void hn_link(hn_world *w, hn_end *a, hn_end *b, torc_link_id *a_link, torc_link_id *b_link) {
  size_t a_ups = a->num_ups;
  size_t b_ups = b->num_ups;
  torc_endpoint at = hn_endpoint(b, "127.0.0.1");
  torc_net_open(a->net, 77, &at);
  hn_wait(w, &a->num_ups, a_ups + 1);
  hn_wait(w, &b->num_ups, b_ups + 1);
  *a_link = a->ups[a_ups].link;
  *b_link = b->ups[b_ups].link;
}

/* ---- raw ---- */

int hn_raw_connect(const hn_end *to) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  a.sin_port = htons(torc_net_port(to->net, 0));
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0); /* the backlog takes it */
  assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  return fd;
}

void hn_raw_write(hn_world *w, int fd, const void *bytes, size_t len) {
  const uint8_t *p = bytes;
  uint64_t end = uv_hrtime() + PATIENCE_NS;
  while (len > 0) {
    ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
    if (n > 0) {
      p += n;
      len -= (size_t)n;
    } else if (errno != EAGAIN) {
      return; /* closed: the test looks at that */
    }
    assert_true(uv_hrtime() < end);
    tick(w);
  }
}

void hn_raw_wait_closed(hn_world *w, int fd) {
  uint64_t end = uv_hrtime() + PATIENCE_NS;
  for (;;) {
    uint8_t buf[4096];
    ssize_t n = recv(fd, buf, sizeof buf, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
      return;
    }
    if (uv_hrtime() > end) {
      fail_msg("the other side keeps the connection");
    }
    tick(w);
  }
}

static int accept_any(X509_STORE_CTX *store, void *arg) {
  (void)store;
  (void)arg;
  return 1;
}

static void tls_make(hn_raw_tls *t, const hp_ca *ca, const hp_spec *spec) {
  t->ctx = SSL_CTX_new(TLS_method());
  assert_non_null(t->ctx);
  SSL_CTX_set_cert_verify_callback(t->ctx, accept_any, NULL);
  SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_security_level(t->ctx, 0); /* whatever the other side refuses, we would do */
  SSL_CTX_set_options(t->ctx, SSL_OP_LEGACY_SERVER_CONNECT);
  if (spec != NULL) {
    t->key = hp_key(spec->kind);
    t->x = hp_issue(ca, spec, t->key);
    assert_int_equal(SSL_CTX_use_certificate(t->ctx, t->x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(t->ctx, t->key), 1);
  }
  t->ssl = SSL_new(t->ctx);
  assert_non_null(t->ssl);
  assert_int_equal(SSL_set_fd(t->ssl, t->fd), 1);
}

void hn_tls_open(hn_raw_tls *t, const hn_end *to, const hp_ca *ca, const hp_spec *spec) {
  memset(t, 0, sizeof *t);
  t->fd = hn_raw_connect(to);
  tls_make(t, ca, spec);
  SSL_set_connect_state(t->ssl);
}

void hn_tls_accept(hn_raw_tls *t, int listener, const hp_ca *ca, const hp_spec *spec) {
  memset(t, 0, sizeof *t);
  t->fd = accept(listener, NULL, NULL);
  assert_true(t->fd >= 0);
  assert_int_equal(fcntl(t->fd, F_SETFL, O_NONBLOCK), 0);
  tls_make(t, ca, spec);
  SSL_set_accept_state(t->ssl);
}

int hn_tls_handshake(hn_world *w, hn_raw_tls *t) {
  uint64_t end = uv_hrtime() + PATIENCE_NS;
  for (;;) {
    ERR_clear_error();
    int n = SSL_do_handshake(t->ssl);
    int e = SSL_get_error(t->ssl, n);
    if (n == 1) {
      return 1;
    }
    if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
      return e == 1 ? SSL_ERROR_SSL + 100 : e;
    }
    assert_true(uv_hrtime() < end);
    tick(w);
  }
}

void hn_tls_write(hn_world *w, hn_raw_tls *t, const void *bytes, size_t len) {
  uint64_t end = uv_hrtime() + PATIENCE_NS;
  const uint8_t *p = bytes;
  while (len > 0) {
    int chunk = len > 16384 ? 16384 : (int)len;
    ERR_clear_error();
    int n = SSL_write(t->ssl, p, chunk);
    if (n > 0) {
      p += n;
      len -= (size_t)n;
    } else if (SSL_get_error(t->ssl, n) != SSL_ERROR_WANT_WRITE) {
      return;
    }
    assert_true(uv_hrtime() < end);
    tick(w);
  }
}

int hn_tls_read(hn_world *w, hn_raw_tls *t, void *out, int cap) {
  uint64_t end = uv_hrtime() + PATIENCE_NS;
  for (;;) {
    ERR_clear_error();
    int n = SSL_read(t->ssl, out, cap);
    if (n > 0 || SSL_get_error(t->ssl, n) != SSL_ERROR_WANT_READ) {
      return n;
    }
    if (uv_hrtime() > end) {
      fail_msg("nothing to read");
    }
    tick(w);
  }
}

void hn_tls_close(hn_raw_tls *t) {
  SSL_free(t->ssl);
  SSL_CTX_free(t->ctx);
  X509_free(t->x);
  EVP_PKEY_free(t->key);
  close(t->fd);
  ERR_clear_error();
}
