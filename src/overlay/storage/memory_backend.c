/* The backend in memory: a skip list with an undo log.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/slice.h"
#include "torc/storage.h"

#define LEVELS_MAX 16    /* one node in four rises a level: good for 4^16 entries */
#define UNDO_FIRST 16    /* entries of the undo log at first */
#define LEVEL_SEED 20081 /* any number: peers cannot see or steer the levels */

typedef struct mem_node mem_node;
struct mem_node {
  uint32_t key_len, value_len;
  uint8_t levels;
  mem_node *next[]; /* `levels` of them, then key and value */
};

/* What a write did: `old` was unlinked (NULL: nothing was there), `fresh` was linked (NULL:
 * nothing). */
typedef struct mem_undo {
  mem_node *old, *fresh;
} mem_undo;

typedef enum mem_txn { MEM_TXN_NONE = 0, MEM_TXN_READ = 1, MEM_TXN_WRITE = 2 } mem_txn;

struct torc_memory_backend {
  const torc_mem *mem;
  size_t max_bytes, num_bytes; /* keys and values */
  mem_txn txn;
  torc_rng rng;
  mem_undo *undo;
  size_t undo_len, undo_cap;
  mem_node *head[LEVELS_MAX];
};

static uint8_t *node_key(const mem_node *n) {
  return (uint8_t *)(uintptr_t)&n->next[n->levels];
}

static torc_slice node_key_slice(const mem_node *n) {
  return torc_slice_of(node_key(n), n->key_len);
}

static torc_slice node_value_slice(const mem_node *n) {
  return torc_slice_of(node_key(n) + n->key_len, n->value_len);
}

static size_t node_bytes(const mem_node *n) {
  return (size_t)n->key_len + n->value_len;
}

/* Fills `links` with, per level, the pointer that leads to the first node >= key; returns that node
 * or NULL. */
static mem_node *find(torc_memory_backend *b, torc_slice key, mem_node **links[LEVELS_MAX]) {
  mem_node **row = b->head;
  for (size_t level = LEVELS_MAX; level > 0; level--) {
    mem_node *n = row[level - 1];
    while (n != NULL && torc_slice_cmp(node_key_slice(n), key) < 0) {
      row = n->next;
      n = row[level - 1];
    }
    links[level - 1] = &row[level - 1];
  }
  return *links[0];
}

static mem_node *find_exact(torc_memory_backend *b, torc_slice key, mem_node **links[LEVELS_MAX]) {
  mem_node *n = find(b, key, links);
  return n != NULL && torc_slice_eq(node_key_slice(n), key) ? n : NULL;
}

static void link_node(torc_memory_backend *b, mem_node *n) {
  mem_node **links[LEVELS_MAX];
  (void)find(b, node_key_slice(n), links);
  for (size_t level = 0; level < n->levels; level++) {
    n->next[level] = *links[level];
    *links[level] = n;
  }
  b->num_bytes += node_bytes(n);
}

static void unlink_node(torc_memory_backend *b, mem_node *n) {
  mem_node **links[LEVELS_MAX];
  (void)find(b, node_key_slice(n), links);
  for (size_t level = 0; level < n->levels; level++) {
    *links[level] = n->next[level];
  }
  b->num_bytes -= node_bytes(n);
}

static mem_node *node_new(torc_memory_backend *b, torc_slice key, torc_slice value) {
  uint8_t levels = 1;
  while (levels < LEVELS_MAX && torc_rng_below(&b->rng, 4) == 0) {
    levels++;
  }
  size_t fixed = sizeof(mem_node) + levels * sizeof(mem_node *);
  mem_node *n = torc_alloc(b->mem, fixed + key.len + value.len);
  if (n == NULL) {
    return NULL;
  }
  n->key_len = (uint32_t)key.len;
  n->value_len = (uint32_t)value.len;
  n->levels = levels;
  memcpy(node_key(n), key.p, key.len);
  if (value.len > 0) {
    memcpy(node_key(n) + key.len, value.p, value.len);
  }
  return n;
}

static int reserve_undo(torc_memory_backend *b) {
  if (b->undo_len < b->undo_cap) {
    return 0;
  }
  size_t cap = b->undo_cap == 0 ? UNDO_FIRST : b->undo_cap * 2;
  mem_undo *grown = torc_realloc(b->mem, b->undo, cap * sizeof *grown);
  if (grown == NULL) {
    return TORC_ERR_NOMEM;
  }
  b->undo = grown;
  b->undo_cap = cap;
  return 0;
}

static void end_txn(torc_memory_backend *b) {
  b->txn = MEM_TXN_NONE;
  b->undo_len = 0;
  torc_free(b->mem, b->undo);
  b->undo = NULL;
  b->undo_cap = 0;
}

static bool is_key_ok(torc_slice key) {
  return key.len > 0 && key.len <= TORC_BACKEND_KEY_MAX;
}

static int mem_begin(void *ctx, bool write) {
  torc_memory_backend *b = ctx;
  if (b->txn != MEM_TXN_NONE) {
    return TORC_ERR_STATE;
  }
  b->txn = write ? MEM_TXN_WRITE : MEM_TXN_READ;
  return 0;
}

static int mem_commit(void *ctx) {
  torc_memory_backend *b = ctx;
  if (b->txn == MEM_TXN_NONE) {
    return TORC_ERR_STATE;
  }
  for (size_t i = 0; i < b->undo_len; i++) {
    torc_free(b->mem, b->undo[i].old);
  }
  end_txn(b);
  return 0;
}

/* [STO-06] the newest write is undone first, so each finds the list as it left it. */
static void mem_abort(void *ctx) {
  torc_memory_backend *b = ctx;
  for (size_t i = b->undo_len; i > 0; i--) {
    mem_undo *u = &b->undo[i - 1];
    if (u->fresh != NULL) {
      unlink_node(b, u->fresh);
      torc_free(b->mem, u->fresh);
    }
    if (u->old != NULL) {
      link_node(b, u->old);
    }
  }
  end_txn(b);
}

static int mem_get(void *ctx, torc_slice key, torc_slice *value) {
  torc_memory_backend *b = ctx;
  if (b->txn == MEM_TXN_NONE) {
    return TORC_ERR_STATE;
  }
  if (!is_key_ok(key)) {
    return TORC_ERR_INVALID;
  }
  mem_node **links[LEVELS_MAX];
  mem_node *n = find_exact(b, key, links);
  if (n == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  *value = node_value_slice(n);
  return 0;
}

/* Replaces `old` by `fresh`, either of which may be NULL, and remembers it. */
static void swap_nodes(torc_memory_backend *b, mem_node *old, mem_node *fresh) {
  if (old != NULL) {
    unlink_node(b, old);
  }
  if (fresh != NULL) {
    link_node(b, fresh);
  }
  b->undo[b->undo_len] = (mem_undo){.old = old, .fresh = fresh};
  b->undo_len++;
}

static int mem_put(void *ctx, torc_slice key, torc_slice value) {
  torc_memory_backend *b = ctx;
  if (b->txn != MEM_TXN_WRITE) {
    return TORC_ERR_STATE;
  }
  if (!is_key_ok(key) || value.len > UINT32_MAX) {
    return TORC_ERR_INVALID;
  }
  mem_node **links[LEVELS_MAX];
  mem_node *old = find_exact(b, key, links);
  size_t others = b->num_bytes - (old != NULL ? node_bytes(old) : 0);
  if (others > b->max_bytes || key.len + value.len > b->max_bytes - others) {
    return TORC_ERR_LIMIT;
  }
  int rc = reserve_undo(b);
  if (rc != 0) {
    return rc;
  }
  mem_node *fresh = node_new(b, key, value);
  if (fresh == NULL) {
    return TORC_ERR_NOMEM;
  }
  swap_nodes(b, old, fresh);
  return 0;
}

static int mem_del(void *ctx, torc_slice key) {
  torc_memory_backend *b = ctx;
  if (b->txn != MEM_TXN_WRITE) {
    return TORC_ERR_STATE;
  }
  if (!is_key_ok(key)) {
    return TORC_ERR_INVALID;
  }
  mem_node **links[LEVELS_MAX];
  mem_node *old = find_exact(b, key, links);
  if (old == NULL) {
    return 0;
  }
  int rc = reserve_undo(b);
  if (rc != 0) {
    return rc;
  }
  swap_nodes(b, old, NULL);
  return 0;
}

static int mem_seek(void *ctx, torc_slice key, torc_slice *found_key, torc_slice *value) {
  torc_memory_backend *b = ctx;
  if (b->txn == MEM_TXN_NONE) {
    return TORC_ERR_STATE;
  }
  if (!is_key_ok(key)) {
    return TORC_ERR_INVALID;
  }
  mem_node **links[LEVELS_MAX];
  mem_node *n = find(b, key, links);
  if (n == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  *found_key = node_key_slice(n);
  *value = node_value_slice(n);
  return 0;
}

int torc_memory_backend_new(torc_memory_backend **obj, torc_backend *out, const torc_mem *mem,
                            size_t max_bytes) {
  const torc_mem *use = mem != NULL ? mem : torc_mem_libc();
  torc_memory_backend *b = torc_calloc(use, 1, sizeof *b);
  if (b == NULL) {
    return TORC_ERR_NOMEM;
  }
  b->mem = use;
  b->max_bytes = max_bytes;
  torc_rng_seed(&b->rng, LEVEL_SEED);
  *out = (torc_backend){.ctx = b,
                        .begin = mem_begin,
                        .commit = mem_commit,
                        .abort = mem_abort,
                        .get = mem_get,
                        .put = mem_put,
                        .del = mem_del,
                        .seek = mem_seek};
  *obj = b;
  return 0;
}

void torc_memory_backend_free(torc_memory_backend *obj) {
  torc_memory_backend *b = obj;
  if (b == NULL) {
    return;
  }
  mem_abort(b);
  mem_node *n = b->head[0];
  while (n != NULL) {
    mem_node *next = n->next[0];
    torc_free(b->mem, n);
    n = next;
  }
  torc_free(b->mem, b->undo);
  torc_free(b->mem, b);
}
