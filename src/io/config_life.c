/* SPDX-License-Identifier: Apache-2.0 */
#include "io/config_life.h"

static torc_wall add(torc_wall at, uint64_t seconds) {
  uint64_t sum = at + seconds;
  return sum < UINT32_MAX ? (torc_wall)sum : UINT32_MAX;
}

torc_wall torc_config_expires(const torc_config_life *l) {
  return l->period_s == 0 ? UINT32_MAX : add(l->received, l->period_s);
}

torc_config_age torc_config_age_at(const torc_config_life *l, torc_wall now) {
  if (l->period_s == 0 || now <= torc_config_expires(l)) {
    return TORC_CONFIG_FRESH;
  }
  return now <= add(l->received, 2 * (uint64_t)l->period_s) ? TORC_CONFIG_EXPIRED
                                                            : TORC_CONFIG_STALE;
}

static uint32_t retry_pause(const torc_config_life *l) {
  uint32_t pause = l->period_s / 20;
  pause = pause < TORC_CONFIG_RETRY_MIN_S ? TORC_CONFIG_RETRY_MIN_S : pause;
  return pause < TORC_CONFIG_RETRY_S ? pause : TORC_CONFIG_RETRY_S;
}

torc_wall torc_config_next(const torc_config_life *l) {
  if (l->period_s == 0) {
    return UINT32_MAX;
  }
  if (l->tried != 0) {
    return add(l->tried, retry_pause(l));
  }
  uint64_t jitter = l->jitter < TORC_CONFIG_JITTER_MAX ? l->jitter : TORC_CONFIG_JITTER_MAX - 1;
  return add(l->received, l->period_s * (7500 + jitter) / 10000);
}

void torc_config_taken(torc_config_life *l, torc_wall received, uint32_t period_s, torc_wall now) {
  l->received = received;
  l->period_s = period_s;
  l->tried = 0;
  if (torc_config_next(l) <= now) {
    l->tried = now;
  }
}

void torc_config_clock(torc_config_life *l, torc_wall now) {
  if (l->tried > now) {
    l->tried = now;
  }
}

torc_wall torc_config_written(torc_wall written, torc_wall signed_at, torc_wall now) {
  torc_wall least = signed_at > now ? signed_at : now;
  return written > least ? least : written;
}

uint32_t torc_config_since(torc_wall at, torc_wall now) {
  return now > at ? now - at : 0;
}
