/* torc: talks to a running torcd, or shows a whole overlay on this machine (torc demo).
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

typedef struct command {
  const char *name;
  unsigned options;
  int min_words, max_words;
  int (*run)(client *c, const args *a);
  const char *usage, *what;
} command;

static const command commands[] = {
    {"status", 0, 0, 0, command_status, "", "what this peer is and how it does"},
    {"peers", 0, 0, 0, command_peers, "", "its links"},
    {"counters", 0, 0, 0, command_counters, "", "everything it counts"},
    {"ring", 0, 0, 0, command_ring, "", "walk along the ring and draw it"},
    {"route", 0, 1, 1, command_route, "ID|NAME", "who is responsible, and the way there"},
    {"ping", ARG_ROUTE_LOG | ARG_ITERATIVE, 1, 4, command_ping, "ID... [--route-log] [--iterative]",
     "ask the peer that is or is responsible for ID, along a route of several if given"},
    {"store",
     ARG_TYPE | ARG_KEY | ARG_INDEX | ARG_APPEND | ARG_LIFETIME | ARG_GENERATION | ARG_FILE, 1, 2,
     command_store,
     "NAME VALUE|-|--file F --type T [--key K | --index I | --append]\n"
     "             [--lifetime 1h] [--generation G]",
     "sign a value and store it"},
    {"fetch", ARG_TYPE | ARG_KEY | ARG_INDEX | ARG_RAW | ARG_REPLICAS, 1, 1, command_fetch,
     "NAME --type T [--key K]... [--index A[..B]] [--raw] [--replicas]",
     "fetch values and verify their signatures; --replicas: ask every holder"},
    {"remove", ARG_TYPE | ARG_KEY | ARG_INDEX | ARG_GENERATION, 1, 1, command_remove,
     "NAME --type T [--key K]... [--index A[..B]] [--generation G]", "remove values"},
    {"find", ARG_TYPE | ARG_WALK, 1, 1, command_find, "ID|NAME --type T [--walk]",
     "the next resource that has values of a type; --walk: all of them"},
    {"config", ARG_FETCH, 0, 1, command_config, "[reload [--fetch]]",
     "the overlay document it goes by; reload: read the file anew, or fetch it"},
    {"connect", ARG_APPLICATION, 1, 1, command_connect, "USER|ID [--application PORT]",
     "make a direct link; --application: a connection of its own, piped to standard input\n"
     "             and output"},
    {"listen", ARG_APPLICATION | ARG_EXEC | ARG_TO, 0, 0, command_listen,
     "--application PORT [--exec CMD | --to HOST:PORT]",
     "take one connection and pipe it, or each one to a command or an address"},
    {"tunnel", ARG_APPLICATION | ARG_LISTEN | ARG_LINES | ARG_DIALOG, 0, 1, command_tunnel,
     "USER|ID | --listen --application PORT [--lines] [--dialog ID]",
     "send standard input as one message over the overlay, or each line; or print those\n"
     "             that come"},
};
#define NUM_COMMANDS (sizeof commands / sizeof commands[0])

static void print_usage(FILE *to) {
  (void)fputs("usage: torc COMMAND [ARGUMENTS] [--socket PATH] [--json]\n\n", to);
  for (size_t i = 0; i < NUM_COMMANDS; i++) {
    (void)fprintf(to, "  torc %s %s\n             %s\n", commands[i].name, commands[i].usage,
                  commands[i].what);
  }
  (void)fputs(
      "  torc enroll OVERLAY --user NAME | --guest [--dir DIR]\n"
      "             find the overlay's enrolment server and get a certificate\n"
      "  torc renew DIR\n"
      "             the next certificate, before the old one ends\n"
      "  torc demo [--peers N] [--algorithm chord-128-2-8|full-mesh] [--signature ecdsa|rsa]\n"
      "             [--keep] [--dir D]\n"
      "             a whole overlay on this machine: store, fetch, kill, fetch\n"
      "  torc sim list | SCENARIO [--SETTING VALUE]... [--json] [--report FILE.html] | search\n"
      "             a ring of up to a million peers in virtual time: see torc sim --help\n"
      "  torc key new FILE [--passphrase --overlay NAME]\n"
      "             make the key of a shared-key overlay\n"
      "  torc version\n\n"
      "ID is 32 hex digits. NAME is a user name or any text, id:HEX a resource itself, peer:HEX\n"
      "the resource of a peer-id. The socket is --socket, else $TORC_SOCKET, else\n"
      "/run/torc/torcd.sock. Exit code 0: done; 1: it failed; 2: wrong usage;\n"
      "connect and tunnel: 3: nobody of that name, 4: no device of theirs took it.\n",
      to);
}

static int usage_of(const command *cmd, FILE *to) {
  (void)fprintf(to, "usage: torc %s %s [--socket PATH] [--json]\n%s\n", cmd->name, cmd->usage,
                cmd->what);
  return to == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

static int run_command(const command *cmd, int argc, char **argv) {
  args a;
  client c;
  char err[512] = "";
  if (!args_read(&a, cmd->name, cmd->options, argc, argv)) {
    return EXIT_USAGE;
  }
  if (a.help) {
    return usage_of(cmd, stdout);
  }
  if (a.num_words < cmd->min_words || a.num_words > cmd->max_words) {
    return usage_of(cmd, stderr);
  }
  if ((cmd->options & ARG_TYPE) != 0 && a.type == NULL) {
    (void)fprintf(stderr, "torc %s: --type is missing; the overlay document lists the types\n",
                  cmd->name);
    return EXIT_USAGE;
  }
  if (client_open(&c, a.socket, err, sizeof err) != 0) {
    (void)fprintf(stderr, "torc: %s\n", err);
    return EXIT_FAILURE;
  }
  int rc = cmd->run(&c, &a);
  client_close(&c);
  return rc;
}

static int run(int argc, char **argv) {
  if (argc < 2) {
    print_usage(stderr);
    return EXIT_USAGE;
  }
  const char *name = argv[1];
  if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
    print_usage(stdout);
    return EXIT_SUCCESS;
  }
  if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
    bool json = argc > 2 && strcmp(argv[2], "--json") == 0;
    return json ? print_json(json_pack("{s:s}", "version", TORC_VERSION))
                : (puts("torc " TORC_VERSION) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
  }
  if (strcmp(name, "demo") == 0) {
    return command_demo(argc - 1, argv + 1);
  }
  if (strcmp(name, "key") == 0) {
    return command_key(argc - 1, argv + 1);
  }
  if (strcmp(name, "enroll") == 0) {
    return command_enroll(argc - 1, argv + 1);
  }
  if (strcmp(name, "renew") == 0) {
    return command_renew(argc - 1, argv + 1);
  }
  if (strcmp(name, "sim") == 0) {
    return command_sim(argc - 1, argv + 1);
  }
  for (size_t i = 0; i < NUM_COMMANDS; i++) {
    if (strcmp(commands[i].name, name) == 0) {
      return run_command(&commands[i], argc - 1, argv + 1);
    }
  }
  (void)fprintf(stderr, "torc: there is no command '%s'; see torc help\n", name);
  return EXIT_USAGE;
}

int main(int argc, char **argv) {
  (void)signal(SIGPIPE, SIG_IGN);
  int rc = run(argc, argv);
  if (rc == EXIT_SUCCESS && (fflush(stdout) != 0 || ferror(stdout) != 0)) {
    (void)fputs("torc: cannot write to standard output\n", stderr);
    return EXIT_FAILURE;
  }
  return rc;
}
