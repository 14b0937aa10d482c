/* torc-authority: makes an overlay's root, configuration document and certificates, and enrols over
 * HTTPS. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/show.h"
#include "base/id.h"
#include "commands.h"
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
    "       torc-authority serve DIR [--check]\n"
    "       torc-authority user add DIR ACCOUNT [--user NAME]... [--generate | --no-password]\n"
    "         [--json]\n"
    "       torc-authority user grant DIR ACCOUNT --user NAME [--user NAME]... [--json]\n"
    "       torc-authority user passwd DIR ACCOUNT [--generate] [--json]\n"
    "       torc-authority user disable DIR ACCOUNT [--json]\n"
    "       torc-authority user enable DIR ACCOUNT [--json]\n"
    "       torc-authority user list DIR [--json]\n"
    "       torc-authority issued DIR [--account NAME] [--json]\n"
    "       torc-authority backup DIR FILE [--json]\n"
    "       torc-authority restore DIR FILE [--json]\n"
    "       torc-authority config show FILE|DIR [--json]\n"
    "       torc-authority config check FILE|DIR [--json]\n"
    "       torc-authority config sign DIR [FILE] [--json]\n"
    "       torc-authority config set DIR [--bootstrap HOST:PORT]... [--type ...]...\n"
    "         [--update-period S] [--ping-period S] [--expiration S] [--source URL]\n"
    "         [--credential-server URL]... [--json]\n"
    "       torc-authority config sign-check DIR [--json]\n"
    "       torc-authority --version | --help\n"
    "init     makes DIR with ca.key, ca.crt, overlay.xml and the registry of what was issued\n"
    "issue    makes PREFIX.crt and, without --csr, PREFIX.key\n"
    "show     prints what a certificate or an overlay document says\n"
    "serve    enrols over HTTPS as DIR/torc-authority.conf says\n"
    "user     accounts that may enrol; passwords are read from standard input\n"
    "issued   lists certificates, newest first\n"
    "backup   copies the registry while it is in use; restore puts a copy back\n"
    "config   says whether peers take a document, and what the issuing keys sign; signs an edited\n"
    "         one, or one changed by options, as the next version DIR/overlay.xml\n"
    "A --bootstrap that is a multicast group is asked on the own network when nobody else "
    "answers.\n";

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
  torc_authority_setup setup = {.dir = o->words[0],
                                .overlay = &o->config,
                                .signature = o->signature,
                                .now = wall_now(),
                                .replace = o->force};
  torc_authority_made made;
  if (torc_authority_init(&setup, &made, err, sizeof err) != 0) {
    return failed("make the overlay", err);
  }
  if (o->json) {
    return print_json(json_pack("{s:s, s:s, s:s, s:s*}", "overlay", o->overlay, "directory",
                                o->words[0], "algorithm", o->algorithm, "kept",
                                made.kept[0] == '\0' ? NULL : made.kept));
  }
  if (made.kept[0] != '\0') {
    (void)printf("the old root and document are kept as %s/*%s\n", o->words[0], made.kept);
  }
  (void)printf("overlay %s (%s) made in %s\n", o->overlay, o->algorithm, o->words[0]);
  (void)printf("  %s/%s        keep it secret and backed up\n", o->words[0], TORC_AUTHORITY_KEY);
  (void)printf("  %s/%s   give it to every peer\n", o->words[0], TORC_AUTHORITY_OVERLAY);
  (void)printf("next: torc-authority issue %s --user alice@%s --out alice\n", o->words[0],
               o->overlay);
  return EXIT_SUCCESS;
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
  torc_authority_request request = {.dir = o->words[0],
                                    .out_prefix = o->out,
                                    .account = o->account,
                                    .users = o->users,
                                    .num_users = o->num_users,
                                    .request_file = o->csr,
                                    .days = o->days,
                                    .now = wall_now(),
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
  if (torc_show_file(o->words[0], &object, err, sizeof err) != 0) {
    return failed("show the file", err);
  }
  if (o->json) {
    return print_json(object);
  }
  torc_show_print(object, stdout);
  json_decref(object);
  return EXIT_SUCCESS;
}

typedef struct command {
  syntax syntax;
  int (*run)(options *o);
} command;

static const command commands[] = {
    {{"init",
      " overlay algorithm signature bootstrap type update-period ping-period expiration source "
      "credential-server force json ",
      "DIR", 1, 0},
     run_init},
    {{"issue", " user account out days csr force json ", "DIR", 1, 0}, run_issue},
    {{"show", " json ", "FILE", 1, 0}, run_show},
    {{"serve", " check ", "DIR", 1, 0}, run_serve},
    {{"user add", " user no-password generate json ", "DIR and ACCOUNT", 2, 0}, run_user_add},
    {{"user grant", " user json ", "DIR and ACCOUNT", 2, 0}, run_user_grant},
    {{"user passwd", " generate json ", "DIR and ACCOUNT", 2, 0}, run_user_passwd},
    {{"user disable", " json ", "DIR and ACCOUNT", 2, 0}, run_user_disable},
    {{"user enable", " json ", "DIR and ACCOUNT", 2, 0}, run_user_enable},
    {{"user list", " json ", "DIR", 1, 0}, run_user_list},
    {{"issued", " account json ", "DIR", 1, 0}, run_issued},
    {{"backup", " json ", "DIR and FILE", 2, 0}, run_backup},
    {{"restore", " json ", "DIR and FILE", 2, 0}, run_restore},
    {{"config show", " json ", "FILE", 1, 0}, run_config_show},
    {{"config check", " json ", "FILE", 1, 0}, run_config_check},
    {{"config sign", " json ", "DIR, and at most one FILE", 1, 1}, run_config_sign},
    {{"config set",
      " bootstrap type update-period ping-period expiration source credential-server json ", "DIR",
      1, 0},
     run_config_set},
    {{"config sign-check", " json ", "DIR", 1, 0}, run_config_sign_check},
};
#define COMMANDS_NUM (sizeof commands / sizeof commands[0])

/* The command that argv[1] names, or argv[1] and argv[2]; *words: how many of them. */
static const command *find_command(int argc, char **argv, int *words) {
  char two[64] = "";
  if (argc > 2) {
    (void)snprintf(two, sizeof two, "%.30s %.30s", argv[1], argv[2]);
  }
  for (size_t i = 0; i < COMMANDS_NUM; i++) {
    if (strcmp(commands[i].syntax.command, argv[1]) == 0) {
      *words = 1;
      return &commands[i];
    }
    if (strcmp(commands[i].syntax.command, two) == 0) {
      *words = 2;
      return &commands[i];
    }
  }
  return NULL;
}

static int run_command(int argc, char **argv) {
  int words = 0;
  const command *c = find_command(argc, argv, &words);
  if (c == NULL) {
    (void)fprintf(stderr, "torc-authority: there is no command '%s%s%s'\n%s", argv[1],
                  argc > 2 ? " " : "", argc > 2 ? argv[2] : "", usage);
    return EXIT_USAGE;
  }
  options *o = calloc(1, sizeof *o);
  int rc = EXIT_USAGE;
  if (o == NULL) {
    return failed("start", "there is no memory");
  }
  if (read_options(o, &c->syntax, argc - words, argv + words)) {
    rc = c->run(o);
  }
  torc_overlay_clear(&o->config);
  free(o);
  return rc;
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
  return run_command(argc, argv);
}
