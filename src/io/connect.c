/* CONNECT: parameters out and in, ICE between them, then TLS or DTLS on the selected pair.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/id.h"
#include "base/slice.h"
#include "io/net_impl.h"
#include "wire/contents.h"
#include "wire/pdu.h"

#define COMPONENT 1u /* [GAP-78] */

/* ---- CONNECTs under way ---- */

void torc_pending_free(torc_pending *p) {
  torc_net *net = p->net;
  if (p->conn != NULL) {
    p->conn->pending = NULL;
  }
  if (p->dlink != NULL) {
    p->dlink->pending = NULL;
  }
  torc_timer_stop(&net->timers, &p->timer);
  torc_list_remove(&p->all);
  net->num_pending--;
  if (p->ice != 0) {
    torc_ice_close(net->ice, p->ice);
  }
  free(p->remote);
  free(p);
}

void torc_pending_fail(torc_pending *p, int rc) {
  torc_net *net = p->net;
  TORC_LOG(net->log, TORC_LOG_DEBUG, "io:connect_failed", TORC_F_ID("peer", &p->peer),
           TORC_F_U64("token", p->token), TORC_F_ERR("why", rc));
  torc_net_tell_failure(net, p->token, rc);
  torc_conn *c = p->conn;
  torc_dlink *d = p->dlink;
  torc_pending_free(p);
  if (c != NULL) {
    torc_conn_end(c, rc);
  }
  if (d != NULL) {
    torc_dlink_end(d, rc);
  }
}

/* Nobody is told of an offer without an answer: the node's own request has failed by then. */
static void on_pending_limit(torc_timer *t, torc_time now) {
  torc_pending *p = TORC_CONTAINER_OF(t, torc_pending, timer);
  torc_net *net = p->net;
  (void)now;
  if (p->state == TORC_PENDING_OFFERED || p->state == TORC_PENDING_ANSWERED) {
    torc_pending_free(p);
  } else {
    net->stats.await_timeouts++;
    torc_pending_fail(p, TORC_ERR_TIMEOUT);
  }
  torc_net_ice_pump(net);
}

static torc_pending *pending_new(torc_net *net, torc_token token, uint16_t application,
                                 torc_pending_state state) {
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
  p->application = application;
  p->state = state;
  torc_timer_init(&p->timer, on_pending_limit);
  torc_list_push_back(&net->pending, &p->all);
  net->num_pending++;
  torc_net_arm(net, &p->timer, torc_time_add(torc_net_now(), net->limits.answer));
  return p;
}

static torc_pending *find(torc_net *net, torc_token token, torc_pending_state state) {
  for (torc_list *node = net->pending.next; node != &net->pending; node = node->next) {
    torc_pending *p = TORC_CONTAINER_OF(node, torc_pending, all);
    if (p->token == token && p->state == state) {
      return p;
    }
  }
  return NULL;
}

torc_pending *torc_pending_of_ice(torc_net *net, torc_ice_id id) {
  for (torc_list *node = net->pending.next; node != &net->pending; node = node->next) {
    torc_pending *p = TORC_CONTAINER_OF(node, torc_pending, all);
    if (p->ice == id) {
      return p;
    }
  }
  return NULL;
}

/* ---- own parameters ---- */

static int put_candidate(torc_net_params *out, const torc_candidate *c) {
  size_t i = out->p.num_candidates;
  torc_wr wr;
  torc_wr_init(&wr, out->text[i], sizeof out->text[i] - 1);
  int rc = torc_candidate_format(&wr, c);
  if (rc == 0) {
    out->text[i][wr.len] = '\0';
    out->p.candidates[i] = out->text[i];
    out->p.num_candidates = i + 1;
  }
  return rc;
}

/* [CON-10] [ICE-21] what the session has, and nothing about defaults [ICE-20]. */
static int fill(const torc_net *net, const torc_pending *p, torc_net_params *out) {
  torc_candidate own[TORC_ICE_LOCAL_MAX];
  size_t num = torc_ice_candidates(net->ice, p->ice, own);
  int rc = 0;
  memset(out, 0, sizeof *out);
  snprintf(out->p.ufrag, sizeof out->p.ufrag, "%s", torc_ice_ufrag(net->ice, p->ice));
  snprintf(out->p.password, sizeof out->p.password, "%s", torc_ice_password(net->ice, p->ice));
  snprintf(out->p.role, sizeof out->p.role, "%s", p->is_client ? "active" : "passive");
  out->p.application = p->application;
  if (torc_pki_shared_key(net->pki) == NULL) { /* [GAP-72] else there is no certificate */
    /* [CON-08] [ICE-23] the certificate of the link, which also signs the CONNECT. */
    torc_fingerprint_format(torc_pki_own_cert(net->pki)->digest, out->p.fingerprint);
  }
  for (size_t i = 0; rc == 0 && i < num && i < TORC_ARRAY_LEN(out->text); i++) {
    rc = put_candidate(out, &own[i]);
  }
  return rc;
}

/* What an application sends is a stream of bytes: only TCP carries it. */
static size_t only_streams(torc_ice_local *locals, size_t num) {
  size_t kept = 0;
  for (size_t i = 0; i < num; i++) {
    if (locals[i].transport == TORC_CAND_TCP) {
      locals[kept] = locals[i];
      kept++;
    }
  }
  return kept;
}

/* Opens the session; everything is at hand, so nobody waits for gathering [GAP-75]. */
static int open_session(torc_net *net, torc_pending *p, bool is_controlling, torc_net_params *out) {
  torc_ice_local locals[TORC_NET_LOCALS_MAX];
  size_t num = 0;
  int rc = torc_net_locals(net, locals, &num);
  if (p->application != TORC_APPLICATION_RELOAD) {
    num = only_streams(locals, num);
  }
  if (rc == 0) {
    rc = torc_ice_open(net->ice, is_controlling, locals, num, torc_net_now(), &p->ice);
  }
  return rc == 0 ? fill(net, p, out) : rc;
}

int torc_net_offer(torc_net *net, torc_token token, uint16_t application, torc_net_params *out) {
  torc_pending *p = pending_new(net, token, application, TORC_PENDING_OFFERED);
  int rc = p == NULL ? TORC_ERR_LIMIT : 0;
  if (rc == 0) {
    p->is_client = false; /* [CON-09] [GAP-73] the requester is passive */
    p->is_requester = true;
    rc = open_session(net, p, true, out); /* [ICE-26] */
  }
  if (rc != 0 && p != NULL) {
    torc_pending_free(p);
  }
  torc_net_ice_pump(net);
  return rc;
}

/* ---- the other side's ---- */

/* The first place where the other side takes connections. */
static void note_dialable(torc_pending *p, const torc_candidate *c) {
  torc_sock a;
  if (p->dialable.sa.sa_family == 0 && c->transport == TORC_CAND_TCP && c->type == TORC_CAND_HOST &&
      c->tcptype == TORC_TCPTYPE_PASSIVE) {
    torc_addr_to_sock(&c->addr, &a);
    if (a.sa.sa_family != 0 && torc_sock_is_usable(&a)) {
      p->dialable = a;
    }
  }
}

/* Other names are not looked up for a stranger. */
static bool is_mdns_name(torc_slice host) {
  static const char local[] = ".local";
  size_t len = sizeof local - 1;
  return host.len > len && strncasecmp((const char *)host.p + host.len - len, local, len) == 0 &&
         memchr(host.p, '.', host.len - len) == NULL;
}

/* [GAP-71] Those that can be read and tried. */
static void read_candidates(torc_net *net, torc_pending *p, const torc_connect_params *remote) {
  bool loopback = torc_net_may_loopback(net);
  torc_remote *r = p->remote;
  for (size_t i = 0; i < remote->num_candidates; i++) {
    torc_candidate c;
    torc_sock a;
    bool ok = torc_candidate_parse(torc_slice_str(remote->candidates[i]), &c) == 0 &&
              c.component == COMPONENT && c.host.len <= TORC_REMOTE_HOST_MAX;
    if (ok && c.addr.family != 0) {
      torc_addr_to_sock(&c.addr, &a);
      ok = torc_sock_is_usable(&a) && (!torc_sock_is_loopback(&a) || loopback);
    } else if (ok) {
      ok = is_mdns_name(c.host);
    }
    if (!ok || r->num == TORC_ARRAY_LEN(r->candidates)) {
      net->stats.candidates_skipped++;
      continue;
    }
    note_dialable(p, &c);
    memcpy(r->hosts[r->num], c.host.p, c.host.len);
    c.host = torc_slice_of(r->hosts[r->num], c.host.len);
    r->candidates[r->num] = c;
    r->num++;
  }
}

/* [CON-09] [GAP-73] [ICE-24] which part of the handshake this side plays against the other's role.
 * holdconn and others: false. */
static bool role_against(const char *remote, bool *is_client) {
  *is_client = strcmp(remote, "passive") == 0 || strcmp(remote, "actpass") == 0;
  return *is_client || strcmp(remote, "active") == 0;
}

/* TORC_ERR_FORMAT: not usable [GAP-71..73]. */
static int read_remote(torc_net *net, torc_pending *p, const torc_connect_params *remote) {
  bool is_shared = torc_pki_shared_key(net->pki) != NULL;
  if (!role_against(remote->role, &p->is_client)) {
    return TORC_ERR_FORMAT;
  }
  if (is_shared ? remote->fingerprint[0] != '\0'
                : torc_fingerprint_parse(remote->fingerprint, &p->fingerprint) != 0) {
    return TORC_ERR_FORMAT;
  }
  p->remote = calloc(1, sizeof *p->remote);
  if (p->remote == NULL) {
    net->stats.no_memory++;
    return TORC_ERR_NOMEM;
  }
  memcpy(p->remote->ufrag, remote->ufrag, sizeof remote->ufrag);
  memcpy(p->remote->password, remote->password, sizeof remote->password);
  read_candidates(net, p, remote);
  return p->remote->num > 0 ? 0 : TORC_ERR_FORMAT;
}

uint16_t torc_net_answer(torc_net *net, torc_token token, const torc_connect_params *remote,
                         torc_net_params *out) {
  /* [GAP-76] 503 at the limit. */
  torc_pending *p = pending_new(net, token, remote->application, TORC_PENDING_ANSWERED);
  if (p == NULL) {
    return TORC_CODE_UNAVAILABLE;
  }
  int rc = read_remote(net, p, remote);
  if (rc == 0) {
    rc = open_session(net, p, false, out); /* [CON-12] [ICE-26] */
  }
  if (rc != 0) {
    net->stats.connects_refused += rc == TORC_ERR_FORMAT ? 1 : 0;
    torc_pending_free(p);
  }
  torc_net_ice_pump(net);
  if (rc == 0) {
    return 0;
  }
  return rc == TORC_ERR_FORMAT ? TORC_CODE_BAD_REQUEST : TORC_CODE_UNAVAILABLE;
}

/* [CON-13] [CON-14] Checks begin. */
static void begin_checks(torc_net *net, torc_pending *p, const torc_id *peer) {
  torc_remote *r = p->remote;
  p->peer = *peer;
  p->state = TORC_PENDING_CHECKING;
  torc_net_arm(net, &p->timer, torc_time_add(torc_net_now(), net->limits.connect));
  int rc = torc_ice_remote(net->ice, p->ice, torc_slice_str(r->ufrag), torc_slice_str(r->password),
                           r->candidates, r->num, torc_net_now());
  p->remote = NULL;
  free(r);
  if (rc != 0) {
    torc_pending_fail(p, rc);
  }
  torc_net_ice_pump(net);
}

void torc_net_accept(torc_net *net, torc_token token, const torc_id *peer) {
  torc_pending *p = find(net, token, TORC_PENDING_ANSWERED);
  if (p == NULL) {
    torc_net_tell_failure(net, token, TORC_ERR_NOTFOUND);
    return;
  }
  begin_checks(net, p, peer);
}

void torc_net_connect(torc_net *net, torc_token token, const torc_id *peer,
                      const torc_connect_params *remote) {
  torc_pending *p = find(net, token, TORC_PENDING_OFFERED);
  if (p == NULL) {
    torc_net_tell_failure(net, token, TORC_ERR_NOTFOUND);
    return;
  }
  int rc = read_remote(net, p, remote);
  if (rc != 0) {
    net->stats.connects_refused++;
    torc_pending_fail(p, rc);
    torc_net_ice_pump(net);
    return;
  }
  begin_checks(net, p, peer);
}

void torc_net_cancel(torc_net *net, torc_token token) {
  torc_list *node = net->pending.next;
  while (node != &net->pending) {
    torc_pending *p = TORC_CONTAINER_OF(node, torc_pending, all);
    node = node->next;
    bool has_begun = p->state == TORC_PENDING_CHECKING || p->state == TORC_PENDING_SECURING;
    if (p->token != token || (has_begun && p->application == TORC_APPLICATION_RELOAD)) {
      continue;
    }
    torc_conn *c = p->conn;
    torc_pending_free(p);
    if (c != NULL) {
      torc_conn_end(c, TORC_ERR_CLOSED);
    }
    break;
  }
  torc_net_ice_pump(net);
}
