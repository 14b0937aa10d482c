/* What the files of the model share. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_MODEL_WORLD_H
#define TORC_MODEL_WORLD_H

#include <stdio.h>

#include "ring_model.h"
#include "wire/pdu.h"

/* How long nothing has to happen from outside until everything must be right. */
#ifndef HORIZON
#define HORIZON 1300
#endif
/* Events from outside come within so many seconds of each other. */
#ifndef WINDOW
#define WINDOW 1
#endif
/* So many seconds after the last of them messages arrive in the order they were sent in. */
#ifndef CALM
#define CALM 30
#endif
/* How often time may pass although something is on its way. */
#ifndef SLOW
#define SLOW 0
#endif
/* How often something else than the oldest may happen; -1: always. */
#ifndef DELAYS
#define DELAYS -1
#endif
#ifndef KEY
#define KEY 2 /* the value's place is just before this peer */
#endif
/* At most so many deaths until the ring is whole again. */
#ifndef DEATHS
#define DEATHS REPLICAS
#endif

extern bool model_is_started; /* the beginning is over */
extern bool model_is_traced;
extern const torc_topology_ops *model_ops;
extern torc_topology_params model_params;

/* One line of a counterexample: seconds since the last event from outside, and what happens. */
#define SAY(...)                                                      \
  do {                                                                \
    if (model_is_traced) {                                            \
      printf("%10.3f  ", (double)(model.now - model.event_at) / 1e6); \
      printf(__VA_ARGS__);                                            \
      printf("\n");                                                   \
    }                                                                 \
  } while (0)

/* ring_world.c */
void model_broken(const char *what); /* the model itself is at fault: ends */
torc_id model_id_of(unsigned i);
torc_id model_key_id(void);
unsigned model_index_of(const torc_id *id); /* NOBODY: no peer's */
unsigned model_number_of(const model_peer *p);
model_message *model_push(unsigned kind, unsigned from, unsigned to);
void model_remove_message(size_t i);
void model_drop_messages(unsigned a, unsigned b); /* NOBODY: from or to everybody */
size_t model_head_of(unsigned from, unsigned to); /* MESSAGES_MAX: none */
model_op *model_push_op(unsigned kind, unsigned peer, torc_token cookie);
void model_remove_op(size_t i);
void model_write_here(unsigned me, unsigned version, bool must_replicate, unsigned answer_to,
                      unsigned slot);
void model_copy_ended(model_copy c, int rc);
void model_retry_copy(unsigned slot);
void model_link_up(unsigned a, unsigned b);
void model_down(unsigned me, unsigned other);
void model_make_peer(unsigned i);

/* ring_route.c */
unsigned model_lowest_joined(unsigned not_me);
bool model_op_is_due(const model_op *op);
void model_do_op(size_t i);
void model_start_through(unsigned me, unsigned bootstrap);

/* ring_model.c */
bool model_is_member(unsigned peer);
bool model_is_calm(void);

/* ring_check.c: NULL, or what is wrong. */
const char *model_check_ring(void);
const char *model_check_value(void);
const char *model_check_always(void);

/* ring_name.c */
void model_name_state(unsigned long long key[2]);

#endif
