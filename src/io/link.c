/* What links have in common, whatever carries them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "io/net_impl.h"

void torc_net_link_init(torc_net_link *l, torc_net *net, const torc_net_link_ops *ops) {
  memset(l, 0, sizeof *l);
  l->net = net;
  l->ops = ops;
  torc_list_init(&l->dirty);
  torc_list_init(&l->ended);
}

int torc_net_link_admit(torc_net_link *l) {
  torc_net *net = l->net;
  if (net->links.len >= net->limits.links_max) {
    net->stats.links_refused++;
    return TORC_ERR_LIMIT;
  }
  l->id = net->last_id + 1;
  int rc = torc_map_put(&net->links, l);
  if (rc != 0) {
    l->id = 0;
    return rc;
  }
  net->last_id = l->id;
  return 0;
}

void torc_net_link_tell(torc_net_link *l, torc_link_info *info) {
  torc_net *net = l->net;
  net->stats.links_up++;
  net->has_told_key = false;
  l->not_after = info->cert->not_after;
  info->kind = l->ops->kind;
  info->peer = l->peer;
  TORC_LOG(net->log, TORC_LOG_DEBUG, "io:link_up", TORC_F_ID("peer", &l->peer),
           TORC_F_U64("link", l->id));
  l->is_told_up = true;
  torc_net_gather_peer(net, l, true);
  net->events.up(net->events.ctx, l->id, info);
}

void torc_net_link_forget(torc_net_link *l, int rc) {
  torc_net *net = l->net;
  if (l->id == 0 || torc_map_get(&net->links, &l->id) != l) {
    return;
  }
  (void)torc_map_del(&net->links, &l->id);
  net->stats.links_down++;
  torc_net_gather_peer(net, l, false);
  l->end_rc = rc;
  torc_list_push_back(&net->ended, &l->ended);
  TORC_LOG(net->log, TORC_LOG_DEBUG, "io:link_down", TORC_F_ID("peer", &l->peer),
           TORC_F_U64("link", l->id), TORC_F_ERR("why", rc));
}

void torc_net_link_clear(torc_net_link *l) {
  torc_list_remove(&l->dirty);
  torc_list_init(&l->dirty);
  torc_list_remove(&l->ended);
  torc_list_init(&l->ended);
}

void torc_net_link_touch(torc_net_link *l) {
  torc_list_remove(&l->dirty);
  torc_list_push_back(&l->net->dirty, &l->dirty);
}

void torc_net_link_recount(torc_net_link *l) {
  size_t queued = l->ops->queued(l);
  l->net->queued_bytes += queued - l->counted;
  l->counted = queued;
}

/* A peer that does not read cannot make us remember, nor can many of them together. */
int torc_net_link_room(const torc_net_link *l, size_t more) {
  torc_net *net = l->net;
  size_t queued = l->ops->queued(l);
  if (queued + more > net->limits.queue_max) {
    net->stats.queue_overflows++;
    return TORC_ERR_LIMIT;
  }
  if (queued > net->limits.queue_low && net->queued_bytes + more > net->limits.queue_total_max) {
    net->stats.queue_total_overflows++;
    return TORC_ERR_LIMIT;
  }
  return 0;
}
