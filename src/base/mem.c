/* Allocation through the owner's hooks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <string.h>

static const torc_mem *hooks(const torc_mem *mem) {
  return mem != NULL ? mem : torc_mem_libc();
}

void *torc_alloc(const torc_mem *mem, size_t size) {
  mem = hooks(mem);
  return mem->alloc(mem->ctx, size != 0 ? size : 1);
}

void *torc_calloc(const torc_mem *mem, size_t count, size_t size) {
  void *p;
  if (size != 0 && count > SIZE_MAX / size) {
    return NULL;
  }
  p = torc_alloc(mem, count * size);
  if (p != NULL) {
    memset(p, 0, count * size);
  }
  return p;
}

void *torc_realloc(const torc_mem *mem, void *p, size_t size) {
  mem = hooks(mem);
  return mem->realloc(mem->ctx, p, size != 0 ? size : 1);
}

void torc_free(const torc_mem *mem, void *p) {
  mem = hooks(mem);
  mem->free(mem->ctx, p);
}
