/* Limits of TLS links: time, number, queues; dialling, listening, closing.
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

static const torc_slice nothing = {NULL, 0};

/* ---- stalls ---- */

static void stall(size_t whole, size_t part) {
  w.limits.message = TORC_MS(60);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t msg[64];
  hn_message(msg, sizeof msg, 1);
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  for (size_t i = 0; i < whole; i++) {
    hn_tls_write(&w, &t, msg, sizeof msg);
  }
  hn_wait(&w, &b->num_messages, whole);
  hn_run(&w, 100); /* idle between messages is no stall */
  assert_int_equal(b->num_downs, 0);
  uint64_t from = uv_hrtime();
  hn_tls_write(&w, &t, msg, part);
  for (int i = 0; i < 3; i++) { /* a byte now and then does not help */
    hn_run(&w, 10);
    hn_tls_write(&w, &t, msg + part + i, 1);
  }
  hn_wait(&w, &b->num_downs, 1);
  assert_int_equal(b->down_rcs[0], TORC_ERR_TIMEOUT);
  assert_int_equal(b->net->stats.message_timeouts, 1);
  assert_true(uv_hrtime() - from >= 50000000u);
  hn_tls_close(&t);
}

static void test_stall_first(void **state) {
  (void)state;
  stall(0, 1);
}

static void test_stall_later(void **state) {
  (void)state;
  stall(3, 40);
}

/* Half a TLS record: nothing can be decrypted, and the clock runs all the same. */
static void test_stall_record(void **state) {
  (void)state;
  w.limits.message = TORC_MS(60);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  static const uint8_t record[] = {0x17, 0x03, 0x03, 0x01, 0x00, 1, 2, 3};
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_wait(&w, &b->num_ups, 1);
  hn_raw_write(&w, t.fd, record, sizeof record);
  hn_wait(&w, &b->num_downs, 1);
  assert_int_equal(b->down_rcs[0], TORC_ERR_TIMEOUT);
  hn_tls_close(&t);
}

/* Messages that come back to back never trip the limit, however long it goes on. */
static void test_no_stall(void **state) {
  (void)state;
  w.limits.message = TORC_MS(1000);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t msg[64 + 30];
  hn_message(msg, 64, 1);
  memcpy(msg + 64, msg, 30);
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_tls_write(&w, &t, msg, 30);
  for (int i = 0; i < 45; i++) { /* one ends and the next begins in one record */
    hn_run(&w, 30);
    hn_tls_write(&w, &t, msg + 30, 64);
  }
  assert_int_equal(b->num_downs, 0);
  assert_int_equal(b->num_messages, 45);
  hn_tls_close(&t);
}

/* Every read ends in the middle of a record, as on a link under load: no message is late. */
static void test_no_stall_records(void **state) {
  (void)state;
  w.limits.message = TORC_MS(1000);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t msg[64];
  uint8_t *bytes = NULL;
  hn_message(msg, sizeof msg, 1);
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  BIO *memory = BIO_new(BIO_s_mem());
  SSL_set0_wbio(t.ssl, memory);
  for (int i = 0; i < 45; i++) {
    hn_tls_write(&w, &t, msg, sizeof msg);
  }
  size_t len = (size_t)BIO_get_mem_data(memory, &bytes);
  size_t record = len / 45;
  hn_raw_write(&w, t.fd, bytes, 7);
  for (size_t i = 0; i < 44; i++) {
    hn_run(&w, 30);
    hn_raw_write(&w, t.fd, bytes + 7 + i * record, record);
  }
  hn_run(&w, 15);
  assert_int_equal(b->num_downs, 0);
  assert_int_equal(b->num_messages, 44);
  hn_tls_close(&t);
}

static void test_silent(void **state) {
  (void)state;
  w.limits.handshake = TORC_MS(50);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  int fd = hn_raw_connect(b);
  hn_raw_wait_closed(&w, fd);
  assert_int_equal(b->net->stats.handshake_timeouts, 1);
  assert_int_equal(b->net->num_half_open, 0);
  close(fd);
}

/* Whoever has waited longest makes room: connections that never speak keep nobody out. */
static void caps(uint32_t all, uint32_t per_ip, bool by_address) {
  w.limits.half_open_max = all;
  w.limits.half_open_per_ip_max = per_ip;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 1, NULL);
  int fds[4];
  const uint64_t *counter =
      by_address ? &b->net->stats.half_open_ip_evicted : &b->net->stats.half_open_evicted;
  for (size_t i = 0; i < 3; i++) {
    fds[i] = hn_raw_connect(b);
    hn_wait_counter(&w, &b->net->stats.accepted, i + 1);
  }
  assert_int_equal(b->net->num_half_open, 3);
  fds[3] = hn_raw_connect(b);
  hn_raw_wait_closed(&w, fds[0]);
  assert_int_equal(*counter, 1);
  assert_int_equal(b->net->num_half_open, 3);
  torc_link_id al, bl;
  hn_link(&w, a, b, &al, &bl);
  assert_int_equal(*counter, 2);
  hn_raw_wait_closed(&w, fds[1]);
  assert_int_equal(b->net->num_half_open, 2);
  for (size_t i = 0; i < 4; i++) {
    close(fds[i]);
  }
}

static void test_half_open(void **state) {
  (void)state;
  caps(3, 100, false);
}

static void test_half_open_ip(void **state) {
  (void)state;
  caps(100, 3, true);
}

static void test_sites(void **state) {
  (void)state;
  static const struct {
    const char *a, *b;
    bool is_same;
  } cases[] = {{"192.0.2.1:1", "192.0.2.1:2", true},
               {"192.0.2.1:1", "192.0.2.2:1", false},
               {"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::2]:2", true},
               {"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
               {"[::ffff]:1", "192.0.2.1:1", false}};
  for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
    torc_sock a, b;
    assert_int_equal(torc_sock_parse(cases[i].a, &a), 0);
    assert_int_equal(torc_sock_parse(cases[i].b, &b), 0);
    assert_int_equal(torc_sock_site_eq(&a, &b), cases[i].is_same);
    assert_int_equal(torc_sock_site_eq(&b, &a), cases[i].is_same);
  }
}

static void test_links_max(void **state) {
  (void)state;
  w.limits.links_max = 1;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *c = hn_add(&w, 3, NULL);
  torc_link_id al, bl;
  hn_link(&w, a, b, &al, &bl);
  torc_endpoint at = hn_endpoint(b, "127.0.0.1");
  torc_net_open(c->net, 1, &at);
  hn_wait_counter(&w, &b->net->stats.links_refused, 1);
  hn_wait(&w, &c->num_downs, c->num_ups); /* told up at most for a moment */
  assert_int_equal(b->num_ups, 1);
}

/* ---- back-pressure ---- */

static void test_congestion(void **state) {
  (void)state;
  w.limits.queue_high = 100000;
  w.limits.queue_low = 20000;
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_link_id al, bl;
  uint8_t *msg = malloc(60000);
  hn_link(&w, a, b, &al, &bl);
  hn_message(msg, 60000, 1);
  torc_net_pause(b->net, true); /* does not read */
  size_t sent = 0;
  while (a->num_congested == 0) {
    torc_net_send(a->net, al, torc_slice_of(msg, 60000), nothing);
    sent++;
    (void)torc_net_flush(a->net);
    hn_run(&w, 1);
    assert_true(sent < 2000);
  }
  assert_int_equal(a->num_relieved, 0);
  assert_int_equal(a->num_downs, 0);
  torc_net_pause(b->net, false);
  hn_wait(&w, &a->num_relieved, 1);
  hn_wait(&w, &b->num_messages, sent);
  assert_int_equal(a->num_congested, 1);
  assert_int_equal(a->net->stats.congestions, 1);
  free(msg);
}

static void test_overflow(void **state) {
  (void)state;
  w.limits.queue_max = 1u << 20;
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_link_id al, bl;
  uint8_t *msg = malloc(60000);
  hn_link(&w, a, b, &al, &bl);
  hn_message(msg, 60000, 1);
  torc_net_pause(b->net, true);
  for (size_t i = 0; i < 4000 && a->num_downs == 0; i++) {
    torc_net_send(a->net, al, torc_slice_of(msg, 60000), nothing);
    (void)torc_net_flush(a->net);
  }
  assert_int_equal(a->num_downs, 1);
  assert_int_equal(a->down_rcs[0], TORC_ERR_LIMIT);
  assert_int_equal(a->net->stats.queue_overflows, 1);
  free(msg);
}

/* Many that never read share a bound; who reads is not touched by it. */
static void test_overflow_total(void **state) {
  (void)state;
  w.limits.queue_total_max = 2u << 20;
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *ends[3];
  torc_link_id al[3], bl;
  uint8_t *msg = malloc(60000);
  hn_message(msg, 60000, 1);
  for (uint8_t i = 0; i < 3; i++) {
    ends[i] = hn_add(&w, (uint8_t)(2 + i), "127.0.0.1:0");
    hn_link(&w, a, ends[i], &al[i], &bl);
    torc_net_pause(ends[i]->net, i < 2);
  }
  for (size_t i = 0; i < 4000 && a->num_downs == 0; i++) {
    torc_net_send(a->net, al[i % 2], torc_slice_of(msg, 60000), nothing);
    (void)torc_net_flush(a->net);
    assert_in_range(a->net->queued_bytes, 0, 2u << 20);
  }
  assert_int_equal(a->num_downs, 1);
  assert_int_equal(a->down_rcs[0], TORC_ERR_LIMIT);
  assert_int_equal(a->net->stats.queue_total_overflows, 1);
  assert_int_equal(a->net->stats.queue_overflows, 0);
  torc_net_send(a->net, al[2], torc_slice_of(msg, 60000), nothing);
  (void)torc_net_flush(a->net);
  hn_wait(&w, &ends[2]->num_messages, 1);
  torc_net_pause(ends[0]->net, false); /* and what is read is no longer counted */
  torc_net_pause(ends[1]->net, false);
  for (int i = 0; i < 500 && a->net->queued_bytes > 0; i++) {
    hn_run(&w, 10);
  }
  assert_int_equal(a->net->queued_bytes, 0);
  free(msg);
}

/* A peer that floods with requests and reads no answer. */
static void test_flood(void **state) {
  (void)state;
  w.limits.queue_max = 1u << 20;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hn_end *other = hn_add(&w, 3, NULL);
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t msg[64];
  uint8_t *reply = malloc(20000);
  torc_link_id ol, bl;
  hn_message(msg, sizeof msg, 1);
  hn_message(reply, 20000, 2);
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_link(&w, other, b, &ol, &bl);
  b->reply = torc_slice_of(reply, 20000);
  b->reply_times = 1;
  for (size_t i = 0; i < 20000 && b->num_downs == 0; i++) {
    hn_tls_write(&w, &t, msg, sizeof msg);
  }
  hn_wait(&w, &b->num_downs, 1);
  assert_int_equal(b->down_rcs[0], TORC_ERR_LIMIT);
  b->reply_times = 0;
  size_t before = b->num_messages;
  torc_net_send(other->net, ol, torc_slice_of(msg, sizeof msg),
                nothing); /* the others are served */
  hn_wait(&w, &b->num_messages, before + 1);
  hn_tls_close(&t);
  free(reply);
}

/* Two that flood at once are read in turns. */
static void test_turns(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t[2];
  size_t num = 700;
  size_t len = 500;
  uint8_t *msgs = malloc(num * len);
  for (size_t i = 0; i < num; i++) {
    hn_message(msgs + i * len, len, 1);
  }
  for (size_t k = 0; k < 2; k++) {
    hn_tls_open(&t[k], b, &w.ca, &spec);
    assert_int_equal(hn_tls_handshake(&w, &t[k]), 1);
    hn_wait(&w, &b->num_ups, k + 1);
  }
  torc_net_pause(b->net, true);
  for (size_t k = 0; k < 2; k++) {
    hn_tls_write(&w, &t[k], msgs, num * len); /* the sockets hold it */
  }
  torc_net_pause(b->net, false);
  hn_wait(&w, &b->num_messages, 2 * num);
  assert_in_range(b->longest_run, 1,
                  2 * TORC_NET_READ_BYTES / len); /* one buffer, and the next one's beginning */
  for (size_t k = 0; k < 2; k++) {
    hn_tls_close(&t[k]);
  }
  free(msgs);
}

static void test_partial_max(void **state) {
  (void)state;
  w.limits.partial_max = 100000;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t *msg = malloc(200000);
  hn_message(msg, 200000, 1);
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_tls_write(&w, &t, msg, 199999);
  hn_wait(&w, &b->num_downs, 1);
  assert_int_equal(b->down_rcs[0], TORC_ERR_LIMIT);
  assert_int_equal(b->net->stats.partial_refused, 1);
  assert_int_equal(b->net->partial_bytes, 0);
  hn_tls_close(&t);
  free(msg);
}

static void test_idle_holds_nothing(void **state) {
  (void)state;
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_link_id al, bl;
  uint8_t msg[64];
  hn_message(msg, sizeof msg, 1);
  hn_link(&w, a, b, &al, &bl);
  torc_net_send(a->net, al, torc_slice_of(msg, sizeof msg), nothing);
  hn_wait(&w, &b->num_messages, 1);
  const torc_conn *c = TORC_CONTAINER_OF(b->net->conns.next, torc_conn, all);
  assert_int_equal(c->partial.cap, 0);
  assert_int_equal(c->tls.out.cap, 0);
}

/* ---- closing ---- */

static void test_close_flushes(void **state) {
  (void)state;
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_link_id al, bl;
  uint8_t *msg = malloc(100000);
  uint64_t hash = 0;
  hn_link(&w, a, b, &al, &bl);
  for (size_t i = 0; i < 30; i++) {
    hn_message(msg, 100000, (uint8_t)i);
    hash = hn_hash(hash, torc_slice_of(msg, 100000));
    torc_net_send(a->net, al, torc_slice_of(msg, 100000), nothing);
  }
  torc_net_close(a->net, al);
  torc_net_send(a->net, al, torc_slice_of(msg, 100000), nothing); /* too late: nothing happens */
  (void)torc_net_flush(a->net);
  assert_int_equal(a->num_downs, 1);
  hn_wait(&w, &b->num_downs, 1);
  assert_int_equal(b->down_rcs[0], TORC_ERR_CLOSED);
  assert_int_equal(b->num_messages, 30);
  assert_true(b->message_hash == hash);
  hn_wait_counter(&w, &b->net->stats.links_down, 1);
  free(msg);
}

static void test_close_inside_message(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  uint8_t msgs[640];
  for (size_t i = 0; i < 10; i++) {
    hn_message(msgs + 64 * i, 64, (uint8_t)i);
  }
  b->close_on_message = true;
  b->is_echo = true;
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_tls_write(&w, &t, msgs, sizeof msgs); /* one record, ten messages: the first closes */
  hn_wait(&w, &b->num_downs, 1);
  assert_int_equal(b->num_messages, 1);
  uint8_t back[64];
  assert_int_equal(hn_tls_read(&w, &t, back, sizeof back), 64); /* its answer was flushed */
  assert_memory_equal(back, msgs, 64);
  assert_int_equal(hn_tls_read(&w, &t, back, sizeof back), 0);
  assert_int_equal(SSL_get_shutdown(t.ssl) & SSL_RECEIVED_SHUTDOWN,
                   SSL_RECEIVED_SHUTDOWN); /* said, not cut off */
  hn_tls_close(&t);
}

/* One that never closes its side is cut off. */
static void test_linger(void **state) {
  (void)state;
  w.limits.linger = TORC_MS(40);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_wait(&w, &b->num_ups, 1);
  torc_net_close(b->net, b->ups[0].link);
  hn_wait(&w, &b->num_downs, 1);
  uint64_t from = uv_hrtime();
  while (b->net->num_conns > 0) {
    hn_run(&w, 1);
    assert_true(uv_hrtime() - from < 5000000000u);
  }
  hn_tls_close(&t);
}

static void test_reset(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  hp_spec spec = {.overlay = HN_OVERLAY, .id = 9};
  hn_raw_tls t;
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  hn_tls_open(&t, b, &w.ca, &spec);
  assert_int_equal(hn_tls_handshake(&w, &t), 1);
  hn_wait(&w, &b->num_ups, 1);
  assert_int_equal(setsockopt(t.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
  hn_tls_close(&t);
  hn_wait(&w, &b->num_downs, 1);
}

static void test_expiry(void **state) {
  (void)state;
  hp_spec brief = {.overlay = HN_OVERLAY, .id = 1, .from_s = -10, .to_s = 600};
  hn_end *a = hn_add_spec(&w, &brief, NULL);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_link_id al, bl;
  hn_link(&w, a, b, &al, &bl);
  torc_net_set_wall(b->net, hp_now() + 500);
  hn_run(&w, 10);
  assert_int_equal(b->num_downs, 0);
  torc_net_set_wall(b->net, hp_now() + 700);
  hn_wait(&w, &b->num_downs, 1);
  hn_wait(&w, &a->num_downs, 1);
  assert_int_equal(b->net->stats.expired_links, 1);
}

/* ---- dialling ---- */

static void dial_fails(const char *host, uint16_t port, int rc) {
  hn_end *a = hn_add(&w, 1, NULL);
  torc_endpoint at = {.port = port};
  snprintf(at.host, sizeof at.host, "%s", host);
  torc_net_open(a->net, 3, &at);
  assert_int_equal(a->num_failed, 0); /* never told from inside the call */
  hn_wait(&w, &a->num_failed, 1);
  assert_int_equal(a->failed_rcs[0], rc);
}

static void test_no_such_name(void **state) {
  (void)state;
  dial_fails("no-such-host.invalid", 6084, TORC_ERR_NOTFOUND);
}

static void test_nobody_there(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  uint16_t port = torc_net_port(b->net, 0);
  torc_net_shutdown(b->net);
  hn_run(&w, 5);
  dial_fails("127.0.0.1", port, TORC_ERR_IO);
}

static void test_never_dialled(void **state) {
  (void)state;
  static const char *const hosts[] = {
      "0.0.0.0", "::",          "224.0.0.1",        "ff02::1",  "255.255.255.255",
      "fe80::1", "169.254.1.1", "::ffff:224.0.0.1", "240.0.0.1"};
  hn_end *a = hn_add(&w, 1, NULL);
  for (size_t i = 0; i < TORC_ARRAY_LEN(hosts); i++) {
    torc_endpoint at = {.port = 6084};
    snprintf(at.host, sizeof at.host, "%s", hosts[i]);
    torc_net_open(a->net, i + 1, &at);
  }
  hn_wait(&w, &a->num_failed, TORC_ARRAY_LEN(hosts));
  assert_int_equal(a->net->stats.dialled, 0);
  for (size_t i = 0; i < a->num_failed; i++) {
    assert_int_equal(a->failed_rcs[i], TORC_ERR_INVALID);
  }
}

/* A listener that accepts and says nothing. */
static int black_hole(uint16_t *port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(fd, 8), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
  *port = ntohs(a.sin_port);
  return fd;
}

static void test_dial_deadline(void **state) {
  (void)state;
  uint16_t port = 0;
  int fd = black_hole(&port);
  w.limits.dial = TORC_MS(60);
  dial_fails("127.0.0.1", port, TORC_ERR_TIMEOUT);
  close(fd);
}

static void test_stagger(void **state) {
  (void)state;
  uint16_t port = 0;
  int fd = black_hole(&port);
  w.limits.stagger = TORC_MS(40);
  hn_end *a = hn_add(&w, 1, NULL);
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_sock addrs[2];
  torc_id peer = hp_id(2);
  assert_int_equal(torc_sock_literal("127.0.0.1", port, &addrs[0]), 0);
  assert_int_equal(torc_sock_literal("127.0.0.1", torc_net_port(b->net, 0), &addrs[1]), 0);
  uint64_t from = uv_hrtime();
  torc_dial_start(a->net, 8, &peer, addrs, 2);
  hn_wait(&w, &a->num_ups, 1);
  assert_true(uv_hrtime() - from >= 38000000u);
  assert_int_equal(a->ups[0].token, 8);
  for (int i = 0; i < 5000 && a->net->num_conns > 1; i++) {
    hn_run(&w, 1);
  }
  assert_int_equal(a->net->num_conns, 1); /* the loser is closed */
  assert_int_equal(a->num_failed, 0);
  /* An address that refuses is passed over at once. */
  close(fd);
  from = uv_hrtime();
  torc_dial_start(a->net, 9, &peer, addrs, 2);
  hn_wait(&w, &a->num_ups, 2);
  assert_int_equal(a->ups[1].token, 9);
}

static void test_shutdown_under_way(void **state) {
  (void)state;
  uint16_t port = 0;
  int fd = black_hole(&port);
  hn_end *a = hn_add(&w, 1, "127.0.0.1:0");
  torc_endpoint at = {.host = "127.0.0.1", .port = port};
  torc_net_open(a->net, 1, &at);
  torc_endpoint name = {.host = "localhost", .port = port};
  torc_net_open(a->net, 2, &name);
  int raw = hn_raw_connect(a);
  hn_run(&w, 5);
  torc_net_shutdown(a->net); /* hn_close sees that no handle is left */
  close(raw);
  close(fd);
}

/* ---- listening ---- */

static void test_listen_errors(void **state) {
  (void)state;
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  char at[64];
  char err[300] = "";
  char want[300];
  snprintf(at, sizeof at, "127.0.0.1:%u", (unsigned)torc_net_port(b->net, 0));
  hn_end *a = hn_add(&w, 1, NULL);
  assert_int_equal(torc_net_listen(a->net, at, err, sizeof err), TORC_ERR_IO);
  snprintf(want, sizeof want,
           "cannot listen on %s: the port is in use; stop the other program or choose another port",
           at);
  assert_string_equal(err, want);
  assert_int_equal(torc_net_listen(a->net, "192.0.2.1:6084", err, sizeof err), TORC_ERR_IO);
  assert_string_equal(err, "cannot listen on 192.0.2.1:6084: address not available");
  static const char *const bad[] = {"",
                                    "6084",
                                    "localhost:6084",
                                    "127.0.0.1",
                                    "127.0.0.1:65536",
                                    "::1:6084",
                                    "[127.0.0.1]:6084",
                                    "127.0.0.1:",
                                    "127.0.0.1:6o84"};
  for (size_t i = 0; i < TORC_ARRAY_LEN(bad); i++) {
    assert_int_equal(torc_net_listen(a->net, bad[i], err, sizeof err), TORC_ERR_CONFIG);
    snprintf(want, sizeof want, "%s is no address to listen on: write 127.0.0.1:6084 or [::]:6084",
             bad[i]);
    assert_string_equal(err, want);
  }
  assert_int_equal(torc_net_advertise(a->net, "0.0.0.0:6084", err, sizeof err), TORC_ERR_CONFIG);
  assert_int_equal(torc_net_advertise(a->net, "192.0.2.1:0", err, sizeof err), TORC_ERR_CONFIG);
}

static void test_is_self(void **state) {
  (void)state;
  char err[300] = "";
  hn_end *b = hn_add(&w, 2, "127.0.0.1:0");
  torc_endpoint at = hn_endpoint(b, "127.0.0.1");
  assert_true(torc_net_is_self(b->net, &at));
  at = hn_endpoint(b, "localhost");
  assert_true(torc_net_is_self(b->net, &at));
  at = hn_endpoint(b, "127.0.0.2");
  assert_false(torc_net_is_self(b->net, &at));
  at = hn_endpoint(b, "127.0.0.1");
  at.port++;
  assert_false(torc_net_is_self(b->net, &at));
  hn_end *any = hn_add(&w, 3, "0.0.0.0:0");
  at = hn_endpoint(any, "127.0.0.1");
  assert_true(torc_net_is_self(any->net, &at));
  at = hn_endpoint(any, "192.0.2.7");
  assert_false(torc_net_is_self(any->net, &at));
  assert_int_equal(torc_net_advertise(any->net, "192.0.2.7:6084", err, sizeof err), 0);
  at.port = 6084;
  assert_true(torc_net_is_self(any->net, &at));
}

#define T(name_, fn) \
  { .name = (name_), .test_func = (fn), .setup_func = begin, .teardown_func = end }

int main(void) {
  const struct CMUnitTest tests[] = {
      T("R-18 one byte of a message, then almost nothing", test_stall_first),
      T("R-18 half a message after three whole ones", test_stall_later),
      T("R-18 half a TLS record", test_stall_record),
      T("R-18 slow messages that end in time stay", test_no_stall),
      T("R-18 messages whose records are cut by every read", test_no_stall_records),
      T("GAP-162 a connection without handshake ends in time", test_silent),
      T("GAP-162 only so many handshakes at a time", test_half_open),
      T("GAP-162 only so many handshakes from one address", test_half_open_ip),
      T("GAP-162 who counts as one address", test_sites),
      T("GAP-162 only so many links", test_links_max),
      T("GAP-162 a link that does not read is congested, then relieved", test_congestion),
      T("GAP-162 a link that never reads is closed", test_overflow),
      T("GAP-162 links that never read share a bound", test_overflow_total),
      T("GAP-162 a flood without reading closes that link alone", test_flood),
      T("GAP-162 links that flood are read in turns", test_turns),
      T("GAP-48 GAP-162 unfinished messages share a bound", test_partial_max),
      T("GAP-162 an idle link holds no buffers", test_idle_holds_nothing),
      T("GAP-162 closing flushes what was sent", test_close_flushes),
      T("GAP-162 closing from inside a message", test_close_inside_message),
      T("GAP-162 closing does not wait for ever", test_linger),
      T("GAP-77 a reset connection is told at once", test_reset),
      T("GAP-135 a link ends with its certificate", test_expiry),
      T("BST-02 a name that does not resolve", test_no_such_name),
      T("BST-02 nobody listens there", test_nobody_there),
      T("CON-10 addresses that are never dialled", test_never_dialled),
      T("GAP-162 dialling ends in time", test_dial_deadline),
      T("CON-14 GAP-138 addresses are tried a short time apart, one link remains", test_stagger),
      T("GAP-162 shutting down with everything under way", test_shutdown_under_way),
      T("BST-02 listening errors name the address and the reason", test_listen_errors),
      T("R-51 own addresses are known", test_is_self),
  };
  return TORC_RUN(tests);
}
