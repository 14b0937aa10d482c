/* UDP sockets on loopback.
 * SPDX-License-Identifier: Apache-2.0 */
#include "io/udp.h"

#include <stdlib.h>

#include "base/slice.h"
#include "torc_test.h"

#define DEADLINE 10000000000u /* ns */

typedef struct end {
  torc_udp *u;
  torc_udp_stats stats;
  size_t num, bytes, num_unreachable, num_turns, num_closed;
  uint32_t mtu;
  torc_sock from, lost;
  uint8_t last[2048];
  size_t last_len;
  bool is_echo, closes;
} end;

static uv_loop_t loop;
static uint8_t *read_buf;

static int begin(void **state) {
  (void)state;
  read_buf = malloc((size_t)TORC_UDP_BATCH * TORC_UDP_DATAGRAM_MAX);
  return read_buf == NULL ? -1 : uv_loop_init(&loop);
}

static int finish(void **state) {
  (void)state;
  assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
  assert_int_equal(uv_loop_close(&loop), 0);
  free(read_buf);
  return 0;
}

static void on_closed(void *ctx) {
  ((end *)ctx)->num_closed++;
}

static void on_datagram(void *ctx, torc_udp *u, const torc_sock *remote, torc_slice bytes) {
  end *e = ctx;
  assert_ptr_equal(u, e->u);
  e->num++;
  e->bytes += bytes.len;
  e->from = *remote;
  e->last_len = bytes.len < sizeof e->last ? bytes.len : sizeof e->last;
  memcpy(e->last, bytes.p, e->last_len);
  if (e->is_echo) {
    assert_int_equal(torc_udp_send(u, remote, bytes), 0);
  }
  if (e->closes) {
    torc_udp_close(u, on_closed, e);
    e->u = NULL;
  }
}

static void on_unreachable(void *ctx, torc_udp *u, const torc_sock *remote, uint32_t mtu) {
  end *e = ctx;
  assert_ptr_equal(u, e->u);
  e->num_unreachable++;
  e->lost = *remote;
  e->mtu = mtu;
}

static void on_turn(void *ctx) {
  ((end *)ctx)->num_turns++;
}

static void open_end(end *e, const char *address) {
  torc_udp_events events = {
      .ctx = e, .datagram = on_datagram, .unreachable = on_unreachable, .turn = on_turn};
  torc_sock local;
  memset(e, 0, sizeof *e);
  assert_int_equal(torc_sock_parse(address, &local), 0);
  assert_int_equal(torc_udp_open(&e->u, &loop, &local, read_buf, &events, &e->stats), 0);
  assert_int_not_equal(torc_sock_port(torc_udp_local(e->u)), 0);
}

static void wait_for(const size_t *what, size_t want) {
  uint64_t end_at = uv_hrtime() + DEADLINE;
  while (*what < want && uv_hrtime() < end_at) {
    (void)uv_run(&loop, UV_RUN_NOWAIT);
  }
  assert_true(*what >= want);
}

static void close_end(end *e) {
  torc_udp_close(e->u, on_closed, e);
  e->u = NULL;
  wait_for(&e->num_closed, 1);
}

static void exchange(const char *address) {
  end a;
  end b;
  uint8_t bytes[1200];
  for (size_t i = 0; i < sizeof bytes; i++) {
    bytes[i] = (uint8_t)(i * 7);
  }
  open_end(&a, address);
  open_end(&b, address);
  b.is_echo = true;
  for (size_t len = 1; len <= sizeof bytes; len += 109) {
    size_t before = a.num;
    assert_int_equal(torc_udp_send(a.u, torc_udp_local(b.u), torc_slice_of(bytes, len)), 0);
    wait_for(&a.num, before + 1);
    assert_int_equal(a.last_len, len);
    assert_memory_equal(a.last, bytes, len);
    assert_true(torc_sock_eq(&a.from, torc_udp_local(b.u)));
    assert_true(torc_sock_eq(&b.from, torc_udp_local(a.u)));
  }
  assert_true(a.num_turns > 0);
  assert_int_equal(a.stats.datagrams_in, a.num);
  assert_int_equal(a.stats.bytes_in, a.bytes);
  assert_int_equal(a.stats.datagrams_out, b.num);
  close_end(&a);
  close_end(&b);
}

static void test_GAP_82_ipv4(void **state) {
  (void)state;
  exchange("127.0.0.1:0");
}

static void test_GAP_82_ipv6(void **state) {
  (void)state;
  exchange("[::1]:0");
}

/* More at once than one system call reads. */
static void test_batches(void **state) {
  (void)state;
  end a;
  end b;
  uint8_t byte = 9;
  open_end(&a, "127.0.0.1:0");
  open_end(&b, "127.0.0.1:0");
  for (size_t i = 0; i < 5 * TORC_UDP_BATCH + 3; i++) {
    assert_int_equal(torc_udp_send(a.u, torc_udp_local(b.u), torc_slice_of(&byte, 1)), 0);
  }
  wait_for(&b.num, 5 * TORC_UDP_BATCH + 3);
  assert_true(b.num_turns < b.num);
  close_end(&a);
  close_end(&b);
}

/* ICMP says that nobody is there: told with the address, of which there are several, and later
 * datagrams to others leave all the same. */
static void test_nobody_there(void **state) {
  (void)state;
  end a;
  end b;
  end gone;
  uint8_t byte = 1;
  open_end(&a, "127.0.0.1:0");
  open_end(&b, "127.0.0.1:0");
  open_end(&gone, "127.0.0.1:0");
  torc_sock lost = *torc_udp_local(gone.u);
  close_end(&gone);
  for (size_t i = 1; i <= 5; i++) {
    assert_int_equal(torc_udp_send(a.u, &lost, torc_slice_of(&byte, 1)), 0);
    assert_int_equal(torc_udp_send(a.u, torc_udp_local(b.u), torc_slice_of(&byte, 1)), 0);
    wait_for(&a.num_unreachable, i);
    assert_true(torc_sock_eq(&a.lost, &lost));
    assert_int_equal(a.mtu, 0);
    wait_for(&b.num, i);
  }
  assert_int_equal(a.stats.icmp_errors, 5);
  close_end(&a);
  close_end(&b);
}

static void test_too_long(void **state) {
  (void)state;
  end a;
  uint8_t *bytes = calloc(1, 70000);
  open_end(&a, "127.0.0.1:0");
  assert_non_null(bytes);
  assert_int_equal(torc_udp_send(a.u, torc_udp_local(a.u), torc_slice_of(bytes, 70000)),
                   TORC_ERR_SPACE);
  assert_int_equal(a.stats.failed, 1);
  torc_sock v6;
  assert_int_equal(torc_sock_parse("[::1]:9", &v6), 0);
  assert_int_equal(torc_udp_send(a.u, &v6, torc_slice_of(bytes, 1)), TORC_ERR_INVALID);
  close_end(&a);
  free(bytes);
}

static void test_port_taken(void **state) {
  (void)state;
  end a;
  torc_udp *u = NULL;
  torc_udp_stats stats;
  torc_udp_events events = {.ctx = NULL};
  open_end(&a, "127.0.0.1:0");
  assert_int_equal(torc_udp_open(&u, &loop, torc_udp_local(a.u), read_buf, &events, &stats),
                   TORC_ERR_EXISTS);
  torc_sock foreign;
  assert_int_equal(torc_sock_parse("192.0.2.1:0", &foreign), 0);
  assert_int_equal(torc_udp_open(&u, &loop, &foreign, read_buf, &events, &stats), TORC_ERR_IO);
  assert_null(u);
  close_end(&a);
}

static void test_close_from_inside(void **state) {
  (void)state;
  end a;
  end b;
  uint8_t byte = 1;
  open_end(&a, "127.0.0.1:0");
  open_end(&b, "127.0.0.1:0");
  b.closes = true;
  torc_sock to = *torc_udp_local(b.u);
  for (int i = 0; i < 40; i++) {
    assert_int_equal(torc_udp_send(a.u, &to, torc_slice_of(&byte, 1)), 0);
  }
  wait_for(&b.num_closed, 1);
  assert_int_equal(b.num, 1);
  close_end(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_GAP_82_ipv4, begin, finish),
      cmocka_unit_test_setup_teardown(test_GAP_82_ipv6, begin, finish),
      cmocka_unit_test_setup_teardown(test_batches, begin, finish),
      cmocka_unit_test_setup_teardown(test_nobody_there, begin, finish),
      cmocka_unit_test_setup_teardown(test_too_long, begin, finish),
      cmocka_unit_test_setup_teardown(test_port_taken, begin, finish),
      cmocka_unit_test_setup_teardown(test_close_from_inside, begin, finish),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
