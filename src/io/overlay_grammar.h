/* The grammar of the overlay configuration document [GAP-127], docs/spec/overlay.rng, which is part
 * of the program. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_OVERLAY_GRAMMAR_H
#define TORC_IO_OVERLAY_GRAMMAR_H

#include "torc/types.h"

/* libxml2 takes time by the square of these. */
#define TORC_OVERLAY_ELEMENTS_MAX 512  /* of one overlay, those that are ignored not counted */
#define TORC_OVERLAY_ATTRIBUTES_MAX 32 /* of one such element */

/* Checks `overlay` (xmlNode *, of the document `doc`, xmlDoc *), which becomes the root of `doc`
 * without what readers ignore; what was the root is *old, for the caller to free after the document
 * if it is not NULL. is_strict: elements of our namespace that the grammar lacks are not ignored.
 * TORC_ERR_CONFIG with one line in `err`, TORC_ERR_NOMEM, TORC_ERR_IO. */
int torc_overlay_grammar_check(void *doc, void *overlay, bool is_strict, void **old, char *err,
                               size_t err_cap) TORC_MUST_CHECK;

/* Whether our namespace has an element of this name. */
bool torc_overlay_own_element(const char *name);

/* The bytes of docs/spec/overlay.rng; made by cmake/rooms.cmake. */
extern const unsigned char torc_overlay_rng[];
extern const unsigned torc_overlay_rng_len;

#endif
