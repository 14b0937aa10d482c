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

#include "authority/document.h"
#include "authority/ledger.h"
#include "base/slice.h"
#include "io/overlay_sign.h"

#define DAY_S 86400u
#define KEPT_PER_SECOND_MAX 99
#define DRAWS_MAX 8 /* of serial number and peer-id; the second is already not to be expected */

/* Adds days to `from`; the last second that fits instead of running over. */
static torc_wall after_days(torc_wall from, uint32_t days) {
  uint64_t end = (uint64_t)from + (uint64_t)days * DAY_S;
  return end < UINT32_MAX ? (torc_wall)end : UINT32_MAX;
}

static torc_wall backdated(torc_wall now) {
  return now > TORC_CA_BACKDATE_S ? now - TORC_CA_BACKDATE_S : 0;
}

static int refuse_existing(const char *path, const char *advice, char *err, size_t err_cap) {
  if (access(path, F_OK) != 0) {
    return 0;
  }
  (void)snprintf(err, err_cap, "%s exists already and was left as it is; %s", path, advice);
  return TORC_ERR_EXISTS;
}

static int path_error(const char *dir, char *err, size_t err_cap) {
  (void)snprintf(err, err_cap, "the name %.40s... is too long", dir);
  return TORC_ERR_SPACE;
}

/* Writes a key in PEM with mode 0600. */
static int write_key(const char *path, EVP_PKEY *key, bool replace, char *err, size_t err_cap) {
  uint8_t *pem = NULL;
  size_t len = 0;
  int rc = torc_ca_key_to_pem(key, &pem, &len);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot write the private key down: %s", torc_strerror(rc));
    return rc;
  }
  rc = torc_file_write(path, torc_slice_of(pem, len), 0600, replace, err, err_cap);
  torc_file_free(pem, len);
  return rc;
}

static int write_cert(const char *path, X509 *cert, bool replace, char *err, size_t err_cap) {
  uint8_t *pem = NULL;
  size_t len = 0;
  int rc = torc_ca_cert_to_pem(cert, &pem, &len);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "cannot write the certificate down: %s", torc_strerror(rc));
    return rc;
  }
  rc = torc_file_write(path, torc_slice_of(pem, len), 0644, replace, err, err_cap);
  torc_file_free(pem, len);
  return rc;
}

typedef struct paths {
  char key[TORC_PATH_MAX], cert[TORC_PATH_MAX], overlay[TORC_PATH_MAX], ledger[TORC_PATH_MAX];
} paths;

static int paths_of(const char *dir, paths *p, char *err, size_t err_cap) {
  if (torc_path_join(p->key, sizeof p->key, dir, TORC_AUTHORITY_KEY) != 0 ||
      torc_path_join(p->cert, sizeof p->cert, dir, TORC_AUTHORITY_CERT) != 0 ||
      torc_path_join(p->overlay, sizeof p->overlay, dir, TORC_AUTHORITY_OVERLAY) != 0 ||
      torc_path_join(p->ledger, sizeof p->ledger, dir, TORC_AUTHORITY_LEDGER) != 0) {
    return path_error(dir, err, err_cap);
  }
  return 0;
}

static int refuse_second_init(const paths *p, char *err, size_t err_cap) {
  static const char advice[] =
      "--force makes a new root, keeps the old one beside it, and voids every certificate it "
      "issued";
  int rc = refuse_existing(p->key, advice, err, err_cap);
  if (rc == 0) {
    rc = refuse_existing(p->cert, advice, err, err_cap);
  }
  if (rc == 0) {
    rc = refuse_existing(p->overlay, advice, err, err_cap);
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
  torc_ledger *ledger = NULL;
  const torc_file_part parts[] = {
      {.path = p->key, .data = torc_slice_of(c->key, c->key_len), .mode = 0600},
      {.path = p->cert, .data = torc_slice_of(c->cert, c->cert_len), .mode = 0644},
      {.path = p->overlay, .data = torc_slice_of(c->overlay, c->overlay_len), .mode = 0644},
  };
  int rc = torc_ledger_open(&ledger, p->ledger, err, err_cap);
  if (rc == 0 && s->replace) {
    rc = choose_kept(p, s->now, out->kept, err, err_cap);
  }
  if (rc == 0) {
    rc =
        torc_files_write(parts, TORC_ARRAY_LEN(parts), s->replace ? out->kept : NULL, err, err_cap);
  }
  torc_ledger_close(ledger);
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

/* ---- issue ---- */

/* What an authority's directory holds, loaded. */
typedef struct authority {
  char overlay_name[256];
  EVP_PKEY *key;
  X509 *root;
  torc_ledger *ledger;
} authority;

static void authority_clear(authority *a) {
  EVP_PKEY_free(a->key);
  X509_free(a->root);
  torc_ledger_close(a->ledger);
}

static int load_key(const char *path, EVP_PKEY **out, char *err, size_t err_cap) {
  struct stat st;
  uint8_t *pem = NULL;
  size_t len = 0;
  if (stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    (void)snprintf(err, err_cap, "%s can be read by others; run: chmod 600 %s", path, path);
    return TORC_ERR_DENIED;
  }
  int rc = torc_file_read(path, TORC_AUTHORITY_REQUEST_MAX, &pem, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_ca_key_from_pem(torc_slice_of(pem, len), out);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "%s holds no private key in PEM", path);
  }
  torc_file_free(pem, len);
  return rc;
}

static int load_root(const char *path, X509 **out, char *err, size_t err_cap) {
  uint8_t *pem = NULL;
  size_t len = 0;
  int rc = torc_file_read(path, TORC_AUTHORITY_REQUEST_MAX, &pem, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_ca_cert_from_pem(torc_slice_of(pem, len), out);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "%s holds no certificate in PEM", path);
  }
  torc_file_free(pem, len);
  return rc;
}

static int load_overlay_name(const char *path, char *out, size_t cap, char *err, size_t err_cap) {
  torc_overlay overlay = {.name = ""};
  int rc = torc_overlay_load(&overlay, path, NULL, err, err_cap);
  if (rc == 0) {
    (void)snprintf(out, cap, "%s", overlay.name);
  }
  torc_overlay_clear(&overlay);
  return rc;
}

static int authority_load(authority *a, const char *dir, char *err, size_t err_cap) {
  paths p;
  int rc = paths_of(dir, &p, err, err_cap);
  if (rc == 0) {
    rc = load_overlay_name(p.overlay, a->overlay_name, sizeof a->overlay_name, err, err_cap);
  }
  if (rc == 0) {
    rc = load_key(p.key, &a->key, err, err_cap);
  }
  if (rc == 0) {
    rc = load_root(p.cert, &a->root, err, err_cap);
  }
  if (rc == 0 && X509_check_private_key(a->root, a->key) != 1) {
    (void)snprintf(err, err_cap, "%s and %s do not belong together", p.key, p.cert);
    rc = TORC_ERR_CRYPTO;
  }
  if (rc == 0) {
    rc = torc_ledger_open(&a->ledger, p.ledger, err, err_cap);
  }
  return rc;
}

static int fill_names(const torc_authority_request *r, torc_ledger_entry *e, char *err,
                      size_t err_cap) {
  const char *account = r->account;
  if (r->num_users == 0 || r->num_users > TORC_CERT_MAX_USERS) {
    (void)snprintf(err, err_cap, "a certificate has 1 to %d user names", TORC_CERT_MAX_USERS);
    return TORC_ERR_INVALID;
  }
  for (size_t i = 0; i < r->num_users; i++) {
    if (torc_ca_user_name(r->users[i], e->users[i], sizeof e->users[i]) != 0) {
      (void)snprintf(err, err_cap, "'%s' is no user name; one looks like alice@example.org",
                     r->users[i]);
      return TORC_ERR_FORMAT;
    }
  }
  e->num_users = r->num_users;
  if (account == NULL) {
    account = e->users[0];
  }
  if (account[0] == '\0' || strlen(account) > TORC_USER_MAX) {
    (void)snprintf(err, err_cap, "an account name has 1 to %d bytes", TORC_USER_MAX);
    return TORC_ERR_FORMAT;
  }
  (void)snprintf(e->account, sizeof e->account, "%s", account);
  return 0;
}

/* Not longer than the root itself. */
static int fill_dates(const authority *a, const torc_authority_request *r, torc_ledger_entry *e,
                      char *err, size_t err_cap) {
  struct tm end;
  if (r->days == 0 || r->days > TORC_AUTHORITY_DAYS_MAX) {
    (void)snprintf(err, err_cap, "a certificate is valid for 1 to %d days",
                   TORC_AUTHORITY_DAYS_MAX);
    return TORC_ERR_INVALID;
  }
  if (ASN1_TIME_to_tm(X509_get0_notAfter(a->root), &end) != 1) {
    (void)snprintf(err, err_cap, "the root certificate has no readable end of validity");
    return TORC_ERR_CRYPTO;
  }
  time_t root_end = timegm(&end);
  if (root_end <= (time_t)r->now) {
    (void)snprintf(err, err_cap,
                   "the root certificate has expired; make a new root with init --force");
    return TORC_ERR_STATE;
  }
  e->issued = r->now;
  e->not_after = after_days(r->now, r->days);
  if ((time_t)e->not_after > root_end) {
    e->not_after = (torc_wall)root_end;
  }
  return 0;
}

/* Draws serial number and peer-id until both are new [ENR-35]. */
static int draw_numbers(authority *a, torc_ledger_entry *e, torc_wall now, char *err,
                        size_t err_cap) {
  int rc = TORC_ERR_EXISTS;
  for (int i = 0; i < DRAWS_MAX && rc == TORC_ERR_EXISTS; i++) {
    if (torc_ca_random_serial(e->serial) != 0 || torc_ca_random_peer(&e->peer) != 0) {
      (void)snprintf(err, err_cap, "the system gave no random numbers; nothing was issued");
      return TORC_ERR_CRYPTO;
    }
    rc = torc_ledger_check(a->ledger, e, now, err, err_cap);
  }
  return rc;
}

/* The key of the request, or a fresh one of the root's kind. */
static int subject_key(const authority *a, const torc_authority_request *r, EVP_PKEY **out,
                       char *err, size_t err_cap) {
  if (r->request_file == NULL) {
    bool is_rsa = EVP_PKEY_get_base_id(a->key) == EVP_PKEY_RSA;
    int rc = torc_ca_key_new(is_rsa ? TORC_CA_RSA : TORC_CA_ECDSA, out);
    if (rc != 0) {
      (void)snprintf(err, err_cap, "cannot make a key: %s", torc_strerror(rc));
    }
    return rc;
  }
  uint8_t *pem = NULL;
  size_t len = 0;
  char why[160] = "";
  int rc = torc_file_read(r->request_file, TORC_AUTHORITY_REQUEST_MAX, &pem, &len, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_ca_request_key(torc_slice_of(pem, len), out, why, sizeof why);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "%s is refused: %s", r->request_file, why);
  }
  torc_file_free(pem, len);
  return rc;
}

static int output_paths(const torc_authority_request *r, torc_authority_issued *out, char *err,
                        size_t err_cap) {
  int n = snprintf(out->cert_file, sizeof out->cert_file, "%s.crt", r->out_prefix);
  if (n < 0 || (size_t)n >= sizeof out->cert_file) {
    return path_error(r->out_prefix, err, err_cap);
  }
  out->key_file[0] = '\0';
  if (r->request_file == NULL) {
    (void)snprintf(out->key_file, sizeof out->key_file, "%s.key", r->out_prefix);
  }
  if (r->replace) {
    return 0;
  }
  int rc = refuse_existing(out->cert_file, "--force replaces it", err, err_cap);
  if (rc == 0 && out->key_file[0] != '\0') {
    rc = refuse_existing(out->key_file, "--force replaces it", err, err_cap);
  }
  return rc;
}

static int sign_certificate(const authority *a, const torc_ledger_entry *e, EVP_PKEY *key,
                            X509 **out, char *err, size_t err_cap) {
  const char *users[TORC_CERT_MAX_USERS];
  for (size_t i = 0; i < e->num_users; i++) {
    users[i] = e->users[i];
  }
  torc_ca_profile profile = {.overlay = a->overlay_name,
                             .subject_key = key,
                             .peer = e->peer,
                             .users = users,
                             .num_users = e->num_users,
                             .not_before = backdated(e->issued),
                             .not_after = e->not_after};
  memcpy(profile.serial, e->serial, sizeof profile.serial);
  int rc = torc_ca_issue(a->root, a->key, &profile, out);
  if (rc != 0) {
    (void)snprintf(err, err_cap, "the certificate could not be signed: %s", torc_strerror(rc));
  }
  return rc;
}

static int issue_loaded(authority *a, const torc_authority_request *r, torc_authority_issued *out,
                        char *err, size_t err_cap) {
  torc_ledger_entry e = {.num_users = 0};
  EVP_PKEY *key = NULL;
  X509 *cert = NULL;
  int rc = fill_names(r, &e, err, err_cap);
  if (rc == 0) {
    rc = fill_dates(a, r, &e, err, err_cap);
  }
  if (rc == 0) {
    rc = draw_numbers(a, &e, r->now, err, err_cap);
  }
  if (rc == 0) {
    rc = subject_key(a, r, &key, err, err_cap);
  }
  if (rc == 0) {
    rc = sign_certificate(a, &e, key, &cert, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_ledger_append(a->ledger, &e, err, err_cap);
  }
  if (rc == 0 && out->key_file[0] != '\0') {
    rc = write_key(out->key_file, key, r->replace, err, err_cap);
  }
  if (rc == 0) {
    rc = write_cert(out->cert_file, cert, r->replace, err, err_cap);
  }
  if (rc == 0) {
    out->peer = e.peer;
    out->not_after = e.not_after;
    memcpy(out->account, e.account, sizeof out->account);
  }
  EVP_PKEY_free(key);
  X509_free(cert);
  return rc;
}

int torc_authority_issue(const torc_authority_request *r, torc_authority_issued *out, char *err,
                         size_t err_cap) {
  authority a = {.key = NULL};
  int rc = output_paths(r, out, err, err_cap);
  if (rc == 0) {
    rc = authority_load(&a, r->dir, err, err_cap);
  }
  if (rc == 0) {
    rc = issue_loaded(&a, r, out, err, err_cap);
  }
  authority_clear(&a);
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

static int check_fresh(const torc_overlay *old, const torc_overlay *fresh, X509 *root, char *err,
                       size_t err_cap) {
  if (strcasecmp(old->name, fresh->name) != 0) {
    (void)snprintf(err, err_cap, "the document is of the overlay %.200s, the directory of %.200s",
                   fresh->name, old->name);
    return TORC_ERR_CONFIG;
  }
  if (!lists_root(fresh, root)) {
    (void)snprintf(err, err_cap,
                   "the document does not list the root of this directory, which is to sign it");
    return TORC_ERR_CONFIG;
  }
  return 0;
}

int torc_authority_publish(const char *dir, torc_overlay *fresh, char *err, size_t err_cap) {
  paths p;
  torc_overlay old = {.name = ""};
  EVP_PKEY *key = NULL;
  X509 *root = NULL;
  contents c = {.key = NULL};
  int rc = paths_of(dir, &p, err, err_cap);
  rc = rc != 0 ? rc : torc_overlay_load(&old, p.overlay, NULL, err, err_cap);
  rc = rc != 0 ? rc : load_key(p.key, &key, err, err_cap);
  rc = rc != 0 ? rc : load_root(p.cert, &root, err, err_cap);
  rc = rc != 0 ? rc : check_fresh(&old, fresh, root, err, err_cap);
  if (rc == 0) {
    fresh->sequence = (old.sequence > fresh->sequence ? old.sequence : fresh->sequence) + 1;
    rc = write_document(fresh, key, root, &c, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_file_write(p.overlay, torc_slice_of(c.overlay, c.overlay_len), 0644, true, err,
                         err_cap);
  }
  contents_clear(&c);
  torc_overlay_clear(&old);
  EVP_PKEY_free(key);
  X509_free(root);
  return rc;
}
