/* Copying a resource to another holder: the REMOVEs behind its tombstones, then STORE payloads.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "base/slice.h"
#include "overlay/storage/slot.h"

#define REQUEST_HEAD (TORC_ID_LEN + 2u)
#define TYPE_HEAD 13u /* type, generation, length of the values */
#define PAYLOAD_MAX (REQUEST_HEAD + TORC_VEC16_MAX)

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
  size_t limit; /* bytes of several elements */
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
    c->type_mark = torc_store_type_begin(&c->wr, type,
                                         slot.meta.generation); /* [GAP-95] the sender's counter */
  }
  return rc;
}

/* Adds an element; *fits is false if the payload has no room for it. */
static int add_element(copier *c, torc_type_id type, torc_slice value, bool *fits) {
  torc_element e;
  int rc = torc_element_get(&e, value);
  *fits = true;
  if (rc != 0 || e.expiry <= c->s->now) {
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
    if (kind == TORC_KIND_ELEMENT) {
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
  rc = fill(&c, &place->at);
  close_type(&c);
  torc_store_request_end(&c.wr, c.request_mark);
  torc_txn_abort(s);
  place->is_over = rc == TORC_ERR_NOTFOUND;
  if (place->is_over && c.num_elements > 0) {
    rc = 0; /* the last payload */
  }
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
    torc_rkey_resource(&place->at, TORC_TABLE_SLOT, &place->resource);
  }
  if (place->is_over) {
    return TORC_ERR_NOTFOUND;
  }
  uint8_t *room = torc_alloc(s->mem, PAYLOAD_MAX);
  if (room == NULL) {
    return TORC_ERR_NOMEM;
  }
  int rc = next_elements(s, place, now, room, store, ctx);
  torc_free(s->mem, room);
  return rc;
}
