/* One end of ICE, ours or libnice's, on real sockets. It prints what is to be told to the other
 * end, a line each and "end" behind them, reads the same of the other end, and says how it went as
 * a JSON object. Then it stays until standard input is closed. For tests/netlab/test_ice.py.
 * SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "interop/ice_ends.h"

static const char usage[] =
    "usage: ice_end torc|nice|nice-aggressive controlling|controlled udp|tcp|both ADDRESS\n"
    "               [STUN-SERVER STUN-PORT]\n";

static void print_told(const ice_end_told *t) {
  (void)printf("ufrag %s\npassword %s\n", t->ufrag, t->password);
  for (size_t i = 0; i < t->num_candidates; i++) {
    (void)printf("candidate %s\n", t->candidates[i]);
  }
  (void)printf("end\n");
  (void)fflush(stdout);
}

static void copy(char out[ICE_END_TEXT], const char *text) {
  size_t len = strlen(text);
  len = len < ICE_END_TEXT ? len : ICE_END_TEXT - 1;
  memcpy(out, text, len);
  out[len] = '\0';
}

static bool read_told(ice_end_told *out) {
  char line[ICE_END_TEXT + 32];
  memset(out, 0, sizeof *out);
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "ufrag ", 6) == 0) {
      copy(out->ufrag, line + 6);
    } else if (strncmp(line, "password ", 9) == 0) {
      copy(out->password, line + 9);
    } else if (strncmp(line, "candidate ", 10) == 0 && out->num_candidates < ICE_END_CANDIDATES) {
      copy(out->candidates[out->num_candidates++], line + 10);
    } else if (strcmp(line, "end") == 0) {
      return true;
    }
  }
  return false;
}

static bool input_closed(void) {
  struct pollfd p = {.fd = 0, .events = POLLIN};
  return poll(&p, 1, 0) > 0;
}

int main(int argc, char **argv) {
  ice_end_config cfg = {0};
  ice_end_told own;
  ice_end_told other;
  ice_end_state state;
  uint64_t heard;
  bool is_told = false;
  ice_end *e;
  if (argc != 5 && argc != 7) {
    (void)fputs(usage, stderr);
    return 2;
  }
  cfg.kind = ice_end_kind_of(argv[1]);
  cfg.is_controlling = strcmp(argv[2], "controlling") == 0;
  cfg.has_udp = strcmp(argv[3], "tcp") != 0;
  cfg.has_tcp = strcmp(argv[3], "udp") != 0;
  cfg.address = argv[4];
  cfg.stun_server = argc == 7 ? argv[5] : NULL;
  cfg.stun_port = argc == 7 ? argv[6] : NULL;
  e = ice_end_new(&cfg);
  while (!ice_end_tell(e, &own)) {
    ice_end_step(e);
    ice_ends_wait(&e, 1);
  }
  print_told(&own);
  if (!read_told(&other)) {
    return 1;
  }
  heard = ice_end_now_us();
  ice_end_hear(e, &other);
  while (!input_closed()) {
    ice_end_step(e);
    ice_end_state_of(e, &state);
    if (!is_told && (state.is_selected || state.is_failed)) {
      is_told = true;
      (void)printf(
          "{\"selected\": %s, \"tcp\": %s, \"ms\": %.1f, \"heard_us\": %llu, "
          "\"selected_us\": %llu, \"pair\": \"%s\"}\n",
          state.is_selected ? "true" : "false", state.is_tcp ? "true" : "false",
          (double)(state.selected_us - heard) / 1000, (unsigned long long)heard,
          (unsigned long long)state.selected_us, state.pair);
      (void)fflush(stdout);
    }
    ice_ends_wait(&e, 1);
  }
  ice_end_free(e);
  return 0;
}
