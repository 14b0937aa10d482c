/* Address, TUNNEL, JOIN and LEAVE, and the stored values of the SIP and TURN usages.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "wire/id_list.h"
#include "wire/pdu.h"

#define FAMILY_IP4 1u
#define FAMILY_IP6 2u

static size_t addr_len(uint8_t family) {
  switch (family) {
    case FAMILY_IP4:
      return 4; /* [ENC-07] */
    case FAMILY_IP6:
      return 16; /* [ENC-08] */
    default:
      return 0;
  }
}

/* [ENC-09]; the tag is one byte, an unknown one is malformed [ENC-10] [GAP-04]. */
int torc_addr_get(torc_rd *rd, torc_addr *out) {
  torc_addr a = {0};
  torc_slice bytes;
  a.family = torc_rd_u8(rd);
  bytes = torc_rd_slice(rd, addr_len(a.family));
  a.port = torc_rd_u16(rd);
  if (addr_len(a.family) == 0) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
  }
  if (rd->err == 0) {
    memcpy(a.addr, bytes.p, bytes.len);
    *out = a;
  }
  return rd->err;
}

int torc_addr_put(torc_wr *wr, const torc_addr *a) {
  size_t len = addr_len(a->family);
  if (len == 0) {
    return TORC_ERR_INVALID;
  }
  torc_wr_u8(wr, a->family);
  torc_wr_bytes(wr, torc_slice_of(a->addr, len));
  torc_wr_u16(wr, a->port);
  return wr->err;
}

/* [TUN-02]. The draft's text speaks of one or two bytes of length; it is two everywhere [GAP-84].
 * dialog_id [TUN-04] and application_pdu [TUN-05] are raw bytes [GAP-10]. */
int torc_tunnel_decode(torc_tunnel_data *out, torc_slice payload) {
  torc_tunnel_data t = {0};
  torc_rd rd;
  torc_rd_init(&rd, payload);
  t.application = torc_rd_u16(&rd); /* [TUN-03] */
  t.dialog_id = torc_rd_vec16(&rd);
  t.application_pdu = torc_rd_vec16(&rd);
  if (torc_rd_finish(&rd) == 0) {
    *out = t;
  }
  return rd.err;
}

int torc_tunnel_put(torc_wr *wr, const torc_tunnel_data *t) {
  torc_wr_u16(wr, t->application);
  torc_wr_vec16(wr, t->dialog_id);
  torc_wr_vec16(wr, t->application_pdu);
  return wr->err;
}

/* [JOI-05] [LEA-02]: the blob has no prefix and absorbs the rest [GAP-03] [GAP-09]. */
int torc_peer_notice_decode(torc_peer_notice *out, torc_slice payload) {
  torc_peer_notice n = {.dht_specific = {.p = NULL, .len = 0}};
  torc_rd rd;
  torc_rd_init(&rd, payload);
  n.peer = torc_rd_id(&rd);
  n.dht_specific = torc_rd_rest(&rd);
  if (rd.err == 0) {
    *out = n;
  }
  return rd.err;
}

int torc_peer_notice_put(torc_wr *wr, const torc_peer_notice *n) {
  torc_wr_id(wr, &n->peer);
  torc_wr_bytes(wr, n->dht_specific);
  return wr->err;
}

enum { SIP_KIND_URI = 1, SIP_KIND_ROUTE = 2 }; /* [SIP-12], as the enum says [GAP-145] */

int torc_sip_registration_decode(torc_sip_registration *out, torc_slice value) {
  torc_sip_registration r = {0};
  torc_rd rd;
  torc_rd_init(&rd, value);
  r.kind = torc_rd_u8(&rd);
  switch (r.kind) {
    case SIP_KIND_URI:
      r.uri = torc_rd_string(&rd);
      break;
    case SIP_KIND_ROUTE: /* [SIP-13] */
      r.contact_prefs = torc_rd_string(&rd);
      r.route_list = torc_rd_vec16(&rd);
      if (!torc_id_list_is_sound(r.route_list)) { /* */
        torc_rd_fail(&rd, TORC_ERR_FORMAT);
      }
      break;
    default:
      torc_rd_fail(&rd, TORC_ERR_FORMAT);
      break;
  }
  if (torc_rd_finish(&rd) == 0) {
    *out = r;
  }
  return rd.err;
}

int torc_sip_registration_put(torc_wr *wr, const torc_sip_registration *r) {
  switch (r->kind) {
    case SIP_KIND_URI:
      if (!torc_utf8_valid(r->uri)) {
        return TORC_ERR_INVALID;
      }
      torc_wr_u8(wr, r->kind);
      torc_wr_vec16(wr, r->uri);
      return wr->err;
    case SIP_KIND_ROUTE:
      if (!torc_utf8_valid(r->contact_prefs) || !torc_id_list_is_sound(r->route_list)) {
        return TORC_ERR_INVALID;
      }
      torc_wr_u8(wr, r->kind);
      torc_wr_vec16(wr, r->contact_prefs);
      torc_wr_vec16(wr, r->route_list);
      return wr->err;
    default:
      return TORC_ERR_INVALID;
  }
}

/* [TRN-05]; whether the iteration is in range is the usage's question, not the codec's. */
int torc_turn_server_decode(torc_turn_server *out, torc_slice value) {
  torc_turn_server t = {0};
  torc_rd rd;
  int rc;
  torc_rd_init(&rd, value);
  t.iteration = torc_rd_u8(&rd);
  rc = torc_addr_get(&rd, &t.address);
  if (rc == 0) {
    rc = torc_rd_finish(&rd);
  }
  if (rc == 0) {
    *out = t;
  }
  return rc;
}

int torc_turn_server_put(torc_wr *wr, const torc_turn_server *t) {
  torc_wr_u8(wr, t->iteration);
  return torc_addr_put(wr, &t->address);
}
