/* A peer whose overlay moves to another ring [D-19]: what the second ring needs of this machine.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/peer_impl.h"

#define MAP_EXTRA (64u << 20) /* as of the first ring's database */

/* The values of a ring that was moved to lie in a directory of its name, whenever it is started. */
int torc_peer_data_dir(const torc_peer *p, const torc_overlay *o, char out[TORC_PEER_PATH_MAX]) {
  struct stat st;
  int n = snprintf(out, TORC_PEER_PATH_MAX, "%s/%s", p->state_dir, o->name);
  if (n < 0 || n >= TORC_PEER_PATH_MAX) {
    return TORC_ERR_CONFIG;
  }
  for (char *c = out + strlen(p->state_dir); *c != '\0'; c++) {
    *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
  }
  if (o->migration == TORC_MIGRATION_NONE && (stat(out, &st) != 0 || !S_ISDIR(st.st_mode))) {
    (void)snprintf(out, TORC_PEER_PATH_MAX, "%s", p->state_dir);
  }
  return 0;
}

int torc_peer_open_lmdb(torc_peer *p, const torc_overlay *o, torc_lmdb **db, torc_backend *backend,
                        char *err, size_t err_cap) {
  char dir[TORC_PEER_PATH_MAX];
  uint64_t max = p->cfg.max_stored_bytes == 0 ? TORC_PEER_STORE_DEFAULT : p->cfg.max_stored_bytes;
  bool was_damaged = false;
  if (torc_peer_data_dir(p, o, dir) != 0) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap, "the path of the state directory is too long");
  }
  if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot create the directory %s: %s", dir,
                     strerror(errno));
  }
  int rc = torc_lmdb_open(db, backend, dir, 2 * max + MAP_EXTRA, &was_damaged, err, err_cap);
  if (was_damaged) {
    TORC_LOG(p->log, TORC_LOG_WARN, "io:database_damaged", TORC_F_STR("dir", dir));
  }
  return rc;
}

/* Once: a ring that is left and joined again finds the same. Another ring's values do not belong
 * there: after a restart nobody would look for them under that name. */
static int open_second(torc_peer *p, const torc_overlay *next, char *err, size_t err_cap) {
  uint64_t max = p->cfg.max_stored_bytes == 0 ? TORC_PEER_STORE_DEFAULT : p->cfg.max_stored_bytes;
  if (p->second_lmdb != NULL && strcasecmp(p->second_name, next->name) != 0) {
    return torc_fail(TORC_ERR_STATE, err, err_cap,
                     "this peer has begun to move to %.100s since its start: restart it, and it "
                     "moves to %.100s",
                     p->second_name, next->name);
  }
  if (p->cfg.role == TORC_ROLE_CLIENT || p->second_lmdb != NULL || p->second_memory != NULL) {
    return 0;
  }
  if (p->state_dir == NULL) {
    int rc = torc_memory_backend_new(&p->second_memory, &p->second_backend, torc_mem_libc(),
                                     (size_t)max);
    return rc == 0 ? 0 : torc_fail(rc, err, err_cap, "out of memory");
  }
  int rc = torc_peer_open_lmdb(p, next, &p->second_lmdb, &p->second_backend, err, err_cap);
  memcpy(p->second_name, next->name, sizeof p->second_name);
  if (rc == 0 && p->pool != NULL && p->is_disk_synced) {
    torc_pool_add_db(p->pool, p->second_lmdb);
  }
  return rc;
}

static int trust(torc_peer *p, const torc_overlay *next, char *err, size_t err_cap) {
  int rc = torc_pki_add_name(p->pki, next->name, err, err_cap);
  for (size_t i = 0; rc == 0 && i < next->num_roots; i++) {
    rc = torc_pki_add_root(p->pki, torc_slice_of(next->roots[i].der, next->roots[i].len), err,
                           err_cap);
  }
  return rc;
}

bool torc_peer_has_moved(const torc_peer *p) {
  torc_migration_view v;
  torc_node_get_migration(p->node, &v);
  return v.stage == TORC_MIGRATION_NEW_ONLY && strcmp(v.old_state, "left") == 0;
}

const torc_overlay *torc_peer_ring(const torc_peer *p) {
  return p->overlay.next != NULL && torc_peer_has_moved(p) ? p->overlay.next : &p->overlay;
}

/* It answers in the new ring from now on, and asks after its next start or with its next document:
 * until then it has links, and peers in its cache. */
void torc_peer_follow_move(torc_peer *p) {
  const torc_overlay *o = torc_peer_ring(p);
  if (o != &p->overlay && !p->is_moved) {
    p->is_moved = true;
    torc_peer_use_groups(p, o, o->num_bootstrap == 0 ? &p->overlay : o);
  }
}

/* An element without bootstrap peers has those of the ring it moves from: they run both. No group
 * is asked for it: the first ring's members are the second's, and are linked. */
static void second_config(torc_peer *p, const torc_overlay *o, torc_node_config *out) {
  torc_node_config first;
  torc_peer_node_config(p, o->next, out);
  if (o->next->num_bootstrap == 0) {
    torc_peer_node_config(p, o, &first);
    out->bootstrap = first.bootstrap;
    out->num_bootstrap = first.num_bootstrap;
    out->may_found = first.may_found;
  }
  while (out->num_bootstrap > 0 && out->bootstrap[out->num_bootstrap - 1].is_group) {
    out->num_bootstrap--;
  }
}

int torc_peer_migrate(torc_peer *p, const torc_overlay *o, char *err, size_t err_cap) {
  const char *why = NULL;
  torc_node_config cfg;
  int rc = 0;
  if (o->next == NULL) {
    rc = torc_node_migrate(p->node, NULL, TORC_MIGRATION_NONE, torc_peer_now(p), &why);
  } else {
    rc = open_second(p, o->next, err, err_cap);
    rc = rc != 0 ? rc : trust(p, o->next, err, err_cap);
    if (rc != 0) {
      return rc;
    }
    second_config(p, o, &cfg);
    cfg.backend = p->cfg.role == TORC_ROLE_CLIENT ? NULL : &p->second_backend;
    rc = torc_node_migrate(p->node, &cfg, (torc_migration_stage)o->next->migration,
                           torc_peer_now(p), &why);
  }
  if (rc != 0) {
    return torc_fail(rc, err, err_cap, "the move to another ring: %s",
                     why == NULL ? torc_strerror(rc) : why);
  }
  return 0;
}

/* Number of the root in `o`, which gets it if it has it not; TORC_OVERLAY_NO_SIGNER: no room. */
static uint8_t move_root(torc_overlay *o, torc_overlay *from, size_t i) {
  size_t k = 0;
  while (k < o->num_roots && (o->roots[k].len != from->roots[i].len ||
                              memcmp(o->roots[k].der, from->roots[i].der, o->roots[k].len) != 0)) {
    k++;
  }
  if (k == TORC_OVERLAY_ROOTS_MAX) {
    return TORC_OVERLAY_NO_SIGNER;
  }
  if (k == o->num_roots) {
    o->roots[k] = from->roots[i];
    from->roots[i].der = NULL;
    o->num_roots++;
  }
  return (uint8_t)k;
}

/* [MIG-05] Whoever is started when only the new ring is left is a peer of that one. */
void torc_peer_skip_old_ring(torc_overlay *o) {
  torc_overlay *next = o->next;
  if (next == NULL || next->migration != TORC_MIGRATION_NEW_ONLY) {
    return;
  }
  if (next->num_bootstrap == 0) {
    memcpy(next->bootstrap, o->bootstrap, sizeof o->bootstrap);
    next->num_bootstrap = o->num_bootstrap;
    memcpy(next->multicast, o->multicast, sizeof o->multicast);
    next->num_multicast = o->num_multicast;
  }
  for (size_t i = 0; i < o->num_roots; i++) { /* certificates of the old name stay good */
    uint8_t number = move_root(next, o, i);
    next->signer = i == o->signer ? number : next->signer;
  }
  o->next = NULL;
  next->signed_at = o->signed_at;
  torc_overlay_clear(o);
  *o = *next;
  free(next);
}
