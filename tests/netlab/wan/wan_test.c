/* The WAN's parts in virtual time: shaping, the bounded queue, routes, commands.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "torc_test.h"
#include "wan_command.h"
#include "wan_core.h"

#define MS 1000000ull
#define NUM_PACKETS 8

typedef struct bed {
  wan_core core;
  wan_queue *queue;
  char reply[WAN_REPLY_LEN];
} bed;

static const char *no_device(void *ctx, size_t index, const char *path) {
  (void)ctx;
  (void)index;
  return strcmp(path, "/nowhere") == 0 ? "no namespace" : NULL;
}

static const char *command(bed *b, const char *text) {
  const wan_commander commander = {.core = &b->core, .open_device = no_device};
  char line[WAN_COMMAND_LEN];
  assert_true(strlen(text) < sizeof line);
  strcpy(line, text);
  wan_command_run(&commander, line, b->reply, sizeof b->reply);
  return b->reply;
}

static int set_up(void **state) {
  bed *b = calloc(1, sizeof *b);
  b->queue = wan_queue_new(NUM_PACKETS);
  assert_non_null(b->queue);
  wan_core_init(&b->core, b->queue, 7);
  assert_string_equal(command(b, "add a /run/netns/a"), "ok");
  assert_string_equal(command(b, "add b /run/netns/b"), "ok");
  assert_string_equal(command(b, "route 192.0.2.1/32 a"), "ok");
  assert_string_equal(command(b, "route 192.0.2.2/32 b"), "ok");
  assert_string_equal(command(b, "route 2001:db8::2/128 b"), "ok");
  *state = b;
  return 0;
}

static int tear_down(void **state) {
  bed *b = *state;
  wan_queue_free(b->queue);
  free(b);
  return 0;
}

/* Sends 100 bytes by `name` to an address; false: no slot was free. */
static bool send_from(bed *b, const char *name, const char *header, uint64_t now_ns) {
  wan_packet *packet = wan_queue_take(b->queue);
  if (packet == NULL) {
    return false;
  }
  memset(packet->bytes, 0, 100);
  (void)torc_unhex(header, packet->bytes, 100);
  packet->len = 100;
  wan_core_input(&b->core, wan_core_find(&b->core, name), packet, now_ns);
  return true;
}

#define TO_V4_B "45000064 00000000 40110000 c0000201 c0000202"
#define TO_V4_A "45000064 00000000 40110000 c0000201 c0000201"
#define TO_V6_B \
  "60000000 003c1140 20010db8000000000000000000000001 20010db8000000000000000000000002"
#define TO_NOBODY "45000064 00000000 40110000 c0000201 c0000203"

/* Whether something leaves by `name` at `now_ns`. */
static bool leaves(bed *b, const char *name, uint64_t now_ns) {
  wan_link *link = NULL;
  wan_packet *packet = wan_core_output(&b->core, now_ns, &link);
  if (packet == NULL) {
    return false;
  }
  assert_string_equal(link->name, name);
  assert_int_equal(packet->len, 100);
  wan_queue_release(b->queue, packet);
  return true;
}

static void test_delay(void **state) {
  bed *b = *state;
  command(b, "set a up 10000 0 0 0 0");
  command(b, "set b down 5000 0 0 0 0");
  command(b, "set a down 999000 0 0 0 0"); /* the way back: not this packet's */
  assert_true(send_from(b, "a", TO_V4_B, 0));
  assert_false(leaves(b, "b", 15 * MS - 1));
  assert_true(leaves(b, "b", 15 * MS));
  assert_true(send_from(b, "a", TO_V6_B, 20 * MS));
  assert_false(leaves(b, "b", 35 * MS - 1));
  assert_true(leaves(b, "b", 35 * MS));
  assert_int_equal(wan_queue_deadline(b->queue), WAN_NEVER);
}

static void test_routes(void **state) {
  bed *b = *state;
  assert_true(send_from(b, "a", TO_NOBODY, 0));
  assert_true(send_from(b, "a", TO_V4_A, 0));             /* back where it came from */
  assert_true(send_from(b, "a", "75000064 00000000", 0)); /* no version of IP */
  assert_false(leaves(b, "b", 0));
  assert_int_equal(b->core.links[0].counters.unroutable, 3);
  assert_string_equal(command(b, "route 192.0.2.0/24 b"), "ok"); /* the shorter prefix comes last */
  assert_true(send_from(b, "b", TO_V4_A, 0));
  assert_true(leaves(b, "a", 0));
  assert_true(send_from(b, "a", TO_NOBODY, 0));
  assert_true(leaves(b, "b", 0));
  assert_string_equal(command(b, "route 192.0.2.1/32 b"), "ok"); /* moved */
  assert_true(send_from(b, "a", TO_V4_A, 0));
  assert_true(leaves(b, "b", 0));
  assert_string_equal(command(b, "unroute 192.0.2.0/24"), "ok");
  assert_string_equal(command(b, "unroute 192.0.2.0/24"), "error no such route");
  assert_true(send_from(b, "a", TO_NOBODY, 0));
  assert_false(leaves(b, "b", 0));
  assert_int_equal(wan_queue_num_free(b->queue), NUM_PACKETS);
}

static void test_memory_is_bounded(void **state) {
  bed *b = *state;
  command(b, "set a up 10000 0 0 0 0");
  for (int i = 0; i < NUM_PACKETS; i++) {
    assert_true(send_from(b, "a", TO_V4_B, 0));
  }
  assert_false(send_from(b, "a", TO_V4_B, 0));
  for (int i = 0; i < NUM_PACKETS; i++) {
    assert_true(leaves(b, "b", 10 * MS));
  }
  assert_false(leaves(b, "b", 10 * MS));
  assert_true(send_from(b, "a", TO_V4_B, 10 * MS));
}

static void test_cut(void **state) {
  bed *b = *state;
  command(b, "set a up 10000 0 0 0 0");
  assert_true(send_from(b, "a", TO_V4_B, 0)); /* under way when the other end is cut */
  assert_string_equal(command(b, "cut b"), "ok");
  assert_false(leaves(b, "b", 10 * MS));
  assert_true(send_from(b, "b", TO_V4_A, 20 * MS));
  assert_int_equal(b->core.links[1].counters.cut, 2);
  assert_string_equal(command(b, "mend b"), "ok");
  assert_true(send_from(b, "b", TO_V4_A, 30 * MS));
  assert_true(leaves(b, "a", 30 * MS));
  assert_int_equal(wan_queue_num_free(b->queue), NUM_PACKETS);
}

static void test_loss_and_jitter(void **state) {
  (void)state;
  wan_random random = {.state = 42};
  wan_shape shape = {.numbers = {.delay_us = 10000, .jitter_us = 4000, .loss_ppm = 100000}};
  uint64_t last = 0;
  uint64_t least = UINT64_MAX;
  uint64_t most = 0;
  int num_lost = 0;
  for (uint64_t i = 0; i < 10000; i++) {
    uint64_t sent = i * 100 * MS;
    uint64_t at = 0;
    if (wan_shape_admit(&shape, &random, 100, sent, &at) == WAN_LOST) {
      num_lost++;
      continue;
    }
    assert_true(at >= last);
    last = at;
    least = at - sent < least ? at - sent : least;
    most = at - sent > most ? at - sent : most;
  }
  assert_in_range(num_lost, 850, 1150); /* 1000, deviation 30 */
  assert_in_range(least, 6 * MS, 6 * MS + MS / 20);
  assert_in_range(most, 14 * MS - MS / 20, 14 * MS);
}

static void test_jitter_keeps_order(void **state) {
  (void)state;
  wan_random random = {.state = 1};
  wan_shape shape = {.numbers = {.delay_us = 1000, .jitter_us = 5000}};
  uint64_t last = 0;
  for (uint64_t i = 0; i < 1000; i++) {
    uint64_t at = 0;
    assert_int_equal(wan_shape_admit(&shape, &random, 100, i * 1000, &at), WAN_PASS);
    assert_true(at >= last && at >= i * 1000);
    last = at;
  }
}

/* 8 Mbit/s: 1000 bytes a millisecond. */
static void test_rate_and_queue(void **state) {
  (void)state;
  wan_random random = {.state = 1};
  wan_shape shape = {.numbers = {.rate_kbit = 8000, .queue_us = 3000}};
  uint64_t at = 0;
  for (uint64_t i = 1; i <= 4; i++) {
    assert_int_equal(wan_shape_admit(&shape, &random, 1000, 0, &at), WAN_PASS);
    assert_int_equal(at, i * MS);
  }
  assert_int_equal(wan_shape_admit(&shape, &random, 1000, 0, &at), WAN_FULL);
  assert_int_equal(wan_shape_admit(&shape, &random, 1000, 1 * MS, &at), WAN_PASS);
  assert_int_equal(at, 5 * MS);
  assert_int_equal(wan_shape_admit(&shape, &random, 500, 100 * MS, &at), WAN_PASS);
  assert_int_equal(at, 100 * MS + MS / 2);
}

static void test_commands(void **state) {
  static const struct {
    const char *line, *reply;
  } cases[] = {
      {"", "error no such command"},
      {"jump a", "error no such command"},
      {"cut", "error wrong number of words"},
      {"cut c", "error no such link"},
      {"mend c", "error no such link"},
      {"set c up 1 1 1 1 1", "error no such link"},
      {"set a sideways 1 1 1 1 1", "error a direction is up or down"},
      {"set a up 1 1 1 1 -1", "error numbers are whole and below 2^31"},
      {"set a up 1 1 1 1 2147483648", "error numbers are whole and below 2^31"},
      {"set a up 1 1 1 1 1.5", "error numbers are whole and below 2^31"},
      {"set a up 1 1 1 1 1 1", "error too many words"},
      {"set a up 1 1 1 1", "error wrong number of words"},
      {"set a up 1 2 3 4 5", "ok"},
      {"route 192.0.2.1 a", "error a prefix is ADDRESS/BITS"},
      {"route 192.0.2.1/33 a", "error a prefix is ADDRESS/BITS"},
      {"route 2001:db8::/129 a", "error a prefix is ADDRESS/BITS"},
      {"route 192.0.2.1/ a", "error a prefix is ADDRESS/BITS"},
      {"route 192.0.2.9/32 c", "error no such link"},
      {"unroute 192.0.2.9/32", "error no such route"},
      {"unroute x", "error a prefix is ADDRESS/BITS"},
      {"add a /run/netns/a", "error the name is taken or too long, or there are too many links"},
      {"add c /nowhere", "error no namespace"},
      {"cut c", "error no such link"}, /* what could not be opened is not there */
      {"add c /run/netns/c", "ok"},
  };
  bed *b = *state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_string_equal(command(b, cases[i].line), cases[i].reply);
  }
  assert_true(send_from(b, "a", TO_NOBODY, 0));
  assert_non_null(
      strstr(command(b, "stats"),
             "{\"free_packets\":8,\"links\":{\"a\":{\"entered\":1,\"left\":0,\"lost\":0,"
             "\"full\":0,\"cut\":0,\"unroutable\":1,\"memory\":0,\"refused\":0},\"b\""));
}

static void test_limits(void **state) {
  bed *b = *state;
  for (int i = 2; i < WAN_MAX_LINKS; i++) {
    char line[64];
    (void)snprintf(line, sizeof line, "add n%d /run/netns/n", i);
    assert_string_equal(command(b, line), "ok");
  }
  assert_string_not_equal(command(b, "add more /run/netns/n"), "ok");
  for (int i = 3; i < WAN_MAX_ROUTES; i++) {
    char line[64];
    (void)snprintf(line, sizeof line, "route 10.0.%d.%d/32 a", i / 256, i % 256);
    assert_string_equal(command(b, line), "ok");
  }
  assert_string_equal(command(b, "route 10.1.0.0/16 a"), "error too many routes");
  assert_int_equal(strncmp(command(b, "stats"), "{\"free", 6), 0);
  assert_int_equal(b->reply[strlen(b->reply) - 1], '}');
}

#define WAN_TEST(name, fn) \
  { name, fn, set_up, tear_down, NULL }

int main(void) {
  const struct CMUnitTest tests[] = {
      WAN_TEST("a packet leaves after both links' delays, IPv4 and IPv6", test_delay),
      WAN_TEST("the longest prefix decides, nothing goes back", test_routes),
      WAN_TEST("no more packets than slots", test_memory_is_bounded),
      WAN_TEST("a cut link drops what enters, leaves and was under way", test_cut),
      WAN_TEST("commands and their errors", test_commands),
      WAN_TEST("links and routes are bounded", test_limits),
      TORC_TEST("loss and jitter are as set", test_loss_and_jitter),
      TORC_TEST("jitter overtakes nothing", test_jitter_keeps_order),
      TORC_TEST("rate and queue", test_rate_and_queue),
  };
  return TORC_RUN(tests);
}
