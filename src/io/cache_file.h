/* The peer cache as a JSON file [GAP-139].
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_CACHE_FILE_H
#define TORC_IO_CACHE_FILE_H

#include "bootstrap/peer_cache.h"

/* A file that is not there gives an empty cache. TORC_ERR_FORMAT: not ours; the cache is then
 * empty. */
int torc_cache_load(torc_peer_cache *c, const char *path) TORC_MUST_CHECK;
/* Replaces the file in one step: a crash leaves the old one or the new one. */
int torc_cache_save(const torc_peer_cache *c, const char *path) TORC_MUST_CHECK;

#endif
