/* Helpers for borrowed bytes, constant-time comparison and wiping.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_BASE_SLICE_H
#define TORC_BASE_SLICE_H

#include "torc/types.h"

#define TORC_CONTAINER_OF(ptr, type, member) \
  ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define TORC_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

torc_slice torc_slice_of(const void *p, size_t len);
torc_slice torc_slice_str(const char *text); /* without the NUL; NULL gives an empty slice */
bool torc_slice_eq(torc_slice a, torc_slice b);
/* Bytewise, a prefix sorts first: <0, 0, >0. */
int torc_slice_cmp(torc_slice a, torc_slice b);
/* Bytes [off, off+len); an empty slice if that is outside. */
torc_slice torc_slice_sub(torc_slice s, size_t off, size_t len);
/* True iff `s` is well-formed UTF-8 without NUL [GAP-10]. */
bool torc_utf8_valid(torc_slice s);
/* Compares without a branch on the content; for secrets. */
bool torc_ct_equal(const void *a, const void *b, size_t len);
/* Overwrites memory in a way the compiler keeps. */
void torc_wipe(void *p, size_t len);
/* Copies into memory of `mem`; *out is set only on success. An empty slice gives NULL and success.
 */
int torc_slice_dup(const torc_mem *mem, torc_slice s, uint8_t **out) TORC_MUST_CHECK;

#endif
