/* STORE, FETCH, REMOVE and FIND payloads [STO] [FET] [REM] [FND].
 * Where the draft has two names for one thing, the register's is used [GAP-07]: fetch_response,
 * find_type_data (torc_find_result), and in contents.h signer_identity, error_response.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_STORAGE_PDU_H
#define TORC_WIRE_STORAGE_PDU_H

#include "wire/contents.h"

typedef uint32_t torc_type_id; /* 24 bits on the wire [ENC-04] */

typedef enum torc_model { /* data models [STO-02]; not on the wire */
                          TORC_MODEL_SINGLE = 1,
                          TORC_MODEL_ARRAY = 2,
                          TORC_MODEL_DICTIONARY = 3
} torc_model;

/* Tells the data model of a type; returns false if the type is unknown [GAP-89]. */
typedef struct torc_model_lookup {
  const void *ctx;
  bool (*model)(const void *ctx, torc_type_id type, torc_model *out);
} torc_model_lookup;

/* data-value by model [STO-14]. */
typedef struct torc_entry {
  torc_model model;
  int32_t index;  /* array; -1 appends [STO-26] */
  torc_slice key; /* dictionary, raw bytes [GAP-08] */
  torc_slice value;
} torc_entry;

/* stored_data [STO-08]. */
typedef struct torc_stored_data {
  uint32_t storage_time; /* seconds since 1970; 0 only in a nonexistent value [GAP-87] */
  uint32_t lifetime;     /* seconds from storage_time */
  torc_entry entry;
  torc_signature signature;
  torc_slice bytes;       /* decode only: the element with its length field */
  torc_slice entry_bytes; /* decode only: data-value as on the wire */
} torc_stored_data;

/* Reads one element of the given model from a vector of them [GAP-05]. */
int torc_stored_data_get(torc_rd *rd, torc_model model, torc_stored_data *out) TORC_MUST_CHECK;
/* Writes `v`, integers big-endian; v->bytes and v->entry_bytes are ignored. Implements [STO-08]. */
int torc_stored_data_put(torc_wr *wr, const torc_stored_data *v) TORC_MUST_CHECK;
/* Writes a nonexistent value: times 0, index or key of `e`, empty value, no signature [GAP-87]
 * [FET-15]. */
int torc_stored_data_put_absent(torc_wr *wr, const torc_entry *e) TORC_MUST_CHECK;
bool torc_stored_data_is_absent(const torc_stored_data *v);
/* Upper bound of the encoded size. */
size_t torc_stored_data_size(const torc_stored_data *v);

/* Data signature input [SIG-07] [GAP-55]: resource ++ type ++ storage_time ++ lifetime ++
 * data-value, where an array's index counts as 0 [GAP-56]. Writes everything but the value's bytes
 * and returns them apart so that a large value need not be copied: input = wr ++ v->entry.value. */
int torc_data_signed_prefix_put(torc_wr *wr, const torc_id *resource, torc_type_id type,
                                const torc_stored_data *v) TORC_MUST_CHECK;
/* Room that the prefix needs for a key of `key_len` bytes. */
#define TORC_DATA_SIGNED_PREFIX_MAX(key_len) (16u + 3u + 4u + 4u + 4u + 2u + 2u + (key_len))

/* store_request [STO-04]: an iterator over its types. */
typedef struct torc_store_request {
  torc_id resource;
  torc_slice types; /* store_type_data elements, borrowed */
} torc_store_request;
typedef struct torc_store_type { /* store_type_data [STO-07] */
  torc_type_id type;
  uint64_t generation;
  torc_slice values; /* stored_data elements, borrowed */
} torc_store_type;
/* Decodes and checks the outer structure: payload consumed exactly, at least one type and each with
 * at least one element, every element delimited by its length, no type twice [STO-05], no
 * type id 0 or 0xFFFFFF [GAP-143]. Models are not needed. */
int torc_store_request_decode(torc_store_request *out, torc_slice payload) TORC_MUST_CHECK;
/* Iterates; `rd` starts over out->types. False at the end. Cannot fail after a successful decode.
 */
bool torc_store_type_next(torc_rd *rd, torc_store_type *out);
/* Begin: writes resource and opens the vector; then per type begin/put elements/end; then end. */
size_t torc_store_request_begin(torc_wr *wr, const torc_id *resource);
size_t torc_store_type_begin(torc_wr *wr, torc_type_id type, uint64_t generation);
void torc_store_type_end(torc_wr *wr, size_t mark);
void torc_store_request_end(torc_wr *wr, size_t mark);

/* store_type_response, packed end to end [STO-28]. Also the answer to REMOVE, and error_info of 412
 * [GAP-60]. */
typedef struct torc_store_type_response {
  torc_type_id type;
  uint64_t generation;
} torc_store_type_response;
int torc_store_type_response_put(torc_wr *wr, const torc_store_type_response *r) TORC_MUST_CHECK;
/* False at the end; a ragged end sets rd->err. */
bool torc_store_type_response_next(torc_rd *rd, torc_store_type_response *out);

/* fetch_type_data, the element of FETCH and REMOVE requests [FET-03] [REM-04]. */
typedef struct torc_specifier {
  torc_type_id type;
  uint64_t generation;
  torc_model model;
  int32_t first, last; /* array; -1: last element [FET-06] */
  torc_slice keys;     /* dictionary: 2-byte-prefixed keys, borrowed; empty: all [FET-08] */
} torc_specifier;
typedef struct torc_fetch_request { /* FETCH and REMOVE [FET-02] */
  torc_id resource;
  torc_slice specifiers;
} torc_fetch_request;
/* TORC_ERR_NOTFOUND: a type is unknown to `models`, nothing after it can be parsed [GAP-89];
 * *unknown is set to it if not NULL. TORC_ERR_FORMAT: malformed, an empty list, a type twice
 * [R-21] [REM-05], an index below -1 [GAP-88], or both first and last given as indexes with first >
 * last. */
int torc_fetch_request_decode(torc_fetch_request *out, torc_slice payload,
                              const torc_model_lookup *models,
                              torc_type_id *unknown) TORC_MUST_CHECK;
bool torc_specifier_next(torc_rd *rd, const torc_model_lookup *models, torc_specifier *out);
/* Next key of a specifier's `keys`; false at the end. */
bool torc_key_next(torc_rd *rd, torc_slice *key);
/* Writes resource and specifiers. */
size_t torc_fetch_request_begin(torc_wr *wr, const torc_id *resource);
int torc_specifier_put(torc_wr *wr, const torc_specifier *s) TORC_MUST_CHECK;
void torc_fetch_request_end(torc_wr *wr, size_t mark);

/* fetch_response elements [FET-11]; a type's element may be repeated consecutively [GAP-86]. */
typedef struct torc_fetch_response {
  torc_type_id type;
  uint64_t generation;
  torc_slice values; /* stored_data elements */
} torc_fetch_response;
bool torc_fetch_response_next(torc_rd *rd, torc_fetch_response *out); /* rd->err on bad form */
size_t torc_fetch_response_begin(torc_wr *wr, torc_type_id type, uint64_t generation);
void torc_fetch_response_end(torc_wr *wr, size_t mark);

/* FIND [FND-02] [FND-04]. */
typedef struct torc_find_request {
  torc_id resource;
  torc_slice types; /* 3-byte type ids, borrowed */
} torc_find_request;
/* TORC_ERR_FORMAT: empty list, a type twice [FND-03], a length that is no multiple of 3. */
int torc_find_request_decode(torc_find_request *out, torc_slice payload) TORC_MUST_CHECK;
int torc_find_request_put(torc_wr *wr, const torc_id *resource, const torc_type_id *types,
                          size_t num_types) TORC_MUST_CHECK;
size_t torc_find_num_types(const torc_find_request *r);
torc_type_id torc_find_type_at(const torc_find_request *r, size_t i);
typedef struct torc_find_result {
  torc_type_id type;
  torc_id closest; /* 0: none known [FND-09] [FND-10] */
} torc_find_result;
int torc_find_result_put(torc_wr *wr, const torc_find_result *r) TORC_MUST_CHECK;
bool torc_find_result_next(torc_rd *rd, torc_find_result *out);

#endif
