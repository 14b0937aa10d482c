/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/ask.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/config_life.h"
#include "io/err.h"
#include "io/wall.h"

#define STATUS_UNAUTHORISED 401
#define STATUS_FORBIDDEN 403
#define STATUS_NOT_FOUND 404
#define STATUS_TOO_MANY 429
#define STATUS_SERVER 500
#define STATUS_UNAVAILABLE 503
#define REASON_MAX 300 /* characters of the server's own words that are shown */

static bool clocks_differ(torc_wall a, torc_wall b) {
  return torc_config_since(a, b) > TORC_CONFIG_CLOCK_S ||
         torc_config_since(b, a) > TORC_CONFIG_CLOCK_S;
}

/* The certificate's time is not now, by this machine's clock: whose clock is wrong? */
static int explain_time(const torc_https_answer *a, const char *where, torc_wall now, char *err,
                        size_t err_cap) {
  char here[TORC_WALL_TEXT];
  char there[TORC_WALL_TEXT];
  if (a->date != 0 && clocks_differ(a->date, now)) {
    return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                     "the certificate of %s is not valid at %s, which is what this machine's clock "
                     "says; the server's says %s: set the clock of this machine",
                     where, torc_wall_text(now, here), torc_wall_text(a->date, there));
  }
  return torc_fail(TORC_ERR_IO, err, err_cap,
                   "the certificate of %s %s (it is %s): tell the operator of the overlay", where,
                   a->fault == TORC_HTTPS_EXPIRED ? "has expired" : "is not valid yet",
                   torc_wall_text(now, here));
}

static int explain(const torc_https_answer *a, const torc_https_request *q, const char *where,
                   torc_wall now, const char *why, char *err, size_t err_cap) {
  switch (a->fault) {
    case TORC_HTTPS_CONNECT:
      return torc_fail(TORC_ERR_IO, err, err_cap,
                       "%s cannot be reached (%s): the server may be down or a firewall in "
                       "between; try again later",
                       where, why);
    case TORC_HTTPS_TIMEOUT:
      return torc_fail(TORC_ERR_IO, err, err_cap,
                       "%s does not answer within %d seconds: try again later", where,
                       TORC_HTTPS_S);
    case TORC_HTTPS_TLS:
      return torc_fail(TORC_ERR_IO, err, err_cap,
                       "%s speaks no TLS this machine accepts (%s): is that the port of the "
                       "enrolment service?",
                       where, why);
    case TORC_HTTPS_NAME:
      return torc_fail(TORC_ERR_IO, err, err_cap,
                       "%s shows a certificate that is not for the name in %s (%s): it is another "
                       "server, or the operator must get a certificate for the overlay's name",
                       where, q->url, why);
    case TORC_HTTPS_EXPIRED:
    case TORC_HTTPS_NOT_YET:
      return explain_time(a, where, now, err, err_cap);
    case TORC_HTTPS_UNTRUSTED:
      return torc_fail(TORC_ERR_IO, err, err_cap,
                       "the certificate of %s is of an authority that is not trusted here (%s): "
                       "if the operator gave you its CA certificate, use --ca-file FILE",
                       where, why);
    case TORC_HTTPS_TOO_LARGE:
      return torc_fail(TORC_ERR_IO, err, err_cap, "the answer of %s is larger than %zu bytes",
                       where, q->max);
    case TORC_HTTPS_OK:
    case TORC_HTTPS_OTHER:
      break;
  }
  return torc_fail(TORC_ERR_IO, err, err_cap, "asking %s fails: %s", where, why);
}

int torc_ask_servers(torc_asked *out, const torc_discovery *d, const torc_https_request *q,
                     torc_wall now, char *err, size_t err_cap) {
  char first[512] = "";
  int failed = TORC_ERR_IO;
  bool has_answer = false; /* of a failing or wrong server: better than none */
  for (size_t i = 0; i < d->num; i++) {
    char at[TORC_SOCK_TEXT];
    char why[300] = "";
    char where[TORC_SERVER_TEXT];
    torc_https_request one = *q;
    torc_https_answer answer;
    torc_sock_text(&d->servers[i].at, at);
    one.at = at;
    int rc = torc_https_ask(&answer, &one, why, sizeof why);
    if (rc == TORC_ERR_NOMEM) {
      (void)torc_fail(rc, first, sizeof first, "%s", why);
      failed = rc;
      break;
    }
    if (rc != 0 && first[0] == '\0') {
      failed = explain(&answer, &one, torc_server_text(&d->servers[i], where), now, why, first,
                       sizeof first);
    }
    if (rc != 0) {
      continue;
    }
    if (has_answer) {
      torc_https_clear(&out->answer);
    }
    *out = (torc_asked){.answer = answer, .by = &d->servers[i]};
    has_answer = true;
    if (answer.status < STATUS_SERVER && answer.status != STATUS_NOT_FOUND) {
      return 0;
    }
  }
  if (has_answer) {
    return 0;
  }
  return d->num > 1 && failed != TORC_ERR_NOMEM
             ? torc_fail(failed, err, err_cap, "%s (%zu addresses were tried)", first, d->num)
             : torc_fail(failed, err, err_cap, "%s", first);
}

/* The server's own words, without anything that moves a cursor. */
static void words_of(const torc_https_answer *a, char out[REASON_MAX]) {
  size_t n = 0;
  for (size_t i = 0; i < a->len && n + 1 < REASON_MAX; i++) {
    char c = a->body[i];
    bool is_plain = c >= ' ' && c <= '~';
    if (is_plain || n > 0) {
      out[n] = is_plain ? c : ' ';
      n++;
    }
  }
  while (n > 0 && out[n - 1] == ' ') {
    n--;
  }
  out[n] = '\0';
}

int torc_ask_refused(const torc_asked *a, const char *account, char *err, size_t err_cap) {
  char words[REASON_MAX];
  char where[TORC_SERVER_TEXT];
  words_of(&a->answer, words);
  (void)torc_server_text(a->by, where);
  switch (a->answer.status) {
    case STATUS_UNAUTHORISED:
      return torc_fail(TORC_ERR_DENIED, err, err_cap,
                       "%s refuses account %s: wrong password, no such account, or it is disabled "
                       "(the server does not say which)",
                       where, account == NULL ? "" : account);
    case STATUS_FORBIDDEN:
      return torc_fail(TORC_ERR_DENIED, err, err_cap, "%s refuses: %s", where,
                       words[0] == '\0' ? "not allowed" : words);
    case STATUS_NOT_FOUND:
      return torc_fail(TORC_ERR_IO, err, err_cap,
                       "%s has no enrolment service: is this the server of the overlay?", where);
    case STATUS_TOO_MANY:
      if (a->answer.retry_after_s > 0) {
        return torc_fail(TORC_ERR_REFUSED, err, err_cap,
                         "%s has had too many requests from this network: try again in %u seconds",
                         where, a->answer.retry_after_s);
      }
      return torc_fail(TORC_ERR_REFUSED, err, err_cap,
                       "%s has had too many requests from this network: try again later", where);
    case STATUS_SERVER:
    case STATUS_UNAVAILABLE:
      return torc_fail(TORC_ERR_REFUSED, err, err_cap,
                       "%s has a trouble of its own (status %ld): try again later, or tell the "
                       "operator of the overlay",
                       where, a->answer.status);
    default:
      return torc_fail(TORC_ERR_IO, err, err_cap, "%s answers with status %ld%s%s", where,
                       a->answer.status, words[0] == '\0' ? "" : ": ", words);
  }
}

int torc_ask_clock(const torc_asked *a, torc_wall now, char *err, size_t err_cap) {
  char here[TORC_WALL_TEXT];
  char there[TORC_WALL_TEXT];
  if (a->answer.date == 0 || !clocks_differ(a->answer.date, now)) {
    return 0;
  }
  return torc_fail(TORC_ERR_CONFIG, err, err_cap,
                   "by this machine's clock it is %s, by that of %s %s: set the clock of this "
                   "machine, since certificates and values are dated by it",
                   torc_wall_text(now, here), a->by->host, torc_wall_text(a->answer.date, there));
}
