/* Drives one node: what comes in, what goes out, when it wants to be woken.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "impl.h"
#include "mix.h"
#include "model.h"

/* What a job comes to, until it is done. */
typedef struct done_job {
  torc_token id;
  int rc;
  torc_job_kind kind;
  uint8_t signature[SIM_SIGNATURE_LEN];
  torc_cert *cert;
} done_job;

static void check(sim_worker *w, int rc, const char *what) {
  if (rc != 0) {
    sim_fail(w, rc, what);
  }
}

/* ---- jobs [D-41] ---- */

static void tell_job(sim_worker *w, sim_node *n, const done_job *d) {
  torc_job_result r = {.rc = d->rc, .cert = d->cert};
  if (d->kind == TORC_JOB_SIGN) {
    r.signature = torc_slice_of(d->signature, sizeof d->signature);
  }
  if (r.cert != NULL) {
    __atomic_add_fetch(&r.cert->refs, 1, __ATOMIC_RELAXED);
  }
  w->traffic.events++;
  int rc = torc_node_job_done(n->node, d->id, &r, w->now);
  check(w, rc == TORC_ERR_NOTFOUND ? 0 : rc, "job_done");
}

static void solve(const sim_worker *w, const sim_node *n, const torc_job *job, done_job *d) {
  torc_sim_index owner = 0;
  torc_id id;
  d->id = job->id;
  d->kind = job->kind;
  switch (job->kind) {
    case TORC_JOB_SIGN:
      sim_model_sign(&n->id, job, d->signature);
      break;
    case TORC_JOB_VERIFY:
      d->rc = sim_model_verify(&job->cert->peers[0], job) ? 0 : TORC_ERR_CRYPTO;
      break;
    case TORC_JOB_CERTIFICATE:
      d->rc = TORC_ERR_CRYPTO;
      if (sim_model_cert_owner(job->der, &owner, &id) && owner < w->sim->num) {
        const sim_node *of = sim_node_at(w->sim, owner);
        if (torc_slice_eq(torc_slice_of(of->id.b, TORC_ID_LEN), torc_slice_of(id.b, TORC_ID_LEN))) {
          d->cert = of->cert;
          d->rc = 0;
        }
      }
      break;
    case TORC_JOB_SYNC:
      break;
  }
}

static void on_job(sim_worker *w, sim_node *n, const torc_job *job) {
  const torc_sim_config *cfg = &w->sim->cfg;
  torc_time cost = job->kind == TORC_JOB_SIGN   ? cfg->sign_cost
                   : job->kind == TORC_JOB_SYNC ? 0
                                                : cfg->verify_cost;
  done_job d = {.rc = 0};
  solve(w, n, job, &d);
  if (cost == 0) {
    tell_job(w, n, &d);
    return;
  }
  uint8_t *held = torc_alloc(torc_mem_libc(), sizeof d); /* as the queue frees it */
  if (held == NULL) {
    sim_fail(w, TORC_ERR_NOMEM, "doing a job");
    return;
  }
  memcpy(held, &d, sizeof d);
  sim_event e = {.at = w->now + cost,
                 .dst = n->index,
                 .kind = SIM_JOB,
                 .is_owned = true,
                 .len = n->life,
                 .u.bytes = held};
  sim_post(w, n, &e);
}

/* ---- outputs ---- */

static bool draws(sim_node *n, uint32_t ppm) {
  return ppm > 0 && sim_below(&n->rng, 1000000) < ppm;
}

static bool is_lost(sim_worker *w, sim_node *n, const sim_end *end) {
  const torc_sim *s = w->sim;
  if (end->is_silent || draws(n, s->cfg.loss_ppm)) {
    return true;
  }
  /* The other node is far away in memory: it is looked at only if there is such a loss at all. */
  return s->has_node_loss &&
         (draws(n, n->loss_ppm) || draws(n, sim_node_at(s, end->peer)->loss_ppm));
}

static void on_send(sim_worker *w, sim_node *n, const torc_output *o) {
  uint16_t slot = 0;
  sim_message m;
  sim_end *end = sim_end_of(n, o->link, &slot);
  if (end == NULL) {
    return;
  }
  sim_message_read(o->head, o->body, &m);
  if (n->hostile != 0) {
    end = sim_hostile_send(n, &m, end, &slot);
    if (end == NULL) {
      return;
    }
  }
  size_t len = o->head.len + o->body.len;
  if (w->sim->cfg.mtu > 0 && len > w->sim->cfg.mtu) { /* [FRG-02] */
    sim_fail(w, TORC_ERR_LIMIT, "sending more than the link carries");
    return;
  }
  unsigned method = sim_message_count(w, n, &m, len);
  if (is_lost(w, n, end)) {
    w->traffic.dropped++;
    return;
  }
  sim_event e = {.at = sim_arrival(w, n, end, len + m.extra),
                 .dst = end->peer,
                 .slot = end->peer_slot,
                 .gen = end->peer_gen,
                 .aux = (uint16_t)(method << 1 | m.is_response)};
  sim_post_message(w, n, &e, o->head, o->body);
}

static void note_leaver(sim_worker *w, sim_node *n) {
  if (w->num_leavers == w->cap_leavers) {
    uint32_t cap = w->cap_leavers == 0 ? 16 : w->cap_leavers * 2;
    uint32_t *v = realloc(w->leavers, cap * sizeof *v);
    if (v == NULL) {
      sim_fail(w, TORC_ERR_NOMEM, "leaving");
      return;
    }
    w->leavers = v;
    w->cap_leavers = cap;
  }
  w->leavers[w->num_leavers] = n->index;
  w->num_leavers++;
  n->has_left = true;
}

static void on_event(sim_worker *w, sim_node *n, const torc_event *e) {
  const torc_sim_hooks *hooks = &w->sim->cfg.hooks;
  if (e->kind == TORC_EVENT_LEFT) {
    note_leaver(w, n);
  }
  if (hooks->event != NULL) {
    hooks->event(hooks->ctx, w->index, n->index, e, w->now);
  }
}

static void on_output(sim_worker *w, sim_node *n, const torc_output *o) {
  switch (o->kind) {
    case TORC_OUT_SEND:
      on_send(w, n, o);
      break;
    case TORC_OUT_CLOSE:
      sim_link_close(w, n, o->link);
      break;
    case TORC_OUT_JOB:
      on_job(w, n, &o->job);
      break;
    case TORC_OUT_OPEN:
    case TORC_OUT_OFFER_NEEDED:
    case TORC_OUT_ANSWER_NEEDED:
    case TORC_OUT_CONNECT:
    case TORC_OUT_ACCEPT:
      sim_connect_output(w, n, o);
      break;
    case TORC_OUT_EVENT:
      on_event(w, n, &o->event);
      break;
    case TORC_OUT_CANCEL: /* nothing is held for a CONNECT */
      break;
  }
}

void sim_host_drain(sim_worker *w, sim_node *n) {
  while (torc_node_poll(n->node, &w->out)) {
    on_output(w, n, &w->out);
  }
}

/* ---- inputs ---- */

static void on_message(sim_worker *w, sim_node *n, const sim_event *e) {
  const sim_end *end = e->slot < n->num_ends ? &n->ends[e->slot] : NULL;
  if (n->node == NULL) {
    return;
  }
  if (end == NULL || end->gen != e->gen || end->state != SIM_END_UP) {
    if (!n->has_left && sim_node_at(w->sim, e->src)->group == n->group) {
      sim_event reset = {.at = w->now + sim_way(w, n, e->src),
                         .dst = e->src,
                         .kind = SIM_RESET,
                         .slot = e->slot,
                         .gen = e->gen};
      sim_post(w, n, &reset);
    }
    return;
  }
  if (end->is_silent) {
    w->traffic.dropped++;
    return;
  }
  if (sim_traces(w)) {
    sim_trace_line(w, "message %u<%u %s %u %u", n->index, e->src, (e->aux & 1) != 0 ? "r" : "q",
                   e->aux >> 1, e->len);
  }
  torc_slice bytes = torc_slice_of(e->u.bytes, e->len);
  if ((e->aux & 1) == 0) {
    sim_message_note(n, bytes, e->aux >> 1);
  }
  if (n->hostile != 0) {
    sim_hostile_input(n, bytes);
  }
  check(w, torc_node_input(n->node, sim_link_id(end, e->slot), bytes, w->now), "input");
}

static void dispatch(sim_worker *w, sim_node *n, const sim_event *e) {
  const torc_sim_hooks *hooks = &w->sim->cfg.hooks;
  bool is_same_life = n->node != NULL && e->len == n->life;
  w->now = e->at;
  if (sim_traces(w)) {
    sim_trace_begin(w, e);
  }
  switch ((sim_kind)e->kind) {
    case SIM_WAKE:
      return;
    case SIM_MESSAGE:
      w->traffic.events++;
      on_message(w, n, e);
      break;
    case SIM_SYN:
    case SIM_ACCEPT:
    case SIM_REFUSE:
    case SIM_UP:
    case SIM_DOWN:
    case SIM_RESET:
    case SIM_SWEEP:
      w->traffic.events++;
      sim_link_event(w, n, e);
      break;
    case SIM_CALL:
      if (is_same_life && hooks->call != NULL) {
        hooks->call(hooks->ctx, w->index, n->index, e->u.arg, w->now);
      }
      break;
    case SIM_JOB:
      if (is_same_life) {
        tell_job(w, n, (const done_job *)(const void *)e->u.bytes);
      }
      break;
    case SIM_FLOOD:
      if (is_same_life) {
        sim_hostile_flood(w, n);
      }
      break;
  }
  if (n->node != NULL) {
    sim_host_drain(w, n);
  }
  if (e->is_owned) {
    free(e->u.bytes);
  }
}

void sim_host_rewake(sim_worker *w, sim_node *n) {
  torc_time at = n->node == NULL ? TORC_NEVER : torc_node_deadline(n->node);
  /* A timer that is due already waits for the next window: this one is never gone through again. */
  torc_time first = w->limit > w->sim->now ? w->limit : w->sim->now;
  at = at > first ? at : first;
  if (n->wake == SIM_WAKE_NONE) {
    if (at != TORC_NEVER) {
      check(w, sim_wakes_add(&w->wakes, n->index, at), "setting a timer");
    }
  } else if (at < w->wakes.v[n->wake].at) { /* a later one is set when the earlier time has come */
    sim_wakes_set(&w->wakes, n->wake, at);
  }
}

/* The node's next timer, if it is due before `limit` and no later than `before`. */
static bool tick(sim_worker *w, sim_node *n, torc_time before, torc_time *last) {
  torc_time at = n->node == NULL ? TORC_NEVER : torc_node_deadline(n->node);
  if (at == TORC_NEVER) {
    return false;
  }
  at = at > w->now ? at : w->now;
  at = at > *last ? at : *last + 1; /* a timer set to now runs a moment later, not without end */
  if (at >= w->limit || at > before) {
    return false;
  }
  *last = at;
  w->now = at;
  if (sim_traces(w)) {
    sim_trace_own(w, n, at);
  }
  w->traffic.events++;
  check(w, torc_node_tick(n->node, at), "tick");
  sim_host_drain(w, n);
  return true;
}

void sim_host_run(sim_worker *w, sim_node *n, const sim_key *keys, size_t num) {
  size_t next = 0;
  torc_time ticked = 0;
  w->current = n;
  w->now = w->sim->now;
  next += keys[0].e->kind == SIM_WAKE;
  for (;;) {
    const sim_event *e = next < num ? keys[next].e : NULL;
    bool is_local = w->local.len > 0 && (e == NULL || sim_event_before(&w->local.v[0], e));
    torc_time before = is_local ? w->local.v[0].at : e != NULL ? e->at : TORC_NEVER;
    if (tick(w, n, before, &ticked)) {
      continue;
    }
    if (is_local) {
      sim_event own = sim_heap_pop(&w->local);
      dispatch(w, n, &own);
    } else if (e != NULL) {
      next++;
      dispatch(w, n, e);
    } else {
      break;
    }
  }
  sim_host_rewake(w, n);
  w->current = NULL;
}

void sim_host_settle(sim_worker *w, sim_node *n) {
  w->now = w->sim->now;
  if (n->node != NULL) {
    sim_host_drain(w, n);
  }
  sim_host_rewake(w, n);
}

void sim_host_down(sim_node *n, torc_sim_end how) {
  sim_worker *w = n->worker;
  w->now = w->sim->now;
  if (sim_traces(w)) {
    sim_trace_own(w, n, w->now);
    sim_trace_line(w, "%s %u", how == TORC_SIM_VANISH ? "vanish" : "stop", n->index);
  }
  sim_link_drop_all(w, n, how == TORC_SIM_CRASH);
  torc_node_free(n->node);
  n->node = NULL;
  n->has_vanished = how == TORC_SIM_VANISH;
  n->has_left = false;
  n->life++;
  if (n->wake != SIM_WAKE_NONE) {
    sim_wakes_remove(&w->wakes, n->wake);
  }
  sim_hostile_clear(w, n);
}
