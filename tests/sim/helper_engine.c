/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/helper_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "torc_test.h"

#define CALL_PING 1u
#define SAY_APPLICATION 4711u
#define SAY_MAX 4096u

static void on_event(void *ctx, unsigned worker, torc_sim_index i, const torc_event *e,
                     torc_time now) {
  rig *r = ctx;
  rig_node *n = &r->nodes[i];
  (void)worker;
  (void)now;
  n->num_joined += e->kind == TORC_EVENT_JOINED;
  n->num_left += e->kind == TORC_EVENT_LEFT;
  n->num_disconnected += e->kind == TORC_EVENT_DISCONNECTED;
  if (e->kind == TORC_EVENT_TUNNEL) {
    uint32_t number = 0;
    memcpy(&number, e->pdu.p, sizeof number);
    n->num_disordered += n->num_heard > 0 && number <= n->heard;
    n->num_heard++;
    n->heard = number;
  }
  if (e->kind != TORC_EVENT_DONE) {
    return;
  }
  n->num_done++;
  n->num_failed += e->done.rc != 0;
  n->responder = e->done.responder;
  n->elapsed = e->done.elapsed;
  n->num_values = 0;
  for (size_t k = 0; k < e->done.num_values; k++) {
    const torc_value *v = &e->done.values[k];
    if (v->exists && v->value.len < sizeof n->value) {
      memcpy(n->value, v->value.p, v->value.len);
      n->value[v->value.len] = '\0';
      n->num_values++;
    }
  }
}

static torc_id opposite(const torc_sim *s, torc_sim_index i) {
  torc_id id = torc_sim_id(s, i);
  return torc_id_add_pow2(&id, 127);
}

static void on_call(void *ctx, unsigned worker, torc_sim_index i, uint64_t arg, torc_time now) {
  rig *r = ctx;
  torc_token token = 0;
  torc_id place = opposite(r->sim, i);
  (void)worker;
  assert_int_equal(arg, CALL_PING);
  if (torc_node_ping(torc_sim_node(r->sim, i), &place, 1, 0, now, &token) != 0) {
    r->nodes[i].num_failed++;
  }
}

static void on_trace(void *ctx, const char *line, size_t len) {
  rig *r = ctx;
  if (r->trace_cap - r->trace_len <= len) {
    r->trace_cap = r->trace_cap * 2 + len + 1;
    r->trace = realloc(r->trace, r->trace_cap);
    assert_non_null(r->trace);
  }
  memcpy(r->trace + r->trace_len, line, len);
  r->trace_len += len;
  r->trace[r->trace_len] = '\0';
}

void rig_start(rig *r, torc_sim_config *cfg, bool traces) {
  const char *why = "";
  memset(r, 0, sizeof *r);
  cfg->hooks = (torc_sim_hooks){.ctx = r, .event = on_event, .call = on_call};
  if (traces) {
    cfg->trace = on_trace;
    cfg->trace_ctx = r;
  }
  int rc = torc_sim_new(&r->sim, cfg, &why);
  if (rc != 0) {
    fail_msg("%s", why);
  }
}

void rig_stop(rig *r) {
  torc_sim_free(r->sim);
  free(r->trace);
  memset(r, 0, sizeof *r);
}

void rig_run(rig *r, torc_time duration) {
  torc_sim_run(r->sim, torc_sim_now(r->sim) + duration);
  assert_null(torc_sim_why(r->sim));
}

void rig_grow(rig *r, size_t num) {
  size_t joined = 0;
  for (size_t k = 0; k < num; k++) {
    torc_sim_index i = 0;
    assert_int_equal(torc_sim_add(r->sim, NULL, &i), 0);
    assert_true(i < RIG_NODES_MAX);
    rig_run(r, TORC_SEC(1));
  }
  for (unsigned wait = 0; wait < 60 && joined < torc_sim_num(r->sim); wait++) {
    joined = 0;
    rig_run(r, TORC_SEC(10));
    for (torc_sim_index i = 0; i < torc_sim_num(r->sim); i++) {
      joined += r->nodes[i].num_joined > 0;
    }
  }
  assert_int_equal(joined, torc_sim_num(r->sim));
}

/* The peer nearest clockwise, among those that are up. */
static torc_sim_index successor(torc_sim *s, const torc_id *place) {
  torc_sim_index best = UINT32_MAX;
  torc_id best_way = torc_id_wildcard;
  for (torc_sim_index i = 0; i < torc_sim_num(s); i++) {
    torc_id id = torc_sim_id(s, i);
    torc_id way = torc_id_distance(place, &id);
    if (torc_sim_is_up(s, i) && (best == UINT32_MAX || torc_id_cmp(&way, &best_way) < 0)) {
      best = i;
      best_way = way;
    }
  }
  return best;
}

bool rig_is_whole(rig *r) {
  for (torc_sim_index i = 0; i < torc_sim_num(r->sim); i++) {
    torc_node_view v;
    torc_id id = torc_sim_id(r->sim, i);
    if (!torc_sim_is_up(r->sim, i)) {
      continue;
    }
    torc_node_get_view(torc_sim_node(r->sim, i), &v);
    torc_id next = torc_id_next(&id);
    torc_id right = torc_sim_id(r->sim, successor(r->sim, &next));
    if (!v.is_joined || v.num_successors == 0 || !torc_id_eq(&v.successors[0], &right)) {
      return false;
    }
  }
  return true;
}

unsigned rig_lookups_lost(rig *r) {
  unsigned lost = 0;
  torc_time now = torc_sim_now(r->sim);
  for (torc_sim_index i = 0; i < torc_sim_num(r->sim); i++) {
    r->nodes[i].num_done = 0;
    r->nodes[i].num_failed = 0;
    torc_sim_call(r->sim, i, now + TORC_MS(i), CALL_PING);
  }
  rig_run(r, TORC_SEC(60));
  for (torc_sim_index i = 0; i < torc_sim_num(r->sim); i++) {
    const rig_node *n = &r->nodes[i];
    torc_id place = opposite(r->sim, i);
    torc_id right = torc_sim_id(r->sim, successor(r->sim, &place));
    if (torc_sim_is_up(r->sim, i)) {
      lost += n->num_done != 1 || n->num_failed != 0 || !torc_id_eq(&n->responder, &right);
    }
  }
  return lost;
}

static torc_id note_place(rig *r, torc_sim_index asker, torc_sim_index whose) {
  char user[64];
  torc_id id;
  snprintf(user, sizeof user, "u%u@sim.example", whose);
  torc_node *n = torc_sim_node(r->sim, asker);
  assert_int_equal(torc_node_resource_id(n, torc_slice_str(user), &id), 0);
  return id;
}

void rig_store(rig *r, torc_sim_index i, const char *value) {
  torc_token token = 0;
  torc_id place = note_place(r, i, i);
  torc_store_item item = {.type = TORC_SIM_TYPE_NOTE,
                          .key = torc_slice_str("key"),
                          .value = torc_slice_str(value),
                          .lifetime_s = 86400};
  r->nodes[i].num_done = 0;
  r->nodes[i].num_failed = 0;
  assert_int_equal(
      torc_node_store(torc_sim_node(r->sim, i), &place, &item, 1, torc_sim_now(r->sim), &token), 0);
}

void rig_fetch(rig *r, torc_sim_index i, torc_sim_index whose) {
  torc_token token = 0;
  torc_id place = note_place(r, i, whose);
  torc_fetch_item item = {.type = TORC_SIM_TYPE_NOTE, .first = 0, .last = -1};
  r->nodes[i].num_done = 0;
  r->nodes[i].num_failed = 0;
  r->nodes[i].value[0] = '\0';
  assert_int_equal(
      torc_node_fetch(torc_sim_node(r->sim, i), &place, &item, 1, torc_sim_now(r->sim), &token), 0);
}

unsigned rig_links(rig *r, torc_sim_index i) {
  torc_node_view v;
  torc_node_get_view(torc_sim_node(r->sim, i), &v);
  return v.num_links;
}

bool rig_is_linked(rig *r, torc_sim_index i, torc_sim_index to) {
  static torc_node_link_view views[512];
  torc_id id = torc_sim_id(r->sim, to);
  size_t num = torc_node_links(torc_sim_node(r->sim, i), views, TORC_ARRAY_LEN(views));
  for (size_t k = 0; k < num; k++) {
    if (torc_id_eq(&views[k].peer, &id)) {
      return true;
    }
  }
  return false;
}

void rig_listen(rig *r, torc_sim_index i) {
  assert_int_equal(torc_node_listen(torc_sim_node(r->sim, i), SAY_APPLICATION, true), 0);
}

void rig_say(rig *r, torc_sim_index i, torc_sim_index to, uint32_t number, size_t len) {
  static uint8_t pdu[SAY_MAX];
  torc_token token = 0;
  torc_id id = torc_sim_id(r->sim, to);
  assert_true(len >= sizeof number && len <= sizeof pdu);
  memcpy(pdu, &number, sizeof number);
  assert_int_equal(
      torc_node_tunnel(torc_sim_node(r->sim, i), &id, 1, SAY_APPLICATION, torc_slice_str("dialog"),
                       torc_slice_of(pdu, len), torc_sim_now(r->sim), &token),
      0);
}
