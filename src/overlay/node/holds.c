/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"
#include "overlay/node/impl.h"

bool torc_node_holds(const torc_node *n, const torc_id *resource) {
  torc_id found;
  torc_id before = torc_id_prev(resource);
  if (n->store == NULL) {
    return false; /* a client stores nothing [CLI-02] */
  }
  return torc_store_next_resource(n->store, &before, &before, resource, &found) == 0 &&
         torc_id_eq(&found, resource);
}
