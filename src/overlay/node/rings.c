/* The public functions: a node with one ring is that ring; with two, each call finds its ring, and
 * what comes out of both looks like one node's. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/rings.h"

#include <stdio.h>

#include "base/crc32.h"
#include "overlay/node/app.h"

/* The node that lives: one whose move is over is only a handle [D-19]. */
static torc_node *live(const torc_node *n) {
  while (n->is_retired) {
    n = n->second;
  }
  return (torc_node *)(uintptr_t)n;
}

torc_node *torc_rings_other(const torc_node *n) {
  torc_node *other = n->second != NULL ? n->second : n->first;
  return other == NULL || other->is_retired || other->is_freeing ? NULL : other;
}

static bool has_left(const torc_node *n) {
  return n->phase == TORC_PHASE_LEAVING || n->phase == TORC_PHASE_LEFT;
}

/* The ring that a token is of; NULL: it is no more. */
static torc_node *ring_of(torc_node *n, torc_token token) {
  uint8_t ring = (uint8_t)(token >> TORC_RING_SHIFT & TORC_RING_MASK);
  return n->ring == ring ? n : n->second != NULL && n->second->ring == ring ? n->second : NULL;
}

static void enter_both(torc_node *n, torc_time now) {
  torc_node_enter(n, now);
  torc_node_enter(n->second, now);
}

static void settle_both(torc_node *n) {
  torc_node_settle(n);
  torc_node_settle(n->second);
}

/* ---- links that both rings use ---- */

static bool is_usable(const torc_link *l) {
  return !l->is_closing && !l->is_draining;
}

void torc_rings_borrow(torc_node *n, const torc_id *peer) {
  const torc_node *other = torc_rings_other(n);
  const torc_link *l = other == NULL ? NULL : torc_link_of_peer(other, peer);
  if (l != NULL && is_usable(l) && torc_link_find(n, l->id) == NULL &&
      torc_link_of_peer(n, peer) == NULL && torc_link_adopt(n, l, true) != 0) {
    n->stats->no_memory++;
  }
}

void torc_rings_borrow_some(torc_node *n) {
  const torc_node *other = torc_rings_other(n);
  size_t it = 0;
  unsigned num = 0;
  const torc_link *l = NULL;
  while (other != NULL && num < TORC_NODE_BORROW_MAX &&
         (l = torc_map_next(&other->links, &it)) != NULL) {
    if (is_usable(l) && l->is_routing) {
      torc_rings_borrow(n, &l->peer);
      num++;
    }
  }
}

/* A link of the peer that the other ring has takes the place of one that goes down: else its
 * neighbour would be lost for a moment. */
static void rescue(torc_node *n, torc_link_id id) {
  const torc_node *other = torc_rings_other(n);
  torc_link *l = torc_link_find(n, id);
  if (other == NULL || l == NULL || torc_link_of_peer(n, &l->peer) != l) {
    return;
  }
  size_t it = 0;
  const torc_link *o = NULL;
  while ((o = torc_map_next(&other->links, &it)) != NULL) {
    if (o->id != id && !o->is_closing && torc_id_eq(&o->peer, &l->peer) &&
        torc_link_find(n, o->id) == NULL) {
      bool was_routing = l->is_routing;
      l->is_draining = true;
      if (torc_link_adopt(n, o, l->is_own) == 0 && was_routing) {
        torc_link_mark_routing(n, torc_link_find(n, o->id));
      }
      return;
    }
  }
}

/* A link that this ring made while the other one had one to the same peer already: that one will do
 * for both, and the new one closes after a while. */
static void share(torc_node *n, torc_link_id id) {
  const torc_node *other = torc_rings_other(n);
  torc_link *l = torc_link_find(n, id);
  const torc_link *o = l == NULL || other == NULL ? NULL : torc_link_of_peer(other, &l->peer);
  if (o == NULL || o->id == id || !is_usable(o) || torc_link_find(n, o->id) != NULL) {
    return;
  }
  bool was_routing = l->is_routing;
  bool was_own = l->is_own;
  torc_link_drain(n, l);
  if (torc_link_adopt(n, o, was_own) == 0 && was_routing) {
    torc_link_mark_routing(n, torc_link_find(n, o->id));
  }
}

static torc_parked *find_parked(torc_migration *m, torc_link_id id) {
  for (size_t i = 0; i < m->num_parked; i++) {
    if (m->parked[i].id == id) {
      return &m->parked[i];
    }
  }
  return NULL;
}

static void unpark(torc_node *n, torc_parked *p, torc_node *to) {
  torc_migration *m = n->move;
  torc_parked one = *p;
  m->num_parked--;
  *p = m->parked[m->num_parked];
  if (to == NULL) {
    torc_cert_unref(n, one.info.cert);
    return;
  }
  if (torc_links_input_up(to, one.id, &one.info) != 0) {
    n->stats->no_memory++;
  }
}

static void on_parked(torc_timer *t, torc_time now) {
  torc_migration *m = TORC_CONTAINER_OF(t, torc_migration, park_timer);
  torc_node *n = m->n;
  size_t i = 0;
  while (i < m->num_parked) {
    if (now - m->parked[i].at >= TORC_NODE_PARKED_AGE) {
      unpark(n, &m->parked[i], n);
    } else {
      i++;
    }
  }
  if (m->num_parked > 0) {
    torc_timer_arm(&n->timers, t, torc_time_add(now, TORC_NODE_PARKED_AGE / 2));
  }
}

/* Whose link it is that the other side dialled, its first message says. */
static bool park(torc_node *n, torc_link_id id, const torc_link_info *info) {
  torc_migration *m = n->move;
  if (info->token != 0 || id == 0 || m->num_parked == TORC_NODE_PARKED_MAX || m->is_dropping ||
      has_left(n) || find_parked(m, id) != NULL || torc_link_find(n, id) != NULL ||
      torc_link_find(n->second, id) != NULL) {
    return false;
  }
  m->parked[m->num_parked] = (torc_parked){.id = id, .info = *info, .at = n->now};
  m->num_parked++;
  if (!torc_timer_armed(&m->park_timer)) {
    torc_timer_arm(&n->timers, &m->park_timer, torc_time_add(n->now, TORC_NODE_PARKED_AGE));
  }
  return true;
}

/* [HDR-02] The checksum of the overlay's name. */
static torc_node *ring_of_message(torc_node *n, torc_slice data) {
  torc_rd rd;
  torc_rd_init(&rd, data);
  torc_rd_skip(&rd, 4);
  return torc_rd_u32(&rd) == n->second->overlay && rd.err == 0 ? n->second : n;
}

/* Of two links that each end and each ring have taken a different one of, one is to be left: both
 * ends use the one that the end with the larger peer-id uses, and that end the first ring's in both
 * rings. */
static void agree_on_link(torc_node *n, torc_node *ring, torc_link_id id) {
  torc_link *l = torc_link_find(ring, id);
  if (l == NULL) {
    return;
  }
  if (torc_id_cmp(&n->self, &l->peer) < 0) {
    torc_link_prefer(ring, l);
    return;
  }
  const torc_link *first = torc_link_of_peer(n, &l->peer);
  const torc_link *second = torc_link_of_peer(n->second, &l->peer);
  if (first == NULL || second == NULL || first->id == second->id || !is_usable(first)) {
    return;
  }
  if (torc_link_find(n->second, first->id) == NULL &&
      torc_link_adopt(n->second, first, second->is_own) != 0) {
    n->stats->no_memory++;
    return;
  }
  torc_link_prefer(n->second, torc_link_find(n->second, first->id));
}

static int input_both(torc_node *n, torc_link_id link, torc_slice data, torc_time now) {
  torc_node *ring = ring_of_message(n, data);
  torc_node *other = ring == n ? n->second : n;
  torc_parked *p = find_parked(n->move, link);
  enter_both(n, now);
  if (p != NULL) {
    unpark(n, p, ring);
  }
  const torc_link *l = torc_link_find(other, link);
  if (l != NULL && torc_link_find(ring, link) == NULL && ring->phase != TORC_PHASE_LEFT &&
      torc_link_adopt(ring, l, false) != 0) {
    ring->stats->no_memory++;
  }
  agree_on_link(n, ring, link);
  int rc = torc_core_input(ring, link, data, now);
  torc_node_settle(other);
  return rc;
}

/* ---- life ---- */

/* The ring whose state is the node's. */
static torc_node *lead(const torc_node *n) {
  n = live(n);
  bool is_second = n->second != NULL && (n->move->stage == TORC_MIGRATION_FETCH_NEW ||
                                         n->move->stage == TORC_MIGRATION_NEW_ONLY);
  return is_second ? n->second : (torc_node *)(uintptr_t)n;
}

int torc_node_start(torc_node *n, torc_time now) {
  n = live(n);
  int rc = torc_core_start(n, now);
  if (rc == 0 && n->second != NULL) {
    rc = torc_core_start(n->second, now);
  }
  return rc;
}

int torc_node_leave(torc_node *n, torc_time now) {
  n = live(n);
  if (n->second == NULL) {
    return torc_core_leave(n, now);
  }
  n->move->is_leaving = true;
  int rc = torc_core_leave(n, now);
  return rc != 0 ? rc : torc_core_leave(n->second, now);
}

void torc_node_set_wall(torc_node *n, torc_wall wall, torc_time now) {
  n = live(n);
  torc_core_set_wall(n, wall, now);
  if (n->second != NULL) {
    torc_core_set_wall(n->second, wall, now);
  }
}

int torc_node_reconfigure(torc_node *n, const torc_node_config *cfg, torc_time now,
                          const char **why) {
  return torc_core_reconfigure(live(n), cfg, now, why);
}

int torc_node_renew(torc_node *n, torc_cert *cert, uint8_t signature_algorithm, torc_time now,
                    const char **why) {
  const char *unused = NULL;
  why = why == NULL ? &unused : why;
  *why = "no memory";
  n = live(n);
  int rc = torc_core_renew(n, cert, signature_algorithm, now, why);
  if (rc == 0 && n->second != NULL) {
    rc = torc_core_renew(n->second, cert, signature_algorithm, now, why);
  }
  return rc;
}

void torc_node_refuse_joins(torc_node *n, bool on) {
  n = live(n);
  torc_core_refuse_joins(n, on);
  if (n->second != NULL) {
    torc_core_refuse_joins(n->second, on);
  }
}

/* Of another try, perhaps: what was removed since must not come back. */
static void empty_second(torc_node *n, torc_node *second) {
  if (second->store != NULL &&
      torc_store_drop_range(second->store, &second->self, &second->self) != 0) {
    n->stats->no_memory++;
  }
}

static int make_second(torc_node *n, const torc_node_config *cfg, torc_migration_stage stage,
                       const char **why) {
  torc_node_config c = *cfg;
  torc_counters *counters = TORC_CONTAINER_OF(n->stats, torc_counters, node);
  if (n->rings_made == UINT8_MAX) {
    *why = "this node has begun to move too often: restart it";
    return TORC_ERR_LIMIT;
  }
  if (cfg->overlay_name == NULL ||
      torc_overlay_crc(torc_slice_str(cfg->overlay_name)) == n->overlay) {
    *why = "the second ring needs a name of its own, with another checksum";
    return TORC_ERR_CONFIG;
  }
  c.mem = n->mem;
  c.crypto = n->crypto;
  c.log = n->log;
  c.role = n->role;
  c.cert = n->cert;
  c.signature_algorithm = n->signature_algorithm;
  c.self = n->self;
  c.version_text = n->version_text;
  c.counters = counters;
  c.wall = torc_node_wall(n);
  c.seed = torc_rng_u64(&n->rng) | 1u;
  c.is_lean = n->cfg.is_lean;
  c.keep_certificate = n->cfg.keep_certificate; /* [CRT-02] in each ring */
  c.is_shared_key = n->cfg.is_shared_key;
  torc_migration *m = torc_calloc(n->mem, 1, sizeof *m);
  if (m == NULL) {
    return TORC_ERR_NOMEM;
  }
  int rc = torc_node_new(&n->second, &c, n->now, why);
  if (rc == 0 && torc_apps_copy(n->second, n) != 0) {
    torc_node_free(n->second);
    n->second = NULL;
    rc = TORC_ERR_NOMEM;
  }
  if (rc != 0) {
    torc_free(n->mem, m);
    return rc;
  }
  n->rings_made++;
  n->second->ring = n->rings_made;
  n->second->rings_made = n->rings_made;
  n->second->first = n;
  n->second->refuses_joins = n->refuses_joins;
  n->move = m;
  m->n = n;
  (void)snprintf(m->algorithm, sizeof m->algorithm, "%s", cfg->algorithm);
  torc_timer_init(&m->park_timer, on_parked);
  torc_joints_init(n, c.seed);
  torc_carry_init(n);
  if (stage == TORC_MIGRATION_FETCH_OLD) { /* the first ring has all of it */
    empty_second(n, n->second);
  }
  return n->phase == TORC_PHASE_NEW ? 0 : torc_core_start(n->second, n->now);
}

static int change_second(torc_node *n, const torc_node_config *cfg, const char **why) {
  if (torc_overlay_crc(torc_slice_str(cfg->overlay_name)) != n->second->overlay ||
      strcmp(cfg->algorithm, n->move->algorithm) != 0) {
    *why = "the ring that this node moves to has become another one";
    return TORC_ERR_CONFIG;
  }
  return torc_node_change(n->second, cfg, why);
}

/* [MIG-01] Only the order of the stages is checked: how long each lasts the configuration says. */
static int change_stage(torc_node *n, const torc_node_config *cfg, torc_migration_stage stage,
                        const char **why) {
  torc_migration *m = n->move;
  if (m->is_dropping || m->is_leaving ||
      (m->stage == TORC_MIGRATION_NEW_ONLY && stage != m->stage)) {
    *why = m->stage == TORC_MIGRATION_NEW_ONLY
               ? "the first ring has been left: there is no way back"
               : "a ring is still being left";
    return TORC_ERR_STATE;
  }
  int rc = stage == TORC_MIGRATION_NONE ? 0 : change_second(n, cfg, why);
  if (rc != 0) {
    return rc;
  }
  m->is_dropping = stage == TORC_MIGRATION_NONE;
  return m->is_dropping ? torc_core_leave(n->second, n->now) : 0;
}

/* What the application was told of one ring it is told of the other, where that differs. */
static void tell_lead(torc_node *n, const torc_node *before) {
  torc_node *now = lead(n);
  bool was_joined = before->phase == TORC_PHASE_JOINED;
  torc_out *o = now == before || was_joined == (now->phase == TORC_PHASE_JOINED)
                    ? NULL
                    : torc_out_new(now, TORC_OUT_EVENT);
  if (o != NULL) {
    o->o.event.kind = was_joined ? TORC_EVENT_DISCONNECTED : TORC_EVENT_JOINED;
    torc_out_push(now, o);
  }
}

static void set_stage(torc_node *n, torc_migration_stage stage) {
  const torc_node *before = lead(n);
  TORC_LOG(n->log, TORC_LOG_INFO, "node:migration", TORC_F_U64("stage", stage),
           TORC_F_U64("from", n->move->stage));
  n->move->stage = stage;
  n->move->seen.stage = stage;
  tell_lead(n, before);
  torc_carry_stage(n);
}

int torc_node_migrate(torc_node *n, const torc_node_config *cfg, torc_migration_stage stage,
                      torc_time now, const char **why) {
  const char *unused = NULL;
  int rc = 0;
  n = live(n);
  why = why == NULL ? &unused : why;
  *why = "no memory";
  torc_node_enter(n, now);
  if (n->second == NULL && stage == TORC_MIGRATION_NONE) {
    return 0;
  }
  if (has_left(n) && n->second == NULL) {
    *why = "the ring is being left";
    return TORC_ERR_STATE;
  }
  if (n->second == NULL) {
    rc = make_second(n, cfg, stage, why);
  } else {
    torc_node_enter(n->second, now);
    rc = change_stage(n, cfg, stage, why);
  }
  if (rc == 0) {
    set_stage(n, stage);
  }
  if (n->second != NULL) {
    settle_both(n);
  }
  return rc;
}

/* The second ring has been left, or never was: the node is one of the first again. */
static void drop_second(torc_node *n) {
  torc_node *second = n->second;
  torc_joints_ring_gone(n, second);
  while (n->move->num_parked > 0) {
    unpark(n, n->move->parked, n);
  }
  torc_timer_stop(&n->timers, &n->move->park_timer);
  torc_carry_clear(n);
  torc_joints_clear(n);
  empty_second(n, second);
  n->second = NULL;
  torc_node_free(second);
  torc_free(n->mem, n->move);
  n->move = NULL;
}

/* The first ring has been left: what is the node's from now on is the second's. */
static void retire(torc_node *n) {
  while (n->move->num_parked > 0) {
    unpark(n, n->move->parked, n->second);
  }
  torc_carry_clear(n);
  torc_timer_stop(&n->timers, &n->move->park_timer);
  torc_joints_clear(n);
  torc_node_clear(n);
  n->is_retired = true;
  n->second->first = NULL;
  TORC_LOG(n->log, TORC_LOG_INFO, "node:migrated", TORC_F_ID("self", &n->self));
}

void torc_rings_clear(torc_node *n) {
  if (n->second == NULL) {
    return;
  }
  while (n->move->num_parked > 0) {
    unpark(n, n->move->parked, NULL);
  }
  if (!n->is_retired) {
    n->second->is_freeing = true;
    torc_carry_clear(n);
    torc_timer_stop(&n->timers, &n->move->park_timer);
  }
  torc_node_free(n->second);
  torc_joints_clear(n);
  torc_free(n->mem, n->move);
  n->second = NULL;
  n->move = NULL;
}

/* ---- inputs ---- */

int torc_node_input(torc_node *n, torc_link_id link, torc_slice data, torc_time now) {
  n = live(n);
  return n->second == NULL ? torc_core_input(n, link, data, now) : input_both(n, link, data, now);
}

int torc_node_tick(torc_node *n, torc_time now) {
  n = live(n);
  if (n->second == NULL) {
    return torc_core_tick(n, now);
  }
  enter_both(n, now);
  int rc = torc_core_tick(n, now);
  rc = rc != 0 ? rc : torc_core_tick(n->second, now);
  settle_both(n);
  return rc;
}

torc_time torc_node_deadline(const torc_node *n) {
  n = live(n);
  torc_time first = torc_core_deadline(n);
  torc_time second = n->second == NULL ? TORC_NEVER : torc_core_deadline(n->second);
  return first < second ? first : second;
}

static torc_node *enter_ring(torc_node *n, torc_token token, torc_time now) {
  if (n->second != NULL) {
    enter_both(n, now);
  }
  return ring_of(n, token);
}

static void settle_rings(torc_node *n) {
  if (n->second != NULL) {
    settle_both(n);
  }
}

int torc_node_job_done(torc_node *n, torc_token job, const torc_job_result *result, torc_time now) {
  n = live(n);
  torc_node *ring = enter_ring(n, job, now);
  int rc = ring == NULL ? 0 : torc_core_job_done(ring, job, result, now);
  settle_rings(n);
  return rc;
}

int torc_node_link_up(torc_node *n, torc_link_id link, const torc_link_info *info, torc_time now) {
  n = live(n);
  torc_node *asker = info->token == 0 ? NULL : enter_ring(n, info->token, now);
  torc_node *ring = asker == NULL ? n : asker;
  torc_link_info fresh = *info;
  if (asker == NULL) { /* nobody, or the one that asked for it is no more */
    fresh.token = 0;
  }
  if (n->second != NULL) {
    enter_both(n, now);
    if (park(n, link, &fresh)) {
      return 0;
    }
    ring = ring == n && has_left(n) && n->move->stage == TORC_MIGRATION_NEW_ONLY ? n->second : ring;
  }
  int rc = torc_core_link_up(ring, link, &fresh, now);
  if (rc == 0 && fresh.token != 0) {
    share(ring, link);
  }
  settle_rings(n);
  return rc;
}

int torc_node_link_down(torc_node *n, torc_link_id link, torc_time now) {
  n = live(n);
  if (n->second == NULL) {
    return torc_core_link_down(n, link, now);
  }
  torc_parked *p = find_parked(n->move, link);
  enter_both(n, now);
  if (p != NULL) {
    unpark(n, p, NULL);
    return 0;
  }
  rescue(n, link);
  rescue(n->second, link);
  int rc = torc_core_link_down(n, link, now);
  rc = rc != 0 ? rc : torc_core_link_down(n->second, link, now);
  settle_both(n);
  return rc;
}

int torc_node_open_failed(torc_node *n, torc_token token, int rc, torc_time now) {
  n = live(n);
  torc_node *ring = enter_ring(n, token, now);
  int failed = ring == NULL ? 0 : torc_core_open_failed(ring, token, rc, now);
  settle_rings(n);
  return failed;
}

int torc_node_link_congested(torc_node *n, torc_link_id link, bool congested, torc_time now) {
  n = live(n);
  int rc = torc_core_link_congested(n, link, congested, now);
  return rc != 0 || n->second == NULL ? rc
                                      : torc_core_link_congested(n->second, link, congested, now);
}

int torc_node_link_mtu(torc_node *n, torc_link_id link, uint32_t mtu, torc_time now) {
  n = live(n);
  int rc = torc_core_link_mtu(n, link, mtu, now);
  if (rc != 0 || n->second == NULL) {
    return rc;
  }
  torc_parked *p = find_parked(n->move, link);
  if (p != NULL) {
    p->info.mtu = mtu;
  }
  return torc_core_link_mtu(n->second, link, mtu, now);
}

int torc_node_set_cached(torc_node *n, const torc_endpoint *cached, size_t num_cached) {
  n = live(n);
  int rc = torc_core_set_cached(n, cached, num_cached);
  return rc != 0 || n->second == NULL ? rc : torc_core_set_cached(n->second, cached, num_cached);
}

/* Groups are asked for the first ring only: the second finds its own over links that stand. */
int torc_node_discovered(torc_node *n, const torc_endpoint *at, torc_time now) {
  n = live(n);
  int rc = torc_core_discovered(n, at, now);
  settle_rings(n);
  return rc;
}

int torc_node_renew_link(torc_node *n, const torc_id *peer, torc_time now) {
  n = live(n);
  torc_node *ring = n->second != NULL && torc_link_of_peer(n, peer) == NULL ? n->second : n;
  return torc_core_renew_link(ring, peer, now);
}

int torc_node_offer_ready(torc_node *n, torc_token token, const torc_connect_params *params,
                          torc_time now) {
  n = live(n);
  torc_node *ring = enter_ring(n, token, now);
  int rc = ring == NULL ? 0 : torc_core_offer_ready(ring, token, params, now);
  settle_rings(n);
  return rc;
}

int torc_node_answer_ready(torc_node *n, torc_token token, const torc_connect_params *params,
                           uint16_t refuse, torc_time now) {
  n = live(n);
  torc_node *ring = enter_ring(n, token, now);
  int rc = ring == NULL ? 0 : torc_core_answer_ready(ring, token, params, refuse, now);
  settle_rings(n);
  return rc;
}

int torc_node_connection_up(torc_node *n, torc_token token, const torc_link_info *info,
                            torc_time now) {
  n = live(n);
  torc_node *ring = enter_ring(n, token, now);
  if (ring == NULL) {
    torc_cert_unref(n, info->cert);
    return TORC_ERR_NOTFOUND;
  }
  int rc = torc_core_connection_up(ring, token, info, now);
  settle_rings(n);
  return rc;
}

int torc_node_connection_down(torc_node *n, torc_token token, int rc, torc_time now) {
  n = live(n);
  torc_node *ring = enter_ring(n, token, now);
  int failed = ring == NULL ? 0 : torc_core_connection_down(ring, token, rc, now);
  settle_rings(n);
  return failed;
}

/* ---- outputs ---- */

/* A ring closes a link for itself; the platform does when no ring is left that uses it. */
static bool is_closed_by_both(torc_node *ring, torc_link_id id) {
  const torc_node *other = torc_rings_other(ring);
  const torc_link *l = other == NULL ? NULL : torc_link_find(other, id);
  if (l == NULL || l->is_closing) {
    return true;
  }
  if (torc_links_input_down(ring, id) != 0) {
    ring->stats->no_memory++;
  }
  torc_node_settle(ring);
  return false;
}

static bool is_told(torc_node *n, torc_node *ring, const torc_event *e) {
  torc_migration *m = n->move;
  switch (e->kind) {
    case TORC_EVENT_DONE:
      return !torc_joint_take(n, ring, e->token);
    case TORC_EVENT_JOINED:
    case TORC_EVENT_DISCONNECTED:
      return ring == lead(n);
    case TORC_EVENT_LEFT:
      if (!m->is_leaving || m->told_left || n->phase != TORC_PHASE_LEFT ||
          n->second->phase != TORC_PHASE_LEFT) {
        return false;
      }
      m->told_left = true;
      return true;
    case TORC_EVENT_TUNNEL:
    case TORC_EVENT_LINK:
    case TORC_EVENT_CONNECTION:
      break;
  }
  return true;
}

static bool is_for_platform(torc_node *n, torc_node *ring, const torc_output *o) {
  if (o->kind == TORC_OUT_CLOSE) {
    return is_closed_by_both(ring, o->link);
  }
  return o->kind != TORC_OUT_EVENT || is_told(n, ring, &o->event);
}

static bool is_ended(const torc_node *ring) {
  return ring->phase == TORC_PHASE_LEFT && ring->jobs.len == 0 && ring->calls.len == 0 &&
         torc_list_empty(&ring->outputs) && !ring->forward.is_full;
}

/* A ring that has been left and has nothing more to say. */
static bool end_ring(torc_node *n) {
  if (n->move->is_leaving) {
    return false;
  }
  if (n->move->is_dropping && is_ended(n->second)) {
    drop_second(n);
    return true;
  }
  if (n->move->stage != TORC_MIGRATION_NEW_ONLY || !is_ended(n)) {
    return false;
  }
  torc_joints_ring_gone(n, n);
  if (n->move->num_joints > 0) { /* what the second ring still has to answer */
    return false;
  }
  retire(n);
  return true;
}

bool torc_node_poll(torc_node *n, torc_output *out) {
  n = live(n);
  while (n->second != NULL) {
    torc_node *ring = n;
    bool has_any = torc_core_poll(ring, out);
    if (!has_any) {
      ring = n->second;
      has_any = torc_core_poll(ring, out);
    }
    if (!has_any && !end_ring(n)) {
      return false;
    }
    if (has_any && is_for_platform(n, ring, out)) {
      return true;
    }
    n = live(n);
  }
  return torc_core_poll(n, out);
}

/* ---- application calls ---- */

/* The ring that a call is for; NULL: both. */
static torc_node *one_ring(torc_node *n, bool is_write) {
  if (n->second == NULL || n->move->stage == TORC_MIGRATION_NONE) {
    return n;
  }
  if (n->move->stage == TORC_MIGRATION_NEW_ONLY && has_left(n)) { /* [MIG-05] */
    return n->second;
  }
  bool is_old = n->move->stage == TORC_MIGRATION_FETCH_OLD;
  return is_old && !is_write ? n : NULL; /* [MIG-03] */
}

int torc_node_store(torc_node *n, const torc_id *resource, const torc_store_item *items,
                    size_t num_items, torc_time now, torc_token *token) {
  n = live(n);
  torc_node *one = one_ring(n, true);
  if (one != NULL) {
    return torc_core_store(one, resource, items, num_items, now, token);
  }
  enter_both(n, now);
  int rc = torc_joint_store(n, resource, items, num_items, token);
  settle_both(n);
  return rc;
}

int torc_node_fetch(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                    size_t num_items, torc_time now, torc_token *token) {
  n = live(n);
  torc_node *one = one_ring(n, false);
  if (one != NULL) {
    return torc_core_fetch(one, resource, items, num_items, now, token);
  }
  enter_both(n, now);
  int rc = torc_joint_specified(n, TORC_METHOD_FETCH, false, resource, items, num_items, token);
  settle_both(n);
  return rc;
}

int torc_node_fetch_replicas(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                             size_t num_items, torc_time now, torc_token *token) {
  n = live(n);
  torc_node *one = one_ring(n, false);
  if (one != NULL) {
    return torc_core_fetch_replicas(one, resource, items, num_items, now, token);
  }
  enter_both(n, now);
  int rc = torc_joint_specified(n, TORC_METHOD_FETCH, true, resource, items, num_items, token);
  settle_both(n);
  return rc;
}

int torc_node_remove(torc_node *n, const torc_id *resource, const torc_fetch_item *items,
                     size_t num_items, torc_time now, torc_token *token) {
  n = live(n);
  torc_node *one = one_ring(n, true);
  if (one != NULL) {
    return torc_core_remove(one, resource, items, num_items, now, token);
  }
  enter_both(n, now);
  int rc = torc_joint_specified(n, TORC_METHOD_REMOVE, false, resource, items, num_items, token);
  settle_both(n);
  return rc;
}

int torc_node_find(torc_node *n, const torc_id *resource, const uint32_t *types, size_t num_types,
                   torc_time now, torc_token *token) {
  n = live(n);
  torc_node *one = one_ring(n, false);
  if (one != NULL) {
    return torc_core_find(one, resource, types, num_types, now, token);
  }
  enter_both(n, now);
  int rc = torc_joint_find(n, resource, types, num_types, token);
  settle_both(n);
  return rc;
}

int torc_node_ping(torc_node *n, const torc_id *route, size_t num_route, unsigned flags,
                   torc_time now, torc_token *token) {
  n = live(n);
  torc_node *one = one_ring(n, false);
  if (one != NULL) {
    return torc_core_ping(one, route, num_route, flags, now, token);
  }
  enter_both(n, now);
  int rc = torc_joint_send(n, TORC_METHOD_PING, route, num_route, flags, NULL, token);
  settle_both(n);
  return rc;
}

int torc_node_connect(torc_node *n, const torc_id *route, size_t num_route, torc_time now,
                      torc_token *token) {
  n = live(n);
  torc_node *one = one_ring(n, false);
  if (one != NULL) {
    return torc_core_connect(one, route, num_route, now, token);
  }
  enter_both(n, now);
  int rc = torc_joint_send(n, TORC_METHOD_CONNECT, route, num_route, 0, NULL, token);
  settle_both(n);
  return rc;
}

/* The peer is the same in both rings, and so is the connection: it is asked for over the one that
 * leads. */
int torc_node_connect_application(torc_node *n, const torc_id *route, size_t num_route,
                                  uint16_t application, torc_time now, torc_token *token) {
  n = live(n);
  if (n->second != NULL) {
    enter_both(n, now);
  }
  int rc = torc_core_connect_application(lead(n), route, num_route, application, now, token);
  settle_rings(n);
  return rc;
}

int torc_node_listen_connections(torc_node *n, uint16_t application, bool on) {
  n = live(n);
  int rc = torc_appconn_listen(n, application, on);
  return rc != 0 || n->second == NULL ? rc : torc_appconn_listen(n->second, application, on);
}

int torc_node_tunnel(torc_node *n, const torc_id *route, size_t num_route, uint16_t application,
                     torc_slice dialog_id, torc_slice pdu, torc_time now, torc_token *token) {
  n = live(n);
  torc_node *one = one_ring(n, false);
  torc_tunnel_data data = {
      .application = application, .dialog_id = dialog_id, .application_pdu = pdu};
  if (one != NULL) {
    return torc_core_tunnel(one, route, num_route, application, dialog_id, pdu, now, token);
  }
  enter_both(n, now);
  int rc = torc_joint_send(n, TORC_METHOD_TUNNEL, route, num_route, 0, &data, token);
  settle_both(n);
  return rc;
}

int torc_node_listen(torc_node *n, uint16_t application, bool on) {
  n = live(n);
  int rc = torc_core_listen(n, application, on);
  return rc != 0 || n->second == NULL ? rc : torc_core_listen(n->second, application, on);
}

int torc_node_resource_id(torc_node *n, torc_slice seed, torc_id *out) {
  return torc_core_resource_id(lead(n), seed, out);
}

int torc_node_type(torc_node *n, torc_slice name, uint32_t *id, uint8_t *model) {
  return torc_core_type(lead(n), name, id, model);
}

/* ---- state ---- */

static bool is_in(const torc_node_link_view *views, size_t num, torc_link_id id) {
  for (size_t i = 0; i < num; i++) {
    if (views[i].link == id) {
      return true;
    }
  }
  return false;
}

/* Those of the leading ring, then those that only the other one has. */
size_t torc_node_links(const torc_node *n, torc_node_link_view *out, size_t max) {
  const torc_node *first = lead(n);
  const torc_node *other = torc_rings_other(first);
  size_t own = torc_core_links(first, out, max);
  if (other == NULL) {
    return own;
  }
  size_t end = own + torc_core_links(other, out + own, max - own);
  size_t num = own;
  for (size_t i = own; i < end; i++) {
    if (!is_in(out, own, out[i].link)) {
      out[num] = out[i];
      num++;
    }
  }
  return num;
}

void torc_node_get_view(const torc_node *n, torc_node_view *out) {
  torc_core_get_view(lead(n), out);
}

bool torc_node_holds(const torc_node *n, const torc_id *resource) {
  return torc_core_holds(lead(n), resource);
}

void torc_node_counters(const torc_node *n, void *ctx,
                        void (*each)(void *ctx, const char *name, uint64_t value)) {
  torc_migration_view v;
  torc_node_get_migration(n, &v);
  torc_core_counters(lead(n), ctx, each);
  each(ctx, "migration_carried", v.carried);
  each(ctx, "migration_refused", v.refused);
  each(ctx, "migration_failed", v.failed);
  each(ctx, "migration_rounds", v.rounds);
  each(ctx, "migration_retried", v.retried);
}

void torc_node_tables(const torc_node *n, void *ctx, torc_node_table_fn each) {
  torc_core_tables(lead(n), ctx, each);
}

void torc_node_get_migration(const torc_node *n, torc_migration_view *out) {
  *out = (torc_migration_view){.old_state = "none", .new_state = "none"};
  if (n->is_retired) {
    const torc_node *now = live(n);
    *out = n->move->seen; /* of the move that is over */
    out->stage = TORC_MIGRATION_NEW_ONLY;
    out->old_state = "left";
    if (now->second == NULL) {
      out->new_state = torc_node_state_name(now);
      return;
    }
    n = now;
  }
  if (n->second != NULL) {
    *out = n->move->seen;
    out->is_carrying = n->move->carry.is_walking;
    out->old_state = torc_node_state_name(n);
    out->new_state = torc_node_state_name(n->second);
  } else {
    out->old_state = torc_node_state_name(n);
  }
}
