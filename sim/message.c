/* What a message says of itself, read where it leaves.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "impl.h"
#include "model.h"
#include "wire/contents.h"
#include "wire/header.h"

#define AT_FRAGMENT 10u
#define AT_XID 16u
#define AT_NUM_ROUTE 24u
#define AT_NUM_VIA 25u
#define AT_FLAGS 26u
#define RESPONSE_BIT 0x8000u
#define FRAG_BIT 0x8000u
#define LFRG_BIT 0x4000u

/* Reads across the two slices. */
typedef struct joined {
  torc_slice head, body;
} joined;

static uint8_t byte_at(const joined *j, size_t at) {
  return at < j->head.len                 ? j->head.p[at]
         : at - j->head.len < j->body.len ? j->body.p[at - j->head.len]
                                          : 0;
}

static uint64_t number_at(const joined *j, size_t at, unsigned bytes) {
  uint64_t v = 0;
  for (unsigned i = 0; i < bytes; i++) {
    v = v << 8 | byte_at(j, at + i);
  }
  return v;
}

/* Bytes that a real signature and a real certificate have more than the model's. */
static uint32_t extra_of(const joined *j, size_t contents, size_t len) {
  size_t at = contents + TORC_CONTENTS_FIXED + (size_t)number_at(j, contents + 4, 4);
  uint32_t extra = 0;
  if (at + 4 > len) {
    return 0;
  }
  size_t sig_len = (size_t)number_at(j, at + 1, 2);
  extra += sig_len < SIM_REAL_SIGNATURE_LEN ? (uint32_t)(SIM_REAL_SIGNATURE_LEN - sig_len) : 0;
  at += 3 + sig_len;
  if (at + 3 <= len && byte_at(j, at) == TORC_IDENTITY_CERT) {
    size_t cert_len = (size_t)number_at(j, at + 1, 2);
    extra += cert_len < SIM_REAL_CERT_LEN ? (uint32_t)(SIM_REAL_CERT_LEN - cert_len) : 0;
  }
  return extra;
}

void sim_message_read(torc_slice head, torc_slice body, sim_message *out) {
  joined j = {.head = head, .body = body};
  size_t len = head.len + body.len;
  *out = (sim_message){.is_valid = len >= TORC_HEADER_FIXED};
  if (!out->is_valid) {
    return;
  }
  unsigned num_via = byte_at(&j, AT_NUM_VIA);
  unsigned fragment = (unsigned)number_at(&j, AT_FRAGMENT, 2);
  out->xid = number_at(&j, AT_XID, 8);
  out->has_via = num_via > 0;
  if ((fragment & FRAG_BIT) != 0 && (fragment & ~(FRAG_BIT | LFRG_BIT)) != 0) {
    out->code = (TORC_SIM_METHODS - 1) * 2; /* its contents began in another one */
    return;
  }
  size_t contents = TORC_HEADER_FIXED + (byte_at(&j, AT_NUM_ROUTE) + num_via) * (size_t)TORC_ID_LEN;
  if ((number_at(&j, AT_FLAGS, 2) & TORC_FLAG_ROUTE_LOG) != 0) {
    contents += 2 + (size_t)number_at(&j, contents, 2);
  }
  uint64_t code = number_at(&j, contents, 2);
  out->is_response = (code & RESPONSE_BIT) != 0;
  out->code = (uint16_t)(code & ~(uint64_t)RESPONSE_BIT);
  out->extra = extra_of(&j, contents, len);
}

/* ---- counting ---- */

#define METHOD_BITS 4u
#define METHOD_MASK ((1u << METHOD_BITS) - 1u)

/* 28 bits that tell a transaction from the few others which the node remembers. */
static uint32_t tag_of(uint64_t xid) {
  return (uint32_t)(xid >> 32) << METHOD_BITS;
}

void sim_message_note(sim_node *n, torc_slice bytes, unsigned method) {
  joined j = {.head = bytes};
  if (bytes.len >= TORC_HEADER_FIXED && method < METHOD_MASK) {
    uint64_t xid = number_at(&j, AT_XID, 8);
    n->recent[xid % SIM_RECENT] = tag_of(xid) | (method + 1);
  }
}

/* A response says no method. */
static unsigned method_of(const sim_node *n, const sim_message *m) {
  uint32_t r = n->recent[m->xid % SIM_RECENT];
  if (!m->is_response) {
    return m->code / 2u < TORC_SIM_METHODS ? m->code / 2u : TORC_SIM_METHODS - 1;
  }
  if (m->code != TORC_CODE_OK) {
    return 0;
  }
  bool is_known = (r & ~METHOD_MASK) == tag_of(m->xid) && (r & METHOD_MASK) != 0;
  return is_known ? (r & METHOD_MASK) - 1 : TORC_SIM_METHODS - 1;
}

unsigned sim_message_count(sim_worker *w, sim_node *n, const sim_message *m, size_t len) {
  unsigned method = method_of(n, m);
  w->traffic.errors += m->is_response && m->code != TORC_CODE_OK;
  w->traffic.messages[method][m->is_response]++;
  w->traffic.bytes[method][m->is_response] += len + m->extra;
  n->load++;
  return method;
}
