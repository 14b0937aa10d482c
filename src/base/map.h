/* Hash table of objects by a key that lies in them, and an intrusive list.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_MAP_H
#define TORC_BASE_MAP_H

#include "torc/types.h"

/* Open addressing, seeded hash. All keys of a map have one length, at least 1 byte, and lie at one
 * place of the values, which are borrowed, never NULL, and keep their key while they are in. A map
 * without entries holds no memory. */
typedef struct torc_map {
  const torc_mem *mem;
  void **slots;
  uint64_t seed;
  uint32_t len, cap, used;
  uint16_t key_at, key_len;
} torc_map;

/* key_at: the key's offset in a value. */
void torc_map_init(torc_map *m, const torc_mem *mem, size_t key_at, size_t key_len, uint64_t seed);
void torc_map_clear(torc_map *m); /* frees the table, not the values */
void *torc_map_get(const torc_map *m, const void *key);
/* Inserts, or takes the place of the value with the same key. TORC_ERR_NOMEM: unchanged; never when
 * it takes a place. */
int torc_map_put(torc_map *m, void *value) TORC_MUST_CHECK;
void *torc_map_del(torc_map *m, const void *key); /* returns the old value or NULL */
/* Makes a table smaller that has become much too large; not during an iteration. */
void torc_map_trim(torc_map *m);
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
