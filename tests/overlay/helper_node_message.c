/* Messages and payloads that acted peers send. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"
#include "overlay/helper_node.h"
#include "overlay/helper_node_check.h"
#include "wire/pdu.h"
#include "wire/storage_pdu.h"

static torc_slice keep_wr(nt *h, const torc_wr *wr) {
  return nt_keep(h, wr->base, wr->len);
}

static void *must(void *p) {
  if (p == NULL) {
    abort();
  }
  return p;
}

/* ---- messages in ---- */

static void blank(nt_msg *m) {
  memset(m, 0, sizeof *m);
  m->hdr.overlay = 0;
  m->hdr.ttl = TORC_TTL_INITIAL;
  m->hdr.routing = TORC_ROUTING_RECURSIVE;
  m->hdr.version = TORC_VERSION_1;
  m->identity = TORC_IDENTITY_CERT;
  m->algorithm = TORC_SIGALG_ECDSA_P256_SHA256;
}

void nt_request(nt *h, nt_msg *m, uint8_t signer, uint16_t method, torc_slice payload) {
  blank(m);
  m->hdr.overlay = NT_OVERLAY_CRC;
  m->hdr.xid = nt_xid(h);
  m->code = method;
  m->payload = payload;
  m->signer = nt_cert(h, signer);
}

void nt_response(nt *h, nt_msg *m, uint8_t signer, const nt_out *request, uint16_t code,
                 torc_slice payload) {
  size_t num = torc_id_list_len(request->hdr.via);
  blank(m);
  m->hdr.overlay = NT_OVERLAY_CRC;
  m->hdr.xid = request->hdr.xid;
  m->is_response = true;
  m->code = code;
  m->payload = payload;
  m->signer = nt_cert(h, signer);
  torc_id self = nt_self(h);
  nt_route(m, &self);
  for (size_t i = num; i > 0; i--) {
    torc_id id = torc_id_list_at(request->hdr.via, i - 1);
    nt_route(m, &id);
  }
}

void nt_route(nt_msg *m, const torc_id *id) {
  CHECK(m->num_route < TORC_LIST_MAX);
  m->route[m->num_route++] = *id;
}

void nt_via(nt_msg *m, const torc_id *id) {
  CHECK(m->num_via < TORC_LIST_MAX);
  m->via[m->num_via++] = *id;
}

static size_t put_identity(uint8_t *buf, size_t cap, uint8_t type, const torc_cert *c) {
  torc_identity id = {.type = type, .cert = c->der};
  torc_wr wr;
  id.peer = c->peers[0];
  id.name = torc_slice_str(c->users[0]);
  torc_wr_init(&wr, buf, cap);
  CHECK(torc_identity_put(&wr, &id) == 0);
  return wr.len;
}

/* overlay ++ xid ++ identity ++ contents [SIG-06]. */
static void put_signature(torc_wr *wr, const nt_msg *m) {
  uint8_t id_bytes[1024], sig[TORC_DIGEST_LEN];
  uint8_t prefix[12] = {0};
  torc_slice contents = torc_wr_slice(wr);
  torc_slice id =
      torc_slice_of(id_bytes, put_identity(id_bytes, sizeof id_bytes, m->identity, m->signer));
  torc_slice parts[3] = {torc_slice_of(prefix, sizeof prefix), id, contents};
  torc_signed_prefix(prefix, m->hdr.overlay, m->hdr.xid);
  nt_sign(&m->signer->peers[0], parts, 3, sig);
  sig[0] = (uint8_t)(sig[0] ^ (m->is_forged ? 1 : 0));
  torc_wr_u8(wr, m->algorithm);
  torc_wr_vec16(wr, torc_slice_of(sig, sizeof sig));
  torc_wr_bytes(wr, id);
}

torc_slice nt_encode(nt *h, const nt_msg *m) {
  size_t body_cap = m->payload.len + 2048;
  uint8_t *body = must(malloc(body_cap));
  torc_header hdr = m->hdr;
  torc_wr wr;
  torc_wr_init(&wr, body, body_cap);
  CHECK(torc_contents_put(&wr, m->is_response, m->code, m->payload) == 0);
  body[2] = (uint8_t)(m->reserved >> 8);
  body[3] = (uint8_t)m->reserved;
  if (m->signer != NULL) {
    put_signature(&wr, m);
  }
  CHECK(wr.err == 0);
  torc_slice contents = torc_wr_slice(&wr);
  hdr.route = torc_slice_of(m->route, m->num_route * TORC_ID_LEN);
  hdr.via = torc_slice_of(m->via, m->num_via * TORC_ID_LEN);
  hdr.length = (uint32_t)(torc_header_size(&hdr) + contents.len);
  uint8_t *bytes = nt_block(h, hdr.length);
  torc_wr_init(&wr, bytes, hdr.length);
  CHECK(torc_header_put(&wr, &hdr, SIZE_MAX) == 0);
  torc_wr_bytes(&wr, contents);
  CHECK(wr.err == 0);
  free(body);
  return torc_wr_slice(&wr);
}

void nt_input(nt *h, torc_link_id link, const nt_msg *m) {
  nt_input_bytes(h, link, nt_encode(h, m));
}

/* ---- payloads ---- */

torc_slice nt_ping_payload(nt *h) {
  static const uint8_t none[1] = {0};
  return nt_keep(h, none, 1);
}

torc_slice nt_pong_payload(nt *h, uint64_t response_id) {
  uint8_t buf[16];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  size_t mark = torc_ping_response_begin(&wr, response_id);
  torc_ping_response_end(&wr, mark);
  return keep_wr(h, &wr);
}

torc_slice nt_update_payload(nt *h, const uint8_t *preds, const uint8_t *succs) {
  torc_chord_update u = {.num_predecessors = 0};
  uint8_t buf[1024];
  torc_wr wr;
  for (; preds != NULL && *preds != 0; preds++) {
    u.predecessors[u.num_predecessors++] = nt_id(*preds);
  }
  for (; succs != NULL && *succs != 0; succs++) {
    u.successors[u.num_successors++] = nt_id(*succs);
  }
  torc_wr_init(&wr, buf, sizeof buf);
  CHECK(torc_chord_update_put(&wr, &u) == 0);
  return keep_wr(h, &wr);
}

torc_slice nt_notice_payload(nt *h, const torc_id *id) {
  return nt_keep(h, id->b, TORC_ID_LEN);
}

torc_slice nt_connect_payload(nt *h, const char *role, uint16_t application,
                              const char *candidate) {
  torc_connect_data d = {.ufrag = torc_slice_str("ufr4"),
                         .password = torc_slice_str("a password of 22 bytes"),
                         .application = application,
                         .fingerprint = torc_slice_str("sha-256 AA:BB"),
                         .role = torc_slice_str(role)};
  torc_slice list[1] = {torc_slice_str(candidate == NULL ? "x" : candidate)};
  uint8_t buf[1024];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  CHECK(torc_connect_put(&wr, &d, list, 1) == 0);
  if (candidate == NULL) { /* our encoder writes no empty list */
    wr.len -= 3;
    memset(buf + wr.len - 2, 0, 2);
  }
  return keep_wr(h, &wr);
}

void nt_params(torc_connect_params *p, const char *role) {
  memset(p, 0, sizeof *p);
  memcpy(p->ufrag, "own1", 5);
  memcpy(p->password, "another one of 22 byte", 23);
  memcpy(p->fingerprint, "sha-256 CC:DD", 14);
  memcpy(p->role, role, strlen(role) + 1);
  p->application = TORC_APPLICATION_RELOAD;
  p->num_candidates = 1;
  p->candidates[0] = "candidate:1 1 TCP 2130706431 192.0.2.1 6084 typ host tcptype passive";
}

static torc_model model_of(uint32_t type) {
  switch (type) {
    case NT_TYPE_NOTE:
    case 1: /* SIP-REGISTRATION */
      return TORC_MODEL_DICTIONARY;
    case NT_TYPE_LIST:
    case 3: /* CERTIFICATE */
      return TORC_MODEL_ARRAY;
    default:
      return TORC_MODEL_SINGLE;
  }
}

static void put_element(torc_wr *wr, const torc_id *resource, const nt_element *e) {
  uint8_t prefix[512], sig[TORC_DIGEST_LEN];
  torc_stored_data d = {.storage_time = e->storage_time, .lifetime = e->lifetime_s};
  torc_wr pw;
  d.entry.model = model_of(e->type);
  d.entry.index = e->index;
  d.entry.key = torc_slice_str(e->key);
  d.entry.value = torc_slice_str(e->value);
  if (e->value == NULL) {
    CHECK(torc_stored_data_put_absent(wr, &d.entry) == 0);
    return;
  }
  if (e->signer != NULL) {
    torc_wr_init(&pw, prefix, sizeof prefix);
    CHECK(torc_data_signed_prefix_put(&pw, resource, e->type, &d) == 0);
    torc_slice parts[2] = {torc_wr_slice(&pw), d.entry.value};
    nt_sign(&e->signer->peers[0], parts, 2, sig);
    sig[0] = (uint8_t)(sig[0] ^ (e->is_forged ? 1 : 0));
    d.signature.is_present = true;
    d.signature.algorithm = TORC_SIGALG_ECDSA_P256_SHA256;
    d.signature.value = torc_slice_of(sig, sizeof sig);
    d.signature.identity =
        (torc_identity){.type = e->identity == 0 ? TORC_IDENTITY_CERT : e->identity,
                        .peer = e->signer->peers[0],
                        .name = torc_slice_str(e->signer->users[0]),
                        .cert = e->signer->der};
  }
  CHECK(torc_stored_data_put(wr, &d) == 0);
}

#define PAYLOAD_ROOM (256u << 10)

torc_slice nt_store_payload(nt *h, const torc_id *resource, const nt_element *e, size_t num) {
  uint8_t *buf = must(malloc(PAYLOAD_ROOM));
  torc_wr wr;
  torc_wr_init(&wr, buf, PAYLOAD_ROOM);
  size_t outer = torc_store_request_begin(&wr, resource);
  for (size_t i = 0; i < num;) {
    uint32_t type = e[i].type;
    size_t mark = torc_store_type_begin(&wr, type, e[i].generation);
    for (; i < num && e[i].type == type; i++) {
      put_element(&wr, resource, &e[i]);
    }
    torc_store_type_end(&wr, mark);
  }
  torc_store_request_end(&wr, outer);
  CHECK(wr.err == 0);
  torc_slice kept = keep_wr(h, &wr);
  free(buf);
  return kept;
}

torc_slice nt_fetched_payload(nt *h, const torc_id *resource, const nt_element *e, size_t num) {
  uint8_t *buf = must(malloc(PAYLOAD_ROOM));
  torc_wr wr;
  torc_wr_init(&wr, buf, PAYLOAD_ROOM);
  for (size_t i = 0; i < num;) {
    uint32_t type = e[i].type;
    size_t mark = torc_fetch_response_begin(&wr, type, e[i].generation);
    for (; i < num && e[i].type == type; i++) {
      put_element(&wr, resource, &e[i]);
    }
    torc_fetch_response_end(&wr, mark);
  }
  CHECK(wr.err == 0);
  torc_slice kept = keep_wr(h, &wr);
  free(buf);
  return kept;
}

torc_slice nt_fetch_payload(nt *h, const torc_id *resource, const uint32_t *type_ids,
                            const uint64_t *generations, size_t num) {
  uint8_t buf[2048];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  size_t mark = torc_fetch_request_begin(&wr, resource);
  for (size_t i = 0; i < num; i++) {
    torc_specifier s = {.type = type_ids[i],
                        .generation = generations == NULL ? 0 : generations[i],
                        .model = model_of(type_ids[i]),
                        .first = 0,
                        .last = -1};
    CHECK(torc_specifier_put(&wr, &s) == 0);
  }
  torc_fetch_request_end(&wr, mark);
  CHECK(wr.err == 0);
  return keep_wr(h, &wr);
}
