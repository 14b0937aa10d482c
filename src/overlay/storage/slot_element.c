/* Elements, tombstones and blinds of a slot, with the indexes that lead to them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "overlay/storage/slot.h"

/* What precedes an element's or tombstone's own part of a record key: prefix and kind. */
#define OWN_PART (TORC_RECORD_PREFIX_LEN + 1u)

static bool has_digest(const uint8_t digest[TORC_DIGEST_LEN]) {
  uint8_t any = 0;
  for (size_t i = 0; i < TORC_DIGEST_LEN; i++) {
    any |= digest[i];
  }
  return any != 0;
}

void torc_slot_index_key(const torc_slot *slot, torc_kind kind, uint32_t index, torc_rkey *key) {
  torc_rkey_slot(key, &slot->resource, slot->type_id, kind);
  torc_rkey_add_u32(key, index);
}

uint32_t torc_slot_key_index(const torc_rkey *key) {
  torc_rd rd;
  torc_rd_init(&rd, torc_slice_sub(torc_rkey_slice(key), OWN_PART,
                                   key->len < OWN_PART ? 0 : key->len - OWN_PART));
  return torc_rd_u32(&rd);
}

int torc_slot_key(torc_store *s, const torc_slot *slot, torc_kind kind, const torc_entry *e,
                  torc_rkey *key) {
  torc_rkey_slot(key, &slot->resource, slot->type_id, kind);
  if (e->model == TORC_MODEL_ARRAY) {
    torc_rkey_add_u32(key, (uint32_t)e->index);
  }
  if (e->model != TORC_MODEL_DICTIONARY) {
    return 0;
  }
  if (e->key.len <= TORC_RECORD_KEY_RAW) {
    torc_rkey_add(key, e->key);
    return 0;
  }
  uint8_t digest[TORC_DIGEST_LEN];
  int rc = s->crypto->sha256(s->crypto->ctx, &e->key, 1, digest);
  if (rc != 0) {
    return rc == TORC_ERR_NOMEM ? rc : TORC_ERR_CRYPTO;
  }
  torc_rkey_add(key, torc_slice_sub(e->key, 0, TORC_RECORD_KEY_RAW));
  torc_rkey_add(key, torc_slice_of(digest, sizeof digest));
  return 0;
}

int torc_slot_get(torc_store *s, const torc_rkey *key, torc_element *e) {
  torc_slice value;
  int rc = torc_txn_get(s, key, &value);
  if (rc == 0) {
    rc = torc_element_get(e, value);
  }
  return rc;
}

static void digest_key(const torc_slot *slot, const uint8_t digest[TORC_DIGEST_LEN],
                       torc_digest_state state, uint32_t index, torc_rkey *key) {
  const uint8_t b = (uint8_t)state;
  torc_rkey_slot(key, &slot->resource, slot->type_id, TORC_KIND_DIGEST);
  torc_rkey_add(key, torc_slice_of(digest, TORC_DIGEST_LEN));
  torc_rkey_add(key, torc_slice_of(&b, 1)); /* present sorts before removed */
  torc_rkey_add_u32(key, index);
}

int torc_slot_find_digest(torc_store *s, const torc_slot *slot,
                          const uint8_t digest[TORC_DIGEST_LEN], torc_digest_state *state,
                          uint32_t *index) {
  torc_rkey key;
  digest_key(slot, digest, TORC_DIGEST_PRESENT, 0, &key);
  torc_slice value;
  int rc = torc_txn_seek(s, &key, OWN_PART + TORC_DIGEST_LEN, &key, &value);
  if (rc != 0) {
    return rc;
  }
  torc_rd rd;
  torc_rd_init(&rd, torc_rkey_slice(&key));
  torc_rd_skip(&rd, OWN_PART + TORC_DIGEST_LEN);
  *state = torc_rd_u8(&rd) == TORC_DIGEST_PRESENT ? TORC_DIGEST_PRESENT : TORC_DIGEST_REMOVED;
  *index = torc_rd_u32(&rd);
  return torc_rd_finish(&rd);
}

size_t torc_slot_element_cost(const torc_rkey *key, const torc_element *e) {
  return key->len + 4u + 4u + 8u + TORC_DIGEST_LEN + e->bytes.len;
}

static int put_mark(torc_store *s, const torc_rkey *key) {
  const uint8_t none = 0;
  return torc_txn_put(s, key, torc_slice_of(&none, 1));
}

/* An entry in the index of what expires when. */
static int put_due(torc_store *s, torc_wall at, const torc_rkey *record) {
  torc_rkey key;
  torc_rkey_expiry(&key, at, record);
  return put_mark(s, &key);
}

static int del_due(torc_store *s, torc_wall at, const torc_rkey *record) {
  torc_rkey key;
  torc_rkey_expiry(&key, at, record);
  return torc_txn_del(s, &key);
}

int torc_slot_del(torc_store *s, torc_slot *slot, const torc_rkey *key) {
  torc_element e;
  int rc = torc_slot_get(s, key, &e);
  if (rc != 0) {
    return rc;
  }
  size_t cost = torc_slot_element_cost(key, &e);
  bool is_array = has_digest(e.digest);
  uint32_t index = is_array ? torc_slot_key_index(key) : 0;
  rc = torc_txn_del(s, key);
  if (rc == 0) {
    rc = del_due(s, e.expiry, key);
  }
  if (rc == 0 && is_array) {
    torc_rkey dk;
    digest_key(slot, e.digest, TORC_DIGEST_PRESENT, index, &dk);
    rc = torc_txn_del(s, &dk);
  }
  if (rc != 0) {
    return rc;
  }
  slot->meta.count--;
  slot->meta.bytes -= cost;
  s->next.bytes -= cost;
  if (is_array && index + 1 == slot->meta.top) {
    slot->is_top_stale = true;
  }
  return 0;
}

static int write_element(torc_store *s, const torc_rkey *key, const torc_element *e) {
  s->scratch.len = 0;
  int rc = torc_buf_reserve(&s->scratch, TORC_RECORD_FIXED_MAX + e->bytes.len);
  if (rc != 0) {
    return rc;
  }
  torc_wr wr;
  torc_wr_init(&wr, s->scratch.p, s->scratch.cap);
  torc_element_put(&wr, e);
  return torc_txn_put(s, key, torc_wr_slice(&wr));
}

int torc_slot_put(torc_store *s, torc_slot *slot, const torc_rkey *key, const torc_element *e) {
  torc_element old;
  int rc = torc_slot_get(s, key, &old);
  if (rc == 0) {
    rc = torc_slot_del(s, slot, key); /* [STO-23] [STO-27] it is overwritten */
  } else if (rc == TORC_ERR_NOTFOUND) {
    rc = 0;
  }
  if (rc == 0) {
    rc = write_element(s, key, e);
  }
  if (rc == 0) {
    rc = put_due(s, e->expiry, key);
  }
  if (rc == 0 && has_digest(e->digest)) {
    uint32_t index = torc_slot_key_index(key);
    torc_rkey dk;
    digest_key(slot, e->digest, TORC_DIGEST_PRESENT, index, &dk);
    rc = put_mark(s, &dk);
    if (index + 1 >= slot->meta.top) {
      slot->meta.top = index + 1;
      slot->is_top_stale = false;
    }
  }
  if (rc != 0) {
    return rc;
  }
  size_t cost = torc_slot_element_cost(key, e);
  if (slot->meta.count == 0 || e->expiry < slot->meta.min_expiry) {
    slot->meta.min_expiry = e->expiry;
  }
  slot->meta.count++;
  slot->meta.bytes += cost;
  s->next.bytes += cost;
  return 0;
}

/* Tombstones and blinds. */

static uint32_t max_tombs(const torc_slot *slot) {
  uint32_t values = slot->type != NULL ? slot->type->max_values : 0;
  return values * 4 + TORC_STORE_TOMBSTONES_EXTRA;
}

static void count_tomb(torc_store *s, torc_slot *slot, size_t cost) {
  slot->meta.tombs++;
  slot->meta.bytes += cost;
  s->next.bytes += cost;
}

int torc_slot_del_tomb(torc_store *s, torc_slot *slot, const torc_rkey *key) {
  torc_slice value;
  int rc = torc_txn_get(s, key, &value);
  if (rc != 0) {
    return rc;
  }
  size_t cost = key->len + value.len;
  bool is_blind = key->b[TORC_RECORD_PREFIX_LEN] == TORC_KIND_BLIND;
  uint8_t removal[TORC_DIGEST_LEN] = {0};
  torc_wall expiry = 0;
  torc_tombstone t = {0};
  if (is_blind) {
    torc_blind b;
    rc = torc_blind_get(&b, value);
    expiry = b.expiry;
    memcpy(removal, key->b + OWN_PART, TORC_DIGEST_LEN);
  } else {
    rc = torc_tombstone_get(&t, value);
    expiry = t.expiry;
    memcpy(removal, t.removal, TORC_DIGEST_LEN);
  }
  if (rc == 0) {
    rc = torc_txn_del(s, key);
  }
  if (rc == 0) {
    rc = del_due(s, expiry, key);
  }
  if (rc == 0 && has_digest(t.digest)) {
    torc_rkey dk;
    digest_key(slot, t.digest, TORC_DIGEST_REMOVED, torc_slot_key_index(key), &dk);
    rc = torc_txn_del(s, &dk);
  }
  if (rc == 0) {
    rc = torc_removal_unref(s, &slot->resource, removal);
  }
  if (rc == 0) {
    slot->meta.tombs--;
    slot->meta.blinds -= is_blind ? 1 : 0;
    slot->meta.bytes -= cost;
    s->next.bytes -= cost;
  }
  return rc;
}

static int put_tombstone(torc_store *s, torc_slot *slot, const torc_rkey *key, torc_tombstone *t) {
  torc_slice value;
  int rc = torc_txn_get(s, key, &value);
  if (rc == 0) {
    torc_tombstone old;
    rc = torc_tombstone_get(&old, value);
    if (rc == 0 && old.expiry > t->expiry) {
      t->expiry = old.expiry;
    }
    if (rc == 0) {
      rc = torc_slot_del_tomb(s, slot, key);
    }
  } else if (rc == TORC_ERR_NOTFOUND) {
    rc = slot->meta.tombs - slot->meta.blinds < max_tombs(slot) ? 0 : TORC_ERR_LIMIT;
  }
  if (rc != 0) {
    return rc;
  }
  uint8_t buf[TORC_RECORD_FIXED_MAX];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  torc_tombstone_put(&wr, t);
  rc = torc_txn_put(s, key, torc_wr_slice(&wr));
  if (rc == 0) {
    rc = put_due(s, t->expiry, key);
  }
  if (rc == 0 && has_digest(t->digest)) {
    torc_rkey dk;
    digest_key(slot, t->digest, TORC_DIGEST_REMOVED, torc_slot_key_index(key), &dk);
    rc = put_mark(s, &dk);
  }
  if (rc == 0) {
    count_tomb(s, slot, key->len + wr.len);
    s->next.tombstones++;
  }
  return rc;
}

int torc_slot_bury(torc_store *s, torc_slot *slot, const torc_rkey *element_key,
                   const torc_element *e, const torc_tombstone *how) {
  torc_tombstone t = *how;
  t.storage_time = torc_element_storage_time(e);
  t.expiry = e->expiry;
  torc_rd rd;
  torc_rd_init(&rd, e->bytes);
  torc_rd_skip(&rd, 8);
  if (slot->type != NULL) {
    /* A storage time in the future gave the element another expiry here than it has elsewhere. */
    torc_life life = torc_life_of(slot->type, t.storage_time, torc_rd_u32(&rd), s->now);
    t.expiry = life.end > t.expiry ? life.end : t.expiry;
  }
  memcpy(t.digest, e->digest, sizeof t.digest);
  torc_rkey key = *element_key;
  key.b[TORC_RECORD_PREFIX_LEN] = TORC_KIND_TOMBSTONE;
  if (has_digest(t.digest)) {
    torc_rkey_add(&key, torc_slice_of(t.digest, sizeof t.digest));
  }
  int rc = torc_slot_del(s, slot, element_key);
  if (rc == 0) {
    rc = put_tombstone(s, slot, &key, &t);
  }
  return rc;
}

int torc_slot_extend_tomb(torc_store *s, const torc_rkey *key, torc_wall storage_time,
                          torc_wall expiry) {
  torc_slice value;
  torc_tombstone t;
  int rc = torc_txn_get(s, key, &value);
  if (rc == 0) {
    rc = torc_tombstone_get(&t, value);
  }
  if (rc != 0) {
    return rc;
  }
  if (t.expiry < expiry) {
    rc = del_due(s, t.expiry, key);
    if (rc == 0) {
      rc = put_due(s, expiry, key);
    }
    t.expiry = expiry;
  }
  if (rc == 0) {
    t.storage_time = t.storage_time > storage_time ? t.storage_time : storage_time;
    uint8_t buf[TORC_RECORD_FIXED_MAX];
    torc_wr wr;
    torc_wr_init(&wr, buf, sizeof buf);
    torc_tombstone_put(&wr, &t);
    rc = torc_txn_put(s, key, torc_wr_slice(&wr));
  }
  return rc;
}

int torc_slot_put_blind(torc_store *s, torc_slot *slot, const torc_blind *b,
                        const uint8_t removal[TORC_DIGEST_LEN]) {
  torc_rkey key;
  torc_rkey_slot(&key, &slot->resource, slot->type_id, TORC_KIND_BLIND);
  torc_rkey_add(&key, torc_slice_of(removal, TORC_DIGEST_LEN));
  s->scratch.len = 0;
  int rc = torc_buf_reserve(&s->scratch, TORC_RECORD_FIXED_MAX + b->keys.len);
  if (rc != 0) {
    return rc;
  }
  torc_wr wr;
  torc_wr_init(&wr, s->scratch.p, s->scratch.cap);
  torc_blind_put(&wr, b);
  rc = torc_txn_put(s, &key, torc_wr_slice(&wr));
  if (rc == 0) {
    rc = put_due(s, b->expiry, &key);
  }
  if (rc == 0) {
    count_tomb(s, slot, key.len + wr.len);
    slot->meta.blinds++;
  }
  return rc;
}

void torc_removal_key(torc_rkey *key, torc_table table, const torc_id *resource,
                      const uint8_t digest[TORC_DIGEST_LEN]) {
  torc_rkey_resource(key, table, resource);
  torc_rkey_add(key, torc_slice_of(digest, TORC_DIGEST_LEN));
}

int torc_removal_unref(torc_store *s, const torc_id *resource,
                       const uint8_t digest[TORC_DIGEST_LEN]) {
  torc_rkey key;
  torc_removal_key(&key, TORC_TABLE_REMOVAL, resource, digest);
  torc_slice value;
  torc_removal r;
  int rc = torc_txn_get(s, &key, &value);
  if (rc == 0) {
    rc = torc_removal_get(&r, value);
  }
  if (rc != 0) {
    return rc;
  }
  if (r.refs > 1) {
    r.refs--;
    uint8_t buf[TORC_RECORD_FIXED_MAX];
    torc_wr wr;
    torc_wr_init(&wr, buf, sizeof buf);
    torc_removal_put(&wr, &r);
    return torc_txn_put(s, &key, torc_wr_slice(&wr));
  }
  size_t cost = key.len + value.len;
  rc = torc_txn_del(s, &key);
  torc_removal_key(&key, TORC_TABLE_MESSAGE, resource, digest);
  cost += key.len + r.contents_len + r.signature_len;
  if (rc == 0) {
    rc = torc_txn_del(s, &key);
  }
  if (rc == 0) {
    s->next.removals--;
    s->next.bytes -= cost;
  }
  return rc;
}

/* Rules about time and place that STORE, FETCH and REMOVE share. */

torc_life torc_life_of(const torc_type *type, uint32_t storage_time, uint32_t lifetime_s,
                       torc_wall now) {
  /* [R-23] [STO-31] above the type's maximum it ends at the maximum; both fields stay as they were
   * signed. */
  uint64_t lifetime = lifetime_s < type->max_lifetime_s ? lifetime_s : type->max_lifetime_s;
  uint64_t end = storage_time + lifetime;
  uint64_t expiry = end;
  if (storage_time > (uint64_t)now + TORC_STORE_CLOCK_S) {
    expiry = now + lifetime; /* [GAP-98] the owner's clock is wrong: from receipt */
  }
  return (torc_life){.expiry = expiry > UINT32_MAX ? UINT32_MAX : (torc_wall)expiry,
                     .end = end > UINT32_MAX ? UINT32_MAX : (torc_wall)end,
                     .is_over = end + TORC_STORE_CLOCK_S < now}; /* */
}

bool torc_array_range(int32_t first, int32_t last, uint32_t top, uint32_t *from, uint32_t *to) {
  if (top == 0) {
    return false;
  }
  /* [FET-06] -1 is the last element. [GAP-88] clipped to the array. */
  *from = first < 0 ? top - 1 : (uint32_t)first;
  *to = last < 0 || (uint32_t)last >= top ? top - 1 : (uint32_t)last;
  return *from <= *to; /* */
}

bool torc_keys_hold(torc_slice keys, torc_slice key) {
  torc_rd rd;
  torc_rd_init(&rd, keys);
  torc_slice k;
  while (torc_key_next(&rd, &k)) {
    if (torc_slice_eq(k, key)) {
      return true;
    }
  }
  return false;
}
