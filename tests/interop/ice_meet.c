/* Two ends of ICE in one process meet over real sockets: ours, or libnice's. One JSON object says
 * how. For tests/interop/test_ice.py. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interop/ice_ends.h"

#define LIMIT_US 30000000u

static const char usage[] =
    "usage: ice_meet CONTROLLING CONTROLLED udp|tcp|both ADDRESS [SECONDS]\n"
    "  CONTROLLING, CONTROLLED: torc, nice, nice-aggressive\n"
    "  SECONDS: how long our ends may wait for an answer to a consent request\n";

static void step(ice_end *const ends[2]) {
  ice_end_step(ends[0]);
  ice_end_step(ends[1]);
  ice_ends_wait(ends, 2);
}

static bool both_selected(ice_end *const ends[2]) {
  ice_end_state a;
  ice_end_state b;
  ice_end_state_of(ends[0], &a);
  ice_end_state_of(ends[1], &b);
  return a.is_selected && b.is_selected;
}

/* Each hears what the other says. */
static bool both_heard(ice_end *const ends[2]) {
  ice_end_state a;
  ice_end_state b;
  ice_end_state_of(ends[0], &a);
  ice_end_state_of(ends[1], &b);
  return strcmp(a.received, "from the controlled") == 0 &&
         strcmp(b.received, "from the controlling") == 0;
}

static bool all_consented(ice_end *const ends[2]) {
  ice_end_state a;
  ice_end_state b;
  ice_end_state_of(ends[0], &a);
  ice_end_state_of(ends[1], &b);
  return (!a.is_ours || a.num_consented != 0) && (!b.is_ours || b.num_consented != 0);
}

int main(int argc, char **argv) {
  ice_end *ends[2];
  ice_end_told told[2];
  ice_end_state state[2];
  uint64_t start;
  uint64_t end;
  if (argc != 5 && argc != 6) {
    (void)fputs(usage, stderr);
    return 2;
  }
  for (int i = 0; i < 2; i++) {
    ice_end_config cfg = {.kind = ice_end_kind_of(argv[1 + i]),
                          .is_controlling = i == 0,
                          .has_udp = strcmp(argv[3], "tcp") != 0,
                          .has_tcp = strcmp(argv[3], "udp") != 0,
                          .address = argv[4]};
    ends[i] = ice_end_new(&cfg);
  }
  end = ice_end_now_us() + LIMIT_US;
  for (int i = 0; i < 2; i++) {
    while (!ice_end_tell(ends[i], &told[i]) && ice_end_now_us() < end) {
      step(ends);
    }
  }
  start = ice_end_now_us();
  ice_end_hear(ends[1], &told[0]);
  ice_end_hear(ends[0], &told[1]);
  while (!both_selected(ends) && ice_end_now_us() < end) {
    step(ends);
  }
  ice_end_send(ends[0], "from the controlling");
  ice_end_send(ends[1], "from the controlled");
  while (!both_heard(ends) && ice_end_now_us() < end) {
    step(ends);
  }
  if (argc == 6) {
    uint64_t until = ice_end_now_us() + strtoull(argv[5], NULL, 10) * 1000000u;
    while (!all_consented(ends) && ice_end_now_us() < until) {
      step(ends);
    }
  }
  ice_end_state_of(ends[0], &state[0]);
  ice_end_state_of(ends[1], &state[1]);
  (void)printf("{\"heard\": %s, \"ends\": [", both_heard(ends) ? "true" : "false");
  for (int i = 0; i < 2; i++) {
    (void)printf(
        "%s{\"selected\": %s, \"failed\": %s, \"tcp\": %s, \"ms\": %.1f, \"consented\": "
        "%llu}",
        i == 0 ? "" : ", ", state[i].is_selected ? "true" : "false",
        state[i].is_failed ? "true" : "false", state[i].is_tcp ? "true" : "false",
        (double)(state[i].selected_us - start) / 1000, (unsigned long long)state[i].num_consented);
  }
  (void)printf("]}\n");
  ice_end_free(ends[0]);
  ice_end_free(ends[1]);
  return 0;
}
