/* The name of a state of the model: equal for states that cannot be told apart by what they lead
 * to. Times count only as far as they lie ahead, numbers of requests only by their order.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ring_world.h"

/* ---- the name of a state ---- */

typedef struct hash {
  uint64_t a, b;
} hash;

static void put(hash *h, uint64_t v) {
  h->a = (h->a ^ v) * 0x9E3779B97F4A7C15u;
  h->a ^= h->a >> 29;
  h->b = (h->b + v) * 0xC2B2AE3D27D4EB4Fu;
  h->b ^= h->b >> 31;
  h->b *= 0xFF51AFD7ED558CCDu;
}

/* A time that matters only while it lies ahead. */
static void put_time(hash *h, torc_time at) {
  put(h, at == TORC_NEVER ? 1 : at > model.now ? at - model.now + 2 : 0);
}

static void put_id(hash *h, const torc_id *id) {
  uint64_t last = id->b[TORC_ID_LEN - 1];
  put(h, ((uint64_t)id->b[0] << 8) | last);
}

static void put_member(hash *h, const torc_topology *t, const torc_ring_member *m) {
  const torc_ring_pace *pace = torc_ring_pace_find(t, &m->id);
  torc_time age = 2 * t->params->update_period + t->params->update_period / 2;
  put_id(h, &m->id);
  put_id(h, &m->first_pred);
  put_time(h, torc_time_add(m->since, TORC_RING_GLARE));
  put(h, m->heard != 0);
  if (!torc_ring_is_near(t, m)) {
    put_time(h, torc_time_add(m->heard > m->since ? m->heard : m->since, age));
  }
  put_time(h, torc_time_add(m->window, TORC_RING_GRACE));
  put_time(h, torc_time_add(m->window, t->params->update_period));
  if (pace != NULL) { /* tokens are left out: nobody here runs short of them */
    put_time(h, pace->retry_at);
    put_time(h, pace->suspected == 0 ? 0 : torc_time_add(pace->suspected, TORC_RING_SUSPECT_PAUSE));
    put_time(h, pace->told_at == 0 ? 0 : torc_time_add(pace->told_at, TORC_RING_RETRY));
  }
  put(h, (m->is_update_due ? 1u : 0u) | (m->is_update_out ? 2u : 0u) | (m->is_restored ? 4u : 0u));
}

static void put_cand(hash *h, const torc_topology *t, const torc_ring_cand *c) {
  put_id(h, &c->id);
  put_id(h, &c->reporters[0]);
  put_id(h, &c->reporters[1]);
  put_time(h, torc_time_add(c->since, t->params->retry_unreachable));
  put(h, c->tried_at == 0);
  put_time(h, c->tried_at == 0 ? 0 : torc_time_add(c->tried_at, TORC_RING_PENDING));
  put_time(h, c->retry_at);
  put(h, c->state);
  put(h, c->fails < 4 ? c->fails : 4);
  put_id(h, &c->via);
  put(h, c->was_member);
}

/* Is the answer to this still the one that is waited for? */
static uint64_t is_current(const torc_topology *t, const torc_ring_op *op) {
  const torc_ring_cand *c;
  switch (op->kind) {
    case TORC_OP_JOIN_PING:
    case TORC_OP_JOIN_CONNECT:
    case TORC_OP_JOIN:
      return op->arg == t->join.attempt;
    case TORC_OP_HANDOFF_TRANSFER:
    case TORC_OP_HANDOFF_UPDATE:
      return op->arg == t->handoff.serial;
    case TORC_OP_CAND_CONNECT:
      c = torc_ring_cand_find(t, &op->peer);
      return c != NULL && c->serial == op->arg;
    case TORC_OP_SYNC_TRANSFER:
      for (size_t i = 0; i < t->num_replicas; i++) {
        if (torc_id_eq(&t->replicas[i].id, &op->peer)) {
          return t->replicas[i].serial == op->arg;
        }
      }
      return 0;
    default:
      return op->arg;
  }
}

/* Position of a cookie among those under way: what matters of it. */
static uint64_t ordinal(unsigned peer, torc_token cookie) {
  const torc_topology *t = model.peers[peer].topo;
  uint64_t before = 0;
  for (size_t i = 0; i < t->num_ops; i++) {
    if (t->ops[i].cookie == cookie) {
      before += 1000;
    }
    before += t->ops[i].cookie < cookie ? 1 : 0;
  }
  return before;
}

static void put_ops(hash *h, const torc_topology *t) {
  torc_token last = 0;
  put(h, t->num_ops);
  for (size_t k = 0; k < t->num_ops; k++) { /* in the order they began */
    const torc_ring_op *next = NULL;
    for (size_t i = 0; i < t->num_ops; i++) {
      const torc_ring_op *op = &t->ops[i];
      if (op->cookie > last && (next == NULL || op->cookie < next->cookie)) {
        next = op;
      }
    }
    last = next->cookie;
    put(h, next->kind);
    put(h, is_current(t, next));
    put_id(h, &next->peer);
    put_id(h, &next->from);
    put_id(h, &next->to);
  }
}

static void put_join(hash *h, const torc_topology *t) {
  put(h, t->join.stage);
  put(h, t->join.has_data);
  if (t->join.stage == TORC_JOIN_NONE) {
    return;
  }
  put_id(h, &t->join.bootstrap);
  put_id(h, &t->join.ap);
  put(h, t->join.num_found);
  for (size_t i = 0; i < t->join.num_found; i++) {
    put_id(h, &t->join.found[i]);
  }
  put(h, t->join.pending);
  put(h, t->join.num_busy < 3 ? t->join.num_busy : 3);
  put(h, t->join.num_failed);
  put(h, t->join.is_chain_done);
  put_time(h, t->join.deadline);
}

static void put_data(hash *h, const torc_topology *t) {
  for (size_t i = 0; i < t->num_replicas; i++) {
    const torc_ring_replica *r = &t->replicas[i];
    put_id(h, &r->id);
    put(h, (r->is_synced ? 1u : 0u) | (r->is_running ? 2u : 0u));
    put_id(h, &r->synced_from);
    put(h, r->fails < 8 ? r->fails : 8);
    put_time(h, r->retry_at);
  }
  put(h, t->num_owed);
  for (size_t i = 0; i < t->num_owed; i++) {
    put_id(h, &t->owed[i].from);
    put_id(h, &t->owed[i].to);
  }
  put(h, t->is_owed_running);
  put(h, t->owed_fails < 8 ? t->owed_fails : 8);
  put_time(h, t->owed_retry_at);
  put_id(h, &t->owed_peer);
  for (size_t i = 0; i < t->num_former; i++) {
    if (t->former[i].until > model.now) {
      put_id(h, &t->former[i].sender);
      put_id(h, &t->former[i].lower);
      put_time(h, t->former[i].until);
    }
  }
  put(h, t->merged_at != 0);
  put_time(h, t->merged_at == 0 ? 0 : torc_time_add(t->merged_at, TORC_RING_MERGE_QUIET));
  put(h, t->restores_left);
  put_time(h, t->restores_left == 0 ? 0 : torc_time_add(t->joined_at, TORC_RING_GRACE));
  for (size_t i = 0; i < TORC_ARRAY_LEN(t->deaths); i++) {
    const torc_ring_death *d = &t->deaths[i];
    torc_time until = d->at == 0 ? 0 : torc_time_add(d->at, TORC_RING_BESIDE);
    put_time(h, until);
    if (until > model.now) {
      put_id(h, &d->id);
    }
  }
}

static void put_topology(hash *h, const torc_topology *t) {
  put(h, t->state);
  put(h, t->has_range);
  put_id(h, &t->range_from);
  put_time(h, torc_time_add(t->changed_at, t->params->deletion_delay));
  put_time(h, t->hold_until);
  put_id(h, &t->succ_edge);
  put(h, t->num_members);
  for (size_t i = 0; i < t->num_members; i++) {
    put_member(h, t, &t->members[i]);
  }
  put(h, t->num_cands);
  for (unsigned i = 0; i < PEERS; i++) {
    torc_id id = model_id_of(i);
    const torc_ring_cand *c = torc_ring_cand_find(t, &id);
    if (c != NULL) {
      put_cand(h, t, c);
    }
  }
  put_ops(h, t);
  put_join(h, t);
  put(h, t->handoff.stage);
  if (t->handoff.stage != TORC_HANDOFF_NONE) {
    put_id(h, &t->handoff.jp);
    put_id(h, &t->handoff.from);
    put_time(h, t->handoff.deadline);
  }
  put_data(h, t);
  put(h, (t->is_cut ? 1u : 0u) | (t->has_gap ? 2u : 0u) | (t->is_gap_running ? 4u : 0u) |
             (t->is_boot_running ? 8u : 0u) | (t->has_sent_leaves ? 16u : 0u));
  put_time(h, t->gap_retry_at);
  put_id(h, &t->gap_peer);
  put_time(h, t->founded_at == 0 ? 0 : torc_time_add(t->founded_at, t->params->update_period));
  put(h, t->rejoin_delay);
  put(h, t->leaves_pending);
  put_time(h, t->leave_deadline);
  for (size_t i = 0; i < TORC_ALARMS; i++) {
    put_time(h, t->alarms[i]);
  }
}

static uint64_t slot_name(unsigned slot) {
  uint64_t before = 1;
  if (!model.copies[slot].is_used) {
    return 0;
  }
  for (unsigned i = 0; i < slot; i++) { /* among those of the same two */
    before += model.copies[i].is_used && model.copies[i].from == model.copies[slot].from &&
              model.copies[i].to == model.copies[slot].to;
  }
  return before;
}

static void put_message(hash *h, const model_message *m) {
  put(h, ((uint64_t)m->kind << 24) | ((uint64_t)m->method << 8) | m->version);
  put(h, m->code);
  if (m->kind == MODEL_REQUEST && model.peers[m->from].is_alive) {
    put(h, ordinal(m->from, m->cookie));
  } else if (m->kind == MODEL_RESPONSE) {
    put(h, ordinal(m->to, m->cookie));
  }
  if (m->kind == MODEL_COPY || m->kind == MODEL_COPY_ANSWER) {
    put(h, slot_name(m->slot));
  }
  put(h, ((uint64_t)m->num_preds << 8) | m->num_succs);
  for (unsigned i = 0; i < m->num_preds; i++) {
    put(h, m->preds[i]);
  }
  for (unsigned i = 0; i < m->num_succs; i++) {
    put(h, m->succs[i]);
  }
}

static void put_network(hash *h) {
  for (unsigned a = 0; a < PEERS; a++) {
    for (unsigned b = 0; b < PEERS; b++) {
      put(h, 77 + (model.links[a][b] ? 1u : 0u));
      for (size_t i = 0; i < model.num_messages; i++) {
        if (model.messages[i].from == a && model.messages[i].to == b) {
          put_message(h, &model.messages[i]);
        }
      }
    }
  }
  if (model.num_messages > 0 && (model_is_calm() || DELAYS >= 0)) { /* the order counts */
    for (size_t i = 0; i < model.num_messages; i++) {
      put(h, ((uint64_t)model.messages[i].from << 8) | model.messages[i].to);
    }
  }
  put(h, model.num_ops);
  for (size_t i = 0; i < model.num_ops; i++) {
    const model_op *op = &model.ops[i];
    put(h, ((uint64_t)op->kind << 24) | ((uint64_t)op->peer << 16) | ((uint64_t)op->via << 8) |
               (op->is_exact ? 1u : 0u));
    put(h, ordinal(op->peer, op->cookie));
    put_id(h, &op->target);
    put_time(h, op->due);
    put(h, (uint64_t)(op->rc + 100));
    put(h, op->kind == MODEL_RETRY ? slot_name(op->slot) + op->slot : 0);
  }
  for (unsigned i = 0; i < COPIES_MAX; i++) {
    const model_copy *c = &model.copies[i];
    if (c->is_used) {
      put(h, ((uint64_t)c->from << 24) | ((uint64_t)c->to << 16) | ((uint64_t)c->version << 8) |
                 (c->cookie == 0 ? c->write + 1u : 0u));
      put(h, c->cookie == 0 ? 0 : ordinal(c->from, c->cookie));
      put(h, c->delay);
      put_time(h, c->deadline);
    }
  }
  for (unsigned i = 0; i < WRITES_MAX; i++) {
    const model_write *w = &model.writes[i];
    if (w->is_used) {
      put(h, ((uint64_t)w->peer << 24) | ((uint64_t)w->version << 16) |
                 ((uint64_t)w->waiting << 8) | w->answer_to);
      put(h, w->answer_to == NOBODY ? 0 : slot_name(w->slot));
    }
  }
}

void model_name_state(unsigned long long key[2]) {
  hash h = {0x1234567, 0x89ABCDE};
  put(&h, model.now - model.event_at);
  put(&h, model.num_events);
  put(&h, model.slow);
  put(&h, model.delays);
  put(&h, model.deaths);
  put(&h, ((uint64_t)model.issued << 8) | model.answered);
  for (unsigned i = 0; i < PEERS; i++) {
    const model_peer *p = &model.peers[i];
    put(&h, (p->is_alive ? 1u : 0u) | (p->is_leaving ? 2u : 0u) | ((uint64_t)p->version << 8) |
                ((uint64_t)p->learned_via << 16));
    if (p->is_alive) {
      put_topology(&h, p->topo);
    }
  }
  put_network(&h);
  key[0] = h.a;
  key[1] = h.b;
}
