/* The overlay document on the control socket: what it says, how old it is, what waits.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/control_impl.h"

static json_t *lines_json(const torc_config_lines *lines) {
  json_t *list = json_array();
  for (size_t i = 0; i < lines->num; i++) {
    (void)json_array_append_new(list, json_string(lines->line[i]));
  }
  return list;
}

static json_t *when(torc_wall t) {
  return t == 0 || t == UINT32_MAX ? json_null() : json_integer(t);
}

static const char *age_name(torc_config_age age) {
  switch (age) {
    case TORC_CONFIG_FRESH:
      return "valid";
    case TORC_CONFIG_EXPIRED:
      return "expired";
    case TORC_CONFIG_STALE:
      return "long expired";
  }
  return "?";
}

static json_t *waiting_json(const torc_control *c) {
  torc_config_lines *waiting = calloc(1, sizeof *waiting);
  if (waiting == NULL) {
    return json_array();
  }
  torc_overlay_waiting(torc_peer_running(c->peer), torc_peer_document(c->peer), waiting);
  json_t *list = lines_json(waiting);
  free(waiting);
  return list;
}

static json_t *types_json(const torc_overlay *o) {
  static const char *const models[] = {"?", "single", "array", "dictionary"};
  static const char *const rules[] = {
      "?", "user-match", "node-match", "user-node-match", "node-multiple", "?", "own-key"};
  json_t *list = json_array();
  for (size_t i = 0; i < o->num_types; i++) {
    const torc_type_def *t = &o->types[i];
    json_t *type = json_object();
    control_put(type, "type", control_type_text(t->id));
    control_put(type, "name", json_string(t->name));
    control_put(type, "model",
                json_string(models[t->model < TORC_ARRAY_LEN(models) ? t->model : 0]));
    control_put(type, "access", json_string(rules[t->rule < TORC_ARRAY_LEN(rules) ? t->rule : 0]));
    control_put(type, "max_count", json_integer(t->max_values));
    control_put(type, "max_size", json_integer(t->max_size));
    control_put(type, "max_lifetime_s", json_integer(t->max_lifetime_s));
    control_put(type, "find", json_boolean(t->findable));
    (void)json_array_append_new(list, type);
  }
  return list;
}

/* [D-19] Only while there is a move, or was one since the start. */
static void put_migration(const torc_control *c, json_t *reply) {
  static const char *const stages[] = {"none", "store-both-fetch-old", "store-both-fetch-new",
                                       "new-only"};
  const torc_overlay *next = torc_peer_running(c->peer)->next;
  torc_migration_view v;
  torc_node_get_migration(torc_peer_node(c->peer), &v);
  if (v.stage == TORC_MIGRATION_NONE && strcmp(v.new_state, "none") == 0) {
    return;
  }
  json_t *move = json_object();
  control_put(move, "stage", json_string(stages[v.stage]));
  control_put(move, "to", next == NULL ? json_null() : json_string(next->name));
  control_put(move, "algorithm", next == NULL ? json_null() : json_string(next->algorithm));
  control_put(move, "old_ring", json_string(v.old_state));
  control_put(move, "new_ring", json_string(v.new_state));
  control_put(move, "carrying", json_boolean(v.is_carrying));
  control_put(move, "rounds", json_integer((json_int_t)v.rounds));
  control_put(move, "carried", json_integer((json_int_t)v.carried));
  control_put(move, "refused", json_integer((json_int_t)v.refused));
  control_put(move, "failed", json_integer((json_int_t)v.failed));
  control_put(reply, "migration", move);
}

/* How it stands, in a few fields of "status". */
void control_put_config(const torc_control *c, json_t *reply) {
  const torc_config_status *s = torc_peer_config_status(c->peer);
  const torc_overlay *o = torc_peer_document(c->peer);
  json_t *config = json_object();
  control_put(config, "sequence", json_integer((json_int_t)o->sequence));
  control_put(config, "state",
              json_string(age_name(torc_config_age_at(&s->life, (torc_wall)time(NULL)))));
  control_put(config, "expires", when(torc_config_expires(&s->life)));
  control_put(config, "restart_for", waiting_json(c));
  if (s->error[0] != '\0') {
    control_put(config, "error", json_string(s->error));
  }
  control_put(reply, "configuration", config);
  put_migration(c, reply);
}

static void put_document(const torc_control *c, json_t *reply) {
  const torc_config_status *s = torc_peer_config_status(c->peer);
  const torc_overlay *o = torc_peer_document(c->peer);
  bool is_signed = o->signer != TORC_OVERLAY_NO_SIGNER;
  control_put_config(c, reply);
  control_put(reply, "overlay", json_string(o->name));
  control_put(reply, "algorithm", json_string(o->algorithm));
  control_put(reply, "signed", json_boolean(is_signed));
  control_put(reply, "signed_at", is_signed ? when(o->signed_at) : json_null());
  control_put(reply, "source", json_string(s->source));
  control_put(reply, "received", when(s->life.received));
  control_put(reply, "next_try", when(torc_config_next(&s->life)));
  control_put(reply, "reloads", json_integer((json_int_t)s->reloads));
  control_put(reply, "types", types_json(o));
}

int control_config(control_request *r) {
  put_document(r->control, r->reply);
  return 0;
}

int control_reload(control_request *r) {
  torc_control *c = r->control;
  bool is_fetch = json_is_true(json_object_get(r->json, "fetch"));
  char why[256] = "";
  if (c->reload == NULL) {
    return control_fail(r, TORC_ERR_INVALID, "this program cannot read its configuration anew");
  }
  int rc = c->reload(c->ctx, is_fetch, why, sizeof why);
  if (rc != 0) {
    return control_fail(r, rc, "%s", why);
  }
  r->call->token = CONTROL_RELOAD;
  r->call->finish = control_finish_plain;
  return CONTROL_LATER;
}

typedef struct ending {
  int rc;
  const char *why;
  const torc_config_lines *changes;
} ending;

static void fill(const torc_control *c, void *ctx, json_t *reply) {
  const ending *e = ctx;
  if (e->rc != 0) {
    control_put(reply, "error", json_string(e->why));
    control_put(reply, "reason", json_string(torc_strerror(e->rc)));
    return;
  }
  control_put(reply, "changed", lines_json(e->changes));
  put_document(c, reply);
}

void torc_control_reloaded(torc_control *c, int rc, const char *why,
                           const torc_config_lines *changes) {
  ending e = {.rc = rc, .why = why, .changes = changes};
  if (c != NULL) {
    control_end(c, CONTROL_RELOAD, rc == 0, fill, &e);
  }
}
