/* Memory of which the n-th allocation fails, and which counts what is still held.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TEST_FAILING_MEM_H
#define TORC_TEST_FAILING_MEM_H

#include <stdint.h>
#include <stdlib.h>

#include "torc/types.h"

typedef struct failing_mem {
  torc_mem mem;
  size_t fail_at; /* 1: the first; 0: never */
  size_t num_calls;
  size_t num_held;
} failing_mem;

static inline void *failing_alloc(void *ctx, size_t size) {
  failing_mem *f = ctx;
  f->num_calls++;
  if (f->num_calls == f->fail_at) {
    return NULL;
  }
  f->num_held++;
  return malloc(size);
}

static inline void *failing_realloc(void *ctx, void *p, size_t size) {
  failing_mem *f = ctx;
  f->num_calls++;
  if (f->num_calls == f->fail_at) {
    return NULL;
  }
  f->num_held += p == NULL ? 1u : 0u;
  return realloc(p, size);
}

static inline void failing_free(void *ctx, void *p) {
  failing_mem *f = ctx;
  f->num_held -= p != NULL ? 1u : 0u;
  free(p);
}

static inline void failing_mem_init(failing_mem *f, size_t fail_at) {
  f->mem = (torc_mem){
      .ctx = f, .alloc = failing_alloc, .realloc = failing_realloc, .free = failing_free};
  f->fail_at = fail_at;
  f->num_calls = 0;
  f->num_held = 0;
}

#endif
