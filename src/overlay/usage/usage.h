/* Types: data model, access rule, limits [USG-01..05] [SEC-10..12]; seeds of resource-ids
 * [GAP-108]. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_OVERLAY_USAGE_H
#define TORC_OVERLAY_USAGE_H

#include "torc/crypto.h"
#include "torc/node.h"
#include "torc/types.h"
#include "wire/storage_pdu.h"

#define TORC_TYPE_SIP_REGISTRATION 0x000001u /* [GAP-143] */
#define TORC_TYPE_TURN_SERVICE 0x000002u
#define TORC_TYPE_CERTIFICATE 0x000003u
#define TORC_TYPE_PRIVATE_FIRST 0xf00000u
#define TORC_TYPE_PRIVATE_LAST 0xfffffeu
#define TORC_TYPES_MAX 64          /* types of one overlay */
#define TORC_ARRAY_INDEX_MAX 65535 /* [GAP-88] */

typedef enum torc_access { /* who may write; all rules look at the element's signer [GAP-165] */
                           TORC_ACCESS_USER_MATCH =
                               1, /* hash(a user name of the signer) == resource */
                           TORC_ACCESS_NODE_MATCH =
                               2, /* hash(a peer-id of the signer) == resource */
                           TORC_ACCESS_USER_NODE_MATCH = 3, /* user match, and the dictionary key is
                                                               a peer-id of the signer [SIP-09] */
                           TORC_ACCESS_NODE_MULTIPLE = 4, /* hash(a peer-id ++ iteration byte of the
                                                             value) == resource [TRN-09] */
                           TORC_ACCESS_CERTIFICATE = 5, /* the value is a certificate whose name or
                                                          peer-id hashes to it [CRT-08] */
                           TORC_ACCESS_OWN_KEY = 6 /* any member, anywhere: the dictionary key is
                                                      a user name or peer-id of the signer */
} torc_access;

typedef struct torc_type {
  torc_type_id id;
  const char *name; /* "CERTIFICATE"; private types: from the configuration */
  torc_model model;
  torc_access access;
  uint32_t max_values; /* present elements per resource and type (per user name for USER_*) [USG-04]
                          [GAP-100] */
  uint32_t max_size;   /* bytes of one value [SEC-12] */
  uint32_t max_lifetime_s; /* longer ones end here */
  bool is_findable;        /* [FND-06] */
} torc_type;

#define TORC_TYPES_OF_DRAFT 3u
typedef struct torc_types { /* registry; entries sorted by id, names owned by whoever fills it */
  torc_type *list;
  size_t len, cap;
} torc_types;

/* Fills in the three types of the draft. `room`: for the list, `cap` entries, at least
 * TORC_TYPES_OF_DRAFT; it stays the caller's. */
void torc_types_init(torc_types *t, torc_type *room, size_t cap);
/* Adds a private type. TORC_ERR_EXISTS, TORC_ERR_LIMIT, TORC_ERR_INVALID (id outside the private
 * range, absurd limits, USER_NODE_MATCH that is no dictionary). */
int torc_types_add(torc_types *t, const torc_type *type) TORC_MUST_CHECK;
/* Why torc_types_add would refuse `type`: a static sentence, NULL if it would not. */
const char *torc_types_fault(const torc_types *t, const torc_type *type);
/* A type as the overlay configuration gives it. `name`: borrowed, the definition's or a copy. */
torc_type torc_type_of(const torc_type_def *d, const char *name);
const torc_type *torc_types_find(const torc_types *t, torc_type_id id); /* NULL: unknown */
const torc_type *torc_types_find_name(const torc_types *t,
                                      torc_slice name); /* case-insensitive, or number as text */
/* A lookup for the codecs that borrows `t`. */
torc_model_lookup torc_types_models(const torc_types *t);

/* Normalises a seed that is a user name or URI: host part (after the last '@') lower-cased, the
 * rest unchanged; one trailing dot of the host removed [GAP-108]. out holds at most `cap` bytes;
 * TORC_ERR_SPACE, TORC_ERR_FORMAT (NUL or bad UTF-8). */
int torc_seed_normalise(torc_slice seed, char *out, size_t cap, size_t *out_len) TORC_MUST_CHECK;
/* resource-id = first 16 bytes of SHA-256(seed) [ARC-17] [D-11] [GAP-107]. TORC_ERR_NOMEM,
 * TORC_ERR_CRYPTO: own failure. */
int torc_resource_id(const torc_crypto *crypto, torc_slice seed, torc_id *out) TORC_MUST_CHECK;

/* What stands for the signer where nobody signs: a certificate without content. Everybody may write
 * everything in a shared-key overlay, no rule is left [SEC-08] [GAP-106]. */
bool torc_cert_is_anyone(const torc_cert *cert);

/* The access rule [SEC-10] [STO-18]. `signer` has been verified. 0: may write. TORC_ERR_DENIED: may
 * not [-> 403]. TORC_ERR_FORMAT: the value does not parse for its type [-> 400, R-24].
 * TORC_ERR_INVALID: parses but out of range
 * [-> 403, R-24]. */
int torc_access_check(const torc_type *type, const torc_crypto *crypto, const torc_id *resource,
                      const torc_entry *entry, const torc_cert *signer) TORC_MUST_CHECK;
/* For REMOVE: may `signer` remove an element at this resource and key [GAP-92]? The value is the
 * stored one. */
int torc_access_check_remove(const torc_type *type, const torc_crypto *crypto,
                             const torc_id *resource, const torc_entry *stored,
                             const torc_cert *signer) TORC_MUST_CHECK;
/* Whether the signer of a message satisfies the rule by itself, as R-02 wants for arrays. */
bool torc_access_message_signer(const torc_type *type, const torc_crypto *crypto,
                                const torc_id *resource, const torc_entry *entry,
                                const torc_cert *message_signer);
/* Whether `signer` could have been allowed to remove elements of this slot that this holder does
 * not have: what a replayed REMOVE has to show before it may keep them away [D-14]. For
 * USER_NODE_MATCH: those under its own peer-ids. *out is set on success; otherwise our own failure.
 */
int torc_access_check_unseen(const torc_type *type, const torc_crypto *crypto,
                             const torc_id *resource, const torc_cert *signer,
                             bool *out) TORC_MUST_CHECK;

/* Iterations of NODE_MULTIPLE [TRN-10] [GAP-154]. */
#define TORC_ITERATION_MAX 100

#endif
