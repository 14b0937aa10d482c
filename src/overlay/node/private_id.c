/* List compression: private ids that stand for via lists [RTG-24] [RTG-25] [GAP-27]. The table goes
 * with the node: what still comes for one of its ids is dropped, and the requester tries again
 * [RTG-26]. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

typedef struct private_entry {
  torc_list age; /* oldest first: all live equally long */
  torc_id id;
  torc_time expires;
  size_t len;
  uint8_t ids[]; /* in route order: the reverse of the via list */
} private_entry;

static void drop(torc_node *n, private_entry *e) {
  (void)torc_map_del(&n->private_ids, &e->id);
  torc_list_remove(&e->age);
  torc_free(n->mem, e);
}

static private_entry *oldest(torc_node *n) {
  return torc_list_empty(&n->private_age)
             ? NULL
             : TORC_CONTAINER_OF(n->private_age.next, private_entry, age);
}

bool torc_private_ids_expire(torc_node *n) {
  private_entry *e = NULL;
  while ((e = oldest(n)) != NULL && e->expires <= n->now) {
    drop(n, e);
  }
  return e != NULL;
}

static void make_room(torc_node *n) {
  (void)torc_private_ids_expire(n);
  while (n->private_ids.len >= TORC_NODE_PRIVATE_IDS_MAX) {
    n->stats->private_ids_evicted++;
    drop(n, oldest(n));
  }
}

int torc_private_id_make(torc_node *n, torc_slice via, const torc_id *last_hop, torc_id *out) {
  size_t num = torc_id_list_len(via);
  private_entry *e = NULL;
  int rc = 0;
  make_room(n);
  if (num + 1 > TORC_LIST_MAX) {
    return TORC_ERR_LIMIT;
  }
  e = torc_alloc(n->mem, sizeof *e + (num + 1) * TORC_ID_LEN);
  if (e == NULL) {
    return TORC_ERR_NOMEM;
  }
  torc_list_init(&e->age);
  rc = n->crypto->random(n->crypto->ctx, e->id.b, TORC_ID_LEN);
  if (rc != 0) {
    torc_free(n->mem, e);
    return rc;
  }
  e->id.b[0] = (uint8_t)((e->id.b[0] & 0x7fu) | 0x01u); /* neither 0 nor all ones */
  e->len = (num + 1) * TORC_ID_LEN;
  e->expires = torc_time_add(n->now, TORC_NODE_PRIVATE_ID_AGE);
  memcpy(e->ids, last_hop->b, TORC_ID_LEN);
  for (size_t i = 0; i < num; i++) {
    memcpy(e->ids + (i + 1) * TORC_ID_LEN, via.p + (num - 1 - i) * TORC_ID_LEN, TORC_ID_LEN);
  }
  rc = torc_map_put(&n->private_ids, e);
  if (rc != 0) {
    torc_free(n->mem, e);
    return rc;
  }
  torc_list_push_back(&n->private_age, &e->age);
  torc_node_untidy(n);
  n->stats->private_ids_made++;
  *out = e->id;
  return 0;
}

bool torc_private_id_expand(torc_node *n, const torc_id *id, torc_slice *ids) {
  private_entry *e = n->private_ids.len == 0 ? NULL : torc_map_get(&n->private_ids, id);
  if (e == NULL) {
    return false;
  }
  *ids = torc_slice_of(e->ids, e->len);
  return true;
}

void torc_private_ids_init(torc_node *n, uint64_t seed) {
  torc_list_init(&n->private_age);
  torc_map_init(&n->private_ids, n->mem, offsetof(private_entry, id), TORC_ID_LEN, seed);
}

void torc_private_ids_clear(torc_node *n) {
  private_entry *e = NULL;
  while ((e = oldest(n)) != NULL) {
    drop(n, e);
  }
  torc_map_clear(&n->private_ids);
}
