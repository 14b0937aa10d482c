/* One direction of a WAN link: when a packet leaves it, or that it does not. Pure: time and
 * randomness come from the caller. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NETLAB_WAN_SHAPE_H
#define TORC_NETLAB_WAN_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#define WAN_NEVER UINT64_MAX

/* One draw after the other from a seed (SplitMix64): the same seed loses the same packets. */
typedef struct wan_random {
  uint64_t state;
} wan_random;

/* 0 to limit - 1; limit is at least 1. */
uint32_t wan_random_below(wan_random *random, uint32_t limit);

typedef struct wan_numbers {
  uint32_t delay_us;
  uint32_t jitter_us; /* the delay varies by this much to both sides, evenly; never below 0 */
  uint32_t loss_ppm;
  uint32_t rate_kbit; /* 0: no limit */
  uint32_t queue_us;  /* with a rate: how much time's worth of packets may wait */
} wan_numbers;

typedef struct wan_shape {
  wan_numbers numbers;
  uint64_t idle_ns; /* when the last packet is serialised */
  uint64_t last_ns; /* when the last packet leaves: no packet overtakes another */
} wan_shape;

typedef enum wan_verdict { WAN_PASS, WAN_LOST, WAN_FULL } wan_verdict;

/* A packet of `len` bytes enters at `now_ns`; with WAN_PASS it leaves at *at_ns, never before its
 * delay. */
wan_verdict wan_shape_admit(wan_shape *shape, wan_random *random, size_t len, uint64_t now_ns,
                            uint64_t *at_ns);

#endif
