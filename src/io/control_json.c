/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "io/control_impl.h"

void control_put(json_t *object, const char *name, json_t *value) {
  (void)json_object_set_new(object, name,
                            value); /* NULL for lack of memory: the field is missing */
}

json_t *control_id(const torc_id *id) {
  char hex[TORC_ID_HEX_LEN + 1];
  return json_string(torc_id_hex(id, hex));
}

json_t *control_ids(const torc_id *ids, size_t num) {
  json_t *list = json_array();
  for (size_t i = 0; i < num; i++) {
    (void)json_array_append_new(list, control_id(&ids[i]));
  }
  return list;
}

/* U+0080 to U+009F steer terminals as well. */
static bool is_control(torc_slice s, size_t i) {
  bool is_upper = s.p[i] == 0xc2 && i + 1 < s.len && s.p[i + 1] < 0xa0;
  return (s.p[i] < 0x20 && s.p[i] != '\n' && s.p[i] != '\t') || s.p[i] == 0x7f || is_upper;
}

bool control_is_text(torc_slice s) {
  for (size_t i = 0; i < s.len; i++) {
    if (is_control(s, i)) {
      return false;
    }
  }
  return torc_utf8_valid(s);
}

static json_t *base64(torc_slice s) {
  size_t cap = (s.len + 2) / 3 * 4 + 1;
  char *text = s.len > INT32_MAX / 2 ? NULL : malloc(cap);
  if (text == NULL) {
    return NULL;
  }
  int len = EVP_EncodeBlock((unsigned char *)text, s.p, (int)s.len);
  json_t *value = json_stringn(text, (size_t)len);
  free(text);
  return value;
}

void control_put_bytes(json_t *object, const char *name, torc_slice bytes) {
  char other[64];
  if (bytes.len == 0) {
    control_put(object, name, json_string(""));
  } else if (control_is_text(bytes)) {
    control_put(object, name, json_stringn((const char *)bytes.p, bytes.len));
  } else {
    (void)snprintf(other, sizeof other, "%s_base64", name);
    control_put(object, other, base64(bytes));
  }
}

json_t *control_type_text(uint32_t type) {
  char text[16];
  (void)snprintf(text, sizeof text, "0x%06X", (unsigned)type);
  return json_string(text);
}

int control_get_id(control_request *r, const json_t *object, const char *name, torc_id *out) {
  const json_t *value = json_object_get(object, name);
  if (value == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  if (!json_is_string(value) ||
      torc_id_parse(json_string_value(value), json_string_length(value), out) != 0) {
    return control_fail(r, TORC_ERR_FORMAT, "'%s' is no id: expected 32 hex digits", name);
  }
  return 0;
}

static int copy_text(const json_t *value, uint8_t **out, size_t *len) {
  size_t n = json_string_length(value);
  uint8_t *copy = malloc(n + 1);
  if (copy == NULL) {
    return TORC_ERR_NOMEM;
  }
  memcpy(copy, json_string_value(value), n);
  *out = copy;
  *len = n;
  return 0;
}

/* Strict: whole groups of four, padding only at the end. */
static int decode_base64(const json_t *value, uint8_t **out, size_t *len) {
  const char *text = json_string_value(value);
  size_t n = json_string_length(value);
  if (n % 4 != 0 || n > TORC_CONTROL_LINE_MAX) {
    return TORC_ERR_FORMAT;
  }
  uint8_t *bytes = malloc(n / 4 * 3 + 1);
  if (bytes == NULL) {
    return TORC_ERR_NOMEM;
  }
  int got = n == 0 ? 0 : EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
  if (got < 0) {
    free(bytes);
    return TORC_ERR_FORMAT;
  }
  size_t pad = n > 0 && text[n - 1] == '=' ? (text[n - 2] == '=' ? 2 : 1) : 0;
  *out = bytes;
  *len = (size_t)got - pad;
  return 0;
}

int control_get_bytes(control_request *r, const json_t *object, const char *name, uint8_t **out,
                      size_t *len) {
  char other[64];
  const json_t *text = json_object_get(object, name);
  (void)snprintf(other, sizeof other, "%s_base64", name);
  const json_t *coded = json_object_get(object, other);
  if (text == NULL && coded == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  if (text != NULL && coded != NULL) {
    return control_fail(r, TORC_ERR_INVALID, "'%s' and '%s' are both given", name, other);
  }
  int rc = TORC_ERR_FORMAT;
  if (json_is_string(text)) {
    rc = copy_text(text, out, len);
  } else if (json_is_string(coded)) {
    rc = decode_base64(coded, out, len);
  }
  if (rc != 0) {
    return control_fail(r, rc, "'%s' is no %s", text != NULL ? name : other,
                        text != NULL ? "text" : "base64");
  }
  return 0;
}

int control_get_number(control_request *r, const json_t *object, const char *name, uint64_t max,
                       uint64_t *out) {
  const json_t *value = json_object_get(object, name);
  if (value == NULL) {
    return TORC_ERR_NOTFOUND;
  }
  json_int_t v = json_integer_value(value);
  if (!json_is_integer(value) || v < 0 || (uint64_t)v > max) {
    return control_fail(r, TORC_ERR_FORMAT, "'%s' is no number of 0 to %llu", name,
                        (unsigned long long)max);
  }
  *out = (uint64_t)v;
  return 0;
}

/* [ARC-17] [D-11]: the first 16 bytes of SHA-256 over the 16 raw bytes of a peer-id [GAP-108]. */
static int hash_peer(const torc_id *peer, torc_id *out) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  if (EVP_Digest(peer->b, TORC_ID_LEN, digest, &len, EVP_sha256(), NULL) != 1 ||
      len < TORC_ID_LEN) {
    return TORC_ERR_CRYPTO;
  }
  memcpy(out->b, digest, TORC_ID_LEN);
  return 0;
}

int control_get_resource(control_request *r, torc_id *out) {
  torc_id peer;
  const json_t *name = json_object_get(r->json, "name");
  int rc = control_get_id(r, r->json, "resource", out);
  if (rc != TORC_ERR_NOTFOUND) {
    return rc;
  }
  rc = control_get_id(r, r->json, "node", &peer);
  if (rc == 0) {
    rc = hash_peer(&peer, out);
  }
  if (rc != TORC_ERR_NOTFOUND) {
    return rc;
  }
  if (!json_is_string(name) || json_string_length(name) == 0) {
    return control_fail(r, TORC_ERR_INVALID, "one of 'name', 'resource' and 'node' is needed");
  }
  torc_slice seed = torc_slice_of(json_string_value(name), json_string_length(name));
  rc = torc_node_resource_id(r->control->node, seed, out);
  if (rc != 0) {
    return control_fail(r, rc, "'%.80s' is no usable name: %s", json_string_value(name),
                        torc_strerror(rc));
  }
  return 0;
}

int control_get_type(control_request *r, const json_t *object, control_type *out) {
  const json_t *type = json_object_get(object, "type");
  if (!json_is_string(type)) {
    return control_fail(r, TORC_ERR_INVALID, "'type' is needed: a name or a number as text");
  }
  torc_slice name = torc_slice_of(json_string_value(type), json_string_length(type));
  int rc = torc_node_type(r->control->node, name, &out->id, &out->model);
  if (rc != 0) {
    return control_fail(r, rc, "the overlay configuration declares no type '%.64s'",
                        json_string_value(type));
  }
  (void)snprintf(out->name, sizeof out->name, "%s", json_string_value(type));
  return 0;
}

int control_get_route(control_request *r, torc_id route[16], size_t *num) {
  const json_t *list = json_object_get(r->json, "route");
  size_t len = json_array_size(list);
  if (len == 0 || len > 16) {
    return control_fail(r, TORC_ERR_INVALID, "'route' is a list of 1 to 16 ids");
  }
  for (size_t i = 0; i < len; i++) {
    const json_t *value = json_array_get(list, i);
    if (!json_is_string(value) ||
        torc_id_parse(json_string_value(value), json_string_length(value), &route[i]) != 0) {
      return control_fail(r, TORC_ERR_FORMAT, "entry %zu of 'route' is no id of 32 hex digits", i);
    }
  }
  *num = len;
  return 0;
}
