/* Answers [ERR-01]: symmetric, along the reversed via list [RTG-04] [RTG-08] [GAP-30] [CLI-04], so
 * that a joining peer or a client is reached through the peer it asked [RTG-05].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

_Static_assert(TORC_NODE_ERRORS_PER_SECOND < 16 && TORC_NODE_CERT_FETCHES_LINK_SECOND < 16,
               "they are counted in four bits each");

void torc_link_second(const torc_node *n, torc_link *l) {
  uint16_t second = (uint16_t)(n->now / TORC_SEC(1));
  if (l->second != second) {
    l->second = second;
    l->errors = 0;
    l->cert_fetches = 0;
    l->share = 0;
  }
}

bool torc_link_error_allowed(torc_node *n, torc_link *l) {
  torc_link_second(n, l);
  if (l->errors == TORC_NODE_ERRORS_PER_SECOND) {
    return false;
  }
  l->errors++;
  return true;
}

static void count_code(torc_node *n, uint16_t code) {
  switch (code) {
#define CASE(x)            \
  case x:                  \
    n->stats->error_##x++; \
    break;
    CASE(302)
    CASE(400)
    CASE(401)
    CASE(403)
    CASE(404)
    CASE(405)
    CASE(412)
    CASE(413)
    CASE(498)
    CASE(499)
    CASE(503)
#undef CASE
    default:
      break;
  }
}

/* The route list of a response: the last hop, then the via list backwards. */
static torc_slice reversed(const torc_inbound *in, uint8_t *room) {
  size_t num = torc_id_list_len(in->hdr.via);
  memcpy(room, in->last_hop.b, TORC_ID_LEN);
  for (size_t i = 0; i < num; i++) {
    memcpy(room + (i + 1) * TORC_ID_LEN, in->hdr.via.p + (num - 1 - i) * TORC_ID_LEN, TORC_ID_LEN);
  }
  return torc_slice_of(room, (num + 1) * TORC_ID_LEN);
}

void torc_respond_body(torc_node *n, const torc_inbound *in, torc_slice body) {
  uint8_t room[TORC_LIST_MAX * TORC_ID_LEN];
  uint8_t *log_owned = NULL;
  torc_send s = {
      .xid = in->hdr.xid, .routing = in->hdr.routing, .body = body}; /* [HDR-17] [GAP-14] */
  if (in->hdr.routing > TORC_ROUTING_ITERATIVE) {
    s.routing = TORC_ROUTING_RECURSIVE;
  }
  if (torc_id_list_len(in->hdr.via) >= TORC_LIST_MAX) { /* */
    n->stats->drop_via_full++;
    return;
  }
  if (!in->is_local) {
    s.route = reversed(in, room);
    s.is_for_another = true;
  }
  if ((in->hdr.flags & TORC_FLAG_ROUTE_LOG) !=
      0) { /* [LOG-03] [GAP-19] once, when the response leaves */
    s.flags = TORC_FLAG_ROUTE_LOG;
    if (torc_route_log_append(n, in->hdr.route_log, torc_link_of_peer(n, &in->last_hop), &log_owned,
                              &s.route_log) != 0) {
      n->stats->no_memory++;
    }
  }
  n->stats->responses_sent++;
  TORC_LOG(n->log, TORC_LOG_TRACE, "node:answers", TORC_F_U64("xid", in->hdr.xid),
           TORC_F_U64("method", in->c.code));
  if (torc_route_send(n, &s) != 0) {
    n->stats->drop_no_route++; /* [GAP-35] the requester tries again */
  }
  torc_free(n->mem, log_owned);
}

static void finish(torc_node *n, torc_inbound *in, int rc, uint8_t *body, size_t len) {
  if (rc == 0) {
    torc_slice whole = torc_slice_of(body, len);
    if (in->dup != NULL) {
      torc_dup *d = in->dup;
      in->dup = NULL;
      torc_dup_finish(n, d, whole);
    }
    torc_respond_body(n, in, whole);
  }
  torc_free(n->mem, body);
  torc_inbound_free(n, in);
}

static void on_response_signed(torc_node *n, void *ctx, int rc, uint8_t *body, size_t len) {
  torc_inbound *in = ctx;
  if (rc == 0 && len > TORC_BODY_MAX) { /* [GAP-86] with a long certificate it does not fit */
    torc_free(n->mem, body);
    torc_respond_error(n, in, TORC_CODE_TOO_LARGE, NULL, torc_slice_of(NULL, 0));
    return;
  }
  finish(n, in, rc, body, len);
}

/* What this node asks of itself never leaves it and needs no signature. */
static void respond_local(torc_node *n, torc_inbound *in, uint16_t code, torc_slice payload) {
  size_t len = TORC_CONTENTS_FIXED + payload.len;
  uint8_t *body = torc_alloc(n->mem, len);
  torc_wr wr;
  int rc = TORC_ERR_NOMEM;
  if (body != NULL) {
    torc_wr_init(&wr, body, len);
    rc = torc_contents_put(&wr, true, code, payload);
  }
  finish(n, in, rc, body, len);
}

void torc_respond(torc_node *n, torc_inbound *in, uint16_t code, torc_slice payload) {
  count_code(n, code);
  if (in->is_local) {
    respond_local(n, in, code, payload);
    return;
  }
  if (torc_sign_start(n, in->hdr.xid, true, code, payload, on_response_signed, in, NULL) != 0) {
    torc_inbound_free(n, in);
  }
}

void torc_respond_error(torc_node *n, torc_inbound *in, uint16_t code, const char *phrase,
                        torc_slice info) {
  torc_error_response e = {.error_info = info};
  uint8_t buf[1024];
  torc_wr wr;
  e.reason_phrase = torc_slice_str(phrase == NULL ? torc_code_phrase(code) : phrase);
  torc_wr_init(&wr, buf, sizeof buf);
  if (torc_error_response_put(&wr, &e) != 0 || wr.err != 0) {
    torc_wr_init(&wr, buf, 0); /* an empty payload is allowed for any error [GAP-60] */
  }
  TORC_LOG(n->log, TORC_LOG_DEBUG, "node:refused", TORC_F_U64("code", code),
           TORC_F_U64("method", in->c.code), TORC_F_ID("from", &in->last_hop),
           TORC_F_BYTES("phrase", e.reason_phrase));
  torc_respond(n, in, code, torc_wr_slice(&wr));
}

/* [GAP-38]: the error is signed over this node's own overlay and version. */
void torc_early_error(torc_node *n, torc_link *l, const torc_header *hdr, uint16_t code,
                      torc_slice info) {
  torc_inbound *in = NULL;
  size_t len = hdr->via.len + hdr->route_log.len;
  if (!torc_link_error_allowed(n, l) || !torc_inbound_fits(n, l, len)) {
    n->stats->drop_error_rate++;
    return;
  }
  in = torc_calloc(n->mem, 1, sizeof *in);
  if (in != NULL && len > 0) {
    in->msg = torc_alloc(n->mem, len);
  }
  if (in == NULL || (len > 0 && in->msg == NULL)) {
    n->stats->no_memory++;
    torc_free(n->mem, in);
    return;
  }
  in->hdr = *hdr;
  if (hdr->via.len > 0) {
    memcpy(in->msg, hdr->via.p, hdr->via.len);
  }
  if (hdr->route_log.len > 0) {
    memcpy(in->msg + hdr->via.len, hdr->route_log.p, hdr->route_log.len);
  }
  in->hdr.via = torc_slice_of(in->msg, hdr->via.len);
  in->hdr.route_log = torc_slice_sub(torc_slice_of(in->msg, len), hdr->via.len, hdr->route_log.len);
  torc_inbound_hold(n, in, l, len);
  torc_respond_error(n, in, code, NULL, info);
}
