/* torc route, ping, connect, find.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app_client.h"
#include "base/id.h"

#define WALK_MAX 100000 /* resources of one walk */

static bool is_id(const char *text) {
  torc_id id;
  return torc_id_parse(text, strlen(text), &id) == 0;
}

static void print_hops(const json_t *reply) {
  const json_t *log = json_object_get(reply, "route_log");
  for (size_t i = 0; i < json_array_size(log); i++) {
    const json_t *hop = json_array_get(log, i);
    (void)printf("  %2zu  %s  %-4s  %-22s  %s\n", i + 1, text_of(hop, "peer"),
                 text_of(hop, "transport"), text_of(hop, "address"), text_of(hop, "version"));
  }
}

static void print_elapsed(const json_t *reply) {
  long long us = number_of(reply, "elapsed_us");
  (void)printf("time        %lld.%03lld ms\n", us / 1000, us % 1000);
}

static void print_ping(const json_t *reply) {
  long long ppb = number_of(reply, "responsible_ppb");
  (void)printf("answered by %s\n", text_of(reply, "responder"));
  print_elapsed(reply);
  if (json_object_get(reply, "responsible_ppb") != NULL) {
    (void)printf("responsible for %lld.%02lld %% of the ring\n", ppb / 10000000,
                 ppb / 100000 % 100);
  }
  if (json_object_get(reply, "resources") != NULL) {
    (void)printf("resources   %lld\n", number_of(reply, "resources"));
  }
  print_hops(reply);
}

int command_ping(client *c, const args *a) {
  json_t *request = args_request("ping");
  json_t *route = json_array();
  for (int i = 0; i < a->num_words; i++) {
    if (!is_id(a->words[i])) {
      (void)fprintf(stderr, "torc ping: '%s' is no id of 32 hex digits\n", a->words[i]);
      json_decref(route);
      json_decref(request);
      return EXIT_USAGE;
    }
    (void)json_array_append_new(route, json_string(a->words[i]));
  }
  (void)json_object_set_new(request, "route", route);
  (void)json_object_set_new(request, "route_log", json_boolean(a->route_log));
  (void)json_object_set_new(request, "iterative", json_boolean(a->iterative));
  json_t *reply = call_or_report(c, a, request, "ping");
  if (reply == NULL) {
    return EXIT_FAILURE;
  }
  if (a->json) {
    return print_json(reply);
  }
  print_ping(reply);
  json_decref(reply);
  return EXIT_SUCCESS;
}

/* The resource-id of a name; the id itself if it is one. NULL: a complaint was printed. */
static char *place_of(client *c, const args *a, const char *text) {
  json_t *request = args_request("resource");
  if (is_id(text)) {
    json_decref(request);
    return strdup(text);
  }
  if (!args_put_name(request, text)) {
    json_decref(request);
    return NULL;
  }
  json_t *reply = call_or_report(c, a, request, "compute where the name lies");
  char *out = reply == NULL ? NULL : strdup(text_of(reply, "resource"));
  json_decref(reply);
  return out;
}

int command_route(client *c, const args *a) {
  char *place = place_of(c, a, a->words[0]);
  if (place == NULL) {
    return EXIT_FAILURE;
  }
  json_t *reply = call_or_report(
      c, a, json_pack("{s:s, s:[s], s:b}", "cmd", "ping", "route", place, "route_log", 1),
      "find the way");
  if (reply != NULL) {
    (void)json_object_set_new(reply, "resource", json_string(place));
  }
  free(place);
  if (reply == NULL) {
    return EXIT_FAILURE;
  }
  if (a->json) {
    return print_json(reply);
  }
  (void)printf("%s\n", text_of(reply, "resource"));
  (void)printf("responsible %s\n", text_of(reply, "responder"));
  print_elapsed(reply);
  print_hops(reply);
  json_decref(reply);
  return EXIT_SUCCESS;
}

/* ---- connect ---- */

int command_connect(client *c, const args *a) {
  devices d;
  if (a->application != NULL) {
    return command_connect_application(c, a);
  }
  int rc = devices_find(c, a, a->words[0], &d);
  if (rc != EXIT_SUCCESS) {
    return rc;
  }
  json_t *reply = call_or_report(
      c, a, json_pack("{s:s, s:[s]}", "cmd", "connect", "route", d.peers[0]), "connect");
  if (reply != NULL) {
    (void)json_object_set_new(reply, "peer", json_string(d.peers[0]));
  }
  if (reply == NULL) {
    return EXIT_FAILURE;
  }
  if (a->json) {
    return print_json(reply);
  }
  (void)printf("linked with %s\n", text_of(reply, "peer"));
  print_elapsed(reply);
  json_decref(reply);
  return EXIT_SUCCESS;
}

/* ---- find ---- */

static json_t *find_request(const char *place, const args *a) {
  return json_pack("{s:s, s:s, s:s}", "cmd", "find", "resource", place, "type", a->type);
}

/* One step of a walk from `at`. [GAP-105]: a peer answers with the nearest resource of its own
 * range, also one before `at` when there is none behind it; then the walk goes on behind the peer.
 */
typedef struct step {
  torc_id at, next;
  bool has_hit;
  torc_id hit;
} step;

static int read_step(const json_t *reply, step *s) {
  torc_id responder;
  const char *found = text_of(reply, "found");
  const char *from = text_of(reply, "responder");
  int rc = torc_id_parse(from, strlen(from), &responder);
  torc_id before = torc_id_prev(&s->at);
  s->has_hit = torc_id_parse(found, strlen(found), &s->hit) == 0 &&
               torc_id_in_open_closed(&s->hit, &before, &responder);
  s->next = torc_id_next(s->has_hit ? &s->hit : &responder);
  return rc;
}

/* [FND-01]: nearest(1 + R) again and again, once round the ring. */
static int walk(client *c, const args *a, const char *from, json_t *found) {
  char hex[TORC_ID_HEX_LEN + 1];
  torc_id start;
  step s;
  int rc = torc_id_parse(from, strlen(from), &start);
  s.at = start;
  for (int i = 0; rc == 0 && i < WALK_MAX; i++) {
    json_t *reply =
        call_or_report(c, a, find_request(torc_id_hex(&s.at, hex), a), "find resources");
    if (reply == NULL) {
      return TORC_ERR_NOTFOUND;
    }
    rc = read_step(reply, &s);
    json_decref(reply);
    bool is_past = i > 0 && s.has_hit && torc_id_in_open_closed(&start, &s.at, &s.hit);
    if (rc == 0 && s.has_hit && !is_past) {
      (void)json_array_append_new(found, json_string(torc_id_hex(&s.hit, hex)));
    }
    if (torc_id_in_open_closed(&start, &s.at, &s.next)) {
      return rc; /* round */
    }
    s.at = s.next;
  }
  return rc;
}

int command_find(client *c, const args *a) {
  char *place = place_of(c, a, a->words[0]);
  if (place == NULL) {
    return EXIT_FAILURE;
  }
  json_t *found = json_array();
  int rc = 0;
  if (a->walk) {
    rc = walk(c, a, place, found);
  } else {
    json_t *reply = call_or_report(c, a, find_request(place, a), "find resources");
    rc = reply == NULL ? TORC_ERR_NOTFOUND : 0;
    if (text_of(reply, "found")[0] != '\0') {
      (void)json_array_append_new(found, json_string(text_of(reply, "found")));
    }
    json_decref(reply);
  }
  free(place);
  if (rc == 0 && a->json) {
    return print_json(json_pack("{s:b, s:o}", "ok", 1, "found", found));
  }
  for (size_t i = 0; rc == 0 && i < json_array_size(found); i++) {
    (void)puts(json_string_value(json_array_get(found, i)));
  }
  if (rc == 0 && json_array_size(found) == 0) {
    (void)fprintf(stderr, "torc: no resource with values of type %s is known there\n", a->type);
  }
  json_decref(found);
  return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
