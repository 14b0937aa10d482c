/* An end of ICE on real sockets: our agent driven by poll(), or libnice driven by GLib's main loop.
 * For tests/interop/test_ice.py and bench/ice.c. SPDX-License-Identifier: Apache-2.0 */
#ifndef ICE_ENDS_H
#define ICE_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICE_END_CANDIDATES 24
#define ICE_END_TEXT 256

typedef struct ice_end ice_end;

typedef enum ice_end_kind {
  ICE_END_TORC,
  ICE_END_NICE,           /* regular nomination */
  ICE_END_NICE_AGGRESSIVE /* libnice's default */
} ice_end_kind;

typedef struct ice_end_config {
  ice_end_kind kind;
  bool is_controlling, has_udp, has_tcp;
  const char *address;
  const char *stun_server, *stun_port; /* NULL: host candidates only; port as text */
} ice_end_config;

/* What is told to the other end. */
typedef struct ice_end_told {
  char ufrag[ICE_END_TEXT], password[ICE_END_TEXT];
  char candidates[ICE_END_CANDIDATES][ICE_END_TEXT];
  size_t num_candidates;
} ice_end_told;

typedef struct ice_end_state {
  bool is_ours, is_selected, is_failed, is_tcp;
  uint64_t selected_us;    /* monotonic */
  size_t num_sent;         /* datagrams and frames of our agent */
  char pair[ICE_END_TEXT]; /* the remote address selected, of our agent */
  char received[64];       /* the last that was no STUN */
  uint64_t num_consented;  /* consent requests that were answered */
} ice_end_state;

/* "torc", "nice", else the last. */
ice_end_kind ice_end_kind_of(const char *text);
ice_end *ice_end_new(const ice_end_config *cfg); /* exits when it cannot */
void ice_end_free(ice_end *e);
/* False: still gathering. */
bool ice_end_tell(ice_end *e, ice_end_told *out);
void ice_end_hear(ice_end *e, const ice_end_told *other);
/* Does what is to be done and returns; never waits. */
void ice_end_step(ice_end *e);
/* Sleeps until there may be something to do for one of them, 200 us at most. */
void ice_ends_wait(ice_end *const *ends, size_t num);
void ice_end_send(ice_end *e, const char *text);
void ice_end_state_of(const ice_end *e, ice_end_state *out);
uint64_t ice_end_now_us(void);
size_t ice_end_size(void); /* of an end, without what the libraries have */

#endif
