/* A crypto table for tests (OpenSSL's SHA-256, random bytes that repeat), certificates made by
 * hand, and memory whose n-th allocation fails. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_HELPER_CRYPTO_H
#define TORC_HELPER_CRYPTO_H

#include "torc/crypto.h"

/* The table; `random` gives a sequence that starts anew in every process. */
const torc_crypto *helper_crypto(void);

/* An id whose first byte is `first` and whose other bytes are `rest`. */
torc_id helper_id(uint8_t first, uint8_t rest);
/* First 16 bytes of SHA-256 [D-11]. */
torc_id helper_hash(const void *bytes, size_t len);
torc_id helper_user_resource(const char *user);
torc_id helper_peer_resource(const torc_id *peer);
torc_id helper_turn_resource(const torc_id *peer, uint8_t iteration);

/* A certificate with the given user name (NULL: none) and peer-id (NULL: none), valid from 1 to the
 * end of time. Its DER is no DER, but unlike every other one's. One reference; cert_release of the
 * table frees it. */
torc_cert *helper_cert(const char *user, const torc_id *peer);
/* The same with these bytes as DER, which are copied. */
torc_cert *helper_cert_der(const char *user, const torc_id *peer, torc_slice der);
/* Changes one that nobody else uses yet; at most TORC_CERT_MAX_PEERS and _USERS. */
void helper_cert_set_peers(torc_cert *cert, const torc_id *ids, size_t num);
void helper_cert_add_user(torc_cert *cert, const char *user);
void helper_cert_release(void *ctx, torc_cert *cert); /* for tables of crypto functions */
void helper_cert_free(torc_cert *cert);

/* Memory that counts: the `fail_at`-th allocation from the last reset on fails (1 is the first; 0:
 * none), and so do all after it if `fail_rest`. */
typedef struct helper_mem {
  torc_mem mem;
  uint64_t num_calls, fail_at;
  bool fail_rest;
  int64_t num_live;  /* allocations not yet freed */
  int64_t num_bytes; /* and what they take, with the allocator's own 8 bytes and its rounding */
  int64_t peak_bytes;
} helper_mem;
void helper_mem_init(helper_mem *m);
void helper_mem_reset(helper_mem *m, uint64_t fail_at);

#endif
