/* Vectors of the header, the contents, the signature element and error_response.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "wire/contents.h"
#include "wire/header.h"
#include "wire/helper_vectors.h"

static const char *yes(bool b) {
  return b ? "yes" : "no";
}

static int run_header(const vec *v, torc_slice in, vec_text *out, torc_wr *again, int *encode_rc) {
  torc_header h;
  int rc = torc_header_decode(&h, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add(out, "overlay = 0x%08x\n", h.overlay);
  vec_add_number(out, "", "ttl", h.ttl);
  vec_add_number(out, "", "routing", h.routing);
  vec_add_word(out, "", "fragment", yes(h.is_fragment));
  vec_add_word(out, "", "last_fragment", yes(h.is_last_fragment));
  vec_add_number(out, "", "fragment_units", h.fragment_units);
  vec_add_word(out, "", "experimental", yes(h.experimental));
  vec_add_number(out, "", "version", h.version);
  vec_add_number(out, "", "length", h.length);
  vec_add(out, "xid = 0x%016llx\n", (unsigned long long)h.xid);
  vec_add(out, "flags = 0x%04x\n", h.flags);
  vec_add_ids(out, "", "route", h.route);
  vec_add_ids(out, "", "via", h.via);
  if ((h.flags & TORC_FLAG_ROUTE_LOG) == 0) {
    vec_add_word(out, "", "route_log", "absent");
  } else {
    vec_add_hex(out, "", "route_log", h.route_log);
  }
  vec_add_number(out, "", "header_len", h.header_len);
  h.length = 0xdead; /* must be computed */
  *encode_rc = torc_header_put(again, &h, in.len - h.header_len);
  torc_wr_bytes(again, torc_slice_sub(in, h.header_len, in.len - h.header_len));
  return 0;
}

void vec_add_signature(vec_text *t, const char *prefix, const torc_signature *s) {
  const torc_identity *id = &s->identity;
  if (!s->is_present) {
    vec_add_word(t, prefix, "signature", "absent");
    return;
  }
  vec_add_number(t, prefix, "algorithm", s->algorithm);
  vec_add_hex(t, prefix, "signature_value", s->value);
  switch (id->type) {
    case TORC_IDENTITY_PEER:
      vec_add_hex(t, prefix, "identity_peer", torc_slice_of(id->peer.b, TORC_ID_LEN));
      break;
    case TORC_IDENTITY_NAME:
      vec_add_string(t, prefix, "identity_name", id->name);
      break;
    default:
      vec_add_hex(t, prefix, "identity_certificate", id->cert);
      break;
  }
}

static int run_signature(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                         int *encode_rc) {
  torc_signature s;
  torc_rd rd;
  int rc;
  (void)v;
  torc_rd_init(&rd, in);
  rc = torc_signature_get(&rd, &s);
  if (rc == 0) {
    rc = torc_rd_finish(&rd);
  }
  if (rc != 0) {
    return rc;
  }
  vec_add_signature(out, "", &s);
  vec_add_hex(out, "", "identity_bytes", s.identity.bytes);
  *encode_rc = torc_signature_put(again, &s);
  return 0;
}

/* overlay ++ xid ++ signer_identity ++ contents, with overlay and xid given. */
static void add_signed_input(vec_text *out, const vec *v, const torc_contents *c) {
  const char *overlay = vec_given(v, "overlay");
  const char *xid = vec_given(v, "xid");
  uint8_t *input;
  torc_wr wr;
  size_t cap = 12 + c->signature.identity.bytes.len + c->bytes.len;
  if (overlay == NULL || xid == NULL || !c->signature.is_present) {
    return;
  }
  input = malloc(cap);
  if (input == NULL) {
    exit(2);
  }
  torc_signed_prefix(input, (uint32_t)strtoul(overlay, NULL, 16), strtoull(xid, NULL, 16));
  torc_wr_init(&wr, input, cap);
  wr.len = 12;
  torc_wr_bytes(&wr, c->signature.identity.bytes);
  torc_wr_bytes(&wr, c->bytes);
  vec_add_hex(out, "", "signed_input", torc_wr_slice(&wr));
  free(input);
}

static int run_contents(const vec *v, torc_slice in, vec_text *out, torc_wr *again,
                        int *encode_rc) {
  torc_contents c;
  const char *meaning;
  int rc = torc_contents_decode(&c, in);
  if (rc != 0) {
    return rc;
  }
  vec_add_word(out, "", "kind", c.is_response ? "response" : "request");
  vec_add_number(out, "", "code", c.code);
  meaning = c.is_response ? torc_code_phrase(c.code) : torc_method_name(c.code);
  vec_add_word(out, "", "meaning", meaning != NULL && meaning[0] != '\0' ? meaning : "unknown");
  vec_add_number(out, "", "reserved", c.reserved);
  vec_add_hex(out, "", "payload", c.payload);
  vec_add_signature(out, "", &c.signature);
  add_signed_input(out, v, &c);
  *encode_rc = torc_contents_put(again, c.is_response, c.code, c.payload);
  if (*encode_rc == 0) { /* we send 0; kept here so that whatever was received can be compared */
    again->base[2] = (uint8_t)(c.reserved >> 8);
    again->base[3] = (uint8_t)c.reserved;
    *encode_rc = torc_signature_put(again, &c.signature);
  }
  return 0;
}

static int run_error(const vec *v, torc_slice in, vec_text *out, torc_wr *again, int *encode_rc) {
  torc_error_response e;
  int rc = torc_error_response_decode(&e, in);
  (void)v;
  if (rc != 0) {
    return rc;
  }
  vec_add_string(out, "", "reason_phrase", e.reason_phrase);
  vec_add_hex(out, "", "error_info", e.error_info);
  *encode_rc = torc_error_response_put(again, &e);
  return 0;
}

const vec_kind vec_message_kinds[] = {
    {"header", run_header, true},
    {"signature", run_signature, true},
    {"contents", run_contents, true},
    {"error_response", run_error, false}, /* an empty payload is accepted */
    {NULL, NULL, false},
};
