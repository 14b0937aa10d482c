/* A running peer gets another overlay configuration document [GAP-130].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_PEER_CONFIG_H
#define TORC_IO_PEER_CONFIG_H

#include "io/config_life.h"
#include "io/overlay_xml.h"
#include "torc/peer.h"

#define TORC_CONFIG_LINES_MAX 24
#define TORC_CONFIG_LINE_MAX 160

typedef struct torc_config_lines { /* sentences; those beyond the room are counted only */
  char line[TORC_CONFIG_LINES_MAX][TORC_CONFIG_LINE_MAX];
  size_t num;
} torc_config_lines;

/* What differs between two documents of one overlay and takes hold at once. */
void torc_overlay_changes(const torc_overlay *old, const torc_overlay *fresh,
                          torc_config_lines *out);
/* What of `fresh` a peer that was started with `running` cannot take without a restart. */
void torc_overlay_waiting(const torc_overlay *running, const torc_overlay *fresh,
                          torc_config_lines *out);

/* Whether `fresh` may take the place of `old`: the same overlay, no older version, no other text
 * under the same version. `fresh` was found signed by `fresh->signer`, which must be a root that
 * `old` lists if `old` is signed or must_be_signed is set. TORC_ERR_DENIED with one line. */
int torc_overlay_may_follow(const torc_overlay *old, const torc_overlay *fresh, bool must_be_signed,
                            char *err, size_t err_cap) TORC_MUST_CHECK;

/* The document a peer goes by, and the one it runs with: the same unless something waits for a
 * restart. Borrowed until the next call of torc_peer_take_overlay. */
const torc_overlay *torc_peer_document(const torc_peer *p);
const torc_overlay *torc_peer_running(const torc_peer *p);
/* Goes by `fresh` from now on; on success it is the peer's. torc_overlay_may_follow comes before.
 * TORC_ERR_*: nothing has changed, and `fresh` stays the caller's. */
int torc_peer_take_overlay(torc_peer *p, torc_overlay *fresh, char *err,
                           size_t err_cap) TORC_MUST_CHECK;

/* Shown by the control socket; set by whoever looks after the document. */
typedef struct torc_config_status {
  torc_config_life life;
  char source[TORC_OVERLAY_URL_MAX]; /* URL or file it came from */
  char error[320];                   /* why the last try failed; empty: it did not */
  uint64_t reloads;                  /* documents taken since the start */
} torc_config_status;
torc_config_status *torc_peer_config_status(torc_peer *p);

#endif
