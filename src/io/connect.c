/* CONNECT with TCP host candidates, dialled without connectivity checks.
 * SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/net_impl.h"
#include "wire/contents.h"
#include "wire/pdu.h"

#define ACTIVE_PORT 9 /* port of a candidate that only dials (RFC 6544) */
#define TYPE_PREFERENCE_HOST 126u
#define DIRECTION_ACTIVE 6u /* RFC 6544 direction preferences of host candidates */
#define DIRECTION_PASSIVE 4u
#define COMPONENT 1u /* [GAP-78] */
#define UFRAG_CHARS 8
#define PASSWORD_CHARS 24

/* ---- fingerprints ---- */

static const struct {
  const char *name;
  int nid;
  size_t len;
} hashes[] = {/* [GAP-72] */
              {"sha-256", NID_sha256, 32},
              {"sha-1", NID_sha1, 20},
              {"sha-384", NID_sha384, 48},
              {"sha-512", NID_sha512, 64}};

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* [CON-08] "sha-256 AA:BB:..", the hash's name and the digits in either case. */
static int fingerprint_parse(const torc_net *net, const char *text, torc_fingerprint *out) {
  const char *space = strchr(text, ' ');
  memset(out, 0, sizeof *out);
  if (torc_pki_shared_key(net->pki) != NULL) { /* [GAP-72] empty */
    return text[0] == '\0' ? 0 : TORC_ERR_FORMAT;
  }
  if (space == NULL) {
    return TORC_ERR_FORMAT;
  }
  size_t name_len = (size_t)(space - text);
  const char *c = space + 1;
  for (size_t h = 0; h < TORC_ARRAY_LEN(hashes); h++) {
    if (strlen(hashes[h].name) == name_len && strncasecmp(text, hashes[h].name, name_len) == 0) {
      out->nid = hashes[h].nid;
      out->len = hashes[h].len;
    }
  }
  if (out->nid == 0 || strlen(c) != out->len * 3 - 1) {
    return TORC_ERR_FORMAT;
  }
  for (size_t i = 0; i < out->len; i++) {
    int hi = hex_digit(c[3 * i]);
    int lo = hex_digit(c[3 * i + 1]);
    if (hi < 0 || lo < 0 || (i + 1 < out->len && c[3 * i + 2] != ':')) {
      return TORC_ERR_FORMAT;
    }
    out->digest[i] = (uint8_t)(hi * 16 + lo);
  }
  return 0;
}

bool torc_fingerprint_matches(const torc_fingerprint *f, const torc_cert *cert) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (f->nid == 0) { /* none was given: not from a CONNECT */
    return true;
  }
  if (f->nid == NID_sha256) {
    return torc_ct_equal(f->digest, cert->digest, TORC_DIGEST_LEN);
  }
  return EVP_Digest(cert->der.p, cert->der.len, digest, &len, EVP_get_digestbynid(f->nid), NULL) ==
             1 &&
         len == f->len && torc_ct_equal(f->digest, digest, len);
}

/* ---- own parameters ---- */

/* [CON-06] ICE characters; no connectivity check uses them. */
static int random_text(torc_net *net, char *out, size_t len) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint8_t bytes[64];
  const torc_crypto *crypto = torc_pki_crypto(net->pki);
  int rc = crypto->random(crypto->ctx, bytes, len);
  for (size_t i = 0; rc == 0 && i < len; i++) {
    out[i] = alphabet[bytes[i] & 63];
  }
  out[rc == 0 ? len : 0] = '\0';
  return rc;
}

static size_t own_addresses(const torc_net *net, torc_sock *out, size_t max) {
  size_t num = 0;
  for (size_t i = 0; i < net->num_advertised && num < max; i++) {
    out[num] = net->advertised[i];
    num++;
  }
  for (size_t i = 0; net->num_advertised == 0 && i < net->num_listeners && num < max; i++) {
    const torc_sock *a = &net->listeners[i]->addr;
    if (torc_sock_is_wildcard(a)) {
      num += torc_sock_interfaces(a->sa.sa_family, torc_sock_port(a), out + num, max - num);
    } else if (torc_sock_is_usable(a)) {
      out[num] = *a;
      num++;
    }
  }
  return num;
}

static int add_candidate(torc_net_params *out, const torc_sock *a, bool is_active) {
  size_t i = out->p.num_candidates;
  char host[TORC_SOCK_TEXT];
  torc_sock_host(a, host);
  torc_candidate c = {.component = COMPONENT,
                      .transport = TORC_CAND_TCP,
                      .type = TORC_CAND_HOST,
                      .tcptype = is_active ? TORC_TCPTYPE_ACTIVE : TORC_TCPTYPE_PASSIVE};
  snprintf(c.foundation, sizeof c.foundation, "%zu", i + 1);
  /* RFC 6544: direction and other preference share the local preference. */
  uint32_t direction = is_active ? DIRECTION_ACTIVE : DIRECTION_PASSIVE;
  uint32_t local = (direction << 13) + (8191u - (uint32_t)i);
  c.priority = (TYPE_PREFERENCE_HOST << 24) + (local << 8) + (256u - COMPONENT);
  c.host = torc_slice_str(host);
  if (torc_addr_parse(c.host, &c.addr) != 0) {
    return TORC_ERR_FORMAT;
  }
  c.addr.port = torc_sock_port(a);
  torc_wr wr;
  torc_wr_init(&wr, out->text[i], sizeof out->text[i] - 1);
  int rc = torc_candidate_format(&wr, &c);
  if (rc == 0) {
    out->text[i][wr.len] = '\0';
    out->p.candidates[i] = out->text[i];
    out->p.num_candidates = i + 1;
  }
  return rc;
}

/* Told once, until there are addresses again: every CONNECT fails meanwhile. */
static int no_own_address(torc_net *net) {
  net->stats.no_own_address++;
  if (!net->has_no_address) {
    net->has_no_address = true;
    TORC_LOG(net->log, TORC_LOG_ERROR, "io:no_own_address",
             TORC_F_STR("fix", net->num_listeners > 0
                                   ? "no address to offer in CONNECT: listen on an address of this "
                                     "machine instead of a wildcard, or advertise one; in a "
                                     "sandbox allow AF_NETLINK, so that interfaces can be listed"
                                   : "no address to offer in CONNECT: no interface is up, or a "
                                     "sandbox does not allow AF_NETLINK to list them"));
  }
  return TORC_ERR_CONFIG;
}

/* [CON-10] at least one candidate, also where this side only dials. */
static int fill_candidates(torc_net *net, torc_net_params *out) {
  torc_sock own[TORC_NET_ADVERTISE_MAX];
  size_t num = own_addresses(net, own, TORC_ARRAY_LEN(own));
  bool is_active = net->num_listeners == 0 || num == 0;
  int rc = 0;
  if (is_active) {
    num = torc_sock_interfaces(AF_INET, ACTIVE_PORT, own, 1);
    if (num == 0) {
      num = torc_sock_interfaces(AF_INET6, ACTIVE_PORT, own, 1);
    }
  }
  if (num == 0) {
    return no_own_address(net);
  }
  net->has_no_address = false;
  for (size_t i = 0; rc == 0 && i < num; i++) {
    rc = add_candidate(out, &own[i], is_active);
  }
  return rc;
}

static int fill(torc_net *net, const char *role, torc_net_params *out) {
  const uint8_t *digest = torc_pki_own_cert(net->pki)->digest;
  memset(out, 0, sizeof *out);
  int rc = random_text(net, out->p.ufrag, UFRAG_CHARS);
  if (rc == 0) {
    rc = random_text(net, out->p.password, PASSWORD_CHARS);
  }
  if (rc != 0) {
    return rc;
  }
  out->p.application = TORC_APPLICATION_RELOAD;
  snprintf(out->p.role, sizeof out->p.role, "%s", role);
  if (torc_pki_shared_key(net->pki) != NULL) { /* [GAP-72] there is no certificate */
    return fill_candidates(net, out);
  }
  /* [CON-08] [GAP-72] the certificate of the TLS link, which also signs the CONNECT. */
  size_t len = (size_t)snprintf(out->p.fingerprint, sizeof out->p.fingerprint, "sha-256 ");
  for (size_t i = 0; i < TORC_DIGEST_LEN; i++) {
    len += (size_t)snprintf(out->p.fingerprint + len, sizeof out->p.fingerprint - len, "%s%02X",
                            i == 0 ? "" : ":", digest[i]);
  }
  return fill_candidates(net, out);
}

/* [CON-11] */
int torc_net_offer(torc_net *net, torc_net_params *out) {
  /* [CON-09] [GAP-73] the requester is passive; who cannot be dialled offers to dial. */
  return fill(net, net->num_listeners > 0 ? "passive" : "active", out);
}

/* ---- the other side's ---- */

/* Our own loopback is open only to those who live there: an offer must not make us dial a local
 * service. */
static bool may_dial_loopback(const torc_net *net) {
  for (size_t i = 0; i < net->num_listeners; i++) {
    if (torc_sock_is_loopback(&net->listeners[i]->addr)) {
      return true;
    }
  }
  for (const torc_list *node = net->conns.next; node != &net->conns; node = node->next) {
    const torc_conn *c = TORC_CONTAINER_OF((torc_list *)(uintptr_t)node, torc_conn, all);
    if (c->state == TORC_CONN_UP && torc_sock_is_loopback(&c->link.remote)) {
      return true;
    }
  }
  return false;
}

static void to_sock(const torc_addr *a, torc_sock *out) {
  char text[TORC_ADDR_TEXT_MAX];
  memset(out, 0, sizeof *out);
  if (a->family != 0 && torc_sock_literal(torc_addr_format(a, text), a->port, out) == 0) {
    torc_sock_normalise(out);
  }
}

/* Passive TCP host candidates, best first, at most TORC_NET_DIAL_ADDRS_MAX. *has_active: one that
 * only dials is there. */
static size_t read_candidates(torc_net *net, const torc_connect_params *remote, torc_sock *out,
                              bool *has_active) {
  uint32_t priorities[TORC_NET_DIAL_ADDRS_MAX];
  size_t num = 0;
  bool loopback = may_dial_loopback(net);
  *has_active = false;
  for (size_t i = 0; i < remote->num_candidates; i++) {
    torc_candidate c;
    torc_sock a;
    bool is_tcp = torc_candidate_parse(torc_slice_str(remote->candidates[i]), &c) == 0 &&
                  c.transport == TORC_CAND_TCP && c.component == COMPONENT;
    if (is_tcp && c.tcptype == TORC_TCPTYPE_ACTIVE) {
      *has_active = true;
      continue;
    }
    if (is_tcp) {
      to_sock(&c.addr, &a);
    }
    if (!is_tcp || c.type != TORC_CAND_HOST || a.sa.sa_family == 0 || !torc_sock_is_usable(&a) ||
        (torc_sock_is_loopback(&a) && !loopback)) {
      net->stats.candidates_skipped++;
      continue;
    }
    size_t at = num;
    while (at > 0 && priorities[at - 1] < c.priority) {
      at--;
    }
    if (num == TORC_NET_DIAL_ADDRS_MAX) { /* this one or the worst so far */
      net->stats.candidates_skipped++;
    }
    if (at == TORC_NET_DIAL_ADDRS_MAX) {
      continue;
    }
    size_t last = num < TORC_NET_DIAL_ADDRS_MAX ? num : TORC_NET_DIAL_ADDRS_MAX - 1;
    memmove(out + at + 1, out + at, (last - at) * sizeof *out);
    memmove(priorities + at + 1, priorities + at, (last - at) * sizeof *priorities);
    out[at] = a;
    priorities[at] = c.priority;
    num = last + 1;
  }
  return num;
}

/* ---- CONNECTs under way ---- */

static void on_pending_limit(torc_timer *t, torc_time now) {
  torc_pending *p = TORC_CONTAINER_OF(t, torc_pending, timer);
  torc_net *net = p->net;
  (void)now;
  if (p->is_awaiting) {
    net->stats.await_timeouts++;
    torc_net_tell_failure(net, p->token, TORC_ERR_TIMEOUT);
  }
  torc_pending_free(p);
}

static torc_pending *pending_new(torc_net *net, torc_token token) {
  if (net->num_pending >= net->limits.pending_max) {
    net->stats.pending_refused++;
    return NULL;
  }
  torc_pending *p = calloc(1, sizeof *p);
  if (p == NULL) {
    net->stats.no_memory++;
    return NULL;
  }
  p->net = net;
  p->token = token;
  torc_timer_init(&p->timer, on_pending_limit);
  torc_list_push_back(&net->pending, &p->all);
  net->num_pending++;
  torc_net_arm(net, &p->timer, torc_time_add(torc_net_now(), net->limits.dial));
  return p;
}

void torc_pending_free(torc_pending *p) {
  torc_net *net = p->net;
  torc_timer_stop(&net->timers, &p->timer);
  torc_list_remove(&p->all);
  net->num_pending--;
  free(p);
}

torc_pending *torc_pending_of(torc_net *net, const torc_conn *c) {
  for (torc_list *node = net->pending.next; node != &net->pending; node = node->next) {
    torc_pending *p = TORC_CONTAINER_OF(node, torc_pending, all);
    if (p->is_awaiting && torc_conn_has_peer(c, &p->peer)) {
      return p;
    }
  }
  return NULL;
}

/* [CON-09] [GAP-73] which part this side plays against the other's role; NULL: none fits. */
static const char *role_against(const torc_net *net, const char *remote) {
  if (strcmp(remote, "passive") == 0 || strcmp(remote, "actpass") == 0) {
    return "active";
  }
  if (strcmp(remote, "active") == 0 && net->num_listeners > 0) {
    return "passive";
  }
  return NULL;
}

uint16_t torc_net_answer(torc_net *net, torc_token token, const torc_connect_params *remote,
                         torc_net_params *out) {
  torc_fingerprint fingerprint;
  torc_sock addrs[TORC_NET_DIAL_ADDRS_MAX];
  bool has_active = false;
  const char *role = role_against(net, remote->role);
  size_t num = read_candidates(net, remote, addrs, &has_active);
  bool is_active = role != NULL && strcmp(role, "active") == 0;
  /* [GAP-71] no candidate left, [GAP-72] no fingerprint, [GAP-73] holdconn and others: 400. */
  if (role == NULL || fingerprint_parse(net, remote->fingerprint, &fingerprint) != 0 ||
      (is_active && num == 0) || (!is_active && num == 0 && !has_active)) {
    net->stats.connects_refused++;
    return TORC_CODE_BAD_REQUEST;
  }
  /* [GAP-75] everything is at hand: answered at once [CON-12]; [GAP-76] 503 at the limit. */
  torc_pending *p = fill(net, role, out) == 0 ? pending_new(net, token) : NULL;
  if (p == NULL) {
    return TORC_CODE_UNAVAILABLE;
  }
  p->is_active = is_active;
  p->fingerprint = fingerprint;
  p->num_addrs = num;
  memcpy(p->addrs, addrs, num * sizeof *addrs);
  return 0;
}

/* Goes on with `p`: dials, or waits for the other side's connection. */
static void proceed(torc_net *net, torc_pending *p, const torc_id *peer) {
  p->peer = *peer;
  if (!p->is_active) {
    p->is_awaiting = true;
    torc_net_arm(net, &p->timer, torc_time_add(torc_net_now(), net->limits.dial));
    return;
  }
  torc_dial_start(net, p->token, &p->peer, &p->fingerprint, p->addrs, p->num_addrs);
  torc_pending_free(p);
}

/* [CON-13] */
void torc_net_accept(torc_net *net, torc_token token, const torc_id *peer) {
  for (torc_list *node = net->pending.next; node != &net->pending; node = node->next) {
    torc_pending *p = TORC_CONTAINER_OF(node, torc_pending, all);
    if (p->token == token && !p->is_awaiting) {
      proceed(net, p, peer);
      return;
    }
  }
  torc_net_tell_failure(net, token, TORC_ERR_NOTFOUND);
}

/* [CON-14] */
void torc_net_connect(torc_net *net, torc_token token, const torc_id *peer,
                      const torc_connect_params *remote) {
  torc_fingerprint fingerprint;
  bool has_active = false;
  const char *role = role_against(net, remote->role);
  if (role == NULL || fingerprint_parse(net, remote->fingerprint, &fingerprint) != 0) {
    net->stats.connects_refused++;
    torc_net_tell_failure(net, token, TORC_ERR_FORMAT);
    return;
  }
  torc_pending *p = pending_new(net, token);
  if (p == NULL) {
    torc_net_tell_failure(net, token, TORC_ERR_LIMIT);
    return;
  }
  p->is_active = strcmp(role, "active") == 0;
  p->fingerprint = fingerprint;
  p->num_addrs = read_candidates(net, remote, p->addrs, &has_active);
  proceed(net, p, peer);
}
