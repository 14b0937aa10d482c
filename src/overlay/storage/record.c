/* Keys and values of the store's records; all integers big-endian, so that keys sort by number.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/storage/record.h"

#include <string.h>

#include "base/slice.h"

enum { FLAG_SYNCED = 1 };
enum { FLAG_REPLAYABLE = 1 };
enum { FLAG_WEAK = 1 };

torc_slice torc_rkey_slice(const torc_rkey *k) {
  return torc_slice_of(k->b, k->len);
}

void torc_rkey_set(torc_rkey *k, torc_slice bytes) {
  k->len = 0;
  torc_rkey_add(k, bytes);
}

/* Every key the store builds is shorter than the room; one found in a backend is at most as long.
 */
void torc_rkey_add(torc_rkey *k, torc_slice bytes) {
  size_t room = sizeof k->b - k->len;
  size_t len = bytes.len < room ? bytes.len : room;
  if (len > 0) {
    memcpy(k->b + k->len, bytes.p, len);
  }
  k->len += len;
}

void torc_rkey_add_u32(torc_rkey *k, uint32_t v) {
  const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
  torc_rkey_add(k, torc_slice_of(b, sizeof b));
}

void torc_rkey_next(torc_rkey *k) {
  const uint8_t zero = 0;
  torc_rkey_add(k, torc_slice_of(&zero, 1));
}

void torc_rkey_table(torc_rkey *k, torc_table table) {
  k->len = 1;
  k->b[0] = (uint8_t)table;
}

void torc_rkey_resource(torc_rkey *k, torc_table table, const torc_id *resource) {
  torc_rkey_table(k, table);
  torc_rkey_add(k, torc_slice_of(resource->b, TORC_ID_LEN));
}

static void add_type(torc_rkey *k, torc_type_id type) {
  const uint8_t b[3] = {(uint8_t)(type >> 16), (uint8_t)(type >> 8), (uint8_t)type};
  torc_rkey_add(k, torc_slice_of(b, sizeof b));
}

void torc_rkey_type(torc_rkey *k, torc_type_id type, const torc_id *resource) {
  torc_rkey_table(k, TORC_TABLE_TYPE);
  add_type(k, type);
  torc_rkey_add(k, torc_slice_of(resource->b, TORC_ID_LEN));
}

void torc_rkey_slot(torc_rkey *k, const torc_id *resource, torc_type_id type, torc_kind kind) {
  const uint8_t b = (uint8_t)kind;
  torc_rkey_resource(k, TORC_TABLE_SLOT, resource);
  add_type(k, type);
  torc_rkey_add(k, torc_slice_of(&b, 1));
}

void torc_rkey_expiry(torc_rkey *k, torc_wall at, const torc_rkey *slot_key) {
  torc_rkey_table(k, TORC_TABLE_EXPIRY);
  torc_rkey_add_u32(k, at);
  torc_rkey_add(k, torc_rkey_slice(slot_key));
}

void torc_format_put(torc_wr *wr, const torc_format_record *r) {
  torc_wr_u16(wr, r->version);
  torc_wr_u64(wr, r->floor);
}

int torc_format_get(torc_format_record *r, torc_slice value) {
  torc_rd rd;
  torc_rd_init(&rd, value);
  r->version = torc_rd_u16(&rd);
  r->floor = torc_rd_u64(&rd);
  return torc_rd_finish(&rd);
}

void torc_meta_put(torc_wr *wr, const torc_meta *m) {
  torc_wr_u64(wr, m->generation);
  torc_wr_u64(wr, m->bytes);
  torc_wr_u32(wr, m->count);
  torc_wr_u32(wr, m->tombs);
  torc_wr_u32(wr, m->blinds);
  torc_wr_u32(wr, m->drift);
  torc_wr_u32(wr, m->top);
  torc_wr_u32(wr, m->min_expiry);
  torc_wr_u32(wr, m->forget_at);
  torc_wr_u8(wr, m->is_synced ? FLAG_SYNCED : 0);
}

int torc_meta_get(torc_meta *m, torc_slice value) {
  torc_rd rd;
  torc_rd_init(&rd, value);
  m->generation = torc_rd_u64(&rd);
  m->bytes = torc_rd_u64(&rd);
  m->count = torc_rd_u32(&rd);
  m->tombs = torc_rd_u32(&rd);
  m->blinds = torc_rd_u32(&rd);
  m->drift = torc_rd_u32(&rd);
  m->top = torc_rd_u32(&rd);
  m->min_expiry = torc_rd_u32(&rd);
  m->forget_at = torc_rd_u32(&rd);
  m->is_synced = (torc_rd_u8(&rd) & FLAG_SYNCED) != 0;
  return torc_rd_finish(&rd);
}

void torc_element_put(torc_wr *wr, const torc_element *e) {
  torc_wr_u32(wr, e->receipt);
  torc_wr_u32(wr, e->expiry);
  torc_wr_u64(wr, e->generation);
  torc_wr_bytes(wr, torc_slice_of(e->digest, sizeof e->digest));
  torc_wr_bytes(wr, e->bytes);
}

static void read_digest(torc_rd *rd, uint8_t out[TORC_DIGEST_LEN]) {
  torc_slice digest = torc_rd_slice(rd, TORC_DIGEST_LEN);
  if (rd->err == 0) {
    memcpy(out, digest.p, TORC_DIGEST_LEN);
  } else {
    memset(out, 0, TORC_DIGEST_LEN);
  }
}

int torc_element_get(torc_element *e, torc_slice value) {
  torc_rd rd;
  torc_rd_init(&rd, value);
  e->receipt = torc_rd_u32(&rd);
  e->expiry = torc_rd_u32(&rd);
  e->generation = torc_rd_u64(&rd);
  read_digest(&rd, e->digest);
  e->bytes = torc_rd_rest(&rd);
  return torc_rd_finish(&rd);
}

uint32_t torc_element_storage_time(const torc_element *e) {
  torc_rd rd;
  torc_rd_init(&rd, e->bytes);
  (void)torc_rd_u32(&rd);
  return torc_rd_u32(&rd);
}

void torc_tombstone_put(torc_wr *wr, const torc_tombstone *t) {
  torc_wr_u32(wr, t->storage_time);
  torc_wr_u32(wr, t->expiry);
  torc_wr_u64(wr, t->generation);
  torc_wr_u8(wr, t->is_weak ? FLAG_WEAK : 0);
  torc_wr_bytes(wr, torc_slice_of(t->digest, sizeof t->digest));
  torc_wr_bytes(wr, torc_slice_of(t->removal, sizeof t->removal));
}

int torc_tombstone_get(torc_tombstone *t, torc_slice value) {
  torc_rd rd;
  torc_rd_init(&rd, value);
  t->storage_time = torc_rd_u32(&rd);
  t->expiry = torc_rd_u32(&rd);
  t->generation = torc_rd_u64(&rd);
  t->is_weak = (torc_rd_u8(&rd) & FLAG_WEAK) != 0;
  read_digest(&rd, t->digest);
  read_digest(&rd, t->removal);
  return torc_rd_finish(&rd);
}

void torc_blind_put(torc_wr *wr, const torc_blind *b) {
  torc_wr_u32(wr, b->storage_time);
  torc_wr_u32(wr, b->expiry);
  torc_wr_u64(wr, b->generation);
  torc_wr_u32(wr, (uint32_t)b->first);
  torc_wr_u32(wr, (uint32_t)b->last);
  torc_wr_bytes(wr, b->keys);
}

int torc_blind_get(torc_blind *b, torc_slice value) {
  torc_rd rd;
  torc_rd_init(&rd, value);
  b->storage_time = torc_rd_u32(&rd);
  b->expiry = torc_rd_u32(&rd);
  b->generation = torc_rd_u64(&rd);
  b->first = (int32_t)torc_rd_u32(&rd);
  b->last = (int32_t)torc_rd_u32(&rd);
  b->keys = torc_rd_rest(&rd);
  return torc_rd_finish(&rd);
}

void torc_removal_put(torc_wr *wr, const torc_removal *r) {
  torc_wr_u64(wr, r->xid);
  torc_wr_u32(wr, r->refs);
  torc_wr_u8(wr, r->is_replayable ? FLAG_REPLAYABLE : 0);
  torc_wr_u32(wr, r->contents_len);
  torc_wr_u32(wr, r->signature_len);
}

int torc_removal_get(torc_removal *r, torc_slice value) {
  torc_rd rd;
  torc_rd_init(&rd, value);
  r->xid = torc_rd_u64(&rd);
  r->refs = torc_rd_u32(&rd);
  r->is_replayable = (torc_rd_u8(&rd) & FLAG_REPLAYABLE) != 0;
  r->contents_len = torc_rd_u32(&rd);
  r->signature_len = torc_rd_u32(&rd);
  return torc_rd_finish(&rd);
}

void torc_resource_record_put(torc_wr *wr, const torc_resource_record *r) {
  torc_wr_u32(wr, r->slots);
  torc_wr_u32(wr, r->elements);
}

int torc_resource_record_get(torc_resource_record *r, torc_slice value) {
  torc_rd rd;
  torc_rd_init(&rd, value);
  r->slots = torc_rd_u32(&rd);
  r->elements = torc_rd_u32(&rd);
  return torc_rd_finish(&rd);
}
