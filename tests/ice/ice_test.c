/* Two agents find a pair: over every kind of NAT, UDP and TCP, IPv4 and IPv6, with loss, and as
 * fast as is promised. SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"
#include "ice/helper_lab.h"
#include "torc_test.h"

#define RTT (2 * l.delay)

static void begin(lab *l, uint64_t seed) {
  lab_init(l, seed);
}

/* Both know everything at once; agent 0 is controlling. */
static void connect_both(lab *l) {
  lab_open(l, 0, true);
  lab_open(l, 1, false);
  lab_tell(l, 1);
  lab_tell(l, 0);
  lab_run_to_end(l, TORC_SEC(20));
}

static void assert_agreed(const lab *l) {
  const lab_agent *a = l->agents;
  assert_true(a[0].is_selected && a[1].is_selected);
  assert_int_equal(a[0].num_selected, 1);
  assert_int_equal(a[1].num_selected, 1);
  assert_true(a[0].pair.socket != 0 && a[1].pair.socket != 0);
  assert_int_equal(a[0].pair.transport, a[1].pair.transport);
}

/* ---- NATs ---- */

typedef struct box {
  bool is_nat;
  lab_dependence mapping, filtering;
} box;

#define OPEN \
  { false, LAB_ENDPOINT, LAB_ENDPOINT }
#define FULL_CONE \
  { true, LAB_ENDPOINT, LAB_ENDPOINT }
#define ADDRESS_RESTRICTED \
  { true, LAB_ENDPOINT, LAB_ADDRESS }
#define PORT_RESTRICTED \
  { true, LAB_ENDPOINT, LAB_PORT }
#define SYMMETRIC \
  { true, LAB_PORT, LAB_PORT }
#define BY_ADDRESS \
  { true, LAB_ADDRESS, LAB_ADDRESS }

typedef struct nat_case {
  box boxes[2];
  bool is_direct;
} nat_case;

static void place(lab *l, int agent, const box *b) {
  static const char *const outside[] = {"198.51.100.1", "198.51.100.2"};
  static const char *const inside[] = {"10.0.0.2", "192.168.1.2"};
  static const char *const open[] = {"192.0.2.1", "192.0.2.2"};
  static const char *const relay[] = {"203.0.113.10", "203.0.113.20"};
  lab_nat *nat = b->is_nat ? lab_add_nat(l, outside[agent], b->mapping, b->filtering) : NULL;
  lab_udp(l, agent, nat != NULL ? inside[agent] : open[agent], 5000, nat);
  lab_relay(l, agent, relay[agent], 6000);
}

static void test_nats(void **state) {
  const nat_case *c = *state;
  for (uint64_t seed = 1; seed <= 5; seed++) {
    lab l;
    bool is_relayed;
    begin(&l, seed);
    place(&l, 0, &c->boxes[0]);
    place(&l, 1, &c->boxes[1]);
    connect_both(&l);
    assert_agreed(&l);
    is_relayed = l.agents[0].pair.local_type == TORC_CAND_RELAY ||
                 l.agents[0].pair.remote_type == TORC_CAND_RELAY;
    assert_int_equal(is_relayed, !c->is_direct);
    lab_clear(&l);
  }
}

static nat_case nat_cases[] = {
    {{OPEN, OPEN}, true},
    {{OPEN, SYMMETRIC}, true},
    {{SYMMETRIC, OPEN}, true},
    {{FULL_CONE, FULL_CONE}, true},
    {{FULL_CONE, SYMMETRIC}, true},
    {{ADDRESS_RESTRICTED, ADDRESS_RESTRICTED}, true},
    {{ADDRESS_RESTRICTED, SYMMETRIC}, true},
    {{PORT_RESTRICTED, PORT_RESTRICTED}, true},
    {{PORT_RESTRICTED, SYMMETRIC}, false},
    {{SYMMETRIC, SYMMETRIC}, false},
    {{BY_ADDRESS, BY_ADDRESS}, false},
    {{OPEN, BY_ADDRESS}, true},
    {{BY_ADDRESS, PORT_RESTRICTED}, false},
};

/* ---- families and transports ---- */

static void test_ip6(void **state) {
  lab l;
  (void)state;
  begin(&l, 1);
  lab_udp(&l, 0, "2001:db8::1", 5000, NULL);
  lab_udp(&l, 1, "192.0.2.2", 5000, NULL);
  lab_udp(&l, 1, "2001:db8::2", 5000, NULL);
  connect_both(&l);
  assert_agreed(&l);
  assert_int_equal(l.agents[0].pair.remote.family, 2);
  assert_int_equal(l.agents[0].pair.local_type, TORC_CAND_HOST);
  lab_clear(&l);
}

static void test_tcp(void **state) {
  const bool *is_controlling_active = *state;
  int active = *is_controlling_active ? 0 : 1;
  lab l;
  begin(&l, 2);
  lab_udp(&l, 0, "192.0.2.1", 5000, NULL);
  lab_udp(&l, 1, "192.0.2.2", 5000, NULL);
  lab_tcp(&l, active, active == 0 ? "192.0.2.1" : "192.0.2.2", 0, TORC_TCPTYPE_ACTIVE, NULL);
  lab_tcp(&l, 1 - active, active == 0 ? "192.0.2.2" : "192.0.2.1", 7000, TORC_TCPTYPE_PASSIVE,
          NULL);
  lab_open(&l, 0, true);
  lab_open(&l, 1, false);
  lab_tell(&l, 1); /* as CONNECT does: the answerer is half a round trip ahead */
  lab_run(&l, l.delay);
  lab_tell(&l, 0);
  lab_run_to_end(&l, TORC_SEC(20));
  assert_agreed(&l);
  assert_int_equal(l.agents[0].pair.transport, TORC_CAND_TCP);
  assert_int_equal(l.agents[0].num_connects + l.agents[1].num_connects, 1);
  /* Both name the same connection. */
  assert_int_equal(l.sockets[l.agents[0].pair.socket - 1].peer, l.agents[1].pair.socket);
  /* [ICE-19] and nothing was sent on it, nor closed, from then on. */
  lab_run(&l, TORC_SEC(60));
  assert_int_equal(l.agents[0].num_closes + l.agents[1].num_closes, 0);
  assert_int_equal(lab_count(&l, 0, "consent_sent"), 0);
  lab_clear(&l);
}

/* Two connections stand; one is selected on both sides, the other closed. */
static void test_tcp_both(void **state) {
  size_t num_open = 0;
  lab l;
  (void)state;
  begin(&l, 6);
  for (int i = 0; i < 2; i++) {
    const char *ip = i == 0 ? "192.0.2.1" : "192.0.2.2";
    lab_tcp(&l, i, ip, 0, TORC_TCPTYPE_ACTIVE, NULL);
    lab_tcp(&l, i, ip, 7000, TORC_TCPTYPE_PASSIVE, NULL);
  }
  connect_both(&l);
  assert_agreed(&l);
  assert_int_equal(l.agents[0].num_connects + l.agents[1].num_connects, 2);
  assert_int_equal(l.sockets[l.agents[0].pair.socket - 1].peer, l.agents[1].pair.socket);
  lab_run(&l, TORC_SEC(1));
  for (size_t i = 0; i < l.num_sockets; i++) {
    num_open += l.sockets[i].kind == LAB_TCP && l.sockets[i].is_open ? 1 : 0;
  }
  assert_int_equal(num_open, 2); /* its two ends */
  lab_clear(&l);
}

static void test_so(void **state) {
  lab l;
  lab_nat *a;
  lab_nat *b;
  (void)state;
  begin(&l, 3);
  a = lab_add_nat(&l, "198.51.100.1", LAB_ENDPOINT, LAB_PORT);
  b = lab_add_nat(&l, "198.51.100.2", LAB_ENDPOINT, LAB_PORT);
  a->drops_udp = true;
  b->drops_udp = true;
  lab_udp(&l, 0, "10.0.0.2", 5000, a);
  lab_udp(&l, 1, "192.168.1.2", 5000, b);
  for (int i = 0; i < 2; i++) { /* one port for listening and for this */
    const char *ip = i == 0 ? "10.0.0.2" : "192.168.1.2";
    lab_tcp(&l, i, ip, 7000, TORC_TCPTYPE_PASSIVE, i == 0 ? a : b);
    lab_tcp(&l, i, ip, 7000, TORC_TCPTYPE_SO, i == 0 ? a : b);
  }
  connect_both(&l);
  assert_agreed(&l);
  assert_int_equal(l.agents[0].pair.transport, TORC_CAND_TCP);
  assert_int_equal(l.sockets[l.agents[0].pair.socket - 1].peer, l.agents[1].pair.socket);
  lab_clear(&l);
}

/* A passive candidate that only the other side's check reveals. */
static void test_prflx(void **state) {
  lab l;
  lab_nat *nat;
  (void)state;
  begin(&l, 4);
  nat = lab_add_nat(&l, "198.51.100.1", LAB_ENDPOINT, LAB_PORT);
  lab_udp(&l, 0, "10.0.0.2", 5000, nat);
  l.agents[0].num_locals = 1; /* it does not know its own mapping */
  lab_udp(&l, 1, "192.0.2.2", 5000, NULL);
  connect_both(&l);
  assert_agreed(&l);
  assert_int_equal(l.agents[0].pair.local_type, TORC_CAND_PRFLX);
  assert_int_equal(l.agents[1].pair.remote_type, TORC_CAND_PRFLX);
  assert_true(torc_stun_addr_eq(&l.agents[0].pair.mapped, &l.agents[1].pair.remote));
  lab_clear(&l);
}

/* ---- time ---- */

static const torc_time delays[] = {0, 10000, 50000, 150000}; /* one way */

static void assert_speed(const lab *l, int later, torc_time rtt) {
  const lab_agent *a = l->agents;
  torc_time from = a[later].first_send;
  torc_time valid = a[0].valid_at < a[1].valid_at ? a[0].valid_at : a[1].valid_at;
  torc_time selected = a[0].selected_at < a[1].selected_at ? a[0].selected_at : a[1].selected_at;
  assert_true(valid <= from + rtt + TORC_MS(10));
  assert_true(selected <= from + 2 * rtt + TORC_MS(10));
}

/* CONNECT: the answerer checks first, then its answer takes half a round trip. */
static void test_speed(void **state) {
  const box *b = *state;
  for (size_t i = 0; i < TORC_ARRAY_LEN(delays); i++) {
    for (int first = 0; first < 2; first++) {
      lab l;
      begin(&l, 5);
      l.delay = delays[i];
      place(&l, 0, b);
      place(&l, 1, b);
      lab_open(&l, 0, true);
      lab_open(&l, 1, false);
      lab_tell(&l, first);
      lab_run(&l, l.delay);
      lab_tell(&l, 1 - first);
      lab_run_to_end(&l, TORC_SEC(20));
      assert_agreed(&l);
      assert_speed(&l, 1 - first, RTT);
      lab_clear(&l);
    }
  }
}

static box speed_open = OPEN;
static box speed_cone = PORT_RESTRICTED;

int main(void) {
  static bool yes = true;
  static bool no = false;
  const struct CMUnitTest tests[] = {
      TORC_CASE("ICE-02 ICE-28 open and open", test_nats, &nat_cases[0]),
      TORC_CASE("ICE-02 ICE-28 open and symmetric", test_nats, &nat_cases[1]),
      TORC_CASE("ICE-02 ICE-28 symmetric and open", test_nats, &nat_cases[2]),
      TORC_CASE("ICE-02 ICE-28 full cones", test_nats, &nat_cases[3]),
      TORC_CASE("ICE-02 ICE-28 full cone and symmetric", test_nats, &nat_cases[4]),
      TORC_CASE("ICE-02 ICE-28 address restricted", test_nats, &nat_cases[5]),
      TORC_CASE("ICE-02 ICE-28 address restricted and symmetric", test_nats, &nat_cases[6]),
      TORC_CASE("ICE-02 ICE-28 port restricted", test_nats, &nat_cases[7]),
      TORC_CASE("ICE-02 ICE-28 port restricted and symmetric: relay", test_nats, &nat_cases[8]),
      TORC_CASE("ICE-02 ICE-28 symmetric: relay", test_nats, &nat_cases[9]),
      TORC_CASE("ICE-02 ICE-28 mapping by address: relay", test_nats, &nat_cases[10]),
      TORC_CASE("ICE-02 ICE-28 mapping by address, port restricted: relay", test_nats,
                &nat_cases[12]),
      TORC_CASE("ICE-02 ICE-28 open and mapping by address", test_nats, &nat_cases[11]),
      TORC_TEST("ICE-02 IPv6", test_ip6),
      TORC_CASE("ICE-16 ICE-19 TCP, controlling active", test_tcp, &yes),
      TORC_CASE("ICE-16 ICE-19 TCP, controlled active", test_tcp, &no),
      TORC_TEST("ICE-16 ICE-31 TCP in both directions", test_tcp_both),
      TORC_TEST("ICE-16 simultaneous open through two NATs", test_so),
      TORC_TEST("ICE-02 peer-reflexive on both sides", test_prflx),
      TORC_CASE("ICE-29 round trips, open", test_speed, &speed_open),
      TORC_CASE("ICE-29 round trips, port restricted NATs", test_speed, &speed_cone),
  };
  return TORC_RUN(tests);
}
