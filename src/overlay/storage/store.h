/* The store of one node: data models, generations, times, expiry, tombstones, quotas, over a
 * backend. Pure state: signatures have been verified before (their results come in), replication is
 * the node's affair. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_OVERLAY_STORE_H
#define TORC_OVERLAY_STORE_H

#include "base/log.h"
#include "base/timer.h"
#include "overlay/storage/record.h"
#include "overlay/usage/usage.h"
#include "torc/crypto.h"
#include "torc/storage.h"
#include "wire/storage_pdu.h"

#define TORC_STORE_ELEMENTS_MAX 4096 /* stored_data elements of one STORE request */
#define TORC_STORE_TYPES_MAX 64      /* types of one request */

typedef struct torc_store torc_store;

typedef struct torc_store_config {
  const torc_mem *mem;
  const torc_crypto *crypto;
  const torc_types *types;
  const torc_backend *backend;  /* borrowed */
  const torc_log *log;          /* may be NULL */
  bool remove_needs_generation; /* [GAP-92] default on in certificate mode */
  uint64_t max_bytes;           /* of all values held; beyond it: 413 */
  uint32_t max_remove_memory;   /* remembered REMOVE transactions [GAP-92] */
} torc_store_config;

/* Opens the store on a backend that may hold data of an earlier run; checks its format version
 * (TORC_ERR_FORMAT: another one, or not a store). */
int torc_store_new(torc_store **out, const torc_store_config *cfg, torc_wall now) TORC_MUST_CHECK;
void torc_store_free(torc_store *s);
/* Sets remove_needs_generation of torc_store_config anew. */
void torc_store_set_remove_rule(torc_store *s, bool needs_generation);

/* What the node found out about one element before the store sees it. */
typedef enum torc_verdict {
  TORC_VERDICT_VALID =
      1, /* signature valid, signer known, certificate valid at the time that counts */
  TORC_VERDICT_UNSIGNED = 2,   /* no signature: 401 in certificate mode */
  TORC_VERDICT_UNRESOLVED = 3, /* the signer's certificate cannot be found: 401 [GAP-58] */
  TORC_VERDICT_INVALID = 4     /* bad signature, chain or date: 403 */
} torc_verdict;

typedef struct torc_store_element {
  const torc_type *type;
  torc_stored_data data; /* borrowed from the request */
  torc_verdict verdict;
  const torc_cert *signer; /* VALID only */
} torc_store_element;

typedef enum torc_store_origin {
  TORC_ORIGIN_OWNER =
      1, /* an ordinary STORE or REMOVE: every check of STO-15..20 in the order of R-15 */
  TORC_ORIGIN_REPLICA = 2 /* replica, handoff or merge [GAP-101]: no generation test, the newer
                             element wins [GAP-103] */
} torc_store_origin;

typedef struct torc_write_result {
  uint16_t code; /* TORC_CODE_* */
  size_t num_types;
  torc_store_type_response
      types[TORC_STORE_TYPES_MAX]; /* for 200 and for 412 [STO-28] [GAP-60] */
  bool is_changed;                 /* something was written: replicate */
  const char *detail;              /* static English sentence for the log; NULL on 200 */
} torc_write_result;

/* Applies one STORE atomically [STO-06]. `request` and `elements` describe the same payload;
 * elements in wire order, grouped by type. `message_signer` NULL only for REPLICA. For appends the
 * assigned index is written back into elements[i].data.entry.index so that the node can replicate
 * it [GAP-56]. Returns 0 with result->code set, negative only for our own failure (memory,
 * backend), in which case nothing changed. */
int torc_store_apply(torc_store *s, const torc_store_request *request, torc_store_element *elements,
                     size_t num_elements, const torc_cert *message_signer, torc_store_origin origin,
                     torc_wall now, torc_write_result *result) TORC_MUST_CHECK;

/* A REMOVE with everything a tombstone must keep to be replayed [D-14]. */
typedef struct torc_remove_record {
  torc_slice payload;   /* the fetch_request payload */
  torc_slice contents;  /* signed contents as received */
  torc_slice signature; /* the signature element as received */
  uint64_t xid;
  const torc_cert *signer;
} torc_remove_record;

/* Applies one REMOVE atomically [REM-03..14] [GAP-92..94]. REPLICA: a forwarded or
 * replayed REMOVE, applied without the generation test [D-14]. On success with is_changed the
 * tombstones keep the record. */
int torc_store_remove(torc_store *s, const torc_remove_record *r, torc_store_origin origin,
                      torc_wall now, torc_write_result *result) TORC_MUST_CHECK;

/* Writes the payload of a 200 answer to FETCH into `out` (cleared first). Returns 0, or
 * TORC_ERR_LIMIT if the answer exceeds TORC_BODY_MAX less 4096 [GAP-86 -> 413]. `payload` has been
 * checked by torc_fetch_request_decode. */
int torc_store_fetch(torc_store *s, torc_slice payload, torc_wall now,
                     torc_buf *out) TORC_MUST_CHECK;

/* Closest resource of `type` at or clockwise after `from`, inside (range_from, range_to] [GAP-105];
 * zero id if none. */
int torc_store_find(torc_store *s, torc_type_id type, const torc_id *from,
                    const torc_id *range_from, const torc_id *range_to, torc_wall now,
                    torc_id *out) TORC_MUST_CHECK;

/* Distinct resources held with an unexpired element [PNG-06] [GAP-67]. */
uint32_t torc_store_num_resources(const torc_store *s);
uint64_t torc_store_num_bytes(const torc_store *s);

/* Copying to another holder: the node walks resources with torc_store_next_resource and copies each
 * one, message by message. First come the REMOVEs of the resource's tombstones to replay, each
 * once; then STORE payloads with the elements unmodified (expired ones left out), each payload at
 * most TORC_STORE_COPY_MAX bytes: under the counter that each was written at, lowest first, those
 * of arrays under their slots'. Any order of arrival is safe, this one removes most. */
#define TORC_STORE_COPY_MAX 120000u
typedef int (*torc_copy_store_fn)(void *ctx, const torc_id *resource, torc_slice payload);
typedef int (*torc_copy_remove_fn)(void *ctx, const torc_id *resource, uint64_t xid,
                                   torc_slice contents, torc_slice signature);
/* How far the copy of a resource has come; starts zeroed, with the resource's id and the limit.
 * What is written meanwhile may come or not. */
typedef struct torc_copy_place {
  torc_id resource;
  size_t payload_max; /* a payload of several elements is no longer; 0: as long as it can be */
  torc_rkey at;
  bool is_begun, has_removals_behind;
  bool in_group; /* elements whose counters lie in [from, upto] are being sent */
  bool is_arrays;
  unsigned num_groups;
  uint64_t from, upto;
} torc_copy_place;
/* Calls `remove` for the next REMOVE record of the resource, or `store` for the next STORE payload,
 * and returns the callback's result; TORC_ERR_NOTFOUND: there was none left. Slices are borrowed
 * for the callback, which may use the store. */
int torc_store_copy_next(torc_store *s, torc_copy_place *place, torc_wall now,
                         torc_copy_store_fn store, torc_copy_remove_fn remove,
                         void *ctx) TORC_MUST_CHECK;
/* The slot's counter may be above those of its elements: something was removed or has expired, or
 * the range was taken over. A holder that answers a payload sent under `sent` with that counter has
 * these elements and no history of its own: they are sent to it again under *out, if that is higher
 * than `sent` [GAP-95]. Any other has REMOVEs of its own, which must not look older than they are.
 */
int torc_store_copy_counter(torc_store *s, const torc_id *resource, torc_type_id type,
                            uint64_t sent, uint64_t *out) TORC_MUST_CHECK;
/* Smallest resource strictly clockwise after `after` inside (from, to]; TORC_ERR_NOTFOUND if none.
 * When from == to the range is the whole ring but for `from` itself. A walk starts with after =
 * from. Resources of which only tombstones are left are walked too. */
int torc_store_next_resource(torc_store *s, const torc_id *after, const torc_id *from,
                             const torc_id *to, torc_id *out) TORC_MUST_CHECK;

/* Deletes every slot in (from, to] [CHD-37]. */
int torc_store_drop_range(torc_store *s, const torc_id *from, const torc_id *to) TORC_MUST_CHECK;
/* Another holder's counter of a slot: where this one is lower its history began anew, without the
 * data, and the counter goes on from the higher one [GAP-95]. No slot: nothing happens. */
int torc_store_meet_generation(torc_store *s, const torc_id *resource, torc_type_id type,
                               uint64_t generation) TORC_MUST_CHECK;
/* Raises the counter of every slot in (from, to] by 2^32, unless !with_slots, and those of all that
 * are begun later: in the other part of a ring that has fallen apart there may be such a slot, and
 * what is removed here is not to seem older than what is stored there [GAP-95] [D-14]. */
int torc_store_raise_generations(torc_store *s, const torc_id *from, const torc_id *to,
                                 bool with_slots) TORC_MUST_CHECK;
/* Removes what has expired, at most `max` elements; the next wall time at which something expires
 * (0: nothing). */
int torc_store_expire(torc_store *s, torc_wall now, size_t max, torc_wall *next) TORC_MUST_CHECK;

/* Counters for metrics. */
typedef struct torc_store_stats {
  uint64_t stores_ok, removes_ok, fetches, refused_400, refused_401, refused_403, refused_404,
      refused_412, refused_413;
  uint64_t expired, tombstones, dropped, backend_errors, backend_full;
  uint64_t blinds_refused; /* replayed REMOVEs that found no room to keep away what this holder
                              never had */
} torc_store_stats;
const torc_store_stats *torc_store_get_stats(const torc_store *s);
/* What is held and how much may be: bytes with REMOVEs and keys, remembered REMOVEs. */
typedef struct torc_store_room {
  uint64_t bytes, max_bytes, removals, max_removals;
} torc_store_room;
torc_store_room torc_store_get_room(const torc_store *s);

#endif
