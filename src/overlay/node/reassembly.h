/* Fragments of messages for this node, until the whole message is there [FRG-05] [GAP-45].
 * Knows no links and no routing: the node says where a fragment came from and what became of its
 * route list. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NODE_REASSEMBLY_H
#define TORC_NODE_REASSEMBLY_H

#include "torc/types.h"
#include "wire/header.h"

#define TORC_REASM_AGE TORC_SEC(15)  /* of a set, from its first fragment [FRG-06] */
#define TORC_REASM_BYTES (16u << 20) /* memory of all sets */
#define TORC_REASM_ORIGIN_SHARE 4u   /* one origin may use 1/4 of it */
#define TORC_REASM_HOP_SHARE 2u      /* and what one linked peer brings, 1/2 */
#define TORC_REASM_SETS 8192u        /* those whose key is ignored included */
#define TORC_REASM_PAGE 2048u        /* bytes of a body are held in pieces of so many */
#define TORC_REASM_PAGES (TORC_BODY_MAX / TORC_REASM_PAGE)

typedef struct torc_reasm torc_reasm;

/* How a fragment came; of the one at offset 0 it is kept for the message. */
typedef struct torc_reasm_way {
  torc_link_id link;
  torc_id last_hop; /* the peer at the other end of it */
  bool has_entry, is_exact, is_wildcard;
  torc_id entry; /* see torc_inbound */
} torc_reasm_way;

typedef struct torc_reasm_whole {
  uint8_t *msg; /* of `mem`, for the caller to free; NULL: not whole yet */
  size_t len;
  torc_reasm_way way;
} torc_reasm_whole;

typedef struct torc_reasm_stats {
  uint64_t completed, conflicts, timeouts, evictions;
} torc_reasm_stats;

/* max_bytes: TORC_REASM_BYTES, or less for tests. */
int torc_reasm_new(torc_reasm **out, const torc_mem *mem, uint64_t seed,
                   size_t max_bytes) TORC_MUST_CHECK;
void torc_reasm_free(torc_reasm *r);

/* Takes one fragment: `h` was decoded from `msg`. 0: taken, or an identical repeat, and out->msg is
 * the whole message, with the header of offset 0 made that of an unfragmented one, or NULL.
 * TORC_ERR_FORMAT: empty, no multiple of 8 bytes though not the last, or beyond TORC_BODY_MAX:
 * dropped alone. TORC_ERR_EXISTS: it contradicts what came before: the set is gone and its key
 * ignored for TORC_REASM_AGE. TORC_ERR_STATE: its key is ignored. TORC_ERR_LIMIT: no room;
 * TORC_ERR_NOMEM. */
int torc_reasm_add(torc_reasm *r, const torc_header *h, torc_slice msg, const torc_reasm_way *way,
                   torc_time now, torc_reasm_whole *out) TORC_MUST_CHECK;
/* Forgets what is due; true: something is left. */
bool torc_reasm_expire(torc_reasm *r, torc_time now);
size_t torc_reasm_bytes(const torc_reasm *r);
size_t torc_reasm_sets(const torc_reasm *r);
torc_reasm_stats torc_reasm_get_stats(const torc_reasm *r);

#endif
