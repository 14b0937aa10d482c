/* One topology plug-in with a scripted host: what it asks for is recorded and answered by the test.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TEST_TOPOFAKE_H
#define TORC_TEST_TOPOFAKE_H

#include "base/id.h"
#include "overlay/topology/topology.h"
#include "torc_test.h"
#include "wire/pdu.h"

#define TOPOFAKE_CALLS_MAX 1024

typedef enum topofake_kind {
  FAKE_CONNECT = 1,
  FAKE_PING,
  FAKE_REQUEST,
  FAKE_TRANSFER,
  FAKE_DROP,
  FAKE_TOOK_OVER,
  FAKE_CLOSE,
  FAKE_BOOT_PING
} topofake_kind;

typedef struct topofake_call {
  topofake_kind kind;
  torc_id target; /* or the peer */
  bool is_exact, has_via;
  torc_id via;
  torc_method method;
  uint8_t payload[4200];
  size_t len;
  torc_token cookie;
  torc_id from, to;
} topofake_call;

typedef struct topofake {
  torc_topology_host host;
  torc_topology_stats stats;
  const torc_topology_ops *ops;
  torc_topology_params params;
  torc_topology *t;
  torc_timers timers;
  torc_rng rng;
  torc_time now;
  torc_topology_state state;
  torc_id linked[600];
  size_t num_linked;
  topofake_call calls[TOPOFAKE_CALLS_MAX];
  size_t num_calls;
  bool refuse_calls; /* every call fails at once */
  bool has_data, no_bootstrap;
} topofake;

/* An id whose first two bytes are `n`. */
torc_id topofake_id(unsigned n);
/* Creates the plug-in; `self` as for topofake_id. mem NULL: libc. */
void topofake_init(topofake *f, const char *algorithm, unsigned self);
int topofake_create(topofake *f, const char *algorithm, unsigned self, const torc_mem *mem);
void topofake_clear(topofake *f);
/* Lets time pass, firing timers. */
void topofake_run(topofake *f, torc_time duration);
/* Links without and with the event. */
void topofake_link(topofake *f, unsigned peer);
void topofake_link_up(topofake *f, unsigned peer);
void topofake_link_down(topofake *f, unsigned peer);
/* Number of recorded calls of a kind (and method for requests; 0: any). */
size_t topofake_count(const topofake *f, topofake_kind kind, torc_method method);
/* The oldest call of a kind, taken out; fails the test if there is none. method 0: any. */
topofake_call topofake_take(topofake *f, topofake_kind kind, torc_method method);
/* As above, towards `target`; false if there is none. */
bool topofake_find(topofake *f, topofake_kind kind, torc_method method, unsigned target,
                   topofake_call *out);
void topofake_forget(topofake *f); /* drops all recorded calls */
/* Answers. */
void topofake_pong(topofake *f, const topofake_call *c, unsigned responder);
void topofake_connected(topofake *f, const topofake_call *c, unsigned peer); /* links it too */
void topofake_answer(topofake *f, const topofake_call *c, uint16_t code);
/* Every UPDATE that waits is answered 200, every CONNECT to an exact peer succeeds, every transfer
 * too. */
void topofake_please(topofake *f);
/* A JOIN, LEAVE or UPDATE from `from`; returns the code. */
uint16_t topofake_join(topofake *f, unsigned from, unsigned named);
uint16_t topofake_leave(topofake *f, unsigned from, unsigned named);
uint16_t topofake_request(topofake *f, unsigned from, torc_method method, torc_slice payload);
/* chord UPDATE; lists end with 0. */
uint16_t topofake_update(topofake *f, unsigned from, const unsigned *preds, const unsigned *succs);
/* Founds a ring and lets the peers in by their UPDATEs (lists empty). Ends with no recorded calls.
 */
void topofake_ring(topofake *f, const unsigned *peers);
torc_topology_view topofake_view(const topofake *f);
/* Fails the test unless `id` is topofake_id(n). */
#define assert_peer(id_, n_)                           \
  do {                                                 \
    torc_id want_ = topofake_id(n_);                   \
    torc_id got_ = (id_);                              \
    assert_memory_equal(want_.b, got_.b, TORC_ID_LEN); \
  } while (0)

#endif
