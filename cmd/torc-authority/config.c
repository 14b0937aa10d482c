/* torc-authority config: the overlay document after init.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/show.h"
#include "options.h"

static int failed(const char *what, const char *why) {
  (void)fprintf(stderr, "torc-authority: could not %s: %s\n", what, why);
  return EXIT_FAILURE;
}

static int usage(void) {
  (void)fputs(
      "usage: torc-authority config show FILE\n"
      "       torc-authority config check FILE\n"
      "       torc-authority config sign DIR [FILE]\n"
      "       torc-authority config set DIR [OPTIONS]\n",
      stderr);
  return EXIT_USAGE;
}

static int show(const char *file) {
  char err[512] = "";
  json_t *object = NULL;
  if (torc_show_file(file, &object, err, sizeof err) != 0) {
    return failed("show the document", err);
  }
  torc_show_print(object, stdout);
  json_decref(object);
  return EXIT_SUCCESS;
}

/* Both as a peer reads it, signature included, and as strictly as before it is signed. */
static int check(const char *file, torc_overlay *o) {
  char err[512] = "";
  int rc = torc_authority_draft(file, o, err, sizeof err);
  torc_overlay_clear(o);
  if (rc == 0) {
    rc = torc_overlay_load(o, file, NULL, err, sizeof err);
  }
  if (rc != 0) {
    return failed("use the document", err);
  }
  bool is_signed = o->signer != TORC_OVERLAY_NO_SIGNER;
  (void)printf("%s: peers take it; overlay %s, sequence %llu, %s\n", file, o->name,
               (unsigned long long)o->sequence, is_signed ? "signed" : "not signed");
  return EXIT_SUCCESS;
}

static int publish(const char *dir, torc_overlay *o) {
  char err[512] = "";
  if (torc_authority_publish(dir, o, err, sizeof err) != 0) {
    return failed("sign the document", err);
  }
  (void)printf("%s/%s: sequence %llu, signed\n", dir, TORC_AUTHORITY_OVERLAY,
               (unsigned long long)o->sequence);
  return EXIT_SUCCESS;
}

static int load(const char *dir, const char *file, torc_overlay *o) {
  char path[TORC_PATH_MAX];
  char err[512] = "";
  if (file == NULL && torc_path_join(path, sizeof path, dir, TORC_AUTHORITY_OVERLAY) != 0) {
    return failed("read the document", "the name is too long");
  }
  if (torc_authority_draft(file == NULL ? path : file, o, err, sizeof err) != 0) {
    return failed("read the document", err);
  }
  return EXIT_SUCCESS;
}

static int run(options *o, int argc, char **argv) {
  const char *what = argv[1];
  if (strcmp(what, "show") == 0 && argc == 3) {
    return show(argv[2]);
  }
  if (strcmp(what, "check") == 0 && argc == 3) {
    return check(argv[2], &o->config);
  }
  if (strcmp(what, "sign") == 0 && (argc == 3 || argc == 4)) {
    int rc = load(argv[2], argc == 4 ? argv[3] : NULL, &o->config);
    return rc != EXIT_SUCCESS ? rc : publish(argv[2], &o->config);
  }
  if (strcmp(what, "set") == 0 && argc >= 3) {
    const char *dir = argv[2]; /* getopt moves the arguments about */
    int rc = load(dir, NULL, &o->config);
    if (rc == EXIT_SUCCESS && !read_options(o, "config set", argc - 1, argv + 1)) {
      rc = EXIT_USAGE;
    }
    return rc != EXIT_SUCCESS ? rc : publish(dir, &o->config);
  }
  return usage();
}

int command_config(int argc, char **argv) {
  options *o = argc < 2 ? NULL : calloc(1, sizeof *o);
  if (o == NULL) {
    return usage();
  }
  int rc = run(o, argc, argv);
  torc_overlay_clear(&o->config);
  free(o);
  return rc;
}
