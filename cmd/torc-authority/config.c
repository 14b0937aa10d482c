/* torc-authority config: the overlay document after init.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/slice.h"
#include "commands.h"

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
  if (torc_authority_publish(dir, o, wall_now(), err, sizeof err) != 0) {
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

/* A directory stands for its document. */
static const char *document_of(const char *word, char path[TORC_PATH_MAX]) {
  struct stat st;
  bool is_directory = stat(word, &st) == 0 && S_ISDIR(st.st_mode) &&
                      torc_path_join(path, TORC_PATH_MAX, word, TORC_AUTHORITY_OVERLAY) == 0;
  return is_directory ? path : word;
}

int run_config_show(options *o) {
  char path[TORC_PATH_MAX];
  o->words[0] = document_of(o->words[0], path);
  return run_show(o);
}

int run_config_check(options *o) {
  char path[TORC_PATH_MAX];
  return check(document_of(o->words[0], path), &o->config);
}

int run_config_sign(options *o) {
  int rc = load(o->words[0], o->words[1], &o->config);
  return rc != EXIT_SUCCESS ? rc : publish(o->words[0], &o->config);
}

int load_config_set(options *o, const char *dir) {
  return load(dir, NULL, &o->config);
}

int run_config_set(options *o) {
  return publish(o->words[0], &o->config);
}
