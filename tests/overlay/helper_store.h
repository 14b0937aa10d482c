/* A store on a watched memory backend, requests in a few words, and what is stored as text.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_HELPER_STORE_H
#define TORC_HELPER_STORE_H

#include "helper_crypto.h"
#include "overlay/storage/store.h"

/* Test types, all USER_MATCH unless said otherwise. */
enum {
  HS_NOTE = 0xf00001,  /* single, 64 bytes, 1000 s */
  HS_LIST = 0xf00002,  /* array of 4, 64 bytes, 1000 s */
  HS_MAP = 0xf00003,   /* dictionary of 4, 64 bytes, 1000 s */
  HS_BIG = 0xf00004,   /* dictionary of 100, 60000 bytes */
  HS_PEER = 0xf00005,  /* single, NODE_MATCH */
  HS_LOG = 0xf00006,   /* array of 65536, 64 bytes */
  HS_DEVICE = 0xf00007 /* dictionary of 10, USER_NODE_MATCH */
};
#define HS_NOW 1000000u
#define HS_UNKNOWN 0xf0ffffu /* a type nobody has */

/* Between the store and the memory backend: slices are poisoned as soon as the contract allows, and
 * the n-th call fails. */
typedef struct hs_backend {
  torc_backend inner, table;
  uint64_t num_calls, fail_at;
  void *handed_out[64];
  size_t num_handed_out;
} hs_backend;

typedef struct hs {
  helper_mem mem;
  torc_memory_backend *obj;
  hs_backend backend;
  torc_types types;
  torc_type room[TORC_TYPES_MAX]; /* of types */
  torc_store_config cfg;
  torc_store *store;
  torc_cert *alice, *alice2, *bob; /* alice@example.org twice, bob@example.org */
  torc_id res;                     /* where alice writes */
  torc_wall now;
  const torc_cert *message_signer;
  torc_store_origin origin;
  torc_write_result result;
  int32_t last_index; /* of the last element after a STORE */
  uint64_t xid;       /* of the next REMOVE */
  char text[65536];
} hs;

void hs_init(hs *h);
void hs_clear(hs *h);
/* Closes the store and opens it again on the same backend. */
void hs_reopen(hs *h);

/* One element of a STORE. Zero fields: time HS_NOW, life 100, signature "sig", signer alice,
 * verdict valid. */
typedef struct hs_elem {
  uint32_t type;
  uint64_t gen;      /* of the type; the first element's counts */
  int32_t index;     /* arrays */
  const char *key;   /* dictionaries */
  const char *value; /* NULL: empty */
  uint32_t time, life;
  const char *sig;
  const torc_cert *signer;
  torc_verdict verdict;
  torc_slice raw; /* in place of value */
} hs_elem;
#define HS_ZERO_TIME UINT32_MAX /* stands for a real 0 in time and life */

/* Applies one STORE; returns the code, or the negative error. */
int hs_store(hs *h, const torc_id *resource, const hs_elem *list, size_t num);
/* The payload of the same STORE, in a buffer of the caller; returns its length. */
size_t hs_store_payload(const hs *h, const torc_id *resource, const hs_elem *list, size_t num,
                        uint8_t *buf, size_t cap);
/* Applies a STORE payload as another holder sent it, every element signed by `signer`. */
int hs_replica_store(hs *h, torc_slice payload, const torc_cert *signer);

typedef struct hs_spec {
  uint32_t type;
  uint64_t gen;
  int32_t first, last;
  const char *keys; /* separated by commas; NULL: all */
} hs_spec;
int hs_remove(hs *h, const torc_id *resource, const hs_spec *list, size_t num,
              const torc_cert *signer);
int hs_remove_raw(hs *h, torc_slice payload, const torc_cert *signer);
size_t hs_spec_payload(const hs *h, const torc_id *resource, const hs_spec *list, size_t num,
                       uint8_t *buf, size_t cap);

/* What a FETCH answers, e.g. "f00002 g3: 0=a@1000000 1=- 2=c@1000001"; "error -6" if it fails.
 * Lives until the next. */
const char *hs_fetch(hs *h, const torc_id *resource, const hs_spec *list, size_t num);
/* All of one type with no cached state. */
const char *hs_fetch_all(hs *h, const torc_id *resource, uint32_t type);
/* Reads the values of a payload as text, for one type. */
uint64_t hs_generation(hs *h, const torc_id *resource, uint32_t type);

/* Digest of everything in the backend. */
void hs_digest(hs *h, uint8_t out[TORC_DIGEST_LEN]);
/* torc_store_copy_next until nothing is left or a callback fails. */
int hs_copy_all(hs *from, const torc_id *resource, torc_wall now, torc_copy_store_fn store,
                torc_copy_remove_fn remove, void *ctx);
/* Copies everything held at `resource` from one to the other, as handoff does; `signer` signed all
 * of it. */
int hs_copy(hs *from, hs *to, const torc_id *resource, const torc_cert *signer);

/* Compares text. */
#define HS_EXPECT(actual_, wanted_) assert_string_equal((actual_), (wanted_))

#endif
