/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/discover.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "authority/ca.h"
#include "base/slice.h"
#include "io/err.h"

#define SERVICE_DNS "_p2p_enroll._tcp"   /* [ENR-05] */
#define SERVICE_MDNS "_p2p_menroll._tcp" /* [ENR-06] */
#define LOCAL ".local"
#define OWNER_MAX (TORC_DNS_NAME_MAX + 32)

typedef struct search {
  const torc_discover_config *cfg;
  torc_dns *dns; /* opened when something is asked */
  torc_discovery *out;
  bool is_local, is_no_name;
  char *err;
  size_t err_cap;
} search;

const char *torc_dnssec_text(torc_dnssec state) {
  switch (state) {
    case TORC_DNSSEC_UNCHECKED:
      return "not checked";
    case TORC_DNSSEC_INSECURE:
      return "insecure: the zone is not signed";
    case TORC_DNSSEC_SECURE:
      return "secure";
  }
  return "?";
}

const char *torc_server_text(const torc_server *s, char out[TORC_SERVER_TEXT]) {
  char at[TORC_SOCK_TEXT];
  torc_sock_text(&s->at, at);
  (void)snprintf(out, TORC_SERVER_TEXT, "%.255s (%.63s)", s->host, at);
  return out;
}

bool torc_discover_is_local(const char *name) {
  size_t len = strlen(name);
  if (len > 0 && name[len - 1] == '.') {
    len--;
  }
  return len > strlen(LOCAL) && strncasecmp(name + len - strlen(LOCAL), LOCAL, strlen(LOCAL)) == 0;
}

/* ---- lookups ---- */

static int ask(search *s, const char *name, torc_lookup_type type, torc_lookup *out) {
  if (torc_discover_is_local(name)) {
    return torc_mdns_ask(name, type, out, s->err, s->err_cap);
  }
  int rc = s->dns != NULL ? 0 : torc_dns_open(&s->dns, &s->cfg->dns, s->err, s->err_cap);
  rc = rc != 0 ? rc : torc_dns_ask(s->dns, name, type, out, s->err, s->err_cap);
  if (rc == 0 && out->dnssec < s->out->dnssec) {
    s->out->dnssec = out->dnssec; /* a chain is as good as its worst link */
  }
  return rc;
}

static void add_server(search *s, const char *host, const torc_sock *at, uint16_t port) {
  if (s->out->num == TORC_SERVERS_MAX) {
    return;
  }
  torc_server *server = &s->out->servers[s->out->num];
  (void)snprintf(server->host, sizeof server->host, "%.255s", host);
  server->at = *at;
  torc_sock_set_port(&server->at, port);
  s->out->num++;
}

/* All addresses of `host`. A host without any is no failure: another may have one. */
static int add_host(search *s, const char *host, uint16_t port) {
  static const torc_lookup_type types[] = {TORC_LOOKUP_AAAA, TORC_LOOKUP_A};
  static const torc_lookup_type local_types[] = {TORC_LOOKUP_A, TORC_LOOKUP_AAAA};
  bool is_local = torc_discover_is_local(host);
  torc_sock literal;
  torc_lookup found;
  size_t before = s->out->num;
  int failed = 0;
  if (torc_sock_literal(host, port, &literal) == 0) {
    add_server(s, host, &literal, port);
    return 0;
  }
  for (size_t i = 0; i < TORC_ARRAY_LEN(types); i++) {
    if (is_local && s->out->num > before) {
      break; /* on a link one address is as good as two, and the wait for a second one is long */
    }
    int rc = ask(s, host, is_local ? local_types[i] : types[i], &found);
    failed = rc != 0 ? rc : failed;
    for (size_t k = 0; rc == 0 && k < found.num; k++) {
      add_server(s, host, &found.records[k].address, port);
    }
    s->is_no_name = rc == 0 && found.is_no_name;
  }
  return s->out->num > before ? 0 : failed;
}

/* ---- SRV ---- */

static uint32_t random_up_to(void *ctx, uint32_t limit) {
  uint32_t v = 0;
  (void)ctx;
  if (RAND_bytes((uint8_t *)&v, (int)sizeof v) != 1) {
    return 0; /* the order is a matter of load, not of safety */
  }
  return (uint32_t)((uint64_t)v * ((uint64_t)limit + 1) >> 32);
}

static int add_targets(search *s, torc_srv *list, size_t num) {
  int failed = 0;
  torc_srv_order(list, num, random_up_to, NULL);
  for (size_t i = 0; i < num; i++) {
    if (list[i].target[0] != '\0' && list[i].port != 0) {
      int rc = add_host(s, list[i].target, list[i].port);
      failed = rc != 0 ? rc : failed;
    }
  }
  if (s->out->num > 0) {
    return 0;
  }
  if (num == 1 && list[0].target[0] == '\0') {
    return torc_fail(TORC_ERR_NOTFOUND, s->err, s->err_cap,
                     "the overlay's SRV record says that there is no enrolment service");
  }
  return failed != 0 ? failed
                     : torc_fail(TORC_ERR_NOTFOUND, s->err, s->err_cap,
                                 "the SRV record names %.200s, which has no address: tell the "
                                 "operator of the overlay",
                                 list[0].target);
}

/* Several instances of the service, as DNS-SD names them: the name of a user who enrols others, for
 * example. */
static int ask_instances(search *s, const char *owner, torc_srv *list, size_t *num) {
  torc_lookup names;
  torc_lookup found;
  int rc = ask(s, owner, TORC_LOOKUP_PTR, &names);
  for (size_t i = 0; rc == 0 && i < names.num; i++) {
    rc = ask(s, names.records[i].name, TORC_LOOKUP_SRV, &found);
    for (size_t k = 0; rc == 0 && k < found.num && *num < TORC_LOOKUP_RECORDS_MAX; k++) {
      list[*num] = found.records[k].srv;
      (*num)++;
    }
  }
  return rc;
}

static int search_srv(search *s, const char *overlay) {
  char owner[OWNER_MAX];
  torc_srv list[TORC_LOOKUP_RECORDS_MAX];
  torc_lookup found;
  size_t num = 0;
  (void)snprintf(owner, sizeof owner, "%s.%.255s", s->is_local ? SERVICE_MDNS : SERVICE_DNS,
                 overlay);
  int rc = ask(s, owner, TORC_LOOKUP_SRV, &found);
  for (size_t i = 0; rc == 0 && i < found.num; i++) {
    list[num] = found.records[i].srv;
    num++;
  }
  if (rc == 0 && num == 0 && s->is_local) {
    rc = ask_instances(s, owner, list, &num);
  }
  if (rc != 0 || num == 0) {
    return rc;
  }
  s->out->has_srv = true;
  return add_targets(s, list, num);
}

/* ---- the whole ---- */

static int not_found(const search *s, const char *overlay) {
  if (s->is_local) {
    return torc_fail(TORC_ERR_NOTFOUND, s->err, s->err_cap,
                     "nobody on this network answers for %.200s (" SERVICE_MDNS
                     ".%.200s by multicast DNS): is the enrolment server running, and on the same "
                     "network?",
                     overlay, overlay);
  }
  if (s->is_no_name) {
    return torc_fail(TORC_ERR_NOTFOUND, s->err, s->err_cap,
                     "there is no such name as %.200s in the DNS: check the spelling of the "
                     "overlay's name",
                     overlay);
  }
  return torc_fail(TORC_ERR_NOTFOUND, s->err, s->err_cap,
                   "the DNS has neither an SRV record " SERVICE_DNS
                   ".%.200s nor an address of %.200s: ask the operator for the name of the "
                   "overlay, or use --server HOST:PORT",
                   overlay, overlay);
}

static int split_server(const char *text, char host[TORC_DNS_NAME_MAX], uint16_t *port) {
  const char *colon = strrchr(text, ':');
  size_t len = colon == NULL ? 0 : (size_t)(colon - text);
  char *end = NULL;
  unsigned long n = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
  if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
    text++;
    len -= 2;
  }
  if (len == 0 || len >= TORC_DNS_NAME_MAX || n == 0 || n > UINT16_MAX || *end != '\0') {
    return TORC_ERR_FORMAT;
  }
  memcpy(host, text, len);
  host[len] = '\0';
  *port = (uint16_t)n;
  return torc_host_valid(host) ? 0 : TORC_ERR_FORMAT;
}

static int run(search *s, const char *overlay) {
  torc_sock literal;
  char host[TORC_DNS_NAME_MAX];
  uint16_t port = TORC_HTTPS_PORT;
  if (s->cfg->server != NULL) {
    if (split_server(s->cfg->server, host, &port) != 0) {
      return torc_fail(TORC_ERR_INVALID, s->err, s->err_cap,
                       "--server '%.200s': expected HOST:PORT", s->cfg->server);
    }
  } else if (torc_sock_literal(overlay, port, &literal) == 0) { /* [ENR-04] */
    add_server(s, overlay, &literal, port);
    return 0;
  } else {
    int rc = search_srv(s, overlay);
    if (rc != 0 || s->out->num > 0) {
      return rc;
    }
    (void)snprintf(host, sizeof host, "%.255s", overlay); /* [GAP-125] */
  }
  int rc = add_host(s, host, port);
  return rc != 0 || s->out->num > 0 ? rc : not_found(s, host);
}

int torc_discover(torc_discovery *out, const char *overlay, const torc_discover_config *cfg,
                  char *err, size_t err_cap) {
  torc_sock literal;
  search s = {.cfg = cfg, .out = out, .err = err, .err_cap = err_cap};
  *out = (torc_discovery){.dnssec = cfg->dns.trust_anchor == NULL ? TORC_DNSSEC_UNCHECKED
                                                                  : TORC_DNSSEC_SECURE};
  if (!torc_ca_overlay_name_ok(overlay) && torc_sock_literal(overlay, 1, &literal) != 0) {
    return torc_fail(TORC_ERR_INVALID, err, err_cap,
                     "'%.200s' is no name of an overlay; one looks like ring.example.org", overlay);
  }
  s.is_local = torc_discover_is_local(overlay);
  int rc = run(&s, overlay);
  torc_dns_close(s.dns);
  return rc;
}

int torc_discover_host(torc_discovery *out, const char *host, uint16_t port,
                       const torc_discover_config *cfg, char *err, size_t err_cap) {
  search s = {.cfg = cfg, .out = out, .err = err, .err_cap = err_cap};
  *out = (torc_discovery){.dnssec = cfg->dns.trust_anchor == NULL ? TORC_DNSSEC_UNCHECKED
                                                                  : TORC_DNSSEC_SECURE};
  s.is_local = torc_discover_is_local(host);
  int rc = add_host(&s, host, port);
  if (rc == 0 && out->num == 0) {
    rc = torc_fail(TORC_ERR_NOTFOUND, err, err_cap,
                   "the credential server %.200s has no address: tell the operator of the overlay",
                   host);
  }
  torc_dns_close(s.dns);
  return rc;
}
