/* A command is a line of a table: its name, how many words follow, what they are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wan_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 8

typedef struct request {
  const wan_commander *commander;
  char *words[MAX_WORDS];
  size_t num_words;
} request;

/* Return NULL, or why not. */
static const char *do_add(const request *r) {
  const wan_commander *commander = r->commander;
  wan_link *link = wan_core_add_link(commander->core, r->words[1]);
  if (link == NULL) {
    return "the name is taken or too long, or there are too many links";
  }
  const char *why =
      commander->open_device(commander->ctx, wan_core_index(commander->core, link), r->words[2]);
  if (why != NULL) {
    commander->core->num_links--;
  }
  return why;
}

static bool read_number(const char *word, uint32_t *number) {
  char *end = NULL;
  errno = 0;
  unsigned long value = strtoul(word, &end, 10);
  if (errno != 0 || *end != '\0' || word[0] < '0' || word[0] > '9' || value > INT32_MAX) {
    return false;
  }
  *number = (uint32_t)value;
  return true;
}

static const char *do_set(const request *r) {
  wan_link *link = wan_core_find(r->commander->core, r->words[1]);
  wan_numbers numbers = {0};
  uint32_t *const fields[] = {&numbers.delay_us, &numbers.jitter_us, &numbers.loss_ppm,
                              &numbers.rate_kbit, &numbers.queue_us};
  if (link == NULL) {
    return "no such link";
  }
  wan_direction direction = strcmp(r->words[2], "up") == 0 ? WAN_UP : WAN_DOWN;
  if (direction == WAN_DOWN && strcmp(r->words[2], "down") != 0) {
    return "a direction is up or down";
  }
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    if (!read_number(r->words[3 + i], fields[i])) {
      return "numbers are whole and below 2^31";
    }
  }
  link->shapes[direction].numbers = numbers;
  return NULL;
}

static const char *do_route(const request *r) {
  wan_link *link = wan_core_find(r->commander->core, r->words[2]);
  wan_prefix prefix;
  if (!wan_prefix_parse(&prefix, r->words[1])) {
    return "a prefix is ADDRESS/BITS";
  }
  if (link == NULL) {
    return "no such link";
  }
  return wan_core_add_route(r->commander->core, &prefix, link) ? NULL : "too many routes";
}

static const char *do_unroute(const request *r) {
  wan_prefix prefix;
  if (!wan_prefix_parse(&prefix, r->words[1])) {
    return "a prefix is ADDRESS/BITS";
  }
  return wan_core_remove_route(r->commander->core, &prefix) ? NULL : "no such route";
}

static const char *set_cut(const request *r, bool is_cut) {
  wan_link *link = wan_core_find(r->commander->core, r->words[1]);
  if (link == NULL) {
    return "no such link";
  }
  link->is_cut = is_cut;
  return NULL;
}

static const char *do_cut(const request *r) {
  return set_cut(r, true);
}

static const char *do_mend(const request *r) {
  return set_cut(r, false);
}

static const struct {
  const char *name;
  size_t num_words;
  const char *(*run)(const request *);
} commands[] = {
    {"add", 3, do_add},         {"set", 8, do_set}, {"route", 3, do_route},
    {"unroute", 2, do_unroute}, {"cut", 2, do_cut}, {"mend", 2, do_mend},
};

static void write_stats(const wan_core *core, char *reply, size_t reply_len) {
  FILE *out = fmemopen(reply, reply_len, "w");
  if (out == NULL) {
    (void)snprintf(reply, reply_len, "error out of memory");
    return;
  }
  (void)fprintf(out, "{\"free_packets\":%zu,\"links\":{", wan_queue_num_free(core->queue));
  for (size_t i = 0; i < core->num_links; i++) {
    const wan_counters *counters = &core->links[i].counters;
    const char *comma = "";
    (void)fprintf(out, "%s\"%s\":{", i > 0 ? "," : "", core->links[i].name);
#define X(name)                                                                          \
  (void)fprintf(out, "%s\"%s\":%llu", comma, #name, (unsigned long long)counters->name); \
  comma = ",";
    WAN_COUNTERS(X)
#undef X
    (void)fputc('}', out);
  }
  (void)fputs("}}", out);
  (void)fclose(out);
}

void wan_command_run(const wan_commander *commander, char *line, char *reply, size_t reply_len) {
  request r = {.commander = commander};
  char *rest = NULL;
  const char *why = "no such command";
  for (char *word = strtok_r(line, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
    if (r.num_words == MAX_WORDS) {
      (void)snprintf(reply, reply_len, "error too many words");
      return;
    }
    r.words[r.num_words++] = word;
  }
  if (r.num_words == 1 && strcmp(r.words[0], "stats") == 0) {
    write_stats(commander->core, reply, reply_len);
    return;
  }
  for (size_t i = 0; r.num_words > 0 && i < sizeof commands / sizeof commands[0]; i++) {
    if (strcmp(commands[i].name, r.words[0]) == 0) {
      why = commands[i].num_words == r.num_words ? commands[i].run(&r) : "wrong number of words";
      break;
    }
  }
  if (why == NULL) {
    (void)snprintf(reply, reply_len, "ok");
  } else {
    (void)snprintf(reply, reply_len, "error %s", why);
  }
}
