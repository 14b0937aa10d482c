/* Offers and answers of CONNECT as the platform gives them, with one TCP host candidate whose
 * address is the node's index. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"
#include "wire/contents.h"
#include "wire/pdu.h"

#define CANDIDATE_CAP 96u

size_t sim_connect_host(uint32_t index, char *out, size_t cap) {
  return (size_t)snprintf(out, cap, "n%u.sim.example", index);
}

/* What all have in common; as long as on real links. */
void sim_connect_init(torc_sim *s) {
  torc_connect_params *p = &s->params;
  memset(p, 0, sizeof *p);
  (void)snprintf(p->ufrag, sizeof p->ufrag, "simulate");
  (void)snprintf(p->password, sizeof p->password, "simulatedsimulatedsimula");
  size_t len = (size_t)snprintf(p->fingerprint, sizeof p->fingerprint, "sha-256 ");
  for (unsigned i = 0; i < TORC_DIGEST_LEN; i++) {
    len += (size_t)snprintf(p->fingerprint + len, sizeof p->fingerprint - len, "%s%02X",
                            i == 0 ? "" : ":", i);
  }
  p->application = TORC_APPLICATION_RELOAD;
  p->num_candidates = 1;
}

static const torc_connect_params *params_of(sim_worker *w, const sim_node *n, const char *role,
                                            char text[CANDIDATE_CAP], torc_connect_params *p) {
  bool is_active = strcmp(role, "active") == 0;
  *p = w->sim->params;
  (void)snprintf(p->role, sizeof p->role, "%s", role);
  (void)snprintf(text, CANDIDATE_CAP, "candidate:1 1 TCP %u 10.%u.%u.%u %u typ host tcptype %s",
                 is_active ? 2128609535u : 2124414975u, n->index >> 16 & 0xff, n->index >> 8 & 0xff,
                 n->index & 0xff, is_active ? 9u : SIM_PORT, is_active ? "active" : "passive");
  p->candidates[0] = text;
  return p;
}

/* The node whose candidate this is. */
static bool peer_of(const torc_sim *s, const torc_connect_params *remote, uint32_t *peer) {
  const char *c = remote->num_candidates == 0 ? NULL : strstr(remote->candidates[0], " 10.");
  unsigned long v[3] = {0, 0, 0};
  if (c == NULL) {
    return false;
  }
  c += 4;
  for (unsigned i = 0; i < 3; i++) {
    char *end = NULL;
    v[i] = strtoul(c, &end, 10);
    if (end == c || v[i] > 255) {
      return false;
    }
    c = end + 1;
  }
  *peer = (uint32_t)(v[0] << 16 | v[1] << 8 | v[2]);
  return *peer < s->num;
}

static void on_open(sim_worker *w, sim_node *n, const torc_output *o) {
  char *end = NULL;
  unsigned long peer = strtoul(o->endpoint.host + 1, &end, 10);
  bool is_known = end != o->endpoint.host + 1 && peer < SIM_NODES_MAX;
  sim_link_dial(w, n, is_known ? (uint32_t)peer : SIM_NODES_MAX, o->token);
}

static void on_answer_needed(sim_worker *w, sim_node *n, const torc_output *o) {
  char text[CANDIDATE_CAP];
  torc_connect_params p;
  torc_token token = o->token;
  uint32_t peer = 0;
  uint16_t refuse = peer_of(w->sim, &o->remote, &peer) ? 0 : TORC_CODE_BAD_REQUEST;
  bool is_active = strcmp(o->remote.role, "active") != 0;
  if (refuse == 0) {
    sim_pending wait = {
        .token = token, .peer = peer, .kind = is_active ? SIM_PENDING_ACTIVE : SIM_PENDING_PASSIVE};
    if (!sim_pending_add(w, n, wait)) {
      refuse = TORC_CODE_UNAVAILABLE;
    }
  }
  int rc = torc_node_answer_ready(
      n->node, token, params_of(w, n, is_active ? "active" : "passive", text, &p), refuse, w->now);
  if (rc != 0) {
    sim_fail(w, rc, "answer_ready");
  }
}

static void on_accept(sim_worker *w, sim_node *n, const torc_output *o) {
  sim_pending p;
  if (sim_pending_take(n, SIM_PENDING_ACTIVE, o->token, &p)) {
    sim_link_dial(w, n, p.peer, p.token);
  } else if (sim_pending_take(n, SIM_PENDING_PASSIVE, o->token, &p)) {
    sim_link_await(w, n, p.peer, p.token);
  } else {
    sim_fail(w, TORC_ERR_STATE, "accepting a link that nobody offered");
  }
}

static void on_connect(sim_worker *w, sim_node *n, const torc_output *o) {
  torc_token token = o->token;
  uint32_t peer = 0;
  if (!peer_of(w->sim, &o->remote, &peer)) {
    int rc = torc_node_open_failed(n->node, token, TORC_ERR_FORMAT, w->now);
    if (rc != 0) {
      sim_fail(w, rc, "open_failed");
    }
  } else if (strcmp(o->remote.role, "active") == 0) {
    sim_link_await(w, n, peer, token);
  } else {
    sim_link_dial(w, n, peer, token);
  }
}

void sim_connect_output(sim_worker *w, sim_node *n, const torc_output *o) {
  char text[CANDIDATE_CAP];
  torc_connect_params p;
  if (o->kind == TORC_OUT_OPEN) {
    on_open(w, n, o);
  } else if (o->kind == TORC_OUT_OFFER_NEEDED) {
    /* [GAP-73] who cannot be dialled offers to dial */
    const char *role = n->is_closed ? "active" : "passive";
    int rc = torc_node_offer_ready(n->node, o->token, params_of(w, n, role, text, &p), w->now);
    if (rc != 0) {
      sim_fail(w, rc, "offer_ready");
    }
  } else if (o->kind == TORC_OUT_ANSWER_NEEDED) {
    on_answer_needed(w, n, o);
  } else if (o->kind == TORC_OUT_CONNECT) {
    on_connect(w, n, o);
  } else if (o->kind == TORC_OUT_ACCEPT) {
    on_accept(w, n, o);
  }
}
