/* Hash table and intrusive list.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <assert.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"

/* A slot is a value pointer followed by the key, padded to the pointer's alignment. The pointer is
 * NULL in a slot never used and `deleted` in one that must not end a probe. Linear probing: a key
 * lies in the first such run after its home. Deleting moves nothing, so an iteration may delete. */
#define MIN_SLOTS 8u

static const char deleted_mark = 0;

static void *deleted(void) {
  return (void *)(uintptr_t)&deleted_mark;
}

static size_t stride(const torc_map *m) {
  return sizeof(void *) + (m->key_len + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *);
}

static uint8_t *slot_at(const torc_map *m, size_t i) {
  return m->slots + i * stride(m);
}

static void *slot_value(const uint8_t *slot) {
  void *value;
  memcpy(&value, slot, sizeof(value));
  return value;
}

static void slot_set(uint8_t *slot, void *value) {
  memcpy(slot, &value, sizeof(value));
}

static size_t home_of(const torc_map *m, const void *key) {
  torc_slice bytes = {.p = key, .len = m->key_len};
  return (size_t)torc_hash64(m->seed, bytes) & (m->cap - 1);
}

/* Index of `key`, or m->cap. */
static size_t find(const torc_map *m, const void *key) {
  size_t i;
  if (m->len == 0) {
    return m->cap;
  }
  for (i = home_of(m, key);; i = (i + 1) & (m->cap - 1)) {
    const uint8_t *slot = slot_at(m, i);
    void *value = slot_value(slot);
    if (value == NULL) {
      return m->cap; /* there is one: the table is never full */
    }
    if (value != deleted() && memcmp(slot + sizeof(void *), key, m->key_len) == 0) {
      return i;
    }
  }
}

/* Puts a key that is not there into the first slot never used of its run. */
static void insert_new(torc_map *m, const void *key, void *value) {
  size_t i = home_of(m, key);
  while (slot_value(slot_at(m, i)) != NULL) {
    i = (i + 1) & (m->cap - 1);
  }
  slot_set(slot_at(m, i), value);
  memcpy(slot_at(m, i) + sizeof(void *), key, m->key_len);
  m->len++;
  m->used++;
}

/* A table for twice the present entries, without deleted slots. */
static int rebuild(torc_map *m) {
  torc_map next = *m;
  size_t i = 0;
  next.cap = MIN_SLOTS;
  while (next.cap / 2 < m->len + 1) {
    if (next.cap > SIZE_MAX / 4 / stride(m)) {
      return TORC_ERR_NOMEM;
    }
    next.cap *= 2;
  }
  next.slots = torc_calloc(m->mem, next.cap, stride(m));
  if (next.slots == NULL) {
    return TORC_ERR_NOMEM;
  }
  next.len = 0;
  next.used = 0;
  for (i = 0; i < m->cap; i++) {
    const uint8_t *slot = slot_at(m, i);
    void *value = slot_value(slot);
    if (value != NULL && value != deleted()) {
      insert_new(&next, slot + sizeof(void *), value);
    }
  }
  torc_free(m->mem, m->slots);
  *m = next;
  return 0;
}

void torc_map_init(torc_map *m, const torc_mem *mem, size_t key_len, uint64_t seed) {
  assert(key_len >= 1 && key_len <= TORC_MAP_KEY_MAX);
  *m = (torc_map){.mem = mem, .key_len = key_len, .seed = seed};
}

void torc_map_clear(torc_map *m) {
  torc_free(m->mem, m->slots);
  m->slots = NULL;
  m->len = 0;
  m->cap = 0;
  m->used = 0;
}

void *torc_map_get(const torc_map *m, const void *key) {
  size_t i = find(m, key);
  return i < m->cap ? slot_value(slot_at(m, i)) : NULL;
}

int torc_map_put(torc_map *m, const void *key, void *value) {
  size_t i = find(m, key);
  int rc;
  if (value == NULL) {
    return TORC_ERR_INVALID;
  }
  if (i < m->cap) {
    slot_set(slot_at(m, i), value);
    return 0;
  }
  if (m->used + 1 > m->cap / 4 * 3) {
    rc = rebuild(m);
    if (rc != 0) {
      return rc;
    }
  }
  insert_new(m, key, value);
  return 0;
}

void *torc_map_del(torc_map *m, const void *key) {
  size_t i = find(m, key);
  void *value;
  if (i >= m->cap) {
    return NULL;
  }
  value = slot_value(slot_at(m, i));
  slot_set(slot_at(m, i), deleted());
  m->len--;
  /* A deleted slot at the end of its run serves no probe: give it back, and those before it. */
  if (slot_value(slot_at(m, (i + 1) & (m->cap - 1))) == NULL) {
    while (slot_value(slot_at(m, i)) == deleted()) {
      slot_set(slot_at(m, i), NULL);
      m->used--;
      i = (i - 1) & (m->cap - 1);
    }
  }
  return value;
}

void *torc_map_next(const torc_map *m, size_t *it) {
  while (*it < m->cap) {
    void *value = slot_value(slot_at(m, *it));
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
