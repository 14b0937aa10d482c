/* The clockwork of a run: what is due, the engine up to the next stop, figures of each interval.
 * SPDX-License-Identifier: Apache-2.0 */
#include "scenario_run.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scenario_impl_run.h"

#define POLL_FIRST TORC_MS(200)
#define POLL_MOST TORC_SEC(1)
#define SHOW_S 0.2 /* between two lines of progress, of wall time */
#define SAY_S 60.0 /* the same where they stay */
#define SAMPLES_MAX 100000u

double torc_run_wall(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(torc_time t) {
  return (double)t / 1e6;
}

/* ---- figures ---- */

/* Live nodes times time, up to now. */
static void count_time(run *r) {
  size_t peers = 0;
  size_t clients = 0;
  torc_time now = torc_sim_now(r->s);
  (void)torc_workload_live(r->w, TORC_ROLE_PEER, &peers);
  (void)torc_workload_live(r->w, TORC_ROLE_CLIENT, &clients);
  r->node_us += (double)(peers + clients) * (double)(now - r->counted_to);
  r->counted_to = now;
}

static void traffic_sums(const torc_sim_traffic *t, uint64_t *messages, uint64_t *bytes) {
  *messages = 0;
  *bytes = 0;
  for (unsigned m = 0; m < TORC_SIM_METHODS; m++) {
    *messages += t->messages[m][0] + t->messages[m][1];
    *bytes += t->bytes[m][0] + t->bytes[m][1];
  }
}

static void subtract_traffic(torc_sim_traffic *t, const torc_sim_traffic *before) {
  t->events -= before->events;
  t->dropped -= before->dropped;
  t->errors -= before->errors;
  for (unsigned m = 0; m < TORC_SIM_METHODS; m++) {
    for (unsigned k = 0; k < 2; k++) {
      t->messages[m][k] -= before->messages[m][k];
      t->bytes[m][k] -= before->bytes[m][k];
    }
  }
}

static bool is_apart(const run *r) {
  for (torc_sim_index i = 0; i < torc_sim_num(r->s); i++) {
    if (torc_workload_node(r->w, i)->group != 0) {
      return true;
    }
  }
  return false;
}

void torc_run_note_measure(run *r) {
  size_t num = torc_sim_num(r->s);
  torc_workload_measure(r->w, &r->base);
  torc_sim_get_traffic(r->s, &r->base_traffic);
  uint64_t *load = realloc(r->base_load, (num + 1) * sizeof *load);
  if (load == NULL) {
    r->rc = TORC_ERR_NOMEM;
    return;
  }
  for (size_t i = 0; i < num; i++) {
    load[i] = torc_sim_load(r->s, (torc_sim_index)i);
  }
  r->base_load = load;
  r->num_base_load = num;
  count_time(r);
  r->before_node_us -= r->node_us;
  r->node_us = 0;
  r->measured_from = torc_sim_now(r->s);
  torc_workload_set_apart(r->w, is_apart(r));
}

static void fill_load(const run *r, torc_hist *out) {
  size_t num = 0;
  const torc_sim_index *live = torc_workload_live(r->w, TORC_ROLE_PEER, &num);
  memset(out, 0, sizeof *out);
  for (size_t k = 0; k < num; k++) {
    uint64_t load = torc_sim_load(r->s, live[k]);
    uint64_t base = live[k] < r->num_base_load ? r->base_load[live[k]] : 0;
    torc_hist_add(out, load > base ? load - base : 0);
  }
}

void torc_run_figures(run *r) {
  torc_run_result *out = r->r;
  size_t peers = 0;
  size_t clients = 0;
  count_time(r);
  torc_workload_measure(r->w, &out->measure);
  out->resurrected = out->measure.counts[TORC_COUNT_RESURRECTED];
  torc_measure_subtract(&out->measure, &r->base);
  torc_sim_get_traffic(r->s, &out->traffic);
  out->events = out->traffic.events;
  subtract_traffic(&out->traffic, &r->base_traffic);
  (void)torc_workload_live(r->w, TORC_ROLE_PEER, &peers);
  (void)torc_workload_live(r->w, TORC_ROLE_CLIENT, &clients);
  out->peers = peers;
  out->clients = clients;
  out->joined = torc_workload_joined(r->w);
  out->measured_from = r->measured_from;
  out->ended_at = torc_sim_now(r->s);
  out->node_minutes = r->node_us / 60e6;
  fill_load(r, &out->load);
  torc_sim_get_memory(r->s, &out->memory);
  out->bytes_per_node = peers + clients == 0 ? 0 : out->memory.nodes / (peers + clients);
  out->unended = torc_workload_unended(r->w, torc_run_call_life(r));
  out->wall_s = torc_run_wall() - r->wall_started;
}

static double share(uint64_t part, uint64_t all) {
  return all == 0 ? 0 : (double)part / (double)all;
}

static bool value_metric(const torc_run_result *r, torc_metric m, double *out) {
  const torc_value_result *v = &r->values;
  switch ((int)m) {
    case TORC_METRIC_LOST:
      *out = (double)v->lost;
      break;
    case TORC_METRIC_LOST_HELD:
      *out = (double)v->lost_held;
      break;
    case TORC_METRIC_LOST_SHARE:
      *out = share(v->lost, v->owed);
      break;
    case TORC_METRIC_MARKOV_RATIO:
      *out = v->model_share > 0 ? share(v->lost, v->owed) / v->model_share : 0;
      return v->is_checked && v->model_share > 0;
    default:
      return false;
  }
  return v->is_checked;
}

static bool count_metric(const torc_run_result *r, torc_metric m, double *out) {
  const uint64_t *c = r->measure.counts;
  uint64_t messages = 0;
  uint64_t bytes = 0;
  traffic_sums(&r->traffic, &messages, &bytes);
  switch ((int)m) {
    case TORC_METRIC_PEERS:
      *out = (double)r->peers;
      return true;
    case TORC_METRIC_JOINED:
      *out = share(r->joined, r->peers + r->clients);
      return true;
    case TORC_METRIC_MOVED:
      *out = share(r->moved, r->peers);
      return true;
    case TORC_METRIC_SUCCESS:
      *out = share(c[TORC_COUNT_LOOKUP_OK], c[TORC_COUNT_LOOKUPS]);
      return c[TORC_COUNT_LOOKUPS] > 0;
    case TORC_METRIC_WRONG:
      *out = (double)c[TORC_COUNT_LOOKUP_WRONG];
      return true;
    case TORC_METRIC_STORE_OK:
      *out = share(c[TORC_COUNT_STORE_OK], c[TORC_COUNT_STORES]);
      return c[TORC_COUNT_STORES] > 0;
    case TORC_METRIC_FETCH_OK:
      *out = share(c[TORC_COUNT_FETCH_OK], c[TORC_COUNT_FETCHES]);
      return c[TORC_COUNT_FETCHES] > 0;
    case TORC_METRIC_ASK_OK: /* met where nobody asked */
      *out = c[TORC_COUNT_ASKS] == 0 ? 1 : share(c[TORC_COUNT_ASK_OK], c[TORC_COUNT_ASKS]);
      return true;
    case TORC_METRIC_STALE:
      *out = (double)c[TORC_COUNT_STALE];
      return true;
    case TORC_METRIC_RESURRECTED:
      *out = (double)r->resurrected;
      return true;
    case TORC_METRIC_FORGED:
      *out = (double)c[TORC_COUNT_FORGED];
      return true;
    case TORC_METRIC_UNENDED:
      *out = (double)r->unended;
      return true;
    case TORC_METRIC_OVERFULL:
      *out = (double)r->overfull.num_over;
      return true;
    case TORC_METRIC_LEFTOVER:
      *out = (double)r->leftover.num_over;
      return true;
    case TORC_METRIC_MESSAGES:
      *out = r->node_minutes > 0 ? (double)messages / r->node_minutes : 0;
      return r->node_minutes > 0;
    case TORC_METRIC_BYTES:
      *out = r->node_minutes > 0 ? (double)bytes / r->node_minutes : 0;
      return r->node_minutes > 0;
    case TORC_METRIC_LOAD_MAX:
      *out = (double)torc_hist_percentile(&r->load, 1000);
      return true;
    case TORC_METRIC_BYTES_PER_NODE:
      *out = (double)r->bytes_per_node;
      return true;
    default:
      return value_metric(r, m, out);
  }
}

bool torc_run_metric(const torc_run_result *r, torc_metric m, double *out) {
  const torc_hist *hops = &r->measure.hops;
  switch ((int)m) {
    case TORC_METRIC_RING:
      *out = r->is_whole ? 1 : 0;
      return true;
    case TORC_METRIC_HOPS_MEAN:
      *out = torc_hist_mean(hops);
      return hops->count > 0;
    case TORC_METRIC_HOPS_OVER:
      *out = torc_hist_mean(hops) - torc_half_log2(r->peers);
      return hops->count > 0;
    case TORC_METRIC_HOPS_P50:
      *out = (double)torc_hist_percentile(hops, 500);
      return hops->count > 0;
    case TORC_METRIC_HOPS_P95:
      *out = (double)torc_hist_percentile(hops, 950);
      return hops->count > 0;
    case TORC_METRIC_HOPS_P99:
      *out = (double)torc_hist_percentile(hops, 990);
      return hops->count > 0;
    case TORC_METRIC_WHOLE:
      *out = r->whole_s;
      return r->whole_s >= 0;
    default:
      return count_metric(r, m, out);
  }
}

/* ---- intervals ---- */

static void say_sample(const run *r, const torc_sample *p) {
  const uint64_t *c = p->counts;
  if (r->o->json == NULL) {
    return;
  }
  (void)fprintf(
      r->o->json,
      "{\"kind\":\"interval\",\"t\":%.3f,\"peers\":%llu,\"clients\":%llu,\"joined\":%llu,"
      "\"lookups\":%llu,\"success\":%.6f,\"wrong\":%llu,\"hops_mean\":%.3f,\"stores\":%llu,"
      "\"store_ok\":%llu,\"fetches\":%llu,\"fetch_ok\":%llu,\"asks\":%llu,"
      "\"ask_ok\":%llu,\"missing\":%llu,\"stale\":%llu,"
      "\"values\":%llu,\"gone\":%llu,\"thin\":%llu,\"messages\":%.3f,\"bytes\":%.1f}\n",
      seconds(p->at), (unsigned long long)p->peers, (unsigned long long)p->clients,
      (unsigned long long)p->joined, (unsigned long long)c[TORC_COUNT_LOOKUPS],
      share(c[TORC_COUNT_LOOKUP_OK], c[TORC_COUNT_LOOKUPS]),
      (unsigned long long)c[TORC_COUNT_LOOKUP_WRONG], p->hops_mean,
      (unsigned long long)c[TORC_COUNT_STORES], (unsigned long long)c[TORC_COUNT_STORE_OK],
      (unsigned long long)c[TORC_COUNT_FETCHES], (unsigned long long)c[TORC_COUNT_FETCH_OK],
      (unsigned long long)c[TORC_COUNT_ASKS], (unsigned long long)c[TORC_COUNT_ASK_OK],
      (unsigned long long)c[TORC_COUNT_FETCH_MISSING], (unsigned long long)c[TORC_COUNT_STALE],
      (unsigned long long)p->values, (unsigned long long)p->gone, (unsigned long long)p->thin,
      p->messages, p->bytes);
  (void)fflush(r->o->json);
}

static void take_sample(run *r) {
  torc_sample p = {.at = torc_sim_now(r->s)};
  torc_measure m;
  torc_sim_traffic t;
  size_t num = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;
  count_time(r);
  torc_workload_measure(r->w, &m);
  torc_sim_get_traffic(r->s, &t);
  torc_measure now = m;
  torc_sim_traffic now_traffic = t;
  torc_measure_subtract(&m, &r->before);
  subtract_traffic(&t, &r->before_traffic);
  (void)torc_workload_live(r->w, TORC_ROLE_PEER, &num);
  p.peers = num;
  (void)torc_workload_live(r->w, TORC_ROLE_CLIENT, &num);
  p.clients = num;
  p.joined = torc_workload_joined(r->w);
  memcpy(p.counts, m.counts, sizeof p.counts);
  p.hops_mean = torc_hist_mean(&m.hops);
  traffic_sums(&t, &messages, &bytes);
  double minutes = (r->node_us - r->before_node_us) / 60e6;
  p.messages = minutes > 0 ? (double)messages / minutes : 0;
  p.bytes = minutes > 0 ? (double)bytes / minutes : 0;
  p.thin = torc_count_holders(r);
  for (size_t place = 0; place < torc_workload_num_values(r->w); place++) {
    p.values += torc_workload_is_owed(r->w, place);
    p.gone += torc_workload_value(r->w, place)->is_gone;
  }
  r->before = now;
  r->before_traffic = now_traffic;
  r->before_node_us = r->node_us;
  say_sample(r, &p);
  if (r->r->num_samples < SAMPLES_MAX) {
    torc_sample *grown = realloc(r->r->samples, (r->r->num_samples + 1) * sizeof *r->r->samples);
    if (grown == NULL) {
      r->rc = TORC_ERR_NOMEM;
      return;
    }
    r->r->samples = grown;
    grown[r->r->num_samples++] = p;
  }
}

static void show_progress(run *r) {
  double wall = torc_run_wall();
  size_t peers = 0;
  torc_sim_traffic t;
  double pause = r->o->is_terminal ? SHOW_S : SAY_S;
  if (r->o->progress == NULL || wall - r->wall_shown < pause) {
    return;
  }
  r->wall_shown = wall;
  (void)torc_workload_live(r->w, TORC_ROLE_PEER, &peers);
  torc_sim_get_traffic(r->s, &t);
  (void)fprintf(
      r->o->progress, "%s%s  %.1f s  %zu peers, %zu joined  %zu calls under way  %.0f events/s%s",
      r->o->is_terminal ? "\r" : "", r->r->name, seconds(torc_sim_now(r->s)), peers,
      torc_workload_joined(r->w), torc_workload_pending(r->w),
      (double)t.events / (wall - r->wall_started + 1e-9), r->o->is_terminal ? " \x1b[K" : "\n");
  (void)fflush(r->o->progress);
}

/* ---- expectations ---- */

static bool compare(double value, torc_compare c, double limit) {
  switch (c) {
    case TORC_AT_MOST:
      return value <= limit;
    case TORC_AT_LEAST:
      return value >= limit;
    case TORC_EQUAL:
      return !(value < limit) && !(value > limit);
    case TORC_BELOW:
      return value < limit;
    case TORC_ABOVE:
      return value > limit;
  }
  return false;
}

static void look_at_ring(run *r) {
  size_t clients = 0;
  const torc_ring *ring = torc_workload_ring(r->w);
  const torc_sim_index *live = torc_workload_live(r->w, TORC_ROLE_CLIENT, &clients);
  r->r->fault[0] = '\0';
  r->r->is_whole = torc_ring_is_whole(r->s, ring, r->r->fault, sizeof r->r->fault);
  for (size_t k = 0; r->r->is_whole && k < clients; k++) {
    if (!torc_workload_node(r->w, live[k])->is_joined) {
      r->r->is_whole = false;
      (void)snprintf(r->r->fault, sizeof r->r->fault, "n%u (a client) is not attached", live[k]);
    }
  }
}

/* [D-19] Peers that are in both rings and have gone through what they hold, or have left the first.
 */
static uint64_t count_moved(const run *r) {
  size_t num = 0;
  uint64_t moved = 0;
  const torc_sim_index *live = torc_workload_live(r->w, TORC_ROLE_PEER, &num);
  for (size_t k = 0; k < num; k++) {
    torc_migration_view v;
    torc_node_get_migration(torc_sim_node(r->s, live[k]), &v);
    bool is_done = v.stage == TORC_MIGRATION_NEW_ONLY
                       ? strcmp(v.old_state, "left") == 0
                       : strcmp(v.new_state, "joined") == 0 && v.rounds > 0;
    moved += is_done ? 1u : 0u;
  }
  return moved;
}

/* [SEC-12] */
static void look_at_bounds(run *r, bool is_rest, torc_bounds *out) {
  size_t num = 0;
  const torc_sim_index *live = torc_workload_live(r->w, TORC_ROLE_PEER, &num);
  for (size_t k = 0; k < num; k++) {
    torc_bounds_look(r->s, live[k], is_rest ? num : 0, out);
  }
  if (is_rest) {
    torc_bounds_look_at_memory(r->r->bytes_per_node, num, out);
  }
}

static bool expects(const torc_action *a, torc_metric m) {
  for (size_t k = 0; k < a->num_expects; k++) {
    if (a->expects[k].metric == m) {
      return true;
    }
  }
  return false;
}

static bool is_expected(const torc_scenario *sc, torc_metric m) {
  for (size_t k = 0; k < sc->num_actions; k++) {
    if (expects(&sc->actions[k], m)) {
      return true;
    }
  }
  return false;
}

static const char *fault_of(const run *r, torc_metric m) {
  return m == TORC_METRIC_RING       ? r->r->fault
         : m == TORC_METRIC_OVERFULL ? r->r->overfull.fault
         : m == TORC_METRIC_LEFTOVER ? r->r->leftover.fault
                                     : "";
}

static void say_expect(const run *r, const act *x, const torc_expect *e, bool known, double value,
                       bool ok) {
  double t = seconds(torc_sim_now(r->s));
  bool ring = e->metric == TORC_METRIC_RING;
  if (r->o->json != NULL) {
    (void)fprintf(
        r->o->json,
        "{\"kind\":\"expect\",\"t\":%.3f,\"line\":%u,\"what\":\"%s%s%.10g\",\"value\":", t,
        x->a->line, torc_metric_name(e->metric), torc_compare_text(e->compare), e->value);
    (void)fprintf(r->o->json, known ? "%.10g" : "null", value);
    (void)fprintf(r->o->json, ",\"after_s\":%.3f,\"ok\":%s,\"fault\":\"%s\"}\n",
                  seconds(torc_sim_now(r->s) - x->started), ok ? "true" : "false",
                  fault_of(r, e->metric));
    (void)fflush(r->o->json);
  }
  if (r->o->said != NULL) {
    (void)fprintf(r->o->said, "%s  line %u at %.1f s: ", ok ? "ok    " : "FAILED", x->a->line, t);
    if (ring) {
      (void)fprintf(r->o->said, "ring=consistent after %.1f s%s%s\n",
                    seconds(torc_sim_now(r->s) - x->started), ok ? "" : ": ", r->r->fault);
    } else {
      (void)fprintf(r->o->said, "%s%s%.10g, ", torc_metric_name(e->metric),
                    torc_compare_text(e->compare), e->value);
      (void)fprintf(r->o->said, known ? "it is %.10g" : "nothing was measured", value);
      const char *fault = fault_of(r, e->metric);
      (void)fprintf(r->o->said, "%s%s\n", fault[0] == '\0' ? "" : ": ", fault);
    }
  }
}

/* Whether all of a line holds; says so if it is final. */
static bool judge_expects(run *r, act *x, bool is_final) {
  bool all = true;
  bool ring = expects(x->a, TORC_METRIC_RING);
  if (ring) {
    look_at_ring(r);
  }
  if (expects(x->a, TORC_METRIC_LEFTOVER)) {
    r->r->leftover = (torc_bounds){.num_over = 0};
    look_at_bounds(r, true, &r->r->leftover);
  }
  if (expects(x->a, TORC_METRIC_MOVED)) {
    r->r->moved = count_moved(r);
  }
  for (size_t k = 0; k < x->a->num_expects; k++) {
    const torc_expect *e = &x->a->expects[k];
    double value = 0;
    bool known = torc_run_metric(r->r, e->metric, &value);
    all = all && known && compare(value, e->compare, e->value);
  }
  if (ring && all) {
    r->r->whole_s = seconds(torc_sim_now(r->s) - x->started);
  }
  for (size_t k = 0; (all || is_final) && k < x->a->num_expects; k++) {
    const torc_expect *e = &x->a->expects[k];
    double value = 0;
    bool known = torc_run_metric(r->r, e->metric, &value);
    bool ok = known && compare(value, e->compare, e->value);
    r->r->num_expects++;
    r->r->num_failed += !ok;
    say_expect(r, x, e, known, value, ok);
  }
  return all;
}

/* Cheap: while not everybody has joined the ring is not whole. */
static bool may_hold(const run *r, const act *x) {
  size_t peers = 0;
  size_t clients = 0;
  (void)torc_workload_live(r->w, TORC_ROLE_PEER, &peers);
  (void)torc_workload_live(r->w, TORC_ROLE_CLIENT, &clients);
  for (size_t k = 0; k < x->a->num_expects; k++) {
    if (x->a->expects[k].metric == TORC_METRIC_RING &&
        torc_workload_joined(r->w) < peers + clients) {
      return false;
    }
  }
  return true;
}

void torc_run_expect_step(run *r, act *x) {
  torc_time now = torc_sim_now(r->s);
  bool waits = (x->a->has & (1u << TORC_KEY_WITHIN)) != 0;
  bool is_final = !waits || now >= x->started + x->a->keys[TORC_KEY_WITHIN];
  if (is_final || may_hold(r, x)) {
    torc_run_figures(r);
    if (judge_expects(r, x, is_final) || is_final) {
      torc_act_finish(r, x);
      return;
    }
  }
  torc_time pause = (now - x->started) / 8;
  pause = pause < POLL_FIRST ? POLL_FIRST : pause > POLL_MOST ? POLL_MOST : pause;
  x->wake = now + pause;
}

/* ---- the clockwork ---- */

static bool is_background(const act *x) {
  torc_verb v = x->a->verb;
  return (x->a->has & (1u << TORC_KEY_FOR)) == 0 &&
         (v == TORC_VERB_LOOKUPS || v == TORC_VERB_FETCHES || v == TORC_VERB_OVERWRITES ||
          v == TORC_VERB_REMOVES || v == TORC_VERB_CHURN);
}

/* When a waiting action is due; TORC_NEVER: not known yet. */
static torc_time due_at(const run *r, size_t k) {
  const torc_action *a = r->acts[k].a;
  if (!a->is_after || k == 0) {
    return a->time;
  }
  const act *before = &r->acts[k - 1];
  if (before->state == ACT_DONE) {
    return before->ended + a->time;
  }
  return before->state == ACT_RUNS && is_background(before) ? before->started + a->time
                                                            : TORC_NEVER;
}

/* Starts and goes on with all that is due; the actions keep their order. */
static void do_due(run *r) {
  torc_time now = torc_sim_now(r->s);
  torc_sessions_due(r);
  for (bool again = true; again && r->rc == 0;) {
    again = false;
    for (size_t k = 0; k < r->num_acts && r->rc == 0; k++) {
      act *x = &r->acts[k];
      if (x->state == ACT_WAITS && due_at(r, k) <= now) {
        torc_act_start(r, x);
        again = true;
      } else if (x->state == ACT_RUNS && x->wake <= now) {
        torc_act_step(r, x);
        again = again || x->state == ACT_DONE;
      }
    }
  }
}

static bool is_over(const run *r) {
  for (size_t k = 0; k < r->num_acts; k++) {
    if (r->acts[k].state != ACT_DONE &&
        !(r->acts[k].state == ACT_RUNS && is_background(&r->acts[k]))) {
      return false;
    }
  }
  return true;
}

static torc_time next_stop(const run *r) {
  torc_time next = torc_sessions_next(r);
  next = r->next_sample < next ? r->next_sample : next;
  for (size_t k = 0; k < r->num_acts; k++) {
    const act *x = &r->acts[k];
    torc_time at = x->state == ACT_WAITS  ? due_at(r, k)
                   : x->state == ACT_RUNS ? x->wake
                                          : TORC_NEVER;
    next = at < next ? at : next;
  }
  return next;
}

static void loop(run *r) {
  bool looks = is_expected(r->sc, TORC_METRIC_OVERFULL);
  do_due(r);
  while (r->rc == 0 && !is_over(r)) {
    torc_time next = next_stop(r);
    (void)torc_workload_ring(r->w); /* what hooks look up during the windows */
    torc_sim_run(r->s, next);
    count_time(r);
    if (torc_sim_now(r->s) < next) { /* no event was left */
      r->rc = TORC_ERR_STATE;
      return;
    }
    if (next >= r->next_sample) {
      take_sample(r);
      r->next_sample += r->sc->interval;
    }
    if (looks) {
      look_at_bounds(r, false, &r->r->overfull);
    }
    do_due(r);
    show_progress(r);
  }
}

static void on_trace(void *ctx, const char *line, size_t len) {
  FILE *f = ctx;
  (void)fwrite(line, 1, len, f);
  (void)fputc('\n', f);
}

static int set_up(run *r, char *err, size_t err_cap) {
  const torc_scenario *sc = r->sc;
  torc_sim_config cfg = sc->config;
  const char *why = NULL;
  int rc = torc_workload_new(&r->w);
  r->acts = calloc(sc->num_actions + 1, sizeof *r->acts);
  if (rc != 0 || r->acts == NULL) {
    return TORC_ERR_NOMEM;
  }
  r->num_acts = sc->num_actions;
  for (size_t k = 0; k < r->num_acts; k++) {
    r->acts[k].a = &sc->actions[k];
  }
  cfg.algorithm = sc->algorithm;
  cfg.matrix_file = sc->matrix_file[0] == '\0' ? NULL : sc->matrix_file;
  cfg.threads = r->o->threads;
  cfg.tells_live = cfg.num_bootstrap == 0; /* nobody in a large ring dials the same four */
  cfg.num_bootstrap = cfg.tells_live ? 4 : cfg.num_bootstrap;
  if (r->o->trace != NULL) {
    cfg.trace = on_trace;
    cfg.trace_ctx = r->o->trace;
  }
  r->num_bootstrap = cfg.num_bootstrap;
  torc_workload_hooks(r->w, &cfg.hooks);
  torc_rng_seed(&r->rng, cfg.seed ^ 0x746f72632073696dull); /* not the engine's sequence */
  rc = torc_sim_new(&r->s, &cfg, &why);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "%s", why == NULL ? torc_strerror(rc) : why);
    return rc;
  }
  torc_workload_attach(r->w, r->s);
  r->next_sample = sc->interval;
  return 0;
}

static void tear_down(run *r) {
  for (size_t k = 0; r->acts != NULL && k < r->num_acts; k++) {
    free(r->acts[k].nodes);
  }
  torc_sim_free(r->s);
  torc_workload_free(r->w);
  free(r->acts);
  free(r->sessions);
  free(r->lives);
  free(r->base_load);
}

int torc_scenario_run(const torc_scenario *scenario, const torc_run_options *o,
                      torc_run_result *out, char *err, size_t err_cap) {
  run *r = calloc(1, sizeof *r); /* too large for a stack: histograms */
  memset(out, 0, sizeof *out);
  (void)snprintf(err, err_cap, "out of memory");
  if (r == NULL) {
    return TORC_ERR_NOMEM;
  }
  (void)snprintf(out->name, sizeof out->name, "%s", scenario->name);
  (void)snprintf(out->about, sizeof out->about, "%s", scenario->about);
  (void)snprintf(out->algorithm, sizeof out->algorithm, "%s", scenario->algorithm);
  out->seed = scenario->config.seed;
  out->whole_s = -1;
  r->sc = scenario;
  r->o = o;
  r->r = out;
  r->wall_started = torc_run_wall();
  r->wall_shown = r->wall_started;
  int rc = set_up(r, err, err_cap);
  if (rc == 0) {
    out->threads = torc_sim_threads(r->s);
    loop(r);
    rc = r->rc;
    if (rc == 0) {
      torc_run_figures(r);
      look_at_ring(r);
    } else {
      const char *why = torc_sim_why(r->s);
      why = why == NULL && rc == TORC_ERR_STATE ? "no event is left" : why;
      (void)snprintf(err, err_cap, "%s", why != NULL ? why : torc_strerror(rc));
    }
  }
  if (o->progress != NULL && o->is_terminal) {
    (void)fputs("\r\x1b[K", o->progress);
  }
  tear_down(r);
  free(r);
  if (rc != 0) {
    torc_run_result_clear(out);
  }
  return rc;
}

void torc_run_result_clear(torc_run_result *r) {
  free(r->samples);
  r->samples = NULL;
  r->num_samples = 0;
}
