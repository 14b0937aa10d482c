/* Transactions and slots.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/storage/slot.h"

#include <string.h>

#include "base/slice.h"

/* A full backend refuses every write, so it is told once, until a write succeeds again. */
static int note(torc_store *s, int rc) {
  if (rc == TORC_ERR_LIMIT) {
    s->stats.backend_full++;
    if (!s->is_full) {
      s->is_full = true;
      TORC_LOG(s->log, TORC_LOG_ERROR, "store:backend_full", TORC_F_U64("bytes", s->held.bytes),
               TORC_F_STR("fix", "make room where the values are kept; until then STOREs get 413"));
    }
  } else if (rc != 0 && rc != TORC_ERR_NOTFOUND) {
    s->stats.backend_errors++;
    TORC_LOG(s->log, TORC_LOG_ERROR, "store:backend_failed", TORC_F_ERR("why", rc));
  }
  return rc;
}

int torc_txn_begin(torc_store *s, bool write, torc_wall now) {
  int rc = note(s, s->backend->begin(s->backend->ctx, write));
  s->is_writing = write;
  if (rc == 0) {
    s->next = s->held;
    s->now = now;
  }
  return rc;
}

int torc_txn_commit(torc_store *s) {
  int rc = note(s, s->backend->commit(s->backend->ctx));
  if (rc == 0) {
    s->is_full = s->is_full && !s->is_writing;
    s->held = s->next;
    s->stats.expired = s->held.expired;
    s->stats.tombstones = s->held.tombstones;
    s->stats.dropped = s->held.dropped;
  }
  torc_buf_clear(&s->scratch);
  return rc;
}

void torc_txn_abort(torc_store *s) {
  s->backend->abort(s->backend->ctx);
  torc_buf_clear(&s->scratch);
}

int torc_txn_get(torc_store *s, const torc_rkey *key, torc_slice *value) {
  return note(s, s->backend->get(s->backend->ctx, torc_rkey_slice(key), value));
}

int torc_txn_put(torc_store *s, const torc_rkey *key, torc_slice value) {
  return note(s, s->backend->put(s->backend->ctx, torc_rkey_slice(key), value));
}

int torc_txn_del(torc_store *s, const torc_rkey *key) {
  return note(s, s->backend->del(s->backend->ctx, torc_rkey_slice(key)));
}

int torc_txn_seek(torc_store *s, const torc_rkey *from, size_t prefix_len, torc_rkey *found,
                  torc_slice *value) {
  torc_slice key;
  int rc = note(s, s->backend->seek(s->backend->ctx, torc_rkey_slice(from), &key, value));
  if (rc != 0) {
    return rc;
  }
  if (key.len < prefix_len || memcmp(key.p, from->b, prefix_len) != 0) {
    return TORC_ERR_NOTFOUND;
  }
  torc_rkey_set(found, key);
  return 0;
}

int torc_slot_load(torc_store *s, torc_slot *slot, const torc_id *resource, torc_type_id type) {
  *slot =
      (torc_slot){.type = torc_types_find(s->types, type), .type_id = type, .resource = *resource};
  torc_rkey key;
  torc_rkey_slot(&key, resource, type, TORC_KIND_META);
  torc_slice value;
  int rc = torc_txn_get(s, &key, &value);
  if (rc == TORC_ERR_NOTFOUND) {
    return 0; /* [GAP-90] a slot never written has counter 0 */
  }
  if (rc == 0) {
    rc = torc_meta_get(&slot->meta, value);
  }
  slot->before = slot->meta;
  slot->exists = rc == 0;
  return rc;
}

uint64_t torc_slot_next_generation(const torc_store *s, const torc_slot *slot) {
  uint64_t from = slot->meta.generation != 0 ? slot->meta.generation : s->next.floor;
  return from == UINT64_MAX ? from : from + 1;
}

void torc_slot_set_generation(torc_slot *slot, uint64_t generation, bool is_synced) {
  slot->meta.generation = generation;
  slot->meta.is_synced = is_synced;
  slot->meta.drift = 0;
}

void torc_slot_count_expired(torc_store *s, torc_slot *slot) {
  slot->meta.generation = torc_slot_next_generation(s, slot);
  slot->meta.drift++;
  s->next.expired++;
}

bool torc_slot_is_in_step(const torc_slot *slot, uint64_t generation) {
  const torc_meta *m = &slot->meta;
  return generation <= m->generation && m->generation - generation <= m->drift;
}

/* The highest element that is left; one pass over the keys. */
int torc_slot_find_top(torc_store *s, torc_slot *slot) {
  if (!slot->is_top_stale) {
    return 0;
  }
  torc_rkey key;
  torc_rkey_slot(&key, &slot->resource, slot->type_id, TORC_KIND_ELEMENT);
  size_t prefix = key.len;
  torc_slice value;
  uint32_t top = 0;
  int rc = torc_txn_seek(s, &key, prefix, &key, &value);
  while (rc == 0) {
    top = torc_slot_key_index(&key) + 1;
    torc_rkey_next(&key);
    rc = torc_txn_seek(s, &key, prefix, &key, &value);
  }
  if (rc != TORC_ERR_NOTFOUND) {
    return rc;
  }
  slot->meta.top = top; /* [R-17] [REM-13] */
  slot->is_top_stale = false;
  return 0;
}

/* An empty slot keeps its counter for a while: then the counter joins the floor and the record
 * goes. */
static int update_forgetting(torc_store *s, torc_slot *slot, const torc_rkey *meta_key) {
  torc_meta *m = &slot->meta;
  bool is_empty = m->count == 0 && m->tombs == 0;
  if (is_empty == (m->forget_at != 0)) {
    return 0;
  }
  const uint8_t none = 0;
  torc_rkey key;
  if (!is_empty) {
    torc_rkey_expiry(&key, m->forget_at, meta_key);
    m->forget_at = 0;
    return torc_txn_del(s, &key);
  }
  m->forget_at =
      s->now > UINT32_MAX - TORC_STORE_FORGET_S ? UINT32_MAX : s->now + TORC_STORE_FORGET_S;
  torc_rkey_expiry(&key, m->forget_at, meta_key);
  return torc_txn_put(s, &key, torc_slice_of(&none, 1));
}

static int update_resource(torc_store *s, torc_slot *slot, bool is_gone) {
  torc_rkey key;
  torc_rkey_resource(&key, TORC_TABLE_RESOURCE, &slot->resource);
  torc_resource_record r = {0, 0};
  torc_slice value;
  int rc = torc_txn_get(s, &key, &value);
  if (rc == 0) {
    rc = torc_resource_record_get(&r, value);
  } else if (rc == TORC_ERR_NOTFOUND) {
    rc = 0;
  }
  if (rc != 0) {
    return rc;
  }
  bool had_elements = r.elements > 0;
  r.elements = r.elements - slot->before.count + slot->meta.count;
  r.slots = r.slots + (slot->exists ? 0 : 1) - (is_gone ? 1 : 0);
  if (had_elements != (r.elements > 0)) {
    s->next.resources += had_elements ? UINT32_MAX : 1; /* [GAP-67] minus or plus one */
  }
  if (r.slots == 0) {
    return torc_txn_del(s, &key);
  }
  uint8_t buf[TORC_RECORD_FIXED_MAX];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  torc_resource_record_put(&wr, &r);
  return torc_txn_put(s, &key, torc_wr_slice(&wr));
}

/* FIND walks the resources of one type. */
static int update_type_index(torc_store *s, torc_slot *slot) {
  const uint8_t none = 0;
  torc_rkey key;
  torc_rkey_type(&key, slot->type_id, &slot->resource);
  if (slot->before.count == 0 && slot->meta.count > 0) {
    return torc_txn_put(s, &key, torc_slice_of(&none, 1));
  }
  if (slot->before.count > 0 && slot->meta.count == 0) {
    return torc_txn_del(s, &key);
  }
  return 0;
}

static bool is_same_meta(const torc_meta *a, const torc_meta *b) {
  return a->generation == b->generation && a->bytes == b->bytes && a->count == b->count &&
         a->tombs == b->tombs && a->blinds == b->blinds && a->drift == b->drift &&
         a->top == b->top && a->min_expiry == b->min_expiry && a->forget_at == b->forget_at &&
         a->is_synced == b->is_synced;
}

int torc_slot_save(torc_store *s, torc_slot *slot) {
  int rc = torc_slot_find_top(s, slot);
  if (rc != 0) {
    return rc;
  }
  if (slot->meta.count == 0) {
    slot->meta.min_expiry = 0;
  }
  if (is_same_meta(&slot->meta, &slot->before)) {
    return 0;
  }
  torc_rkey key;
  torc_rkey_slot(&key, &slot->resource, slot->type_id, TORC_KIND_META);
  rc = update_forgetting(s, slot, &key);
  if (rc == 0) {
    uint8_t buf[TORC_RECORD_FIXED_MAX];
    torc_wr wr;
    torc_wr_init(&wr, buf, sizeof buf);
    torc_meta_put(&wr, &slot->meta);
    rc = torc_txn_put(s, &key, torc_wr_slice(&wr));
  }
  if (rc == 0 && (!slot->exists || slot->before.count != slot->meta.count)) {
    rc = update_resource(s, slot, false);
  }
  if (rc == 0) {
    rc = update_type_index(s, slot);
  }
  if (rc == 0) {
    slot->exists = true;
    slot->before = slot->meta;
  }
  return rc;
}

int torc_slot_forget(torc_store *s, torc_slot *slot) {
  torc_rkey key;
  torc_rkey_slot(&key, &slot->resource, slot->type_id, TORC_KIND_META);
  int rc = torc_txn_del(s, &key);
  if (rc == 0 && slot->meta.forget_at != 0) {
    torc_rkey due;
    torc_rkey_expiry(&due, slot->meta.forget_at, &key);
    rc = torc_txn_del(s, &due);
  }
  if (rc == 0) {
    rc = update_resource(s, slot, true);
  }
  if (rc == 0) {
    rc = update_type_index(s, slot);
  }
  return rc;
}

int torc_store_raise_floor(torc_store *s, uint64_t generation) {
  if (generation <= s->next.floor) {
    return 0;
  }
  torc_rkey key;
  torc_rkey_table(&key, TORC_TABLE_FORMAT);
  uint8_t buf[TORC_RECORD_FIXED_MAX];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  torc_format_put(&wr, &(torc_format_record){.version = TORC_RECORD_VERSION, .floor = generation});
  int rc = torc_txn_put(s, &key, torc_wr_slice(&wr));
  if (rc == 0) {
    s->next.floor = generation;
  }
  return rc;
}

bool torc_slot_needs_purge(const torc_slot *slot, torc_wall now) {
  return slot->meta.count > 0 && slot->meta.min_expiry <= now;
}

int torc_slot_purge(torc_store *s, torc_slot *slot) {
  if (!torc_slot_needs_purge(slot, s->now)) {
    return 0;
  }
  torc_rkey key;
  torc_rkey_slot(&key, &slot->resource, slot->type_id, TORC_KIND_ELEMENT);
  size_t prefix = key.len;
  torc_wall min_expiry = UINT32_MAX;
  torc_slice value;
  int rc = torc_txn_seek(s, &key, prefix, &key, &value);
  while (rc == 0) {
    torc_element e;
    rc = torc_element_get(&e, value);
    if (rc == 0 && e.expiry <= s->now) {
      rc = torc_slot_del(s, slot, &key);
      torc_slot_count_expired(s, slot);
    } else if (rc == 0 && e.expiry < min_expiry) {
      min_expiry = e.expiry;
    }
    if (rc == 0) {
      torc_rkey_next(&key);
      rc = torc_txn_seek(s, &key, prefix, &key, &value);
    }
  }
  if (rc != TORC_ERR_NOTFOUND) {
    return rc;
  }
  slot->meta.min_expiry = slot->meta.count > 0 ? min_expiry : 0;
  return torc_slot_find_top(s, slot);
}
