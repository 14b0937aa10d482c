/* torcd: a peer or client of an overlay as a daemon.
 * SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "io/tls.h"
#include "refresh.h"
#include "renew.h"

#define EXIT_USAGE 2 /* also for a configuration that is wrong: starting again would not help */
#define DEFAULT_CONF "/etc/torc/torcd.conf"

static const char usage[] =
    "usage: torcd [--config FILE] [--check-config]\n"
    "       torcd --version | --help\n"
    "--config FILE    the configuration, see torcd.conf(5); default " DEFAULT_CONF
    "\n"
    "--check-config   say whether configuration, overlay document and identity are usable\n"
    "SIGTERM, SIGINT  leave the overlay and end; a second one ends at once\n"
    "SIGHUP           read log level, overlay document and certificate again, open the log file "
    "anew\n";

static int run(torcd *d, bool only_check) {
  char err[512] = "";
  int rc = torc_conf_load(&d->conf, d->conf_file, err, sizeof err);
  if (rc == 0) {
    rc = torcd_check(d, err, sizeof err);
  }
  if (rc != 0) {
    (void)fprintf(stderr, "torcd: %s\n", err);
    return EXIT_USAGE;
  }
  if (only_check) {
    (void)printf("%s: usable; overlay %s, user %s\n", d->conf_file, d->overlay, d->user);
    return EXIT_SUCCESS;
  }
  rc = torcd_start(d, err, sizeof err);
  if (rc != 0) {
    (void)fprintf(stderr, "torcd: cannot start: %s\n", err);
  } else {
    rc = torcd_run(d);
  }
  torcd_stop(d);
  if (rc == TORC_ERR_CONFIG) {
    return EXIT_USAGE;
  }
  return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"check-config", no_argument, NULL, 'k'},
                                          {"version", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  if (argc == 2 && strcmp(argv[1], "--configuration-helper") == 0) { /* by torcd itself */
    return refresh_help();
  }
  if (argc == 3 && strcmp(argv[1], "--renewal-helper") == 0) {
    return renew_help(argv[2]);
  }
  const char *conf_file = DEFAULT_CONF;
  bool only_check = false;
  int option = 0;
  while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
    if (option == 'c') {
      conf_file = optarg;
    } else if (option == 'k') {
      only_check = true;
    } else if (option == 'v') {
      (void)puts("torcd " TORC_VERSION);
      return EXIT_SUCCESS;
    } else if (option == 'h') {
      (void)fputs(usage, stdout);
      return EXIT_SUCCESS;
    } else {
      (void)fputs(usage, stderr);
      return EXIT_USAGE;
    }
  }
  if (optind != argc) {
    (void)fprintf(stderr, "torcd: '%s' is not expected\n%s", argv[optind], usage);
    return EXIT_USAGE;
  }
  torc_tls_without_texts();
  torcd *d = calloc(1, sizeof *d);
  if (d == NULL) {
    (void)fputs("torcd: there is no memory\n", stderr);
    return EXIT_FAILURE;
  }
  d->conf_file = conf_file;
  int rc = run(d, only_check);
  torc_overlay_clear(&d->document);
  free(d);
  return rc;
}
