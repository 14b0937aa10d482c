/* The packets under way: a fixed number of slots, and a heap of them by the time they are due.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_NETLAB_WAN_QUEUE_H
#define TORC_NETLAB_WAN_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAN_MTU 1500

typedef struct wan_packet {
  uint16_t len;
  uint16_t out; /* index of the link it leaves by */
  bool is_leaving;
  uint8_t bytes[WAN_MTU];
} wan_packet;

typedef struct wan_queue wan_queue;

/* All its memory is reserved here and touched when used. NULL: out of memory. */
wan_queue *wan_queue_new(size_t num_packets);
void wan_queue_free(wan_queue *queue);

/* A slot to fill, the caller's until it is scheduled or released; NULL when all are in use. */
wan_packet *wan_queue_take(wan_queue *queue);
void wan_queue_release(wan_queue *queue, wan_packet *packet);

/* Of packets due at the same time the one scheduled first comes first. */
void wan_queue_schedule(wan_queue *queue, wan_packet *packet, uint64_t at_ns);
/* The next packet due at or before `now_ns`, the caller's again; NULL: none. */
wan_packet *wan_queue_due(wan_queue *queue, uint64_t now_ns, uint64_t *at_ns);
/* WAN_NEVER (wan_shape.h) when nothing is under way. */
uint64_t wan_queue_deadline(const wan_queue *queue);
size_t wan_queue_num_free(const wan_queue *queue);

#endif
