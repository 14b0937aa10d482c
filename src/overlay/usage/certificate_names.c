/* Just enough DER to find the SubjectAltName [GAP-134].
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/usage/certificate_names.h"

#include <string.h>

#include "base/cursor.h"
#include "base/id.h"
#include "base/slice.h"

enum {
  DER_BIT_STRING = 0x03,
  DER_INTEGER = 0x02,
  DER_BOOLEAN = 0x01,
  DER_OCTET_STRING = 0x04,
  DER_OID = 0x06,
  DER_SEQUENCE = 0x30,
  DER_VERSION = 0xa0,    /* [0] explicit */
  DER_EXTENSIONS = 0xa3, /* [3] explicit */
  DER_RFC822_NAME = 0x81,
  DER_URI = 0x86
};
static const uint8_t oid_subject_alt_name[] = {0x55, 0x1d, 0x11};
static const char uri_scheme[] = "reload://";
static const char uri_long_form[] =
    "0110"; /* RFC 6940 writes the kind and length of the destination first */

/* Reads one element; `whole` (if not NULL) gets it with its tag and length. An empty slice and tag
 * 0 after an error. */
static torc_slice der_next(torc_rd *rd, uint8_t *tag, torc_slice *whole) {
  const uint8_t *start = rd->p;
  *tag = torc_rd_u8(rd);
  size_t len = torc_rd_u8(rd);
  if (len > 0x80) {
    size_t num = len - 0x80;
    if (num > 3) {
      torc_rd_fail(rd, TORC_ERR_FORMAT);
    }
    len = 0;
    for (size_t i = 0; i < num && rd->err == 0; i++) {
      len = len << 8 | torc_rd_u8(rd);
    }
  } else if (len == 0x80) {
    torc_rd_fail(rd, TORC_ERR_FORMAT); /* indefinite length is not DER */
  }
  torc_slice value = torc_rd_slice(rd, len);
  if (rd->err != 0) {
    *tag = 0;
    return torc_slice_of(NULL, 0);
  }
  if (whole != NULL) {
    *whole = torc_slice_of(start, (size_t)(rd->p - start));
  }
  return value;
}

static torc_slice der_expect(torc_rd *rd, uint8_t want, torc_slice *whole) {
  uint8_t tag = 0;
  torc_slice value = der_next(rd, &tag, whole);
  if (rd->err == 0 && tag != want) {
    torc_rd_fail(rd, TORC_ERR_FORMAT);
    return torc_slice_of(NULL, 0);
  }
  return value;
}

static bool starts_with(torc_slice s, const char *text) {
  size_t len = strlen(text);
  return s.len >= len && memcmp(s.p, text, len) == 0;
}

static void take_uri(torc_certificate_names *out, torc_slice uri) {
  if (out->num_peers == TORC_CERT_MAX_PEERS || !starts_with(uri, uri_scheme)) {
    return;
  }
  torc_slice rest = torc_slice_sub(uri, strlen(uri_scheme), uri.len - strlen(uri_scheme));
  if (rest.len > strlen(uri_long_form) + TORC_ID_HEX_LEN && starts_with(rest, uri_long_form) &&
      rest.p[strlen(uri_long_form) + TORC_ID_HEX_LEN] == '@') {
    rest = torc_slice_sub(rest, strlen(uri_long_form), rest.len - strlen(uri_long_form));
  }
  if (rest.len <= TORC_ID_HEX_LEN || rest.p[TORC_ID_HEX_LEN] != '@') {
    return;
  }
  torc_id peer;
  if (torc_id_parse((const char *)rest.p, TORC_ID_HEX_LEN, &peer) == 0 && torc_id_is_peer(&peer)) {
    out->peers[out->num_peers] = peer;
    out->num_peers++;
  }
}

static int read_names(torc_certificate_names *out, torc_slice san) {
  torc_rd outer;
  torc_rd_init(&outer, san);
  torc_slice list = der_expect(&outer, DER_SEQUENCE, NULL);
  int rc = torc_rd_finish(&outer);
  if (rc != 0) {
    return rc;
  }
  torc_rd rd;
  torc_rd_init(&rd, list);
  while (rd.err == 0 && torc_rd_left(&rd) > 0) {
    uint8_t tag = 0;
    torc_slice name = der_next(&rd, &tag, NULL);
    if (tag == DER_RFC822_NAME && out->num_users < TORC_CERT_MAX_USERS) {
      out->users[out->num_users] = name;
      out->num_users++;
    } else if (tag == DER_URI) {
      take_uri(out, name);
    }
  }
  return rd.err;
}

static int read_extensions(torc_certificate_names *out, torc_slice explicit_list) {
  torc_rd outer;
  torc_rd_init(&outer, explicit_list);
  torc_slice list = der_expect(&outer, DER_SEQUENCE, NULL);
  int rc = torc_rd_finish(&outer);
  torc_rd rd;
  torc_rd_init(&rd, list);
  while (rc == 0 && torc_rd_left(&rd) > 0) {
    torc_rd ext;
    torc_rd_init(&ext, der_expect(&rd, DER_SEQUENCE, NULL));
    torc_slice oid = der_expect(&ext, DER_OID, NULL);
    uint8_t tag = 0;
    torc_slice value = der_next(&ext, &tag, NULL);
    if (tag == DER_BOOLEAN) {
      value = der_next(&ext, &tag, NULL);
    }
    if (tag != DER_OCTET_STRING) {
      torc_rd_fail(&ext, TORC_ERR_FORMAT);
    }
    rc = rd.err != 0 ? rd.err : torc_rd_finish(&ext);
    if (rc == 0 &&
        torc_slice_eq(oid, torc_slice_of(oid_subject_alt_name, sizeof oid_subject_alt_name))) {
      rc = read_names(out, value);
    }
  }
  return rc;
}

int torc_certificate_names_read(torc_certificate_names *out, torc_slice der) {
  torc_certificate_names names = {.num_peers = 0};
  torc_rd outer;
  torc_rd_init(&outer, der);
  torc_rd cert;
  torc_rd_init(&cert, der_expect(&outer, DER_SEQUENCE, NULL));
  int rc = torc_rd_finish(&outer);
  if (rc != 0) {
    return rc;
  }
  torc_rd tbs;
  torc_rd_init(&tbs, der_expect(&cert, DER_SEQUENCE, NULL));
  (void)der_expect(&cert, DER_SEQUENCE, NULL);   /* signatureAlgorithm */
  (void)der_expect(&cert, DER_BIT_STRING, NULL); /* signatureValue */
  rc = torc_rd_finish(&cert);
  if (rc != 0) {
    return rc;
  }
  (void)der_expect(&tbs, DER_VERSION, NULL);
  (void)der_expect(&tbs, DER_INTEGER, NULL);
  (void)der_expect(&tbs, DER_SEQUENCE, NULL); /* signature */
  (void)der_expect(&tbs, DER_SEQUENCE, &names.issuer);
  (void)der_expect(&tbs, DER_SEQUENCE, NULL); /* validity */
  (void)der_expect(&tbs, DER_SEQUENCE, NULL); /* subject */
  (void)der_expect(&tbs, DER_SEQUENCE, NULL); /* subjectPublicKeyInfo */
  while (rc == 0 && tbs.err == 0 && torc_rd_left(&tbs) > 0) {
    uint8_t tag = 0;
    torc_slice value = der_next(&tbs, &tag, NULL);
    if (tag == DER_EXTENSIONS) {
      rc = read_extensions(&names, value);
    }
  }
  if (rc == 0) {
    rc = tbs.err;
  }
  if (rc == 0) {
    *out = names;
  }
  return rc;
}
