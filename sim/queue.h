/* What is to come. Messages lie in a ring of buckets, one for each window; what is farther off, in
 * a heap; when each node wants to be woken, in a heap that knows every node's place in it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_QUEUE_H
#define TORC_SIM_QUEUE_H

#include "torc/types.h"

typedef enum sim_kind {
  SIM_WAKE,    /* something of the node may be due; sorts before all else */
  SIM_MESSAGE, /* bytes on a link */
  SIM_SYN,     /* a link is asked for: slot and gen of the asking end, len its node's life */
  SIM_ACCEPT,  /* it stands: slot and gen of the asking end, aux and len of the other */
  SIM_REFUSE,  /* it does not: aux 1: it would lead to the node itself */
  SIM_UP,      /* the asking end stands too */
  SIM_DOWN,    /* the other end is gone */
  SIM_RESET,   /* slot and gen of an end at `src` that is not known there */
  SIM_SWEEP,   /* links asked or waited for too long end */
  SIM_CALL,    /* hooks.call(arg); len: life of the node */
  SIM_JOB,     /* a job is done: `bytes`; len: life of the node */
  SIM_FLOOD    /* a hostile node asks */
} sim_kind;

typedef struct sim_event {
  torc_time at;
  uint32_t dst, src;
  uint32_t seq; /* src's own; (at, dst, src, seq) is unique */
  uint8_t kind;
  bool is_owned; /* `bytes` is freed with it: of the C library */
  uint16_t slot, gen, aux;
  uint32_t len;
  union {
    uint8_t *bytes;
    uint64_t arg;
  } u;
} sim_event;

/* ---- buckets ---- */

typedef struct sim_chunk sim_chunk;

typedef struct sim_bucket {
  sim_event *v;
  uint32_t len, cap, most; /* most: entries since it was reset */
  sim_chunk *chunks;       /* the bytes of its messages, the newest chunk first */
} sim_bucket;

/* From one worker to another: written by the first, read by the second in a later window. */
typedef struct sim_lane {
  sim_bucket *ring;
  sim_event *far; /* beyond the ring, until the receiver fetches them */
  uint32_t num_far, cap_far;
} sim_lane;

/* Bytes held by buckets. */
typedef struct sim_chunks {
  sim_chunk *free;
  uint32_t num_free, num_used;
  uint64_t bytes;
} sim_chunks;

int sim_bucket_push(sim_bucket *b, const sim_event *e) TORC_MUST_CHECK;
/* Room for a message's bytes as long as the bucket is not reset; NULL: no memory. */
uint8_t *sim_bucket_bytes(sim_bucket *b, sim_chunks *pool, size_t len);
void sim_bucket_reset(sim_bucket *b, sim_chunks *pool);
void sim_bucket_clear(sim_bucket *b, sim_chunks *pool);
void sim_chunks_clear(sim_chunks *pool);

/* ---- heap of events, the first one first ---- */

typedef struct sim_heap {
  sim_event *v;
  uint32_t len, cap;
} sim_heap;

bool sim_event_before(const sim_event *a, const sim_event *b); /* at, dst, src, seq */
int sim_heap_push(sim_heap *h, const sim_event *e) TORC_MUST_CHECK;
sim_event sim_heap_pop(sim_heap *h);
void sim_heap_clear(sim_heap *h);

/* ---- wake-ups ---- */

#define SIM_WAKE_NONE UINT32_MAX

typedef struct sim_wake_entry {
  torc_time at;
  uint32_t node;
} sim_wake_entry;

typedef struct sim_wakes {
  sim_wake_entry *v;
  uint32_t len, cap;
  void *ctx;
  void (*moved)(void *ctx, uint32_t node, uint32_t place); /* SIM_WAKE_NONE: taken out */
} sim_wakes;

int sim_wakes_add(sim_wakes *w, uint32_t node, torc_time at) TORC_MUST_CHECK;
void sim_wakes_set(sim_wakes *w, uint32_t place, torc_time at);
void sim_wakes_remove(sim_wakes *w, uint32_t place);
void sim_wakes_clear(sim_wakes *w);

/* ---- order ---- */

typedef struct sim_key {
  uint64_t first, second; /* dst, at; src, seq */
  const sim_event *e;
} sim_key;

/* By node, then in the order in which the node gets them. `spare` has room for `num`. */
void sim_keys_sort(sim_key *keys, sim_key *spare, size_t num);

#endif
