/* The ring engine shared by the Chord and the full-mesh plug-in: table of linked members,
 * candidates, own range, join with hand-over, replication, merging, leaving. What differs between
 * the two is torc_ring_policy. Internal to this directory. docs/chord.md tells the story.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_OVERLAY_RING_H
#define TORC_OVERLAY_RING_H

#include "overlay/topology/topology.h"
#include "wire/pdu.h"

/* Limits that a peer can reach; each has a counter in torc_topology_stats. */
#define TORC_RING_MEMBERS_MAX 256u    /* linked peers in the routing table */
#define TORC_RING_LINKS_MAX 512u      /* linked peers told of a LEAVE [LEA-01] */
#define TORC_RING_CANDIDATES_MAX 256u /* peers heard of and not yet linked [GAP-117] */
#define TORC_RING_OPS_MAX 512u        /* operations under way at the host */
#define TORC_RING_OWED_MAX 8u         /* ranges still to be handed over after a merge */
#define TORC_RING_FORMER_MAX 16u      /* ranges remembered for GAP-101's 60 s */
#define TORC_RING_HEARD_MAX 260u /* ids taken out of one UPDATE: of a full mesh, and some more */
#define TORC_RING_PINGS_PER_UPDATE 4u /* suspicion PINGs that one UPDATE can cause [CHD-31] */
#define TORC_MESH_PEERS_MAX 256u      /* peers of a full-mesh overlay */
#define TORC_RING_NEIGHBOURS_MIN 3u   /* [CHD-02] [CHD-22] */

/* Times. Both ends of a wanted link: the lower id dials at once, the other after YIELD. A second
 * link within GLARE of the first may be glare, later it is a restart. RETRY: a peer that answered
 * 404 or 503, or a CONNECT gone astray. PENDING: how long a candidate may stand in for a lost
 * predecessor. SUSPECT_PAUSE: between two suspicion PINGs to one peer. GRACE: GAP-101's 60 s.
 * MERGE_QUIET: after the last merged copy, what came is replicated. SYNC_RETRY: after a failed
 * transfer, doubling. */
#define TORC_RING_YIELD TORC_MS(100)
#define TORC_RING_GLARE TORC_SEC(2)
#define TORC_RING_RETRY TORC_SEC(1)
#define TORC_RING_PENDING TORC_SEC(5)
#define TORC_RING_SUSPECT_PAUSE TORC_SEC(5)
#define TORC_RING_GRACE TORC_SEC(60)
/* Longer than a silent death goes unnoticed: a PING after 32 s, 8 s for its answer [GAP-77]. */
#define TORC_RING_LATELY TORC_SEC(120)
/* Deaths this near to each other may have taken all holders of a range but the strays. */
#define TORC_RING_BESIDE TORC_SEC(60)
/* Who has been a neighbour for so long has made its copies. */
#define TORC_RING_COPIED TORC_SEC(10)
#define TORC_RING_MERGE_QUIET TORC_SEC(1)
#define TORC_RING_SYNC_RETRY_MIN TORC_MS(200)
#define TORC_RING_SYNC_RETRY_MAX TORC_SEC(30)

/* Joining. WAIT: for the further successors once the first is linked. STEP: a PING, CONNECT or
 * JOIN, the node's own time-out included. IDLE: admitted, and neither a copy nor the UPDATE comes.
 * BUSY: pauses while the admitting peer serves another, 50..100 ms growing to 200..400 ms. AGAIN:
 * after any other failure, doubling. TRIES: failures before the node is asked for another bootstrap
 * peer. */
#define TORC_RING_JOIN_WAIT TORC_MS(500)
#define TORC_RING_JOIN_STEP TORC_SEC(40)
#define TORC_RING_JOIN_IDLE TORC_SEC(30)
#define TORC_RING_BUSY_MIN TORC_MS(50)
#define TORC_RING_BUSY_MAX TORC_MS(200)
#define TORC_RING_AGAIN_MIN TORC_MS(200)
#define TORC_RING_AGAIN_MAX TORC_SEC(5)
#define TORC_RING_JOIN_TRIES 6u
#define TORC_RING_HANDOFF_MAX TORC_SEC(300) /* the admitting peer's side as a whole */

#define TORC_RING_LEAVE_MAX TORC_SEC(3)    /* [GAP-118] */
#define TORC_RING_FOUNDER_MAX TORC_SEC(10) /* */
/* The neighbours' first UPDATEs answer most fingers of a small ring. */
#define TORC_RING_FINGER_DELAY TORC_MS(100)
#define TORC_RING_FINGERS_AT_ONCE 2u

/* A linked peer known to be in the ring. The table is sorted clockwise from this peer, so
 * successors are its front and predecessors its back [CHD-02]. */
typedef struct torc_ring_member {
  torc_id id;
  torc_id first_pred; /* what its last UPDATE said; zero: none heard */
  torc_time since;    /* when it became a member */
  torc_time heard;    /* last UPDATE from it; 0: never */
  torc_time window;   /* since when it may hand over merged data; 0: not [GAP-124] */
  bool is_behind;     /* its id is the smaller one: it comes after all whose id is larger */
  bool is_update_due, is_update_out;
  bool is_restored; /* was given back what this peer holds of its range, once after the join */
} torc_ring_member;

/* What slows the talk with a member down. There is one only as long as it says something: without
 * one nothing is to be waited for and the tokens are all there. */
typedef struct torc_ring_pace {
  torc_id id;
  torc_time retry_at;  /* next UPDATE not before */
  torc_time suspected; /* last suspicion PING; 0: none */
  torc_time told_at;   /* last UPDATE sent because it did not list this peer; 0: none */
  torc_time tokens_at; /* when `tokens` was last refilled */
  unsigned tokens;     /* candidates it can still make this peer try */
} torc_ring_pace;

typedef enum torc_ring_cand_state {
  TORC_CAND_IDLE = 0,
  TORC_CAND_CONNECTING = 1,
  TORC_CAND_CONFIRMING = 2, /* linked; the first UPDATE is under way */
  TORC_CAND_UNREACHABLE = 3 /* [GAP-123] */
} torc_ring_cand_state;

/* A peer that was heard of and may become a neighbour [GAP-117]. */
typedef struct torc_ring_cand {
  torc_id id;
  torc_id reporters[2]; /* members whose last UPDATE lists it; zero: none */
  torc_time since;      /* last heard of */
  torc_time tried_at;   /* first CONNECT; 0: never */
  torc_time retry_at;   /* no CONNECT before this */
  torc_ring_cand_state state;
  unsigned fails;  /* CONNECTs in a row */
  unsigned serial; /* of the CONNECT under way */
  torc_id via;     /* through whom it goes */
  bool was_member; /* a lost neighbour: it is re-established whoever reports it [CHD-41] */
} torc_ring_cand;

typedef enum torc_ring_op_kind {
  TORC_OP_JOIN_PING = 1,
  TORC_OP_JOIN_CONNECT,
  TORC_OP_JOIN,
  TORC_OP_UPDATE,
  TORC_OP_CONFIRM,
  TORC_OP_CAND_CONNECT,
  TORC_OP_SUSPECT_PING,
  TORC_OP_HANDOFF_TRANSFER,
  TORC_OP_HANDOFF_UPDATE,
  TORC_OP_HANDOFF_NOTICE,
  TORC_OP_SYNC_TRANSFER,
  TORC_OP_OWED_CONNECT,
  TORC_OP_OWED_TRANSFER,
  TORC_OP_RESTORE_TRANSFER, /* its result does not matter */
  TORC_OP_FINGER_CONNECT,
  TORC_OP_FINGER_PING,
  TORC_OP_FINGER_REPLACE,
  TORC_OP_BOOT_PING,
  TORC_OP_BOOT_CONNECT,
  TORC_OP_GAP_PING,
  TORC_OP_GAP_CONNECT,
  TORC_OP_GAP_JOIN,
  TORC_OP_LEAVE
} torc_ring_op_kind;

/* Something asked of the host whose answer is awaited. */
typedef struct torc_ring_op {
  torc_token cookie;
  torc_ring_op_kind kind;
  unsigned arg; /* attempt, finger or serial number */
  torc_id peer; /* whom it was sent to or is about */
  torc_id from; /* transfers: start of the range; `peer` is not its end */
  torc_id to;
} torc_ring_op;

typedef enum torc_ring_join_stage {
  TORC_JOIN_NONE = 0,
  TORC_JOIN_FIND = 1,     /* PINGs and CONNECTs to successors under way [CHD-11] [CHD-12] */
  TORC_JOIN_SENT = 2,     /* JOIN is not yet answered [CHD-14] */
  TORC_JOIN_ADMITTED = 3, /* data come in; the UPDATE ends it [CHD-15] [CHD-16] */
  TORC_JOIN_BACKOFF = 4
} torc_ring_join_stage;

typedef struct torc_ring_join {
  torc_ring_join_stage stage;
  torc_id bootstrap, ap;
  torc_id *found; /* successors, nearest first; room for TORC_CHORD_LIST_MAX during a join */
  size_t num_found;
  unsigned attempt; /* tells answers of an earlier attempt apart */
  unsigned pending; /* CONNECTs under way */
  unsigned num_busy, num_failed;
  bool is_chain_done; /* no further successor is looked for */
  bool has_data;      /* the store was not empty when the join began */
  torc_time deadline;
} torc_ring_join;

typedef enum torc_ring_handoff_stage {
  TORC_HANDOFF_NONE = 0,
  TORC_HANDOFF_TRANSFER = 1,
  TORC_HANDOFF_UPDATE = 2
} torc_ring_handoff_stage;

/* The admitting peer's side of a JOIN; one at a time [GAP-114]. */
typedef struct torc_ring_handoff {
  torc_ring_handoff_stage stage;
  torc_id jp;
  torc_id from; /* (from, jp] is being handed over */
  unsigned serial;
  torc_time deadline;
} torc_ring_handoff;

/* A peer that must hold copies of the own range [CHD-35]. */
typedef struct torc_ring_replica {
  torc_id id;
  bool is_synced; /* holds (synced_from, self] */
  torc_id synced_from;
  bool is_running;
  unsigned serial; /* of the running transfer */
  unsigned fails;
  torc_time retry_at;
} torc_ring_replica;

typedef struct torc_ring_range {
  torc_id from, to; /* (from, to] */
} torc_ring_range;

typedef struct torc_ring_former {
  torc_id sender;
  torc_id lower; /* it was responsible for (lower, sender] */
  torc_time until;
} torc_ring_former;

typedef enum torc_ring_finger_state {
  TORC_FINGER_NEEDED = 0,
  TORC_FINGER_RUNNING = 1,
  TORC_FINGER_SET = 2 /* an id, or zero where this peer itself is responsible [GAP-111] */
} torc_ring_finger_state;

typedef struct torc_ring_finger {
  union {
    torc_id id;         /* SET */
    torc_time retry_at; /* NEEDED */
  };
  uint8_t state; /* torc_ring_finger_state */
} torc_ring_finger;

/* What is due at a time; all of them share one timer. */
typedef enum torc_ring_alarm {
  TORC_ALARM_WORK = 0,    /* whatever is due next */
  TORC_ALARM_GATHER,      /* sends UPDATEs that are due */
  TORC_ALARM_PERIODIC,    /* [CHD-38] */
  TORC_ALARM_FINGER_PING, /* [CHD-43] */
  TORC_ALARM_BOOT,        /* [GAP-122] [GAP-124] */
  TORC_ALARM_DROP,        /* [CHD-37] */
  TORC_ALARM_STEP,        /* deadlines of join, hand-over, leave */
  TORC_ALARMS
} torc_ring_alarm;

/* What an UPDATE says, whatever its format. */
typedef struct torc_ring_heard {
  torc_id ids[TORC_RING_HEARD_MAX]; /* every peer listed, in order, this peer included */
  size_t num;
  size_t num_cut;     /* ids beyond TORC_RING_HEARD_MAX */
  torc_id first_pred; /* of the sender; zero: none */
  /* The same peers as one walk round the ring, the sender among them: what brackets are looked for
   * in [CHD-32]. */
  torc_id walk[2 * TORC_CHORD_LIST_MAX + 1];
  size_t num_walk;
} torc_ring_heard;

/* Where the plug-ins differ. */
typedef struct torc_ring_policy {
  const char *family;
  size_t members_max;      /* routing-table peers */
  size_t join_members_max; /* a JOIN that would exceed it gets 503 */
  unsigned tokens_max;     /* candidates of one sender: burst */
  unsigned tokens_per_s;   /* and rate */
  unsigned connects_max;   /* CONNECTs to candidates at once */
  unsigned connects_per_reporter;
  bool keeps_all;   /* every peer is a neighbour */
  torc_time gather; /* changes of the table within this time are told in one UPDATE [CHD-33] */
  /* Writes this peer's UPDATE; `new_pred` (may be NULL) is listed although it is not a member yet
   * [CHD-16]. */
  int (*put_update)(const torc_topology *t, torc_wr *wr, const torc_id *new_pred);
  int (*get_update)(torc_slice payload, const torc_id *sender, torc_ring_heard *out);
} torc_ring_policy;

typedef struct torc_ring_death {
  torc_id id;
  torc_time at; /* 0: none */
} torc_ring_death;

struct torc_topology {
  const torc_topology_host *host;
  const torc_topology_params *params;
  const torc_ring_policy *policy;
  torc_topology_state state;
  size_t keep; /* neighbours wanted on each side */
  torc_id self;
  bool has_range;
  torc_id range_from; /* responsible for (range_from, self]; self: the whole ring [GAP-109] */
  torc_time changed_at;
  torc_time
      hold_until; /* copies came from a peer that sees the ring differently: nothing is deleted */
  torc_id succ_edge; /* distance of the farthest successor of the last whole list [CHD-25] */

  torc_ring_member *members;
  size_t num_members, cap_members;
  torc_ring_cand *cands;
  size_t num_cands, cap_cands;
  torc_ring_pace *paces;
  size_t num_paces, cap_paces;
  torc_ring_op *ops;
  size_t num_ops, cap_ops;
  torc_token last_cookie;

  torc_ring_join join;
  torc_ring_handoff handoff;
  torc_ring_replica *replicas; /* room for params->num_replicas */
  size_t num_replicas;
  torc_ring_range *owed; /* room for TORC_RING_OWED_MAX; NULL: none */
  size_t num_owed;
  bool is_owed_running;
  unsigned owed_fails;
  torc_time owed_retry_at;
  torc_id owed_peer; /* being connected for, or given, owed data; zero: none */
  torc_ring_former *former;
  size_t num_former, cap_former;
  size_t next_former;  /* the next one to give way when there are TORC_RING_FORMER_MAX */
  torc_time merged_at; /* last copy for the own range that came from outside; 0: none since the last
                          replication */
  size_t restores_left; /* predecessors that get their data back after a join with an old store */
  torc_time joined_at;
  torc_id doubt_to; /* what lies up to here was taken over soon after the join, without its data */
  torc_time doubt_until;     /* 0: there is none */
  torc_ring_death deaths[2]; /* the neighbours lost last */
  bool has_lost_proven; /* since the last take-over: the predecessor, which had made copies here */
  bool has_lost_unproven; /* one that may never have done so */
  unsigned last_serial;
  torc_ring_finger *fingers; /* params.num_fingers */
  size_t num_fingers_running;

  bool is_cut;  /* the last member was lost, not told goodbye */
  bool has_gap; /* all successors were lost [CHD-25] */
  bool is_gap_running;
  torc_time gap_retry_at;
  torc_id gap_peer;

  bool is_boot_running;
  torc_time founded_at; /* 0: did not found */
  torc_time rejoin_delay;
  unsigned leaves_pending;
  bool has_sent_leaves;
  torc_time leave_deadline;

  torc_timer timer; /* the earliest alarm */
  torc_time alarms[TORC_ALARMS];
};

/* ring.c: life, dispatch of events, follow-up work. */
int torc_ring_create(torc_topology **out, const torc_ring_policy *policy,
                     const torc_topology_host *host,
                     const torc_topology_params *params) TORC_MUST_CHECK;
void torc_ring_destroy(torc_topology *t);
void torc_ring_set_state(torc_topology *t, torc_topology_state state);
/* Does whatever the present tables ask for: range, candidates, replicas, owed data, fingers. Called
 * at the end of every event and by the `work` timer. */
void torc_ring_settle(torc_topology *t);
torc_time torc_ring_now(const torc_topology *t);
/* True if this peer speaks for a part of the ring. */
bool torc_ring_is_active(const torc_topology *t);
/* (Re)arms; TORC_NEVER disarms. */
void torc_ring_arm(torc_topology *t, torc_ring_alarm alarm, torc_time at);
void torc_ring_disarm(torc_topology *t, torc_ring_alarm alarm);
/* Uniform in [base, 2 * base). */
torc_time torc_ring_jitter(torc_topology *t, torc_time base);

/* ring_op.c: calls to the host that are answered later. */
int torc_ring_ping(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *target,
                   const torc_id *via) TORC_MUST_CHECK;
int torc_ring_connect(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *target,
                      bool is_exact, const torc_id *via) TORC_MUST_CHECK;
int torc_ring_request(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *peer,
                      torc_method method, torc_slice payload) TORC_MUST_CHECK;
int torc_ring_transfer(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *peer,
                       const torc_id *from, const torc_id *to) TORC_MUST_CHECK;
int torc_ring_ping_bootstrap(torc_topology *t) TORC_MUST_CHECK;
/* Sends a JOIN or LEAVE about this peer itself [JOI-05] [LEA-02]. */
int torc_ring_notice(torc_topology *t, torc_ring_op_kind kind, unsigned arg, const torc_id *peer,
                     torc_method method) TORC_MUST_CHECK;
/* Finds and forgets the operation; false: unknown cookie. */
bool torc_ring_op_take(torc_topology *t, torc_token cookie, torc_ring_op *out);
void torc_ring_ops_clear(torc_topology *t);
/* Room for one more element of `size` bytes in a growing array bounded by `max`. */
int torc_ring_reserve(torc_topology *t, void **array, size_t *cap, size_t num, size_t size,
                      size_t max) TORC_MUST_CHECK;
/* Gives back what an array holds beyond its `num` elements. */
void torc_ring_release(torc_topology *t, void **array, size_t *cap, size_t num, size_t size);

/* ring_pace.c */
torc_ring_pace *torc_ring_pace_find(const torc_topology *t, const torc_id *id); /* NULL: none */
/* Finds or makes it; NULL: no memory. Valid until the next call. */
torc_ring_pace *torc_ring_pace_of(torc_topology *t, const torc_id *id);
void torc_ring_pace_del(torc_topology *t, const torc_id *id);
/* Drops those that say nothing any more. */
void torc_ring_paces_prune(torc_topology *t);
/* Can the peer make this one try one more candidate? Taking: it has. */
bool torc_ring_has_token(const torc_topology *t, const torc_id *id);
void torc_ring_take_token(torc_topology *t, const torc_id *id);

/* ring_table.c: members, neighbours, range, next hop. */
torc_ring_member *torc_ring_member_find(const torc_topology *t, const torc_id *id);
size_t torc_ring_num_near(const torc_topology *t); /* neighbours on each side */
const torc_ring_member *torc_ring_succ(const torc_topology *t, size_t i);
const torc_ring_member *torc_ring_pred(const torc_topology *t, size_t i);
bool torc_ring_is_near(const torc_topology *t, const torc_ring_member *m);
bool torc_ring_is_finger(const torc_topology *t, const torc_id *id);
/* First member at or clockwise after `id`; NULL if that is this peer. */
const torc_ring_member *torc_ring_member_from(const torc_topology *t, const torc_id *id);
/* Would `id` be among the nearest `num` of one side? */
bool torc_ring_would_be_near(const torc_topology *t, const torc_id *id, size_t num);
/* Makes a linked peer a member. NULL: the table is full or memory is short. */
torc_ring_member *torc_ring_member_add(torc_topology *t, const torc_id *id, bool by_handoff);
typedef enum torc_ring_gone {
  TORC_GONE_DOWN = 1, /* its link is gone or it is silent: one attempt to re-establish [CHD-41] */
  TORC_GONE_LEFT = 2,
  TORC_GONE_OUTSIDE = 3, /* it says it is not in the ring */
  TORC_GONE_UNUSED = 4
} torc_ring_gone;
void torc_ring_member_del(torc_topology *t, const torc_id *id, torc_ring_gone why);
/* The neighbour set as an UPDATE lists it: with an announced predecessor that is not linked yet,
 * and `extra`. */
void torc_ring_lists(const torc_topology *t, const torc_id *extra,
                     torc_id preds[TORC_CHORD_LIST_MAX], size_t *num_preds,
                     torc_id succs[TORC_CHORD_LIST_MAX], size_t *num_succs);
void torc_ring_check_range(torc_topology *t);
bool torc_ring_is_responsible(const torc_topology *t, const torc_id *id);
size_t torc_ring_elders(const torc_topology *t, const torc_id *resource,
                        torc_id out[TORC_REPLICAS_MAX]);
bool torc_ring_next_hop(const torc_topology *t, const torc_id *id, torc_id *out);
bool torc_ring_is_neighbour(const torc_topology *t, const torc_id *peer);
bool torc_ring_wants_link(const torc_topology *t, const torc_id *peer);
void torc_ring_view(const torc_topology *t, torc_topology_view *out);

/* ring_cand.c: peers heard of. */
torc_ring_cand *torc_ring_cand_find(const torc_topology *t, const torc_id *id);
void torc_ring_cand_del(torc_topology *t, const torc_id *id);
void torc_ring_cand_lost(torc_topology *t, const torc_id *id);
void torc_ring_cands_via_lost(torc_topology *t, const torc_id *via);
/* Notes a peer that is linked already and sends it the confirming UPDATE. */
void torc_ring_cand_confirm(torc_topology *t, const torc_id *id);
/* What the UPDATE of member `reporter` lists. `reporter` may be NULL: nobody's budget is used. */
void torc_ring_cands_heard(torc_topology *t, torc_ring_member *reporter,
                           const torc_ring_heard *heard);
void torc_ring_cands_pump(torc_topology *t, torc_time *next);
bool torc_ring_cand_counts(const torc_topology *t, const torc_ring_cand *c); /* [GAP-123] */
bool torc_ring_cand_is_pending(const torc_topology *t, const torc_ring_cand *c);
void torc_ring_cand_connected(torc_topology *t, const torc_ring_op *op, int rc);
void torc_ring_cand_confirmed(torc_topology *t, const torc_ring_op *op, uint16_t code);

/* ring_update.c. */
void torc_ring_update_near(torc_topology *t); /* UPDATE is due to every neighbour */
void torc_ring_update_all(torc_topology *t);  /* and every finger */
void torc_ring_update_member(torc_topology *t, torc_ring_member *m);
void torc_ring_update_flush(torc_topology *t); /* sends what is due */
int torc_ring_update_send(torc_topology *t, torc_ring_op_kind kind, unsigned arg,
                          const torc_id *peer, const torc_id *new_pred) TORC_MUST_CHECK;
void torc_ring_update_answered(torc_topology *t, const torc_ring_op *op, int rc, uint16_t code);
void torc_ring_on_update(torc_topology *t, const torc_id *from, torc_slice payload,
                         torc_topology_reply *reply);
void torc_ring_suspect_answered(torc_topology *t, const torc_ring_op *op, int rc,
                                const torc_id *responder);

/* ring_join.c: the joining peer. */
void torc_ring_join_begin(torc_topology *t, const torc_id *bootstrap);
void torc_ring_join_stop(torc_topology *t);
void torc_ring_join_pinged(torc_topology *t, const torc_ring_op *op, int rc,
                           const torc_id *responder);
void torc_ring_join_connected(torc_topology *t, const torc_ring_op *op, int rc);
void torc_ring_join_answered(torc_topology *t, const torc_ring_op *op, uint16_t code);
void torc_ring_join_link_down(torc_topology *t, const torc_id *peer);
void torc_ring_join_timeout(torc_topology *t);
/* The UPDATE of the admitting peer. True: `reply` is set. */
bool torc_ring_join_update(torc_topology *t, const torc_id *from, const torc_ring_heard *heard,
                           torc_topology_reply *reply);
void torc_ring_found(torc_topology *t);

/* handoff.c: the admitting peer [GAP-114]. */
void torc_ring_on_join(torc_topology *t, const torc_id *from, torc_slice payload,
                       torc_topology_reply *reply);
void torc_ring_handoff_transferred(torc_topology *t, const torc_ring_op *op, int rc);
void torc_ring_handoff_answered(torc_topology *t, const torc_ring_op *op, uint16_t code);
void torc_ring_handoff_finish(torc_topology *t);
void torc_ring_handoff_abort(torc_topology *t, const char *why);
/* The own range has changed under a running hand-over. */
void torc_ring_handoff_check(torc_topology *t);

/* replicate.c: who must hold copies, and deleting [CHD-35] [CHD-37]. */
void torc_ring_replicas_pump(torc_topology *t, torc_time *next);
void torc_ring_replica_transferred(torc_topology *t, const torc_ring_op *op, int rc);
/* After a join: the admitting peer holds the range already. */
void torc_ring_replicas_inherit(torc_topology *t, const torc_id *ap);
void torc_ring_replicas_missed(torc_topology *t, const torc_id *id);
void torc_ring_replicas_stale(torc_topology *t, const torc_id *id); /* NULL: all of them */
bool torc_ring_replicas_idle(const torc_topology *t);
size_t torc_ring_replicas(const torc_topology *t, const torc_id *resource,
                          torc_id out[TORC_REPLICAS_MAX]);
void torc_ring_restore_pump(torc_topology *t);
void torc_ring_on_drop(torc_topology *t, torc_time now);

/* What a dead peer held, to who takes its range over and came only lately (ring_table.c). */
void torc_ring_owe_heir(torc_topology *t, const torc_ring_member *heir, const torc_id *from,
                        const torc_id *dead);
/* merge.c: data owed to others, and which copies are taken [GAP-101] [GAP-124]. */
void torc_ring_owe(torc_topology *t, const torc_id *from, const torc_id *to);
void torc_ring_owed_pump(torc_topology *t, torc_time *next);
void torc_ring_owed_link_down(torc_topology *t, const torc_id *peer);
void torc_ring_owed_connected(torc_topology *t, const torc_ring_op *op, int rc,
                              const torc_id *peer);
void torc_ring_owed_transferred(torc_topology *t, const torc_ring_op *op, int rc);
void torc_ring_remember_former(torc_topology *t);
void torc_ring_forget_former(torc_topology *t); /* when all of it is too old */
bool torc_ring_accepts_copy(torc_topology *t, const torc_id *sender, const torc_id *resource);

/* chord_finger.c. */
void torc_ring_fingers_pump(torc_topology *t, torc_time *next);
void torc_ring_finger_lost(torc_topology *t, const torc_id *id);
void torc_ring_fingers_restart(torc_topology *t);
void torc_ring_finger_connected(torc_topology *t, const torc_ring_op *op, int rc,
                                const torc_id *peer);
void torc_ring_finger_pinged(torc_topology *t, const torc_ring_op *op, int rc,
                             const torc_id *responder);
void torc_ring_finger_ping(torc_topology *t);
torc_id torc_ring_finger_target(const torc_topology *t, size_t index);

/* stabilise.c: periods, bootstrap peers, lost successors. */
void torc_ring_stabilise_start(torc_topology *t);
void torc_ring_stabilise_stop(torc_topology *t);
void torc_ring_on_periodic(torc_topology *t, torc_time now);
void torc_ring_on_finger_ping(torc_topology *t, torc_time now);
void torc_ring_on_boot(torc_topology *t);
void torc_ring_boot_arm(torc_topology *t);
void torc_ring_boot_pinged(torc_topology *t, int rc, const torc_id *responder);
void torc_ring_boot_connected(torc_topology *t, const torc_ring_op *op, int rc);
void torc_ring_gap_pump(torc_topology *t, torc_time *next);
void torc_ring_gap_pinged(torc_topology *t, int rc, const torc_id *responder);
void torc_ring_gap_connected(torc_topology *t, const torc_ring_op *op, int rc);
void torc_ring_gap_answered(torc_topology *t, const torc_ring_op *op, uint16_t code);

/* leave.c. */
void torc_ring_leave(torc_topology *t);
void torc_ring_leave_pump(torc_topology *t);
void torc_ring_leave_timeout(torc_topology *t);
void torc_ring_leave_answered(torc_topology *t);
void torc_ring_on_leave(torc_topology *t, const torc_id *from, torc_slice payload,
                        torc_topology_reply *reply);

/* The operations both plug-ins share; each adds family, parse and create. */
#define TORC_RING_OPS                                                                   \
  .destroy = torc_ring_destroy, .start = torc_ring_start, .leave = torc_ring_leave,     \
  .is_responsible = torc_ring_is_responsible, .next_hop = torc_ring_next_hop,           \
  .replicas = torc_ring_replicas, .accepts_copy = torc_ring_accepts_copy,               \
  .is_neighbour = torc_ring_is_neighbour, .wants_link = torc_ring_wants_link,           \
  .view = torc_ring_view, .on_link_up = torc_ring_on_link_up,                           \
  .on_link_down = torc_ring_on_link_down, .on_request = torc_ring_on_request,           \
  .on_connect_done = torc_ring_on_connect_done, .on_ping_done = torc_ring_on_ping_done, \
  .on_response = torc_ring_on_response, .on_transfer_done = torc_ring_on_transfer_done, \
  .on_copy_failed = torc_ring_on_copy_failed, .elders = torc_ring_elders
int torc_ring_start(torc_topology *t, const torc_id *bootstrap);
void torc_ring_on_link_up(torc_topology *t, const torc_id *peer);
void torc_ring_on_link_down(torc_topology *t, const torc_id *peer);
void torc_ring_on_request(torc_topology *t, torc_method method, const torc_id *from,
                          torc_slice payload, torc_topology_reply *reply);
void torc_ring_on_connect_done(torc_topology *t, torc_token cookie, int rc, const torc_id *peer);
void torc_ring_on_ping_done(torc_topology *t, torc_token cookie, int rc, const torc_id *responder);
void torc_ring_on_response(torc_topology *t, torc_token cookie, int rc, uint16_t code,
                           torc_slice payload);
void torc_ring_on_transfer_done(torc_topology *t, torc_token cookie, int rc);
void torc_ring_on_copy_failed(torc_topology *t, const torc_id *peer);

#endif
