/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SIM_POOL_PLAIN 1 /* every block from the C library, so that each misuse is seen */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_POOL_PLAIN 1
#endif
#endif

#ifdef SIM_POOL_PLAIN

typedef struct plain_head {
  size_t size, pad;
} plain_head;

void sim_pool_init(sim_pool *p, unsigned share) {
  (void)share;
  *p = (sim_pool){.space = NULL};
}

void sim_pool_clear(sim_pool *p) {
  *p = (sim_pool){.space = NULL};
}

static void *pool_alloc(sim_pool *p, size_t size, size_t *real) {
  plain_head *h = size > SIZE_MAX / 2 ? NULL : malloc(sizeof *h + size);
  (void)p;
  if (h == NULL) {
    return NULL;
  }
  h->size = size;
  *real = size;
  return h + 1;
}

static size_t block_size(const sim_pool *p, const void *block) {
  (void)p;
  return ((const plain_head *)block - 1)->size;
}

static void pool_free(sim_pool *p, void *block) {
  (void)p;
  free((plain_head *)block - 1);
}

#else

#define SLAB_SHIFT 14 /* small: one block that stays holds all of its slab */
#define SLAB_BYTES ((size_t)1 << SLAB_SHIFT)
#define SPACE_MOST ((size_t)64 << 30) /* of address, not of memory */
#define SPACE_LEAST ((size_t)256 << 20)
#define MACHINE_PERCENT 92u /* of the machine's memory, for all pools */
#define HUGE_BYTES ((size_t)2 << 20)
#define HUGE_FROM ((size_t)32 << 20) /* a small simulation takes its pages one by one */
#define SMALL_MAX 1024u              /* up to here classes are 16 bytes apart, */
#define MEDIUM_MAX 4096u             /* up to here four to an octave; above: a block of its own */
#define AT_HAND_BYTES 16384u         /* of one class; half goes back to the slabs then */
#define REFILL 16u
#define NO_SLAB UINT32_MAX

/* Blocks never given out yet lie at its end; those given back in a list. */
struct sim_slab {
  void *free;
  uint32_t next, prev;
  uint16_t out, fresh; /* blocks not in the slab; never given out */
};

static uint32_t class_for(size_t size) {
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

static void *reserve(size_t bytes) {
  void *p =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

static void release(void *p, size_t bytes) {
  if (p != NULL) {
    (void)munmap(p, bytes);
  }
}

void sim_pool_clear(sim_pool *p) {
  release(p->space, p->max_slabs * SLAB_BYTES);
  release(p->class_of, p->max_slabs);
  release(p->slabs, p->max_slabs * sizeof *p->slabs);
  *p = (sim_pool){.allowed_slabs = p->allowed_slabs};
}

/* Better told in time than killed by the system. */
void sim_pool_init(sim_pool *p, unsigned share) {
  long pages = sysconf(_SC_PHYS_PAGES);
  long page = sysconf(_SC_PAGESIZE);
  uint64_t bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : SPACE_MOST;
  uint64_t slabs = bytes / 100 * MACHINE_PERCENT / share >> SLAB_SHIFT;
  *p = (sim_pool){.allowed_slabs = slabs < UINT32_MAX ? (uint32_t)slabs : UINT32_MAX};
}

/* As much address space as can be had: pages are taken when they are first written. */
static bool open_space(sim_pool *p) {
  size_t bytes = SPACE_MOST;
  while (p->space == NULL && bytes >= SPACE_LEAST) {
    p->space = reserve(bytes);
    p->max_slabs = (uint32_t)(bytes >> SLAB_SHIFT);
    bytes /= 4;
  }
  if (p->space == NULL) {
    return false;
  }
  p->class_of = reserve(p->max_slabs);
  p->slabs = reserve(p->max_slabs * sizeof *p->slabs);
  if (p->class_of == NULL || p->slabs == NULL) {
    sim_pool_clear(p);
    return false;
  }
  p->empty = NO_SLAB;
  for (uint32_t i = 0; i < SIM_POOL_CLASSES; i++) {
    p->partial[i] = NO_SLAB;
  }
  return true;
}

/* The first of the list is the one blocks are taken from. It is the lowest of those that came since
 * it was: what is used gathers in low slabs, and the high ones run empty. */
static void list_add(sim_pool *p, uint32_t class, uint32_t i) {
  uint32_t first = p->partial[class];
  if (first != NO_SLAB && first < i) {
    p->slabs[i].prev = first;
    p->slabs[i].next = p->slabs[first].next;
    if (p->slabs[i].next != NO_SLAB) {
      p->slabs[p->slabs[i].next].prev = i;
    }
    p->slabs[first].next = i;
    return;
  }
  p->slabs[i].prev = NO_SLAB;
  p->slabs[i].next = p->partial[class];
  if (p->partial[class] != NO_SLAB) {
    p->slabs[p->partial[class]].prev = i;
  }
  p->partial[class] = i;
}

static void list_remove(sim_pool *p, uint32_t class, uint32_t i) {
  const sim_slab *s = &p->slabs[i];
  if (s->prev != NO_SLAB) {
    p->slabs[s->prev].next = s->next;
  } else {
    p->partial[class] = s->next;
  }
  if (s->next != NO_SLAB) {
    p->slabs[s->next].prev = s->prev;
  }
}

static uint32_t new_slab(sim_pool *p, uint32_t class) {
  uint32_t i = p->empty;
  if (i != NO_SLAB) {
    p->empty = p->slabs[i].next;
  } else {
    if (p->num_slabs == p->max_slabs || p->num_slabs >= p->allowed_slabs) {
      return NO_SLAB;
    }
    i = p->num_slabs++;
    uint8_t *at = p->space + ((size_t)i << SLAB_SHIFT);
    if (((size_t)i << SLAB_SHIFT) >= HUGE_FROM && ((uintptr_t)at & (HUGE_BYTES - 1)) == 0 &&
        p->max_slabs - i >= HUGE_BYTES / SLAB_BYTES) {
      (void)madvise(at, HUGE_BYTES, MADV_HUGEPAGE); /* nodes lie far apart: fewer TLB misses */
    }
  }
  p->class_of[i] = (uint8_t) class;
  p->slabs[i] = (sim_slab){.fresh = (uint16_t)(SLAB_BYTES / class_size(class))};
  list_add(p, class, i);
  return i;
}

static void put_at_hand(sim_pool *p, uint32_t class, void *block) {
  memcpy(block, &p->at_hand[class].first, sizeof(void *));
  p->at_hand[class].first = block;
  p->at_hand[class].num++;
}

static void *take_at_hand(sim_pool *p, uint32_t class) {
  void *block = p->at_hand[class].first;
  assert(block != NULL);
  memcpy(&p->at_hand[class].first, block, sizeof(void *));
  p->at_hand[class].num--;
  return block;
}

static bool refill(sim_pool *p, uint32_t class) {
  uint32_t i = p->partial[class];
  if (i == NO_SLAB) {
    i = new_slab(p, class);
    if (i == NO_SLAB) {
      return false;
    }
  }
  sim_slab *s = &p->slabs[i];
  uint32_t size = class_size(class);
  uint32_t most = AT_HAND_BYTES / 4 / size;
  most = most == 0 ? 1 : most > REFILL ? REFILL : most;
  for (uint32_t k = 0; k < most && (s->free != NULL || s->fresh > 0); k++) {
    void *block = s->free;
    if (block != NULL) {
      memcpy(&s->free, block, sizeof s->free);
    } else {
      s->fresh--;
      block = p->space + ((size_t)i << SLAB_SHIFT) + (size_t)s->fresh * size;
    }
    s->out++;
    put_at_hand(p, class, block);
  }
  if (s->free == NULL && s->fresh == 0) {
    list_remove(p, class, i);
  }
  return true;
}

static uint32_t slab_of(const sim_pool *p, const void *block) {
  return (uint32_t)((size_t)((const uint8_t *)block - p->space) >> SLAB_SHIFT);
}

static void return_to_slab(sim_pool *p, uint32_t class, void *block) {
  uint32_t i = slab_of(p, block);
  sim_slab *s = &p->slabs[i];
  bool was_full = s->free == NULL && s->fresh == 0;
  memcpy(block, &s->free, sizeof s->free);
  s->free = block;
  s->out--;
  if (was_full) {
    list_add(p, class, i);
  }
  if (s->out == 0 && (s->next != NO_SLAB || s->prev != NO_SLAB)) { /* the last of a size stays */
    list_remove(p, class, i);
    s->next = p->empty;
    p->empty = i;
  }
}

/* A block too large for a slab has its size before it, and lies elsewhere. */
static void *large_alloc(size_t size, size_t *real) {
  size_t *p = size > SIZE_MAX / 2 ? NULL : malloc(size + 2 * sizeof *p);
  if (p == NULL) {
    return NULL;
  }
  p[0] = size;
  *real = size;
  return p + 2;
}

static bool is_large(const sim_pool *p, const void *block) {
  return (size_t)((uintptr_t)block - (uintptr_t)p->space) >= (size_t)p->max_slabs << SLAB_SHIFT;
}

static size_t block_size(const sim_pool *p, const void *block) {
  return is_large(p, block) ? *((const size_t *)block - 2)
                            : class_size(p->class_of[slab_of(p, block)]);
}

static void *pool_alloc(sim_pool *p, size_t size, size_t *real) {
  if (p->space == NULL && !open_space(p)) {
    return NULL;
  }
  if (size > MEDIUM_MAX) {
    return large_alloc(size, real);
  }
  uint32_t class = class_for(size);
  if (p->at_hand[class].first == NULL && !refill(p, class)) {
    return NULL;
  }
  *real = class_size(class);
  return take_at_hand(p, class);
}

static void pool_free(sim_pool *p, void *block) {
  if (is_large(p, block)) {
    free((size_t *)block - 2);
    return;
  }
  uint32_t class = p->class_of[slab_of(p, block)];
  uint32_t most = AT_HAND_BYTES / class_size(class);
  put_at_hand(p, class, block);
  if (p->at_hand[class].num > most) {
    for (uint32_t k = 0; k < most / 2 + 1; k++) {
      return_to_slab(p, class, take_at_hand(p, class));
    }
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
    a->bytes -= block_size(a->pool, block);
    pool_free(a->pool, block);
  }
}

static void *account_realloc(void *ctx, void *old, size_t size) {
  sim_account *a = ctx;
  size_t have = old == NULL ? 0 : block_size(a->pool, old);
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
