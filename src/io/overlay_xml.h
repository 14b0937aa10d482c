/* The overlay configuration document [ENR-10..26] [GAP-121] [GAP-127..131], parsed with libxml2,
 * which is opened by the first call.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_OVERLAY_XML_H
#define TORC_IO_OVERLAY_XML_H

#include "base/cursor.h"
#include "torc/node.h"

#define TORC_OVERLAY_ROOTS_MAX 8
#define TORC_OVERLAY_BOOTSTRAP_MAX 32
#define TORC_OVERLAY_TYPES_MAX 48
#define TORC_OVERLAY_XML_MAX (1u << 20) /* bytes of a document */
#define TORC_OVERLAY_CREDENTIALS_MAX 4
#define TORC_OVERLAY_MULTICAST_MAX 4
#define TORC_OVERLAY_USAGES_MAX 8
#define TORC_OVERLAY_BALANCERS_MAX 16
#define TORC_OVERLAY_STEWARDS_MAX 8 /* */
#define TORC_OVERLAY_URL_MAX 512    /* of one URL with its NUL */
#define TORC_OVERLAY_NO_SIGNER 255
#define TORC_OVERLAY_NAMESPACE "urn:ietf:params:xml:ns:p2p:overlay" /* [ENR-15] */
#define TORC_OVERLAY_OWN_NAMESPACE "urn:torc:overlay:1"             /* of what the draft lacks */

typedef struct torc_load_balancer { /* [LBL-001] [LBL-007] [BGAP-13] */
  char name[256], zone[64];
  int32_t lat_e6, lon_e6; /* millionths of a degree */
} torc_load_balancer;

typedef struct torc_overlay {
  char name[256];
  char algorithm[64];    /* dht name */
  uint32_t expiration_s; /* 0: none given */
  struct {
    uint8_t *der; /* owned */
    size_t len;
  } roots[TORC_OVERLAY_ROOTS_MAX];
  size_t num_roots;
  torc_endpoint bootstrap[TORC_OVERLAY_BOOTSTRAP_MAX];
  size_t num_bootstrap;
  torc_type_def types[TORC_OVERLAY_TYPES_MAX];
  size_t num_types;
  uint8_t initial_ttl; /* 0: default, as everything below */
  uint32_t max_message;
  torc_time t1, update_period, ping_period, deletion_delay;
  bool require_signature; /* default true; false only in a shared-key overlay */
  bool is_shared_key;     /* shared-secret: no root-cert; the key is a file of each peer [SEC-06] */
  bool remove_zero_generation;
  torc_time replica_wait, keepalive, idle_close;
  uint64_t sequence;            /* rises with every change of the document; 0: none given */
  uint8_t signature_algorithms; /* bit 1 << TORC_SIGALG_*: those admitted; 0: all [D-10] */
  bool has_turn_density;
  uint8_t turn_density;
  char source[TORC_OVERLAY_URL_MAX]; /* where the next version is fetched from; empty: nowhere */
  char credentials[TORC_OVERLAY_CREDENTIALS_MAX][TORC_OVERLAY_URL_MAX];
  size_t num_credentials;
  torc_endpoint multicast[TORC_OVERLAY_MULTICAST_MAX];
  size_t num_multicast;
  char usages[TORC_OVERLAY_USAGES_MAX][64]; /* required-usage */
  size_t num_usages;
  torc_load_balancer balancers[TORC_OVERLAY_BALANCERS_MAX];
  size_t num_balancers;
  torc_id stewards[TORC_OVERLAY_STEWARDS_MAX];
  size_t num_stewards;
  uint8_t migration;       /* TORC_MIGRATION_* */
  char migrates_from[256]; /* the overlay whose certificates this one accepts as well */
  /* The element of the ring that this one moves to, owned; NULL: there is none [D-19]. It has none
   * itself. */
  struct torc_overlay *next;
  /* Not of the document itself: */
  uint8_t signer; /* number of the root that signed the document, else TORC_OVERLAY_NO_SIGNER */
  torc_wall signed_at; /* as the signature says */
} torc_overlay;

typedef struct torc_overlay_input {
  torc_slice xml;
  const char *name;     /* which `overlay` element; NULL: the only one that is no ring to move to */
  const char *encoding; /* of the MIME type, which decides [ENR-13]; NULL: the declaration's */
  bool
      is_strict; /* elements of our namespace that this version lacks are faults, as for a writer */
} torc_overlay_input;

/* Reads one `overlay` element and checks it with the grammar (overlay_grammar.h). A signature must
 * be one of the document's own roots'. `err` gets one line with line number and reason. No DTD, no
 * external entities, no network. Freed with torc_overlay_clear. */
int torc_overlay_read(torc_overlay *out, const torc_overlay_input *in, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
int torc_overlay_parse(torc_overlay *out, const char *xml, size_t len, const char *name, char *err,
                       size_t err_cap) TORC_MUST_CHECK;
int torc_overlay_load(torc_overlay *out, const char *path, const char *name, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
/* The same in a child process: the parser, the libraries it brings and what it might be made to do
 * are gone with it. Only while the program has a single thread. */
int torc_overlay_load_apart(torc_overlay *out, const char *path, const char *name, char *err,
                            size_t err_cap) TORC_MUST_CHECK;
/* Bytes of a file, at most TORC_OVERLAY_XML_MAX; freed with free. */
int torc_overlay_file(const char *path, char **out, size_t *len, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
#define TORC_OVERLAY_PACKED_MAX (2u * (TORC_OVERLAY_ROOTS_MAX * 12290u + 131072u))
/* How the child writes down what it has read, and what the parent accepts: TORC_ERR_FORMAT,
 * TORC_ERR_SHORT, TORC_ERR_NOMEM leave *out empty. */
void torc_overlay_put(torc_wr *wr, const torc_overlay *o);
int torc_overlay_get(torc_overlay *out, torc_slice bytes) TORC_MUST_CHECK;
void torc_overlay_clear(torc_overlay *o);
/* A copy that shares nothing. TORC_ERR_NOMEM. */
int torc_overlay_copy(torc_overlay *out, const torc_overlay *o) TORC_MUST_CHECK;
/* How many of `multicast` are of use: none in a shared-key overlay [GAP-69]. */
size_t torc_overlay_num_groups(const torc_overlay *o);
/* TORC_RULE_* of the name that the document has for an access rule; 0: there is none. */
uint8_t torc_overlay_rule(const char *name);

#endif
