/* Which steps are possible in a state of the model, and what they do.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ring_world.h"

#include <stdlib.h>
#include <string.h>

/* ---- life and death ---- */

static void gone(unsigned me, bool loses) {
  model_peer *p = &model.peers[me];
  size_t i = 0;
  p->is_alive = false;
  p->state = TORC_TOPO_IDLE;
#ifndef KEEPS /* its store outlives it: it may come back */
  p->version = 0;
#endif
  model_drop_messages(NOBODY, me);
  if (loses) {
    model_drop_messages(me, NOBODY);
  }
  while (i < model.num_ops) {
    if (model.ops[i].peer == me) {
      model_remove_op(i);
    } else {
      i++;
    }
  }
  for (i = 0; i < COPIES_MAX; i++) {
    if (model.copies[i].is_used && model.copies[i].from == me) {
      model.copies[i] = (model_copy){0};
    }
  }
  for (i = 0; i < WRITES_MAX; i++) {
    if (model.writes[i].is_used && model.writes[i].peer == me) {
      model.writes[i] = (model_write){0};
    }
  }
  for (unsigned other = 0; other < PEERS; other++) {
    if (other != me && model.links[other][me] && model.peers[other].is_alive) {
      model_push(MODEL_DOWN, me, other);
    }
    model.links[me][other] = false;
  }
}

/* ---- delivery ---- */

static torc_slice update_bytes(const model_message *m, uint8_t *buf, size_t cap) {
  torc_chord_update u = {.num_predecessors = m->num_preds, .num_successors = m->num_succs};
  torc_wr wr;
  for (size_t i = 0; i < m->num_preds; i++) {
    u.predecessors[i] = model_id_of(m->preds[i]);
  }
  for (size_t i = 0; i < m->num_succs; i++) {
    u.successors[i] = model_id_of(m->succs[i]);
  }
  torc_wr_init(&wr, buf, cap);
  if (torc_chord_update_put(&wr, &u) != 0) {
    model_broken("UPDATE");
  }
  return torc_wr_slice(&wr);
}

static torc_slice notice_bytes(unsigned who, uint8_t *buf, size_t cap) {
  torc_peer_notice notice = {.peer = model_id_of(who)};
  torc_wr wr;
  torc_wr_init(&wr, buf, cap);
  if (torc_peer_notice_put(&wr, &notice) != 0) {
    model_broken("notice");
  }
  return torc_wr_slice(&wr);
}

static const char *method_name(unsigned method) {
  return method == TORC_METHOD_JOIN ? "JOIN" : method == TORC_METHOD_LEAVE ? "LEAVE" : "UPDATE";
}

static void respond(const model_message *m, uint16_t code) {
  model_message *r;
  if (!model.links[m->to][m->from] || !model.peers[m->from].is_alive) {
    return;
  }
#ifdef FAST_ACKS
  /* The plain 200 of an UPDATE says little: it arrives at once if nothing is before it. */
  if (m->method == TORC_METHOD_UPDATE && code == TORC_CODE_OK &&
      model_head_of(m->to, m->from) == MESSAGES_MAX && model.links[m->from][m->to]) {
    model_ops->on_response(model.peers[m->from].topo, m->cookie, 0, code, (torc_slice){NULL, 0});
    return;
  }
#endif
  r = model_push(MODEL_RESPONSE, m->to, m->from);
  r->cookie = m->cookie;
  r->code = code;
  r->method = m->method;
}

static void deliver_request(const model_message *m) {
  uint8_t buf[512];
  torc_id from = model_id_of(m->from);
  torc_topology_reply reply = {.code = TORC_CODE_OK};
  torc_slice payload = m->method == TORC_METHOD_UPDATE ? update_bytes(m, buf, sizeof buf)
                                                       : notice_bytes(m->from, buf, sizeof buf);
  if (model_is_traced) {
    SAY("n%u gets %s of n%u", m->to, method_name(m->method), m->from);
    if (m->method == TORC_METHOD_UPDATE) {
      printf("            predecessors");
      for (unsigned i = 0; i < m->num_preds; i++) {
        printf(" n%u", m->preds[i]);
      }
      printf(", successors");
      for (unsigned i = 0; i < m->num_succs; i++) {
        printf(" n%u", m->succs[i]);
      }
      printf("\n");
    }
  }
  model_ops->on_request(model.peers[m->to].topo, (torc_method)m->method, &from, payload, &reply);
  respond(m, reply.code);
}

static void deliver_copy(const model_message *m) {
  model_peer *p = &model.peers[m->to];
  torc_id key = model_key_id();
  torc_id from = model_id_of(m->from);
  bool is_copy = model_ops->accepts_copy(p->topo, &from, &key);
  bool is_mine = model_ops->is_responsible(p->topo, &key);
  SAY("n%u gets version %u from n%u: %s", m->to, m->version, m->from,
      is_copy || is_mine ? "taken" : "refused");
  if (is_copy || is_mine) {
    bool is_news = m->version > p->version;
    model_write_here(m->to, m->version, is_mine && (is_news || !is_copy), m->from, m->slot);
  } else if (model.links[m->to][m->from] && model.peers[m->from].is_alive) {
    model_message *r = model_push(MODEL_COPY_ANSWER, m->to, m->from);
    r->slot = m->slot;
    r->code = TORC_CODE_FORBIDDEN;
  }
}

static void deliver_copy_answer(const model_message *m) {
  model_copy *c = &model.copies[m->slot];
  model_copy ended = *c;
  if (!c->is_used || c->from != m->to || c->to != m->from) {
    return;
  }
  if (m->code != TORC_CODE_OK && torc_time_add(model.now, c->delay) < c->deadline) {
    model_op *op = model_push_op(MODEL_RETRY, c->from, 0);
    op->slot = m->slot;
    op->due = torc_time_add(model.now, c->delay);
    c->delay *= 2;
    return;
  }
  *c = (model_copy){0};
  model_copy_ended(ended, m->code == TORC_CODE_OK ? 0 : TORC_ERR_REFUSED);
}

static void deliver(size_t i) {
  model_message m = model.messages[i];
  model_remove_message(i);
  if (!model.peers[m.to].is_alive || !model.links[m.to][m.from]) {
    return;
  }
  switch ((model_kind)m.kind) {
    case MODEL_REQUEST:
      deliver_request(&m);
      break;
    case MODEL_RESPONSE:
      SAY("n%u gets %u of n%u to its %s", m.to, m.code, m.from, method_name(m.method));
      model_ops->on_response(model.peers[m.to].topo, m.cookie, 0, m.code, (torc_slice){NULL, 0});
      break;
    case MODEL_COPY:
      deliver_copy(&m);
      break;
    case MODEL_COPY_ANSWER:
      deliver_copy_answer(&m);
      break;
    case MODEL_DOWN:
      model_down(m.to, m.from);
      break;
  }
}

static void flush(unsigned i) {
  torc_topology *t = model.peers[i].topo;
  torc_ring_disarm(t, TORC_ALARM_GATHER); /* as ring.c does it at that time */
  torc_ring_update_flush(t);
  torc_ring_settle(t);
}

static bool flush_is_due(unsigned i) {
  const model_peer *p = &model.peers[i];
  return p->is_alive && p->topo->alarms[TORC_ALARM_GATHER] <= torc_time_add(model.now, TORC_MS(5));
}

/* ---- the clock ---- */

static torc_time next_time(void) {
  torc_time next = TORC_NEVER;
  for (unsigned i = 0; i < PEERS; i++) {
    if (model.peers[i].is_alive) {
      torc_time at = torc_timers_next(&model.peers[i].timers);
      next = at < next ? at : next;
    }
  }
  for (size_t i = 0; i < model.num_ops; i++) {
    torc_time at = model.ops[i].due;
    next = at > model.now && at < next ? at : next;
  }
  return next < model.now ? model.now : next;
}

static void tick(void) {
  model.now = next_time();
  for (unsigned i = 0; i < PEERS; i++) {
    if (model.peers[i].is_alive) {
      torc_timers_run(&model.peers[i].timers, model.now);
    }
  }
}

/* ---- which step may come next ---- */

bool model_is_calm(void) {
  return model.now > torc_time_add(model.event_at, TORC_SEC(CALM));
}

static bool is_over(void) {
  return model.now > torc_time_add(model.event_at, TORC_SEC(HORIZON));
}

static size_t first_op(void) {
  size_t i = 0;
  while (i < model.num_ops && !model_op_is_due(&model.ops[i])) {
    i++;
  }
  return i;
}

static bool any_flush(unsigned *first) {
  for (*first = 0; *first < PEERS; (*first)++) {
    if (flush_is_due(*first)) {
      return true;
    }
  }
  return false;
}

static bool is_idle(void) {
  unsigned who;
  return model.num_messages == 0 && !any_flush(&who) && first_op() == model.num_ops;
}

/* May something happen out of turn? */
static bool may_deviate(void) {
  return !is_over() && !model_is_calm() && model.delays > 0;
}

static void deviate(bool is_first) {
  if (!is_first && DELAYS >= 0) {
    model.delays--;
  }
}

static bool is_first_message(size_t i) {
  return i == 0;
}

static bool is_first_flush(unsigned peer) {
  unsigned first;
  return model.num_messages == 0 && any_flush(&first) && first == peer;
}

static bool is_first_op(unsigned n) {
  unsigned who;
  return n == 0 && model.num_messages == 0 && !any_flush(&who);
}

static bool may_deliver(unsigned from, unsigned to) {
  size_t i = model_is_started ? model_head_of(from, to) : MESSAGES_MAX;
  return i != MESSAGES_MAX && !is_over() && (is_first_message(i) || may_deviate());
}

void model_deliver(unsigned from, unsigned to) {
  size_t i = model_head_of(from, to);
  deviate(is_first_message(i));
  deliver(i);
}

/* The n-th of those that are due. */
static size_t due_op(unsigned n) {
  for (size_t i = 0; i < model.num_ops; i++) {
    if (model_op_is_due(&model.ops[i])) {
      if (n == 0) {
        return i;
      }
      n--;
    }
  }
  return OPS_MAX;
}

static bool may_do(unsigned n) {
  return model_is_started && !is_over() && due_op(n) != OPS_MAX &&
         (is_first_op(n) || may_deviate());
}

void model_do(unsigned n) {
  deviate(is_first_op(n));
  model_do_op(due_op(n));
}

static bool may_flush(unsigned peer) {
  return model_is_started && !is_over() && flush_is_due(peer) &&
         (is_first_flush(peer) || may_deviate());
}

void model_flush(unsigned peer) {
  deviate(is_first_flush(peer));
  flush(peer);
}

static bool may_tick(void) {
  if (!model_is_started || is_over() || model.num_events == 0) {
    return false;
  }
  return is_idle() || (model.slow > 0 && !model_is_calm() &&
                       next_time() <= torc_time_add(model.now, TORC_SEC(1)));
}

void model_tick(void) {
  if (!is_idle()) {
    model.slow--;
  }
  tick();
}

/* ---- events from outside ---- */

static bool may_happen(void) {
  return model_is_started && model.now <= torc_time_add(model.event_at, TORC_SEC(WINDOW));
}

static void happened(void) {
  model.event_at = model.now;
  model.num_events++;
}

static bool may_join(unsigned peer) {
  return may_happen() && !model.peers[peer].is_alive && model_lowest_joined(peer) != NOBODY;
}

void model_join(unsigned peer) {
  happened();
  model_make_peer(peer);
  model_start_through(peer, model_lowest_joined(peer));
}

bool model_is_member(unsigned peer) {
  const model_peer *p = &model.peers[peer];
  return p->is_alive && !p->is_leaving;
}

static bool may_die(unsigned peer) {
  return may_happen() && model_is_member(peer) && model.deaths < DEATHS;
}

void model_die(unsigned peer, bool loses) {
  happened();
  SAY("n%u dies%s", peer, loses ? ", and what it had sent is lost" : "");
  model.deaths++;
  gone(peer, loses);
}

static bool may_leave(unsigned peer) {
  return may_happen() && model_is_member(peer) && model.peers[peer].state == TORC_TOPO_JOINED;
}

void model_leave(unsigned peer) {
  happened();
  SAY("n%u leaves", peer);
  model.peers[peer].is_leaving = true;
  model_ops->leave(model.peers[peer].topo);
}

static bool may_write(unsigned peer) {
  torc_id key = model_key_id();
  return may_happen() && model.peers[peer].is_alive &&
         model_ops->is_responsible(model.peers[peer].topo, &key);
}

void model_write_value(unsigned peer) {
  happened();
  model.issued++;
  SAY("a STORE of version %u reaches n%u", model.issued, peer);
  model_write_here(peer, model.issued, true, NOBODY, 0);
}

/* ---- one step ---- */

static void bury(void) {
  for (unsigned i = 0; i < PEERS; i++) {
    if (model.peers[i].is_alive && model.peers[i].has_left) {
      SAY("n%u has left", i);
      gone(i, false);
    }
  }
}

static void find_steps(void) {
  for (unsigned a = 0; a < PEERS; a++) {
    for (unsigned b = 0; b < PEERS; b++) {
      model.may.deliver[a][b] = may_deliver(a, b);
    }
    model.may.flush[a] = may_flush(a);
    model.may.join[a] = may_join(a);
    model.may.die[a] = may_die(a);
    model.may.leave[a] = may_leave(a);
    model.may.write[a] = may_write(a);
  }
  for (unsigned i = 0; i < MODEL_ACTS; i++) {
    model.may.act[i] = may_do(i);
  }
  model.may.tick = may_tick();
}

const char *model_step(unsigned long long key[2]) {
  const char *wrong;
  bury();
  find_steps();
  model_name_state(key);
  wrong = model_check_always();
  if (wrong == NULL && is_over()) {
    wrong = model_check_ring();
    if (wrong == NULL) {
      wrong = model_check_value();
    }
  }
  if (wrong != NULL) {
    SAY("WRONG: %s", wrong);
  }
  return wrong;
}

/* ---- the beginning ---- */

static void settle(torc_time duration) {
  torc_time end = torc_time_add(model.now, duration);
  while (true) {
    unsigned who;
    if (model.num_messages > 0) {
      deliver(0);
    } else if (any_flush(&who)) {
      flush(who);
    } else if (first_op() < model.num_ops) {
      model_do_op(first_op());
    } else if (next_time() > end) {
      break;
    } else {
      tick();
    }
  }
}

void model_start(unsigned members) {
  const char *wrong;
  model_is_traced = getenv("TORC_MODEL_TRACE") != NULL;
  if (torc_topology_find("chord-128-2-8", &model_ops, &model_params) != 0) {
    model_broken("no such topology");
  }
  model_params.num_replicas = REPLICAS;
  model_params.num_fingers = 0;
  model.now = TORC_SEC(1000);
  for (unsigned i = 0; i < PEERS; i++) {
    if ((members & (1u << i)) != 0) {
      unsigned first = model_lowest_joined(NOBODY);
      model_make_peer(i);
      model_start_through(i, first);
      settle(TORC_SEC(5));
    }
  }
  settle(TORC_SEC(1900)); /* founding is over, periods have come */
  model.issued = 1;
  for (unsigned i = 0; i < PEERS; i++) {
    torc_id key = model_key_id();
    if (model.peers[i].is_alive && model_ops->is_responsible(model.peers[i].topo, &key)) {
      model_write_here(i, 1, true, NOBODY, 0);
      break;
    }
  }
  settle(TORC_SEC(100));
  wrong = model_check_ring();
  wrong = wrong == NULL ? model_check_value() : wrong;
  if (wrong != NULL || model.answered != 1) {
    model_broken(wrong == NULL ? "the value is not answered" : wrong);
  }
  model.event_at = model.now;
  model.slow = SLOW;
  model.delays = DELAYS < 0 ? 1u : (unsigned)DELAYS;
  model.deaths = 0;
  model_is_started = true;
  SAY("begin");
}
