/* The files of an enrolment. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "identity/impl.h"
#include "io/err.h"

#define KEY_FILE_MAX 16384u
#define CONF_FILE_MAX 8192u
#define KEPT_TRIES 100
#define PARTS_MAX 5

int torc_enroll_paths_of(torc_enroll_paths *p, const char *dir, char *err, size_t err_cap) {
  const struct {
    char *out;
    const char *name;
  } files[] = {{p->overlay, TORC_ENROLL_OVERLAY},   {p->cert, TORC_ENROLL_CERT},
               {p->key, TORC_ENROLL_KEY},           {p->conf, TORC_ENROLL_CONF},
               {p->password, TORC_ENROLL_PASSWORD}, {p->pending, TORC_ENROLL_PENDING}};
  for (size_t i = 0; i < TORC_ARRAY_LEN(files); i++) {
    if (torc_path_join(files[i].out, TORC_PATH_MAX, dir, files[i].name) != 0) {
      return torc_fail(TORC_ERR_SPACE, err, err_cap, "the name of the directory is too long");
    }
  }
  return 0;
}

/* ---- keys ---- */

static bool is_of_kind(const EVP_PKEY *key, torc_ca_signature kind) {
  return EVP_PKEY_is_a(key, kind == TORC_CA_RSA ? "RSA" : "EC") == 1;
}

static int load_key(const char *path, EVP_PKEY **out, char *err, size_t err_cap) {
  uint8_t *pem = NULL;
  size_t len = 0;
  int rc = torc_file_read(path, KEY_FILE_MAX, &pem, &len, err, err_cap);
  if (rc == 0 && torc_ca_key_from_pem(torc_slice_of(pem, len), out) != 0) {
    rc = torc_fail(TORC_ERR_FORMAT, err, err_cap, "%s holds no private key in PEM", path);
  }
  torc_file_free(pem, len);
  return rc;
}

static int make_pending(torc_enrolling *e, torc_ca_signature kind) {
  uint8_t *pem = NULL;
  size_t len = 0;
  int rc = torc_ca_key_new(kind, &e->key);
  rc = rc != 0 ? rc : torc_ca_key_to_pem(e->key, &pem, &len);
  if (rc != 0) {
    return torc_fail(rc, e->err, e->err_cap, "no key can be made: %s", torc_strerror(rc));
  }
  rc = torc_file_write(e->paths.pending, torc_slice_of(pem, len), 0600, true, e->err, e->err_cap);
  torc_file_free(pem, len);
  return rc;
}

int torc_enroll_key(torc_enrolling *e) {
  torc_ca_signature kind = TORC_CA_ECDSA;
  char why[300];
  if (torc_request_key_kind(&e->overlay, &kind) != 0) {
    return torc_fail(TORC_ERR_CONFIG, e->err, e->err_cap,
                     "the overlay admits only keys of kinds that this program does not make");
  }
  if (e->job->is_renewal && e->job->password == NULL) {
    return load_key(e->paths.key, &e->key, e->err, e->err_cap);
  }
  if (load_key(e->paths.pending, &e->key, why, sizeof why) == 0 && is_of_kind(e->key, kind)) {
    return 0;
  }
  EVP_PKEY_free(e->key);
  e->key = NULL;
  return make_pending(e, kind);
}

/* ---- enroll.conf ---- */

static const torc_conf_key keys[] = {
#define TEXT(name_, field_)                                          \
  {                                                                  \
    .section = "enrolment", .name = (name_), .kind = TORC_CONF_TEXT, \
    .offset = offsetof(torc_enrolment, field_)                       \
  }
    TEXT("overlay", overlay),
    TEXT("account", account),
    {.section = "enrolment",
     .name = "user",
     .kind = TORC_CONF_TEXTS,
     .offset = offsetof(torc_enrolment, users),
     .num_offset = offsetof(torc_enrolment, num_users),
     .max = TORC_ENROLL_USERS_MAX},
    TEXT("password-file", password_file),
    TEXT("server", server),
    TEXT("resolver", resolver),
    TEXT("trust-anchor", trust_anchor),
    TEXT("ca-file", ca_file),
};

int torc_enrolment_read(torc_enrolment *out, const char *dir, char *err, size_t err_cap) {
  torc_enroll_paths p;
  *out = (torc_enrolment){.num_users = 0};
  int rc = torc_enroll_paths_of(&p, dir, err, err_cap);
  rc = rc != 0 ? rc : torc_conf_read(out, keys, TORC_ARRAY_LEN(keys), p.conf, err, err_cap);
  if (rc == 0 && out->overlay[0] == '\0') {
    rc = torc_fail(TORC_ERR_CONFIG, err, err_cap, "%s: [enrolment] overlay is missing", p.conf);
  }
  return rc;
}

static void add_line(char *text, const char *name, const char *value) {
  size_t len = strlen(text);
  if (value[0] != '\0') {
    (void)snprintf(text + len, CONF_FILE_MAX - len, "%s = %s\n", name, value);
  }
}

static void write_conf(const torc_enrolling *e, char text[CONF_FILE_MAX]) {
  const torc_enrolment *how = &e->job->how;
  (void)snprintf(text, CONF_FILE_MAX,
                 "# How this identity was enrolled; torcd and torc renew go by it.\n[enrolment]\n");
  add_line(text, "overlay", how->overlay);
  add_line(text, "account", how->account);
  for (size_t i = 0; i < e->granted.num_users; i++) {
    add_line(text, "user", e->granted.users[i]);
  }
  add_line(text, "password-file",
           e->job->save_password ? TORC_ENROLL_PASSWORD : how->password_file);
  add_line(text, "server", how->server);
  add_line(text, "resolver", how->resolver);
  add_line(text, "trust-anchor", how->trust_anchor);
  add_line(text, "ca-file", how->ca_file);
}

/* ---- writing ---- */

/* A suffix that no copy has yet. */
static int choose_kept(const torc_enrolling *e, char kept[64]) {
  const char *const all[] = {e->paths.key, e->paths.cert, e->paths.overlay, e->paths.conf,
                             e->paths.password};
  for (unsigned i = 0; i < KEPT_TRIES; i++) {
    bool is_free = true;
    (void)snprintf(kept, 64, ".old-%u%s%.0u", e->now, i == 0 ? "" : "-", i);
    for (size_t k = 0; k < TORC_ARRAY_LEN(all); k++) {
      char path[TORC_PATH_MAX + 64];
      (void)snprintf(path, sizeof path, "%s%s", all[k], kept);
      is_free = is_free && access(path, F_OK) != 0;
    }
    if (is_free) {
      return 0;
    }
  }
  return torc_fail(TORC_ERR_EXISTS, e->err, e->err_cap,
                   "too many copies of old files in %s: remove some", e->job->dir);
}

static int write_parts(torc_enrolling *e, torc_slice key_pem, char kept[64]) {
  char conf[CONF_FILE_MAX];
  torc_file_part parts[PARTS_MAX];
  size_t num = 0;
  const torc_https_answer *d = &e->document;
  const char *password = e->job->password;
  write_conf(e, conf);
  parts[num++] = (torc_file_part){e->paths.key, key_pem, 0600};
  parts[num++] =
      (torc_file_part){e->paths.cert, torc_slice_of(e->granted.pem, e->granted.len), 0644};
  parts[num++] =
      (torc_file_part){e->paths.overlay, torc_slice_of((const uint8_t *)d->body, d->len), 0644};
  parts[num++] = (torc_file_part){e->paths.conf, torc_slice_str(conf), 0600};
  if (e->job->save_password && password != NULL) {
    parts[num++] = (torc_file_part){e->paths.password, torc_slice_str(password), 0600};
  }
  bool is_new = access(e->paths.key, F_OK) != 0 && access(e->paths.cert, F_OK) != 0;
  int rc = choose_kept(e, kept);
  rc = rc != 0 ? rc : torc_files_write(parts, num, kept, e->err, e->err_cap);
  if (is_new) {
    kept[0] = '\0';
  }
  return rc;
}

int torc_enroll_write(torc_enrolling *e, char kept[64]) {
  uint8_t *pem = NULL;
  size_t len = 0;
  int rc = torc_ca_key_to_pem(e->key, &pem, &len);
  if (rc != 0) {
    return torc_fail(rc, e->err, e->err_cap, "the key cannot be written: %s", torc_strerror(rc));
  }
  rc = write_parts(e, torc_slice_of(pem, len), kept);
  torc_file_free(pem, len);
  if (rc == 0) {
    (void)unlink(e->paths.pending);
  }
  return rc;
}

/* ---- passwords and renewal ---- */

int torc_password_read(const char *path, char out[TORC_PASSWORD_MAX + 1], char *err,
                       size_t err_cap) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = -1;
  if (fd < 0) {
    return torc_fail(TORC_ERR_IO, err, err_cap, "cannot read the password file %s: %s", path,
                     strerror(errno));
  }
  bool is_private = fstat(fd, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  if (is_private) {
    n = read(fd, out, TORC_PASSWORD_MAX + 1);
  }
  (void)close(fd);
  if (!is_private) {
    return torc_fail(TORC_ERR_DENIED, err, err_cap,
                     "the password file %s is accessible to others: run chmod 600 %s", path, path);
  }
  size_t len = 0;
  while (n > 0 && len < (size_t)n && out[len] != '\n' && out[len] != '\r' && out[len] != '\0') {
    len++;
  }
  if (len == 0 || len > TORC_PASSWORD_MAX) {
    torc_wipe(out, TORC_PASSWORD_MAX + 1);
    return torc_fail(TORC_ERR_FORMAT, err, err_cap, "%s has no password in its first line", path);
  }
  out[len] = '\0';
  return 0;
}

static int renew_with(torc_enrolled *out, torc_enroll_job *job, const char *dir, char *err,
                      size_t err_cap) {
  char path[TORC_PATH_MAX];
  char password[TORC_PASSWORD_MAX + 1] = "";
  const char *file = job->how.password_file;
  int rc = 0;
  if (job->password == NULL && job->how.account[0] != '\0') {
    if (file[0] == '\0') {
      return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                       "%s/" TORC_ENROLL_CONF
                       " names no password-file: run torc renew by hand, or enrol with "
                       "--save-password",
                       dir);
    }
    rc = file[0] == '/' ? (int)(snprintf(path, sizeof path, "%s", file) < 0)
                        : torc_path_join(path, sizeof path, dir, file);
    rc = rc != 0 ? rc : torc_password_read(path, password, err, err_cap);
    job->password = password;
  }
  rc = rc != 0 ? rc : torc_enroll(out, job, err, err_cap);
  torc_wipe(password, sizeof password);
  return rc;
}

int torc_renew(torc_enrolled *out, const char *dir, const char *password, char *err,
               size_t err_cap) {
  torc_enroll_job *job = calloc(1, sizeof *job);
  if (job == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  job->dir = dir;
  job->password = password;
  job->is_renewal = true;
  int rc = torc_enrolment_read(&job->how, dir, err, err_cap);
  if (rc == 0 && job->how.account[0] == '\0') {
    job->password = NULL; /* a guest has none */
  }
  rc = rc != 0 ? rc : renew_with(out, job, dir, err, err_cap);
  free(job);
  return rc;
}
