/* Many real nodes in one process on virtual links and virtual time; one seed makes every choice.
 * Crypto is modelled: a signature is a hash that only the model checks. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef TORC_HELPER_SIM_H
#define TORC_HELPER_SIM_H

#include "overlay/helper_crypto.h"
#include "torc/node.h"

#define SIM_NODES_MAX 512

typedef struct sim sim;

typedef struct sim_options {
  uint64_t seed;
  const char *algorithm;   /* NULL: chord-128-2-8 */
  torc_time delay;         /* one way, 0: 2 ms */
  torc_time update_period; /* 0: 10 s */
  unsigned num_bootstrap;  /* nodes 0..n-1 are bootstrap peers; 0: one */
  unsigned loss_permille;  /* of messages */
  torc_time keepalive;     /* 0: the node's own default */
  uint32_t max_client_links;
  bool compress_via;
  torc_time job_time; /* a job takes up to this; 0: none */
  bool keep_certificate;
  bool is_shared_key;
  bool has_list; /* a second type: 0xF00002, array "list", user-match */
  bool is_lean;  /* as a simulator of very many nodes runs them */
  bool trace;    /* log to stderr */
} sim_options;

sim *sim_new(const sim_options *o);
void sim_free(sim *s);
/* Adds and starts a node with user name "user<N>@example.org"; its number comes back. */
size_t sim_add(sim *s, torc_role role);
size_t sim_add_id(sim *s, torc_role role, const torc_id *id); /* with this peer-id */
/* What the node has allocated; its backend is not in it. */
helper_mem *sim_mem(sim *s, size_t i);
/* Starts a killed node again with what its backend holds. */
void sim_restart(sim *s, size_t i);
/* Ends a node without a word; its links break. */
void sim_kill(sim *s, size_t i);
void sim_leave(sim *s, size_t i); /* LEAVE; then gone */
/* The node goes on to a stage of moving to "new.example.org" with chord-128-2-24 [D-19]. */
int sim_migrate(sim *s, size_t i, torc_migration_stage stage, const char **why);
bool sim_is_alive(const sim *s, size_t i);
/* Nodes of different groups cannot reach each other; group 0 is everybody's at first. */
void sim_set_group(sim *s, size_t i, unsigned group);
torc_node *sim_node(sim *s, size_t i);
torc_id sim_id(const sim *s, size_t i);
torc_time sim_now(const sim *s);
uint64_t sim_random(sim *s, uint64_t bound);
size_t sim_num(const sim *s);

void sim_run(sim *s, torc_time duration);
/* Runs until `done` says so; false: the limit came first. */
bool sim_run_until(sim *s, bool (*done)(sim *s, void *ctx), void *ctx, torc_time limit);

/* Every live peer is joined, and its first neighbours and own range are the right ones. */
bool sim_ring_ok(sim *s, void *unused);
/* Prints what is wrong with the ring. */
void sim_print_ring(sim *s);
/* Live peers that hold an element at this resource. */
size_t sim_holders(sim *s, const torc_id *resource);

/* Calls that run the simulation until they are answered. *done: slices live until the next sim
 * call. */
typedef struct sim_value {
  int rc;
  uint16_t code;
  char value[256];
  size_t len;
  bool exists;
  uint64_t generation;
  torc_id responder;
  torc_time elapsed;
  size_t num_values, num_rejected, num_hops;
  int32_t index; /* of the value */
  size_t num_existing;
} sim_value;
/* Stores `value` as type 0xF00001 (dictionary "note", user-match) under the node's own user name
 * and the key `key`. */
sim_value sim_store(sim *s, size_t i, const char *key, const char *value);
/* key NULL: every key; the answer tells of the first value and how many there are. */
sim_value sim_fetch(sim *s, size_t i, const char *user, const char *key);
sim_value sim_remove(sim *s, size_t i, const char *key, uint64_t generation);
/* Starts a REMOVE or a STORE and does not wait: the number of the call comes back. */
size_t sim_begin_remove(sim *s, size_t i, const char *key, uint64_t generation);
size_t sim_begin_store(sim *s, size_t i, const char *key, const char *value);
bool sim_has_ended(const sim *s, size_t call);
sim_value sim_result(const sim *s, size_t call);
/* "list" under the node's own user name: append, read an index (-1: all), remove an index. */
sim_value sim_append(sim *s, size_t i, const char *value);
sim_value sim_list(sim *s, size_t i, const char *user, int32_t index);
sim_value sim_remove_at(sim *s, size_t i, int32_t index, uint64_t generation);
sim_value sim_ping(sim *s, size_t i, const torc_id *target, unsigned flags);
sim_value sim_connect(sim *s, size_t i, const torc_id *target);
torc_id sim_resource(sim *s, size_t i, const char *user);

#endif
