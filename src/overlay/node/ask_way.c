/* Ways to an id that differ in their first hop, so that a peer which drops or misroutes what it
 * should pass on lies on few of them. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/app.h"

/* The peer an ordinary message to `target` goes to first. */
static bool first_hop(const torc_node *n, const torc_id *target, torc_id *out) {
  if (torc_link_of_peer(n, target) != NULL) {
    *out = *target;
    return true;
  }
  return torc_route_next_hop(n, target, out);
}

static bool may_forward(const torc_node *n, const torc_link *l) {
  return l->is_routing && !l->is_closing && torc_link_of_peer(n, &l->peer) == l;
}

/* The `place`th of the other peers in the routing table, those nearest before the target first. */
static torc_link *other_hop(const torc_node *n, const torc_id *target, const torc_id *usual,
                            unsigned place) {
  torc_id last = torc_id_zero;
  torc_link *best = NULL;
  for (unsigned k = 0; k <= place; k++) {
    torc_id least = torc_id_wildcard;
    torc_link *l = NULL;
    size_t it = 0;
    best = NULL;
    while ((l = torc_map_next(&n->links, &it)) != NULL) {
      torc_id d = torc_id_distance(&l->peer, target);
      bool is_later = k == 0 || torc_id_cmp(&d, &last) > 0;
      if (is_later && torc_id_cmp(&d, &least) < 0 && may_forward(n, l) &&
          !torc_id_eq(&l->peer, usual)) {
        best = l;
        least = d;
      }
    }
    if (best == NULL) {
      return NULL;
    }
    last = least;
  }
  return best;
}

static void random_id(torc_node *n, torc_id *out) {
  do {
    uint64_t high = torc_rng_u64(&n->rng);
    uint64_t low = torc_rng_u64(&n->rng);
    memcpy(out->b, &high, sizeof high);
    memcpy(out->b + sizeof high, &low, sizeof low);
  } while (!torc_id_is_peer(out));
}

void torc_ask_way(torc_node *n, const torc_ask_journey *j, const torc_id *target, torc_request *r) {
  torc_id usual;
  const torc_id *first = j->num_by > 0 ? &j->by[0] : target;
  bool is_here = torc_id_eq(first, &n->self) || torc_route_responsible(n, first);
  r->num_route = 0;
  r->link = 0;
  if (j->way > 0 && !is_here && first_hop(n, first, &usual)) {
    torc_link *l = n->role == TORC_ROLE_CLIENT ? NULL : other_hop(n, first, &usual, j->way - 1);
    if (l != NULL) {
      r->link = l->id;
    } else { /* [RTG-06] who is responsible for the first id passes the message on to the next */
      random_id(n, &r->route[r->num_route++]);
    }
  }
  for (size_t i = 0; i < j->num_by; i++) {
    r->route[r->num_route++] = j->by[i];
  }
  r->route[r->num_route++] = *target;
}

void torc_ask_pass_before(torc_node *n, const torc_id *target, const torc_id *stride,
                          torc_ask_journey *j) {
  torc_id end = torc_id_add(target, stride);
  torc_id third = torc_ask_part(target, &end, 3);
  torc_id to = torc_id_sub(target, &third);
  torc_id from = torc_id_sub(&to, stride);
  j->by[0] = torc_ask_between(n, &from, &to);
  j->num_by = 1;
}

void torc_ask_pass_behind(torc_node *n, const torc_id *target, const torc_id *stride,
                          torc_ask_journey *j) {
  torc_id end = torc_id_add(target, stride);
  torc_id half = torc_ask_part(target, &end, 2);
  torc_id from = torc_id_add(target, &half);
  for (size_t i = TORC_ASK_BY_MAX; i > 0; i--) {
    torc_id to = torc_id_add(&from, &half);
    j->by[i - 1] = torc_ask_between(n, &from, &to);
    from = to;
  }
  j->num_by = TORC_ASK_BY_MAX;
}

torc_id torc_ask_between(torc_node *n, const torc_id *from, const torc_id *to) {
  torc_id width = torc_id_distance(from, to);
  torc_id at;
  size_t top = 0;
  random_id(n, &at);
  while (top < TORC_ID_LEN && width.b[top] == 0) {
    at.b[top++] = 0;
  }
  if (top < TORC_ID_LEN) {
    at.b[top] = (uint8_t)(at.b[top] % width.b[top]); /* below the width; the rest is chance */
  }
  return torc_id_add(from, &at);
}

torc_id torc_ask_part(const torc_id *from, const torc_id *to, unsigned parts) {
  torc_id out = torc_id_distance(from, to);
  unsigned rest = 0;
  for (size_t i = 0; i < TORC_ID_LEN; i++) {
    unsigned here = rest << 8 | out.b[i];
    out.b[i] = (uint8_t)(here / parts);
    rest = here % parts;
  }
  return out;
}
