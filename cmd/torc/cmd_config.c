/* torc config: the overlay document a peer goes by.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"

static const char *date_of(const json_t *object, const char *name, const char *none, char out[32]) {
  const json_t *value = json_object_get(object, name);
  time_t t = (time_t)json_integer_value(value);
  struct tm tm;
  if (!json_is_integer(value) || gmtime_r(&t, &tm) == NULL ||
      strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
    (void)snprintf(out, 32, "%s", none);
  }
  return out;
}

static void print_list(const char *head, const json_t *list) {
  for (size_t i = 0; i < json_array_size(list); i++) {
    (void)printf("%-14s %s\n", i == 0 ? head : "", json_string_value(json_array_get(list, i)));
  }
}

static void print_types(const json_t *list) {
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *t = json_array_get(list, i);
    char life[32];
    (void)printf("%-14s %s %s: %s, %s, %lld of %lld bytes, for %s%s\n", i == 0 ? "types" : "",
                 text_of(t, "type"), text_of(t, "name"), text_of(t, "model"), text_of(t, "access"),
                 number_of(t, "max_count"), number_of(t, "max_size"),
                 short_time(number_of(t, "max_lifetime_s"), life),
                 json_is_true(json_object_get(t, "find")) ? ", findable" : "");
  }
}

static void print_config(const json_t *r) {
  char at[32];
  const json_t *c = json_object_get(r, "configuration");
  (void)printf("%-14s %s (%s)\n", "overlay", text_of(r, "overlay"), text_of(r, "algorithm"));
  (void)printf("%-14s %s, received %s\n", "document", text_of(r, "source"),
               date_of(r, "received", "?", at));
  (void)printf("%-14s %lld\n", "sequence", number_of(c, "sequence"));
  (void)printf(
      "%-14s %s\n", "signed",
      json_is_true(json_object_get(r, "signed")) ? date_of(r, "signed_at", "yes", at) : "no");
  (void)printf("%-14s %s, expires %s\n", "state", text_of(c, "state"),
               date_of(c, "expires", "never", at));
  (void)printf("%-14s %s\n", "next fetch", date_of(r, "next_try", "never", at));
  if (json_object_get(c, "error") != NULL) {
    (void)printf("%-14s %s\n", "last try", text_of(c, "error"));
  }
  print_list("changed", json_object_get(r, "changed"));
  print_list("needs restart", json_object_get(c, "restart_for"));
  print_types(json_object_get(r, "types"));
}

int command_config(client *c, const args *a) {
  bool is_reload = a->num_words == 1;
  if ((is_reload && strcmp(a->words[0], "reload") != 0) || (a->fetch && !is_reload)) {
    (void)fputs("torc config: expected nothing, reload, or reload --fetch\n", stderr);
    return EXIT_USAGE;
  }
  json_t *request = args_request(is_reload ? "reload" : "config");
  if (a->fetch) {
    (void)json_object_set_new(request, "fetch", json_true());
  }
  json_t *reply =
      call_or_report(c, a, request, is_reload ? "take the document" : "ask for the document");
  if (reply == NULL) {
    return EXIT_FAILURE;
  }
  if (a->json) {
    return print_json(reply);
  }
  print_config(reply);
  json_decref(reply);
  return EXIT_SUCCESS;
}
