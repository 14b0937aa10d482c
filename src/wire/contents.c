/* Message contents, signature elements and the signed input of messages.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire/contents.h"

#include <string.h>

#include "base/slice.h"

#define RESPONSE_BIT 0x8000u /* [MSG-02] [GAP-21] */
#define CODE_MASK 0x7fffu

/* [MSG-05] [MSG-06]; the numbers are [GAP-22]: the only table of them. */
const char *torc_method_name(uint16_t method) {
  static const struct {
    uint16_t method;
    const char *name;
  } methods[] = {
      {TORC_METHOD_PING, "PING"},     {TORC_METHOD_CONNECT, "CONNECT"},
      {TORC_METHOD_TUNNEL, "TUNNEL"}, {TORC_METHOD_STORE, "STORE"},
      {TORC_METHOD_FETCH, "FETCH"},   {TORC_METHOD_REMOVE, "REMOVE"},
      {TORC_METHOD_FIND, "FIND"},     {TORC_METHOD_JOIN, "JOIN"},
      {TORC_METHOD_LEAVE, "LEAVE"},   {TORC_METHOD_UPDATE, "UPDATE"},
  };
  for (size_t i = 0; i < TORC_ARRAY_LEN(methods); i++) {
    if (methods[i].method == method) {
      return methods[i].name;
    }
  }
  return NULL;
}

/* [ERR-12]; those that the draft lacks are [GAP-59], 498 and 499 are [GAP-32]. */
const char *torc_code_phrase(uint16_t code) {
  static const struct {
    uint16_t code;
    const char *phrase;
  } codes[] = {
      {TORC_CODE_OK, "OK"},
      {TORC_CODE_MOVED, "Moved Temporarily"},
      {TORC_CODE_BAD_REQUEST, "Bad Request"},
      {TORC_CODE_UNAUTHORIZED, "Unauthorized"},
      {TORC_CODE_FORBIDDEN, "Forbidden"},
      {TORC_CODE_NOT_FOUND, "Not Found"},
      {TORC_CODE_METHOD, "Method Not Allowed"},
      {TORC_CODE_TIMEOUT, "Request Timeout"},
      {TORC_CODE_PRECONDITION, "Precondition Failed"},
      {TORC_CODE_TOO_LARGE, "Request Entity Too Large"},
      {TORC_CODE_INCOMPATIBLE, "Incompatible with Overlay"},
      {TORC_CODE_UNWILLING, "UnWilling To Proxy"},
      {TORC_CODE_UNAVAILABLE, "Service Unavailable"},
  };
  for (size_t i = 0; i < TORC_ARRAY_LEN(codes); i++) {
    if (codes[i].code == code) {
      return codes[i].phrase;
    }
  }
  return "";
}

/* [SIG-05]: a select, so its tag is one byte and an unknown one is malformed [ENC-10] [GAP-04]. */
int torc_identity_get(torc_rd *rd, torc_identity *out) {
  torc_identity id = {0};
  const uint8_t *start = rd->p;
  id.type = torc_rd_u8(rd);
  switch (id.type) {
    case TORC_IDENTITY_PEER:
      id.peer = torc_rd_id(rd);
      break;
    case TORC_IDENTITY_NAME:
      id.name = torc_rd_string(rd);
      break;
    case TORC_IDENTITY_CERT:
      id.cert = torc_rd_vec16(rd);
      break;
    default:
      torc_rd_fail(rd, TORC_ERR_FORMAT);
      break;
  }
  if (rd->err == 0) {
    id.bytes = torc_slice_of(start, (size_t)(rd->p - start));
    *out = id;
  }
  return rd->err;
}

int torc_identity_put(torc_wr *wr, const torc_identity *id) {
  switch (id->type) {
    case TORC_IDENTITY_PEER:
      torc_wr_u8(wr, id->type);
      torc_wr_id(wr, &id->peer);
      return wr->err;
    case TORC_IDENTITY_NAME:
      if (!torc_utf8_valid(id->name)) { /* */
        return TORC_ERR_INVALID;
      }
      torc_wr_u8(wr, id->type);
      torc_wr_vec16(wr, id->name);
      return wr->err;
    case TORC_IDENTITY_CERT:
      torc_wr_u8(wr, id->type);
      torc_wr_vec16(wr, id->cert);
      return wr->err;
    default:
      return TORC_ERR_INVALID;
  }
}

/* [SIG-02] [SIG-04] [SIG-08]: one form for messages and stored data. Nothing left means that there
 * is none [GAP-25], as in shared-key mode [GAP-53]; which codes of `algorithm` are accepted is not
 * decided here [GAP-51]. */
int torc_signature_get(torc_rd *rd, torc_signature *out) {
  torc_signature s = {0};
  int rc = rd->err;
  if (rc == 0 && torc_rd_left(rd) != 0) {
    s.is_present = true;
    s.algorithm = torc_rd_u8(rd); /* [SIG-03] */
    s.value = torc_rd_vec16(rd);
    rc = torc_identity_get(rd, &s.identity);
  }
  if (rc == 0) {
    *out = s;
  }
  return rc;
}

int torc_signature_put(torc_wr *wr, const torc_signature *s) {
  if (!s->is_present) {
    return wr->err;
  }
  torc_wr_u8(wr, s->algorithm);
  torc_wr_vec16(wr, s->value);
  return torc_identity_put(wr, &s->identity);
}

/* What fails here is answered 400 if it is for this peer. [MSG-01] [MSG-02] [MSG-04]: common
 * header, Length, payload; then the signature, exactly to the end [ENC-12] [GAP-09]. */
int torc_contents_decode(torc_contents *out, torc_slice body) {
  torc_contents c = {0};
  torc_rd rd;
  uint16_t first;
  uint32_t length;
  int rc;
  torc_rd_init(&rd, body);
  first = torc_rd_u16(&rd);
  c.is_response = (first & RESPONSE_BIT) != 0;
  c.code = first & CODE_MASK;    /* method or status [MSG-03] */
  c.reserved = torc_rd_u16(&rd); /* ignored, but part of what is signed [GAP-24] */
  length = torc_rd_u32(&rd);
  c.payload = torc_rd_slice(&rd, length);
  if (rd.err != 0) {
    return rd.err;
  }
  c.bytes = torc_slice_sub(body, 0, TORC_CONTENTS_FIXED + c.payload.len);
  rc = torc_signature_get(&rd, &c.signature);
  if (rc == 0) {
    rc = torc_rd_finish(&rd);
  }
  if (rc == 0) {
    *out = c;
  }
  return rc;
}

int torc_contents_put(torc_wr *wr, bool is_response, uint16_t code, torc_slice payload) {
  if (code > CODE_MASK) {
    return TORC_ERR_INVALID;
  }
  if (payload.len > UINT32_MAX) {
    return TORC_ERR_LIMIT;
  }
  torc_wr_u16(wr, (uint16_t)(code | (is_response ? RESPONSE_BIT : 0u)));
  torc_wr_u16(wr, 0); /* [GAP-24] */
  torc_wr_u32(wr, (uint32_t)payload.len);
  torc_wr_bytes(wr, payload);
  return wr->err;
}

/* [SIG-06] [GAP-50] "Signature": what of the header is signed; TTL, Routing and lists are not. */
void torc_signed_prefix(uint8_t out[12], uint32_t overlay, uint64_t xid) {
  torc_wr wr;
  torc_wr_init(&wr, out, 12);
  torc_wr_u32(&wr, overlay);
  torc_wr_u64(&wr, xid);
}

/* [ERR-11]; an empty payload is accepted for any error [GAP-60]. */
int torc_error_response_decode(torc_error_response *out, torc_slice payload) {
  torc_error_response e = {{0}, {0}};
  torc_rd rd;
  if (payload.len == 0) {
    *out = e;
    return 0;
  }
  torc_rd_init(&rd, payload);
  e.reason_phrase = torc_rd_string(&rd); /* UTF-8 */
  e.error_info = torc_rd_vec16(&rd);     /* mostly empty [ERR-13] */
  if (torc_rd_finish(&rd) == 0) {
    *out = e;
  }
  return rd.err;
}

int torc_error_response_put(torc_wr *wr, const torc_error_response *e) {
  if (!torc_utf8_valid(e->reason_phrase)) {
    return TORC_ERR_INVALID;
  }
  torc_wr_vec16(wr, e->reason_phrase);
  torc_wr_vec16(wr, e->error_info);
  return wr->err;
}
