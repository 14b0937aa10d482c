/* `.local` names in candidates: asked for by multicast DNS alone, by a thread of libuv's pool, one
 * after the other (draft-ietf-mmusic-mdns-ice-candidates).
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "io/mdns.h"
#include "io/net_impl.h"

#define ADDRESSES_MAX 4u

typedef struct name_query {
  torc_list node; /* net->names */
  uv_work_t work;
  torc_net *net;
  torc_token token;
  char name[TORC_REMOTE_HOST_MAX + 1];
  torc_addr found[ADDRESSES_MAX];
  size_t num;
} name_query;

static void ask_next(torc_net *net);

/* On the pool's thread: nothing of the net is touched. */
static void ask(uv_work_t *work) {
  static const torc_lookup_type types[] = {TORC_LOOKUP_A, TORC_LOOKUP_AAAA};
  name_query *q = TORC_CONTAINER_OF(work, name_query, work);
  torc_lookup found;
  for (size_t t = 0; t < TORC_ARRAY_LEN(types) && q->num == 0; t++) {
    if (torc_mdns_ask(q->name, types[t], &found, NULL, 0) != 0) {
      return;
    }
    for (size_t i = 0; i < found.num && q->num < ADDRESSES_MAX; i++) {
      torc_sock_to_addr(&found.records[i].address, &q->found[q->num]);
      q->num++;
    }
  }
}

static void on_asked(uv_work_t *work, int status) {
  name_query *q = TORC_CONTAINER_OF(work, name_query, work);
  torc_net *net = q->net;
  net->num_handles--;
  net->is_asking = false;
  if (!net->is_shutting) {
    net->stats.names_found += q->num > 0 ? 1 : 0;
    torc_ice_resolved(net->ice, q->token, q->found, status == 0 ? q->num : 0, torc_net_now());
    torc_net_ice_pump(net);
    ask_next(net);
    net->events.turn(net->events.ctx);
  }
  free(q);
}

static void ask_next(torc_net *net) {
  torc_list *node = net->is_asking ? NULL : torc_list_pop_front(&net->names);
  if (node == NULL) {
    return;
  }
  name_query *q = TORC_CONTAINER_OF(node, name_query, node);
  net->num_names--;
  if (uv_queue_work(net->loop, &q->work, ask, on_asked) != 0) {
    torc_ice_resolved(net->ice, q->token, NULL, 0, torc_net_now());
    free(q);
    return;
  }
  net->is_asking = true;
  net->num_handles++;
}

void torc_local_name_ask(torc_net *net, torc_token token, torc_slice host) {
  name_query *q = net->num_names < TORC_NET_NAMES_MAX && host.len <= TORC_REMOTE_HOST_MAX
                      ? calloc(1, sizeof *q)
                      : NULL;
  net->stats.names_asked++;
  if (q == NULL) {
    net->stats.names_refused++;
    torc_ice_resolved(net->ice, token, NULL, 0, torc_net_now());
    return;
  }
  q->net = net;
  q->token = token;
  memcpy(q->name, host.p, host.len);
  torc_list_push_back(&net->names, &q->node);
  net->num_names++;
  ask_next(net);
}

void torc_local_names_clear(torc_net *net) {
  torc_list *node = NULL;
  while ((node = torc_list_pop_front(&net->names)) != NULL) {
    free(TORC_CONTAINER_OF(node, name_query, node));
  }
  net->num_names = 0;
}
