/* SPDX-License-Identifier: Apache-2.0 */
#include "demo.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: torc demo [--peers N] [--algorithm chord-128-2-8|full-mesh] [--signature ecdsa|rsa]\n"
    "         [--keep] [--dir D]\n"
    "Runs a whole overlay on this machine: a DNS server leads to an authority over HTTPS, N users\n"
    "(3 to 32, default 8) enrol from the overlay's name, their peers join one ring over mutual\n"
    "TLS on 127.0.0.1, alice stores a signed value, another fetches and verifies it, two of the\n"
    "peers that hold it are killed, it is fetched again. Needs knotd and openssl.\n"
    "--keep   leave the overlay running at the end\n"
    "--dir D  work in D, which must not exist yet, in place of a new directory under $TMPDIR or\n"
    "         /tmp\n";

/* A whole number; 0 if it is none. */
static int count_of(const char *text) {
  char *end = NULL;
  long n = strtol(text, &end, 10);
  return end != text && *end == '\0' && n > 0 && n <= DEMO_PEERS_MAX + 1 ? (int)n : 0;
}

static bool read_options(demo *d, int argc, char **argv, int *exit_code) {
  static const struct option options[] = {{"peers", required_argument, NULL, 'p'},
                                          {"algorithm", required_argument, NULL, 'a'},
                                          {"signature", required_argument, NULL, 's'},
                                          {"dir", required_argument, NULL, 'd'},
                                          {"keep", no_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  int option = 0;
  *exit_code = EXIT_USAGE;
  while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
    if (option == 'p') {
      d->num_peers = count_of(optarg);
    } else if (option == 'a') {
      d->algorithm = optarg;
    } else if (option == 's') {
      d->signature = optarg;
    } else if (option == 'd') {
      d->dir_wanted = optarg;
    } else if (option == 'k') {
      d->keep = true;
    } else {
      (void)fputs(usage, option == 'h' ? stdout : stderr);
      *exit_code = option == 'h' ? EXIT_SUCCESS : EXIT_USAGE;
      return false;
    }
  }
  if (d->num_peers < DEMO_PEERS_MIN || d->num_peers > DEMO_PEERS_MAX || optind != argc) {
    (void)fprintf(stderr, "torc demo: %s\n%s",
                  optind != argc ? "there is an argument too many" : "--peers is 3 to 32", usage);
    return false;
  }
  return true;
}

int command_demo(int argc, char **argv) {
  int exit_code = 0;
  demo *d = calloc(1, sizeof *d);
  if (d == NULL) {
    (void)fputs("torc demo: there is no memory\n", stderr);
    return EXIT_FAILURE;
  }
  d->num_peers = 8;
  d->service.name = "torc-authority";
  d->names.name = "knotd";
  d->algorithm = "chord-128-2-8";
  d->signature = "ecdsa";
  if (!read_options(d, argc, argv, &exit_code)) {
    free(d);
    return exit_code;
  }
  (void)setvbuf(stdout, NULL, _IOLBF, 0);
  demo_watch_signals();
  int rc = demo_tell(d);
  if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout) != 0)) {
    (void)snprintf(d->err, sizeof d->err, "nobody reads what it says (standard output is closed)");
    rc = TORC_ERR_IO; /* with --keep nobody would know how to stop what runs */
  }
  if (demo_interrupted()) {
    (void)fputs("\ntorc demo: interrupted\n", stderr);
    exit_code = 130;
  } else if (rc != 0) {
    (void)fprintf(stderr, "\ntorc demo: %s\n", d->err);
    exit_code = EXIT_FAILURE;
  } else {
    exit_code = EXIT_SUCCESS;
  }
  if (rc != 0 || !d->keep) {
    demo_stop_all(d);
    demo_remove_dir(d);
  } else {
    demo_leave_running(d);
  }
  free(d);
  return exit_code;
}
