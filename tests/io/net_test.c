/* TLS links on loopback, with well and badly behaved other ends.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/net.h"

#include <openssl/err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/helper_net.h"
#include "torc_test.h"
#include "wire/header.h"

static hn_world w; /* of the test that runs */

static int begin(void **state) {
  (void)state;
  hn_open(&w);
  return 0;
}

static int end(void **state) {
  (void)state;
  hn_close(&w);
  return 0;
}

/* ---- links ---- */

static void test_link(void **state) {
  (void)state;
  hn_end *a = hn_add(&w, 0xaa, NULL);
  hn_end *b = hn_add(&w, 0xbb, "127.0.0.1:0");
  torc_link_id al, bl;
  hn_link(&w, a, b, &al, &bl);
  torc_id ida = hp_id(0xaa);
  torc_id idb = hp_id(0xbb);
  assert_true(torc_id_eq(&a->ups[0].peer, &idb));
  assert_true(torc_id_eq(&b->ups[0].peer, &ida));
  assert_memory_equal(a->ups[0].cert_digest, torc_pki_own_cert(b->pki)->digest, TORC_DIGEST_LEN);
  assert_memory_equal(b->ups[0].cert_digest, torc_pki_own_cert(a->pki)->digest, TORC_DIGEST_LEN);
  assert_int_equal(a->ups[0].token, 77);
  assert_int_equal(b->ups[0].token, 0);
  static const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
  assert_memory_equal(b->ups[0].local_addr, mapped, sizeof mapped);
  assert_int_equal(b->ups[0].local_addr[16] * 256 + b->ups[0].local_addr[17],
                   torc_net_port(b->net, 0));
}

static void test_rsa_link(void **state) {
  (void)state;
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 1, .kind = HP_RSA2048};
  hn_end *a = hn_add_spec(&w, &spec, NULL);
  spec.id = 2;
  hn_end *b = hn_add_spec(&w, &spec, "127.0.0.1:0");
  torc_link_id al, bl;
  hn_link(&w, a, b, &al, &bl);
}

static void exchange(const char *listen, const char *host) {
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *b = hn_add(&w, 2, listen);
  torc_endpoint at = hn_endpoint(b, host);
  at.peer = hp_id(2);
  torc_net_open(a->net, 5, &at);
  hn_wait(&w, &a->num_ups, 1);
  hn_wait(&w, &b->num_ups, 1);
  uint8_t msg[100];
  hn_message(msg, sizeof msg, 3);
  b->is_echo = true;
  torc_net_send(a->net, a->ups[0].link, torc_slice_of(msg, 40), torc_slice_of(msg + 40, 60));
  hn_wait(&w, &a->num_messages, 1);
  assert_int_equal(a->last_len, sizeof msg);
  assert_memory_equal(a->last_message, msg, sizeof msg);
}

static void test_ipv4(void **state) {
  (void)state;
  exchange("127.0.0.1:0", "127.0.0.1");
}

static void test_ipv6(void **state) {
  (void)state;
  exchange("[::1]:0", "::1");
}

static void test_wildcard(void **state) {
  (void)state;
  exchange("[::]:0", "::1");
}

static void test_name(void **state) {
  (void)state;
  exchange("127.0.0.1:0", "localhost");
}

/* Many sizes, both ways, in one go: nothing is lost, split or reordered. */
static void test_sizes(void **state) {
  (void)state;
  static const size_t sizes[] = {
      28,    29,    100,   1000,  16383, 16384,  16385,  32768,
      65535, 65536, 65537, 70000, 100,   131072, 204261, TORC_MESSAGE_MAX};
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_link_id al, bl;
  uint64_t hash = 0;
  uint8_t *msg = malloc(TORC_MESSAGE_MAX);
  hn_link(&w, a, b, &al, &bl);
  b->is_echo = true;
  for (size_t round = 0; round < 3; round++) {
    for (size_t i = 0; i < TORC_ARRAY_LEN(sizes); i++) {
      hn_message(msg, sizes[i], (uint8_t)(i + round));
      hash = hn_hash(hash, torc_slice_of(msg, sizes[i]));
      torc_net_send(a->net, al, torc_slice_of(msg, 28), torc_slice_of(msg + 28, sizes[i] - 28));
    }
  }
  hn_wait(&w, &a->num_messages, 3 * TORC_ARRAY_LEN(sizes));
  assert_true(a->message_hash == hash);
  assert_true(b->message_hash == hash);
  assert_int_equal(a->net->partial_bytes, 0);
  assert_int_equal(b->net->partial_bytes, 0);
  free(msg);
}

/* The same messages arriving byte by byte and in odd pieces. */
static void test_pieces(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t msgs[3 * 61];
  uint64_t hash = 0;
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  for (size_t i = 0; i < 3; i++) {
    hn_message(msgs + 61 * i, 61, (uint8_t)i);
    hash = hn_hash(hash, torc_slice_of(msgs + 61 * i, 61));
  }
  for (size_t i = 0; i < sizeof msgs; i++) {
    hn_tls_write(&w, &t, msgs + i, 1);
  }
  hn_wait(&w, &b->num_messages, 3);
  assert_true(b->message_hash == hash);
  size_t whole = 3;
  for (size_t step = 2; step < 70; step += 13) { /* message boundaries anywhere inside records */
    for (size_t i = 0; i < sizeof msgs; i += step) {
      hn_tls_write(&w, &t, msgs + i, step < sizeof msgs - i ? step : sizeof msgs - i);
    }
    whole += 3;
    hn_wait(&w, &b->num_messages, whole);
  }
  assert_int_equal(b->num_downs, 0);
  assert_int_equal(b->net->partial_bytes, 0);
  hn_tls_close(&t);
  hn_wait(&w, &b->num_downs, 1);
}

/* ---- who is refused ---- */

typedef struct refusal {
  hp_spec spec;
  bool is_anonymous, is_other_ca;
  int alert; /* what the refused one reads */
} refusal;

static refusal refusals[] = {
    {.is_anonymous = true, .alert = SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED},
    {.spec = {.overlay = HN_OVERLAY},
     .is_other_ca = true,
     .alert = SSL_R_SSLV3_ALERT_BAD_CERTIFICATE},
    {.spec = {.overlay = HN_OVERLAY, .from_s = -7200, .to_s = -3600},
     .alert = SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED},
    {.spec = {.overlay = HN_OVERLAY, .from_s = 3600, .to_s = 7200},
     .alert = SSL_R_SSLV3_ALERT_BAD_CERTIFICATE},
    {.spec = {.overlay = "other.example.org"}, .alert = SSL_R_SSLV3_ALERT_BAD_CERTIFICATE},
    {.spec = {.has_no_san = true}, .alert = SSL_R_SSLV3_ALERT_BAD_CERTIFICATE},
    {.spec = {.overlay = HN_OVERLAY, .kind = HP_RSA1024},
     .alert = SSL_R_SSLV3_ALERT_BAD_CERTIFICATE},
    {.spec = {.overlay = HN_OVERLAY, .unknown_critical = "0500"},
     .alert = SSL_R_SSLV3_ALERT_BAD_CERTIFICATE},
    {.spec = {.overlay = HN_OVERLAY, .padding = 60000}, .alert = 0},
};

static void test_refusal(void **state) {
  const refusal *r = *state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_ca other;
  hn_raw_tls t;
  uint8_t buf[16];
  hp_ca_make(&other, "root", true);
  hn_tls_open(&t, b, r->is_other_ca ? &other : &w.ca, r->is_anonymous ? NULL : &r->spec);
  (void)hn_tls_handshake(&w, &t); /* in TLS 1.3 the client is done before it is judged */
  int n = hn_tls_read(&w, &t, buf, sizeof buf);
  assert_true(n <= 0);
  if (r->alert != 0) {
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), r->alert);
  }
  hn_wait_counter(&w, &b->net->stats.handshakes_failed, 1);
  assert_int_equal(b->num_ups, 0);
  assert_int_equal(b->net->num_half_open, 0);
  hn_tls_close(&t);
  hp_ca_free(&other);
}

/* The dialling side judges just the same. */
static void dial_refused(const hp_spec *server, const torc_id *expected, int rc) {
  hn_end *a = hn_add(&w, 1, NULL);
  hp_spec good = {.overlay = HN_OVERLAY, .id = 2};
  hn_end *b = hn_add_spec(&w, server == NULL ? &good : server, "127.0.0.1:0");
  torc_endpoint at = hn_endpoint(b, "127.0.0.1");
  if (expected != NULL) {
    at.peer = *expected;
  }
  torc_net_open(a->net, 6, &at);
  hn_wait(&w, &a->num_failed, 1);
  assert_int_equal(a->failed[0], 6);
  assert_int_equal(a->failed_rcs[0], rc);
  assert_int_equal(a->num_ups, 0);
}

static void test_wrong_peer(void **state) {
  (void)state;
  torc_id expected = hp_id(0x33);
  dial_refused(NULL, &expected, TORC_ERR_DENIED);
  assert_int_equal(w.ends[0].net->stats.wrong_peer, 1);
}

static void test_server_without_signature_use(void **state) {
  (void)state;
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_net_set_wall(a->net, hp_now() + 3 * 86400); /* the server's certificate ends tomorrow */
  torc_endpoint at = hn_endpoint(b, "127.0.0.1");
  torc_net_open(a->net, 6, &at);
  hn_wait(&w, &a->num_failed, 1);
  assert_int_equal(a->failed_rcs[0], TORC_ERR_CRYPTO);
}

static void test_foreign_server(void **state) {
  (void)state;
  hn_end *a = hn_add(&w, 1, NULL);
  hp_ca first = w.ca;
  hp_ca_make(&w.ca, "root", true); /* the second end's authority is another one */
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_endpoint at = hn_endpoint(b, "127.0.0.1");
  torc_net_open(a->net, 6, &at);
  hn_wait(&w, &a->num_failed, 1);
  assert_int_equal(a->failed_rcs[0], TORC_ERR_CRYPTO);
  assert_int_equal(b->num_ups, 0);
  hp_ca_free(&first);
}

static void test_second_id(void **state) {
  (void)state;
  hp_spec spec = {.uris = {"reload://02020202020202020202020202020202@" HN_OVERLAY,
                           "reload://05050505050505050505050505050505@" HN_OVERLAY}};
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *b = hn_add_spec(&w, &spec, "127.0.0.1:0");
  torc_endpoint at = hn_endpoint(b, "127.0.0.1");
  torc_net_open(a->net, 1, &at);
  hn_wait(&w, &a->num_ups, 1);
  torc_id first = hp_id(2);
  assert_true(torc_id_eq(&a->ups[0].peer, &first));
  at.peer = hp_id(5);
  torc_net_open(a->net, 2, &at);
  hn_wait(&w, &a->num_ups, 2);
  assert_true(torc_id_eq(&a->ups[1].peer, &at.peer));
}

static void test_self(void **state) {
  (void)state;
  hn_end *a = hn_add(&w, 1, "127.0.0.1:0");
  torc_endpoint at = hn_endpoint(a, "127.0.0.1");
  torc_net_open(a->net, 4, &at);
  hn_wait(&w, &a->num_failed, 1);
  assert_int_equal(a->failed_rcs[0], TORC_ERR_EXISTS);
  hn_wait_counter(&w, &a->net->stats.self_links, 1);
  assert_int_equal(a->num_ups, 0);
}

/* ---- TLS itself ---- */

static void test_versions(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  assert_int_equal(SSL_version(t.ssl), TLS1_3_VERSION);
  hn_tls_close(&t);
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(SSL_set_max_proto_version(t.ssl, TLS1_2_VERSION), 1);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  assert_int_equal(SSL_version(t.ssl), TLS1_2_VERSION);
  hn_tls_close(&t);
  hn_wait(&w, &b->num_ups, 2);
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(SSL_set_min_proto_version(t.ssl, TLS1_1_VERSION), 1);
  assert_int_equal(SSL_set_max_proto_version(t.ssl, TLS1_1_VERSION), 1);
  assert_int_not_equal(hn_tls_handshake(&w, &t), 1);
  hn_tls_close(&t);
  hn_wait_counter(&w, &b->net->stats.handshakes_failed, 1);
  assert_int_equal(b->num_ups, 2);
}

static void test_renegotiation(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t buf[16];
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(SSL_set_max_proto_version(t.ssl, TLS1_2_VERSION), 1);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  assert_int_equal(SSL_renegotiate(t.ssl), 1);
  assert_true(hn_tls_read(&w, &t, buf, sizeof buf) <= 0);
  assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
  hn_tls_close(&t);
}

/* Nor when a server asks for it. */
static void test_hello_request(void **state) {
  (void)state;
  hn_end *a = hn_add(&w, 1, NULL);
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof addr;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  hn_raw_tls t;
  uint8_t buf[16];
  assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof addr), 0);
  assert_int_equal(listen(listener, 1), 0);
  assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
  torc_endpoint at = {.host = "127.0.0.1", .port = ntohs(addr.sin_port)};
  torc_net_open(a->net, 1, &at);
  hn_run(&w, 5);
  hn_tls_accept(&t, listener, &w.ca, &spec);
  assert_int_equal(SSL_set_max_proto_version(t.ssl, TLS1_2_VERSION), 1);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_wait(&w, &a->num_ups, 1);
  assert_int_equal(SSL_renegotiate(t.ssl), 1);
  assert_int_equal(SSL_do_handshake(t.ssl), 1); /* sends the request */
  assert_true(hn_tls_read(&w, &t, buf, sizeof buf) <= 0);
  assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
  hn_tls_close(&t);
  close(listener);
}

static void resume(int version) {
  hn_end *b = &w.ends[0];
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls first;
  hn_raw_tls second;
  uint8_t msg[64];
  hn_message(msg, sizeof msg, 0);
  hn_tls_open(&first, b, &w.ca, &spec);
  assert_int_equal(SSL_set_max_proto_version(first.ssl, version), 1);
  assert_int_equal(hn_tls_handshake(&w, &first), 1);
  b->is_echo = true;
  hn_tls_write(&w, &first, msg, sizeof msg);
  assert_true(hn_tls_read(&w, &first, msg, sizeof msg) > 0); /* a ticket would have come before */
  SSL_SESSION *session = SSL_get1_session(first.ssl);
  assert_int_equal(SSL_SESSION_has_ticket(session), 0);
  hn_tls_open(&second, b, &w.ca, &spec);
  assert_int_equal(SSL_set_max_proto_version(second.ssl, version), 1);
  assert_int_equal(SSL_set_session(second.ssl, session), 1);
  assert_int_equal(hn_tls_handshake(&w, &second), 1);
  assert_int_equal(SSL_session_reused(second.ssl), 0);
  SSL_SESSION_free(session);
  hn_tls_close(&first);
  hn_tls_close(&second);
}

static void test_resumption(void **state) {
  (void)state;
  (void)hn_add(&w, 2, "127.0.0.1:0");
  resume(TLS1_3_VERSION);
  resume(TLS1_2_VERSION);
}

static void test_plaintext(void **state) {
  (void)state;
  static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "REGISTER sip:a\r\n\r\n"};
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  for (size_t i = 0; i < TORC_ARRAY_LEN(texts); i++) {
    int fd = hn_raw_connect(b);
    hn_raw_write(&w, fd, texts[i], strlen(texts[i]));
    hn_raw_wait_closed(&w, fd);
    close(fd);
  }
  hn_wait_counter(&w, &b->net->stats.handshakes_failed, 2);
  /* A message in the clear. */
  uint8_t msg[64];
  hn_message(msg, sizeof msg, 0);
  int fd = hn_raw_connect(b);
  hn_raw_write(&w, fd, msg, sizeof msg);
  hn_raw_wait_closed(&w, fd);
  close(fd);
  assert_int_equal(b->num_ups, 0);
  assert_int_equal(b->num_messages, 0);
}

/* A handshake with each byte of the client's flights wrong in turn. */
static void test_hostile_hello(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  uint8_t hello[600];
  /* What a real client says first. */
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  SSL *ssl = SSL_new(ctx);
  BIO *out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
  SSL_set_connect_state(ssl);
  (void)SSL_do_handshake(ssl);
  int len = BIO_read(out, hello, sizeof hello);
  assert_true(len > 100);
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  ERR_clear_error();
  for (int i = 0; i < len; i += 3) {
    uint8_t copy[600];
    memcpy(copy, hello, sizeof copy);
    copy[i] = (uint8_t)(copy[i] ^ 0xff);
    int fd = hn_raw_connect(b);
    hn_raw_write(&w, fd, copy, (size_t)len);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    hn_raw_wait_closed(&w, fd);
    close(fd);
  }
  assert_int_equal(b->num_ups, 0);
  hn_wait_counter(&w, &b->net->stats.handshakes_failed, (uint64_t)(len + 2) / 3);
  assert_int_equal(b->net->num_half_open, 0);
}

/* ---- framing ---- */

typedef struct frame_case {
  const char *hex;
  size_t counter; /* offset in torc_net_stats */
} frame_case;

static frame_case frames[] = {
    {"00000000 12345678 64010000 0100001c 00000000 00000000", offsetof(torc_net_stats, bad_frame)},
    {"52454c50 12345678 64010000 0100001c 00000000 00000000", offsetof(torc_net_stats, bad_frame)},
    {"d2454c4f 12345678 64010000 0100001c 00000000 00000000",
     offsetof(torc_net_stats, later_version)},
    {"52454c4f 12345678 64010000 0100001b 00000000 00000000", offsetof(torc_net_stats, bad_length)},
    {"52454c4f 12345678 64010000 01000000 00000000 00000000", offsetof(torc_net_stats, bad_length)},
    {"52454c4f 12345678 64010000 01031de7 00000000 00000000", offsetof(torc_net_stats, bad_length)},
    {"52454c4f 12345678 64010000 01ffffff 00000000 00000000", offsetof(torc_net_stats, bad_length)},
};

static void test_frame(void **state) {
  const frame_case *f = *state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t bytes[64];
  uint8_t good[40];
  size_t len = torc_unhex(f->hex, bytes, sizeof bytes);
  hn_message(good, sizeof good, 1);
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_tls_write(&w, &t, good, sizeof good);
  hn_wait(&w, &b->num_messages, 1);
  hn_tls_write(&w, &t, bytes, len);
  hn_wait(&w, &b->num_downs, 1);
  assert_int_equal(b->down_rcs[0], TORC_ERR_FORMAT);
  const uint64_t *counter =
      (const uint64_t *)(const void *)((const char *)&b->net->stats + f->counter);
  assert_int_equal(*counter, 1);
  assert_int_equal(b->num_messages, 1);
  hn_tls_close(&t);
}

/* The largest Length there may be is only the beginning of a message. */
static void test_largest_length(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t bytes[64];
  size_t len =
      torc_unhex("52454c4f 12345678 64010000 01031de6 00000000 00000000", bytes, sizeof bytes);
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_tls_write(&w, &t, bytes, len);
  hn_run(&w, 20);
  assert_int_equal(b->num_downs, 0);
  assert_true(b->net->partial_bytes < 4096); /* room for what came, not for what was claimed */
  hn_tls_close(&t);
  hn_wait(&w, &b->num_downs, 1);
  assert_int_equal(b->net->partial_bytes, 0);
}

#define T(name_, fn) \
  { .name = (name_), .test_func = (fn), .setup_func = begin, .teardown_func = end }
#define C(name_, fn, arg)                                                          \
  {                                                                                \
    .name = (name_), .test_func = (fn), .setup_func = begin, .teardown_func = end, \
    .initial_state = (arg)                                                         \
  }

int main(void) {
  const struct CMUnitTest tests[] = {
      T("TLS-01 TLS-06 TLS-07 TLS-08 SEC-17 SEC-16 LOG-07 a link knows both certificates and "
        "addresses",
        test_link),
      T("D-10 TLS-06 a link with RSA certificates", test_rsa_link),
      T("TLS-04 TLS-09 over IPv4", test_ipv4),
      T("TLS-04 over IPv6", test_ipv6),
      T("TLS-04 over IPv6, listening everywhere", test_wildcard),
      T("BST-02 a bootstrap peer by name", test_name),
      T("TLS-04 GAP-48 R-10 messages of every size cross unchanged and in order", test_sizes),
      T("TLS-04 GAP-48 messages in pieces, several in one record", test_pieces),
      C("TLS-06 SEC-17 a client without certificate is refused", test_refusal, &refusals[0]),
      C("TLS-06 SEC-04 SEC-17 a certificate of another authority is refused", test_refusal,
        &refusals[1]),
      C("GAP-135 SEC-17 an expired certificate is refused", test_refusal, &refusals[2]),
      C("GAP-135 SEC-17 a certificate of the future is refused", test_refusal, &refusals[3]),
      C("GAP-134 SEC-17 a certificate of another overlay is refused", test_refusal, &refusals[4]),
      C("GAP-134 TLS-06 a certificate without the claimed peer-id is refused", test_refusal,
        &refusals[5]),
      C("GAP-51 SEC-17 a certificate with a short RSA key is refused", test_refusal, &refusals[6]),
      C("R-38 SEC-17 a certificate with an unknown critical extension is refused", test_refusal,
        &refusals[7]),
      C("GAP-134 SEC-17 an enormous certificate is refused", test_refusal, &refusals[8]),
      T("TLS-06 another peer than the one expected is refused", test_wrong_peer),
      T("GAP-135 TLS-06 an expired server is refused", test_server_without_signature_use),
      T("TLS-06 TLS-07 SEC-17 a server of another authority is refused", test_foreign_server),
      T("GAP-136 R-09 TLS-06 with several peer-ids the expected one counts, else the first",
        test_second_id),
      T("R-51 a link to oneself is refused", test_self),
      T("TLS-03 GAP-161 TLS 1.3 is preferred, 1.2 accepted, 1.1 refused", test_versions),
      T("GAP-161 no renegotiation", test_renegotiation),
      T("GAP-161 no renegotiation when the server asks", test_hello_request),
      T("GAP-161 no resumption, no tickets", test_resumption),
      T("TLS-01 SEC-19 plaintext on the TLS port is refused", test_plaintext),
      T("TLS-01 SEC-19 every third byte of a client's hello flipped", test_hostile_hello),
      C("GAP-48 R-19 a first word of zeros closes", test_frame, &frames[0]),
      C("GAP-48 HDR-01 a foreign magic closes", test_frame, &frames[1]),
      C("R-19 GAP-11 the magic of later versions closes", test_frame, &frames[2]),
      C("GAP-48 a Length of 27 closes", test_frame, &frames[3]),
      C("GAP-48 a Length of 0 closes", test_frame, &frames[4]),
      C("R-10 a Length of 204263 closes", test_frame, &frames[5]),
      C("R-10 the largest Length that can be written closes", test_frame, &frames[6]),
      T("R-10 a Length of 204262 is a message, and reserves nothing", test_largest_length),
  };
  return TORC_RUN(tests);
}
