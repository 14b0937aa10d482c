/* What the files of the gatherer share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_GATHER_IMPL_H
#define TORC_ICE_GATHER_IMPL_H

#include "base/timer.h"
#include "ice/gather.h"
#include "ice/stun_tx.h"

#define HOST_MAX 255u
#define ASK_ROOM 64u /* a Binding request with FINGERPRINT: 28 */
/* Requests at 0, 0.5 and 1.5 s, given up at 2 s. */
enum { ASK_RC = 3, ASK_RM = 1, ASK_PATIENCE = 2 };

/* A socket that asks a STUN server, again and again. */
typedef struct gather_ask {
  bool is_taken, is_kept, is_running;
  torc_ice_socket socket;
  torc_stun_server_id server;
  torc_addr remote, base;
  torc_addr mapped; /* family 0: none */
  uint32_t num_failures, round;
  torc_time next_at;
  torc_stun_tx tx;
  uint8_t room[ASK_ROOM];
} gather_ask;

typedef enum gather_turn_state {
  RELAY_OFF,     /* not before its configuration changes */
  RELAY_WAITING, /* until retry_at */
  RELAY_OPENING, /* a stream */
  RELAY_ASKING,
  RELAY_UP,
  RELAY_LEAVING /* the server is told; then the place is free */
} gather_turn_state;

typedef struct gather_relay {
  torc_token id; /* 0: free */
  gather_turn_state state;
  torc_gather_turn cfg; /* its slices point into what follows */
  uint8_t user[TORC_STUN_USERNAME_MAX], password[TORC_TURN_PASSWORD_MAX];
  uint8_t name[HOST_MAX];
  torc_turn *turn;
  torc_ice_socket via; /* UDP: the socket that carries it */
  torc_addr via_addr;  /* its address */
  torc_token stream;   /* TCP, TLS; 0: none */
  bool tells_open;
  torc_token closes;      /* a stream to be closed; 0: none */
  torc_ice_socket relay;  /* the allocation; 0: none */
  torc_ice_socket lost;   /* one that is to be told of; 0: none */
  torc_addr remote;       /* where the stream goes */
  uint8_t host[HOST_MAX]; /* whose certificate it has: `name`, or ALTERNATE-DOMAIN */
  size_t host_len;
  torc_addr relayed[2], mapped;
  torc_time retry_at, wait, up_at;
} gather_relay;

typedef struct gather_stats {
#define X(name) uint64_t name;
  TORC_GATHER_COUNTERS(X)
#undef X
} gather_stats;

enum {
#define X(name) TURN_COUNTER_##name,
  TORC_TURN_COUNTERS(X)
#undef X
      NUM_TURN_COUNTERS
};

struct torc_gather {
  const torc_mem *mem;
  const torc_stun_crypto *crypto;
  const torc_log *log;
  torc_time now;
  torc_gather_socket sockets[TORC_GATHER_SOCKETS_MAX];
  size_t num_sockets;
  torc_stun_servers servers;
  uint64_t synced; /* the version of servers that asks are of */
  gather_ask asks[TORC_GATHER_ASKED_MAX];
  torc_time pace_at; /* no request before */
  gather_relay relays[TORC_GATHER_TURNS_MAX];
  torc_token next_token;
  torc_ice_socket next_relay;
  torc_ice_local locals[TORC_ICE_LOCAL_MAX];
  size_t num_locals;
  uint32_t round;
  torc_time round_ends_at;
  bool is_settled, is_dirty, tells_changed, is_closing;
  gather_stats stats;
  uint64_t past[NUM_TURN_COUNTERS]; /* of the allocations that are no more */
};

/* There is more to be waited for: TORC_GATHER_TIME at most, from now. */
void torc_gather_unsettle(torc_gather *g);
const torc_gather_socket *torc_gather_udp_socket(const torc_gather *g, uint8_t family);

/* gather_relay.c */
void torc_gather_relays_free(torc_gather *g);
void torc_gather_relays_tick(torc_gather *g);
torc_time torc_gather_relays_deadline(const torc_gather *g);
bool torc_gather_relays_poll(torc_gather *g, torc_gather_output *out);
bool torc_gather_relays_pending(const torc_gather *g); /* one has not answered in this round */
void torc_gather_relays_renew(torc_gather *g);
void torc_gather_relays_lost_socket(torc_gather *g, torc_ice_socket id);
/* Adds the counters of `t`, which may be NULL, to `sums`. */
void torc_gather_add_up(const torc_turn *t, uint64_t sums[NUM_TURN_COUNTERS]);
/* The allocation that a datagram is for; NULL: none. */
gather_relay *torc_gather_relay_from(torc_gather *g, torc_ice_socket socket, const torc_addr *from);
int torc_gather_relay_input(torc_gather *g, gather_relay *r, const torc_addr *from,
                            torc_slice bytes);

#endif
