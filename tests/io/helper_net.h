/* Several torc_net on one loop, and raw sockets for those who do not play by the rules.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TESTS_HELPER_NET_H
#define TORC_TESTS_HELPER_NET_H

#include <openssl/ssl.h>

#include "io/helper_pki.h"
#include "io/net_impl.h"

#define HN_OVERLAY "ring.example.org"
#define HN_ENDS_MAX 4
#define HN_LOG_MAX 64

typedef struct hn_up {
  torc_link_id link;
  torc_id peer;
  torc_token token;
  uint8_t cert_digest[TORC_DIGEST_LEN];
  uint8_t local_addr[18];
  torc_link_kind kind;
  uint32_t mtu;
} hn_up;

typedef struct hn_world hn_world;

typedef struct hn_end { /* one net and what it told */
  hn_world *world;
  torc_pki *pki;
  torc_net *net;
  hn_up ups[HN_LOG_MAX];
  size_t num_ups;
  torc_link_id downs[HN_LOG_MAX];
  int down_rcs[HN_LOG_MAX];
  size_t num_downs;
  torc_token failed[HN_LOG_MAX];
  int failed_rcs[HN_LOG_MAX];
  size_t num_failed;
  size_t num_messages, message_bytes;
  uint64_t message_hash; /* over all messages, in order */
  uint8_t *last_message; /* owned */
  size_t last_len;
  torc_link_id last_from;
  size_t run, longest_run; /* messages of one link in a row */
  size_t num_congested, num_relieved, num_mtus;
  uint32_t last_mtu;
  bool is_echo; /* sends every message back */
  bool close_on_message;
  torc_slice reply; /* sent on every message, reply_times times */
  size_t reply_times;
} hn_end;

struct hn_world {
  uv_loop_t loop;
  hp_ca ca;
  torc_net_limits limits; /* of ends made from now on */
  hn_end ends[HN_ENDS_MAX];
  size_t num;
};

void hn_open(hn_world *w);
void hn_close(hn_world *w);
/* An end with peer-id byte `id`, listening on `listen` unless that is NULL. */
hn_end *hn_add(hn_world *w, uint8_t id, const char *listen);
hn_end *hn_add_spec(hn_world *w, const hp_spec *spec, const char *listen);
/* Runs the loop until *what >= want; fails the test after 10 s. */
void hn_wait(hn_world *w, const size_t *what, size_t want);
/* The same for a counter of `end`. */
void hn_wait_counter(hn_world *w, const uint64_t *what, uint64_t want);
void hn_run(hn_world *w, int ms);
/* 127.0.0.1 or ::1 and the port `end` listens on. */
torc_endpoint hn_endpoint(const hn_end *end, const char *host);
/* Links two ends; returns when both are up. *a_link, *b_link: numbers there. */
void hn_link(hn_world *w, hn_end *a, hn_end *b, torc_link_id *a_link, torc_link_id *b_link);
/* Fills `len` bytes with a message that frames well; the rest is a pattern of `seed`. */
void hn_message(uint8_t *out, size_t len, uint8_t seed);
uint64_t hn_hash(uint64_t before, torc_slice bytes);

/* ---- a socket of one's own ---- */

int hn_raw_connect(const hn_end *to);
/* Writes all, running the loop when the socket is full. */
void hn_raw_write(hn_world *w, int fd, const void *bytes, size_t len);
/* Runs the loop until the other side has closed; fails the test after 10 s. */
void hn_raw_wait_closed(hn_world *w, int fd);

/* TLS by hand on such a socket. spec NULL: without certificate. ca: who issues. */
typedef struct hn_raw_tls {
  int fd;
  SSL_CTX *ctx;
  SSL *ssl;
  X509 *x;
  EVP_PKEY *key;
} hn_raw_tls;

void hn_tls_open(hn_raw_tls *t, const hn_end *to, const hp_ca *ca, const hp_spec *spec);
/* The other way round: takes one connection on `listener` (blocking) and is the server. */
void hn_tls_accept(hn_raw_tls *t, int listener, const hp_ca *ca, const hp_spec *spec);
/* 1: done; otherwise SSL_get_error's value. */
int hn_tls_handshake(hn_world *w, hn_raw_tls *t);
void hn_tls_write(hn_world *w, hn_raw_tls *t, const void *bytes, size_t len);
/* SSL_read until something comes; <= 0: ended. */
int hn_tls_read(hn_world *w, hn_raw_tls *t, void *out, int cap);
void hn_tls_close(hn_raw_tls *t);

#endif
