/* What the parts of torc_peer share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_IO_PEER_IMPL_H
#define TORC_IO_PEER_IMPL_H

#include <uv.h>

#include "base/map.h"
#include "bootstrap/peer_cache.h"
#include "io/multicast.h"
#include "io/net.h"
#include "io/overlay_xml.h"
#include "io/peer_config.h"
#include "io/pool.h"
#include "torc/peer.h"

#define TORC_PEER_PATH_MAX 4096
#define TORC_PEER_EVENTS_MAX                                           \
  4096 /* waiting for the application; beyond it the oldest is dropped \
        */
#define TORC_PEER_EVENT_BYTES (64u << 20) /* bytes of them, likewise */
#define TORC_PEER_OPENS_MAX 64            /* dials whose outcome the peer cache wants to know */
#define TORC_PEER_JOBS_PAUSE 512          /* jobs under way above which no link is read */
#define TORC_PEER_JOBS_RESUME 256
#define TORC_PEER_WALL_PERIOD TORC_SEC(60)
#define TORC_PEER_CACHE_DEBOUNCE TORC_SEC(1)
#define TORC_PEER_STORE_DEFAULT (1ull << 30) /* max_stored_bytes 0 */

#define TORC_PEER_STATS(X) \
  X(events_dropped)        \
  X(node_failures) X(cache_saved) X(cache_failures) X(renewals) X(renewal_failures)
typedef struct torc_peer_stats {
#define X(name) uint64_t name;
  TORC_PEER_STATS(X)
#undef X
} torc_peer_stats;

typedef struct torc_event_box { /* one event and everything it points to, one allocation */
  torc_list all;
  size_t bytes;
  torc_event event;
  torc_value *values;
  size_t num_values;
} torc_event_box;

typedef struct torc_peer_open {
  torc_token token;
  torc_endpoint at;
} torc_peer_open;

#define TORC_PEER_OFFERS_MAX 32 /* beyond it they go out with what is there */
typedef struct torc_peer_offer {
  torc_token token;
  uint16_t application;
} torc_peer_offer;

struct torc_peer {
  uv_loop_t loop;
  uv_timer_t deadline; /* the node's */
  uv_timer_t limit;    /* of torc_peer_run */
  uv_timer_t wall;
  uv_timer_t cache_timer;
  uv_async_t wake;
  uv_prepare_t prepare;
  bool has_loop, has_handles;
  torc_time deadline_at; /* what `deadline` is set to */
  bool is_limit_over, is_woken, is_pumping, is_closing, is_left;
  torc_peer_offer offers[TORC_PEER_OFFERS_MAX]; /* wait until the first gathering is over */
  size_t num_offers;

  torc_overlay overlay;   /* what it runs with */
  torc_overlay *document; /* a newer one, of which something waits for a restart; NULL: none */
  torc_config_status config;
  bool is_moved;        /* and the new ring's groups are in use */
  torc_peer_config cfg; /* numbers only: no pointer of it is used after the creation */
  torc_pki *pki;
  torc_lmdb *lmdb;
  torc_memory_backend *memory;
  torc_backend backend;
  torc_lmdb *second_lmdb; /* of the ring it moves to [D-19], */
  char second_name[256];  /* whose name this is */
  torc_memory_backend *second_memory;
  torc_backend second_backend;
  torc_pool *pool;
  bool is_signing_pooled, is_disk_synced;
  torc_net *net;
  torc_multicast *multicast;
  torc_node *node;
  uint8_t shown[TORC_DIGEST_LEN]; /* of the certificate the node goes by */
  const torc_log *log;
  /* Without this peer itself; the multicast groups come last. */
  torc_endpoint bootstrap[TORC_OVERLAY_BOOTSTRAP_MAX + TORC_OVERLAY_MULTICAST_MAX];
  size_t num_bootstrap;

  char *state_dir; /* NULL: none */
  int lock_fd;     /* -1: none */
  torc_peer_cache cache;
  torc_time cache_ask_at, cache_ask_wait; /* when neighbours may be asked for addresses again */
  torc_time cache_looked;                 /* last time */
  torc_peer_open opens[TORC_PEER_OPENS_MAX];
  size_t next_open;

  torc_list paths; /* path.c */
  size_t num_paths, num_path_listens;
  uint16_t path_listens[16];
  torc_token last_path_token;
  char path_buf[16384];

  torc_list events;
  torc_event_box *current; /* given out by torc_peer_next_event or _wait */
  size_t num_events, event_bytes;
  torc_peer_stats stats;
};

/* As torc_peer_new, with other limits of the links; NULL: the defaults. For tests. */
int torc_peer_new_with(torc_peer **out, const torc_peer_config *cfg, const torc_net_limits *limits,
                       char *err, size_t err_cap) TORC_MUST_CHECK;

/* peer.c: what document and configuration say together. *out borrows from both and from `p`. */
void torc_peer_node_config(torc_peer *p, const torc_overlay *o, torc_node_config *out);
/* Answers for overlay `o` at the groups that `listed` names, or says why it does not [ENR-24]. */
void torc_peer_use_groups(torc_peer *p, const torc_overlay *o, const torc_overlay *listed);

/* peer_migrate.c: the stage of a move to another ring that document `o` tells of [D-19]. */
int torc_peer_migrate(torc_peer *p, const torc_overlay *o, char *err,
                      size_t err_cap) TORC_MUST_CHECK;
bool torc_peer_has_moved(const torc_peer *p);           /* the ring it was started in is left */
const torc_overlay *torc_peer_ring(const torc_peer *p); /* the document of the ring it is in */
/* Takes the new ring's groups once it has moved [D-19] [ENR-24]. */
void torc_peer_follow_move(torc_peer *p);
/* Makes a document whose old ring is given up one of the new ring. */
void torc_peer_skip_old_ring(torc_overlay *o);
int torc_peer_open_lmdb(torc_peer *p, const torc_overlay *o, torc_lmdb **db, torc_backend *backend,
                        char *err, size_t err_cap) TORC_MUST_CHECK;

/* peer_run.c */
extern const torc_net_events torc_peer_net_events; /* with ctx to be set */
bool torc_peer_may_answer(void *ctx);              /* these three: of torc_multicast_config */
void torc_peer_heard(void *ctx, const torc_endpoint *at);
void torc_peer_ask_over(void *ctx, torc_token token);
int torc_peer_timers_init(torc_peer *p) TORC_MUST_CHECK;
void torc_peer_timers_close(torc_peer *p);
void torc_peer_job_done(void *ctx, torc_token id, const torc_job_result *result);
void torc_peer_pump(void *ctx);
/* Runs the loop until it has done something, or the limit set by torc_peer_limit is over. */
void torc_peer_step(torc_peer *p);
void torc_peer_limit(torc_peer *p, int timeout_ms);
torc_wall torc_peer_wall(void);

/* path.c. True: the event was a path's, the application does not see it. */
bool torc_paths_event(torc_peer *p, const torc_event *e);
void torc_paths_clear(torc_peer *p);

/* peer_event.c */
void torc_peer_push(torc_peer *p, const torc_event *e);
torc_event_box *torc_peer_pull(torc_peer *p, torc_event_kind kind,
                               torc_token token);       /* NULL: none there */
void torc_peer_give(torc_peer *p, torc_event_box *box); /* becomes p->current */
void torc_peer_events_clear(torc_peer *p);

/* peer_state.c */
int torc_peer_state_open(torc_peer *p, const char *dir, char *err, size_t err_cap) TORC_MUST_CHECK;
void torc_peer_state_close(torc_peer *p);
/* Looks at the links and writes the file. may_ask: neighbours may be asked where they can be
 * dialled. */
void torc_peer_cache_note(torc_peer *p, bool may_ask);
void torc_peer_cache_open_failed(torc_peer *p, torc_token token);
void torc_peer_cache_opening(torc_peer *p, torc_token token, const torc_endpoint *at);

/* peer_servers.c: STUN and TURN servers of the configuration. */
int torc_peer_use_servers(torc_net *net, const torc_peer_config *cfg, char *err,
                          size_t err_cap) TORC_MUST_CHECK;

#endif
