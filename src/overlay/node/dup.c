/* At-most-once execution: requests seen in the last 64*T1 and their answers, with bounded memory
 * and a share per origin [GAP-63] [D-24] [R-06] [R-07] [RTX-03]. When memory ends, answers go first
 * whose requests may be executed again without harm. SPDX-License-Identifier: Apache-2.0 */
#include "overlay/node/impl.h"

typedef struct dup_origin {
  uint8_t digest[TORC_DIGEST_LEN]; /* of the signer's certificate */
  torc_list entries;               /* oldest first */
  uint32_t bytes, num;             /* TORC_NODE_DUP_BYTES at most */
  uint64_t number;                 /* no two origins had the same */
} dup_origin;

typedef struct dup_key {
  uint64_t origin, xid;
} dup_key;

struct torc_dup {
  torc_list age;       /* of all, oldest first */
  torc_list of_origin; /* of one origin, oldest first */
  dup_origin *origin;
  dup_key key;
  torc_time expires;
  uint32_t len;
  bool is_executing;
  bool is_harmless; /* to be executed twice: it changes nothing, or the same again */
  bool is_signed;   /* the own identity, which ends every signed answer, is left out of the body */
  uint8_t identity; /* its number */
  uint8_t body[];
};

static void entry_free(torc_node *n, torc_dup *d) {
  dup_origin *o = d->origin;
  (void)torc_map_del(&n->dups, &d->key);
  torc_list_remove(&d->age);
  torc_list_remove(&d->of_origin);
  o->bytes -= (uint32_t)sizeof *d + d->len;
  o->num--;
  n->dup_bytes -= sizeof *d + d->len;
  if (o->num == 0) {
    (void)torc_map_del(&n->dup_origins, o->digest);
    torc_free(n->mem, o);
  }
  torc_free(n->mem, d);
}

static bool expire(torc_node *n, torc_list *age) {
  while (!torc_list_empty(age)) {
    torc_dup *d = TORC_CONTAINER_OF(age->next, torc_dup, age);
    if (d->expires > n->now || d->is_executing) {
      return true;
    }
    entry_free(n, d);
  }
  return false;
}

bool torc_dups_expire(torc_node *n) {
  bool is_left = expire(n, &n->dup_age);
  return expire(n, &n->dup_harmless) || is_left;
}

static bool evict_from(torc_node *n, torc_list *head, bool by_origin) {
  for (torc_list *i = head->next; i != head; i = i->next) {
    torc_dup *d =
        by_origin ? TORC_CONTAINER_OF(i, torc_dup, of_origin) : TORC_CONTAINER_OF(i, torc_dup, age);
    if (!d->is_executing) {
      n->stats->duplicate_evictions++;
      entry_free(n, d);
      return true;
    }
  }
  return false;
}

static size_t share_of(const torc_node *n) {
  size_t share = n->cfg.max_answer_bytes / TORC_NODE_DUP_SHARE;
  return share > TORC_NODE_DUP_SHARE_MIN ? share : TORC_NODE_DUP_SHARE_MIN;
}

/* Makes room for `more` bytes of `o`: its own oldest first when its share is used up, else the
 * oldest harmless one of all, else the oldest of all. `o` keeps at least the entry being made, so
 * it is not freed here. */
static bool make_room(torc_node *n, dup_origin *o, size_t more) {
  while (o->bytes + more > share_of(n)) {
    if (!evict_from(n, &o->entries, true)) {
      return false;
    }
  }
  while (n->dup_bytes + more > n->cfg.max_answer_bytes || n->dups.len > TORC_NODE_DUP_ENTRIES) {
    if (!evict_from(n, &n->dup_harmless, false) && !evict_from(n, &n->dup_age, false)) {
      return false;
    }
  }
  return true;
}

static bool is_harmless(uint16_t method) {
  return method == TORC_METHOD_PING || method == TORC_METHOD_UPDATE ||
         method == TORC_METHOD_FETCH || method == TORC_METHOD_FIND;
}

static dup_origin *origin_of(torc_node *n, const uint8_t digest[TORC_DIGEST_LEN]) {
  dup_origin *o = torc_map_get(&n->dup_origins, digest);
  if (o != NULL) {
    return o;
  }
  o = torc_calloc(n->mem, 1, sizeof *o);
  if (o == NULL) {
    return NULL;
  }
  memcpy(o->digest, digest, TORC_DIGEST_LEN);
  o->number = ++n->last_dup_origin;
  torc_list_init(&o->entries);
  if (torc_map_put(&n->dup_origins, o) != 0) {
    torc_free(n->mem, o);
    return NULL;
  }
  return o;
}

static void origin_release(torc_node *n, dup_origin *o) {
  if (o->num == 0) {
    (void)torc_map_del(&n->dup_origins, o->digest);
    torc_free(n->mem, o);
  }
}

torc_dup *torc_dup_enter(torc_node *n, const torc_cert *signer, const torc_id *first_via,
                         uint64_t xid, uint16_t method, bool *is_known) {
  uint8_t digest[TORC_DIGEST_LEN] = {0};
  torc_dup *d = NULL;
  dup_origin *o = NULL;
  *is_known = false;
  if (signer != NULL) {
    memcpy(digest, signer->digest, TORC_DIGEST_LEN);
  } else {
    memcpy(digest, first_via->b, TORC_ID_LEN);
  }
  (void)torc_dups_expire(n);
  o = origin_of(n, digest);
  if (o == NULL) {
    n->stats->no_memory++;
    return NULL;
  }
  dup_key key = {.origin = o->number, .xid = xid};
  d = torc_map_get(&n->dups, &key);
  if (d != NULL) {
    *is_known = true;
    return d;
  }
  d = torc_calloc(n->mem, 1, sizeof *d);
  if (d == NULL) {
    goto fail;
  }
  d->origin = o;
  d->key = key;
  d->is_executing = true;
  d->is_harmless = is_harmless(method);
  d->expires = torc_time_add(n->now, torc_node_t1(n) * TORC_NODE_DUP_AGE_T1);
  torc_list_init(&d->age);
  torc_list_init(&d->of_origin);
  o->num++; /* holds the origin while room is made */
  bool has_room = make_room(n, o, sizeof *d);
  o->num--;
  if (!has_room || torc_map_put(&n->dups, d) != 0) {
    goto fail;
  }
  o->num++;
  o->bytes += (uint32_t)sizeof *d;
  n->dup_bytes += sizeof *d;
  torc_list_push_back(d->is_harmless ? &n->dup_harmless : &n->dup_age, &d->age);
  torc_list_push_back(&o->entries, &d->of_origin);
  torc_node_untidy(n);
  return d;
fail:
  n->stats->no_memory++;
  torc_free(n->mem, d);
  origin_release(n, o);
  return NULL;
}

uint8_t *torc_dup_response(torc_node *n, const torc_dup *d, torc_slice *body) {
  torc_slice identity = torc_slice_of(NULL, 0);
  uint8_t *whole = NULL;
  bool is_known = !d->is_signed || torc_own_identity(n, d->identity, &identity);
  if (is_known && !d->is_executing && d->len > 0) {
    whole = torc_alloc(n->mem, d->len + identity.len);
    n->stats->no_memory += whole == NULL ? 1 : 0;
  }
  if (whole == NULL) {
    *body = torc_slice_of(NULL, 0);
    return NULL;
  }
  memcpy(whole, d->body, d->len);
  if (identity.len > 0) {
    memcpy(whole + d->len, identity.p, identity.len);
  }
  *body = torc_slice_of(whole, d->len + identity.len);
  return whole;
}

/* Takes the place of `node` in its list. */
static void list_replace(torc_list *node, torc_list *fresh) {
  torc_list_init(fresh);
  torc_list_push_front(node, fresh);
  torc_list_remove(node);
}

void torc_dup_finish(torc_node *n, torc_dup *d, torc_slice body) {
  torc_slice identity = torc_slice_of(n->own_identity, n->own_identity_len);
  torc_dup *fresh = NULL;
  bool is_signed = identity.len > 0 && body.len > identity.len &&
                   memcmp(body.p + body.len - identity.len, identity.p, identity.len) == 0;
  body.len -= is_signed ? identity.len : 0;
  if (make_room(n, d->origin, body.len)) {
    fresh = torc_alloc(n->mem, sizeof *fresh + body.len);
  }
  if (fresh == NULL) {
    torc_dup_drop(n, d);
    return;
  }
  *fresh = *d;
  fresh->len = (uint32_t)body.len;
  fresh->is_signed = is_signed;
  fresh->identity = n->identity_number;
  fresh->is_executing = false;
  memcpy(fresh->body, body.p, body.len);
  list_replace(&d->age, &fresh->age);
  list_replace(&d->of_origin, &fresh->of_origin);
  (void)!torc_map_put(&n->dups, fresh); /* the entry is there */
  torc_free(n->mem, d);
  fresh->origin->bytes += fresh->len;
  n->dup_bytes += fresh->len;
}

void torc_dup_drop(torc_node *n, torc_dup *d) {
  entry_free(n, d);
}

void torc_dups_init(torc_node *n, uint64_t seed) {
  torc_list_init(&n->dup_age);
  torc_list_init(&n->dup_harmless);
  torc_map_init(&n->dups, n->mem, offsetof(torc_dup, key), sizeof(dup_key), seed);
  torc_map_init(&n->dup_origins, n->mem, offsetof(dup_origin, digest), TORC_DIGEST_LEN, seed);
}

void torc_dups_clear(torc_node *n) {
  while (!torc_list_empty(&n->dup_age)) {
    entry_free(n, TORC_CONTAINER_OF(n->dup_age.next, torc_dup, age));
  }
  while (!torc_list_empty(&n->dup_harmless)) {
    entry_free(n, TORC_CONTAINER_OF(n->dup_harmless.next, torc_dup, age));
  }
  torc_map_clear(&n->dups);
  torc_map_clear(&n->dup_origins);
}
