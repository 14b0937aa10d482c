/* The gate of DTLS [TLS-02]: a ClientHello of an unknown address is answered with a cookie that is
 * worked out and not kept (RFC 6347, 4.2.1), so that a flood from made-up addresses costs no
 * memory. OpenSSL's own DTLSv1_listen cannot do it: it wants a ClientHello in one datagram, and
 * those with post-quantum keys come in two. SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/slice.h"
#include "base/timer.h"
#include "io/dtls_impl.h"

#define HANDSHAKE_RECORD 22u
#define CLIENT_HELLO 1u
#define VERIFY_REQUEST 3u
#define VERSION_10 0xfeffu /* on records of an unfinished handshake */
#define VERSION_12 0xfefdu
#define HELLO_MAX 16384u
#define RANDOM_LEN 32u
#define COOKIE_LEN 16u

int torc_dtls_gate_new(torc_dtls_gate **out, torc_tls_ctx *tls, torc_time now) {
  torc_dtls_gate *g = calloc(1, sizeof *g);
  if (g == NULL) {
    return TORC_ERR_NOMEM;
  }
  g->tls = tls;
  g->secret_until = torc_time_add(now, TORC_DTLS_COOKIE_AGE);
  torc_list_init(&g->half_open);
  if (RAND_bytes(g->secrets[0], (int)sizeof g->secrets) != 1) {
    free(g);
    return TORC_ERR_CRYPTO;
  }
  *out = g;
  return 0;
}

void torc_dtls_gate_free(torc_dtls_gate *g) {
  if (g != NULL) {
    OPENSSL_cleanse(g->secrets, sizeof g->secrets);
    free(g);
  }
}

const torc_dtls_stats *torc_dtls_gate_stats(const torc_dtls_gate *g) {
  return &g->stats;
}

size_t torc_dtls_gate_half_open(const torc_dtls_gate *g) {
  return g->num_half_open;
}

/* ---- handshakes under way ---- */

static torc_dtls *oldest(const torc_dtls_gate *g, const torc_sock *site) {
  for (torc_list *i = g->half_open.next; i != &g->half_open; i = i->next) {
    torc_dtls *d = TORC_CONTAINER_OF(i, torc_dtls, half_open);
    if (site == NULL || torc_sock_site_eq(&d->cfg.remote, site)) {
      return d;
    }
  }
  return NULL;
}

static size_t num_of(const torc_dtls_gate *g, const torc_sock *site) {
  size_t num = 0;
  for (const torc_list *i = g->half_open.next; i != &g->half_open; i = i->next) {
    const torc_dtls *d = TORC_CONTAINER_OF(i, torc_dtls, half_open);
    num += torc_sock_site_eq(&d->cfg.remote, site) ? 1 : 0;
  }
  return num;
}

void torc_dtls_gate_enter(torc_dtls_gate *g, torc_dtls *d) {
  if (num_of(g, &d->cfg.remote) >= TORC_DTLS_HALF_OPEN_SITE) {
    g->stats.half_open_ip_evicted++;
    torc_dtls_end(oldest(g, &d->cfg.remote), TORC_ERR_LIMIT, "too many handshakes of one address");
  } else if (g->num_half_open >= TORC_DTLS_HALF_OPEN) {
    g->stats.half_open_evicted++;
    torc_dtls_end(oldest(g, NULL), TORC_ERR_LIMIT, "too many handshakes");
  }
  torc_list_push_back(&g->half_open, &d->half_open);
  g->num_half_open++;
  d->is_half_open = true;
}

void torc_dtls_gate_leave(torc_dtls_gate *g, torc_dtls *d) {
  if (d->is_half_open) {
    d->is_half_open = false;
    g->num_half_open--;
    torc_list_remove(&d->half_open);
    torc_list_init(&d->half_open);
  }
}

/* ---- cookies ---- */

typedef struct hello {
  torc_slice sequence; /* of its record */
  torc_slice random, session, cookie;
} hello;

/* The beginning of a ClientHello: the cookie lies near it, wherever the first datagram ends. */
static int read_hello(torc_slice datagram, hello *h) {
  torc_rd rd;
  torc_rd body;
  torc_rd_init(&rd, datagram);
  uint8_t type = torc_rd_u8(&rd);
  uint16_t version = torc_rd_u16(&rd);
  uint16_t epoch = torc_rd_u16(&rd);
  h->sequence = torc_rd_slice(&rd, 6);
  torc_slice record = torc_rd_vec16(&rd);
  torc_rd_init(&body, record);
  uint8_t message = torc_rd_u8(&body);
  uint32_t len = torc_rd_u24(&body);
  uint16_t number = torc_rd_u16(&body);
  uint32_t offset = torc_rd_u24(&body);
  uint32_t fragment = torc_rd_u24(&body);
  torc_rd_skip(&body, 2); /* the version it offers is OpenSSL's to judge */
  h->random = torc_rd_slice(&body, RANDOM_LEN);
  h->session = torc_rd_slice(&body, torc_rd_u8(&body));
  h->cookie = torc_rd_slice(&body, torc_rd_u8(&body));
  if (rd.err != 0 || body.err != 0 || type != HANDSHAKE_RECORD || epoch != 0 ||
      (version != VERSION_10 && version != VERSION_12) || message != CLIENT_HELLO ||
      len > HELLO_MAX || number > 1 || offset != 0 || fragment > len) {
    return TORC_ERR_FORMAT;
  }
  return 0;
}

static int make_cookie(const uint8_t secret[32], const torc_sock *remote, const hello *h,
                       uint8_t out[COOKIE_LEN]) {
  uint8_t text[18 + RANDOM_LEN + UINT8_MAX];
  uint8_t mac[EVP_MAX_MD_SIZE];
  size_t len = 18;
  torc_sock_wire(remote, text);
  memcpy(text + len, h->random.p, RANDOM_LEN);
  len += RANDOM_LEN;
  if (h->session.len > 0) {
    memcpy(text + len, h->session.p, h->session.len);
    len += h->session.len;
  }
  if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret, 32, text, len, mac, sizeof mac, NULL) ==
      NULL) {
    return TORC_ERR_CRYPTO;
  }
  memcpy(out, mac, COOKIE_LEN);
  return 0;
}

static void renew_secret(torc_dtls_gate *g, torc_time now) {
  uint8_t fresh[32];
  if (now < g->secret_until || RAND_bytes(fresh, (int)sizeof fresh) != 1) {
    return;
  }
  memcpy(g->secrets[1], g->secrets[0], sizeof fresh);
  memcpy(g->secrets[0], fresh, sizeof fresh);
  g->secret_until = torc_time_add(now, TORC_DTLS_COOKIE_AGE);
}

static bool is_ours(const torc_dtls_gate *g, const torc_sock *remote, const hello *h) {
  uint8_t cookie[COOKIE_LEN];
  bool is_good = false;
  for (size_t i = 0; i < 2 && h->cookie.len == COOKIE_LEN; i++) {
    is_good = is_good || (make_cookie(g->secrets[i], remote, h, cookie) == 0 &&
                          CRYPTO_memcmp(cookie, h->cookie.p, COOKIE_LEN) == 0);
  }
  return is_good;
}

/* A HelloVerifyRequest, shorter than what it answers. */
static int ask(const torc_dtls_gate *g, const torc_sock *remote, const hello *h, torc_wr *wr) {
  uint8_t cookie[COOKIE_LEN];
  size_t body = 3 + COOKIE_LEN;
  int rc = make_cookie(g->secrets[0], remote, h, cookie);
  if (rc != 0) {
    return rc;
  }
  torc_wr_u8(wr, HANDSHAKE_RECORD);
  torc_wr_u16(wr, VERSION_10);
  torc_wr_u16(wr, 0);
  torc_wr_bytes(wr, h->sequence);
  torc_wr_u16(wr, (uint16_t)(12 + body));
  torc_wr_u8(wr, VERIFY_REQUEST);
  torc_wr_u24(wr, (uint32_t)body);
  torc_wr_u16(wr, 0);
  torc_wr_u24(wr, 0);
  torc_wr_u24(wr, (uint32_t)body);
  torc_wr_u16(wr, VERSION_10);
  torc_wr_u8(wr, COOKIE_LEN);
  torc_wr_bytes(wr, torc_slice_of(cookie, sizeof cookie));
  return wr->err;
}

torc_dtls_verdict torc_dtls_gate_judge(torc_dtls_gate *g, const torc_sock *remote,
                                       bool is_validated, torc_slice datagram, torc_time now,
                                       uint8_t reply[TORC_DTLS_REPLY_MAX], size_t *reply_len) {
  hello h;
  torc_wr wr;
  *reply_len = 0;
  if (read_hello(datagram, &h) != 0) {
    g->stats.hellos_bad++;
    return TORC_DTLS_DROP;
  }
  if (is_validated) {
    return TORC_DTLS_ACCEPT;
  }
  renew_secret(g, now);
  if (is_ours(g, remote, &h)) {
    return TORC_DTLS_ACCEPT;
  }
  g->stats.cookies_bad += h.cookie.len > 0 ? 1 : 0;
  torc_wr_init(&wr, reply, TORC_DTLS_REPLY_MAX);
  if (ask(g, remote, &h, &wr) != 0) {
    return TORC_DTLS_DROP;
  }
  g->stats.cookies_sent++;
  *reply_len = wr.len;
  return TORC_DTLS_ANSWER;
}

size_t torc_dtls_first_hello(uint8_t out[TORC_DTLS_FIRST_HELLO]) {
  static const uint8_t unused[RANDOM_LEN] = {0};
  size_t body = 2 + RANDOM_LEN + 1 + 1 + 4 + 2;
  torc_wr wr;
  torc_wr_init(&wr, out, TORC_DTLS_FIRST_HELLO);
  torc_wr_u8(&wr, HANDSHAKE_RECORD);
  torc_wr_u16(&wr, VERSION_10);
  torc_wr_u16(&wr, 0);
  torc_wr_u16(&wr, 0); /* sequence number 0, in front of every one that may follow */
  torc_wr_u32(&wr, 0);
  torc_wr_u16(&wr, (uint16_t)(12 + body));
  torc_wr_u8(&wr, CLIENT_HELLO);
  torc_wr_u24(&wr, (uint32_t)body);
  torc_wr_u16(&wr, 0);
  torc_wr_u24(&wr, 0);
  torc_wr_u24(&wr, (uint32_t)body);
  torc_wr_u16(&wr, VERSION_12);
  torc_wr_bytes(&wr, torc_slice_of(unused, sizeof unused));
  torc_wr_u8(&wr, 0);  /* session */
  torc_wr_u8(&wr, 0);  /* cookie */
  torc_wr_u16(&wr, 2); /* cipher suites */
  torc_wr_u16(&wr, 0xc02b);
  torc_wr_u8(&wr, 1); /* compression: none */
  torc_wr_u8(&wr, 0);
  return wr.len;
}
