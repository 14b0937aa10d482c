/* Forwarding header of a RELOAD message [HDR], and the split of a message into its three parts.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_HEADER_H
#define TORC_WIRE_HEADER_H

#include "base/cursor.h"
#include "torc/types.h"

#define TORC_RELO_MAGIC 0x52454c4fu       /* [HDR-01] "RELO" */
#define TORC_RELO_MAGIC_LATER 0xd2454c4fu /* a later version [GAP-11] */
#define TORC_HEADER_FIXED 28u             /* bytes before the lists [HDR-20] */
#define TORC_LIST_MAX 255u                /* entries of a route or via list [HDR-18] */
#define TORC_LISTS_MAX_BYTES 8160u        /* two full lists */
#define TORC_ROUTE_LOG_MAX_BYTES 65002u   /* with its own length field [LOG-04] */
#define TORC_BODY_MAX 131072u             /* contents and signature [GAP-42] */
#define TORC_MESSAGE_MAX                                                 \
  (TORC_HEADER_FIXED + TORC_LISTS_MAX_BYTES + TORC_ROUTE_LOG_MAX_BYTES + \
   TORC_BODY_MAX)                   /* 204262 [R-10] */
#define TORC_VERSION_1 1u           /* [HDR-14] */
#define TORC_TTL_INITIAL 100u       /* [HDR-07] [GAP-13] [D-22] */
#define TORC_FLAG_ROUTE_LOG 0x0001u /* [HDR-19] */

enum { /* Routing field [HDR-08] */
       TORC_ROUTING_UNSPECIFIED = 0x00,
       TORC_ROUTING_RECURSIVE = 0x01,
       TORC_ROUTING_ITERATIVE = 0x02
};

/* DHT, hash and security parameters are not here but in the overlay configuration [HDR-23], and no
 * IP address is [HDR-24]. */
typedef struct torc_header {
  uint32_t overlay; /* CRC-32 of the overlay name [HDR-02] */
  uint8_t ttl;
  uint8_t routing;
  bool is_fragment;        /* FRAG [HDR-10] */
  bool is_last_fragment;   /* LFRG [HDR-11] */
  uint16_t fragment_units; /* 14 bits, in units of 8 bytes [HDR-12] [GAP-42] */
  bool experimental;       /* EXP [HDR-13] */
  uint8_t version;         /* 7 bits [HDR-14] */
  uint32_t length;         /* whole message, header included [HDR-15] [GAP-16] */
  uint64_t xid;            /* Transaction ID [HDR-16] */
  uint16_t flags;          /* [HDR-19] */
  torc_slice route;        /* a multiple of 16 bytes, borrowed [HDR-21] */
  torc_slice via;          /* a multiple of 16 bytes, borrowed [HDR-22] */
  torc_slice route_log;    /* entries without the 2-byte length; only if the flag is set [GAP-20] */
  size_t header_len;       /* decode only: bytes up to the contents */
} torc_header;

/* What the first 16 bytes of a stream say; used for framing. TORC_ERR_SHORT: fewer than 16 bytes
 * yet. TORC_ERR_FORMAT: no RELOAD message. TORC_ERR_LIMIT: Length below 28 or above
 * TORC_MESSAGE_MAX. TORC_ERR_INVALID: magic of a later version. *length is written on
 * success. [GAP-48] */
int torc_frame_peek(torc_slice bytes, uint32_t *length) TORC_MUST_CHECK;

/* Decodes the header of one whole message; Length must equal msg.len. Ids of value 0 in either list
 * and the wildcard in the via list are TORC_ERR_FORMAT [GAP-37]. TORC_ERR_SHORT: lists or
 * route log end after the message. TORC_ERR_INVALID: magic of a later version. Version, EXP,
 * overlay, TTL and Routing are not judged; LFRG and offset are kept as received, and mean something
 * only if is_fragment [GAP-44]. Slices borrow from `msg`. */
int torc_header_decode(torc_header *out, torc_slice msg) TORC_MUST_CHECK;

/* Writes the header. `length` as given is written unless `body_len` is not SIZE_MAX: then Length is
 * the header's size + body_len. The route log is written iff the flag is set; header_len is
 * ignored. TORC_ERR_LIMIT: lists too long, body or log too large. TORC_ERR_INVALID: a list that is
 * no multiple of 16 bytes, an offset above 14 bits, a version above 7 bits. */
int torc_header_put(torc_wr *wr, const torc_header *h, size_t body_len) TORC_MUST_CHECK;
/* Makes a header that is laid down already that of another part of its body [GAP-43]: kind, offset
 * (14 bits, in units of 8 bytes) and Length. */
enum { TORC_NO_FRAGMENT = 0x0000, TORC_FRAGMENT = 0x8000, TORC_LAST_FRAGMENT = 0xc000 };
void torc_header_set_fragment(uint8_t *head, unsigned kind, uint16_t units, uint32_t length);
/* Size of the header that torc_header_put would write. */
size_t torc_header_size(const torc_header *h);

/* Entry i of a list of ids (a slice of 16 x n bytes). */
torc_id torc_id_list_at(torc_slice list, size_t i);
size_t torc_id_list_len(torc_slice list);

#endif
