/* torc demo: a whole overlay on this machine, told step by step.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_CMD_DEMO_H
#define TORC_CMD_DEMO_H

#include <limits.h>
#include <sys/types.h>

#include "base/id.h"
#include "commands.h"

#define DEMO_PEERS_MIN 3
#define DEMO_PEERS_MAX 32
#define DEMO_OVERLAY "demo.torc.example"
#define DEMO_SRV "_p2p_enroll._tcp." DEMO_OVERLAY
#define DEMO_TYPE "note" /* declared in the overlay document as 0xF00001 */
#define DEMO_PATH_MAX 512
#define DEMO_ENROL_MAX 8 /* at a time */
#define DEMO_HOLDERS 3
#define DEMO_ALICE 0
#define DEMO_BOB 1 /* the bootstrap peer; who dials no one may found the ring anew */

typedef struct demo_peer {
  char name[32]; /* "alice" */
  char user[64]; /* "alice@demo.torc.example" */
  char socket[DEMO_PATH_MAX];
  char conf[DEMO_PATH_MAX];
  char log[DEMO_PATH_MAX];
  char dir[DEMO_PATH_MAX];      /* what torc enroll wrote */
  char enrolled[DEMO_PATH_MAX]; /* what it said */
  torc_id id;                   /* known when it is enrolled */
  pid_t pid;                    /* 0: does not run */
  client control;
  bool is_connected;
} demo_peer;

typedef struct demo_service {
  const char *name;
  char log[DEMO_PATH_MAX];
  pid_t pid; /* 0: does not run */
} demo_service;

typedef struct demo {
  int num_peers;
  const char *algorithm, *signature, *dir_wanted;
  bool keep;
  char dir[128], authority[DEMO_PATH_MAX], bin[DEMO_PATH_MAX];
  char full[PATH_MAX]; /* the absolute name of dir */
  char knotd[DEMO_PATH_MAX], openssl[DEMO_PATH_MAX];
  demo_service service, names; /* torc-authority, knotd */
  uint16_t https_port, dns_port;
  uint16_t port; /* of the bootstrap peer */
  int reader;    /* of alice's note */
  demo_peer peers[DEMO_PEERS_MAX];
  int order[DEMO_PEERS_MAX]; /* indexes along the ring */
  char err[512];
} demo;

/* demo_setup.c: files. Each 0 or negative with d->err. */
int demo_make_dir(demo *d);
int demo_make_authority(demo *d);
void demo_name(demo *d, int peer); /* and its files */
int demo_write_conf(demo *d, int peer);
void demo_sort(demo *d);
/* Indexes of those who hold `resource`: the first at or after it and the next two. */
void demo_holders_of(const demo *d, const torc_id *resource, int out[DEMO_HOLDERS]);
bool demo_is_holder(const demo *d, int peer, const torc_id *resource);
void demo_remove_dir(demo *d);

/* demo_services.c: authority, DNS, enrolment. Each 0 or negative with d->err. */
int demo_add_account(demo *d, int peer);
int demo_serve(demo *d);
int demo_serve_names(demo *d);
int demo_enrol(demo *d, int first, int num); /* all of them at once */

/* demo_proc.c: processes. */
int demo_find_programs(demo *d);
int demo_run_tool(demo *d, char *const argv[], char *out, size_t out_cap);
/* Starts a program; negative with errno. */
pid_t demo_spawn(const demo *d, char *const argv[], int out, int err);
/* Waits for a process, which is 0 then, and ends it if the demo is to end; its status. */
int demo_wait(pid_t *pid);
bool demo_has_ended(pid_t *pid); /* never waits */
int demo_start(demo *d, int peer);
void demo_stop_services(demo *d);
void demo_kill(demo *d, int peer);
/* Ends everything that was started and waits for it; harmless when nothing runs. */
void demo_stop_all(demo *d);
/* Closes the connections only. */
void demo_leave_running(demo *d);
bool demo_interrupted(void);
void demo_watch_signals(void);
void demo_pause_ms(int ms);

/* demo_ring.c: the overlay as its peers tell it. */
void demo_last_line(const char *path, char *out, size_t cap); /* of a log */
int demo_connect(demo *d, int peer, int timeout_ms);
/* A request to one peer; NULL with d->err. */
json_t *demo_ask(demo *d, int peer, json_t *request);
int demo_wait_whole(demo *d, int timeout_ms);
void demo_draw(demo *d);
int demo_running(const demo *d);

/* demo_story.c: what is shown. */
int demo_tell(demo *d);

#endif
