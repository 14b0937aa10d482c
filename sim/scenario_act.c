/* The actions of a scenario, planned between the windows of the engine.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "scenario_impl_run.h"

#define STORE_PATIENCE TORC_SEC(600) /* no owner has joined */
#define HAS(a, key) (((a)->has & (1u << (key))) != 0)

static uint64_t key_or(const torc_action *a, torc_key k, uint64_t otherwise) {
  return HAS(a, k) ? a->keys[k] : otherwise;
}

/* ---- nodes come and go ---- */

static void note_life(run *r, torc_sim_index i) {
  if (i >= r->num_lives) {
    size_t cap = (size_t)i * 2 + 64;
    uint32_t *grown = realloc(r->lives, cap * sizeof *grown);
    if (grown == NULL) {
      r->rc = TORC_ERR_NOMEM;
      return;
    }
    memset(grown + r->num_lives, 0, (cap - r->num_lives) * sizeof *grown);
    r->lives = grown;
    r->num_lives = cap;
  }
  r->lives[i]++;
}

static torc_sim_index add_node(run *r, torc_role role, unsigned hostile) {
  torc_sim_node_options o = {.role = role, .hostile = hostile};
  torc_sim_index i = 0;
  if (r->rc == 0) {
    r->rc = torc_workload_reserve(r->w);
  }
  if (r->rc == 0) {
    r->rc = torc_sim_add(r->s, &o, &i);
  }
  if (r->rc == 0) {
    r->rc = torc_workload_up(r->w, i, role);
  }
  if (r->rc == 0) {
    torc_workload_node(r->w, i)->is_hostile = hostile != 0;
    note_life(r, i);
  }
  return i;
}

static void end_node(run *r, torc_sim_index i, torc_end_kind how, bool comes_back) {
  const torc_work_node *n = torc_workload_node(r->w, i);
  if (n->ended != 0) {
    return;
  }
  if (how == TORC_ENDS_LEAVE) {
    torc_sim_leave(r->s, i);
  } else {
    torc_sim_stop(r->s, i, how == TORC_ENDS_CRASH ? TORC_SIM_CRASH : TORC_SIM_VANISH);
    if (!comes_back) {
      torc_sim_forget(r->s, i);
    }
  }
  torc_workload_down(r->w, i, how == TORC_ENDS_VANISH);
}

static void restart_node(run *r, torc_sim_index i, bool keeps) {
  torc_work_node *n = torc_workload_node(r->w, i);
  if (n->ended == 0 || torc_sim_is_up(r->s, i)) {
    return; /* one that leaves is not down yet */
  }
  int rc = torc_sim_restart(r->s, i, keeps);
  r->rc = r->rc == 0 ? rc : r->rc;
  rc = torc_workload_up(r->w, i, (torc_role)n->role);
  r->rc = r->rc == 0 ? rc : r->rc;
  note_life(r, i);
}

/* ---- sessions ---- */

static bool sooner(const session *a, const session *b) {
  return a->at != b->at ? a->at < b->at : a->node < b->node;
}

static void push_session(run *r, session e) {
  if (r->num_sessions == r->cap_sessions) {
    size_t cap = r->cap_sessions == 0 ? 256 : r->cap_sessions * 2;
    session *grown = realloc(r->sessions, cap * sizeof *grown);
    if (grown == NULL) {
      r->rc = TORC_ERR_NOMEM;
      return;
    }
    r->sessions = grown;
    r->cap_sessions = cap;
  }
  size_t i = r->num_sessions++;
  while (i > 0 && sooner(&e, &r->sessions[(i - 1) / 2])) {
    r->sessions[i] = r->sessions[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  r->sessions[i] = e;
}

static session pop_session(run *r) {
  session first = r->sessions[0];
  session last = r->sessions[--r->num_sessions];
  size_t i = 0;
  while (2 * i + 1 < r->num_sessions) {
    size_t c = 2 * i + 1;
    if (c + 1 < r->num_sessions && sooner(&r->sessions[c + 1], &r->sessions[c])) {
      c++;
    }
    if (!sooner(&r->sessions[c], &last)) {
      break;
    }
    r->sessions[i] = r->sessions[c];
    i = c;
  }
  if (r->num_sessions > 0) {
    r->sessions[i] = last;
  }
  return first;
}

static const torc_action *churn_of(const run *r) {
  for (size_t k = 0; k < r->num_acts; k++) {
    if (r->acts[k].state == ACT_RUNS && r->acts[k].a->verb == TORC_VERB_CHURN) {
      return r->acts[k].a;
    }
  }
  return NULL;
}

static torc_time draw_session(run *r, const torc_action *a) {
  uint64_t random = torc_rng_u64(&r->rng);
  torc_time mean = a->keys[TORC_KEY_MEAN];
  switch ((torc_session_kind)a->keys[TORC_KEY_SESSION]) {
    case TORC_SESSION_PARETO:
      return torc_session_pareto(mean, a->keys[TORC_KEY_SHAPE], random);
    case TORC_SESSION_WEIBULL:
      return torc_session_weibull(mean, a->keys[TORC_KEY_SHAPE], random);
    case TORC_SESSION_EXPONENTIAL:
      break;
  }
  return torc_session_exponential(mean, random);
}

static void give_session(run *r, const torc_action *a, torc_sim_index i) {
  push_session(r, (session){.at = torc_sim_now(r->s) + draw_session(r, a),
                            .node = i,
                            .life = i < r->num_lives ? r->lives[i] : 0});
}

torc_time torc_sessions_next(const run *r) {
  if (r->num_sessions == 0 || churn_of(r) == NULL) {
    return TORC_NEVER;
  }
  torc_time at = r->sessions[0].at; /* many sessions end in one stop of the engine */
  return at > UINT64_MAX - STEP ? at : (at / STEP + 1) * STEP;
}

void torc_sessions_due(run *r) {
  const torc_action *a = churn_of(r);
  torc_time now = torc_sim_now(r->s);
  while (a != NULL && r->num_sessions > 0 && r->sessions[0].at <= now && r->rc == 0) {
    session e = pop_session(r);
    torc_replace_kind replace = (torc_replace_kind)a->keys[TORC_KEY_REPLACE];
    if (r->lives[e.node] != e.life) {
      continue;
    }
    if (e.is_return) {
      restart_node(r, e.node, a->keys[TORC_KEY_KEEPS] != 0);
      give_session(r, a, e.node);
      continue;
    }
    torc_role role = (torc_role)torc_workload_node(r->w, e.node)->role;
    end_node(r, e.node, (torc_end_kind)a->keys[TORC_KEY_ENDS], replace == TORC_REPLACE_SAME);
    if (replace == TORC_REPLACE_NEW) {
      give_session(r, a, add_node(r, role, 0));
    } else if (replace == TORC_REPLACE_SAME) {
      torc_time mean = key_or(a, TORC_KEY_DOWN, TORC_SEC(60));
      torc_time down = torc_session_exponential(mean, torc_rng_u64(&r->rng));
      e.at = now + (down < TORC_SEC(5) ? TORC_SEC(5) : down);
      e.is_return = true;
      push_session(r, e);
    }
  }
}

static void start_churn(run *r, act *x) {
  size_t num = 0;
  for (int k = 0; k < 2; k++) {
    const torc_sim_index *live =
        torc_workload_live(r->w, k == 0 ? TORC_ROLE_PEER : TORC_ROLE_CLIENT, &num);
    for (size_t i = 0; i < num; i++) {
      if (live[i] >= r->num_bootstrap) {
        give_session(r, x->a, live[i]);
      }
    }
  }
  if (x->a->keys[TORC_KEY_ENDS] != TORC_ENDS_LEAVE) { /* the model knows no hand-over */
    r->session_mean_s = (double)x->a->keys[TORC_KEY_MEAN] / 1e6;
  }
  r->churn_from = torc_sim_now(r->s);
  r->churn_to = TORC_NEVER;
}

/* ---- whom ---- */

/* Moves `take` of the `num` to the front, at random. */
static void choose(run *r, torc_sim_index *nodes, size_t num, size_t take) {
  for (size_t i = 0; i < take; i++) {
    size_t k = i + (size_t)torc_rng_below(&r->rng, num - i);
    torc_sim_index t = nodes[i];
    nodes[i] = nodes[k];
    nodes[k] = t;
  }
}

/* A peer that found nobody on its side of a split has answered its owner's writes alone: going, it
 * would take them with it, which no ring can prevent. */
static bool is_alone_apart(const run *r, torc_sim_index i) {
  torc_node_view v;
  const torc_node *n = torc_workload_is_apart(r->w) ? torc_sim_node(r->s, i) : NULL;
  if (n == NULL) {
    return false;
  }
  torc_node_get_view(n, &v);
  return v.num_predecessors == 0 && v.num_successors == 0;
}

/* Live peers (or nodes that are down), not bootstrap peers unless they are named, nor, while the
 * ring is split, who is alone. */
static void choose_who(run *r, act *x, bool down) {
  const torc_who *w = &x->a->who;
  size_t all = torc_sim_num(r->s);
  torc_sim_index *nodes = calloc(all + 1, sizeof *nodes);
  size_t num = 0;
  if (nodes == NULL) {
    r->rc = TORC_ERR_NOMEM;
    return;
  }
  for (torc_sim_index i = 0; i < all; i++) {
    const torc_work_node *n = torc_workload_node(r->w, i);
    bool named = w->kind == TORC_WHO_RANGE;
    bool may = named ? i >= w->first && i <= w->last
                     : w->kind == TORC_WHO_ALL || (i >= r->num_bootstrap && !is_alone_apart(r, i));
    if ((n->ended != 0) == down && may) {
      nodes[num++] = i;
    }
  }
  size_t take = num;
  if (w->kind == TORC_WHO_COUNT) {
    take = w->number < num ? (size_t)w->number : num;
  } else if (w->kind == TORC_WHO_SHARE) {
    size_t live = 0;
    (void)torc_workload_live(r->w, TORC_ROLE_PEER, &live);
    size_t of = down ? num : live;
    take = (size_t)((uint64_t)of * w->number / 1000000);
    take = take < num ? take : num;
  }
  choose(r, nodes, num, take);
  x->nodes = nodes;
  x->num_nodes = take;
  x->total = take;
}

/* ---- pace ---- */

/* How many of x->total are due by now. */
static uint64_t due_by(const run *r, const act *x) {
  const torc_action *a = x->a;
  torc_time since = torc_sim_now(r->s) - x->started;
  torc_time over = key_or(a, TORC_KEY_OVER, 0);
  uint64_t due = x->total;
  if (HAS(a, TORC_KEY_DOUBLING)) {
    uint64_t from = key_or(a, TORC_KEY_FROM, 8);
    uint64_t power = (uint64_t)(((unsigned __int128)since << 20) / a->keys[TORC_KEY_DOUBLING]);
    due = power > (uint64_t)30 << 20 ? x->total
                                     : (from * torc_exp2_q20(power + ((uint64_t)20 << 20))) >> 20;
  } else if (HAS(a, TORC_KEY_RATE)) {
    due = (uint64_t)((unsigned __int128)since * a->keys[TORC_KEY_RATE] / 1000000000) + 1;
  } else if (since < over) {
    due = (uint64_t)((unsigned __int128)x->total * since / over);
  }
  return due < x->total ? due : x->total;
}

static void finish(const run *r, act *x) {
  x->state = ACT_DONE;
  x->ended = torc_sim_now(r->s);
  free(x->nodes);
  x->nodes = NULL;
}

static void step_node(run *r, const act *x, uint64_t k) {
  const torc_action *a = x->a;
  if (a->verb == TORC_VERB_JOIN) {
    bool is_client = key_or(a, TORC_KEY_AS, TORC_ROLE_PEER) == TORC_ROLE_CLIENT;
    (void)add_node(r, is_client ? TORC_ROLE_CLIENT : TORC_ROLE_PEER,
                   (unsigned)a->keys[TORC_KEY_DOES]);
  } else if (a->verb == TORC_VERB_MIGRATE) {
    int rc = torc_sim_migrate(r->s, x->nodes[k], (torc_migration_stage)a->keys[TORC_KEY_STAGE]);
    r->rc = r->rc == 0 ? rc : r->rc;
  } else if (a->verb == TORC_VERB_RESTART) {
    restart_node(r, x->nodes[k], key_or(a, TORC_KEY_KEEPS, 1) != 0);
  } else {
    end_node(r, x->nodes[k],
             a->verb == TORC_VERB_LEAVE   ? TORC_ENDS_LEAVE
             : a->verb == TORC_VERB_CRASH ? TORC_ENDS_CRASH
                                          : TORC_ENDS_VANISH,
             true);
  }
}

static void step_nodes(run *r, act *x) {
  uint64_t due = due_by(r, x);
  for (; x->done < due && r->rc == 0; x->done++) {
    step_node(r, x, x->done);
  }
  if (x->done >= x->total) {
    finish(r, x);
    return;
  }
  x->wake = torc_sim_now(r->s) + JOIN_STEP;
}

static void start_join(run *r, act *x) {
  size_t live = 0;
  (void)torc_workload_live(r->w, TORC_ROLE_PEER, &live);
  x->total = x->a->who.kind == TORC_WHO_SHARE ? (uint64_t)live * x->a->who.number / 1000000
                                              : x->a->who.number;
}

/* ---- calls ---- */

static bool pick_caller(run *r, const torc_action *a, torc_sim_index *out) {
  size_t num_peers = 0;
  size_t num_clients = 0;
  const torc_sim_index *peers = torc_workload_live(r->w, TORC_ROLE_PEER, &num_peers);
  const torc_sim_index *clients = torc_workload_live(r->w, TORC_ROLE_CLIENT, &num_clients);
  uint64_t as = key_or(a, TORC_KEY_AS, 0);
  num_peers = as == TORC_ROLE_CLIENT ? 0 : num_peers;
  num_clients = as == TORC_ROLE_PEER ? 0 : num_clients;
  for (int tries = 0; tries < 16 && num_peers + num_clients > 0; tries++) {
    size_t k = (size_t)torc_rng_below(&r->rng, num_peers + num_clients);
    torc_sim_index i = k < num_peers ? peers[k] : clients[k - num_peers];
    if (torc_workload_node(r->w, i)->is_joined) {
      *out = i;
      return true;
    }
  }
  return false;
}

/* A value whose owner lives, if `owned`; SIZE_MAX: none was found. */
static size_t pick_value(run *r, bool owned) {
  size_t num = torc_workload_num_values(r->w);
  for (int tries = 0; tries < 16 && num > 0; tries++) {
    size_t place = (size_t)torc_rng_below(&r->rng, num);
    const torc_work_value *v = torc_workload_value(r->w, place);
    if (torc_workload_is_owed(r->w, place) &&
        (!owned || torc_workload_node(r->w, v->owner)->ended == 0)) {
      return place;
    }
  }
  return SIZE_MAX;
}

static void plan_fetch(run *r, const torc_action *a, torc_time at) {
  torc_sim_index caller = 0;
  bool one = key_or(a, TORC_KEY_OF, TORC_OF_ANY) == TORC_OF_ONE;
  size_t place = one && torc_workload_num_values(r->w) > 0 ? 0 : pick_value(r, false);
  if (place != SIZE_MAX && pick_caller(r, a, &caller)) {
    bool asks = key_or(a, TORC_KEY_ASK, TORC_ASK_NONE) == TORC_ASK_REPLICAS;
    torc_workload_fetch(r->w, caller, place, asks ? TORC_FETCH_ASKING : TORC_FETCH_PLAIN, at);
  }
}

static void plan_call(run *r, const torc_action *a, torc_time at) {
  torc_sim_index caller = 0;
  if (a->verb == TORC_VERB_LOOKUPS) {
    if (pick_caller(r, a, &caller)) {
      torc_workload_lookup(r->w, caller, at);
    }
    return;
  }
  if (a->verb == TORC_VERB_FETCHES) {
    plan_fetch(r, a, at);
    return;
  }
  size_t place = pick_value(r, true);
  if (place == SIZE_MAX) {
    return;
  }
  if (a->verb == TORC_VERB_OVERWRITES) {
    torc_workload_store(r->w, place, at);
  } else {
    torc_workload_remove(r->w, place, at);
  }
}

/* Plans what falls into the next step, evenly with a jitter of its own. */
static void step_calls(run *r, act *x) {
  torc_time now = torc_sim_now(r->s);
  torc_time until = now + STEP;
  torc_time end = HAS(x->a, TORC_KEY_FOR) ? x->started + x->a->keys[TORC_KEY_FOR] : TORC_NEVER;
  until = until < end ? until : end;
  uint64_t due = (uint64_t)((unsigned __int128)(until - x->started) * x->a->rate / 1000000000);
  for (; x->done < due; x->done++) {
    plan_call(r, x->a, now + torc_rng_below(&r->rng, until - now));
  }
  x->wake = until;
  if (now >= end) {
    finish(r, x);
  }
}

static void start_store(run *r, act *x) {
  size_t num = 0;
  const torc_sim_index *live = torc_workload_live(r->w, TORC_ROLE_PEER, &num);
  x->nodes = calloc(num + 1, sizeof *x->nodes);
  if (x->nodes == NULL) {
    r->rc = TORC_ERR_NOMEM;
    return;
  }
  memcpy(x->nodes, live, num * sizeof *live);
  choose(r, x->nodes, num, num);
  x->num_nodes = num;
  x->total = x->a->who.kind == TORC_WHO_SHARE ? (uint64_t)num * x->a->who.number / 1000000
                                              : x->a->who.number;
}

static void step_store(run *r, act *x) {
  const torc_action *a = x->a;
  uint64_t due = due_by(r, x);
  torc_time now = torc_sim_now(r->s);
  size_t tries = 0; /* an owner must live and have joined */
  while (x->done < due && r->rc == 0 && x->num_nodes > 0 && tries < x->num_nodes) {
    torc_sim_index owner = x->nodes[(x->done + x->round) % x->num_nodes];
    size_t place = 0;
    if (!torc_workload_node(r->w, owner)->is_joined) {
      x->round++;
      tries++;
      continue;
    }
    tries = 0;
    r->rc = torc_workload_add_value(r->w, owner, (uint32_t)key_or(a, TORC_KEY_SIZE, 100),
                                    key_or(a, TORC_KEY_LIFETIME, TORC_SEC(86400) * 2),
                                    a->keys[TORC_KEY_REFRESH], &place);
    if (r->rc == 0) {
      torc_workload_store(r->w, place, now + torc_rng_below(&r->rng, JOIN_STEP));
    }
    x->done++;
  }
  if (x->done >= x->total || x->num_nodes == 0 ||
      now > x->started + key_or(a, TORC_KEY_OVER, 0) + STORE_PATIENCE) {
    finish(r, x);
    return;
  }
  x->wake = now + JOIN_STEP;
}

/* ---- conditions that last ---- */

static void set_condition(run *r, const act *x, bool on) {
  const torc_action *a = x->a;
  if (a->verb == TORC_VERB_LINK && a->who.kind == TORC_WHO_NONE) {
    torc_sim_set_loss(r->s, on ? (uint32_t)a->keys[TORC_KEY_LOSS] : r->sc->config.loss_ppm);
    return;
  }
  for (size_t i = 0; i < x->num_nodes; i++) {
    torc_work_node *n = torc_workload_node(r->w, x->nodes[i]);
    if (a->verb == TORC_VERB_LINK) {
      torc_sim_set_node_loss(r->s, x->nodes[i], on ? (uint32_t)a->keys[TORC_KEY_LOSS] : 0);
    } else if (a->verb == TORC_VERB_HOSTILE) {
      n->is_hostile = on && a->keys[TORC_KEY_DOES] != 0;
      torc_sim_set_hostile(r->s, x->nodes[i], on ? (unsigned)a->keys[TORC_KEY_DOES] : 0);
    } else {
      n->group = on ? 1 : 0;
      torc_sim_set_group(r->s, x->nodes[i], n->group);
      torc_workload_set_apart(r->w, true); /* until the next "measure" */
    }
  }
  torc_workload_ring_changed(r->w);
}

static void heal(run *r) {
  for (torc_sim_index i = 0; i < torc_sim_num(r->s); i++) {
    torc_workload_node(r->w, i)->group = 0;
    torc_sim_set_group(r->s, i, 0);
  }
  torc_workload_ring_changed(r->w);
}

static void step_condition(run *r, act *x) {
  bool lasts = HAS(x->a, TORC_KEY_FOR);
  if (x->round == 0) {
    x->round = 1;
    set_condition(r, x, true);
    x->wake = lasts ? x->started + x->a->keys[TORC_KEY_FOR] : torc_sim_now(r->s);
    if (!lasts) {
      finish(r, x);
    }
    return;
  }
  set_condition(r, x, false);
  finish(r, x);
}

static void step_churn(run *r, act *x) {
  torc_time end = HAS(x->a, TORC_KEY_FOR) ? x->started + x->a->keys[TORC_KEY_FOR] : TORC_NEVER;
  x->wake = end;
  if (torc_sim_now(r->s) >= end) {
    r->churn_to = torc_sim_now(r->s);
    while (r->num_sessions > 0) { /* who would come back does so now */
      session e = pop_session(r);
      if (e.is_return && r->lives[e.node] == e.life) {
        restart_node(r, e.node, x->a->keys[TORC_KEY_KEEPS] != 0);
      }
    }
    finish(r, x);
  }
}

/* ---- any ---- */

static void choose_live(run *r, act *x) {
  if (x->a->who.kind != TORC_WHO_NONE) {
    choose_who(r, x, false);
  }
}

static void choose_victims(run *r, act *x) {
  size_t live = 0;
  (void)torc_workload_live(r->w, TORC_ROLE_PEER, &live);
  choose_who(r, x, false);
  if (live > 0 && torc_workload_num_values(r->w) > 0 && key_or(x->a, TORC_KEY_OVER, 0) == 0) {
    double now = torc_markov_at_once((double)live, (double)x->num_nodes / (double)live);
    r->at_once_share += (1 - r->at_once_share) * now;
  }
}

static void choose_down(run *r, act *x) {
  choose_who(r, x, true);
}

static void step_heal(run *r, act *x) {
  heal(r);
  finish(r, x);
}

static void step_measure(run *r, act *x) {
  torc_run_note_measure(r);
  finish(r, x);
}

static void step_end(run *r, act *x) {
  finish(r, x);
}

void torc_act_finish(const run *r, act *x) {
  finish(r, x);
}

static const struct {
  void (*start)(run *r, act *x); /* may be NULL */
  void (*step)(run *r, act *x);
} verbs[TORC_NUM_VERBS] = {
    [TORC_VERB_JOIN] = {start_join, step_nodes},
    [TORC_VERB_LEAVE] = {choose_live, step_nodes},
    [TORC_VERB_CRASH] = {choose_victims, step_nodes},
    [TORC_VERB_VANISH] = {choose_victims, step_nodes},
    [TORC_VERB_RESTART] = {choose_down, step_nodes},
    [TORC_VERB_MIGRATE] = {choose_live, step_nodes},
    [TORC_VERB_CHURN] = {start_churn, step_churn},
    [TORC_VERB_PARTITION] = {choose_live, step_condition},
    [TORC_VERB_HEAL] = {NULL, step_heal},
    [TORC_VERB_LINK] = {choose_live, step_condition},
    [TORC_VERB_HOSTILE] = {choose_live, step_condition},
    [TORC_VERB_LOOKUPS] = {NULL, step_calls},
    [TORC_VERB_FETCHES] = {NULL, step_calls},
    [TORC_VERB_STORE] = {start_store, step_store},
    [TORC_VERB_OVERWRITES] = {NULL, step_calls},
    [TORC_VERB_REMOVES] = {NULL, step_calls},
    [TORC_VERB_VERIFY] = {NULL, torc_verify_step},
    [TORC_VERB_MEASURE] = {NULL, step_measure},
    [TORC_VERB_EXPECT] = {NULL, torc_run_expect_step},
    [TORC_VERB_END] = {NULL, step_end},
};

void torc_act_start(run *r, act *x) {
  x->state = ACT_RUNS;
  x->started = torc_sim_now(r->s);
  if (verbs[x->a->verb].start != NULL) {
    verbs[x->a->verb].start(r, x);
  }
  torc_act_step(r, x);
}

void torc_act_step(run *r, act *x) {
  verbs[x->a->verb].step(r, x);
}
