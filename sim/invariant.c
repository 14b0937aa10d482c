/* SPDX-License-Identifier: Apache-2.0 */
#include "invariant.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/id.h"

#define NEAR 8u /* places on either side of a resource */

void torc_ring_clear(torc_ring *r) {
  free(r->places);
  *r = (torc_ring){0};
}

void torc_ring_reset(torc_ring *r) {
  r->num = 0;
}

int torc_ring_add(torc_ring *r, const torc_id *id, torc_sim_index node, uint32_t group) {
  if (r->num == r->cap) {
    size_t cap = r->cap == 0 ? 64 : r->cap * 2;
    torc_ring_place *grown = realloc(r->places, cap * sizeof *grown);
    if (grown == NULL) {
      return TORC_ERR_NOMEM;
    }
    r->places = grown;
    r->cap = cap;
  }
  r->places[r->num++] = (torc_ring_place){.id = *id, .node = node, .group = group};
  return 0;
}

static int by_place(const void *a, const void *b) {
  const torc_ring_place *x = a;
  const torc_ring_place *y = b;
  if (x->group != y->group) {
    return x->group < y->group ? -1 : 1;
  }
  return torc_id_cmp(&x->id, &y->id);
}

void torc_ring_sort(torc_ring *r) {
  if (r->num > 1) {
    qsort(r->places, r->num, sizeof *r->places, by_place);
  }
}

/* The places of the group that begins at `from`. */
static size_t group_end(const torc_ring *r, size_t from) {
  size_t end = from;
  if (r->num > 0 && r->places[r->num - 1].group == r->places[from].group) {
    return r->num;
  }
  while (end < r->num && r->places[end].group == r->places[from].group) {
    end++;
  }
  return end;
}

size_t torc_ring_responsible(const torc_ring *r, const torc_id *id) {
  size_t low = 0;
  if (r->num == 0 || r->places[0].group != 0) {
    return SIZE_MAX;
  }
  size_t end = group_end(r, 0);
  size_t high = end;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (torc_id_cmp(&r->places[mid].id, id) < 0) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return low == end ? 0 : low;
}

static bool complain(char *fault, size_t cap, const torc_ring_place *p, const char *what) {
  char hex[TORC_ID_HEX_LEN + 1];
  if (fault != NULL) {
    (void)snprintf(fault, cap, "n%u (%.8s) %s", p->node, torc_id_hex(&p->id, hex), what);
  }
  return false;
}

static bool peer_is_right(torc_sim *s, const torc_ring_place *first, size_t at, size_t num,
                          char *fault, size_t cap) {
  const torc_ring_place *me = &first[at];
  const torc_id *next = &first[(at + 1) % num].id;
  const torc_id *prev = &first[(at + num - 1) % num].id;
  torc_node *n = torc_sim_node(s, me->node);
  torc_node_view v;
  if (n == NULL) {
    return complain(fault, cap, me, "is down");
  }
  torc_node_get_view(n, &v);
  if (!v.is_joined) {
    return complain(fault, cap, me, "has not joined");
  }
  if (!v.is_responsible) {
    return complain(fault, cap, me, "answers for nothing");
  }
  if (num == 1) {
    return v.num_successors == 0 && v.num_predecessors == 0
               ? true
               : complain(fault, cap, me, "is alone and knows neighbours");
  }
  if (v.num_successors == 0 || !torc_id_eq(&v.successors[0], next)) {
    return complain(fault, cap, me, "has a wrong successor");
  }
  if (v.num_predecessors == 0 || !torc_id_eq(&v.predecessors[0], prev)) {
    return complain(fault, cap, me, "has a wrong predecessor");
  }
  return torc_id_eq(&v.range_from, prev) ? true
                                         : complain(fault, cap, me, "answers for a wrong range");
}

bool torc_ring_is_whole(torc_sim *s, const torc_ring *r, char *fault, size_t fault_cap) {
  for (size_t from = 0; from < r->num;) {
    size_t end = group_end(r, from);
    for (size_t i = 0; i < end - from; i++) {
      if (!peer_is_right(s, &r->places[from], i, end - from, fault, fault_cap)) {
        return false;
      }
    }
    from = end;
  }
  return true;
}

static bool holds(torc_sim *s, const torc_ring_place *p, const torc_id *resource) {
  const torc_node *n = torc_sim_node(s, p->node);
  return n != NULL && torc_node_holds(n, resource);
}

size_t torc_ring_holders(torc_sim *s, const torc_ring *r, const torc_id *resource,
                         bool everywhere) {
  size_t at = torc_ring_responsible(r, resource);
  size_t end = at == SIZE_MAX ? 0 : group_end(r, 0);
  size_t num = 0;
  if (end <= 2 * NEAR) {
    for (size_t i = 0; i < r->num; i++) {
      num += holds(s, &r->places[i], resource);
    }
    return num;
  }
  for (size_t i = 0; i < 2 * NEAR; i++) {
    num += holds(s, &r->places[(at + end - NEAR / 2 + i) % end], resource);
  }
  for (size_t i = 0; num == 0 && everywhere && i < r->num; i++) {
    num += holds(s, &r->places[i], resource);
  }
  return num;
}
