/* SPDX-License-Identifier: Apache-2.0 */
#include "args.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "io/conf.h"

enum { OPT_SOCKET = 256, OPT_JSON, OPT_HELP, OPT_FIRST };

static const struct {
  const char *name;
  unsigned bit;
  int has_value;
} known[] = {
    {"type", ARG_TYPE, required_argument},
    {"key", ARG_KEY, required_argument},
    {"index", ARG_INDEX, required_argument},
    {"append", ARG_APPEND, no_argument},
    {"lifetime", ARG_LIFETIME, required_argument},
    {"generation", ARG_GENERATION, required_argument},
    {"file", ARG_FILE, required_argument},
    {"route-log", ARG_ROUTE_LOG, no_argument},
    {"iterative", ARG_ITERATIVE, no_argument},
    {"walk", ARG_WALK, no_argument},
    {"raw", ARG_RAW, no_argument},
    {"fetch", ARG_FETCH, no_argument},
    {"replicas", ARG_REPLICAS, no_argument},
    {"application", ARG_APPLICATION, required_argument},
    {"exec", ARG_EXEC, required_argument},
    {"to", ARG_TO, required_argument},
    {"listen", ARG_LISTEN, no_argument},
    {"lines", ARG_LINES, no_argument},
    {"dialog", ARG_DIALOG, required_argument},
};
#define NUM_KNOWN (sizeof known / sizeof known[0])

static bool complain(const char *option, const char *value, const char *expected) {
  (void)fprintf(stderr, "torc: %s '%s': expected %s\n", option, value, expected);
  return false;
}

static bool read_generation(args *a, const char *value) {
  char *end = NULL;
  a->generation = strtoull(value, &end, 10);
  if (value[0] < '0' || value[0] > '9' || *end != '\0' || a->generation > INT64_MAX) {
    return complain("--generation", value, "a number");
  }
  return true;
}

static bool read_lifetime(args *a, const char *value) {
  torc_time t = 0;
  if (torc_duration_parse(value, &t) != 0 || t < TORC_SEC(1) || t / TORC_SEC(1) > UINT32_MAX) {
    return complain("--lifetime", value,
                    "a duration of at least 1s, for example 90s, 15m, 1h or 7d");
  }
  a->lifetime_s = t / TORC_SEC(1);
  return true;
}

static bool read_application(args *a, unsigned bit, const char *value) {
  switch (bit) {
    case ARG_APPLICATION:
      a->application = value;
      return true;
    case ARG_EXEC:
      a->exec = value;
      return true;
    case ARG_TO:
      a->to = value;
      return true;
    case ARG_LISTEN:
      a->listen = true;
      return true;
    case ARG_LINES:
      a->lines = true;
      return true;
    case ARG_DIALOG:
      a->dialog = value;
      return true;
    default:
      return false;
  }
}

static bool read_known(args *a, unsigned bit, const char *value) {
  switch (bit) {
    case ARG_TYPE:
      a->type = value;
      return true;
    case ARG_KEY:
      if (a->num_keys == ARGS_KEYS_MAX) {
        return complain("--key", value, "at most 64 keys");
      }
      a->keys[a->num_keys++] = value;
      return true;
    case ARG_INDEX:
      a->index = value;
      return true;
    case ARG_APPEND:
      a->append = true;
      return true;
    case ARG_LIFETIME:
      return read_lifetime(a, value);
    case ARG_GENERATION:
      return read_generation(a, value);
    case ARG_FILE:
      a->file = value;
      return true;
    case ARG_ROUTE_LOG:
      a->route_log = true;
      return true;
    case ARG_ITERATIVE:
      a->iterative = true;
      return true;
    case ARG_WALK:
      a->walk = true;
      return true;
    case ARG_RAW:
      a->raw = true;
      return true;
    case ARG_FETCH:
      a->fetch = true;
      return true;
    case ARG_REPLICAS:
      a->replicas = true;
      return true;
    default:
      return read_application(a, bit, value);
  }
}

static bool read_option(args *a, int option, const char *value) {
  if (option == OPT_SOCKET) {
    a->socket = value;
  } else if (option == OPT_JSON) {
    a->json = true;
  } else if (option == OPT_HELP) {
    a->help = true;
  } else if (option >= OPT_FIRST && option < OPT_FIRST + (int)NUM_KNOWN) {
    return read_known(a, known[option - OPT_FIRST].bit, value);
  } else {
    return false; /* getopt has complained */
  }
  return true;
}

bool args_read(args *a, const char *command, unsigned allowed, int argc, char **argv) {
  struct option options[NUM_KNOWN + 4] = {{"socket", required_argument, NULL, OPT_SOCKET},
                                          {"json", no_argument, NULL, OPT_JSON},
                                          {"help", no_argument, NULL, OPT_HELP}};
  size_t num = 3;
  int option = 0;
  for (size_t i = 0; i < NUM_KNOWN; i++) {
    if ((known[i].bit & allowed) != 0) {
      options[num++] = (struct option){known[i].name, known[i].has_value, NULL, OPT_FIRST + (int)i};
    }
  }
  *a = (args){.socket = getenv("TORC_SOCKET")};
  if (a->socket == NULL || a->socket[0] == '\0') {
    a->socket = TORC_CONF_DEFAULT_SOCKET;
  }
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    if (!read_option(a, option, optarg)) {
      (void)fprintf(stderr, "torc: see torc %s --help\n", command);
      return false;
    }
  }
  for (int i = optind; i < argc; i++) {
    if (a->num_words == ARGS_WORDS_MAX) {
      return complain("argument", argv[i], "nothing more");
    }
    a->words[a->num_words++] = argv[i];
  }
  return true;
}

json_t *args_request(const char *cmd) {
  return json_pack("{s:s}", "cmd", cmd);
}

static bool put_id(json_t *request, const char *field, const char *hex) {
  torc_id id;
  if (torc_id_parse(hex, strlen(hex), &id) != 0) {
    return complain("id", hex, "32 hex digits");
  }
  return json_object_set_new(request, field, json_string(hex)) == 0;
}

bool args_put_name(json_t *request, const char *name) {
  if (strncmp(name, "id:", 3) == 0) {
    return put_id(request, "resource", name + 3);
  }
  if (strncmp(name, "peer:", 5) == 0) {
    return put_id(request, "node", name + 5);
  }
  if (json_object_set_new(request, "name", json_string(name)) != 0) {
    return complain("name", "?", "text in UTF-8");
  }
  return true;
}

bool args_put_place(json_t *request, const char *text) {
  torc_id id;
  if (torc_id_parse(text, strlen(text), &id) == 0) {
    return put_id(request, "resource", text);
  }
  return args_put_name(request, text);
}
