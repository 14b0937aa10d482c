/* SPDX-License-Identifier: Apache-2.0 */
#include "bounds.h"

#include <stdio.h>
#include <string.h>

/* What is left of a table at rest: a part of its own and one for each peer, which sends UPDATEs and
 * PINGs all the time. What is not here is as large as what is stored or known. */
static const struct {
  const char *name;
  uint64_t own, per_peer;
} rest[] = {
    {"inbound", 4, 1},
    {"inbound_bytes", 4096, 1024},
    {"requests", 4, 2},
    {"answers", 32, 8},
    {"answer_bytes", 16384, 8192},
    {"copies", 8, 0}, /* owners may go on writing */
    {"transfers", 0, 0},
    {"connects", 2, 0},
    {"private_ids", 0, 0},
    {"members", 0, 1},
    {"candidates", 0, 1},
    {"owed", 0, 0},
};
#define REST_BYTES (16u << 10) /* memory of a node at rest, three times what it takes */
#define REST_BYTES_PER_PEER (1u << 10)

typedef struct look {
  torc_bounds *out;
  torc_sim_index node;
  size_t num_peers;
} look;

static void complain(torc_bounds *out, const char *text) {
  if (out->num_over == 0) {
    (void)snprintf(out->fault, sizeof out->fault, "%s", text);
  }
  out->num_over++;
}

static bool rest_of(const char *name, size_t num_peers, uint64_t *out) {
  for (size_t k = 0; k < sizeof rest / sizeof rest[0]; k++) {
    if (strcmp(rest[k].name, name) == 0) {
      *out = rest[k].own + rest[k].per_peer * num_peers;
      return true;
    }
  }
  return false;
}

static void on_table(void *ctx, const char *name, uint64_t held, uint64_t limit) {
  const look *l = ctx;
  char text[128];
  uint64_t bound = limit;
  if (l->num_peers > 0 && !rest_of(name, l->num_peers, &bound)) {
    return;
  }
  if (held > bound) {
    (void)snprintf(text, sizeof text, "n%u holds %llu %s, %llu at most%s", l->node,
                   (unsigned long long)held, name, (unsigned long long)bound,
                   l->num_peers > 0 ? " at rest" : "");
    complain(l->out, text);
  }
}

void torc_bounds_look(torc_sim *s, torc_sim_index i, size_t num_peers, torc_bounds *out) {
  const torc_node *n = torc_sim_node(s, i);
  look l = {.out = out, .node = i, .num_peers = num_peers};
  if (n != NULL) {
    torc_node_tables(n, &l, on_table);
  }
}

void torc_bounds_look_at_memory(uint64_t bytes_per_node, size_t num_peers, torc_bounds *out) {
  char text[128];
  uint64_t bound = REST_BYTES + REST_BYTES_PER_PEER * (uint64_t)num_peers;
  if (bytes_per_node > bound) {
    (void)snprintf(text, sizeof text, "a node takes %llu bytes, %llu at most at rest",
                   (unsigned long long)bytes_per_node, (unsigned long long)bound);
    complain(out, text);
  }
}
