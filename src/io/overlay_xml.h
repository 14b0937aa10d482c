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
  bool require_signature; /* default true; false is refused in certificate mode */
  bool remove_zero_generation;
} torc_overlay;

/* Parses one `overlay` element (the one called `name`, or the only one if NULL). `err` gets one
 * line with line number and reason. No DTD, no external entities, no network. Freed with
 * torc_overlay_clear. */
int torc_overlay_parse(torc_overlay *out, const char *xml, size_t len, const char *name, char *err,
                       size_t err_cap) TORC_MUST_CHECK;
int torc_overlay_load(torc_overlay *out, const char *path, const char *name, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
/* The same in a child process: the parser, the libraries it brings and what it might be made to do
 * are gone with it. Only while the program has a single thread. */
int torc_overlay_load_apart(torc_overlay *out, const char *path, const char *name, char *err,
                            size_t err_cap) TORC_MUST_CHECK;
/* How the child writes down what it has read, and what the parent accepts: TORC_ERR_FORMAT,
 * TORC_ERR_SHORT, TORC_ERR_NOMEM leave *out empty. */
void torc_overlay_put(torc_wr *wr, const torc_overlay *o);
int torc_overlay_get(torc_overlay *out, torc_slice bytes) TORC_MUST_CHECK;
void torc_overlay_clear(torc_overlay *o);

#endif
