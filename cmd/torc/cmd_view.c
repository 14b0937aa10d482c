/* torc status, peers, counters, ring.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "commands.h"

#define RING_WALK_MAX 1024 /* peers; a larger ring is drawn in part */

int command_status(client *c, const args *a) {
  char text[32];
  json_t *s = call_or_report(c, a, args_request("status"), "ask for the status");
  if (s == NULL) {
    return EXIT_FAILURE;
  }
  if (a->json) {
    return print_json(s);
  }
  (void)printf("peer      %s  %s\n", text_of(s, "peer"), text_of(s, "user"));
  (void)printf("overlay   %s\n", text_of(s, "overlay"));
  (void)printf("state     %s, %s, up %s\n", text_of(s, "state"), text_of(s, "role"),
               short_time(number_of(s, "uptime_s"), text));
  (void)printf("ring      %zu predecessors, %zu successors, %zu fingers\n",
               json_array_size(json_object_get(s, "predecessors")),
               json_array_size(json_object_get(s, "successors")),
               json_array_size(json_object_get(s, "fingers")));
  (void)printf("links     %lld, of them %lld of clients\n", number_of(s, "links"),
               number_of(s, "client_links"));
  (void)printf("store     %lld resources, %s\n", number_of(s, "resources"),
               short_bytes(number_of(s, "stored_bytes"), text));
  (void)printf("process   pid %lld, %s, torcd %s\n", number_of(s, "pid"),
               short_bytes(number_of(s, "rss_bytes"), text), text_of(s, "version"));
  json_decref(s);
  return EXIT_SUCCESS;
}

int command_peers(client *c, const args *a) {
  char idle[32];
  json_t *reply = call_or_report(c, a, args_request("links"), "ask for the links");
  if (reply == NULL) {
    return EXIT_FAILURE;
  }
  if (a->json) {
    return print_json(reply);
  }
  const json_t *links = json_object_get(reply, "links");
  (void)printf("%-32s  %-4s  %-7s  %9s  %9s  %-8s  %s\n", "peer", "link", "as", "received", "sent",
               "idle", "user");
  for (size_t i = 0; i < json_array_size(links); i++) {
    const json_t *l = json_array_get(links, i);
    const char *as = "link";
    if (json_is_true(json_object_get(l, "routing"))) {
      as = "routing";
    } else if (json_is_true(json_object_get(l, "client"))) {
      as = "client";
    }
    (void)printf("%-32s  %-4s  %-7s  %9lld  %9lld  %-8s  %s\n", text_of(l, "peer"),
                 text_of(l, "kind"), as, number_of(l, "messages_in"), number_of(l, "messages_out"),
                 short_time(number_of(l, "idle_s"), idle), text_of(l, "user"));
  }
  json_decref(reply);
  return EXIT_SUCCESS;
}

int command_counters(client *c, const args *a) {
  const char *name = NULL;
  json_t *value = NULL;
  json_t *reply = call_or_report(c, a, args_request("counters"), "ask for the counters");
  if (reply == NULL) {
    return EXIT_FAILURE;
  }
  if (a->json) {
    return print_json(reply);
  }
  json_object_foreach(json_object_get(reply, "counters"), name, value) {
    (void)printf("%-32s %lld\n", name, (long long)json_integer_value(value));
  }
  json_decref(reply);
  return EXIT_SUCCESS;
}

/* ---- ring ---- */

/* peer-id -> user name, of the peers we are linked to and of ourselves. */
static json_t *known_users(client *c, const json_t *status) {
  char err[256] = "";
  json_t *reply = NULL;
  json_t *users = json_object();
  (void)json_object_set_new(users, text_of(status, "peer"), json_string(text_of(status, "user")));
  if (client_call(c, args_request("links"), CLIENT_TIMEOUT_MS, &reply, err, sizeof err) != 0) {
    return users; /* the ring can be drawn without names */
  }
  const json_t *links = json_object_get(reply, "links");
  for (size_t i = 0; i < json_array_size(links); i++) {
    const json_t *l = json_array_get(links, i);
    (void)json_object_set_new(users, text_of(l, "peer"), json_string(text_of(l, "user")));
  }
  json_decref(reply);
  return users;
}

static json_t *ping_request(const torc_id *id) {
  char hex[TORC_ID_HEX_LEN + 1];
  return json_pack("{s:s, s:[s]}", "cmd", "ping", "route", torc_id_hex(id, hex));
}

static bool is_listed(const json_t *peers, const char *peer) {
  for (size_t i = 0; i < json_array_size(peers); i++) {
    if (strcmp(text_of(json_array_get(peers, i), "peer"), peer) == 0) {
      return true;
    }
  }
  return false;
}

static void add_peer(ring_walk *walk, const char *peer, const json_t *users, long long resources) {
  (void)json_array_append_new(
      walk->peers, json_pack("{s:s, s:s, s:I}", "peer", peer, "user", text_of(users, peer),
                             "resources", (json_int_t)resources));
}

/* As a joining peer does [CHD-11]: whoever answers for n+1 is the successor of n. */
int ring_walk_run(client *c, const args *a, const json_t *status, ring_walk *out) {
  json_t *users = known_users(c, status);
  torc_id at;
  int rc = torc_id_parse(text_of(status, "peer"), strlen(text_of(status, "peer")), &at);
  *out = (ring_walk){.peers = json_array()};
  bool is_member = strcmp(text_of(status, "role"), "peer") == 0;
  if (is_member) {
    add_peer(out, text_of(status, "peer"), users, number_of(status, "resources"));
  }
  while (rc == 0 && !out->complete && json_array_size(out->peers) < RING_WALK_MAX) {
    torc_id next = torc_id_next(&at);
    json_t *reply = call_or_report(c, a, ping_request(&next), "find the next peer of the ring");
    if (reply == NULL) {
      rc = TORC_ERR_NOTFOUND;
      break;
    }
    const char *peer = text_of(reply, "responder");
    if (is_listed(out->peers, peer)) {
      const json_t *first = json_array_get(out->peers, 0);
      out->complete = strcmp(text_of(first, "peer"), peer) == 0;
      rc = out->complete ? 0 : TORC_ERR_STATE;
    } else {
      add_peer(out, peer, users, number_of(reply, "resources"));
      rc = torc_id_parse(peer, strlen(peer), &at);
    }
    json_decref(reply);
  }
  json_decref(users);
  return rc;
}

int command_ring(client *c, const args *a) {
  ring_walk walk;
  char title[320];
  json_t *status = call_or_report(c, a, args_request("status"), "ask for the status");
  if (status == NULL) {
    return EXIT_FAILURE;
  }
  int rc = ring_walk_run(c, a, status, &walk);
  if (rc != 0 && rc != TORC_ERR_NOTFOUND) {
    (void)fprintf(stderr,
                  "torc: the ring does not close: a peer names one that came before; its "
                  "tables are still settling, try again\n");
  }
  if (a->json && rc != TORC_ERR_NOTFOUND) {
    json_t *out =
        json_pack("{s:b, s:b, s:s, s:O}", "ok", rc == 0 ? 1 : 0, "complete", walk.complete ? 1 : 0,
                  "self", text_of(status, "peer"), "peers", walk.peers);
    (void)print_json(out);
  } else if (!a->json && json_array_size(walk.peers) > 0) {
    (void)snprintf(title, sizeof title, "%s", text_of(status, "overlay"));
    ring_draw(walk.peers, title, text_of(status, "peer"));
    if (!walk.complete && rc == 0) {
      (void)printf("(only the first %d peers)\n", RING_WALK_MAX);
    }
  }
  json_decref(walk.peers);
  json_decref(status);
  return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
