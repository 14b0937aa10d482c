/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#define SLAB_BYTES ((size_t)64 << 10)
#define REGION_SLABS 16u
#define SMALL_MAX 1024u        /* up to here classes are 16 bytes apart, */
#define MEDIUM_MAX 16384u      /* up to here four to an octave; above: a block of its own */
#define CLASS_LARGE UINT32_MAX /* of such a block */

struct sim_slab {
  uint32_t class, size, used, fresh; /* fresh: blocks never given out yet */
  void *free;                        /* blocks given back */
  sim_slab *next, *prev;
  size_t large;
};
#define SLAB_HEAD 64u

typedef struct region {
  struct region *next;
} region;

#if defined(__SANITIZE_ADDRESS__)
#define SIM_POOL_PLAIN 1 /* every block from the C library, so that each misuse is seen */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_POOL_PLAIN 1
#endif
#endif

void sim_pool_init(sim_pool *p) {
  *p = (sim_pool){.slab_bytes = 0};
}

#ifdef SIM_POOL_PLAIN

typedef struct plain_head {
  size_t size, pad;
} plain_head;

void sim_pool_clear(sim_pool *p) {
  sim_pool_init(p);
}

static void *pool_alloc(sim_pool *p, size_t size, size_t *real) {
  plain_head *h = malloc(sizeof *h + size);
  (void)p;
  if (h == NULL) {
    return NULL;
  }
  h->size = size;
  *real = size;
  return h + 1;
}

static size_t block_size(const void *block) {
  return ((const plain_head *)block - 1)->size;
}

static void pool_free(sim_pool *p, void *block) {
  (void)p;
  free((plain_head *)block - 1);
}

#else

void sim_pool_clear(sim_pool *p) {
  region *r = p->regions;
  while (r != NULL) {
    region *next = r->next;
    free(r);
    r = next;
  }
  sim_pool_init(p);
}

static uint32_t class_of(size_t size) {
  if (size <= SMALL_MAX) {
    return (uint32_t)((size + 15) / 16) - 1;
  }
  unsigned octave = 63u - (unsigned)__builtin_clzll(size - 1); /* 2^octave < size <= 2^(octave+1) */
  size_t step = (size_t)1 << (octave - 2);
  size_t quarter = (size - ((size_t)1 << octave) + step - 1) / step; /* 1..4 */
  return (uint32_t)(SMALL_MAX / 16 + (octave - 10) * 4 + quarter - 1);
}

static uint32_t class_size(uint32_t class) {
  if (class < SMALL_MAX / 16) {
    return (class + 1) * 16;
  }
  uint32_t octave = 10 + (class - SMALL_MAX / 16) / 4;
  uint32_t quarter = (class - SMALL_MAX / 16) % 4 + 1;
  return (1u << octave) + quarter * (1u << (octave - 2));
}

/* A region holds slabs aligned to their size; its first bytes, before the first slab's blocks, are
 * that slab's. The list of regions lies in blocks of its own. */
static bool add_region(sim_pool *p) {
  region *r = malloc(sizeof *r + SLAB_BYTES * (REGION_SLABS + 1));
  if (r == NULL) {
    return false;
  }
  r->next = p->regions;
  p->regions = r;
  p->slab_bytes += SLAB_BYTES * (REGION_SLABS + 1);
  uintptr_t first = ((uintptr_t)(r + 1) + SLAB_BYTES - 1) & ~(uintptr_t)(SLAB_BYTES - 1);
  for (unsigned i = REGION_SLABS; i > 0; i--) {
    sim_slab *s = (sim_slab *)(first + (i - 1) * SLAB_BYTES);
    s->next = p->empty;
    p->empty = s;
  }
  return true;
}

static void list_add(sim_pool *p, sim_slab *s) {
  s->prev = NULL;
  s->next = p->partial[s->class];
  if (s->next != NULL) {
    s->next->prev = s;
  }
  p->partial[s->class] = s;
}

static void list_remove(sim_pool *p, sim_slab *s) {
  if (s->prev != NULL) {
    s->prev->next = s->next;
  } else {
    p->partial[s->class] = s->next;
  }
  if (s->next != NULL) {
    s->next->prev = s->prev;
  }
}

static sim_slab *new_slab(sim_pool *p, uint32_t class) {
  if (p->empty == NULL && !add_region(p)) {
    return NULL;
  }
  sim_slab *s = p->empty;
  p->empty = s->next;
  s->class = class;
  s->size = class_size(class);
  s->used = 0;
  s->fresh = (uint32_t)(SLAB_BYTES - SLAB_HEAD) / s->size;
  s->free = NULL;
  list_add(p, s);
  return s;
}

static void *large_alloc(size_t size, size_t *real) {
  size_t whole = (size + SLAB_HEAD + SLAB_BYTES - 1) & ~(SLAB_BYTES - 1);
  sim_slab *s = size > SIZE_MAX / 2 ? NULL : aligned_alloc(SLAB_BYTES, whole);
  if (s == NULL) {
    return NULL;
  }
  s->class = CLASS_LARGE;
  s->large = size;
  *real = size;
  return (uint8_t *)s + SLAB_HEAD;
}

static void *pool_alloc(sim_pool *p, size_t size, size_t *real) {
  if (size > MEDIUM_MAX) {
    return large_alloc(size, real);
  }
  uint32_t class = class_of(size);
  sim_slab *s = p->partial[class];
  if (s == NULL) {
    s = new_slab(p, class);
    if (s == NULL) {
      return NULL;
    }
  }
  void *block = s->free;
  if (block != NULL) {
    memcpy(&s->free, block, sizeof s->free);
  } else {
    s->fresh--;
    block = (uint8_t *)s + SLAB_HEAD + (size_t)s->fresh * s->size;
  }
  s->used++;
  if (s->free == NULL && s->fresh == 0) {
    list_remove(p, s);
  }
  *real = s->size;
  return block;
}

static sim_slab *slab_of(const void *block) {
  return (sim_slab *)((uintptr_t)block & ~(uintptr_t)(SLAB_BYTES - 1));
}

static size_t block_size(const void *block) {
  const sim_slab *s = slab_of(block);
  return s->class == CLASS_LARGE ? s->large : s->size;
}

static void pool_free(sim_pool *p, void *block) {
  sim_slab *s = slab_of(block);
  if (s->class == CLASS_LARGE) {
    free(s);
    return;
  }
  bool was_full = s->free == NULL && s->fresh == 0;
  memcpy(block, &s->free, sizeof s->free);
  s->free = block;
  s->used--;
  if (was_full) {
    list_add(p, s);
  }
  if (s->used == 0 && (s->next != NULL || s->prev != NULL)) { /* the last one of a size stays */
    list_remove(p, s);
    s->next = p->empty;
    p->empty = s;
  }
}

#endif

/* ---- accounts ---- */

static void *account_alloc(void *ctx, size_t size) {
  sim_account *a = ctx;
  size_t real = 0;
  void *block = pool_alloc(a->pool, size, &real);
  a->bytes += block != NULL ? real : 0;
  return block;
}

static void account_free(void *ctx, void *block) {
  sim_account *a = ctx;
  if (block != NULL) {
    a->bytes -= block_size(block);
    pool_free(a->pool, block);
  }
}

static void *account_realloc(void *ctx, void *old, size_t size) {
  size_t have = old == NULL ? 0 : block_size(old);
  if (have >= size && have / 2 <= size) {
    return old;
  }
  void *block = account_alloc(ctx, size);
  if (block != NULL && old != NULL) {
    memcpy(block, old, have < size ? have : size);
    account_free(ctx, old);
  }
  return block;
}

void sim_account_init(sim_account *a, sim_pool *pool) {
  *a = (sim_account){
      .pool = pool,
      .mem = {.ctx = a, .alloc = account_alloc, .realloc = account_realloc, .free = account_free}};
}
