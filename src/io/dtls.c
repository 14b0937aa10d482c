/* One connection of DTLS 1.2 [TLS-02]. OpenSSL sees datagrams through a BIO of ours; its timers of
 * retransmission run by its own clock, and are looked at when they are due by ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/dtls.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "base/timer.h"
#include "io/dtls_impl.h"
#include "io/tls_impl.h"

#define OVERHEAD \
  64u /* of a message, with IP, UDP and the record: what the bucket counts beside it */
#define MICRO 1000000u

/* ---- the BIO between OpenSSL and a torc_dtls ---- */

static int bio_read(BIO *bio, char *buf, size_t cap, size_t *num) {
  torc_dtls *d = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (d->in.len == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  *num = cap < d->in.len ? cap : d->in.len; /* a whole datagram or its beginning */
  memcpy(buf, d->in.p, *num);
  d->in = torc_slice_of(NULL, 0);
  return 1;
}

/* What cannot be sent is lost, as any datagram may be. */
static int bio_write(BIO *bio, const char *buf, size_t len, size_t *num) {
  torc_dtls *d = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  *num = len;
  if (d->is_muted) {
    return 1;
  }
  int rc = d->cfg.events.datagram(d->cfg.events.ctx, torc_slice_of(buf, len));
  d->gate->stats.datagrams_out++;
  d->gate->stats.send_failures += rc != 0 ? 1 : 0;
  d->is_narrow = d->is_narrow || rc == TORC_ERR_SPACE;
  return 1;
}

static long bio_ctrl(BIO *bio, int cmd, long larg, void *parg) {
  const torc_dtls *d = BIO_get_data(bio);
  (void)larg;
  (void)parg;
  switch (cmd) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
      return (long)d->path;
    default:
      return 0;
  }
}

BIO_METHOD *torc_dtls_method(void) {
  BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "torc datagrams");
  if (m == NULL || BIO_meth_set_read_ex(m, bio_read) != 1 ||
      BIO_meth_set_write_ex(m, bio_write) != 1 || BIO_meth_set_ctrl(m, bio_ctrl) != 1) {
    BIO_meth_free(m);
    return NULL;
  }
  return m;
}

/* ---- what OpenSSL calls ---- */

static torc_dtls *of_ssl(const SSL *ssl) {
  torc_tls *t = SSL_get_app_data(ssl);
  return TORC_CONTAINER_OF(t, torc_dtls, tls);
}

static void on_info(const SSL *ssl, int where, int what) {
  torc_dtls_stats *stats = &of_ssl(ssl)->gate->stats;
  if ((where & SSL_CB_ALERT) == 0 || (what & 0xff) == SSL_AD_CLOSE_NOTIFY) {
    return;
  }
  if ((where & SSL_CB_READ) != 0) {
    stats->alerts_in++;
  } else {
    stats->alerts_out++;
  }
}

/* The gate has checked the cookie; OpenSSL makes one that nobody sees. */
static int any_cookie(SSL *ssl, unsigned char *cookie, unsigned *len) {
  (void)ssl;
  cookie[0] = 0;
  *len = 1;
  return 1;
}

static int accept_cookie(SSL *ssl, const unsigned char *cookie, unsigned len) {
  (void)ssl;
  (void)cookie;
  (void)len;
  return 1;
}

static unsigned next_rto(SSL *ssl, unsigned last_us) {
  const torc_dtls *d = of_ssl(ssl);
  torc_time next = last_us == 0 ? d->cfg.rto : (torc_time)last_us * 2;
  return (unsigned)(next < TORC_DTLS_RTO_MAX ? next : TORC_DTLS_RTO_MAX);
}

int torc_dtls_set_up(SSL_CTX *s) {
  SSL_CTX_set_options(s, SSL_OP_NO_QUERY_MTU);
  SSL_CTX_set_info_callback(s, on_info);
  SSL_CTX_set_cookie_generate_cb(s, any_cookie);
  SSL_CTX_set_cookie_verify_cb(s, accept_cookie);
  return 0;
}

/* ---- ends ---- */

static void forget_waiting(torc_dtls *d) {
  torc_list *i = NULL;
  while ((i = torc_list_pop_front(&d->waiting)) != NULL) {
    free(TORC_CONTAINER_OF(i, torc_dtls_waiting, node));
  }
  d->gate->queued -= d->queued;
  d->queued = 0;
}

void torc_dtls_end(torc_dtls *d, int rc, const char *why) {
  bool was_accepting = d->is_half_open;
  if (d->state == TORC_DTLS_ENDED) {
    return;
  }
  d->gate->stats.handshakes_failed += d->state == TORC_DTLS_HANDSHAKE ? 1 : 0;
  d->state = TORC_DTLS_ENDED;
  d->rc = rc;
  d->mtu = 0;
  if (d->tls.why[0] == '\0') {
    (void)snprintf(d->tls.why, sizeof d->tls.why, "%s", why);
  }
  forget_waiting(d);
  torc_dtls_gate_leave(d->gate, d);
  if (was_accepting && rc == TORC_ERR_LIMIT && d->cfg.events.evicted != NULL) {
    d->cfg.events.evicted(d->cfg.events.ctx);
  }
}

/* ---- the path ---- */

static void set_path(torc_dtls *d, uint32_t path) {
  uint32_t before = d->mtu;
  d->path = path;
  (void)SSL_set_mtu(d->tls.ssl, path);
  if (d->state != TORC_DTLS_UP) {
    return;
  }
  d->mtu = (uint32_t)DTLS_get_data_mtu(d->tls.ssl);
  if (d->mtu != before && d->cfg.events.mtu != NULL) {
    d->cfg.events.mtu(d->cfg.events.ctx, d->mtu);
  }
}

/* Few and wide: in a handshake each step costs a repetition. */
static uint32_t step_down(uint32_t path) {
  static const uint32_t steps[] = {1024, 768};
  for (size_t i = 0; i < TORC_ARRAY_LEN(steps); i++) {
    if (steps[i] < path) {
      return steps[i];
    }
  }
  return TORC_DTLS_PATH_MIN;
}

void torc_dtls_path(torc_dtls *d, uint32_t path, torc_time now) {
  path = path == 0 ? step_down(d->path) : path;
  path = path < TORC_DTLS_PATH_MIN ? TORC_DTLS_PATH_MIN : path;
  if (d->state == TORC_DTLS_ENDED || path >= d->path) {
    return;
  }
  d->gate->stats.paths_lowered++;
  d->path_until = torc_time_add(now, TORC_DTLS_PATH_AGE);
  set_path(d, path);
}

/* After a call of OpenSSL: what came of what it sent, and when it wants to repeat it. */
static void settle(torc_dtls *d) {
  struct timeval left;
  if (d->is_narrow) {
    d->is_narrow = false;
    torc_dtls_path(d, 0, d->now);
  }
  d->rto_at = TORC_NEVER;
  if (d->state != TORC_DTLS_ENDED && DTLSv1_get_timeout(d->tls.ssl, &left) == 1) {
    d->rto_at = torc_time_add(d->now, (torc_time)left.tv_sec * MICRO + (torc_time)left.tv_usec);
  }
}

/* ---- handshake ---- */

/* [TLS-08] [CON-08] Whom the certificate is for. */
static bool is_wanted(torc_dtls *d) {
  const torc_cert *cert = d->tls.cert;
  bool is_peer = torc_id_eq(&d->cfg.expected, &torc_id_zero);
  for (uint32_t i = 0; i < cert->num_peers && !is_peer; i++) {
    is_peer = torc_id_eq(&cert->peers[i], &d->cfg.expected);
  }
  if (!is_peer) {
    d->gate->stats.wrong_peer++;
    (void)snprintf(d->tls.why, sizeof d->tls.why, "another peer than expected");
    return false;
  }
  if (d->cfg.events.admits != NULL && !d->cfg.events.admits(d->cfg.events.ctx, cert)) {
    d->gate->stats.not_admitted++;
    (void)snprintf(d->tls.why, sizeof d->tls.why, "not the certificate of the CONNECT");
    return false;
  }
  return true;
}

static void shake(torc_dtls *d) {
  int rc = torc_tls_handshake(&d->tls);
  if (rc == TORC_ERR_SHORT) {
    return;
  }
  if (rc != 0) {
    torc_dtls_end(d, rc, "handshake failed");
    return;
  }
  if (!is_wanted(d)) {
    torc_tls_shutdown(&d->tls);
    torc_dtls_end(d, TORC_ERR_DENIED, "");
    return;
  }
  d->gate->stats.handshakes_done++;
  torc_dtls_gate_leave(d->gate, d);
  d->state = TORC_DTLS_UP;
  d->limit = TORC_NEVER;
  set_path(d, d->path);
}

/* OpenSSL has to have seen a ClientHello without cookie and to have asked for one itself. */
static void say_first_hello(torc_dtls *d) {
  uint8_t hello[TORC_DTLS_FIRST_HELLO];
  (void)SSL_set_options(d->tls.ssl, SSL_OP_COOKIE_EXCHANGE);
  d->in = torc_slice_of(hello, torc_dtls_first_hello(hello));
  d->is_muted = true;
  shake(d);
  d->is_muted = false;
  d->in = torc_slice_of(NULL, 0);
}

static int begin(torc_dtls *d, const torc_dtls_config *cfg) {
  BIO *bio = BIO_new(d->gate->tls->method);
  d->tls.ctx = d->gate->tls;
  d->tls.expected = cfg->expected;
  torc_buf_init(&d->tls.out, torc_mem_libc(), 0);
  if (bio != NULL) {
    BIO_set_data(bio, d);
  }
  int rc = torc_tls_attach(&d->tls, bio, cfg->is_client);
  if (rc == 0) {
    DTLS_set_timer_cb(d->tls.ssl, next_rto);
    /* No record is longer than a datagram: a smaller buffer will do. */
    (void)SSL_set_max_send_fragment(d->tls.ssl, (long)d->path_max);
    set_path(d, d->path_max);
  }
  return rc;
}

int torc_dtls_new(torc_dtls **out, torc_dtls_gate *g, const torc_dtls_config *cfg, torc_time now) {
  torc_dtls *d = calloc(1, sizeof *d);
  if (d == NULL) {
    return TORC_ERR_NOMEM;
  }
  d->gate = g;
  d->cfg = *cfg;
  d->cfg.rto = cfg->rto == 0 ? TORC_DTLS_RTO : cfg->rto;
  d->cfg.burst = cfg->burst == 0 ? TORC_DTLS_BURST : cfg->burst;
  d->cfg.rate = cfg->rate == 0 ? TORC_DTLS_RATE : cfg->rate;
  d->path_max = cfg->path_max == 0                   ? TORC_DTLS_PATH_MAX
                : cfg->path_max < TORC_DTLS_PATH_MIN ? TORC_DTLS_PATH_MIN
                                                     : cfg->path_max;
  d->now = now;
  d->limit = torc_time_add(now, TORC_DTLS_LIMIT);
  d->rto_at = d->path_until = TORC_NEVER;
  d->tokens = (uint64_t)d->cfg.burst * MICRO;
  d->tokens_at = now;
  torc_list_init(&d->half_open);
  torc_list_init(&d->waiting);
  int rc = begin(d, cfg);
  if (rc != 0) {
    torc_tls_clear(&d->tls);
    free(d);
    return rc;
  }
  g->stats.handshakes_begun++;
  if (cfg->is_client) {
    shake(d);
  } else {
    torc_dtls_gate_enter(g, d);
    if (cfg->has_cookie) {
      say_first_hello(d);
    }
  }
  settle(d);
  *out = d;
  return 0;
}

void torc_dtls_free(torc_dtls *d) {
  if (d != NULL) {
    forget_waiting(d);
    torc_dtls_gate_leave(d->gate, d);
    torc_tls_clear(&d->tls);
    free(d);
  }
}

/* ---- in ---- */

/* is_fresh: what came before the end of the handshake may lie there, too. */
static void read_records(torc_dtls *d, bool is_fresh) {
  torc_dtls_gate *g = d->gate;
  while (d->state == TORC_DTLS_UP && (is_fresh || d->in.len > 0 || torc_tls_has_part(&d->tls))) {
    size_t len = 0;
    int rc = torc_tls_read(&d->tls, g->plain, sizeof g->plain, &len);
    if (rc != 0) {
      torc_dtls_end(d, rc, rc == TORC_ERR_CLOSED ? "closed by the other side" : "broken");
      return;
    }
    if (len == 0) {
      return;
    }
    g->stats.messages_in++;
    g->stats.bytes_in += len;
    d->cfg.events.message(d->cfg.events.ctx, torc_slice_of(g->plain, len));
  }
}

void torc_dtls_input(torc_dtls *d, torc_slice datagram, torc_time now) {
  d->now = now;
  if (d->state == TORC_DTLS_ENDED) {
    return;
  }
  d->gate->stats.datagrams_in++;
  d->in = datagram;
  bool is_fresh = d->state == TORC_DTLS_HANDSHAKE;
  if (is_fresh) {
    shake(d);
  }
  read_records(d, is_fresh);
  d->in = torc_slice_of(NULL, 0);
  settle(d);
}

/* ---- out [GAP-47] ---- */

static void refill(torc_dtls *d) {
  uint64_t full = (uint64_t)d->cfg.burst * MICRO;
  torc_time since = d->now - d->tokens_at;
  d->tokens_at = d->now;
  d->tokens = since > full / d->cfg.rate || d->tokens + since * d->cfg.rate > full
                  ? full
                  : d->tokens + since * d->cfg.rate;
}

static uint64_t price(const torc_dtls *d, size_t len) {
  uint64_t full = (uint64_t)d->cfg.burst * MICRO;
  uint64_t cost = ((uint64_t)len + OVERHEAD) * MICRO;
  return cost < full ? cost : full;
}

static int write_record(torc_dtls *d, torc_slice message) {
  torc_dtls_stats *stats = &d->gate->stats;
  if (message.len > d->mtu) { /* the path has become narrower meanwhile */
    stats->too_long++;
    return TORC_ERR_SPACE;
  }
  d->tokens -= price(d, message.len);
  int rc = torc_tls_write(&d->tls, message);
  if (rc != 0) {
    torc_dtls_end(d, TORC_ERR_CRYPTO, "broken");
    return TORC_ERR_CRYPTO;
  }
  stats->messages_out++;
  stats->bytes_out += message.len;
  return 0;
}

static int keep_waiting(torc_dtls *d, torc_slice head, torc_slice body) {
  torc_dtls_stats *stats = &d->gate->stats;
  size_t len = head.len + body.len;
  if (d->queued + len > TORC_DTLS_QUEUE || d->gate->queued + len > TORC_DTLS_QUEUE_ALL) {
    stats->queue_dropped++;
    return TORC_ERR_LIMIT;
  }
  torc_dtls_waiting *w = malloc(sizeof *w + len);
  if (w == NULL) {
    stats->queue_dropped++;
    return TORC_ERR_NOMEM;
  }
  w->len = len;
  memcpy(w->bytes, head.p, head.len);
  if (body.len > 0) {
    memcpy(w->bytes + head.len, body.p, body.len);
  }
  torc_list_push_back(&d->waiting, &w->node);
  d->queued += len;
  d->gate->queued += len;
  stats->delayed++;
  return 0;
}

int torc_dtls_send(torc_dtls *d, torc_slice head, torc_slice body, torc_time now) {
  torc_dtls_gate *g = d->gate;
  size_t len = head.len + body.len;
  d->now = now;
  if (d->state != TORC_DTLS_UP) {
    return TORC_ERR_STATE;
  }
  if (len == 0 || len > d->mtu) {
    g->stats.too_long++;
    return TORC_ERR_SPACE;
  }
  refill(d);
  if (d->queued > 0 || d->tokens < price(d, len)) {
    return keep_waiting(d, head, body);
  }
  if (head.len > 0) {
    memcpy(g->leaving, head.p, head.len);
  }
  if (body.len > 0) {
    memcpy(g->leaving + head.len, body.p, body.len);
  }
  int rc = write_record(d, torc_slice_of(g->leaving, len));
  if (d->is_narrow) {
    settle(d);
  }
  return rc;
}

static void release(torc_dtls *d) {
  torc_list *i = NULL;
  refill(d);
  while ((i = torc_list_pop_front(&d->waiting)) != NULL) {
    torc_dtls_waiting *w = TORC_CONTAINER_OF(i, torc_dtls_waiting, node);
    if (d->tokens < price(d, w->len)) {
      torc_list_push_front(&d->waiting, i);
      return;
    }
    d->queued -= w->len;
    d->gate->queued -= w->len;
    (void)write_record(d, torc_slice_of(w->bytes, w->len));
    free(w);
  }
}

/* ---- time ---- */

static torc_time release_at(const torc_dtls *d) {
  if (torc_list_empty(&d->waiting)) {
    return TORC_NEVER;
  }
  const torc_dtls_waiting *w = TORC_CONTAINER_OF(d->waiting.next, torc_dtls_waiting, node);
  uint64_t need = price(d, w->len);
  uint64_t lacks = need > d->tokens ? need - d->tokens : 0;
  return torc_time_add(d->tokens_at, (lacks + d->cfg.rate - 1) / d->cfg.rate);
}

torc_time torc_dtls_deadline(const torc_dtls *d) {
  torc_time at = d->limit;
  if (d->state == TORC_DTLS_ENDED) {
    return TORC_NEVER;
  }
  at = d->rto_at < at ? d->rto_at : at;
  at = d->path_until < at ? d->path_until : at;
  torc_time next = release_at(d);
  return next < at ? next : at;
}

void torc_dtls_tick(torc_dtls *d, torc_time now) {
  d->now = now;
  if (d->state == TORC_DTLS_ENDED) {
    return;
  }
  if (now >= d->limit) {
    d->gate->stats.handshake_timeouts++;
    torc_dtls_end(d, TORC_ERR_TIMEOUT, "handshake takes too long");
    return;
  }
  if (now >= d->rto_at) {
    ERR_clear_error();
    long n = DTLSv1_handle_timeout(d->tls.ssl);
    d->gate->stats.retransmissions += n > 0 ? 1 : 0;
    if (n < 0) {
      torc_dtls_end(d, torc_tls_fault(&d->tls), "no answer");
    }
  }
  if (now >= d->path_until && d->state != TORC_DTLS_ENDED) {
    d->path_until = TORC_NEVER;
    set_path(d, d->path_max);
  }
  release(d);
  settle(d);
}

/* What waited is sent before it, as far as a full bucket goes. */
void torc_dtls_close(torc_dtls *d) {
  if (d->state != TORC_DTLS_ENDED) {
    d->tokens = (uint64_t)d->cfg.burst * MICRO;
    d->tokens_at = d->now;
    release(d);
    torc_tls_shutdown(&d->tls);
    torc_dtls_end(d, 0, "");
  }
}

/* ---- what it is ---- */

torc_dtls_state torc_dtls_get_state(const torc_dtls *d) {
  return d->state;
}

int torc_dtls_rc(const torc_dtls *d) {
  return d->rc;
}

const char *torc_dtls_why(const torc_dtls *d) {
  return d->tls.why;
}

torc_cert *torc_dtls_cert(const torc_dtls *d) {
  return d->state == TORC_DTLS_UP ? d->tls.cert : NULL;
}

uint32_t torc_dtls_mtu(const torc_dtls *d) {
  return d->mtu;
}

size_t torc_dtls_queued(const torc_dtls *d) {
  return d->queued;
}
