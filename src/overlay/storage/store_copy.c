/* Copying a resource to another holder: the REMOVEs behind its tombstones, then STORE payloads.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "overlay/storage/slot.h"

#define REQUEST_HEAD (TORC_ID_LEN + 2u)
#define TYPE_HEAD 13u /* type, generation, length of the values */
#define PAYLOAD_MAX (REQUEST_HEAD + TORC_VEC16_MAX)

/* So many groups of elements of one counter; what is left goes under the slot's counter. */
#define GROUPS_MAX 16u

_Static_assert(PAYLOAD_MAX <= TORC_STORE_COPY_MAX,
               "a payload must fit into what the node was told");

/* One STORE payload being filled. */
typedef struct copier {
  torc_store *s;
  const torc_id *resource;
  torc_wr wr;
  size_t request_mark, type_mark;
  torc_type_id type; /* 0: none open */
  bool is_known;     /* the open type is configured */
  size_t num_elements;
  size_t limit;        /* bytes of several elements */
  uint64_t from, upto; /* elements of these counters */
  bool is_group;       /* sent under `upto`, not under the counters of their slots */
  bool is_arrays;      /* these last */
} copier;

static void close_type(copier *c) {
  if (c->type != 0 && c->is_known) {
    torc_store_type_end(&c->wr, c->type_mark);
  }
  c->type = 0;
}

static int open_type(copier *c, torc_type_id type) {
  torc_slot slot;
  int rc = torc_slot_load(c->s, &slot, c->resource, type);
  if (rc == 0) {
    c->type = type;
    c->is_known = slot.type != NULL;
  }
  if (rc == 0 && c->is_known) {
    uint64_t generation = c->is_group ? c->upto : slot.meta.generation;
    c->type_mark = torc_store_type_begin(&c->wr, type, generation); /* [GAP-95] */
  }
  return rc;
}

/* Adds an element; *fits is false if the payload has no room for it. */
static int add_element(copier *c, torc_type_id type, torc_slice value, bool *fits) {
  torc_element e;
  int rc = torc_element_get(&e, value);
  *fits = true;
  if (rc != 0 || e.expiry <= c->s->now || e.generation < c->from || e.generation > c->upto) {
    return rc; /* [GAP-98] expired ones stay behind */
  }
  size_t head = c->type == type ? 0 : TYPE_HEAD;
  size_t limit = c->num_elements > 0 ? c->limit : TORC_VEC16_MAX;
  if (c->wr.len - REQUEST_HEAD + head + e.bytes.len > limit) {
    *fits = false;
    return c->num_elements > 0 ? 0 : TORC_ERR_FORMAT; /* it came in a STORE, so it fits into one */
  }
  torc_slice bytes = e.bytes; /* reading the slot's counter leaves it in place */
  if (c->type != type) {
    close_type(c);
    rc = open_type(c, type);
  }
  if (rc == 0 && c->is_known) {
    torc_wr_bytes(&c->wr, bytes);
    c->num_elements++;
    rc = c->wr.err;
  }
  return rc;
}

/* A REMOVE of an array's last element does not say which it was: to a holder without elements only
 * the counter of the slot tells that one from those that are left. */
static bool keeps_counters(const torc_store *s, torc_type_id type) {
  const torc_type *t = torc_types_find(s->types, type);
  return t != NULL && t->model != TORC_MODEL_ARRAY;
}

static torc_type_id type_of(const torc_rkey *key) {
  torc_rd rd;
  torc_rd_init(&rd, torc_rkey_slice(key));
  torc_rd_skip(&rd, 1 + TORC_ID_LEN);
  return torc_rd_u24(&rd);
}

/* Looks at the elements of a resource, or of one slot, that have not expired: the least counter of
 * one from `from` on, and the highest of all. TORC_ERR_NOTFOUND: there is none from `from` on. */
static int look(torc_store *s, const torc_id *resource, const torc_type_id *type, uint64_t from,
                uint64_t *least, uint64_t *most) {
  torc_rkey key;
  torc_slice value;
  bool has_any = false;
  torc_rkey_resource(&key, TORC_TABLE_SLOT, resource);
  if (type != NULL) {
    torc_rkey_slot(&key, resource, *type, TORC_KIND_ELEMENT);
  }
  size_t prefix = key.len;
  int rc = torc_txn_seek(s, &key, prefix, &key, &value);
  *most = 0;
  while (rc == 0) {
    torc_element e = {.expiry = 0};
    if (key.b[TORC_RECORD_PREFIX_LEN] == TORC_KIND_ELEMENT && keeps_counters(s, type_of(&key))) {
      rc = torc_element_get(&e, value);
    }
    if (rc == 0 && e.expiry > s->now) {
      *most = e.generation > *most ? e.generation : *most;
      if (e.generation >= from && (!has_any || e.generation < *least)) {
        *least = e.generation;
        has_any = true;
      }
    }
    if (rc == 0) {
      torc_rkey_next(&key);
      rc = torc_txn_seek(s, &key, prefix, &key, &value);
    }
  }
  return rc == TORC_ERR_NOTFOUND && has_any ? 0 : rc;
}

/* Fills the payload from `at` on. TORC_ERR_NOTFOUND: nothing is left behind it. */
static int fill(copier *c, torc_rkey *at) {
  for (;;) {
    torc_slice value;
    int rc = torc_txn_seek(c->s, at, 1 + TORC_ID_LEN, at, &value);
    if (rc != 0) {
      return rc;
    }
    torc_rd rd;
    torc_rd_init(&rd, torc_rkey_slice(at));
    torc_rd_skip(&rd, 1 + TORC_ID_LEN);
    torc_type_id type = torc_rd_u24(&rd);
    uint8_t kind = torc_rd_u8(&rd);
    bool fits = true;
    if (rd.err != 0) {
      return rd.err;
    }
    if (kind == TORC_KIND_ELEMENT && keeps_counters(c->s, type) != c->is_arrays) {
      rc = add_element(c, type, value, &fits);
    }
    if (rc != 0 || !fits) {
      return rc;
    }
    if (kind > TORC_KIND_ELEMENT) {
      torc_rkey_slot(at, c->resource, type, TORC_KIND_META);
      at->b[TORC_RECORD_PREFIX_LEN] = UINT8_MAX; /* on to the next slot */
    } else {
      torc_rkey_next(at);
    }
  }
}

static size_t limit_of(size_t payload_max) {
  if (payload_max == 0 || payload_max > PAYLOAD_MAX) {
    return TORC_VEC16_MAX;
  }
  return payload_max > REQUEST_HEAD ? payload_max - REQUEST_HEAD : 0;
}

/* [D-14] A REMOVE takes what was written at a lower counter than its own, before it comes or after:
 * each element keeps its own. TORC_ERR_NOTFOUND: all groups are done. */
static int next_group(const copier *c, torc_copy_place *place) {
  uint64_t most = 0;
  int rc = TORC_ERR_NOTFOUND;
  if (place->is_arrays) {
    return rc;
  }
  if (place->num_groups == 0 || place->upto != UINT64_MAX) {
    place->from = place->num_groups == 0 ? 0 : place->upto + 1;
    rc = look(c->s, c->resource, NULL, place->from, &place->upto, &most);
  }
  if (rc == TORC_ERR_NOTFOUND) {
    place->is_arrays = true;
    place->from = 0;
    place->upto = UINT64_MAX;
    rc = 0;
  } else if (rc == 0 && ++place->num_groups == GROUPS_MAX) {
    place->upto = UINT64_MAX;
  }
  place->in_group = rc == 0;
  torc_rkey_resource(&place->at, TORC_TABLE_SLOT, c->resource);
  return rc;
}

/* The next elements, at least one. TORC_ERR_NOTFOUND: none is left. */
static int fill_next(copier *c, torc_copy_place *place) {
  int rc = 0;
  while (rc == 0 && c->num_elements == 0) {
    rc = place->in_group ? 0 : next_group(c, place);
    if (rc == 0) {
      c->from = place->from;
      c->upto = place->upto;
      c->is_group = place->upto != UINT64_MAX;
      c->is_arrays = place->is_arrays;
      rc = fill(c, &place->at);
      place->in_group = rc == 0;
      rc = rc == TORC_ERR_NOTFOUND ? 0 : rc;
    }
  }
  return rc;
}

/* No transaction is open while a callback runs, so it may use the store. */
static int next_elements(torc_store *s, torc_copy_place *place, torc_wall now, uint8_t *room,
                         torc_copy_store_fn store, void *ctx) {
  copier c = {.s = s, .resource = &place->resource, .limit = limit_of(place->payload_max)};
  torc_wr_init(&c.wr, room, PAYLOAD_MAX);
  c.request_mark = torc_store_request_begin(&c.wr, &place->resource);
  int rc = torc_txn_begin(s, false, now);
  if (rc != 0) {
    return rc;
  }
  rc = fill_next(&c, place);
  close_type(&c);
  torc_store_request_end(&c.wr, c.request_mark);
  torc_txn_abort(s);
  rc = rc == 0 ? c.wr.err : rc;
  return rc != 0 ? rc : store(ctx, &place->resource, torc_wr_slice(&c.wr));
}

/* Reads the next REMOVE behind `at` into `bytes`. TORC_ERR_NOTFOUND: there is none. */
static int read_removal(torc_store *s, torc_rkey *at, torc_removal *head, torc_buf *bytes) {
  torc_slice value;
  int rc = torc_txn_seek(s, at, 1 + TORC_ID_LEN, at, &value);
  if (rc == 0) {
    rc = torc_removal_get(head, value);
  }
  if (rc != 0) {
    return rc;
  }
  torc_rkey key = *at;
  key.b[0] = TORC_TABLE_MESSAGE;
  rc = torc_txn_get(s, &key, &value);
  if (rc != 0) {
    return rc == TORC_ERR_NOTFOUND ? TORC_ERR_FORMAT : rc;
  }
  bytes->len = 0;
  rc = value.len == (size_t)head->contents_len + head->signature_len ? 0 : TORC_ERR_FORMAT;
  if (rc == 0) {
    rc = torc_buf_append(bytes, value);
  }
  torc_rkey_next(at);
  return rc;
}

static int next_removal(torc_store *s, torc_copy_place *place, torc_wall now,
                        torc_copy_remove_fn remove, void *ctx) {
  torc_removal head = {.is_replayable = false};
  torc_buf bytes;
  torc_buf_init(&bytes, s->mem, SIZE_MAX);
  int rc = 0;
  while (rc == 0 && !head.is_replayable) {
    rc = torc_txn_begin(s, false, now);
    if (rc == 0) {
      rc = read_removal(s, &place->at, &head, &bytes);
      torc_txn_abort(s);
    }
  }
  if (rc == 0) {
    torc_slice all = torc_buf_slice(&bytes);
    rc = remove(ctx, &place->resource, head.xid, torc_slice_sub(all, 0, head.contents_len),
                torc_slice_sub(all, head.contents_len, head.signature_len)); /* [D-14] */
  }
  torc_buf_clear(&bytes);
  return rc;
}

int torc_store_copy_next(torc_store *s, torc_copy_place *place, torc_wall now,
                         torc_copy_store_fn store, torc_copy_remove_fn remove, void *ctx) {
  if (!place->is_begun) {
    place->is_begun = true;
    torc_rkey_resource(&place->at, TORC_TABLE_REMOVAL, &place->resource);
  }
  /* The REMOVEs go first: they find a holder that missed them in the state their owner saw. */
  if (!place->has_removals_behind) {
    int rc = next_removal(s, place, now, remove, ctx);
    if (rc != TORC_ERR_NOTFOUND) {
      return rc;
    }
    place->has_removals_behind = true;
  }
  uint8_t *room = torc_alloc(s->mem, PAYLOAD_MAX);
  if (room == NULL) {
    return TORC_ERR_NOMEM;
  }
  int rc = next_elements(s, place, now, room, store, ctx);
  torc_free(s->mem, room);
  return rc;
}

int torc_store_copy_counter(torc_store *s, const torc_id *resource, torc_type_id type,
                            uint64_t sent, uint64_t *out) {
  torc_slot slot;
  uint64_t least = 0;
  uint64_t most = 0;
  int rc = torc_txn_begin(s, false, s->now);
  if (rc != 0) {
    return rc;
  }
  rc = torc_slot_load(s, &slot, resource, type);
  if (rc == 0) {
    rc = look(s, resource, &type, 0, &least, &most);
  }
  torc_txn_abort(s);
  *out = rc == 0 && sent == most && slot.meta.generation > most ? slot.meta.generation : sent;
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}
