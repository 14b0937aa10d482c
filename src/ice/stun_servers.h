/* Which of the connected peers are used as STUN servers [ICE-08..14] [GAP-80]. Sans-I/O, and it
 * sends nothing: gather.h asks and tells the answers. Lies in its owner, allocates nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_ICE_STUN_SERVERS_H
#define TORC_ICE_STUN_SERVERS_H

#include "wire/pdu.h"

#define TORC_STUN_SERVERS_MAX 64u /* peers that are remembered */
#define TORC_STUN_GROUPS_MAX 4u   /* of which one each is selected [GAP-80] */

/* A connected peer, or a server of the configuration [ICE-09]; the caller's number, not 0. */
typedef uint64_t torc_stun_server_id;

typedef struct torc_stun_server {
  torc_stun_server_id id; /* 0: free */
  torc_addr addr;         /* where it answers Binding requests */
  torc_addr reflexive;    /* how it sees us; family 0: not known, it is in no group */
  torc_time confirmed_at;
  bool has_failed; /* did not answer the last time */
  bool is_selected;
} torc_stun_server;

typedef struct torc_stun_servers {
  torc_stun_server list[TORC_STUN_SERVERS_MAX];
  uint64_t num_refused; /* beyond TORC_STUN_SERVERS_MAX */
  uint64_t version;     /* another whenever the selection may be another */
} torc_stun_servers;

void torc_stun_servers_init(torc_stun_servers *s);

/* A connection to a peer that answers on UDP at `addr` stands. An address that changed leaves its
 * group. TORC_ERR_LIMIT. */
int torc_stun_servers_add(torc_stun_servers *s, torc_stun_server_id id,
                          const torc_addr *addr) TORC_MUST_CHECK;
/* The connection is lost [ICE-12] [ICE-13]; another of its group is selected at once [ICE-14]. */
void torc_stun_servers_remove(torc_stun_servers *s, torc_stun_server_id id);
/* It answered, and sees us as `reflexive`: so it is of the group of that address [ICE-10]. The port
 * does not count: behind a NAT that maps each destination by itself every peer sees another. */
void torc_stun_servers_confirm(torc_stun_servers *s, torc_stun_server_id id,
                               const torc_addr *reflexive, torc_time now);
/* It did not answer: another of its group is selected, if there is one that did. */
void torc_stun_servers_failed(torc_stun_servers *s, torc_stun_server_id id);

/* One of each group [ICE-11], the group confirmed most recently first; returns how many. */
size_t torc_stun_servers_selected(const torc_stun_servers *s,
                                  const torc_stun_server *out[TORC_STUN_GROUPS_MAX]);
/* The next one behind `*at` (start: 0) that was never asked; NULL: none. */
const torc_stun_server *torc_stun_servers_unasked(const torc_stun_servers *s, size_t *at);
/* Those that did not answer and are in no group count as never asked again. */
void torc_stun_servers_forgive(torc_stun_servers *s);
/* The same address, whatever the ports. */
bool torc_stun_same_host(const torc_addr *a, const torc_addr *b);
const torc_stun_server *torc_stun_servers_find(const torc_stun_servers *s, torc_stun_server_id id);

#endif
