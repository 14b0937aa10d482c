/* torc-authority serve: the enrolment service. SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authority/http/server.h"
#include "commands.h"
#include "io/err.h"
#include "io/notify.h"

typedef struct service {
  const char *dir;
  torc_home *home;    /* registry, audit log; settings as they were at the start */
  torc_home *present; /* issuing keys and settings as they are now */
  torc_enrol enrol;
  bool has_enrol;
  torc_http *http;
} service;

/* What the HTTPS server is told, with the names of files in full. */
typedef struct orders {
  torc_http_config http;
  char cert[TORC_PATH_MAX], key[TORC_PATH_MAX];
} orders;

static int check_settings(const torc_settings *s, char *err, size_t err_cap) {
  const char *missing = NULL;
  if (s->num_listen == 0) {
    missing = "listen = ADDRESS:PORT";
  } else if (s->https_cert[0] == '\0') {
    missing = "cert = FILE, the certificate of this server's name in PEM";
  } else if (s->https_key[0] == '\0') {
    missing = "key = FILE, its private key in PEM";
  }
  return missing == NULL ? 0
                         : torc_fail(TORC_ERR_CONFIG, err, err_cap, "%s/%s: [https] %s is missing",
                                     s->dir, TORC_AUTHORITY_CONF, missing);
}

static torc_enrol_terms terms_of(const torc_home *present) {
  const torc_settings *set = &present->settings;
  return (torc_enrol_terms){.issuers = present->issuers,
                            .num_issuers = present->num_issuers,
                            .policy = {.days = (uint32_t)set->days,
                                       .max_certs = (uint32_t)set->certificates,
                                       .allows_guests = set->allows_guests,
                                       .guest_days = (uint32_t)set->guest_days}};
}

static int fill_orders(orders *o, service *s, const torc_home *present, char *err, size_t err_cap) {
  const torc_settings *set = &present->settings;
  torc_http_config *c = &o->http;
  int rc = check_settings(set, err, err_cap);
  if (rc == 0) {
    rc = torc_settings_path(set, set->https_cert, o->cert, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_settings_path(set, set->https_key, o->key, err, err_cap);
  }
  for (size_t i = 0; i < set->num_listen; i++) {
    c->listen[i] = set->listen[i];
  }
  c->num_listen = set->num_listen;
  c->metrics_listen = set->metrics_listen[0] == '\0' ? NULL : set->metrics_listen;
  c->cert_file = o->cert;
  c->key_file = o->key;
  c->document_file = present->overlay_file;
  c->threads = (unsigned)set->threads;
  c->allows_md5 = set->allows_md5;
  c->per_minute = (uint32_t)set->per_minute;
  c->burst = (uint32_t)set->burst;
  c->failures_per_minute = (uint32_t)set->failures_per_minute;
  c->enrol = &s->enrol;
  return rc;
}

/* Issuing keys and settings; the registry stays open beside. */
static int open_present(const service *s, torc_home **out, char *err, size_t err_cap) {
  return torc_home_open(out, s->dir, TORC_HOME_OVERLAY | TORC_HOME_ISSUERS, err, err_cap);
}

static int begin(service *s, const char *dir, char *err, size_t err_cap) {
  s->dir = dir;
  int rc = torc_home_open(&s->home, dir, TORC_HOME_OVERLAY | TORC_HOME_REGISTRY, err, err_cap);
  if (rc == 0) {
    rc = open_present(s, &s->present, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_enrol_init(&s->enrol);
    s->has_enrol = rc == 0;
  }
  if (rc == 0) {
    s->enrol.overlay = s->home->overlay;
    s->enrol.registry = s->home->registry;
    s->enrol.audit = s->home->audit;
    s->enrol.terms = terms_of(s->present);
  }
  return rc;
}

static void end(service *s) {
  if (s->has_enrol) {
    torc_enrol_clear(&s->enrol);
  }
  torc_home_close(s->present);
  torc_home_close(s->home);
  free(s);
}

/* Standard error is the journal under systemd. */
static void announce(const service *s) {
  char address[80];
  for (size_t i = 0; torc_http_address(s->http, i, address, sizeof address); i++) {
    (void)fprintf(stderr, "torc-authority: serving %s at https://%s%s\n", s->home->overlay, address,
                  TORC_HTTP_PATH_CONFIG);
  }
  if (torc_http_metrics_address(s->http, address, sizeof address)) {
    (void)fprintf(stderr, "torc-authority: metrics at http://%s/metrics\n", address);
  }
}

/* Issuing keys, settings, document and certificate, all or nothing. */
static int take_present(service *s, char *err, size_t err_cap) {
  torc_home *fresh = NULL;
  orders *o = calloc(1, sizeof *o);
  if (o == NULL) {
    (void)torc_fail(TORC_ERR_NOMEM, err, err_cap, "there is no memory");
    return TORC_ERR_NOMEM;
  }
  int rc = open_present(s, &fresh, err, err_cap);
  if (rc == 0) {
    rc = fill_orders(o, s, fresh, err, err_cap);
  }
  if (rc == 0) {
    torc_enrol_terms terms = terms_of(fresh);
    rc = torc_http_reload(s->http, &o->http, &terms, err, err_cap);
  }
  if (rc == 0) { /* nobody uses the old keys any more */
    torc_home *old = s->present;
    s->present = fresh;
    fresh = old;
  }
  torc_home_close(fresh);
  free(o);
  return rc;
}

/* What changed is told, and what is wrong; the service goes on either way. */
static void reload(service *s) {
  char err[ERR_CAP] = "";
  char waiting[200] = "";
  torc_notify_service("RELOADING=1");
  int rc = take_present(s, err, sizeof err);
  if (rc == 0) {
    rc = torc_audit_reopen(s->home->audit, err, sizeof err);
  }
  if (rc == 0) {
    (void)fputs(
        "torc-authority: settings, issuing keys, document, server certificate and audit log are "
        "read again\n",
        stderr);
    if (torc_settings_fixed(&s->home->settings, &s->present->settings, waiting, sizeof waiting)) {
      (void)fprintf(stderr, "torc-authority: these wait for a restart: %s\n", waiting);
    }
  } else {
    (void)fprintf(stderr, "torc-authority: not reloaded, going on as before: %s\n", err);
  }
  torc_notify_service("READY=1");
}

static int serve(service *s, const orders *o, const sigset_t *signals, char *err, size_t err_cap) {
  int rc = torc_http_start(&s->http, &o->http, err, err_cap);
  if (rc != 0) {
    return rc;
  }
  announce(s);
  torc_notify_service("READY=1");
  int signal = 0;
  while (sigwait(signals, &signal) == 0 && signal == SIGHUP) {
    reload(s);
  }
  torc_notify_service("STOPPING=1");
  torc_http_stop(s->http);
  return 0;
}

/* Before any thread: all of them inherit it. */
static int hold_signals(sigset_t *out) {
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  if (sigemptyset(out) != 0 || sigaddset(out, SIGHUP) != 0 || sigaddset(out, SIGTERM) != 0 ||
      sigaddset(out, SIGINT) != 0 || sigaction(SIGPIPE, &ignore, NULL) != 0) {
    return TORC_ERR_INVALID;
  }
  return pthread_sigmask(SIG_BLOCK, out, NULL) == 0 ? 0 : TORC_ERR_INVALID;
}

static int run(service *s, const char *dir, bool only_checks, char *err, size_t err_cap) {
  sigset_t signals;
  orders *o = calloc(1, sizeof *o);
  int rc = o == NULL || hold_signals(&signals) != 0 ? TORC_ERR_NOMEM : begin(s, dir, err, err_cap);
  if (rc == 0) {
    rc = fill_orders(o, s, s->present, err, err_cap);
  }
  if (rc == 0) {
    rc =
        only_checks ? torc_http_check(&o->http, err, err_cap) : serve(s, o, &signals, err, err_cap);
  }
  free(o);
  return rc;
}

int run_serve(options *o) {
  char err[ERR_CAP] = "";
  service *s = calloc(1, sizeof *s);
  int rc = TORC_ERR_NOMEM;
  if (s != NULL) {
    rc = run(s, o->words[0], o->check, err, sizeof err);
    end(s);
  }
  if (rc != 0) {
    (void)failed("serve", err[0] == '\0' ? torc_strerror(rc) : err);
    return rc == TORC_ERR_CONFIG ? EXIT_USAGE : EXIT_FAILURE;
  }
  if (o->check) {
    (void)puts("everything is usable");
  }
  return EXIT_SUCCESS;
}
