/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/enroll.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "identity/impl.h"
#include "io/err.h"
#include "io/overlay_fetch.h"
#include "io/peer_config.h"
#include "io/wall.h"
#include "io/x509.h"

#define MEDIA_REQUEST "application/pkcs10"
#define MEDIA_ANSWER "application/pkcs7-mime"
#define PATH_CREDENTIAL "/p2psip/credential" /* where ours has it, if the document names none */
#define PATH_GUEST "guest"                   /* in the place of the last part of the path */
#define STATUS_OK 200

static const char *given(const char *text) {
  return text[0] == '\0' ? NULL : text;
}

static torc_discover_config search_of(const torc_enrolment *how) {
  return (torc_discover_config){
      .dns = {.resolver = given(how->resolver), .trust_anchor = given(how->trust_anchor)},
      .server = given(how->server)};
}

/* ---- the document ---- */

static int read_document(torc_enrolling *e) {
  const torc_https_answer *a = &e->document;
  char encoding[TORC_OVERLAY_ENCODING_MAX];
  char why[400] = "";
  int rc = torc_overlay_media_type(a->type, encoding, why, sizeof why);
  torc_overlay_input in = {.xml = torc_slice_of((const uint8_t *)a->body, a->len),
                           .name = e->job->how.overlay,
                           .encoding = given(encoding)};
  rc = rc != 0 ? rc : torc_overlay_read(&e->overlay, &in, why, sizeof why);
  if (rc != 0) {
    return torc_fail(rc, e->err, e->err_cap,
                     "the overlay configuration that the server gives is not usable: %s", why);
  }
  e->has_overlay = true;
  return 0;
}

/* [ENR-09] */
static int fetch_document(torc_enrolling *e) {
  char url[TORC_OVERLAY_URL_MAX];
  torc_asked asked;
  torc_overlay_default_url(e->job->how.overlay, url);
  const torc_https_request q = {
      .url = url, .ca_file = given(e->job->how.ca_file), .max = TORC_OVERLAY_XML_MAX};
  int rc = torc_ask_servers(&asked, &e->found, &q, e->now, e->err, e->err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_ask_clock(&asked, e->now, e->err, e->err_cap);
  if (rc == 0 && asked.answer.status != STATUS_OK) {
    rc = torc_ask_refused(&asked, NULL, e->err, e->err_cap);
  }
  if (rc != 0) {
    torc_https_clear(&asked.answer);
    return rc;
  }
  e->document = asked.answer;
  return read_document(e);
}

/* A renewal goes on with what it knows: the new document must be one that the old one leads to,
 * whatever certificate the server shows. */
static int compare_documents(torc_enrolling *e) {
  torc_overlay old;
  char why[300] = "";
  int rc = torc_overlay_load(&old, e->paths.overlay, e->job->how.overlay, e->err, e->err_cap);
  if (rc != 0) {
    return rc;
  }
  rc = torc_overlay_may_follow(&old, &e->overlay, false, why, sizeof why);
  torc_overlay_clear(&old);
  return rc == 0 ? 0
                 : torc_fail(rc, e->err, e->err_cap,
                             "the overlay configuration that the server gives cannot follow %s: %s",
                             e->paths.overlay, why);
}

/* ---- the certificate ---- */

typedef struct target {
  char url[TORC_OVERLAY_URL_MAX];
  char host[TORC_DNS_NAME_MAX];
  uint16_t port; /* 0: none in the URL */
} target;

/* https://HOST[:PORT]/PATH; of a guest, PATH ends otherwise. */
static int read_target(target *t, const char *url, bool is_guest) {
  const char *at = url + strlen("https://");
  if (strncasecmp(url, "https://", strlen("https://")) != 0) {
    return TORC_ERR_FORMAT;
  }
  bool is_v6 = *at == '[';
  at += is_v6 ? 1 : 0;
  size_t len = strcspn(at, is_v6 ? "]" : "/:?#");
  const char *rest = at + len;
  unsigned long port = 0;
  if (len == 0 || len >= sizeof t->host || (is_v6 && *rest != ']')) {
    return TORC_ERR_FORMAT;
  }
  rest += is_v6 ? 1 : 0;
  memcpy(t->host, at, len);
  t->host[len] = '\0';
  if (*rest == ':') {
    char *end = NULL;
    port = strtoul(rest + 1, &end, 10);
    rest = end;
  }
  const char *slash = strrchr(url, '/');
  int n = is_guest && slash >= rest
              ? snprintf(t->url, sizeof t->url, "%.*s" PATH_GUEST, (int)(slash + 1 - url), url)
              : snprintf(t->url, sizeof t->url, "%s", url);
  t->port = (uint16_t)port;
  return !torc_host_valid(t->host) || port > UINT16_MAX || n < 0 || (size_t)n >= sizeof t->url
             ? TORC_ERR_FORMAT
             : 0;
}

/* Where the target is: the overlay's own servers if it has the overlay's name. */
static int locate(const torc_enrolling *e, const target *t, torc_discovery *out) {
  const torc_enrolment *how = &e->job->how;
  if (strcasecmp(t->host, how->overlay) != 0) {
    torc_discover_config cfg = search_of(how);
    return torc_discover_host(out, t->host, t->port == 0 ? TORC_HTTPS_PORT : t->port, &cfg, e->err,
                              e->err_cap);
  }
  *out = e->found;
  for (size_t i = 0; t->port != 0 && t->port != TORC_HTTPS_PORT && i < out->num; i++) {
    torc_sock_set_port(&out->servers[i].at, t->port);
  }
  return 0;
}

static int take_answer(torc_enrolling *e, const torc_asked *asked, const torc_wish *w) {
  const torc_https_answer *a = &asked->answer;
  size_t len = strlen(MEDIA_ANSWER);
  if (a->status != STATUS_OK) {
    return torc_ask_refused(asked, given(e->job->how.account), e->err, e->err_cap);
  }
  if (strncasecmp(a->type, MEDIA_ANSWER, len) != 0 || strchr("; \t", a->type[len]) == NULL) {
    return torc_fail(TORC_ERR_FORMAT, e->err, e->err_cap,
                     "the credential server answers with %.80s, not with a certificate", a->type);
  }
  return torc_answer_check(&e->granted, torc_slice_of((const uint8_t *)a->body, a->len), w,
                           &e->overlay, e->key, e->now, e->err, e->err_cap);
}

static int ask_one(torc_enrolling *e, const char *url, const torc_wish *w, torc_slice request,
                   torc_enrolled *out) {
  const torc_enroll_job *job = e->job;
  target t;
  torc_discovery found;
  torc_asked asked;
  if (read_target(&t, url, job->password == NULL) != 0) {
    return torc_fail(TORC_ERR_CONFIG, e->err, e->err_cap,
                     "the credential server's URL in the overlay configuration is not usable: "
                     "%.200s",
                     url);
  }
  int rc = locate(e, &t, &found);
  if (rc != 0) {
    return rc;
  }
  const torc_https_request q = {.url = t.url,
                                .ca_file = given(job->how.ca_file),
                                .user = job->password == NULL ? NULL : job->how.account,
                                .password = job->password,
                                .body = request,
                                .content_type = MEDIA_REQUEST,
                                .max = TORC_ANSWER_MAX};
  rc = torc_ask_servers(&asked, &found, &q, e->now, e->err, e->err_cap);
  if (rc == 0) {
    (void)torc_server_text(asked.by, out->server);
    rc = take_answer(e, &asked, w);
    torc_https_clear(&asked.answer);
  }
  return rc;
}

/* Whether another credential server may do better [BGAP-04]: not where the answer is about us. */
static bool is_worth_another(int rc) {
  return rc == TORC_ERR_IO || rc == TORC_ERR_REFUSED || rc == TORC_ERR_NOTFOUND;
}

static int ask_certificate(torc_enrolling *e, const torc_wish *w, torc_enrolled *out) {
  uint8_t *der = NULL;
  size_t len = 0;
  char url[TORC_OVERLAY_URL_MAX];
  int rc = torc_request_make(w, e->overlay.name, e->key, &der, &len);
  if (rc != 0) {
    return torc_fail(rc, e->err, e->err_cap, "the request cannot be made: %s", torc_strerror(rc));
  }
  torc_slice request = torc_slice_of(der, len);
  if (e->overlay.num_credentials == 0) {
    torc_overlay_url(e->job->how.overlay, PATH_CREDENTIAL, url);
    rc = ask_one(e, url, w, request, out);
  }
  for (size_t i = 0; i < e->overlay.num_credentials; i++) {
    rc = ask_one(e, e->overlay.credentials[i], w, request, out);
    if (!is_worth_another(rc)) {
      break;
    }
  }
  free(der);
  return rc;
}

/* ---- what is there already ---- */

static int refuse_second(const torc_enrolling *e) {
  if (access(e->paths.key, F_OK) == 0 || access(e->paths.cert, F_OK) == 0) {
    return torc_fail(TORC_ERR_EXISTS, e->err, e->err_cap,
                     "%s holds an identity already: torc renew %s renews it, --force replaces it "
                     "by a new one and keeps a copy",
                     e->job->dir, e->job->dir);
  }
  return 0;
}

/* Names and peer-id of the certificate that is to be renewed. It may have ended. */
static int read_old(torc_enrolling *e, torc_granted *old) {
  uint8_t *pem = NULL;
  size_t len = 0;
  X509 *x = NULL;
  torc_slice roots[TORC_OVERLAY_ROOTS_MAX];
  torc_pki *pki = NULL;
  torc_cert *cert = NULL;
  uint8_t *der = NULL;
  size_t der_len = 0;
  int rc = torc_file_read(e->paths.cert, TORC_ANSWER_MAX, &pem, &len, e->err, e->err_cap);
  if (rc != 0) {
    return rc;
  }
  for (size_t i = 0; i < e->overlay.num_roots; i++) {
    roots[i] = torc_slice_of(e->overlay.roots[i].der, e->overlay.roots[i].len);
  }
  rc = torc_ca_cert_from_pem(torc_slice_of(pem, len), &x);
  rc = rc != 0 ? rc : torc_ca_cert_to_der(x, &der, &der_len);
  rc = rc != 0
           ? rc
           : torc_pki_new(&pki, e->overlay.name, roots, e->overlay.num_roots, e->err, e->err_cap);
  rc = rc != 0 ? rc : torc_pki_accept(pki, torc_slice_of(der, der_len), &cert, e->err, e->err_cap);
  if (rc == 0 && cert->num_peers == 1) {
    old->peer = cert->peers[0];
    old->num_users = cert->num_users;
    for (size_t i = 0; i < cert->num_users; i++) {
      (void)snprintf(old->users[i], sizeof old->users[i], "%s", cert->users[i]);
    }
  } else {
    rc = torc_fail(TORC_ERR_CONFIG, e->err, e->err_cap,
                   "%s is no certificate of this overlay that can be renewed: enrol anew with "
                   "--force",
                   e->paths.cert);
  }
  torc_cert_free(cert);
  torc_pki_free(pki);
  torc_file_free(der, der_len);
  X509_free(x);
  torc_file_free(pem, len);
  return rc;
}

/* ---- the whole ---- */

static int obtain(torc_enrolling *e, torc_enrolled *out) {
  const torc_enroll_job *job = e->job;
  torc_granted old = {.pem = NULL};
  torc_wish w = {.users = e->users, .num_users = e->num_users};
  int rc = fetch_document(e);
  if (rc == 0 && job->is_renewal) {
    rc = compare_documents(e);
    rc = rc != 0 ? rc : read_old(e, &old);
    w.peer = &old.peer;
    for (size_t i = 0; rc == 0 && i < old.num_users; i++) {
      e->users[i] = old.users[i];
    }
    w.num_users = job->password == NULL ? 0 : old.num_users;
  }
  rc = rc != 0 ? rc : torc_enroll_key(e);
  rc = rc != 0 ? rc : ask_certificate(e, &w, out);
  return rc != 0 ? rc : torc_enroll_write(e, out->kept);
}

static void report(const torc_enrolling *e, torc_enrolled *out) {
  out->peer = e->granted.peer;
  out->num_users = e->granted.num_users;
  memcpy(out->users, e->granted.users, sizeof out->users);
  out->not_before = e->granted.not_before;
  out->not_after = e->granted.not_after;
  (void)snprintf(out->overlay, sizeof out->overlay, "%.255s", e->overlay.name);
  out->has_srv = e->found.has_srv;
  out->dnssec = e->found.dnssec;
}

static int prepare(torc_enrolling *e) {
  const torc_enrolment *how = &e->job->how;
  torc_discover_config cfg = search_of(how);
  for (size_t i = 0; i < how->num_users; i++) {
    e->users[i] = how->users[i];
  }
  e->num_users = e->job->password == NULL ? 0 : how->num_users;
  int rc = torc_enroll_paths_of(&e->paths, e->job->dir, e->err, e->err_cap);
  if (rc == 0 && !e->job->replace && !e->job->is_renewal) {
    rc = refuse_second(e);
  }
  rc = rc != 0 ? rc : torc_dir_make(e->job->dir, e->err, e->err_cap);
  return rc != 0 ? rc : torc_discover(&e->found, how->overlay, &cfg, e->err, e->err_cap);
}

int torc_enroll(torc_enrolled *out, const torc_enroll_job *job, char *err, size_t err_cap) {
  torc_enrolling *e = calloc(1, sizeof *e);
  *out = (torc_enrolled){.num_users = 0};
  if (e == NULL) {
    return torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
  }
  e->job = job;
  e->err = err;
  e->err_cap = err_cap;
  e->now = torc_wall_now();
  int rc = prepare(e);
  rc = rc != 0 ? rc : obtain(e, out);
  if (rc == 0) {
    report(e, out);
  }
  if (e->has_overlay) {
    torc_overlay_clear(&e->overlay);
  }
  torc_https_clear(&e->document);
  torc_granted_clear(&e->granted);
  EVP_PKEY_free(e->key);
  ERR_clear_error();
  free(e);
  return rc;
}
