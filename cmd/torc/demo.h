/* torc demo: a whole overlay on this machine, told step by step.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_DEMO_H
#define TORC_CMD_DEMO_H

#include <sys/types.h>

#include "base/id.h"
#include "commands.h"

#define DEMO_PEERS_MIN 3
#define DEMO_PEERS_MAX 32
#define DEMO_OVERLAY "demo.torc.example"
#define DEMO_TYPE "note" /* declared in the overlay document as 0xF00001 */
#define DEMO_PATH_MAX 512
#define DEMO_HOLDERS 3
#define DEMO_ALICE 0
#define DEMO_BOB \
  1 /* also the bootstrap peer: if all others die he may found the ring anew [R-51] */

typedef struct demo_peer {
  char name[32]; /* "alice" */
  char user[64]; /* "alice@demo.torc.example" */
  char socket[DEMO_PATH_MAX];
  char conf[DEMO_PATH_MAX];
  char log[DEMO_PATH_MAX];
  torc_id id; /* known when the certificate is issued */
  pid_t pid;  /* 0: does not run */
  client control;
  bool is_connected;
} demo_peer;

typedef struct demo {
  int num_peers;
  const char *algorithm, *signature, *dir_wanted;
  bool keep;
  char dir[128], authority[DEMO_PATH_MAX], bin[DEMO_PATH_MAX];
  uint16_t port; /* of the bootstrap peer */
  demo_peer peers[DEMO_PEERS_MAX];
  int order[DEMO_PEERS_MAX]; /* indexes along the ring */
  char err[512];
} demo;

/* demo_setup.c: files. Each 0 or negative with d->err. */
int demo_make_dir(demo *d);
int demo_make_authority(demo *d);
int demo_issue(demo *d, int peer);
int demo_write_conf(demo *d, int peer);
void demo_sort(demo *d);
/* Indexes of those who hold `resource`: the first at or after it and the next two. */
void demo_holders_of(const demo *d, const torc_id *resource, int out[DEMO_HOLDERS]);
bool demo_is_holder(const demo *d, int peer, const torc_id *resource);
/* Draws certificates for a peer anew until it is no holder of `resource`, as far as that works. */
int demo_keep_away(demo *d, int peer, const torc_id *resource);
void demo_remove_dir(demo *d);

/* demo_proc.c: processes. */
int demo_find_programs(demo *d);
int demo_run_tool(demo *d, char *const argv[], char *out, size_t out_cap);
int demo_start(demo *d, int peer);
void demo_kill(demo *d, int peer);
/* Ends everything that was started and waits for it; harmless when nothing runs. */
void demo_stop_all(demo *d);
/* Closes the connections only. */
void demo_leave_running(demo *d);
bool demo_interrupted(void);
void demo_watch_signals(void);
void demo_pause_ms(int ms);

/* demo_ring.c: the overlay as its peers tell it. */
int demo_connect(demo *d, int peer, int timeout_ms);
/* A request to one peer; NULL with d->err. */
json_t *demo_ask(demo *d, int peer, json_t *request);
int demo_wait_whole(demo *d, int timeout_ms);
void demo_draw(demo *d);
int demo_running(const demo *d);

/* demo_story.c: what is shown. */
int demo_tell(demo *d);

#endif
