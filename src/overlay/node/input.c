/* Bytes from a link: header checks and the choice between here and onward [RTG-10..17]. Only the
 * header is looked at: the contents of a message for somebody else are never parsed [ARC-13]
 * [RTG-01] [RTG-02]. There is no split horizon: a request may leave by the link it came on.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

/* Whether the contents begin with a request; only those provoke errors [GAP-38]. */
static bool is_request(torc_slice msg, const torc_header *h) {
  return msg.len > h->header_len && (msg.p[h->header_len] & 0x80u) == 0 &&
         !(h->is_fragment && h->fragment_units != 0);
}

/* [GAP-44] Of two or more: a single fragment is a whole message. */
static bool is_part(const torc_header *h) {
  return h->is_fragment && !(h->is_last_fragment && h->fragment_units == 0);
}

/* [RTG-10..12] [GAP-14] [GAP-15] [HDR-09]: 498 only for another checksum, version or EXP
 * [GAP-61] [GAP-140]. False: the message has been dealt with. */
static bool header_ok(torc_node *n, torc_link *l, const torc_header *h, torc_slice msg) {
  if (h->version != TORC_VERSION_1 || h->experimental) {
    n->stats->drop_version++;
    if (is_request(msg, h)) {
      torc_early_error(n, l, h, TORC_CODE_INCOMPATIBLE, torc_slice_of(NULL, 0));
    }
    return false;
  }
  if (h->overlay != n->overlay) {
    n->stats->drop_overlay++;
    if (is_request(msg, h)) {
      torc_early_error(n, l, h, TORC_CODE_INCOMPATIBLE, torc_slice_of(NULL, 0));
    } else if (!is_part(h)) {
      torc_trans_foreign(n, l, h, msg);
    }
    return false;
  }
  if (h->routing > TORC_ROUTING_ITERATIVE && is_request(msg, h)) {
    torc_early_error(n, l, h, TORC_CODE_UNWILLING, torc_slice_of(NULL, 0));
    return false;
  }
  return true;
}

/* [GAP-30] An iterative request that would have to be forwarded is redirected or refused. */
static bool iterative_done(torc_node *n, torc_link *l, const torc_header *h, torc_slice msg,
                           const torc_step *step) {
  if (h->routing != TORC_ROUTING_ITERATIVE || !is_request(msg, h)) {
    return false;
  }
  if (torc_id_list_len(step->route) > 1) {
    torc_early_error(n, l, h, TORC_CODE_UNWILLING, torc_slice_of(NULL, 0));
    return true;
  }
  if (!step->by_topology && torc_link_is_client(step->link)) {
    return false;
  }
  torc_early_error(n, l, h, TORC_CODE_MOVED,
                   torc_slice_of(step->link->peer.b, TORC_ID_LEN)); /* [ERR-14] */
  return true;
}

static void take(torc_node *n, torc_link *l, const torc_header *h, torc_slice msg,
                 const torc_step *step) {
  torc_inbound *in = NULL;
  if (is_request(msg, h) && torc_id_list_len(h->via) >= TORC_LIST_MAX) { /* no way back */
    n->stats->drop_via_full++;
    return;
  }
  if (is_part(h)) {
    torc_fragment_take(n, l, h, msg, step);
    return;
  }
  if (!torc_inbound_fits(n, l, msg.len)) {
    n->stats->drop_inbound_full++;
    return;
  }
  in = torc_inbound_new(n, msg, step, l);
  if (in != NULL) {
    torc_inbound_start(n, in);
  }
}

/* [ARC-12] One message: for this peer, on an existing connection, or wherever the plug-in says. */
void torc_input_message(torc_node *n, torc_link *l, torc_slice msg) {
  uint8_t room[TORC_LIST_MAX * TORC_ID_LEN];
  torc_header h;
  torc_step step;
  int rc = torc_header_decode(&h, msg);
  n->stats->messages_in++;
  n->stats->bytes_in += msg.len;
  if (!n->cfg.is_lean) {
    l->traffic[0].messages_in++;
    l->traffic[0].bytes_in += msg.len;
  }
  l->last_in = n->now;
  l->is_owing = false;
  if (rc == TORC_ERR_INVALID) { /* [GAP-11] */
    n->stats->drop_not_reload++;
    return;
  }
  if (rc != 0) { /* dropped and counted, the link stays */
    n->stats->drop_header++;
    TORC_LOG(n->log, TORC_LOG_DEBUG, "node:bad_header", TORC_F_ID("from", &l->peer),
             TORC_F_ERR("why", rc));
    return;
  }
  if (l->is_surplus && !l->is_routing && is_request(msg, &h)) { /* */
    n->stats->drop_surplus_client++;
    torc_early_error(n, l, &h, TORC_CODE_UNAVAILABLE, torc_slice_of(NULL, 0));
    return;
  }
  if (!header_ok(n, l, &h, msg)) {
    return;
  }
  torc_route_step(n, h.route, room, &step);
  switch (step.kind) {
    case TORC_STEP_HERE:
      take(n, l, &h, msg, &step);
      break;
    case TORC_STEP_FORWARD:
      if (!iterative_done(n, l, &h, msg, &step)) {
        torc_route_forward(n, l, &h, msg, &step);
      }
      break;
    case TORC_STEP_DROP:
      break;
  }
}
