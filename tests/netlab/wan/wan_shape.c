/* Delay, jitter, loss, rate and queue of one direction.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wan_shape.h"

#define NS_PER_US 1000ull
#define PPM 1000000u

uint32_t wan_random_below(wan_random *random, uint32_t limit) {
  uint64_t z = random->state += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return (uint32_t)(((z >> 32) * limit) >> 32);
}

static uint64_t delay_ns(const wan_numbers *numbers, wan_random *random) {
  uint64_t delay_us = numbers->delay_us;
  if (numbers->jitter_us > 0) {
    uint64_t jitter_us = numbers->jitter_us;
    delay_us += wan_random_below(random, (uint32_t)(2 * jitter_us + 1));
    delay_us = delay_us > jitter_us ? delay_us - jitter_us : 0;
  }
  return delay_us * NS_PER_US;
}

wan_verdict wan_shape_admit(wan_shape *shape, wan_random *random, size_t len, uint64_t now_ns,
                            uint64_t *at_ns) {
  const wan_numbers *numbers = &shape->numbers;
  uint64_t at = now_ns;
  if (numbers->loss_ppm > 0 && wan_random_below(random, PPM) < numbers->loss_ppm) {
    return WAN_LOST;
  }
  if (numbers->rate_kbit > 0) {
    if (shape->idle_ns > at) {
      at = shape->idle_ns;
    }
    if (at - now_ns > numbers->queue_us * NS_PER_US) {
      return WAN_FULL;
    }
    at += len * 8u * 1000000u / numbers->rate_kbit;
    shape->idle_ns = at;
  }
  at += delay_ns(numbers, random);
  if (at < shape->last_ns) {
    at = shape->last_ns;
  }
  shape->last_ns = at;
  *at_ns = at;
  return WAN_PASS;
}
