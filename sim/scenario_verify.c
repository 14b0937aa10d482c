/* The check of all values: everybody that was told "stored" must find it, and nobody what was
 * removed. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "scenario_impl_run.h"

#define POLL TORC_MS(500)
#define CALL_LIFE_T1 64u /* [RTX-02] a call ends within 64 T1 */
#define T1 TORC_MS(500)
#define HOLDERS 3u /* [CHD-01] the peer itself and two replicas */

torc_time torc_run_call_life(const run *r) {
  torc_time t1 = r->sc->config.t1 == 0 ? T1 : r->sc->config.t1;
  return CALL_LIFE_T1 * t1 + TORC_SEC(8);
}

static bool pick_asker(run *r, torc_sim_index *out) {
  size_t num = 0;
  const torc_sim_index *live = torc_workload_live(r->w, TORC_ROLE_PEER, &num);
  for (int tries = 0; tries < 64 && num > 0; tries++) {
    torc_sim_index i = live[torc_rng_below(&r->rng, num)];
    const torc_work_node *n = torc_workload_node(r->w, i);
    if (n->is_joined && n->group == 0 && !n->is_hostile) {
      *out = i;
      return true;
    }
  }
  return false;
}

static bool is_asked_for(const run *r, size_t place) {
  return torc_workload_is_owed(r->w, place) || torc_workload_value(r->w, place)->is_removed;
}

/* Plans a FETCH for all that have no verdict yet; how many. */
static uint64_t plan_round(run *r, torc_time over) {
  size_t num = torc_workload_num_values(r->w);
  uint64_t planned = 0;
  for (size_t place = 0; place < num; place++) {
    torc_sim_index asker = 0;
    if (is_asked_for(r, place) && torc_workload_value(r->w, place)->verdict == TORC_VERDICT_NONE &&
        pick_asker(r, &asker)) {
      torc_workload_fetch(r->w, asker, place, TORC_FETCH_VERDICT,
                          torc_sim_now(r->s) + torc_rng_below(&r->rng, over + 1));
      planned++;
    }
  }
  return planned;
}

static bool all_judged(const run *r) {
  size_t num = torc_workload_num_values(r->w);
  for (size_t place = 0; place < num; place++) {
    if (is_asked_for(r, place) && torc_workload_value(r->w, place)->verdict == TORC_VERDICT_NONE) {
      return false;
    }
  }
  return true;
}

/* ---- the model ---- */

static double seconds(torc_time t) {
  return (double)t / 1e6;
}

/* How long a value has been exposed to the churn since it was last stored. */
static double exposure(const run *r, const torc_work_value *v) {
  torc_time from = v->answered_at > r->churn_from ? v->answered_at : r->churn_from;
  torc_time to = torc_sim_now(r->s) < r->churn_to ? torc_sim_now(r->s) : r->churn_to;
  return to > from ? seconds(to - from) : 0;
}

static void fill_model(const run *r, torc_value_result *out) {
  torc_measure m;
  double curve[TORC_MARKOV_STEPS + 1];
  double most = 0;
  double sum = 0;
  size_t num = torc_workload_num_values(r->w);
  if (r->session_mean_s <= 0) {
    return;
  }
  torc_workload_measure(r->w, &m);
  out->model.session_s = r->session_mean_s;
  out->model.detect_s = torc_hist_mean(&m.detect_us) / 1e6;
  /* A new holder is told within some round trips of it being chosen. */
  torc_time latency = r->sc->config.latency == 0 ? TORC_MS(20) : r->sc->config.latency;
  out->model.copy_s = 10 * seconds(latency);
  for (size_t place = 0; place < num; place++) {
    double t = exposure(r, torc_workload_value(r->w, place));
    most = t > most ? t : most;
  }
  torc_markov_curve(&out->model, most, curve);
  for (size_t place = 0; place < num; place++) {
    if (torc_workload_is_owed(r->w, place)) {
      sum += torc_markov_at(curve, most, exposure(r, torc_workload_value(r->w, place)));
    }
  }
  out->model_share = out->owed == 0 ? 0 : sum / (double)out->owed;
  /* As many come to be missing as are replaced: held / session = missing / repair. */
  out->repair_s = r->held > 0 ? r->missing / r->held * r->session_mean_s : -1;
}

/* ---- the verdicts ---- */

static void judge(run *r) {
  torc_value_result *out = &r->r->values;
  size_t num = torc_workload_num_values(r->w);
  const torc_ring *ring = torc_workload_ring(r->w);
  *out = (torc_value_result){.is_checked = true};
  for (size_t place = 0; place < num; place++) {
    torc_work_value *v = torc_workload_value(r->w, place);
    out->stored += v->answered > 0;
    if (!torc_workload_is_owed(r->w, place)) {
      continue;
    }
    out->owed++;
    out->found += v->verdict == TORC_VERDICT_FOUND;
    out->stale += v->verdict == TORC_VERDICT_STALE;
    out->unanswered += v->verdict == TORC_VERDICT_NONE;
    if (v->verdict == TORC_VERDICT_MISSING) {
      out->lost++;
      v->is_gone = torc_ring_holders(r->s, ring, &v->resource, true) == 0;
      out->lost_gone += v->is_gone;
      out->lost_held += !v->is_gone;
    }
  }
  out->at_once_share = r->at_once_share;
  fill_model(r, out);
}

static void say(const run *r) {
  const torc_value_result *v = &r->r->values;
  if (r->o->json != NULL) {
    (void)fprintf(r->o->json,
                  "{\"kind\":\"verify\",\"t\":%.3f,\"stored\":%llu,\"owed\":%llu,\"found\":%llu,"
                  "\"lost\":%llu,\"lost_held\":%llu,\"lost_gone\":%llu,\"stale\":%llu,"
                  "\"unanswered\":%llu,\"markov_share\":%.6f}\n",
                  seconds(torc_sim_now(r->s)), (unsigned long long)v->stored,
                  (unsigned long long)v->owed, (unsigned long long)v->found,
                  (unsigned long long)v->lost, (unsigned long long)v->lost_held,
                  (unsigned long long)v->lost_gone, (unsigned long long)v->stale,
                  (unsigned long long)v->unanswered, v->model_share);
  }
}

void torc_verify_step(run *r, act *x) {
  torc_time now = torc_sim_now(r->s);
  torc_time over =
      (x->a->has & (1u << TORC_KEY_OVER)) != 0 ? x->a->keys[TORC_KEY_OVER] : TORC_SEC(5);
  if (x->round == 0) {
    for (size_t place = 0; place < torc_workload_num_values(r->w); place++) {
      torc_workload_value(r->w, place)->verdict = TORC_VERDICT_NONE;
    }
  }
  bool all = x->round > 0 && all_judged(r);
  if (all || (x->round == VERIFY_ROUNDS && now >= x->total)) {
    judge(r);
    say(r);
    torc_act_finish(r, x);
    return;
  }
  if (x->round == 0 || now >= x->total) {
    x->round++;
    x->total = now + over + torc_run_call_life(r); /* the end of this round */
    if (plan_round(r, over) == 0) {
      x->round = VERIFY_ROUNDS;
      x->total = now;
    }
  }
  x->wake = now + POLL;
}

uint64_t torc_count_holders(run *r) {
  const torc_ring *ring = torc_workload_ring(r->w);
  uint64_t thin = 0;
  torc_time now = torc_sim_now(r->s);
  bool is_churn = r->session_mean_s > 0 && now > r->churn_from && now <= r->churn_to;
  for (size_t place = 0; place < torc_workload_num_values(r->w); place++) {
    torc_work_value *v = torc_workload_value(r->w, place);
    v->is_gone = false;
    if (torc_workload_is_owed(r->w, place)) {
      size_t num = torc_ring_holders(r->s, ring, &v->resource, false);
      v->is_gone = num == 0;
      thin += num < HOLDERS && num < ring->num;
      if (is_churn && num > 0) {
        r->held += (double)(num < HOLDERS ? num : HOLDERS);
        r->missing += (double)(num < HOLDERS ? HOLDERS - num : 0);
      }
    }
  }
  return thin;
}
