/* torc-authority: makes an overlay's root, configuration document and certificates, offline on
 * files. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authority/show.h"
#include "base/id.h"
#include "options.h"
#include "overlay/topology/topology.h"

static const char usage[] =
    "usage: torc-authority init DIR --overlay NAME [--algorithm chord-128-2-8|full-mesh]\n"
    "         [--signature ecdsa|rsa] [--bootstrap HOST:PORT]... [--update-period S]\n"
    "         [--type ID,NAME,MODEL,ACCESS,MAXCOUNT,MAXSIZE[,MAXLIFETIME[,find]]]...\n"
    "         [--ping-period S] [--expiration S] [--source URL] [--credential-server URL]...\n"
    "         [--force] [--json]\n"
    "       torc-authority issue DIR --user NAME [--user NAME]... --out PREFIX\n"
    "         [--account NAME] [--days N] [--csr FILE] [--force] [--json]\n"
    "       torc-authority show FILE [--json]\n"
    "       torc-authority config show FILE | check FILE | sign DIR [FILE]\n"
    "       torc-authority config set DIR [--bootstrap HOST:PORT]... [--type ...]...\n"
    "         [--update-period S] [--ping-period S] [--expiration S] [--source URL]\n"
    "         [--credential-server URL]...\n"
    "       torc-authority --version | --help\n"
    "init   makes DIR with ca.key, ca.crt, overlay.xml and the ledger of what was issued\n"
    "issue  makes PREFIX.crt and, without --csr, PREFIX.key\n"
    "show   prints what a certificate or an overlay document says\n"
    "config says whether peers take a document; signs an edited one, or one changed by options,\n"
    "       as the next version DIR/overlay.xml\n";

static int print_json(json_t *object) {
  int rc = object == NULL ? EXIT_FAILURE : EXIT_SUCCESS;
  if (object != NULL && json_dumpf(object, stdout, JSON_INDENT(2)) != 0) {
    rc = EXIT_FAILURE;
  }
  (void)putchar('\n');
  json_decref(object);
  return rc;
}

static int failed(const char *what, const char *why) {
  (void)fprintf(stderr, "torc-authority: could not %s: %s\n", what, why);
  return EXIT_FAILURE;
}

static int run_init(options *o) {
  char err[512] = "";
  if (o->overlay == NULL) {
    (void)fputs("torc-authority init: --overlay NAME is missing\n", stderr);
    return EXIT_USAGE;
  }
  if (strlen(o->overlay) >= sizeof o->config.name ||
      strlen(o->algorithm) >= sizeof o->config.algorithm) {
    return failed("make the overlay", "the name or the algorithm is too long");
  }
  const torc_topology_ops *ops = NULL;
  torc_topology_params params;
  if (torc_topology_find(o->algorithm, &ops, &params) != 0) {
    (void)fprintf(stderr, "torc-authority: --algorithm '%s': %s\n", o->algorithm,
                  torc_topology_explain(o->algorithm));
    return EXIT_USAGE;
  }
  (void)snprintf(o->config.name, sizeof o->config.name, "%s", o->overlay);
  (void)snprintf(o->config.algorithm, sizeof o->config.algorithm, "%s", o->algorithm);
  torc_authority_setup setup = {.dir = o->dir,
                                .overlay = &o->config,
                                .signature = o->signature,
                                .now = (torc_wall)time(NULL),
                                .replace = o->force};
  torc_authority_made made;
  if (torc_authority_init(&setup, &made, err, sizeof err) != 0) {
    return failed("make the overlay", err);
  }
  if (o->json) {
    return print_json(json_pack("{s:s, s:s, s:s, s:s*}", "overlay", o->overlay, "directory", o->dir,
                                "algorithm", o->algorithm, "kept",
                                made.kept[0] == '\0' ? NULL : made.kept));
  }
  if (made.kept[0] != '\0') {
    (void)printf("the old root and document are kept as %s/*%s\n", o->dir, made.kept);
  }
  (void)printf("overlay %s (%s) made in %s\n", o->overlay, o->algorithm, o->dir);
  (void)printf("  %s/%s        keep it secret and backed up\n", o->dir, TORC_AUTHORITY_KEY);
  (void)printf("  %s/%s   give it to every peer\n", o->dir, TORC_AUTHORITY_OVERLAY);
  (void)printf("next: torc-authority issue %s --user alice@%s --out alice\n", o->dir, o->overlay);
  return EXIT_SUCCESS;
}

static void date(torc_wall when, char out[32]) {
  time_t t = (time_t)when;
  struct tm tm;
  if (gmtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
    (void)snprintf(out, 32, "?");
  }
}

static int run_issue(options *o) {
  char err[512] = "";
  char until[32];
  char peer[TORC_ID_HEX_LEN + 1];
  torc_authority_issued issued = {.not_after = 0};
  if (o->num_users == 0 || o->out == NULL) {
    (void)fputs("torc-authority issue: --user NAME and --out PREFIX are needed\n", stderr);
    return EXIT_USAGE;
  }
  torc_authority_request request = {.dir = o->dir,
                                    .out_prefix = o->out,
                                    .account = o->account,
                                    .users = o->users,
                                    .num_users = o->num_users,
                                    .request_file = o->csr,
                                    .days = o->days,
                                    .now = (torc_wall)time(NULL),
                                    .replace = o->force};
  if (torc_authority_issue(&request, &issued, err, sizeof err) != 0) {
    return failed("issue the certificate", err);
  }
  date(issued.not_after, until);
  (void)torc_id_hex(&issued.peer, peer);
  if (o->json) {
    return print_json(json_pack("{s:s, s:s, s:s, s:s, s:s*}", "peer", peer, "account",
                                issued.account, "not_after", until, "certificate", issued.cert_file,
                                "key", issued.key_file[0] == '\0' ? NULL : issued.key_file));
  }
  (void)printf("certificate  %s\n", issued.cert_file);
  if (issued.key_file[0] != '\0') {
    (void)printf("key          %s\n", issued.key_file);
  }
  (void)printf("peer-id      %s\naccount      %s\nvalid until  %s\n", peer, issued.account, until);
  return EXIT_SUCCESS;
}

static int run_show(options *o) {
  char err[512] = "";
  json_t *object = NULL;
  if (torc_show_file(o->file, &object, err, sizeof err) != 0) {
    return failed("show the file", err);
  }
  if (o->json) {
    return print_json(object);
  }
  torc_show_print(object, stdout);
  json_decref(object);
  return EXIT_SUCCESS;
}

static const struct {
  const char *name;
  int (*run)(options *o);
} commands[] = {{"init", run_init}, {"issue", run_issue}, {"show", run_show}};

static int run_command(int argc, char **argv) {
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
    if (strcmp(commands[i].name, argv[1]) != 0) {
      continue;
    }
    options *o = calloc(1, sizeof *o);
    int rc = EXIT_USAGE;
    if (o == NULL) {
      return failed("start", "there is no memory");
    }
    if (read_options(o, argv[1], argc - 1, argv + 1)) {
      rc = commands[i].run(o);
    }
    torc_overlay_clear(&o->config);
    free(o);
    return rc;
  }
  (void)fprintf(stderr, "torc-authority: there is no command '%s'\n%s", argv[1], usage);
  return EXIT_USAGE;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    (void)fputs(usage, stderr);
    return EXIT_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    (void)fputs(usage, stdout);
    return EXIT_SUCCESS;
  }
  if (strcmp(argv[1], "--version") == 0) {
    (void)puts("torc-authority " TORC_VERSION);
    return EXIT_SUCCESS;
  }
  if (strcmp(argv[1], "config") == 0) {
    return command_config(argc - 1, argv + 1);
  }
  return run_command(argc, argv);
}
