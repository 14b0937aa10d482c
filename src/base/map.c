/* Hash table and intrusive list.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <assert.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"

/* A slot is NULL if it was never used and `deleted` if it must not end a probe. Linear probing: a
 * key lies in the first such run after its home. Deleting moves nothing, so an iteration may
 * delete. */
#define MIN_SLOTS 4u
#define MAX_SLOTS ((uint32_t)1 << 30)
#define SPARSE 4u /* a table with fewer than 1/4 of its slots used is made smaller */

static const char deleted_mark = 0;

static void *deleted(void) {
  return (void *)(uintptr_t)&deleted_mark;
}

static const void *key_of(const torc_map *m, const void *value) {
  return (const uint8_t *)value + m->key_at;
}

static uint32_t home_of(const torc_map *m, const void *key) {
  torc_slice bytes = {.p = key, .len = m->key_len};
  return (uint32_t)torc_hash64(m->seed, bytes) & (m->cap - 1);
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

/* Index of `key`, or m->cap. */
static uint32_t find(const torc_map *m, const void *key) {
  uint32_t i;
  if (m->len == 0) {
    return m->cap;
  }
  for (i = home_of(m, key);; i = (i + 1) & (m->cap - 1)) {
    const void *value = m->slots[i];
    if (value == NULL) {
      return m->cap; /* there is one: the table is never full */
    }
    if (value != deleted() && key_eq(key_of(m, value), key, m->key_len)) {
      return i;
    }
  }
}

/* Puts a value whose key is not there into the first slot never used of its run. */
static void insert_new(torc_map *m, void *value) {
  uint32_t i = home_of(m, key_of(m, value));
  while (m->slots[i] != NULL) {
    i = (i + 1) & (m->cap - 1);
  }
  m->slots[i] = value;
  m->len++;
  m->used++;
}

/* A table for twice the present entries, without deleted slots. */
static int rebuild(torc_map *m) {
  torc_map next = *m;
  next.cap = MIN_SLOTS;
  while (next.cap / 2 < m->len + 1) {
    if (next.cap == MAX_SLOTS) {
      return TORC_ERR_NOMEM;
    }
    next.cap *= 2;
  }
  next.slots = torc_calloc(m->mem, next.cap, sizeof *next.slots);
  if (next.slots == NULL) {
    return TORC_ERR_NOMEM;
  }
  next.len = 0;
  next.used = 0;
  for (uint32_t i = 0; i < m->cap; i++) {
    if (m->slots[i] != NULL && m->slots[i] != deleted()) {
      insert_new(&next, m->slots[i]);
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
  uint32_t i = find(m, key);
  return i < m->cap ? m->slots[i] : NULL;
}

void torc_map_trim(torc_map *m) {
  if (m->cap > MIN_SLOTS && m->len + 1 < m->cap / SPARSE) {
    (void)!rebuild(m); /* no memory: it serves as it is */
  }
}

int torc_map_put(torc_map *m, void *value) {
  uint32_t i;
  int rc;
  if (value == NULL) {
    return TORC_ERR_INVALID;
  }
  i = find(m, key_of(m, value));
  if (i < m->cap) {
    m->slots[i] = value;
    return 0;
  }
  if (m->used + 1 > m->cap / 4 * 3) {
    rc = rebuild(m);
    if (rc != 0) {
      return rc;
    }
  } else {
    torc_map_trim(m);
  }
  insert_new(m, value);
  return 0;
}

void *torc_map_del(torc_map *m, const void *key) {
  uint32_t i = find(m, key);
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
  m->slots[i] = deleted();
  /* A deleted slot at the end of its run serves no probe: give it back, and those before it. */
  if (m->slots[(i + 1) & (m->cap - 1)] == NULL) {
    while (m->slots[i] == deleted()) {
      m->slots[i] = NULL;
      m->used--;
      i = (i - 1) & (m->cap - 1);
    }
  }
  return value;
}

void *torc_map_next(const torc_map *m, size_t *it) {
  while (*it < m->cap) {
    void *value = m->slots[*it];
    (*it)++;
    if (value != NULL && value != deleted()) {
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
