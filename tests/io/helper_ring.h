/* Real peers in one process: an overlay on loopback with files of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_TESTS_HELPER_RING_H
#define TORC_TESTS_HELPER_RING_H

#include <stdio.h>

#include "io/helper_pki.h"
#include "io/peer_impl.h"
#include "torc/peer.h"

#define HR_PEERS_MAX 8
#define HR_OVERLAY "ring.example.org"

typedef struct hr_ring {
  char dir[256];
  hp_ca ca;
  uint16_t port; /* of the bootstrap peer, chosen by the system */
  const char *algorithm;
  torc_net_limits limits;
  torc_peer *peers[HR_PEERS_MAX];
  size_t num;
  FILE *log_file; /* TORC_TEST_LOG */
  torc_log log;
} hr_ring;

/* Makes directory, authority and document; the bootstrap-peer is 127.0.0.1 with a port that was
 * free just now. */
void hr_open(hr_ring *r, const char *algorithm);
void hr_close(hr_ring *r);
/* Fills a configuration for peer `i`; strings live in `r`'s directory and static storage until the
 * next call. */
void hr_config(hr_ring *r, size_t i, torc_peer_config *cfg);
/* A peer with the id of byte i + 1 and user "u<i>@example.org"; peer 0 is the bootstrap peer. Not
 * started. */
torc_peer *hr_add(hr_ring *r, torc_role role);
torc_peer *hr_add_with(hr_ring *r, const torc_peer_config *config);
void hr_remove(hr_ring *r, size_t i);
/* Runs all peers in turn until `done` returns true; false after timeout_ms. */
bool hr_until(hr_ring *r, bool (*done)(hr_ring *r, void *ctx), void *ctx, int timeout_ms);
/* All are started and joined. */
bool hr_join(hr_ring *r, int timeout_ms);
/* Runs until `token` of peer `i` has ended. */
int hr_wait(hr_ring *r, size_t i, torc_token token, int timeout_ms, torc_done *out);
/* A counter or gauge. */
uint64_t hr_counter(const torc_peer *p, const char *name);

#endif
