/* Opening, expiry, whole ranges, counters.
 * SPDX-License-Identifier: Apache-2.0 */
#include "overlay/storage/store.h"

#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/slice.h"
#include "overlay/storage/slot.h"

/* Reads or writes the format record. */
static int open_format(torc_store *s) {
  torc_rkey key;
  torc_rkey_table(&key, TORC_TABLE_FORMAT);
  torc_slice value;
  int rc = torc_txn_get(s, &key, &value);
  if (rc == 0) {
    torc_format_record format;
    rc = torc_format_get(&format, value);
    if (rc == 0 && format.version != TORC_RECORD_VERSION) {
      rc = TORC_ERR_FORMAT;
    }
    if (rc == 0) {
      s->next.floor = format.floor;
    }
    return rc;
  }
  if (rc != TORC_ERR_NOTFOUND) {
    return rc;
  }
  torc_slice first;
  rc = torc_txn_seek(s, &key, 0, &key, &first);
  if (rc != TORC_ERR_NOTFOUND) {
    return rc == 0 ? TORC_ERR_FORMAT : rc; /* somebody else's data */
  }
  uint8_t buf[TORC_RECORD_FIXED_MAX];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  torc_format_put(&wr, &(torc_format_record){.version = TORC_RECORD_VERSION, .floor = 0});
  torc_rkey_table(&key, TORC_TABLE_FORMAT);
  return torc_txn_put(s, &key, torc_wr_slice(&wr));
}

/* The counters are not stored: they are the sum of what is. */
static int count_slots(torc_store *s) {
  torc_rkey key;
  torc_rkey_table(&key, TORC_TABLE_SLOT);
  torc_slice value;
  int rc = torc_txn_seek(s, &key, 1, &key, &value);
  while (rc == 0) {
    torc_meta m;
    if (key.len != TORC_RECORD_PREFIX_LEN + 1 || key.b[TORC_RECORD_PREFIX_LEN] != TORC_KIND_META) {
      return TORC_ERR_FORMAT;
    }
    rc = torc_meta_get(&m, value);
    if (rc != 0) {
      return rc;
    }
    s->next.bytes += m.bytes;
    key.b[TORC_RECORD_PREFIX_LEN] = UINT8_MAX; /* behind the last record of this slot */
    rc = torc_txn_seek(s, &key, 1, &key, &value);
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

static int count_resources(torc_store *s) {
  torc_rkey key;
  torc_rkey_table(&key, TORC_TABLE_RESOURCE);
  torc_slice value;
  int rc = torc_txn_seek(s, &key, 1, &key, &value);
  while (rc == 0) {
    torc_resource_record r;
    rc = torc_resource_record_get(&r, value);
    if (rc == 0) {
      s->next.resources += r.elements > 0 ? 1 : 0;
      torc_rkey_next(&key);
      rc = torc_txn_seek(s, &key, 1, &key, &value);
    }
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

static int count_removals(torc_store *s) {
  torc_rkey key;
  torc_rkey_table(&key, TORC_TABLE_REMOVAL);
  torc_slice value;
  int rc = torc_txn_seek(s, &key, 1, &key, &value);
  while (rc == 0) {
    torc_removal r;
    rc = torc_removal_get(&r, value);
    if (rc == 0) {
      s->next.removals++;
      s->next.bytes += 2 * key.len + value.len + r.contents_len + r.signature_len;
      torc_rkey_next(&key);
      rc = torc_txn_seek(s, &key, 1, &key, &value);
    }
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

static int open_store(torc_store *s, torc_wall now) {
  int rc = torc_txn_begin(s, true, now);
  if (rc != 0) {
    return rc;
  }
  rc = open_format(s);
  if (rc == 0) {
    rc = count_slots(s);
  }
  if (rc == 0) {
    rc = count_resources(s);
  }
  if (rc == 0) {
    rc = count_removals(s);
  }
  if (rc != 0) {
    torc_txn_abort(s);
    return rc;
  }
  return torc_txn_commit(s);
}

int torc_store_new(torc_store **out, const torc_store_config *cfg, torc_wall now) {
  torc_store *s = torc_calloc(cfg->mem, 1, sizeof *s);
  if (s == NULL) {
    return TORC_ERR_NOMEM;
  }
  s->mem = cfg->mem;
  s->crypto = cfg->crypto;
  s->types = cfg->types;
  s->backend = cfg->backend;
  s->log = cfg->log;
  s->remove_needs_generation = cfg->remove_needs_generation;
  s->max_bytes = cfg->max_bytes;
  s->max_remove_memory = cfg->max_remove_memory;
  torc_buf_init(&s->scratch, cfg->mem, SIZE_MAX);
  int rc = open_store(s, now);
  if (rc != 0) {
    torc_store_free(s);
    return rc;
  }
  *out = s;
  return 0;
}

void torc_store_free(torc_store *s) {
  if (s == NULL) {
    return;
  }
  torc_buf_clear(&s->scratch);
  torc_free(s->mem, s);
}

uint32_t torc_store_num_resources(const torc_store *s) {
  return s->held.resources;
}

uint64_t torc_store_num_bytes(const torc_store *s) {
  return s->held.bytes;
}

const torc_store_stats *torc_store_get_stats(const torc_store *s) {
  return &s->stats;
}

torc_store_room torc_store_get_room(const torc_store *s) {
  return (torc_store_room){.bytes = s->next.bytes,
                           .max_bytes = s->max_bytes + s->max_bytes / TORC_STORE_REMOVE_RESERVE,
                           .removals = s->next.removals,
                           .max_removals = s->max_remove_memory};
}

void torc_write_result_fail(torc_store *s, torc_write_result *r, uint16_t code,
                            const char *detail) {
  r->code = code;
  r->detail = detail;
  r->is_changed = false;
  if (code != TORC_CODE_PRECONDITION) {
    r->num_types = 0; /* [STO-29] only a 412 tells the counters [STO-30] */
  }
  torc_store_stats *st = &s->stats;
  switch (code) {
    case TORC_CODE_BAD_REQUEST:
      st->refused_400++;
      break;
    case TORC_CODE_UNAUTHORIZED:
      st->refused_401++;
      break;
    case TORC_CODE_FORBIDDEN:
      st->refused_403++;
      break;
    case TORC_CODE_NOT_FOUND:
      st->refused_404++;
      break;
    case TORC_CODE_PRECONDITION:
      st->refused_412++;
      break;
    default:
      st->refused_413++;
      break;
  }
}

/* Expiry. */

/* What an entry of the expiry index says: when, and which record. */
static int read_due(const torc_rkey *due, torc_wall *at, torc_rkey *record, torc_id *resource,
                    torc_type_id *type, uint8_t *kind) {
  torc_rd rd;
  torc_rd_init(&rd, torc_rkey_slice(due));
  (void)torc_rd_u8(&rd);
  *at = torc_rd_u32(&rd);
  torc_slice rest = torc_slice_of(rd.p, torc_rd_left(&rd));
  torc_rkey_set(record, rest);
  (void)torc_rd_u8(&rd);
  *resource = torc_rd_id(&rd);
  *type = torc_rd_u24(&rd);
  *kind = torc_rd_u8(&rd);
  return rd.err;
}

/* Deletes the record that is due; its entry in the index goes with it. */
static int expire_record(torc_store *s, const torc_rkey *record, const torc_id *resource,
                         torc_type_id type, uint8_t kind) {
  torc_slot slot;
  int rc = torc_slot_load(s, &slot, resource, type);
  if (rc != 0) {
    return rc;
  }
  if (kind == TORC_KIND_META) {
    rc = torc_store_raise_floor(s, slot.meta.generation);
    return rc != 0 ? rc : torc_slot_forget(s, &slot);
  }
  if (kind == TORC_KIND_ELEMENT) {
    rc = torc_slot_del(s, &slot, record);
    torc_slot_count_expired(s, &slot);
  } else {
    rc = torc_slot_del_tomb(s, &slot, record);
  }
  return rc != 0 ? rc : torc_slot_save(s, &slot);
}

static int expire_some(torc_store *s, size_t max, torc_wall *next) {
  for (size_t done = 0;; done++) {
    torc_rkey due;
    torc_rkey_table(&due, TORC_TABLE_EXPIRY);
    torc_slice value;
    int rc = torc_txn_seek(s, &due, 1, &due, &value);
    if (rc == TORC_ERR_NOTFOUND) {
      *next = 0;
      return 0;
    }
    torc_wall at = 0;
    torc_rkey record;
    torc_id resource;
    torc_type_id type = 0;
    uint8_t kind = 0;
    if (rc == 0) {
      rc = read_due(&due, &at, &record, &resource, &type, &kind);
    }
    if (rc != 0) {
      return rc;
    }
    if (at > s->now || done == max) {
      *next = at;
      return 0;
    }
    rc = expire_record(s, &record, &resource, type, kind);
    if (rc != 0) {
      return rc;
    }
  }
}

int torc_store_expire(torc_store *s, torc_wall now, size_t max, torc_wall *next) {
  torc_wall found = 0;
  /* Looking first costs nothing; most calls have nothing to do. */
  int rc = torc_txn_begin(s, false, now);
  if (rc == 0) {
    rc = expire_some(s, 0, &found);
    torc_txn_abort(s);
  }
  if (rc == 0 && found != 0 && found <= now && max > 0) {
    rc = torc_txn_begin(s, true, now);
    if (rc != 0) {
      return rc;
    }
    rc = expire_some(s, max, &found);
    if (rc == 0) {
      rc = torc_txn_commit(s);
    } else {
      torc_txn_abort(s);
    }
  }
  if (rc == 0) {
    *next = found;
  }
  return rc;
}

/* Whole ranges. */

/* First key of the resources' table at or after `from` and at most `to`. */
static int next_linear(torc_store *s, const torc_id *from, const torc_id *to, torc_id *out) {
  torc_rkey key;
  torc_rkey_resource(&key, TORC_TABLE_RESOURCE, from);
  torc_slice value;
  int rc = torc_txn_seek(s, &key, 1, &key, &value);
  if (rc != 0) {
    return rc;
  }
  torc_rd rd;
  torc_rd_init(&rd, torc_rkey_slice(&key));
  (void)torc_rd_u8(&rd);
  torc_id id = torc_rd_id(&rd);
  rc = torc_rd_finish(&rd);
  if (rc == 0 && torc_id_cmp(&id, to) > 0) {
    rc = TORC_ERR_NOTFOUND;
  }
  if (rc == 0) {
    *out = id;
  }
  return rc;
}

/* The same clockwise from `from` to `to`, both inclusive, through 0 where need be. */
static int next_circular(torc_store *s, const torc_id *from, const torc_id *to, torc_id *out) {
  if (torc_id_cmp(from, to) <= 0) {
    return next_linear(s, from, to, out);
  }
  int rc = next_linear(s, from, &torc_id_wildcard, out);
  if (rc == TORC_ERR_NOTFOUND) {
    rc = next_linear(s, &torc_id_zero, to, out);
  }
  return rc;
}

/* Of (from, to], behind `after`. For the whole ring the walk ends before it comes to its start
 * again. */
static int next_in_range(torc_store *s, const torc_id *after, const torc_id *from,
                         const torc_id *to, torc_id *out) {
  torc_id end = torc_id_eq(from, to) ? torc_id_prev(from) : *to;
  torc_id start = *from;
  if (torc_id_in_open_closed(after, from, to)) {
    start = *after;
  }
  if (torc_id_eq(&start, &end)) {
    return TORC_ERR_NOTFOUND;
  }
  start = torc_id_next(&start);
  return next_circular(s, &start, &end, out);
}

int torc_store_next_resource(torc_store *s, const torc_id *after, const torc_id *from,
                             const torc_id *to, torc_id *out) {
  int rc = torc_txn_begin(s, false, 0);
  if (rc != 0) {
    return rc;
  }
  rc = next_in_range(s, after, from, to, out);
  torc_txn_abort(s);
  return rc;
}

typedef int (*slot_fn)(torc_store *s, torc_slot *slot);

static int for_each_slot(torc_store *s, const torc_id *resource, slot_fn fn) {
  torc_rkey key;
  torc_rkey_resource(&key, TORC_TABLE_SLOT, resource);
  size_t prefix = key.len;
  torc_slice value;
  int rc = torc_txn_seek(s, &key, prefix, &key, &value);
  while (rc == 0) {
    torc_rd rd;
    torc_rd_init(&rd, torc_rkey_slice(&key));
    torc_rd_skip(&rd, prefix);
    torc_type_id type = torc_rd_u24(&rd);
    torc_slot slot;
    rc = rd.err != 0 ? rd.err : torc_slot_load(s, &slot, resource, type);
    if (rc == 0) {
      rc = fn(s, &slot);
    }
    if (rc == 0) {
      torc_rkey_slot(&key, resource, type, TORC_KIND_META);
      key.b[TORC_RECORD_PREFIX_LEN] = UINT8_MAX;
      rc = torc_txn_seek(s, &key, prefix, &key, &value);
    }
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

/* fn NULL: nothing is done to them. New slots begin above `floor`. */
static int for_each_slot_in(torc_store *s, const torc_id *from, const torc_id *to, slot_fn fn,
                            uint64_t floor) {
  int rc = torc_txn_begin(s, true, s->now);
  if (rc != 0) {
    return rc;
  }
  torc_id at = *from;
  torc_id resource;
  rc = fn == NULL ? TORC_ERR_NOTFOUND : next_in_range(s, &at, from, to, &resource);
  while (rc == 0) {
    rc = for_each_slot(s, &resource, fn);
    if (rc == 0) {
      at = resource;
      rc = next_in_range(s, &at, from, to, &resource);
    }
  }
  if (rc == TORC_ERR_NOTFOUND) {
    rc = torc_store_raise_floor(s, floor);
  }
  if (rc == 0) {
    return torc_txn_commit(s);
  }
  torc_txn_abort(s);
  return rc;
}

static int drop_kind(torc_store *s, torc_slot *slot, torc_kind kind) {
  torc_rkey key;
  torc_rkey_slot(&key, &slot->resource, slot->type_id, kind);
  size_t prefix = key.len;
  torc_slice value;
  int rc = torc_txn_seek(s, &key, prefix, &key, &value);
  while (rc == 0) {
    if (kind == TORC_KIND_ELEMENT) {
      rc = torc_slot_del(s, slot, &key);
      s->next.dropped++;
    } else {
      rc = torc_slot_del_tomb(s, slot, &key);
    }
    if (rc == 0) {
      rc = torc_txn_seek(s, &key, prefix, &key, &value);
    }
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

static int drop_slot(torc_store *s, torc_slot *slot) {
  int rc = drop_kind(s, slot, TORC_KIND_ELEMENT);
  if (rc == 0) {
    rc = drop_kind(s, slot, TORC_KIND_TOMBSTONE);
  }
  if (rc == 0) {
    rc = drop_kind(s, slot, TORC_KIND_BLIND);
  }
  return rc != 0 ? rc : torc_slot_forget(s, slot);
}

int torc_store_drop_range(torc_store *s, const torc_id *from, const torc_id *to) {
  return for_each_slot_in(s, from, to, drop_slot, 0); /* [CHD-37] */
}

static uint64_t raised(uint64_t g) {
  return g > UINT64_MAX - TORC_STORE_RAISE ? UINT64_MAX : g + TORC_STORE_RAISE;
}

static int raise_slot(torc_store *s, torc_slot *slot) {
  torc_slot_set_generation(slot, raised(slot->meta.generation), false);
  return torc_slot_save(s, slot);
}

int torc_store_raise_generations(torc_store *s, const torc_id *from, const torc_id *to,
                                 bool with_slots) {
  /* [GAP-95] a counter cached from the old responsible peer never matches by chance. */
  return for_each_slot_in(s, from, to, with_slots ? raise_slot : NULL, raised(s->next.floor));
}

int torc_store_meet_generation(torc_store *s, const torc_id *resource, torc_type_id type,
                               uint64_t generation) {
  int rc = torc_txn_begin(s, true, s->now);
  if (rc != 0) {
    return rc;
  }
  torc_slot slot;
  rc = torc_slot_load(s, &slot, resource, type);
  if (rc == 0 && slot.meta.generation != 0 && slot.meta.generation < generation &&
      generation <= TORC_STORE_GENERATION_MAX) {
    torc_slot_set_generation(&slot, generation, false);
    rc = torc_slot_save(s, &slot);
  }
  if (rc == 0) {
    return torc_txn_commit(s);
  }
  torc_txn_abort(s);
  return rc;
}

/* FIND. */

static bool has_unexpired(torc_store *s, const torc_id *resource, torc_type_id type, int *rc) {
  torc_slot slot;
  *rc = torc_slot_load(s, &slot, resource, type);
  if (*rc != 0 || slot.meta.count == 0) {
    return false;
  }
  if (!torc_slot_needs_purge(&slot, s->now)) {
    return true;
  }
  torc_rkey key;
  torc_rkey_slot(&key, resource, type, TORC_KIND_ELEMENT);
  size_t prefix = key.len;
  torc_slice value;
  *rc = torc_txn_seek(s, &key, prefix, &key, &value);
  while (*rc == 0) {
    torc_element e;
    *rc = torc_element_get(&e, value);
    if (*rc == 0 && e.expiry > s->now) {
      return true;
    }
    if (*rc == 0) {
      torc_rkey_next(&key);
      *rc = torc_txn_seek(s, &key, prefix, &key, &value);
    }
  }
  if (*rc == TORC_ERR_NOTFOUND) {
    *rc = 0;
  }
  return false;
}

/* First resource of `type` with an unexpired element from `from` up to `to`, both inclusive, not
 * through 0. */
static int find_linear(torc_store *s, torc_type_id type, const torc_id *from, const torc_id *to,
                       torc_id *out) {
  torc_rkey key;
  torc_rkey_type(&key, type, from);
  torc_slice value;
  int rc = torc_txn_seek(s, &key, 4, &key, &value);
  while (rc == 0) {
    torc_rd rd;
    torc_rd_init(&rd, torc_rkey_slice(&key));
    torc_rd_skip(&rd, 4);
    torc_id id = torc_rd_id(&rd);
    rc = torc_rd_finish(&rd);
    if (rc == 0 && torc_id_cmp(&id, to) > 0) {
      return TORC_ERR_NOTFOUND;
    }
    if (rc == 0 && has_unexpired(s, &id, type, &rc)) {
      *out = id;
      return 0;
    }
    if (rc == 0) {
      torc_rkey_next(&key);
      rc = torc_txn_seek(s, &key, 4, &key, &value);
    }
  }
  return rc;
}

static int find_circular(torc_store *s, torc_type_id type, const torc_id *from, const torc_id *to,
                         torc_id *out) {
  if (torc_id_cmp(from, to) <= 0) {
    return find_linear(s, type, from, to, out);
  }
  int rc = find_linear(s, type, from, &torc_id_wildcard, out);
  if (rc == TORC_ERR_NOTFOUND) {
    rc = find_linear(s, type, &torc_id_zero, to, out);
  }
  return rc;
}

/* [GAP-105] smallest clockwise distance from `from`: first up to the end of the range, then from
 * its start. */
static int find_in_range(torc_store *s, torc_type_id type, const torc_id *from,
                         const torc_id *range_from, const torc_id *range_to, torc_id *out) {
  torc_id start = torc_id_next(range_from);
  if (torc_id_eq(range_from, range_to)) {
    torc_id end = torc_id_prev(from);
    return find_circular(s, type, from, &end, out);
  }
  if (!torc_id_in_open_closed(from, range_from, range_to)) {
    return find_circular(s, type, &start, range_to, out);
  }
  int rc = find_circular(s, type, from, range_to, out);
  if (rc == TORC_ERR_NOTFOUND && !torc_id_eq(&start, from)) {
    torc_id end = torc_id_prev(from);
    rc = find_circular(s, type, &start, &end, out);
  }
  return rc;
}

void torc_store_set_remove_rule(torc_store *s, bool needs_generation) {
  s->remove_needs_generation = needs_generation;
}

int torc_store_find(torc_store *s, torc_type_id type, const torc_id *from,
                    const torc_id *range_from, const torc_id *range_to, torc_wall now,
                    torc_id *out) {
  if (torc_types_find(s->types, type) == NULL) {
    *out = torc_id_zero; /* [FND-09] */
    return 0;
  }
  int rc = torc_txn_begin(s, false, now);
  if (rc != 0) {
    return rc;
  }
  torc_id found;
  rc = find_in_range(s, type, from, range_from, range_to, &found); /* [FND-01] */
  torc_txn_abort(s);
  if (rc == TORC_ERR_NOTFOUND) {
    found = torc_id_zero; /* [FND-10] */
    rc = 0;
  }
  if (rc == 0) {
    *out = found;
  }
  return rc;
}
