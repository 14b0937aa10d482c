/* Slots on a stack, a binary heap of the scheduled ones.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wan_queue.h"

#include <stdlib.h>

#include "wan_shape.h"

typedef struct entry {
  uint64_t at_ns, seq;
  wan_packet *packet;
} entry;

struct wan_queue {
  wan_packet *slots;
  wan_packet **free_slots;
  entry *heap;
  size_t num_free, num_due;
  uint64_t seq;
};

wan_queue *wan_queue_new(size_t num_packets) {
  wan_queue *queue = calloc(1, sizeof *queue);
  if (queue == NULL) {
    return NULL;
  }
  queue->slots = calloc(num_packets, sizeof *queue->slots);
  queue->free_slots = calloc(num_packets, sizeof(wan_packet *));
  queue->heap = calloc(num_packets, sizeof *queue->heap);
  if (queue->slots == NULL || queue->free_slots == NULL || queue->heap == NULL) {
    wan_queue_free(queue);
    return NULL;
  }
  for (size_t i = num_packets; i > 0; i--) {
    queue->free_slots[queue->num_free++] = &queue->slots[i - 1];
  }
  return queue;
}

void wan_queue_free(wan_queue *queue) {
  if (queue != NULL) {
    free(queue->slots);
    free(queue->free_slots);
    free(queue->heap);
    free(queue);
  }
}

wan_packet *wan_queue_take(wan_queue *queue) {
  if (queue->num_free == 0) {
    return NULL;
  }
  return queue->free_slots[--queue->num_free];
}

void wan_queue_release(wan_queue *queue, wan_packet *packet) {
  queue->free_slots[queue->num_free++] = packet;
}

static bool before(const entry *a, const entry *b) {
  return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

void wan_queue_schedule(wan_queue *queue, wan_packet *packet, uint64_t at_ns) {
  entry added = {.at_ns = at_ns, .seq = queue->seq++, .packet = packet};
  size_t i = queue->num_due++;
  while (i > 0 && before(&added, &queue->heap[(i - 1) / 2])) {
    queue->heap[i] = queue->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  queue->heap[i] = added;
}

static void remove_first(wan_queue *queue) {
  entry last = queue->heap[--queue->num_due];
  size_t i = 0;
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= queue->num_due) {
      break;
    }
    if (child + 1 < queue->num_due && before(&queue->heap[child + 1], &queue->heap[child])) {
      child++;
    }
    if (!before(&queue->heap[child], &last)) {
      break;
    }
    queue->heap[i] = queue->heap[child];
    i = child;
  }
  queue->heap[i] = last;
}

wan_packet *wan_queue_due(wan_queue *queue, uint64_t now_ns, uint64_t *at_ns) {
  wan_packet *packet = NULL;
  if (queue->num_due > 0 && queue->heap[0].at_ns <= now_ns) {
    packet = queue->heap[0].packet;
    *at_ns = queue->heap[0].at_ns;
    remove_first(queue);
  }
  return packet;
}

uint64_t wan_queue_deadline(const wan_queue *queue) {
  return queue->num_due > 0 ? queue->heap[0].at_ns : WAN_NEVER;
}

size_t wan_queue_num_free(const wan_queue *queue) {
  return queue->num_free;
}
