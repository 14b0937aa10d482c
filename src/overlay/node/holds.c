/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "overlay/node/rings.h"

/* Tombstones and what has expired are no elements: each type is looked up. */
bool torc_core_holds(const torc_node *n, const torc_id *resource) {
  torc_id found;
  torc_id before = torc_id_prev(resource);
  if (n->store == NULL) {
    return false; /* a client stores nothing [CLI-02] */
  }
  for (size_t i = 0; i < n->types.len; i++) {
    if (torc_store_find(n->store, n->types.list[i].id, resource, &before, resource,
                        torc_node_wall(n), &found) == 0 &&
        torc_id_eq(&found, resource)) {
      return true;
    }
  }
  return false;
}
