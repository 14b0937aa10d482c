/* Vectors of PING, CONNECT, TUNNEL, JOIN, LEAVE, UPDATE, the route log and the usages' values.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "wire/header.h"
#include "wire/helper_vectors.h"
#include "wire/pdu.h"

#define MAX_CANDIDATES 64

void vec_add_addr(vec_text *t, const char *prefix, const char *name, const torc_addr *a) {
  char text[TORC_ADDR_TEXT_MAX];
  if (a->family == 0) {
    vec_add_word(t, prefix, name, "none");
    return;
  }
  torc_addr_format(a, text);
  vec_add(t, "%s%s = %s port %u\n", prefix, name, text, a->port);
}

static int run_addr(const vec *v, torc_slice in, vec_text *out, torc_wr *again, int *encode_rc) {
  torc_addr a;
  torc_rd rd;
  int rc;
  (void)v;
  torc_rd_init(&rd, in);
  rc = torc_addr_get(&rd, &a);
  if (rc == 0) {
    rc = torc_rd_finish(&rd);
  }
  if (rc != 0) {
    return rc;
  }
  vec_add_addr(out, "", "address", &a);
  *encode_rc = torc_addr_put(again, &a);
  return 0;
}

static int run_ping_request(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                            int *encode_rc) {
  torc_slice codes;
  int rc = torc_ping_request_decode(&codes, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_hex(out, "", "ping_info", codes);
  *encode_rc = torc_ping_request_put(again, codes);
  return 0;
}

static int run_ping_response(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                             int *encode_rc) {
  torc_ping_response r;
  torc_ping_info info;
  torc_rd rd;
  size_t mark;
  int rc = torc_ping_response_decode(&r, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add(out, "response_id = 0x%016llx\n", (unsigned long long)r.response_id);
  mark = torc_ping_response_begin(again, r.response_id);
  torc_rd_init(&rd, r.infos);
  for (int i = 0; torc_ping_info_next(&rd, &info); i++) {
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "infos[%d].", i);
    vec_add(out, "%stype = 0x%04x\n", prefix, info.type);
    if (info.type >= TORC_PING_PRIVATE_FIRST) {
      vec_add_hex(out, prefix, "opaque", info.opaque);
    } else {
      vec_add_number(out, prefix, "number", info.number);
    }
    if (*encode_rc == 0) {
      *encode_rc = torc_ping_info_put(again, &info);
    }
  }
  torc_ping_response_end(again, mark);
  return 0;
}

static int run_connect(const vec *v, torc_slice in, vec_text *out, torc_wr *again, int *encode_rc) {
  torc_connect_data c;
  torc_slice candidates[MAX_CANDIDATES];
  size_t num = 0;
  torc_rd rd;
  int rc = torc_connect_decode(&c, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_string(out, "", "ufrag", c.ufrag);
  vec_add_string(out, "", "password", c.password);
  vec_add_number(out, "", "application", c.application);
  vec_add_string(out, "", "fingerprint", c.fingerprint);
  vec_add_string(out, "", "role", c.role);
  torc_rd_init(&rd, c.candidates);
  while (num < MAX_CANDIDATES && torc_candidate_next(&rd, &candidates[num])) {
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "candidates[%zu]", num);
    vec_add_string(out, prefix, "", candidates[num]);
    num++;
  }
  *encode_rc = torc_connect_put(again, &c, candidates, num);
  return 0;
}

static int run_candidate(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                         int *encode_rc) {
  static const char *const transports[] = {"?", "UDP", "TCP"};
  static const char *const types[] = {"?", "host", "srflx", "prflx", "relay"};
  static const char *const tcptypes[] = {"none", "active", "passive", "so"};
  torc_candidate c;
  int rc = torc_candidate_parse(in, &c);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_word(out, "", "foundation", c.foundation);
  vec_add_number(out, "", "component", c.component);
  vec_add_word(out, "", "transport", transports[c.transport]);
  vec_add_number(out, "", "priority", c.priority);
  if (c.addr.family == 0) {
    vec_add(out, "address = name \"%.*s\" port %u\n", (int)c.host.len, (const char *)c.host.p,
            c.addr.port);
  } else {
    vec_add_addr(out, "", "address", &c.addr);
  }
  vec_add_word(out, "", "type", types[c.type]);
  vec_add_addr(out, "", "related_address", &c.raddr);
  vec_add_word(out, "", "tcptype", tcptypes[c.tcptype]);
  *encode_rc = torc_candidate_format(again, &c);
  return 0;
}

static int run_tunnel(const vec *v, torc_slice in, vec_text *out, torc_wr *again, int *encode_rc) {
  torc_tunnel_data t;
  int rc = torc_tunnel_decode(&t, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_number(out, "", "application", t.application);
  vec_add_hex(out, "", "dialog_id", t.dialog_id);
  vec_add_hex(out, "", "application_pdu", t.application_pdu);
  *encode_rc = torc_tunnel_put(again, &t);
  return 0;
}

static int run_notice(const vec *v, torc_slice in, vec_text *out, torc_wr *again, int *encode_rc) {
  torc_peer_notice n;
  bool is_join = strcmp(v->pdu, "join_request") == 0;
  int rc = torc_peer_notice_decode(&n, in);
  if (rc != 0) {
    return rc;
  }
  vec_add_hex(out, "", is_join ? "desired_peer_id" : "leaving_peer_id",
              torc_slice_of(n.peer.b, TORC_ID_LEN));
  vec_add_hex(out, "", "dht_specific_data", n.dht_specific);
  *encode_rc = torc_peer_notice_put(again, &n);
  return 0;
}

static int run_chord_update(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                            int *encode_rc) {
  torc_chord_update u;
  int rc = torc_chord_update_decode(&u, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_ids(out, "", "predecessors",
              torc_slice_of(u.predecessors[0].b, TORC_ID_LEN * u.num_predecessors));
  vec_add_ids(out, "", "successors",
              torc_slice_of(u.successors[0].b, TORC_ID_LEN * u.num_successors));
  *encode_rc = torc_chord_update_put(again, &u);
  return 0;
}

static int run_mesh_update(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                           int *encode_rc) {
  torc_slice peers;
  int rc = torc_mesh_update_decode(&peers, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_ids(out, "", "peers", peers);
  *encode_rc = torc_mesh_update_put(again, peers);
  return 0;
}

static int run_route_log(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                         int *encode_rc) {
  torc_route_log_entry e;
  torc_rd rd;
  torc_rd entries;
  size_t mark;
  torc_slice list;
  (void)v;
  torc_rd_init(&rd, in);
  list = torc_rd_vec16(&rd);
  if (torc_rd_finish(&rd) != 0) {
    return rd.err;
  }
  mark = torc_wr_begin_u16(again);
  torc_rd_init(&entries, list);
  for (int i = 0; torc_route_log_next(&entries, &e); i++) {
    char prefix[32];
    snprintf(prefix, sizeof(prefix), "entries[%d].", i);
    vec_add_string(out, prefix, "version", e.version);
    vec_add_number(out, prefix, "transport", e.transport);
    vec_add_hex(out, prefix, "id", torc_slice_of(e.id.b, TORC_ID_LEN));
    vec_add_number(out, prefix, "uptime", e.uptime_s);
    vec_add_hex(out, prefix, "certificate", e.certificate);
    vec_add_addr(out, prefix, "address", &e.address);
    if (*encode_rc == 0) {
      *encode_rc = torc_route_log_entry_put(again, &e);
    }
  }
  torc_wr_end_u16(again, mark);
  return entries.err;
}

static int run_sip(const vec *v, torc_slice in, vec_text *out, torc_wr *again, int *encode_rc) {
  torc_sip_registration r;
  int rc = torc_sip_registration_decode(&r, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  if (r.kind == 1) {
    vec_add_string(out, "", "registration_uri", r.uri);
  } else {
    vec_add_string(out, "", "contact_prefs", r.contact_prefs);
    vec_add_ids(out, "", "route_list", r.route_list);
  }
  *encode_rc = torc_sip_registration_put(again, &r);
  return 0;
}

static int run_turn(const vec *v, torc_slice in, vec_text *out, torc_wr *again, int *encode_rc) {
  torc_turn_server t;
  int rc = torc_turn_server_decode(&t, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_number(out, "", "iteration", t.iteration);
  vec_add_addr(out, "", "address", &t.address);
  *encode_rc = torc_turn_server_put(again, &t);
  return 0;
}

const vec_kind vec_pdu_kinds[] = {
    {"ip_address_and_port", run_addr, true},
    {"ping_request", run_ping_request, true},
    {"ping_response", run_ping_response, false}, /* what follows an unknown type is dropped */
    {"connect_data", run_connect, true},
    {"candidate", run_candidate, false}, /* text of several spellings */
    {"tunnel_data", run_tunnel, true},
    {"join_request", run_notice, true},
    {"leave_request", run_notice, true},
    {"chord_update", run_chord_update, true},
    {"mesh_update", run_mesh_update, true},
    {"route_log", run_route_log, true},
    {"sip_registration", run_sip, true},
    {"turn_server", run_turn, true},
    {NULL, NULL, false},
};
