/* REMOVE: checks, tombstones, and what is kept of the request to replay it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "overlay/storage/slot.h"

/* One REMOVE on its way. The first failure sets `code`. */
typedef struct remover {
  torc_store *s;
  const torc_remove_record *record;
  torc_store_origin origin;
  torc_write_result *result;
  torc_fetch_request request;
  torc_model_lookup models;
  uint8_t digest[TORC_DIGEST_LEN]; /* of signer and xid: the name of this REMOVE */
  uint32_t refs;                   /* tombstones and blinds made */
  bool is_replayable;
  uint16_t code;
  const char *detail;
} remover;

static void refuse(remover *r, uint16_t code, const char *detail) {
  if (r->code == 0) {
    r->code = code;
    r->detail = detail;
  }
}

/* Walks the present elements that one specifier names. */
typedef struct walk {
  const torc_slot *slot;
  const torc_specifier *spec;
  bool is_explicit; /* each element is named: 403 if one may not be removed */
  bool is_keys;     /* a list of keys */
  torc_rd keys;
  bool is_range; /* array, or all of a dictionary */
  uint32_t to;   /* array: last index */
  torc_rkey at;  /* where to look next */
  size_t prefix;
  bool is_done;
} walk;

static void walk_init(walk *w, const torc_slot *slot, const torc_specifier *spec) {
  *w = (walk){.slot = slot, .spec = spec};
  torc_rkey_slot(&w->at, &slot->resource, slot->type_id, TORC_KIND_ELEMENT);
  w->prefix = w->at.len;
  if (spec->model == TORC_MODEL_ARRAY) {
    uint32_t from = 0;
    w->is_range = true;
    w->is_explicit = spec->first >= 0 && spec->last >= 0;
    w->is_done = !torc_array_range(spec->first, spec->last, slot->meta.top, &from, &w->to);
    torc_rkey_add_u32(&w->at, from);
  } else if (spec->model == TORC_MODEL_DICTIONARY) {
    w->is_keys = spec->keys.len > 0;
    w->is_range = !w->is_keys;
    w->is_explicit = w->is_keys;
    torc_rd_init(&w->keys, spec->keys);
  } else {
    w->is_explicit = true;
  }
}

/* The next element, its key in `key`. TORC_ERR_NOTFOUND at the end. */
static int walk_next(torc_store *s, walk *w, torc_rkey *key, torc_element *e) {
  torc_slice value;
  int rc = TORC_ERR_NOTFOUND;
  while (w->is_keys) {
    torc_entry entry = {.model = TORC_MODEL_DICTIONARY};
    if (!torc_key_next(&w->keys, &entry.key)) {
      return TORC_ERR_NOTFOUND;
    }
    rc = torc_slot_key(s, w->slot, TORC_KIND_ELEMENT, &entry, key);
    if (rc == 0) {
      rc = torc_slot_get(s, key, e);
    }
    if (rc != TORC_ERR_NOTFOUND) {
      return rc;
    }
  }
  if (w->is_done) {
    return TORC_ERR_NOTFOUND;
  }
  if (!w->is_range) {
    w->is_done = true;
    *key = w->at;
    return torc_slot_get(s, key, e);
  }
  rc = torc_txn_seek(s, &w->at, w->prefix, &w->at, &value);
  if (rc != 0) {
    return rc;
  }
  if (w->spec->model == TORC_MODEL_ARRAY && torc_slot_key_index(&w->at) > w->to) {
    return TORC_ERR_NOTFOUND;
  }
  *key = w->at;
  torc_rkey_next(&w->at);
  return torc_element_get(e, value);
}

/* Whether the signer may remove this element; *out only on success. */
static int may_remove(remover *r, const torc_slot *slot, const torc_element *e, bool *out) {
  torc_rd rd;
  torc_rd_init(&rd, e->bytes);
  torc_stored_data d;
  int rc = torc_stored_data_get(&rd, slot->type->model, &d);
  if (rc == 0) {
    rc = torc_access_check_remove(slot->type, r->s->crypto, &slot->resource, &d.entry,
                                  r->record->signer);
  }
  if (rc != 0 && rc != TORC_ERR_DENIED) {
    return rc;
  }
  *out = rc == 0;
  return 0;
}

/* [D-14] a replayed REMOVE takes what was there when its owner sent it: nothing written at a later
 * counter. */
static bool is_later(const remover *r, const torc_specifier *spec, const torc_element *e) {
  return r->origin == TORC_ORIGIN_REPLICA && spec->generation != 0 &&
         e->generation > spec->generation;
}

/* where the overlay asks for a generation, 0 was sent to a slot with counter 0: nothing was
 * removed. */
static bool is_void(const remover *r, const torc_specifier *spec) {
  return r->origin == TORC_ORIGIN_REPLICA && spec->generation == 0 && r->s->remove_needs_generation;
}

/* "The last element" is the same one only where the state is the same. */
static bool is_last_unknown(const remover *r, const torc_specifier *spec, const torc_slot *slot) {
  return r->origin == TORC_ORIGIN_REPLICA && spec->generation != 0 &&
         spec->model == TORC_MODEL_ARRAY && spec->first < 0 &&
         !torc_slot_is_in_step(slot, spec->generation);
}

static int load(remover *r, const torc_specifier *spec, torc_slot *slot) {
  return torc_slot_load(r->s, slot, &r->request.resource, spec->type);
}

/* [REM-09] every element named explicitly may be removed. */
static int check_access(remover *r, const torc_specifier *spec) {
  torc_slot slot;
  int rc = load(r, spec, &slot);
  if (rc != 0 || is_void(r, spec) || is_last_unknown(r, spec, &slot)) {
    return rc;
  }
  walk w;
  walk_init(&w, &slot, spec);
  while (rc == 0 && w.is_explicit && r->code == 0) {
    torc_rkey key;
    torc_element e;
    rc = walk_next(r->s, &w, &key, &e);
    bool is_allowed = true;
    if (rc == 0 && !is_later(r, spec, &e)) {
      rc = may_remove(r, &slot, &e, &is_allowed);
    }
    if (rc == 0 && !is_allowed) {
      refuse(r, TORC_CODE_FORBIDDEN, "signer may not remove a named element");
    }
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

/* [REM-10] [GAP-92] */
static void check_generation(remover *r, const torc_specifier *spec, uint64_t counter) {
  if (r->origin == TORC_ORIGIN_REPLICA) {
    return; /* [D-14] */
  }
  if (spec->generation == 0 && counter != 0 && r->s->remove_needs_generation) {
    refuse(r, TORC_CODE_PRECONDITION, "REMOVE without generation counter");
  }
  if (spec->generation != 0 && spec->generation != counter) {
    refuse(r, TORC_CODE_PRECONDITION, "generation counter");
  }
}

/* Puts tombstones over what the specifier names and the signer may remove. */
static int bury_named(remover *r, const torc_specifier *spec, torc_slot *slot,
                      uint32_t *num_buried) {
  torc_tombstone how = {
      .generation = spec->generation != 0 ? spec->generation : slot->meta.generation,
      .is_weak = r->origin == TORC_ORIGIN_REPLICA && spec->first < 0};
  memcpy(how.removal, r->digest, sizeof how.removal);
  walk w;
  walk_init(&w, slot, spec);
  int rc = 0;
  while (rc == 0) {
    torc_rkey key;
    torc_element e;
    rc = walk_next(r->s, &w, &key, &e);
    bool is_allowed = false;
    if (rc == 0 && !is_later(r, spec, &e)) {
      rc = may_remove(r, slot, &e, &is_allowed); /* a wildcard passes over the others */
    }
    if (rc == 0 && is_allowed) {
      rc = torc_slot_bury(r->s, slot, &key, &e, &how);
      (*num_buried)++;
    }
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

/* The keys of a blind for a type whose keys are the signer's own peer-ids. */
static int own_keys(remover *r, const torc_specifier *spec, torc_buf *out) {
  const torc_cert *signer = r->record->signer;
  int rc = 0;
  for (size_t i = 0; i < signer->num_peers && rc == 0; i++) {
    torc_slice peer = torc_slice_of(signer->peers[i].b, TORC_ID_LEN);
    if (spec->keys.len == 0 || torc_keys_hold(spec->keys, peer)) {
      uint8_t buf[2 + TORC_ID_LEN];
      torc_wr wr;
      torc_wr_init(&wr, buf, sizeof buf);
      torc_wr_vec16(&wr, peer);
      rc = torc_buf_append(out, torc_wr_slice(&wr));
    }
  }
  return rc;
}

static torc_wall saturated_add(torc_wall a, uint32_t b) {
  return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* [D-14] this replica lacks some of what was removed elsewhere; a third one may still have it. */
static int put_blind(remover *r, const torc_specifier *spec, torc_slot *slot) {
  int rc = 0;
  torc_buf keys;
  torc_buf_init(&keys, r->s->mem, SIZE_MAX);
  torc_blind b = {
      .expiry = saturated_add(r->s->now, slot->type->max_lifetime_s),
      .storage_time = r->s->now > TORC_STORE_CLOCK_S ? r->s->now - TORC_STORE_CLOCK_S : 0,
      .generation = spec->generation,
      .first = spec->first,
      .last = spec->last,
      .keys = spec->keys};
  if (spec->first < 0) {
    b.first = (int32_t)slot->meta.top; /* the last element was none of those that are left */
  }
  bool is_own_keys = slot->type->access == TORC_ACCESS_USER_NODE_MATCH;
  if (is_own_keys) {
    rc = own_keys(r, spec, &keys);
    b.keys = torc_buf_slice(&keys);
  }
  if (slot->meta.blinds >= TORC_STORE_BLINDS_MAX || b.keys.len > TORC_STORE_BLIND_KEYS_MAX) {
    r->s->stats.blinds_refused++;
  } else if (rc == 0 && !(is_own_keys && b.keys.len == 0)) {
    rc = torc_slot_put_blind(r->s, slot, &b, r->digest);
    r->refs++;
  }
  torc_buf_clear(&keys);
  return rc;
}

/* [REM-03] [GAP-94] the counter rises if something existed; a replica's becomes what it became at
 * the owner's. */
static void set_generation(const remover *r, const torc_specifier *spec, torc_slot *slot,
                           bool is_changed) {
  const torc_meta *m = &slot->meta;
  bool is_replica = r->origin == TORC_ORIGIN_REPLICA && spec->generation != 0;
  if (is_replica && m->generation <= spec->generation + 1) {
    torc_slot_set_generation(slot, spec->generation + 1, true);
  } else if (is_changed && !(is_replica && m->is_synced)) {
    torc_slot_set_generation(slot, torc_slot_next_generation(r->s, slot), false);
  }
}

/* How many elements a specifier names one by one; 0: it is open. */
static uint64_t count_named(const torc_specifier *spec) {
  if (spec->model == TORC_MODEL_SINGLE) {
    return 1;
  }
  if (spec->model == TORC_MODEL_ARRAY) {
    return spec->first >= 0 && spec->last >= 0 ? (uint64_t)spec->last - (uint64_t)spec->first + 1
                                               : 0;
  }
  uint64_t num = 0;
  torc_rd rd;
  torc_rd_init(&rd, spec->keys);
  torc_slice key;
  while (torc_key_next(&rd, &key)) {
    num++;
  }
  return num;
}

/* Whether something may have been removed elsewhere that is not here, and the signer could have
 * done so. */
static int check_blind(remover *r, const torc_specifier *spec, const torc_slot *slot,
                       uint32_t num_buried, bool *out) {
  uint64_t num_named = count_named(spec);
  *out = false;
  if (r->origin != TORC_ORIGIN_REPLICA || spec->generation == 0 ||
      (num_named > 0 && num_named == num_buried)) {
    return 0;
  }
  return torc_access_check_unseen(slot->type, r->s->crypto, &slot->resource, r->record->signer,
                                  out);
}

static int remove_named(remover *r, const torc_specifier *spec, size_t type_index) {
  torc_slot slot;
  int rc = load(r, spec, &slot);
  if (rc != 0 || is_void(r, spec)) {
    return rc;
  }
  bool is_last_lost = is_last_unknown(r, spec, &slot);
  uint32_t num_buried = 0;
  bool is_blind = false;
  if (!is_last_lost) {
    rc = bury_named(r, spec, &slot, &num_buried);
  }
  if (rc == 0) {
    rc = torc_slot_find_top(r->s, &slot);
  }
  if (rc == 0) {
    rc = check_blind(r, spec, &slot, num_buried, &is_blind);
  }
  if (rc == 0 && (num_buried > 0 || is_blind)) {
    r->refs += num_buried;
    set_generation(r, spec, &slot, num_buried > 0);
    rc = is_blind ? put_blind(r, spec, &slot) : 0;
    if (rc == 0) {
      rc = torc_slot_save(r->s, &slot);
    }
  }
  r->result->types[type_index].generation = slot.meta.generation;
  r->result->is_changed = r->result->is_changed || num_buried > 0;
  return rc;
}

/* [R-16] [GAP-92] what a tombstone needs to be replayed, and what makes a replay of the request
 * harmless. */
static int remember(remover *r) {
  torc_store *s = r->s;
  const torc_remove_record *rec = r->record;
  if (s->next.removals >= s->max_remove_memory) {
    refuse(r, TORC_CODE_TOO_LARGE, "as many REMOVEs as configured are remembered");
    return 0;
  }
  torc_removal head = {.xid = rec->xid,
                       .refs = r->refs,
                       .is_replayable = r->is_replayable,
                       .contents_len = (uint32_t)rec->contents.len,
                       .signature_len = (uint32_t)rec->signature.len};
  uint8_t buf[TORC_RECORD_FIXED_MAX];
  torc_wr wr;
  torc_wr_init(&wr, buf, sizeof buf);
  torc_removal_put(&wr, &head);
  torc_rkey key;
  torc_removal_key(&key, TORC_TABLE_REMOVAL, &r->request.resource, r->digest);
  uint64_t cost = 2 * key.len + wr.len + rec->contents.len + rec->signature.len;
  if (s->next.bytes + cost > s->max_bytes + s->max_bytes / TORC_STORE_REMOVE_RESERVE) {
    refuse(r, TORC_CODE_TOO_LARGE, "this holder is full");
    return 0;
  }
  int rc = torc_txn_put(s, &key, torc_wr_slice(&wr));
  s->scratch.len = 0;
  if (rc == 0) {
    rc = torc_buf_append(&s->scratch, rec->contents);
  }
  if (rc == 0) {
    rc = torc_buf_append(&s->scratch, rec->signature);
  }
  if (rc == 0) {
    torc_removal_key(&key, TORC_TABLE_MESSAGE, &r->request.resource, r->digest);
    rc = torc_txn_put(s, &key, torc_buf_slice(&s->scratch));
  }
  if (rc == 0) {
    s->next.removals++;
    s->next.bytes += cost;
  }
  return rc;
}

static int is_remembered(remover *r, bool *out) {
  torc_rkey key;
  torc_removal_key(&key, TORC_TABLE_REMOVAL, &r->request.resource, r->digest);
  torc_slice value;
  int rc = torc_txn_get(r->s, &key, &value);
  *out = rc == 0;
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

/* The counters of all types, expired elements out of the way. */
static int look_at_slots(remover *r) {
  torc_rd rd;
  torc_rd_init(&rd, r->request.specifiers);
  torc_specifier spec;
  int rc = 0;
  r->is_replayable = true;
  while (rc == 0 && torc_specifier_next(&rd, &r->models, &spec)) {
    torc_slot slot;
    rc = load(r, &spec, &slot);
    if (rc == 0) {
      rc = torc_slot_purge(r->s, &slot);
    }
    if (rc == 0) {
      rc = torc_slot_save(r->s, &slot);
    }
    r->result->types[r->result->num_types] =
        (torc_store_type_response){.type = spec.type, .generation = slot.meta.generation};
    r->result->num_types++;
    if (spec.generation == 0 && !r->s->remove_needs_generation) {
      r->is_replayable = false; /* nothing would tell what was stored since */
    }
  }
  return rc;
}

typedef int (*spec_fn)(remover *r, const torc_specifier *spec, size_t type_index);

static int each_spec(remover *r, spec_fn fn) {
  torc_rd rd;
  torc_rd_init(&rd, r->request.specifiers);
  torc_specifier spec;
  int rc = 0;
  for (size_t i = 0; rc == 0 && r->code == 0 && torc_specifier_next(&rd, &r->models, &spec); i++) {
    rc = fn(r, &spec, i);
  }
  return rc;
}

static int spec_access(remover *r, const torc_specifier *spec, size_t type_index) {
  (void)type_index;
  return check_access(r, spec);
}

static int spec_generation(remover *r, const torc_specifier *spec, size_t type_index) {
  check_generation(r, spec, r->result->types[type_index].generation);
  return 0;
}

static int run_in_txn(remover *r) {
  bool is_known = false;
  int rc = look_at_slots(r);
  if (rc == 0) {
    rc = is_remembered(r, &is_known);
  }
  if (rc != 0 || is_known) {
    return rc; /* [GAP-92] done before: it removes nothing a second time */
  }
  rc = each_spec(r, spec_access);
  if (rc == 0) {
    rc = each_spec(r, spec_generation);
  }
  if (rc == 0) {
    rc = each_spec(r, remove_named);
  }
  if (rc == 0 && r->code == 0 && r->refs > 0) {
    rc = remember(r);
  }
  return rc;
}

static int read_request(remover *r) {
  r->models = torc_types_models(r->s->types);
  int rc = torc_fetch_request_decode(&r->request, r->record->payload, &r->models, NULL);
  if (rc == TORC_ERR_NOTFOUND) {
    refuse(r, TORC_CODE_NOT_FOUND, "Unknown Type"); /* [REM-07] [GAP-89] */
    return 0;
  }
  if (rc == TORC_ERR_FORMAT || rc == TORC_ERR_SHORT) {
    refuse(r, TORC_CODE_BAD_REQUEST, "malformed REMOVE"); /* [REM-05] */
    return 0;
  }
  if (rc != 0) {
    return rc;
  }
  torc_rd rd;
  torc_rd_init(&rd, r->request.specifiers);
  torc_specifier spec;
  size_t num_types = 0;
  while (torc_specifier_next(&rd, &r->models, &spec)) {
    num_types++;
    if (r->origin == TORC_ORIGIN_REPLICA && spec.generation > TORC_STORE_GENERATION_MAX) {
      refuse(r, TORC_CODE_BAD_REQUEST, "generation counter out of range");
    }
  }
  if (num_types > TORC_STORE_TYPES_MAX) {
    refuse(r, TORC_CODE_TOO_LARGE, "too many types in one request");
  } else if (r->record->signer == NULL) {
    refuse(r, TORC_CODE_UNAUTHORIZED, "REMOVE without signer"); /* [REM-08] */
  }
  return 0;
}

static int name_request(remover *r) {
  uint8_t xid[8];
  torc_wr wr;
  torc_wr_init(&wr, xid, sizeof xid);
  torc_wr_u64(&wr, r->record->xid);
  const torc_slice parts[2] = {torc_slice_of(r->record->signer->digest, TORC_DIGEST_LEN),
                               torc_wr_slice(&wr)};
  int rc = r->s->crypto->sha256(r->s->crypto->ctx, parts, 2, r->digest);
  return rc == 0 || rc == TORC_ERR_NOMEM ? rc : TORC_ERR_CRYPTO;
}

static int transact(remover *r, torc_wall now) {
  int rc = torc_txn_begin(r->s, true, now);
  if (rc != 0) {
    return rc;
  }
  rc = run_in_txn(r);
  if (rc == 0 && r->code == 0) {
    return torc_txn_commit(r->s); /* [REM-06] */
  }
  torc_txn_abort(r->s);
  return rc;
}

int torc_store_remove(torc_store *s, const torc_remove_record *record, torc_store_origin origin,
                      torc_wall now, torc_write_result *result) {
  *result = (torc_write_result){.code = TORC_CODE_OK};
  remover r = {.s = s, .record = record, .origin = origin, .result = result};
  int rc = read_request(&r);
  if (rc == 0 && r.code == 0) {
    rc = name_request(&r);
  }
  if (rc == 0 && r.code == 0) {
    rc = transact(&r, now);
  }
  if (rc == TORC_ERR_LIMIT) {
    rc = 0; /* too many tombstones, or the backend is full */
    refuse(&r, TORC_CODE_TOO_LARGE, "no room for the tombstones of this REMOVE");
  }
  if (rc == 0 && r.code == 0) {
    s->stats.removes_ok++;
  } else if (rc == 0) {
    torc_write_result_fail(s, result, r.code, r.detail);
  }
  return rc;
}
