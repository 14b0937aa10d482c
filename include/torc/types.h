/* Basic types, limits and error codes shared by every public header of libtorc.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TYPES_H
#define TORC_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define TORC_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TORC_MUST_CHECK
#endif

/* A peer-id, resource-id or private id: 128 bits, most significant byte first, as on the wire.
 * [ENC-03] [GAP-06]: the length is this one constant; other id lengths are refused when the
 * overlay configuration is read. */
#define TORC_ID_LEN 16
typedef struct torc_id {
  uint8_t b[TORC_ID_LEN];
} torc_id;

/* Borrowed bytes; who owns them is said by the function that takes or gives one. */
typedef struct torc_slice {
  const uint8_t *p;
  size_t len;
} torc_slice;

/* Monotonic time in microseconds from an arbitrary start; never wall time. */
typedef uint64_t torc_time;
#define TORC_NEVER UINT64_MAX
#define TORC_MS(ms) ((torc_time)(ms)*1000u)
#define TORC_SEC(s) ((torc_time)(s)*1000000u)

/* Wall time: seconds since 1970-01-01T00:00:00Z, as in storage_time [STO-10]. */
typedef uint32_t torc_wall;

/* Chosen by the platform; names one link for the life of the node and is never reused. 0: none. */
typedef uint64_t torc_link_id;
/* Names a pending operation between node and platform or node and application. 0: none. */
typedef uint64_t torc_token;

/* Protocol on a connection that CONNECT makes, or of a TUNNEL message: the port that IANA has given
 * it [CON-07] [TUN-03]. This one is a link of the overlay itself [GAP-70]. */
#define TORC_APPLICATION_RELOAD 6084

/* Results: 0 or one of these. */
enum {
  TORC_OK = 0,
  TORC_ERR_NOMEM = -1,    /* memory could not be allocated */
  TORC_ERR_INVALID = -2,  /* the caller passed something that is never valid */
  TORC_ERR_FORMAT = -3,   /* bytes that do not have the required form */
  TORC_ERR_SHORT = -4,    /* bytes end before the structure does */
  TORC_ERR_SPACE = -5,    /* the output buffer is too small */
  TORC_ERR_LIMIT = -6,    /* a named limit was reached */
  TORC_ERR_NOTFOUND = -7, /* no such thing */
  TORC_ERR_EXISTS = -8,   /* there is one already */
  TORC_ERR_STATE = -9,    /* not possible in the present state */
  TORC_ERR_IO = -10,      /* the operating system or a backend failed */
  TORC_ERR_CRYPTO = -11,  /* a signature, certificate or key was refused by the crypto library */
  TORC_ERR_DENIED = -12,  /* not permitted */
  TORC_ERR_TIMEOUT = -13, /* no answer in time */
  TORC_ERR_CONFIG = -14,  /* a configuration file or value is wrong */
  TORC_ERR_REFUSED = -15, /* the remote peer answered with an error code */
  TORC_ERR_CLOSED = -16   /* the link or object was closed meanwhile */
};

/* Returns a short English description of `rc`; never NULL, static storage. */
const char *torc_strerror(int rc);

/* Memory functions, given at creation and borrowed for the object's life. `size` is never 0.
 * `free` accepts NULL. `realloc` with a NULL `p` allocates. */
typedef struct torc_mem {
  void *ctx;
  void *(*alloc)(void *ctx, size_t size);
  void *(*realloc)(void *ctx, void *p, size_t size);
  void (*free)(void *ctx, void *p);
} torc_mem;

/* Memory functions of the C library; what NULL stands for wherever a `torc_mem` is asked for. */
const torc_mem *torc_mem_libc(void);

/* Log levels; an event of a level above the sink's is not formatted. */
typedef enum torc_log_level {
  TORC_LOG_ERROR = 1,
  TORC_LOG_WARN = 2,
  TORC_LOG_INFO = 3,
  TORC_LOG_DEBUG = 4,
  TORC_LOG_TRACE = 5
} torc_log_level;

typedef enum torc_field_kind {
  TORC_FIELD_U64,
  TORC_FIELD_I64,
  TORC_FIELD_STR,   /* NUL-terminated, borrowed for the call */
  TORC_FIELD_ID,    /* torc_id, borrowed for the call */
  TORC_FIELD_BYTES, /* printed as text if it is printable, as hex if not; borrowed for the call */
  TORC_FIELD_ERR    /* TORC_ERR_* */
} torc_field_kind;

typedef struct torc_field {
  const char *key;
  torc_field_kind kind;
  union {
    uint64_t u64;
    int64_t i64;
    const char *str;
    const torc_id *id;
    torc_slice bytes;
    int err;
  } v;
} torc_field;

/* Where typed events go. `name` is "module:event". Called synchronously; must not call back into
 * the object that logs. `level` may be changed at any time by the owner. */
typedef struct torc_log {
  void *ctx;
  torc_log_level level;
  void (*event)(void *ctx, torc_log_level level, const char *name, const torc_field *fields,
                size_t num_fields);
} torc_log;

#ifdef __cplusplus
}
#endif
#endif
