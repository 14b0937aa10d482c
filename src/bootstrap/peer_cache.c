/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/peer_cache.h"

#include <string.h>

#include "base/id.h"

void torc_peer_cache_init(torc_peer_cache *c) {
  memset(c, 0, sizeof *c);
}

static torc_cached_peer *find(torc_peer_cache *c, const torc_id *peer) {
  for (size_t i = 0; i < c->len; i++) {
    if (torc_id_eq(&c->list[i].at.peer, peer)) {
      return &c->list[i];
    }
  }
  return NULL;
}

static bool is_usable(const torc_cached_peer *e) {
  return torc_id_is_peer(&e->at.peer) && e->at.host[0] != '\0' && e->at.port != 0;
}

/* Insertion sort, stable: ten entries. */
static void sort(torc_peer_cache *c) {
  for (size_t i = 1; i < c->len; i++) {
    torc_cached_peer e = c->list[i];
    size_t at = i;
    while (at > 0 && c->list[at - 1].last_seen < e.last_seen) {
      c->list[at] = c->list[at - 1];
      at--;
    }
    c->list[at] = e;
  }
}

bool torc_peer_cache_add(torc_peer_cache *c, const torc_cached_peer *entry) {
  if (!is_usable(entry) || entry->failures >= TORC_PEER_CACHE_FAILURES ||
      c->len == TORC_PEER_CACHE_MAX || find(c, &entry->at.peer) != NULL) {
    return false;
  }
  c->list[c->len] = *entry;
  c->len++;
  sort(c);
  return true;
}

static bool is_linked(const torc_cached_peer *linked, size_t num, const torc_id *peer) {
  for (size_t i = 0; i < num; i++) {
    if (torc_id_eq(&linked[i].at.peer, peer)) {
      return true;
    }
  }
  return false;
}

/* A place for a new entry: a free one, or that of the longest unseen entry that is not linked now.
 */
static torc_cached_peer *place(torc_peer_cache *c, const torc_cached_peer *linked, size_t num) {
  if (c->len < TORC_PEER_CACHE_MAX) {
    c->len++;
    return &c->list[c->len - 1];
  }
  torc_cached_peer *oldest = NULL;
  for (size_t i = 0; i < c->len; i++) {
    torc_cached_peer *e = &c->list[i];
    if (!is_linked(linked, num, &e->at.peer) &&
        (oldest == NULL || e->last_seen <= oldest->last_seen)) {
      oldest = e;
    }
  }
  if (oldest != NULL) { /* the new one comes last among equals */
    memmove(oldest, oldest + 1, (size_t)(&c->list[c->len - 1] - oldest) * sizeof *oldest);
    oldest = &c->list[c->len - 1];
  }
  return oldest;
}

void torc_peer_cache_look(torc_peer_cache *c, const torc_cached_peer *linked, size_t num,
                          torc_wall now) {
  for (size_t i = 0; i < num; i++) {
    torc_cached_peer *e = find(c, &linked[i].at.peer);
    if (e != NULL && is_usable(&linked[i])) {
      *e = linked[i];
      e->last_seen = now;
      e->failures = 0;
      c->is_changed = true;
    }
  }
  for (size_t i = 0; i < num; i++) {
    if (!is_usable(&linked[i]) || find(c, &linked[i].at.peer) != NULL) {
      continue;
    }
    torc_cached_peer *e = place(c, linked, num);
    if (e == NULL) { /* [BST-12] all ten are linked now */
      break;
    }
    *e = linked[i];
    e->last_seen = now;
    e->failures = 0;
    c->is_changed = true;
  }
  sort(c);
}

bool torc_peer_cache_failed(torc_peer_cache *c, const torc_endpoint *at) {
  for (size_t i = 0; i < c->len; i++) {
    torc_cached_peer *e = &c->list[i];
    if (e->at.port != at->port || strcmp(e->at.host, at->host) != 0) {
      continue;
    }
    e->failures++;
    c->is_changed = true;
    if (e->failures >= TORC_PEER_CACHE_FAILURES) { /* [GAP-139] */
      memmove(e, e + 1, (c->len - i - 1) * sizeof *e);
      c->len--;
    }
    return true;
  }
  return false;
}

size_t torc_peer_cache_endpoints(const torc_peer_cache *c, torc_endpoint *out, size_t max) {
  size_t num = 0;
  for (; num < c->len && num < max; num++) {
    out[num] = c->list[num].at;
  }
  return num;
}
