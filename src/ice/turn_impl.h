/* What the files of the TURN client share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_TURN_IMPL_H
#define TORC_ICE_TURN_IMPL_H

#include "base/cursor.h"
#include "base/map.h"
#include "base/timer.h"
#include "ice/stun_tx.h"
#include "ice/turn_client.h"

/* A request with the longest user name, realm, nonce and list of algorithms and the most peers. */
#define TURN_ROOM 3072u
#define TURN_PEERS 16u              /* in one CreatePermission */
#define TURN_EARLY TORC_SEC(60)     /* renewed so long before the end: a transaction fits in */
#define TURN_NEAR TORC_SEC(30)      /* renewals so near are one request */
#define TURN_REFUSED TORC_SEC(10)   /* not asked again for so long */
#define TURN_EVICTABLE TORC_SEC(30) /* a permission unused so long makes room for another */
#define TURN_BIND_ANSWER 2048u      /* bytes before a data connection is the peer's */
#define TURN_HOST_KEY 17u           /* family, address */
#define TURN_PEER_KEY 19u           /* family, address, port */

/* Requests under way: of the allocation, of its path, some for permissions, some for channels. */
enum { JOB_MAIN = 0, JOB_PATH = 1, JOB_PERMIT = 2, JOB_BIND = 5, NUM_JOBS = 7 };

typedef enum turn_job_kind {
  JOB_IDLE = 0,
  JOB_ALLOCATE,
  JOB_REFRESH,
  JOB_RELEASE,
  JOB_CLEAR, /* releases an allocation of before */
  JOB_KEEPALIVE,
  JOB_PERMISSION,
  JOB_CHANNEL
} turn_job_kind;

typedef struct turn_job {
  torc_turn *turn;
  turn_job_kind kind;
  torc_stun_tx tx;
  uint16_t items[TURN_PEERS]; /* of perms, or one of channels */
  uint16_t num_items;
  uint8_t room[TURN_ROOM];
} turn_job;

typedef enum turn_told { TOLD, TELL_GRANTED, TELL_REFUSED } turn_told;

/* What permissions and channels have in common. */
typedef struct turn_grant {
  bool is_taken;
  bool is_wanted, is_asked; /* to be asked for; being asked for */
  turn_told told;
  int rc; /* of the last request */
  uint16_t code;
  torc_time until;         /* it lives so long; 0: it never did */
  torc_time refused_until; /* 0: it is not */
  torc_time used_at;
  torc_timer timer;
  torc_turn *turn;
} turn_grant;

typedef struct turn_perm {
  uint8_t key[TURN_HOST_KEY];
  bool is_alone; /* asked for by itself: one of several was refused */
  turn_grant g;
} turn_perm;

typedef struct turn_channel {
  uint8_t key[TURN_PEER_KEY];
  torc_time free_at; /* the number may be another peer's from then on */
  turn_grant g;
} turn_channel;

typedef enum turn_conn_state { CONN_ASKING, CONN_OPENING, CONN_BINDING, CONN_OVER } turn_conn_state;

typedef struct turn_conn {
  torc_turn *turn;
  torc_turn_conn id;
  turn_conn_state state;
  torc_addr peer;
  bool is_incoming;
  uint32_t number; /* CONNECTION-ID */
  bool tells_open, tells_up, tells_down;
  int rc;
  uint16_t code;
  torc_timer timer;
  torc_stun_tx tx;
  uint8_t room[TURN_ROOM];
  uint8_t in[TURN_BIND_ANSWER];
  size_t in_len;
} turn_conn;

typedef enum turn_state {
  TURN_NEW,
  TURN_ALLOCATING,
  TURN_UP,
  TURN_CLOSING,
  TURN_MOVED,
  TURN_OVER
} turn_state;

typedef struct turn_stats {
#define X(name) uint64_t name;
  TORC_TURN_COUNTERS(X)
#undef X
} turn_stats;

struct torc_turn {
  const torc_mem *mem;
  const torc_stun_crypto *crypto;
  const torc_log *log;
  torc_turn_config cfg; /* its slices point into what follows */
  uint8_t user[TORC_STUN_USERNAME_MAX], password[TORC_TURN_PASSWORD_MAX];
  torc_stun_login login;
  bool has_login;

  turn_state state;
  bool has_cleared;       /* 437 was answered by giving back what was there */
  bool is_ending;         /* torc_turn_close came while the allocation was being made */
  bool fails_behind;      /* CLOSING ends in FAILED, not in CLOSED */
  bool forbids_fragments; /* DONT-FRAGMENT is understood by the server */
  torc_time now;
  torc_addr server, visited[TORC_TURN_MOVES_MAX + 1];
  uint32_t num_visited;
  torc_stun_rto rto;
  torc_timers timers;
  torc_timer refresh, keepalive;
  torc_time expires_at;
  turn_job jobs[NUM_JOBS];

  torc_addr relayed[2], mapped;
  torc_time lifetime;
  uint16_t missing_code;
  bool tells_allocated, tells_moved, tells_closed, tells_failed;
  int fail_rc;
  uint16_t fail_code;
  torc_turn_advice advice;
  uint8_t text[TORC_STUN_TEXT_MAX]; /* reason, or the domain of MOVED */
  size_t text_len;

  turn_perm *perms;
  turn_channel *channels;
  torc_map perm_map, channel_map;
  size_t wanted_perms, wanted_channels, untold_perms, untold_channels;

  turn_conn **conns;
  torc_turn_conn next_conn;

  torc_slice in; /* what of an input is not looked at yet */
  torc_buf part; /* the beginning of a frame */
  bool part_is_done;
  torc_turn_output got; /* DATA or UNREACHABLE to be polled; kind 0: none */
  uint8_t *out;
  size_t out_len, out_cap;
  uint8_t txid[TORC_STUN_TXID_LEN]; /* of the next indication, counted up */

  turn_stats stats;
};

/* turn_client.c */
void torc_turn_advance(torc_turn *t, torc_time now);
/* Starts a request on `job`; the attributes are `put`'s. */
int torc_turn_job_start(turn_job *job, turn_job_kind kind, uint16_t method,
                        void (*put)(void *ctx, torc_stun_wr *w));
torc_stun_request torc_turn_request(torc_turn *t, uint16_t method, uint64_t socket,
                                    void (*put)(void *ctx, torc_stun_wr *w), void *ctx);
void torc_turn_fail(torc_turn *t, int rc, uint16_t code, torc_slice reason);
bool torc_turn_has_family(const torc_turn *t, const torc_addr *a);
/* 437 to any request: there is no allocation. True: it was that, and the client has failed. */
bool torc_turn_is_gone(torc_turn *t, const torc_stun_result *r);

/* turn_peers.c */
int torc_turn_peers_init(torc_turn *t, uint64_t seed);
void torc_turn_peers_clear(torc_turn *t); /* frees */
void torc_turn_peers_stop(torc_turn *t);  /* nothing is renewed or told any more */
void torc_turn_peers_schedule(torc_turn *t);
void torc_turn_peers_done(turn_job *job, const torc_stun_result *r);
bool torc_turn_peers_poll(torc_turn *t, torc_turn_output *out);
bool torc_turn_may_send_to_us(torc_turn *t, const torc_addr *peer);
/* Whose a channel number is; false: nobody's. */
bool torc_turn_channel_peer(torc_turn *t, uint16_t number, torc_addr *peer);

/* turn_tcp.c */
void torc_turn_conns_stop(torc_turn *t); /* frees all */
void torc_turn_conns_attempt(torc_turn *t, const torc_stun_msg *m);
/* An answer on the connection of the allocation. */
bool torc_turn_conns_input(torc_turn *t, const torc_stun_msg *m);
void torc_turn_conns_tick(torc_turn *t);
bool torc_turn_conns_poll(torc_turn *t, torc_turn_output *out);
torc_time torc_turn_conns_deadline(const torc_turn *t);

#endif
