/* Events wait here for the application, copied out of the node's memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/slice.h"
#include "io/peer_impl.h"

#define ALIGN alignof(max_align_t)

static size_t aligned(size_t n) {
  return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t size_of(const torc_event *e) {
  const torc_done *d = &e->done;
  size_t n = aligned(sizeof(torc_event_box)) + aligned(d->num_values * sizeof *d->values);
  n += d->phrase.len + d->route_log.len + e->dialog_id.len + e->pdu.len;
  for (size_t i = 0; i < d->num_values; i++) {
    n += d->values[i].key.len + d->values[i].value.len;
  }
  return n;
}

static torc_slice copy(uint8_t **at, torc_slice s) {
  if (s.len == 0) {
    return torc_slice_of(NULL, 0);
  }
  memcpy(*at, s.p, s.len);
  torc_slice out = torc_slice_of(*at, s.len);
  *at += s.len;
  return out;
}

static void box_free(torc_event_box *box) {
  if (box == NULL) {
    return;
  }
  for (size_t i = 0; i < box->num_values; i++) {
    torc_cert_free((torc_cert *)(uintptr_t)box->values[i].signer);
  }
  torc_cert_free((torc_cert *)(uintptr_t)box->event.cert);
  free(box);
}

static torc_event_box *box_new(const torc_event *e) {
  size_t size = size_of(e);
  torc_event_box *box = calloc(1, size);
  if (box == NULL) {
    return NULL;
  }
  uint8_t *at = (uint8_t *)box + aligned(sizeof *box);
  box->bytes = size;
  box->event = *e;
  box->values = (torc_value *)(void *)at;
  box->num_values = e->done.num_values;
  at += aligned(box->num_values * sizeof *box->values);
  for (size_t i = 0; i < box->num_values; i++) {
    const torc_value *from = &e->done.values[i];
    torc_value *to = &box->values[i];
    *to = *from;
    to->key = copy(&at, from->key);
    to->value = copy(&at, from->value);
    to->signer = torc_cert_retain((torc_cert *)(uintptr_t)from->signer);
  }
  box->event.done.values = box->num_values == 0 ? NULL : box->values;
  box->event.done.phrase = copy(&at, e->done.phrase);
  box->event.done.route_log = copy(&at, e->done.route_log);
  box->event.dialog_id = copy(&at, e->dialog_id);
  box->event.pdu = copy(&at, e->pdu);
  box->event.cert = torc_cert_retain((torc_cert *)(uintptr_t)e->cert);
  return box;
}

static void uncount(torc_peer *p, const torc_event_box *box) {
  p->num_events--;
  p->event_bytes -= box->bytes;
}

static torc_event_box *pop_oldest(torc_peer *p) {
  torc_list *node = torc_list_pop_front(&p->events);
  if (node == NULL) {
    return NULL;
  }
  torc_event_box *box = TORC_CONTAINER_OF(node, torc_event_box, all);
  uncount(p, box);
  return box;
}

/* An application that takes no events loses the oldest, never the newest: somebody may wait for
 * that one. */
static void make_room(torc_peer *p, size_t bytes) {
  while (p->num_events > 0 && (p->num_events >= TORC_PEER_EVENTS_MAX ||
                               p->event_bytes + bytes > TORC_PEER_EVENT_BYTES)) {
    box_free(pop_oldest(p));
    p->stats.events_dropped++;
  }
}

void torc_peer_push(torc_peer *p, const torc_event *e) {
  torc_event_box *box = box_new(e);
  if (box == NULL) {
    p->stats.events_dropped++;
    TORC_LOG(p->log, TORC_LOG_ERROR, "io:event_lost", TORC_F_U64("token", e->token));
    return;
  }
  make_room(p, box->bytes);
  torc_list_push_back(&p->events, &box->all);
  p->num_events++;
  p->event_bytes += box->bytes;
}

torc_event_box *torc_peer_pull(torc_peer *p, torc_event_kind kind, torc_token token) {
  for (torc_list *node = p->events.next; node != &p->events; node = node->next) {
    torc_event_box *box = TORC_CONTAINER_OF(node, torc_event_box, all);
    if (box->event.kind == kind && box->event.token == token) {
      torc_list_remove(&box->all);
      uncount(p, box);
      return box;
    }
  }
  return NULL;
}

void torc_peer_give(torc_peer *p, torc_event_box *box) {
  box_free(p->current);
  p->current = box;
}

bool torc_peer_next_event(torc_peer *p, torc_event *out) {
  torc_event_box *box = pop_oldest(p);
  if (box != NULL) {
    *out = box->event;
  }
  torc_peer_give(p, box);
  return box != NULL;
}

void torc_peer_events_clear(torc_peer *p) {
  torc_event_box *box = NULL;
  torc_peer_give(p, NULL);
  while ((box = pop_oldest(p)) != NULL) {
    box_free(box);
  }
}
