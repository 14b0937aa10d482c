/* The peer cache as a JSON file [GAP-139].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_CACHE_FILE_H
#define TORC_IO_CACHE_FILE_H

#include "bootstrap/peer_cache.h"

/* A file that is not there gives an empty cache. TORC_ERR_FORMAT: not ours; TORC_ERR_DENIED: of
 * another overlay, as when a state directory is used again; the cache is then empty. An entry last
 * seen after `now` counts as seen now: a clock that was wrong once would keep it in front for ever.
 */
int torc_cache_load(torc_peer_cache *c, const char *path, const char *overlay,
                    torc_wall now) TORC_MUST_CHECK;
/* Replaces the file in one step: a crash leaves the old one or the new one. */
int torc_cache_save(const torc_peer_cache *c, const char *path,
                    const char *overlay) TORC_MUST_CHECK;

#endif
