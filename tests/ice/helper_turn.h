/* A TURN client and a server whose answers the test lays down, in virtual time.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HELPER_TURN_H
#define HELPER_TURN_H

#include "base/failing_mem.h"
#include "ice/helper_stun.h"
#include "ice/turn_client.h"

#define TURN_OUTS 64u
#define TURN_BYTES 4608u
#define TURN_REALM "example.org"
#define TURN_NONCE "nonce-1"

/* What came out, with its bytes copied. */
typedef struct turn_out {
  torc_turn_output o;
  uint8_t bytes[TURN_BYTES];
  char text[64];
} turn_out;

typedef struct turn_bed {
  helper_stun crypto;
  failing_mem mem;
  torc_turn_config cfg;
  torc_turn *t;
  torc_time now;
  torc_stun_key key; /* of the user, at the server */
  turn_out outs[TURN_OUTS];
  size_t num_outs;
  uint8_t answer[TURN_BYTES]; /* being laid */
  torc_wr wr;
  torc_stun_wr w;
} turn_bed;

extern const torc_addr turn_server, turn_peer, turn_peer6, turn_relayed, turn_relayed6;

/* Configuration as usual: UDP, IPv4, user "user" and password "secret". */
void turn_bed_init(turn_bed *b);
void turn_bed_new(turn_bed *b); /* makes the client */
void turn_bed_clear(turn_bed *b);

/* Collects the output, behind what is there. */
void turn_drain(turn_bed *b);
void turn_tick(turn_bed *b, torc_time now);
/* Ticks at each deadline up to `until`; returns how often. */
size_t turn_run(turn_bed *b, torc_time until);
void turn_forget(turn_bed *b); /* the outputs collected */
size_t turn_count(const turn_bed *b, torc_turn_output_kind kind);
/* The last output of this kind; fails the test if there is none. */
const turn_out *turn_last(const turn_bed *b, torc_turn_output_kind kind);
/* SENDs that are requests of `method`; the last one of them, decoded. */
size_t turn_requests(const turn_bed *b, uint16_t method);
torc_stun_msg turn_request_of(const turn_bed *b, uint16_t method);

/* An answer to `to`: begin, put into b->w, sign if it shall be, deliver. */
void turn_answer(turn_bed *b, const torc_stun_msg *to, torc_stun_class cls);
void turn_error(turn_bed *b, const torc_stun_msg *to, uint16_t code);
void turn_sign(turn_bed *b);
void turn_deliver(turn_bed *b);
/* The same to the last request of `method`, signed and with no attribute. */
void turn_succeed(turn_bed *b, uint16_t method);
void turn_refuse(turn_bed *b, uint16_t method, uint16_t code);
void turn_indicate(turn_bed *b, uint16_t method); /* begins one */

/* The first request is challenged, the second one answered: the allocation stands. */
void turn_challenge(turn_bed *b);
void turn_put_allocation(turn_bed *b, uint32_t lifetime_s);
void turn_allocate(turn_bed *b);

uint64_t turn_counter(const turn_bed *b, const char *name);

#endif
