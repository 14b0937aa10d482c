/* Hash table and intrusive list.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <assert.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"

/* Each slot has a tag beside it: whether it was never used, must not end a probe though empty, or
 * eight bits of its key's hash, so that a value is only looked at if it is most likely the one.
 * Linear probing: a key lies in the first such run after its home. Deleting moves nothing, so an
 * iteration may delete. */
#define MIN_SLOTS 4u
#define LARGE 256u /* entries of a large table */
#define MAX_SLOTS ((uint32_t)1 << 30)
#define TAG_NEVER 0u
#define TAG_DELETED 1u
#define TAG_FIRST 2u /* tags of keys are not smaller */

static const void *key_of(const torc_map *m, const void *value) {
  return (const uint8_t *)value + m->key_at;
}

static uint8_t *tags_of(const torc_map *m) {
  return (uint8_t *)(m->slots + m->cap);
}

static uint64_t hash_of(const torc_map *m, const void *key) {
  torc_slice bytes = {.p = key, .len = m->key_len};
  return torc_hash64(m->seed, bytes);
}

static uint8_t tag_of(uint64_t hash) { /* bits that choose no slot */
  uint8_t tag = (uint8_t)(hash >> 56);
  return tag < TAG_FIRST ? (uint8_t)(tag + TAG_FIRST) : tag;
}

/* Most keys are whole words, and too short for a call of memcmp. */
static bool key_eq(const void *one, const void *other, size_t len) {
  const uint8_t *a = one;
  const uint8_t *b = other;
  for (; len >= 8; len -= 8, a += 8, b += 8) {
    if (memcmp(a, b, 8) != 0) {
      return false;
    }
  }
  return len == 0 || memcmp(a, b, len) == 0;
}

/* Any number of slots serves, so that a table is not up to twice as large as it need be: the low
 * half of the hash is scaled to it. */
static uint32_t home_of(const torc_map *m, uint64_t hash) {
  return (uint32_t)(((hash & UINT32_MAX) * m->cap) >> 32);
}

static uint32_t after(const torc_map *m, uint32_t i) {
  return i + 1 == m->cap ? 0 : i + 1;
}

static uint32_t before(const torc_map *m, uint32_t i) {
  return i == 0 ? m->cap - 1 : i - 1;
}

/* Index of `key` with this hash, or m->cap. */
static uint32_t find(const torc_map *m, const void *key, uint64_t hash) {
  if (m->len == 0) {
    return m->cap;
  }
  const uint8_t *tags = tags_of(m);
  uint8_t tag = tag_of(hash);
  for (uint32_t i = home_of(m, hash);; i = after(m, i)) {
    if (tags[i] == TAG_NEVER) {
      return m->cap; /* there is one: the table is never full */
    }
    if (tags[i] == tag && key_eq(key_of(m, m->slots[i]), key, m->key_len)) {
      return i;
    }
  }
}

/* Puts a value whose key is not there into the first slot never used of its run. */
static void insert_new(torc_map *m, void *value, uint64_t hash) {
  uint8_t *tags = tags_of(m);
  uint32_t i = home_of(m, hash);
  while (tags[i] != TAG_NEVER) {
    i = after(m, i);
  }
  m->slots[i] = value;
  tags[i] = tag_of(hash);
  m->len++;
  m->used++;
}

/* Slots of a new table for `num` values: half as many again, and as many again for a large one,
 * whose entries are dear to move. A new one is made when this one is full to 13/16. */
static uint64_t slots_for(uint64_t num) {
  uint64_t more = num < LARGE ? num / 2 : num;
  uint64_t cap = (num + more + 3) / 4 * 4;
  return cap < MIN_SLOTS ? MIN_SLOTS : cap;
}

/* A table for the present entries and one more, without deleted slots. */
static int rebuild(torc_map *m) {
  torc_map next = *m;
  uint64_t cap = slots_for((uint64_t)m->len + 1);
  if (cap > MAX_SLOTS) {
    return TORC_ERR_NOMEM;
  }
  next.cap = (uint32_t)cap;
  next.slots = torc_calloc(m->mem, next.cap, sizeof *next.slots + 1);
  if (next.slots == NULL) {
    return TORC_ERR_NOMEM;
  }
  next.len = 0;
  next.used = 0;
  for (uint32_t i = 0; i < m->cap; i++) {
    if (m->slots[i] != NULL) {
      insert_new(&next, m->slots[i], hash_of(m, key_of(m, m->slots[i])));
    }
  }
  torc_free(m->mem, m->slots);
  *m = next;
  return 0;
}

void torc_map_init(torc_map *m, const torc_mem *mem, size_t key_at, size_t key_len, uint64_t seed) {
  assert(key_len >= 1 && key_len <= UINT16_MAX && key_at <= UINT16_MAX);
  *m = (torc_map){
      .mem = mem, .key_at = (uint16_t)key_at, .key_len = (uint16_t)key_len, .seed = seed};
}

void torc_map_clear(torc_map *m) {
  torc_free(m->mem, m->slots);
  m->slots = NULL;
  m->len = 0;
  m->cap = 0;
  m->used = 0;
}

void *torc_map_get(const torc_map *m, const void *key) {
  if (m->len == 0) { /* as often as not: nothing to hash for */
    return NULL;
  }
  uint32_t i = find(m, key, hash_of(m, key));
  return i < m->cap ? m->slots[i] : NULL;
}

void torc_map_trim(torc_map *m) {
  if (m->cap / 2 > slots_for((uint64_t)m->len + 1)) {
    (void)!rebuild(m); /* no memory: it serves as it is */
  }
}

int torc_map_put(torc_map *m, void *value) {
  int rc;
  if (value == NULL) {
    return TORC_ERR_INVALID;
  }
  uint64_t hash = hash_of(m, key_of(m, value));
  uint32_t i = find(m, key_of(m, value), hash);
  if (i < m->cap) {
    m->slots[i] = value;
    return 0;
  }
  if ((uint64_t)m->used + 1 > (uint64_t)m->cap * 13 / 16) {
    rc = rebuild(m);
    if (rc != 0) {
      return rc;
    }
  } else {
    torc_map_trim(m);
  }
  insert_new(m, value, hash);
  return 0;
}

void *torc_map_del(torc_map *m, const void *key) {
  uint32_t i = find(m, key, hash_of(m, key));
  void *value;
  if (i >= m->cap) {
    return NULL;
  }
  value = m->slots[i];
  m->len--;
  if (m->len == 0) {
    torc_map_clear(m);
    return value;
  }
  uint8_t *tags = tags_of(m);
  m->slots[i] = NULL;
  tags[i] = TAG_DELETED;
  /* A deleted slot at the end of its run serves no probe: give it back, and those before it. */
  if (tags[after(m, i)] == TAG_NEVER) {
    while (tags[i] == TAG_DELETED) {
      tags[i] = TAG_NEVER;
      m->used--;
      i = before(m, i);
    }
  }
  return value;
}

void *torc_map_next(const torc_map *m, size_t *it) {
  while (*it < m->cap) {
    void *value = m->slots[*it];
    (*it)++;
    if (value != NULL) {
      return value;
    }
  }
  return NULL;
}

void torc_list_init(torc_list *head) {
  head->next = head;
  head->prev = head;
}

bool torc_list_empty(const torc_list *head) {
  return head->next == head;
}

static void link_between(torc_list *node, torc_list *before, torc_list *after) {
  node->prev = before;
  node->next = after;
  before->next = node;
  after->prev = node;
}

void torc_list_push_back(torc_list *head, torc_list *node) {
  link_between(node, head->prev, head);
}

void torc_list_push_front(torc_list *head, torc_list *node) {
  link_between(node, head, head->next);
}

void torc_list_remove(torc_list *node) {
  node->prev->next = node->next;
  node->next->prev = node->prev;
  torc_list_init(node);
}

torc_list *torc_list_pop_front(torc_list *head) {
  torc_list *node = head->next;
  if (node == head) {
    return NULL;
  }
  torc_list_remove(node);
  return node;
}
