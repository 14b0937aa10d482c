/* Hash table from short byte keys to pointers, and an intrusive list.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_MAP_H
#define TORC_BASE_MAP_H

#include "torc/types.h"

/* Open addressing, seeded hash. All keys of a map have one length, 1..TORC_MAP_KEY_MAX bytes, and
 * are copied. Values are borrowed pointers, never NULL. */
#define TORC_MAP_KEY_MAX 40
typedef struct torc_map {
  const torc_mem *mem;
  uint8_t *slots; /* per slot: value pointer, state, key */
  size_t key_len, len, cap, used;
  uint64_t seed;
} torc_map;

void torc_map_init(torc_map *m, const torc_mem *mem, size_t key_len, uint64_t seed);
void torc_map_clear(torc_map *m); /* frees the table, not the values */
void *torc_map_get(const torc_map *m, const void *key);
/* Inserts or replaces. TORC_ERR_NOMEM: unchanged. */
int torc_map_put(torc_map *m, const void *key, void *value) TORC_MUST_CHECK;
void *torc_map_del(torc_map *m, const void *key); /* returns the old value or NULL */
/* Iteration: start with *it = 0; NULL at the end. Deleting the entry just returned is allowed,
 * inserting is not. */
void *torc_map_next(const torc_map *m, size_t *it);

/* Doubly linked list with a head node; links lie in the owners. */
typedef struct torc_list {
  struct torc_list *next, *prev;
} torc_list;
void torc_list_init(torc_list *head);
bool torc_list_empty(const torc_list *head);
void torc_list_push_back(torc_list *head, torc_list *node);
void torc_list_push_front(torc_list *head, torc_list *node);
void torc_list_remove(torc_list *node);          /* harmless on an initialised, unlinked node */
torc_list *torc_list_pop_front(torc_list *head); /* NULL if empty */

#endif
