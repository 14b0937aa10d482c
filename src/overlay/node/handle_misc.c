/* Which handler a verified request goes to; PING and TUNNEL.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

static const torc_slice nothing = {NULL, 0};

/* [MSG-06] [GAP-59] */
void torc_dispatch(torc_node *n, torc_inbound *in) {
  switch (in->c.code) {
    case TORC_METHOD_PING:
      torc_handle_ping(n, in);
      break;
    case TORC_METHOD_CONNECT:
      torc_connect_request(n, in);
      break;
    case TORC_METHOD_TUNNEL:
      torc_handle_tunnel(n, in);
      break;
    case TORC_METHOD_STORE:
      torc_handle_store(n, in);
      break;
    case TORC_METHOD_FETCH:
      torc_handle_fetch(n, in);
      break;
    case TORC_METHOD_REMOVE:
      torc_handle_remove(n, in);
      break;
    case TORC_METHOD_FIND:
      torc_handle_find(n, in);
      break;
    case TORC_METHOD_JOIN:
    case TORC_METHOD_LEAVE:
    case TORC_METHOD_UPDATE:
      torc_handle_topology(n, in);
      break;
    default:
      torc_respond_error(n, in, TORC_CODE_METHOD, NULL, nothing);
      break;
  }
}

/* [PNG-05] [GAP-67] Own share of the ring; nothing while the range is unknown. */
static uint32_t responsible_ppb(const torc_node *n) {
  torc_topology_view v;
  if (n->topo == NULL) {
    return 0;
  }
  n->topo_ops->view(n->topo, &v);
  if (!v.is_responsible) {
    return 0;
  }
  if (torc_id_eq(&v.range_from, &n->self)) {
    return 1000000000u;
  }
  torc_id share = torc_id_distance(&v.range_from, &n->self);
  return torc_id_ppb(&share);
}

/* [GAP-59] No way into the ring leads through a peer that is not in it: 503 to whoever bootstraps.
 * A peer that has begun to join still answers to its own id, by which its neighbours know that it
 * lives. */
static bool may_vouch(const torc_node *n, const torc_inbound *in) {
  if (n->phase == TORC_PHASE_JOINED || !in->is_exact) {
    return true;
  }
  return !in->is_wildcard && n->phase == TORC_PHASE_JOINING;
}

/* One response per PING received [GAP-68]. [PNG-02] [PNG-07..11] [BST-13]: what was asked and is
 * known, in the order asked, each code once. */
void torc_handle_ping(torc_node *n, torc_inbound *in) {
  uint8_t buf[64];
  torc_slice codes;
  uint64_t response_id = 0;
  uint64_t seen = 0;
  torc_wr wr;
  if (torc_ping_request_decode(&codes, in->c.payload) != 0) {
    torc_respond_error(n, in, TORC_CODE_BAD_REQUEST, NULL, nothing);
    return;
  }
  if (!may_vouch(n, in)) {
    torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
    return;
  }
  if (n->crypto->random(n->crypto->ctx, (uint8_t *)&response_id, sizeof response_id) != 0) {
    torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
    return;
  }
  torc_wr_init(&wr, buf, sizeof buf);
  size_t mark = torc_ping_response_begin(&wr, response_id);
  for (size_t i = 0; i < codes.len; i++) {
    torc_ping_info info = {.type = codes.p[i]};
    if (codes.p[i] != TORC_PING_RESPONSIBLE_SET && codes.p[i] != TORC_PING_NUM_RESOURCES) {
      continue;
    }
    if ((seen & (1u << codes.p[i])) != 0) {
      continue;
    }
    seen |= 1u << codes.p[i];
    info.number = codes.p[i] == TORC_PING_RESPONSIBLE_SET ? responsible_ppb(n)
                  : n->store == NULL                      ? 0
                                                          : torc_store_num_resources(n->store);
    if (torc_ping_info_put(&wr, &info) != 0) {
      break;
    }
  }
  torc_ping_response_end(&wr, mark);
  torc_respond(n, in, TORC_CODE_OK, torc_wr_slice(&wr));
}

/* [TUN-06]: the answer only says that the message has arrived; what the application
 * has to say to it comes as a TUNNEL of its own [TUN-07]. */
void torc_handle_tunnel(torc_node *n, torc_inbound *in) {
  torc_tunnel_data t;
  torc_out *o = NULL;
  if (!in->is_exact) { /* [GAP-26] */
    torc_respond_error(n, in, TORC_CODE_NOT_FOUND, NULL, nothing);
    return;
  }
  if (torc_tunnel_decode(&t, in->c.payload) != 0) {
    torc_respond_error(n, in, TORC_CODE_BAD_REQUEST, NULL, nothing);
    return;
  }
  if (!torc_app_takes_tunnels(n, t.application)) {
    torc_respond_error(n, in, TORC_CODE_NOT_FOUND, "Unknown Application", nothing);
    return;
  }
  o = torc_out_new(n, TORC_OUT_EVENT);
  if (o == NULL || torc_slice_dup(n->mem, in->c.payload, &o->owned) != 0) {
    torc_out_free(n, o);
    torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
    return;
  }
  o->o.event.kind = TORC_EVENT_TUNNEL;
  o->o.event.peer = in->signer_peer;
  if (!n->cfg.is_shared_key && torc_out_hold(n, o, in->signer) != 0) {
    torc_out_free(n, o);
    torc_respond_error(n, in, TORC_CODE_UNAVAILABLE, NULL, nothing);
    return;
  }
  o->o.event.application = t.application;
  o->o.event.dialog_id =
      torc_slice_of(o->owned + (t.dialog_id.p - in->c.payload.p), t.dialog_id.len);
  o->o.event.pdu =
      torc_slice_of(o->owned + (t.application_pdu.p - in->c.payload.p), t.application_pdu.len);
  torc_out_push(n, o);
  torc_respond(n, in, TORC_CODE_OK, nothing);
}
