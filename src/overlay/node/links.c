/* The connection table [ARC-14]: authenticated links by number and by peer-id, their life and their
 * limits. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "overlay/node/rings.h"

#define PATIENCE_SHARE 16u /* of the keepalive, that one side waits longer */
#define MANY_LINKS 16u
#define LOOKS 32u     /* at that many links, in the time of a keepalive */
#define EARLY_T1S 2u  /* so many T1 a link that was given a request may say nothing at all */
#define PROBE_T1S 16u /* so many T1 the PING of a link has until the link is lost [GAP-77] */

torc_link *torc_link_find(const torc_node *n, torc_link_id id) {
  return id == 0 ? NULL : torc_map_get(&n->links, &id);
}

torc_link *torc_link_of_peer(const torc_node *n, const torc_id *peer) {
  return torc_map_get(&n->links_by_peer, peer);
}

void torc_link_count_out(torc_node *n, torc_link *l, const torc_split *split, size_t head_len,
                         size_t body_len) {
  size_t num = torc_split_parts(split, body_len);
  size_t len = num * head_len + body_len;
  if (split->part != 0) {
    n->stats->messages_split++;
    n->stats->fragments_out += num;
  }
  n->stats->messages_out += num;
  n->stats->bytes_out += len;
  if (!n->cfg.is_lean) {
    l->traffic[0].messages_out += num;
    l->traffic[0].bytes_out += len;
  }
}

bool torc_link_is_client(const torc_link *l) {
  return !l->is_routing;
}

static void uncount_client(torc_node *n, torc_link *l) {
  if (l->is_counted_client) {
    l->is_counted_client = false;
    n->num_client_links--;
  }
}

/* [GAP-141] An UPDATE or JOIN makes a client link a routing link. */
void torc_link_mark_routing(torc_node *n, torc_link *l) {
  torc_node *other = torc_rings_other(n);
  torc_link *shared = other == NULL ? NULL : torc_link_find(other, l->id);
  l->is_routing = true;
  uncount_client(n, l);
  if (shared != NULL) { /* [D-19] nor is it a client's in the other ring */
    shared->is_surplus = false;
    shared->is_asked = true;
    uncount_client(other, shared);
  }
}

void torc_link_close(torc_node *n, torc_link *l) {
  torc_out *o = l->is_closing ? NULL : torc_out_new(n, TORC_OUT_CLOSE);
  if (o != NULL) {
    l->is_closing = true;
    o->o.link = l->id;
    torc_out_push(n, o);
  }
}

void torc_links_close_all(torc_node *n) {
  size_t it = 0;
  torc_link *l = NULL;
  while ((l = torc_map_next(&n->links, &it)) != NULL) {
    torc_link_close(n, l);
  }
}

static void link_free(torc_node *n, torc_link *l) {
  torc_cert_unref(n, l->cert);
  torc_free(n->mem, l);
}

void torc_links_clear(torc_node *n) {
  size_t it = 0;
  torc_link *l = NULL;
  while ((l = torc_map_next(&n->links, &it)) != NULL) {
    link_free(n, l);
  }
  torc_map_clear(&n->links);
  torc_map_clear(&n->links_by_peer);
}

static void event_link(torc_node *n, const torc_link *l, bool is_up) {
  torc_out *o = torc_out_new(n, TORC_OUT_EVENT);
  if (o != NULL) {
    o->o.event.kind = TORC_EVENT_LINK;
    o->o.event.peer = l->peer;
    o->o.event.is_up = is_up;
    o->o.link = l->id;
    torc_out_push(n, o);
  }
}

/* ---- when a link is looked at: drain, surplus, keepalive, idle close ---- */

/* One timer for all links: it goes off at the earliest `due`, and looks which links are meant. */
static void set_due(torc_node *n, torc_link *l, torc_time at) {
  l->due = at;
  if (at < n->link_timer.at) {
    torc_timer_arm(&n->timers, &n->link_timer, at);
  }
}

/* One of the two peers waits a little longer than the other, who then PINGs for both: they would
 * else do it at once, again and again [GAP-77]. */
static torc_time patience(const torc_node *n, const torc_link *l) {
  torc_time more = torc_id_cmp(&n->self, &l->peer) < 0 ? n->cfg.keepalive / PATIENCE_SHARE : 0;
  return torc_time_add(n->cfg.keepalive, more);
}

/* [GAP-77] A link that took a request and says nothing at all is asked early whether anybody is
 * there: who vanished is not to swallow all retransmissions until the link has been idle. */
void torc_link_asked(torc_node *n, torc_link *l) {
  torc_time at = torc_time_add(n->now, EARLY_T1S * n->cfg.t1);
  if (l->is_owing || l->is_pinging) {
    return;
  }
  l->is_owing = true;
  if (at < l->due) {
    set_due(n, l, at);
  }
}

static void arm(torc_node *n, torc_link *l) {
  torc_time at = torc_time_add(l->last_in, patience(n, l));
  set_due(n, l, at > n->now ? at : torc_time_add(n->now, patience(n, l)));
}

static void on_keepalive(torc_node *n, void *ctx, torc_token cookie, const torc_reply *reply) {
  torc_link *l = torc_link_find(n, cookie);
  (void)ctx;
  if (l == NULL) {
    return;
  }
  l->is_pinging = false;
  /* [GAP-77] One failed PING transaction: the link is lost. But who has sent anything meanwhile is
   * there: then every PING or every answer was lost on the way, and the next one decides. */
  bool is_heard = reply->rc == TORC_ERR_TIMEOUT && n->now - l->last_in < reply->elapsed;
  if ((reply->rc == TORC_ERR_TIMEOUT && !is_heard) || reply->rc == TORC_ERR_CRYPTO) {
    n->stats->keepalive_failures++;
    torc_link_close(n, l);
  }
}

static void keepalive(torc_node *n, torc_link *l) {
  uint8_t payload[4];
  torc_wr wr;
  torc_request r = {.method = TORC_METHOD_PING, .num_route = 1, .done = on_keepalive};
  torc_wr_init(&wr, payload, sizeof payload);
  if (torc_ping_request_put(&wr, torc_slice_of(NULL, 0)) != 0) {
    return;
  }
  r.payload = torc_wr_slice(&wr);
  r.route[0] = l->peer;
  r.link = l->id;
  r.limit = PROBE_T1S * n->cfg.t1;
  r.cookie = l->id;
  if (torc_request_start(n, &r, NULL) == 0) {
    l->is_pinging = true;
  }
}

/* [GAP-162] Links nobody needs close after a time without use. A client never closes its way into
 * the ring. */
static bool is_wanted(const torc_node *n, const torc_link *l) {
  if (n->role == TORC_ROLE_CLIENT) {
    return n->has_ap && torc_id_eq(&n->ap, &l->peer);
  }
  if (n->phase != TORC_PHASE_JOINED || (torc_link_is_client(l) && !l->is_own)) {
    return true;
  }
  return n->topo_ops->wants_link(n->topo, &l->peer);
}

/* A member does not stay among its bootstrap peer's clients, whose places are few [GAP-141]. */
static bool is_idle(const torc_node *n, const torc_link *l) {
  torc_time limit = n->cfg.idle_close;
  if (l->is_bootstrap && limit > TORC_NODE_BOOTSTRAP_IDLE) {
    limit = TORC_NODE_BOOTSTRAP_IDLE;
  }
  return n->now - l->last_use >= limit && !is_wanted(n, l);
}

/* Why the link is to be closed now; also counts. */
static bool is_over(torc_node *n, torc_link *l) {
  if (l->is_draining || l->is_surplus) {
    return true;
  }
  if (!torc_cert_valid_at(l->cert, torc_node_wall(n))) { /* [GAP-135] */
    n->stats->links_expired++;
    return true;
  }
  if (is_idle(n, l)) {
    n->stats->links_idle_closed++;
    return true;
  }
  return false;
}

static void on_due(torc_node *n, torc_link *l) {
  if (is_over(n, l)) {
    torc_link_close(n, l);
    l->due = l->is_closing ? TORC_NEVER : torc_time_add(n->now, TORC_SEC(1)); /* no memory for it */
    return;
  }
  bool is_silent = n->now - l->last_in >= patience(n, l);
  if (!l->is_pinging && (is_silent || l->is_owing)) {
    keepalive(n, l);
  }
  arm(n, l);
}

static void on_link_timer(torc_timer *t, torc_time now) {
  torc_node *n = TORC_CONTAINER_OF(t, torc_node, link_timer);
  torc_time next = TORC_NEVER;
  size_t it = 0;
  torc_link *l = NULL;
  while ((l = torc_map_next(&n->links, &it)) != NULL) {
    if (l->due <= now) {
      on_due(n, l);
    }
    next = l->due < next ? l->due : next;
  }
  torc_map_trim(&n->links);
  torc_map_trim(&n->links_by_peer);
  /* Of many links those that are due soon after wait for each other: every look is at all. */
  torc_time wait = n->num_links < MANY_LINKS ? 0 : n->cfg.keepalive / LOOKS;
  torc_time soon = torc_time_add(now, wait);
  torc_timer_arm(&n->timers, &n->link_timer, next > soon ? next : soon);
}

void torc_links_init(torc_node *n, uint64_t seed) {
  torc_timer_init(&n->link_timer, on_link_timer);
  torc_map_init(&n->links, n->mem, offsetof(torc_link, id), sizeof(torc_link_id), seed);
  torc_map_init(&n->links_by_peer, n->mem, offsetof(torc_link, peer), TORC_ID_LEN, seed);
}

/* ---- up and down ---- */

void torc_link_drain(torc_node *n, torc_link *l) {
  l->is_draining = true;
  uncount_client(n, l);
  set_due(n, l, torc_time_add(n->now, TORC_NODE_DRAIN));
}

/* Both ends dialled at the same time, so that each would call another link the newest and close the
 * other's: the one that the larger peer-id dialled is taken for it, as GAP-74 settles it for
 * CONNECTs to peer-ids; CONNECTs to places meet without anybody noticing. */
static bool is_crossing(const torc_node *n, const torc_link *old, const torc_link *fresh) {
  bool is_connects = old->by_connect && fresh->by_connect;
  torc_time within = is_connects ? TORC_NODE_CROSSING_CONNECTS : TORC_NODE_CROSSING;
  return (is_connects || old->kind == fresh->kind) && old->is_dialled != fresh->is_dialled &&
         n->now - old->up_at < within &&
         (torc_id_cmp(&n->self, &fresh->peer) > 0) == old->is_dialled;
}

/* [D-19] Looking for its ring this node has dialled a peer with whom another of its rings has a
 * link that serves this one as well. */
static bool is_shared(const torc_node *n, const torc_link *old, const torc_link *fresh) {
  const torc_node *other = torc_rings_other(n);
  const torc_link *l = other == NULL ? NULL : torc_link_find(other, old->id);
  return fresh->is_bootstrap && l != NULL && !l->is_closing && !l->is_draining;
}

/* The newest authenticated link of a peer takes all new messages. Who dialled it leaves it
 * to the other side to close the old one at once: that side may not know of the new one yet, and
 * would take this peer for lost. */
static void replace_older(torc_node *n, torc_link *old, torc_link *fresh, bool is_dialled) {
  n->stats->links_replaced++;
  fresh->is_routing = old->is_routing; /* the same peer's standing */
  if (is_crossing(n, old, fresh) || is_shared(n, old, fresh)) {
    (void)!torc_map_put(&n->links_by_peer, old); /* the entry is there */
    torc_link_drain(n, fresh);
  } else {
    torc_link_drain(n, old);
    if (old->kind != fresh->kind || old->by_connect) {
      return;
    }
    if (is_dialled) {
      set_due(n, old, torc_time_add(n->now, TORC_NODE_HANDOVER));
    } else {
      torc_link_close(n, old);
    }
  }
}

/* [LOG-07] */
static torc_addr local_address(const torc_link_info *info) {
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  torc_addr a = {.family = 2};
  torc_rd rd;
  torc_rd_init(&rd, torc_slice_of(info->local_addr, sizeof info->local_addr));
  torc_slice address = torc_rd_slice(&rd, 16);
  memcpy(a.addr, address.p, 16);
  a.port = torc_rd_u16(&rd);
  if (memcmp(a.addr, mapped, sizeof mapped) == 0) {
    a.family = 1;
    memmove(a.addr, a.addr + 12, 4);
  }
  return a;
}

static int link_new(torc_node *n, torc_link_id id, const torc_link_info *info, torc_link **out) {
  size_t num_traffic = n->cfg.is_lean ? 0 : 1;
  torc_link *l = torc_calloc(n->mem, 1, sizeof *l + num_traffic * sizeof l->traffic[0]);
  int rc = 0;
  if (l == NULL) {
    return TORC_ERR_NOMEM;
  }
  l->id = id;
  l->peer = info->peer;
  l->kind = (uint8_t)info->kind;
  l->is_asked = info->token != 0;
  l->is_bootstrap = (info->token & TORC_TOKEN_OPEN) != 0;
  l->is_own = l->is_bootstrap;
  l->by_connect = info->by_connect;
  l->is_dialled = info->by_connect ? info->is_requester : l->is_bootstrap || info->is_dialled;
  l->up_at = n->now;
  l->last_in = n->now;
  l->last_use = n->now;
  l->due = TORC_NEVER;
  torc_link_set_mtu(l, info->mtu);
  if (num_traffic > 0) {
    l->traffic[0].local = local_address(info);
  }
  l->cert = info->cert;
  rc = torc_map_put(&n->links, l);
  if (rc == 0) {
    rc = torc_map_put(&n->links_by_peer, l);
    if (rc != 0) {
      (void)torc_map_del(&n->links, &id);
    }
  }
  if (rc != 0) {
    torc_free(n->mem, l);
    return rc;
  }
  *out = l;
  return 0;
}

static void close_unknown(torc_node *n, torc_link_id id) {
  torc_out *o = torc_out_new(n, TORC_OUT_CLOSE);
  if (o != NULL) {
    o->o.link = id;
    torc_out_push(n, o);
  }
}

/* A link this node does not want, or cannot have. Takes the certificate's reference. */
static void refuse_link(torc_node *n, torc_link_id id, const torc_link_info *info, int rc) {
  close_unknown(n, id);
  (void)torc_bootstrap_failed(n, info->token, rc);
  torc_connect_failed(n, info->token, rc);
  torc_cert_unref(n, info->cert);
}

static void count_client(torc_node *n, torc_link *l) {
  if (l->is_routing || l->is_draining || n->role != TORC_ROLE_PEER) {
    return;
  }
  l->is_counted_client = true;
  n->num_client_links++;
  if (n->num_client_links > n->cfg.max_client_links && !l->is_asked) { /* */
    l->is_surplus = true;
    set_due(n, l, torc_time_add(n->now, TORC_NODE_SURPLUS_CLOSE));
  }
}

/* One peer's second link has room beyond the limit, for the time that the first one drains. */
static bool has_room(const torc_node *n, const torc_link *old) {
  return n->num_links < n->cfg.max_links || (old != NULL && n->num_links / 2 < n->cfg.max_links);
}

/* Takes info->cert's reference. [TLS-08] the platform has proved peer and certificate. */
static int link_up(torc_node *n, torc_link_id id, const torc_link_info *info) {
  torc_link *l = NULL;
  torc_link *old = torc_link_of_peer(n, &info->peer);
  bool is_self = torc_id_eq(&info->peer, &n->self);
  if (is_self || !torc_id_is_peer(&info->peer) || !has_room(n, old)) {
    refuse_link(n, id, info, is_self ? TORC_ERR_EXISTS : TORC_ERR_LIMIT);
    return 0;
  }
  int rc = link_new(n, id, info, &l);
  if (rc != 0) {
    n->stats->no_memory++;
    refuse_link(n, id, info, rc);
    return rc;
  }
  n->num_links++;
  n->stats->links_up++;
  arm(n, l);
  torc_cert_take_over(n, l);
  torc_connect_link_up(n, l, info->token);
  if (old != NULL) {
    replace_older(n, old, l, info->is_dialled);
  }
  count_client(n, l);
  TORC_LOG(n->log, TORC_LOG_DEBUG, "link:up", TORC_F_ID("peer", &l->peer), TORC_F_U64("link", id));
  event_link(n, l, true);
  torc_bootstrap_link_up(n, l, info->token);
  if (n->topo != NULL && n->phase != TORC_PHASE_LEFT) {
    n->topo_ops->on_link_up(n->topo, &l->peer);
  }
  return 0;
}

/* Messages of a link that was given up and is taken again may still be worked on. */
static void recount_inbound(torc_node *n, torc_link *l) {
  for (const torc_list *i = n->inbounds.next; i != &n->inbounds; i = i->next) {
    const torc_inbound *in = TORC_CONTAINER_OF(i, torc_inbound, node);
    if (in->link == l->id) {
      l->num_inbound++;
      l->inbound_bytes += (uint32_t)in->size;
    }
  }
}

/* [D-19] The peer's own link of this ring, if there is one, stays the one that is used. */
int torc_link_adopt(torc_node *n, const torc_link *from, bool is_own) {
  torc_link *l = NULL;
  torc_link *old = torc_link_of_peer(n, &from->peer);
  bool is_second = old != NULL && !old->is_draining && !old->is_closing;
  torc_link_info info = {.kind = (torc_link_kind)from->kind,
                         .peer = from->peer,
                         .cert = from->cert,
                         .mtu = torc_link_mtu(from)};
  if (!has_room(n, old)) {
    return TORC_ERR_LIMIT;
  }
  int rc = link_new(n, from->id, &info, &l);
  if (rc != 0) {
    return rc;
  }
  (void)torc_cert_ref(l->cert);
  recount_inbound(n, l);
  if (!n->cfg.is_lean) {
    l->traffic[0].local = from->traffic[0].local;
  }
  l->is_own = is_own;
  l->is_asked = is_own || from->is_own || from->is_asked || from->is_routing;
  l->is_congested = from->is_congested;
  n->num_links++;
  arm(n, l);
  torc_cert_take_over(n, l);
  if (is_second) {
    (void)!torc_map_put(&n->links_by_peer, old); /* the entry is there */
    l->is_routing = old->is_routing;
    torc_link_drain(n, l);
    return 0;
  }
  torc_connect_link_up(n, l, 0);
  count_client(n, l);
  if (n->topo != NULL && n->phase != TORC_PHASE_LEFT) {
    n->topo_ops->on_link_up(n->topo, &l->peer);
  }
  return 0;
}

void torc_link_prefer(torc_node *n, torc_link *l) {
  torc_link *old = torc_link_of_peer(n, &l->peer);
  if (old == l || l->is_closing) {
    return;
  }
  l->is_draining = false;
  if (old != NULL) {
    l->is_routing = l->is_routing || old->is_routing;
    l->is_own = l->is_own || old->is_own;
    l->is_asked = l->is_asked || old->is_asked;
    (void)!torc_map_put(&n->links_by_peer, l); /* the entry is there */
    torc_link_drain(n, old);
  } else if (torc_map_put(&n->links_by_peer, l) != 0) {
    n->stats->no_memory++;
  }
  if (!l->is_counted_client) {
    count_client(n, l);
  }
  arm(n, l);
}

/* Another link of the same peer that nobody has closed yet; the one that came up last. */
static torc_link *spare(const torc_node *n, const torc_id *peer) {
  size_t it = 0;
  torc_link *l = NULL;
  torc_link *best = NULL;
  while ((l = torc_map_next(&n->links, &it)) != NULL) {
    if (!l->is_closing && torc_id_eq(&l->peer, peer) && (best == NULL || l->id > best->id)) {
      best = l;
    }
  }
  return best;
}

static void peer_lost(torc_node *n, const torc_id *peer) {
  if (n->topo != NULL && n->phase != TORC_PHASE_LEFT) {
    n->topo_ops->on_link_down(n->topo, peer);
  }
  if (n->role == TORC_ROLE_CLIENT && n->has_ap && torc_id_eq(&n->ap, peer)) {
    n->has_ap = false;
    if (n->phase == TORC_PHASE_JOINED) {
      torc_node_set_phase(n, TORC_PHASE_DISCONNECTED);
      torc_bootstrap_start(n); /* [GAP-40] another admitting peer */
    }
  }
}

static void link_down(torc_node *n, torc_link *l) {
  bool is_current = torc_link_of_peer(n, &l->peer) == l;
  torc_id peer = l->peer;
  torc_link *next = NULL;
  (void)torc_map_del(&n->links, &l->id);
  n->num_links--;
  n->stats->links_down++;
  uncount_client(n, l);
  torc_cert_remember_link(n, l);
  TORC_LOG(n->log, TORC_LOG_DEBUG, "link:down", TORC_F_ID("peer", &peer),
           TORC_F_U64("link", l->id));
  torc_trans_link_down(n, l->id);
  event_link(n, l, false);
  if (is_current) {
    next = spare(n, &peer);
  }
  if (next != NULL) {                             /* it was draining: now it is the newest again */
    (void)!torc_map_put(&n->links_by_peer, next); /* the entry is there */
    next->is_routing = l->is_routing;
    next->is_draining = false;
    arm(n, next);
    count_client(n, next);
  } else if (is_current) {
    (void)torc_map_del(&n->links_by_peer, &peer);
  }
  link_free(n, l);
  if (is_current && next == NULL) {
    peer_lost(n, &peer);
  }
}

int torc_links_input_up(torc_node *n, torc_link_id id, const torc_link_info *info) {
  if (id == 0 || info->cert == NULL || torc_link_find(n, id) != NULL) {
    torc_cert_unref(n, info->cert);
    return TORC_ERR_INVALID;
  }
  return link_up(n, id, info);
}

int torc_links_input_down(torc_node *n, torc_link_id id) {
  torc_link *l = torc_link_find(n, id);
  if (l != NULL) {
    link_down(n, l);
  }
  return 0;
}

size_t torc_core_links(const torc_node *n, torc_node_link_view *out, size_t max) {
  size_t it = 0;
  size_t num = 0;
  const torc_link *l = NULL;
  while (num < max && (l = torc_map_next(&n->links, &it)) != NULL) {
    torc_node_link_view *v = &out[num++];
    memset(v, 0, sizeof *v);
    v->link = l->id;
    v->peer = l->peer;
    v->kind = (torc_link_kind)l->kind;
    v->is_client = torc_link_is_client(l);
    v->is_routing = l->is_routing;
    v->idle = n->now - l->last_in;
    v->mtu = torc_link_mtu(l);
    if (!n->cfg.is_lean) {
      v->messages_in = l->traffic[0].messages_in;
      v->messages_out = l->traffic[0].messages_out;
      v->bytes_in = l->traffic[0].bytes_in;
      v->bytes_out = l->traffic[0].bytes_out;
    }
    if (l->cert->num_users > 0) {
      (void)snprintf(v->users, sizeof v->users, "%s", l->cert->users[0]);
    }
  }
  return num;
}
