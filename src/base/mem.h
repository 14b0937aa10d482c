/* Allocation through the owner's hooks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_MEM_H
#define TORC_BASE_MEM_H

#include "torc/types.h"

/* Zeroed memory for `count` objects of `size` bytes; NULL on overflow or exhaustion. */
void *torc_calloc(const torc_mem *mem, size_t count, size_t size);
void *torc_alloc(const torc_mem *mem, size_t size);
void *torc_realloc(const torc_mem *mem, void *p, size_t size);
void torc_free(const torc_mem *mem, void *p);

#endif
