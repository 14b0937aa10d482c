/* Storage times of elements this node has fetched or stored, least recently used forgotten first
 * [FET-17] [GAP-97]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

typedef struct seen_entry {
  torc_list lru;
  uint8_t key[TORC_DIGEST_LEN];
  uint32_t time;    /* of a value that was fetched, or stored with success */
  uint32_t claimed; /* of a STORE that was begun: the next one must be newer */
} seen_entry;

static int make_key(torc_node *n, const torc_id *resource, torc_type_id type, const torc_entry *e,
                    uint8_t key[TORC_DIGEST_LEN]) {
  uint8_t fixed[TORC_ID_LEN + 8];
  torc_wr wr;
  torc_wr_init(&wr, fixed, sizeof fixed);
  torc_wr_id(&wr, resource);
  torc_wr_u24(&wr, type);
  torc_wr_u8(&wr, (uint8_t)e->model);
  torc_wr_u32(&wr, e->model == TORC_MODEL_ARRAY ? (uint32_t)e->index : 0);
  torc_slice parts[2] = {torc_wr_slice(&wr),
                         e->model == TORC_MODEL_DICTIONARY ? e->key : torc_slice_of(NULL, 0)};
  return n->crypto->sha256(n->crypto->ctx, parts, 2, key);
}

uint32_t torc_seen_get(torc_node *n, const torc_id *resource, torc_type_id type,
                       const torc_entry *e) {
  uint8_t key[TORC_DIGEST_LEN];
  seen_entry *s = make_key(n, resource, type, e, key) == 0 ? torc_map_get(&n->seen, key) : NULL;
  return s == NULL ? 0 : s->time;
}

static void drop(torc_node *n, seen_entry *s) {
  (void)torc_map_del(&n->seen, s->key);
  torc_list_remove(&s->lru);
  torc_free(n->mem, s);
}

static seen_entry *find_or_make(torc_node *n, const torc_id *resource, torc_type_id type,
                                const torc_entry *e) {
  uint8_t key[TORC_DIGEST_LEN];
  seen_entry *s = NULL;
  if (make_key(n, resource, type, e, key) != 0) {
    return NULL;
  }
  s = torc_map_get(&n->seen, key);
  if (s == NULL) {
    if (n->seen.len >= TORC_NODE_SEEN_MAX) {
      n->stats->seen_evictions++;
      drop(n, TORC_CONTAINER_OF(n->seen_lru.next, seen_entry, lru));
    }
    s = torc_calloc(n->mem, 1, sizeof *s);
    if (s != NULL) {
      memcpy(s->key, key, sizeof s->key);
    }
    if (s == NULL || torc_map_put(&n->seen, s) != 0) {
      n->stats->no_memory++;
      torc_free(n->mem, s);
      return NULL;
    }
    torc_list_init(&s->lru);
  }
  torc_list_remove(&s->lru);
  torc_list_push_back(&n->seen_lru, &s->lru);
  return s;
}

void torc_seen_put(torc_node *n, const torc_id *resource, torc_type_id type, const torc_entry *e,
                   uint32_t time) {
  seen_entry *s = find_or_make(n, resource, type, e);
  if (s != NULL && time > s->time) {
    s->time = time;
  }
}

uint32_t torc_seen_claim(torc_node *n, const torc_id *resource, torc_type_id type,
                         const torc_entry *e, uint32_t now) {
  seen_entry *s = find_or_make(n, resource, type, e);
  uint32_t last = 0;
  if (s == NULL) {
    return now;
  }
  last = s->time > s->claimed ? s->time : s->claimed;
  s->claimed = now > last ? now : last + 1;
  return s->claimed;
}

void torc_seen_init(torc_node *n, uint64_t seed) {
  torc_list_init(&n->seen_lru);
  torc_map_init(&n->seen, n->mem, offsetof(seen_entry, key), TORC_DIGEST_LEN, seed);
}

void torc_seen_clear(torc_node *n) {
  while (!torc_list_empty(&n->seen_lru)) {
    drop(n, TORC_CONTAINER_OF(n->seen_lru.next, seen_entry, lru));
  }
  torc_map_clear(&n->seen);
}
