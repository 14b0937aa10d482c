/* What the model of ring.pml consists of: some peers that run the ring code itself, reliable
 * ordered links, messages on their way, one value, and a clock. The whole state is one object
 * without pointers to outside, so that pan can put it back. docs/model.md tells the rest.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_MODEL_RING_H
#define TORC_MODEL_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/timer.h"
#include "overlay/topology/ring.h"

#ifndef PEERS
#define PEERS 4
#endif
#ifndef REPLICAS
#define REPLICAS 2
#endif
#define MESSAGES_MAX 96
#define OPS_MAX 40
#define COPIES_MAX 24
#define WRITES_MAX 8
#define ARENA 8192
#define MODEL_ACTS 12 /* ring.pml: OP(0) .. */
#define NOBODY 255

typedef enum model_kind {
  MODEL_REQUEST = 1, /* JOIN, LEAVE, UPDATE */
  MODEL_RESPONSE,
  MODEL_COPY, /* STORE of the one value, of version 0: of nothing */
  MODEL_COPY_ANSWER,
  MODEL_DOWN /* the receiver learns that the link is gone */
} model_kind;

typedef struct model_message {
  torc_token cookie;
  uint16_t code;
  uint8_t kind, from, to, method;
  uint8_t slot, version; /* of a copy */
  uint8_t num_preds, num_succs, preds[PEERS], succs[PEERS];
} model_message;

typedef enum model_op_kind {
  MODEL_PING = 1,
  MODEL_CONNECT,
  MODEL_LINKED, /* a CONNECT whose link is there already */
  MODEL_TRANSFERRED,
  MODEL_RETRY, /* of a refused copy */
  MODEL_BOOT_PING,
  MODEL_REBOOT /* the node looks for a ring again */
} model_op_kind;

/* What a node has under way beside the messages on its links. */
typedef struct model_op {
  torc_token cookie;
  torc_time due; /* not before; PING, CONNECT: given up then */
  torc_id target;
  int rc;
  uint8_t kind, peer, via, slot;
  bool is_exact;
} model_op;

typedef struct model_copy {
  torc_token cookie; /* of the transfer; 0: part of a write */
  torc_time delay, deadline;
  uint8_t from, to, version, write;
  bool is_used;
} model_copy;

/* A STORE that waits for its replicas [D-13]. */
typedef struct model_write {
  uint8_t peer, version, waiting;
  uint8_t answer_to, slot; /* a copy that came in; NOBODY: the client */
  bool is_used;
} model_write;

typedef struct model_peer {
  torc_topology *topo;
  torc_timers timers;
  torc_rng rng; /* its address names the peer */
  torc_topology_state state;
  bool is_alive, is_leaving, has_left;
  uint8_t version;     /* of the value held; 0: none */
  uint8_t learned_via; /* the bootstrap peer of the last probe */
  _Alignas(16) uint8_t arena[ARENA];
} model_peer;

/* What may happen next. */
typedef struct model_may {
  bool deliver[PEERS][PEERS]; /* the oldest message from one to the other */
  bool act[MODEL_ACTS];       /* the n-th operation that is due */
  bool flush[PEERS];          /* UPDATEs that were gathered for some milliseconds */
  bool tick;                  /* time passes until the next timer */
  bool join[PEERS], die[PEERS], leave[PEERS], write[PEERS];
} model_may;

typedef struct model_state {
  model_may may;
  torc_time now, event_at;
  unsigned num_events, slow, delays, deaths;
  uint8_t issued, answered;
  bool is_full;             /* more was under way than there is room for here */
  bool links[PEERS][PEERS]; /* as the first one sees it */
  size_t num_messages, num_ops;
  model_message messages[MESSAGES_MAX]; /* oldest first */
  model_op ops[OPS_MAX];
  model_copy copies[COPIES_MAX];
  model_write writes[WRITES_MAX];
  model_peer peers[PEERS];
} model_state;

extern model_state model;

/* The first ring: the peers of the bit mask `members`, quiet, with the value in its place. */
void model_start(unsigned members);
/* The steps. */
void model_deliver(unsigned from, unsigned to);
void model_do(unsigned op);
void model_flush(unsigned peer);
void model_tick(void);
void model_join(unsigned peer);
void model_die(unsigned peer, bool loses);
void model_leave(unsigned peer);
void model_write_value(unsigned peer);
/* Ends a step: the name of the state reached, and NULL or what is wrong with it. */
const char *model_step(unsigned long long key[2]);

#endif
