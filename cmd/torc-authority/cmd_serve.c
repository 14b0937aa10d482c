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
  torc_home *home;
  torc_enrol enrol;
  torc_http *http;
  torc_http_config config;
  char cert[TORC_PATH_MAX], key[TORC_PATH_MAX];
} service;

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

static void fill_enrol(service *s) {
  const torc_settings *set = &s->home->settings;
  s->enrol.overlay = s->home->overlay;
  s->enrol.issuers = s->home->issuers;
  s->enrol.num_issuers = s->home->num_issuers;
  s->enrol.registry = s->home->registry;
  s->enrol.audit = s->home->audit;
  s->enrol.policy = (torc_enrol_policy){.days = (uint32_t)set->days,
                                        .max_certs = (uint32_t)set->certificates,
                                        .allows_guests = set->allows_guests,
                                        .guest_days = (uint32_t)set->guest_days};
}

static int fill_config(service *s, char *err, size_t err_cap) {
  const torc_settings *set = &s->home->settings;
  torc_http_config *c = &s->config;
  int rc = check_settings(set, err, err_cap);
  if (rc == 0) {
    rc = torc_settings_path(set, set->https_cert, s->cert, err, err_cap);
  }
  if (rc == 0) {
    rc = torc_settings_path(set, set->https_key, s->key, err, err_cap);
  }
  for (size_t i = 0; i < set->num_listen; i++) {
    c->listen[i] = set->listen[i];
  }
  c->num_listen = set->num_listen;
  c->metrics_listen = set->metrics_listen[0] == '\0' ? NULL : set->metrics_listen;
  c->cert_file = s->cert;
  c->key_file = s->key;
  c->document_file = s->home->overlay_file;
  c->threads = (unsigned)set->threads;
  c->allows_md5 = set->allows_md5;
  c->per_minute = (uint32_t)set->per_minute;
  c->burst = (uint32_t)set->burst;
  c->failures_per_minute = (uint32_t)set->failures_per_minute;
  c->enrol = &s->enrol;
  return rc;
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

/* What changed is told, and what is wrong; the service goes on either way. */
static void reload(service *s) {
  char err[ERR_CAP] = "";
  torc_notify_service("RELOADING=1");
  int rc = torc_http_reload(s->http, err, sizeof err);
  if (rc == 0) {
    rc = torc_audit_reopen(s->home->audit, err, sizeof err);
  }
  if (rc == 0) {
    (void)fputs("torc-authority: document, server certificate and audit log are read again\n",
                stderr);
  } else {
    (void)fprintf(stderr, "torc-authority: not reloaded, going on as before: %s\n", err);
  }
  torc_notify_service("READY=1");
}

static int serve(service *s, const sigset_t *signals, char *err, size_t err_cap) {
  int rc = torc_http_start(&s->http, &s->config, err, err_cap);
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

int run_serve(options *o) {
  char err[ERR_CAP] = "";
  sigset_t signals;
  service *s = calloc(1, sizeof *s);
  int rc = s == NULL || hold_signals(&signals) != 0 ? TORC_ERR_NOMEM : 0;
  if (rc == 0) {
    rc = torc_home_open(&s->home, o->words[0], TORC_HOME_ALL, err, sizeof err);
  }
  if (rc == 0) {
    fill_enrol(s);
    rc = fill_config(s, err, sizeof err);
  }
  if (rc == 0) {
    rc = o->check ? torc_http_check(&s->config, err, sizeof err)
                  : serve(s, &signals, err, sizeof err);
  }
  if (s != NULL) {
    torc_home_close(s->home);
  }
  free(s);
  if (rc != 0) {
    (void)failed("serve", err[0] == '\0' ? torc_strerror(rc) : err);
    return rc == TORC_ERR_CONFIG ? EXIT_USAGE : EXIT_FAILURE;
  }
  if (o->check) {
    (void)puts("everything is usable");
  }
  return EXIT_SUCCESS;
}
