/* STORE: the checks in the order of R-15, then the elements one after the other in one transaction.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "overlay/storage/slot.h"

/* Where an array's index lies in the bytes of a stored_data: behind length, storage_time and
 * lifetime. */
#define INDEX_OFFSET 12u

/* One STORE on its way through the checks. The first failure sets `code`. */
typedef struct apply {
  torc_store *s;
  const torc_store_request *request;
  torc_store_element *elements;
  size_t num_elements;
  const torc_cert *message_signer;
  torc_store_origin origin;
  torc_write_result *result;
  uint16_t code; /* 0: none so far */
  const char *detail;
  uint16_t late_code; /* 413, reported if nothing that is checked before fails */
  const char *late_detail;
} apply;

static void refuse(apply *a, uint16_t code, const char *detail) {
  if (a->code == 0) {
    a->code = code;
    a->detail = detail;
  }
}

static void refuse_late(apply *a, const char *detail) {
  if (a->late_code == 0) {
    a->late_code = TORC_CODE_TOO_LARGE; /* [GAP-59] [GAP-100] [SEC-12] */
    a->late_detail = detail;
  }
}

/* The types of the request and the elements of each; `first` counts through the elements. */
typedef struct group {
  torc_store_type wire;
  size_t first, num;
} group;

static bool next_group(const apply *a, torc_rd *rd, group *g) {
  size_t first = g->first + g->num;
  if (!torc_store_type_next(rd, &g->wire)) {
    return false;
  }
  g->first = first;
  g->num = 0;
  while (first + g->num < a->num_elements && a->elements[first + g->num].type != NULL &&
         a->elements[first + g->num].type->id == g->wire.type) {
    g->num++;
  }
  return true;
}

/* Known types [STO-15], and that request and elements tell the same. */
static int check_types(apply *a) {
  torc_rd rd;
  torc_rd_init(&rd, a->request->types);
  group g = {.first = 0, .num = 0};
  size_t num_types = 0;
  while (next_group(a, &rd, &g)) {
    if (torc_types_find(a->s->types, g.wire.type) == NULL) {
      refuse(a, TORC_CODE_NOT_FOUND, "Unknown Type");
      return 0;
    }
    if (g.num == 0) {
      return TORC_ERR_INVALID;
    }
    if (a->origin == TORC_ORIGIN_REPLICA && g.wire.generation > TORC_STORE_GENERATION_MAX) {
      refuse(a, TORC_CODE_BAD_REQUEST, "generation counter out of range");
    }
    num_types++;
  }
  if (num_types > TORC_STORE_TYPES_MAX || a->num_elements > TORC_STORE_ELEMENTS_MAX) {
    refuse(a, TORC_CODE_TOO_LARGE, "too many types or elements in one request");
    return 0;
  }
  return g.first + g.num == a->num_elements && num_types > 0 ? 0 : TORC_ERR_INVALID;
}

/* What no signature can make right. */
static int check_form(apply *a) {
  for (size_t i = 0; i < a->num_elements; i++) {
    const torc_stored_data *d = &a->elements[i].data;
    if (d->bytes.len < INDEX_OFFSET || d->entry.model != a->elements[i].type->model) {
      return TORC_ERR_INVALID;
    }
    if (d->storage_time == 0) {
      refuse(a, TORC_CODE_BAD_REQUEST, "storage time 0"); /* [GAP-87] */
    }
    if (d->lifetime == 0) {
      refuse(a, TORC_CODE_BAD_REQUEST, "lifetime 0"); /* */
    }
    int32_t lowest =
        a->origin == TORC_ORIGIN_REPLICA ? 0 : -1; /* [GAP-56] a replica is told the index */
    if (d->entry.model == TORC_MODEL_ARRAY && d->entry.index < lowest) {
      refuse(a, TORC_CODE_BAD_REQUEST, "array index below -1"); /* [GAP-88] */
    }
  }
  return 0;
}

static bool is_too_long(const torc_store_element *e) {
  return e->data.entry.value.len > e->type->max_size;
}

static bool is_same_cert(const torc_cert *a, const torc_cert *b) {
  return a == b || memcmp(a->digest, b->digest, TORC_DIGEST_LEN) == 0;
}

/* Signature [STO-17] and access rule [STO-18] of one element. */
static int check_signer(apply *a, const torc_store_element *e) {
  switch (e->verdict) {
    case TORC_VERDICT_VALID: /* the node has looked at the dates */
      break;
    case TORC_VERDICT_UNSIGNED:
      refuse(a, TORC_CODE_UNAUTHORIZED, "element without signature"); /* */
      return 0;
    case TORC_VERDICT_UNRESOLVED:
      refuse(a, TORC_CODE_UNAUTHORIZED,
             "certificate of the element's signer not found"); /* [GAP-58] */
      return 0;
    case TORC_VERDICT_INVALID:
    default:
      refuse(a, TORC_CODE_FORBIDDEN, "signature or certificate of an element is not valid");
      return 0;
  }
  if (e->signer == NULL) {
    return TORC_ERR_INVALID;
  }
  int rc =
      torc_access_check(e->type, a->s->crypto, &a->request->resource, &e->data.entry, e->signer);
  bool is_unread = (rc == TORC_ERR_FORMAT || rc == TORC_ERR_INVALID) && is_too_long(e);
  if (rc == TORC_ERR_DENIED) {
    refuse(a, TORC_CODE_FORBIDDEN, "signer may not write this type at this resource");
  } else if (is_unread) {
    refuse_late(a, "value larger than its type allows"); /* too long comes first */
    return 0;
  } else if (rc == TORC_ERR_FORMAT) {
    refuse(a, TORC_CODE_BAD_REQUEST, "value does not parse for its type");
  } else if (rc == TORC_ERR_INVALID) {
    refuse(a, TORC_CODE_FORBIDDEN, "value out of range or not of this overlay");
  } else if (rc != 0) {
    return rc;
  }
  if (a->code == 0 && a->origin == TORC_ORIGIN_OWNER && e->type->model == TORC_MODEL_ARRAY &&
      !is_same_cert(a->message_signer, e->signer) &&
      !torc_access_message_signer(e->type, a->s->crypto, &a->request->resource, &e->data.entry,
                                  a->message_signer)) {
    refuse(a, TORC_CODE_FORBIDDEN, "only its owner may place an array element"); /* */
  }
  return 0;
}

static int check_signers(apply *a) {
  int rc = 0;
  for (size_t i = 0; i < a->num_elements && rc == 0 && a->code == 0; i++) {
    rc = check_signer(a, &a->elements[i]); /* [GAP-165] the element's signer decides */
  }
  return rc;
}

/* SHA-256 of what the signature of an array element covers, and of who signed it. */
static int element_digest(apply *a, const torc_store_element *e, uint8_t out[TORC_DIGEST_LEN]) {
  memset(out, 0, TORC_DIGEST_LEN);
  if (e->type->model != TORC_MODEL_ARRAY) {
    return 0;
  }
  uint8_t fixed[TORC_DATA_SIGNED_PREFIX_MAX(0)];
  torc_wr wr;
  torc_wr_init(&wr, fixed, sizeof fixed);
  int rc = torc_data_signed_prefix_put(&wr, &a->request->resource, e->type->id, &e->data);
  if (rc != 0) {
    return rc;
  }
  const torc_slice parts[3] = {torc_wr_slice(&wr), e->data.entry.value,
                               torc_slice_of(e->signer->digest, TORC_DIGEST_LEN)};
  rc = a->s->crypto->sha256(a->s->crypto->ctx, parts, 3, out);
  return rc == 0 || rc == TORC_ERR_NOMEM ? rc : TORC_ERR_CRYPTO;
}

/* Whether the very same element is there already; appends: at which index. */
static int find_same(apply *a, torc_slot *slot, const torc_store_element *e, bool *is_same,
                     int32_t *index) {
  *is_same = false;
  if (e->data.entry.model == TORC_MODEL_ARRAY && e->data.entry.index == -1) {
    uint8_t digest[TORC_DIGEST_LEN];
    int rc = element_digest(a, e, digest);
    torc_digest_state state = TORC_DIGEST_REMOVED;
    uint32_t at = 0;
    if (rc == 0) {
      rc = torc_slot_find_digest(a->s, slot, digest, &state, &at);
    }
    if (rc == 0 && state == TORC_DIGEST_PRESENT) {
      *is_same = true; /* */
      *index = (int32_t)at;
    }
    return rc == TORC_ERR_NOTFOUND ? 0 : rc;
  }
  torc_rkey key;
  torc_element old;
  int rc = torc_slot_key(a->s, slot, TORC_KIND_ELEMENT, &e->data.entry, &key);
  if (rc == 0) {
    rc = torc_slot_get(a->s, &key, &old);
  }
  if (rc == 0) {
    *is_same = torc_slice_eq(old.bytes, e->data.bytes);
    *index = e->data.entry.index;
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

static int check_all_same(apply *a, torc_slot *slot, const group *g, bool *all_same) {
  int rc = 0;
  for (size_t i = 0; i < g->num && rc == 0 && *all_same; i++) {
    int32_t index = 0;
    bool is_same = false;
    rc = find_same(a, slot, &a->elements[g->first + i], &is_same, &index);
    *all_same = is_same;
  }
  return rc;
}

/* Counters of all types, and whether the request says what is there already. */
static int look_at_slots(apply *a, bool *all_same, bool *is_generation_wrong) {
  torc_rd rd;
  torc_rd_init(&rd, a->request->types);
  group g = {.first = 0, .num = 0};
  *all_same = true;
  *is_generation_wrong = false;
  int rc = 0;
  while (rc == 0 && next_group(a, &rd, &g)) {
    torc_slot slot;
    rc = torc_slot_load(a->s, &slot, &a->request->resource, g.wire.type);
    if (rc == 0) {
      rc = torc_slot_purge(a->s, &slot);
    }
    if (rc == 0) {
      rc = torc_slot_save(a->s, &slot);
    }
    if (rc == 0) {
      rc = check_all_same(a, &slot, &g, all_same);
    }
    torc_store_type_response *r = &a->result->types[a->result->num_types];
    *r = (torc_store_type_response){.type = g.wire.type, .generation = slot.meta.generation};
    a->result->num_types++;
    if (g.wire.generation != 0 && g.wire.generation != slot.meta.generation) {
      *is_generation_wrong = true; /* [STO-19] */
    }
  }
  return rc;
}

/* Whether a tombstone or blind keeps the element away. */
typedef struct grave {
  bool is_newer;       /* the removed value's storage time is not before the element's */
  bool is_same;        /* arrays: the removed value was this very element */
  uint64_t generation; /* of the newest such removal */
  uint64_t counter;    /* of a removal of an older value at this place; 0: none */
  torc_rkey key;       /* its tombstone */
} grave;

static void look_at_grave(const torc_store *s, const torc_tombstone *t, const torc_store_element *e,
                          const uint8_t digest[TORC_DIGEST_LEN], grave *out) {
  if (t->expiry <= s->now) {
    return;
  }
  if (t->storage_time < e->data.storage_time) {
    out->counter = t->is_weak ? 0 : t->generation;
    return;
  }
  out->is_newer = true;
  if (e->type->model == TORC_MODEL_ARRAY && !t->is_weak &&
      memcmp(t->digest, digest, TORC_DIGEST_LEN) == 0) {
    out->is_same = true;
  }
  if (t->generation > out->generation) {
    out->generation = t->generation;
  }
}

static int find_graves(apply *a, torc_slot *slot, const torc_store_element *e,
                       const uint8_t digest[TORC_DIGEST_LEN], grave *out) {
  *out = (grave){.is_newer = false};
  if (slot->meta.tombs == 0) {
    return 0;
  }
  torc_rkey key;
  int rc = torc_slot_key(a->s, slot, TORC_KIND_TOMBSTONE, &e->data.entry, &key);
  if (rc != 0) {
    return rc;
  }
  torc_slice value;
  torc_tombstone t;
  if (e->type->model != TORC_MODEL_ARRAY) {
    rc = torc_txn_get(a->s, &key, &value);
    if (rc == 0) {
      rc = torc_tombstone_get(&t, value);
    }
    if (rc == 0) {
      look_at_grave(a->s, &t, e, digest, out);
      out->key = key;
    }
    return rc == TORC_ERR_NOTFOUND ? 0 : rc;
  }
  size_t prefix = key.len;
  rc = torc_txn_seek(a->s, &key, prefix, &key, &value);
  while (rc == 0) {
    rc = torc_tombstone_get(&t, value);
    if (rc == 0) {
      look_at_grave(a->s, &t, e, digest, out);
      torc_rkey_next(&key);
      rc = torc_txn_seek(a->s, &key, prefix, &key, &value);
    }
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

static bool is_covered(const torc_blind *b, const torc_entry *e) {
  switch (e->model) {
    case TORC_MODEL_ARRAY:
      return e->index >= b->first && (b->last < 0 || e->index <= b->last);
    case TORC_MODEL_DICTIONARY:
      return b->keys.len == 0 || torc_keys_hold(b->keys, e->key);
    case TORC_MODEL_SINGLE:
    default:
      return true;
  }
}

/* [D-14] a REMOVE replayed before this holder had the value it removed. */
static int is_kept_away(apply *a, torc_slot *slot, const torc_store_element *e, uint64_t generation,
                        bool *out) {
  *out = false;
  if (slot->meta.tombs == 0) {
    return 0;
  }
  torc_rkey key;
  torc_rkey_slot(&key, &slot->resource, slot->type_id, TORC_KIND_BLIND);
  size_t prefix = key.len;
  torc_slice value;
  int rc = torc_txn_seek(a->s, &key, prefix, &key, &value);
  while (rc == 0) {
    torc_blind b;
    rc = torc_blind_get(&b, value);
    if (rc == 0 && b.expiry > a->s->now && is_covered(&b, &e->data.entry)) {
      bool is_old = a->origin == TORC_ORIGIN_REPLICA ? generation <= b.generation
                                                     : e->data.storage_time <= b.storage_time;
      *out = *out || is_old;
    }
    if (rc == 0) {
      torc_rkey_next(&key);
      rc = torc_txn_seek(a->s, &key, prefix, &key, &value);
    }
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

/* One element about to be placed. */
typedef struct placing {
  const torc_store_element *e;
  torc_rkey key;
  torc_element fresh;
  torc_element old; /* its bytes live until the next write */
  bool has_old;
} placing;

/* Limits of one element and of the slot [USG-04] [SEC-12]. */
static void check_quota(apply *a, const torc_slot *slot, const placing *p) {
  const torc_type *type = p->e->type;
  uint64_t max_values = type->max_values;
  if (a->origin == TORC_ORIGIN_REPLICA) {
    /* [GAP-103] two halves of a ring may have filled the slot each; what owners were told is stored
     * is kept. */
    max_values *= TORC_STORE_MERGE_FACTOR;
  }
  if (is_too_long(p->e)) {
    refuse_late(a, "value larger than its type allows");
  } else if (type->model == TORC_MODEL_ARRAY && p->e->data.entry.index > TORC_ARRAY_INDEX_MAX) {
    refuse_late(a, "array index above 65535"); /* [GAP-88] */
  } else if (!p->has_old && slot->meta.count >= max_values) {
    refuse_late(a, "as many values as the type allows are stored"); /* [SIP-11] [CRT-09] */
  } else {
    uint64_t gone = p->has_old ? torc_slot_element_cost(&p->key, &p->old) : 0;
    uint64_t bytes = a->s->next.bytes - gone + torc_slot_element_cost(&p->key, &p->fresh);
    if (bytes > a->s->max_bytes) {
      refuse_late(a, "this holder is full");
    }
  }
}

/* Copies the element's bytes with its index into `copy` [GAP-56]. */
static int take_bytes(apply *a, placing *p, torc_buf *copy) {
  torc_buf_init(copy, a->s->mem, SIZE_MAX);
  int rc = torc_buf_append(copy, p->e->data.bytes);
  if (rc == 0 && p->e->type->model == TORC_MODEL_ARRAY) {
    torc_wr wr;
    torc_wr_init(&wr, copy->p + INDEX_OFFSET, copy->len - INDEX_OFFSET);
    torc_wr_u32(&wr, (uint32_t)p->e->data.entry.index);
    rc = wr.err;
  }
  p->fresh.bytes = torc_buf_slice(copy);
  return rc;
}

static int write_placed(apply *a, torc_slot *slot, placing *p) {
  check_quota(a, slot, p);
  if (a->code != 0 || a->late_code != 0) {
    return 0;
  }
  if (p->fresh.expiry <= a->s->now) {
    /* [R-03] [GAP-98] its life ended within the last hour: it ends what it replaces and is gone
     * itself. */
    a->result->is_changed = a->result->is_changed || p->has_old;
    return p->has_old ? torc_slot_del(a->s, slot, &p->key) : 0;
  }
  torc_buf copy;
  int rc = take_bytes(a, p, &copy);
  if (rc == 0) {
    rc = torc_slot_put(a->s, slot, &p->key, &p->fresh);
  }
  torc_buf_clear(&copy);
  if (rc == 0) {
    a->result->is_changed = true;
  }
  return rc;
}

static int look_at_old(apply *a, torc_slot *slot, placing *p) {
  int rc = torc_slot_key(a->s, slot, TORC_KIND_ELEMENT, &p->e->data.entry, &p->key);
  if (rc == 0) {
    rc = torc_slot_get(a->s, &p->key, &p->old);
    p->has_old = rc == 0;
  }
  return rc == TORC_ERR_NOTFOUND ? 0 : rc;
}

/* [STO-26] gives an append the index behind the highest element. */
static int place_append(apply *a, torc_slot *slot, torc_store_element *e, placing *p,
                        bool *is_done) {
  torc_digest_state state = TORC_DIGEST_PRESENT;
  uint32_t index = 0;
  *is_done = true;
  int rc = torc_slot_find_digest(a->s, slot, p->fresh.digest, &state, &index);
  if (rc == 0 && state == TORC_DIGEST_PRESENT) {
    e->data.entry.index = (int32_t)index; /* appended before: the same success again */
    return 0;
  }
  if (rc == 0) {
    refuse(a, TORC_CODE_PRECONDITION, "this element was removed"); /* */
    return 0;
  }
  if (rc != TORC_ERR_NOTFOUND) {
    return rc;
  }
  *is_done = false;
  rc = torc_slot_find_top(a->s, slot);
  e->data.entry.index = (int32_t)slot->meta.top;
  return rc;
}

/* [STO-11] [STO-20] [SEC-13] [GAP-96] an owner's element must be newer than what it replaces or
 * what was removed. */
static int check_time(apply *a, torc_slot *slot, const placing *p) {
  const torc_store_element *e = p->e;
  if (p->has_old && e->data.storage_time <= torc_element_storage_time(&p->old)) {
    refuse(a, TORC_CODE_PRECONDITION, "storage time not after that of the stored value");
    return 0;
  }
  grave g;
  int rc = find_graves(a, slot, e, p->fresh.digest, &g);
  bool is_away = false;
  if (rc == 0) {
    rc = is_kept_away(a, slot, e, 0, &is_away);
  }
  if (rc == 0 && (g.is_newer || is_away)) {
    refuse(a, TORC_CODE_PRECONDITION,
           "storage time not after that of a removed value"); /* [GAP-93] */
  }
  return rc;
}

static int place_owner(apply *a, torc_slot *slot, torc_store_element *e) {
  torc_life life = torc_life_of(e->type, e->data.storage_time, e->data.lifetime, a->s->now);
  placing p = {.e = e, .fresh = {.receipt = a->s->now, .expiry = life.expiry}};
  p.fresh.bytes = e->data.bytes;
  p.fresh.generation = torc_slot_next_generation(a->s, slot);
  bool is_append = e->type->model == TORC_MODEL_ARRAY && e->data.entry.index == -1;
  bool is_done = false;
  int rc = element_digest(a, e, p.fresh.digest);
  if (rc == 0 && life.is_over) {
    refuse(a, TORC_CODE_PRECONDITION, "lifetime is over"); /* */
    return 0;
  }
  if (rc == 0 && is_append) {
    rc = place_append(a, slot, e, &p, &is_done);
  }
  if (rc == 0 && !is_done) {
    rc = look_at_old(a, slot, &p);
  }
  if (rc != 0 || is_done || (p.has_old && torc_slice_eq(p.old.bytes, e->data.bytes))) {
    return rc; /* [GAP-96] identical: nothing to do */
  }
  if (!is_append) {
    rc = check_time(a, slot, &p); /* [GAP-96] an append has no predecessor */
  }
  return rc != 0 ? rc : write_placed(a, slot, &p);
}

/* [GAP-103] [USG-09] greater storage time, then larger signature, then larger bytes. */
static bool wins(const torc_store_element *e, const torc_element *old) {
  torc_stored_data stored;
  torc_rd rd;
  torc_rd_init(&rd, old->bytes);
  if (torc_stored_data_get(&rd, e->type->model, &stored) != 0) {
    return true; /* what cannot be read is no loss */
  }
  if (e->data.storage_time != stored.storage_time) {
    return e->data.storage_time > stored.storage_time;
  }
  int order = torc_slice_cmp(e->data.signature.value, stored.signature.value);
  if (order == 0) {
    order = torc_slice_cmp(e->data.bytes, stored.bytes);
  }
  return order > 0;
}

/* The same element again: it was written at the lower of the two counters at the latest [D-14]. */
static int lower_generation(apply *a, torc_slot *slot, placing *p, uint64_t generation) {
  if (generation >= p->old.generation) {
    return 0;
  }
  p->fresh = p->old;
  p->fresh.generation = generation;
  torc_buf copy;
  int rc = take_bytes(a, p, &copy);
  if (rc == 0) {
    rc = torc_slot_put(a->s, slot, &p->key, &p->fresh);
  }
  torc_buf_clear(&copy);
  return rc;
}

/* What does not win is skipped without a word. */
static int place_replica(apply *a, torc_slot *slot, torc_store_element *e, uint64_t generation) {
  torc_life life = torc_life_of(e->type, e->data.storage_time, e->data.lifetime, a->s->now);
  placing p = {.e = e,
               .fresh = {.receipt = a->s->now, .expiry = life.expiry, .generation = generation}};
  p.fresh.bytes = e->data.bytes;
  int rc = element_digest(a, e, p.fresh.digest);
  if (rc == 0) {
    rc = look_at_old(a, slot, &p);
  }
  if (rc != 0 || (life.expiry <= a->s->now && !p.has_old)) {
    return rc; /* [GAP-98] expired values are not replicated */
  }
  if (p.has_old && torc_slice_eq(p.old.bytes, e->data.bytes)) {
    return lower_generation(a, slot, &p, generation);
  }
  if (p.has_old && !wins(e, &p.old)) {
    return 0;
  }
  grave g;
  bool is_away = false;
  rc = find_graves(a, slot, e, p.fresh.digest, &g);
  /* An append may be older than what once had its index: then only the counter tells it from the
   * removed one. */
  bool is_buried =
      g.is_same ||
      (g.is_newer && (e->type->model != TORC_MODEL_ARRAY || generation <= g.generation));
  if (rc == 0) {
    rc = is_kept_away(a, slot, e, generation, &is_away);
  }
  if (rc != 0 || is_buried || is_away) {
    return rc; /* [GAP-93] [D-14] no resurrection */
  }
  /* This holder had an older value when the REMOVE came; the sender did not know of the removal.
   * Had the copy come first the REMOVE would have taken it. */
  if (e->type->model != TORC_MODEL_ARRAY && g.counter != 0 && generation <= g.counter) {
    return torc_slot_extend_tomb(a->s, &g.key, e->data.storage_time, life.end);
  }
  return write_placed(a, slot, &p);
}

/* The counter after the elements of one type [STO-22] [GAP-95]. */
static void set_generation(const apply *a, torc_slot *slot, uint64_t received, bool is_changed) {
  bool is_replica = a->origin == TORC_ORIGIN_REPLICA;
  if (is_replica && received > slot->meta.generation) {
    torc_slot_set_generation(slot, received, true);
  } else if (is_changed &&
             !(is_replica && slot->meta.is_synced && torc_slot_is_in_step(slot, received))) {
    /* An owner's change; or two histories meet, and no counter that somebody may have cached stays
     * valid. */
    torc_slot_set_generation(slot, torc_slot_next_generation(a->s, slot), false);
  }
}

static int place_group(apply *a, const group *g, size_t type_index) {
  torc_slot slot;
  int rc = torc_slot_load(a->s, &slot, &a->request->resource, g->wire.type);
  bool was_changed = a->result->is_changed;
  a->result->is_changed = false;
  for (size_t i = 0; i < g->num && rc == 0 && a->code == 0; i++) {
    torc_store_element *e = &a->elements[g->first + i];
    rc = a->origin == TORC_ORIGIN_OWNER ? place_owner(a, &slot, e)
                                        : place_replica(a, &slot, e, g->wire.generation);
  }
  if (rc == 0 && a->code == 0 && a->late_code == 0) {
    set_generation(a, &slot, g->wire.generation, a->result->is_changed);
    a->result->types[type_index].generation = slot.meta.generation;
    rc = torc_slot_save(a->s, &slot);
  }
  a->result->is_changed = a->result->is_changed || was_changed;
  return rc;
}

static int place_all(apply *a) {
  torc_rd rd;
  torc_rd_init(&rd, a->request->types);
  group g = {.first = 0, .num = 0};
  int rc = 0;
  for (size_t i = 0; rc == 0 && a->code == 0 && next_group(a, &rd, &g); i++) {
    rc = place_group(a, &g, i);
  }
  if (rc == 0) {
    refuse(a, a->late_code, a->late_detail);
  }
  return rc;
}

/* Everything that needs the backend; the transaction is open. */
static int run_in_txn(apply *a) {
  bool all_same = false;
  bool is_generation_wrong = false;
  int rc = look_at_slots(a, &all_same, &is_generation_wrong);
  if (rc != 0) {
    return rc;
  }
  if (a->origin == TORC_ORIGIN_OWNER && is_generation_wrong && !(all_same && a->late_code == 0)) {
    refuse(a, TORC_CODE_PRECONDITION, "generation counter"); /* [STO-19] */
    return 0;
  }
  return place_all(a);
}

/* After a refusal the appends are what they were. */
static void forget_indexes(apply *a) {
  for (size_t i = 0; i < a->num_elements; i++) {
    torc_stored_data *d = &a->elements[i].data;
    if (a->elements[i].type != NULL && d->entry.model == TORC_MODEL_ARRAY &&
        d->bytes.len >= INDEX_OFFSET + 4) {
      torc_rd rd;
      torc_rd_init(&rd, torc_slice_sub(d->bytes, INDEX_OFFSET, 4));
      d->entry.index = (int32_t)torc_rd_u32(&rd);
    }
  }
}

static int check_before(apply *a) {
  int rc = check_types(a);
  if (rc == 0 && a->code == 0) {
    rc = check_form(a);
  }
  if (rc == 0 && a->code == 0) {
    rc = check_signers(a);
  }
  return rc;
}

static int transact(apply *a, torc_wall now) {
  int rc = torc_txn_begin(a->s, true, now);
  if (rc != 0) {
    return rc;
  }
  rc = run_in_txn(a);
  if (rc == 0 && a->code == 0) {
    return torc_txn_commit(a->s); /* [STO-06] all of it or nothing [GAP-99] */
  }
  torc_txn_abort(a->s);
  return rc;
}

int torc_store_apply(torc_store *s, const torc_store_request *request, torc_store_element *elements,
                     size_t num_elements, const torc_cert *message_signer, torc_store_origin origin,
                     torc_wall now, torc_write_result *result) {
  if (origin == TORC_ORIGIN_OWNER && message_signer == NULL) {
    return TORC_ERR_INVALID;
  }
  *result = (torc_write_result){.code = TORC_CODE_OK};
  apply a = {.s = s,
             .request = request,
             .elements = elements,
             .num_elements = num_elements,
             .message_signer = message_signer,
             .origin = origin,
             .result = result};
  int rc = check_before(&a);
  if (rc == 0 && a.code == 0) {
    rc = transact(&a, now);
  }
  if (rc == TORC_ERR_LIMIT) {
    rc = 0; /* the backend is full */
    refuse(&a, TORC_CODE_TOO_LARGE, "this holder is full");
  }
  if (rc == 0 && a.code == 0) {
    s->stats.stores_ok++;
    return 0;
  }
  forget_indexes(&a);
  if (rc == 0) {
    torc_write_result_fail(s, result, a.code, a.detail);
  }
  return rc;
}
