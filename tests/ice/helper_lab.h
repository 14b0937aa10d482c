/* Two ICE agents in a network that is simulated: virtual time, delay, loss, NATs of every kind,
 * relays, TCP. SPDX-License-Identifier: Apache-2.0 */
#ifndef HELPER_LAB_H
#define HELPER_LAB_H

#include "base/rng.h"
#include "ice/ice.h"

#define LAB_SOCKETS 160
#define LAB_NATS 4
#define LAB_MAPS 64
#define LAB_AGENTS 2
#define LAB_STRANGERS 40

typedef enum lab_dependence { LAB_ENDPOINT, LAB_ADDRESS, LAB_PORT } lab_dependence;

/* RFC 4787: one box, also for TCP. */
typedef struct lab_nat {
  torc_addr outside; /* without port */
  lab_dependence mapping, filtering;
  bool hairpins, drops_udp;
  uint16_t next_port;
  struct {
    bool is_tcp;
    torc_addr inside, to, outside; /* to: as far as the mapping depends on it */
    torc_addr allowed[24];         /* sent to */
    size_t num_allowed;
  } maps[LAB_MAPS];
  size_t num_maps;
} lab_nat;

typedef enum lab_kind { LAB_UDP, LAB_RELAY, LAB_LISTENER, LAB_SYN, LAB_TCP } lab_kind;

typedef struct lab_socket {
  lab_kind kind;
  int agent;
  torc_ice_socket id; /* 1.. */
  bool is_open, is_so;
  torc_addr addr, seen_as; /* seen_as: outside the NAT, of TCP */
  lab_nat *nat;
  torc_addr remote; /* SYN, TCP: as this end knows it */
  torc_ice_socket peer;
  torc_token token;
  torc_addr allowed[32]; /* RELAY: permissions, made by sending */
  size_t num_allowed;
} lab_socket;

typedef struct lab_agent {
  torc_ice *ice;
  torc_ice_id id;
  bool is_controlling;
  torc_ice_local locals[TORC_ICE_LOCAL_MAX];
  size_t num_locals;
  /* what was seen */
  bool is_selected, is_failed, is_lost;
  int rc;
  torc_ice_pair_info pair;
  torc_time first_send, valid_at, selected_at, lost_at, failed_at;
  size_t num_sends, num_selected, num_resolves, num_connects, num_closes;
  torc_token resolve;
  char resolve_name[80];
} lab_agent;

typedef struct lab_event lab_event;
typedef struct lab {
  torc_time now, delay, jitter;
  uint32_t loss_permille;
  bool reflects_all; /* every answer is seen to come from another address */
  bool is_cut;       /* nothing passes */
  torc_rng rng;
  torc_stun_crypto crypto;
  torc_ice_config cfg;
  lab_agent agents[LAB_AGENTS];
  lab_socket sockets[LAB_SOCKETS];
  size_t num_sockets;
  lab_nat nats[LAB_NATS];
  size_t num_nats;
  lab_event *events; /* by time */
  /* What went to addresses where nobody is. */
  size_t num_lost_sends;
  /* The last datagram between the agents, and a tap on all of them. */
  uint8_t last[600];
  size_t last_len;
  torc_addr last_src;
  bool (*tap)(struct lab *lab, int from_agent, uint8_t *bytes, size_t *len); /* false: dropped */
} lab;

torc_addr lab_addr(const char *ip, uint16_t port);
/* cfg->crypto is set here. */
void lab_init(lab *l, uint64_t seed);
void lab_clear(lab *l);
lab_nat *lab_add_nat(lab *l, const char *outside, lab_dependence mapping, lab_dependence filtering);
/* A UDP socket with its host candidate; behind a NAT also the server-reflexive one. */
torc_ice_socket lab_udp(lab *l, int agent, const char *ip, uint16_t port, lab_nat *nat);
torc_ice_socket lab_relay(lab *l, int agent, const char *ip, uint16_t port);
void lab_tcp(lab *l, int agent, const char *ip, uint16_t port, torc_cand_tcptype type,
             lab_nat *nat);
/* Opens a session with the candidates so far (and the agent, if need be). */
void lab_open(lab *l, int agent, bool is_controlling);
/* Gives `to` what the other one tells. */
void lab_tell(lab *l, int to);
/* As much time as that passes; or until both have ended. */
void lab_run(lab *l, torc_time span);
void lab_run_to_end(lab *l, torc_time span);
void lab_drain(lab *l);
/* A datagram out of the blue. */
void lab_inject(lab *l, int agent, torc_ice_socket socket, const torc_addr *from, torc_slice bytes);
uint64_t lab_count(const lab *l, int agent, const char *name);
torc_ice_local lab_host(const lab_socket *s, torc_cand_type type, const torc_addr *seen_as);

#endif
