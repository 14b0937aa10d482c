/* The interface between the node and a topology plug-in [ARC-04] [ARC-06] [ARC-07]. A plug-in keeps
 * the routing table, answers where an id belongs, and speaks JOIN, LEAVE and UPDATE; the node owns
 * links, transactions and data. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_OVERLAY_TOPOLOGY_H
#define TORC_OVERLAY_TOPOLOGY_H

#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/timer.h"
#include "torc/types.h"
#include "wire/contents.h"

#define TORC_REPLICAS_MAX 8 /* of one resource, the responsible peer not counted */
#define TORC_FINGERS_MAX 64

typedef struct torc_topology torc_topology;

/* From the overlay configuration. Periods in microseconds. */
typedef struct torc_topology_params {
  unsigned num_replicas; /* copies beside the responsible peer's */
  unsigned num_fingers;
  torc_time update_period;          /* [CHD-39] default 600 s */
  torc_time ping_period;            /* [CHD-44] default 3600 s */
  torc_time deletion_delay;         /* [GAP-119] default 60 s */
  torc_time rejoin_min, rejoin_max; /* [GAP-122] 5 s .. 300 s */
  torc_time retry_unreachable;      /* [GAP-123] 60 s */
} torc_topology_params;

typedef enum torc_topology_state {
  TORC_TOPO_IDLE = 0,
  TORC_TOPO_JOINING = 1,
  TORC_TOPO_JOINED = 2, /* full member, or founder of a ring of one */
  TORC_TOPO_LEAVING = 3,
  TORC_TOPO_LEFT = 4, /* leave() has finished */
  TORC_TOPO_DISCONNECTED =
      5 /* every link of the routing table is gone: the node must bootstrap again [CHD-26] */
} torc_topology_state;

/* What was refused or given up for a limit, a doubt or a failure; every limit of ring.h is counted
 * here. */
typedef struct torc_topology_stats {
  uint64_t updates_in, updates_bad; /* UPDATEs received, of which malformed */
  uint64_t
      ids_ignored; /* listed by UPDATEs beyond the limits per UPDATE and per sender [GAP-117] */
  uint64_t candidates_evicted; /* for want of room */
  uint64_t pings_ignored;      /* suspicion PINGs beyond the limit per UPDATE [CHD-31] */
  uint64_t members_refused;    /* routing table full */
  uint64_t links_ignored;      /* more links than can be told of a LEAVE */
  uint64_t ops_refused;        /* too much asked of the host at once */
  uint64_t joins_ok, joins_busy, joins_refused,
      handoffs_aborted;  /* as admitting peer [GAP-114] [GAP-116] */
  uint64_t joins_failed; /* own attempts */
  uint64_t neighbours_lost, takeovers;
  uint64_t fingers_failed; /* CONNECTs and PINGs for fingers */
  uint64_t transfers_failed;
  uint64_t merges;         /* peers of another ring met [GAP-124] */
  uint64_t owed_dropped;   /* ranges that no longer fitted into the list of owed ones */
  uint64_t copies_refused; /* [GAP-101] */
} torc_topology_stats;

/* What the node does for a plug-in. No call blocks; each `cookie` comes back in the matching
 * on_*_done, exactly once unless the call returned non-zero, never before the call has returned.
 * Callbacks never nest in these calls. */
typedef struct torc_topology_host_ops {
  torc_time (*now)(void *ctx);
  /* Is there an authenticated link to this peer [ARC-14]? */
  bool (*is_linked)(void *ctx, const torc_id *peer);
  /* Up to `max` of the peers that there are such links to; returns how many there are in all. */
  size_t (*links)(void *ctx, torc_id *out, size_t max);
  /* CONNECT to the peer `target`, or to whoever is responsible for `target` if !is_exact. `via`:
   * first route entry of the CONNECT, NULL for ordinary routing, torc_id_wildcard: the bootstrap
   * peer that the last answered ping_bootstrap went through [GAP-124]. A link that exists already
   * succeeds without a message. [CHD-12] [CHD-19] */
  int (*connect)(void *ctx, const torc_id *target, bool is_exact, const torc_id *via,
                 torc_token cookie);
  /* PING routed to `target` (through `via` first, may be NULL); the responder's peer-id comes back
   * [CHD-11] [CHD-43]. */
  int (*ping)(void *ctx, const torc_id *target, const torc_id *via, torc_token cookie);
  /* JOIN, LEAVE or UPDATE over the direct link to `peer`. */
  int (*request)(void *ctx, const torc_id *peer, torc_method method, torc_slice payload,
                 torc_token cookie);
  /* Copies all data in (from, to] to `peer` with direct STOREs and REMOVE replays; from == to: the
   * whole ring. [CHD-15] [CHD-35]. `peer` must be linked. */
  int (*transfer)(void *ctx, const torc_id *peer, const torc_id *from, const torc_id *to,
                  torc_token cookie);
  /* Deletes data in (from, to] [CHD-37]. */
  void (*drop_range)(void *ctx, const torc_id *from, const torc_id *to);
  /* This peer became responsible for (from, to] without a handoff [GAP-95]. has_copies: it held
   * those of the peer before; else what it has there is not to look new by its counter before the
   * other holders have had their say [D-14]. */
  void (*took_over)(void *ctx, const torc_id *from, const torc_id *to, bool has_copies);
  void (*close_link)(void *ctx, const torc_id *peer);
  void (*state_changed)(void *ctx, torc_topology_state state);
  /* Asks the node to PING through a random bootstrap peer with target self+1 [GAP-124]; the answer
   * arrives as on_ping_done with `cookie`. TORC_ERR_NOTFOUND: no bootstrap peer is known. */
  int (*ping_bootstrap)(void *ctx, const torc_id *target, torc_token cookie);
  /* Does the store hold anything? Asked when a join begins: data of an earlier run may be newer
   * than what the ring serves and is then given back to its owners. NULL: assume so. */
  bool (*has_data)(void *ctx);
} torc_topology_host_ops;

typedef struct torc_topology_host {
  const torc_topology_host_ops *ops;
  void *ctx;
  torc_topology_stats *stats; /* what the plug-in counts */
  const torc_mem *mem;
  torc_timers *timers;
  torc_rng *rng;
  const torc_log *log; /* may be NULL */
  torc_id self;
} torc_topology_host;

/* Answer to a JOIN, LEAVE or UPDATE. */
typedef struct torc_topology_reply {
  uint16_t code;
  torc_slice payload; /* borrowed until the call into the plug-in returns to the node and it has
                         copied it */
} torc_topology_reply;

/* For status, `torc ring` and tests. */
typedef struct torc_topology_view {
  torc_topology_state state;
  bool is_responsible;                      /* own range is known */
  torc_id range_from;                       /* own range is (range_from, self] */
  torc_id predecessors[16], successors[16]; /* nearest first; full-mesh: nearest neighbours */
  size_t num_predecessors, num_successors;
  torc_id fingers[TORC_FINGERS_MAX]; /* 0: empty */
  size_t num_fingers;
  size_t num_routing;      /* peers in the routing table */
  size_t num_candidates;   /* heard of, not linked */
  size_t num_unreplicated; /* replicas that do not yet hold the whole own range [CHD-35] */
  size_t num_owed;         /* ranges still to be handed over after a merge */
  bool is_admitting;       /* a JOIN is being served */
  torc_topology_stats stats;
} torc_topology_view;

typedef struct torc_topology_ops {
  const char *family; /* "chord", "full-mesh" */
  /* Reads the family's parameters out of a name, "chord-128-2-8" or "full-mesh" [CHD-01] [D-12],
   * into *params. TORC_ERR_CONFIG: not of this family or unsupported. */
  int (*parse)(const char *name, torc_topology_params *params);
  /* `host` and `params` are borrowed for the plug-in's life. */
  int (*create)(torc_topology **out, const torc_topology_host *host,
                const torc_topology_params *params);
  void (*destroy)(torc_topology *t);

  /* Joins through a linked peer, or founds a ring if `bootstrap` is NULL. Also used to
   * rejoin. */
  int (*start)(torc_topology *t, const torc_id *bootstrap);
  /* Pushes data, sends LEAVE to every linked peer [LEA-01] [CHD-46], then state LEFT; at most 3 s
   * [GAP-118]. */
  void (*leave)(torc_topology *t);

  bool (*is_responsible)(const torc_topology *t, const torc_id *id); /* [CHD-04] [GAP-109] */
  /* Best next hop for `id` among linked routing-table peers [CHD-05] [GAP-110]. false: none. */
  bool (*next_hop)(const torc_topology *t, const torc_id *id, torc_id *out);
  /* Peers that must hold copies of `resource` which this peer is responsible for, a joining peer
   * being handed the resource included [GAP-114]. Only linked peers. */
  size_t (*replicas)(const torc_topology *t, const torc_id *resource,
                     torc_id out[TORC_REPLICAS_MAX]);
  /* Who else has to be asked for what is stored at `resource`, which this peer is responsible for:
   * those that held it before. 0, nearly always: what this peer has is as good as theirs. */
  size_t (*elders)(const torc_topology *t, const torc_id *resource, torc_id out[TORC_REPLICAS_MAX]);
  /* May `sender` (on a direct link) store a copy of `resource` here [CHD-08] [GAP-101]? Ask it for
   * every STORE or REMOVE replay whose last route entry is the own peer-id, also where this peer is
   * responsible: data of a hand-over or merge come that way. Not const: the answer `true` notes
   * that the copy comes. */
  bool (*accepts_copy)(torc_topology *t, const torc_id *sender, const torc_id *resource);
  bool (*is_neighbour)(const torc_topology *t, const torc_id *peer); /* */
  /* Peers whose link must not be closed for idleness [GAP-162]. */
  bool (*wants_link)(const torc_topology *t, const torc_id *peer);
  void (*view)(const torc_topology *t, torc_topology_view *out);

  /* Events. */
  void (*on_link_up)(torc_topology *t, const torc_id *peer);
  void (*on_link_down)(torc_topology *t, const torc_id *peer);
  /* A verified JOIN, LEAVE or UPDATE that came over the direct link of its signer `from` [GAP-54]
   * [GAP-116..118]. */
  void (*on_request)(torc_topology *t, torc_method method, const torc_id *from, torc_slice payload,
                     torc_topology_reply *reply);
  /* rc 0: linked to *peer. */
  void (*on_connect_done)(torc_topology *t, torc_token cookie, int rc, const torc_id *peer);
  void (*on_ping_done)(torc_topology *t, torc_token cookie, int rc, const torc_id *responder);
  /* code 0: no answer (rc says why); else the response code. */
  void (*on_response)(torc_topology *t, torc_token cookie, int rc, uint16_t code,
                      torc_slice payload);
  void (*on_transfer_done)(torc_topology *t, torc_token cookie, int rc);
  /* A copy of a single write was refused or not answered by `peer`: it gets the whole range again,
   * until it holds it [GAP-99] [GAP-101] [CHD-35]. */
  void (*on_copy_failed)(torc_topology *t, const torc_id *peer);
} torc_topology_ops;

extern const torc_topology_ops torc_topology_chord;
extern const torc_topology_ops torc_topology_full_mesh;

/* Finds the plug-in for an algorithm name and fills *params (numbers; periods are set to the
 * defaults). TORC_ERR_CONFIG: unknown name. */
int torc_topology_find(const char *name, const torc_topology_ops **ops,
                       torc_topology_params *params) TORC_MUST_CHECK;
/* What is wrong with a name that torc_topology_find refuses: an English sentence, static. */
const char *torc_topology_explain(const char *name);

#endif
