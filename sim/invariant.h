/* The ring as it should be, from the outside: who lives, who answers for what, who holds what.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TORC_SIM_INVARIANT_H
#define TORC_SIM_INVARIANT_H

#include "engine.h"

typedef struct torc_ring_place {
  torc_id id;
  torc_sim_index node;
  uint32_t group;
} torc_ring_place;

/* Peers in the order of group and id. */
typedef struct torc_ring {
  torc_ring_place *places;
  size_t num, cap;
} torc_ring;

void torc_ring_clear(torc_ring *r);
/* Empties it, keeping the memory. */
void torc_ring_reset(torc_ring *r);
int torc_ring_add(torc_ring *r, const torc_id *id, torc_sim_index node,
                  uint32_t group) TORC_MUST_CHECK;
void torc_ring_sort(torc_ring *r);
/* Where the peer responsible for `id` stands: the first at or behind it in group 0. SIZE_MAX: there
 * is none. */
size_t torc_ring_responsible(const torc_ring *r, const torc_id *id);

/* Whether the peers of each group form one cycle in which each answers for what lies between its
 * predecessor and itself, so that every id has exactly one responsible peer [CHD-04]. fault: one
 * line about the first that does not, if not NULL. */
bool torc_ring_is_whole(torc_sim *s, const torc_ring *r, char *fault, size_t fault_cap);

/* How many live nodes of the ring hold something at `resource`: looks at the neighbourhood of its
 * place first; `everywhere`: at all if nobody there does. */
size_t torc_ring_holders(torc_sim *s, const torc_ring *r, const torc_id *resource, bool everywhere);

#endif
