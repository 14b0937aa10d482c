/* PING, CONNECT, TUNNEL, JOIN, LEAVE, UPDATE payloads, route log, address, SIP and TURN values.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_WIRE_PDU_H
#define TORC_WIRE_PDU_H

#include "wire/contents.h"

/* ip_address_and_port [ENC-07..09]. */
typedef struct torc_addr {
  uint8_t family;   /* 1: IPv4, 2: IPv6 */
  uint8_t addr[16]; /* network order; IPv4 in the first 4 bytes */
  uint16_t port;
} torc_addr;
int torc_addr_get(torc_rd *rd, torc_addr *out) TORC_MUST_CHECK;
int torc_addr_put(torc_wr *wr, const torc_addr *a) TORC_MUST_CHECK;

/* PING [PNG-03..09] [GAP-65]. */
enum {
  TORC_PING_RESPONSIBLE_SET = 0x01,
  TORC_PING_NUM_RESOURCES = 0x02,
  TORC_PING_PRIVATE_FIRST = 0xf0
};
int torc_ping_request_decode(torc_slice *codes, torc_slice payload) TORC_MUST_CHECK;
int torc_ping_request_put(torc_wr *wr, torc_slice codes) TORC_MUST_CHECK;
typedef struct torc_ping_info {
  uint16_t type;
  uint32_t number;   /* types 1 and 2 */
  torc_slice opaque; /* types 0x00f0..0x00ff: opaque<255> */
} torc_ping_info;
typedef struct torc_ping_response {
  uint64_t response_id;
  torc_slice infos; /* elements, borrowed */
} torc_ping_response;
int torc_ping_response_decode(torc_ping_response *out, torc_slice payload) TORC_MUST_CHECK;
/* False at the end or at an unknown type: the rest cannot be parsed and is ignored [GAP-65]. */
bool torc_ping_info_next(torc_rd *rd, torc_ping_info *out);
size_t torc_ping_response_begin(torc_wr *wr, uint64_t response_id);
int torc_ping_info_put(torc_wr *wr, const torc_ping_info *i) TORC_MUST_CHECK;
void torc_ping_response_end(torc_wr *wr, size_t mark);

/* CONNECT [CON-04..10], request and response alike. */
#define TORC_APPLICATION_SIP 5060
#define TORC_APPLICATION_SIPS 5061
typedef struct torc_connect_data {
  torc_slice ufrag, password; /* UTF-8, no NUL */
  uint16_t application;
  torc_slice fingerprint; /* "sha-256 AA:BB:.." [GAP-72] */
  torc_slice role;        /* "active", "passive", "actpass", ... [GAP-73] */
  torc_slice candidates;  /* 2-byte-prefixed candidate strings, borrowed */
} torc_connect_data;
int torc_connect_decode(torc_connect_data *out, torc_slice payload) TORC_MUST_CHECK;
bool torc_candidate_next(torc_rd *rd, torc_slice *candidate_string);
int torc_connect_put(torc_wr *wr, const torc_connect_data *c, const torc_slice *candidates,
                     size_t num_candidates) TORC_MUST_CHECK;

/* A candidate-attribute [CON-10] [GAP-71]. */
typedef enum torc_cand_transport { TORC_CAND_UDP = 1, TORC_CAND_TCP = 2 } torc_cand_transport;
typedef enum torc_cand_type {
  TORC_CAND_HOST = 1,
  TORC_CAND_SRFLX = 2,
  TORC_CAND_PRFLX = 3,
  TORC_CAND_RELAY = 4
} torc_cand_type;
typedef enum torc_cand_tcptype {
  TORC_TCPTYPE_NONE = 0,
  TORC_TCPTYPE_ACTIVE = 1,
  TORC_TCPTYPE_PASSIVE = 2,
  TORC_TCPTYPE_SO = 3
} torc_cand_tcptype;
typedef struct torc_candidate {
  char foundation[33]; /* NUL-terminated */
  uint16_t component;
  torc_cand_transport transport;
  uint32_t priority;
  torc_addr addr;  /* family 0: the address is a name, see `host` */
  torc_slice host; /* address text as written, borrowed */
  torc_cand_type type;
  torc_addr raddr; /* family 0: none */
  torc_cand_tcptype tcptype;
} torc_candidate;
/* TORC_ERR_FORMAT: unparseable; the caller skips it [GAP-71]. Tolerates "a=" and tcp-act, tcp-pass,
 * tcp-so. */
int torc_candidate_parse(torc_slice text, torc_candidate *out) TORC_MUST_CHECK;
/* Writes "candidate:..." without "a=", CRLF or NUL [GAP-71]. */
int torc_candidate_format(torc_wr *wr, const torc_candidate *c) TORC_MUST_CHECK;
/* Text form of an address without port; IPv6 without brackets; NUL-terminated. */
#define TORC_ADDR_TEXT_MAX 46
char *torc_addr_format(const torc_addr *a, char out[TORC_ADDR_TEXT_MAX]);
/* Parses an IPv4 or IPv6 literal; port is set to 0. */
int torc_addr_parse(torc_slice text, torc_addr *out) TORC_MUST_CHECK;

/* TUNNEL [TUN-02]. */
typedef struct torc_tunnel_data {
  uint16_t application;
  torc_slice dialog_id; /* raw bytes [GAP-10] */
  torc_slice application_pdu;
} torc_tunnel_data;
int torc_tunnel_decode(torc_tunnel_data *out, torc_slice payload) TORC_MUST_CHECK;
int torc_tunnel_put(torc_wr *wr, const torc_tunnel_data *t) TORC_MUST_CHECK;

/* JOIN [JOI-05] and LEAVE [LEA-02]: a peer-id and DHT-specific bytes to the end of the payload
 * [GAP-03]. */
typedef struct torc_peer_notice {
  torc_id peer; /* desired_peer_id or leaving_peer_id */
  torc_slice dht_specific;
} torc_peer_notice;
int torc_peer_notice_decode(torc_peer_notice *out, torc_slice payload) TORC_MUST_CHECK;
int torc_peer_notice_put(torc_wr *wr, const torc_peer_notice *n) TORC_MUST_CHECK;

/* chord_update [CHD-20] [GAP-113]: at most 15 ids a list, nearest first. 0 and all ones: malformed
 * [R-46]. */
#define TORC_CHORD_LIST_MAX 15
typedef struct torc_chord_update {
  torc_id predecessors[TORC_CHORD_LIST_MAX];
  torc_id successors[TORC_CHORD_LIST_MAX];
  size_t num_predecessors, num_successors;
} torc_chord_update;
int torc_chord_update_decode(torc_chord_update *out, torc_slice payload) TORC_MUST_CHECK;
int torc_chord_update_put(torc_wr *wr, const torc_chord_update *u) TORC_MUST_CHECK;

/* full-mesh UPDATE, private (docs/spec/extensions.md): peer_id peers<65000>, every peer the sender
 * is linked to. `peers` borrows a multiple of 16 bytes. */
int torc_mesh_update_decode(torc_slice *peers, torc_slice payload) TORC_MUST_CHECK;
int torc_mesh_update_put(torc_wr *wr, torc_slice peers) TORC_MUST_CHECK;

/* route_log_entry [LOG-05] [LOG-06]. */
enum {
  TORC_TRANSPORT_TLS = 1,
  TORC_TRANSPORT_DTLS = 2,
  TORC_TRANSPORT_WS = 3,
  TORC_TRANSPORT_DC = 4
}; /* [D-22] */
typedef struct torc_route_log_entry {
  torc_slice version; /* textual */
  uint8_t transport;
  torc_id id;
  uint32_t uptime_s;
  torc_slice certificate; /* may be empty [LOG-08] */
  torc_addr address;
} torc_route_log_entry;
bool torc_route_log_next(torc_rd *rd, torc_route_log_entry *out); /* rd->err on bad form */
int torc_route_log_entry_put(torc_wr *wr, const torc_route_log_entry *e) TORC_MUST_CHECK;

/* sip_registration [SIP-12] [SIP-13] [GAP-145]. */
typedef struct torc_sip_registration {
  uint8_t kind;             /* 1: URI, 2: route */
  torc_slice uri;           /* kind 1, UTF-8 */
  torc_slice contact_prefs; /* kind 2, UTF-8 */
  torc_slice route_list;    /* kind 2, a multiple of 16 bytes */
} torc_sip_registration;
int torc_sip_registration_decode(torc_sip_registration *out, torc_slice value) TORC_MUST_CHECK;
int torc_sip_registration_put(torc_wr *wr, const torc_sip_registration *r) TORC_MUST_CHECK;

/* turn_server [TRN-05]. */
typedef struct torc_turn_server {
  uint8_t iteration;
  torc_addr address;
} torc_turn_server;
int torc_turn_server_decode(torc_turn_server *out, torc_slice value) TORC_MUST_CHECK;
int torc_turn_server_put(torc_wr *wr, const torc_turn_server *t) TORC_MUST_CHECK;

#endif
