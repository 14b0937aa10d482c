/* What a new configuration changes in a running node [GAP-130].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"
#include "overlay/node/rings.h"
#include "overlay/storage/store.h"

/* ---- tables of types that were replaced ---- */

/* Requests being worked on point into the table that was there when they came. */
static bool is_idle(const torc_node *n) {
  return n->jobs.len == 0 && n->calls.len == 0 && n->trans.len == 0 &&
         torc_list_empty(&n->inbounds) && torc_list_empty(&n->copies) &&
         torc_list_empty(&n->deferred);
}

void torc_retired_clear(torc_node *n, bool all) {
  bool is_unused = all || is_idle(n);
  uint8_t num = 0;
  for (uint8_t i = 0; i < n->num_retired; i++) {
    torc_retired r = n->retired[i];
    if (is_unused || n->now >= torc_time_add(r.at, TORC_NODE_RETIRED_AGE)) {
      torc_free(n->mem, r.room);
    } else {
      n->retired[num] = r;
      num++;
    }
  }
  n->num_retired = num;
}

/* ---- types ---- */

/* Values are stored under the types there are: none may vanish or become another. */
static const char *lost_type(const torc_types *old, const torc_types *new) {
  for (size_t i = 0; i < old->len; i++) {
    const torc_type *was = &old->list[i];
    const torc_type *is = torc_types_find(new, was->id);
    if (is == NULL) {
      return "a type is gone under which values may be stored";
    }
    if (is->model != was->model || is->access != was->access) {
      return "a type has another data model or access rule than its values";
    }
  }
  return NULL;
}

static int change_types(torc_node *n, const torc_node_config *cfg, const char **why) {
  torc_types old = n->types;
  torc_type *old_room = n->type_room;
  const char *old_version = n->version_text;
  torc_node_config with_version = *cfg;
  with_version.version_text = old_version;
  torc_retired_clear(n, false);
  if (n->retired == NULL) {
    n->retired = torc_calloc(n->mem, TORC_NODE_RETIRED_MAX, sizeof *n->retired);
  }
  if (n->retired == NULL) {
    return TORC_ERR_NOMEM;
  }
  if (n->num_retired == TORC_NODE_RETIRED_MAX) {
    *why = "the configuration has changed 16 times within an hour: wait";
    return TORC_ERR_LIMIT;
  }
  n->type_room = NULL;
  int rc = torc_node_copy_types(n, &with_version, why);
  const char *lost = rc == 0 ? lost_type(&old, &n->types) : NULL;
  if (lost != NULL) {
    *why = lost;
    rc = TORC_ERR_CONFIG;
  }
  if (rc != 0) {
    torc_free(n->mem, n->type_room);
    n->types = old;
    n->type_room = old_room;
    n->version_text = old_version;
    return rc;
  }
  n->retired[n->num_retired] = (torc_retired){.room = old_room, .at = n->now};
  n->num_retired++;
  torc_retired_clear(n, false);
  return 0;
}

/* ---- the rest ---- */

static void change_periods(torc_node *n, const torc_node_config *cfg) {
  const torc_topology_ops *ops = NULL;
  torc_topology_params fresh;
  torc_topology_params *p = &n->topo_params;
  if (torc_topology_find(cfg->algorithm, &ops, &fresh) != 0) { /* not the algorithm it runs */
    return;
  }
  p->update_period = cfg->update_period == 0 ? fresh.update_period : cfg->update_period;
  p->ping_period = cfg->ping_period == 0 ? fresh.ping_period : cfg->ping_period;
  p->deletion_delay = cfg->deletion_delay == 0 ? fresh.deletion_delay : cfg->deletion_delay;
}

int torc_node_change(torc_node *n, const torc_node_config *cfg, const char **why) {
  *why = "no memory";
  int rc = change_types(n, cfg, why);
  if (rc != 0) {
    return rc;
  }
  rc = torc_bootstrap_set_fixed(n, cfg->bootstrap, cfg->num_bootstrap);
  if (rc != 0) { /* more types than asked for do no harm until the next try */
    return rc;
  }
  torc_node_settings s = torc_node_settings_of(cfg);
  n->cfg.initial_ttl = s.initial_ttl;
  n->cfg.max_message = s.max_message;
  n->cfg.t1 = s.t1;
  n->cfg.replica_wait = s.replica_wait;
  n->cfg.keepalive = s.keepalive;
  n->cfg.idle_close = s.idle_close;
  n->cfg.may_found = s.may_found;
  change_periods(n, cfg);
  if (n->store != NULL) {
    torc_store_set_remove_rule(n->store, !cfg->remove_zero_generation);
  }
  return 0;
}

void torc_core_refuse_joins(torc_node *n, bool on) {
  n->refuses_joins = on;
}
