/* Links: ends, their setting up (TCP and TLS 1.3 take two ways there and back, the dialled side
 * knows one way later), their end. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "impl.h"

#define FIRST_ENDS 8u
#define FIRST_PENDING 4u
#define REFUSED_AT_ONCE TORC_MS(1) /* the node dials itself */
#define REFUSED_TO_SELF 1u         /* `aux` of SIM_REFUSE */

torc_link_id sim_link_id(const sim_end *end, uint16_t slot) {
  return (torc_link_id)slot | (torc_link_id)end->gen << 16;
}

sim_end *sim_end_of(const sim_node *n, torc_link_id link, uint16_t *slot) {
  uint16_t at = (uint16_t)(link & 0xffff);
  sim_end *end = at < n->num_ends ? &n->ends[at] : NULL;
  if (end == NULL || end->state != SIM_END_UP || end->gen != link >> 16) {
    return NULL;
  }
  *slot = at;
  return end;
}

/* ---- ends ---- */

static bool grow_ends(sim_worker *w, sim_node *n) {
  const torc_mem *mem = &w->engine.mem;
  uint32_t cap = n->cap_ends == 0 ? FIRST_ENDS : n->cap_ends + n->cap_ends / 4u;
  cap = cap > SIM_ENDS_MAX ? SIM_ENDS_MAX : cap;
  if (n->num_ends >= cap) {
    return false;
  }
  sim_end *ends = torc_realloc(mem, n->ends, cap * sizeof *ends);
  if (ends == NULL) {
    sim_fail(w, TORC_ERR_NOMEM, "making a link");
    return false;
  }
  n->ends = ends;
  if (w->sim->has_order) {
    torc_time *last = torc_realloc(mem, n->last, cap * sizeof *last);
    if (last == NULL) {
      sim_fail(w, TORC_ERR_NOMEM, "making a link");
      return false;
    }
    n->last = last;
  }
  n->cap_ends = (uint16_t)cap;
  return true;
}

/* SIM_END_NONE: no more links. */
static uint16_t end_new(sim_worker *w, sim_node *n, uint32_t peer, sim_end_state state) {
  uint16_t slot = n->free_end;
  if (slot != SIM_END_NONE) {
    n->free_end = (uint16_t)n->ends[slot].peer;
  } else {
    if (n->num_ends == n->cap_ends && !grow_ends(w, n)) {
      return SIM_END_NONE;
    }
    slot = n->num_ends++;
    n->ends[slot].gen = 1;
  }
  sim_end *end = &n->ends[slot];
  *end = (sim_end){.peer = peer, .gen = end->gen, .state = (uint8_t)state};
  if (n->last != NULL) {
    n->last[slot] = 0;
  }
  return slot;
}

static void end_free(sim_node *n, uint16_t slot) {
  sim_end *end = &n->ends[slot];
  if (end->gen == UINT16_MAX) {
    end->state = SIM_END_SPENT;
    return;
  }
  *end = (sim_end){.peer = n->free_end, .gen = (uint16_t)(end->gen + 1u), .state = SIM_END_FREE};
  n->free_end = slot;
}

static sim_end *end_at(const sim_node *n, uint16_t slot, uint16_t gen) {
  sim_end *end = slot < n->num_ends ? &n->ends[slot] : NULL;
  bool is_there =
      end != NULL && end->gen == gen && end->state != SIM_END_FREE && end->state != SIM_END_SPENT;
  return is_there ? end : NULL;
}

void sim_link_clear(sim_worker *w, sim_node *n) {
  const torc_mem *mem = &w->engine.mem;
  torc_free(mem, n->ends);
  torc_free(mem, n->last);
  torc_free(mem, n->pending);
  n->ends = NULL;
  n->last = NULL;
  n->pending = NULL;
  n->num_ends = 0;
  n->cap_ends = 0;
  n->num_pending = 0;
  n->cap_pending = 0;
  n->free_end = SIM_END_NONE;
}

/* ---- what is asked or waited for ---- */

static void sweep_by(sim_worker *w, sim_node *n, torc_time at) {
  if (at < n->sweep_at) {
    sim_event e = {.at = at, .dst = n->index, .kind = SIM_SWEEP, .len = n->life};
    n->sweep_at = at;
    sim_post(w, n, &e);
  }
}

bool sim_pending_add(sim_worker *w, sim_node *n, sim_pending p) {
  if (n->num_pending == n->cap_pending) {
    uint16_t cap = n->cap_pending == 0 ? FIRST_PENDING : (uint16_t)(n->cap_pending * 2u);
    sim_pending *v = torc_realloc(&w->engine.mem, n->pending, cap * sizeof *v);
    if (v == NULL) {
      sim_fail(w, TORC_ERR_NOMEM, "making a link");
      return false;
    }
    n->pending = v;
    n->cap_pending = cap;
  }
  p.at = w->now + SIM_DIAL_LIMIT;
  n->pending[n->num_pending] = p;
  n->num_pending++;
  sweep_by(w, n, p.at);
  return true;
}

static void pending_remove(sim_node *n, uint16_t i) {
  n->num_pending--;
  memmove(n->pending + i, n->pending + i + 1, (n->num_pending - i) * sizeof *n->pending);
}

bool sim_pending_take(sim_node *n, sim_pending_kind kind, torc_token token, sim_pending *out) {
  for (uint16_t i = 0; i < n->num_pending; i++) {
    if (n->pending[i].kind == kind && n->pending[i].token == token) {
      *out = n->pending[i];
      pending_remove(n, i);
      return true;
    }
  }
  return false;
}

static torc_token take_dial(sim_node *n, uint16_t slot) {
  for (uint16_t i = 0; i < n->num_pending; i++) {
    if (n->pending[i].kind == SIM_PENDING_DIAL && n->pending[i].slot == slot) {
      torc_token token = n->pending[i].token;
      pending_remove(n, i);
      return token;
    }
  }
  return 0;
}

static torc_token take_await(sim_node *n, uint32_t peer) {
  for (uint16_t i = 0; i < n->num_pending; i++) {
    if (n->pending[i].kind == SIM_PENDING_AWAIT && n->pending[i].peer == peer) {
      torc_token token = n->pending[i].token;
      pending_remove(n, i);
      return token;
    }
  }
  return 0;
}

/* ---- telling the node ---- */

static void tell_failed(sim_worker *w, sim_node *n, torc_token token, int why) {
  int rc = torc_node_open_failed(n->node, token, why, w->now);
  if (rc != 0) {
    sim_fail(w, rc, "open_failed");
  }
}

static void tell_up(sim_worker *w, sim_node *n, uint16_t slot, torc_token token, bool is_dialled) {
  sim_end *end = &n->ends[slot];
  const sim_node *peer = sim_node_at(w->sim, end->peer);
  torc_link_info info = {.kind = w->sim->cfg.mtu > 0 ? TORC_LINK_DTLS : TORC_LINK_TLS,
                         .peer = peer->id,
                         .cert = peer->cert,
                         .token = token,
                         .is_dialled = is_dialled,
                         .mtu = w->sim->cfg.mtu};
  info.local_addr[10] = 0xff;
  info.local_addr[11] = 0xff;
  info.local_addr[12] = 10;
  info.local_addr[13] = (uint8_t)(n->index >> 16);
  info.local_addr[14] = (uint8_t)(n->index >> 8);
  info.local_addr[15] = (uint8_t)n->index;
  info.local_addr[16] = SIM_PORT >> 8;
  info.local_addr[17] = SIM_PORT & 0xff;
  if (sim_traces(w)) {
    sim_trace_line(w, "up %u-%u %u.%u", n->index, end->peer, slot, end->gen);
  }
  __atomic_add_fetch(&info.cert->refs, 1, __ATOMIC_RELAXED);
  int rc = torc_node_link_up(n->node, sim_link_id(end, slot), &info, w->now);
  if (rc != 0) {
    sim_fail(w, rc, "link_up");
  }
}

static void tell_down(sim_worker *w, sim_node *n, torc_link_id link) {
  int rc = torc_node_link_down(n->node, link, w->now);
  if (rc != 0) {
    sim_fail(w, rc, "link_down");
  }
}

/* ---- setting up ---- */

static bool is_reachable(const sim_node *a, const sim_node *b) {
  return a->group == b->group && !b->has_vanished && !b->is_closed;
}

void sim_link_dial(sim_worker *w, sim_node *n, uint32_t peer, torc_token token) {
  bool is_nobody = peer == n->index || peer >= w->sim->num;
  uint16_t slot = end_new(w, n, is_nobody ? n->index : peer, SIM_END_DIALLING);
  sim_pending p = {.token = token, .peer = peer, .slot = slot, .kind = SIM_PENDING_DIAL};
  if (slot == SIM_END_NONE || !sim_pending_add(w, n, p)) {
    tell_failed(w, n, token, TORC_ERR_LIMIT);
    return;
  }
  sim_event e = {.at = w->now + sim_way(w, n, peer),
                 .dst = peer,
                 .kind = SIM_SYN,
                 .slot = slot,
                 .gen = n->ends[slot].gen,
                 .len = n->life};
  if (is_nobody) {
    e.at = w->now + REFUSED_AT_ONCE;
    e.dst = n->index;
    e.kind = SIM_REFUSE;
    e.aux = peer == n->index ? REFUSED_TO_SELF : 0;
  }
  sim_post(w, n, &e);
}

void sim_link_await(sim_worker *w, sim_node *n, uint32_t peer, torc_token token) {
  sim_pending p = {.token = token, .peer = peer, .kind = SIM_PENDING_AWAIT};
  if (!sim_pending_add(w, n, p)) {
    tell_failed(w, n, token, TORC_ERR_LIMIT);
  }
}

static void on_syn(sim_worker *w, sim_node *n, const sim_event *e) {
  const sim_node *from = sim_node_at(w->sim, e->src);
  sim_event answer = {.dst = e->src, .kind = SIM_REFUSE, .slot = e->slot, .gen = e->gen};
  uint16_t slot = SIM_END_NONE;
  if (!is_reachable(from, n) || from->node == NULL || from->life != e->len) {
    return; /* the one who dials gives up by itself */
  }
  answer.at = w->now + sim_way(w, n, e->src);
  if (n->node != NULL) {
    slot = end_new(w, n, e->src, SIM_END_ACCEPTING);
  }
  if (slot != SIM_END_NONE) {
    n->ends[slot].peer_slot = e->slot;
    n->ends[slot].peer_gen = e->gen;
    answer.kind = SIM_ACCEPT;
    answer.aux = slot;
    answer.len = n->ends[slot].gen;
    answer.at += sim_latency_of(&w->sim->latency, n->index, e->src) + /* TLS: there and back */
                 sim_latency_of(&w->sim->latency, e->src, n->index);
  }
  sim_post(w, n, &answer);
}

static void on_accept(sim_worker *w, sim_node *n, const sim_event *e) {
  sim_end *end = end_at(n, e->slot, e->gen);
  const sim_node *peer = sim_node_at(w->sim, e->src);
  if (end == NULL || end->state != SIM_END_DIALLING || peer->node == NULL ||
      peer->group != n->group) {
    return; /* gone or out of reach meanwhile: the sweep ends it */
  }
  end->state = SIM_END_UP;
  end->peer_slot = e->aux;
  end->peer_gen = (uint16_t)e->len;
  sim_event up = {.at = sim_arrival(w, n, end, 0),
                  .dst = end->peer,
                  .kind = SIM_UP,
                  .slot = end->peer_slot,
                  .gen = end->peer_gen};
  sim_post(w, n, &up);
  tell_up(w, n, e->slot, take_dial(n, e->slot), true);
}

static void on_up(sim_worker *w, sim_node *n, const sim_event *e) {
  sim_end *end = end_at(n, e->slot, e->gen);
  if (end == NULL || end->state != SIM_END_ACCEPTING) {
    return;
  }
  end->state = SIM_END_UP;
  tell_up(w, n, e->slot, take_await(n, end->peer), false);
}

static void on_refuse(sim_worker *w, sim_node *n, const sim_event *e) {
  const sim_end *end = end_at(n, e->slot, e->gen);
  if (end == NULL || end->state != SIM_END_DIALLING) {
    return;
  }
  torc_token token = take_dial(n, e->slot);
  end_free(n, e->slot);
  tell_failed(w, n, token, e->aux == REFUSED_TO_SELF ? TORC_ERR_EXISTS : TORC_ERR_CLOSED);
}

/* Nobody answered in time; should the other side have accepted, it is told. */
static void give_up(sim_worker *w, sim_node *n, uint16_t slot) {
  const sim_end *end = &n->ends[slot];
  if (end->peer != n->index) {
    sim_event e = {.at = w->now + sim_way(w, n, end->peer),
                   .dst = end->peer,
                   .kind = SIM_RESET,
                   .slot = slot,
                   .gen = end->gen};
    sim_post(w, n, &e);
  }
  end_free(n, slot);
}

static void on_sweep(sim_worker *w, sim_node *n) {
  torc_time next = TORC_NEVER;
  n->sweep_at = TORC_NEVER;
  for (uint16_t i = 0; i < n->num_pending;) {
    sim_pending p = n->pending[i];
    if (p.at > w->now) {
      next = p.at < next ? p.at : next;
      i++;
      continue;
    }
    pending_remove(n, i);
    if (p.kind == SIM_PENDING_DIAL) {
      give_up(w, n, p.slot);
    }
    if (p.kind == SIM_PENDING_DIAL || p.kind == SIM_PENDING_AWAIT) {
      tell_failed(w, n, p.token, TORC_ERR_TIMEOUT);
    }
  }
  if (n->num_pending == 0 && n->pending != NULL) {
    torc_free(&w->engine.mem, n->pending);
    n->pending = NULL;
    n->cap_pending = 0;
  }
  if (next != TORC_NEVER) {
    sweep_by(w, n, next);
  }
}

/* ---- coming down ---- */

static void send_down(sim_worker *w, sim_node *n, const sim_end *end) {
  if (!end->is_silent) {
    sim_event e = {.at = sim_arrival(w, n, end, 0),
                   .dst = end->peer,
                   .kind = SIM_DOWN,
                   .slot = end->peer_slot,
                   .gen = end->peer_gen};
    sim_post(w, n, &e);
  }
}

void sim_link_close(sim_worker *w, sim_node *n, torc_link_id link) {
  uint16_t slot = 0;
  const sim_end *end = sim_end_of(n, link, &slot);
  if (end == NULL) {
    return;
  }
  if (sim_traces(w)) {
    sim_trace_line(w, "close %u-%u %u.%u", n->index, end->peer, slot, end->gen);
  }
  send_down(w, n, end);
  end_free(n, slot);
  tell_down(w, n, link);
}

static void end_is_down(sim_worker *w, sim_node *n, uint16_t slot) {
  const sim_end *end = &n->ends[slot];
  torc_link_id link = sim_link_id(end, slot);
  uint8_t state = end->state;
  torc_token token = state == SIM_END_DIALLING ? take_dial(n, slot) : 0;
  if (sim_traces(w)) {
    sim_trace_line(w, "down %u-%u %u.%u", n->index, end->peer, slot, end->gen);
  }
  end_free(n, slot);
  if (state == SIM_END_UP) {
    tell_down(w, n, link);
  } else if (state == SIM_END_DIALLING) {
    tell_failed(w, n, token, TORC_ERR_CLOSED);
  }
}

static void on_reset(sim_worker *w, sim_node *n, const sim_event *e) {
  for (uint16_t slot = 0; slot < n->num_ends; slot++) {
    const sim_end *end = &n->ends[slot];
    bool is_it = end->state == SIM_END_UP || end->state == SIM_END_ACCEPTING;
    if (is_it && !end->is_silent && end->peer == e->src && end->peer_slot == e->slot &&
        end->peer_gen == e->gen) {
      end_is_down(w, n, slot);
      return;
    }
  }
}

void sim_link_event(sim_worker *w, sim_node *n, const sim_event *e) {
  if (e->kind == SIM_SYN) {
    on_syn(w, n, e);
    return;
  }
  if (n->node == NULL) {
    return;
  }
  switch ((sim_kind)e->kind) {
    case SIM_ACCEPT:
      on_accept(w, n, e);
      break;
    case SIM_REFUSE:
      on_refuse(w, n, e);
      break;
    case SIM_UP:
      on_up(w, n, e);
      break;
    case SIM_DOWN: {
      const sim_end *end = end_at(n, e->slot, e->gen);
      if (end != NULL && !end->is_silent) {
        end_is_down(w, n, e->slot);
      }
      break;
    }
    case SIM_RESET:
      on_reset(w, n, e);
      break;
    case SIM_SWEEP:
      if (e->len == n->life && n->sweep_at == e->at) {
        on_sweep(w, n);
      }
      break;
    case SIM_WAKE:
    case SIM_MESSAGE:
    case SIM_SYN:
    case SIM_CALL:
    case SIM_JOB:
    case SIM_FLOOD:
      break;
  }
}

/* ---- between two windows ---- */

/* The other end of a link that is being set up, should it have been told already. */
static void forget_accepting(torc_sim *s, const sim_node *n, uint16_t slot) {
  const sim_end *mine = &n->ends[slot];
  sim_node *peer = sim_node_at(s, mine->peer);
  for (uint16_t i = 0; i < peer->num_ends; i++) {
    const sim_end *end = &peer->ends[i];
    if (end->state == SIM_END_ACCEPTING && end->peer == n->index && end->peer_slot == slot &&
        end->peer_gen == mine->gen) {
      end_free(peer, i);
      return;
    }
  }
}

void sim_link_drop_all(sim_worker *w, sim_node *n, bool tells) {
  for (uint16_t slot = 0; slot < n->num_ends; slot++) {
    const sim_end *end = &n->ends[slot];
    if (end->state == SIM_END_DIALLING && end->peer != n->index) {
      forget_accepting(w->sim, n, slot);
    } else if (tells && (end->state == SIM_END_UP || end->state == SIM_END_ACCEPTING)) {
      send_down(w, n, end);
    }
    if (end->state != SIM_END_FREE && end->state != SIM_END_SPENT) {
      end_free(n, slot);
    }
  }
  torc_free(&w->engine.mem, n->pending);
  n->pending = NULL;
  n->num_pending = 0;
  n->cap_pending = 0;
  n->sweep_at = TORC_NEVER;
}

void sim_link_part(torc_sim *s) {
  for (uint32_t i = 0; i < s->num; i++) {
    sim_node *n = sim_node_at(s, i);
    for (uint16_t slot = 0; n->node != NULL && slot < n->num_ends; slot++) {
      sim_end *end = &n->ends[slot];
      bool is_apart = end->state != SIM_END_FREE && end->state != SIM_END_SPENT &&
                      sim_node_at(s, end->peer)->group != n->group;
      if (is_apart && end->state == SIM_END_ACCEPTING) {
        end_free(n, slot);
      } else if (is_apart && end->state == SIM_END_UP) {
        end->is_silent = true;
      }
    }
  }
}
