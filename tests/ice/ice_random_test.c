/* Networks and candidates by chance: whatever is there, both sides end, and on the same pair.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/slice.h"
#include "ice/helper_lab.h"
#include "torc_test.h"

#define SEEDS 3000u

typedef struct world {
  torc_rng rng;
  bool has_relays, is_open[2];
} world;

static bool chance(world *w, uint64_t percent) {
  return torc_rng_below(&w->rng, 100) < percent;
}

static void place(world *w, lab *l, int agent) {
  static const char *const outside[] = {"198.51.100.1", "198.51.100.2"};
  static const char *const open[] = {"192.0.2.1", "192.0.2.2"};
  static const char *const inside[] = {"10.0.0.2", "10.0.0.3"};
  static const char *const six[] = {"2001:db8::1", "2001:db8::2"};
  const char *ip = open[agent];
  lab_nat *nat = NULL;
  w->is_open[agent] = chance(w, 30);
  if (!w->is_open[agent]) {
    ip = inside[agent];
    nat = lab_add_nat(l, outside[agent], (lab_dependence)torc_rng_below(&w->rng, 3),
                      (lab_dependence)torc_rng_below(&w->rng, 3));
    nat->hairpins = chance(w, 50);
    nat->drops_udp = chance(w, 10);
  }
  lab_udp(l, agent, ip, 5000, nat);
  if (chance(w, 30)) {
    lab_udp(l, agent, ip, 5001, nat);
  }
  if (chance(w, 30)) {
    lab_udp(l, agent, six[agent], 5000, NULL);
  }
  if (chance(w, 40)) {
    lab_tcp(l, agent, ip, 0, TORC_TCPTYPE_ACTIVE, nat);
  }
  if (chance(w, 40)) {
    lab_tcp(l, agent, ip, 7000, TORC_TCPTYPE_PASSIVE, nat);
  }
  if (chance(w, 40)) {
    lab_tcp(l, agent, ip, 7001, TORC_TCPTYPE_SO, nat);
  }
  if (w->has_relays) {
    lab_relay(l, agent, agent == 0 ? "203.0.113.10" : "203.0.113.20", 6000);
  }
}

/* Each sends to where the other one listens. */
static void assert_same(const lab *l, uint64_t seed) {
  const torc_ice_pair_info *a = &l->agents[0].pair;
  const torc_ice_pair_info *b = &l->agents[1].pair;
  bool is_same;
  if (a->transport == TORC_CAND_TCP) {
    is_same = b->transport == TORC_CAND_TCP && l->sockets[a->socket - 1].peer == b->socket;
  } else {
    is_same = b->transport == TORC_CAND_UDP && torc_stun_addr_eq(&a->mapped, &b->remote) &&
              torc_stun_addr_eq(&b->mapped, &a->remote);
  }
  if (!is_same) {
    print_message("seed %llu\n", (unsigned long long)seed);
  }
  assert_true(is_same);
}

/* No connection stays but the selected one. */
static void assert_closed(lab *l) {
  lab_run(l, TORC_SEC(3));
  for (size_t i = 0; i < l->num_sockets; i++) {
    const lab_socket *s = &l->sockets[i];
    bool is_used = l->agents[s->agent].is_selected && l->agents[s->agent].pair.socket == s->id;
    if (s->kind == LAB_TCP && s->is_open && !is_used) {
      /* Accepted, and nothing was said on it: that is the platform's to close. */
      assert_true(s->token == 0);
    }
  }
}

static void run_one(uint64_t seed, uint64_t *num_failed) {
  world w = {.has_relays = false};
  lab l;
  int first;
  bool roles_clash;
  torc_rng_seed(&w.rng, seed);
  lab_init(&l, seed);
  w.has_relays = chance(&w, 70);
  l.delay = TORC_MS(torc_rng_below(&w.rng, 150));
  l.jitter = chance(&w, 50) ? TORC_MS(10) : 0;
  l.loss_permille = chance(&w, 50) ? (uint32_t)torc_rng_below(&w.rng, 150) : 0;
  place(&w, &l, 0);
  place(&w, &l, 1);
  first = chance(&w, 50) ? 0 : 1;
  roles_clash = chance(&w, 10);
  lab_open(&l, 0, true);
  lab_open(&l, 1, roles_clash);
  lab_tell(&l, first);
  lab_run(&l, TORC_MS(torc_rng_below(&w.rng, 1000)));
  lab_tell(&l, 1 - first);
  lab_run_to_end(&l, TORC_SEC(40));
  if (l.agents[0].is_selected && l.agents[1].is_selected) {
    assert_same(&l, seed);
  } else {
    assert_true(l.agents[0].is_selected || l.agents[0].is_failed);
    assert_true(l.agents[1].is_selected || l.agents[1].is_failed);
    if (w.has_relays || (w.is_open[0] && w.is_open[1])) {
      ++*num_failed;
      print_message("seed %llu: no pair\n", (unsigned long long)seed);
    }
  }
  assert_closed(&l);
  lab_clear(&l);
}

static void test_random(void **state) {
  uint64_t num_failed = 0;
  (void)state;
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    run_one(seed, &num_failed);
  }
  assert_int_equal(num_failed, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("ICE-02 ICE-28 ICE-29 ICE-30 networks by chance", test_random),
  };
  return TORC_RUN(tests);
}
