/* SPDX-License-Identifier: Apache-2.0 */
#include "authority/authority.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "authority/config.h"
#include "authority/document.h"
#include "base/slice.h"
#include "io/err.h"
#include "io/overlay_sign.h"

#define DAY_S 86400u
#define KEPT_PER_SECOND_MAX 99

/* Adds days to `from`; the last second that fits instead of running over. */
static torc_wall after_days(torc_wall from, uint32_t days) {
  uint64_t end = (uint64_t)from + (uint64_t)days * DAY_S;
  return end < UINT32_MAX ? (torc_wall)end : UINT32_MAX;
}

static torc_wall backdated(torc_wall now) {
  return now > TORC_CA_BACKDATE_S ? now - TORC_CA_BACKDATE_S : 0;
}

typedef struct paths {
  char key[TORC_PATH_MAX], cert[TORC_PATH_MAX], overlay[TORC_PATH_MAX];
} paths;

static int paths_of(const char *dir, paths *p, char *err, size_t err_cap) {
  if (torc_path_join(p->key, sizeof p->key, dir, TORC_AUTHORITY_KEY) != 0 ||
      torc_path_join(p->cert, sizeof p->cert, dir, TORC_AUTHORITY_CERT) != 0 ||
      torc_path_join(p->overlay, sizeof p->overlay, dir, TORC_AUTHORITY_OVERLAY) != 0) {
    (void)snprintf(err, err_cap, "the name %.40s... is too long", dir);
    return TORC_ERR_SPACE;
  }
  return 0;
}

static int refuse_second_init(const paths *p, char *err, size_t err_cap) {
  static const char advice[] =
      "--force makes a new root, keeps the old one beside it, and voids every certificate it "
      "issued";
  int rc = torc_file_absent(p->key, advice, err, err_cap);
  if (rc == 0) {
    rc = torc_file_absent(p->cert, advice, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_file_absent(p->overlay, advice, err, err_cap);
  }
  return rc;
}

/* Makes the root and enters it into the overlay, whose first root it becomes. */
static int make_root(const torc_authority_setup *s, EVP_PKEY **key, X509 **root, char *err,
                     size_t err_cap) {
  torc_overlay *o = s->overlay;
  int rc = torc_ca_key_new(s->signature, key);
  if (rc == 0) {
    rc = torc_ca_root_new(*key, backdated(s->now), after_days(s->now, TORC_AUTHORITY_ROOT_DAYS),
                          root);
  }
  if (rc == 0) {
    rc = torc_ca_cert_to_der(*root, &o->roots[0].der, &o->roots[0].len);
  }
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot make the root certificate: %s", torc_strerror(rc));
    return rc;
  }
  o->num_roots = 1;
  return 0;
}

/* What a new authority's files hold. */
typedef struct contents {
  uint8_t *key, *cert, *overlay;
  size_t key_len, cert_len, overlay_len;
} contents;

static void contents_clear(contents *c) {
  torc_file_free(c->key, c->key_len);
  torc_file_free(c->cert, c->cert_len);
  torc_file_free(c->overlay, c->overlay_len);
}

/* What peers would refuse is refused here: bad addresses, types that contradict each other. */
static int write_document(const torc_overlay *o, EVP_PKEY *key, X509 *root, contents *c, char *err,
                          size_t err_cap) {
  uint8_t *plain = NULL;
  size_t plain_len = 0;
  int rc = torc_document_write(o, &plain, &plain_len);
  if (rc == 0) {
    rc = torc_document_sign(torc_slice_of(plain, plain_len), key, root, &c->overlay,
                            &c->overlay_len);
    torc_file_free(plain, plain_len);
  }
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot write the overlay configuration: %s", torc_strerror(rc));
    return rc;
  }
  torc_overlay back = {.name = ""};
  char why[400] = "";
  rc = torc_overlay_parse(&back, (const char *)c->overlay, c->overlay_len, NULL, why, sizeof why);
  torc_overlay_clear(&back);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "peers would refuse the overlay configuration: %s", why);
  }
  return rc;
}

/* Root and document, in memory only. */
static int make_contents(const torc_authority_setup *s, contents *c, char *err, size_t err_cap) {
  EVP_PKEY *key = NULL;
  X509 *root = NULL;
  int rc = make_root(s, &key, &root, err, err_cap);
  if (rc == 0) {
    s->overlay->sequence = 1;
    rc = write_document(s->overlay, key, root, c, err, err_cap);
  }
  if (rc == 0 && (torc_ca_key_to_pem(key, &c->key, &c->key_len) != 0 ||
                  torc_ca_cert_to_pem(root, &c->cert, &c->cert_len) != 0)) {
    (void)snprintf(err, err_cap, "cannot write the root down in PEM");
    rc = TORC_ERR_CRYPTO;
  }
  EVP_PKEY_free(key);
  X509_free(root);
  return rc;
}

static bool is_there(const char *path, const char *suffix) {
  char name[TORC_PATH_MAX + TORC_AUTHORITY_KEPT_MAX];
  struct stat st;
  (void)snprintf(name, sizeof name, "%s%s", path, suffix);
  return lstat(name, &st) == 0;
}

static bool is_any_there(const paths *p, const char *suffix) {
  return is_there(p->key, suffix) || is_there(p->cert, suffix) || is_there(p->overlay, suffix);
}

/* A name for what is replaced, of the time and new; empty if there is nothing to keep. */
static int choose_kept(const paths *p, torc_wall now, char out[TORC_AUTHORITY_KEPT_MAX], char *err,
                       size_t err_cap) {
  char date[24] = "";
  time_t t = (time_t)now;
  struct tm tm;
  out[0] = '\0';
  if (!is_any_there(p, "")) {
    return 0;
  }
  if (gmtime_r(&t, &tm) != NULL) {
    (void)strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", &tm);
  }
  (void)snprintf(out, TORC_AUTHORITY_KEPT_MAX, ".old-%s", date);
  for (int i = 2; i <= KEPT_PER_SECOND_MAX && is_any_there(p, out); i++) {
    (void)snprintf(out, TORC_AUTHORITY_KEPT_MAX, ".old-%s-%d", date, i);
  }
  if (is_any_there(p, out)) {
    (void)snprintf(err, err_cap, "%s%s exists already: move the old files away", p->key, out);
    return TORC_ERR_EXISTS;
  }
  return 0;
}

static int write_contents(const torc_authority_setup *s, const paths *p, const contents *c,
                          torc_authority_made *out, char *err, size_t err_cap) {
  torc_home *home = NULL;
  const torc_file_part parts[] = {
      {.path = p->key, .data = torc_slice_of(c->key, c->key_len), .mode = 0600},
      {.path = p->cert, .data = torc_slice_of(c->cert, c->cert_len), .mode = 0644},
      {.path = p->overlay, .data = torc_slice_of(c->overlay, c->overlay_len), .mode = 0644},
  };
  int rc = torc_home_open(&home, s->dir, TORC_HOME_REGISTRY, err, err_cap);
  if (rc == 0 && s->replace) {
    rc = choose_kept(p, s->now, out->kept, err, err_cap);
  }
  if (rc == 0) {
    rc =
        torc_files_write(parts, TORC_ARRAY_LEN(parts), s->replace ? out->kept : NULL, err, err_cap);
  }
  torc_home_close(home);
  return rc;
}

int torc_authority_init(const torc_authority_setup *s, torc_authority_made *out, char *err,
                        size_t err_cap) {
  paths p;
  contents c = {.key = NULL};
  out->kept[0] = '\0';
  if (!torc_ca_overlay_name_ok(s->overlay->name)) {
    (void)snprintf(err, err_cap, "an overlay name has 1 to 200 letters, digits, '-', '_' and '.'");
    return TORC_ERR_INVALID;
  }
  int rc = paths_of(s->dir, &p, err, err_cap);
  if (rc == 0 && !s->replace) {
    rc = refuse_second_init(&p, err, err_cap);
  }
  if (rc == 0) {
    rc = make_contents(s, &c, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_dir_make(s->dir, err, err_cap);
  }
  if (rc == 0) {
    rc = write_contents(s, &p, &c, out, err, err_cap);
  }
  contents_clear(&c);
  return rc;
}

/* ---- the document ---- */

int torc_authority_draft(const char *file, torc_overlay *out, char *err, size_t err_cap) {
  char *text = NULL;
  size_t len = 0;
  char why[400] = "";
  memset(out, 0, sizeof *out);
  int rc = torc_overlay_file(file, &text, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  torc_slice xml = torc_slice_of(text, len);
  torc_overlay_input in = {.xml = torc_slice_of(text, torc_overlay_signed_len(xml)),
                           .is_strict = true};
  rc = torc_overlay_read(out, &in, why, sizeof why);
  free(text);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "%s: %s", file, why);
  }
  return rc;
}

static bool lists_root(const torc_overlay *o, X509 *root) {
  uint8_t *der = NULL;
  size_t len = 0;
  bool is_there = false;
  if (torc_ca_cert_to_der(root, &der, &len) != 0) {
    return false;
  }
  for (size_t i = 0; i < o->num_roots; i++) {
    is_there = is_there || (o->roots[i].len == len && memcmp(o->roots[i].der, der, len) == 0);
  }
  free(der);
  return is_there;
}

/* The first issuer whose certificate is a root of both: peers with the old document look for who
 * signed the new one among the roots that they know. */
static int choose_signer(const torc_home *h, const torc_overlay *old, const torc_overlay *fresh,
                         const torc_issuer **out, char *err, size_t err_cap) {
  bool is_listed = false;
  if (strcasecmp(old->name, fresh->name) != 0) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "the document is of the overlay %.200s, the directory of %.200s", fresh->name,
                     old->name);
  }
  for (size_t i = 0; i < h->num_issuers; i++) {
    if (lists_root(fresh, h->issuers[i].root)) {
      is_listed = true;
      if (lists_root(old, h->issuers[i].root)) {
        *out = &h->issuers[i];
        return 0;
      }
    }
  }
  return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   is_listed ? "peers know no root whose key is here, so that none of these can "
                               "sign: %s lists none of them"
                             : "the document does not list the root of this directory, which is to "
                               "sign it: it is no root-cert beside those of %s",
                   h->overlay_file);
}

static int publish(torc_home *h, torc_overlay *fresh, torc_wall now, torc_authority_made *out,
                   char *err, size_t err_cap) {
  torc_overlay old = {.name = ""};
  const torc_issuer *by = &h->issuers[0];
  contents c = {.key = NULL};
  int rc = torc_overlay_load(&old, h->overlay_file, NULL, err, err_cap);
  if (rc == 0) {
    rc = choose_signer(h, &old, fresh, &by, err, err_cap);
  }
  if (rc == 0) {
    fresh->sequence = (old.sequence > fresh->sequence ? old.sequence : fresh->sequence) + 1;
    rc = write_document(fresh, by->key, by->root, &c, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_config_replace(h, &old, torc_slice_of(c.overlay, c.overlay_len), now, out->kept, err,
                             err_cap);
  }
  contents_clear(&c);
  torc_overlay_clear(&old);
  return rc;
}

int torc_authority_publish(const char *dir, torc_overlay *fresh, torc_wall now,
                           torc_authority_made *out, char *err, size_t err_cap) {
  torc_home *h = NULL;
  out->kept[0] = '\0';
  int rc = torc_home_open(&h, dir, TORC_HOME_ALL, err, err_cap);
  if (rc == 0) {
    rc = publish(h, fresh, now, out, err, err_cap);
  }
  torc_home_close(h);
  return rc;
}
