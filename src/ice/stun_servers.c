/* STUN servers among the connected peers [ICE-08..14] [GAP-80].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/stun_servers.h"

#include <string.h>

#include "wire/stun.h"

void torc_stun_servers_init(torc_stun_servers *s) {
  memset(s, 0, sizeof *s);
}

static torc_stun_server *find(torc_stun_servers *s, torc_stun_server_id id) {
  for (size_t i = 0; i < TORC_STUN_SERVERS_MAX; i++) {
    if (s->list[i].id == id) {
      return &s->list[i];
    }
  }
  return NULL;
}

const torc_stun_server *torc_stun_servers_find(const torc_stun_servers *s, torc_stun_server_id id) {
  for (size_t i = 0; i < TORC_STUN_SERVERS_MAX; i++) {
    if (s->list[i].id == id) {
      return &s->list[i];
    }
  }
  return NULL;
}

bool torc_stun_same_host(const torc_addr *a, const torc_addr *b) {
  return a->family != 0 && a->family == b->family &&
         memcmp(a->addr, b->addr, a->family == 1 ? 4 : 16) == 0;
}

static bool same_group(const torc_stun_server *a, const torc_stun_server *b) {
  return a->id != 0 && b->id != 0 && torc_stun_same_host(&a->reflexive, &b->reflexive);
}

/* [ICE-11]: the one selected stays, unless it is gone or silent; else the one that answered last.
 */
static void select_of_group(torc_stun_servers *s, const torc_stun_server *member) {
  torc_stun_server *best = NULL;
  for (size_t i = 0; i < TORC_STUN_SERVERS_MAX; i++) {
    torc_stun_server *other = &s->list[i];
    if (!same_group(member, other)) {
      continue;
    }
    if (best == NULL || (best->has_failed && !other->has_failed) ||
        (best->has_failed == other->has_failed && !best->is_selected &&
         (other->is_selected || other->confirmed_at > best->confirmed_at))) {
      if (best != NULL) {
        best->is_selected = false;
      }
      best = other;
    } else {
      other->is_selected = false;
    }
  }
  if (best != NULL) {
    best->is_selected = true;
  }
  s->version++;
}

/* It is of its group no more; another takes its place. */
static void leave(torc_stun_servers *s, torc_stun_server *server) {
  torc_stun_server before = *server;
  server->reflexive = (torc_addr){0};
  server->is_selected = false;
  server->has_failed = false;
  if (before.reflexive.family != 0) {
    select_of_group(s, &before);
  }
}

int torc_stun_servers_add(torc_stun_servers *s, torc_stun_server_id id, const torc_addr *addr) {
  torc_stun_server *server = find(s, id);
  if (server != NULL && torc_stun_addr_eq(&server->addr, addr)) {
    return 0;
  }
  if (server == NULL) {
    server = find(s, 0);
    if (server == NULL) {
      s->num_refused++;
      return TORC_ERR_LIMIT;
    }
  } else {
    leave(s, server);
  }
  *server = (torc_stun_server){.id = id, .addr = *addr};
  s->version++;
  return 0;
}

void torc_stun_servers_remove(torc_stun_servers *s, torc_stun_server_id id) {
  torc_stun_server *server = id != 0 ? find(s, id) : NULL;
  if (server == NULL) {
    return;
  }
  leave(s, server);
  memset(server, 0, sizeof *server);
  s->version++;
}

void torc_stun_servers_confirm(torc_stun_servers *s, torc_stun_server_id id,
                               const torc_addr *reflexive, torc_time now) {
  torc_stun_server *server = id != 0 ? find(s, id) : NULL;
  torc_stun_server seen = {.id = id, .reflexive = *reflexive};
  if (server == NULL) {
    return;
  }
  if (!same_group(server, &seen)) {
    leave(s, server);
  }
  server->reflexive = *reflexive;
  server->confirmed_at = now;
  server->has_failed = false;
  select_of_group(s, server);
}

void torc_stun_servers_failed(torc_stun_servers *s, torc_stun_server_id id) {
  torc_stun_server *server = id != 0 ? find(s, id) : NULL;
  if (server != NULL) {
    server->has_failed = true;
    select_of_group(s, server);
  }
}

void torc_stun_servers_forgive(torc_stun_servers *s) {
  for (size_t i = 0; i < TORC_STUN_SERVERS_MAX; i++) {
    if (s->list[i].has_failed && s->list[i].reflexive.family == 0) {
      s->list[i].has_failed = false;
      s->version++;
    }
  }
}

/* When the group of `member` was confirmed last. */
static torc_time confirmed_at(const torc_stun_servers *s, const torc_stun_server *member) {
  torc_time at = 0;
  for (size_t i = 0; i < TORC_STUN_SERVERS_MAX; i++) {
    if (same_group(member, &s->list[i]) && s->list[i].confirmed_at > at) {
      at = s->list[i].confirmed_at;
    }
  }
  return at;
}

size_t torc_stun_servers_selected(const torc_stun_servers *s,
                                  const torc_stun_server *out[TORC_STUN_GROUPS_MAX]) {
  torc_time at[TORC_STUN_GROUPS_MAX];
  size_t num = 0;
  for (size_t i = 0; i < TORC_STUN_SERVERS_MAX; i++) {
    const torc_stun_server *server = &s->list[i];
    torc_time when;
    size_t k;
    if (server->id == 0 || !server->is_selected) {
      continue;
    }
    when = confirmed_at(s, server);
    k = num < TORC_STUN_GROUPS_MAX ? num : TORC_STUN_GROUPS_MAX - 1;
    if (num == TORC_STUN_GROUPS_MAX && when <= at[k]) {
      continue; /* [GAP-80] */
    }
    num += num < TORC_STUN_GROUPS_MAX ? 1u : 0u;
    for (; k > 0 && at[k - 1] < when; k--) {
      at[k] = at[k - 1];
      out[k] = out[k - 1];
    }
    at[k] = when;
    out[k] = server;
  }
  return num;
}

const torc_stun_server *torc_stun_servers_unasked(const torc_stun_servers *s, size_t *at) {
  for (; *at < TORC_STUN_SERVERS_MAX; (*at)++) {
    const torc_stun_server *server = &s->list[*at];
    if (server->id != 0 && server->reflexive.family == 0 && !server->has_failed) {
      (*at)++;
      return server;
    }
  }
  return NULL;
}
