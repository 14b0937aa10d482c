/* The state directory: its lock and the peer cache.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"
#include "io/cache_file.h"
#include "io/err.h"
#include "io/peer_impl.h"

#define CACHE_FILE "peers.json"
#define CACHE_ENOUGH 3u             /* addresses known; below it neighbours are asked for theirs */
#define CACHE_ASK_FIRST TORC_SEC(2) /* between one asking and the next, doubled each time */
#define CACHE_ASK_LAST TORC_SEC(3600)
#define LOCK_FILE "lock"
#define LINKS_LOOKED_MAX 64 /* links compared with the cache in one look */

static int path_in(const torc_peer *p, const char *name, char out[TORC_PEER_PATH_MAX]) {
  int n = snprintf(out, TORC_PEER_PATH_MAX, "%s/%s", p->state_dir, name);
  return n > 0 && n < TORC_PEER_PATH_MAX ? 0 : TORC_ERR_INVALID;
}

static int lock_fault(const torc_peer *p, int fd, char *err, size_t err_cap) {
  char pid[24] = "";
  ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
  pid[n > 0 ? n : 0] = '\0';
  pid[strcspn(pid, "\n")] = '\0';
  return torc_fail(
      TORC_ERR_STATE, err, err_cap,
      "the state directory %s is in use by another process (%s%s): stop it, or give this one "
      "a directory of its own",
      p->state_dir, pid[0] == '\0' ? "unknown" : "pid ", pid);
}

/* The kernel drops the lock with the process, also after kill -9. */
static int take_lock(torc_peer *p, char *err, size_t err_cap) {
  char path[TORC_PEER_PATH_MAX];
  if (path_in(p, LOCK_FILE, path) != 0) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap, "the path of the state directory is too long");
  }
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap,
                     "cannot write to the state directory %s: %s; check its owner and mode",
                     p->state_dir, strerror(errno));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    int rc = lock_fault(p, fd, err, err_cap);
    close(fd);
    return rc;
  }
  p->lock_fd = fd;
  char pid[24];
  int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot write to the state directory %s: %s",
                     p->state_dir, strerror(errno));
  }
  return 0;
}

static void load_cache(torc_peer *p) {
  char path[TORC_PEER_PATH_MAX];
  int rc = path_in(p, CACHE_FILE, path);
  if (rc == 0) {
    rc = torc_cache_load(&p->cache, path, p->overlay.name, torc_peer_wall());
  }
  if (rc != 0) { /* a hint only: the bootstrap peers remain */
    TORC_LOG(p->log, TORC_LOG_WARN, "io:peer_cache_ignored", TORC_F_STR("dir", p->state_dir),
             TORC_F_ERR("why", rc));
  }
}

int torc_peer_state_open(torc_peer *p, const char *dir, char *err, size_t err_cap) {
  if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot create the state directory %s: %s", dir,
                     strerror(errno));
  }
  p->state_dir = strdup(dir);
  if (p->state_dir == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "out of memory");
  }
  int rc = take_lock(p, err, err_cap);
  if (rc == 0) {
    load_cache(p);
  }
  return rc;
}

void torc_peer_state_close(torc_peer *p) {
  if (p->lock_fd >= 0) {
    close(p->lock_fd);
    p->lock_fd = -1;
  }
  free(p->state_dir);
  p->state_dir = NULL;
}

/* ---- the cache ---- */

typedef struct look {
  torc_cached_peer linked[LINKS_LOOKED_MAX];
  size_t num;
} look;

static void add_link(void *ctx, const torc_id *peer, const torc_endpoint *at) {
  look *l = ctx;
  if (l->num < LINKS_LOOKED_MAX) {
    l->linked[l->num] = (torc_cached_peer){.at = *at, .transport = TORC_LINK_TLS};
    l->linked[l->num].at.peer = *peer;
    l->num++;
  }
}

static bool is_known(const look *l, const torc_id *peer) {
  for (size_t i = 0; i < l->num; i++) {
    if (torc_id_eq(&l->linked[i].at.peer, peer)) {
      return true;
    }
  }
  return false;
}

/* A peer that was only ever dialled, a bootstrap peer above all, knows nobody's address, and after
 * a crash it would take itself for the founder of the ring. It asks some neighbours for
 * theirs. */
static void ask_addresses(torc_peer *p, const look *l) {
  torc_node_view v;
  size_t wanted = l->num < CACHE_ENOUGH ? CACHE_ENOUGH - l->num : 0;
  torc_node_get_view(p->node, &v);
  torc_time now = torc_peer_now(p);
  if (v.role != TORC_ROLE_PEER || !v.is_joined || v.num_successors <= l->num ||
      now < p->cache_ask_at) {
    return;
  }
  p->cache_ask_wait = p->cache_ask_wait == 0 ? CACHE_ASK_FIRST : 2 * p->cache_ask_wait;
  p->cache_ask_wait = p->cache_ask_wait > CACHE_ASK_LAST ? CACHE_ASK_LAST : p->cache_ask_wait;
  p->cache_ask_at = now + p->cache_ask_wait;
  for (size_t i = 0; i < v.num_successors && wanted > 0; i++) {
    if (!is_known(l, &v.successors[i]) && !torc_net_is_by_connect(p->net, &v.successors[i]) &&
        torc_node_renew_link(p->node, &v.successors[i], torc_peer_now(p)) == 0) {
      wanted--;
    }
  }
  torc_peer_flush(p);
}

static int save_cache(torc_peer *p) {
  char path[TORC_PEER_PATH_MAX];
  int rc = path_in(p, CACHE_FILE, path);
  if (rc == 0) {
    rc = torc_cache_save(&p->cache, path, torc_peer_ring(p)->name);
  }
  if (rc == 0) {
    p->stats.cache_saved++;
  }
  return rc;
}

/* The node looks there first when it has lost every link; the file is for the next start. */
static void use_cache(torc_peer *p) {
  torc_endpoint known[TORC_PEER_CACHE_MAX];
  size_t num = torc_peer_cache_endpoints(&p->cache, known, TORC_PEER_CACHE_MAX);
  int rc = torc_node_set_cached(p->node, known, num);
  if (rc == 0 && p->state_dir != NULL) {
    rc = save_cache(p);
  }
  if (rc == 0) {
    p->cache.is_changed = false;
    return;
  }
  p->stats.cache_failures++;
  TORC_LOG(p->log, TORC_LOG_WARN, "io:peer_cache_not_saved",
           TORC_F_STR("dir", p->state_dir == NULL ? "" : p->state_dir), TORC_F_ERR("why", rc));
}

/* [BST-09] [BST-10] [BST-11] [GAP-139] */
void torc_peer_cache_note(torc_peer *p, bool may_ask) {
  p->cache_looked = uv_hrtime() / 1000;
  if (p->net == NULL) {
    return;
  }
  look *l = calloc(1, sizeof *l);
  if (l == NULL) {
    return;
  }
  torc_net_each_dialable(p->net, l, add_link);
  torc_peer_cache_look(&p->cache, l->linked, l->num, torc_peer_wall());
  if (l->num < CACHE_ENOUGH && may_ask) {
    ask_addresses(p, l);
  }
  free(l);
  if (p->cache.is_changed) {
    use_cache(p);
  }
}

void torc_peer_cache_opening(torc_peer *p, torc_token token, const torc_endpoint *at) {
  torc_peer_open *o = &p->opens[p->next_open]; /* the oldest one is overwritten */
  p->next_open = (p->next_open + 1) % TORC_PEER_OPENS_MAX;
  o->token = token;
  o->at = *at;
}

void torc_peer_cache_open_failed(torc_peer *p, torc_token token) {
  for (size_t i = 0; token != 0 && i < TORC_PEER_OPENS_MAX; i++) {
    if (p->opens[i].token == token) {
      p->opens[i].token = 0;
      (void)torc_peer_cache_failed(&p->cache, &p->opens[i].at);
      return;
    }
  }
}
