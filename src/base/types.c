/* What the public header of basic types declares.
 * SPDX-License-Identifier: Apache-2.0 */
#include "torc/types.h"

#include <stdlib.h>

/* libtorc exports these two; everything else of this room stays hidden. */
#define EXPORTED __attribute__((visibility("default")))

EXPORTED const char *torc_strerror(int rc) {
  switch (rc) {
    case TORC_OK:
      return "success";
    case TORC_ERR_NOMEM:
      return "out of memory";
    case TORC_ERR_INVALID:
      return "invalid argument";
    case TORC_ERR_FORMAT:
      return "malformed data";
    case TORC_ERR_SHORT:
      return "data ends too early";
    case TORC_ERR_SPACE:
      return "buffer too small";
    case TORC_ERR_LIMIT:
      return "limit reached";
    case TORC_ERR_NOTFOUND:
      return "not found";
    case TORC_ERR_EXISTS:
      return "already exists";
    case TORC_ERR_STATE:
      return "not possible in this state";
    case TORC_ERR_IO:
      return "input/output error";
    case TORC_ERR_CRYPTO:
      return "cryptographic check failed";
    case TORC_ERR_DENIED:
      return "not permitted";
    case TORC_ERR_TIMEOUT:
      return "no answer in time";
    case TORC_ERR_CONFIG:
      return "configuration error";
    case TORC_ERR_REFUSED:
      return "refused by the remote peer";
    case TORC_ERR_CLOSED:
      return "closed";
    default:
      return "unknown error";
  }
}

static void *libc_alloc(void *ctx, size_t size) {
  (void)ctx;
  return malloc(size);
}

static void *libc_realloc(void *ctx, void *p, size_t size) {
  (void)ctx;
  return realloc(p, size);
}

static void libc_free(void *ctx, void *p) {
  (void)ctx;
  free(p);
}

EXPORTED const torc_mem *torc_mem_libc(void) {
  static const torc_mem mem = {
      .ctx = NULL, .alloc = libc_alloc, .realloc = libc_realloc, .free = libc_free};
  return &mem;
}
