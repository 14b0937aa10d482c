/* Message contents: common header and payload [MSG], signature and signed inputs [SIG], codes
 * [ERR]. SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_CONTENTS_H
#define TORC_WIRE_CONTENTS_H

#include "base/cursor.h"
#include "torc/types.h"

typedef enum torc_method { /* request codes [MSG-06] [GAP-22] */
                           TORC_METHOD_PING = 1,
                           TORC_METHOD_CONNECT = 3,
                           TORC_METHOD_TUNNEL = 5,
                           TORC_METHOD_STORE = 7,
                           TORC_METHOD_FETCH = 9,
                           TORC_METHOD_REMOVE = 11,
                           TORC_METHOD_FIND = 13,
                           TORC_METHOD_JOIN = 15,
                           TORC_METHOD_LEAVE = 17,
                           TORC_METHOD_UPDATE = 19
} torc_method;
/* "PING" ...; NULL for an unknown code. */
const char *torc_method_name(uint16_t method);

typedef enum torc_code { /* response codes [ERR-02..10] [GAP-59] */
                         TORC_CODE_OK = 200,
                         TORC_CODE_MOVED = 302,
                         TORC_CODE_BAD_REQUEST = 400,
                         TORC_CODE_UNAUTHORIZED = 401,
                         TORC_CODE_FORBIDDEN = 403,
                         TORC_CODE_NOT_FOUND = 404,
                         TORC_CODE_METHOD = 405,
                         TORC_CODE_TIMEOUT = 408,
                         TORC_CODE_PRECONDITION = 412,
                         TORC_CODE_TOO_LARGE = 413,
                         TORC_CODE_INCOMPATIBLE = 498,
                         TORC_CODE_UNWILLING = 499,
                         TORC_CODE_UNAVAILABLE = 503
} torc_code;
/* The phrase of the code list [ERR-12] [R-40] [GAP-32]; "" for an unknown code. */
const char *torc_code_phrase(uint16_t code);

/* Signature element [SIG-02]; absent: is_present false, zero bytes [GAP-25]. */
enum {
  TORC_SIGALG_RSA_SHA1 = 0x01,
  TORC_SIGALG_RSA_SHA256 = 0x02,
  TORC_SIGALG_ECDSA_P256_SHA256 = 0x03
};
enum { TORC_IDENTITY_PEER = 1, TORC_IDENTITY_NAME = 2, TORC_IDENTITY_CERT = 3 };

typedef struct torc_identity { /* signer_identity [SIG-05] */
  uint8_t type;
  torc_id peer;     /* type 1 */
  torc_slice name;  /* type 2: UTF-8 */
  torc_slice cert;  /* type 3: DER */
  torc_slice bytes; /* decode only: the element as on the wire, tag included [GAP-50] */
} torc_identity;

typedef struct torc_signature {
  bool is_present;
  uint8_t algorithm;
  torc_slice value;
  torc_identity identity;
} torc_signature;

/* Reads a signature element, or its absence at the very end of `rd`. A partial one is
 * TORC_ERR_FORMAT/SHORT. */
int torc_signature_get(torc_rd *rd, torc_signature *out) TORC_MUST_CHECK;
/* Writes the element; nothing if absent. */
int torc_signature_put(torc_wr *wr, const torc_signature *s) TORC_MUST_CHECK;
int torc_identity_put(torc_wr *wr, const torc_identity *id) TORC_MUST_CHECK;
int torc_identity_get(torc_rd *rd, torc_identity *out) TORC_MUST_CHECK;

/* The part after the forwarding header. */
typedef struct torc_contents {
  bool is_response;
  uint16_t code;     /* method or response code, 15 bits [MSG-02] [MSG-03] */
  uint16_t reserved; /* sent 0, kept as received [GAP-24] */
  torc_slice payload;
  torc_slice
      bytes; /* decode only: common header, Length and payload as on the wire, the signed part */
  torc_signature signature;
} torc_contents;

#define TORC_CONTENTS_FIXED 8u /* common header 4, payload Length 4 */

/* Decodes everything after the header; must be consumed exactly [GAP-09]. */
int torc_contents_decode(torc_contents *out, torc_slice body) TORC_MUST_CHECK;
/* Writes common header, Length and payload, without the signature. */
int torc_contents_put(torc_wr *wr, bool is_response, uint16_t code,
                      torc_slice payload) TORC_MUST_CHECK;

/* The 12 bytes that the signed input of a message starts with: overlay ++ xid; then identity.bytes,
 * then contents.bytes follow [SIG-06] [GAP-50]. */
void torc_signed_prefix(uint8_t out[12], uint32_t overlay, uint64_t xid);

/* error_response [ERR-11]. Empty payload: both slices empty [GAP-60]. */
typedef struct torc_error_response {
  torc_slice reason_phrase; /* UTF-8 */
  torc_slice error_info;
} torc_error_response;
int torc_error_response_decode(torc_error_response *out, torc_slice payload) TORC_MUST_CHECK;
int torc_error_response_put(torc_wr *wr, const torc_error_response *e) TORC_MUST_CHECK;

#endif
