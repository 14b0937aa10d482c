/* Inside the store: transactions over the backend, and slots (one type at one resource) with their
 * elements, tombstones and indexes. Every function that touches the backend needs an open
 * transaction. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_OVERLAY_SLOT_H
#define TORC_OVERLAY_SLOT_H

#include "overlay/storage/record.h"
#include "overlay/storage/store.h"

#define TORC_STORE_CLOCK_S 3600u           /* clocks may differ by so much [GAP-98] */
#define TORC_STORE_FORGET_S (60u * 86400u) /* an empty slot's counter is kept so long */
#define TORC_STORE_MERGE_FACTOR 4u      /* values a merge may bring, times max_values [GAP-103] */
#define TORC_STORE_TOMBSTONES_EXTRA 64u /* tombstones of a slot: 4 * max_values + this */
#define TORC_STORE_BLINDS_MAX 64u       /* blinds of a slot; each STORE looks at all */
#define TORC_STORE_BLIND_KEYS_MAX 1024u /* bytes of keys of one blind */
#define TORC_STORE_REMOVE_RESERVE 8u    /* REMOVEs may go beyond max_bytes by its eighth */
#define TORC_STORE_RAISE ((uint64_t)1 << 32) /* [GAP-95] */

/* A counter above this is no neighbour's: a hostile one could otherwise stop ours from rising. */
#define TORC_STORE_GENERATION_MAX ((uint64_t)1 << 62)

typedef struct torc_totals {
  uint64_t bytes;     /* elements, tombstones and what is kept of REMOVEs, keys included */
  uint64_t floor;     /* highest counter of a forgotten slot [GAP-95] */
  uint32_t resources; /* with an element [GAP-67] */
  uint32_t removals;  /* REMOVEs remembered [GAP-92] */
  uint64_t expired, tombstones, dropped; /* counters for torc_store_stats */
} torc_totals;

struct torc_store {
  const torc_mem *mem;
  const torc_crypto *crypto;
  const torc_types *types;
  const torc_backend *backend;
  const torc_log *log;
  bool remove_needs_generation;
  uint64_t max_bytes;
  uint32_t max_remove_memory;
  torc_totals held; /* as committed */
  torc_totals next; /* as the open transaction would leave it */
  torc_wall now;    /* of the open transaction */
  bool is_writing;  /* it may change something */
  bool is_full;     /* the backend had no room, and no write has succeeded since */
  torc_buf scratch; /* a value being put together */
  torc_store_stats stats;
};

/* One transaction per request [STO-06] [REM-06]. */
int torc_txn_begin(torc_store *s, bool write, torc_wall now) TORC_MUST_CHECK;
int torc_txn_commit(torc_store *s) TORC_MUST_CHECK; /* ends the transaction also when it fails */
void torc_txn_abort(torc_store *s);
/* TORC_ERR_NOTFOUND: there is none. */
int torc_txn_get(torc_store *s, const torc_rkey *key, torc_slice *value) TORC_MUST_CHECK;
int torc_txn_put(torc_store *s, const torc_rkey *key, torc_slice value) TORC_MUST_CHECK;
int torc_txn_del(torc_store *s, const torc_rkey *key) TORC_MUST_CHECK;
/* First record at or after `from` whose key starts with the first `prefix_len` bytes of `from`; its
 * key goes into `found`, which may be `from`. TORC_ERR_NOTFOUND: none. */
int torc_txn_seek(torc_store *s, const torc_rkey *from, size_t prefix_len, torc_rkey *found,
                  torc_slice *value) TORC_MUST_CHECK;

typedef struct torc_slot {
  const torc_type *type; /* NULL: no longer configured */
  torc_type_id type_id;
  torc_id resource;
  torc_meta meta, before;
  bool exists;       /* in the backend */
  bool is_top_stale; /* the highest element may be gone */
} torc_slot;

int torc_slot_load(torc_store *s, torc_slot *slot, const torc_id *resource,
                   torc_type_id type) TORC_MUST_CHECK;
/* Writes what changed: meta, the resource's record, the type's index. */
int torc_slot_save(torc_store *s, torc_slot *slot) TORC_MUST_CHECK;
/* Deletes an empty slot with its counter. */
int torc_slot_forget(torc_store *s, torc_slot *slot) TORC_MUST_CHECK;
/* Deletes the expired elements, the counter rises by one for each [GAP-98]. */
int torc_slot_purge(torc_store *s, torc_slot *slot) TORC_MUST_CHECK;
/* Brings meta.top up to date after deletions. */
int torc_slot_find_top(torc_store *s, torc_slot *slot) TORC_MUST_CHECK;
bool torc_slot_needs_purge(const torc_slot *slot, torc_wall now);
/* The counter a slot gets with its next change [STO-22] [GAP-95]. */
uint64_t torc_slot_next_generation(const torc_store *s, const torc_slot *slot);

/* Sets the counter; is_synced: to what another holder has. */
void torc_slot_set_generation(torc_slot *slot, uint64_t generation, bool is_synced);
/* One element has expired: the counter rises [GAP-98]. */
void torc_slot_count_expired(torc_store *s, torc_slot *slot);
/* Whether nothing but expiry happened here since the counter was `generation`. */
bool torc_slot_is_in_step(const torc_slot *slot, uint64_t generation);

/* Key of the element (or single and dictionary tombstone) that `e` names. */
int torc_slot_key(torc_store *s, const torc_slot *slot, torc_kind kind, const torc_entry *e,
                  torc_rkey *key) TORC_MUST_CHECK;
void torc_slot_index_key(const torc_slot *slot, torc_kind kind, uint32_t index, torc_rkey *key);
uint32_t torc_slot_key_index(const torc_rkey *key); /* of an array's element or tombstone */
/* TORC_ERR_NOTFOUND: none. */
int torc_slot_get(torc_store *s, const torc_rkey *key, torc_element *e) TORC_MUST_CHECK;
/* Inserts or replaces; e->bytes must not lie in the backend. */
int torc_slot_put(torc_store *s, torc_slot *slot, const torc_rkey *key,
                  const torc_element *e) TORC_MUST_CHECK;
/* Deletes the element, which must be there. */
int torc_slot_del(torc_store *s, torc_slot *slot, const torc_rkey *key) TORC_MUST_CHECK;

/* Bytes that an element takes. */
size_t torc_slot_element_cost(const torc_rkey *key, const torc_element *e);

typedef enum torc_digest_state {
  TORC_DIGEST_PRESENT = 1,
  TORC_DIGEST_REMOVED = 2
} torc_digest_state;
/* Where an array has or had the element with this digest; a present one is named first.
 * TORC_ERR_NOTFOUND: nowhere. */
int torc_slot_find_digest(torc_store *s, const torc_slot *slot,
                          const uint8_t digest[TORC_DIGEST_LEN], torc_digest_state *state,
                          uint32_t *index) TORC_MUST_CHECK;

/* Puts a tombstone in the place of the element at `element_key`, which it deletes. Of `how`
 * counter, REMOVE and is_weak are taken. TORC_ERR_LIMIT: too many. */
int torc_slot_bury(torc_store *s, torc_slot *slot, const torc_rkey *element_key,
                   const torc_element *e, const torc_tombstone *how) TORC_MUST_CHECK;
/* The tombstone also stands for a later value at its place [D-14]. */
int torc_slot_extend_tomb(torc_store *s, const torc_rkey *key, torc_wall storage_time,
                          torc_wall expiry) TORC_MUST_CHECK;
int torc_slot_put_blind(torc_store *s, torc_slot *slot, const torc_blind *b,
                        const uint8_t removal[TORC_DIGEST_LEN]) TORC_MUST_CHECK;
/* Deletes a tombstone or blind, and forgets its REMOVE with the last. */
int torc_slot_del_tomb(torc_store *s, torc_slot *slot, const torc_rkey *key) TORC_MUST_CHECK;

void torc_removal_key(torc_rkey *key, torc_table table, const torc_id *resource,
                      const uint8_t digest[TORC_DIGEST_LEN]);
int torc_removal_unref(torc_store *s, const torc_id *resource,
                       const uint8_t digest[TORC_DIGEST_LEN]) TORC_MUST_CHECK;

/* Keeps the largest counter of slots that are forgotten [GAP-95]. */
int torc_store_raise_floor(torc_store *s, uint64_t generation) TORC_MUST_CHECK;

/* How long a value lives [GAP-98]. */
typedef struct torc_life {
  torc_wall expiry; /* at this holder */
  torc_wall end;    /* storage_time + lifetime, the lifetime cut at the type's maximum */
  bool is_over;     /* for more than TORC_STORE_CLOCK_S */
} torc_life;
torc_life torc_life_of(const torc_type *type, uint32_t storage_time, uint32_t lifetime_s,
                       torc_wall now);

/* Array positions of a range after the mapping of -1 [GAP-88]; false: the range is empty. */
bool torc_array_range(int32_t first, int32_t last, uint32_t top, uint32_t *from, uint32_t *to);
/* Whether a list of 2-byte-prefixed keys holds `key`. */
bool torc_keys_hold(torc_slice keys, torc_slice key);

void torc_write_result_fail(torc_store *s, torc_write_result *r, uint16_t code, const char *detail);

#endif
