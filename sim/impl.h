/* The inside of the engine: what its files share.
 *
 * While the workers run, what a node is (up, its life, group, loss, certificate) does not change:
 * every worker may read that of any node. All else of a node belongs to its own worker. Between two
 * windows, and in the functions that are called between two runs, one thread owns everything.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_IMPL_H
#define TORC_SIM_IMPL_H

#include "latency.h"
#include "pool.h"
#include "queue.h"
#include "sim/engine.h"

#define SIM_NODES_PER_CHUNK 1024u
#define SIM_NODES_MAX (1u << 24)    /* an index is the last three bytes of an address 10.x.y.z */
#define SIM_RING_MAX 1024u          /* windows */
#define SIM_DIAL_LIMIT TORC_SEC(10) /* as the platform's own */
#define SIM_NEAR_BOOTSTRAP 4u       /* bootstrap peers that a node is told of */
#define SIM_TRIES 16u               /* to find a live one */
#define SIM_PORT 6084u
#define SIM_RECENT 8u /* a power of two */
#define SIM_END_NONE UINT16_MAX
#define SIM_ENDS_MAX 65534u /* links of one node at a time */

typedef enum sim_end_state {
  SIM_END_FREE,      /* `peer`: the next free one */
  SIM_END_DIALLING,  /* asked; a pending entry holds the token */
  SIM_END_ACCEPTING, /* accepted, the asking side does not know yet */
  SIM_END_UP,
  SIM_END_SPENT /* its generations are used up */
} sim_end_state;

/* One end of a link. The node knows it as slot | gen << 16. */
typedef struct sim_end {
  uint32_t peer;
  uint16_t peer_slot, peer_gen, gen;
  uint8_t state;
  bool is_silent; /* what is sent is lost: the ends were parted */
} sim_end;

typedef enum sim_pending_kind {
  SIM_PENDING_DIAL,    /* `slot` is dialling */
  SIM_PENDING_AWAIT,   /* the peer dials */
  SIM_PENDING_ACTIVE,  /* answered a CONNECT; dials when the answer is sent */
  SIM_PENDING_PASSIVE, /* answered a CONNECT; awaits then */
} sim_pending_kind;

typedef struct sim_pending {
  torc_token token;
  torc_time at; /* given up then */
  uint32_t peer;
  uint16_t slot;
  uint8_t kind;
} sim_pending;

typedef struct sim_worker sim_worker;
typedef struct sim_store sim_store;
typedef struct sim_hostile sim_hostile;
typedef struct sim_logger sim_logger;

typedef struct sim_node {
  torc_node *node; /* NULL: down */
  sim_end *ends;
  torc_time *last; /* of each end: when what was sent last arrives; NULL unless that varies */
  sim_pending *pending;
  uint16_t num_ends, cap_ends, free_end, num_pending, cap_pending;
  uint16_t group;
  uint8_t role, hostile, stage; /* stage: torc_migration_stage */
  bool has_vanished : 1, has_left : 1, is_closed : 1, is_touched : 1, is_forgotten : 1;
  uint32_t index, wake, seq, life, loss_ppm;
  uint32_t recent[SIM_RECENT]; /* requests that came: what their responses are counted as */
  uint64_t rng, load;
  torc_time sweep_at; /* of the next SIM_SWEEP; TORC_NEVER: none */
  sim_worker *worker;
  torc_cert *cert;
  sim_store *store, *second_store; /* the latter of the ring it moves to */
  sim_hostile *hostility;
  sim_logger *logger;
  torc_crypto crypto;
  torc_id id;
} sim_node;

/* ---- trace ---- */
typedef struct sim_line {
  torc_time at;
  uint32_t dst, src, seq, sub; /* of the event that it is about; `sub`: which line of it */
  uint32_t len;
  size_t offset;
} sim_line;

typedef struct sim_trace {
  sim_line *lines;
  size_t num, cap;
  char *text;
  size_t len, text_cap;
  sim_line key; /* of the event at hand */
} sim_trace;

struct sim_worker {
  torc_sim *sim;
  unsigned index;
  torc_time now;
  torc_time limit; /* end of the window being gone through; 0: none is */
  sim_node *current;
  sim_lane *lanes; /* to every worker */
  sim_chunks chunks;
  sim_heap far;   /* what is beyond the ring */
  sim_heap local; /* what the node at hand caused itself within this window */
  sim_wakes wakes;
  sim_event *work; /* this window's, but for what whole buckets hold */
  sim_key *keys, *spare;
  uint32_t num_work, cap_work, num_keys, cap_keys;
  sim_pool pool;
  sim_account nodes, stores, engine;
  torc_counters *counters; /* of all its nodes */
  torc_sim_traffic traffic;
  sim_trace trace;
  uint64_t next_window; /* with something in it; UINT64_MAX: nothing is to come */
  uint32_t *leavers;    /* nodes that have left and go down at the end of the window */
  uint32_t num_leavers, cap_leavers;
  const char *failed;
  int failed_rc;
  torc_output out;
};

struct torc_sim {
  torc_sim_config cfg;
  char *algorithm;
  sim_latency latency;
  torc_time window_len;
  uint64_t window; /* being gone through, or that of `now` */
  uint32_t ring_len;
  sim_worker *workers;
  unsigned num_workers;
  sim_node **chunks;
  uint32_t num, num_chunks, cap_chunks;
  torc_time now;
  bool has_order; /* arrival times vary, so that the order on a link must be kept */
  bool is_running;
  bool has_new_groups;
  bool has_node_loss; /* of some node, ever */
  uint32_t *touched;
  uint32_t num_touched, cap_touched;
  struct sim_team *team; /* the threads */
  char why[200];
  bool is_failed;
  torc_connect_params params;
};

static inline sim_node *sim_node_at(const torc_sim *s, uint32_t i) {
  return &s->chunks[i / SIM_NODES_PER_CHUNK][i % SIM_NODES_PER_CHUNK];
}

/* Our own failure: the run ends after this window. */
void sim_fail(sim_worker *w, int rc, const char *what);

/* ---- posting (post.c) ---- */
/* When something sent by `n` now over `end` arrives: latency, jitter, bandwidth; never before what
 * was sent earlier. */
torc_time sim_arrival(sim_worker *w, sim_node *n, const sim_end *end, size_t len);
torc_time sim_way(sim_worker *w, sim_node *n, uint32_t peer); /* latency with jitter */
/* Fills in src and seq. `e->dst` may be n itself. */
void sim_post(sim_worker *w, sim_node *n, sim_event *e);
/* The same with bytes, which are copied. */
void sim_post_message(sim_worker *w, sim_node *n, sim_event *e, torc_slice head, torc_slice body);

/* ---- links (link.c) ---- */
torc_link_id sim_link_id(const sim_end *end, uint16_t slot);
sim_end *sim_end_of(const sim_node *n, torc_link_id link, uint16_t *slot); /* UP, or NULL */
void sim_link_dial(sim_worker *w, sim_node *n, uint32_t peer, torc_token token);
void sim_link_await(sim_worker *w, sim_node *n, uint32_t peer, torc_token token);
void sim_link_close(sim_worker *w, sim_node *n, torc_link_id link);
/* An event of kind SYN .. SWEEP. */
void sim_link_event(sim_worker *w, sim_node *n, const sim_event *e);
/* The node goes down: its neighbours are told, or not. */
void sim_link_drop_all(sim_worker *w, sim_node *n, bool tells);
void sim_link_part(torc_sim *s); /* links between groups fall silent */
void sim_link_clear(sim_worker *w, sim_node *n);
bool sim_pending_add(sim_worker *w, sim_node *n, sim_pending p);
bool sim_pending_take(sim_node *n, sim_pending_kind kind, torc_token token, sim_pending *out);

/* ---- driving a node (host.c) ---- */
void sim_host_drain(sim_worker *w, sim_node *n);
void sim_host_rewake(sim_worker *w, sim_node *n);
/* All that happens to one node within the window: `num` events in order. */
void sim_host_run(sim_worker *w, sim_node *n, const sim_key *keys, size_t num);
/* Something happened between two runs. */
void sim_host_settle(sim_worker *w, sim_node *n);
/* Takes the node down. */
void sim_host_down(sim_node *n, torc_sim_end how);

/* ---- offers and answers (connect.c) ---- */
void sim_connect_init(torc_sim *s);
void sim_connect_output(sim_worker *w, sim_node *n, const torc_output *o);
size_t sim_connect_host(uint32_t index, char *out, size_t cap);

/* ---- windows and threads (run.c) ---- */
int sim_team_new(torc_sim *s) TORC_MUST_CHECK;
void sim_team_free(torc_sim *s);

/* ---- trace (trace.c) ---- */
void sim_trace_begin(sim_worker *w, const sim_event *e);
void sim_trace_own(sim_worker *w, const sim_node *n, torc_time at); /* of a node's own doing */
void sim_trace_line(sim_worker *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace_flush(torc_sim *s);
void sim_trace_clear(sim_worker *w);
static inline bool sim_traces(const sim_worker *w) {
  return w->sim->cfg.trace != NULL;
}
int sim_logger_new(sim_worker *w, sim_node *n) TORC_MUST_CHECK;
const torc_log *sim_logger_log(const sim_logger *l);

/* ---- stores (store.c) ---- */
int sim_store_new(sim_worker *w, sim_store **out) TORC_MUST_CHECK;
const torc_backend *sim_store_backend(const sim_store *st);
void sim_store_free(sim_worker *w, sim_store **store); /* of NULL: nothing */

/* ---- messages (message.c) ---- */
typedef struct sim_message {
  uint64_t xid;
  uint16_t code; /* method, or that of a response */
  bool is_valid, is_response, has_via;
  uint32_t extra; /* bytes that real crypto would add */
} sim_message;
void sim_message_read(torc_slice head, torc_slice body, sim_message *out);
/* Counts it as sent; returns the method's number, of a response that of its request if the node
 * remembers it. */
unsigned sim_message_count(sim_worker *w, sim_node *n, const sim_message *m, size_t len);
/* It came: its response will be counted under its method. */
void sim_message_note(sim_node *n, torc_slice bytes, unsigned method);

/* ---- hostile nodes (hostile.c) ---- */
void sim_hostile_set(sim_worker *w, sim_node *n, unsigned behaviours);
void sim_hostile_input(sim_node *n, torc_slice bytes);
/* Where it really goes: another end of the node; NULL: nowhere. */
sim_end *sim_hostile_send(sim_node *n, const sim_message *m, sim_end *end, uint16_t *slot);
void sim_hostile_start(sim_worker *w, sim_node *n); /* FLOODS: the first SIM_FLOOD */
void sim_hostile_flood(sim_worker *w, sim_node *n);
void sim_hostile_clear(sim_worker *w, sim_node *n);

#endif
