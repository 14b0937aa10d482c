/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/discover.h"

#include <string.h>

#include "base/id.h"
#include "base/slice.h"
#include "wire/header.h"
#include "wire/pdu.h"

#define PAYLOAD_MAX 32u /* of both: a list of codes, or response_id and one port */

/* ---- writing ---- */

/* [SIG-01] [GAP-52]: contents, signature and certificate. */
static int put_signed(torc_wr *wr, const torc_discover_self *self, uint64_t xid, bool is_response,
                      uint16_t code, torc_slice payload) {
  uint8_t prefix[12];
  uint8_t contents[TORC_CONTENTS_FIXED + PAYLOAD_MAX];
  uint8_t identity[TORC_DISCOVER_DATAGRAM_MAX];
  uint8_t sig[TORC_DISCOVER_SIGNATURE_MAX];
  torc_identity id = {.type = TORC_IDENTITY_CERT, .cert = self->cert->der};
  torc_wr cwr;
  torc_wr iwr;
  torc_job_result result = {0};
  torc_wr_init(&cwr, contents, sizeof contents);
  torc_wr_init(&iwr, identity, sizeof identity);
  int rc = torc_contents_put(&cwr, is_response, code, payload);
  if (rc == 0 && torc_identity_put(&iwr, &id) != 0) {
    rc = TORC_ERR_LIMIT; /* the certificate alone fills the datagram */
  }
  if (rc != 0) {
    return rc;
  }
  torc_signed_prefix(prefix, self->overlay, xid);
  torc_slice parts[3] = {torc_slice_of(prefix, sizeof prefix), torc_wr_slice(&iwr),
                         torc_wr_slice(&cwr)};
  torc_job job = {
      .kind = TORC_JOB_SIGN, .algorithm = self->algorithm, .parts = parts, .num_parts = 3};
  self->run(self->ctx, &job, sig, &result);
  if (result.rc != 0) {
    return result.rc;
  }
  torc_wr_bytes(wr, parts[2]);
  torc_wr_u8(wr, self->algorithm);
  torc_wr_vec16(wr, result.signature);
  torc_wr_bytes(wr, parts[1]);
  return wr->err;
}

/* [GAP-69] "the ordinary message, unfragmented"; `max`: bytes of the whole. */
static int put_message(torc_wr *wr, const torc_discover_self *self, uint64_t xid, torc_slice route,
                       bool is_response, uint16_t code, torc_slice payload, size_t max) {
  uint8_t body[TORC_DISCOVER_DATAGRAM_MAX];
  torc_wr bwr;
  torc_wr_init(&bwr, body, sizeof body);
  int rc = put_signed(&bwr, self, xid, is_response, code, payload);
  if (rc != 0) {
    return rc == TORC_ERR_SPACE ? TORC_ERR_LIMIT : rc;
  }
  torc_header h = {.overlay = self->overlay,
                   .ttl = TORC_DISCOVER_TTL,
                   .routing = TORC_ROUTING_RECURSIVE,
                   .version = TORC_VERSION_1,
                   .xid = xid,
                   .route = route};
  if (torc_header_size(&h) + bwr.len > max) {
    return TORC_ERR_LIMIT;
  }
  rc = torc_header_put(wr, &h, bwr.len);
  torc_wr_bytes(wr, torc_wr_slice(&bwr));
  return rc != 0 ? rc : wr->err;
}

int torc_discover_ask_put(torc_wr *wr, const torc_discover_self *self, uint64_t xid) {
  static const uint8_t codes[] = {TORC_PING_INFO_PORT};
  uint8_t payload[PAYLOAD_MAX];
  torc_wr pwr;
  torc_wr_init(&pwr, payload, sizeof payload);
  int rc = torc_ping_request_put(&pwr, torc_slice_of(codes, sizeof codes));
  return rc != 0 ? rc
                 : put_message(wr, self, xid, torc_slice_of(torc_id_wildcard.b, TORC_ID_LEN), false,
                               TORC_METHOD_PING, torc_wr_slice(&pwr), TORC_DISCOVER_DATAGRAM_MAX);
}

int torc_discover_answer_put(torc_wr *wr, const torc_discover_self *self,
                             const torc_discover_msg *ask, const torc_id *asker,
                             uint64_t response_id, uint16_t port) {
  uint8_t payload[PAYLOAD_MAX];
  uint8_t port_bytes[2] = {(uint8_t)(port >> 8), (uint8_t)(port & 0xff)};
  torc_ping_info info = {.type = TORC_PING_INFO_PORT, .opaque = torc_slice_of(port_bytes, 2)};
  torc_wr pwr;
  int rc = 0;
  torc_wr_init(&pwr, payload, sizeof payload);
  size_t mark = torc_ping_response_begin(&pwr, response_id);
  if (ask->wants_port) { /* only when asked for */
    rc = torc_ping_info_put(&pwr, &info);
  }
  torc_ping_response_end(&pwr, mark);
  rc = rc != 0 ? rc : pwr.err;
  size_t max = ask->len * TORC_DISCOVER_GROWTH;
  max = max < TORC_DISCOVER_DATAGRAM_MAX ? max : TORC_DISCOVER_DATAGRAM_MAX;
  return rc != 0 ? rc
                 : put_message(wr, self, ask->xid, torc_slice_of(asker->b, TORC_ID_LEN), true,
                               TORC_CODE_OK, torc_wr_slice(&pwr), max);
}

/* ---- reading ---- */

static int read_question(torc_discover_msg *m) {
  torc_slice codes;
  if (m->c.code != TORC_METHOD_PING || torc_ping_request_decode(&codes, m->c.payload) != 0) {
    return TORC_ERR_FORMAT;
  }
  for (size_t i = 0; i < codes.len; i++) {
    m->wants_port = m->wants_port || codes.p[i] == TORC_PING_INFO_PORT;
  }
  return 0;
}

static int read_answer(torc_discover_msg *m) {
  torc_ping_response r;
  torc_ping_info info;
  torc_rd rd;
  if (m->c.code != TORC_CODE_OK || torc_ping_response_decode(&r, m->c.payload) != 0) {
    return TORC_ERR_FORMAT;
  }
  torc_rd_init(&rd, r.infos);
  while (torc_ping_info_next(&rd, &info)) {
    if (info.type == TORC_PING_INFO_PORT && info.opaque.len == 2) {
      m->port = (uint16_t)(info.opaque.p[0] << 8 | info.opaque.p[1]);
    }
  }
  return 0;
}

/* A question is for the wildcard, an answer for this node; both come straight from their signer. */
static bool is_direct(const torc_discover_self *self, const torc_header *h, bool is_answer) {
  if (h->version != TORC_VERSION_1 || h->experimental || h->via.len != 0 ||
      (h->is_fragment && !(h->is_last_fragment && h->fragment_units == 0))) {
    return false;
  }
  if (torc_id_list_len(h->route) != 1) {
    return is_answer && h->route.len == 0;
  }
  torc_id to = torc_id_list_at(h->route, 0);
  return torc_id_eq(&to, is_answer ? &self->id : &torc_id_wildcard);
}

int torc_discover_read(const torc_discover_self *self, torc_slice datagram,
                       torc_discover_msg *out) {
  torc_header h;
  torc_discover_msg m = {.len = datagram.len};
  if (datagram.len > TORC_DISCOVER_DATAGRAM_MAX || torc_header_decode(&h, datagram) != 0) {
    return TORC_ERR_FORMAT;
  }
  if (h.overlay != self->overlay) {
    return TORC_ERR_DENIED;
  }
  if (torc_contents_decode(
          &m.c, torc_slice_of(datagram.p + h.header_len, datagram.len - h.header_len)) != 0 ||
      !is_direct(self, &h, m.c.is_response)) {
    return TORC_ERR_FORMAT;
  }
  m.is_answer = m.c.is_response;
  m.xid = h.xid;
  int rc = m.is_answer ? read_answer(&m) : read_question(&m);
  if (rc != 0) {
    return rc;
  }
  const torc_signature *s = &m.c.signature;
  if (!s->is_present || s->identity.type != TORC_IDENTITY_CERT) {
    return TORC_ERR_CRYPTO;
  }
  if (torc_slice_eq(s->identity.cert, self->cert->der)) { /* the own packet came back */
    return TORC_ERR_EXISTS;
  }
  *out = m;
  return 0;
}

static int check_signature(const torc_discover_self *self, const torc_discover_msg *m,
                           const torc_cert *cert, torc_wall now) {
  uint8_t prefix[12];
  uint8_t unused[TORC_DISCOVER_SIGNATURE_MAX];
  torc_job_result result = {0};
  /* [GAP-135] dates; one peer-id: no link tells which of several is meant. */
  if (cert->not_before > now || cert->not_after < now || cert->num_peers != 1) {
    return TORC_ERR_CRYPTO;
  }
  torc_signed_prefix(prefix, self->overlay, m->xid);
  torc_slice parts[3] = {torc_slice_of(prefix, sizeof prefix), m->c.signature.identity.bytes,
                         m->c.bytes};
  torc_job job = {.kind = TORC_JOB_VERIFY,
                  .algorithm = m->c.signature.algorithm,
                  .parts = parts,
                  .num_parts = 3,
                  .signature = m->c.signature.value,
                  .cert = cert};
  self->run(self->ctx, &job, unused, &result);
  return result.rc;
}

int torc_discover_verify(const torc_discover_self *self, const torc_discover_msg *m, torc_wall now,
                         torc_id *signer) {
  uint8_t unused[TORC_DISCOVER_SIGNATURE_MAX];
  torc_job job = {.kind = TORC_JOB_CERTIFICATE, .der = m->c.signature.identity.cert};
  torc_job_result result = {0};
  self->run(self->ctx, &job, unused, &result);
  if (result.rc != 0 || result.cert == NULL) {
    return result.rc != 0 ? result.rc : TORC_ERR_CRYPTO;
  }
  int rc = check_signature(self, m, result.cert, now);
  if (rc == 0 && torc_id_eq(&result.cert->peers[0], &self->id)) {
    rc = TORC_ERR_EXISTS; /* this peer with another certificate */
  }
  if (rc == 0) {
    *signer = result.cert->peers[0];
  }
  self->release(self->ctx, result.cert);
  return rc;
}

/* ---- the gate ---- */

static void roll(torc_discover_gate *g, torc_time now) {
  torc_time second = now / TORC_SEC(1);
  if (!g->has_begun || second != g->second) {
    g->has_begun = true;
    g->second = second;
    g->num_checks = 0;
    g->num_answers = 0;
    g->num_sources = 0;
  }
}

torc_discover_verdict torc_discover_admit(torc_discover_gate *g, const uint8_t site[16],
                                          torc_time now) {
  size_t i = 0;
  roll(g, now);
  while (i < g->num_sources && memcmp(g->sources[i].site, site, 16) != 0) {
    i++;
  }
  if (g->num_checks == TORC_DISCOVER_CHECKS || i == TORC_DISCOVER_SOURCES_MAX) {
    return TORC_DISCOVER_BUSY;
  }
  if (i == g->num_sources) {
    memcpy(g->sources[i].site, site, 16);
    g->sources[i].num = 0;
    g->num_sources++;
  }
  if (g->sources[i].num == TORC_DISCOVER_PER_SOURCE) {
    return TORC_DISCOVER_BUSY;
  }
  g->sources[i].num++;
  g->num_checks++;
  return TORC_DISCOVER_PASS;
}

bool torc_discover_is_seen(const torc_discover_gate *g, uint64_t xid) {
  for (size_t i = 0; i < g->num_seen; i++) {
    if (g->seen[i] == xid) {
      return true;
    }
  }
  return false;
}

torc_discover_verdict torc_discover_may_answer(torc_discover_gate *g, uint64_t xid, torc_time now) {
  roll(g, now);
  if (torc_discover_is_seen(g, xid)) {
    return TORC_DISCOVER_REPEATED;
  }
  if (g->num_answers == TORC_DISCOVER_ANSWERS) {
    return TORC_DISCOVER_BUSY;
  }
  g->num_answers++;
  g->seen[g->next_seen] = xid;
  g->next_seen = (g->next_seen + 1) % TORC_DISCOVER_SEEN_MAX;
  g->num_seen = g->num_seen < TORC_DISCOVER_SEEN_MAX ? g->num_seen + 1 : g->num_seen;
  return TORC_DISCOVER_PASS;
}
