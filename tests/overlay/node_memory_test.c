/* What a node takes in memory, so that it cannot creep up: a simulator holds very many of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "overlay/helper_sim.h"
#include "torc_test.h"

#define FINGERS 20u /* of one's own, and peers whose finger the node is */
#define NEAR 3u     /* neighbours on each side */
#define LINKS (2 * FINGERS + 2 * NEAR)

/* What a member may take that has LINKS links and has been idle for long: lean, as simulators hold
 * it, and where nothing has come for a minute; and as daemons run it, with the PINGs that keep its
 * links alive remembered for 64 * T1. */
#define IDLE_LEAN_MAX 12560
#define IDLE_MAX 22016

/* The member of a ring of a million as it looks from one place: neighbours close by, fingers at the
 * powers of two on one side, and on the other side those whose finger this peer is. */
static size_t add_ring(sim *s) {
  torc_id self = helper_id(0x80, 0x11);
  size_t i = sim_add_id(s, TORC_ROLE_PEER, &self);
  for (unsigned k = 0; k < FINGERS; k++) {
    torc_id finger = torc_id_add_pow2(&self, 127 - k);
    torc_id far = torc_id_add_pow2(&torc_id_zero, 127 - k);
    finger = torc_id_next(&finger);
    far = torc_id_sub(&self, &far);
    far = torc_id_prev(&far);
    sim_add_id(s, TORC_ROLE_PEER, &finger);
    sim_add_id(s, TORC_ROLE_PEER, &far);
    sim_run(s, TORC_SEC(2));
  }
  for (unsigned k = 0; k < NEAR; k++) {
    torc_id succ = torc_id_add_pow2(&self, 90 + k);
    torc_id pred = torc_id_add_pow2(&torc_id_zero, 90 + k);
    pred = torc_id_sub(&self, &pred);
    sim_add_id(s, TORC_ROLE_PEER, &succ);
    sim_add_id(s, TORC_ROLE_PEER, &pred);
    sim_run(s, TORC_SEC(2));
  }
  return i;
}

/* A member of such a ring that has been idle for long: what it takes, and its links. */
static int64_t idle_bytes(bool is_lean, torc_time keepalive, uint32_t *num_links) {
  sim_options o = {.seed = 7,
                   .algorithm = "chord-128-2-24",
                   .update_period = TORC_SEC(600),
                   .keepalive = keepalive,
                   .is_lean = is_lean};
  sim *s = sim_new(&o);
  torc_node_view v;
  size_t i = add_ring(s);
  assert_true(sim_run_until(s, sim_ring_ok, NULL, TORC_SEC(60)));
  sim_run(s, TORC_SEC(1300)); /* between the PINGs of its peers */
  torc_node_get_view(sim_node(s, i), &v);
  int64_t bytes = sim_mem(s, i)->num_bytes;
  print_message("%u links: %lld bytes in %lld blocks, at most %lld\n", v.num_links,
                (long long)bytes, (long long)sim_mem(s, i)->num_live,
                (long long)sim_mem(s, i)->peak_bytes);
  *num_links = v.num_links;
  sim_free(s);
  return bytes;
}

static void test_idle_member(void **state) {
  uint32_t num_links = 0;
  (void)state;
  assert_in_range(idle_bytes(true, TORC_SEC(3600), &num_links), 1, IDLE_LEAN_MAX);
  assert_in_range(num_links, LINKS, LINKS + 6);
  assert_in_range(idle_bytes(false, 0, &num_links), 1, IDLE_MAX);
  assert_in_range(num_links, LINKS, LINKS + 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TORC_TEST("D-40 memory of an idle member", test_idle_member),
  };
  return TORC_RUN(tests);
}
