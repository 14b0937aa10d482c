/* STUN messages [ICE-07] [ICE-27] [ICE-33], RFC 8489: header, attributes, addresses, errors. The
 * attributes of ICE (RFC 8445) and TURN (RFC 8656, 6062) too. Integrity is stun_auth.h's matter.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_STUN_H
#define TORC_WIRE_STUN_H

#include "base/cursor.h"
#include "wire/pdu.h"

#define TORC_STUN_COOKIE 0x2112a442u
#define TORC_STUN_HEADER_LEN 20u
#define TORC_STUN_TXID_LEN 12u
#define TORC_STUN_MAX 65552u      /* header and the longest Message Length, a multiple of 4 */
#define TORC_STUN_MAX_ATTRS 128u  /* attributes read in one message; more is no honest message */
#define TORC_STUN_MAX_UNKNOWN 16u /* named in UNKNOWN-ATTRIBUTES; more are counted only */
#define TORC_STUN_TEXT_MAX 763u   /* REALM, NONCE, SOFTWARE, reason phrase: 127 characters */
#define TORC_STUN_USERNAME_MAX 508u
#define TORC_STUN_USERHASH_LEN 32u

typedef enum torc_stun_class {
  TORC_STUN_REQUEST = 0,
  TORC_STUN_INDICATION = 1,
  TORC_STUN_SUCCESS = 2,
  TORC_STUN_ERROR = 3
} torc_stun_class;

enum { /* methods */
       TORC_STUN_BINDING = 0x001,
       TORC_STUN_ALLOCATE = 0x003,
       TORC_STUN_REFRESH = 0x004,
       TORC_STUN_SEND = 0x006,
       TORC_STUN_DATA = 0x007,
       TORC_STUN_CREATE_PERMISSION = 0x008,
       TORC_STUN_CHANNEL_BIND = 0x009,
       TORC_STUN_CONNECT = 0x00a,
       TORC_STUN_CONNECTION_BIND = 0x00b,
       TORC_STUN_CONNECTION_ATTEMPT = 0x00c,
       TORC_STUN_METHOD_MAX = 0xfff
};

/* The attributes that are understood: name, type, shortest and longest value. Below 0x8000 one that
 * is not in this list must be refused (comprehension-required). */
#define TORC_STUN_ATTRS(X)                    \
  X(MAPPED_ADDRESS, 0x0001, 8, 20)            \
  X(USERNAME, 0x0006, 0, 508)                 \
  X(MESSAGE_INTEGRITY, 0x0008, 20, 20)        \
  X(ERROR_CODE, 0x0009, 4, 767)               \
  X(UNKNOWN_ATTRIBUTES, 0x000a, 0, 65535)     \
  X(CHANNEL_NUMBER, 0x000c, 4, 4)             \
  X(LIFETIME, 0x000d, 4, 4)                   \
  X(XOR_PEER_ADDRESS, 0x0012, 8, 20)          \
  X(DATA, 0x0013, 0, 65535)                   \
  X(REALM, 0x0014, 0, 763)                    \
  X(NONCE, 0x0015, 0, 763)                    \
  X(XOR_RELAYED_ADDRESS, 0x0016, 8, 20)       \
  X(REQUESTED_ADDRESS_FAMILY, 0x0017, 4, 4)   \
  X(EVEN_PORT, 0x0018, 1, 1)                  \
  X(REQUESTED_TRANSPORT, 0x0019, 4, 4)        \
  X(DONT_FRAGMENT, 0x001a, 0, 0)              \
  X(MESSAGE_INTEGRITY_SHA256, 0x001c, 16, 32) \
  X(PASSWORD_ALGORITHM, 0x001d, 4, 65535)     \
  X(USERHASH, 0x001e, 32, 32)                 \
  X(XOR_MAPPED_ADDRESS, 0x0020, 8, 20)        \
  X(RESERVATION_TOKEN, 0x0022, 8, 8)          \
  X(PRIORITY, 0x0024, 4, 4)                   \
  X(USE_CANDIDATE, 0x0025, 0, 0)              \
  X(CONNECTION_ID, 0x002a, 4, 4)              \
  X(ADDITIONAL_ADDRESS_FAMILY, 0x8000, 4, 4)  \
  X(ADDRESS_ERROR_CODE, 0x8001, 4, 767)       \
  X(PASSWORD_ALGORITHMS, 0x8002, 0, 65535)    \
  X(ALTERNATE_DOMAIN, 0x8003, 0, 255)         \
  X(ICMP, 0x8004, 8, 8)                       \
  X(SOFTWARE, 0x8022, 0, 763)                 \
  X(ALTERNATE_SERVER, 0x8023, 8, 20)          \
  X(FINGERPRINT, 0x8028, 4, 4)                \
  X(ICE_CONTROLLED, 0x8029, 8, 8)             \
  X(ICE_CONTROLLING, 0x802a, 8, 8)

enum {
#define X(name_, type_, min_, max_) TORC_STUN_ATTR_##name_ = (type_),
  TORC_STUN_ATTRS(X)
#undef X
};

typedef enum torc_stun_known {
#define X(name_, type_, min_, max_) TORC_STUN_KNOWN_##name_,
  TORC_STUN_ATTRS(X)
#undef X
      TORC_STUN_NUM_KNOWN
} torc_stun_known;

/* A decoded message; everything in it borrows from the datagram. */
typedef struct torc_stun_msg {
  torc_slice bytes; /* the whole message */
  torc_stun_class cls;
  uint16_t method; /* 12 bits */
  uint8_t txid[TORC_STUN_TXID_LEN];
  uint16_t at[TORC_STUN_NUM_KNOWN]; /* the first of each: its offset / 4; 0: none */
  uint16_t unknown[TORC_STUN_MAX_UNKNOWN];
  uint32_t num_unknown; /* comprehension-required and not understood; may exceed the array */
} torc_stun_msg;

/* What the first byte of a datagram on the shared port says [GAP-82] [CON-15]. */
typedef enum torc_first_byte {
  TORC_FIRST_OTHER,
  TORC_FIRST_STUN,   /* 0..3 */
  TORC_FIRST_DTLS,   /* 20..63 */
  TORC_FIRST_CHANNEL /* 64..79: a TURN channel */
} torc_first_byte;
torc_first_byte torc_first_byte_of(torc_slice datagram);

/* Length of the message that begins a stream (TURN over TCP). TORC_ERR_SHORT: fewer than 20 bytes
 * yet. TORC_ERR_FORMAT: no STUN message. */
int torc_stun_frame_peek(torc_slice bytes, size_t *len) TORC_MUST_CHECK;

/* Decodes exactly one message. TORC_ERR_FORMAT: first bits, cookie, a Message Length that is not
 * what is left or no multiple of 4, an attribute that ends outside, a known one with an impossible
 * length, something after FINGERPRINT, a wrong FINGERPRINT, more than TORC_STUN_MAX_ATTRS.
 * TORC_ERR_SHORT: less than its header says. What stands after an integrity attribute is passed
 * over, as RFC 8489 14.5 and 14.6 say, and is not in `at`; of an attribute that is there twice the
 * first counts. */
int torc_stun_decode(torc_stun_msg *out, torc_slice bytes) TORC_MUST_CHECK;

bool torc_stun_has(const torc_stun_msg *m, torc_stun_known attr);
/* Value of the first such attribute; empty if there is none. */
torc_slice torc_stun_value(const torc_stun_msg *m, torc_stun_known attr);

/* All attributes in order, up to the integrity attributes and known or not: attributes that may
 * come several times (XOR-PEER-ADDRESS of CreatePermission) are read so. Start with a reader from
 * torc_stun_attrs. */
torc_rd torc_stun_attrs(const torc_stun_msg *m);
bool torc_stun_attr_next(torc_rd *rd, uint16_t *type, torc_slice *value);

/* Typed values. TORC_ERR_NOTFOUND: none. TORC_ERR_FORMAT: not of this form. */
int torc_stun_get_u32(const torc_stun_msg *m, torc_stun_known attr, uint32_t *out) TORC_MUST_CHECK;
int torc_stun_get_u64(const torc_stun_msg *m, torc_stun_known attr, uint64_t *out) TORC_MUST_CHECK;
int torc_stun_get_addr(const torc_stun_msg *m, torc_stun_known attr,
                       torc_addr *out) TORC_MUST_CHECK;
/* An address value; `txid` NULL: plain (MAPPED-ADDRESS, ALTERNATE-SERVER), else XORed. */
int torc_stun_addr_read(torc_slice value, const uint8_t *txid, torc_addr *out) TORC_MUST_CHECK;
/* Code 300..699 and the reason, which is empty when it is no UTF-8: it is for people. */
int torc_stun_get_error(const torc_stun_msg *m, uint16_t *code, torc_slice *reason) TORC_MUST_CHECK;
/* Type i of UNKNOWN-ATTRIBUTES; false: no more. */
bool torc_stun_unknown_at(const torc_stun_msg *m, size_t i, uint16_t *type);

bool torc_stun_addr_eq(const torc_addr *a, const torc_addr *b);

/* Writes one message behind what `wr` holds already. The Message Length is right after each call;
 * an error sticks in wr->err. */
typedef struct torc_stun_wr {
  torc_wr *wr; /* borrowed */
  size_t start;
  uint8_t txid[TORC_STUN_TXID_LEN];
} torc_stun_wr;

void torc_stun_begin(torc_stun_wr *w, torc_wr *wr, torc_stun_class cls, uint16_t method,
                     const uint8_t txid[TORC_STUN_TXID_LEN]);
/* Any attribute. TORC_ERR_LIMIT in the writer: longer than 65535 bytes, or than this attribute may
 * be, or shorter. */
void torc_stun_put(torc_stun_wr *w, uint16_t type, torc_slice value);
void torc_stun_put_flag(torc_stun_wr *w, uint16_t type);          /* USE-CANDIDATE, DONT-FRAGMENT */
void torc_stun_put_u8(torc_stun_wr *w, uint16_t type, uint8_t v); /* EVEN-PORT */
void torc_stun_put_u32(torc_stun_wr *w, uint16_t type, uint32_t v); /* PRIORITY, LIFETIME, ... */
void torc_stun_put_u64(torc_stun_wr *w, uint16_t type, uint64_t v); /* ICE-CONTROLLED, ... */
void torc_stun_put_addr(torc_stun_wr *w, uint16_t type, const torc_addr *a); /* plain */
void torc_stun_put_xor_addr(torc_stun_wr *w, uint16_t type, const torc_addr *a);
void torc_stun_put_error(torc_stun_wr *w, uint16_t code, const char *reason);
/* The attributes of `m` that were not understood, at most TORC_STUN_MAX_UNKNOWN of them. */
void torc_stun_put_unknown(torc_stun_wr *w, const torc_stun_msg *m);
/* The last attribute: FINGERPRINT. */
void torc_stun_put_fingerprint(torc_stun_wr *w);
/* The message so far. */
torc_slice torc_stun_written(const torc_stun_wr *w);
/* For stun_auth.c: sets the Message Length as if `more` bytes followed. */
void torc_stun_patch_len(torc_stun_wr *w, size_t more);

#endif
