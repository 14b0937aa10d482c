/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "authority/document.h"
#include "io/addr.h"
#include "overlay/usage/usage.h"

#define TYPE_FIELDS_MAX 8

enum {
  OPT_OVERLAY = 256,
  OPT_ALGORITHM,
  OPT_SIGNATURE,
  OPT_BOOTSTRAP,
  OPT_TYPE,
  OPT_UPDATE,
  OPT_PING,
  OPT_EXPIRATION,
  OPT_USER,
  OPT_ACCOUNT,
  OPT_OUT,
  OPT_DAYS,
  OPT_CSR,
  OPT_FORCE,
  OPT_JSON,
  OPT_NO_PASSWORD,
  OPT_GENERATE,
  OPT_CHECK,
  OPT_SOURCE,
  OPT_CREDENTIALS
};

static bool complain(const char *what, const char *value, const char *advice) {
  (void)fprintf(stderr, "torc-authority: %s '%s': %s\n", what, value, advice);
  return false;
}

static bool read_number(const char *text, uint64_t min, uint64_t max, uint64_t *out) {
  char *end = NULL;
  if (text[0] < '0' || text[0] > '9') {
    return false;
  }
  unsigned long long v = strtoull(text, &end, 0);
  if (*end != '\0' || v < min || v > max) {
    return false;
  }
  *out = v;
  return true;
}

/* [ENR-23] "host:port", "[v6]:port"; a multicast group is no peer and has its own list. */
static bool add_bootstrap(torc_overlay *o, const char *text) {
  static const char advice[] =
      "expected HOST:PORT, for example 192.0.2.2:6084 or [2001:db8::2]:6084";
  uint64_t port = 0;
  const char *colon = strrchr(text, ':');
  const char *host = text;
  torc_endpoint e = {.port = 0};
  if (colon == NULL || !read_number(colon + 1, 1, 65535, &port)) {
    return complain("--bootstrap", text, advice);
  }
  size_t len = (size_t)(colon - text);
  if (text[0] == '[' && len > 2 && text[len - 1] == ']') {
    host = text + 1;
    len -= 2;
  } else if (memchr(text, ':', len) != NULL) {
    return complain("--bootstrap", text, advice);
  }
  if (len == 0 || len >= sizeof e.host) {
    return complain("--bootstrap", text, advice);
  }
  memcpy(e.host, host, len);
  e.port = (uint16_t)port;
  if (torc_host_is_multicast(e.host)) {
    if (o->num_multicast == TORC_OVERLAY_MULTICAST_MAX) {
      return complain("--bootstrap", text, "too many multicast groups (at most 4)");
    }
    o->multicast[o->num_multicast++] = e;
    return true;
  }
  if (o->num_bootstrap == TORC_OVERLAY_BOOTSTRAP_MAX) {
    return complain("--bootstrap", text, "too many bootstrap peers");
  }
  o->bootstrap[o->num_bootstrap++] = e;
  return true;
}

/* Fills a type from its fields; names the first that is wrong. */
static const char *fill_type(torc_type_def *t, char *const fields[], size_t num) {
  uint64_t v = 0;
  if (num < 6) {
    return "expected ID,NAME,MODEL,ACCESS,MAXCOUNT,MAXSIZE[,MAXLIFETIME[,find]]";
  }
  if (!read_number(fields[0], 0xf00000, 0xfffffe, &v)) {
    return "the id is not in 0xF00000..0xFFFFFE"; /* [GAP-143] */
  }
  t->id = (uint32_t)v;
  if (fields[1][0] == '\0' || strlen(fields[1]) >= sizeof t->name) {
    return "the name has 1 to 63 bytes";
  }
  (void)snprintf(t->name, sizeof t->name, "%s", fields[1]);
  t->model = torc_document_model(fields[2]);
  t->rule = torc_document_rule(fields[3]);
  if (t->model == 0) {
    return "the model is single, array or dictionary";
  }
  if (t->rule == 0) {
    return "the access rule is user-match, node-match, user-node-match, node-multiple or own-key";
  }
  if (t->rule == TORC_RULE_USER_NODE_MATCH && t->model != TORC_TYPE_DICTIONARY) {
    return "user-node-match needs the model dictionary";
  }
  if (t->rule == TORC_RULE_OWN_KEY && t->model != TORC_TYPE_DICTIONARY) {
    return "own-key needs the model dictionary";
  }
  if (!read_number(fields[4], 1, 65535, &v)) {
    return "MAXCOUNT is 1 to 65535";
  }
  t->max_values = (uint32_t)v;
  if (!read_number(fields[5], 1, 65000, &v)) {
    return "MAXSIZE is 1 to 65000 bytes";
  }
  t->max_size = (uint32_t)v;
  if (num > 6) {
    if (!read_number(fields[6], 1, UINT32_MAX, &v)) {
      return "MAXLIFETIME is a number of seconds";
    }
    t->max_lifetime_s = (uint32_t)v;
  }
  if (num > 7 && strcmp(fields[7], "find") != 0) {
    return "the last field can only be 'find'";
  }
  t->findable = num > 7;
  return NULL;
}

/* What a peer would refuse `t` for, the types before it being there. */
static const char *fault_among(const torc_overlay *o, const torc_type_def *t) {
  torc_types types;
  torc_type room[TORC_TYPES_MAX];
  torc_type type;
  torc_types_init(&types, room, TORC_TYPES_MAX);
  for (size_t i = 0; i <= o->num_types; i++) {
    const torc_type_def *d = i < o->num_types ? &o->types[i] : t;
    type = torc_type_of(d, d->name);
    type.max_lifetime_s = d->max_lifetime_s == 0 ? 1 : d->max_lifetime_s; /* 0: the default */
    const char *fault = torc_types_fault(&types, &type);
    if (fault != NULL || torc_types_add(&types, &type) != 0) {
      return fault;
    }
  }
  return NULL;
}

static bool add_type(torc_overlay *o, const char *text) {
  char copy[256];
  char *fields[TYPE_FIELDS_MAX] = {NULL};
  size_t num = 0;
  char *rest = copy;
  if (o->num_types == TORC_OVERLAY_TYPES_MAX || strlen(text) >= sizeof copy) {
    return complain("--type", text, "too many types, or too long");
  }
  (void)snprintf(copy, sizeof copy, "%s", text);
  for (char *field = strsep(&rest, ","); field != NULL; field = strsep(&rest, ",")) {
    if (num == TYPE_FIELDS_MAX) {
      return complain("--type", text, "too many fields");
    }
    fields[num++] = field;
  }
  torc_type_def *t = &o->types[o->num_types];
  const char *fault = fill_type(t, fields, num);
  if (fault == NULL) {
    fault = fault_among(o, t);
  }
  if (fault != NULL) {
    return complain("--type", text, fault);
  }
  o->num_types++;
  return true;
}

static bool read_period(const char *name, const char *text, torc_time *out) {
  uint64_t v = 0;
  if (!read_number(text, 10, 86400, &v)) { /* [GAP-120] */
    return complain(name, text, "expected 10 to 86400 seconds");
  }
  *out = TORC_SEC(v);
  return true;
}

static bool read_signature(const char *text, torc_ca_signature *out) {
  if (strcmp(text, "ecdsa") == 0) {
    *out = TORC_CA_ECDSA;
    return true;
  }
  if (strcmp(text, "rsa") == 0) {
    *out = TORC_CA_RSA;
    return true;
  }
  return complain("--signature", text, "expected ecdsa or rsa");
}

static bool read_days(const char *text, uint32_t *out) {
  uint64_t v = 0;
  if (!read_number(text, 1, TORC_AUTHORITY_DAYS_MAX, &v)) {
    return complain("--days", text, "expected 1 to 3650");
  }
  *out = (uint32_t)v;
  return true;
}

static bool read_expiration(const char *text, uint32_t *out) {
  uint64_t v = 0;
  if (!read_number(text, 60, UINT32_MAX, &v)) {
    return complain("--expiration", text, "expected a number of seconds, at least 60");
  }
  *out = (uint32_t)v;
  return true;
}

static bool add_user(options *o, const char *text) {
  if (o->num_users == TORC_ACCOUNT_NAMES) {
    return complain("--user", text, "an account has at most 32 user names");
  }
  o->users[o->num_users++] = text;
  return true;
}

static bool read_url(const char *name, const char *text, char out[TORC_OVERLAY_URL_MAX]) {
  if (strncasecmp(text, "https://", 8) != 0 || strlen(text) >= TORC_OVERLAY_URL_MAX) {
    return complain(name, text, "expected a URL of https with at most 511 bytes");
  }
  (void)snprintf(out, TORC_OVERLAY_URL_MAX, "%s", text);
  return true;
}

static bool add_credentials(torc_overlay *o, const char *text) {
  if (o->num_credentials == TORC_OVERLAY_CREDENTIALS_MAX) {
    return complain("--credential-server", text, "there are 4 already");
  }
  if (!read_url("--credential-server", text, o->credentials[o->num_credentials])) {
    return false;
  }
  o->num_credentials++;
  return true;
}

static bool read_option(options *o, int option, const char *value) {
  switch (option) {
    case OPT_SOURCE:
      return read_url("--source", value, o->config.source);
    case OPT_CREDENTIALS:
      return add_credentials(&o->config, value);
    case OPT_OVERLAY:
      o->overlay = value;
      return true;
    case OPT_ALGORITHM:
      o->algorithm = value;
      return true;
    case OPT_SIGNATURE:
      return read_signature(value, &o->signature);
    case OPT_BOOTSTRAP:
      return add_bootstrap(&o->config, value);
    case OPT_TYPE:
      return add_type(&o->config, value);
    case OPT_UPDATE:
      return read_period("--update-period", value, &o->config.update_period);
    case OPT_PING:
      return read_period("--ping-period", value, &o->config.ping_period);
    case OPT_EXPIRATION:
      return read_expiration(value, &o->config.expiration_s);
    case OPT_USER:
      return add_user(o, value);
    case OPT_ACCOUNT:
      o->account = value;
      return true;
    case OPT_OUT:
      o->out = value;
      return true;
    case OPT_DAYS:
      return read_days(value, &o->days);
    case OPT_CSR:
      o->csr = value;
      return true;
    case OPT_FORCE:
      o->force = true;
      return true;
    case OPT_JSON:
      o->json = true;
      return true;
    case OPT_NO_PASSWORD:
      o->no_password = true;
      return true;
    case OPT_GENERATE:
      o->generate = true;
      return true;
    case OPT_CHECK:
      o->check = true;
      return true;
    default:
      return false; /* getopt has complained */
  }
}

static const struct option known[] = {
    {"overlay", required_argument, NULL, OPT_OVERLAY},
    {"algorithm", required_argument, NULL, OPT_ALGORITHM},
    {"signature", required_argument, NULL, OPT_SIGNATURE},
    {"bootstrap", required_argument, NULL, OPT_BOOTSTRAP},
    {"type", required_argument, NULL, OPT_TYPE},
    {"update-period", required_argument, NULL, OPT_UPDATE},
    {"ping-period", required_argument, NULL, OPT_PING},
    {"expiration", required_argument, NULL, OPT_EXPIRATION},
    {"user", required_argument, NULL, OPT_USER},
    {"account", required_argument, NULL, OPT_ACCOUNT},
    {"out", required_argument, NULL, OPT_OUT},
    {"days", required_argument, NULL, OPT_DAYS},
    {"csr", required_argument, NULL, OPT_CSR},
    {"force", no_argument, NULL, OPT_FORCE},
    {"json", no_argument, NULL, OPT_JSON},
    {"no-password", no_argument, NULL, OPT_NO_PASSWORD},
    {"generate", no_argument, NULL, OPT_GENERATE},
    {"check", no_argument, NULL, OPT_CHECK},
    {"source", required_argument, NULL, OPT_SOURCE},
    {"credential-server", required_argument, NULL, OPT_CREDENTIALS}};
#define KNOWN_NUM (sizeof known / sizeof known[0])

static bool takes(const syntax *s, const char *name) {
  char word[32];
  (void)snprintf(word, sizeof word, " %s ", name);
  return strstr(s->options, word) != NULL;
}

/* Puts the words behind the options. */
static bool read_list(options *o, const struct option *list) {
  int option = 0;
  optind = 0; /* from the start, whatever was read before */
  while ((option = getopt_long(o->argc, o->argv, "", list, NULL)) != -1) {
    if (!read_option(o, option, optarg)) {
      return false;
    }
  }
  return true;
}

bool read_options_again(options *o) {
  struct option list[KNOWN_NUM + 1] = {{NULL, 0, NULL, 0}};
  size_t num = 0;
  o->num_users = 0;
  for (size_t i = 0; i < KNOWN_NUM; i++) {
    if (takes(o->syntax, known[i].name)) {
      list[num] = known[i];
      num++;
    }
  }
  return read_list(o, list);
}

bool read_options(options *o, const syntax *s, int argc, char **argv) {
  o->syntax = s;
  o->argc = argc;
  o->argv = argv;
  o->days = TORC_AUTHORITY_DAYS;
  o->signature = TORC_CA_ECDSA;
  o->algorithm = "chord-128-2-8";
  if (!read_options_again(o)) {
    return false;
  }
  int num_words = argc - optind;
  if (num_words < (int)s->num_words || num_words > (int)(s->num_words + s->num_optional)) {
    (void)fprintf(stderr, "torc-authority %s: expected exactly one %s, got %d\n", s->command,
                  s->words, num_words);
    return false;
  }
  for (int i = 0; i < num_words; i++) {
    o->words[i] = argv[optind + i];
  }
  return true;
}
