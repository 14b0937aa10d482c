/* The simulator's engine: many real nodes on virtual links and virtual time. It speaks to a node by
 * the public sans-I/O interface alone. One seed makes every choice; the same seed gives the same
 * trace, byte for byte, on any machine and with any number of threads.
 *
 * Time goes in windows no longer than the shortest latency of any link, so that nothing said in a
 * window arrives in the same one: the threads ("workers", each owning every T-th node) go through a
 * window side by side and meet at its end. Events of a node are taken in the order (time, node,
 * sender, number of the sender's event), which no thread count changes.
 *
 * Who calls what: the functions of the first group only between two calls of torc_sim_run, from the
 * thread that created the simulator. Hooks run on a worker's thread, between two events of one
 * node: they may call the node itself and the second group for that node, and touch what belongs to
 * that node or to that worker; the engine drains the node afterwards. SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef TORC_SIM_ENGINE_H
#define TORC_SIM_ENGINE_H

#include "torc/node.h"

#define TORC_SIM_THREADS_MAX 16u
#define TORC_SIM_METHODS \
  32u /* message codes counted apart: the code / 2; later ones share the last */
#define TORC_SIM_TYPE_NOTE 0xF00001u /* dictionary, user match; declared in every node */
#define TORC_SIM_TYPE_SPREAD \
  0xF00002u /* single value, node multiple: a value anywhere in the ring */

typedef struct torc_sim torc_sim;
typedef uint32_t torc_sim_index; /* of a node, in the order of their creation */

typedef enum torc_sim_latency_kind {
  TORC_SIM_FIXED = 0, /* `latency` between any two */
  TORC_SIM_PLANE =
      1, /* nodes lie on a square; crossing it takes `latency`, `latency_min` is added */
  TORC_SIM_MATRIX = 2 /* one-way delays from a file; node i is row i % n */
} torc_sim_latency_kind;

/* What a hostile node does. Its code is the real one: the engine changes what goes in and out. */
enum {
  TORC_SIM_DROPS = 1,     /* forwards nothing */
  TORC_SIM_MISROUTES = 2, /* forwards to a random link */
  TORC_SIM_DENIES = 4,    /* its backend finds nothing */
  TORC_SIM_STALE = 8,     /* its backend keeps the first value of a key */
  TORC_SIM_FLOODS = 16    /* asks random places, `flood_rate` a second */
};

typedef struct torc_sim_hooks {
  void *ctx;
  /* An EVENT of a node: JOINED, DISCONNECTED, LEFT, DONE, ... */
  void (*event)(void *ctx, unsigned worker, torc_sim_index node, const torc_event *e,
                torc_time now);
  /* The time that torc_sim_call or torc_sim_call_at asked for has come. */
  void (*call)(void *ctx, unsigned worker, torc_sim_index node, uint64_t arg, torc_time now);
} torc_sim_hooks;

/* Fields left 0 stand for the default named. */
typedef struct torc_sim_config {
  uint64_t seed;         /* 0 is a seed as any other */
  unsigned threads;      /* 0: one per processor, at most TORC_SIM_THREADS_MAX */
  const char *algorithm; /* chord-128-2-8; copied */
  torc_time t1, update_period, ping_period, deletion_delay, replica_wait, keepalive,
      idle_close; /* the node's own defaults */
  uint32_t max_links, max_client_links, max_answer_bytes;
  uint32_t keep_certificates; /* not 0: nodes store their certificates and look after them */
  unsigned num_bootstrap;     /* nodes 0..n-1 are bootstrap peers of everybody: 4 */
  bool tells_live; /* the others are told of live peers at random instead, as by a peer cache */
  torc_sim_latency_kind latency_kind;
  torc_time latency;        /* one way: 20 ms */
  torc_time latency_min;    /* PLANE: 1 ms; MATRIX: shorter entries are raised to it */
  const char *matrix_file;  /* MATRIX: n lines of n numbers, ms one way; read at the creation */
  uint32_t jitter_permille; /* of the latency, added at random; order on a stream is kept */
  uint32_t loss_ppm;        /* of messages */
  uint64_t bits_per_second; /* of a link, each way; 0: unlimited */
  uint32_t mtu; /* links carry datagrams, no longer than this, and do not keep their order; 0: links
                   are streams */
  uint32_t closed_permille;         /* nodes behind a NAT: two of them cannot make a link */
  torc_time sign_cost, verify_cost; /* of one job; 0: done at once */
  uint64_t max_stored_bytes;        /* per node: 1 MiB */
  unsigned flood_rate;              /* 100 */
  torc_wall wall;                   /* wall time at time 0: 1800000000 */
  torc_sim_hooks hooks;
  /* Every message delivered, every link and every node that comes and goes, one line each; NULL: no
   * trace. Called between windows. */
  void (*trace)(void *ctx, const char *line, size_t len);
  void *trace_ctx;
  torc_log_level log_level; /* 0: none; node logs go to the trace too */
} torc_sim_config;

/* ---- between two calls of torc_sim_run ---- */

/* On failure *why (if not NULL) is a sentence, valid until the next call. */
int torc_sim_new(torc_sim **out, const torc_sim_config *cfg, const char **why) TORC_MUST_CHECK;
void torc_sim_free(torc_sim *s);

typedef struct torc_sim_node_options {
  torc_role role;   /* 0: peer */
  unsigned hostile; /* TORC_SIM_DROPS, ... */
  bool has_id;      /* `id` instead of a random one */
  torc_id id;
} torc_sim_node_options;
/* Creates a node named "u<index>@sim.example" and starts it; NULL options: a well-behaved peer. */
int torc_sim_add(torc_sim *s, const torc_sim_node_options *o,
                 torc_sim_index *index) TORC_MUST_CHECK;

typedef enum torc_sim_end {
  TORC_SIM_CRASH, /* the process dies: the other ends of its links see them break */
  TORC_SIM_VANISH /* nobody is told: its neighbours find out by their own timers [GAP-77] */
} torc_sim_end;
/* Harmless on a node that is down. The node's memory is freed; what it stored stays, for a restart,
 * until torc_sim_forget. */
void torc_sim_stop(torc_sim *s, torc_sim_index i, torc_sim_end how);
void torc_sim_leave(torc_sim *s, torc_sim_index i); /* LEAVE; down after EVENT_LEFT */
/* Starts a node that is down again, same identity; keeps: with what it had stored. */
int torc_sim_restart(torc_sim *s, torc_sim_index i, bool keeps) TORC_MUST_CHECK;
/* The node's configuration tells of another stage of moving to a second ring, with chord-128-2-24
 * [D-19]; also of one that is down, for its restart. */
int torc_sim_migrate(torc_sim *s, torc_sim_index i, torc_migration_stage stage) TORC_MUST_CHECK;
void torc_sim_forget(torc_sim *s,
                     torc_sim_index i); /* a node that is down, for good: frees its store */

/* Nodes of different groups cannot reach each other; links between them fall silent and stay so.
 * All are in group 0 at first. */
void torc_sim_set_group(torc_sim *s, torc_sim_index i, unsigned group);
void torc_sim_set_loss(torc_sim *s, uint32_t ppm); /* of every message */
void torc_sim_set_node_loss(torc_sim *s, torc_sim_index i,
                            uint32_t ppm); /* in and out of it, on top */
void torc_sim_set_hostile(torc_sim *s, torc_sim_index i, unsigned behaviours);

/* Runs until virtual time `until` (microseconds from 0) or until no event is left. */
void torc_sim_run(torc_sim *s, torc_time until);
/* Why the last run ended early (our own failure: memory, or a fault of the engine); NULL: it did
 * not. */
const char *torc_sim_why(const torc_sim *s);
torc_time torc_sim_now(const torc_sim *s);

size_t torc_sim_num(const torc_sim *s); /* nodes ever created */
bool torc_sim_is_up(const torc_sim *s, torc_sim_index i);
unsigned torc_sim_threads(const torc_sim *s);
/* Asks for hooks.call(arg) on the node at that time; forgotten if it is down then or was restarted.
 */
void torc_sim_call(torc_sim *s, torc_sim_index i, torc_time at, uint64_t arg);

typedef struct torc_sim_traffic { /* sums since the beginning */
  uint64_t events;                /* inputs to nodes: messages, ticks, link events, jobs */
  uint64_t dropped;               /* messages lost on links */
  uint64_t messages[TORC_SIM_METHODS]
                   [2]; /* sent on a link, by method (code / 2): requests, responses */
  uint64_t bytes[TORC_SIM_METHODS][2];
  uint64_t errors; /* error responses sent; also in messages as responses of method 0 */
} torc_sim_traffic;
void torc_sim_get_traffic(const torc_sim *s, torc_sim_traffic *out);
/* Messages this node has sent so far (its own and forwarded ones). */
uint64_t torc_sim_load(const torc_sim *s, torc_sim_index i);
/* Bytes that nodes hold now (without their stores), that their stores hold, and that the engine
 * holds. */
typedef struct torc_sim_memory {
  uint64_t nodes, stores, engine;
} torc_sim_memory;
void torc_sim_get_memory(const torc_sim *s, torc_sim_memory *out);

/* ---- also within hooks, for the hook's own node ---- */

torc_node *torc_sim_node(torc_sim *s, torc_sim_index i); /* NULL: down */
torc_id torc_sim_id(const torc_sim *s, torc_sim_index i);
/* From the node's own sequence, which the seed and its index determine. */
uint64_t torc_sim_random(torc_sim *s, torc_sim_index i, uint64_t bound);
void torc_sim_call_at(torc_sim *s, torc_sim_index i, torc_time at, uint64_t arg);

#endif
