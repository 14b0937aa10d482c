/* Answers to STUN requests [ICE-08].
 * SPDX-License-Identifier: Apache-2.0 */
#include "ice/stun_answer.h"

#include "base/slice.h"

const char *torc_stun_reason(uint16_t code) {
  switch (code) {
    case TORC_STUN_TRY_ALTERNATE:
      return "Try Alternate";
    case TORC_STUN_BAD_REQUEST:
      return "Bad Request";
    case TORC_STUN_UNAUTHENTICATED:
      return "Unauthenticated";
    case TORC_STUN_UNKNOWN_ATTRIBUTE:
      return "Unknown Attribute";
    case TORC_STUN_STALE_NONCE:
      return "Stale Nonce";
    case TORC_STUN_ROLE_CONFLICT:
      return "Role Conflict";
    case TORC_STUN_SERVER_ERROR:
      return "Server Error";
    default:
      return "Error";
  }
}

static int finish(torc_stun_wr *w, const torc_stun_reply *r) {
  if (r->key != NULL && r->integrity != TORC_STUN_INTEGRITY_NONE) {
    int rc = torc_stun_put_integrity(w, r->crypto, r->key, r->integrity, TORC_STUN_HASH_MAX);
    if (rc != 0) {
      return rc;
    }
  }
  if (torc_stun_has(r->request, TORC_STUN_KNOWN_FINGERPRINT)) {
    torc_stun_put_fingerprint(w);
  }
  return w->wr->err;
}

int torc_stun_reply_mapped(torc_wr *wr, const torc_stun_reply *r, const torc_addr *from) {
  torc_stun_wr w;
  torc_stun_begin(&w, wr, TORC_STUN_SUCCESS, r->request->method, r->request->txid);
  torc_stun_put_xor_addr(&w, TORC_STUN_ATTR_XOR_MAPPED_ADDRESS, from);
  return finish(&w, r);
}

int torc_stun_reply_error(torc_wr *wr, const torc_stun_reply *r, uint16_t code) {
  torc_stun_wr w;
  torc_stun_begin(&w, wr, TORC_STUN_ERROR, r->request->method, r->request->txid);
  torc_stun_put_error(&w, code, torc_stun_reason(code));
  if (code == TORC_STUN_UNKNOWN_ATTRIBUTE) {
    torc_stun_put_unknown(&w, r->request);
  }
  return finish(&w, r);
}

int torc_stun_answer_binding(torc_wr *wr, torc_slice datagram, const torc_addr *from) {
  torc_stun_msg m;
  torc_stun_reply r = {.request = &m};
  if (torc_stun_decode(&m, datagram) != 0 || m.cls != TORC_STUN_REQUEST ||
      m.method != TORC_STUN_BINDING) {
    return 0;
  }
  if (m.num_unknown != 0) {
    return torc_stun_reply_error(wr, &r, TORC_STUN_UNKNOWN_ATTRIBUTE);
  }
  return torc_stun_reply_mapped(wr, &r, from);
}

int torc_stun_auth_short(const torc_stun_msg *m, const torc_stun_crypto *c,
                         const torc_stun_key *key, torc_stun_integrity *used, uint16_t *code) {
  torc_stun_integrity which = TORC_STUN_INTEGRITY_NONE;
  int rc;
  *used = which;
  if (torc_stun_integrity_of(m) == TORC_STUN_INTEGRITY_NONE ||
      !torc_stun_has(m, TORC_STUN_KNOWN_USERNAME)) {
    *code = TORC_STUN_BAD_REQUEST;
    return 0;
  }
  *code = TORC_STUN_UNAUTHENTICATED;
  if (key == NULL) {
    return 0;
  }
  rc = torc_stun_check_integrity(m, c, key, TORC_STUN_INTEGRITY_BOTH, TORC_STUN_HASH_MAX, &which);
  if (rc == 0) {
    *used = which;
    *code = 0;
  }
  return rc == TORC_ERR_CRYPTO ? rc : 0;
}
