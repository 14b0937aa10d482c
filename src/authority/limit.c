/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/limit.h"

#include <netinet/in.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE TORC_SEC(60)

/* The bucket as one time: when it will be full again. It is full while that time is past. */
typedef struct slot {
  uint8_t key[TORC_LIMIT_KEY_LEN];
  torc_time full_at; /* 0: unused */
} slot;

struct torc_limit {
  pthread_mutex_t lock;
  torc_time cost; /* of one, in microseconds of filling */
  torc_time room; /* of the whole bucket */
  uint64_t seed;  /* so that nobody can choose addresses that meet in the table */
  slot slots[TORC_LIMIT_SLOTS];
};

int torc_limit_new(torc_limit **out, uint32_t per_minute, uint32_t burst) {
  if (per_minute == 0 || burst == 0) {
    return TORC_ERR_INVALID;
  }
  torc_limit *l = calloc(1, sizeof *l);
  if (l == NULL) {
    return TORC_ERR_NOMEM;
  }
  if (RAND_bytes((unsigned char *)&l->seed, sizeof l->seed) != 1 ||
      pthread_mutex_init(&l->lock, NULL) != 0) {
    free(l);
    return TORC_ERR_CRYPTO;
  }
  torc_limit_set(l, per_minute, burst);
  *out = l;
  return 0;
}

void torc_limit_set(torc_limit *l, uint32_t per_minute, uint32_t burst) {
  (void)pthread_mutex_lock(&l->lock);
  l->cost = MINUTE / per_minute;
  l->room = l->cost * burst;
  (void)pthread_mutex_unlock(&l->lock);
}

void torc_limit_free(torc_limit *l) {
  if (l != NULL) {
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
  }
}

static uint64_t mix(uint64_t v) {
  v ^= v >> 31;
  v *= 0x9fb21c651e98df25u;
  v ^= v >> 28;
  return v;
}

static slot *ways_of(torc_limit *l, const uint8_t key[TORC_LIMIT_KEY_LEN]) {
  uint64_t high;
  uint64_t low;
  memcpy(&high, key, sizeof high);
  memcpy(&low, key + 8, sizeof low);
  uint64_t h = mix(mix(high ^ l->seed) + low);
  return &l->slots[(h & (TORC_LIMIT_SLOTS / TORC_LIMIT_WAYS - 1)) * TORC_LIMIT_WAYS];
}

static slot *find(torc_limit *l, const uint8_t key[TORC_LIMIT_KEY_LEN]) {
  slot *ways = ways_of(l, key);
  for (int i = 0; i < TORC_LIMIT_WAYS; i++) {
    if (ways[i].full_at != 0 && memcmp(ways[i].key, key, TORC_LIMIT_KEY_LEN) == 0) {
      return &ways[i];
    }
  }
  return NULL;
}

static slot *find_or_make(torc_limit *l, const uint8_t key[TORC_LIMIT_KEY_LEN]) {
  slot *s = find(l, key);
  if (s == NULL) {
    slot *ways = ways_of(l, key);
    s = &ways[0];
    for (int i = 1; i < TORC_LIMIT_WAYS; i++) {
      s = ways[i].full_at < s->full_at ? &ways[i] : s;
    }
    memcpy(s->key, key, TORC_LIMIT_KEY_LEN);
    s->full_at = 0;
  }
  return s;
}

/* Seconds until there is room for one more; 0: there is. */
static uint32_t wait_of(const torc_limit *l, const slot *s, torc_time now) {
  torc_time used = s != NULL && s->full_at > now ? s->full_at - now : 0;
  if (used + l->cost <= l->room) {
    return 0;
  }
  torc_time wait = used + l->cost - l->room;
  return (uint32_t)((wait + TORC_SEC(1) - 1) / TORC_SEC(1));
}

bool torc_limit_take(torc_limit *l, const uint8_t key[TORC_LIMIT_KEY_LEN], torc_time now,
                     uint32_t *wait_s) {
  (void)pthread_mutex_lock(&l->lock);
  slot *s = find_or_make(l, key);
  *wait_s = wait_of(l, s, now);
  if (*wait_s == 0) {
    s->full_at = (s->full_at > now ? s->full_at : now) + l->cost;
  }
  (void)pthread_mutex_unlock(&l->lock);
  return *wait_s == 0;
}

bool torc_limit_is_out(torc_limit *l, const uint8_t key[TORC_LIMIT_KEY_LEN], torc_time now,
                       uint32_t *wait_s) {
  (void)pthread_mutex_lock(&l->lock);
  *wait_s = wait_of(l, find(l, key), now);
  (void)pthread_mutex_unlock(&l->lock);
  return *wait_s != 0;
}

void torc_limit_key(const struct sockaddr *address, uint8_t out[TORC_LIMIT_KEY_LEN]) {
  memset(out, 0, TORC_LIMIT_KEY_LEN);
  out[TORC_LIMIT_KEY_LEN - 1] = (uint8_t)address->sa_family;
  if (address->sa_family == AF_INET) {
    memcpy(out, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
  } else if (address->sa_family == AF_INET6) {
    const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(a)) {
      memcpy(out, a->s6_addr + 12, 4);
      out[TORC_LIMIT_KEY_LEN - 1] = AF_INET;
    } else {
      memcpy(out, a->s6_addr, 8);
    }
  }
}
