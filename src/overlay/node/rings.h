/* Two rings in one node [D-19]: a node that moves to another ring runs both, each as a torc_node of
 * its own, over the same links. The overlay checksum in the header tells whose a message is, a
 * number in each token whose an answer of the platform is. The platform and the application see one
 * node: the first. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NODE_RINGS_H
#define TORC_NODE_RINGS_H

#include "overlay/node/impl.h"

#define TORC_RING_SHIFT 48 /* of a ring's number in a token */
#define TORC_RING_MASK 0xffu
#define TORC_NODE_PARKED_MAX 64u             /* accepted links that have said nothing yet */
#define TORC_NODE_PARKED_AGE TORC_SEC(10)    /* then they are the first ring's */
#define TORC_NODE_JOINTS_MAX 4096u           /* calls under way that concern both rings */
#define TORC_NODE_JOINT_LOOKS 64u            /* at the other ring, for one REMOVE */
#define TORC_NODE_CARRY_WINDOW 8u            /* elements on their way to the second ring */
#define TORC_NODE_CARRY_WRITES 256u          /* with those just written; more: another round */
#define TORC_NODE_CARRY_LOOK TORC_SEC(1)     /* until both rings are joined */
#define TORC_NODE_CARRY_PERIOD TORC_SEC(600) /* between two rounds */
#define TORC_NODE_CARRY_LAST TORC_SEC(300)   /* the last round may take so long */
#define TORC_NODE_BORROW_MAX 8u              /* links of the other ring that a search is tried on */

typedef struct torc_parked { /* accepted; what comes first on it says which ring wants it */
  torc_link_id id;
  torc_link_info info; /* holds a reference of the certificate */
  torc_time at;
} torc_parked;

typedef struct torc_carry { /* the first ring's elements on their way to the second (carry.c) */
  torc_timer timer;
  bool is_walking, is_again; /* is_again: another round right after this one */
  bool is_last;              /* the first ring is left behind it */
  bool is_pumping, in_resource;
  torc_copy_place place;
  unsigned busy;
  torc_time round_ends; /* of the last one, whatever is left */
} torc_carry;

typedef struct torc_migration {
  torc_node *n; /* the first ring's */
  torc_migration_stage stage;
  char algorithm[64];
  bool is_dropping;           /* the second ring is being left */
  bool is_leaving, told_left; /* both are */
  torc_map parts;             /* token of a ring's part of a call -> its part (joint.c) */
  uint32_t num_joints;
  torc_parked parked[TORC_NODE_PARKED_MAX];
  size_t num_parked;
  torc_timer park_timer;
  torc_carry carry;
  torc_migration_view seen; /* counters */
} torc_migration;

/* ---- one ring's part of each public function: what it is for a node with one ring ---- */
int torc_core_start(torc_node *n, torc_time now) TORC_MUST_CHECK;
int torc_core_leave(torc_node *n, torc_time now) TORC_MUST_CHECK;
void torc_core_set_wall(torc_node *n, torc_wall wall, torc_time now);
int torc_core_reconfigure(torc_node *n, const torc_node_config *cfg, torc_time now,
                          const char **why) TORC_MUST_CHECK;
int torc_core_renew(torc_node *n, torc_cert *cert, uint8_t signature_algorithm, torc_time now,
                    const char **why); /* own_cert.c */
void torc_core_refuse_joins(torc_node *n, bool on);
int torc_core_input(torc_node *n, torc_link_id link, torc_slice data,
                    torc_time now) TORC_MUST_CHECK;
int torc_core_tick(torc_node *n, torc_time now) TORC_MUST_CHECK;
torc_time torc_core_deadline(const torc_node *n);
int torc_core_job_done(torc_node *n, torc_token job, const torc_job_result *result,
                       torc_time now) TORC_MUST_CHECK;
int torc_core_link_up(torc_node *n, torc_link_id link, const torc_link_info *info,
                      torc_time now) TORC_MUST_CHECK;
int torc_core_link_down(torc_node *n, torc_link_id link, torc_time now) TORC_MUST_CHECK;
int torc_core_open_failed(torc_node *n, torc_token token, int rc, torc_time now) TORC_MUST_CHECK;
int torc_core_link_congested(torc_node *n, torc_link_id link, bool congested,
                             torc_time now) TORC_MUST_CHECK;
int torc_core_link_mtu(torc_node *n, torc_link_id link, uint32_t mtu,
                       torc_time now) TORC_MUST_CHECK;
int torc_core_set_cached(torc_node *n, const torc_endpoint *cached,
                         size_t num_cached) TORC_MUST_CHECK;
int torc_core_discovered(torc_node *n, const torc_endpoint *at, torc_time now) TORC_MUST_CHECK;
int torc_core_renew_link(torc_node *n, const torc_id *peer, torc_time now) TORC_MUST_CHECK;
int torc_core_offer_ready(torc_node *n, torc_token token, const torc_connect_params *params,
                          torc_time now) TORC_MUST_CHECK;
int torc_core_answer_ready(torc_node *n, torc_token token, const torc_connect_params *params,
                           uint16_t refuse, torc_time now) TORC_MUST_CHECK;
int torc_core_connection_up(torc_node *n, torc_token token, const torc_link_info *info,
                            torc_time now) TORC_MUST_CHECK;
int torc_core_connection_down(torc_node *n, torc_token token, int rc,
                              torc_time now) TORC_MUST_CHECK;
bool torc_core_poll(torc_node *n, torc_output *out);
int torc_core_store(torc_node *n, const torc_id *resource, const torc_store_item *items,
                    size_t num_items, torc_time now, torc_token *token) TORC_MUST_CHECK;
int torc_core_fetch(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                    size_t num_items, torc_time now, torc_token *token) TORC_MUST_CHECK;
int torc_core_fetch_replicas(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                             size_t num_items, torc_time now, torc_token *token) TORC_MUST_CHECK;
int torc_core_remove(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                     size_t num_items, torc_time now, torc_token *token) TORC_MUST_CHECK;
int torc_core_find(torc_node *n, const torc_id *resource, const uint32_t *types, size_t num_types,
                   torc_time now, torc_token *token) TORC_MUST_CHECK;
int torc_core_ping(torc_node *n, const torc_id *route, size_t num_route, unsigned flags,
                   torc_time now, torc_token *token) TORC_MUST_CHECK;
int torc_core_connect(torc_node *n, const torc_id *route, size_t num_route, torc_time now,
                      torc_token *token) TORC_MUST_CHECK;
int torc_core_connect_application(torc_node *n, const torc_id *route, size_t num_route,
                                  uint16_t application, torc_time now,
                                  torc_token *token) TORC_MUST_CHECK;
int torc_core_tunnel(torc_node *n, const torc_id *route, size_t num_route, uint16_t application,
                     torc_slice dialog_id, torc_slice pdu, torc_time now,
                     torc_token *token) TORC_MUST_CHECK;
int torc_core_listen(torc_node *n, uint16_t application, bool on) TORC_MUST_CHECK;
int torc_core_resource_id(torc_node *n, torc_slice seed, torc_id *out) TORC_MUST_CHECK;
int torc_core_type(torc_node *n, torc_slice name, uint32_t *id, uint8_t *model) TORC_MUST_CHECK;
size_t torc_core_links(const torc_node *n, torc_node_link_view *out, size_t max);
void torc_core_get_view(const torc_node *n, torc_node_view *out);
bool torc_core_holds(const torc_node *n, const torc_id *resource);
void torc_core_counters(const torc_node *n, void *ctx,
                        void (*each)(void *ctx, const char *name, uint64_t value));
void torc_core_tables(const torc_node *n, void *ctx, torc_node_table_fn each);

/* ---- links that both rings use (links.c, rings.c) ---- */
/* The link of another ring becomes this one's too; is_own: because this node wants it. */
int torc_link_adopt(torc_node *n, const torc_link *from, bool is_own) TORC_MUST_CHECK;
void torc_link_drain(torc_node *n, torc_link *l); /* replaced: closed after a while */
/* Takes the place of the peer's link that is used now, which is drained. */
void torc_link_prefer(torc_node *n, torc_link *l);
/* The other ring of a node; NULL: there is none, or it has ended. */
torc_node *torc_rings_other(const torc_node *n);
/* Takes the other ring's link to a peer for this one as well, if there is one and this has none. */
void torc_rings_borrow(torc_node *n, const torc_id *peer);
/* Takes some of the other ring's links, to look for this ring on them [D-19]. */
void torc_rings_borrow_some(torc_node *n);
/* Ends the second ring with its first. */
void torc_rings_clear(torc_node *n);

/* ---- calls that concern both rings (joint.c) ---- */
void torc_joints_init(torc_node *n, uint64_t seed);
/* Ends the parts of a ring that is no more. */
void torc_joints_ring_gone(torc_node *n, const torc_node *ring);
void torc_joints_clear(torc_node *n);
/* The DONE that `ring` has just given out is a part of a call: it is taken, and the call goes on.
 */
bool torc_joint_take(torc_node *n, torc_node *ring, torc_token token);
int torc_joint_store(torc_node *n, const torc_id *resource, const torc_store_item *items,
                     size_t num, torc_token *token) TORC_MUST_CHECK;
/* FETCH, REMOVE; asks_replicas: FETCH's, of each ring's holders. */
int torc_joint_specified(torc_node *n, uint16_t method, bool asks_replicas, const torc_id *resource,
                         const torc_fetch_item *items, size_t num,
                         torc_token *token) TORC_MUST_CHECK;
int torc_joint_find(torc_node *n, const torc_id *resource, const uint32_t *types, size_t num_types,
                    torc_token *token) TORC_MUST_CHECK;
/* PING, CONNECT, TUNNEL; data: TUNNEL's. */
int torc_joint_send(torc_node *n, uint16_t method, const torc_id *route, size_t num_route,
                    unsigned flags, const torc_tunnel_data *data,
                    torc_token *token) TORC_MUST_CHECK;

/* ---- what the first ring holds goes to the second (carry.c) ---- */
void torc_carry_init(torc_node *n);
void torc_carry_clear(torc_node *n);
/* The stage has changed. */
void torc_carry_stage(torc_node *n);
/* A STORE was accepted here, for the ring of `n`: who wrote may know of one ring only. */
void torc_carry_written(torc_node *n, const torc_id *resource, torc_slice payload);

/* Sends the payload of a STORE in another ring: under whatever counters are there. */
int torc_carry_store(torc_node *to, const torc_id *resource, torc_slice payload, torc_reply_fn done,
                     void *ctx, torc_token cookie) TORC_MUST_CHECK;

#endif
