/* Files of the demo: directory, authority, configurations.
 * SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo.h"

static const char *const names[] = {
    "alice",   "bob",    "carol", "dave",  "erin",    "frank",  "grace",  "heidi",
    "ivan",    "judy",   "kim",   "leo",   "mallory", "niaj",   "olivia", "peggy",
    "quentin", "rupert", "sybil", "trent", "ursula",  "victor", "walter", "xenia",
    "yara",    "zoe",    "amir",  "bea",   "cyril",   "dora",   "emil",   "fatou"};

static int fail(demo *d, const char *what, const char *path) {
  (void)snprintf(d->err, sizeof d->err, "%s %.300s: %s", what, path, strerror(errno));
  return TORC_ERR_IO;
}

/* What needs no quotes in a shell and no care in a configuration file: the name stands in both. */
static bool is_plain(const char *path) {
  return path[strspn(path,
                     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-@,")] ==
             '\0' &&
         path[0] != '-' && path[0] != '\0';
}

static int make_dir(demo *d) {
  const char *base = getenv("TMPDIR");
  if (d->dir_wanted != NULL && !is_plain(d->dir_wanted)) {
    (void)snprintf(d->err, sizeof d->err, "--dir: only letters, digits and /._+-@, please");
    return TORC_ERR_INVALID;
  }
  if (d->dir_wanted != NULL) {
    if (snprintf(d->dir, sizeof d->dir, "%s", d->dir_wanted) >= 80) {
      d->dir[0] = '\0';
      (void)snprintf(d->err, sizeof d->err, "--dir: the name is too long for the sockets in it");
      return TORC_ERR_LIMIT;
    }
    if (mkdir(d->dir, 0700) != 0) {
      int rc = fail(d, "cannot create", d->dir);
      d->dir[0] = '\0'; /* it is not ours: it stays */
      return rc;
    }
    return 0;
  }
  if (base == NULL || base[0] != '/' || strlen(base) > 60 || !is_plain(base)) {
    base = "/tmp";
  }
  (void)snprintf(d->dir, sizeof d->dir, "%s/torc-demo-XXXXXX", base);
  if (mkdtemp(d->dir) == NULL) {
    int rc = fail(d, "cannot create a directory under", base);
    d->dir[0] = '\0';
    return rc;
  }
  return 0;
}

int demo_make_dir(demo *d) {
  int rc = make_dir(d);
  if (rc == 0 && realpath(d->dir, d->full) == NULL) {
    rc = fail(d, "cannot find", d->dir);
  }
  if (rc == 0 && !is_plain(d->full)) {
    (void)snprintf(d->err, sizeof d->err, "--dir: only letters, digits and /._+-@, please: %.300s",
                   d->full);
    rc = TORC_ERR_INVALID;
  }
  return rc;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where) {
  (void)st;
  (void)kind;
  (void)where;
  return remove(path);
}

void demo_remove_dir(demo *d) {
  if (d->dir[0] != '\0') {
    (void)nftw(d->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  }
}

/* A port nobody listens on now. The bootstrap peer needs one that the overlay document can name. */
static uint16_t free_port(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  uint16_t port = 0;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
      getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
    port = ntohs(address.sin_port);
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  return port;
}

int demo_make_authority(demo *d) {
  char program[DEMO_PATH_MAX + 32];
  char bootstrap[64];
  char out[2048];
  char *const argv[] = {program,
                        (char[]){"init"},
                        d->authority,
                        (char[]){"--overlay"},
                        (char[]){DEMO_OVERLAY},
                        (char[]){"--algorithm"},
                        (char *)d->algorithm,
                        (char[]){"--signature"},
                        (char *)d->signature,
                        (char[]){"--bootstrap"},
                        bootstrap,
                        (char[]){"--type"},
                        (char[]){"0xF00001,note,single,user-match,1,4096,86400,find"},
                        NULL};
  d->port = free_port();
  (void)snprintf(program, sizeof program, "%s/torc-authority", d->bin);
  (void)snprintf(bootstrap, sizeof bootstrap, "127.0.0.1:%u", d->port);
  (void)snprintf(d->authority, sizeof d->authority, "%s/authority", d->dir);
  return demo_run_tool(d, argv, out, sizeof out);
}

void demo_name(demo *d, int peer) {
  demo_peer *p = &d->peers[peer];
  const char *name = names[peer];
  (void)snprintf(p->name, sizeof p->name, "%s", name);
  (void)snprintf(p->user, sizeof p->user, "%s@%s", name, DEMO_OVERLAY);
  (void)snprintf(p->conf, sizeof p->conf, "%s/%s.conf", d->dir, name);
  (void)snprintf(p->log, sizeof p->log, "%s/%s.log", d->dir, name);
  (void)snprintf(p->socket, sizeof p->socket, "%s/%s.sock", d->dir, name);
  (void)snprintf(p->dir, sizeof p->dir, "%s/%s", d->dir, name);
  (void)snprintf(p->enrolled, sizeof p->enrolled, "%s/%s.enrolled", d->dir, name);
}

bool demo_is_holder(const demo *d, int peer, const torc_id *resource) {
  int holders[DEMO_HOLDERS];
  demo_holders_of(d, resource, holders);
  return peer == holders[0] || peer == holders[1] || peer == holders[2];
}

int demo_write_conf(demo *d, int peer) {
  demo_peer *p = &d->peers[peer];
  char state[DEMO_PATH_MAX];
  (void)snprintf(state, sizeof state, "%s/%s.state", d->dir, p->name);
  if (mkdir(state, 0700) != 0 && errno != EEXIST) {
    return fail(d, "cannot create", state);
  }
  FILE *f = fopen(p->conf, "we");
  if (f == NULL) {
    return fail(d, "cannot write", p->conf);
  }
  (void)fprintf(f,
                "[overlay]\nfile = %s/overlay.xml\n"
                "[identity]\ncert = %s/node.crt\nkey = %s/node.key\n"
                "[node]\nrole = peer\nlisten = 127.0.0.1:%u\nstate-dir = %s\n"
                "[control]\nsocket = %s\n"
                "[log]\nlevel = info\nformat = json\n"
                "[timers]\nupdate-period = 2s\nping-period = 5s\n",
                p->dir, p->dir, p->dir, peer == DEMO_BOB ? d->port : 0u, state, p->socket);
  return fclose(f) == 0 ? 0 : fail(d, "cannot write", p->conf);
}

void demo_sort(demo *d) {
  for (int i = 0; i < d->num_peers; i++) {
    int at = i;
    while (at > 0 && torc_id_cmp(&d->peers[i].id, &d->peers[d->order[at - 1]].id) < 0) {
      d->order[at] = d->order[at - 1];
      at--;
    }
    d->order[at] = i;
  }
}

/* [CHD-04] [CHD-07]: the first at or after the resource, and its next two. */
void demo_holders_of(const demo *d, const torc_id *resource, int out[DEMO_HOLDERS]) {
  int first = 0;
  while (first < d->num_peers && torc_id_cmp(&d->peers[d->order[first]].id, resource) < 0) {
    first++;
  }
  for (int i = 0; i < DEMO_HOLDERS; i++) {
    out[i] = d->order[(first + i) % d->num_peers];
  }
}
