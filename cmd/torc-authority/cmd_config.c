/* torc-authority config: the overlay document after init. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "authority/config.h"
#include "authority/show.h"
#include "commands.h"

/* Where the document of a directory is. */
static int file_of(const char *dir, char out[TORC_PATH_MAX], char *err, size_t err_cap) {
  torc_home *h = NULL;
  int rc = torc_home_open(&h, dir, 0, err, err_cap);
  if (rc == 0) {
    (void)snprintf(out, TORC_PATH_MAX, "%s", h->overlay_file);
  }
  torc_home_close(h);
  return rc;
}

/* The same for what may be the document itself. */
static int file_meant(const char *name, char out[TORC_PATH_MAX], char *err, size_t err_cap) {
  struct stat st;
  if (stat(name, &st) == 0 && S_ISDIR(st.st_mode)) {
    return file_of(name, out, err, err_cap);
  }
  if (strlen(name) >= TORC_PATH_MAX) {
    (void)snprintf(err, err_cap, "the file name %.40s... is too long", name);
    return TORC_ERR_SPACE;
  }
  memcpy(out, name, strlen(name) + 1);
  return 0;
}

int run_config_show(options *o) {
  char err[ERR_CAP] = "";
  char file[TORC_PATH_MAX];
  json_t *object = NULL;
  int rc = file_meant(o->words[0], file, err, sizeof err);
  if (rc == 0) {
    rc = torc_show_file(file, &object, err, sizeof err);
  }
  if (rc != 0) {
    return failed("show the document", err);
  }
  if (o->json) {
    return print_json(object);
  }
  torc_show_print(object, stdout);
  json_decref(object);
  return EXIT_SUCCESS;
}

/* Both as a peer reads it, signature included, and as strictly as before it is signed. */
int run_config_check(options *o) {
  char err[ERR_CAP] = "";
  char file[TORC_PATH_MAX];
  torc_overlay *document = &o->config;
  int rc = file_meant(o->words[0], file, err, sizeof err);
  if (rc == 0) {
    rc = torc_authority_draft(file, document, err, sizeof err);
    torc_overlay_clear(document);
  }
  if (rc == 0) {
    rc = torc_overlay_load(document, file, NULL, err, sizeof err);
  }
  if (rc != 0) {
    return failed("use the document", err);
  }
  if (torc_overlay_num_groups(document) < document->num_multicast) {
    (void)fprintf(stderr, "%s: multicast-bootstrap is not used: the overlay has a shared key\n",
                  file);
  }
  bool is_signed = document->signer != TORC_OVERLAY_NO_SIGNER;
  if (o->json) {
    return print_json(json_pack("{s:b, s:s, s:I, s:b}", "ok", 1, "overlay", document->name,
                                "sequence", (json_int_t)document->sequence, "signed", is_signed));
  }
  (void)printf("%s: peers take it; overlay %s, sequence %llu, %s\n", file, document->name,
               (unsigned long long)document->sequence, is_signed ? "signed" : "not signed");
  return EXIT_SUCCESS;
}

static int publish(options *o) {
  char err[ERR_CAP] = "";
  char file[TORC_PATH_MAX];
  char kept[TORC_PATH_MAX + TORC_AUTHORITY_KEPT_MAX];
  torc_authority_made made;
  int rc = file_of(o->words[0], file, err, sizeof err);
  if (rc == 0) {
    rc = torc_authority_publish(o->words[0], &o->config, wall_now(), &made, err, sizeof err);
  }
  if (rc != 0) {
    return failed("sign the document", err);
  }
  (void)snprintf(kept, sizeof kept, "%s%s", file, made.kept);
  if (o->json) {
    return print_json(json_pack("{s:s, s:I, s:s}", "file", file, "sequence",
                                (json_int_t)o->config.sequence, "kept", kept));
  }
  (void)printf("%s: sequence %llu, signed; the old one is %s\n", file,
               (unsigned long long)o->config.sequence, kept);
  return EXIT_SUCCESS;
}

/* Reads what is to be signed: `file`, or the directory's own document. */
static int read_draft(options *o, const char *dir, const char *file) {
  char err[ERR_CAP] = "";
  char own[TORC_PATH_MAX];
  int rc = file == NULL ? file_of(dir, own, err, sizeof err) : 0;
  if (rc == 0) {
    rc = torc_authority_draft(file == NULL ? own : file, &o->config, err, sizeof err);
  }
  return rc == 0 ? EXIT_SUCCESS : failed("read the document", err);
}

int run_config_sign(options *o) {
  int rc = read_draft(o, o->words[0], o->words[1]);
  return rc == EXIT_SUCCESS ? publish(o) : rc;
}

/* The options are read into the directory's document, whose types and peers they add to. */
int run_config_set(options *o) {
  torc_overlay_clear(&o->config);
  int rc = read_draft(o, o->words[0], NULL);
  if (rc == EXIT_SUCCESS && !read_options_again(o)) {
    rc = EXIT_USAGE;
  }
  return rc == EXIT_SUCCESS ? publish(o) : rc;
}

int run_config_sign_check(options *o) {
  char err[ERR_CAP] = "";
  torc_home *h = NULL;
  size_t num = 0;
  int rc = torc_home_open(&h, o->words[0], TORC_HOME_OVERLAY | TORC_HOME_ISSUERS, err, sizeof err);
  if (rc == 0) {
    num = h->num_issuers;
    rc = torc_config_check(h, wall_now(), err, sizeof err);
  }
  torc_home_close(h);
  if (rc != 0) {
    return failed("use the document", err);
  }
  if (o->json) {
    return print_json(json_pack("{s:b, s:I}", "ok", 1, "issuers", (json_int_t)num));
  }
  (void)printf("peers accept the document and what the %zu issuing key%s sign%s\n", num,
               num == 1 ? "" : "s", num == 1 ? "s" : "");
  return EXIT_SUCCESS;
}
