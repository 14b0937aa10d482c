/* How the store lays out its records in the backend: keys and values (docs/storage.md shows the
 * table). SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_OVERLAY_RECORD_H
#define TORC_OVERLAY_RECORD_H

#include "torc/crypto.h"
#include "torc/storage.h"
#include "wire/storage_pdu.h"

#define TORC_RECORD_VERSION 1u /* of the layout below; another one is refused */

typedef enum torc_table {                             /* first byte of every key */
                          TORC_TABLE_FORMAT = 0x00,   /* one record: version and floor */
                          TORC_TABLE_SLOT = 0x01,     /* resource ++ type ++ kind ++ rest */
                          TORC_TABLE_EXPIRY = 0x02,   /* time (4) ++ key of TORC_TABLE_SLOT */
                          TORC_TABLE_REMOVAL = 0x03,  /* resource ++ digest: what is kept of a
                                                         REMOVE, without its bytes */
                          TORC_TABLE_RESOURCE = 0x04, /* resource */
                          TORC_TABLE_TYPE = 0x05, /* type ++ resource, where a slot has elements */
                          TORC_TABLE_MESSAGE = 0x06 /* resource ++ digest: the bytes of a REMOVE */
} torc_table;

typedef enum torc_kind { /* of a slot's records */
                         TORC_KIND_META = 0,
                         TORC_KIND_ELEMENT = 1,   /* ++ index (4), dictionary key or nothing */
                         TORC_KIND_TOMBSTONE = 2, /* the same; arrays: index ++ digest */
                         TORC_KIND_BLIND = 3,     /* ++ digest of the REMOVE */
                         TORC_KIND_DIGEST = 4     /* arrays: digest ++ index, where it is or was */
} torc_kind;

/* A dictionary key up to this long stands in the record's key as it is; of a longer one so much,
 * then its SHA-256. */
#define TORC_RECORD_KEY_RAW 200u
#define TORC_RECORD_KEY_HASHED (TORC_RECORD_KEY_RAW + TORC_DIGEST_LEN)
#define TORC_RECORD_PREFIX_LEN 20u /* table, resource, type */

typedef struct torc_rkey {
  size_t len;
  uint8_t b[TORC_BACKEND_KEY_MAX];
} torc_rkey;

torc_slice torc_rkey_slice(const torc_rkey *k);
void torc_rkey_set(torc_rkey *k, torc_slice bytes);
void torc_rkey_add(torc_rkey *k, torc_slice bytes);
void torc_rkey_add_u32(torc_rkey *k, uint32_t v);
/* The next key in bytewise order. */
void torc_rkey_next(torc_rkey *k);

void torc_rkey_table(torc_rkey *k, torc_table table);
/* TORC_TABLE_RESOURCE, TORC_TABLE_REMOVAL and TORC_TABLE_MESSAGE: the part all keys of a resource
 * share. */
void torc_rkey_resource(torc_rkey *k, torc_table table, const torc_id *resource);
void torc_rkey_type(torc_rkey *k, torc_type_id type, const torc_id *resource);
void torc_rkey_slot(torc_rkey *k, const torc_id *resource, torc_type_id type, torc_kind kind);
void torc_rkey_expiry(torc_rkey *k, torc_wall at, const torc_rkey *slot_key);

typedef struct torc_format_record {
  uint16_t version;
  uint64_t floor; /* counters of slots begun from now on lie above it [GAP-95] */
} torc_format_record;

typedef struct torc_meta { /* TORC_KIND_META */
  uint64_t generation;
  uint64_t bytes; /* of elements, tombstones and blinds, keys included */
  uint32_t count; /* elements */
  uint32_t tombs; /* tombstones and blinds */
  uint32_t blinds;
  uint32_t drift;       /* by so much the counter has risen by expiry since it was set otherwise */
  uint32_t top;         /* arrays: highest index with an element + 1 */
  torc_wall min_expiry; /* no element expires before; 0: no elements */
  torc_wall forget_at;  /* an empty slot is forgotten then; 0: not empty */
  bool is_synced;       /* the counter was last set by a replica STORE */
} torc_meta;

typedef struct torc_element { /* TORC_KIND_ELEMENT */
  torc_wall receipt, expiry;
  uint64_t generation; /* the counter was at most this when the element was written [D-14] */
  uint8_t digest[TORC_DIGEST_LEN]; /* arrays: of the signed bytes and the signer */
  torc_slice bytes;                /* stored_data as it is sent again; borrowed */
} torc_element;

typedef struct torc_tombstone {     /* TORC_KIND_TOMBSTONE [GAP-93] */
  torc_wall storage_time, expiry;   /* of the removed value */
  uint64_t generation;              /* the counter when it was removed */
  bool is_weak;                     /* a replica's guess: a later counter undoes it */
  uint8_t digest[TORC_DIGEST_LEN];  /* arrays: of the removed element */
  uint8_t removal[TORC_DIGEST_LEN]; /* the REMOVE */
} torc_tombstone;

/* A REMOVE that reached a replica which lacked some of what it names: it keeps away whatever it
 * covers. */
typedef struct torc_blind { /* TORC_KIND_BLIND [D-14] */
  torc_wall storage_time;   /* an owner's element must be newer */
  torc_wall expiry;
  uint64_t generation; /* a replica's element must come from a later state */
  int32_t first, last; /* arrays */
  torc_slice keys;     /* dictionary: as in torc_specifier; borrowed */
} torc_blind;

typedef struct torc_removal { /* TORC_TABLE_REMOVAL [R-16] [GAP-92] */
  uint64_t xid;
  uint32_t refs;      /* tombstones and blinds that name it */
  bool is_replayable; /* every type had a generation, so a replay harms nothing newer */
  uint32_t contents_len, signature_len;
} torc_removal;

typedef struct torc_resource_record { /* TORC_TABLE_RESOURCE */
  uint32_t slots, elements;
} torc_resource_record;

/* Writers: room for the fixed part; borrowed bytes follow it. */
#define TORC_RECORD_FIXED_MAX 96u
void torc_format_put(torc_wr *wr, const torc_format_record *r);
void torc_meta_put(torc_wr *wr, const torc_meta *m);
void torc_element_put(torc_wr *wr, const torc_element *e);
void torc_tombstone_put(torc_wr *wr, const torc_tombstone *t);
void torc_blind_put(torc_wr *wr, const torc_blind *b);
void torc_removal_put(torc_wr *wr, const torc_removal *r);
void torc_resource_record_put(torc_wr *wr, const torc_resource_record *r);

/* Readers: TORC_ERR_FORMAT or TORC_ERR_SHORT for bytes that are no such record. */
int torc_format_get(torc_format_record *r, torc_slice value) TORC_MUST_CHECK;
int torc_meta_get(torc_meta *m, torc_slice value) TORC_MUST_CHECK;
int torc_element_get(torc_element *e, torc_slice value) TORC_MUST_CHECK;
int torc_tombstone_get(torc_tombstone *t, torc_slice value) TORC_MUST_CHECK;
int torc_blind_get(torc_blind *b, torc_slice value) TORC_MUST_CHECK;
int torc_removal_get(torc_removal *r, torc_slice value) TORC_MUST_CHECK;
int torc_resource_record_get(torc_resource_record *r, torc_slice value) TORC_MUST_CHECK;

/* storage_time in the bytes of a stored_data; 0 if they are too short. */
uint32_t torc_element_storage_time(const torc_element *e);

#endif
