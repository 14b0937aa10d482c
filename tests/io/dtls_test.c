/* DTLS connections: two ends and the pipe between them. SPDX-License-Identifier: Apache-2.0 */
#include "io/dtls.h"

#include <openssl/ssl.h>
#include <stdio.h>

#include "io/dtls_pipe.h"
#include "io/tls_impl.h"

/* ---- handshakes ---- */

static void test_handshake(void **state) {
  (void)state;
  for (int is_validated = 0; is_validated < 2; is_validated++) {
    pipe *p = pipe_new(is_validated == 1, 1);
    dial(p);
    run(p, T0 + TORC_SEC(2));
    expect_up(p);
    torc_id ids[2] = {hp_id(2), hp_id(1)};
    for (size_t i = 0; i < 2; i++) {
      const end *e = &p->ends[i];
      assert_string_equal(SSL_get_version(e->d->tls.ssl), "DTLSv1.2");
      assert_memory_equal(&torc_dtls_cert(e->d)->peers[0], &ids[i], sizeof ids[i]);
      assert_true(e->largest <= TORC_DTLS_PATH_MAX);
      assert_int_equal(torc_dtls_mtu(e->d), e->mtu);
      assert_in_range(e->mtu, 1150, 1199);
      assert_int_equal(STAT(*e, retransmissions), 0);
      assert_int_equal(STAT(*e, alerts_in) + STAT(*e, alerts_out), 0);
    }
    assert_int_equal(STAT(p->ends[1], cookies_sent), is_validated == 0);
    say(&p->ends[0], 7, 1000);
    say(&p->ends[1], 8, p->ends[1].mtu);
    run(p, now + TORC_SEC(1));
    assert_int_equal(p->ends[1].last_len, 1000);
    assert_int_equal(p->ends[1].last[1], 7);
    assert_int_equal(p->ends[0].last_len, p->ends[1].mtu);
    assert_true(p->ends[1].largest <= TORC_DTLS_PATH_MAX); /* the longest message fits */
    pipe_free(p);
  }
}

/* Two round trips, three with a cookie. */
static void test_time(void **state) {
  (void)state;
  for (int is_validated = 0; is_validated < 2; is_validated++) {
    pipe *p = pipe_new(is_validated == 1, 1);
    torc_time rtts = is_validated == 1 ? 2 : 3;
    dial(p);
    run(p, T0 + rtts * TORC_MS(100) - 1);
    assert_int_equal(state_of(&p->ends[0]), TORC_DTLS_HANDSHAKE);
    run(p, T0 + rtts * TORC_MS(100));
    expect_up(p);
    pipe_free(p);
  }
}

static void test_shared_key(void **state) {
  torc_id wanted = hp_id(2);
  torc_id other = hp_id(3);
  (void)state;
  pipe *p = pipe_with(true, 1, shared_of(1, 7), shared_of(2, 7));
  p->ends[0].cfg.expected = wanted;
  dial(p);
  run(p, T0 + TORC_SEC(2));
  expect_up(p);
  assert_string_equal(SSL_get_cipher_name(p->ends[0].d->tls.ssl), "ECDHE-PSK-CHACHA20-POLY1305");
  torc_id own = hp_id(1);
  assert_memory_equal(&torc_dtls_cert(p->ends[1].d)->peers[0], &own, sizeof own);
  assert_memory_equal(&torc_dtls_cert(p->ends[0].d)->peers[0], &wanted, sizeof wanted);
  pipe_free(p);
  p = pipe_with(true, 1, shared_of(1, 7), shared_of(2, 8));
  dial(p);
  run(p, T0 + TORC_SEC(20));
  assert_int_equal(state_of(&p->ends[0]), TORC_DTLS_ENDED);
  assert_int_equal(state_of(&p->ends[1]), TORC_DTLS_ENDED);
  pipe_free(p);
  p = pipe_with(true, 1, shared_of(1, 7), shared_of(2, 7));
  p->ends[0].cfg.expected = other;
  dial(p);
  run(p, T0 + TORC_SEC(20));
  assert_int_equal(state_of(&p->ends[0]), TORC_DTLS_ENDED);
  assert_string_equal(torc_dtls_why(p->ends[0].d), "another peer than expected");
  pipe_free(p);
}

/* Another peer, not the CONNECT's certificate, another overlay: no link on either side. */
static void test_who(void **state) {
  static const struct {
    bool expects_other, refuses, is_foreign;
    int rc;
    const char *why;
  } cases[] = {{true, false, false, TORC_ERR_DENIED, "another peer than expected"},
               {false, true, false, TORC_ERR_DENIED, "not the certificate of the CONNECT"},
               {false, false, true, TORC_ERR_CRYPTO, "no peer-id of this overlay"}};
  (void)state;
  for (size_t side = 0; side < 2; side++) {
    for (size_t i = 0; i < TORC_ARRAY_LEN(cases); i++) {
      torc_pki *foreign =
          hp_pki_own(&ca, "other.example.org", &(hp_spec){.overlay = "other.example.org"});
      torc_pki *pkis[2] = {pki_of(1), pki_of(2)};
      if (cases[i].is_foreign) {
        torc_pki_free(pkis[1 - side]);
        pkis[1 - side] = foreign;
      } else {
        torc_pki_free(foreign);
      }
      pipe *p = pipe_with(true, 1, pkis[0], pkis[1]);
      end *e = &p->ends[side];
      e->cfg.expected = cases[i].expects_other ? hp_id(9) : torc_id_zero;
      e->refuses = cases[i].refuses;
      dial(p);
      run(p, T0 + TORC_SEC(20));
      assert_int_equal(state_of(&p->ends[0]), TORC_DTLS_ENDED);
      assert_int_equal(state_of(&p->ends[1]), TORC_DTLS_ENDED);
      if (!cases[i].is_foreign || side == 0) { /* else the foreign one refuses first */
        assert_int_equal(torc_dtls_rc(e->d), cases[i].rc);
        assert_string_equal(torc_dtls_why(e->d), cases[i].why);
      }
      assert_null(torc_dtls_cert(e->d));
      pipe_free(p);
    }
  }
}

/* As long as those with a post-quantum key. */
static void lengthen_hello(torc_tls_ctx *tls) {
  unsigned char protocols[5 * 251];
  memset(protocols, 'p', sizeof protocols);
  for (size_t i = 0; i < sizeof protocols; i += 251) {
    protocols[i] = 250;
  }
  assert_int_equal(SSL_CTX_set_alpn_protos(tls->ssl_ctx, protocols, sizeof protocols), 0);
}

/* A ClientHello that takes two datagrams: both orders, with a cookie and without. */
static void test_long_hello(void **state) {
  (void)state;
  for (int is_validated = 0; is_validated < 2; is_validated++) {
    for (int is_swapped = 0; is_swapped < 2; is_swapped++) {
      pipe *p = pipe_new(is_validated == 1, 1);
      lengthen_hello(p->ends[0].tls);
      p->delay = is_swapped == 1 ? TORC_MS(1) : TORC_MS(50);
      p->jitter = is_swapped == 1 ? TORC_MS(60) : 0;
      dial(p);
      assert_true(p->num >= 2); /* the ClientHello alone */
      run(p, T0 + TORC_SEC(8));
      expect_up(p);
      pipe_free(p);
    }
  }
}

/* ---- what happens on the way ---- */

/* Each datagram of the handshake is lost once. */
static void test_each_lost(void **state) {
  (void)state;
  for (int is_validated = 0; is_validated < 2; is_validated++) {
    pipe *whole = pipe_new(is_validated == 1, 1);
    dial(whole);
    run(whole, T0 + TORC_SEC(5));
    size_t num = (size_t)whole->sent;
    pipe_free(whole);
    for (size_t at = 1; at <= num; at++) {
      pipe *p = pipe_new(is_validated == 1, 1);
      p->drop_at = at;
      dial(p);
      run(p, T0 + TORC_SEC(5));
      expect_up(p);
      say(&p->ends[0], 1, 100);
      say(&p->ends[1], 2, 100);
      run(p, now + TORC_SEC(1));
      assert_true(p->ends[0].num_got == 1 && p->ends[1].num_got == 1);
      pipe_free(p);
    }
    assert_in_range(num, 4, 20);
  }
}

/* Loss, repetition and disorder of all kinds: it comes up, or fails with a reason; every message
 * comes at most once. */
static void test_bad_pipe(void **state) {
  size_t num_up = 0;
  size_t got = 0;
  (void)state;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    pipe *p = pipe_new(seed % 2 == 0, seed);
    p->loss_percent = (uint32_t)(seed % 3) * 10;
    p->twice_percent = (uint32_t)(seed % 5) * 10;
    p->jitter = TORC_MS(seed % 4 * 40);
    dial(p);
    run(p, T0 + TORC_SEC(12));
    assert_true(state_of(&p->ends[0]) != TORC_DTLS_HANDSHAKE);
    if (state_of(&p->ends[0]) == TORC_DTLS_UP && state_of(&p->ends[1]) == TORC_DTLS_UP) {
      num_up++;
      for (uint16_t k = 0; k < 200; k++) {
        say(&p->ends[k % 2], k, 500);
        run(p, now + TORC_MS(2));
      }
      run(p, now + TORC_SEC(2));
      expect_up(p); /* nothing of that ends a link */
      assert_int_equal(p->ends[0].num_twice + p->ends[1].num_twice, 0);
      got += p->ends[0].num_got + p->ends[1].num_got;
    }
    pipe_free(p);
  }
  assert_true(num_up >= 55);
  assert_in_range(got, num_up * 160, num_up * 195);
}

/* Nobody answers: repeated, then given up; nothing is left to do. */
static void test_silence(void **state) {
  (void)state;
  pipe *p = pipe_new(true, 1);
  p->loss_percent = 100;
  dial(p);
  run(p, T0 + TORC_DTLS_LIMIT - 1);
  assert_int_equal(state_of(&p->ends[0]), TORC_DTLS_HANDSHAKE);
  assert_in_range(STAT(p->ends[0], retransmissions), 4, 8);
  run(p, T0 + TORC_DTLS_LIMIT);
  assert_int_equal(torc_dtls_rc(p->ends[0].d), TORC_ERR_TIMEOUT);
  assert_int_equal(STAT(p->ends[0], handshake_timeouts), 1);
  assert_int_equal(torc_dtls_deadline(p->ends[0].d), TORC_NEVER);
  pipe_free(p);
}

static void test_close(void **state) {
  (void)state;
  pipe *p = pipe_new(true, 1);
  dial(p);
  run(p, T0 + TORC_SEC(1));
  expect_up(p);
  say(&p->ends[0], 1, 100);
  size_t num_waiting = 0;
  for (; torc_dtls_queued(p->ends[0].d) < 50000; num_waiting++) {
    say(&p->ends[0], 1, 1000);
  }
  torc_dtls_close(p->ends[0].d);
  assert_int_equal(torc_dtls_rc(p->ends[0].d), 0);
  uint8_t byte = 1;
  assert_int_equal(
      torc_dtls_send(p->ends[0].d, torc_slice_of(&byte, 1), torc_slice_of(NULL, 0), now),
      TORC_ERR_STATE);
  run(p, now + TORC_SEC(1));
  assert_int_equal(p->ends[1].num_got, 1 + num_waiting);
  assert_int_equal(torc_dtls_rc(p->ends[1].d), TORC_ERR_CLOSED);
  pipe_free(p);
}

/* Bytes that somebody else throws in, of any kind, end nothing. */
static void test_noise(void **state) {
  (void)state;
  pipe *p = pipe_new(true, 1);
  dial(p);
  run(p, T0 + TORC_SEC(1));
  expect_up(p);
  for (unsigned i = 0; i < 3000; i++) {
    uint8_t bytes[200];
    size_t len = 1 + torc_rng_below(&p->rng, sizeof bytes - 1);
    for (size_t k = 0; k < len; k++) {
      bytes[k] = (uint8_t)torc_rng_u64(&p->rng);
    }
    if (i % 2 == 0 && len > 13) { /* a record, as far as that goes */
      bytes[0] = (uint8_t)(20 + i % 4);
      bytes[1] = 0xfe;
      bytes[2] = 0xfd;
      bytes[3] = 0;
      bytes[4] = (uint8_t)(i % 3 == 0);
      bytes[11] = 0;
      bytes[12] = (uint8_t)(len - 13);
    }
    torc_dtls_input(p->ends[i % 4 / 2].d, torc_slice_of(bytes, len), now);
  }
  expect_up(p);
  say(&p->ends[0], 3, 300);
  run(p, now + TORC_SEC(1));
  assert_int_equal(p->ends[1].num_got, 1);
  pipe_free(p);
}

/* ---- the gate ---- */

/* A ClientHello as somebody would send it: the datagrams of a dialling side that is not heard of
 * again. */
static torc_slice a_hello(pipe *p, uint8_t *room) {
  p->num = 0;
  dial(p);
  assert_int_equal(p->num, 1);
  memcpy(room, p->flights[0].bytes, p->flights[0].len);
  torc_slice bytes = torc_slice_of(room, p->flights[0].len);
  torc_dtls_free(p->ends[0].d);
  p->ends[0].d = NULL;
  p->num = 0;
  return bytes;
}

static void address(torc_sock *out, unsigned a, unsigned b, uint16_t port) {
  char text[64];
  (void)snprintf(text, sizeof text, "10.%u.%u.1:%u", a, b, port);
  assert_int_equal(torc_sock_parse(text, out), 0);
}

/* Without a cookie of the address nothing is made, from however many addresses. */
static void test_cookie(void **state) {
  (void)state;
  pipe *p = pipe_new(false, 1);
  end *e = &p->ends[1];
  uint8_t room[DATAGRAM_MAX], with[DATAGRAM_MAX], reply[TORC_DTLS_REPLY_MAX];
  size_t len = 0;
  torc_sock one, two;
  torc_slice plain = a_hello(p, room);
  address(&one, 1, 1, 1000);
  address(&two, 1, 1, 1001);
  for (unsigned i = 0; i < 100000; i++) {
    torc_sock remote;
    address(&remote, i >> 8 & 255, i & 255, 999);
    assert_int_equal(torc_dtls_gate_judge(e->gate, &remote, false, plain, now, reply, &len),
                     TORC_DTLS_ANSWER);
    assert_true(len <= plain.len);
  }
  assert_int_equal(STAT(*e, cookies_sent), 100000);
  assert_int_equal(STAT(*e, handshakes_begun), 0);
  assert_int_equal(torc_dtls_gate_judge(e->gate, &one, false, plain, now, reply, &len),
                   TORC_DTLS_ANSWER);
  /* 13 + 12 bytes of headers, version, length of the cookie, cookie */
  assert_int_equal(reply[13], 3);
  assert_int_equal(reply[27], 16);
  assert_int_equal(len, 28 + 16);
  assert_int_equal(room[13 + 12 + 34], 0); /* no session, no cookie */
  assert_int_equal(room[13 + 12 + 35], 0);
  size_t at = 13 + 12 + 35;
  memcpy(with, room, at);
  with[at] = 16;
  memcpy(with + at + 1, reply + 28, 16);
  memcpy(with + at + 17, room + at + 1, plain.len - at - 1);
  with[12] = (uint8_t)(with[12] + 16);
  with[16] = (uint8_t)(with[16] + 16);
  with[24] = (uint8_t)(with[24] + 16);
  torc_slice good = torc_slice_of(with, plain.len + 16);
  assert_true(with[12] >= 16 && with[16] >= 16); /* no carry */
  assert_int_equal(torc_dtls_gate_judge(e->gate, &two, false, good, now, reply, &len),
                   TORC_DTLS_ANSWER); /* another port is another address */
  assert_int_equal(STAT(*e, cookies_bad), 1);
  assert_int_equal(torc_dtls_gate_judge(e->gate, &one, false, good, now, reply, &len),
                   TORC_DTLS_ACCEPT);
  torc_time later = now + TORC_DTLS_COOKIE_AGE;
  assert_int_equal(torc_dtls_gate_judge(e->gate, &one, false, good, later, reply, &len),
                   TORC_DTLS_ACCEPT); /* by the secret before */
  later += TORC_DTLS_COOKIE_AGE;
  assert_int_equal(torc_dtls_gate_judge(e->gate, &one, false, good, later, reply, &len),
                   TORC_DTLS_ANSWER);
  assert_int_equal(torc_dtls_gate_judge(e->gate, &one, true, plain, now, reply, &len),
                   TORC_DTLS_ACCEPT);               /* ICE has proved the address */
  for (size_t cut = 0; cut < 13 + 12 + 36; cut++) { /* and what is no ClientHello is dropped */
    assert_int_equal(
        torc_dtls_gate_judge(e->gate, &one, true, torc_slice_of(room, cut), now, reply, &len),
        TORC_DTLS_DROP);
  }
  room[0] = 23;
  assert_int_equal(torc_dtls_gate_judge(e->gate, &one, true, plain, now, reply, &len),
                   TORC_DTLS_DROP);
  pipe_free(p);
}

static int swallow(void *ctx, torc_slice bytes) {
  (void)ctx;
  (void)bytes;
  return 0;
}

static void count_evicted(void *ctx) {
  (*(size_t *)ctx)++;
}

/* Handshakes that never go on: so many at a time, of one address, and altogether; the oldest goes.
 */
static void test_half_open(void **state) {
  enum { NUM = 1000 };
  (void)state;
  for (int is_one_site = 0; is_one_site < 2; is_one_site++) {
    pipe *p = pipe_new(true, 1);
    end *e = &p->ends[1];
    uint8_t room[DATAGRAM_MAX];
    static torc_dtls *made[NUM];
    size_t evicted = 0;
    size_t limit = is_one_site == 1 ? TORC_DTLS_HALF_OPEN_SITE : TORC_DTLS_HALF_OPEN;
    torc_slice plain = a_hello(p, room);
    torc_dtls_config cfg = e->cfg;
    cfg.events = (torc_dtls_events){
        .ctx = &evicted, .datagram = swallow, .message = on_message, .evicted = count_evicted};
    for (unsigned i = 0; i < NUM; i++) {
      address(&cfg.remote, is_one_site == 1 ? 0 : i >> 8, is_one_site == 1 ? 0 : i & 255,
              (uint16_t)(1000 + i));
      assert_int_equal(torc_dtls_new(&made[i], e->gate, &cfg, now), 0);
      torc_dtls_input(made[i], plain, now);
      assert_true(torc_dtls_gate_half_open(e->gate) <= limit);
      assert_int_equal(evicted, i + 1 > limit ? i + 1 - limit : 0);
    }
    assert_int_equal(torc_dtls_rc(made[0]), TORC_ERR_LIMIT);
    assert_int_equal(torc_dtls_get_state(made[NUM - 1]), TORC_DTLS_HANDSHAKE);
    assert_int_equal(STAT(*e, half_open_evicted) + STAT(*e, half_open_ip_evicted), NUM - limit);
    now += TORC_DTLS_LIMIT;
    for (unsigned i = 0; i < NUM; i++) {
      torc_dtls_tick(made[i], now);
      assert_int_equal(torc_dtls_get_state(made[i]), TORC_DTLS_ENDED);
      torc_dtls_free(made[i]);
    }
    assert_int_equal(torc_dtls_gate_half_open(e->gate), 0);
    pipe_free(p);
  }
}

/* ---- path and rate ---- */

static void test_path(void **state) {
  uint8_t bytes[1400] = {0};
  (void)state;
  pipe *p = pipe_new(true, 1);
  end *e = &p->ends[0];
  dial(p);
  run(p, T0 + TORC_SEC(1));
  expect_up(p);
  uint32_t most = e->mtu;
  assert_int_equal(torc_dtls_send(e->d, torc_slice_of(bytes, most), torc_slice_of(bytes, 1), now),
                   TORC_ERR_SPACE);
  e->path = 1000; /* the system says so: a step down, twice */
  say(e, 1, most);
  assert_true(e->mtu < most - 100);
  say(e, 2, e->mtu);
  say(e, 3, e->mtu);
  run(p, now + TORC_SEC(1));
  assert_int_equal(p->ends[1].num_got, 1); /* the first two are lost */
  assert_in_range(e->mtu, 700, 768);
  uint32_t before = e->mtu;
  torc_dtls_path(e->d, 1100, now); /* what would make it wider is not believed */
  assert_int_equal(e->mtu, before);
  torc_dtls_path(e->d, 700, now);
  assert_in_range(e->mtu, 650, 700);
  torc_dtls_path(e->d, 1, now); /* nor less than anything takes */
  assert_in_range(e->mtu, 500, TORC_DTLS_PATH_MIN);
  assert_int_equal(STAT(*e, paths_lowered), 4);
  run(p, now + TORC_DTLS_PATH_AGE);
  assert_int_equal(e->mtu, most); /* the way may be another by then */
  pipe_free(p);
}

/* A narrow path in the handshake: smaller datagrams with the next repetition. */
static void test_path_in_handshake(void **state) {
  (void)state;
  pipe *p = pipe_new(true, 1);
  p->ends[0].path = 600;
  p->ends[1].path = 600;
  dial(p);
  run(p, T0 + TORC_SEC(9));
  expect_up(p);
  assert_true(p->ends[1].largest <= 600 && p->ends[0].largest <= 600);
  for (uint16_t i = 0; i < 4; i++) { /* what is left of the way down, messages go */
    say(&p->ends[1], i, p->ends[1].mtu);
  }
  run(p, now + TORC_SEC(1));
  assert_in_range(p->ends[1].mtu, 480, 600);
  assert_int_equal(p->ends[0].last_len, p->ends[1].mtu);
  pipe_free(p);
}

/* The bucket: a burst at once, then the rate; what waits is bounded. */
static void test_rate(void **state) {
  uint8_t bytes[1000] = {0};
  (void)state;
  pipe *p = pipe_new(true, 1);
  end *e = &p->ends[0];
  e->cfg.burst = 64u << 10;
  e->cfg.rate = 100000;
  dial(p);
  run(p, T0 + TORC_SEC(1));
  expect_up(p);
  size_t begun = e->num_sent;
  for (uint16_t i = 0; i < 100; i++) {
    say(e, i, 1000);
  }
  assert_in_range(e->num_sent - begun, 60, 62); /* 64 KiB in messages of 1,064 */
  assert_true(torc_dtls_queued(e->d) >= 38000);
  torc_time from = now;
  run(p, from + TORC_MS(200));
  assert_in_range(e->num_sent - begun, 78, 82);
  run(p, from + TORC_SEC(2));
  assert_int_equal(p->ends[1].num_got, 100);
  assert_int_equal(torc_dtls_queued(e->d), 0);
  int rc = 0;
  size_t num = 0;
  while (rc == 0) {
    rc = torc_dtls_send(e->d, torc_slice_of(bytes, 1000), torc_slice_of(NULL, 0), now);
    num++;
  }
  assert_int_equal(rc, TORC_ERR_LIMIT);
  assert_true(num < 64 + TORC_DTLS_QUEUE / 1000 + 2);
  assert_int_equal(STAT(*e, queue_dropped), 1);
  run(p, now + TORC_SEC(30));
  assert_int_equal(torc_dtls_queued(e->d), 0);
  assert_int_equal(torc_dtls_get_state(e->d), TORC_DTLS_UP);
  pipe_free(p);
}

/* From within `message`, as a node that answers does. */
static void test_echo(void **state) {
  (void)state;
  pipe *p = pipe_new(true, 1);
  dial(p);
  run(p, T0 + TORC_SEC(1));
  expect_up(p);
  p->ends[1].echoes = true;
  for (uint16_t i = 0; i < 50; i++) {
    say(&p->ends[0], i, 900);
  }
  run(p, now + TORC_SEC(1));
  assert_int_equal(p->ends[0].num_got, 50);
  assert_int_equal(p->ends[0].num_twice, 0);
  pipe_free(p);
}

static int set_up(void **state) {
  (void)state;
  hp_ca_make(&ca, "root", true);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  hp_ca_free(&ca);
  return 0;
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      TORC_TEST("TLS-02 TLS-06 TLS-08 GAP-161 a handshake, and messages", test_handshake),
      TORC_TEST("TLS-02 two round trips, three with a cookie", test_time),
      TORC_TEST("D-18 SEC-06 shared key", test_shared_key),
      TORC_TEST("TLS-07 CON-08 who it is", test_who),
      TORC_TEST("TLS-02 a ClientHello in several datagrams", test_long_hello),
      TORC_TEST("TLS-02 each datagram of a handshake lost once", test_each_lost),
      TORC_TEST("TLS-02 loss, repetition, disorder", test_bad_pipe),
      TORC_TEST("TLS-02 nobody answers", test_silence),
      TORC_TEST("TLS-02 close_notify", test_close),
      TORC_TEST("TLS-02 noise ends no link", test_noise),
      TORC_TEST("TLS-02 GAP-82 no memory without a cookie", test_cookie),
      TORC_TEST("TLS-02 half-open handshakes are bounded", test_half_open),
      TORC_TEST("GAP-47 TLS-05 the path becomes narrower", test_path),
      TORC_TEST("GAP-47 a narrow path from the first", test_path_in_handshake),
      TORC_TEST("GAP-47 a token bucket", test_rate),
      TORC_TEST("TLS-02 an answer from within", test_echo),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
