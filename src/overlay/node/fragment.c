/* Messages in parts [FRG-01..07] [GAP-42..46] [TLS-05]: a message too long for its link leaves in
 * fragments, each with a whole header; a fragment of somebody else's is passed on like any message,
 * and split again where it has to be [FRG-03], never put together [FRG-04]; those for this node
 * are. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

#define UNIT 8u
#define UNITS_MAX 0x3fffu /* [HDR-12] */

/* ---- going out ---- */

uint32_t torc_link_mtu(const torc_link *l) {
  return l->mtu_words * 4u;
}

void torc_link_set_mtu(torc_link *l, uint32_t mtu) {
  uint32_t words = mtu / 4 < UINT16_MAX ? mtu / 4 : UINT16_MAX;
  l->mtu_words = (uint16_t)(mtu != 0 && words == 0 ? 1 : words);
}

/* Body bytes of the longest fragment that the link carries behind a header of this size: first the
 * spare bytes are given up, then the least size [GAP-45]. 0: none worth while. */
static size_t longest_part(size_t mtu, size_t head) {
  size_t room = mtu > head ? mtu - head : 0;
  size_t part = room > TORC_NODE_FRAGMENT_SPARE ? room - TORC_NODE_FRAGMENT_SPARE : 0;
  if (part < TORC_NODE_FRAGMENT_BODY) {
    part = room < TORC_NODE_FRAGMENT_BODY ? room : TORC_NODE_FRAGMENT_BODY;
  }
  part -= part % UNIT;
  return part < TORC_NODE_FRAGMENT_LEAST ? 0 : part;
}

/* The parts are of one size, as far as that goes: each then has room for what the next peers add to
 * its header. */
static size_t even_part(size_t body_len, size_t longest) {
  size_t num = (body_len + longest - 1) / longest;
  size_t part = ((body_len + num - 1) / num + UNIT - 1) / UNIT * UNIT;
  size_t least = longest < TORC_NODE_FRAGMENT_BODY ? longest : TORC_NODE_FRAGMENT_BODY;
  return part < least ? least : part;
}

int torc_split_plan(const torc_link *l, const torc_header *h, size_t body_len, torc_split *out) {
  size_t head = torc_header_size(h);
  size_t mtu = torc_link_mtu(l);
  *out = (torc_split){.part = 0};
  if (mtu == 0 || head + body_len <= mtu) {
    return 0;
  }
  size_t longest = longest_part(mtu, head);
  if (longest == 0) {
    return TORC_ERR_LIMIT;
  }
  size_t part = even_part(body_len, longest);
  size_t units = h->is_fragment ? h->fragment_units : 0;           /* [GAP-44] */
  if (units + (body_len - 1) / part * (part / UNIT) > UNITS_MAX) { /* [GAP-42] */
    return TORC_ERR_LIMIT;
  }
  out->part = (uint32_t)part;
  out->units = (uint16_t)units;
  out->is_last = !h->is_fragment || h->is_last_fragment;
  return 0;
}

size_t torc_split_parts(const torc_split *s, size_t body_len) {
  return s->part == 0 ? 1 : (body_len + s->part - 1) / s->part;
}

void torc_split_next(torc_split *s, uint8_t *head, size_t head_len, torc_slice *body,
                     torc_slice *part) {
  bool is_end = s->part == 0 || body->len <= s->part;
  *part = is_end ? *body : torc_slice_of(body->p, s->part);
  if (s->part != 0) {
    torc_header_set_fragment(head, is_end && s->is_last ? TORC_LAST_FRAGMENT : TORC_FRAGMENT,
                             s->units, (uint32_t)(head_len + part->len));
    s->units = (uint16_t)(s->units + s->part / UNIT);
  }
  *body = torc_slice_sub(*body, part->len, body->len - part->len);
}

/* ---- coming in ---- */

static bool has_reassembly(torc_node *n) {
  if (n->reasm == NULL &&
      torc_reasm_new(&n->reasm, n->mem, torc_rng_u64(&n->rng), TORC_REASM_BYTES) != 0) {
    n->stats->no_memory++;
  }
  return n->reasm != NULL;
}

static void count(torc_node *n, torc_reasm_stats before) {
  torc_reasm_stats now = torc_reasm_get_stats(n->reasm);
  n->stats->messages_reassembled += now.completed - before.completed;
  n->stats->fragment_conflicts += now.conflicts - before.conflicts;
  n->stats->fragment_timeouts += now.timeouts - before.timeouts;
  n->stats->fragment_evictions += now.evictions - before.evictions;
}

static void refused(torc_node *n, const torc_link *l, int rc) {
  switch (rc) {
    case TORC_ERR_FORMAT:
      n->stats->drop_fragment++;
      break;
    case TORC_ERR_LIMIT:
      n->stats->drop_fragment_full++;
      break;
    case TORC_ERR_NOMEM:
      n->stats->no_memory++;
      break;
    default: /* its set was discarded, by this one or before */
      n->stats->drop_fragment_ignored++;
      break;
  }
  TORC_LOG(n->log, TORC_LOG_DEBUG, "node:bad_fragment", TORC_F_ID("from", &l->peer),
           TORC_F_ERR("why", rc));
}

/* The message is the one of the fragment at offset 0, also where that came by another link, which
 * may be gone by now. Takes the memory of `w`. */
static void whole(torc_node *n, const torc_reasm_whole *w) {
  torc_link *l = torc_link_find(n, w->way.link);
  torc_step step = {.kind = TORC_STEP_HERE,
                    .has_entry = w->way.has_entry,
                    .entry = w->way.entry,
                    .is_exact = w->way.is_exact,
                    .is_wildcard = w->way.is_wildcard};
  if (l == NULL) {
    l = torc_link_of_peer(n, &w->way.last_hop);
  }
  if (l == NULL || !torc_inbound_fits(n, l, w->len)) {
    n->stats->drop_inbound_full++;
    torc_free(n->mem, w->msg);
    return;
  }
  torc_inbound *in = torc_inbound_take(n, w->msg, w->len, &step, l);
  if (in != NULL) {
    torc_inbound_start(n, in);
  }
}

/* [FRG-05] [FRG-07] [HDR-17] */
void torc_fragment_take(torc_node *n, torc_link *l, const torc_header *h, torc_slice msg,
                        const torc_step *step) {
  torc_reasm_way way = {.link = l->id,
                        .last_hop = l->peer,
                        .has_entry = step->has_entry,
                        .is_exact = step->is_exact,
                        .is_wildcard = step->is_wildcard,
                        .entry = step->entry};
  torc_reasm_whole w;
  n->stats->fragments_in++;
  if (!has_reassembly(n)) {
    return;
  }
  torc_reasm_stats before = torc_reasm_get_stats(n->reasm);
  int rc = torc_reasm_add(n->reasm, h, msg, &way, n->now, &w);
  count(n, before);
  torc_node_untidy(n);
  if (rc != 0) {
    refused(n, l, rc);
  } else if (w.msg != NULL) {
    whole(n, &w);
  }
}

bool torc_fragments_expire(torc_node *n) {
  if (n->reasm == NULL) {
    return false;
  }
  torc_reasm_stats before = torc_reasm_get_stats(n->reasm);
  bool is_left = torc_reasm_expire(n->reasm, n->now);
  count(n, before);
  if (!is_left) {
    torc_fragments_clear(n);
  }
  return is_left;
}

void torc_fragments_clear(torc_node *n) {
  torc_reasm_free(n->reasm);
  n->reasm = NULL;
}
