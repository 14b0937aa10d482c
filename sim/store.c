/* What a node has stored: it outlives the node, for a restart.
 * SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "base/mem.h"
#include "torc/storage.h"

int sim_store_new(sim_worker *w, sim_store **out) {
  sim_store *st = torc_calloc(&w->stores.mem, 1, sizeof *st);
  int rc = st == NULL ? TORC_ERR_NOMEM
                      : torc_memory_backend_new(&st->memory, &st->table, &w->stores.mem,
                                                (size_t)w->sim->cfg.max_stored_bytes);
  if (rc != 0) {
    torc_free(&w->stores.mem, st);
    return rc;
  }
  *out = st;
  return 0;
}

const torc_backend *sim_store_backend(const sim_store *st) {
  return &st->table;
}

void sim_store_free(sim_worker *w, sim_store **store) {
  if (*store != NULL) {
    torc_memory_backend_free((*store)->memory);
    torc_free(&w->stores.mem, *store);
    *store = NULL;
  }
}
