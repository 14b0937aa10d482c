/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "base/id.h"
#include "io/control_impl.h"

#define LINKS_SHOWN_MAX 4096

static json_t *seconds(torc_time t) {
  return json_integer((json_int_t)(t / TORC_SEC(1)));
}

static json_t *ports_of(const torc_peer *peer) {
  json_t *ports = json_array();
  for (size_t i = 0; i < TORC_PEER_LISTEN_MAX && torc_peer_port(peer, i) != 0; i++) {
    (void)json_array_append_new(ports, json_integer(torc_peer_port(peer, i)));
  }
  return ports;
}

static void put_view(json_t *reply, const torc_node_view *v) {
  control_put(reply, "peer", control_id(&v->self));
  control_put(reply, "role", json_string(v->role == TORC_ROLE_CLIENT ? "client" : "peer"));
  control_put(reply, "state", json_string(v->state));
  control_put(reply, "joined", json_boolean(v->is_joined));
  control_put(reply, "uptime_s", seconds(v->uptime));
  control_put(reply, "links", json_integer(v->num_links));
  control_put(reply, "client_links", json_integer(v->num_client_links));
  control_put(reply, "resources", json_integer(v->num_resources));
  control_put(reply, "stored_bytes", json_integer((json_int_t)v->stored_bytes));
}

static void put_tables(json_t *reply, const torc_node_view *v) {
  control_put(reply, "responsible", json_boolean(v->is_responsible));
  if (v->is_responsible) {
    control_put(reply, "range_from", control_id(&v->range_from));
  }
  control_put(reply, "predecessors", control_ids(v->predecessors, v->num_predecessors));
  control_put(reply, "successors", control_ids(v->successors, v->num_successors));
  control_put(reply, "fingers", control_ids(v->fingers, v->num_fingers));
}

/* The ring it is in: after a move another one than it was started for [D-19]. */
static const char *overlay_of(const torc_control *c) {
  const torc_overlay *o = torc_peer_running(c->peer);
  torc_migration_view v;
  torc_node_get_migration(c->node, &v);
  bool has_moved = v.stage == TORC_MIGRATION_NEW_ONLY && o->next != NULL;
  return has_moved ? o->next->name : o->name;
}

int control_status(control_request *r) {
  torc_control *c = r->control;
  torc_node_view view;
  torc_node_get_view(c->node, &view);
  control_put(r->reply, "version", json_string(TORC_VERSION));
  control_put(r->reply, "pid", json_integer(getpid()));
  control_put(r->reply, "overlay", json_string(overlay_of(c)));
  control_put(r->reply, "user", json_string(c->user));
  put_view(r->reply, &view);
  put_tables(r->reply, &view);
  control_put_config(c, r->reply);
  control_put(r->reply, "ports", ports_of(c->peer));
  control_put(r->reply, "rss_bytes", json_integer((json_int_t)torc_process_rss()));
  return 0;
}

int control_ring(control_request *r) {
  torc_node_view view;
  torc_node_get_view(r->control->node, &view);
  put_view(r->reply, &view);
  put_tables(r->reply, &view);
  return 0;
}

static const char *kind_name(torc_link_kind kind) {
  switch (kind) {
    case TORC_LINK_TLS:
      return "tls";
    case TORC_LINK_DTLS:
      return "dtls";
    case TORC_LINK_WS:
      return "ws";
    case TORC_LINK_DC:
      return "dc";
  }
  return "?";
}

static json_t *link_json(const torc_node_link_view *v) {
  json_t *link = json_object();
  control_put(link, "peer", control_id(&v->peer));
  control_put(link, "user", json_string(v->users));
  control_put(link, "kind", json_string(kind_name(v->kind)));
  control_put(link, "client", json_boolean(v->is_client));
  control_put(link, "routing", json_boolean(v->is_routing));
  control_put(link, "idle_s", seconds(v->idle));
  control_put(link, "messages_in", json_integer((json_int_t)v->messages_in));
  control_put(link, "messages_out", json_integer((json_int_t)v->messages_out));
  control_put(link, "bytes_in", json_integer((json_int_t)v->bytes_in));
  control_put(link, "bytes_out", json_integer((json_int_t)v->bytes_out));
  return link;
}

int control_links(control_request *r) {
  torc_node_view view;
  torc_node_get_view(r->control->node, &view);
  size_t max = view.num_links < LINKS_SHOWN_MAX ? view.num_links : LINKS_SHOWN_MAX;
  torc_node_link_view *links = calloc(max + 1, sizeof *links);
  if (links == NULL) {
    return control_fail(r, TORC_ERR_NOMEM, "there is no memory");
  }
  json_t *list = json_array();
  size_t num = torc_node_links(r->control->node, links, max);
  for (size_t i = 0; i < num; i++) {
    (void)json_array_append_new(list, link_json(&links[i]));
  }
  control_put(r->reply, "links", list);
  free(links);
  return 0;
}

static void add_counter(void *ctx, const char *name, uint64_t value) {
  control_put(ctx, name, json_integer((json_int_t)value));
}

int control_counters(control_request *r) {
  json_t *counters = json_object();
  torc_peer_counters(r->control->peer, counters, add_counter);
  torc_peer_gauges(r->control->peer, counters, add_counter);
  torc_control_counters(r->control, counters, add_counter);
  control_put(r->reply, "counters", counters);
  return 0;
}

/* Where a name lies, and whether this very peer holds it. */
int control_resource(control_request *r) {
  torc_id resource;
  int rc = control_get_resource(r, &resource);
  if (rc != 0) {
    return rc;
  }
  control_put(r->reply, "resource", control_id(&resource));
  control_put(r->reply, "held", json_boolean(torc_node_holds(r->control->node, &resource)));
  return 0;
}
