/* The forwarding layer [ARC-11]: the order of cases of GAP-28, forwarding without a copy of the
 * body, sending of own messages. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

/* Expanding a private id may name another one; a message that goes on like that is dropped. */
#define TORC_NODE_EXPANSIONS_MAX 8
#define FORWARD_STEP 128u /* the room for a forwarded header grows by so much */

bool torc_route_responsible(const torc_node *n, const torc_id *id) {
  return n->topo != NULL && n->topo_ops->is_responsible(n->topo, id);
}

/* [CLI-02] A client sends everything through its admitting peer. */
bool torc_route_next_hop(const torc_node *n, const torc_id *id, torc_id *out) {
  if (n->role == TORC_ROLE_CLIENT) {
    *out = n->ap;
    return n->has_ap;
  }
  return n->topo != NULL && n->topo_ops->next_hop(n->topo, id, out);
}

/* [RTG-14] [RTG-25] Puts the ids a private id stands for in its place. */
static bool expand(torc_node *n, torc_step *s, torc_slice ids, uint8_t *room) {
  size_t rest = s->route.len - TORC_ID_LEN;
  if (ids.len + rest > TORC_LIST_MAX * TORC_ID_LEN) {
    n->stats->drop_via_full++; /* [GAP-18] */
    return false;
  }
  memmove(room + ids.len, s->route.p + TORC_ID_LEN, rest);
  memcpy(room, ids.p, ids.len);
  s->route = torc_slice_of(room, ids.len + rest);
  n->stats->private_ids_expanded++;
  return true;
}

static void strip(torc_step *s, const torc_id *id, bool is_exact) {
  s->has_entry = true;
  s->entry = *id;
  s->is_exact = is_exact;
  s->route = torc_slice_sub(s->route, TORC_ID_LEN, s->route.len - TORC_ID_LEN);
}

/* Case 3: an exact match in the connection table [RTG-18] [RTG-27]: a source route reaches a client
 * X behind its peer Y as (Y, X) [RTG-07] [CLI-05]. Case 5: the plug-in's next hop, which is in the
 * routing table, never a peer that is merely connected [RTG-17] [RTG-28]. */
static bool forward(torc_node *n, torc_step *s, const torc_id *id, bool exact_only) {
  torc_link *l = torc_link_of_peer(n, id);
  torc_id hop;
  s->by_topology = false;
  if (l == NULL && !exact_only && torc_route_next_hop(n, id, &hop)) {
    l = torc_link_of_peer(n, &hop);
    s->by_topology = true;
  }
  if (l != NULL) {
    s->kind = TORC_STEP_FORWARD;
    s->link = l;
  }
  return l != NULL;
}

/* [GAP-28] [RTG-13..17] [GAP-39]: private id; own peer-id or wildcard; connection table;
 * responsible; next hop. */
void torc_route_step(torc_node *n, torc_slice route, uint8_t *room, torc_step *out) {
  size_t expansions = 0;
  torc_slice ids;
  memset(out, 0, sizeof *out);
  out->route = route;
  out->is_exact = true; /* an empty list on arrival is an exact match [R-27] [GAP-29] */
  while (out->route.len > 0) {
    torc_id first = torc_id_list_at(out->route, 0);
    if (torc_private_id_expand(n, &first, &ids)) {
      if (++expansions > TORC_NODE_EXPANSIONS_MAX || !expand(n, out, ids, room)) {
        out->kind = TORC_STEP_DROP;
        n->stats->drop_route_loop++;
        return;
      }
    } else if (torc_id_eq(&first, &n->self)) { /* [RTG-23] */
      strip(out, &first, true);
    } else if (torc_id_eq(&first, &torc_id_wildcard)) { /* [GAP-37] never forwarded */
      out->is_wildcard = true;
      strip(out, &first, true);
    } else if (forward(n, out, &first, true)) {
      return;
    } else if (torc_route_responsible(n, &first)) { /* [RTG-15] */
      strip(out, &first, false);
    } else if (forward(n, out, &first, false)) {
      return;
    } else {
      out->kind = TORC_STEP_DROP;
      n->stats->drop_no_route++;
      return;
    }
  }
  out->kind = TORC_STEP_HERE; /* [RTG-16] */
}

/* [LOG-01] [GAP-49] Appends this peer's entry; keeps the log as it is where that would be too long,
 * or by policy. */
int torc_route_log_append(torc_node *n, torc_slice log, const torc_link *leaving_on,
                          uint8_t **owned, torc_slice *out) {
  torc_route_log_entry e = {.transport = TORC_TRANSPORT_TLS, .id = n->self};
  size_t room = log.len + 128 + strlen(n->version_text);
  torc_wr wr;
  uint8_t *buf = NULL;
  *owned = NULL;
  *out = log;
  if (n->cfg.hide_topology) {
    return 0;
  }
  buf = torc_alloc(n->mem, room);
  if (buf == NULL) {
    return TORC_ERR_NOMEM;
  }
  e.version = torc_slice_str(n->version_text);
  e.uptime_s = (uint32_t)((n->now - n->started) / TORC_SEC(1));
  e.address.family = 1;
  if (leaving_on != NULL) {
    e.transport = leaving_on->kind;
    e.address = n->cfg.is_lean ? (torc_addr){.family = 1} : leaving_on->traffic[0].local;
  }
  torc_wr_init(&wr, buf, room);
  torc_wr_bytes(&wr, log);
  if (torc_route_log_entry_put(&wr, &e) != 0 || wr.err != 0 || wr.len > TORC_VEC16_MAX) {
    torc_free(n->mem, buf);
    return 0;
  }
  *owned = buf;
  *out = torc_wr_slice(&wr);
  return 0;
}

/* ---- own messages ---- */

static void start_local(torc_node *n, void *ctx, torc_token cookie, int rc, const torc_id *peer) {
  (void)cookie;
  (void)rc;
  (void)peer;
  torc_inbound_start(n, ctx);
}

/* A message whose way ends where it began: handled once the present call is through. */
static int deliver_local(torc_node *n, const torc_header *h, torc_slice body,
                         const torc_step *step) {
  size_t cap = 0;
  uint8_t *msg = NULL;
  torc_header local = *h;
  torc_inbound *in = NULL;
  torc_wr wr;
  int rc = 0;
  local.route = torc_slice_of(NULL, 0);
  cap = torc_header_size(&local) + body.len;
  msg = torc_alloc(n->mem, cap);
  if (msg == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_wr_init(&wr, msg, cap);
  rc = torc_header_put(&wr, &local, body.len);
  torc_wr_bytes(&wr, body);
  if (rc == 0 && wr.err == 0) {
    in = torc_inbound_new(n, torc_wr_slice(&wr), step, NULL);
  }
  torc_free(n->mem, msg);
  if (in == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_defer(n, &in->local, start_local, in, 0, 0, NULL);
  return 0;
}

/* What others wrote goes on with whatever body it has, its new length in h->length; own
 * bodies are limited [GAP-42]. */
static int put_header(torc_wr *wr, const torc_header *h, torc_slice body) {
  return torc_header_put(wr, h, h->length != 0 ? SIZE_MAX : body.len);
}

static int send_on(torc_node *n, torc_link *l, torc_header *h, torc_slice body) {
  size_t len = torc_header_size(h) + body.len;
  uint8_t *room = NULL;
  torc_split split;
  torc_wr wr;
  int rc = torc_split_plan(l, h, body.len, &split); /* [FRG-02] */
  torc_out *o = rc == 0 ? torc_out_sending(n, l, len, &room) : NULL;
  if (o == NULL) {
    return rc != 0 ? rc : TORC_ERR_NOMEM;
  }
  torc_wr_init(&wr, room, len);
  rc = put_header(&wr, h, body);
  torc_wr_bytes(&wr, body);
  rc = rc != 0 ? rc : wr.err;
  if (rc != 0) {
    torc_out_free(n, o);
    return rc;
  }
  torc_out_sent(n, l, o, len - body.len, &split);
  return 0;
}

static bool is_request(torc_slice body) {
  return body.len > 0 && (body.p[0] & 0x80u) == 0;
}

/* An own message that is no keepalive keeps its link open [GAP-162]. */
static int send_own(torc_node *n, torc_link *l, torc_header *h, const torc_send *s) {
  bool is_ping = s->body.len >= 2 && s->body.p[0] == 0 && s->body.p[1] == TORC_METHOD_PING;
  bool is_response = !is_request(s->body);
  if (!is_ping && !is_response) {
    l->last_use = n->now;
  }
  if (s->sent_on != NULL) {
    *s->sent_on = l->id;
  }
  if (!is_response && s->link == 0) {
    torc_link_asked(n, l);
  }
  return send_on(n, l, h, s->body);
}

int torc_route_send(torc_node *n, const torc_send *s) {
  uint8_t *room = NULL;
  torc_step step;
  torc_link *l = torc_link_find(n, s->link);
  torc_header h = {.overlay = n->overlay,
                   .ttl = n->cfg.initial_ttl, /* fresh, for responses too */
                   .routing = s->routing,
                   .version = TORC_VERSION_1,
                   .xid = s->xid,
                   .flags = s->flags,
                   .route = s->route,
                   .route_log = s->route_log};
  int rc = 0;
  if (s->link != 0) {
    return l == NULL ? TORC_ERR_CLOSED : send_own(n, l, &h, s);
  }
  room = torc_alloc(n->mem, TORC_LIST_MAX * TORC_ID_LEN);
  if (room == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_route_step(n, s->route, room, &step);
  h.route = step.route;
  switch (step.kind) {
    case TORC_STEP_HERE:
      rc = s->is_for_another ? TORC_ERR_NOTFOUND : deliver_local(n, &h, s->body, &step);
      break;
    case TORC_STEP_FORWARD:
      rc = send_own(n, step.link, &h, s);
      break;
    case TORC_STEP_DROP:
      rc = TORC_ERR_NOTFOUND;
      break;
  }
  torc_free(n->mem, room);
  return rc;
}

/* ---- messages of others ---- */

/* [RTG-20] [RTG-21] [GAP-34]: the via list grows by the authenticated id of the link it came on;
 * [RTG-24] or shrinks to one private id. `room` holds TORC_LIST_MAX ids. */
static int grow_via(torc_node *n, const torc_header *h, const torc_link *from, uint8_t *room,
                    torc_slice *via) {
  bool is_full = h->via.len >= TORC_LIST_MAX * TORC_ID_LEN;
  torc_id private_id;
  if (n->cfg.compress_via && !h->is_fragment) { /* its first entry is one of all fragments' */
    int rc = torc_private_id_make(n, h->via, &from->peer, &private_id);
    if (rc == 0) {
      memcpy(room, private_id.b, TORC_ID_LEN);
      *via = torc_slice_of(room, TORC_ID_LEN);
      return 0;
    }
  }
  if (is_full) { /* [GAP-18] */
    n->stats->drop_via_full++;
    return TORC_ERR_LIMIT;
  }
  if (h->via.len > 0) {
    memcpy(room, h->via.p, h->via.len);
  }
  memcpy(room + h->via.len, from->peer.b, TORC_ID_LEN);
  *via = torc_slice_of(room, h->via.len + TORC_ID_LEN);
  return 0;
}

/* Room for a header in the node's one slot. */
static bool make_head(torc_node *n, size_t size) {
  size_t cap = (size + FORWARD_STEP - 1) / FORWARD_STEP * FORWARD_STEP;
  if (size <= n->forward.head_cap) {
    return true;
  }
  uint8_t *head = torc_realloc(n->mem, n->forward.head, cap);
  if (head == NULL) {
    return false;
  }
  n->forward.head = head;
  n->forward.head_cap = (uint16_t)cap;
  torc_node_untidy(n);
  return true;
}

/* The hot path: the header is written into the node's one slot, the body leaves from the input, and
 * from there also in parts. */
static bool forward_in_place(torc_node *n, torc_link *to, const torc_header *h, torc_slice body,
                             const torc_split *split) {
  torc_wr wr;
  size_t size = torc_header_size(h);
  if (n->forward.is_full || size > TORC_NODE_FORWARD_HEAD || !make_head(n, size)) {
    return false;
  }
  torc_wr_init(&wr, n->forward.head, n->forward.head_cap);
  if (put_header(&wr, h, body) != 0) {
    return false;
  }
  n->forward.is_full = true;
  n->forward.was_used = true;
  n->forward.link = to->id;
  n->forward.head_len = (uint16_t)wr.len;
  n->forward.body = body;
  n->forward.split = *split;
  torc_link_count_out(n, to, split, wr.len, body.len);
  return true;
}

/* Into a congested link go few bytes a second of each link, so that one that floods does not shut
 * out the others behind it. */
static bool has_share(const torc_node *n, torc_link *from, size_t len) {
  torc_link_second(n, from);
  if (len > (size_t)TORC_NODE_CONGESTED_SHARE - from->share) {
    return false;
  }
  from->share = (uint16_t)(from->share + len);
  return true;
}

/* [RTG-19] [HDR-05] [HDR-06] [GAP-13]: TTL 0 or 1 goes no further, and says nothing. */
void torc_route_forward(torc_node *n, torc_link *from, const torc_header *in, torc_slice msg,
                        const torc_step *step) {
  uint8_t room[TORC_LIST_MAX * TORC_ID_LEN];
  uint8_t *log_owned = NULL;
  torc_header h = *in;
  torc_split split;
  torc_slice body = torc_slice_sub(msg, in->header_len, msg.len - in->header_len);
  if (in->ttl <= 1) {
    n->stats->drop_ttl++;
    return;
  }
  if (n->role == TORC_ROLE_CLIENT) { /* [CLI-02] */
    n->stats->drop_client_forward++;
    return;
  }
  if (step->link->is_congested && !has_share(n, from, msg.len)) {
    n->stats->drop_congested++;
    return;
  }
  h.ttl = (uint8_t)(in->ttl - 1);
  h.route = step->route;
  if (grow_via(n, in, from, room, &h.via) != 0) {
    return;
  }
  if ((in->flags & TORC_FLAG_ROUTE_LOG) != 0 &&
      torc_route_log_append(n, in->route_log, step->link, &log_owned, &h.route_log) != 0) {
    n->stats->no_memory++;
  }
  h.length = (uint32_t)(torc_header_size(&h) + body.len); /* [GAP-16] */
  if (h.length > TORC_MESSAGE_MAX || /* the next peer would close the link */
      torc_split_plan(step->link, &h, body.len, &split) != 0) { /* [FRG-03] */
    n->stats->drop_too_long++;
    torc_free(n->mem, log_owned);
    return;
  }
  n->stats->messages_forwarded++;
  from->last_use = n->now;
  step->link->last_use = n->now;
  if (is_request(body) && !(in->is_fragment && in->fragment_units != 0)) {
    torc_link_asked(n, step->link);
  }
  if (log_owned != NULL || !forward_in_place(n, step->link, &h, body, &split)) {
    if (send_on(n, step->link, &h, body) != 0) {
      n->stats->no_memory++;
    }
  }
  torc_free(n->mem, log_owned);
}
